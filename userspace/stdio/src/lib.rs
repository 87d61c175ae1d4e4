// SPDX-License-Identifier: GPL-2.0

//! Standard input and output as they were when the program began.
//!
//! Rust hides a closed one twice. Before `main` its runtime opens `/dev/null` in the place of a
//! descriptor that is not open, and `std::io::Stdout` takes `EBADF`, which a write to a descriptor
//! that is only open for reading gets, for success. A program whose output is lost would succeed.

use rustix::io::{Errno, fcntl_getfd};
use std::{
    fs::File,
    io::{self, BufWriter, Write},
    os::fd::{AsFd, BorrowedFd},
    sync::atomic::{AtomicBool, Ordering},
};

static STDIN_CLOSED: AtomicBool = AtomicBool::new(false);
static STDOUT_CLOSED: AtomicBool = AtomicBool::new(false);

/// Runs before `main`, and before what hides a closed descriptor.
#[ctor::ctor(unsafe)]
fn look() {
    let is_closed = |descriptor| fcntl_getfd(descriptor) == Err(Errno::BADF);
    STDIN_CLOSED.store(is_closed(rustix::stdio::stdin()), Ordering::Relaxed);
    STDOUT_CLOSED.store(is_closed(rustix::stdio::stdout()), Ordering::Relaxed);
}

/// Standard input, without a buffer; `EBADF` if it was closed when the program began.
pub fn stdin() -> io::Result<File> {
    open(io::stdin().as_fd(), &STDIN_CLOSED)
}

/// Standard output, with a buffer. If it was closed when the program began, all that is written to
/// it fails with `EBADF`.
pub struct Output(io::Result<BufWriter<File>>);

/// Standard output.
pub fn stdout() -> Output {
    Output(open(io::stdout().as_fd(), &STDOUT_CLOSED).map(BufWriter::new))
}

impl Output {
    fn file(&mut self) -> io::Result<&mut BufWriter<File>> {
        self.0.as_mut().map_err(|error| match error.raw_os_error() {
            Some(errno) => io::Error::from_raw_os_error(errno),
            None => error.kind().into(),
        })
    }
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file()?.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        // Nothing was written if it can't be.
        self.0.as_mut().map_or(Ok(()), BufWriter::flush)
    }
}

fn open(descriptor: BorrowedFd<'_>, closed: &AtomicBool) -> io::Result<File> {
    if closed.load(Ordering::Relaxed) {
        Err(Errno::BADF.into())
    } else {
        Ok(descriptor.try_clone_to_owned()?.into())
    }
}
