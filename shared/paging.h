/* SPDX-License-Identifier: ISC */
/*
 * x86-64 4-level paging: entry format and index arithmetic, as both the guest's pmap and the host's
 * walker use it. Source: Intel SDM vol. 3A 4.5, AMD APM vol. 2 5.3. Software bits 9 and 10 carry the
 * meaning OpenBSD/amd64 gives them (PG_W, PG_PVLIST).
 */
#ifndef SHARED_PAGING_H
#define SHARED_PAGING_H

#include "types.h"

#define BED_PAGE_SHIFT 12
#define BED_PAGE_SIZE  (UINT64_C(1) << BED_PAGE_SHIFT)
#define BED_PAGE_MASK  (BED_PAGE_SIZE - 1)

#define PT_ENTRIES 512
#define PT_LEVELS  4 /* level 4 is the PML4, level 1 the page table */

#define PTE_P    (UINT64_C(1) << 0)  /* present */
#define PTE_W    (UINT64_C(1) << 1)  /* writable */
#define PTE_U    (UINT64_C(1) << 2)  /* user */
#define PTE_PWT  (UINT64_C(1) << 3)  /* write-through */
#define PTE_PCD  (UINT64_C(1) << 4)  /* cache disable */
#define PTE_A    (UINT64_C(1) << 5)  /* accessed */
#define PTE_D    (UINT64_C(1) << 6)  /* dirty (leaf only) */
#define PTE_PS   (UINT64_C(1) << 7)  /* large page at levels 2 and 3; reserved at level 4 */
#define PTE_PAT  (UINT64_C(1) << 7)  /* PAT, in a 4 KiB leaf */
#define PTE_G    (UINT64_C(1) << 8)  /* global (leaf only) */
#define PTE_SW_W (UINT64_C(1) << 9)  /* software: wired (BSD PG_W) */
#define PTE_SW_M (UINT64_C(1) << 10) /* software: managed (BSD PG_PVLIST) */
#define PTE_SW_3 (UINT64_C(1) << 11) /* software: unused, must be zero */
#define PTE_LPAT (UINT64_C(1) << 12) /* PAT, in a 2 MiB or 1 GiB leaf */
#define PTE_NX   (UINT64_C(1) << 63) /* no execute, if EFER.NXE */

#define PTE_FRAME UINT64_C(0x000ffffffffff000) /* bits 12..51; MAXPHYADDR may reserve more */

/* Page-fault error code (SDM vol. 3A 4.7). */
#define PF_P    0x01 /* protection violation; clear: not present */
#define PF_W    0x02 /* write */
#define PF_U    0x04 /* user mode */
#define PF_RSVD 0x08 /* reserved bit set */
#define PF_I    0x10 /* instruction fetch */

/* Bytes covered by one entry of a table at `level` (1..4). */
static inline uint64_t
pt_span(int level)
{
	return UINT64_C(1) << (BED_PAGE_SHIFT + 9 * (level - 1));
}

/* Index of the entry that translates `va` in a table at `level` (1..4). */
static inline unsigned
pt_index(uint64_t va, int level)
{
	return (unsigned)(va >> (BED_PAGE_SHIFT + 9 * (level - 1))) & (PT_ENTRIES - 1);
}

/* Sign-extend bit 47: the canonical form of a 48-bit address. */
static inline uint64_t
va_canonical(uint64_t va)
{
	return (uint64_t)((int64_t)(va << 16) >> 16);
}

static inline bool
va_is_canonical(uint64_t va)
{
	return va_canonical(va) == va;
}

#endif
