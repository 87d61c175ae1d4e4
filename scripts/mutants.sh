#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Changes the module's sources one little thing at a time, and looks whether a test of the build
# machine notices: what none notices is not tested, whatever else runs through it.
#
#   scripts/mutants.sh               every such change, some 2500
#   scripts/mutants.sh COUNT [SEED]  so many, drawn at random; the same for the same seed and sources
#
# cargo-mutants says which changes there are.  userspace/mutants builds them all at once, each behind
# a switch, and runs for each the tests that reach it.  What can't be behind a switch, in constants
# most of all, is left to cargo-mutants, which builds anew for each.
#
# A run that was interrupted goes on where it was.  .cargo/mutants.toml is the list of those that no
# test can notice, each with its reason.  Fails if another is missed, or if less than 97 % of all are
# noticed, those in the list not counted as such.

set -euo pipefail
cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.."

# shellcheck source-path=SCRIPTDIR source=common.sh
. scripts/common.sh

readonly least=97
# Without what is no part of klips.ko: the host's memory, and what verifies tables in tests.
readonly pick=(--package klips --exclude rust/host.rs --exclude rust/memory/host.rs)
readonly no_part='::check( with .*)?$'
readonly results=(caught timeout unviable missed)

mutants() { cargo-mutants mutants "$@"; }

# Each as a regular expression that fits it alone.
patterns() { # FILE
	printf 'examine_re = [\n'
	sed -e 's/[][\\.*^$+?{}()|]/\\&/g' -e "s/.*/'''^&\$''',/" "$1"
	printf ']\n'
}

# Moves what a run of cargo-mutants has found to where it is kept.
keep() { # STAGE
	local result
	for result in "${results[@]}"; do
		cat "$work/mutants.out/$result.txt" >>"$work/$1.$result" 2>/dev/null || true
	done
	rm -rf "$work/mutants.out"
}

# Has cargo-mutants try those of a list that this stage has not tried yet, on the tests of some packages.
try() { # STAGE LIST PACKAGES
	local status=0
	keep "$1"
	cat "${results[@]/#/$work/$1.}" | sort | comm -13 - "$2" >"$work/left"
	[[ -s $work/left ]] || return 0
	say "$(wc -l <"$work/left") without a switch for the tests of $3"
	patterns "$work/left" >"$work/config.toml"
	cargo-mutants mutants "${pick[@]}" --jobs "$jobs" --config "$work/config.toml" --output "$work" \
		--test-package "$3" --minimum-test-timeout 120 --no-times \
		>"$work/$1.log" 2>&1 || status=$?
	keep "$1"
	# 2: some were missed; 3: some took too long.
	((status == 0 || status == 2 || status == 3)) || {
		tail -n 15 "$work/$1.log" >&2
		die "cargo-mutants failed with status $status; its logs are in $work."
	}
}

count=${1:-} seed=${2:-}
[[ $count$seed =~ ^[0-9]*$ && $# -le 2 ]] || die "usage: scripts/mutants.sh [COUNT [SEED]]"
scripts/deps.sh mutants
use_cargo
PATH=${cached_mutants%/*}:$PATH
unset CARGO_TARGET_DIR

drawn=$(mktemp -d)
trap 'rm -rf "$drawn"' EXIT
mutants "${pick[@]}" --list --no-config --json >"$drawn/json"
mutants "${pick[@]}" --list --no-config >"$drawn/names"
grep -vE "$no_part" "$drawn/names" | sort >"$drawn/all"
mutants "${pick[@]}" --list | sort >"$drawn/not-argued"
total=$(wc -l <"$drawn/all")
what="all"
if [[ $count ]]; then
	seed=${seed:-$RANDOM}
	what="$count drawn with seed $seed"
	shuf -n "$count" --random-source=<(yes "$seed") "$drawn/all" | sort >"$drawn/some"
	mv "$drawn/some" "$drawn/all"
fi
comm -12 "$drawn/all" "$drawn/not-argued" >"$drawn/list"

# Of these changes to these sources.
work=build/mutants/$({
	cat "$drawn/list"
	find rust userspace -name '*.rs' -print0 | sort -z | xargs -0 cat
} | sha256sum | head -c 12)
mkdir -p "$work"
say "mutants: $what of $total; results in $work"

readonly module_tests=klips user_tests=testbed,pfkey,ipsec,model
cargo build --quiet --package mutants
git ls-files --cached --others --exclude-standard >"$drawn/files"
cmp -s "$drawn/files" build/mutants/files || rm -rf build/mutants/src
mkdir -p build/mutants/src
cp "$drawn/files" build/mutants/
xargs -d '\n' cp -u --parents -t build/mutants/src <"$drawn/files"
# Some of them would take memory without end.
(ulimit -Sv $((8 << 20)) && exec build/cargo/debug/mutants --list "$drawn/json" --names "$drawn/names" \
	--wanted "$drawn/list" --copy build/mutants/src --target build/mutants/target --results "$work" \
	--jobs "$jobs" --packages $module_tests --packages $user_tests)
sort -o "$work/rest" "$work/rest"
try rest1 "$work/rest" $module_tests
# What the module's own tests miss, those of its users may notice.
sort "$work/rest1.missed" >"$work/to-rest2"
try rest2 "$work/to-rest2" $module_tests,$user_tests

tried=$(wc -l <"$drawn/all")
argued=$((tried - $(wc -l <"$drawn/list")))
unviable=$(cat "$work"/{,rest1.}unviable | wc -l)
slow=$(cat "$work"/*.timeout | wc -l)
rest=$(wc -l <"$work/rest")
sort "$work"/{,rest2.}missed >"$work/all-missed"
missed=$(wc -l <"$work/all-missed")
caught=$((tried - argued - unviable - missed))
sed 's/^/missed: /' "$work/all-missed"
score=$(awk "BEGIN { printf \"%.1f\", 100 * $caught / ($tried - $unviable) }")
printf 'mutants: %d of %d tried (%s; %d without a switch): %d noticed (%d by never ending), %d missed, %d argued away, %d do not build; score %s %%\n' \
	"$tried" "$total" "$what" "$rest" "$caught" "$slow" "$missed" "$argued" "$unviable" "$score"
((missed == 0)) && awk "BEGIN { exit !($score >= $least) }"
