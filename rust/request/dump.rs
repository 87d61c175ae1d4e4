// SPDX-License-Identifier: GPL-2.0

//! DUMP: reads all SAs, or all of one type (RFC 2367 section 3.1.10), to the sender only and
//! without keys.
//!
//! Each SA is a message; their sequence numbers count from 1, and the last has 0. What does not
//! fit into the receive buffer follows as the reader reads. SAs that are made meanwhile are not
//! told, those that are removed before their turn neither; but one message is always written ahead,
//! so that a reader who stops in the middle may find an SA as it was when it stopped.

use crate::{
    klips_core::{
        errno::Errno,
        pfkey::{
            Header,
            Message,
            SaType, //
        }, //
    },
    memory::OutOfMemory,
    netns::{
        Host,
        Refusal,
        State, //
    },
    post::{
        self,
        about,
        write,
        Audience,
        Draft,
        Dump,
        Search,
        SocketId, //
    },
    sadb::Age, //
};

/// How many SAs are looked at before others get their turn.
const STEP: usize = 64;

/// Where the sequence number is in a message.
const SEQ: core::ops::Range<usize> = 8..12;

enum Found {
    /// The message about the next SA.
    Message(Draft),
    /// Nothing yet.
    Nothing,
    /// All SAs have been looked at.
    End,
}

#[inline(never)]
pub(super) fn dump<H: Host>(
    host: &H,
    sender: SocketId,
    message: &Message<'_>,
) -> Result<(), Refusal> {
    let satype = message.header.satype_or_all()?;
    let mut search = Search {
        header: message.header,
        satype,
        next: Age::FIRST,
        end: host.lock().sadb.next_age(),
    };
    // The first one is found before anything is promised.
    loop {
        let mut state = host.lock();
        match search.look(host, &state)? {
            Found::Message(held) => {
                let listener = state.listeners.get_mut(sender).ok_or(Errno::EINVAL)?;
                if listener.dump.is_some() {
                    return Err(Errno::EBUSY.into());
                }
                listener.dump = Some(Dump {
                    search,
                    seq: 0,
                    held,
                });
                break;
            }
            Found::Nothing => (),
            Found::End => return Err(Errno::ENOENT.into()),
        }
        drop(state);
        host.cond_resched();
        if host.is_killed() {
            return Err(Errno::EINTR.into());
        }
    }
    go_on(host, sender);
    Ok(())
}

impl Search {
    /// Looks at some SAs more.
    fn look<H: Host>(&mut self, host: &H, state: &State<H>) -> Result<Found, OutOfMemory> {
        for _ in 0..STEP {
            let found = state.sadb.at_or_after(self.next);
            let Some(sa) = found.filter(|sa| sa.age() < self.end) else {
                return Ok(Found::End);
            };
            self.next = sa.age().next();
            let proto = sa.spec.proto;
            if self.satype.is_none_or(|satype| satype.proto() == proto) {
                let header = Header {
                    satype: SaType::of(proto) as u8,
                    ..self.header.reply()
                };
                let usage = state.usage(host, sa);
                let message = write(host, &header, |out| about::describe(sa, &usage, out))?;
                return Ok(Found::Message(message));
            }
        }
        Ok(Found::Nothing)
    }
}

fn send<H: Host>(host: &H, state: &mut State<H>, to: SocketId, mut message: Draft, seq: u32) {
    if let Some(field) = message.get_mut(SEQ) {
        field.copy_from_slice(&seq.to_ne_bytes());
    }
    state.listeners.send(host, message, Audience::Only(to));
}

/// Sends what the socket has room for. Called when it is asked for, and whenever what has been read
/// has made room. Ends the DUMP if the process that is to read it has been killed.
#[inline(never)]
pub(super) fn go_on<H: Host>(host: &H, id: SocketId) {
    loop {
        let is_waiting = step(host, id);
        post::tell(host, false);
        if is_waiting {
            return;
        }
        host.cond_resched();
    }
}

/// Sends some messages. Returns whether nothing is left to do until something is read.
fn step<H: Host>(host: &H, id: SocketId) -> bool {
    let mut state = host.lock();
    let taken = state
        .listeners
        .get_mut(id)
        .and_then(|listener| listener.dump.take());
    let Some(mut dump) = taken else {
        return true;
    };
    if host.is_killed() {
        state.listeners.await_room(host, id);
        return true;
    }
    for _ in 0..STEP {
        if !state.listeners.has_room(host, id) {
            break;
        }
        match dump.search.look(host, &state) {
            Ok(Found::Message(next)) => {
                let message = core::mem::replace(&mut dump.held, next);
                dump.seq = dump.seq.wrapping_add(1).max(1);
                send(host, &mut state, id, message, dump.seq);
            }
            Ok(Found::Nothing) => break,
            Ok(Found::End) => {
                state.listeners.await_room(host, id);
                send(host, &mut state, id, dump.held, 0);
                return true;
            }
            Err(OutOfMemory) => {
                // The reader is told that there is more than it will get.
                state.listeners.await_room(host, id);
                state.listeners.lose(host, id);
                return true;
            }
        }
    }
    if let Some(listener) = state.listeners.get_mut(id) {
        listener.dump = Some(dump);
    }
    state.listeners.await_room(host, id);
    // Asked after that: the reader may have read all there was before it could know that there is
    // more.
    !state.listeners.has_room(host, id)
}
