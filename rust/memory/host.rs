// SPDX-License-Identifier: GPL-2.0

//! Memory as the module's sources ask for it, from the host's allocator. `kernel.rs` has the
//! same for the kernel.
//!
//! Allocations can be made to fail on purpose, with [`fail_after`], and it can be told whether
//! secrets stay behind, with [`secrets`].

use std::{cell::Cell, collections::BTreeMap, marker::PhantomData, ops::Bound};
use zeroize::Zeroizing;

/// An allocation failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutOfMemory;

/// An owned value.
pub type Boxed<T> = Box<T>;

/// A list that grows.
pub type Vector<T> = Vec<T>;

/// Length of an [`Array`].
pub const ARRAY_LEN: usize = 64;

/// A fixed number of places for values.
pub type Array<T> = Box<[Option<T>; ARRAY_LEN]>;

thread_local! {
    static REMAINING: Cell<Option<u64>> = const { Cell::new(None) };
    static SECRETS: Cell<usize> = const { Cell::new(0) };
}

/// Makes every allocation of this thread fail after `count` more; `None` ends that.
pub fn fail_after(count: Option<u64>) {
    REMAINING.set(count);
}

fn allocate() -> Result<(), OutOfMemory> {
    match REMAINING.get() {
        None => Ok(()),
        Some(0) => Err(OutOfMemory),
        Some(count) => {
            REMAINING.set(Some(count - 1));
            Ok(())
        }
    }
}

/// Makes a value in memory of its own.
pub fn boxed<T>(value: impl FnOnce() -> T) -> Result<Boxed<T>, OutOfMemory> {
    allocate()?;
    Ok(Box::new(value()))
}

/// An array without values.
pub fn array<T>() -> Result<Array<T>, OutOfMemory> {
    allocate()?;
    Ok(Box::new(std::array::from_fn(|_| None)))
}

/// Makes room for so many values more.
pub fn reserve<T>(vector: &mut Vector<T>, count: usize) -> Result<(), OutOfMemory> {
    allocate()?;
    vector.reserve(count);
    Ok(())
}

/// Appends a value.
pub fn push<T>(vector: &mut Vector<T>, value: T) -> Result<(), OutOfMemory> {
    allocate()?;
    vector.push(value);
    Ok(())
}

/// Appends a value for which there is room.
pub fn push_reserved<T>(vector: &mut Vector<T>, value: T) {
    assert!(vector.len() < vector.capacity(), "no room was reserved");
    vector.push(value);
}

/// So many bytes, all of them `value`.
pub fn filled(value: u8, len: usize) -> Result<Vector<u8>, OutOfMemory> {
    allocate()?;
    Ok(vec![value; len])
}

/// An ordered map. Memory for an entry is taken before it is made.
pub struct Map<K, V>(BTreeMap<K, V>);

/// Memory for an entry of a [`Map`].
pub struct Node<K, V>(PhantomData<(K, V)>);

impl<K: Ord + Copy, V> Map<K, V> {
    /// A map without entries.
    #[expect(clippy::new_without_default, reason = "the kernel's map has none")]
    pub const fn new() -> Self {
        Map(BTreeMap::new())
    }

    /// Takes memory for an entry.
    pub fn reserve() -> Result<Node<K, V>, OutOfMemory> {
        allocate()?;
        Ok(Node(PhantomData))
    }

    /// Enters a value, in the place of one of the same key.
    pub fn insert(&mut self, _node: Node<K, V>, key: K, value: V) {
        self.0.insert(key, value);
    }

    /// The value of a key.
    pub fn get(&self, key: &K) -> Option<&V> {
        self.0.get(key)
    }

    /// The value of a key, to be changed.
    pub fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        self.0.get_mut(key)
    }

    /// Takes a value out.
    pub fn remove(&mut self, key: &K) -> Option<V> {
        self.0.remove(key)
    }

    /// The first key that is not less than `key`.
    pub fn at_or_after(&self, key: &K) -> Option<K> {
        self.0.range(key..).next().map(|(key, _)| *key)
    }

    /// The first key that is greater than `key`.
    pub fn after(&self, key: &K) -> Option<K> {
        let later = (Bound::Excluded(key), Bound::Unbounded);
        self.0.range(later).next().map(|(key, _)| *key)
    }
}

/// How many [`Secret`]s this thread has.
pub fn secrets() -> usize {
    SECRETS.get()
}

/// Bytes that are wiped before their memory is freed.
pub struct Secret(Zeroizing<Vec<u8>>);

impl Secret {
    /// A copy of some bytes.
    pub fn copy_of(bytes: &[u8]) -> Result<Self, OutOfMemory> {
        Self::of_both(bytes, &[])
    }

    /// A copy of some bytes and some more.
    pub fn of_both(front: &[u8], back: &[u8]) -> Result<Self, OutOfMemory> {
        allocate()?;
        SECRETS.set(SECRETS.get() + 1);
        Ok(Secret(Zeroizing::new([front, back].concat())))
    }

    /// The bytes.
    pub fn as_slice(&self) -> &[u8] {
        &self.0
    }
}

impl Drop for Secret {
    fn drop(&mut self) {
        SECRETS.set(SECRETS.get() - 1);
    }
}
