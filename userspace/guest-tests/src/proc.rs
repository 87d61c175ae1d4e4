// SPDX-License-Identifier: GPL-2.0

//! The files in `/proc/net`.

use crate::{
    ktap::Test,
    support::{
        KeySocket, PROC, SECRET, add, group, make, manual_sas, naming, proc_net, said, spigrp,
    },
    tests,
};
use anyhow::{Result, ensure};
use klips::pfkey::MsgType;
use std::{
    fs,
    io::{Read, Seek, SeekFrom},
    os::unix::fs::{FileExt, PermissionsExt},
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

/// All of them.
pub fn all() -> Vec<Test> {
    tests![
        names_modes_and_links,
        empty_files_without_sas,
        any_size_of_read_gives_the_same,
        positions_can_be_gone_back_to,
        a_reader_at_the_end_misses_nothing_that_comes_later,
        the_end_is_told_before_what_comes_later,
        lines_survive_while_sas_come_and_go,
        spi_tells_what_an_sa_is,
        no_file_tells_a_key,
    ]
}

fn names_modes_and_links() -> Result<()> {
    for (name, target, expected) in [
        ("ipsec_spigrp", Some("ipsec/spigrp/all"), 0o100_400),
        ("ipsec_spi", Some("ipsec/spi/all"), 0o100_400),
        ("ipsec_version", Some("ipsec/version"), 0o100_444),
        ("ipsec_klipsdebug", Some("ipsec/klipsdebug"), 0o100_400),
        ("ipsec_eroute", Some("ipsec/eroute/all"), 0o100_400),
        ("ipsec/eroute/dropped", None, 0o100_400),
        ("ipsec_tncfg", Some("ipsec/tncfg"), 0o100_400),
        ("ipsec/natt", None, 0o100_400),
        ("ipsec/stats/trap_count", None, 0o100_400),
        ("ipsec/stats/trap_sendcount", None, 0o100_400),
        ("pf_key", None, 0o100_444),
        ("pf_key_registered", None, 0o100_444),
        ("pf_key_supported", None, 0o100_444),
    ] {
        let path = format!("{PROC}/{name}");
        if let Some(target) = target {
            ensure!(
                fs::read_link(&path)? == Path::new(target),
                "{path} leads elsewhere"
            );
        }
        let mode = fs::metadata(&path)?.permissions().mode();
        ensure!(mode == expected, "{path}: mode {mode:o}");
    }
    ensure!(
        !fs::exists(format!("{PROC}/pfkey"))?,
        "historic tools refuse to run where pfkey exists"
    );
    Ok(())
}

fn empty_files_without_sas() -> Result<()> {
    for file in ["ipsec_spigrp", "ipsec_spi"] {
        ensure!(proc_net(file)?.is_empty(), "{file}");
    }
    Ok(())
}

fn populate() -> Result<()> {
    let socket = KeySocket::open()?;
    for n in 0..300u32 {
        let sas = [
            said(&format!("tun.{:x}@10.0.0.{}", 0x1000 + n, n % 200)),
            said(&format!("esp:{:x}@2001:db8::{n:x}", 0x2000 + n)),
        ];
        for sa in &sas {
            socket.ask(&add(sa))?;
        }
        if n % 3 == 0 {
            socket.ask(&group(&sas))?;
        }
    }
    Ok(())
}

fn any_size_of_read_gives_the_same() -> Result<()> {
    populate()?;
    for file in ["ipsec_spigrp", "ipsec_spi"] {
        let whole = proc_net(file)?;
        let lines = if file == "ipsec_spi" { 600 } else { 500 };
        ensure!(whole.lines().count() == lines, "{file}");
        for size in [1, 7, 79, 80, 1000, 4095, 4096, 4097, 65536] {
            let mut read = Vec::new();
            let mut buffer = vec![0; size];
            let mut file = fs::File::open(format!("{PROC}/{file}"))?;
            loop {
                match file.read(&mut buffer)? {
                    0 => break,
                    len => read.extend_from_slice(&buffer[..len]),
                }
            }
            if lines == 500 {
                ensure!(read == whole.as_bytes(), "{size} bytes at a time");
            } else {
                // The seconds since an SA was made go on.
                let count = read.iter().filter(|byte| **byte == b'\n').count();
                ensure!(count == lines, "{size} bytes at a time");
            }
        }
    }
    Ok(())
}

fn positions_can_be_gone_back_to() -> Result<()> {
    populate()?;
    let whole = spigrp()?;
    let mut file = fs::File::open(format!("{PROC}/ipsec_spigrp"))?;
    for offset in [0, 1, 5_000, 4_096, 12_345, 100, 0] {
        file.seek(SeekFrom::Start(offset))?;
        let mut rest = String::new();
        file.read_to_string(&mut rest)?;
        ensure!(rest == whole[usize::try_from(offset)?..], "from {offset}");
        let mut some = [0; 100];
        file.read_exact_at(&mut some, offset)?;
        ensure!(some == whole.as_bytes()[usize::try_from(offset)?..][..100]);
    }
    Ok(())
}

fn a_reader_at_the_end_misses_nothing_that_comes_later() -> Result<()> {
    let mut file = fs::File::open(format!("{PROC}/ipsec_spigrp"))?;
    let mut next = 0x1000;
    for count in [0, 3, 0, 1, 2, 0, 0, 5] {
        let names: Vec<_> = (next..next + count)
            .map(|n| said(&format!("ah.{n:x}@10.0.0.2")))
            .collect();
        next += count;
        make(&names)?;
        let expected: String = names.iter().map(|name| format!("{name} \n")).collect();
        let mut text = String::new();
        file.read_to_string(&mut text)?;
        ensure!(text == expected, "expected\n{expected}found\n{text}");
        // At the end once more.
        ensure!(file.read(&mut [0; 100])? == 0);
    }
    Ok(())
}

/// What comes while somebody reads is told after the end: else a reader would not be done as long as
/// others add SAs.
fn the_end_is_told_before_what_comes_later() -> Result<()> {
    for (first, size) in (0x1000..)
        .step_by(0x1000)
        .zip([1, 7, 18, 19, 100, 4096, 1 << 17])
    {
        let name = |n: u32| said(&format!("ah.{:x}@10.0.0.2", first + n));
        let mut file = fs::File::open(format!("{PROC}/ipsec_spigrp"))?;
        let mut buffer = vec![0; size];
        while file.read(&mut buffer)? != 0 {}
        for n in 0..4 {
            make(&[name(n)])?;
            let len = file.read(&mut buffer)?;
            let mut text = buffer[..len].to_vec();
            let mut later = name(n + 100);
            loop {
                make(&[later])?;
                later.spi += 4;
                match file.read(&mut buffer)? {
                    0 => break,
                    len => text.extend_from_slice(&buffer[..len]),
                }
                ensure!(text.len() < 100, "{size}: no end");
            }
            let text = String::from_utf8(text)?;
            ensure!(text == format!("{} \n", name(n)), "{size}: {text:?}");
            let mut count = 0;
            loop {
                match file.read(&mut buffer)? {
                    0 => break,
                    len => count += buffer[..len].iter().filter(|byte| **byte == b'\n').count(),
                }
            }
            let made = (later.spi - name(n + 100).spi) / 4;
            ensure!(
                count == usize::try_from(made)?,
                "{size}: {count} lines of {made}"
            );
        }
    }
    Ok(())
}

/// Lines that nobody touches are each there exactly once, and none is torn, whatever happens to
/// others.
fn lines_survive_while_sas_come_and_go() -> Result<()> {
    let socket = KeySocket::open()?;
    let kept: Vec<_> = (0..200)
        .map(|n| said(&format!("ah.{:x}@10.0.0.2", 0x1000 + n)))
        .collect();
    let name = |n: u32| said(&format!("tun.{:x}@10.0.0.3", 0x1000 + n));
    for (n, sa) in (0..).zip(&kept) {
        socket.ask(&add(sa))?;
        socket.ask(&add(&name(n)))?;
    }
    for pair in kept.chunks(2).take(50) {
        socket.ask(&group(pair))?;
    }
    let expected: Vec<String> = spigrp()?
        .lines()
        .filter(|line| line.starts_with("ah"))
        .map(str::to_owned)
        .collect();
    ensure!(expected.len() == 150);
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let churn = scope.spawn(|| -> Result<()> {
            let socket = KeySocket::open()?;
            let mut n = 0;
            while !stop.load(Ordering::Relaxed) {
                let sa = name(n % 200);
                ensure!(socket.send(&naming(MsgType::Delete, &sa)).is_ok());
                ensure!(socket.send(&add(&sa)).is_ok());
                socket.drain()?;
                n += 1;
            }
            Ok(())
        });
        let readers = || -> Result<()> {
            for size in [1, 100, 333, 4096].into_iter().cycle().take(24) {
                let mut text = Vec::new();
                let mut buffer = vec![0; size];
                let mut file = fs::File::open(format!("{PROC}/ipsec_spigrp"))?;
                loop {
                    match file.read(&mut buffer)? {
                        0 => break,
                        len => text.extend_from_slice(&buffer[..len]),
                    }
                    // Twice what there ever is at a time.
                    ensure!(text.len() < 16_000, "{size} bytes at a time: no end");
                }
                let text = String::from_utf8(text)?;
                let found: Vec<_> = text.lines().filter(|line| line.starts_with("ah")).collect();
                ensure!(found == expected, "{size} bytes at a time: {found:?}");
                let whole = |line: &str| {
                    line.ends_with(' ') && line.split_terminator(' ').all(|w| w.contains("@10."))
                };
                ensure!(text.lines().all(whole), "a torn line");
            }
            Ok(())
        };
        let result = readers();
        stop.store(true, Ordering::Relaxed);
        churn.join().expect("no panic")?;
        result
    })
}

fn spi_tells_what_an_sa_is() -> Result<()> {
    make(&manual_sas())?;
    make(&[said("comp.117@10.0.0.2")])?;
    let text = proc_net("ipsec_spi")?;
    let stable: Vec<String> = text
        .lines()
        .map(|line| {
            let (before, after) = line.split_once("addtime(").unwrap_or((line, ""));
            let after = after.split_once(',').map_or("", |(_, after)| after);
            format!("{before}addtime(?,{after}")
        })
        .collect();
    let expected = [
        "tun0x113@10.0.0.2 IPIP: dir=out src=10.0.0.1 life(c,s,h)=addtime(?,0,0) \
         natencap=none natsport=0 natdport=0 refcount=3 ref=1",
        "esp0x115@10.0.0.2 ESP_3DES_HMAC_MD5: dir=out src=10.0.0.1 ooowin=64 alen=128 aklen=128 \
         eklen=192 life(c,s,h)=addtime(?,0,0) natencap=none natsport=0 natdport=0 refcount=3 \
         ref=2",
        "ah0x116@10.0.0.2 AH_HMAC_SHA1: dir=out src=10.0.0.1 ooowin=32 alen=160 aklen=160 \
         life(c,s,h)=addtime(?,0,0) natencap=none natsport=0 natdport=0 refcount=3 ref=3",
        "comp0x117@10.0.0.2 COMP_DEFLATE: dir=out src=10.0.0.1 life(c,s,h)=addtime(?,0,0) \
         natencap=none natsport=0 natdport=0 refcount=3 ref=4",
    ];
    ensure!(stable == expected, "{stable:#?}");
    Ok(())
}

fn no_file_tells_a_key() -> Result<()> {
    make(&manual_sas())?;
    for file in ["ipsec_spigrp", "ipsec_spi"] {
        let text = proc_net(file)?;
        let hex: String = SECRET[..8]
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        ensure!(!text.contains("0123456789abcdef") && !text.contains(&hex));
    }
    Ok(())
}
