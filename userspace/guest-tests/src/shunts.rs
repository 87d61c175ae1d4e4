// SPDX-License-Identifier: GPL-2.0

//! Eroutes that name no SA: %pass, %drop, %reject, %hold, %trap and %trapsubnet.

use crate::{
    ktap::Test,
    packets::{
        ask, eroute, expect_refused, inflow, join_up, make_group, make_inbound, proto,
        send_through, set_up_peer,
    },
    support::{KeySocket, add, bytes_of, in_own_network, proc_net, said},
    tests,
    wire::{Family, Gateways, Space, V4, V6, expect_pings, join, ping},
};
use anyhow::{Context, Result, bail, ensure};
use klips::{
    errno::Errno,
    pfkey::{Address, Lifetime},
    said::Said,
};
use model::wire::{self, ext, msg};
use pfkey::Content;
use std::{
    io::{BufRead, BufReader},
    net::{IpAddr, UdpSocket},
    process::Child,
    thread,
    time::{Duration, Instant},
};

/// All of them.
pub fn all() -> Vec<Test> {
    tests![
        a18_the_finer_eroute_wins,
        a19_a_trap_asks_once_for_each_pair_of_hosts,
        a19_nobody_is_asked_where_nobody_listens,
        a19_a_trap_asks_for_what_is_forwarded,
        a19_a_namespace_ends_while_packets_wait,
        a20_ike_passes_between_hosts_in_clear,
        a20_ike_passes_a_trap_that_asks_for_it,
        a21_packets_behind_nat_go_in_udp_and_follow_its_ports,
    ]
}

/// A host behind the other gateway, beside [`V4`]'s.
const OTHER: &str = "10.2.0.3";

/// From klips's host to all hosts behind the other gateway.
fn covering() -> Vec<Vec<u8>> {
    wire::flow(("10.1.0.0/24", 0), ("10.2.0.0/24", 0), 0)
}

/// From klips's host to [`OTHER`] alone.
fn finer() -> Vec<Vec<u8>> {
    wire::flow(("10.1.0.1/32", 0), ("10.2.0.3/32", 0), 0)
}

fn tunnel() -> [Said; 2] {
    [said("tun.113@10.0.0.2"), said("esp.115@10.0.0.2")]
}

/// Gateways with a tunnel between the networks behind them, and another host.
fn gateways_with_tunnel() -> Result<Gateways> {
    let gateways = Gateways::new()?;
    gateways.b.run(&format!("ip addr add {OTHER}/32 dev lo"))?;
    gateways
        .a
        .run(&format!("ip route add {OTHER} via 10.0.0.2 src 10.1.0.1"))?;
    let sas = tunnel();
    make_group(&sas)?;
    ask(&wire::add_flow(sas[0], 0, &covering()))?;
    // Only what goes to the first host has to come by the tunnel there.
    set_up_peer(&gateways, V4, V4.inner, &sas)?;
    Ok(gateways)
}

fn a18_the_finer_eroute_wins() -> Result<()> {
    let gateways = gateways_with_tunnel()?;
    let a = &gateways.a;
    for (word, drops) in [
        ("%pass", None),
        ("%drop", Some("XfrmOutPolBlock")),
        ("%reject", Some("XfrmOutPolBlock")),
        ("%hold", Some("XfrmOutNoStates")),
        ("%trap", Some("XfrmOutNoStates")),
        ("%trapsubnet", Some("XfrmOutNoStates")),
    ] {
        ask(&wire::add_flow(said(word), 0, &finer()))?;
        let before = a.counters()?;
        let capture = gateways.capture()?;
        expect_pings(a, V4.inner.0, OTHER, if drops.is_none() { 3 } else { 0 })?;
        // What is dropped for good is told to its sender, what waits is not.
        let socket = UdpSocket::bind((V4.inner.0, 0))?;
        let sent = socket.send_to(b"x", (OTHER, 9));
        ensure!(
            sent.is_err() == (drops == Some("XfrmOutPolBlock")),
            "{word}: {sent:?}"
        );
        let packets = capture.end()?;
        let clear = packets.len();
        ensure!(
            clear == if drops.is_none() { 4 } else { 0 },
            "{word}: {:?}",
            packets.headers()
        );
        match drops {
            Some(counter) => a.counted_since(&before)?.expect(&[(counter, 4)])?,
            None => packets.expect_only((V4.inner.0, OTHER), &[1, 17])?,
        }
        // Beside it all is as before.
        let capture = gateways.capture()?;
        expect_pings(a, V4.inner.0, V4.inner.1, 3)?;
        capture.end()?.expect_only(V4.outer, &[proto::ESP])?;
        ask(&wire::del_flow(&finer()))?;
    }
    // Without a finer one, the covering one takes its packets, too.
    gateways.b.run(&format!(
        "ip xfrm policy add dir in src {}/32 dst {OTHER}/32 \
         tmpl src 10.0.0.1 dst 10.0.0.2 proto esp mode tunnel",
        V4.inner.0
    ))?;
    let capture = gateways.capture()?;
    expect_pings(a, V4.inner.0, OTHER, 3)?;
    let packets = capture.end()?;
    ensure!(packets.len() == 3, "{:?}", packets.headers());
    packets.expect_only(V4.outer, &[proto::ESP])
}

/// How long to wait for what the kernel's workers are to tell.
const PATIENCE: Duration = Duration::from_secs(60);

/// A socket that has registered for an SA type, as a key daemon's does.
fn registered(satype: u8) -> Result<KeySocket> {
    let socket = KeySocket::open()?;
    let request = wire::message(msg::REGISTER, satype, &[]);
    ensure!(socket.write(&request) == Ok(()), "REGISTER");
    socket.drain()?;
    Ok(socket)
}

/// Waits for a message.
fn await_message(socket: &KeySocket) -> Result<Vec<u8>> {
    let start = Instant::now();
    loop {
        if let Some(message) = socket.read()? {
            return Ok(message);
        }
        ensure!(start.elapsed() < PATIENCE, "nothing is told");
        thread::sleep(Duration::from_millis(10));
    }
}

/// What an ACQUIRE says of a packet: source and destination with ports, and the protocol.
type Asked = (Address, Address, u8);

/// Reads an ACQUIRE of the kernel's.
fn acquire(message: &[u8]) -> Result<Asked> {
    let head = (message[1], message[2], message[3]);
    ensure!(head == (msg::ACQUIRE, 0, 3), "{message:02x?}");
    ensure!(
        wire::u32_at(message, 12) == 0,
        "it has a process: {message:02x?}"
    );
    let parsed = crate::support::parse(message)?;
    ensure!(parsed.has(klips::pfkey::Ext::Proposal), "no proposal");
    let end = |ext| parsed.address(ext).context("an address");
    let (src, dst) = (
        end(klips::pfkey::Ext::AddressSrc)?,
        end(klips::pfkey::Ext::AddressDst)?,
    );
    ensure!(src.proto == dst.proto, "{src:?} {dst:?}");
    Ok((src, dst, src.proto))
}

/// Sends a packet by UDP.
fn send(from: &str, sport: u16, to: &str, dport: u16) -> Result<()> {
    let from: IpAddr = from.parse()?;
    let to: IpAddr = to.parse()?;
    UdpSocket::bind((from, sport))?.send_to(b"x", (to, dport))?;
    Ok(())
}

/// The larval states there.
fn larval(space: &Space) -> Result<usize> {
    let states = space.run("ip xfrm state")?;
    Ok(states.matches("spi 0x00000000").count())
}

fn expect_asked(message: &[u8], from: (&str, u16), to: (&str, u16), proto: u8) -> Result<()> {
    let (src, dst, found) = acquire(message)?;
    let is = |address: &Address, (ip, port): (&str, u16)| {
        address.socket.ip().to_string() == ip && address.socket.port() == port
    };
    ensure!(
        is(&src, from) && is(&dst, to) && found == proto,
        "{from:?} > {to:?} {proto}: {src:?} {dst:?}"
    );
    Ok(())
}

fn a19_a_trap_asks_once_for_each_pair_of_hosts() -> Result<()> {
    let gateways = Gateways::new()?;
    let a = &gateways.a;
    a.run(&format!("ip route add {OTHER} via 10.0.0.2 src 10.1.0.1"))?;
    let (daemon, bystander) = (registered(3)?, KeySocket::open()?);
    for family in [V4, V6] {
        let (from, to) = family.inner;
        let (src, dst) = family.networks();
        ask(&wire::add_flow(
            said("%trap"),
            0,
            &wire::flow((src, 0), (dst, 0), 0),
        ))?;
        daemon.drain()?;
        bystander.drain()?;
        let before = a.counters()?;
        let capture = gateways.capture()?;
        for _ in 0..3 {
            send(from, 4000, to, 53)?;
        }
        expect_asked(&await_message(&daemon)?, (from, 4000), (to, 53), 17)?;
        // Whatever else is for that host waits as well.
        send(from, 4001, to, 54)?;
        ensure!(ping(a, from, to, 2, 56)? == 0, "it got through");
        a.counted_since(&before)?
            .expect(&[("XfrmOutNoStates", 6)])?;
        let packets = capture.end()?;
        ensure!(packets.len() == 0, "sent: {:?}", packets.headers());
        ensure!(larval(a)? == 1, "{}", a.run("ip xfrm state")?);
        let line = format!(
            "0          {:<18} -> {:<18} => %hold\n",
            format!("{from}/{}", family.bits),
            format!("{to}/{}", family.bits)
        );
        ensure!(proc_net("ipsec_eroute")?.ends_with(&line), "{line}");
        // Nothing more, and to nobody else.
        thread::sleep(Duration::from_millis(500));
        ensure!(daemon.drain()?.is_empty() && bystander.drain()?.is_empty());
        ask(&wire::clear_flows())?;
        ensure!(larval(a)? == 0, "it goes with the eroute");
        ensure!(proc_net("ipsec_eroute")?.is_empty());
    }

    ask(&wire::add_flow(said("%trap"), 0, &covering()))?;
    daemon.drain()?;
    let expires = a.run("cat /proc/sys/net/core/xfrm_acq_expires")?;
    ensure!(expires.trim() == "30", "{expires}");
    std::fs::write("/proc/sys/net/core/xfrm_acq_expires", "2")?;
    send(V4.inner.0, 7, V4.inner.1, 8)?;
    expect_asked(
        &await_message(&daemon)?,
        (V4.inner.0, 7),
        (V4.inner.1, 8),
        17,
    )?;
    // Another pair, and a protocol without ports.
    ensure!(ping(a, V4.inner.0, OTHER, 1, 56)? == 0, "it got through");
    expect_asked(&await_message(&daemon)?, (V4.inner.0, 0), (OTHER, 0), 1)?;
    let held = proc_net("ipsec_eroute")?;
    ensure!(held.matches("%hold").count() == 2, "{held}");
    // Time is over, and they ask anew.
    let start = Instant::now();
    while proc_net("ipsec_eroute")?.contains("%hold") {
        ensure!(start.elapsed() < PATIENCE, "it is held for ever");
        thread::sleep(Duration::from_millis(50));
    }
    ensure!(daemon.drain()?.is_empty());
    let start = Instant::now();
    while daemon.read()?.is_none() {
        // The engine's own time may end a little later.
        ensure!(start.elapsed() < PATIENCE, "nobody asks anew");
        send(V4.inner.0, 7, V4.inner.1, 8)?;
        thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}

fn a19_nobody_is_asked_where_nobody_listens() -> Result<()> {
    let gateways = Gateways::new()?;
    let a = &gateways.a;
    ask(&wire::add_flow(said("%trap"), 0, &covering()))?;
    // Who negotiates AH is not asked either.
    let other = registered(2)?;
    let expect_nothing = |before: &_| -> Result<()> {
        send(V4.inner.0, 4000, V4.inner.1, 53)?;
        thread::sleep(Duration::from_millis(300));
        a.counted_since(before)?.expect(&[("XfrmOutNoStates", 1)])?;
        ensure!(larval(a)? == 0, "{}", a.run("ip xfrm state")?);
        ensure!(!proc_net("ipsec_eroute")?.contains("%hold"));
        ensure!(other.drain()?.is_empty());
        Ok(())
    };
    expect_nothing(&a.counters()?)?;
    let daemon = registered(3)?;
    send(V4.inner.0, 4000, V4.inner.1, 53)?;
    await_message(&daemon)?;
    ensure!(larval(a)? == 1);
    // The daemon ends, and so does what it was asked for.
    drop(daemon);
    ask(&wire::del_flow(&wire::flow(
        ("10.1.0.1/32", 0),
        ("10.2.0.2/32", 0),
        0,
    )))?;
    other.drain()?;
    ensure!(larval(a)? == 0, "{}", a.run("ip xfrm state")?);
    expect_nothing(&a.counters()?)
}

fn a19_a_trap_asks_for_what_is_forwarded() -> Result<()> {
    let gateways = Gateways::new()?;
    let a = &gateways.a;
    let inside = Space::new()?;
    join("w1", a, &inside)?;
    for line in [
        "ip addr add 10.3.0.1/24 dev w1",
        "ip neigh replace 10.3.0.9 lladdr 02:00:00:00:00:0b dev w1 nud permanent",
    ] {
        a.run(line)?;
    }
    for line in [
        "ip addr add 10.3.0.9/24 dev w1",
        "ip neigh replace 10.3.0.1 lladdr 02:00:00:00:00:0a dev w1 nud permanent",
        "ip route add default via 10.3.0.1",
    ] {
        inside.run(line)?;
    }
    std::fs::write("/proc/sys/net/ipv4/ip_forward", "1")?;
    let daemon = registered(3)?;
    ask(&wire::add_flow(
        said("%trap"),
        0,
        &wire::flow(("10.3.0.0/24", 0), ("10.2.0.0/24", 0), 0),
    ))?;
    daemon.drain()?;
    let before = a.counters()?;
    let capture = gateways.capture()?;
    ensure!(ping(&inside, "10.3.0.9", V4.inner.1, 3, 56)? == 0);
    expect_asked(
        &await_message(&daemon)?,
        ("10.3.0.9", 0),
        (V4.inner.1, 0),
        1,
    )?;
    ensure!(daemon.drain()?.is_empty(), "once");
    let packets = capture.end()?;
    ensure!(packets.len() == 0, "sent: {:?}", packets.headers());
    a.counted_since(&before)?
        .expect(&[("XfrmOutNoStates", 3)])?;
    let list = proc_net("ipsec_eroute")?;
    ensure!(
        list.ends_with("10.3.0.9/32        -> 10.2.0.2/32        => %hold\n"),
        "{list}"
    );
    Ok(())
}

/// Sends packets by UDP from one socket to another and back, and says whether both came.
pub fn exchange(from: &UdpSocket, to: &UdpSocket) -> Result<[bool; 2]> {
    let mut came = [false; 2];
    for (came, (from, to)) in came.iter_mut().zip([(from, to), (to, from)]) {
        let wait = Duration::from_millis(500);
        to.set_read_timeout(Some(wait))?;
        // One that is refused does not come either.
        let _ = from.send_to(b"IKE", to.local_addr()?);
        let mut buffer = [0; 8];
        *came = matches!(to.recv(&mut buffer), Ok(3));
    }
    Ok(came)
}

fn a19_a_namespace_ends_while_packets_wait() -> Result<()> {
    in_own_network(|| {
        let _gateways = Gateways::new()?;
        ask(&wire::add_flow(said("%trap"), 0, &covering()))?;
        let daemon = registered(3)?;
        // Its limit is the sooner one, so that only the packets ask the worker for anything once it is
        // removed. With DEBUG_OBJECTS the kernel reports work that is asked for after that.
        let soft = Lifetime {
            addtime: 20,
            ..Lifetime::default()
        };
        daemon.ask(&Content {
            soft: Some(soft),
            ..add(&tunnel()[1])
        })?;
        daemon.drain()?;
        send(V4.inner.0, 4000, V4.inner.1, 53)?;
        await_message(&daemon)?;
        ensure!(proc_net("ipsec_eroute")?.contains("%hold"));
        Ok(())
    })
}

fn a20_ike_passes_between_hosts_in_clear() -> Result<()> {
    let gateways = Gateways::new()?;
    let (a, b) = (&gateways.a, &gateways.b);
    let Family { outer, .. } = V4;
    // Mainline's end is told itself what is to pass.
    for port in [500, 4500] {
        b.run(&format!(
            "ip xfrm policy add dir in src {}/32 dst {}/32 proto 17 dport {port} action allow",
            outer.0, outer.1
        ))?;
        b.run(&format!(
            "ip xfrm policy add dir out src {}/32 dst {}/32 proto 17 sport {port} action allow",
            outer.1, outer.0
        ))?;
    }
    let out = tunnel();
    let back = [said("tun.213@10.0.0.1"), said("esp.215@10.0.0.1")];
    make_group(&out)?;
    make_inbound(&back)?;
    join_up(&back)?;
    eroute(outer.0, outer.1, &out[0])?;
    inflow(outer.1, outer.0, &back[0])?;
    set_up_peer(&gateways, V4, outer, &out)?;
    send_through(&gateways, V4, (outer.1, outer.0), &back)?;

    let capture = gateways.capture()?;
    expect_pings(a, outer.0, outer.1, 3)?;
    capture.end()?.expect_only(outer, &[proto::ESP])?;
    for port in [500, 4500] {
        let ours = UdpSocket::bind((outer.0, port))?;
        let theirs = b.within(|| Ok(UdpSocket::bind((outer.1, port))?))?;
        let capture = gateways.capture()?;
        ensure!(exchange(&ours, &theirs)? == [true, true], "port {port}");
        capture.end()?.expect_udp(outer, &[(port, port)])?;
    }
    a.counters()?.expect(&[])?;
    b.counters()?.expect(&[])?;
    // All else is protected, also what is near to it,
    let ours = UdpSocket::bind((outer.0, 501))?;
    let theirs = b.within(|| Ok(UdpSocket::bind((outer.1, 501))?))?;
    let capture = gateways.capture()?;
    ensure!(exchange(&ours, &theirs)? == [true, true], "port 501");
    capture.end()?.expect_only(outer, &[proto::ESP])?;
    // and is not let in as it is.
    b.run("ip xfrm policy flush")?;
    ensure!(exchange(&theirs, &ours)?[..1] == [false], "in clear");
    a.counters()?.expect(&[("XfrmInTmplMismatch", 1)])?;
    // Without SAs there is IKE, and nothing else.
    ask(&wire::flush(0))?;
    let before = a.counters()?;
    let ours = UdpSocket::bind((outer.0, 500))?;
    let theirs = b.within(|| Ok(UdpSocket::bind((outer.1, 500))?))?;
    ensure!(exchange(&ours, &theirs)? == [true, true], "without SAs");
    expect_pings(a, outer.0, outer.1, 0)?;
    a.counted_since(&before)?
        .expect(&[("XfrmOutPolBlock", 3)])?;
    // It goes with the last that wants it.
    let passes = |policies: &str| policies.matches("proto 17").count();
    let policies = a.run("ip xfrm policy")?;
    ensure!(passes(&policies) == 4, "{policies}");
    ask(&wire::clear_flows())?;
    let policies = a.run("ip xfrm policy")?;
    ensure!(passes(&policies) == 0, "{policies}");
    Ok(())
}

/// What negotiates must not wait for what it negotiates.
fn a20_ike_passes_a_trap_that_asks_for_it() -> Result<()> {
    let gateways = Gateways::new()?;
    let (a, b) = (&gateways.a, &gateways.b);
    let Family { outer, .. } = V4;
    let daemon = registered(3)?;
    eroute(outer.0, outer.1, &said("%trap"))?;
    daemon.drain()?;
    let ours = UdpSocket::bind((outer.0, 500))?;
    let theirs = b.within(|| Ok(UdpSocket::bind((outer.1, 500))?))?;
    ensure!(exchange(&ours, &theirs)? == [true, true]);
    a.counters()?.expect(&[])?;
    ensure!(daemon.drain()?.is_empty(), "it was asked for");
    expect_pings(a, outer.0, outer.1, 0)?;
    await_message(&daemon)?;
    ensure!(
        exchange(&ours, &theirs)? == [true, true],
        "while others wait"
    );
    a.counters()?.expect(&[("XfrmOutNoStates", 3)])
}

/// A UDP socket that takes ESP in UDP (RFC 3948), held by a process: what a key daemon has.
struct EspInUdp(Child);

impl EspInUdp {
    fn open(space: &Space, address: &str, port: u16) -> Result<Self> {
        // AF_INET, SOCK_DGRAM; SOL_UDP, UDP_ENCAP, UDP_ENCAP_ESPINUDP.
        let octets = address.replace('.', ",");
        let script = format!(
            "$|=1;socket(S,2,2,17)&&setsockopt(S,17,100,pack('i',2))&&\
             bind(S,pack('SnC4x8',2,{port},{octets}))||die$!;print\"open\\n\";sleep(1)while(1)"
        );
        let script = script.replace(' ', "");
        let mut child = space.start(&format!("perl -e {script}"))?;
        let mut line = String::new();
        BufReader::new(child.stdout.take().context("its output")?).read_line(&mut line)?;
        if line != "open\n" {
            let _ = child.kill();
            bail!("perl: {:?}", child.wait_with_output()?);
        }
        Ok(EspInUdp(child))
    }
}

impl Drop for EspInUdp {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// An SA that goes in UDP, between two ports.
fn natted(said: &Said, src: &str, kind: u8, (sport, dport): (u16, u16)) -> Content<'static> {
    Content {
        src: Some(Address::of(src.parse().expect("an address"))),
        natt_type: Some(kind),
        natt_sport: Some(sport),
        natt_dport: Some(dport),
        ..add(said)
    }
}

/// Changes the port that packets of an SA have or come from.
fn set_port(said: &Said, number: u16, port: u16) -> Result<()> {
    let mut request = bytes_of(&crate::support::update(said));
    let [low, high] = port.to_ne_bytes();
    request.extend(wire::extension(number, &[low, high, 0, 0]));
    wire::fix_len(&mut request);
    ask(&request)
}

fn a21_packets_behind_nat_go_in_udp_and_follow_its_ports() -> Result<()> {
    let gateways = Gateways::new()?;
    let (a, b) = (&gateways.a, &gateways.b);
    let Family { outer, inner, .. } = V4;
    let _ours = EspInUdp::open(a, outer.0, 4500)?;
    let _theirs = EspInUdp::open(b, outer.1, 4500)?;
    let out = [said("tun.113@10.0.0.2"), said("esp.115@10.0.0.2")];
    let back = [said("tun.213@10.0.0.1"), said("esp.215@10.0.0.1")];
    let daemon = registered(3)?;
    let socket = KeySocket::open()?;
    for (pair, src) in [(&out, outer.0), (&back, outer.1)] {
        socket.ask(&Content {
            src: Some(Address::of(src.parse()?)),
            ..add(&pair[0])
        })?;
        socket.ask(&natted(&pair[1], src, 2, (4500, 4500)))?;
        socket.ask(&crate::support::link(&pair[0], &pair[1]))?;
    }
    eroute(inner.0, inner.1, &out[0])?;
    inflow(inner.1, inner.0, &back[0])?;
    let keys = "enc cbc(des3_ede) 0x303132333435363738396162636465666768696a6b6c6d6e \
                auth-trunc hmac(md5) 0x30313233343536373839616263646566 96";
    for (src, dst, spi) in [(outer.0, outer.1, "0x115"), (outer.1, outer.0, "0x215")] {
        b.run(&format!(
            "ip xfrm state add src {src} dst {dst} proto esp spi {spi} reqid 5 mode tunnel \
             replay-window 32 flag af-unspec {keys} encap espinudp 4500 4500 0.0.0.0"
        ))?;
    }
    for (dir, src, dst, from, to) in [
        ("in", inner.0, inner.1, outer.0, outer.1),
        ("out", inner.1, inner.0, outer.1, outer.0),
    ] {
        b.run(&format!(
            "ip xfrm policy add dir {dir} src {src}/32 dst {dst}/32 \
             tmpl src {from} dst {to} proto esp reqid 5 mode tunnel"
        ))?;
    }
    daemon.drain()?;
    let capture = gateways.capture()?;
    expect_pings(a, inner.0, inner.1, 3)?;
    capture.end()?.expect_udp(outer, &[(4500, 4500); 3])?;
    let listed = proc_net("ipsec_spi")?;
    ensure!(
        listed
            .matches("natencap=nonesp natsport=4500 natdport=4500")
            .count()
            == 2,
        "{listed}"
    );
    ensure!(daemon.drain()?.is_empty(), "nothing has changed");

    // Their NAT gives them another port.
    let _moved = EspInUdp::open(b, outer.1, 31_000)?;
    b.run("ip xfrm state delete src 10.0.0.2 dst 10.0.0.1 proto esp spi 0x215")?;
    b.run(&format!(
        "ip xfrm state add src 10.0.0.2 dst 10.0.0.1 proto esp spi 0x215 reqid 5 mode tunnel \
         replay-window 32 replay-oseq 100 flag af-unspec {keys} encap espinudp 31000 4500 0.0.0.0"
    ))?;
    // What they send gets in, what they are sent goes to the old port.
    expect_pings(a, inner.0, inner.1, 3)?;
    let message = await_message(&daemon)?;
    ensure!(
        (message[1], message[2], message[3]) == (msg::NAT_T_NEW_MAPPING, 0, 3),
        "{message:02x?}"
    );
    let parsed = crate::support::parse(&message)?;
    let (sport, dport) = (klips::pfkey::Ext::NatTSport, klips::pfkey::Ext::NatTDport);
    let end = |ext| parsed.address(ext).map(|it| it.socket.ip().to_string());
    ensure!(
        parsed.sa().is_some_and(|sa| sa.spi == 0x215)
            && (parsed.natt_port(sport), parsed.natt_port(dport)) == (Some(4500), Some(31_000))
            && end(klips::pfkey::Ext::AddressSrc).as_deref() == Some(outer.1)
            && end(klips::pfkey::Ext::AddressDst).as_deref() == Some(outer.1),
        "{message:02x?}"
    );
    expect_pings(a, inner.0, inner.1, 3)?;
    thread::sleep(Duration::from_millis(1500));
    expect_pings(a, inner.0, inner.1, 3)?;
    ensure!(daemon.drain()?.is_empty(), "it is told once");

    // The daemon says so of both SAs.
    set_port(&back[1], ext::NAT_T_SPORT, 31_000)?;
    set_port(&out[1], ext::NAT_T_DPORT, 31_000)?;
    b.run("ip xfrm state delete src 10.0.0.1 dst 10.0.0.2 proto esp spi 0x115")?;
    b.run(&format!(
        "ip xfrm state add src 10.0.0.1 dst 10.0.0.2 proto esp spi 0x115 reqid 5 mode tunnel \
         replay-window 32 flag af-unspec {keys} encap espinudp 4500 31000 0.0.0.0"
    ))?;
    daemon.drain()?;
    let capture = gateways.capture()?;
    expect_pings(a, inner.0, inner.1, 3)?;
    capture.end()?.expect_udp(outer, &[(4500, 31_000); 3])?;
    thread::sleep(Duration::from_millis(300));
    ensure!(daemon.drain()?.is_empty(), "it is known");
    a.counters()?.expect(&[])?;
    b.counters()?.expect(&[])?;

    // The marker of before RFC 3948 is gone from the kernel: such SAs are kept in mind.
    let old = said("esp.315@10.0.0.2");
    socket.ask(&natted(&old, outer.0, 1, (500, 500)))?;
    ensure!(proc_net("ipsec_spi")?.contains("natencap=nonike natsport=500 natdport=500"));
    expect_refused(&wire::add_flow(old, 0, &finer()), Errno::EPROTONOSUPPORT)
}
