// SPDX-License-Identifier: GPL-2.0

//! A socket that wastes no instruction.

use crate::{message, module::Module};
use anyhow::{Context, Result, ensure};
use rustix::{
    fd::OwnedFd,
    io::Errno,
    net::{
        self, AddressFamily, Protocol, RawProtocol, RecvFlags, SendFlags, SocketFlags, SocketType,
        netlink::{self, SocketAddrNetlink},
    },
};
use socket2::{SockFilter, SockRef};

const PF_KEY_V2: RawProtocol = RawProtocol::new(2).unwrap();

/// Gives a socket a filter that takes nothing.
pub(crate) fn take_nothing(socket: &socket2::Socket) -> Result<()> {
    // BPF_RET | BPF_K: nothing is left of a message.
    let filter = [SockFilter::new(0x06, 0, 0, 0)];
    Ok(socket.attach_filter(&filter)?)
}

/// An open socket.
pub(crate) struct Socket {
    fd: OwnedFd,
    input: Box<[u8]>,
    is_netlink: bool,
}

impl Socket {
    /// Opens a PF_KEY socket.
    pub(crate) fn open() -> Result<Self> {
        Self::open_unread().map(Self::with_input)
    }

    /// Opens one that is never read, and needs no memory of the program's for that.
    pub(crate) fn open_unread() -> Result<Self> {
        Self::of(AddressFamily::KEY, Protocol::from_raw(PF_KEY_V2))
    }

    /// Opens one by which a module takes requests.
    pub(crate) fn to(module: Module) -> Result<Self> {
        match module {
            Module::Klips | Module::AfKey => Self::open(),
            Module::XfrmUser => {
                Self::of(AddressFamily::NETLINK, netlink::XFRM).map(Self::with_input)
            }
        }
    }

    /// Opens one that is told what a module does for others.
    pub(crate) fn listener(module: Module) -> Result<Self> {
        let socket = Self::to(module)?;
        if socket.is_netlink {
            // XFRMNLGRP_SA and XFRMNLGRP_POLICY.
            let groups = 1 << 2 | 1 << 3;
            net::bind(&socket.fd, &SocketAddrNetlink::new(0, groups))?;
        }
        Ok(socket)
    }

    fn with_input(self) -> Self {
        let input = vec![0; 1 << 16].into_boxed_slice();
        Socket { input, ..self }
    }

    fn of(family: AddressFamily, protocol: Protocol) -> Result<Self> {
        let fd = net::socket_with(
            family,
            SocketType::RAW,
            SocketFlags::CLOEXEC,
            Some(protocol),
        )
        .with_context(|| format!("cannot open a socket of {family:?}"))?;
        Ok(Socket {
            fd,
            input: Box::default(),
            is_netlink: family == AddressFamily::NETLINK,
        })
    }

    /// Opens one whose filter takes nothing.
    pub(crate) fn open_deaf() -> Result<Self> {
        let socket = Self::open_unread()?;
        take_nothing(&SockRef::from(&socket.fd))?;
        Ok(socket)
    }

    /// Sets the size of the receive buffer.
    pub(crate) fn set_receive_buffer(&self, size: usize) -> Result<()> {
        Ok(SockRef::from(&self.fd).set_recv_buffer_size(size)?)
    }

    /// Whether there is an SA that is asked for by GET. Reads all that there is to read.
    pub(crate) fn is_there(&mut self, get: &[u8]) -> Result<bool> {
        let there = match net::send(&self.fd, get, SendFlags::empty()) {
            Ok(_) => true,
            Err(Errno::SRCH) => false,
            Err(errno) => return Err(errno.into()),
        };
        self.drain()?;
        Ok(there)
    }

    /// Writes a request that is granted, and reads the answer.
    pub(crate) fn request(&mut self, message: &[u8]) -> Result<()> {
        self.send(message)?;
        let is_netlink = self.is_netlink;
        let answer = self.receive()?;
        if is_netlink {
            // NLMSG_ERROR, and behind the header the error, which is none.
            let taken = answer[4] == 2 && answer[16..20] == [0; 4];
            ensure!(taken, "refused: {answer:02x?} to {message:02x?}");
            return Ok(());
        }
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

    /// Writes a request whose answer may be a refusal, and reads up to that answer.
    pub(crate) fn ask(&mut self, message: &[u8]) -> Result<()> {
        match net::send(&self.fd, message, SendFlags::empty()) {
            Ok(_) | Err(Errno::NOENT | Errno::SRCH) => (),
            Err(errno) => anyhow::bail!("request of type {}: {errno}", message[1]),
        }
        while self.receive()?[1] != message[1] {}
        Ok(())
    }

    /// Writes a request that is granted, and reads all that there is to read, for others write
    /// too, and all are told.
    pub(crate) fn request_among_others(&mut self, message: &[u8]) -> Result<()> {
        self.send(message)?;
        self.drain()
    }

    /// Reads all that there is to read.
    pub(crate) fn drain(&mut self) -> Result<()> {
        loop {
            match net::recv(&self.fd, &mut *self.input, RecvFlags::DONTWAIT) {
                // Messages were lost, which are of no interest.
                Ok(_) | Err(Errno::NOBUFS) => (),
                Err(Errno::AGAIN) => return Ok(()),
                Err(errno) => return Err(errno.into()),
            }
        }
    }

    /// Asks for all SAs. Returns how many were told.
    pub(crate) fn dump(&mut self) -> Result<u32> {
        self.send(&message::dump())?;
        let mut count = 0;
        loop {
            let answer = self.receive()?;
            ensure!(answer[2] == 0, "refused with errno {}", answer[2]);
            count += 1;
            if message::seq_of(answer) == 0 {
                return Ok(count);
            }
        }
    }

    /// Asks for all states by netlink. Returns how many were told.
    pub(crate) fn dump_states(&mut self) -> Result<u32> {
        /// Where a message has its type; that of the last one.
        const TYPE: std::ops::Range<usize> = 4..6;
        const DONE: u16 = 3;
        self.send(&crate::netlink::dump_states())?;
        let mut count = 0;
        loop {
            let mut rest = self.receive()?;
            while let Some(length) = rest.first_chunk() {
                if rest[TYPE] == DONE.to_ne_bytes() {
                    return Ok(count);
                }
                count += 1;
                let length = usize::try_from(u32::from_ne_bytes(*length))?;
                rest = rest.get(length..).unwrap_or_default();
            }
        }
    }

    /// Reads a message.
    fn receive(&mut self) -> Result<&[u8]> {
        let (len, _) = net::recv(&self.fd, &mut *self.input, RecvFlags::empty())?;
        Ok(&self.input[..len])
    }
}
