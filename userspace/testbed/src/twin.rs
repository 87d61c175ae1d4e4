// SPDX-License-Identifier: GPL-2.0

//! A host and a model to which the same is done.

use crate::{
    engine,
    host::{A, B, Socket, TestHost},
};
use klips::{
    errno::Errno,
    klips_core::{
        fold::{Mode, Transform},
        xfrm::{Action, Direction},
    },
    memory,
    sadb::{Age, Sadb},
    said::Said,
};
use model::{
    Described, Flow, Model, Refusal, Request, Step, Told,
    flows::{Line, compare_xfrm, policy_line, state_line, template_text},
    wire::{assert_clean, hex, ip, msg, u32_at},
};
use std::net::IpAddr;

/// The socket that reads DUMPs.
const DUMPER: Socket = 3;

/// A host and a model to which the same is done. A thread has one at a time, for it looks at all
/// the secrets that there are.
pub struct Twin {
    /// The host.
    pub host: TestHost,
    /// What it is expected to be like.
    pub model: Model,
}

impl Default for Twin {
    fn default() -> Self {
        Self::new()
    }
}

impl Twin {
    /// Both empty. Some of the destinations that [`model::pool`] has are addresses of this host.
    pub fn new() -> Self {
        Twin::of(&["2001:db8::2", "10.0.0.3"].map(ip))
    }

    /// The same with these addresses, SAs to which come in.
    pub fn of(own: &[IpAddr]) -> Self {
        let host = TestHost::new();
        host.open(DUMPER);
        host.local.borrow_mut().extend(own);
        host.engine.expect_all_clear();
        let model = Model::new(host.clock.get().boot).with_own(own);
        Twin { host, model }
    }

    /// The same with an eroute for each of these SAs, be it there or not: SAs in use have states in the
    /// engine. What is told and listed of SAs and groups is what it is without.
    pub fn with_packets(pool: &[Said]) -> Self {
        let mut twin = Twin::new();
        for (pair, said) in (0..).zip(pool) {
            twin.step(&Step::Request(Request::AddEroute {
                said: *said,
                flow: Flow(2 * pair),
                replace: false,
            }));
        }
        twin
    }

    /// Does the same to both, and compares all that is told.
    ///
    /// # Panics
    ///
    /// If they differ.
    pub fn step(&mut self, step: &Step) {
        self.host.reschedules.set(0);
        match step {
            Step::Request(request) => {
                let result = self.host.write(&request.bytes());
                self.expect(request, result);
            }
            Step::Wait(seconds) => (0..*seconds).for_each(|_| self.wait()),
        }
    }

    /// The same with every allocation failing after the first `enough`. A request that fails for
    /// want of memory changes nothing, and succeeds when it is made again; a limit is passed later.
    pub fn step_without_memory(&mut self, step: &Step, enough: u64) {
        self.host.reschedules.set(0);
        let engine = self.host.engine.listing();
        memory::fail_after(Some(enough));
        match step {
            Step::Request(request) => {
                let result = self.host.write(&request.bytes());
                memory::fail_after(None);
                match result {
                    Err(Errno::ENOMEM) => {
                        assert_eq!(self.heard(), [], "nothing has happened");
                        assert_eq!(self.host.engine.listing(), engine, "nor in the engine");
                        self.compare();
                        self.step(step);
                    }
                    // Without memory nobody may have been told of a refusal.
                    Err(errno) => {
                        let expected = self.model.apply(request).map_err(|refusal| refusal.errno);
                        assert_eq!(expected, Err(errno), "{request:?}");
                        assert_eq!(self.host.engine.listing(), engine, "{request:?}");
                        self.host.drain();
                    }
                    Ok(()) => self.expect(request, result),
                }
            }
            Step::Wait(seconds) => {
                for _ in 0..*seconds {
                    self.host.sleep(1);
                    self.model.tick();
                    let told = self.heard();
                    self.model.follow(&told);
                }
                memory::fail_after(None);
                self.wait();
            }
        }
    }

    fn expect(&mut self, request: &Request, result: Result<(), Errno>) {
        let expected = self.model.apply(request);
        let errno = expected
            .as_ref()
            .err()
            .map(|refusal: &Refusal| refusal.errno);
        assert_eq!(result.err(), errno, "{request:?}");
        let expected = expected.unwrap_or_else(|refusal| vec![Model::refused(request, &refusal)]);
        assert_eq!(self.heard(), expected, "{request:?}");
    }

    /// Lets a second pass.
    fn wait(&mut self) {
        self.host.sleep(1);
        self.model.tick();
        let told = self.heard();
        self.model.follow(&told);
        self.model.assert_nothing_due();
    }

    /// What everybody has been told.
    fn heard(&self) -> Vec<Told> {
        let heard = self.host.read(A);
        assert_eq!(self.host.read(B), heard, "everybody is told the same");
        self.host.drain();
        let read = |message: &Vec<u8>| {
            assert_clean(message);
            Told::of(message)
        };
        heard.iter().map(read).collect()
    }

    /// Compares all there is to be seen of both: files, DUMP, links.
    ///
    /// # Panics
    ///
    /// If they differ.
    pub fn compare(&self) {
        self.host.check();
        assert_eq!(self.host.spigrp(), self.model.spigrp());
        assert_eq!(self.dump(), self.model.described());
        let state = self.host.state();
        let sadb = &state.sadb;
        let ages: Vec<u64> = ages(sadb).map(Age::number).collect();
        let expected: Vec<u64> = self.model.by_age().iter().map(|sa| sa.age).collect();
        assert_eq!(ages, expected, "nothing is lost, and nothing else is there");
        assert_eq!(sadb.next_age().number(), self.model.made() + 1);
        assert_eq!(sadb.next_deadline(), self.model.next());
        for chain in self.model.chains() {
            compare_links(sadb, chain);
        }
        compare_xfrm(self.xfrm(), &self.model.xfrm()).unwrap_or_else(|text| panic!("{text}"));
        let keys = self.model.described().iter().map(keys).sum();
        assert_eq!(memory::secrets(), keys, "no key outlives its SA");
        // Somebody is called in time; too early does no harm.
        if let Some(next) = self.model.next() {
            assert!(self.host.wake.get().is_some_and(|second| second <= next));
        }
    }

    /// What the engine has.
    fn xfrm(&self) -> Vec<Line<u32>> {
        let name = |transform: Transform| format!("{transform:?}").to_lowercase();
        let mode = |mode: Mode| format!("{mode:?}").to_lowercase();
        let state = |state: engine::State| {
            let (transform, mode) = (name(state.transform), mode(state.mode));
            let line = state_line(&transform, state.spi, (state.src, state.dst), &mode);
            (line, vec![state.reqid])
        };
        let policy = |policy: engine::Policy| {
            let spec = policy.spec;
            let direction = match spec.direction {
                Direction::In => "in",
                Direction::Out => "out",
                Direction::Forward => "fwd",
            };
            let (src, dst) = (spec.selector.src.to_string(), spec.selector.dst.to_string());
            let mut line = policy_line(direction, &src, &dst, spec.selector.proto);
            if spec.action == Action::Block {
                return (line + " block", Vec::new());
            }
            line += " allow";
            for it in spec.templates.iter() {
                let ends = (it.src, it.dst);
                line += &template_text(&name(it.transform), &mode(it.mode), ends, it.optional);
            }
            let reqids = spec.templates.iter().map(|it| it.reqid).collect();
            (line, reqids)
        };
        let states = self.host.engine.states().into_iter().map(state);
        let policies = self.host.engine.policies().into_iter().map(policy);
        states.chain(policies).collect()
    }

    /// All SAs as DUMP tells them.
    fn dump(&self) -> Vec<Described> {
        let bytes = model::wire::message(msg::DUMP, 0, &[]);
        let result = self.host.write_from(DUMPER, &bytes);
        let heard = self.host.read(DUMPER);
        self.host.drain();
        if result == Err(Errno::ENOENT) {
            return Vec::new();
        }
        assert_eq!(result, Ok(()));
        // They count from 1, and the last has 0.
        let last = heard.len();
        for (index, message) in heard.iter().enumerate() {
            let seq = if index + 1 == last { 0 } else { index + 1 };
            assert_eq!(u32_at(message, 8) as usize, seq, "{}", hex(message));
            assert_clean(message);
        }
        heard.iter().map(|message| Described::of(message)).collect()
    }
}

/// How many pieces of memory an SA's keys take: both are in one.
fn keys(sa: &Described) -> usize {
    usize::from(sa.algorithms.0 != 0)
}

/// The ages of all SAs.
fn ages(sadb: &Sadb) -> impl Iterator<Item = Age> {
    let after = |age: Age| sadb.at_or_after(age).map(|sa| sa.age());
    std::iter::successors(after(Age::FIRST), move |age| after(age.next()))
}

/// Compares what SAs of a chain know of their neighbours.
fn compare_links(sadb: &Sadb, chain: &[model::Sa]) {
    let said = |age: Option<Age>| age.and_then(|age| sadb.get(age)).map(|sa| sa.spec.said());
    let expected = |index: Option<usize>| Some(chain.get(index?)?.said);
    for (index, sa) in chain.iter().enumerate() {
        let found = sadb.find(&sa.said).expect("an SA of the model");
        assert_eq!(said(found.inext()), expected(index.checked_sub(1)));
        assert_eq!(said(found.onext()), expected(Some(index + 1)));
    }
}
