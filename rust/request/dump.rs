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
        about,
        write,
        Audience,
        Dump,
        Search, //
    },
    sadb::Age, //
};

/// How many SAs are looked at before others get their turn.
const STEP: usize = 64;

/// Where the sequence number is in a message.
const SEQ: core::ops::Range<usize> = 8..12;

enum Found<D> {
    /// The message about the next SA.
    Message(D),
    /// Nothing yet.
    Nothing,
    /// All SAs have been looked at.
    End,
}

pub(super) fn dump<H: Host>(
    host: &H,
    sender: H::Socket,
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
        host.breathe();
    }
    go_on(host, sender);
    Ok(())
}

impl Search {
    /// Looks at some SAs more.
    fn look<H: Host>(
        &mut self,
        host: &H,
        state: &State<H>,
    ) -> Result<Found<H::Draft>, OutOfMemory> {
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
                let message = write(host, &header, |out| about::describe(sa, out))?;
                return Ok(Found::Message(message));
            }
        }
        Ok(Found::Nothing)
    }
}

fn send<H: Host>(host: &H, state: &State<H>, socket: H::Socket, mut message: H::Draft, seq: u32) {
    if let Some(field) = message.get_mut(SEQ) {
        field.copy_from_slice(&seq.to_ne_bytes());
    }
    state.listeners.send(host, message, Audience::Only(socket));
}

/// Sends what the socket has room for. Called when it is asked for, and whenever what has been read
/// has made room.
pub fn go_on<H: Host>(host: &H, socket: H::Socket) {
    loop {
        let mut state = host.lock();
        let taken = state
            .listeners
            .get_mut(socket)
            .and_then(|listener| listener.dump.take());
        let Some(mut dump) = taken else {
            return;
        };
        for _ in 0..STEP {
            if !host.has_room(socket) {
                break;
            }
            match dump.search.look(host, &state) {
                Ok(Found::Message(next)) => {
                    let message = core::mem::replace(&mut dump.held, next);
                    dump.seq = dump.seq.wrapping_add(1).max(1);
                    send(host, &state, socket, message, dump.seq);
                }
                Ok(Found::Nothing) => break,
                Ok(Found::End) => {
                    host.set_dumping(socket, false);
                    send(host, &state, socket, dump.held, 0);
                    return;
                }
                Err(OutOfMemory) => {
                    // The reader is told that there is more than it will get.
                    host.set_dumping(socket, false);
                    host.lost(socket);
                    return;
                }
            }
        }
        host.set_dumping(socket, true);
        if let Some(listener) = state.listeners.get_mut(socket) {
            listener.dump = Some(dump);
        }
        // Asked again: the reader may have read all there was before it could know that there is
        // more.
        if !host.has_room(socket) {
            return;
        }
        drop(state);
        host.breathe();
    }
}
