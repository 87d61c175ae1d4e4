// SPDX-License-Identifier: GPL-2.0

//! Searches all of a guest's memory for keys that the module has been given and has no use for any
//! more.
//!
//! `guest-tests --keys` gives the module keys that it then loses in one way or another, and prints
//! a line for each: `gone`, or `kept` for one that is still used, then the complement of its bytes
//! in hexadecimal digits, then what became of it.  So the key itself is nowhere but where the
//! module has put it.  One that is kept has to be found, or else the search proves nothing.

use crate::{
    console::Console,
    initramfs::{Image, Job},
    qemu::{MEMORY, Machine},
    verdict::{Control, Tally},
};
use anyhow::{Context, Result, ensure};
use std::{
    collections::{BTreeMap, HashSet},
    fs,
    fs::File,
    io,
    io::Read,
    path::Path,
    time::Duration,
};

/// How long the guest may take after its boot.
const LIMIT: Duration = Duration::from_secs(300);
/// So many bytes of a key in a row are not there by chance, nor were they in a register: what a
/// register holds is saved on the stack of whoever is interrupted, which nobody can prevent.
const PIECE: usize = 9;
/// How much of the memory is read at once.
const CHUNK: usize = 1 << 20;

/// A key that the module was given.
#[derive(Debug, PartialEq)]
struct Key {
    /// What became of it.
    fate: String,
    /// Whether the module still has it.
    kept: bool,
    bytes: Vec<u8>,
}

impl Key {
    /// Reads a line of the guest's.
    fn parse(line: &str) -> Option<Self> {
        let mut words = line.splitn(3, ' ');
        let kept = match words.next()? {
            "kept" => true,
            "gone" => false,
            _ => return None,
        };
        let digits = words.next()?;
        let byte = |at| Some(!u8::from_str_radix(digits.get(at..at + 2)?, 16).ok()?);
        let bytes = (0..digits.len()).step_by(2).map(byte);
        Some(Self {
            fate: words.next()?.to_owned(),
            kept,
            bytes: bytes.collect::<Option<_>>()?,
        })
    }
}

/// What is looked for.
struct Pieces {
    /// Each piece, and the number of its key.
    keys: BTreeMap<[u8; PIECE], usize>,
    /// How pieces begin: few bytes in memory have to be looked up.
    begins: HashSet<u16>,
}

impl Pieces {
    fn new(keys: &[Key]) -> Self {
        let mut pieces: BTreeMap<[u8; PIECE], usize> = BTreeMap::new();
        for (number, key) in keys.iter().enumerate() {
            for piece in key.bytes.windows(PIECE) {
                pieces.insert(piece.try_into().expect("a piece's length"), number);
            }
        }
        let begins = pieces.keys().map(|piece| begin(piece)).collect();
        Self {
            keys: pieces,
            begins,
        }
    }

    /// Counts how many pieces of each key there are.
    fn count(&self, mut memory: impl Read, counts: &mut [usize]) -> io::Result<()> {
        let mut is_begin = vec![false; 1 << 16];
        for begin in &self.begins {
            is_begin[usize::from(*begin)] = true;
        }
        let mut buffer = vec![0; CHUNK];
        let mut held = 0;
        loop {
            let more = memory.read(&mut buffer[held..])?;
            if more == 0 {
                return Ok(());
            }
            let len = held + more;
            for window in buffer[..len].windows(PIECE) {
                if is_begin[usize::from(begin(window))] {
                    if let Some(number) = self.keys.get(window) {
                        counts[*number] += 1;
                    }
                }
            }
            // A piece may go on in what is read next.
            held = len.min(PIECE - 1);
            buffer.copy_within(len - held..len, 0);
        }
    }
}

fn begin(bytes: &[u8]) -> u16 {
    u16::from_ne_bytes([bytes[0], bytes[1]])
}

/// Boots the guest, and searches its memory once it is off.
pub fn run(machine: &Machine, image: Image, directory: &Path) -> Result<Tally> {
    let machine = Machine {
        keep_memory: true,
        ..machine.clone()
    };
    let command = ["guest-tests", "--keys"].map(str::to_owned);
    let mut said = Vec::new();
    let boot = machine.boot(
        image,
        &Job::Run(&command),
        directory,
        LIMIT,
        &mut |_, data| {
            said.extend_from_slice(data);
            Ok(())
        },
    )?;
    let path = directory.join(MEMORY);
    let said = String::from_utf8_lossy(&said);
    if Control::parse(&boot.control).exit.map(|(code, _)| code) != Some(0) {
        println!("not ok   keys: {}\n{said}", boot.end);
        for line in Console::new(&boot.console).tail(20) {
            println!("    | {line}");
        }
        return Ok(tally(0, 1));
    }
    let keys: Vec<_> = said.lines().filter_map(Key::parse).collect();
    ensure!(
        keys.iter().any(|key| key.kept) && keys.iter().any(|key| !key.kept),
        "no keys were told: {said}"
    );
    let mut counts = vec![0; keys.len()];
    let memory = File::open(&path).with_context(|| path.display().to_string())?;
    let size = memory.metadata()?.len();
    ensure!(size == u64::from(machine.memory) << 20, "{size} bytes");
    Pieces::new(&keys).count(memory, &mut counts)?;
    // It is large, and of no more use.
    fs::remove_file(&path)?;
    let mut sum = Tally::default();
    // A request often has two keys.
    for same in keys.chunk_by(|key, next| key.fate == next.fate) {
        let counts: Vec<_> = counts.drain(..same.len()).collect();
        // All of one that is kept, somewhere.
        let is_good = |(key, count): (&Key, &usize)| {
            if key.kept {
                *count > key.bytes.len() - PIECE
            } else {
                *count == 0
            }
        };
        let good = same.iter().zip(&counts).all(is_good);
        let colour = if good { "ok    " } else { "not ok" };
        let (fate, found) = (&same[0].fate, counts.iter().sum::<usize>());
        let number = same.len();
        println!("{colour}   keys: {fate}: {found} pieces of {number} keys in memory");
        sum += tally(usize::from(good), usize::from(!good));
    }
    Ok(sum)
}

fn tally(passed: usize, failed: usize) -> Tally {
    Tally {
        passed,
        failed,
        skipped: 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_tells_a_key_and_its_fate() {
        let key = Key::parse("gone 00ff10 by way of DELETE").unwrap();
        assert_eq!(key.bytes, [0xff, 0, 0xef]);
        assert_eq!((key.kept, &*key.fate), (false, "by way of DELETE"));
        assert!(Key::parse("kept 00 x").unwrap().kept);
        for line in [
            "",
            "gone",
            "gone 0g x",
            "gone 000 x",
            "lost 00 x",
            "gone 00",
        ] {
            assert_eq!(Key::parse(line), None, "{line}");
        }
    }

    /// Memory that comes in pieces of its own.
    struct Slow<'a>(&'a [u8], usize);

    impl Read for Slow<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let most = self.1.min(buffer.len());
            self.0.read(&mut buffer[..most])
        }
    }

    #[test]
    fn each_piece_is_found_wherever_it_is() {
        let key = |fate: &str, first: u8| Key {
            fate: fate.to_owned(),
            kept: false,
            bytes: (first..first + 20).collect(),
        };
        let keys = [key("one", 10), key("other", 100), key("none", 200)];
        let mut memory = vec![0; 10_000];
        memory[1_000..1_020].copy_from_slice(&keys[0].bytes);
        memory[9_991..].copy_from_slice(&keys[1].bytes[5..14]);
        memory[5_000..5_008].copy_from_slice(&keys[2].bytes[..8]);
        for step in [1, 2, 8, 9, 10, 1_005, 10_000] {
            let mut counts = [0; 3];
            let pieces = Pieces::new(&keys);
            pieces.count(Slow(&memory, step), &mut counts).unwrap();
            assert_eq!(counts, [12, 1, 0], "{step} at a time");
        }
    }
}
