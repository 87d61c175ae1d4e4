// SPDX-License-Identifier: GPL-2.0

//! The algorithms that an SA has, by their numbers.

use super::names::{AUTHS, CIPHERS, COMPRESSIONS, NO_AUTH};
use klips::pfkey::{
    SaType,
    algorithm::{self, auth},
};
use serde::Serialize;

/// An algorithm that an SA has, as far as its number tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Used {
    /// Its name, if it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) name: Option<&'static str>,
    pub(crate) number: u8,
    /// Length of its key, if it has one and there is no choice.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) key_bits: Option<u16>,
}

/// The algorithm that SAs of a type have under a number for authentication, or for anything else;
/// `None` for number 0.
pub(crate) fn used(satype: SaType, for_auth: bool, number: u8) -> Option<Used> {
    let name = match (satype, for_auth) {
        (SaType::Comp, false) => COMPRESSIONS
            .iter()
            .find(|(_, id)| *id == number)
            .map(|(name, _)| *name),
        (_, false) => CIPHERS
            .iter()
            .find(|cipher| cipher.id == number)
            .map(|cipher| cipher.names[0]),
        (_, true) if number == auth::NULL => Some(NO_AUTH[0]),
        (_, true) => AUTHS
            .iter()
            .find(|auth| auth.id == number)
            .map(|auth| auth.names[0]),
    };
    let known = algorithm::find(satype, for_auth, number);
    (number != 0).then_some(Used {
        name,
        number,
        key_bits: match known.map(|known| known.key_bits) {
            Some([bits]) if *bits != 0 => Some(*bits),
            _ => None,
        },
    })
}

/// The algorithms of an SA, as far as they are known.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct AllUsed {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) encryption: Option<Used>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) compression: Option<Used>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) authentication: Option<Used>,
}

/// The algorithms that SAs of a type have under these numbers.
pub(crate) fn all_used(satype: SaType, auth: u8, encrypt: u8) -> AllUsed {
    let other = used(satype, false, encrypt);
    let (encryption, compression) = match satype {
        SaType::Comp => (None, other),
        _ => (other, None),
    };
    AllUsed {
        encryption,
        compression,
        authentication: used(satype, true, auth),
    }
}

/// The algorithms in what `/proc/net/ipsec_spi` calls `ESP_3DES_HMAC_MD5`.
pub(crate) fn of_transform(text: &str) -> AllUsed {
    let none = (0, "");
    let known = |satype, for_auth| {
        let known = algorithm::supported(satype, for_auth);
        let names = known.map(|algorithm| (algorithm.id, algorithm.proc_name));
        std::iter::once(none).chain(names)
    };
    for (prefix, satype) in [
        ("AH", SaType::Ah),
        ("ESP", SaType::Esp),
        ("COMP", SaType::Comp),
    ] {
        let Some(names) = text.strip_prefix(prefix) else {
            continue;
        };
        for (encrypt, name) in known(satype, false) {
            let rest = names.strip_prefix(name);
            if let Some((auth, _)) = known(satype, true).find(|(_, name)| rest == Some(*name)) {
                return all_used(satype, auth, encrypt);
            }
        }
    }
    AllUsed::default()
}
