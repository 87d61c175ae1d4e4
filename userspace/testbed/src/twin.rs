// SPDX-License-Identifier: GPL-2.0

//! A host and a model to which the same is done.

use crate::host::{A, B, Socket, TestHost};
use klips::{
    errno::Errno,
    memory,
    sadb::{Age, Sadb},
    said::Said,
};
use model::{
    Described, Model, Refusal, Request, Step, Told,
    wire::{self, assert_clean, hex, ip, msg, u32_at},
};

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
    /// Both empty.
    pub fn new() -> Self {
        let host = TestHost::new();
        host.open(DUMPER);
        let model = Model::new(host.clock.get().boot);
        Twin { host, model }
    }

    /// The same with an eroute for each of these SAs, be it there or not, and with some of their
    /// destinations being addresses of this host: SAs in use have states in the engine. What is told
    /// and listed of SAs and groups is what it is without.
    pub fn with_packets(pool: &[Said]) -> Self {
        let twin = Twin::new();
        twin.host.local.borrow_mut().push(ip("10.0.0.3"));
        for (index, said) in pool.iter().enumerate() {
            let network = format!("10.{}.0.0/16", 100 + index);
            let flow = wire::flow((&network, 0), ("10.9.0.0/16", 0), 0);
            twin.host.set_up(&wire::add_flow(*said, 0, &flow));
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
        let keys = self.model.described().iter().map(keys).sum();
        assert_eq!(memory::secrets(), keys, "no key outlives its SA");
        // Somebody is called in time; too early does no harm.
        if let Some(next) = self.model.next() {
            assert!(self.host.wake.get().is_some_and(|second| second <= next));
        }
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
