// SPDX-License-Identifier: GPL-2.0

//! Messages that nobody would write: right ones changed here and there, parts of several put
//! together, bytes at random.

use crate::{
    messages::messages,
    sequence::{Random, pool, unlimited_request},
    wire::{exts_of, fix_len, framed},
};
use klips::said::Said;

/// Longest message that is made in the usual way; a few are as long as a message can be.
const LONGEST: usize = 4096;

/// How many messages there are for one that is as long as can be.
const HUGE: usize = 4096;

/// Length of a message's header.
const HEADER: usize = 16;

/// Messages that are always the same for the same seed.
pub struct Messages {
    random: Random,
    /// Right messages, to be changed.
    seeds: Vec<Vec<u8>>,
    /// SAs that requests are about.
    pool: Vec<Said>,
}

impl Messages {
    /// The messages of this seed.
    pub fn new(seed: u64) -> Self {
        Messages {
            random: Random::new(seed),
            seeds: messages(),
            pool: pool(24),
        }
    }

    /// The next one.
    #[expect(clippy::should_implement_trait, reason = "there is no end to them")]
    pub fn next(&mut self) -> Vec<u8> {
        if self.random.below(HUGE) == 0 {
            return self.huge();
        }
        let mut message = match self.random.below(10) {
            0 => self.noise(),
            // Without right requests there would soon be nothing to change.
            1..=3 => return self.right(),
            4 => self.right(),
            5 | 6 => self.rearranged(),
            _ => self.seed(),
        };
        change(&mut self.random, &self.seeds, &mut message);
        message.truncate(LONGEST);
        // Where the outer form is wrong, nothing else is looked at.
        match self.random.below(5) {
            0 => message,
            _ => framed(&message),
        }
    }

    fn right(&mut self) -> Vec<u8> {
        unlimited_request(&self.pool, &mut self.random).bytes()
    }

    fn seed(&mut self) -> Vec<u8> {
        self.seeds[self.random.below(self.seeds.len())].clone()
    }

    fn noise(&mut self) -> Vec<u8> {
        let words = 2 + self.random.below(30);
        let mut bytes: Vec<u8> = (0..words)
            .flat_map(|_| self.random.next().to_le_bytes())
            .collect();
        bytes[1] = 1 + bytes[1] % 19;
        bytes
    }

    /// The extensions of a message, some of them left out, doubled, exchanged for those of another
    /// or with another number.
    fn rearranged(&mut self) -> Vec<u8> {
        let message = self.seed();
        let mut exts = exts_of(&message);
        let others = exts_of(&self.seed());
        for _ in 0..=self.random.below(3) {
            let at = self.random.below(exts.len() + 1);
            let chosen = |random: &mut Random| others.get(random.below(others.len() + 1)).cloned();
            match self.random.below(5) {
                0 if at < exts.len() => drop(exts.remove(at)),
                1 if at < exts.len() => exts.push(exts[at].clone()),
                2 if at < exts.len() => {
                    let to = self.random.below(exts.len());
                    exts.swap(at, to);
                }
                3 if at < exts.len() => {
                    let number = self.random.below(52) as u16;
                    exts[at].1[2..4].copy_from_slice(&number.to_ne_bytes());
                }
                _ => exts.extend(chosen(&mut self.random)),
            }
        }
        let mut bytes = message[..HEADER].to_vec();
        exts.iter().for_each(|(_, ext)| bytes.extend(ext));
        fix_len(&mut bytes);
        bytes
    }

    /// A message with as many extensions of one kind as there is room for.
    fn huge(&mut self) -> Vec<u8> {
        let message = self.seed();
        let part = match message.len() {
            HEADER => &[0; 8][..],
            _ => &message[HEADER..],
        };
        let room = usize::from(u16::MAX) * 8 - message.len();
        framed(&[&message[..], &part.repeat(room / part.len())].concat())
    }
}

/// Changes an input here and there; `others` are inputs of which it may get parts.
pub fn change(random: &mut Random, others: &[Vec<u8>], input: &mut Vec<u8>) {
    for _ in 0..=random.below(4) {
        let at = random.below(input.len() + 1);
        let len = random.below(24).min(input.len() - at);
        let byte = random.next() as u8;
        match (random.below(8), input.get_mut(at)) {
            (0, Some(there)) => *there = byte,
            (1, Some(there)) => *there ^= 1 << (byte % 8),
            (2, Some(there)) => *there = there.wrapping_add((byte % 9).wrapping_sub(4)),
            (3, _) => input.insert(at, byte),
            (4, _) => drop(input.drain(at..at + len)),
            (5, _) => {
                let copy = input[at..at + len].to_vec();
                let to = random.below(input.len() + 1);
                input.splice(to..to, copy);
            }
            // Another one's end.
            (6, _) => {
                let other = &others[random.below(others.len())];
                let from = random.below(other.len() + 1);
                input.truncate(at);
                input.extend(&other[from..]);
            }
            // A value at the edge of what a field may have.
            _ => {
                let value = [0u16, 1, 2, 0xff, 0x100, 0x7fff, 0x8000, 0xffff][random.below(8)];
                let end = (at + 2).min(input.len());
                input.splice(at..end, value.to_ne_bytes());
            }
        }
    }
}
