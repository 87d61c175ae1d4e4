// SPDX-License-Identifier: GPL-2.0

//! What packets tell: that a %trap has taken them, and that they come from elsewhere than before.

use klips::{change, errno::Errno, klips_core::selector::Packet, memory, netns::Traps, said::Said};
use testbed::{
    engine::{Fate, ACQ_EXPIRES},
    *,
};

/// From one network to another, any protocol.
fn nets(src: &str, dst: &str) -> Vec<Vec<u8>> {
    flow((src, 0), (dst, 0), 0)
}

fn usual() -> Vec<Vec<u8>> {
    nets("10.1.0.0/24", "10.2.0.0/24")
}

/// The narrow %hold that pluto takes away.
fn narrow() -> Vec<Vec<u8>> {
    nets("10.1.0.1/32", "10.2.0.2/32")
}

fn udp(src: &str, dst: &str, sport: u16, dport: u16) -> Packet {
    Packet {
        src: ip(src),
        dst: ip(dst),
        proto: 17,
        sport,
        dport,
    }
}

fn packet() -> Packet {
    udp("10.1.0.1", "10.2.0.2", 4000, 53)
}

fn register(satype: u8) -> Vec<u8> {
    message(msg::REGISTER, satype, &[])
}

/// A %trap, or whatever else, and a daemon that negotiates.
fn host_with(keyword: &str) -> TestHost {
    let host = TestHost::new();
    host.set_up(&register(3));
    host.set_up(&add_flow(said(keyword), 0, &usual()));
    host
}

/// A packet is to leave; what becomes of it, and what that daemon is told.
fn send(host: &TestHost, packet: &Packet) -> (Fate, Vec<Vec<u8>>) {
    let fate = host.engine.send(packet, host.clock.get().boot);
    change::packets_told(host);
    host.sleep(0);
    host.check();
    assert_eq!(host.read(B), [[0; 0]; 0], "it has not registered");
    (fate, host.read(A))
}

fn asks(host: &TestHost, packet: &Packet) -> bool {
    let (fate, told) = send(host, packet);
    assert_eq!(fate, Fate::Waits);
    assert!(told.len() <= 1);
    told.len() == 1
}

/// The list, without the count of packets and with one blank between words.
fn listed(host: &TestHost) -> Vec<String> {
    let text = host.eroute();
    let lines = text.lines().map(|line| {
        let words: Vec<_> = line.split_whitespace().skip(1).collect();
        words.join(" ")
    });
    lines.collect()
}

const TRAP: &str = "10.1.0.0/24 -> 10.2.0.0/24 => %trap";
const HELD: &str = "10.1.0.1/32 -> 10.2.0.2/32 => %hold";

#[test]
fn a_trap_asks_once_for_each_pair_of_hosts() {
    let host = host_with("%trap");
    let (fate, told) = send(&host, &packet());
    assert_eq!((fate, told.len()), (Fate::Waits, 1));
    let message = &told[0];
    // Of the kernel, for ESP, with a number of its own.
    assert_eq!((message[1], message[2], message[3]), (msg::ACQUIRE, 0, 3));
    assert_eq!((u32_at(message, 8), u32_at(message, 12)), (1, 0));
    let exts = exts_of(message);
    let numbers: Vec<u16> = exts.iter().map(|(number, _)| *number).collect();
    assert_eq!(numbers, [ext::ADDRESS_SRC, ext::ADDRESS_DST, ext::PROPOSAL]);
    let end = |number, of: &str, port: u16| {
        let mut bytes = address(number, ip(of), port);
        bytes[4] = 17;
        bytes
    };
    assert_eq!(exts[0].1, end(ext::ADDRESS_SRC, "10.1.0.1", 4000));
    assert_eq!(exts[1].1, end(ext::ADDRESS_DST, "10.2.0.2", 53));
    // Openswan 2.4 has combinations of 80 bytes, 2.6 of 72: it is whole ones of both.
    let proposal = &exts[2].1;
    assert_eq!(proposal[4], 64);
    let combs = &proposal[8..];
    for size in [72, 80] {
        assert_eq!(combs.len() % size, 0, "{size}");
        for (place, comb) in combs.chunks(size).enumerate() {
            if place > 0 {
                // Says nothing, which is allowed.
                assert_eq!(comb, vec![0; size], "{size}: {place}");
                continue;
            }
            let short = |at: usize| u16::from_ne_bytes([comb[at], comb[at + 1]]);
            assert_eq!((comb[0], comb[1], short(2)), (3, 3, 1));
            assert_eq!((short(4), short(6)), (160, 160));
            assert_eq!((short(8), short(10)), (168, 168));
            let long = |at| u64_at(comb, at);
            assert_eq!((long(24), long(32)), (0, 0), "bytes");
            assert_eq!((long(40), long(48)), (57_600, 86_400), "since made");
            assert_eq!((long(56), long(64)), (57_600, 86_400), "since used");
            assert!(comb[72..].iter().all(|byte| *byte == 0), "packets");
        }
    }

    // Whatever else there is between these two has to wait, too.
    assert!(!asks(&host, &packet()));
    assert!(!asks(&host, &udp("10.1.0.1", "10.2.0.2", 4001, 80)));
    assert_eq!(listed(&host), [TRAP, HELD]);
    assert!(asks(&host, &udp("10.1.0.1", "10.2.0.3", 4000, 53)));
    assert!(asks(&host, &udp("10.1.0.2", "10.2.0.2", 4000, 53)));
    assert_eq!(listed(&host).len(), 4);
    host.sleep(ACQ_EXPIRES - 1);
    assert_eq!(listed(&host).len(), 4);
    assert!(!asks(&host, &packet()));
    // Then it is forgotten, and the next one asks anew.
    host.sleep(1);
    assert_eq!(listed(&host), [TRAP]);
    assert_eq!(host.wake.get(), None);
    assert!(asks(&host, &packet()));
    let Traps { caught, told } = host.state().traps;
    assert_eq!((caught, told), (4, 4));
}

#[test]
fn each_pair_of_hosts_waits_its_own_time() {
    let host = host_with("%trap");
    assert!(asks(&host, &packet()));
    host.sleep(10);
    assert!(asks(&host, &udp("10.1.0.1", "10.2.0.3", 4000, 53)));
    host.sleep(ACQ_EXPIRES - 10);
    assert_eq!(listed(&host), [TRAP, "10.1.0.1/32 -> 10.2.0.3/32 => %hold"]);
    host.sleep(10);
    assert_eq!(listed(&host), [TRAP]);
}

#[test]
fn nobody_is_asked_for_where_nobody_negotiates() {
    let host = TestHost::new();
    host.set_up(&add_flow(said("%trap"), 0, &usual()));
    // Others negotiate other things.
    host.set_up(&register(2));
    host.set_up(&register(9));
    assert!(!asks(&host, &packet()));
    assert_eq!(host.engine.waiting(), 0);
    assert_eq!(listed(&host), [TRAP]);
    host.set_up(&register(3));
    assert!(asks(&host, &packet()));
    // The daemon ends.
    host.sleep(ACQ_EXPIRES);
    host.close(A);
    let waiting = host.engine.waiting();
    let fate = host
        .engine
        .send(&udp("10.1.0.1", "10.2.0.9", 1, 1), host.clock.get().boot);
    assert_eq!((fate, host.engine.waiting()), (Fate::Waits, waiting));
    change::packets_told(&host);
    assert_eq!(listed(&host), [TRAP]);
}

#[test]
fn one_that_ends_before_it_can_be_told_leaves_nobody_waiting() {
    let host = host_with("%trap");
    host.engine.send(&packet(), host.clock.get().boot);
    host.close(A);
    change::packets_told(&host);
    assert_eq!(host.engine.waiting(), 0, "the next one asks");
    assert_eq!(listed(&host), [TRAP]);
    assert_eq!(host.state().traps, Traps { caught: 1, told: 0 });
}

#[test]
fn without_memory_the_next_packet_asks() {
    let mut enough = 0;
    loop {
        let host = host_with("%trap");
        host.engine.send(&packet(), host.clock.get().boot);
        memory::fail_after(Some(enough));
        change::packets_told(&host);
        memory::fail_after(None);
        host.sleep(0);
        host.check();
        if !host.read(A).is_empty() {
            break;
        }
        assert_eq!(listed(&host), [TRAP]);
        assert!(asks(&host, &packet()), "after {enough}");
        enough += 1;
    }
    assert!(enough > 2, "{enough}");
}

#[test]
fn a_trapsubnet_asks_once_for_all() {
    let host = host_with("%trapsubnet");
    let whole = |word: &str| [format!("10.1.0.0/24 -> 10.2.0.0/24 => {word}")];
    assert_eq!(listed(&host), whole("%trapsubnet"));
    assert!(asks(&host, &packet()));
    assert_eq!(listed(&host), whole("%hold"));
    assert!(!asks(&host, &udp("10.1.0.5", "10.2.0.6", 1, 2)));
    host.sleep(ACQ_EXPIRES);
    assert_eq!(listed(&host), whole("%trapsubnet"));
    assert!(asks(&host, &udp("10.1.0.7", "10.2.0.6", 1, 2)));
}

#[test]
fn a_trap_for_two_hosts_is_what_is_held() {
    let host = TestHost::new();
    host.set_up(&register(3));
    host.set_up(&add_flow(said("%trap"), 0, &narrow()));
    assert!(asks(&host, &packet()));
    assert_eq!(listed(&host), [HELD]);
    // To remove it is to remove the eroute.
    host.set_up(&del_flow(&narrow()));
    assert_eq!(listed(&host), [""; 0]);
    assert_eq!(host.engine.waiting(), 0);
}

#[test]
fn holds_are_as_narrow_as_their_trap() {
    let host = TestHost::new();
    host.set_up(&register(3));
    let dns = flow(("10.1.0.0/24", 0), ("10.2.0.0/24", 53), 17);
    host.set_up(&add_flow(said("%trap"), 0, &dns));
    assert!(asks(&host, &packet()));
    assert_eq!(
        listed(&host)[1..],
        ["10.1.0.1/32 -> 10.2.0.2/32:53 => %hold:17"]
    );
}

#[test]
fn an_explicit_hold_asks_nobody() {
    let host = host_with("%hold");
    assert!(!asks(&host, &packet()));
    assert_eq!(host.engine.waiting(), 0);
    assert_eq!(listed(&host), ["10.1.0.0/24 -> 10.2.0.0/24 => %hold"]);
}

/// What pluto does when it is asked for SAs of a connection: it puts a %hold in the place of the
/// %trap, then takes the narrow one away, which it knows by the addresses and ports of the ACQUIRE.
#[test]
fn a_daemon_replaces_a_trap_and_removes_its_hold() {
    for narrow in [
        narrow(),
        flow(("10.1.0.1/32", 4000), ("10.2.0.2/32", 53), 0),
    ] {
        let host = host_with("%trap");
        assert!(asks(&host, &packet()));
        host.set_up(&add_flow(said("%hold"), flag::REPLACE, &usual()));
        assert_eq!(listed(&host).len(), 2);
        host.set_up(&del_flow(&narrow));
        assert_eq!(listed(&host), ["10.1.0.0/24 -> 10.2.0.0/24 => %hold"]);
        refused(&host, &del_flow(&narrow), Errno::ENOENT);
        host.drain();
        assert!(!asks(&host, &packet()));
    }
}

/// What it does when nobody answers: something else takes the place of the narrow one.
#[test]
fn what_is_held_can_be_replaced() {
    let host = host_with("%trap");
    assert!(asks(&host, &packet()));
    refused(&host, &add_flow(said("%drop"), 0, &narrow()), Errno::EEXIST);
    host.set_up(&add_flow(said("%drop"), flag::REPLACE, &narrow()));
    assert_eq!(listed(&host), [TRAP, "10.1.0.1/32 -> 10.2.0.2/32 => %drop"]);
    assert_eq!(send(&host, &packet()).0, Fate::Dropped);
    // It is an eroute like any other.
    refused(&host, &add_flow(said("%drop"), 0, &narrow()), Errno::EEXIST);
    host.set_up(&del_flow(&narrow()));
    host.drain();
    assert!(asks(&host, &packet()), "nobody waits any more");
    // A finer one may be added beside it.
    let tcp = flow(("10.1.0.1/32", 0), ("10.2.0.2/32", 80), 6);
    host.set_up(&add_flow(said("%drop"), 0, &tcp));
    assert_eq!(listed(&host).len(), 3);
}

#[test]
fn holds_end_with_what_asked_for_them() {
    let ends: [(&str, Vec<u8>); 4] = [
        ("deleted", del_flow(&usual())),
        ("cleared", clear_flows()),
        ("dropped", add_flow(said("%drop"), flag::REPLACE, &usual())),
        (
            "an SA",
            add_flow(said("esp.115@10.0.0.2"), flag::REPLACE, &usual()),
        ),
    ];
    for (name, request) in ends {
        let host = host_with("%trap");
        assert!(asks(&host, &packet()));
        assert!(asks(&host, &udp("10.1.0.1", "10.2.0.3", 1, 2)));
        host.set_up(&request);
        assert!(!host.eroute().contains("%hold"), "{name}");
        assert_eq!(host.engine.waiting(), 0, "{name}");
        host.check();
    }
    // What came too late is for no eroute, or for one that asks nobody.
    for (request, left) in [
        (del_flow(&usual()), &[][..]),
        (
            add_flow(said("%drop"), flag::REPLACE, &usual()),
            &["10.1.0.0/24 -> 10.2.0.0/24 => %drop"],
        ),
    ] {
        let host = host_with("%trap");
        host.engine.send(&packet(), host.clock.get().boot);
        host.set_up(&request);
        host.drain();
        change::packets_told(&host);
        assert_eq!(host.read(A), [[0; 0]; 0]);
        assert_eq!(listed(&host), left);
    }
}

#[test]
fn strangers_make_so_much_wait_and_no_more() {
    let host = host_with("%trap");
    let to = |number: usize| {
        let (net, last) = (number / 250, number % 250);
        udp(&format!("10.1.0.{net}"), &format!("10.2.0.{last}"), 1, 2)
    };
    let most = klips::flows::MAX_HOLDS;
    for number in 0..most + 100 {
        assert_eq!(asks(&host, &to(number)), number < most, "{number}");
    }
    assert_eq!(listed(&host).len(), 1 + most);
    assert_eq!(host.engine.waiting(), most);
    // As soon as there is room for one, one is asked for.
    host.set_up(&del_flow(&nets("10.1.0.0/32", "10.2.0.7/32")));
    host.drain();
    assert!(asks(&host, &to(most)));
    assert!(!asks(&host, &to(most + 1)));
    host.sleep(ACQ_EXPIRES);
    assert_eq!(listed(&host), [TRAP]);
    assert!(asks(&host, &to(most + 1)));
}

/// Appends the port that packets of an SA come from.
fn with_sport(mut request: Vec<u8>, port: u16) -> Vec<u8> {
    let [low, high] = port.to_ne_bytes();
    request.extend(extension(ext::NAT_T_SPORT, &[low, high, 0, 0]));
    fix_len(&mut request);
    request
}

/// An SA whose packets go in UDP, with a marker of this kind.
fn add_natted(kind: u8, sport: u16) -> Vec<u8> {
    let mut request = add(natted());
    request.extend(extension(ext::NAT_T_TYPE, &[kind, 0, 0, 0]));
    with_sport(request, sport)
}

/// UPDATE with another port.
fn ports(sport: u16) -> Vec<u8> {
    let mut request = add(natted());
    request[1] = msg::UPDATE;
    with_sport(request, sport)
}

// --- NAT ----------------------------------------------------------------------------------------

fn natted() -> Said {
    said("esp.115@10.0.0.2")
}

/// An inbound SA behind NAT, whose packets came from port 4500.
fn natted_host() -> TestHost {
    let host = TestHost::new();
    host.local.borrow_mut().push(ip("10.0.0.2"));
    host.set_up(&register(3));
    host.set_up(&add_natted(2, 4500));
    assert_eq!(host.engine.states().len(), 1);
    host
}

fn mapped(host: &TestHost, from: &str) -> Vec<Vec<u8>> {
    host.engine.map(natted(), from.parse().unwrap());
    change::packets_told(host);
    host.sleep(0);
    host.check();
    assert_eq!(host.read(B), [[0; 0]; 0], "it has not registered");
    host.read(A)
}

#[test]
fn a_new_port_is_told_once() {
    let host = natted_host();
    assert_eq!(mapped(&host, "10.0.0.1:4500"), [[0; 0]; 0], "known");
    let told = mapped(&host, "10.0.0.1:31000");
    assert_eq!(told.len(), 1);
    let message = &told[0];
    assert_eq!(
        (message[1], message[2], message[3]),
        (msg::NAT_T_NEW_MAPPING, 0, 3)
    );
    assert_eq!(u32_at(message, 12), 0, "of the kernel");
    let exts = exts_of(message);
    let numbers: Vec<u16> = exts.iter().map(|(number, _)| *number).collect();
    assert_eq!(
        numbers,
        [
            ext::SA,
            ext::ADDRESS_SRC,
            ext::ADDRESS_DST,
            ext::NAT_T_SPORT,
            ext::NAT_T_DPORT
        ]
    );
    assert_eq!(exts[0].1[4..8], [0, 0, 1, 0x15]);
    assert_eq!(exts[1].1, address(ext::ADDRESS_SRC, ip("10.0.0.1"), 0));
    assert_eq!(exts[2].1, address(ext::ADDRESS_DST, ip("10.0.0.1"), 0));
    let port = |ext: &[u8]| u16::from_ne_bytes([ext[4], ext[5]]);
    assert_eq!((port(&exts[3].1), port(&exts[4].1)), (4500, 31000));

    host.sleep(60);
    assert_eq!(mapped(&host, "10.0.0.1:31000"), [[0; 0]; 0], "told already");
    // From another address, too; but not each packet anew.
    assert_eq!(mapped(&host, "10.0.0.77:31000").len(), 1);
    assert_eq!(
        mapped(&host, "10.0.0.78:31000"),
        [[0; 0]; 0],
        "in the same second"
    );
    host.sleep(1);
    assert_eq!(mapped(&host, "10.0.0.78:31000").len(), 1);
    // UPDATE makes it known.
    host.set_up(&ports(31000));
    let state = &host.engine.states()[0];
    assert_eq!(state.encapsulation.unwrap().sport, 31000);
    assert_eq!(mapped(&host, "10.0.0.1:31000"), [[0; 0]; 0]);
    host.sleep(1);
    assert_eq!(mapped(&host, "10.0.0.1:4500").len(), 1, "and back");
}

#[test]
fn what_is_not_behind_nat_has_no_mappings() {
    let host = TestHost::new();
    host.local.borrow_mut().push(ip("10.0.0.2"));
    host.set_up(&register(3));
    host.set_up(&add(natted()));
    assert_eq!(mapped(&host, "10.0.0.1:31000"), [[0; 0]; 0]);
    host.set_up(&delete(natted()));
    assert_eq!(mapped(&host, "10.0.0.1:31000"), [[0; 0]; 0]);
}

#[test]
fn a_marker_that_is_gone_is_kept_in_mind_only() {
    let host = TestHost::new();
    host.local.borrow_mut().push(ip("10.0.0.2"));
    host.set_up(&add_natted(1, 500));
    assert!(host
        .spi()
        .contains("natencap=nonike natsport=500 natdport=0"));
    assert_eq!(host.engine.states(), []);
    host.set_up(&ports(501));
    assert!(host.spi().contains("natsport=501"));
    refused(
        &host,
        &add_flow(natted(), 0, &usual()),
        Errno::EPROTONOSUPPORT,
    );
}
