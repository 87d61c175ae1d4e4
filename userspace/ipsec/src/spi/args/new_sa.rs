// SPDX-License-Identifier: GPL-2.0

//! What a new SA is like: algorithms, keys, limits, NAT traversal.

use super::{
    super::{
        algorithm::Transform,
        life,
        plan::{Addresses, NatT, NewSa},
        wanted,
    },
    keys,
};
use crate::{failure::Failure, given::Given, requests::How, system::System, text::Shown};
use klips::{
    pfkey::types::{CPI_MAX, REPLAY_MAX, SAREF_NULL},
    said::Proto,
};
use pfkey::{SaRefs, text::number};

/// Reads what the SA is like that an action makes.
pub(super) fn new_sa(
    options: &Given,
    action: &str,
    addresses: Addresses,
    how: How,
    system: &mut impl System,
) -> Result<NewSa, Failure> {
    let name = match action {
        "ip4" | "ip6" => "",
        action => options.text(action).unwrap_or_default(),
    };
    let (transform, proto) = transform(action, name)?;
    if addresses.said.proto != proto {
        return Err(Failure::usage(format!(
            "--{action} makes an SA of protocol {}, not {}.",
            proto.name(),
            addresses.said.proto.name()
        )));
    }
    if proto == Proto::Comp && addresses.said.spi > CPI_MAX {
        return Err(Failure::usage(format!(
            "SPI {:#x} is too large for IPCOMP, where it has 16 bits: {CPI_MAX:#x} or less.",
            addresses.said.spi
        )));
    }
    let algorithm = match name {
        "" => format!("--{action}"),
        name => name.to_owned(),
    };
    let keys = keys::keys(options, &algorithm, &transform, how, system)?;
    let (soft, hard) = life::parse(options.all("life")).map_err(Failure::usage)?;
    Ok(NewSa {
        addresses,
        auth: transform.auth,
        encrypt: transform.encrypt,
        replay: replay_window(options)?,
        key_auth: keys.auth,
        key_encrypt: keys.encrypt,
        soft,
        hard,
        natt: natt(options)?,
        sa_refs: sa_refs(options)?,
        outif: number(options, "outif", "interface number")?,
    })
}

/// The algorithms that an action names, and the protocol of its SAs.
fn transform(action: &str, name: &str) -> Result<(Transform, Proto), Failure> {
    let proto = match action {
        "ah" => Proto::Ah,
        "esp" => Proto::Esp,
        "comp" => Proto::Comp,
        _ => return Ok((Transform::default(), Proto::Tun)),
    };
    let typed = format!("--{action} {name}");
    let follows = format!(" follows '--{action}' option");
    let transform = wanted::transform(action, name, &typed, &follows).map_err(Failure::usage)?;
    Ok((transform, proto))
}

fn replay_window(options: &Given) -> Result<u8, Failure> {
    let Some(text) = options.text("replay_window") else {
        return Ok(0);
    };
    let illegal = |size: String| {
        Failure::usage(format!(
            "Failed -- Illegal window size: arg={}, replay_window={size}, must be \
             1 <= size <= {REPLAY_MAX}.",
            Shown(text)
        ))
    };
    let size = number::parse(text).map_err(|error| illegal(format!("<{error}>")))?;
    match u8::try_from(size) {
        Ok(size @ 1..=REPLAY_MAX) => Ok(size),
        _ => Err(illegal(size.to_string())),
    }
}

fn natt(options: &Given) -> Result<Option<NatT>, Failure> {
    let kind = match options.text("natt").map(str::to_ascii_lowercase).as_deref() {
        None | Some("none" | "0") => {
            options.refuse(&["sport", "dport"], "needs --natt nonesp or nonike")?;
            return Ok(None);
        }
        Some("nonike" | "1") => 1,
        Some("nonesp" | "2") => 2,
        Some(other) => {
            return Err(Failure::usage(format!(
                "Invalid NAT-T type: {}.  It is nonesp, nonike or none.",
                Shown(other)
            )));
        }
    };
    Ok(Some(NatT {
        kind,
        sport: number(options, "sport", "port")?.unwrap_or(0),
        dport: number(options, "dport", "port")?.unwrap_or(0),
    }))
}

/// The references to be asked for, if there are any.
fn sa_refs(options: &Given) -> Result<Option<SaRefs>, Failure> {
    let [saref, me, him] =
        ["saref", "sarefme", "sarefhim"].map(|name| number(options, name, "reference"));
    let me = match (saref?, me?) {
        (Some(_), Some(_)) => {
            return Err(Failure::usage("--saref and --sarefme are the same."));
        }
        (saref, me) => saref.or(me),
    };
    Ok(match (me, him?) {
        (None, None) => None,
        (me, him) => Some(SaRefs {
            me: me.unwrap_or(SAREF_NULL),
            him: him.unwrap_or(SAREF_NULL),
        }),
    })
}

/// The value of an option that is a number, and what kind of number.
fn number<T: TryFrom<u32>>(options: &Given, name: &str, kind: &str) -> Result<Option<T>, Failure> {
    let read = |text: &str| {
        let number = number::parse(text).ok();
        number
            .and_then(|number| T::try_from(number).ok())
            .ok_or_else(|| Failure::usage(format!("Invalid {kind} in --{name}: {}", Shown(text))))
    };
    options.text(name).map(read).transpose()
}
