// SPDX-License-Identifier: GPL-2.0

//! The rules of grouping: which SAs may be linked, and what an ungroup takes apart
//! (contract 1 to 4, reference 5.2 to 5.5).
//!
//! A group is a chain. `inext` of an SA is its neighbour towards the inside, `onext` the one
//! towards the outside; the transforms of a packet that leaves are applied from the inside to the
//! outside. An SA without neighbours is a chain of one.
//!
//! The rules know nothing of where SAs are kept: they work on whatever has [`Links`].

/// The most SAs that one chain can have.
///
/// KLIPS had no limit. The tools group four; pairwise messages may go further, but a chain is
/// walked while the table is locked, so there has to be an end.
pub const MAX_CHAIN: usize = 64;

/// The neighbours of an SA in its chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Neighbours<Id> {
    /// The one towards the inside.
    pub inext: Option<Id>,
    /// The one towards the outside.
    pub onext: Option<Id>,
}

impl<Id> Neighbours<Id> {
    /// Those of an SA without any.
    pub const NONE: Self = Neighbours {
        inext: None,
        onext: None,
    };
}

/// Where the neighbours of an SA are kept.
///
/// In the table, an SA that is not there has no neighbours. The rules keep `inext` and `onext` in
/// agreement: `onext(a) == b` exactly when `inext(b) == a`.
pub trait Links {
    /// What names an SA.
    type Id: Copy + PartialEq;

    /// The neighbours on both sides.
    fn neighbours(&self, sa: Self::Id) -> Neighbours<Self::Id>;
    /// Changes the neighbours on both sides; returns what they were.
    fn set_neighbours(&mut self, sa: Self::Id, to: Neighbours<Self::Id>) -> Neighbours<Self::Id>;

    /// The neighbour towards the inside.
    fn inext(&self, sa: Self::Id) -> Option<Self::Id> {
        self.neighbours(sa).inext
    }

    /// The neighbour towards the outside.
    fn onext(&self, sa: Self::Id) -> Option<Self::Id> {
        self.neighbours(sa).onext
    }
}

/// Why two SAs can't be linked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkError {
    /// The inner SA has an outer neighbour already.
    InnerTaken,
    /// The outer SA has an inner neighbour already.
    OuterTaken,
    /// The link would close a ring (an SA linked to itself is one).
    Cycle,
    /// The chain would have more than [`MAX_CHAIN`] members.
    TooLong,
}

/// `sa` and all that are inside of it, outside to inside.
fn inwards<L: Links>(links: &L, sa: L::Id) -> impl Iterator<Item = L::Id> + '_
where
    L::Id: 'static,
{
    core::iter::successors(Some(sa), |sa| links.inext(*sa))
}

/// The innermost SA of the chain that `sa` is in.
pub fn innermost<L: Links>(links: &L, sa: L::Id) -> L::Id
where
    L::Id: 'static,
{
    inwards(links, sa).last().unwrap_or(sa)
}

/// `sa` and all that are outside of it, inside to outside.
#[cfg(not(MODULE))]
pub fn outwards<L: Links>(links: &L, sa: L::Id) -> impl Iterator<Item = L::Id> + '_
where
    L::Id: 'static,
{
    core::iter::successors(Some(sa), |sa| links.onext(*sa))
}

/// The members of the chain that `sa` is in, inside to outside.
#[cfg(not(MODULE))]
pub fn members<L: Links>(links: &L, sa: L::Id) -> impl Iterator<Item = L::Id> + '_
where
    L::Id: 'static,
{
    outwards(links, innermost(links, sa))
}

/// Whether `sa` is in a group, that is, in a chain of more than one.
pub fn is_grouped<L: Links>(links: &L, sa: L::Id) -> bool {
    let Neighbours { inext, onext } = links.neighbours(sa);
    inext.is_some() || onext.is_some()
}

/// Whether `outer` may be linked to the outside of `inner`.
///
/// `inner` has to be the outer end of its chain and `outer` the inner end of its own; two groups
/// can thus be joined, and a group extended at either end, but not in the middle.
pub fn check_link<L: Links>(links: &L, inner: L::Id, outer: L::Id) -> Result<(), LinkError>
where
    L::Id: 'static,
{
    let (inside, outside) = (links.neighbours(inner), links.neighbours(outer));
    if inside.onext.is_some() {
        return Err(LinkError::InnerTaken);
    }
    if outside.inext.is_some() {
        return Err(LinkError::OuterTaken);
    }
    if outer == inner {
        return Err(LinkError::Cycle);
    }
    let mut len = 2 + inside.inext.map_or(0, |sa| inwards(links, sa).count());
    let mut next = outside.onext;
    while let Some(sa) = next {
        if sa == inner {
            return Err(LinkError::Cycle);
        }
        len += 1;
        next = links.onext(sa);
    }
    if len > MAX_CHAIN {
        return Err(LinkError::TooLong);
    }
    Ok(())
}

/// Links `outer` to the outside of `inner`, which [`check_link`] has allowed.
pub fn link<L: Links>(links: &mut L, inner: L::Id, outer: L::Id) {
    let inside = Neighbours {
        onext: Some(outer),
        ..links.neighbours(inner)
    };
    let outside = Neighbours {
        inext: Some(inner),
        ..links.neighbours(outer)
    };
    links.set_neighbours(inner, inside);
    links.set_neighbours(outer, outside);
}

/// Takes the whole chain apart that `sa` is in. An SA without neighbours stays as it is.
pub fn ungroup<L: Links>(links: &mut L, sa: L::Id) {
    let Neighbours {
        mut inext,
        mut onext,
    } = links.set_neighbours(sa, Neighbours::NONE);
    while let Some(sa) = inext {
        inext = links.set_neighbours(sa, Neighbours::NONE).inext;
    }
    while let Some(sa) = onext {
        onext = links.set_neighbours(sa, Neighbours::NONE).onext;
    }
}

/// Why a list of SAs can't be made into one group, and the index of the SA that is at fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListError {
    /// Index in the list, 0 being the innermost.
    pub member: usize,
    /// What is wrong with it.
    pub reason: ListReason,
}

/// What is wrong with a member of a list that is to become a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum ListReason {
    /// There is no such SA.
    Missing = 1,
    /// It is part of a group.
    Grouped = 2,
    /// It stands in the list before.
    Twice = 3,
}

/// Whether one group may be made of a list, inside to outside: every SA must exist (be `Some`),
/// none may be part of a group and none named twice.
pub fn check_list<L: Links>(links: &L, list: &[Option<L::Id>]) -> Result<(), ListError>
where
    L::Id: 'static,
{
    for (member, sa) in list.iter().enumerate() {
        let fault = |reason| ListError { member, reason };
        let sa = sa.ok_or(fault(ListReason::Missing))?;
        if list[..member].contains(&Some(sa)) {
            return Err(fault(ListReason::Twice));
        }
        if is_grouped(links, sa) {
            return Err(fault(ListReason::Grouped));
        }
    }
    Ok(())
}

/// Makes one group of a list, inside to outside, which [`check_list`] has allowed.
pub fn link_list<L: Links>(links: &mut L, list: &[Option<L::Id>]) {
    let mut inext = None;
    for (member, sa) in list.iter().enumerate() {
        let onext = list.get(member + 1).copied().flatten();
        if let Some(sa) = *sa {
            links.set_neighbours(sa, Neighbours { inext, onext });
        }
        inext = *sa;
    }
}
