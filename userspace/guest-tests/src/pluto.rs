// SPDX-License-Identifier: GPL-2.0

//! Plays what Openswan 2.4.9's pluto asked of KLIPS, and looks at what that makes of the kernel's
//! xfrm by `ip xfrm`, which knows nothing of klips.

use crate::{
    ktap::Test,
    support::{KeySocket, in_own_network, proc_net},
};
use anyhow::{Context, Result, bail, ensure};
use model::wire::unhex;
use std::{collections::BTreeMap, mem, process::Command};

const INITIATOR: &str = include_str!("../golden/pluto-2.4.9/initiator.txt");
const RESPONDER: &str = include_str!("../golden/pluto-2.4.9/responder.txt");
const ENGINE: &str = include_str!("../golden/pluto-2.4.9/engine.txt");

pub fn all() -> Vec<Test> {
    vec![
        Test::new("pluto::the_initiators_requests_protect_its_tunnel", || {
            in_own_network(|| play("initiator", INITIATOR, "10.1.0.1"))
        }),
        Test::new("pluto::the_responders_requests_protect_its_tunnel", || {
            in_own_network(|| play("responder", RESPONDER, "10.1.0.2"))
        }),
    ]
}

/// What xfrm has to have, by the number of the request after which it has it.
fn expected(side: &str) -> Result<BTreeMap<usize, Vec<&'static str>>> {
    let mut expected: BTreeMap<usize, Vec<&str>> = BTreeMap::new();
    let mut current = None;
    for line in ENGINE.lines() {
        if let Some(head) = line.strip_prefix("== ") {
            let (of, number) = head.split_once(' ').context(line)?;
            current = (of == side).then(|| number.parse()).transpose()?;
            if let Some(number) = current {
                expected.insert(number, Vec::new());
            }
        } else if let (Some(number), Some(line)) = (current, line.strip_prefix('|')) {
            expected.entry(number).or_default().push(line);
        }
    }
    Ok(expected)
}

fn play(side: &str, text: &str, address: &str) -> Result<()> {
    ip(&format!("addr add {address}/32 dev lo"))?;
    let expected = expected(side)?;
    let socket = KeySocket::open()?;
    let mut looked = 0;
    let requests = text
        .lines()
        .filter_map(|line| line.strip_prefix("write A "));
    for (number, request) in (1..).zip(requests) {
        if let Err(errno) = socket.write(&unhex(request)) {
            bail!("request {number}: {errno:?}");
        }
        ensure!(!socket.drain()?.is_empty(), "request {number}: no answer");
        if let Some(lines) = expected.get(&number) {
            let (found, lines) = (numbered(&xfrm()?), numbered(lines));
            ensure!(
                found == lines,
                "after request {number}: expected {lines:#?}, found {found:#?}"
            );
            looked += 1;
        }
    }
    ensure!(looked == expected.len() && looked > 2, "{looked} looks");
    let left = proc_net("ipsec_eroute")? + &proc_net("ipsec_spi")?;
    ensure!(left.is_empty(), "left: {left}");
    Ok(())
}

/// The same lines, the reqids that states have numbered as they come: which ones these are is of no
/// importance, but what has the same and what has another.
fn numbered(lines: &[impl AsRef<str>]) -> Vec<String> {
    let mut reqids: Vec<&str> = Vec::new();
    let mut numbered = Vec::new();
    for line in lines {
        let mut before = "";
        let mut words = Vec::new();
        for word in line.as_ref().split(' ') {
            // That of a trap is always the same.
            let is_states = mem::replace(&mut before, word) == "reqid" && word != "0xa0000001";
            words.push(if is_states {
                let place = reqids.iter().position(|it| *it == word);
                let place = place.unwrap_or_else(|| {
                    reqids.push(word);
                    reqids.len() - 1
                });
                format!("#{place}")
            } else {
                word.to_owned()
            });
        }
        numbered.push(words.join(" "));
    }
    numbered
}

/// Runs `ip`.
fn ip(arguments: &str) -> Result<String> {
    let output = Command::new("ip")
        .args(arguments.split_whitespace())
        .output()
        .context("can't run ip")?;
    ensure!(output.status.success(), "ip {arguments}: {output:?}");
    Ok(String::from_utf8(output.stdout)?)
}

/// What follows a word in a line.
fn after<'a>(line: &'a str, word: &str) -> Option<&'a str> {
    let mut words = line.split_whitespace();
    words.find(|it| *it == word)?;
    words.next()
}

fn number(text: &str, word: &str) -> Result<u32> {
    let number = after(text, word).with_context(|| format!("no {word} in {text}"))?;
    let parsed = match number.strip_prefix("0x") {
        Some(digits) => u32::from_str_radix(digits, 16),
        None => number.parse(),
    };
    parsed.with_context(|| text.to_owned())
}

/// Protocol and mode.
fn transform(text: &str) -> Result<String> {
    let (proto, mode) = (after(text, "proto"), after(text, "mode"));
    let (proto, mode) = (proto.context("no proto")?, mode.context("no mode")?);
    Ok(format!("{proto}/{mode}"))
}

fn ends(text: &str) -> Result<String> {
    let ends = after(text, "src").zip(after(text, "dst"));
    let (src, dst) = ends.with_context(|| format!("no ends in {text}"))?;
    Ok(format!("{src}>{dst}"))
}

/// States, then policies, each sorted, in the form of `engine.txt`.
fn xfrm() -> Result<Vec<String>> {
    // Lines that belong to another begin with a blank.
    let blocks = |text: &str| {
        let mut blocks: Vec<String> = Vec::new();
        for line in text.lines() {
            match blocks.last_mut() {
                Some(block) if line.starts_with(char::is_whitespace) => {
                    *block += " ";
                    *block += line.trim();
                }
                _ => blocks.push(line.to_owned()),
            }
        }
        blocks
    };
    let mut states = Vec::new();
    for block in blocks(&ip("xfrm state")?) {
        states.push(format!(
            "{} {:#x} {} reqid {:#x}",
            transform(&block)?,
            number(&block, "spi")?,
            ends(&block)?,
            number(&block, "reqid")?,
        ));
    }
    let mut policies = Vec::new();
    for block in blocks(&ip("xfrm policy")?) {
        let Some(direction) = after(&block, "dir") else {
            // One of a socket.
            continue;
        };
        let mut line = format!("{direction} {}", ends(&block)?);
        match after(&block, "action") {
            Some(action) => line = format!("{line} {action}"),
            None => {
                line += " allow";
                for template in block.split(" tmpl ").skip(1) {
                    let reqid = number(template, "reqid")?;
                    line = format!("{line} {} reqid {reqid:#x}", transform(template)?);
                }
            }
        }
        policies.push(line);
    }
    states.sort();
    policies.sort();
    states.append(&mut policies);
    Ok(states)
}
