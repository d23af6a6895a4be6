/* SPDX-License-Identifier: ISC */
/*
 * uvmbed engine: what this host's KVM is, what it offers, and what of it a guest gets.
 */
#include <stdio.h>

#include "vmm/cmd/cmd.h"
#include "vmm/kvm/engine.h"
#include "vmm/kvm/hv.h"
#include "vmm/planted/probe.h"

struct options {
	bool class_only, probe;
};

static error_t
parse(int key, char *arg, struct argp_state *state)
{
	struct options *o = state->input;

	(void)arg;
	switch (key) {
	case 'c':
		o->class_only = true;
		return 0;
	case 'p':
		o->probe = true;
		return 0;
	case ARGP_KEY_ARG:
		argp_usage(state);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

/* Do stale translations show here? Says so; an exit code. */
static int
show_probe(const struct engine *e, bool json)
{
	struct bed_err err = { 0 };
	struct probe p;

	if (!probe_stale(&p, &err))
		return cmd_error(&err);
	if (json)
		return cmd_print_json(json_pack("{s:o, s:s, s:i, s:i, s:i, s:i, s:b}", "context",
		    cmd_json_context(), "bug", p.bug, "vcpus", (int)p.ncpu, "rounds", (int)p.rounds,
		    "seen", (int)p.seen, "control", (int)p.control, "vacuous", p.seen == 0));
	printf("stale translations seen: %u/%u with %s planted, %u vCPU (%s%s: %s)\n", p.seen,
	    p.rounds, p.bug, p.ncpu, e->name, e->tcg ? "/tcg" : "",
	    p.seen == 0 ? "vacuous: tests that look for them cannot fail here"
			: "tests that look for them can fail here");
	printf("stale translations seen: %u/%u without\n", p.control, p.rounds);
	return BED_OK;
}

static json_t *
caps_json(struct bed_err *err)
{
	json_t *caps = json_array();
	struct hv_cap cap;

	for (unsigned i = 0; hv_cap_row(i, &cap, err); i++)
		json_array_append_new(caps,
		    json_pack("{s:s, s:i, s:b, s:i, s:s}", "name", cap.name, "number",
			(int)cap.number, "needed", cap.needed, "value", cap.value, "why", cap.why));
	return caps;
}

static json_t *
cpuid_json(struct bed_err *err)
{
	json_t *bits = json_array();
	struct hv_cpuid_bit bit;

	for (unsigned i = 0; hv_cpuid_row(i, &bit, err); i++)
		json_array_append_new(
		    bits, json_pack("{s:s, s:b}", "name", bit.name, "offered", bit.offered));
	return bits;
}

static void
print_engine(const struct engine *e, struct bed_err *err)
{
	struct hv_cap cap;
	struct hv_cpuid_bit bit;

	printf("%sengine%s %s%s: %s\nhost   %s\n\n", cmd_bold(), cmd_plain(), e->name,
	    e->tcg ? " (inside QEMU TCG)" : "", e->evidence, e->cpu);
	printf("%scapabilities%s\n", cmd_bold(), cmd_plain());
	for (unsigned i = 0; hv_cap_row(i, &cap, err); i++)
		printf("  %-34s %-8s %-4s %s%s%s\n", cap.name, cap.needed ? "needed" : "optional",
		    cap.value ? "yes" : "no", cmd_dim(), cap.why, cmd_plain());
	printf("\n%sCPU model of the guest%s\n ", cmd_bold(), cmd_plain());
	for (unsigned i = 0; hv_cpuid_row(i, &bit, err); i++)
		printf(" %s%s", bit.offered ? "" : "-", bit.name);
	printf("\n  (-name: not offered here)\n");
}

int
cmd_engine(int argc, char **argv)
{
	static const struct argp_option options[] = {
		{ "class", 'c', NULL, 0, "print only the engine's one-word class", 0 },
		{ "probe", 'p', NULL, 0,
		    "plant a missing invalidation and count how often the stale translation shows",
		    0 },
		{ 0 },
	};
	static const struct argp argp = { options, parse, NULL,
		"Say what kind of KVM this host has (ept, npt, shadow or interp) and what it offers.",
		NULL, NULL, NULL };
	struct cmd_common common;
	struct bed_err err = { 0 };
	const struct engine *e;
	struct options o = { 0 };

	cmd_parse(&argp, argc, argv, &common, &o);
	e = engine_get(&err);
	if (e == NULL)
		return cmd_error(&err);
	if (o.probe)
		return show_probe(e, common.json);
	if (o.class_only) {
		printf("%s\n", e->name);
		return BED_OK;
	}
	if (common.json)
		return cmd_print_json(json_pack("{s:o, s:o, s:o}", "context", cmd_json_context(),
		    "capabilities", caps_json(&err), "cpuid", cpuid_json(&err)));
	print_engine(e, &err);
	return BED_OK;
}
