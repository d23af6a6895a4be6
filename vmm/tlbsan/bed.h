/* SPDX-License-Identifier: ISC */
/*
 * The TLB sanitizer on a live bed: its page tables as they are now are the start, its event records from
 * then on the stream. The guest must be of the checked flavour, the other logs nothing.
 *
 *	struct tlbsan *s = tlbsan_attach(bed, NULL, NULL, &err);
 *	... a call ...
 *	if (!tlbsan_poll(s, &err)) ... err.text has the findings ...
 *	tlbsan_detach(s);
 */
#ifndef VMM_TLBSAN_BED_H
#define VMM_TLBSAN_BED_H

#include <stdio.h>

#include "vmm/bed/bed.h"
#include "vmm/tlbsan/core.h"

struct tlbsan;

/*
 * Attach between two calls. Policy NULL: the default. Log not NULL: the start and every event are written
 * there too (uvmbed-tlblog(5)); it must outlive the sanitizer. The receiver of events that the bed has goes
 * on receiving; do not set another one while attached. NULL: err says why.
 */
struct tlbsan *tlbsan_attach(struct bed *, const struct tlb_policy *, FILE *log, struct bed_err *);
/* Before bed_destroy(). NULL is fine. */
void tlbsan_detach(struct tlbsan *);

/*
 * Call it when no vCPU runs: after each call, or at the end. False: errors were found since the last poll
 * (BED_E_FINDING, their texts), the stream made no sense or the log could not be written. An error is also
 * a table in memory that is not what the logged stores made of it.
 */
bool tlbsan_poll(struct tlbsan *, struct bed_err *);

/* What is owed for the page at va now (tlb_open_at()). When no vCPU runs. */
size_t tlbsan_open_at(struct tlbsan *, gva_t va, struct tlb_open *out, size_t max);

/* Every finding, of every severity, as it is found; tlbsan_poll() goes on telling the errors. */
void tlbsan_listen(struct tlbsan *, tlb_report_fn *, void *arg);

struct tlb_totals tlbsan_totals(const struct tlbsan *);

#endif
