#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Changes the module's sources one little thing at a time, and looks whether a test of the build
# machine notices: what none notices is not tested, whatever else runs through it.
#
#   scripts/mutants.sh               every such change, some 2500: some hours on two processors
#   scripts/mutants.sh COUNT [SEED]  so many, drawn at random; the same for the same seed and sources
#
# A run that was interrupted goes on where it was.  .cargo/mutants.toml is the list of those that no
# test can notice, each with its reason.  Fails if another is missed, or if less than 97 % of all are
# noticed, those in the list not counted as such.

set -euo pipefail
cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.."

# shellcheck source-path=SCRIPTDIR source=common.sh
. scripts/common.sh

readonly least=97
# What is no part of klips.ko.
readonly pick=(--package klips --exclude rust/host.rs --exclude rust/memory/host.rs)
readonly results=(caught timeout unviable missed)

mutants() { cargo-mutants mutants "$@"; }

# Each as a regular expression that fits it alone.
patterns() { # FILE
	printf 'examine_re = [\n'
	sed -e 's/[][\\.*^$+?{}()|]/\\&/g' -e "s/.*/'''^&\$''',/" "$1"
	printf ']\n'
}

# Moves what a run has found to where it is kept.
keep() { # STAGE
	local result
	for result in "${results[@]}"; do
		cat "$work/mutants.out/$result.txt" >>"$work/$1.$result" 2>/dev/null || true
	done
	rm -rf "$work/mutants.out"
}

# Tries those of a list that this stage has not tried yet, on the tests of some packages.
try() { # STAGE LIST PACKAGES
	local status=0
	keep "$1"
	cat "${results[@]/#/$work/$1.}" | sort | comm -13 - "$2" >"$work/left"
	[[ -s $work/left ]] || return 0
	say "$(wc -l <"$work/left") left for the tests of $3"
	patterns "$work/left" >"$work/config.toml"
	cargo-mutants mutants "${pick[@]}" --jobs "$jobs" --config "$work/config.toml" --output "$work" \
		--profile mutants --test-package "$3" --minimum-test-timeout 120 --no-times \
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
mutants "${pick[@]}" --list --no-config | sort >"$drawn/all"
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
try first "$drawn/list" klips
# What the module's own tests miss, those of its users may notice.
sort "$work/first.missed" >"$work/to-second"
try second "$work/to-second" klips,testbed,pfkey,ipsec

tried=$(wc -l <"$drawn/all")
argued=$((tried - $(wc -l <"$drawn/list")))
unviable=$(wc -l <"$work/first.unviable")
missed=$(wc -l <"$work/second.missed")
slow=$(cat "$work"/{first,second}.timeout | wc -l)
caught=$((tried - argued - unviable - missed))
sed 's/^/missed: /' "$work/second.missed"
score=$(awk "BEGIN { printf \"%.1f\", 100 * $caught / ($tried - $unviable) }")
printf 'mutants: %d of %d tried (%s): %d noticed (%d by never ending), %d missed, %d argued away, %d do not build; score %s %%\n' \
	"$tried" "$total" "$what" "$caught" "$slow" "$missed" "$argued" "$unviable" "$score"
((missed == 0)) && awk "BEGIN { exit !($score >= $least) }"
