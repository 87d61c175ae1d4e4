// SPDX-License-Identifier: GPL-2.0

//! What the command does: looks at one thing after the other, and tells what it found.

use super::{
    finding::{Finding, Level},
    modules, policies,
    settings::{self, Use},
    ways,
};
use crate::{
    console::Console,
    eroute::{path::Sas, table},
    failure::Failure,
    given::Given,
    listing, options,
    program::Program,
    system::System,
};
use std::io;

/// Does what is asked for.
pub(crate) fn run<S: System>(
    given: &Given,
    program: &Program,
    system: &mut S,
    console: &mut Console<'_>,
) -> Result<(), Failure> {
    let findings = findings(system)?;
    let colors = options::color_of(given).colors(console);
    if program.json {
        console.array(findings.iter())?;
    } else {
        let texts = findings.iter().map(|finding| finding.text(colors));
        console.print(&texts.collect::<String>())?;
    }
    if findings.iter().any(|finding| finding.level == Level::Error) {
        Err(Failure::told(1))
    } else {
        Ok(())
    }
}

fn findings(system: &mut impl System) -> Result<Vec<Finding>, Failure> {
    let mut findings = match modules::klips(system) {
        Ok(finding) => vec![finding],
        Err(findings) => return Ok(findings),
    };
    let rows = table::rows(system)?;
    let sas = listing::sas(system)?;
    let interfaces = system
        .interfaces()
        .map_err(|error: io::Error| Failure::refused(format!("can't list interfaces: {error}")))?;
    let is_here = |address| {
        let mut all = interfaces.iter().flat_map(|interface| &interface.addresses);
        all.any(|own| *own == address)
    };
    let of = Use {
        has_inbound: sas.iter().any(|row| is_here(row.said.dst)),
        rows: &rows,
        interfaces: &interfaces,
    };
    findings.extend(modules::protocols(&sas, system));
    findings.extend(settings::findings(&of, system));
    findings.extend(ways::findings(&rows, &Sas::read(system)?, system));
    findings.extend(policies::findings(&rows, system));
    Ok(findings)
}
