/* SPDX-License-Identifier: ISC */
/*
 * See model.h.
 */
#include "tests/bed/model.h"

#include <string.h>

struct model
model_of(const struct bed *bed)
{
	struct model m = { .min = BED_KVA_BASE,
		.max = BED_KVA_BASE + bed_config(bed)->kva_size,
		.guarded = bed_config(bed)->flags & BED_BOOT_GUARDPAGES };

	m.n = inside_used(bed, m.used, MODEL_MAX);
	return m;
}

/* Hole i: before used[i], the last one after them all. */
static struct inside_range
hole(const struct model *m, size_t i)
{
	return (struct inside_range){ i == 0 ? m->min : m->used[i - 1].end,
		i == m->n ? m->max : m->used[i].start };
}

uint64_t
model_place(const struct model *m, uint64_t size, uint64_t align)
{
	uint64_t n = ((size + BED_PAGE_MASK) & ~BED_PAGE_MASK) + (m->guarded ? BED_PAGE_SIZE : 0);
	uint64_t mask = (align < BED_PAGE_SIZE ? BED_PAGE_SIZE : align) - 1;
	uint64_t best = UINT64_MAX, low, high, at = 0;

	for (size_t i = 0; i <= m->n; i++) {
		struct inside_range h = hole(m, i);

		low = (h.start + mask) & ~mask;
		if (low < h.start || low > h.end || n > h.end - low || h.end - h.start >= best)
			continue;
		best = h.end - h.start;
		high = (h.end - n) & ~mask;
		/* The last hole is used from its low end, whatever that cuts off. */
		at = i < m->n && (h.end - n) - high < low - h.start ? high : low;
	}
	return at;
}

static uint64_t
guard_of(const struct model *m, size_t next, uint64_t end)
{
	uint64_t limit = next == m->n ? m->max : m->used[next].start;

	if (!m->guarded)
		return 0;
	/* A page behind the guard that nothing could use joins it. */
	return limit - end == 2 * BED_PAGE_SIZE ? 2 * BED_PAGE_SIZE : BED_PAGE_SIZE;
}

uint64_t
model_take(struct model *m, uint64_t start, uint64_t size)
{
	uint64_t end = start + ((size + BED_PAGE_MASK) & ~BED_PAGE_MASK);
	size_t i = 0, next = 0;

	while (next < m->n && m->used[next].start < start)
		next++;
	end += guard_of(m, next, end);
	while (i < m->n && m->used[i].end < start)
		i++;
	if (i == m->n || m->used[i].start > end) {
		CHECK(m->n < MODEL_MAX, "the model is full");
		memmove(&m->used[i + 1], &m->used[i], (m->n - i) * sizeof(m->used[0]));
		m->used[i] = (struct inside_range){ start, end };
		m->n++;
		return end;
	}
	if (start < m->used[i].start)
		m->used[i].start = start;
	if (end > m->used[i].end)
		m->used[i].end = end;
	if (i + 1 < m->n && m->used[i].end >= m->used[i + 1].start) {
		m->used[i].end = m->used[i + 1].end;
		m->n--;
		memmove(&m->used[i + 1], &m->used[i + 2], (m->n - i - 1) * sizeof(m->used[0]));
	}
	return end;
}

void
model_give(struct model *m, uint64_t start, uint64_t end)
{
	struct inside_range old[MODEL_MAX];
	size_t n = m->n;

	memcpy(old, m->used, n * sizeof(old[0]));
	m->n = 0;
	for (size_t i = 0; i < n; i++) {
		struct inside_range r = old[i];

		if (r.start < start && r.start < r.end)
			m->used[m->n++] =
			    (struct inside_range){ r.start, r.end < start ? r.end : start };
		CHECK(m->n < MODEL_MAX, "the model is full");
		if (r.end > end)
			m->used[m->n++] =
			    (struct inside_range){ r.start > end ? r.start : end, r.end };
	}
}

void
model_must_be(const struct bed *bed, const struct model *m, const char *file, int line)
{
	struct inside_range is[MODEL_MAX];
	size_t n = inside_used(bed, is, MODEL_MAX);

	for (size_t i = 0; i < n && i < m->n; i++) {
		if (is[i].start != m->used[i].start || is[i].end != m->used[i].end)
			test_fail(file, line, "used range %zu is %#lx-%#lx, should be %#lx-%#lx", i,
			    is[i].start, is[i].end, m->used[i].start, m->used[i].end);
	}
	if (n != m->n)
		test_fail(file, line, "%zu used ranges, should be %zu", n, m->n);
}

uint64_t
model_largest(const struct model *m)
{
	uint64_t largest = 0;

	for (size_t i = 0; i <= m->n; i++) {
		struct inside_range h = hole(m, i);

		if (h.end - h.start > largest)
			largest = h.end - h.start;
	}
	return largest;
}
