#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Every static check, on everything.  Each must be silent; all run, even after a failure.
#
# shellcheck disable=SC2317 # the checks are called by name

set -euo pipefail
cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.."

# shellcheck source-path=SCRIPTDIR source=common.sh
. scripts/common.sh

export CARGO_TARGET_DIR=$PWD/build/cargo
bad=0

# check NAME COMMAND...: fine if it succeeds and prints nothing.
check() {
	local output status=0
	output=$("${@:2}" 2>&1 </dev/null) || status=$?
	if ((status == 0)) && [[ -z $output ]]; then
		printf '  ok    %s\n' "$1"
	else
		printf '  FAIL  %s\n%s\n' "$1" "$output"
		bad=$((bad + 1))
	fi
}

# From nothing, because files that are not compiled again do not warn again.
module() {
	rm -rf build/lint
	mkdir -p build/lint
	scripts/kernel.sh make -- -s M="$PWD" MO="$PWD/build/lint" CLIPPY=1 W=1 modules
}

kernel_rustfmt() {
	find rust -name '*.rs' -print0 | xargs -0 -r "$rustfmt" --check --color never --config-path "$source/.rustfmt.toml"
}

kernel_checkpatch() {
	find rust include -name '*.[ch]' -print0 |
		xargs -0 -r -n 1 perl "$source/scripts/checkpatch.pl" --no-tree --quiet --no-summary --show-types --strict -f
}

user_clippy() {
	cargo clippy --manifest-path userspace/Cargo.toml --workspace --all-targets --quiet -- -D warnings
}

user_rustfmt() {
	cargo fmt --manifest-path userspace/Cargo.toml --all -- --check --color never
}

bench_clippy() {
	cargo clippy --manifest-path scripts/bench/Cargo.toml --target-dir build/cargo-bench \
		--release --all-targets --quiet -- -D warnings
}

bench_rustfmt() {
	cargo fmt --manifest-path scripts/bench/Cargo.toml -- --check --color never
}

scripts/deps.sh lint
use_cargo
scripts/kernel.sh build >/dev/null
source=$(scripts/kernel.sh source)

check "module: CLIPPY=1 W=1" module
check "module: rustfmt" kernel_rustfmt
check "module: checkpatch" kernel_checkpatch
check "userspace: clippy" user_clippy
check "userspace: rustfmt" user_rustfmt
check "manual pages: mandoc, groff" scripts/man.sh
check "benchmark report: clippy" bench_clippy
check "benchmark report: rustfmt" bench_rustfmt
check "scripts: shellcheck" shellcheck -x scripts/*.sh .ci/run
exit $((bad > 0))
