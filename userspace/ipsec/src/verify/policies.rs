// SPDX-License-Identifier: GPL-2.0

//! Policies of other key managers that come before those of eroutes, as `ip xfrm policy` lists them:
//!
//! ```text
//! src 10.1.0.0/16 dst 10.2.0.0/16 proto tcp dport 80
//!         dir out action block priority 100 ptype main
//!         tmpl src 10.0.0.1 dst 10.0.0.2
//! ```

use super::finding::Finding;
use crate::{
    eroute::{Packets, table::Row, transport},
    system::System,
};
use klips::selector::{Network, PRIORITY_BASE, PRIORITY_FIRST, PRIORITY_MOST, Selector};

/// A policy.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Policy {
    selector: Selector,
    direction: String,
    priority: u32,
    /// What `ip xfrm policy delete` takes.
    name: String,
    blocks: bool,
}

/// Looks for policies that win.
pub(super) fn findings(rows: &[Row], system: &mut impl System) -> Vec<Finding> {
    if rows.is_empty() {
        return Vec::new();
    }
    let list = match system.output("ip", &["xfrm", "policy"]) {
        Ok(list) => list,
        Err(error) => {
            return vec![Finding::warning(
                "policies",
                format!("policies of other key managers can't be seen: ip xfrm policy: {error}"),
                "install iproute2".to_owned(),
            )];
        }
    };
    let foreign: Vec<_> = policies(&list, system)
        .into_iter()
        .filter(|policy| !(PRIORITY_FIRST..=PRIORITY_MOST).contains(&policy.priority))
        .collect();
    let mut findings = Vec::new();
    for policy in foreign
        .iter()
        .filter(|policy| policy.priority < PRIORITY_BASE)
    {
        let wins = |row: &&Row| {
            let selector = match policy.direction.as_str() {
                "out" => row.selector,
                _ => row.selector.mirrored(),
            };
            overlaps(&policy.selector, &selector)
        };
        let Some(row) = rows.iter().find(wins) else {
            continue;
        };
        let does = if policy.blocks {
            "blocks"
        } else {
            "decides about"
        };
        let what = match policy.direction.as_str() {
            "out" => "packets of",
            _ => "what comes in for",
        };
        findings.push(Finding::error(
            "policies",
            format!(
                "a policy of another key manager ({}) {does} {what} the eroute {}: its priority {} comes \
                 before {}",
                policy.name,
                Packets(&row.selector),
                policy.priority,
                row.selector.priority()
            ),
            format!("ip xfrm policy delete {}; or have it made with a priority above {PRIORITY_MOST}", policy.name),
        ));
    }
    if findings.is_empty() {
        findings.push(Finding::ok(
            "policies",
            "no other key manager's come before those of eroutes",
        ));
    }
    findings
}

/// The policies in a list. Those of sockets, which are for one program, are left out.
fn policies(list: &str, system: &mut impl System) -> Vec<Policy> {
    let mut policies = Vec::new();
    let mut first = "";
    for line in list.lines() {
        if line.starts_with("src ") {
            first = line;
        } else if let Some(rest) = line.trim_start().strip_prefix("dir ") {
            policies.extend(policy(first, rest, system));
        }
    }
    policies
}

/// A policy of its first two lines, the second behind `dir`.
fn policy(first: &str, second: &str, system: &mut impl System) -> Option<Policy> {
    let words: Vec<_> = first.split_ascii_whitespace().collect();
    let after = |words: &[&str], name: &str| {
        let at = words.iter().position(|word| *word == name)?;
        words.get(at + 1).map(|word| (*word).to_owned())
    };
    let proto = match after(&words, "proto") {
        Some(name) => transport::protocol(&name, system).ok()?,
        None => 0,
    };
    let port = |name| {
        after(&words, name)
            .and_then(|port| port.parse().ok())
            .unwrap_or(0)
    };
    let selector = Selector {
        src: network(&after(&words, "src")?)?,
        dst: network(&after(&words, "dst")?)?,
        proto,
        sport: port("sport"),
        dport: port("dport"),
    };
    let rest: Vec<_> = second.split_ascii_whitespace().collect();
    let direction = (*rest.first()?).to_owned();
    Some(Policy {
        selector,
        priority: after(&rest, "priority")
            .and_then(|text| text.parse().ok())
            .unwrap_or(0),
        name: format!("{} dir {direction}", words.join(" ")),
        blocks: after(&rest, "action").as_deref() == Some("block"),
        direction,
    })
}

fn network(text: &str) -> Option<Network> {
    let (address, prefix) = text.split_once('/').unwrap_or((text, ""));
    let address: std::net::IpAddr = address.parse().ok()?;
    let prefix = match prefix {
        "" if address.is_ipv4() => 32,
        "" => 128,
        prefix => prefix.parse().ok()?,
    };
    Network::of(address, prefix)
}

/// Whether a packet may fit both.
fn overlaps(a: &Selector, b: &Selector) -> bool {
    let meet = |a: &Network, b: &Network| a.contains(b.address()) || b.contains(a.address());
    let fits = |a: u16, b: u16| a == 0 || b == 0 || a == b;
    meet(&a.src, &b.src)
        && meet(&a.dst, &b.dst)
        && fits(a.proto.into(), b.proto.into())
        && fits(a.sport, b.sport)
        && fits(a.dport, b.dport)
}
