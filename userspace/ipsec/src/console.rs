// SPDX-License-Identifier: GPL-2.0

//! Where the program writes.

use crate::{failure::Failure, program::Program};
use serde::Serialize;
use std::{
    fmt,
    io::{self, Write},
};

/// Standard output and standard error.
pub struct Console<'a> {
    /// For what was asked for.
    pub out: &'a mut dyn Write,
    /// For complaints and progress.
    pub err: &'a mut dyn Write,
    /// Whether `out` is a terminal.
    pub terminal: bool,
    /// Whether the user wants no colours anywhere (`NO_COLOR`).
    pub no_color: bool,
}

impl Console<'_> {
    pub(crate) fn print(&mut self, text: &str) -> Result<(), Failure> {
        self.out
            .write_all(text.as_bytes())
            .and_then(|()| self.out.flush())
            .map_err(Failure::output)
    }

    /// Copies what can be read, unchanged.
    pub(crate) fn copy(&mut self, from: &mut dyn io::Read) -> Result<(), Failure> {
        let mut buffer = vec![0; 1 << 16];
        loop {
            match from.read(&mut buffer) {
                Ok(0) => return self.out.flush().map_err(Failure::output),
                Ok(len) => self
                    .out
                    .write_all(&buffer[..len])
                    .map_err(Failure::output)?,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => (),
                Err(error) => return Err(Failure::refused(format!("read error: {error}"))),
            }
        }
    }

    /// Prints an object on a line of its own, as JSON.
    pub(crate) fn object(&mut self, object: &impl Serialize) -> Result<(), Failure> {
        let json = serde_json::to_string(object).map_err(|error| Failure::output(error.into()))?;
        self.print(&format!("{json}\n"))
    }

    /// Prints an array with an item a line, as JSON.
    pub(crate) fn array<T: Serialize>(
        &mut self,
        items: impl Iterator<Item = T>,
    ) -> Result<(), Failure> {
        let mut separator = "[\n";
        for item in items {
            let json =
                serde_json::to_string(&item).map_err(|error| Failure::output(error.into()))?;
            write!(self.out, "{separator}{json}").map_err(Failure::output)?;
            separator = ",\n";
        }
        self.print(if separator == "[\n" { "[]\n" } else { "\n]\n" })
    }

    /// Tells of progress, if the user wants to know.
    pub(crate) fn debug(&mut self, program: &Program, text: fmt::Arguments<'_>) {
        if program.debug {
            self.remark(program, text);
        }
    }

    /// Says on standard error what the user should know, although all is well.
    pub(crate) fn remark(&mut self, program: &Program, text: fmt::Arguments<'_>) {
        // Nothing depends on it, and there is no other place to say so.
        let _ = writeln!(self.err, "{program}: {text}");
    }
}
