# SPDX-License-Identifier: ISC
#
# Reads, in this order: the names of the tests that must run, tests/allowed-skips, the log of bedtest.h,
# Criterion's TAP. Prints one line a test: verdict, name, reason (tab separated), and a "time" line.
# verdicts: pass fail skip vacuous xfail
# With list=FILE only the tests it names had to run; an engine "stock-npt" is allowed what "npt" is.
BEGIN {
	class = engine
	sub(/^stock-/, "", class)
	while (list != "" && (getline name < list) > 0) {
		must[name] = 1
		nmust++
	}
	name = ""
}

FILENAME == ARGV[1] { want[$1] = 1; nwant++; next }

# engine pattern reason...
FILENAME == ARGV[2] {
	if ($0 !~ /^#/ && NF >= 3 && ($1 == engine || $1 == class || $1 == "any")) {
		nallow++
		allow[nallow] = $2
	}
	next
}

FILENAME == ARGV[3] {
	split($0, f, "\t")
	if (f[1] == "begin")
		begun[f[2]]++
	else if (f[1] == "end")
		ended[f[2]]++
	else
		said[f[1], f[2]] = f[3] == "" ? "no reason given" : f[3]
	next
}

/^(not )?ok - / {
	finish()
	ok = /^ok/
	sub(/^(not )?ok - /, "")
	name = $1
	rest = substr($0, length(name) + 1)
	reason = ""
	collecting = !ok
	next
}

collecting && /failures:/ { infail = 1; next }
collecting && /^  \.\.\./ { collecting = infail = 0; next }
collecting && infail && length(reason) < 1500 {
	sub(/^ */, "")
	reason = reason (reason == "" ? "" : "\v") $0
}

END {
	finish()
	for (t in want)
		if (!(t in seen) && (filter == "" || t in must))
			verdict("fail", t, "did not run")
	if (nwant == 0 || (filter == "@()" && nmust == 0))
		verdict("fail", suite, "no tests to run")
	printf "time\t%s\t%d\t%d\n", suite, nseen, secs
	if (nfail == 0 && rc != 0 && nx == 0)
		verdict("fail", suite, "test program ended with status " rc)
}

function allowed(t,    i) {
	for (i = 1; i <= nallow; i++)
		if (t ~ ("^" allow[i] "$"))
			return 1
	return 0
}

function verdict(v, t, why) {
	if (v == "fail")
		nfail++
	if (v == "xfail")
		nx++
	gsub(/\t/, " ", why)
	printf "%s\t%s\t%s\n", v, t, why
}

function finish(    v) {
	if (name == "")
		return
	nseen++
	if (name in seen)
		verdict("fail", name, "reported twice")
	seen[name] = 1
	if (!(name in want))
		verdict("fail", name, "is not in the sources")
	if (rest ~ /# SKIP/) {
		v = (("vacuous", name) in said) ? "vacuous" : "skip"
		if (!((v, name) in said) && filter != "" && !(name in must)) {
			nseen-- # left out by the filter
			name = ""
			return
		}
		if (!((v, name) in said))
			verdict("fail", name, "skipped without saying why")
		else if (!allowed(name))
			verdict("fail", name, v " on " engine " is not listed in tests/allowed-skips: " said[v, name])
		else
			verdict(v, name, said[v, name])
	} else if (!ok) {
		if (("xfail", name) in said)
			verdict("xfail", name, said["xfail", name])
		else
			verdict("fail", name, reason == "" ? rest : reason)
	} else if (("xfail", name) in said)
		verdict("fail", name, "passed, but was expected to fail: " said["xfail", name])
	else if (ended[name] != 1 || begun[name] != 1)
		verdict("fail", name, "the test process ended before the body of the test did")
	else
		verdict("pass", name, "")
	name = ""
}
