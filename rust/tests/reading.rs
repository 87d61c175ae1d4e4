// SPDX-License-Identifier: GPL-2.0

//! A file that is read by way of the kernel's `seq_file`, in pieces of any size, while lines are
//! added: each line once, whole and in order; and the end is told, once, whenever all has been read.

use klips::listing::{End, Listing, Page, Reading};
use proptest::prelude::*;
use std::fmt;
use testbed::*;

/// What the kernel does with an open file (`seq_read_iter` in `fs/seq_file.c`).
struct SeqFile {
    buffer: Vec<u8>,
    /// How much of it has been read.
    from: usize,
    size: usize,
    index: u64,
    read: u64,
    reading: Reading,
}

/// The free part of a buffer.
struct Room<'a> {
    buffer: &'a mut Vec<u8>,
    before: usize,
    size: usize,
}

impl fmt::Write for Room<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        if self.buffer.len() + text.len() > self.size {
            return Err(fmt::Error);
        }
        self.buffer.extend(text.as_bytes());
        Ok(())
    }
}

impl Page for Room<'_> {
    fn written(&self) -> usize {
        self.buffer.len() - self.before
    }

    fn truncate(&mut self, len: usize) {
        self.buffer.truncate(self.before + len);
    }
}

impl SeqFile {
    fn open(size: usize) -> Self {
        SeqFile {
            buffer: Vec::new(),
            from: 0,
            size,
            index: 0,
            read: 0,
            reading: Reading::new(),
        }
    }

    /// Shows what is at `index`. Whether there was room for it.
    fn show(&mut self, host: &TestHost, file: Listing) -> bool {
        let mut room = Room {
            before: self.buffer.len(),
            buffer: &mut self.buffer,
            size: self.size,
        };
        let end = file.page(host, self.index, self.reading.until(), &mut room);
        self.reading.shown(&end, self.index);
        end != End::TooSmall
    }

    fn next(&mut self) -> bool {
        let (index, more) = self.reading.next(self.index, self.read);
        assert_ne!(index, self.index, "seq_file wants it to change");
        self.index = index;
        more
    }

    /// Copies out, and notes how much.
    fn copy(&mut self, out: &mut Vec<u8>, len: usize) -> usize {
        let rest = &self.buffer[self.from..];
        let count = rest.len().min(len);
        out.extend(&rest[..count]);
        self.from += count;
        if self.from == self.buffer.len() {
            self.buffer.clear();
            self.from = 0;
        }
        count
    }

    /// `read()`.
    fn read(&mut self, host: &TestHost, file: Listing, len: usize) -> Vec<u8> {
        let mut out = Vec::new();
        if self.read == 0 {
            self.index = 0;
            self.buffer.clear();
        }
        if !self.buffer.is_empty() {
            self.copy(&mut out, len);
        }
        if self.buffer.is_empty() && out.len() < len {
            self.fill(host, file, len - out.len());
            let rest = len - out.len();
            self.copy(&mut out, rest);
        }
        self.read += out.len() as u64;
        out
    }

    fn fill(&mut self, host: &TestHost, file: Listing, len: usize) {
        match self.reading.start(self.index, self.read) {
            Some(index) => self.index = index,
            None => return,
        }
        loop {
            let fits = self.show(host, file);
            if !fits {
                self.buffer.clear();
                self.size *= 2;
                match self.reading.start(self.index, self.read) {
                    Some(index) => self.index = index,
                    None => return,
                }
            } else if !self.buffer.is_empty() {
                break;
            } else if !self.next() {
                return;
            }
        }
        while self.next() && self.buffer.len() < len {
            let before = self.buffer.len();
            if !self.show(host, file) {
                self.buffer.truncate(before);
                break;
            }
        }
    }
}

fn nth(index: u32) -> klips::said::Said {
    said(&format!("esp.{:x}@10.0.0.2", 0x1000 + index))
}

proptest! {
    #[test]
    fn every_line_is_read_once_and_every_end_is_told_once(
        sizes in prop::collection::vec((1..200_usize, prop::bool::weighted(0.3)), 1..80),
        page in 8..600_usize,
        first in 0..150_u32,
    ) {
        for file in [Listing::SpiGrp, Listing::Spi] {
            let host = TestHost::new();
            let mut made = 0;
            let mut make = |count| {
                for _ in 0..count {
                    host.set_up(&add(nth(made)));
                    made += 1;
                }
            };
            make(first);
            let mut reader = SeqFile::open(page);
            let (mut text, mut ends) = (Vec::new(), 0);
            for &(len, add) in &sizes {
                if add {
                    make(3);
                }
                let piece = reader.read(&host, file, len);
                ends = if piece.is_empty() { ends + 1 } else { 0 };
                text.extend(piece);
            }
            // To the end, which is told once, and then whatever there is more.
            for _ in 0..100_000 {
                let piece = reader.read(&host, file, 4096);
                if piece.is_empty() {
                    ends += 1;
                    if ends >= 2 {
                        break;
                    }
                } else {
                    ends = 0;
                }
                text.extend(piece);
            }
            let text = String::from_utf8(text).expect("ASCII");
            let want = host.listing(file);
            prop_assert_eq!(text, want);
        }
    }
}

#[test]
fn an_end_is_told_before_what_was_added_after_it() {
    let host = TestHost::new();
    host.set_up(&add(nth(0)));
    let mut reader = SeqFile::open(4096);
    let file = Listing::SpiGrp;
    assert_eq!(reader.read(&host, file, 4096), b"esp0x1000@10.0.0.2 \n");
    host.set_up(&add(nth(1)));
    // It had ended where it was when it began.
    assert_eq!(reader.read(&host, file, 4096), b"");
    assert_eq!(reader.read(&host, file, 4096), b"esp0x1001@10.0.0.2 \n");
    assert_eq!(reader.read(&host, file, 4096), b"");
    assert_eq!(reader.read(&host, file, 4096), b"");
    host.set_up(&add(nth(2)));
    assert_eq!(reader.read(&host, file, 4096), b"esp0x1002@10.0.0.2 \n");
}

#[test]
fn who_reads_more_slowly_than_others_add_comes_to_an_end() {
    let host = TestHost::new();
    for index in 0..200 {
        host.set_up(&add(nth(index)));
    }
    let mut reader = SeqFile::open(4096);
    let mut text = Vec::new();
    for step in 0..100 {
        let piece = reader.read(&host, Listing::SpiGrp, 100);
        if piece.is_empty() {
            break;
        }
        text.extend(piece);
        for index in 0..8 {
            host.set_up(&add(nth(1000 + 8 * step + index)));
        }
    }
    let lines = String::from_utf8(text).expect("ASCII").lines().count();
    assert_eq!(lines, 200, "those that were there when it began");
}
