// SPDX-License-Identifier: GPL-2.0

//! Reads what a test program says about its tests: KTAP version 1, or plain TAP with a plan.
//!
//! Subtests are indented by four spaces a level and come before their parent's result line, and
//! so do a test's diagnostics.  Results without subtests below them are what is counted.
//!
//! The reader is strict where a lax one would turn a broken run green: every level needs a plan,
//! the numbers must be 1, 2, 3… up to it, and a line that looks like a result but is none is a
//! problem.  Any other line is taken for a diagnostic.

use std::fmt;

/// Spaces a level of subtests is indented by.
const INDENT: usize = 4;

/// How a test ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Status {
    /// `ok`
    Passed,
    /// `not ok`
    Failed,
    /// `ok … # SKIP` with the reason given.
    Skipped(String),
}

/// One counted test.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Test {
    /// Its name, with those of its parents before it: `suite/case`.
    pub name: String,
    /// How it ended.
    pub status: Status,
    /// What the program said since the result before this one.
    pub diagnostics: Vec<String>,
}

/// A way to break the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// A level has results but no plan, or the program said nothing at all.
    NoPlan,
    /// Fewer or more results than planned.
    Count,
    /// A number given twice, left out or out of order.
    Numbering,
    /// A line that looks like the protocol and is not.
    Malformed,
    /// The program gave up.
    BailedOut,
    /// A parent that says `ok` for subtests that failed.
    Inconsistent,
}

/// A [`Fault`] and where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// What is wrong.
    pub fault: Fault,
    /// The same in words.
    pub text: String,
}

/// Everything a stream of results says.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// The counted tests in the order they ended.
    pub tests: Vec<Test>,
    /// Every breach of the protocol.
    pub problems: Vec<Problem>,
    /// What was said after the last result.
    pub rest: Vec<String>,
}

/// Reads a whole stream.
pub fn parse(stream: &[u8]) -> Report {
    let mut reader = Reader::default();
    for line in String::from_utf8_lossy(stream).lines() {
        reader.line(line.trim_end());
    }
    reader.finish()
}

/// What is known of one level of tests.
#[derive(Default)]
struct Level {
    version_seen: bool,
    plan: Option<u32>,
    results: u32,
    last_number: u32,
    /// Index of the first test below the current one, counted in [`Report::tests`].
    first_test: usize,
    /// Whether there are finished subtests whose parent's result is still to come.
    subtests: bool,
}

struct Reader {
    report: Report,
    levels: Vec<Level>,
    diagnostics: Vec<String>,
}

impl Default for Reader {
    fn default() -> Self {
        Self {
            report: Report::default(),
            levels: vec![Level::default()],
            diagnostics: Vec::new(),
        }
    }
}

/// A line of the protocol.
enum Line<'a> {
    Version,
    Plan(u32),
    Result(bool, u32, &'a str),
    BailOut(&'a str),
    Malformed,
    Other,
}

impl<'a> Line<'a> {
    fn read(text: &'a str) -> Self {
        if text.starts_with("KTAP version ") || text.starts_with("TAP version ") {
            return Self::Version;
        }
        if let Some(why) = text.strip_prefix("Bail out!") {
            return Self::BailOut(why.trim());
        }
        if let Some(count) = text.strip_prefix("1..") {
            let count = count.split_whitespace().next().unwrap_or_default();
            return count.parse().map_or(Self::Malformed, Self::Plan);
        }
        let (ok, rest) = match (text.strip_prefix("ok"), text.strip_prefix("not ok")) {
            (Some(rest), _) => (true, rest),
            (_, Some(rest)) => (false, rest),
            _ => return Self::Other,
        };
        if !rest.is_empty() && !rest.starts_with(char::is_whitespace) {
            return Self::Other; // A word that merely begins like this.
        }
        let rest = rest.trim_start();
        let (number, name) = rest.split_once(' ').unwrap_or((rest, ""));
        match number.parse() {
            Ok(number) => Self::Result(ok, number, name),
            Err(_) => Self::Malformed,
        }
    }
}

impl Reader {
    fn line(&mut self, line: &str) {
        let text = line.trim_start_matches(' ');
        let spaces = line.len() - text.len();
        let parsed = match Line::read(text) {
            Line::Other => {
                if !text.is_empty() {
                    self.diagnostics.push(text.to_owned());
                }
                return;
            }
            Line::BailOut(why) => return self.problem(Fault::BailedOut, format_args!("{why}")),
            Line::Malformed => return self.problem(Fault::Malformed, format_args!("{text}")),
            parsed => parsed,
        };

        let depth = spaces / INDENT;
        if spaces % INDENT != 0 || depth > self.levels.len() {
            return self.problem(Fault::Malformed, format_args!("wrong indent: {text}"));
        }
        if depth == self.levels.len() {
            self.levels.push(Level {
                first_test: self.report.tests.len(),
                ..Level::default()
            });
        }
        while depth + 1 < self.levels.len() {
            self.close_level();
        }
        match parsed {
            Line::Version => self.version(text),
            Line::Plan(count) => self.plan(count, text),
            Line::Result(ok, number, rest) => self.result(ok, number, rest),
            Line::BailOut(_) | Line::Malformed | Line::Other => {}
        }
    }

    fn version(&mut self, text: &str) {
        let level = self.level();
        let late = level.version_seen || level.plan.is_some() || level.results > 0;
        level.version_seen = true;
        if late {
            self.problem(Fault::Malformed, format_args!("not at the start: {text}"));
        }
    }

    fn plan(&mut self, count: u32, text: &str) {
        let level = self.level();
        let late = level.plan.is_some() || level.results > 0;
        level.plan.get_or_insert(count);
        if late {
            self.problem(Fault::Malformed, format_args!("not at the start: {text}"));
        }
    }

    fn result(&mut self, ok: bool, number: u32, rest: &str) {
        let (name, skip) = split_directive(rest);
        let level = self.level();
        let expected = level.last_number.saturating_add(1);
        level.last_number = number;
        level.results = level.results.saturating_add(1);
        let subtests = std::mem::take(&mut level.subtests);
        let first_test = level.first_test;
        if number != expected {
            self.problem(
                Fault::Numbering,
                format_args!("{name}: number {number} instead of {expected}"),
            );
        }

        let mut children = 0;
        let mut children_failed = false;
        if subtests {
            for test in &mut self.report.tests[first_test..] {
                test.name = format!("{name}/{}", test.name);
                children += 1;
                children_failed |= test.status == Status::Failed;
            }
        }
        if ok && children_failed {
            self.problem(
                Fault::Inconsistent,
                format_args!("{name}: ok, but a subtest failed"),
            );
        }
        // The children stand for a parent that agrees with them.
        if children == 0 || ok == children_failed {
            let status = match (ok, skip) {
                (false, _) => Status::Failed,
                (true, Some(why)) => Status::Skipped(why.to_owned()),
                (true, None) => Status::Passed,
            };
            let diagnostics = std::mem::take(&mut self.diagnostics);
            self.report.tests.push(Test {
                name: name.to_owned(),
                status,
                diagnostics,
            });
        }
        let next_test = self.report.tests.len();
        self.level().first_test = next_test;
    }

    /// Ends the innermost level.
    fn close_level(&mut self) {
        let Some(level) = self.levels.pop() else {
            return;
        };
        let results = level.results;
        let place = match self.levels.last_mut() {
            Some(parent) => {
                parent.subtests = true;
                format!(
                    "subtests of number {}: ",
                    parent.last_number.saturating_add(1)
                )
            }
            None => String::new(),
        };
        match level.plan {
            None => self.problem(
                Fault::NoPlan,
                format_args!("{place}{results} results without one"),
            ),
            Some(plan) if plan != results => self.problem(
                Fault::Count,
                format_args!("{place}{plan} planned, {results} reported"),
            ),
            Some(_) => {}
        }
    }

    fn level(&mut self) -> &mut Level {
        if self.levels.is_empty() {
            self.levels.push(Level::default());
        }
        let last = self.levels.len() - 1;
        &mut self.levels[last]
    }

    fn problem(&mut self, fault: Fault, text: fmt::Arguments<'_>) {
        let text = text.to_string();
        self.report.problems.push(Problem { fault, text });
    }

    fn finish(mut self) -> Report {
        while !self.levels.is_empty() {
            self.close_level();
        }
        self.report.rest = self.diagnostics;
        self.report
    }
}

/// Splits `- name # SKIP why` into the name and, for a skipped test, the reason.
fn split_directive(rest: &str) -> (&str, Option<&str>) {
    let rest = rest.trim();
    let rest = rest.strip_prefix("- ").unwrap_or(rest);
    if let Some((name, directive)) = rest.rsplit_once("# ") {
        let word = directive.get(..4).unwrap_or_default();
        if word.eq_ignore_ascii_case("SKIP") {
            return (name.trim(), Some(directive[4..].trim()));
        }
    }
    (rest, None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const GOOD: &str = "KTAP version 1\n\
        1..4\n\
        # loads in 3 ms\n\
        ok 1 load\n\
        \x20   KTAP version 1\n\
        \x20   1..2\n\
        \x20   # deep\n\
        \x20   ok 1 add\n\
        \x20   ok 2 delete\n\
        ok 2 sadb\n\
        ok 3 - kasan # SKIP not this kernel\n\
        some stray output\n\
        ok 4 unload\n\
        # bye\n";

    fn faults(stream: &str) -> Vec<Fault> {
        let report = parse(stream.as_bytes());
        report
            .problems
            .iter()
            .map(|problem| problem.fault)
            .collect()
    }

    fn failed(stream: &str) -> Vec<String> {
        let tests = parse(stream.as_bytes()).tests.into_iter();
        tests
            .filter(|test| test.status == Status::Failed)
            .map(|test| test.name)
            .collect()
    }

    #[test]
    fn a_good_run() {
        let test = |name: &str, status, diagnostics: &[&str]| Test {
            name: name.to_owned(),
            status,
            diagnostics: diagnostics.iter().map(|&line| line.to_owned()).collect(),
        };
        let skipped = Status::Skipped("not this kernel".to_owned());
        let expected = Report {
            tests: vec![
                test("load", Status::Passed, &["# loads in 3 ms"]),
                test("sadb/add", Status::Passed, &["# deep"]),
                test("sadb/delete", Status::Passed, &[]),
                test("kasan", skipped, &[]),
                test("unload", Status::Passed, &["some stray output"]),
            ],
            problems: vec![],
            rest: vec!["# bye".to_owned()],
        };
        assert_eq!(parse(GOOD.as_bytes()), expected);
        assert_eq!(parse(GOOD.replace('\n', "\r\n").as_bytes()), expected);
    }

    #[test]
    fn plain_tap_will_do() {
        assert_eq!(faults("TAP version 13\n1..1\nok 1\n"), []);
        assert_eq!(faults("1..1\nok 1 - x\n"), []);
        assert_eq!(faults("1..0 # SKIP nothing to do\n"), []);
    }

    #[test]
    fn a_failure_has_its_name_and_diagnostics() {
        let report = parse(b"1..2\nok 1 a\n# left: 1\n# right: 2\nnot ok 2 b\n");
        assert_eq!(report.tests[1].status, Status::Failed);
        assert_eq!(report.tests[1].name, "b");
        assert_eq!(report.tests[1].diagnostics, ["# left: 1", "# right: 2"]);
    }

    #[test]
    fn not_ok_fails_whatever_the_directive() {
        for line in ["not ok 1 a", "not ok 1 a # SKIP", "not ok 1 a # TODO later"] {
            assert_eq!(failed(&format!("1..1\n{line}\n")).len(), 1, "{line}");
        }
    }

    #[test]
    fn a_number_sign_in_a_name_is_no_directive() {
        let report = parse(b"1..2\nok 1 issue #12\nok 2 x # todo # skip: why # not\n");
        assert_eq!(report.tests[0].name, "issue #12");
        assert_eq!(report.tests[0].status, Status::Passed);
        assert_eq!(report.tests[1].status, Status::Passed);
    }

    #[test]
    fn a_missing_plan() {
        assert_eq!(faults("KTAP version 1\nok 1 a\n"), [Fault::NoPlan]);
        assert_eq!(faults(""), [Fault::NoPlan]);
    }

    #[test]
    fn too_few_and_too_many_results() {
        assert_eq!(faults("1..3\nok 1 a\nok 2 b\n"), [Fault::Count]);
        assert_eq!(faults("1..1\nok 1 a\nok 2 b\n"), [Fault::Count]);
        assert_eq!(faults("1..1\n"), [Fault::Count]);
    }

    #[test]
    fn bad_numbers() {
        assert_eq!(faults("1..2\nok 1 a\nok 1 b\n"), [Fault::Numbering]);
        assert_eq!(faults("1..2\nok 2 a\nok 3 b\n"), [Fault::Numbering]);
        let swapped = faults("1..2\nok 2 a\nok 1 b\n");
        assert_eq!(swapped, [Fault::Numbering, Fault::Numbering]);
    }

    #[test]
    fn lines_that_only_look_right() {
        for line in [
            "ok",
            "ok a",
            "not ok",
            "not ok then",
            "not ok 99999999999 b",
            "  not ok 2 b",
            "        not ok 2 b",
        ] {
            let found = faults(&format!("1..1\nok 1 a\n{line}\n"));
            assert_eq!(found, [Fault::Malformed], "{line}");
        }
        assert_eq!(faults("1..1\nokay\nnot okay\nok 1 a\n"), []);
    }

    #[test]
    fn plans_and_versions_belong_at_the_start() {
        assert_eq!(faults("1..1\n1..1\nok 1 a\n"), [Fault::Malformed]);
        assert_eq!(faults("ok 1 a\n1..1\n"), [Fault::Malformed]);
        assert_eq!(faults("1..x\nok 1 a\n"), [Fault::Malformed, Fault::NoPlan]);
        let second = "KTAP version 1\n1..1\nKTAP version 1\nok 1 a\n";
        assert_eq!(faults(second), [Fault::Malformed]);
    }

    #[test]
    fn giving_up() {
        assert_eq!(
            faults("1..2\nok 1 a\nBail out! no module\n"),
            [Fault::BailedOut, Fault::Count]
        );
    }

    #[test]
    fn subtests_follow_the_same_rules() {
        let nested = |inner: &str, parent: &str| format!("1..1\n{inner}{parent} 1 suite\n");
        let no_plan = nested("    ok 1 a\n", "ok");
        assert_eq!(faults(&no_plan), [Fault::NoPlan]);
        let short = nested("    1..2\n    ok 1 a\n", "ok");
        assert_eq!(faults(&short), [Fault::Count]);
        let twice = nested("    1..2\n    ok 1 a\n    ok 1 b\n", "ok");
        assert_eq!(faults(&twice), [Fault::Numbering]);
        let hidden = nested("    1..1\n    not ok 1 a\n", "ok");
        assert_eq!(faults(&hidden), [Fault::Inconsistent]);
        assert_eq!(failed(&hidden)[0], "suite/a");
        // Failed subtests are counted, not their parent with them.
        let honest = nested("    1..1\n    not ok 1 a\n", "not ok");
        assert_eq!(faults(&honest), []);
        assert_eq!(failed(&honest), ["suite/a"]);
        // A parent may fail on its own.
        let parent_only = nested("    1..1\n    ok 1 a\n", "not ok");
        assert_eq!(failed(&parent_only), ["suite"]);
        // An orphaned block of subtests is missed by its level's plan.
        assert_eq!(faults("1..1\n    1..1\n    ok 1 a\n"), [Fault::Count]);
    }

    #[test]
    fn deeper_levels_carry_the_whole_path() {
        let stream = "1..1\n    1..1\n        1..2\n        ok 1 x\n        not ok 2 y\n    \
                      not ok 1 inner\nnot ok 1 outer\n";
        assert_eq!(faults(stream), []);
        assert_eq!(failed(stream), ["outer/inner/y"]);
    }

    proptest! {
        #[test]
        fn any_bytes_can_be_read(bytes in proptest::collection::vec(any::<u8>(), 0..500)) {
            let _ = parse(&bytes);
        }

        #[test]
        fn any_lines_can_be_read(lines in proptest::collection::vec(
            "( {0,9})(ok|not ok|1\\.\\.|KTAP version|# |Bail out!)? ?[0-9]{0,12} ?(a|# SKIP ?é?)?",
            0..40,
        )) {
            let report = parse(lines.join("\n").as_bytes());
            // Never clean without a plan that was kept.
            if report.problems.is_empty() {
                prop_assert!(lines.iter().any(|line| line.starts_with("1..")));
            }
        }

        #[test]
        fn a_run_cut_short_is_never_clean(cut in 0..GOOD.len()) {
            let complete = GOOD.find("ok 4 unload").unwrap() + "ok 4".len();
            let report = parse(&GOOD.as_bytes()[..cut]);
            prop_assert_eq!(report.problems.is_empty(), cut >= complete);
        }
    }
}
