// SPDX-License-Identifier: GPL-2.0

//! Which mutant is on; becomes a module of the sources that have the mutants.

use std::{
    fs::{File, OpenOptions},
    io::Write,
    sync::{
        LazyLock,
        atomic::{AtomicBool, Ordering},
    },
};

struct Switch {
    on: usize,
    /// Where to write which mutants were reached.
    reached: Option<File>,
}

static SWITCH: LazyLock<Switch> = LazyLock::new(|| Switch {
    on: std::env::var("MUTANT").map_or(usize::MAX, |number| number.parse().unwrap()),
    reached: std::env::var_os("MUTANTS_REACHED")
        .map(|path| OpenOptions::new().append(true).open(path).unwrap()),
});

static REACHED: [AtomicBool; MUTANTS] = [const { AtomicBool::new(false) }; MUTANTS];

/// Is this the mutant that is on?  Never when the compiler evaluates a constant.
#[inline]
pub const fn on(mutant: usize) -> bool {
    std::intrinsics::const_eval_select((mutant,), off, at_run_time)
}

const fn off(_: usize) -> bool {
    false
}

fn at_run_time(mutant: usize) -> bool {
    let switch = &*SWITCH;
    if let Some(mut file) = switch.reached.as_ref() {
        if !REACHED[mutant].swap(true, Ordering::Relaxed) {
            file.write_all(format!("{mutant}\n").as_bytes()).unwrap();
        }
    }
    switch.on == mutant
}

/// What `mutant` makes if it is on, else the original.
pub fn instead<M: Iterator<Item = O::Item>, O: Iterator>(
    on: bool,
    mutant: impl FnOnce() -> M,
    original: O,
) -> impl Iterator<Item = O::Item> {
    let mutant = on.then(mutant);
    let original = (!on).then_some(original);
    mutant.into_iter().flatten().chain(original.into_iter().flatten())
}
