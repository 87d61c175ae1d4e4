// SPDX-License-Identifier: GPL-2.0

//! Going on in the background.
//!
//! The program starts itself again with the same arguments. What is started has a socket as its
//! standard input, through which it says that all is well; until then the one who started it waits,
//! so that its exit status tells whether there is something in the background now.

use rustix::fs::FileType;
use std::{
    env,
    fs::File,
    io::{self, Read, Write},
    os::{
        fd::{AsFd, OwnedFd},
        unix::{net::UnixStream, process::CommandExt},
    },
    process::Command,
};

/// Where a program is that was to go to the background.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Detached {
    /// There; this process is what goes on.
    Here,
    /// There; this process is what it was started by, and is done.
    Ready,
    /// Nowhere; it has ended and said why.
    Failed,
}

/// Set in the environment of the process in the background.
const MARK: &str = "KLIPS_DETACHED";

/// Starts the program again, and waits until that has [`settle`]d; or tells that this is the one
/// that was started.
pub(crate) fn detach() -> io::Result<Detached> {
    if env::var_os(MARK).is_some() && is_socket(io::stdin())? {
        return Ok(Detached::Here);
    }
    let (mut ours, theirs) = UnixStream::pair()?;
    let mut args = env::args_os();
    // The command is gone at the end of the statement, and with it this process's end of `theirs`.
    let mut child = Command::new("/proc/self/exe")
        .arg0(args.next().unwrap_or_default())
        .args(args)
        .env(MARK, "1")
        .stdin(OwnedFd::from(theirs))
        .spawn()?;
    match ours.read(&mut [0])? {
        0 => {
            // It has said why.
            child.wait()?;
            Ok(Detached::Failed)
        }
        _ => Ok(Detached::Ready),
    }
}

/// Whether a file is a socket: nothing else is written to, whatever the environment says.
fn is_socket(file: impl AsFd) -> io::Result<bool> {
    let mode = rustix::fs::fstat(file)?.st_mode;
    Ok(FileType::from_raw_mode(mode) == FileType::Socket)
}

/// Leaves the session and the terminal of the one who started this process, and tells them that all
/// is well.
pub(crate) fn settle() -> io::Result<()> {
    rustix::process::setsid()?;
    let starter = io::stdin().as_fd().try_clone_to_owned()?;
    rustix::stdio::dup2_stdin(File::open("/dev/null")?)?;
    // The last thing: who is told may look.
    File::from(starter).write_all(&[1])
}

#[cfg(test)]
mod tests {
    use super::is_socket;
    use std::{fs::File, io, os::unix::net::UnixStream};

    #[test]
    fn a_socket_is_told_from_a_device() -> io::Result<()> {
        assert!(is_socket(UnixStream::pair()?.0)?);
        assert!(!is_socket(File::open("/dev/null")?)?);
        Ok(())
    }
}
