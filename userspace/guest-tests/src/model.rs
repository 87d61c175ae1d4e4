// SPDX-License-Identifier: GPL-2.0

//! The module against the model of the table, through the real socket.
//!
//! `KLIPS_SEQUENCES=5000` in the environment makes it that many sequences; `vm test --append` with
//! the same puts it there.

use crate::{
    ktap::Test,
    support::{KeySocket, number, spigrp},
    tests,
};
use anyhow::{Context, Result, ensure};
use klips::errno::Errno;
use model::{
    Described, Model, Request, Told, sequence,
    wire::{assert_clean, message, msg},
};

/// How many sequences there are in a short run.
const FEW: u64 = 100;

/// How many requests a sequence has.
const LEN: usize = 40;

/// All of them.
pub fn all() -> Vec<Test> {
    tests![sequences_of_requests_behave_as_the_model]
}

fn sequences_of_requests_behave_as_the_model() -> Result<()> {
    let sequences = number("KLIPS_SEQUENCES", FEW)?;
    let twin = Twin::new()?;
    for seed in 0..sequences {
        twin.follow(&sequence(seed, LEN))
            .with_context(|| format!("sequence {seed}"))?;
    }
    println!("# {sequences} sequences of {LEN} requests");
    Ok(())
}

/// The sockets through which the module is looked at.
struct Twin {
    writer: KeySocket,
    listener: KeySocket,
    dumper: KeySocket,
}

impl Twin {
    fn new() -> Result<Self> {
        Ok(Twin {
            writer: KeySocket::open()?,
            listener: KeySocket::open()?,
            dumper: KeySocket::open()?,
        })
    }

    /// Makes the same requests of the module and of the model, from an empty table on.
    fn follow(&self, requests: &[Request]) -> Result<()> {
        let mut model = Model::default();
        let result = self.writer.write(&Request::Flush(None).bytes());
        ensure!(result == Ok(()), "the table can't be emptied: {result:?}");
        self.heard()?;
        for (number, request) in requests.iter().enumerate() {
            self.step(&mut model, request)
                .with_context(|| format!("request {number}, {request:?}"))?;
        }
        Ok(())
    }

    fn step(&self, model: &mut Model, request: &Request) -> Result<()> {
        let result = self.writer.write(&request.bytes());
        let expected = model.apply(request);
        let errno = expected.as_ref().err().map(|refusal| refusal.errno);
        ensure!(result.err() == errno, "{result:?} instead of {errno:?}");
        let expected = expected.unwrap_or_else(|refusal| vec![Model::refused(request, &refusal)]);
        let heard = self.heard()?;
        ensure!(heard == expected, "{heard:?} instead of {expected:?}");
        let (found, expected) = (spigrp()?, model.spigrp());
        ensure!(
            found == expected,
            "ipsec_spigrp:\n{found}instead of\n{expected}"
        );
        let (found, expected) = (self.dump()?, model.described());
        ensure!(found == expected, "DUMP: {found:?} instead of {expected:?}");
        Ok(())
    }

    /// What everybody has been told.
    fn heard(&self) -> Result<Vec<Told>> {
        let heard = self.writer.drain()?;
        for socket in [&self.listener, &self.dumper] {
            let other = socket.drain()?;
            ensure!(
                other == heard,
                "{other:02x?} to one, {heard:02x?} to the other"
            );
        }
        heard.iter().for_each(|message| assert_clean(message));
        Ok(heard.iter().map(|message| Told::of(message)).collect())
    }

    /// All SAs as DUMP tells them.
    fn dump(&self) -> Result<Vec<Described>> {
        let result = self.dumper.write(&message(msg::DUMP, 0, &[]));
        if result == Err(Errno::ENOENT) {
            self.heard()?;
            return Ok(Vec::new());
        }
        ensure!(result == Ok(()), "DUMP: {result:?}");
        let told = self.dumper.drain()?;
        Ok(told.iter().map(|message| Described::of(message)).collect())
    }
}
