// SPDX-License-Identifier: GPL-2.0

//! What a new SA is like: algorithms, keys, limits, NAT traversal.

use super::{
    super::{
        algorithm::{self, Transform},
        key::{self, KeyBytes},
        life,
        plan::{Addresses, NatT, NewSa},
    },
    options::Options,
};
use crate::failure::Failure;
use klips::{number, pfkey::types::REPLAY_MAX, said::Proto};

/// Reads what the SA is like that an action makes.
pub(super) fn new_sa(
    options: &Options,
    action: &str,
    addresses: Addresses,
) -> Result<NewSa, Failure> {
    let name = match action {
        "ip4" | "ip6" => "",
        action => options.text(action).unwrap_or_default(),
    };
    let unknown = |text| move || Failure::usage(text);
    let (transform, proto) = match action {
        "ah" => (
            algorithm::ah(name).ok_or_else(unknown(format!(
                "Unknown authentication algorithm '{name}' follows '--ah' option."
            )))?,
            Proto::Ah,
        ),
        "esp" => (
            algorithm::esp(name).ok_or_else(unknown(format!(
                "Invalid encryption algorithm '{name}' follows '--esp' option."
            )))?,
            Proto::Esp,
        ),
        "comp" => (
            algorithm::comp(name).ok_or_else(unknown(format!(
                "Unknown compression algorithm '{name}' follows '--comp' option."
            )))?,
            Proto::Comp,
        ),
        _ => (Transform::default(), Proto::Tun),
    };
    if addresses.said.proto != proto {
        return Err(Failure::usage(format!(
            "--{action} makes an SA of protocol {}, not {}.",
            proto.name(),
            addresses.said.proto.name()
        )));
    }
    if let Some(missing) = transform.lacks_authentication() {
        return Err(Failure::usage(format!(
            "--esp {name} needs authentication, as in {missing}."
        )));
    }
    let key = |option, kind, bits| key(options, option, kind, name, bits);
    let (soft, hard) = life::parse(
        options
            .0
            .get_many::<String>("life")
            .into_iter()
            .flatten()
            .map(String::as_str),
    )
    .map_err(Failure::usage)?;
    Ok(NewSa {
        addresses,
        auth: transform.auth,
        encrypt: transform.encrypt,
        replay: replay_window(options)?,
        key_auth: key("authkey", "authentication", transform.auth_bits())?,
        key_encrypt: key("enckey", "encryption", transform.encrypt_bits())?,
        soft,
        hard,
        natt: natt(options)?,
    })
}

/// A key, which is there exactly if an algorithm wants one, and as long as it wants it.
///
/// Nothing that is said of a key has any of it in it.
fn key(
    options: &Options,
    option: &str,
    kind: &str,
    algorithm: &str,
    bits: &[u16],
) -> Result<Option<KeyBytes>, Failure> {
    // What takes a key of no length takes none.
    let bits: Vec<u16> = bits.iter().copied().filter(|bits| *bits != 0).collect();
    let wanted = bits
        .iter()
        .map(|bits| (bits / 8).to_string())
        .collect::<Vec<_>>()
        .join(" or ");
    let key = match (options.text(option), bits.is_empty()) {
        (None, true) => return Ok(None),
        (Some(_), true) => {
            return Err(Failure::usage(format!(
                "--{option} given, but there is no {kind} to be done."
            )));
        }
        (None, false) => {
            return Err(Failure::usage(format!(
                "no --{option} given; the {kind} key for {algorithm} has {wanted} bytes."
            )));
        }
        (Some(text), false) => {
            key::parse(text).map_err(|error| Failure::usage(format!("{error} in {kind} key.")))?
        }
    };
    match bits.iter().any(|bits| usize::from(*bits) == key.len() * 8) {
        true => Ok(Some(key)),
        false => Err(Failure::usage(format!(
            "the {kind} key for {algorithm} has {wanted} bytes, got {}.",
            key.len()
        ))),
    }
}

fn replay_window(options: &Options) -> Result<u8, Failure> {
    let Some(text) = options.text("replay_window") else {
        return Ok(0);
    };
    let illegal = |size: String| {
        Failure::usage(format!(
            "Failed -- Illegal window size: arg={text}, replay_window={size}, must be \
             1 <= size <= {REPLAY_MAX}."
        ))
    };
    let size = number::parse(text).map_err(|error| illegal(format!("<{error}>")))?;
    match u8::try_from(size) {
        Ok(size @ 1..=REPLAY_MAX) => Ok(size),
        _ => Err(illegal(size.to_string())),
    }
}

fn natt(options: &Options) -> Result<Option<NatT>, Failure> {
    let kind = match options.text("natt").map(str::to_ascii_lowercase).as_deref() {
        None | Some("none" | "0") => {
            options.refuse(&["sport", "dport"], "needs --natt nonesp or nonike")?;
            return Ok(None);
        }
        Some("nonike" | "1") => 1,
        Some("nonesp" | "2") => 2,
        Some(other) => {
            return Err(Failure::usage(format!(
                "Invalid NAT-T type: {other}.  It is nonesp, nonike or none."
            )));
        }
    };
    let port = |name| match options.text(name) {
        None => Ok(0),
        Some(text) => number::parse(text)
            .ok()
            .and_then(|port| u16::try_from(port).ok())
            .ok_or_else(|| Failure::usage(format!("Invalid port in --{name}: {text}"))),
    };
    Ok(Some(NatT {
        kind,
        sport: port("sport")?,
        dport: port("dport")?,
    }))
}
