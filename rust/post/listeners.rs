// SPDX-License-Identifier: GPL-2.0

//! The open sockets of a namespace, and which of them are told what (reference 3.4).

use super::write;
use crate::{
    klips_core::pfkey::{
        build::request,
        types::SATYPE_MAX,
        Header,
        MsgType,
        SaType, //
    },
    memory::{
        self,
        OutOfMemory,
        Vector, //
    },
    netns::Host,
    sadb::Age, //
};

/// Who is told of something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Audience<S> {
    /// Every open socket.
    All,
    /// One socket.
    Only(S),
    /// The sockets that have registered for an SA type.
    Registered(u8),
}

/// An open socket.
pub struct Listener<H: Host> {
    /// The socket.
    pub socket: H::Socket,
    /// Its number in the order of opening.
    pub number: u64,
    /// The SA types that it has registered for, a bit each.
    registered: u16,
    /// Whether it wants a copy of what others are told.
    promiscuous: bool,
    /// The DUMP that it is reading.
    pub(crate) dump: Option<Dump<H>>,
}

impl<H: Host> Listener<H> {
    /// Whether it has registered for an SA type.
    pub fn is_registered(&self, satype: u8) -> bool {
        satype <= SATYPE_MAX && self.registered & (1 << satype) != 0
    }
}

/// A DUMP that is being read.
///
/// It always holds a message back, until it is known whether that is the last: so there is a last
/// one, whatever is removed meanwhile.
pub struct Dump<H: Host> {
    pub(crate) search: Search,
    /// Messages sent.
    pub(crate) seq: u32,
    pub(crate) held: H::Draft,
}

/// Which SAs are still to be told.
pub struct Search {
    pub(crate) header: Header,
    pub(crate) satype: Option<SaType>,
    /// Where to go on, and where to end: with the SAs that were there when it was asked for.
    pub(crate) next: Age,
    pub(crate) end: Age,
}

/// The open sockets, oldest first.
pub struct Listeners<H: Host> {
    sockets: Vector<Listener<H>>,
    /// How many have been opened.
    opened: u64,
}

impl<H: Host> Listeners<H> {
    /// No sockets; allocates nothing.
    pub const fn new() -> Self {
        Listeners {
            sockets: Vector::new(),
            opened: 0,
        }
    }

    /// A socket was opened.
    pub fn open(&mut self, socket: H::Socket) -> Result<(), OutOfMemory> {
        let listener = Listener {
            socket,
            number: self.opened,
            registered: 0,
            promiscuous: false,
            dump: None,
        };
        memory::push(&mut self.sockets, listener)?;
        self.opened += 1;
        Ok(())
    }

    /// A socket is being closed. Afterwards nothing is delivered to it.
    pub fn close(&mut self, socket: H::Socket) {
        self.sockets.retain(|listener| listener.socket != socket);
    }

    /// How many sockets have been opened, which is the number of the next one.
    pub fn opened(&self) -> u64 {
        self.opened
    }

    /// The open sockets, newest first.
    pub fn iter(&self) -> impl Iterator<Item = &Listener<H>> {
        self.sockets.iter().rev()
    }

    /// The socket with this number or, failing that, the first that was opened after it.
    pub fn from_number(&self, number: u64) -> Option<&Listener<H>> {
        let index = self
            .sockets
            .partition_point(|listener| listener.number < number);
        self.sockets.get(index)
    }

    /// What is known of a socket.
    pub(crate) fn get_mut(&mut self, socket: H::Socket) -> Option<&mut Listener<H>> {
        self.sockets
            .iter_mut()
            .find(|listener| listener.socket == socket)
    }

    /// A socket registers for an SA type; to do so twice is to do it once.
    pub(crate) fn register(&mut self, socket: H::Socket, satype: u8) {
        if let Some(listener) = self.get_mut(socket) {
            listener.registered |= 1 << satype;
        }
    }

    /// A socket becomes promiscuous, or ceases to be.
    pub(crate) fn set_promiscuous(&mut self, socket: H::Socket, promiscuous: bool) {
        if let Some(listener) = self.get_mut(socket) {
            listener.promiscuous = promiscuous;
        }
    }

    /// Whether any socket has registered for an SA type.
    pub(crate) fn any_registered(&self, satype: u8) -> bool {
        self.iter().any(|listener| listener.is_registered(satype))
    }

    /// Delivers a message to its audience, newest socket first, and a wrapped copy to the
    /// promiscuous sockets that are not of it.
    pub fn send(&self, host: &H, message: H::Draft, audience: Audience<H::Socket>) {
        let mut wrapped = None;
        let mut last = None;
        for listener in self.iter() {
            let addressed = match audience {
                Audience::All => true,
                Audience::Only(socket) => listener.socket == socket,
                Audience::Registered(satype) => listener.is_registered(satype),
            };
            if addressed {
                // One behind, for the last one gets the message itself.
                if let Some(socket) = last.replace(listener.socket) {
                    host.deliver(socket, &message);
                }
            } else if listener.promiscuous {
                match wrapped.get_or_insert_with(|| wrap(host, &message)) {
                    Ok(copy) => host.deliver(listener.socket, copy),
                    Err(OutOfMemory) => host.lost(listener.socket),
                }
            }
        }
        if let Some(socket) = last {
            host.deliver_last(socket, message);
        }
    }
}

impl<H: Host> Default for Listeners<H> {
    fn default() -> Self {
        Self::new()
    }
}

/// A message behind the header of an X_PROMISC (RFC 2367 section 3.1.11).
fn wrap<H: Host>(host: &H, message: &[u8]) -> Result<H::Draft, OutOfMemory> {
    let header = request(MsgType::Promisc, 0, 0, 0);
    write(host, &header, |out| out.bytes(message))
}
