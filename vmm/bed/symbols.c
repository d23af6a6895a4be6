/* SPDX-License-Identifier: ISC */
/*
 * Symbols and unwinding through libdw: see symbols.h.
 */
#include "vmm/bed/symbols.h"

#include "shared/layout.h"

#include <dwarf.h>
#include <elf.h>
#include <elfutils/libdw.h>
#include <elfutils/libdwfl.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define FRAMES_MAX 512 /* unwound */
#define SHOW_FIRST 16  /* lines shown from the inner end, */
#define SHOW_LAST  6   /* and from the outer end */

struct symbols {
	Dwfl *dwfl;
	uint64_t lowest; /* no code is below */
	/* Of the unwinding going on. */
	const struct bed_frame *frame;
	symbols_read *read;
	void *arg;
	unsigned n;
	struct {
		uint64_t pc;
		bool exact; /* pc is the instruction itself, not a return address */
	} pc[FRAMES_MAX];
};

/* Debug information is in the image or nowhere: never search disks or servers for it. */
static int
no_debuginfo(Dwfl_Module *mod, void **data, const char *name, Dwarf_Addr base, const char *file,
    const char *link, GElf_Word crc, char **found)
{
	(void)mod, (void)data, (void)name, (void)base, (void)file, (void)link, (void)crc,
	    (void)found;
	return -1;
}

static const Dwfl_Callbacks callbacks = {
	.find_elf = dwfl_build_id_find_elf,
	.find_debuginfo = no_debuginfo,
	.section_address = dwfl_offline_section_address,
};

/* libdwfl takes a descriptor and closes it: give it a copy of the mapping. */
static int
image_fd(const struct image *im)
{
	size_t done = 0;
	ssize_t n;
	int fd = memfd_create("uvmbed-symbols", MFD_CLOEXEC);

	while (fd != -1 && done < im->bytes) {
		n = write(fd, im->map + done, im->bytes - done);
		if (n <= 0) {
			close(fd);
			return -1;
		}
		done += (size_t)n;
	}
	return fd;
}

/* The file becomes the one module, moved by `bias`; takes the descriptor over. */
static struct symbols *
open_module(int fd, uint64_t bias, uint64_t lowest)
{
	struct symbols *s = calloc(1, sizeof(*s));

	if (s != NULL && fd != -1)
		s->dwfl = dwfl_begin(&callbacks);
	if (s != NULL && s->dwfl != NULL) {
		s->lowest = lowest;
		dwfl_report_begin(s->dwfl);
		/* Takes the descriptor over unless it fails. */
		if (dwfl_report_elf(s->dwfl, "guest", "guest", fd, bias, true) != NULL)
			fd = -1;
		if (dwfl_report_end(s->dwfl, NULL, NULL) == 0 && fd == -1)
			return s;
	}
	if (fd != -1)
		close(fd);
	symbols_close(s);
	return NULL;
}

struct symbols *
symbols_open(const struct image *im)
{
	return open_module(image_fd(im), 0, BED_IMAGE_BASE);
}

/* The first byte of the program in memory, by the linker. */
extern const char __ehdr_start[];

struct symbols *
symbols_open_self(void)
{
	uint64_t start = (uint64_t)__ehdr_start;
	const Elf64_Ehdr *header = (const Elf64_Ehdr *)__ehdr_start;

	return open_module(open("/proc/self/exe", O_RDONLY | O_CLOEXEC),
	    header->e_type == ET_DYN ? start : 0, start);
}

void
symbols_close(struct symbols *s)
{
	if (s == NULL)
		return;
	dwfl_end(s->dwfl);
	free(s);
}

static Dwfl_Module *
module_at(struct symbols *s, uint64_t pc)
{
	return s == NULL ? NULL : dwfl_addrmodule(s->dwfl, pc);
}

bool
symbols_name(struct symbols *s, uint64_t pc, const char **name, uint64_t *offset)
{
	Dwfl_Module *mod = module_at(s, pc);
	GElf_Off off;
	GElf_Sym sym;

	*name = mod == NULL ? NULL : dwfl_module_addrinfo(mod, pc, &off, &sym, NULL, NULL, NULL);
	*offset = *name == NULL ? 0 : (uint64_t)off;
	return *name != NULL;
}

bool
symbols_line(struct symbols *s, uint64_t pc, const char **file, int *number)
{
	Dwfl_Module *mod = module_at(s, pc);
	Dwfl_Line *line = mod == NULL ? NULL : dwfl_module_getsrc(mod, pc);

	*number = 0;
	*file = line == NULL ? NULL : dwfl_lineinfo(line, NULL, number, NULL, NULL, NULL);
	if (*file != NULL && strncmp(*file, "./", 2) == 0)
		*file += 2;
	return *file != NULL;
}

/* Where the outermost function inlined at pc was called. */
static bool
call_site(Dwarf_Die *cu, Dwarf_Addr addr, const char **file, int *number)
{
	Dwarf_Die *scopes = NULL, *nest = NULL, *outer = NULL;
	int n = dwarf_getscopes(cu, addr, &scopes);
	int m = n > 0 ? dwarf_getscopes_die(&scopes[0], &nest) : 0;
	Dwarf_Word line = 0, index = 0;
	Dwarf_Attribute attr;
	Dwarf_Files *files;
	size_t nfiles;
	bool ok;

	for (int i = 0; i < m && dwarf_tag(&nest[i]) != DW_TAG_subprogram; i++)
		if (dwarf_tag(&nest[i]) == DW_TAG_inlined_subroutine)
			outer = &nest[i];
	ok = outer != NULL &&
	     dwarf_formudata(dwarf_attr(outer, DW_AT_call_line, &attr), &line) == 0 &&
	     dwarf_formudata(dwarf_attr(outer, DW_AT_call_file, &attr), &index) == 0 &&
	     dwarf_getsrcfiles(cu, &files, &nfiles) == 0 && index < nfiles;
	*number = (int)line;
	*file = ok ? dwarf_filesrc(files, index, NULL, NULL) : NULL;
	free(nest);
	free(scopes);
	return *file != NULL;
}

bool
symbols_own_line(struct symbols *s, uint64_t pc, const char **file, int *number)
{
	Dwfl_Module *mod = module_at(s, pc);
	Dwarf_Addr bias;
	Dwarf_Die *cu = mod == NULL ? NULL : dwfl_module_addrdie(mod, pc, &bias);

	if (cu == NULL || !call_site(cu, pc - bias, file, number))
		return symbols_line(s, pc, file, number);
	if (strncmp(*file, "./", 2) == 0)
		*file += 2;
	return true;
}

typedef bool line_fn(struct symbols *, uint64_t pc, const char **file, int *number);

static void
print_at(struct symbols *s, FILE *out, uint64_t pc, uint64_t shown, line_fn *line)
{
	const char *name, *file;
	uint64_t offset;
	int number;

	if (!symbols_name(s, pc, &name, &offset)) {
		fprintf(out, "%#" PRIx64 "%s", shown,
		    s == NULL ? " (no symbols)" : " (not in the image's code)");
		return;
	}
	fprintf(out, "%s+%#" PRIx64, name, offset + (shown - pc));
	if (line(s, pc, &file, &number))
		fprintf(out, "  %s:%d", file, number);
}

void
symbols_print(struct symbols *s, FILE *out, uint64_t pc)
{
	print_at(s, out, pc, pc, symbols_line);
}

void
symbols_print_return(struct symbols *s, FILE *out, uint64_t pc)
{
	print_at(s, out, pc - 1, pc, symbols_own_line);
}

/* Functions inlined at pc, innermost first. */
static void
print_inlined(struct symbols *s, FILE *out, uint64_t pc)
{
	Dwfl_Module *mod = dwfl_addrmodule(s->dwfl, pc);
	Dwarf_Die *cu, *scopes = NULL;
	Dwarf_Addr bias;
	int n;

	cu = mod == NULL ? NULL : dwfl_module_addrdie(mod, pc, &bias);
	n = cu == NULL ? 0 : dwarf_getscopes(cu, pc - bias, &scopes);
	for (int i = 0; i < n; i++) {
		int tag = dwarf_tag(&scopes[i]);
		const char *name = dwarf_diename(&scopes[i]);

		if (tag == DW_TAG_subprogram)
			break;
		if (tag == DW_TAG_inlined_subroutine && name != NULL)
			fprintf(out, "          in %s, inlined\n", name);
	}
	free(scopes);
}

static pid_t
next_thread(Dwfl *dwfl, void *arg, void **thread)
{
	(void)dwfl;
	if (*thread != NULL)
		return 0;
	*thread = arg;
	return 1;
}

static bool
memory_read(Dwfl *dwfl, Dwarf_Addr addr, Dwarf_Word *result, void *arg)
{
	struct symbols *s = arg;

	(void)dwfl;
	return s->read(s->arg, addr, result);
}

/* In the order DWARF numbers them. */
static bool
initial_registers(Dwfl_Thread *thread, void *arg)
{
	const struct bed_frame *f = ((struct symbols *)arg)->frame;
	const Dwarf_Word regs[] = { f->rax, f->rdx, f->rcx, f->rbx, f->rsi, f->rdi, f->rbp, f->rsp,
		f->r8, f->r9, f->r10, f->r11, f->r12, f->r13, f->r14, f->r15, f->rip };

	return dwfl_thread_state_registers(thread, 0, sizeof(regs) / sizeof(regs[0]), regs);
}

static const Dwfl_Thread_Callbacks thread_callbacks = {
	.next_thread = next_thread,
	.memory_read = memory_read,
	.set_initial_registers = initial_registers,
};

static int
take_frame(Dwfl_Frame *state, void *arg)
{
	struct symbols *s = arg;
	Dwarf_Addr pc;
	bool activation;

	if (!dwfl_frame_pc(state, &pc, &activation) || pc < ((struct symbols *)arg)->lowest)
		return DWARF_CB_ABORT;
	s->pc[s->n].pc = pc;
	s->pc[s->n].exact = activation || s->n == 0;
	return ++s->n < FRAMES_MAX ? DWARF_CB_OK : DWARF_CB_ABORT;
}

static void
print_frame(struct symbols *s, FILE *out, unsigned i, unsigned same)
{
	uint64_t shown = s->pc[i].pc, pc = s->pc[i].exact ? shown : shown - 1;

	print_inlined(s, out, pc);
	fprintf(out, "    #%-3u  ", i);
	print_at(s, out, pc, shown, symbols_line);
	if (same > 1)
		fprintf(out, "  (%u times)", same);
	fputc('\n', out);
}

/* Equal neighbours become one line; of many lines the middle is left out. */
static void
print_frames(struct symbols *s, FILE *out)
{
	unsigned lines = 0, line = 0, same;

	for (unsigned i = 0; i < s->n; i++)
		lines += i == 0 || s->pc[i].pc != s->pc[i - 1].pc;
	for (unsigned i = 0; i < s->n; i += same, line++) {
		for (same = 1; i + same < s->n && s->pc[i + same].pc == s->pc[i].pc; same++)
			;
		if (line == SHOW_FIRST && lines > SHOW_FIRST + SHOW_LAST)
			fprintf(out, "    ...   %u more\n", lines - SHOW_FIRST - SHOW_LAST);
		if (line < SHOW_FIRST || line + SHOW_LAST >= lines)
			print_frame(s, out, i, same);
	}
	if (s->n == FRAMES_MAX)
		fprintf(out, "    ...   cut after %d frames\n", FRAMES_MAX);
}

void
symbols_backtrace(
    struct symbols *s, FILE *out, const struct bed_frame *frame, symbols_read *read, void *arg)
{
	if (s == NULL) {
		fprintf(out, "    none: the image's debug information cannot be read\n");
		return;
	}
	s->frame = frame;
	s->read = read;
	s->arg = arg;
	s->n = 0;
	/* A second time on the same image fails, harmlessly: it is attached already. */
	dwfl_attach_state(s->dwfl, NULL, 1, &thread_callbacks, s);
	dwfl_getthread_frames(s->dwfl, 1, take_frame, s);
	if (s->n == 0) {
		s->pc[0].pc = frame->rip;
		s->pc[0].exact = true;
		s->n = 1;
	}
	print_frames(s, out);
}
