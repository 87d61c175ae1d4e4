// SPDX-License-Identifier: GPL-2.0

//! The recorded command lines, and the list of differences; see `README.md` for the format. Shared
//! by the tests that give them to these tools on the build machine and in a virtual machine.

use std::fmt::Write;

/// The recorded files, each with its name.
pub const FILES: [(&str, &str); 6] = [
    (
        "openswan-2.4.9/04-spigrp",
        include_str!("openswan-2.4.9/04-spigrp.txt"),
    ),
    (
        "openswan-2.6.52/04-spigrp",
        include_str!("openswan-2.6.52/04-spigrp.txt"),
    ),
    (
        "openswan-2.6.52/05-spi",
        include_str!("openswan-2.6.52/05-spi.txt"),
    ),
    (
        "openswan-2.4.9/06-no-module",
        include_str!("openswan-2.4.9/06-no-module.txt"),
    ),
    (
        "openswan-2.6.52/06-no-module",
        include_str!("openswan-2.6.52/06-no-module.txt"),
    ),
    (
        "libreswan-3.32/06-no-module",
        include_str!("libreswan-3.32/06-no-module.txt"),
    ),
];

/// What these tools do where they differ on purpose.
const DIFFERENCES: &str = include_str!("differences.txt");

/// A command line and what came of it: output, exit status, lists.
#[derive(Clone, Default)]
pub struct Step {
    /// Words with blanks between; `""` is an empty one.
    pub command: String,
    /// The lines that begin with it in the recorded file, without the first.
    pub came: Vec<String>,
}

/// Command lines that were given to one machine.
#[derive(Default)]
pub struct Case {
    /// What it is about.
    pub title: String,
    /// Whether the module was not loaded.
    pub absent: bool,
    /// What was done, in order.
    pub steps: Vec<Step>,
}

/// A step that differs.
pub struct Difference {
    /// Why that is so.
    pub reason: String,
    /// The end of the file's name, so that it may be in the files of several releases.
    pub file: String,
    /// Title of the case.
    pub title: String,
    /// Which of its steps, from 1.
    pub number: usize,
    /// The step as it is here.
    pub step: Step,
}

impl Difference {
    /// Whether it is about this step of this case.
    pub fn is_of(&self, file: &str, title: &str, number: usize) -> bool {
        file.ends_with(&self.file) && self.title == title && self.number == number
    }
}

fn lines_of(text: &str) -> impl Iterator<Item = &str> {
    text.lines()
        .filter(|line| !line.is_empty() && !line.starts_with("# "))
}

/// The cases of a recorded file.
pub fn cases_of(text: &str) -> Vec<Case> {
    let mut cases: Vec<Case> = Vec::new();
    for line in lines_of(text) {
        if let Some(title) = line.strip_prefix("== ") {
            cases.push(Case {
                title: title.to_owned(),
                ..Case::default()
            });
            continue;
        }
        let case = cases.last_mut().expect("a title comes first");
        match (line.strip_prefix("$ "), case.steps.last_mut()) {
            (Some(command), _) => case.steps.push(Step {
                command: command.to_owned(),
                came: Vec::new(),
            }),
            (None, Some(step)) => step.came.push(line.to_owned()),
            (None, None) => {
                assert_eq!(line, "module absent");
                case.absent = true;
            }
        }
    }
    cases
}

/// The list of differences.
pub fn differences() -> Vec<Difference> {
    let mut differences: Vec<Difference> = Vec::new();
    let mut reason = "";
    for line in lines_of(DIFFERENCES) {
        if let Some(text) = line.strip_prefix("== ") {
            reason = text;
        } else if let Some(place) = line.strip_prefix("at ") {
            let (place, number) = place.rsplit_once(", ").expect("a number");
            let (file, title) = place.split_once(", ").expect("a file and a title");
            differences.push(Difference {
                reason: reason.to_owned(),
                file: file.to_owned(),
                title: title.to_owned(),
                number: number.parse().expect("a number"),
                step: Step::default(),
            });
        } else {
            let step = &mut differences.last_mut().expect("a place first").step;
            match line.strip_prefix("$ ") {
                Some(command) => step.command = command.to_owned(),
                None => step.came.push(line.to_owned()),
            }
        }
    }
    differences
}

/// The command line that somebody without privileges is to run, if a step says so.
pub fn unprivileged(command: &str) -> Option<&str> {
    command
        .strip_prefix("su nobody -s /bin/sh -c \"")
        .and_then(|rest| rest.strip_suffix('"'))
}

/// The lines with those of each list sorted, for KLIPS listed in the order of a hash table.
fn in_order(lines: &[String]) -> Vec<String> {
    let mut sorted = lines.to_vec();
    let names_sa = |line: &str| {
        let first = line.split(' ').next().unwrap_or_default();
        first.contains("0x") && first.contains('@')
    };
    for list in sorted.chunk_by_mut(|a, b| names_sa(a) && names_sa(b)) {
        list.sort();
    }
    sorted
}

/// Whether what came is what was recorded.
fn agree(recorded: &[String], came: &[String]) -> bool {
    let (recorded, came) = (in_order(recorded), in_order(came));
    recorded.len() == came.len()
        && recorded.iter().zip(&came).all(|(recorded, came)| {
            let (recorded, came) = (recorded.split(' '), came.split(' '));
            recorded.clone().count() == came.clone().count()
                && recorded
                    .zip(came)
                    .all(|(recorded, came)| is_alike(recorded, came))
        })
}

/// Whether two words are the same, up to the age of an SA. `<invalid>` is how 2.4.9 printed IPv6
/// destinations.
fn is_alike(recorded: &str, came: &str) -> bool {
    match recorded.strip_suffix("<invalid>") {
        Some(before) => came.starts_with(before) && came.contains(':'),
        None => without_age(recorded) == without_age(came),
    }
}

/// What is before and after the seconds since an SA was added.
fn without_age(word: &str) -> (&str, &str) {
    let (before, after) = word.split_once("addtime(").unwrap_or((word, ""));
    (
        before,
        after.trim_start_matches(|c: char| c.is_ascii_digit()),
    )
}

/// Whether what came is what is listed. A line `...` stands for any number of lines of output.
fn is_listed(listed: &[String], came: &[String]) -> bool {
    let Some(gap) = listed.iter().position(|line| line == "...") else {
        return agree(listed, came);
    };
    let (head, tail) = (&listed[..gap], &listed[gap + 1..]);
    came.len() >= head.len() + tail.len() && {
        let (before, rest) = came.split_at(head.len());
        let (between, after) = rest.split_at(rest.len() - tail.len());
        let is_output = |line: &String| !line.starts_with("[exit ") && !line.starts_with("--- ");
        agree(head, before) && agree(tail, after) && between.iter().all(is_output)
    }
}

/// A step as it would be in the list of differences.
fn entry(file: &str, title: &str, number: usize, step: &Step) -> String {
    let came = step.came.join("\n");
    format!("at {file}, {title}, {number}\n$ {}\n{came}\n", step.command)
}

/// What is wrong with what came of the steps of a case, in the format of the list of differences;
/// nothing if each step is the same, or listed.
pub fn complaints(file: &str, case: &Case, came: &[Step], listed: &[Difference]) -> String {
    let mut wrong = String::new();
    for (index, (recorded, came)) in case.steps.iter().zip(came).enumerate() {
        let number = index + 1;
        let same = agree(&recorded.came, &came.came);
        let mut of = listed
            .iter()
            .filter(|listed| listed.is_of(file, &case.title, number));
        let complaint = match (of.next(), of.next()) {
            (None, _) if same => continue,
            (None, _) => "differs".to_owned(),
            (Some(_), Some(_)) => "is listed twice".to_owned(),
            (Some(of), None) if same => {
                format!("is listed ({}), but does not differ any more", of.reason)
            }
            (Some(of), None)
                if of.step.command == came.command && is_listed(&of.step.came, &came.came) =>
            {
                continue;
            }
            (Some(of), None) => format!("differs otherwise than listed ({})", of.reason),
        };
        // Writing to a String does not fail.
        let _ = writeln!(
            wrong,
            "# {complaint}\n{}",
            entry(file, &case.title, number, came)
        );
    }
    wrong
}
