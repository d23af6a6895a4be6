/* SPDX-License-Identifier: ISC */
/*
 * The files of a failure bundle: see bundle.h.
 */
#include "vmm/bundle/bundle.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "vmm/bed/inspect.h"
#include "vmm/bundle/core.h"
#include "vmm/bundle/priv.h"
#include "vmm/kvm/engine.h"
#include "vmm/view/print.h"

struct maker {
	const struct bundle_source *src;
	struct bundle_dir dir;
	struct symbols *symbols;
	struct stack stack[STACKS_MAX];
	unsigned nstack;
	struct snapshot snap;
	size_t left_out; /* runs of mappings that the core file has no segment for */
	struct bed_err *err;
};

/* A file, filled by fn; what was written must arrive. */
static bool
file(struct maker *m, const char *name, bool (*fn)(struct maker *, FILE *))
{
	int fd = bundle_dir_file(&m->dir, name, m->err);
	FILE *out = fd == -1 ? NULL : fdopen(fd, "w");
	bool ok;

	if (out == NULL) {
		if (fd != -1)
			close(fd);
		return fd == -1 ? false : bed_fail(m->err, BED_E_HOST, "out of memory");
	}
	ok = fn(m, out);
	if (ok && (fflush(out) != 0 || ferror(out) || fsync(fd) != 0))
		ok = bed_fail(m->err, BED_E_OUTPUT, "failure bundle in %s: %s: %s", m->dir.target,
		    name, strerror(errno));
	if (fclose(out) != 0 && ok)
		ok = bed_fail(m->err, BED_E_OUTPUT, "failure bundle in %s: %s: %s", m->dir.target,
		    name, strerror(errno));
	return ok;
}

static bool
put_events(struct maker *m, FILE *out)
{
	const struct recorder *r = m->src->recorder;

	fprintf(out, "the last %zu of %" PRIu64 " events: ticket, operation, CPU, what, where\n",
	    recorder_count(r), recorder_seen(r));
	for (size_t i = 0; i < recorder_count(r); i++)
		recorder_event_print(out, m->symbols, recorder_event(r, i));
	return true;
}

static bool
put_log(struct maker *m, FILE *out)
{
	char buf[65536];
	size_t n;

	if (fflush(m->src->log) != 0 || fseek(m->src->log, 0, SEEK_SET) != 0)
		return bed_fail(m->err, BED_E_OUTPUT, "TLB log: %s", strerror(errno));
	while ((n = fread(buf, 1, sizeof(buf), m->src->log)) > 0)
		fwrite(buf, 1, n, out);
	return fseek(m->src->log, 0, SEEK_END) == 0 ||
	       bed_fail(m->err, BED_E_OUTPUT, "TLB log: %s", strerror(errno));
}

static bool
put_console(struct maker *m, FILE *out)
{
	fputs(bed_console(m->src->bed), out);
	return true;
}

static bool
put_registers(struct maker *m, FILE *out)
{
	stacks_print_registers(out, m->stack, m->nstack);
	return true;
}

static bool
put_stacks(struct maker *m, FILE *out)
{
	stacks_print(out, m->src->bed, m->symbols, m->stack, m->nstack);
	return true;
}

static bool
put_map(struct maker *m, FILE *out)
{
	view_map_print(out, &m->snap, &(struct map_style){ .tables = true });
	return true;
}

static bool
put_image(struct maker *m, FILE *out)
{
	size_t bytes;
	const void *image = bed_image(m->src->bed, &bytes);

	fwrite(image, 1, bytes, out);
	return true;
}

static bool
put_core(struct maker *m, FILE *out)
{
	return core_write(
	    fileno(out), m->src->bed, &m->snap, m->stack, m->nstack, &m->left_out, m->err);
}

static bool
put_readme(struct maker *m, FILE *out)
{
	const struct engine *e = bed_engine(m->src->bed);
	const struct bed_config *cfg = bed_config(m->src->bed);

	fprintf(out,
	    "uvmbed %s, build id %s, %s guest, %" PRIu64 " MiB, engine %s on %s\n\n"
	    "report.txt    what was found; report.json is the same for programs\n"
	    "*.trace       the program; prefix.trace ends with the operation that failed\n"
	    "events.txt    the last events of the guest; events.tlblog for uvmbed tlbsan\n"
	    "stacks.txt    every vCPU and thread; registers.txt, console.txt\n"
	    "map.txt       what the page tables map\n"
	    "core          the machine; guest.elf is the program it ran\n\n",
	    UVMBED_VERSION, BED_BUILD_ID, cfg->flavour == BED_CHECKED ? "checked" : "release",
	    cfg->ram >> 20, e != NULL ? e->name : "unknown", e != NULL ? e->cpu : "unknown CPU");
	if (m->src->replay != NULL)
		fprintf(out, "It came from          %s\n", m->src->replay);
	if (m->src->again != NULL)
		fprintf(out, "Again, from here      %s\n", m->src->again);
	fprintf(out,
	    "Look with gdb         gdb guest.elf core\n"
	    "                      (gdb) info threads      1: vCPU 0; LWP 100 and more: guest threads\n"
	    "                      (gdb) bt\n"
	    "                      (gdb) print *kernel_map\n"
	    "                      (gdb) x/8gx 0x1000      small addresses are physical\n"
	    "Look with uvmbed      uvmbed walk --core core ADDRESS; uvmbed map --core core\n");
	if (m->left_out != 0)
		fprintf(out,
		    "\n%zu runs of mappings have no segment in the core file, which cannot count "
		    "more: gdb does not see them, uvmbed does.\n",
		    m->left_out);
	return true;
}

static bool
put_text(struct maker *m, const struct bundle_text *t)
{
	int fd = bundle_dir_file(&m->dir, t->name, m->err);
	size_t len = strlen(t->text), done = 0;
	ssize_t n = 0;

	if (fd == -1)
		return false;
	while (done < len && (n = write(fd, t->text + done, len - done)) > 0)
		done += (size_t)n;
	if (done < len || fsync(fd) != 0) {
		close(fd);
		return bed_fail(m->err, BED_E_OUTPUT, "failure bundle in %s: %s: %s", m->dir.target,
		    t->name, n == 0 ? "no space" : strerror(errno));
	}
	return close(fd) == 0 || bed_fail(m->err, BED_E_OUTPUT, "failure bundle in %s: %s: %s",
				     m->dir.target, t->name, strerror(errno));
}

static bool
fill(struct maker *m)
{
	const struct bundle_source *src = m->src;

	for (const struct bundle_text *t = src->text; t != NULL && t->name != NULL; t++)
		if (t->text != NULL && !put_text(m, t))
			return false;
	return (src->recorder == NULL || file(m, "events.txt", put_events)) &&
	       (src->log == NULL || file(m, "events.tlblog", put_log)) &&
	       file(m, "console.txt", put_console) && file(m, "registers.txt", put_registers) &&
	       file(m, "stacks.txt", put_stacks) && file(m, "map.txt", put_map) &&
	       file(m, "guest.elf", put_image) && file(m, "core", put_core) &&
	       file(m, "README", put_readme);
}

char *
bundle_write(const char *dir, const struct bundle_source *src, struct bed_err *err)
{
	struct maker m = { .src = src, .err = err };
	struct view view = bed_view(src->bed);
	char *path = NULL;

	if (!bundle_dir_begin(&m.dir, dir, err))
		return NULL;
	m.symbols = bed_symbols(src->bed);
	m.nstack = stacks_read(src->bed, m.stack);
	if (snapshot_take(&m.snap, &view, NULL, err) && fill(&m))
		path = bundle_dir_finish(&m.dir, src->name, err);
	else
		bundle_dir_drop(&m.dir);
	snapshot_free(&m.snap);
	symbols_close(m.symbols);
	return path;
}
