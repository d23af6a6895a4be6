/* SPDX-License-Identifier: ISC */
/*
 * See priv.h. A temporary directory is locked (flock) while it is being filled, and made and locked under a lock
 * of the directory it is in. So one that is found unlocked, under that lock, belongs to a run that was killed.
 */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vmm/bundle/bundle.h"
#include "vmm/bundle/priv.h"

#define NUMBERS 10000

static void
remove_files(int dir)
{
	int fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *list = fd == -1 ? NULL : fdopendir(fd);

	if (list == NULL) {
		if (fd != -1)
			close(fd);
		return;
	}
	for (struct dirent *d; (d = readdir(list)) != NULL;)
		if (strcmp(d->d_name, ".") != 0 && strcmp(d->d_name, "..") != 0)
			unlinkat(dir, d->d_name, 0);
	closedir(list);
}

/* One directory with a temporary name: does nobody work on it any more? */
static void
remove_if_stale(int parent, const char *name)
{
	int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (fd == -1)
		return;
	if (flock(fd, LOCK_EX | LOCK_NB) == 0) {
		remove_files(fd);
		unlinkat(parent, name, AT_REMOVEDIR);
	}
	close(fd);
}

static void
remove_stale(const char *target)
{
	DIR *list = opendir(target);

	if (list == NULL)
		return;
	for (struct dirent *d; (d = readdir(list)) != NULL;)
		if (strncmp(d->d_name, BUNDLE_TEMPORARY, strlen(BUNDLE_TEMPORARY)) == 0)
			remove_if_stale(dirfd(list), d->d_name);
	closedir(list);
}

static bool
make_temporary(struct bundle_dir *d, struct bed_err *err)
{
	if (asprintf(&d->temporary, "%s/" BUNDLE_TEMPORARY "XXXXXX", d->target) == -1) {
		d->temporary = NULL;
		return bed_fail(err, BED_E_HOST, "failure bundle: out of memory");
	}
	if (mkdtemp(d->temporary) == NULL) {
		free(d->temporary);
		d->temporary = NULL;
		return bed_fail(err, BED_E_OUTPUT, "failure bundle: nothing can be made in %s: %s",
		    d->target, strerror(errno));
	}
	d->fd = open(d->temporary, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (d->fd == -1 || fchmod(d->fd, 0755) != 0 || flock(d->fd, LOCK_EX | LOCK_NB) != 0) {
		bed_fail(
		    err, BED_E_OUTPUT, "failure bundle: %s: %s", d->temporary, strerror(errno));
		bundle_dir_drop(d);
		return false;
	}
	return true;
}

bool
bundle_dir_begin(struct bundle_dir *d, const char *target, struct bed_err *err)
{
	int lock;
	bool ok;

	*d = (struct bundle_dir){ .fd = -1, .target = target };
	if (mkdir(target, 0777) != 0 && errno != EEXIST)
		return bed_fail(err, BED_E_OUTPUT, "failure bundle: %s cannot be made: %s", target,
		    strerror(errno));
	lock = open(target, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	/* Without locks nothing is known to be stale, and all else works. */
	if (lock != -1 && flock(lock, LOCK_EX) == 0)
		remove_stale(target);
	ok = make_temporary(d, err);
	if (lock != -1)
		close(lock);
	return ok;
}

int
bundle_dir_file(struct bundle_dir *d, const char *name, struct bed_err *err)
{
	int fd = openat(d->fd, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);

	if (fd == -1)
		bed_fail(err, BED_E_OUTPUT, "failure bundle in %s: %s: %s", d->target, name,
		    strerror(errno));
	return fd;
}

/* A file name from what failed: its last part, without its suffix, plain characters only. */
static void
plain_name(char buf[64], const char *name)
{
	const char *slash = strrchr(name, '/');
	size_t n = 0;
	char *dot;

	for (name = slash != NULL ? slash + 1 : name; *name != '\0' && n < 63; name++)
		buf[n++] =
		    isalnum((unsigned char)*name) || strchr("._-", *name) != NULL ? *name : '_';
	buf[n] = '\0';
	dot = strrchr(buf, '.');
	if (dot != NULL && strcmp(dot, ".trace") == 0)
		*dot = '\0';
	if (buf[0] == '.' || buf[0] == '-')
		buf[0] = '_';
	if (buf[0] == '\0')
		strcpy(buf, "failure");
}

char *
bundle_dir_finish(struct bundle_dir *d, const char *name, struct bed_err *err)
{
	char plain[64], *path = NULL;

	plain_name(plain, name);
	for (unsigned n = 1; n < NUMBERS; n++, free(path)) {
		if (asprintf(&path, "%s/%s-%u", d->target, plain, n) == -1) {
			bed_fail(err, BED_E_HOST, "failure bundle: out of memory");
			bundle_dir_drop(d);
			return NULL;
		}
		if (access(path, F_OK) == 0)
			continue;
		if (rename(d->temporary, path) == 0) {
			close(d->fd);
			free(d->temporary);
			return path;
		}
		/* Somebody else took the name meanwhile; a directory that has files is never replaced. */
		if (errno == ENOTEMPTY || errno == EEXIST || errno == ENOTDIR)
			continue;
		bed_fail(err, BED_E_OUTPUT, "failure bundle: %s: %s", path, strerror(errno));
		free(path);
		bundle_dir_drop(d);
		return NULL;
	}
	bed_fail(err, BED_E_OUTPUT, "failure bundle: %s has %s-1 to %s-%d already; tidy up",
	    d->target, plain, plain, NUMBERS - 1);
	bundle_dir_drop(d);
	return NULL;
}

void
bundle_dir_drop(struct bundle_dir *d)
{
	if (d->fd != -1) {
		remove_files(d->fd);
		close(d->fd);
	}
	if (d->temporary != NULL)
		rmdir(d->temporary);
	free(d->temporary);
	*d = (struct bundle_dir){ .fd = -1 };
}
