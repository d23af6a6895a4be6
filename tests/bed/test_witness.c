/* SPDX-License-Identifier: ISC */
/*
 * --witness of run and replay: who is named looks, and nobody else.
 */
#include <string.h>

#include "tests/bed/command.h"
#include "tests/bed/fixture.h"
#include "vmm/check/check.h"

BED_TEST(witness, names)
{
	unsigned set;

	CHECK(check_parse_witnesses("all", &set) && set == CHECK_ALL, "all: %#x", set);
	CHECK(check_parse_witnesses("none", &set) && set == 0, "none: %#x", set);
	CHECK(check_parse_witnesses("ghost,mmu", &set) && set == (CHECK_GHOST | CHECK_MMU),
	    "two: %#x", set);
	CHECK(!check_parse_witnesses("", &set) && !check_parse_witnesses("ghost,", &set) &&
		  !check_parse_witnesses("ghosts", &set) && !check_parse_witnesses("gho", &set),
	    "a word that is none is taken");
}

/* What a summary must and must not say. */
BED_TEST(witness, only_who_is_named)
{
	static const struct {
		const char *option, *says, *not ;
	} row[] = {
		{ "--witness=all", "as the specification predicts", "none checked" },
		{ "--witness=none", "none checked", "specification" },
		{ "-wghost", "as the specification predicts", "invalidations owed" },
		{ "--witness=mappings,tlb", "each as its call promised", "specification" },
		{ "--witness=mmu", "translated by the engine", "pages compared" },
	};

	engine_class();
	for (size_t i = 0; i < COUNT_OF(row); i++) {
		const struct command *c = UVMBED("run", row[i].option);

		CHECK(c->code == 0, "%s: code %d: %s", row[i].option, c->code, c->err);
		CHECK(strstr(c->out, row[i].says) != NULL, "%s: \"%s\" is not in %s", row[i].option,
		    row[i].says, c->out);
		CHECK(strstr(c->out, row[i].not ) == NULL, "%s: \"%s\" is in %s", row[i].option,
		    row[i].not, c->out);
	}
	CHECK(strstr(UVMBED("run", "--json")->out, "\"witness_ns\"") != NULL, "no costs in JSON");
}

BED_TEST(witness, another_word_is_refused)
{
	const struct command *c = UVMBED("replay", "--witness=everybody", "x.trace");

	CHECK(c->code == 2 && strstr(c->err, "the witnesses are mappings, mmu, audit"), "%d: %s",
	    c->code, c->err);
}
