// SPDX-License-Identifier: GPL-2.0

//! Records which instructions a guest executes, for a profile that samples nothing: each one is
//! counted.
//!
//! QEMU is told through its monitor to make a block of each single instruction, and to log each
//! block that it executes.

use anyhow::{Context, Result, ensure};
use std::{
    collections::BTreeMap,
    fs,
    fs::File,
    io,
    io::{BufRead, BufReader, Write},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
};

/// What QEMU writes, in its directory.
const LOG: &str = "instructions.log";
/// What is left in the end, beside it.
const COUNTS: &str = "counts.csv";
/// The line after which instructions count.
const READY: &[u8] = b"\nready\n";
/// The monitor's commands.  How to get blocks of one instruction depends on QEMU's version; of a
/// command that it does not know it only says so.
const COMMANDS: &str =
    "singlestep on\none-insn-per-tb on\nlogfile instructions.log\nlog exec,nochain\n";
/// About how long a line of the log is.
const LINE: u64 = 80;

/// Which instructions are recorded.
#[derive(Clone, Debug)]
pub struct Record {
    /// About how many.
    pub instructions: u64,
    /// The function of the kernel with which each round begins, if only whole rounds count.
    pub rounds: Option<String>,
}

/// What waits until the guest is ready and then has its instructions recorded.
#[derive(Debug)]
pub struct Recorder {
    /// Where the monitor's socket is: its path has to be short.
    directory: tempfile::TempDir,
    log: PathBuf,
    /// How large the log shall get.
    limit: u64,
    rounds: Option<String>,
    monitor: Option<UnixStream>,
}

impl Recorder {
    /// Prepares to record instructions of a guest with its files in `directory`.
    pub fn new(directory: &Path, record: &Record) -> Result<Self> {
        let log = directory.join(LOG);
        // What an earlier run left there.
        match fs::remove_file(&log) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
            _ => (),
        }
        Ok(Recorder {
            directory: tempfile::tempdir()?,
            log,
            limit: record.instructions * LINE,
            rounds: record.rounds.clone(),
            monitor: None,
        })
    }

    /// Where QEMU has to listen.
    pub fn socket(&self) -> PathBuf {
        self.directory.path().join("monitor")
    }

    /// Begins once the guest's output ends with "ready", and returns whether it is enough.
    pub fn look(&mut self, output: &[u8]) -> Result<bool> {
        if self.monitor.is_none() {
            if output.ends_with(READY) {
                let mut monitor = UnixStream::connect(self.socket()).context("QEMU's monitor")?;
                monitor.write_all(COMMANDS.as_bytes())?;
                self.monitor = Some(monitor);
            }
            return Ok(false);
        }
        Ok(fs::metadata(&self.log).is_ok_and(|log| log.len() >= self.limit))
    }

    /// Counts how often the instruction at each address was executed, once QEMU has ended, and
    /// replaces the log by that. The guest's output has its symbols.
    pub fn finish(self, output: &[u8]) -> Result<()> {
        let first = self.rounds.map(|function| {
            let text = String::from_utf8_lossy(output);
            address_of(&text, &function).with_context(|| format!("there is no {function}"))
        });
        let first = first.transpose()?;
        let context = || self.log.display().to_string();
        let log = BufReader::new(File::open(&self.log).with_context(context)?);
        let counts = count(log, first)?;
        ensure!(
            !counts.is_empty(),
            "{}: no instructions",
            self.log.display()
        );
        let mut file = io::BufWriter::new(File::create(self.log.with_file_name(COUNTS))?);
        writeln!(file, "address,count")?;
        for (address, count) in counts {
            writeln!(file, "{address:016x},{count}")?;
        }
        file.flush()?;
        Ok(fs::remove_file(&self.log)?)
    }
}

/// Finds a function in the lines of /proc/kallsyms.
fn address_of(symbols: &str, function: &str) -> Option<u64> {
    symbols.lines().find_map(|line| {
        let mut words = line.split_whitespace();
        let address = u64::from_str_radix(words.next()?, 16).ok()?;
        (words.nth(1)? == function).then_some(address)
    })
}

/// Counts the blocks of a log: `Trace 0: 0x7f… [base/address/flags/flags] symbol`. Those before the
/// `first` block of a round don't count, nor those of a round that is not whole.
fn count(log: impl BufRead, first: Option<u64>) -> Result<BTreeMap<u64, u64>> {
    let mut counts: BTreeMap<u64, u64> = BTreeMap::new();
    let mut round: Option<BTreeMap<u64, u64>> = None;
    for line in log.lines() {
        let line = line?;
        let Some(rest) = line.strip_prefix("Trace ") else {
            continue;
        };
        // The last line may be cut off.
        let address = rest.split('/').nth(1);
        let Some(Ok(address)) = address.map(|text| u64::from_str_radix(text, 16)) else {
            continue;
        };
        let counts = match first {
            None => &mut counts,
            Some(first) => {
                if address == first {
                    for (address, count) in round.replace(BTreeMap::new()).into_iter().flatten() {
                        *counts.entry(address).or_default() += count;
                    }
                }
                match &mut round {
                    Some(round) => round,
                    None => continue,
                }
            }
        };
        *counts.entry(address).or_default() += 1;
    }
    Ok(counts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_counted_by_their_address() {
        let log = "Stopped execution of TB chain before 0x7f12\n\
                   Trace 0: 0x7f1240 [00000000/ffffffff81000010/0/ff0b] _text\n\
                   Trace 0: 0x7f1250 [00000000/0000000000401000/0/ff0b] \n\
                   Trace 0: 0x7f1240 [00000000/ffffffff81000010/0/ff0b] _text\n\
                   Trace 0: 0x7f12";
        let counts = |first| {
            let counts = count(log.as_bytes(), first).unwrap();
            counts.into_iter().collect::<Vec<_>>()
        };
        let (user, kernel) = (0x40_1000, 0xffff_ffff_8100_0010);
        assert_eq!(counts(None), [(user, 1), (kernel, 2)]);
        assert_eq!(counts(Some(kernel)), [(user, 1), (kernel, 1)]);
        assert_eq!(counts(Some(user)), []);
    }

    #[test]
    fn functions_are_found_by_their_names() {
        let symbols = "ffffffff81000010 t other\nffffffff81000020 T wanted\nready\n";
        assert_eq!(address_of(symbols, "wanted"), Some(0xffff_ffff_8100_0020));
        assert_eq!(address_of(symbols, "T"), None);
    }

    #[test]
    fn nothing_begins_before_the_guest_is_ready() {
        let directory = tempfile::tempdir().unwrap();
        let record = Record {
            instructions: 1,
            rounds: None,
        };
        let mut recorder = Recorder::new(directory.path(), &record).unwrap();
        assert!(!recorder.look(b"getting ready\n").unwrap());
        // There is no monitor.
        assert!(recorder.look(b"symbols\nready\n").is_err());
    }
}
