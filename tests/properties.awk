# SPDX-License-Identifier: ISC
#
# usage: awk -f tests/properties.awk tests/properties.list TEST-FILE... DOCUMENT
#
# Prints the document with the table between its two marker lines made anew: each property of the list with
# the tests that are tagged with it and the kinds of map they do it in. A tag is a comment of its own
# directly above a BED_TEST (one or several; prose comments may stand above them), or a line of a trace:
#
#	/* property 12 13: kernel_map exec_map */
#	# property 21: exec_map
#
# After the colon: the maps that the property is checked in; where no map is concerned, "pages" (physical
# memory), "tables" (page tables) or "map" (a bare map structure).
# Exit code 1, with the reasons on stderr: a tag that is malformed, stands above no test or names no property
# or map; and a property that is demanded and has no test.

BEGIN {
	split("kernel_map kmem_map exec_map phys_map submap nested pages tables map", k, " ")
	for (i = 1; i in k; i++)
		known[k[i]] = i
	nkinds = i - 1
}

function bad(text) {
	print FILENAME ":" FNR ": " text >"/dev/stderr"
	failed = 1
}

function tag(text, name,    part, n, i, num, m, maps) {
	sub(/^property +/, "", text)
	if (split(text, part, /: */) != 2) {
		bad("a tag is `property NUMBER...: MAP...'")
		return
	}
	n = split(part[1], num, " ")
	m = split(part[2], maps, " ")
	if (n == 0 || m == 0)
		bad("a tag is `property NUMBER...: MAP...'")
	for (i = 1; i <= n; i++) {
		if (!(num[i] in statement)) {
			bad("no property " num[i])
			continue
		}
		if (index(tests[num[i]] ", ", "`" name "`, ") == 0)
			tests[num[i]] = tests[num[i]] (tests[num[i]] == "" ? "" : ", ") "`" name "`"
		for (j = 1; j <= m; j++) {
			if (maps[j] in known)
				in_map[num[i], maps[j]] = 1
			else
				bad("no map \"" maps[j] "\"")
		}
	}
}

function orphan() {
	if (npending > 0)
		bad("the tag above this line is not directly above a BED_TEST")
	npending = 0
}

function maps_of(num,    i, text) {
	for (i = 1; i <= nkinds; i++) {
		if ((num, k[i]) in in_map)
			text = text (text == "" ? "" : ", ") k[i]
	}
	return text
}

function table(    i, n) {
	for (i = 1; i <= nline; i++) {
		if (line[i] ~ /^=/) {
			print "\n## " substr(line[i], 3) "\n"
			print "| | property | seen by | tests | maps |"
			print "|---|---|---|---|---|"
			continue
		}
		n = line[i]
		if (tests[n] == "" && needs[n] == "") {
			print "properties: no test is tagged with property " n ": " statement[n] >"/dev/stderr"
			failed = 1
		}
		if (tests[n] != "")
			covered++
		printf "| %d | %s | %s | %s | %s |\n", n, statement[n], who[n],
		    tests[n] != "" ? tests[n] : needs[n] != "" ? "needs several vCPUs" : "**none**", maps_of(n)
	}
	printf "\n%d of %d properties have a test.\n\n", covered, nprop
}

FNR == 1 {
	orphan()
	kind = FILENAME ~ /\.list$/ ? "list" : FILENAME ~ /\.trace$/ ? "trace" : FILENAME ~ /\.c$/ ? "test" : "doc"
	suite = FILENAME
	sub(/\/[^\/]*$/, "", suite)
	sub(/^.*\//, "", suite)
	base = FILENAME
	sub(/^.*\//, "", base)
}

kind == "list" {
	if ($0 ~ /^#/ || $0 == "")
		next
	if ($0 ~ /^=/) {
		line[++nline] = $0
		next
	}
	if (split($0, f, "|") != 4 || f[1] !~ /^[0-9]+$/ || f[2] == "" || f[3] == "" || f[4] !~ /^(vcpus)?$/) {
		bad("a property is number|statement|who|needs")
		next
	}
	if (f[1] in statement)
		bad("property " f[1] " is there twice")
	nprop++
	line[++nline] = f[1]
	statement[f[1]] = f[2]
	who[f[1]] = f[3]
	needs[f[1]] = f[4]
	next
}

kind == "trace" {
	if ($0 ~ /^# property /)
		tag(substr($0, 3), "corpus/" base)
	next
}

kind == "test" {
	if ($0 ~ /^\/\* property .*\*\/$/) {
		text = substr($0, 4)
		sub(/ *\*\/$/, "", text)
		pending[++npending] = text
	} else if ($0 ~ /^BED_TEST\(/) {
		name = $0
		sub(/^BED_TEST\(/, "", name)
		sub(/\).*/, "", name)
		sub(/, */, "/", name)
		sub(/,.*/, "", name)
		for (i = 1; i <= npending; i++)
			tag(pending[i], suite ":" name)
		npending = 0
	} else {
		orphan()
		if ($0 ~ /^[ \t]*(\/?\*|\/\/) *property [0-9]/)
			bad("a tag is a comment of its own, on one line")
	}
	next
}

kind == "doc" {
	if ($0 == "<!-- end of the table -->")
		inside = 0
	if (!inside)
		print
	if ($0 == "<!-- table: made by `make properties` -->") {
		inside = found = 1
		table()
	}
}

END {
	if (!found && !failed) {
		print "properties: the document has no line for the table" >"/dev/stderr"
		failed = 1
	}
	exit failed
}
