// SPDX-License-Identifier: GPL-2.0

//! The keys of a new SA: one for each algorithm that takes one, as long as that wants it.
//!
//! Nothing that is said of a key has any of it in it.

use super::super::{
    algorithm::Transform,
    key::{KeyBytes, KeyKind},
    keyfile::KeyFile,
    wanted::Wanted,
};
use crate::{failure::Failure, given::Given, requests::How, system::System};

/// The keys of an SA.
pub(super) struct Keys {
    pub(super) auth: Option<KeyBytes>,
    pub(super) encrypt: Option<KeyBytes>,
}

/// Reads the keys that the algorithms of `transform` take, which messages call `algorithm`.
pub(super) fn keys(
    options: &Given,
    algorithm: &str,
    transform: &Transform,
    how: How,
    system: &mut impl System,
) -> Result<Keys, Failure> {
    let mut file = match options.text("keyfile") {
        None => KeyFile::default(),
        Some("-") if how.from_stdin => {
            return Err(Failure::usage(
                "--keyfile -: standard input is where the lines of the batch come from.",
            ));
        }
        Some(name) => KeyFile::read(name, system)?,
    };
    let mut key = |kind: KeyKind, bits, salt_bits| {
        let wanted = Wanted {
            kind,
            option: kind.option(),
            algorithm,
            bits,
            salt_bits,
        };
        let given = match (options.text(kind.option()), file.take(kind)) {
            (None, from_file) => from_file,
            (Some(text), None) => Some(kind.parse(text).map_err(Failure::usage)?),
            (Some(_), Some(_)) => {
                return Err(Failure::usage(format!(
                    "{} given twice, by option and in a file.",
                    kind.option()
                )));
            }
        };
        let is_right = wanted.check(given.as_ref());
        is_right.map_err(Failure::usage).map(|()| given)
    };
    Ok(Keys {
        auth: key(KeyKind::Authentication, &transform.auth_bits, 0)?,
        encrypt: key(
            KeyKind::Encryption,
            &transform.encrypt_bits,
            transform.salt_bits,
        )?,
    })
}
