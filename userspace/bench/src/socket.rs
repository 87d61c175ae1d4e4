// SPDX-License-Identifier: GPL-2.0

//! A PF_KEY socket that wastes no instruction.

use anyhow::{Context, Result, ensure};
use rustix::{
    fd::OwnedFd,
    io::Errno,
    net::{
        self, AddressFamily, Protocol, RawProtocol, RecvFlags, SendFlags, SocketFlags, SocketType,
    },
};

const PF_KEY_V2: RawProtocol = RawProtocol::new(2).unwrap();

/// An open socket.
pub(crate) struct Socket {
    fd: OwnedFd,
    input: Box<[u8]>,
}

impl Socket {
    pub(crate) fn open() -> Result<Self> {
        let fd = net::socket_with(
            AddressFamily::KEY,
            SocketType::RAW,
            SocketFlags::CLOEXEC,
            Some(Protocol::from_raw(PF_KEY_V2)),
        )
        .context("cannot open a PF_KEY socket")?;
        let input = vec![0; 1 << 16].into_boxed_slice();
        Ok(Socket { fd, input })
    }

    /// Writes a request that is granted, and reads the answer.
    pub(crate) fn request(&mut self, message: &[u8]) -> Result<()> {
        self.send(message)?;
        let answer = self.receive()?;
        ensure!(
            answer[1] == message[1],
            "answer of type {} to {}",
            answer[1],
            message[1]
        );
        ensure!(answer[2] == 0, "refused with errno {}", answer[2]);
        Ok(())
    }

    /// Writes a message.
    pub(crate) fn send(&mut self, message: &[u8]) -> Result<()> {
        net::send(&self.fd, message, SendFlags::empty())
            .with_context(|| format!("request of type {}", message[1]))?;
        Ok(())
    }

    /// Writes a message that is refused.
    pub(crate) fn send_refused(&mut self, message: &[u8]) -> Result<()> {
        match net::send(&self.fd, message, SendFlags::empty()) {
            Err(Errno::INVAL) => Ok(()),
            other => anyhow::bail!("write gave {other:?} instead of EINVAL"),
        }
    }

    /// Reads a message.
    pub(crate) fn receive(&mut self) -> Result<&[u8]> {
        let (len, _) = net::recv(&self.fd, &mut *self.input, RecvFlags::empty())?;
        Ok(&self.input[..len])
    }
}
