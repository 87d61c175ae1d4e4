#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Tries at length to break what "make test" tries for seconds, on kernels that report what others
# pass over.  Takes hours.  Whatever happens, the last line says "N passed, N failed".
#
#   scripts/check-all.sh [PART...]   tests, older, model, asan, fuzz, mutants, debug, kcsan,
#                                  stress, packaged, packages, service, secure-boot, newcomer; all, in this order

set -euo pipefail
cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.."

# shellcheck source-path=SCRIPTDIR source=common.sh
. scripts/common.sh
# shellcheck source-path=SCRIPTDIR source=checks.sh
. scripts/checks.sh

# Nothing may wait for input.
exec </dev/null

# Of the make that runs this, its variables too: the makes below are asked for something else.
unset MAKEFLAGS MFLAGS MAKELEVEL PARTS CONFIG ARGS SERIES
readonly logs=build/log/check-all
summary=()

finish() {
	local status=$?
	trap - EXIT
	printf '\n== result\n'
	((${#summary[@]} == 0)) || printf '%s\n' "${summary[@]}"
	finish_checks "$status"
}
trap finish EXIT

# Runs a part.  Tests in it count one by one; else the part itself does.
part() { # NAME FIGURES COMMAND...: FIGURES is a pattern of the lines to repeat at the end
	local name=$1 log=$logs/$1.log status=0 ok bad start=$SECONDS
	printf '\n== %s\n' "$name"
	"${@:3}" 2>&1 | tee "$log" || status=$?
	tally "$log" "$status" 1
	summary+=("$name: $ok passed, $bad failed, $(((SECONDS - start) / 60)) minutes")
	mapfile -t -O ${#summary[@]} summary < <(grep -E "$2" "$log" | sed 's/^[ #]*/    /')
}

# The guest's tests.  What the guest has in its environment comes from its kernel's parameters.
guests() { # CONFIG [PARAMETERS]
	make test CONFIG="$1" PARTS=guests ARGS="--append '${2:-}'"
}

# DKMS builds for Debian's own kernel; it takes root.
packages() {
	local kernel
	scripts/deps.sh debian-kernel
	kernel=$(scripts/kernel.sh build --config debian)
	make tools
	scripts/deb-test.sh "" "$kernel"
}

# The units under a real systemd; it takes root.
services() {
	scripts/deps.sh debian-kernel
	scripts/kernel.sh build --config debian
	make tools
	scripts/service-test.sh
}

mkdir -p "$logs"
(($# > 0)) || set -- tests older model asan fuzz mutants debug kcsan stress packaged packages service secure-boot newcomer
for name in "$@"; do
	case $name in
	tests) part "$name" '^guest: ' make test ;;
	older)
		for older in "${known_series[@]}"; do
			[[ $older == "$series" ]] || part "$name-$older" '^guest: ' make test SERIES="$older" PARTS=guests
		done
		;;
	model) part "$name" ' steps?, .* tests failed$' scripts/model.sh ;;
	asan) part "$name" '^under AddressSanitizer: ' scripts/asan.sh ;;
	fuzz) part "$name" ' executions, ' scripts/fuzz.sh long 600 ;;
	mutants) part "$name" '^(mutants|missed): ' scripts/mutants.sh ;;
	debug) part "$name" '^(guest: |# )' guests debug 'KLIPS_SEQUENCES=2000 KLIPS_CYCLES=1000' ;;
	kcsan) part "$name" '^(guest: |# )' guests kcsan ;;
	stress) part "$name" '^(guest: |# )' scripts/stress.sh ;;
	packaged)
		# Of Debian 13 each Linux that is known, whichever runs here; of the others their own.
		for known in "${known_series[@]}"; do
			part "debian-$known" '^guest: ' make test CONFIG=debian SERIES="$known" PARTS=guests
		done
		for kernel in debian-{cloud,rt,forky,sid}; do
			part "$kernel" '^guest: ' make test CONFIG="$kernel" PARTS=guests
		done
		;;
	packages) part "$name" '^FAILED ' packages ;;
	service) part "$name" '^FAILED ' services ;;
	secure-boot) part "$name" '^FAILED ' scripts/secure-boot-test.sh ;;
	newcomer) part "$name" '^# ' scripts/newcomer-test.sh ;;
	*) die "there is no part \"$name\"." "The parts are: tests, older, model, asan, fuzz, mutants, debug, kcsan, stress, packaged, packages, service, secure-boot, newcomer." ;;
	esac
done
