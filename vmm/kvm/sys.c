/* SPDX-License-Identifier: ISC */
/*
 * Opening /dev/kvm: every way it can be unusable has its own message with the remedy, and every
 * capability is one row of a table.
 */
#include "vmm/kvm/hv_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define DEVICE "/dev/kvm"

struct cap_row {
	const char *name;
	long number;
	bool needed;
	const char *why;
};

#define CAP(name, needed, why)                     \
	{                                          \
#name, KVM_CAP_##name, needed, why \
	}
static const struct cap_row cap_rows[] = {
	CAP(USER_MEMORY, true, "guest RAM is the VMM's own memory"),
	CAP(SET_TSS_ADDR, true, "Intel hosts need three pages for a task state segment"),
	CAP(EXT_CPUID, true, "the guest gets a pinned CPU model"),
	CAP(SYNC_REGS, true, "registers are read and set without a system call"),
	CAP(IMMEDIATE_EXIT, true, "the watchdog stops a guest without a race"),
	CAP(IRQCHIP, true, "local APICs in the kernel"),
	CAP(SPLIT_IRQCHIP, true, "local APICs without PIC, IOAPIC and PIT"),
	CAP(SET_IDENTITY_MAP_ADDR, false, "Intel hosts without unrestricted guest"),
	CAP(READONLY_MEM, false, "trap stores to chosen pages"),
	CAP(SET_GUEST_DEBUG, false, "single steps: counting guest instructions"),
	CAP(BINARY_STATS_FD, false,
	    "KVM's own counters: exact instruction counts where it interprets"),
	CAP(EXIT_ON_EMULATION_FAILURE, false, "the bytes of an instruction KVM cannot execute"),
	CAP(GET_TSC_KHZ, false, "cycles into time"),
	CAP(TSC_DEADLINE_TIMER, false, "timeouts in the guest"),
};
#define NCAPS (sizeof(cap_rows) / sizeof(cap_rows[0]))

int
hv_ioctl(int fd, unsigned long request, void *arg)
{
	int r;

	do
		r = ioctl(fd, request, arg);
	while (r == -1 && errno == EINTR);
	return r;
}

static bool
open_failed(const char *path, int error, struct bed_err *err)
{
	switch (error) {
	case ENOENT:
	case ENXIO:
	case ENODEV:
		return bed_fail(err, BED_E_HOST,
		    "%s: %s; load kvm_intel or kvm_amd (modprobe), switch virtualization on in the "
		    "firmware, or in a virtual machine enable nested virtualization",
		    path, error == ENOENT ? "not there" : "no driver behind it");
	case EACCES:
	case EPERM:
		return bed_fail(err, BED_E_HOST,
		    "%s: no permission; add your user to the group that owns it, usually kvm "
		    "(usermod -aG kvm $USER, then log in again)",
		    path);
	case EBUSY:
		return bed_fail(err, BED_E_HOST,
		    "%s: busy; another hypervisor (VirtualBox, VMware) holds the CPU's "
		    "virtualization: stop it",
		    path);
	default:
		return bed_fail(err, BED_E_HOST, "%s: %s", path, strerror(error));
	}
}

/* The descriptor, or -1. */
static int
open_device(const char *path, struct bed_err *err)
{
	struct stat st;
	int fd, version;

	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd == -1) {
		open_failed(path, errno, err);
		return -1;
	}
	version =
	    fstat(fd, &st) == 0 && S_ISCHR(st.st_mode) ? ioctl(fd, KVM_GET_API_VERSION, 0) : -1;
	if (version == -1)
		bed_fail(err, BED_E_HOST,
		    "%s is not KVM's device (it does not answer KVM_GET_API_VERSION); "
		    "it should be character device 10:232",
		    path);
	else if (version != KVM_API_VERSION)
		bed_fail(err, BED_E_HOST, "%s speaks KVM API version %d, this program version %d",
		    path, version, KVM_API_VERSION);
	else
		return fd;
	close(fd);
	return -1;
}

bool
hv_check_device(const char *path, struct bed_err *err)
{
	int fd = open_device(path, err);

	if (fd == -1)
		return false;
	close(fd);
	return true;
}

static bool
check_caps(struct hv *hv, struct bed_err *err)
{
	for (size_t i = 0; i < NCAPS; i++) {
		const struct cap_row *row = &cap_rows[i];

		if (row->needed && ioctl(hv->fd, KVM_CHECK_EXTENSION, row->number) <= 0)
			return bed_fail(err, BED_E_HOST,
			    "this kernel's KVM lacks KVM_CAP_%s (%ld), needed here: %s; "
			    "Linux 5.10 or later has it",
			    row->name, row->number, row->why);
	}
	return true;
}

static bool
has(const struct hv *hv, long cap)
{
	return ioctl(hv->fd, KVM_CHECK_EXTENSION, cap) > 0;
}

static bool
setup(struct hv *hv, struct bed_err *err)
{
	struct hv_features *f = &hv->feat;
	int bytes;

	hv->fd = open_device(DEVICE, err);
	if (hv->fd == -1 || !check_caps(hv, err))
		return false;
	bytes = ioctl(hv->fd, KVM_GET_VCPU_MMAP_SIZE, 0);
	if (bytes < (int)sizeof(struct kvm_run))
		return bed_fail(err, BED_E_HOST, "KVM_GET_VCPU_MMAP_SIZE: %d", bytes);
	hv->run_bytes = (size_t)bytes;
	f->read_only_slots = has(hv, KVM_CAP_READONLY_MEM);
	f->single_step = has(hv, KVM_CAP_SET_GUEST_DEBUG);
	f->stats = has(hv, KVM_CAP_BINARY_STATS_FD);
	f->emulation_bytes = has(hv, KVM_CAP_EXIT_ON_EMULATION_FAILURE);
	return hv_cpuid_model(hv, err);
}

struct hv *
hv_get(struct bed_err *err)
{
	static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
	static struct hv hv = { .fd = -1 };
	static bool ready;

	pthread_mutex_lock(&lock);
	if (!ready) {
		ready = setup(&hv, err);
		if (!ready && hv.fd != -1) {
			close(hv.fd);
			hv.fd = -1;
		}
	}
	pthread_mutex_unlock(&lock);
	return ready ? &hv : NULL;
}

const struct hv_features *
hv_features(struct bed_err *err)
{
	struct hv *hv = hv_get(err);

	return hv == NULL ? NULL : &hv->feat;
}

bool
hv_cap_row(unsigned index, struct hv_cap *cap, struct bed_err *err)
{
	struct bed_err ignore;
	int fd;

	if (index >= NCAPS)
		return false;
	/* Not through hv_get(): the table is wanted most when a needed row is missing. */
	fd = open_device(DEVICE, err == NULL ? &ignore : err);
	if (fd == -1)
		return false;
	*cap =
	    (struct hv_cap){ cap_rows[index].name, cap_rows[index].number, cap_rows[index].needed,
		    cap_rows[index].why, ioctl(fd, KVM_CHECK_EXTENSION, cap_rows[index].number) };
	close(fd);
	return true;
}
