// SPDX-License-Identifier: GPL-2.0

//! A hash index from SAIDs to ages that grows and shrinks one bucket at a time (linear hashing),
//! so that no single insertion has to move all entries.
//!
//! A bucket is the age of the SA at its head; the SAs of a bucket are chained by the caller, who
//! has them.

use super::Age;
use crate::{
    klips_core::said::Said,
    memory::{
        self,
        Array,
        OutOfMemory,
        Vector, //
    }, //
};
use core::net::IpAddr;

/// Buckets of a chunk, which is allocated at once.
const CHUNK: usize = memory::ARRAY_LEN;

/// A secret of the table, so that nobody can choose SAIDs that fall into one bucket.
#[derive(Clone, Copy)]
pub struct HashKey(pub [u64; 2]);

impl HashKey {
    /// Hash of an SAID: two rounds of multiply and fold, each keyed, over 192 bits.
    pub fn hash(&self, said: &Said) -> u64 {
        let (high, low) = match said.dst {
            IpAddr::V4(ip) => (0, u64::from(u32::from(ip))),
            IpAddr::V6(ip) => {
                let bits = u128::from(ip);
                // CAST: the two halves.
                ((bits >> 64) as u64, bits as u64)
            }
        };
        let id =
            u64::from(said.spi) << 16 | (said.proto as u64) << 8 | u64::from(said.dst.is_ipv6());
        let first = fold(id ^ self.0[0], low ^ self.0[1]);
        fold(first ^ high, self.0[1].rotate_left(32))
    }
}

fn fold(a: u64, b: u64) -> u64 {
    // A factor of 0 would swallow the other; with these constants and a secret key in both, nobody
    // can bring that about.
    let product = u128::from(a ^ 0x9e37_79b9_7f4a_7c15) * u128::from(b ^ 0xbf58_476d_1ce4_e5b9);
    // CAST: the two halves.
    (product as u64) ^ ((product >> 64) as u64)
}

/// Buckets that are allocated at once.
pub(super) type Chunk = Array<Age>;

/// What is left of a bucket that was taken away.
pub(super) struct Shrunk {
    /// The SA at its head.
    pub(super) head: Option<Age>,
    /// The bucket that its SAs now belong to.
    pub(super) into: usize,
    /// Buckets that are not needed any more.
    pub(super) chunk: Option<Chunk>,
}

/// The buckets.
pub(super) struct Index {
    chunks: Vector<Chunk>,
    /// Buckets in use. Those from `full / 2` on have been split off from those in front.
    len: usize,
    /// The smallest power of two that is not less than `len`.
    full: usize,
}

impl Index {
    /// An index without buckets; allocates nothing.
    pub(super) const fn new() -> Self {
        Index {
            chunks: Vector::new(),
            len: 0,
            full: 1,
        }
    }

    /// How many buckets there are.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Makes sure that [`Index::grow`] has the memory for one bucket more.
    pub(super) fn reserve(&mut self) -> Result<(), OutOfMemory> {
        if self.len == self.chunks.len() * CHUNK {
            let chunk = memory::array()?;
            memory::push(&mut self.chunks, chunk)?;
        }
        Ok(())
    }

    /// The bucket of a hash.
    pub(super) fn bucket_of(&self, hash: u64) -> usize {
        // CAST: masked to less than twice the number of buckets.
        let bucket = hash as usize & (self.full - 1);
        if bucket < self.len {
            bucket
        } else {
            // Not split off yet.
            bucket & (self.full / 2).wrapping_sub(1)
        }
    }

    /// The SA at the head of a bucket.
    pub(super) fn head(&self, bucket: usize) -> Option<Age> {
        self.chunks.get(bucket / CHUNK)?[bucket % CHUNK]
    }

    /// Changes the SA at the head of a bucket.
    pub(super) fn set_head(&mut self, bucket: usize, head: Option<Age>) {
        if let Some(chunk) = self.chunks.get_mut(bucket / CHUNK) {
            chunk[bucket % CHUNK] = head;
        }
    }

    /// Adds a bucket, for which memory has been reserved. Returns the bucket whose SAs now belong
    /// to either it or the new, last one.
    pub(super) fn grow(&mut self) -> Option<usize> {
        if self.len == self.chunks.len() * CHUNK {
            return None;
        }
        let new = self.len;
        if new == self.full {
            self.full *= 2;
        }
        self.len += 1;
        Some(new - self.full / 2)
    }

    /// Takes the last bucket away.
    pub(super) fn shrink(&mut self) -> Option<Shrunk> {
        if self.len < 2 {
            return None;
        }
        let last = self.len - 1;
        let head = self.head(last);
        self.set_head(last, None);
        let into = last - self.full / 2;
        self.len = last;
        if self.len == self.full / 2 {
            self.full /= 2;
        }
        // One chunk is kept in hand, so that an insertion after a removal needs no allocation.
        let chunk = if self.chunks.len() * CHUNK >= self.len + 2 * CHUNK {
            self.chunks.pop()
        } else {
            None
        };
        Some(Shrunk { head, into, chunk })
    }

    /// Frees some of the buckets, when none of them is needed any more. Returns whether there were
    /// any.
    pub(super) fn free_some(&mut self) -> bool {
        self.chunks.pop().is_some()
    }

    /// Checks that there are as many buckets as so many SAs need, and memory for little more; for
    /// tests.
    #[cfg(any(test, feature = "check"))]
    pub(super) fn check(&self, sas: usize) {
        let len = self.len;
        assert!(len >= sas, "{len} buckets for {sas} SAs");
        assert!(len <= (2 * sas).max(1), "{len} buckets for {sas} SAs");
        assert_eq!(self.full, len.next_power_of_two());
        let room = self.chunks.len() * CHUNK;
        assert!(
            (len..len + 2 * CHUNK).contains(&room),
            "room for {room} buckets, {len} in use"
        );
    }
}
