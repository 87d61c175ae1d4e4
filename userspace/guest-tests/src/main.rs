// SPDX-License-Identifier: GPL-2.0

//! The tests of `klips.ko` that run inside a virtual machine, with their results as KTAP on
//! standard output.
//!
//! Each test runs in a thread of its own with a network namespace of its own, and so with an SA
//! table of its own; only the tests of loading and unloading share the first namespace.
//!
//! `guest-tests [PATTERN]` runs the tests whose names contain the pattern.
//! `guest-tests --share K/N [PATTERN]` runs the Kth of N shares of them.
//! `guest-tests --golden` prints what the module does in the recorded cases that it does not
//! answer as recorded, in the format of the files in `golden/`.
//! `guest-tests --message SEED NUMBER` prints a message of the test that sends them at random.
//! `guest-tests --keys` leaves memory to be searched for keys.

mod cleartext;
mod command_lines;
mod cve;
mod daemon;
mod eroute_tool;
mod events;
mod fuzz;
mod golden;
mod helper;
mod interfaces;
mod invariants;
mod keys;
mod kinds;
mod ktap;
mod leaks;
mod load;
mod look_tool;
mod manual_tool;
mod memory;
mod messages;
mod model;
mod namespaces;
mod packets;
mod pf_key;
mod pluto;
mod proc;
mod requests;
mod running;
mod security;
mod shunts;
mod sockets;
mod spi_tool;
mod spigrp_tool;
mod stress;
mod support;
mod tools;
mod tutorial;
mod wire;

use ktap::{Share, Test};

fn tests() -> Vec<Test> {
    let mut tests = load::before();
    tests.extend(sockets::all());
    tests.extend(requests::all());
    tests.extend(messages::all());
    tests.extend(model::all());
    tests.extend(fuzz::all());
    tests.extend(stress::all());
    tests.extend(memory::all());
    tests.extend(leaks::all());
    tests.extend(cve::all());
    tests.extend(proc::all());
    tests.extend(namespaces::all());
    tests.extend(security::all());
    tests.extend(tools::all());
    tests.extend(spi_tool::all());
    tests.extend(spigrp_tool::all());
    tests.extend(eroute_tool::all());
    tests.extend(look_tool::all());
    tests.extend(manual_tool::all());
    tests.extend(tutorial::all());
    tests.extend(pf_key::all());
    tests.extend(golden::all());
    tests.extend(pluto::all());
    tests.extend(command_lines::all());
    tests.extend(packets::all());
    tests.extend(events::all());
    tests.extend(shunts::all());
    tests.extend(daemon::all());
    tests.extend(interfaces::all());
    tests.extend(cleartext::all());
    tests.extend(messages::waiting());
    tests.extend(leaks::waiting());
    tests.extend(spigrp_tool::waiting());
    tests.extend(load::after());
    tests
}

fn main() -> std::process::ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let argument = arguments.first().cloned().unwrap_or_default();
    if argument == helper::ARGUMENT {
        return helper::main();
    }
    if let [option, seed, number] = &arguments[..] {
        if option == "--message" {
            return match fuzz::print(seed, number) {
                Ok(()) => std::process::ExitCode::SUCCESS,
                Err(error) => {
                    eprintln!("{error:?}");
                    std::process::ExitCode::FAILURE
                }
            };
        }
    }
    support::load_what_klips_needs();
    if argument == keys::ARGUMENT {
        return keys::main();
    }
    if argument == "--golden" {
        return golden::print_differences();
    }
    let (share, rest) = match &arguments[..] {
        [option, share, rest @ ..] if option == "--share" => (share.parse(), rest),
        rest => (Ok(Share::WHOLE), rest),
    };
    let mut share = match share {
        Ok(share) => share,
        Err(error) => {
            eprintln!("guest-tests: --share: {error}");
            return std::process::ExitCode::FAILURE;
        }
    };
    let pattern = rest.first().map_or("", String::as_str);
    // The module is loaded, and unloaded in the end, whatever is asked for and in every share.
    let is_asked_for = |test: &ktap::Test| {
        load::FRAME.contains(&&*test.name) || test.name.contains(pattern) && share.takes_next()
    };
    let chosen = tests().into_iter().filter(is_asked_for).collect();
    ktap::run(chosen)
}
