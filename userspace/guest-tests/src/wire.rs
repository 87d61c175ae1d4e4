// SPDX-License-Identifier: GPL-2.0

//! Network namespaces joined by wires, packets on them, and who else takes part: `ip xfrm`.

use crate::support::in_own_network;
use anyhow::{Context, Result, bail, ensure};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use std::{
    fmt::Write as _,
    fs::{self, File},
    io::{BufRead, BufReader, Write},
    net::{Ipv4Addr, Ipv6Addr, UdpSocket},
    process::Child,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};
use tempfile::NamedTempFile;
use testnet::make_gateways;
pub use testnet::{Counters, Family, Space, V4, V6, address, join};

/// How long what takes no time may take where processors are emulated.
const PATIENCE: Duration = Duration::from_secs(60);

/// Of what is outside, and of what is inside.
pub const FAMILIES: [(Family, Family); 4] = [(V4, V4), (V4, V6), (V6, V4), (V6, V6)];

/// Does something in a network of its own for each of these.
pub fn in_each_family(work: impl Fn(Family, Family) -> Result<()> + Sync) -> Result<()> {
    for (outer, inner) in FAMILIES {
        in_own_network(|| work(outer, inner))
            .with_context(|| format!("{} bits in {}", inner.bits, outer.bits))?;
    }
    Ok(())
}

/// Two gateways as [`make_gateways`] has them: `a` is klips's, and this thread's namespace; `b` is left
/// to `ip xfrm`.
pub struct Gateways {
    /// klips's.
    pub a: Space,
    /// The other.
    pub b: Space,
}

impl Gateways {
    /// Sets them up.
    pub fn new() -> Result<Self> {
        let (a, b) = (Space::own()?, Space::new()?);
        make_gateways(&a, &b)?;
        Ok(Gateways { a, b })
    }

    /// Records what klips's gateway puts on the wire.
    pub fn capture(&self) -> Result<Capture> {
        Capture::start(&self.a, "w0")
    }
}

/// Sends echo requests, each of which may take half a second; how many were answered. `size` is that
/// of what follows the header.
pub fn ping(space: &Space, from: &str, to: &str, count: u32, size: u32) -> Result<u32> {
    let output = space.output(&format!(
        "ping -n -q -i 0.01 -W 0.5 -c {count} -s {size} -I {from} {to}"
    ))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let received = text
        .lines()
        .find_map(|line| line.split_once(" transmitted, ")?.1.split_once(' '));
    match received {
        Some((received, _)) => Ok(received.parse()?),
        None => bail!("ping: {output:?}"),
    }
}

/// UDP packets, as many as there is time for, until it is dropped.
pub struct Flood {
    is_over: Arc<AtomicBool>,
    sent: Arc<AtomicU64>,
    thread: Option<JoinHandle<()>>,
}

impl Flood {
    /// Sends them from one address to another, to a port, by way of a socket that is connected: it
    /// keeps the route, and what packets meet on it, as long as the kernel lets it.
    pub fn start(space: &Space, from: &str, to: &str, port: u16) -> Result<Self> {
        let (is_over, sent) = (Arc::<AtomicBool>::default(), Arc::<AtomicU64>::default());
        let thread = space.within({
            let (is_over, sent) = (is_over.clone(), sent.clone());
            move || {
                let socket = UdpSocket::bind((from, 0))?;
                socket.connect((to, port))?;
                // Started in that namespace, it keeps no other.
                Ok(thread::spawn(move || {
                    while !is_over.load(Ordering::Relaxed) {
                        // Whatever is said of it: that there is no way, or nobody at the other end.
                        if socket.send(b"in clear").is_ok() {
                            sent.fetch_add(1, Ordering::Relaxed);
                        }
                        // Others want to be served, too.
                        thread::yield_now();
                    }
                }))
            }
        })?;
        Ok(Flood {
            is_over,
            sent,
            thread: Some(thread),
        })
    }

    /// How many the kernel has taken so far.
    pub fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }
}

impl Drop for Flood {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.join().expect("no panic");
        }
    }
}

/// Waits for something to be so.
pub fn eventually(what: &str, mut is_so: impl FnMut() -> Result<bool>) -> Result<()> {
    let start = Instant::now();
    while !is_so()? {
        ensure!(start.elapsed() < PATIENCE, "not so in time: {what}");
        thread::sleep(Duration::from_millis(5));
    }
    Ok(())
}

/// Checks that all of three echo requests are answered, or none.
pub fn expect_pings(space: &Space, from: &str, to: &str, answered: u32) -> Result<()> {
    let received = ping(space, from, to, 3, 56)?;
    ensure!(
        received == answered,
        "{from} > {to}: {received} of 3 answered, expected {answered}"
    );
    Ok(())
}

/// What leaves by a wire, recorded by tcpdump. (What comes in it would see once more when that has been
/// decrypted.)
pub struct Capture {
    tcpdump: Child,
    file: NamedTempFile,
}

/// All packets but those of ESP and AH, as tcpdump has it. Few are recorded then, so that none is
/// missed in a flood.
const UNPROTECTED: &str = "not (ip proto 50 or ip proto 51 or ip6 proto 50 or ip6 proto 51)";

impl Capture {
    /// Begins to record what leaves by a wire; when this returns, nothing is missed.
    pub fn start(space: &Space, wire: &str) -> Result<Self> {
        Self::record(space, wire, "out", "")
    }

    /// The same of what leaves, and is neither ESP nor AH.
    pub fn of_unprotected(space: &Space, wire: &str) -> Result<Self> {
        Self::record(space, wire, "out", UNPROTECTED)
    }

    /// The same of what comes by a wire.
    pub fn of_unprotected_arrivals(space: &Space, wire: &str) -> Result<Self> {
        Self::record(space, wire, "in", UNPROTECTED)
    }

    fn record(space: &Space, wire: &str, direction: &str, filter: &str) -> Result<Self> {
        let file = NamedTempFile::new()?;
        let path = file.path().display();
        let mut tcpdump = space.start(&format!(
            "tcpdump -Z root --immediate-mode -U -n -s 0 -B 4096 -Q {direction} -i {wire} \
             -w {path} {filter}"
        ))?;
        let said = tcpdump.stderr.take().context("tcpdump's standard error")?;
        let mut said = BufReader::new(said);
        let mut line = String::new();
        said.read_line(&mut line)?;
        ensure!(line.contains("listening on"), "tcpdump: {line}");
        // It goes on to count, to somebody who reads that, and keeps no other namespace.
        space.within(|| {
            Ok(thread::spawn(move || {
                std::io::copy(&mut said, &mut std::io::sink())
            }))
        })?;
        Ok(Capture { tcpdump, file })
    }

    /// Ends, and gives what was recorded.
    pub fn end(mut self) -> Result<Packets> {
        kill(
            Pid::from_raw(i32::try_from(self.tcpdump.id())?),
            Signal::SIGINT,
        )?;
        let start = Instant::now();
        while self.tcpdump.try_wait()?.is_none() {
            ensure!(start.elapsed() < PATIENCE, "tcpdump does not end");
            thread::sleep(Duration::from_millis(10));
        }
        Packets::parse(fs::read(self.file.path())?)
    }
}

/// Packets as they were on a wire, each from its IP header on.
pub struct Packets {
    pcap: Vec<u8>,
    packets: Vec<Vec<u8>>,
    /// Where each of them ends in the file.
    ends: Vec<usize>,
}

impl Packets {
    /// Reads the file format of tcpdump: a header of 24 bytes, then records with a header of 16.
    fn parse(pcap: Vec<u8>) -> Result<Self> {
        const MAGIC: [u8; 4] = 0xa1b2_c3d4_u32.to_le_bytes();
        ensure!(pcap.starts_with(&MAGIC), "no pcap file");
        // The last field of the header: Ethernet (1), or packets without anything in front (101).
        let link_len = match pcap.get(20) {
            Some(1) => 14,
            Some(101) => 0,
            other => bail!("frames of kind {other:?}"),
        };
        let (mut packets, mut ends) = (Vec::new(), Vec::new());
        let mut rest = pcap.get(24..).context("a pcap file that is cut short")?;
        while !rest.is_empty() {
            let len = rest.get(8..12).context("a record that is cut short")?;
            let len = u32::from_le_bytes(len.try_into()?) as usize;
            let frame = rest
                .get(16..16 + len)
                .context("a frame that is cut short")?;
            rest = &rest[16 + len..];
            // Ethernet: two addresses and the type.
            let (link, packet) = frame.split_at_checked(link_len).context("a short frame")?;
            // What IPv6 says about groups of listeners on a link carries nothing of anybody's.
            let is_ip = link.is_empty() || matches!(link[12..], [0x08, 0x00] | [0x86, 0xdd]);
            let goes_far = |(_, dst, _): (_, String, _)| !dst.starts_with("ff02:");
            if is_ip && header(packet).is_none_or(goes_far) {
                packets.push(packet.to_vec());
                ends.push(pcap.len() - rest.len());
            }
        }
        Ok(Packets {
            pcap,
            packets,
            ends,
        })
    }

    /// Only the first of them.
    pub fn first(mut self, count: usize) -> Self {
        self.packets.truncate(count);
        self.ends.truncate(count);
        self.pcap.truncate(self.ends.last().copied().unwrap_or(24));
        self
    }

    /// What is in the first header of each packet: source, destination and protocol.
    pub fn headers(&self) -> Vec<(String, String, u8)> {
        let headers = self.packets.iter().filter_map(|packet| header(packet));
        headers.collect()
    }

    /// Checks that every packet is from one address to another, and has one of these protocols, or is
    /// a fragment of IPv6 (protocol 44).
    ///
    /// That is so if nothing left without its transforms: what is inside has other addresses or
    /// another protocol.
    pub fn expect_only(&self, ends: (&str, &str), protocols: &[u8]) -> Result<()> {
        for (src, dst, proto) in self.headers() {
            ensure!(
                (&*src, &*dst) == ends && (proto == 44 || protocols.contains(&proto)),
                "in clear: {src} > {dst}, protocol {proto}"
            );
        }
        Ok(())
    }

    /// Checks that nothing but UDP over IPv4 went between these two, by these ports.
    pub fn expect_udp(&self, ends: (&str, &str), ports: &[(u16, u16)]) -> Result<()> {
        self.expect_only(ends, &[17])?;
        ensure!(self.udp_ports() == ports, "{:?}", self.udp_ports());
        Ok(())
    }

    /// Source and destination ports of those that are UDP over IPv4.
    fn udp_ports(&self) -> Vec<(u16, u16)> {
        let ports = |packet: &Vec<u8>| {
            let (_, _, 17) = header(packet)? else {
                return None;
            };
            let at = usize::from(packet[0] & 0xf) * 4;
            let port =
                |at: usize| Some(u16::from_be_bytes(packet.get(at..at + 2)?.try_into().ok()?));
            Some((port(at)?, port(at + 2)?))
        };
        self.packets.iter().filter_map(ports).collect()
    }

    /// The type of service of each packet of IPv4.
    pub fn tos(&self) -> Vec<u8> {
        let packets = self.packets.iter().filter(|packet| packet[0] >> 4 == 4);
        packets.map(|packet| packet[1]).collect()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.packets.len()
    }

    /// Gives the packets to the build machine, where scapy takes them apart: the module
    /// `captures.py` says what has to be found in them.
    pub fn hand_over(&self, name: &str, expected: &Expected<'_>) -> Result<()> {
        hand_over(&format!("{name}.pcap"), &self.pcap)?;
        hand_over(&format!("{name}.json"), expected.json()?.as_bytes())
    }
}

/// Source, destination and protocol of an IP packet.
fn header(packet: &[u8]) -> Option<(String, String, u8)> {
    match packet.first()? >> 4 {
        4 => {
            let address = |at: usize| -> Option<Ipv4Addr> {
                let bytes: [u8; 4] = packet.get(at..at + 4)?.try_into().ok()?;
                Some(bytes.into())
            };
            let (src, dst) = (address(12)?, address(16)?);
            Some((src.to_string(), dst.to_string(), *packet.get(9)?))
        }
        6 => {
            let address = |at: usize| -> Option<Ipv6Addr> {
                let bytes: [u8; 16] = packet.get(at..at + 16)?.try_into().ok()?;
                Some(bytes.into())
            };
            let (src, dst) = (address(8)?, address(24)?);
            Some((src.to_string(), dst.to_string(), *packet.get(6)?))
        }
        _ => None,
    }
}

/// An SA as scapy has it.
pub struct Layer<'a> {
    /// `AH`, `ESP` or `IPCOMP`.
    pub proto: &'a str,
    /// SPI, or CPI.
    pub spi: u32,
    /// scapy's name of the cipher, and the key.
    pub encrypt: Option<(&'a str, &'a [u8])>,
    /// scapy's name of what authenticates, and the key.
    pub auth: Option<(&'a str, &'a [u8])>,
}

/// What has to be found in a capture.
pub struct Expected<'a> {
    /// Who sends them; what others send is passed over.
    pub src: &'a str,
    /// How many packets.
    pub packets: usize,
    /// What to take off, outside to inside.
    pub layers: &'a [Layer<'a>],
    /// What is left then: the names of scapy's layers.
    pub inside: &'a [&'a str],
    /// Source and destination of the innermost header.
    pub ends: (&'a str, &'a str),
}

impl Expected<'_> {
    fn json(&self) -> Result<String> {
        let hex = |bytes: &[u8]| data_encoding::HEXLOWER.encode(bytes);
        let algorithm = |algorithm: &Option<(&str, &[u8])>| match algorithm {
            Some((name, key)) => format!("[\"{name}\", \"{}\"]", hex(key)),
            None => "null".to_owned(),
        };
        let mut layers = Vec::new();
        for layer in self.layers {
            layers.push(format!(
                "{{\"proto\": \"{}\", \"spi\": {}, \"encrypt\": {}, \"auth\": {}}}",
                layer.proto,
                layer.spi,
                algorithm(&layer.encrypt),
                algorithm(&layer.auth)
            ));
        }
        let mut json = String::new();
        write!(
            json,
            "{{\"src\": {:?}, \"packets\": {}, \"layers\": [{}], \"inside\": {:?}, \"ends\": [{:?}, {:?}]}}",
            self.src,
            self.packets,
            layers.join(", "),
            self.inside,
            self.ends.0,
            self.ends.1
        )?;
        Ok(json)
    }
}

/// Writes a file to the virtio port for files, where there is one: name and size in a line, then the
/// bytes.
fn hand_over(name: &str, content: &[u8]) -> Result<()> {
    let Some(port) = files_port()? else {
        return Ok(());
    };
    let mut port = File::options().write(true).open(port)?;
    writeln!(port, "{name} {}", content.len())?;
    port.write_all(content)?;
    Ok(())
}

fn files_port() -> Result<Option<String>> {
    for port in fs::read_dir("/sys/class/virtio-ports")? {
        let port = port?;
        if fs::read_to_string(port.path().join("name"))?.trim() == "klips.files" {
            return Ok(Some(format!("/dev/{}", port.file_name().to_string_lossy())));
        }
    }
    Ok(None)
}
