// SPDX-License-Identifier: GPL-2.0

//! A line of `/proc/net/ipsec_spigrp`: the SAIDs of a chain, inside to outside, each followed by a
//! blank (reference 6.2).

use super::Page;
use crate::{
    klips_core::said::Text,
    sadb::{
        Sa,
        Sadb, //
    }, //
};
use core::fmt;

/// Writes the line of a chain, of which `sa` is the innermost SA. A list may have a million lines:
/// no formatter.
pub(super) fn write_line(
    sadb: &Sadb,
    sa: &Sa,
    text: &mut Text,
    page: &mut impl Page,
) -> fmt::Result {
    for sa in sadb.outwards(sa) {
        sa.spec.said().write_to(text, false);
        text.push_blank();
        page.push(text.as_bytes())?;
    }
    page.push(b"\n")
}
