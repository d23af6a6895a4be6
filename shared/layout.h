/* SPDX-License-Identifier: ISC */
/*
 * Where things are. One table, read by the VMM (which builds the first page tables), the guest, and,
 * through build/layout.inc (the #define lines translated), by NASM. Only plain numeric #defines here.
 *
 *   virtual                                       what                                   rights
 *   0xffff800000000000 + boot.kva_size            kernel_map (L4 slot 256)               RW NX
 *   0xfffffd8000000000 + end of RAM               direct map of all RAM (slot 507..)     RW NX
 *   0xffffffff80000000 + image                    kernel image (slot 511)                RX, R, RW NX
 *
 *   physical
 *   0x00000000 .. 0x00001000                      never used: page 0 catches null
 *   0x00001000 .. 0x00002000                      struct bed_bootinfo
 *   0x00010000 .. (BED_SHARE_STRIDE per vCPU)     struct bed_cpushare: call slots, counters, rings
 *   BED_PROG_PA .. BED_IMAGE_PA                   programs of struct bed_op, filled by the VMM
 *   BED_IMAGE_PA .. image end                     kernel image, then BED_CPU_AREA for each vCPU but the first
 *   then BED_PROG_BYTES for each of these         their programs
 *   after that, each page aligned to 2 MiB        page-table pool, then memory for uvm_page_physload
 */
#ifndef SHARED_LAYOUT_H
#define SHARED_LAYOUT_H

#define BED_KVA_BASE    0xffff800000000000 /* VM_MIN_KERNEL_ADDRESS, as OpenBSD/amd64 */
#define BED_KVA_DEFAULT 0x0000000100000000 /* 4 GiB, as OpenBSD/amd64 */
#define BED_KVA_MAX     0x0000008000000000 /* one L4 slot: 512 GiB */
#define BED_DIRECT_BASE 0xfffffd8000000000 /* direct map, as OpenBSD/amd64 */
#define BED_DIRECT_MAX  0x0000010000000000 /* 1 TiB: two L4 slots */
#define BED_IMAGE_BASE  0xffffffff80000000 /* image VA = this + physical address */
#define BED_IMAGE_PA    0x0000000000400000 /* the image is linked and loaded here */

#define BED_BOOTINFO_PA  0x0000000000001000
#define BED_SHARE_PA     0x0000000000010000
#define BED_SHARE_STRIDE 0x0000000000030000 /* 192 KiB: struct bed_cpushare */
#define BED_CPU_MAX      16
#define BED_PROG_PA      0x00000000003c0000
#define BED_PROG_BYTES   0x0000000000040000 /* 256 KiB: 2340 operations */
#define BED_CPU_AREA \
	0x0000000000028000 /* 160 KiB: stacks and own data of a vCPU, with the image's rights */

#define BED_RAM_MIN    0x0000000000800000 /* 8 MiB */
#define BED_RAM_MAX    0x0000001000000000 /* 64 GiB */
/* RAM above this is placed from 4 GiB on: the hole holds the APIC and KVM's TSS pages. */
#define BED_HOLE_START 0x00000000c0000000
#define BED_HOLE_END   0x0000000100000000
#define BED_TSS_PA     0x00000000fffbd000 /* KVM_SET_TSS_ADDR: 3 pages, needed on Intel hosts */
#define BED_IDMAP_PA   0x00000000fffbc000 /* KVM_SET_IDENTITY_MAP_ADDR: 1 page */

#define BED_PORT 0x0bed /* OUT DX,EAX with an enum bed_exit value leaves to the VMM */

/* Segment selectors of the GDT the guest loads; the VMM starts it with the same values cached. */
#define BED_SEL_CODE 0x08
#define BED_SEL_DATA 0x10
#define BED_SEL_TSS  0x18

#endif
