// SPDX-License-Identifier: GPL-2.0

//! Reads the guest's console: kernel reports, and which test was running when.

use std::ops::Range;

/// Written to `/dev/kmsg` by the test program where a test begins: this and the test's name.
const MARKER: &str = "klips-test: ";
const BEGIN: &str = "begin ";

/// A report may be this many lines long before the next hit counts as another one.
const REPORT_LINES: usize = 60;

/// Console texts that no test run may contain.  The parts of a rule appear in this order on one
/// line; where a part begins with a letter, no letter stands before it.
const RULES: &[&[&str]] = &[
    &["WARNING:"],
    &["BUG:"],
    &["kernel BUG at"],
    &["Oops"],
    &["Kernel panic"],
    &["general protection"],
    &["INFO: possible recursive locking"],
    &["possible circular locking"],
    &["INFO: task ", " blocked"],
    &["rcu: INFO: ", " stall"],
    &["UBSAN:"],
    &["KASAN:"],
    &["KCSAN:"],
    &["unreferenced object"],
    &["new suspected memory leaks"],
    &["unregister_netdevice: waiting for"],
    &["ref_tracker:"],
    &["rust_kernel: panicked"],
    &["Call Trace:"],
];

/// Whether a line tells of a data race between two functions that are no module's.  The kernel has
/// some that it lives with, in its scheduler for one.
fn is_race_of_others(line: &str) -> bool {
    let functions = line.split_once("BUG: KCSAN: data-race in ");
    functions.is_some_and(|(_, functions)| !functions.contains('['))
}

/// A kernel report on the console.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Line it begins at.
    pub line: usize,
    /// Text of that line.
    pub text: String,
}

/// The console of one boot.
pub struct Console {
    lines: Vec<String>,
}

impl Console {
    /// Takes over what the serial port received.
    pub fn new(bytes: &[u8]) -> Self {
        let lines = String::from_utf8_lossy(bytes)
            .lines()
            .map(|line| line.chars().filter(|c| !c.is_control()).collect())
            .collect();
        Self { lines }
    }

    /// Finds every kernel report.  The several telling lines of one report are one finding.
    pub fn findings(&self) -> Vec<Finding> {
        let mut findings = Vec::new();
        // The last telling line of the current report, and whether the report has ended since.
        let mut report: Option<(usize, bool)> = None;
        for (i, line) in self.lines.iter().enumerate() {
            if line.contains(MARKER) {
                report = None; // A test may be named like a report.
                continue;
            }
            if is_race_of_others(line) {
                continue;
            }
            if line.contains("---[ end trace") {
                report = report.map(|(last, _)| (last, true));
            }
            if RULES.iter().any(|rule| matches(rule, line)) {
                let continues = report.is_some_and(|(last, ended)| {
                    // What an oops leads to is still the same trouble.
                    i - last <= REPORT_LINES && (!ended || line.contains("Kernel panic"))
                });
                if !continues {
                    let text = without_timestamp(line).to_owned();
                    findings.push(Finding { line: i, text });
                }
                report = Some((i, false));
            }
        }
        findings
    }

    /// Returns the name of the test that was running at a line.
    pub fn test_at(&self, line: usize) -> Option<&str> {
        let before = self.lines.get(..=line)?;
        before
            .iter()
            .rev()
            .find_map(|line| marker(line))?
            .strip_prefix(BEGIN)
    }

    /// Returns the name of the test that began last and did not end.
    pub fn last_test(&self) -> Option<&str> {
        self.test_at(self.lines.len().checked_sub(1)?)
    }

    /// Returns what the console said while `test` ran, the most recent time it did.  For a
    /// subtest `suite/case` the marker may name it in full, its last part or its suite.
    pub fn section(&self, test: &str) -> &[String] {
        let names = std::iter::once(test)
            .chain(test.rsplit_once('/').map(|(_, case)| case))
            .chain(test.match_indices('/').rev().map(|(end, _)| &test[..end]));
        for name in names {
            let begins =
                |line: &String| marker(line).and_then(|m| m.strip_prefix(BEGIN)) == Some(name);
            if let Some(start) = self.lines.iter().rposition(begins) {
                let after = &self.lines[start + 1..];
                let end = after.iter().position(|line| marker(line).is_some());
                return &after[..end.unwrap_or(after.len())];
            }
        }
        &[]
    }

    /// Returns the lines around a finding, within the test it belongs to.
    pub fn around(&self, line: usize) -> &[String] {
        let boundary = |line: &String| marker(line).is_some();
        let lines = |range: Range<usize>| self.lines.get(range).unwrap_or_default();
        let start = lines(0..line)
            .iter()
            .rposition(boundary)
            .map_or(0, |at| at + 1);
        let end = lines(line..self.lines.len())
            .iter()
            .position(boundary)
            .map_or(self.lines.len(), |at| line + at);
        lines(start.max(line.saturating_sub(5))..end.min(line + 55))
    }

    /// Returns the last lines, without the empty ones at the end.
    pub fn tail(&self, count: usize) -> &[String] {
        let end = self.lines.iter().rposition(|line| !line.is_empty());
        let end = end.map_or(0, |last| last + 1);
        &self.lines[end.saturating_sub(count)..end]
    }
}

/// Returns what follows the marker on a line that is one.
fn marker(line: &str) -> Option<&str> {
    line.split_once(MARKER).map(|(_, rest)| rest.trim())
}

fn matches(rule: &[&str], line: &str) -> bool {
    let mut rest = line;
    for part in rule {
        let whole_word = part.starts_with(char::is_alphabetic);
        let hit = rest
            .match_indices(part)
            .find(|(at, _)| !whole_word || !rest[..*at].ends_with(char::is_alphabetic));
        match hit {
            Some((at, _)) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    true
}

/// Strips the `[    1.234567] ` that the kernel puts before its lines.
fn without_timestamp(line: &str) -> &str {
    match line
        .strip_prefix('[')
        .and_then(|rest| rest.split_once("] "))
    {
        Some((time, text)) if time.trim().parse::<f64>().is_ok() => text,
        _ => line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const GOOD: &str = "\
[    0.000000] Linux version 7.3.4\r
[    0.100000] DEBUG: nothing to see\r
[    0.500000] klips-test: begin load\r
[    0.510000] NET: Registered PF_KEY protocol family\r
[    0.600000] klips-test: begin group/pair\r
[    0.610000] klips: debug 1\r
[    0.620000] klips: debug 2\r
[    0.700000] klips-test: end\r
[    0.710000] reboot: Restarting system\r
";

    fn findings(text: &str) -> Vec<String> {
        let found = Console::new(text.as_bytes()).findings();
        found.into_iter().map(|finding| finding.text).collect()
    }

    #[test]
    fn a_quiet_console_has_no_findings() {
        assert!(findings(GOOD).is_empty());
        assert!(findings("").is_empty());
        for harmless in [
            "DEBUG: x",
            "UNWARNING: x",
            "INFO: task 12 done",
            "oops, sorry",
        ] {
            assert!(findings(harmless).is_empty(), "{harmless}");
        }
    }

    #[test]
    fn every_kind_of_report_is_found() {
        for line in [
            "WARNING: drivers/x.c:12 at f+0x1/0x2 [klips], CPU#0: insmod/50",
            "WARNING: possible circular locking dependency detected",
            "WARNING: possible recursive locking detected",
            "BUG: kernel NULL pointer dereference, address: 0000000000000008",
            "BUG: KASAN: slab-use-after-free in f+0x1/0x2",
            "BUG: sleeping function called from invalid context at mm/slab.h:1",
            "watchdog: BUG: soft lockup - CPU#1 stuck for 22s! [insmod:50]",
            "kernel BUG at lib/list_debug.c:29!",
            "Oops: 0002 [#1] SMP",
            "INFO: possible recursive locking detected",
            "possible circular locking dependency detected",
            "INFO: task insmod:50 blocked for more than 120 seconds.",
            "rcu: INFO: rcu_preempt detected stalls on CPUs/tasks:",
            "rcu: INFO: rcu_sched self-detected stall on CPU",
            "UBSAN: array-index-out-of-bounds in x.c:1:2",
            "KASAN: maybe wild-memory-access in range",
            "BUG: KCSAN: data-race in f [klips] / g",
            "BUG: KCSAN: data-race in f / g [klips]",
            "KCSAN: reported",
            "kmemleak: unreferenced object 0xffff888004b0d000 (size 64):",
            "kmemleak: 1 new suspected memory leaks (see /sys/kernel/debug/kmemleak)",
            "Kernel panic - not syncing: Fatal exception",
            "traps: ipsec[50] general protection fault ip:401000 sp:7ffc error:0",
            "unregister_netdevice: waiting for lo to become free. Usage count = 2",
            "ref_tracker: net notrefcnt@0 has 1/1 users at",
            "rust_kernel: panicked at rust/klips_main.rs:1:2:",
            "Call Trace:",
        ] {
            let text = format!("{GOOD}[    0.800000] {line}\r\n");
            assert_eq!(findings(&text), [line]);
            // Also without a timestamp, or behind what a program printed.
            assert_eq!(
                findings(&format!("ls: [    0.8] {line}")).len(),
                1,
                "{line}"
            );
        }
    }

    #[test]
    fn races_of_the_kernel_with_itself_are_not_reported() {
        let text = "[    1.0] BUG: KCSAN: data-race in tick_nohz_handler / tick_nohz_idle_got_tick";
        assert_eq!(findings(text).len(), 0);
    }

    #[test]
    fn the_lines_of_one_report_are_one_finding() {
        let warning = "WARNING: a.c:1 at f\nCall Trace:\n f+1\n---[ end trace 0 ]---\n";
        assert_eq!(findings(warning).len(), 1);
        assert_eq!(findings(&warning.repeat(2)).len(), 2);
        let apart = format!("WARNING: a\nklips-test: begin x\n{warning}");
        assert_eq!(findings(&apart).len(), 2);
        let oops = "BUG: x\n---[ end trace 0 ]---\nRIP: f\nKernel panic - not syncing: x\n";
        assert_eq!(findings(oops).len(), 1);
        let far = format!("WARNING: a\n{}WARNING: b\n", "\n".repeat(REPORT_LINES));
        assert_eq!(findings(&far).len(), 2);
    }

    #[test]
    fn a_tests_section_ends_at_the_next_marker() {
        let console = Console::new(GOOD.as_bytes());
        let load = console.section("load");
        assert_eq!(
            load,
            ["[    0.510000] NET: Registered PF_KEY protocol family"]
        );
        assert_eq!(console.section("group/pair").len(), 2);
        assert!(console.section("pair").is_empty());
        assert!(console.section("unknown").is_empty());
    }

    #[test]
    fn a_subtests_section_is_found_by_case_or_suite() {
        let console = Console::new(b"klips-test: begin case\na\nklips-test: begin suite\nb\n");
        assert_eq!(console.section("suite/case")[0], "a");
        assert_eq!(console.section("suite/other")[0], "b");
        assert_eq!(console.section("suite/deep/other")[0], "b");
    }

    #[test]
    fn lines_belong_to_the_test_that_runs() {
        let console = Console::new(GOOD.as_bytes());
        assert_eq!(console.test_at(0), None);
        assert_eq!(console.test_at(3), Some("load"));
        assert_eq!(console.test_at(6), Some("group/pair"));
        assert_eq!(console.test_at(8), None);
        assert_eq!(console.test_at(999), None);
        assert_eq!(console.last_test(), None);
        assert_eq!(console.around(5).len(), 2);
        assert_eq!(
            console.tail(1),
            ["[    0.710000] reboot: Restarting system"]
        );
    }

    proptest! {
        #[test]
        fn any_bytes_can_be_read(
            bytes in proptest::collection::vec(any::<u8>(), 0..300),
            text in "((klips-test: begin [ab/]{0,3}|WARNING:|BUG:|é| )\\n?){0,30}",
            name in "[ab/é]{0,4}",
        ) {
            for console in [Console::new(&bytes), Console::new(text.as_bytes())] {
                for finding in console.findings() {
                    prop_assert!(!console.around(finding.line).is_empty());
                    let _ = console.test_at(finding.line);
                }
                let _ = console.section(&name);
                let _ = console.tail(3);
            }
        }
    }
}
