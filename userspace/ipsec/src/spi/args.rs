// SPDX-License-Identifier: GPL-2.0

//! The arguments of `ipsec spi`: from texts to a plan (reference 8.3).

use super::{
    algorithm::{self, Transform},
    key::{self, KeyBytes},
    life,
    plan::{NatT, NewSa, Plan},
    syntax,
};
use crate::{
    failure::Failure,
    program::Program,
    system::System,
    text::{self, Unusable},
};
use clap::ArgMatches;
use klips::{
    address::Family,
    number::{self, NumberError},
    pfkey::types::{REPLAY_MAX, SPI_MIN},
    said::{Proto, Said},
};
use std::net::IpAddr;

/// What is to be done.
pub(super) enum Command {
    /// Print the help text.
    Help,
    /// Print the version.
    Version,
    /// Print the SAs.
    List,
    /// Ask something of the kernel.
    Request {
        /// What to ask.
        plan: Plan,
        /// Whether to tell that it has answered.
        listen: bool,
    },
}

/// The options that choose what is done.
const ACTIONS: [&str; 7] = ["ah", "esp", "comp", "ip4", "ip6", "del", "clear"];

/// The options that only go with a new SA, although `--del` needs not mind others.
const ADD_ONLY: [&str; 6] = ["authkey", "enckey", "life", "natt", "sport", "dport"];

/// The options that make no request by themselves.
const GENERAL: [&str; 4] = ["label", "debug", "help", "version"];

/// Reads the arguments; label and debugging are set in `program`.
pub(super) fn parse(
    program: &mut Program,
    args: &[String],
    system: &mut impl System,
) -> Result<Command, Failure> {
    let options = Options(syntax::parse(program, args)?);
    if let Some(label) = options.text("label") {
        program.set_label(label);
    }
    program.debug = options.flag("debug");
    if options.flag("help") {
        return Ok(Command::Help);
    }
    if options.flag("version") {
        return Ok(Command::Version);
    }
    let mut actions = ACTIONS.into_iter().filter(|name| options.is_set(name));
    let plan = match (actions.next(), actions.next()) {
        (Some(_), Some(_)) => {
            return Err(Failure::usage(
                "Only one of '--ah', '--esp', '--comp', '--ip4', '--ip6', '--del' or '--clear'  \
                 options permitted.",
            ));
        }
        (None, _) if !options.any_but(&GENERAL) => return Ok(Command::List),
        (None, _) => {
            return Err(Failure::usage(format!(
                "No action chosen.{}",
                text::see_help(program)
            )));
        }
        (Some("clear"), None) => Plan::Clear,
        (Some(action), None) => {
            let addresses = addresses(&options, system)?;
            match action {
                "del" => {
                    options.refuse(&ADD_ONLY, "only goes with an SA to be added")?;
                    Plan::Delete(addresses)
                }
                action => Plan::Add(Box::new(new_sa(&options, action, addresses)?)),
            }
        }
    };
    Ok(Command::Request {
        plan,
        listen: options.flag("listenreply") || program.debug,
    })
}

struct Options(ArgMatches);

impl Options {
    fn text(&self, name: &str) -> Option<&str> {
        self.0.get_one::<String>(name).map(String::as_str)
    }

    fn flag(&self, name: &str) -> bool {
        self.0.get_flag(name)
    }

    fn is_set(&self, name: &str) -> bool {
        self.0.value_source(name) == Some(clap::parser::ValueSource::CommandLine)
    }

    fn any_but(&self, names: &[&str]) -> bool {
        self.0
            .ids()
            .map(|id| id.as_str())
            .any(|id| self.is_set(id) && !names.contains(&id))
    }

    fn refuse(&self, names: &[&str], why: &str) -> Result<(), Failure> {
        match names.iter().find(|name| self.is_set(name)) {
            Some(name) => Err(Failure::usage(format!("--{name} {why}."))),
            None => Ok(()),
        }
    }
}

/// The SA that an action is about, and where it comes from.
#[derive(Clone, Copy)]
pub(super) struct Addresses {
    pub(super) said: Said,
    pub(super) src: IpAddr,
}

/// Reads the SA. Families are known before any address is looked at, whatever their order.
fn addresses(options: &Options, system: &mut impl System) -> Result<Addresses, Failure> {
    let family = options
        .text("af")
        .map(|af| {
            text::family(af)
                .ok_or_else(|| Failure::usage(format!("Invalid ADDRESS FAMILY parameter: {af}.")))
        })
        .transpose()?;
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
    options.refuse(
        &["edst", "spi", "proto"],
        "parameter redefined: --said has it already",
    )?;
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

fn new_sa(options: &Options, action: &str, addresses: Addresses) -> Result<NewSa, Failure> {
    let name = match action {
        "ip4" | "ip6" => "",
        action => options.text(action).unwrap_or_default(),
    };
    let unknown = |text| move || Failure::usage(text);
    let (transform, proto) = match action {
        "ah" => (
            algorithm::ah(name).ok_or_else(unknown(format!(
                "Unknown authentication algorithm '{name}' follows '--ah' option."
            )))?,
            Proto::Ah,
        ),
        "esp" => (
            algorithm::esp(name).ok_or_else(unknown(format!(
                "Invalid encryption algorithm '{name}' follows '--esp' option."
            )))?,
            Proto::Esp,
        ),
        "comp" => (
            algorithm::comp(name).ok_or_else(unknown(format!(
                "Unknown compression algorithm '{name}' follows '--comp' option."
            )))?,
            Proto::Comp,
        ),
        _ => (Transform::default(), Proto::Tun),
    };
    if addresses.said.proto != proto {
        return Err(Failure::usage(format!(
            "--{action} makes an SA of protocol {}, not {}.",
            proto.name(),
            addresses.said.proto.name()
        )));
    }
    if let Some(missing) = transform.lacks_authentication() {
        return Err(Failure::usage(format!(
            "--esp {name} needs authentication, as in {missing}."
        )));
    }
    let key = |option, kind, bits| key(options, option, kind, name, bits);
    let (soft, hard) = life::parse(
        options
            .0
            .get_many::<String>("life")
            .into_iter()
            .flatten()
            .map(String::as_str),
    )
    .map_err(Failure::usage)?;
    Ok(NewSa {
        addresses,
        auth: transform.auth,
        encrypt: transform.encrypt,
        replay: replay_window(options)?,
        key_auth: key("authkey", "authentication", transform.auth_bits())?,
        key_encrypt: key("enckey", "encryption", transform.encrypt_bits())?,
        soft,
        hard,
        natt: natt(options)?,
    })
}

/// A key, which is there exactly if an algorithm wants one, and as long as it wants it.
///
/// Nothing that is said of a key has any of it in it.
fn key(
    options: &Options,
    option: &str,
    kind: &str,
    algorithm: &str,
    bits: &[u16],
) -> Result<Option<KeyBytes>, Failure> {
    // What takes a key of no length takes none.
    let bits: Vec<u16> = bits.iter().copied().filter(|bits| *bits != 0).collect();
    let wanted = bits
        .iter()
        .map(|bits| (bits / 8).to_string())
        .collect::<Vec<_>>()
        .join(" or ");
    let key = match (options.text(option), bits.is_empty()) {
        (None, true) => return Ok(None),
        (Some(_), true) => {
            return Err(Failure::usage(format!(
                "--{option} given, but there is no {kind} to be done."
            )));
        }
        (None, false) => {
            return Err(Failure::usage(format!(
                "no --{option} given; the {kind} key for {algorithm} has {wanted} bytes."
            )));
        }
        (Some(text), false) => {
            key::parse(text).map_err(|error| Failure::usage(format!("{error} in {kind} key.")))?
        }
    };
    match bits.iter().any(|bits| usize::from(*bits) == key.len() * 8) {
        true => Ok(Some(key)),
        false => Err(Failure::usage(format!(
            "the {kind} key for {algorithm} has {wanted} bytes, got {}.",
            key.len()
        ))),
    }
}

fn replay_window(options: &Options) -> Result<u8, Failure> {
    let Some(text) = options.text("replay_window") else {
        return Ok(0);
    };
    let illegal = |size: String| {
        Failure::usage(format!(
            "Failed -- Illegal window size: arg={text}, replay_window={size}, must be \
             1 <= size <= {REPLAY_MAX}."
        ))
    };
    let size = number::parse(text).map_err(|error| illegal(format!("<{error}>")))?;
    match u8::try_from(size) {
        Ok(size @ 1..=REPLAY_MAX) => Ok(size),
        _ => Err(illegal(size.to_string())),
    }
}

fn natt(options: &Options) -> Result<Option<NatT>, Failure> {
    let kind = match options.text("natt").map(str::to_ascii_lowercase).as_deref() {
        None | Some("none" | "0") => {
            options.refuse(&["sport", "dport"], "needs --natt nonesp or nonike")?;
            return Ok(None);
        }
        Some("nonike" | "1") => 1,
        Some("nonesp" | "2") => 2,
        Some(other) => {
            return Err(Failure::usage(format!(
                "Invalid NAT-T type: {other}.  It is nonesp, nonike or none."
            )));
        }
    };
    let port = |name| match options.text(name) {
        None => Ok(0),
        Some(text) => number::parse(text)
            .ok()
            .and_then(|port| u16::try_from(port).ok())
            .ok_or_else(|| Failure::usage(format!("Invalid port in --{name}: {text}"))),
    };
    Ok(Some(NatT {
        kind,
        sport: port("sport")?,
        dport: port("dport")?,
    }))
}
