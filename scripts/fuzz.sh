#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Fuzzes what of klips.ko knows nothing of a kernel: messages, texts, the request engine.
#
#   scripts/fuzz.sh smoke [SECONDS]  without a fuzzer: the corpora, and for SECONDS (2) a target
#                                    what comes of changing them; "cargo test" does the same
#   scripts/fuzz.sh long [SECONDS]   with libFuzzer, guided by coverage, all targets at once for
#                                    SECONDS (300)
#   scripts/fuzz.sh keep             adds to the corpora what runs have found, and minimises them
#
# The targets are in userspace/testbed/src/target, their corpora in userspace/fuzz/corpus.

set -euo pipefail
cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.."

# shellcheck source-path=SCRIPTDIR source=common.sh
. scripts/common.sh

readonly targets=(codec text sequence model memory)
readonly kept=userspace/fuzz/corpus work=build/fuzz host=x86_64-unknown-linux-gnu
# Longest input of each target; longer ones reach nothing more.
declare -rA longest=([codec]=512 [text]=128 [sequence]=1024 [model]=512 [memory]=576)
# What cargo-fuzz gives rustc, sanitizers apart: a stable compiler will do.
readonly coverage="-Cpasses=sancov-module
	-Cllvm-args=-sanitizer-coverage-level=4
	-Cllvm-args=-sanitizer-coverage-inline-8bit-counters
	-Cllvm-args=-sanitizer-coverage-pc-table
	-Cllvm-args=-sanitizer-coverage-trace-compares
	--cfg fuzzing"

export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$PWD/build/cargo}
readonly bin=$CARGO_TARGET_DIR/fuzz/$host/checked

build() {
	scripts/deps.sh fuzz
	use_cargo
	# With --target, build scripts and macros are compiled as usual.
	RUSTFLAGS=${coverage//[$'\n\t']/ } CARGO_TARGET_DIR=$CARGO_TARGET_DIR/fuzz logged build/log/fuzz-build.log \
		cargo build --profile checked --target "$host" --locked -p klips-fuzz 
}

# Inputs to begin with, where there is no corpus yet.
seeds() {
	local target
	for target in "${targets[@]}"; do
		mkdir -p "$work/seeds/$target" "$work/found/$target" "$kept/$target"
		cargo run --quiet -p testbed --example seeds -- \
			"$target" "$work/seeds/$target"
	done
}

smoke() { # [SECONDS]
	use_cargo
	KLIPS_FUZZ_SECONDS=${1:-2} cargo test --quiet \
		-p testbed --test corpus -- --nocapture
}

fuzz_target() { # TARGET SECONDS
	local target=$1 log=build/log/fuzz-$1.log
	nice "$bin/$target" -max_total_time="$2" -max_len="${longest[$target]}" -timeout=60 \
		-use_value_profile=1 -print_final_stats=1 -verbosity=1 \
		-artifact_prefix="$work/crashes/$target-" \
		"$work/found/$target" "$kept/$target" "$work/seeds/$target" >"$log" 2>&1
}

# What the log of a target says at its end: executions, edges that were reached, edges there are.
figures() { # TARGET
	awk '/^stat::number_of_executed_units/ { runs = $2 }
		/ cov: [0-9]+ / { for (i = 1; i < NF; i++) if ($i == "cov:") reached = $(i + 1) }
		/^INFO: Loaded 1 PC tables/ { edges = substr($6, 2) }
		END { print runs + 0, reached + 0, edges + 0 }' "build/log/fuzz-$1.log"
}

long() { # [SECONDS]
	local target runs reached edges inputs total=0 crashes=0
	local -A pids=()
	build
	seeds
	mkdir -p "$work/crashes"
	for target in "${targets[@]}"; do
		fuzz_target "$target" "${1:-300}" &
		pids[$target]=$!
	done
	for target in "${targets[@]}"; do
		if ! wait "${pids[$target]}"; then
			crashes=$((crashes + 1))
			say "$target found something; the input is in $work/crashes, the log is build/log/fuzz-$target.log:"
			grep -m 5 -A 3 -E 'panicked at|ERROR: libFuzzer' "build/log/fuzz-$target.log" >&2 || true
		fi
		read -r runs reached edges < <(figures "$target")
		inputs=$(find "$kept/$target" "$work/found/$target" -type f | wc -l)
		printf '%-9s %9d executions, %5d of %5d edges, %5d inputs\n' \
			"$target" "$runs" "$reached" "$edges" "$inputs"
		total=$((total + runs))
	done
	printf '%d executions, %d targets found something\n' "$total" "$crashes"
	return $((crashes > 0))
}

keep() {
	local target
	build
	seeds
	for target in "${targets[@]}"; do
		rm -rf "$work/kept"
		mkdir -p "$work/kept"
		"$bin/$target" -set_cover_merge=1 -use_counters=0 -max_len="${longest[$target]}" "$work/kept" \
			"$kept/$target" "$work/found/$target" "$work/seeds/$target" >"build/log/fuzz-$target.log" 2>&1
		rm -rf "${kept:?}/$target"
		mv "$work/kept" "$kept/$target"
		printf '%-9s %5d inputs, %6d bytes\n' "$target" "$(find "$kept/$target" -type f | wc -l)" \
			"$(cat "$kept/$target"/* | wc -c)"
	done
}

mkdir -p build/log
case ${1:-} in
smoke | long | keep) "$@" ;;
*) die "usage: scripts/fuzz.sh smoke|long [SECONDS] | keep" ;;
esac
