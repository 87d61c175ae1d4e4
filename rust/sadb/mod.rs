// SPDX-License-Identifier: GPL-2.0

//! The SA database of one network namespace.
//!
//! SAs are found by name through a hash [`Index`] and listed in the order in which they were
//! added through a [`Trie`]; both take the same few steps for one SA as for a million. SAs
//! refer to each other by [`Age`], never by address.
//!
//! Every operation that needs memory takes it before it changes anything.

mod index;
pub mod sa;
mod timers;
mod trie;

pub(crate) use self::trie::{
    Key,
    Trie, //
};

pub use self::{
    index::HashKey,
    sa::{
        Moment,
        NatT,
        Rarities,
        Sa,
        SaIdent,
        SaSpec, //
    }, //
};

use self::{
    index::{
        Chunk,
        Index,
        Shrunk, //
    },
    timers::{
        Second,
        Slot,
        Timers, //
    }, //
};
use crate::{
    klips_core::{
        group::{
            self,
            Links,
            Neighbours, //
        },
        pfkey::SaState,
        said::Said, //
    },
    memory::{
        Boxed,
        OutOfMemory, //
    }, //
};
use core::{
    num::NonZeroU64,
    ops::Deref, //
};

/// Why an SA can't be added.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AddError {
    /// There is one of that name.
    Exists,
    /// There are as many as there may be.
    Full,
    /// No memory.
    OutOfMemory,
}

impl From<OutOfMemory> for AddError {
    fn from(_: OutOfMemory) -> Self {
        AddError::OutOfMemory
    }
}

/// Number of an SA in the order of insertion, from 1. It is never used again, so it serves as a handle
/// that can't come to mean another SA, as the key of the order in which SAs are listed, and as a
/// position in a listing that stays meaningful while SAs come and go.
pub type Age = Key;

/// SAs in the order in which they were added.
pub type Sas<'a> = trie::Values<'a, Sa>;

/// The SAs of one network namespace.
///
/// # Invariants
///
/// - Every SA in `sas` is in exactly one bucket of `index`, the one of its SAID, and no two have
///   the same SAID.
/// - `inext` and `onext` of SAs name SAs in `sas` and agree: `onext(a) == b` exactly when
///   `inext(b) == a`. No chain is a ring or longer than [`group::MAX_CHAIN`].
/// - `next_age` is later than the age of every SA.
/// - An SA whose `due` is set is in the chain of that second in `timers`, and only there.
pub struct Sadb {
    sas: Trie<Sa>,
    index: Index,
    timers: Timers,
    hash_key: HashKey,
    next_age: Age,
    /// How many SAs there may be.
    limit: usize,
}

impl Sadb {
    /// A database without SAs; allocates nothing.
    pub const fn new(hash_key: HashKey) -> Self {
        Sadb {
            sas: Trie::new(),
            index: Index::new(),
            timers: Timers::new(),
            hash_key,
            next_age: Age::FIRST,
            limit: usize::MAX,
        }
    }

    /// Sets how many SAs there may be; those that are there stay.
    pub fn set_limit(&mut self, limit: usize) {
        self.limit = limit;
    }

    /// How many SAs there are.
    pub fn len(&self) -> usize {
        self.sas.len()
    }

    /// Whether there are none.
    #[cfg(not(MODULE))]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The age that the next SA will have: all that are there have lower ones.
    pub fn next_age(&self) -> Age {
        self.next_age
    }

    /// The SA with this name.
    pub fn find(&self, said: &Said) -> Option<&Sa> {
        self.find_hashed(said, self.hash_key.hash(said))
    }

    fn find_hashed(&self, said: &Said, hash: u64) -> Option<&Sa> {
        let mut next = self.index.head(self.index.bucket_of(hash));
        while let Some(sa) = next.and_then(|age| self.sas.get(age)) {
            if sa.spec.is_named(said) {
                return Some(sa);
            }
            next = sa.hnext;
        }
        None
    }

    /// The SA with this handle.
    pub fn get(&self, age: Age) -> Option<&Sa> {
        self.sas.get(age)
    }

    /// The SA that was added at `age` or, failing that, the first one after.
    pub fn at_or_after(&self, age: Age) -> Option<&Sa> {
        self.sas.at_or_after(age)
    }

    /// The SAs that were added at `age` and after, oldest first.
    pub fn sas_from(&self, age: Age) -> Sas<'_> {
        self.sas.values_from(age)
    }

    /// The SAs of the chain from `sa` outwards.
    pub fn outwards<'a>(&'a self, sa: &'a Sa) -> impl Iterator<Item = &'a Sa> + 'a {
        core::iter::successors(Some(sa), |sa| self.get(sa.onext()?))
    }

    /// The SAs of the chain that `sa` is in, inside to outside.
    pub fn chain<'a>(&'a self, sa: &'a Sa) -> impl Iterator<Item = &'a Sa> + 'a {
        let inwards = core::iter::successors(Some(sa), |sa| self.get(sa.inext()?));
        self.outwards(inwards.last().unwrap_or(sa))
    }

    /// Takes all the memory that adding `sa` needs, or changes nothing.
    pub fn prepare(&mut self, mut sa: Boxed<Sa>) -> Result<Prepared, AddError> {
        let said = sa.spec.said();
        let hash = self.hash_key.hash(&said);
        if self.find_hashed(&said, hash).is_some() {
            return Err(AddError::Exists);
        }
        if self.len() >= self.limit {
            return Err(AddError::Full);
        }
        sa.age = self.next_age;
        self.sas.reserve(self.next_age)?;
        self.index.reserve()?;
        let slot = self.reserve_timer(due(&sa.spec))?;
        Ok(Prepared { sa, hash, slot })
    }

    /// Adds an SA that [`Sadb::prepare`] has prepared; nothing else has been added since.
    pub fn add(&mut self, mut prepared: Prepared) {
        let age = prepared.sa.age();
        if age != self.next_age {
            return;
        }
        if self.sas.len() >= self.index.len() {
            if let Some(bucket) = self.index.grow() {
                self.rehash(bucket);
            }
        }
        let is_timed = due(&prepared.sa.spec).is_some();
        let bucket = self.index.bucket_of(prepared.hash);
        prepared.sa.hnext = self.index.head(bucket);
        if self.sas.insert(age, prepared.sa).is_err() {
            return;
        }
        self.next_age = age.next();
        self.index.set_head(bucket, Some(age));
        if is_timed {
            self.set_timer(age, prepared.slot);
        }
    }

    /// Takes all the memory that replacing an SA by `new` needs.
    pub fn prepare_replacement(&mut self, new: Boxed<Sa>) -> Result<Replacement, OutOfMemory> {
        let slot = self.reserve_timer(due(&new.spec))?;
        Ok(Replacement { new, slot })
    }

    /// Puts what was prepared in the place of an SA of the same name, which keeps its age and its
    /// place in its group. Returns what was prepared, now with the `spec` of before, unless there is
    /// no such SA.
    pub fn replace(&mut self, age: Age, Replacement { mut new, slot }: Replacement) -> Boxed<Sa> {
        if let Some(sa) = self.sas.get_mut(age) {
            if sa.spec.is_named(&new.spec.said()) {
                core::mem::swap(&mut sa.spec, &mut new.spec);
                self.set_timer(age, slot);
            }
        }
        new
    }

    /// Sets the ports of an SA behind NAT, there and in its addresses.
    pub fn set_ports(&mut self, age: Age, sport: Option<u16>, dport: Option<u16>) {
        let Some(sa) = self.sas.get_mut(age) else {
            return;
        };
        if let Some(port) = sport {
            sa.spec.natt.sport = port;
            sa.spec.src.set_port(port);
        }
        if let Some(port) = dport {
            sa.spec.natt.dport = port;
            sa.spec.dst.set_port(port);
        }
    }

    /// Takes all the memory that an SA needs to become dying, past its soft limits.
    pub fn prepare_dying(&mut self, age: Age) -> Result<Dying, OutOfMemory> {
        let deadline = self
            .get(age)
            .and_then(|sa| sa.spec.deadline_of(SaState::Dying));
        let slot = self.reserve_timer(keepable(deadline))?;
        Ok(Dying { age, slot })
    }

    /// Makes an SA dying, which then waits for its hard limits.
    pub fn set_dying(&mut self, Dying { age, slot }: Dying) {
        if let Some(sa) = self.sas.get_mut(age) {
            sa.spec.state = SaState::Dying;
            self.set_timer(age, slot);
        }
    }

    /// An SA one of whose limits is passed.
    pub fn due(&self, now: Moment) -> Option<&Sa> {
        let second = self
            .timers
            .earliest()
            .filter(|second| *second <= now.boot)?;
        self.get(self.timers.head(NonZeroU64::new(second)?)?)
    }

    /// The second since boot in which the next limit of an SA is passed.
    pub fn next_deadline(&self) -> Option<u64> {
        self.timers.earliest()
    }

    /// Removes the SA and the whole group that it is in; hands what was removed to `removed`,
    /// inside to outside.
    pub fn remove_chain(&mut self, sa: Age, mut removed: impl FnMut(Removed)) {
        let mut next = Some(group::innermost(self, sa));
        while let Some(sa) = next.and_then(|age| self.sas.remove(age)) {
            next = sa.onext();
            removed(Removed {
                _chunk: self.hash_out(&sa),
                _second: self.unlink_timer((sa.due, sa.due_before, sa.due_after)),
                sa,
            });
        }
    }

    /// Removes all SAs at once, to be freed at leisure. Ages go on where they were.
    pub fn remove_all(&mut self) -> RemovedAll {
        let mut empty = Sadb::new(self.hash_key);
        empty.next_age = self.next_age;
        empty.limit = self.limit;
        RemovedAll(core::mem::replace(self, empty))
    }

    fn reserve_timer(&mut self, due: Option<NonZeroU64>) -> Result<Slot, OutOfMemory> {
        match due {
            Some(at) => self.timers.reserve(at),
            None => Ok(Slot::NONE),
        }
    }

    /// Has an SA looked at when its deadline comes, for which memory has been reserved, and no
    /// longer when the one before would have come.
    fn set_timer(&mut self, age: Age, slot: Slot) {
        let Some(sa) = self.sas.get_mut(age) else {
            return;
        };
        let due = due(&sa.spec);
        if sa.due == due {
            return;
        }
        let old = (sa.due.take(), sa.due_before.take(), sa.due_after.take());
        // The new second first: when the last SA of the old one goes, so does memory around it.
        if let Some(at) = due {
            let after = self.timers.head(at);
            self.timers.set_head(at, Some(age), slot);
            if let Some(sa) = after.and_then(|age| self.sas.get_mut(age)) {
                sa.due_before = Some(age);
            }
            if let Some(sa) = self.sas.get_mut(age) {
                (sa.due, sa.due_after) = (Some(at), after);
            }
        }
        self.unlink_timer(old);
    }

    /// Closes the gap that an SA leaves among those of its second. Returns the second if it was the
    /// last one.
    fn unlink_timer(
        &mut self,
        (due, before, after): (Option<NonZeroU64>, Option<Age>, Option<Age>),
    ) -> Option<Boxed<Second>> {
        let at = due?;
        if let Some(sa) = after.and_then(|age| self.sas.get_mut(age)) {
            sa.due_before = before;
        }
        match before.and_then(|age| self.sas.get_mut(age)) {
            Some(sa) => {
                sa.due_after = after;
                None
            }
            None => self.timers.set_head(at, after, Slot::NONE),
        }
    }

    fn bucket_of(&self, said: &Said) -> usize {
        self.index.bucket_of(self.hash_key.hash(said))
    }

    /// Takes an SA that has been removed out of its bucket. Returns buckets that are not needed any
    /// more.
    fn hash_out(&mut self, sa: &Sa) -> Option<Chunk> {
        let bucket = self.bucket_of(&sa.spec.said());
        if self.index.head(bucket) == Some(sa.age()) {
            self.index.set_head(bucket, sa.hnext);
        } else {
            let mut next = self.index.head(bucket);
            while let Some(before) = next.and_then(|age| self.sas.get_mut(age)) {
                next = before.hnext;
                if next == Some(sa.age()) {
                    before.hnext = sa.hnext;
                    break;
                }
            }
        }
        // Fewer than half as many SAs as buckets: give two back, so that the index keeps up with
        // removals as it does with insertions.
        if self.sas.len() * 2 >= self.index.len() {
            return None;
        }
        let chunk = self.shrink_index();
        self.shrink_index().or(chunk)
    }

    fn shrink_index(&mut self) -> Option<Chunk> {
        let Shrunk { head, into, chunk } = self.index.shrink()?;
        let kept = self.index.head(into);
        self.index.set_head(into, head);
        self.append(into, kept);
        chunk
    }

    /// Puts `chain` behind the last SA of a bucket.
    fn append(&mut self, bucket: usize, chain: Option<Age>) {
        let mut last = match self.index.head(bucket) {
            None => return self.index.set_head(bucket, chain),
            Some(head) => head,
        };
        while let Some(sa) = self.sas.get_mut(last) {
            match sa.hnext {
                Some(next) => last = next,
                None => {
                    sa.hnext = chain;
                    return;
                }
            }
        }
    }

    /// Distributes the SAs of a bucket anew.
    fn rehash(&mut self, bucket: usize) {
        let mut next = self.index.head(bucket);
        self.index.set_head(bucket, None);
        while let Some((age, sa)) = next.and_then(|age| Some((age, self.sas.get_mut(age)?))) {
            let hash = self.hash_key.hash(&sa.spec.said());
            let bucket = self.index.bucket_of(hash);
            next = core::mem::replace(&mut sa.hnext, self.index.head(bucket));
            self.index.set_head(bucket, Some(age));
        }
    }

    /// Has the next SA be of this age, as if so many had been added; for tests.
    #[cfg(any(test, feature = "check"))]
    pub fn skip_to(&mut self, age: Age) {
        assert!(age >= self.next_age, "no age is used again");
        self.next_age = age;
    }

    /// Checks all invariants; for tests.
    #[cfg(any(test, feature = "check"))]
    pub fn check(&self) {
        self.sas.check(self.next_age);
        self.index.check(self.len());
        let mut hashed = 0;
        for bucket in 0..self.index.len() {
            let mut next = self.index.head(bucket);
            while let Some(age) = next {
                let sa = self.get(age).expect("a bucket names an SA that is there");
                assert_eq!(
                    self.bucket_of(&sa.spec.said()),
                    bucket,
                    "SA in a wrong bucket"
                );
                assert_eq!(self.find(&sa.spec.said()).map(Sa::age), Some(age));
                next = sa.hnext;
                hashed += 1;
            }
        }
        assert_eq!(hashed, self.len(), "every SA is in one bucket");
        let (mut listed, mut grouped, mut age) = (0, 0, Age::FIRST);
        while let Some(sa) = self.at_or_after(age) {
            assert!(sa.age() < self.next_age);
            if let Some(outer) = sa.onext() {
                assert_eq!(self.get(outer).and_then(Sa::inext), Some(sa.age()));
            }
            if let Some(inner) = sa.inext() {
                assert_eq!(self.get(inner).and_then(Sa::onext), Some(sa.age()));
            } else {
                let len = self.outwards(sa).take(group::MAX_CHAIN + 1).count();
                assert!(len <= group::MAX_CHAIN, "chain is a ring or too long");
                grouped += len;
            }
            if let Some(at) = sa.due {
                assert_eq!(Some(at.get()), sa.spec.deadline());
                match sa.due_before.and_then(|age| self.get(age)) {
                    Some(before) => assert_eq!(before.due_after, Some(sa.age())),
                    None => assert_eq!(self.timers.head(at), Some(sa.age())),
                }
            } else {
                assert_eq!(due(&sa.spec), None);
            }
            listed += 1;
            age = sa.age().next();
        }
        assert_eq!(listed, self.len(), "every SA is listed once");
        assert_eq!(grouped, self.len(), "every SA is in one chain");
    }
}

/// The second in which an SA has to be looked at.
fn due(spec: &SaSpec) -> Option<NonZeroU64> {
    keepable(spec.deadline())
}

/// A second, unless it is too far away to be kept.
fn keepable(second: Option<u64>) -> Option<NonZeroU64> {
    NonZeroU64::new(second?).filter(|at| Timers::can_keep(*at))
}

/// An SA that was removed, with all the memory that nothing needs any more.
pub struct Removed {
    sa: Boxed<Sa>,
    _chunk: Option<Chunk>,
    _second: Option<Boxed<Second>>,
}

impl Deref for Removed {
    type Target = Sa;

    fn deref(&self) -> &Sa {
        &self.sa
    }
}

/// All that was in a table: nobody can see it any more.
pub struct RemovedAll(Sadb);

impl RemovedAll {
    /// How many SAs are left of it.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    #[cfg(not(MODULE))]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Frees a part of it. Returns whether there was anything left.
    pub fn free_some(&mut self) -> bool {
        let RemovedAll(sadb) = self;
        sadb.sas.free_some() || sadb.timers.free_some() || sadb.index.free_some()
    }
}

/// An SA with all the memory that adding it needs.
pub struct Prepared {
    sa: Boxed<Sa>,
    /// Of its name.
    hash: u64,
    slot: Slot,
}

impl Prepared {
    /// What it will be.
    pub fn spec(&self) -> &SaSpec {
        &self.sa.spec
    }
}

/// An SA that becomes dying, with all the memory that that needs.
pub struct Dying {
    age: Age,
    slot: Slot,
}

/// What is to replace an SA, with all the memory that that needs.
pub struct Replacement {
    new: Boxed<Sa>,
    slot: Slot,
}

impl Replacement {
    /// What the SA will be.
    pub fn spec(&self) -> &SaSpec {
        &self.new.spec
    }
}

impl Links for Sadb {
    type Id = Age;

    fn neighbours(&self, sa: Age) -> Neighbours<Age> {
        self.sas
            .get(sa)
            .map_or(Neighbours::NONE, |sa| sa.neighbours)
    }

    fn set_neighbours(&mut self, sa: Age, to: Neighbours<Age>) -> Neighbours<Age> {
        match self.sas.get_mut(sa) {
            Some(sa) => core::mem::replace(&mut sa.neighbours, to),
            None => Neighbours::NONE,
        }
    }
}
