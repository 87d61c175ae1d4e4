// SPDX-License-Identifier: GPL-2.0

//! The table of SAs of the module that is loaded.

use crate::{
    measure::{self, Clock, Setting},
    message::{self, Gateways, Sa},
    module::Module,
    socket::Socket,
};
use anyhow::Result;
use std::ops::Range;

/// How many messages are made ahead, so that making them is not measured.
const AHEAD: usize = 1000;

/// A table, and where its SAs go to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Table {
    pub(crate) clock: Clock,
    pub(crate) module: Module,
    pub(crate) gateways: Gateways,
}

impl Table {
    /// What is said about measurements of this table.
    pub(crate) fn setting(&self, sas: u32, listeners: u32) -> Setting {
        Setting {
            gateways: self.gateways.name(),
            sas,
            listeners,
            ..Setting::bare(self.clock, self.module.name())
        }
    }

    /// The SA with this number.
    pub(crate) fn sa(&self, number: u32) -> Sa {
        Sa::new(number, self.gateways)
    }

    /// Adds SAs, with keys. Returns how long that took.
    pub(crate) fn fill(&self, numbers: Range<u32>) -> Result<u64> {
        self.request(numbers, |number| vec![message::add(&self.sa(number))])
    }

    /// Adds SAs without keys.
    pub(crate) fn fill_tunnels(&self, numbers: Range<u32>) -> Result<u64> {
        self.request(numbers, |number| {
            vec![message::add_tunnel(&self.sa(number))]
        })
    }

    /// Makes the requests about each of these SAs. Returns how long that took.
    pub(crate) fn request(
        &self,
        numbers: Range<u32>,
        requests: impl Fn(u32) -> Vec<Vec<u8>>,
    ) -> Result<u64> {
        let mut socket = Socket::to(self.module)?;
        let mut took = 0;
        for start in numbers.clone().step_by(AHEAD) {
            let numbers = (start..numbers.end).take(AHEAD);
            let messages: Vec<_> = numbers.flat_map(&requests).collect();
            took += measure::time(|| {
                messages
                    .iter()
                    .try_for_each(|message| socket.request(message))
            })?;
        }
        Ok(took)
    }

    /// Removes all SAs. Returns how long that took, with what workers did afterwards.
    pub(crate) fn flush(&self) -> Result<u64> {
        let mut socket = Socket::open()?;
        measure::time_with_workers(|| socket.request(&message::flush()))
    }
}
