// SPDX-License-Identifier: GPL-2.0

//! The names of algorithms, old and new.
//!
//! Numbers and key lengths are those of [`klips::pfkey::algorithm`]; here is what people call them:
//! the names of the original `spi`, the algorithm strings of Openswan and libreswan (`aes128-sha1`,
//! `aes_gcm_c-256-null`), and those of RFCs. Case does not matter, and `_` is as good as `-`.

use klips::pfkey::{
    SaType,
    algorithm::{self, Purpose, auth, compress, encrypt},
};
use serde::Serialize;

/// The algorithms of an SA, and the keys that they take.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Transform {
    pub(super) auth: u8,
    pub(super) encrypt: u8,
    /// Lengths that the authentication key may have; none if there is no such key.
    pub(super) auth_bits: Vec<u16>,
    /// Lengths that the encryption key may have; none if there is no such key.
    pub(super) encrypt_bits: Vec<u16>,
    /// How many bits at the end of the encryption key are not the cipher's key but its salt.
    pub(super) salt_bits: u16,
}

/// A way to authenticate. The first name is the one that is printed.
struct Auth {
    id: u8,
    names: &'static [&'static str],
}

#[rustfmt::skip]
const AUTHS: &[Auth] = &[
    Auth { id: auth::MD5_HMAC, names: &["hmac-md5-96", "hmac-md5", "md5-96", "md5"] },
    Auth { id: auth::SHA1_HMAC, names: &[
        "hmac-sha1-96", "hmac-sha1", "sha1-96", "sha1", "sha",
    ] },
    Auth { id: auth::SHA2_256_HMAC, names: &[
        "hmac-sha2-256-128", "hmac-sha2-256", "hmac-sha256-128", "hmac-sha256",
        "sha2-256-128", "sha2-256", "sha256-128", "sha256", "sha2",
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
const NO_AUTH: [&str; 2] = ["null", "none"];

/// A cipher. The first name is the one that is printed.
struct Cipher {
    id: u8,
    /// How many bits the salt has that follows the key in `sadb_key`; RFC 3686 calls it a nonce.
    salt_bits: u16,
    names: &'static [&'static str],
}

#[rustfmt::skip]
const CIPHERS: &[Cipher] = &[
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
const COMPRESSIONS: [(&str, u8); 2] = [("deflate", compress::DEFLATE), ("lzs", compress::LZS)];

impl Auth {
    /// Its name after that of a cipher.
    fn suffix(&self) -> &'static str {
        self.names[0].strip_prefix("hmac-").unwrap_or(self.names[0])
    }
}

impl Cipher {
    fn in_table(&self) -> Option<&'static algorithm::Algorithm> {
        algorithm::find(SaType::Esp, false, self.id)
    }

    /// Lengths that its key may have, salt included; none if it takes no key.
    fn key_bits(&self) -> impl Iterator<Item = u16> {
        let known = self.in_table().map_or(&[][..], |known| known.key_bits);
        known.iter().copied().filter(|bits| *bits != 0)
    }

    /// One of its names as it is and, if there is a choice, with every length of its key.
    fn sized(&self, name: &str) -> Vec<String> {
        let separator = match name.ends_with(|c: char| c.is_ascii_digit()) {
            true => "-",
            false => "",
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
    fn authenticates(&self) -> bool {
        self.in_table()
            .is_some_and(|known| known.purpose == Purpose::Combined)
    }

    /// What `name` asks for, if it begins with a name of this cipher: that may be followed by the
    /// length of the key in bits, with the salt or without, and by an authentication.
    fn read(&self, name: &str) -> Option<Result<Transform, Unusable>> {
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

fn find_auth(name: &str) -> Option<&'static Auth> {
    AUTHS.iter().find(|auth| auth.names.contains(&name))
}

/// An authentication or, as `Some(None)`, the word that there is none.
fn find_auth_or_none(name: &str) -> Option<Option<&'static Auth>> {
    match NO_AUTH.contains(&name) {
        true => Some(None),
        false => find_auth(name).map(Some),
    }
}

fn auth_key_bits(auth: &Auth) -> Vec<u16> {
    algorithm::find(SaType::Esp, true, auth.id).map_or(Vec::new(), |known| known.key_bits.to_vec())
}

/// Why a name is of no use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Unusable {
    /// Nobody knows it; there is one that is spelled nearly so.
    Unknown { nearest: Option<String> },
    /// It authenticates with two algorithms, the first of which is this cipher.
    Twice(&'static str),
    /// It protects nothing at all.
    Nothing,
}

fn unknown(name: &str, known: impl Iterator<Item = String>) -> Unusable {
    let near = known
        .map(|known| (strsim::damerau_levenshtein(name, &known), known))
        .min_by_key(|(distance, _)| *distance);
    Unusable::Unknown {
        nearest: near
            .filter(|(distance, _)| *distance <= name.len().div_ceil(4))
            .map(|(_, known)| known),
    }
}

/// As it stands in the tables.
fn normal(name: &str) -> String {
    name.to_ascii_lowercase().replace('_', "-")
}

/// What `--ah` names.
pub(super) fn ah(name: &str) -> Result<Transform, Unusable> {
    let name = normal(name);
    let auth = find_auth(&name).ok_or_else(|| unknown(&name, ah_names()))?;
    Ok(Transform {
        auth: auth.id,
        auth_bits: auth_key_bits(auth),
        ..Transform::default()
    })
}

/// What `--esp` names: a cipher, or a cipher and an authentication with a `-` between.
pub(super) fn esp(name: &str) -> Result<Transform, Unusable> {
    let name = normal(name);
    CIPHERS
        .iter()
        .find_map(|cipher| cipher.read(&name))
        .unwrap_or_else(|| Err(unknown(&name, esp_names())))
}

/// What `--comp` names.
pub(super) fn comp(name: &str) -> Result<Transform, Unusable> {
    let name = normal(name);
    let found = COMPRESSIONS.iter().find(|(known, _)| *known == name);
    match found {
        Some((_, id)) => Ok(Transform {
            encrypt: *id,
            ..Transform::default()
        }),
        None => Err(unknown(
            &name,
            COMPRESSIONS.iter().map(|(known, _)| (*known).to_owned()),
        )),
    }
}

/// An algorithm that an SA has, as far as its number tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Used {
    /// Its name, if it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) name: Option<&'static str>,
    pub(super) number: u8,
    /// Length of its key, if it has one and there is no choice.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) key_bits: Option<u16>,
}

/// The algorithm that SAs of a type have under a number for authentication, or for anything else;
/// `None` for number 0.
pub(super) fn used(satype: SaType, for_auth: bool, number: u8) -> Option<Used> {
    let name = match (satype, for_auth) {
        (SaType::Comp, false) => COMPRESSIONS
            .iter()
            .find(|(_, id)| *id == number)
            .map(|(name, _)| *name),
        (_, false) => CIPHERS
            .iter()
            .find(|cipher| cipher.id == number)
            .map(|cipher| cipher.names[0]),
        (_, true) if number == auth::NULL => Some(NO_AUTH[0]),
        (_, true) => AUTHS
            .iter()
            .find(|auth| auth.id == number)
            .map(|auth| auth.names[0]),
    };
    let known = algorithm::find(satype, for_auth, number);
    (number != 0).then_some(Used {
        name,
        number,
        key_bits: match known.map(|known| known.key_bits) {
            Some([bits]) if *bits != 0 => Some(*bits),
            _ => None,
        },
    })
}

/// The algorithms of an SA, as far as they are known.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct AllUsed {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) encryption: Option<Used>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) compression: Option<Used>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) authentication: Option<Used>,
}

/// The algorithms that SAs of a type have under these numbers.
pub(super) fn all_used(satype: SaType, auth: u8, encrypt: u8) -> AllUsed {
    let other = used(satype, false, encrypt);
    let (encryption, compression) = match satype {
        SaType::Comp => (None, other),
        _ => (other, None),
    };
    AllUsed {
        encryption,
        compression,
        authentication: used(satype, true, auth),
    }
}

/// The algorithms in what `/proc/net/ipsec_spi` calls `ESP_3DES_HMAC_MD5`.
pub(super) fn of_transform(text: &str) -> AllUsed {
    let none = (0, "");
    let known = |satype, for_auth| {
        let known = algorithm::supported(satype, for_auth);
        let names = known.map(|algorithm| (algorithm.id, algorithm.proc_name));
        std::iter::once(none).chain(names)
    };
    for (prefix, satype) in [
        ("AH", SaType::Ah),
        ("ESP", SaType::Esp),
        ("COMP", SaType::Comp),
    ] {
        let Some(names) = text.strip_prefix(prefix) else {
            continue;
        };
        for (encrypt, name) in known(satype, false) {
            let rest = names.strip_prefix(name);
            if let Some((auth, _)) = known(satype, true).find(|(_, name)| rest == Some(*name)) {
                return all_used(satype, auth, encrypt);
            }
        }
    }
    AllUsed::default()
}

fn ah_names() -> impl Iterator<Item = String> {
    AUTHS
        .iter()
        .flat_map(|auth| auth.names)
        .map(|name| (*name).to_owned())
}

/// Every name of every cipher, with and without the length of its key, alone and with every
/// authentication that it goes with.
fn esp_names() -> impl Iterator<Item = String> {
    CIPHERS.iter().flat_map(|cipher| {
        let auths: Vec<&str> = match cipher.authenticates() {
            true => NO_AUTH.to_vec(),
            false => AUTHS.iter().flat_map(|auth| auth.names).copied().collect(),
        };
        let mut names = Vec::new();
        for name in cipher.names.iter().flat_map(|name| cipher.sized(name)) {
            names.extend(auths.iter().map(|auth| format!("{name}-{auth}")));
            if cipher.id != encrypt::NULL {
                names.push(name);
            }
        }
        names
    })
}

/// What `--ah` knows, for messages.
pub(super) fn known_for_ah() -> String {
    joined(AUTHS.iter().map(|auth| auth.names[0]))
}

/// What `--esp` knows, for messages.
pub(super) fn known_for_esp() -> String {
    let ciphers = |authenticating: bool| {
        joined(
            CIPHERS
                .iter()
                .filter(|cipher| cipher.authenticates() == authenticating)
                .map(|cipher| cipher.names[0]),
        )
    };
    format!(
        "{}, each with an authentication after it ({}) or alone; {}",
        ciphers(false),
        joined(AUTHS.iter().map(Auth::suffix)),
        ciphers(true)
    )
}

/// What `--comp` knows, for messages.
pub(super) fn known_for_comp() -> String {
    joined(COMPRESSIONS.iter().map(|(name, _)| *name))
}

fn joined<'a>(names: impl Iterator<Item = &'a str>) -> String {
    names.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use klips::pfkey::algorithm::ALGORITHMS;
    use std::collections::BTreeSet;

    /// Numbers by purpose: `true` for authentication.
    type Found = BTreeSet<(bool, u8)>;

    fn found(transforms: impl IntoIterator<Item = Transform>) -> Found {
        transforms
            .into_iter()
            .flat_map(|transform| [(true, transform.auth), (false, transform.encrypt)])
            .filter(|(_, id)| *id != 0)
            .collect()
    }

    fn in_table(purposes: &[Purpose]) -> Found {
        ALGORITHMS
            .iter()
            .filter(|algorithm| purposes.contains(&algorithm.purpose))
            .map(|algorithm| (algorithm.purpose == Purpose::Auth, algorithm.id))
            .collect()
    }

    #[test]
    fn every_algorithm_of_the_table_has_a_name_and_every_name_an_algorithm() {
        let ah = ah_names().map(|name| ah(&name).expect(&name));
        assert_eq!(found(ah), in_table(&[Purpose::Auth]));

        let esp = esp_names().map(|name| esp(&name).expect(&name));
        let known = [Purpose::Auth, Purpose::Encrypt, Purpose::Combined];
        assert_eq!(found(esp), in_table(&known));

        // Any compression passes in the kernel, and libreswan's tools know one more.
        let comp = COMPRESSIONS.iter().map(|(name, _)| comp(name).expect(name));
        let mut known = in_table(&[Purpose::Compress]);
        known.insert((false, compress::LZS));
        assert_eq!(found(comp), known);
    }

    #[test]
    fn no_name_means_two_things() {
        for name in esp_names() {
            let readings = CIPHERS.iter().filter_map(|cipher| cipher.read(&name));
            assert_eq!(readings.count(), 1, "{name}");
        }
        let auths: Vec<_> = ah_names().collect();
        let distinct: BTreeSet<_> = auths.iter().collect();
        assert_eq!(distinct.len(), auths.len());
    }

    #[test]
    fn what_is_printed_can_be_read() {
        for auth in AUTHS {
            assert_eq!(ah(auth.names[0]).expect("a name").auth, auth.id);
            assert_eq!(find_auth(auth.suffix()).expect("a name").id, auth.id);
        }
    }

    #[test]
    fn without_its_salt_a_key_is_as_long_as_the_cipher_wants_it() {
        for cipher in CIPHERS {
            let own: Vec<_> = cipher
                .key_bits()
                .map(|bits| bits - cipher.salt_bits)
                .collect();
            let expected: &[u16] = match cipher.id {
                encrypt::NULL => &[],
                encrypt::TRIPLE_DES_CBC => &[192],
                encrypt::CHACHA20_POLY1305 => &[256],
                _ => &[128, 192, 256],
            };
            assert_eq!(own, expected, "{}", cipher.names[0]);
        }
    }

    #[test]
    fn lengths_of_keys_in_names() {
        let bits = |name| esp(name).expect(name).encrypt_bits;
        assert_eq!(bits("aes"), [128, 192, 256]);
        assert_eq!(bits("aes_gcm_c-256-null"), [288]);
        for (names, expected) in [
            (["aes128", "aes-128", "AES_CBC_128"], 128),
            (["aes-gcm-16-128", "aes_gcm128", "aes-gcm-160"], 160),
            (["aes-ccm-8-192", "aes_ccm_a-216", "aes-ccm-a192"], 216),
            (["aes-ctr256", "aes_ctr-256", "aes-ctr-288"], 288),
            (
                ["chacha20-poly1305", "chacha20_poly1305-256", "3des-192"],
                0,
            ),
        ] {
            for name in names {
                let found = bits(name);
                match expected {
                    0 => assert_eq!(found.len(), 1, "{name}"),
                    expected => assert_eq!(found, [expected], "{name}"),
                }
            }
        }
    }

    #[test]
    fn names_that_are_close_are_no_names() {
        for name in [
            "",
            "-",
            "aes-",
            "-sha1",
            "aes512",
            "aes-160",
            "aes-gcm-8128",
            "aes-gcm-24",
            "aes128-192",
            "aes-xcbc",
            "3desmd5",
            "3des-md5-",
            "3des--md5",
            "null0",
            "aes-sha1-null",
            "des",
        ] {
            assert!(matches!(esp(name), Err(Unusable::Unknown { .. })), "{name}");
        }
        assert_eq!(esp("aes-gcm-sha1"), Err(Unusable::Twice("aes-gcm-16")));
        for name in ["null", "null-null", "null-none"] {
            assert_eq!(esp(name), Err(Unusable::Nothing), "{name}");
        }
    }

    #[test]
    fn the_nearest_name() {
        let near = |result: Result<Transform, Unusable>| match result {
            Err(Unusable::Unknown { nearest }) => nearest,
            other => panic!("{other:?}"),
        };
        let some = |name: &str| Some(name.to_owned());
        assert_eq!(near(ah("hmac-md6-96")), some("hmac-md5-96"));
        assert_eq!(near(ah("sha512-265")), some("sha512-256"));
        assert_eq!(near(esp("3desmd5")), some("3des-md5"));
        assert_eq!(near(esp("AES_GMC_16")), some("aes-gcm-16"));
        assert_eq!(near(esp("aes128-sah1")), some("aes128-sha1"));
        assert_eq!(near(esp("blowfish")), None);
        assert_eq!(near(comp("defalte")), some("deflate"));
        assert_eq!(near(comp("zip")), None);
        assert_eq!(near(comp("")), None);
    }
}
