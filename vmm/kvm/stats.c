/* SPDX-License-Identifier: ISC */
/*
 * KVM's binary statistics. The descriptor table is the same for every vCPU (and VM) of one kernel: it
 * is read once a process, after that a counter is one pread().
 */
#include "vmm/kvm/hv_priv.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct table {
	bool tried;
	unsigned ndesc, name_bytes;
	uint32_t data_offset;
	uint8_t *desc; /* ndesc of sizeof(struct kvm_stats_desc) + name_bytes */
};

static struct table vm_table, cpu_table;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static void
load(struct table *t, int fd)
{
	struct kvm_stats_header h;
	size_t bytes;

	t->tried = true;
	if (pread(fd, &h, sizeof(h), 0) != (ssize_t)sizeof(h) || h.num_desc > 4096 ||
	    h.name_size > 1024)
		return;
	bytes = h.num_desc * (sizeof(struct kvm_stats_desc) + h.name_size);
	t->desc = malloc(bytes);
	if (t->desc == NULL || pread(fd, t->desc, bytes, h.desc_offset) != (ssize_t)bytes)
		return;
	t->name_bytes = h.name_size;
	t->data_offset = h.data_offset;
	t->ndesc = h.num_desc;
}

static bool
get(struct table *t, struct hv_stats *s, int owner, const char *name, uint64_t *value)
{
	if (s->fd == -1) {
		int fd = hv_ioctl(owner, KVM_GET_STATS_FD, NULL);

		s->fd = fd == -1 ? -2 : fd;
	}
	if (s->fd < 0)
		return false;
	pthread_mutex_lock(&lock);
	if (!t->tried)
		load(t, s->fd);
	pthread_mutex_unlock(&lock);
	for (unsigned i = 0; i < t->ndesc; i++) {
		const uint8_t *row = t->desc + i * (sizeof(struct kvm_stats_desc) + t->name_bytes);
		struct kvm_stats_desc d;

		if (strncmp((const char *)row + sizeof(d), name, t->name_bytes) != 0)
			continue;
		memcpy(&d, row, sizeof(d));
		return d.size == 1 && pread(s->fd, value, sizeof(*value),
					  t->data_offset + d.offset) == (ssize_t)sizeof(*value);
	}
	return false;
}

bool
hv_cpu_stat(struct hv_cpu *cpu, const char *name, uint64_t *value)
{
	return cpu->soft == NULL && get(&cpu_table, &cpu->stats, cpu->fd, name, value);
}

bool
hv_vm_stat(struct hv_vm *vm, const char *name, uint64_t *value)
{
	return get(&vm_table, &vm->stats, vm->fd, name, value);
}

void
hv_stats_close(struct hv_stats *s)
{
	if (s->fd >= 0)
		close(s->fd);
	s->fd = -1;
}
