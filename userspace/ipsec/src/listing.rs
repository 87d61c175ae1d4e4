// SPDX-License-Identifier: GPL-2.0

//! What `/proc/net/ipsec_spigrp` and `/proc/net/ipsec_spi` say.

use crate::{
    failure::Failure,
    json::Sa,
    program::Console,
    system::{ProcFile, System},
};
use klips::{
    address::{Family, Host},
    said::{self, Said},
};
use std::io::{self, BufRead, BufReader, Read};

/// Opens a file of the module.
pub(crate) fn open(system: &mut impl System, file: ProcFile) -> Result<Box<dyn Read>, Failure> {
    let name = match file {
        ProcFile::SpiGrp => "spigrp",
        ProcFile::Spi => "spi",
    };
    system.open(file).map_err(|error| {
        Failure::refused(match error.kind() {
            io::ErrorKind::NotFound => {
                format!("No {name} - no IPsec support in kernel (are the modules loaded?)")
            }
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
    fn parse(text: &str) -> Self {
        let said = said::parse(text).ok().and_then(|said| match said.dst {
            Host::Address(ip) => Some(said.with_dst(ip)),
            Host::Name(..) => None,
        });
        Entry {
            text: text.to_owned(),
            said,
        }
    }

    /// Whether this is, or could be, the SA of that name.
    fn may_be(&self, said: &Said) -> bool {
        match &self.said {
            Some(listed) => listed == said,
            None => {
                let id = format!("{}0x{:x}", said.proto.name(), said.spi);
                let rest = self.text.strip_prefix(&id);
                Family::of(&said.dst) == Family::Inet6
                    && rest.is_some_and(|rest| rest.starts_with('@'))
            }
        }
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

/// All chains, inside to outside.
pub(crate) struct Chains(Vec<Vec<Entry>>);

impl Chains {
    pub(crate) fn read(system: &mut impl System) -> Result<Self, Failure> {
        let file = BufReader::new(open(system, ProcFile::SpiGrp)?);
        lines(file).collect::<Result<_, _>>().map(Chains)
    }

    /// Whether there is an SA of that name.
    pub(crate) fn has(&self, said: &Said) -> bool {
        self.0.iter().flatten().any(|entry| entry.may_be(said))
    }

    /// The innermost SA of the group that an SA is in, which gives the group its name.
    pub(crate) fn group_of(&self, said: &Said) -> Option<&Entry> {
        // Late KLIPS had a line for each SA, with those outside of it; the longest has them all.
        let group = self
            .0
            .iter()
            .filter(|chain| chain.len() > 1 && chain.iter().any(|entry| entry.may_be(said)))
            .max_by_key(|chain| chain.len())?;
        group.first()
    }
}

fn lines(file: impl BufRead) -> impl Iterator<Item = Result<Vec<Entry>, Failure>> {
    file.lines().map(|line| {
        let line = line.map_err(|error| Failure::refused(format!("read error: {error}")))?;
        Ok(line.split_whitespace().map(Entry::parse).collect())
    })
}

/// Prints the groups as a JSON array of chains, one a line.
pub(crate) fn print_json(
    system: &mut impl System,
    console: &mut Console<'_>,
) -> Result<(), Failure> {
    let file = BufReader::new(open(system, ProcFile::SpiGrp)?);
    let mut separator = "[\n";
    for chain in lines(file) {
        let chain = chain?;
        let members: Vec<_> = chain.iter().map(Entry::json).collect();
        let json =
            serde_json::to_string(&members).map_err(|error| Failure::output(error.into()))?;
        write!(console.out, "{separator}{json}").map_err(Failure::output)?;
        separator = ",\n";
    }
    console.print(if separator == "[\n" { "[]\n" } else { "\n]\n" })
}
