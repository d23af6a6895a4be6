# SPDX-License-Identifier: ISC
#
# Reads BUILD-DIR/tests/verdicts (tests/judge.awk), prints it as one TAP stream.
BEGIN { FS = "\t" }
$1 == "time" { next }
{
	gsub(/\v/, " / ", $3)
	gsub(/#/, "", $3)
	line = ($1 == "fail" || $1 == "xfail" ? "not ok " : "ok ") ++n " - " $2
	if ($1 == "skip")
		line = line " # SKIP " $3
	else if ($1 == "vacuous")
		line = line " # SKIP vacuous: " $3
	else if ($1 == "xfail")
		line = line " # TODO " $3
	else if ($1 == "fail")
		line = line "\n# " $3
	lines[n] = line
}
END {
	printf "TAP version 13\n1..%d\n", n
	for (i = 1; i <= n; i++)
		print lines[i]
}
