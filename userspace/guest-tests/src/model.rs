// SPDX-License-Identifier: GPL-2.0

//! The module against the model of the table, through the real socket: what is told and listed of
//! SAs and eroutes, and what xfrm has.
//!
//! `KLIPS_SEQUENCES=5000` in the environment makes it that many sequences; `vm test --append` with
//! the same puts it there.

use crate::{
    ktap::Test,
    support::{KeySocket, number, proc_net, spigrp},
    tests,
    wire::Space,
};
use anyhow::{Context, Result, bail, ensure};
use klips::errno::Errno;
use model::{
    Described, Model, Request, Told,
    flows::{Line, compare_xfrm, policy_line, state_line, template_text},
    sequence,
    wire::{assert_clean, ip, message, msg},
};

/// How many sequences there are in a short run.
const FEW: u64 = 100;

/// How many requests a sequence has.
const LEN: usize = 40;

/// After how many of them xfrm is looked at, which takes its time.
const STRIDE: usize = 8;

/// SPIs of the sequences' SAs.
const SPIS: std::ops::Range<u32> = 0x1000..0x1010;

/// Addresses of this host that SAs of the sequences go to.
const OWN: [&str; 2] = ["2001:db8::2", "10.0.0.3"];

/// All of them.
pub fn all() -> Vec<Test> {
    tests![sequences_of_requests_behave_as_the_model]
}

fn sequences_of_requests_behave_as_the_model() -> Result<()> {
    let sequences = number("KLIPS_SEQUENCES", FEW)?;
    let here = Space::own()?;
    here.run("ip link set lo up")?;
    here.run("ip address add 10.0.0.3/32 dev lo")?;
    here.run("ip address add 2001:db8::2/128 dev lo nodad")?;
    let twin = Twin::new()?;
    let mut model = Model::default().with_own(&OWN.map(ip));
    let mut open = [0; 2];
    for seed in 0..sequences {
        twin.follow(&mut model, &sequence(seed, LEN), &mut open)
            .with_context(|| format!("sequence {seed}"))?;
    }
    let [out, inward] = open;
    println!(
        "# {sequences} sequences of {LEN} requests, {out} times an eroute and {inward} times an inflow through a tunnel"
    );
    ensure!(out > 0 && inward > 0, "nothing of it had packets");
    Ok(())
}

/// What xfrm has, but for the states that it makes itself for tunnels of IPComp.
fn xfrm_lines() -> Result<Vec<Line<u32>>> {
    let listing = Space::own()?.xfrm()?;
    let mut lines: Vec<Line<u32>> = Vec::new();
    // What is indented belongs to the line before.
    let mut items: Vec<String> = Vec::new();
    for line in listing.lines() {
        match items.last_mut().filter(|_| line.starts_with(['\t', ' '])) {
            Some(item) => *item = format!("{item} {}", line.trim()),
            None => items.push(line.to_owned()),
        }
    }
    for item in &items {
        let words: Vec<&str> = item.split_whitespace().collect();
        let read = || -> Option<Option<Line<u32>>> {
            let after = |words: &[&str], name: &str| {
                let at = words.iter().position(|word| *word == name)?;
                words.get(at + 1).map(|it| (*it).to_owned())
            };
            let ends = |words: &[&str]| {
                Some((
                    after(words, "src")?.parse().ok()?,
                    after(words, "dst")?.parse().ok()?,
                ))
            };
            let reqid = |words: &[&str]| after(words, "reqid")?.parse::<u32>().ok();
            let transform = |words: &[&str]| {
                Some(match &*after(words, "proto")? {
                    "4" | "ipencap" | "ipip" => "ipip".to_owned(),
                    "41" | "ipv6" => "ipv6".to_owned(),
                    other => other.to_owned(),
                })
            };
            if let Some(spi) = after(&words, "spi") {
                let spi = u32::from_str_radix(spi.strip_prefix("0x")?, 16).ok()?;
                let transform = transform(&words)?;
                // Named by the other end's address, or by a small number.
                if ["ipip", "ipv6"].contains(&&*transform) && !SPIS.contains(&spi) {
                    return Some(None);
                }
                let mode = after(&words, "mode")?;
                let line = state_line(&transform, spi, ends(&words)?, &mode);
                return Some(Some((line, vec![reqid(&words)?])));
            }
            let (src, dst) = (after(&words, "src")?, after(&words, "dst")?);
            let selector = words.split(|word| *word == "dir").next()?;
            let proto = match after(selector, "proto").as_deref() {
                None => 0,
                Some("esp") => 50,
                Some("ah") => 51,
                Some("comp") => 108,
                Some(number) => number.parse().ok()?,
            };
            let mut line = policy_line(&after(&words, "dir")?, &src, &dst, proto);
            if after(&words, "action").as_deref() == Some("block") {
                // It may have templates, of when it did not.
                return Some(Some((line + " block", Vec::new())));
            }
            line += " allow";
            let mut reqids = Vec::new();
            for words in words.split(|word| *word == "tmpl").skip(1) {
                let is_optional = after(words, "level").as_deref() == Some("use");
                let (name, mode) = (transform(words)?, after(words, "mode")?);
                let ends = match after(words, "src").as_deref() {
                    // Of those that are for no family, in which any address will do.
                    Some("???") => {
                        let any = if src.contains(':') { "::" } else { "0.0.0.0" };
                        (ip(any), ip(any))
                    }
                    _ => ends(words)?,
                };
                line += &template_text(&name, &mode, ends, is_optional);
                reqids.push(reqid(words)?);
            }
            Some(Some((line, reqids)))
        };
        let line = read().with_context(|| format!("ip xfrm lists {item:?}"))?;
        lines.extend(line);
    }
    Ok(lines)
}

/// Which packets eroutes are for, and which SA they name, as `/proc/net/ipsec_eroute` lists them.
fn eroutes() -> Result<Vec<((String, String), String)>> {
    let text = proc_net("ipsec_eroute")?;
    let line = |line: &str| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        match fields[..] {
            [_, src, "->", dst, "=>", said] => {
                Ok(((src.to_owned(), dst.to_owned()), said.to_owned()))
            }
            _ => bail!("ipsec_eroute has {line:?}"),
        }
    };
    text.lines().map(line).collect()
}

/// The sockets through which the module is looked at.
struct Twin {
    writer: KeySocket,
    listener: KeySocket,
    dumper: KeySocket,
}

impl Twin {
    fn new() -> Result<Self> {
        Ok(Twin {
            writer: KeySocket::open()?,
            listener: KeySocket::open()?,
            dumper: KeySocket::open()?,
        })
    }

    /// Makes the same requests of the module and of the model, from an empty table on. Counts how
    /// often there was an eroute through a tunnel when xfrm was looked at, and how often an inflow
    /// from one.
    fn follow(&self, model: &mut Model, requests: &[Request], open: &mut [u32; 2]) -> Result<()> {
        for request in [Request::Flush(None), Request::ClearEroutes] {
            self.step(model, &request).context("emptied")?;
        }
        for (number, request) in requests.iter().enumerate() {
            let mut compare = || -> Result<()> {
                self.step(model, request)?;
                if number % STRIDE == STRIDE - 1 {
                    let expected = model.xfrm();
                    if let Err(text) = compare_xfrm(xfrm_lines()?, &expected) {
                        bail!("{text}");
                    }
                    for (count, direction) in open.iter_mut().zip(["out ", "in "]) {
                        let is_open = |line: &str| {
                            line.starts_with(direction)
                                && line.contains("/tunnel")
                                && line.contains("10.101.")
                        };
                        *count += u32::from(expected.iter().any(|(line, _)| is_open(line)));
                    }
                }
                Ok(())
            };
            compare().with_context(|| format!("request {number}, {request:?}"))?;
        }
        Ok(())
    }

    fn step(&self, model: &mut Model, request: &Request) -> Result<()> {
        let result = self.writer.write(&request.bytes());
        let expected = model.apply(request);
        let errno = expected.as_ref().err().map(|refusal| refusal.errno);
        ensure!(result.err() == errno, "{result:?} instead of {errno:?}");
        let expected = expected.unwrap_or_else(|refusal| vec![Model::refused(request, &refusal)]);
        let heard = self.heard()?;
        ensure!(heard == expected, "{heard:?} instead of {expected:?}");
        let (found, expected) = (spigrp()?, model.spigrp());
        ensure!(
            found == expected,
            "ipsec_spigrp:\n{found}instead of\n{expected}"
        );
        let mut found = eroutes()?;
        let mut expected: Vec<_> = model
            .eroutes()
            .into_iter()
            .map(|(flow, said)| (flow.ends(), said.to_string()))
            .collect();
        found.sort();
        expected.sort();
        ensure!(
            found == expected,
            "ipsec_eroute: {found:?} instead of {expected:?}"
        );
        let (found, expected) = (self.dump()?, model.described());
        ensure!(found == expected, "DUMP: {found:?} instead of {expected:?}");
        Ok(())
    }

    /// What everybody has been told.
    fn heard(&self) -> Result<Vec<Told>> {
        let heard = self.writer.drain()?;
        for socket in [&self.listener, &self.dumper] {
            let other = socket.drain()?;
            ensure!(
                other == heard,
                "{other:02x?} to one, {heard:02x?} to the other"
            );
        }
        heard.iter().for_each(|message| assert_clean(message));
        Ok(heard.iter().map(|message| Told::of(message)).collect())
    }

    /// All SAs as DUMP tells them.
    fn dump(&self) -> Result<Vec<Described>> {
        let result = self.dumper.write(&message(msg::DUMP, 0, &[]));
        if result == Err(Errno::ENOENT) {
            self.heard()?;
            return Ok(Vec::new());
        }
        ensure!(result == Ok(()), "DUMP: {result:?}");
        let told = self.dumper.drain()?;
        Ok(told.iter().map(|message| Described::of(message)).collect())
    }
}
