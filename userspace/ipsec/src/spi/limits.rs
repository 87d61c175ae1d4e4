// SPDX-License-Identifier: GPL-2.0

//! What an SA has used up and what its limits are, for `--json`: by the names that
//! `/proc/net/ipsec_spi` has for them.

use klips::pfkey::Lifetime;
use serde::{Serialize, Serializer};

/// What is used up of something, and the limits of that.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Limit {
    /// `None` where it is told otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) current: Option<u64>,
    /// What asks for a successor; 0 is no limit.
    pub(crate) soft: u64,
    /// What ends the SA; 0 is no limit.
    pub(crate) hard: u64,
}

impl Limit {
    /// One is used up of what has no limits.
    pub(super) const ONE_USED: Limit = Limit {
        current: Some(1),
        soft: 0,
        hard: 0,
    };

    /// Whether there is anything to tell.
    fn tells(&self) -> bool {
        self.current.is_some_and(|current| current != 0) || self.soft != 0 || self.hard != 0
    }
}

/// Limits by name, in their order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Limits(pub(super) Vec<(String, Limit)>);

impl Limits {
    /// The limits of an SA, and how much it has used up, as far as there is anything to tell. The
    /// times of its making and of its first use are no part of them.
    pub(super) fn of(current: &Lifetime, soft: &Lifetime, hard: &Lifetime) -> Self {
        let limit = |current, soft, hard| Limit {
            current,
            soft,
            hard,
        };
        let all = [
            (
                "alloc",
                limit(
                    Some(current.allocations.into()),
                    soft.allocations.into(),
                    hard.allocations.into(),
                ),
            ),
            ("bytes", limit(Some(current.bytes), soft.bytes, hard.bytes)),
            ("addtime", limit(None, soft.addtime, hard.addtime)),
            ("usetime", limit(None, soft.usetime, hard.usetime)),
            (
                "packets",
                limit(
                    Some(current.packets.into()),
                    soft.packets.into(),
                    hard.packets.into(),
                ),
            ),
        ];
        let told = all.into_iter().filter(|(_, limit)| limit.tells());
        Limits(told.map(|(name, limit)| (name.to_owned(), limit)).collect())
    }

    /// The limits of this name, if there are any.
    pub(super) fn get(&self, name: &str) -> Option<&Limit> {
        let found = self.0.iter().find(|(own, _)| own == name);
        found.map(|(_, limit)| limit)
    }
}

impl Serialize for Limits {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, limit)| (name, limit)))
    }
}
