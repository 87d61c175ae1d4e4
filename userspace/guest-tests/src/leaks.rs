// SPDX-License-Identifier: GPL-2.0

//! Nothing leaves the kernel that is not meant to: no key, and no byte of memory that was not
//! written for whom it goes to.
//!
//! The kernel's own detector of that, KMSAN, can't tell: rustc has no such sanitizer, so that for
//! KMSAN what Rust code writes is never written, and what C has copied is good wherever it came
//! from. So free memory is filled with patterns, and what is told is looked at.

use crate::{
    kinds::{self, Audience, Heard, Kind, limit, rich, timeless},
    ktap::Test,
    support::{
        EVENTUALLY, LATER, PROC, SECRET, SOON, add, bytes_of, group, in_first_network, manual_sas,
        proc_net,
    },
    tests,
};
use anyhow::{Context, Result, bail, ensure};
use klips::listing::Listing;
use model::wire::{self, assert_clean, hex, msg, readings};
use nix::sched::{CloneFlags, unshare};
use pfkey::Content;
use std::{
    collections::BTreeSet,
    fs,
    os::unix::net::UnixDatagram,
    process::Command,
    thread,
    time::{Duration, Instant},
};

/// All of them.
pub fn all() -> Vec<Test> {
    tests![
        every_byte_that_is_told_was_written_on_purpose,
        no_message_file_or_line_of_the_log_tells_a_key,
    ]
}

/// Those that wait for time to pass.
pub fn waiting() -> Vec<Test> {
    let tests = tests![what_time_tells_was_written_on_purpose_and_is_no_key];
    tests.into_iter().map(Test::waiting).collect()
}

/// What free memory is full of, one time and another. Where the kernel's parameters have
/// `slub_debug=P`, it has written over that before the module sees it.
const PATTERNS: [u8; 2] = [0xd5, 0x2a];

/// What `slub_debug=P` writes into memory that is free, at its end and around it.
const POISON: [u8; 3] = [0x6b, 0xa5, 0x5a];

/// Fills memory of all the sizes that messages have, and frees it: it is the first to be used
/// again.
fn dirty(pattern: u8) -> Result<()> {
    let (from, to) = UnixDatagram::pair()?;
    let mut buffer = [0; 8192];
    for size in [64, 192, 448, 960, 1984, 4032] {
        for _ in 0..8 {
            from.send(&vec![pattern; size])?;
        }
        for _ in 0..8 {
            ensure!(to.recv(&mut buffer)? == size);
        }
    }
    Ok(())
}

/// All that is told of a request, and of the same once more, of all SAs and of each one, with free
/// memory full of a pattern.
fn all_told(kind: &Kind, pattern: u8) -> Result<Vec<Vec<u8>>> {
    unshare(CloneFlags::CLONE_NEWNET)?;
    let audience = Audience::of(kind)?;
    let mut told = Vec::new();
    let mut ask = |request: &[u8]| -> Result<()> {
        dirty(pattern)?;
        let _ = audience.writer().write(request);
        for Heard { messages, lost } in audience.hear()? {
            ensure!(!lost, "{} was lost", kind.name);
            told.extend(messages);
        }
        Ok(())
    };
    ask(&kind.request)?;
    ask(&kind.request)?;
    ask(&wire::message(msg::DUMP, 0, &[]))?;
    for said in ["esp.115@10.0.0.2", "esp:5000@2001:db8::2"] {
        ask(&wire::get(wire::said(said)))?;
    }
    Ok(told)
}

/// Checks a message that was told.
fn check(message: &[u8]) -> Result<()> {
    assert_clean(message);
    let bytes = timeless(message);
    let stale = |run: &[u8]| {
        let poison = PATTERNS.iter().chain(&POISON);
        poison.into_iter().any(|byte| run == [*byte; 4])
    };
    ensure!(!bytes.windows(4).any(stale), "free memory: {}", hex(&bytes));
    ensure!(!is_key(&bytes), "a key: {}", hex(&bytes));
    Ok(())
}

/// Whether some key, or part of one, is in these bytes.
fn is_key(bytes: &[u8]) -> bool {
    let pieces: Vec<_> = SECRET.windows(8).collect();
    bytes.windows(8).any(|window| pieces.contains(&window))
}

fn every_byte_that_is_told_was_written_on_purpose() -> Result<()> {
    let (mut count, mut size, mut asked, mut answered) = (0, 0, BTreeSet::new(), BTreeSet::new());
    for kind in kinds::all() {
        asked.insert(kind.request[1]);
        let [one, other] = PATTERNS.map(|pattern| all_told(&kind, pattern));
        let (one, other) = (one?, other?);
        for message in &one {
            check(message).context(kind.name)?;
            answered.insert((message[1], message[2] != 0));
        }
        // Whatever the memory was full of.
        let timeless =
            |told: &[Vec<u8>]| -> Vec<_> { told.iter().map(|message| timeless(message)).collect() };
        ensure!(
            timeless(&one) == timeless(&other),
            "{}: {one:02x?} and {other:02x?}",
            kind.name
        );
        count += one.len() + other.len();
        size += one.iter().chain(&other).map(Vec::len).sum::<usize>();
    }
    ensure!(asked == (1..=19).collect(), "of these types: {asked:?}");
    // X_DEBUG is never told; X_PCHANGE and NAT_T_NEW_MAPPING only as an error, and so are the
    // X_PLUMBIF and X_UNPLUMBIF that are asked for here, of no ipsecN.
    println!(
        "# {count} messages, {size} bytes; types with and without error: {answered:?}; poisoned \
         by the allocator as well: {}",
        is_poisoned()
    );
    Ok(())
}

/// Whether the allocator fills what is free.
fn is_poisoned() -> bool {
    fs::read_to_string("/sys/kernel/slab/kmalloc-512/poison").is_ok_and(|text| text.trim() == "1")
}

fn no_message_file_or_line_of_the_log_tells_a_key() -> Result<()> {
    let mut heard = 0;
    let mut made = BTreeSet::new();
    for kind in kinds::all() {
        in_first_network(|| {
            let audience = Audience::of(&kind)?;
            // All there is to be logged.
            ensure!(audience.writer().write(&kinds::debug(u32::MAX)) == Ok(()));
            let _ = audience.writer().write(&kind.request);
            for Heard { messages, .. } in audience.hear()? {
                for message in messages {
                    ensure!(!is_key(&message), "{}: {}", kind.name, hex(&message));
                    heard += 1;
                }
            }
            for file in files()? {
                let text = proc_net(&file)?;
                made.extend((!text.is_empty()).then(|| file.clone()));
                ensure!(
                    !readings(&text).iter().any(|it| is_key(it)),
                    "{file}: {text}"
                );
            }
            Ok(())
        })?;
    }
    let log = Command::new("dmesg").output()?.stdout;
    let log = String::from_utf8_lossy(&log);
    let ours: Vec<_> = log
        .lines()
        .filter(|line| line.contains("klips: "))
        .collect();
    ensure!(ours.len() > 20, "{} lines were logged", ours.len());
    for line in log.lines() {
        ensure!(!readings(line).iter().any(|it| is_key(it)), "{line}");
    }
    ensure!(made.len() == Listing::ALL.len(), "files: {made:?}");
    // Whoever looks does see keys.
    ensure!(is_key(&bytes_of(&add(&manual_sas()[1]))));
    ensure!(readings(&hex(&SECRET)).iter().any(|it| is_key(it)));
    println!("# {heard} messages, {} lines of the log", ours.len());
    Ok(())
}

/// The files that the module makes, without links.
fn files() -> Result<Vec<String>> {
    let mut files = Vec::new();
    let mut folders = vec!["ipsec".to_owned()];
    for file in ["pf_key", "pf_key_registered", "pf_key_supported"] {
        files.push(file.to_owned());
    }
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(format!("{PROC}/{folder}"))? {
            let entry = entry?;
            let name = format!("{folder}/{}", entry.file_name().to_string_lossy());
            if entry.file_type()?.is_dir() {
                folders.push(name);
            } else {
                files.push(name);
            }
        }
    }
    Ok(files)
}

/// EXPIRE and what goes with it.
fn what_time_tells_was_written_on_purpose_and_is_no_key() -> Result<()> {
    let sas @ [tun, esp, ah] = manual_sas();
    let short = Content {
        soft: limit(SOON),
        hard: limit(LATER),
        ..rich(add(&esp))
    };
    let before = [add(&tun), add(&ah), short, group(&sas)];
    let audience = Audience::of(&Kind {
        name: "EXPIRE",
        before: before.iter().map(bytes_of).collect(),
        request: Vec::new(),
        live: false,
    })?;
    let start = Instant::now();
    let mut told: Vec<Vec<u8>> = Vec::new();
    // EXPIRE twice, and DELETE of two mates.
    while told.len() < 4 * audience.0.len() {
        if start.elapsed() > EVENTUALLY {
            let types: Vec<_> = told.iter().map(|message| message[1]).collect();
            bail!("only these came: {types:?}");
        }
        dirty(PATTERNS[0])?;
        thread::sleep(Duration::from_millis(20));
        for Heard { messages, .. } in audience.hear()? {
            told.extend(messages);
        }
    }
    let types: BTreeSet<_> = told.iter().map(|message| message[1]).collect();
    ensure!(types == BTreeSet::from([msg::EXPIRE, msg::DELETE]));
    told.iter().try_for_each(|message| check(message))
}
