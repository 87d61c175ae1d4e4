// SPDX-License-Identifier: GPL-2.0

//! The names and lengths under which xfrm is asked for algorithms.

use klips::{
    klips_core::{
        crypto::{names, Named, Names},
        pfkey::algorithm::{auth, encrypt, find, supported},
        xfrm::Algorithms,
    },
    pfkey::SaType,
    said::Proto,
};

fn of(proto: Proto, auth: u8, encrypt: u8) -> Option<Names> {
    names(&Algorithms {
        proto,
        auth,
        encrypt,
    })
}

fn seen(named: Named) -> (&'static str, u16, u16) {
    let name = named.name.to_str().unwrap();
    (name, named.icv_bits, named.least_key_bits)
}

/// RFC 2403, 2404, 4868, 3566 and 4494; SHA-256 with 96 bits is that of a draft before RFC 4868.
const AUTH: [(u8, (&str, u16, u16)); 8] = [
    (2, ("hmac(md5)", 96, 128)),
    (3, ("hmac(sha1)", 96, 160)),
    (5, ("hmac(sha256)", 128, 256)),
    (6, ("hmac(sha384)", 192, 384)),
    (7, ("hmac(sha512)", 256, 512)),
    (9, ("xcbc(aes)", 96, 128)),
    (250, ("cmac(aes)", 96, 128)),
    (252, ("hmac(sha256)", 96, 256)),
];

const ENCRYPT: [(u8, (&str, u16, u16)); 4] = [
    (3, ("cbc(des3_ede)", 0, 192)),
    (11, ("ecb(cipher_null)", 0, 0)),
    (12, ("cbc(aes)", 0, 128)),
    (13, ("rfc3686(ctr(aes))", 0, 160)),
];

/// RFC 4309, 4106 and 7634; keys with their salts.
const AEAD: [(u8, (&str, u16, u16)); 7] = [
    (14, ("rfc4309(ccm(aes))", 64, 152)),
    (15, ("rfc4309(ccm(aes))", 96, 152)),
    (16, ("rfc4309(ccm(aes))", 128, 152)),
    (18, ("rfc4106(gcm(aes))", 64, 160)),
    (19, ("rfc4106(gcm(aes))", 96, 160)),
    (20, ("rfc4106(gcm(aes))", 128, 160)),
    (28, ("rfc7539esp(chacha20,poly1305)", 128, 288)),
];

#[test]
fn authentication_has_name_and_length() {
    for (id, want) in AUTH {
        let ah = of(Proto::Ah, id, 0).unwrap();
        assert_eq!(ah.auth.map(seen), Some(want));
        assert_eq!(Names { auth: None, ..ah }, Names::default());
        let esp = of(Proto::Esp, id, encrypt::AES_CBC).unwrap();
        assert_eq!(esp.auth, ah.auth);
        assert_eq!(esp.encrypt.map(seen), Some(ENCRYPT[2].1));
    }
    let told: Vec<_> = supported(SaType::Ah, true).map(|it| it.id).collect();
    assert!(told.iter().all(|id| AUTH.iter().any(|(of, _)| of == id)));
    assert_eq!(told.len(), AUTH.len());
    assert_eq!(of(Proto::Ah, auth::NONE, 0), None);
    assert_eq!(of(Proto::Ah, 99, 0), None);
    assert_eq!(of(Proto::Esp, 99, encrypt::AES_CBC), None);
}

#[test]
fn encryption_alone_has_nothing_that_authenticates() {
    for (id, want) in ENCRYPT {
        for none in [auth::NONE, auth::NULL] {
            let esp = of(Proto::Esp, none, id).unwrap();
            assert_eq!(esp.encrypt.map(seen), Some(want));
            let rest = Names {
                encrypt: None,
                ..esp
            };
            assert_eq!(rest, Names::default());
        }
    }
    assert_eq!(of(Proto::Esp, auth::MD5_HMAC, 99), None);
}

#[test]
fn what_authenticates_and_encrypts_is_one() {
    for (id, want) in AEAD {
        let esp = of(Proto::Esp, auth::NONE, id).unwrap();
        assert_eq!(esp.aead.map(seen), Some(want));
        assert_eq!(Names { aead: None, ..esp }, Names::default());
    }
    let told: Vec<_> = supported(SaType::Esp, false).map(|it| it.id).collect();
    let known = |id: &u8| ENCRYPT.iter().chain(&AEAD).any(|(of, _)| of == id);
    assert!(told.iter().all(known));
    assert_eq!(told.len(), ENCRYPT.len() + AEAD.len());
}

#[test]
fn compression_is_deflate_and_tunnels_have_nothing() {
    let comp = of(Proto::Comp, 0, 2).unwrap();
    assert_eq!(comp.compress.map(seen), Some(("deflate", 0, 0)));
    let rest = Names {
        compress: None,
        ..comp
    };
    assert_eq!(rest, Names::default());
    assert!(find(SaType::Comp, false, 3).is_none());
    for id in [0, 1, 3] {
        assert_eq!(of(Proto::Comp, 0, id), None);
    }
    assert_eq!(of(Proto::Tun, 0, 0), Some(Names::default()));
    assert_eq!(of(Proto::Int, 0, 2), None);
}
