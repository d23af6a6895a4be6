/* SPDX-License-Identifier: ISC */
/*
 * The table of invariants: in order, each named once, and as docs/invariants.md has it.
 */
#include <stdio.h>
#include <string.h>

#include "tests/bedtest.h"
#include "vmm/audit/audit.h"

BED_TEST(audit_rules, numbers_ascend_and_names_differ)
{
	cr_assert(audit_rules() > 40);
	for (unsigned i = 0; i < audit_rules(); i++) {
		const struct audit_rule *r = audit_rule(i);

		cr_assert(i == 0 || audit_rule(i - 1)->number < r->number,
		    "rule %u is out of order", r->number);
		cr_assert(
		    r->id[0] != '\0' && r->statement[0] != '\0', "rule %u says nothing", r->number);
		for (unsigned k = 0; k < i; k++)
			cr_assert(strcmp(audit_rule(k)->id, r->id) != 0, "two rules are called %s",
			    r->id);
	}
}

/* Row for row. */
BED_TEST(audit_rules, the_document_is_the_table)
{
	FILE *doc = fopen("docs/invariants.md", "r");
	char line[1000], want[1000];
	unsigned i = 0;

	cr_assert(doc != NULL, "no docs/invariants.md here; tests run where the sources are");
	while (fgets(line, sizeof(line), doc) != NULL) {
		if (line[0] != '|' || line[2] < '0' || line[2] > '9')
			continue;
		cr_assert(i < audit_rules(), "the document has a row too many: %s", line);
		snprintf(want, sizeof(want), "| %u | `%s` | %s | %s |\n", audit_rule(i)->number,
		    audit_rule(i)->id, audit_rule(i)->statement,
		    audit_rule(i)->kind == AUDIT_ALWAYS ? "every call" : "`uvmbed audit`");
		cr_assert(
		    strcmp(line, want) == 0, "the document says\n%sthe table\n%s", line, want);
		i++;
	}
	fclose(doc);
	cr_assert(i == audit_rules(), "the document has %u rows of %u", i, audit_rules());
}
