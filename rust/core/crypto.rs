// SPDX-License-Identifier: GPL-2.0

//! Under which names the kernel's xfrm has the algorithms of SAs (`net/xfrm/xfrm_algo.c`).

use super::{
    pfkey::algorithm::{
        self,
        auth,
        compress,
        encrypt, //
    },
    pfkey::types::SaType,
    said::Proto,
    xfrm::Algorithms, //
};
use core::ffi::CStr;

/// An algorithm as xfrm knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Named {
    /// Its name.
    pub name: &'static CStr,
    /// Length of what authenticates a packet, in bits; 0 where there is none.
    pub icv_bits: u16,
    /// Length of the shortest key that it takes, in bits.
    pub least_key_bits: u16,
}

/// The algorithms of a state. Those that it does not have are `None`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Names {
    /// What authenticates.
    pub auth: Option<Named>,
    /// What encrypts.
    pub encrypt: Option<Named>,
    /// What does both.
    pub aead: Option<Named>,
    /// What compresses.
    pub compress: Option<Named>,
}

/// Authentication. ICV lengths are those of RFC 4868, 2403, 2404, 3566 and 4494.
const fn auth_name(id: u8) -> Option<(&'static CStr, u16)> {
    Some(match id {
        auth::MD5_HMAC => (c"hmac(md5)", 96),
        auth::SHA1_HMAC => (c"hmac(sha1)", 96),
        auth::SHA2_256_HMAC => (c"hmac(sha256)", 128),
        auth::SHA2_256_96_HMAC => (c"hmac(sha256)", 96),
        auth::SHA2_384_HMAC => (c"hmac(sha384)", 192),
        auth::SHA2_512_HMAC => (c"hmac(sha512)", 256),
        auth::AES_XCBC_MAC => (c"xcbc(aes)", 96),
        auth::AES_CMAC => (c"cmac(aes)", 96),
        _ => return None,
    })
}

/// Encryption, for which something else has to authenticate.
const fn encrypt_name(id: u8) -> Option<&'static CStr> {
    Some(match id {
        encrypt::TRIPLE_DES_CBC => c"cbc(des3_ede)",
        encrypt::NULL => c"ecb(cipher_null)",
        encrypt::AES_CBC => c"cbc(aes)",
        encrypt::AES_CTR => c"rfc3686(ctr(aes))",
        _ => return None,
    })
}

/// Encryption that authenticates as well, and the length of its ICV.
const fn aead_name(id: u8) -> Option<(&'static CStr, u16)> {
    Some(match id {
        encrypt::AES_CCM_8 => (c"rfc4309(ccm(aes))", 64),
        encrypt::AES_CCM_12 => (c"rfc4309(ccm(aes))", 96),
        encrypt::AES_CCM_16 => (c"rfc4309(ccm(aes))", 128),
        encrypt::AES_GCM_8 => (c"rfc4106(gcm(aes))", 64),
        encrypt::AES_GCM_12 => (c"rfc4106(gcm(aes))", 96),
        encrypt::AES_GCM_16 => (c"rfc4106(gcm(aes))", 128),
        encrypt::CHACHA20_POLY1305 => (c"rfc7539esp(chacha20,poly1305)", 128),
        _ => return None,
    })
}

fn least_key_bits(satype: SaType, for_auth: bool, id: u8) -> u16 {
    algorithm::find(satype, for_auth, id)
        .and_then(|algorithm| algorithm.key_bits.first().copied())
        .unwrap_or(0)
}

fn authentication(satype: SaType, id: u8) -> Option<Named> {
    let (name, icv_bits) = auth_name(id)?;
    Some(Named {
        name,
        icv_bits,
        least_key_bits: least_key_bits(satype, true, id),
    })
}

/// Whether an SA's algorithms keep others from making packets of it.
pub fn authenticates(algorithms: &Algorithms) -> bool {
    names(algorithms).is_some_and(|names| names.auth.is_some() || names.aead.is_some())
}

/// The names of an SA's algorithms; `None` if xfrm has none for one of them.
///
/// An ESP SA without authentication has no algorithm for it: xfrm's ESP does so by itself.
pub fn names(algorithms: &Algorithms) -> Option<Names> {
    let &Algorithms {
        proto,
        auth,
        encrypt,
    } = algorithms;
    let mut names = Names::default();
    match proto {
        Proto::Tun => {}
        Proto::Ah => names.auth = Some(authentication(SaType::Ah, auth)?),
        Proto::Esp => {
            let named = |name, icv_bits| Named {
                name,
                icv_bits,
                least_key_bits: least_key_bits(SaType::Esp, false, encrypt),
            };
            if let Some((name, icv_bits)) = aead_name(encrypt) {
                names.aead = Some(named(name, icv_bits));
            } else {
                names.encrypt = Some(named(encrypt_name(encrypt)?, 0));
                if !matches!(auth, auth::NONE | auth::NULL) {
                    names.auth = Some(authentication(SaType::Esp, auth)?);
                }
            }
        }
        Proto::Comp if encrypt == compress::DEFLATE => {
            names.compress = Some(Named {
                name: c"deflate",
                icv_bits: 0,
                least_key_bits: 0,
            });
        }
        Proto::Comp | Proto::Int => return None,
    }
    Some(names)
}
