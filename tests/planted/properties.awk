# SPDX-License-Identifier: ISC
#
# usage: awk -f tests/planted/properties.awk KILLS tests/properties.list docs/properties.md
#
# Which properties have a test that failed with some bug planted. KILLS: a bug and a test (group::name) a
# line. A property without one is not covered: nobody has seen its tests fail.
FILENAME == ARGV[1] {
	name = $2
	sub(/::/, "/", name)
	killer[name] = killer[name] " " $1
	next
}
FILENAME == ARGV[2] {
	if ($0 ~ /^[0-9]+\|/) {
		split($0, f, "|")
		statement[f[1] + 0] = f[2]
		if (f[1] + 0 > last)
			last = f[1] + 0
	}
	next
}
/^\| [0-9]+ \|/ {
	split($0, f, "|")
	n = f[2] + 0
	m = split(f[5], test, /[`,]+/)
	for (i = 1; i <= m; i++) {
		sub(/^ *(bed|twin|unit):/, "", test[i])
		if (test[i] in killer) {
			k = split(killer[test[i]], bug, " ")
			for (j = 1; j <= k; j++) {
				if (!((n, bug[j]) in seen))
					bugs[n]++
				seen[n, bug[j]] = 1
			}
		}
	}
}
END {
	for (n = 1; n <= last; n++) {
		if (!(n in statement))
			continue
		all++
		if (bugs[n] > 0)
			covered++
		else
			missing = missing "\n  " n "  " statement[n]
	}
	printf "properties with a test that failed with a planted bug: %d of %d; not covered:%s\n", covered, all,
	    missing == "" ? " none" : missing
}
