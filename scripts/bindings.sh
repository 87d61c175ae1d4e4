#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Makes rust/sys/bindings.rs of include/klips_shim.h and include/klips_xfrm.h, by bindgen.
#
#   scripts/bindings.sh          writes it
#   scripts/bindings.sh --check  fails if it is not what bindgen makes of the headers today

set -euo pipefail
cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.."

# shellcheck source-path=SCRIPTDIR source=common.sh
. scripts/common.sh

readonly bindings=rust/sys/bindings.rs
bindgen=$(find_bindgen) || die "there is no bindgen $min_bindgen or newer." "scripts/deps.sh installs it."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# The types of the kernel's own header, whose definitions differ from one configuration to the next.
mkdir "$work/linux"
cat >"$work/linux/types.h" <<'TYPES'
#include <stdbool.h>
#include <stddef.h>
typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;
typedef long long s64;
typedef unsigned short umode_t;
TYPES
printf '#include "%s"\n' klips_shim.h klips_xfrm.h >"$work/klips.h"

# The other C halves' own is left out.
# shellcheck disable=SC2016 # these are Rust's
"$bindgen" "$work/klips.h" --use-core --ctypes-prefix ffi --merge-extern-blocks --no-layout-tests \
	--formatter none --disable-header-comment --allowlist-file ".*/klips_(shim|xfrm).h" \
	--blocklist-function 'klips_interface_physical|klips_is_xfrm_interface|klips_netns_(routes|state)|klips_routes_(free|new|stop)|klips_rtnetlink|klips_sysctl_.*|klips_xfrm_(drop_all|net_start|net_stop|outdate_later|pin_tunnels|unpin_tunnels)' \
	--blocklist-type 'klips_routes|net_device|sk_buff' --with-derive-default --no-default 'klips_xfrm_(acquire|algorithm|sa)' --rust-target 1.85 \
	--raw-line '// SPDX-License-Identifier: GPL-2.0' --raw-line '' \
	--raw-line '//! What `include/klips_shim.h` and `klips_xfrm.h` declare; made of them by `scripts/bindings.sh`.' --raw-line '' \
	--raw-line '#![expect(non_camel_case_types)]' --raw-line '' --raw-line 'use kernel::ffi;' --raw-line '' \
	--output "$work/bindings.rs" -- -I"$work" -Iinclude
sed -i 's/\bpub \([a-z]\)/pub(super) \1/g' "$work/bindings.rs"
"$rustfmt" --edition 2021 "$work/bindings.rs"

case ${1:-} in
'') cp "$work/bindings.rs" "$bindings" ;;
--check)
	diff -u "$bindings" "$work/bindings.rs" ||
		die "$bindings is not what the headers in include say." "scripts/bindings.sh makes it anew."
	;;
*) die "usage: scripts/bindings.sh [--check]" ;;
esac
