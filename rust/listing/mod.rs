// SPDX-License-Identifier: GPL-2.0

//! The text of the files in `/proc/net` (contract 10, reference 6).
//!
//! A file is read a line at a time. The position in it is the [`Age`] of the SA that a line begins
//! with, so that a reader goes on in the right place whatever has come and gone in between.

mod spi;
mod spigrp;

use crate::sadb::{
    Age,
    Moment,
    Sadb, //
};
use core::fmt;

/// A file that lists SAs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listing {
    /// `/proc/net/ipsec/spigrp/all`: a line for each chain.
    SpiGrp,
    /// `/proc/net/ipsec/spi/all`: a line for each SA.
    Spi,
}

impl Listing {
    /// Writes the first line that begins at `position` or later. Returns the position after it, or
    /// `None` if there is no such line.
    pub fn line(
        self,
        sadb: &Sadb,
        position: u64,
        now: Moment,
        out: impl FnOnce(fmt::Arguments<'_>),
    ) -> Option<u64> {
        let age = Age::from_number(position.max(1))?;
        let sa = match self {
            Listing::SpiGrp => {
                let sa = sadb.chain_at_or_after(age)?;
                out(format_args!("{}\n", spigrp::Line { sadb, sa }));
                sa
            }
            Listing::Spi => {
                let sa = sadb.at_or_after(age)?;
                out(format_args!("{}\n", spi::Line { sa, now }));
                sa
            }
        };
        Some(sa.age().next().number())
    }
}
