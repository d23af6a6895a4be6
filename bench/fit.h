/* SPDX-License-Identifier: ISC */
/*
 * Least squares: what each thing that was counted costs, from runs in which the counts differ.
 */
#ifndef BENCH_FIT_H
#define BENCH_FIT_H

#define FIT_TERMS 6
#define FIT_RUNS  64

/* Run i: y[i] is about the sum of coef[k] * x[i][k]. */
struct fit {
	unsigned runs, terms;
	double x[FIT_RUNS][FIT_TERMS], y[FIT_RUNS];
	double coef[FIT_TERMS]; /* 0 where no run tells */
	double rest;            /* root of the mean square of what remains */
};

/* From x and y, coef and rest. */
void fit_solve(struct fit *);

#endif
