// SPDX-License-Identifier: GPL-2.0

//! Memory for keys, which is wiped before it goes (contract 17).

use crate::{
    klips_core::errno::Errno,
    memory::OutOfMemory, //
};
use core::ptr::{
    self,
    NonNull, //
};
use kernel::{
    bindings::kvfree_sensitive,
    iov::IovIterSource,
    prelude::*, //
};

/// Bytes that are wiped before their memory is freed.
///
/// # Invariants
///
/// `bytes` are initialized, are memory of `kvmalloc` unless there are none, and belong to this object
/// alone.
pub struct Secret {
    bytes: NonNull<[u8]>,
}

// SAFETY: The bytes belong to the object alone, wherever it is.
unsafe impl Send for Secret {}
// SAFETY: A shared reference only gives read access to the bytes.
unsafe impl Sync for Secret {}

impl Secret {
    fn zeroed(len: usize) -> Result<Self, OutOfMemory> {
        let (bytes, len, _) = KVVec::from_elem(0u8, len, GFP_KERNEL_ACCOUNT)?.into_raw_parts();
        // INVARIANT: These are a vector's, which has been given up.
        Ok(Secret {
            bytes: NonNull::new(ptr::slice_from_raw_parts_mut(bytes, len)).ok_or(OutOfMemory)?,
        })
    }

    /// `len` bytes: those that were read already, and the rest from a source; `EFAULT` if it does not
    /// have that.
    pub(super) fn read(
        front: &[u8],
        source: &mut IovIterSource<'_>,
        len: usize,
    ) -> Result<Self, Errno> {
        let mut secret = Self::zeroed(len)?;
        let bytes = secret.as_mut_slice();
        let (to_front, rest) = bytes
            .split_at_mut_checked(front.len())
            .ok_or(Errno::EMSGSIZE)?;
        to_front.copy_from_slice(front);
        if source.copy_from_iter(rest) == rest.len() {
            Ok(secret)
        } else {
            Err(Errno::EFAULT)
        }
    }

    /// A copy of some bytes.
    pub fn copy_of(bytes: &[u8]) -> Result<Self, OutOfMemory> {
        Self::of_both(bytes, &[])
    }

    /// A copy of some bytes and some more.
    pub fn of_both(front: &[u8], back: &[u8]) -> Result<Self, OutOfMemory> {
        let mut secret = Self::zeroed(front.len() + back.len())?;
        let (to_front, to_back) = secret.as_mut_slice().split_at_mut(front.len());
        to_front.copy_from_slice(front);
        to_back.copy_from_slice(back);
        Ok(secret)
    }

    /// The bytes.
    pub fn as_slice(&self) -> &[u8] {
        // SAFETY: By the type invariant they are initialized and ours.
        unsafe { self.bytes.as_ref() }
    }

    fn as_mut_slice(&mut self) -> &mut [u8] {
        // SAFETY: By the type invariant they are initialized and ours alone.
        unsafe { self.bytes.as_mut() }
    }
}

impl Drop for Secret {
    fn drop(&mut self) {
        if !self.bytes.is_empty() {
            // SAFETY: By the type invariant this is memory of `kvmalloc`, of that size, and ours.
            unsafe { kvfree_sensitive(self.bytes.as_ptr().cast(), self.bytes.len()) };
        }
    }
}
