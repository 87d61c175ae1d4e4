// SPDX-License-Identifier: GPL-2.0

//! A map from ages to values, in order of age.
//!
//! The age of an SA is its number in the order of insertion. It is never used again, so it serves
//! as a handle that can't come to mean another SA, as the key of the order in which SAs are
//! listed, and as a position in a listing that stays meaningful while SAs come and go.
//!
//! The map is a trie with 64 children a node, of one height for small ages and of another for all
//! others: every operation takes the same few steps however many entries there are.

use crate::memory::{
    self,
    Array,
    Boxed,
    OutOfMemory, //
};
use core::{
    num::NonZeroU64,
    ops::Deref,
    slice, //
};

/// Number of an SA in the order of insertion, from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Age(NonZeroU64);

impl Age {
    /// The first age.
    pub const FIRST: Age = Age(NonZeroU64::MIN);

    /// The age with this number, or `None` for 0.
    pub const fn from_number(number: u64) -> Option<Self> {
        match NonZeroU64::new(number) {
            Some(number) => Some(Age(number)),
            None => None,
        }
    }

    /// The number of the age.
    pub const fn number(self) -> u64 {
        self.0.get()
    }

    /// The age after this one.
    pub const fn next(self) -> Self {
        // At a million insertions a second, 2^64 are not used up in half a million years.
        Age(self.0.saturating_add(1))
    }
}

impl From<NonZeroU64> for Age {
    fn from(number: NonZeroU64) -> Self {
        Age(number)
    }
}

const FANOUT: usize = memory::ARRAY_LEN;
const BITS: u32 = FANOUT.trailing_zeros();

/// A level of the trie, seen from above. `SHIFT` is how many bits of the age the levels below use.
trait Level: Sized {
    type Value;
    const SHIFT: u32;

    fn new() -> Result<Self, OutOfMemory>;
    fn is_empty(&self) -> bool;
    fn get(&self, age: u64) -> Option<&Self::Value>;
    fn get_mut(&mut self, age: u64) -> Option<&mut Self::Value>;
    /// Whether all nodes on the way to `age` are there.
    fn is_reserved(&self, age: u64) -> bool;
    /// Makes the nodes on the way to `age`.
    fn reserve(&mut self, age: u64) -> Result<(), OutOfMemory>;
    /// Puts a value where nodes have been reserved and none is; hands it back otherwise.
    fn insert(&mut self, age: u64, value: Boxed<Self::Value>) -> Result<(), Boxed<Self::Value>>;
    /// Removes a value, and the nodes below this one that have become empty by that. Returns whether
    /// this one has, too.
    fn remove(&mut self, age: u64) -> Option<(Removed<Self::Value>, bool)>;
    /// Itself if it is a leaf; any other node is freed.
    fn into_leaf(self) -> Option<Leaf<Self::Value>>;
    /// The first leaf that has values at `age` or later: its part from the first of those on, and
    /// the age that comes after it.
    fn leaf_from(&self, age: u64) -> Option<(&[Slot<Self::Value>], u64)>;
    /// Frees the values of the first leaf. Returns how many those were.
    fn free_first(&mut self) -> usize;
    /// Checks that no node is empty but those that are kept for `spare`, if that is in this one.
    #[cfg(any(test, feature = "check"))]
    fn check(&self, spare: Option<u64>);

    fn index(age: u64) -> usize {
        // CAST: masked to less than the fan-out.
        (age >> Self::SHIFT) as usize & (FANOUT - 1)
    }
}

/// A place for a value.
type Slot<T> = Option<Boxed<T>>;

/// A value that was removed, with the leaf that has become empty by that, to be freed with it.
pub(crate) struct Removed<T> {
    value: Boxed<T>,
    leaf: Option<Leaf<T>>,
}

impl<T> Deref for Removed<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

/// Whether nothing is left after what was at `index` was taken out.
fn is_emptied<T>(slots: &[Option<T>; FANOUT], index: usize) -> bool {
    // Most SAs go next to one that stays, be it the oldest that goes or the newest.
    let is_taken = |at: usize| slots.get(at).is_some_and(Option::is_some);
    !is_taken(index + 1) && !is_taken(index.wrapping_sub(1)) && slots.iter().all(Option::is_none)
}

struct Leaf<T>(Array<Boxed<T>>);

impl<T> Level for Leaf<T> {
    type Value = T;
    const SHIFT: u32 = 0;

    fn new() -> Result<Self, OutOfMemory> {
        Ok(Leaf(memory::array()?))
    }

    fn is_empty(&self) -> bool {
        self.0.iter().all(Option::is_none)
    }

    fn get(&self, age: u64) -> Option<&T> {
        self.0[Self::index(age)].as_deref()
    }

    fn get_mut(&mut self, age: u64) -> Option<&mut T> {
        self.0[Self::index(age)].as_deref_mut()
    }

    fn is_reserved(&self, _age: u64) -> bool {
        true
    }

    fn reserve(&mut self, _age: u64) -> Result<(), OutOfMemory> {
        Ok(())
    }

    fn insert(&mut self, age: u64, value: Boxed<T>) -> Result<(), Boxed<T>> {
        match &mut self.0[Self::index(age)] {
            Some(_) => Err(value),
            slot => {
                *slot = Some(value);
                Ok(())
            }
        }
    }

    fn remove(&mut self, age: u64) -> Option<(Removed<T>, bool)> {
        let index = Self::index(age);
        let value = self.0[index].take()?;
        let emptied = is_emptied(&self.0, index);
        Some((Removed { value, leaf: None }, emptied))
    }

    fn into_leaf(self) -> Option<Leaf<T>> {
        Some(self)
    }

    fn leaf_from(&self, age: u64) -> Option<(&[Slot<T>], u64)> {
        let rest = &self.0[Self::index(age)..];
        // CAST: at most the fan-out.
        let after = age + rest.len() as u64;
        let first = rest.iter().position(Option::is_some)?;
        Some((rest.get(first..)?, after))
    }

    fn free_first(&mut self) -> usize {
        self.0.iter_mut().filter_map(Option::take).count()
    }

    #[cfg(any(test, feature = "check"))]
    fn check(&self, spare: Option<u64>) {
        assert!(spare.is_some() || !self.is_empty(), "an empty leaf");
    }
}

struct Inner<L>(Array<L>);

impl<L: Level> Level for Inner<L> {
    type Value = L::Value;
    const SHIFT: u32 = L::SHIFT + BITS;

    fn new() -> Result<Self, OutOfMemory> {
        Ok(Inner(memory::array()?))
    }

    fn is_empty(&self) -> bool {
        self.0.iter().all(Option::is_none)
    }

    fn get(&self, age: u64) -> Option<&Self::Value> {
        self.0[Self::index(age)].as_ref()?.get(age)
    }

    fn get_mut(&mut self, age: u64) -> Option<&mut Self::Value> {
        self.0[Self::index(age)].as_mut()?.get_mut(age)
    }

    fn is_reserved(&self, age: u64) -> bool {
        let child = self.0[Self::index(age)].as_ref();
        child.is_some_and(|child| child.is_reserved(age))
    }

    fn reserve(&mut self, age: u64) -> Result<(), OutOfMemory> {
        let child = &mut self.0[Self::index(age)];
        match child {
            Some(child) => child.reserve(age),
            None => {
                // Complete before it is hung in, so that no empty node stays behind a failure.
                let mut new = L::new()?;
                new.reserve(age)?;
                *child = Some(new);
                Ok(())
            }
        }
    }

    fn insert(&mut self, age: u64, value: Boxed<Self::Value>) -> Result<(), Boxed<Self::Value>> {
        match &mut self.0[Self::index(age)] {
            Some(child) => child.insert(age, value),
            None => Err(value),
        }
    }

    fn remove(&mut self, age: u64) -> Option<(Removed<Self::Value>, bool)> {
        let index = Self::index(age);
        let (mut removed, mut emptied) = self.0[index].as_mut()?.remove(age)?;
        if emptied {
            let leaf = self.0[index].take().and_then(L::into_leaf);
            removed.leaf = removed.leaf.or(leaf);
            emptied = is_emptied(&self.0, index);
        }
        Some((removed, emptied))
    }

    fn into_leaf(self) -> Option<Leaf<Self::Value>> {
        None
    }

    fn leaf_from(&self, mut age: u64) -> Option<(&[Slot<Self::Value>], u64)> {
        for child in &self.0[Self::index(age)..] {
            let found = child.as_ref().and_then(|child| child.leaf_from(age));
            if found.is_some() {
                return found;
            }
            // The first of the next child.
            age = ((age >> Self::SHIFT) + 1) << Self::SHIFT;
        }
        None
    }

    fn free_first(&mut self) -> usize {
        for slot in self.0.iter_mut() {
            if let Some(child) = slot {
                let dropped = child.free_first();
                if child.is_empty() {
                    *slot = None;
                }
                return dropped;
            }
        }
        0
    }

    #[cfg(any(test, feature = "check"))]
    fn check(&self, spare: Option<u64>) {
        assert!(spare.is_some() || !self.is_empty(), "an empty node");
        for (index, child) in self.0.iter().enumerate() {
            if let Some(child) = child {
                child.check(spare.filter(|age| Self::index(*age) == index));
            }
        }
    }
}

/// Four levels: 2^24 insertions.
type Shallow<T> = Inner<Inner<Inner<Leaf<T>>>>;
/// Eight levels: 2^48 insertions.
type Deep<T> = Inner<Inner<Inner<Inner<Shallow<T>>>>>;

/// How many ages a trie has places for.
const fn places<L: Level>() -> u64 {
    1 << (L::SHIFT + BITS)
}

/// Makes the nodes on the way to `age`, the root included.
fn reserve<L: Level>(root: &mut Option<L>, age: u64) -> Result<(), OutOfMemory> {
    match root {
        // So it is but for one in 64, and cheaper to find out.
        Some(root) if root.is_reserved(age) => Ok(()),
        Some(root) => root.reserve(age),
        None => {
            let mut new = L::new()?;
            new.reserve(age)?;
            *root = Some(new);
            Ok(())
        }
    }
}

/// Removes the value at `age`, and the root if that is empty then.
fn remove<L: Level>(root: &mut Option<L>, age: u64) -> Option<Removed<L::Value>> {
    let (removed, emptied) = root.as_mut()?.remove(age)?;
    if emptied {
        *root = None;
    }
    Some(removed)
}

/// A map from [`Age`] to `T`, in order of age: of SAs by their own, of seconds, of sockets.
pub(crate) struct AgeMap<T> {
    /// The values of small ages, by half as many steps: few hosts add so many SAs that theirs are
    /// larger.
    shallow: Option<Shallow<T>>,
    /// The values of all others.
    deep: Option<Deep<T>>,
    len: usize,
}

impl<T> AgeMap<T> {
    /// The first age that does not fit.
    pub(crate) const LIMIT: u64 = places::<Deep<T>>();
    /// The first age that is not in `shallow`.
    const DEEP: u64 = places::<Shallow<T>>();

    /// A map without entries; allocates nothing.
    pub(crate) const fn new() -> Self {
        AgeMap {
            shallow: None,
            deep: None,
            len: 0,
        }
    }

    /// How many entries there are.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Makes sure that [`AgeMap::insert`] at `age` has all the memory it needs.
    pub(crate) fn reserve(&mut self, age: Age) -> Result<(), OutOfMemory> {
        match age.number() {
            age if age < Self::DEEP => reserve(&mut self.shallow, age),
            age if age < Self::LIMIT => reserve(&mut self.deep, age),
            _ => Err(OutOfMemory),
        }
    }

    /// Enters a value at an age that has been reserved and is not taken; hands it back otherwise.
    pub(crate) fn insert(&mut self, age: Age, value: Boxed<T>) -> Result<(), Boxed<T>> {
        let age = age.number();
        match (&mut self.shallow, &mut self.deep) {
            (Some(root), _) if age < Self::DEEP => root.insert(age, value)?,
            (_, Some(root)) if age >= Self::DEEP => root.insert(age, value)?,
            _ => return Err(value),
        }
        self.len += 1;
        Ok(())
    }

    /// The value at `age`.
    pub(crate) fn get(&self, age: Age) -> Option<&T> {
        match age.number() {
            age if age < Self::DEEP => self.shallow.as_ref()?.get(age),
            age => self.deep.as_ref()?.get(age),
        }
    }

    /// The value at `age`, to be changed.
    pub(crate) fn get_mut(&mut self, age: Age) -> Option<&mut T> {
        match age.number() {
            age if age < Self::DEEP => self.shallow.as_mut()?.get_mut(age),
            age => self.deep.as_mut()?.get_mut(age),
        }
    }

    /// Removes the value at `age`.
    pub(crate) fn remove(&mut self, age: Age) -> Option<Removed<T>> {
        let removed = match age.number() {
            age if age < Self::DEEP => remove(&mut self.shallow, age),
            age => remove(&mut self.deep, age),
        }?;
        self.len -= 1;
        Some(removed)
    }

    /// Frees some of the first values. Returns whether there were any.
    pub(crate) fn free_some(&mut self) -> bool {
        let dropped = match self.shallow.as_mut().map_or(0, Level::free_first) {
            0 => self.deep.as_mut().map_or(0, Level::free_first),
            dropped => dropped,
        };
        self.len -= dropped;
        dropped > 0
    }

    /// Checks that nothing is kept for values that are gone, but for what may have been reserved at
    /// `spare`; for tests.
    #[cfg(any(test, feature = "check"))]
    pub(crate) fn check(&self, spare: Age) {
        let spare = Some(spare.number());
        if let Some(root) = &self.shallow {
            root.check(spare.filter(|age| *age < Self::DEEP));
        }
        if let Some(root) = &self.deep {
            root.check(spare.filter(|age| *age >= Self::DEEP));
        }
    }

    /// The first value at `age` or later.
    pub(crate) fn at_or_after(&self, age: Age) -> Option<&T> {
        let (leaf, _) = self.leaf_from(age.number())?;
        leaf.first()?.as_deref()
    }

    /// See [`Level::leaf_from`].
    fn leaf_from(&self, age: u64) -> Option<(&[Slot<T>], u64)> {
        let shallow = self.shallow.as_ref().filter(|_| age < Self::DEEP);
        let found = shallow.and_then(|root| root.leaf_from(age));
        if found.is_some() || age >= Self::LIMIT {
            return found;
        }
        self.deep.as_ref()?.leaf_from(age)
    }

    /// The values at `age` and later, in order.
    pub(crate) fn values_from(&self, age: Age) -> Values<'_, T> {
        Values {
            map: self,
            leaf: [].iter(),
            after: age.number(),
        }
    }
}

/// What [`AgeMap::values_from`] returns.
pub struct Values<'a, T> {
    map: &'a AgeMap<T>,
    /// What is left of a leaf.
    leaf: slice::Iter<'a, Slot<T>>,
    /// The age that comes after it.
    after: u64,
}

impl<'a, T> Values<'a, T> {
    /// Goes on with the next leaf, of which it returns the first value.
    #[inline(never)]
    fn next_leaf(&mut self) -> Option<&'a T> {
        let (leaf, after) = self.map.leaf_from(self.after)?;
        (self.leaf, self.after) = (leaf.iter(), after);
        self.leaf.find_map(Option::as_deref)
    }
}

impl<'a, T> Iterator for Values<'a, T> {
    type Item = &'a T;

    #[inline]
    fn next(&mut self) -> Option<&'a T> {
        match self.leaf.find_map(Option::as_deref) {
            Some(value) => Some(value),
            None => self.next_leaf(),
        }
    }
}

impl<T> Default for AgeMap<T> {
    fn default() -> Self {
        Self::new()
    }
}
