/* SPDX-License-Identifier: ISC */
/*
 * uvmbed explore: random programs, until something is wrong or the operations are used up.
 */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "vmm/cmd/cmd.h"
#include "vmm/cmd/shrink.h"
#include "vmm/explore/explore.h"
#include "vmm/kvm/engine.h"

enum { OPT_CHECK = 0x200, OPT_LENGTH, OPT_SHARD, OPT_RESUME, OPT_OUT, OPT_KEEP };

struct options {
	uint64_t seed, ops, length;
	const struct xprofile *profile;
	enum xchecks checks;
	unsigned every;
	unsigned shard, shards;
	const char *resume, *out;
	bool keep_going;
};

/* How far a run has come: what --resume reads and writes. */
struct progress {
	uint64_t program, ops, calls, findings;
	uint64_t hash; /* over all programs */
};

static volatile sig_atomic_t stop;

static void
on_stop(int sig)
{
	(void)sig;
	stop = 1;
}

static double
now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static uint64_t
number(struct argp_state *state, const char *option, const char *arg)
{
	uint64_t n = 0;

	if (!cmd_parse_size(arg, &n))
		argp_error(state, "--%s=%s is no number", option, arg);
	return n;
}

static void
parse_profile(struct options *o, const char *arg, struct argp_state *state)
{
	o->profile = xprofile_find(arg);
	if (o->profile == NULL)
		argp_error(state, "there is no profile \"%s\"; --help lists them", arg);
}

static void
parse_check(struct options *o, const char *arg, struct argp_state *state)
{
	o->checks = XCHECK_INVARIANTS;
	if (strcmp(arg, "all") == 0)
		o->checks = XCHECK_CALLS;
	else if (strcmp(arg, "none") == 0)
		o->checks = XCHECK_NONE;
	else
		o->every = (unsigned)number(state, "check", arg);
	if (o->checks == XCHECK_INVARIANTS && o->every == 0)
		argp_error(state, "--check=0: say none, or how many operations");
}

static error_t
parse(int key, char *arg, struct argp_state *state)
{
	struct options *o = state->input;

	switch (key) {
	case 's':
		o->seed = number(state, "seed", arg);
		return 0;
	case 'n':
		o->ops = number(state, "ops", arg);
		return 0;
	case 'p':
		parse_profile(o, arg, state);
		return 0;
	case OPT_LENGTH:
		o->length = number(state, "length", arg);
		if (o->length == 0 || o->length > 100000)
			argp_error(state, "--length=%s: programs have 1 to 100000 operations", arg);
		return 0;
	case OPT_CHECK:
		parse_check(o, arg, state);
		return 0;
	case OPT_SHARD:
		if (sscanf(arg, "%u/%u", &o->shard, &o->shards) != 2 || o->shard < 1 ||
		    o->shard > o->shards)
			argp_error(state, "--shard=%s is not K/N with K from 1 to N", arg);
		return 0;
	case OPT_RESUME:
		o->resume = arg;
		return 0;
	case OPT_OUT:
		o->out = arg;
		return 0;
	case OPT_KEEP:
		o->keep_going = true;
		return 0;
	case ARGP_KEY_ARG:
		argp_error(state, "explore takes no argument (\"%s\")", arg);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

/* The text behind \v: the profiles. */
static char *
help(int key, const char *text, void *input)
{
	char *all = NULL;
	size_t size;
	FILE *out;

	(void)input;
	if (key != ARGP_KEY_HELP_POST_DOC || (out = open_memstream(&all, &size)) == NULL)
		return (char *)(uintptr_t)text;
	fputs("Profiles:\n", out);
	for (unsigned i = 0; xprofile_at(i) != NULL; i++)
		fprintf(out, "  %-10s %s\n", xprofile_at(i)->name, xprofile_at(i)->text);
	fputs(
	    "\nThe same seed, profile and length give the same programs. The exit code is 1 if something "
	    "was found.",
	    out);
	fclose(out);
	return all;
}

/* A file that is not there yet is a beginning. */
static bool
load_progress(const struct options *o, struct progress *p, struct bed_err *err)
{
	uint64_t seed, length;
	unsigned shard, shards;
	char profile[32];
	FILE *in = fopen(o->resume, "r");
	int n;

	if (in == NULL)
		return errno == ENOENT ||
		       bed_fail(err, BED_E_INPUT, "%s: %s", o->resume, strerror(errno));
	n = fscanf(in,
	    "uvmbed-explore 1\nseed %" SCNu64 " length %" SCNu64
	    " profile %31s shard %u/%u\nprogram "
	    "%" SCNu64 " ops %" SCNu64 " calls %" SCNu64 " findings %" SCNu64 " hash %" SCNx64,
	    &seed, &length, profile, &shard, &shards, &p->program, &p->ops, &p->calls, &p->findings,
	    &p->hash);
	fclose(in);
	if (n != 10)
		return bed_fail(err, BED_E_INPUT, "%s: not what --resume has written", o->resume);
	if (seed != o->seed || length != o->length || strcmp(profile, o->profile->name) != 0 ||
	    shard != o->shard || shards != o->shards)
		return bed_fail(err, BED_E_USAGE,
		    "%s is of another run: --seed %" PRIu64 " --length %" PRIu64
		    " --profile %s --shard %u/%u",
		    o->resume, seed, length, profile, shard, shards);
	return true;
}

static bool
save_progress(const struct options *o, const struct progress *p, struct bed_err *err)
{
	char name[4096];
	FILE *out;
	bool ok;

	if (o->resume == NULL)
		return true;
	snprintf(name, sizeof(name), "%s.new", o->resume);
	out = fopen(name, "w");
	if (out != NULL)
		fprintf(out,
		    "uvmbed-explore 1\nseed %" PRIu64 " length %" PRIu64
		    " profile %s shard %u/%u\nprogram %" PRIu64 " ops %" PRIu64 " calls %" PRIu64
		    " findings %" PRIu64 " hash %" PRIx64 "\n",
		    o->seed, o->length, o->profile->name, o->shard, o->shards, p->program, p->ops,
		    p->calls, p->findings, p->hash);
	ok = out != NULL && !ferror(out) && fclose(out) == 0 && rename(name, o->resume) == 0;
	return ok || bed_fail(err, BED_E_OUTPUT, "%s: %s", o->resume, strerror(errno));
}

/* A line on a terminal, rewritten; lines of a log otherwise. */
static void
show(const struct options *o, const struct progress *p, double seconds, bool last)
{
	bool tty = cmd_is_terminal();

	printf("%s%" PRIu64 " programs, %" PRIu64 " of %" PRIu64
	       " operations, %.0f a second, %" PRIu64 " finding%s%s",
	    tty ? "\r\033[K" : "", p->program, p->ops, o->ops,
	    seconds > 0 ? (double)p->ops / seconds : 0.0, p->findings, p->findings == 1 ? "" : "s",
	    tty && !last ? "" : "\n");
	fflush(stdout);
}

/* What was found: told, shrunk, written. */
static int
found(const struct options *o, const struct xlab_config *cfg, const struct xresult *r,
    uint64_t program, struct bed_err *err)
{
	char path[4096];
	int rc = (int)err->class;

	printf("%s%s%sFOUND%s by program %" PRIu64 " of seed %" PRIu64 " (%s), operation %" PRIu64
	       "\n%s\n",
	    cmd_is_terminal() ? "\r\033[K" : "", cmd_bold(), cmd_red(), cmd_plain(), program,
	    o->seed, o->profile->name, r->ops, err->text);
	snprintf(path, sizeof(path), "%s/explore-%s-%" PRIu64 "-%" PRIu64 ".trace", o->out,
	    o->profile->name, o->seed, program);
	cmd_shrink_text(r->trace, r->trace_len, path, &cfg->bed, err);
	return rc;
}

/* With every check and the trace written, whatever the search itself did: the same program once more. */
static int
examine(const struct options *o, const struct xlab_config *search, uint64_t program,
    const uint8_t *bytes, struct bed_err *err)
{
	struct xlab_config cfg = *search;
	struct xresult r = { 0 };
	struct bed_err again = { 0 };
	struct xlab *lab;
	int rc;

	cfg.record = true;
	cfg.checks = XCHECK_CALLS;
	lab = xlab_new(&cfg, &again);
	if (lab == NULL)
		return cmd_error(&again);
	if (xlab_run(lab, bytes, o->length * XOP_BYTES, &r, &again)) {
		printf("%sFOUND%s by program %" PRIu64 ", but not again with every check on:\n%s\n",
		    cmd_red(), cmd_plain(), program, err->text);
		rc = (int)err->class;
	} else {
		char *text = strndup(r.trace, r.trace_len);

		/* The lab's machine goes first: a process has one twin. */
		xlab_free(lab);
		lab = NULL;
		r.trace = text;
		rc = text == NULL ? BED_E_HOST : found(o, &cfg, &r, program, &again);
		free(text);
	}
	xlab_free(lab);
	return rc;
}

static int
search(
    const struct options *o, const struct xlab_config *cfg, struct progress *p, struct bed_err *err)
{
	uint8_t *bytes = malloc(o->length * XOP_BYTES);
	struct xlab *lab = bytes == NULL ? NULL : xlab_new(cfg, err);
	double start = now(), shown = start;
	int rc = lab == NULL ? cmd_error(err) : BED_OK;
	struct xresult r;

	while (rc == BED_OK && p->ops < o->ops && !stop) {
		uint64_t program = p->program * o->shards + o->shard - 1;
		bool ok;

		xprogram_make(bytes, o->length, o->seed, program, o->profile);
		ok = xlab_run(lab, bytes, o->length * XOP_BYTES, &r, err);
		p->program++;
		p->ops += r.ops;
		p->calls += r.calls;
		p->hash = p->hash * UINT64_C(0x9e3779b97f4a7c15) + r.hash;
		if (!ok) {
			xlab_free(lab);
			p->findings++;
			rc = examine(o, cfg, program, bytes, err);
			lab = o->keep_going ? xlab_new(cfg, err) : NULL;
			rc = o->keep_going && lab != NULL ? BED_OK : rc;
		}
		if (now() - shown >= (cmd_is_terminal() ? 0.2 : 10)) {
			shown = now();
			show(o, p, shown - start, false);
			if (!save_progress(o, p, err))
				rc = cmd_error(err);
		}
	}
	show(o, p, now() - start, true);
	if (!save_progress(o, p, err) && rc == BED_OK)
		rc = cmd_error(err);
	xlab_free(lab);
	free(bytes);
	return rc != BED_OK ? rc : p->findings != 0 ? BED_E_FINDING : BED_OK;
}

int
cmd_explore(int argc, char **argv)
{
	static const struct argp_option options[] = {
		{ "seed", 's', "N", 0, "which programs (default 1)", 0 },
		{ "ops", 'n', "N", 0, "operations in all (default 10000)", 0 },
		{ "profile", 'p', "NAME", 0, "mix of operations (default mixed)", 0 },
		{ "length", OPT_LENGTH, "N", 0, "operations of one program (default 200)", 0 },
		{ "check", OPT_CHECK, "WHAT", 0,
		    "all (default): every check after every call; N: the invariants every N operations; none",
		    0 },
		{ "shard", OPT_SHARD, "K/N", 0, "only every Nth program, from the Kth on", 0 },
		{ "resume", OPT_RESUME, "FILE", 0,
		    "go on where that file says the run stopped, and keep it up to date", 0 },
		{ "out", OPT_OUT, "DIR", 0, "where minimal traces are written (default .)", 0 },
		{ "keep-going", OPT_KEEP, NULL, 0, "do not end at the first finding", 0 },
		{ 0 },
	};
	static const struct argp argp = { options, parse, NULL,
		"Run random programs, each in a machine as after boot; shrink what fails to a minimal trace.\v",
		NULL, help, NULL };
	struct cmd_common common;
	struct options o = { .seed = 1,
		.ops = 10000,
		.length = 200,
		.profile = xprofile_find("mixed"),
		.checks = XCHECK_CALLS,
		.shard = 1,
		.shards = 1,
		.out = "." };
	struct xlab_config cfg = { 0 };
	struct progress p = { 0 };
	struct bed_err err = { 0 };

	cmd_parse(&argp, argc, argv, &common, &o);
	cfg = (struct xlab_config){ .bed = common.config, .checks = o.checks, .every = o.every };
	if (o.profile->ram != 0)
		cfg.bed.ram = o.profile->ram;
	if (o.profile->kva != 0)
		cfg.bed.kva_size = o.profile->kva;
	cfg.bed.flags |= o.profile->guard ? BED_BOOT_GUARDPAGES : 0;
	if (o.resume != NULL && !load_progress(&o, &p, &err))
		return cmd_error(&err);
	signal(SIGINT, on_stop);
	signal(SIGTERM, on_stop);
	if (cmd_engine_chosen(&err) == NULL)
		return cmd_error(&err);
	printf("%sexplore%s seed %" PRIu64 ", profile %s, engine %s, %s guest\n", cmd_bold(),
	    cmd_plain(), o.seed, o.profile->name, cmd_engine_chosen(NULL)->name,
	    cfg.bed.flavour == BED_RELEASE ? "release" : "checked");
	return search(&o, &cfg, &p, &err);
}
