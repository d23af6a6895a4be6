/* SPDX-License-Identifier: ISC */
/*
 * Beds that start from a snapshot: they are what a booted bed is; and whatever happened to the file, a bed comes
 * up, the file is right afterwards, and what was wrong is said.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/bed/inside.h"
#include "vmm/bed/inspect.h"
#include "vmm/bed/snap.h"

/* A cache of this test's own, empty. */
static char dir[64];

static void
own_cache(void)
{
	strcpy(dir, "/tmp/uvmbed-test-XXXXXX");
	CHECK(mkdtemp(dir) != NULL, "%s: %s", dir, strerror(errno));
	setenv("UVMBED_CACHE", dir, 1);
}

static unsigned
files_in_cache(bool remove)
{
	DIR *d = opendir(dir);
	unsigned n = 0;

	CHECK(d != NULL, "%s: %s", dir, strerror(errno));
	for (struct dirent *e; (e = readdir(d)) != NULL;) {
		if (e->d_name[0] == '.')
			continue;
		n++;
		if (remove && unlinkat(dirfd(d), e->d_name, 0) != 0)
			unlinkat(dirfd(d), e->d_name, AT_REMOVEDIR);
	}
	closedir(d);
	return n;
}

static void
cache_end(void)
{
	files_in_cache(true);
	rmdir(dir);
}

/* Start in a process of its own, which has no snapshot open yet: its note. Ends the test if that fails. */
static const char *
start_elsewhere(const struct bed_config *cfg)
{
	static char note[256];
	int fd[2], status;
	ssize_t n;
	pid_t pid;

	CHECK(pipe(fd) == 0, "pipe");
	pid = fork();
	if (pid == 0) {
		struct bed_err err;
		struct bed_result res;
		struct bed *bed = bed_start(cfg, &err);
		const char *text = bed == NULL ? err.text : bed_start_note(bed);
		bool ok = bed != NULL && bed_call_try(bed, BED_CALL_null, NULL, 0, &res, &err);

		n = write(fd[1], text, strnlen(text, 255));
		bed_destroy(bed);
		_exit(ok && n >= 0 ? 0 : 1);
	}
	close(fd[1]);
	n = read(fd[0], note, sizeof(note) - 1);
	note[n < 0 ? 0 : n] = '\0';
	close(fd[0]);
	CHECK(waitpid(pid, &status, 0) == pid && status == 0, "status %#x: %s", status, note);
	return note;
}

static const char *
cached_file(const struct bed_config *cfg)
{
	static char path[4096];

	CHECK(bed_cache_file(cfg, path, sizeof(path)), "no cache");
	return path;
}

/* make bench-start times these two: a whole test that does nothing, and one that only starts a bed. */
BED_TEST(snapshot, nothing)
{
}

BED_TEST(snapshot, start_only)
{
	bed_down(BED());
}

BED_TEST(snapshot, a_started_bed_is_a_booted_bed)
{
	static const struct bed_opts row[] = { { 0 }, { .ram = 8 * MIB, .ptpool = 512 * KIB },
		{ .kva = 64 * MIB, .release = true },
		{ .flags = BED_BOOT_GUARDPAGES, .flush_threshold = 3 } };

	for (size_t i = 0; i < COUNT_OF(row); i++) {
		struct bed_config cfg = bed_opts_config(&row[i]);
		struct bed_opts boot = row[i];
		struct bed *started, *booted;
		struct bed_err err;
		uint8_t *a, *b;
		gva_t va;

		boot.boot = true;
		started = bed_start(&cfg, &err);
		CHECK(started != NULL, "row %zu: %s", i, err.text);
		booted = bed_up(&boot, __FILE__, __LINE__);
		a = bed_ptr(started, GPA(0), cfg.ram);
		b = bed_ptr(booted, GPA(0), cfg.ram);
		for (uint64_t at = 0; at < cfg.ram; at += PAGE)
			CHECK(
			    memcmp(a + at, b + at, PAGE) == 0, "row %zu: page %#lx differs", i, at);
		CHECK(memcmp(bed_bootinfo(started), bed_bootinfo(booted),
			  sizeof(struct bed_bootinfo)) == 0,
		    "row %zu: boot information", i);
		CHECK(hv_cpu_same(booted->cpus[0].hv, snap_state(started->snap, 0), &err),
		    "row %zu: %s", i, err.text);
		CHECK(hv_cpu_same(started->cpus[0].hv, snap_state(started->snap, 0), &err),
		    "row %zu: %s", i, err.text);
		CHECK(
		    strcmp(bed_console(started), bed_console(booted)) == 0, "row %zu: console", i);
		CHECK(bed_boot(started).exits == 0 && bed_boot(booted).exits > 0, "row %zu", i);
		va = bed_uvm_km_alloc(started, KERNEL, 3 * PAGE);
		CHECK(va.v == bed_uvm_km_alloc(booted, KERNEL, 3 * PAGE).v,
		    "row %zu: they place differently", i);
		bed_uvm_km_free(started, KERNEL, va, 3 * PAGE);
		INSIDE_CHECK(started);
		bed_down(started);
		bed_down(booted);
	}
}

/* Made once, kept, found again, shared, and not to be written by accident. */
BED_TEST(snapshot, is_kept_in_a_file)
{
	struct bed_config cfg = bed_opts_config(&(struct bed_opts){ 0 });
	struct stat st, again;

	own_cache();
	CHECK(start_elsewhere(&cfg)[0] == '\0', "%s", start_elsewhere(&cfg));
	CHECK(files_in_cache(false) == 1 && stat(cached_file(&cfg), &st) == 0, "no file %s",
	    cached_file(&cfg));
	CHECK((st.st_mode & 0777) == 0444, "mode %o", st.st_mode);
	CHECK(start_elsewhere(&cfg)[0] == '\0', "%s", start_elsewhere(&cfg));
	CHECK(stat(cached_file(&cfg), &again) == 0 && again.st_ino == st.st_ino, "made again");
	cfg.ram = 8 * MIB;
	CHECK(start_elsewhere(&cfg)[0] == '\0' && files_in_cache(false) == 2, "another shape");
	cache_end();
}

static void
damage(const char *path, off_t at)
{
	uint8_t byte;
	int fd;

	CHECK(chmod(path, 0644) == 0 && (fd = open(path, O_RDWR)) != -1 &&
		  pread(fd, &byte, 1, at) == 1,
	    "%s: %s", path, strerror(errno));
	byte ^= 0x10;
	CHECK(pwrite(fd, &byte, 1, at) == 1, "%s", path);
	close(fd);
}

static void
spoil(const char *path, unsigned how)
{
	struct stat st;
	FILE *f;

	CHECK(stat(path, &st) == 0, "%s: %s", path, strerror(errno));
	switch (how) {
	case 0:
		damage(path, st.st_size - 1);
		break;
	case 1:
		damage(path, 100);
		break;
	case 2:
		CHECK(truncate(path, st.st_size / 2) == 0, "truncate");
		break;
	case 3:
		CHECK(truncate(path, 0) == 0, "truncate");
		break;
	case 4:
		CHECK((f = fopen(path, "we")) != NULL && fputs("rubbish\n", f) > 0, "%s", path);
		fclose(f);
		break;
	case 5:
		CHECK(unlink(path) == 0 && symlink("/nowhere", path) == 0, "symlink");
		break;
	case 6:
		CHECK(unlink(path) == 0 && mkfifo(path, 0600) == 0, "mkfifo");
		break;
	default:
		FAIL("no such way");
	}
}

BED_TEST(snapshot, a_bad_file_is_replaced)
{
	static const char *const words[] = { "damaged", "damaged", "cut off", "too few", "too few",
		"symbolic link", "no file of yours" };
	struct bed_config cfg = bed_opts_config(&(struct bed_opts){ .ram = 8 * MIB });

	own_cache();
	start_elsewhere(&cfg);
	for (unsigned i = 0; i < COUNT_OF(words); i++) {
		const char *note;

		spoil(cached_file(&cfg), i);
		note = start_elsewhere(&cfg);
		CHECK(strstr(note, "made anew") != NULL && strstr(note, words[i]) != NULL,
		    "way %u: \"%s\" has no \"%s\"", i, note, words[i]);
		note = start_elsewhere(&cfg);
		CHECK(note[0] == '\0', "way %u, afterwards: %s", i, note);
	}
	cache_end();
}

/* A file that is whole, fits, and has a vCPU state that KVM does not take. */
BED_TEST(snapshot, a_state_that_kvm_refuses_is_replaced)
{
	struct bed_config cfg = bed_opts_config(&(struct bed_opts){ .ram = 8 * MIB });
	struct snap_head head;
	const char *note;
	uint8_t *data;
	int fd;

	own_cache();
	start_elsewhere(&cfg);
	CHECK(chmod(cached_file(&cfg), 0644) == 0 && (fd = open(cached_file(&cfg), O_RDWR)) != -1 &&
		  pread(fd, &head, sizeof(head), 0) == (ssize_t)sizeof(head),
	    "%s", cached_file(&cfg));
	data = malloc(head.file_bytes);
	CHECK(data != NULL && pread(fd, data, head.file_bytes, 0) == (ssize_t)head.file_bytes,
	    "read");
	/* All ones behind its counts, and checksums that say so is right. */
	memset(data + sizeof(head) + 64, 0xff, head.state_bytes - 64);
	snap_sign((struct snap_head *)data, data);
	CHECK(pwrite(fd, data, head.file_bytes, 0) == (ssize_t)head.file_bytes, "write");
	close(fd);
	note = start_elsewhere(&cfg);
	CHECK(strstr(note, "made anew: a snapshot's vCPU state") != NULL, "\"%s\"", note);
	CHECK(start_elsewhere(&cfg)[0] == '\0', "not replaced: %s", start_elsewhere(&cfg));
	free(data);
	cache_end();
}

/* The same file name, another program in it. */
BED_TEST(snapshot, a_rebuilt_guest_is_noticed)
{
	struct bed_config cfg = bed_opts_config(&(struct bed_opts){ 0 });
	char command[4096], image[128];
	const char *note;
	struct bed_err err;
	struct image im;
	char *original;
	uint64_t at;

	own_cache();
	snprintf(image, sizeof(image), "%s/guest.elf", dir);
	original = image_find(cfg.flavour, &err);
	snprintf(command, sizeof(command), "cp '%s' '%s'", original, image);
	CHECK(system(command) == 0, "%s", command);
	free(original);
	cfg.image = image;
	CHECK(start_elsewhere(&cfg)[0] == '\0', "%s", start_elsewhere(&cfg));
	CHECK(image_open(&im, image, &err), "%s", err.text);
	at = im.seg[0].offset + im.seg[0].filesz - 1; /* the last byte of code: padding or an end */
	image_close(&im);
	damage(image, (off_t)at);
	note = start_elsewhere(&cfg);
	CHECK(strstr(note, "another guest image") != NULL, "\"%s\"", note);
	CHECK(start_elsewhere(&cfg)[0] == '\0', "%s", start_elsewhere(&cfg));
	cache_end();
}

BED_TEST(snapshot, no_place_to_keep_it)
{
	struct bed_config cfg = bed_opts_config(&(struct bed_opts){ .ram = 8 * MIB });
	const char *note;

	own_cache();
	setenv("UVMBED_CACHE", "", 1);
	note = start_elsewhere(&cfg);
	CHECK(strstr(note, "not kept") != NULL, "\"%s\"", note);
	setenv("UVMBED_CACHE", "/dev/null/below", 1);
	note = start_elsewhere(&cfg);
	CHECK(strstr(note, "not kept") && strstr(note, "/dev/null"), "\"%s\"", note);
	setenv("UVMBED_CACHE", dir, 1);
	CHECK(mkdir(cached_file(&cfg), 0700) == 0, "mkdir");
	note = start_elsewhere(&cfg);
	CHECK(strstr(note, "not kept") != NULL, "\"%s\"", note);
	CHECK(files_in_cache(false) == 1, "leftovers");
	cache_end();
}

/* On a file system without room, if this process may make one; the bed comes up, and nothing is left there. */
BED_TEST(snapshot, a_full_disk_is_survived)
{
	struct bed_config cfg = bed_opts_config(&(struct bed_opts){ .ram = 8 * MIB });
	const char *note, *want = "not kept";

	own_cache();
	if (unshare(CLONE_NEWNS) != 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
	    mount("none", dir, "tmpfs", 0, "size=32k") != 0) {
		/* Without the privilege: a directory that takes no file at all. */
		setenv("UVMBED_CACHE", "/dev/fd", 1);
	} else {
		want = strerror(ENOSPC);
	}
	note = start_elsewhere(&cfg);
	CHECK(strstr(note, want) != NULL, "\"%s\" has no \"%s\"", note, want);
	CHECK(files_in_cache(false) == 0, "leftovers");
	umount(dir);
	cache_end();
}

BED_TEST(snapshot, many_at_once)
{
	struct bed_config cfg = bed_opts_config(&(struct bed_opts){ .ram = 8 * MIB });
	pid_t pid[6];

	own_cache();
	for (size_t i = 0; i < COUNT_OF(pid); i++) {
		pid[i] = fork();
		if (pid[i] == 0) {
			start_elsewhere(&cfg);
			_exit(0);
		}
	}
	for (size_t i = 0; i < COUNT_OF(pid); i++) {
		int status;

		CHECK(waitpid(pid[i], &status, 0) == pid[i] && status == 0, "status %#x", status);
	}
	CHECK(files_in_cache(false) == 1, "%u files", files_in_cache(false));
	CHECK(start_elsewhere(&cfg)[0] == '\0', "%s", start_elsewhere(&cfg));
	cache_end();
}

static void
make_file(const char *name, time_t age)
{
	struct timespec when[2] = { { time(NULL) - age, 0 }, { time(NULL) - age, 0 } };
	char path[256];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	fd = open(path, O_CREAT | O_WRONLY, 0644);
	CHECK(fd != -1 && futimens(fd, when) == 0, "%s", path);
	close(fd);
}

static bool
there(const char *name)
{
	char path[256];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	return access(path, F_OK) == 0;
}

/* Old snapshots and what killed processes left do not pile up; what is not ours stays. */
BED_TEST(snapshot, the_cache_is_kept_small)
{
	struct bed_config cfg = bed_opts_config(&(struct bed_opts){ .ram = 8 * MIB });
	char name[64];

	own_cache();
	for (int i = 0; i < 64; i++) {
		snprintf(name, sizeof(name), "old%d.snap", i);
		make_file(name, 1000 + i);
	}
	make_file("a.snap-newAbCdEf", 2 * 3600);
	make_file("b.snap-newAbCdEf", 60);
	make_file("notes.txt", 100000);
	start_elsewhere(&cfg);
	CHECK(!there("old63.snap") && there("old62.snap"), "not the oldest went");
	CHECK(!there("a.snap-newAbCdEf") && there("b.snap-newAbCdEf"), "leftovers");
	CHECK(there("notes.txt") && files_in_cache(false) == 64 + 2, "%u files",
	    files_in_cache(false));
	cache_end();
}
