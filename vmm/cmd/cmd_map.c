/* SPDX-License-Identifier: ISC */
/*
 * uvmbed map: every mapping of a freshly booted guest; uvmbed walk: one address, level by level. With
 * --trace FILE both look at the guest after that program has run.
 */
#include <stdio.h>
#include <string.h>

#include "vmm/cmd/cmd.h"
#include "vmm/trace/replay.h"
#include "vmm/view/json.h"
#include "vmm/view/print.h"

struct look {
	const char *trace;
	bool all, tables;
	uint64_t address;
	bool have_address;
};

static const struct argp_option map_options[] = {
	{ "trace", 't', "FILE", 0, "run this program first", 0 },
	{ "all", 'a', NULL, 0, "one line a run of frames: do not fold", 0 },
	{ "tables", 'T', NULL, 0, "list the table pages too", 0 },
	{ 0 },
};

static const struct argp_option walk_options[] = {
	{ "trace", 't', "FILE", 0, "run this program first", 0 },
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

int
cmd_map(int argc, char **argv)
{
	static const struct argp argp = { map_options, parse_map, NULL,
		"Boot a guest and show everything its page tables map.", NULL, NULL, NULL };
	struct cmd_common common;
	struct look look = { 0 };
	struct bed_err err = { 0 };
	struct snapshot snap = { 0 };
	struct view view;
	struct bed *bed;
	int rc = BED_OK;

	cmd_parse(&argp, argc, argv, &common, &look);
	bed = bed_to_look_at(&common, &look, &err);
	if (bed == NULL)
		return cmd_error(&err);
	view = bed_view(bed);
	if (!snapshot_take(&snap, &view, NULL, &err))
		rc = cmd_error(&err);
	else if (common.json)
		rc = cmd_print_json(json_pack(
		    "{s:o, s:o}", "context", cmd_json_context(), "map", view_snapshot_json(&snap)));
	else
		view_map_print(stdout, &snap, &(struct map_style){ look.all, look.tables });
	snapshot_free(&snap);
	bed_destroy(bed);
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
	struct view view;
	struct walk walk;
	struct bed *bed;
	int rc = BED_OK;

	cmd_parse(&argp, argc, argv, &common, &look);
	bed = bed_to_look_at(&common, &look, &err);
	if (bed == NULL)
		return cmd_error(&err);
	view = bed_view(bed);
	walk = view_walk(&view, GVA(look.address));
	if (common.json)
		rc = cmd_print_json(json_pack(
		    "{s:o, s:o}", "context", cmd_json_context(), "walk", view_walk_json(&walk)));
	else {
		view_walk_print(stdout, &walk);
		print_second_opinion(bed, &walk);
	}
	bed_destroy(bed);
	return rc;
}
