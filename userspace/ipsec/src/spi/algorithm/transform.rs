// SPDX-License-Identifier: GPL-2.0

//! What a name of algorithms means.

/// The algorithms of an SA, and the keys that they take.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Transform {
    pub(in crate::spi) auth: u8,
    pub(in crate::spi) encrypt: u8,
    /// Lengths that the authentication key may have; none if there is no such key.
    pub(in crate::spi) auth_bits: Vec<u16>,
    /// Lengths that the encryption key may have; none if there is no such key.
    pub(in crate::spi) encrypt_bits: Vec<u16>,
    /// How many bits at the end of the encryption key are not the cipher's key but its salt.
    pub(in crate::spi) salt_bits: u16,
}

impl Transform {
    /// Whether it is broken where a key is used again with the same numbers, as after a restart with
    /// keys from a file: the modes that count (RFC 3686, RFC 4106, RFC 4309, RFC 7634).
    pub(crate) fn needs_fresh_keys(&self) -> bool {
        self.salt_bits != 0
    }

    /// Whether it encrypts and does not notice changes.
    pub(crate) fn lacks_authentication(&self) -> bool {
        self.auth == 0 && self.salt_bits == 0
    }
}

/// Why a name is of no use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::spi) enum Unusable {
    /// Nobody knows it; there is one that is spelled nearly so.
    Unknown { nearest: Option<String> },
    /// It authenticates with two algorithms, the first of which is this cipher.
    Twice(&'static str),
    /// It protects nothing at all.
    Nothing,
}
