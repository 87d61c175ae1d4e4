// SPDX-License-Identifier: GPL-2.0

//! `ipsec spi` against the module: what it reads from files, and what it tells of SAs.

use crate::{
    ktap::Test,
    support::{KeySocket, expect_spigrp, header, naming, proc_net, said},
    tests,
    tools::{Outcome, fails, output, quiet, run},
};
use anyhow::{Context, Result, ensure};
use klips::pfkey::MsgType;
use pfkey::Content;
use std::{
    fs::{self, Permissions},
    io::Write,
    os::unix::fs::PermissionsExt,
    process::{Command, Stdio},
};
use tempfile::NamedTempFile;

/// All of them.
pub fn all() -> Vec<Test> {
    tests![
        an_sa_is_told_of,
        the_list_as_json_has_every_sa,
        keys_of_a_file_are_shown_nowhere,
        a_file_of_keys_that_others_can_read_is_refused,
        keys_from_standard_input,
        a_batch_of_sas,
        a_batch_stops_or_goes_on,
        options_from_a_file,
    ]
}

/// A file with this in it that only its owner can read.
fn file(text: &str) -> Result<NamedTempFile> {
    let mut file = NamedTempFile::new().context("can't make a file")?;
    file.write_all(text.as_bytes())?;
    Ok(file)
}

/// Runs a command line that has to succeed.
fn succeed(line: &str) -> Result<Outcome> {
    let outcome = run(line)?;
    ensure!(
        outcome.code == Some(0),
        "{line}\nexit {:?}\n{}{}",
        outcome.code,
        outcome.stdout,
        outcome.stderr
    );
    Ok(outcome)
}

fn contains(text: &str, parts: &[&str]) -> Result<()> {
    for part in parts {
        ensure!(text.contains(part), "no {part:?} in\n{text}");
    }
    Ok(())
}

/// Two keys of 32 bytes that can be found again in whatever is printed.
const KEYS: [&str; 2] = [
    "correct horse battery staple 321",
    "trubadour and three more letters",
];

/// The file of these keys.
fn key_file() -> Result<NamedTempFile> {
    file(&format!(
        "# gw2\nauthkey 0t{}\nenckey 0t{}\n",
        KEYS[0], KEYS[1]
    ))
}

/// Adds an SA with keys from `file` and all that an SA can have.
fn add_with(file: &NamedTempFile, more: &str) -> String {
    format!(
        "ipsec spi --esp aes256-sha2-256 --said esp.215@gw2 --src 10.0.0.1 --keyfile {} \
         --replay_window 64 --life soft-bytes=1000,hard-addtime=3600 \
         --natt nonesp --sport 4500 --dport 4501 {more}",
        file.path().display()
    )
}

fn an_sa_is_told_of() -> Result<()> {
    quiet(&add_with(&key_file()?, ""))?;
    let text = succeed("ipsec spi --get --said esp.215@gw2")?.stdout;
    contains(
        &text,
        &[
            "esp.215@10.0.0.2\n",
            "\n  state           mature\n",
            "\n  direction       out\n",
            "\n  source          10.0.0.1\n",
            "\n  destination     10.0.0.2\n",
            "\n  encryption      aes\n",
            "\n  authentication  hmac-sha2-256-128, key of 256 bits\n",
            "\n  replay window   64 packets\n",
            "\n  bytes           0 (soft limit 1000)\n",
            " (hard limit 3600 seconds)\n",
            "\n  encapsulation   nonesp, source port 4500, destination port 4501\n",
        ],
    )?;
    let json = succeed("ipsec spi --json --get --said esp.215@gw2")?.stdout;
    ensure!(json.lines().count() == 1, "{json}");
    contains(
        &json,
        &[
            r#"{"action":"get","result":"done","sas":[{"listed":"esp0x215@10.0.0.2","#,
            r#""state":"mature","dir":"out","src":"10.0.0.1","#,
            r#""encryption":{"name":"aes","number":12}"#,
            r#""bytes":{"current":0,"soft":1000,"hard":0}"#,
            r#""natencap":"nonesp","natsport":4500,"natdport":4501"#,
        ],
    )?;
    fails(
        "ipsec spi --get --said esp.999@gw2",
        1,
        &["ipsec spi: ", "SA esp.999@10.0.0.2 does not exist"],
    )
}

fn the_list_as_json_has_every_sa() -> Result<()> {
    ensure!(succeed("ipsec spi --json")?.stdout == "[]\n");
    quiet(&add_with(&key_file()?, ""))?;
    quiet("ipsec spi --ip4 --said tun.213@gw2 --src 10.0.0.1")?;
    let json = succeed("ipsec spi --json")?.stdout;
    let lines: Vec<_> = json.lines().collect();
    ensure!(
        lines.len() == 4 && lines[0] == "[" && lines[3] == "]",
        "{json}"
    );
    contains(
        lines[1],
        &[
            r#"{"listed":"esp0x215@10.0.0.2","#,
            r#""transform":"ESP_AES_HMAC_SHA2_256","#,
            r#""aklen":256,"eklen":256"#,
            r#""ref":1},"#,
        ],
    )?;
    contains(
        lines[2],
        &[r#"{"listed":"tun0x213@10.0.0.2","#, r#""ref":2}"#],
    )
}

/// The forms in which a key could be found: itself, hexadecimal, base64.
fn forms_of(key: &str) -> [String; 3] {
    let hex: String = key.bytes().map(|byte| format!("{byte:02x}")).collect();
    [
        key.to_owned(),
        hex,
        data_encoding::BASE64.encode(key.as_bytes()),
    ]
}

/// Checks that nothing has any of the keys in it, not even half of one.
fn expect_no_key(what: &str, bytes: &[u8]) -> Result<()> {
    for form in KEYS.iter().flat_map(|key| forms_of(key)) {
        let half = &form.as_bytes()[..form.len() / 2];
        let mut windows = bytes.windows(half.len());
        ensure!(
            !windows.any(|window| window.eq_ignore_ascii_case(half)),
            "{what} has a key: {}",
            String::from_utf8_lossy(bytes)
        );
    }
    Ok(())
}

fn expect_no_key_from(line: &str, code: i32) -> Result<()> {
    let outcome = run(line)?;
    ensure!(
        outcome.code == Some(code),
        "{line}: exit {:?}",
        outcome.code
    );
    expect_no_key(line, outcome.stdout.as_bytes())?;
    expect_no_key(line, outcome.stderr.as_bytes())
}

fn keys_of_a_file_are_shown_nowhere() -> Result<()> {
    let keys = key_file()?;
    let listener = KeySocket::open()?;
    expect_no_key_from(&add_with(&keys, "--debug --listenreply --json"), 0)?;
    // The same again is refused, and so is what the keys are no good for.
    expect_no_key_from(&add_with(&keys, "--debug --json"), 1)?;
    let path = keys.path().display();
    for rest in [
        "--ah md5 --said ah.216@gw2",
        "--esp aes128-sha1 --said esp.216@gw2 --json",
        "--esp aes256-sha2-256 --said esp.216@gw2 --authkey 0x00",
        "--ip4 --said tun.216@gw2",
        "--del --said esp.215@gw2",
    ] {
        expect_no_key_from(&format!("ipsec spi {rest} --keyfile {path}"), 2)?;
    }
    // Not a file of keys: a line of it is a key and nothing else, or options.
    for text in [
        KEYS[0].to_owned(),
        format!("0t{}", KEYS[0]),
        format!("authkey {}", KEYS[0]),
    ] {
        let file = file(&text)?;
        let path = file.path().display();
        let line = format!("ipsec spi --ah sha2-256 --said ah.216@gw2 --keyfile {path}");
        expect_no_key_from(&line, 2)?;
    }

    let sent = listener.drain()?;
    ensure!(!sent.is_empty(), "the listener heard of nothing");
    for message in &sent {
        expect_no_key("what listeners hear", message)?;
    }
    for request in [
        naming(MsgType::Get, &said("esp.215@10.0.0.2")),
        Content::new(header(MsgType::Dump, 0)),
    ] {
        expect_no_key("an answer", &listener.ask(&request)?)?;
    }
    for name in ["ipsec_spi", "ipsec_spigrp", "pf_key"] {
        expect_no_key(name, proc_net(name)?.as_bytes())?;
    }
    for line in [
        "ipsec spi",
        "ipsec spi --json",
        "ipsec spi --get --said esp.215@gw2",
    ] {
        expect_no_key_from(line, 0)?;
    }
    Ok(())
}

fn a_file_of_keys_that_others_can_read_is_refused() -> Result<()> {
    let keys = key_file()?;
    for (mode, accepted) in [(0o400, true), (0o600, true), (0o640, false), (0o602, false)] {
        fs::set_permissions(keys.path(), Permissions::from_mode(mode))?;
        let line = add_with(&keys, "");
        if accepted {
            quiet(&line)?;
            quiet("ipsec spi --clear")?;
        } else {
            fails(&line, 1, &[&format!("permissions {mode:04o} are too open")])?;
        }
    }
    expect_spigrp(&[])
}

/// Runs `ipsec spi` with a file as its standard input.
fn with_input(input: &NamedTempFile, args: &str) -> Result<Outcome> {
    let args = args.split_ascii_whitespace();
    output(
        Command::new("ipsec")
            .arg("spi")
            .args(args)
            .stdin(Stdio::from(input.reopen()?)),
    )
}

fn keys_from_standard_input() -> Result<()> {
    let keys = key_file()?;
    // A file is looked at even if it is the shell that has opened it.
    fs::set_permissions(keys.path(), Permissions::from_mode(0o644))?;
    let args = "--esp aes256-sha2-256 --said esp.215@gw2 --keyfile -";
    let outcome = with_input(&keys, args)?;
    ensure!(
        outcome.code == Some(1) && outcome.stderr.contains("<stdin>: permissions 0644"),
        "{}",
        outcome.stderr
    );
    fs::set_permissions(keys.path(), Permissions::from_mode(0o600))?;
    let outcome = with_input(&keys, args)?;
    ensure!(
        outcome.code == Some(0) && outcome.stderr.is_empty(),
        "{}",
        outcome.stderr
    );
    contains(
        &succeed("ipsec spi")?.stdout,
        &["esp0x215@10.0.0.2", "aklen=256 eklen=256"],
    )
}

/// Lines of a batch; the keys come from another file.
fn batch() -> Result<(NamedTempFile, NamedTempFile)> {
    let keys = key_file()?;
    let lines = format!(
        "# The SAs of gw2\n\
         --ip4 --said tun.213@gw2 --src 10.0.0.1\n\
         \n\
         --esp aes256-sha2-256 --said esp.215@gw2 --keyfile '{}'  # encrypts\n\
         --comp deflate --said comp.214@gw2\n",
        keys.path().display()
    );
    Ok((file(&lines)?, keys))
}

fn a_batch_of_sas() -> Result<()> {
    let (lines, _keys) = batch()?;
    let path = lines.path().display();
    let outcome = succeed(&format!("ipsec spi --batch {path}"))?;
    ensure!(outcome.stdout.is_empty(), "{}", outcome.stdout);
    ensure!(
        outcome.stderr == format!("ipsec spi: {path}: 3 done\n"),
        "{}",
        outcome.stderr
    );
    let all = [
        "tun0x213@10.0.0.2",
        "esp0x215@10.0.0.2",
        "comp0x214@10.0.0.2",
    ];
    expect_spigrp(&all)?;

    let outcome = with_input(&lines, "--json --batch -")?;
    ensure!(outcome.code == Some(1));
    contains(
        &outcome.stdout,
        &[
            r#"{"line":2,"action":"add","result":"refused","#,
            r#""reason":"exists","errno":"EEXIST"}"#,
            r#"{"action":"batch","result":"refused","done":0,"failed":1,"not_tried":2}"#,
        ],
    )?;
    contains(
        &outcome.stderr,
        &["<stdin>:2: ", "SA tun.213@10.0.0.2 already in use"],
    )?;
    expect_spigrp(&all)
}

fn a_batch_stops_or_goes_on() -> Result<()> {
    let lines =
        file("--ip4 --said tun.213@gw2\n--del --said tun.999@gw2\n--ip4 --said tun.214@gw2\n")?;
    let path = lines.path().display();
    let failure = format!("{path}:2: pfkey write failed (errno=3): SA tun.999@10.0.0.2 ");
    fails(
        &format!("ipsec spi --batch {path}"),
        1,
        &[&failure, "1 done, 1 failed, 1 not tried"],
    )?;
    expect_spigrp(&["tun0x213@10.0.0.2"])?;
    quiet("ipsec spi --clear")?;
    fails(
        &format!("ipsec spi --keep-going --batch {path}"),
        1,
        &[&failure, "2 done, 1 failed"],
    )?;
    expect_spigrp(&["tun0x213@10.0.0.2", "tun0x214@10.0.0.2"])?;

    // What makes no sense is found before anything is sent.
    quiet("ipsec spi --clear")?;
    let lines = file("--ip4 --said tun.213@gw2\n--ip4 --said tun.ff@gw2\n")?;
    let path = lines.path().display();
    fails(
        &format!("ipsec spi --batch {path}"),
        2,
        &[&format!("{path}:2: Illegal reserved spi")],
    )?;
    expect_spigrp(&[])
}

fn options_from_a_file() -> Result<()> {
    let options = file(&format!(
        "# keys and all\n--authkey\n0t{}\n--said ah.216@gw2\n",
        KEYS[0]
    ))?;
    let path = options.path().display();
    quiet(&format!(
        "ipsec spi --ah hmac-sha2-256-128 --optionsfrom {path}"
    ))?;
    expect_spigrp(&["ah0x216@10.0.0.2"])
}
