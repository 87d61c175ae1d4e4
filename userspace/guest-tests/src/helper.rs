// SPDX-License-Identifier: GPL-2.0

//! Parts of tests that need a process of their own: another user, a user namespace.

use crate::{
    fuzz, load, security, sockets,
    support::{
        KeySocket, PROC, add, errno, expect_spigrp, getspi, group, make, manual_sas, naming,
        open_raw, said, update,
    },
};
use anyhow::{Context, Result, ensure};
use klips::{errno::Errno, pfkey::MsgType};
use nix::sched::{CloneFlags, unshare};
use std::{
    fs,
    os::{
        fd::{AsFd, OwnedFd},
        unix::process::CommandExt,
    },
    process::{Child, Command, ExitCode, Stdio},
};

/// The argument with which this program is a helper.
pub const ARGUMENT: &str = "--helper";

/// What a helper does. It tells the outcome in one line.
#[derive(Clone, Copy, Debug)]
pub enum Helper {
    /// Opens what should be refused.
    Open,
    /// Writes a request to the socket that is its standard input.
    Write,
    /// The same as root of a user namespace.
    WriteAsOtherRoot,
    /// The same as root of a user and a network namespace.
    WriteFromOtherNetwork,
    /// Becomes root of a user and a network namespace, and makes SAs there.
    OwnNetwork,
    /// Becomes root of a user and a network namespace where four SAs are all that there may be.
    FullTable,
    /// Becomes root of a user namespace only, and opens a socket.
    OtherNetwork,
    /// Becomes root of a user and a network namespace, and has messages queued there.
    Hoard,
    /// Becomes root of a user and a network namespace, and has all logged that can be.
    Chatter,
    /// Enters a control group, and sees what it is charged for.
    Charge,
    /// Opens a file and waits for its end.
    HoldFile,
    /// Becomes root of a user and a network namespace where three sockets are all that there may be.
    ThreeSockets,
    /// Becomes root of a user and a network namespace where two eroutes and two states are all that
    /// there may be.
    FullEngine,
    /// Has a DUMP written to a socket that takes nothing.
    Dump,
    /// Enters a control group, and writes where others listen.
    WriteInGroup,
    /// Enters a control group, and listens there.
    ListenInGroup,
    /// Becomes root of a user and a network namespace in which processes write at random. The seed
    /// of the first, and how many messages each writes.
    Fuzz,
    /// One of these processes. The seed, and how many messages.
    FuzzWriter,
}

/// As whom a helper runs.
#[derive(Clone, Copy, Debug)]
pub enum Who {
    /// User 65534.
    Nobody,
}

/// Runs a helper in the thread's network namespace.
pub fn run(helper: Helper, who: Who, stdin: Option<OwnedFd>) -> Result<String> {
    let Who::Nobody = who;
    let mut command = command(helper, &[])?;
    command.stdin(stdin.map_or_else(Stdio::null, Stdio::from));
    finish(nobody(&mut command).spawn()?)
}

/// Checks that a helper which is given a socket must not write to it.
pub fn expect_no_writing(helper: Helper, socket: &KeySocket) -> Result<()> {
    let stdin = socket.0.try_clone()?;
    let told = run(helper, Who::Nobody, Some(stdin.into()))?;
    ensure!(told == "EPERM", "{helper:?}: {told}");
    Ok(())
}

/// Starts a helper as user 65534.
pub fn start(helper: Helper, arguments: &[String]) -> Result<Child> {
    Ok(nobody(&mut command(helper, arguments)?).spawn()?)
}

/// Starts a helper as who this process is.
pub fn start_here(helper: Helper, arguments: &[String]) -> Result<Child> {
    Ok(command(helper, arguments)?.spawn()?)
}

/// Waits for a helper, and returns what it told.
pub fn finish(helper: Child) -> Result<String> {
    let output = helper.wait_with_output()?;
    let told = String::from_utf8(output.stdout)?.trim_end().to_owned();
    ensure!(
        output.status.success(),
        "a helper, {}: {told}",
        output.status
    );
    Ok(told)
}

fn command(helper: Helper, arguments: &[String]) -> Result<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    command
        .args([ARGUMENT, &format!("{helper:?}")])
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    Ok(command)
}

fn nobody(command: &mut Command) -> &mut Command {
    command.uid(65534).gid(65534)
}

/// The helper's own `main`.
pub fn main() -> ExitCode {
    let outcome = match std::env::args().nth(2).as_deref() {
        Some("Open") => open(),
        Some("Write") => write(),
        Some("WriteAsOtherRoot") => enter_own_user().and_then(|()| write()),
        Some("WriteFromOtherNetwork") => enter_own_network().and_then(|()| write()),
        Some("OwnNetwork") => own_network(),
        Some("FullTable") => full_table(),
        Some("OtherNetwork") => other_network(),
        Some("Hoard") => enter_own_network().and_then(|()| security::hoard()),
        Some("Chatter") => enter_own_network().and_then(|()| security::chatter()),
        Some("Charge") => argument(3).and_then(|group| security::charge(&group)),
        Some("HoldFile") => load::hold_file(),
        Some("ThreeSockets") => enter_own_network().and_then(|()| load::three_sockets()),
        Some("FullEngine") => enter_own_network().and_then(|()| load::fill_engine()),
        Some("Dump") => sockets::dump_in_vain(),
        Some("WriteInGroup") => argument(3).and_then(|group| security::write_in_group(&group)),
        Some("ListenInGroup") => argument(3).and_then(|group| security::listen_in_group(&group)),
        Some("Fuzz") => {
            enter_own_network().and_then(|()| fuzz::in_namespace(number(3)?, number(4)?))
        }
        Some("FuzzWriter") => number(3).and_then(|seed| fuzz::write(seed, number(4)?)),
        other => Err(anyhow::anyhow!("no helper {other:?}")),
    };
    match outcome {
        Ok(outcome) => {
            println!("{outcome}");
            ExitCode::SUCCESS
        }
        // Who has started it tells of it.
        Err(error) => {
            println!("{error:?}");
            ExitCode::FAILURE
        }
    }
}

/// An argument.
fn argument(index: usize) -> Result<String> {
    std::env::args()
        .nth(index)
        .context("an argument is missing")
}

/// A number among the arguments.
fn number(index: usize) -> Result<u64> {
    Ok(argument(index)?.parse()?)
}

fn name(errno: Errno) -> String {
    match errno.describe() {
        Some((name, _)) => name.to_owned(),
        None => errno.0.to_string(),
    }
}

fn outcome<T>(result: std::io::Result<T>) -> String {
    match result {
        Ok(_) => "ok".to_owned(),
        Err(error) => name(errno(&error)),
    }
}

fn open() -> Result<String> {
    Ok(format!(
        "socket {}, protocol {}, list {}",
        outcome(open_raw(3, 2)),
        outcome(open_raw(3, 1)),
        outcome(fs::read(format!("{PROC}/ipsec_spigrp"))),
    ))
}

fn write() -> Result<String> {
    let socket = KeySocket(std::io::stdin().as_fd().try_clone_to_owned()?.into());
    Ok(match socket.send(&add(&manual_sas()[0])) {
        Ok(()) => "ok".to_owned(),
        Err(errno) => name(errno),
    })
}

/// Becomes root of a user namespace.
fn enter_own_user() -> Result<()> {
    unshare(CloneFlags::CLONE_NEWUSER)?;
    fs::write("/proc/self/uid_map", "0 65534 1")?;
    Ok(())
}

/// Becomes root of a user namespace and of a network namespace in it.
fn enter_own_network() -> Result<()> {
    enter_own_user()?;
    // Now that there is a root, the files of a new network namespace will be that root's.
    unshare(CloneFlags::CLONE_NEWNET)?;
    Ok(())
}

fn full_table() -> Result<String> {
    enter_own_network()?;
    fill_table()?;
    Ok("ok".to_owned())
}

/// Makes four SAs where there may be no more, by ADD and GETSPI.
pub fn fill_table() -> Result<()> {
    let sas = manual_sas();
    make(&sas)?;
    let socket = KeySocket::open()?;
    let fifth = said("esp.999@10.0.0.2");
    let reserve = getspi(&fifth, 0x1000, 0x2000);
    socket.ask(&reserve).context("GETSPI of the fourth")?;
    for request in [add(&fifth), reserve] {
        let result = socket.send(&request);
        ensure!(result == Err(Errno::ENOSPC), "a fifth: {result:?}");
    }
    // Nothing else is refused, and room that is made can be used.
    socket.ask(&group(&sas))?;
    socket.ask(&update(&sas[1]))?;
    let delete = socket.send(&naming(MsgType::Delete, &sas[1]));
    ensure!(delete == Ok(()), "DELETE: {delete:?}");
    socket.ask(&add(&fifth))?;
    Ok(())
}

fn own_network() -> Result<String> {
    enter_own_network()?;
    let sas = manual_sas();
    make(&sas)?;
    KeySocket::open()?.ask(&group(&sas))?;
    expect_spigrp(&["tun0x113@10.0.0.2 esp0x115@10.0.0.2 ah0x116@10.0.0.2"])?;
    Ok("ok".to_owned())
}

fn other_network() -> Result<String> {
    enter_own_user()?;
    Ok(outcome(open_raw(3, 2)))
}
