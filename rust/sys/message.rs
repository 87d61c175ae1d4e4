// SPDX-License-Identifier: GPL-2.0

//! A message on its way to sockets: a socket buffer.

use super::bindings::{
    self,
    NetNs, //
};
use crate::memory::OutOfMemory;
use core::{
    cell::Cell,
    mem::ManuallyDrop,
    ops::{
        Deref,
        DerefMut, //
    },
    ptr::{
        self,
        NonNull, //
    },
    slice, //
};
use kernel::bindings::{
    sk_buff,
    sock, //
};

/// A message that is written and then delivered, by reference, to any number of sockets.
///
/// # Invariants
///
/// `skb` is a valid socket buffer of which this object owns a reference, and `data` points to its
/// `len` initialized bytes. Once `delivered` is set, sockets share them and nobody writes them.
/// `net` is valid as long as this object.
pub struct Draft {
    net: NonNull<NetNs>,
    skb: NonNull<sk_buff>,
    data: NonNull<u8>,
    len: usize,
    delivered: Cell<bool>,
}

// SAFETY: A socket buffer belongs to no thread.
unsafe impl Send for Draft {}

impl Draft {
    /// A message of `len` bytes: zeros, or what another message of this namespace has left.
    ///
    /// # Safety
    ///
    /// `net` is valid as long as the object that is made.
    pub(super) unsafe fn new(net: NonNull<NetNs>, len: usize) -> Result<Self, OutOfMemory> {
        let mut data = ptr::null_mut();
        // SAFETY: The caller promises that `net` is valid; `data` may be written to.
        let skb = unsafe { bindings::klips_shim_message_new(net.as_ptr(), len, &mut data) };
        // INVARIANT: If there is a buffer, the shim has appended `len` initialized bytes and
        // told where; of `net` the caller promises it.
        Ok(Draft {
            net,
            skb: NonNull::new(skb).ok_or(OutOfMemory)?,
            data: NonNull::new(data).ok_or(OutOfMemory)?,
            len,
            delivered: Cell::new(false),
        })
    }

    /// Leaves only the first `len` bytes.
    pub(super) fn shorten(&mut self, len: usize) {
        if len < self.len && !self.delivered.get() {
            // SAFETY: By the type invariant the buffer is valid, and nobody else has it, for the
            // message has not been delivered.
            unsafe { bindings::klips_shim_message_shorten(self.skb.as_ptr(), len) };
            // INVARIANT: So many bytes are left.
            self.len = len;
        }
    }

    /// Queues the message at a socket, or notes there that one was lost.
    ///
    /// # Safety
    ///
    /// `sk` is a valid socket for the duration of the call.
    pub(super) unsafe fn deliver_to(&self, sk: NonNull<sock>) {
        // INVARIANT: From here on there are others who read the bytes.
        self.delivered.set(true);
        // SAFETY: The caller and the type invariant see to it that both are valid.
        unsafe { bindings::klips_shim_deliver(sk.as_ptr(), self.skb.as_ptr()) };
    }

    /// The same, but the socket gets the message itself.
    ///
    /// # Safety
    ///
    /// `sk` is a valid socket for the duration of the call.
    pub(super) unsafe fn deliver_last_to(self, sk: NonNull<sock>) {
        // The reference goes to the shim: it is not to be dropped here as well.
        let draft = ManuallyDrop::new(self);
        // SAFETY: The caller and the type invariant see to it that both are valid.
        unsafe { bindings::klips_shim_deliver_last(sk.as_ptr(), draft.skb.as_ptr()) };
    }
}

impl Deref for Draft {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: By the type invariant there are `len` initialized bytes.
        unsafe { slice::from_raw_parts(self.data.as_ptr(), self.len) }
    }
}

impl DerefMut for Draft {
    fn deref_mut(&mut self) -> &mut [u8] {
        if self.delivered.get() {
            return &mut [];
        }
        // SAFETY: By the type invariant there are `len` initialized bytes, and nobody else has
        // them, for the message has not been delivered.
        unsafe { slice::from_raw_parts_mut(self.data.as_ptr(), self.len) }
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        // SAFETY: By the type invariant the namespace is valid, and this object owns a reference,
        // which it gives up here.
        unsafe { bindings::klips_shim_message_free(self.net.as_ptr(), self.skb.as_ptr()) };
    }
}
