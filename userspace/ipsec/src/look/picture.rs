// SPDX-License-Identifier: GPL-2.0

//! What there is, put together: each eroute with the chain that its packets go through, the chains of
//! what comes in, SAs that nothing leads to, and what was dropped.

use super::{
    chain::Sa,
    stats::{self, Drops},
};
use crate::{
    entry::Entry,
    eroute::{
        path::{Sas as Ways, is_word},
        table::{self, Row},
    },
    failure::Failure,
    groups::Groups,
    json::{self, Flow},
    list::List,
    listing,
    spi::{Line, Sas},
    system::System,
};
use klips::said::{Said, Shunt};
use serde::Serialize;
use std::{
    collections::{HashMap, HashSet},
    io::{BufRead, BufReader},
    net::IpAddr,
};

/// All of it.
#[derive(Debug, Serialize)]
pub(super) struct Picture {
    pub(super) interfaces: Vec<Interface>,
    pub(super) eroutes: Vec<Eroute>,
    /// Chains of SAs whose destination is here, inside to outside.
    pub(super) inbound: Vec<Vec<Sa>>,
    /// Chains of other SAs that no eroute leads to.
    pub(super) unused: Vec<Vec<Sa>>,
    /// Left out if the kernel does not count.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) drops: Option<Vec<Drops>>,
}

/// A network interface.
#[derive(Debug, Serialize)]
pub(super) struct Interface {
    pub(super) name: String,
    pub(super) addresses: Vec<IpAddr>,
    /// The physical interface that it was attached to by `ipsec tncfg`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) attached_to: Option<String>,
}

/// An eroute.
#[derive(Debug, Serialize)]
pub(super) struct Eroute {
    #[serde(skip)]
    pub(super) row: Row,
    #[serde(flatten)]
    flow: Flow,
    sa: json::Sa,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) packets: Option<u64>,
    /// Packets a second, since the last look.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) rate: Option<f64>,
    /// The SAs that they go through, inside to outside.
    pub(super) chain: Vec<Sa>,
    /// Why they are dropped, if they are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) blocked: Option<String>,
    /// Whether everybody on the way can read them.
    pub(super) in_clear: bool,
}

/// The SAs by their names.
struct Lines(HashMap<String, Line>);

impl Lines {
    fn sa(&self, entry: &Entry) -> Sa {
        match self.0.get(entry.text()) {
            Some(line) => Sa::of(line),
            None => Sa::missing(entry),
        }
    }

    fn is_inbound(&self, entry: &Entry) -> bool {
        let line = self.0.get(entry.text());
        line.is_some_and(|line| line.text("dir") == "in")
    }
}

impl Picture {
    /// Looks.
    pub(super) fn read(system: &mut impl System) -> Result<Self, Failure> {
        let rows = table::rows(system)?;
        let chains = listing::chains(system)?;
        let lines = Sas::read(system)?;
        let groups = Groups::of(chains.iter().cloned());
        let ways = Ways::of(groups, lines.iter().filter_map(Line::row));
        let lines = Lines(
            lines
                .into_iter()
                .map(|line| (line.entry().text().to_owned(), line))
                .collect(),
        );
        let eroutes: Vec<_> = rows
            .into_iter()
            .map(|row| eroute(row, &ways, &lines))
            .collect();
        let used = eroutes.iter().flat_map(|eroute| &eroute.chain);
        let used: HashSet<_> = used.map(|sa| sa.entry.text().to_owned()).collect();
        let (mut inbound, mut unused) = (Vec::new(), Vec::new());
        // Late KLIPS lists each SA with those outside of it, so that parts of chains come again.
        let mut seen = HashSet::new();
        for chain in chains {
            let is_new = chain
                .iter()
                .any(|entry| seen.insert(entry.text().to_owned()));
            let sas = || {
                chain
                    .iter()
                    .map(|entry| lines.sa(entry))
                    .collect::<Vec<_>>()
            };
            if !is_new {
                continue;
            } else if chain.iter().any(|entry| lines.is_inbound(entry)) {
                inbound.push(sas());
            } else if !chain.iter().any(|entry| used.contains(entry.text())) {
                unused.push(sas());
            }
        }
        Ok(Picture {
            interfaces: interfaces(system)?,
            eroutes,
            inbound,
            unused,
            drops: stats::read(system),
        })
    }
}

fn eroute(row: Row, ways: &Ways, lines: &Lines) -> Eroute {
    let mut chain = Vec::new();
    let (blocked, in_clear) = match row.sa.said() {
        None => (Some("the name of the SA can't be read".to_owned()), false),
        Some(said) if Shunt::of(&said) == Some(Shunt::Pass) => (None, true),
        Some(said) if is_word(&said) => (Some(format!("the eroute says {said}")), false),
        Some(said) => {
            let of = |said: &Said| lines.sa(&Entry::parse(&said.to_string()));
            let saids = ways.chain(&said).unwrap_or_else(|_| vec![said]);
            chain = saids.iter().map(of).collect();
            match ways.way(&row, &said) {
                Ok(path) => (None, path.is_in_clear()),
                Err(obstacle) => (Some(obstacle.to_string()), false),
            }
        }
    };
    Eroute {
        flow: Flow::of(&row.selector),
        sa: json::Sa::of_entry(&row.sa),
        packets: row.packets,
        rate: None,
        chain,
        blocked,
        in_clear,
        row,
    }
}

/// The interfaces, with what `ipsec tncfg` has attached.
fn interfaces(system: &mut impl System) -> Result<Vec<Interface>, Failure> {
    let attached = attached(system);
    let all = system
        .interfaces()
        .map_err(|error| Failure::refused(format!("can't list interfaces: {error}")))?;
    let all = all.into_iter().map(|interface| Interface {
        attached_to: attached.get(&interface.name).cloned(),
        name: interface.name,
        addresses: interface.addresses,
    });
    Ok(all.collect())
}

/// `ipsec0 -> eth0 mtu=16260(1500) -> 1500`, or `NULL` in the place of `eth0`.
fn attached(system: &mut impl System) -> HashMap<String, String> {
    let Ok(file) = system.input("/proc/net/ipsec_tncfg") else {
        return HashMap::new();
    };
    let lines = BufReader::new(file).lines().map_while(Result::ok);
    let pairs = lines.filter_map(|line| {
        let mut words = line.split_ascii_whitespace();
        let (name, arrow, to) = (words.next()?, words.next()?, words.next()?);
        (arrow == "->" && to != "NULL").then(|| (name.to_owned(), to.to_owned()))
    });
    pairs.collect()
}
