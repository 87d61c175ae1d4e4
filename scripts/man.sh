#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Checks the manual pages: mandoc and groff have nothing to say about them.

set -euo pipefail
cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.."

# shellcheck source-path=SCRIPTDIR source=common.sh
. scripts/common.sh

pages=(userspace/ipsec/man/*.[1-9])
[[ -e ${pages[0]} ]] || die "there are no pages in userspace/ipsec/man."

status=0
mandoc -T lint -W warning "${pages[@]}" || status=1
for page in "${pages[@]}"; do
	# groff succeeds whatever it has to say.
	output=$(groff -ww -mdoc -T utf8 -z "$page" 2>&1)
	[[ -z $output ]] || {
		printf '%s: %s\n' "$page" "$output"
		status=1
	}
done
exit $status
