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
    console::Console,
    failure::Failure,
    given::Given,
    input,
    json::Ending,
    options,
    program::Program,
    requests::{How, Receiver, Requests},
    system::System,
    tell::{self, Place},
};
use serde::Serialize;
use std::io::{BufRead, BufReader, Read};
use zeroize::Zeroizing;

/// The longest line in bytes: several times what the longest keys and names take.
const MAX_LINE: u64 = 1 << 18;

/// Executes the one request that there is without `--batch`.
pub(crate) fn run_one<C: Requests<S>, S: System>(
    request: &C::Request,
    how: How,
    program: &Program,
    system: &mut S,
    console: &mut Console<'_>,
) -> Result<(), Failure> {
    let outcome = Receiver::<C, S>::open(how, system)
        .and_then(|mut receiver| receiver.take(request, program, system, console))
        .map_err(|failure| failure.during(C::about(request)))?;
    tell::outcome(&outcome, None, program, console)
}

/// What to do with which file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Options {
    /// A path, or `-` for standard input.
    file: String,
    keep_going: bool,
}

impl Options {
    /// What `--batch` and `--keep-going` say.
    pub(crate) fn of(given: &Given) -> Result<Option<Self>, Failure> {
        let Some(file) = given.text("batch") else {
            given.refuse(&["keep-going"], "only goes with --batch")?;
            return Ok(None);
        };
        Ok(Some(Options {
            file: file.to_owned(),
            keep_going: given.flag("keep-going"),
        }))
    }

    /// Opens the file.
    fn open(&self, system: &mut impl System) -> Result<Box<dyn Read>, Failure> {
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
struct Lines<'a> {
    /// `None` at the end, and after an error, which may come again for ever.
    input: Option<BufReader<Box<dyn Read>>>,
    definition: clap::Command,
    how: How,
    program: &'a Program,
    number: usize,
}

impl Lines<'_> {
    /// The next line that has words, or can't be read.
    fn next<C: Requests<S>, S: System>(&mut self, system: &mut S) -> Option<Line<C::Request>> {
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
                    Ok(words) => self.request::<C, S>(&words, &mut program, system),
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

    /// What a line asks for; its label is set in `program`, which is the line's own.
    fn request<C: Requests<S>, S: System>(
        &mut self,
        words: &[String],
        program: &mut Program,
        system: &mut S,
    ) -> Result<C::Request, Failure> {
        let given = options::parse_line(&mut self.definition, words, program, system)?;
        C::read(&given, self.how, program, system)?
            .ok_or_else(|| Failure::usage("this line asks for nothing."))
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
        let (done, failed) = if dry_run {
            ("would succeed", "would fail")
        } else {
            ("done", "failed")
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

impl<'a> Progress<'a, '_> {
    /// Executes a line, or says why not.
    fn execute<C: Requests<S>, S: System>(
        &mut self,
        line: Line<C::Request>,
        receiver: &mut Receiver<C, S>,
        system: &mut S,
    ) -> Result<(), Failure> {
        match &line.request {
            Ok(_) if self.stopped => {
                self.count.not_tried += 1;
                Ok(())
            }
            Ok(request) => match receiver.take(request, &line.program, system, self.console) {
                Ok(outcome) => {
                    self.count.done += 1;
                    let place = Some(self.place(line.number));
                    tell::outcome(&outcome, place, &line.program, self.console)
                }
                Err(failure) => self.failed(&line, &failure.during(C::about(request))),
            },
            Err(failure) => self.failed(&line, failure),
        }
    }

    fn place(&self, line: usize) -> Place<'a> {
        Place {
            file: self.options.name(),
            line,
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
        let place = Some(self.place(line.number));
        tell::failure(failure, place, &line.program, self.console)
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
            let remark = if self.nothing_sent {
                "; nothing was sent"
            } else {
                ""
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

/// Runs the lines of a file, and tells what comes of them.
pub(crate) fn run<C: Requests<S>, S: System>(
    options: &Options,
    how: How,
    program: &Program,
    system: &mut S,
    console: &mut Console<'_>,
) -> Result<(), Failure> {
    let how = How {
        in_batch: true,
        from_stdin: options.file == "-",
        ..how
    };
    let mut lines = Lines {
        input: Some(BufReader::new(options.open(system)?)),
        definition: (C::DEFINITION)(program.name()),
        how,
        program,
        number: 0,
    };
    let mut progress = Progress {
        options,
        console,
        count: Count::default(),
        stopped: false,
        code: 0,
        dry_run: how.dry_run,
        nothing_sent: how.dry_run,
    };
    if options.keep_going {
        let mut receiver = Receiver::open(how, system)?;
        while !progress.stopped {
            let Some(line) = lines.next::<C, S>(system) else {
                break;
            };
            progress.execute::<C, S>(line, &mut receiver, system)?;
        }
    } else {
        let lines: Vec<_> = std::iter::from_fn(|| lines.next::<C, S>(system)).collect();
        if lines.iter().any(|line| line.request.is_err()) {
            progress.refuse(&lines)?;
        } else {
            let mut receiver = Receiver::open(how, system)?;
            for line in lines {
                progress.execute::<C, S>(line, &mut receiver, system)?;
            }
        }
    }
    progress.end(program)
}
