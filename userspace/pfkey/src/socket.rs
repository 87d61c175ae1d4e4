// SPDX-License-Identifier: GPL-2.0

//! The socket.

use crate::Transport;
use klips::errno::Errno;
use rustix::{
    event::{self, PollFd, PollFlags, Timespec},
    fd::{AsFd, BorrowedFd, OwnedFd},
    io,
    net::{
        self, AddressFamily, Protocol, RawProtocol, RecvFlags, SendFlags, SocketFlags, SocketType,
    },
};
use std::time::{Duration, Instant};

/// `PF_KEY_V2`, the protocol.
const PF_KEY_V2: RawProtocol = RawProtocol::new(2).unwrap();

/// A PF_KEY socket.
pub struct Socket(OwnedFd);

impl Socket {
    /// Opens a socket that hears all that the kernel tells from now on.
    pub fn open() -> Result<Self, Errno> {
        let protocol = Protocol::from_raw(PF_KEY_V2);
        net::socket_with(
            AddressFamily::KEY,
            SocketType::RAW,
            SocketFlags::CLOEXEC,
            Some(protocol),
        )
        .map(Socket)
        .map_err(number)
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl Transport for Socket {
    fn send(&mut self, message: &[u8]) -> Result<(), Errno> {
        // All or nothing: a message is never cut.
        io::retry_on_intr(|| net::send(&self.0, message, SendFlags::empty()))
            .map(drop)
            .map_err(number)
    }

    fn receive(&mut self, buffer: &mut [u8], timeout: Duration) -> Result<Option<usize>, Errno> {
        if !self.wait(timeout).map_err(number)? {
            return Ok(None);
        }
        // Blocking, for KLIPS refuses MSG_DONTWAIT; but nobody else reads from this socket.
        let (len, _) = io::retry_on_intr(|| net::recv(&self.0, &mut *buffer, RecvFlags::empty()))
            .map_err(number)?;
        Ok(Some(len))
    }
}

impl Socket {
    /// Whether there is something to read within `timeout`.
    fn wait(&self, timeout: Duration) -> io::Result<bool> {
        let start = Instant::now();
        loop {
            let remaining = timeout.saturating_sub(start.elapsed());
            let timespec = Timespec {
                tv_sec: remaining.as_secs().try_into().unwrap_or(i64::MAX),
                tv_nsec: remaining.subsec_nanos().into(),
            };
            let mut fds = [PollFd::new(&self.0, PollFlags::IN)];
            match event::poll(&mut fds, Some(&timespec)) {
                Ok(ready) => return Ok(ready > 0),
                Err(io::Errno::INTR) => continue,
                Err(errno) => return Err(errno),
            }
        }
    }
}

/// Every errno that leaves the kernel fits in a byte, as PF_KEY needs it.
fn number(errno: io::Errno) -> Errno {
    Errno(u8::try_from(errno.raw_os_error()).unwrap_or(u8::MAX))
}
