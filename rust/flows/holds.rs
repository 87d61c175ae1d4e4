// SPDX-License-Identifier: GPL-2.0

//! What packets wait for: the pairs of hosts for which a key daemon has been asked for SAs.
//!
//! KLIPS put a %hold eroute in front of its %trap when it asked. Here the engine itself keeps what
//! waits from asking again, by a state without keys for each pair, for as long as
//! `net.core.xfrm_acq_expires` says; a [`Hold`] is what is told of that.

use crate::{
    klips_core::{
        address::Family,
        said::Shunt,
        selector::{
            Network,
            Selector, //
        }, //
    },
    memory::{
        Map,
        Node,
        OutOfMemory, //
    }, //
};
use core::net::{
    IpAddr,
    SocketAddr, //
};

/// How many there may be in a network namespace: whoever sends packets causes them. A %trap asks for
/// no more while there are as many.
pub const MAX_HOLDS: usize = 1024;

/// Source and destination of packets that wait, unspecified for all packets of an eroute.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Pair {
    src: IpAddr,
    dst: IpAddr,
    /// The number of the eroute that asked.
    trap: u64,
}

/// Packets of a pair of hosts wait.
pub struct Hold<W> {
    /// What is listed: the two hosts, and what else its %trap selects by.
    selector: Selector,
    pair: Pair,
    /// The second since boot in which it is over.
    until: u64,
    /// What the engine has that keeps them from asking again.
    pub(super) waiting: W,
}

/// One that is to be, and memory for it.
pub struct NewHold<W> {
    node: Node<u64, Hold<W>>,
    by_pair: Node<Pair, u64>,
    of: Held,
}

/// The holds of a network namespace.
///
/// # Invariants
///
/// `by_pair` has the number of each hold under its pair; there are `len`.
pub struct Holds<W> {
    table: Map<u64, Hold<W>>,
    by_pair: Map<Pair, u64>,
    len: usize,
    /// No hold is over before this second since boot.
    soonest: Option<u64>,
}

impl<W> Holds<W> {
    pub(super) fn new() -> Self {
        Holds {
            table: Map::new(),
            by_pair: Map::new(),
            len: 0,
            soonest: None,
        }
    }

    /// Takes memory for one.
    pub(super) fn prepare(of: Held) -> Result<NewHold<W>, OutOfMemory> {
        Ok(NewHold {
            node: Map::reserve()?,
            by_pair: Map::reserve()?,
            of,
        })
    }

    /// Whether there are as many as there may be.
    pub fn is_full(&self) -> bool {
        self.len >= MAX_HOLDS
    }

    /// The hold with this number or, failing that, the first one after, and its number.
    fn at_or_after(&self, number: u64) -> Option<(u64, &Hold<W>)> {
        let number = self.table.at_or_after(&number)?;
        Some((number, self.table.get(&number)?))
    }

    /// The first one with this number or a later one for which there is no eroute to be listed.
    pub fn listed_at_or_after(&self, number: u64) -> Option<(u64, &Selector)> {
        let mut next = number;
        loop {
            let (number, hold) = self.at_or_after(next)?;
            if !hold.pair.src.is_unspecified() {
                return Some((number, &hold.selector));
            }
            next = number + 1;
        }
    }

    /// Whether packets of this pair, or all of this eroute's, wait since an eroute asked.
    pub(super) fn has(&self, of: &Held) -> bool {
        self.by_pair.get(&of.pair()).is_some()
    }

    /// Packets wait from now on, until a second since boot.
    pub(super) fn insert(
        &mut self,
        NewHold { node, by_pair, of }: NewHold<W>,
        number: u64,
        until: u64,
        waiting: W,
    ) {
        let pair = of.pair();
        let hold = Hold {
            selector: of.selector,
            pair,
            until,
            waiting,
        };
        self.table.insert(node, number, hold);
        self.by_pair.insert(by_pair, pair, number);
        self.len += 1;
        self.soonest = Some(self.soonest.map_or(until, |it| it.min(until)));
    }

    fn remove(&mut self, number: u64) -> Option<Hold<W>> {
        let hold = self.table.remove(&number)?;
        self.by_pair.remove(&hold.pair);
        self.len -= 1;
        Some(hold)
    }

    /// The second since boot in which the next one is over.
    pub fn next_deadline(&self) -> Option<u64> {
        self.soonest
    }

    /// Removes those that are over.
    pub(super) fn end_due(&mut self, now: u64) {
        self.soonest = None;
        let mut next = 0;
        while let Some((number, hold)) = self.at_or_after(next) {
            let until = hold.until;
            if until <= now {
                self.remove(number);
            } else {
                self.soonest = Some(self.soonest.map_or(until, |it| it.min(until)));
            }
            next = number + 1;
        }
    }

    /// Whether there is one that is listed with just this selector.
    pub(super) fn is_listed(&self, selector: &Selector) -> bool {
        let hold = self
            .find(selector)
            .and_then(|number| self.table.get(&number));
        hold.is_some_and(|hold| hold.selector == *selector)
    }

    /// Removes one that is for these two hosts.
    pub(super) fn take(&mut self, selector: &Selector) -> Option<W> {
        let number = self.find(selector)?;
        Some(self.remove(number)?.waiting)
    }

    /// The number of one that is for these two hosts, whatever else a selector says: the packets of
    /// two hosts wait together.
    pub(super) fn find(&self, selector: &Selector) -> Option<u64> {
        let (src, dst) = (selector.src.host()?, selector.dst.host()?);
        if src.is_unspecified() {
            return None;
        }
        let found = self.by_pair.at_or_after(&Pair { src, dst, trap: 0 })?;
        if (found.src, found.dst) != (src, dst) {
            return None;
        }
        self.by_pair.get(&found).copied()
    }

    /// Removes those that an eroute asked for.
    pub(super) fn remove_of(&mut self, trap: u64, mut removed: impl FnMut(&W)) {
        // They came after it.
        let mut next = trap;
        while let Some((number, hold)) = self.at_or_after(next) {
            if hold.pair.trap == trap {
                removed(&hold.waiting);
                self.remove(number);
            }
            next = number + 1;
        }
    }

    #[cfg(any(test, feature = "check"))]
    pub(super) fn check(&self, waits: impl Fn(u64) -> bool) {
        let mut count = 0;
        let mut next = 0;
        while let Some((number, hold)) = self.at_or_after(next) {
            assert_eq!(self.by_pair.get(&hold.pair), Some(&number));
            assert!(waits(hold.pair.trap), "packets wait for nothing");
            assert!(self.soonest.is_some_and(|soonest| soonest <= hold.until));
            count += 1;
            next = number + 1;
        }
        assert_eq!(count, self.len);
        assert!(count <= MAX_HOLDS);
    }
}

/// For which packets a %trap or %trapsubnet has asked.
pub(super) struct Held {
    selector: Selector,
    /// The number of the eroute.
    trap: u64,
    /// Whether all of its packets wait.
    whole: bool,
}

impl Held {
    /// For a packet that an eroute takes.
    ///
    /// As in KLIPS, protocol and ports are those of the packet where the eroute is for some only, and
    /// open where it is not.
    pub(super) fn new(
        (trap, selector, shunt): (u64, &Selector, Shunt),
        (src, dst, proto): (SocketAddr, SocketAddr, u8),
    ) -> Self {
        let given = |wanted: u16, is: u16| if wanted == 0 { 0 } else { is };
        let narrow = Selector {
            src: Network::of_host(src.ip()),
            dst: Network::of_host(dst.ip()),
            proto: if selector.proto == 0 { 0 } else { proto },
            sport: given(selector.sport, src.port()),
            dport: given(selector.dport, dst.port()),
        };
        // The %hold of KLIPS had the place of a %trap for just these packets.
        let whole = shunt == Shunt::TrapSubnet || narrow == *selector;
        Held {
            selector: narrow,
            trap,
            whole,
        }
    }

    /// For all packets of an eroute.
    pub(super) fn whole(trap: u64, selector: &Selector) -> Self {
        Held {
            selector: *selector,
            trap,
            whole: true,
        }
    }

    fn pair(&self) -> Pair {
        let any = Family::of(&self.selector.src.address()).unspecified();
        let of = |network: &Network| {
            if self.whole {
                any
            } else {
                network.address()
            }
        };
        Pair {
            src: of(&self.selector.src),
            dst: of(&self.selector.dst),
            trap: self.trap,
        }
    }
}
