// SPDX-License-Identifier: GPL-2.0

//! What a connection is: from parameters to addresses, networks, SPIs and keys.

use super::{
    conn::Conn,
    file::Param,
    local::{self, Local},
};
use crate::{
    eroute::transport,
    failure::Failure,
    spi::{self, KeyKind},
    system::System,
    text::{self, Shown},
};
use klips::{
    address::Family,
    pfkey::types::{REPLAY_MAX, SPI_MIN},
    selector::Network,
};
use pfkey::text::{address::Host, network, number};
use std::net::IpAddr;
use zeroize::Zeroizing;

/// What is done with its packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Type {
    Tunnel,
    Transport,
    /// This, without any SA.
    Shunt(&'static str),
}

/// One end of it.
#[derive(Clone, Debug)]
pub(super) struct Side {
    pub(super) address: IpAddr,
    /// What is behind it.
    pub(super) net: Network,
    /// The port that counts, or 0.
    pub(super) port: u16,
}

/// An SA of a direction.
pub(super) struct Sa {
    pub(super) spi: u32,
    /// The algorithms, as they are typed.
    pub(super) algorithms: String,
    pub(super) enckey: Option<Zeroizing<String>>,
    pub(super) authkey: Option<Zeroizing<String>>,
    /// Size of the replay window, or 0.
    pub(super) window: u32,
}

/// The SAs of a direction.
#[derive(Default)]
pub(super) struct Sas {
    pub(super) tun: Option<u32>,
    pub(super) esp: Option<Sa>,
    pub(super) ah: Option<Sa>,
}

/// A connection as seen from its left side.
pub(super) struct Connection {
    pub(super) name: String,
    pub(super) kind: Type,
    pub(super) left: Side,
    pub(super) right: Side,
    /// The protocol above IP that counts, or 0.
    pub(super) proto: u8,
    /// SAs to the right.
    pub(super) rightward: Sas,
    /// SAs to the left.
    pub(super) leftward: Sas,
    /// What had better be otherwise.
    pub(super) remarks: Vec<String>,
}

impl Connection {
    /// Reads the parameters.
    pub(super) fn read(conn: &Conn, system: &mut impl System) -> Result<Self, Failure> {
        let kind = kind(conn)?;
        let family = family(conn)?;
        let (left, right) = addresses(conn, kind, family, system)?;
        let (proto, left_port, right_port) = protoports(conn, system)?;
        let side = |name, address, port| {
            Ok(Side {
                address,
                net: net(conn, name, kind, address)?,
                port,
            })
        };
        let (left, right) = (
            side("left", left, left_port)?,
            side("right", right, right_port)?,
        );
        if Family::of(&left.net.address()) != Family::of(&right.net.address()) {
            return Err(conn.bad("leftsubnet and rightsubnet are not of the same address family"));
        }
        for (name, own, other) in [
            ("leftnexthop", left.address, right.address),
            ("rightnexthop", right.address, left.address),
        ] {
            check_nexthop(conn, name, own, other, system)?;
        }
        let [rightward, leftward] = match kind {
            Type::Shunt(_) => {
                for name in ["esp", "ah"] {
                    if let Some(param) = conn.get(name) {
                        return Err(param.bad(
                            "a connection of this type has no SAs; leave it out, or make it \
                             type=tunnel",
                        ));
                    }
                }
                [Sas::default(), Sas::default()]
            }
            Type::Tunnel | Type::Transport => sas(conn, kind)?,
        };
        Ok(Connection {
            name: conn.name.clone(),
            kind,
            left,
            right,
            proto,
            rightward,
            leftward,
            remarks: remarks(conn),
        })
    }
}

/// What is to be said of the algorithms of a connection that makes sense.
fn remarks(conn: &Conn) -> Vec<String> {
    let Some(param) = conn.get("esp") else {
        return Vec::new();
    };
    let name = param.value.as_str();
    let Ok(transform) = spi::transform("esp", name, name, "") else {
        return Vec::new();
    };
    let why = if transform.needs_fresh_keys() {
        "it is broken by keys that are used again, as after a restart; take one such as \
         aes128-sha2-256"
    } else if transform.lacks_authentication() && conn.get("ah").is_none() {
        "nothing notices that packets were changed on the way; take one with authentication, such as \
         aes128-sha2-256"
    } else {
        return Vec::new();
    };
    vec![format!("{}: esp: {name}: {why}", param.place)]
}

fn kind(conn: &Conn) -> Result<Type, Failure> {
    let Some(param) = conn.get("type") else {
        return Ok(Type::Tunnel);
    };
    Ok(match param.value.as_str() {
        "tunnel" => Type::Tunnel,
        "transport" => Type::Transport,
        "passthrough" | "pass" => Type::Shunt("%pass"),
        "drop" => Type::Shunt("%drop"),
        "reject" => Type::Shunt("%reject"),
        other => {
            return Err(param.bad(format_args!(
                "{}: it is tunnel, transport, passthrough, drop or reject",
                Shown(other)
            )));
        }
    })
}

fn family(conn: &Conn) -> Result<Option<Family>, Failure> {
    let Some(param) = conn.get("connaddrfamily") else {
        return Ok(None);
    };
    match param.value.as_str() {
        "ipv4" | "inet" => Ok(Some(Family::Inet)),
        "ipv6" | "inet6" => Ok(Some(Family::Inet6)),
        other => Err(param.bad(format_args!("{}: it is ipv4 or ipv6", Shown(other)))),
    }
}

/// How the address of a side is given.
enum Given {
    Address(IpAddr),
    DefaultRoute,
}

/// The addresses of both ends.
fn addresses(
    conn: &Conn,
    kind: Type,
    family: Option<Family>,
    system: &mut impl System,
) -> Result<(IpAddr, IpAddr), Failure> {
    let left = conn.need("left", "192.0.2.1")?;
    let right = conn.need("right", "198.51.100.1")?;
    let given = [
        address(left, kind, family, system)?,
        address(right, kind, family, system)?,
    ];
    let mut own = |param: &Param, other: &IpAddr| {
        local::default_source(Family::of(other), system)?.ok_or_else(|| {
            Failure::refused(format!(
                "{}: {}: there is no default route whose interface has an address; give the address \
                 itself instead of %defaultroute",
                param.place, param.name
            ))
        })
    };
    let (a, b) = match given {
        [Given::Address(a), Given::Address(b)] => (a, b),
        [Given::DefaultRoute, Given::Address(b)] => (own(left, &b)?, b),
        [Given::Address(a), Given::DefaultRoute] => (a, own(right, &a)?),
        [Given::DefaultRoute, Given::DefaultRoute] => {
            return Err(right.bad("only one of both ends can be %defaultroute"));
        }
    };
    if Family::of(&a) != Family::of(&b) {
        return Err(right.bad(format_args!(
            "{b} is of another address family than left={a}"
        )));
    }
    if a == b {
        return Err(right.bad(format_args!("{b} is the address of the left end, too")));
    }
    Ok((a, b))
}

fn address(
    param: &Param,
    kind: Type,
    family: Option<Family>,
    system: &mut impl System,
) -> Result<Given, Failure> {
    match param.value.as_str() {
        "%defaultroute" => Ok(Given::DefaultRoute),
        word if word.starts_with('%') => Err(param.bad(format_args!(
            "{}: without a key daemon the address of each end has to be known; give it, or \
             %defaultroute for the own end",
            Shown(word)
        ))),
        text if text.contains('/') => Err(param.bad(format_args!(
            "{}: it is the address of a host; a network is {}subnet",
            Shown(text),
            param.name
        ))),
        text => {
            let address = text::address(text, family, system).map_err(|error| {
                let (place, name) = (&param.place, &param.name);
                error.failure(format!("{place}: {name}: {}: {error}", Shown(text)))
            })?;
            if address.is_unspecified() && !matches!(kind, Type::Shunt(_)) {
                return Err(param.bad(format_args!("{address} is the address of no host")));
            }
            Ok(Given::Address(address))
        }
    }
}

/// The network of a side.
fn net(conn: &Conn, side: &str, kind: Type, address: IpAddr) -> Result<Network, Failure> {
    let host = || {
        let bits = match Family::of(&address) {
            Family::Inet => 32,
            Family::Inet6 => 128,
        };
        Network::of(address, bits).ok_or_else(|| conn.bad(format_args!("no network: {address}")))
    };
    let Some(param) = conn.get(&format!("{side}subnet")) else {
        return host();
    };
    if kind == Type::Transport {
        return Err(param.bad(
            "without a tunnel only packets between both ends are protected; leave it out, or make \
             it type=tunnel",
        ));
    }
    let text = param.value.as_str();
    let bad = |why: &dyn std::fmt::Display| param.bad(format_args!("{}: {why}", Shown(text)));
    let parsed = network::parse(text, None).map_err(|error| bad(&error))?;
    if parsed.port.is_some() {
        return Err(bad(&format_args!("ports are {side}protoport")));
    }
    match parsed.address {
        Host::Address(ip) => parsed
            .with_address(ip)
            .ok_or_else(|| bad(&network::NetworkError::TooManyBits)),
        Host::Name(..) => Err(bad(&"a network is numbers, as in 10.1.0.0/24")),
    }
}

/// The protocol and both ports that count, or 0.
fn protoports(conn: &Conn, system: &mut impl System) -> Result<(u8, u16, u16), Failure> {
    let mut read = |name| match conn.get(name) {
        Some(param) => protoport(param, system).map(Some),
        None => Ok(None),
    };
    let (left, right) = (read("leftprotoport")?, read("rightprotoport")?);
    match (left, right) {
        (None, None) => Ok((0, 0, 0)),
        (Some((proto, port)), None) => Ok((proto, port, 0)),
        (None, Some((proto, port))) => Ok((proto, 0, port)),
        (Some((a, left)), Some((b, right))) if a == b => Ok((a, left, right)),
        _ => Err(conn.bad("leftprotoport and rightprotoport name different protocols")),
    }
}

fn protoport(param: &Param, system: &mut impl System) -> Result<(u8, u16), Failure> {
    let text = param.value.as_str();
    let bad = || {
        param.bad(format_args!(
            "{}: it is a protocol by name or number, or protocol/port as in tcp/22",
            Shown(text)
        ))
    };
    let (proto, port) = text.split_once('/').unwrap_or((text, "%any"));
    let number = match proto {
        "%any" => 0,
        proto => transport::protocol(proto, system).map_err(|_| bad())?,
    };
    let port = match port {
        "%any" | "%opaque" | "0" => 0,
        port if transport::has_ports(number) => {
            transport::port(&param.name, port, number, system).map_err(|_| bad())?
        }
        _ => {
            return Err(param.bad(format_args!(
                "{}: only TCP and UDP have ports that count",
                Shown(text)
            )));
        }
    };
    Ok((number, port))
}

/// Routes are not ours, but what makes no sense is told of.
fn check_nexthop(
    conn: &Conn,
    name: &str,
    own: IpAddr,
    other: IpAddr,
    system: &mut impl System,
) -> Result<(), Failure> {
    let Some(param) = conn.get(name) else {
        return Ok(());
    };
    let text = param.value.as_str();
    if let "%defaultroute" | "%direct" = text {
        return Ok(());
    }
    let family = Some(Family::of(&other));
    let hop = text::address(text, family, system)
        .map_err(|error| param.bad(format_args!("{}: {error}", Shown(text))))?;
    if hop == own {
        return Err(param.bad(format_args!(
            "{hop} is the end itself, not the next router on the way from it"
        )));
    }
    Ok(())
}

/// The SPIs of a direction, in the order in which they are given out.
struct Spis<'a> {
    /// All SAs have the same, or each the next but one.
    first: u32,
    step: u32,
    param: &'a Param,
    given: u32,
}

impl Spis<'_> {
    fn next(&mut self) -> Result<u32, Failure> {
        let spi = self.first.checked_add(self.given * self.step);
        self.given += 1;
        spi.filter(|spi| *spi >= SPI_MIN).ok_or_else(|| {
            self.param.bad(format_args!(
                "SPIs have to be {SPI_MIN:#x} or more; 0x100 to 0xfff is what key daemons leave free"
            ))
        })
    }
}

/// Reads the parameter that gives an SPI.
fn spi_of(param: &Param) -> Result<u32, Failure> {
    let text = param.value.as_str();
    let digits = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X"));
    let is_hex = digits
        .is_some_and(|digits| !digits.is_empty() && digits.chars().all(|c| c.is_ascii_hexdigit()));
    let spi = number::parse(text).ok().filter(|_| is_hex);
    spi.ok_or_else(|| {
        param.bad(format_args!(
            "{}: it is 0x and hexadecimal digits, no more than 0xffffffff",
            Shown(text)
        ))
    })
}

/// The SAs to the right and to the left.
fn sas(conn: &Conn, kind: Type) -> Result<[Sas; 2], Failure> {
    if conn.get("esp").is_none() && conn.get("ah").is_none() {
        return Err(conn.bad(
            "neither esp nor ah is given, so nothing would protect it; give one, as in \
             esp=aes128-sha1-96",
        ));
    }
    let (param, step) = match (conn.get("spi"), conn.get("spibase")) {
        (Some(spi), None) => (spi, 0),
        (None, Some(base)) => (base, 2),
        (Some(_), Some(base)) => {
            return Err(base.bad("it can't be given together with spi; leave one of them out"));
        }
        (None, None) => {
            return Err(conn.bad(
                "without spi or spibase it is not manually keyed; give one, as in spibase=0x200",
            ));
        }
    };
    let first = spi_of(param)?;
    if step != 0 && first % 16 != 0 {
        return Err(
            param.bad("its last digit has to be 0; the SPIs are that digit's to tell apart")
        );
    }
    let direction = |to: &str, odd: u32| {
        let spis = Spis {
            first: if step == 0 { first } else { first + odd },
            step,
            param,
            given: 0,
        };
        direction(conn, kind, to, spis)
    };
    Ok([direction("right", 0)?, direction("left", 1)?])
}

/// The SAs to one side.
fn direction(conn: &Conn, kind: Type, to: &str, mut spis: Spis<'_>) -> Result<Sas, Failure> {
    let mut sas = Sas::default();
    if kind == Type::Tunnel {
        sas.tun = Some(spis.next()?);
    }
    for (proto, slot) in [("esp", &mut sas.esp), ("ah", &mut sas.ah)] {
        let Some(algorithms) = conn.get(proto) else {
            continue;
        };
        // Given out also where another takes its place, so that it makes no difference to others.
        let own = spis.next();
        let spi = match conn.get(&format!("{to}{proto}spi")) {
            Some(param) => {
                let spi = spi_of(param)?;
                if spi < SPI_MIN {
                    return Err(param.bad(format_args!("SPIs have to be {SPI_MIN:#x} or more")));
                }
                spi
            }
            None => own?,
        };
        *slot = Some(sa(conn, proto, to, algorithms, spi)?);
    }
    Ok(sas)
}

/// An SA: its algorithms have the keys that they take.
fn sa(
    conn: &Conn,
    proto: &'static str,
    to: &str,
    algorithms: &Param,
    spi: u32,
) -> Result<Sa, Failure> {
    let name = algorithms.value.as_str();
    let typed = format!("{proto}={name}");
    let transform = spi::transform(proto, name, &typed, "").map_err(|why| algorithms.bad(why))?;
    let key = |kind: KeyKind, option: &str| {
        let own = conn.get(&format!("{to}{option}"));
        let param = own.or_else(|| conn.get(option));
        let other = if to == "left" { "right" } else { "left" };
        if let (None, None, Some(other)) = (own, param, conn.get(&format!("{other}{option}"))) {
            return Err(other.bad(format_args!(
                "the other direction has none; give {to}{option} too"
            )));
        }
        let option = param.map_or(option, |param| param.name.as_str());
        let text = param.map(|param| param.value.as_str());
        spi::key(kind, option, name, &transform, text)
            .map_err(|why| param.unwrap_or(algorithms).bad(why))?;
        Ok(param.map(|param| param.value.clone()))
    };
    let (enckey, authkey) = match proto {
        "esp" => (
            key(KeyKind::Encryption, "espenckey")?,
            key(KeyKind::Authentication, "espauthkey")?,
        ),
        _ => (None, key(KeyKind::Authentication, "ahkey")?),
    };
    Ok(Sa {
        spi,
        algorithms: name.to_owned(),
        enckey,
        authkey,
        window: window(conn, &format!("{proto}replay_window"))?,
    })
}

fn window(conn: &Conn, name: &str) -> Result<u32, Failure> {
    let Some(param) = conn.get(name) else {
        return Ok(0);
    };
    let size = param
        .value
        .parse()
        .ok()
        .filter(|size| *size <= u32::from(REPLAY_MAX));
    size.ok_or_else(|| {
        param.bad(format_args!(
            "{}: it is a number of packets up to {REPLAY_MAX}; 0 is none",
            Shown(&param.value)
        ))
    })
}

impl Connection {
    /// The same as seen from its right side.
    pub(super) fn flipped(self) -> Self {
        Connection {
            left: self.right,
            right: self.left,
            rightward: self.leftward,
            leftward: self.rightward,
            ..self
        }
    }

    /// The same as seen from the side that is here; or from the other, if that is wanted.
    pub(super) fn seen_from_here(
        self,
        conn: &Conn,
        local: &Local,
        other: bool,
    ) -> Result<Self, Failure> {
        let is_left = match (local.has(self.left.address), local.has(self.right.address)) {
            (true, false) => true,
            (false, true) => false,
            (true, true) => {
                return Err(conn.bad(format_args!(
                    "{} and {} are both addresses of this host; say with --iam which end it is",
                    self.left.address, self.right.address
                )));
            }
            (false, false) => {
                return Err(Failure::refused(format!(
                    "{}: conn {}: neither {} nor {} is an address of this host; say with --iam which \
                     end it is",
                    conn.place, conn.name, self.left.address, self.right.address
                )));
            }
        };
        Ok(if is_left == other {
            self.flipped()
        } else {
            self
        })
    }
}
