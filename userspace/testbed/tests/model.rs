// SPDX-License-Identifier: GPL-2.0

//! The request engine against the model, on sequences that look random.
//!
//! A short while in every run; `KLIPS_STEPS=1000000` in the environment makes it that many steps.

use klips::said::{Proto, Said};
use model::{CHOICES, Flow, Request, Step, pool, step};
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

/// Whether packets go through a tunnel. Of a pair of networks, for what lets in what has no inflow is
/// always there.
fn is_open(twin: &Twin, direction: &str) -> bool {
    let lines = twin.model.xfrm();
    lines.iter().any(|(line, _)| {
        line.starts_with(direction) && line.contains("/tunnel") && line.contains("10.101.")
    })
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
    let open = [const { Cell::new(0u64) }; 2];
    let result = runner.run(&sequences, |sequence| {
        let mut twin = begin(&saids);
        for (step, number) in sequence {
            take(&mut twin, &step, number);
            twin.compare();
            taken.set(taken.get() + 1);
            for (open, direction) in open.iter().zip(["out ", "in "]) {
                open.set(open.get() + u64::from(is_open(&twin, direction)));
            }
        }
        Ok(())
    });
    if let Err(failure) = result {
        panic!("{failure}");
    }
    println!(
        "{name}: {} steps, {} of them with an eroute through a tunnel, {} with an inflow from one",
        taken.get(),
        open[0].get(),
        open[1].get(),
    );
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

/// Requests on two tunnels with what protects them, most of which make them work.
fn tunnel_request(sas: &[Said]) -> impl Strategy<Value = Request> + use<> {
    let sas = sas.to_vec();
    let one = prop::sample::select(sas.clone());
    let flow = (0..4_u8).prop_map(Flow);
    let chains: Vec<Vec<Said>> = [
        &[0, 1][..],
        &[0, 1, 2],
        &[0, 2],
        &[3, 4],
        &[3, 4, 2],
        &[0, 1, 3, 4],
        &[1, 2],
    ]
    .iter()
    .map(|chain| chain.iter().map(|index| sas[*index]).collect())
    .collect();
    let add = |said| Request::Add(said, Default::default());
    let set = (one.clone(), flow.clone()).prop_map(|(said, flow)| Request::SetInflow(said, flow));
    let eroute = (one.clone(), flow.clone(), any::<bool>());
    prop_oneof![
        6 => one.clone().prop_map(add),
        6 => prop::sample::select(chains).prop_map(Request::List),
        2 => (one.clone(), one.clone()).prop_map(|(inner, outer)| Request::Pair(inner, outer)),
        6 => set,
        4 => eroute.prop_map(|(said, flow, replace)| Request::AddEroute { said, flow, replace }),
        3 => one.clone().prop_map(Request::Ungroup),
        1 => one.clone().prop_map(Request::Delete),
        1 => one.clone().prop_map(Request::Reserve),
        1 => one.prop_map(|said| Request::Update(said, Default::default())),
        2 => flow.prop_map(Request::RemoveEroute),
        1 => Just(Request::Flush(Some(Proto::Ah))),
    ]
}

#[test]
fn tunnels_that_come_in_behave_as_the_model() {
    let saids = pool(16);
    let sas = [0, 1, 2, 12, 13].map(|index| saids[index]);
    let requests = prop::collection::vec(tunnel_request(&sas), 1..80);
    let open = Cell::new(0);
    let cases = u32::try_from(steps() / 4 / 40).expect("fewer sequences");
    let mut runner = TestRunner::new(Config {
        cases,
        failure_persistence: None,
        ..Config::default()
    });
    let result = runner.run(&requests, |requests| {
        let mut twin = Twin::of(&[sas[0].dst]);
        for request in requests {
            twin.step(&Step::Request(request));
            twin.compare();
            open.set(open.get() + u64::from(is_open(&twin, "in ")));
        }
        Ok(())
    });
    if let Err(failure) = result {
        panic!("{failure}");
    }
    println!(
        "tunnels that come in: {} steps with an inflow from one",
        open.get()
    );
    assert!(
        open.get() > u64::from(cases),
        "inflows are hardly ever there"
    );
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
