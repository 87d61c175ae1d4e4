// SPDX-License-Identifier: GPL-2.0

//! The program itself: names it is called by, exit statuses, streams.

use crate::common::Machine;
use insta::assert_snapshot;
use ipsec_tools::Console;
use std::{
    ffi::OsStr,
    io::{self, Write},
    os::unix::{ffi::OsStrExt, fs::symlink, process::CommandExt},
    process::{Command, Output},
};

#[test]
fn commands() {
    assert_snapshot!(Machine::new().session(
        "ipsec --help
        /usr/sbin/ipsec help
        ipsec -h
        ipsec --version
        ipsec
        ipsec foo
        other-name --foo
        ipsec spigrp --version
        klips spigrp --version
        /usr/libexec/klips/klips --help
        ipsec spi --version
        ipsec ipsec_spi --version
        ipsec_spi --version
        spigrp spigrp"
    ));
}

/// Completions and checks of manual pages are made from the definitions, so these have to be what
/// the commands do.
#[test]
fn every_option_that_is_defined_is_known() {
    for command in ipsec_tools::commands() {
        command.clone().debug_assert();
        let name = command.get_name().to_owned();
        let help = Machine::new().session(&format!("ipsec {name} --help"));
        for option in command.get_arguments() {
            assert!(option.get_help().is_some(), "{name} {option}");
            let Some(long) = option.get_long() else {
                continue;
            };
            assert!(help.contains(&format!("--{long}")), "{name} --{long}");
            let value = if option.get_action().takes_values() {
                " 1"
            } else {
                ""
            };
            let said = Machine::new().session(&format!("ipsec {name} --{long}{value}"));
            for words in ["unknown option", "unexpected", "requires an argument"] {
                assert!(!said.contains(words), "{said}");
            }
        }
        let mut machine = Machine::new();
        assert_eq!(machine.run(&format!("ipsec {name} --no-such-option")), 2);
    }
}

/// The help of a command by both ways, and what was meant by those that are none.
#[test]
fn help_and_suggestions() {
    let mut machine = Machine::new();
    for command in [
        "spigrp",
        "spi",
        "eroute",
        "manual",
        "look",
        "verify",
        "pf_key",
        "klipsdebug",
        "doctor",
        "completions",
    ] {
        let help = |machine: &mut Machine, line: &str| {
            let text = machine.session(&format!("ipsec {line}"));
            text.lines().skip(1).collect::<Vec<_>>().join("\n")
        };
        let text = help(&mut machine, &format!("help {command}"));
        assert!(text.contains(&format!("ipsec {command}")), "{text}");
        assert_eq!(text, help(&mut machine, &format!("{command} --help")));
    }
    assert_snapshot!(machine.session(
        "ipsec spigrps
        ipsec SPI
        ipsec spigroup
        klips pfkey
        ipsec klips-debug
        ipsec completion bash
        ipsec --versoin
        ipsec help spigrps
        ipsec start
        ipsec \"\"
        ipsec spigrp --siad tun.113@gw2
        ipsec spi --lable x
        ipsec pf_key --espp"
    ));
}

#[test]
fn lists_are_copied_byte_for_byte() {
    let mut machine = Machine::with_four();
    for (line, list) in [
        ("spigrp", machine.kernel.host.spigrp()),
        ("spi", machine.kernel.host.spi()),
    ] {
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let mut console = Console {
            out: &mut out,
            err: &mut err,
            terminal: false,
            no_color: false,
        };
        assert_eq!(
            ipsec_tools::run([line.into()], &mut machine, &mut console),
            0
        );
        assert_eq!(out, list.as_bytes());
        assert!(err.is_empty());
    }
}

#[test]
fn a_list_of_many_lines_comes_whole() {
    let mut machine = Machine::new();
    let list: String = (0..20_000)
        .map(|n| format!("tun{n:#x}@10.0.0.2 \n"))
        .collect();
    machine.list = Some(list.clone());
    machine.run("spigrp");
    assert_eq!(machine.transcript, format!("$ spigrp\n{list}"));
}

/// What can't be written to.
struct Broken(io::ErrorKind);

impl Write for Broken {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(self.0.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn output_that_cannot_be_written() {
    for (kind, said) in [
        (io::ErrorKind::BrokenPipe, ""),
        (
            io::ErrorKind::StorageFull,
            "spigrp: write error: no storage space\n",
        ),
    ] {
        for args in [
            &["spigrp"][..],
            &["spigrp", "--json"],
            &["spigrp", "--help"],
        ] {
            let mut err = Vec::new();
            let mut console = Console {
                out: &mut Broken(kind),
                err: &mut err,
                terminal: false,
                no_color: false,
            };
            let args = args.iter().map(|arg| arg.into());
            assert_eq!(
                ipsec_tools::run(args, &mut Machine::with_four(), &mut console),
                1
            );
            assert_eq!(String::from_utf8(err).unwrap(), said);
        }
    }
}

fn output(command: &mut Command) -> (Option<i32>, String, String) {
    let Output {
        status,
        stdout,
        stderr,
    } = command.output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (status.code(), text(stdout), text(stderr))
}

fn ipsec() -> Command {
    Command::new(env!("CARGO_BIN_EXE_ipsec"))
}

#[test]
fn the_binary_has_exit_statuses_and_streams() {
    let (code, out, err) = output(ipsec().arg("--help"));
    assert_eq!((code, err.as_str()), (Some(0), ""));
    assert!(out.starts_with("Usage: ipsec "), "{out}");

    let (code, out, err) = output(ipsec().args(["spigrp", "--said", "tun.113"]));
    assert_eq!((code, out.as_str()), (Some(2), ""));
    assert_eq!(
        err,
        "ipsec spigrp: Error, no @ in SA specifier converting --sa argument:tun.113\n"
    );

    // What can't be read does not go on for ever.
    let (code, out, err) = output(ipsec().args(["spigrp", "--batch", "/"]));
    assert_eq!((code, out.as_str()), (Some(1), ""));
    let told: Vec<_> = err.lines().collect();
    assert!(told[0].starts_with("ipsec spigrp: /:1: read error: Is a directory"));
    assert_eq!(
        told[1..],
        ["ipsec spigrp: /: 0 done, 1 failed; nothing was sent"]
    );

    // Names are looked up for the family that is asked for.
    let (code, out, err) =
        output(ipsec().args(["spigrp", "inet6", "no-such-host.invalid", "0x100", "ah"]));
    assert_eq!((code, out.as_str()), (Some(1), ""));
    assert!(err.contains("name lookup failed"), "{err}");
}

#[test]
fn the_binary_is_called_by_other_names() {
    let (code, out, _) = output(ipsec().arg0("/usr/lib/ipsec/spi").arg("--version"));
    assert_eq!((code, out.as_str()), (Some(0), "spi, 0.1.0\n"));

    let link = std::env::temp_dir().join(format!("ipsec-test-{}", std::process::id()));
    std::fs::create_dir_all(&link).unwrap();
    let name = link.join("ipsec_spigrp");
    symlink(env!("CARGO_BIN_EXE_ipsec"), &name).unwrap();
    let result = output(Command::new(&name).arg("--version"));
    std::fs::remove_dir_all(&link).unwrap();
    assert_eq!(
        result,
        (Some(0), "ipsec_spigrp, 0.1.0\n".to_owned(), String::new())
    );
}

/// Runs a command line of a shell in which `ipsec` is the program.
fn shell(line: &str) -> (Option<i32>, String, String) {
    let program = env!("CARGO_BIN_EXE_ipsec");
    output(
        Command::new("/bin/sh").args(["-c", &format!("ipsec() {{ {program} \"$@\"; }}; {line}")]),
    )
}

/// What can't be told or read fails, for every command: whether a stream is closed, can only be
/// used the other way, or has no room.
#[test]
fn streams_that_cannot_be_used() {
    let mut lines = vec![
        "--help".to_owned(),
        "--version".to_owned(),
        "help".to_owned(),
    ];
    for command in ipsec_tools::commands() {
        let name = command.get_name();
        lines.extend(["--help", "--version"].map(|option| format!("{name} {option}")));
    }
    lines.push("completions bash".to_owned());
    for line in &lines {
        for (how, errno) in [
            (">&-", "Bad file descriptor (os error 9)"),
            ("1</dev/null", "Bad file descriptor (os error 9)"),
            (">/dev/full", "No space left on device (os error 28)"),
        ] {
            let (code, out, err) = shell(&format!("ipsec {line} {how}"));
            assert_eq!((code, out.as_str()), (Some(1), ""), "{line} {how}");
            assert!(err.ends_with(&format!(": write error: {errno}\n")), "{err}");
        }
        for how in [">/dev/null", "1<>/dev/null", "<&-"] {
            let (code, _, err) = shell(&format!("ipsec {line} {how}"));
            assert_eq!((code, err.as_str()), (Some(0), ""), "{line} {how}");
        }
    }
    for line in [
        "spigrp --batch -",
        "spi --batch -",
        "spi --optionsfrom -",
        "spi --ah md5 --said ah.116@10.0.0.2 --keyfile -",
        "pf_key --dumpfile -",
    ] {
        for how in ["<&-", "0>/dev/null"] {
            let (code, out, err) = shell(&format!("ipsec {line} {how}"));
            assert_eq!((code, out.as_str()), (Some(1), ""), "{line} {how}");
            assert!(err.contains("Bad file descriptor (os error 9)"), "{err}");
        }
    }
    let (code, _, err) = shell("ipsec pf_key --dumpfile - 0<>/dev/null");
    assert_eq!((code, err.as_str()), (Some(0), ""));
}

#[test]
fn arguments_that_are_not_utf8_are_refused() {
    let (code, out, err) = output(ipsec().arg("spigrp").arg(OsStr::from_bytes(b"\xff")));
    assert_eq!((code, out.as_str()), (Some(2), ""));
    assert_eq!(err, "ipsec: argument is not valid UTF-8: \u{fffd}\n");
}
