// SPDX-License-Identifier: GPL-2.0

//! Any messages at all, from several sockets that come and go, on two hosts whose room for messages
//! is full of different bytes.

use super::codec::assert_canonical;
use crate::{
    expect::seen,
    host::{Socket, TestHost},
};
use klips::{errno::Errno, listing::Listing, memory};
use model::wire::{assert_clean, framed, hex, msg, unwrapped};

/// How many sockets there are, from 1.
const SOCKETS: Socket = 4;

/// Messages that a socket has room for.
const ROOM: usize = 12;

/// The most events; more find nothing that these don't, only later.
const LONGEST: usize = 128;

/// Longest message in bytes.
const MESSAGE_MAX: usize = 2048;

/// What happens.
pub enum Event {
    /// A message is written.
    Write(Socket, Vec<u8>),
    /// The same, and its outer form is made right.
    Frame(Socket, Vec<u8>),
    /// The same, and memory fails after so many allocations.
    Starve(Socket, u8, Vec<u8>),
    /// A socket is opened or, if it is open, closed.
    Toggle(Socket),
    /// A message is read.
    Read(Socket),
    /// A socket gets full or, if it is full, gets room.
    Fill(Socket),
    /// Seconds pass.
    Sleep(u8),
}

/// The events that bytes stand for: each is a byte whose lowest two bits are the socket and the
/// next three say what happens, then what belongs to it. The header of a message says how long it
/// is.
fn decode(mut bytes: &[u8]) -> Vec<Event> {
    let mut events = Vec::new();
    while let Some((control, rest)) = bytes.split_first() {
        bytes = rest;
        let socket = 1 + Socket::from(control % 4);
        let event = match control / 4 % 8 {
            0 => Event::Write(socket, take_message(&mut bytes)),
            1 | 2 => Event::Frame(socket, take_message(&mut bytes)),
            3 => Event::Starve(socket, take_byte(&mut bytes), take_message(&mut bytes)),
            4 => Event::Toggle(socket),
            5 => Event::Read(socket),
            6 => Event::Fill(socket),
            _ => Event::Sleep(take_byte(&mut bytes)),
        };
        events.push(event);
    }
    events
}

fn take_byte(bytes: &mut &[u8]) -> u8 {
    let (first, rest) = bytes.split_first().unwrap_or((&0, &[]));
    *bytes = rest;
    *first
}

fn take_message(bytes: &mut &[u8]) -> Vec<u8> {
    let words = match bytes.get(4..6) {
        Some(words) => usize::from(u16::from_ne_bytes([words[0], words[1]])),
        None => 0,
    };
    let len = (words * 8).clamp(16, MESSAGE_MAX).min(bytes.len());
    let (message, rest) = bytes.split_at(len);
    *bytes = rest;
    message.to_vec()
}

/// The bytes that stand for events.
pub fn encode(events: &[Event]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for event in events {
        let (kind, socket, extra, message) = match event {
            Event::Write(socket, message) => (0, *socket, None, &message[..]),
            Event::Frame(socket, message) => (1, *socket, None, &message[..]),
            Event::Starve(socket, enough, message) => (3, *socket, Some(*enough), &message[..]),
            Event::Toggle(socket) => (4, *socket, None, &[][..]),
            Event::Read(socket) => (5, *socket, None, &[][..]),
            Event::Fill(socket) => (6, *socket, None, &[][..]),
            Event::Sleep(seconds) => (7, 1, Some(*seconds), &[][..]),
        };
        bytes.push(kind * 4 + (socket - 1) as u8);
        bytes.extend(extra);
        bytes.extend(message);
    }
    bytes
}

/// Makes on both hosts happen what the bytes stand for.
pub fn sequence(bytes: &[u8]) {
    let mut both = [0xaa, 0x55].map(Watched::new);
    for event in decode(bytes).iter().take(LONGEST) {
        let [one, other] = both.each_mut().map(|watched| watched.happen(event));
        assert_eq!(one, other, "what room was full of shows");
        assert_eq!(both[0].table, both[1].table);
    }
    let [one, other] = both.map(Watched::end);
    assert_eq!(one, other, "what room was full of shows");
}

/// A host that is looked at whenever something has happened.
struct Watched {
    host: TestHost,
    open: [bool; SOCKETS as usize],
    table: [String; 5],
}

impl Watched {
    fn new(poison: u8) -> Self {
        let host = TestHost::new();
        host.engine.expect_all_clear();
        host.poison.set(poison);
        host.room.set(ROOM);
        Watched {
            open: [true, true, false, false],
            table: table(&host),
            host,
        }
    }

    fn open(&mut self, socket: Socket) -> &mut bool {
        &mut self.open[socket as usize - 1]
    }

    /// Makes something happen. What is read by that.
    fn happen(&mut self, event: &Event) -> Option<Vec<u8>> {
        self.host.reschedules.set(0);
        let mut read = None;
        match event {
            Event::Write(socket, bytes) => _ = self.write(*socket, bytes),
            Event::Frame(socket, bytes) => _ = self.write(*socket, &framed(bytes)),
            Event::Starve(socket, enough, bytes) => {
                memory::fail_after(Some(u64::from(*enough)));
                let errno = self.write(*socket, &framed(bytes));
                memory::fail_after(None);
                if errno == Some(Errno::ENOMEM) {
                    self.write(*socket, &framed(bytes));
                }
            }
            Event::Toggle(socket) => {
                if *self.open(*socket) {
                    self.host.close(*socket);
                } else {
                    self.host.open(*socket);
                }
                *self.open(*socket) ^= true;
            }
            Event::Read(socket) => read = read_one(&self.host, *socket),
            Event::Fill(socket) => {
                let mut full = self.host.full.borrow_mut();
                if !full.remove(socket) {
                    full.insert(*socket);
                }
            }
            Event::Sleep(seconds) => self.host.sleep(u64::from(*seconds)),
        }
        self.host.check();
        self.table = table(&self.host);
        read
    }

    /// Writes a message, if the socket is open; one that is refused changes nothing.
    fn write(&mut self, socket: Socket, bytes: &[u8]) -> Option<Errno> {
        if !*self.open(socket) {
            return None;
        }
        let errno = self.host.write_from(socket, bytes).err()?;
        assert!(errno.describe().is_some(), "{errno:?}");
        assert_eq!(
            table(&self.host),
            self.table,
            "{errno:?} for {}",
            hex(bytes)
        );
        Some(errno)
    }

    /// Reads all that there is to be read.
    fn end(self) -> (String, Vec<Vec<u8>>) {
        let host = &self.host;
        host.full.borrow_mut().clear();
        let all = |socket| std::iter::from_fn(move || read_one(host, socket));
        let messages = (1..=SOCKETS).flat_map(all).collect();
        let files = [Listing::PfKey, Listing::PfKeyRegistered].map(|file| host.listing(file));
        (files.concat() + &host.logged.borrow().concat(), messages)
    }
}

/// The table, as far as it can be seen.
fn table(host: &TestHost) -> [String; 5] {
    let [spigrp, spi, eroute, engine] = seen(host);
    [
        spigrp,
        spi,
        eroute,
        engine,
        host.listing(Listing::KlipsDebug),
    ]
}

fn read_one(host: &TestHost, socket: Socket) -> Option<Vec<u8>> {
    let message = host.read_one(socket)?;
    assert_clean(&message);
    let told = unwrapped(&message);
    // EXPIRE from user space is echoed, and lacks what the kernel's own has.
    if told[1] != msg::EXPIRE || told.len() > 16 {
        assert_canonical(told);
    }
    Some(message)
}
