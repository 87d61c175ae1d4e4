// SPDX-License-Identifier: GPL-2.0

//! What the kernel tells: answers and announcements, refusals, and SAs as DUMP describes them.

use crate::wire::{ext, exts_of, said_of, u16_at, u32_at, u64_at};
use klips::said::Said;

/// A message of the kernel, as far as the rules of SAs decide it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// Type of the message.
    pub msg_type: u8,
    /// Error number, 0 for none.
    pub errno: u8,
    /// Whether it has sequence number and process ID of a request, and so is the answer to one.
    pub answers: bool,
    /// The SA that it is about.
    pub about: Option<Said>,
    /// For a group request that is refused, which SA is at fault, from 0, and why.
    pub fault: Option<(u8, u8)>,
    /// For EXPIRE, the limit that is passed.
    pub passed: Option<Passed>,
}

/// A limit that is passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Passed {
    /// Whether the SA is gone by that.
    pub hard: bool,
    /// The limit in seconds.
    pub seconds: u64,
    /// State of the SA.
    pub state: u8,
}

impl Told {
    /// Reads a message.
    pub fn of(bytes: &[u8]) -> Self {
        let exts = exts_of(bytes);
        let find = |number| exts.iter().find(|(found, _)| *found == number);
        let limit = find(ext::LIFETIME_HARD).or(find(ext::LIFETIME_SOFT));
        let expires = bytes[1] == crate::wire::msg::EXPIRE;
        Told {
            msg_type: bytes[1],
            errno: bytes[2],
            answers: u32_at(bytes, 12) != 0,
            about: said_of(bytes),
            fault: find(ext::FAULT).map(|(_, fault)| (fault[4], fault[5])),
            passed: limit.filter(|_| expires).map(|(number, limit)| Passed {
                hard: *number == ext::LIFETIME_HARD,
                seconds: u64_at(limit, 16),
                state: exts[0].1[9],
            }),
        }
    }
}

/// An SA as GET and DUMP describe it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Described {
    /// Its name.
    pub said: Said,
    /// State.
    pub state: u8,
    /// Replay window.
    pub window: u8,
    /// Algorithms, for authentication and for anything else.
    pub algorithms: (u8, u8),
    /// Seconds after which it is dying, 0 for never.
    pub soft: u64,
    /// Seconds after which it is gone, 0 for never.
    pub hard: u64,
}

impl Described {
    /// Reads a message, which has to describe an SA.
    pub fn of(bytes: &[u8]) -> Self {
        let exts = exts_of(bytes);
        let (number, sa) = &exts[0];
        assert_eq!((*number, u16_at(sa, 0)), (ext::SA, 3), "the SA comes first");
        let seconds = |number| {
            let limit = exts.iter().find(|(found, _)| *found == number);
            limit.map_or(0, |(_, limit)| u64_at(limit, 16))
        };
        Described {
            said: said_of(bytes).expect("an SA with its destination"),
            window: sa[8],
            state: sa[9],
            algorithms: (sa[10], sa[11]),
            soft: seconds(ext::LIFETIME_SOFT),
            hard: seconds(ext::LIFETIME_HARD),
        }
    }
}
