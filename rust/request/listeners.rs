// SPDX-License-Identifier: GPL-2.0

//! The open sockets of a namespace, and which of them are told what (reference 3.4).

use super::Host;
use crate::memory::{
    self,
    OutOfMemory,
    Vector, //
};

/// Who is told of something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Audience<S> {
    /// Every open socket.
    All,
    /// One socket.
    Only(S),
}

/// The open sockets, oldest first.
pub struct Listeners<S> {
    sockets: Vector<S>,
}

impl<S: Copy + PartialEq> Listeners<S> {
    /// No sockets; allocates nothing.
    pub const fn new() -> Self {
        Listeners {
            sockets: Vector::new(),
        }
    }

    /// A socket was opened.
    pub fn open(&mut self, socket: S) -> Result<(), OutOfMemory> {
        memory::push(&mut self.sockets, socket)
    }

    /// A socket is being closed. Afterwards nothing is delivered to it.
    pub fn close(&mut self, socket: S) {
        self.sockets.retain(|open| *open != socket);
    }

    /// Delivers a message to its audience, newest socket first.
    pub fn send<H>(&self, host: &H, message: &H::Draft, audience: Audience<S>)
    where
        H: Host<Socket = S>,
    {
        match audience {
            Audience::All => {
                for socket in self.sockets.iter().rev() {
                    host.deliver(*socket, message);
                }
            }
            Audience::Only(socket) => host.deliver(socket, message),
        }
    }
}

impl<S: Copy + PartialEq> Default for Listeners<S> {
    fn default() -> Self {
        Self::new()
    }
}
