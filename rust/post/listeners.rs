// SPDX-License-Identifier: GPL-2.0

//! The open sockets of a namespace, and which of them are told what (reference 3.4).
//!
//! What is told to more than one socket is a post: it is appended to a log, under the lock and in
//! the order of changes, and delivered from there a number of sockets at a time, with the lock given
//! up in between. Each socket is told what it has not seen of the log in one go, so for every one of
//! them the order stays.
//!
//! A socket whose receive buffer is full has overrun. It is not looked at again, whatever is told,
//! until something has been read from it; what it lost is then reckoned up.

use super::{
    write,
    Awaited,
    Delivery,
    Draft, //
};
use crate::{
    klips_core::{
        errno::Errno,
        pfkey::{
            build::request,
            types::SATYPE_MAX,
            Header,
            MsgType,
            SaType, //
        }, //
    },
    memory::{
        self,
        OutOfMemory,
        Vector, //
    },
    netns::Host,
    sadb::{
        Age,
        Key,
        Trie, //
    }, //
};

/// How many sockets are looked at or told something before others get their turn.
const BUDGET: usize = 256;

/// Numbers of SA types, 0 included.
const SA_TYPES: usize = SATYPE_MAX as usize + 1;

/// A socket's number in the order of opening, from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SocketId(Key);

impl SocketId {
    /// The socket with this number, or `None` for 0.
    pub const fn from_number(number: u64) -> Option<Self> {
        match Key::from_number(number) {
            Some(key) => Some(SocketId(key)),
            None => None,
        }
    }

    /// The number.
    pub const fn number(self) -> u64 {
        self.0.number()
    }
}

/// Who is told of something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Audience {
    /// Every open socket.
    All,
    /// One socket.
    Only(SocketId),
    /// The sockets that have registered for an SA type.
    Registered(u8),
}

/// Why a socket can't be opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenError {
    /// There are as many as there may be.
    Full,
    /// No memory.
    OutOfMemory,
}

impl From<OutOfMemory> for OpenError {
    fn from(_: OutOfMemory) -> Self {
        OpenError::OutOfMemory
    }
}

impl From<OpenError> for Errno {
    fn from(error: OpenError) -> Self {
        match error {
            OpenError::Full => Errno::ENFILE,
            OpenError::OutOfMemory => Errno::ENOMEM,
        }
    }
}

/// Whether a socket is told what is posted.
#[derive(Clone, Copy)]
enum Hearing {
    /// It is, and these are its neighbours in the list of those that are.
    Told {
        newer: Option<SocketId>,
        older: Option<SocketId>,
    },
    /// Its buffer was full when so many messages had been meant for it. Differences of such counts,
    /// which wrap, are what matters: what is meant for it changes with what it has registered for.
    Overrun { meant: u64 },
    /// Reading from it has been shut down.
    Deaf,
}

/// A DUMP that is being read.
///
/// It always holds a message back, until it is known whether that is the last: so there is a last
/// one, whatever is removed meanwhile.
pub struct Dump {
    pub(crate) search: Search,
    /// Messages sent.
    pub(crate) seq: u32,
    pub(crate) held: Draft,
}

/// Which SAs are still to be told.
pub struct Search {
    pub(crate) header: Header,
    pub(crate) satype: Option<SaType>,
    /// Where to go on, and where to end: with the SAs that were there when it was asked for.
    pub(crate) next: Age,
    pub(crate) end: Age,
}

/// An open socket.
pub struct Listener<H: Host> {
    /// The socket.
    pub socket: H::Socket,
    id: SocketId,
    /// The SA types that it has registered for, a bit each.
    registered: u16,
    /// Whether it wants a copy of what others are told.
    promiscuous: bool,
    /// The number of the first post that it has not seen.
    unseen: u64,
    hearing: Hearing,
    /// The DUMP that it is reading.
    pub(crate) dump: Option<Dump>,
}

impl<H: Host> Listener<H> {
    /// Its number in the order of opening, from 1.
    pub fn number(&self) -> u64 {
        self.id.number()
    }

    /// Whether it has registered for an SA type.
    pub fn is_registered(&self, satype: u8) -> bool {
        satype <= SATYPE_MAX && self.registered & (1 << satype) != 0
    }

    /// What is to be done once something has been read.
    fn awaited(&self) -> Option<Awaited> {
        match self.hearing {
            Hearing::Overrun { .. } => Some(Awaited::Any),
            Hearing::Told { .. } | Hearing::Deaf => self.dump.as_ref().map(|_| Awaited::ForDump),
        }
    }

    /// Tells the socket that it has lost a message. Returns whether it has overrun: if not, it was
    /// for want of other memory.
    fn has_lost(&self, host: &H) -> bool {
        host.tell_loss(&self.socket);
        host.await_room(&self.socket, Some(Awaited::Any));
        // Asked after that: the reader may have read all there was before it could know.
        let overrun = host.is_full(&self.socket);
        if !overrun {
            host.await_room(&self.socket, self.awaited());
        }
        overrun
    }
}

/// Something that is told, until all have seen it.
struct Post {
    message: Draft,
    audience: Audience,
    /// The same behind a header of X_PROMISC, once somebody has wanted that.
    wrapped: Option<Result<Draft, OutOfMemory>>,
}

/// What a post is to a listener.
enum Relation {
    /// It is addressed to it.
    Addressed,
    /// It gets a copy, as one that is promiscuous.
    Overheard,
    /// Nothing.
    None,
}

impl Post {
    fn relation_to<H: Host>(&self, listener: &Listener<H>) -> Relation {
        match self.audience {
            Audience::All => Relation::Addressed,
            // It was told when this was posted.
            Audience::Only(id) if id == listener.id => Relation::None,
            Audience::Registered(satype) if listener.is_registered(satype) => Relation::Addressed,
            Audience::Only(_) | Audience::Registered(_) => {
                if listener.promiscuous {
                    Relation::Overheard
                } else {
                    Relation::None
                }
            }
        }
    }

    /// The message that this is for a listener, if it is one; an error if there is no memory for it.
    fn message_for<H: Host>(
        &mut self,
        host: &H,
        listener: &Listener<H>,
    ) -> Option<Result<&[u8], OutOfMemory>> {
        match self.relation_to(listener) {
            Relation::Addressed => Some(Ok(&self.message)),
            Relation::Overheard => {
                let message = &self.message;
                let wrapped = self.wrapped.get_or_insert_with(|| wrap(host, message));
                Some(wrapped.as_deref().map_err(|OutOfMemory| OutOfMemory))
            }
            Relation::None => None,
        }
    }
}

/// How many messages have been sent to whom.
struct Counts {
    /// To all sockets.
    all: u64,
    /// To those that have registered for an SA type.
    registered: [u64; SA_TYPES],
    /// Altogether.
    total: u64,
}

impl Counts {
    const fn new() -> Self {
        Counts {
            all: 0,
            registered: [0; SA_TYPES],
            total: 0,
        }
    }

    fn add(&mut self, audience: Audience) {
        self.total += 1;
        match audience {
            Audience::All => self.all += 1,
            Audience::Only(_) => (),
            Audience::Registered(satype) => {
                if let Some(count) = self.registered.get_mut(usize::from(satype)) {
                    *count += 1;
                }
            }
        }
    }

    /// How many of them were meant for a listener, had it been what it is now from the beginning.
    fn meant_for<H: Host>(&self, listener: &Listener<H>) -> u64 {
        if listener.promiscuous {
            return self.total;
        }
        let satypes = (0..=SATYPE_MAX).zip(&self.registered);
        let registered = satypes.filter(|(satype, _)| listener.is_registered(*satype));
        self.all + registered.map(|(_, count)| count).sum::<u64>()
    }
}

/// The open sockets, and what they have not been told yet.
pub struct Listeners<H: Host> {
    sockets: Trie<Listener<H>>,
    /// The number of the next one.
    next: Key,
    /// How many there may be.
    limit: usize,
    /// How many of them are promiscuous.
    promiscuous: usize,
    /// How many of them have registered for an SA type.
    registered: [usize; SA_TYPES],
    /// The ends of the list of those that are told.
    newest: Option<SocketId>,
    oldest: Option<SocketId>,
    /// What has been posted and not been seen by all. There always is room for one if it is empty.
    log: Vector<Post>,
    /// The number of the first of these.
    first: u64,
    /// Where a round through the list is: the next socket to be told.
    cursor: Option<SocketId>,
    /// Up to which post all have seen the log once the round is over.
    round_end: u64,
    counts: Counts,
}

impl<H: Host> Listeners<H> {
    /// No sockets; allocates nothing.
    pub const fn new() -> Self {
        Listeners {
            sockets: Trie::new(),
            next: Key::FIRST,
            limit: usize::MAX,
            promiscuous: 0,
            registered: [0; SA_TYPES],
            newest: None,
            oldest: None,
            log: Vector::new(),
            first: 0,
            cursor: None,
            round_end: 0,
            counts: Counts::new(),
        }
    }

    /// Sets how many sockets there may be; those that are there stay.
    pub fn set_limit(&mut self, limit: usize) {
        self.limit = limit;
    }

    /// A socket was opened.
    pub fn open(&mut self, socket: H::Socket) -> Result<SocketId, OpenError> {
        if self.sockets.len() >= self.limit {
            return Err(OpenError::Full);
        }
        self.sockets.reserve(self.next)?;
        memory::reserve(&mut self.log, 1)?;
        let id = SocketId(self.next);
        let listener = memory::boxed(|| Listener {
            socket,
            id,
            registered: 0,
            promiscuous: false,
            unseen: self.end(),
            hearing: Hearing::Deaf,
            dump: None,
        })?;
        if self.sockets.insert(self.next, listener).is_err() {
            return Err(OpenError::OutOfMemory);
        }
        self.next = self.next.next();
        self.link(id);
        Ok(id)
    }

    /// A socket is being closed. Afterwards nothing is delivered to it. What was known of it is for
    /// the caller to free.
    pub fn close(&mut self, id: SocketId) -> impl Sized {
        self.set_promiscuous(id, false);
        self.unlink(id, Hearing::Deaf);
        let gone = self.sockets.remove(id.0);
        if let Some(listener) = &gone {
            for (satype, count) in (0..=SATYPE_MAX).zip(&mut self.registered) {
                *count -= usize::from(listener.is_registered(satype));
            }
        }
        gone
    }

    /// The number that the next socket will have.
    pub fn next_number(&self) -> u64 {
        self.next.number()
    }

    /// The socket with this number or, failing that, the first that was opened after it.
    pub fn by_number(&self, number: u64) -> Option<&Listener<H>> {
        let id = SocketId::from_number(number).map_or(Key::FIRST, |id| id.0);
        self.sockets.at_or_after(id)
    }

    /// How many messages a listener has lost that its socket does not know of yet.
    pub fn lost(&self, listener: &Listener<H>) -> u64 {
        match listener.hearing {
            Hearing::Overrun { meant } => self.counts.meant_for(listener).wrapping_sub(meant),
            Hearing::Told { .. } | Hearing::Deaf => 0,
        }
    }

    /// What is known of a socket.
    pub(crate) fn get(&self, id: SocketId) -> Option<&Listener<H>> {
        self.sockets.get(id.0)
    }

    /// The same, to be changed.
    pub(crate) fn get_mut(&mut self, id: SocketId) -> Option<&mut Listener<H>> {
        self.sockets.get_mut(id.0)
    }

    /// A socket registers for an SA type; to do so twice is to do it once.
    pub(crate) fn register(&mut self, id: SocketId, satype: u8) {
        let mut is_new = false;
        self.change(id, |listener| {
            is_new = !listener.is_registered(satype);
            listener.registered |= 1 << satype;
        });
        if let Some(count) = self.registered.get_mut(usize::from(satype)) {
            *count += usize::from(is_new);
        }
    }

    /// A socket becomes promiscuous, or ceases to be.
    pub(crate) fn set_promiscuous(&mut self, id: SocketId, promiscuous: bool) {
        let mut before = promiscuous;
        self.change(id, |listener| {
            before = core::mem::replace(&mut listener.promiscuous, promiscuous);
        });
        self.promiscuous += usize::from(promiscuous);
        self.promiscuous -= usize::from(before);
    }

    /// Changes what is meant for a socket. What it has lost stays as it is.
    fn change(&mut self, id: SocketId, change: impl FnOnce(&mut Listener<H>)) {
        let Some(listener) = self.sockets.get_mut(id.0) else {
            return;
        };
        let before = self.counts.meant_for(listener);
        change(listener);
        let after = self.counts.meant_for(listener);
        if let Hearing::Overrun { meant } = &mut listener.hearing {
            *meant = meant.wrapping_add(after).wrapping_sub(before);
        }
    }

    /// Whether any socket has registered for an SA type.
    pub(crate) fn any_registered(&self, satype: u8) -> bool {
        self.registered
            .get(usize::from(satype))
            .is_some_and(|count| *count > 0)
    }

    /// The number of the next post.
    fn end(&self) -> u64 {
        // CAST: lengths fit.
        self.first + self.log.len() as u64
    }

    /// Puts a socket at the head of the list of those that are told what is posted from now on.
    fn link(&mut self, id: SocketId) {
        let (end, older) = (self.end(), self.newest);
        let Some(listener) = self.sockets.get_mut(id.0) else {
            return;
        };
        listener.hearing = Hearing::Told { newer: None, older };
        listener.unseen = end;
        self.set_newer(older, Some(id));
        self.newest = Some(id);
    }

    /// Takes a socket out of the list.
    fn unlink(&mut self, id: SocketId, to: Hearing) {
        let Some(listener) = self.sockets.get_mut(id.0) else {
            return;
        };
        let before = core::mem::replace(&mut listener.hearing, to);
        if let Hearing::Told { newer, older } = before {
            self.set_newer(older, newer);
            self.set_older(newer, older);
            if self.cursor == Some(id) {
                self.cursor = older;
            }
        }
    }

    /// Sets what comes before a socket in the list, or what comes last.
    fn set_newer(&mut self, of: Option<SocketId>, to: Option<SocketId>) {
        match of {
            None => self.oldest = to,
            Some(id) => {
                if let Some(listener) = self.sockets.get_mut(id.0) {
                    if let Hearing::Told { newer, .. } = &mut listener.hearing {
                        *newer = to;
                    }
                }
            }
        }
    }

    /// Sets what comes after a socket in the list, or what comes first.
    fn set_older(&mut self, of: Option<SocketId>, to: Option<SocketId>) {
        match of {
            None => self.newest = to,
            Some(id) => {
                if let Some(listener) = self.sockets.get_mut(id.0) {
                    if let Hearing::Told { older, .. } = &mut listener.hearing {
                        *older = to;
                    }
                }
            }
        }
    }

    /// Sends a message to its audience, and a wrapped copy to the promiscuous sockets that are not
    /// of it: a single socket is told at once, others as [`tell`] comes to them, the newest first.
    pub fn send(&mut self, host: &H, message: Draft, audience: Audience) {
        if let Audience::Only(id) = audience {
            self.send_to(host, id, &message);
            if self.promiscuous == 0 {
                return;
            }
        }
        self.counts.add(audience);
        if self.newest.is_none() {
            return;
        }
        if memory::reserve(&mut self.log, 1).is_err() {
            // All that waits is told now, however long that takes. Then there is room for one.
            while self.is_telling() {
                self.tell_some(host);
            }
        }
        memory::push_reserved(
            &mut self.log,
            Post {
                message,
                audience,
                wrapped: None,
            },
        );
    }

    /// Delivers a message to one socket, after all that was posted before.
    fn send_to(&mut self, host: &H, id: SocketId, message: &[u8]) {
        if self.is_telling() {
            let mut budget = usize::MAX;
            self.tell_one(host, id, &mut budget);
        }
        let Some(listener) = self.sockets.get_mut(id.0) else {
            return;
        };
        if let (true, Hearing::Overrun { meant }) = (listener.promiscuous, &mut listener.hearing) {
            // It is counted with what is meant for this one, but not posted to it.
            *meant = meant.wrapping_add(1);
        }
        let delivery = host.deliver(&listener.socket, message);
        if let (Hearing::Told { .. }, Delivery::Lost) = (listener.hearing, delivery) {
            if listener.has_lost(host) {
                // What counts from here on is this message, if it is counted at all.
                let extra = u64::from(listener.promiscuous);
                let meant = self.counts.meant_for(listener).wrapping_add(extra);
                self.unlink(id, Hearing::Overrun { meant });
            }
        }
    }

    /// Whether a socket has room for a DUMP to go on.
    pub(crate) fn has_room(&self, host: &H, id: SocketId) -> bool {
        self.get(id)
            .is_some_and(|listener| host.has_room(&listener.socket))
    }

    /// Has [`has_read`] called when there is room for what a socket waits for now.
    pub(crate) fn await_room(&self, host: &H, id: SocketId) {
        if let Some(listener) = self.get(id) {
            host.await_room(&listener.socket, listener.awaited());
        }
    }

    /// Notes that a socket has lost a message that could not be made.
    pub(crate) fn lose(&mut self, host: &H, id: SocketId) {
        if let Some(listener) = self.get(id) {
            host.add_lost(&listener.socket, 1);
            host.tell_loss(&listener.socket);
        }
    }

    /// Whether there is anything that not all have seen.
    pub fn is_telling(&self) -> bool {
        !self.log.is_empty()
    }

    /// Checks what is counted; for tests.
    #[cfg(any(test, feature = "check"))]
    pub fn check(&self) {
        let (mut promiscuous, mut registered) = (0, [0; SA_TYPES]);
        let mut next = 0;
        while let Some(listener) = self.by_number(next) {
            next = listener.number() + 1;
            promiscuous += usize::from(listener.promiscuous);
            for (satype, count) in (0..=SATYPE_MAX).zip(&mut registered) {
                *count += usize::from(listener.is_registered(satype));
            }
        }
        assert_eq!(self.promiscuous, promiscuous);
        assert_eq!(self.registered, registered);
    }

    /// Tells some sockets what they have not seen.
    pub fn tell_some(&mut self, host: &H) {
        let mut budget = BUDGET;
        while self.is_telling() {
            if self.cursor.is_none() {
                (self.cursor, self.round_end) = (self.newest, self.end());
            }
            while let Some(id) = self.cursor {
                let Some(rest) = budget.checked_sub(1) else {
                    return;
                };
                budget = rest;
                if !self.tell_one(host, id, &mut budget) {
                    return;
                }
                // If it is told no more, this has been moved on.
                if self.cursor == Some(id) {
                    self.cursor = self.get(id).and_then(|listener| match listener.hearing {
                        Hearing::Told { older, .. } => older,
                        Hearing::Overrun { .. } | Hearing::Deaf => None,
                    });
                }
            }
            let mut number = self.first;
            self.first = self.round_end;
            self.log.retain(|_| {
                number += 1;
                number > self.first
            });
        }
    }

    /// Tells one socket what it has not seen, within a budget. Returns whether it has seen all then.
    fn tell_one(&mut self, host: &H, id: SocketId, budget: &mut usize) -> bool {
        let Some(listener) = self.sockets.get_mut(id.0) else {
            return true;
        };
        let Hearing::Told { .. } = listener.hearing else {
            return true;
        };
        let seen = listener.unseen.saturating_sub(self.first);
        // CAST: not more than there are in the log.
        let mut posts = self.log.iter_mut().skip(seen as usize);
        let mut hearing = None;
        while hearing.is_none() {
            let Some(post) = posts.next() else {
                break;
            };
            if *budget == 0 {
                return false;
            }
            listener.unseen += 1;
            let Some(message) = post.message_for(host, listener) else {
                continue;
            };
            *budget -= 1;
            match message.map(|message| host.deliver(&listener.socket, message)) {
                Ok(Delivery::Done | Delivery::Unwanted) => (),
                Ok(Delivery::Deaf) => hearing = Some(Hearing::Deaf),
                Ok(Delivery::Lost) => {
                    if listener.has_lost(host) {
                        let meant = self.counts.meant_for(listener);
                        hearing = Some(Hearing::Overrun { meant });
                    }
                }
                Err(OutOfMemory) => {
                    host.add_lost(&listener.socket, 1);
                    host.tell_loss(&listener.socket);
                }
            }
        }
        if let Some(Hearing::Overrun { meant }) = &mut hearing {
            // The rest is lost, too.
            let is_meant = |post: &&mut Post| !matches!(post.relation_to(listener), Relation::None);
            // CAST: lengths fit.
            *meant = meant.wrapping_sub(posts.filter(is_meant).count() as u64);
        }
        if let Some(hearing) = hearing {
            self.unlink(id, hearing);
        }
        true
    }

    /// Something has been read from a socket: one that had overrun is told again what is posted.
    /// Returns whether a DUMP is to go on.
    fn has_read(&mut self, host: &H, id: SocketId) -> bool {
        let Some(listener) = self.sockets.get_mut(id.0) else {
            return false;
        };
        if let Hearing::Overrun { meant } = listener.hearing {
            let lost = self.counts.meant_for(listener).wrapping_sub(meant);
            host.add_lost(&listener.socket, lost);
            self.link(id);
        }
        self.await_room(host, id);
        self.get(id).is_some_and(|listener| listener.dump.is_some())
    }
}

impl<H: Host> Default for Listeners<H> {
    fn default() -> Self {
        Self::new()
    }
}

/// A message behind the header of an X_PROMISC (RFC 2367 section 3.1.11).
fn wrap<H: Host>(host: &H, message: &[u8]) -> Result<Draft, OutOfMemory> {
    let header = request(MsgType::Promisc, 0, 0, 0);
    write(host, &header, |out| out.bytes(message))
}

/// Goes on until all have seen what has been posted up to now, so that no more waits in the log than
/// there are writers. Called without the lock by whoever has told `others` something, or may have
/// told something that is overheard. Should its process be killed, the kernel's worker does the rest.
pub fn tell<H: Host>(host: &H, others: bool) {
    let mut end = None;
    loop {
        let mut state = host.lock();
        let listeners = &mut state.listeners;
        if !others && listeners.promiscuous == 0 {
            return;
        }
        let end = *end.get_or_insert(listeners.end());
        listeners.tell_some(host);
        if listeners.first >= end {
            return;
        }
        drop(state);
        host.cond_resched();
        if host.is_killed() {
            host.wake_at(Some(host.now().boot));
            return;
        }
    }
}

/// Room has been made at a socket that [`Post::await_room`](super::Post::await_room) was called for.
/// Returns whether a DUMP is to go on.
pub fn has_read<H: Host>(host: &H, id: SocketId) -> bool {
    host.lock().listeners.has_read(host, id)
}
