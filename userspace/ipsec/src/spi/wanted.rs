// SPDX-License-Identifier: GPL-2.0

//! Whether algorithms and keys are what an SA can have, wherever they are named: in options or in a
//! file of connections. Nothing that is said of a key has any of it in it.

use super::{
    algorithm::{self, Transform, Unusable},
    key::{KeyBytes, KeyKind},
};

/// The algorithms that `--ah`, `--esp` or `--comp` name, without the dashes. Messages call them
/// `typed`, and say that they are what `follows`.
pub(crate) fn transform(
    action: &str,
    name: &str,
    typed: &str,
    follows: &str,
) -> Result<Transform, String> {
    let (result, complaint, known) = match action {
        "ah" => (
            algorithm::ah(name),
            "Unknown authentication algorithm",
            algorithm::known_for_ah(),
        ),
        "esp" => (
            algorithm::esp(name),
            "Invalid encryption algorithm",
            algorithm::known_for_esp(),
        ),
        _ => (
            algorithm::comp(name),
            "Unknown compression algorithm",
            algorithm::known_for_comp(),
        ),
    };
    result.map_err(|why| match why {
        Unusable::Unknown { nearest } => {
            let hint = nearest.map_or(String::new(), |near| format!("  Did you mean '{near}'?"));
            format!("{complaint} '{name}'{follows}.{hint}  Known: {known}.")
        }
        Unusable::Twice(cipher) => {
            format!(
                "{typed}: {cipher} authenticates by itself; leave the other authentication out."
            )
        }
        Unusable::Nothing => format!("{typed} needs authentication, as in null-sha1-96."),
    })
}

/// Whether a key is what algorithms take, which messages call by these names.
pub(crate) fn key(
    kind: KeyKind,
    option: &str,
    algorithm: &str,
    transform: &Transform,
    text: Option<&str>,
) -> Result<(), String> {
    let given = text.map(|text| kind.parse(text)).transpose()?;
    let (bits, salt_bits) = match kind {
        KeyKind::Authentication => (&transform.auth_bits, 0),
        KeyKind::Encryption => (&transform.encrypt_bits, transform.salt_bits),
    };
    let wanted = Wanted {
        kind,
        option,
        algorithm,
        bits,
        salt_bits,
    };
    wanted.check(given.as_ref())
}

/// What key is wanted.
pub(super) struct Wanted<'a> {
    pub(super) kind: KeyKind,
    /// What gives it.
    pub(super) option: &'a str,
    pub(super) algorithm: &'a str,
    /// Lengths that it may have; none if there must be no key.
    pub(super) bits: &'a [u16],
    pub(super) salt_bits: u16,
}

impl Wanted<'_> {
    /// Whether it is the one that is given, or what is wrong otherwise.
    pub(super) fn check(&self, given: Option<&KeyBytes>) -> Result<(), String> {
        let (option, word) = (self.option, self.kind.word());
        match (given, self.bits) {
            (None, []) => Ok(()),
            (Some(_), []) => Err(format!(
                "{option} given, but {} takes no {word} key.",
                self.algorithm
            )),
            (None, _) => Err(format!("no {option} given; {}.", self.lengths())),
            (Some(key), bits) if bits.iter().any(|bits| key.len() * 8 == usize::from(*bits)) => {
                Ok(())
            }
            (Some(key), _) => Err(format!("{}, got {}.", self.lengths(), key.len())),
        }
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
