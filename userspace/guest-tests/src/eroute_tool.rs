// SPDX-License-Identifier: GPL-2.0

//! `ipsec eroute` against the module.

use crate::{
    ktap::Test,
    packets::{eroute, make_group, proto, set_up_peer},
    running::{PATIENCE, Running},
    support::{manual_sas, proc_net},
    tests,
    tools::{KEY16, fails, make_ipv4, quiet, run},
    wire::{Gateways, V4, expect_pings},
};
use anyhow::{Context, Result, ensure};
use nix::sys::signal::Signal;
use std::{
    io::Write,
    net::UdpSocket,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

/// All of them.
pub fn all() -> Vec<Test> {
    tests![
        eroutes_are_added_replaced_deleted_and_listed,
        every_form_of_flow_is_listed_and_found_again,
        refusals_name_what_is_wrong_and_the_way_out,
        a_monitor_prints_every_change_of_eroutes,
        a_batch_of_eroutes_comes_from_a_pipe,
        a_dry_run_says_what_comes,
        get_names_the_eroute_that_takes_the_packet,
        what_a_lesser_group_drops_is_told_until_somebody_says_that_it_is_meant,
        results_and_answers_are_json,
    ]
}

/// Checks the list, but for how many packets were taken.
fn expect(lines: &[&str]) -> Result<()> {
    let list = proc_net("ipsec_eroute")?;
    let listed: Vec<_> = list
        .lines()
        .map(|line| {
            let words: Vec<_> = line.split_ascii_whitespace().skip(1).collect();
            words.join(" ")
        })
        .collect();
    let mut sorted = listed.clone();
    sorted.sort();
    let mut expected: Vec<_> = lines.iter().map(|line| (*line).to_owned()).collect();
    expected.sort();
    ensure!(sorted == expected, "expected {expected:#?}\nfound\n{list}");
    Ok(())
}

const FLOW: &str = "--src 10.0.1.0/24 --dst 10.0.2.0/24";
const LISTED: &str = "10.0.1.0/24 -> 10.0.2.0/24 => tun0x113@10.0.0.2";

fn eroutes_are_added_replaced_deleted_and_listed() -> Result<()> {
    make_ipv4()?;
    quiet("ipsec spigrp --said tun.113@gw2 esp.115@gw2 ah.116@gw2")?;
    expect(&[])?;
    quiet(&format!("ipsec eroute --add {FLOW} --said tun.113@gw2"))?;
    expect(&[LISTED])?;
    // The list is the file, byte for byte.
    let list = run("ipsec eroute")?;
    ensure!(
        list.code == Some(0)
            && list.stdout == proc_net("ipsec_eroute")?
            && list.stdout == proc_net("ipsec/eroute/all")?,
        "{}",
        list.stdout
    );
    ensure!(
        list.stdout
            == format!(
                "0          {:<18} -> {:<18} => tun0x113@10.0.0.2\n",
                "10.0.1.0/24", "10.0.2.0/24"
            ),
        "{}",
        list.stdout
    );
    quiet(&format!("ipsec eroute --replace {FLOW} --said %trap"))?;
    expect(&["10.0.1.0/24 -> 10.0.2.0/24 => %trap"])?;
    quiet("ipsec eroute --addin --src 10.0.2.0/24 --dst 10.0.1.0/24 --said ah.116@gw2")?;
    quiet("ipsec eroute --replacein --src 0/0 --dst 10.0.1.0/24 --said tun.113@gw2")?;
    expect(&["10.0.1.0/24 -> 10.0.2.0/24 => %trap"])?;
    quiet(&format!("ipsec eroute --del {FLOW}"))?;
    expect(&[])?;
    quiet(&format!("ipsec eroute --add {FLOW} --said tun.113@gw2"))?;
    quiet("ipsec eroute --add --src ::/0 --dst ::/0 --said %drop")?;
    quiet("ipsec eroute --clear")?;
    expect(&[])
}

/// Every kind of flow, as it is typed and as it is listed.
const FLOWS: [(&str, &str); 9] = [
    (
        "--src 0/0 --dst 0/0",
        "0.0.0.0/0 -> 0.0.0.0/0 => tun0x113@10.0.0.2",
    ),
    (
        "--src 10.0.1.77/255.255.255.0 --dst 10.0.2.9/32",
        "10.0.1.0/24 -> 10.0.2.9/32 => tun0x113@10.0.0.2",
    ),
    (
        "--src 10.0.1.0/24 --dst 10.0.2.0/24 --transport-proto icmp",
        "10.0.1.0/24 -> 10.0.2.0/24 => tun0x113@10.0.0.2:1",
    ),
    (
        "--src 10.0.1.0/24 --dst 10.0.2.0/24 --transport-proto udp --src-port 1025",
        "10.0.1.0/24:1025 -> 10.0.2.0/24 => tun0x113@10.0.0.2:17",
    ),
    (
        "--src 10.0.1.0/24 --dst 10.0.2.0/24:80 --transport-proto tcp",
        "10.0.1.0/24 -> 10.0.2.0/24:80 => tun0x113@10.0.0.2:6",
    ),
    (
        "--src 10.0.1.0/24 --dst 10.0.2.0/24 --transport-proto 6 --src-port 1 --dst-port 65535",
        "10.0.1.0/24:1 -> 10.0.2.0/24:65535 => tun0x113@10.0.0.2:6",
    ),
    ("--src ::/0 --dst ::/0", "::/0 -> ::/0 => tun0x113@10.0.0.2"),
    (
        "--src 2001:db8:1::1/48 --dst 2001:db8:2::1/128 --transport-proto ipv6-icmp",
        "2001:db8:1::/48 -> 2001:db8:2::1/128 => tun0x113@10.0.0.2:58",
    ),
    (
        "--src 2001:db8:1::/48 --dst 2001:db8:2::/48:53 --transport-proto udp",
        "2001:db8:1::/48 -> 2001:db8:2::/48:53 => tun0x113@10.0.0.2:17",
    ),
];

fn every_form_of_flow_is_listed_and_found_again() -> Result<()> {
    make_ipv4()?;
    quiet("ipsec spigrp --said tun.113@gw2 esp.115@gw2")?;
    for (flow, _) in FLOWS {
        quiet(&format!("ipsec eroute --add {flow} --said tun.113@gw2"))?;
    }
    expect(&FLOWS.map(|(_, listed)| listed))?;
    // What the list says can be typed.
    for (index, (flow, _)) in FLOWS.into_iter().enumerate() {
        fails(
            &format!("ipsec eroute --add {flow} --said %drop"),
            1,
            &["already in use."],
        )?;
        quiet(&format!("ipsec eroute --del {flow}"))?;
        expect(&FLOWS.map(|(_, listed)| listed)[index + 1..])?;
    }
    // An SA with an IPv6 destination, with and without a protocol behind it.
    quiet("ipsec eroute --add --src ::/0 --dst 2001:db8::/32 --said esp:999@2001:db8::2")?;
    quiet(
        "ipsec eroute --add --src ::/0 --dst 2001:db8::/32 --transport-proto tcp --said esp:999@2001:db8::2",
    )?;
    let list = run("ipsec eroute --json")?.stdout;
    let named = "\"sa\":{\"listed\":\"esp0x999@2001:db8::2\",\"said\":\"esp:999@2001:db8::2\"";
    ensure!(
        list.matches(named).count() == 2 && list.matches("\"proto\":6,").count() == 1,
        "{list}"
    );
    Ok(())
}

fn refusals_name_what_is_wrong_and_the_way_out() -> Result<()> {
    make_ipv4()?;
    quiet("ipsec spigrp --said tun.113@gw2 esp.115@gw2")?;
    quiet(&format!("ipsec eroute --add {FLOW} --said tun.113@gw2"))?;
    let flow = "eroute 10.0.1.0/24 -> 10.0.2.0/24";
    for (line, words) in [
        (
            format!("--add {FLOW} --said %drop"),
            [
                flow,
                "already in use.  Delete old one first, or --replace it.",
            ],
        ),
        (
            "--replace --src 0/0 --dst 0/0 --said %drop".to_owned(),
            ["eroute 0.0.0.0/0 -> 0.0.0.0/0 doesn't exist.", "--add it."],
        ),
        (
            "--del --src 10.0.1.0/24 --dst 10.0.2.0/25".to_owned(),
            ["10.0.2.0/25 doesn't exist.", "Can't delete."],
        ),
        (
            format!("--addin {FLOW} --said tun.999@gw2"),
            ["non-existant IPIP SA", "there is no SA tun.999@10.0.0.2"],
        ),
        (
            format!("--addin {FLOW} --said ah.116@gw2"),
            ["non-existant IPIP SA", "neither ah.116@10.0.0.2"],
        ),
        (
            "--add --src 0/0 --dst 0/0 --said esp.115@gw2".to_owned(),
            [
                "esp.115@10.0.0.2 is not the innermost",
                "name tun.113@10.0.0.2",
            ],
        ),
    ] {
        fails(&format!("ipsec eroute {line}"), 1, &words)?;
        expect(&[LISTED])?;
    }
    Ok(())
}

/// Starts a monitor, and waits until it listens.
fn monitor() -> Result<Running> {
    let sockets = || Ok::<_, anyhow::Error>(proc_net("pf_key")?.lines().count());
    let before = sockets()?;
    let child = Command::new("ipsec")
        .args(["eroute", "--monitor"])
        .stdout(Stdio::piped())
        .spawn()?;
    let start = Instant::now();
    while sockets()? == before {
        ensure!(start.elapsed() < PATIENCE, "the monitor opens no socket");
        thread::sleep(Duration::from_millis(10));
    }
    Running::of(child)
}

fn a_monitor_prints_every_change_of_eroutes() -> Result<()> {
    make_ipv4()?;
    let mut monitor = monitor()?;
    quiet("ipsec spigrp --said tun.113@gw2 esp.115@gw2")?;
    quiet(&format!(
        "ipsec eroute --add {FLOW} --transport-proto tcp --dst-port 80 --said tun.113@gw2"
    ))?;
    quiet(&format!("ipsec eroute --add {FLOW} --said %drop"))?;
    quiet(&format!("ipsec eroute --replace {FLOW} --said tun.113@gw2"))?;
    quiet("ipsec eroute --addin --src 10.0.2.0/24 --dst 10.0.1.0/24 --said tun.113@gw2")?;
    // A refusal changes nothing.
    fails(
        &format!("ipsec eroute --add {FLOW} --said %drop"),
        1,
        &["already in use."],
    )?;
    quiet(&format!("ipsec eroute --del {FLOW}"))?;
    quiet("ipsec eroute --clear")?;
    monitor.expect(&[
        "added 10.0.1.0/24 -> 10.0.2.0/24:80 (tcp) => tun.113@10.0.0.2",
        "added 10.0.1.0/24 -> 10.0.2.0/24 => %drop",
        "replaced 10.0.1.0/24 -> 10.0.2.0/24 => tun.113@10.0.0.2",
        "inbound 10.0.2.0/24 -> 10.0.1.0/24 from tun.113@10.0.0.2",
        "deleted 10.0.1.0/24 -> 10.0.2.0/24",
        "deleted all eroutes",
    ])?;
    monitor.end(Signal::SIGTERM)
}

fn a_batch_of_eroutes_comes_from_a_pipe() -> Result<()> {
    make_ipv4()?;
    let mut child = Command::new("ipsec")
        .args(["eroute", "--batch", "-"])
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    let mut input = child.stdin.take().context("its input is piped")?;
    write!(
        input,
        "# networks\n--add {FLOW} --said tun.113@gw2\n\n\
         --add --src 0/0 --dst 10.0.2.53/32:53 --transport-proto udp --said '%pass'\n\
         --replace {FLOW} --said %drop\n"
    )?;
    drop(input);
    let output = child.wait_with_output()?;
    ensure!(
        output.status.success() && output.stderr == b"ipsec eroute: <stdin>: 3 done\n",
        "{output:?}"
    );
    expect(&[
        "10.0.1.0/24 -> 10.0.2.0/24 => %drop",
        "0.0.0.0/0 -> 10.0.2.53/32:53 => %pass:17",
    ])
}

fn a_dry_run_says_what_comes() -> Result<()> {
    make_ipv4()?;
    quiet("ipsec spigrp --said tun.113@gw2 esp.115@gw2")?;
    quiet(&format!("ipsec eroute --add {FLOW} --said tun.113@gw2"))?;
    for line in [
        format!("--add {FLOW} --said %drop"),
        format!("--add {FLOW} --transport-proto tcp --said tun.113@gw2"),
        "--replace --src 0/0 --dst 0/0 --said %drop".to_owned(),
        "--add --src 0/0 --dst 0/0 --said esp.115@gw2".to_owned(),
        "--add --src 0/0 --dst 0/0 --said esp.999@gw2".to_owned(),
        format!("--addin {FLOW} --said esp.115@gw2"),
        format!("--addin {FLOW} --said ah.116@gw2"),
        format!("--del {FLOW}"),
        format!("--del {FLOW}"),
        "--clear".to_owned(),
    ] {
        let before = proc_net("ipsec_eroute")?;
        let supposed = run(&format!("ipsec eroute --dry-run {line}"))?;
        ensure!(before == proc_net("ipsec_eroute")?, "{line}");
        let real = run(&format!("ipsec eroute {line}"))?;
        ensure!(
            supposed.code == real.code,
            "{line}\n{}{}\n{}",
            supposed.stdout,
            supposed.stderr,
            real.stderr
        );
    }
    Ok(())
}

/// Eroutes that cross each other, each through an SA of its own.
const CROSSING: [&str; 6] = [
    "--src 0/0 --dst 10.9.0.0/16",
    "--src 0/0 --dst 10.9.1.0/24",
    "--src 10.9.0.1/32 --dst 10.9.0.0/16",
    "--src 10.9.0.0/16 --dst 10.9.1.7/32",
    "--src 10.8.0.1/32 --dst 10.9.1.0/24 --transport-proto udp",
    "--src 10.9.0.1/32 --dst 10.9.0.0/16 --transport-proto udp --dst-port 53",
];

/// How many packets each SA has taken, as the list of eroutes has it.
fn taken() -> Result<Vec<(String, u64)>> {
    let list = proc_net("ipsec_eroute")?;
    list.lines()
        .map(|line| {
            let words: Vec<_> = line.split_ascii_whitespace().collect();
            let said = words.get(5).context("an SA")?;
            let said = said.split(':').next().unwrap_or_default();
            Ok((said.to_owned(), words[0].parse()?))
        })
        .collect()
}

/// What `--get` says takes a packet is what counts it.
fn get_names_the_eroute_that_takes_the_packet() -> Result<()> {
    // The loopback device takes no part in IPsec.
    for line in [
        "ip link add v0 type veth peer name v1",
        "ip link set v0 up",
        "ip link set v1 up",
        "ip address add 10.9.0.1/32 dev v0",
        "ip address add 10.9.0.2/32 dev v0",
        "ip address add 10.8.0.1/32 dev v0",
        "ip route add 10.9.0.0/16 dev v0",
        "ip route add 10.7.0.0/16 dev v0",
    ] {
        quiet(line)?;
    }
    for (index, flow) in CROSSING.into_iter().enumerate() {
        let spi = 0x200 + index;
        quiet(&format!(
            "ipsec spi --ip4 --said tun.{spi:x}@10.7.0.2 --src 10.8.0.1 --dst 10.7.0.2"
        ))?;
        quiet(&format!(
            "ipsec spi --ah hmac-md5-96 --said ah.{spi:x}@10.7.0.2 --src 10.8.0.1 --authkey {KEY16}"
        ))?;
        quiet(&format!(
            "ipsec spigrp --said tun.{spi:x}@10.7.0.2 ah.{spi:x}@10.7.0.2"
        ))?;
        quiet(&format!(
            "ipsec eroute --add {flow} --said tun.{spi:x}@10.7.0.2"
        ))?;
    }
    let mut seen = std::collections::BTreeSet::new();
    for src in ["10.9.0.1", "10.9.0.2", "10.8.0.1"] {
        for dst in ["10.9.1.7", "10.9.1.8", "10.9.2.1"] {
            for port in [53, 54] {
                let line = format!(
                    "ipsec eroute --json --get {src} {dst} --transport-proto udp --dst-port {port}"
                );
                let said = run(&line)?.stdout;
                let before = taken()?;
                let socket = UdpSocket::bind((src, 0))?;
                socket.send_to(b"x", (dst, port))?;
                let after = taken()?;
                let grown: Vec<_> = after
                    .iter()
                    .filter(|row| !before.contains(row))
                    .map(|(said, _)| said.clone())
                    .collect();
                let [sa] = &grown[..] else {
                    anyhow::bail!("{src} {dst} {port}: {before:?} {after:?}");
                };
                let named = "\"eroute\":{\"packets\":";
                let of_sa = format!("\"sa\":{{\"listed\":\"{sa}\"");
                let (_, eroute) = said.split_once(named).context("an eroute")?;
                let (eroute, _) = eroute
                    .split_once("\"fate\":\"protected\"")
                    .context("a fate")?;
                ensure!(
                    eroute.contains(&of_sa),
                    "{src} {dst} {port}: {sa}, but {said}"
                );
                seen.insert(sa.clone());
            }
        }
    }
    ensure!(
        seen.len() == CROSSING.len(),
        "not every one was taken: {seen:?}"
    );
    Ok(())
}

/// The example of ipsec_spigrp(8): a group with AH is made anew without.
fn what_a_lesser_group_drops_is_told_until_somebody_says_that_it_is_meant() -> Result<()> {
    let gateways = Gateways::new()?;
    let a = &gateways.a;
    let sas = manual_sas();
    let (from, to) = V4.inner;
    make_group(&sas)?;
    eroute(from, to, &sas[0])?;
    set_up_peer(&gateways, V4, V4.inner, &sas)?;
    let expect_told = |fate: &str, reason: &str, all_dropped: bool| -> Result<()> {
        let told = run(&format!("ipsec eroute --json --get {from} {to}"))?.stdout;
        ensure!(
            told.contains(&format!("\"fate\":\"{fate}\"")) && told.contains(reason),
            "{told}"
        );
        let dropped = proc_net("ipsec/eroute/dropped")?;
        let all = proc_net("ipsec_eroute")?;
        ensure!(
            !all.is_empty() && dropped == if all_dropped { &all[..] } else { "" },
            "{dropped} of {all}"
        );
        for (tool, word) in [
            ("look", "dropped: its SAs protect less than they did"),
            (
                "verify",
                "drops all packets: its SAs protect less than they did",
            ),
        ] {
            let text = run(&format!("ipsec {tool}"))?.stdout;
            ensure!(text.contains(word) == all_dropped, "{tool}: {text}");
        }
        Ok(())
    };
    expect_pings(a, from, to, 3)?;
    expect_told("protected", "\"header\":\"ah\"", false)?;

    quiet("ipsec spigrp --ungroup tun.113@10.0.0.2")?;
    quiet("ipsec spigrp --said tun.113@10.0.0.2 esp.115@10.0.0.2")?;
    let before = a.counters()?;
    let wire = gateways.capture()?;
    expect_pings(a, from, to, 0)?;
    let sent = wire.end()?;
    ensure!(sent.len() == 0, "sent: {:?}", sent.headers());
    a.counted_since(&before)?
        .expect(&[("XfrmOutPolBlock", 3)])?;
    expect_told("dropped", "--replace", true)?;

    quiet(&format!(
        "ipsec eroute --replace --src {from}/32 --dst {to}/32 --said tun.113@10.0.0.2"
    ))?;
    gateways.b.run("ip xfrm policy flush")?;
    gateways.b.run("ip xfrm state flush")?;
    set_up_peer(&gateways, V4, V4.inner, &sas[..2])?;
    let wire = gateways.capture()?;
    expect_pings(a, from, to, 3)?;
    wire.end()?.expect_only(V4.outer, &[proto::ESP])?;
    expect_told("protected", "\"header\":\"esp\"", false)
}

fn results_and_answers_are_json() -> Result<()> {
    make_ipv4()?;
    quiet("ipsec spigrp --said tun.113@gw2 esp.115@gw2 ah.116@gw2")?;
    for (line, code, beginning) in [
        (
            format!("--add {FLOW} --said tun.113@gw2"),
            0,
            "{\"action\":\"add\",\"result\":\"done\",\"sas\":[{",
        ),
        (
            format!("--add {FLOW} --said tun.113@gw2"),
            1,
            "{\"action\":\"add\",\"result\":\"refused\",\"sas\":[{",
        ),
        (
            "--get 10.0.1.7 10.0.2.9 --transport-proto icmp".to_owned(),
            0,
            "{\"action\":\"get\",\"result\":\"done\",\"sas\":[{",
        ),
        (
            format!("--del {FLOW}"),
            0,
            "{\"action\":\"delete\",\"result\":\"done\",\"flow\":{\"src\":\"10.0.1.0/24\"",
        ),
    ] {
        let outcome = run(&format!("ipsec eroute --json {line}"))?;
        ensure!(
            outcome.code == Some(code) && outcome.stdout.starts_with(beginning),
            "{line}\n{}",
            outcome.stdout
        );
    }
    Ok(())
}
