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
