// SPDX-License-Identifier: GPL-2.0

//! `--batch`, and the JSON that commands print.

use crate::common::Machine;
use insta::assert_snapshot;
use klips::errno::Errno;

/// A machine with four SAs and these files.
fn machine(files: &[(&str, &str)]) -> Machine {
    let mut machine = Machine::with_four();
    machine.files = files
        .iter()
        .map(|(name, text)| (name.to_string(), text.as_bytes().to_vec()))
        .collect();
    machine
}

const GOOD: &str = "\
# A comment, an empty line, blanks

\t inet gw2 0x113 tun  inet gw2 0x115 esp   # a group
--said 'comp.117@gw2' \"ah\".116@gw2
--ungroup tun.113@gw2\r
--label mine esp.115@gw2 --said
";

#[test]
fn lines_are_executed_in_order() {
    let good = &GOOD[..GOOD.len() - "--label mine esp.115@gw2 --said\n".len()];
    let last = "--label mine --said comp.117@gw2";
    let mut machine = machine(&[("groups", &format!("{good}{last}")), ("-", "")]);
    assert_snapshot!(machine.session(
        "ipsec spigrp --batch groups
        (sent)
        spigrp
        spigrp --label all --debug --batch=groups
        spigrp --json --batch groups
        spigrp --batch -"
    ));
}

#[test]
fn a_bad_line_means_that_nothing_is_sent() {
    let mut machine = machine(&[("groups", GOOD), ("-", GOOD)]);
    assert_snapshot!(machine.session(
        "ipsec spigrp --batch groups
        spigrp --label all --batch -
        spigrp --json --batch groups
        (sent)
        spigrp --keep-going --batch groups
        (sent)"
    ));
}

#[test]
fn lines_that_make_no_sense() {
    let mut machine = machine(&[(
        "bad",
        "--said 'tun.113@gw2
--batch other
--keep-going
--json --said tun.113@gw2
--debug --said tun.113@gw2
--label
--label x
--help
-V
--bogus
--said
--said tun.113@nowhere
--ungroup tun.113@gw2 esp.115@gw2
\"\"
tun.113@gw2
--label y --said tun.113@gw2 esp.zz@gw2
",
    )]);
    assert_snapshot!(machine.session(
        "spigrp --batch bad
        spigrp --json --keep-going --batch bad
        (sent)"
    ));
}

#[test]
fn bytes_that_are_no_text() {
    let mut machine = machine(&[]);
    let bytes = b"--said \xff\n--ungroup tun.113@gw2";
    machine.files.insert("raw".into(), bytes.to_vec());
    assert_snapshot!(machine.session("spigrp --batch raw\nspigrp --keep-going --batch raw"));
}

/// Latin-1 in a comment is nobody's trouble, and a mark at the beginning of a file is no word.
#[test]
fn bytes_of_other_encodings_where_they_mean_nothing() {
    let mut machine = machine(&[]);
    let bytes = b"\xef\xbb\xbf# M\xfcller\n--ungroup tun.113@gw2 # f\xfcr M\xfcller\n";
    machine.files.insert("raw".into(), bytes.to_vec());
    let bytes = b"--ungroup tun.113@gw2 M\xfcller # M\xfcller\n--ungroup 'tun.113@gw2 # \xfc'";
    machine.files.insert("bad".into(), bytes.to_vec());
    assert_snapshot!(machine.session("spigrp --batch raw\nspigrp --keep-going --batch bad"));
}

#[test]
fn a_line_without_end_is_not_read_to_its_end() {
    let mut machine = machine(&[]);
    let longest = format!("--ungroup tun.113@gw2 #{}", "x".repeat((1 << 18) - 23));
    machine.files.insert("long".into(), longest.clone().into());
    assert_eq!(machine.run("spigrp --batch long"), 0);
    machine
        .files
        .insert("longer".into(), (longest + "x").into());
    machine.transcript.clear();
    assert_snapshot!(machine.session("spigrp --batch longer\nspigrp --keep-going --batch longer"));
}

#[test]
fn a_refusal_ends_a_batch_or_not() {
    let lines = "\
--said tun.113@gw2 esp.115@gw2
--label second --said ah.116@gw2 esp.115@gw2
--said tun.999@gw2
--said ah.116@gw2 comp.117@gw2
";
    for (name, options) in [
        ("stop", ""),
        ("keep_going", "--keep-going "),
        ("stop_json", "--json "),
        ("keep_going_json", "--json --keep-going "),
    ] {
        let mut machine = machine(&[("groups", lines)]);
        assert_snapshot!(
            name,
            machine.session(&format!("spigrp {options}--batch groups\n(sent)\nspigrp"))
        );
    }
}

#[test]
fn usage_outweighs_refusals() {
    let mut machine = machine(&[(
        "groups",
        "--said tun.999@gw2\n--bogus\n--said tun.999@gw2\n",
    )]);
    assert_eq!(machine.run("spigrp --keep-going --batch groups"), 2);
    machine
        .files
        .insert("-".into(), "--said tun.999@gw2".into());
    assert_eq!(machine.run("spigrp --keep-going --batch -"), 1);
}

#[test]
fn a_historic_kernel_is_asked_for_pairs() {
    let mut machine = machine(&[(
        "groups",
        "--said tun.113@gw2 esp.115@gw2 ah.116@gw2\n--said comp.117@gw2 ah.116@gw2\n",
    )]);
    machine.kernel.historic.set(true);
    assert_snapshot!(machine.session("spigrp --batch groups\n(sent)\nspigrp"));
}

#[test]
fn batches_that_cannot_begin() {
    let mut machine = machine(&[("groups", "--ungroup tun.113@gw2\n"), ("bad", "x\n")]);
    machine.run("spigrp --batch");
    machine.run("spigrp --batch nowhere");
    machine.run("spigrp --json --batch nowhere");
    machine.run("spigrp --keep-going");
    machine.run("spigrp --keep-going --said tun.113@gw2");
    machine.run("spigrp --batch groups --said tun.113@gw2");
    machine.run("spigrp --batch groups --batch groups");
    machine.open_error = Some(Errno::EAFNOSUPPORT);
    machine.run("spigrp --batch groups");
    machine.run("spigrp --keep-going --batch groups");
    // Its faults are found all the same.
    machine.run("spigrp --batch bad");
    machine.netkey = true;
    machine.run("spigrp --batch bad");
    assert_snapshot!(machine.session(""));
}

#[test]
fn results_as_json() {
    let mut machine = Machine::with_four();
    machine.quiet("spi --ip6 --said tun:233@3049:1::1");
    assert_snapshot!(machine.session(
        "spigrp --json --said tun.113@gw2 tun:233@3049:1::1
        spigrp --json --said tun.113@gw2 esp.115@gw2
        spigrp --json --said esp.115@gw2 esp.115@gw2
        spigrp --json --label x --said esp.999@gw2 esp.115@gw2
        spigrp --json --ungroup tun:233@3049:1::1
        spigrp --json inet gw2 0x999 tun
        spigrp --json --said tun.113@nowhere
        spigrp --json --bogus
        spigrp --bogus --json
        spigrp --json --label"
    ));
    machine.list_error = Some(std::io::ErrorKind::NotFound);
    machine.open_error = Some(Errno::EPERM);
    assert_snapshot!(
        "failures_as_json",
        machine.session("spigrp --json\nspigrp --json --said tun.113@gw2")
    );
}

/// What stands behind the first SA is an SA as well, and does not make the answer JSON.
#[test]
fn json_among_the_sas() {
    for (before, after) in [
        ("--said tun.113@gw2", " esp.115@gw2"),
        ("--said tun.113@gw2 esp.115@gw2", ""),
        ("inet gw2 0x113 tun", " inet gw2 0x115 esp"),
        ("inet gw2 0x113 tun", ""),
        ("inet", " gw2 0x113 tun"),
    ] {
        let mut machine = Machine::with_four();
        assert_eq!(machine.run(&format!("spigrp {before} --json{after}")), 2);
        let text = machine.session("");
        let told: Vec<&str> = text.lines().skip(1).collect();
        assert!(
            matches!(told[..], [line, "[exit 2]"] if line.starts_with("! spigrp: ")),
            "{text}"
        );
        assert!(machine.kernel.sent.borrow().is_empty());
        // In front of them it is an option, whatever is wrong behind it.
        machine.run(&format!("spigrp --json {before} --json{after}"));
        let text = machine.session("");
        assert!(text.lines().nth(1).unwrap().starts_with('{'), "{text}");
    }
}
