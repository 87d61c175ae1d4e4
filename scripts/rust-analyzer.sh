#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Writes build/rust-project.json, which tells rust-analyzer of the kernel's crates and of klips.ko.

set -euo pipefail
cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.."

# shellcheck source-path=SCRIPTDIR source=common.sh
. scripts/common.sh

readonly out=build/rust-project.json
command -v python3 >/dev/null || die "python3 is missing, in which the kernel's own generator is written." \
	"sudo apt install python3-minimal"
dir=$PWD/build/rust-analyzer
mkdir -p "$dir"
scripts/kernel.sh make --config "${1:-main}" -- -s M="$dir" MO="$dir" rust-analyzer >/dev/null

# The generator looks for the root of a crate beside the Kbuild that names it, which ours is not.
python3 - "$dir/rust-project.json" "$PWD/rust/klips_main.rs" >"$out.new" <<'PYTHON'
import json, sys
project = json.load(open(sys.argv[1]))
crates = project["crates"]
number = {crate["display_name"]: i for i, crate in enumerate(crates)}
used = ["core", "kernel", "pin_init", "zerocopy", "zerocopy_derive"]
kernel = crates[number["kernel"]]
crates.append({
    "display_name": "klips",
    "root_module": sys.argv[2],
    "is_workspace_member": True,
    "deps": [{"crate": number[name], "name": name} for name in used],
    "cfg": kernel["cfg"],
    "edition": "2021",
    "env": {"RUST_MODFILE": "This is only for rust-analyzer"},
})
json.dump(project, sys.stdout, indent=4)
PYTHON
mv "$out.new" "$out"
say "wrote $out; in the editor's settings, beside the workspace:" \
	'"rust-analyzer.linkedProjects": ["Cargo.toml", "'"$out"'"]'
