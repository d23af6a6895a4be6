# SPDX-License-Identifier: ISC
#
# Is the input well-formed XML, of the plain kind that tests/junit.awk writes (elements, attributes, text and
# character references)? Prints nothing and ends with 0, or says what is wrong and ends with 1.
{ all = all $0 "\n" }
END {
	sub(/^<\?xml[^?]*\?>\n*/, "", all)
	while (all != "") {
		if (match(all, /^[^<]+/))
			take(RLENGTH, "text")
		else if (match(all, /^<\/[a-z]+>/))
			take(RLENGTH, "leave")
		else if (match(all, /^<[a-z]+([ \n]+[a-z]+="[^"<]*")*[ \n]*\/?>/))
			take(RLENGTH, "enter")
		else
			wrong("not a tag: " substr(all, 1, 60))
	}
	if (depth != 0 || roots != 1)
		wrong(depth ? "unclosed <" stack[depth] ">" : roots + 0 " root elements")
}

function take(len, kind,    s, name) {
	s = substr(all, 1, len)
	all = substr(all, len + 1)
	name = s
	gsub(/^<\/?|[ \n\/>].*/, "", name)
	if (kind == "leave") {
		if (depth == 0 || stack[depth] != name)
			wrong("</" name "> closes <" stack[depth] ">")
		depth--
	} else if (kind == "enter") {
		roots += depth == 0
		if (s !~ /\/>$/)
			stack[++depth] = name
	} else if (depth == 0 && s !~ /^[ \n]*$/)
		wrong("text outside the root: " s)
	if (s ~ /[^ -~\n\t]/)
		wrong("a character that XML cannot hold: " s)
	gsub(/&(amp|lt|gt|quot|apos|#[0-9]+);/, "", s)
	if (s ~ /&/)
		wrong("a bare &: " s)
}

function wrong(why) {
	print "xmlcheck: " why >"/dev/stderr"
	exit 1
}
