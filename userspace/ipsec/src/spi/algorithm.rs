// SPDX-License-Identifier: GPL-2.0

//! The names of algorithms, old and new.

use klips::pfkey::{
    SaType,
    algorithm::{self, auth, compress, encrypt},
};

/// The algorithms of an SA, and the cipher's key if its name says how long that is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Transform {
    pub(super) auth: u8,
    pub(super) encrypt: u8,
    encrypt_bits: &'static [u16],
}

impl Transform {
    /// Lengths that the authentication key may have.
    pub(super) fn auth_bits(&self) -> &'static [u16] {
        algorithm::find(SaType::Esp, true, self.auth).map_or(&[], |algorithm| algorithm.key_bits)
    }

    /// Lengths that the encryption key may have.
    pub(super) fn encrypt_bits(&self) -> &'static [u16] {
        self.encrypt_bits
    }

    /// A name to use instead, if it protects nothing at all.
    pub(super) fn lacks_authentication(&self) -> Option<&'static str> {
        let bare = self.encrypt == encrypt::NULL && self.auth == auth::NONE;
        bare.then_some("null-sha1-96")
    }
}

/// Ciphers by name; the first of several that fit is the longest.
const CIPHERS: &[(&str, u8, Option<&[u16]>)] = &[
    ("3des", encrypt::TRIPLE_DES_CBC, None),
    ("aes128", encrypt::AES_CBC, Some(&[128])),
    ("aes192", encrypt::AES_CBC, Some(&[192])),
    ("aes256", encrypt::AES_CBC, Some(&[256])),
    ("aes-128", encrypt::AES_CBC, Some(&[128])),
    ("aes-192", encrypt::AES_CBC, Some(&[192])),
    ("aes-256", encrypt::AES_CBC, Some(&[256])),
    ("aes", encrypt::AES_CBC, None),
    ("null", encrypt::NULL, None),
];

fn authentication(name: &str) -> Option<u8> {
    let name = name.replace('_', "-");
    Some(match name.strip_prefix("hmac-").unwrap_or(&name) {
        "md5" | "md5-96" => auth::MD5_HMAC,
        "sha1" | "sha1-96" => auth::SHA1_HMAC,
        "sha2-256" | "sha2-256-128" | "sha256" | "sha256-128" => auth::SHA2_256_HMAC,
        "sha2-384" | "sha2-384-192" | "sha384" | "sha384-192" => auth::SHA2_384_HMAC,
        "sha2-512" | "sha2-512-256" | "sha512" | "sha512-256" => auth::SHA2_512_HMAC,
        _ => return None,
    })
}

/// What `--ah` names.
pub(super) fn ah(name: &str) -> Option<Transform> {
    Some(Transform {
        auth: authentication(name)?,
        ..Transform::default()
    })
}

/// What `--esp` names: a cipher, or a cipher and an authentication with a `-` between.
pub(super) fn esp(name: &str) -> Option<Transform> {
    CIPHERS.iter().find_map(|&(cipher, id, bits)| {
        let auth = match name.strip_prefix(cipher)? {
            "" => auth::NONE,
            rest => authentication(rest.strip_prefix('-')?)?,
        };
        let known = algorithm::find(SaType::Esp, false, id)?;
        Some(Transform {
            auth,
            encrypt: id,
            encrypt_bits: bits.unwrap_or(known.key_bits),
        })
    })
}

/// What `--comp` names.
pub(super) fn comp(name: &str) -> Option<Transform> {
    Some(Transform {
        encrypt: match name {
            "deflate" => compress::DEFLATE,
            "lzs" => compress::LZS,
            _ => return None,
        },
        ..Transform::default()
    })
}
