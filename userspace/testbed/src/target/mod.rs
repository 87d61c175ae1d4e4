// SPDX-License-Identifier: GPL-2.0

//! What fuzzers and the replay of their corpora run: each target takes any bytes and panics if the
//! code under test does something wrong.

mod codec;
mod sequence;
mod text;

pub use self::{
    codec::codec,
    sequence::{Event, encode, sequence},
    text::text,
};

use crate::twin::Twin;
use model::CHOICES;

/// How many SAs the steps of a sequence are on.
const SAS: usize = 8;

/// The most steps of a sequence; more find nothing that these don't, only later.
const LONGEST: usize = 256;

/// Runs the engine against the model, a step for each eight bytes.
pub fn model(bytes: &[u8]) {
    let pool = model::pool(SAS);
    let mut twin = Twin::new();
    for choices in bytes.chunks_exact(CHOICES).take(LONGEST) {
        twin.step(&model::step(&pool, array(choices)));
        twin.compare();
    }
}

/// The same with memory that fails: a byte that says when, then the step.
pub fn memory(bytes: &[u8]) {
    let pool = model::pool(SAS);
    let mut twin = Twin::new();
    for choices in bytes.chunks_exact(1 + CHOICES).take(LONGEST) {
        let step = model::step(&pool, array(&choices[1..]));
        twin.step_without_memory(&step, u64::from(choices[0]));
        twin.compare();
    }
}

fn array(choices: &[u8]) -> [u8; CHOICES] {
    choices.try_into().expect("as many bytes as make a step")
}
