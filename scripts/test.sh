#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Builds and runs every test, on this machine and in virtual machines.  Whatever happens,
# the last line says "N passed, N failed"; the exit status is 0 only if nothing failed.
#
# "make test" runs this and says where things are; arguments are for "vm test".  PARTS is what is
# run of: host, scripts, guests.  With ARCH=arm64 it is the guests: the others are of this machine.

set -euo pipefail
cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.."

# shellcheck source-path=SCRIPTDIR source=common.sh
. scripts/common.sh
# shellcheck source-path=SCRIPTDIR source=checks.sh
. scripts/checks.sh

# Nothing may wait for input, but for the password that installing may take.
exec {terminal}<&0 </dev/null

: "${CONFIG:?run \"make test\" instead}" "${MODULE:?}" "${TEST_MODULES:?}" "${BIN:?}"
if [[ $arch == x86_64 ]]; then
	parts=${PARTS:-host scripts guests}
else
	parts=${PARTS:-guests}
	[[ $parts == guests ]] || die "ARCH=$arch is for the part guests: host and scripts test this machine's architecture."
fi
readonly parts=" $parts "
for part in $parts; do
	[[ $part == @(host|scripts|guests) ]] || die "there is no part \"$part\"." "The parts are: host, scripts, guests."
done
unset MAKEFLAGS MFLAGS MAKELEVEL # of the make that runs this
readonly logs=build/log
export CARGO_TARGET_DIR=$PWD/build/cargo

kernel_test=
finish() {
	local status=$?
	trap - EXIT
	[[ ! $kernel_test ]] || kill "$kernel_test" 2>/dev/null || true
	# For the report of "make bench".
	printf '%d\n' "$SECONDS" >"$logs/seconds" || true
	finish_checks "$status"
}
trap finish EXIT

step() { printf '\n== %s\n' "$*"; }

# Tests of the libraries and tools, which need no kernel.
host_tests() {
	local log=$logs/host-tests.log status=0 ok bad
	: >"$log"
	watched "$log" read_cargo 0 0 cargo test --no-fail-fast || status=$?
	((status != disk_is_full)) || die_of_full_disk "$logs" "$cache"
	read -r ok bad < <(awk '/^test result: / { ok += $4; bad += $6 } END { print ok + 0, bad + 0 }' "$log")
	if ((status != 0)); then
		# Tests that do not build, or a test program that died, count too.
		((bad > 0)) || bad=1
		awk '/^(error|failures:|---- )/ { show = 1 } /^(test result: | +(Running|Doc-tests) )/ { show = 0 } show' "$log"
	fi
	printf '%d passed, %d failed (log: %s)\n' "$ok" "$bad" "$log"
	passed=$((passed + ok)) failed=$((failed + bad))
}

# Tests of scripts, which count like the harness.
script_tests() {
	local test log status ok bad
	for test in "$@"; do
		log=$logs/$test.log status=0
		printf '%s\n' "${test%-test}"
		"scripts/$test.sh" 2>&1 | tee "$log" || status=$?
		tally "$log" "$status"
	done
}

# Those of kernel.sh wait more than they work: they do so beside the others.
start_kernel_test() {
	# What is started beside something ignores these otherwise.
	env --default-signal=INT,QUIT scripts/kernel-test.sh >"$logs/kernel-test.log" 2>&1 &
	kernel_test=$!
}

finish_kernel_test() {
	local log=$logs/kernel-test.log status=0 ok bad
	wait "$kernel_test" || status=$?
	kernel_test=
	cat "$log"
	tally "$log" "$status"
}

# How much stack the module takes.  Other kernels' own checks in it make that more, and theirs is larger.
stack_tests() {
	local log=$logs/stack.log status=0 ok bad
	scripts/stack.py "$MODULE" "llvm-objdump-$llvm" 2>&1 | tee "$log" || status=$?
	tally "$log" "$status"
}

# Tests of the module.  The harness ends with the same kind of line as this script does.
guest_tests() {
	local log=$logs/guest-tests.log status=0 ok bad
	rm -rf "$logs/guest"
	cargo run --release --quiet -p vm -- test \
		--kernel "$1/$kernel_image" --module "$MODULE" --bin "$BIN" \
		--broken "$TEST_MODULES" --keys --out "$logs/guest" \
		--extra-module "$TEST_MODULES/grab15.ko" --extra-module "$TEST_MODULES/reserves.ko" \
		"${@:2}" 2>&1 | tee "$log" || status=$?
	tally "$log" "$status"
	((bad == 0)) || printf 'the test harness failed (exit status %d, log: %s)\n' "$status" "$log"
}

# Packets that guests have sent, taken apart by somebody else's IPsec.  Where not all tests were asked
# for, there may be none.
capture_tests() { # ARGUMENT...: those of the guests
	local log=$logs/captures.log status=0 ok bad directories
	readarray -t directories < <(find "$logs"/guest{,/[0-9]} -maxdepth 1 -name files 2>/dev/null)
	[[ ${#directories[@]} -gt 0 || " $*" != *' --filter'* ]] || return 0
	step "what was on the wire"
	userspace/guest-tests/captures.py "${directories[@]}" 2>&1 | tee "$log" || status=$?
	tally "$log" "$status"
}

mkdir -p "$logs"
step dependencies
scripts/deps.sh <&"$terminal"
exec {terminal}<&-
[[ $CONFIG != debian* ]] || scripts/deps.sh debian-kernel
use_cargo
step "kernel ($CONFIG)"
kernel=$(scripts/kernel.sh build --config "$CONFIG")
printf '%s\n' "$kernel"
step modules
make module test-modules
step tools
make tools
[[ $parts != *' scripts '* ]] || start_kernel_test
if [[ $parts == *' host '* ]]; then
	step "tests on this machine"
	host_tests
fi
if [[ $parts == *' scripts '* ]]; then
	step "tests of the scripts"
	script_tests common-test install-test doctor-test
	if [[ $CONFIG == main ]]; then
		step "stack of the module"
		stack_tests
	fi
fi
if [[ $parts == *' guests '* ]]; then
	step "tests in virtual machines"
	case $CONFIG in
	# They need more of everything.
	debug | kcsan) set -- --memory 2048 --timeout 14400 "$@" ;;
	esac
	[[ $arch == x86_64 ]] || set -- --root "$(scripts/arm64-root.sh)" "$@"
	guest_tests "$kernel" "$@"
	capture_tests "$@"
fi
if [[ $parts == *' scripts '* ]]; then
	step "tests of kernel.sh, which ran beside"
	finish_kernel_test
fi
step result
