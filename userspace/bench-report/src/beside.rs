// SPDX-License-Identifier: GPL-2.0

//! What klips does beside mainline's two ways to do it: `af_key` and `ip xfrm`.

use crate::{
    arithmetic::{growth, ratio},
    figures::{AF_KEY, At, Figure, Figures, INSTRUCTIONS, KLIPS, MODULES},
    limits,
    markdown::{Table, count, number, range, times},
};

/// What is done about eroutes, in the order of the tables. To mainline that is a policy, and the state
/// that it leads to where that is new.
pub const EROUTES: [&str; 10] = [
    "ADDFLOW",
    "ADDFLOW while filling",
    "REPLACE",
    "DELFLOW",
    "DELFLOW of all per eroute",
    "SAs and X_GRPSA and ADDFLOW",
    "UPDATE beneath an eroute",
    "ungroup beneath an eroute",
    "X_GRPSA beneath an eroute",
    "DELETE beneath an eroute",
];

/// An SA that has a state at once is added.
pub const LIVE_ADD: &str = "live ADD";
/// What is done about such SAs.
pub const LIVE: [&str; 6] = [
    LIVE_ADD,
    "live ADD while filling",
    "live UPDATE",
    "live X_GRPSA",
    "live ungroup",
    "live DELETE",
];
/// What puts a state in another's place, or takes one away: to be compared with making one.
pub const SWAPS: [&str; 3] = ["live UPDATE", "live X_GRPSA", "live ungroup"];

/// What takes memory: what it is made of, and how many things of klips's own are among that.
pub const MEMORY: [(&str, &str, u32); 4] = [
    ("memory per SA with keys", "an SA, of mainline a state", 1),
    ("memory per live SA", "an SA and its state", 1),
    (
        "memory per eroute and state",
        "an eroute and the state of its SAs, without these",
        1,
    ),
    (
        "memory per eroute and SAs",
        "an eroute, a tunnel, an ESP SA and their state",
        3,
    ),
];

/// The beginning of the names of figures about packets that go through a chain, and about those whose
/// eroute is looked for.
const PACKET: &str = "packet ";
const LOOK_UP: &str = "packet among eroutes: ";
/// That of figures about streams.
const STREAM: &str = "stream per MB: ";

/// A packet, as its figure is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet<'a> {
    /// From where to where it goes.
    pub way: &'a str,
    /// Which SAs it goes through.
    pub chain: &'a str,
    /// Their algorithms.
    pub cipher: &'a str,
    /// How many bytes it has.
    pub size: &'a str,
}

impl<'a> Packet<'a> {
    fn parse(what: &'a str) -> Option<Self> {
        if what.starts_with(LOOK_UP) {
            return None;
        }
        let (way, rest) = what.strip_prefix(PACKET)?.split_once(": ")?;
        let mut words = rest.split(' ');
        let packet = Packet {
            way,
            chain: words.next()?,
            cipher: words.next()?,
            size: words.next()?,
        };
        words.next().is_none().then_some(packet)
    }
}

/// A figure of klips's, and what there is beside it.
pub struct Beside {
    /// Instructions or bytes of [`MODULES`].
    pub values: [Option<f64>; 3],
}

impl Beside {
    /// Those of figures with everything else in common.
    pub fn find(figures: &Figures, at: At<'_>, what: &str) -> Self {
        Beside {
            values: MODULES.map(|(module, _)| figures.get(At { module, ..at }, what)),
        }
    }

    /// What puts a state in another's place, beside mainline's making of one.
    pub fn swap(figures: &Figures, at: At<'_>, what: &str) -> Self {
        let mut beside = Self::find(figures, at, LIVE_ADD);
        beside.values[0] = figures.get(
            At {
                module: KLIPS,
                ..at
            },
            what,
        );
        beside
    }

    /// klips's, divided by the least of mainline's.
    pub fn to_least(&self) -> Option<f64> {
        let [ours, theirs @ ..] = &self.values;
        ratio(*ours, least(theirs.iter().copied()))
    }

    /// How much more it is than the least of mainline's.
    pub fn above_least(&self) -> Option<f64> {
        let [ours, theirs @ ..] = &self.values;
        Some((*ours)? - least(theirs.iter().copied())?)
    }

    fn cells(&self) -> Vec<String> {
        let values = self.values.iter().copied().map(number);
        values.chain([times(self.to_least())]).collect()
    }
}

/// From the least to the most of several.
fn ranges<'a>(all: impl Iterator<Item = &'a Beside>) -> Vec<String> {
    let all: Vec<_> = all.collect();
    let mut cells = Vec::new();
    for module in 0..MODULES.len() {
        let values: Vec<_> = all.iter().map(|beside| beside.values[module]).collect();
        cells.push(range(&values, number));
    }
    let ratios: Vec<_> = all.iter().map(|beside| beside.to_least()).collect();
    cells.push(range(&ratios, times));
    cells
}

fn least(values: impl Iterator<Item = Option<f64>>) -> Option<f64> {
    values.flatten().min_by(f64::total_cmp)
}

fn head<'a>(first: &'a [&'a str]) -> impl Iterator<Item = String> + 'a {
    let modules = MODULES.iter().map(|(_, name)| *name);
    let all = first.iter().copied().chain(modules);
    all.map(str::to_owned).chain(["ratio".to_owned()])
}

/// klips's figures about packets that go through a chain.
pub fn packets(figures: &Figures) -> Vec<(Packet<'_>, Beside)> {
    let own = figures.0.iter().filter(|figure| figure.module == KLIPS);
    let found = own.filter_map(|figure| {
        let packet = Packet::parse(&figure.what)?;
        let at = At::bare(KLIPS, INSTRUCTIONS);
        Some((packet, Beside::find(figures, at, &figure.what)))
    });
    found.collect()
}

/// The table of these.
pub fn packets_table(figures: &Figures) -> Table {
    let mut table = Table::new(head(&["", "algorithms", "bytes"]));
    for (packet, beside) in packets(figures) {
        let mut cells = vec![packet.cipher.to_owned(), packet.size.to_owned()];
        cells.extend(beside.cells());
        table.row(&format!("{} {}", packet.chain, packet.way), cells);
    }
    table
}

/// klips's figures about packets whose eroute is looked for: how eroutes lie, how many there are.
pub fn look_ups(figures: &Figures) -> Vec<(&str, u32, Beside)> {
    among_eroutes(figures, LOOK_UP)
}

/// klips's figures about streams: what they go through, how many eroutes there are.
pub fn streams(figures: &Figures) -> Vec<(&str, u32, Beside)> {
    among_eroutes(figures, STREAM)
}

fn among_eroutes<'a>(figures: &'a Figures, prefix: &str) -> Vec<(&'a str, u32, Beside)> {
    let own = figures.0.iter().filter(|figure| figure.module == KLIPS);
    let found = own.filter_map(|figure: &Figure| {
        let what = figure.what.strip_prefix(prefix)?;
        let at = At::new(KLIPS, "-", figure.sas);
        let beside = Beside::find(figures, at, &figure.what);
        Some((what, figure.sas, beside))
    });
    found.collect()
}

/// The table of some of these.
pub fn among_eroutes_table(found: Vec<(&str, u32, Beside)>) -> Table {
    let mut table = Table::new(head(&["", "eroutes"]));
    for (what, eroutes, beside) in found {
        let mut cells = vec![count(eroutes)];
        cells.extend(beside.cells());
        table.row(what, cells);
    }
    table
}

/// At how many SAs something was measured, ascending.
pub fn sizes(figures: &Figures, module: &str, gateways: &str, what: &str) -> Vec<u32> {
    let own = figures.0.iter().filter(|figure| {
        figure.module == module && figure.gateways == gateways && figure.what == what
    });
    Figures(own.cloned().collect()).all(INSTRUCTIONS, |figure| figure.sas)
}

/// What something costs each module at each size, and how much that grows.
pub fn costs(figures: &Figures, gateways: &str, rows: &[&str]) -> Table {
    let of = |what: &&str| sizes(figures, KLIPS, gateways, what);
    let mut columns: Vec<_> = rows.iter().flat_map(of).collect();
    columns.sort_unstable();
    columns.dedup();
    let mut head = vec![String::new(), "of".to_owned()];
    head.extend(columns.iter().copied().map(count));
    head.push("growth".to_owned());
    let mut table = Table::new(head);
    for what in rows {
        for (module, name) in MODULES {
            let at = |sas: &u32| figures.get(At::new(module, gateways, *sas), what);
            let values: Vec<_> = columns.iter().map(at).collect();
            if values.iter().any(Option::is_some) {
                let mut cells = vec![name.to_owned()];
                cells.extend(values.iter().copied().map(number));
                cells.push(times(growth(&values)));
                table.row(what, cells);
            }
        }
    }
    table
}

/// What there is at one place: how many SAs, where they go, in which unit.
fn place(figure: &Figure) -> At<'_> {
    At {
        module: &figure.module,
        gateways: &figure.gateways,
        sas: figure.sas,
        listeners: figure.listeners,
        cpus: figure.cpus,
        unit: &figure.unit,
    }
}

/// What takes memory.
pub struct Memory {
    /// As its figure is called.
    pub what: &'static str,
    /// What it is made of.
    pub of: &'static str,
    /// Its bytes.
    pub bytes: Beside,
    /// How many things of klips's own there are in it.
    pub own: u32,
}

/// Bytes of what takes memory.
pub fn memory(figures: &Figures) -> Vec<Memory> {
    let find = |(what, of, own)| {
        let is_it = |figure: &&Figure| {
            figure.module == KLIPS && figure.gateways == "many" && figure.what == what
        };
        let figure = figures.0.iter().find(is_it)?;
        let bytes = Beside::find(figures, place(figure), what);
        Some(Memory {
            what,
            of,
            bytes,
            own,
        })
    };
    MEMORY.into_iter().filter_map(find).collect()
}

/// With how many SAs or eroutes something is in the table for who has no time.
#[derive(Clone, Copy)]
enum Size {
    /// The least that was measured.
    Least,
    /// The most.
    Most,
    /// The most with which mainline's two were measured with one gateway.
    OneGateway,
}

/// What is in that table: requests whose cost depends on who else is there in more than one way come
/// several times.
const SUMMARY: [(&str, Size); 13] = [
    ("ADDFLOW", Size::Least),
    ("ADDFLOW", Size::Most),
    ("ADDFLOW", Size::OneGateway),
    ("SAs and X_GRPSA and ADDFLOW", Size::Most),
    ("REPLACE", Size::Most),
    ("DELFLOW", Size::Most),
    (LIVE_ADD, Size::Least),
    (LIVE_ADD, Size::Most),
    ("live UPDATE", Size::Most),
    ("live X_GRPSA", Size::Most),
    ("GET", Size::Most),
    ("ADD", Size::Most),
    ("ADD", Size::OneGateway),
];

/// The table for who has no time.
pub fn summary(figures: &Figures) -> Table {
    let mut table = Table::new(head(&["", "SAs or eroutes"]));
    let mut row = |name: &str, sas: &str, cells: Vec<String>| {
        table.row(name, [sas.to_owned()].into_iter().chain(cells));
    };
    let packets = packets(figures);
    let mut chains: Vec<_> = packets.iter().map(|(packet, _)| packet.chain).collect();
    chains.dedup();
    for chain in chains {
        let of = packets.iter().filter(|(packet, _)| packet.chain == chain);
        let name = format!("packets through {chain}");
        row(&name, "–", ranges(of.map(|(_, beside)| beside)));
    }
    for (name, all) in [
        ("packets among eroutes", look_ups(figures)),
        ("TCP per MB", streams(figures)),
    ] {
        let eroutes = || all.iter().map(|(_, eroutes, _)| *eroutes);
        if let (Some(least), Some(most)) = (eroutes().min(), eroutes().max()) {
            let sizes = format!("{}–{}", count(least), count(most));
            row(
                name,
                &sizes,
                ranges(all.iter().map(|(_, _, beside)| beside)),
            );
        }
    }
    for (what, size) in SUMMARY {
        let sizes = |module, gateways| sizes(figures, module, gateways, what);
        let (gateways, sas) = match size {
            Size::Least => ("many", sizes(KLIPS, "many").first().copied()),
            Size::Most => ("many", sizes(KLIPS, "many").last().copied()),
            Size::OneGateway => ("one", sizes(AF_KEY, "one").last().copied()),
        };
        let Some(sas) = sas else { continue };
        let at = At::new(KLIPS, gateways, sas);
        let (name, beside) = if SWAPS.contains(&what) {
            let name = format!("{what}, beside a new state");
            (name, Beside::swap(figures, at, what))
        } else {
            (what.to_owned(), Beside::find(figures, at, what))
        };
        let name = match gateways {
            "one" => format!("{name}, one gateway"),
            _ => name,
        };
        row(&name, &count(sas), beside.cells());
    }
    let waits = [KLIPS, AF_KEY].map(|module| limits::longest_wait(figures, module));
    let longest = Beside {
        values: [waits[0], waits[1], None],
    };
    row("longest wait for another's request", "–", longest.cells());
    for (what, name) in LOST {
        let beside = lost(figures, what);
        row(name, "–", beside.cells());
    }
    for what in TOOLS {
        let beside = Beside::find(figures, At::bare(KLIPS, INSTRUCTIONS), what);
        row(what, "–", beside.cells());
    }
    for (what, unit) in MODULE {
        let beside = Beside::find(figures, At::bare(KLIPS, unit), what);
        row(
            &format!("{what} of the module, {unit}"),
            "–",
            beside.cells(),
        );
    }
    table
}

/// What loses packets, and what the reader knows that by.
const LOST: [(&str, &str); 2] = [
    ("packets lost by new keys", "packets lost by 1,000 new keys"),
    ("packets lost by a swap", "packets lost by 1,000 UPDATEs"),
];

/// How many packets are lost, with as many processors as make that most.
fn lost(figures: &Figures, what: &str) -> Beside {
    let most = |module: &str| {
        let own = figures.0.iter().filter(|figure| figure.module == module);
        let values = own.filter(|figure| figure.what == what);
        values.map(|figure| figure.value).max_by(f64::total_cmp)
    };
    Beside {
        values: MODULES.map(|(module, _)| most(module)),
    }
}

/// What the tools do.
const TOOLS: [&str; 2] = ["100 connections come up", "a look at 10000 SAs"];

/// What it costs to have a module.
const MODULE: [(&str, &str); 3] = [
    ("load", INSTRUCTIONS),
    ("unload", INSTRUCTIONS),
    ("size in memory", "B"),
];

/// What the tools cost.
pub fn tools_table(figures: &Figures) -> Table {
    let mut table = Table::new(head(&["instructions"]));
    for what in TOOLS {
        let beside = Beside::find(figures, At::bare(KLIPS, INSTRUCTIONS), what);
        table.row(what, beside.cells());
    }
    table
}

/// The table of what takes memory.
pub fn memory_table(figures: &Figures) -> Table {
    let mut table = Table::new(head(&["bytes"]).chain(["made of".to_owned()]));
    for memory in memory(figures) {
        let of = memory.of.to_owned();
        table.row(memory.what, memory.bytes.cells().into_iter().chain([of]));
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::figures::{XFRM_USER, tests::figures};

    /// Figures that depend on no table.
    fn bare(module: &str, values: &[(&str, f64)]) -> Vec<Figure> {
        let values: Vec<_> = values
            .iter()
            .map(|(what, value)| (0, *what, *value))
            .collect();
        let mut all = figures(module, &values);
        for figure in &mut all {
            figure.gateways = "-".to_owned();
        }
        all
    }

    #[test]
    fn packets_are_found_by_their_names() {
        let what = "packet forwarded out: tun+esp AES-GCM 64";
        let large = "packet in: tun+esp AES-GCM 1400";
        let look_up = "packet among eroutes: a tunnel each";
        let values = [(what, 102.0), (look_up, 5.0), (large, 990.0)];
        let mut all = bare(KLIPS, &values);
        all.extend(bare(XFRM_USER, &[(what, 100.0), (large, 1000.0)]));
        let all = Figures(all);
        let found = packets(&all);
        assert_eq!(found.len(), 2);
        let (packet, beside) = &found[0];
        let expected = Packet {
            way: "forwarded out",
            chain: "tun+esp",
            cipher: "AES-GCM",
            size: "64",
        };
        assert_eq!(*packet, expected);
        assert_eq!(beside.values, [Some(102.0), None, Some(100.0)]);
        assert_eq!(beside.to_least(), Some(1.02));
        assert_eq!(look_ups(&all).len(), 1);
        let table = packets_table(&all).to_string();
        assert!(table.contains("| tun+esp forwarded out |"), "{table}");
        let table = summary(&all).to_string();
        let row = table
            .lines()
            .find(|line| line.starts_with("| packets through tun+esp "));
        let cells: Vec<_> = row.unwrap().split('|').map(str::trim).collect();
        let expected = ["–", "102–990", "–", "100–1,000", "0.99–1.02×"];
        assert_eq!(cells[2..7], expected);
    }

    #[test]
    fn the_lesser_of_mainlines_counts() {
        let mut all = figures(KLIPS, &[(10, "ADDFLOW", 30.0), (20, "ADDFLOW", 60.0)]);
        all.extend(figures(AF_KEY, &[(20, "ADDFLOW", 40.0)]));
        all.extend(figures(XFRM_USER, &[(20, "ADDFLOW", 20.0)]));
        let all = Figures(all);
        let at = |sas| Beside::find(&all, At::new(KLIPS, "many", sas), "ADDFLOW");
        assert_eq!(
            (at(20).to_least(), at(20).above_least()),
            (Some(3.0), Some(40.0))
        );
        assert_eq!((at(10).to_least(), at(10).above_least()), (None, None));
        assert_eq!(sizes(&all, KLIPS, "many", "ADDFLOW"), [10, 20]);
        let table = costs(&all, "many", &EROUTES).to_string();
        let rows: Vec<_> = table.lines().skip(2).collect();
        assert_eq!(
            rows,
            [
                "| ADDFLOW |   klips | 30 | 60 |  2.00× |",
                "| ADDFLOW |  af_key |  – | 40 |      – |",
                "| ADDFLOW | ip xfrm |  – | 20 |      – |",
            ]
        );
        assert!(summary(&all).to_string().contains("| ADDFLOW |"));
    }
}
