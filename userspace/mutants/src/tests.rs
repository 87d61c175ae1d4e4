// SPDX-License-Identifier: GPL-2.0

//! Runs tests, one in a process.

use crate::{build::Program, weave::Number};
use anyhow::{Context, Result, ensure};
use rustix::process::{Pid, Signal, kill_process_group};
use std::{
    collections::BTreeSet,
    fs,
    os::unix::process::CommandExt,
    process::{Command, ExitStatus, Stdio},
    sync::{
        Mutex,
        atomic::{AtomicU32, Ordering},
    },
    thread,
    time::{Duration, Instant},
};
use tempfile::NamedTempFile;
use wait_timeout::ChildExt;

/// How long a test may take, and how many times what it takes without a mutant.
const PATIENCE: Duration = Duration::from_secs(10);
const PATIENCE_FACTOR: u32 = 10;

/// One test.
pub struct Test<'a> {
    program: &'a Program,
    name: String,
    takes: Duration,
    /// How many mutants it has noticed.
    notices: AtomicU32,
    /// Which mutants it goes through.
    pub reaches: BTreeSet<Number>,
}

/// What became of a mutant.
#[derive(Clone, Copy, PartialEq)]
pub enum Outcome {
    Caught,
    /// A test did not end.
    Timeout,
    Missed,
}

/// Does this for each, `jobs` at a time; the first error ends it.
pub fn for_each<T: Send>(
    jobs: usize,
    all: Vec<T>,
    work: impl Fn(T) -> Result<()> + Sync,
) -> Result<()> {
    let queue = Mutex::new(all.into_iter());
    let next = || queue.lock().ok()?.next();
    let work = || {
        while let Some(item) = next() {
            work(item)?;
        }
        Ok(())
    };
    thread::scope(|scope| {
        let workers = (0..jobs).map(|_| scope.spawn(work)).collect::<Vec<_>>();
        workers
            .into_iter()
            .try_for_each(|worker| worker.join().expect("a worker died"))
    })
}

/// All tests of these programs; each has to pass.
pub fn all(programs: &[Program], jobs: usize) -> Result<Vec<Test<'_>>> {
    let mut names = Vec::new();
    for program in programs {
        let list = command(program)
            .args(["--list", "--format", "terse"])
            .output()?;
        let list = String::from_utf8(list.stdout)?;
        let list = list.lines().filter_map(|line| line.strip_suffix(": test"));
        names.extend(list.map(|name| (program, name.to_string())));
    }
    let tests = Mutex::new(Vec::new());
    for_each(jobs, names, |(program, name)| {
        let reached = NamedTempFile::new()?;
        let mut test = Test {
            program,
            name,
            takes: Duration::MAX,
            notices: AtomicU32::new(0),
            reaches: BTreeSet::new(),
        };
        let start = Instant::now();
        let status = test.run(|command| command.env("MUTANTS_REACHED", reached.path()))?;
        ensure!(
            status.is_some_and(|status| status.success()),
            "{} fails without a mutant.",
            test.name
        );
        test.takes = start.elapsed();
        let reached = fs::read_to_string(reached.path())?;
        test.reaches = reached.lines().map(str::parse).collect::<Result<_, _>>()?;
        tests.lock().expect("a worker died").push(test);
        Ok(())
    })?;
    Ok(tests.into_inner().expect("a worker died"))
}

/// What the tests that go through a mutant make of it.
pub fn judge(tests: &[Test<'_>], mutant: Number) -> Result<Outcome> {
    let mut tests = tests
        .iter()
        .filter(|test| test.reaches.contains(&mutant))
        .collect::<Vec<_>>();
    // First what is quick and has noticed others.
    tests.sort_by_cached_key(|test| test.takes / (1 + test.notices.load(Ordering::Relaxed)));
    for test in tests {
        let outcome = match test.run(|command| command.env("MUTANT", mutant.to_string()))? {
            None => Outcome::Timeout,
            Some(status) if !status.success() => Outcome::Caught,
            Some(_) => continue,
        };
        test.notices.fetch_add(1, Ordering::Relaxed);
        return Ok(outcome);
    }
    Ok(Outcome::Missed)
}

fn command(program: &Program) -> Command {
    let mut command = Command::new(&program.path);
    command
        .current_dir(&program.directory)
        .env("CARGO_MANIFEST_DIR", &program.directory)
        // The same cases for all.
        .env("PROPTEST_RNG_SEED", "1")
        .env("PROPTEST_MAX_SHRINK_ITERS", "0")
        .env("PROPTEST_DISABLE_FAILURE_PERSISTENCE", "true");
    command
}

impl Test<'_> {
    /// Nothing if it had to be stopped.
    fn run(&self, with: impl FnOnce(&mut Command) -> &mut Command) -> Result<Option<ExitStatus>> {
        let mut command = command(self.program);
        command.args([&self.name, "--exact"]);
        let mut test = with(&mut command)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()?;
        let patience = PATIENCE.saturating_add(self.takes.saturating_mul(PATIENCE_FACTOR));
        let status = test.wait_timeout(patience.min(Duration::from_secs(3600)))?;
        if status.is_none() {
            let group = Pid::from_child(&test);
            kill_process_group(group, Signal::KILL).context("A test can't be stopped.")?;
            test.wait()?;
        }
        Ok(status)
    }
}
