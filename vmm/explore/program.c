/* SPDX-License-Identifier: ISC */
/*
 * From bytes to operations, and from a seed to bytes.
 */
#include "vmm/explore/program.h"

#include <string.h>

struct xop
xop_decode(const uint8_t b[XOP_BYTES])
{
	return (struct xop){ .kind = b[0] % XOP_LIMIT,
		.slot = b[1] % XSLOTS,
		.map = b[2],
		.flags = b[3],
		.size = (uint16_t)(b[4] | b[5] << 8),
		.arg = (uint16_t)(b[6] | b[7] << 8) };
}

#define W(op, n) [XOP_##op] = (n)
static const struct xprofile profiles[] = {
	{ .name = "mixed",
	    .text = "everything",
	    .max_pages = 64,
	    .weight = { W(alloc, 20), W(valloc, 10), W(wait, 2), W(kmem, 10), W(pla, 3),
		W(modes, 12), W(map, 4), W(bad, 3), W(free, 45), W(part, 10), W(touch, 15),
		W(fill, 8), W(stray, 5), W(protect, 6), W(wire, 5), W(fault, 3), W(page, 5),
		W(enter, 5), W(suballoc, 3), W(tick, 1) } },
	{ .name = "pairs",
	    .text = "allocations and frees of a few pages",
	    .max_pages = 8,
	    .weight = { W(alloc, 30), W(kmem, 15), W(modes, 15), W(free, 60), W(touch, 10) } },
	{ .name = "pageable",
	    .text = "addresses, faults, protection, wiring",
	    .max_pages = 32,
	    .weight = { W(valloc, 25), W(map, 10), W(free, 20), W(part, 10), W(touch, 35),
		W(fill, 10), W(stray, 5), W(protect, 15), W(wire, 15), W(fault, 10) } },
	{ .name = "fragments",
	    .text = "large and small, freed in parts",
	    .max_pages = 600,
	    .weight = { W(alloc, 20), W(valloc, 20), W(kmem, 8), W(free, 30), W(part, 25),
		W(touch, 5) } },
	{ .name = "sleepers",
	    .text = "submaps that fill up, and who waits for them",
	    .kva = UINT64_C(64) << 20,
	    .max_pages = 40,
	    .weight = { W(wait, 35), W(valloc, 10), W(free, 40), W(part, 5), W(touch, 10),
		W(suballoc, 12), W(tick, 3) } },
	{ .name = "exhaustion",
	    .text = "more memory than there is",
	    .ram = UINT64_C(8) << 20,
	    .kva = UINT64_C(32) << 20,
	    .max_pages = 500,
	    .weight = { W(alloc, 5), W(valloc, 10), W(kmem, 20), W(pla, 5), W(modes, 25),
		W(free, 40), W(part, 5), W(touch, 10), W(fill, 10), W(page, 8) } },
	{ .name = "bytes", .text = "bytes as they come: every kind, every size up to 1024 pages" },
	{ .name = "guard",
	    .text = "everything, with guard pages",
	    .guard = true,
	    .max_pages = 64,
	    .weight = { W(alloc, 20), W(valloc, 10), W(wait, 2), W(kmem, 10), W(modes, 12),
		W(map, 4), W(bad, 3), W(free, 45), W(part, 10), W(touch, 15), W(fill, 8),
		W(stray, 8), W(protect, 6), W(wire, 5), W(suballoc, 3) } },
};

const struct xprofile *
xprofile_at(unsigned i)
{
	return i < sizeof(profiles) / sizeof(profiles[0]) ? &profiles[i] : NULL;
}

const struct xprofile *
xprofile_find(const char *name)
{
	for (unsigned i = 0; xprofile_at(i) != NULL; i++) {
		if (strcmp(profiles[i].name, name) == 0)
			return &profiles[i];
	}
	return NULL;
}

/* splitmix64 */
static uint64_t
next(uint64_t *state)
{
	uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

static uint8_t
draw_kind(uint64_t *state, const struct xprofile *p)
{
	unsigned sum = 0, at;

	for (unsigned k = 0; k < XOP_LIMIT; k++)
		sum += p->weight[k];
	at = (unsigned)(next(state) % sum);
	for (unsigned k = 0;; k++) {
		if (at < p->weight[k])
			return (uint8_t)k;
		at -= p->weight[k];
	}
}

void
xprogram_make(uint8_t *bytes, size_t n, uint64_t seed, uint64_t index, const struct xprofile *p)
{
	uint64_t state = seed;

	state = next(&state) + index * UINT64_C(0xd1342543de82ef95);
	for (size_t i = 0; i < n; i++, bytes += XOP_BYTES) {
		uint64_t r = next(&state);
		unsigned most = next(&state) % 4 == 0 ? p->max_pages : 4;
		uint16_t pages = (uint16_t)(most == 0 ? 0 : next(&state) % most);

		memcpy(bytes, &r, XOP_BYTES);
		if (p->max_pages == 0)
			continue;
		bytes[0] = draw_kind(&state, p);
		/* Few slots at a time, so that they are used again and again. */
		bytes[1] = (uint8_t)(r >> 8 & 63) % (uint8_t)(8 + 8 * (next(&state) % 8));
		bytes[4] = (uint8_t)pages;
		bytes[5] = (uint8_t)(pages >> 8);
	}
}
