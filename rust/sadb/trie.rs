// SPDX-License-Identifier: GPL-2.0

//! A map from numbers to values, in the order of the numbers: SAs by their age, sockets by theirs,
//! and the seconds in which something is due.
//!
//! It is a trie with 64 children a node, of one height for small keys and of another for all
//! others: every operation takes the same few steps however many entries there are.

use crate::memory::{
    self,
    Array,
    Boxed,
    OutOfMemory, //
};
use core::{
    num::NonZeroU64,
    slice, //
};

/// A number that something is found by: not 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(NonZeroU64);

impl Key {
    /// The smallest key.
    pub const FIRST: Key = Key(NonZeroU64::MIN);

    /// The key of this number, or `None` for 0.
    pub const fn from_number(number: u64) -> Option<Self> {
        match NonZeroU64::new(number) {
            Some(number) => Some(Key(number)),
            None => None,
        }
    }

    /// The number of the key.
    pub const fn number(self) -> u64 {
        self.0.get()
    }

    /// The key after this one.
    pub const fn next(self) -> Self {
        // At a million insertions a second, 2^64 are not used up in half a million years.
        Key(self.0.saturating_add(1))
    }
}

impl From<NonZeroU64> for Key {
    fn from(number: NonZeroU64) -> Self {
        Key(number)
    }
}

const FANOUT: usize = memory::ARRAY_LEN;
const BITS: u32 = FANOUT.trailing_zeros();

/// A level of the trie, seen from above. `SHIFT` is how many bits of the key the levels below use.
trait Level: Sized {
    type Value;
    const SHIFT: u32;

    fn new() -> Result<Self, OutOfMemory>;
    fn is_empty(&self) -> bool;
    fn get(&self, key: u64) -> Option<&Self::Value>;
    fn get_mut(&mut self, key: u64) -> Option<&mut Self::Value>;
    /// Makes the nodes on the way to `key`.
    fn reserve(&mut self, key: u64) -> Result<(), OutOfMemory>;
    /// Puts a value where nodes have been reserved and none is; hands it back otherwise.
    fn insert(&mut self, key: u64, value: Boxed<Self::Value>) -> Result<(), Boxed<Self::Value>>;
    /// Removes a value, and the nodes below this one that have become empty by that. Returns whether
    /// this one has, too.
    fn remove(&mut self, key: u64) -> Option<(Boxed<Self::Value>, bool)>;
    /// The first leaf that has values at `key` or later: its part from the first of those on, and
    /// the key that comes after it.
    fn leaf_from(&self, key: u64) -> Option<(&[Slot<Self::Value>], u64)>;
    /// Frees the values of the first leaf. Returns how many those were.
    fn free_first(&mut self) -> usize;
    /// Checks that no node is empty but those that are kept for `spare`, if that is in this one.
    #[cfg(any(test, feature = "check"))]
    fn check(&self, spare: Option<u64>);

    fn index(key: u64) -> usize {
        // CAST: masked to less than the fan-out.
        (key >> Self::SHIFT) as usize & (FANOUT - 1)
    }
}

/// A place for a value.
type Slot<T> = Option<Boxed<T>>;

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

    fn get(&self, key: u64) -> Option<&T> {
        self.0[Self::index(key)].as_deref()
    }

    fn get_mut(&mut self, key: u64) -> Option<&mut T> {
        self.0[Self::index(key)].as_deref_mut()
    }

    fn reserve(&mut self, _age: u64) -> Result<(), OutOfMemory> {
        Ok(())
    }

    fn insert(&mut self, key: u64, value: Boxed<T>) -> Result<(), Boxed<T>> {
        match &mut self.0[Self::index(key)] {
            Some(_) => Err(value),
            slot => {
                *slot = Some(value);
                Ok(())
            }
        }
    }

    fn remove(&mut self, key: u64) -> Option<(Boxed<T>, bool)> {
        let index = Self::index(key);
        let value = self.0[index].take()?;
        Some((value, is_emptied(&self.0, index)))
    }

    fn leaf_from(&self, key: u64) -> Option<(&[Slot<T>], u64)> {
        let rest = &self.0[Self::index(key)..];
        // CAST: at most the fan-out.
        let after = key + rest.len() as u64;
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

    fn get(&self, key: u64) -> Option<&Self::Value> {
        self.0[Self::index(key)].as_ref()?.get(key)
    }

    fn get_mut(&mut self, key: u64) -> Option<&mut Self::Value> {
        self.0[Self::index(key)].as_mut()?.get_mut(key)
    }

    fn reserve(&mut self, key: u64) -> Result<(), OutOfMemory> {
        let child = &mut self.0[Self::index(key)];
        match child {
            Some(child) => child.reserve(key),
            None => {
                // Complete before it is hung in, so that no empty node stays behind a failure.
                let mut new = L::new()?;
                new.reserve(key)?;
                *child = Some(new);
                Ok(())
            }
        }
    }

    fn insert(&mut self, key: u64, value: Boxed<Self::Value>) -> Result<(), Boxed<Self::Value>> {
        match &mut self.0[Self::index(key)] {
            Some(child) => child.insert(key, value),
            None => Err(value),
        }
    }

    fn remove(&mut self, key: u64) -> Option<(Boxed<Self::Value>, bool)> {
        let index = Self::index(key);
        let (value, mut emptied) = self.0[index].as_mut()?.remove(key)?;
        if emptied {
            self.0[index] = None;
            emptied = is_emptied(&self.0, index);
        }
        Some((value, emptied))
    }

    fn leaf_from(&self, mut key: u64) -> Option<(&[Slot<Self::Value>], u64)> {
        for child in &self.0[Self::index(key)..] {
            let found = child.as_ref().and_then(|child| child.leaf_from(key));
            if found.is_some() {
                return found;
            }
            // The first of the next child.
            key = ((key >> Self::SHIFT) + 1) << Self::SHIFT;
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
                child.check(spare.filter(|key| Self::index(*key) == index));
            }
        }
    }
}

/// Four levels.
type Shallow<T> = Inner<Inner<Inner<Leaf<T>>>>;
/// Eight levels.
type Deep<T> = Inner<Inner<Inner<Inner<Shallow<T>>>>>;

// So many SAs can be added to a table, and so many until each takes twice the steps.
const _: () = assert!(places::<Deep<()>>() == 1 << 48 && places::<Shallow<()>>() == 1 << 24);

/// How many keys a trie has places for.
const fn places<L: Level>() -> u64 {
    1 << (L::SHIFT + BITS)
}

/// Makes the nodes on the way to `key`, the root included.
fn reserve<L: Level>(root: &mut Option<L>, key: u64) -> Result<(), OutOfMemory> {
    match root {
        Some(root) => root.reserve(key),
        None => {
            let mut new = L::new()?;
            new.reserve(key)?;
            *root = Some(new);
            Ok(())
        }
    }
}

/// Puts a value where nodes have been reserved and none is; hands it back otherwise.
fn insert<L: Level>(
    root: &mut Option<L>,
    key: u64,
    value: Boxed<L::Value>,
) -> Result<(), Boxed<L::Value>> {
    match root {
        Some(root) => root.insert(key, value),
        None => Err(value),
    }
}

/// Removes the value at `key`, and the root if that is empty then.
fn remove<L: Level>(root: &mut Option<L>, key: u64) -> Option<Boxed<L::Value>> {
    let (value, emptied) = root.as_mut()?.remove(key)?;
    if emptied {
        *root = None;
    }
    Some(value)
}

/// A map from [`Key`] to `T`, in order of key.
pub(crate) struct Trie<T> {
    /// The values of small keys, by half as many steps: few hosts add so many SAs that theirs are
    /// larger.
    shallow: Option<Shallow<T>>,
    /// The values of all others.
    deep: Option<Deep<T>>,
    len: usize,
}

impl<T> Trie<T> {
    /// The first key that does not fit.
    pub(crate) const LIMIT: u64 = places::<Deep<T>>();
    /// The first key that is not in `shallow`.
    const DEEP: u64 = places::<Shallow<T>>();

    /// A map without entries; allocates nothing.
    pub(crate) const fn new() -> Self {
        Trie {
            shallow: None,
            deep: None,
            len: 0,
        }
    }

    /// How many entries there are.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Makes sure that [`Trie::insert`] at `key` has all the memory it needs.
    pub(crate) fn reserve(&mut self, key: Key) -> Result<(), OutOfMemory> {
        match key.number() {
            key if key < Self::DEEP => reserve(&mut self.shallow, key),
            key if key < Self::LIMIT => reserve(&mut self.deep, key),
            _ => Err(OutOfMemory),
        }
    }

    /// Enters a value at a key that has been reserved and is not taken; hands it back otherwise.
    pub(crate) fn insert(&mut self, key: Key, value: Boxed<T>) -> Result<(), Boxed<T>> {
        match key.number() {
            key if key < Self::DEEP => insert(&mut self.shallow, key, value),
            key => insert(&mut self.deep, key, value),
        }?;
        self.len += 1;
        Ok(())
    }

    /// The value at `key`.
    pub(crate) fn get(&self, key: Key) -> Option<&T> {
        match key.number() {
            key if key < Self::DEEP => self.shallow.as_ref()?.get(key),
            key => self.deep.as_ref()?.get(key),
        }
    }

    /// The value at `key`, to be changed.
    pub(crate) fn get_mut(&mut self, key: Key) -> Option<&mut T> {
        match key.number() {
            key if key < Self::DEEP => self.shallow.as_mut()?.get_mut(key),
            key => self.deep.as_mut()?.get_mut(key),
        }
    }

    /// Removes the value at `key`.
    pub(crate) fn remove(&mut self, key: Key) -> Option<Boxed<T>> {
        let value = match key.number() {
            key if key < Self::DEEP => remove(&mut self.shallow, key),
            key => remove(&mut self.deep, key),
        }?;
        self.len -= 1;
        Some(value)
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
    pub(crate) fn check(&self, spare: Key) {
        let spare = Some(spare.number());
        if let Some(root) = &self.shallow {
            root.check(spare.filter(|key| *key < Self::DEEP));
        }
        if let Some(root) = &self.deep {
            root.check(spare.filter(|key| *key >= Self::DEEP));
        }
    }

    /// The first value at `key` or later.
    pub(crate) fn at_or_after(&self, key: Key) -> Option<&T> {
        let (leaf, _) = self.leaf_from(key.number())?;
        leaf.first()?.as_deref()
    }

    /// See [`Level::leaf_from`].
    fn leaf_from(&self, key: u64) -> Option<(&[Slot<T>], u64)> {
        let shallow = self.shallow.as_ref().filter(|_| key < Self::DEEP);
        let found = shallow.and_then(|root| root.leaf_from(key));
        if found.is_some() || key >= Self::LIMIT {
            return found;
        }
        self.deep.as_ref()?.leaf_from(key)
    }

    /// The values at `key` and later, in order.
    pub(crate) fn values_from(&self, key: Key) -> Values<'_, T> {
        Values {
            map: self,
            leaf: [].iter(),
            after: key.number(),
        }
    }
}

/// What [`Trie::values_from`] returns.
pub struct Values<'a, T> {
    map: &'a Trie<T>,
    /// What is left of a leaf.
    leaf: slice::Iter<'a, Slot<T>>,
    /// The key that comes after it.
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

impl<T> Default for Trie<T> {
    fn default() -> Self {
        Self::new()
    }
}
