/* SPDX-License-Identifier: ISC */
/*
 * uvmbed engine: what this host's KVM is, what it offers, and what of it a guest gets.
 */
#include <stdio.h>

#include "vmm/cmd/cmd.h"
#include "vmm/kvm/engine.h"
#include "vmm/kvm/hv.h"

static error_t
parse(int key, char *arg, struct argp_state *state)
{
	bool *class_only = state->input;

	(void)arg;
	if (key != 'c')
		return key == ARGP_KEY_ARG ? (argp_usage(state), 0) : ARGP_ERR_UNKNOWN;
	*class_only = true;
	return 0;
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
		{ 0 },
	};
	static const struct argp argp = { options, parse, NULL,
		"Say what kind of KVM this host has (ept, npt, shadow or interp) and what it offers.",
		NULL, NULL, NULL };
	struct cmd_common common;
	struct bed_err err = { 0 };
	const struct engine *e;
	bool class_only = false;

	cmd_parse(&argp, argc, argv, &common, &class_only);
	e = engine_get(&err);
	if (e == NULL)
		return cmd_error(&err);
	if (class_only) {
		printf("%s\n", e->name);
		return BED_OK;
	}
	if (common.json)
		return cmd_print_json(json_pack("{s:o, s:o, s:o}", "context", cmd_json_context(),
		    "capabilities", caps_json(&err), "cpuid", cpuid_json(&err)));
	print_engine(e, &err);
	return BED_OK;
}
