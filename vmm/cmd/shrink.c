/* SPDX-License-Identifier: ISC */
/*
 * Shrinking a failing trace: the runs it takes, and what the user sees of it.
 */
#include "vmm/cmd/shrink.h"

#include <errno.h>
#include <string.h>

#include "vmm/cmd/cmd.h"
#include "vmm/explore/explore.h"
#include "vmm/tlbsan/bed.h"
#include "vmm/trace/replay.h"
#include "vmm/trace/shrink.h"

#define RUNS_MAX 3000 /* of one shrinking */
#define KEY      160

static bool
poll_tlbsan(void *arg, const struct trace_line *l, struct bed_err *err)
{
	(void)l;
	return arg == NULL || tlbsan_poll(arg, err);
}

bool
cmd_run_quietly(const struct trace *t, const struct bed_config *base, struct bed_err *err)
{
	struct bed_config cfg = *base;
	struct tlbsan *san = NULL;
	struct check *check = NULL;
	struct bed *bed = NULL;
	bool ok =
	    trace_config(t, &cfg, err) && (bed = bed_create(&cfg, err)) != NULL &&
	    (check = check_new(bed, err)) != NULL &&
	    (cfg.flavour != BED_CHECKED || (san = tlbsan_attach(bed, NULL, NULL, err)) != NULL) &&
	    trace_replay(t, bed, check, poll_tlbsan, san, err);

	tlbsan_detach(san);
	check_free(check);
	bed_destroy(bed);
	return ok;
}

struct wanted {
	const struct bed_config *cfg;
	char key[KEY];
	unsigned runs;
};

static bool
same_finding(void *arg, const struct trace *t)
{
	struct wanted *w = arg;
	struct bed_err err = { 0 };
	char key[KEY];

	if (cmd_is_terminal()) {
		printf("\r\033[Kshrinking: %u traces tried, %u operations", ++w->runs,
		    trace_operations(t));
		fflush(stdout);
	}
	if (cmd_run_quietly(t, w->cfg, &err))
		return false;
	finding_key(key, sizeof(key), &err);
	return strcmp(key, w->key) == 0;
}

static int
write_trace(
    const struct trace *t, const char *path, const struct bed_err *finding, struct bed_err *err)
{
	FILE *out = strcmp(path, "-") == 0 ? stdout : fopen(path, "w");
	const char *why = finding->text;
	bool ok = out != NULL;

	ok = ok && trace_print(t, out);
	if (ok)
		fprintf(out, "# %.*s\n", (int)strcspn(why, "\n"), why);
	if (out != NULL && out != stdout)
		ok = fclose(out) == 0 && ok;
	if (ok)
		return BED_OK;
	bed_fail(err, BED_E_OUTPUT, "%s: %s", path, strerror(errno));
	return cmd_error(err);
}

int
cmd_shrink(struct trace *t, const char *path, const struct bed_config *cfg, struct bed_err *err)
{
	struct wanted wanted = { .cfg = cfg };
	struct shrink_totals totals;
	struct bed_err finding = { 0 };
	int rc;

	if (cmd_run_quietly(t, cfg, &finding)) {
		printf("%s: %u operations, and nothing is wrong: there is nothing to shrink\n",
		    t->file, trace_operations(t));
		return BED_E_FINDING;
	}
	if (finding.class != BED_E_FINDING && finding.class != BED_E_GUEST)
		return cmd_error(&finding);
	finding_key(wanted.key, sizeof(wanted.key), &finding);
	if (!trace_shrink(t, same_finding, &wanted, RUNS_MAX, &totals))
		printf("shrinking ended early: out of memory\n");
	/* What is written has been run, and said what it says here. */
	cmd_run_quietly(t, cfg, &finding);
	rc = write_trace(t, path, &finding, err);
	if (rc == BED_OK && strcmp(path, "-") != 0)
		printf("%sshrunk from %u operations to %u in %u runs: %s\n",
		    cmd_is_terminal() ? "\r\033[K" : "", totals.from, totals.to, totals.tried,
		    path);
	return rc;
}

int
cmd_shrink_text(const char *text, size_t len, const char *path, const struct bed_config *cfg,
    struct bed_err *err)
{
	struct trace t;
	int rc;

	if (!trace_parse(&t, "program", text, len, err))
		return cmd_error(err);
	rc = cmd_shrink(&t, path, cfg, err);
	trace_free(&t);
	return rc;
}
