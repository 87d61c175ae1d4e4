// SPDX-License-Identifier: GPL-2.0

//! The rules of the contract (2 to 5 and 10) and of the reference (4.6 to 4.11 and 5) for the table
//! of SAs, as plainly as can be: a list of chains, each a list of SAs.

use crate::{
    flows::{Eroute, Inflow, Shape},
    request::{Request, Terms},
    told::{Described, Passed, Told},
    wire::{algorithms, msg},
};
use klips::{
    errno::Errno,
    pfkey::SaState,
    said::{Proto, Said},
};
use std::net::IpAddr;

/// Seconds that an SPI waits for the UPDATE of who reserved it.
const LARVAL_SECONDS: u64 = 30;

/// The most SAs in one chain.
const LONGEST: usize = 64;

/// Why an SA of a list is at fault, as `include/uapi/linux/klips.h` numbers it.
const MISSING: u8 = 1;
const GROUPED: u8 = 2;
const TWICE: u8 = 3;

/// An SA.
#[derive(Clone, Debug)]
pub struct Sa {
    /// Its name.
    pub said: Said,
    /// Its number in the order in which SAs were made, from 1.
    pub age: u64,
    /// State.
    pub state: SaState,
    /// What ADD or UPDATE said of it.
    pub terms: Terms,
    /// The second in which its limits began to count.
    pub since: u64,
    /// How its state in xfrm works, if it has one.
    pub(crate) live: Option<Shape>,
}

impl Sa {
    /// Seconds after which it is gone.
    fn end(&self) -> Option<u64> {
        let limit = match self.state {
            SaState::Larval => LARVAL_SECONDS,
            _ => self.terms.hard,
        };
        (limit != 0).then_some(limit)
    }

    /// Seconds after which it is dying.
    fn warning(&self) -> Option<u64> {
        let limit = self.terms.soft;
        (self.state == SaState::Mature && limit != 0).then_some(limit)
    }

    /// The second in which something happens to it: the first that is later than a limit.
    fn next(&self) -> Option<u64> {
        let limit = self.end().into_iter().chain(self.warning()).min()?;
        Some(self.since + limit + 1)
    }
}

/// Why a request is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The errno of write().
    pub errno: Errno,
    /// Of a list, which SA is at fault, from 0, and why.
    pub fault: Option<(u8, u8)>,
}

impl From<Errno> for Refusal {
    fn from(errno: Errno) -> Self {
        Refusal { errno, fault: None }
    }
}

/// The table.
#[derive(Clone, Debug, Default)]
pub struct Model {
    /// Every SA is in one chain; each chain goes from the inside to the outside.
    pub(crate) chains: Vec<Vec<Sa>>,
    /// How many SAs have been made.
    made: u64,
    /// The time in seconds.
    now: u64,
    /// Addresses of this host.
    pub(crate) own: Vec<IpAddr>,
    pub(crate) eroutes: Vec<Eroute>,
    pub(crate) inflows: Vec<Inflow>,
    /// How many eroutes and inflows have been asked for.
    pub(crate) asked: u64,
}

impl Model {
    /// An empty table at this time.
    pub fn new(now: u64) -> Self {
        Model {
            now,
            ..Model::default()
        }
    }

    /// The chains, in no order.
    pub fn chains(&self) -> &[Vec<Sa>] {
        &self.chains
    }

    /// How many SAs have been made.
    pub fn made(&self) -> u64 {
        self.made
    }

    /// All SAs, the oldest first.
    pub fn by_age(&self) -> Vec<&Sa> {
        let mut sas: Vec<&Sa> = self.chains.iter().flatten().collect();
        sas.sort_by_key(|sa| sa.age);
        sas
    }

    /// The SA with this name.
    pub fn find(&self, said: Said) -> Option<&Sa> {
        self.chains.iter().flatten().find(|sa| sa.said == said)
    }

    fn find_mut(&mut self, said: Said) -> Option<&mut Sa> {
        let mut sas = self.chains.iter_mut().flatten();
        sas.find(|sa| sa.said == said)
    }

    /// Which chain an SA is in.
    pub(crate) fn chain_of(&self, said: Said) -> Option<usize> {
        let is_there = |chain: &Vec<Sa>| chain.iter().any(|sa| sa.said == said);
        self.chains.iter().position(is_there)
    }

    /// What `/proc/net/ipsec_spigrp` is to show.
    pub fn spigrp(&self) -> String {
        let mut chains: Vec<&Vec<Sa>> = self.chains.iter().collect();
        chains.sort_by_key(|chain| chain[0].age);
        let mut text = String::new();
        for chain in chains {
            for Sa { said, .. } in chain {
                text += &format!("{}0x{:x}@{} ", said.proto.name(), said.spi, said.dst);
            }
            text += "\n";
        }
        text
    }

    /// What DUMP is to tell.
    pub fn described(&self) -> Vec<Described> {
        let describe = |sa: &Sa| Described {
            said: sa.said,
            state: sa.state as u8,
            window: sa.terms.window,
            algorithms: match sa.state {
                SaState::Larval => (0, 0),
                _ => algorithms(sa.said.proto),
            },
            soft: sa.terms.soft,
            hard: sa.terms.hard,
        };
        self.by_age().into_iter().map(describe).collect()
    }

    /// Does what a request asks for. All that everybody is told of it, in order.
    pub fn apply(&mut self, request: &Request) -> Result<Vec<Told>, Refusal> {
        let mates = match request {
            Request::Add(said, terms) => self.make(*said, SaState::Mature, *terms)?,
            Request::Reserve(said) => self.make(*said, SaState::Larval, Terms::default())?,
            Request::Update(said, terms) => self.update(*said, *terms)?,
            Request::Delete(said) => {
                self.find(*said).ok_or(Errno::ESRCH)?;
                self.remove(*said)
            }
            Request::Pair(inner, outer) => self.pair(*inner, *outer)?,
            Request::List(list) => self.list(list)?,
            Request::Ungroup(said) => self.ungroup(*said)?,
            Request::Flush(proto) => self.flush(*proto),
            Request::AddEroute {
                said,
                flow,
                replace,
            } => {
                self.add_eroute(*said, *flow, *replace)?;
                Vec::new()
            }
            Request::SetInflow(said, flow) => {
                self.set_inflow(*said, *flow)?;
                Vec::new()
            }
            Request::RemoveEroute(flow) => {
                self.remove_eroute(*flow)?;
                Vec::new()
            }
            Request::ClearEroutes => {
                self.clear_eroutes();
                Vec::new()
            }
        };
        let answer = told(request.msg_type(), request.about(), true);
        Ok([vec![answer], mates].concat())
    }

    /// What everybody is told of a request that is refused.
    pub fn refused(request: &Request, refusal: &Refusal) -> Told {
        Told {
            errno: refusal.errno.0,
            fault: refusal.fault,
            ..told(request.msg_type(), None, true)
        }
    }

    fn make(&mut self, said: Said, state: SaState, terms: Terms) -> Result<Vec<Told>, Errno> {
        if self.find(said).is_some() {
            return Err(Errno::EEXIST);
        }
        self.made += 1;
        self.chains.push(vec![Sa {
            said,
            age: self.made,
            state,
            terms: capped(terms),
            since: self.now,
            live: None,
        }]);
        self.settle(said, false);
        Ok(Vec::new())
    }

    /// An UPDATE leaves an SA where it is.
    fn update(&mut self, said: Said, terms: Terms) -> Result<Vec<Told>, Errno> {
        let now = self.now;
        let sa = self.find_mut(said).ok_or(Errno::ENOENT)?;
        (sa.state, sa.terms, sa.since) = (SaState::Mature, capped(terms), now);
        self.settle(said, false);
        Ok(Vec::new())
    }

    /// Removes an SA with its whole group. What is told of the others.
    fn remove(&mut self, said: Said) -> Vec<Told> {
        let chain = self.chain_of(said).expect("what goes was there");
        let gone = self.chains.remove(chain);
        self.unsettle(&gone);
        let mates = gone.into_iter();
        mates
            .filter(|mate| mate.said != said)
            .map(|mate| told(msg::DELETE, Some(mate.said), false))
            .collect()
    }

    /// The checks are in the order of reference 5.2; the last one is ours.
    fn pair(&mut self, inner: Said, outer: Said) -> Result<Vec<Told>, Errno> {
        let i = self.chain_of(inner).ok_or(Errno::ENOENT)?;
        let o = self.chain_of(outer).ok_or(Errno::ENOENT)?;
        let is_outermost = self.chains[i].last().is_some_and(|sa| sa.said == inner);
        let is_innermost = self.chains[o][0].said == outer;
        if !is_outermost || !is_innermost || i == o {
            return Err(Errno::EEXIST);
        }
        if self.chains[i].len() + self.chains[o].len() > LONGEST {
            return Err(Errno::EMLINK);
        }
        let outside = std::mem::take(&mut self.chains[o]);
        self.chains[i].extend(outside);
        self.chains.remove(o);
        self.settle(inner, false);
        Ok(Vec::new())
    }

    /// The first SA with a fault decides.
    fn list(&mut self, list: &[Said]) -> Result<Vec<Told>, Refusal> {
        for (member, said) in (0..).zip(list) {
            let fault = match self.chain_of(*said) {
                None => Some((Errno::ENOENT, MISSING)),
                _ if list[..usize::from(member)].contains(said) => Some((Errno::EEXIST, TWICE)),
                Some(chain) if self.chains[chain].len() > 1 => Some((Errno::EEXIST, GROUPED)),
                Some(_) => None,
            };
            if let Some((errno, reason)) = fault {
                return Err(Refusal {
                    errno,
                    fault: Some((member, reason)),
                });
            }
        }
        let mut group = Vec::new();
        for said in list {
            let chain = self.chain_of(*said).expect("looked at before");
            group.extend(self.chains.remove(chain));
        }
        self.chains.push(group);
        self.settle(list[0], false);
        Ok(Vec::new())
    }

    fn ungroup(&mut self, said: Said) -> Result<Vec<Told>, Errno> {
        let chain = self.chain_of(said).ok_or(Errno::ENOENT)?;
        let members = self.chains.remove(chain);
        let saids: Vec<Said> = members.iter().map(|sa| sa.said).collect();
        self.chains.extend(members.into_iter().map(|sa| vec![sa]));
        for said in saids {
            self.settle(said, false);
        }
        Ok(Vec::new())
    }

    /// A group with one SA of the type goes whole. Nobody is told which SAs went.
    fn flush(&mut self, proto: Option<Proto>) -> Vec<Told> {
        let goes = |sa: &Sa| proto.is_none_or(|proto| sa.said.proto == proto);
        let chains = std::mem::take(&mut self.chains);
        let (gone, left) = chains.into_iter().partition(|chain| chain.iter().any(goes));
        self.chains = left;
        let gone: Vec<Vec<Sa>> = gone;
        self.unsettle(&gone.concat());
        Vec::new()
    }

    /// Lets a second pass; [`Model::follow`] is to be given all that was told in it.
    pub fn tick(&mut self) {
        self.now += 1;
    }

    /// The next second in which something happens by itself.
    pub fn next(&self) -> Option<u64> {
        self.chains.iter().flatten().filter_map(Sa::next).min()
    }

    /// Follows what was told of limits that were passed. Which of several SAs is the first to
    /// expire in a second is not laid down, but each has to be due.
    ///
    /// # Panics
    ///
    /// If something is told that is not so.
    pub fn follow(&mut self, messages: &[Told]) {
        let mut messages = messages.iter();
        while let Some(message) = messages.next() {
            let said = message.about.expect("EXPIRE names an SA");
            let passed = message.passed.expect("EXPIRE has a limit");
            let now = self.now;
            let sa = self.find_mut(said).expect("what expires is there");
            let is_past = |limit: Option<u64>| limit.is_some_and(|limit| now - sa.since > limit);
            assert_eq!(passed.hard, is_past(sa.end()), "{sa:?} at {now}");
            let seconds = if passed.hard {
                sa.terms.hard
            } else {
                assert!(is_past(sa.warning()), "{sa:?} at {now}");
                sa.state = SaState::Dying;
                sa.terms.soft
            };
            let state = sa.state as u8;
            let passed = Some(Passed {
                seconds,
                state,
                ..passed
            });
            let expected = Told {
                passed,
                ..told(msg::EXPIRE, Some(said), false)
            };
            assert_eq!(*message, expected);
            if message.passed.is_some_and(|passed| passed.hard) {
                for mate in self.remove(said) {
                    assert_eq!(messages.next(), Some(&mate), "each mate is told of");
                }
            }
        }
    }

    /// Checks that nothing is overdue.
    ///
    /// # Panics
    ///
    /// If something is.
    pub fn assert_nothing_due(&self) {
        let overdue = self.next().filter(|next| *next <= self.now);
        assert_eq!(overdue, None, "at {}: {:?}", self.now, self.chains);
    }
}

/// Soft limits are not above hard ones.
fn capped(terms: Terms) -> Terms {
    match terms.hard {
        0 => terms,
        hard => Terms {
            soft: terms.soft.min(hard),
            ..terms
        },
    }
}

fn told(msg_type: u8, about: Option<Said>, answers: bool) -> Told {
    Told {
        msg_type,
        errno: 0,
        answers,
        about,
        fault: None,
        passed: None,
    }
}
