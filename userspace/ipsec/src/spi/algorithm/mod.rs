// SPDX-License-Identifier: GPL-2.0

//! The names of algorithms, old and new.
//!
//! Numbers and key lengths are those of [`klips::pfkey::algorithm`]; here is what people call them:
//! the names of the original `spi`, the algorithm strings of Openswan and libreswan (`aes128-sha1`,
//! `aes_gcm_c-256-null`), and those of RFCs. Case does not matter, and `_` is as good as `-`.

mod names;
#[cfg(test)]
mod tests;
mod transform;
mod used;

pub(super) use transform::{Transform, Unusable};
pub(super) use used::{AllUsed, Used, all_used, of_transform};

use crate::suggest;
use klips::pfkey::algorithm::encrypt;
use names::{AUTHS, Auth, CIPHERS, COMPRESSIONS, NO_AUTH, auth_key_bits, find_auth};

fn unknown(name: &str, known: impl Iterator<Item = String>) -> Unusable {
    Unusable::Unknown {
        nearest: suggest::nearest(name, known),
    }
}

/// As it stands in the tables.
fn normal(name: &str) -> String {
    name.to_ascii_lowercase().replace('_', "-")
}

/// What `--ah` names.
pub(super) fn ah(name: &str) -> Result<Transform, Unusable> {
    let name = normal(name);
    let auth = find_auth(&name).ok_or_else(|| unknown(&name, ah_names()))?;
    Ok(Transform {
        auth: auth.id,
        auth_bits: auth_key_bits(auth),
        ..Transform::default()
    })
}

/// What `--esp` names: a cipher, or a cipher and an authentication with a `-` between.
pub(super) fn esp(name: &str) -> Result<Transform, Unusable> {
    let name = normal(name);
    CIPHERS
        .iter()
        .find_map(|cipher| cipher.read(&name))
        .unwrap_or_else(|| Err(unknown(&name, esp_names())))
}

/// What `--comp` names.
pub(super) fn comp(name: &str) -> Result<Transform, Unusable> {
    let name = normal(name);
    let found = COMPRESSIONS.iter().find(|(known, _)| *known == name);
    match found {
        Some((_, id)) => Ok(Transform {
            encrypt: *id,
            ..Transform::default()
        }),
        None => Err(unknown(
            &name,
            COMPRESSIONS.iter().map(|(known, _)| (*known).to_owned()),
        )),
    }
}

fn ah_names() -> impl Iterator<Item = String> {
    AUTHS
        .iter()
        .flat_map(|auth| auth.names)
        .map(|name| (*name).to_owned())
}

/// Every name of every cipher, with and without the length of its key, alone and with every
/// authentication that it goes with.
fn esp_names() -> impl Iterator<Item = String> {
    CIPHERS.iter().flat_map(|cipher| {
        let auths: Vec<&str> = if cipher.authenticates() {
            NO_AUTH.to_vec()
        } else {
            AUTHS.iter().flat_map(|auth| auth.names).copied().collect()
        };
        let mut names = Vec::new();
        for name in cipher.names.iter().flat_map(|name| cipher.sized(name)) {
            names.extend(auths.iter().map(|auth| format!("{name}-{auth}")));
            if cipher.id != encrypt::NULL {
                names.push(name);
            }
        }
        names
    })
}

/// What `--ah` knows, for messages.
pub(super) fn known_for_ah() -> String {
    joined(AUTHS.iter().map(|auth| auth.names[0]))
}

/// What `--esp` knows, for messages.
pub(super) fn known_for_esp() -> String {
    let ciphers = |authenticating: bool| {
        joined(
            CIPHERS
                .iter()
                .filter(|cipher| cipher.authenticates() == authenticating)
                .map(|cipher| cipher.names[0]),
        )
    };
    format!(
        "{}, each with an authentication after it ({}) or alone; {}",
        ciphers(false),
        joined(AUTHS.iter().map(Auth::suffix)),
        ciphers(true)
    )
}

/// What `--comp` knows, for messages.
pub(super) fn known_for_comp() -> String {
    joined(COMPRESSIONS.iter().map(|(name, _)| *name))
}

fn joined<'a>(names: impl Iterator<Item = &'a str>) -> String {
    names.collect::<Vec<_>>().join(", ")
}
