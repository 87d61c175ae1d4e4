// SPDX-License-Identifier: GPL-2.0

//! Builds little changes to the module's sources all at once, each behind a switch, and looks which
//! of them the tests notice.  Part of `scripts/mutants.sh`.

mod build;
mod list;
mod tests;
mod weave;

use anyhow::{Context, Result};
use build::Build;
use clap::Parser;
use std::{
    collections::BTreeSet,
    fs::{self, File, OpenOptions},
    io::Write,
    path::{Path, PathBuf},
    sync::atomic::{AtomicUsize, Ordering},
};
use tests::Outcome;
use weave::Number;

/// Looks which changes to the module's sources the tests notice
#[derive(Parser)]
struct Cli {
    /// What "cargo mutants --list --json" says
    #[arg(long)]
    list: PathBuf,
    /// What "cargo mutants --list" says
    #[arg(long)]
    names: PathBuf,
    /// Those of the names that are to be tried
    #[arg(long)]
    wanted: PathBuf,
    /// A copy of the workspace, which will be changed
    #[arg(long)]
    copy: PathBuf,
    /// Where to build
    #[arg(long)]
    target: PathBuf,
    /// Where to say what became of each; what is there already is not tried again
    #[arg(long)]
    results: PathBuf,
    /// How many tests to run at a time
    #[arg(long)]
    jobs: usize,
    /// Packages with tests; another such option is for what they miss
    #[arg(long, required = true)]
    packages: Vec<String>,
}

fn main() -> Result<()> {
    let cli = Cli::parse();
    let mutants = list::read(&cli.list, &cli.names, &cli.wanted)?;
    let name = |number: &Number| mutants[*number].name.as_str();
    let numbers = |path: &Path| -> BTreeSet<Number> {
        let text = fs::read_to_string(path).unwrap_or_default();
        let names = text.lines().collect::<BTreeSet<_>>();
        (0..mutants.len())
            .filter(|number| names.contains(name(number)))
            .collect()
    };
    let write = |file: &str, numbers: &BTreeSet<Number>| -> Result<()> {
        let names = numbers.iter().map(|number| format!("{}\n", name(number)));
        Ok(fs::write(
            cli.results.join(file),
            names.collect::<String>(),
        )?)
    };

    let mut build = Build::new(
        &mutants,
        &cli.copy,
        &cli.target,
        numbers(&cli.results.join("refused")),
    )?;
    let mut left = None;
    for (stage, packages) in (1..).zip(&cli.packages) {
        let packages = packages.split(',').map(str::to_string).collect::<Vec<_>>();
        let programs = build.programs(&packages)?;
        write("refused", &build.refused)?;
        let wanted = left.take().unwrap_or_else(|| build.switched());
        let file = |outcome| {
            let outcome = match outcome {
                Outcome::Caught => "caught",
                Outcome::Timeout => "timeout",
                Outcome::Missed => "missed",
            };
            cli.results.join(format!("{stage}.{outcome}"))
        };
        let open = |outcome| -> Result<File> {
            let path = file(outcome);
            let opened = OpenOptions::new().create(true).append(true).open(&path);
            opened.with_context(|| path.display().to_string())
        };
        let files = [Outcome::Caught, Outcome::Timeout, Outcome::Missed];
        let known = files
            .iter()
            .flat_map(|&outcome| numbers(&file(outcome)))
            .collect();
        let todo = wanted.difference(&known).copied().collect::<Vec<_>>();
        if !todo.is_empty() {
            let tests = tests::all(&programs, cli.jobs)?;
            eprintln!(
                "mutants: {} for the {} tests of {}",
                todo.len(),
                tests.len(),
                packages.join(", ")
            );
            let (count, tried) = (todo.len(), AtomicUsize::new(0));
            tests::for_each(cli.jobs, todo, |number| {
                let outcome = tests::judge(&tests, number)?;
                writeln!(open(outcome)?, "{}", name(&number))?;
                let tried = tried.fetch_add(1, Ordering::Relaxed) + 1;
                if tried % 100 == 0 {
                    eprintln!("mutants: {tried} of {count}");
                }
                Ok(())
            })?;
        }
        left = Some(numbers(&file(Outcome::Missed)));
    }

    // Where it is used in a constant, it had no chance.
    let missed = left.unwrap_or_default();
    let in_const = missed.intersection(&build.in_const()).copied().collect();
    write("missed", &missed.difference(&in_const).copied().collect())?;
    write("rest", &build.rest().union(&in_const).copied().collect())?;
    write("unviable", &build.unviable())
}
