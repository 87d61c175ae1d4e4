// SPDX-License-Identifier: GPL-2.0

//! A line of `/proc/net/ipsec_spigrp`: the SAIDs of a chain, inside to outside, each followed by a
//! blank (reference 6.2).

use crate::sadb::{
    Sa,
    Sadb, //
};
use core::fmt;

pub(super) struct Line<'a> {
    pub(super) sadb: &'a Sadb,
    /// The innermost SA.
    pub(super) sa: &'a Sa,
}

impl fmt::Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.sadb.outwards(self.sa).try_for_each(|sa| {
            // Not by write!, which costs as much as the text: there may be a million of them.
            sa.spec.said().fmt(f)?;
            f.write_str(" ")
        })
    }
}
