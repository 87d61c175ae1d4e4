// SPDX-License-Identifier: GPL-2.0

//! The tools on a machine of their own: the very request engine of the module answers them, and
//! what they do is written down as a transcript.

// Every test file is a crate of its own and uses a part of this.
#![allow(dead_code)]

#[allow(unused_imports)]
pub use testbed::{TestHost, hex};

use ipsec_tools::{Console, Detached, Interface, Link, NewLink, ProcFile, Secret, System, Wake};
use klips::{
    address::Family,
    errno::Errno,
    listing::Listing,
    netns::Attached,
    pfkey::{Direction, Ext, Header, Message},
    selector::Selector,
};
use pfkey::{Client, Content, Transport};
use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, HashMap, VecDeque},
    ffi::OsString,
    fmt::Write,
    io::{self, Cursor, Read},
    net::IpAddr,
    rc::Rc,
    time::{Duration, SystemTime},
};

/// Decides what else a kernel does: an errno to refuse a message with.
type Refuse = Box<dyn Fn(&Request) -> Option<Errno>>;

/// A kernel.
pub struct Kernel {
    pub host: TestHost,
    /// A KLIPS of old: no extension but its own.
    pub historic: Cell<bool>,
    pub refuse: RefCell<Option<Refuse>>,
    /// Answers are lost.
    pub mute: Cell<bool>,
    /// The errno of the next read.
    pub receive_error: Cell<Option<Errno>>,
    /// Messages that the next reads find before any other.
    pub noise: RefCell<Vec<Vec<u8>>>,
    /// What was written.
    pub sent: RefCell<Vec<Request>>,
    sockets: Cell<u32>,
}

impl Kernel {
    /// Packets of an eroute that says %pass may leave as they are; those of others had better not.
    fn expect_clear(&self, request: &Request) {
        let message = Message::parse(request.header(), &request.bytes, Direction::In);
        let Ok(message) = message else { return };
        let passes = message
            .said()
            .is_some_and(|said| said.to_string() == "%pass");
        if let (true, Some(flow)) = (passes, message.flow()) {
            let selector = Selector::of(&flow).unwrap();
            self.host.engine.expect_clear(selector);
        }
    }
}

/// A message that was written.
#[derive(Clone)]
pub struct Request {
    /// Which one it is, from 0.
    pub number: usize,
    pub bytes: Vec<u8>,
}

impl Request {
    fn header(&self) -> Header {
        Header::parse(&self.bytes).unwrap()
    }

    /// The extensions that are there.
    fn exts(&self) -> Vec<Ext> {
        let mut exts = Vec::new();
        let mut rest = &self.bytes[Header::SIZE..];
        while let [a, b, c, d, ..] = *rest {
            exts.push(Ext::from_number(u16::from_ne_bytes([c, d])).unwrap());
            rest = &rest[8 * usize::from(u16::from_ne_bytes([a, b]))..];
        }
        exts
    }
}

/// A socket of a [`Kernel`].
pub struct FakeSocket {
    kernel: Rc<Kernel>,
    socket: u32,
    queue: RefCell<VecDeque<Vec<u8>>>,
}

impl FakeSocket {
    /// Whether there is a message or an error to be read.
    fn is_readable(&self) -> bool {
        let heard = self.kernel.host.read(self.socket);
        self.queue.borrow_mut().extend(heard);
        !self.queue.borrow().is_empty()
            || !self.kernel.noise.borrow().is_empty()
            || self.kernel.receive_error.get().is_some()
    }
}

impl Transport for FakeSocket {
    fn send(&mut self, message: &[u8]) -> Result<(), Errno> {
        let kernel = &self.kernel;
        let request = Request {
            number: kernel.sent.borrow().len(),
            bytes: message.to_vec(),
        };
        kernel.sent.borrow_mut().push(request.clone());
        let refused = if kernel.historic.get() && request.exts().contains(&Ext::Group) {
            Some(Errno::EINVAL)
        } else {
            kernel
                .refuse
                .borrow()
                .as_ref()
                .and_then(|refuse| refuse(&request))
        };
        kernel.expect_clear(&request);
        let result = match refused {
            None => kernel.host.write_from(self.socket, message),
            Some(errno) => {
                // As KLIPS tells of it: the header, with the errno.
                let content = Content::new(Header {
                    errno: errno.0,
                    ..request.header()
                });
                let mut bytes = vec![0; content.size()];
                content.write(&mut bytes).unwrap();
                self.queue.borrow_mut().push_back(bytes);
                Err(errno)
            }
        };
        kernel.host.check();
        result
    }

    fn receive(&mut self, buffer: &mut [u8], _: Duration) -> Result<Option<usize>, Errno> {
        if let Some(errno) = self.kernel.receive_error.take() {
            return Err(errno);
        }
        let noise = self.kernel.noise.take();
        let heard = self.kernel.host.read(self.socket);
        if !self.kernel.mute.get() {
            let queue = self.queue.get_mut();
            queue.extend(noise.into_iter().chain(heard));
        }
        Ok(self.queue.get_mut().pop_front().map(|message| {
            let len = message.len().min(buffer.len());
            buffer[..len].copy_from_slice(&message[..len]);
            len
        }))
    }
}

impl Drop for FakeSocket {
    fn drop(&mut self) {
        self.kernel.host.close(self.socket);
    }
}

/// Something that happens meanwhile.
pub type Meanwhile = Box<dyn FnOnce(&mut Machine)>;

/// A machine.
pub struct Machine {
    pub kernel: Rc<Kernel>,
    /// What socket() fails with.
    pub open_error: Option<Errno>,
    /// What opening a list fails with.
    pub list_error: Option<io::ErrorKind>,
    /// Stands for the list of groups.
    pub list: Option<String>,
    /// Stands for the list of SAs.
    pub sas: Option<String>,
    /// Stands for the list of eroutes.
    pub eroutes: Option<String>,
    /// Stands for the list of those that drop. With `-`, there is no such list.
    pub dropped: Option<String>,
    /// The user's files; `-` is standard input.
    pub files: HashMap<String, Vec<u8>>,
    /// Network interfaces by name, with their addresses.
    pub links: BTreeMap<String, (Link, Vec<(IpAddr, u8)>)>,
    /// Where packets are routed, by their destination and, if it is this host's own, their source.
    pub routes: HashMap<(Option<IpAddr>, IpAddr), String>,
    /// What making one fails with.
    pub link_error: Option<io::ErrorKind>,
    /// Permissions of these files, if they are not 0600.
    pub modes: HashMap<String, u32>,
    /// What programs print, by their command lines.
    pub outputs: HashMap<String, String>,
    /// The network interfaces.
    pub interfaces: Vec<Interface>,
    pub netkey: bool,
    /// Whether `/proc` is mounted.
    pub proc: bool,
    /// Whether standard output is a terminal.
    pub terminal: bool,
    /// Whether the user wants no colours.
    pub no_color: bool,
    /// The user wants an end once this many messages were written.
    pub end_after: Option<usize>,
    /// What waiting for messages fails with.
    pub wait_error: Option<io::ErrorKind>,
    /// Whether signals are watched for.
    pub watches: bool,
    /// Where a program is that goes to the background.
    pub detached: Detached,
    /// How often something has settled there, and what that fails with.
    pub settled: usize,
    pub settle_error: Option<io::ErrorKind>,
    /// What happens while a command listens: one after the other, then the user wants an end.
    pub meanwhile: VecDeque<Meanwhile>,
    pub transcript: String,
}

impl System for Machine {
    type Transport = FakeSocket;

    fn connect(&mut self) -> Result<Client<FakeSocket>, pfkey::Error> {
        if let Some(errno) = self.open_error {
            return Err(pfkey::Error::Open(errno));
        }
        let socket = 100 + self.kernel.sockets.get();
        self.kernel.sockets.set(socket - 99);
        self.kernel.host.open(socket);
        Ok(Client::new(FakeSocket {
            kernel: self.kernel.clone(),
            socket,
            queue: RefCell::default(),
        }))
    }

    fn open(&mut self, file: ProcFile) -> io::Result<Box<dyn Read>> {
        if let Some(kind) = self.list_error {
            return Err(kind.into());
        }
        let text = match file {
            ProcFile::SpiGrp => match &self.list {
                Some(list) => list.clone(),
                None => self.kernel.host.spigrp(),
            },
            ProcFile::Spi => match &self.sas {
                Some(list) => list.clone(),
                None => self.kernel.host.spi(),
            },
            ProcFile::Eroute => match &self.eroutes {
                Some(list) => list.clone(),
                None => self.kernel.host.eroute(),
            },
            ProcFile::Dropped => match &self.dropped {
                Some(none) if none == "-" => return Err(io::ErrorKind::NotFound.into()),
                Some(list) => list.clone(),
                None => self.kernel.host.dropped(),
            },
            ProcFile::Tncfg => match &self.list {
                Some(list) => list.clone(),
                None => self.kernel.host.listing(Listing::Tncfg),
            },
            ProcFile::KlipsDebug => match &self.list {
                Some(list) => list.clone(),
                None => self.kernel.host.listing(Listing::KlipsDebug),
            },
        };
        Ok(Box::new(Cursor::new(text)))
    }

    fn input(&mut self, name: &str) -> io::Result<Box<dyn Read>> {
        match self.files.get(name) {
            Some(text) => Ok(Box::new(Cursor::new(text.clone()))),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    fn wants_end(&mut self) -> bool {
        self.watches = true;
        let sent = self.kernel.sent.borrow().len();
        self.end_after.is_some_and(|end| sent >= end)
    }

    fn wait(&mut self, socket: &FakeSocket) -> io::Result<Wake> {
        if let Some(kind) = self.wait_error {
            return Err(kind.into());
        }
        while !socket.is_readable() {
            match self.meanwhile.pop_front() {
                Some(happen) => happen(self),
                None => return Ok(Wake::End),
            }
        }
        Ok(Wake::Readable)
    }

    fn pause(&mut self, time: Duration) -> io::Result<bool> {
        self.kernel.host.sleep(time.as_secs());
        match self.meanwhile.pop_front() {
            Some(happen) => {
                happen(self);
                Ok(true)
            }
            None => Ok(false),
        }
    }

    fn detach(&mut self) -> io::Result<Detached> {
        Ok(self.detached)
    }

    fn settle(&mut self) -> io::Result<()> {
        assert!(self.watches, "a signal would find nobody");
        self.settled += 1;
        self.settle_error.map_or(Ok(()), |kind| Err(kind.into()))
    }

    fn now(&mut self) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(self.kernel.host.clock.get().real)
    }

    fn secret(&mut self, name: &str) -> io::Result<Secret> {
        let mode = match name {
            "-" => None,
            name => Some(self.modes.get(name).copied().unwrap_or(0o600)),
        };
        Ok(Secret {
            input: self.input(name)?,
            mode,
        })
    }

    fn matching(&mut self, pattern: &str) -> io::Result<Vec<String>> {
        let pattern = glob::Pattern::new(pattern).map_err(io::Error::other)?;
        let options = glob::MatchOptions {
            require_literal_separator: true,
            ..glob::MatchOptions::new()
        };
        let names = self.files.keys();
        let names = names.filter(|name| pattern.matches_with(name, options));
        let mut names: Vec<String> = names.cloned().collect();
        names.sort();
        Ok(names)
    }

    fn output(&mut self, program: &str, args: &[&str]) -> io::Result<String> {
        let line = format!("{program} {}", args.join(" "));
        let output = self.outputs.get(&line);
        output
            .cloned()
            .ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn interfaces(&mut self) -> io::Result<Vec<Interface>> {
        Ok(self.interfaces.clone())
    }

    fn has_proc(&mut self) -> bool {
        self.proc
    }

    fn has_netkey(&mut self) -> bool {
        self.netkey
    }

    fn link(&mut self, name: &str) -> io::Result<Option<Link>> {
        Ok(self.links.get(name).map(|(link, _)| link.clone()))
    }

    fn addresses(&mut self, index: u32) -> io::Result<Vec<(IpAddr, u8)>> {
        let mut links = self.links.values();
        let found = links.find(|(link, _)| link.index == index);
        Ok(found.map_or(Vec::new(), |(_, addresses)| addresses.clone()))
    }

    fn make_link(&mut self, new: &NewLink) -> io::Result<()> {
        if let Some(kind) = self.link_error {
            return Err(kind.into());
        }
        assert!(!self.links.contains_key(&new.name), "it is there");
        let index = 1 + self
            .links
            .values()
            .map(|(link, _)| link.index)
            .max()
            .unwrap_or(0);
        let below = self
            .links
            .iter()
            .find(|(_, (link, _))| link.index == new.below);
        let mut attached = Attached {
            mtu: new.mtu,
            ..Attached::default()
        };
        let mut ends = Vec::new();
        if let Some((name, (link, addresses))) = below {
            attached.physical[..name.len()].copy_from_slice(name.as_bytes());
            attached.physical_mtu = link.mtu;
            ends.extend(addresses.iter().map(|(ip, _)| *ip));
        }
        let link = Link {
            index,
            mtu: new.mtu,
            if_id: Some(new.if_id),
            below: new.below,
        };
        self.links
            .insert(new.name.clone(), (link, new.addresses.clone()));
        let host = &self.kernel.host;
        let number = new.name.trim_start_matches("ipsec").parse().unwrap();
        host.engine.add_interface(number, index, &ends);
        host.attached.borrow_mut().insert(index, attached);
        Ok(())
    }

    fn remove_link(&mut self, index: u32) -> io::Result<()> {
        let is_it = |(_, (link, _)): &(&String, &(Link, Vec<_>))| link.index == index;
        let name = self
            .links
            .iter()
            .find(is_it)
            .expect("it is there")
            .0
            .clone();
        self.links.remove(&name);
        let number = name.trim_start_matches("ipsec").parse().unwrap();
        self.kernel.host.engine.remove_interface(number);
        Ok(())
    }

    fn route(&mut self, src: Option<IpAddr>, dst: IpAddr) -> io::Result<String> {
        let route = self.routes.get(&(src, dst));
        route.cloned().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn resolve(&mut self, name: &str, family: Family) -> Option<IpAddr> {
        match (name, family) {
            ("gw2", Family::Inet) => Some([10, 0, 0, 2].into()),
            ("gw2", Family::Inet6) => Some("3049:1::1".parse().unwrap()),
            _ => None,
        }
    }

    fn protocol(&mut self, name: &str) -> Option<u8> {
        (name == "dccp").then_some(33)
    }

    fn service(&mut self, name: &str, protocol: u8) -> Option<u16> {
        match (name, protocol) {
            ("http", 6) => Some(80),
            ("domain", 6 | 17) => Some(53),
            _ => None,
        }
    }
}

/// The groups of [`Machine::with_four`].
pub const ALONE: [&str; 4] = [
    "tun0x113@10.0.0.2",
    "esp0x115@10.0.0.2",
    "ah0x116@10.0.0.2",
    "comp0x117@10.0.0.2",
];

/// Keys of 16, 20 and 24 bytes, for command lines.
pub const K16: &str = "0x00112233445566778899aabbccddeeff";
pub const K24: &str = "0x0123456789abcdef02468ace13579bdf0011223344556677";

impl Machine {
    /// A machine without SAs.
    pub fn new() -> Self {
        Machine {
            kernel: Rc::new(Kernel {
                host: TestHost::new(),
                historic: Cell::new(false),
                refuse: RefCell::new(None),
                mute: Cell::new(false),
                receive_error: Cell::new(None),
                noise: RefCell::default(),
                sent: RefCell::default(),
                sockets: Cell::new(0),
            }),
            open_error: None,
            list_error: None,
            list: None,
            sas: None,
            eroutes: None,
            dropped: None,
            routes: HashMap::new(),
            files: HashMap::new(),
            modes: HashMap::new(),
            outputs: HashMap::new(),
            interfaces: vec![Interface {
                name: "eth0".into(),
                addresses: vec![[10, 0, 0, 1].into(), "3049:1::99".parse().unwrap()],
            }],
            links: BTreeMap::from([(
                "eth0".to_owned(),
                (
                    Link {
                        index: 2,
                        mtu: 1500,
                        if_id: None,
                        below: 0,
                    },
                    vec![([10, 0, 0, 1].into(), 24)],
                ),
            )]),
            link_error: None,
            netkey: false,
            proc: true,
            terminal: false,
            no_color: false,
            end_after: None,
            wait_error: None,
            watches: false,
            detached: Detached::Ready,
            settled: 0,
            settle_error: None,
            meanwhile: VecDeque::new(),
            transcript: String::new(),
        }
    }

    /// A machine with a tunnel, an ESP, an AH and an IPCOMP SA.
    pub fn with_four() -> Self {
        let mut machine = Machine::new();
        for line in [
            "spi --ip4 --said tun.113@gw2 --src 10.0.0.1",
            &format!(
                "spi --esp 3des-md5-96 --said esp.115@gw2 --src 10.0.0.1 --enckey {K24} --authkey {K16}"
            ),
            &format!("spi --ah hmac-md5-96 --said ah.116@gw2 --src 10.0.0.1 --authkey {K16}"),
            "spi --comp deflate --said comp.117@gw2 --src 10.0.0.1",
        ] {
            machine.quiet(line);
        }
        machine.kernel.sent.take();
        machine.transcript.clear();
        machine
    }

    /// A machine with these four, under a KLIPS that links pairs.
    pub fn historic() -> Self {
        let machine = Machine::with_four();
        machine.kernel.historic.set(true);
        machine
    }

    /// Runs a command line and writes down what comes of it. Blanks separate words, `""` is an
    /// empty one; an escape is written as `ESC`, this process's ID as `PID`. Returns the exit status.
    pub fn run(&mut self, line: &str) -> u8 {
        let words: Vec<OsString> = line
            .split_ascii_whitespace()
            .map(|word| if word == "\"\"" { "" } else { word }.into())
            .collect();
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let mut console = Console {
            out: &mut out,
            err: &mut err,
            terminal: self.terminal,
            no_color: self.no_color,
        };
        let code = ipsec_tools::run(words, self, &mut console);
        let mut text = format!("$ {line}\n");
        for (mark, bytes) in [("", out), ("! ", err)] {
            let pid = std::process::id();
            let stream = String::from_utf8(bytes)
                .unwrap()
                .replace('\x1b', "ESC")
                .replace(&format!("pid={pid} "), "pid=PID ")
                .replace(&format!("\"pid\":{pid},"), "\"pid\":PID,");
            assert!(stream.is_empty() || stream.ends_with('\n'), "{stream}");
            for line in stream.lines() {
                writeln!(text, "{mark}{line}").unwrap();
            }
        }
        if code != 0 {
            writeln!(text, "[exit {code}]").unwrap();
        }
        self.transcript += &text;
        code
    }

    /// Runs a command line that succeeds in silence.
    pub fn quiet(&mut self, line: &str) {
        let before = self.transcript.len();
        self.run(line);
        assert_eq!(self.transcript[before..], format!("$ {line}\n"));
    }

    /// Runs command lines; the transcript since the last time.
    pub fn session(&mut self, lines: &str) -> String {
        for line in lines.lines() {
            match line.trim() {
                "" => self.transcript.push('\n'),
                "(sent)" => self.write_sent(),
                line => _ = self.run(line),
            }
        }
        std::mem::take(&mut self.transcript)
    }

    /// Has something happen while the next command listens.
    pub fn meanwhile(&mut self, happen: impl FnOnce(&mut Machine) + 'static) {
        self.meanwhile.push_back(Box::new(happen));
    }

    /// Writes down the messages that were written since the last time.
    fn write_sent(&mut self) {
        for request in self.kernel.sent.take() {
            let header = request.header();
            writeln!(
                self.transcript,
                "-> {:?} satype {} seq {} {:?}",
                header.msg_type,
                header.satype,
                header.seq,
                request.exts()
            )
            .unwrap();
        }
    }

    /// The groups.
    pub fn groups(&self) -> Vec<String> {
        let list = self.kernel.host.spigrp();
        list.lines()
            .map(|line| line.trim_end().to_owned())
            .collect()
    }
}
