#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Compares the module's request engine with the plain model of userspace/model, at length: on
# sequences that look random, and on everything that can be done wherever a few SAs can get.
#
#   scripts/model.sh [STEPS]   so many random steps (5000000), and all the others
#
# "cargo test" does the same for some seconds.

set -euo pipefail
cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.."

# shellcheck source-path=SCRIPTDIR source=common.sh
. scripts/common.sh

readonly output=build/log/model.log
export KLIPS_STEPS=${1:-5000000} CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$PWD/build/cargo}

use_cargo
status=0
logged "$output" nice cargo test --profile checked -p testbed \
	--test model --test exhaustive -- --include-ignored --nocapture || status=$?
# "NAME: N steps", "NAME: N states, N steps" and "NAME: N sequences".
grep -E ': [0-9]+ (steps|states, [0-9]+ steps|sequences)$' "$output" || status=1
awk '/^test result: / { bad += $6 }
	/: [0-9]+ steps$/ { random += $(NF - 1) }
	/: [0-9]+ states, [0-9]+ steps$/ { states += $(NF - 3); taken += $(NF - 1) }
	/: [0-9]+ sequences$/ { sequences += $(NF - 1) }
	END { printf "%d random steps, %d states with %d steps, %d sequences; %d tests failed\n",
		random, states, taken, sequences, bad }' "$output"
exit "$status"
