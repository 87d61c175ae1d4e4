// SPDX-License-Identifier: GPL-2.0

//! Messages that are told: how they are written, what they say of SAs, and who gets them.

pub mod about;
mod listeners;

pub use self::listeners::{
    has_read,
    tell,
    Audience,
    Dump,
    Listeners,
    Search,
    SocketId, //
};

#[cfg(not(MODULE))]
pub use self::listeners::{
    Listener,
    OpenError, //
};

use crate::{
    klips_core::pfkey::{
        build::{
            build,
            Builder, //
        },
        Header, //
    },
    memory::{
        OutOfMemory,
        Vector, //
    },
    netns::Host, //
};

/// What became of a message for a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// It is queued there.
    Done,
    /// The socket's filter did not want it.
    Unwanted,
    /// There was no room or no memory for it, which has been counted.
    Lost,
    /// Reading from the socket has been shut down.
    Deaf,
}

/// What a socket waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Awaited {
    /// Any room at all.
    Any,
    /// So much that it is worth while to go on with a DUMP.
    ForDump,
}

/// A message while it is written and told.
pub type Draft = Vector<u8>;

/// Sockets as listeners see them.
pub trait Post {
    /// A reference to an open socket.
    type Socket;

    /// Makes room for a message of `len` bytes.
    fn draft(&self, len: usize) -> Result<Draft, OutOfMemory>;
    /// Queues a message at a socket.
    fn deliver(&self, socket: &Self::Socket, message: &[u8]) -> Delivery;
    /// Has the socket's reader be told, once, that messages have been lost.
    fn tell_loss(&self, socket: &Self::Socket);
    /// Counts messages that the socket has lost without [`Post::deliver`].
    fn add_lost(&self, socket: &Self::Socket, count: u64);
    /// Whether a socket's receive buffer takes nothing more.
    fn is_full(&self, socket: &Self::Socket) -> bool;
    /// Whether it has room for a DUMP and for what others tell meanwhile.
    fn has_room(&self, socket: &Self::Socket) -> bool;
    /// Has [`crate::request::has_read`] called whenever something has been read from a socket and
    /// there is room then; `None` for never. A reader who makes room after this has returned sees it.
    fn await_room(&self, socket: &Self::Socket, awaited: Option<Awaited>);
    /// What `/proc/net/pf_key` tells of a socket.
    fn socket_info(&self, socket: &Self::Socket) -> SocketInfo;
}

/// What `/proc/net/pf_key` tells of a socket.
#[derive(Clone, Copy, Debug, Default)]
pub struct SocketInfo {
    /// Its inode, by which other tools know it.
    pub inode: u64,
    /// The process that opened it.
    pub pid: u32,
    /// Pending error.
    pub err: u32,
    /// Protocol: 2.
    pub protocol: u32,
    /// Size of the send buffer.
    pub sndbuf: u32,
    /// Type: 3, raw.
    pub socket_type: u32,
    /// State: 1, not connected.
    pub state: u32,
    /// Messages lost for want of room.
    pub lost: u32,
}

/// Room that is enough for most messages; the others are written twice.
const USUAL_ROOM: usize = 192;

/// Writes a message with the extensions that `extensions` gives.
pub fn write<H: Host>(
    host: &H,
    header: &Header,
    extensions: impl Fn(&mut Builder<'_>),
) -> Result<Draft, OutOfMemory> {
    let mut draft = host.draft(USUAL_ROOM)?;
    let mut len = build(header, &mut draft, &extensions).ok_or(OutOfMemory)?;
    if len > USUAL_ROOM {
        draft = host.draft(len)?;
        len = build(header, &mut draft, &extensions).ok_or(OutOfMemory)?;
    }
    draft.truncate(len);
    Ok(draft)
}
