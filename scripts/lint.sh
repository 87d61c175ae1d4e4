#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Every static check, on everything.  Prints what they find, nothing if all is well; all run, even
# after a failure.
#
# shellcheck disable=SC2317,SC2329 # the checks are called by name

set -euo pipefail
cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.."

# shellcheck source-path=SCRIPTDIR source=common.sh
. scripts/common.sh

export CARGO_TARGET_DIR=$PWD/build/cargo
bad=0

# check NAME COMMAND...: fine if it succeeds and prints nothing.
check() {
	local output status=0
	[[ ! -t 2 ]] || printf '\r\033[Klint: %s' "$1" >&2
	output=$("${@:2}" 2>&1 </dev/null) || status=$?
	[[ ! -t 2 ]] || printf '\r\033[K' >&2
	if ((status != 0)) || [[ $output ]]; then
		printf 'FAILED  %s\n%s\n' "$1" "$output"
		bad=$((bad + 1))
	fi
}

# The sources of klips.ko, which follow the kernel's style.
module_sources() { find rust -path rust/tests -prune -o -name '*.rs' ! -name host.rs -print0; }

# From nothing, because files that are not compiled again do not warn again.
module() {
	rm -rf build/lint
	mkdir -p build/lint
	scripts/kernel.sh make -- -s M="$PWD" MO="$PWD/build/lint" CLIPPY=1 W=1 modules
}

kernel_rustfmt() {
	module_sources | xargs -0 -r "$rustfmt" --check --color never --config-path "$source/.rustfmt.toml"
}

kernel_checkpatch() {
	find rust include -name '*.[ch]' -print0 |
		xargs -0 -r -n 1 perl "$source/scripts/checkpatch.pl" --no-tree --quiet --no-summary --show-types --strict -f
}

# The kernel's imports: an item a line, and an empty comment that keeps rustfmt from joining them.
kernel_imports() {
	# shellcheck disable=SC2016 # for awk
	module_sources | xargs -0 -r awk '
		FNR == 1 { inside = 0 }
		/^[ \t]*(pub(\([a-z]+\))? )?use / { inside = 1 }
		inside && /[{,] *[^ \/]/ { print FILENAME ":" FNR ": not an item a line:" $0 }
		/;/ { inside = 0 }'
}

user_clippy() {
	cargo clippy --all-targets --quiet -- -D warnings
}

user_rustfmt() {
	cargo fmt --all -- --check --color never
}

# One "use" for each crate.  Only Debian's rustfmt takes this option: what it makes of a file that
# is not so shows that it did.
user_imports() {
	local option=imports_granularity=Crate
	[[ $("$rustfmt" --config "$option" <<<$'use a::b;\nuse a::c;') == 'use a::{b, c};' ]] ||
		die "$rustfmt knows nothing of $option."
	RUSTFMT=$rustfmt cargo fmt --all -- --check --color never --config "$option"
}

bench_clippy() {
	cargo clippy -p bench-report -p klips-fuzz -p mutants --target-dir build/cargo-bench \
		--release --all-targets --quiet -- -D warnings
}

bench_rustfmt() {
	cargo fmt -p bench-report -p klips-fuzz -p mutants -- --check --color never
}

scripts/deps.sh lint
use_cargo
scripts/kernel.sh build >/dev/null
source=$(scripts/kernel.sh source)

check "module: CLIPPY=1 W=1" module
check "module: rustfmt" kernel_rustfmt
check "module: imports" kernel_imports
check "module: checkpatch" kernel_checkpatch
check "module: nothing that nothing calls" scripts/reach.sh
check "module: bindings are what the header says" scripts/bindings.sh --check
check "userspace: clippy" user_clippy
check "userspace: rustfmt" user_rustfmt
check "userspace: imports" user_imports
check "manual pages: mandoc, groff" scripts/man.sh
check "benchmark report, fuzzing, mutants: clippy" bench_clippy
check "benchmark report, fuzzing, mutants: rustfmt" bench_rustfmt
check "scripts: shellcheck" shellcheck -x scripts/*.sh .ci/run
exit $((bad > 0))
