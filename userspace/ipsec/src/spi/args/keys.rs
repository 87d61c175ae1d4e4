// SPDX-License-Identifier: GPL-2.0

//! The keys of a new SA: one for each algorithm that takes one, as long as that wants it.
//!
//! Nothing that is said of a key has any of it in it.

use super::super::{
    algorithm::Transform,
    key::{KeyBytes, KeyKind},
    keyfile::KeyFile,
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
        wanted.check(given)
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

/// What key is wanted.
struct Wanted<'a> {
    kind: KeyKind,
    algorithm: &'a str,
    /// Lengths that it may have; none if there must be no key.
    bits: &'a [u16],
    salt_bits: u16,
}

impl Wanted<'_> {
    fn check(&self, given: Option<KeyBytes>) -> Result<Option<KeyBytes>, Failure> {
        let (option, word) = (self.kind.option(), self.kind.word());
        let complaint = match (&given, self.bits) {
            (None, []) => return Ok(None),
            (Some(_), []) => format!(
                "{option} given, but {} takes no {word} key.",
                self.algorithm
            ),
            (None, _) => format!("no {option} given; {}.", self.lengths()),
            (Some(key), bits) if bits.iter().any(|bits| key.len() * 8 == usize::from(*bits)) => {
                return Ok(given);
            }
            (Some(key), _) => format!("{}, got {}.", self.lengths(), key.len()),
        };
        Err(Failure::usage(complaint))
    }

    /// How long it has to be.
    fn lengths(&self) -> String {
        let bytes: Vec<_> = self
            .bits
            .iter()
            .map(|bits| (bits / 8).to_string())
            .collect();
        let bytes = match bytes.as_slice() {
            [some @ .., last] if !some.is_empty() => format!("{} or {last}", some.join(", ")),
            bytes => bytes.concat(),
        };
        let salt = match self.salt_bits / 8 {
            0 => String::new(),
            salt => format!(", with the salt of {salt} bytes at its end"),
        };
        format!(
            "the {} key for {} has {bytes} bytes{salt}",
            self.kind.word(),
            self.algorithm
        )
    }
}
