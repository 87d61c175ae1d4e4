// SPDX-License-Identifier: GPL-2.0

//! Memory for keys, which is wiped before it goes (contract 17).

use super::bindings;
use crate::memory::OutOfMemory;
use core::{
    mem::MaybeUninit,
    ptr::NonNull,
    slice, //
};

/// Bytes that are wiped before their memory is freed.
///
/// # Invariants
///
/// `bytes` came from `klips_shim_secret_new(max(len, 1))` and belongs to this object alone; they
/// are initialized, except while they are filled.
pub struct Secret {
    bytes: NonNull<u8>,
    len: usize,
}

// SAFETY: The bytes belong to the object alone, wherever it is.
unsafe impl Send for Secret {}
// SAFETY: A shared reference only gives read access to the bytes.
unsafe impl Sync for Secret {}

impl Secret {
    /// `len` bytes that are written by `fill`, which gets a pointer to them.
    ///
    /// # Safety
    ///
    /// If `fill` returns `Ok`, it has initialized all of them.
    pub(super) unsafe fn filled_by<E: From<OutOfMemory>>(
        len: usize,
        fill: impl FnOnce(*mut u8) -> Result<(), E>,
    ) -> Result<Self, E> {
        // SAFETY: Any size but 0 will do.
        let bytes = unsafe { bindings::klips_shim_secret_new(len.max(1)) };
        let bytes = NonNull::new(bytes.cast::<u8>()).ok_or(OutOfMemory)?;
        // If `fill` fails they are wiped as well, for it may have written some.
        let secret = Secret { bytes, len };
        // INVARIANT: If this succeeds, `fill` has initialized them; else nobody sees them.
        fill(bytes.as_ptr())?;
        Ok(secret)
    }

    /// A copy of some bytes.
    pub fn copy_of(bytes: &[u8]) -> Result<Self, OutOfMemory> {
        Self::of_both(bytes, &[])
    }

    /// A copy of some bytes and some more.
    pub fn of_both(front: &[u8], back: &[u8]) -> Result<Self, OutOfMemory> {
        let copy = |to: *mut u8| {
            // SAFETY: `to` has room for as many bytes as there are in both, and is new, hence
            // elsewhere.
            unsafe {
                to.copy_from_nonoverlapping(front.as_ptr(), front.len());
                to.add(front.len())
                    .copy_from_nonoverlapping(back.as_ptr(), back.len());
            }
            Ok(())
        };
        // SAFETY: `copy` initializes all bytes.
        unsafe { Self::filled_by(front.len() + back.len(), copy) }
    }

    /// The bytes.
    pub fn as_slice(&self) -> &[u8] {
        // SAFETY: By the type invariant there are `len` initialized bytes, ours alone.
        unsafe { slice::from_raw_parts(self.bytes.as_ptr(), self.len) }
    }
}

impl Drop for Secret {
    fn drop(&mut self) {
        // SAFETY: By the type invariant the memory is ours and has this size.
        unsafe { bindings::klips_shim_secret_free(self.bytes.as_ptr().cast(), self.len.max(1)) };
    }
}

/// Room on the stack for a short request, which is wiped before it goes.
///
/// # Invariants
///
/// `len` is at most [`Scratch::SIZE`], and no bytes after the first `len` have been written.
pub(super) struct Scratch {
    bytes: MaybeUninit<[u8; Scratch::SIZE]>,
    len: usize,
}

impl Scratch {
    /// How many bytes it has room for. Few requests are longer.
    pub(super) const SIZE: usize = 512;

    /// Room for `len` bytes, or `None` if there is not so much.
    // Were `len` always 0 here, all of this would be a constant, which the compiler copies: it
    // would clear the room.
    pub(super) fn new(len: usize) -> Option<Self> {
        // INVARIANT: It has just been asked, and nothing has been written.
        (len <= Self::SIZE).then(|| Scratch {
            bytes: MaybeUninit::uninit(),
            len,
        })
    }

    /// The bytes, which are written by `fill`: it gets a pointer to them.
    ///
    /// # Safety
    ///
    /// `fill` writes no more than that. If it returns `Ok`, it has initialized all of them.
    pub(super) unsafe fn filled_by<E>(
        &mut self,
        fill: impl FnOnce(*mut u8) -> Result<(), E>,
    ) -> Result<&[u8], E> {
        // INVARIANT: `fill` writes no more. If it fails these are wiped as well.
        fill(self.bytes.as_mut_ptr().cast())?;
        // SAFETY: By the type invariant there are `len` bytes. `fill` has initialized them.
        Ok(unsafe { slice::from_raw_parts(self.bytes.as_ptr().cast(), self.len) })
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // SAFETY: There is room for these bytes, ours alone.
        unsafe { bindings::klips_shim_wipe(self.bytes.as_mut_ptr().cast(), self.len) };
    }
}
