/* SPDX-License-Identifier: ISC */
/*
 * What a boot costs, and what it could cost at best on this host: a machine of the same shape (the same
 * memory slots, one vCPU) created bare, up to the one exit of a single OUT instruction, in turn with
 * the boots. Also the two round trips everything else is made of.
 */
#ifndef VMM_BED_BOOTBENCH_H
#define VMM_BED_BOOTBENCH_H

#include "vmm/bed/bed.h"

struct boot_bench {
	unsigned rounds;
	/* Medians, in nanoseconds. */
	double total_ns; /* bed_create() to BED_EXIT_READY */
	double run_ns;   /* of these in KVM_RUN */
	double host_ns;  /* of these outside: the VMM's and KVM's set-up work */
	double floor_ns; /* the bare machine, created and left by one OUT */
	double floor_run_ns;
	double host_ratio; /* host_ns over floor_ns, median of the ratios of neighbours */
	double destroy_ns;
	uint64_t exits; /* of one boot */
	uint64_t insns; /* entry to BED_EXIT_READY: exact and the same every time, or see stable */
	bool insns_stable; /* every counted boot gave the same number */
};

/* The configuration is used as it is, but for BED_COUNT_BOOT. rounds: 1 to 1000. */
bool bed_bench_boot(
    const struct bed_config *, unsigned rounds, struct boot_bench *, struct bed_err *);

struct trip_bench {
	unsigned rounds;
	double port_ns;      /* OUT and back, in a bare machine */
	double nop_ns;       /* OUT and back, in the bed: BED_EXIT_NOP */
	double null_ns;      /* the call that does nothing */
	uint64_t null_exits; /* returns from KVM_RUN of that many null calls: rounds if one each */
	double null_insns;   /* guest instructions a null call; 0: not counted */
};

bool bed_bench_trips(struct bed *, unsigned rounds, struct trip_bench *, struct bed_err *);

#endif
