// SPDX-License-Identifier: GPL-2.0

//! What the kernel tells of an SA in its answer to GET: for people, and for `--json`.
//!
//! In JSON, what the list of SAs has as well goes by the same names.

use super::{
    algorithm::{self, AllUsed, Used},
    limits::{Limit, Limits},
};
use klips::{
    pfkey::{Ext, Message, SaState, SaType, types::SAFLAG_PFS},
    said::Said,
};
use serde::Serialize;
use std::{
    fmt,
    net::{IpAddr, SocketAddr},
    time::{Duration, UNIX_EPOCH},
};

/// What the kernel tells of an SA.
#[derive(Debug, Serialize)]
pub(super) struct SaInfo {
    #[serde(skip)]
    said: Said,
    state: &'static str,
    dir: &'static str,
    src: Option<IpAddr>,
    #[serde(skip_serializing_if = "Option::is_none")]
    proxy: Option<SocketAddr>,
    #[serde(flatten)]
    algorithms: AllUsed,
    /// Size of the replay window in packets, 0 for none.
    ooowin: u8,
    /// Flags but the one that means inbound.
    flags: u32,
    life: Limits,
    /// When it was made, in seconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    added: Option<u64>,
    /// When it was first used, in seconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    used: Option<u64>,
    natencap: &'static str,
    natsport: u16,
    natdport: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    natoa: Option<SocketAddr>,
    #[serde(skip_serializing_if = "Option::is_none")]
    src_identity: Option<Identity>,
    #[serde(skip_serializing_if = "Option::is_none")]
    dst_identity: Option<Identity>,
}

/// An identity.
#[derive(Debug, Serialize)]
struct Identity {
    /// `None` for numbers that nobody knows.
    #[serde(skip_serializing_if = "Option::is_none")]
    kind: Option<&'static str>,
    number: u16,
    id: u64,
    text: String,
}

impl Identity {
    fn of(message: &Message<'_>, ext: Ext) -> Option<Self> {
        let ident = message.ident(ext)?;
        let text = ident.text.split(|byte| *byte == 0).next();
        Some(Identity {
            kind: match ident.kind {
                1 => Some("prefix"),
                2 => Some("fqdn"),
                3 => Some("userfqdn"),
                4 => Some("connection"),
                _ => None,
            },
            number: ident.kind,
            id: ident.id,
            text: String::from_utf8_lossy(text.unwrap_or_default()).into_owned(),
        })
    }
}

impl SaInfo {
    /// Reads an answer; `None` if it is not about an SA.
    pub(super) fn of(message: &Message<'_>) -> Option<Self> {
        let sa = message.sa()?;
        let said = message.said()?;
        let address = |ext| Some(message.address(ext)?.socket);
        let lifetime = |ext| {
            let lifetime = message.lifetime(ext);
            lifetime.map(|(lifetime, _)| lifetime).unwrap_or_default()
        };
        let current = lifetime(Ext::LifetimeCurrent);
        let time = |seconds: u64| (seconds != 0).then_some(seconds);
        Some(SaInfo {
            said,
            state: match sa.state {
                SaState::Larval => "larval",
                SaState::Mature => "mature",
                SaState::Dying => "dying",
                SaState::Dead => "dead",
            },
            dir: match sa.flags & SAFLAG_PFS {
                0 => "out",
                _ => "in",
            },
            src: address(Ext::AddressSrc).map(|src| src.ip()),
            proxy: address(Ext::AddressProxy),
            algorithms: algorithm::all_used(SaType::of(said.proto), sa.auth, sa.encrypt),
            ooowin: sa.replay,
            flags: sa.flags & !SAFLAG_PFS,
            life: Limits::of(
                &current,
                &lifetime(Ext::LifetimeSoft),
                &lifetime(Ext::LifetimeHard),
            ),
            added: time(current.addtime),
            used: time(current.usetime),
            natencap: match message.natt_type().unwrap_or(0) {
                0 => "none",
                1 => "nonike",
                2 => "nonesp",
                _ => "unknown",
            },
            natsport: message.natt_port(Ext::NatTSport).unwrap_or(0),
            natdport: message.natt_port(Ext::NatTDport).unwrap_or(0),
            natoa: address(Ext::NatTOa),
            src_identity: Identity::of(message, Ext::IdentitySrc),
            dst_identity: Identity::of(message, Ext::IdentityDst),
        })
    }
}

/// The name of the SA, and below it what there is to tell, a line each.
impl fmt::Display for SaInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:#}", self.said)?;
        let mut row = |name: &str, text: String| writeln!(f, "  {name:16}{text}");
        row("state", self.state.to_owned())?;
        row("direction", self.dir.to_owned())?;
        for (name, address) in [("source", self.src), ("destination", Some(self.said.dst))] {
            if let Some(address) = address {
                row(name, address.to_string())?;
            }
        }
        if let Some(proxy) = self.proxy {
            row("proxy", without_port_0(proxy))?;
        }
        for (name, used) in [
            ("encryption", &self.algorithms.encryption),
            ("compression", &self.algorithms.compression),
            ("authentication", &self.algorithms.authentication),
        ] {
            if let Some(used) = used {
                row(name, used.to_string())?;
            }
        }
        if self.ooowin != 0 {
            row("replay window", format!("{} packets", self.ooowin))?;
        }
        if self.flags != 0 {
            row("flags", format!("{:#x}", self.flags))?;
        }
        for (name, kind) in [
            ("allocations", "alloc"),
            ("bytes", "bytes"),
            ("packets", "packets"),
        ] {
            // Every SA is made for one connection.
            let tells = |limit: &&Limit| kind != "alloc" || **limit != Limit::ONE_USED;
            if let Some(limit) = self.life.get(kind).filter(tells) {
                let current = limit.current.unwrap_or(0);
                row(name, format!("{current}{}", limits(Some(limit), "")))?;
            }
        }
        for (name, kind, time) in [
            ("added", "addtime", self.added),
            ("first used", "usetime", self.used),
        ] {
            let limit = self.life.get(kind);
            if time.is_some() || limit.is_some() {
                let time = time.map_or("never".to_owned(), date);
                row(name, format!("{time}{}", limits(limit, " seconds")))?;
            }
        }
        if self.natencap != "none" || self.natsport != 0 || self.natdport != 0 {
            row(
                "encapsulation",
                format!(
                    "{}, source port {}, destination port {}",
                    self.natencap, self.natsport, self.natdport
                ),
            )?;
        }
        if let Some(original) = self.natoa {
            row("original", without_port_0(original))?;
        }
        for (name, identity) in [
            ("source is", &self.src_identity),
            ("destination is", &self.dst_identity),
        ] {
            if let Some(identity) = identity {
                row(name, identity.to_string())?;
            }
        }
        Ok(())
    }
}

impl fmt::Display for Used {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name {
            Some(name) => f.write_str(name)?,
            None => write!(f, "number {}", self.number)?,
        }
        match self.key_bits {
            Some(bits) => write!(f, ", key of {bits} bits"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            Some(kind) => f.write_str(kind)?,
            None => write!(f, "kind {}", self.number)?,
        }
        if self.id != 0 {
            write!(f, " {}", self.id)?;
        }
        match self.text.as_str() {
            "" => Ok(()),
            // Quoted, for whoever wrote it may want to play tricks on a terminal.
            text => write!(f, " {text:?}"),
        }
    }
}

/// The limits, if there are any, in parentheses.
fn limits(limit: Option<&Limit>, unit: &str) -> String {
    let texts: Vec<_> = limit
        .map(|limit| [("soft", limit.soft), ("hard", limit.hard)])
        .into_iter()
        .flatten()
        .filter(|(_, limit)| *limit != 0)
        .map(|(name, limit)| format!("{name} limit {limit}{unit}"))
        .collect();
    match texts.as_slice() {
        [] => String::new(),
        texts => format!(" ({})", texts.join(", ")),
    }
}

fn without_port_0(socket: SocketAddr) -> String {
    match socket.port() {
        0 => socket.ip().to_string(),
        _ => socket.to_string(),
    }
}

/// A time in seconds since 1970, as a date. KLIPS of old counted from elsewhere, so that it may be
/// any number.
fn date(seconds: u64) -> String {
    /// The last second that has a year of four digits.
    const LAST: u64 = 253_402_300_799;
    match seconds {
        0..=LAST => {
            let time = UNIX_EPOCH + Duration::from_secs(seconds);
            humantime::format_rfc3339_seconds(time).to_string()
        }
        seconds => format!("{seconds} seconds after 1970"),
    }
}
