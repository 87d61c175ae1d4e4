// SPDX-License-Identifier: GPL-2.0

//! Recorded command lines of the historic tools, given to these ones; see `golden/README.md` for
//! the format.

mod common;

use self::common::Machine;
use klips::errno::Errno;
use std::{collections::BTreeMap, fmt::Write, io::ErrorKind};

/// The recorded files, each with its name.
const FILES: [(&str, &str); 6] = [
    (
        "openswan-2.4.9/04-spigrp",
        include_str!("golden/openswan-2.4.9/04-spigrp.txt"),
    ),
    (
        "openswan-2.6.52/04-spigrp",
        include_str!("golden/openswan-2.6.52/04-spigrp.txt"),
    ),
    (
        "openswan-2.6.52/05-spi",
        include_str!("golden/openswan-2.6.52/05-spi.txt"),
    ),
    (
        "openswan-2.4.9/06-no-module",
        include_str!("golden/openswan-2.4.9/06-no-module.txt"),
    ),
    (
        "openswan-2.6.52/06-no-module",
        include_str!("golden/openswan-2.6.52/06-no-module.txt"),
    ),
    (
        "libreswan-3.32/06-no-module",
        include_str!("golden/libreswan-3.32/06-no-module.txt"),
    ),
];

/// What these tools do where they differ on purpose.
const DIFFERENCES: &str = include_str!("golden/differences.txt");

/// What a reason begins with.
const REASONS: [&str; 3] = ["contract ", "says more: ", "recorder: "];

/// A command line and what came of it: output, exit status, lists.
#[derive(Clone, Default)]
struct Step {
    command: String,
    came: Vec<String>,
}

/// Command lines that were given to one machine.
#[derive(Default)]
struct Case {
    title: String,
    /// Whether the module was not loaded.
    absent: bool,
    steps: Vec<Step>,
}

/// A step that differs.
struct Difference {
    reason: String,
    /// The end of the file's name, so that it may be in the files of several releases.
    file: String,
    /// Title of the case.
    title: String,
    /// Which of its steps, from 1.
    number: usize,
    step: Step,
}

impl Difference {
    fn is_of(&self, file: &str, title: &str, number: usize) -> bool {
        file.ends_with(&self.file) && self.title == title && self.number == number
    }
}

fn lines_of(text: &str) -> impl Iterator<Item = &str> {
    text.lines()
        .filter(|line| !line.is_empty() && !line.starts_with("# "))
}

fn cases_of(text: &str) -> Vec<Case> {
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

fn differences() -> Vec<Difference> {
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

/// Gives the command lines of a case to a machine; what comes of each.
fn replay(case: &Case) -> Vec<Step> {
    let mut machine = Machine::new();
    if case.absent {
        machine.open_error = Some(Errno::EAFNOSUPPORT);
        machine.list_error = Some(ErrorKind::NotFound);
    }
    let replayed = |step: &Step| {
        let mut came = run(&mut machine, &step.command);
        for list in step.came.iter().filter(|line| line.starts_with("--- ")) {
            assert_eq!(list, "--- /proc/net/ipsec_spigrp");
            came.push(list.clone());
            let groups = machine.kernel.host.spigrp();
            came.extend(groups.lines().map(str::to_owned));
        }
        Step {
            command: step.command.clone(),
            came,
        }
    };
    case.steps.iter().map(replayed).collect()
}

/// Runs a command line, as somebody else if it says so; what it prints.
fn run(machine: &mut Machine, command: &str) -> Vec<String> {
    let unprivileged = command
        .strip_prefix("su nobody -s /bin/sh -c \"")
        .and_then(|rest| rest.strip_suffix('"'));
    match unprivileged {
        None => _ = machine.run(command),
        Some(command) => {
            machine.open_error = Some(Errno::EPERM);
            machine.list_error = Some(ErrorKind::PermissionDenied);
            machine.run(command);
            (machine.open_error, machine.list_error) = (None, None);
        }
    }
    let transcript = std::mem::take(&mut machine.transcript);
    transcript.lines().skip(1).map(steady).collect()
}

/// A line without what is never the same twice.
fn steady(line: &str) -> String {
    let words = line.split(' ').map(|word| match word.split_once('=') {
        Some(("jiffies", _)) => "jiffies=0",
        Some(("iv", _)) => "iv=0x0",
        _ => word,
    });
    words.collect::<Vec<_>>().join(" ")
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

/// Whether what came is what was recorded. `<invalid>` is how 2.4.9 printed IPv6 destinations.
fn agree(recorded: &[String], came: &[String]) -> bool {
    let alike = |recorded: &str, came: &str| {
        recorded == came
            || recorded.split(' ').count() == came.split(' ').count()
                && recorded.split(' ').zip(came.split(' ')).all(|(r, c)| {
                    match r.strip_suffix("<invalid>") {
                        Some(before) => c.starts_with(before) && c.contains(':'),
                        None => r == c,
                    }
                })
    };
    let (recorded, came) = (in_order(recorded), in_order(came));
    recorded.len() == came.len() && recorded.iter().zip(&came).all(|(r, c)| alike(r, c))
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

/// Calls `check` with each recorded step: the name of its file, the title of its case, its number
/// there, what was recorded and what came.
fn for_each_step(mut check: impl FnMut(&str, &str, usize, &Step, &Step)) {
    for (file, text) in FILES {
        for case in cases_of(text) {
            let replayed = replay(&case);
            for (index, (recorded, came)) in case.steps.iter().zip(&replayed).enumerate() {
                check(file, &case.title, index + 1, recorded, came);
            }
        }
    }
}

/// A step as it would be in the list of differences.
fn entry(file: &str, title: &str, number: usize, step: &Step) -> String {
    let came = step.came.join("\n");
    format!("at {file}, {title}, {number}\n$ {}\n{came}\n", step.command)
}

#[test]
fn historic_tools_did_the_same_but_for_listed_differences() {
    let listed = differences();
    let mut wrong = String::new();
    for_each_step(|file, title, number, recorded, came| {
        let same = agree(&recorded.came, &came.came);
        let mut of = listed.iter().filter(|l| l.is_of(file, title, number));
        let complaint = match (of.next(), of.next()) {
            (None, _) if same => return,
            (None, _) => "differs",
            (Some(_), Some(_)) => "is listed twice",
            (Some(_), None) if same => "is listed, but does not differ any more",
            (Some(entry), None)
                if entry.step.command == came.command
                    && is_listed(&entry.step.came, &came.came) =>
            {
                return;
            }
            (Some(_), None) => "differs otherwise than listed",
        };
        // Writing to a String does not fail.
        let _ = writeln!(wrong, "# {complaint}\n{}", entry(file, title, number, came));
    });
    assert!(wrong.is_empty(), "\n{wrong}");
}

#[test]
fn every_difference_is_of_a_recorded_step_and_has_a_reason() {
    for difference in differences() {
        let Difference { reason, file, .. } = &difference;
        assert!(REASONS.iter().any(|r| reason.starts_with(r)), "{reason}");
        let recorded = FILES
            .into_iter()
            .filter(|(name, _)| name.ends_with(file))
            .flat_map(|(_, text)| cases_of(text))
            .filter(|case| case.title == difference.title)
            .any(|case| (1..=case.steps.len()).contains(&difference.number));
        assert!(
            recorded,
            "{file}, {}, {}",
            difference.title, difference.number
        );
    }
}

/// How many steps are the same, and how many differ for which reason.
#[test]
fn counts() {
    let listed = differences();
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for_each_step(|file, title, number, _, _| {
        let difference = listed.iter().find(|l| l.is_of(file, title, number));
        let reason = difference.map_or("the same", |difference| &difference.reason);
        let what = format!("{file}: {reason}");
        *counts.entry(what).or_default() += 1;
    });
    let lines = counts.iter().map(|(what, n)| format!("{n:4}  {what}\n"));
    insta::assert_snapshot!(lines.collect::<String>());
}
