/* SPDX-License-Identifier: ISC */
/*
 * Inside vmm/kvm/: the structures behind hv.h. The only header that includes <linux/kvm.h>.
 */
#ifndef VMM_KVM_HV_PRIV_H
#define VMM_KVM_HV_PRIV_H

#include <linux/kvm.h>
#include <sys/ioctl.h>

#include "vmm/kvm/hv.h"

/* The process's one connection to KVM. */
struct hv {
	int fd; /* /dev/kvm */
	size_t run_bytes;
	struct hv_features feat;
	struct kvm_cpuid2 *cpuid; /* the model; leaf 1 still lacks the APIC id */
	uint32_t cpuid_host[8];   /* of supported CPUID, see cpuid.c */
};

struct hv *hv_get(struct bed_err *);

struct hv_stats {
	int fd; /* -1: not opened yet, -2: not offered */
};

struct hv_slot {
	gpa_t gpa;
	uint64_t len; /* 0: no slot */
	void *host;
	unsigned flags;
};

struct hv_vm {
	struct hv *hv;
	int fd;
	unsigned ncpu;
	struct hv_cpu *cpu[16];
	struct hv_slot slot[HV_SLOT_MAX]; /* as KVM has them */
	struct hv_stats stats;
};

struct hv_cpu {
	struct hv_vm *vm;
	const struct hv_soft *soft; /* NULL: KVM's, and what follows is valid */
	int fd;
	unsigned id;
	struct kvm_run *run;
	uint64_t exits;
	bool stepping;
	bool io_pending; /* the last exit is finished by the next KVM_RUN */
	bool kicked;     /* atomic: come back, and stay */
	struct hv_stats stats;
};

/* vcpu.c */
bool hv_cpu_settle(struct hv_cpu *, struct bed_err *);

/* cpuid.c */
bool hv_cpuid_model(struct hv *, struct bed_err *);
bool hv_cpuid_install(struct hv_cpu *, struct bed_err *);

/* exits.c */
void hv_exit_decode(const struct kvm_run *, struct hv_exit *);

/* vcpu.c: KVM_RUN failed with this errno. */
bool hv_run_failed(struct hv_cpu *, int error, struct bed_err *);

/* stats.c */
void hv_stats_close(struct hv_stats *);

/* ioctl that survives signals; errno is set on -1. */
int hv_ioctl(int fd, unsigned long request, void *arg);

#endif
