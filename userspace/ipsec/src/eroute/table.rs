// SPDX-License-Identifier: GPL-2.0

//! The eroutes as `/proc/net/ipsec_eroute` has them (reference 6.4):
//!
//! ```text
//! 12         10.0.1.0/24        -> 10.0.2.0/24:80     => tun0x113@10.0.0.2:6
//! ```
//!
//! The number of packets is left out by some releases; ports and the protocol behind the SA are
//! there only where they count. An IPv6 address with a protocol behind it stands in brackets.
//!
//! `/proc/net/ipsec/eroute/dropped` has the lines of those whose packets are dropped at present. KLIPS
//! does not tell that.

use crate::{
    entry::Entry,
    failure::Failure,
    listing,
    system::{ProcFile, System},
};
use klips::selector::{Network, Selector};
use std::{
    collections::HashSet,
    io::{BufRead, BufReader, Read},
};

/// An eroute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Row {
    /// How many packets it has taken, if that is told.
    pub(crate) packets: Option<u64>,
    /// The packets that it takes.
    pub(crate) selector: Selector,
    /// The SA that they go through first.
    pub(crate) sa: Entry,
    /// Whether the module drops its packets at present, if that is told.
    pub(crate) drops: Option<bool>,
}

/// A line of the list.
pub(crate) enum Line {
    Row(Row),
    /// One that makes no sense.
    Unread(String),
}

/// Reads the lists whole, so that what is printed is whole even if a file can't be read to its end.
pub(crate) fn read(system: &mut impl System) -> Result<Vec<Line>, Failure> {
    let mut lines = lines(listing::open(system, ProcFile::Eroute)?)?;
    let Some(file) = listing::open_if_there(system, ProcFile::Dropped)? else {
        return Ok(lines);
    };
    let dropped = self::lines(file)?.into_iter().filter_map(Line::row);
    let dropped: HashSet<_> = dropped.map(|row| row.selector).collect();
    for line in &mut lines {
        if let Line::Row(row) = line {
            row.drops = Some(dropped.contains(&row.selector));
        }
    }
    Ok(lines)
}

fn lines(file: impl Read) -> Result<Vec<Line>, Failure> {
    let lines = BufReader::new(file).lines();
    let read = lines.map(|line| {
        let line = line.map_err(|error| Failure::refused(format!("read error: {error}")))?;
        Ok((!line.trim_ascii().is_empty()).then(|| parse(&line)))
    });
    read.filter_map(Result::transpose).collect()
}

/// Reads the eroutes among the lines.
pub(crate) fn rows(system: &mut impl System) -> Result<Vec<Row>, Failure> {
    Ok(read(system)?.into_iter().filter_map(Line::row).collect())
}

impl Line {
    fn row(self) -> Option<Row> {
        match self {
            Line::Row(row) => Some(row),
            Line::Unread(_) => None,
        }
    }
}

fn parse(line: &str) -> Line {
    row(line).map_or_else(|| Line::Unread(line.to_owned()), Line::Row)
}

fn row(line: &str) -> Option<Row> {
    let words: Vec<_> = line.split_ascii_whitespace().collect();
    let (packets, [src, "->", dst, "=>", sa]) = (match *words {
        [count, src, arrow, dst, leads, sa] => {
            (Some(count.parse().ok()?), [src, arrow, dst, leads, sa])
        }
        [src, arrow, dst, leads, sa] => (None, [src, arrow, dst, leads, sa]),
        _ => return None,
    }) else {
        return None;
    };
    let (src, sport) = end(src)?;
    let (dst, dport) = end(dst)?;
    let (sa, proto) = split_protocol(sa)?;
    Some(Row {
        packets,
        selector: Selector {
            src,
            dst,
            proto,
            sport,
            dport,
        },
        sa: Entry::parse(&sa),
        drops: None,
    })
}

/// Reads a network, and the port behind it.
fn end(text: &str) -> Option<(Network, u16)> {
    let (address, rest) = text.split_once('/')?;
    let (prefix, port) = rest.split_once(':').unwrap_or((rest, "0"));
    let network = Network::of(address.parse().ok()?, prefix.parse().ok()?)?;
    Some((network, port.parse().ok()?))
}

/// Takes the name of an SA and the protocol behind it apart.
fn split_protocol(text: &str) -> Option<(String, u8)> {
    let number = |text: &str| text.parse().ok();
    if let Some((id, rest)) = text.split_once("@[") {
        let (address, protocol) = rest.split_once("]:")?;
        return Some((format!("{id}@{address}"), number(protocol)?));
    }
    match text.rsplit_once(':') {
        // More than one colon is an IPv6 address.
        Some((sa, protocol)) if !sa.contains(':') => Some((sa.to_owned(), number(protocol)?)),
        _ => Some((text.to_owned(), 0)),
    }
}
