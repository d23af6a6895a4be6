/* SPDX-License-Identifier: ISC */
/*
 * The placement rule by brute force: a sorted list of used ranges, each hole looked at for each request. It
 * shares nothing with the allocator but the rule (guest/uvm/uvm_addr.h).
 */
#ifndef TESTS_BED_MODEL_H
#define TESTS_BED_MODEL_H

#include "tests/bed/inside.h"

#define MODEL_MAX 512

struct model {
	uint64_t min, max;
	bool guarded; /* a page after each allocation is charged to it */
	size_t n;
	struct inside_range used[MODEL_MAX]; /* ascending, joined where they touch */
};

/* As the guest's kernel_map is now. */
struct model model_of(const struct bed *);

/* Where an allocation goes; 0: nowhere. align: 0 or a power of two. */
uint64_t model_place(const struct model *, uint64_t size, uint64_t align);
/* Charge an allocation that model_place() placed; the end of what is charged, guard included. */
uint64_t model_take(struct model *, uint64_t start, uint64_t size);
void model_give(struct model *, uint64_t start, uint64_t end);

/* The guest's map uses exactly the ranges of the model. */
#define MODEL_SAME(bed, m) model_must_be(bed, m, __FILE__, __LINE__)
void model_must_be(const struct bed *, const struct model *, const char *file, int line);

/* Bytes of the largest hole. */
uint64_t model_largest(const struct model *);

#endif
