/* SPDX-License-Identifier: ISC */
/*
 * uvmbed map: every mapping of a freshly booted guest; uvmbed walk: one address, level by level. With
 * --trace FILE both look at the guest after that program has run, with --core FILE at one that is gone.
 */
#include <stdio.h>
#include <string.h>

#include "vmm/bundle/core.h"
#include "vmm/cmd/cmd.h"
#include "vmm/trace/replay.h"
#include "vmm/view/json.h"
#include "vmm/view/print.h"

struct look {
	const char *trace, *core;
	bool all, tables;
	uint64_t address;
	bool have_address;
};

#define CORE_OPTION                                                                              \
	{                                                                                        \
		"core", 'c', "FILE", 0, "look at this core of a failure bundle, boot nothing", 0 \
	}

static const struct argp_option map_options[] = {
	{ "trace", 't', "FILE", 0, "run this program first", 0 },
	CORE_OPTION,
	{ "all", 'a', NULL, 0, "one line a run of frames: do not fold", 0 },
	{ "tables", 'T', NULL, 0, "list the table pages too", 0 },
	{ 0 },
};

static const struct argp_option walk_options[] = {
	{ "trace", 't', "FILE", 0, "run this program first", 0 },
	CORE_OPTION,
	{ 0 },
};

static error_t
parse(int key, char *arg, struct argp_state *state)
{
	struct look *look = state->input;

	switch (key) {
	case 't':
		look->trace = arg;
		return 0;
	case 'c':
		look->core = arg;
		return 0;
	case 'a':
		look->all = true;
		return 0;
	case 'T':
		look->tables = true;
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static error_t
parse_map(int key, char *arg, struct argp_state *state)
{
	if (key == ARGP_KEY_ARG)
		argp_error(
		    state, "map takes no argument; uvmbed walk ADDRESS looks at one address");
	return parse(key, arg, state);
}

static error_t
parse_walk(int key, char *arg, struct argp_state *state)
{
	struct look *look = state->input;

	if (key == ARGP_KEY_ARG) {
		if (look->have_address || !cmd_parse_address(arg, &look->address))
			argp_error(state, "\"%s\" is no address; give one, in hexadecimal", arg);
		look->have_address = true;
		return 0;
	}
	if (key == ARGP_KEY_END && !look->have_address)
		argp_error(state, "which address?");
	return parse(key, arg, state);
}

/* What is looked at: a bed, or a core of one. */
struct sight {
	struct bed *bed; /* NULL: a core */
	struct core core;
	struct view view;
};

/* A bed, after its trace if there is one. */
static struct bed *
bed_to_look_at(struct cmd_common *common, const struct look *look, struct bed_err *err)
{
	struct trace trace = { 0 };
	struct check *check = NULL;
	struct bed *bed = NULL;
	bool ok = true;

	if (look->trace != NULL)
		ok = trace_load(&trace, look->trace, err) &&
		     trace_config(&trace, &common->config, err);
	if (ok)
		ok = (bed = bed_create(&common->config, err)) != NULL;
	if (ok && look->trace != NULL)
		ok = (check = check_new(bed, err)) != NULL &&
		     trace_replay(&trace, bed, check, NULL, NULL, err);
	check_free(check);
	trace_free(&trace);
	if (ok)
		return bed;
	bed_destroy(bed);
	return NULL;
}

static bool
sight_open(struct sight *s, struct cmd_common *common, const struct look *look, struct bed_err *err)
{
	*s = (struct sight){ .bed = NULL };
	if (look->core != NULL && look->trace != NULL)
		return bed_fail(err, BED_E_USAGE, "--core and --trace exclude each other");
	if (look->core != NULL) {
		if (!core_open(&s->core, look->core, err))
			return false;
		s->view = s->core.view;
		return true;
	}
	s->bed = bed_to_look_at(common, look, err);
	if (s->bed == NULL)
		return false;
	s->view = bed_view(s->bed);
	return true;
}

static void
sight_close(struct sight *s)
{
	core_close(&s->core);
	bed_destroy(s->bed);
}

int
cmd_map(int argc, char **argv)
{
	static const struct argp argp = { map_options, parse_map, NULL,
		"Boot a guest and show everything its page tables map.", NULL, NULL, NULL };
	struct cmd_common common;
	struct look look = { 0 };
	struct bed_err err = { 0 };
	struct snapshot snap = { 0 };
	struct sight sight;
	int rc = BED_OK;

	cmd_parse(&argp, argc, argv, &common, &look);
	if (!sight_open(&sight, &common, &look, &err))
		return cmd_error(&err);
	if (!snapshot_take(&snap, &sight.view, NULL, &err))
		rc = cmd_error(&err);
	else if (common.json)
		rc = cmd_print_json(json_pack(
		    "{s:o, s:o}", "context", cmd_json_context(), "map", view_snapshot_json(&snap)));
	else
		view_map_print(stdout, &snap, &(struct map_style){ look.all, look.tables });
	snapshot_free(&snap);
	sight_close(&sight);
	return rc;
}

static void
print_second_opinion(struct bed *bed, const struct walk *walk)
{
	gpa_t pa;
	bool mapped = bed_translate(bed, walk->va, &pa);

	if (mapped)
		printf("KVM_TRANSLATE says %#llx", (unsigned long long)pa.v);
	else
		printf("KVM_TRANSLATE says unmapped");
	if (mapped != walk_mapped(walk) || (mapped && pa.v != walk->pa.v))
		printf(" %s-- and disagrees with the tables%s", cmd_red(), cmd_plain());
	putchar('\n');
}

int
cmd_walk(int argc, char **argv)
{
	static const struct argp argp = { walk_options, parse_walk, "ADDRESS",
		"Boot a guest and take one address through its four levels of page tables.", NULL,
		NULL, NULL };
	struct cmd_common common;
	struct look look = { 0 };
	struct bed_err err = { 0 };
	struct sight sight;
	struct walk walk;
	int rc = BED_OK;

	cmd_parse(&argp, argc, argv, &common, &look);
	if (!sight_open(&sight, &common, &look, &err))
		return cmd_error(&err);
	walk = view_walk(&sight.view, GVA(look.address));
	if (common.json)
		rc = cmd_print_json(json_pack(
		    "{s:o, s:o}", "context", cmd_json_context(), "walk", view_walk_json(&walk)));
	else {
		view_walk_print(stdout, &walk);
		if (sight.bed != NULL)
			print_second_opinion(sight.bed, &walk);
	}
	sight_close(&sight);
	return rc;
}
