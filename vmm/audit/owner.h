/* SPDX-License-Identifier: ISC */
/*
 * Who owns an address, who owns a frame, by the guest's own structures as they are now. For reports: what
 * cannot be read is said to be unreadable, and is no error.
 */
#ifndef VMM_AUDIT_OWNER_H
#define VMM_AUDIT_OWNER_H

#include "vmm/audit/audit.h"
#include "vmm/view/expect.h"

enum audit_place_kind {
	AUDIT_PLACE_OUTSIDE,    /* not an address of kernel_map */
	AUDIT_PLACE_UNREADABLE, /* the maps are damaged */
	AUDIT_PLACE_ENTRY,      /* of a map entry: used addresses */
	AUDIT_PLACE_GUARD,      /* behind it: never mapped */
	AUDIT_PLACE_HOLE,       /* of no entry: start and end are the hole's */
};

struct audit_place {
	enum audit_place_kind kind;
	char map[16];
	uint64_t start, end;
	/* ENTRY and GUARD */
	uint64_t entry;     /* guest address of the struct vm_map_entry */
	unsigned prot, max; /* BED_PROT_* */
	unsigned wired;     /* wired_count */
	bool object, nomap; /* has kernel_object; a reserved hole, where nothing may be mapped */
	uint64_t offset;    /* of start, in the object */
};

enum audit_frame_kind {
	AUDIT_FRAME_OUTSIDE, /* no RAM */
	AUDIT_FRAME_HOST,    /* boot information, share areas, programs */
	AUDIT_FRAME_IMAGE,
	AUDIT_FRAME_TABLES,    /* the page-table pool */
	AUDIT_FRAME_UNMANAGED, /* RAM without a vm_page */
	AUDIT_FRAME_FREE,
	AUDIT_FRAME_OBJECT, /* a page of kernel_object, at address va */
	AUDIT_FRAME_USED,   /* in use, in no object */
	AUDIT_FRAME_NKINDS
};

struct audit_frame_owner {
	enum audit_frame_kind kind;
	uint64_t va;   /* OBJECT */
	uint64_t page; /* guest address of the struct vm_page; 0: none */
	unsigned flags, wire_count;
};

struct audit_lookup;

/* Reads everything once. The audit, the source and the snapshot must outlive it. NULL: no memory. */
struct audit_lookup *audit_lookup_new(
    const struct audit *, const struct audit_source *, const struct snapshot *);
void audit_lookup_free(struct audit_lookup *); /* NULL is fine */

struct audit_place audit_lookup_va(const struct audit_lookup *, gva_t);
struct audit_frame_owner audit_lookup_frame(const struct audit_lookup *, gpa_t);

/* "kernel_map entry ffff800000001000-ffff800000005000 rw- max rwx wired 1, kernel_object" */
void audit_place_text(struct text *, const struct audit_place *);
const char *audit_frame_word(enum audit_frame_kind); /* "free", "object", "page table", ... */
void audit_frame_text(struct text *, const struct audit_frame_owner *);

/* What the map says of the page at va: absent, or present with at most the entry's rights. False: nothing
 * certain, as in an entry whose pages come by faults. */
bool audit_place_expect(const struct audit_place *, gva_t va, struct pt_expect *);

#endif
