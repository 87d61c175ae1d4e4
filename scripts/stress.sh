#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# The tests of the module that can go on for as long as one likes, at length, in virtual machines:
# everything at once on all kernels for the tests, and messages at random on the debug kernel.
#
#   scripts/stress.sh [SECONDS [MESSAGES]]   60 on each kernel, and 1000000
#
# "make test" does the same for two seconds, and with some thousand messages.  The emulated debug kernel
# took 2.5 ms for a message on a machine that was busy with other things.  Whatever happens, the last
# line says "N passed, N failed".

set -euo pipefail
cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.."

# shellcheck source-path=SCRIPTDIR source=common.sh
. scripts/common.sh
# shellcheck source-path=SCRIPTDIR source=checks.sh
. scripts/checks.sh

# Nothing may wait for input.
exec </dev/null

readonly seconds=${1:-60} messages=${2:-1000000}
unset MAKEFLAGS MFLAGS MAKELEVEL
export CARGO_TARGET_DIR=$PWD/build/cargo
trap 'finish_checks $?' EXIT

# Tests in a guest.  Where QEMU has a thread for each processor, a guest now and then dies of an int3
# while it boots: only one that never got as far as its init is tried again.
guest() { # NAME CONFIG ACCELERATOR FILTER PARAMETERS
	local attempt log=build/log/stress-$1.log status kernel modules=-$2 ok bad
	[[ $2 != main ]] || modules=
	kernel=$(scripts/kernel.sh path --config "$2")
	for attempt in 1 2 3; do
		printf '\n== %s\n' "$1"
		status=0
		"$CARGO_TARGET_DIR/release/vm" test --kernel "$kernel/arch/x86/boot/bzImage" \
			--accel "$3" --cpus 4 --memory 1024 --timeout 20000 --out "build/stress/$1" \
			--module "build/module$modules/klips.ko" --bin build/bin \
			--extra-module "build/test-modules$modules/grab15.ko" --filter "$4" --append "$5" 2>&1 |
			tee "$log" | grep -v '^ok ' || status=$?
		if [[ $3 != tcg-parallel ]] || ! grep -q '^FAILED: the guest never answered' "$log"; then
			break
		fi
		say "attempt $attempt of 3: it died while it booted"
	done
	# Other tests come before it, to load the module.
	grep -q "^ok [0-9]* $4::" "$log" || status=1
	tally "$log" "$status"
}

scripts/deps.sh
use_cargo
mkdir -p build/log
for config in main debug kcsan; do
	make CONFIG=$config module test-modules
done
make tools
guest main main auto stress "KLIPS_SECONDS=$seconds"
guest parallel main tcg-parallel stress "KLIPS_SECONDS=$seconds"
guest debug debug auto stress "KLIPS_SECONDS=$seconds"
guest kcsan kcsan auto stress "KLIPS_SECONDS=$seconds"
# To look for leaks the kernel would keep the history of every allocation: "make test" does that.
guest messages debug auto fuzz "KLIPS_MESSAGES=$messages kmemleak=off"
