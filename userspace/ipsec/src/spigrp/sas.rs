// SPDX-License-Identifier: GPL-2.0

//! The SAs among the arguments, in both forms (reference 8.2).

use crate::{
    failure::Failure,
    program::Program,
    system::System,
    text::{self, Shown},
};
use klips::said::Said;
use pfkey::text::number::NumberError;
use std::fmt;

/// The most SAs that can be grouped at once.
pub(super) const MAX: usize = 4;

/// How many arguments name an SA without `--said`.
const WORDS: usize = 4;

fn check_count(program: &Program, count: usize) -> Result<(), Failure> {
    match count {
        0..=MAX => Ok(()),
        _ => Err(Failure::usage(format!(
            "at most {MAX} SAs can be grouped, got {count}.{}",
            text::see_help(program)
        ))),
    }
}

/// SAs as one argument each.
pub(super) fn saids(
    program: &Program,
    args: &[&str],
    system: &mut impl System,
) -> Result<Vec<Said>, Failure> {
    if args.is_empty() {
        return Err(Failure::usage(format!(
            "expecting 1 to {MAX} SAs after --said, got none.{}",
            text::see_help(program)
        )));
    }
    check_count(program, args.len())?;
    args.iter().map(|arg| text::said(arg, system)).collect()
}

/// SAs as four arguments each.
pub(super) fn words(
    program: &Program,
    args: &[&str],
    system: &mut impl System,
) -> Result<Vec<Said>, Failure> {
    if args.len() % WORDS != 0 {
        return Err(Failure::usage(format!(
            "expecting af, dst, spi and proto for each SA without --said, got {} {}.{}",
            args.len(),
            match args.len() {
                1 => "argument",
                _ => "arguments",
            },
            text::see_help(program)
        )));
    }
    check_count(program, args.len() / WORDS)?;
    args.chunks(WORDS)
        .enumerate()
        .map(|(index, words)| match words {
            [af, dst, spi, proto] => quadruple(index, [af, dst, spi, proto], system),
            _ => unreachable!("a chunk has {WORDS} words"),
        })
        .collect()
}

/// One SA of four words, looked at in the order in which the original does.
fn quadruple(
    index: usize,
    [af, dst, spi, proto]: [&str; WORDS],
    system: &mut impl System,
) -> Result<Said, Failure> {
    let proto = text::proto(proto)
        .ok_or_else(|| Failure::usage(format!("Badly formed proto: {}", Shown(proto))))?;
    let spi = text::spi(spi).map_err(|error| {
        let spi = Shown(spi);
        Failure::usage(match error {
            NumberError::NonDigit | NumberError::NonHexDigit => format!("Badly formed spi: {spi}"),
            // What the original took for another number, or for 0.
            error => format!("Badly formed spi: {spi} ({error})"),
        })
    })?;
    let family = text::family(af)
        .ok_or_else(|| Failure::usage(format!("Address family {} not supported", Shown(af))))?;
    let dst = text::address(dst, Some(family), system).map_err(|error| {
        error.failure(format!(
            "Error, {error} converting {} address argument:{}",
            ordinal(index),
            Shown(dst)
        ))
    })?;
    Ok(Said { dst, spi, proto })
}

/// The number of an SA, counted from 0 as the original did.
fn ordinal(index: usize) -> String {
    let suffix = match index {
        1 => "st",
        2 => "nd",
        3 => "rd",
        _ => "th",
    };
    format!("{index}{suffix}")
}

/// Prints SAs as the manual page does.
pub(super) struct Names<'a>(pub(super) &'a [Said]);

impl fmt::Display for Names<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, said) in self.0.iter().enumerate() {
            let separator = if index == 0 { "" } else { " " };
            write!(f, "{separator}{said:#}")?;
        }
        Ok(())
    }
}
