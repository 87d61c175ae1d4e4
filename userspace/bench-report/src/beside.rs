// SPDX-License-Identifier: GPL-2.0

//! What klips does beside mainline's two ways to do it: `af_key` and `ip xfrm`.

use crate::{
    arithmetic::{growth, ratio},
    figures::{At, Figure, Figures, INSTRUCTIONS, KLIPS, MODULES},
    markdown::{Table, number, times},
    sections::REQUESTS,
};

/// What is done about eroutes, in the order of the tables. To mainline that is a policy, and the state
/// that it leads to where that is new.
pub const EROUTES: [&str; 6] = [
    "ADDFLOW",
    "ADDFLOW while filling",
    "REPLACE",
    "DELFLOW",
    "DELFLOW of all per eroute",
    "SAs and X_GRPSA and ADDFLOW",
];

/// What is done about SAs that have a state at once.
pub const LIVE: [&str; 4] = [
    "live ADD",
    "live ADD while filling",
    "live X_GRPSA",
    "live ungroup",
];

/// What takes memory.
pub const MEMORY: [&str; 3] = [
    "memory per live SA",
    "memory per eroute and state",
    "memory per eroute and SAs",
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
        let mut cells = vec![number(Some(f64::from(eroutes)))];
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
    head.extend(columns.iter().map(|size| number(Some(f64::from(*size)))));
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

/// Bytes of what takes memory.
pub fn memory(figures: &Figures) -> Vec<(&'static str, Beside)> {
    let find = |what: &'static str| {
        let is_it = |figure: &&Figure| {
            figure.module == KLIPS && figure.gateways == "many" && figure.what == what
        };
        let figure = figures.0.iter().find(is_it)?;
        Some((what, Beside::find(figures, place(figure), what)))
    };
    let with_keys = ["memory per SA with keys"].into_iter();
    with_keys.chain(MEMORY).filter_map(find).collect()
}

/// The table for who has no time: at the largest size at which klips was measured, with many gateways.
pub fn summary(figures: &Figures) -> Table {
    let mut table = Table::new(head(&["", "SAs or eroutes"]));
    let mut row = |name: &str, sas: u32, beside: &Beside| {
        let sas = if sas == 0 {
            "–".to_owned()
        } else {
            number(Some(f64::from(sas)))
        };
        let mut cells = vec![sas];
        cells.extend(beside.cells());
        table.row(name, cells);
    };
    for (packet, beside) in packets(figures) {
        if packet.cipher == "AES-GCM" {
            let Packet {
                way, chain, size, ..
            } = packet;
            row(
                &format!("packet of {size} bytes, {chain}, {way}"),
                0,
                &beside,
            );
        }
    }
    for (layout, eroutes, beside) in look_ups(figures) {
        row(&format!("packet among eroutes, {layout}"), eroutes, &beside);
    }
    for (chain, eroutes, beside) in streams(figures) {
        row(&format!("TCP per MB, {chain}"), eroutes, &beside);
    }
    for what in EROUTES.iter().chain(&LIVE).chain(&REQUESTS) {
        if let Some(sas) = sizes(figures, KLIPS, "many", what).last().copied() {
            let beside = Beside::find(figures, At::new(KLIPS, "many", sas), what);
            row(what, sas, &beside);
        }
    }
    for what in TOOLS {
        let beside = Beside::find(figures, At::bare(KLIPS, INSTRUCTIONS), what);
        row(what, 0, &beside);
    }
    for (what, unit) in MODULE {
        let beside = Beside::find(figures, At::bare(KLIPS, unit), what);
        row(&format!("{what} of the module, {unit}"), 0, &beside);
    }
    for (what, beside) in memory(figures) {
        row(&format!("{what}, B"), 0, &beside);
    }
    table
}

/// What the tools do.
const TOOLS: [&str; 2] = ["100 connections come up", "a look at 10000 SAs"];

/// What it costs to have a module.
pub const MODULE: [(&str, &str); 4] = [
    ("load", INSTRUCTIONS),
    ("unload", INSTRUCTIONS),
    ("size in memory", "B"),
    ("size of file", "B"),
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
    let mut table = Table::new(head(&["bytes"]));
    for (what, beside) in memory(figures) {
        table.row(what, beside.cells());
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::figures::{AF_KEY, XFRM_USER, tests::figures};

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
        let mut all = bare(
            KLIPS,
            &[(what, 102.0), ("packet among eroutes: nested", 5.0)],
        );
        all.extend(bare(XFRM_USER, &[(what, 100.0)]));
        let all = Figures(all);
        let found = packets(&all);
        assert_eq!(found.len(), 1);
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
