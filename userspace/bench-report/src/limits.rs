// SPDX-License-Identifier: GPL-2.0

//! What holds for every size and kind of table, and whether it does.

use crate::{
    arithmetic::{growth, ratio, worst},
    beside::{self, Beside, EROUTES, LIVE, LIVE_ADD, SWAPS},
    figures::{AF_KEY, At, Figures, GATEWAYS, INSTRUCTIONS, KLIPS},
    markdown::{Table, count, number},
    sections::{REQUESTS, STALLS, crowd_waits, stall, stall_size, stalling},
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

/// How much a packet may take of the instructions that it takes through what `ip xfrm` has made, and
/// that as a part of klips's.
const PACKET: f64 = 1.01;
/// What a request about an eroute may take of the instructions that mainline takes for the same.
const EROUTE: f64 = 1.1;
/// What requests have xfrm change a policy, for which it looks at every network that it has one for.
const LINEAR: [&str; 2] = ["REPLACE", "X_GRPSA beneath an eroute"];
/// The size of the table at which an SA that has a state at once may take no more than mainline's, and
/// what it may take.
const LIVE_AT: u32 = 1_000;
const LIVE_TO_THEIRS: f64 = 1.0;
/// What a state in another's place may take of the instructions that mainline takes to make one.
const SWAP: f64 = 1.2;
/// Bytes that an SA or an eroute may take beyond what mainline's takes.
const MEMORY_BESIDE: f64 = 512.0;

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
pub fn limits(figures: &Figures) -> [Limit; 13] {
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
            measured: worst(waits(figures, KLIPS)),
        },
        Limit {
            name: "bytes of an SA without keys",
            most: MEMORY,
            measured: memory(figures),
        },
        Limit {
            name: "a packet, to ip xfrm's or the other way round",
            most: PACKET,
            measured: packets(figures),
        },
        Limit {
            name: "a packet among eroutes, to ip xfrm's",
            most: PACKET,
            measured: look_ups(figures),
        },
        Limit {
            name: "a stream, to ip xfrm's or the other way round",
            most: PACKET,
            measured: streams(figures),
        },
        Limit {
            name: "request about an eroute, to mainline's lesser",
            most: EROUTE,
            measured: eroutes(figures),
        },
        Limit {
            name: "growth of requests about eroutes and live SAs",
            most: GROWTH,
            measured: growths_beside(figures, |what| !LINEAR.contains(&what)),
        },
        Limit {
            name: "growth of those that have xfrm change a policy",
            most: GROWTH,
            measured: growths_beside(figures, |what| LINEAR.contains(&what)),
        },
        Limit {
            name: "ADD of a live SA, to mainline's lesser",
            most: LIVE_TO_THEIRS,
            measured: live_add(figures),
        },
        Limit {
            name: "a state in another's place, to mainline's new one",
            most: SWAP,
            measured: swaps(figures),
        },
        Limit {
            name: "bytes of an SA or an eroute beyond mainline's",
            most: MEMORY_BESIDE,
            measured: memory_beside(figures),
        },
    ]
}

/// How far a ratio is from 1, whichever of the two is larger.
fn either_way(beside: &Beside) -> Option<f64> {
    beside.to_least().map(|ratio| ratio.max(1.0 / ratio))
}

fn packets(figures: &Figures) -> Option<(String, f64)> {
    worst(beside::packets(figures).iter().map(|(packet, beside)| {
        let beside::Packet {
            way,
            chain,
            cipher,
            size,
        } = packet;
        let name = format!("{chain} {cipher}, {size} bytes, {way}");
        (name, either_way(beside))
    }))
}

fn look_ups(figures: &Figures) -> Option<(String, f64)> {
    among_eroutes(beside::look_ups(figures), Beside::to_least)
}

fn streams(figures: &Figures) -> Option<(String, f64)> {
    among_eroutes(beside::streams(figures), either_way)
}

fn among_eroutes(
    all: Vec<(&str, u32, Beside)>,
    ratio: fn(&Beside) -> Option<f64>,
) -> Option<(String, f64)> {
    worst(all.iter().map(|(what, eroutes, beside)| {
        let eroutes = count(*eroutes);
        (format!("{eroutes} eroutes, {what}"), ratio(beside))
    }))
}

fn eroutes(figures: &Figures) -> Option<(String, f64)> {
    // What mainline does at once it does not do for each, and of tunnels it makes one state of two SAs.
    beside_mainline(figures, &["ADDFLOW", "REPLACE", "DELFLOW"], Beside::find)
}

fn swaps(figures: &Figures) -> Option<(String, f64)> {
    beside_mainline(figures, &SWAPS, Beside::swap)
}

/// The worst ratio at all sizes.
fn beside_mainline(
    figures: &Figures,
    rows: &[&str],
    beside: fn(&Figures, At<'_>, &str) -> Beside,
) -> Option<(String, f64)> {
    let rows = GATEWAYS
        .into_iter()
        .flat_map(|name| rows.iter().map(move |what| (name, *what)));
    worst(rows.flat_map(|(name, what)| {
        let sizes = beside::sizes(figures, KLIPS, name, what);
        sizes.into_iter().map(move |sas| {
            let at = At::new(KLIPS, name, sas);
            let to_theirs = beside(figures, at, what).to_least();
            (format!("{what}, {}", place(at)), to_theirs)
        })
    }))
}

fn live_add(figures: &Figures) -> Option<(String, f64)> {
    worst(GATEWAYS.map(|name| {
        let at = At::new(KLIPS, name, LIVE_AT);
        (place(at), Beside::find(figures, at, LIVE_ADD).to_least())
    }))
}

fn growths_beside(figures: &Figures, is_one: fn(&str) -> bool) -> Option<(String, f64)> {
    let rows = EROUTES.into_iter().chain(LIVE).filter(|what| is_one(what));
    let rows = rows.flat_map(|what| GATEWAYS.map(|name| (name, what)));
    worst(rows.map(|(name, what)| {
        let sizes = beside::sizes(figures, KLIPS, name, what);
        let at = |sas: &u32| figures.get(At::new(KLIPS, name, *sas), what);
        let values: Vec<_> = sizes.iter().map(at).collect();
        (format!("{what}, {}", gateways(name)), growth(&values))
    }))
}

fn memory_beside(figures: &Figures) -> Option<(String, f64)> {
    worst(beside::memory(figures).iter().map(|memory| {
        let above = memory.bytes.above_least();
        let each = above.map(|bytes| bytes / f64::from(memory.own));
        (format!("{}, each of {}", memory.what, memory.own), each)
    }))
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
    format!("{} SAs, {}", count(at.sas), gateways(at.gateways))
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

/// How long others waited for anything, with many SAs, with many eroutes and with many sockets.
fn waits(figures: &Figures, module: &str) -> Vec<(String, Option<f64>)> {
    let mut waits = crowd_waits(figures, module);
    for (kind, of) in STALLS {
        if let Some(size) = stall_size(figures, module, kind) {
            waits.extend(stalling(figures, kind).into_iter().map(|by| {
                let name = format!("{by}, {} {of}", count(size));
                (
                    name,
                    stall(figures, At::new(module, "many", size), kind, by, "due"),
                )
            }));
        }
    }
    waits
}

/// The longest of these.
pub fn longest_wait(figures: &Figures, module: &str) -> Option<f64> {
    worst(waits(figures, module)).map(|(_, wait)| wait)
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
    use crate::figures::{REFUSED, XFRM_USER, tests::figures};

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
    fn packets_are_held_to_both_sides() {
        let packet = |ours, what, limit_of| {
            let mut all = figures(KLIPS, &[(0, what, ours)]);
            all.extend(figures(XFRM_USER, &[(0, what, 1000.0)]));
            for figure in &mut all {
                figure.gateways = "-".to_owned();
            }
            limit(all, limit_of).verdict()
        };
        for (what, limit_of) in [
            ("packet out: tun+esp AES-GCM 64", "a packet, to"),
            ("stream per MB: nested", "a stream"),
        ] {
            assert_eq!(packet(1010.0, what, limit_of), "holds");
            assert_eq!(packet(1011.0, what, limit_of), "**does not hold**");
            assert_eq!(packet(980.0, what, limit_of), "**does not hold**");
        }
        // How many there are, and of which kind, need not cost mainline the same.
        let among = |ours| packet(ours, "packet among eroutes: nested", "a packet among");
        assert_eq!(among(1011.0), "**does not hold**");
        assert_eq!(among(980.0), "holds");
        assert_eq!(
            limit(Vec::new(), "a packet among").verdict(),
            "not measured"
        );
    }

    #[test]
    fn eroutes_are_beside_the_lesser_and_hardly_grow() {
        let mut all = figures(
            KLIPS,
            &[
                (10, "DELFLOW", 100.0),
                (20, "DELFLOW", 160.0),
                (10, "REPLACE", 1.0),
                (20, "REPLACE", 9.0),
                (10, "memory per live SA", 2700.0),
                (10, "memory per eroute and SAs", 3600.0),
            ],
        );
        for what in ["DELFLOW", "memory per live SA", "memory per eroute and SAs"] {
            all.extend(figures(AF_KEY, &[(10, what, 2100.0)]));
            all.extend(figures(XFRM_USER, &[(10, what, 2200.0)]));
        }
        let growth = limit(all.clone(), "growth of requests about eroutes");
        let expected = ("DELFLOW, many gateways".to_owned(), 1.6);
        assert_eq!(growth.measured, Some(expected));
        let growth = limit(all.clone(), "change a policy");
        let expected = ("REPLACE, many gateways".to_owned(), 9.0);
        assert_eq!(growth.measured, Some(expected));
        let memory = limit(all.clone(), "bytes of an SA or");
        let expected = ("memory per live SA, each of 1".to_owned(), 600.0);
        assert_eq!(memory.measured, Some(expected));
        assert_eq!(memory.verdict(), "**does not hold**");
        let eroutes = limit(all, "request about an eroute");
        assert_eq!(eroutes.verdict(), "holds");
        let expected = "DELFLOW, 10 SAs, many gateways";
        assert_eq!(eroutes.measured.unwrap().0, expected);
    }

    #[test]
    fn a_state_in_anothers_place_is_beside_a_new_one() {
        let mut all = figures(
            KLIPS,
            &[
                (1000, "live ADD", 110.0),
                (1000, "live UPDATE", 150.0),
                (2000, "live ADD", 900.0),
            ],
        );
        all.extend(figures(AF_KEY, &[(1000, "live ADD", 120.0)]));
        all.extend(figures(XFRM_USER, &[(1000, "live ADD", 100.0)]));
        let place = "1,000 SAs, many gateways";
        let live = limit(all.clone(), "ADD of a live SA");
        assert_eq!(live.measured, Some((place.to_owned(), 1.1)));
        let swap = limit(all, "in another's place");
        let expected = (format!("live UPDATE, {place}"), 1.5);
        assert_eq!(swap.measured, Some(expected));
    }

    #[test]
    fn a_wait_is_one_whatever_there_is_much_of() {
        let mut all = figures(KLIPS, &[(10, "stall by DUMP: due", 2e5)]);
        let wait = |all: &Vec<_>| limit(all.clone(), "longest wait").measured.unwrap();
        assert_eq!(wait(&all), ("DUMP, 10 SAs".to_owned(), 2e5));
        all.extend(figures(KLIPS, &[(1, "crowd: ADD beside some: due", 3e5)]));
        all.extend(figures(KLIPS, &[(1, "crowd: ADD beside some: GET", 4e5)]));
        assert_eq!(wait(&all), ("ADD beside some, 0 sockets".to_owned(), 3e5));
        let among = "stall among eroutes by FLUSH: due";
        all.extend(figures(KLIPS, &[(5, among, 5e5)]));
        assert_eq!(wait(&all), ("FLUSH, 5 eroutes".to_owned(), 5e5));
        all.extend(figures(AF_KEY, &[(5, among, 6e5)]));
        assert_eq!(longest_wait(&Figures(all), AF_KEY), Some(6e5));
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
