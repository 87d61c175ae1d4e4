// SPDX-License-Identifier: GPL-2.0

//! What can be asked for, and the messages of it.

use super::list;
use crate::{failure::Failure, json::Ending, rtnetlink::NewLink, system::System};
use klips::{
    klips_core::interface::Interface,
    pfkey::{MsgType, build::request},
};
use pfkey::Content;
use serde::Serialize;
use std::{fmt, net::IpAddr};

/// What an xfrm interface takes at most: the longest packet of IP. That of `lo` is one more.
const MAX_MTU: u32 = 65535;

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Request {
    /// Put an interface above a physical one.
    Attach(Interface, Physical),
    /// Take it away again.
    Detach(Interface),
    /// Do so with all there are.
    Clear,
    /// Make an interface that is above none yet.
    Create(Interface),
    /// Take one away, attached or not.
    Delete(Interface),
}

/// A physical interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Physical {
    pub(super) name: String,
    index: u32,
    mtu: u32,
    addresses: Vec<(IpAddr, u8)>,
}

impl Physical {
    /// The one of this name.
    pub(super) fn find(name: &str, system: &mut impl System) -> Result<Self, Failure> {
        let unreadable = |error| Failure::refused(format!("{name}: {error}"));
        let link = system.link(name).map_err(unreadable)?;
        let Some(link) = link else {
            return Err(Failure::refused(format!(
                "no such physical interface: {name}.  'ip link' lists those that there are."
            )));
        };
        if link.if_id.is_some() || list::interface(name).is_some() {
            return Err(Failure::refused(format!(
                "{name} is no physical interface, but one for IPsec itself."
            )));
        }
        Ok(Physical {
            name: name.to_owned(),
            index: link.index,
            mtu: link.mtu,
            addresses: system.addresses(link.index).map_err(unreadable)?,
        })
    }

    /// The interface that is to be made above it.
    pub(super) fn new_link(&self, interface: Interface) -> NewLink {
        NewLink {
            name: interface.to_string(),
            if_id: interface.if_id(),
            below: self.index,
            mtu: self.mtu.min(MAX_MTU),
            addresses: self.addresses.clone(),
        }
    }
}

impl Request {
    /// What it is, in one word.
    pub(super) const fn action(&self) -> &'static str {
        match self {
            Request::Attach(..) => "attach",
            Request::Detach(_) => "detach",
            Request::Clear => "clear",
            Request::Create(_) => "create",
            Request::Delete(_) => "delete",
        }
    }

    /// The interface that it names.
    pub(super) const fn interface(&self) -> Option<Interface> {
        match self {
            Request::Attach(interface, _)
            | Request::Detach(interface)
            | Request::Create(interface)
            | Request::Delete(interface) => Some(*interface),
            Request::Clear => None,
        }
    }

    /// The physical one that it names.
    pub(super) fn physical(&self) -> Option<&Physical> {
        match self {
            Request::Attach(_, physical) => Some(physical),
            _ => None,
        }
    }
}

/// The message that has an interface be used.
pub(super) fn plumb(interface: Interface) -> Content<'static> {
    about(MsgType::PlumbIf, interface)
}

/// The message that has it not be used any more.
pub(super) fn unplumb(interface: Interface) -> Content<'static> {
    about(MsgType::UnplumbIf, interface)
}

fn about(msg_type: MsgType, interface: Interface) -> Content<'static> {
    Content {
        outif: Some(interface.ifnum()),
        ..Content::new(request(msg_type, 0, 0, 0))
    }
}

/// What is being done, as progress.
impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Request::Attach(interface, physical) => {
                write!(f, "attaching {interface} to {}", physical.name)
            }
            Request::Detach(interface) => write!(f, "detaching {interface}"),
            Request::Clear => f.write_str("detaching all interfaces"),
            Request::Create(interface) => write!(f, "making {interface}"),
            Request::Delete(interface) => write!(f, "deleting {interface}"),
        }
    }
}

/// What `--json` tells of a request.
#[derive(Serialize)]
pub(crate) struct Outcome {
    action: &'static str,
    result: Ending,
    #[serde(skip_serializing_if = "Option::is_none")]
    interface: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    physical: Option<String>,
}

impl Outcome {
    pub(super) fn of(request: &Request, result: Ending) -> Self {
        Outcome {
            action: request.action(),
            result,
            interface: request.interface().map(|interface| interface.to_string()),
            physical: request.physical().map(|physical| physical.name.clone()),
        }
    }
}
