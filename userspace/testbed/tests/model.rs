// SPDX-License-Identifier: GPL-2.0

//! The request engine against the model, on sequences that look random.
//!
//! A short while in every run; `KLIPS_STEPS=1000000` in the environment makes it that many steps.

use klips::said::Said;
use model::{CHOICES, Request, Step, pool, step};
use proptest::{
    prelude::*,
    test_runner::{Config, TestRunner},
};
use std::cell::Cell;
use testbed::Twin;

/// How many steps to take in all.
fn steps() -> u64 {
    match std::env::var("KLIPS_STEPS") {
        Ok(steps) => steps.parse().expect("KLIPS_STEPS is a number"),
        Err(_) => 100_000,
    }
}

/// Takes one in `part` of all steps, in sequences of up to `longest` on so many SAs. `take` gets
/// a number along with each step.
fn follow(name: &str, part: u64, sas: usize, longest: usize, take: impl Fn(&mut Twin, &Step, u8)) {
    follow_from(|_| Twin::new(), name, part, sas, longest, take);
}

/// The same from somewhere else than the beginning.
fn follow_from(
    begin: impl Fn(&[Said]) -> Twin,
    name: &str,
    part: u64,
    sas: usize,
    longest: usize,
    take: impl Fn(&mut Twin, &Step, u8),
) {
    let pool = pool(sas);
    let saids = pool.clone();
    let chosen = any::<[u8; CHOICES]>().prop_map(move |choices| step(&pool, choices));
    let sequences = prop::collection::vec((chosen, any::<u8>()), 1..longest);
    let average = longest as u64 / 2;
    let mut runner = TestRunner::new(Config {
        cases: u32::try_from((steps() / part).div_ceil(average)).expect("fewer sequences"),
        // What fails is printed.
        failure_persistence: None,
        ..Config::default()
    });
    let taken = Cell::new(0u64);
    let result = runner.run(&sequences, |sequence| {
        let mut twin = begin(&saids);
        for (step, number) in sequence {
            take(&mut twin, &step, number);
            twin.compare();
            taken.set(taken.get() + 1);
        }
        Ok(())
    });
    if let Err(failure) = result {
        panic!("{failure}");
    }
    println!("{name}: {} steps", taken.get());
}

#[test]
fn few_sas_behave_as_the_model() {
    follow("few SAs", 4, 8, 100, |twin, step, _| twin.step(step));
}

#[test]
fn very_few_sas_behave_as_the_model() {
    follow("very few SAs", 4, 4, 60, |twin, step, _| twin.step(step));
}

#[test]
fn many_sas_behave_as_the_model() {
    follow("many SAs", 8, 100, 600, |twin, step, number| {
        // Left as it comes, few SAs would live long.
        match step {
            Step::Request(Request::Flush(_) | Request::Delete(_)) if number > 16 => (),
            _ => twin.step(step),
        }
    });
}

#[test]
fn whatever_memory_fails_the_table_is_as_the_model() {
    follow(
        "without memory",
        4,
        8,
        100,
        |twin, step, enough| match enough {
            0..32 => twin.step_without_memory(step, u64::from(enough)),
            _ => twin.step(step),
        },
    );
}

#[test]
fn sas_with_packets_behave_as_the_model_whatever_fails() {
    let engaged = Cell::new(0);
    follow_from(
        Twin::with_packets,
        "with packets",
        4,
        12,
        100,
        |twin, step, enough| {
            match enough {
                0..64 => twin.step_without_memory(step, u64::from(enough)),
                _ => twin.step(step),
            }
            engaged.set(engaged.get().max(twin.host.engine.states().len()));
        },
    );
    assert!(engaged.get() > 4, "{} states at most", engaged.get());
}

#[test]
fn long_chains_behave_as_the_model() {
    let pool = pool(140);
    let split = (1..70usize, any::<u64>());
    let choices = (
        split,
        prop::collection::vec((0..140usize, 0..140usize), 1..40),
    );
    proptest!(ProptestConfig::with_cases(8), |(((first, seed), pairs) in choices)| {
        let mut twin = Twin::new();
        for said in &pool {
            twin.step(&Step::Request(Request::Add(*said, Default::default())));
        }
        let mut random = model::Random::new(seed);
        let pair = |twin: &mut Twin, inner: usize, outer: usize| {
            twin.step(&Step::Request(Request::Pair(pool[inner], pool[outer])));
        };
        // Chains about as long as they may be, which random links would hardly make.
        let mut next = 0;
        let mut len = first;
        while next < pool.len() {
            let end = (next + len).min(pool.len());
            (next + 1..end).for_each(|outer| pair(&mut twin, outer - 1, outer));
            (next, len) = (end, 1 + random.below(69));
        }
        twin.compare();
        for inner in 0..pool.len() {
            pair(&mut twin, inner, (inner + 1) % pool.len());
        }
        for (inner, outer) in pairs {
            pair(&mut twin, inner, outer);
        }
        twin.compare();
    });
}
