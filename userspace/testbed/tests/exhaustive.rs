// SPDX-License-Identifier: GPL-2.0

//! The request engine against the model: everything that can be done, wherever one can get.
//!
//! States are those of the model, apart from how much time is left to an SA; each is reached by the
//! first sequence of steps that was found to lead there, and every step is taken in it. What the
//! module keeps beside that (hash buckets, holes) is left to sequences without such a shortcut.

use klips::{pfkey::SaState, said::Said};
use model::{Flow, Model, Request, Step, Terms, pool};
use pfkey::text::said::PROTOS;
use std::{
    collections::{HashMap, VecDeque},
    net::IpAddr,
};
use testbed::Twin;

/// What an SA may be made with.
const PLAIN: Terms = Terms {
    window: 0,
    soft: 0,
    hard: 0,
};
const MORTAL: Terms = Terms { hard: 10, ..PLAIN };
const WARNED: Terms = Terms { soft: 10, ..PLAIN };

/// Longer than any limit, so that no SA has lived through a part of its own.
const LONG: u64 = 31;

/// All steps on some SAs.
struct Steps<'a> {
    sas: &'a [Said],
    /// How SAs are made and replaced.
    terms: &'a [Terms],
    /// Whether SPIs are reserved and time passes.
    time: bool,
    /// Lists are of all SAs from two up to so many.
    longest: usize,
    /// Addresses of this host, SAs to which come in.
    own: &'a [IpAddr],
    /// For which there are eroutes, and inflows of what comes back.
    flows: &'a [Flow],
}

impl Steps<'_> {
    fn all(&self) -> Vec<Step> {
        let mut requests = Vec::new();
        for sa in self.sas {
            for terms in self.terms {
                requests.extend([Request::Add(*sa, *terms), Request::Update(*sa, *terms)]);
            }
            requests.extend([Request::Delete(*sa), Request::Ungroup(*sa)]);
            requests.extend(self.sas.iter().map(|outer| Request::Pair(*sa, *outer)));
            if self.time {
                requests.push(Request::Reserve(*sa));
            }
        }
        let mut lists: Vec<Vec<Said>> = self.sas.iter().map(|sa| vec![*sa]).collect();
        for _ in 2..=self.longest {
            let longer = |list: &Vec<Said>| {
                let list = list.clone();
                self.sas.iter().map(move |sa| [&list[..], &[*sa]].concat())
            };
            lists = lists.iter().flat_map(longer).collect();
            requests.extend(lists.iter().cloned().map(Request::List));
        }
        for (flow, said) in
            (self.flows.iter()).flat_map(|flow| self.sas.iter().map(|sa| (*flow, *sa)))
        {
            requests.extend([false, true].map(|replace| Request::AddEroute {
                said,
                flow,
                replace,
            }));
            requests.push(Request::SetInflow(said, flow.mirrored()));
        }
        for flow in self.flows {
            requests.extend([*flow, flow.mirrored()].map(Request::RemoveEroute));
        }
        if !self.flows.is_empty() {
            requests.push(Request::ClearEroutes);
        }
        requests.push(Request::Flush(None));
        requests.extend(PROTOS.map(|proto| Request::Flush(Some(proto))));
        let wait = self.time.then_some(Step::Wait(LONG));
        requests
            .into_iter()
            .map(Step::Request)
            .chain(wait)
            .collect()
    }

    /// Takes every step in every state that can be reached. How many states that were, and how
    /// many steps.
    fn everywhere(&self) -> (usize, usize) {
        let steps = self.all();
        let mut found: HashMap<State, Vec<usize>> = HashMap::new();
        let mut todo = VecDeque::from([(state_of(&Twin::of(self.own).model), Vec::new())]);
        let mut taken = 0;
        while let Some((state, path)) = todo.pop_front() {
            if found.contains_key(&state) {
                continue;
            }
            let mut twin = None;
            for (index, step) in steps.iter().enumerate() {
                let mut here = twin.take().unwrap_or_else(|| self.reach(&steps, &path));
                assert_eq!(
                    state_of(&here.model),
                    state,
                    "the model is a function of its steps"
                );
                here.step(step);
                here.compare();
                taken += 1;
                let after = state_of(&here.model);
                // A step that leads nowhere has left the very same table, as compared.
                if after == state {
                    twin = Some(here);
                } else if !found.contains_key(&after) {
                    todo.push_back((after, [&path[..], &[index]].concat()));
                }
            }
            found.insert(state, path);
        }
        (found.len(), taken)
    }

    /// Takes every sequence of so many steps, and looks at the end of each.
    fn in_every_order(&self, len: u32) -> usize {
        let steps = self.all();
        let count = steps.len().pow(len);
        for sequence in 0..count {
            let mut twin = Twin::of(self.own);
            let mut rest = sequence;
            for _ in 0..len {
                twin.step(&steps[rest % steps.len()]);
                rest /= steps.len();
            }
            twin.compare();
        }
        count
    }

    /// A table to which these steps lead.
    fn reach(&self, steps: &[Step], path: &[usize]) -> Twin {
        let mut twin = Twin::of(self.own);
        path.iter().for_each(|index| twin.step(&steps[*index]));
        twin
    }
}

/// Chains inside to outside by the age of their innermost SA, of each SA its name, its rank by age,
/// its state and its limits; and what there is of eroutes.
type State = (Vec<Vec<(Said, usize, SaState, (u64, u64))>>, String);

fn state_of(model: &Model) -> State {
    let by_age: Vec<Said> = model.by_age().iter().map(|sa| sa.said).collect();
    let rank = |said: Said| {
        by_age
            .iter()
            .position(|other| *other == said)
            .expect("an SA")
    };
    let told = |sa: &model::Sa| {
        let limits = (sa.terms.soft, sa.terms.hard);
        (sa.said, rank(sa.said), sa.state, limits)
    };
    let mut chains: Vec<Vec<_>> = (model.chains().iter())
        .map(|chain| chain.iter().map(told).collect())
        .collect();
    chains.sort_by_key(|chain| chain[0].1);
    (chains, model.flow_state())
}

/// Tells how far that went.
fn tell(what: &str, (states, steps): (usize, usize)) {
    println!("{what}: {states} states, {steps} steps");
}

#[test]
fn every_step_in_every_state_of_four_sas_is_as_the_model() {
    let steps = Steps {
        sas: &pool(4),
        terms: &[PLAIN],
        time: false,
        longest: 3,
        own: &[],
        flows: &[],
    };
    let count = steps.everywhere();
    tell("four SAs", count);
    // For each number of SAs: which ones, in which order of age, and how they are in chains.
    assert_eq!(count.0, 1 + 4 + (6 * 2) * 3 + (4 * 6) * 13 + 24 * 73);
}

#[test]
fn every_step_in_every_state_of_two_sas_with_limits_is_as_the_model() {
    let steps = Steps {
        sas: &pool(2),
        terms: &[PLAIN, MORTAL, WARNED],
        time: true,
        longest: 4,
        own: &[],
        flows: &[],
    };
    let count = steps.everywhere();
    tell("two SAs with limits", count);
    // Plain, mortal, warned, dying or reserved; but what is reserved does not see another dying.
    assert_eq!(count.0, 1 + 2 * 5 + 2 * 3 * 24);
}

/// SAs to and from others, or to this host, with an eroute and with an inflow of what comes back.
fn with_an_eroute(sas: usize, own: &[IpAddr]) -> (usize, usize) {
    let steps = Steps {
        sas: &pool(sas),
        terms: &[PLAIN],
        time: false,
        longest: 2,
        own,
        flows: &[Flow(0)],
    };
    steps.everywhere()
}

#[test]
fn every_step_in_every_state_of_two_sas_with_an_eroute_is_as_the_model() {
    let count = with_an_eroute(2, &[]);
    tell("two SAs with an eroute", count);
    assert!(count.0 > 500);
}

#[test]
fn every_step_in_every_state_of_two_sas_that_come_in_is_as_the_model() {
    let count = with_an_eroute(2, &[pool(1)[0].dst]);
    tell("two SAs that come in", count);
    assert!(count.0 > 500);
}

#[test]
fn every_sequence_of_two_steps_on_three_sas_is_as_the_model() {
    let steps = Steps {
        sas: &pool(3),
        terms: &[PLAIN],
        time: true,
        longest: 3,
        own: &[],
        flows: &[],
    };
    println!("three SAs: {} sequences", steps.in_every_order(2));
}

#[test]
#[ignore = "takes long; scripts/model.sh runs it"]
fn every_step_in_every_state_of_three_sas_with_limits_is_as_the_model() {
    let steps = Steps {
        sas: &pool(3),
        terms: &[PLAIN, MORTAL, WARNED],
        time: true,
        longest: 4,
        own: &[],
        flows: &[],
    };
    let count = steps.everywhere();
    tell("three SAs with limits", count);
    // As above: in 13 of 125 cases, what is reserved would be older than what is dying.
    assert_eq!(count.0, 1 + 3 * 5 + (3 * 2) * 3 * 24 + 6 * 13 * (125 - 13));
}

#[test]
#[ignore = "takes long; scripts/model.sh runs it"]
fn every_step_in_every_state_of_four_sas_or_reserved_spis_is_as_the_model() {
    let steps = Steps {
        sas: &pool(4),
        terms: &[PLAIN],
        time: true,
        longest: 4,
        own: &[],
        flows: &[],
    };
    let count = steps.everywhere();
    tell("four SAs or reserved SPIs", count);
    let plain_or_reserved = [1, 2, 4, 8, 16];
    let ways = [1, 4, (6 * 2) * 3, (4 * 6) * 13, 24 * 73];
    let all = ways
        .iter()
        .zip(plain_or_reserved)
        .map(|(ways, kinds)| ways * kinds);
    assert_eq!(count.0, all.sum());
}

#[test]
#[ignore = "takes long; scripts/model.sh runs it"]
fn every_sequence_of_three_steps_on_three_sas_is_as_the_model() {
    let steps = Steps {
        sas: &pool(3),
        terms: &[PLAIN],
        time: true,
        longest: 3,
        own: &[],
        flows: &[],
    };
    println!("three SAs: {} sequences", steps.in_every_order(3));
}
