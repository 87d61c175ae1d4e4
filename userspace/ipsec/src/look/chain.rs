// SPDX-License-Identifier: GPL-2.0

//! SAs of a chain, with what they have done and how long they may go on.

use crate::{
    entry::Entry,
    json,
    spi::{Limit, Line},
};
use serde::Serialize;

/// An SA of a chain.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Sa {
    #[serde(skip)]
    pub(super) entry: Entry,
    #[serde(flatten)]
    name: json::Sa,
    /// What is known of it; nothing if it is not there.
    #[serde(flatten)]
    pub(super) known: Option<Known>,
}

/// What an SA is and has done.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Known {
    pub(super) transform: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(super) src: String,
    pub(super) packets: u64,
    pub(super) bytes: u64,
    /// Seconds since it was made.
    pub(super) age: u64,
    /// Seconds since it was used last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) idle: Option<u64>,
    /// What ends it, or asks for a successor, before long or already.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) ending: Vec<Ending>,
    /// Packets a second, since the last look.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) rate: Option<f64>,
}

/// A limit that is near, or behind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Ending {
    /// What is limited.
    pub(super) kind: String,
    /// `soft` or `hard`.
    pub(super) limit: &'static str,
    /// How much of it is used up, of a hundred.
    pub(super) percent: u64,
}

/// How much of a limit, of a hundred, is much.
const NEAR: u64 = 80;

impl Sa {
    /// Of a line of the list.
    pub(super) fn of(line: &Line) -> Self {
        let current = |name: &str| {
            let limit = line.limits().iter().find(|(own, _)| own == name);
            limit.and_then(|(_, limit)| limit.current).unwrap_or(0)
        };
        let ending = line.limits().iter();
        let bytes = current("bytes");
        // One packet is not listed, as KLIPS lists what is more than 1.
        let packets = current("packets").max(u64::from(bytes != 0));
        Sa {
            entry: line.entry().clone(),
            name: json::Sa::of_entry(line.entry()),
            known: Some(Known {
                transform: line.transform().to_owned(),
                src: line.text("src").to_owned(),
                packets,
                bytes,
                age: current("addtime"),
                idle: line.number("idle"),
                ending: ending
                    .filter_map(|(kind, limit)| near(kind, limit))
                    .collect(),
                rate: None,
            }),
        }
    }

    /// One that there is not.
    pub(super) fn missing(entry: &Entry) -> Self {
        Sa {
            entry: entry.clone(),
            name: json::Sa::of_entry(entry),
            known: None,
        }
    }
}

/// The nearest end that a limit says. The hard one counts, if both are near.
fn near(kind: &str, limit: &Limit) -> Option<Ending> {
    let current = limit.current.unwrap_or(0);
    let used = |of: u64| {
        // Large numbers of bytes times a hundred are too large for 64 bits.
        let percent = u128::from(current) * 100 / u128::from(of.max(1));
        u64::try_from(percent).unwrap_or(u64::MAX)
    };
    let ends = [("hard", limit.hard, NEAR), ("soft", limit.soft, 100)];
    let near = |(_, of, from): &(&str, u64, u64)| *of != 0 && used(*of) >= *from;
    let (name, of, _) = ends.into_iter().find(near)?;
    Some(Ending {
        kind: kind.to_owned(),
        limit: name,
        percent: used(of),
    })
}
