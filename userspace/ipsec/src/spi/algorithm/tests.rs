// SPDX-License-Identifier: GPL-2.0

//! Names against the kernel's table.

use super::*;
use klips::pfkey::algorithm::{ALGORITHMS, Purpose, compress};
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
