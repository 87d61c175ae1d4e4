// SPDX-License-Identifier: GPL-2.0

//! Listening to what the kernel tells, until the user wants an end.

use crate::{
    failure::Failure,
    system::{System, Wake},
    text,
};
use klips::{errno::Errno, pfkey::types::WORD};
use pfkey::{Error, Transport};
use std::{ops::ControlFlow, time::Duration};

/// No message is longer, for its length is 16 bits of words.
const LONGEST: usize = WORD * u16::MAX as usize;

/// What is heard.
pub(crate) enum Heard<'a> {
    /// The bytes of a message.
    Message(&'a [u8]),
    /// There was no room for all messages at the socket; some are lost.
    Lost,
}

/// Calls `hear` with what a socket hears, until that wants no more or the user wants an end.
pub(crate) fn listen<S: System>(
    system: &mut S,
    socket: &mut S::Transport,
    mut hear: impl FnMut(&mut S, Heard<'_>) -> Result<ControlFlow<()>, Failure>,
) -> Result<(), Failure> {
    let mut buffer = vec![0; LONGEST];
    loop {
        match system.wait(socket) {
            Ok(Wake::End) => return Ok(()),
            Ok(Wake::Readable) => (),
            Err(error) => {
                return Err(Failure::refused(format!(
                    "cannot wait for messages: {error}"
                )));
            }
        }
        let heard = match socket.receive(&mut buffer, Duration::ZERO) {
            Ok(Some(len)) => Heard::Message(&buffer[..len]),
            Ok(None) => continue,
            Err(Errno::ENOBUFS) => Heard::Lost,
            Err(errno) => return Err(text::failure(Error::Receive(errno))),
        };
        if hear(system, heard)?.is_break() {
            return Ok(());
        }
    }
}
