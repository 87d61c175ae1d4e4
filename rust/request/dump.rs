// SPDX-License-Identifier: GPL-2.0

//! DUMP: reads all SAs, or all of one type (RFC 2367 section 3.1.10), to the sender only and
//! without keys.
//!
//! Each SA is a message; their sequence numbers count from 1, and the last has 0. What does not
//! fit into the receive buffer follows as the reader reads. SAs that are made meanwhile are not
//! told, those that are removed before their turn neither.

use super::{
    spec,
    write,
    Audience,
    Host,
    Refusal,
    State, //
};
use crate::{
    klips_core::{
        errno::Errno,
        pfkey::{
            Header,
            Message,
            SaType, //
        },
    },
    memory::OutOfMemory,
    sadb::Age, //
};

/// How many SAs are looked at before others get their turn.
const STEP: usize = 64;

/// Where the sequence number is in a message.
const SEQ: core::ops::Range<usize> = 8..12;

/// A DUMP that is being read.
pub(super) struct Dump<H: Host> {
    header: Header,
    satype: Option<SaType>,
    /// Where to go on, and where to end: with the SAs that were there when it was asked for.
    next: Age,
    end: Age,
    /// Messages sent.
    seq: u32,
    /// The message that will follow. It is held back until it is known whether it is the last.
    held: Option<H::Draft>,
}

pub(super) fn dump<H: Host>(
    host: &H,
    sender: H::Socket,
    message: &Message<'_>,
) -> Result<(), Refusal> {
    let satype = match (message.header.satype, message.header.known_satype()) {
        (0, _) => None,
        (_, None) => return Err(Errno::EINVAL.into()),
        (_, some) => some,
    };
    let mut dump = Dump {
        header: message.header,
        satype,
        next: Age::FIRST,
        end: host.lock().sadb.next_age(),
        seq: 0,
        held: None,
    };
    // The first one is found before anything is promised.
    loop {
        let mut state = host.lock();
        let progress = dump.look(host, &state)?;
        if progress == Progress::End && dump.held.is_none() {
            return Err(Errno::ENOENT.into());
        }
        if dump.held.is_some() {
            let listener = state.listeners.get_mut(sender).ok_or(Errno::EINVAL)?;
            if listener.dump.is_some() {
                return Err(Errno::EBUSY.into());
            }
            listener.dump = Some(dump);
            break;
        }
        drop(state);
        host.breathe();
    }
    go_on(host, sender);
    Ok(())
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Progress {
    /// There is a message to be sent before that which is held.
    Ready,
    /// Nothing yet.
    Searching,
    /// All SAs have been looked at.
    End,
}

impl<H: Host> Dump<H> {
    /// Looks for the next SA. What was held before it is found is not the last, and ready.
    fn look(&mut self, host: &H, state: &State<H>) -> Result<Progress, OutOfMemory> {
        for _ in 0..STEP {
            let found = state.sadb.at_or_after(self.next);
            let Some(sa) = found.filter(|sa| sa.age() < self.end) else {
                return Ok(Progress::End);
            };
            let wanted = self
                .satype
                .is_none_or(|satype| satype.proto() == sa.spec.said.proto);
            if wanted {
                let header = Header {
                    satype: SaType::of(sa.spec.said.proto) as u8,
                    ..self.header
                };
                if self.held.is_some() {
                    return Ok(Progress::Ready);
                }
                self.held = Some(write(host, &spec::describe(&header, sa))?);
            }
            self.next = sa.age().next();
        }
        Ok(Progress::Searching)
    }

    /// The message that was held, numbered.
    fn take(&mut self, last: bool) -> Option<H::Draft> {
        let mut message = self.held.take()?;
        self.seq = self.seq.wrapping_add(1);
        let seq = match last {
            true => 0,
            false => self.seq,
        };
        message.get_mut(SEQ)?.copy_from_slice(&seq.to_ne_bytes());
        Some(message)
    }
}

/// Sends what the socket has room for. Called when it is asked for, and whenever something has
/// been read.
pub fn go_on<H: Host>(host: &H, socket: H::Socket) {
    loop {
        let mut state = host.lock();
        let Some(listener) = state.listeners.get_mut(socket) else {
            return;
        };
        let Some(mut dump) = listener.dump.take() else {
            host.set_dumping(socket, false);
            return;
        };
        let mut finished = false;
        while host.has_room(socket) {
            let message = match dump.look(host, &state) {
                Ok(Progress::Ready) => dump.take(false),
                Ok(Progress::Searching) => break,
                Ok(Progress::End) => {
                    finished = true;
                    dump.take(true)
                }
                Err(OutOfMemory) => {
                    // The reader is told that there is more than it will get.
                    host.lost(socket);
                    finished = true;
                    None
                }
            };
            if let Some(message) = message {
                state.listeners.send(host, &message, Audience::Only(socket));
            }
            if finished {
                break;
            }
        }
        if finished {
            host.set_dumping(socket, false);
            return;
        }
        host.set_dumping(socket, true);
        if let Some(listener) = state.listeners.get_mut(socket) {
            listener.dump = Some(dump);
        }
        drop(state);
        if !host.has_room(socket) {
            return;
        }
        host.breathe();
    }
}
