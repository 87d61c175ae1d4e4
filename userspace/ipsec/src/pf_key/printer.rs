// SPDX-License-Identifier: GPL-2.0

//! Prints messages, in words or as JSON.

use crate::{console::Console, failure::Failure, program::Program};
use pfkey::describe::Description;
use serde::Serialize;
use std::{num::NonZeroU64, ops::ControlFlow};

/// Something in JSON that is no message.
#[derive(Serialize)]
struct Note<'a> {
    error: &'a str,
}

/// Prints messages.
pub(super) struct Printer<'a, 'c> {
    program: &'a Program,
    console: &'a mut Console<'c>,
    /// How many messages are still to be printed, if that has an end.
    left: Option<u64>,
}

impl<'a, 'c> Printer<'a, 'c> {
    pub(super) fn new(program: &'a Program, console: &'a mut Console<'c>) -> Self {
        Printer {
            program,
            console,
            left: None,
        }
    }

    /// Is done after so many messages.
    pub(super) fn stop_after(self, count: Option<NonZeroU64>) -> Self {
        Printer {
            left: count.map(NonZeroU64::get),
            ..self
        }
    }

    /// Prints a message, or what is wrong with it.
    pub(super) fn message(&mut self, bytes: &[u8]) -> Result<ControlFlow<()>, Failure> {
        self.left = self.left.map(|left| left.saturating_sub(1));
        match Description::of(bytes) {
            Ok(description) => self.description(&description)?,
            Err(error) => _ = self.note(&error.to_string())?,
        }
        Ok(match self.left {
            Some(0) => ControlFlow::Break(()),
            _ => ControlFlow::Continue(()),
        })
    }

    /// Prints a message that is described.
    pub(super) fn description(&mut self, description: &Description) -> Result<(), Failure> {
        if self.program.json {
            self.console.object(description)
        } else {
            self.console.print(&format!("\n{description}"))
        }
    }

    /// Prints, between the messages, something about them.
    pub(super) fn note(&mut self, error: &str) -> Result<ControlFlow<()>, Failure> {
        if self.program.json {
            self.console.object(&Note { error })
        } else {
            self.console.print(&format!("{}: {error}\n", self.program))
        }
        .map(ControlFlow::Continue)
    }

    /// Prints that it was the user who wanted an end, if so. To programs the end says enough.
    pub(super) fn goodbye(self) -> Result<(), Failure> {
        if self.program.json || self.left == Some(0) {
            Ok(())
        } else {
            self.console
                .print(&format!("{}: Exiting on a signal\n", self.program))
        }
    }
}
