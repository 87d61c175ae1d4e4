// SPDX-License-Identifier: GPL-2.0

//! The tests of the module's sources, in one program: it is linked once.

mod documents;
mod dump;
mod eroute_sequences;
mod eroutes;
mod extremes;
mod files;
mod fold;
mod ike;
mod interfaces;
mod lifetimes;
mod listeners;
mod listings;
mod memory_failure;
mod other_messages;
mod pfkey_build;
mod pfkey_parse;
mod pluto;
mod protocol;
mod reading;
mod requests;
mod sadb;
mod security;
mod selector;
mod text;
mod traps;

/// A file that is not named here would not be run.
#[test]
fn every_file_is_here() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests");
    let main = include_str!("main.rs");
    for entry in std::fs::read_dir(folder).expect("the folder of the tests") {
        let name = entry.expect("an entry").file_name();
        let name = name.to_str().expect("an ASCII name");
        if let Some(module) = name.strip_suffix(".rs").filter(|name| *name != "main") {
            let line = format!("mod {module};");
            assert!(main.lines().any(|found| found == line), "{line} is missing");
        }
    }
}
