// SPDX-License-Identifier: GPL-2.0

//! From words to masks.

use klips::pfkey::debug::{Masks, PARTS, Part, SET};
use std::fmt;

/// Words beside the names of the parts: what they mean, and which bits of it.
const OTHERS: [(&str, Part, u32); 4] = [
    ("tunnel-xmit", Part::Tunnel, 0x10),
    ("xmit", Part::Tunnel, 0x10),
    ("tncfg", Part::Tunnel, 0x100),
    ("comp", Part::IpComp, u32::MAX),
];

/// The word for all parts but the verbose one.
const ALL: &str = "all";

/// All words, those that KLIPS's own help lists first.
pub(super) fn words() -> impl Iterator<Item = &'static str> {
    let parts = Part::ALL.into_iter().map(Part::name);
    parts.chain(OTHERS.map(|(word, ..)| word)).chain([ALL])
}

/// What `--set` and `--clear` may be about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Target {
    /// Bits of a part's mask.
    Bits(Part, u32),
    /// Everything.
    All,
}

impl Target {
    /// What a word means.
    pub(super) fn from_word(word: &str) -> Option<Self> {
        let part = || {
            let part = Part::ALL.into_iter().find(|part| part.name() == word)?;
            Some((part, u32::MAX))
        };
        let other = || {
            let (_, part, bits) = *OTHERS.iter().find(|(other, ..)| *other == word)?;
            Some((part, bits))
        };
        match word {
            ALL => Some(Target::All),
            _ => part()
                .or_else(other)
                .map(|(part, bits)| Target::Bits(part, bits)),
        }
    }
}

/// A change of the masks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// These bits are set.
    Set(Target),
    /// These bits are cleared.
    Clear(Target),
}

impl Change {
    /// The masks of the request (reference 1.4.11): bits to be set with [`SET`], or those that are
    /// to stay without it.
    pub(super) fn masks(self) -> Masks {
        match self {
            Change::Set(Target::All) => {
                let mut masks = [u32::MAX; PARTS];
                // As ever: there would be no end of it.
                masks[Part::Verbose as usize] = 0;
                Masks(masks)
            }
            Change::Clear(Target::All) => Masks::NONE,
            Change::Set(Target::Bits(part, bits)) => {
                let mut masks = [0; PARTS];
                masks[part as usize] = bits;
                masks[Part::Netlink as usize] |= SET;
                Masks(masks)
            }
            Change::Clear(Target::Bits(part, bits)) => {
                let mut masks = [u32::MAX; PARTS];
                masks[part as usize] = !bits;
                masks[Part::Netlink as usize] &= !SET;
                Masks(masks)
            }
        }
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (doing, target) = match self {
            Change::Set(target) => ("setting", target),
            Change::Clear(target) => ("clearing", target),
        };
        match target {
            Target::All => write!(f, "{doing} everything"),
            Target::Bits(part, bits) => write!(f, "{doing} {bits:#x} of {}", part.name()),
        }
    }
}
