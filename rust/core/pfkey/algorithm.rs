// SPDX-License-Identifier: GPL-2.0

//! The algorithms that an SA can have, in one table: numbers, key sizes, names (reference 1.7).

use super::types::SaType;

/// Authentication algorithm numbers.
pub mod auth {
    /// No authentication.
    pub const NONE: u8 = 0;
    /// HMAC-MD5.
    pub const MD5_HMAC: u8 = 2;
    /// HMAC-SHA1.
    pub const SHA1_HMAC: u8 = 3;
    /// HMAC-SHA2-256.
    pub const SHA2_256_HMAC: u8 = 5;
    /// HMAC-SHA2-384.
    pub const SHA2_384_HMAC: u8 = 6;
    /// HMAC-SHA2-512.
    pub const SHA2_512_HMAC: u8 = 7;
    /// Largest number that KLIPS 2.4 lets pass.
    pub const MAX: u8 = 251;
}

/// Encryption algorithm numbers.
pub mod encrypt {
    /// No encryption.
    pub const NONE: u8 = 0;
    /// Triple DES in CBC mode.
    pub const TRIPLE_DES_CBC: u8 = 3;
    /// The null cipher.
    pub const NULL: u8 = 11;
    /// AES in CBC mode.
    pub const AES_CBC: u8 = 12;
}

/// Compression algorithm numbers.
pub mod compress {
    /// DEFLATE (RFC 2394).
    pub const DEFLATE: u8 = 2;
    /// LZS.
    pub const LZS: u8 = 3;
}

/// What an algorithm does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Authentication, by AH or ESP.
    Auth,
    /// Encryption, by ESP.
    Encrypt,
    /// Compression, by COMP.
    Compress,
}

/// An algorithm and the keys that it takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Algorithm {
    /// What it does.
    pub purpose: Purpose,
    /// Its number in `sadb_sa_auth` or `sadb_sa_encrypt`.
    pub id: u8,
    /// Key lengths that are accepted, in bits.
    pub key_bits: &'static [u16],
    /// Its name in `/proc/net/ipsec_spi`, with the underscore that precedes it.
    pub proc_name: &'static str,
}

const fn algorithm(
    purpose: Purpose,
    id: u8,
    key_bits: &'static [u16],
    proc_name: &'static str,
) -> Algorithm {
    Algorithm {
        purpose,
        id,
        key_bits,
        proc_name,
    }
}

/// Every algorithm that ADD and UPDATE accept.
pub const ALGORITHMS: &[Algorithm] = &[
    algorithm(Purpose::Auth, auth::MD5_HMAC, &[128], "_HMAC_MD5"),
    algorithm(Purpose::Auth, auth::SHA1_HMAC, &[160], "_HMAC_SHA1"),
    algorithm(Purpose::Auth, auth::SHA2_256_HMAC, &[256], "_HMAC_SHA2_256"),
    algorithm(Purpose::Auth, auth::SHA2_384_HMAC, &[384], "_HMAC_SHA2_384"),
    algorithm(Purpose::Auth, auth::SHA2_512_HMAC, &[512], "_HMAC_SHA2_512"),
    algorithm(Purpose::Encrypt, encrypt::TRIPLE_DES_CBC, &[192], "_3DES"),
    algorithm(Purpose::Encrypt, encrypt::NULL, &[0], "_NULL"),
    algorithm(Purpose::Encrypt, encrypt::AES_CBC, &[128, 192, 256], "_AES"),
    algorithm(Purpose::Compress, compress::DEFLATE, &[0], "_DEFLATE"),
    algorithm(Purpose::Compress, compress::LZS, &[0], "_LZS"),
];

/// Finds an algorithm.
pub fn find(purpose: Purpose, id: u8) -> Option<&'static Algorithm> {
    ALGORITHMS
        .iter()
        .find(|algorithm| algorithm.purpose == purpose && algorithm.id == id)
}

/// Why an SA's algorithms and keys don't go together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AlgorithmError {
    /// The encryption algorithm is not known; KLIPS answers ENOENT, and pluto's message for it
    /// says so.
    UnknownCipher,
    /// Another algorithm is not known, or a key has the wrong length.
    Mismatch,
}

/// Checks that algorithms and keys go together (reference 4.7). Lengths in bits, 0 for no key.
pub fn check(
    satype: SaType,
    auth: u8,
    auth_bits: u16,
    encrypt: u8,
    encrypt_bits: u16,
) -> Result<(), AlgorithmError> {
    let fits = |purpose, id, bits| {
        find(purpose, id).is_some_and(|algorithm| algorithm.key_bits.contains(&bits))
    };
    let ok = match satype {
        // The algorithm fields of a tunnel mean nothing, and any compression passes, as in KLIPS.
        SaType::IpIp | SaType::Comp => true,
        SaType::Ah => fits(Purpose::Auth, auth, auth_bits),
        SaType::Esp => {
            if find(Purpose::Encrypt, encrypt).is_none() {
                return Err(AlgorithmError::UnknownCipher);
            }
            fits(Purpose::Encrypt, encrypt, encrypt_bits)
                && (auth == auth::NONE || fits(Purpose::Auth, auth, auth_bits))
        }
        SaType::Int => false,
    };
    match ok {
        true => Ok(()),
        false => Err(AlgorithmError::Mismatch),
    }
}
