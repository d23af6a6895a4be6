/* SPDX-License-Identifier: ISC */
/*
 * Basic types and the shape of kernel address space, by their BSD names. Part of the seam between the
 * machine-independent allocator (guest/uvm/) and what it runs on: the guest kernel, or the twin, an
 * ordinary process (guest/twin/). guest/uvm/ includes nothing machine-dependent but <machine/...>.
 */
#ifndef MACHINE_PARAM_H
#define MACHINE_PARAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shared/layout.h"
#include "shared/paging.h"

typedef uint64_t vaddr_t;
typedef uint64_t vsize_t;
typedef uint64_t paddr_t;
typedef uint64_t psize_t;
typedef uint64_t voff_t;
typedef int vm_prot_t;
typedef int boolean_t;

#ifndef TRUE
#define TRUE  1
#define FALSE 0
#endif

#define PAGE_SHIFT BED_PAGE_SHIFT
#define PAGE_SIZE  BED_PAGE_SIZE
#define PAGE_MASK  BED_PAGE_MASK

#define trunc_page(x) ((uint64_t)(x) & ~PAGE_MASK)
#define round_page(x) (((uint64_t)(x) + PAGE_MASK) & ~PAGE_MASK) /* wraps to 0 near 2^64 */
#define atop(x)       ((uint64_t)(x) >> PAGE_SHIFT)
#define ptoa(x)       ((uint64_t)(x) << PAGE_SHIFT)

#define VM_MIN_KERNEL_ADDRESS ((vaddr_t)BED_KVA_BASE)

#define PROT_NONE  0x00
#define PROT_READ  0x01
#define PROT_WRITE 0x02
#define PROT_EXEC  0x04
#define PROT_MASK  0x07

#define ENOENT      2
#define ENOMEM      12
#define EACCES      13
#define EFAULT      14
#define EBUSY       16
#define EINVAL      22
#define EWOULDBLOCK 35

#define nitems(a)   (sizeof(a) / sizeof((a)[0]))
#define likely(x)   __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)
#define __noreturn  __attribute__((__noreturn__))
#define __noinline  __attribute__((__noinline__))
#ifndef __always_inline /* glibc has it, where the host includes this */
#define __always_inline inline __attribute__((__always_inline__))
#endif
#define __unused_arg   __attribute__((__unused__))
#define __printf(f, a) __attribute__((__format__(__printf__, f, a)))

#endif
