// SPDX-License-Identifier: GPL-2.0

//! Recorded command lines of the historic tools, given to these ones; see `golden/README.md` for
//! the format.

#[path = "golden/recorded.rs"]
mod recorded;

use self::recorded::{
    Case, Difference, FILES, Step, cases_of, complaints, differences, unprivileged,
};
use crate::common::Machine;
use klips::errno::Errno;
use std::{collections::BTreeMap, io::ErrorKind};

/// What a reason begins with.
const REASONS: [&str; 3] = ["contract ", "says more: ", "recorder: "];

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
    match unprivileged(command) {
        None => _ = machine.run(command),
        Some(command) => {
            machine.open_error = Some(Errno::EPERM);
            machine.list_error = Some(ErrorKind::PermissionDenied);
            machine.run(command);
            (machine.open_error, machine.list_error) = (None, None);
        }
    }
    let transcript = std::mem::take(&mut machine.transcript);
    transcript.lines().skip(1).map(str::to_owned).collect()
}

/// All recorded cases, each with the name of its file.
fn cases() -> impl Iterator<Item = (&'static str, Case)> {
    FILES
        .into_iter()
        .flat_map(|(file, text)| cases_of(text).into_iter().map(move |case| (file, case)))
}

#[test]
fn historic_tools_did_the_same_but_for_listed_differences() {
    let listed = differences();
    let wrong: String = cases()
        .map(|(file, case)| complaints(file, &case, &replay(&case), &listed))
        .collect();
    assert!(wrong.is_empty(), "\n{wrong}");
}

#[test]
fn every_difference_is_of_a_recorded_step_and_has_a_reason() {
    for difference in differences() {
        let Difference { reason, number, .. } = &difference;
        assert!(REASONS.iter().any(|r| reason.starts_with(r)), "{reason}");
        let is_recorded = cases().any(|(file, case)| {
            difference.is_of(file, &case.title, *number) && (1..=case.steps.len()).contains(number)
        });
        assert!(is_recorded, "{}, {number}", difference.title);
    }
}

/// How many steps are the same, and how many differ for which reason.
#[test]
fn counts() {
    let listed = differences();
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for (file, case) in cases() {
        for number in 1..=case.steps.len() {
            let mut of = listed.iter().filter(|l| l.is_of(file, &case.title, number));
            let reason = of.next().map_or("the same", |listed| &listed.reason);
            *counts.entry(format!("{file}: {reason}")).or_default() += 1;
        }
    }
    let lines = counts.iter().map(|(what, n)| format!("{n:4}  {what}\n"));
    insta::assert_snapshot!(lines.collect::<String>());
}
