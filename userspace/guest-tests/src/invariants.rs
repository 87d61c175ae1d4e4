// SPDX-License-Identifier: GPL-2.0

//! What holds of a table whatever was done to it.

use crate::{
    kinds,
    support::{KeySocket, add, expect_spigrp, flush, group, manual_sas, proc_net},
};
use anyhow::{Result, bail, ensure};
use klips::said::{Proto, Said};
use model::{
    Described,
    wire::{assert_clean, msg, u32_at},
};
use std::{collections::BTreeSet, thread, time::Duration};

/// How often the table is looked at anew when something happened to it meanwhile: limits end.
const LOOKS: usize = 40;

/// Checks that the table is sound as far as it can be seen: each SA is in one chain, and all ways
/// to list SAs tell of the same. Nobody else may be changing it. The chains, oldest first.
pub fn check() -> Result<Vec<Vec<String>>> {
    for _ in 0..LOOKS {
        let before = proc_net("ipsec_spigrp")?;
        let listed = proc_net("ipsec_spi")?;
        let dumped = dump()?;
        if proc_net("ipsec_spigrp")? == before {
            return compare(&before, &listed, &dumped);
        }
        thread::sleep(Duration::from_millis(100));
    }
    bail!("the table does not come to rest");
}

fn compare(spigrp: &str, spi: &str, dumped: &[Said]) -> Result<Vec<Vec<String>>> {
    let mut names = BTreeSet::new();
    for said in dumped {
        ensure!(
            names.insert(said.to_string()) || said.proto == Proto::Int,
            "DUMP tells of {said} twice"
        );
    }
    let mut dumped: Vec<String> = dumped.iter().map(Said::to_string).collect();
    let listed: Vec<&str> = spi
        .lines()
        .map(|line| line.split(' ').next().unwrap_or_default())
        .collect();
    ensure!(
        dumped == listed,
        "DUMP tells of {dumped:?}, ipsec_spi of {listed:?}"
    );
    let chains = chains(spigrp)?;
    let mut members: Vec<&String> = chains.iter().flatten().collect();
    members.sort();
    dumped.sort();
    ensure!(
        dumped.iter().eq(members),
        "DUMP tells of {dumped:?}, ipsec_spigrp of\n{spigrp}"
    );
    Ok(chains)
}

/// The chains in `/proc/net/ipsec_spigrp`, none of whose lines may be torn.
pub fn chains(spigrp: &str) -> Result<Vec<Vec<String>>> {
    ensure!(
        spigrp.is_empty() || spigrp.ends_with('\n'),
        "no end of a line: {spigrp:?}"
    );
    let member = |name: &str| match pfkey::text::said::parse(name) {
        Ok(_) => Ok(name.to_owned()),
        Err(error) => bail!("{name:?}: {error}"),
    };
    let chain = |line: &str| match line.strip_suffix(' ') {
        Some(members) => members.split(' ').map(member).collect(),
        None => bail!("a torn line: {line:?}"),
    };
    spigrp.lines().map(chain).collect()
}

/// All SAs as DUMP tells them.
fn dump() -> Result<Vec<Said>> {
    let mut dumped = Vec::new();
    for (told, next) in kinds::dump(&KeySocket::open()?)?.iter().zip(1u32..) {
        // Beside it there may be an EXPIRE.
        if told[1] != msg::DUMP {
            continue;
        }
        assert_clean(told);
        let seq = u32_at(told, 8);
        ensure!(seq == 0 || seq <= next, "{next}: {told:02x?}");
        dumped.push(Described::of(told).said);
    }
    Ok(dumped)
}

/// Empties the table, and sees that it is empty and of use.
pub fn check_anew() -> Result<()> {
    let socket = KeySocket::open()?;
    ensure!(socket.send(&flush(0)) == Ok(()), "FLUSH");
    for file in ["ipsec_spigrp", "ipsec_spi"] {
        let left = proc_net(file)?;
        ensure!(left.is_empty(), "after FLUSH {file} has\n{left}");
    }
    ensure!(dump()?.is_empty(), "after FLUSH DUMP tells of SAs");
    let sas = manual_sas();
    for request in [add(&sas[0]), add(&sas[1]), add(&sas[2]), group(&sas)] {
        let result = socket.send(&request);
        ensure!(result == Ok(()), "after FLUSH: {result:?}");
    }
    expect_spigrp(&["tun0x113@10.0.0.2 esp0x115@10.0.0.2 ah0x116@10.0.0.2"])?;
    ensure!(socket.send(&flush(0)) == Ok(()), "FLUSH");
    expect_spigrp(&[])
}
