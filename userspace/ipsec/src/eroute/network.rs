// SPDX-License-Identifier: GPL-2.0

//! Networks whose addresses may be names.

use crate::{
    failure::Failure,
    system::System,
    text::{self, Shown, Unusable},
};
use klips::{address::Family, selector::Network};
use pfkey::text::network::{self, NetworkError};
use std::fmt;

/// A network, and a port if the text has one.
pub(super) type NetworkAndPort = (Network, Option<u16>);

/// Reads the network that an option gives, or looks it up; white space around it does not count.
pub(super) fn parse(
    option: &str,
    text: &str,
    family: Option<Family>,
    system: &mut impl System,
) -> Result<NetworkAndPort, Failure> {
    let message = |error: &dyn fmt::Display| {
        format!(
            "Error, {error} converting --{option} argument: {}",
            Shown(text)
        )
    };
    let bad = |error: NetworkError| Failure::usage(message(&error));
    let unresolved = network::parse(text.trim(), family).map_err(bad)?;
    let address = text::resolve(unresolved.address, system)
        .map_err(|error: Unusable| error.failure(message(&error)))?;
    let network = unresolved.with_address(address);
    let network = network.ok_or(NetworkError::TooManyBits).map_err(bad)?;
    Ok((network, unresolved.port))
}
