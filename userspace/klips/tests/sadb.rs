// SPDX-License-Identifier: GPL-2.0

//! The table and the rules of grouping against a plain model.

use klips::{
    group::{LinkError, Links, ListError, ListReason, MAX_CHAIN},
    sadb::{AddError, Age, HashKey, Sadb},
    said::{Proto, Said},
};
use proptest::prelude::*;
use std::{
    collections::{BTreeSet, HashMap},
    net::{IpAddr, Ipv4Addr},
};
use testbed::*;

const KEY: HashKey = HashKey([0x1111_2222_3333_4444, 0x5555_6666_7777_8888]);

/// What the table means: chains, each inside to outside, of SAs with their ages.
#[derive(Clone, Default)]
struct Model {
    chains: Vec<Vec<Said>>,
    ages: HashMap<Said, u64>,
    added: u64,
}

impl Model {
    fn age(&self, said: Said) -> Option<u64> {
        self.ages.get(&said).copied()
    }

    fn chain_of(&self, said: Said) -> Option<usize> {
        self.chains.iter().position(|chain| chain.contains(&said))
    }

    fn add(&mut self, said: Said) -> bool {
        if self.age(said).is_some() {
            return false;
        }
        self.added += 1;
        self.ages.insert(said, self.added);
        self.chains.push(vec![said]);
        true
    }

    fn delete(&mut self, said: Said) -> Vec<Said> {
        let Some(chain) = self.chain_of(said) else {
            return Vec::new();
        };
        let removed = self.chains.remove(chain);
        for said in &removed {
            self.ages.remove(said);
        }
        removed
    }

    fn link(&mut self, inner: Said, outer: Said) -> Option<Result<(), LinkError>> {
        let (i, o) = (self.chain_of(inner)?, self.chain_of(outer)?);
        if self.chains[i].last() != Some(&inner) {
            return Some(Err(LinkError::InnerTaken));
        }
        if self.chains[o].first() != Some(&outer) {
            return Some(Err(LinkError::OuterTaken));
        }
        if i == o {
            return Some(Err(LinkError::Cycle));
        }
        if self.chains[i].len() + self.chains[o].len() > 64 {
            return Some(Err(LinkError::TooLong));
        }
        let outside = self.chains[o].clone();
        self.chains[i].extend(outside);
        self.chains.remove(o);
        Some(Ok(()))
    }

    fn link_list(&mut self, list: &[Said]) -> Result<(), (usize, ListReason)> {
        let mut seen: Vec<Said> = Vec::new();
        for (index, said) in list.iter().enumerate() {
            let chain = self.chain_of(*said).ok_or((index, ListReason::Missing))?;
            if seen.contains(said) {
                return Err((index, ListReason::Twice));
            }
            if self.chains[chain].len() > 1 {
                return Err((index, ListReason::Grouped));
            }
            seen.push(*said);
        }
        self.chains.retain(|chain| !list.contains(&chain[0]));
        self.chains.push(list.to_vec());
        Ok(())
    }

    fn ungroup(&mut self, said: Said) {
        if let Some(chain) = self.chain_of(said) {
            for said in self.chains.remove(chain) {
                self.chains.push(vec![said]);
            }
        }
    }

    /// Removes the chains that have an SA of this protocol.
    fn flush(&mut self, proto: Option<Proto>) {
        for chain in self.chains.clone() {
            if proto.is_none_or(|proto| chain.iter().any(|said| said.proto == proto)) {
                self.delete(chain[0]);
            }
        }
    }

    fn spigrp(&self) -> String {
        let mut lines: Vec<(Option<u64>, String)> = self
            .chains
            .iter()
            .map(|chain| {
                let saids: String = chain.iter().map(|said| format!("{said} ")).collect();
                (self.age(chain[0]), saids + "\n")
            })
            .collect();
        lines.sort();
        lines.into_iter().map(|(_, line)| line).collect()
    }
}

/// The chains of a table that nobody can read any longer.
fn spigrp(sadb: &Sadb) -> String {
    let mut text = String::new();
    let mut next = Age::FIRST;
    while let Some(found) = sadb.chain_at_or_after(next, usize::MAX) {
        let sa = found.expect("no end of steps");
        for sa in sadb.outwards(sa) {
            text += &format!("{} ", sa.spec.said);
        }
        text += "\n";
        next = sa.age().next();
    }
    text
}

/// A table and its model, to which the same is done.
struct Pair {
    host: TestHost,
    model: Model,
}

#[derive(Clone, Debug)]
enum Op {
    Add(usize),
    Delete(usize),
    Link(usize, usize),
    LinkList(Vec<usize>),
    Ungroup(usize),
    /// By a request.
    Flush(Option<Proto>),
    /// All at once.
    TakeAll,
}

impl Pair {
    fn new() -> Self {
        Pair {
            host: TestHost::new(),
            model: Model::default(),
        }
    }

    /// Does the same to both and compares the outcome.
    fn apply(&mut self, pool: &[Said], op: &Op) {
        let find = |sadb: &Sadb, index: usize| sadb.find(&pool[index]).map(|sa| sa.age());
        match op {
            Op::Add(index) => {
                let sadb = &mut self.host.state().sadb;
                let result = sadb.prepare(spec(pool[*index])).map(|prepared| {
                    assert!(sadb.add(prepared).is_ok());
                });
                let want = match self.model.add(pool[*index]) {
                    true => None,
                    false => Some(AddError::Exists),
                };
                assert_eq!(result.err(), want);
            }
            Op::Delete(index) => {
                let sadb = &mut self.host.state().sadb;
                let mut removed = Vec::new();
                if let Some(age) = find(sadb, *index) {
                    sadb.remove_chain(age, |sa| removed.push(sa.spec.said));
                }
                assert_eq!(
                    removed,
                    self.model.delete(pool[*index]),
                    "inside to outside"
                );
            }
            Op::Link(inner, outer) => {
                let sadb = &mut self.host.state().sadb;
                let ages = (find(sadb, *inner), find(sadb, *outer));
                let result = match ages {
                    (Some(inner), Some(outer)) => Some(sadb.link(inner, outer)),
                    _ => None,
                };
                assert_eq!(result, self.model.link(pool[*inner], pool[*outer]));
            }
            Op::LinkList(list) => {
                let sadb = &mut self.host.state().sadb;
                let ages: Vec<_> = list.iter().map(|index| find(sadb, *index)).collect();
                let saids: Vec<_> = list.iter().map(|index| pool[*index]).collect();
                let result = sadb.link_list(&ages);
                let want = self.model.link_list(&saids);
                let want = want.map_err(|(member, reason)| ListError { member, reason });
                assert_eq!(result, want);
            }
            Op::Ungroup(index) => {
                let sadb = &mut self.host.state().sadb;
                if let Some(age) = find(sadb, *index) {
                    sadb.ungroup(age);
                }
                self.model.ungroup(pool[*index]);
            }
            Op::Flush(proto) => {
                self.host.set_up(&flush(proto.map_or(0, satype)));
                self.model.flush(*proto);
            }
            Op::TakeAll => {
                let taken = self.host.state().sadb.take_all();
                taken.check();
                assert_eq!(spigrp(&taken), self.model.spigrp());
                self.model.flush(None);
            }
        }
    }

    /// Compares all there is to be seen.
    fn compare(&self, pool: &[Said]) {
        self.host.check();
        assert_eq!(self.host.spigrp(), self.model.spigrp());
        let state = self.host.state();
        let sadb = &state.sadb;
        assert_eq!(sadb.len(), self.model.ages.len());
        assert_eq!(sadb.is_empty(), self.model.ages.is_empty());
        assert_eq!(sadb.next_age().number(), self.model.added + 1);
        for said in pool {
            let found = sadb.find(said);
            assert_eq!(found.map(|sa| sa.age().number()), self.model.age(*said));
            let Some(sa) = found else {
                continue;
            };
            let chain: Vec<Said> = sadb.chain(sa).map(|sa| sa.spec.said).collect();
            let want = &self.model.chains[self.model.chain_of(*said).unwrap()];
            assert_eq!(chain, *want);
            let at = want.iter().position(|member| member == said).unwrap();
            let outwards: Vec<Said> = sadb.outwards(sa).map(|sa| sa.spec.said).collect();
            assert_eq!(outwards, want[at..]);
            let neighbour = |age: Option<Age>| age.map(|age| sadb.get(age).unwrap().spec.said);
            assert_eq!(neighbour(sa.inext()), at.checked_sub(1).map(|at| want[at]));
            assert_eq!(neighbour(sa.onext()), want.get(at + 1).copied());
        }
    }
}

/// SAs of all protocols and both families.
fn pool(len: usize) -> Vec<Said> {
    let protos = [Proto::Tun, Proto::Esp, Proto::Ah, Proto::Comp];
    (0..len)
        .map(|index| Said {
            dst: ip(["10.0.0.2", "2001:db8::2", "10.0.0.3"][index / 4 % 3]),
            spi: 0x1000 + index as u32 / 12,
            proto: protos[index % 4],
        })
        .collect()
}

fn any_op(pool: usize, weights: [u32; 6]) -> impl Strategy<Value = Op> {
    let sa = 0..pool;
    let [add, delete, link, list, ungroup, flush] = weights;
    let proto = prop::sample::select(&[Proto::Tun, Proto::Esp, Proto::Ah, Proto::Comp][..]);
    prop_oneof![
        add => sa.clone().prop_map(Op::Add),
        delete => sa.clone().prop_map(Op::Delete),
        link => (sa.clone(), sa.clone()).prop_map(|(inner, outer)| Op::Link(inner, outer)),
        list => prop::collection::vec(sa.clone(), 1..=5).prop_map(Op::LinkList),
        ungroup => sa.prop_map(Op::Ungroup),
        flush => prop_oneof![
            1 => Just(Op::TakeAll),
            1 => Just(Op::Flush(None)),
            3 => proto.prop_map(|proto| Op::Flush(Some(proto))),
        ],
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn few_sas_behave_as_the_model(
        ops in prop::collection::vec(any_op(12, [10, 2, 8, 3, 2, 1]), 1..400),
    ) {
        let pool = pool(12);
        let mut pair = Pair::new();
        for op in &ops {
            pair.apply(&pool, op);
            pair.compare(&pool);
        }
    }

    #[test]
    fn sas_in_one_place_behave_as_the_model(
        ops in prop::collection::vec(any_op(4, [6, 1, 4, 2, 1, 0]), 1..400),
    ) {
        let pool = pool(4);
        let mut pair = Pair::new();
        for op in &ops {
            pair.apply(&pool, op);
            pair.compare(&pool);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn many_sas_behave_as_the_model(
        ops in prop::collection::vec(any_op(300, [60, 8, 12, 2, 1, 0]), 1000..1500),
    ) {
        let pool = pool(300);
        let mut pair = Pair::new();
        for (index, op) in ops.iter().enumerate() {
            pair.apply(&pool, op);
            if index % 50 == 0 {
                pair.compare(&pool);
            }
        }
        pair.compare(&pool);
    }

    #[test]
    fn long_chains_behave_as_the_model(
        ops in prop::collection::vec(any_op(140, [0, 0, 1, 0, 0, 0]), 1..200),
        splits in prop::collection::vec(1..70usize, 1..5),
    ) {
        let pool = pool(140);
        let mut pair = Pair::new();
        for index in 0..pool.len() {
            pair.apply(&pool, &Op::Add(index));
        }
        // Long chains to begin with, which random links would hardly make.
        let mut next = 0;
        for len in splits {
            for inner in next..(next + len).min(pool.len()).saturating_sub(1) {
                pair.apply(&pool, &Op::Link(inner, inner + 1));
            }
            next += len;
        }
        pair.compare(&pool);
        for inner in 0..pool.len() {
            pair.apply(&pool, &Op::Link(inner, (inner + 1) % pool.len()));
        }
        for op in &ops {
            pair.apply(&pool, op);
        }
        pair.compare(&pool);
    }
}

// --- Exhaustively -------------------------------------------------------------------------------

/// Every operation on the first `count` SAs: all links, all lists without and some with
/// repetition, and the rest on each SA.
fn all_ops(count: usize) -> Vec<Op> {
    let mut ops = Vec::new();
    for sa in 0..count {
        ops.extend([Op::Add(sa), Op::Delete(sa), Op::Ungroup(sa)]);
        ops.extend((0..count).map(|outer| Op::Link(sa, outer)));
    }
    let mut lists: Vec<Vec<usize>> = vec![Vec::new()];
    for _ in 0..count {
        lists = lists
            .iter()
            .flat_map(|list| {
                (0..count).map(move |sa| {
                    let mut list = list.clone();
                    list.push(sa);
                    list
                })
            })
            .collect();
        let distinct =
            |list: &&Vec<usize>| list.iter().collect::<BTreeSet<_>>().len() == list.len();
        if lists[0].len() > 1 {
            ops.extend(lists.iter().filter(distinct).cloned().map(Op::LinkList));
        }
    }
    ops.extend([vec![0], vec![0, 0], vec![0, 1, 0]].map(Op::LinkList));
    ops.extend([Op::TakeAll, Op::Flush(Some(Proto::Esp))]);
    ops
}

#[test]
fn every_sequence_of_three_operations_on_three_sas_is_as_the_model() {
    let pool = pool(3);
    let ops = all_ops(3);
    let start = || {
        let mut pair = Pair::new();
        for index in 0..3 {
            pair.apply(&pool, &Op::Add(index));
        }
        pair
    };
    for first in &ops {
        for second in &ops {
            for third in &ops {
                let mut pair = start();
                for op in [first, second, third] {
                    pair.apply(&pool, op);
                }
                pair.compare(&pool);
            }
        }
    }
}

/// What can be told apart of a table: its chains, their SAs by index, and the order of ages.
type Seen = (Vec<Vec<usize>>, Vec<usize>);

#[test]
fn every_operation_in_every_reachable_state_of_four_sas_is_as_the_model() {
    let pool = pool(4);
    let ops = all_ops(4);
    let seen_of = |model: &Model| -> Seen {
        let index = |said: &Said| pool.iter().position(|other| other == said).unwrap();
        let mut chains: Vec<Vec<usize>> = model
            .chains
            .iter()
            .map(|chain| chain.iter().map(index).collect())
            .collect();
        chains.sort();
        let mut by_age: Vec<usize> = (0..4).filter(|sa| model.age(pool[*sa]).is_some()).collect();
        by_age.sort_by_key(|sa| model.age(pool[*sa]));
        (chains, by_age)
    };
    // Every state is reached by its SAs being added in order of age and then linked.
    let reach = |(chains, by_age): &Seen| {
        let mut pair = Pair::new();
        for sa in by_age {
            pair.apply(&pool, &Op::Add(*sa));
        }
        for chain in chains {
            for link in chain.windows(2) {
                pair.apply(&pool, &Op::Link(link[0], link[1]));
            }
        }
        pair
    };
    let mut reached: BTreeSet<Seen> = BTreeSet::new();
    let mut todo: Vec<Seen> = vec![Default::default()];
    while let Some(seen) = todo.pop() {
        // Other orders of age are the same with the names exchanged.
        if !seen.1.is_sorted() || !reached.insert(seen.clone()) {
            continue;
        }
        for op in &ops {
            let mut pair = reach(&seen);
            pair.apply(&pool, op);
            pair.compare(&pool);
            let after = seen_of(&pair.model);
            if !reached.contains(&after) {
                todo.push(after);
            }
        }
    }
    // For each number of SAs: which ones, and in how many ways they can be put into chains.
    assert_eq!(reached.len(), 1 + 4 + 6 * 3 + 4 * 13 + 73);
}

// --- Limits -------------------------------------------------------------------------------------

fn nth(index: u32) -> Said {
    Said {
        dst: IpAddr::V4(Ipv4Addr::from(0x0a00_0000 + index % 251)),
        spi: 256 + index,
        proto: Proto::Esp,
    }
}

fn insert(sadb: &mut Sadb, said: Said) -> Age {
    let prepared = sadb
        .prepare(spec(said))
        .unwrap_or_else(|_| panic!("{said}"));
    let age = sadb.next_age();
    assert!(sadb.add(prepared).is_ok());
    assert_eq!(sadb.find(&said).map(|sa| sa.age()), Some(age));
    age
}

#[test]
fn chain_has_at_most_64_members_however_it_is_made() {
    assert_eq!(MAX_CHAIN, 64);
    for first in 1..=64 {
        let mut sadb = Sadb::new(KEY);
        let ages: Vec<Age> = (0..65).map(|index| insert(&mut sadb, nth(index))).collect();
        // A chain of `first` and one of the rest without one, then both joined, then one too many.
        for pair in ages[..first].windows(2).chain(ages[first..64].windows(2)) {
            sadb.link(pair[0], pair[1]).unwrap();
        }
        if first < 64 {
            sadb.link(ages[first - 1], ages[first]).unwrap();
        }
        sadb.check();
        assert_eq!(sadb.link(ages[63], ages[64]), Err(LinkError::TooLong));
        assert_eq!(sadb.link(ages[64], ages[0]), Err(LinkError::TooLong));
        sadb.check();
        assert_eq!(sadb.chain(sadb.get(ages[9]).unwrap()).count(), 64);
        // A ring is told before the length.
        assert_eq!(sadb.link(ages[63], ages[0]), Err(LinkError::Cycle));
        sadb.ungroup(ages[32]);
        assert!(ages
            .iter()
            .all(|age| sadb.chain(sadb.get(*age).unwrap()).count() == 1));
        sadb.link(ages[63], ages[64]).unwrap();
        sadb.check();
    }
}

#[test]
fn two_chains_that_are_too_long_together_stay_apart() {
    let mut sadb = Sadb::new(KEY);
    let ages: Vec<Age> = (0..80).map(|index| insert(&mut sadb, nth(index))).collect();
    for pair in ages[..40].windows(2).chain(ages[40..].windows(2)) {
        sadb.link(pair[0], pair[1]).unwrap();
    }
    assert_eq!(sadb.link(ages[39], ages[40]), Err(LinkError::TooLong));
    assert_eq!(sadb.link(ages[79], ages[0]), Err(LinkError::TooLong));
    sadb.check();
    let lens: Vec<usize> = [0, 79]
        .iter()
        .map(|at| sadb.chain(sadb.get(ages[*at]).unwrap()).count())
        .collect();
    assert_eq!(lens, [40, 40]);
}

#[test]
fn link_errors_come_in_the_order_of_the_reference() {
    let mut sadb = Sadb::new(KEY);
    let [a, b, c, d] = [0, 1, 2, 3].map(|index| insert(&mut sadb, nth(index)));
    assert_eq!(sadb.link(a, a), Err(LinkError::Cycle));
    sadb.link(a, b).unwrap();
    sadb.link(c, d).unwrap();
    assert_eq!(sadb.link(a, b), Err(LinkError::InnerTaken));
    assert_eq!(sadb.link(a, d), Err(LinkError::InnerTaken));
    assert_eq!(sadb.link(a, a), Err(LinkError::InnerTaken));
    assert_eq!(sadb.link(b, d), Err(LinkError::OuterTaken));
    assert_eq!(sadb.link(b, b), Err(LinkError::OuterTaken));
    assert_eq!(sadb.link(b, a), Err(LinkError::Cycle));
    sadb.link(b, c).unwrap();
    assert_eq!(sadb.link(d, a), Err(LinkError::Cycle));
    sadb.check();
}

#[test]
fn links_of_an_sa_that_is_gone_are_none() {
    let mut sadb = Sadb::new(KEY);
    let [a, b] = [0, 1].map(|index| insert(&mut sadb, nth(index)));
    sadb.link(a, b).unwrap();
    assert_eq!(
        (Links::onext(&sadb, a), Links::inext(&sadb, b)),
        (Some(b), Some(a))
    );
    sadb.remove_chain(b, drop);
    assert_eq!(
        (Links::onext(&sadb, a), Links::inext(&sadb, b)),
        (None, None)
    );
    assert!(sadb.get(a).is_none());
    // Nothing comes of using a handle any longer.
    sadb.set_onext(a, Some(b));
    sadb.ungroup(a);
    sadb.remove_chain(a, |_| panic!("nothing to remove"));
    sadb.check();
}

#[test]
fn prepared_sa_is_handed_back_if_another_came_first() {
    let mut sadb = Sadb::new(KEY);
    let first = sadb.prepare(spec(nth(0))).ok().unwrap();
    let second = sadb.prepare(spec(nth(1))).ok().unwrap();
    assert!(sadb.add(second).is_ok());
    assert!(sadb.add(first).is_err(), "handed back");
    assert!(sadb.find(&nth(0)).is_none());
    assert_eq!(sadb.len(), 1);
    sadb.check();
}

#[test]
fn prepared_sa_that_is_dropped_leaves_nothing() {
    let mut sadb = Sadb::new(KEY);
    insert(&mut sadb, nth(0));
    drop(sadb.prepare(spec(nth(1))));
    sadb.check();
    assert_eq!(sadb.len(), 1);
    assert_eq!(insert(&mut sadb, nth(1)).number(), 2);
    sadb.check();
}

#[test]
fn sas_differ_by_destination_family_spi_and_protocol() {
    let mut sadb = Sadb::new(KEY);
    let saids = [
        "esp.1000@10.0.0.2",
        "ah.1000@10.0.0.2",
        "comp.1000@10.0.0.2",
        "tun.1000@10.0.0.2",
        "int.1000@10.0.0.2",
        "esp.1001@10.0.0.2",
        "esp.1000@10.0.0.3",
        "esp:1000@::10.0.0.2",
        "esp:1000@::ffff:10.0.0.2",
        "esp:1000@2001:db8::2",
        "esp:1000@2001:db9::2",
        "esp.0@0.0.0.0",
        "esp:0@::",
    ]
    .map(said);
    for said in saids {
        insert(&mut sadb, said);
    }
    sadb.check();
    for (index, said) in saids.iter().enumerate() {
        assert_eq!(sadb.find(said).unwrap().age().number(), index as u64 + 1);
        assert_eq!(sadb.prepare(spec(*said)).err(), Some(AddError::Exists));
    }
}

// --- Size ---------------------------------------------------------------------------------------

/// Numbers that look random, the same every time.
fn random(seed: &mut u64) -> usize {
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    (*seed >> 16) as usize
}

#[test]
fn table_grows_to_20000_sas_and_shrinks_to_none() {
    let mut sadb = Sadb::new(KEY);
    let mut there: Vec<u32> = Vec::new();
    let mut seed = 88172645463325252;
    for index in 0..20_000 {
        insert(&mut sadb, nth(index));
        there.push(index);
        // Every size up to some hundreds, then now and then.
        if index < 300 || index % 5000 == 0 {
            sadb.check();
        }
    }
    sadb.check();
    assert!((0..20_000).all(|index| sadb.find(&nth(index)).is_some()));
    assert!((20_000..25_000).all(|index| sadb.find(&nth(index)).is_none()));
    while !there.is_empty() {
        let index = there.swap_remove(random(&mut seed) % there.len());
        let age = sadb.find(&nth(index)).expect("still there").age();
        sadb.remove_chain(age, |sa| assert_eq!(sa.spec.said, nth(index)));
        assert!(sadb.find(&nth(index)).is_none());
        assert_eq!(sadb.len(), there.len());
        if there.len() < 300 || there.len() % 5000 == 0 {
            sadb.check();
            assert!(there.iter().all(|index| sadb.find(&nth(*index)).is_some()));
        }
    }
    assert!(sadb.is_empty());
    assert!(sadb.at_or_after(Age::FIRST).is_none());
}

#[test]
fn table_breathes_around_every_size_of_its_index() {
    let mut sadb = Sadb::new(KEY);
    let mut next = 0;
    let mut there: Vec<Age> = Vec::new();
    let mut seed = 4711;
    // Up and down past every power of two and every chunk of 64 buckets.
    for target in [
        65, 10, 130, 63, 64, 1, 200, 127, 129, 30, 520, 250, 260, 0, 70,
    ] {
        while there.len() != target {
            if there.len() < target {
                there.push(insert(&mut sadb, nth(next)));
                next += 1;
            } else {
                let age = there.swap_remove(random(&mut seed) % there.len());
                sadb.remove_chain(age, drop);
            }
            sadb.check();
        }
    }
}

#[test]
fn sas_are_listed_by_age_whatever_holes_there_are() {
    let mut sadb = Sadb::new(KEY);
    let mut ages: BTreeSet<u64> = BTreeSet::new();
    let mut seed = 2463534242;
    let mut next = 0;
    for round in 0..40 {
        for _ in 0..random(&mut seed) % 500 {
            ages.insert(insert(&mut sadb, nth(next)).number());
            next += 1;
        }
        // A hole of its own in each round, from single SAs to everything.
        let keep_one_in = [1, 2, 64, 65, 300, 4096, usize::MAX][round % 7];
        for age in ages.clone() {
            if random(&mut seed) % keep_one_in != 0 {
                sadb.remove_chain(Age::from_number(age).unwrap(), drop);
                ages.remove(&age);
            }
        }
        assert_eq!(sadb.len(), ages.len());
        let last = sadb.next_age().number();
        let probes = (0..300).map(|_| 1 + random(&mut seed) as u64 % (last + 1));
        let far = [
            1,
            last,
            last + 4096,
            1 << 40,
            (1 << 48) - 1,
            1 << 48,
            u64::MAX,
        ];
        for probe in probes.chain(far) {
            let found = sadb.at_or_after(Age::from_number(probe).unwrap());
            let want = ages.range(probe..).next().copied();
            assert_eq!(found.map(|sa| sa.age().number()), want, "from {probe}");
        }
        sadb.check();
    }
}

#[test]
fn ages_go_on_after_all_was_taken() {
    let mut sadb = Sadb::new(KEY);
    insert(&mut sadb, nth(0));
    insert(&mut sadb, nth(1));
    let taken = sadb.take_all();
    assert_eq!((taken.len(), sadb.len()), (2, 0));
    assert_eq!(insert(&mut sadb, nth(0)).number(), 3);
    assert_eq!(taken.find(&nth(0)).unwrap().age().number(), 1);
    taken.check();
    sadb.check();
}

#[test]
fn age_0_is_none() {
    assert_eq!(Age::from_number(0), None);
    assert_eq!(Age::from_number(1), Some(Age::FIRST));
    assert_eq!(Age::FIRST.next().number(), 2);
    assert_eq!(
        Age::from_number(u64::MAX).unwrap().next().number(),
        u64::MAX
    );
}

#[test]
fn hash_spreads_saids_that_differ_in_a_single_field() {
    let bits = |index: u32| Ipv4Addr::from(index.swap_bytes());
    type MakeSaid = fn(u32, Ipv4Addr) -> Said;
    let families: [(&str, MakeSaid); 4] = [
        ("SPIs", |index, _| Said {
            spi: index,
            ..nth(0)
        }),
        ("high SPIs", |index, _| Said {
            spi: index << 20,
            ..nth(0)
        }),
        ("IPv4", |_, ip| Said {
            dst: ip.into(),
            ..nth(0)
        }),
        ("IPv6", |_, ip| Said {
            dst: ip.to_ipv6_compatible().into(),
            ..nth(0)
        }),
    ];
    let keys = [
        KEY,
        HashKey([0x9c1f_3a52_77e0_4b1d, 0x2e8d_61c7_05fa_93b6]),
        HashKey([0x51a9_c4e3_d80b_7f26, 0xb37e_5d10_8a4c_62f9]),
    ];
    for key in keys {
        for (name, said) in families {
            let mut buckets = [0; 256];
            for index in 0..4096 {
                buckets[(key.hash(&said(index, bits(index))) & 255) as usize] += 1;
            }
            // 16 each on average.
            let most = buckets.iter().max().unwrap();
            assert!(*most < 48, "{name}: {most} in one bucket of {:x?}", key.0);
        }
    }
}

#[test]
fn hash_tells_neighbouring_addresses_apart() {
    for (one, other) in [
        ("esp.1000@10.0.0.2", "esp.1000@10.0.0.3"),
        ("esp.1000@10.0.0.2", "esp.1001@10.0.0.2"),
        ("esp:1000@2001:db8::2", "esp:1000@2001:db8::3"),
        ("esp:1000@2001:db8::2", "esp:1000@2001:db9::2"),
        ("esp.1000@10.0.0.2", "ah.1000@10.0.0.2"),
        ("esp.1000@10.0.0.2", "esp:1000@::10.0.0.2"),
    ] {
        assert_ne!(
            KEY.hash(&said(one)),
            KEY.hash(&said(other)),
            "{one} {other}"
        );
    }
}

#[test]
fn hash_depends_on_its_key() {
    let other = HashKey([KEY.0[0], KEY.0[1] ^ 1]);
    let same = (0..1000).filter(|index| KEY.hash(&nth(*index)) == other.hash(&nth(*index)));
    assert_eq!(same.count(), 0);
}
