/* SPDX-License-Identifier: ISC */
/*
 * Least squares by normal equations: see fit.h. The terms are counts of similar size and the cost of a
 * thing is wanted to a few parts in a thousand, for which these do.
 */
#include "bench/fit.h"

#include <math.h>
#include <string.h>

#define NOTHING 1e-6 /* a pivot so small, of counts, says that the term never differs */

static void
swap_rows(double a[FIT_TERMS][FIT_TERMS + 1], unsigned i, unsigned k)
{
	double t[FIT_TERMS + 1];

	memcpy(t, a[i], sizeof(t));
	memcpy(a[i], a[k], sizeof(t));
	memcpy(a[k], t, sizeof(t));
}

/* Gauss-Jordan; a term without a pivot keeps coefficient 0. */
static void
eliminate(double a[FIT_TERMS][FIT_TERMS + 1], unsigned n, double *coef)
{
	unsigned row = 0, pivot_of[FIT_TERMS];

	for (unsigned col = 0; col < n; col++) {
		unsigned best = row;

		for (unsigned i = row; i < n; i++)
			if (fabs(a[i][col]) > fabs(a[best][col]))
				best = i;
		pivot_of[col] = n;
		if (row == n || fabs(a[best][col]) < NOTHING)
			continue;
		swap_rows(a, row, best);
		for (unsigned i = 0; i < n; i++) {
			double f = a[i][col] / a[row][col];

			for (unsigned k = col; i != row && k <= n; k++)
				a[i][k] -= f * a[row][k];
		}
		pivot_of[col] = row++;
	}
	for (unsigned col = 0; col < n; col++)
		coef[col] = pivot_of[col] == n ? 0 : a[pivot_of[col]][n] / a[pivot_of[col]][col];
}

void
fit_solve(struct fit *f)
{
	double a[FIT_TERMS][FIT_TERMS + 1] = { 0 }, sum = 0;

	for (unsigned r = 0; r < f->runs; r++) {
		for (unsigned i = 0; i < f->terms; i++) {
			for (unsigned k = 0; k < f->terms; k++)
				a[i][k] += f->x[r][i] * f->x[r][k];
			a[i][f->terms] += f->x[r][i] * f->y[r];
		}
	}
	eliminate(a, f->terms, f->coef);
	for (unsigned r = 0; r < f->runs; r++) {
		double left = f->y[r];

		for (unsigned k = 0; k < f->terms; k++)
			left -= f->coef[k] * f->x[r][k];
		sum += left * left;
	}
	f->rest = f->runs != 0 ? sqrt(sum / f->runs) : 0;
}
