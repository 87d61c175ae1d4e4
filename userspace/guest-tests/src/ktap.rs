// SPDX-License-Identifier: GPL-2.0

//! Runs tests and tells their results as KTAP (Documentation/dev-tools/ktap.rst of the kernel).

use anyhow::{Result, anyhow};
use nix::sched::{CloneFlags, unshare};
use std::{fs, process::ExitCode, thread, time::Instant};

/// A test.
pub struct Test {
    /// What it shows, in words joined by underscores.
    pub name: String,
    /// Whether it is run whichever tests are asked for.
    pub always: bool,
    own_namespace: bool,
    run: Box<dyn FnOnce() -> Result<()> + Send>,
}

impl Test {
    /// A test with a network namespace of its own.
    pub fn new(
        name: impl Into<String>,
        run: impl FnOnce() -> Result<()> + Send + 'static,
    ) -> Self {
        Test {
            name: name.into(),
            always: false,
            own_namespace: true,
            run: Box::new(run),
        }
    }

    /// A test in the first network namespace, on which those after it depend.
    pub fn step(
        name: impl Into<String>,
        run: impl FnOnce() -> Result<()> + Send + 'static,
    ) -> Self {
        Test {
            always: true,
            own_namespace: false,
            ..Test::new(name, run)
        }
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

/// Runs the tests, one after another.
pub fn run(tests: Vec<Test>) -> ExitCode {
    println!("KTAP version 1");
    println!("1..{}", tests.len());
    let mut failed = 0;
    for (index, test) in tests.into_iter().enumerate() {
        let number = index + 1;
        // Tells in the console which test its messages belong to.
        let _ = fs::write("/dev/kmsg", format!("klips-test: begin {}\n", test.name));
        let (name, own_namespace, run) = (test.name, test.own_namespace, test.run);
        let start = Instant::now();
        let result = thread::Builder::new()
            .name(name.clone())
            .spawn(move || {
                if own_namespace {
                    unshare(CloneFlags::CLONE_NEWNET)?;
                }
                run()
            })
            .map_err(|error| anyhow!("no thread: {error}"))
            .and_then(|thread| thread.join().unwrap_or_else(|panic| Err(describe(&*panic))));
        match result {
            Ok(()) => println!("ok {number} {name}"),
            Err(error) => {
                failed += 1;
                for line in format!("{error:?}").lines() {
                    println!("# {line}");
                }
                println!("# after {} ms", start.elapsed().as_millis());
                println!("not ok {number} {name}");
            }
        }
    }
    match failed {
        0 => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    }
}

fn describe(panic: &(dyn std::any::Any + Send)) -> anyhow::Error {
    let text = panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("panicked");
    anyhow!("{text}")
}
