// SPDX-License-Identifier: GPL-2.0

//! How options name an SA: `--said`, or `--af`, `--edst`, `--spi` and `--proto` (reference 8.3).

use crate::{
    failure::Failure,
    given::Given,
    options::value,
    system::System,
    text::{self, Shown, Unusable},
};
use clap::{Arg, ArgAction};
use klips::{address::Family, pfkey::types::SPI_MIN, said::Said};
use pfkey::text::number::NumberError;

/// The options that name an SA. Each is read once, but how often it is given is looked at later, for
/// the original has its own words for that.
pub(crate) fn args() -> [Arg; 5] {
    [
        value(
            "said",
            "said",
            "The SA as one argument: <proto><.|:><spi>@<dstaddr>",
        ),
        value("af", "inet|inet6", "Address family of the SA"),
        value(
            "edst",
            "dstaddr",
            "Destination of the SA: an address or a name",
        ),
        value("spi", "spi", "SPI of the SA, 0x100 or more"),
        value("proto", "proto", "Protocol of the SA: ah, esp, comp or tun"),
    ]
    .map(|arg| arg.action(ArgAction::Append))
}

/// The options that name an SA, and what the original calls them.
pub(crate) const PARTS: [(&str, &str); 5] = [
    ("said", "SAID"),
    ("edst", "EDST"),
    ("spi", "SPI"),
    ("proto", "PROTO"),
    ("af", "ADDRESS FAMILY"),
];

/// The parts that `--said` has in it; a family beside it only has to be the same.
const IN_SAID: std::ops::Range<usize> = 1..4;

/// Refuses options that are given twice; each with what the original calls it.
pub(crate) fn check_given_once(given: &Given, options: &[(&str, &str)]) -> Result<(), Failure> {
    for (option, name) in options {
        let mut values = given.all(option);
        if let (Some(first), Some(second)) = (values.next(), values.next()) {
            return Err(Failure::usage(format!(
                "Error, {name} parameter redefined:{}, already defined as:{}",
                Shown(second),
                Shown(first)
            )));
        }
    }
    Ok(())
}

/// The address family that an option names, if it is given.
pub(crate) fn family(given: &Given, option: &str) -> Result<Option<Family>, Failure> {
    let Some(text) = given.text(option) else {
        return Ok(None);
    };
    match text::family(text) {
        None => Err(Failure::usage(format!(
            "Invalid ADDRESS FAMILY parameter: {}.",
            Shown(text)
        ))),
        family => Ok(family),
    }
}

/// What is wrong with the address that an option gives.
pub(crate) fn bad_address(option: &str, text: &str, error: &Unusable) -> Failure {
    error.failure(format!(
        "Error, {error} converting --{option} argument:{}",
        Shown(text)
    ))
}

/// Reads the SA that is named, of an address family if that is known.
pub(crate) fn said(
    given: &Given,
    family: Option<Family>,
    system: &mut impl System,
) -> Result<Said, Failure> {
    match given.text("said") {
        Some(said) => whole(given, said, family, system),
        None => of_parts(given, family, system),
    }
}

fn whole(
    given: &Given,
    argument: &str,
    family: Option<Family>,
    system: &mut impl System,
) -> Result<Said, Failure> {
    for (option, name) in &PARTS[IN_SAID] {
        if let Some(part) = given.text(option) {
            return Err(Failure::usage(format!(
                "Error, {name} parameter redefined:{}, already defined in SA:{}",
                Shown(part),
                Shown(argument)
            )));
        }
    }
    let said = text::said(argument, system)?;
    match family {
        Some(family) if family != Family::of(&said.dst) => Err(Failure::usage(format!(
            "Error, specified address family ({}) is different that of SAID: {}",
            family.number(),
            Shown(argument)
        ))),
        _ => check_spi(argument, said.spi).map(|()| said),
    }
}

fn of_parts(
    given: &Given,
    family: Option<Family>,
    system: &mut impl System,
) -> Result<Said, Failure> {
    let part = |name, what| {
        given
            .text(name)
            .ok_or_else(|| Failure::usage(format!("SA {what} not specified.")))
    };
    let dst = part("edst", "destination")?;
    let spi = part("spi", "SPI")?;
    let proto = part("proto", "PROTO")?;
    let number = text::spi(spi).map_err(|error| {
        let spi = Shown(spi);
        Failure::usage(match error {
            NumberError::NonDigit | NumberError::NonHexDigit => {
                format!("Invalid character in SPI parameter: {spi}")
            }
            error => format!("Invalid SPI parameter: {spi} ({error})"),
        })
    })?;
    check_spi(spi, number)?;
    Ok(Said {
        dst: text::address(dst, family, system)
            .map_err(|error| bad_address("edst", dst, &error))?,
        spi: number,
        proto: text::proto(proto)
            .ok_or_else(|| Failure::usage(format!("Invalid PROTO parameter: {}", Shown(proto))))?,
    })
}

/// Those below are reserved; no SA can have one.
fn check_spi(argument: &str, spi: u32) -> Result<(), Failure> {
    match spi {
        0..SPI_MIN => Err(Failure::usage(format!(
            "Illegal reserved spi: {} => {spi:#x} Must be {SPI_MIN:#x} or more.",
            Shown(argument)
        ))),
        _ => Ok(()),
    }
}
