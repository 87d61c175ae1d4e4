// SPDX-License-Identifier: GPL-2.0

//! What packets cost on their way through SAs: those of klips's groups and eroutes, and the same
//! states and policies made by `ip xfrm`.
//!
//! Gateway `a` is measured, `b` is the other end of the wire, and `c` a host behind `a`. What `b` gets
//! it drops, for it has no states to take it, so that only one end's transforms are measured. What it
//! sends was recorded before, by `a` when it had no states.

use crate::{
    measure::{self, Clock, Setting},
    message::{Flow, Sa},
    module::Module,
    netlink,
    socket::Socket as Requests,
};
use anyhow::{Context, Result, ensure};
use socket2::{Domain, Protocol, Socket, Type};
use std::{
    collections::BTreeMap,
    fs,
    io::Read,
    net::{Ipv4Addr, SocketAddr, UdpSocket},
};
use testnet::{Space, V4, address, join, make_gateways};

/// How often a number of packets is sent. The least that this took is told: what else the kernel does
/// meanwhile is not the packets'.
const ROUNDS: usize = 9;
/// Packets that are sent before: neighbours, routes and bundles are there then.
const FIRST: usize = 8;
/// Where datagrams go to.
pub(crate) const PORT: u16 = 4711;
/// Host `c`, and the gateway's address to it.
const HOST: (&str, &str) = ("10.1.1.3", "10.1.1.1");
/// Headers of IPv4 and UDP.
const HEADERS: usize = 28;
/// Sizes of packets, with these headers.
const SIZES: [usize; 2] = [64, 1400];

/// One transform of a chain.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Layer {
    Tun,
    Comp,
    Esp,
    Ah,
}

impl Layer {
    fn name(self) -> &'static str {
        match self {
            Layer::Tun => "tun",
            Layer::Comp => "comp",
            Layer::Esp => "esp",
            Layer::Ah => "ah",
        }
    }
}

/// SAs in a group, inside to outside.
pub(crate) struct Chain {
    pub(crate) name: &'static str,
    layers: &'static [Layer],
}

pub(crate) const CHAINS: [Chain; 4] = [
    Chain {
        name: "tun+esp",
        layers: &[Layer::Tun, Layer::Esp],
    },
    Chain {
        name: "tun+esp+ah",
        layers: &[Layer::Tun, Layer::Esp, Layer::Ah],
    },
    Chain {
        name: "esp+ah",
        layers: &[Layer::Esp, Layer::Ah],
    },
    Chain {
        name: "tun+comp+esp",
        layers: &[Layer::Tun, Layer::Comp, Layer::Esp],
    },
];

impl Chain {
    fn is_tunnel(&self) -> bool {
        self.layers[0] == Layer::Tun
    }

    /// The number of the protocol on the wire.
    fn on_wire(&self) -> i32 {
        if self.layers.ends_with(&[Layer::Ah]) {
            51
        } else {
            50
        }
    }

    /// The networks whose packets go through it, `a`'s first.
    fn networks(&self) -> (&'static str, &'static str) {
        if self.is_tunnel() {
            ("10.1.0.0/16", "10.2.0.0/16")
        } else {
            ("10.0.0.1/32", "10.0.0.2/32")
        }
    }

    /// The ends of packets that `a` sends or gets itself.
    fn ends(&self) -> (&'static str, &'static str) {
        if self.is_tunnel() { V4.inner } else { V4.outer }
    }
}

/// Algorithms, as `ipsec spi` and as `ip xfrm state` is told of them.
pub(crate) struct Cipher {
    pub(crate) name: &'static str,
    ipsec_esp: &'static str,
    ipsec_ah: &'static str,
    xfrm_esp: &'static str,
    xfrm_ah: &'static str,
}

pub(crate) const CIPHERS: [Cipher; 4] = [
    Cipher {
        name: "AES-GCM",
        ipsec_esp: "aes-gcm-16 --enckey 0x8dcd4d3c5b2b8e4c9d4d9f8ab3f0ce1b6f5e4d3c",
        ipsec_ah: AH_SHA2.0,
        xfrm_esp: "aead rfc4106(gcm(aes)) 0x8dcd4d3c5b2b8e4c9d4d9f8ab3f0ce1b6f5e4d3c 128",
        xfrm_ah: AH_SHA2.1,
    },
    Cipher {
        name: "AES-CBC+SHA2",
        ipsec_esp: "aes-sha2-256 --enckey 0x8dcd4d3c5b2b8e4c9d4d9f8ab3f0ce1b \
                    --authkey 0x9ad2f1ab03c93cb7cd1c2bb1d8f2a5e94c6b7d809ad2f1ab03c93cb7cd1c2bb1",
        ipsec_ah: AH_SHA2.0,
        xfrm_esp: "enc cbc(aes) 0x8dcd4d3c5b2b8e4c9d4d9f8ab3f0ce1b auth-trunc hmac(sha256) \
                   0x9ad2f1ab03c93cb7cd1c2bb1d8f2a5e94c6b7d809ad2f1ab03c93cb7cd1c2bb1 128",
        xfrm_ah: AH_SHA2.1,
    },
    Cipher {
        name: "3DES+SHA1",
        ipsec_esp: "3des-sha1 --enckey 0x8dcd4d3c5b2b8e4c9d4d9f8ab3f0ce1b6f5e4d3c2b1a0918 \
                    --authkey 0x9ad2f1ab03c93cb7cd1c2bb1d8f2a5e94c6b7d80",
        ipsec_ah: AH_SHA1.0,
        xfrm_esp: "enc cbc(des3_ede) 0x8dcd4d3c5b2b8e4c9d4d9f8ab3f0ce1b6f5e4d3c2b1a0918 \
                   auth-trunc hmac(sha1) 0x9ad2f1ab03c93cb7cd1c2bb1d8f2a5e94c6b7d80 96",
        xfrm_ah: AH_SHA1.1,
    },
    Cipher {
        name: "NULL+SHA1",
        ipsec_esp: "null-sha1 --authkey 0x9ad2f1ab03c93cb7cd1c2bb1d8f2a5e94c6b7d80",
        ipsec_ah: AH_SHA1.0,
        xfrm_esp: "enc ecb(cipher_null) '' auth-trunc hmac(sha1) \
                   0x9ad2f1ab03c93cb7cd1c2bb1d8f2a5e94c6b7d80 96",
        xfrm_ah: AH_SHA1.1,
    },
];

const AH_SHA1: (&str, &str) = (
    "hmac-sha1-96 --authkey 0x00112233445566778899aabbccddeeff00112233",
    "auth-trunc hmac(sha1) 0x00112233445566778899aabbccddeeff00112233 96",
);
const AH_SHA2: (&str, &str) = (
    "hmac-sha2-256-128 --authkey \
     0x00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff",
    "auth-trunc hmac(sha256) \
     0x00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff 128",
);

/// From where to where packets go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// From a socket of `a` to the wire.
    Out,
    /// From the wire to a socket of `a`.
    In,
    /// From `c` to the wire.
    ForwardedOut,
    /// From the wire to `c`.
    ForwardedIn,
}

impl Way {
    fn name(self) -> &'static str {
        match self {
            Way::Out => "out",
            Way::In => "in",
            Way::ForwardedOut => "forwarded out",
            Way::ForwardedIn => "forwarded in",
        }
    }

    /// All that there are for a chain: only what is put in another packet is forwarded.
    fn of(chain: &Chain) -> &'static [Way] {
        if chain.is_tunnel() {
            &[Way::Out, Way::In, Way::ForwardedOut, Way::ForwardedIn]
        } else {
            &[Way::Out, Way::In]
        }
    }
}

/// A direction: whose SAs, and their SPIs from there on.
pub(crate) struct Direction {
    pub(crate) src: &'static str,
    pub(crate) dst: &'static str,
    pub(crate) spi: u32,
}

pub(crate) const OUT: Direction = Direction {
    src: V4.outer.0,
    dst: V4.outer.1,
    spi: 0x1000,
};
pub(crate) const IN: Direction = Direction {
    src: V4.outer.1,
    dst: V4.outer.0,
    spi: 0x2000,
};

impl Direction {
    fn is_out(&self) -> bool {
        self.src == OUT.src
    }

    /// The networks between which a chain's packets go.
    fn flow(&self, chain: &Chain) -> (&'static str, &'static str) {
        let (here, there) = chain.networks();
        if self.is_out() {
            (here, there)
        } else {
            (there, here)
        }
    }
}

/// A state of a chain as `ip xfrm` has it: a tunnel is part of what comes after it.
struct State {
    layer: Layer,
    spi: u32,
    is_tunnel: bool,
}

impl State {
    fn all(chain: &Chain, direction: &Direction) -> Vec<Self> {
        let mut is_tunnel = false;
        let mut states = Vec::new();
        for (&layer, spi) in chain.layers.iter().zip(direction.spi..) {
            if layer != Layer::Tun {
                states.push(State {
                    layer,
                    spi,
                    is_tunnel,
                });
            }
            is_tunnel = layer == Layer::Tun;
        }
        states
    }

    /// What states and templates have in common. Templates name no SPI: the `reqid` is enough.
    fn about(&self, direction: &Direction, spi: u32) -> String {
        let Direction { src, dst, .. } = direction;
        let (proto, reqid) = (self.layer.name(), netlink::reqid(self.spi));
        let mode = if self.is_tunnel {
            "tunnel"
        } else {
            "transport"
        };
        format!("src {src} dst {dst} proto {proto} spi {spi} reqid {reqid} mode {mode}")
    }
}

/// Makes a chain's states by `ip xfrm`.
fn make_states(space: &Space, chain: &Chain, cipher: &Cipher, direction: &Direction) -> Result<()> {
    for state in State::all(chain, direction) {
        // Compression has no sequence numbers.
        let (window, algorithms) = match state.layer {
            Layer::Tun => continue,
            Layer::Comp => (0, "comp deflate"),
            Layer::Esp => (32, cipher.xfrm_esp),
            Layer::Ah => (32, cipher.xfrm_ah),
        };
        let about = state.about(direction, state.spi);
        space.run(&format!(
            "ip xfrm state add {about} replay-window {window} flag af-unspec {algorithms}"
        ))?;
    }
    Ok(())
}

/// Makes a policy by `ip xfrm`, for packets from one network to another: `out`, `in` or `fwd`.
fn make_policy(
    space: &Space,
    dir: &str,
    (from, to): (&str, &str),
    chain: &Chain,
    direction: &Direction,
) -> Result<()> {
    let mut templates = String::new();
    for state in State::all(chain, direction) {
        templates += " tmpl ";
        templates += &state.about(direction, 0);
        // What compression does not make smaller comes without it.
        if state.layer == Layer::Comp && dir != "out" {
            templates += " level use";
        }
    }
    space.run(&format!(
        "ip xfrm policy add dir {dir} src {from} dst {to}{templates}"
    ))?;
    Ok(())
}

/// One direction of gateway `a`, by `ip xfrm`.
fn set_up_xfrm(a: &Space, chain: &Chain, cipher: &Cipher, direction: &Direction) -> Result<()> {
    make_states(a, chain, cipher, direction)?;
    let flow = direction.flow(chain);
    if direction.is_out() {
        return make_policy(a, "out", flow, chain, direction);
    }
    // KLIPS says nothing of what may come in without a tunnel.
    if chain.is_tunnel() {
        for dir in ["in", "fwd"] {
            make_policy(a, dir, flow, chain, direction)?;
        }
    }
    Ok(())
}

/// One direction of gateway `a`, by klips.
fn set_up_klips(a: &Space, chain: &Chain, cipher: &Cipher, direction: &Direction) -> Result<()> {
    let Direction { src, dst, spi } = *direction;
    let mut saids = Vec::new();
    for (layer, spi) in chain.layers.iter().zip(spi..) {
        let what = match layer {
            Layer::Tun => "--ip4".to_owned(),
            Layer::Comp => "--comp deflate".to_owned(),
            Layer::Esp => format!("--replay_window 32 --esp {}", cipher.ipsec_esp),
            Layer::Ah => format!("--replay_window 32 --ah {}", cipher.ipsec_ah),
        };
        let said = format!("{}.{spi:x}@{dst}", layer.name());
        a.run(&format!("ipsec spi --said {said} --src {src} {what}"))?;
        saids.push(said);
    }
    a.run(&format!("ipsec spigrp --said {}", saids.join(" ")))?;
    let (from, to) = direction.flow(chain);
    let what = if direction.is_out() {
        "--add"
    } else if chain.is_tunnel() {
        "--addin"
    } else {
        return Ok(());
    };
    let said = &saids[0];
    a.run(&format!(
        "ipsec eroute {what} --src {from} --dst {to} --said {said}"
    ))?;
    Ok(())
}

/// The namespaces, and who makes the states of gateway `a`.
pub(crate) struct Bench {
    pub(crate) setting: Setting,
    pub(crate) module: Module,
    /// Packets of a round.
    pub(crate) count: usize,
    pub(crate) a: Space,
    pub(crate) b: Space,
    c: Space,
}

/// Packets as the other end sends them, from the IP header on.
type Recorded = std::vec::IntoIter<Vec<u8>>;

impl Bench {
    pub(crate) fn new(clock: Clock, module: Module, count: usize) -> Result<Self> {
        let (a, b, c) = (Space::new()?, Space::new()?, Space::new()?);
        make_gateways(&a, &b)?;
        join("w1", &a, &c)?;
        address(&a, "w1", HOST.1, HOST.0, 'b')?;
        address(&c, "w1", HOST.0, HOST.1, 'a')?;
        c.run(&format!("ip route add default via {}", HOST.1))?;
        b.run("ip route add 10.1.1.0/24 via 10.0.0.1 src 10.2.0.2")?;
        a.within(|| Ok(fs::write("/proc/sys/net/ipv4/ip_forward", "1")?))?;
        // Fragments are allowed, or a packet would have no identification that stays when it is sent
        // again.
        b.within(|| Ok(fs::write("/proc/sys/net/ipv4/ip_no_pmtu_disc", "1")?))?;
        Ok(Bench {
            setting: Setting::bare(clock, module.name()),
            module,
            count,
            a,
            b,
            c,
        })
    }

    /// Measures packets of all sizes on all ways through a chain. Returns what they are on the wire.
    fn measure(&self, chain: &Chain, cipher: &Cipher) -> Result<Vec<(u8, usize)>> {
        let mut recorded: BTreeMap<(usize, &str), Recorded> = self.record(chain, cipher)?;
        for direction in [OUT, IN] {
            self.set_up(chain, cipher, &direction)?;
        }
        let mut on_wire = Vec::new();
        for size in SIZES {
            for &way in Way::of(chain) {
                let name = way.name();
                let what = format!("packet {name}: {} {} {size}", chain.name, cipher.name);
                let context = || what.clone();
                let took = match way {
                    Way::Out | Way::ForwardedOut => {
                        let wire = self.sends(chain, way, size).with_context(context)?;
                        on_wire.push(wire.1);
                        wire.0
                    }
                    Way::In | Way::ForwardedIn => {
                        let packets = recorded.remove(&(size, name)).context("not recorded")?;
                        self.receives(chain, way, packets).with_context(context)?
                    }
                };
                self.setting
                    .tell_each(&what, took, u32::try_from(self.count)?);
            }
        }
        self.clear()?;
        Ok(on_wire)
    }

    /// Sets gateway `a` up for one direction.
    pub(crate) fn set_up(
        &self,
        chain: &Chain,
        cipher: &Cipher,
        direction: &Direction,
    ) -> Result<()> {
        match self.module {
            Module::Klips => set_up_klips(&self.a, chain, cipher, direction),
            _ => set_up_xfrm(&self.a, chain, cipher, direction),
        }
    }

    /// Has eroutes for these packets take the place of the one that was set up for what leaves, to the same
    /// group.
    pub(crate) fn make_eroutes(&self, flows: impl Iterator<Item = Flow>) -> Result<Requests> {
        // That of the group, which eroutes name, or that of the state.
        let spi = OUT.spi + u32::from(self.module != Module::Klips);
        let sa = Sa::between(spi, OUT.src.parse()?, OUT.dst.parse()?);
        self.replace_eroutes(flows.map(|flow| vec![self.module.add_flow(&flow, &sa)]))
    }

    /// The same, each to a group of its own.
    pub(crate) fn make_tunnels(&self, flows: impl Iterator<Item = Flow>) -> Result<Requests> {
        /// Of the first.
        const SPI: u32 = 0x10000;
        let (src, dst) = (OUT.src.parse()?, OUT.dst.parse()?);
        self.replace_eroutes(flows.zip(SPI..).map(|(flow, spi)| {
            let sa = Sa::between(spi, src, dst);
            let (prepare, add) = (self.module.prepare(&sa), self.module.add_eroute(&flow, &sa));
            [prepare, add].concat()
        }))
    }

    /// Has eroutes, each made by some requests, take the place of those that there are.
    fn replace_eroutes(&self, eroutes: impl Iterator<Item = Vec<Vec<u8>>>) -> Result<Requests> {
        let mut socket = self.a.within(|| Requests::to(self.module))?;
        socket.request(&self.module.clear_eroutes())?;
        for (number, requests) in eroutes.enumerate() {
            for request in requests {
                socket
                    .request(&request)
                    .with_context(|| format!("eroute {number}"))?;
            }
        }
        Ok(socket)
    }

    /// Sets the other end up for both directions, so that it takes what `a` sends, and answers.
    pub(crate) fn set_up_peer(&self, chain: &Chain, cipher: &Cipher) -> Result<()> {
        for (direction, dir) in [(OUT, "in"), (IN, "out")] {
            make_states(&self.b, chain, cipher, &direction)?;
            make_policy(&self.b, dir, direction.flow(chain), chain, &direction)?;
        }
        Ok(())
    }

    /// Removes what was set up.
    pub(crate) fn clear(&self) -> Result<()> {
        match self.module {
            Module::Klips => {
                self.a.run("ipsec eroute --clear")?;
                self.a.run("ipsec spi --clear")?;
                Ok(())
            }
            _ => clear(&self.a),
        }
    }

    /// Has the other end send what is to come in later, and keeps it.
    fn record(
        &self,
        chain: &Chain,
        cipher: &Cipher,
    ) -> Result<BTreeMap<(usize, &'static str), Recorded>> {
        make_states(&self.b, chain, cipher, &IN)?;
        make_policy(&self.b, "out", IN.flow(chain), chain, &IN)?;
        let tap = raw(&self.a, chain.on_wire())?;
        let mut recorded = BTreeMap::new();
        for size in SIZES {
            for way in [Way::In, Way::ForwardedIn] {
                if !Way::of(chain).contains(&way) {
                    continue;
                }
                let (own, other) = chain.ends();
                let to = if way == Way::In { own } else { HOST.0 };
                let from = datagrams(&self.b, other)?;
                from.connect((to, PORT))?;
                let mut packets = Vec::new();
                while packets.len() < FIRST + ROUNDS * self.count {
                    from.send(&payload(size))?;
                    let packet = receive(&tap)?;
                    // Sent again, one whose identification is 0 gets another, which AH notices.
                    if packet[4..6] != [0, 0] {
                        packets.push(packet);
                    }
                }
                recorded.insert((size, way.name()), packets.into_iter());
            }
        }
        clear(&self.b)?;
        Ok(recorded)
    }

    /// Measures packets that leave. Returns how long a round takes, and protocol and length of a
    /// packet on the wire.
    fn sends(&self, chain: &Chain, way: Way, size: usize) -> Result<(u64, (u8, usize))> {
        let (own, other) = chain.ends();
        let socket = if way == Way::Out {
            datagrams(&self.a, own)?
        } else {
            self.host()?
        };
        socket.connect((other, PORT))?;
        let payload = payload(size);
        let send = |count: usize| -> Result<()> {
            for _ in 0..count {
                socket.send(&payload)?;
            }
            Ok(())
        };
        let tap = raw(&self.b, chain.on_wire())?;
        send(1)?;
        let packet = receive(&tap)?;
        drop(tap);
        Ok((self.rounds(send)?, (packet[9], packet.len())))
    }

    /// A socket of the host behind.
    pub(crate) fn host(&self) -> Result<UdpSocket> {
        datagrams(&self.c, HOST.0)
    }

    /// Measures what sends so many packets to the other end. Returns how long a round takes.
    pub(crate) fn rounds(&self, mut send: impl FnMut(usize) -> Result<()>) -> Result<u64> {
        send(FIRST)?;
        let mut took = [0; ROUNDS];
        for took in &mut took {
            let before = self.b.counters()?;
            *took = measure::time(|| send(self.count))?;
            // It has no state to take them, and drops each.
            let count = u64::try_from(self.count)?;
            self.b
                .counted_since(&before)?
                .expect(&[("XfrmInNoStates", count)])?;
        }
        Ok(took.into_iter().min().unwrap_or_default())
    }

    /// Measures packets that come in.
    fn receives(&self, chain: &Chain, way: Way, mut packets: Recorded) -> Result<u64> {
        let receiver = if way == Way::In {
            datagrams(&self.a, chain.ends().0)?
        } else {
            self.host()?
        };
        receiver.set_nonblocking(true)?;
        let sender = raw(&self.b, 255)?;
        sender.set_header_included_v4(true)?;
        let to = SocketAddr::from((V4.outer.0.parse::<Ipv4Addr>()?, 0)).into();
        let mut took = [0; ROUNDS + 1];
        for (round, took) in took.iter_mut().enumerate() {
            let count = if round == 0 { FIRST } else { self.count };
            let packets: Vec<_> = packets.by_ref().take(count).collect();
            *took = measure::time(|| {
                for packet in &packets {
                    sender.send_to(packet, &to)?;
                }
                Ok(())
            })?;
            let mut received = 0;
            while receiver.recv(&mut [0; 2048]).is_ok() {
                received += 1;
            }
            ensure!(
                received == count,
                "{received} of {count} came through: {:?}",
                self.a.counters()?
            );
        }
        Ok(took[1..].iter().copied().min().unwrap_or_default())
    }
}

/// Removes what `ip xfrm` made.
fn clear(space: &Space) -> Result<()> {
    space.run("ip xfrm policy flush")?;
    space.run("ip xfrm state flush")?;
    Ok(())
}

/// What is in a packet of this size: text, which compression makes much of.
fn payload(size: usize) -> Vec<u8> {
    let text = b"in clear, ".iter().copied();
    text.cycle().take(size - HEADERS).collect()
}

/// A socket for datagrams.
fn datagrams(space: &Space, address: &'static str) -> Result<UdpSocket> {
    space.within(|| {
        let socket = Socket::new(Domain::IPV4, Type::DGRAM, None)?;
        let address: Ipv4Addr = address.parse()?;
        socket.bind(&SocketAddr::from((address, PORT)).into())?;
        Ok(socket.into())
    })
}

/// A socket for packets of a protocol.
fn raw(space: &Space, protocol: i32) -> Result<Socket> {
    space.within(|| {
        Ok(Socket::new(
            Domain::IPV4,
            Type::RAW,
            Some(Protocol::from(protocol)),
        )?)
    })
}

/// The packet that has come.
fn receive(tap: &Socket) -> Result<Vec<u8>> {
    tap.set_nonblocking(true)?;
    let mut packet = vec![0; 2048];
    let len = (&mut &*tap).read(&mut packet).context("nothing has come")?;
    packet.truncate(len);
    Ok(packet)
}

/// Measures rounds of so many packets.
pub(crate) fn run(clock: Clock, count: usize) -> Result<()> {
    let mut on_wire = BTreeMap::new();
    // klips last: who uses `ip xfrm` does not have it loaded.
    for module in [Module::XfrmUser, Module::Klips] {
        module.load()?;
        for chain in &CHAINS {
            let bench = Bench::new(clock, module, count)?;
            for cipher in &CIPHERS {
                let key = (chain.name, cipher.name);
                let wire = bench
                    .measure(chain, cipher)
                    .with_context(|| format!("{} {key:?}", module.name()))?;
                let same = on_wire.entry(key).or_insert_with(|| wire.clone());
                ensure!(*same == wire, "{key:?}: {same:?}, {wire:?} on the wire");
            }
            eprintln!("bench: {} {} done", module.name(), chain.name);
        }
        module.unload()?;
    }
    Ok(())
}
