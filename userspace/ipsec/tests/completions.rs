// SPDX-License-Identifier: GPL-2.0

//! `ipsec completions`: the scripts are right, have everything, and complete.

use crate::common::Machine;
use clap::{Arg, Command as Definition};
use insta::assert_snapshot;
use std::{
    io::{self, ErrorKind, Write},
    process::{Command, Stdio},
};

const SHELLS: [&str; 3] = ["bash", "zsh", "fish"];

/// The names that the program goes by.
const NAMES: [&str; 14] = [
    "ipsec",
    "klips",
    "spigrp",
    "ipsec_spigrp",
    "spi",
    "ipsec_spi",
    "eroute",
    "ipsec_eroute",
    "pf_key",
    "ipsec_pf_key",
    "tncfg",
    "ipsec_tncfg",
    "klipsdebug",
    "ipsec_klipsdebug",
];

fn script(shell: &str, name: &str) -> String {
    let mut machine = Machine::new();
    let line = format!("ipsec completions {shell} {name}");
    assert_eq!(machine.run(&line), 0);
    let (_, script) = machine.transcript.split_once('\n').unwrap();
    script.to_owned()
}

#[test]
fn help_and_bad_arguments() {
    assert_snapshot!(Machine::new().session(
        "ipsec completions --help
        ipsec completions --version
        ipsec completions
        ipsec completions bsh
        ipsec completions powershell
        ipsec completions bash a$b
        ipsec completions bash \"\"
        ipsec completions bash ipsec more
        ipsec completions --bash
        completions bash"
    ));
}

/// Gives a script to a shell that only looks whether it could run it. `None` if there is no such
/// shell.
fn is_valid(shell: &str, script: &str) -> Option<bool> {
    let child = Command::new(shell)
        .arg("-n")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    let mut child = match child {
        Err(error) if error.kind() == ErrorKind::NotFound => return None,
        child => child.unwrap(),
    };
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(script.as_bytes()).unwrap();
    drop(stdin);
    Some(child.wait().unwrap().success())
}

#[test]
fn the_scripts_are_valid() {
    assert_eq!(is_valid("bash", "if then"), Some(false));
    for shell in SHELLS {
        for name in NAMES {
            let Some(valid) = is_valid(shell, &script(shell, name)) else {
                // Not with eprintln!, which nobody would see.
                writeln!(
                    io::stderr(),
                    "{shell} is not installed: its script is not checked"
                )
                .unwrap();
                break;
            };
            assert!(valid, "{shell} {name}");
        }
    }
}

#[test]
fn without_a_name_a_script_is_for_the_program_that_was_called() {
    for name in ["ipsec", "klips"] {
        let mut machine = Machine::new();
        machine.run(&format!("/usr/libexec/klips/{name} completions bash"));
        assert!(machine.transcript.ends_with(&script("bash", name)));
    }
    assert_ne!(script("bash", "ipsec"), script("bash", "klips"));
}

/// How a shell's script names an option.
fn in_script(shell: &str, option: &str) -> String {
    match shell {
        "fish" => format!("-l {option}"),
        _ => format!("--{option}"),
    }
}

#[test]
fn the_scripts_have_every_command_and_option() {
    let definition = ipsec_tools::definition();
    let commands: Vec<_> = definition.get_subcommands().collect();
    assert_eq!(commands.len(), 12);
    for shell in SHELLS {
        let whole = script(shell, "ipsec");
        let own = NAMES[2..].iter().map(|name| {
            let tool = name.trim_start_matches("ipsec_");
            let of_tool = commands.iter().find(|command| command.get_name() == tool);
            (script(shell, name), *of_tool.unwrap())
        });
        let all = commands.iter().map(|command| (whole.clone(), *command));
        for (script, command) in all.chain(own) {
            assert!(script.contains(command.get_name()), "{shell}");
            let options = command.get_arguments().filter_map(Arg::get_long);
            for option in options.map(|option| in_script(shell, option)) {
                assert!(
                    script.contains(&option),
                    "{shell} {} {option}",
                    command.get_name()
                );
            }
        }
    }
    let options = |command: &Definition| command.get_arguments().count();
    assert!(
        commands
            .iter()
            .map(|command| options(command))
            .sum::<usize>()
            > 50
    );
}

/// What bash offers for the last word of a command line.
fn complete(words: &[&str]) -> String {
    let name = words[0];
    let words: Vec<_> = words.iter().map(|word| format!("'{word}'")).collect();
    let commands = format!(
        "{}
        # It may only be called while bash completes.
        compopt() {{ :; }}
        COMP_WORDS=({})
        COMP_CWORD={}
        _{name} {name} \"${{COMP_WORDS[COMP_CWORD]}}\" \"${{COMP_WORDS[COMP_CWORD-1]}}\"
        complete -p {name} >/dev/null && echo \"${{COMPREPLY[*]}}\"",
        script("bash", name),
        words.join(" "),
        words.len() - 1
    );
    let output = Command::new("bash")
        .args(["-c", &commands])
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    assert!(output.stderr.is_empty(), "{output:?}");
    String::from_utf8(output.stdout)
        .unwrap()
        .trim_end()
        .to_owned()
}

#[test]
fn bash_completes() {
    for (words, offered) in [
        (&["ipsec", "sp"][..], "spigrp spi"),
        (&["ipsec", "k"], "klipsdebug"),
        (&["klips", "pf"], "pf_key"),
        (&["ipsec", "--v"], "--version"),
        (&["ipsec", "help", "c"], "completions"),
        (&["ipsec", "spi", "--e"], "--esp --edst --enckey"),
        (&["spi", "--en"], "--enckey"),
        (&["ipsec_spi", "--del", "--sai"], "--said"),
        (&["ipsec", "spigrp", "--sai"], "--said"),
        (&["ipsec_spigrp", "--la"], "--label"),
        (&["ipsec", "er"], "eroute"),
        (&["ipsec", "eroute", "--rep"], "--replace --replacein"),
        (&["eroute", "--add", "--dst-"], "--dst-port"),
        (&["ipsec_eroute", "--g"], "--get"),
        (
            &["ipsec", "klipsdebug", "--set", "tun"],
            "tunnel tunnel-xmit",
        ),
        (&["klipsdebug", "--clear", "ve"], "verbose"),
        (&["ipsec", "pf_key", "--d"], "--daemon --dumpfile --debug"),
        (&["pf_key", "--daemon", "/etc/host"], "/etc/hostname"),
        (&["ipsec", "completions", "fi"], "fish"),
        (&["ipsec", "completions", "--l"], "--label"),
    ] {
        let found = complete(words);
        // There are more files of that beginning.
        let found = match words.last() {
            Some(word) if word.starts_with('/') => found
                .split(' ')
                .find(|file| *file == offered)
                .unwrap_or(&found),
            _ => &found,
        };
        assert_eq!(found, offered, "{words:?}");
    }
    let all = "-h -V --help --version spigrp spi eroute tncfg manual look verify pf_key klipsdebug doctor completions help";
    assert_eq!(complete(&["ipsec", ""]), all);
}
