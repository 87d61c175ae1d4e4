// SPDX-License-Identifier: GPL-2.0

//! What can be done to the table.

use crate::wire::{self, msg, satype};
use klips::said::{Proto, Said};

/// What can happen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Somebody writes a request.
    Request(Request),
    /// So many seconds pass.
    Wait(u64),
}

/// A request, well formed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// ADD.
    Add(Said, Terms),
    /// GETSPI of just this SPI.
    Reserve(Said),
    /// UPDATE.
    Update(Said, Terms),
    /// DELETE.
    Delete(Said),
    /// X_GRPSA of an inner and an outer SA.
    Pair(Said, Said),
    /// X_GRPSA of two to four SAs at once, inside to outside.
    List(Vec<Said>),
    /// X_GRPSA of one SA.
    Ungroup(Said),
    /// FLUSH, of one type or of all.
    Flush(Option<Proto>),
    /// X_ADDFLOW of an eroute.
    AddEroute {
        /// The SA that its packets go through first, or a magic one.
        said: Said,
        /// Which packets.
        flow: Flow,
        /// Whether it takes the place of the one that there is for them.
        replace: bool,
    },
    /// X_ADDFLOW that says what may come out of the tunnel that an SA is or has inside of it.
    SetInflow(Said, Flow),
    /// X_DELFLOW of one eroute.
    RemoveEroute(Flow),
    /// X_DELFLOW of all.
    ClearEroutes,
}

/// Packets between two networks: each even number is a pair of networks of its own, and the odd one
/// after it the same pair the other way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Flow(pub u8);

impl Flow {
    /// The other way.
    #[must_use]
    pub fn mirrored(self) -> Self {
        Flow(self.0 ^ 1)
    }

    /// Source and destination.
    pub fn ends(self) -> (String, String) {
        let pair = self.0 / 2;
        let (here, there) = match pair % 3 {
            2 => (
                format!("2001:db8:{pair:x}::/48"),
                "2001:db8:ffff::/48".to_owned(),
            ),
            _ => (format!("10.101.{pair}.0/24"), "10.9.0.0/16".to_owned()),
        };
        if self.0 % 2 == 0 {
            (here, there)
        } else {
            (there, here)
        }
    }

    /// The extensions that say so.
    fn exts(self) -> Vec<Vec<u8>> {
        let (src, dst) = self.ends();
        wire::flow((&src, 0), (&dst, 0), 0)
    }
}

/// What ADD and UPDATE say of an SA beside its name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Terms {
    /// Replay window, at most 64. It means nothing here but tells one request from another.
    pub window: u8,
    /// Seconds after which the SA is dying, 0 for never.
    pub soft: u64,
    /// Seconds after which the SA is gone, 0 for never.
    pub hard: u64,
}

/// Where the replay window is in a message whose first extension is an SA.
const WINDOW: usize = 16 + 8;

impl Request {
    /// The same about other flows, `first` being even: those from 0 on are then those from `first` on.
    #[must_use]
    pub fn with_flows_from(mut self, first: u8) -> Self {
        match &mut self {
            Request::AddEroute { flow, .. }
            | Request::SetInflow(_, flow)
            | Request::RemoveEroute(flow) => flow.0 += first,
            _ => (),
        }
        self
    }

    /// Type of the message.
    pub fn msg_type(&self) -> u8 {
        match self {
            Request::Add(..) => msg::ADD,
            Request::Reserve(_) => msg::GETSPI,
            Request::Update(..) => msg::UPDATE,
            Request::Delete(_) => msg::DELETE,
            Request::Pair(..) | Request::List(_) | Request::Ungroup(_) => msg::GRPSA,
            Request::Flush(_) => msg::FLUSH,
            Request::AddEroute { .. } | Request::SetInflow(..) => msg::ADDFLOW,
            Request::RemoveEroute(_) | Request::ClearEroutes => msg::DELFLOW,
        }
    }

    /// The SA that it names first.
    pub fn about(&self) -> Option<Said> {
        match self {
            Request::Add(said, _)
            | Request::Reserve(said)
            | Request::Update(said, _)
            | Request::Delete(said)
            | Request::Pair(said, _)
            | Request::Ungroup(said)
            | Request::AddEroute { said, .. }
            | Request::SetInflow(said, _) => Some(*said),
            Request::List(list) => Some(list[0]),
            Request::Flush(_) | Request::RemoveEroute(_) | Request::ClearEroutes => None,
        }
    }

    /// The message.
    pub fn bytes(&self) -> Vec<u8> {
        match self {
            Request::Add(said, terms) | Request::Update(said, terms) => {
                let mut bytes = wire::limited(self.msg_type(), *said, terms.soft, terms.hard);
                bytes[WINDOW] = terms.window;
                wire::from_source(bytes, &wire::source_of(said.dst).to_string())
            }
            Request::Reserve(said) => wire::reserve(*said),
            Request::Delete(said) => wire::delete(*said),
            Request::Pair(inner, outer) => wire::pair(*inner, *outer),
            Request::List(list) => wire::list(list),
            Request::Ungroup(said) => wire::ungroup(*said),
            Request::Flush(proto) => wire::flush(proto.map_or(0, satype)),
            Request::AddEroute {
                said,
                flow,
                replace,
            } => {
                let flags = if *replace { wire::flag::REPLACE } else { 0 };
                wire::add_flow(*said, flags, &flow.exts())
            }
            Request::SetInflow(said, flow) => wire::add_flow(*said, wire::flag::IN, &flow.exts()),
            Request::RemoveEroute(flow) => wire::del_flow(&flow.exts()),
            Request::ClearEroutes => wire::clear_flows(),
        }
    }
}
