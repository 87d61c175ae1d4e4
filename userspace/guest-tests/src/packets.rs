// SPDX-License-Identifier: GPL-2.0

//! Packets through groups of SAs, with another end that was set up by `ip xfrm` alone.

use crate::{
    events::listed,
    ktap::Test,
    support::{
        KeySocket, SECRET, add, group, in_own_network, link, make, manual_sas, naming, proc_net,
        said, ungroup,
    },
    tests,
    tools::quiet,
    wire::{
        Capture, Expected, FAMILIES, Family, Gateways, Layer, Space, V4, V6, eventually,
        expect_pings, in_each_family, join, ping,
    },
};
use anyhow::{Context, Result, ensure};
use klips::{
    errno::Errno,
    pfkey::{Address, MsgType},
    said::{Proto, Said},
};
use model::wire::{self, flag};
use pfkey::Content;
use std::net::{IpAddr, UdpSocket};

/// All of them.
pub fn all() -> Vec<Test> {
    tests![
        a1_the_manuals_first_example_carries_packets,
        a2_every_chain_carries_packets_of_every_family_and_size,
        a2_every_chain_lets_in_what_came_through_it,
        a3_an_eroute_without_sas_blocks_until_they_are_there,
        a4_eroutes_are_added_replaced_and_removed,
        a5_a_chain_of_six_states_is_refused_as_an_eroute,
        a7_an_inflow_lets_in_what_has_all_of_its_transforms,
        a8_new_keys_lose_no_packets,
        a9_a_tunnel_without_an_inflow_lets_anything_in,
        two_tunnels_of_a_group_come_in_one_out_of_the_other,
        a10_packets_are_forwarded,
        a11_nothing_leaves_in_clear_for_what_an_ungrouped_sa_takes,
        a_connected_socket_goes_by_the_eroute_as_it_is_now,
        a_connected_socket_is_let_past_no_longer_than_an_eroute_says,
        an_inflow_for_all_packets_is_there_beside_tunnels_without_one,
    ]
}

/// IP protocols.
pub mod proto {
    /// IPv4 in IP.
    pub const IPIP: u8 = 4;
    /// IPv6 in IP.
    pub const IPV6: u8 = 41;
    /// ESP.
    pub const ESP: u8 = 50;
    /// AH.
    pub const AH: u8 = 51;
    /// IPComp.
    pub const COMP: u8 = 108;
}

/// Writes a request that succeeds, and reads what it is answered.
pub fn ask(bytes: &[u8]) -> Result<()> {
    let socket = KeySocket::open()?;
    if let Err(errno) = socket.write(bytes) {
        anyhow::bail!("refused with {errno:?}");
    }
    socket.read_one()?;
    Ok(())
}

/// Checks that a request is refused with an errno.
pub fn expect_refused(bytes: &[u8], expected: Errno) -> Result<()> {
    let result = KeySocket::open()?.write(bytes);
    ensure!(result == Err(expected), "expected {expected:?}: {result:?}");
    Ok(())
}

/// A host as a network.
fn host(address: &str) -> String {
    let bits = if address.contains(':') { 128 } else { 32 };
    format!("{address}/{bits}")
}

/// The flow from one host to another.
pub fn flow(from: &str, to: &str) -> Vec<Vec<u8>> {
    wire::flow((&host(from), 0), (&host(to), 0), 0)
}

/// Adds an eroute from one host to another.
pub fn eroute(from: &str, to: &str, said: &Said) -> Result<()> {
    ask(&wire::add_flow(*said, 0, &flow(from, to)))
        .with_context(|| format!("eroute {from} -> {to} => {said}"))
}

/// Makes SAs and groups them.
pub fn make_group(saids: &[Said]) -> Result<()> {
    make(saids)?;
    join_up(saids)
}

/// Groups SAs, pair by pair.
pub fn join_up(saids: &[Said]) -> Result<()> {
    let socket = KeySocket::open()?;
    for pair in saids.windows(2) {
        socket.ask(&link(&pair[0], &pair[1]))?;
    }
    Ok(())
}

fn hex(key: &[u8]) -> String {
    format!("0x{}", data_encoding::HEXLOWER.encode(key))
}

/// A request that makes an SA for what comes from the other gateway: its destination is here.
pub fn inbound(said: &Said) -> Content<'static> {
    let src = match said.dst {
        IpAddr::V4(_) => V4.outer.1,
        IpAddr::V6(_) => V6.outer.1,
    };
    Content {
        src: Some(Address::of(src.parse().expect("an address"))),
        ..add(said)
    }
}

/// Makes SAs for what comes from the other gateway.
pub fn make_inbound(saids: &[Said]) -> Result<()> {
    let socket = KeySocket::open()?;
    for said in saids {
        socket
            .ask(&inbound(said))
            .with_context(|| format!("can't make {said}"))?;
    }
    Ok(())
}

/// Says what may come out of a tunnel.
pub fn inflow(from: &str, to: &str, said: &Said) -> Result<()> {
    ask(&wire::add_flow(*said, flag::IN, &flow(from, to)))
        .with_context(|| format!("inflow {from} -> {to} => {said}"))
}

/// What `ip xfrm state add` is told of the algorithms of the SAs that [`add`] makes.
fn algorithms(proto: Proto) -> String {
    match proto {
        Proto::Esp => format!(
            "enc cbc(des3_ede) {} auth-trunc hmac(md5) {} 96",
            hex(&SECRET[..24]),
            hex(&SECRET[..16])
        ),
        Proto::Ah => format!("auth-trunc hmac(sha1) {} 96", hex(&SECRET[..20])),
        Proto::Comp => "comp deflate".to_owned(),
        Proto::Tun | Proto::Int => String::new(),
    }
}

/// A state of the other end: protocol, SPI, whether it is in tunnel mode.
type PeerState = (Proto, u32, bool);

/// What the states of a chain are called for at the other end, inner to outer. A tunnel is part of
/// what comes after it.
fn peer_states(saids: &[Said]) -> Vec<PeerState> {
    let mut states = Vec::new();
    let mut in_tunnel = false;
    for said in saids {
        if said.proto != Proto::Tun {
            states.push((said.proto, said.spi, in_tunnel));
        }
        in_tunnel = said.proto == Proto::Tun;
    }
    states
}

/// Adds what a chain comes to at the other end.
pub fn add_peer_states(gateways: &Gateways, family: Family, saids: &[Said]) -> Result<()> {
    gateways.b.ip(&peer_commands(family.outer, saids))
}

/// Adds a state by `ip xfrm`.
pub fn add_state(space: &Space, ends: (&str, &str), state: PeerState) -> Result<()> {
    space.ip(&[state_command(ends, state)])
}

fn peer_commands(ends: (&str, &str), saids: &[Said]) -> Vec<String> {
    let states = peer_states(saids).into_iter();
    states.map(|state| state_command(ends, state)).collect()
}

fn state_command((src, dst): (&str, &str), (proto, spi, in_tunnel): PeerState) -> String {
    let name = proto.name();
    let mode = if in_tunnel { "tunnel" } else { "transport" };
    // Compression has no sequence numbers.
    let window = if proto == Proto::Comp { 0 } else { 32 };
    format!(
        "xfrm state add src {src} dst {dst} proto {name} spi {spi:#x} reqid {spi} mode {mode} \
         replay-window {window} flag af-unspec {}",
        algorithms(proto)
    )
}

/// Has the other end send packets of a flow through a chain: each of its states, by SPI.
pub fn send_through(
    gateways: &Gateways,
    family: Family,
    flow: (&str, &str),
    saids: &[Said],
) -> Result<()> {
    let (dst, src) = family.outer;
    gateways.b.ip(&peer_commands((src, dst), saids))?;
    switch_to(gateways, family, flow, saids)
}

/// The same through states that it has.
pub fn switch_to(
    gateways: &Gateways,
    family: Family,
    flow: (&str, &str),
    saids: &[Said],
) -> Result<()> {
    let (dst, src) = family.outer;
    let mut templates = String::new();
    for (proto, spi, in_tunnel) in peer_states(saids) {
        let name = proto.name();
        let mode = if in_tunnel { "tunnel" } else { "transport" };
        templates += &format!(" tmpl src {src} dst {dst} proto {name} reqid {spi} mode {mode}");
    }
    let (from, to) = (host(flow.0), host(flow.1));
    gateways.b.run(&format!(
        "ip xfrm policy update dir out src {from} dst {to}{templates}"
    ))?;
    Ok(())
}

/// Has the other end take packets that come through a chain, and no others of this flow.
pub fn set_up_peer(
    gateways: &Gateways,
    family: Family,
    flow: (&str, &str),
    saids: &[Said],
) -> Result<()> {
    let (src, dst) = family.outer;
    let template = |(proto, _, in_tunnel): &PeerState| {
        let name = proto.name();
        let mode = if *in_tunnel { "tunnel" } else { "transport" };
        // What compression does not make smaller comes without it.
        let level = if *proto == Proto::Comp {
            "level use"
        } else {
            ""
        };
        format!(" tmpl src {src} dst {dst} proto {name} mode {mode} {level}")
    };
    let states = peer_states(saids);
    let templates: String = states.iter().map(template).collect();
    let policy = |src, dst, templates| {
        let (src, dst) = (host(src), host(dst));
        format!("xfrm policy add dir in src {src} dst {dst}{templates}")
    };
    let mut commands = peer_commands((src, dst), saids);
    commands.push(policy(flow.0, flow.1, templates));
    // xfrm_interface, once somebody has loaded it, asks for a policy between two tunnels as well.
    let mut tunnels = states.iter().enumerate().filter(|(_, state)| state.2);
    if let Some((outer, _)) = tunnels.nth(1) {
        let templates: String = states[outer..].iter().map(template).collect();
        commands.push(policy(src, dst, templates));
    }
    gateways.b.ip(&commands)
}

fn a1_the_manuals_first_example_carries_packets() -> Result<()> {
    let gateways = Gateways::new()?;
    let sas = manual_sas();
    make(&sas)?;
    KeySocket::open()?.ask(&group(&sas))?;
    eroute(V4.inner.0, V4.inner.1, &sas[0])?;
    set_up_peer(&gateways, V4, V4.inner, &sas)?;

    let capture = gateways.capture()?;
    expect_pings(&gateways.a, V4.inner.0, V4.inner.1, 3)?;
    let packets = capture.end()?;
    packets.expect_only(V4.outer, &[proto::AH])?;
    gateways.b.counters()?.expect(&[])?;
    packets.hand_over("a1", &expected(V4, V4.inner, &layers(&sas), 3))
}

/// The SAs of a chain as scapy has them, outside to inside. Of a tunnel it only sees the header.
fn layers(saids: &[Said]) -> Vec<Layer<'static>> {
    let algorithms = |proto| match proto {
        Proto::Esp => Some((
            "ESP",
            Some(("3DES", &SECRET[..24])),
            Some(("HMAC-MD5-96", &SECRET[..16])),
        )),
        Proto::Ah => Some(("AH", None, Some(("HMAC-SHA1-96", &SECRET[..20])))),
        Proto::Comp => Some(("IPCOMP", None, None)),
        Proto::Tun | Proto::Int => None,
    };
    let layer = |said: &Said| {
        let (proto, encrypt, auth) = algorithms(said.proto)?;
        Some(Layer {
            proto,
            spi: said.spi,
            encrypt,
            auth,
        })
    };
    saids.iter().rev().filter_map(layer).collect()
}

/// Echo requests, without those layers.
fn expected<'a>(
    outer: Family,
    ends: (&'a str, &'a str),
    layers: &'a [Layer<'a>],
    packets: usize,
) -> Expected<'a> {
    // The header in front stays: scapy takes off what is behind it.
    let inside: &[&str] = match (outer.bits, ends.0.contains(':'), ends == outer.outer) {
        (32, _, true) => &["IP", "ICMP"],
        (_, _, true) => &["IPv6", "ICMPv6EchoRequest"],
        (32, false, _) => &["IP", "IP", "ICMP"],
        (32, true, _) => &["IP", "IPv6", "ICMPv6EchoRequest"],
        (_, false, _) => &["IPv6", "IP", "ICMP"],
        (_, true, _) => &["IPv6", "IPv6", "ICMPv6EchoRequest"],
    };
    Expected {
        src: outer.outer.0,
        packets,
        layers,
        inside,
        ends,
    }
}

/// Sizes of what follows the header of an echo request: nothing, little, most of a packet on the
/// wire, more than that, nearly all that IP can carry.
const SIZES: [u32; 5] = [0, 56, 1300, 3000, 60_000];

/// How many of them need no fragments. These are taken apart by scapy, and no others are tried where IPv6
/// goes through IPComp in ESP: of larger ones Linux 7.3 loses some, without a word in its statistics, between two ends that were set
/// up by `ip xfrm` alone as well.
const WHOLE: usize = 3;

/// A chain, the protocols that the packets on the wire may have, and what the other end needs to take
/// what `ip xfrm` can't.
struct Row {
    protos: &'static [&'static str],
    on_wire: &'static [u8],
}

const ROWS: &[Row] = &[
    Row {
        protos: &["tun", "esp"],
        on_wire: &[proto::ESP],
    },
    Row {
        protos: &["tun", "comp"],
        // What is too short to be compressed is IP in IP.
        on_wire: &[proto::COMP, proto::IPIP, proto::IPV6],
    },
    Row {
        protos: &["tun", "comp", "esp"],
        on_wire: &[proto::ESP],
    },
    Row {
        protos: &["tun", "esp", "ah"],
        on_wire: &[proto::AH],
    },
    Row {
        protos: &["tun", "ah"],
        on_wire: &[proto::AH],
    },
    Row {
        protos: &["tun", "esp", "tun", "esp"],
        on_wire: &[proto::ESP],
    },
    Row {
        protos: &["esp", "ah"],
        on_wire: &[proto::AH],
    },
    Row {
        protos: &["esp"],
        on_wire: &[proto::ESP],
    },
];

/// Does something for each chain in each family, with what it is to carry: SAs to an end of the wire that
/// `to` picks, and a flow from this gateway to the other.
fn for_each_chain(
    to: impl Fn((&'static str, &'static str)) -> &'static str,
    work: impl Fn(&Row, Family, (&'static str, &'static str), &[Said]) -> Result<()>,
) -> Result<()> {
    let mut spi = 0x1000;
    for row in ROWS {
        for (outer, inner) in FAMILIES {
            let is_tunnel = row.protos[0] == "tun";
            // Without a tunnel packets keep their header.
            if !is_tunnel && outer.bits != inner.bits {
                continue;
            }
            let saids: Vec<Said> = row
                .protos
                .iter()
                .map(|proto| {
                    spi += 1;
                    said_of(proto, spi, to(outer.outer))
                })
                .collect();
            let ends = if is_tunnel { inner.inner } else { outer.outer };
            work(row, outer, ends, &saids)
                .with_context(|| format!("{saids:?} for {} > {}", ends.0, ends.1))?;
        }
    }
    Ok(())
}

fn a2_every_chain_carries_packets_of_every_family_and_size() -> Result<()> {
    // It has a say in what comes in, if it is there.
    quiet("modprobe xfrm_interface")?;
    for_each_chain(|(_, other)| other, carries)?;
    for (outer, inner, number) in [
        (V4, V4, proto::IPIP),
        (V4, V6, proto::IPV6),
        (V6, V4, proto::IPIP),
        (V6, V6, proto::IPV6),
    ] {
        lone_tunnel(outer, inner, number)
            .with_context(|| format!("a tunnel alone, {} in {}", inner.bits, outer.bits))?;
    }
    Ok(())
}

fn a2_every_chain_lets_in_what_came_through_it() -> Result<()> {
    for_each_chain(|(own, _)| own, lets_in)
}

/// Has the other end send packets through a chain, short ones and some that can be compressed; then, where
/// an inflow says that they have to come that way, some in clear. Nobody vouches for what is only
/// compressed, which does not come in with an inflow nor without.
fn lets_in(row: &Row, outer: Family, ends: (&str, &str), saids: &[Said]) -> Result<()> {
    // What is too short to be compressed comes without, so compression alone is no protection.
    let is_bare = row.protos == ["tun", "comp"];
    let is_tunnel = saids[0].proto == Proto::Tun;
    in_own_network(|| {
        let gateways = Gateways::new()?;
        let (to, from) = ends;
        make_inbound(saids)?;
        join_up(saids)?;
        if is_tunnel && !is_bare {
            inflow(from, to, &saids[0])?;
        }
        send_through(&gateways, outer, (from, to), saids)?;
        let wanted = if is_bare { 0 } else { 2 };
        for size in [56, 1300] {
            let answered = ping(&gateways.b, from, to, 2, size)?;
            ensure!(answered == wanted, "{answered} answered with {size} bytes");
        }
        let counted = gateways.a.counters()?;
        counted.expect(if is_bare { &[("XfrmInNoPols", 4)] } else { &[] })?;
        let list = proc_net("ipsec_spi")?;
        for said in saids.iter().filter(|said| said.proto != Proto::Tun) {
            let name = format!("{said} ");
            let mut lines = list.lines();
            let line = lines.find(|line| line.starts_with(&name));
            let packets = listed(line.with_context(|| list.clone())?, "packets")?;
            let at_least = if said.proto == Proto::Comp { 2 } else { 4 };
            ensure!(
                (at_least..=4).contains(&packets),
                "{said}: {packets} packets"
            );
        }
        // Only what may come out of a tunnel can be said.
        if !is_tunnel {
            return Ok(());
        }
        let send = |size, reason, dropped| -> Result<()> {
            let socket = gateways.b.within(|| Ok(UdpSocket::bind((from, 0))?))?;
            for _ in 0..3 {
                socket.send_to(&vec![0; size], (to, 9))?;
            }
            eventually("they have come", || {
                Ok(gateways.a.counters()?.of(reason) >= dropped)
            })?;
            let counted = gateways.a.counted_since(&counted)?;
            counted.expect(&[(reason, dropped)])
        };
        let (reason, before) = if is_bare {
            inflow(from, to, &saids[0])?;
            send(1300, "XfrmInPolBlock", 3).context("compressed")?;
            ("XfrmInPolBlock", 3)
        } else {
            ("XfrmInTmplMismatch", 0)
        };
        gateways.b.run("ip xfrm policy flush")?;
        send(56, reason, before + 3).context("in clear")
    })
}

/// Checks that a tunnel alone puts a header in front. The other end is not asked to take it:
/// `ip xfrm` has no such states.
fn lone_tunnel(outer: Family, inner: Family, number: u8) -> Result<()> {
    in_own_network(|| {
        let gateways = Gateways::new()?;
        let tunnel = said_of("tun", 0x113, outer.outer.1);
        make(&[tunnel])?;
        eroute(inner.inner.0, inner.inner.1, &tunnel)?;
        let capture = gateways.capture()?;
        expect_pings(&gateways.a, inner.inner.0, inner.inner.1, 0)?;
        let packets = capture.end()?;
        ensure!(packets.len() == 3, "{:?}", packets.headers());
        packets.expect_only(outer.outer, &[number])
    })
}

/// The name of an SA.
pub fn said_of(proto: &str, spi: u32, dst: &str) -> Said {
    let dst: IpAddr = dst.parse().expect("an address");
    let sign = if dst.is_ipv4() { '.' } else { ':' };
    said(&format!("{proto}{sign}{spi:x}@{dst}"))
}

/// Checks that packets of all sizes go through a chain, and that none goes around it.
fn carries(row: &Row, outer: Family, ends: (&str, &str), saids: &[Said]) -> Result<()> {
    in_own_network(|| {
        let gateways = Gateways::new()?;
        make_group(saids)?;
        eroute(ends.0, ends.1, &saids[0])?;
        set_up_peer(&gateways, outer, ends, saids)?;
        let capture = gateways.capture()?;
        let sizes = if row.protos == ["tun", "comp", "esp"] && ends == V6.inner {
            &SIZES[..WHOLE]
        } else {
            &SIZES[..]
        };
        for &size in sizes {
            let answered = ping(&gateways.a, ends.0, ends.1, 2, size)?;
            ensure!(
                answered == 2,
                "{answered} of 2 answered with {size} bytes: {:?}, {:?}",
                gateways.a.counters()?,
                gateways.b.counters()?
            );
        }
        let packets = capture.end()?;
        packets.expect_only(outer.outer, row.on_wire)?;
        ensure!(
            packets.len() >= 2 * sizes.len(),
            "{} were sent",
            packets.len()
        );
        gateways.b.counters()?.expect(&[])?;
        let version = |address: &str| if address.contains(':') { "v6" } else { "v4" };
        let name = format!(
            "a2-{}-{}-in-{}",
            row.protos.join("-"),
            version(ends.0),
            version(outer.outer.0)
        );
        let layers = layers(saids);
        packets
            .first(2 * WHOLE)
            .hand_over(&name, &expected(outer, ends, &layers, 2 * WHOLE))
    })
}

fn a3_an_eroute_without_sas_blocks_until_they_are_there() -> Result<()> {
    let gateways = Gateways::new()?;
    let sas = manual_sas();
    eroute(V4.inner.0, V4.inner.1, &sas[0])?;
    set_up_peer(&gateways, V4, V4.inner, &sas)?;

    let capture = gateways.capture()?;
    let blocked = |count| gateways.a.counters()?.expect(&[("XfrmOutPolBlock", count)]);
    expect_pings(&gateways.a, V4.inner.0, V4.inner.1, 0)?;
    blocked(3)?;
    // A tunnel alone is there, but the other SAs are not: still nothing.
    make(&sas[..2])?;
    let packets = capture.end()?;
    ensure!(packets.len() == 0, "sent: {:?}", packets.headers());

    make(&sas[2..])?;
    KeySocket::open()?.ask(&group(&sas))?;
    expect_pings(&gateways.a, V4.inner.0, V4.inner.1, 3)?;

    // Ungrouped, what goes through must not be less protected than before.
    let capture = gateways.capture()?;
    KeySocket::open()?.ask(&ungroup(&sas[1]))?;
    expect_pings(&gateways.a, V4.inner.0, V4.inner.1, 0)?;
    blocked(6)?;
    let packets = capture.end()?;
    ensure!(packets.len() == 0, "sent: {:?}", packets.headers());

    // The sequence numbers go on, or the other end drops what it takes for replays.
    KeySocket::open()?.ask(&group(&sas))?;
    expect_pings(&gateways.a, V4.inner.0, V4.inner.1, 3)?;
    gateways.b.counters()?.expect(&[])
}

fn a4_eroutes_are_added_replaced_and_removed() -> Result<()> {
    let gateways = Gateways::new()?;
    let sas = manual_sas();
    let others = ["tun.213", "esp.215", "ah.216"].map(|name| said(&format!("{name}@10.0.0.2")));
    make_group(&sas)?;
    make_group(&others)?;
    let (from, to) = V4.inner;
    eroute(from, to, &sas[0])?;
    set_up_peer(&gateways, V4, V4.inner, &sas)?;

    expect_refused(&wire::add_flow(sas[0], 0, &flow(from, to)), Errno::EEXIST)?;
    expect_refused(&wire::del_flow(&flow("10.9.9.9", to)), Errno::ENOENT)?;

    // The other chain, too, is taken by the other end.
    add_peer_states(&gateways, V4, &others)?;
    let before = (gateways.a.counters()?, gateways.b.counters()?);
    flood_while(&gateways, from, to, || {
        for round in 0..20 {
            let chain = if round % 2 == 0 { others[0] } else { sas[0] };
            ask(&wire::add_flow(chain, flag::REPLACE, &flow(from, to)))?;
        }
        Ok(())
    })?;
    gateways.a.counted_since(&before.0)?.expect(&[])?;
    gateways.b.counted_since(&before.1)?.expect(&[])?;

    ask(&wire::del_flow(&flow(from, to)))?;
    ensure!(!gateways.a.run("ip xfrm policy")?.contains("dir out"));
    for n in 1..=5 {
        eroute(from, &format!("10.2.0.{n}"), &sas[0])?;
    }
    ensure!(proc_net("ipsec_eroute")?.lines().count() == 5);
    ask(&wire::clear_flows())?;
    ensure!(proc_net("ipsec_eroute")?.is_empty());
    let left = gateways.a.run("ip xfrm policy")?;
    ensure!(left.is_empty(), "policies are left: {left}");
    Ok(())
}

/// Sends as many packets as there is time for while something is done, and checks that the other end
/// has had every one of them.
pub fn flood_while(
    gateways: &Gateways,
    from: &str,
    to: &str,
    work: impl FnOnce() -> Result<()>,
) -> Result<()> {
    let (sent, lost) = flood_during(gateways, from, to, work)?;
    // The last may have been on its way when the flood ended.
    let counted = (gateways.a.counters()?, gateways.b.counters()?);
    ensure!(lost <= 1, "{lost} of {sent} were lost: {counted:?}");
    Ok(())
}

/// Has a namespace's table of states grow before it matters: xfrm drops a packet that looks for a state at
/// that very moment (`xfrm_state_find` in net/xfrm/xfrm_state.c, -EAGAIN).
fn make_room_for_states(space: &Space) -> Result<()> {
    let (src, dst) = ("192.0.2.1", "192.0.2.2");
    let mut spi = 0x9000;
    while space.state_buckets()? < 32 {
        ensure!(spi < 0x9100, "256 states in fewer than 32 buckets");
        add_state(space, (src, dst), (Proto::Esp, spi, false))?;
        spi += 1;
    }
    space.run(&format!("ip xfrm state deleteall src {src} dst {dst}"))?;
    Ok(())
}

/// The same, whatever becomes of the packets. Returns how many were sent and how many lost, of which the
/// last may have been on its way when the flood ended.
pub fn flood_during(
    gateways: &Gateways,
    from: &str,
    to: &str,
    work: impl FnOnce() -> Result<()>,
) -> Result<(u32, u32)> {
    make_room_for_states(&gateways.a)?;
    make_room_for_states(&gateways.b)?;
    let flood = gateways
        .a
        .start(&format!("ping -n -q -f -W 2 -w 600 -I {from} {to}"))?;
    let so_far = || gateways.a.sent_by("w0");
    let is_taking = |what: &str| -> Result<()> {
        let before = so_far()?;
        eventually(what, || Ok(so_far()? > before + 50))
    };
    is_taking("packets before")?;
    let done = work();
    is_taking("packets after")?;
    nix::sys::signal::kill(
        nix::unistd::Pid::from_raw(i32::try_from(flood.id())?),
        nix::sys::signal::Signal::SIGINT,
    )?;
    let output = flood.wait_with_output()?;
    done?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let numbers = text.lines().find(|line| line.contains("transmitted"));
    let numbers: Vec<u32> = numbers
        .with_context(|| format!("ping: {output:?}"))?
        .split(|c: char| !c.is_ascii_digit())
        .filter_map(|word| word.parse().ok())
        .collect();
    let (sent, answered) = (numbers[0], numbers[1]);
    ensure!(sent > 50, "only {sent} packets were sent");
    Ok((sent, sent - answered))
}

fn a5_a_chain_of_six_states_is_refused_as_an_eroute() -> Result<()> {
    let gateways = Gateways::new()?;
    let chain: Vec<Said> = (0..6)
        .map(|n| said_of("esp", 0x500 + n, V4.outer.1))
        .collect();
    make_group(&chain)?;
    let list = proc_net("ipsec_spigrp")?;
    ensure!(list.lines().count() == 1, "they are one group: {list}");
    let before = gateways.a.xfrm()?;
    let request = wire::add_flow(chain[0], 0, &flow(V4.outer.0, V4.outer.1));
    expect_refused(&request, Errno::EMLINK)?;
    ensure!(gateways.a.xfrm()? == before, "something is left of it");
    expect_pings(&gateways.a, V4.outer.0, V4.outer.1, 3)
}

/// The manual's three SAs for what comes in.
/// A chain for what comes from the other gateway.
pub fn inbound_sas() -> [Said; 3] {
    ["tun.313", "esp.315", "ah.316"].map(|name| said(&format!("{name}@10.0.0.1")))
}

fn a7_an_inflow_lets_in_what_has_all_of_its_transforms() -> Result<()> {
    let gateways = Gateways::new()?;
    let sas = inbound_sas();
    let (to, from) = V4.inner;
    // The order of pluto: the flow when there is no more than the tunnel.
    make_inbound(&sas[..1])?;
    inflow(from, to, &sas[0])?;
    make_inbound(&sas[1..])?;
    KeySocket::open()?.ask(&group(&sas))?;
    send_through(&gateways, V4, (from, to), &sas)?;
    expect_pings(&gateways.b, from, to, 3)?;
    gateways.a.counters()?.expect(&[])?;

    // Without AH.
    switch_to(&gateways, V4, (from, to), &sas[..2])?;
    expect_pings(&gateways.b, from, to, 0)?;
    gateways
        .a
        .counters()?
        .expect(&[("XfrmInTmplMismatch", 3)])?;
    // In clear.
    gateways.b.run("ip xfrm policy flush")?;
    expect_pings(&gateways.b, from, to, 0)?;
    gateways
        .a
        .counters()?
        .expect(&[("XfrmInTmplMismatch", 6)])?;
    // As it should be.
    switch_to(&gateways, V4, (from, to), &sas)?;
    expect_pings(&gateways.b, from, to, 3)
}

fn a8_new_keys_lose_no_packets() -> Result<()> {
    let gateways = Gateways::new()?;
    let (here, there) = V4.inner;
    let chain = |names: [&str; 3], dst| names.map(|name| said(&format!("{name}@{dst}")));
    let old_out = manual_sas();
    let new_out = chain(["tun.213", "esp.215", "ah.216"], V4.outer.1);
    let old_in = inbound_sas();
    let new_in = chain(["tun.413", "esp.415", "ah.416"], V4.outer.0);
    make_group(&old_out)?;
    eroute(here, there, &old_out[0])?;
    set_up_peer(&gateways, V4, V4.inner, &old_out)?;
    make_inbound(&old_in)?;
    join_up(&old_in)?;
    inflow(there, here, &old_in[0])?;
    send_through(&gateways, V4, (there, here), &old_in)?;
    expect_pings(&gateways.a, here, there, 3)?;

    let remove = |said: &Said| {
        let socket = KeySocket::open()?;
        let result = socket.send(&naming(MsgType::Delete, said));
        ensure!(result.is_ok(), "DELETE {said}: {result:?}");
        Ok(())
    };
    flood_while(&gateways, here, there, || {
        // What comes in: both chains are good until the old one is removed.
        make_inbound(&new_in)?;
        join_up(&new_in)?;
        inflow(there, here, &new_in[0])?;
        send_through(&gateways, V4, (there, here), &new_in)?;
        // What leaves.
        add_peer_states(&gateways, V4, &new_out)?;
        make_group(&new_out)?;
        ask(&wire::add_flow(
            new_out[0],
            flag::REPLACE,
            &flow(here, there),
        ))?;
        std::thread::sleep(std::time::Duration::from_millis(300));
        remove(&old_in[1])?;
        remove(&old_out[1])
    })?;
    gateways.a.counters()?.expect(&[])?;
    gateways.b.counters()?.expect(&[])?;
    // The old chain is gone for good.
    switch_to(&gateways, V4, (there, here), &old_in)?;
    expect_pings(&gateways.a, here, there, 0)?;
    gateways.a.counters()?.expect(&[("XfrmInNoStates", 3)])
}

fn a9_a_tunnel_without_an_inflow_lets_anything_in() -> Result<()> {
    let gateways = Gateways::new()?;
    let sas = inbound_sas();
    let (to, from) = V4.inner;
    make_inbound(&sas)?;
    KeySocket::open()?.ask(&group(&sas))?;
    send_through(&gateways, V4, (from, to), &sas)?;
    expect_pings(&gateways.b, from, to, 3)?;
    gateways.a.counters()?.expect(&[])?;

    // Somebody else's tunnel needs a policy of theirs, as it does without klips.
    let foreign = [said("tun.913@10.0.0.1"), said("esp.915@10.0.0.1")];
    add_state(
        &gateways.a,
        (V4.outer.1, V4.outer.0),
        (Proto::Esp, 0x915, true),
    )?;
    send_through(&gateways, V4, (from, to), &foreign)?;
    expect_pings(&gateways.b, from, to, 0)?;
    gateways
        .a
        .counters()?
        .expect(&[("XfrmInTmplMismatch", 3)])?;
    // What is in clear is nobody's.
    gateways.b.run("ip xfrm policy flush")?;
    expect_pings(&gateways.b, from, to, 3)
}

/// Where the kernel has xfrm interfaces it looks at what goes on from one tunnel to the next as well.
fn two_tunnels_of_a_group_come_in_one_out_of_the_other() -> Result<()> {
    if std::fs::read_to_string("/proc/modules")?.contains("xfrm_interface ") {
        quiet("rmmod xfrm_interface")?;
    }
    for has_interfaces in [false, true] {
        if has_interfaces {
            quiet("modprobe xfrm_interface")?;
        }
        for names in [
            ["tun.313", "esp.315", "tun.323", "ah.326"],
            ["tun.313", "ah.316", "tun.323", "esp.325"],
            ["tun.313", "comp.314", "tun.323", "esp.325"],
        ] {
            let sas = names.map(|name| said(&format!("{name}@10.0.0.1")));
            in_own_network(|| two_tunnels(&sas))
                .with_context(|| format!("{names:?}, xfrm interfaces: {has_interfaces}"))?;
        }
    }
    Ok(())
}

fn two_tunnels(sas: &[Said; 4]) -> Result<()> {
    let gateways = Gateways::new()?;
    let (to, from) = V4.inner;
    make_inbound(sas)?;
    join_up(sas)?;
    send_through(&gateways, V4, (from, to), sas)?;
    // Anybody can compress, and without an inflow nothing asks for the other.
    let compresses = sas[1].proto == Proto::Comp;
    let answered = if compresses { 0 } else { 3 };
    expect_pings(&gateways.b, from, to, answered).context("without an inflow")?;
    let dropped = 3 - u64::from(answered);
    let before = gateways.a.counters()?;
    before.expect(&[("XfrmInTmplMismatch", dropped)])?;
    inflow(from, to, &sas[0])?;
    expect_pings(&gateways.b, from, to, 3).context("with an inflow")?;
    gateways.a.counted_since(&before)?.expect(&[])?;
    // Either of them alone is not enough, unless the other does no more than compress; none is not.
    let (inner, outer) = sas.split_at(2);
    switch_to(&gateways, V4, (from, to), inner)?;
    expect_pings(&gateways.b, from, to, 0).context("the inner one alone")?;
    let answered = if compresses { 3 } else { 0 };
    switch_to(&gateways, V4, (from, to), outer)?;
    expect_pings(&gateways.b, from, to, answered).context("the outer one alone")?;
    gateways.b.run("ip xfrm policy flush")?;
    expect_pings(&gateways.b, from, to, 0).context("in clear")?;
    let dropped = 9 - u64::from(answered);
    gateways
        .a
        .counted_since(&before)?
        .expect(&[("XfrmInTmplMismatch", dropped)])
}

fn a10_packets_are_forwarded() -> Result<()> {
    let gateways = Gateways::new()?;
    let c = Space::new()?;
    join("w1", &gateways.a, &c)?;
    gateways.a.run("ip addr add 10.1.1.1/24 dev w1")?;
    c.run("ip addr add 10.1.1.3/24 dev w1")?;
    c.run("ip route add default via 10.1.1.1")?;
    gateways
        .b
        .run("ip route add 10.1.1.0/24 via 10.0.0.1 src 10.2.0.2")?;
    gateways
        .a
        .within(|| Ok(std::fs::write("/proc/sys/net/ipv4/ip_forward", "1")?))?;
    let (from, to) = (V4.inner.1, "10.1.1.3");

    let sas = inbound_sas();
    make_inbound(&sas)?;
    KeySocket::open()?.ask(&group(&sas))?;
    inflow(from, to, &sas[0])?;
    send_through(&gateways, V4, (from, to), &sas)?;
    expect_pings(&gateways.b, from, to, 3)?;

    // What goes back may take a chain, too.
    let out = manual_sas();
    make_group(&out)?;
    eroute(to, from, &out[0])?;
    set_up_peer(&gateways, V4, (to, from), &out)?;
    let capture = gateways.capture()?;
    expect_pings(&gateways.b, from, to, 3)?;
    capture.end()?.expect_only(V4.outer, &[proto::AH])?;

    // In clear, or with less than all transforms, nothing gets any further.
    let leaves = Capture::start(&gateways.a, "w1")?;
    switch_to(&gateways, V4, (from, to), &sas[..2])?;
    expect_pings(&gateways.b, from, to, 0)?;
    gateways
        .b
        .run("ip xfrm policy delete dir out src 10.2.0.2/32 dst 10.1.1.3/32")?;
    expect_pings(&gateways.b, from, to, 0)?;
    gateways
        .a
        .counters()?
        .expect(&[("XfrmInTmplMismatch", 6)])?;
    let packets = leaves.end()?;
    ensure!(packets.len() == 0, "forwarded: {:?}", packets.headers());
    Ok(())
}

fn a11_nothing_leaves_in_clear_for_what_an_ungrouped_sa_takes() -> Result<()> {
    in_each_family(nothing_in_clear)
}

fn nothing_in_clear(outer: Family, inner: Family) -> Result<()> {
    let gateways = Gateways::new()?;
    let sas = [
        said_of("tun", 0x313, outer.outer.0),
        said_of("esp", 0x315, outer.outer.0),
    ];
    let (to, from) = inner.inner;
    make_inbound(&sas)?;
    send_through(&gateways, outer, (from, to), &sas)?;
    let socket = KeySocket::open()?;

    let flood_in_silence = || -> Result<()> {
        let capture = gateways.capture()?;
        gateways
            .b
            .output(&format!("ping -n -q -i 0.002 -c 200 -W 1 -I {from} {to}"))?;
        let packets = capture.end()?;
        ensure!(packets.len() == 0, "sent: {:?}", packets.headers());
        Ok(())
    };
    // ESP in transport mode takes them; what comes out is a tunnel packet that nobody takes.
    flood_in_silence()?;
    let dropped = gateways.a.counters()?;
    // By the handler of bare tunnel packets, which for IPv6 has another name for it.
    let reason = if outer.bits == 32 {
        "XfrmInNoStates"
    } else {
        "XfrmInHdrError"
    };
    dropped.expect(&[(reason, 200)])?;

    socket.ask(&group(&sas))?;
    inflow(from, to, &sas[0])?;
    expect_pings(&gateways.b, from, to, 3)?;
    gateways.a.counted_since(&dropped)?.expect(&[])?;

    socket.ask(&ungroup(&sas[1]))?;
    flood_in_silence()?;
    gateways
        .a
        .counted_since(&dropped)?
        .expect(&[("XfrmInPolBlock", 200)])?;

    socket.ask(&group(&sas))?;
    expect_pings(&gateways.b, from, to, 3)
}

fn a_connected_socket_goes_by_the_eroute_as_it_is_now() -> Result<()> {
    in_each_family(goes_by_eroute)
}

/// A socket from one address to another, which keeps the way that it finds.
fn connected(space: &Space, from: &str, to: &str) -> Result<UdpSocket> {
    let (own, other): (IpAddr, IpAddr) = (from.parse()?, to.parse()?);
    space.within(|| {
        let socket = UdpSocket::bind((own, 0))?;
        socket.connect((other, 4711))?;
        Ok(socket)
    })
}

fn a_connected_socket_is_let_past_no_longer_than_an_eroute_says() -> Result<()> {
    in_each_family(|outer, inner| {
        let gateways = Gateways::new()?;
        let sas = [
            said_of("tun", 0x513, outer.outer.1),
            said_of("esp", 0x515, outer.outer.1),
        ];
        let (from, to) = inner.inner;
        make_group(&sas)?;
        let (src, dst) = inner.networks();
        let covering = wire::flow((src, 0), (dst, 0), 0);
        ask(&wire::add_flow(sas[0], 0, &covering))?;
        let socket = connected(&gateways.a, from, to)?;
        // How many of three packets leave in clear.
        let in_clear = || -> Result<usize> {
            let capture = Capture::of_unprotected(&gateways.a, "w0")?;
            for _ in 0..3 {
                // The other end may have said that nobody listens there.
                let _ = socket.send(b"which way?");
            }
            Ok(capture.end()?.len())
        };
        for _ in 0..2 {
            ensure!(in_clear()? == 0, "with one eroute");
            eroute(from, to, &said("%pass"))?;
            ensure!(in_clear()? > 0, "with %pass it leaves in clear");
            ask(&wire::del_flow(&flow(from, to)))?;
        }
        let left = in_clear()?;
        ensure!(left == 0, "{left} left in clear, with %pass gone");
        Ok(())
    })
}

fn an_inflow_for_all_packets_is_there_beside_tunnels_without_one() -> Result<()> {
    let gateways = Gateways::new()?;
    let sas = inbound_sas();
    let others = [said("tun.513@10.0.0.1"), said("esp.515@10.0.0.1")];
    let (to, from) = V4.inner;
    make_inbound(&sas)?;
    join_up(&sas)?;
    let all = wire::flow(("0.0.0.0/0", 0), ("0.0.0.0/0", 0), 0);
    ask(&wire::add_flow(sas[0], flag::IN, &all))?;
    make_inbound(&others)?;
    join_up(&others)?;
    send_through(&gateways, V4, (from, to), &sas)?;
    expect_pings(&gateways.b, from, to, 3)?;
    gateways.a.counters()?.expect(&[])?;
    // What the inflow is for has to come through the first.
    send_through(&gateways, V4, (from, to), &others)?;
    expect_pings(&gateways.b, from, to, 0)?;
    let mismatch = [("XfrmInTmplMismatch", 3)];
    gateways.a.counters()?.expect(&mismatch)
}

/// A socket keeps the way that it has found, with all transforms, for as long as that is good.
fn goes_by_eroute(outer: Family, inner: Family) -> Result<()> {
    let gateways = Gateways::new()?;
    let sas = [
        said_of("tun", 0x413, outer.outer.1),
        said_of("esp", 0x415, outer.outer.1),
    ];
    let (from, to) = inner.inner;
    make_group(&sas)?;
    eroute(from, to, &sas[0])?;
    let socket = connected(&gateways.a, from, to)?;
    let capture = Capture::of_unprotected(&gateways.a, "w0")?;
    let send = |expected: u64| -> Result<()> {
        let before = (gateways.a.counters()?, gateways.b.counters()?);
        for _ in 0..3 {
            let sent = socket.send(b"which way?");
            ensure!(sent.is_ok() == (expected > 0), "{sent:?}");
        }
        let blocked = ("XfrmOutPolBlock", 3 - expected);
        gateways.a.counted_since(&before.0)?.expect(&[blocked])?;
        // The other end has no state for them.
        let arrived = ("XfrmInNoStates", expected);
        gateways.b.counted_since(&before.1)?.expect(&[arrived])
    };
    send(3)?;
    let keys = KeySocket::open()?;
    for _ in 0..2 {
        keys.ask(&ungroup(&sas[1]))?;
        send(0).context("ungrouped")?;
        keys.ask(&group(&sas))?;
        send(3).context("grouped again")?;
    }
    let packets = capture.end()?;
    ensure!(packets.len() == 0, "in clear: {:?}", packets.headers());
    Ok(())
}
