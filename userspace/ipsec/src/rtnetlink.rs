// SPDX-License-Identifier: GPL-2.0

//! What is asked of the kernel about network interfaces (rtnetlink(7)): one request at a time, and
//! its answer is waited for.

use netlink_packet_core::{
    NLM_F_ACK, NLM_F_CREATE, NLM_F_DUMP, NLM_F_EXCL, NLM_F_REQUEST, NetlinkHeader, NetlinkMessage,
    NetlinkPayload,
};
use netlink_packet_route::{
    AddressFamily, RouteNetlinkMessage,
    address::{AddressAttribute, AddressFlags, AddressMessage, AddressScope},
    link::{InfoData, InfoKind, InfoXfrm, LinkAttribute, LinkFlags, LinkInfo, LinkMessage},
    route::{RouteAttribute, RouteMessage},
};
use rustix::{
    fd::OwnedFd,
    net::{self, RecvFlags, SendFlags, SocketFlags, SocketType},
};
use std::{io, net::IpAddr};

/// A network interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// What the kernel knows it by.
    pub index: u32,
    /// The longest packet that it takes.
    pub mtu: u32,
    /// The `if_id`, if it is an xfrm interface.
    pub if_id: Option<u32>,
    /// The interface below it, if there is one; 0 for none.
    pub below: u32,
}

/// An xfrm interface to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewLink {
    /// Its name.
    pub name: String,
    /// Its `if_id`.
    pub if_id: u32,
    /// The interface below it; 0 for none.
    pub below: u32,
    /// The longest packet that it takes.
    pub mtu: u32,
    /// Addresses, and the lengths of their networks.
    pub addresses: Vec<(IpAddr, u8)>,
}

type Message = NetlinkMessage<RouteNetlinkMessage>;

/// Sends a request, and reads all of its answer.
fn ask(request: RouteNetlinkMessage, flags: u16) -> io::Result<Vec<RouteNetlinkMessage>> {
    let socket = net::socket_with(
        net::AddressFamily::NETLINK,
        SocketType::RAW,
        SocketFlags::CLOEXEC,
        // NETLINK_ROUTE is 0.
        None,
    )?;
    let mut header = NetlinkHeader::default();
    header.flags = NLM_F_REQUEST | flags;
    header.sequence_number = 1;
    let mut message = Message::new(header, NetlinkPayload::from(request));
    message.finalize();
    let mut bytes = vec![0; message.buffer_len()];
    message.serialize(&mut bytes);
    net::send(&socket, &bytes, SendFlags::empty())?;
    let mut answers = Vec::new();
    while read(&socket, flags, &mut answers)? {}
    Ok(answers)
}

/// Reads a part of an answer. Whether there is more to come.
fn read(socket: &OwnedFd, flags: u16, answers: &mut Vec<RouteNetlinkMessage>) -> io::Result<bool> {
    let mut buffer = vec![0; 1 << 16];
    let (_, len) = net::recv(socket, &mut buffer[..], RecvFlags::TRUNC)?;
    let mut rest = buffer
        .get(..len)
        .ok_or_else(|| io::Error::other("an answer of rtnetlink is too long"))?;
    while !rest.is_empty() {
        let message = Message::deserialize(rest).map_err(io::Error::other)?;
        // Each begins at a multiple of four bytes.
        let len = (message.header.length as usize).next_multiple_of(4);
        rest = rest.get(len..).unwrap_or_default();
        match message.payload {
            NetlinkPayload::Error(error) => {
                return match error.code {
                    Some(_) => Err(error.to_io()),
                    None => Ok(false),
                };
            }
            NetlinkPayload::Done(_) => return Ok(false),
            NetlinkPayload::InnerMessage(answer) => answers.push(answer),
            _ => (),
        }
    }
    // Without NLM_F_DUMP and NLM_F_ACK an answer is one message.
    Ok(flags & (NLM_F_DUMP | NLM_F_ACK) != 0)
}

/// What is known of an interface; `None` if there is none of this name.
pub(crate) fn link(name: &str) -> io::Result<Option<Link>> {
    let mut request = LinkMessage::default();
    request
        .attributes
        .push(LinkAttribute::IfName(name.to_owned()));
    let answers = match ask(RouteNetlinkMessage::GetLink(request), 0) {
        Err(error) if error.raw_os_error() == Some(rustix::io::Errno::NODEV.raw_os_error()) => {
            return Ok(None);
        }
        answers => answers?,
    };
    let found = answers.into_iter().find_map(|answer| match answer {
        RouteNetlinkMessage::NewLink(link) => Some(known(&link)),
        _ => None,
    });
    Ok(found)
}

fn known(message: &LinkMessage) -> Link {
    let mut link = Link {
        index: message.header.index,
        mtu: 0,
        if_id: None,
        below: 0,
    };
    for attribute in &message.attributes {
        match attribute {
            LinkAttribute::Mtu(mtu) => link.mtu = *mtu,
            LinkAttribute::LinkInfo(infos) => {
                for info in infos {
                    let LinkInfo::Data(InfoData::Xfrm(data)) = info else {
                        continue;
                    };
                    for item in data {
                        match item {
                            InfoXfrm::IfId(if_id) => link.if_id = Some(*if_id),
                            InfoXfrm::Link(below) => link.below = *below,
                            _ => (),
                        }
                    }
                }
            }
            _ => (),
        }
    }
    link
}

/// The addresses of an interface that others can reach, and the lengths of their networks.
pub(crate) fn addresses(index: u32) -> io::Result<Vec<(IpAddr, u8)>> {
    let request = RouteNetlinkMessage::GetAddress(AddressMessage::default());
    let mut addresses = Vec::new();
    for answer in ask(request, NLM_F_DUMP)? {
        let RouteNetlinkMessage::NewAddress(message) = answer else {
            continue;
        };
        let header = &message.header;
        if header.index != index || header.scope != AddressScope::Universe {
            continue;
        }
        let find = |is_local: bool| {
            message.attributes.iter().find_map(|it| match it {
                AddressAttribute::Local(ip) if is_local => Some(*ip),
                AddressAttribute::Address(ip) if !is_local => Some(*ip),
                _ => None,
            })
        };
        // Where there are both, the other is that of the far end.
        if let Some(ip) = find(true).or_else(|| find(false)) {
            addresses.push((ip, header.prefix_len));
        }
    }
    Ok(addresses)
}

/// The interface that packets to an address are routed to, those from an address of this host's own
/// if it is given.
pub(crate) fn route(src: Option<IpAddr>, dst: IpAddr) -> io::Result<u32> {
    let mut request = RouteMessage::default();
    let (family, bits) = match dst {
        IpAddr::V4(_) => (AddressFamily::Inet, 32),
        IpAddr::V6(_) => (AddressFamily::Inet6, 128),
    };
    request.header.address_family = family;
    request.header.destination_prefix_length = bits;
    request.attributes = vec![RouteAttribute::Destination(dst.into())];
    if let Some(src) = src {
        request.header.source_prefix_length = bits;
        request.attributes.push(RouteAttribute::Source(src.into()));
    }
    let answers = ask(RouteNetlinkMessage::GetRoute(request), 0)?;
    let found = answers.into_iter().find_map(|answer| match answer {
        RouteNetlinkMessage::NewRoute(route) => {
            route.attributes.into_iter().find_map(|it| match it {
                RouteAttribute::Oif(index) => Some(index),
                _ => None,
            })
        }
        _ => None,
    });
    found.ok_or_else(|| io::ErrorKind::NotFound.into())
}

/// Makes an xfrm interface, gives it its addresses, and sets it up.
pub(crate) fn make(new: &NewLink) -> io::Result<()> {
    let mut data = vec![InfoXfrm::IfId(new.if_id)];
    if new.below != 0 {
        data.push(InfoXfrm::Link(new.below));
    }
    let mut request = LinkMessage::default();
    request.header.flags = LinkFlags::Up;
    request.header.change_mask = LinkFlags::Up;
    request.attributes = vec![
        LinkAttribute::IfName(new.name.clone()),
        LinkAttribute::Mtu(new.mtu),
        LinkAttribute::LinkInfo(vec![
            LinkInfo::Kind(InfoKind::Xfrm),
            LinkInfo::Data(InfoData::Xfrm(data)),
        ]),
    ];
    let create = NLM_F_CREATE | NLM_F_EXCL | NLM_F_ACK;
    ask(RouteNetlinkMessage::NewLink(request), create)?;
    let index = link(&new.name)?
        .ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))?
        .index;
    for &(ip, prefix) in &new.addresses {
        if let Err(error) = add_address(index, ip, prefix) {
            // It may have gone meanwhile.
            let _ = remove(index);
            return Err(error);
        }
    }
    Ok(())
}

/// Gives an interface an address, and no route with it.
fn add_address(index: u32, ip: IpAddr, prefix: u8) -> io::Result<()> {
    let mut request = AddressMessage::default();
    request.header.family = match ip {
        IpAddr::V4(_) => AddressFamily::Inet,
        IpAddr::V6(_) => AddressFamily::Inet6,
    };
    request.header.prefix_len = prefix;
    request.header.index = index;
    request.attributes = vec![
        AddressAttribute::Local(ip),
        AddressAttribute::Address(ip),
        AddressAttribute::Flags(AddressFlags::Noprefixroute | AddressFlags::Nodad),
    ];
    let create = NLM_F_CREATE | NLM_F_EXCL | NLM_F_ACK;
    ask(RouteNetlinkMessage::NewAddress(request), create).map(drop)
}

/// Removes an interface.
pub(crate) fn remove(index: u32) -> io::Result<()> {
    let mut request = LinkMessage::default();
    request.header.index = index;
    ask(RouteNetlinkMessage::DelLink(request), NLM_F_ACK).map(drop)
}
