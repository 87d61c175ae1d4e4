// SPDX-License-Identifier: GPL-2.0

//! A [`TestHost`] in the place of the kernel.

use crate::engine::TestEngine;
use klips::{
    change,
    errno::Errno,
    klips_core::interface::Interface,
    listing::{End, Listing, Page},
    memory::{self, OutOfMemory},
    netns::{Attached, Clock, Host, State},
    pfkey::{Header, MsgType},
    post::{Awaited, Delivery, Post, SocketId, SocketInfo},
    request,
    sadb::{HashKey, Moment},
};
use model::wire::hex;
use std::{
    cell::{Cell, RefCell},
    collections::{BTreeSet, HashMap, HashSet, VecDeque},
    fmt,
    net::IpAddr,
    ops::{Deref, DerefMut},
    sync::{Mutex, MutexGuard},
};

/// A socket of a [`TestHost`].
pub type Socket = u32;

/// The first socket of every [`TestHost`].
pub const A: Socket = 1;
/// The second one.
pub const B: Socket = 2;

/// What a [`TestHost`] does when a request lets others run.
type OnResched = Box<dyn Fn(&TestHost)>;

/// A namespace with sockets whose queues can be read, addresses and a clock that can be set.
pub struct TestHost {
    state: Mutex<State<TestHost>>,
    /// The packet engine.
    pub engine: TestEngine,
    queues: RefCell<HashMap<Socket, VecDeque<Vec<u8>>>>,
    deliveries: RefCell<Vec<Socket>>,
    /// Sockets whose queue is full.
    pub full: RefCell<HashSet<Socket>>,
    /// How many messages a queue has room for.
    pub room: Cell<usize>,
    /// Messages lost, by socket.
    pub lost: RefCell<HashMap<Socket, u64>>,
    /// What sockets have been told of losses, each time they were.
    pub told_losses: RefCell<Vec<Socket>>,
    /// Sockets that are waited for to read, and what for.
    pub awaited: RefCell<HashMap<Socket, Awaited>>,
    /// What the engine knows sockets by.
    ids: RefCell<HashMap<Socket, SocketId>>,
    /// Whether the process that asks has been killed.
    pub killed: Cell<bool>,
    /// Whether the kernel's worker may go on with long work at once.
    pub may_go_on: Cell<bool>,
    /// When limits of SAs have to be looked at.
    pub wake: Cell<Option<u64>>,
    /// Source of random numbers.
    pub seed: Cell<u64>,
    /// Whether requests are logged.
    pub traced: Cell<bool>,
    /// What has been logged.
    pub logged: RefCell<Vec<String>>,
    /// Addresses of this host.
    pub local: RefCell<Vec<IpAddr>>,
    /// Whether interfaces are to be looked at again.
    pub look_at_interfaces: Cell<bool>,
    /// Routes that are wanted, and not made yet.
    wanted_routes: RefCell<BTreeSet<(IpAddr, IpAddr, u32)>>,
    /// Own addresses, and the peers that are reached from there around an interface.
    routes: RefCell<BTreeSet<(IpAddr, IpAddr, u32)>>,
    /// What is below interfaces, by what they are known by.
    pub attached: RefCell<HashMap<u32, Attached>>,
    /// Interfaces that are attached to none.
    pub unattached: RefCell<BTreeSet<Interface>>,
    /// The time.
    pub clock: Cell<Moment>,
    /// What room for messages is full of before they are written.
    pub poison: Cell<u8>,
    /// How often a request has let others run.
    pub reschedules: Cell<usize>,
    /// Whether the module has to stay.
    pub in_use: Cell<bool>,
    /// What happens meanwhile.
    pub on_resched: RefCell<Option<OnResched>>,
    /// What happens once, while a message gets its memory.
    pub on_draft: RefCell<Option<OnResched>>,
    /// How many SAs were in the table and how many keys in memory, each time a request unlocked the
    /// state.
    pub at_unlock: RefCell<Vec<(usize, usize)>>,
}

/// The state, locked by a request.
pub struct Guard<'a> {
    host: &'a TestHost,
    state: MutexGuard<'a, State<TestHost>>,
}

impl Deref for Guard<'_> {
    type Target = State<TestHost>;

    fn deref(&self) -> &Self::Target {
        &self.state
    }
}

impl DerefMut for Guard<'_> {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.state
    }
}

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        let counts = (self.sadb.len(), memory::secrets());
        self.host.at_unlock.borrow_mut().push(counts);
    }
}

impl TestHost {
    /// A host with sockets [`A`] and [`B`], opened in this order.
    pub fn new() -> Self {
        let host = TestHost {
            state: Mutex::new(State::new(HashKey([
                0x0123_4567_89ab_cdef,
                0xfedc_ba98_7654_3210,
            ]))),
            engine: TestEngine::default(),
            queues: RefCell::default(),
            deliveries: RefCell::default(),
            full: RefCell::default(),
            room: Cell::new(usize::MAX),
            lost: RefCell::default(),
            told_losses: RefCell::default(),
            awaited: RefCell::default(),
            ids: RefCell::default(),
            killed: Cell::new(false),
            may_go_on: Cell::new(true),
            wake: Cell::new(None),
            seed: Cell::new(88_172_645_463_325_252),
            traced: Cell::new(false),
            logged: RefCell::default(),
            local: RefCell::default(),
            look_at_interfaces: Cell::new(false),
            wanted_routes: RefCell::default(),
            routes: RefCell::default(),
            attached: RefCell::default(),
            unattached: RefCell::default(),
            clock: Cell::new(Moment {
                real: 1_000_000_000,
                boot: 1000,
            }),
            poison: Cell::new(0xaa),
            reschedules: Cell::new(0),
            in_use: Cell::new(false),
            on_resched: RefCell::default(),
            on_draft: RefCell::default(),
            at_unlock: RefCell::default(),
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
        let id = self.state().listeners.open(socket).unwrap();
        self.ids.borrow_mut().insert(socket, id);
    }

    /// What the engine knows a socket by, also once it is closed; something else if it never was open.
    pub fn id(&self, socket: Socket) -> SocketId {
        let id = self.ids.borrow().get(&socket).copied();
        id.unwrap_or_else(|| SocketId::from_number(1 << 40).expect("not 0"))
    }

    /// Closes a socket.
    pub fn close(&self, socket: Socket) {
        let id = self.id(socket);
        self.state().close(self, id);
        // Goes with the socket.
        self.awaited.borrow_mut().remove(&socket);
    }

    /// Submits a request from [`A`].
    pub fn write(&self, bytes: &[u8]) -> Result<(), Errno> {
        self.write_from(A, bytes)
    }

    /// Submits a request from any open socket.
    pub fn write_from(&self, socket: Socket, bytes: &[u8]) -> Result<(), Errno> {
        let header = Header::parse(bytes)?;
        request::submit(self, self.id(socket), header, bytes)
    }

    /// Whether a socket is waited for to go on with a DUMP.
    pub fn is_dumping(&self, socket: Socket) -> bool {
        self.awaited.borrow().get(&socket) == Some(&Awaited::ForDump)
    }

    /// How many messages an open socket has lost.
    pub fn lost(&self, socket: Socket) -> u64 {
        let state = self.state();
        let listener = state.listeners.by_number(self.id(socket).number());
        let unknown = listener.map_or(0, |listener| state.listeners.lost(listener));
        let known = self.lost.borrow().get(&socket).copied().unwrap_or(0);
        unknown + known
    }

    /// Submits a request from [`A`] that has to succeed, and forgets the replies.
    pub fn set_up(&self, bytes: &[u8]) {
        assert_eq!(self.write(bytes), Ok(()), "set-up {}", hex(bytes));
        self.drain();
    }

    /// Takes one message out of a socket's queue.
    pub fn read_one(&self, socket: Socket) -> Option<Vec<u8>> {
        let message = self.queues.borrow_mut().get_mut(&socket)?.pop_front();
        let is_awaited = self.awaited.borrow().contains_key(&socket);
        if is_awaited && !self.is_full(&socket) {
            request::has_read(self, self.id(socket));
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

    /// `/proc/net/ipsec_eroute`.
    pub fn eroute(&self) -> String {
        self.listing(Listing::Eroute)
    }

    /// `/proc/net/ipsec/eroute/dropped`.
    pub fn dropped(&self) -> String {
        self.listing(Listing::ErouteDropped)
    }

    /// The whole of a file, line by line.
    pub fn listing(&self, file: Listing) -> String {
        let mut text = String::new();
        let mut position = 0;
        while let Some((line, next)) = self.line(file, position) {
            assert!(next > position, "a listing moves on");
            text += &line;
            position = next;
        }
        text
    }

    /// The first line of a file at a position or after, and the position after it.
    pub fn line(&self, file: Listing, position: u64) -> Option<(String, u64)> {
        let mut text = Lines(String::new());
        let next = file.line(self, &self.state(), self.now(), position, &mut text)?;
        Some((text.0, next.expect("a String has room")))
    }

    /// A page of a file, as one who reads it is given it; see [`Listing::page`].
    pub fn page(&self, file: Listing, position: u64, end: &mut u64) -> (String, End) {
        let mut text = Lines(String::new());
        let next = file.page(self, position, end, &mut text);
        (text.0, next)
    }

    /// Checks all invariants of the tables.
    pub fn check(&self) {
        let state = self.state();
        state.sadb.check();
        state.flows.check(&self.engine, &state.sadb);
        state.listeners.check();
        assert_eq!(self.in_use.get(), state.flows.is_in_use());
    }

    /// The kernel's workers deal with what has happened in the engine.
    pub fn work(&self) {
        while self.engine.takes_states_work() {
            change::states_changed(self);
        }
        while self.engine.takes_policies_work() {
            change::policies_changed(self);
        }
        if self.engine.takes_routes_work() {
            change::routes_changed(self);
        }
        if self.engine.has_told() {
            change::packets_told(self);
        }
        // What is left to tell is told a moment later.
        let now = self.clock.get().boot;
        while self.wake.get().is_some_and(|second| second <= now) {
            self.wake.set(None);
            change::limits_due(self);
        }
    }

    /// What goes around interfaces once the kernel's workers have dealt with what has happened: from
    /// where, to which peer, and around what.
    pub fn routes(&self) -> Vec<(IpAddr, IpAddr, u32)> {
        self.work();
        self.routes.borrow().iter().copied().collect()
    }

    /// Lets time pass, second by second where something is to be done.
    pub fn sleep(&self, seconds: u64) {
        let end = self.clock.get().boot + seconds;
        loop {
            self.work();
            let Moment { real, boot } = self.clock.get();
            let later = self.engine.has_later_work().then_some(boot + 1);
            let woken = self.wake.get().into_iter().chain(later).min();
            let woken = woken.filter(|second| *second <= end);
            let to = woken.unwrap_or(end).max(boot);
            if to > boot {
                self.engine.later_is_now();
            }
            self.clock.set(Moment {
                real: real + (to - boot),
                boot: to,
            });
            if woken.is_none() {
                break;
            }
            self.wake.set(None);
            change::limits_due(self);
        }
    }
}

/// Endless room for lines.
struct Lines(String);

impl fmt::Write for Lines {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        assert!(text.is_ascii(), "{text:?}");
        self.0.write_str(text)
    }
}

impl Page for Lines {
    fn written(&self) -> usize {
        self.0.len()
    }

    fn truncate(&mut self, len: usize) {
        self.0.truncate(len);
    }
}

impl Drop for TestHost {
    /// The namespace ends, and nothing of it stays in the engine.
    fn drop(&mut self) {
        if std::thread::panicking() {
            return;
        }
        memory::fail_after(None);
        self.on_resched.take();
        self.reschedules.set(0);
        change::end(self);
        let engine = &self.engine;
        assert_eq!(engine.listing(), "", "left in the engine");
        assert_eq!(engine.references(), (0, 0), "references that were kept");
        assert!(!self.in_use.get(), "the module has to go some day");
    }
}

impl Default for TestHost {
    fn default() -> Self {
        Self::new()
    }
}

/// Checks that the extensions of a message stand in ascending order of their numbers. Each handler
/// writes them one after the other by itself.
fn check_order(message: &[u8]) {
    let field = |bytes: &[u8], at: usize| u16::from_ne_bytes([bytes[at], bytes[at + 1]]);
    let (header, mut rest) = message.split_at(Header::SIZE);
    if header[1] == MsgType::Promisc as u8 && !rest.is_empty() {
        // What another was told.
        return check_order(rest);
    }
    let mut last = 0;
    while !rest.is_empty() {
        let (len, number) = (usize::from(field(rest, 0)) * 8, field(rest, 2));
        assert!(number > last, "{number} after {last} in {message:02x?}");
        (rest, last) = (&rest[len..], number);
    }
}

impl Host for TestHost {
    type Engine = TestEngine;
    type Guard<'a> = Guard<'a>;

    fn engine(&self) -> &TestEngine {
        &self.engine
    }

    fn lock(&self) -> Guard<'_> {
        let state = self.state.try_lock();
        Guard {
            host: self,
            state: state.expect("a request locks once at a time"),
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

    fn set_traced(&self, traced: bool) {
        self.traced.set(traced);
    }

    fn is_traced(&self) -> bool {
        self.traced.get()
    }

    fn log(&self, line: fmt::Arguments<'_>) {
        self.logged.borrow_mut().push(line.to_string());
    }

    fn look_at_interfaces_later(&self) {
        self.look_at_interfaces.set(true);
    }

    fn want_route(&self, own: IpAddr, peer: IpAddr, ifindex: u32) {
        self.wanted_routes.borrow_mut().insert((own, peer, ifindex));
    }

    fn settle_routes(&self) {
        self.routes.replace(self.wanted_routes.take());
    }

    fn attached(&self, ifindex: u32) -> Attached {
        let attached = self.attached.borrow();
        attached.get(&ifindex).copied().unwrap_or_default()
    }

    fn add_unattached(&self, interface: Interface) -> Result<(), Errno> {
        if self.unattached.borrow_mut().insert(interface) {
            Ok(())
        } else {
            Err(Errno::EEXIST)
        }
    }

    fn remove_unattached(&self, interface: Interface) -> bool {
        self.unattached.borrow_mut().remove(&interface)
    }

    fn has_unattached(&self, interface: Interface) -> bool {
        self.unattached.borrow().contains(&interface)
    }

    fn is_local(&self, ip: IpAddr) -> bool {
        self.local.borrow().contains(&ip)
    }

    fn set_in_use(&self, in_use: bool) {
        assert_ne!(self.in_use.replace(in_use), in_use, "told when it changes");
    }
}

impl Clock for TestHost {
    fn now(&self) -> Moment {
        self.clock.get()
    }

    fn wake_at(&self, second: Option<u64>) {
        self.wake.set(second);
    }

    fn cond_resched(&self) {
        assert!(
            self.state.try_lock().is_ok(),
            "nobody reschedules with the lock held"
        );
        self.reschedules.set(self.reschedules.get() + 1);
        assert!(self.reschedules.get() < 1_000_000, "a request has an end");
        // Taken out, so that what it does may reschedule in its turn.
        let on_resched = self.on_resched.take();
        if let Some(on_resched) = on_resched {
            on_resched(self);
            self.on_resched.replace(Some(on_resched));
        }
    }

    fn is_killed(&self) -> bool {
        self.killed.get()
    }

    fn may_go_on(&self) -> bool {
        self.may_go_on.get()
    }
}

impl Post for TestHost {
    type Socket = Socket;

    fn draft(&self, len: usize) -> Result<Vec<u8>, OutOfMemory> {
        if let Some(on_draft) = self.on_draft.take() {
            on_draft(self);
        }
        // Full of what must not get out.
        memory::filled(self.poison.get(), len)
    }

    fn deliver(&self, socket: &Socket, message: &[u8]) -> Delivery {
        assert!(
            self.state.try_lock().is_err(),
            "messages are delivered under the lock, in the order of changes"
        );
        check_order(message);
        self.deliveries.borrow_mut().push(*socket);
        if self.is_full(socket) {
            self.add_lost(socket, 1);
            return Delivery::Lost;
        }
        let mut queues = self.queues.borrow_mut();
        queues
            .entry(*socket)
            .or_default()
            .push_back(message.to_vec());
        Delivery::Done
    }

    fn tell_loss(&self, socket: &Socket) {
        self.told_losses.borrow_mut().push(*socket);
    }

    fn add_lost(&self, socket: &Socket, count: u64) {
        if count > 0 {
            *self.lost.borrow_mut().entry(*socket).or_default() += count;
        }
    }

    fn is_full(&self, socket: &Socket) -> bool {
        let queued = self.queues.borrow().get(socket).map_or(0, VecDeque::len);
        queued >= self.room.get() || self.full.borrow().contains(socket)
    }

    fn has_room(&self, socket: &Socket) -> bool {
        !self.is_full(socket)
    }

    fn await_room(&self, socket: &Socket, awaited: Option<Awaited>) {
        let mut sockets = self.awaited.borrow_mut();
        match awaited {
            Some(awaited) => sockets.insert(*socket, awaited),
            None => sockets.remove(socket),
        };
    }

    fn socket_info(&self, socket: &Socket) -> SocketInfo {
        SocketInfo {
            inode: 0x1000 + u64::from(*socket),
            pid: 30 + socket,
            err: 0,
            protocol: 2,
            sndbuf: 212_992,
            socket_type: 3,
            state: 1,
            lost: u32::try_from(self.lost.borrow().get(socket).copied().unwrap_or(0)).unwrap(),
        }
    }
}
