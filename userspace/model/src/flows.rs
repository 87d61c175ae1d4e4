// SPDX-License-Identifier: GPL-2.0

//! The rules of the contract (24) for eroutes, for what may come out of tunnels, and for the states
//! and policies of xfrm that carry both out.
//!
//! A chain of SAs is carried out by states: `tun` in front of another transform puts that into tunnel
//! mode and is no state itself. An SA gets a state when something asks for it and keeps it until it
//! goes. An eroute is a policy that asks for the states of the chain that it names the innermost SA
//! of, and drops where there is none that protects as well as what it had.

use crate::{
    request::Flow,
    rules::{Model, Sa},
};
use klips::{
    errno::Errno,
    pfkey::SaState,
    said::{Proto, Said},
};
use std::net::IpAddr;

/// The most states in a row that xfrm takes.
const MOST_STATES: usize = 5;

/// SPIs of eroutes without SAs.
pub const PASS: u32 = 256;
/// Drops.
pub const DROP: u32 = 257;
/// Drops, and asks for SAs.
pub const TRAP: u32 = 260;

/// What a reqid stands for. Which number each has is not laid down, but all have different ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reqid {
    /// Of the SA that was made as the nth.
    Own(u64),
    /// Of the nth inflow.
    Inflow(u64),
    /// Of tunnels that come in and have no inflow.
    Free,
    /// 0, which stands for any.
    Any,
    /// Of the nth eroute that waits for SAs.
    Waiting(u64),
}

/// How the state of an SA works.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// `esp` and so on.
    transform: &'static str,
    is_tunnel: bool,
    reqid: Reqid,
    /// Whether it is a tunnel of what comes in, with others of its chain inside.
    is_outer: bool,
}

impl Shape {
    fn mode(&self) -> &'static str {
        if self.is_tunnel {
            "tunnel"
        } else {
            "transport"
        }
    }
}

/// How many times packets go through ESP, and how many times through AH.
type Protection = (usize, usize);

/// A state of a chain, and which of the chain's SAs it is of.
type Layer = (usize, Shape);

/// What a policy asks for, and how well that protects.
type Wanted = (Vec<String>, Vec<Reqid>, Protection);

/// An eroute.
#[derive(Clone, Debug)]
pub(crate) struct Eroute {
    flow: Flow,
    said: Said,
    /// Its number among all eroutes that were asked for.
    number: u64,
    /// The best that it had since it was asked for.
    most: Protection,
    /// Whether no protection at all is what was there when it was asked for.
    bare: bool,
}

/// What may come out of tunnels.
#[derive(Clone, Debug)]
pub(crate) struct Inflow {
    flow: Flow,
    number: u64,
    most: Protection,
    /// The tunnels, the newest first.
    carriers: Vec<Said>,
    /// Whether it goes with the last of them.
    released: bool,
    /// What its policies ask for, if they do not drop.
    open: Option<Wanted>,
}

/// A state or a policy as a line of text, and what its reqids are.
pub type Line<R> = (String, Vec<R>);

/// Compares what xfrm has with what the model says that it has.
///
/// # Errors
///
/// What differs.
pub fn compare_xfrm(mut found: Vec<Line<u32>>, expected: &[Line<Reqid>]) -> Result<(), String> {
    found.sort();
    let mut expected = expected.to_vec();
    expected.sort_by(|(one, _), (other, _)| one.cmp(other));
    let texts = |lines: Vec<&str>| lines.join("\n");
    let (is, wanted): (Vec<&str>, Vec<&str>) = (
        found.iter().map(|(line, _)| &**line).collect(),
        expected.iter().map(|(line, _)| &**line).collect(),
    );
    if is != wanted {
        return Err(format!(
            "xfrm has\n{}\ninstead of\n{}",
            texts(is),
            texts(wanted)
        ));
    }
    let mut known: Vec<(u32, Reqid)> = Vec::new();
    for ((line, numbers), (_, reqids)) in found.iter().zip(&expected) {
        if numbers.len() != reqids.len() {
            return Err(format!("{line}: {numbers:x?} instead of {reqids:?}"));
        }
        for pair in numbers.iter().copied().zip(reqids.iter().copied()) {
            let is_other = |it: &&(u32, Reqid)| (it.0 == pair.0) != (it.1 == pair.1);
            if let Some((number, reqid)) = known.iter().find(is_other) {
                return Err(format!(
                    "{line}: {:#x} is {:?}, but {number:#x} was {reqid:?}",
                    pair.0, pair.1
                ));
            }
            known.push(pair);
        }
    }
    Ok(())
}

/// The line of a state.
pub fn state_line(transform: &str, spi: u32, (src, dst): (IpAddr, IpAddr), mode: &str) -> String {
    format!("{transform} {spi:#x} {src} > {dst} {mode}")
}

/// How a policy's line begins.
pub fn policy_line(direction: &str, src: &str, dst: &str, proto: u8) -> String {
    let proto = match proto {
        0 => String::new(),
        proto => format!(" proto {proto}"),
    };
    format!("{direction} {src} > {dst}{proto}")
}

/// What a policy's line says of each of its templates.
pub fn template_text(
    transform: &str,
    mode: &str,
    (src, dst): (IpAddr, IpAddr),
    is_optional: bool,
) -> String {
    let level = if is_optional { " use" } else { "" };
    format!(" {transform}/{mode} {src} > {dst}{level}")
}

/// The protocol that a tunnel without another transform outside of it is to xfrm.
fn header_of(dst: IpAddr) -> &'static str {
    if dst.is_ipv4() { "ipip" } else { "ipv6" }
}

fn unspecified(like: IpAddr) -> IpAddr {
    match like {
        IpAddr::V4(_) => IpAddr::from([0; 4]),
        IpAddr::V6(_) => IpAddr::from([0; 16]),
    }
}

impl Model {
    /// The addresses of this host, SAs to which come in.
    #[must_use]
    pub fn with_own(mut self, own: &[IpAddr]) -> Self {
        self.own = own.to_vec();
        self
    }

    /// The states that carry out a chain, inside to outside, as it would be done if it was new.
    /// Nothing if an SPI of it is only reserved; an errno if it can never be done.
    fn layers(&self, chain: &[Sa]) -> Result<Option<Vec<Layer>>, Errno> {
        if chain.iter().any(|sa| sa.state == SaState::Larval) {
            return Ok(None);
        }
        let dst = chain[0].said.dst;
        let mut transforms: Vec<(usize, &'static str, bool)> = Vec::new();
        for (index, sa) in chain.iter().enumerate() {
            let behind_tunnel = index > 0 && chain[index - 1].said.proto == Proto::Tun;
            let is_last = index + 1 == chain.len();
            if sa.said.dst != dst {
                return Err(Errno::EINVAL);
            }
            transforms.push(match sa.said.proto {
                Proto::Tun if behind_tunnel => return Err(Errno::EINVAL),
                Proto::Tun if is_last => (index, header_of(dst), true),
                Proto::Tun => continue,
                Proto::Esp => (index, "esp", behind_tunnel),
                Proto::Ah => (index, "ah", behind_tunnel),
                Proto::Comp => (index, "comp", behind_tunnel),
                Proto::Int => return Err(Errno::EINVAL),
            });
            if transforms.len() > MOST_STATES {
                return Err(Errno::EMLINK);
            }
        }
        let comes_in = self.comes_in(chain) && !is_bare(&transforms);
        let inflow = self.governing(chain);
        let layer = |(depth, layer): (usize, (usize, &'static str, bool))| {
            let (index, transform, is_tunnel) = layer;
            let reqid = match (comes_in, inflow) {
                (true, Some(number)) => Reqid::Inflow(number),
                // What anybody can make has to come through the rest of the chain, and nothing asks for
                // that. All ESP here authenticates.
                (true, None) if is_tunnel && transform != "comp" => Reqid::Free,
                _ => Reqid::Own(chain[index].age),
            };
            let shape = Shape {
                transform,
                is_tunnel,
                reqid,
                is_outer: comes_in && is_tunnel && depth > 0,
            };
            (index, shape)
        };
        Ok(Some(
            transforms.into_iter().enumerate().map(layer).collect(),
        ))
    }

    fn comes_in(&self, chain: &[Sa]) -> bool {
        chain.iter().all(|sa| self.own.contains(&sa.said.dst))
    }

    /// The inflow of a chain: that of its innermost tunnel that has one.
    fn governing(&self, chain: &[Sa]) -> Option<u64> {
        chain.iter().find_map(|sa| self.inflow_of(sa.said))
    }

    fn inflow_of(&self, said: Said) -> Option<u64> {
        let has = |inflow: &&Inflow| inflow.carriers.contains(&said);
        Some(self.inflows.iter().find(has)?.number)
    }

    /// What an eroute that names this SA asks for if nothing forbids it.
    fn wanted(&self, said: Said) -> Option<Wanted> {
        let chain = &self.chains[self.chain_of(said)?];
        let layers = self.layers(chain).ok()??;
        (chain[0].said == said).then(|| asked_for(chain, &layers, false))
    }

    /// What an eroute asks for; nothing if it drops.
    fn open(&self, eroute: &Eroute) -> Option<Wanted> {
        let wanted = self.wanted(eroute.said)?;
        let enough = covers(wanted.2, eroute.most);
        (enough && (eroute.bare || wanted.2 != (0, 0))).then_some(wanted)
    }

    /// A chain has become what it is: SAs get states, eroutes and inflows what they can ask for.
    pub(crate) fn settle(&mut self, of: Said, is_asked_for: bool) {
        let chain = self.chain_of(of).expect("an SA that is there");
        let sas = self.chains[chain].clone();
        let names = |eroute: &&Eroute| eroute.said == sas[0].said;
        let is_asked_for = is_asked_for
            || self
                .eroutes
                .iter()
                .filter(names)
                .any(|it| self.open(it).is_some());
        let is_needed =
            |layers: &[Layer]| is_asked_for || self.comes_in(&sas) && protection(layers).is_some();
        if let Ok(Some(layers)) = self.layers(&sas) {
            if is_needed(&layers) {
                for (index, shape) in layers {
                    let live = &mut self.chains[chain][index].live;
                    // A state that was part of a group goes on as it is until something else is
                    // asked of it.
                    if sas.len() > 1 || is_asked_for || live.is_none() {
                        *live = Some(shape);
                    }
                }
            }
        }
        for index in 0..self.eroutes.len() {
            if let Some((_, _, protection)) = self.open(&self.eroutes[index]) {
                let most = &mut self.eroutes[index].most;
                *most = (most.0.max(protection.0), most.1.max(protection.1));
            }
        }
        for sa in &sas {
            if let Some(number) = self.inflow_of(sa.said) {
                self.judge_inflow(number);
            }
        }
    }

    /// What a tunnel's chain offers an inflow, all its states being there.
    fn offered(&self, number: u64, tunnel: Said) -> Option<Wanted> {
        let chain = &self.chains[self.chain_of(tunnel)?];
        let layers = self.layers(chain).ok()??;
        let is_live = |(index, shape): &Layer| chain[*index].live == Some(*shape);
        let fits = self.governing(chain) == Some(number)
            && chain.last().is_none_or(|sa| sa.said.proto != Proto::Tun)
            && layers.iter().all(is_live);
        fits.then(|| asked_for(chain, &layers, true))
    }

    fn inflow(&mut self, number: u64) -> &mut Inflow {
        let mut inflows = self.inflows.iter_mut();
        let found = inflows.find(|inflow| inflow.number == number);
        found.expect("an inflow that is there")
    }

    /// An inflow asks for what the newest tunnel offers that offers anything.
    fn judge_inflow(&mut self, number: u64) {
        let inflow = self.inflow(number).clone();
        let mut offers = inflow.carriers.iter();
        let offer = offers.find_map(|tunnel| self.offered(number, *tunnel));
        let offer = offer.filter(|(_, _, it)| covers(*it, inflow.most) && *it != (0, 0));
        let inflow = self.inflow(number);
        if let Some((_, _, protection)) = offer {
            inflow.most.0 = inflow.most.0.max(protection.0);
            inflow.most.1 = inflow.most.1.max(protection.1);
        }
        inflow.open = offer;
    }

    /// SAs have gone. What named them drops; an inflow stays as it is where another of its tunnels
    /// offers just that.
    pub(crate) fn unsettle(&mut self, gone: &[Sa]) {
        for sa in gone {
            let Some(number) = self.inflow_of(sa.said) else {
                continue;
            };
            self.inflow(number).carriers.retain(|it| *it != sa.said);
            let inflow = self.inflow(number).clone();
            let mut offers = inflow.carriers.iter();
            let is_same = offers.any(|tunnel| {
                let offer = self.offered(number, *tunnel);
                offer.is_some() && offer == inflow.open
            });
            if !is_same {
                self.inflow(number).open = None;
            }
        }
        self.forget_inflows();
    }

    /// Inflows go that were to go with the last of their tunnels.
    fn forget_inflows(&mut self) {
        let stays = |inflow: &Inflow| !inflow.released || !inflow.carriers.is_empty();
        self.inflows.retain(stays);
    }

    pub(crate) fn add_eroute(
        &mut self,
        said: Said,
        flow: Flow,
        replace: bool,
    ) -> Result<(), Errno> {
        let there = self.eroutes.iter().position(|it| it.flow == flow);
        match there {
            Some(_) if !replace => return Err(Errno::EEXIST),
            None if replace => return Err(Errno::ENOENT),
            _ => (),
        }
        let chain = self.chain_of(said);
        if let Some(chain) = chain {
            if self.chains[chain][0].said != said {
                return Err(Errno::EINVAL);
            }
            self.layers(&self.chains[chain])?;
        }
        if let Some(there) = there {
            self.eroutes.remove(there);
        }
        let bare = self
            .wanted(said)
            .is_some_and(|(_, _, protection)| protection == (0, 0));
        self.asked += 1;
        self.eroutes.push(Eroute {
            flow,
            said,
            number: self.asked,
            most: (0, 0),
            bare,
        });
        if chain.is_some() {
            self.settle(said, true);
        }
        if said.proto == Proto::Int && said.spi == PASS {
            self.release(flow.mirrored());
        }
        Ok(())
    }

    /// What comes back to an eroute need not be protected any more once that is gone, and the last of
    /// the tunnels.
    fn release(&mut self, flow: Flow) {
        if let Some(inflow) = self.inflows.iter_mut().find(|it| it.flow == flow) {
            inflow.released = true;
        }
        self.forget_inflows();
    }

    pub(crate) fn set_inflow(&mut self, said: Said, flow: Flow) -> Result<(), Errno> {
        let chain = &self.chains[self.chain_of(said).ok_or(Errno::ENOENT)?];
        let named = chain.iter().position(|sa| sa.said == said);
        let mut inwards = chain[..=named.expect("it is in it")].iter().rev();
        let tunnel = inwards.find(|sa| sa.said.proto == Proto::Tun);
        let tunnel = tunnel.ok_or(Errno::ENOENT)?.said;
        let before = self.inflow_of(tunnel);
        if let Some(before) = before {
            self.inflow(before).carriers.retain(|it| *it != tunnel);
        }
        self.asked += 1;
        if let Some(known) = self.inflows.iter_mut().find(|it| it.flow == flow) {
            (known.most, known.released) = ((0, 0), false);
            known.carriers.insert(0, tunnel);
        } else {
            self.inflows.push(Inflow {
                flow,
                number: self.asked,
                most: (0, 0),
                carriers: vec![tunnel],
                released: false,
                open: None,
            });
        }
        self.settle(tunnel, false);
        self.forget_inflows();
        if let Some(before) = before.filter(|it| self.inflows.iter().any(|one| one.number == *it)) {
            self.judge_inflow(before);
        }
        Ok(())
    }

    pub(crate) fn remove_eroute(&mut self, flow: Flow) -> Result<(), Errno> {
        if let Some(there) = self.eroutes.iter().position(|it| it.flow == flow) {
            self.eroutes.remove(there);
            self.release(flow.mirrored());
            return Ok(());
        }
        let is_orphan = |it: &Inflow| it.flow == flow && it.carriers.is_empty();
        let orphan = self.inflows.iter().position(is_orphan);
        self.inflows.remove(orphan.ok_or(Errno::ENOENT)?);
        Ok(())
    }

    pub(crate) fn clear_eroutes(&mut self) {
        self.eroutes.clear();
        self.inflows.iter_mut().for_each(|it| it.released = true);
        self.forget_inflows();
    }

    /// How many eroutes there are, and for how many inflows.
    pub fn flows(&self) -> (usize, usize) {
        (self.eroutes.len(), self.inflows.len())
    }

    /// Which SA each eroute names, and what it is for: what `/proc/net/ipsec_eroute` is to show, in
    /// no order.
    pub fn eroutes(&self) -> Vec<(Flow, Said)> {
        let eroutes = self.eroutes.iter();
        eroutes.map(|eroute| (eroute.flow, eroute.said)).collect()
    }

    /// All that decides what becomes of eroutes, inflows and states from now on; the same for two
    /// models in which only other numbers were given.
    pub fn flow_state(&self) -> String {
        let mut ages: Vec<u64> = self.chains.iter().flatten().map(|sa| sa.age).collect();
        ages.sort_unstable();
        let mut numbers: Vec<u64> = self.inflows.iter().map(|it| it.number).collect();
        numbers.sort_unstable();
        let rank = |all: &[u64], number| all.iter().position(|it| *it == number);
        let reqid = |reqid: &Reqid| match reqid {
            Reqid::Own(age) => format!("own {:?}", rank(&ages, *age)),
            // That of one that is gone is like no other.
            Reqid::Inflow(number) => format!("inflow {:?}", rank(&numbers, *number)),
            Reqid::Free | Reqid::Any | Reqid::Waiting(_) => format!("{reqid:?}"),
        };
        let live = |sa: &Sa| {
            let shape = sa.live.as_ref();
            let text = shape.map(|it| (it.transform, it.is_tunnel, reqid(&it.reqid)));
            format!("{} {text:?}", sa.said)
        };
        let mut lines: Vec<String> = self.chains.iter().flatten().map(live).collect();
        for Eroute {
            flow,
            said,
            most,
            bare,
            ..
        } in &self.eroutes
        {
            lines.push(format!("{flow:?} {said} {most:?} {bare}"));
        }
        for inflow in &self.inflows {
            let open = inflow.open.as_ref();
            let open = open.map(|(texts, reqids, _)| {
                (texts, reqids.iter().map(reqid).collect::<Vec<String>>())
            });
            let Inflow {
                flow,
                number,
                most,
                carriers,
                released,
                ..
            } = inflow;
            let number = rank(&numbers, *number);
            lines.push(format!(
                "in {flow:?} {number:?} {most:?} {carriers:?} {released} {open:?}"
            ));
        }
        lines.sort();
        format!("{lines:#?}")
    }

    /// What xfrm is to have, in no order.
    pub fn xfrm(&self) -> Vec<Line<Reqid>> {
        let mut lines = Vec::new();
        for sa in self.chains.iter().flatten() {
            if let Some(shape) = sa.live {
                let ends = (crate::wire::source_of(sa.said.dst), sa.said.dst);
                let line = state_line(shape.transform, sa.said.spi, ends, shape.mode());
                lines.push((line, vec![shape.reqid]));
            }
        }
        for eroute in &self.eroutes {
            let does = if eroute.said.proto == Proto::Int {
                shunt(eroute)
            } else {
                self.open(eroute).map(|(texts, reqids, _)| (texts, reqids))
            };
            lines.push(policy("out", eroute.flow.ends(), does));
        }
        for inflow in &self.inflows {
            for direction in ["in", "fwd"] {
                let does = inflow.open.clone();
                let does = does.map(|(texts, reqids, _)| (texts, reqids));
                lines.push(policy(direction, inflow.flow.ends(), does));
            }
        }
        // What comes out of tunnels without an inflow is let in while there are such; and so is what
        // goes on from one tunnel of a chain to another inside of it.
        let live = || self.chains.iter().flatten().filter_map(|sa| sa.live);
        let is_free = |shape: Shape| shape.reqid == Reqid::Free;
        let mut common = Vec::new();
        if live().any(is_free) {
            let transforms = &["ah", "esp", "ah", "esp"][..];
            common.extend(["in", "fwd"].map(|direction| (direction, 0, Reqid::Free, transforms)));
        }
        if live().any(|shape| shape.is_outer && !is_free(shape)) {
            let transforms = &["ah", "esp", "comp", "ah", "esp"][..];
            common.extend([50, 51, 108].map(|proto| ("in", proto, Reqid::Any, transforms)));
        }
        for (direction, proto, reqid, transforms) in common {
            for any in ["0.0.0.0", "::"] {
                let any = crate::wire::ip(any);
                let network = format!("{any}/0");
                let mut line = policy_line(direction, &network, &network, proto) + " allow";
                for transform in transforms {
                    line += &template_text(transform, "tunnel", (any, any), true);
                }
                lines.push((line, vec![reqid; transforms.len()]));
            }
        }
        lines
    }
}

fn is_bare(transforms: &[(usize, &'static str, bool)]) -> bool {
    let is_header = |(_, name, _): &(usize, &'static str, bool)| ["ipip", "ipv6"].contains(name);
    transforms.iter().any(is_header)
}

/// How well states protect; nothing if the outermost is a header that nothing vouches for.
fn protection(layers: &[Layer]) -> Option<Protection> {
    let count = |name| {
        let same = |(_, shape): &&Layer| shape.transform == name;
        layers.iter().filter(same).count()
    };
    (count("ipip") + count("ipv6") == 0).then(|| (count("esp"), count("ah")))
}

fn covers(protection: Protection, least: Protection) -> bool {
    protection.0 >= least.0 && protection.1 >= least.1
}

/// What a policy says that asks for states: for packets that come in their ends do not count, and
/// small ones are not compressed.
fn asked_for(chain: &[Sa], layers: &[Layer], comes_in: bool) -> Wanted {
    let text = |(_, shape): &Layer| {
        let dst = chain[0].said.dst;
        let ends = if comes_in {
            (unspecified(dst), unspecified(dst))
        } else {
            (crate::wire::source_of(dst), dst)
        };
        let is_optional = comes_in && shape.transform == "comp";
        template_text(shape.transform, shape.mode(), ends, is_optional)
    };
    let count = |name| {
        let same = |(_, shape): &&Layer| shape.transform == name;
        layers.iter().filter(same).count()
    };
    (
        layers.iter().map(text).collect(),
        layers.iter().map(|(_, shape)| shape.reqid).collect(),
        (count("esp"), count("ah")),
    )
}

/// What the policy of an eroute without SAs says, if it does not drop.
fn shunt(eroute: &Eroute) -> Option<(Vec<String>, Vec<Reqid>)> {
    let (src, _) = eroute.flow.ends();
    let (src, _) = src.split_once('/').expect("a network");
    let any = unspecified(crate::wire::ip(src));
    match eroute.said.spi {
        PASS => Some((Vec::new(), Vec::new())),
        TRAP => {
            let text = template_text("esp", "transport", (any, any), false);
            Some((vec![text], vec![Reqid::Waiting(eroute.number)]))
        }
        _ => None,
    }
}

fn policy(
    direction: &str,
    (src, dst): (String, String),
    does: Option<(Vec<String>, Vec<Reqid>)>,
) -> Line<Reqid> {
    let begin = policy_line(direction, &src, &dst, 0);
    match does {
        Some((texts, reqids)) => (format!("{begin} allow{}", texts.concat()), reqids),
        None => (format!("{begin} block"), Vec::new()),
    }
}
