// SPDX-License-Identifier: GPL-2.0

//! The tests of the program, in one program: it is linked once.

mod batch;
mod common;
mod completions;
mod dry_run;
mod eroute;
mod eroute_told;
mod golden;
mod historic;
mod imports;
mod join;
mod klipsdebug;
mod look;
mod man;
mod manual;
mod manual_conf;
mod monitor;
mod pf_key;
mod program;
mod spi;
mod spi_files;
mod spi_told;
mod spigrp;
mod tncfg;
mod verify;

/// A file that is not named here would not be run.
#[test]
fn every_file_is_here() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests");
    assert_eq!(testbed::not_named(folder, include_str!("main.rs")), [""; 0]);
}
