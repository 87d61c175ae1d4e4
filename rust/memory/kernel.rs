// SPDX-License-Identifier: GPL-2.0

//! Memory as the module's sources ask for it, from the kernel's allocators, accounted to whoever
//! asks. `host.rs` has the same for tests on the host.

use core::{
    convert::Infallible,
    ops::{
        Deref,
        DerefMut, //
    },
    slice, //
};
use kernel::{
    alloc::{
        allocator::KVmalloc,
        kvec,
        AllocError,
        KVVec, //
    },
    prelude::*,
    rbtree::{
        RBTree,
        RBTreeNodeReservation, //
    }, //
};

pub use crate::sys::Secret;

/// An allocation failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutOfMemory;

impl From<AllocError> for OutOfMemory {
    fn from(_: AllocError) -> Self {
        OutOfMemory
    }
}

/// An owned value.
pub type Boxed<T> = KBox<T>;

/// A list that grows, and nothing before there is something in it: the kernel's own asks the allocator to
/// free what it never had.
pub struct Vector<T>(Option<KVVec<T>>);

impl<T> Vector<T> {
    /// Nothing.
    pub const fn new() -> Self {
        Vector(None)
    }

    fn list(&mut self) -> &mut KVVec<T> {
        self.0.get_or_insert_with(KVVec::new)
    }

    /// Takes the last value out.
    pub fn pop(&mut self) -> Option<T> {
        self.list().pop()
    }

    /// Keeps only values of which this is so.
    pub fn retain(&mut self, is_kept: impl FnMut(&mut T) -> bool) {
        self.list().retain(is_kept);
    }

    /// Keeps no more than the first ones.
    pub fn truncate(&mut self, len: usize) {
        self.list().truncate(len);
    }
}

impl<T> Default for Vector<T> {
    fn default() -> Self {
        Vector::new()
    }
}

impl<T> Deref for Vector<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        self.0.as_deref().unwrap_or_default()
    }
}

impl<T> DerefMut for Vector<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        self.0.as_deref_mut().unwrap_or_default()
    }
}

impl<T> IntoIterator for Vector<T> {
    type Item = T;
    type IntoIter = Values<T>;

    fn into_iter(self) -> Values<T> {
        Values(self.0.map(IntoIterator::into_iter))
    }
}

/// The values of a [`Vector`].
pub struct Values<T>(Option<kvec::IntoIter<T, KVmalloc>>);

impl<T> Iterator for Values<T> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        self.0.as_mut()?.next()
    }
}

impl<'a, T> IntoIterator for &'a Vector<T> {
    type Item = &'a T;
    type IntoIter = slice::Iter<'a, T>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl<'a, T> IntoIterator for &'a mut Vector<T> {
    type Item = &'a mut T;
    type IntoIter = slice::IterMut<'a, T>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter_mut()
    }
}

/// Length of an [`Array`].
pub const ARRAY_LEN: usize = 64;

/// A fixed number of places for values.
pub type Array<T> = KBox<[Option<T>; ARRAY_LEN]>;

/// Makes a value in memory of its own.
// The value is made once the memory is there, so that it need not be moved to it.
pub fn boxed<T>(value: impl FnOnce() -> T) -> Result<Boxed<T>, OutOfMemory> {
    Ok(KBox::new_uninit(GFP_KERNEL_ACCOUNT)?.write(value()))
}

/// An array without values.
pub fn array<T>() -> Result<Array<T>, OutOfMemory> {
    let empty = pin_init::init_array_from_fn::<_, ARRAY_LEN, Option<T>, Infallible>(|_| None);
    KBox::init(empty, GFP_KERNEL_ACCOUNT).map_err(|_| OutOfMemory)
}

/// Makes room for so many values more.
pub fn reserve<T>(vector: &mut Vector<T>, count: usize) -> Result<(), OutOfMemory> {
    Ok(vector.list().reserve(count, GFP_KERNEL_ACCOUNT)?)
}

/// Appends a value.
pub fn push<T>(vector: &mut Vector<T>, value: T) -> Result<(), OutOfMemory> {
    Ok(vector.list().push(value, GFP_KERNEL_ACCOUNT)?)
}

/// Appends a value for which there is room.
pub fn push_reserved<T>(vector: &mut Vector<T>, value: T) {
    let pushed = vector.list().push_within_capacity(value);
    debug_assert!(pushed.is_ok(), "no room was reserved");
}

/// So many bytes, all of them `value`.
pub fn filled(value: u8, len: usize) -> Result<Vector<u8>, OutOfMemory> {
    Ok(Vector(Some(KVVec::from_elem(
        value,
        len,
        GFP_KERNEL_ACCOUNT,
    )?)))
}

/// An ordered map. Memory for an entry is taken before it is made.
pub struct Map<K, V>(RBTree<K, V>);

/// Memory for an entry of a [`Map`].
pub struct Node<K, V>(RBTreeNodeReservation<K, V>);

impl<K: Ord + Copy, V> Map<K, V> {
    /// A map without entries.
    pub fn new() -> Self {
        Map(RBTree::new())
    }

    /// Takes memory for an entry.
    pub fn reserve() -> Result<Node<K, V>, OutOfMemory> {
        let node = RBTreeNodeReservation::new(GFP_KERNEL_ACCOUNT);
        Ok(Node(node.map_err(|_| OutOfMemory)?))
    }

    /// Enters a value, in the place of one of the same key.
    pub fn insert(&mut self, node: Node<K, V>, key: K, value: V) {
        drop(self.0.insert(node.0.into_node(key, value)));
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
        Some(*self.0.cursor_lower_bound(key)?.current().0)
    }

    /// The first key that is greater than `key`.
    pub fn after(&self, key: &K) -> Option<K> {
        let cursor = self.0.cursor_lower_bound(key)?;
        let (first, _) = cursor.current();
        if first == key {
            Some(*cursor.peek_next()?.0)
        } else {
            Some(*first)
        }
    }
}
