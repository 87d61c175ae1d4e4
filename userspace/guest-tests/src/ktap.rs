// SPDX-License-Identifier: GPL-2.0

//! Runs tests and tells their results as KTAP (Documentation/dev-tools/ktap.rst of the kernel).

use anyhow::{Context, Result, anyhow, ensure};
use nix::sched::{CloneFlags, unshare};
use std::{collections::BTreeMap, fs, process::ExitCode, str::FromStr, thread, time::Instant};

/// A test.
pub struct Test {
    /// What it shows, in words joined by underscores.
    pub name: String,
    own_namespace: bool,
    /// Whether it mostly waits, and so runs beside the others.
    waits: bool,
    run: Box<dyn FnOnce() -> Result<()> + Send>,
}

impl Test {
    /// A test with a network namespace of its own.
    pub fn new(name: impl Into<String>, run: impl FnOnce() -> Result<()> + Send + 'static) -> Self {
        Test {
            name: name.into(),
            own_namespace: true,
            waits: false,
            run: Box::new(run),
        }
    }

    /// The same test, run beside those before it.
    pub fn waiting(self) -> Self {
        Test {
            waits: true,
            ..self
        }
    }

    /// A test in the first network namespace, before or after all those with one of their own.
    pub fn step(
        name: impl Into<String>,
        run: impl FnOnce() -> Result<()> + Send + 'static,
    ) -> Self {
        Test {
            own_namespace: false,
            ..Test::new(name, run)
        }
    }
}

/// One of the guests among which tests are dealt out in turn.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Share {
    /// How many tests go to others before the next one for this guest.
    others: usize,
    guests: usize,
}

impl Share {
    /// All tests.
    pub const WHOLE: Self = Share {
        others: 0,
        guests: 1,
    };

    /// Tells whether the next test is for this guest.
    pub fn takes_next(&mut self) -> bool {
        let takes = self.others == 0;
        self.others = self.others.checked_sub(1).unwrap_or(self.guests - 1);
        takes
    }
}

impl FromStr for Share {
    type Err = anyhow::Error;

    /// Reads `K/N`: the Kth of N guests.
    fn from_str(text: &str) -> Result<Self> {
        let (number, guests) = text.split_once('/').context("expected K/N")?;
        let (number, guests): (usize, usize) = (number.parse()?, guests.parse()?);
        ensure!((1..=guests).contains(&number), "{text}: no such share");
        Ok(Share {
            others: number - 1,
            guests,
        })
    }
}

/// Makes tests of functions, with their names.
#[macro_export]
macro_rules! tests {
    ($($function:ident),* $(,)?) => {
        vec![$($crate::ktap::Test::new(
            concat!(module_path!(), "::", stringify!($function)).trim_start_matches("guest_tests::"),
            $function,
        )),*]
    };
}

/// Why a test can't be run here; returned as its error.
#[derive(Debug)]
pub struct Skip(pub &'static str);

impl std::fmt::Display for Skip {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for Skip {}

type Running = thread::JoinHandle<Result<()>>;

fn start(test: Test) -> Result<Running> {
    let (own_namespace, run) = (test.own_namespace, test.run);
    let thread = thread::Builder::new().name(test.name).spawn(move || {
        if own_namespace {
            unshare(CloneFlags::CLONE_NEWNET)?;
        }
        run()
    })?;
    Ok(thread)
}

fn finish(running: Result<Running>) -> Result<()> {
    running?
        .join()
        .unwrap_or_else(|panic| Err(describe(&*panic)))
}

/// Runs the tests, one after another. Those that wait are started with the first that is no step.
pub fn run(tests: Vec<Test>) -> ExitCode {
    println!("KTAP version 1");
    println!("1..{}", tests.len());
    let mut failed = 0;
    let mut tests: Vec<Option<Test>> = tests.into_iter().map(Some).collect();
    let mut waiting: BTreeMap<usize, (String, Result<Running>)> = BTreeMap::new();
    for index in 0..tests.len() {
        let at_ease = tests[index].as_ref().is_some_and(|test| test.own_namespace);
        if at_ease && waiting.is_empty() {
            for (index, test) in tests.iter_mut().enumerate() {
                if let Some(test) = test.take_if(|test| test.waits) {
                    waiting.insert(index, (test.name.clone(), start(test)));
                }
            }
        }
        let number = index + 1;
        let begun = Instant::now();
        let (name, running) = match tests[index].take() {
            Some(test) => {
                mark(&test.name);
                (test.name.clone(), start(test))
            }
            None => match waiting.remove(&index) {
                Some((name, running)) => {
                    mark(&name);
                    (name, running)
                }
                None => continue,
            },
        };
        match finish(running) {
            Ok(()) => println!("ok {number} {name}"),
            Err(error) if error.is::<Skip>() => println!("ok {number} {name} # SKIP {error}"),
            Err(error) => {
                failed += 1;
                for line in format!("{error:?}").lines() {
                    println!("# {line}");
                }
                println!("# after {} ms", begun.elapsed().as_millis());
                println!("not ok {number} {name}");
            }
        }
    }
    match failed {
        0 => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    }
}

/// Tells in the console which test its messages belong to.
fn mark(name: &str) {
    let _ = fs::write("/dev/kmsg", format!("klips-test: begin {name}\n"));
}

fn describe(panic: &(dyn std::any::Any + Send)) -> anyhow::Error {
    let text = panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("panicked");
    anyhow!("{text}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_test_is_in_one_share() {
        for guests in 1..4 {
            let mut shares: Vec<Share> = (1..=guests)
                .map(|number| format!("{number}/{guests}").parse().expect("a share"))
                .collect();
            for test in 0..7 {
                let takers: Vec<usize> = (0..guests)
                    .filter(|number| shares[*number].takes_next())
                    .collect();
                assert_eq!(takers, [test % guests]);
            }
        }
        for wrong in ["", "1", "0/2", "3/2", "1/0", "a/2"] {
            assert!(wrong.parse::<Share>().is_err(), "{wrong}");
        }
    }
}
