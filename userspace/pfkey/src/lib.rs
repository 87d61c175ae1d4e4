// SPDX-License-Identifier: GPL-2.0

//! A client of the PF_KEY socket: sends a request and finds the kernel's answer to it among all
//! that the socket hears.
//!
//! ```no_run
//! use klips::pfkey::{build::request, MsgType};
//! use pfkey::{Content, text::said};
//!
//! let said = said::parse("tun.113@10.0.0.2").unwrap().with_dst([10, 0, 0, 2].into());
//! let ungroup = Content::about(request(MsgType::GrpSa, 0, 0, 0), &said);
//! pfkey::Client::open()?.request(&ungroup)?;
//! # Ok::<(), pfkey::Error>(())
//! ```

mod content;
pub mod describe;
mod reply;
mod socket;
pub mod text;

pub use self::{
    content::{Content, SaRefs},
    reply::Reply,
    socket::Socket,
};

use klips::{
    errno::Errno,
    pfkey::{Direction, Fault, Header, Message},
};
use std::{
    process,
    time::{Duration, Instant},
};
use zeroize::{Zeroize, Zeroizing};

/// How long to wait for the answer to a request that the kernel took. The kernel has queued it
/// before write() returns, so that this only ever passes if it was lost.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(3);

/// How long to look through a queue for what a failed write() left there.
const FAULT_TIMEOUT: Duration = Duration::from_secs(1);

/// Longest message that is read; a longer one is not an answer to anything that is sent here.
const INPUT_LEN: usize = 4096;

/// What carries messages.
pub trait Transport {
    /// Writes one message.
    fn send(&mut self, message: &[u8]) -> Result<(), Errno>;

    /// Waits for a message and reads it, cut to the length of `buffer`. `None` if there is none
    /// within `timeout`.
    fn receive(&mut self, buffer: &mut [u8], timeout: Duration) -> Result<Option<usize>, Errno>;
}

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// There is no socket to be had.
    #[error("cannot open a PF_KEY socket (errno={})", .0.0)]
    Open(Errno),
    /// The kernel refused a request.
    #[error("the kernel refused the request (errno={})", errno.0)]
    Refused {
        /// Why.
        errno: Errno,
        /// For a group request, which SA is at fault.
        fault: Option<Fault>,
    },
    /// The kernel took a request, but its answer did not arrive.
    #[error("the kernel took the request, but did not confirm it")]
    NoAnswer,
    /// The kernel's answer makes no sense.
    #[error("the kernel's answer is malformed")]
    Malformed,
    /// A request is longer than a message can be.
    #[error("the request is too long for a message")]
    TooLong,
    /// The answer can't be read.
    #[error("cannot read the kernel's answer (errno={})", .0.0)]
    Receive(Errno),
}

/// A connection to the kernel.
pub struct Client<T = Socket> {
    transport: T,
    pid: u32,
    seq: u32,
    /// The request; wiped once it is sent, for it may have keys in it.
    output: Zeroizing<Vec<u8>>,
    input: Box<[u8]>,
}

impl Client {
    /// Opens a socket.
    pub fn open() -> Result<Self, Error> {
        Ok(Client::new(Socket::open().map_err(Error::Open)?))
    }
}

impl<T: Transport> Client<T> {
    /// Uses a transport that is there.
    pub fn new(transport: T) -> Self {
        Client {
            transport,
            pid: process::id(),
            seq: 0,
            output: Zeroizing::new(Vec::new()),
            input: vec![0; INPUT_LEN].into_boxed_slice(),
        }
    }

    /// Gives the transport back, with all in it that has not been read.
    pub fn into_transport(self) -> T {
        self.transport
    }

    /// Sends a request, with sequence number and process ID of its own, and waits for the answer.
    pub fn request(&mut self, content: &Content<'_>) -> Result<Message<'_>, Error> {
        let header = self.tell(content)?;
        self.answer(&header)
    }

    /// Sends a message, with sequence number and process ID of its own, and leaves it to others to
    /// read what the kernel may answer. Returns the header that was sent.
    pub fn tell(&mut self, content: &Content<'_>) -> Result<Header, Error> {
        self.seq = self.seq.wrapping_add(1);
        let header = Header {
            errno: 0,
            seq: self.seq,
            pid: self.pid,
            ..content.header
        };
        let content = Content { header, ..*content };
        self.output.resize(content.size(), 0);
        let sent = match content.write(&mut self.output) {
            Some(_) => self.transport.send(&self.output),
            None => return Err(Error::TooLong),
        };
        self.output.zeroize();
        match sent {
            Ok(()) => Ok(header),
            Err(errno) => Err(Error::Refused {
                errno,
                fault: self.fault(&header),
            }),
        }
    }

    /// The answer to a request that write() took.
    fn answer(&mut self, request: &Header) -> Result<Message<'_>, Error> {
        let found = self.find_answer(request, ANSWER_TIMEOUT, ANSWER_TIMEOUT)?;
        let (header, len) = found.ok_or(Error::NoAnswer)?;
        let message = Message::parse(header, &self.input[..len], Direction::Out);
        match Errno(header.errno) {
            Errno(0) => message.map_err(|_| Error::Malformed),
            errno => Err(Error::Refused {
                errno,
                fault: message.ok().and_then(|message| message.fault()),
            }),
        }
    }

    /// What the kernel has queued about a request that write() failed with.
    fn fault(&mut self, request: &Header) -> Option<Fault> {
        let found = self.find_answer(request, Duration::ZERO, FAULT_TIMEOUT);
        let (header, len) = found.ok()??;
        let message = Message::parse(header, &self.input[..len], Direction::Out);
        message.ok()?.fault()
    }

    /// Reads until there is an answer to `request`, which stands at the front of `input` then, or
    /// nothing comes for as long as `patience`, or `limit` is over.
    fn find_answer(
        &mut self,
        request: &Header,
        patience: Duration,
        limit: Duration,
    ) -> Result<Option<(Header, usize)>, Error> {
        let start = Instant::now();
        loop {
            let Some(remaining) = limit.checked_sub(start.elapsed()) else {
                return Ok(None);
            };
            let wait = patience.min(remaining);
            let len = match self.transport.receive(&mut self.input, wait) {
                Ok(Some(len)) => len,
                Ok(None) => return Ok(None),
                // The socket could not hold all that was to be told; what it holds is still there.
                Err(Errno::ENOBUFS) => continue,
                Err(errno) => return Err(Error::Receive(errno)),
            };
            match Header::parse(&self.input[..len]) {
                Ok(header) if answers(&header, request) => return Ok(Some((header, len))),
                // Somebody else's, or none that this version knows.
                _ => continue,
            }
        }
    }
}

fn answers(header: &Header, request: &Header) -> bool {
    header.msg_type == request.msg_type && header.seq == request.seq && header.pid == request.pid
}
