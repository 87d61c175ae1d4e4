// SPDX-License-Identifier: GPL-2.0

//! The messages that `--dry-run` does not send.

use crate::{console::Console, failure::Failure, program::Program, text};
use klips::{errno::Errno, pfkey::types::WORD};
use pfkey::{Client, Content, Transport, describe::Description};
use std::{cell::RefCell, fmt, rc::Rc, time::Duration};

/// Keeps the last message that would be sent.
#[derive(Clone, Default)]
struct Recorder(Rc<RefCell<Vec<u8>>>);

impl Transport for Recorder {
    fn send(&mut self, message: &[u8]) -> Result<(), Errno> {
        *self.0.borrow_mut() = message.to_vec();
        Ok(())
    }

    fn receive(&mut self, _: &mut [u8], _: Duration) -> Result<Option<usize>, Errno> {
        Ok(None)
    }
}

/// What messages would be sent over.
pub(crate) struct Unsent {
    client: Client<Recorder>,
    last: Recorder,
}

impl Unsent {
    /// Nothing was not sent yet.
    pub(crate) fn new() -> Self {
        let last = Recorder::default();
        Unsent {
            client: Client::new(last.clone()),
            last,
        }
    }

    /// The message that would be sent, in words; its bytes are told as progress.
    pub(crate) fn describe(
        &mut self,
        content: &Content<'_>,
        program: &Program,
        console: &mut Console<'_>,
    ) -> Result<Description, Failure> {
        self.client.tell(content).map_err(text::failure)?;
        let bytes = self.last.0.take();
        console.debug(program, format_args!("not sent: {}", Hex(&bytes)));
        Description::of(&bytes).map_err(|error| Failure::refused(error.to_string()))
    }
}

/// What is printed of a message that would be sent.
pub(crate) fn would_send(message: &Description) -> String {
    let lines = message.to_string();
    let lines = lines.lines().map(|line| format!("  {line}\n"));
    format!("would send\n{}", lines.collect::<String>())
}

/// Bytes as hexadecimal digits, in words.
struct Hex<'a>(&'a [u8]);

impl fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, word) in self.0.chunks(WORD).enumerate() {
            let gap = if index == 0 { "" } else { " " };
            f.write_str(gap)?;
            word.iter().try_for_each(|byte| write!(f, "{byte:02x}"))?;
        }
        Ok(())
    }
}
