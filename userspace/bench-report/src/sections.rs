// SPDX-License-Identifier: GPL-2.0

//! The tables of the report.

use crate::{
    arithmetic::{growth, ratio},
    figures::{
        AF_KEY, At, Figures, GATEWAYS, INSTRUCTIONS, KLIPS, NANOSECONDS, REFUSED, XFRM_USER,
    },
    markdown::{Table, count, number, times},
};

/// What costs something at each size of the table, in the order of the tables.
pub const REQUESTS: [&str; 14] = [
    REFUSED,
    "GET",
    "ADD",
    "ADD while filling",
    "DELETE",
    "X_GRPSA pair",
    "X_GRPSA of 4",
    "ungroup",
    "ungroup of 4",
    "DUMP per SA",
    "FLUSH per SA",
    "/proc per line",
    "close",
    "ipsec spigrp",
];

/// What both modules take at the largest size at which both were measured with the same gateways.
pub fn summary(figures: &Figures) -> Table {
    let mut table = Table::new(["instructions", "klips", "af_key", "klips to af_key"]);
    let sizes = figures.sizes(AF_KEY, "many", INSTRUCTIONS);
    let Some(sas) = sizes.last().copied() else {
        return table;
    };
    for what in REQUESTS {
        let [ours, theirs] =
            [KLIPS, AF_KEY].map(|module| figures.get(At::new(module, "many", sas), what));
        if ours.is_some() {
            table.row(
                what,
                [number(ours), number(theirs), times(ratio(ours, theirs))],
            );
        }
    }
    table
}

/// The size that [`summary`] is about.
pub fn summary_size(figures: &Figures) -> String {
    let sizes = figures.sizes(AF_KEY, "many", INSTRUCTIONS);
    number(sizes.last().copied().map(f64::from))
}

/// A module's costs at each size, and how much they grow.
pub fn costs(figures: &Figures, module: &str, gateways: &str, unit: &str) -> Table {
    let sizes = figures.sizes(module, gateways, unit);
    let mut head = vec![String::new()];
    head.extend(sizes.iter().copied().map(count));
    head.push("growth".to_owned());
    let mut table = Table::new(head);
    for what in REQUESTS {
        let at = |sas: &u32| At {
            unit,
            ..At::new(module, gateways, *sas)
        };
        let values: Vec<_> = sizes.iter().map(|sas| figures.get(at(sas), what)).collect();
        let mut cells: Vec<_> = values.iter().copied().map(number).collect();
        cells.push(times(growth(&values)));
        table.row(what, cells);
    }
    table
}

/// Our costs divided by mainline's.
pub fn comparison(figures: &Figures, unit: &str) -> Table {
    let mut columns = Vec::new();
    let mut head = vec![String::new()];
    for gateways in GATEWAYS {
        for sas in figures.sizes(AF_KEY, gateways, unit) {
            columns.push((gateways, sas));
            head.push(format!("{gateways}, {}", count(sas)));
        }
    }
    let mut table = Table::new(head);
    for what in REQUESTS {
        let of = |(gateways, sas): (&'static str, u32)| {
            let [ours, theirs] = [KLIPS, AF_KEY].map(|module| {
                let at = At {
                    unit,
                    ..At::new(module, gateways, sas)
                };
                figures.get(at, what)
            });
            ratio(ours, theirs)
        };
        let ratios: Vec<_> = columns.iter().map(|column| of(*column)).collect();
        if ratios.iter().any(Option::is_some) {
            table.row(what, ratios.into_iter().map(times));
        }
    }
    table
}

/// What listeners cost who speaks.
pub fn listeners(figures: &Figures, module: &str) -> Table {
    let gateways = "many";
    let sas = figures.sizes(module, gateways, INSTRUCTIONS).pop();
    let mut counts = figures.all(INSTRUCTIONS, |figure| figure.listeners);
    // Crowds have a table of their own.
    counts.retain(|listeners| {
        let at = sas.map(|sas| At {
            listeners: *listeners,
            ..At::new(module, gateways, sas)
        });
        at.is_some_and(|at| REQUESTS.iter().any(|what| figures.get(at, what).is_some()))
    });
    let mut head = vec![String::new()];
    head.extend(counts.iter().map(|count| format!("{count} listeners")));
    let mut table = Table::new(head);
    for what in REQUESTS {
        let value = |listeners: &u32| {
            let at = At {
                listeners: *listeners,
                ..At::new(module, gateways, sas?)
            };
            figures.get(at, what)
        };
        let values: Vec<_> = counts.iter().map(value).collect();
        if values.iter().flatten().count() > 1 {
            table.row(what, values.into_iter().map(number));
        }
    }
    table
}

/// Bytes per SA.
pub fn memory(figures: &Figures) -> Table {
    let mut table = Table::new([
        "bytes per SA",
        "klips, one",
        "klips, many",
        "af_key, one",
        "af_key, many",
    ]);
    for what in [
        "slab per SA without keys",
        "memory per SA without keys",
        "slab per SA with keys",
        "memory per SA with keys",
    ] {
        let sizes = figures.all("B", |figure| figure.sas);
        let mut cells = Vec::new();
        for module in [KLIPS, AF_KEY] {
            for gateways in GATEWAYS {
                let value = sizes.last().and_then(|sas| {
                    let at = At {
                        unit: "B",
                        ..At::new(module, gateways, *sas)
                    };
                    figures.get(at, what)
                });
                cells.push(number(value));
            }
        }
        table.row(what, cells);
    }
    table
}

/// The beginning of the names of figures about many sockets.
const CROWD: &str = "crowd: ";

/// What many sockets cost, and how long they make others wait.
pub fn crowd(figures: &Figures) -> Table {
    let mut table = Table::new(["", "sockets", "instructions"]);
    for figure in &figures.0 {
        if let Some(what) = figure.what.strip_prefix(CROWD) {
            let sockets = count(figure.listeners);
            table.row(what, [sockets, number(Some(figure.value))]);
        }
    }
    table
}

/// How long others waited while something was done to many sockets, and to how many.
pub fn crowd_waits(figures: &Figures, module: &str) -> Vec<(String, Option<f64>)> {
    let all = figures.0.iter().filter(|figure| figure.module == module);
    let waits = all.filter_map(|figure| {
        let what = figure.what.strip_prefix(CROWD)?.strip_suffix(": due")?;
        let sockets = count(figure.listeners);
        Some((format!("{what}, {sockets} sockets"), Some(figure.value)))
    });
    waits.collect()
}

/// The beginnings of the names of figures about stalls, and what there was much of.
pub const STALLS: [(&str, &str); 2] =
    [("stall by ", "SAs"), ("stall among eroutes by ", "eroutes")];

/// What makes others wait, in the order in which it was measured.
pub fn stalling<'a>(figures: &'a Figures, kind: &str) -> Vec<&'a str> {
    let mut all = Vec::new();
    for figure in &figures.0 {
        let name = figure.what.strip_prefix(kind);
        if let Some(name) = name.and_then(|name| name.strip_suffix(": due")) {
            if !all.contains(&name) {
                all.push(name);
            }
        }
    }
    all
}

/// The longest that somebody had to wait while something went on.
pub fn stall(figures: &Figures, at: At<'_>, kind: &str, by: &str, part: &str) -> Option<f64> {
    figures.get(at, &format!("{kind}{by}: {part}"))
}

/// The largest table with which a module was asked for stalls.
pub fn stall_size(figures: &Figures, module: &str, kind: &str) -> Option<u32> {
    let figures = figures.0.iter().filter(|figure| figure.module == module);
    figures
        .filter(|figure| figure.what.starts_with(kind))
        .map(|figure| figure.sas)
        .max()
}

/// How long each kind of request makes others wait, of one of [`STALLS`].
pub fn stalls(figures: &Figures, (kind, of): (&str, &str)) -> Table {
    let sizes = [KLIPS, AF_KEY].map(|module| (module, stall_size(figures, module, kind)));
    let mut head = vec!["while there is".to_owned()];
    for (module, size) in sizes {
        let size = number(size.map(f64::from));
        head.push(format!("{module}, {size} {of}: GET"));
        head.push(format!("{module}: since due"));
    }
    let mut table = Table::new(head);
    for by in stalling(figures, kind) {
        let cells = sizes.into_iter().flat_map(|(module, size)| {
            ["GET", "due"].map(|part| {
                let at = size.map(|size| At::new(module, "many", size));
                number(at.and_then(|at| stall(figures, at, kind, by, part)))
            })
        });
        table.row(by, cells);
    }
    table
}

/// Work done a second, by the number of processors.
pub fn processors(figures: &Figures) -> Table {
    let unit = "1/s";
    let cpus = figures.all(unit, |figure| figure.cpus);
    let mut head = vec!["a second".to_owned()];
    head.extend(cpus.iter().map(|cpus| format!("{cpus} CPUs")));
    head.extend(
        cpus.iter()
            .skip(1)
            .map(|cpus| format!("{cpus} to {}", cpus / 2)),
    );
    let mut table = Table::new(head);
    for what in [
        "own namespaces",
        "one namespace",
        "GET",
        "writer beside GET",
        "GET beside a writer",
        "writer beside /proc",
        "/proc lines beside a writer",
        "packets",
        "packets beside a reader",
        "SAs read beside packets",
        "packets beside a rekeying daemon",
        "new keys beside packets",
        "packets beside that and a listener",
        "packets beside swaps",
        "swaps beside packets",
    ] {
        for (module, name) in [
            (KLIPS, what.to_owned()),
            (XFRM_USER, format!("{what}, ip xfrm")),
        ] {
            let values = cpus.iter().map(|cpus| {
                let same = |figure: &&crate::figures::Figure| {
                    figure.module == module
                        && figure.unit == unit
                        && figure.cpus == *cpus
                        && figure.what == what
                };
                figures.0.iter().find(same).map(|figure| figure.value)
            });
            let values: Vec<_> = values.collect();
            let mut cells: Vec<_> = values.iter().copied().map(number).collect();
            cells.extend(values.windows(2).map(|pair| times(ratio(pair[1], pair[0]))));
            table.row(&name, cells);
        }
    }
    table
}

/// Loading, sizes, and starting programs.
pub fn loading(figures: &Figures) -> Table {
    let mut table = Table::new(["", "unit", "klips", "af_key"]);
    for (what, units) in [
        ("load", [INSTRUCTIONS, NANOSECONDS].as_slice()),
        ("unload", &[INSTRUCTIONS, NANOSECONDS]),
        ("size in memory", &["B"]),
        ("size of file", &["B"]),
        ("start of true", &[INSTRUCTIONS, NANOSECONDS]),
        ("ipsec --version", &[INSTRUCTIONS, NANOSECONDS]),
    ] {
        for unit in units {
            let values = [KLIPS, AF_KEY].map(|module| figures.get(At::bare(module, unit), what));
            if values.iter().any(Option::is_some) {
                let mut cells = vec![(*unit).to_owned()];
                cells.extend(values.into_iter().map(number));
                table.row(what, cells);
            }
        }
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::figures::tests::figures;

    #[test]
    fn a_row_has_its_growth() {
        let all = Figures(figures(
            KLIPS,
            &[
                (1000, REFUSED, 100.0),
                (10_000, REFUSED, 200.0),
                (1000, "GET", 300.0),
                (10_000, "GET", 500.0),
                (1000, "ADD", 700.0),
            ],
        ));
        let text = costs(&all, KLIPS, "many", INSTRUCTIONS).to_string();
        let rows: Vec<_> = text.lines().collect();
        assert_eq!(rows[0], "|                 | 1,000 | 10,000 | growth |");
        assert_eq!(rows[3], "| GET             |   300 |    500 |  1.67× |");
        // None where only one size was measured.
        assert_eq!(rows[4], "| ADD             |   700 |      – |      – |");
        assert_eq!(rows.len(), 5);
        assert!(costs(&all, KLIPS, "one", INSTRUCTIONS).is_empty());
    }

    #[test]
    fn only_what_both_have_is_compared() {
        let mut all = figures(
            KLIPS,
            &[
                (1000, REFUSED, 100.0),
                (1000, "GET", 300.0),
                (1000, "ungroup", 1.0),
                (2000, "GET", 900.0),
            ],
        );
        all.extend(figures(
            AF_KEY,
            &[(1000, REFUSED, 200.0), (1000, "GET", 400.0)],
        ));
        let all = Figures(all);
        let text = comparison(&all, INSTRUCTIONS).to_string();
        let rows: Vec<_> = text.lines().collect();
        assert_eq!(rows[0], "|                 | many, 1,000 |");
        assert_eq!(rows[3], "| GET             |       0.75× |");
        assert_eq!(rows.len(), 4);
        let text = summary(&all).to_string();
        let rows: Vec<_> = text.lines().skip(3).collect();
        assert_eq!(
            rows,
            [
                "| GET             |   300 |    400 |           0.75× |",
                "| ungroup         |  1.00 |      – |               – |",
            ]
        );
        assert_eq!(summary_size(&all), "1,000");
    }

    #[test]
    fn stalls_are_found_by_their_names() {
        let all = Figures(figures(
            KLIPS,
            &[
                (10, "stall by FLUSH: GET", 5.0),
                (10, "stall by FLUSH: due", 7.0),
                (20, "stall by FLUSH: due", 9.0),
            ],
        ));
        let [(kind, _), (among, _)] = STALLS;
        assert_eq!(stalling(&all, kind), ["FLUSH"]);
        assert!(stalling(&all, among).is_empty());
        assert_eq!(stall_size(&all, KLIPS, kind), Some(20));
        assert_eq!(stall_size(&all, AF_KEY, kind), None);
        let at = |size| At::new(KLIPS, "many", size);
        assert_eq!(stall(&all, at(10), kind, "FLUSH", "GET"), Some(5.0));
        assert_eq!(stall(&all, at(20), kind, "FLUSH", "GET"), None);
    }
}
