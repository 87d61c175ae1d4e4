// SPDX-License-Identifier: GPL-2.0

//! What the kernel's packet engine, xfrm, is asked for: states and policies as plain values. The
//! numbers are those of `<linux/xfrm.h>`.

use super::{
    fold::{
        Mode,
        Transform,
        MAX_STATES, //
    },
    interface::NO_INTERFACE,
    said::Proto,
    selector::Selector, //
};
use core::net::IpAddr;

/// The algorithms of an SA, by KLIPS's numbers, which are mainline's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Algorithms {
    /// Protocol of the SA.
    pub proto: Proto,
    /// Authentication algorithm (`SADB_AALG_…`), 0 for none.
    pub auth: u8,
    /// Encryption or compression algorithm (`SADB_EALG_…`, `SADB_X_CALG_…`), 0 for none.
    pub encrypt: u8,
}

/// A key, borrowed from the SA.
#[derive(Clone, Copy, Default)]
pub struct Key<'a> {
    /// Length in bits.
    pub bits: u16,
    /// As many bytes as the bits need.
    pub bytes: &'a [u8],
}

/// UDP encapsulation (RFC 3948).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Encapsulation {
    /// 1 non-IKE marker, 2 non-ESP marker (`UDP_ENCAP_ESPINUDP`).
    pub kind: u8,
    /// Source port, in host order.
    pub sport: u16,
    /// Destination port, in host order.
    pub dport: u16,
    /// Original address, if it was told.
    pub original: Option<IpAddr>,
}

/// Limits of what a state may be used for; 0 is none. One is passed when more was used than it
/// says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limit {
    /// Bytes.
    pub bytes: u64,
    /// Packets.
    pub packets: u64,
    /// Seconds since the first packet.
    pub usetime: u64,
}

/// A state: `struct xfrm_state`.
#[derive(Clone, Copy)]
pub struct StateSpec<'a> {
    /// Protocol.
    pub transform: Transform,
    /// SPI.
    pub spi: u32,
    /// Mode.
    pub mode: Mode,
    /// Source, which may be unspecified in transport mode.
    pub src: IpAddr,
    /// Destination, of the same family.
    pub dst: IpAddr,
    /// By which templates name it.
    pub reqid: u32,
    /// Of which interface's packets it is.
    pub if_id: u32,
    /// Replay window in packets, 0 for none.
    pub replay: u8,
    /// Its algorithms.
    pub algorithms: Algorithms,
    /// Authentication key.
    pub key_auth: Key<'a>,
    /// Encryption key.
    pub key_encrypt: Key<'a>,
    /// UDP encapsulation, if there is any.
    pub encapsulation: Option<Encapsulation>,
    /// Limits after which a successor is asked for.
    pub soft: Limit,
    /// Limits after which it is gone.
    pub hard: Limit,
}

/// Which packets a policy looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Direction {
    /// Those that come in for this host: `XFRM_POLICY_IN`.
    In = 0,
    /// Those that leave: `XFRM_POLICY_OUT`.
    Out = 1,
    /// Those that come in for others: `XFRM_POLICY_FWD`.
    Forward = 2,
}

/// What a policy does with its packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Action {
    /// Lets those through that have gone through its templates, or puts them through:
    /// `XFRM_POLICY_ALLOW`.
    Allow = 0,
    /// Drops them: `XFRM_POLICY_BLOCK`.
    Block = 1,
}

/// A state that a policy asks for: `struct xfrm_tmpl`. Any SPI will do; the reqid tells which.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Template {
    /// Protocol.
    pub transform: Transform,
    /// Mode.
    pub mode: Mode,
    /// Reqid.
    pub reqid: u32,
    /// Source; the unspecified address stands for any.
    pub src: IpAddr,
    /// Destination; likewise.
    pub dst: IpAddr,
    /// Whether a packet may do without (`level use`).
    pub optional: bool,
    /// Whether it is for states with algorithms only, and not for the one that xfrm makes beside that of
    /// an IPComp tunnel, which takes bare IP-in-IP.
    pub strict: bool,
}

/// The templates of a policy, inner to outer, and where the states are that they ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Templates {
    templates: [Option<Template>; MAX_STATES],
    len: usize,
    if_id: u32,
}

impl Templates {
    /// No templates.
    pub const NONE: Self = Self::of_interface(NO_INTERFACE);

    /// No templates yet, for states with this `if_id`.
    pub const fn of_interface(if_id: u32) -> Self {
        Templates {
            templates: [None; MAX_STATES],
            len: 0,
            if_id,
        }
    }

    /// The `if_id` of the states.
    pub const fn if_id(&self) -> u32 {
        self.if_id
    }

    /// Appends one outside of the others, if there is room.
    pub fn push(&mut self, template: Template) -> Option<()> {
        *self.templates.get_mut(self.len)? = Some(template);
        self.len += 1;
        Some(())
    }

    /// The templates, inner to outer.
    pub fn iter(&self) -> impl Iterator<Item = &Template> + '_ {
        self.templates.iter().flatten()
    }

    /// How many there are.
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    #[cfg(not(MODULE))]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }
}

impl Default for Templates {
    fn default() -> Self {
        Self::NONE
    }
}

/// A policy: `struct xfrm_policy`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PolicySpec {
    /// Which packets it looks at.
    pub direction: Direction,
    /// Of which interface's packets it is; those of no interface are all that leave or come in
    /// otherwise.
    pub if_id: u32,
    /// Which of them it is for.
    pub selector: Selector,
    /// Whether it is for those of them only that have no ports, as fragments in xfrm: the number of the
    /// eroute or inflow that has it. Others may have some for the same packets.
    pub fragments_of: Option<u64>,
    /// Its rank; the lowest number wins.
    pub priority: u32,
    /// What it does with them at first.
    pub action: Action,
    /// What it asks for if it lets them through.
    pub templates: Templates,
}

/// Whether a state can be used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Health {
    /// It can.
    #[default]
    Alive,
    /// It can, and a soft limit is passed.
    Dying,
    /// A hard limit is passed, or somebody has taken it out.
    Dead,
}

/// What a state has been used for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Bytes.
    pub bytes: u64,
    /// Packets.
    pub packets: u64,
    /// When it was first used, in seconds since the epoch; 0 for never.
    pub use_time: u64,
    /// When it was last used, likewise.
    pub last_used: u64,
    /// Last sequence number: sent, or highest that came in.
    pub sequence: u32,
    /// Window of those that came in, the lowest bit being the highest number.
    pub window: u64,
    /// Whether it can be used still.
    pub health: Health,
}
