// SPDX-License-Identifier: GPL-2.0

//! Which commands take a connection from one state to another, and in which order.
//!
//! The order is what keeps its packets from leaving in clear: an eroute that drops them comes first
//! and goes last, and leads to SAs only while all of them are there.

use super::connection::{Connection, Sa, Sas, Type};
use klips::{
    address::Family,
    said::{Proto, Said},
    selector::Selector,
};
use std::{borrow::Cow, net::IpAddr};
use zeroize::Zeroizing;

/// A word of a command.
#[derive(Clone, Debug)]
pub(super) enum Word {
    Plain(String),
    /// Nobody has to see it.
    Key(Zeroizing<String>),
}

/// Which command it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tool {
    Spi,
    SpiGrp,
    Eroute,
}

impl Tool {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Tool::Spi => "spi",
            Tool::SpiGrp => "spigrp",
            Tool::Eroute => "eroute",
        }
    }
}

/// A command, and the SA that it adds.
#[derive(Clone, Debug)]
pub(super) struct Command {
    pub(super) tool: Tool,
    pub(super) words: Vec<Word>,
    pub(super) adds: Option<Said>,
}

impl Command {
    fn new(tool: Tool, words: impl IntoIterator<Item = String>) -> Self {
        Command {
            tool,
            words: words.into_iter().map(Word::Plain).collect(),
            adds: None,
        }
    }

    /// As it is typed in a shell, behind the program.
    pub(super) fn line(&self, with_keys: bool) -> Zeroizing<String> {
        const HIDDEN: &str = "...";
        let words = self.words.iter().map(|word| match word {
            Word::Plain(word) => word.as_str(),
            Word::Key(key) if with_keys => key,
            Word::Key(_) => HIDDEN,
        });
        let words = [self.tool.name()].into_iter().chain(words).map(quoted);
        Zeroizing::new(words.collect::<Vec<_>>().join(" "))
    }
}

/// A word in quotes, if a shell would make something else of it.
fn quoted(word: &str) -> Cow<'_, str> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "%@./:_+=,-".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        Cow::Borrowed(word)
    } else {
        shell_words::quote(word)
    }
}

/// What an eroute leads to while its connection is not up.
pub(super) const BLOCK: &str = "%drop";

/// The same before it is known which end is here: so that what was for the other end can be told
/// apart later.
pub(super) const HOLD: &str = "%hold";

/// A chain of SAs, inside to outside, and what makes it.
pub(super) struct Chain {
    pub(super) saids: Vec<Said>,
    /// Where its packets come from.
    pub(super) src: IpAddr,
    add: Vec<Command>,
}

impl Chain {
    fn of(sas: Sas, src: IpAddr, dst: IpAddr) -> Self {
        let mut chain = Chain {
            saids: Vec::new(),
            src,
            add: Vec::new(),
        };
        let said = |proto, spi| Said { dst, spi, proto };
        if let Some(spi) = sas.tun {
            let kind = match Family::of(&dst) {
                Family::Inet => "--ip4",
                Family::Inet6 => "--ip6",
            };
            let dst = ["--dst".to_owned(), dst.to_string()];
            chain.push(
                said(Proto::Tun, spi),
                vec![kind.to_owned()],
                dst.map(Word::Plain),
            );
        }
        for (proto, sa) in [(Proto::Esp, sas.esp), (Proto::Ah, sas.ah)] {
            let Some(sa) = sa else { continue };
            let said = said(proto, sa.spi);
            let algorithms = vec![format!("--{}", proto.name()), sa.algorithms.clone()];
            chain.push(said, algorithms, keys(sa));
        }
        chain
    }

    fn push(&mut self, said: Said, first: Vec<String>, last: impl IntoIterator<Item = Word>) {
        let name = ["--said".to_owned(), format!("{said:#}")];
        let src = ["--src".to_owned(), self.src.to_string()];
        let mut command = Command::new(Tool::Spi, first.into_iter().chain(name).chain(src));
        command.words.extend(last);
        command.adds = Some(said);
        self.saids.push(said);
        self.add.push(command);
    }

    /// Makes the SAs, and the group of them.
    fn up(&self) -> impl Iterator<Item = Command> {
        let names = self.saids.iter().map(|said| format!("{said:#}"));
        let group = (self.saids.len() > 1)
            .then(|| Command::new(Tool::SpiGrp, ["--said".to_owned()].into_iter().chain(names)));
        self.add.iter().cloned().chain(group)
    }
}

/// What gives the keys of an SA.
fn keys(sa: Sa) -> Vec<Word> {
    let mut words = Vec::new();
    if sa.window != 0 {
        words.push(Word::Plain("--replay_window".to_owned()));
        words.push(Word::Plain(sa.window.to_string()));
    }
    for (option, key) in [("--enckey", sa.enckey), ("--authkey", sa.authkey)] {
        if let Some(key) = key {
            words.push(Word::Plain(option.to_owned()));
            words.push(Word::Key(key));
        }
    }
    words
}

/// Deletes an SA, and the group that it is in.
pub(super) fn delete(said: &Said) -> Command {
    Command::new(
        Tool::Spi,
        ["--del", "--said"]
            .map(str::to_owned)
            .into_iter()
            .chain([format!("{said:#}")]),
    )
}

/// A connection with the commands that it takes.
pub(super) struct Plan {
    pub(super) name: String,
    pub(super) selector: Selector,
    /// What its eroute leads to when it is up: the innermost SA, or a word.
    pub(super) leads_to: String,
    /// What is done with its packets without SAs, if it has none.
    pub(super) shunt: Option<&'static str>,
    pub(super) outbound: Chain,
    pub(super) inbound: Chain,
}

impl Plan {
    /// Of a connection as seen from its left side.
    pub(super) fn of(connection: Connection) -> Self {
        let Connection {
            left,
            right,
            proto,
            rightward,
            leftward,
            ..
        } = connection;
        let outbound = Chain::of(rightward, left.address, right.address);
        let inbound = Chain::of(leftward, right.address, left.address);
        let shunt = match connection.kind {
            Type::Shunt(word) => Some(word),
            Type::Tunnel | Type::Transport => None,
        };
        let first = outbound.saids.first().map(|said| format!("{said:#}"));
        let word = shunt.unwrap_or(BLOCK).to_owned();
        Plan {
            name: connection.name,
            selector: Selector {
                src: left.net,
                dst: right.net,
                proto,
                sport: left.port,
                dport: right.port,
            },
            leads_to: first.unwrap_or(word),
            shunt,
            outbound,
            inbound,
        }
    }

    /// All SAs, those that send first.
    pub(super) fn saids(&self) -> Vec<Said> {
        let chains = [&self.outbound, &self.inbound];
        chains
            .into_iter()
            .flat_map(|chain| chain.saids.iter().copied())
            .collect()
    }

    /// Does something with the eroute; `said` is where it leads.
    pub(super) fn eroute(&self, action: &str, said: Option<&str>) -> Command {
        flow(action, &self.selector, said)
    }

    /// Has its packets dropped, where there is no eroute yet.
    pub(super) fn claim(&self) -> Command {
        self.eroute("--add", Some(BLOCK))
    }

    /// Brings it up where its packets are dropped: SAs, groups, what may come out of the tunnel, and
    /// the eroute last.
    pub(super) fn up(&self) -> Vec<Command> {
        let mut commands: Vec<_> = self.inbound.up().chain(self.outbound.up()).collect();
        if let Some(tunnel) = self
            .inbound
            .saids
            .first()
            .filter(|said| said.proto == Proto::Tun)
        {
            let mirrored = self.selector.mirrored();
            commands.push(flow("--replacein", &mirrored, Some(&format!("{tunnel:#}"))));
        }
        commands.push(self.eroute("--replace", Some(&self.leads_to)));
        commands
    }

    /// Takes it down: its packets are dropped before its SAs go.
    pub(super) fn down(&self) -> Vec<Command> {
        let chains = [&self.outbound, &self.inbound];
        let firsts = chains.into_iter().filter_map(|chain| chain.saids.first());
        let block = self.eroute("--replace", Some(BLOCK));
        [block].into_iter().chain(firsts.map(delete)).collect()
    }

    /// Has packets dropped while nobody knows yet which of both ends is here.
    pub(super) fn hold(&self, selector: &Selector) -> Command {
        flow("--add", selector, Some(HOLD))
    }

    /// Ends that.
    pub(super) fn release(&self, selector: &Selector) -> Command {
        flow("--del", selector, None)
    }

    /// Lets its packets go in clear.
    pub(super) fn unroute(&self) -> Command {
        self.eroute("--del", None)
    }
}

fn flow(action: &str, selector: &Selector, said: Option<&str>) -> Command {
    let mut words = vec![
        action.to_owned(),
        "--src".to_owned(),
        selector.src.to_string(),
        "--dst".to_owned(),
        selector.dst.to_string(),
    ];
    let mut option = |name: &str, number: u16| {
        if number != 0 {
            words.extend([format!("--{name}"), number.to_string()]);
        }
    };
    option("transport-proto", selector.proto.into());
    option("src-port", selector.sport);
    option("dst-port", selector.dport);
    if let Some(said) = said {
        words.extend(["--said".to_owned(), said.to_owned()]);
    }
    Command::new(Tool::Eroute, words)
}
