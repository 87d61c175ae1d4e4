// SPDX-License-Identifier: GPL-2.0

//! Plays two of Openswan 2.4.9's key daemons, live: what they asked of KLIPS from their start to their
//! end (`golden/pluto-2.4.9`), with SPIs of today, a change of keys in between, and packets.
//!
//! | | initiator | responder |
//! |---|---|---|
//! | on the wire | 10.1.0.1 | 10.1.0.2 |
//! | behind | 10.2.1.1 | 10.2.2.1 |

use crate::{
    interfaces::{ATTACH, RULES, around, historic},
    ktap::Test,
    packets::{flood_while, proto},
    shunts::exchange,
    support::KeySocket,
    tests,
    wire::{Capture, Gateways, Space, V4, eventually, expect_pings, join},
};
use anyhow::{Context, Result, bail, ensure};
use model::wire::{ext, flag, msg, u32_at, unhex};
use std::{
    fs,
    net::UdpSocket,
    ops::RangeInclusive,
    thread,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

const INITIATOR: &str = include_str!("../golden/pluto-2.4.9/initiator.txt");
const RESPONDER: &str = include_str!("../golden/pluto-2.4.9/responder.txt");

/// All of them.
pub fn all() -> Vec<Test> {
    tests![
        two_daemons_bring_up_rekey_and_take_down_a_tunnel,
        an_initiator_has_a_tunnel_with_mainline,
        a_responder_has_a_tunnel_with_mainline,
        two_daemons_have_a_tunnel_from_host_to_host_by_way_of_ipsec0,
    ]
}

/// The ESP SAs as they were recorded: from the responder to the initiator, and back.
const RECORDED: [u32; 2] = [0x0f84_dbb5, 0x1da0_64e8];
/// The SPI of %hold.
const SPI_HOLD: u32 = 0x103;
/// The tunnels: in and out. Each daemon counts its own.
const TUNNELS: [u32; 2] = [0x1001, 0x1002];

const INSIDE: (&str, &str) = ("10.2.1.1", "10.2.2.1");
const OUTSIDE: (&str, &str) = ("10.1.0.1", "10.1.0.2");

/// The SAs from one change of keys to the next.
#[derive(Clone, Copy, Debug)]
struct Round {
    number: u8,
    /// In the place of [`RECORDED`].
    spis: [u32; 2],
}

impl Round {
    /// SPIs that nobody has had.
    fn new(number: u8) -> Result<Self> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?;
        let first = (now.subsec_nanos() | 0x1000_0000) & !1;
        Ok(Round {
            number,
            spis: [first, first | 1],
        })
    }

    /// What takes the place of a recorded SPI; those of shunts stay.
    fn spi(&self, recorded: u32) -> u32 {
        let esp = RECORDED.iter().position(|spi| *spi == recorded);
        match esp.and_then(|at| self.spis.get(at)) {
            Some(spi) => *spi,
            None if TUNNELS.contains(&recorded) => recorded + 2 * u32::from(self.number),
            None => recorded,
        }
    }

    /// A request for these SAs: with their names, and keys that were not used before.
    fn of(&self, request: &[u8]) -> Vec<u8> {
        let mut bytes = request.to_vec();
        for (at, len, number) in extensions(request) {
            match number {
                ext::SA | ext::SA2 => {
                    let spi = u32::from_be_bytes(bytes[at + 4..at + 8].try_into().expect("four"));
                    bytes[at + 4..at + 8].copy_from_slice(&self.spi(spi).to_be_bytes());
                }
                ext::KEY_AUTH | ext::KEY_ENCRYPT => {
                    let bits = usize::from(u16::from_le_bytes([bytes[at + 4], bytes[at + 5]]));
                    for byte in &mut bytes[at + 8..(at + 8 + bits / 8).min(at + len)] {
                        *byte ^= self.number;
                    }
                }
                _ => (),
            }
        }
        bytes
    }
}

/// Place, length and number of each extension.
fn extensions(message: &[u8]) -> Vec<(usize, usize, u16)> {
    let mut found = Vec::new();
    let mut at = 16;
    while at < message.len() {
        let field = |at: usize| u16::from_le_bytes([message[at], message[at + 1]]);
        let len = usize::from(field(at)) * 8;
        found.push((at, len, field(at + 2)));
        at += len;
    }
    found
}

/// A request with the two hosts that have the daemons in the place of the networks behind them.
fn between_hosts(request: &[u8]) -> Vec<u8> {
    let mut bytes = request.to_vec();
    for (at, _, number) in extensions(request) {
        // Behind the header, the family and the port.
        let address = at + 12..at + 16;
        match number {
            ext::ADDRESS_SRC_FLOW | ext::ADDRESS_DST_FLOW => {
                // 10.2.N.0 is behind 10.1.0.N.
                let host = [10, 1, 0, bytes[at + 14]];
                bytes[address].copy_from_slice(&host);
            }
            ext::ADDRESS_SRC_MASK | ext::ADDRESS_DST_MASK => bytes[address].fill(0xff),
            _ => (),
        }
    }
    bytes
}

/// A key daemon.
struct Daemon {
    name: &'static str,
    socket: KeySocket,
    requests: Vec<Vec<u8>>,
    /// Whether its connection is one between the two hosts that have the daemons, and not between the
    /// networks behind them.
    is_of_hosts: bool,
}

impl Daemon {
    fn start(space: &Space, name: &'static str) -> Result<Self> {
        let text = if name == "initiator" {
            INITIATOR
        } else {
            RESPONDER
        };
        let lines = text.lines();
        let requests = lines.filter_map(|line| line.strip_prefix("write A "));
        Ok(Daemon {
            name,
            socket: space.within(KeySocket::open)?,
            requests: requests.map(unhex).collect(),
            is_of_hosts: false,
        })
    }

    /// A recorded request, by its number, as it is made for these SAs.
    fn request(&self, number: usize, round: &Round) -> Vec<u8> {
        let request = round.of(&self.requests[number - 1]);
        if self.is_of_hosts {
            between_hosts(&request)
        } else {
            request
        }
    }

    /// Asks some of what was recorded, by its numbers, which begin with 1. As pluto does, it expects
    /// that the answer is there when the request has been written: of the same type, with its own
    /// process ID and number, and no error.
    fn ask(&self, numbers: RangeInclusive<usize>, round: &Round) -> Result<()> {
        for number in numbers {
            self.ask_one(number, round)
                .with_context(|| format!("request {number} of the {}, {round:x?}", self.name))?;
        }
        Ok(())
    }

    fn ask_one(&self, number: usize, round: &Round) -> Result<()> {
        let mut request = self.request(number, round);
        let sa = extensions(&request)
            .iter()
            .find(|it| it.2 == ext::SA)
            .map(|it| it.0);
        if let (msg::ADDFLOW, Some(sa), 1..) = (request[1], sa, round.number) {
            // There is an eroute by now.
            if request[sa + 12] == 0 {
                request[sa + 12] = u8::try_from(flag::REPLACE)?;
            }
        }
        self.exchange(&request)
    }

    /// Asks what was not recorded, and what it does when it is asked for SAs: a %hold takes the place of
    /// the %trap of its connection, and the one for the two hosts, which the kernel has made, goes.
    fn hold_connection(&self, round: &Round, trap: usize, delete: usize) -> Result<()> {
        self.hold(round, trap)?;
        let mut request = round.of(&self.requests[delete - 1]);
        for (at, _, number) in extensions(&request) {
            // Behind the header, the family and the port.
            let address = &mut request[at + 12..at + 16];
            match number {
                ext::ADDRESS_SRC_FLOW | ext::ADDRESS_DST_FLOW => address[3] = 1,
                ext::ADDRESS_SRC_MASK | ext::ADDRESS_DST_MASK => address.fill(0xff),
                _ => (),
            }
        }
        self.exchange(&request).context("the narrow %hold")
    }

    /// A %hold takes the place of the %trap of its connection.
    fn hold(&self, round: &Round, trap: usize) -> Result<()> {
        let mut request = self.request(trap, round);
        for (at, _, number) in extensions(&request) {
            if number == ext::SA {
                request[at + 4..at + 8].copy_from_slice(&SPI_HOLD.to_be_bytes());
                request[at + 12] = u8::try_from(flag::REPLACE)?;
            }
        }
        self.exchange(&request).context("a %hold")
    }

    fn exchange(&self, request: &[u8]) -> Result<()> {
        if let Err(errno) = self.socket.write(request) {
            bail!("{errno:?}");
        }
        let told = self.socket.drain()?;
        let answer = told
            .iter()
            .find(|message| message[1] == request[1] && message[8..16] == request[8..16]);
        let answer = answer.with_context(|| format!("no answer: {told:02x?}"))?;
        ensure!(answer[2] == 0, "errno {} in the answer", answer[2]);
        Ok(())
    }

    /// Bits and bytes of the keys that an ADD has, in hexadecimal digits: authentication, encryption.
    fn keys(&self, number: usize, round: &Round) -> Result<[String; 2]> {
        let request = round.of(&self.requests[number - 1]);
        let key = |wanted| {
            let found = extensions(&request).into_iter().find(|it| it.2 == wanted);
            let (at, _, _) = found.context("a key")?;
            let bits = usize::from(u16::from_le_bytes([request[at + 4], request[at + 5]]));
            let bytes = &request[at + 8..at + 8 + bits / 8];
            Ok::<_, anyhow::Error>(format!("0x{}", data_encoding::HEXLOWER.encode(bytes)))
        };
        Ok([key(ext::KEY_AUTH)?, key(ext::KEY_ENCRYPT)?])
    }
}

/// The two, joined by a wire; `a` is the initiator.
fn gateways() -> Result<Gateways> {
    let (a, b) = (Space::own()?, Space::new()?);
    a.run("ip link set lo up")?;
    join("w0", &a, &b)?;
    for (space, own, other, inside, net, last) in [
        (&a, OUTSIDE.0, OUTSIDE.1, INSIDE.0, "10.2.2.0/24", 'b'),
        (&b, OUTSIDE.1, OUTSIDE.0, INSIDE.1, "10.2.1.0/24", 'a'),
    ] {
        space.run(&format!("ip addr add {own}/24 dev w0"))?;
        space.run(&format!(
            "ip neigh replace {other} lladdr 02:00:00:00:00:0{last} dev w0 nud permanent"
        ))?;
        space.run(&format!("ip addr add {inside}/32 dev lo"))?;
        space.run(&format!("ip route add {net} via {other} src {inside}"))?;
    }
    Ok(Gateways { a, b })
}

/// Checks that packets get through both ways, and only protected ones are sent.
fn expect_protected(gateways: &Gateways) -> Result<()> {
    expect_protected_between(gateways, INSIDE)
}

fn expect_protected_between(gateways: &Gateways, ends: (&str, &str)) -> Result<()> {
    let capture = gateways.capture()?;
    expect_pings(&gateways.a, ends.0, ends.1, 3)?;
    expect_pings(&gateways.b, ends.1, ends.0, 3)?;
    let packets = capture.end()?;
    ensure!(packets.len() == 6, "{:?}", packets.headers());
    packets.expect_only(OUTSIDE, &[proto::ESP])
}

/// Checks that nothing of the tunnel is left.
fn expect_nothing_left(space: &Space) -> Result<()> {
    let left = space.within(|| {
        let read = |name: &str| fs::read_to_string(format!("{}/{name}", crate::support::PROC));
        Ok(read("ipsec_eroute")? + &read("ipsec_spi")? + &read("ipsec_spigrp")?)
    })?;
    let left = left + &space.xfrm()?;
    ensure!(left.is_empty(), "left: {left}");
    Ok(())
}

fn two_daemons_bring_up_rekey_and_take_down_a_tunnel() -> Result<()> {
    let gateways = gateways()?;
    let initiator = Daemon::start(&gateways.a, "initiator")?;
    let responder = Daemon::start(&gateways.b, "responder")?;
    let first = Round::new(0)?;
    // They register; one routes its connection, which waits for packets.
    initiator.ask(1..=5, &first)?;
    responder.ask(1..=4, &first)?;
    expect_pings(&gateways.a, INSIDE.0, INSIDE.1, 0)?;
    gateways.a.counters()?.expect(&[("XfrmOutNoStates", 3)])?;
    let acquires = initiator.socket.drain()?;
    ensure!(
        acquires.len() == 1 && acquires[0][1] == msg::ACQUIRE && u32_at(&acquires[0], 12) == 0,
        "{acquires:02x?}"
    );
    let held = |expected: &[&str]| {
        let list = crate::support::proc_net("ipsec_eroute")?;
        let found: Vec<_> = list.lines().map(|line| line.split_whitespace()).collect();
        let found: Vec<_> = found
            .into_iter()
            .map(|it| it.skip(1).collect::<Vec<_>>())
            .collect();
        let found: Vec<_> = found.iter().map(|words| words.join(" ")).collect();
        ensure!(found == expected, "{list}");
        Ok(())
    };
    held(&[
        "10.2.1.0/24 -> 10.2.2.0/24 => %trap",
        "10.2.1.1/32 -> 10.2.2.1/32 => %hold",
    ])?;
    initiator.hold_connection(&first, 5, 17)?;
    held(&["10.2.1.0/24 -> 10.2.2.0/24 => %hold"])?;
    expect_pings(&gateways.a, INSIDE.0, INSIDE.1, 0)?;
    ensure!(initiator.socket.drain()?.is_empty(), "it was asked again");

    // The responder is ready to receive, then the initiator has both, then the responder.
    let negotiate = |round: &Round| {
        responder.ask(5..=8, round)?;
        initiator.ask(6..=13, round)?;
        responder.ask(9..=12, round)
    };
    negotiate(&first)?;
    expect_protected(&gateways)?;

    // New keys, while packets go both ways.
    let second = Round::new(1)?;
    flood_while(&gateways, INSIDE.0, INSIDE.1, || {
        negotiate(&second)?;
        thread::sleep(Duration::from_millis(300));
        initiator.ask(15..=16, &first)?;
        responder.ask(14..=15, &first)
    })?;
    gateways.a.counters()?.expect(&[("XfrmOutNoStates", 6)])?;
    gateways.b.counters()?.expect(&[])?;
    expect_protected(&gateways)?;

    // One terminates, and waits for packets again; the other does the same.
    let capture = gateways.capture()?;
    initiator.ask(14..=16, &second)?;
    responder.ask(13..=15, &second)?;
    expect_pings(&gateways.a, INSIDE.0, INSIDE.1, 0)?;
    expect_pings(&gateways.b, INSIDE.1, INSIDE.0, 0)?;
    let packets = capture.end()?;
    ensure!(packets.len() == 0, "sent: {:?}", packets.headers());
    initiator.ask(17..=17, &second)?;
    responder.ask(16..=16, &second)?;
    expect_nothing_left(&gateways.a)?;
    expect_nothing_left(&gateways.b)?;
    // Nobody wants anything protected now.
    expect_pings(&gateways.a, INSIDE.0, INSIDE.1, 3)
}

/// Gives mainline's end the SAs of a round, and has it send through them.
fn give_mainline(
    space: &Space,
    daemon: &Daemon,
    (inbound, outbound): (usize, usize),
    (own, other): (&str, &str),
    round: &Round,
) -> Result<()> {
    let reqid = 10 + u32::from(round.number);
    // What comes in at the daemon is what mainline sends.
    for (number, src, dst) in [(inbound, own, other), (outbound, other, own)] {
        let [auth, encrypt] = daemon.keys(number, round)?;
        let request = round.of(&daemon.requests[number - 1]);
        let (at, _, _) = extensions(&request)[0];
        let spi = u32::from_be_bytes(request[at + 4..at + 8].try_into()?);
        space.run(&format!(
            "ip xfrm state add src {src} dst {dst} proto esp spi {spi:#x} reqid {reqid} \
             mode tunnel replay-window 32 flag af-unspec \
             auth-trunc hmac(sha1) {auth} 96 enc cbc(aes) {encrypt}"
        ))?;
    }
    Ok(())
}

/// Has mainline's end send through the SAs of a round, and take what comes through any of these.
fn switch_mainline(
    space: &Space,
    (own, other): (&str, &str),
    (here, there): (&str, &str),
    round: &Round,
) -> Result<()> {
    let reqid = 10 + u32::from(round.number);
    space.run(&format!(
        "ip xfrm policy update dir in src {there} dst {here} \
         tmpl src {other} dst {own} proto esp mode tunnel"
    ))?;
    space.run(&format!(
        "ip xfrm policy update dir out src {here} dst {there} \
         tmpl src {own} dst {other} proto esp mode tunnel reqid {reqid}"
    ))?;
    Ok(())
}

/// What a daemon asks, by the numbers of its requests.
struct Script {
    name: &'static str,
    start: RangeInclusive<usize>,
    /// The SAs that packets come in by, and the eroute that says which.
    inbound: RangeInclusive<usize>,
    /// Those that packets leave by.
    outbound: RangeInclusive<usize>,
    /// The ADDs of ESP, in and out.
    esp: (usize, usize),
    /// Asks for what is gone to be negotiated anew.
    trap: usize,
    delete: RangeInclusive<usize>,
    end: usize,
}

fn an_initiator_has_a_tunnel_with_mainline() -> Result<()> {
    let script = Script {
        name: "initiator",
        start: 1..=5,
        inbound: 6..=9,
        outbound: 10..=13,
        esp: (7, 11),
        trap: 14,
        delete: 15..=16,
        end: 17,
    };
    with_mainline(&script)
}

fn a_responder_has_a_tunnel_with_mainline() -> Result<()> {
    let script = Script {
        name: "responder",
        start: 1..=4,
        inbound: 5..=8,
        outbound: 9..=12,
        esp: (6, 10),
        trap: 13,
        delete: 14..=15,
        end: 16,
    };
    with_mainline(&script)
}

fn with_mainline(script: &Script) -> Result<()> {
    let gateways = gateways()?;
    let (ours, theirs, ends, nets) = if script.name == "initiator" {
        let nets = ("10.2.2.0/24", "10.2.1.0/24");
        (&gateways.a, &gateways.b, (OUTSIDE.1, OUTSIDE.0), nets)
    } else {
        let nets = ("10.2.1.0/24", "10.2.2.0/24");
        (&gateways.b, &gateways.a, OUTSIDE, nets)
    };
    let daemon = Daemon::start(ours, script.name)?;
    let first = Round::new(0)?;
    daemon.ask(script.start.clone(), &first)?;
    let negotiate = |round: &Round| {
        daemon.ask(script.inbound.clone(), round)?;
        give_mainline(theirs, &daemon, script.esp, ends, round)?;
        switch_mainline(theirs, ends, nets, round)?;
        daemon.ask(script.outbound.clone(), round)
    };
    negotiate(&first)?;
    expect_protected(&gateways)?;

    let second = Round::new(1)?;
    flood_while(&gateways, INSIDE.0, INSIDE.1, || {
        negotiate(&second)?;
        thread::sleep(Duration::from_millis(300));
        daemon.ask(script.delete.clone(), &first)?;
        let list = theirs.run("ip xfrm state deleteall reqid 10");
        list.map(drop)
    })?;
    for space in [ours, theirs] {
        space.counters()?.expect(&[])?;
    }
    expect_protected(&gateways)?;

    daemon.ask(script.trap..=script.trap, &second)?;
    daemon.ask(script.delete.clone(), &second)?;
    let (from, to) = if script.name == "initiator" {
        INSIDE
    } else {
        (INSIDE.1, INSIDE.0)
    };
    expect_pings(ours, from, to, 0)?;
    ours.counters()?.expect(&[("XfrmOutNoStates", 3)])?;
    daemon.ask(script.end..=script.end, &second)?;
    expect_nothing_left(ours)
}

/// IKE between the two hosts goes both ways in clear, by the wire.
fn expect_ike(gateways: &Gateways, when: &str) -> Result<()> {
    for port in [500, 4500] {
        let ours = UdpSocket::bind((OUTSIDE.0, port))?;
        let theirs = gateways
            .b
            .within(|| Ok(UdpSocket::bind((OUTSIDE.1, port))?))?;
        let capture = gateways.capture()?;
        let came = exchange(&ours, &theirs)?;
        ensure!(came == [true, true], "{when}, port {port}: {came:?}");
        capture.end()?.expect_udp(OUTSIDE, &[(port, port)])?;
    }
    Ok(())
}

/// What pluto's script does for a connection from host to host: the peer itself is routed to ipsec0, and
/// IKE has to get there all the same.
fn two_daemons_have_a_tunnel_from_host_to_host_by_way_of_ipsec0() -> Result<()> {
    let gateways = gateways()?;
    let (a, b) = (&gateways.a, &gateways.b);
    let mut initiator = Daemon::start(a, "initiator")?;
    let mut responder = Daemon::start(b, "responder")?;
    (initiator.is_of_hosts, responder.is_of_hosts) = (true, true);
    // One start script has KLIPS's own tncfg, the other ours.
    ensure!(historic(a, ATTACH, "ipsec0", "w0")? == 0, "can't attach");
    a.run(&format!("ip addr add {}/24 dev ipsec0", OUTSIDE.0))?;
    a.run("ip link set ipsec0 up")?;
    b.run("ipsec tncfg --attach --virtual ipsec0 --physical w0")?;
    b.run("ip link set ipsec0 up")?;
    let route = |space: &Space, peer| space.run(&format!("ip route replace {peer} dev ipsec0"));
    let has_rules = |space: &Space| Ok(around(space, V4)?.1 == RULES);

    let first = Round::new(0)?;
    initiator.ask(1..=5, &first)?;
    responder.ask(1..=4, &first)?;
    route(a, OUTSIDE.1)?;
    eventually("a way for IKE", || has_rules(a))?;
    expect_ike(&gateways, "%trap")?;
    let capture = gateways.capture()?;
    expect_pings(a, OUTSIDE.0, OUTSIDE.1, 0)?;
    let acquires = initiator.socket.drain()?;
    ensure!(
        acquires.len() == 1 && acquires[0][1] == msg::ACQUIRE,
        "{acquires:02x?}"
    );
    initiator.hold(&first, 5)?;
    expect_pings(a, OUTSIDE.0, OUTSIDE.1, 0)?;
    ensure!(capture.end()?.len() == 0, "in clear");
    expect_ike(&gateways, "%hold")?;

    let negotiate = |round: &Round| {
        responder.ask(5..=8, round)?;
        initiator.ask(6..=13, round)?;
        responder.ask(9..=12, round)
    };
    negotiate(&first)?;
    route(b, OUTSIDE.0)?;
    eventually("a way for IKE", || has_rules(b))?;
    let clear = Capture::start(a, "ipsec0")?;
    expect_protected_between(&gateways, OUTSIDE)?;
    ensure!(clear.end()?.len() == 6, "not by way of ipsec0");
    expect_ike(&gateways, "SAs")?;

    // New keys, while packets go both ways.
    let second = Round::new(1)?;
    flood_while(&gateways, OUTSIDE.0, OUTSIDE.1, || {
        let ours = UdpSocket::bind((OUTSIDE.0, 500))?;
        let theirs = b.within(|| Ok(UdpSocket::bind((OUTSIDE.1, 500))?))?;
        ensure!(exchange(&ours, &theirs)? == [true, true], "IKE in a flood");
        negotiate(&second)?;
        ensure!(exchange(&ours, &theirs)? == [true, true], "IKE after");
        thread::sleep(Duration::from_millis(300));
        initiator.ask(15..=16, &first)?;
        responder.ask(14..=15, &first)
    })?;
    expect_protected_between(&gateways, OUTSIDE)?;
    expect_ike(&gateways, "new keys")?;

    // One terminates, and waits for packets again; the other does the same.
    let capture = gateways.capture()?;
    initiator.ask(14..=16, &second)?;
    responder.ask(13..=15, &second)?;
    expect_pings(a, OUTSIDE.0, OUTSIDE.1, 0)?;
    ensure!(capture.end()?.len() == 0, "in clear");
    expect_ike(&gateways, "at the end")?;
    initiator.ask(17..=17, &second)?;
    responder.ask(16..=16, &second)?;
    expect_nothing_left(a)?;
    expect_nothing_left(b)?;
    for space in [a, b] {
        eventually("no rules", || Ok(around(space, V4)? == (String::new(), 0)))?;
    }
    Ok(())
}
