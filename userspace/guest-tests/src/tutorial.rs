// SPDX-License-Identifier: GPL-2.0

//! The tutorial, word for word: what it has typed is run by one shell, and prints what it shows.

use crate::{ktap::Test, support::in_first_network, tests};
use anyhow::{Context, Result, ensure};
use std::process::Command;
use tempfile::TempDir;

const PAGE: &str = include_str!("../../ipsec/doc/tutorial.md");

/// The test.
pub fn all() -> Vec<Test> {
    tests![the_tutorial_word_for_word]
}

/// The blocks of a page with this word behind the fence, and those that are shown after each.
fn blocks() -> Vec<(String, Vec<String>)> {
    let mut blocks: Vec<(String, Vec<String>)> = Vec::new();
    let mut inside: Option<(&str, String)> = None;
    for line in PAGE.lines() {
        match (&mut inside, line.strip_prefix("```")) {
            (None, Some(kind)) => inside = Some((kind, String::new())),
            (Some((kind, text)), Some("")) => {
                match *kind {
                    "sh" => blocks.push((text.clone(), Vec::new())),
                    _ => blocks
                        .last_mut()
                        .expect("a command before its output")
                        .1
                        .extend(text.lines().map(str::to_owned)),
                }
                inside = None;
            }
            (Some((_, text)), _) => *text += &format!("{line}\n"),
            (None, None) => (),
        }
    }
    blocks
}

/// Whether a line is as it is shown: `...` stands for anything.
fn fits(line: &str, shown: &str) -> bool {
    let mut parts = shown.split("...");
    let Some(mut rest) = line.strip_prefix(parts.next().unwrap_or_default()) else {
        return false;
    };
    let mut open = false;
    for part in parts {
        let Some(at) = rest.find(part) else {
            return false;
        };
        rest = &rest[at + part.len()..];
        open = part.is_empty();
    }
    open || rest.is_empty()
}

fn the_tutorial_word_for_word() -> Result<()> {
    let blocks = blocks();
    ensure!(blocks.len() == 9, "{} blocks", blocks.len());
    // busybox's shell has an ip and a ping of its own.
    let mut script = "set -e\nip() { /usr/sbin/ip \"$@\"; }\nexec 2>&1\n".to_owned();
    for (index, (commands, _)) in blocks.iter().enumerate() {
        script += &format!("echo '@@{index}'\n{commands}");
    }
    script += "echo '@@end'\n";
    let folder = TempDir::new()?;
    let output = in_first_network(|| {
        Command::new("sh")
            .args(["-c", &script])
            .current_dir(folder.path())
            .output()
            .context("sh")
    })?;
    let said = String::from_utf8(output.stdout)?;
    ensure!(output.status.success(), "{said}");
    for (index, (commands, shown)) in blocks.iter().enumerate() {
        let (_, after) = said
            .split_once(&format!("@@{index}\n"))
            .context("a block")?;
        let came = after.split("@@").next().unwrap_or_default();
        let mut lines = came.lines();
        for line in shown {
            ensure!(
                lines.any(|own| fits(own, line)),
                "{commands}\nshows\n{line}\nand prints\n{came}"
            );
        }
    }
    ensure!(
        std::fs::read_dir(folder.path())?.count() == 0,
        "files are left"
    );
    Ok(())
}
