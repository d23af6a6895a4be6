/* SPDX-License-Identifier: ISC */
/*
 * Writing a guest as an ELF core file: see core.h.
 */
#include "shared/layout.h"
#include "shared/paging.h"
#undef PF_W /* the page-fault bit; here it is the segment flag of elf.h */

#include <elf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/procfs.h>
#include <unistd.h>

#include "vmm/bed/inspect.h"
#include "vmm/bundle/core.h"

#define RUNS_MAX (PN_XNUM - 4u)

struct writer {
	int fd;
	const struct bed *bed;
	struct view view;
	struct bed_err *err;
	Elf64_Phdr *ph;
	unsigned nph;
	uint8_t *notes;
	size_t notes_len, notes_cap;
	uint64_t data; /* offset of RAM in the file */
};

static bool
put(struct writer *w, const void *from, size_t len, uint64_t at)
{
	const uint8_t *p = from;

	while (len > 0) {
		ssize_t n = pwrite(w->fd, p, len, (off_t)at);

		if (n <= 0)
			return bed_fail(w->err, BED_E_OUTPUT, "core: %s",
			    n == 0 ? "no space" : strerror(errno));
		p += n;
		at += (uint64_t)n;
		len -= (size_t)n;
	}
	return true;
}

static size_t
padded(size_t n)
{
	return (n + 3) & ~(size_t)3;
}

static void
add_note(struct writer *w, const char *name, uint32_t type, const void *desc, size_t len)
{
	Elf64_Nhdr h = { (Elf64_Word)strlen(name) + 1, (Elf64_Word)len, type };
	uint8_t *at = w->notes + w->notes_len;

	memcpy(at, &h, sizeof(h));
	memcpy(at + sizeof(h), name, h.n_namesz);
	memcpy(at + sizeof(h) + padded(h.n_namesz), desc, len);
	w->notes_len += sizeof(h) + padded(h.n_namesz) + padded(len);
}

/* In the order of struct user_regs_struct. */
static void
add_status(struct writer *w, const struct stack *s)
{
	const struct hv_regs *r = &s->regs;
	const uint64_t reg[] = { r->r15, r->r14, r->r13, r->r12, r->rbp, r->rbx, r->r11, r->r10,
		r->r9, r->r8, r->rax, r->rcx, r->rdx, r->rsi, r->rdi, UINT64_MAX, r->rip,
		BED_SEL_CODE, r->rflags, r->rsp, BED_SEL_DATA };
	struct elf_prstatus status = { .pr_pid =
					   (pid_t)(s->is_cpu ? 1 + s->number : 100 + s->number) };

	_Static_assert(sizeof(reg) <= sizeof(status.pr_reg), "general registers fit");
	memcpy(status.pr_reg, reg, sizeof(reg));
	add_note(w, "CORE", NT_PRSTATUS, &status, sizeof(status));
}

static bool
make_notes(struct writer *w, const struct stack *s, unsigned n)
{
	struct elf_prpsinfo info = { .pr_sname = 'R', .pr_pid = 1 };
	struct core_note own = { .magic = CORE_MAGIC,
		.version = CORE_VERSION,
		.maxphyaddr = w->view.maxphyaddr,
		.nx = w->view.nx,
		.pages_1g = w->view.pages_1g,
		.root = w->view.root.v,
		.cr0 = s[0].regs.cr0,
		.cr3 = s[0].regs.cr3,
		.cr4 = s[0].regs.cr4,
		.efer = s[0].regs.efer,
		.build_id = BED_BUILD_ID };

	w->notes = calloc(n + 2, sizeof(struct elf_prstatus) + sizeof(own) + 64);
	if (w->notes == NULL)
		return bed_fail(w->err, BED_E_HOST, "core: out of memory");
	/* gdb compares this with the name of the program it is given. */
	strncpy(info.pr_fname, "guest.elf", sizeof(info.pr_fname) - 1);
	strncpy(info.pr_psargs, "uvmbed guest", sizeof(info.pr_psargs) - 1);
	for (unsigned i = 0; i < n; i++) {
		add_status(w, &s[i]);
		if (i == 0)
			add_note(w, "CORE", NT_PRPSINFO, &info, sizeof(info));
	}
	add_note(w, CORE_NOTE_NAME, CORE_NOTE_TYPE, &own, sizeof(own));
	return true;
}

/* Where a physical address is in the file; false: [pa, pa + len) is not RAM. */
static bool
file_offset(const struct writer *w, uint64_t pa, uint64_t len, uint64_t *offset)
{
	uint64_t at = w->data;

	for (unsigned i = 0; i < w->view.nseg; i++) {
		const struct view_seg *seg = &w->view.seg[i];

		if (pa >= seg->start.v && pa - seg->start.v < seg->len &&
		    len <= seg->len - (pa - seg->start.v)) {
			*offset = at + (pa - seg->start.v);
			return true;
		}
		at += seg->len;
	}
	return false;
}

static void
add_segment(struct writer *w, uint64_t va, uint64_t pa, uint64_t len, unsigned rights)
{
	uint64_t offset;

	if (!file_offset(w, pa, len, &offset))
		return;
	w->ph[w->nph++] = (Elf64_Phdr){ .p_type = PT_LOAD,
		.p_flags = PF_R | ((rights & VIEW_W) != 0 ? PF_W : 0u) |
		           ((rights & VIEW_X) != 0 ? PF_X : 0u),
		.p_offset = offset,
		.p_vaddr = va,
		.p_paddr = pa,
		.p_filesz = len,
		.p_memsz = len,
		.p_align = BED_PAGE_SIZE };
}

static bool
make_segments(struct writer *w, const struct snapshot *snap, size_t *left_out)
{
	size_t runs = snap->nrun < RUNS_MAX ? snap->nrun : RUNS_MAX;
	size_t room = 1 + w->view.nseg + runs;
	uint64_t notes = sizeof(Elf64_Ehdr) + room * sizeof(*w->ph);

	*left_out = snap->nrun - runs;
	w->ph = calloc(room, sizeof(*w->ph));
	if (w->ph == NULL)
		return bed_fail(w->err, BED_E_HOST, "core: out of memory");
	w->data = (notes + w->notes_len + BED_PAGE_MASK) & ~BED_PAGE_MASK;
	w->ph[w->nph++] = (Elf64_Phdr){ .p_type = PT_NOTE,
		.p_flags = PF_R,
		.p_offset = notes,
		.p_filesz = w->notes_len,
		.p_align = 4 };
	for (unsigned i = 0; i < w->view.nseg; i++)
		add_segment(w, w->view.seg[i].start.v, w->view.seg[i].start.v, w->view.seg[i].len,
		    VIEW_R | VIEW_W);
	for (size_t i = 0; i < runs; i++)
		add_segment(w, snap->run[i].va.v, snap->run[i].pa.v, view_run_bytes(&snap->run[i]),
		    snap->run[i].attr.rights);
	return true;
}

static bool
put_headers(struct writer *w)
{
	Elf64_Ehdr eh = { .e_ident = { ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB,
			      EV_CURRENT, ELFOSABI_NONE },
		.e_type = ET_CORE,
		.e_machine = EM_X86_64,
		.e_version = EV_CURRENT,
		.e_phoff = sizeof(eh),
		.e_ehsize = sizeof(eh),
		.e_phentsize = sizeof(*w->ph),
		.e_phnum = (Elf64_Half)w->nph };

	return put(w, &eh, sizeof(eh), 0) && put(w, w->ph, w->nph * sizeof(*w->ph), sizeof(eh)) &&
	       put(w, w->notes, w->notes_len, w->ph[0].p_offset);
}

static bool
is_zero(const uint8_t *page)
{
	static const uint8_t zero[BED_PAGE_SIZE];

	return memcmp(page, zero, sizeof(zero)) == 0;
}

/* One stretch of RAM, its zero pages left as holes of the file. */
static bool
put_stretch(struct writer *w, const uint8_t *from, uint64_t len, uint64_t at)
{
	for (uint64_t i = 0; i < len;) {
		uint64_t n = 0;

		while (i + n < len && !is_zero(from + i + n))
			n += BED_PAGE_SIZE;
		if (n == 0)
			i += BED_PAGE_SIZE;
		else if (!put(w, from + i, n, at + i))
			return false;
		i += n;
	}
	return true;
}

static bool
put_memory(struct writer *w)
{
	uint64_t at = w->data, base = 0, start, end;

	for (unsigned i = 0; i < w->view.nseg; i++) {
		const struct view_seg *seg = &w->view.seg[i];

		for (uint64_t pos = base;
		     pos < base + seg->len && bed_ram_data(w->bed, pos, &start, &end) &&
		     start < base + seg->len;
		     pos = end) {
			start &= ~BED_PAGE_MASK;
			if (end > base + seg->len)
				end = base + seg->len;
			if (!put_stretch(
				w, seg->host + (start - base), end - start, at + (start - base)))
				return false;
		}
		at += seg->len;
		base += seg->len;
	}
	return ftruncate(w->fd, (off_t)at) == 0 ||
	       bed_fail(w->err, BED_E_OUTPUT, "core: %s", strerror(errno));
}

bool
core_write(int fd, const struct bed *bed, const struct snapshot *snap, const struct stack *stacks,
    unsigned nstack, size_t *left_out, struct bed_err *err)
{
	struct writer w = { .fd = fd, .bed = bed, .view = bed_view(bed), .err = err };
	bool ok = make_notes(&w, stacks, nstack) && make_segments(&w, snap, left_out) &&
	          put_headers(&w) && put_memory(&w);

	free(w.ph);
	free(w.notes);
	return ok;
}
