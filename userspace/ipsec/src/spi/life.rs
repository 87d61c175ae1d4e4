// SPDX-License-Identifier: GPL-2.0

//! Lifetimes: `(soft|hard)-(allocations|bytes|addtime|usetime|packets)=N[,...]`; a blank is as good
//! as a comma.

use crate::text::{Shown, number64};
use klips::pfkey::Lifetime;
use pfkey::text::number::{self, NumberError};

/// The soft and the hard limits, as far as any are given.
pub(super) type Limits = (Option<Lifetime>, Option<Lifetime>);

/// Reads the values of all `--life` options; what is wrong otherwise.
pub(super) fn parse<'a>(values: impl Iterator<Item = &'a str>) -> Result<Limits, String> {
    let (mut soft, mut hard) = (None, None);
    let mut seen = Vec::new();
    let separates = |c: char| c == ',' || c.is_ascii_whitespace();
    for item in values.flat_map(|value| value.split(separates)) {
        let shown = Shown(item);
        let (name, value) = item
            .split_once('=')
            .ok_or_else(|| format!("missing '=' in --life parameter: {shown}"))?;
        let (limits, kind) = match name.split_once('-') {
            Some(("soft", kind)) => (&mut soft, kind),
            Some(("hard", kind)) => (&mut hard, kind),
            _ => {
                return Err(format!(
                    "--life parameter is neither soft nor hard: {shown}"
                ));
            }
        };
        if seen.contains(&name) {
            return Err(format!("--life parameter redefined: {item}"));
        }
        seen.push(name);
        let limits = limits.get_or_insert(Lifetime::default());
        let bad = |error: NumberError| format!("{error} in --life parameter: {shown}");
        let wide = || match number64(value) {
            Err(NumberError::TooLarge) => Err(format!(
                "number does not fit in 64 bits in --life parameter: {shown}"
            )),
            result => result.map_err(bad),
        };
        match kind {
            "allocations" => limits.allocations = number::parse(value).map_err(bad)?,
            "packets" => limits.packets = number::parse(value).map_err(bad)?,
            "bytes" => limits.bytes = wide()?,
            "addtime" => limits.addtime = wide()?,
            "usetime" => limits.usetime = wide()?,
            _ => return Err(format!("unknown kind of --life parameter: {shown}")),
        }
    }
    Ok((soft, hard))
}

/// What the kernel makes of soft limits above hard ones: each is the hard one.
pub(super) fn capped(soft: Option<&Lifetime>, hard: Option<&Lifetime>) -> Vec<String> {
    let (Some(soft), Some(hard)) = (soft, hard) else {
        return Vec::new();
    };
    let pairs = [
        (
            "allocations",
            u64::from(soft.allocations),
            hard.allocations.into(),
        ),
        ("bytes", soft.bytes, hard.bytes),
        ("addtime", soft.addtime, hard.addtime),
        ("usetime", soft.usetime, hard.usetime),
        ("packets", soft.packets.into(), hard.packets.into()),
    ];
    let above = pairs
        .into_iter()
        .filter(|(_, soft, hard)| *hard != 0 && soft > hard);
    above
        .map(|(kind, soft, hard)| {
            format!(
                "soft-{kind}={soft} is above hard-{kind}={hard}, and {hard} is what it will be."
            )
        })
        .collect()
}
