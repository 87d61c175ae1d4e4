// SPDX-License-Identifier: GPL-2.0

//! Commands that run beside a test and print lines.

use crate::support::EVENTUALLY;
use anyhow::{Context, Result, ensure};
use nix::{
    errno::Errno,
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use std::{
    io::{BufRead, BufReader, Read},
    os::fd::AsFd,
    process::{Child, ChildStdout},
    time::Duration,
};

/// How long to wait for what comes by itself.
pub const PATIENCE: Duration = EVENTUALLY;

/// A command that runs beside the test.
pub struct Running {
    child: Child,
    out: BufReader<ChildStdout>,
}

impl Drop for Running {
    fn drop(&mut self) {
        // It has ended already, unless a check has failed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Running {
    /// A command that was started with its output piped.
    pub fn of(mut child: Child) -> Result<Self> {
        let out = child.stdout.take().context("its output is not piped")?;
        Ok(Running {
            child,
            out: BufReader::new(out),
        })
    }

    /// Whether a line comes in time.
    pub fn has_line(&self, timeout: Duration) -> Result<bool> {
        if !self.out.buffer().is_empty() {
            return Ok(true);
        }
        let mut fds = [PollFd::new(self.out.get_ref().as_fd(), PollFlags::POLLIN)];
        loop {
            match poll(&mut fds, PollTimeout::try_from(timeout)?) {
                // Other tests have signals sent to this process.
                Err(Errno::EINTR) => (),
                result => return Ok(result? == 1),
            }
        }
    }

    /// The next line, which has to come while the command still runs.
    pub fn line(&mut self) -> Result<String> {
        ensure!(self.has_line(PATIENCE)?, "no line came");
        let mut line = String::new();
        self.out.read_line(&mut line)?;
        ensure!(line.ends_with('\n'), "no whole line: {line:?}");
        line.pop();
        Ok(line)
    }

    /// Checks the next lines.
    pub fn expect(&mut self, lines: &[&str]) -> Result<()> {
        for expected in lines {
            let line = self.line()?;
            ensure!(line == *expected, "expected {expected:?}, found {line:?}");
        }
        Ok(())
    }

    /// The first line that has all of the words in it.
    pub fn line_with(&mut self, words: &[&str]) -> Result<String> {
        let mut seen = String::new();
        loop {
            let line = self
                .line()
                .with_context(|| format!("expected {words:?} in\n{seen}"))?;
            if words.iter().all(|word| line.contains(word)) {
                return Ok(line);
            }
            seen = seen + &line + "\n";
        }
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        kill(Pid::from_raw(self.child.id().try_into()?), signal)?;
        Ok(())
    }

    /// Waits until it ends with this exit status; what it still had to say.
    pub fn finish(mut self, code: i32) -> Result<String> {
        let mut rest = String::new();
        self.out.read_to_string(&mut rest)?;
        let status = self.child.wait()?;
        ensure!(status.code() == Some(code), "{status}, {rest:?}");
        Ok(rest)
    }

    /// Sends a signal that ends it; it succeeds, with nothing else to say.
    pub fn end(self, signal: Signal) -> Result<()> {
        self.signal(signal)?;
        let rest = self.finish(0)?;
        ensure!(rest.is_empty(), "{rest:?}");
        Ok(())
    }
}
