// SPDX-License-Identifier: GPL-2.0

//! Who is told what, whoever has overrun, come or gone, and in how many steps: nothing is told twice
//! or in another order, and what is not told is counted.

use klips::{
    change,
    errno::Errno,
    pfkey::{build, MsgType},
    post::{self, Audience},
};
use proptest::{prelude::*, sample::Index};
use std::collections::BTreeMap;
use testbed::*;

/// What is done next; sockets are chosen among those that are open.
#[derive(Clone, Debug)]
enum Step {
    Open,
    Close(Index),
    Register(Index, u8),
    Promiscuous(Index, bool),
    /// FLUSH of a type: told to all.
    Tell(Index),
    /// GET of what is not there: refused, and told to all.
    Refuse(Index),
    /// GET: told to one.
    Ask(Index),
    Fill(Index, bool),
    Read(Index),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let socket = any::<Index>;
    let step = prop_oneof![
        2 => Just(Step::Open),
        1 => socket().prop_map(Step::Close),
        1 => (socket(), 2..4_u8).prop_map(|(socket, satype)| Step::Register(socket, satype)),
        1 => (socket(), any::<bool>()).prop_map(|(socket, on)| Step::Promiscuous(socket, on)),
        4 => socket().prop_map(Step::Tell),
        1 => socket().prop_map(Step::Refuse),
        2 => socket().prop_map(Step::Ask),
        3 => (socket(), any::<bool>()).prop_map(|(socket, full)| Step::Fill(socket, full)),
        4 => socket().prop_map(Step::Read),
    ];
    prop::collection::vec(step, 1..60)
}

/// What a socket is meant to have been told, as the model has it.
#[derive(Default)]
struct Meant {
    /// Sequence numbers of what it was told.
    seqs: Vec<u32>,
    registered: [bool; 16],
    promiscuous: bool,
}

struct World {
    host: TestHost,
    meant: BTreeMap<Socket, Meant>,
    heard: BTreeMap<Socket, Vec<u32>>,
    next: Socket,
    seq: u32,
}

fn here() -> klips::said::Said {
    said("esp.1002@10.0.0.2")
}

impl World {
    fn new() -> Self {
        let host = TestHost::new();
        host.set_up(&add(here()));
        World {
            host,
            meant: [(A, Meant::default()), (B, Meant::default())].into(),
            heard: BTreeMap::new(),
            next: 3,
            seq: 0,
        }
    }

    fn choose(&self, index: Index) -> Option<Socket> {
        let open: Vec<Socket> = self.meant.keys().copied().collect();
        (!open.is_empty()).then(|| *index.get(&open))
    }

    /// Writes a request whose number tells it from all others, and notes who is to be told.
    fn write(
        &mut self,
        from: Socket,
        mut request: Vec<u8>,
        is_told: impl Fn(Socket, &Meant) -> bool,
    ) {
        self.seq += 1;
        request[8..12].copy_from_slice(&self.seq.to_ne_bytes());
        let _ = self.host.write_from(from, &request);
        for (socket, meant) in &mut self.meant {
            if is_told(*socket, meant) || meant.promiscuous {
                meant.seqs.push(self.seq);
            }
        }
    }

    /// Takes a message out of a queue, and notes which one it was.
    fn read(&mut self, socket: Socket) -> bool {
        let Some(message) = self.host.read_one(socket) else {
            return false;
        };
        // A copy has the whole message behind a header.
        let message = match message[1] {
            msg::PROMISC if message.len() > 16 => &message[16..],
            _ => &message[..],
        };
        let seq = u32::from_ne_bytes(message[8..12].try_into().unwrap());
        self.heard.entry(socket).or_default().push(seq);
        true
    }

    fn step(&mut self, step: &Step) {
        match *step {
            Step::Open => {
                self.host.open(self.next);
                self.meant.insert(self.next, Meant::default());
                self.next += 1;
            }
            Step::Close(index) => {
                if let Some(socket) = self.choose(index) {
                    self.check_one(socket);
                    self.host.close(socket);
                    self.meant.remove(&socket);
                }
            }
            Step::Register(index, satype) => {
                if let Some(socket) = self.choose(index) {
                    self.meant.get_mut(&socket).unwrap().registered[usize::from(satype)] = true;
                    self.write(socket, message(msg::REGISTER, satype, &[]), |_, meant| {
                        meant.registered[usize::from(satype)]
                    });
                }
            }
            Step::Promiscuous(index, on) => {
                if let Some(socket) = self.choose(index) {
                    self.meant.get_mut(&socket).unwrap().promiscuous = on;
                    self.write(socket, message(msg::PROMISC, on.into(), &[]), |it, _| {
                        it == socket
                    });
                }
            }
            Step::Tell(index) => {
                if let Some(socket) = self.choose(index) {
                    self.write(socket, flush(2), |_, _| true);
                }
            }
            Step::Refuse(index) => {
                if let Some(socket) = self.choose(index) {
                    self.write(socket, get(said("ah.7777@10.0.0.9")), |_, _| true);
                }
            }
            Step::Ask(index) => {
                if let Some(socket) = self.choose(index) {
                    self.write(socket, get(here()), |it, _| it == socket);
                }
            }
            Step::Fill(index, full) => {
                if let Some(socket) = self.choose(index) {
                    let mut sockets = self.host.full.borrow_mut();
                    if full {
                        sockets.insert(socket);
                    } else {
                        sockets.remove(&socket);
                    }
                }
            }
            Step::Read(index) => {
                if let Some(socket) = self.choose(index) {
                    self.read(socket);
                }
            }
        }
    }

    /// Reads all that a socket has, and compares.
    fn check_one(&mut self, socket: Socket) {
        while self.read(socket) {}
        let heard = self.heard.remove(&socket).unwrap_or_default();
        let meant = &self.meant[&socket].seqs;
        let mut rest = meant.iter();
        assert!(
            heard.iter().all(|seq| rest.any(|it| it == seq)),
            "socket {socket} heard {heard:?} of {meant:?}"
        );
        let lost = self.host.lost(socket) as usize;
        assert_eq!(
            heard.len() + lost,
            meant.len(),
            "socket {socket}, {lost} lost"
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn whatever_is_not_heard_is_counted(steps in steps(), room in 1..5_usize) {
        let mut world = World::new();
        world.host.room.set(room);
        for step in &steps {
            world.step(step);
        }
        let sockets: Vec<Socket> = world.meant.keys().copied().collect();
        for socket in sockets {
            world.check_one(socket);
        }
    }
}

#[test]
fn a_socket_that_has_overrun_is_not_looked_at_until_it_has_read() {
    let host = TestHost::new();
    host.room.set(2);
    for _ in 0..3 {
        host.write(&flush(0)).unwrap();
        host.read(A);
    }
    host.deliveries();
    assert_eq!(host.lost(B), 1);
    for _ in 0..100 {
        host.write(&flush(0)).unwrap();
        host.read(A);
    }
    assert_eq!(host.deliveries(), [A; 100]);
    assert_eq!((host.lost(B), host.told_losses.borrow().len()), (101, 1));
    // It has read one: there is room for one, and then it is full again.
    host.read_one(B);
    host.write(&flush(0)).unwrap();
    host.write(&flush(0)).unwrap();
    assert_eq!(host.deliveries(), [B, A, B, A]);
    assert_eq!((host.lost(B), host.told_losses.borrow().len()), (102, 2));
}

/// As many sockets as are told in some steps.
const MANY: u32 = 1000;

fn crowd() -> TestHost {
    let host = TestHost::new();
    (3..=MANY).for_each(|socket| host.open(socket));
    host
}

#[test]
fn many_sockets_are_told_in_steps_and_others_have_their_turn() {
    let host = crowd();
    // Whoever asks in the middle is answered, and in the right order.
    host.on_resched.replace(Some(Box::new(|host| {
        if host.reschedules.get() == 1 {
            host.write_from(7, &get(said("esp.1002@10.0.0.2"))).unwrap();
        }
        if host.reschedules.get() == 2 {
            host.write_from(8, &add(said("esp.1003@10.0.0.2"))).unwrap();
        }
    })));
    host.write(&add(said("esp.1002@10.0.0.2"))).unwrap();
    assert!(
        host.reschedules.get() >= 3,
        "{} reschedules",
        host.reschedules.get()
    );
    for socket in 1..=MANY {
        let told = host.read(socket);
        let types: Vec<u8> = told.iter().map(|message| message[1]).collect();
        let want: &[u8] = match socket {
            7 => &[msg::ADD, msg::GET, msg::ADD],
            _ => &[msg::ADD, msg::ADD],
        };
        assert_eq!(types, want, "socket {socket}");
        assert_eq!(told[0][16 + 4..16 + 8], [0, 0, 0x10, 2]);
    }
}

#[test]
fn sockets_come_and_go_and_overrun_while_others_are_told() {
    let host = crowd();
    host.on_resched
        .replace(Some(Box::new(|host| match host.reschedules.get() {
            1 => {
                // Those whose turn it is next, and some that have had theirs.
                for socket in (700..760).chain(MANY - 10..MANY) {
                    host.close(socket);
                }
                host.open(2000);
            }
            2 => host.full.borrow_mut().extend(1..300),
            _ => (),
        })));
    host.write(&flush(0)).unwrap();
    for socket in 300..700 {
        assert_eq!(host.read(socket).len(), 1, "socket {socket}");
    }
    assert_eq!(host.read(2000), [[0; 0]; 0], "opened too late");
    for socket in 1..300 {
        assert_eq!(host.read(socket).len() as u64 + host.lost(socket), 1);
    }
    host.full.borrow_mut().clear();
}

#[test]
fn what_a_killed_process_has_told_reaches_everybody() {
    let host = crowd();
    host.killed.set(true);
    host.write(&add(said("esp.1002@10.0.0.2"))).unwrap();
    let told = host.deliveries().len();
    assert!(told < MANY as usize, "{told} told in one go");
    assert_eq!(host.wake.get(), Some(host.clock.get().boot));
    // The worker's turn.
    change::limits_due(&host);
    for socket in 1..=MANY {
        assert_eq!(host.read(socket).len(), 1, "socket {socket}");
    }
}

#[test]
fn what_waits_for_a_socket_that_overruns_counts_as_lost() {
    let host = crowd();
    host.room.set(1);
    // None of these gets to all: each process is killed before.
    host.killed.set(true);
    for _ in 0..3 {
        host.write(&flush(0)).unwrap();
    }
    change::limits_due(&host);
    for socket in 1..=MANY {
        let heard = host.read(socket).len() as u64;
        assert_eq!((heard, host.lost(socket)), (1, 2), "socket {socket}");
    }
}

#[test]
fn a_dump_ends_with_its_process() {
    let host = TestHost::new();
    for spi in 0..200 {
        host.set_up(&add(said(&format!("esp.{:x}@10.0.0.2", 0x1000 + spi))));
    }
    host.on_resched
        .replace(Some(Box::new(|host| host.killed.set(true))));
    host.write(&message(msg::DUMP, 0, &[])).unwrap();
    let told = host.read(A).len();
    assert!((1..200).contains(&told), "{told} told");
    assert!(!host.is_dumping(A));
    // One that has found nothing yet.
    host.killed.set(false);
    let dump = message(msg::DUMP, 2, &[]);
    assert_eq!(host.write(&dump), Err(Errno::EINTR));
    host.killed.set(false);
    host.on_resched.replace(None);
    assert_eq!(host.write(&dump), Err(Errno::ENOENT));
}

#[test]
fn the_worker_serves_others_a_part_of_the_time() {
    const SAS: u32 = 100;
    let host = TestHost::new();
    for spi in 0..SAS {
        let said = said(&format!("esp.{:x}@10.0.0.2", 0x1000 + spi));
        host.set_up(&limited(msg::ADD, said, 0, 1));
    }
    host.may_go_on.set(false);
    let mut turns = 0;
    host.clock.set(klips::sadb::Moment {
        real: 2_000_000_000,
        boot: 2000,
    });
    while host.wake.take().is_some() {
        let before = host.state().sadb.len();
        change::limits_due(&host);
        assert!(before - host.state().sadb.len() <= 16, "too many at once");
        turns += 1;
    }
    assert!(turns > 6, "{turns} turns");
    assert_eq!(host.read(B).len(), SAS as usize);
}

#[test]
fn there_are_no_more_sockets_than_there_may_be() {
    let host = TestHost::new();
    host.state().listeners.set_limit(3);
    host.open(3);
    for _ in 0..3 {
        let fourth = host.state().listeners.open(4);
        assert_eq!(fourth.map_err(Errno::from), Err(Errno::ENFILE));
        host.close(3);
        host.open(3);
    }
    // Those that are there stay.
    host.state().listeners.set_limit(0);
    host.write(&flush(0)).unwrap();
    assert_eq!(host.deliveries(), [3, B, A]);
}

/// However much there is to be told, others get their turn.
#[test]
fn so_much_is_told_at_a_time_and_no_more() {
    let host = TestHost::new();
    let mut told = 0;
    let mut state = host.state();
    for seq in 0..500 {
        let header = build::request(MsgType::Flush, 0, seq, 0);
        let message = post::write(&host, &header, |_| ()).unwrap();
        state.listeners.send(&host, message, Audience::All);
    }
    while state.listeners.is_telling() {
        state.listeners.tell_some(&host);
        let at_once = host.deliveries().len();
        assert!((1..=256).contains(&at_once), "{at_once}");
        told += at_once;
    }
    drop(state);
    assert_eq!(told, 2 * 500);
}
