/* SPDX-License-Identifier: ISC */
/*
 * Where snapshots come from: this process has it open; a file has it; or a bed is booted and saved. A file is
 * written under another name and renamed, so that a reader finds a whole one or none; one that is stale, damaged
 * or not ours is replaced.
 */
#include "vmm/bed/snap.h"

#include "vmm/bed/snapshot.h"
#include "vmm/digest.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define SUFFIX     ".snap"
#define TMP_SUFFIX ".snap-new"
#define FILES_MAX  64   /* more are thinned out, the oldest first */
#define TMP_AGE    3600 /* seconds: what a killed process left behind */
#define OPEN_MAX   4    /* snapshots a process keeps open */
#define PATH_SIZE  4096

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct snap *opened[OPEN_MAX]; /* each holds a reference */
static unsigned next_opened;

bool
bed_cache_dir(char *path, unsigned size)
{
	const char *dir = getenv("UVMBED_CACHE"), *below = "";
	int n;

	if (dir == NULL) {
		dir = getenv("XDG_CACHE_HOME");
		below = "/uvmbed";
		if (dir == NULL || dir[0] != '/') {
			dir = getenv("HOME");
			below = "/.cache/uvmbed";
		}
	}
	if (dir == NULL || dir[0] == '\0')
		return false;
	n = snprintf(path, size, "%s%s", dir, below);
	return n > 0 && (unsigned)n < size;
}

bool
bed_cache_file(const struct bed_config *cfg, char *path, unsigned size)
{
	const uint64_t shape[] = { cfg->ram, cfg->ncpu, cfg->kva_size, cfg->ptpool,
		cfg->flags & ~BED_OVERCOMMIT, cfg->dma_high, cfg->seed, cfg->flush_threshold };
	char dir[PATH_SIZE], *image, *real;
	uint64_t id = bed_digest((uint64_t)cfg->flavour, shape, sizeof(shape));
	int n;

	image = cfg->image != NULL ? strdup(cfg->image) : image_find(cfg->flavour, NULL);
	if (image == NULL || !bed_cache_dir(dir, sizeof(dir))) {
		free(image);
		return false;
	}
	real = realpath(image, NULL);
	id = bed_digest(id, real != NULL ? real : image, strlen(real != NULL ? real : image));
	free(real);
	free(image);
	n = snprintf(path, size, "%s/%s-%luM-%016lx%s", dir,
	    cfg->flavour == BED_RELEASE ? "release" : "checked", cfg->ram >> 20, id, SUFFIX);
	return n > 0 && (unsigned)n < size;
}

static bool
make_dirs(char *path)
{
	for (char *p = path + 1; *p != '\0'; p++)
		if (*p == '/') {
			*p = '\0';
			mkdir(path, 0777);
			*p = '/';
		}
	return mkdir(path, 0777) == 0 || errno == EEXIST;
}

static bool
ends_with(const char *name, const char *suffix)
{
	size_t n = strlen(name), k = strlen(suffix);

	return n >= k && strcmp(name + n - k, suffix) == 0;
}

/* At most FILES_MAX snapshots, and no leftovers. */
static void
thin_out(const char *dir)
{
	char oldest[NAME_MAX + 1] = "";
	time_t when = 0;
	unsigned n = 0;
	struct dirent *e;
	struct stat st;
	DIR *d = opendir(dir);

	if (d == NULL)
		return;
	while ((e = readdir(d)) != NULL) {
		bool tmp = strstr(e->d_name, TMP_SUFFIX) != NULL;

		if ((!tmp && !ends_with(e->d_name, SUFFIX)) ||
		    fstatat(dirfd(d), e->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0 ||
		    !S_ISREG(st.st_mode))
			continue;
		if (tmp && time(NULL) - st.st_mtime > TMP_AGE)
			unlinkat(dirfd(d), e->d_name, 0);
		if (tmp)
			continue;
		if (n++ == 0 || st.st_mtime < when) {
			strcpy(oldest, e->d_name);
			when = st.st_mtime;
		}
	}
	if (n > FILES_MAX)
		unlinkat(dirfd(d), oldest, 0);
	closedir(d);
}

/* Ours, and nothing that opening could get stuck on. */
static struct snap *
open_file(const char *path, const struct snap_key *key, struct bed_err *err)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	struct stat st;

	if (fd == -1) {
		bed_fail(err, BED_E_INPUT, "snapshot %s: %s", path,
		    errno == ELOOP ? "it is a symbolic link" : strerror(errno));
		return NULL;
	}
	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) &&
	    (st.st_uid == geteuid() || st.st_uid == 0))
		return snap_open(fd, path, key, err);
	close(fd);
	bed_fail(err, BED_E_INPUT, "snapshot %s: it is no file of yours", path);
	return NULL;
}

/* In memory, for this process alone. */
static struct snap *
save_private(struct bed *booted, const struct snap_key *key, struct bed_err *err)
{
	int fd = memfd_create("uvmbed-snapshot", MFD_CLOEXEC);

	if (fd == -1) {
		bed_fail(err, BED_E_HOST, "a snapshot in memory: %s", strerror(errno));
		return NULL;
	}
	if (snap_write(booted, key, fd, err))
		return snap_open(fd, "in memory", key, err);
	bed_fail_in(err, "a snapshot in memory");
	close(fd);
	return NULL;
}

/* False: the cache cannot take it, *why says why. */
static bool
save_file(struct bed *booted, const struct snap_key *key, const char *path, struct bed_err *why)
{
	char dir[PATH_SIZE], tmp[PATH_SIZE + 32];
	bool ok;
	int fd;

	if (!bed_cache_dir(dir, sizeof(dir)) || !make_dirs(dir))
		return bed_fail(why, BED_E_OUTPUT, "%s: %s", dir, strerror(errno));
	snprintf(tmp, sizeof(tmp), "%.*s" TMP_SUFFIX "XXXXXX", (int)(strlen(path) - strlen(SUFFIX)),
	    path);
	fd = mkostemp(tmp, O_CLOEXEC);
	if (fd == -1)
		return bed_fail(why, BED_E_OUTPUT, "%s: %s", tmp, strerror(errno));
	ok = snap_write(booted, key, fd, why) || bed_fail_in(why, "%s", tmp);
	if (ok && (fchmod(fd, 0444) != 0 || rename(tmp, path) != 0))
		ok = bed_fail(why, BED_E_OUTPUT, "%s: %s", path, strerror(errno));
	if (!ok)
		unlink(tmp);
	close(fd);
	thin_out(dir);
	return ok;
}

/* Boot, and save: to the file if there is to be one, else for this process. */
static struct snap *
make(const struct bed_config *cfg, const struct snap_key *key, const char *path, char note[256],
    struct bed_err *err)
{
	struct bed_config plain = *cfg;
	struct bed_err why = { 0 };
	struct snap *s = NULL;
	struct bed *booted;

	plain.on_events = NULL;
	booted = bed_create(&plain, err);
	if (booted == NULL)
		return NULL;
	if (path != NULL) {
		if (save_file(booted, key, path, &why))
			s = open_file(path, key, &why);
		if (s == NULL)
			snprintf(note, 256, "not kept: %.200s", why.text);
	}
	if (s == NULL)
		s = save_private(booted, key, err);
	bed_destroy(booted);
	return s;
}

static struct snap *
find_opened(const struct snap_key *key)
{
	for (unsigned i = 0; i < OPEN_MAX; i++)
		if (opened[i] != NULL && memcmp(&opened[i]->head->key, key, sizeof(*key)) == 0)
			return snap_hold(opened[i]);
	return NULL;
}

static void
remember(struct snap *s)
{
	snap_release(opened[next_opened]);
	opened[next_opened] = snap_hold(s);
	next_opened = (next_opened + 1) % OPEN_MAX;
}

static struct snap *
get(const struct bed_config *cfg, const struct snap_key *key, char note[256], struct bed_err *err)
{
	struct snap *s = find_opened(key);
	struct bed_err why = { 0 };
	char path[PATH_SIZE];
	struct stat st;
	bool kept;

	if (s != NULL)
		return s;
	kept = bed_cache_file(cfg, path, sizeof(path));
	if (!kept)
		snprintf(note, 256, "not kept: UVMBED_CACHE is empty, or HOME is not set");
	else if ((s = open_file(path, key, &why)) == NULL && lstat(path, &st) == 0)
		snprintf(note, 256, "made anew: %.200s", why.text);
	if (s == NULL)
		s = make(cfg, key, kept ? path : NULL, note, err);
	if (s != NULL)
		remember(s);
	return s;
}

struct snap *
snap_get(
    const struct bed_config *cfg, const struct snap_key *key, char note[256], struct bed_err *err)
{
	struct snap *s;

	note[0] = '\0';
	pthread_mutex_lock(&lock);
	s = get(cfg, key, note, err);
	pthread_mutex_unlock(&lock);
	return s;
}

void
snap_drop(struct snap *s, const struct bed_config *cfg)
{
	char path[PATH_SIZE];

	pthread_mutex_lock(&lock);
	for (unsigned i = 0; i < OPEN_MAX; i++)
		if (opened[i] == s) {
			snap_release(s);
			opened[i] = NULL;
		}
	if (bed_cache_file(cfg, path, sizeof(path)))
		unlink(path);
	pthread_mutex_unlock(&lock);
}
