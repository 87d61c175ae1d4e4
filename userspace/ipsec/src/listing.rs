// SPDX-License-Identifier: GPL-2.0

//! What `/proc/net/ipsec_spigrp` and `/proc/net/ipsec_spi` say.

use crate::{
    failure::Failure,
    json::Sa,
    program::Console,
    system::{ProcFile, System},
    text::LOAD_IT,
};
use anstyle::{AnsiColor, Style};
use klips::{
    address::Family,
    said::{Proto, Said},
};
use pfkey::text::{address::Host, said};
use std::{
    io::{self, BufRead, BufReader, Read},
    net::IpAddr,
};

/// Opens a file of the module.
pub(crate) fn open(system: &mut impl System, file: ProcFile) -> Result<Box<dyn Read>, Failure> {
    let name = match file {
        ProcFile::SpiGrp => "spigrp",
        ProcFile::Spi => "spi",
        ProcFile::Eroute => "eroute table",
        ProcFile::KlipsDebug => "klipsdebug",
    };
    system.open(file).map_err(|error| {
        Failure::refused(match error.kind() {
            io::ErrorKind::NotFound if !system.has_proc() => {
                format!("No {name} - /proc is not mounted: mount -t proc proc /proc")
            }
            io::ErrorKind::NotFound => format!(
                "No {name} - no IPsec support in kernel (are the modules loaded?)  {LOAD_IT}"
            ),
            io::ErrorKind::PermissionDenied => {
                format!(
                    "{}: access denied.  You must be root to open this file.",
                    file.path()
                )
            }
            _ => format!("{}: {error}", file.path()),
        })
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

/// An SA in the list of groups.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    text: String,
    /// `None` where the kernel does not know a destination, as Openswan 2.4.9 with IPv6.
    said: Option<Said>,
}

impl Entry {
    /// Reads the name of an SA as a list has it.
    pub(crate) fn parse(text: &str) -> Self {
        let said = said::parse(text).ok().and_then(|said| match said.dst {
            Host::Address(ip) => Some(said.with_dst(ip)),
            Host::Name(..) => None,
        });
        Entry {
            text: text.to_owned(),
            said,
        }
    }

    /// As the list has it.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// Its name, if that can be read.
    pub(crate) fn said(&self) -> Option<Said> {
        self.said
    }

    /// Whether its name can't be read, but could be this one.
    pub(crate) fn could_be(&self, said: &Said) -> bool {
        let id = format!("{}0x{:x}", said.proto.name(), said.spi);
        self.said.is_none()
            && Family::of(&said.dst) == Family::Inet6
            && self
                .text
                .strip_prefix(&id)
                .is_some_and(|rest| rest.starts_with('@'))
    }

    /// As the list has it, with its protocol in colour if that is wanted.
    pub(crate) fn styled(&self, colors: bool) -> String {
        let Some(Said { proto, .. }) = self.said.filter(|_| colors) else {
            return self.text.clone();
        };
        // A keyword has no protocol in front, and is coloured whole.
        let end = match self.text.starts_with(proto.name()) {
            true => proto.name().len(),
            false => self.text.len(),
        };
        let (head, tail) = self.text.split_at(end);
        let style = style(proto);
        format!("{style}{head}{style:#}{tail}")
    }

    /// As `--json` has it.
    pub(crate) fn json(&self) -> Sa {
        Sa::listed(&self.text, self.said)
    }

    /// Its name in the form of the manual page.
    pub(crate) fn name(&self) -> String {
        match &self.said {
            Some(said) => format!("{said:#}"),
            None => self.text.clone(),
        }
    }
}

fn style(proto: Proto) -> Style {
    let color = match proto {
        Proto::Tun => AnsiColor::Blue,
        Proto::Esp => AnsiColor::Green,
        Proto::Ah => AnsiColor::Yellow,
        Proto::Comp => AnsiColor::Magenta,
        Proto::Int => AnsiColor::Red,
    };
    color.on_default().bold()
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
}

impl SaRow {
    fn parse(line: &str) -> Option<Self> {
        let mut words = line.split_ascii_whitespace();
        let said = Entry::parse(words.next()?).said()?;
        let transform = words.next()?.trim_end_matches(':');
        let field = |name: &str| {
            let mut fields = line.split_ascii_whitespace();
            fields.find_map(|word| word.strip_prefix(name)?.strip_prefix('='))
        };
        let port = |name| field(name).and_then(|port| port.parse().ok()).unwrap_or(0);
        Some(SaRow {
            said,
            src: field("src").and_then(|src| src.parse().ok()),
            // A tunnel has no algorithms in its name, and nothing else that tells.
            is_made: said.proto == Proto::Tun || transform.contains('_'),
            udp: match field("natencap") {
                Some("nonesp" | "nonike") => Some((port("natsport"), port("natdport"))),
                _ => None,
            },
        })
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
