// SPDX-License-Identifier: GPL-2.0

//! The states of a chain and the templates that ask for them.

use super::{
    reqid_of,
    reqid_of_inflow,
    Flows,
    Shape,
    REQID_FREE, //
};
use crate::{
    engine::Engine,
    klips_core::{
        address::Family,
        crypto,
        errno::Errno,
        fold::{
            self,
            fold,
            Layer,
            Layers,
            Mode,
            Protection,
            Transform,
            MAX_STATES, //
        },
        interface::NO_INTERFACE,
        pfkey::{
            Lifetime,
            SaState, //
        },
        xfrm::{
            Encapsulation,
            Key,
            Limit,
            StateSpec,
            Template,
            Templates, //
        }, //
    },
    sadb::{
        Age,
        Sa,
        SaSpec,
        Sadb, //
    }, //
};
use core::net::IpAddr;

/// An SA of a chain.
#[derive(Clone, Copy)]
pub struct Member<'a> {
    /// The age that it has or is going to have.
    pub age: Age,
    /// What it is going to be.
    pub spec: &'a SaSpec,
}

impl<'a> Member<'a> {
    /// An SA as it is.
    pub fn of(sa: &'a Sa) -> Self {
        Member {
            age: sa.age(),
            spec: &sa.spec,
        }
    }
}

/// The most SAs of a chain that can be carried out: five states and a tunnel in front of each.
pub(super) const LONGEST: usize = 2 * MAX_STATES;

/// UDP encapsulation with a non-ESP marker, the one that there still is (RFC 3948).
const UDP_ENCAP_ESPINUDP: u8 = 2;

/// Why a chain can't be carried out.
#[derive(Clone, Copy)]
pub(super) enum Unusable {
    /// An SPI of it is only reserved.
    NotYet,
    /// It never could.
    Refused(Errno),
}

impl From<fold::Refusal> for Unusable {
    fn from(refusal: fold::Refusal) -> Self {
        Unusable::Refused(refusal.errno())
    }
}

/// The states of a chain.
pub(super) struct Design {
    pub(super) layers: Layers,
    /// By which templates name them.
    reqids: [u32; MAX_STATES],
    if_id: u32,
    /// Whether they are for packets that come in.
    inbound: bool,
}

/// The same, or why there can be none.
pub(super) type Folded = Result<Design, Unusable>;

impl Design {
    /// Of a chain, with the inflow that its tunnel has, by reqid. `locate` is asked for the `if_id` of
    /// one whose own end is at an address.
    pub(super) fn of(
        chain: &[Member<'_>],
        inflow: Option<u32>,
        locate: impl FnOnce(IpAddr) -> u32,
    ) -> Folded {
        let is_larval = |link: &Member<'_>| link.spec.state == SaState::Larval;
        if chain.iter().any(is_larval) {
            return Err(Unusable::NotYet);
        }
        // The non-IKE marker is gone from mainline.
        let is_known = |kind| matches!(kind, 0 | UDP_ENCAP_ESPINUDP);
        if !chain.iter().all(|link| is_known(link.spec.natt.kind)) {
            return Err(Unusable::Refused(Errno::EPROTONOSUPPORT));
        }
        let members = chain.iter().map(|link| fold::Member {
            said: link.spec.said(),
            src: link.spec.src.ip(),
        });
        let layers = fold(members)?;
        let inbound = chain.iter().all(|link| link.spec.inbound) && !layers.is_bare();
        // An interface takes packets to an SA by way of another route than its own, which only a tunnel
        // gives them: in transport mode they would come back to it.
        let is_tunnel = layers.iter().any(|layer| layer.mode == Mode::Tunnel);
        let own = |layer: &Layer| if inbound { layers.dst } else { layer.src };
        let if_id = match layers.iter().last().map(own) {
            Some(own) if is_tunnel => locate(own),
            _ => NO_INTERFACE,
        };
        // Without an inflow, nothing asks for more than the state of the tunnel itself, so that has to
        // vouch for what is inside; or be all that there is.
        let is_alone = layers.len() == 1;
        let vouches = |layer: &Layer, link: Option<&Member<'_>>| match layer.transform {
            Transform::Ah => true,
            Transform::Esp => {
                is_alone || link.is_some_and(|link| crypto::authenticates(&link.spec.algorithms()))
            }
            Transform::Comp | Transform::IpIp | Transform::Ipv6 => false,
        };
        let mut reqids = [REQID_FREE; MAX_STATES];
        for (reqid, layer) in reqids.iter_mut().zip(layers.iter()) {
            let link = chain.get(layer.member);
            *reqid = match (inbound, inflow, layer.mode) {
                (true, Some(reqid), _) => reqid,
                (true, None, Mode::Tunnel) if vouches(layer, link) => REQID_FREE,
                _ => link.map_or(REQID_FREE, |link| reqid_of(link.age)),
            };
        }
        Ok(Design {
            layers,
            reqids,
            if_id,
            inbound,
        })
    }

    pub(super) fn is_bare(&self) -> bool {
        self.layers.is_bare()
    }

    /// The states, inner to outer, and for which SAs of the chain they are.
    pub(super) fn iter(&self) -> impl Iterator<Item = (usize, Shape)> + '_ {
        let layers = self.layers.iter().zip(&self.reqids).enumerate();
        layers.map(|(depth, (layer, &reqid))| {
            let shape = Shape {
                transform: layer.transform,
                mode: layer.mode,
                src: layer.src,
                dst: self.layers.dst,
                reqid,
                if_id: self.if_id,
                is_outer: self.inbound && layer.mode == Mode::Tunnel && depth > 0,
            };
            (layer.member, shape)
        })
    }

    /// How an SA of the chain is to work, if it has a state of its own.
    pub(super) fn shape_of(&self, member: usize) -> Option<Shape> {
        self.iter()
            .find_map(|(of, shape)| (of == member).then_some(shape))
    }

    fn templates(&self, template: impl Fn(&Shape) -> Template) -> Templates {
        let mut templates = Templates::of_interface(self.if_id);
        for (_, shape) in self.iter() {
            // There is room for as many as there are layers.
            let _ = templates.push(template(&shape));
        }
        templates
    }

    /// What a policy for packets that leave asks for.
    pub(super) fn outbound(&self) -> Wanted {
        let templates = self.templates(|shape| Template {
            transform: shape.transform,
            mode: shape.mode,
            reqid: shape.reqid,
            src: shape.src,
            dst: shape.dst,
            optional: false,
            strict: false,
        });
        (templates, self.layers.protection())
    }

    /// What a policy for packets that come in asks for. Small packets are not compressed.
    pub(super) fn inbound(&self) -> Wanted {
        let templates = self.templates(|shape| {
            let any = Family::of(&shape.dst).unspecified();
            Template {
                transform: shape.transform,
                mode: shape.mode,
                reqid: shape.reqid,
                src: any,
                dst: any,
                optional: shape.transform == Transform::Comp,
                strict: false,
            }
        });
        (templates, self.layers.protection())
    }
}

/// Templates that a policy is to have, and how well they protect.
pub(super) type Wanted = (Templates, Protection);

/// What a chain that an inflow is set for has to give, with all states there; `None` if it can't be
/// used. `age` is its tunnel's; `dissolved` is the innermost SA of a chain that does not count.
pub(super) fn served_by<E: Engine>(
    flows: &Flows<E>,
    sadb: &Sadb,
    number: u64,
    age: Age,
    dissolved: Option<Age>,
) -> Option<Wanted> {
    let sa = sadb.get(age)?;
    let mut links = [Member::of(sa); LONGEST];
    let mut len = 0;
    for sa in sadb.chain(sa) {
        *links.get_mut(len)? = Member::of(sa);
        len += 1;
    }
    let links = links.get(..len)?;
    if dissolved.is_some() && links.first().map(|link| link.age) == dissolved {
        return None;
    }
    let carried = |link: &Member<'_>| Some(flows.carriers.get(&link.age)?.inflow);
    if links.iter().find_map(carried) != Some(number) {
        return None;
    }
    let live = links.iter().find_map(|link| flows.live(link.age));
    let if_id = live.map_or(NO_INTERFACE, |live| live.shape.if_id);
    let design = Design::of(links, Some(reqid_of_inflow(number)), |_| if_id).ok()?;
    let is_live = |(member, shape): (usize, Shape)| {
        let live = links.get(member).and_then(|link| flows.live(link.age));
        live.is_some_and(|live| live.shape == shape)
    };
    (!design.is_bare() && design.iter().all(is_live)).then(|| design.inbound())
}

/// Whether an inflow has a chain that gives just what its policies ask for.
pub(super) fn is_still_served<E: Engine>(
    engine: &E,
    flows: &Flows<E>,
    sadb: &Sadb,
    number: u64,
) -> bool {
    let Some(inflow) = flows.inflows.get(&number) else {
        return false;
    };
    let mut next = 0;
    while let Some((place, age)) = flows.carrying(number, next) {
        let wanted = served_by(flows, sadb, number, age, None);
        if wanted.is_some_and(|(templates, _)| inflow.both.is_open_by(engine, &templates)) {
            return true;
        }
        next = place + 1;
    }
    false
}

/// Whether the packets of a state go in UDP.
pub(super) fn is_encapsulated(spec: &SaSpec, shape: &Shape) -> bool {
    shape.transform == Transform::Esp && spec.natt.kind == UDP_ENCAP_ESPINUDP
}

/// The state that an SA is to have.
pub(super) fn state_spec<'a>(spec: &'a SaSpec, shape: &Shape) -> StateSpec<'a> {
    // The others have no sequence numbers, and with a window xfrm would drop all that comes in.
    let has_window = shape.transform.protects();
    let limit = |lifetime: &Lifetime| Limit {
        bytes: lifetime.bytes,
        packets: lifetime.packets.into(),
        usetime: lifetime.usetime,
    };
    StateSpec {
        transform: shape.transform,
        spi: spec.spi,
        mode: shape.mode,
        src: shape.src,
        dst: shape.dst,
        reqid: shape.reqid,
        if_id: shape.if_id,
        replay: if has_window { spec.replay } else { 0 },
        algorithms: spec.algorithms(),
        key_auth: Key {
            bits: spec.auth_bits,
            bytes: spec.key_auth(),
        },
        key_encrypt: Key {
            bits: spec.encrypt_bits,
            bytes: spec.key_encrypt(),
        },
        encapsulation: is_encapsulated(spec, shape).then(|| Encapsulation {
            kind: spec.natt.kind,
            sport: spec.natt.sport,
            dport: spec.natt.dport,
            original: spec
                .rarities
                .as_ref()
                .and_then(|rare| Some(rare.natt_original?.ip())),
        }),
        soft: limit(&spec.soft),
        hard: limit(&spec.hard),
    }
}
