/* SPDX-License-Identifier: ISC */
/*
 * A guest to be broken and put back: edits of its memory are remembered and undone.
 */
#ifndef TESTS_BED_AUDIT_SCENE_H
#define TESTS_BED_AUDIT_SCENE_H

#include "tests/bed/fixture.h"
#include "vmm/audit/audit.h"

struct vm_map;
struct vm_map_entry;
struct vm_page;
struct pmap_l1;

struct scene {
	struct bed *bed;
	struct audit *audit;
	struct audit_source src;
	struct snapshot snap;
	gva_t a;    /* four pages of kernel_map, with object */
	gva_t kmem; /* four pages at the end of kmem_map's entries */
	gpa_t page; /* one in use, and mapped nowhere */
	struct scene_edit *edit;
	size_t nedit;
};

/* `live` more allocations, one page each, with holes between them. */
struct scene scene_up(unsigned live);
void scene_down(struct scene *);

/* Host side of guest memory at a guest address in the image or the direct map; ends the test if there is none. */
void *scene_ptr(const struct scene *, uint64_t va, size_t len);
#define FOLLOW(s, ptr)        ((__typeof__(ptr))scene_ptr(s, (uint64_t)(ptr), sizeof(*(ptr))))
#define GLOBAL(s, type, name) ((type *)scene_ptr(s, inside_symbol((s)->bed, name).v, sizeof(type)))

/* Store, to be undone. */
void poke(struct scene *, volatile void *host, const void *bytes, size_t len);
#define POKE(s, lvalue, v)                                             \
	do {                                                           \
		__typeof__(lvalue) new_ = (__typeof__(lvalue))(v);     \
		poke(s, &(lvalue), (const void *)&new_, sizeof(new_)); \
	} while (0)
void poke_bits(struct scene *, uint64_t *word, uint64_t clear, uint64_t set);
void scene_undo(struct scene *);

/* Snapshot and audit, content of free pages included; or without. */
void scene_audit(struct scene *);
void scene_audit_always(struct scene *);
void scene_must_hold(const struct scene *, const char *when);

struct vm_map *scene_map(const struct scene *);                /* kernel_map */
struct vm_map_entry *scene_entry(const struct scene *, gva_t); /* of a, or of kmem */
struct vm_page *scene_page(const struct scene *, uint64_t frame);
uint64_t scene_free_frame(const struct scene *); /* of a page on a stack of short runs */
struct pmap_l1 *scene_l1(const struct scene *, gva_t);

#endif
