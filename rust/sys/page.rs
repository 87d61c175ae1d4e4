// SPDX-License-Identifier: GPL-2.0

//! Where the lines of a file in `/proc` go: the buffer of a `seq_file`.

use super::bindings::{
    self,
    OpenFile, //
};
use crate::listing::Page;
use core::{
    fmt,
    ptr, //
};
use kernel::prelude::*;

/// The free part of a `seq_file`'s buffer. What has been written is part of the file once this is
/// dropped.
///
/// # Invariants
///
/// `m` is valid and nobody else uses it; of `size` bytes all but the last `free <= size` have been
/// written, and those can be, at `end`.
pub(super) struct SeqPage {
    m: *mut OpenFile,
    size: usize,
    end: *mut u8,
    free: usize,
    overflown: bool,
}

impl SeqPage {
    /// The free part of the buffer of `m`.
    ///
    /// # Safety
    ///
    /// `m` is valid, and nobody else uses it as long as the object that is made.
    pub(super) unsafe fn of(m: *mut OpenFile) -> Self {
        let mut start = ptr::null_mut();
        // SAFETY: The caller promises that `m` is valid; `start` may be written to.
        let size = unsafe { bindings::klips_shim_page_begin(m, &mut start) };
        // INVARIANT: So much is free, and nothing has been written.
        SeqPage {
            m,
            size,
            end: start,
            free: size,
            overflown: false,
        }
    }

    /// Asks to be called again with a larger buffer.
    pub(super) fn overflow(mut self) {
        self.overflown = true;
    }
}

impl fmt::Write for SeqPage {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let free = self.free.checked_sub(text.len()).ok_or(fmt::Error)?;
        // SAFETY: By the type invariant, and as was just asked, there is room; no text is there.
        unsafe {
            self.end.copy_from_nonoverlapping(text.as_ptr(), text.len());
        }
        // SAFETY: No more than there was room for.
        self.end = unsafe { self.end.add(text.len()) };
        // INVARIANT: These are written now.
        self.free = free;
        Ok(())
    }
}

impl Page for SeqPage {
    fn len(&self) -> usize {
        self.size - self.free
    }

    fn truncate(&mut self, len: usize) {
        if let Some(back) = self.len().checked_sub(len) {
            // SAFETY: By the type invariant so many bytes have been written before `end`.
            self.end = unsafe { self.end.sub(back) };
            // INVARIANT: These may be written anew.
            self.free += back;
        }
    }
}

impl Drop for SeqPage {
    fn drop(&mut self) {
        let len = match self.overflown {
            true => -1,
            // CAST: the buffer of a `seq_file` has less than 2 GiB.
            false => self.len() as c_int,
        };
        // SAFETY: By the type invariant `m` is valid, and so much has been written.
        unsafe { bindings::klips_shim_page_end(self.m, len) };
    }
}
