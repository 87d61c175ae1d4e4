// SPDX-License-Identifier: GPL-2.0

//! Network namespaces joined by wires, for tests and measurements that need two hosts or more.

use anyhow::{Context, Result, ensure};
use nix::sched::{CloneFlags, setns, unshare};
use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::Write,
    os::fd::AsRawFd,
    process::{Child, Command, Output, Stdio},
    thread,
};

/// The directory of the thread's own network namespace.
pub const PROC: &str = "/proc/thread-self/net";

/// A network namespace. It is there as long as this is, or a thread in it.
pub struct Space(File);

impl Space {
    /// That of this thread.
    pub fn own() -> Result<Self> {
        Ok(Space(File::open("/proc/thread-self/ns/net")?))
    }

    /// A new one.
    pub fn new() -> Result<Self> {
        let space = thread::scope(|scope| {
            let thread = scope.spawn(|| {
                unshare(CloneFlags::CLONE_NEWNET)?;
                Self::own()
            });
            thread.join().expect("no panic")
        })?;
        space.run("ip link set lo up")?;
        Ok(space)
    }

    /// Does something in it.
    pub fn within<T: Send>(&self, work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
        thread::scope(|scope| {
            let thread = scope.spawn(|| {
                setns(&self.0, CloneFlags::CLONE_NEWNET)?;
                work()
            });
            thread.join().expect("no panic")
        })
    }

    /// Runs a command there, whose words have blanks between them; `''` is an empty one.
    pub fn output(&self, line: &str) -> Result<Output> {
        self.within(|| command(line).output().with_context(|| line.to_owned()))
    }

    /// Runs a command there that has to succeed, and returns what it prints.
    pub fn run(&self, line: &str) -> Result<String> {
        let output = self.output(line)?;
        ensure!(output.status.success(), "{line}: {output:?}");
        Ok(String::from_utf8(output.stdout)?)
    }

    /// Has `ip` run commands there that have to succeed, all of them by one process.
    pub fn ip(&self, commands: &[String]) -> Result<()> {
        let mut ip = self.within(|| {
            Ok(command("ip -batch -")
                .stdin(Stdio::piped())
                .stdout(Stdio::null())
                .stderr(Stdio::piped())
                .spawn()?)
        })?;
        let mut input = ip.stdin.take().context("ip's standard input")?;
        // Where it fails it says so, and which line it was.
        let _ = input.write_all(commands.join("\n").as_bytes());
        drop(input);
        let output = ip.wait_with_output()?;
        ensure!(output.status.success(), "{commands:#?}: {output:?}");
        Ok(())
    }

    /// Starts a command there.
    pub fn start(&self, line: &str) -> Result<Child> {
        self.within(|| {
            command(line)
                .stdin(Stdio::null())
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()
                .with_context(|| line.to_owned())
        })
    }

    /// Its name for `ip link add … netns`.
    pub fn path(&self) -> String {
        format!("/proc/{}/fd/{}", std::process::id(), self.0.as_raw_fd())
    }

    /// What xfrm has counted there, by name: why it dropped packets.
    pub fn counters(&self) -> Result<Counters> {
        let text = self.within(|| Ok(fs::read_to_string(format!("{PROC}/xfrm_stat"))?))?;
        let mut counters = BTreeMap::new();
        for line in text.lines() {
            let (name, count) = line.split_once(char::is_whitespace).context("xfrm_stat")?;
            let count = count.trim().parse()?;
            if count > 0 {
                counters.insert(name.to_owned(), count);
            }
        }
        Ok(Counters(counters))
    }

    /// What xfrm has counted there since.
    pub fn counted_since(&self, before: &Counters) -> Result<Counters> {
        let now = self.counters()?;
        let grown = now.0.into_iter().filter_map(|(name, count)| {
            let grown = count - before.0.get(&name).copied().unwrap_or(0);
            (grown > 0).then_some((name, grown))
        });
        Ok(Counters(grown.collect()))
    }

    /// How many packets a device there has sent.
    pub fn sent_by(&self, device: &str) -> Result<u64> {
        let text = self.within(|| Ok(fs::read_to_string(format!("{PROC}/dev"))?))?;
        let mut lines = text.lines();
        let counts =
            lines.find_map(|line| line.trim_start().strip_prefix(device)?.strip_prefix(':'));
        // Eight numbers of what it has received, then bytes and packets sent.
        let sent = counts.and_then(|counts| counts.split_whitespace().nth(9));
        Ok(sent
            .with_context(|| format!("no {device} in\n{text}"))?
            .parse()?)
    }

    /// How many buckets xfrm's table of states has there.
    pub fn state_buckets(&self) -> Result<u32> {
        let text = self.run("ip -s xfrm state count")?;
        let (_, after) = text
            .split_once("buckets count ")
            .with_context(|| format!("no buckets in {text}"))?;
        let digits = after.split(|c: char| !c.is_ascii_digit()).next();
        Ok(digits.unwrap_or_default().parse()?)
    }

    /// All states and policies there, as `ip xfrm` lists them.
    pub fn xfrm(&self) -> Result<String> {
        Ok(self.run("ip xfrm state")? + &self.run("ip xfrm policy")?)
    }
}

fn command(line: &str) -> Command {
    let words = line.split_whitespace();
    let mut words = words.map(|word| if word == "''" { "" } else { word });
    let mut command = Command::new(words.next().expect("a command"));
    command.args(words);
    command
}

/// Numbers of `/proc/net/xfrm_stat` that are not 0.
#[derive(Debug, PartialEq, Eq)]
pub struct Counters(BTreeMap<String, u64>);

impl Counters {
    /// One of them.
    pub fn of(&self, name: &str) -> u64 {
        self.0.get(name).copied().unwrap_or(0)
    }

    /// Checks that this is what was counted, and nothing else.
    pub fn expect(&self, expected: &[(&str, u64)]) -> Result<()> {
        let expected = expected.iter().filter(|(_, count)| *count > 0);
        let expected = expected.map(|&(name, count)| (name.to_owned(), count));
        let expected = Counters(expected.collect());
        ensure!(
            *self == expected,
            "xfrm_stat: expected {expected:?}, found {self:?}"
        );
        Ok(())
    }
}

/// Joins two namespaces by a wire, with an end of this name in both.
///
/// Nothing is sent on it that a test did not ask for: neighbours know each other's link addresses.
pub fn join(wire: &str, a: &Space, b: &Space) -> Result<()> {
    let add = format!(
        "link add {wire} address 02:00:00:00:00:0a type veth \
         peer name {wire} address 02:00:00:00:00:0b netns {}",
        b.path()
    );
    let [silent, up] = ["addrgenmode none", "up"].map(|what| format!("link set {wire} {what}"));
    a.ip(&[add, silent.clone(), up.clone()])?;
    b.ip(&[silent, up])
}

/// Gives an end of a wire an address, and the other end's to it: `last` is `a` on one end, `b` on the
/// other.
pub fn address(space: &Space, wire: &str, own: &str, other: &str, last: char) -> Result<()> {
    space.ip(&addressed(wire, own, other, last))
}

fn addressed(wire: &str, own: &str, other: &str, last: char) -> [String; 2] {
    let bits = if own.contains(':') { 64 } else { 24 };
    [
        add_address(own, bits, wire),
        format!("neigh replace {other} lladdr 02:00:00:00:00:0{last} dev {wire} nud permanent"),
    ]
}

/// One of IPv6 is a source of packets at once, and not only when it is known to be nobody else's.
fn add_address(address: &str, bits: u8, device: &str) -> String {
    let nodad = if address.contains(':') { "nodad" } else { "" };
    format!("addr add {address}/{bits} dev {device} {nodad}")
}

/// IPv4.
pub const V4: Family = Family {
    outer: ("10.0.0.1", "10.0.0.2"),
    inner: ("10.1.0.1", "10.2.0.2"),
    bits: 32,
};
/// IPv6.
pub const V6: Family = Family {
    outer: ("2001:db8::99", "2001:db8::2"),
    inner: ("2001:db8:1::1", "2001:db8:2::2"),
    bits: 128,
};

/// The addresses of the gateways, first those of `a`.
#[derive(Clone, Copy, Debug)]
pub struct Family {
    /// On the wire.
    pub outer: (&'static str, &'static str),
    /// Of the networks behind.
    pub inner: (&'static str, &'static str),
    /// Length of an address.
    pub bits: u8,
}

impl Family {
    /// The networks behind the gateways.
    pub fn networks(&self) -> (&'static str, &'static str) {
        match self.bits {
            32 => ("10.1.0.0/24", "10.2.0.0/24"),
            _ => ("2001:db8:1::/64", "2001:db8:2::/64"),
        }
    }
}

/// Makes two gateways of two namespaces, with a wire between them, `w0`, and a host behind each. The
/// hosts are addresses of the gateways.
///
/// | | a | b |
/// |---|---|---|
/// | on the wire | 10.0.0.1, 2001:db8::99 | 10.0.0.2, 2001:db8::2 |
/// | behind | 10.1.0.1, 2001:db8:1::1 | 10.2.0.2, 2001:db8:2::2 |
pub fn make_gateways(a: &Space, b: &Space) -> Result<()> {
    a.run("ip link set lo up")?;
    join("w0", a, b)?;
    for (space, neighbour) in [(a, 'b'), (b, 'a')] {
        let mut commands = Vec::new();
        for Family { outer, inner, bits } in [V4, V6] {
            let turned = |(a, b)| if neighbour == 'b' { (a, b) } else { (b, a) };
            let ((own, other), (here, there)) = (turned(outer), turned(inner));
            commands.extend(addressed("w0", own, other, neighbour));
            commands.push(add_address(here, bits, "lo"));
            commands.push(format!("route add {there} via {other} src {here}"));
        }
        space.ip(&commands)?;
    }
    Ok(())
}
