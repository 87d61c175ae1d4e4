// SPDX-License-Identifier: GPL-2.0

//! A line of `/proc/net/ipsec_spigrp`: the SAIDs of a chain, inside to outside, each followed by a
//! blank (reference 6.2).

use crate::sadb::{
    Sa,
    Sadb, //
};
use core::fmt;

/// Writes the line of a chain, of which `sa` is the innermost SA.
pub(super) fn write_line(sadb: &Sadb, sa: &Sa, out: &mut impl fmt::Write) -> fmt::Result {
    for sa in sadb.outwards(sa) {
        write!(out, "{} ", sa.spec.said())?;
    }
    out.write_str("\n")
}
