// SPDX-License-Identifier: GPL-2.0

//! The list of mutants, which comes from cargo-mutants.

use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use std::{collections::HashSet, fs, ops::Range, path::Path};

/// A little change to the sources.
#[derive(Deserialize)]
pub struct Mutant {
    /// What cargo-mutants calls it.
    #[serde(skip)]
    pub name: String,
    pub file: String,
    pub function: Option<Function>,
    pub genre: Genre,
    pub replacement: String,
    span: Span,
}

#[derive(Clone, Copy, Deserialize, PartialEq)]
pub enum Genre {
    FnValue,
    BinaryOperator,
    UnaryOperator,
    MatchArm,
    MatchArmGuard,
    StructField,
}

#[derive(Deserialize)]
pub struct Function {
    pub return_type: String,
}

#[derive(Deserialize)]
struct Span {
    start: Position,
    end: Position,
}

/// Both count from 1, and columns are characters.
#[derive(Deserialize)]
struct Position {
    line: usize,
    column: usize,
}

impl Mutant {
    /// The bytes of its file that it replaces.
    pub fn place(&self, text: &str) -> Range<usize> {
        let byte = |position: &Position| {
            let line = text.split_inclusive('\n').take(position.line - 1);
            let line = line.map(str::len).sum::<usize>();
            let column = text[line..].chars().take(position.column - 1);
            line + column.map(char::len_utf8).sum::<usize>()
        };
        byte(&self.span.start)..byte(&self.span.end)
    }
}

/// Those of `list` that are named in `wanted`; `names` has the name of each.
pub fn read(list: &Path, names: &Path, wanted: &Path) -> Result<Vec<Mutant>> {
    let read = |path: &Path| fs::read_to_string(path).with_context(|| path.display().to_string());
    let mut mutants: Vec<Mutant> = serde_json::from_str(&read(list)?)?;
    let names = read(names)?;
    ensure!(
        names.lines().count() == mutants.len(),
        "The names are not those of the list."
    );
    for (mutant, name) in mutants.iter_mut().zip(names.lines()) {
        mutant.name = name.to_string();
    }
    let wanted = read(wanted)?;
    let wanted = wanted.lines().collect::<HashSet<_>>();
    mutants.retain(|mutant| wanted.contains(mutant.name.as_str()));
    Ok(mutants)
}
