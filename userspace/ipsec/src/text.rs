// SPDX-License-Identifier: GPL-2.0

//! Texts that the commands have in common: addresses and SAIDs with names looked up, and what an
//! errno means (reference 8.1).

use crate::{failure::Failure, program::Program, system::System};
use klips::{
    address::Family,
    errno::Errno,
    said::{Proto, Said},
};
use pfkey::text::{
    address::{self, AddressError, Host},
    number::{self, NumberError},
    said::{self, SaidError},
};
use std::{fmt, net::IpAddr};

/// What `ttoaddr` says of a name that has no address.
const LOOKUP_FAILED: &str = "does not look numeric and name lookup failed";

/// What helps where there is no module.
pub(crate) const LOAD_IT: &str = "Load it: modprobe klips.";

/// Why a text gives no address or SAID.
pub(crate) enum Unusable {
    Said(SaidError),
    Address(AddressError),
    /// A name that has no address.
    Lookup,
}

impl Unusable {
    /// Bad usage, unless it is only that nobody knows the name.
    pub(crate) fn failure(&self, text: String) -> Failure {
        match self {
            Unusable::Lookup => Failure::refused(text),
            Unusable::Said(_) | Unusable::Address(_) => Failure::usage(text),
        }
    }
}

impl fmt::Display for Unusable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Unusable::Said(error) => error.fmt(f),
            Unusable::Address(error) => error.fmt(f),
            Unusable::Lookup => f.write_str(LOOKUP_FAILED),
        }
    }
}

/// A text of the user's in a message. If there is anything in it that can't be seen, such as a blank
/// or a byte order mark, it stands in quotes and has escapes.
pub(crate) struct Shown<'a>(pub(crate) &'a str);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Shown(text) = self;
        if text.chars().all(|c| c.is_ascii_graphic()) {
            f.write_str(text)
        } else {
            write!(f, "{text:?}")
        }
    }
}

/// Reads an address or looks up a name; white space around it does not count.
pub(crate) fn address(
    text: &str,
    family: Option<Family>,
    system: &mut impl System,
) -> Result<IpAddr, Unusable> {
    resolve(
        address::parse(text.trim(), family).map_err(Unusable::Address)?,
        system,
    )
}

/// Reads an SAID, whose destination may be a name; white space around it does not count, for one
/// that is copied from a list ends in a blank.
pub(crate) fn said(text: &str, system: &mut impl System) -> Result<Said, Failure> {
    let bad = |error: Unusable| {
        let text = Shown(text);
        error.failure(format!("Error, {error} converting --sa argument:{text}"))
    };
    let said = said::parse(text.trim()).map_err(|error| bad(Unusable::Said(error)))?;
    Ok(said.with_dst(resolve(said.dst, system).map_err(bad)?))
}

/// The address of a host, looked up if it is a name.
pub(crate) fn resolve(host: Host<'_>, system: &mut impl System) -> Result<IpAddr, Unusable> {
    match host {
        Host::Address(ip) => Ok(ip),
        Host::Name(name, family) => system.resolve(name, family).ok_or(Unusable::Lookup),
    }
}

/// Reads an SPI; white space around it does not count.
pub(crate) fn spi(text: &str) -> Result<u32, NumberError> {
    number::parse(text.trim())
}

/// A number of 64 bits, in the notations that [`number::parse`] knows.
pub(crate) fn number64(text: &str) -> Result<u64, NumberError> {
    let (digits, base) = match text.as_bytes() {
        [b'0', b'x' | b'X', _, ..] => (&text[2..], 16),
        [b'0', _, ..] => (&text[1..], 8),
        _ => (text, 10),
    };
    match number::parse(text) {
        // Only digits, so that nothing but its size can be wrong.
        Err(NumberError::TooLarge) => {
            u64::from_str_radix(digits, base).map_err(|_| NumberError::TooLarge)
        }
        result => result.map(u64::from),
    }
}

/// `inet` or `inet6`; white space around it does not count.
pub(crate) fn family(text: &str) -> Option<Family> {
    match text.trim() {
        "inet" => Some(Family::Inet),
        "inet6" => Some(Family::Inet6),
        _ => None,
    }
}

/// The protocol of an SA by its name; white space around it does not count.
pub(crate) fn proto(text: &str) -> Option<Proto> {
    said::proto(text.trim()).filter(|proto| *proto != Proto::Int)
}

/// What is said where the PF_KEY socket is mainline's, which reads other requests into KLIPS's.
pub(crate) fn beside_netkey(command: &str) -> String {
    format!("NETKEY does not use the ipsec {command} command. Use 'ip xfrm' instead.")
}

/// Refuses to talk to mainline's PF_KEY socket.
pub(crate) fn refuse_netkey(command: &str, system: &mut impl System) -> Result<(), Failure> {
    if system.has_netkey() {
        Err(Failure::refused(beside_netkey(command)))
    } else {
        Ok(())
    }
}

/// Connects to the kernel.
pub(crate) fn connect<S: System>(system: &mut S) -> Result<pfkey::Client<S::Transport>, Failure> {
    system.connect().map_err(failure)
}

/// What a failed exchange with the kernel means, if nothing better is known.
pub(crate) fn failure(error: pfkey::Error) -> Failure {
    let (errno, text) = match error {
        pfkey::Error::Open(errno) => (
            Some(errno),
            format!(
                "Trouble opening PF_KEY family socket with error: {}",
                open_error(errno)
            ),
        ),
        pfkey::Error::Refused { errno, .. } => (
            Some(errno),
            format!(
                "pfkey write failed (errno={}): {}",
                errno.0,
                write_error(errno)
            ),
        ),
        pfkey::Error::NoAnswer => (
            None,
            "the kernel took the request, but did not confirm it.  See what is listed.".to_owned(),
        ),
        pfkey::Error::Receive(errno) => (Some(errno), error.to_string()),
        pfkey::Error::Malformed | pfkey::Error::TooLong => (None, error.to_string()),
    };
    match errno {
        Some(errno) => Failure::refused(text).with_errno(errno),
        None => Failure::refused(text),
    }
}

/// Numbers that KLIPS never answers with, but its tools know.
const ENXIO: Errno = Errno(6);
const EUNATCH: Errno = Errno(49);
const ESPIPE: Errno = Errno(29);

const BUSY: &str = "KLIPS is busy.  Most likely a serious internal error occured in a previous \
                    command.  Please report as much detail as possible to development team.";
const DENIED: &str = "access denied.  You must be root or have CAP_NET_ADMIN.";

fn open_error(errno: Errno) -> String {
    match errno {
        Errno::ENOENT => "device does not exist.  See Openswan installation procedure.",
        Errno::EACCES | Errno::EPERM => DENIED,
        EUNATCH => "Netlink not enabled OR KLIPS not loaded.",
        Errno::ENODEV | Errno::EAFNOSUPPORT => {
            return format!("KLIPS not loaded or enabled.  {LOAD_IT}");
        }
        Errno::EBUSY => BUSY,
        Errno::EINVAL => {
            "Invalid argument, KLIPS not loaded or check kernel log messages for specifics."
        }
        Errno::ENOMEM | Errno::ENOBUFS => "No kernel memory to open a socket.",
        errno => {
            return format!(
                "Unknown file open error {}.  Please report as much detail as possible to \
                 development team.",
                errno.0
            );
        }
    }
    .to_owned()
}

fn write_error(errno: Errno) -> String {
    match errno {
        Errno::EACCES | Errno::EPERM => DENIED,
        EUNATCH => "Netlink not enabled OR KLIPS not loaded.",
        Errno::EBUSY => BUSY,
        Errno::EINVAL => "Invalid argument, check kernel log messages for specifics.",
        Errno::ENODEV => "KLIPS not loaded or enabled.",
        Errno::ENOMEM | Errno::ENOBUFS => "No kernel memory to allocate SA.",
        Errno::ESOCKTNOSUPPORT => {
            "Algorithm support not available in the kernel.  Please compile in support."
        }
        Errno::ENOENT => "SA does not exist.",
        Errno::EEXIST => "SA already in use.  Delete old one first.",
        ENXIO | Errno::ESRCH => "SA does not exist.  Cannot delete.",
        Errno::EMLINK => "too many SAs in one group.",
        Errno::ENOSPC => {
            "no room for more SAs in this network namespace (or in KLIPS's SAref table)."
        }
        ESPIPE => "kernel SAref table internal error.  Cannot process request.",
        errno => {
            return match errno.describe() {
                Some((_, text)) => format!("{text}."),
                None => format!(
                    "Unknown socket write error {}.  Please report as much detail as possible to \
                     development team.",
                    errno.0
                ),
            };
        }
    }
    .to_owned()
}

/// Where help is to be had.
pub(crate) fn see_help(program: &Program) -> String {
    format!("  See '{} --help' for usage.", program.name())
}
