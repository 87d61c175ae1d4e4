// SPDX-License-Identifier: GPL-2.0

//! A [`TestEngine`] in the place of the kernel's xfrm.
//!
//! It fails where the kernel may fail, together with memory ([`memory::fail_after`]), and after
//! each call that changes it looks whether packets could get through that must not.

use klips::{
    engine::{Acquire, Engine, Event, Mapping},
    errno::Errno,
    klips_core::{
        fold::{Mode, Transform},
        interface::Interface,
        said::{Proto, Said},
        selector::{PRIORITY_BASE, Packet, Selector},
        xfrm::{
            Action, Algorithms, Direction, Encapsulation, Health, Limit, PolicySpec, StateSpec,
            Template, Templates, Usage,
        },
    },
    memory,
};
use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, BTreeSet, HashSet, VecDeque},
    fmt::{self, Write as _},
    net::{IpAddr, SocketAddr},
    rc::{Rc, Weak},
};

/// A state, keys included, which are what tells one that was made anew.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    /// Protocol.
    pub transform: Transform,
    /// SPI.
    pub spi: u32,
    /// Mode.
    pub mode: Mode,
    /// Source.
    pub src: IpAddr,
    /// Destination.
    pub dst: IpAddr,
    /// Reqid.
    pub reqid: u32,
    /// Of which interface's packets it is.
    pub if_id: u32,
    /// Replay window.
    pub replay: u8,
    /// Both keys.
    pub keys: [Vec<u8>; 2],
    /// UDP encapsulation.
    pub encapsulation: Option<Encapsulation>,
    /// Soft and hard limits.
    pub limits: [Limit; 2],
    /// What it has been used for.
    pub usage: Usage,
}

/// A policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// What was asked for.
    pub spec: PolicySpec,
}

/// What the engine has, by numbers that are never given twice.
#[derive(Default)]
struct Tables {
    next: u64,
    /// Made, whether inserted or not, and not given back.
    states: BTreeMap<u64, State>,
    policies: BTreeMap<u64, Policy>,
    inserted_states: BTreeSet<u64>,
    inserted_policies: BTreeSet<u64>,
    /// Policies that would be inserted had not somebody else removed them, or what they were to take
    /// the place of.
    missing_policies: BTreeSet<u64>,
    /// What has happened to states, and whether to any of them.
    events: VecDeque<Event>,
    any_state: bool,
    /// What the kernel's workers have to do.
    states_work: Option<When>,
    policies_work: Option<When>,
    routes_work: bool,
    /// Selectors for which packets may leave as they are.
    clear: HashSet<Selector>,
    /// Whether that is so of all of them.
    all_clear: bool,
    /// States and policies of others.
    foreign_states: HashSet<(IpAddr, u32, Transform)>,
    foreign_policies: HashSet<(Direction, Selector)>,
    /// Algorithms that the kernel lacks.
    lacking: HashSet<(u8, u8)>,
    /// Interfaces, what they are known by, and the addresses of what is below them.
    interfaces: BTreeMap<usize, (u32, Vec<IpAddr>)>,
    /// What was called.
    calls: Vec<String>,
    /// Whether anybody wants to be told what a %trap takes.
    accepts: bool,
    /// By reqid and hosts, what waits, and up to which second since boot.
    waiting: BTreeMap<(u32, IpAddr, IpAddr), u64>,
    /// References to what waits or has waited.
    waiting_references: usize,
    acquires: VecDeque<Acquire<Waiting>>,
    mappings: VecDeque<Mapping>,
}

/// When the kernel's worker does something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// At once.
    Now,
    /// In a second.
    Later,
}

/// Of how many events the engine remembers which state each was about.
pub const RING: usize = 64;

/// The engine.
#[derive(Clone, Default)]
pub struct TestEngine {
    tables: Rc<RefCell<Tables>>,
    held: Rc<Cell<bool>>,
}

/// A reference to a state or policy.
pub struct Handle {
    number: u64,
    tables: Rc<RefCell<Tables>>,
    is_state: bool,
}

impl Drop for Handle {
    fn drop(&mut self) {
        let mut tables = self.tables.borrow_mut();
        let inserted = if self.is_state {
            tables.states.remove(&self.number);
            tables.inserted_states.contains(&self.number)
        } else {
            tables.policies.remove(&self.number);
            tables.missing_policies.remove(&self.number);
            tables.inserted_policies.contains(&self.number)
        };
        assert!(
            !inserted || std::thread::panicking(),
            "what is in the engine is not forgotten"
        );
    }
}

/// A reference to what waits.
pub struct Waiting {
    key: (u32, IpAddr, IpAddr),
    tables: Weak<RefCell<Tables>>,
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if let Some(tables) = self.tables.upgrade() {
            tables.borrow_mut().waiting_references -= 1;
        }
    }
}

/// How long packets wait, in seconds.
pub const ACQ_EXPIRES: u64 = 30;

/// What becomes of a packet that leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It leaves as it is.
    Clear,
    /// It goes through states.
    Protected,
    /// It is dropped, and its sender is told.
    Dropped,
    /// It waits, or is dropped in silence.
    Waits,
}

/// Keeps others out.
pub struct Hold(Rc<Cell<bool>>);

impl Drop for Hold {
    fn drop(&mut self) {
        self.0.set(false);
    }
}

impl TestEngine {
    /// Whether an eroute may let its packets through as they are.
    pub fn expect_clear(&self, selector: Selector) {
        self.tables.borrow_mut().clear.insert(selector);
    }

    /// Any eroute may let its packets through as they are, for nobody knows what will be asked for.
    pub fn expect_all_clear(&self) {
        self.tables.borrow_mut().all_clear = true;
    }

    /// Somebody makes `ipsecN`, and this is known by `ifindex`; these are addresses of the one below it.
    pub fn add_interface(&self, number: usize, ifindex: u32, addresses: &[IpAddr]) {
        let mut tables = self.tables.borrow_mut();
        let interface = (ifindex, addresses.to_vec());
        tables.interfaces.insert(number, interface);
    }

    /// `ipsecN` goes.
    pub fn remove_interface(&self, number: usize) {
        self.tables.borrow_mut().interfaces.remove(&number);
    }

    /// Somebody else makes a state.
    pub fn add_foreign_state(&self, dst: IpAddr, spi: u32, transform: Transform) {
        let mut tables = self.tables.borrow_mut();
        tables.foreign_states.insert((dst, spi, transform));
    }

    /// Somebody else makes a policy.
    pub fn add_foreign_policy(&self, direction: Direction, selector: Selector) {
        let mut tables = self.tables.borrow_mut();
        tables.foreign_policies.insert((direction, selector));
    }

    /// The kernel lacks these algorithms.
    pub fn lack(&self, auth: u8, encrypt: u8) {
        self.tables.borrow_mut().lacking.insert((auth, encrypt));
    }

    /// The states that are inserted, in the order in which they were made.
    pub fn states(&self) -> Vec<State> {
        let tables = self.tables.borrow();
        let inserted = tables.inserted_states.iter();
        inserted
            .map(|number| tables.states[number].clone())
            .collect()
    }

    /// The policies that are inserted, likewise.
    pub fn policies(&self) -> Vec<Policy> {
        let tables = self.tables.borrow();
        let inserted = tables.inserted_policies.iter();
        inserted
            .map(|number| tables.policies[number].clone())
            .collect()
    }

    /// How many states and policies have been made and not been given back.
    pub fn references(&self) -> (usize, usize) {
        let tables = self.tables.borrow();
        assert_eq!(tables.waiting_references, tables.acquires.len());
        (tables.states.len(), tables.policies.len())
    }

    /// What was called since the last time.
    pub fn calls(&self) -> Vec<String> {
        std::mem::take(&mut self.tables.borrow_mut().calls)
    }

    /// A packet goes through a state.
    pub fn pass(&self, spi: u32, bytes: u64) {
        let mut tables = self.tables.borrow_mut();
        let state = tables.states.values_mut().find(|state| state.spi == spi);
        let state = state.expect("a state that is there");
        let (usage, limits) = (&mut state.usage, state.limits);
        let before = usage.health;
        // Looked at before the packet counts, as in the kernel.
        let over = |limit: &Limit| {
            limit.packets != 0 && usage.packets > limit.packets
                || limit.bytes != 0 && usage.bytes > limit.bytes
        };
        let [soft, hard] = &limits;
        if over(hard) {
            usage.health = Health::Dead;
        } else if over(soft) {
            usage.health = Health::Dying;
        }
        if usage.health != Health::Dead {
            usage.bytes += bytes;
            usage.packets += 1;
            usage.sequence += 1;
        }
        if usage.health != before {
            let event = Event::State(name_of(state));
            tables.happens(event);
        }
    }

    /// The first and the last packet went through a state in these seconds since the epoch.
    pub fn used(&self, spi: u32, first: u64, last: u64) {
        let mut tables = self.tables.borrow_mut();
        let state = tables.states.values_mut().find(|state| state.spi == spi);
        let usage = &mut state.expect("a state that is there").usage;
        (usage.use_time, usage.last_used) = (first, last);
    }

    /// A packet is to leave at a second since boot.
    pub fn send(&self, packet: &Packet, now: u64) -> Fate {
        let policies = self.policies();
        let matching = policies
            .iter()
            .map(|policy| &policy.spec)
            .filter(|spec| spec.direction == Direction::Out && takes(spec, packet));
        let Some(spec) = matching.min_by_key(|spec| spec.priority) else {
            return Fate::Clear;
        };
        let template = match (spec.action, spec.templates.iter().next()) {
            (Action::Block, _) => return Fate::Dropped,
            (Action::Allow, None) => return Fate::Clear,
            (Action::Allow, Some(template)) => template,
        };
        if !is_waited_for(template.reqid) {
            return Fate::Protected;
        }
        let mut tables = self.tables.borrow_mut();
        let key = (template.reqid, packet.src, packet.dst);
        let waits = tables.waiting.get(&key).is_some_and(|until| *until > now);
        let is_trap = template.reqid & 0x4000_0000 == 0;
        if is_trap && tables.accepts && !waits {
            let until = now + ACQ_EXPIRES;
            tables.waiting.insert(key, until);
            tables.waiting_references += 1;
            tables.acquires.push_back(Acquire {
                reqid: template.reqid,
                src: SocketAddr::new(packet.src, packet.sport),
                dst: SocketAddr::new(packet.dst, packet.dport),
                proto: packet.proto,
                until,
                waiting: Waiting {
                    key,
                    tables: Rc::downgrade(&self.tables),
                },
            });
        }
        Fate::Waits
    }

    /// Whether packets have told anything that nobody has heard of.
    pub fn has_told(&self) -> bool {
        let tables = self.tables.borrow();
        !tables.acquires.is_empty() || !tables.mappings.is_empty()
    }

    /// How many pairs of hosts the engine itself keeps from asking again, the time being out or not.
    pub fn waiting(&self) -> usize {
        self.tables.borrow().waiting.len()
    }

    /// Packets of an SA behind NAT come from elsewhere.
    pub fn map(&self, said: Said, from: SocketAddr) {
        self.tables.borrow_mut().mappings.push_back(Mapping {
            said,
            src: from.ip(),
            sport: from.port(),
        });
    }

    /// Somebody else takes a state out.
    pub fn take(&self, spi: u32) {
        let mut tables = self.tables.borrow_mut();
        let state = tables.states.values_mut().find(|state| state.spi == spi);
        let state = state.expect("a state that is there");
        state.usage.health = Health::Dead;
        let event = Event::State(name_of(state));
        tables.happens(event);
    }

    /// Somebody else takes all states out.
    pub fn flush_states(&self) {
        let mut tables = self.tables.borrow_mut();
        for state in tables.states.values_mut() {
            state.usage.health = Health::Dead;
        }
        tables.foreign_states.clear();
        tables.happens(Event::AnyState);
    }

    /// Somebody else takes a policy out. Whether it was there.
    pub fn take_policy(&self, direction: Direction, selector: Selector) -> bool {
        let mut tables = self.tables.borrow_mut();
        let tables = &mut *tables;
        let found = tables.inserted_policies.iter().copied().find(|number| {
            let spec = &tables.policies[number].spec;
            place(spec) == Some((direction, selector))
        });
        if let Some(number) = found {
            tables.inserted_policies.remove(&number);
            tables.missing_policies.insert(number);
        }
        tables.policies_work.get_or_insert(When::Now);
        found.is_some()
    }

    /// Somebody else puts a policy in the place of whatever there is.
    pub fn replace_policy(&self, direction: Direction, selector: Selector) {
        self.take_policy(direction, selector);
        self.add_foreign_policy(direction, selector);
    }

    /// Somebody else takes all policies out.
    pub fn flush_policies(&self) {
        let mut tables = self.tables.borrow_mut();
        let taken = std::mem::take(&mut tables.inserted_policies);
        tables.missing_policies.extend(taken);
        tables.foreign_policies.clear();
        tables.policies_work.get_or_insert(When::Now);
    }

    /// Whether the kernel's worker has to look at states now, which it then does.
    pub fn takes_states_work(&self) -> bool {
        let work = &mut self.tables.borrow_mut().states_work;
        work.take_if(|when| *when == When::Now).is_some()
    }

    /// The same of policies.
    pub fn takes_policies_work(&self) -> bool {
        let work = &mut self.tables.borrow_mut().policies_work;
        work.take_if(|when| *when == When::Now).is_some()
    }

    /// The same of routes.
    pub fn takes_routes_work(&self) -> bool {
        std::mem::take(&mut self.tables.borrow_mut().routes_work)
    }

    /// What the kernel's workers have to do later.
    pub fn has_later_work(&self) -> bool {
        let tables = self.tables.borrow();
        [tables.states_work, tables.policies_work].contains(&Some(When::Later))
    }

    /// A second has passed.
    pub fn later_is_now(&self) {
        let mut tables = self.tables.borrow_mut();
        let tables = &mut *tables;
        for work in [&mut tables.states_work, &mut tables.policies_work] {
            *work = work.map(|_| When::Now);
        }
    }

    /// What `ip xfrm` would show: states, then policies, each sorted, so that two engines can be
    /// compared.
    pub fn listing(&self) -> String {
        let states = self.states();
        let policies = self.policies();
        let mut lines: Vec<String> = states.iter().map(describe_state).collect();
        lines.sort();
        let mut policies: Vec<String> = policies.iter().map(describe_policy).collect();
        policies.sort();
        lines.extend(policies);
        lines.iter().map(|line| format!("{line}\n")).collect()
    }

    fn called(&self, call: fmt::Arguments<'_>) {
        assert!(self.held.get(), "{call} without the lock of others");
        self.tables.borrow_mut().calls.push(call.to_string());
    }

    fn fail(&self) -> Result<(), Errno> {
        // Counts as an allocation.
        memory::boxed(|| ()).map(drop).map_err(|_| Errno::ENOMEM)
    }

    /// Puts a policy in the place of another, which takes memory where that is not there any more.
    fn take_over(&self, number: u64, is_there: bool) {
        if !is_there && self.fail().is_err() {
            self.tables.borrow_mut().missing_policies.insert(number);
            self.look_at_policies_later();
            return;
        }
        self.tables.borrow_mut().take_over(number);
        self.check();
    }

    fn set_action(&self, policy: &Handle, action: Action, call: &str) {
        assert!(self.held.get(), "{call} without the lock of others");
        let number = policy.number;
        let mut tables = self.tables.borrow_mut();
        let mut spec = tables.policies[&number].spec;
        let is_known = tables.inserted_policies.contains(&number);
        if spec.action != action && (is_known || tables.missing_policies.contains(&number)) {
            spec.action = Action::Allow;
            let call = format!("{call} {}", describe_policy(&Policy { spec }));
            tables.calls.push(call);
        }
        spec.action = action;
        tables.policies.insert(number, Policy { spec });
        drop(tables);
        self.check();
    }

    fn name_state(&self, number: u64) -> String {
        describe_state(&self.tables.borrow().states[&number])
    }

    fn name_policy(&self, number: u64) -> String {
        describe_policy(&self.tables.borrow().policies[&number])
    }

    /// What has to be so at any moment.
    fn check(&self) {
        let tables = self.tables.borrow();
        let states: Vec<&State> = tables
            .inserted_states
            .iter()
            .map(|number| &tables.states[number])
            .collect();
        let mut seen = HashSet::new();
        for number in &tables.inserted_policies {
            let policy = &tables.policies[number];
            let spec = &policy.spec;
            assert!(
                seen.insert((
                    spec.direction,
                    spec.if_id,
                    spec.selector,
                    spec.fragments_of,
                    is_first(spec)
                )),
                "two policies: {}",
                describe_policy(policy)
            );
            if spec.action == Action::Block {
                continue;
            }
            assert_eq!(spec.fragments_of, None, "whose they are is not known");
            if is_first(spec) && !spec.templates.is_empty() {
                // Between two tunnels; what comes out of the inner one meets another policy.
                assert!([50, 51, 108].contains(&spec.selector.proto));
                assert_eq!(spec.direction, Direction::In);
                continue;
            }
            if is_first(spec) {
                // IKE, and nothing else.
                let port = match spec.direction {
                    Direction::Out => spec.selector.sport,
                    _ => spec.selector.dport,
                };
                assert_eq!(spec.selector.proto, 17);
                assert!(spec.direction != Direction::Forward && [500, 4500].contains(&port));
                continue;
            }
            if spec.templates.is_empty() {
                let expected = tables.all_clear || tables.clear.contains(&spec.selector);
                assert!(
                    expected && spec.direction == Direction::Out,
                    "cleartext: {}",
                    describe_policy(policy)
                );
            }
            for template in spec.templates.iter().filter(|it| !it.optional) {
                if is_waited_for(template.reqid) {
                    assert_eq!((spec.templates.len(), spec.direction), (1, Direction::Out));
                    continue;
                }
                assert!(
                    states
                        .iter()
                        .any(|state| state.if_id == spec.if_id && answers(state, template)),
                    "a template without a state: {}\n{:?}",
                    describe_policy(policy),
                    tables.calls,
                );
            }
        }
    }
}

impl Tables {
    /// Tells of an event.
    fn happens(&mut self, event: Event) {
        if event == Event::AnyState || self.events.len() == RING {
            self.any_state = true;
        } else {
            self.events.push_back(event);
        }
        self.states_work.get_or_insert(When::Now);
    }

    /// A policy takes the place of whatever policy of others there is.
    fn take_over(&mut self, number: u64) {
        if let Some(place) = place(&self.policies[&number].spec) {
            self.foreign_policies.remove(&place);
        }
        self.missing_policies.remove(&number);
        assert!(self.inserted_policies.insert(number), "only once");
    }
}

/// The SA that has a state.
fn name_of(state: &State) -> Said {
    Said {
        proto: match state.transform {
            Transform::Esp => Proto::Esp,
            Transform::Ah => Proto::Ah,
            Transform::Comp => Proto::Comp,
            Transform::IpIp | Transform::Ipv6 => Proto::Tun,
        },
        spi: state.spi,
        dst: state.dst,
    }
}

/// Whether a policy comes before all eroutes. The kernel tells its selector from theirs.
fn is_first(spec: &PolicySpec) -> bool {
    spec.priority < PRIORITY_BASE
}

/// Where policies of others may be, too: the selector of one for fragments is nobody else's.
fn place(spec: &PolicySpec) -> Option<(Direction, Selector)> {
    let place = (spec.direction, spec.selector);
    spec.fragments_of.is_none().then_some(place)
}

/// Whether a policy is for a packet.
fn takes(spec: &PolicySpec, packet: &Packet) -> bool {
    let has_no_ports = (packet.sport, packet.dport) == (0, 0);
    spec.selector.matches(packet) && (spec.fragments_of.is_none() || has_no_ports)
}

/// Whether a reqid is one that no state has.
fn is_waited_for(reqid: u32) -> bool {
    reqid & 0x2000_0000 != 0
}

/// Whether a state is what a template asks for.
fn answers(state: &State, template: &Template) -> bool {
    let is = |wanted: IpAddr, is: IpAddr| wanted.is_unspecified() || wanted == is;
    state.transform == template.transform
        && state.mode == template.mode
        && state.reqid == template.reqid
        && is(template.src, state.src)
        && is(template.dst, state.dst)
}

fn mode(mode: Mode) -> &'static str {
    match mode {
        Mode::Transport => "transport",
        Mode::Tunnel => "tunnel",
    }
}

fn transform(transform: Transform) -> String {
    format!("{transform:?}").to_lowercase()
}

/// `esp/tunnel 0x115 10.0.0.1>10.0.0.2 reqid 0x80000001`.
pub fn describe_state(state: &State) -> String {
    format!(
        "{}/{} {:#x} {}>{} reqid {:#x}",
        transform(state.transform),
        mode(state.mode),
        state.spi,
        state.src,
        state.dst,
        state.reqid
    ) + &describe_if_id(state.if_id)
}

/// ` ipsec0` of what belongs to that.
fn describe_if_id(if_id: u32) -> String {
    let interface = Interface::all().find(|interface| interface.if_id() == if_id);
    interface.map_or(String::new(), |interface| format!(" {interface}"))
}

/// `out 10.1.0.0/24>10.2.0.0/24 allow esp/tunnel reqid 0x80000001, ah/transport …`.
pub fn describe_policy(policy: &Policy) -> String {
    let spec = &policy.spec;
    let mut text = match spec.direction {
        Direction::In => "in ",
        Direction::Out => "out ",
        Direction::Forward => "fwd ",
    }
    .to_owned();
    let selector = &spec.selector;
    let _ = write!(text, "{}>{}", selector.src_text(), selector.dst_text());
    if selector.proto != 0 {
        let _ = write!(text, " proto {}", selector.proto);
    }
    if spec.fragments_of.is_some() {
        text += " fragments";
    }
    text += &describe_if_id(spec.if_id);
    text += match spec.action {
        Action::Allow => " allow",
        Action::Block => return text + " block",
    };
    for template in spec.templates.iter() {
        let _ = write!(
            text,
            " {}/{} reqid {:#x}{}",
            transform(template.transform),
            mode(template.mode),
            template.reqid,
            if template.optional { " use" } else { "" }
        );
    }
    text
}

impl Engine for TestEngine {
    type State = Handle;
    type Policy = Handle;
    type Waiting = Waiting;
    type Hold<'a> = Hold;

    fn hold(&self) -> Hold {
        assert!(!self.held.replace(true), "held once at a time");
        Hold(self.held.clone())
    }

    fn probe(&self, algorithms: &Algorithms) -> Result<(), Errno> {
        assert!(!self.held.get(), "modules are not loaded under a lock");
        self.fail()?;
        let lacking = &self.tables.borrow().lacking;
        if lacking.contains(&(algorithms.auth, algorithms.encrypt)) {
            return Err(Errno::ENOENT);
        }
        Ok(())
    }

    fn state_new(&self, spec: &StateSpec<'_>) -> Result<Handle, Errno> {
        self.fail()?;
        let mut tables = self.tables.borrow_mut();
        tables.next += 1;
        let number = tables.next;
        assert_eq!(spec.src.is_ipv4(), spec.dst.is_ipv4(), "one family");
        assert!(
            spec.mode == Mode::Transport || !spec.src.is_unspecified(),
            "a tunnel has a source"
        );
        assert_ne!(spec.reqid & 0x8000_0000, 0, "known as ours");
        assert!(
            !is_waited_for(spec.reqid),
            "packets wait for none like this"
        );
        let state = State {
            transform: spec.transform,
            spi: spec.spi,
            mode: spec.mode,
            src: spec.src,
            dst: spec.dst,
            reqid: spec.reqid,
            if_id: spec.if_id,
            replay: spec.replay,
            keys: [spec.key_auth, spec.key_encrypt].map(|key| key.bytes.to_vec()),
            encapsulation: spec.encapsulation,
            limits: [spec.soft, spec.hard],
            usage: Usage::default(),
        };
        tables.states.insert(number, state);
        drop(tables);
        self.called(format_args!("new {}", self.name_state(number)));
        Ok(Handle {
            number,
            tables: self.tables.clone(),
            is_state: true,
        })
    }

    fn is_taken(&self, dst: IpAddr, spi: u32, transform: Transform) -> bool {
        assert!(self.held.get());
        let tables = self.tables.borrow();
        tables.foreign_states.contains(&(dst, spi, transform))
    }

    fn state_insert(&self, state: &Handle) {
        self.called(format_args!("insert {}", self.name_state(state.number)));
        let mut tables = self.tables.borrow_mut();
        assert!(tables.inserted_states.insert(state.number), "only once");
        drop(tables);
        self.check();
    }

    fn state_swap(&self, old: &Handle, new: &Handle, carry: bool) {
        let carried = if carry { "" } else { " anew" };
        let (from, to) = (self.name_state(old.number), self.name_state(new.number));
        self.called(format_args!("swap{carried} {from} for {to}"));
        let mut tables = self.tables.borrow_mut();
        assert!(tables.inserted_states.remove(&old.number), "it is there");
        assert!(tables.inserted_states.insert(new.number), "only once");
        let before = tables.states[&old.number].clone();
        let after = tables.states.get_mut(&new.number).expect("it was made");
        let name = |state: &State| (state.dst, state.spi, state.transform);
        assert_eq!(name(&before), name(after), "of the same name");
        assert!(
            !carry || before.keys == after.keys,
            "sequence numbers go with the key"
        );
        after.usage = before.usage;
        if !carry {
            after.usage.sequence = 0;
        }
        drop(tables);
        self.check();
    }

    fn state_delete(&self, state: &Handle) {
        self.called(format_args!("delete {}", self.name_state(state.number)));
        let mut tables = self.tables.borrow_mut();
        assert!(tables.inserted_states.remove(&state.number), "it is there");
        drop(tables);
        self.check();
    }

    fn state_set_ports(&self, state: &Handle, sport: u16, dport: u16) {
        self.called(format_args!("ports {}", self.name_state(state.number)));
        let mut tables = self.tables.borrow_mut();
        let state = tables.states.get_mut(&state.number).expect("it was made");
        let encapsulation = state.encapsulation.as_mut().expect("encapsulated");
        (encapsulation.sport, encapsulation.dport) = (sport, dport);
    }

    fn usage(&self, state: &Handle) -> Usage {
        self.tables.borrow().states[&state.number].usage
    }

    fn policy_new(&self, spec: &PolicySpec) -> Result<Handle, Errno> {
        self.fail()?;
        let mut tables = self.tables.borrow_mut();
        tables.next += 1;
        let number = tables.next;
        tables.policies.insert(number, Policy { spec: *spec });
        drop(tables);
        self.called(format_args!("new {}", self.name_policy(number)));
        Ok(Handle {
            number,
            tables: self.tables.clone(),
            is_state: false,
        })
    }

    fn policy_insert(&self, policy: &Handle, over: bool) -> Result<(), Errno> {
        self.called(format_args!("insert {}", self.name_policy(policy.number)));
        self.fail()?;
        let mut tables = self.tables.borrow_mut();
        let spec = tables.policies[&policy.number].spec;
        if let Some(place) = place(&spec) {
            if !over && tables.foreign_policies.contains(&place) {
                return Err(Errno::EEXIST);
            }
            tables.foreign_policies.remove(&place);
        }
        assert!(tables.inserted_policies.insert(policy.number), "only once");
        drop(tables);
        self.check();
        Ok(())
    }

    fn policy_replace(&self, old: &Handle, new: &Handle) {
        let (from, to) = (self.name_policy(old.number), self.name_policy(new.number));
        self.called(format_args!("replace {from} by {to}"));
        let mut tables = self.tables.borrow_mut();
        let key = |policy: &Policy| {
            let spec = &policy.spec;
            let place = (spec.direction, spec.if_id, spec.selector);
            (place, spec.fragments_of, spec.priority)
        };
        let (before, after) = (&tables.policies[&old.number], &tables.policies[&new.number]);
        assert_eq!(key(before), key(after), "in the place of the other");
        let is_there = tables.inserted_policies.remove(&old.number);
        assert!(is_there || tables.missing_policies.contains(&old.number));
        drop(tables);
        self.take_over(new.number, is_there);
    }

    fn find_interface(&self, interface: Interface) -> Result<u32, Errno> {
        let tables = self.tables.borrow();
        let found = tables.interfaces.get(&interface.number());
        found.map(|(ifindex, _)| *ifindex).ok_or(Errno::ENODEV)
    }

    fn is_end_of(&self, ifindex: u32, own: IpAddr) -> bool {
        let tables = self.tables.borrow();
        let mut interfaces = tables.interfaces.values();
        interfaces.any(|(is, addresses)| *is == ifindex && addresses.contains(&own))
    }

    fn policy_has(&self, policy: &Handle, templates: &Templates) -> bool {
        assert!(self.held.get(), "policy_has without the lock of others");
        let tables = self.tables.borrow();
        let spec = &tables.policies[&policy.number].spec;
        // For whose states they are is not theirs.
        spec.templates.iter().eq(templates.iter())
    }

    fn policy_block(&self, policy: &Handle) {
        self.set_action(policy, Action::Block, "block");
    }

    fn policy_open(&self, policy: &Handle) {
        self.set_action(policy, Action::Allow, "open");
    }

    fn policy_delete(&self, policy: &Handle) {
        self.called(format_args!("delete {}", self.name_policy(policy.number)));
        let mut tables = self.tables.borrow_mut();
        assert!(
            tables.inserted_policies.remove(&policy.number)
                || tables.missing_policies.remove(&policy.number),
            "it is there, or was"
        );
        drop(tables);
        self.check();
    }

    fn policy_restore(&self, policy: &Handle) -> Result<bool, Errno> {
        assert!(self.held.get());
        let tables = self.tables.borrow();
        if tables.inserted_policies.contains(&policy.number) {
            return Ok(false);
        }
        assert!(tables.missing_policies.contains(&policy.number));
        drop(tables);
        // To make it anew, and to insert it.
        self.fail()?;
        self.fail()?;
        self.called(format_args!("restore {}", self.name_policy(policy.number)));
        self.tables.borrow_mut().take_over(policy.number);
        self.check();
        Ok(true)
    }

    fn next_event(&self) -> Option<Event> {
        let mut tables = self.tables.borrow_mut();
        if std::mem::take(&mut tables.any_state) {
            tables.events.clear();
            return Some(Event::AnyState);
        }
        tables.events.pop_front()
    }

    fn look_at_states_later(&self) {
        let mut tables = self.tables.borrow_mut();
        tables.any_state = true;
        tables.states_work.get_or_insert(When::Later);
    }

    fn look_at_routes(&self) {
        self.tables.borrow_mut().routes_work = true;
    }

    fn look_at_policies_later(&self) {
        let mut tables = self.tables.borrow_mut();
        tables.policies_work.get_or_insert(When::Later);
    }

    fn accept_acquires(&self, accept: bool) {
        self.tables.borrow_mut().accepts = accept;
    }

    fn next_acquire(&self) -> Option<Acquire<Waiting>> {
        self.tables.borrow_mut().acquires.pop_front()
    }

    fn stop_waiting(&self, waiting: &Waiting) {
        self.called(format_args!("stop {} > {}", waiting.key.1, waiting.key.2));
        self.tables.borrow_mut().waiting.remove(&waiting.key);
    }

    fn next_mapping(&self) -> Option<Mapping> {
        self.tables.borrow_mut().mappings.pop_front()
    }
}
