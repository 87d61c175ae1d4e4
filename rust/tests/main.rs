// SPDX-License-Identifier: GPL-2.0

//! The tests of the module's sources, in one program: it is linked once.

mod crypto;
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
    assert_eq!(testbed::not_named(folder, include_str!("main.rs")), [""; 0]);
}
