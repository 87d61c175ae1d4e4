// SPDX-License-Identifier: GPL-2.0

//! `ipsec manual` against the module, with packets.

use crate::{
    ktap::Test,
    packets::proto,
    support::{expect_spigrp, proc_net},
    tests,
    tools::{fails, quiet, run},
    wire::{Gateways, Space, V4, expect_pings},
};
use anyhow::{Result, ensure};
use std::io::Write;
use tempfile::NamedTempFile;

/// All of them.
pub fn all() -> Vec<Test> {
    tests![
        one_end_does_what_the_other_shows,
        the_other_end_is_plain_xfrm,
        a_failure_leaves_no_sa_and_nothing_in_clear,
        packets_wait_for_addresses,
        hosts_without_a_tunnel,
    ]
}

const ENCKEY: &str = "0x8dcd4d3c5b2b8e4c9d4d9f8ab3f0ce1b";
const AUTHKEY: &str = "0x9ad2f1ab03c93cb7cd1c2bb1d8f2a5e94c6b7d80";
const AHKEY: &str = "0x00112233445566778899aabbccddeeff";

/// A file of connections between both gateways, readable by its owner only.
fn conf() -> Result<NamedTempFile> {
    let mut file = NamedTempFile::new()?;
    write!(
        file,
        "conn %default
	left=10.0.0.1
	right=10.0.0.2
	esp=aes128-sha1-96
	espenckey={ENCKEY}
	espauthkey={AUTHKEY}
	espreplay_window=32

conn esp
	also=nets
	spibase=0x200

conn three
	also=nets
	spibase=0x300
	ah=hmac-md5-96
	ahkey={AHKEY}

conn hosts
	type=transport
	spi=0x400
	ah=hmac-md5-96
	ahkey={AHKEY}

conn nets
	leftsubnet=10.1.0.0/16
	rightsubnet=10.2.0.0/16
"
    )?;
    Ok(file)
}

/// The command line of an operation.
fn manual(conf: &NamedTempFile, rest: &str) -> String {
    format!("ipsec manual --config {} {rest}", conf.path().display())
}

/// Checks the eroutes of this namespace, but for how many packets they took.
fn expect_eroutes(expected: &[&str]) -> Result<()> {
    let list = proc_net("ipsec_eroute")?;
    let listed: Vec<String> = list
        .lines()
        .map(|line| {
            line.split_ascii_whitespace()
                .skip(1)
                .collect::<Vec<_>>()
                .join(" ")
        })
        .collect();
    ensure!(listed == expected, "expected {expected:#?}\nfound\n{list}");
    Ok(())
}

/// Pings from behind one gateway to behind the other, and back.
fn expect_both_ways(gateways: &Gateways, answered: u32) -> Result<()> {
    expect_pings(&gateways.a, V4.inner.0, V4.inner.1, answered)?;
    expect_pings(&gateways.b, V4.inner.1, V4.inner.0, answered)
}

/// A bundle of tunnel, ESP and AH on both gateways, each klips's; down, up again, and in clear.
fn one_end_does_what_the_other_shows() -> Result<()> {
    let gateways = Gateways::new()?;
    let conf = conf()?;
    expect_both_ways(&gateways, 3)?;
    let shown = run(&manual(&conf, "--showonly --other --up three"))?.stdout;
    ensure!(shown.lines().count() == 11, "{shown}");
    for line in shown.lines() {
        gateways.b.run(line)?;
    }
    // The other end is ready, and does not take what comes in clear.
    let capture = gateways.capture()?;
    quiet(&manual(&conf, "--up three"))?;
    expect_both_ways(&gateways, 3)?;
    let packets = capture.end()?;
    packets.expect_only(V4.outer, &[proto::AH])?;
    expect_spigrp(&[
        "tun0x301@10.0.0.1 esp0x303@10.0.0.1 ah0x305@10.0.0.1",
        "tun0x300@10.0.0.2 esp0x302@10.0.0.2 ah0x304@10.0.0.2",
    ])?;
    gateways.a.counters()?.expect(&[])?;
    gateways.b.counters()?.expect(&[])?;
    // It is up already; then it is down, and nothing leaves.
    let again = run(&manual(&conf, "--up three"))?;
    ensure!(
        again.code == Some(0) && again.stderr.contains("conn three is up already"),
        "{}",
        again.stderr
    );
    let capture = gateways.capture()?;
    quiet(&manual(&conf, "--down three"))?;
    expect_eroutes(&["10.1.0.0/16 -> 10.2.0.0/16 => %drop"])?;
    expect_spigrp(&[])?;
    expect_pings(&gateways.a, V4.inner.0, V4.inner.1, 0)?;
    capture.end()?.expect_only(V4.outer, &[])?;
    // In clear again, on both ends.
    quiet(&manual(&conf, "--unroute three"))?;
    expect_eroutes(&[])?;
    gateways.b.run(&manual(&conf, "--down three"))?;
    gateways.b.run(&manual(&conf, "--unroute three"))?;
    expect_both_ways(&gateways, 3)
}

/// The other gateway by `ip xfrm` alone.
fn set_up_xfrm(b: &Space) -> Result<()> {
    for (src, dst, spi) in [
        ("10.0.0.1", "10.0.0.2", "0x202"),
        ("10.0.0.2", "10.0.0.1", "0x203"),
    ] {
        b.run(&format!(
            "ip xfrm state add src {src} dst {dst} proto esp spi {spi} mode tunnel replay-window 32 \
             enc cbc(aes) {ENCKEY} auth-trunc hmac(sha1) {AUTHKEY} 96"
        ))?;
    }
    b.run(
        "ip xfrm policy add dir out src 10.2.0.0/16 dst 10.1.0.0/16 tmpl src 10.0.0.2 dst 10.0.0.1 \
         proto esp mode tunnel",
    )?;
    b.run(
        "ip xfrm policy add dir in src 10.1.0.0/16 dst 10.2.0.0/16 tmpl src 10.0.0.1 dst 10.0.0.2 \
         proto esp mode tunnel",
    )?;
    Ok(())
}

fn the_other_end_is_plain_xfrm() -> Result<()> {
    let gateways = Gateways::new()?;
    let conf = conf()?;
    set_up_xfrm(&gateways.b)?;
    let capture = gateways.capture()?;
    quiet(&manual(&conf, "--up esp"))?;
    expect_both_ways(&gateways, 3)?;
    capture.end()?.expect_only(V4.outer, &[proto::ESP])?;
    gateways.a.counters()?.expect(&[])?;
    gateways.b.counters()?.expect(&[])?;
    expect_no_cleartext(&gateways)
}

/// What comes in clear from the other gateway, which has no policies any more, is not taken. That it
/// is not answered would say nothing: the answer goes through the tunnel, which the other end
/// does not take any more.
fn expect_no_cleartext(gateways: &Gateways) -> Result<()> {
    gateways.b.run("ip xfrm policy flush")?;
    let before = gateways.a.counters()?;
    expect_pings(&gateways.b, V4.inner.1, V4.inner.0, 0)?;
    let since = gateways.a.counted_since(&before)?;
    since.expect(&[("XfrmInTmplMismatch", 3)])
}

/// A state of somebody else's is where one of the connection's should be: that is found out at the
/// last step.
fn a_failure_leaves_no_sa_and_nothing_in_clear() -> Result<()> {
    let gateways = Gateways::new()?;
    let conf = conf()?;
    set_up_xfrm(&gateways.b)?;
    let foreign = "src 10.0.0.1 dst 10.0.0.2 proto esp spi 0x202";
    gateways.a.run(&format!(
        "ip xfrm state add {foreign} mode transport enc cbc(aes) {AHKEY} auth-trunc hmac(sha1) {AUTHKEY} 96"
    ))?;
    let capture = gateways.capture()?;
    // Nothing is sent before the eroute is there; afterwards, whatever fails, nothing in clear.
    fails(
        &manual(&conf, "--up esp"),
        1,
        &["conn esp: eroute --replace", "packets are dropped"],
    )?;
    expect_spigrp(&[])?;
    expect_eroutes(&["10.1.0.0/16 -> 10.2.0.0/16 => %drop"])?;
    expect_pings(&gateways.a, V4.inner.0, V4.inner.1, 0)?;
    capture.end()?.expect_only(V4.outer, &[])?;
    ensure!(
        gateways.a.run("ip xfrm state")?.matches("spi 0x").count() == 1,
        "states are left"
    );
    gateways.a.run(&format!("ip xfrm state delete {foreign}"))?;
    quiet(&manual(&conf, "--up esp"))?;
    expect_both_ways(&gateways, 3)
}

/// Packets of both directions are dropped before there is an address that says which end this is.
fn packets_wait_for_addresses() -> Result<()> {
    let gateways = Gateways::new()?;
    let conf = conf()?;
    set_up_xfrm(&gateways.b)?;
    gateways.a.run("ip addr del 10.0.0.1/24 dev w0")?;
    fails(
        &manual(&conf, "--up esp"),
        1,
        &["neither 10.0.0.1 nor 10.0.0.2"],
    )?;
    quiet(&manual(&conf, "--route esp"))?;
    expect_eroutes(&[
        "10.1.0.0/16 -> 10.2.0.0/16 => %hold",
        "10.2.0.0/16 -> 10.1.0.0/16 => %hold",
    ])?;
    let capture = gateways.capture()?;
    gateways.a.run("ip addr add 10.0.0.1/24 dev w0")?;
    gateways
        .a
        .run("ip route replace 10.2.0.2 via 10.0.0.2 src 10.1.0.1")?;
    expect_pings(&gateways.a, V4.inner.0, V4.inner.1, 0)?;
    quiet(&manual(&conf, "--up esp"))?;
    expect_eroutes(&["10.1.0.0/16 -> 10.2.0.0/16 => tun0x200@10.0.0.2"])?;
    expect_both_ways(&gateways, 3)?;
    capture.end()?.expect_only(V4.outer, &[proto::ESP])?;
    // What was dropped for the other end is not, but what comes in clear is: the inflow is there.
    expect_no_cleartext(&gateways)
}

fn hosts_without_a_tunnel() -> Result<()> {
    let gateways = Gateways::new()?;
    let conf = conf()?;
    for line in run(&manual(&conf, "--showonly --other --up hosts"))?
        .stdout
        .lines()
    {
        gateways.b.run(line)?;
    }
    let capture = gateways.capture()?;
    quiet(&manual(&conf, "--up hosts"))?;
    expect_pings(&gateways.a, V4.outer.0, V4.outer.1, 3)?;
    expect_pings(&gateways.b, V4.outer.1, V4.outer.0, 3)?;
    capture.end()?.expect_only(V4.outer, &[proto::AH])
}
