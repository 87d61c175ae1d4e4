// SPDX-License-Identifier: GPL-2.0

//! A Security Association: all that ADD says of it, and its place in group and table.

use super::Age;
use crate::{
    klips_core::{
        group::Neighbours,
        pfkey::{
            types::SAFLAG_PFS,
            Lifetime,
            LifetimeForm,
            SaState, //
        },
        said::{
            Proto,
            Said, //
        },
        xfrm::{
            Algorithms,
            Usage, //
        }, //
    },
    memory::{
        self,
        Boxed,
        OutOfMemory,
        Secret, //
    }, //
};
use core::{
    net::SocketAddr,
    num::NonZeroU64, //
};

/// An identity, as `sadb_ident` has it.
pub struct SaIdent {
    /// 1 prefix, 2 FQDN, 3 user FQDN, 4 connection.
    pub kind: u16,
    /// Numeric identity.
    pub id: u64,
    /// Text, with its terminating zeros; `None` where there is none.
    pub text: Option<Secret>,
}

/// What is told of NAT traversal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NatT {
    /// 0 none, 1 non-IKE marker, 2 non-ESP marker.
    pub kind: u8,
    /// Source port, in host order.
    pub sport: u16,
    /// Destination port, in host order.
    pub dport: u16,
}

/// What few SAs have.
#[derive(Default)]
pub struct Rarities {
    /// Proxy.
    pub proxy: Option<SocketAddr>,
    /// Original address behind NAT.
    pub natt_original: Option<SocketAddr>,
    /// Identity of the source.
    pub ident_src: Option<SaIdent>,
    /// Identity of the destination.
    pub ident_dst: Option<SaIdent>,
}

/// What an SA is, apart from its place among others: what its maker asked for, its state, and when it
/// was made.
pub struct SaSpec {
    /// Protocol.
    pub proto: Proto,
    /// SPI.
    pub spi: u32,
    /// Destination with its port.
    pub dst: SocketAddr,
    /// Source.
    pub src: SocketAddr,
    /// State.
    pub state: SaState,
    /// Replay window in packets.
    pub replay: u8,
    /// Authentication algorithm.
    pub auth: u8,
    /// Encryption or compression algorithm.
    pub encrypt: u8,
    /// Flags as given.
    pub flags: u32,
    /// Whether the destination was an address of this host when the SA was made; see
    /// [`SaSpec::is_shown_inbound`].
    pub inbound: bool,
    /// What ends the SA.
    pub hard: Lifetime,
    /// What asks for a successor.
    pub soft: Lifetime,
    /// The form in which the SA's maker writes lifetimes, and so reads them.
    pub lifetime_form: LifetimeForm,
    /// Length of the authentication key in bits, 0 without one.
    pub auth_bits: u16,
    /// Length of the encryption key in bits, 0 without one.
    pub encrypt_bits: u16,
    /// Both keys, first that for authentication.
    pub keys: Option<Secret>,
    /// NAT traversal.
    pub natt: NatT,
    /// The rest, if there is any.
    pub rarities: Option<Boxed<Rarities>>,
    /// Connections that the SA was made for, as LIFETIME_CURRENT tells it.
    pub allocations: u32,
    /// When the SA was made.
    pub added: Moment,
}

/// How long an SPI that GETSPI has reserved waits for its UPDATE, in seconds; the same as mainline.
pub const LARVAL_SECONDS: u64 = 30;

impl SaSpec {
    /// Whether the SA is shown as an inbound one: the bit by which KLIPS marked these means perfect
    /// forward secrecy in a request.
    pub const fn is_shown_inbound(&self) -> bool {
        self.inbound || self.flags & SAFLAG_PFS != 0
    }

    /// A mature SA of which nothing is known but its name and where it comes from.
    pub fn new(proto: Proto, spi: u32, src: SocketAddr, dst: SocketAddr) -> Self {
        SaSpec {
            proto,
            spi,
            dst,
            src,
            state: SaState::Mature,
            replay: 0,
            auth: 0,
            encrypt: 0,
            flags: 0,
            inbound: false,
            hard: Lifetime::default(),
            soft: Lifetime::default(),
            lifetime_form: LifetimeForm::default(),
            auth_bits: 0,
            encrypt_bits: 0,
            keys: None,
            natt: NatT::default(),
            rarities: None,
            allocations: 1,
            added: Moment::default(),
        }
    }

    /// Name of the SA.
    pub fn said(&self) -> Said {
        Said {
            dst: self.dst.ip(),
            spi: self.spi,
            proto: self.proto,
        }
    }

    /// Whether this is its name.
    pub fn is_named(&self, said: &Said) -> bool {
        self.spi == said.spi && self.proto == said.proto && self.dst.ip() == said.dst
    }

    /// The authentication key, which may be empty.
    pub fn key_auth(&self) -> &[u8] {
        self.split_keys().0
    }

    /// The encryption key, which may be empty.
    pub fn key_encrypt(&self) -> &[u8] {
        self.split_keys().1
    }

    /// Its algorithms.
    pub fn algorithms(&self) -> Algorithms {
        Algorithms {
            proto: self.proto,
            auth: self.auth,
            encrypt: self.encrypt,
        }
    }

    /// Whether it transforms packets as another does: with the same algorithms and keys.
    pub fn has_keys_of(&self, other: &SaSpec) -> bool {
        self.algorithms() == other.algorithms() && self.split_keys() == other.split_keys()
    }

    fn split_keys(&self) -> (&[u8], &[u8]) {
        let keys = self.keys.as_ref().map_or(&[][..], Secret::as_slice);
        let auth = usize::from(self.auth_bits.div_ceil(8));
        keys.split_at(auth.min(keys.len()))
    }

    /// The second since boot in which the next of its limits is passed, or `None` if none ever is.
    ///
    /// A limit is passed when more seconds have gone by than it says, as in KLIPS.
    pub fn deadline(&self) -> Option<u64> {
        self.deadline_of(self.state)
    }

    /// The same, were it in this state.
    pub(super) fn deadline_of(&self, state: SaState) -> Option<u64> {
        let set = |limit: u64| (limit != 0).then_some(limit);
        let limit = match state {
            SaState::Larval => Some(LARVAL_SECONDS),
            SaState::Mature => set(self.soft.addtime)
                .into_iter()
                .chain(set(self.hard.addtime))
                .min(),
            SaState::Dying | SaState::Dead => set(self.hard.addtime),
        };
        self.added.boot.checked_add(limit?)?.checked_add(1)
    }

    /// Whether what ends it has come to pass.
    pub fn is_over(&self, now: Moment) -> bool {
        let limit = match self.state {
            SaState::Larval => LARVAL_SECONDS,
            _ => self.hard.addtime,
        };
        limit != 0 && now.boot.saturating_sub(self.added.boot) > limit
    }
}

/// A point in time, on two clocks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Moment {
    /// Seconds since the epoch, which messages carry.
    pub real: u64,
    /// Seconds since boot, which can't be set back.
    pub boot: u64,
}

/// An SA in the table, or one that is to be added to it.
///
/// Belongs to the [`Sadb`](super::Sadb) that it is in and is protected by the lock around that.
pub struct Sa {
    /// What it is.
    pub spec: SaSpec,
    /// When it was inserted, relative to the others; its handle.
    pub(super) age: Age,
    /// Its neighbours in the group.
    pub(super) neighbours: Neighbours<Age>,
    /// Next SA of the same hash bucket.
    pub(super) hnext: Option<Age>,
    /// The second in which it is to be looked at.
    pub(super) due: Option<NonZeroU64>,
    /// Neighbours among the SAs of that second.
    pub(super) due_before: Option<Age>,
    pub(super) due_after: Option<Age>,
}

impl Sa {
    /// Makes an SA where it is going to stay. Its age means nothing until
    /// [`Sadb::prepare`](super::Sadb::prepare) has set it.
    pub fn boxed(spec: impl FnOnce() -> SaSpec) -> Result<Boxed<Self>, OutOfMemory> {
        memory::boxed(|| Sa {
            spec: spec(),
            age: Age::FIRST,
            neighbours: Neighbours::NONE,
            hnext: None,
            due: None,
            due_before: None,
            due_after: None,
        })
    }

    /// Its number in the order of insertion.
    pub fn age(&self) -> Age {
        self.age
    }

    /// Neighbour in the group towards the inside.
    pub fn inext(&self) -> Option<Age> {
        self.neighbours.inext
    }

    /// Neighbour in the group towards the outside.
    pub fn onext(&self) -> Option<Age> {
        self.neighbours.onext
    }

    /// What it has used up, as LIFETIME_CURRENT tells it (RFC 2367 section 2.3.2): `addtime` is
    /// when it was made, `usetime` when it was first used.
    pub fn current(&self, usage: &Usage) -> Lifetime {
        Lifetime {
            allocations: self.spec.allocations,
            packets: u32::try_from(usage.packets).unwrap_or(u32::MAX),
            bytes: usage.bytes,
            addtime: self.spec.added.real,
            usetime: usage.use_time,
        }
    }
}
