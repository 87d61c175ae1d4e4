// SPDX-License-Identifier: GPL-2.0

//! `--batch`: the lines of a file or of standard input, each with the arguments of a request as
//! they are typed after the command, executed in order over one connection.
//!
//! Words are quoted as in a shell; `#` at the beginning of a word begins a comment; lines without
//! words don't count. No line can be continued on the next.
//!
//! Failures are told as `FILE:LINE: …`, and stdout is left to what the requests print: the count at
//! the end goes to standard error, or with `--json` to standard output as the last object.
//!
//! - By default every line is read before any is executed. If one makes no sense, all such are
//!   told and nothing is sent. The first request that is refused ends the batch.
//! - With `--keep-going` each line is read when its turn comes, so that a program can write a line
//!   and read the answer, and lines that fail are counted.
//!
//! Exit status: 0 if every line succeeded; 2 if a line made no sense, for then the file has to be
//! corrected, whatever else happened; else 1.

use crate::{
    failure::{Failure, Place},
    input,
    json::Ending,
    program::{Console, Program},
    system::System,
};
use klips::said::Said;
use serde::Serialize;
use std::io::{BufRead, BufReader, Read};
use zeroize::Zeroizing;

/// The longest line in bytes: several times what the longest keys and names take.
const MAX_LINE: u64 = 1 << 18;

/// A command that can be run in batches.
pub(crate) trait Command {
    /// What a line asks for.
    type Request;
    /// What requests are sent over.
    type Connection;
    /// What `--json` tells of a request that succeeded.
    type Outcome: Serialize;

    /// What a request is in one word, and the SAs that it names.
    fn about(request: &Self::Request) -> (&'static str, &[Said]);

    /// Whether requests are not sent, but tried on what is known.
    fn is_dry_run(&self) -> bool {
        false
    }

    /// Reads the words of a line; a label in it is set in `program`, which is the line's own. No
    /// message is sent.
    fn read(&mut self, program: &mut Program, words: &[String]) -> Result<Self::Request, Failure>;

    /// Connects to the kernel.
    fn connect(&mut self) -> Result<Self::Connection, Failure>;

    /// Executes a request.
    fn execute(
        &mut self,
        connection: &mut Self::Connection,
        request: &Self::Request,
        program: &Program,
        console: &mut Console<'_>,
    ) -> Result<Self::Outcome, Failure>;
}

/// Executes the one request that there is without `--batch`.
pub(crate) fn run_one<C: Command>(
    command: &mut C,
    request: &C::Request,
    program: &Program,
    console: &mut Console<'_>,
) -> Result<(), Failure> {
    let outcome = command
        .connect()
        .and_then(|mut connection| command.execute(&mut connection, request, program, console))
        .map_err(|failure| failure.during(C::about(request)))?;
    console.outcome(program, None, &outcome)
}

/// What to do with which file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Options {
    /// A path, or `-` for standard input.
    pub(crate) file: String,
    pub(crate) keep_going: bool,
}

impl Options {
    /// Opens the file.
    pub(crate) fn open(&self, system: &mut impl System) -> Result<Box<dyn Read>, Failure> {
        system
            .input(&self.file)
            .map_err(|error| Failure::refused(format!("{}: {error}", self.name())))
    }

    /// The file's name in messages.
    fn name(&self) -> &str {
        match self.file.as_str() {
            "-" => "<stdin>",
            file => file,
        }
    }
}

/// A line that has words, or could not be read.
struct Line<R> {
    number: usize,
    /// The program with the line's label.
    program: Program,
    request: Result<R, Failure>,
}

/// What is still to be read.
struct Lines<'a, I> {
    /// `None` at the end, and after an error, which may come again for ever.
    input: Option<BufReader<I>>,
    program: &'a Program,
    number: usize,
}

impl<I: Read> Lines<'_, I> {
    /// The next line that has words, or can't be read.
    fn next<C: Command>(&mut self, command: &mut C) -> Option<Line<C::Request>> {
        loop {
            // It may have keys in it.
            let mut text = Zeroizing::new(Vec::new());
            let input = self.input.as_mut()?;
            let read = input.take(MAX_LINE + 1).read_until(b'\n', &mut text);
            let mut program = self.program.clone();
            self.number += 1;
            let request = match read {
                Ok(0) => {
                    self.input = None;
                    return None;
                }
                Ok(read) if read as u64 > MAX_LINE => {
                    self.input = None;
                    Err(Failure::usage(format!(
                        "line is longer than {MAX_LINE} bytes"
                    )))
                }
                Ok(_) => match words(&text) {
                    Ok(words) if words.is_empty() => continue,
                    Ok(words) => command.read(&mut program, &words),
                    Err(failure) => Err(failure),
                },
                Err(error) => {
                    self.input = None;
                    Err(Failure::refused(format!("read error: {error}")))
                }
            };
            return Some(Line {
                number: self.number,
                program,
                request,
            });
        }
    }
}

/// Takes a line apart.
fn words(line: &[u8]) -> Result<Zeroizing<Vec<String>>, Failure> {
    // The end of the line, as Windows has it too, is none of its words.
    let split = |text: &str| shell_words::split(text.trim_end_matches(['\r', '\n']));
    input::words(input::without_mark(line), split)
        .map_err(|error| Failure::usage(format!("{error}.")))?
        .ok_or_else(|| Failure::usage("line is not valid UTF-8"))
}

/// How many lines ended how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
struct Count {
    done: usize,
    failed: usize,
    not_tried: usize,
}

impl Count {
    fn in_words(self, dry_run: bool) -> String {
        let (done, failed) = match dry_run {
            true => ("would succeed", "would fail"),
            false => ("done", "failed"),
        };
        let mut text = format!("{} {done}", self.done);
        for (count, what) in [(self.failed, failed), (self.not_tried, "not tried")] {
            if count > 0 {
                text.push_str(&format!(", {count} {what}"));
            }
        }
        text
    }
}

/// The last object that `--json` prints.
#[derive(Serialize)]
struct Summary {
    action: &'static str,
    result: Ending,
    #[serde(flatten)]
    count: Count,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    nothing_sent: bool,
}

/// What has come of the lines so far.
struct Progress<'a, 'b> {
    options: &'a Options,
    console: &'a mut Console<'b>,
    count: Count,
    /// No line is executed any more.
    stopped: bool,
    /// The exit status.
    code: u8,
    dry_run: bool,
    /// It is a dry run, or bad lines have kept the others from being executed.
    nothing_sent: bool,
}

impl Progress<'_, '_> {
    /// Executes a line, or says why not.
    fn execute<C: Command>(
        &mut self,
        command: &mut C,
        connection: &mut C::Connection,
        line: Line<C::Request>,
    ) -> Result<(), Failure> {
        match &line.request {
            Ok(_) if self.stopped => {
                self.count.not_tried += 1;
                Ok(())
            }
            Ok(request) => {
                match command.execute(connection, request, &line.program, self.console) {
                    Ok(outcome) => {
                        self.count.done += 1;
                        let number = Some(line.number);
                        self.console.outcome(&line.program, number, &outcome)
                    }
                    Err(failure) => self.failed(&line, &failure.during(C::about(request))),
                }
            }
            Err(failure) => self.failed(&line, failure),
        }
    }

    /// Says why lines are bad, and executes none.
    fn refuse<R>(&mut self, lines: &[Line<R>]) -> Result<(), Failure> {
        self.nothing_sent = true;
        for line in lines {
            match &line.request {
                Ok(_) => self.count.not_tried += 1,
                Err(failure) => self.failed(line, failure)?,
            }
        }
        Ok(())
    }

    fn failed<R>(&mut self, line: &Line<R>, failure: &Failure) -> Result<(), Failure> {
        self.count.failed += 1;
        self.stopped |= !self.options.keep_going || failure.is_interrupted();
        self.code = self.code.max(failure.code());
        let place = Place {
            file: self.options.name(),
            line: line.number,
        };
        failure.report(&line.program, Some(place), self.console)
    }

    /// Tells the count.
    fn end(self, program: &Program) -> Result<(), Failure> {
        let Progress { count, code, .. } = self;
        if program.json {
            self.console.object(&Summary {
                action: "batch",
                result: match (code, self.dry_run) {
                    (0, false) => Ending::Done,
                    (0, true) => Ending::WouldSucceed,
                    (1, false) => Ending::Refused,
                    (1, true) => Ending::WouldBeRefused,
                    _ => Ending::Usage,
                },
                count,
                nothing_sent: self.nothing_sent,
            })?;
        } else {
            let name = self.options.name();
            let count = count.in_words(self.dry_run);
            let remark = match self.nothing_sent {
                true => "; nothing was sent",
                false => "",
            };
            self.console
                .remark(program, format_args!("{name}: {count}{remark}"));
        }
        match code {
            0 => Ok(()),
            code => Err(Failure::told(code)),
        }
    }
}

/// Runs the lines of `input`, and tells what comes of them.
pub(crate) fn run<C: Command>(
    command: &mut C,
    options: &Options,
    input: impl Read,
    program: &Program,
    console: &mut Console<'_>,
) -> Result<(), Failure> {
    let mut lines = Lines {
        input: Some(BufReader::new(input)),
        program,
        number: 0,
    };
    let mut progress = Progress {
        options,
        console,
        count: Count::default(),
        stopped: false,
        code: 0,
        dry_run: command.is_dry_run(),
        nothing_sent: command.is_dry_run(),
    };
    if options.keep_going {
        let mut connection = command.connect()?;
        while !progress.stopped {
            let Some(line) = lines.next(command) else {
                break;
            };
            progress.execute(command, &mut connection, line)?;
        }
    } else {
        let lines: Vec<_> = std::iter::from_fn(|| lines.next(command)).collect();
        if lines.iter().any(|line| line.request.is_err()) {
            progress.refuse(&lines)?;
        } else {
            let mut connection = command.connect()?;
            for line in lines {
                progress.execute(command, &mut connection, line)?;
            }
        }
    }
    progress.end(program)
}
