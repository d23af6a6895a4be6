/* SPDX-License-Identifier: ISC */
/*
 * The CPU model the guest sees: what KVM supports here, cut down to the rows of one table. A feature
 * without a row does not exist for the guest, so a run means the same on every host. Vendor, family
 * and model stay the host's, because KVM's own behaviour follows them.
 */
#include "vmm/kvm/hv_priv.h"

#include "vmm/digest.h"
#include "vmm/kvm/state.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>

/* The words of supported CPUID that the model is cut from. */
enum word { W_1_EDX, W_1_ECX, W_7_EBX, W_7_ECX, W_81_EDX, W_87_EDX, NWORDS };

static const struct {
	uint32_t leaf;
	const char *reg;
} words[NWORDS] = {
	[W_1_EDX] = { 1, "edx" },
	[W_1_ECX] = { 1, "ecx" },
	[W_7_EBX] = { 7, "ebx" },
	[W_7_ECX] = { 7, "ecx" },
	[W_81_EDX] = { 0x80000001, "edx" },
	[W_87_EDX] = { 0x80000007, "edx" },
};

/* need: the guest cannot do without it. */
static const struct row {
	enum word word;
	unsigned bit;
	bool need;
	const char *name;
} rows[] = {
	{ W_1_EDX, 0, false, "fpu" },
	{ W_1_EDX, 2, false, "de" },
	{ W_1_EDX, 3, true, "pse" },
	{ W_1_EDX, 4, true, "tsc" },
	{ W_1_EDX, 5, true, "msr" },
	{ W_1_EDX, 6, true, "pae" },
	{ W_1_EDX, 8, true, "cx8" },
	{ W_1_EDX, 9, true, "apic" },
	{ W_1_EDX, 11, false, "sep" },
	{ W_1_EDX, 13, true, "pge" },
	{ W_1_EDX, 15, true, "cmov" },
	{ W_1_EDX, 16, false, "pat" },
	{ W_1_EDX, 19, false, "clflush" },
	{ W_1_EDX, 23, false, "mmx" },
	{ W_1_EDX, 24, false, "fxsr" },
	{ W_1_EDX, 25, false, "sse" },
	{ W_1_EDX, 26, false, "sse2" },
	{ W_1_ECX, 21, true, "x2apic" },
	{ W_1_ECX, 24, false, "tsc-deadline" },
	{ W_1_ECX, 31, false, "hypervisor" },
	{ W_7_EBX, 7, false, "smep" },
	{ W_7_EBX, 20, false, "smap" },
	{ W_7_ECX, 2, false, "umip" },
	{ W_81_EDX, 11, false, "syscall" },
	{ W_81_EDX, 20, true, "nx" },
	{ W_81_EDX, 26, false, "pages-1g" },
	{ W_81_EDX, 29, true, "long-mode" },
	{ W_87_EDX, 8, false, "invariant-tsc" },
};
#define NROWS (sizeof(rows) / sizeof(rows[0]))

_Static_assert(NWORDS <= sizeof(((struct hv *)NULL)->cpuid_host) / sizeof(uint32_t), "words fit");

#define CR4_PAE  (UINT64_C(1) << 5)
#define CR4_PGE  (UINT64_C(1) << 7)
#define CR4_UMIP (UINT64_C(1) << 11)
#define CR4_SMEP (UINT64_C(1) << 20)
#define CR4_SMAP (UINT64_C(1) << 21)
#define EFER_LME (UINT64_C(1) << 8)
#define EFER_LMA (UINT64_C(1) << 10)
#define EFER_NXE (UINT64_C(1) << 11)

static struct kvm_cpuid2 *
supported(int fd, struct bed_err *err)
{
	for (unsigned n = 128; n <= 4096; n *= 2) {
		struct kvm_cpuid2 *c = calloc(1, sizeof(*c) + n * sizeof(c->entries[0]));

		if (c == NULL) {
			bed_fail(err, BED_E_HOST, "out of memory for CPUID");
			return NULL;
		}
		c->nent = n;
		if (hv_ioctl(fd, KVM_GET_SUPPORTED_CPUID, c) == 0)
			return c;
		free(c);
		if (errno != E2BIG)
			break;
	}
	bed_fail(err, BED_E_HOST, "KVM_GET_SUPPORTED_CPUID: %s", strerror(errno));
	return NULL;
}

static const struct kvm_cpuid_entry2 *
find(const struct kvm_cpuid2 *c, uint32_t leaf)
{
	static const struct kvm_cpuid_entry2 none;

	for (unsigned i = 0; i < c->nent; i++)
		if (c->entries[i].function == leaf && c->entries[i].index == 0)
			return &c->entries[i];
	return &none;
}

static uint32_t
word_of(const struct kvm_cpuid_entry2 *e, const char *reg)
{
	return strcmp(reg, "ebx") == 0 ? e->ebx : strcmp(reg, "ecx") == 0 ? e->ecx : e->edx;
}

/* What the guest is offered of a word: the rows of the table that the host has. */
static uint32_t
model_word(const struct hv *hv, enum word w)
{
	uint32_t mask = 0;

	for (size_t i = 0; i < NROWS; i++)
		if (rows[i].word == w)
			mask |= UINT32_C(1) << rows[i].bit;
	return hv->cpuid_host[w] & mask;
}

static bool
offered(const struct hv *hv, const char *name)
{
	for (size_t i = 0; i < NROWS; i++)
		if (strcmp(rows[i].name, name) == 0)
			return hv->cpuid_host[rows[i].word] >> rows[i].bit & 1;
	return false;
}

static void
fill_features(struct hv *hv, uint32_t address_sizes)
{
	struct hv_features *f = &hv->feat;

	f->maxphyaddr = address_sizes & 0xff;
	if (f->maxphyaddr < 36 || f->maxphyaddr > 52)
		f->maxphyaddr = 36;
	f->nx = offered(hv, "nx");
	f->pge = offered(hv, "pge");
	f->pages_1g = offered(hv, "pages-1g");
	f->smep = offered(hv, "smep");
	f->smap = offered(hv, "smap");
	f->umip = offered(hv, "umip");
	f->x2apic = offered(hv, "x2apic");
	f->tsc_deadline = offered(hv, "tsc-deadline");
	f->invariant_tsc = offered(hv, "invariant-tsc");
	f->cr4 = CR4_PAE | CR4_PGE | (f->smep ? CR4_SMEP : 0) | (f->smap ? CR4_SMAP : 0) |
	         (f->umip ? CR4_UMIP : 0);
	f->efer = EFER_LME | EFER_LMA | EFER_NXE;
}

bool
hv_cpuid_model(struct hv *hv, struct bed_err *err)
{
	struct kvm_cpuid2 *host = supported(hv->fd, err), *c;
	const struct kvm_cpuid_entry2 *basic, *one;
	uint32_t sizes;

	if (host == NULL)
		return false;
	for (int w = 0; w < NWORDS; w++)
		hv->cpuid_host[w] = word_of(find(host, words[w].leaf), words[w].reg);
	/* KVM offers the TSC-deadline timer through a capability, not through CPUID. */
	if (ioctl(hv->fd, KVM_CHECK_EXTENSION, KVM_CAP_TSC_DEADLINE_TIMER) > 0)
		hv->cpuid_host[W_1_ECX] |= UINT32_C(1) << 24;
	hv->cpuid_host[W_1_ECX] |= UINT32_C(1) << 31;
	for (size_t i = 0; i < NROWS; i++)
		if (rows[i].need && !(hv->cpuid_host[rows[i].word] >> rows[i].bit & 1)) {
			free(host);
			return bed_fail(err, BED_E_HOST,
			    "KVM here does not give guests the CPU feature %s, which the guest "
			    "kernel needs",
			    rows[i].name);
		}
	basic = find(host, 0);
	one = find(host, 1);
	sizes = find(host, 0x80000008)->eax & 0xffff;
	fill_features(hv, sizes);

	c = calloc(1, sizeof(*c) + 8 * sizeof(c->entries[0]));
	if (c == NULL) {
		free(host);
		return bed_fail(err, BED_E_HOST, "out of memory for CPUID");
	}
#define LEAF(n, ...) c->entries[c->nent++] = (struct kvm_cpuid_entry2){ .function = n, __VA_ARGS__ }
	LEAF(0, .eax = 7, .ebx = basic->ebx, .ecx = basic->ecx, .edx = basic->edx);
	LEAF(1, .eax = one->eax, .ebx = one->ebx & 0xff00, .ecx = model_word(hv, W_1_ECX),
	    .edx = model_word(hv, W_1_EDX));
	LEAF(7, .flags = KVM_CPUID_FLAG_SIGNIFCANT_INDEX, .ebx = model_word(hv, W_7_EBX),
	    .ecx = model_word(hv, W_7_ECX));
	LEAF(
	    0x40000000, .eax = 0x40000000, .ebx = 0x624d5655, .ecx = 0x624d5655, .edx = 0x624d5655);
	LEAF(
	    0x80000000, .eax = 0x80000008, .ebx = basic->ebx, .ecx = basic->ecx, .edx = basic->edx);
	LEAF(0x80000001, .edx = model_word(hv, W_81_EDX));
	LEAF(0x80000007, .edx = model_word(hv, W_87_EDX));
	LEAF(0x80000008, .eax = hv->feat.maxphyaddr | 48 << 8);
#undef LEAF
	free(host);
	hv->cpuid = c;
	return true;
}

bool
hv_cpuid_install(struct hv_cpu *cpu, struct bed_err *err)
{
	const struct kvm_cpuid2 *model = cpu->vm->hv->cpuid;
	size_t bytes = sizeof(*model) + model->nent * sizeof(model->entries[0]);
	struct kvm_cpuid2 *copy = malloc(bytes);
	bool ok;

	if (copy == NULL)
		return bed_fail(err, BED_E_HOST, "out of memory for CPUID");
	memcpy(copy, model, bytes);
	for (unsigned i = 0; i < copy->nent; i++)
		if (copy->entries[i].function == 1)
			copy->entries[i].ebx |= cpu->id << 24;
	ok = hv_ioctl(cpu->fd, KVM_SET_CPUID2, copy) == 0 ||
	     bed_fail(err, BED_E_HOST, "KVM_SET_CPUID2: %s", strerror(errno));
	free(copy);
	return ok;
}

bool
hv_cpuid_row(unsigned index, struct hv_cpuid_bit *bit, struct bed_err *err)
{
	struct hv *hv = hv_get(err);

	if (hv == NULL || index >= NROWS)
		return false;
	*bit = (struct hv_cpuid_bit){ words[rows[index].word].leaf, words[rows[index].word].reg,
		rows[index].name, rows[index].bit, offered(hv, rows[index].name) };
	return true;
}

bool
hv_model_id(uint64_t *id, struct bed_err *err)
{
	struct hv *hv = hv_get(err);
	struct utsname host;

	if (hv == NULL)
		return false;
	memset(&host, 0, sizeof(host));
	uname(&host);
	*id = bed_digest(0, hv->cpuid->entries, hv->cpuid->nent * sizeof(hv->cpuid->entries[0]));
	*id = bed_digest(*id, host.release, sizeof(host.release));
	*id = bed_digest(*id, host.version, sizeof(host.version));
	*id += hv_cpu_state_bytes();
	return true;
}
