/* SPDX-License-Identifier: ISC */
/*
 * The options of every subcommand that boots a bed.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/bed/planted.h"
#include "vmm/check/check.h"
#include "vmm/cmd/cmd.h"
#include "vmm/kvm/engine.h"

enum {
	OPT_JSON = 0x100,
	OPT_RAM,
	OPT_KVA,
	OPT_PTPOOL,
	OPT_IMAGE,
	OPT_RELEASE,
	OPT_TIMEOUT,
	OPT_GUARD,
	OPT_FLUSH,
	OPT_ENGINE,
	OPT_CPUS,
	OPT_PLANT,
};

static const struct argp_option options[] = {
	{ "json", OPT_JSON, NULL, 0, "one JSON document instead of text", 0 },
	{ "ram", OPT_RAM, "SIZE", 0, "guest memory, such as 16M (default) or 1G", 1 },
	{ "cpus", OPT_CPUS, "N", 0, "virtual CPUs, 1 (default) to 16", 1 },
	{ "kva", OPT_KVA, "SIZE", 0, "size of kernel_map (default 4G)", 1 },
	{ "ptpool", OPT_PTPOOL, "SIZE", 0, "memory for page tables (default: a sixteenth of RAM)",
	    1 },
	{ "guard", OPT_GUARD, NULL, 0, "guard pages behind every allocation", 1 },
	{ "flush-threshold", OPT_FLUSH, "PAGES", 0,
	    "above so many pages an unmap flushes the whole TLB (default: the guest's)", 1 },
	{ "image", OPT_IMAGE, "FILE", 0, "guest image (default: the one built with this program)",
	    2 },
	{ "engine", OPT_ENGINE, "NAME", 0,
	    "kvm (default), or twin: the guest's sources as code of this process", 2 },
	{ "release", OPT_RELEASE, NULL, 0, "use the release flavour of the guest", 2 },
	{ "plant", OPT_PLANT, "BUG", 0,
	    "plant a bug in the checked guest; `--plant list' names them", 2 },
	{ "timeout", OPT_TIMEOUT, "MS", 0,
	    "limit for boot and for each call (default 10000; 0: none)", 2 },
	{ 0 },
};

static void
parse_size_option(struct argp_state *state, const char *option, const char *arg, uint64_t *value)
{
	if (!cmd_parse_size(arg, value))
		argp_error(
		    state, "--%s=%s is no size; write 16M, 1G or a number of bytes", option, arg);
}

static unsigned
parse_count_option(struct argp_state *state, const char *option, const char *arg)
{
	uint64_t n;

	if (!cmd_parse_size(arg, &n) || n > 0xffffffff)
		argp_error(state, "--%s=%s is no number", option, arg);
	return (unsigned)n;
}

/* The id of the bug; the word list ends the program. */
static unsigned
parse_bug(struct argp_state *state, const char *name)
{
	const struct planted *bug = planted_named(name);

	if (strcmp(name, "list") == 0) {
		for (unsigned i = 0; i < planted_count(); i++)
			printf("%-28s %s\n", planted_at(i)->name, planted_at(i)->what);
		exit(fflush(stdout) == 0 ? BED_OK : BED_E_OUTPUT);
	}
	if (bug == NULL)
		argp_error(state, "there is no bug \"%s\"; --plant list names them", name);
	return bug != NULL ? bug->id : PLANTED_NONE;
}

static error_t
parse_common(int key, char *arg, struct argp_state *state)
{
	struct cmd_common *c = state->input;

	switch (key) {
	case OPT_JSON:
		c->json = true;
		return 0;
	case OPT_RAM:
		parse_size_option(state, "ram", arg, &c->config.ram);
		return 0;
	case OPT_CPUS:
		c->config.ncpu = parse_count_option(state, "cpus", arg);
		return 0;
	case OPT_KVA:
		parse_size_option(state, "kva", arg, &c->config.kva_size);
		return 0;
	case OPT_PTPOOL:
		parse_size_option(state, "ptpool", arg, &c->config.ptpool);
		return 0;
	case OPT_GUARD:
		c->config.flags |= BED_BOOT_GUARDPAGES;
		return 0;
	case OPT_FLUSH:
		c->config.flush_threshold = parse_count_option(state, "flush-threshold", arg);
		return 0;
	case OPT_IMAGE:
		c->config.image = arg;
		return 0;
	case OPT_ENGINE:
		if (strcmp(arg, "twin") == 0)
			c->config.engine = BED_ENGINE_TWIN;
		else if (strcmp(arg, "kvm") == 0)
			c->config.engine = BED_ENGINE_KVM;
		else
			argp_error(state, "--engine=%s is no engine; there are kvm and twin", arg);
		return 0;
	case OPT_RELEASE:
		c->config.flavour = BED_RELEASE;
		return 0;
	case OPT_PLANT:
		c->config.planted = parse_bug(state, arg);
		return 0;
	case OPT_TIMEOUT:
		c->config.timeout_ms = parse_count_option(state, "timeout", arg);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

const struct argp cmd_common_argp = { options, parse_common, NULL, NULL, NULL, NULL, NULL };

static enum bed_engine_kind chosen;

const struct engine *
cmd_engine_chosen(struct bed_err *err)
{
	return chosen == BED_ENGINE_TWIN ? engine_twin() : engine_get(err);
}

/* What a subcommand's own parser finds as its input: its own struct, and ours for the child. */
struct parse_input {
	struct cmd_common *common;
	void *own;
	const struct argp *argp;
};

static error_t
parse_own(int key, char *arg, struct argp_state *state)
{
	struct parse_input *in = state->input;

	if (key == ARGP_KEY_INIT) {
		state->child_inputs[0] = in->common;
		return 0;
	}
	if (in->argp->parser != NULL) {
		error_t rc;

		state->input = in->own;
		rc = in->argp->parser(key, arg, state);
		state->input = in;
		return rc;
	}
	return ARGP_ERR_UNKNOWN;
}

void
cmd_parse(const struct argp *argp, int argc, char **argv, struct cmd_common *common, void *own)
{
	static const struct argp_child children[] = { { &cmd_common_argp, 0, NULL, 0 }, { 0 } };
	struct parse_input in = { common, own, argp };
	struct argp all = *argp;

	bed_config_init(&common->config);
	common->json = false;
	common->witnesses = CHECK_ALL;
	all.parser = parse_own;
	all.children = children;
	argp_err_exit_status = BED_E_USAGE;
	argp_parse(&all, argc, argv, 0, NULL, &in);
	chosen = common->config.engine;
}
