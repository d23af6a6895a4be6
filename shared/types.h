/* SPDX-License-Identifier: ISC */
/*
 * Types both sides of the bed agree on.
 *
 * The host never handles a bare number that means "an address in the guest": gva_t and gpa_t are
 * distinct one-member structs, so a mix-up does not compile, and a guest address becomes a host
 * pointer only through view_ptr() / bed_ptr() (bounds and overflow checked). The guest itself uses
 * the BSD types vaddr_t and paddr_t, plain integers (guest/machine/param.h).
 */
#ifndef SHARED_TYPES_H
#define SHARED_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct gva {
	uint64_t v; /* guest virtual address */
} gva_t;

typedef struct gpa {
	uint64_t v; /* guest physical address */
} gpa_t;

#define GVA(x) ((gva_t){ (uint64_t)(x) })
#define GPA(x) ((gpa_t){ (uint64_t)(x) })

#define BED_ASSERT_SIZE(type, bytes) _Static_assert(sizeof(type) == (bytes), "size of " #type)
#define BED_ASSERT_OFFSET(type, member, bytes) \
	_Static_assert(offsetof(type, member) == (bytes), "offset of " #type "." #member)

#endif
