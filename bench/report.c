/* SPDX-License-Identifier: ISC */
/*
 * Benchmark results as a table for a person and as JSON in the shape of Google Benchmark.
 */
#include "bench/report.h"

#include <math.h>
#include <stdio.h>

static const char *
time_text(double ns, char *buf, size_t size)
{
	if (isnan(ns))
		snprintf(buf, size, "-");
	else if (ns < 10e3)
		snprintf(buf, size, "%.0f ns", ns);
	else if (ns < 10e6)
		snprintf(buf, size, "%.1f us", ns / 1e3);
	else
		snprintf(buf, size, "%.2f ms", ns / 1e6);
	return buf;
}

static void
print_counters(const struct bench_result *r)
{
	for (unsigned i = 0; i < r->ncounter; i++) {
		const struct bench_counter *c = &r->counter[i];

		if (isnan(c->value))
			printf("  %s -", c->name);
		else if (c->value == floor(c->value) && fabs(c->value) < 1e9)
			printf("  %s %.0f", c->name, c->value);
		else
			printf("  %s %.2f", c->name, c->value);
	}
}

void
bench_print(const struct bench_list *list, const struct bench_style *style)
{
	char a[32], b[32], c[32];

	for (unsigned i = 0; i < list->n; i++) {
		const struct bench_result *r = &list->result[i];

		printf("  %s%-34s%s %10s", style->bold, r->name, style->plain,
		    time_text(r->ns, a, sizeof(a)));
		if (!isnan(r->ns) && r->ns_max > r->ns_min)
			printf(" %s(%s .. %s)%s", style->dim, time_text(r->ns_min, b, sizeof(b)),
			    time_text(r->ns_max, c, sizeof(c)), style->plain);
		print_counters(r);
		if (r->note[0] != '\0')
			printf("  %s[%s: %s]%s", r->missed ? style->bad : style->good,
			    r->missed ? "MISSED" : "ok", r->note, style->plain);
		putchar('\n');
	}
}

json_t *
bench_json(const struct bench_list *list)
{
	json_t *rows = json_array();

	for (unsigned i = 0; i < list->n; i++) {
		const struct bench_result *r = &list->result[i];
		json_t *row = json_pack("{s:s, s:s, s:I, s:s, s:s}", "name", r->name, "run_type",
		    "aggregate", "iterations", (json_int_t)r->operations, "time_unit", "ns", "unit",
		    r->unit ? r->unit : "operation");
		json_t *work = json_object();

		if (!isnan(r->ns)) {
			json_object_set_new(row, "real_time", json_real(r->ns));
			json_object_set_new(row, "cpu_time", json_real(r->ns));
			json_object_set_new(row, "min_time", json_real(r->ns_min));
			json_object_set_new(row, "max_time", json_real(r->ns_max));
		}
		for (unsigned c = 0; c < r->ncounter; c++) {
			double v = r->counter[c].value;

			json_object_set_new(
			    work, r->counter[c].name, isnan(v) ? json_null() : json_real(v));
		}
		json_object_set_new(row, "work", work);
		if (r->note[0] != '\0') {
			json_object_set_new(row, "figure", json_string(r->note));
			json_object_set_new(row, "reached", json_boolean(!r->missed));
		}
		json_array_append_new(rows, row);
	}
	return rows;
}
