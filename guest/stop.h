/* SPDX-License-Identifier: ISC */
/*
 * Stop points: <machine/thread.h> says where, this arms one.
 */
#ifndef GUEST_STOP_H
#define GUEST_STOP_H

#include <machine/param.h>

/* The next stop_point(id) stops, once; 0: none. False: this flavour has no stop points. */
bool stop_arm(uint64_t id);

#endif
