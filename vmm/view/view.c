/* SPDX-License-Identifier: ISC */
/*
 * From a guest physical address to a host pointer, checked: see view.h.
 */
#include "vmm/view/view.h"

#include <string.h>

/* The segment that holds gpa, or NULL. Cores may have hundreds of segments, so it is a binary search. */
static const struct view_seg *
seg_of(const struct view *view, uint64_t gpa)
{
	unsigned lo = 0, hi = view->nseg;

	while (lo < hi) {
		unsigned mid = lo + (hi - lo) / 2;
		const struct view_seg *seg = &view->seg[mid];

		if (gpa < seg->start.v)
			hi = mid;
		else if (gpa - seg->start.v >= seg->len)
			lo = mid + 1;
		else
			return seg;
	}
	return NULL;
}

void *
view_ptr(const struct view *view, gpa_t gpa, uint64_t len)
{
	const struct view_seg *seg = seg_of(view, gpa.v);
	const struct view_seg *end = view->seg + view->nseg;
	uint64_t have;
	uint8_t *host;

	if (seg == NULL)
		return NULL;
	host = seg->host + (gpa.v - seg->start.v);
	have = seg->len - (gpa.v - seg->start.v);
	while (have < len) {
		const struct view_seg *next = seg + 1;

		/* The next one must follow in the guest and in this process alike. */
		if (next == end || next->start.v - seg->start.v != seg->len ||
		    (uintptr_t)next->host != (uintptr_t)seg->host + seg->len)
			return NULL;
		len -= have;
		have = next->len;
		seg = next;
	}
	return host;
}

bool
view_read64(const struct view *view, gpa_t gpa, uint64_t *value)
{
	const void *host;

	if ((gpa.v & 7) != 0 || (host = view_ptr(view, gpa, 8)) == NULL)
		return false;
	/* A file mapped at an odd place is not written by anybody: there a plain copy will do. */
	if (((uintptr_t)host & 7) != 0)
		memcpy(value, host, 8);
	else
		*value = __atomic_load_n((const uint64_t *)host, __ATOMIC_RELAXED);
	return true;
}
