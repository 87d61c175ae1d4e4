// SPDX-License-Identifier: GPL-2.0

//! Builds the tests with all mutants that can be built.

use crate::{
    list::{Genre, Mutant},
    weave::{self, Number, Woven},
};
use anyhow::{Context, Result, bail, ensure};
use cargo_metadata::{Message, diagnostic::DiagnosticLevel};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::BufReader,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// A copy of the workspace, which is where this is run, and what became of the mutants in it.
pub struct Build<'a> {
    mutants: &'a [Mutant],
    copy: PathBuf,
    target: PathBuf,
    /// The module's sources as they are.
    texts: BTreeMap<&'a str, String>,
    woven: BTreeMap<&'a str, Woven>,
    /// What the compiler refused.
    pub refused: BTreeSet<Number>,
}

/// A program of tests, and the directory that cargo would run it in.
pub struct Program {
    pub path: PathBuf,
    pub directory: PathBuf,
}

/// Does nothing if that is what the file has, so that cargo does nothing either.
fn write(path: &Path, text: &str) -> Result<()> {
    if fs::read_to_string(path).is_ok_and(|old| old == text) {
        return Ok(());
    }
    fs::write(path, text).with_context(|| path.display().to_string())
}

impl<'a> Build<'a> {
    /// With the copy in `copy`, to be changed, and what is built in `target`.  The compiler is known to
    /// refuse `refused`.
    pub fn new(
        mutants: &'a [Mutant],
        copy: &Path,
        target: &Path,
        refused: BTreeSet<Number>,
    ) -> Result<Self> {
        let mut texts = BTreeMap::new();
        for mutant in mutants {
            texts.insert(mutant.file.as_str(), fs::read_to_string(&mutant.file)?);
        }
        let root = weave::with_switch(&fs::read_to_string("rust/host.rs")?)?;
        write(&copy.join("rust/host.rs"), &root)?;
        write(&copy.join("rust/switch.rs"), &weave::switch(mutants.len()))?;
        let mut build = Self {
            mutants,
            copy: copy.canonicalize()?,
            target: std::path::absolute(target)?,
            texts,
            woven: BTreeMap::new(),
            refused,
        };
        build.weave(&build.texts.keys().copied().collect())?;
        Ok(build)
    }

    fn weave(&mut self, files: &BTreeSet<&'a str>) -> Result<()> {
        for &file in files {
            let mutants =
                self.mutants.iter().enumerate().filter(|(number, mutant)| {
                    mutant.file == file && !self.refused.contains(number)
                });
            let woven = weave::weave(&self.texts[file], &mutants.collect::<Vec<_>>())
                .with_context(|| file.to_string())?;
            write(&self.copy.join(file), &woven.text)?;
            self.woven.insert(file, woven);
        }
        Ok(())
    }

    /// The programs that have these packages' tests.
    pub fn programs(&mut self, packages: &[String]) -> Result<Vec<Program>> {
        loop {
            let (programs, refused, error) = self.cargo(packages)?;
            if error.is_empty() {
                return Ok(programs);
            }
            ensure!(
                !refused.is_empty(),
                "It does not build, for no mutant's reason:\n{error}"
            );
            eprintln!(
                "mutants: {} that do not build",
                self.refused.len() + refused.len()
            );
            let files = refused
                .iter()
                .map(|&number| self.mutants[number].file.as_str())
                .collect();
            self.refused.extend(refused);
            self.weave(&files)?;
        }
    }

    /// Programs, what the compiler refused, and what it said of it.
    fn cargo(&self, packages: &[String]) -> Result<(Vec<Program>, BTreeSet<Number>, String)> {
        let mut cargo = Command::new("cargo")
            .args(["test", "--no-run", "--quiet", "--message-format", "json"])
            .args(packages.iter().flat_map(|package| ["--package", package]))
            .current_dir(&self.copy)
            .env("CARGO_TARGET_DIR", &self.target)
            // For the switch in constant functions, as the kernel has it for its crates.
            .env("RUSTC_BOOTSTRAP", "klips")
            .stdout(Stdio::piped())
            .spawn()?;
        let (mut programs, mut refused, mut error) = (Vec::new(), BTreeSet::new(), String::new());
        let output = cargo.stdout.take().context("There is no output.")?;
        for message in Message::parse_stream(BufReader::new(output)) {
            match message? {
                Message::CompilerArtifact(artifact) if artifact.profile.test => {
                    let directory = artifact
                        .manifest_path
                        .parent()
                        .context("There is no directory.")?;
                    programs.extend(artifact.executable.map(|path| Program {
                        path: path.into(),
                        directory: directory.into(),
                    }));
                }
                Message::CompilerMessage(message)
                    if message.message.level == DiagnosticLevel::Error =>
                {
                    for span in &message.message.spans {
                        let file = span.file_name.as_str();
                        let pieces = self.woven.get(file).map_or(&[][..], |woven| &woven.pieces);
                        let at = span.byte_start as usize;
                        let hit = || pieces.iter().filter(|(piece, _)| piece.contains(&at));
                        // The innermost.
                        let least = hit().map(|(piece, _)| piece.len()).min();
                        let hit = hit().filter(|(piece, _)| Some(piece.len()) == least);
                        refused.extend(hit.map(|&(_, number)| number));
                    }
                    error.extend(message.message.rendered);
                }
                _ => {}
            }
        }
        if cargo.wait()?.success() {
            return Ok((programs, BTreeSet::new(), String::new()));
        }
        if error.is_empty() {
            bail!("cargo failed.");
        }
        Ok((programs, refused, error))
    }

    /// What can't be built, behind a switch or without one: there is no value of that kind.
    pub fn unviable(&self) -> BTreeSet<Number> {
        let values = self
            .refused
            .iter()
            .filter(|&&number| self.mutants[number].genre == Genre::FnValue);
        values.copied().collect()
    }

    /// What has no switch, but might be built.
    pub fn rest(&self) -> BTreeSet<Number> {
        let (switched, unviable) = (self.switched(), self.unviable());
        let all = 0..self.mutants.len();
        all.filter(|number| !switched.contains(number) && !unviable.contains(number))
            .collect()
    }

    /// What has a switch that a constant's evaluation would not look at.
    pub fn in_const(&self) -> BTreeSet<Number> {
        self.woven
            .values()
            .flat_map(|woven| woven.in_const.iter().copied())
            .collect()
    }

    /// What has a switch.
    pub fn switched(&self) -> BTreeSet<Number> {
        self.woven
            .values()
            .flat_map(|woven| woven.pieces.iter().map(|&(_, number)| number))
            .collect()
    }
}
