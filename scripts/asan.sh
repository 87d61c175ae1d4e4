#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# The tests that need no kernel, under AddressSanitizer, with overflow checks and debug assertions.
#
# What they test is Rust without "unsafe", in which there should be nothing for it to find; leaks
# there could be.  What has "unsafe" is in rust/sys and runs only in a kernel, under KASAN.

set -euo pipefail
cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.."

# shellcheck source-path=SCRIPTDIR source=common.sh
. scripts/common.sh

readonly output=build/log/asan.log
# The compiler instruments, clang links its own runtime: so it works with every rustc.  -Z options
# of a stable compiler have to be asked for.
export RUSTC_BOOTSTRAP=1
export RUSTFLAGS="-Zsanitizer=address -Zexternal-clangrt -Clinker=clang-$llvm -Clink-arg=-fsanitize=address"
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$PWD/build/cargo}/asan

scripts/deps.sh asan
use_cargo
status=0
# With --target, build scripts and macros are compiled as usual.
logged "$output" nice cargo test --profile checked --target x86_64-unknown-linux-gnu --no-fail-fast \
	-p klips -p testbed -p pfkey -p ipsec --tests || status=$?
awk '/^test result: / { ok += $4; bad += $6 }
	/ERROR: (Address|Leak)Sanitizer/ { found++ }
	END { printf "under AddressSanitizer: %d passed, %d failed, %d reports\n", ok, bad, found }' "$output"
exit "$status"
