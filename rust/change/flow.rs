// SPDX-License-Identifier: GPL-2.0

//! Eroutes, and what may come out of tunnels (contract 24, reference 4.13).

use super::{
    make,
    remove_all,
    Change,
    Done, //
};
use crate::{
    engine::Engine,
    flows::{
        Bypass,
        Plan, //
    },
    klips_core::{
        errno::Errno,
        pfkey::debug::Part,
        said::{
            Said,
            Shunt, //
        },
        selector::{
            Network,
            Selector, //
        }, //
    },
    memory::{
        Boxed,
        Vector, //
    },
    netns::{
        Host,
        Refusal,
        State, //
    },
    post::Draft, //
};
use core::net::IpAddr;

/// How many eroutes are removed before others get their turn.
const STEP: usize = 64;

/// Adds an eroute.
pub struct AddEroute {
    /// Which packets it is for.
    pub selector: Selector,
    /// The SA that they go through first, which need not be there, or a magic one.
    pub said: Said,
    /// The gateway of here that it begins at, if that was said.
    pub gateway: Option<IpAddr>,
    /// Whether it takes the place of one that is there, and that has to be; else there may be none.
    pub replaces: bool,
    /// The answer.
    pub answer: Draft,
}

impl<H: Host> Change<H> for AddEroute {
    type Plan = (Selector, Said, Boxed<Plan<H::Engine>>, Draft);
    type Removed = ();

    #[inline(never)]
    fn plan(self, host: &H, state: &mut State<H>) -> Result<Self::Plan, Refusal> {
        let AddEroute {
            selector,
            said,
            gateway,
            replaces,
            answer,
        } = self;
        let bypass = bypass_of(host, state, &selector, &said, gateway);
        let mut planner = state.planner(host)?;
        planner.add_eroute(selector, said, replaces, bypass)?;
        Ok((selector, said, planner.finish()?, answer))
    }

    #[inline(never)]
    fn commit(
        (selector, said, mut plan, answer): Self::Plan,
        host: &H,
        state: &mut State<H>,
    ) -> Done<()> {
        state.carry_out(host, &mut plan);
        if state.traces(Part::Eroute) {
            let open = state.flows.find(&selector).is_some_and(|it| it.is_open());
            host.log(format_args!(
                "{} -> {}: an eroute to {said}{}",
                selector.src_text(),
                selector.dst_text(),
                if open { "" } else { ", drops" },
            ));
        }
        Done::told(answer)
    }
}

/// What goes past an eroute: IKE between the gateway of here and that of the SA, or for shunts, all
/// that the eroute leads to. Where it was not said which gateway of here, it is that of the SA, or the
/// one address that the eroute is for.
fn bypass_of<H: Host>(
    host: &H,
    state: &State<H>,
    selector: &Selector,
    said: &Said,
    gateway: Option<IpAddr>,
) -> Option<Bypass> {
    let peers = match Shunt::of(said) {
        Some(Shunt::Pass) => return None,
        Some(_) => selector.dst,
        None => Network::of_host(said.dst),
    };
    let of_sa = state.sadb.find(said).map(|sa| sa.spec.src.ip());
    let candidates = [gateway, of_sa, selector.src.host()].into_iter();
    candidates
        .flatten()
        .filter_map(|own| Bypass::past_eroute(selector, own, peers))
        // Others' IKE, which is forwarded, is a packet like any other.
        .find(|it| !it.own().is_unspecified() && host.is_local(it.own()))
}

/// Says what may come out of a tunnel.
pub struct SetInflow {
    /// Which packets.
    pub selector: Selector,
    /// The tunnel, or an SA outside of it.
    pub said: Said,
    /// The answer.
    pub answer: Draft,
}

impl<H: Host> Change<H> for SetInflow {
    type Plan = (Selector, Said, Boxed<Plan<H::Engine>>, Draft);
    type Removed = ();

    #[inline(never)]
    fn plan(self, host: &H, state: &mut State<H>) -> Result<Self::Plan, Refusal> {
        let mut planner = state.planner(host)?;
        planner.add_inflow(self.selector, self.said)?;
        Ok((self.selector, self.said, planner.finish()?, self.answer))
    }

    #[inline(never)]
    fn commit(
        (selector, said, mut plan, answer): Self::Plan,
        host: &H,
        state: &mut State<H>,
    ) -> Done<()> {
        state.carry_out(host, &mut plan);
        state.trace(
            host,
            Part::Eroute,
            format_args!(
                "{} -> {}: may come out of {said}",
                selector.src_text(),
                selector.dst_text(),
            ),
        );
        Done::told(answer)
    }
}

/// Removes an eroute.
pub struct RemoveEroute {
    /// Which packets it is for.
    pub selector: Selector,
    /// The answer.
    pub answer: Draft,
}

impl<H: Host> Change<H> for RemoveEroute {
    type Plan = (Selector, Draft);
    type Removed = ();

    #[inline(never)]
    fn plan(self, _host: &H, state: &mut State<H>) -> Result<Self::Plan, Refusal> {
        if !state.flows.has(&self.selector) {
            return Err(Errno::ENOENT.into());
        }
        Ok((self.selector, self.answer))
    }

    #[inline(never)]
    fn commit((selector, answer): Self::Plan, host: &H, state: &mut State<H>) -> Done<()> {
        state.flows.remove(host.engine(), &selector);
        state.trace(
            host,
            Part::Eroute,
            format_args!(
                "{} -> {}: no eroute any more",
                selector.src_text(),
                selector.dst_text(),
            ),
        );
        Done::told(answer)
    }
}

/// Removes some of the eroutes.
struct ClearSome {
    position: u64,
    end: u64,
}

impl<H: Host> Change<H> for ClearSome {
    type Plan = Self;
    type Removed = Option<u64>;

    #[inline(never)]
    fn plan(self, _host: &H, _state: &mut State<H>) -> Result<Self, Refusal> {
        Ok(self)
    }

    #[inline(never)]
    fn commit(
        ClearSome { position, end }: Self,
        host: &H,
        state: &mut State<H>,
    ) -> Done<Option<u64>> {
        Done {
            answer: None,
            others: Vector::new(),
            removed: state.flows.clear_some(host.engine(), position, end, STEP),
        }
    }
}

/// Removes the eroutes that are there now, step by step.
pub fn clear_eroutes<H: Host>(host: &H) -> Result<(), Refusal> {
    let end = host.lock().flows.next_number();
    let mut next = Some(0);
    while let Some(position) = next {
        next = make(host, ClearSome { position, end })?;
        host.cond_resched();
    }
    Ok(())
}

/// Takes everything out of a namespace that ends, and out of its engine.
pub fn end<H: Host>(host: &H) {
    // Neither can refuse.
    let _ = remove_all(host, None);
    let _ = clear_eroutes(host);
    let mut state = host.lock();
    let _hold = host.engine().hold();
    state.flows.end(host.engine());
}
