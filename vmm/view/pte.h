/* SPDX-License-Identifier: ISC */
/*
 * What one page-table entry means under the rules of one view: which bits are reserved, what rights it
 * grants, what its leaf attributes are. Walker, iterator and snapshot decode entries through these
 * functions only. Source: Intel SDM vol. 3A 4.5 (tables 4-15 to 4-20), AMD APM vol. 2 5.3-5.4.
 */
#ifndef VMM_VIEW_PTE_H
#define VMM_VIEW_PTE_H

#include <string.h>

#include "shared/paging.h"
#include "vmm/view/text.h"
#include "vmm/view/view.h"

/* Rights, effective or of one entry. Every present entry grants VIEW_R. */
#define VIEW_R          0x1u
#define VIEW_W          0x2u
#define VIEW_X          0x4u
#define VIEW_U          0x8u
#define VIEW_RIGHTS_ALL (VIEW_R | VIEW_W | VIEW_X | VIEW_U)

/* view_attr.flags */
#define VIEW_G 0x1u
#define VIEW_A 0x2u
#define VIEW_D 0x4u

/* view_attr.soft: bits 9..11 of the entry from bit 0 on, bits 52..62 from bit 3 on. */
#define VIEW_SOFT_W 0x1u
#define VIEW_SOFT_M 0x2u
#define VIEW_SOFT_3 0x4u

/* Everything about a leaf except where it is and what it maps. */
struct view_attr {
	uint8_t level;   /* 1: 4 KiB, 2: 2 MiB, 3: 1 GiB; 0: no leaf */
	uint8_t rights;  /* effective: VIEW_R.. */
	uint8_t memtype; /* PAT index: PWT | PCD << 1 | PAT << 2; 0 is write-back after reset */
	uint8_t flags;   /* VIEW_G, VIEW_A, VIEW_D */
	uint16_t soft;   /* VIEW_SOFT_.. */
	uint16_t zero;
};
BED_ASSERT_SIZE(struct view_attr, 8);

static inline bool
view_attr_equal(struct view_attr a, struct view_attr b)
{
	return memcmp(&a, &b, sizeof(a)) == 0;
}

/* The rules of a view as masks, computed once per walk. */
struct pte_rules {
	uint64_t frame;                  /* address bits: 12 .. maxphyaddr - 1 */
	uint64_t rsvd[PT_LEVELS + 1][2]; /* [level][leaf]: must be zero in a present entry */
};

static inline struct pte_rules
pte_rules(const struct view *view)
{
	unsigned bits = view->maxphyaddr < 52 ? view->maxphyaddr : 52;
	uint64_t frame = ((UINT64_C(1) << bits) - 1) & PTE_FRAME;
	uint64_t rsvd = (PTE_FRAME & ~frame) | (view->nx ? 0 : PTE_NX);
	struct pte_rules rules = { .frame = frame };

	for (int level = 1; level <= PT_LEVELS; level++) {
		rules.rsvd[level][0] = rsvd;
		rules.rsvd[level][1] = rsvd;
	}
	/* Large frames: everything between the PAT bit and the frame's own size. */
	rules.rsvd[2][1] |= (pt_span(2) - 1) & PTE_FRAME & ~PTE_LPAT;
	rules.rsvd[3][1] |= (pt_span(3) - 1) & PTE_FRAME & ~PTE_LPAT;
	if (!view->pages_1g)
		rules.rsvd[3][1] |= PTE_PS;
	return rules;
}

/* True if a present entry ends the walk. PS in the PML4 does not make a leaf: it is an error. */
static inline bool
pte_is_leaf(int level, uint64_t raw)
{
	return level == 1 || (level < PT_LEVELS && (raw & PTE_PS) != 0);
}

/* Reserved bits that are set, 0 if none. */
static inline uint64_t
pte_reserved(const struct pte_rules *rules, int level, uint64_t raw)
{
	return raw & rules->rsvd[level][pte_is_leaf(level, raw)];
}

/* Rights a well-formed present entry lets through. */
static inline unsigned
pte_rights(uint64_t raw)
{
	unsigned w = (raw & PTE_W) != 0 ? VIEW_W : 0;
	unsigned x = (raw & PTE_NX) == 0 ? VIEW_X : 0;
	unsigned u = (raw & PTE_U) != 0 ? VIEW_U : 0;

	return VIEW_R | w | x | u;
}

/* The frame of a leaf at `level`: address bits above the page's own size. */
static inline gpa_t
pte_leaf_frame(const struct pte_rules *rules, int level, uint64_t raw)
{
	return GPA(raw & rules->frame & ~(pt_span(level) - 1));
}

/* Attributes of a leaf whose upper levels grant `rights`. */
static inline struct view_attr
pte_leaf_attr(int level, uint64_t raw, unsigned rights)
{
	uint64_t pat = level == 1 ? PTE_PAT : PTE_LPAT;
	uint64_t soft = ((raw >> 9) & 7) | (((raw >> 52) & 0x7ff) << 3);

	return (struct view_attr){
		.level = (uint8_t)level,
		.rights = (uint8_t)(rights & pte_rights(raw)),
		.memtype = (uint8_t)(((raw >> 3) & 3) | ((raw & pat) != 0 ? 4 : 0)),
		.flags = (uint8_t)(((raw & PTE_G) != 0 ? VIEW_G : 0) |
				   ((raw & PTE_A) != 0 ? VIEW_A : 0) |
				   ((raw & PTE_D) != 0 ? VIEW_D : 0)),
		.soft = (uint16_t)soft,
	};
}

const char *pt_level_name(int level); /* "PML4", "PDPT", "PD", "PT"; "?" otherwise */
const char *pt_size_name(int level);  /* "4k", "2m", "1g" for leaf levels 1..3; "?" otherwise */

/* "rw--": r w x u. `buf` holds 5 characters at least and is returned. */
const char *view_rights_text(unsigned rights, char buf[5]);

/* One entry in words: "P W NX G wired pa=0x800000". A large leaf shows PS; nothing is left out but zeros. */
void pte_text(struct text *, int level, uint64_t raw);

/* Software bits in words, each with a blank before it: " wired managed sw=0x4". */
void pte_soft_text(struct text *, unsigned soft);

#endif
