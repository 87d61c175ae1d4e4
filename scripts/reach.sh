#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Prints the functions of klips.ko that nothing in it calls: those that the linker would leave out if
# it began with the module's init and exit. Prints nothing if there are none.
#
# Where a function is inlined into all of its callers, a copy that nobody calls may be left. So this
# is a build of its own without inlining, but for functions so small that each call to them would be
# larger.

set -euo pipefail
cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.."

# shellcheck source-path=SCRIPTDIR source=common.sh
. scripts/common.sh

# Bytes of a function that is inlined whatever the compiler is told.
readonly small=12
readonly work=build/reach

mkdir -p "$work"
scripts/kernel.sh make -- -s M="$PWD" MO="$PWD/$work" \
	KCFLAGS="-ffunction-sections" \
	KRUSTFLAGS="-Zfunction-sections=yes -Zinline-mir=no $(
		printf -- '-Cllvm-args=-%s ' inline-threshold=-100000 inlinehint-threshold=-100000 inline-call-penalty=0
	)" modules >"$work.log" 2>&1 || {
	cat "$work.log"
	die "it does not build."
}
[[ $(nm "$work/klips.o" | grep -c ' [tT] ') -gt 1000 ]] || die "$work/klips.o has hardly any functions."
ld -r --gc-sections --print-gc-sections -e init_module -u cleanup_module -o /dev/null "$work/klips.o" 2>&1 |
	sed -n "s/.*section '\(\.text\..*\)' in.*/\1/p" | sort >"$work/gone"
readelf -SW "$work/klips.o" | sed 's/^ *\[ *[0-9]*\] *//' |
	while read -r section _ _ _ size _; do
		if [[ $section == .text.* ]] && ((16#$size > small)) && grep -qxF "$section" "$work/gone"; then
			printf '%s: nothing calls it (%d bytes)\n' "${section#.text.}" "$((16#$size))"
		fi
	done
