// SPDX-License-Identifier: GPL-2.0

//! One who reads a file, from `open()` to `close()`: where that goes on, and where it ends.
//!
//! `read()` tells the end by giving nothing, once. What has been added since then is read after it,
//! as from a file that has grown.

use super::End;

/// Where a reader is. Positions are those of [`Listing::page`](super::Listing::page), and one after
/// the last while the end is to be told.
#[derive(Clone, Copy, Debug, Default)]
pub struct Reading {
    /// The position after the page that was shown last, if there is more.
    next: Option<u64>,
    /// The position that the end was given, and how much had been read when it was found, or was
    /// found to be still untold.
    end: Option<(u64, u64)>,
    /// Where this reading ends, as [`Listing::page`](super::Listing::page) has it.
    until: u64,
}

impl Reading {
    /// At the beginning.
    pub const fn new() -> Self {
        Reading {
            next: None,
            end: None,
            until: 0,
        }
    }

    /// Somebody reads on at `position`, having read `read` bytes. The position to show, or `None` to
    /// tell the end.
    pub fn start(&mut self, position: u64, read: u64) -> Option<u64> {
        if position == 0 {
            self.until = 0;
        }
        match self.end.take() {
            Some((end, at)) if position == end => {
                if at != read {
                    // Since then there have been lines to read, in the same read() even: the end is
                    // still to be told.
                    self.end = Some((end, read));
                    return None;
                }
                // What has come since it was told begins where the end was.
                self.until = 0;
                Some(position - 1)
            }
            _ => Some(position),
        }
    }

    /// Where this reading ends, for [`Listing::page`](super::Listing::page).
    pub fn until(&mut self) -> &mut u64 {
        &mut self.until
    }

    /// A page from `position` on was shown.
    pub fn shown(&mut self, end: &End, position: u64) {
        self.next = match end {
            End::More(next) => Some(*next),
            End::Over => None,
            End::TooSmall => Some(position),
        };
    }

    /// The position after the page that was shown at `position`, and whether there is more.
    pub fn next(&mut self, position: u64, read: u64) -> (u64, bool) {
        match self.next {
            Some(next) => (next, true),
            None => {
                let end = position + 1;
                self.end = Some((end, read));
                (end, false)
            }
        }
    }
}
