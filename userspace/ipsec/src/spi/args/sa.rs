// SPDX-License-Identifier: GPL-2.0

//! The SA that a request is about, and where it comes from.

use super::super::plan::Addresses;
use crate::{
    failure::Failure,
    given::Given,
    naming,
    system::System,
    text::{self, Shown},
};
use klips::address::Family;

/// Options beside those that name the SA, and what the original calls them.
const OTHERS: [(&str, &str); 2] = [("src", "SRC"), ("dst", "DST")];

/// Reads the SA that an action is about. Families are known before any address is looked at,
/// whatever their order.
pub(super) fn addresses(
    given: &Given,
    action: &str,
    system: &mut impl System,
) -> Result<Addresses, Failure> {
    naming::check_given_once(given, &naming::PARTS)?;
    naming::check_given_once(given, &OTHERS)?;
    let said = naming::said(given, family(given, action)?, system)?;
    let family = Family::of(&said.dst);
    let mut address = |name| match given.text(name) {
        Some(text) => text::address(text, Some(family), system)
            .map(Some)
            .map_err(|error| naming::bad_address(name, text, &error)),
        None => Ok(None),
    };
    let src = address("src")?.unwrap_or(family.unspecified());
    // The destination of a tunnel is that of its SA; the original sends no other one either.
    address("dst")?;
    Ok(Addresses { said, src })
}

/// The address family that is asked for, by `--af` or by the kind of tunnel.
fn family(given: &Given, action: &str) -> Result<Option<Family>, Failure> {
    let tunnel = match action {
        "ip4" => Some(Family::Inet),
        "ip6" => Some(Family::Inet6),
        _ => None,
    };
    match naming::family(given, "af")? {
        None => Ok(tunnel),
        Some(family) if tunnel.is_some_and(|tunnel| tunnel != family) => {
            Err(Failure::usage(format!(
                "--{action} makes no SA of address family {}.",
                Shown(given.text("af").unwrap_or_default())
            )))
        }
        family => Ok(family),
    }
}
