/* SPDX-License-Identifier: ISC */
/*
 * The list of checks: see checks.h.
 */
#include "vmm/planted/checks.h"

#include <stdio.h>
#include <string.h>

#include "vmm/audit/audit.h"
#include "vmm/tlbsan/core.h"
#include "vmm/trace/trace.h"

static const struct {
	enum checks_group group;
	const char *id, *text;
} fixed[] = {
	{ CHECKS_CALL, "frame-rule", "a call changes the mappings it must, and no other" },
	{ CHECKS_CALL, "work-stores", "one store for each page that becomes mapped" },
	{ CHECKS_CALL, "work-clears", "one store for each page that becomes unmapped" },
	{ CHECKS_CALL, "work-invlpgs", "no more INVLPGs than entries cleared or changed" },
	{ CHECKS_CALL, "work-flushes", "what was cleared is invalidated somehow" },
	{ CHECKS_CALL, "work-exits", "a call is one exit" },
	{ CHECKS_CALL, "kvm", "KVM translates what changed as the tables say" },
	{ CHECKS_CALL, "content", "memory that is promised zero is zero" },
	{ CHECKS_CALL, "ghost",
	    "a call has the result, and leaves the state, that its specification says" },
	{ CHECKS_CALL, "asleep", "a call has returned when its result is needed" },
	{ CHECKS_DEATH, "guest-assertion", "an assertion of the checked guest failed" },
	{ CHECKS_DEATH, "guest-panic", "the guest panicked" },
	{ CHECKS_DEATH, "guest-fault", "the guest died of a page fault" },
	{ CHECKS_DEATH, "guest-trap", "the guest died of another exception" },
	{ CHECKS_DEATH, "guest-triple", "triple fault" },
	{ CHECKS_DEATH, "guest-hang", "the guest did not come back" },
	{ CHECKS_DEATH, "guest-protocol", "the guest broke the contract of the share area" },
	{ CHECKS_DEATH, "guest-mmio", "an access where there is no memory" },
	{ CHECKS_DEATH, "guest-emulation", "an instruction that KVM cannot execute" },
	{ CHECKS_DEATH, "guest-kvm", "KVM ended the guest" },
};

static struct check_row rows[CHECKS_MAX];
static unsigned nrows;

static void
add(enum checks_group group, unsigned number, const char *prefix, const char *id, const char *text)
{
	struct check_row *r = &rows[nrows];

	if (nrows + 1 >= CHECKS_MAX)
		return;
	*r = (struct check_row){ .group = group, .number = number, .text = text };
	snprintf(r->id, sizeof(r->id), "%s%s", prefix, id);
	nrows++;
}

static void
add_fixed(enum checks_group group)
{
	for (size_t i = 0; i < sizeof(fixed) / sizeof(fixed[0]); i++) {
		if (fixed[i].group == group)
			add(group, 0, "", fixed[i].id, fixed[i].text);
	}
}

static const char *const tlb_texts[TLB_NKINDS] = {
#define X(name, word, text) [TLB_##name] = text,
	TLB_KINDS(X)
#undef X
};

static void
fill(void)
{
	add_fixed(CHECKS_CALL);
	for (unsigned i = 0; i < audit_rules(); i++) {
		const struct audit_rule *r = audit_rule(i);

		add(CHECKS_INVARIANT, r->number, "", r->id, r->statement);
	}
	for (unsigned i = 0; i < TLB_NKINDS; i++)
		add(CHECKS_TLB, 0, "tlb-", tlb_kind_word((enum tlb_kind)i), tlb_texts[i]);
	for (unsigned i = 0; i <= TRACE_EXPECT_LAST; i++) {
		const struct trace_line l = { .kind = TRACE_EXPECT, .which = (uint16_t)i };

		add(CHECKS_EXPECT, 0, "expect-", trace_form_of(&l)->word,
		    "an expectation of the trace");
	}
	add_fixed(CHECKS_DEATH);
}

unsigned
checks_count(void)
{
	if (nrows == 0)
		fill();
	return nrows;
}

const struct check_row *
checks_at(unsigned i)
{
	return i < checks_count() ? &rows[i] : NULL;
}

int
checks_find(const char *id, unsigned len)
{
	for (unsigned i = 0; i < checks_count(); i++) {
		if (strlen(rows[i].id) == len && memcmp(rows[i].id, id, len) == 0)
			return (int)i;
	}
	return -1;
}

const char *
checks_group_name(enum checks_group group)
{
	static const char *const names[CHECKS_GROUPS] = { [CHECKS_CALL] = "calls",
		[CHECKS_INVARIANT] = "invariants",
		[CHECKS_TLB] = "TLB sanitizer",
		[CHECKS_EXPECT] = "expectations",
		[CHECKS_DEATH] = "death" };

	return names[group];
}
