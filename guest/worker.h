/* SPDX-License-Identifier: ISC */
/*
 * Worker threads run the host's calls. One of them, the leader, watches the doorbell; a call runs on
 * the leader's own stack. When it sleeps and nothing else can run, another worker becomes leader, so
 * there is a worker for each sleeping call and one more.
 */
#ifndef GUEST_WORKER_H
#define GUEST_WORKER_H

#include "guest/thread.h"

/* End of boot: the boot thread becomes the first worker. */
void worker_start(void) __noreturn;
/* The same on another CPU, once it is set up. */
void worker_enter(void) __noreturn;
/* A parked worker, made if there is none. */
struct thread *worker_get(void);

#endif
