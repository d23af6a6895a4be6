/* SPDX-License-Identifier: ISC */
/*
 * Failure bundles: whole or not there, and what is in them tells the truth: the core file's walk is the guest's
 * walk, gdb finds symbols, registers, stacks and memory in it.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/bed/command.h"
#include "tests/bed/inside.h"
#include "vmm/bundle/bundle.h"
#include "vmm/bundle/core.h"
#include "vmm/finding/recorder.h"

static const char *const files[] = { "README", "report.txt", "report.json", "program.trace",
	"prefix.trace", "events.txt", "events.tlblog", "console.txt", "registers.txt", "stacks.txt",
	"map.txt", "guest.elf", "core" };

static char place[64];

static const char *
new_place(void)
{
	strcpy(place, "/tmp/uvmbed-bundle-XXXXXX");
	CHECK(mkdtemp(place) != NULL, "%s", strerror(errno));
	return place;
}

static void
tidy(void)
{
	char command[100];

	snprintf(command, sizeof(command), "rm -rf '%s'", place);
	CHECK(system(command) == 0, "%s", command);
}

/* How many entries of the directory begin with `prefix`. */
static unsigned
count(const char *dir, const char *prefix)
{
	DIR *list = opendir(dir);
	unsigned n = 0;

	CHECK(list != NULL, "%s: %s", dir, strerror(errno));
	for (struct dirent *d; (d = readdir(list)) != NULL;)
		n += strcmp(d->d_name, ".") != 0 && strcmp(d->d_name, "..") != 0 &&
		     strncmp(d->d_name, prefix, strlen(prefix)) == 0;
	closedir(list);
	return n;
}

static char *
contents(const char *dir, const char *name)
{
	static char text[1 << 20];
	char path[400];
	FILE *f;
	size_t n;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	f = fopen(path, "re");
	CHECK(f != NULL, "%s: %s", path, strerror(errno));
	n = fread(text, 1, sizeof(text) - 1, f);
	text[n] = '\0';
	fclose(f);
	return text;
}

#define BROKEN                                                                 \
	"uvmbed-trace 1\na = uvm_km_alloc kernel_map 3p\nstore a 0x5a5a1234\n" \
	"uvm_km_free kernel_map a+1p 1p\nexpect mapped a 3p rw-\nnull\n"

/* A bundle by the command; its path. */
static const char *
bundle_of(const char *trace, const char *option)
{
	static char path[300];
	const char *file = command_file(trace);
	const struct command *c = UVMBED("replay", "--bundle", place, option, file);
	const char *at = strstr(c->out, "  bundle         ");

	CHECK(c->code != 0 && at != NULL, "code %d: %s%s", c->code, c->out, c->err);
	snprintf(path, sizeof(path), "%s", at + strlen("  bundle         "));
	path[strcspn(path, "\n")] = '\0';
	return path;
}

BED_TEST(bundle, has_what_it_says)
{
	const char *dir;
	struct stat st;
	char path[400];

	new_place();
	dir = bundle_of(BROKEN, "--guard");
	for (size_t i = 0; i < COUNT_OF(files); i++) {
		snprintf(path, sizeof(path), "%s/%s", dir, files[i]);
		CHECK(stat(path, &st) == 0 &&
			  (st.st_size > 0 || strcmp(files[i], "console.txt") == 0),
		    "%s", path);
	}
	CHECK(count(dir, "") == COUNT_OF(files), "%u files", count(dir, ""));
	CHECK(strcmp(contents(dir, "program.trace"), BROKEN) == 0, "%s",
	    contents(dir, "program.trace"));
	CHECK(strstr(contents(dir, "prefix.trace"), "expect mapped") &&
		  !strstr(contents(dir, "prefix.trace"), "null"),
	    "%s", contents(dir, "prefix.trace"));
	CHECK(strstr(contents(dir, "stacks.txt"), "vCPU 0\n") &&
		  strstr(contents(dir, "stacks.txt"), "worker_loop+") &&
		  strstr(contents(dir, "stacks.txt"), "guest/uvm/uvm_pdaemon.c:"),
	    "%s", contents(dir, "stacks.txt"));
	CHECK(strstr(contents(dir, "events.txt"), "PTE_STORE"), "no stores");
	CHECK(strstr(contents(dir, "report.txt"), "they part at PT["), "%s",
	    contents(dir, "report.txt"));
	snprintf(path, sizeof(path), "%s/events.tlblog", dir);
	CHECK(UVMBED("tlbsan", path)->code == 0, "the log is not clean, or no log");
	/* The prefix fails again, in the same way; from the file it says so. */
	CHECK(strstr(contents(dir, "README"), "uvmbed replay --guard program.trace"), "%s",
	    contents(dir, "README"));
	snprintf(path, sizeof(path), "%s/prefix.trace", dir);
	CHECK(UVMBED("replay", "--guard", path)->code == 1, "the prefix passes");
	/* The next one gets the next number; nothing else is left behind. */
	bundle_of(BROKEN, "--guard");
	CHECK(count(place, "") == 2 && count(place, ".") == 0, "%u", count(place, ""));
	command_tidy();
	tidy();
}

/* A guest that died has one, too, with the stack that led there. */
BED_TEST(bundle, of_a_death)
{
	const char *dir;

	new_place();
	dir = bundle_of("uvmbed-trace 1\ndie_fault 0xffff800000100000\n", "--ram=8M");
	CHECK(strstr(contents(dir, "stacks.txt"), "call_die_fault+"), "%s",
	    contents(dir, "stacks.txt"));
	CHECK(strstr(contents(dir, "report.txt"), "died of a page fault"), "%s",
	    contents(dir, "report.txt"));
	command_tidy();
	tidy();
}

/* Only when asked for: by the option or the variable, and never for a run that passes. */
BED_TEST(bundle, only_when_asked)
{
	const char *file = command_file(BROKEN);
	const struct command *c;

	new_place();
	CHECK(strstr(UVMBED("replay", file)->out, "bundle") == NULL, "a bundle nobody asked for");
	CHECK(UVMBED("replay", "--bundle", place, "tests/corpus/wait.trace")->code == 0 &&
		  count(place, "") == 0,
	    "a bundle of a success");
	setenv("UVMBED_BUNDLE", place, 1);
	c = UVMBED("replay", file);
	unsetenv("UVMBED_BUNDLE");
	CHECK(strstr(c->out, place) && count(place, "") == 1, "%s", c->out);
	command_tidy();
	tidy();
}

/* Targets that cannot be: the finding is reported all the same, and why there is no bundle. */
BED_TEST(bundle, unwritable_targets)
{
	static const char *const target[] = { "/proc/uvmbed", "/dev/null", "/nonexistent/a/b" };
	const char *file = command_file(BROKEN);

	for (size_t i = 0; i < COUNT_OF(target); i++) {
		const struct command *c = UVMBED("replay", "--bundle", target[i], file);

		CHECK(c->code == 1 && strstr(c->out, "they part at") &&
			  strstr(c->err, "failure bundle") && strstr(c->err, target[i]),
		    "%s: code %d: %s", target[i], c->code, c->err);
	}
	command_tidy();
}

struct kit {
	struct bed *bed;
	struct recorder *recorder;
	struct bundle_source src;
	gva_t va[3];
};

static void
kit_up(struct kit *k)
{
	static const struct bundle_text text[] = { { "report.txt", "made up\n" }, { NULL, NULL } };
	struct bed_err err;

	*k = (struct kit){ .bed = BED() };
	k->recorder = recorder_attach(k->bed, &err);
	CHECK(k->recorder != NULL, "%s", err.text);
	for (unsigned i = 0; i < COUNT_OF(k->va); i++) {
		k->va[i] = bed_uvm_km_alloc(k->bed, KERNEL, (i + 1) * PAGE);
		GUEST_STORE(k->bed, k->va[i], 0x1000 + i);
	}
	k->src = (struct bundle_source){
		.bed = k->bed, .recorder = k->recorder, .name = "kit.trace", .text = text
	};
}

/* A disk that is full after so many bytes: an error that says so, and nothing left, whichever file it hits. */
BED_TEST(bundle, full_disk)
{
	static const rlim_t limits[] = { 0, 100, 5000, 100000, 700000, 10 * MIB };
	struct rlimit old;
	struct kit k;

	new_place();
	kit_up(&k);
	signal(SIGXFSZ, SIG_IGN);
	getrlimit(RLIMIT_FSIZE, &old);
	for (size_t i = 0; i < COUNT_OF(limits); i++) {
		struct rlimit now = { limits[i], old.rlim_max };
		struct bed_err err;
		char *path;

		setrlimit(RLIMIT_FSIZE, &now);
		path = bundle_write(place, &k.src, &err);
		setrlimit(RLIMIT_FSIZE, &old);
		CHECK(path == NULL && err.class == BED_E_OUTPUT, "limit %lu: %s", limits[i],
		    path != NULL ? path : err.text);
		CHECK(strstr(err.text, "too large") != NULL, "limit %lu: %s", limits[i], err.text);
		CHECK(count(place, "") == 0, "limit %lu: %u left", limits[i], count(place, ""));
	}
	tidy();
}

/* The core file says of every address what the live guest says, and holds what its memory holds. */
BED_TEST(bundle, the_core_is_the_machine)
{
	struct kit k;
	struct bed_err err;
	struct snapshot live, dead = { 0 };
	struct snap_diff diff = { 0 };
	struct core core;
	char path[400], *dir;

	new_place();
	kit_up(&k);
	dir = bundle_write(place, &k.src, &err);
	CHECK(dir != NULL, "%s", err.text);
	snprintf(path, sizeof(path), "%s/core", dir);
	CHECK(core_open(&core, path, &err), "%s", err.text);
	live = bed_snapshot(k.bed);
	CHECK(snapshot_take(&dead, &core.view, NULL, &err) &&
		  snapshot_diff(&live, &dead, &diff, &err),
	    "%s", err.text);
	CHECK(diff.n == 0 && live.nrun > 3, "%zu differences", diff.n);
	for (unsigned i = 0; i < COUNT_OF(k.va); i++) {
		struct walk w = view_walk(&core.view, k.va[i]);
		const uint64_t *word = walk_mapped(&w) ? view_ptr(&core.view, w.pa, 8) : NULL;

		CHECK(word != NULL && *word == 0x1000 + i, "%#lx", k.va[i].v);
	}
	for (uint64_t pa = 0; pa < bed_bootinfo(k.bed)->ram_bytes; pa += PAGE)
		CHECK(memcmp(bed_ptr(k.bed, GPA(pa), PAGE), view_ptr(&core.view, GPA(pa), PAGE),
			  PAGE) == 0,
		    "page %#lx", pa);
	/* The command's view of it. */
	{
		char va[24];
		const struct command *c;

		snprintf(va, sizeof(va), "%lx", k.va[1].v);
		c = UVMBED("walk", "--core", path, va);
		CHECK(c->code == 0 && strstr(c->out, "effective  rw--"), "code %d: %s%s", c->code,
		    c->out, c->err);
		c = UVMBED("map", "--core", path);
		CHECK(c->code == 0 && strstr(c->out, "kernel_map"), "code %d: %s", c->code, c->err);
	}
	core_close(&core);
	snap_diff_free(&diff);
	snapshot_free(&live);
	snapshot_free(&dead);
	free(dir);
	tidy();
}

/* A core that was cut short, or is something else. */
BED_TEST(bundle, damaged_cores_are_refused)
{
	struct kit k;
	struct bed_err err;
	char path[400], *dir;

	new_place();
	kit_up(&k);
	dir = bundle_write(place, &k.src, &err);
	CHECK(dir != NULL, "%s", err.text);
	snprintf(path, sizeof(path), "%s/core", dir);
	CHECK(truncate(path, 5 * MIB) == 0, "%s", strerror(errno));
	CHECK(UVMBED("map", "--core", path)->code == 4, "cut short");
	CHECK(truncate(path, 70) == 0, "%s", strerror(errno));
	CHECK(UVMBED("walk", "--core", path, "0")->code == 4, "cut to 70 bytes");
	snprintf(path, sizeof(path), "%s/guest.elf", dir);
	CHECK(UVMBED("map", "--core", path)->code == 4, "no core");
	CHECK(UVMBED("map", "--core", "/proc/self/maps")->code == 4, "no ELF");
	CHECK(UVMBED("map", "--core", place)->code == 4, "a directory");
	CHECK(UVMBED("map", "--core", path, "--trace", "x")->code == 2, "both");
	free(dir);
	tidy();
}

/* Killed at any moment: what has its name is whole, and what has not is removed by the next run. */
BED_TEST(bundle, killed_at_any_moment)
{
	struct rng r = rng_seeded("bundle");
	unsigned whole = 0;
	struct bed_err err;
	struct kit k;

	new_place();
	for (unsigned i = 0; i < scaled_rounds(12) || (whole == 0 && i < 60); i++) {
		uint64_t ns = rng_below(&r, (scaled_ms(60) + 200) * UINT64_C(1000000));
		struct timespec pause = { (time_t)(ns / 1000000000), (long)(ns % 1000000000) };
		pid_t pid = fork();
		int status;

		if (pid == 0) {
			kit_up(&k);
			for (;;)
				if (bundle_write(place, &k.src, &err) == NULL)
					_exit(1);
		}
		nanosleep(&pause, NULL);
		kill(pid, SIGKILL);
		CHECK(waitpid(pid, &status, 0) == pid && WIFSIGNALED(status), "it ended by itself");
		whole = count(place, "kit-");
	}
	CHECK(whole > 0, "none was finished");
	for (unsigned i = 1; i <= whole; i++) {
		char dir[200];
		struct core core;

		snprintf(dir, sizeof(dir), "%s/kit-%u", place, i);
		CHECK(strlen(contents(dir, "README")) > 100, "%s", dir);
		strcat(dir, "/core");
		CHECK(core_open(&core, dir, &err), "%s", err.text);
		core_close(&core);
	}
	/* The next run removes what they left, and nothing that somebody works on. */
	kit_up(&k);
	{
		char busy[200], *dir;
		int fd;

		snprintf(busy, sizeof(busy), "%s/%sbusy01", place, BUNDLE_TEMPORARY);
		CHECK(mkdir(busy, 0755) == 0, "%s", strerror(errno));
		fd = open(busy, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		CHECK(fd != -1 && flock(fd, LOCK_EX) == 0, "%s", strerror(errno));
		dir = bundle_write(place, &k.src, &err);
		CHECK(dir != NULL, "%s", err.text);
		CHECK(count(place, BUNDLE_TEMPORARY) == 1 && access(busy, F_OK) == 0,
		    "%u temporary ones", count(place, BUNDLE_TEMPORARY));
		close(fd);
		free(dir);
		dir = bundle_write(place, &k.src, &err);
		CHECK(dir != NULL && count(place, BUNDLE_TEMPORARY) == 0, "it stays for ever");
		free(dir);
	}
	tidy();
}

/* Garbage in tables, threads and names: the bundle is whole all the same. */
BED_TEST(bundle, of_garbage)
{
	struct rng r = rng_seeded("bundle of garbage");
	struct bed_err err;
	struct kit k;

	new_place();
	kit_up(&k);
	for (unsigned i = 0; i < 12; i++) {
		const struct bed_bootinfo *boot = bed_bootinfo(k.bed);
		uint64_t data = inside_symbol(k.bed, "data_start").v - BED_IMAGE_BASE;
		struct core core;
		char *dir, path[300];

		for (unsigned n = 0; n < 300; n++) {
			bool tables = rng_below(&r, 2) == 0;
			uint64_t start = tables ? boot->ptpool_start : data;
			uint64_t len = tables ? 16 * PAGE : boot->image_end - data;
			uint64_t *word = bed_ptr(k.bed, GPA(start + rng_below(&r, len / 8) * 8), 8);

			*word = rng_below(&r, 3) == 0 ? rng_next(&r) : *word ^ rng_below(&r, 4096);
		}
		dir = bundle_write(place, &k.src, &err);
		CHECK(dir != NULL, "%s", err.text);
		snprintf(path, sizeof(path), "%s/core", dir);
		CHECK(core_open(&core, path, &err), "%s", err.text);
		core_close(&core);
		free(dir);
	}
	recorder_detach(k.recorder);
	bed_destroy(k.bed);
	tidy();
}

/* Several vCPUs: registers of each, those that sleep too; and the machine goes on as if nothing had been. */
BED_TEST(bundle, of_several_cpus)
{
	static const struct bundle_text text[] = { { NULL, NULL } };
	struct bed *bed = BED(.ncpu = 3);
	struct bundle_source src = { .bed = bed, .name = "three", .text = text };
	struct bed_err err;

	new_place();
	for (unsigned i = 0; i < 3; i++) {
		gva_t va = bed_uvm_km_alloc(bed, KERNEL, 2 * PAGE);
		char *dir = bundle_write(place, &src, &err);
		const char *stacks;

		CHECK(dir != NULL, "%s", err.text);
		stacks = contents(dir, "stacks.txt");
		CHECK(strstr(stacks, "vCPU 0") && strstr(stacks, "vCPU 1, asleep in HLT") &&
			  strstr(stacks, "vCPU 2, asleep in HLT") && strstr(stacks, "\n    #1 "),
		    "%s", stacks);
		CHECK(!strstr(stacks, "not in the image"), "%s", stacks);
		bed_uvm_km_free(bed, KERNEL, va, 2 * PAGE);
		free(dir);
	}
	bed_down(bed);
	tidy();
}

static bool
have_gdb(void)
{
	return system("gdb --version >/dev/null 2>&1") == 0;
}

/* gdb, with nothing but the two files: symbols, registers, stacks, memory at every kind of address. */
BED_TEST(bundle, gdb_opens_the_core)
{
	struct kit k;
	struct bed_err err;
	char command[1200], out[16384], *dir;
	FILE *gdb;
	size_t n;

	if (!have_gdb())
		bedtest_skip("gdb is not installed");
	new_place();
	kit_up(&k);
	dir = bundle_write(place, &k.src, &err);
	CHECK(dir != NULL, "%s", err.text);
	snprintf(command, sizeof(command),
	    "cd '%s' && gdb -batch -nx -ex 'info threads' -ex bt -ex 'thread apply all bt' "
	    "-ex 'print kernel_map->name' -ex 'print kernel_map->nentries > 2' "
	    "-ex 'x/gx 0x%lx' -ex 'x/gx 0x%lx' -ex 'x/gx 0x%lx' -ex 'x/i $rip' guest.elf core 2>&1",
	    dir, k.va[2].v, BED_DIRECT_BASE + BED_BOOTINFO_PA, (uint64_t)BED_BOOTINFO_PA);
	gdb = popen(command, "re");
	CHECK(gdb != NULL, "%s", strerror(errno));
	n = fread(out, 1, sizeof(out) - 1, gdb);
	out[n] = '\0';
	CHECK(pclose(gdb) == 0, "%s", out);
	{
		const char *const says[] = { "worker_loop (", "in kernel_main (", "uvm_pageout (",
			"LWP 101", "\"kernel_map\"", "$2 = 1", "0x0000000000001002",
			"<worker_loop+" };
		char magic[40];

		for (size_t i = 0; i < COUNT_OF(says); i++)
			CHECK(strstr(out, says[i]), "no \"%s\" in\n%s", says[i], out);
		/* The same bytes by the direct map and by physical address. */
		snprintf(magic, sizeof(magic), "0x1000:\t0x%016lx", (uint64_t)BED_MAGIC);
		CHECK(strstr(out, magic) && strstr(out, magic + 7), "no \"%s\" in\n%s", magic, out);
		CHECK(!strstr(out, "Cannot access") && !strstr(out, "warning"), "%s", out);
	}
	free(dir);
	tidy();
}
