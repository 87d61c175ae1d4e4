// SPDX-License-Identifier: GPL-2.0

//! `ipsec spigrp --dry-run`.

use crate::common::Machine;
use insta::assert_snapshot;
use klips::errno::Errno;

/// A machine with a group of two and two SAs that are in none.
fn with_a_group() -> Machine {
    let mut machine = Machine::with_four();
    machine.quiet("spigrp --said tun.113@gw2 esp.115@gw2");
    machine.kernel.sent.take();
    machine.transcript.clear();
    machine
}

#[test]
fn nothing_is_sent() {
    let mut machine = with_a_group();
    let before = machine.groups();
    assert_snapshot!(machine.session(
        "ipsec spigrp --dry-run --said comp.117@gw2 ah.116@gw2
        spigrp --dry-run --ungroup esp.115@gw2
        spigrp --label x --dry-run inet gw2 0x116 ah
        spigrp --dry-run --said comp.117@gw2 esp.115@gw2
        spigrp --dry-run --said comp.117@gw2 comp.117@gw2
        spigrp --dry-run --said tun.999@gw2
        spigrp --dry-run --said tun.999@gw2 ah.116@gw2
        (sent)"
    ));
    assert_eq!(machine.groups(), before);
}

#[test]
fn prospects_as_json() {
    assert_snapshot!(with_a_group().session(
        "spigrp --json --dry-run --said comp.117@gw2 ah.116@gw2
        spigrp --dry-run --json --ungroup esp.115@gw2
        spigrp --dry-run --json --ungroup ah.116@gw2
        spigrp --dry-run --json --said comp.117@gw2 esp.115@gw2
        spigrp --dry-run --json --said tun.999@gw2
        (sent)"
    ));
}

const LINES: &str = "\
--said ah.116@gw2 comp.117@gw2
--said ah.116@gw2 esp.115@gw2
--ungroup tun.113@gw2
--said tun.113@gw2 esp.115@gw2
--ungroup comp.117@gw2
--said comp.117@gw2 ah.116@gw2
";

#[test]
fn a_batch_finds_what_its_lines_would_leave() {
    for options in ["--keep-going ", "", "--json --keep-going "] {
        let mut machine = with_a_group();
        machine.files.insert("groups".into(), LINES.into());
        let name = format!("batch_{}", options.replace([' ', '-'], ""));
        assert_snapshot!(
            name,
            machine.session(&format!(
                "spigrp {options}--dry-run --batch groups\n(sent)\nspigrp"
            ))
        );
    }
}

/// The last object tells how it would end, and that nothing was sent.
#[test]
fn a_batch_as_json_ends_with_what_would_come_of_it() {
    for (lines, code, last) in [
        (
            "--ungroup tun.113@gw2\n--said ah.116@gw2 comp.117@gw2\n",
            0,
            r#"{"action":"batch","result":"would-succeed","done":2,"failed":0,"not_tried":0,"nothing_sent":true}"#,
        ),
        (
            "",
            0,
            r#"{"action":"batch","result":"would-succeed","done":0,"failed":0,"not_tried":0,"nothing_sent":true}"#,
        ),
        (
            "--said tun.113@gw2 ah.116@gw2\n--ungroup tun.113@gw2\n",
            1,
            r#"{"action":"batch","result":"would-be-refused","done":0,"failed":1,"not_tried":1,"nothing_sent":true}"#,
        ),
        (
            "--ungroup tun.113@gw2\n--bogus\n",
            2,
            r#"{"action":"batch","result":"usage","done":0,"failed":1,"not_tried":1,"nothing_sent":true}"#,
        ),
    ] {
        let mut machine = with_a_group();
        machine.files.insert("groups".into(), lines.into());
        assert_eq!(machine.run("spigrp --json --dry-run --batch groups"), code);
        let text = machine.session("");
        let found = text.lines().rfind(|line| line.starts_with('{'));
        assert_eq!(found, Some(last), "{text}");
    }
}

/// What a dry run tells of a line is what comes of it.
#[test]
fn the_kernel_decides_alike() {
    let results = |machine: &mut Machine, options: &str| {
        machine.run(&format!(
            "spigrp --json --keep-going {options}--batch groups"
        ));
        let transcript = machine.session("").replace("\"pid\":PID", "\"pid\":0");
        let objects = transcript.lines().filter(|line| line.starts_with('{'));
        objects
            .map(|line| {
                let object: serde_json::Value = serde_json::from_str(line).unwrap();
                let error = &object["error"];
                let result = object["result"].as_str().unwrap().to_owned();
                (
                    result
                        .replace("would-succeed", "done")
                        .replace("would-be-", ""),
                    [&error["sa"], &error["reason"], &error["group"]].map(ToString::to_string),
                )
            })
            .collect::<Vec<_>>()
    };
    // All pairs, each followed by an end of the groups of one of its members.
    let names = [
        "tun.113@gw2",
        "esp.115@gw2",
        "ah.116@gw2",
        "comp.117@gw2",
        "ah.999@gw2",
    ];
    let mut lines = String::new();
    for (index, inner) in names.iter().enumerate() {
        for outer in &names {
            lines += &format!("--said {inner} {outer}\n");
            lines += &format!("--said {outer} {} {inner}\n", names[(index + 3) % 5]);
            if index % 2 == 0 {
                lines += &format!("--ungroup {outer}\n");
            }
        }
    }
    let mut machine = with_a_group();
    machine.files.insert("groups".into(), lines.into());
    let supposed = results(&mut machine, "--dry-run ");
    assert!(machine.kernel.sent.take().is_empty());
    let real = results(&mut machine, "");
    assert_eq!(supposed, real);
    for result in ["done", "refused"] {
        assert!(real.iter().filter(|(found, _)| found == result).count() > 5);
    }
}

#[test]
fn bytes_are_progress() {
    let mut machine = with_a_group();
    machine.run("spigrp --debug --dry-run --ungroup esp.115@gw2");
    // The process ID is the client's own.
    let pid = std::process::id()
        .to_ne_bytes()
        .map(|byte| format!("{byte:02x}"));
    let text = machine.session("");
    assert!(text.contains(&pid.concat()), "{text}");
    assert_snapshot!(text.replace(&pid.concat(), "PIDPIDPI"));
}

#[test]
fn dry_runs_that_cannot_be() {
    let mut machine = with_a_group();
    machine.run("spigrp --dry-run");
    machine.run("spigrp --dry-run --monitor");
    machine.run("spigrp --dry-run --said tun.113");
    machine.list_error = Some(std::io::ErrorKind::PermissionDenied);
    machine.run("spigrp --dry-run --said tun.113@gw2");
    machine.run("spigrp --json --dry-run --said tun.113@gw2");
    machine.list_error = Some(std::io::ErrorKind::NotFound);
    machine.run("spigrp --dry-run --said tun.113@gw2");
    machine.files.insert("-".into(), LINES.into());
    machine.run("spigrp --dry-run --batch -");
    assert_snapshot!(machine.session(""));
    // No socket is needed.
    machine.list_error = None;
    machine.open_error = Some(Errno::EPERM);
    assert_eq!(machine.run("spigrp --dry-run --ungroup tun.113@gw2"), 0);
}
