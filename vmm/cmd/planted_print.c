/* SPDX-License-Identifier: ISC */
/*
 * The kill matrix on paper: a line a bug, the checks that no bug has killed, a grid, tables, JSON.
 */
#include <stdio.h>
#include <string.h>

#include "vmm/cmd/cmd_planted.h"

#define BUG_WIDTH 27

static void
print_ids(const struct planted_result *r, bool named, const char *nobody)
{
	bool any = false;

	for (unsigned i = 0; i < checks_count(); i++) {
		if (r->seen.at[i] == 0 || r->named[i] != named)
			continue;
		printf("%s%s", any ? " " : "", checks_at(i)->id);
		any = true;
	}
	if (!any)
		printf("%s", nobody);
}

static const char *
verdict_text(enum planted_verdict v)
{
	static const char *const text[] = { [PLANTED_KILLED] = "killed",
		[PLANTED_SURVIVED] = "survived",
		[PLANTED_BY_OTHERS] = "killed by others",
		[PLANTED_MISSED] = "missed",
		[PLANTED_LATE] = "trace too long",
		[PLANTED_BAD_TRACE] = "bad trace",
		[PLANTED_UNKNOWN] = "unknown check",
		[PLANTED_NOT_JUDGED] = "not judged" };

	return text[v];
}

void
planted_print_row(const struct planted_result *r, bool first)
{
	if (first)
		printf("%s%-*s %-5s  %s%s\n", cmd_bold(), BUG_WIDTH, "bug", "seen",
		    "killed by (also seen by)", cmd_plain());
	printf("%-*s ", BUG_WIDTH, r->bug->name);
	if (r->seen.first != 0 && r->verdict != PLANTED_BAD_TRACE)
		printf("%2u/%-2u  ", r->seen.first, r->seen.operations);
	else
		printf("%5s  ", "-");
	if (r->verdict != PLANTED_KILLED) {
		printf(
		    "%sFAIL %s%s: %s\n", cmd_red(), verdict_text(r->verdict), cmd_plain(), r->why);
		if (r->verdict == PLANTED_SURVIVED || r->verdict > PLANTED_MISSED)
			return;
		printf("%*s       seen by: ", BUG_WIDTH, "");
	}
	print_ids(r, true, "");
	printf("%s (", cmd_dim());
	print_ids(r, false, "-");
	printf(")%s\n", cmd_plain());
	fflush(stdout);
}

/* How many bugs a check has killed, among those that name it. */
static unsigned
kills(const struct planted_result *r, unsigned n, unsigned check)
{
	unsigned k = 0;

	for (unsigned i = 0; i < n; i++)
		k += r[i].verdict == PLANTED_KILLED && r[i].named[check];
	return k;
}

static void
print_grid(const struct planted_result *r, unsigned n)
{
	printf("\n%s# killed by, + also seen by; columns as the list below%s\n", cmd_dim(),
	    cmd_plain());
	for (unsigned i = 0; i < n; i++) {
		printf("%-*s ", BUG_WIDTH, r[i].bug->name);
		for (unsigned c = 0; c < checks_count(); c++) {
			bool gap = c > 0 && checks_at(c)->group != checks_at(c - 1)->group;

			printf("%s%c", gap ? " " : "",
			    r[i].seen.at[c] == 0 ? '.'
			    : r[i].named[c]      ? '#'
						 : '+');
		}
		putchar('\n');
	}
	for (unsigned c = 0; c < checks_count(); c++)
		printf("%3u %-20s killed %u\n", c + 1, checks_at(c)->id, kills(r, n, c));
}

static void
print_coverage(const struct planted_result *r, unsigned n, enum checks_group group)
{
	unsigned all = 0, covered = 0;

	for (unsigned c = 0; c < checks_count(); c++) {
		if (checks_at(c)->group != group)
			continue;
		all++;
		covered += kills(r, n, c) > 0;
	}
	printf("  %-14s %2u of %2u", checks_group_name(group), covered, all);
	if (covered < all)
		printf("; not covered:");
	for (unsigned c = 0; c < checks_count(); c++) {
		if (checks_at(c)->group == group && kills(r, n, c) == 0)
			printf(" %s", checks_at(c)->id);
	}
	putchar('\n');
}

int
planted_print_summary(const struct planted_result *r, unsigned n, const struct planted_show *show)
{
	unsigned killed = 0, covered = 0;

	if (show->grid)
		print_grid(r, n);
	for (unsigned i = 0; i < n; i++)
		killed += r[i].verdict == PLANTED_KILLED;
	for (unsigned c = 0; c < checks_count(); c++)
		covered += kills(r, n, c) > 0;
	printf("\nchecks that killed a bug named for them: %u of %u\n", covered, checks_count());
	for (unsigned g = 0; g < CHECKS_GROUPS; g++)
		print_coverage(r, n, (enum checks_group)g);
	printf("planted bugs: %u of %u killed by the checks named for them\n", killed, n);
	return BED_OK;
}

void
planted_print_cross(const char *file, const struct sightings *seen)
{
	const char *slash = strrchr(file, '/');

	if (seen->first == 0)
		return;
	printf("  %s:%u", slash != NULL ? slash + 1 : file, seen->first);
	for (unsigned i = 0; i < checks_count(); i++) {
		if (seen->at[i] == seen->first) {
			printf(" %s", checks_at(i)->id);
			break;
		}
	}
}

/* Does the list of words hold this one? */
static bool
has_word(const char *list, const char *word)
{
	size_t len = strlen(word);

	for (const char *p = list; (p = strstr(p, word)) != NULL; p += len) {
		if ((p == list || p[-1] == ' ') && (p[len] == ' ' || p[len] == '\0'))
			return true;
	}
	return false;
}

static void
print_check_row(unsigned c)
{
	const struct check_row *row = checks_at(c);
	unsigned n = 0;

	printf("| `%s` | %s |", row->id, row->text);
	for (unsigned i = 0; i < planted_count(); i++) {
		if (has_word(planted_at(i)->killers, row->id))
			printf("%s `%s`", n++ > 0 ? "," : "", planted_at(i)->name);
	}
	printf("%s |\n", n == 0 ? " none" : "");
}

void
planted_print_markdown(void)
{
	printf("| Bug | What it does wrong | Seen in | Killed by |\n|---|---|---|---|\n");
	for (unsigned i = 0; i < planted_count(); i++) {
		const struct planted *p = planted_at(i);

		printf("| `%s` | %s | %s | %s |\n", p->name, p->what, p->origin, p->killers);
	}
	printf("\n| Check | Statement | Bugs it must kill |\n|---|---|---|\n");
	for (unsigned c = 0; c < checks_count(); c++)
		print_check_row(c);
}

static json_t *
ids_json(const struct planted_result *r, bool named)
{
	json_t *list = json_array();

	for (unsigned i = 0; i < checks_count(); i++) {
		if (r->seen.at[i] != 0 && r->named[i] == named)
			json_array_append_new(
			    list, json_pack("{s:s, s:i}", "check", checks_at(i)->id, "operation",
				      (int)r->seen.at[i]));
	}
	return list;
}

json_t *
planted_json(const struct planted_result *r, unsigned n)
{
	json_t *bugs = json_array(), *uncovered = json_array();

	for (unsigned i = 0; i < n; i++)
		json_array_append_new(
		    bugs, json_pack("{s:s, s:s, s:s, s:s, s:i, s:i, s:o, s:o}", "bug",
			      r[i].bug->name, "what", r[i].bug->what, "verdict",
			      verdict_text(r[i].verdict), "why", r[i].why, "operations",
			      (int)r[i].seen.operations, "first", (int)r[i].seen.first, "killers",
			      ids_json(&r[i], true), "others", ids_json(&r[i], false)));
	for (unsigned c = 0; c < checks_count(); c++) {
		if (kills(r, n, c) == 0)
			json_array_append_new(uncovered, json_string(checks_at(c)->id));
	}
	return json_pack("{s:o, s:o, s:o}", "context", cmd_json_context(), "bugs", bugs,
	    "not_covered", uncovered);
}
