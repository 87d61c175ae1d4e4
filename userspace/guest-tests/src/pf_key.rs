// SPDX-License-Identifier: GPL-2.0

//! `ipsec pf_key` against the module: what it hears, how it ends, what it does in the background.

use crate::{
    ktap::Test,
    running::{PATIENCE, Running},
    support::{KeySocket, add, expect_spigrp, flush, group, make, manual_sas, naming, proc_net},
    tests,
    tools::quiet,
};
use anyhow::{Result, ensure};
use klips::pfkey::MsgType;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use std::{
    fs::{self, File},
    os::unix::fs::FileTypeExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

/// All of them.
pub fn all() -> Vec<Test> {
    tests![
        adds_and_groups_are_heard,
        json_has_a_line_for_each_message,
        what_others_are_told_is_heard_with_promisc,
        signals_end_it,
        lost_messages_are_told_of,
        a_daemon_has_a_pidfile_until_it_is_told_to_end,
        a_daemon_that_cannot_write_its_pidfile_is_none,
        a_device_is_no_pidfile,
        a_pidfile_has_one_live_daemon,
    ]
}

/// Starts `ipsec pf_key` with these arguments, and waits until it has registered `count` times.
fn start(args: &str, count: usize) -> Result<Running> {
    let child = Command::new("ipsec")
        .arg("pf_key")
        .args(args.split_ascii_whitespace())
        .stdout(Stdio::piped())
        .spawn()?;
    let mut running = Running::of(child)?;
    for _ in 0..count {
        running.line_with(&["register", "errno"])?;
    }
    Ok(running)
}

/// Waits until it ends by itself, without another message.
fn end(watcher: Running) -> Result<String> {
    let rest = watcher.finish(0)?;
    ensure!(!rest.contains("pfkey v2 msg."), "it goes on: {rest}");
    Ok(rest)
}

fn adds_and_groups_are_heard() -> Result<()> {
    let mut watcher = start("--count 9", 4)?;
    let sas = manual_sas();
    make(&sas)?;
    for (said, satype) in [
        ("said=tun.113@10.0.0.2", "satype=9(IPIP)"),
        ("said=esp.115@10.0.0.2", "satype=3(ESP)"),
        ("said=ah.116@10.0.0.2", "satype=2(AH)"),
    ] {
        watcher.line_with(&[
            "pfkey v2 msg. type=3(add) seq=7 ",
            " errno=0 ",
            satype,
            said,
        ])?;
        watcher.line_with(&["  ext=1(security-association) ", "state=1(mature)"])?;
        watcher.line_with(&["  ext=6(destination-address) ", "address=10.0.0.2 "])?;
    }
    quiet("ipsec spigrp --said tun.113@gw2 esp.115@gw2 ah.116@gw2")?;
    watcher.line_with(&["type=13(x-groupsa)", "said=tun.113@10.0.0.2"])?;
    watcher.line_with(&["  ext=48(X-group) len=7 count=2"])?;
    watcher.line_with(&["    spi=0x115 ", "said=esp.115@10.0.0.2"])?;
    watcher.line_with(&["    spi=0x116 ", "said=ah.116@10.0.0.2"])?;
    // Once more: a refusal, the last message that it was to print.
    let again = KeySocket::open()?.send(&group(&sas));
    ensure!(again.is_err(), "{again:?}");
    watcher.line_with(&["type=13(x-groupsa)", "errno=17(EEXIST)"])?;
    watcher.line_with(&["  ext=49(X-fault) len=1 member=0 reason=2(grouped)"])?;
    end(watcher).map(drop)
}

fn json_has_a_line_for_each_message() -> Result<()> {
    let mut watcher = start("--json --count 3 --ah --ipcomp", 2)?;
    make(&manual_sas()[1..2])?;
    let line = watcher.line_with(&["{\"version\":2,\"type\":3,\"type_name\":\"add\","])?;
    ensure!(
        line.contains("\"said\":\"esp.115@10.0.0.2\"") && line.ends_with("]}"),
        "{line}"
    );
    end(watcher).map(drop)
}

fn what_others_are_told_is_heard_with_promisc() -> Result<()> {
    let mut watcher = start("--promisc --count 4 --esp", 1)?;
    watcher.line_with(&["type=11(x-promisc)", "satype=1"])?;
    make(&manual_sas()[1..2])?;
    KeySocket::open()?.ask(&naming(MsgType::Get, &manual_sas()[1]))?;
    watcher.line_with(&["type=11(x-promisc)", "satype=0"])?;
    watcher.line_with(&["  pfkey v2 msg. type=5(get)", "said=esp.115@10.0.0.2"])?;
    let rest = end(watcher)?;
    ensure!(!rest.contains("-key)"), "{rest}");
    Ok(())
}

fn signals_end_it() -> Result<()> {
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        let watcher = start("--label here", 4)?;
        watcher.signal(signal)?;
        let rest = end(watcher)?;
        ensure!(
            rest.ends_with("\nipsec pf_key --label here: Exiting on a signal\n"),
            "{rest}"
        );
    }
    start("--json --ah", 1)?.end(Signal::SIGTERM)
}

fn lost_messages_are_told_of() -> Result<()> {
    let mut watcher = start("--ah", 1)?;
    watcher.signal(Signal::SIGSTOP)?;
    let socket = KeySocket::open()?;
    // Far more than its socket has room for.
    for _ in 0..2000 {
        socket.ask(&flush(0))?;
    }
    watcher.signal(Signal::SIGCONT)?;
    watcher.line_with(&["ipsec pf_key: messages were lost here"])?;
    // It goes on nevertheless: as soon as it has read what its socket still held, there is room.
    let hears_an_add = |watcher: &mut Running| -> Result<bool> {
        socket.ask(&flush(0))?;
        make(&manual_sas()[..1])?;
        while watcher.has_line(Duration::from_secs(1))? {
            if watcher.line()?.contains("type=3(add)") {
                return Ok(true);
            }
        }
        Ok(false)
    };
    let mut tries = 20;
    while !hears_an_add(&mut watcher)? {
        tries -= 1;
        ensure!(tries > 0, "it hears nothing after what it lost");
    }
    watcher.signal(Signal::SIGTERM)?;
    watcher.finish(0).map(drop)
}

/// A folder of this test.
fn folder(name: &str) -> Result<PathBuf> {
    let folder = PathBuf::from("/tmp").join(name);
    fs::create_dir_all(&folder)?;
    Ok(folder)
}

/// Starts a daemon, whose output goes to a file, and returns its exit status in the foreground.
fn daemon(pidfile: &Path, output: &Path) -> Result<Option<i32>> {
    let output = File::create(output)?;
    let status = Command::new("ipsec")
        .args(["pf_key", "--ah", "--daemon"])
        .arg(pidfile)
        .stdout(output.try_clone()?)
        .stderr(output)
        .status()?;
    Ok(status.code())
}

/// Process IDs of the sockets that there are.
fn owners() -> Result<Vec<String>> {
    Ok(proc_net("pf_key")?
        .lines()
        .skip(1)
        .filter_map(|line| line.split_ascii_whitespace().nth(1))
        .map(str::to_owned)
        .collect())
}

/// Waits until something is so.
fn wait_until(what: &str, mut is_so: impl FnMut() -> Result<bool>) -> Result<()> {
    let start = Instant::now();
    while !is_so()? {
        ensure!(start.elapsed() < PATIENCE, "{what}: that does not come");
        thread::sleep(Duration::from_millis(10));
    }
    Ok(())
}

fn a_daemon_has_a_pidfile_until_it_is_told_to_end() -> Result<()> {
    let folder = folder("pf_key-daemon")?;
    let (pidfile, output) = (folder.join("pid"), folder.join("output"));
    ensure!(daemon(&pidfile, &output)? == Some(0), "it did not start");
    // All is there when the command is done: the file, the socket, the registration.
    let content = fs::read_to_string(&pidfile)?;
    let pid: i32 = content.trim_end().parse()?;
    ensure!(content == format!("{pid}\n"), "{content:?}");
    ensure!(owners()? == [pid.to_string()], "{:?}", owners()?);
    ensure!(proc_net("pf_key_registered")?.lines().count() == 2);
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let session = stat.split_ascii_whitespace().nth(5);
    ensure!(session == Some(&pid.to_string()), "{stat}");
    let stdin = fs::read_link(format!("/proc/{pid}/fd/0"))?;
    ensure!(stdin == Path::new("/dev/null"), "{stdin:?}");

    make(&manual_sas()[..1])?;
    wait_until("the ADD", || {
        Ok(fs::read_to_string(&output)?.contains("type=3(add)"))
    })?;
    kill(Pid::from_raw(pid), Signal::SIGTERM)?;
    wait_until("the end of the file", || Ok(!pidfile.exists()))?;
    wait_until("the end of the socket", || Ok(owners()?.is_empty()))?;
    let output = fs::read_to_string(output)?;
    ensure!(
        output.ends_with("\nipsec pf_key: Exiting on a signal\n"),
        "{output}"
    );
    expect_spigrp(&["tun0x113@10.0.0.2"])
}

fn a_daemon_that_cannot_write_its_pidfile_is_none() -> Result<()> {
    let folder = folder("pf_key-none")?;
    let output = folder.join("output");
    ensure!(daemon(&folder.join("none/pid"), &output)? == Some(1));
    let output = fs::read_to_string(output)?;
    ensure!(
        output.lines().count() == 1
            && output.starts_with("ipsec pf_key: /tmp/pf_key-none/none/pid: "),
        "{output}"
    );
    ensure!(owners()?.is_empty(), "{:?}", owners()?);
    // A request is answered all the same: nobody is in the way.
    KeySocket::open()?.ask(&add(&manual_sas()[0])).map(drop)
}

/// A daemon that had this as its file once replaced it, for the whole system.
fn a_device_is_no_pidfile() -> Result<()> {
    let folder = folder("pf_key-device")?;
    let (device, output) = (Path::new("/dev/null"), folder.join("output"));
    ensure!(daemon(device, &output)? == Some(1));
    ensure!(fs::metadata(device)?.file_type().is_char_device());
    let output = fs::read_to_string(output)?;
    ensure!(output.contains("/dev/null: not a regular file"), "{output}");
    ensure!(owners()?.is_empty(), "{:?}", owners()?);
    Ok(())
}

fn a_pidfile_has_one_live_daemon() -> Result<()> {
    let folder = folder("pf_key-two")?;
    let (pidfile, output) = (folder.join("pid"), folder.join("output"));
    ensure!(daemon(&pidfile, &output)? == Some(0), "it did not start");
    let first = fs::read_to_string(&pidfile)?;
    let refusal = folder.join("refusal");
    ensure!(daemon(&pidfile, &refusal)? == Some(1));
    let refusal = fs::read_to_string(refusal)?;
    let held = format!("another process has this file: {first}");
    ensure!(refusal.ends_with(&held), "{refusal}");
    ensure!(fs::read_to_string(&pidfile)? == first);
    ensure!(owners()? == [first.trim_end()], "{:?}", owners()?);

    // One that dies leaves its file behind, which is the next one's.
    kill(Pid::from_raw(first.trim_end().parse()?), Signal::SIGKILL)?;
    wait_until("the end of the socket", || Ok(owners()?.is_empty()))?;
    ensure!(daemon(&pidfile, &output)? == Some(0), "it did not start");
    let second = fs::read_to_string(&pidfile)?;
    ensure!(owners()? == [second.trim_end()], "{:?}", owners()?);
    kill(Pid::from_raw(second.trim_end().parse()?), Signal::SIGTERM)?;
    wait_until("the end of the file", || Ok(!pidfile.exists()))
}
