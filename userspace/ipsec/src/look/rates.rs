// SPDX-License-Identifier: GPL-2.0

//! How many packets a second, by what was counted the last time.

use super::picture::Picture;
use std::{collections::HashMap, time::SystemTime};

/// What was counted, and when.
pub(super) struct Counted {
    at: SystemTime,
    packets: HashMap<String, u64>,
}

impl Counted {
    /// What a picture says.
    pub(super) fn of(picture: &mut Picture, at: SystemTime) -> Self {
        let mut packets = HashMap::new();
        each(picture, |name, count, _| {
            packets.insert(name, count);
        });
        Counted { at, packets }
    }

    /// Sets the rates of a later picture.
    pub(super) fn set_rates(&self, picture: &mut Picture, at: SystemTime) {
        let seconds = at.duration_since(self.at).unwrap_or_default().as_secs_f64();
        if seconds <= 0.0 {
            return;
        }
        each(picture, |name, count, rate| {
            // An SA that was made anew counts from 0, and others were not there.
            let before = self
                .packets
                .get(&name)
                .copied()
                .filter(|before| *before <= count);
            *rate = before.map(|before| (count - before) as f64 / seconds);
        });
    }
}

/// Goes through all that counts packets, each with a name that no other has.
fn each(picture: &mut Picture, mut with: impl FnMut(String, u64, &mut Option<f64>)) {
    for eroute in &mut picture.eroutes {
        let selector = &eroute.row.selector;
        let name = format!(
            "{} {} {}",
            selector.src_text(),
            selector.dst_text(),
            selector.proto
        );
        if let Some(packets) = eroute.packets {
            with(name, packets, &mut eroute.rate);
        }
    }
    let chains = picture.eroutes.iter_mut().map(|eroute| &mut eroute.chain);
    let chains = chains
        .chain(&mut picture.inbound)
        .chain(&mut picture.unused);
    for sa in chains.flatten() {
        let name = sa.entry.text().to_owned();
        if let Some(known) = &mut sa.known {
            with(name, known.packets, &mut known.rate);
        }
    }
}
