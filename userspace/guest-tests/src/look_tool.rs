// SPDX-License-Identifier: GPL-2.0

//! `ipsec look` against the module: all that it has to say, with packets.

use crate::{
    ktap::Test,
    packets::{eroute, make_group, set_up_peer},
    support::manual_sas,
    tests,
    tools::{quiet, run},
    wire::{Gateways, V4, expect_pings, ping},
};
use anyhow::{Result, ensure};
use nix::{
    pty::openpty,
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use std::{
    fs::File,
    io::Read,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

/// All of them.
pub fn all() -> Vec<Test> {
    tests![
        everything_is_in_the_picture,
        a_terminal_that_watches_sees_rates,
    ]
}

/// Gateways with a group that packets go through.
fn gateways() -> Result<Gateways> {
    let gateways = Gateways::new()?;
    let sas = manual_sas();
    make_group(&sas)?;
    eroute(V4.inner.0, V4.inner.1, &sas[0])?;
    set_up_peer(&gateways, V4, V4.inner, &sas)?;
    Ok(gateways)
}

fn everything_is_in_the_picture() -> Result<()> {
    let gateways = gateways()?;
    let a = &gateways.a;
    let ends = "--src 10.0.0.1";
    for line in [
        // Its chain is not there.
        "ipsec eroute --add --src 10.1.0.0/16 --dst 10.7.0.0/16 --said tun.999@10.0.0.2",
        "ipsec eroute --add --src 10.1.0.0/16 --dst 10.8.0.0/16 --said %pass",
        // Nobody uses it.
        &format!("ipsec spi --ip4 --said tun.777@10.0.0.2 {ends} --dst 10.0.0.2"),
        // It has not long to go.
        &format!("ipsec spi --ip4 --said tun.213@10.0.0.2 {ends} --dst 10.0.0.2"),
        &format!(
            "ipsec spi --ah hmac-md5-96 --said ah.216@10.0.0.2 {ends} \
             --authkey 0x00112233445566778899aabbccddeeff --life hard-packets=5"
        ),
        "ipsec spigrp --said tun.213@10.0.0.2 ah.216@10.0.0.2",
        "ipsec eroute --add --src 10.1.0.0/16 --dst 10.3.0.0/16 --said tun.213@10.0.0.2",
    ] {
        quiet(line)?;
    }
    for net in ["10.3.0.0/16", "10.7.0.0/16"] {
        a.run(&format!("ip route add {net} via 10.0.0.2 src 10.1.0.1"))?;
    }
    expect_pings(a, V4.inner.0, V4.inner.1, 3)?;
    ping(a, V4.inner.0, "10.3.0.2", 4, 56)?;
    ping(a, V4.inner.0, "10.7.0.2", 2, 56)?;
    quiet("ipsec tncfg --attach --virtual ipsec0 --physical w0")?;
    let text = run("ipsec look")?.stdout;
    quiet("ipsec tncfg --detach --virtual ipsec0")?;
    let line = |words: &[&str]| {
        let is_there = |line: &str| words.iter().all(|word| line.contains(word));
        ensure!(text.lines().any(is_there), "{words:?}: {text}");
        Ok(())
    };
    line(&["w0", "10.0.0.1"])?;
    line(&["ipsec0", "10.0.0.1", "attached to w0"])?;
    line(&["10.1.0.1/32 -> 10.2.0.2/32", "3 packets"])?;
    line(&["tun0x113@10.0.0.2"])?;
    line(&["`- esp0x115@10.0.0.2", "ESP_", "3 packets", "age ", "idle "])?;
    line(&["`- ah0x116@10.0.0.2", "AH_", "3 packets"])?;
    line(&["-> 10.7.0.0/16", "dropped: "])?;
    line(&["tun0x999@10.0.0.2", "is not there"])?;
    line(&["-> 10.8.0.0/16", "in clear"])?;
    line(&["ah0x216@10.0.0.2", "packets at 80% of the hard limit"])?;
    line(&["2  ", "(XfrmOutPolBlock)"])?;
    let (_, unused) = text
        .split_once("SAs that no eroute leads to\n")
        .unwrap_or_default();
    ensure!(unused.starts_with("  tun0x777@10.0.0.2"), "{text}");
    // What comes after five and one more finds its end: the chain is gone, and the eroute says so.
    ping(a, V4.inner.0, "10.3.0.2", 4, 56)?;
    let start = Instant::now();
    loop {
        let text = run("ipsec look")?.stdout;
        let lost = |line: &str| line.contains("-> 10.3.0.0/16") && line.contains("dropped: ");
        if text.lines().any(lost) {
            return Ok(());
        }
        ensure!(start.elapsed() < Duration::from_secs(30), "{text}");
        thread::sleep(Duration::from_millis(20));
    }
}

fn a_terminal_that_watches_sees_rates() -> Result<()> {
    let gateways = gateways()?;
    let ends = openpty(None, None)?;
    let mut child = Command::new("ipsec")
        .args(["look", "--watch", "1"])
        .env("TERM", "xterm")
        .stdin(Stdio::null())
        .stdout(ends.slave)
        .stderr(Stdio::null())
        .spawn()?;
    let mut terminal = File::from(ends.master);
    let mut shown = String::new();
    // Each picture takes the place of the one before.
    while shown.matches("\x1b[2J\x1b[H").count() < 4 {
        ping(&gateways.a, V4.inner.0, V4.inner.1, 3, 56)?;
        let mut buffer = [0; 4096];
        let len = terminal.read(&mut buffer)?;
        shown += &String::from_utf8_lossy(&buffer[..len]);
    }
    kill(Pid::from_raw(i32::try_from(child.id())?), Signal::SIGINT)?;
    let status = child.wait()?;
    ensure!(status.code() == Some(0), "{status}");
    ensure!(shown.contains("\x1b[1mEroutes"), "{shown}");
    let rates = shown
        .lines()
        .filter(|line| line.contains("-> 10.2.0.2/32") && line.contains("/s"));
    // The first picture has nothing to compare with.
    ensure!(rates.count() >= 2, "{shown}");
    Ok(())
}
