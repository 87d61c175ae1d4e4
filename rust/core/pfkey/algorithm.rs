// SPDX-License-Identifier: GPL-2.0

//! The algorithms that an SA can have, in one table: numbers, key sizes, names (reference 1.7 and
//! 3.6). ADD and UPDATE check against it, REGISTER and the files in `/proc/net` are made from it.

use super::types::SaType;

/// Authentication algorithm numbers.
pub mod auth {
    /// No authentication.
    pub const NONE: u8 = 0;
    /// HMAC-MD5.
    pub const MD5_HMAC: u8 = 2;
    /// HMAC-SHA1.
    pub const SHA1_HMAC: u8 = 3;
    /// HMAC-SHA2-256 with an ICV of 16 bytes (RFC 4868).
    pub const SHA2_256_HMAC: u8 = 5;
    /// HMAC-SHA2-384.
    pub const SHA2_384_HMAC: u8 = 6;
    /// HMAC-SHA2-512.
    pub const SHA2_512_HMAC: u8 = 7;
    /// AES-XCBC-MAC.
    pub const AES_XCBC_MAC: u8 = 9;
    /// AES-CMAC, the number of libreswan.
    pub const AES_CMAC: u8 = 250;
    /// Null authentication.
    pub const NULL: u8 = 251;
    /// HMAC-SHA2-256 with an ICV of 12 bytes, which is what KLIPS had under 5; the number of libreswan.
    pub const SHA2_256_96_HMAC: u8 = 252;
    /// Largest number that passes; KLIPS 2.4 had 251.
    pub const MAX: u8 = 252;
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
    /// AES in counter mode (RFC 3686).
    pub const AES_CTR: u8 = 13;
    /// AES-CCM with an ICV of 8 bytes (RFC 4309).
    pub const AES_CCM_8: u8 = 14;
    /// AES-CCM with an ICV of 12 bytes.
    pub const AES_CCM_12: u8 = 15;
    /// AES-CCM with an ICV of 16 bytes.
    pub const AES_CCM_16: u8 = 16;
    /// AES-GCM with an ICV of 8 bytes (RFC 4106).
    pub const AES_GCM_8: u8 = 18;
    /// AES-GCM with an ICV of 12 bytes.
    pub const AES_GCM_12: u8 = 19;
    /// AES-GCM with an ICV of 16 bytes.
    pub const AES_GCM_16: u8 = 20;
    /// ChaCha20-Poly1305 (RFC 7634). PF_KEY never had a number for it; this is its IKEv2 one.
    pub const CHACHA20_POLY1305: u8 = 28;
}

/// Compression algorithm numbers.
pub mod compress {
    /// DEFLATE (RFC 2394).
    pub const DEFLATE: u8 = 2;
    /// LZS.
    #[cfg(not(MODULE))]
    pub const LZS: u8 = 3;
}

/// What an algorithm does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Authentication, by AH or ESP.
    Auth,
    /// Encryption, by ESP.
    Encrypt,
    /// Encryption with authentication in one, by ESP.
    Combined,
    /// Compression, by COMP.
    Compress,
    /// Encapsulation, by tunnels.
    Tunnel,
}

/// An algorithm and the keys that it takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Algorithm {
    /// What it does.
    pub purpose: Purpose,
    /// Its number in `sadb_sa_auth` or `sadb_sa_encrypt`.
    pub id: u8,
    /// Key lengths that are accepted, in bits; salts and nonces count.
    pub key_bits: &'static [u16],
    /// Length of its IV in bits, as REGISTER tells it.
    pub iv_bits: u8,
    /// Shortest and longest key in bits, as REGISTER tells them; salts don't count.
    pub told_bits: (u16, u16),
    /// Its name in `/proc/net/ipsec_spi`, with the underscore that precedes it.
    pub proc_name: &'static str,
}

const fn keyed(
    purpose: Purpose,
    id: u8,
    key_bits: &'static [u16],
    iv_bits: u8,
    proc_name: &'static str,
) -> Algorithm {
    Algorithm {
        purpose,
        id,
        key_bits,
        iv_bits,
        told_bits: (key_bits[0], key_bits[key_bits.len() - 1]),
        proc_name,
    }
}

const fn told(algorithm: Algorithm, min: u16, max: u16) -> Algorithm {
    Algorithm {
        told_bits: (min, max),
        ..algorithm
    }
}

const fn tunnel(id: u8, min: u16, max: u16) -> Algorithm {
    told(keyed(Purpose::Tunnel, id, &[0], 0, ""), min, max)
}

/// AES in a mode that authenticates as well. `sadb_alg` has the length of the cipher's key, and the
/// salt that follows it in `sadb_key` is none of that (RFC 4106 section 8.1, RFC 4309 section 7.1).
/// Mainline's `af_key` tells the same, and of AES-CTR the length with the nonce.
const fn aes_aead(id: u8, key_bits: &'static [u16], proc_name: &'static str) -> Algorithm {
    told(
        keyed(Purpose::Combined, id, key_bits, 64, proc_name),
        128,
        256,
    )
}

/// Key lengths of AES.
const AES: &[u16] = &[128, 192, 256];
/// Key lengths of AES with a salt of 3 bytes.
const AES_SALT_24: &[u16] = &[152, 216, 280];
/// Key lengths of AES with a salt or nonce of 4 bytes.
const AES_SALT_32: &[u16] = &[160, 224, 288];

/// Every algorithm that there is, those that KLIPS had built in first.
#[rustfmt::skip]
pub const ALGORITHMS: &[Algorithm] = &[
    keyed(Purpose::Auth, auth::MD5_HMAC, &[128], 0, "_HMAC_MD5"),
    keyed(Purpose::Auth, auth::SHA1_HMAC, &[160], 0, "_HMAC_SHA1"),
    keyed(Purpose::Auth, auth::SHA2_256_HMAC, &[256], 0, "_HMAC_SHA2_256"),
    keyed(Purpose::Auth, auth::SHA2_384_HMAC, &[384], 0, "_HMAC_SHA2_384"),
    keyed(Purpose::Auth, auth::SHA2_512_HMAC, &[512], 0, "_HMAC_SHA2_512"),
    keyed(Purpose::Auth, auth::AES_XCBC_MAC, &[128], 0, "_AES_XCBC"),
    keyed(Purpose::Auth, auth::AES_CMAC, &[128], 0, "_AES_CMAC"),
    keyed(Purpose::Auth, auth::SHA2_256_96_HMAC, &[256], 0, "_HMAC_SHA2_256_96"),
    // KLIPS counts the bits of the key that are not parity.
    told(keyed(Purpose::Encrypt, encrypt::TRIPLE_DES_CBC, &[192], 64, "_3DES"), 168, 168),
    keyed(Purpose::Encrypt, encrypt::NULL, &[0], 0, "_NULL"),
    keyed(Purpose::Encrypt, encrypt::AES_CBC, AES, 128, "_AES"),
    keyed(Purpose::Encrypt, encrypt::AES_CTR, AES_SALT_32, 64, "_AES_CTR"),
    aes_aead(encrypt::AES_CCM_8, AES_SALT_24, "_AES_CCM_8"),
    aes_aead(encrypt::AES_CCM_12, AES_SALT_24, "_AES_CCM_12"),
    aes_aead(encrypt::AES_CCM_16, AES_SALT_24, "_AES_CCM_16"),
    aes_aead(encrypt::AES_GCM_8, AES_SALT_32, "_AES_GCM_8"),
    aes_aead(encrypt::AES_GCM_12, AES_SALT_32, "_AES_GCM_12"),
    aes_aead(encrypt::AES_GCM_16, AES_SALT_32, "_AES_GCM_16"),
    // With a salt as well (RFC 7634 section 2).
    told(
        keyed(Purpose::Combined, encrypt::CHACHA20_POLY1305, &[288], 64, "_CHACHA20_POLY1305"),
        256,
        256,
    ),
    told(keyed(Purpose::Compress, compress::DEFLATE, &[0], 0, "_DEFLATE"), 1, 1),
    tunnel(1, 32, 32),
    tunnel(2, 128, 32),
    tunnel(3, 32, 128),
    tunnel(4, 128, 128),
];

impl Algorithm {
    /// Whether SAs of this type can have it.
    pub const fn suits(&self, satype: SaType) -> bool {
        matches!(
            (satype, self.purpose),
            (SaType::Ah, Purpose::Auth)
                | (
                    SaType::Esp,
                    Purpose::Auth | Purpose::Encrypt | Purpose::Combined
                )
                | (SaType::Comp, Purpose::Compress)
                | (SaType::IpIp, Purpose::Tunnel)
        )
    }

    /// Whether SAs of this type can have it for authentication, or for anything else.
    fn serves(&self, satype: SaType, for_auth: bool) -> bool {
        self.suits(satype) && (self.purpose == Purpose::Auth) == for_auth
    }
}

/// The algorithms that SAs of this type can have for authentication, or for anything else, the
/// latest first, as REGISTER and `/proc/net/pf_key_supported` list them.
pub fn supported(satype: SaType, for_auth: bool) -> impl Iterator<Item = &'static Algorithm> {
    let all = ALGORITHMS.iter().rev();
    all.filter(move |algorithm| algorithm.serves(satype, for_auth))
}

/// Finds what SAs of this type have under the number of an authentication algorithm, or of any
/// other.
pub fn find(satype: SaType, for_auth: bool, id: u8) -> Option<&'static Algorithm> {
    // Its number first, for few others have the same.
    ALGORITHMS
        .iter()
        .find(|algorithm| algorithm.id == id && algorithm.serves(satype, for_auth))
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

/// Checks that algorithms and keys go together (reference 4.7). Lengths in bits, 0 for no key. A
/// key that nothing would be done with is refused: it would be kept for nothing.
pub fn check(
    satype: SaType,
    auth: u8,
    auth_bits: u16,
    encrypt: u8,
    encrypt_bits: u16,
) -> Result<(), AlgorithmError> {
    let authenticates = || {
        find(satype, true, auth).is_some_and(|algorithm| algorithm.key_bits.contains(&auth_bits))
    };
    let ok = match satype {
        // The algorithm fields of a tunnel mean nothing, and any compression passes, as in KLIPS.
        SaType::IpIp | SaType::Comp => auth_bits == 0 && encrypt_bits == 0,
        SaType::Ah => authenticates() && encrypt_bits == 0,
        SaType::Esp => {
            let cipher = find(satype, false, encrypt).ok_or(AlgorithmError::UnknownCipher)?;
            cipher.key_bits.contains(&encrypt_bits)
                && match (auth, cipher.purpose) {
                    (auth::NONE, _) => auth_bits == 0,
                    // It authenticates by itself.
                    (_, Purpose::Combined) => false,
                    (auth::NULL, _) => auth_bits == 0 && encrypt != encrypt::NULL,
                    _ => authenticates(),
                }
        }
        SaType::Int => false,
    };
    if ok {
        Ok(())
    } else {
        Err(AlgorithmError::Mismatch)
    }
}
