// SPDX-License-Identifier: GPL-2.0

//! A network namespace as the rest of the module sees it: its [`State`], behind one lock, what the
//! kernel gives, behind [`Host`], so that all of this runs in tests on the host as well, and why
//! the kernel says no, a [`Refusal`].

use crate::{
    klips_core::{
        errno::Errno,
        group::{
            LinkError,
            ListError,
            ListReason, //
        },
        pfkey::{
            algorithm::AlgorithmError,
            debug::{
                Masks,
                Part, //
            },
            Fault, //
        }, //
    },
    memory::OutOfMemory,
    post::Listeners,
    sadb::{
        AddError,
        HashKey,
        Moment,
        Sadb, //
    }, //
};
use core::{
    fmt,
    mem::size_of,
    net::IpAddr,
    ops::DerefMut, //
};

/// What is shared by all sockets of a network namespace, under one lock.
pub struct State<H: Host> {
    /// The SAs.
    pub sadb: Sadb,
    /// The open sockets.
    pub listeners: Listeners<H>,
    /// What is logged.
    pub debug: Masks,
    /// Sequence number of the last message that the kernel sent of its own accord.
    pub(crate) seq: u32,
}

impl<H: Host> State<H> {
    /// Without SAs and sockets; allocates nothing.
    pub const fn new(hash_key: HashKey) -> Self {
        State {
            sadb: Sadb::new(hash_key),
            listeners: Listeners::new(),
            debug: Masks::NONE,
            seq: 0,
        }
    }

    /// Logs a line if the mask of its part is on.
    pub(crate) fn trace(&self, host: &H, part: Part, line: fmt::Arguments<'_>) {
        if self.debug.of(part) != 0 {
            host.log(line);
        }
    }
}

/// What a request needs of the world around it.
pub trait Host: Sized {
    /// An open socket.
    type Socket: Copy + PartialEq;
    /// A message while it is written and delivered.
    type Draft: DerefMut<Target = [u8]>;
    /// The state, locked.
    type Guard<'a>: DerefMut<Target = State<Self>>
    where
        Self: 'a;

    /// Locks the state of the namespace.
    fn lock(&self) -> Self::Guard<'_>;
    /// Makes room for a message of `len` bytes.
    fn draft(&self, len: usize) -> Result<Self::Draft, OutOfMemory>;
    /// Leaves only the first `len` bytes of a message that has not been delivered.
    fn shorten(&self, draft: &mut Self::Draft, len: usize);
    /// Queues a message at a socket. If that can't be done, the socket has lost a message and will
    /// be told so; nobody else is concerned.
    fn deliver(&self, socket: Self::Socket, message: &Self::Draft);
    /// The same for the last socket that gets the message, which needs no copy of its own.
    fn deliver_last(&self, socket: Self::Socket, message: Self::Draft) {
        self.deliver(socket, &message);
    }
    /// Notes that a socket has lost a message, which it will be told.
    fn lost(&self, socket: Self::Socket);
    /// Whether a socket's receive buffer has room for some messages more.
    fn has_room(&self, socket: Self::Socket) -> bool;
    /// Whether [`go_on_dumping`] has to be called when something is read from a socket.
    fn set_dumping(&self, socket: Self::Socket, dumping: bool);
    /// Has [`expire_due`] called at a second since boot, and not before; `None` for never.
    fn wake_at(&self, second: Option<u64>);
    /// What `/proc/net/pf_key` tells of a socket.
    fn socket_info(&self, socket: Self::Socket) -> SocketInfo;
    /// A random number.
    fn random(&self) -> u64;
    /// Sets whether requests are logged.
    fn set_traced(&self, traced: bool);
    /// Whether requests are logged. Asked without the lock, before each.
    fn is_traced(&self) -> bool;
    /// Writes a line to the log.
    fn log(&self, line: fmt::Arguments<'_>);
    /// The time.
    fn now(&self) -> Moment;
    /// Whether an address is one of this host's.
    fn is_local(&self, ip: IpAddr) -> bool;
    /// Called between the steps of long work, without the lock.
    fn breathe(&self);
}

/// What `/proc/net/pf_key` tells of a socket: `struct klips_socket_info` of
/// `include/klips_shim.h`.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
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
    /// Size of the receive buffer.
    pub rcvbuf: u32,
    /// Type: 3, raw.
    pub socket_type: u32,
    /// State: 1, not connected.
    pub state: u32,
    /// Messages lost for want of room.
    pub lost: u32,
}

const _: () = assert!(size_of::<SocketInfo>() == 40);

/// Why a request is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// What the writer gets as errno and all sockets as a message.
    pub errno: Errno,
    /// For a group request, which SA is at fault.
    pub fault: Option<Fault>,
}

impl Refusal {
    /// The name of its errno.
    pub fn name(&self) -> &'static str {
        self.errno.describe().map_or("?", |(name, _)| name)
    }
}

impl From<Errno> for Refusal {
    fn from(errno: Errno) -> Self {
        Refusal { errno, fault: None }
    }
}

impl From<OutOfMemory> for Refusal {
    fn from(_: OutOfMemory) -> Self {
        Errno::ENOMEM.into()
    }
}

impl From<AddError> for Refusal {
    fn from(error: AddError) -> Self {
        match error {
            AddError::Exists => Errno::EEXIST.into(),
            AddError::Full => Errno::ENOSPC.into(),
            AddError::OutOfMemory => Errno::ENOMEM.into(),
        }
    }
}

impl From<AlgorithmError> for Refusal {
    fn from(error: AlgorithmError) -> Self {
        match error {
            AlgorithmError::UnknownCipher => Errno::ENOENT.into(),
            AlgorithmError::Mismatch => Errno::EINVAL.into(),
        }
    }
}

impl From<LinkError> for Refusal {
    fn from(error: LinkError) -> Self {
        match error {
            LinkError::InnerTaken | LinkError::OuterTaken | LinkError::Cycle => Errno::EEXIST,
            LinkError::TooLong => Errno::EMLINK,
        }
        .into()
    }
}

impl From<ListError> for Refusal {
    fn from(error: ListError) -> Self {
        Refusal {
            errno: match error.reason {
                ListReason::Missing => Errno::ENOENT,
                ListReason::Grouped | ListReason::Twice => Errno::EEXIST,
            },
            fault: Some(error.into()),
        }
    }
}
