// SPDX-License-Identifier: GPL-2.0

//! Keys as text: `0x` hexadecimal, `0s` base64, `0t` text, by the rules of KLIPS's `ttodata`.

use data_encoding::{BASE64, HEXLOWER_PERMISSIVE};
use zeroize::Zeroizing;

/// A key, wiped when it is no longer needed.
pub(crate) type KeyBytes = Zeroizing<Vec<u8>>;

/// What a key is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum KeyKind {
    Authentication,
    Encryption,
}

impl KeyKind {
    /// Both.
    pub(super) const ALL: [KeyKind; 2] = [KeyKind::Authentication, KeyKind::Encryption];

    /// The option that gives it, and the word for it in a file of keys.
    pub(super) const fn option(self) -> &'static str {
        match self {
            KeyKind::Authentication => "authkey",
            KeyKind::Encryption => "enckey",
        }
    }

    /// The word for it in messages.
    pub(super) const fn word(self) -> &'static str {
        match self {
            KeyKind::Authentication => "authentication",
            KeyKind::Encryption => "encryption",
        }
    }

    /// Reads a key of this kind. What is wrong with it is told without any of it.
    pub(super) fn parse(self, text: &str) -> Result<KeyBytes, String> {
        decode(text).map_err(|error| match (error, self) {
            (KeyError::Prefix, KeyKind::Authentication) => format!("Authentication key {PREFIX}"),
            (KeyError::Prefix, KeyKind::Encryption) => format!("Encryption key {PREFIX}"),
            (KeyError::Syntax, kind) => {
                format!("unknown format or syntax error in {} key.", kind.word())
            }
        })
    }
}

const PREFIX: &str = "must have a '0x', '0t' or '0s' prefix to select the format.";

#[derive(Clone, Copy)]
enum KeyError {
    /// A 0, and then neither `x`, `s` nor `t`.
    Prefix,
    /// Anything else.
    Syntax,
}

fn decode(text: &str) -> Result<KeyBytes, KeyError> {
    let (format, digits) = match text.as_bytes() {
        [b'0', format @ (b'x' | b's' | b't'), digits @ ..] => (format, digits),
        [b'0', ..] => return Err(KeyError::Prefix),
        _ => return Err(KeyError::Syntax),
    };
    let grouped = |size| without_separators(digits, size).ok_or(KeyError::Syntax);
    let bytes = match format {
        b'x' => HEXLOWER_PERMISSIVE.decode(&grouped(2)?),
        b's' => BASE64.decode(&grouped(4)?),
        _ => Ok(digits.to_vec()),
    };
    match bytes {
        Ok(bytes) if !bytes.is_empty() => Ok(Zeroizing::new(bytes)),
        Ok(_) | Err(_) => Err(KeyError::Syntax),
    }
}

/// Takes out the underscores, of which there may be one between two groups of digits. `None` if the
/// last group is not whole.
fn without_separators(digits: &[u8], size: usize) -> Option<Zeroizing<Vec<u8>>> {
    let mut kept = Zeroizing::new(Vec::with_capacity(digits.len()));
    let mut rest = digits;
    while !rest.is_empty() {
        let (group, after) = rest.split_at_checked(size)?;
        kept.extend_from_slice(group);
        rest = after.strip_prefix(b"_").unwrap_or(after);
        if rest.is_empty() && !after.is_empty() {
            return None;
        }
    }
    Some(kept)
}
