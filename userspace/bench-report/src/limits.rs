// SPDX-License-Identifier: GPL-2.0

//! What holds for every size and kind of table, and whether it does.

use crate::{
    arithmetic::{growth, ratio, worst},
    figures::{AF_KEY, At, Figures, GATEWAYS, INSTRUCTIONS, KLIPS},
    markdown::{Table, number},
    sections::{REQUESTS, crowd_waits, stall, stall_size, stalling},
};

/// What anything may take of the instructions that mainline takes for it.
const TO_AF_KEY: f64 = 0.9;
/// How much the cost of anything may depend on the size of the table.
const GROWTH: f64 = 1.5;
/// Bytes of an SA without keys.
const MEMORY: f64 = 512.0;
/// The longest that one request may make others wait: a millisecond, if an instruction takes a
/// nanosecond.
const STALL: f64 = 1e6;

/// Something that holds.
#[derive(Debug, PartialEq)]
pub struct Limit {
    /// What.
    pub name: &'static str,
    /// The most that it may be.
    pub most: f64,
    /// What it is, and where it is worst.
    pub measured: Option<(String, f64)>,
}

impl Limit {
    fn verdict(&self) -> &'static str {
        match self.measured {
            None => "not measured",
            Some((_, value)) if value <= self.most => "holds",
            Some(_) => "**does not hold**",
        }
    }
}

/// All of them, with what was measured.
pub fn limits(figures: &Figures) -> [Limit; 4] {
    [
        Limit {
            name: "instructions, to af_key's for the same",
            most: TO_AF_KEY,
            measured: against_af_key(figures),
        },
        Limit {
            name: "growth from the smallest table to the largest",
            most: GROWTH,
            measured: growths(figures),
        },
        Limit {
            name: "longest wait for another's request, instructions",
            most: STALL,
            measured: worst(waits(figures)),
        },
        Limit {
            name: "bytes of an SA without keys",
            most: MEMORY,
            measured: memory(figures),
        },
    ]
}

/// The limits as a table.
pub fn table(figures: &Figures) -> Table {
    let mut table = Table::new(["", "at most", "measured", "where it is worst", ""]);
    for limit in limits(figures) {
        let (place, value) = match &limit.measured {
            Some((place, value)) => (place.clone(), Some(*value)),
            None => (String::new(), None),
        };
        let verdict = limit.verdict().to_owned();
        table.row(
            limit.name,
            [number(Some(limit.most)), number(value), place, verdict],
        );
    }
    table
}

/// All tables of ours at which requests were measured.
fn everywhere(figures: &Figures) -> impl Iterator<Item = At<'static>> {
    GATEWAYS.into_iter().flat_map(|gateways| {
        let sizes = figures.sizes(KLIPS, gateways, INSTRUCTIONS);
        sizes
            .into_iter()
            .map(move |sas| At::new(KLIPS, gateways, sas))
    })
}

fn place(at: At<'_>) -> String {
    format!(
        "{} SAs, {}",
        number(Some(f64::from(at.sas))),
        gateways(at.gateways)
    )
}

fn gateways(name: &str) -> String {
    match name {
        "one" => "one gateway".to_owned(),
        name => format!("{name} gateways"),
    }
}

fn growths(figures: &Figures) -> Option<(String, f64)> {
    let rows = GATEWAYS
        .into_iter()
        .flat_map(|gateways| REQUESTS.map(|what| (gateways, what)));
    worst(rows.map(|(name, what)| {
        let sizes = figures.sizes(KLIPS, name, INSTRUCTIONS);
        let at = |sas: &u32| figures.get(At::new(KLIPS, name, *sas), what);
        let values: Vec<_> = sizes.iter().map(at).collect();
        (format!("{what}, {}", gateways(name)), growth(&values))
    }))
}

fn against_af_key(figures: &Figures) -> Option<(String, f64)> {
    worst(everywhere(figures).flat_map(|at| {
        REQUESTS.map(|what| {
            let theirs = At {
                module: AF_KEY,
                ..at
            };
            let to_theirs = ratio(figures.get(at, what), figures.get(theirs, what));
            (format!("{what}, {}", place(at)), to_theirs)
        })
    }))
}

/// How long others waited for anything, with many SAs and with many sockets.
fn waits(figures: &Figures) -> Vec<(String, Option<f64>)> {
    let mut waits = crowd_waits(figures);
    if let Some(sas) = stall_size(figures, KLIPS) {
        waits.extend(stalling(figures).into_iter().map(|by| {
            let name = format!("{by}, {} SAs", number(Some(f64::from(sas))));
            (name, stall(figures, KLIPS, sas, by, "due"))
        }));
    }
    waits
}

fn memory(figures: &Figures) -> Option<(String, f64)> {
    let found = figures
        .0
        .iter()
        .filter(|figure| figure.module == KLIPS && figure.what.ends_with(" per SA without keys"));
    worst(found.map(|figure| {
        let what = figure.what.split(' ').next().unwrap_or_default();
        (
            format!("{what}, {}", gateways(&figure.gateways)),
            Some(figure.value),
        )
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::figures::{REFUSED, tests::figures};

    fn limit(figures: Vec<crate::figures::Figure>, name: &str) -> Limit {
        let mut all = limits(&Figures(figures)).into_iter();
        all.find(|limit| limit.name.contains(name)).unwrap()
    }

    #[test]
    fn what_is_above_does_not_hold() {
        let sizes = |slab| {
            figures(
                KLIPS,
                &[
                    (10, "slab per SA without keys", slab),
                    (20, "slab per SA without keys", 100.0),
                ],
            )
        };
        assert_eq!(limit(sizes(512.0), "bytes").verdict(), "holds");
        assert_eq!(limit(sizes(513.0), "bytes").verdict(), "**does not hold**");
        assert_eq!(limit(Vec::new(), "bytes").verdict(), "not measured");
    }

    #[test]
    fn a_wait_is_one_whatever_there_is_much_of() {
        let mut all = figures(KLIPS, &[(10, "stall by DUMP: due", 2e5)]);
        let wait = |all: &Vec<_>| limit(all.clone(), "longest wait").measured.unwrap();
        assert_eq!(wait(&all), ("DUMP, 10 SAs".to_owned(), 2e5));
        all.extend(figures(KLIPS, &[(1, "crowd: ADD beside some: due", 3e5)]));
        all.extend(figures(KLIPS, &[(1, "crowd: ADD beside some: GET", 4e5)]));
        assert_eq!(wait(&all), ("ADD beside some, 0 sockets".to_owned(), 3e5));
    }

    #[test]
    fn rows_that_grow_or_that_mainline_is_better_at_are_named() {
        let mut all = figures(
            KLIPS,
            &[
                (10, REFUSED, 100.0),
                (20, REFUSED, 100.0),
                (10, "ADD", 200.0),
                (20, "ADD", 400.0),
            ],
        );
        let growth = limit(all.clone(), "growth");
        assert_eq!(
            growth.measured,
            Some(("ADD, many gateways".to_owned(), 2.0))
        );
        assert_eq!(limit(all.clone(), "to af_key's").measured, None);
        all.extend(figures(AF_KEY, &[(10, "ADD", 100.0), (20, "ADD", 800.0)]));
        let ahead = limit(all, "to af_key's");
        assert_eq!(
            ahead.measured,
            Some(("ADD, 10 SAs, many gateways".to_owned(), 2.0))
        );
    }

    #[test]
    fn stalls_and_memory_are_ours_only() {
        let mut all = figures(
            KLIPS,
            &[
                (10, "stall by ADD: due", 3.0),
                (10, "slab per SA without keys", 5.0),
            ],
        );
        all.extend(figures(
            AF_KEY,
            &[
                (10, "stall by ADD: due", 9e9),
                (10, "slab per SA without keys", 9e9),
            ],
        ));
        let stall = limit(all.clone(), "longest wait");
        assert_eq!(stall.measured, Some(("ADD, 10 SAs".to_owned(), 3.0)));
        let memory = limit(all, "bytes of an SA");
        assert_eq!(
            memory.measured,
            Some(("slab, many gateways".to_owned(), 5.0))
        );
    }
}
