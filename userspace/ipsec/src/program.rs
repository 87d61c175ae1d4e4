// SPDX-License-Identifier: GPL-2.0

//! The program as its user called it, and where it writes.

use crate::{failure::Failure, suggest, tool::Tool};
use std::{
    ffi::OsStr,
    fmt,
    io::{self, Write},
    path::Path,
};

/// Commands of KLIPS that deal with packets. One that has come to be is found before it is looked for
/// here.
const TO_COME: [&str; 4] = ["eroute", "tncfg", "look", "manual"];

/// What all messages begin with, the program's name and, when given, its label; and how it tells
/// of what it does.
#[derive(Clone)]
pub(crate) struct Program {
    called: String,
    name: String,
    tool: Option<Tool>,
    label: Option<String>,
    /// Whether progress is told.
    pub(crate) debug: bool,
    /// Whether results are told as JSON.
    pub(crate) json: bool,
}

impl Program {
    /// The program that was called by this name or path.
    pub(crate) fn called(path: &OsStr) -> Self {
        let name = Path::new(path).file_name().unwrap_or(OsStr::new("ipsec"));
        let name = name.to_string_lossy().into_owned();
        Program {
            tool: Tool::from_program(&name),
            called: name.clone(),
            name,
            label: None,
            debug: false,
            json: false,
        }
    }

    /// Which command it is, if its name or the user has said so.
    pub(crate) fn tool(&self) -> Option<Tool> {
        self.tool
    }

    /// What is wrong where it was called by the name of a command that is still to come.
    pub(crate) fn check_name(&self) -> Result<(), Failure> {
        let name = self.called.strip_prefix("ipsec_").unwrap_or(&self.called);
        match self.tool {
            None => self.check_is_not_to_come(name),
            Some(_) => Ok(()),
        }
    }

    fn check_is_not_to_come(&self, command: &str) -> Result<(), Failure> {
        if TO_COME.contains(&command) {
            return Err(Failure::refused(format!(
                "there is no '{command}' yet: klips moves no packets yet ('{self} --help' for list)"
            )));
        }
        Ok(())
    }

    /// Goes on as one of its commands.
    pub(crate) fn enter(&mut self, command: &str) -> Result<Tool, Failure> {
        let Some(tool) = Tool::from_command(command) else {
            self.check_is_not_to_come(command)?;
            let names = Tool::ALL.map(Tool::name).into_iter();
            let others = ["help", "--help", "--version"];
            let guess = match suggest::nearest(command, names.chain(others)) {
                Some(name) => format!(", did you mean '{name}'?"),
                None => String::new(),
            };
            return Err(Failure::usage(format!(
                "unknown IPsec command '{command}'{guess} ('{self} --help' for list)"
            )));
        };
        self.tool = Some(tool);
        self.name = format!("{} {command}", self.name);
        Ok(tool)
    }

    /// The name that it was called by, without a command.
    pub(crate) fn called_by(&self) -> &str {
        &self.called
    }

    /// Its name without the label.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn set_label(&mut self, label: &str) {
        self.label = Some(label.to_owned());
    }

    /// The line that `--version` prints.
    pub(crate) fn version(&self) -> String {
        format!("{self}, {}\n", env!("CARGO_PKG_VERSION"))
    }
}

impl fmt::Display for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        match &self.label {
            Some(label) => write!(f, " --label {label}"),
            None => Ok(()),
        }
    }
}

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

    /// Tells of progress, if the user wants to know.
    pub(crate) fn debug(&mut self, program: &Program, text: fmt::Arguments<'_>) {
        if program.debug {
            self.remark(program, text);
        }
    }

    /// Says on standard error what the user should know, although all is well.
    pub(crate) fn remark(&mut self, program: &Program, text: fmt::Arguments<'_>) {
        // Nothing depends on it.
        let _ = writeln!(self.err, "{program}: {text}");
    }
}
