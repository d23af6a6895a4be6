/* SPDX-License-Identifier: ISC */
/*
 * Snapshot files: writing one, and checking everything of one before it is used. See snap.h.
 */
#include "vmm/bed/snap.h"

#include "shared/paging.h"

#include "vmm/digest.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define PAGE BED_PAGE_SIZE

struct run_list {
	struct snap_run *run;
	size_t n, cap;
};

bool
snap_page_is_zero(const uint8_t *p)
{
	static const uint8_t zero[64];

	return memcmp(p, zero, sizeof(zero)) == 0 && memcmp(p, p + 64, PAGE - 64) == 0;
}

static bool
add_page(struct run_list *l, uint64_t offset)
{
	struct snap_run *last = l->n == 0 ? NULL : &l->run[l->n - 1];

	if (last != NULL && last->offset + last->npages * PAGE == offset) {
		last->npages++;
		return true;
	}
	if (l->n == l->cap) {
		size_t cap = l->cap == 0 ? 64 : 2 * l->cap;
		struct snap_run *more = realloc(l->run, cap * sizeof(*more));

		if (more == NULL)
			return false;
		l->run = more;
		l->cap = cap;
	}
	l->run[l->n++] = (struct snap_run){ offset, 1 };
	return true;
}

/* The pages that are not zero. What the memfd has no memory for is not even looked at. */
static bool
find_runs(const struct memory *m, struct run_list *l)
{
	off_t end = 0, start;

	while ((start = lseek(m->fd, end, SEEK_DATA)) != -1) {
		end = lseek(m->fd, start, SEEK_HOLE);
		if (end == -1)
			return false;
		for (uint64_t at = (uint64_t)start & ~(PAGE - 1); at < (uint64_t)end; at += PAGE)
			if (!snap_page_is_zero(m->base + at) && !add_page(l, at))
				return false;
	}
	return errno == ENXIO; /* no data beyond */
}

/* A stream into a file. */
struct out {
	int fd;
	bool failed;
};

static void
put(struct out *o, const void *data, size_t n)
{
	const uint8_t *p = data;

	while (!o->failed && n > 0) {
		ssize_t w = write(o->fd, p, n);

		if (w <= 0 && errno != EINTR)
			o->failed = true;
		if (w > 0) {
			p += w;
			n -= (size_t)w;
		}
	}
}

static bool
put_states(struct out *o, struct bed *bed, struct bed_err *err)
{
	size_t bytes = hv_cpu_state_bytes();
	struct hv_cpu_state *s = malloc(bytes);
	bool ok = s != NULL || bed_fail(err, BED_E_HOST, "out of memory for a vCPU's state");

	cpus_stop(bed);
	for (unsigned i = 0; ok && i < bed->cfg.ncpu; i++) {
		ok = hv_cpu_save(bed->cpus[i].hv, s, err);
		if (ok)
			put(o, s, bytes);
	}
	free(s);
	return ok;
}

static void
fill_head(struct snap_head *h, const struct bed *bed, const struct snap_key *key, size_t nrun,
    uint64_t npages)
{
	uint64_t at;

	memset(h, 0, sizeof(*h));
	h->magic = SNAP_MAGIC;
	h->version = SNAP_VERSION;
	h->bytes = sizeof(*h);
	h->key = *key;
	h->info = bed->info;
	h->state_bytes = hv_cpu_state_bytes();
	h->console_bytes = (bed->console_len + 8) & ~UINT64_C(7); /* with its zero */
	h->nrun = nrun;
	h->at = bed->at == NULL ? 0 : bed->at->id;
	h->nrecent = bed->nrecent;
	memcpy(h->recent, bed->recent, sizeof(h->recent));
	at = sizeof(*h) + key->ncpu * h->state_bytes + h->console_bytes +
	     nrun * sizeof(struct snap_run);
	h->pages_at = (at + PAGE - 1) & ~(PAGE - 1);
	h->file_bytes = h->pages_at + npages * PAGE;
}

static uint64_t
head_sum(const struct snap_head *h)
{
	struct snap_head copy = *h;

	copy.head_sum = 0;
	return bed_digest(SNAP_MAGIC, &copy, sizeof(copy));
}

static uint64_t
body_sum(const uint8_t *map, uint64_t bytes)
{
	return bed_digest(0, map + sizeof(struct snap_head), bytes - sizeof(struct snap_head));
}

void
snap_sign(struct snap_head *h, const void *file)
{
	h->body_sum = body_sum(file, h->file_bytes);
	h->head_sum = head_sum(h);
}

/* Sums are taken of what the file holds now, not of what was meant to be there. */
static bool
seal(int fd, struct snap_head *h)
{
	void *map = mmap(NULL, h->file_bytes, PROT_READ, MAP_SHARED, fd, 0);

	if (map == MAP_FAILED)
		return false;
	snap_sign(h, map);
	munmap(map, h->file_bytes);
	return pwrite(fd, h, sizeof(*h), 0) == (ssize_t)sizeof(*h);
}

static bool
write_all(struct bed *bed, const struct snap_key *key, int fd, const struct run_list *l,
    struct bed_err *err)
{
	static const uint8_t zero[PAGE];
	struct out o = { .fd = fd };
	struct snap_head h;
	uint64_t npages = 0, pad;

	for (size_t i = 0; i < l->n; i++)
		npages += l->run[i].npages;
	fill_head(&h, bed, key, l->n, npages);
	put(&o, &h, sizeof(h));
	if (!put_states(&o, bed, err))
		return false;
	pad = h.console_bytes - bed->console_len;
	put(&o, bed->console, bed->console_len);
	put(&o, zero, pad);
	put(&o, l->run, l->n * sizeof(l->run[0]));
	pad = h.pages_at - sizeof(h) - key->ncpu * h.state_bytes - h.console_bytes -
	      l->n * sizeof(l->run[0]);
	put(&o, zero, pad);
	for (size_t i = 0; i < l->n; i++)
		put(&o, bed->mem.base + l->run[i].offset, l->run[i].npages * PAGE);
	if (!o.failed && seal(fd, &h))
		return true;
	return bed_fail(err, BED_E_OUTPUT, "%s", strerror(errno));
}

bool
snap_write(struct bed *bed, const struct snap_key *key, int fd, struct bed_err *err)
{
	struct run_list l = { 0 };
	bool ok = find_runs(&bed->mem, &l) ||
	          bed_fail(err, BED_E_HOST, "finding the used pages of RAM: %s", strerror(errno));

	ok = ok && write_all(bed, key, fd, &l, err);
	free(l.run);
	return ok;
}

/* The parts of a file lie one behind the other, inside it. */
static bool
check_lengths(const struct snap *s, uint64_t real, struct bed_err *err)
{
	const struct snap_head *h = s->head;
	uint64_t at = sizeof(*h);

	if (real < sizeof(*h))
		return bed_fail(
		    err, BED_E_INPUT, "%" PRIu64 " bytes are too few for a snapshot", real);
	if (h->magic != SNAP_MAGIC)
		return bed_fail(
		    err, BED_E_INPUT, "it is no snapshot (magic %#" PRIx64 ")", h->magic);
	if (h->version != SNAP_VERSION || h->bytes != sizeof(*h))
		return bed_fail(err, BED_E_INPUT,
		    "it has format version %u with a head of %u bytes, this program version %d with "
		    "%zu",
		    h->version, h->bytes, SNAP_VERSION, sizeof(*h));
	if (h->head_sum != head_sum(h))
		return bed_fail(err, BED_E_INPUT, "its head is damaged (checksum)");
	if (real != h->file_bytes)
		return bed_fail(err, BED_E_INPUT,
		    "it is %" PRIu64 " bytes long and should be %" PRIu64 ": cut off, or grown",
		    real, h->file_bytes);
	if (h->state_bytes > real || h->console_bytes > real || h->nrun > real ||
	    h->pages_at > real || h->pages_at % PAGE != 0 || h->file_bytes % PAGE != 0 ||
	    h->state_bytes % 8 != 0 || h->console_bytes % 8 != 0 || h->console_bytes == 0)
		return bed_fail(err, BED_E_INPUT, "its head makes no sense (lengths)");
	if (h->at != 0 && h->at >= h->key.ncpu)
		return bed_fail(
		    err, BED_E_INPUT, "its head names vCPU %u, which it does not have", h->at);
	at += h->key.ncpu * h->state_bytes + h->console_bytes + h->nrun * sizeof(struct snap_run);
	if (at > h->pages_at)
		return bed_fail(err, BED_E_INPUT, "its parts overlap");
	return true;
}

/* Runs are in RAM, ascending, apart, and as many pages as follow. */
static bool
check_runs(struct snap *s, struct bed_err *err)
{
	const struct snap_head *h = s->head;
	uint64_t have = (h->file_bytes - h->pages_at) / PAGE, used = 0, end = 0;

	s->run_page = calloc(h->nrun + 1, sizeof(*s->run_page));
	if (s->run_page == NULL)
		return bed_fail(err, BED_E_HOST, "out of memory for its runs");
	for (uint64_t i = 0; i < h->nrun; i++) {
		const struct snap_run *r = &s->run[i];

		if (r->offset % PAGE != 0 || r->npages == 0 || r->npages > have - used ||
		    r->offset < end || r->offset > h->key.ram ||
		    r->npages > (h->key.ram - r->offset) / PAGE)
			return bed_fail(err, BED_E_INPUT,
			    "its run %" PRIu64 " of pages (%#" PRIx64 ", %" PRIu64
			    " pages) is out of order or outside RAM",
			    i, r->offset, r->npages);
		s->run_page[i] = used;
		used += r->npages;
		end = r->offset + r->npages * PAGE;
	}
	return used == have || bed_fail(err, BED_E_INPUT, "it has pages that no run names");
}

static bool
check(struct snap *s, const struct snap_key *want, struct bed_err *err)
{
	const struct snap_head *h = s->head;

	if (!check_lengths(s, s->bytes, err) || !snap_key_equal(want, &h->key, err))
		return false;
	if (body_sum(s->map, s->bytes) != h->body_sum)
		return bed_fail(err, BED_E_INPUT, "it is damaged (checksum)");
	s->states = s->map + sizeof(*h);
	s->console = (const char *)s->states + h->key.ncpu * h->state_bytes;
	s->run = (const struct snap_run *)(s->console + h->console_bytes);
	s->pages = s->map + h->pages_at;
	if (s->console[h->console_bytes - 1] != '\0')
		return bed_fail(err, BED_E_INPUT, "its console text has no end");
	for (unsigned i = 0; i < h->key.ncpu; i++)
		if (!hv_cpu_state_check(snap_state(s, i), h->state_bytes, err))
			return false;
	return check_runs(s, err);
}

struct snap *
snap_open(int fd, const char *name, const struct snap_key *want, struct bed_err *err)
{
	struct snap *s = calloc(1, sizeof(*s));
	struct stat st;
	void *map;

	if (s == NULL || fstat(fd, &st) != 0) {
		bed_fail(err, BED_E_HOST, "%s: %s", name, strerror(errno));
		free(s);
		close(fd);
		return NULL;
	}
	s->refs = 1;
	s->fd = fd;
	s->bytes = (uint64_t)st.st_size;
	map = s->bytes < sizeof(*s->head) ? NULL
	                                  : mmap(NULL, s->bytes, PROT_READ, MAP_PRIVATE, fd, 0);
	if (map == NULL)
		bed_fail(
		    err, BED_E_INPUT, "%" PRIu64 " bytes are too few for a snapshot", s->bytes);
	else if (map == MAP_FAILED)
		bed_fail(err, BED_E_HOST, "it cannot be mapped: %s", strerror(errno));
	else {
		s->map = map;
		s->head = map;
		if (check(s, want, err))
			return s;
	}
	bed_fail_in(err, "snapshot %s", name);
	snap_release(s);
	return NULL;
}

struct snap *
snap_hold(struct snap *s)
{
	__atomic_add_fetch(&s->refs, 1, __ATOMIC_RELAXED);
	return s;
}

void
snap_release(struct snap *s)
{
	if (s == NULL || __atomic_sub_fetch(&s->refs, 1, __ATOMIC_ACQ_REL) != 0)
		return;
	if (s->map != NULL)
		munmap((void *)(uintptr_t)s->map, s->bytes);
	close(s->fd);
	free(s->run_page);
	free(s);
}

/* The last run that begins at or before the offset; -1: none. */
static int64_t
run_before(const struct snap *s, uint64_t offset)
{
	int64_t low = 0, high = (int64_t)s->head->nrun;

	while (low < high) {
		int64_t mid = (low + high) / 2;

		if (s->run[mid].offset <= offset)
			low = mid + 1;
		else
			high = mid;
	}
	return low - 1;
}

const uint8_t *
snap_page(const struct snap *s, uint64_t offset)
{
	int64_t i = run_before(s, offset);
	uint64_t page;

	if (i < 0)
		return NULL;
	page = (offset - s->run[i].offset) / PAGE;
	return page < s->run[i].npages ? s->pages + (s->run_page[i] + page) * PAGE : NULL;
}

const struct hv_cpu_state *
snap_state(const struct snap *s, unsigned cpu)
{
	return (const struct hv_cpu_state *)(s->states + cpu * s->head->state_bytes);
}

uint64_t
snap_next(const struct snap *s, const struct memory *m, uint64_t from)
{
	int64_t i = run_before(s, from);
	uint64_t next = m->bytes;
	off_t data;

	if (snap_page(s, from) != NULL)
		return from;
	if (i + 1 < (int64_t)s->head->nrun)
		next = s->run[i + 1].offset;
	data = lseek(m->fd, (off_t)from, SEEK_DATA);
	if (data >= 0 && ((uint64_t)data & ~(PAGE - 1)) < next)
		next = (uint64_t)data & ~(PAGE - 1);
	return next;
}
