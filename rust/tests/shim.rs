// SPDX-License-Identifier: GPL-2.0

//! `include/klips_shim.h` says the same as the code.

use klips::post::USUAL_ROOM;
use std::{fs, path::Path};

const HEADER: &str = "../include/klips_shim.h";

/// Were there less room in C, no message would be written anew; and nothing else would tell.
#[test]
fn the_usual_room_is_the_same_for_c() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(HEADER);
    let header = fs::read_to_string(path).expect("the header can be read");
    let rooms: Vec<_> = header
        .lines()
        .filter_map(|line| line.strip_prefix("#define KLIPS_USUAL_ROOM "))
        .map(str::parse)
        .collect();
    assert_eq!(rooms, [Ok(USUAL_ROOM)]);
}
