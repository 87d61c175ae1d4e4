// SPDX-License-Identifier: GPL-2.0

//! What `ipsec spigrp` does beyond the manual page, where it takes a kernel to see it.

use crate::{
    ktap::Test,
    running::{PATIENCE, Running},
    support::{
        KeySocket, LATER, SOON, expect_spigrp, group, make, manual_sas, proc_net, said, ungroup,
    },
    tests,
    tools::{IPV4, KEY16, fails, make_ipv4, quiet, run},
};
use anyhow::{Context, Result, bail, ensure};
use nix::sys::signal::Signal;
use std::{
    fs,
    io::Write,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

/// All of them.
pub fn all() -> Vec<Test> {
    tests![
        a_monitor_prints_changes_as_they_happen,
        a_monitor_prints_json,
        a_monitor_that_was_stopped_tells_that_it_lost_messages,
        a_monitor_ends_when_nobody_reads,
        batches_come_from_files_and_pipes,
        a_bad_line_keeps_a_batch_from_being_sent,
        a_batch_answers_line_by_line,
        a_dry_run_changes_nothing,
        chains_are_built_by_several_calls,
        results_are_json,
    ]
}

/// Those that wait for the clock.
pub fn waiting() -> Vec<Test> {
    tests![a_monitor_tells_of_limits]
        .into_iter()
        .map(Test::waiting)
        .collect()
}

/// Starts a monitor, and waits until it listens.
fn start_monitor(options: &[&str]) -> Result<Child> {
    let before = sockets()?;
    let child = Command::new("ipsec")
        .args(["spigrp", "--monitor"])
        .args(options)
        .stdout(Stdio::piped())
        .spawn()?;
    let start = Instant::now();
    while sockets()? == before {
        ensure!(start.elapsed() < PATIENCE, "the monitor opens no socket");
        thread::sleep(Duration::from_millis(10));
    }
    Ok(child)
}

fn sockets() -> Result<usize> {
    Ok(proc_net("pf_key")?.lines().count())
}

impl Running {
    fn monitor(options: &[&str]) -> Result<Self> {
        Running::of(start_monitor(options)?)
    }
}

fn a_monitor_prints_changes_as_they_happen() -> Result<()> {
    let mut monitor = Running::monitor(&[])?;
    make(&manual_sas())?;
    monitor.expect(&[
        "added tun.113@10.0.0.2",
        "added esp.115@10.0.0.2",
        "added ah.116@10.0.0.2",
    ])?;
    quiet("ipsec spigrp --said tun.113@gw2 esp.115@gw2")?;
    monitor.expect(&["grouped tun.113@10.0.0.2 esp.115@10.0.0.2"])?;
    // A refusal changes nothing.
    fails(
        "ipsec spigrp --said ah.116@gw2 esp.115@gw2",
        1,
        &["esp.115@10.0.0.2 is already in the group tun.113@10.0.0.2"],
    )?;
    quiet("ipsec spigrp --ungroup esp.115@gw2")?;
    quiet("ipsec spigrp --said tun.113@gw2 ah.116@gw2")?;
    quiet("ipsec spi --del --said ah.116@gw2")?;
    quiet("ipsec spi --clear")?;
    monitor.expect(&[
        "ungrouped the group of esp.115@10.0.0.2",
        "grouped tun.113@10.0.0.2 ah.116@10.0.0.2",
        "deleted ah.116@10.0.0.2",
        "deleted tun.113@10.0.0.2",
        "deleted all SAs",
    ])?;
    monitor.end(Signal::SIGTERM)
}

fn a_monitor_prints_json() -> Result<()> {
    let mut monitor = Running::monitor(&["--json", "--timestamp"])?;
    make(&[said("tun.113@10.0.0.2")])?;
    let line = monitor.line()?;
    ensure!(
        line.starts_with("{\"time\":\"20")
            && line.contains("\"event\":\"added\"")
            && line.contains("\"said\":\"tun.113@10.0.0.2\""),
        "{line}"
    );
    monitor.end(Signal::SIGINT)
}

fn a_monitor_that_was_stopped_tells_that_it_lost_messages() -> Result<()> {
    let mut monitor = Running::monitor(&[])?;
    make(&manual_sas())?;
    for _ in 0..3 {
        monitor.line()?;
    }
    monitor.signal(Signal::SIGSTOP)?;
    let socket = KeySocket::open()?;
    let [tun, esp, _] = manual_sas();
    for _ in 0..1000 {
        socket.ask(&group(&[tun, esp]))?;
        socket.ask(&ungroup(&esp))?;
    }
    monitor.signal(Signal::SIGCONT)?;
    monitor.expect(&["lost messages: there were more changes than are told here"])?;
    // What there was room for is told all the same.
    let mut kept = 0;
    while monitor.has_line(Duration::from_secs(1))? {
        let line = monitor.line()?;
        ensure!(!line.contains("lost"), "told twice");
        kept += 1;
    }
    ensure!((10..2000).contains(&kept), "{kept} lines were kept");
    quiet("ipsec spi --clear")?;
    monitor.expect(&["deleted all SAs"])?;
    monitor.end(Signal::SIGTERM)
}

fn a_monitor_ends_when_nobody_reads() -> Result<()> {
    let mut child = start_monitor(&[])?;
    drop(child.stdout.take());
    make(&[said("tun.113@10.0.0.2")])?;
    let start = Instant::now();
    let status = loop {
        match child.try_wait()? {
            Some(status) => break status,
            None if start.elapsed() < PATIENCE => thread::sleep(Duration::from_millis(10)),
            None => {
                child.kill()?;
                bail!("it goes on");
            }
        }
    };
    ensure!(status.code() == Some(1), "{status}");
    Ok(())
}

fn a_monitor_tells_of_limits() -> Result<()> {
    let mut monitor = Running::monitor(&[])?;
    quiet(&format!(
        "ipsec spi --ah hmac-md5-96 --said ah.116@gw2 --authkey {KEY16} \
         --life soft-addtime={SOON},hard-addtime={LATER}"
    ))?;
    make(&[said("tun.113@10.0.0.2")])?;
    quiet("ipsec spigrp --said tun.113@gw2 ah.116@gw2")?;
    monitor.expect(&[
        "added ah.116@10.0.0.2",
        "added tun.113@10.0.0.2",
        "grouped tun.113@10.0.0.2 ah.116@10.0.0.2",
        "expired (soft) ah.116@10.0.0.2",
        "expired (hard) ah.116@10.0.0.2",
        "deleted tun.113@10.0.0.2",
    ])?;
    monitor.end(Signal::SIGTERM)
}

/// A file that goes with its test.
struct Batch(String);

impl Batch {
    fn new(name: &str, lines: &str) -> Result<Self> {
        let path = format!("/tmp/{name}.{}", std::process::id());
        fs::write(&path, lines)?;
        Ok(Batch(path))
    }
}

impl Drop for Batch {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// Checks what a batch says of itself.
fn batch(options: &str, file: &Batch, code: i32, errors: &[&str]) -> Result<()> {
    let outcome = run(&format!("ipsec spigrp {options}--batch {}", file.0))?;
    let expected: Vec<_> = errors
        .iter()
        .map(|error| format!("ipsec spigrp: {}{error}", file.0))
        .collect();
    ensure!(
        outcome.code == Some(code)
            && outcome.stdout.is_empty()
            && outcome.stderr.lines().eq(&expected),
        "exit {:?}\n{}{}",
        outcome.code,
        outcome.stdout,
        outcome.stderr
    );
    Ok(())
}

const LINES: &str = "\
# Two are grouped, ungrouped, and all are grouped.
--said ah.116@gw2 tun.113@gw2
--said tun.113@gw2 esp.115@gw2

inet gw2 0x113 tun   # another name of the group
--said tun.113@gw2 esp.115@gw2 ah.116@gw2
";

fn batches_come_from_files_and_pipes() -> Result<()> {
    make_ipv4()?;
    let file = Batch::new("lines", LINES)?;
    let refusal = ":3: tun.113@10.0.0.2 is already in the group ah.116@10.0.0.2.  Ungroup it and \
                   name all SAs in one call, or use --join.";
    batch("", &file, 1, &[refusal, ": 1 done, 1 failed, 2 not tried"])?;
    expect_spigrp(&["esp0x115@10.0.0.2", "ah0x116@10.0.0.2 tun0x113@10.0.0.2"])?;
    quiet("ipsec spigrp --ungroup ah.116@gw2")?;
    batch("--keep-going ", &file, 1, &[refusal, ": 3 done, 1 failed"])?;
    expect_spigrp(&[IPV4])?;

    let mut child = Command::new("ipsec")
        .args(["spigrp", "--batch", "-"])
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    let mut input = child.stdin.take().context("its input is piped")?;
    input.write_all(b"--ungroup ah.116@gw2\n--said esp.115@gw2 ah.116@gw2")?;
    drop(input);
    let output = child.wait_with_output()?;
    ensure!(
        output.status.success() && output.stderr == b"ipsec spigrp: <stdin>: 2 done\n",
        "{output:?}"
    );
    expect_spigrp(&["tun0x113@10.0.0.2", "esp0x115@10.0.0.2 ah0x116@10.0.0.2"])
}

fn a_bad_line_keeps_a_batch_from_being_sent() -> Result<()> {
    make_ipv4()?;
    let listener = KeySocket::open()?;
    let file = Batch::new("bad", &format!("{LINES}--said tun.113@gw2 esp.zz@gw2\n"))?;
    batch(
        "",
        &file,
        2,
        &[
            ":7: Error, non-hex digit in hex number converting --sa argument:esp.zz@gw2",
            ": 0 done, 1 failed, 4 not tried; nothing was sent",
        ],
    )?;
    ensure!(listener.drain()?.is_empty(), "something was sent");
    Ok(())
}

fn a_batch_answers_line_by_line() -> Result<()> {
    make_ipv4()?;
    let mut child = Command::new("ipsec")
        .args(["spigrp", "--json", "--keep-going", "--batch", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    let mut input = child.stdin.take().context("its input is piped")?;
    let mut session = Running::of(child)?;
    for (line, answer) in [
        (
            "--said tun.113@gw2 esp.115@gw2",
            "{\"line\":1,\"action\":\"group\",\"result\":\"done\"",
        ),
        (
            "--said tun.113@gw2 esp.115@gw2",
            "{\"line\":2,\"action\":\"group\",\"result\":\"refused\"",
        ),
        ("--said nonsense", "{\"line\":3,\"result\":\"usage\""),
        (
            "--ungroup esp.115@gw2",
            "{\"line\":4,\"action\":\"ungroup\",\"result\":\"done\"",
        ),
    ] {
        writeln!(input, "{line}")?;
        let found = session.line()?;
        ensure!(found.starts_with(answer), "{line}: {found}");
    }
    drop(input);
    session.expect(&[
        "{\"action\":\"batch\",\"result\":\"usage\",\"done\":2,\"failed\":2,\"not_tried\":0}",
    ])?;
    ensure!(session.finish(2)?.is_empty(), "there is more");
    Ok(())
}

fn a_dry_run_changes_nothing() -> Result<()> {
    make_ipv4()?;
    quiet("ipsec spigrp --said tun.113@gw2 esp.115@gw2")?;
    let before = ["tun0x113@10.0.0.2 esp0x115@10.0.0.2", "ah0x116@10.0.0.2"];
    let listener = KeySocket::open()?;
    let file = Batch::new("dry", LINES)?;
    for (line, code, words) in [
        (
            "--ungroup esp.115@gw2".to_owned(),
            0,
            "would ungroup tun.113@10.0.0.2 esp.115@10.0.0.2\n",
        ),
        (
            "--said ah.116@gw2 esp.115@gw2".to_owned(),
            1,
            "would be refused: esp.115@10.0.0.2 is already in the group tun.113@10.0.0.2.  ",
        ),
        (
            format!("--keep-going --batch {}", file.0),
            1,
            "2 would succeed, 2 would fail; nothing was sent\n",
        ),
    ] {
        let outcome = run(&format!("ipsec spigrp --dry-run {line}"))?;
        let said = outcome.stdout + &outcome.stderr;
        ensure!(
            outcome.code == Some(code) && said.contains(words),
            "{line}: exit {:?}\n{said}",
            outcome.code
        );
        expect_spigrp(&before)?;
    }
    ensure!(listener.drain()?.is_empty(), "something was sent");
    Ok(())
}

/// As scripts for KLIPS did it.
fn chains_are_built_by_several_calls() -> Result<()> {
    make(&manual_sas())?;
    quiet("ipsec spigrp --said esp.115@gw2 ah.116@gw2")?;
    fails(
        "ipsec spigrp --said tun.113@gw2 esp.115@gw2",
        1,
        &[
            "is already in the group esp.115@10.0.0.2.  Ungroup it",
            "--join",
        ],
    )?;
    quiet("ipsec spigrp --join --said tun.113@gw2 esp.115@gw2")?;
    expect_spigrp(&["tun0x113@10.0.0.2 esp0x115@10.0.0.2 ah0x116@10.0.0.2"])?;
    fails(
        "ipsec spigrp --join --said tun.113@gw2 ah.116@gw2",
        1,
        &["tun.113@10.0.0.2 has esp.115@10.0.0.2 on its outside already"],
    )?;
    expect_spigrp(&["tun0x113@10.0.0.2 esp0x115@10.0.0.2 ah0x116@10.0.0.2"])
}

fn results_are_json() -> Result<()> {
    make_ipv4()?;
    let outcome = run("ipsec spigrp --json --said tun.113@gw2 esp.115@gw2")?;
    ensure!(
        outcome
            .stdout
            .starts_with("{\"action\":\"group\",\"result\":\"done\",\"sas\":[")
    );
    let outcome = run("ipsec spigrp --json --said ah.116@gw2 esp.115@gw2")?;
    ensure!(outcome.code == Some(1));
    for words in [
        "\"result\":\"refused\"",
        "\"reason\":\"grouped\"",
        "\"errno\":\"EEXIST\"",
    ] {
        ensure!(outcome.stdout.contains(words), "{}", outcome.stdout);
    }
    Ok(())
}
