// SPDX-License-Identifier: GPL-2.0

//! `--get`: which eroute takes a packet, through which SAs it goes, and as what it is sent, or why
//! it is dropped. All of it by what is listed and routed; no message is sent.

use super::{
    list::Listed,
    path::{Header, Sas, Wire, in_clear, is_word},
    place::{Place, Places},
    selector::Packets,
    table::{self, Row},
    transport::Name,
};
use crate::{
    about::About, console::Console, entry::Entry, failure::Failure, json::Outcome, options::Color,
    program::Program, system::System,
};
use klips::{
    said::{Proto, Said, Shunt},
    selector::{Packet, Selector},
};
use serde::Serialize;
use std::{
    fmt,
    net::{IpAddr, SocketAddr},
};

/// What becomes of a packet.
struct Answer<'a> {
    packet: &'a Packet,
    places: &'a Places,
    eroute: Option<&'a Row>,
    /// The SAs that it goes through, inside to outside.
    saids: Vec<Said>,
    fate: Fate,
    /// On what that depends.
    only_if: Option<String>,
    /// Eroutes that would come first if protocol and ports were these.
    others: Vec<&'a Row>,
    /// The eroute that would take it if it was routed elsewhere, and where to.
    elsewhere: Option<(String, &'a Row)>,
}

/// What there is to say of packets that are sent through SAs and can be read all the same.
const UNPROTECTED: &str = "no SA is ESP or AH";

/// The same where the module does not tell which eroutes drop: that depends on what this one found
/// when it was added.
const MAYBE_UNPROTECTED: &str =
    "no SA is ESP or AH; dropped instead, if one was or none was there when the eroute was added";

/// How it ends.
enum Fate {
    /// It is sent in clear, for this reason.
    Clear(String, Vec<Header>),
    /// It is sent as this; and why that does not protect it, if it does not.
    Sent(Vec<Header>, Option<&'static str>),
    /// It is dropped, for this reason.
    Dropped(String),
}

/// The packet; what was not told of it is left out.
#[derive(Serialize)]
struct Asked {
    src: IpAddr,
    #[serde(skip_serializing_if = "Option::is_none")]
    src_port: Option<u16>,
    dst: IpAddr,
    #[serde(skip_serializing_if = "Option::is_none")]
    dst_port: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    proto: Option<u8>,
}

impl Asked {
    fn of(packet: &Packet) -> Self {
        Asked {
            src: packet.src,
            src_port: Some(packet.sport).filter(|port| *port != 0),
            dst: packet.dst,
            dst_port: Some(packet.dport).filter(|port| *port != 0),
            proto: Some(packet.proto).filter(|proto| *proto != 0),
        }
    }
}

/// What `--json` tells.
#[derive(Serialize)]
struct Told<'a> {
    #[serde(flatten)]
    outcome: Outcome,
    packet: Asked,
    /// The interface that it is routed to, where that matters.
    #[serde(skip_serializing_if = "Option::is_none")]
    routed_to: Option<&'a str>,
    eroute: Option<Listed>,
    /// `clear`, `protected`, `unprotected` or `dropped`.
    fate: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    only_if: Option<&'a str>,
    /// As what it is sent, the outermost header first.
    #[serde(skip_serializing_if = "Option::is_none")]
    sent: Option<&'a [Header]>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    others: Vec<Listed>,
    #[serde(skip_serializing_if = "Option::is_none")]
    elsewhere: Option<Elsewhere<'a>>,
}

/// An eroute that a packet would meet on another way.
#[derive(Serialize)]
struct Elsewhere<'a> {
    routed_to: &'a str,
    eroute: Listed,
}

/// Tells what becomes of a packet.
pub(super) fn print(
    packet: &Packet,
    color: Color,
    program: &Program,
    system: &mut impl System,
    console: &mut Console<'_>,
) -> Result<(), Failure> {
    let rows = table::rows(system)?;
    let sas = Sas::read(system)?;
    let places = Places::read(packet, system)?;
    let answer = answer(packet, &rows, &sas, &places);
    if program.json {
        console.object(&answer.told())
    } else {
        let colors = color.colors(console);
        console.print(&answer.text(colors))
    }
}

fn answer<'a>(packet: &'a Packet, rows: &'a [Row], sas: &Sas, places: &'a Places) -> Answer<'a> {
    let fitting: Vec<_> = rows
        .iter()
        .filter(|row| row.selector.matches(packet))
        .map(|row| (row, places.of(row, sas)))
        .collect();
    let taking = fitting.iter().filter(|(_, place)| places.may_take(*place));
    let taking = taking.min_by_key(|(row, place)| places.rank(row, *place));
    let eroute = taking.map(|(row, _)| *row);
    let (saids, fate) = match eroute.map(|row| (row, row.sa.said())) {
        None => (Vec::new(), untaken(packet, places)),
        Some((_, None)) => (
            Vec::new(),
            Fate::Dropped("the name of the SA can't be read".to_owned()),
        ),
        Some((row, Some(said))) => fate(packet, row, &said, sas, places),
    };
    let elsewhere = fitting.iter().filter(|(_, place)| !places.may_take(*place));
    let elsewhere = elsewhere.min_by_key(|(row, _)| row.selector.priority());
    let elsewhere = elsewhere.filter(|_| eroute.is_none()).map(|(row, place)| {
        let to = match place {
            Place::On(name) => (*name).to_owned(),
            _ => places.names(),
        };
        (to, *row)
    });
    Answer {
        packet,
        places,
        eroute,
        only_if: places.only_if(
            taking.map(|(_, place)| *place),
            matches!(fate, Fate::Clear(..)),
        ),
        saids,
        fate,
        others: others(packet, rows, eroute, sas, places),
        elsewhere,
    }
}

/// What becomes of a packet that no eroute takes.
fn untaken(packet: &Packet, places: &Places) -> Fate {
    if let Some(interface) = places.interface() {
        return Fate::Dropped(format!(
            "no eroute takes it, and {interface} sends nothing that none is for"
        ));
    }
    let reason = if places.is_past_all() {
        format!("no eroute takes what is not routed to {}", places.names())
    } else {
        "no eroute takes it".to_owned()
    };
    Fate::Clear(reason, in_clear(packet))
}

/// What becomes of a packet whose eroute names this SA.
fn fate(packet: &Packet, row: &Row, said: &Said, sas: &Sas, places: &Places) -> (Vec<Said>, Fate) {
    if is_word(said) {
        return (vec![*said], word(packet, said, places.interface()));
    }
    let path = match sas.way(row, said) {
        Ok(path) => path,
        Err(obstacle) => {
            let saids = sas.chain(said).unwrap_or_else(|_| vec![*said]);
            return (saids, Fate::Dropped(obstacle.to_string()));
        }
    };
    let unprotected = match row.drops {
        _ if !path.is_in_clear() => None,
        Some(_) => Some(UNPROTECTED),
        None => Some(MAYBE_UNPROTECTED),
    };
    let fate = match (path.sent(packet), places.interface()) {
        (Err(obstacle), _) => Fate::Dropped(obstacle.to_string()),
        (Ok(_), Some(interface)) if path.own_end().is_none() => Fate::Dropped(format!(
            "without a tunnel, it would come back to {interface}; route it around that"
        )),
        (Ok(headers), _) => Fate::Sent(headers, unprotected),
    };
    (path.saids, fate)
}

/// What becomes of a packet whose eroute names no SA but a keyword.
fn word(packet: &Packet, said: &Said, interface: Option<&str>) -> Fate {
    match (Shunt::of(said), interface) {
        (Some(Shunt::Pass), Some(interface)) => Fate::Dropped(format!(
            "the eroute says %pass, but {interface} sends nothing in clear; route it around that"
        )),
        (Some(Shunt::Pass), None) => Fate::Clear("the eroute says %pass".to_owned(), in_clear(packet)),
        (Some(Shunt::Trap | Shunt::TrapSubnet), _) => Fate::Dropped(
            "the eroute asks a key daemon for SAs, and until there are any nothing is sent"
                .to_owned(),
        ),
        (Some(Shunt::Hold), _) => Fate::Dropped(
            "packets wait for another eroute in the place of this one, and until there is one nothing \
             is sent"
                .to_owned(),
        ),
        _ => Fate::Dropped(format!("the eroute says {said}")),
    }
}

/// The eroutes that might come before the one that was found, if more was known of the packet.
fn others<'a>(
    packet: &Packet,
    rows: &'a [Row],
    eroute: Option<&Row>,
    sas: &Sas,
    places: &Places,
) -> Vec<&'a Row> {
    let is_open = |selector: &Selector| {
        let fits = |wanted: u16, is: u16| wanted == 0 || is == 0 || wanted == is;
        // Of what is not known, whatever is wanted is supposed.
        fits(selector.proto.into(), packet.proto.into())
            && fits(selector.sport, packet.sport)
            && fits(selector.dport, packet.dport)
            && selector.matches(&Packet {
                proto: selector.proto,
                sport: selector.sport,
                dport: selector.dport,
                ..*packet
            })
    };
    let rank = |row: &Row| places.rank(row, places.of(row, sas));
    let taken = eroute.map_or((true, u32::MAX), rank);
    let mut others: Vec<_> = rows
        .iter()
        .filter(|row| is_open(&row.selector) && places.may_take(places.of(row, sas)))
        .filter(|row| rank(row) < taken)
        .collect();
    others.sort_by_key(|row| rank(row));
    others
}

impl Answer<'_> {
    fn told(&self) -> Told<'_> {
        let (fate, reason, sent) = match &self.fate {
            Fate::Clear(reason, headers) => ("clear", Some(reason.as_str()), Some(&headers[..])),
            Fate::Sent(headers, None) => ("protected", None, Some(&headers[..])),
            Fate::Sent(headers, reason) => ("unprotected", *reason, Some(&headers[..])),
            Fate::Dropped(reason) => ("dropped", Some(reason.as_str()), None),
        };
        Told {
            outcome: Outcome::done(About::sas("get", &self.saids)),
            packet: Asked::of(self.packet),
            routed_to: self.places.route(),
            eroute: self.eroute.map(Row::json),
            fate,
            reason,
            only_if: self.only_if.as_deref(),
            sent,
            others: self.others.iter().map(|row| row.json()).collect(),
            elsewhere: self.elsewhere.as_ref().map(|(to, row)| Elsewhere {
                routed_to: to,
                eroute: row.json(),
            }),
        }
    }

    /// A line for each thing that there is to tell.
    fn text(&self, colors: bool) -> String {
        let mut text = String::new();
        let mut row = |name: &str, what: &dyn fmt::Display| {
            text += &format!("{name:8}  {what}\n");
        };
        row("packet", &Ends(self.packet));
        if let Some(to) = self.places.route() {
            row("routed", &format_args!("to {to}"));
        }
        match self.eroute {
            Some(eroute) => row("eroute", &Arrow(eroute, colors)),
            None => row("eroute", &"none"),
        }
        if self.saids.iter().any(|said| said.proto != Proto::Int) {
            let names = self.saids.iter().map(|said| {
                let entry = Entry::parse(&said.to_string());
                entry.styled(colors)
            });
            row("SAs", &names.collect::<Vec<_>>().join(" "));
        }
        match &self.fate {
            Fate::Clear(reason, headers) => {
                row("sent as", &Wire(headers));
                row("in clear", reason);
            }
            Fate::Sent(headers, unprotected) => {
                row("sent as", &Wire(headers));
                if let Some(reason) = unprotected {
                    row("in clear", reason);
                }
            }
            Fate::Dropped(reason) => row("dropped", reason),
        }
        if let Some(condition) = &self.only_if {
            row("only if", condition);
        }
        for other in &self.others {
            row("but if", &If(other, colors));
        }
        if let Some((to, other)) = &self.elsewhere {
            row(
                "but if",
                &format_args!("routed to {to}: {}", Arrow(other, colors)),
            );
        }
        text
    }
}

/// A packet: `10.0.1.7 -> 10.0.2.9:80 (tcp)`.
struct Ends<'a>(&'a Packet);

impl fmt::Display for Ends<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Packet {
            src,
            dst,
            proto,
            sport,
            dport,
        } = self.0;
        let port = |ip: &IpAddr, port: u16| match port {
            0 => ip.to_string(),
            port => SocketAddr::new(*ip, port).to_string(),
        };
        write!(f, "{} -> {}", port(src, *sport), port(dst, *dport))?;
        match proto {
            0 => Ok(()),
            proto => write!(f, " ({})", Name(*proto)),
        }
    }
}

/// An eroute, with its SA in colour if that is wanted.
struct Arrow<'a>(&'a Row, bool);

impl fmt::Display for Arrow<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Arrow(row, colors) = self;
        write!(
            f,
            "{} => {}",
            Packets(&row.selector),
            row.sa.styled(*colors)
        )
    }
}

/// What an eroute wants of a packet beside its addresses, and the eroute.
struct If<'a>(&'a Row, bool);

impl fmt::Display for If<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let If(row, colors) = self;
        let Selector {
            proto,
            sport,
            dport,
            ..
        } = row.selector;
        write!(f, "{}", Name(proto))?;
        if sport != 0 {
            write!(f, " from port {sport}")?;
        }
        if dport != 0 {
            write!(f, " to port {dport}")?;
        }
        write!(f, ": {}", Arrow(row, *colors))
    }
}
