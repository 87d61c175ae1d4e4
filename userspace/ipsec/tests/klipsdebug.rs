// SPDX-License-Identifier: GPL-2.0

//! `ipsec klipsdebug` against the module's request engine.

use crate::common::Machine;
use insta::assert_snapshot;
use klips::errno::Errno;
use pfkey::describe::Description;
use std::io;

#[test]
fn help_version_and_labels() {
    assert_snapshot!(Machine::new().session(
        "ipsec klipsdebug --help
        ipsec_klipsdebug --version
        klips klipsdebug --label here --version"
    ));
}

#[test]
fn bad_arguments() {
    let mut machine = Machine::new();
    assert_snapshot!(machine.session(
        "ipsec klipsdebug pfkey
        klipsdebug --bogus
        klipsdebug --set
        klipsdebug --set pf_key
        klipsdebug --label here --clear everything
        klipsdebug --set pfkey --clear spi
        klipsdebug --all --none
        klipsdebug --set pfkey --set spi
        klipsdebug --set pfkey --json
        klipsdebug --al --json"
    ));
    assert!(machine.kernel.sent.borrow().is_empty());
}

/// The words of the reference, 8.5, with and without those that only its code knew.
const WORDS: [&str; 17] = [
    "tunnel",
    "tunnel-xmit",
    "xmit",
    "tncfg",
    "netlink",
    "xform",
    "eroute",
    "spi",
    "radij",
    "esp",
    "ah",
    "rcv",
    "pfkey",
    "comp",
    "ipcomp",
    "verbose",
    "all",
];

#[test]
fn masks_of_every_word() {
    let mut machine = Machine::new();
    let mut text = String::new();
    let of_words = WORDS
        .iter()
        .flat_map(|word| [format!("--set {word}"), format!("--clear {word}")]);
    for action in of_words.chain(["--all", "--none"].map(str::to_owned)) {
        machine.quiet(&format!("klipsdebug {action}"));
        for mut request in machine.kernel.sent.take() {
            request.bytes[12..16].fill(0);
            text += &format!("{action}\n{}", Description::of(&request.bytes).unwrap());
        }
    }
    assert_snapshot!(text);
}

#[test]
fn masks_are_set_cleared_and_listed() {
    assert_snapshot!(Machine::new().session(
        "ipsec klipsdebug
        klipsdebug --set pfkey
        klipsdebug --set=tncfg
        klipsdebug --debug --label here --set tunnel-xmit
        klipsdebug
        klipsdebug --json
        klipsdebug --clear xmit
        klipsdebug
        klipsdebug --all
        klipsdebug --cl spi
        klipsdebug
        klipsdebug --none
        klipsdebug --json --label here"
    ));
}

#[test]
fn without_a_kernel_that_can() {
    let mut machine = Machine::new();
    machine.netkey = true;
    let mut text = machine.session("ipsec klipsdebug --set spi\nipsec klipsdebug");
    machine.netkey = false;
    for kind in [io::ErrorKind::NotFound, io::ErrorKind::PermissionDenied] {
        machine.list_error = Some(kind);
        text += &machine.session("ipsec klipsdebug\nipsec klipsdebug --json");
    }
    machine.list_error = None;
    machine.open_error = Some(Errno::EAFNOSUPPORT);
    text += &machine.session("ipsec klipsdebug --all");
    machine.open_error = None;
    *machine.kernel.refuse.borrow_mut() = Some(Box::new(|_| Some(Errno::EINVAL)));
    text += &machine.session("ipsec klipsdebug --all");
    assert_snapshot!(text);
}

#[test]
fn lists_that_make_no_sense() {
    let mut machine = Machine::new();
    let mut text = String::new();
    for list in [
        "",
        "debug_tunnel=00000000.\ndebug_more=0000000f.\n",
        "tunnel=00000000.\n",
        "debug_tunnel=00000000\n",
        "debug_tunnel=100000000.\n",
        "debug_tunnel\n",
    ] {
        machine.list = Some(list.to_owned());
        text += &machine.session("ipsec klipsdebug\nipsec klipsdebug --json");
    }
    assert_snapshot!(text);
}
