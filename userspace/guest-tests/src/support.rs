// SPDX-License-Identifier: GPL-2.0

//! What tests need again and again: sockets, requests, files.

use anyhow::{Context, Result, bail, ensure};
use klips::{
    errno::Errno,
    pfkey::{
        Address, Direction, Header, Key, Message, MsgType, Sa, SaState, SaType,
        algorithm::{auth, compress, encrypt},
        build::request,
    },
    said::{Proto, Said},
};
use model::wire;
use nix::sched::{CloneFlags, setns, unshare};
use pfkey::{
    Content,
    text::{address::Host, said},
};
use socket2::{Domain, Protocol, Socket, Type};
use std::{
    cell::RefCell,
    fs, io,
    io::{Read, Write},
    net::IpAddr,
    process::Command,
    thread,
    time::{Duration, Instant},
};
pub use testnet::PROC;

/// Limits of SAs, in seconds since they were made, that are far apart. On a machine that is busy while
/// it boots, a kernel finds its processors' timers not to be trusted and counts ticks; those that the
/// machine has no time for don't come later.
pub const SOON: u64 = 1;
/// The second of them.
pub const LATER: u64 = 30;
/// How long to wait for what takes so long.
pub const EVENTUALLY: Duration = Duration::from_secs(300);

/// `PF_KEY`.
pub const PF_KEY: i32 = 15;

thread_local! {
    /// Room for the longest message, which takes long to clear where processors are emulated.
    static BUFFER: RefCell<Vec<u8>> = RefCell::new(vec![0; 1 << 16]);
}

/// A PF_KEY socket.
pub struct KeySocket(pub Socket);

impl KeySocket {
    /// Opens one.
    pub fn open() -> Result<Self> {
        Ok(KeySocket(
            open_raw(3, 2).context("can't open a PF_KEY socket")?,
        ))
    }

    /// Writes bytes as one message; the errno if that is refused.
    pub fn write(&self, bytes: &[u8]) -> Result<(), Errno> {
        match (&self.0).write(bytes) {
            Ok(len) => {
                assert_eq!(len, bytes.len(), "a message is written whole or not at all");
                Ok(())
            }
            Err(error) => Err(errno(&error)),
        }
    }

    /// Writes a message.
    pub fn send(&self, content: &Content<'_>) -> Result<(), Errno> {
        self.write(&bytes_of(content))
    }

    /// The next message that is there now, or `None`.
    pub fn read(&self) -> Result<Option<Vec<u8>>> {
        self.0.set_nonblocking(true)?;
        BUFFER.with_borrow_mut(|buffer| match (&self.0).read(buffer) {
            Ok(len) => Ok(Some(buffer[..len].to_vec())),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(error).context("can't read from a PF_KEY socket"),
        })
    }

    /// The same, passing over that messages were lost before it. That may be told twice: of what
    /// was lost while the message before was read, and of what was lost when another had taken the
    /// room of that.
    pub fn read_or_lost(&self) -> Result<Option<Vec<u8>>> {
        for _ in 0..2 {
            match self.read() {
                Err(error) if is_errno(&error, Errno::ENOBUFS) => (),
                result => return result,
            }
        }
        self.read()
    }

    /// All messages that are there now.
    pub fn drain(&self) -> Result<Vec<Vec<u8>>> {
        let mut messages = Vec::new();
        while let Some(message) = self.read()? {
            messages.push(message);
        }
        Ok(messages)
    }

    /// The one message that is there now.
    pub fn read_one(&self) -> Result<Vec<u8>> {
        let mut messages = self.drain()?;
        match messages.len() {
            1 => Ok(messages.remove(0)),
            count => bail!("expected one message, {count} came: {messages:02x?}"),
        }
    }

    /// Writes a message that succeeds, and reads the answer.
    pub fn ask(&self, content: &Content<'_>) -> Result<Vec<u8>> {
        self.drain()?;
        if let Err(errno) = self.send(content) {
            bail!("refused with {errno:?}");
        }
        self.read_one()
    }
}

/// Whether an error is the kernel's, with this errno.
pub fn is_errno(error: &anyhow::Error, errno: Errno) -> bool {
    let error = error.downcast_ref::<io::Error>();
    error.and_then(io::Error::raw_os_error) == Some(errno.0.into())
}

/// Opens a socket of the family with any type and protocol.
pub fn open_raw(socket_type: i32, protocol: i32) -> io::Result<Socket> {
    let socket = Socket::new(
        Domain::from(PF_KEY),
        Type::from(socket_type),
        Some(Protocol::from(protocol)),
    )?;
    socket.set_read_timeout(Some(Duration::from_secs(5)))?;
    Ok(socket)
}

/// The errno of an error.
pub fn errno(error: &io::Error) -> Errno {
    Errno(
        error
            .raw_os_error()
            .and_then(|number| u8::try_from(number).ok())
            .expect("an error of the kernel has an errno"),
    )
}

/// A message as bytes.
pub fn bytes_of(content: &Content<'_>) -> Vec<u8> {
    let mut bytes = vec![0; content.size()];
    content
        .write(&mut bytes)
        .expect("a message that can be written");
    bytes
}

/// A reply, checked.
pub fn parse(bytes: &[u8]) -> Result<Message<'_>> {
    let header = Header::parse(bytes)
        .map_err(|errno| anyhow::anyhow!("{errno:?} in the header of {bytes:02x?}"))?;
    Message::parse(header, bytes, Direction::Out)
        .map_err(|errno| anyhow::anyhow!("{errno:?} in {bytes:02x?}"))
}

/// The errno in the header of a message.
pub fn errno_of(bytes: &[u8]) -> Errno {
    Errno(bytes[2])
}

/// An SAID from its text.
pub fn said(text: &str) -> Said {
    let unresolved = said::parse(text).expect("an SAID");
    match unresolved.dst {
        Host::Address(ip) => unresolved.with_dst(ip),
        Host::Name(..) => panic!("{text}: not numeric"),
    }
}

const HEADER: Header = Header {
    msg_type: MsgType::Add,
    errno: 0,
    satype: 0,
    seq: 7,
    pid: 4711,
};

/// The header of a request.
pub fn header(msg_type: MsgType, satype: u8) -> Header {
    request(msg_type, satype, HEADER.seq, HEADER.pid)
}

/// A key for tests.
pub const SECRET: [u8; 64] = *b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-_";

/// A request that makes an SA, with algorithms that suit it.
pub fn add(said: &Said) -> Content<'static> {
    let key = |bits: u16| {
        Some(Key {
            bits,
            data: &SECRET[..usize::from(bits) / 8],
        })
    };
    let src: IpAddr = match said.dst {
        IpAddr::V4(_) => "10.0.0.1".parse().expect("an address"),
        IpAddr::V6(_) => "2001:db8::99".parse().expect("an address"),
    };
    let sa = Sa {
        state: SaState::Mature,
        ..Sa::naming(said.spi)
    };
    let base = Content {
        src: Some(Address::of(src)),
        ..Content::about(header(MsgType::Add, 0), said)
    };
    match said.proto {
        Proto::Ah => Content {
            sa: Some(Sa {
                auth: auth::SHA1_HMAC,
                replay: 32,
                ..sa
            }),
            key_auth: key(160),
            ..base
        },
        Proto::Esp => Content {
            sa: Some(Sa {
                auth: auth::MD5_HMAC,
                encrypt: encrypt::TRIPLE_DES_CBC,
                replay: 64,
                ..sa
            }),
            key_auth: key(128),
            key_encrypt: key(192),
            ..base
        },
        Proto::Comp => Content {
            sa: Some(Sa {
                encrypt: compress::DEFLATE,
                ..sa
            }),
            ..base
        },
        Proto::Tun | Proto::Int => Content {
            sa: Some(sa),
            ..base
        },
    }
}

/// A request that names an SA and its source: DELETE and GET.
pub fn naming(msg_type: MsgType, said: &Said) -> Content<'static> {
    Content {
        header: header(msg_type, SaType::of(said.proto) as u8),
        src: add(said).src,
        ..Content::about(header(msg_type, 0), said)
    }
}

/// A request that replaces an SA.
pub fn update(said: &Said) -> Content<'static> {
    Content {
        header: header(MsgType::Update, SaType::of(said.proto) as u8),
        ..add(said)
    }
}

/// A request that reserves an SPI of a range.
pub fn getspi(said: &Said, min: u32, max: u32) -> Content<'static> {
    Content {
        sa: None,
        spi_range: Some((min, max)),
        ..naming(MsgType::GetSpi, said)
    }
}

/// A request that ungroups.
pub fn ungroup(said: &Said) -> Content<'static> {
    Content::about(header(MsgType::GrpSa, 0), said)
}

/// A request that links two SAs.
pub fn link(inner: &Said, outer: &Said) -> Content<'static> {
    Content {
        second: Some(klips::pfkey::value::Second {
            satype: SaType::of(outer.proto),
            sa: Sa::naming(outer.spi),
            dst: Address::of(outer.dst),
        }),
        ..ungroup(inner)
    }
}

/// A request that groups SAs at once.
pub fn group(saids: &[Said]) -> Content<'static> {
    Content {
        group: klips::pfkey::value::GroupList::new(saids[1..].iter().copied()),
        ..ungroup(&saids[0])
    }
}

/// A request that removes all SAs of a type, or of all types for 0.
pub fn flush(satype: u8) -> Content<'static> {
    Content::new(header(MsgType::Flush, satype))
}

/// The manual's three SAs.
pub fn manual_sas() -> [Said; 3] {
    [
        said("tun.113@10.0.0.2"),
        said("esp.115@10.0.0.2"),
        said("ah.116@10.0.0.2"),
    ]
}

/// Makes SAs through a socket of their own.
pub fn make(saids: &[Said]) -> Result<()> {
    let socket = KeySocket::open()?;
    for said in saids {
        socket
            .ask(&add(said))
            .with_context(|| format!("can't make {said}"))?;
    }
    Ok(())
}

/// A file of the thread's own network namespace.
pub fn proc_net(name: &str) -> Result<String> {
    let path = format!("{PROC}/{name}");
    fs::read_to_string(&path).with_context(|| format!("can't read {path}"))
}

/// The list of groups.
pub fn spigrp() -> Result<String> {
    proc_net("ipsec_spigrp")
}

/// Checks the list of groups.
pub fn expect_spigrp(expected: &[&str]) -> Result<()> {
    let expected: String = expected.iter().map(|line| format!("{line} \n")).collect();
    let found = spigrp()?;
    ensure!(
        found == expected,
        "/proc/net/ipsec_spigrp: expected\n{expected}found\n{found}"
    );
    Ok(())
}

/// Checks that a request is refused with an errno and, to all sockets, an error message.
pub fn expect_refusal(
    writer: &KeySocket,
    others: &[&KeySocket],
    content: &Content<'_>,
    expected: Errno,
) -> Result<()> {
    let sent = bytes_of(content);
    let result = writer.write(&sent);
    ensure!(
        result == Err(expected),
        "expected {expected:?}, the write gave {result:?}"
    );
    for socket in std::iter::once(&writer).chain(others) {
        let message = socket.read_one()?;
        ensure!(
            errno_of(&message) == expected && message[1] == sent[1],
            "expected {expected:?} in the message, it is {message:02x?}"
        );
    }
    Ok(())
}

/// Memory of the kernel in small pieces, to be compared with what it is later.
pub struct Slab(Option<u64>);

impl Slab {
    /// What is used now. Nothing where freed memory is kept for a while, to find out who uses it:
    /// that kernel looks for leaks by itself.
    pub fn now() -> Result<Self> {
        if fs::exists("/sys/kernel/debug/kmemleak")? {
            return Ok(Slab(None));
        }
        let text = fs::read_to_string("/proc/meminfo")?;
        let field = |name: &str| -> Option<u64> {
            let line = text.lines().find_map(|line| line.strip_prefix(name))?;
            line.trim_matches(|c: char| !c.is_ascii_digit())
                .parse()
                .ok()
        };
        let kib = field("SUnreclaim:").zip(field("VmallocUsed:"));
        let (slab, vmalloc) = kib.context("/proc/meminfo has other lines")?;
        Ok(Slab(Some(slab + vmalloc)))
    }

    /// How many KiB more are used once that is less than a limit, or after a while: namespaces
    /// and caches are freed later.
    pub fn settled(&self, limit: u64) -> Result<Option<u64>> {
        let start = Instant::now();
        loop {
            let now = Self::now()?.0;
            let grown = now.zip(self.0).map(|(now, then)| now.saturating_sub(then));
            let settled = grown.is_none_or(|grown| grown < limit);
            if settled || start.elapsed() > Duration::from_secs(20) {
                return Ok(grown);
            }
            thread::sleep(Duration::from_millis(100));
        }
    }
}

/// Does something in a thread with a network namespace of its own, which ends with it unless what
/// is returned keeps it.
pub fn in_own_network<T: Send>(work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
    thread::scope(|scope| {
        let thread = scope.spawn(|| {
            unshare(CloneFlags::CLONE_NEWNET)?;
            work()
        });
        thread.join().expect("no panic")
    })
}

/// Does something in the host's own network namespace, the only one of which anything is logged, and
/// leaves that without SAs and with nothing to be logged.
pub fn in_first_network<T: Send>(work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
    let first = fs::File::open("/proc/1/ns/net")?;
    thread::scope(|scope| {
        let thread = scope.spawn(|| {
            setns(first, CloneFlags::CLONE_NEWNET)?;
            let result = work();
            let socket = KeySocket::open()?;
            let no_masks = wire::extension(wire::ext::DEBUG, &[0; 48]);
            let silence = wire::message(wire::msg::DEBUG, 0, &[no_masks]);
            for request in [wire::flush(0), wire::clear_flows(), silence] {
                let cleared = socket.write(&request);
                ensure!(cleared == Ok(()), "{cleared:?}");
            }
            result
        });
        thread.join().expect("no panic")
    })
}

/// How much of something there is to do: a number in the environment, or what is enough for a short
/// run.
pub fn number(name: &str, short: u64) -> Result<u64> {
    match std::env::var(name) {
        Ok(number) => number.parse().with_context(|| format!("{name}={number}")),
        Err(_) => Ok(short),
    }
}

/// Loads the modules whose symbols klips uses, as `modprobe klips` would; tests load klips by its path.
/// Where that fails they are built in, or loading klips will tell.
pub fn load_what_klips_needs() {
    for module in ["xfrm_algo", "xfrm6_tunnel"] {
        let _ = Command::new("modprobe").arg(module).status();
    }
}

/// Loads a module.
pub fn insmod(path: &str) -> Result<std::process::Output> {
    Command::new("insmod")
        .arg(path)
        .output()
        .context("can't run insmod")
}

/// Unloads a module.
pub fn rmmod(name: &str) -> Result<std::process::Output> {
    Command::new("rmmod")
        .arg(name)
        .output()
        .context("can't run rmmod")
}

/// Whether a module is loaded.
pub fn is_loaded(name: &str) -> bool {
    fs::exists(format!("/sys/module/{name}")).unwrap_or(false)
}

/// Where the module is.
pub fn klips_ko() -> String {
    std::env::var("KLIPS_KO").unwrap_or_else(|_| "/lib/modules/extra/klips.ko".to_owned())
}

/// Turns the loopback interface of the thread's network namespace on.
pub fn loopback_up() -> Result<()> {
    let output = Command::new("ip")
        .args(["link", "set", "lo", "up"])
        .output()
        .context("can't run ip")?;
    ensure!(output.status.success(), "{output:?}");
    Ok(())
}
