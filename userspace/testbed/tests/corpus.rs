// SPDX-License-Identifier: GPL-2.0

//! The fuzz targets without a fuzzer: on all of their corpora in `userspace/fuzz/corpus`, and for
//! some seconds on what comes of changing that at random.
//!
//! `KLIPS_FUZZ_SECONDS` in the environment says how many seconds for each target.

use model::{Random, change};
use std::{
    fs,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    path::Path,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};
use testbed::target;

/// Longest input that is made.
const LONGEST: usize = 4096;

fn corpus(name: &str) -> Vec<Vec<u8>> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../fuzz/corpus")
        .join(name);
    let entries = fs::read_dir(&directory).unwrap_or_else(|error| panic!("{directory:?}: {error}"));
    entries
        .map(|entry| fs::read(entry.expect("an entry").path()).expect("a file"))
        .collect()
}

/// Runs a target, and keeps the input if it finds something.
fn run(name: &str, target: fn(&[u8]), input: &[u8]) {
    let result = catch_unwind(AssertUnwindSafe(|| target(input)));
    if let Err(panic) = result {
        let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("crash-{name}"));
        fs::write(&file, input).expect("can be written");
        eprintln!("target {name}: the input is in {}", file.display());
        resume_unwind(panic);
    }
}

fn smoke(name: &str, target: fn(&[u8])) {
    let corpus = corpus(name);
    assert!(corpus.len() > 10, "a corpus");
    corpus.iter().for_each(|input| run(name, target, input));

    let seconds = std::env::var("KLIPS_FUZZ_SECONDS").map_or(2, |seconds| {
        seconds.parse().expect("KLIPS_FUZZ_SECONDS is a number")
    });
    let seed = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("after 1970")
        .as_nanos();
    let mut random = Random::new(seed as u64);
    let (begun, mut runs) = (Instant::now(), 0u64);
    while begun.elapsed() < Duration::from_secs(seconds) {
        let mut input = corpus[random.below(corpus.len())].clone();
        change(&mut random, &corpus, &mut input);
        input.truncate(LONGEST);
        run(name, target, &input);
        runs += 1;
    }
    println!(
        "{name}: {} inputs of the corpus, {runs} made of them",
        corpus.len()
    );
}

#[test]
fn codec_target_finds_nothing() {
    smoke("codec", target::codec);
}

#[test]
fn text_target_finds_nothing() {
    smoke("text", target::text);
}

#[test]
fn sequence_target_finds_nothing() {
    smoke("sequence", target::sequence);
}

#[test]
fn model_target_finds_nothing() {
    smoke("model", target::model);
}

#[test]
fn memory_target_finds_nothing() {
    smoke("memory", target::memory);
}
