// SPDX-License-Identifier: GPL-2.0

//! Interfaces: packets that are routed to `ipsecN`, and what becomes of them when that goes.

use crate::{
    ktap::Test,
    packets::{
        ask, eroute, expect_refused, flow, inbound_sas, inflow, join_up, make_group, make_inbound,
        proto, send_through, set_up_peer,
    },
    shunts::exchange,
    support::{manual_sas, proc_net},
    tests,
    wire::{Capture, Family, Gateways, Space, V4, V6, eventually, expect_pings, ping},
};
use anyhow::{Context, Result, ensure};
use klips::{errno::Errno, klips_core::interface::Interface, said::Said};
use model::wire::{self, ext, extension, flag, message, msg};
use std::{
    net::UdpSocket,
    process::Command,
    thread,
    time::{Duration, Instant},
};

/// All of them.
pub fn all() -> Vec<Test> {
    tests![
        a24_cleartext_is_on_the_interface_and_protected_packets_on_the_wire,
        get_tells_what_routes_decide,
        interfaces_have_to_be_there,
        several_interfaces_share_the_eroutes_by_address,
        nothing_leaves_in_clear_when_an_interface_is_taken_out_of_use,
        an_interface_that_somebody_removes_renames_or_moves_is_forgotten,
        eroutes_of_an_interface_that_goes_take_others_places,
        forwarded_packets_go_through_an_interface,
        shunts_hold_at_an_interface,
        tncfg_makes_what_it_attaches,
        historic_tncfg_attaches_by_its_ioctls,
        a_peer_routed_to_its_interface_is_reached_around_it,
        a_historic_start_script_finds_what_it_touches,
        the_tos_inside_is_hidden_unless_somebody_says_otherwise,
    ]
}

/// ICMP.
const ICMP: u8 = 1;
/// UDP.
const UDP: u8 = 17;

/// X_PLUMBIF or X_UNPLUMBIF of `ipsecN`.
fn plumb(msg_type: u8, number: u64) -> Vec<u8> {
    let interface = Interface::from_number(number).expect("one that there may be");
    let [low, high] = interface.ifnum().to_le_bytes();
    message(msg_type, 0, &[extension(ext::PLUMBIF, &[low, high, 0, 0])])
}

/// Makes `ipsecN` above another interface, with its address, and has it used.
fn attach(space: &Space, number: u64, physical: &str, family: Family) -> Result<()> {
    let if_id = Interface::from_number(number)
        .expect("one that there may be")
        .if_id();
    let (own, bits) = (family.outer.0, family.bits);
    // One that is attached to none has the name, unless it was removed before.
    space.output(&format!("ip link del ipsec{number}"))?;
    space.run(&format!(
        "ip link add ipsec{number} type xfrm dev {physical} if_id {if_id}"
    ))?;
    space.run(&format!("ip link set ipsec{number} addrgenmode none up"))?;
    space.run(&format!("ip addr add {own}/{bits} dev ipsec{number}"))?;
    ask(&plumb(msg::PLUMBIF, number))
}

/// Has what is for the network behind the other gateway go to an interface.
fn route_to(space: &Space, interface: &str, family: Family) -> Result<()> {
    let (here, there) = family.inner;
    space.run(&format!(
        "ip route replace {there} dev {interface} src {here}"
    ))?;
    Ok(())
}

/// Has it go to the other gateway by itself.
fn route_around(space: &Space, family: Family) -> Result<()> {
    let (here, there) = family.inner;
    let via = family.outer.1;
    space.run(&format!("ip route replace {there} via {via} src {here}"))?;
    Ok(())
}

/// What comes from the other gateway, in the family's addresses.
fn sas_in(family: Family) -> Vec<Said> {
    let dst = family.outer.0.parse().expect("an address");
    inbound_sas()
        .iter()
        .map(|said| Said { dst, ..*said })
        .collect()
}

/// What goes to it.
fn sas_out(family: Family) -> Vec<Said> {
    sas_to(family.outer.1)
}

/// What goes to a peer.
fn sas_to(peer: &str) -> Vec<Said> {
    let dst = peer.parse().expect("an address");
    manual_sas()
        .iter()
        .map(|said| Said { dst, ..*said })
        .collect()
}

/// Both ways through groups: eroute and inflow on this side, `ip xfrm` on the other.
fn both_ways(gateways: &Gateways, family: Family) -> Result<()> {
    let (out, incoming) = (sas_out(family), sas_in(family));
    let (here, there) = family.inner;
    make_group(&out)?;
    eroute(here, there, &out[0])?;
    set_up_peer(gateways, family, family.inner, &out)?;
    make_inbound(&incoming)?;
    join_up(&incoming)?;
    inflow(there, here, &incoming[0])?;
    send_through(gateways, family, (there, here), &incoming)
}

fn tncfg() -> Result<String> {
    proc_net("ipsec_tncfg")
}

/// Waits until nothing of klips's belongs to an interface any more.
fn wait_until_forgotten(space: &Space) -> Result<()> {
    let start = Instant::now();
    while space.xfrm()?.contains("if_id") || tncfg()?.lines().any(|line| !line.contains("NULL")) {
        ensure!(
            start.elapsed() < Duration::from_secs(30),
            "{}",
            space.xfrm()?
        );
        thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

fn a24_cleartext_is_on_the_interface_and_protected_packets_on_the_wire() -> Result<()> {
    for family in [V4, V6] {
        let gateways = Gateways::new()?;
        let a = &gateways.a;
        let (here, there) = family.inner;
        let before = a.counters()?;
        attach(a, 0, "w0", family)?;
        ensure!(
            tncfg()?.starts_with("ipsec0 -> w0 mtu=1500(1500) -> 1500\n"),
            "{}",
            tncfg()?
        );
        both_ways(&gateways, family)?;
        route_to(a, "ipsec0", family)?;
        let (clear, wire) = (Capture::start(a, "ipsec0")?, gateways.capture()?);
        expect_pings(a, here, there, 3)?;
        // From the other side, the answers.
        expect_pings(&gateways.b, there, here, 3)?;
        let (clear, wire) = (clear.end()?, wire.end()?);
        let icmp = if family.bits == 32 { ICMP } else { 58 };
        ensure!(clear.len() == 6, "{:?}", clear.headers());
        clear.expect_only(family.inner, &[icmp])?;
        ensure!(wire.len() >= 6, "{:?}", wire.headers());
        wire.expect_only(family.outer, &[proto::AH])?;
        a.counted_since(&before)?.expect(&[])?;
        gateways.b.counters()?.expect(&[])?;
        // What comes in by itself is not let in.
        gateways.b.run("ip xfrm policy flush")?;
        let before = a.counters()?;
        expect_pings(&gateways.b, there, here, 0)?;
        a.counted_since(&before)?.expect(&[("XfrmInPolBlock", 3)])?;

        // Routed around the interface it is no business of the eroute's.
        route_around(a, family)?;
        let (clear, wire) = (Capture::start(a, "ipsec0")?, gateways.capture()?);
        ping(a, here, there, 3, 56)?;
        let (clear, wire) = (clear.end()?, wire.end()?);
        ensure!(clear.len() == 0, "{:?}", clear.headers());
        wire.expect_only(family.inner, &[icmp])?;

        // What no eroute is for does not leave an interface.
        a.run(&format!("ip route add {} dev ipsec0", family.outer.1))?;
        let wire = gateways.capture()?;
        expect_pings(a, family.outer.0, family.outer.1, 0)?;
        ensure!(wire.end()?.len() == 0, "what has no eroute leaves");
        clean_up(a)?;
    }
    Ok(())
}

/// What `ipsec eroute --get` says becomes of packets is what does.
fn get_tells_what_routes_decide() -> Result<()> {
    for family in [V4, V6] {
        let gateways = Gateways::new()?;
        let a = &gateways.a;
        let (here, there) = family.inner;
        let icmp = if family.bits == 32 { ICMP } else { 58 };
        let told = |dst: &str, words: &[&str]| -> Result<()> {
            let src = if dst == there { here } else { family.outer.0 };
            let line = format!("ipsec eroute --json --get {src} {dst}");
            let told = a.run(&line)?;
            ensure!(
                words.iter().all(|word| told.contains(word)),
                "{line}: {told}"
            );
            Ok(())
        };
        both_ways(&gateways, family)?;
        told(there, &["\"fate\":\"protected\""])?;
        attach(a, 0, "w0", family)?;
        route_to(a, "ipsec0", family)?;
        told(
            there,
            &["\"routed_to\":\"ipsec0\"", "\"fate\":\"protected\""],
        )?;
        let wire = gateways.capture()?;
        expect_pings(a, here, there, 3)?;
        wire.end()?.expect_only(family.outer, &[proto::AH])?;

        route_around(a, family)?;
        told(
            there,
            &[
                "\"routed_to\":\"w0\"",
                "\"fate\":\"clear\"",
                "\"elsewhere\":{\"routed_to\":\"ipsec0\"",
            ],
        )?;
        let wire = gateways.capture()?;
        ping(a, here, there, 3, 56)?;
        wire.end()?.expect_only(family.inner, &[icmp])?;

        a.run(&format!("ip route add {} dev ipsec0", family.outer.1))?;
        told(
            family.outer.1,
            &["\"routed_to\":\"ipsec0\"", "\"fate\":\"dropped\""],
        )?;
        let wire = gateways.capture()?;
        expect_pings(a, family.outer.0, family.outer.1, 0)?;
        ensure!(wire.end()?.len() == 0, "what has no eroute leaves");
        clean_up(a)?;
    }
    Ok(())
}

/// Leaves nothing to the test's next gateways.
fn clean_up(space: &Space) -> Result<()> {
    for request in [wire::clear_flows(), wire::flush(0)] {
        crate::support::KeySocket::open()?
            .write(&request)
            .map_err(|errno| anyhow::anyhow!("{errno:?}"))?;
    }
    for link in ["ipsec0", "ipsec1", "w0", "w1"] {
        // Not all are there.
        space.output(&format!("ip link del {link}"))?;
    }
    wait_until_forgotten(space)?;
    space.run("ip addr flush dev lo")?;
    Ok(())
}

/// Two from the start, and what X_PLUMBIF makes.
fn interfaces_have_to_be_there() -> Result<()> {
    let space = Space::own()?;
    ensure!(tncfg()? == lines(&["ipsec0", "ipsec1"]), "{}", tncfg()?);
    // None of them comes up.
    let up = space.output("ip link set ipsec0 up")?;
    ensure!(!up.status.success(), "it is up");
    ask(&plumb(msg::PLUMBIF, 3))?;
    expect_refused(&plumb(msg::PLUMBIF, 3), Errno::EEXIST)?;
    ensure!(
        tncfg()? == lines(&["ipsec0", "ipsec1", "ipsec3"]),
        "{}",
        tncfg()?
    );
    ask(&plumb(msg::UNPLUMBIF, 3))?;
    expect_refused(&plumb(msg::UNPLUMBIF, 3), Errno::ENODEV)?;
    ask(&plumb(msg::UNPLUMBIF, 0))?;
    ensure!(tncfg()? == lines(&["ipsec1"]), "{}", tncfg()?);
    // Of another kind, or with another number.
    space.run("ip link add ipsec0 type dummy")?;
    expect_refused(&plumb(msg::PLUMBIF, 0), Errno::EEXIST)?;
    space.run("ip link del ipsec0")?;
    space.run("ip link add ipsec0 type xfrm if_id 5")?;
    expect_refused(&plumb(msg::PLUMBIF, 0), Errno::EEXIST)?;
    space.run("ip link del ipsec0")?;
    let if_id = Interface::from_number(0).context("the first")?.if_id();
    space.run(&format!("ip link add ipsec0 type xfrm if_id {if_id}"))?;
    ask(&plumb(msg::PLUMBIF, 0))?;
    expect_refused(&plumb(msg::PLUMBIF, 0), Errno::EEXIST)?;
    ensure!(tncfg()? == lines(&["ipsec0", "ipsec1"]), "{}", tncfg()?);
    ask(&plumb(msg::UNPLUMBIF, 0))?;
    expect_refused(&plumb(msg::UNPLUMBIF, 0), Errno::ENODEV)?;
    // Another namespace has its own.
    ask(&plumb(msg::PLUMBIF, 0))?;
    let other = Space::new()?;
    other.within(|| ask(&plumb(msg::UNPLUMBIF, 0)))?;
    ensure!(tncfg()? == lines(&["ipsec0", "ipsec1"]), "{}", tncfg()?);
    Ok(())
}

/// The lines of those that are attached to none.
fn lines(names: &[&str]) -> String {
    let line = |name: &&str| format!("{name} -> NULL mtu=0(0) -> 0\n");
    names.iter().map(line).collect()
}

/// [`historic`] attaches.
pub const ATTACH: u32 = 0;

/// An ioctl of KLIPS's own tncfg: its number behind SIOCDEVPRIVATE, the virtual and the physical
/// interface; the errno, 0 if there is none.
pub fn historic(space: &Space, number: u32, virt: &str, physical: &str) -> Result<i32> {
    // struct ifreq: a name of 16 bytes, then what tncfg has there, a number and a name of 12.
    let program = format!(
        "socket(S,2,2,0)||die;$n=0x89f0+{number};$r=pack('a16La12x8','{virt}',$n,'{physical}');\
         print ioctl(S,$n,$r)?0:0+$!"
    );
    let output = Command::new("perl").args(["-e", &program]).output();
    let output = space.within(|| output.context("perl"))?;
    ensure!(output.status.success(), "{output:?}");
    Ok(String::from_utf8(output.stdout)?.trim().parse()?)
}

/// What KLIPS's own tncfg asks for, then what start scripts do with `ipsec0`, and packets.
fn historic_tncfg_attaches_by_its_ioctls() -> Result<()> {
    const DETACH: u32 = 1;
    const CLEAR: u32 = 2;
    let gateways = Gateways::new()?;
    let a = &gateways.a;
    let (here, there) = V4.inner;
    let expect = |number, virt, physical, wanted: Option<nix::Error>| {
        let got = historic(a, number, virt, physical)?;
        let wanted = wanted.map_or(0, |errno| errno as i32);
        ensure!(
            got == wanted,
            "{number} {virt} {physical}: {got}, not {wanted}"
        );
        Ok(())
    };
    both_ways(&gateways, V4)?;
    expect(CLEAR, "ipsec0", "", None)?;
    expect(DETACH, "ipsec0", "", Some(nix::Error::ENODEV))?;
    expect(ATTACH, "ipsec0", "w7", Some(nix::Error::ENXIO))?;
    expect(ATTACH, "ipsec0", "ipsec1", Some(nix::Error::EINVAL))?;
    expect(ATTACH, "ipsec0", "twelve-bytes", Some(nix::Error::EINVAL))?;
    expect(3, "ipsec0", "w0", Some(nix::Error::EOPNOTSUPP))?;
    expect(ATTACH, "ipsec9", "w0", Some(nix::Error::ENODEV))?;
    ensure!(tncfg()? == lines(&["ipsec0", "ipsec1"]), "{}", tncfg()?);
    expect(ATTACH, "ipsec0", "w0", None)?;
    // At once, for the next line of a script needs it.
    let attached = "ipsec0 -> w0 mtu=1500(1500) -> 1500\n".to_owned() + &lines(&["ipsec1"]);
    ensure!(tncfg()? == attached, "{}", tncfg()?);
    let (own, bits) = (V4.outer.0, V4.bits);
    a.run(&format!("ip addr add {own}/{bits} dev ipsec0"))?;
    a.run("ip link set ipsec0 up")?;
    route_to(a, "ipsec0", V4)?;
    let (clear, wire) = (Capture::start(a, "ipsec0")?, gateways.capture()?);
    expect_pings(a, here, there, 3)?;
    clear.end()?.expect_only(V4.inner, &[ICMP])?;
    wire.end()?.expect_only(V4.outer, &[proto::AH])?;
    // From there on it is xfrm's, which knows no ioctls.
    expect(DETACH, "ipsec0", "", Some(nix::Error::EOPNOTSUPP))?;
    expect(CLEAR, "ipsec1", "", Some(nix::Error::EOPNOTSUPP))?;
    a.run("ipsec tncfg --detach --virtual ipsec0")?;
    ensure!(tncfg()? == lines(&["ipsec0", "ipsec1"]), "{}", tncfg()?);
    expect(ATTACH, "ipsec0", "w0", None)?;
    ensure!(tncfg()? == attached, "{}", tncfg()?);
    // Who removes it has it be attached to none.
    a.run("ip link del ipsec0")?;
    wait_until_forgotten(a)?;
    let start = Instant::now();
    while tncfg()? != lines(&["ipsec0", "ipsec1"]) {
        ensure!(start.elapsed() < Duration::from_secs(30), "{}", tncfg()?);
        thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

/// The routes around interfaces, and how many rules there are for them.
pub fn around(space: &Space, family: Family) -> Result<(String, usize)> {
    let family = if family.bits == 32 { "-4" } else { "-6" };
    // That of a table that has never been used fails.
    let routes = space.output(&format!("ip {family} route show table 1263271936"))?;
    let rules = space.run(&format!("ip {family} rule show"))?;
    let rules = rules.matches("lookup 1263271936").count();
    Ok((String::from_utf8(routes.stdout)?, rules))
}

/// One for each port of IKE, for ESP, AH and IPComp.
pub const RULES: usize = 5;

fn is_around(space: &Space, family: Family, way: &str) -> Result<bool> {
    let (routes, rules) = around(space, family)?;
    Ok(routes.contains(way) && rules == RULES)
}

fn is_nothing_around(space: &Space, family: Family) -> Result<bool> {
    let (routes, rules) = around(space, family)?;
    Ok(routes.is_empty() && rules == 0)
}

/// What is for the peer is routed to `ipsec0`, the peer is behind a router, and the rest is routed to
/// that.
fn a_peer_routed_to_its_interface_is_reached_around_it() -> Result<()> {
    for family in [V4, V6] {
        let gateways = Gateways::new()?;
        let (a, b, c) = (&gateways.a, &gateways.b, Space::new()?);
        let (own, peer) = (family.outer.0, family.inner.1);
        let hosts = Family {
            outer: (own, peer),
            inner: (own, peer),
            ..family
        };
        let (ip, forwarding, second, net) = match family.bits {
            32 => ("ip -4", "ipv4/ip_forward", "10.0.0.3", "10.5.0"),
            _ => (
                "ip -6",
                "ipv6/conf/all/forwarding",
                "2001:db8::3",
                "2001:db8:5:",
            ),
        };
        let default_by =
            |router: &str| a.run(&format!("{ip} route replace default via {router} dev w0"));
        default_by(family.outer.1)?;
        // A host behind this gateway, which forwards what that sends.
        a.within(|| Ok(std::fs::write(format!("/proc/sys/net/{forwarding}"), "1")?))?;
        crate::wire::join("w1", a, &c)?;
        let [near, far] = [1, 3].map(|last| match family.bits {
            32 => format!("{net}.{last}"),
            _ => format!("{net}:{last}"),
        });
        crate::wire::address(a, "w1", &near, &far, 'b')?;
        crate::wire::address(&c, "w1", &far, &near, 'a')?;
        c.run(&format!("{ip} route add default via {near}"))?;
        // Mainline's end is told itself what is to pass.
        for port in [500, 4500] {
            let bits = family.bits;
            b.run(&format!(
                "ip xfrm policy add dir in src {own}/{bits} dst {peer}/{bits} proto 17 \
                 dport {port} action allow"
            ))?;
            b.run(&format!(
                "ip xfrm policy add dir out src {peer}/{bits} dst {own}/{bits} proto 17 \
                 sport {port} action allow"
            ))?;
        }

        attach(a, 0, "w0", family)?;
        a.run(&format!("{ip} route replace {peer} dev ipsec0 src {own}"))?;
        ensure!(is_nothing_around(a, family)?, "before it is asked for");
        let ours = [500, 4500, 501].map(|port| UdpSocket::bind((own, port)));
        let theirs = [500, 4500, 501].map(|port| b.within(|| Ok(UdpSocket::bind((peer, port))?)));
        let (ours, theirs): (Vec<_>, Vec<_>) = (
            ours.into_iter().collect::<std::io::Result<_>>()?,
            theirs.into_iter().collect::<Result<_>>()?,
        );
        let expect_ike = |when: &str| -> Result<()> {
            let (clear, wire) = (Capture::start(a, "ipsec0")?, gateways.capture()?);
            for place in 0..2 {
                let came = exchange(&ours[place], &theirs[place])?;
                ensure!(came == [true, true], "{when}: {came:?}");
            }
            let (clear, wire) = (clear.end()?, wire.end()?);
            ensure!(clear.len() == 0, "{when}: {:?}", clear.headers());
            ensure!(wire.len() == 2, "{when}: {:?}", wire.headers());
            wire.expect_only(hosts.outer, &[UDP])
        };
        let expect_protected = |when: &str, answered| -> Result<()> {
            let wire = gateways.capture()?;
            expect_pings(a, own, peer, answered).with_context(|| when.to_owned())?;
            // The neighbour of IKE.
            let came = exchange(&ours[2], &theirs[2])?;
            ensure!(came[0] == (answered > 0), "{when}: {came:?}");
            // Others' IKE is nobody's here.
            let others = c.within(|| Ok(UdpSocket::bind((&*far, 500))?))?;
            others.send_to(b"IKE", (peer, 500))?;
            thread::sleep(Duration::from_millis(100));
            let wire = wire.end()?;
            ensure!(
                (wire.len() > 0) == (answered > 0),
                "{when}: {:?}",
                wire.headers()
            );
            wire.expect_only(hosts.outer, &[proto::AH])
        };

        // Before there are SAs.
        eroute(own, peer, &crate::support::said("%trap"))?;
        eventually("a route", || is_around(a, family, family.outer.1))?;
        expect_ike("%trap")?;
        expect_protected("%trap", 0)?;
        expect_ike("while others wait")?;

        let (out, incoming) = (sas_to(peer), sas_in(family));
        make_group(&out)?;
        for said in &incoming {
            let content = pfkey::Content {
                src: Some(klips::pfkey::Address::of(peer.parse()?)),
                ..crate::support::add(said)
            };
            crate::support::KeySocket::open()?.ask(&content)?;
        }
        join_up(&incoming)?;
        inflow(peer, own, &incoming[0])?;
        ask(&wire::add_flow(out[0], flag::REPLACE, &flow(own, peer)))?;
        set_up_peer(&gateways, hosts, hosts.inner, &out)?;
        send_through(&gateways, hosts, (peer, own), &incoming)?;
        expect_protected("SAs", 3)?;
        expect_ike("SAs")?;
        // One that takes several packets: fragments have no ports.
        theirs[0].set_read_timeout(Some(Duration::from_secs(1)))?;
        ours[0].send_to(&[0; 4000], (peer, 500))?;
        ensure!(theirs[0].recv(&mut [0; 5000])? == 4000, "a long one");

        // Another router, none, and one again.
        b.run(&format!(
            "ip addr add {second}/{} dev w0",
            if family.bits == 32 { 24 } else { 64 }
        ))?;
        a.run(&format!(
            "ip neigh replace {second} lladdr 02:00:00:00:00:0b dev w0 nud permanent"
        ))?;
        default_by(second)?;
        eventually("another router", || is_around(a, family, second))?;
        expect_ike("another router")?;
        expect_protected("another router", 3)?;
        a.run(&format!("{ip} route del default"))?;
        eventually("no router", || Ok(!around(a, family)?.0.contains(second)))?;
        default_by(family.outer.1)?;
        eventually("a router again", || is_around(a, family, family.outer.1))?;
        // What somebody else removes.
        a.run(&format!("{ip} rule del pref 32765"))?;
        eventually("all rules", || is_around(a, family, family.outer.1))?;
        expect_ike("all rules")?;

        ask(&plumb(msg::UNPLUMBIF, 0))?;
        eventually("no interface", || is_nothing_around(a, family))?;
        ask(&plumb(msg::PLUMBIF, 0))?;
        eventually("an interface", || is_around(a, family, family.outer.1))?;
        // Without SAs nothing leaves.
        ask(&wire::flush(0))?;
        expect_ike("flushed")?;
        expect_protected("flushed", 0)?;
        ask(&wire::clear_flows())?;
        eventually("no eroutes", || is_nothing_around(a, family))?;
        drop((ours, theirs));
        a.within(|| Ok(std::fs::write(format!("/proc/sys/net/{forwarding}"), "0")?))?;
        clean_up(a)?;
    }
    // A namespace ends with what there is in it; that nothing of it stays, unloading shows.
    let (ending, other) = (Space::new()?, Space::new()?);
    crate::wire::join("w0", &ending, &other)?;
    let (own, peer) = V4.outer;
    ending.run(&format!("ip addr add {own}/24 dev w0"))?;
    ending.run("ipsec tncfg --attach --virtual ipsec0 --physical w0")?;
    ending.within(|| eroute(own, peer, &crate::support::said("%trap")))?;
    eventually("a route", || is_around(&ending, V4, peer))
}

/// Another pair of gateways' addresses.
const SECOND: Family = Family {
    outer: ("10.9.0.1", "10.9.0.2"),
    inner: ("10.1.0.1", "10.3.0.2"),
    bits: 32,
};

fn several_interfaces_share_the_eroutes_by_address() -> Result<()> {
    let gateways = Gateways::new()?;
    let (a, b) = (&gateways.a, &gateways.b);
    crate::wire::join("w1", a, b)?;
    for (space, own, other, last) in [
        (a, SECOND.outer.0, SECOND.outer.1, 'b'),
        (b, SECOND.outer.1, SECOND.outer.0, 'a'),
    ] {
        space.run(&format!("ip addr add {own}/24 dev w1"))?;
        space.run(&format!(
            "ip neigh replace {other} lladdr 02:00:00:00:00:0{last} dev w1 nud permanent"
        ))?;
    }
    b.run(&format!("ip addr add {}/32 dev lo", SECOND.inner.1))?;
    let first = sas_out(V4);
    make_group(&first)?;
    eroute(V4.inner.0, V4.inner.1, &first[0])?;
    set_up_peer(&gateways, V4, V4.inner, &first)?;
    let second = sas_out(SECOND);
    for said in &second {
        let request = wire::from_source(wire::add(*said), SECOND.outer.0);
        ask(&request)?;
    }
    join_up(&second)?;
    eroute(SECOND.inner.0, SECOND.inner.1, &second[0])?;
    // Eroutes that were there before go to their interfaces, too.
    attach(a, 0, "w0", V4)?;
    attach(a, 1, "w1", SECOND)?;
    ensure!(tncfg()?.lines().count() == 2, "{}", tncfg()?);
    route_to(a, "ipsec0", V4)?;
    route_to(a, "ipsec1", SECOND)?;
    let captures = ["ipsec0", "ipsec1", "w0", "w1"].map(|wire| Capture::start(a, wire));
    ping(a, V4.inner.0, V4.inner.1, 3, 56)?;
    ping(a, SECOND.inner.0, SECOND.inner.1, 3, 56)?;
    let packets: Result<Vec<_>> = captures.into_iter().map(|it| it?.end()).collect();
    let packets = packets?;
    packets[0].expect_only(V4.inner, &[ICMP])?;
    packets[1].expect_only(SECOND.inner, &[ICMP])?;
    packets[2].expect_only(V4.outer, &[proto::AH])?;
    packets[3].expect_only(SECOND.outer, &[proto::AH])?;
    for packets in &packets {
        ensure!(packets.len() == 3, "{:?}", packets.headers());
    }
    // One that goes leaves the other as it is.
    ask(&plumb(msg::UNPLUMBIF, 1))?;
    let wire = gateways.capture()?;
    expect_pings(a, V4.inner.0, V4.inner.1, 0).or_else(|_| Ok::<(), anyhow::Error>(()))?;
    wire.end()?.expect_only(V4.outer, &[proto::AH])
}

fn nothing_leaves_in_clear_when_an_interface_is_taken_out_of_use() -> Result<()> {
    let gateways = Gateways::new()?;
    let a = &gateways.a;
    let (here, there) = V4.inner;
    both_ways(&gateways, V4)?;
    let mut flood = a.start(&format!(
        "ping -n -q -i 0.002 -w 600 -W 1 -I {here} {there}"
    ))?;
    for _ in 0..3 {
        attach(a, 0, "w0", V4).and_then(|()| route_to(a, "ipsec0", V4))?;
        // Until they are routed to it, packets leave in clear around it, as with KLIPS.
        let wire = gateways.capture()?;
        thread::sleep(Duration::from_millis(200));
        ask(&plumb(msg::UNPLUMBIF, 0))?;
        a.run("ip link del ipsec0")?;
        route_around(a, V4)?;
        thread::sleep(Duration::from_millis(200));
        let seen = wire.end()?;
        ensure!(seen.headers().len() > 10, "{}", seen.headers().len());
        seen.expect_only(V4.outer, &[proto::AH])?;
    }
    flood.kill()?;
    flood.wait()?;
    let wire = gateways.capture()?;
    expect_pings(a, here, there, 3)?;
    wire.end()?.expect_only(V4.outer, &[proto::AH])
}

fn an_interface_that_somebody_removes_renames_or_moves_is_forgotten() -> Result<()> {
    let other = Space::new()?;
    let gateways = Gateways::new()?;
    let a = &gateways.a;
    let (here, there) = V4.inner;
    both_ways(&gateways, V4)?;
    // There it would find its name taken.
    other.run("ip link del ipsec0")?;
    let moved = format!("ip link set ipsec0 netns {}", other.path());
    for line in [
        "ip link del ipsec0",
        "ip link set ipsec0 name other",
        &moved,
    ] {
        attach(a, 0, "w0", V4)?;
        route_to(a, "ipsec0", V4)?;
        expect_pings(a, here, there, 3)?;
        a.run(line)?;
        wait_until_forgotten(a).with_context(|| line.to_owned())?;
        route_around(a, V4)?;
        let wire = gateways.capture()?;
        expect_pings(a, here, there, 3).with_context(|| line.to_owned())?;
        wire.end()?.expect_only(V4.outer, &[proto::AH])?;
        // Not all are left.
        a.output("ip link del other")?;
    }
    Ok(())
}

/// Somebody else may have put a policy where an eroute has no business as long as the interface is
/// there.
fn eroutes_of_an_interface_that_goes_take_others_places() -> Result<()> {
    let gateways = Gateways::new()?;
    let a = &gateways.a;
    let (here, there) = V4.inner;
    both_ways(&gateways, V4)?;
    attach(a, 0, "w0", V4)?;
    route_to(a, "ipsec0", V4)?;
    a.run(&format!(
        "ip xfrm policy add dir out src {here}/32 dst {there}/32"
    ))?;
    a.run("ip link del ipsec0")?;
    wait_until_forgotten(a)?;
    route_around(a, V4)?;
    let wire = gateways.capture()?;
    expect_pings(a, here, there, 3)?;
    wire.end()?.expect_only(V4.outer, &[proto::AH])
}

fn forwarded_packets_go_through_an_interface() -> Result<()> {
    let gateways = Gateways::new()?;
    let (a, c) = (&gateways.a, Space::new()?);
    crate::wire::join("w1", a, &c)?;
    a.run("ip addr add 10.1.1.1/24 dev w1")?;
    c.run("ip addr add 10.1.1.3/24 dev w1")?;
    c.run("ip route add default via 10.1.1.1")?;
    gateways
        .b
        .run("ip route add 10.1.1.0/24 via 10.0.0.1 src 10.2.0.2")?;
    a.within(|| Ok(std::fs::write("/proc/sys/net/ipv4/ip_forward", "1")?))?;
    let (from, to) = ("10.1.1.3", V4.inner.1);
    attach(a, 0, "w0", V4)?;
    let (out, incoming) = (sas_out(V4), sas_in(V4));
    make_group(&out)?;
    eroute(from, to, &out[0])?;
    set_up_peer(&gateways, V4, (from, to), &out)?;
    make_inbound(&incoming)?;
    join_up(&incoming)?;
    inflow(to, from, &incoming[0])?;
    send_through(&gateways, V4, (to, from), &incoming)?;
    a.run(&format!("ip route replace {to} dev ipsec0"))?;
    let (clear, wire) = (Capture::start(a, "ipsec0")?, gateways.capture()?);
    expect_pings(&c, from, to, 3)?;
    let (clear, wire) = (clear.end()?, wire.end()?);
    ensure!(clear.len() == 3, "{:?}", clear.headers());
    clear.expect_only((from, to), &[ICMP])?;
    wire.expect_only(V4.outer, &[proto::AH])
}

fn shunts_hold_at_an_interface() -> Result<()> {
    let gateways = Gateways::new()?;
    let a = &gateways.a;
    let (here, there) = V4.inner;
    attach(a, 0, "w0", V4)?;
    both_ways(&gateways, V4)?;
    route_to(a, "ipsec0", V4)?;
    // A coarser one does not matter to what a finer eroute takes.
    let coarse = wire::flow(("0.0.0.0/0", 0), ("0.0.0.0/0", 0), 0);
    ask(&wire::add_flow(crate::support::said("%drop"), 0, &coarse))?;
    expect_pings(a, here, there, 3)?;
    // It is not for what is routed around the interface.
    expect_pings(a, V4.outer.0, V4.outer.1, 3)?;
    // In the eroute's place it takes its packets.
    ask(&wire::add_flow(
        crate::support::said("%drop"),
        flag::REPLACE,
        &flow(here, there),
    ))?;
    let wire = gateways.capture()?;
    expect_pings(a, here, there, 0)?;
    ensure!(wire.end()?.len() == 0, "what is dropped leaves");
    Ok(())
}

fn tncfg_makes_what_it_attaches() -> Result<()> {
    let gateways = Gateways::new()?;
    let a = &gateways.a;
    let (here, there) = V4.inner;
    both_ways(&gateways, V4)?;
    a.run("ipsec tncfg --attach --virtual ipsec0 --physical w0")?;
    ensure!(
        tncfg()? == "ipsec0 -> w0 mtu=1500(1500) -> 1500\n".to_owned() + &lines(&["ipsec1"]),
        "{}",
        tncfg()?
    );
    ensure!(a.run("ipsec tncfg")? == tncfg()?);
    let addresses = a.run("ip -o addr show dev ipsec0")?;
    for address in ["10.0.0.1/24", "2001:db8::99/64"] {
        ensure!(addresses.contains(address), "{addresses}");
    }
    let routes = a.run("ip route show dev ipsec0")?;
    ensure!(routes.is_empty(), "{routes}");
    route_to(a, "ipsec0", V4)?;
    let (clear, wire) = (Capture::start(a, "ipsec0")?, gateways.capture()?);
    expect_pings(a, here, there, 3)?;
    clear.end()?.expect_only(V4.inner, &[ICMP])?;
    wire.end()?.expect_only(V4.outer, &[proto::AH])?;
    // As long as goes whole through all that the transforms add.
    ensure!(ping(a, here, there, 3, 1300)? == 3, "long packets");
    // Once more, and what is not there.
    for line in [
        "ipsec tncfg --attach --virtual ipsec0 --physical w0",
        "ipsec tncfg --attach --virtual ipsec1 --physical w7",
        "ipsec tncfg --detach --virtual ipsec1",
    ] {
        let output = a.output(line)?;
        ensure!(output.status.code() == Some(1), "{line}: {output:?}");
    }
    a.run("ipsec tncfg --detach --virtual ipsec0")?;
    ensure!(tncfg()? == lines(&["ipsec0", "ipsec1"]), "{}", tncfg()?);
    ensure!(!a.xfrm()?.contains("if_id"), "{}", a.xfrm()?);
    route_around(a, V4)?;
    let wire = gateways.capture()?;
    expect_pings(a, here, there, 3)?;
    wire.end()?.expect_only(V4.outer, &[proto::AH])?;
    a.run("ipsec tncfg --create ipsec3")?;
    a.run("ipsec tncfg --attach --virtual ipsec3 --physical w0")?;
    a.run("ipsec tncfg --clear")?;
    ensure!(
        tncfg()? == lines(&["ipsec0", "ipsec1", "ipsec3"]),
        "{}",
        tncfg()?
    );
    a.run("ipsec tncfg --delete ipsec3")?;
    ensure!(!a.run("ip link")?.contains("ipsec3"), "it stays");
    Ok(())
}

fn a_historic_start_script_finds_what_it_touches() -> Result<()> {
    let sysctl = "/proc/sys/net/ipsec";
    let write = |name: &str, text: &str| std::fs::write(format!("{sysctl}/{name}"), text);
    for (name, first) in [
        ("icmp", "0\n"),
        ("inbound_policy_check", "1\n"),
        ("tos", "1\n"),
    ] {
        let found = std::fs::read_to_string(format!("{sysctl}/{name}")).context(name)?;
        ensure!(found == first, "{name}: {found}");
    }
    write("icmp", "1\n")?;
    write("inbound_policy_check", "1\n")?;
    write("tos", "0\n")?;
    // Not to be had, and nobody is led to believe it is.
    ensure!(write("inbound_policy_check", "0\n").is_err(), "0 is taken");
    ensure!(write("tos", "2\n").is_err(), "2 is taken");
    for name in ["no_eroute_pass", "opportunistic", "fragicmp"] {
        let path = format!("{sysctl}/{name}");
        ensure!(!std::path::Path::new(&path).exists(), "{name}");
    }
    // Another namespace has its own.
    let other = Space::new()?;
    let there = other.run(&format!("cat {sysctl}/tos"))?;
    ensure!(there == "1\n", "{there}");
    for (file, content) in [
        ("ipsec/natt", "2\n"),
        ("ipsec/stats/trap_count", "00000000\n"),
        ("ipsec/stats/trap_sendcount", "00000000\n"),
        ("ipsec_tncfg", lines(&["ipsec0", "ipsec1"]).as_str()),
        ("ipsec/tncfg", lines(&["ipsec0", "ipsec1"]).as_str()),
        ("ipsec/eroute/all", ""),
        ("ipsec/eroute/dropped", ""),
    ] {
        let found = proc_net(file).context(file)?;
        ensure!(found == content, "{file}: {found}");
    }
    for line in [
        "ipsec eroute --clear",
        "ipsec spi --clear",
        "ipsec tncfg --clear",
        "ipsec klipsdebug --none",
    ] {
        Space::own()?.run(line)?;
    }
    Ok(())
}

fn the_tos_inside_is_hidden_unless_somebody_says_otherwise() -> Result<()> {
    let gateways = Gateways::new()?;
    let a = &gateways.a;
    let (here, there) = V4.inner;
    let out = sas_out(V4);
    set_up_peer(&gateways, V4, V4.inner, &out)?;
    for (tos, outside) in [("1", 0), ("0", 0x20)] {
        std::fs::write("/proc/sys/net/ipsec/tos", tos)?;
        make_group(&out)?;
        eroute(here, there, &out[0])?;
        let wire = gateways.capture()?;
        a.output(&format!("ping -n -q -c 2 -W 0.3 -Q 0x20 -I {here} {there}"))?;
        let found = wire.end()?.tos();
        ensure!(found == [outside; 2], "tos={tos}: {found:?}");
        crate::support::KeySocket::open()?
            .write(&wire::flush(0))
            .map_err(|errno| anyhow::anyhow!("{errno:?}"))?;
        ask(&wire::del_flow(&flow(here, there)))?;
    }
    Ok(())
}
