// SPDX-License-Identifier: GPL-2.0

//! What `/proc/net/ipsec_spigrp` and `/proc/net/ipsec_spi` say.

use crate::{
    console::Console,
    entry::Entry,
    failure::Failure,
    system::{ProcFile, System},
    text::LOAD_IT,
};
use klips::said::{Proto, Said};
use std::{
    io::{self, BufRead, BufReader, Read},
    net::IpAddr,
};

/// Opens a file of the module that other releases, and KLIPS, do not have.
pub(crate) fn open_if_there(
    system: &mut impl System,
    file: ProcFile,
) -> Result<Option<Box<dyn Read>>, Failure> {
    match system.open(file) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        opened => opened
            .map(Some)
            .map_err(|error| unopened(error, file, system)),
    }
}

/// Opens a file of the module.
pub(crate) fn open(system: &mut impl System, file: ProcFile) -> Result<Box<dyn Read>, Failure> {
    let opened = system.open(file);
    opened.map_err(|error| unopened(error, file, system))
}

/// Why a file can't be opened.
fn unopened(error: io::Error, file: ProcFile, system: &mut impl System) -> Failure {
    let name = match file {
        ProcFile::SpiGrp => "spigrp",
        ProcFile::Spi => "spi",
        ProcFile::Eroute | ProcFile::Dropped => "eroute table",
        ProcFile::Tncfg => "tncfg",
        ProcFile::KlipsDebug => "klipsdebug",
    };
    Failure::refused(match error.kind() {
        io::ErrorKind::NotFound if !system.has_proc() => {
            format!("No {name} - /proc is not mounted: mount -t proc proc /proc")
        }
        io::ErrorKind::NotFound => {
            format!("No {name} - no IPsec support in kernel (are the modules loaded?)  {LOAD_IT}")
        }
        io::ErrorKind::PermissionDenied => {
            format!(
                "{}: access denied.  You must be root to open this file.",
                file.path()
            )
        }
        _ => format!("{}: {error}", file.path()),
    })
}

/// Prints a file as it is.
pub(crate) fn print(
    system: &mut impl System,
    file: ProcFile,
    console: &mut Console<'_>,
) -> Result<(), Failure> {
    console.copy(&mut *open(system, file)?)
}

/// All chains, inside to outside.
pub(crate) fn chains(system: &mut impl System) -> Result<Vec<Vec<Entry>>, Failure> {
    BufReader::new(open(system, ProcFile::SpiGrp)?)
        .lines()
        .map(|line| {
            let line = line.map_err(|error| Failure::refused(format!("read error: {error}")))?;
            Ok(line.split_whitespace().map(Entry::parse).collect())
        })
        .collect()
}

/// What `/proc/net/ipsec_spi` says of how an SA sends packets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SaRow {
    pub(crate) said: Said,
    /// Where it says that its packets come from.
    pub(crate) src: Option<IpAddr>,
    /// Whether it is more than a reserved SPI.
    pub(crate) is_made: bool,
    /// Source and destination port, where its packets go in UDP.
    pub(crate) udp: Option<(u16, u16)>,
    /// Whether that is with a non-IKE marker, which no kernel of today knows.
    pub(crate) has_nonike: bool,
}

impl SaRow {
    /// What a line says: the name of its SA, its transform, and its fields by name.
    pub(crate) fn of<'a>(
        entry: &Entry,
        transform: &str,
        text: impl Fn(&str) -> Option<&'a str>,
        number: impl Fn(&str) -> Option<u64>,
    ) -> Option<Self> {
        let said = entry.said()?;
        let encapsulation = text("natencap");
        let port = |name| number(name).and_then(|port| u16::try_from(port).ok());
        let ports = || (port("natsport").unwrap_or(0), port("natdport").unwrap_or(0));
        Some(SaRow {
            said,
            src: text("src").and_then(|src| src.parse().ok()),
            // A tunnel has no algorithms in its name, and nothing else that tells.
            is_made: said.proto == Proto::Tun || transform.contains('_'),
            udp: (encapsulation == Some("nonesp")).then(ports),
            has_nonike: encapsulation == Some("nonike"),
        })
    }

    fn parse(line: &str) -> Option<Self> {
        let mut words = line.split_ascii_whitespace();
        let (name, transform) = (words.next()?, words.next()?);
        let field = |name: &str| {
            let mut fields = words.clone();
            fields.find_map(|word| word.strip_prefix(name)?.strip_prefix('='))
        };
        let number = |name: &str| field(name)?.parse().ok();
        Self::of(&Entry::parse(name), transform, field, number)
    }
}

/// All SAs whose names can be read.
pub(crate) fn sas(system: &mut impl System) -> Result<Vec<SaRow>, Failure> {
    let lines = BufReader::new(open(system, ProcFile::Spi)?).lines();
    let rows = lines.map(|line| {
        let line = line.map_err(|error| Failure::refused(format!("read error: {error}")))?;
        Ok(SaRow::parse(&line))
    });
    rows.filter_map(Result::transpose).collect()
}
