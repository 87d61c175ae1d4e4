// SPDX-License-Identifier: GPL-2.0

//! What tests share: a [`TestHost`] in the place of the kernel, and messages put together byte by
//! byte, independently of the code under test.

// Every test file is a crate of its own and uses a part of this.
#![allow(dead_code)]

use klips::{
    errno::Errno,
    listing::Listing,
    memory::{self, OutOfMemory},
    pfkey::{LifetimeForm, SaState},
    request::{self, Host, SocketInfo, State},
    sadb::{HashKey, Moment, NatT, SaSpec},
    said::{Proto, Said},
};
use std::{
    cell::{Cell, RefCell},
    collections::{HashMap, HashSet, VecDeque},
    fmt,
    net::{IpAddr, SocketAddr},
    sync::{Mutex, MutexGuard},
};

/// A socket of a [`TestHost`].
pub type Socket = u32;

/// The first socket of every [`TestHost`].
pub const A: Socket = 1;
/// The second one.
pub const B: Socket = 2;

/// What a [`TestHost`] does when a request takes a breath.
type OnBreathe = Box<dyn Fn(&TestHost)>;

/// A namespace with sockets whose queues can be read, addresses and a clock that can be set.
pub struct TestHost {
    state: Mutex<State<TestHost>>,
    queues: RefCell<HashMap<Socket, VecDeque<Vec<u8>>>>,
    deliveries: RefCell<Vec<Socket>>,
    /// Sockets whose queue is full.
    pub full: RefCell<HashSet<Socket>>,
    /// How many messages a queue has room for.
    pub room: Cell<usize>,
    /// Messages lost, by socket.
    pub lost: RefCell<HashMap<Socket, u32>>,
    /// Sockets that are reading a DUMP.
    pub dumping: RefCell<HashSet<Socket>>,
    /// When limits of SAs have to be looked at.
    pub wake: Cell<Option<u64>>,
    /// Source of random numbers.
    pub seed: Cell<u64>,
    /// What has been logged.
    pub logged: RefCell<Vec<String>>,
    /// Addresses of this host.
    pub local: RefCell<Vec<IpAddr>>,
    /// The time.
    pub clock: Cell<Moment>,
    /// How often a request has taken a breath.
    pub breaths: Cell<usize>,
    /// What happens meanwhile.
    pub on_breathe: RefCell<Option<OnBreathe>>,
}

impl TestHost {
    /// A host with sockets [`A`] and [`B`], opened in this order.
    pub fn new() -> Self {
        let host = TestHost {
            state: Mutex::new(State::new(HashKey([
                0x0123_4567_89ab_cdef,
                0xfedc_ba98_7654_3210,
            ]))),
            queues: RefCell::default(),
            deliveries: RefCell::default(),
            full: RefCell::default(),
            room: Cell::new(usize::MAX),
            lost: RefCell::default(),
            dumping: RefCell::default(),
            wake: Cell::new(None),
            seed: Cell::new(88_172_645_463_325_252),
            logged: RefCell::default(),
            local: RefCell::default(),
            clock: Cell::new(Moment {
                real: 1_000_000_000,
                boot: 1000,
            }),
            breaths: Cell::new(0),
            on_breathe: RefCell::default(),
        };
        host.open(A);
        host.open(B);
        host
    }

    /// The state, locked.
    pub fn state(&self) -> MutexGuard<'_, State<TestHost>> {
        self.state.lock().unwrap()
    }

    /// Opens a socket.
    pub fn open(&self, socket: Socket) {
        self.state().listeners.open(socket).unwrap();
    }

    /// Closes a socket.
    pub fn close(&self, socket: Socket) {
        self.state().listeners.close(socket);
        // Goes with the socket.
        self.dumping.borrow_mut().remove(&socket);
    }

    /// Submits a request from [`A`].
    pub fn write(&self, bytes: &[u8]) -> Result<(), Errno> {
        request::submit(self, A, bytes)
    }

    /// Submits a request from [`A`] that has to succeed, and forgets the replies.
    pub fn set_up(&self, bytes: &[u8]) {
        assert_eq!(self.write(bytes), Ok(()), "set-up {}", hex(bytes));
        self.drain();
    }

    /// Takes one message out of a socket's queue.
    pub fn read_one(&self, socket: Socket) -> Option<Vec<u8>> {
        let message = self.queues.borrow_mut().get_mut(&socket)?.pop_front();
        if self.dumping.borrow().contains(&socket) {
            request::go_on_dumping(self, socket);
        }
        message
    }

    /// Takes all messages out of a socket's queue.
    pub fn read(&self, socket: Socket) -> Vec<Vec<u8>> {
        std::iter::from_fn(|| self.read_one(socket)).collect()
    }

    /// Empties all queues.
    pub fn drain(&self) {
        self.queues.borrow_mut().clear();
        self.deliveries.borrow_mut().clear();
    }

    /// The sockets to which messages have been delivered since the last time, in this order.
    pub fn deliveries(&self) -> Vec<Socket> {
        self.deliveries.take()
    }

    /// `/proc/net/ipsec_spigrp`.
    pub fn spigrp(&self) -> String {
        self.listing(Listing::SpiGrp)
    }

    /// `/proc/net/ipsec_spi`.
    pub fn spi(&self) -> String {
        self.listing(Listing::Spi)
    }

    /// The whole of a file, line by line.
    pub fn listing(&self, file: Listing) -> String {
        let mut text = String::new();
        let mut position = 0;
        while let Some(next) = file.line(self, position, |line| text += &line.to_string()) {
            assert!(next > position, "a listing moves on");
            position = next;
        }
        text
    }

    /// Checks all invariants of the table.
    pub fn check(&self) {
        self.state().sadb.check();
    }

    /// Lets time pass, second by second where something is to be done.
    pub fn sleep(&self, seconds: u64) {
        let end = self.clock.get().boot + seconds;
        loop {
            let Moment { real, boot } = self.clock.get();
            let woken = self.wake.get().filter(|second| *second <= end);
            let to = woken.unwrap_or(end).max(boot);
            self.clock.set(Moment {
                real: real + (to - boot),
                boot: to,
            });
            if woken.is_none() {
                break;
            }
            self.wake.set(None);
            request::expire_due(self);
        }
    }
}

impl Host for TestHost {
    type Socket = Socket;
    type Draft = Vec<u8>;
    type Guard<'a> = MutexGuard<'a, State<TestHost>>;

    fn lock(&self) -> Self::Guard<'_> {
        self.state
            .try_lock()
            .expect("a request locks once at a time")
    }

    fn draft(&self, len: usize) -> Result<Vec<u8>, OutOfMemory> {
        // Counts as an allocation, and is full of what must not get out.
        memory::boxed(())?;
        Ok(vec![0xaa; len])
    }

    fn deliver(&self, socket: Socket, message: &Vec<u8>) {
        assert!(
            self.state.try_lock().is_err(),
            "messages are delivered under the lock, in the order of changes"
        );
        self.deliveries.borrow_mut().push(socket);
        if !self.has_room(socket) {
            self.lost(socket);
            return;
        }
        let mut queues = self.queues.borrow_mut();
        queues.entry(socket).or_default().push_back(message.clone());
    }

    fn lost(&self, socket: Socket) {
        *self.lost.borrow_mut().entry(socket).or_default() += 1;
    }

    fn has_room(&self, socket: Socket) -> bool {
        let queued = self.queues.borrow().get(&socket).map_or(0, VecDeque::len);
        queued < self.room.get() && !self.full.borrow().contains(&socket)
    }

    fn set_dumping(&self, socket: Socket, dumping: bool) {
        let mut sockets = self.dumping.borrow_mut();
        match dumping {
            true => sockets.insert(socket),
            false => sockets.remove(&socket),
        };
    }

    fn wake_at(&self, second: Option<u64>) {
        self.wake.set(second);
    }

    fn socket_info(&self, socket: Socket) -> SocketInfo {
        SocketInfo {
            inode: 0x1000 + u64::from(socket),
            pid: 30 + socket,
            err: 0,
            protocol: 2,
            sndbuf: 212_992,
            rcvbuf: 212_992,
            socket_type: 3,
            state: 1,
            lost: self.lost.borrow().get(&socket).copied().unwrap_or(0),
        }
    }

    fn random(&self) -> u64 {
        let mut seed = self.seed.get();
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        self.seed.set(seed);
        seed
    }

    fn log(&self, line: fmt::Arguments<'_>) {
        self.logged.borrow_mut().push(line.to_string());
    }

    fn now(&self) -> Moment {
        self.clock.get()
    }

    fn is_local(&self, ip: IpAddr) -> bool {
        self.local.borrow().contains(&ip)
    }

    fn breathe(&self) {
        assert!(
            self.state.try_lock().is_ok(),
            "nobody takes a breath with the lock held"
        );
        self.breaths.set(self.breaths.get() + 1);
        assert!(self.breaths.get() < 1_000_000, "a request has an end");
        // Taken out, so that what it does may breathe in its turn.
        let on_breathe = self.on_breathe.take();
        if let Some(on_breathe) = on_breathe {
            on_breathe(self);
            self.on_breathe.replace(Some(on_breathe));
        }
    }
}

/// The SAID in a text.
pub fn said(text: &str) -> Said {
    let unresolved = klips::said::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
    match unresolved.dst {
        klips::address::Host::Address(address) => unresolved.with_dst(address),
        klips::address::Host::Name(..) => panic!("{text} has a name"),
    }
}

/// An address in a text.
pub fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// SA type of a protocol.
pub fn satype(proto: Proto) -> u8 {
    match proto {
        Proto::Ah => 2,
        Proto::Esp => 3,
        Proto::Tun => 9,
        Proto::Comp => 10,
        Proto::Int => 11,
    }
}

/// A plain SA for the table.
pub fn spec(said: Said) -> SaSpec {
    SaSpec {
        said,
        dst: SocketAddr::new(said.dst, 0),
        src: SocketAddr::new(ip("10.0.0.1"), 0),
        proxy: None,
        state: SaState::Mature,
        replay: 0,
        auth: 0,
        encrypt: 0,
        flags: 0,
        inbound: false,
        hard: Default::default(),
        soft: Default::default(),
        lifetime_form: LifetimeForm::WithPackets,
        key_auth: None,
        key_encrypt: None,
        ident_src: None,
        ident_dst: None,
        natt: NatT::default(),
        allocations: 1,
        added: Moment::default(),
    }
}

/// Bytes from hexadecimal digits with blanks and line ends between them.
pub fn unhex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text
        .chars()
        .filter(|c| !c.is_whitespace())
        .map(|c| c.to_digit(16).expect("a hexadecimal digit") as u8)
        .collect();
    digits
        .chunks(2)
        .map(|pair| pair[0] << 4 | pair[1])
        .collect()
}

/// Hexadecimal digits of bytes, in words.
pub fn hex(bytes: &[u8]) -> String {
    let words: Vec<String> = bytes
        .chunks(8)
        .map(|word| word.iter().map(|byte| format!("{byte:02x}")).collect())
        .collect();
    words.join(" ")
}

/// Numbers of messages.
pub mod msg {
    pub const GETSPI: u8 = 1;
    pub const UPDATE: u8 = 2;
    pub const ADD: u8 = 3;
    pub const DELETE: u8 = 4;
    pub const GET: u8 = 5;
    pub const ACQUIRE: u8 = 6;
    pub const REGISTER: u8 = 7;
    pub const EXPIRE: u8 = 8;
    pub const FLUSH: u8 = 9;
    pub const DUMP: u8 = 10;
    pub const PROMISC: u8 = 11;
    pub const PCHANGE: u8 = 12;
    pub const GRPSA: u8 = 13;
    pub const ADDFLOW: u8 = 14;
    pub const DELFLOW: u8 = 15;
    pub const DEBUG: u8 = 16;
    pub const NAT_T_NEW_MAPPING: u8 = 17;
    pub const PLUMBIF: u8 = 18;
    pub const UNPLUMBIF: u8 = 19;
}

/// Numbers of extensions.
pub mod ext {
    pub const SA: u16 = 1;
    pub const LIFETIME_CURRENT: u16 = 2;
    pub const LIFETIME_HARD: u16 = 3;
    pub const LIFETIME_SOFT: u16 = 4;
    pub const ADDRESS_SRC: u16 = 5;
    pub const ADDRESS_DST: u16 = 6;
    pub const ADDRESS_PROXY: u16 = 7;
    pub const KEY_AUTH: u16 = 8;
    pub const KEY_ENCRYPT: u16 = 9;
    pub const IDENTITY_SRC: u16 = 10;
    pub const IDENTITY_DST: u16 = 11;
    pub const SENSITIVITY: u16 = 12;
    pub const PROPOSAL: u16 = 13;
    pub const SUPPORTED_AUTH: u16 = 14;
    pub const SUPPORTED_ENCRYPT: u16 = 15;
    pub const SPIRANGE: u16 = 16;
    pub const KMPRIVATE: u16 = 17;
    pub const SATYPE2: u16 = 18;
    pub const SA2: u16 = 19;
    pub const ADDRESS_DST2: u16 = 20;
    pub const ADDRESS_SRC_FLOW: u16 = 21;
    pub const ADDRESS_DST_FLOW: u16 = 22;
    pub const ADDRESS_SRC_MASK: u16 = 23;
    pub const ADDRESS_DST_MASK: u16 = 24;
    pub const DEBUG: u16 = 25;
    pub const PROTOCOL: u16 = 26;
    pub const NAT_T_TYPE: u16 = 27;
    pub const NAT_T_SPORT: u16 = 28;
    pub const NAT_T_DPORT: u16 = 29;
    pub const NAT_T_OA: u16 = 30;
    pub const PLUMBIF: u16 = 31;
    pub const SAREF: u16 = 32;
    pub const GROUP: u16 = 48;
    pub const FAULT: u16 = 49;
}

/// An extension: header, whose length is right, and whatever follows, zeros added to a full word.
pub fn extension(number: u16, body: &[u8]) -> Vec<u8> {
    let words = (4 + body.len()).div_ceil(8);
    let mut bytes = Vec::new();
    bytes.extend((words as u16).to_ne_bytes());
    bytes.extend(number.to_ne_bytes());
    bytes.extend(body);
    bytes.resize(words * 8, 0);
    bytes
}

/// The 24 bytes of an SA extension, by its fields.
#[derive(Clone, Copy)]
pub struct RawSa {
    pub spi: u32,
    pub replay: u8,
    pub state: u8,
    pub auth: u8,
    pub encrypt: u8,
    pub flags: u32,
    pub sa_ref: u32,
}

impl RawSa {
    /// An SA as ADD has it.
    pub fn mature(spi: u32) -> Self {
        RawSa {
            state: 1,
            ..RawSa::naming(spi)
        }
    }

    /// Only an SPI.
    pub fn naming(spi: u32) -> Self {
        RawSa {
            spi,
            replay: 0,
            state: 0,
            auth: 0,
            encrypt: 0,
            flags: 0,
            sa_ref: 0,
        }
    }

    /// The extension.
    pub fn ext(self, number: u16) -> Vec<u8> {
        let mut body = Vec::new();
        body.extend(self.spi.to_be_bytes());
        body.extend([self.replay, self.state, self.auth, self.encrypt]);
        body.extend(self.flags.to_ne_bytes());
        body.extend(self.sa_ref.to_ne_bytes());
        body.extend([0; 4]);
        extension(number, &body)
    }

    /// The extension in its 16-byte form.
    pub fn short_ext(self, number: u16) -> Vec<u8> {
        extension(number, &self.ext(number)[4..16])
    }
}

/// An address extension.
pub fn address(number: u16, ip: IpAddr, port: u16) -> Vec<u8> {
    let mut body = vec![0; 4];
    match ip {
        IpAddr::V4(ip) => {
            body.extend(2u16.to_ne_bytes());
            body.extend(port.to_be_bytes());
            body.extend(ip.octets());
            body.extend([0; 8]);
        }
        IpAddr::V6(ip) => {
            body.extend(10u16.to_ne_bytes());
            body.extend(port.to_be_bytes());
            body.extend([0; 4]);
            body.extend(ip.octets());
            body.extend([0; 4]);
        }
    }
    extension(number, &body)
}

/// A key extension, the key being `byte` over and over.
pub fn key(number: u16, bits: u16, byte: u8) -> Vec<u8> {
    let mut body = Vec::new();
    body.extend(bits.to_ne_bytes());
    body.extend([0; 2]);
    body.extend(vec![byte; usize::from(bits).div_ceil(8)]);
    extension(number, &body)
}

/// An identity extension.
pub fn identity(number: u16, kind: u16, id: u64, text: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    body.extend(kind.to_ne_bytes());
    body.extend([0; 2]);
    body.extend(id.to_ne_bytes());
    body.extend(text);
    extension(number, &body)
}

/// A lifetime extension of 40 bytes.
pub fn lifetime(number: u16, limits: [u64; 5]) -> Vec<u8> {
    let [allocations, packets, bytes, addtime, usetime] = limits;
    let mut body = Vec::new();
    body.extend((allocations as u32).to_ne_bytes());
    body.extend(bytes.to_ne_bytes());
    body.extend(addtime.to_ne_bytes());
    body.extend(usetime.to_ne_bytes());
    body.extend((packets as u32).to_ne_bytes());
    body.extend([0; 4]);
    extension(number, &body)
}

/// A lifetime extension of 32 bytes.
pub fn short_lifetime(number: u16, limits: [u64; 5]) -> Vec<u8> {
    extension(number, &lifetime(number, limits)[4..32])
}

/// The extension for a list of SAs.
pub fn group(saids: &[Said]) -> Vec<u8> {
    let mut body = vec![saids.len() as u8, 0, 0, 0];
    for said in saids {
        body.extend(said.spi.to_be_bytes());
        body.extend([satype(said.proto), 0]);
        match said.dst {
            IpAddr::V4(ip) => {
                body.extend(2u16.to_ne_bytes());
                body.extend(ip.octets());
                body.extend([0; 12]);
            }
            IpAddr::V6(ip) => {
                body.extend(10u16.to_ne_bytes());
                body.extend(ip.octets());
            }
        }
    }
    extension(ext::GROUP, &body)
}

/// A message, its length right.
pub fn message(msg_type: u8, satype: u8, exts: &[Vec<u8>]) -> Vec<u8> {
    message_of(msg_type, satype, 7, 1234, exts)
}

/// A message with sequence number and process ID.
pub fn message_of(msg_type: u8, satype: u8, seq: u32, pid: u32, exts: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = vec![2, msg_type, 0, satype, 0, 0, 0, 0];
    bytes.extend(seq.to_ne_bytes());
    bytes.extend(pid.to_ne_bytes());
    bytes.extend(exts.concat());
    fix_len(&mut bytes);
    bytes
}

/// Sets the length of a message to what it is.
pub fn fix_len(bytes: &mut [u8]) {
    let words = (bytes.len() / 8) as u16;
    bytes[4..6].copy_from_slice(&words.to_ne_bytes());
}

/// A message's extensions, by number.
pub fn exts_of(bytes: &[u8]) -> Vec<(u16, Vec<u8>)> {
    let mut exts = Vec::new();
    let mut rest = &bytes[16..];
    while !rest.is_empty() {
        let len = usize::from(u16::from_ne_bytes([rest[0], rest[1]])) * 8;
        let (ext, after) = rest.split_at(len);
        exts.push((u16::from_ne_bytes([ext[2], ext[3]]), ext.to_vec()));
        rest = after;
    }
    exts
}

/// The 16-byte message that tells of an error.
pub fn error_message(request: &[u8], errno: Errno) -> Vec<u8> {
    let mut bytes = request[..16].to_vec();
    bytes[2] = errno.0;
    fix_len(&mut bytes);
    bytes
}

/// Source of all SAs of the following requests.
pub fn source() -> Vec<u8> {
    address(ext::ADDRESS_SRC, ip("10.0.0.1"), 0)
}

/// Extensions that name an SA.
pub fn naming(said: Said) -> [Vec<u8>; 3] {
    [
        RawSa::naming(said.spi).ext(ext::SA),
        source(),
        address(ext::ADDRESS_DST, said.dst, 0),
    ]
}

/// ADD: HMAC-MD5 for AH, 3DES with HMAC-MD5 for ESP, DEFLATE for COMP.
pub fn add(said: Said) -> Vec<u8> {
    let (auth, encrypt) = match said.proto {
        Proto::Ah => (2, 0),
        Proto::Esp => (2, 3),
        Proto::Comp => (0, 2),
        Proto::Tun | Proto::Int => (0, 0),
    };
    let mut exts = naming(said).to_vec();
    exts[0] = RawSa {
        auth,
        encrypt,
        ..RawSa::mature(said.spi)
    }
    .ext(ext::SA);
    if auth != 0 {
        exts.push(key(ext::KEY_AUTH, 128, 0x5e));
    }
    if encrypt == 3 {
        exts.push(key(ext::KEY_ENCRYPT, 192, 0x5c));
    }
    message(msg::ADD, satype(said.proto), &exts)
}

/// DELETE.
pub fn delete(said: Said) -> Vec<u8> {
    message(msg::DELETE, satype(said.proto), &naming(said))
}

/// GET.
pub fn get(said: Said) -> Vec<u8> {
    message(msg::GET, satype(said.proto), &naming(said))
}

/// FLUSH of an SA type, 0 for all.
pub fn flush(satype: u8) -> Vec<u8> {
    message(msg::FLUSH, satype, &[])
}

/// GRPSA that takes a group apart.
pub fn ungroup(said: Said) -> Vec<u8> {
    let [sa, _, dst] = naming(said);
    message(msg::GRPSA, satype(said.proto), &[sa, dst])
}

/// The three extensions of a pair's outer SA.
pub fn second(said: Said) -> [Vec<u8>; 3] {
    [
        extension(ext::SATYPE2, &[satype(said.proto), 0, 0, 0]),
        RawSa::naming(said.spi).ext(ext::SA2),
        address(ext::ADDRESS_DST2, said.dst, 0),
    ]
}

/// GRPSA of two.
pub fn pair(inner: Said, outer: Said) -> Vec<u8> {
    let [sa, _, dst] = naming(inner);
    let [satype2, sa2, dst2] = second(outer);
    message(
        msg::GRPSA,
        satype(inner.proto),
        &[sa, dst, satype2, sa2, dst2],
    )
}

/// GRPSA of a list, inside to outside.
pub fn list(saids: &[Said]) -> Vec<u8> {
    let [sa, _, dst] = naming(saids[0]);
    message(
        msg::GRPSA,
        satype(saids[0].proto),
        &[sa, dst, group(&saids[1..])],
    )
}

/// Writes a request that has to succeed, and returns what both sockets read.
pub fn answers(host: &TestHost, request: &[u8]) -> Vec<Vec<u8>> {
    host.drain();
    assert_eq!(host.write(request), Ok(()), "{}", hex(request));
    host.check();
    let read = host.read(A);
    assert_eq!(host.read(B), read, "both sockets read the same");
    read
}

/// The one answer to a request that has to succeed.
pub fn answer(host: &TestHost, request: &[u8]) -> Vec<u8> {
    let mut read = answers(host, request);
    assert_eq!(read.len(), 1, "one answer");
    read.remove(0)
}

/// Checks that a request fails: with this errno, with the message of it at both sockets, and
/// without a change.
pub fn refused(host: &TestHost, request: &[u8], errno: Errno) {
    refused_with(host, request, errno, None);
}

/// The same, with a fault in the message.
pub fn refused_with(host: &TestHost, request: &[u8], errno: Errno, fault: Option<(u8, u8)>) {
    host.drain();
    let before = (host.spigrp(), host.spi());
    assert_eq!(host.write(request), Err(errno), "{}", hex(request));
    host.check();
    assert_eq!((host.spigrp(), host.spi()), before, "nothing changes");
    let mut want = error_message(request, errno);
    if let Some((member, reason)) = fault {
        want.extend(extension(ext::FAULT, &[member, reason, 0, 0]));
        fix_len(&mut want);
    }
    for socket in [A, B] {
        let read = host.read(socket);
        assert_eq!(read.len(), 1, "one message");
        assert_eq!(hex(&read[0]), hex(&want));
    }
}

/// Checks that a request fails with an errno only.
pub fn refused_silently(host: &TestHost, request: &[u8], errno: Errno) {
    host.drain();
    let before = host.spigrp();
    assert_eq!(host.write(request), Err(errno), "{}", hex(request));
    assert_eq!(host.spigrp(), before);
    assert!(host.deliveries().is_empty(), "nobody is told");
}
