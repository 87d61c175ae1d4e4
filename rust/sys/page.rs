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
/// `m` is valid and nobody else uses it; `size` bytes can be written at `start`, and `len <= size`
/// of them have been.
pub(super) struct SeqPage {
    m: *mut OpenFile,
    start: *mut u8,
    size: usize,
    len: usize,
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
            start,
            size,
            len: 0,
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
        if text.len() > self.size - self.len {
            return Err(fmt::Error);
        }
        // SAFETY: By the type invariant, and as was just asked, there is room; no text is there.
        unsafe {
            self.start
                .add(self.len)
                .copy_from_nonoverlapping(text.as_ptr(), text.len());
        }
        // INVARIANT: No more than there was room for.
        self.len += text.len();
        Ok(())
    }
}

impl Page for SeqPage {
    fn len(&self) -> usize {
        self.len
    }

    fn truncate(&mut self, len: usize) {
        // INVARIANT: Only ever less.
        self.len = self.len.min(len);
    }
}

impl Drop for SeqPage {
    fn drop(&mut self) {
        let len = match self.overflown {
            true => -1,
            // CAST: the buffer of a `seq_file` has less than 2 GiB.
            false => self.len as c_int,
        };
        // SAFETY: By the type invariant `m` is valid, and so much has been written.
        unsafe { bindings::klips_shim_page_end(self.m, len) };
    }
}
