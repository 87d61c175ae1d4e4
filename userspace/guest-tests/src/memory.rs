// SPDX-License-Identifier: GPL-2.0

//! Every operation with each of its allocations made to fail: either it happens, or nothing has
//! changed, whoever hears of it hears the truth, and the next attempt works.
//!
//! The kernel counts what can fail in a system call, memory by the piece and by the page and copies
//! from and to user space, and makes the nth fail (`Documentation/fault-injection`).

use crate::{
    cleartext::{chain_to, is_taking_more},
    kinds::{self, Audience, Heard, Kind},
    ktap::{Skip, Test},
    packets::{eroute, flow, make_group},
    support::{
        KeySocket, PF_KEY, PROC, bytes_of, errno, group, in_own_network, is_loaded, klips_ko,
        proc_net, rmmod, ungroup, update,
    },
    tests,
    tools::quiet,
    wire::{Capture, Family, Flood, Gateways, Space, V4, V6},
};
use anyhow::{Context, Result, bail, ensure};
use klips::{errno::Errno, said::Said};
use model::wire::{self, flag, msg};
use nix::{
    kmod::{ModuleInitFlags, finit_module},
    sched::{CloneFlags, unshare},
};
use socket2::{Domain, Protocol, Socket, Type};
use std::{
    env, fs,
    io::{self, Read, Write},
    ops::Range,
    os::unix::fs::FileExt,
    process::Command,
};

/// All of them.
pub fn all() -> Vec<Test> {
    tests![
        a6_a_request_changes_nothing_when_memory_fails,
        a_request_changes_nothing_when_only_reserves_are_left,
        nothing_leaves_in_clear_when_memory_fails_in_the_middle,
        a_dump_says_so_when_memory_fails_as_it_is_read,
        a_socket_opens_or_leaves_nothing_when_memory_fails,
        a_file_is_read_whole_or_not_when_memory_fails,
        a_namespace_is_made_or_not_when_memory_fails,
    ]
}

/// All files, by their names in `/proc/net`.
pub const FILES: [&str; 9] = [
    "ipsec_spigrp",
    "ipsec_spi",
    "ipsec_version",
    "ipsec_klipsdebug",
    "pf_key",
    "pf_key_registered",
    "pf_key_supported",
    "ipsec_eroute",
    "ipsec/eroute/dropped",
];

/// No operation takes so many allocations.
const ENOUGH: u32 = 1000;

const ENFILE: Errno = Errno(23);
/// How making a namespace fails: EINVAL is what `device_add` says of a device for whose name there was no
/// memory, ENOBUFS what IPv4 and IPv6 say where there is none for the files of its parameters.
const NO_MEMORY: [nix::errno::Errno; 3] = [
    nix::errno::Errno::ENOMEM,
    nix::errno::Errno::EINVAL,
    nix::errno::Errno::ENOBUFS,
];
/// Written to, by the test's own module.
const RESERVES: &str = "/sys/module/reserves/parameters/mine";
const NTH: &str = "/proc/thread-self/fail-nth";
const ON: &str = "/proc/thread-self/make-it-fail";
const DEBUG: &str = "/sys/kernel/debug";
const KINDS: [&str; 3] = ["failslab", "fail_page_alloc", "fail_usercopy"];

/// What makes operations of this thread fail.
struct Faults {
    nth: fs::File,
    on: fs::File,
    failed: u32,
}

impl Faults {
    fn new() -> Result<Self> {
        if !fs::exists(NTH)? {
            return Err(Skip("the kernel has no fault injection").into());
        }
        if !fs::exists(format!("{DEBUG}/failslab"))? {
            let mount = ["-t", "debugfs", "none", DEBUG];
            ensure!(Command::new("mount").args(mount).status()?.success());
        }
        // By default only memory that may not be waited for fails, and no single page.
        for (file, value) in [
            ("failslab/ignore-gfp-wait", "N"),
            ("fail_page_alloc/ignore-gfp-wait", "N"),
            ("fail_page_alloc/min-order", "0"),
            // For whoever asks for it by "make-it-fail".
            ("failslab/task-filter", "Y"),
            ("failslab/times", "-1"),
            ("failslab/probability", "100"),
        ] {
            fs::write(format!("{DEBUG}/{file}"), value).context(file)?;
        }
        for kind in KINDS {
            fs::write(format!("{DEBUG}/{kind}/verbose"), "0").context(kind)?;
        }
        let open = |path| fs::File::options().read(true).write(true).open(path);
        Ok(Faults {
            nth: open(NTH)?,
            on: open(ON)?,
            failed: 0,
        })
    }

    /// Does something whose nth allocation fails. Whether it had that many.
    fn inject<T>(&mut self, nth: u32, operation: impl FnOnce() -> T) -> Result<(T, bool)> {
        let text = nth.to_string();
        let mut left = [0; 8];
        self.nth.write_all(text.as_bytes())?;
        let outcome = operation();
        // To ask is to copy, which can be made to fail as well; then some were left.
        let asked = self.nth.read_at(&mut left, 0);
        let used_up = asked.is_ok_and(|len| left[..len].trim_ascii() == b"0");
        let _ = self.nth.write_all(b"0");
        self.failed += u32::from(used_up);
        Ok((outcome, used_up))
    }

    /// The same, but all allocations after the nth fail as well: what a vector holds is asked for in one
    /// way and then in another (`kvmalloc`).
    fn inject_on<T>(&mut self, nth: u32, operation: impl FnOnce() -> T) -> Result<(T, bool)> {
        self.on.write_all(b"1")?;
        let outcome = self.inject(nth, operation);
        self.on.write_all(b"0")?;
        outcome
    }
}

/// Makes an attempt for the 1st, 2nd, … nth allocation until one has no nth; each tells whether it
/// had. How many had.
fn each_failure(mut attempt: impl FnMut(u32) -> Result<bool>) -> Result<u32> {
    for nth in 1..ENOUGH {
        if !attempt(nth).with_context(|| format!("allocation {nth}"))? {
            return Ok(nth - 1);
        }
    }
    bail!("still disturbed by allocation {ENOUGH}")
}

/// Lets only those allocations fail that some functions ask for, themselves or by one that they call;
/// all again once it is dropped.
struct OnlyOf;

impl OnlyOf {
    /// All functions of the module.
    fn module() -> Result<Self> {
        let text = fs::read_to_string("/sys/module/klips/sections/.text")?;
        let text = u64::from_str_radix(text.trim().trim_start_matches("0x"), 16)?;
        let modules = fs::read_to_string("/proc/modules")?;
        let size: u64 = modules
            .lines()
            .find_map(|line| line.strip_prefix("klips ")?.split(' ').next())
            .context("klips is not in /proc/modules")?
            .parse()?;
        Self::set(text..text + size, 0..0)?;
        Ok(OnlyOf)
    }

    /// A function of the kernel, but for what one that it calls asks for.
    fn function(name: &str, but: &str) -> Result<Self> {
        let symbols = fs::read_to_string("/proc/kallsyms")?;
        Self::set(range_of(&symbols, name)?, range_of(&symbols, but)?)?;
        Ok(OnlyOf)
    }

    fn set(require: Range<u64>, reject: Range<u64>) -> Result<()> {
        for kind in KINDS {
            for (file, address) in [
                ("require-start", require.start),
                ("require-end", require.end),
                ("reject-start", reject.start),
                ("reject-end", reject.end),
            ] {
                fs::write(format!("{DEBUG}/{kind}/{file}"), address.to_string()).context(file)?;
            }
        }
        Ok(())
    }
}

impl Drop for OnlyOf {
    fn drop(&mut self) {
        Self::set(0..u64::MAX, 0..0).expect("all can fail again");
    }
}

/// Where a function is, among the lines of `/proc/kallsyms`, which are in order.
fn range_of(symbols: &str, name: &str) -> Result<Range<u64>> {
    let symbols: Option<Vec<(u64, &str)>> = symbols
        .lines()
        .map(|line| {
            let mut fields = line.split_ascii_whitespace();
            let address = u64::from_str_radix(fields.next()?, 16).ok()?;
            Some((address, fields.nth(1)?))
        })
        .collect();
    let symbols = symbols.context("/proc/kallsyms has other lines")?;
    let start = symbols.iter().find(|(_, symbol)| *symbol == name);
    let (start, _) = start.with_context(|| format!("no {name} in /proc/kallsyms"))?;
    // Some stand for the same address.
    let end = symbols.iter().find(|(address, _)| address > start);
    let (end, _) = end.with_context(|| format!("nothing after {name}"))?;
    Ok(*start..*end)
}

/// All there is to be seen of a namespace, but for what differs from one moment, and from one
/// namespace, to the next.
fn seen(dumper: Option<&KeySocket>) -> Result<(Vec<String>, Vec<Vec<u8>>)> {
    let mut texts = Vec::new();
    for file in FILES {
        texts.push(stable(file, &proc_net(file)?));
    }
    let dump = match dumper {
        Some(dumper) => kinds::dump(dumper)?,
        None => Vec::new(),
    };
    Ok((
        texts,
        dump.iter()
            .map(|message| kinds::timeless(message))
            .collect(),
    ))
}

/// A file without inodes, without the age of SAs and without how many messages were lost.
pub fn stable(file: &str, text: &str) -> String {
    let is_inode = |word: &str| word.len() == 16 && word.bytes().all(|c| c.is_ascii_hexdigit());
    let line = |line: &str| {
        let (line, _) = match file {
            "pf_key" => line.rsplit_once(' ').unwrap_or((line, "")),
            _ => (line, ""),
        };
        let words = line.split_whitespace().filter(|word| !is_inode(word));
        let words = words.map(|word| match word.split_once("addtime(") {
            Some((before, after)) => {
                before.to_owned() + after.split_once(',').map_or(after, |(_, limits)| limits)
            }
            None => word.to_owned(),
        });
        words.collect::<Vec<_>>().join(" ") + "\n"
    };
    text.lines().map(line).collect()
}

/// A request and all there is to be seen of it.
#[derive(Clone, Debug, PartialEq)]
struct Outcome {
    result: Result<(), Errno>,
    heard: Vec<Heard>,
    seen: (Vec<String>, Vec<Vec<u8>>),
}

/// A namespace in which a request is about to be made.
struct Stage {
    audience: Audience,
    dumper: KeySocket,
    /// Whether what xfrm has is looked at as well, which takes its time.
    live: bool,
}

impl Stage {
    /// A new one.
    fn new(kind: &Kind) -> Result<Self> {
        unshare(CloneFlags::CLONE_NEWNET)?;
        let stage = Stage {
            audience: Audience::of(kind)?,
            dumper: KeySocket::open()?,
            live: kind.live,
        };
        Ok(stage)
    }

    /// What is there, and nobody has anything left to read.
    fn seen(&self) -> Result<(Vec<String>, Vec<Vec<u8>>)> {
        let mut seen = seen(Some(&self.dumper))?;
        if self.live {
            seen.0.push(Space::own()?.xfrm()?);
        }
        self.hear()?;
        Ok(seen)
    }

    fn hear(&self) -> Result<Vec<Heard>> {
        let mut heard = self.audience.hear()?.to_vec();
        heard.push(kinds::hear(&self.dumper)?);
        for heard in &mut heard {
            for message in &mut heard.messages {
                *message = kinds::timeless(message);
            }
        }
        Ok(heard)
    }

    fn outcome(&self, result: Result<(), Errno>) -> Result<Outcome> {
        Ok(Outcome {
            result,
            heard: self.hear()?,
            seen: self.seen()?,
        })
    }

    fn request(&self, kind: &Kind) -> Result<Outcome> {
        self.outcome(self.audience.writer().write(&kind.request))
    }
}

/// What became of a request one of whose allocations failed.
enum Fate {
    /// It had fewer.
    Unhurt,
    /// It was refused, for want of memory or because its copy failed.
    Refused(Errno),
    /// Somebody has lost a message.
    Unheard,
    /// It went without that memory.
    Coped,
}

/// Which allocations of a request fail.
#[derive(Clone, Copy, PartialEq)]
enum Failing {
    /// The nth.
    One,
    /// The nth and all after it.
    Rest,
    /// The nth, but its writer may take memory of the reserves, where the kernel has them for sockets.
    BesideReserves,
}

/// Makes a request whose nth allocation fails.
fn attempt(
    faults: &mut Faults,
    nth: u32,
    failing: Failing,
    kind: &Kind,
    want: &Outcome,
) -> Result<Fate> {
    let stage = Stage::new(kind)?;
    let before = stage.seen()?;
    let writer = stage.audience.writer();
    let request = || writer.write(&kind.request);
    let (result, used_up) = match failing {
        Failing::One => faults.inject(nth, request)?,
        Failing::Rest => faults.inject_on(nth, request)?,
        Failing::BesideReserves => {
            fs::write(RESERVES, "1")?;
            let outcome = faults.inject(nth, request);
            fs::write(RESERVES, "0")?;
            outcome?
        }
    };
    let found = stage.outcome(result)?;
    if !used_up {
        ensure!(found == *want, "undisturbed: {found:?} instead of {want:?}");
        return Ok(Fate::Unhurt);
    }
    if result == want.result {
        ensure!(found.seen == want.seen, "{found:?} instead of {want:?}");
        let untold = found.heard.iter().all(|heard| heard.messages.is_empty());
        if result.is_err() && untold {
            return Ok(Fate::Unheard);
        }
        let is_cut = kind.request[1] == msg::DUMP && found.heard[0].lost;
        for (found, want) in found.heard.iter().zip(&want.heard) {
            let mut rest = want.messages.iter();
            let (count, all) = (found.messages.len(), want.messages.len());
            ensure!(
                found.messages.iter().all(|one| rest.any(|it| it == one)),
                "others than undisturbed: {:02x?}",
                found.messages
            );
            // There is no copy of what a DUMP did not get to.
            ensure!(
                found.lost || count == all || is_cut,
                "{count} of {all} messages, and no loss is told"
            );
        }
        return Ok(if found.heard.iter().any(|heard| heard.lost) {
            Fate::Unheard
        } else {
            Fate::Coped
        });
    }
    let told = match result {
        // What failed was memory for the request, so there was some to tell of it, unless nothing more
        // was to be had: then the writer has its errno, and nobody else has missed a change.
        Err(Errno::ENOMEM) => vec![wire::error_message(&kind.request, Errno::ENOMEM)],
        // The message never arrived.
        Err(Errno::ENOBUFS | Errno::EFAULT) => Vec::new(),
        other => bail!("{other:?} instead of {:?}", want.result),
    };
    let untold =
        failing == Failing::Rest && found.heard.iter().all(|heard| heard.messages.is_empty());
    ensure!(found.seen == before, "{:?} was {before:?}", found.seen);
    for heard in &found.heard {
        ensure!(
            (heard.messages == told || untold) && !heard.lost,
            "{heard:?}"
        );
    }
    let again = stage.request(kind)?;
    ensure!(again == *want, "again: {again:?} instead of {want:?}");
    Ok(Fate::Refused(result.err().context("it was refused")?))
}

/// `KLIPS_KIND=eroute` in the environment: only kinds of request whose name has that in it.
fn a6_a_request_changes_nothing_when_memory_fails() -> Result<()> {
    let mut faults = Faults::new()?;
    let only = env::var("KLIPS_KIND").unwrap_or_default();
    let mut kinds = kinds::all();
    kinds.retain(|kind| kind.name.contains(&only));
    ensure!(!kinds.is_empty(), "no kind is named {only}");
    for kind in kinds {
        let want = Stage::new(&kind)?.request(&kind)?;
        let (mut refused, mut no_memory, mut unheard, mut coped) = (0, 0, 0, 0);
        let takes_memory = want.heard.iter().any(|heard| !heard.messages.is_empty());
        let mut failures = 0;
        for failing in [Failing::One, Failing::Rest] {
            // Where there is another way to each piece of memory, both have to fail.
            if failing == Failing::Rest && (!takes_memory || no_memory + unheard > 0) {
                break;
            }
            failures += each_failure(|nth| {
                match attempt(&mut faults, nth, failing, &kind, &want)? {
                    Fate::Unhurt => return Ok(false),
                    Fate::Refused(errno) => {
                        refused += 1;
                        no_memory += u32::from(errno == Errno::ENOMEM);
                    }
                    Fate::Unheard => unheard += 1,
                    Fate::Coped => coped += 1,
                }
                Ok(true)
            })
            .context(kind.name)?;
        }
        println!(
            "# {}: {failures} failed, {refused} refused ({no_memory} for want of memory), {unheard} lost a message, {coped} did without",
            kind.name
        );
        ensure!(
            !takes_memory || no_memory + unheard > 0,
            "{}: no memory has failed",
            kind.name
        );
    }
    println!("# {} failures altogether", faults.failed);
    Ok(())
}

/// A buffer of the reserves is one that socket filters drop, as if they did not want it.
fn a_request_changes_nothing_when_only_reserves_are_left() -> Result<()> {
    let mut faults = Faults::new()?;
    quiet("insmod /lib/modules/extra/reserves.ko")?;
    for kind in kinds::all() {
        if !["ADD", "GET", "DUMP", "X_GRPSA of a list", "FLUSH"].contains(&kind.name) {
            continue;
        }
        let want = Stage::new(&kind)?.request(&kind)?;
        let mut hurt = 0;
        let failures = each_failure(|nth| {
            let fate = attempt(&mut faults, nth, Failing::BesideReserves, &kind, &want)?;
            hurt += u32::from(matches!(fate, Fate::Refused(_) | Fate::Unheard));
            Ok(!matches!(fate, Fate::Unhurt))
        })
        .context(kind.name)?;
        ensure!(hurt > 0, "{}: no memory has failed", kind.name);
        println!("# {}: {failures} failed, {hurt} were noticed", kind.name);
    }
    quiet("rmmod reserves")
}

/// While packets flow through an eroute, in each of the steps that change its states and policies.
fn nothing_leaves_in_clear_when_memory_fails_in_the_middle() -> Result<()> {
    for family in [V4, V6] {
        in_own_network(|| memory_fails_under_a_flood(family))?;
    }
    Ok(())
}

fn memory_fails_under_a_flood(family: Family) -> Result<()> {
    let mut faults = Faults::new()?;
    let gateways = Gateways::new()?;
    let (from, to) = family.inner;
    let [sas, others] = [0x1000, 0x2000].map(|spi| chain_to(family.outer.1, spi));
    make_group(&sas)?;
    make_group(&others)?;
    eroute(from, to, &sas[0])?;
    let capture = Capture::of_unprotected(&gateways.a, "w0")?;
    let flood = Flood::start(&gateways.a, from, to, 9)?;
    is_taking_more()?;
    let socket = KeySocket::open()?;
    let replace = |chain: &[Said]| wire::add_flow(chain[0], flag::REPLACE, &flow(from, to));
    let (apart, together) = (bytes_of(&ungroup(&sas[1])), bytes_of(&group(&sas)));
    let [update_esp, update_ah] = [1, 2].map(|n| bytes_of(&update(&sas[n])));
    let (to_others, back) = (replace(&others), replace(&sas));
    let mut failed = 0;
    // What is to be so before each attempt, and the request.
    for (name, before, request) in [
        ("ungrouped", &together, &apart),
        ("grouped", &apart, &together),
        ("UPDATE of ESP", &together, &update_esp),
        ("UPDATE of AH", &together, &update_ah),
        ("replaced", &back, &to_others),
        ("replaced again", &to_others, &back),
    ] {
        let mut refused = 0;
        for goes_on in [false, true] {
            failed += each_failure(|nth| {
                // It may be so already.
                let _ = socket.write(before);
                let request = || socket.write(request);
                let (result, used_up) = if goes_on {
                    faults.inject_on(nth, request)?
                } else {
                    faults.inject(nth, request)?
                };
                refused += u32::from(result == Err(Errno::ENOMEM));
                while socket.read_or_lost()?.is_some() {}
                Ok(used_up)
            })
            .context(name)?;
        }
        println!("# {name}: {refused} times refused");
        ensure!(refused > 2, "{name}: no memory has failed");
        for request in [&together, &back] {
            let _ = socket.write(request);
        }
        is_taking_more().context(name)?;
    }
    let packets = capture.end()?;
    ensure!(packets.len() == 0, "in clear: {:?}", packets.headers());
    let counted = gateways.a.counters()?;
    ensure!(counted.of("XfrmOutPolBlock") > 0, "{counted:?}");
    println!(
        "# {failed} failures, {} packets sent; {counted:?}",
        flood.sent()
    );
    Ok(())
}

fn a_dump_says_so_when_memory_fails_as_it_is_read() -> Result<()> {
    let mut faults = Faults::new()?;
    let names: Vec<_> = (0..40)
        .map(|n| crate::support::said(&format!("ah.{:x}@10.0.0.2", 0x1000 + n)))
        .collect();
    crate::support::make(&names)?;
    let socket = KeySocket::open()?;
    // Room for a few at a time.
    socket.0.set_recv_buffer_size(2304)?;
    socket.0.set_nonblocking(true)?;
    let request = wire::message(msg::DUMP, 0, &[]);
    let (mut cut, mut buffer) = (0, [0; 4096]);
    let failures = each_failure(|nth| {
        ensure!(socket.write(&request) == Ok(()), "DUMP");
        let (mut count, mut last) = (0, false);
        let mut failed = None;
        let mut read = || {
            // By hand: nothing here may need memory of its own.
            for _ in 0..2 * names.len() {
                match (&socket.0).read(&mut buffer) {
                    Ok(_) => {
                        count += 1;
                        last = buffer[8..12] == [0; 4];
                    }
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                    Err(error) => failed = error.raw_os_error().or(failed),
                }
            }
        };
        let ((), used_up) = faults.inject(nth, &mut read)?;
        // What is left once the fault is over.
        read();
        let told = failed.and_then(|number| u8::try_from(number).ok());
        match told.map(Errno) {
            None => ensure!(last && count == names.len(), "{count} came in silence"),
            Some(Errno::ENOBUFS | Errno::EFAULT) => {
                ensure!(used_up, "{told:?} out of nothing");
                cut += 1;
            }
            Some(errno) => bail!("{errno:?}"),
        }
        ensure!(kinds::dump(&KeySocket::open()?)?.len() == names.len());
        Ok(used_up)
    })?;
    ensure!(cut > 10, "only {cut} failures were told");
    println!(
        "# a DUMP of {}: {failures} failures, {cut} told",
        names.len()
    );
    Ok(())
}

fn a_socket_opens_or_leaves_nothing_when_memory_fails() -> Result<()> {
    let mut faults = Faults::new()?;
    let open = || {
        let protocol = Some(Protocol::from(2));
        Socket::new_raw(Domain::from(PF_KEY), Type::RAW, protocol)
    };
    for go_on in [false, true] {
        let mut refused = 0;
        let failures = each_failure(|nth| {
            // The first one of a namespace, for which there is no room in the list of sockets.
            unshare(CloneFlags::CLONE_NEWNET)?;
            let before = seen(None)?;
            let (socket, used_up) = if go_on {
                faults.inject_on(nth, open)?
            } else {
                faults.inject(nth, open)?
            };
            match socket {
                Ok(socket) => {
                    let sockets = seen(None)?.0[4].lines().count() - 1;
                    ensure!(sockets == 1, "it is not in pf_key");
                    drop(socket);
                }
                Err(error) => {
                    let errno = errno(&error);
                    // Without memory for an inode the kernel says that there are too many files.
                    ensure!(
                        used_up && [Errno::ENOMEM, Errno::ENOBUFS, ENFILE].contains(&errno),
                        "{errno:?}"
                    );
                    refused += 1;
                }
            }
            let after = seen(None)?;
            ensure!(after == before, "{after:?}");
            Ok(used_up)
        })?;
        ensure!(refused > 2, "only {refused} were refused");
        println!("# socket(): {failures} failures, {refused} refused");
    }
    Ok(())
}

/// Reads a file to its end with no memory but the buffer.
fn read_whole(path: &str, buffer: &mut [u8]) -> io::Result<usize> {
    let mut file = fs::File::open(path)?;
    let mut len = 0;
    loop {
        match file.read(&mut buffer[len..])? {
            0 => return Ok(len),
            more => len += more,
        }
    }
}

fn a_file_is_read_whole_or_not_when_memory_fails() -> Result<()> {
    let mut faults = Faults::new()?;
    let mut kinds = kinds::all().into_iter();
    let in_use = kinds.find(|kind| kind.name == "UPDATE in use");
    let stage = Stage::new(&in_use.context("no such kind")?)?;
    // Not zeros, for which no page would be there yet.
    let mut buffer = vec![0xff; 1 << 16];
    for file in FILES {
        let path = format!("{PROC}/{file}");
        let want = stable(file, &fs::read_to_string(&path)?);
        ensure!(!want.is_empty(), "{file} is empty");
        let mut refused = 0;
        let failures = each_failure(|nth| {
            let (read, used_up) = faults.inject(nth, || read_whole(&path, &mut buffer))?;
            match read {
                Ok(len) => {
                    let found = stable(file, std::str::from_utf8(&buffer[..len])?);
                    ensure!(found == want, "read:\n{found}");
                }
                Err(error) => {
                    let errno = errno(&error);
                    ensure!(
                        used_up && matches!(errno, Errno::ENOMEM | Errno::EFAULT),
                        "{errno:?}"
                    );
                    refused += 1;
                }
            }
            Ok(used_up)
        })
        .context(file)?;
        ensure!(refused > 2, "{file}: only {refused} were refused");
        println!("# {file}: {failures} failures, {refused} refused");
    }
    drop(stage);
    Ok(())
}

/// Not all that the kernel does to load a module, only what the module does itself, and no cache of
/// sockets, for the kernel says with a trace that there is none. It is loaded neither before nor after.
pub fn loading() -> Result<()> {
    let mut faults = Faults::new()?;
    let only = OnlyOf::function("do_one_initcall", "__kmem_cache_create_args")?;
    let module = fs::File::open(klips_ko())?;
    let mut refused = 0;
    let failures = each_failure(|nth| {
        let (loaded, used_up) =
            faults.inject(nth, || finit_module(&module, c"", ModuleInitFlags::empty()))?;
        match loaded {
            Ok(()) => {
                seen(Some(&KeySocket::open()?))?;
                ensure!(rmmod("klips")?.status.success(), "it can't be unloaded");
            }
            Err(errno) if used_up && NO_MEMORY.contains(&errno) => refused += 1,
            Err(errno) => bail!("{errno}"),
        }
        ensure!(!is_loaded("klips"), "it is there");
        let left = fs::symlink_metadata(format!("{PROC}/ipsec"));
        ensure!(left.is_err(), "files are left behind");
        Ok(used_up)
    })?;
    ensure!(refused > 15, "only {refused} were refused");
    println!("# loading: {failures} failures, {refused} refused");
    drop(only);
    Ok(())
}

/// Not all that a namespace is made of, only what the module adds.
fn a_namespace_is_made_or_not_when_memory_fails() -> Result<()> {
    let mut faults = Faults::new()?;
    let only = OnlyOf::module()?;
    let mut refused = 0;
    let failures = each_failure(|nth| {
        let (made, used_up) = faults.inject(nth, || unshare(CloneFlags::CLONE_NEWNET))?;
        match made {
            Ok(()) => {
                seen(Some(&KeySocket::open()?))?;
            }
            Err(errno) if used_up && NO_MEMORY.contains(&errno) => refused += 1,
            Err(errno) => bail!("{errno}"),
        }
        Ok(used_up)
    })?;
    ensure!(refused > 15, "only {refused} were refused");
    println!("# a namespace: {failures} failures, {refused} refused");
    drop(only);
    Ok(())
}
