# SPDX-License-Identifier: ISC
#
# usage: awk -v engine=ENGINE -f tests/junit.awk BUILD-DIR/tests/verdicts TAP...
#
# Prints the verdicts of tests/judge.awk as JUnit XML, with the times that Criterion's TAP gives. (Criterion's
# own XML is not well-formed for messages of several lines or with markup in them.) Skips, vacuous verdicts
# and expected failures are all "skipped" there, the message says which.
BEGIN { FS = "\t" }
FILENAME == ARGV[1] {
	if ($1 == "time") {
		total += $4
		next
	}
	verdict[++n] = $1
	name[n] = $2
	reason[n] = $3
	count[$1]++
	next
}
/^(not )?ok - / && match($0, /\([0-9.]+s\)/) {
	secs = substr($0, RSTART + 1, RLENGTH - 3)
	sub(/^(not )?ok - /, "")
	sub(/ .*/, "")
	took[$0] = secs
}
END {
	print "<?xml version=\"1.0\" encoding=\"UTF-8\"?>"
	printf "<testsuites>\n<testsuite name=\"uvmbed.%s\" tests=\"%d\" failures=\"%d\" errors=\"0\" skipped=\"%d\" time=\"%d\">\n",
	    attr(engine), n, count["fail"], count["skip"] + count["vacuous"] + count["xfail"], total
	for (i = 1; i <= n; i++)
		testcase(i)
	print "</testsuite>\n</testsuites>"
}

function testcase(i,    at, suite, test) {
	at = index(name[i], "::")
	suite = at ? substr(name[i], 1, at - 1) : engine
	test = at ? substr(name[i], at + 2) : name[i]
	printf "<testcase classname=\"%s\" name=\"%s\" time=\"%s\"", attr(suite), attr(test),
	    name[i] in took ? took[name[i]] : "0"
	if (verdict[i] == "pass")
		print "/>"
	else if (verdict[i] == "fail")
		printf ">\n<failure message=\"%s\">%s</failure>\n</testcase>\n", attr(first(reason[i])), text(reason[i])
	else
		printf ">\n<skipped message=\"%s: %s\"/>\n</testcase>\n", verdict[i] == "xfail" ? "expected failure" : verdict[i],
		    attr(reason[i])
}

function first(s) {
	sub(/^- /, "", s)
	sub(/ \|\+\v/, " ", s) # Criterion's "file:line: |+", the message on the next line
	sub(/\v.*/, "", s)
	return s
}

# \v stands for a newline in the verdicts. What XML 1.0 cannot hold, and any byte beyond ASCII (a message may
# have been cut inside a character), becomes "?".
function text(s) {
	gsub(/\v/, "\n", s)
	gsub(/[^ -~\n]/, "?", s)
	gsub(/&/, "\\&amp;", s)
	gsub(/</, "\\&lt;", s)
	gsub(/>/, "\\&gt;", s)
	return s
}

function attr(s) {
	s = text(s)
	gsub(/"/, "\\&quot;", s)
	gsub(/\n/, "\\&#10;", s)
	return s
}
