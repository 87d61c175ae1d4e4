// SPDX-License-Identifier: GPL-2.0

//! Requests recorded from Openswan 2.4.9's KLIPS have the same results here, except where the
//! contract says otherwise.

// The recordings have the integers of a little-endian host.
#![cfg(target_endian = "little")]

mod common;

use common::*;
use klips::errno::Errno;

struct Case<'a> {
    title: &'a str,
    steps: Vec<Step<'a>>,
}

enum Step<'a> {
    Four,
    SetUp(Vec<u8>),
    Write(Write<'a>),
    Listing(Vec<&'a str>),
}

struct Write<'a> {
    request: Vec<u8>,
    result: &'a str,
    reads: Vec<Vec<u8>>,
}

fn cases(text: &str) -> Vec<Case<'_>> {
    let mut cases: Vec<Case<'_>> = Vec::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        if word == "case" {
            let steps = Vec::new();
            cases.push(Case { title: rest, steps });
            continue;
        }
        let Some(case) = cases.last_mut() else {
            continue;
        };
        match (word, case.steps.last_mut()) {
            ("", _) => (),
            ("four", _) => case.steps.push(Step::Four),
            ("setup", _) => case.steps.push(Step::SetUp(unhex(rest))),
            ("write", _) => case.steps.push(Step::Write(Write {
                request: unhex(rest),
                result: "",
                reads: Vec::new(),
            })),
            ("result", Some(Step::Write(write))) => write.result = rest,
            ("reads", Some(Step::Write(write))) => write.reads.push(unhex(rest)),
            ("listing", _) => case.steps.push(Step::Listing(Vec::new())),
            ("|", Some(Step::Listing(lines))) => lines.push(rest),
            _ => panic!("{line}"),
        }
    }
    cases
}

fn name_of(result: Result<(), Errno>) -> &'static str {
    match result {
        Ok(()) => "ok",
        Err(errno) => errno.describe().expect("an errno with a name").0,
    }
}

/// The message with the SArefs zeroed, and what nobody checks beside them.
fn without_refs(message: &[u8]) -> Vec<u8> {
    let mut bytes = message[..16].to_vec();
    for (number, mut ext) in exts_of(message) {
        if number == ext::SA || number == ext::SA2 {
            ext[16..].fill(0);
        }
        bytes.extend(ext);
    }
    bytes
}

fn lines(text: &str) -> Vec<String> {
    let mut lines: Vec<String> = text.lines().map(|line| format!("{line}$")).collect();
    lines.sort();
    lines
}

/// Where we differ from the recording: the start of the case's title, and what differs.
fn replay(text: &str, differs: &[(&str, Differs)]) -> usize {
    let cases = cases(text);
    for (title, _) in differs {
        let count = cases.iter().filter(|case| is(case, title)).count();
        assert_eq!(count, 1, "{title}");
    }
    for case in &cases {
        let differs = differs.iter().find(|(title, _)| is(case, title));
        replay_case(case, differs.map(|(_, differs)| *differs));
    }
    cases.len()
}

fn is(case: &Case<'_>, title: &str) -> bool {
    case.title
        .split_once(": ")
        .is_some_and(|(_, rest)| rest == title)
}

/// How a case differs from the recording.
#[derive(Clone, Copy)]
enum Differs {
    /// The only write succeeds here; the listing then is another, too.
    Succeeds(&'static str),
    /// The errno is the same, but all sockets are told of it.
    Announced,
    /// Only the listing is another.
    Lists(&'static str),
    /// In a way that another test tells.
    Otherwise,
}

fn replay_case(case: &Case<'_>, differs: Option<Differs>) {
    if matches!(differs, Some(Differs::Otherwise)) {
        return;
    }
    let host = TestHost::new();
    host.local.borrow_mut().extend([ip("127.0.0.1"), ip("::1")]);
    let title = case.title;
    let mut writes = 0;
    for step in &case.steps {
        match step {
            Step::Four => {
                for text in ["tun.1001", "esp.1002", "ah.1003", "comp.1004"] {
                    host.set_up(&add(said(&format!("{text}@10.0.0.2"))));
                }
            }
            Step::SetUp(bytes) => host.set_up(bytes),
            Step::Write(write) => {
                writes += 1;
                let result = name_of(host.write(&write.request));
                let reads = [host.read(A), host.read(B)];
                match differs {
                    Some(Differs::Succeeds(_)) => {
                        assert_eq!(result, "ok", "{title}");
                        assert_ne!(write.result, "ok", "{title}: no difference");
                        continue;
                    }
                    Some(Differs::Announced) => {
                        assert!(write.reads.is_empty(), "{title}: no difference");
                        assert_eq!(reads.each_ref().map(Vec::len), [1, 1], "{title}");
                    }
                    Some(Differs::Lists(_) | Differs::Otherwise) | None => {
                        for read in reads {
                            let got: Vec<_> = read.iter().map(|m| without_refs(m)).collect();
                            let want: Vec<_> =
                                write.reads.iter().map(|m| without_refs(m)).collect();
                            assert_eq!(
                                got.iter().map(|m| hex(m)).collect::<Vec<_>>(),
                                want.iter().map(|m| hex(m)).collect::<Vec<_>>(),
                                "{title}"
                            );
                        }
                    }
                }
                assert_eq!(result, write.result, "{title}");
            }
            Step::Listing(recorded) => {
                let mut want: Vec<String> = recorded.iter().map(|line| line.to_string()).collect();
                want.sort();
                let ours = lines(&host.spigrp());
                match differs {
                    Some(Differs::Succeeds(text) | Differs::Lists(text)) if writes > 0 => {
                        assert_eq!(ours, lines(text), "{title}");
                    }
                    _ => assert_eq!(ours, want, "{title}"),
                }
            }
        }
        host.check();
    }
}

#[test]
fn grpsa_requests_end_as_recorded() {
    let grouped =
        "tun0x1001@10.0.0.2 esp0x1002@10.0.0.2 \nah0x1003@10.0.0.2 \ncomp0x1004@10.0.0.2 \n";
    let apart =
        "tun0x1001@10.0.0.2 \nesp0x1002@10.0.0.2 \nah0x1003@10.0.0.2 \ncomp0x1004@10.0.0.2 \n";
    let count = replay(
        include_str!("golden/grpsa.txt"),
        &[
            // Contract 9.
            (
                "16-byte (RFC 2367) SA extensions instead of 24",
                Differs::Succeeds(grouped),
            ),
            ("16-byte SA, ungroup, dst after", Differs::Succeeds(apart)),
            // UNPLUMBIF is of later releases, which tell of the error.
            ("message type 19", Differs::Announced),
            // 2.4.9 keeps no IPv6 destination.
            (
                "mixed families v6 SA1 -> v4 SA2",
                Differs::Lists(
                    "ah0x1003@10.0.0.2 \nesp0x1002@10.0.0.2 \ncomp0x1004@10.0.0.2 \n\
                     esp0x2001@2001:db8::1 tun0x1001@10.0.0.2 \n",
                ),
            ),
        ],
    );
    assert_eq!(count, 68);
}

#[test]
fn other_requests_end_as_recorded() {
    let count = replay(
        include_str!("golden/messages.txt"),
        &[
            // The recording's kernel had no other cipher than 3DES.
            (
                "ADD ESP null + auth",
                Differs::Succeeds("esp0x1000@10.0.0.2 \n"),
            ),
            (
                "ADD ESP aes128-sha1",
                Differs::Succeeds("esp0x1000@10.0.0.2 \n"),
            ),
            // Contract 9.
            (
                "ADD 16-byte SA extension as last extension",
                Differs::Succeeds("tun0x1000@10.0.0.2 \n"),
            ),
            // 2.4.9 keeps no IPv6 destination.
            (
                "two ::1-destination SAs grouped",
                Differs::Lists("tun0x1000@::1 esp0x1001@::1 \n"),
            ),
            // Contract 6.
            ("GET existing satype 2", Differs::Otherwise),
            ("GET existing satype 10", Differs::Otherwise),
            ("DUMP empty satype 0", Differs::Otherwise),
            ("DUMP with SAs", Differs::Otherwise),
            // Contract 5.
            ("FLUSH satype 3", Differs::Otherwise),
            ("FLUSH satype 9", Differs::Otherwise),
            ("FLUSH satype 11", Differs::Otherwise),
            ("FLUSH satype COMP with a group across", Differs::Otherwise),
        ],
    );
    assert_eq!(count, 41);
}
