// SPDX-License-Identifier: GPL-2.0

//! Whatever is done to SAs, groups and the module while packets flow: nothing that an eroute is to
//! protect leaves in clear, and nothing that has to come protected is taken in clear.
//!
//! What leaves is recorded on the wire; each test ends by taking its eroutes away, after which the same
//! record is full of cleartext.

use crate::{
    ktap::Test,
    packets::{
        ask, eroute, flow, inbound, inflow, join_up, make_group, make_inbound, said_of,
        send_through, switch_to,
    },
    support::{
        KeySocket, add, bytes_of, flush, group, in_own_network, naming, proc_net, ungroup, update,
    },
    tests,
    wire::{
        Capture, Counters, FAMILIES, Family, Flood, Gateways, Packets, Space, V4, V6, address,
        eventually, in_each_family, join, ping,
    },
};
use anyhow::{Context, Result, ensure};
use klips::{
    pfkey::{Lifetime, LifetimeForm, MsgType, SaType},
    said::Said,
};
use model::wire::{self, flag};
use pfkey::Content;
use std::{
    fs,
    net::UdpSocket,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

/// All of them.
pub fn all() -> Vec<Test> {
    tests![
        nothing_leaves_in_clear_whatever_happens_to_its_sas,
        nothing_comes_in_in_clear_whatever_happens_to_its_sas,
        nothing_leaves_in_clear_while_its_namespace_goes,
        nothing_comes_in_that_anybody_could_have_made,
        fragments_are_not_forwarded_past_an_eroute_with_ports,
        fragments_do_not_come_in_past_an_inflow_with_ports,
    ]
}

/// The port of what is to be protected.
const PORT: u16 = 9;
/// How long a state of things lasts.
const WHILE: Duration = Duration::from_millis(30);
/// How often each is brought about.
const OFTEN: usize = 5;

/// A tunnel, ESP and AH to an address, with SPIs from one on.
pub fn chain_to(dst: &str, spi: u32) -> [Said; 3] {
    [("tun", 0), ("esp", 1), ("ah", 2)].map(|(proto, n)| said_of(proto, spi + n, dst))
}

/// Removes an SA, with its group.
fn delete(said: &Said) -> Result<()> {
    let result = KeySocket::open()?.send(&naming(MsgType::Delete, said));
    ensure!(result == Ok(()), "DELETE of {said}: {result:?}");
    Ok(())
}

fn empty(satype: u8) -> Result<()> {
    let result = KeySocket::open()?.send(&flush(satype));
    ensure!(result == Ok(()), "FLUSH: {result:?}");
    Ok(())
}

/// The same SA with other keys than it has.
fn with_other_keys(sa: Content<'static>) -> Content<'static> {
    const OTHER: [u8; 64] = *b"-_0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
    let other = |key: Option<klips::pfkey::Key<'static>>| {
        key.map(|key| klips::pfkey::Key {
            data: &OTHER[..key.data.len()],
            ..key
        })
    };
    Content {
        key_auth: other(sa.key_auth),
        key_encrypt: other(sa.key_encrypt),
        ..sa
    }
}

fn with_hard_limit(sa: Content<'static>, hard: Lifetime) -> Content<'static> {
    Content {
        hard: Some(hard),
        lifetime_form: LifetimeForm::WithPackets,
        ..sa
    }
}

fn is_there(said: &Said) -> Result<bool> {
    Ok(proc_net("ipsec_spi")?.contains(&said.to_string()))
}

/// What happens to a chain, by the ways of [`Scene`].
struct Scene<'a> {
    sas: [Said; 3],
    /// Makes an SA of the chain.
    add: fn(&Said) -> Content<'static>,
    /// Says again what was said of SAs that are made anew.
    renew: &'a dyn Fn() -> Result<()>,
    /// Waits until packets go through the chain.
    flows: &'a dyn Fn(&str) -> Result<()>,
}

impl Scene<'_> {
    fn make(&self) -> Result<()> {
        let socket = KeySocket::open()?;
        for said in &self.sas {
            socket.ask(&(self.add)(said))?;
        }
        (self.renew)()
    }

    fn group(&self) -> Result<()> {
        KeySocket::open()?.ask(&group(&self.sas)).map(drop)
    }

    /// Replaces ESP and AH, one after the other.
    fn update(&self, change: fn(Content<'static>) -> Content<'static>) -> Result<()> {
        self.update_each(&self.sas[1..], change)
    }

    fn update_each(
        &self,
        saids: &[Said],
        change: impl Fn(Content<'static>) -> Content<'static>,
    ) -> Result<()> {
        for said in saids {
            let request = Content {
                header: update(said).header,
                ..change((self.add)(said))
            };
            // Its limit may have passed before the answer is read.
            let result = KeySocket::open()?.write(&bytes_of(&request));
            ensure!(result == Ok(()), "UPDATE of {said}: {result:?}");
        }
        Ok(())
    }

    /// All of it.
    fn play(&self) -> Result<()> {
        let [tun, esp, ah] = self.sas;
        let repeatedly = |what: &str, work: &dyn Fn() -> Result<()>| {
            for _ in 0..OFTEN {
                work().context(what.to_owned())?;
            }
            (self.flows)(what)
        };
        repeatedly("ungrouped, and grouped again", &|| {
            KeySocket::open()?.ask(&ungroup(&esp))?;
            thread::sleep(WHILE);
            self.group()
        })?;
        repeatedly("grouped again pair by pair", &|| {
            KeySocket::open()?.ask(&ungroup(&ah))?;
            thread::sleep(WHILE);
            join_up(&self.sas[..2])?;
            thread::sleep(WHILE);
            join_up(&self.sas[1..])
        })?;
        repeatedly("UPDATE", &|| self.update(|sa| sa))?;
        repeatedly("UPDATE with other keys, and back", &|| {
            self.update(with_other_keys)?;
            thread::sleep(WHILE);
            self.update(|sa| sa)
        })?;
        repeatedly("DELETE, and made anew", &|| {
            delete(&esp)?;
            thread::sleep(WHILE);
            self.make()?;
            thread::sleep(WHILE);
            self.group()
        })?;
        repeatedly("FLUSH, and made anew", &|| {
            empty(0)?;
            thread::sleep(WHILE);
            self.make()?;
            self.group()
        })?;
        repeatedly("FLUSH of a type, and made anew", &|| {
            empty(SaType::Ah as u8)?;
            thread::sleep(WHILE);
            self.make()?;
            self.group()
        })?;
        for (what, hard) in [
            (
                "a hard limit of packets",
                Lifetime {
                    packets: 5,
                    ..Lifetime::default()
                },
            ),
            (
                "a hard limit of time",
                Lifetime {
                    addtime: 1,
                    ..Lifetime::default()
                },
            ),
        ] {
            // With it goes its group.
            self.update_each(&[esp], |sa| with_hard_limit(sa, hard))?;
            eventually(what, || Ok(!is_there(&tun)?)).context(what)?;
            thread::sleep(WHILE);
            self.make()?;
            self.group()?;
            (self.flows)(what)?;
        }
        Ok(())
    }
}

/// How many packets an eroute has taken, of those since its SAs were made.
pub fn taken() -> Result<u64> {
    let list = proc_net("ipsec_eroute")?;
    let count = list.split_ascii_whitespace().next().context("no eroute")?;
    Ok(count.parse()?)
}

/// Waits until packets go through the SAs of the one eroute.
pub fn is_taking_more() -> Result<()> {
    let before = taken()?;
    eventually("packets go through", || Ok(taken()? > before + 5))
}

fn nothing_leaves_in_clear_whatever_happens_to_its_sas() -> Result<()> {
    in_each_family(|outer, inner| {
        let gateways = Gateways::new()?;
        let (from, to) = inner.inner;
        let sas = chain_to(outer.outer.1, 0x1000);
        make_group(&sas)?;
        eroute(from, to, &sas[0])?;
        let capture = Capture::of_unprotected(&gateways.a, "w0")?;
        let flood = Flood::start(&gateways.a, from, to, PORT)?;
        is_taking_more()?;
        let scene = Scene {
            sas,
            add,
            renew: &|| Ok(()),
            flows: &|what| is_taking_more().context(what.to_owned()),
        };
        scene.play()?;
        // Another chain in its place, whose SAs may not even be there.
        for round in 0..OFTEN {
            let others = chain_to(outer.outer.1, 0x2000);
            for said in [others[0], sas[0]] {
                ask(&wire::add_flow(said, flag::REPLACE, &flow(from, to)))?;
                thread::sleep(WHILE);
            }
            if round == 1 {
                make_group(&others)?;
            }
        }
        is_taking_more()?;
        let packets = capture.end()?;
        ensure!(packets.len() == 0, "in clear: {:?}", packets.headers());
        let counted = gateways.a.counters()?;
        println!("# {} sent; {counted:?}", flood.sent());
        ensure!(counted.of("XfrmOutPolBlock") > 0, "{counted:?}");

        let capture = Capture::of_unprotected(&gateways.a, "w0")?;
        ask(&wire::clear_flows())?;
        let before = flood.sent();
        eventually("cleartext", || Ok(flood.sent() > before + 5))?;
        drop(flood);
        ensure!(
            capture.end()?.len() > 0,
            "without an eroute it leaves in clear"
        );
        Ok(())
    })
}

/// A socket that counts what it is sent.
struct Sink {
    is_over: Arc<AtomicBool>,
    received: Arc<AtomicU64>,
    thread: Option<JoinHandle<()>>,
}

impl Sink {
    fn open(space: &Space, address: &str, port: u16) -> Result<Self> {
        let socket = space.within(|| Ok(UdpSocket::bind((address, port))?))?;
        socket.set_read_timeout(Some(Duration::from_millis(50)))?;
        let (is_over, received) = (Arc::<AtomicBool>::default(), Arc::<AtomicU64>::default());
        let thread = thread::spawn({
            let (is_over, received) = (is_over.clone(), received.clone());
            move || {
                while !is_over.load(Ordering::Relaxed) {
                    if socket.recv(&mut [0; 64]).is_ok() {
                        received.fetch_add(1, Ordering::Relaxed);
                    }
                }
            }
        });
        Ok(Sink {
            is_over,
            received,
            thread: Some(thread),
        })
    }

    fn received(&self) -> u64 {
        self.received.load(Ordering::Relaxed)
    }

    fn is_receiving(&self) -> Result<()> {
        let before = self.received();
        eventually("packets come in", || Ok(self.received() > before + 5))
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.join().expect("no panic");
        }
    }
}

fn nothing_comes_in_in_clear_whatever_happens_to_its_sas() -> Result<()> {
    const CLEAR: u16 = 10;
    in_each_family(|outer, inner| {
        let gateways = Gateways::new()?;
        let (to, from) = inner.inner;
        let sas = chain_to(outer.outer.0, 0x3000);
        make_inbound(&sas)?;
        join_up(&sas)?;
        inflow(from, to, &sas[0])?;
        // Protected, but for packets to one port: of two policies, the older one counts.
        let bits = inner.bits;
        gateways.b.run(&format!(
            "ip xfrm policy add dir out src {from}/{bits} dst {to}/{bits} proto 17 dport {CLEAR}"
        ))?;
        send_through(&gateways, outer, (from, to), &sas)?;
        let protected = Sink::open(&gateways.a, to, PORT)?;
        let clear = Sink::open(&gateways.a, to, CLEAR)?;
        let capture = Capture::of_unprotected(&gateways.a, "w0")?;
        let floods = [
            Flood::start(&gateways.b, from, to, PORT)?,
            Flood::start(&gateways.b, from, to, CLEAR)?,
        ];
        let scene = Scene {
            sas,
            add: inbound,
            renew: &|| inflow(from, to, &sas[0]),
            flows: &|what| protected.is_receiving().context(what.to_owned()),
        };
        protected.is_receiving()?;
        scene.play()?;
        for _ in 0..OFTEN {
            inflow(from, to, &sas[0])?;
        }
        protected.is_receiving()?;
        ensure!(floods[1].sent() > 100, "{} sent", floods[1].sent());
        ensure!(clear.received() == 0, "{} in clear", clear.received());
        // Nor does anybody complain of them, quoting what was inside.
        let packets = capture.end()?;
        ensure!(packets.len() == 0, "sent: {:?}", packets.headers());
        let counted = gateways.a.counters()?;
        println!("# {} in clear sent; {counted:?}", floods[1].sent());
        for name in ["XfrmInTmplMismatch", "XfrmInPolBlock", "XfrmInNoStates"] {
            ensure!(counted.of(name) > 0, "{name}: {counted:?}");
        }

        empty(0)?;
        ask(&wire::clear_flows())?;
        clear.is_receiving()
    })
}

/// What is only compressed, or too small for that and so bare IP-in-IP, is not let in for a chain of
/// which compression is a part, nor for others.
fn nothing_comes_in_that_anybody_could_have_made() -> Result<()> {
    // Of echo requests: one is not compressed.
    const SIZES: [u32; 2] = [0, 1300];
    in_each_family(|outer, inner| {
        let gateways = Gateways::new()?;
        let (to, from) = inner.inner;
        let dst = outer.outer.0;
        let comes = |answered: u32| -> Result<()> {
            let before = gateways.a.counters()?;
            for size in SIZES {
                let is = ping(&gateways.b, from, to, 2, size)?;
                ensure!(is == answered, "{size} bytes: {is} of 2 answered");
            }
            let dropped = 2 * (2 - u64::from(answered));
            let counted = gateways.a.counted_since(&before)?;
            counted.expect(&[("XfrmInTmplMismatch", dropped)])
        };
        // A tunnel without an inflow, for which there is a policy that all packets meet.
        let other = chain_to(dst, 0x4000);
        make_inbound(&other)?;
        join_up(&other)?;
        let sas = [("tun", 0x5000), ("comp", 0x5001), ("esp", 0x5002)]
            .map(|(proto, spi)| said_of(proto, spi, dst));
        make_inbound(&sas)?;
        join_up(&sas)?;
        send_through(&gateways, outer, (from, to), &sas)?;
        comes(0).context("the chain, of which only compression is asked")?;
        switch_to(&gateways, outer, (from, to), &sas[..2])?;
        comes(0).context("compression alone")?;
        let (src, dst) = inner.networks();
        let elsewhere = wire::flow((dst, 0), (src, 7), 17);
        ask(&wire::add_flow(sas[0], flag::IN, &elsewhere))?;
        comes(0).context("with an inflow for something else")?;
        inflow(from, to, &sas[0])?;
        comes(0).context("with an inflow")?;
        switch_to(&gateways, outer, (from, to), &sas)?;
        comes(2).context("with the rest of the chain")
    })
}

/// A gateway's namespace goes while it forwards, with and without an eroute for that.
fn nothing_leaves_in_clear_while_its_namespace_goes() -> Result<()> {
    for (outer, inner) in FAMILIES {
        for protected in [true, false] {
            let (arrived, counted) =
                in_own_network(|| forwarded_to_the_end(outer, inner, protected))
                    .with_context(|| format!("{} bits in {}", inner.bits, outer.bits))?;
            // The same without an eroute shows that cleartext would have been seen.
            ensure!(
                (arrived.len() == 0) == protected,
                "{} bits in {}, protected: {protected}: {:?}",
                inner.bits,
                outer.bits,
                arrived.headers()
            );
            // What was protected has come as well, to where there is no state for it. What the gateway has
            // dropped goes with its namespace, and so does the count.
            ensure!(
                (counted.of("XfrmInNoStates") > 0) == protected,
                "protected: {protected}: {counted:?}"
            );
        }
    }
    Ok(())
}

/// Puts a host behind klips's gateway, by a wire `w1`, and returns its address.
fn put_behind(gateways: &Gateways, host: &Space, inner: Family) -> Result<&'static str> {
    let (via, own) = match inner.bits {
        32 => ("10.1.1.1", "10.1.1.3"),
        _ => ("2001:db8:3::1", "2001:db8:3::3"),
    };
    gateways.a.within(|| {
        fs::write("/proc/sys/net/ipv4/ip_forward", "1")?;
        Ok(fs::write("/proc/sys/net/ipv6/conf/all/forwarding", "1")?)
    })?;
    join("w1", &gateways.a, host)?;
    address(&gateways.a, "w1", via, own, 'b')?;
    address(host, "w1", own, via, 'a')?;
    host.run(&format!("ip route add {} via {via}", inner.inner.1))?;
    Ok(own)
}

/// Sends datagrams to a port, each of which is a packet, or as many fragments.
fn send_datagrams(space: &Space, from: &str, to: &str, port: u16, fragments: u64) -> Result<()> {
    let len = if fragments == 1 { 100 } else { 3000 };
    let socket = space.within(|| Ok(UdpSocket::bind((from, 0))?))?;
    for _ in 0..DATAGRAMS {
        socket.send_to(&vec![0; len], (to, port))?;
    }
    Ok(())
}

/// How many are sent at once, and into how many fragments a long one goes.
const DATAGRAMS: u64 = 5;
const FRAGMENTS: u64 = 3;

/// What goes from one host to the port that is to be protected of another.
fn port_flow(from: &str, to: &str, bits: u8) -> Vec<Vec<u8>> {
    let network = |address: &str| format!("{address}/{bits}");
    wire::flow((&network(from), 0), (&network(to), PORT), 17)
}

fn fragments_are_not_forwarded_past_an_eroute_with_ports() -> Result<()> {
    in_each_family(|outer, inner| {
        let gateways = Gateways::new()?;
        let host = Space::new()?;
        let from = put_behind(&gateways, &host, inner)?;
        let to = inner.inner.1;
        let sas = chain_to(outer.outer.1, 0x6000);
        make_group(&sas)?;
        ask(&wire::add_flow(sas[0], 0, &port_flow(from, to, inner.bits)))?;
        let capture = Capture::of_unprotected(&gateways.a, "w0")?;
        send_datagrams(&host, from, to, PORT, 1)?;
        eventually("whole packets are protected", || Ok(taken()? == DATAGRAMS))?;
        let before = gateways.a.counters()?;
        let dropped = DATAGRAMS * FRAGMENTS;
        send_datagrams(&host, from, to, PORT, FRAGMENTS)?;
        eventually("fragments are dropped", || {
            Ok(gateways.a.counted_since(&before)?.of("XfrmOutPolBlock") == dropped)
        })?;
        // An eroute without ports is for them. The host may have to hear first how long they may be.
        eroute(from, to, &sas[0])?;
        eventually("fragments are protected", || {
            send_datagrams(&host, from, to, PORT, FRAGMENTS)?;
            thread::sleep(WHILE);
            Ok(taken()? >= DATAGRAMS + dropped)
        })?;
        let packets = capture.end()?;
        ensure!(packets.len() == 0, "in clear: {:?}", packets.headers());
        let counted = gateways.a.counted_since(&before)?;
        counted.expect(&[("XfrmOutPolBlock", dropped)])?;

        let capture = Capture::of_unprotected(&gateways.a, "w0")?;
        ask(&wire::clear_flows())?;
        let before = gateways.a.sent_by("w0")?;
        send_datagrams(&host, from, to, PORT, FRAGMENTS)?;
        eventually("cleartext", || {
            Ok(gateways.a.sent_by("w0")? >= before + dropped)
        })?;
        ensure!(
            capture.end()?.len() > 0,
            "without an eroute it leaves in clear"
        );
        Ok(())
    })
}

fn fragments_do_not_come_in_past_an_inflow_with_ports() -> Result<()> {
    for family in [V4, V6] {
        in_own_network(|| {
            let gateways = Gateways::new()?;
            let host = Space::new()?;
            let to = put_behind(&gateways, &host, family)?;
            let from = family.inner.1;
            let via = family.outer.0;
            gateways
                .b
                .run(&format!("ip route add {to} via {via} src {from}"))?;
            let sas = chain_to(via, 0x7000);
            make_inbound(&sas)?;
            join_up(&sas)?;
            let flow = port_flow(from, to, family.bits);
            ask(&wire::add_flow(sas[0], flag::IN, &flow))?;
            // Beside what lets in tunnels without an inflow, and all in clear.
            let others = chain_to(via, 0x8000);
            make_inbound(&others)?;
            join_up(&others)?;
            let capture = Capture::start(&gateways.a, "w1")?;
            let comes = |fragments| {
                let before = gateways.a.counters()?;
                send_datagrams(&gateways.b, from, to, PORT, fragments)?;
                let (name, dropped) = match fragments {
                    1 => ("XfrmInTmplMismatch", DATAGRAMS),
                    _ => ("XfrmInPolBlock", DATAGRAMS * fragments),
                };
                eventually("they are dropped", || {
                    let counted = gateways.a.counted_since(&before)?;
                    Ok(counted.of(name) >= dropped)
                })?;
                gateways
                    .a
                    .counted_since(&before)?
                    .expect(&[(name, dropped)])
            };
            comes(1).context("whole packets in clear")?;
            comes(FRAGMENTS).context("fragments in clear")?;
            let packets = capture.end()?;
            ensure!(packets.len() == 0, "forwarded: {:?}", packets.headers());

            let capture = Capture::start(&gateways.a, "w1")?;
            empty(0)?;
            ask(&wire::clear_flows())?;
            let before = gateways.a.sent_by("w1")?;
            send_datagrams(&gateways.b, from, to, PORT, FRAGMENTS)?;
            eventually("cleartext", || {
                Ok(gateways.a.sent_by("w1")? >= before + DATAGRAMS * FRAGMENTS)
            })?;
            ensure!(capture.end()?.len() > 0, "without an inflow it comes in");
            Ok(())
        })
        .with_context(|| format!("{} bits", family.bits))?;
    }
    Ok(())
}

/// The packets that have come out of a gateway in clear until its namespace was gone, and why the other one
/// has dropped any.
fn forwarded_to_the_end(
    outer: Family,
    inner: Family,
    protected: bool,
) -> Result<(Packets, Counters)> {
    let to = inner.inner.1;
    let host = Space::new()?;
    let (peer, capture, flood) = in_own_network(|| {
        let gateways = Gateways::new()?;
        let from = put_behind(&gateways, &host, inner)?;
        let sas = chain_to(outer.outer.1, 0x4000);
        make_group(&sas)?;
        if protected {
            eroute(from, to, &sas[0])?;
        }
        let capture = Capture::of_unprotected_arrivals(&gateways.b, "w0")?;
        let flood = Flood::start(&host, from, to, PORT)?;
        if protected {
            is_taking_more()?;
        } else {
            eventually("packets are sent", || Ok(flood.sent() > 100))?;
        }
        Ok((gateways.b, capture, flood))
    })?;
    // With the namespace, its ends of the wires go, and with those the other ends.
    eventually("the namespace is gone", || {
        Ok(!peer.output("ip link show w0")?.status.success())
    })?;
    drop(flood);
    Ok((capture.end()?, peer.counters()?))
}
