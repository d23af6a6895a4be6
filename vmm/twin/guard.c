/* SPDX-License-Identifier: ISC */
/*
 * Where the image has the pages below its stacks. Apart from twin.c because the guest's constants and the
 * host's have names in common.
 */
#include "guest/stack.h"
#include "vmm/twin/priv.h"

bool
twin_guards(const struct image *im, struct twin_guard guard[2])
{
	guard[0] = (struct twin_guard){ .stride = STACK_STRIDE, .n = THREAD_CPU0 };
	guard[1] = (struct twin_guard){ .stride = IST_STRIDE, .n = IST_STACKS };
	return image_symbol(im, "thread_stacks", &guard[0].va) &&
	       image_symbol(im, "ist_stacks", &guard[1].va);
}
