// SPDX-License-Identifier: GPL-2.0

//! What packets have told: that a %trap has taken them (reference 4.12), or that they come from
//! elsewhere than before (NAT-T).

use super::{
    make,
    Change,
    Done, //
};
use crate::{
    engine::{
        Acquire,
        Engine,
        Mapping, //
    },
    flows::{
        NewHold,
        ToldMapping, //
    },
    klips_core::pfkey::SaType,
    memory::{
        self,
        Boxed,
        OutOfMemory,
        Vector, //
    },
    netns::{
        Host,
        Refusal,
        State, //
    },
    post::{
        about,
        Audience,
        Draft, //
    },
    sadb::Age, //
};
use core::net::SocketAddr;

/// Those who negotiate: all that is asked for is ESP.
const NEGOTIATORS: Audience = Audience::Registered(SaType::Esp as u8);

/// What the engine calls packets that wait.
type Waiting<H> = <<H as Host>::Engine as Engine>::Waiting;

/// Has key daemons asked for SAs for a packet.
struct Ask<H: Host>(Acquire<Waiting<H>>);

/// What is to be remembered, and the message.
type Prepared<H> = (NewHold<Waiting<H>>, Draft);

/// What becomes of that.
enum Asked<H: Host> {
    /// They have been asked already, or there is no %trap any more.
    Known,
    /// They can't be: the next packet is to ask again.
    Later(Waiting<H>),
    /// They are asked.
    Now(NewHold<Waiting<H>>, u64, Waiting<H>, Draft),
}

impl<H: Host> Ask<H> {
    /// `None` if there is nothing to ask.
    fn prepare(&self, host: &H, state: &State<H>) -> Result<Option<Prepared<H>>, OutOfMemory> {
        let Some(hold) = state.flows.prepare_hold(&self.0)? else {
            return Ok(None);
        };
        let packet = (self.0.src, self.0.dst, self.0.proto);
        let message = about::acquire_for(host, state.seq.wrapping_add(1), packet)?;
        Ok(Some((hold, message)))
    }
}

impl<H: Host> Change<H> for Ask<H> {
    const AUDIENCE: Audience = NEGOTIATORS;
    type Plan = Asked<H>;
    type Removed = ();

    #[inline(never)]
    fn plan(self, host: &H, state: &mut State<H>) -> Result<Asked<H>, Refusal> {
        let prepared = self.prepare(host, state);
        let Acquire { until, waiting, .. } = self.0;
        Ok(match prepared {
            Ok(None) => Asked::Known,
            Ok(Some((hold, message))) if state.accepts_acquires() => {
                Asked::Now(hold, until, waiting, message)
            }
            Ok(Some(_)) | Err(OutOfMemory) => Asked::Later(waiting),
        })
    }

    #[inline(never)]
    fn commit(asked: Asked<H>, host: &H, state: &mut State<H>) -> Done<()> {
        state.traps.caught = state.traps.caught.wrapping_add(1);
        let mut answer = None;
        match asked {
            Asked::Known => (),
            Asked::Later(waiting) => host.engine().stop_waiting(&waiting),
            Asked::Now(hold, until, waiting, message) => {
                state.flows.hold(hold, until, waiting);
                state.seq = state.seq.wrapping_add(1);
                state.traps.told = state.traps.told.wrapping_add(1);
                answer = Some(message);
            }
        }
        Done {
            answer,
            others: Vector::new(),
            removed: (),
        }
    }
}

/// Has key daemons told that packets of an SA come from elsewhere.
struct Map(Mapping);

impl<H: Host> Change<H> for Map {
    const AUDIENCE: Audience = NEGOTIATORS;
    type Plan = Option<(Age, Boxed<ToldMapping>, Draft)>;
    type Removed = ();

    #[inline(never)]
    fn plan(self, host: &H, state: &mut State<H>) -> Result<Self::Plan, Refusal> {
        let Map(mapping) = self;
        let now = host.now().boot;
        let Some(sa) = state.flows.mapped(&state.sadb, &mapping, now) else {
            return Ok(None);
        };
        let seq = state.seq.wrapping_add(1);
        let message = about::mapping_of(host, seq, &sa.spec, (mapping.src, mapping.sport))?;
        let told = memory::boxed(|| ToldMapping {
            from: SocketAddr::new(mapping.src, mapping.sport),
            at: now,
        })?;
        Ok(Some((sa.age(), told, message)))
    }

    #[inline(never)]
    fn commit(plan: Self::Plan, _host: &H, state: &mut State<H>) -> Done<()> {
        let answer = plan.map(|(age, told, message)| {
            state.flows.set_mapped(age, told);
            state.seq = state.seq.wrapping_add(1);
            message
        });
        Done {
            answer,
            others: Vector::new(),
            removed: (),
        }
    }
}

/// Has key daemons told what packets have told the engine.
pub fn packets_told<H: Host>(host: &H) {
    while let Some(acquire) = host.engine().next_acquire() {
        // It never refuses.
        let _ = make(host, Ask(acquire));
        host.cond_resched();
    }
    while let Some(mapping) = host.engine().next_mapping() {
        // Without memory, it is for one of the next packets to tell.
        let _ = make(host, Map(mapping));
        host.cond_resched();
    }
    if host.lock().listeners.is_telling() {
        // There may be many sockets, and this is not the time of who asks for that.
        host.wake_at(Some(host.now().boot));
    }
}
