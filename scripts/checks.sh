# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash disable=SC2034 # for the tests that include this
#
# For tests of scripts: each check is counted, the last line says how many passed.

passed=0 failed=0

# check NAME COMMAND...: passes if the command succeeds; else its output is shown.
check() {
	local output
	if output=$("${@:2}" 2>&1 </dev/null); then
		passed=$((passed + 1))
	else
		failed=$((failed + 1))
		printf 'FAILED  %s\n%s\n' "$1" "$output"
	fi
}

# For a test's end, also when that comes too early.
finish_checks() { # STATUS
	(($1 == 0 || failed > 0)) || failed=1
	printf '%d passed, %d failed\n' "$passed" "$failed"
	exit $((failed > 0))
}

# For checks:

fails() { ! "$@"; }

same() { # TEXT TEXT
	diff <(printf '%s\n' "$1") <(printf '%s\n' "$2")
}

# has TEXT FIXED-STRING
has() {
	[[ $1 == *"$2"* ]] || {
		printf 'there is no "%s" in:\n%s\n' "$2" "$1"
		return 1
	}
}
