// SPDX-License-Identifier: GPL-2.0

//! The interfaces as `/proc/net/ipsec_tncfg` has them (reference 6.4):
//!
//! ```text
//! ipsec0 -> eth0 mtu=1500(1500) -> 1500
//! ipsec1 -> NULL mtu=0(0) -> 0
//! ```

use crate::{
    failure::Failure,
    list, listing,
    system::{ProcFile, System},
};
use klips::klips_core::interface::Interface;
use serde::Serialize;
use std::io::{BufRead, BufReader, Read};

/// The interfaces.
pub(super) enum Interfaces {}

/// An interface.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Row {
    interface: String,
    /// The one below it, if it is attached to one.
    pub(super) physical: Option<String>,
    /// The longest packet that it takes.
    mtu: u32,
    /// The longest that goes whole through both.
    effective_mtu: u32,
    /// The longest that the one below it takes.
    physical_mtu: u32,
}

/// A line of the list.
#[derive(Serialize)]
#[serde(untagged)]
pub(super) enum Line {
    Row(Row),
    /// One that makes no sense.
    Unread {
        unread: String,
    },
}

impl Row {
    fn parse(line: &str) -> Option<Self> {
        let (interface, rest) = line.split_once(" -> ")?;
        let (physical, rest) = rest.split_once(" mtu=")?;
        let (mtus, physical_mtu) = rest.split_once(") -> ")?;
        let (mtu, effective_mtu) = mtus.split_once('(')?;
        Some(Row {
            interface: interface.to_owned(),
            physical: Some(physical.to_owned()).filter(|name| name != "NULL"),
            mtu: mtu.parse().ok()?,
            effective_mtu: effective_mtu.parse().ok()?,
            physical_mtu: physical_mtu.parse().ok()?,
        })
    }

    /// Which one it is; KLIPS has `mastN` as well.
    pub(super) fn interface(&self) -> Option<Interface> {
        interface(&self.interface)
    }
}

/// `ipsecN` by its name.
pub(super) fn interface(name: &str) -> Option<Interface> {
    let digits = name.strip_prefix("ipsec")?;
    let is_usual = digits == "0" || !digits.starts_with(['0', '+']);
    Interface::from_number(digits.parse().ok().filter(|_| is_usual)?)
}

/// The interfaces among the lines.
pub(super) fn rows(system: &mut impl System) -> Result<Vec<Row>, Failure> {
    let lines = <Interfaces as list::List>::read(system)?.into_iter();
    let rows = lines.filter_map(|line| match line {
        Line::Row(row) => Some(row),
        Line::Unread { .. } => None,
    });
    Ok(rows.collect())
}

/// Interfaces that are attached, and those below them. None where KLIPS has no such list.
pub(crate) fn attached(system: &mut impl System) -> Result<Vec<(String, String)>, Failure> {
    let Some(file) = listing::open_if_there(system, ProcFile::Tncfg)? else {
        return Ok(Vec::new());
    };
    let lines = read(file)?.into_iter();
    let pairs = lines.filter_map(|line| match line {
        Line::Row(row) => Some((row.interface, row.physical?)),
        Line::Unread { .. } => None,
    });
    Ok(pairs.collect())
}

fn read(file: impl Read) -> Result<Vec<Line>, Failure> {
    let read = BufReader::new(file).lines().map(|line| {
        let line = line.map_err(|error| Failure::refused(format!("read error: {error}")))?;
        Ok(match Row::parse(&line) {
            Some(row) => Line::Row(row),
            None => Line::Unread { unread: line },
        })
    });
    read.collect()
}

impl list::List for Interfaces {
    const FILE: ProcFile = ProcFile::Tncfg;
    type Line = Line;

    fn read(system: &mut impl System) -> Result<Vec<Line>, Failure> {
        read(listing::open(system, Self::FILE)?)
    }

    fn aligned(lines: &[Line], _colors: bool) -> String {
        let names = |row: &Row| {
            let physical = row.physical.clone().unwrap_or_else(|| "-".to_owned());
            [row.interface.clone(), physical]
        };
        let width = |column: usize| {
            let rows = lines.iter().filter_map(|line| match line {
                Line::Row(row) => Some(names(row)[column].len()),
                Line::Unread { .. } => None,
            });
            rows.max().unwrap_or(0)
        };
        let [first, second] = [0, 1].map(width);
        let line = |line: &Line| match line {
            Line::Row(row) => {
                let [interface, physical] = names(row);
                let Row {
                    mtu, physical_mtu, ..
                } = row;
                let text = if row.physical.is_some() {
                    format!("mtu {mtu}, below {physical_mtu}")
                } else {
                    "not attached".to_owned()
                };
                format!("{interface:first$} -> {physical:second$}  {text}\n")
            }
            Line::Unread { unread } => format!("{unread}\n"),
        };
        lines.iter().map(line).collect()
    }

    fn json(line: &Line) -> impl Serialize {
        line
    }
}
