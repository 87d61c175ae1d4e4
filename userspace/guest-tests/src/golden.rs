// SPDX-License-Identifier: GPL-2.0

//! Replays what was recorded from a real KLIPS; see `golden/README.md` for the format.

use crate::{
    ktap::Test,
    support::{KeySocket, errno, in_own_network, loopback_up, open_raw, proc_net},
};
use anyhow::{Context, Result, ensure};
use klips::errno::Errno;
use nix::unistd::{Uid, seteuid};
use std::{collections::BTreeMap, fmt::Write, process::ExitCode};

/// A file of recorded cases.
struct File {
    name: &'static str,
    text: &'static str,
}

macro_rules! file {
    ($name:literal) => {
        File {
            name: $name,
            text: include_str!(concat!("../golden/", $name, ".txt")),
        }
    };
}

const FILES: [File; 6] = [
    file!("openswan-2.4.9/01-proc-states"),
    file!("openswan-2.4.9/02-grpsa"),
    file!("openswan-2.4.9/03-pfkey-msgs"),
    file!("libreswan-3.32/01-proc-states"),
    file!("libreswan-3.32/02-grpsa"),
    file!("libreswan-3.32/03-pfkey-msgs"),
];

/// What the module does in the cases where it differs on purpose.
const DIFFERENCES: &str = include_str!("../golden/differences.txt");

/// Files that cases read, by the words for it.
const LISTS: [(&str, &str); 8] = [
    ("spigrp", "ipsec_spigrp"),
    ("spi", "ipsec_spi"),
    ("eroute", "ipsec_eroute"),
    ("version", "ipsec_version"),
    ("klipsdebug", "ipsec_klipsdebug"),
    ("pf_key", "pf_key"),
    ("pf_key_registered", "pf_key_registered"),
    ("pf_key_supported", "pf_key_supported"),
];

/// A recorded case.
#[derive(Clone)]
struct Case {
    /// The file and its number there.
    id: String,
    title: String,
    lines: Vec<&'static str>,
}

fn cases_of(prefix: &str, text: &'static str) -> Vec<Case> {
    let mut cases: Vec<Case> = Vec::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        if let Some(head) = line.strip_prefix("== ") {
            let (id, title) = head.split_once(' ').unwrap_or((head, ""));
            cases.push(Case {
                id: format!("{prefix}{id}"),
                title: title.to_owned(),
                lines: Vec::new(),
            });
        } else if let (Some(case), false) = (cases.last_mut(), line.is_empty()) {
            case.lines.push(line);
        }
    }
    cases
}

/// A case with those that it builds on.
struct Replay {
    before: Vec<Case>,
    case: Case,
}

fn replays() -> Vec<Replay> {
    let mut replays = Vec::new();
    for file in &FILES {
        let cases = cases_of(&format!("{}/", file.name), file.text);
        for (index, case) in cases.iter().enumerate() {
            // A case that continues begins where the one before has ended.
            let mut first = index;
            while cases[first].lines.first() == Some(&"continues") {
                first -= 1;
            }
            replays.push(Replay {
                before: cases[first..index].to_vec(),
                case: case.clone(),
            });
        }
    }
    replays
}

fn differences() -> BTreeMap<String, Case> {
    cases_of("", DIFFERENCES)
        .into_iter()
        .map(|case| (case.id.clone(), case))
        .collect()
}

/// A test for each recorded case, and one for the list of differences.
pub fn all() -> Vec<Test> {
    let mut tests = vec![Test::new(
        "golden::every_difference_is_of_a_recorded_case",
        every_difference_is_of_a_recorded_case,
    )];
    for replay in replays() {
        let words = replay
            .case
            .title
            .replace(|c: char| !c.is_ascii_alphanumeric(), "_");
        let name = format!("golden::{}_{words}", replay.case.id);
        tests.push(Test::new(name, move || {
            check(&replay, differences().get(&replay.case.id))
        }));
    }
    tests
}

fn every_difference_is_of_a_recorded_case() -> Result<()> {
    let replays = replays();
    for (id, difference) in differences() {
        ensure!(
            replays.iter().any(|replay| replay.case.id == id),
            "{id} is no recorded case"
        );
        ensure!(
            difference.title.starts_with("contract ") || difference.title.starts_with("recorder: "),
            "{id}: no reason"
        );
    }
    Ok(())
}

fn check(replay: &Replay, difference: Option<&Case>) -> Result<()> {
    let found = replay.essence(&record(replay)?);
    let recorded = replay.essence(&replay.case.lines);
    let same = agree(&recorded, &found);
    match difference {
        None => ensure!(same, "{}", compare(&recorded, &found)),
        Some(listed) => {
            ensure!(
                !same,
                "listed as a difference ({}), but does not differ any more",
                listed.title
            );
            let expected = replay.essence(&listed.lines);
            ensure!(
                agree(&expected, &found),
                "differs otherwise than listed ({})\n{}",
                listed.title,
                compare(&expected, &found)
            );
        }
    }
    Ok(())
}

impl Replay {
    /// The lines, with those of files reduced to what is the same each time: see `golden/README.md`.
    fn essence(&self, lines: &[impl AsRef<str>]) -> Vec<String> {
        // As 2.4.9 counts; later releases count otherwise.
        let counts = self.case.id.starts_with("openswan-2.4.9/");
        let mut list = "";
        let mut essence = Vec::new();
        for line in lines.iter().map(AsRef::as_ref) {
            match line.strip_prefix("  |") {
                Some(text) => {
                    let mut words = words_of(list, text);
                    if !counts {
                        words.retain(|word| !word.starts_with("refcount="));
                    }
                    essence.push(format!("  |{}", words.join(" ")));
                }
                None => {
                    list = line.trim_start();
                    essence.push(line.to_owned());
                }
            }
        }
        essence
    }
}

/// What of a line of a file is the same each time.
fn words_of(list: &str, line: &str) -> Vec<String> {
    let mut words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
    match list {
        "spi" => {
            let is_volatile = |word: &str| {
                let name = word.split_once('=').map_or("", |(name, _)| name);
                ["iv", "iv_bits", "jiffies", "ref", "refhim"].contains(&name)
            };
            words.retain(|word| !is_volatile(word));
            if words.iter().any(|word| word == "natencap=na") {
                // There is NAT traversal, and none for this SA: the port had it left out.
                words.retain(|word| word != "natencap=na");
            } else if words.iter().any(|word| word == "natencap=none") {
                words.retain(|word| !word.starts_with("nat"));
            }
            for word in &mut words {
                // How long ago it was added.
                if let Some((name, (_, rest))) = word
                    .split_once("addtime(")
                    .and_then(|(name, limits)| Some((name, limits.split_once(',')?)))
                {
                    *word = format!("{name}addtime(_,{rest}");
                }
            }
        }
        // Our column of lost messages comes behind KLIPS's.
        "pf_key" if words[0] == "sock" => words.retain(|word| word != "lost"),
        "pf_key" => {
            words.truncate(9);
            words[..3].fill("_".to_owned());
        }
        "pf_key_registered" if words.len() == 4 && words[1].len() == 16 => {
            words[1..].fill("_".to_owned());
        }
        _ => (),
    }
    words
}

/// Prints the cases that differ from what was recorded.
pub fn print_differences() -> ExitCode {
    for replay in replays() {
        let result = in_own_network(|| record(&replay));
        match result {
            Ok(found) if agree(&replay.essence(&replay.case.lines), &replay.essence(&found)) => {}
            Ok(found) => println!(
                "\n== {} {}\n{}",
                replay.case.id,
                replay.case.title,
                found.join("\n")
            ),
            Err(error) => println!("\n== {} {error:?}", replay.case.id),
        }
    }
    ExitCode::SUCCESS
}

/// Plays a case and writes down what happens, as the recorded one is written.
fn record(replay: &Replay) -> Result<Vec<String>> {
    // As it was where they were recorded: an SA to it is inbound.
    loopback_up()?;
    let mut player = Player::default();
    if !replay
        .case
        .lines
        .iter()
        .any(|line| line.starts_with("socket "))
    {
        for name in ["A", "B"] {
            player.sockets.insert(name.to_owned(), KeySocket::open()?);
        }
    }
    for case in &replay.before {
        player.play(case)?;
    }
    player.found.clear();
    player.play(&replay.case)?;
    Ok(player.found)
}

#[derive(Default)]
struct Player {
    sockets: BTreeMap<String, KeySocket>,
    found: Vec<String>,
}

impl Player {
    fn play(&mut self, case: &Case) -> Result<()> {
        for line in &case.lines {
            self.step(line)
                .with_context(|| format!("{}: {line}", case.id))?;
        }
        Ok(())
    }

    fn step(&mut self, line: &str) -> Result<()> {
        let mut words = line.split_whitespace();
        let word = words.next().unwrap_or_default();
        let mut argument = || words.next().unwrap_or_default();
        match word {
            _ if line.starts_with("  |") => return Ok(()),
            // The recorder began anew without saying how.
            "empty" => {
                self.found.push(line.to_owned());
                ensure!(
                    self.socket("A")?.send(&crate::support::flush(0)).is_ok(),
                    "can't flush"
                );
                self.drain()?;
            }
            "continues" => self.found.push(line.to_owned()),
            "socket" => {
                let name = argument();
                match open_raw(3, 2) {
                    Ok(socket) => {
                        self.sockets.insert(name.to_owned(), KeySocket(socket));
                        self.found.push(line.to_owned());
                    }
                    Err(error) => self
                        .found
                        .push(format!("refused 3 2 {}", name_of(errno(&error)))),
                }
            }
            "refused" => {
                let (socket_type, protocol) = (argument(), argument());
                let outcome = match open_raw(socket_type.parse()?, protocol.parse()?) {
                    Ok(_) => "ok".to_owned(),
                    Err(error) => name_of(errno(&error)),
                };
                self.found
                    .push(format!("refused {socket_type} {protocol} {outcome}"));
            }
            "euid" => {
                let uid = argument();
                seteuid(Uid::from_raw(uid.parse()?))?;
                self.found.push(line.to_owned());
            }
            "setup" => {
                let bytes = from_hex(argument())?;
                let result = self.socket("A")?.write(&bytes);
                self.drain()?;
                match result {
                    Ok(()) => self.found.push(line.to_owned()),
                    Err(errno) => self.found.push(format!("{line} {}", name_of(errno))),
                }
            }
            "write" => {
                let name = argument();
                let bytes = from_hex(argument())?;
                let result = match self.socket(name)?.write(&bytes) {
                    Ok(()) => "ok".to_owned(),
                    Err(errno) => name_of(errno),
                };
                self.found.push(line.to_owned());
                self.found.push(format!("  result {result}"));
                let messages = self.drain()?;
                self.found.extend(messages);
            }
            // What came of the write before.
            "result" | "A" | "B" | "D" | "E" => (),
            _ => {
                let list = LISTS.iter().find(|(name, _)| *name == word);
                let (_, file) = list.context("no such step")?;
                self.found.push(line.to_owned());
                let lines = proc_net(file)?;
                self.found
                    .extend(lines.lines().map(|line| format!("  |{line}")));
            }
        }
        Ok(())
    }

    fn socket(&self, name: &str) -> Result<&KeySocket> {
        self.sockets
            .get(name)
            .with_context(|| format!("no socket {name}"))
    }

    /// What each socket has to read.
    fn drain(&self) -> Result<Vec<String>> {
        let mut lines = Vec::new();
        for (name, socket) in &self.sockets {
            for message in socket.drain()? {
                lines.push(format!("  {name} {}", to_hex(&steady(message))));
            }
        }
        Ok(lines)
    }
}

fn name_of(errno: Errno) -> String {
    errno
        .describe()
        .map_or_else(|| errno.0.to_string(), |(name, _)| name.to_owned())
}

/// A message without what is never the same twice: SArefs, and times in LIFETIME_CURRENT.
fn steady(mut message: Vec<u8>) -> Vec<u8> {
    let mut start = 16;
    while let Some(header) = message.get(start..start + 4) {
        let len = usize::from(u16::from_le_bytes([header[0], header[1]])) * 8;
        let ext = u16::from_le_bytes([header[2], header[3]]);
        let volatile = match (ext, len) {
            (1 | 19, 24) => 16..20,
            (2, _) => 16..32,
            _ => 0..0,
        };
        if let Some(bytes) = message.get_mut(start + volatile.start..start + volatile.end) {
            bytes.fill(0);
        }
        if len == 0 {
            break;
        }
        start += len;
    }
    message
}

/// Whether what was found is what was recorded. Lists are in another order here, and the recorded
/// code could not print IPv6 destinations.
fn agree(recorded: &[String], found: &[String]) -> bool {
    let (recorded, found) = (in_order(recorded), in_order(found));
    recorded.len() == found.len() && recorded.iter().zip(&found).all(|(r, f)| alike(r, f))
}

/// The lines with those of each list sorted.
fn in_order(lines: &[impl AsRef<str>]) -> Vec<String> {
    let mut sorted: Vec<String> = lines.iter().map(|line| line.as_ref().to_owned()).collect();
    for list in sorted.chunk_by_mut(|a, b| a.starts_with("  |") && b.starts_with("  |")) {
        list.sort();
    }
    sorted
}

fn alike(recorded: &str, found: &str) -> bool {
    let (recorded, found) = (recorded.split(' '), found.split(' '));
    recorded.clone().count() == found.clone().count()
        && recorded.zip(found).all(
            |(recorded, found)| match recorded.strip_suffix("<invalid>") {
                Some(before) => found.starts_with(before) && found.contains(':'),
                None => recorded == found,
            },
        )
}

fn compare(expected: &[String], found: &[String]) -> String {
    let mut text = String::from("- expected, + found:\n");
    let expected = in_order(expected);
    let found = in_order(found);
    let mut rest = found.iter().peekable();
    for line in &expected {
        match rest.next_if(|found| alike(line, found)) {
            Some(found) => {
                let _ = writeln!(text, "  {found}");
            }
            None => {
                let _ = writeln!(text, "- {line}");
                // Go on with the next line that both have.
                if !found.iter().any(|found| alike(line, found)) {
                    continue;
                }
                while let Some(extra) = rest.next_if(|found| !alike(line, found)) {
                    let _ = writeln!(text, "+ {extra}");
                }
                rest.next();
            }
        }
    }
    for line in rest {
        let _ = writeln!(text, "+ {line}");
    }
    text
}

fn from_hex(hex: &str) -> Result<Vec<u8>> {
    ensure!(hex.len() % 2 == 0, "half a byte");
    (0..hex.len())
        .step_by(2)
        .map(|at| Ok(u8::from_str_radix(&hex[at..at + 2], 16)?))
        .collect()
}

fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
