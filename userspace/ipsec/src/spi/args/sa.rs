// SPDX-License-Identifier: GPL-2.0

//! Which SA is meant: `--said`, or `--af`, `--edst`, `--spi` and `--proto`.

use super::{super::plan::Addresses, options::Options};
use crate::{
    failure::Failure,
    system::System,
    text::{self, Unusable},
};
use klips::{
    address::Family,
    number::{self, NumberError},
    pfkey::types::SPI_MIN,
    said::{Proto, Said},
};

/// The options that name an SA, and what the original calls them.
const PARTS: [(&str, &str); 7] = [
    ("said", "SAID"),
    ("edst", "EDST"),
    ("spi", "SPI"),
    ("proto", "PROTO"),
    ("af", "ADDRESS FAMILY"),
    ("src", "SRC"),
    ("dst", "DST"),
];

/// The parts that `--said` has in it; a family beside it only has to be the same.
const IN_SAID: std::ops::Range<usize> = 1..4;

/// Reads the SA that an action is about. Families are known before any address is looked at,
/// whatever their order.
pub(super) fn addresses(
    options: &Options,
    action: &str,
    system: &mut impl System,
) -> Result<Addresses, Failure> {
    check_given_once(options)?;
    let family = family(options, action)?;
    let said = match options.text("said") {
        Some(said) => whole_said(options, said, family, system)?,
        None => said_of_parts(options, family, system)?,
    };
    let family = Family::of(&said.dst);
    let mut address = |name| match options.text(name) {
        Some(text) => text::address(text, Some(family), system)
            .map(Some)
            .map_err(|error| bad_address(name, text, &error)),
        None => Ok(None),
    };
    let src = address("src")?.unwrap_or(family.unspecified());
    // The destination of a tunnel is that of its SA; the original sends no other one either.
    address("dst")?;
    Ok(Addresses { said, src })
}

fn check_given_once(options: &Options) -> Result<(), Failure> {
    for (option, name) in PARTS {
        let mut values = options.all(option);
        if let (Some(first), Some(second)) = (values.next(), values.next()) {
            return Err(Failure::usage(format!(
                "Error, {name} parameter redefined:{second}, already defined as:{first}"
            )));
        }
    }
    Ok(())
}

/// The address family that is asked for, by `--af` or by the kind of tunnel.
fn family(options: &Options, action: &str) -> Result<Option<Family>, Failure> {
    let tunnel = match action {
        "ip4" => Some(Family::Inet),
        "ip6" => Some(Family::Inet6),
        _ => None,
    };
    let Some(af) = options.text("af") else {
        return Ok(tunnel);
    };
    match text::family(af) {
        None => Err(Failure::usage(format!(
            "Invalid ADDRESS FAMILY parameter: {af}."
        ))),
        Some(family) if tunnel.is_some_and(|tunnel| tunnel != family) => Err(Failure::usage(
            format!("--{action} makes no SA of address family {af}."),
        )),
        family => Ok(family),
    }
}

fn bad_address(name: &str, text: &str, error: &Unusable) -> Failure {
    error.failure(format!(
        "Error, {error} converting --{name} argument:{text}"
    ))
}

fn whole_said(
    options: &Options,
    argument: &str,
    family: Option<Family>,
    system: &mut impl System,
) -> Result<Said, Failure> {
    for (option, name) in &PARTS[IN_SAID] {
        if let Some(part) = options.text(option) {
            return Err(Failure::usage(format!(
                "Error, {name} parameter redefined:{part}, already defined in SA:{argument}"
            )));
        }
    }
    let said = text::said(argument, system)?;
    match family {
        Some(family) if family != Family::of(&said.dst) => Err(Failure::usage(format!(
            "Error, specified address family ({}) is different that of SAID: {argument}",
            family.number()
        ))),
        _ => check_spi(argument, said.spi).map(|()| said),
    }
}

fn said_of_parts(
    options: &Options,
    family: Option<Family>,
    system: &mut impl System,
) -> Result<Said, Failure> {
    let part = |name, what| {
        options
            .text(name)
            .ok_or_else(|| Failure::usage(format!("SA {what} not specified.")))
    };
    let dst = part("edst", "destination")?;
    let spi = part("spi", "SPI")?;
    let proto = part("proto", "PROTO")?;
    let number = number::parse(spi).map_err(|error| {
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
        proto: Proto::from_name(proto)
            .filter(|proto| *proto != Proto::Int)
            .ok_or_else(|| Failure::usage(format!("Invalid PROTO parameter: {proto}")))?,
    })
}

/// Those below are reserved; no SA can have one.
fn check_spi(argument: &str, spi: u32) -> Result<(), Failure> {
    match spi {
        0..SPI_MIN => Err(Failure::usage(format!(
            "Illegal reserved spi: {argument} => {spi:#x} Must be larger than 0x100."
        ))),
        _ => Ok(()),
    }
}
