# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash disable=SC2034 # for the tests that include this
#
# For scripts that test: each check is counted, the last line says how many passed.

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

# Counts what a test that counts has written in a log; sets ok and bad to it.  Where there is no such
# line the test counts as one that failed, or as CHECKS of them if it succeeded.
tally() { # LOG STATUS [CHECKS]
	ok='' bad=''
	read -r ok bad < <(sed -n 's/^\([0-9]\+\) passed, \([0-9]\+\) failed.*/\1 \2/p' "$1" | tail -n 1) || true
	if [[ -z $ok ]]; then
		ok=$(($2 == 0 ? ${3:-0} : 0))
		bad=$((ok == 0))
	fi
	(($2 == 0 || bad > 0)) || bad=1
	passed=$((passed + ok)) failed=$((failed + bad))
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
