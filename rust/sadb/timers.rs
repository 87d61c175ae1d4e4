// SPDX-License-Identifier: GPL-2.0

//! Which SAs have to be looked at, and in which second.
//!
//! The SAs of one second are a chain through [`Sa`](super::Sa); the seconds are kept in order.

use super::{
    trie::{
        Key,
        Trie, //
    },
    Age, //
};
use crate::memory::{
    self,
    Boxed,
    OutOfMemory, //
};
use core::num::NonZeroU64;

/// A second in which something is due.
pub(super) struct Second {
    at: u64,
    /// One of its SAs.
    head: Age,
}

/// The seconds in which something is due.
pub(super) struct Timers {
    /// By seconds since boot.
    seconds: Trie<Second>,
}

/// Memory for a second that may not be there yet.
pub(super) struct Slot(Option<Boxed<Second>>);

impl Slot {
    pub(super) const NONE: Slot = Slot(None);
}

impl Timers {
    pub(super) const fn new() -> Self {
        Timers {
            seconds: Trie::new(),
        }
    }

    /// Whether a second is kept. Those that are not are 136 years away: the farther apart seconds may
    /// be, the more nodes each of them can take.
    pub(super) const fn can_keep(at: NonZeroU64) -> bool {
        at.get() < 1 << 32
    }

    /// Takes all the memory that [`Timers::set_head`] at this second can need.
    pub(super) fn reserve(&mut self, at: NonZeroU64) -> Result<Slot, OutOfMemory> {
        let key = Key::from(at);
        if self.seconds.get(key).is_some() {
            return Ok(Slot::NONE);
        }
        let second = memory::boxed(|| Second {
            at: at.get(),
            head: Age::FIRST,
        })?;
        self.seconds.reserve(key)?;
        Ok(Slot(Some(second)))
    }

    /// The head of a second's chain.
    pub(super) fn head(&self, at: NonZeroU64) -> Option<Age> {
        Some(self.seconds.get(at.into())?.head)
    }

    /// Changes the head of a second's chain; `None` removes the second, which is returned. `slot` is
    /// used if the second is not there.
    pub(super) fn set_head(
        &mut self,
        at: NonZeroU64,
        head: Option<Age>,
        slot: Slot,
    ) -> Option<Boxed<Second>> {
        let key = Key::from(at);
        match (head, self.seconds.get_mut(key), slot) {
            (None, _, _) => return self.seconds.remove(key),
            (Some(head), Some(second), _) => second.head = head,
            (Some(head), None, Slot(Some(mut second))) => {
                second.head = head;
                drop(self.seconds.insert(key, second));
            }
            (Some(_), None, Slot(None)) => (),
        }
        None
    }

    /// Frees some of the seconds. Returns whether there were any.
    pub(super) fn free_some(&mut self) -> bool {
        self.seconds.free_some()
    }

    /// The earliest second in which something is due.
    pub(super) fn earliest(&self) -> Option<u64> {
        Some(self.seconds.at_or_after(Key::FIRST)?.at)
    }
}
