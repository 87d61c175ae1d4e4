// SPDX-License-Identifier: GPL-2.0

//! The tables of names, and how a name of a cipher is taken apart.

use super::transform::{Transform, Unusable};
use klips::pfkey::{
    SaType,
    algorithm::{self, Purpose, auth, compress, encrypt},
};

/// A way to authenticate. The first name is the one that is printed.
pub(super) struct Auth {
    pub(super) id: u8,
    pub(super) names: &'static [&'static str],
}

#[rustfmt::skip]
pub(super) const AUTHS: &[Auth] = &[
    Auth { id: auth::MD5_HMAC, names: &["hmac-md5-96", "hmac-md5", "md5-96", "md5"] },
    Auth { id: auth::SHA1_HMAC, names: &[
        "hmac-sha1-96", "hmac-sha1", "sha1-96", "sha1", "sha",
    ] },
    Auth { id: auth::SHA2_256_HMAC, names: &[
        "hmac-sha2-256-128", "hmac-sha2-256", "hmac-sha256-128", "hmac-sha256",
        "sha2-256-128", "sha2-256", "sha256-128", "sha256", "sha2",
    ] },
    // What KLIPS took the name without a length for; of today's ends few do.
    Auth { id: auth::SHA2_256_96_HMAC, names: &[
        "hmac-sha2-256-96", "hmac-sha256-96", "sha2-256-96", "sha256-96",
    ] },
    Auth { id: auth::SHA2_384_HMAC, names: &[
        "hmac-sha2-384-192", "hmac-sha2-384", "hmac-sha384-192", "hmac-sha384",
        "sha2-384-192", "sha2-384", "sha384-192", "sha384",
    ] },
    Auth { id: auth::SHA2_512_HMAC, names: &[
        "hmac-sha2-512-256", "hmac-sha2-512", "hmac-sha512-256", "hmac-sha512",
        "sha2-512-256", "sha2-512", "sha512-256", "sha512",
    ] },
    Auth { id: auth::AES_XCBC_MAC, names: &[
        "aes-xcbc-96", "aes-xcbc", "aes-xcbc-mac-96", "aes-xcbc-mac",
    ] },
    Auth { id: auth::AES_CMAC, names: &["aes-cmac-96", "aes-cmac"] },
];

/// What stands in the place of an authentication where there is none.
pub(super) const NO_AUTH: [&str; 2] = ["null", "none"];

/// A cipher. The first name is the one that is printed.
pub(super) struct Cipher {
    pub(super) id: u8,
    /// How many bits the salt has that follows the key in `sadb_key`; RFC 3686 calls it a nonce.
    pub(super) salt_bits: u16,
    pub(super) names: &'static [&'static str],
}

#[rustfmt::skip]
pub(super) const CIPHERS: &[Cipher] = &[
    Cipher { id: encrypt::TRIPLE_DES_CBC, salt_bits: 0, names: &["3des", "3des-cbc"] },
    Cipher { id: encrypt::NULL, salt_bits: 0, names: &["null"] },
    Cipher { id: encrypt::AES_CBC, salt_bits: 0, names: &["aes", "aes-cbc"] },
    Cipher { id: encrypt::AES_CTR, salt_bits: 32, names: &["aes-ctr"] },
    Cipher { id: encrypt::AES_CCM_8, salt_bits: 24, names: &["aes-ccm-8", "aes-ccm-a"] },
    Cipher { id: encrypt::AES_CCM_12, salt_bits: 24, names: &["aes-ccm-12", "aes-ccm-b"] },
    // Without a word about its ICV it is the one of 16 bytes, as in libreswan.
    Cipher { id: encrypt::AES_CCM_16, salt_bits: 24, names: &[
        "aes-ccm-16", "aes-ccm-c", "aes-ccm",
    ] },
    Cipher { id: encrypt::AES_GCM_8, salt_bits: 32, names: &["aes-gcm-8", "aes-gcm-a"] },
    Cipher { id: encrypt::AES_GCM_12, salt_bits: 32, names: &["aes-gcm-12", "aes-gcm-b"] },
    Cipher { id: encrypt::AES_GCM_16, salt_bits: 32, names: &[
        "aes-gcm-16", "aes-gcm-c", "aes-gcm",
    ] },
    Cipher { id: encrypt::CHACHA20_POLY1305, salt_bits: 32, names: &["chacha20-poly1305"] },
];

/// Compressions by name.
pub(super) const COMPRESSIONS: [(&str, u8); 2] =
    [("deflate", compress::DEFLATE), ("lzs", compress::LZS)];

impl Auth {
    /// Its name after that of a cipher.
    pub(super) fn suffix(&self) -> &'static str {
        self.names[0].strip_prefix("hmac-").unwrap_or(self.names[0])
    }
}

impl Cipher {
    fn in_table(&self) -> Option<&'static algorithm::Algorithm> {
        algorithm::find(SaType::Esp, false, self.id)
    }

    /// Lengths that its key may have, salt included; none if it takes no key.
    pub(super) fn key_bits(&self) -> impl Iterator<Item = u16> {
        let known = self.in_table().map_or(&[][..], |known| known.key_bits);
        known.iter().copied().filter(|bits| *bits != 0)
    }

    /// One of its names as it is and, if there is a choice, with every length of its key.
    pub(super) fn sized(&self, name: &str) -> Vec<String> {
        let separator = if name.ends_with(|c: char| c.is_ascii_digit()) {
            "-"
        } else {
            ""
        };
        let sizes = self
            .key_bits()
            .map(|bits| format!("{name}{separator}{}", bits - self.salt_bits));
        let mut names = vec![name.to_owned()];
        match self.key_bits().count() {
            0 | 1 => (),
            _ => names.extend(sizes),
        }
        names
    }

    /// Whether it authenticates as well.
    pub(super) fn authenticates(&self) -> bool {
        self.in_table()
            .is_some_and(|known| known.purpose == Purpose::Combined)
    }

    /// What `name` asks for, if it begins with a name of this cipher: that may be followed by the
    /// length of the key in bits, with the salt or without, and by an authentication.
    pub(super) fn read(&self, name: &str) -> Option<Result<Transform, Unusable>> {
        self.names.iter().find_map(|own| {
            let rest = name.strip_prefix(own)?;
            // Which number is which?
            let ends_in_digit = own.ends_with(|c: char| c.is_ascii_digit());
            if ends_in_digit && rest.starts_with(|c: char| c.is_ascii_digit()) {
                return None;
            }
            let (encrypt_bits, rest) = match split_size(rest) {
                None => (self.key_bits().collect(), rest),
                Some((size, rest)) => {
                    let fits = |bits: &u16| *bits == size || *bits - self.salt_bits == size;
                    (vec![self.key_bits().find(fits)?], rest)
                }
            };
            let auth = match rest {
                "" => None,
                rest => find_auth_or_none(rest.strip_prefix('-')?)?,
            };
            Some(match (auth, self.id) {
                (Some(_), _) if self.authenticates() => Err(Unusable::Twice(self.names[0])),
                (None, encrypt::NULL) => Err(Unusable::Nothing),
                _ => Ok(Transform {
                    auth: auth.map_or(auth::NONE, |auth| auth.id),
                    encrypt: self.id,
                    auth_bits: auth.map_or(Vec::new(), auth_key_bits),
                    encrypt_bits,
                    salt_bits: self.salt_bits,
                }),
            })
        })
    }
}

/// A length of a key, with a `-` before it or not, and what follows it.
fn split_size(text: &str) -> Option<(u16, &str)> {
    let text = text.strip_prefix('-').unwrap_or(text);
    let end = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    Some((text[..end].parse().ok()?, &text[end..]))
}

pub(super) fn find_auth(name: &str) -> Option<&'static Auth> {
    AUTHS.iter().find(|auth| auth.names.contains(&name))
}

/// An authentication or, as `Some(None)`, the word that there is none.
fn find_auth_or_none(name: &str) -> Option<Option<&'static Auth>> {
    if NO_AUTH.contains(&name) {
        Some(None)
    } else {
        find_auth(name).map(Some)
    }
}

pub(super) fn auth_key_bits(auth: &Auth) -> Vec<u16> {
    algorithm::find(SaType::Esp, true, auth.id).map_or(Vec::new(), |known| known.key_bits.to_vec())
}
