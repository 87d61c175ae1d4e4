// SPDX-License-Identifier: GPL-2.0

//! From a message that a socket wrote to what changes and who is told.
//!
//! [`submit`] is the way of every request: parse, hand to the handler of its type, and if that
//! refuses, tell everybody so. A handler takes all the memory it needs, messages included, then
//! changes the table, then tells, the last two under the one lock of the namespace: listeners see
//! changes in the order in which they were made, and only changes that were made.
//!
//! What the kernel gives is behind [`Host`], so that all of this runs in tests on the host as well.

mod add;
mod delete;
mod flush;
mod get;
mod grpsa;
mod listeners;

pub use self::{
    flush::free,
    listeners::{
        Audience,
        Listeners, //
    }, //
};

use crate::{
    klips_core::{
        errno::Errno,
        pfkey::{
            algorithm::AlgorithmError,
            Content,
            Direction,
            Fault,
            Header,
            Message,
            MsgType, //
        },
    },
    memory::OutOfMemory,
    sadb::{
        AddError,
        HashKey,
        Moment,
        Sadb, //
    }, //
};
use core::{
    net::IpAddr,
    ops::DerefMut, //
};

/// What is shared by all sockets of a network namespace, under one lock.
pub struct State<S> {
    /// The SAs.
    pub sadb: Sadb,
    /// The open sockets.
    pub listeners: Listeners<S>,
}

impl<S: Copy + PartialEq> State<S> {
    /// Without SAs and sockets; allocates nothing.
    pub const fn new(hash_key: HashKey) -> Self {
        State {
            sadb: Sadb::new(hash_key),
            listeners: Listeners::new(),
        }
    }
}

/// What a request needs of the world around it.
pub trait Host {
    /// An open socket.
    type Socket: Copy + PartialEq;
    /// A message while it is written and delivered.
    type Draft: DerefMut<Target = [u8]>;
    /// The state, locked.
    type Guard<'a>: DerefMut<Target = State<Self::Socket>>
    where
        Self: 'a;

    /// Locks the state of the namespace.
    fn lock(&self) -> Self::Guard<'_>;
    /// Makes room for a message of `len` bytes.
    fn draft(&self, len: usize) -> Result<Self::Draft, OutOfMemory>;
    /// Queues a message at a socket. If that can't be done, the socket has lost a message and will
    /// be told so; nobody else is concerned.
    fn deliver(&self, socket: Self::Socket, message: &Self::Draft);
    /// The time.
    fn now(&self) -> Moment;
    /// Whether an address is one of this host's.
    fn is_local(&self, ip: IpAddr) -> bool;
    /// Called between the steps of long work, without the lock.
    fn breathe(&self);
}

/// Why a request is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// What the writer gets as errno and all sockets as a message.
    pub errno: Errno,
    /// For a group request, which SA is at fault.
    pub fault: Option<Fault>,
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

/// Carries out a message that `sender` wrote.
///
/// A message whose outer form is wrong is refused in silence; any other refusal is told to all
/// open sockets before it is returned.
pub fn submit<H: Host>(host: &H, sender: H::Socket, bytes: &[u8]) -> Result<(), Errno> {
    let header = Header::parse(bytes)?;
    let result = Message::parse(header, bytes, Direction::In)
        .map_err(Refusal::from)
        .and_then(|message| {
            message.check_supported()?;
            dispatch(host, sender, &message)
        });
    result.map_err(|refusal| {
        announce_refusal(host, &header, &refusal);
        refusal.errno
    })
}

fn dispatch<H: Host>(host: &H, sender: H::Socket, message: &Message<'_>) -> Result<(), Refusal> {
    match message.header.msg_type {
        MsgType::Add => add::add(host, message),
        MsgType::Delete => delete::delete(host, message),
        MsgType::Get => get::get(host, sender, message),
        MsgType::Flush => flush::flush(host, message),
        MsgType::GrpSa => grpsa::grpsa(host, message),
        MsgType::Dump => Err(Errno::ENOSYS.into()),
        _ => Err(Errno::EOPNOTSUPP.into()),
    }
}

/// Tells everybody of a refusal: the request's header with the errno, and for a group request the
/// fault. If there is no memory for it, the writer still has its errno.
fn announce_refusal<H: Host>(host: &H, header: &Header, refusal: &Refusal) {
    let content = Content {
        fault: refusal.fault,
        ..Content::new(Header {
            errno: refusal.errno.0,
            ..*header
        })
    };
    if let Ok(draft) = write(host, &content) {
        host.lock().listeners.send(host, &draft, Audience::All);
    }
}

/// Writes a message.
fn write<H: Host>(host: &H, content: &Content<'_>) -> Result<H::Draft, OutOfMemory> {
    let mut draft = host.draft(content.size())?;
    content.write(&mut draft).ok_or(OutOfMemory)?;
    Ok(draft)
}
