// SPDX-License-Identifier: GPL-2.0

//! What was to be reached, and whether it was.

use crate::{
    arithmetic::{growth, ratio, worst},
    figures::{AF_KEY, At, Figures, GATEWAYS, INSTRUCTIONS, KLIPS},
    markdown::{Table, number, percent},
    profile::{self, Profile},
    sections::{REQUESTS, stall, stall_size, stalling},
};

/// Instructions to the floor of the same run, at all sizes, without listeners; and the name of the
/// profile that tells what the kernel takes of it.
const TO_THE_FLOOR: [(&str, f64, &str); 7] = [
    ("GET", 3.0, "get"),
    ("X_GRPSA pair", 3.0, "pair"),
    ("X_GRPSA of 4", 5.0, "four"),
    ("ADD", 6.0, "add"),
    ("DELETE", 4.0, "delete"),
    ("DUMP per SA", 1.2, "dump"),
    ("/proc per line", 0.5, "list"),
];
/// How much the cost of anything may depend on the size of the table.
const GROWTH: f64 = 1.5;
/// Bytes of an SA without keys.
const MEMORY: f64 = 512.0;
/// The longest that one request may make others wait: a millisecond, if an instruction takes a
/// nanosecond.
const STALL: f64 = 1e6;
/// What a close may cost. One that waits until all processors have passed through the scheduler
/// takes a tick of the kernel's clock at least, which is four times as much.
const CLOSE: f64 = 1e6;

/// Something to be reached.
#[derive(Debug, PartialEq)]
pub struct Target {
    /// What.
    pub name: String,
    /// The most that it may be.
    pub limit: f64,
    /// What it is, and where it is worst.
    pub measured: Option<(String, f64)>,
    /// What it would be if the module took no instruction.
    pub kernel: Option<f64>,
}

impl Target {
    fn verdict(&self) -> String {
        let Some((_, value)) = self.measured else {
            return "not measured".to_owned();
        };
        let by = percent((value / self.limit - 1.0).abs());
        if value <= self.limit {
            return format!("reached, {by} below");
        }
        match self.kernel {
            Some(kernel) if kernel > self.limit => format!("**out of reach**, {by} above"),
            _ => format!("**not reached**, {by} above"),
        }
    }
}

/// All of them, with what was measured.
pub fn targets(figures: &Figures, profiles: &[Profile]) -> Vec<Target> {
    let mut all: Vec<_> = TO_THE_FLOOR
        .iter()
        .map(|(what, limit, profile)| Target {
            name: format!("{what}, to the floor"),
            limit: *limit,
            measured: worst(everywhere(figures).map(|at| {
                let to_floor = ratio(figures.get(at, what), figures.get(at, "floor"));
                (place(at), to_floor)
            })),
            kernel: profile::kernel_to_floor(profiles, profile),
        })
        .collect();
    all.extend([
        Target {
            name: "growth with the table".to_owned(),
            limit: GROWTH,
            measured: growths(figures),
            kernel: None,
        },
        Target {
            name: "to af_key's same row".to_owned(),
            limit: 1.0,
            measured: against_af_key(figures),
            kernel: None,
        },
        Target {
            name: "bytes per SA without keys".to_owned(),
            limit: MEMORY,
            measured: memory(figures),
            kernel: None,
        },
        Target {
            name: "longest wait for another's request".to_owned(),
            limit: STALL,
            measured: stall_size(figures, KLIPS).and_then(|sas| {
                worst(stalling(figures).into_iter().map(|by| {
                    let name = format!("{by}, {} SAs", number(Some(f64::from(sas))));
                    (name, stall(figures, KLIPS, sas, by, "due"))
                }))
            }),
            kernel: None,
        },
        Target {
            name: "close(), without a grace period".to_owned(),
            limit: CLOSE,
            measured: worst(everywhere(figures).map(|at| (place(at), figures.get(at, "close")))),
            kernel: None,
        },
    ]);
    all
}

/// What the targets leave to the module, as a table.
pub fn limits(profiles: &[Profile]) -> Table {
    let targets = TO_THE_FLOOR.map(|(_, limit, profile)| (profile, limit));
    profile::limits(profiles, &targets)
}

/// The targets as a table.
pub fn table(figures: &Figures, profiles: &[Profile]) -> Table {
    let mut table = Table::new([
        "target",
        "at most",
        "measured",
        "without the module",
        "where it is worst",
        "",
    ]);
    for target in targets(figures, profiles) {
        let (place, value) = match &target.measured {
            Some((place, value)) => (place.clone(), Some(*value)),
            None => (String::new(), None),
        };
        let cells = [
            number(Some(target.limit)),
            number(value),
            number(target.kernel),
            place,
            target.verdict(),
        ];
        table.row(&target.name, cells);
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
    use crate::figures::tests::figures;

    fn target(figures: Vec<crate::figures::Figure>, name: &str) -> Target {
        let all = targets(&Figures(figures), &[]);
        let mut found = all
            .into_iter()
            .filter(|target| target.name.starts_with(name));
        found.next().unwrap()
    }

    #[test]
    fn the_worst_size_counts() {
        let all = [
            (10, "floor", 100.0),
            (10, "GET", 290.0),
            (20, "floor", 100.0),
            (20, "GET", 330.0),
        ];
        let get = target(figures(KLIPS, &all), "GET");
        assert_eq!(
            get.measured,
            Some(("20 SAs, many gateways".to_owned(), 3.3))
        );
        assert_eq!(get.verdict(), "**not reached**, 10.0 % above");
        let get = target(figures(KLIPS, &all[..2]), "GET");
        assert_eq!(get.verdict(), "reached, 3.3 % below");
        assert_eq!(target(Vec::new(), "GET").verdict(), "not measured");
    }

    #[test]
    fn what_the_kernel_takes_may_be_too_much_by_itself() {
        let verdict = |measured, kernel| {
            let target = Target {
                name: "GET, to the floor".to_owned(),
                limit: 3.0,
                measured: Some((String::new(), measured)),
                kernel: Some(kernel),
            };
            target.verdict()
        };
        assert_eq!(verdict(3.3, 3.1), "**out of reach**, 10.0 % above");
        assert_eq!(verdict(3.3, 3.0), "**not reached**, 10.0 % above");
        assert_eq!(verdict(2.7, 2.0), "reached, 10.0 % below");
    }

    #[test]
    fn rows_that_grow_or_that_mainline_is_better_at_are_named() {
        let mut all = figures(
            KLIPS,
            &[
                (10, "floor", 100.0),
                (20, "floor", 100.0),
                (10, "ADD", 200.0),
                (20, "ADD", 400.0),
            ],
        );
        let growth = target(all.clone(), "growth");
        assert_eq!(
            growth.measured,
            Some(("ADD, many gateways".to_owned(), 2.0))
        );
        assert_eq!(target(all.clone(), "to af_key").measured, None);
        all.extend(figures(AF_KEY, &[(10, "ADD", 100.0), (20, "ADD", 800.0)]));
        let ahead = target(all, "to af_key");
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
        let stall = target(all.clone(), "longest wait");
        assert_eq!(stall.measured, Some(("ADD, 10 SAs".to_owned(), 3.0)));
        let memory = target(all, "bytes per SA");
        assert_eq!(
            memory.measured,
            Some(("slab, many gateways".to_owned(), 5.0))
        );
    }
}
