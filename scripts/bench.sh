#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Measures klips.ko in virtual machines, and beside it mainline's two ways to do the same, af_key.ko
# and netlink, and writes the report to userspace/bench/results.
#
#   scripts/bench.sh          up to 1,000,000 SAs and 100,000 eroutes
#   scripts/bench.sh --quick  up to 10,000 of both

set -euo pipefail
cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.."

# shellcheck source-path=SCRIPTDIR source=common.sh
. scripts/common.sh

# Nothing may wait for input.
exec </dev/null

largest=1000000 largest_timed=100000 largest_eroutes=100000 packets=40
case $* in
'') ;;
--quick) largest=10000 largest_timed=10000 largest_eroutes=10000 packets=10 ;;
*) die "usage: scripts/bench.sh [--quick]" ;;
esac

unset MAKEFLAGS MFLAGS MAKELEVEL # of the make that runs this
readonly profiles=(refused get add delete pair four dump list eroute eroute-af-key live live-af-key live-group load load-af-key)
readonly raw=build/bench results=userspace/bench/results
readonly module=build/module-bench/klips.ko bin=build/bin
export CARGO_TARGET_DIR=$PWD/build/cargo

step() { printf '\n== %s\n' "$*"; }

# QEMU's two threads hand over to each other all the time when instructions are counted: on a busy
# machine they would wait for each other's turn.
priority=()
if [[ $(nice -n -10 nice 2>/dev/null) == -10 ]]; then
	priority=(nice -n -10)
fi

# Runs the bench program in a guest; its figures go to a file.
measure() { # NAME ACCELERATOR PROCESSORS ARGUMENT...
	local status=0
	"${priority[@]}" "$CARGO_TARGET_DIR/release/vm" run --kernel "$kernel/arch/x86/boot/bzImage" \
		--accel "$2" --cpus "$3" --memory 4096 --timeout 7200 --out "$raw/$1" --module "$module" \
		--extra-module "$kernel/net/key/af_key.ko" --bin "$bin" -- bench "${@:4}" \
		>"$raw/$1.csv" || status=$?
	((status == 0)) || say "$1: exit status $status (logs: $raw/$1)"
	return $status
}

# Counts the instructions that something takes, function by function; with -af-key behind, by that.
profile() { # WHAT
	local sas=1000 by=klips counted=()
	# What changes an SA does so once: there have to be enough, for the guest runs at full speed
	# until its instructions are counted.
	case $1 in
	delete | pair | four) sas=400000 ;;
	eroute* | live-group) sas=20000 ;;
	# Far from where xfrm's table of states grows.
	live*) sas=3000 ;;
	# At least one whole round, whenever the first one begins.
	load) counted=(--rounds __x64_sys_finit_module --instructions 24000000) ;;
	load-af-key) counted=(--rounds __x64_sys_finit_module --instructions 6000000) ;;
	esac
	[[ $1 != *-af-key ]] || by=af-key
	"${priority[@]}" "$CARGO_TARGET_DIR/release/vm" profile --kernel "$kernel/arch/x86/boot/bzImage" \
		--timeout 1800 "${counted[@]}" --out "$raw/profile/$1" --module "$module" \
		--extra-module "$kernel/net/key/af_key.ko" --bin "$bin" -- bench repeat --module "$by" --sas $sas "${1%-af-key}"
}

# A guest with a thread of QEMU for each processor now and then dies of an int3 while it boots.
measure_processors() { # PROCESSORS
	local attempt
	for attempt in 1 2 3; do
		if measure "processors-$1" tcg-parallel "$1" parallel; then
			return
		fi
		say "attempt $attempt of 3 failed"
	done
	return 1
}

about() {
	printf '%s\n' --about "$(git describe --always --dirty --exclude '*' 2>/dev/null || printf 'no commit')" \
		--about "Linux $(<"$kernel/include/config/kernel.release"), scripts/kernel-bench.config" \
		--about "$("$rustc" --version), $("clang-$llvm" --version | head -n 1)" \
		--about "$(qemu-system-x86_64 --version | head -n 1)" \
		--about "host: $(nproc) CPUs,$(sed -n 's/^model name[^:]*://p' /proc/cpuinfo | head -n 1)" \
		--about "measured in $((SECONDS / 60)) minutes"
}

step dependencies
scripts/deps.sh bench
use_cargo
step kernel
kernel=$(scripts/kernel.sh build --config bench)
printf '%s\n' "$kernel"
step module and tools
make CONFIG=bench module
make tools
step "report program"
mkdir -p "$raw" build/log
# Its tests too: better now than after all has been measured.
logged build/log/bench-report.log \
	cargo test --release -p bench-report --target-dir build/cargo-bench
logged build/log/bench-report.log \
	cargo build --release -p bench-report --target-dir build/cargo-bench

step "instructions (up to $largest SAs)"
measure costs icount 1 costs --clock instructions --largest $largest
step "the same again (up to 10000 SAs)"
measure again icount 1 costs --clock instructions --largest 10000
step "stalls (up to $largest SAs)"
measure stalls icount 1 stalls --clock instructions --largest $largest
step "packets"
measure packets icount 1 packets --clock instructions --count $packets
step "packets among eroutes (up to $largest_eroutes)"
measure lookup icount 1 lookup --clock instructions --count $packets --largest $largest_eroutes
step streams
measure bulk icount 1 bulk --clock instructions
step "eroutes and live SAs (up to $largest_eroutes)"
measure eroutes icount 1 eroutes --clock instructions --largest $largest_eroutes
step "memory of eroutes and live SAs"
for name in xfrm-user af-key klips; do
	measure "memory-$name" icount 1 memory --module "$name"
done
step "tools"
measure tools icount 1 tools --clock instructions
step "many sockets"
measure crowd icount 1 crowd --clock instructions
step "times (up to $largest_timed SAs)"
measure times auto 1 costs --clock nanoseconds --largest $largest_timed
step "where the instructions go"
for what in "${profiles[@]}"; do
	profile "$what"
done
step processors
for cpus in 1 2 4; do
	measure_processors $cpus
done

step "report ($results)"
mapfile -t facts < <(about)
build/cargo-bench/release/bench-report "$raw"/{costs,stalls,packets,lookup,bulk,eroutes,memory-{xfrm-user,af-key,klips},tools,crowd,times,processors-{1,2,4}}.csv \
	--again "$raw/again.csv" "${profiles[@]/#/--profile=$raw/profile/}" --module "$module" --module "$kernel/net/key/af_key.ko" \
	--logs build/log --out "$results" "${facts[@]}"
