// SPDX-License-Identifier: GPL-2.0

//! Sequences of steps that look random: from bytes that somebody else chooses (a property test, a
//! fuzzer), or from a seed.

use crate::{
    flows::{DROP, PASS, TRAP},
    request::{Flow, Request, Step, Terms},
};
use klips::said::{Proto, Said};
use std::net::IpAddr;

/// How many bytes make a step.
pub const CHOICES: usize = 8;

/// The types of the SAs of a [`pool`].
pub const PROTOS: [Proto; 4] = [Proto::Tun, Proto::Esp, Proto::Ah, Proto::Comp];

/// Names for so many SAs: of four types, few destinations in both families, few SPIs.
pub fn pool(len: usize) -> Vec<Said> {
    let destinations = ["10.0.0.2", "2001:db8::2", "10.0.0.3"];
    let named = |index: usize| Said {
        dst: crate::wire::ip(destinations[index / 4 % 3]),
        spi: 0x1000 + index as u32 / 12,
        proto: PROTOS[index % 4],
    };
    (0..len).map(named).collect()
}

/// The step that these bytes choose, on the SAs of a pool.
pub fn step(pool: &[Said], choices: [u8; CHOICES]) -> Step {
    match choices[0] % 16 {
        15 => Step::Wait(u64::from(choices[1] % 12) + 1),
        _ => Step::Request(request(pool, choices, &[0, 0, 0, 0, 1, 2, 3, 5, 10, 70])),
    }
}

/// A request; `limits` are those that an SA can have.
fn request(pool: &[Said], choices: [u8; CHOICES], limits: &[u64]) -> Request {
    let [kind, one, other, third, fourth, is_flow, flow, more] = choices;
    let sa = |choice: u8| pool[usize::from(choice) % pool.len()];
    if is_flow % 4 == 1 {
        return flow_request(pool, sa(one), Flow(flow % FLOWS), kind);
    }
    let limit = |choice: u8| limits[usize::from(choice) % limits.len()];
    let terms = Terms {
        window: more % 65,
        soft: limit(third),
        hard: limit(fourth),
    };
    // Of all that can be done, most has to make and to link SAs, or little is ever there.
    match kind % 15 {
        0..=4 => Request::Add(sa(one), terms),
        5 => Request::Reserve(sa(one)),
        6 => Request::Update(sa(one), terms),
        7 => Request::Delete(sa(one)),
        8..=10 => Request::Pair(sa(one), sa(other)),
        11..=12 => {
            let mut list = [one, other, third, fourth].map(sa).to_vec();
            list.truncate(2 + usize::from(more % 3));
            Request::List(list)
        }
        13 => Request::Ungroup(sa(one)),
        _ => Request::Flush(PROTOS.get(usize::from(one) % 6).copied()),
    }
}

/// How many flows eroutes and inflows are for.
pub const FLOWS: u8 = 8;

/// A request about an eroute, or one that makes a tunnel for it.
fn flow_request(pool: &[Said], sa: Said, flow: Flow, kind: u8) -> Request {
    let other = |proto| {
        let same = |it: &Said| it.proto == proto && it.dst == sa.dst;
        pool.iter().copied().find(same).unwrap_or(sa)
    };
    // A tunnel, where that is more than a chance.
    let named = if kind >= 128 { other(Proto::Tun) } else { sa };
    let add = |said, replace| Request::AddEroute {
        said,
        flow,
        replace,
    };
    let shunt = |spi| Said {
        dst: IpAddr::from([0; 4]),
        spi,
        proto: Proto::Int,
    };
    match kind % 16 {
        0..=3 => add(named, false),
        4..=5 => add(named, true),
        6..=8 => Request::SetInflow(named, flow),
        9..=11 => Request::List(vec![other(Proto::Tun), other(Proto::Esp)]),
        12 => add(
            shunt([PASS, DROP, TRAP][usize::from(kind / 16) % 3]),
            kind >= 128,
        ),
        13..=14 => Request::RemoveEroute(flow),
        _ => Request::ClearEroutes,
    }
}

/// A sequence of so many requests that is always the same for the same seed. No SA has limits, for
/// time can't be hurried everywhere.
pub fn sequence(seed: u64, len: usize) -> Vec<Request> {
    let mut random = Random::new(seed);
    let pool = pool(4 + (random.next() % 9) as usize);
    (0..len)
        .map(|_| unlimited_request(&pool, &mut random))
        .collect()
}

/// One request on the SAs of a pool, without limits.
pub fn unlimited_request(pool: &[Said], random: &mut Random) -> Request {
    request(pool, random.next().to_le_bytes(), &[0])
}

/// Numbers that look random (splitmix64).
pub struct Random(u64);

impl Random {
    /// Numbers that are always the same for the same seed.
    pub fn new(seed: u64) -> Self {
        Random(seed)
    }

    /// The next one.
    #[expect(clippy::should_implement_trait, reason = "there is no end to them")]
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// One below a number.
    pub fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }
}
