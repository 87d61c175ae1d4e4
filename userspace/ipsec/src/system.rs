// SPDX-License-Identifier: GPL-2.0

//! What the commands need of the system that they run on.

use crate::{
    background::{self, Detached},
    rtnetlink::{self, Link, NewLink},
};
use dns_lookup::AddrInfoHints;
use klips::address::Family;
use nix::ifaddrs::getifaddrs;
use pfkey::{Client, Transport};
use rustix::{
    event::{self, PollFd, PollFlags, Timespec},
    io::Errno,
};
use signal_hook::{
    consts::{SIGINT, SIGTERM},
    flag,
    low_level::pipe,
};
use std::{
    fs::{self, File},
    io::{self, Read},
    net::IpAddr,
    os::unix::{fs::PermissionsExt, net::UnixStream},
    path::Path,
    process::Command,
    sync::{Arc, atomic::AtomicBool},
    time::{Duration, Instant, SystemTime},
};

/// A file that the module provides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProcFile {
    /// The groups.
    SpiGrp,
    /// The SAs.
    Spi,
    /// The eroutes.
    Eroute,
    /// Those whose packets the module drops. KLIPS has no such list.
    Dropped,
    /// The interfaces.
    Tncfg,
    /// The debugging masks.
    KlipsDebug,
}

impl ProcFile {
    /// Its path.
    pub const fn path(self) -> &'static str {
        match self {
            ProcFile::SpiGrp => "/proc/net/ipsec_spigrp",
            ProcFile::Spi => "/proc/net/ipsec_spi",
            ProcFile::Eroute => "/proc/net/ipsec_eroute",
            ProcFile::Dropped => "/proc/net/ipsec/eroute/dropped",
            ProcFile::Tncfg => "/proc/net/ipsec_tncfg",
            ProcFile::KlipsDebug => "/proc/net/ipsec_klipsdebug",
        }
    }
}

/// Why waiting is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wake {
    /// There is something to be read, an error maybe.
    Readable,
    /// The user wants an end.
    End,
}

/// An open file with secrets in it.
pub struct Secret {
    /// What is in it. No copy stays in a buffer of the system's.
    pub input: Box<dyn Read>,
    /// Its permissions, the nine lowest bits; `None` if it is no regular file.
    pub mode: Option<u32>,
}

/// A network interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interface {
    /// Its name.
    pub name: String,
    /// The addresses that it has.
    pub addresses: Vec<IpAddr>,
}

/// What the commands need of the system that they run on.
pub trait System {
    /// What carries messages to the kernel.
    type Transport: Transport;

    /// Connects to the kernel.
    fn connect(&mut self) -> Result<Client<Self::Transport>, pfkey::Error>;
    /// Opens a file of the module.
    fn open(&mut self, file: ProcFile) -> io::Result<Box<dyn Read>>;
    /// Opens a file of the user's, or standard input for `-`.
    fn input(&mut self, name: &str) -> io::Result<Box<dyn Read>>;
    /// Whether the user wants an end: SIGINT or SIGTERM. From the first call of this or of
    /// [`System::wait`] on they don't end the program any more; only the second of a kind does.
    fn wants_end(&mut self) -> bool;
    /// Waits until there is something to be read, or the user wants an end.
    fn wait(&mut self, socket: &Self::Transport) -> io::Result<Wake>;
    /// Waits for a time; whether it was over before the user wanted an end.
    fn pause(&mut self, time: Duration) -> io::Result<bool>;
    /// Goes to the background; what is there goes on as if it had been called the same way.
    fn detach(&mut self) -> io::Result<Detached>;
    /// In the background, tells the process in the foreground that all is well.
    fn settle(&mut self) -> io::Result<()>;
    /// The time.
    fn now(&mut self) -> SystemTime;
    /// Opens a file of the user's that has secrets in it, or standard input for `-`.
    fn secret(&mut self, name: &str) -> io::Result<Secret>;
    /// The user's files that a pattern names, with `*`, `?` and `[...]`, in alphabetical order.
    fn matching(&mut self, pattern: &str) -> io::Result<Vec<String>>;
    /// What a program prints that succeeds.
    fn output(&mut self, program: &str, args: &[&str]) -> io::Result<String>;
    /// The network interfaces.
    fn interfaces(&mut self) -> io::Result<Vec<Interface>>;
    /// Whether the kernel's files in `/proc` can be seen at all.
    fn has_proc(&mut self) -> bool;
    /// Whether the PF_KEY socket is that of mainline, to which KLIPS's messages mean other things.
    fn has_netkey(&mut self) -> bool;
    /// What is known of a network interface; `None` if there is none of this name.
    fn link(&mut self, name: &str) -> io::Result<Option<Link>>;
    /// The addresses of one that others can reach, and the lengths of their networks.
    fn addresses(&mut self, index: u32) -> io::Result<Vec<(IpAddr, u8)>>;
    /// Makes an xfrm interface, with its addresses, and sets it up.
    fn make_link(&mut self, link: &NewLink) -> io::Result<()>;
    /// Removes a network interface.
    fn remove_link(&mut self, index: u32) -> io::Result<()>;
    /// The name of the interface that packets to an address are routed to, those from an address of
    /// this host's own if it is given.
    fn route(&mut self, src: Option<IpAddr>, dst: IpAddr) -> io::Result<String>;
    /// Looks up the address of a name.
    fn resolve(&mut self, name: &str, family: Family) -> Option<IpAddr>;
    /// Looks up the number of a protocol above IP.
    fn protocol(&mut self, name: &str) -> Option<u8>;
    /// Looks up the port of a service over such a protocol.
    fn service(&mut self, name: &str, protocol: u8) -> Option<u16>;
}

/// The system that this program runs on.
#[derive(Default)]
pub struct Linux {
    /// Where signals that want an end can be read.
    signals: Option<UnixStream>,
}

/// Has SIGINT and SIGTERM written to a stream, except for the second, which does what it ever did.
fn watch_signals() -> io::Result<UnixStream> {
    let (here, there) = UnixStream::pair()?;
    for signal in [SIGINT, SIGTERM] {
        let seen = Arc::new(AtomicBool::new(false));
        flag::register_conditional_default(signal, seen.clone())?;
        flag::register(signal, seen)?;
        pipe::register(signal, there.try_clone()?)?;
    }
    Ok(here)
}

impl Linux {
    fn signals(&mut self) -> io::Result<&UnixStream> {
        match &mut self.signals {
            Some(signals) => Ok(signals),
            none => Ok(none.insert(watch_signals()?)),
        }
    }
}

impl System for Linux {
    type Transport = pfkey::Socket;

    fn connect(&mut self) -> Result<Client, pfkey::Error> {
        Client::open()
    }

    fn open(&mut self, file: ProcFile) -> io::Result<Box<dyn Read>> {
        Ok(Box::new(File::open(file.path())?))
    }

    fn input(&mut self, name: &str) -> io::Result<Box<dyn Read>> {
        match name {
            "-" => Ok(Box::new(stdio::stdin()?)),
            name => Ok(Box::new(File::open(name)?)),
        }
    }

    fn wants_end(&mut self) -> bool {
        // Where signals can't be watched for, they end the program as they ever did.
        self.signals().is_ok_and(|signals| {
            let mut fds = [PollFd::new(signals, PollFlags::IN)];
            event::poll(&mut fds, Some(&Timespec::default())).is_ok_and(|ready| ready > 0)
        })
    }

    fn wait(&mut self, socket: &pfkey::Socket) -> io::Result<Wake> {
        let signals = self.signals()?;
        loop {
            let mut fds = [
                PollFd::new(signals, PollFlags::IN),
                PollFd::new(socket, PollFlags::IN),
            ];
            match event::poll(&mut fds, None) {
                Err(Errno::INTR) => continue,
                result => result?,
            };
            match fds.map(|fd| fd.revents().is_empty()) {
                [false, _] => return Ok(Wake::End),
                [true, false] => return Ok(Wake::Readable),
                [true, true] => continue,
            }
        }
    }

    fn pause(&mut self, time: Duration) -> io::Result<bool> {
        let end = Instant::now() + time;
        let signals = self.signals()?;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            let left = Timespec::try_from(left).map_err(io::Error::other)?;
            let mut fds = [PollFd::new(signals, PollFlags::IN)];
            match event::poll(&mut fds, Some(&left)) {
                Err(Errno::INTR) => continue,
                ready => return Ok(ready? == 0),
            }
        }
    }

    fn detach(&mut self) -> io::Result<Detached> {
        background::detach()
    }

    fn settle(&mut self) -> io::Result<()> {
        background::settle()
    }

    fn now(&mut self) -> SystemTime {
        SystemTime::now()
    }

    fn secret(&mut self, name: &str) -> io::Result<Secret> {
        let file = match name {
            "-" => stdio::stdin()?,
            name => File::open(name)?,
        };
        let metadata = file.metadata()?;
        Ok(Secret {
            mode: metadata
                .is_file()
                .then(|| metadata.permissions().mode() & 0o777),
            input: Box::new(file),
        })
    }

    fn matching(&mut self, pattern: &str) -> io::Result<Vec<String>> {
        let paths = glob::glob(pattern).map_err(io::Error::other)?;
        let names = paths.map(|path| Ok(path?.to_string_lossy().into_owned()));
        names
            .collect::<Result<_, glob::GlobError>>()
            .map_err(io::Error::other)
    }

    fn output(&mut self, program: &str, args: &[&str]) -> io::Result<String> {
        let output = Command::new(program).args(args).output()?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            return Err(io::Error::other(said.trim().to_owned()));
        }
        String::from_utf8(output.stdout).map_err(io::Error::other)
    }

    fn interfaces(&mut self) -> io::Result<Vec<Interface>> {
        let mut all: Vec<Interface> = Vec::new();
        for entry in getifaddrs()? {
            let index = all.iter().position(|own| own.name == entry.interface_name);
            let index = index.unwrap_or_else(|| {
                all.push(Interface {
                    name: entry.interface_name.clone(),
                    addresses: Vec::new(),
                });
                all.len() - 1
            });
            let address = entry.address.and_then(|address| {
                let ipv6 = address.as_sockaddr_in6().map(|own| IpAddr::V6(own.ip()));
                let ipv4 = address.as_sockaddr_in().map(|own| IpAddr::V4(own.ip()));
                ipv4.or(ipv6)
            });
            all[index].addresses.extend(address);
        }
        Ok(all)
    }

    fn has_proc(&mut self) -> bool {
        Path::new("/proc/self").exists()
    }

    fn has_netkey(&mut self) -> bool {
        Path::new("/proc/net/pfkey").exists()
    }

    fn link(&mut self, name: &str) -> io::Result<Option<Link>> {
        rtnetlink::link(name)
    }

    fn addresses(&mut self, index: u32) -> io::Result<Vec<(IpAddr, u8)>> {
        rtnetlink::addresses(index)
    }

    fn make_link(&mut self, link: &NewLink) -> io::Result<()> {
        rtnetlink::make(link)
    }

    fn remove_link(&mut self, index: u32) -> io::Result<()> {
        rtnetlink::remove(index)
    }

    fn route(&mut self, src: Option<IpAddr>, dst: IpAddr) -> io::Result<String> {
        let index = rtnetlink::route(src, dst)?;
        let name = nix::net::if_::if_indextoname(index)?;
        name.into_string().map_err(io::Error::other)
    }

    fn resolve(&mut self, name: &str, family: Family) -> Option<IpAddr> {
        // Asks for this family only: the resolver need not have found both when asked for any.
        let hints = AddrInfoHints {
            address: family.number().into(),
            ..AddrInfoHints::default()
        };
        dns_lookup::getaddrinfo(Some(name), None, Some(hints))
            .ok()?
            .filter_map(Result::ok)
            .map(|info| info.sockaddr.ip())
            .find(|ip| Family::of(ip) == family)
    }

    fn protocol(&mut self, name: &str) -> Option<u8> {
        let list = fs::read_to_string("/etc/protocols").ok()?;
        list.lines().find_map(|line| protocol_in(line, name))
    }

    fn service(&mut self, name: &str, protocol: u8) -> Option<u16> {
        let hints = AddrInfoHints {
            protocol: protocol.into(),
            ..AddrInfoHints::default()
        };
        let mut found = dns_lookup::getaddrinfo(None, Some(name), Some(hints)).ok()?;
        found.find_map(|info| Some(info.ok()?.sockaddr.port()))
    }
}

/// The number of a protocol, if a line of `/etc/protocols` (protocols(5)) has it by that name.
fn protocol_in(line: &str, name: &str) -> Option<u8> {
    let mut words = line.split('#').next()?.split_ascii_whitespace();
    let official = words.next()?;
    let number = words.next()?;
    let is_it = official == name || words.any(|alias| alias == name);
    is_it.then(|| number.parse().ok())?
}
