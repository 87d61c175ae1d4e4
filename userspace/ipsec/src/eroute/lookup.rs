// SPDX-License-Identifier: GPL-2.0

//! `--get`: which eroute takes a packet, through which SAs it goes, and as what it is sent, or why
//! it is dropped. All of it by what is listed; no message is sent.

use super::{
    list::Listed,
    path::{Header, Sas, Wire, in_clear, is_word},
    selector::Packets,
    table::{self, Row},
    transport::Name,
};
use crate::{
    about::About, console::Console, entry::Entry, failure::Failure, json::Outcome, options::Color,
    program::Program, system::System,
};
use klips::{
    said::{Proto, Said},
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
    eroute: Option<&'a Row>,
    /// The SAs that it goes through, inside to outside.
    saids: Vec<Said>,
    fate: Fate,
    /// Eroutes that would come first if protocol and ports were these.
    others: Vec<&'a Row>,
}

/// What there is to say of packets that are sent through SAs and can be read all the same. The list
/// does not tell what the eroute found when it was added.
const UNPROTECTED: &str =
    "no SA is ESP or AH; dropped instead, if one was or none was there when the eroute was added";

/// How it ends.
enum Fate {
    /// It is sent in clear, for this reason.
    Clear(&'static str, Vec<Header>),
    /// It is sent as this; and whether that protects it.
    Sent(Vec<Header>, bool),
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
    eroute: Option<Listed>,
    /// `clear`, `protected`, `unprotected` or `dropped`.
    fate: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
    /// As what it is sent, the outermost header first.
    #[serde(skip_serializing_if = "Option::is_none")]
    sent: Option<&'a [Header]>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    others: Vec<Listed>,
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
    let answer = answer(packet, &rows, &sas);
    if program.json {
        console.object(&answer.told())
    } else {
        let colors = color.colors(console);
        console.print(&answer.text(colors))
    }
}

fn answer<'a>(packet: &'a Packet, rows: &'a [Row], sas: &Sas) -> Answer<'a> {
    let eroute = table::find(rows, packet);
    let (saids, fate) = match eroute.map(|row| row.sa.said()) {
        None => (
            Vec::new(),
            Fate::Clear("no eroute takes it", in_clear(packet)),
        ),
        Some(None) => (
            Vec::new(),
            Fate::Dropped("the name of the SA can't be read".to_owned()),
        ),
        Some(Some(said)) => fate(packet, &said, sas),
    };
    Answer {
        packet,
        eroute,
        saids,
        fate,
        others: others(packet, rows, eroute),
    }
}

/// What becomes of a packet whose eroute names this SA.
fn fate(packet: &Packet, said: &Said, sas: &Sas) -> (Vec<Said>, Fate) {
    if is_word(said) {
        return (vec![*said], word(packet, said));
    }
    let path = match sas.path(said) {
        Ok(path) => path,
        Err(obstacle) => {
            let saids = sas.chain(said).unwrap_or_else(|_| vec![*said]);
            return (saids, Fate::Dropped(obstacle.to_string()));
        }
    };
    let fate = match path.sent(packet) {
        Ok(headers) => Fate::Sent(headers, !path.is_in_clear()),
        Err(obstacle) => Fate::Dropped(obstacle.to_string()),
    };
    (path.saids, fate)
}

/// What becomes of a packet whose eroute names no SA but a keyword.
fn word(packet: &Packet, said: &Said) -> Fate {
    match said.to_string().as_str() {
        "%pass" => Fate::Clear("the eroute says %pass", in_clear(packet)),
        "%trap" | "%trapsubnet" => Fate::Dropped(
            "the eroute asks a key daemon for SAs, and until there are any nothing is sent"
                .to_owned(),
        ),
        "%hold" => Fate::Dropped(
            "packets wait for another eroute in the place of this one, and until there is one nothing \
             is sent"
                .to_owned(),
        ),
        keyword => Fate::Dropped(format!("the eroute says {keyword}")),
    }
}

/// The eroutes that might come before the one that was found, if more was known of the packet.
fn others<'a>(packet: &Packet, rows: &'a [Row], eroute: Option<&Row>) -> Vec<&'a Row> {
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
    let priority = eroute.map_or(u32::MAX, |row| row.selector.priority());
    let mut others: Vec<_> = rows
        .iter()
        .filter(|row| row.selector.priority() < priority && is_open(&row.selector))
        .collect();
    others.sort_by_key(|row| row.selector.priority());
    others
}

impl Answer<'_> {
    fn told(&self) -> Told<'_> {
        let (fate, reason, sent) = match &self.fate {
            Fate::Clear(reason, headers) => ("clear", Some(*reason), Some(&headers[..])),
            Fate::Sent(headers, true) => ("protected", None, Some(&headers[..])),
            Fate::Sent(headers, false) => ("unprotected", Some(UNPROTECTED), Some(&headers[..])),
            Fate::Dropped(reason) => ("dropped", Some(reason.as_str()), None),
        };
        Told {
            outcome: Outcome::done(About::sas("get", &self.saids)),
            packet: Asked::of(self.packet),
            eroute: self.eroute.map(Row::json),
            fate,
            reason,
            sent,
            others: self.others.iter().map(|row| row.json()).collect(),
        }
    }

    /// A line for each thing that there is to tell.
    fn text(&self, colors: bool) -> String {
        let mut text = String::new();
        let mut row = |name: &str, what: &dyn fmt::Display| {
            text += &format!("{name:8}  {what}\n");
        };
        row("packet", &Ends(self.packet));
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
            Fate::Sent(headers, protects) => {
                row("sent as", &Wire(headers));
                if !protects {
                    row("in clear", &UNPROTECTED);
                }
            }
            Fate::Dropped(reason) => row("dropped", reason),
        }
        for other in &self.others {
            row("but if", &If(other, colors));
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
