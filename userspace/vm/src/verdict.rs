// SPDX-License-Identifier: GPL-2.0

//! Judges a run from everything that came out of the guest.
//!
//! Only a run that proves it is complete can be green: silence, a result too few or an exit code
//! that never arrived are failures like any other.

use crate::{
    console::Console,
    ktap,
    ktap::{Fault, Status},
    qemu::End,
};
use std::fmt;

/// Kernel taints every run has: an out-of-tree module, and one without a signature.
pub const TAINTS_EXPECTED: u64 = (1 << 12) | (1 << 13);

/// The letters of the taints, by bit.
const TAINT_LETTERS: &str = "PFSRMBUDAWCIOELKXTNJ";

/// At most this many console lines are shown for a failure.
const CONSOLE_LINES: usize = 60;

/// All that is known about a run.
pub struct Evidence<'a> {
    /// What the test program printed.
    pub ktap: &'a [u8],
    /// What the guest's `init` said on the control port.
    pub control: &'a [u8],
    /// What was on the serial port.
    pub console: &'a [u8],
    /// How the machine ended.
    pub end: &'a End,
    /// Kernel taints that are no failure.
    pub taint_ok: u64,
}

/// Why a run is red.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// A test said `not ok`.
    NotOk,
    /// The results break the protocol.
    Protocol(Fault),
    /// A kernel report on the console.
    Kernel,
    /// The kernel has a taint it should not have.
    Taint,
    /// The test program failed, or a signal ended it.
    ExitCode,
    /// The exit code never arrived.
    NoExitCode,
    /// The guest's `init` was never heard of.
    NoAnswer,
    /// The time was over.
    TimedOut,
    /// The machine was not off in time after its work.
    NoPowerOff,
    /// QEMU itself failed.
    QemuDied,
    /// There was nothing wrong and nothing tested.
    NothingPassed,
}

/// One thing that is wrong.
#[derive(Debug)]
pub struct Failure {
    /// What kind of thing.
    pub reason: Reason,
    /// The test's name, or what happened.
    pub title: String,
    /// What the test said.
    pub diagnostics: Vec<String>,
    /// What the console said around it.
    pub console: Vec<String>,
}

/// The judgement.
#[derive(Debug)]
pub struct Verdict {
    /// Number of tests that passed.
    pub passed: usize,
    /// Name and reason of each skipped test.
    pub skipped: Vec<(String, String)>,
    /// Everything wrong.
    pub failures: Vec<Failure>,
}

/// What the guest's `init` reported.
#[derive(Debug, Default, PartialEq)]
pub struct Control {
    /// Seconds from the kernel's start to `init`'s.
    pub uptime: Option<f64>,
    /// The job's exit code and the kernel's taints after it.
    pub exit: Option<(i32, u64)>,
}

impl Control {
    /// Reads the control port's lines; one that was cut short does not count.
    pub fn parse(bytes: &[u8]) -> Self {
        let mut control = Self::default();
        let text = String::from_utf8_lossy(bytes);
        for line in text
            .split_inclusive('\n')
            .filter_map(|line| line.strip_suffix('\n'))
        {
            if let Some(uptime) = line.strip_prefix("ready uptime=") {
                control.uptime = uptime.parse().ok();
            } else if let Some(exit) = line.strip_prefix("exit code=") {
                control.exit = exit
                    .split_once(" tainted=")
                    .and_then(|(code, taint)| Some((code.parse().ok()?, taint.parse().ok()?)));
            }
        }
        control
    }
}

/// Applies every rule.
pub fn judge(evidence: &Evidence<'_>) -> Verdict {
    let console = Console::new(evidence.console);
    let control = Control::parse(evidence.control);
    let mut judge = Judge {
        console: &console,
        verdict: Verdict {
            passed: 0,
            skipped: Vec::new(),
            failures: Vec::new(),
        },
    };
    let answered = control.uptime.is_some();
    if answered || !evidence.ktap.is_empty() {
        judge.results(ktap::parse(evidence.ktap));
    }
    judge.kernel();
    judge.guest(&control);
    judge.machine(evidence.end, &control);
    if let Some((_, tainted)) = control.exit {
        judge.taint(tainted & !evidence.taint_ok);
    }
    if judge.verdict.passed == 0 && judge.verdict.failures.is_empty() {
        judge.fail(Reason::NothingPassed, "no test passed", &[], &[]);
    }
    judge.verdict
}

struct Judge<'a> {
    console: &'a Console,
    verdict: Verdict,
}

impl Judge<'_> {
    fn fail(
        &mut self,
        reason: Reason,
        title: impl Into<String>,
        diagnostics: &[String],
        console: &[String],
    ) {
        let mut lines = console[..console.len().min(CONSOLE_LINES)].to_vec();
        if console.len() > CONSOLE_LINES {
            let left_out = console.len() - CONSOLE_LINES;
            lines.push(format!("({left_out} more lines in the console log)"));
        }
        self.verdict.failures.push(Failure {
            reason,
            title: title.into(),
            diagnostics: diagnostics.to_vec(),
            console: lines,
        });
    }

    fn results(&mut self, report: ktap::Report) {
        for test in report.tests {
            match test.status {
                Status::Passed => self.verdict.passed += 1,
                Status::Skipped(why) => self.verdict.skipped.push((test.name, why)),
                Status::Failed => {
                    let lines = self.console.section(&test.name);
                    self.fail(Reason::NotOk, test.name, &test.diagnostics, lines);
                }
            }
        }
        let mut rest = Some(report.rest);
        for problem in report.problems {
            let what = match problem.fault {
                Fault::NoPlan => "no plan",
                Fault::Count => "not the planned number of results",
                Fault::Numbering => "results out of order",
                Fault::Malformed => "not KTAP",
                Fault::BailedOut => "the tests gave up",
                Fault::Inconsistent => "a result contradicts its subtests",
            };
            let said = rest.take().unwrap_or_default();
            let title = format!("{what}: {}", problem.text);
            self.fail(Reason::Protocol(problem.fault), title, &said, &[]);
        }
    }

    fn kernel(&mut self) {
        for finding in self.console.findings() {
            let during = match self.console.test_at(finding.line) {
                Some(test) => format!("during {test}"),
                None => "outside of any test".to_owned(),
            };
            let title = format!("kernel report {during}: {}", finding.text);
            self.fail(
                Reason::Kernel,
                title,
                &[],
                self.console.around(finding.line),
            );
        }
    }

    fn guest(&mut self, control: &Control) {
        match control.exit {
            Some((0, _)) | None => {}
            Some((code, _)) => {
                // A shell reports death by signal as 128 and the signal's number.
                let title = match code {
                    129..=192 => format!("the test program was ended by signal {}", code - 128),
                    _ => format!("the test program exited with {code}"),
                };
                self.fail(Reason::ExitCode, title, &[], self.console.tail(15));
            }
        }
    }

    fn machine(&mut self, end: &End, control: &Control) {
        let during = match self.console.last_test() {
            Some(test) => format!(" during {test}"),
            None => String::new(),
        };
        let tail = self.console.tail(15);
        match end {
            End::TimedOut(_) if control.uptime.is_some() => {
                let title = format!("{end}{during}");
                self.fail(Reason::TimedOut, title, &[], tail);
            }
            End::Stuck => self.fail(Reason::NoPowerOff, end.to_string(), &[], tail),
            End::Died { status, said } => {
                let title = format!("QEMU died{during}: {status}");
                self.fail(Reason::QemuDied, title, said, tail);
            }
            _ if control.uptime.is_none() => {
                self.fail(Reason::NoAnswer, "the guest never answered", &[], tail);
            }
            _ if control.exit.is_none() => {
                let title = format!("the machine went down{during}, no exit code arrived");
                self.fail(Reason::NoExitCode, title, &[], tail);
            }
            End::TimedOut(_) | End::Off | End::Recorded => {}
        }
    }

    fn taint(&mut self, unexpected: u64) {
        if unexpected != 0 {
            let title = format!("unexpected kernel taint {}", Taint(unexpected));
            self.fail(Reason::Taint, title, &[], &[]);
        }
    }
}

/// Shows a taint mask with the letters the kernel uses: `512 (W)`.
struct Taint(u64);

impl fmt::Display for Taint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let letters: String = (0..)
            .zip(TAINT_LETTERS.chars())
            .filter(|(bit, _)| (self.0 >> bit) & 1 == 1)
            .map(|(_, letter)| letter)
            .collect();
        write!(f, "{} ({letters})", self.0)
    }
}

impl Verdict {
    /// Prints what was skipped and everything about what failed.
    pub fn print(&self, out: &mut impl std::io::Write) -> std::io::Result<()> {
        for (name, why) in &self.skipped {
            writeln!(
                out,
                "skipped: {name}{}{why}",
                if why.is_empty() { "" } else { ": " }
            )?;
        }
        for failure in &self.failures {
            writeln!(out, "\nFAILED: {}", failure.title)?;
            for line in &failure.diagnostics {
                writeln!(out, "    {line}")?;
            }
            if !failure.console.is_empty() {
                writeln!(out, "  console:")?;
            }
            for line in &failure.console {
                writeln!(out, "    | {line}")?;
            }
        }
        Ok(())
    }

    /// Its numbers.
    pub fn tally(&self) -> Tally {
        Tally {
            passed: self.passed,
            failed: self.failures.len(),
            skipped: self.skipped.len(),
        }
    }
}

/// Numbers of tests, to be summed up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Tests that passed.
    pub passed: usize,
    /// Tests that failed, and everything else that went wrong.
    pub failed: usize,
    /// Tests that were skipped.
    pub skipped: usize,
}

impl Tally {
    /// Tells whether it may be called a success.
    pub fn is_green(&self) -> bool {
        self.failed == 0 && self.passed > 0
    }
}

impl std::ops::AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} passed, {} failed", self.passed, self.failed)?;
        if self.skipped > 0 {
            write!(f, ", {} skipped", self.skipped)?;
        }
        Ok(())
    }
}

impl std::str::FromStr for Tally {
    type Err = String;

    /// Reads `PASSED,FAILED` or `PASSED,FAILED,SKIPPED`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let numbers: Result<Vec<usize>, _> = text.split(',').map(str::parse).collect();
        let (passed, failed, skipped) = match numbers.as_deref() {
            Ok(&[passed, failed]) => (passed, failed, 0),
            Ok(&[passed, failed, skipped]) => (passed, failed, skipped),
            _ => return Err("expected PASSED,FAILED[,SKIPPED]".to_owned()),
        };
        Ok(Self {
            passed,
            failed,
            skipped,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::time::Duration;

    const KTAP: &str = "KTAP version 1\n1..2\nok 1 load\n# left 1\nok 2 group/pair\n";
    const CONTROL: &str = "ready uptime=0.42\nexit code=0 tainted=12288\n";
    const CONSOLE: &str = "[    0.1] Linux version 7.3.4\n\
        [    0.5] klips-test: begin load\n\
        [    0.6] klips: loading out-of-tree module taints kernel.\n\
        [    0.7] klips-test: begin group/pair\n\
        [    0.8] klips: inside the pair\n";

    /// A run, good unless a test changes it.
    struct Run {
        ktap: String,
        control: String,
        console: String,
        end: End,
        taint_ok: u64,
    }

    impl Default for Run {
        fn default() -> Self {
            Self {
                ktap: KTAP.to_owned(),
                control: CONTROL.to_owned(),
                console: CONSOLE.to_owned(),
                end: End::Off,
                taint_ok: TAINTS_EXPECTED,
            }
        }
    }

    impl Run {
        fn verdict(&self) -> Verdict {
            judge(&Evidence {
                ktap: self.ktap.as_bytes(),
                control: self.control.as_bytes(),
                console: self.console.as_bytes(),
                end: &self.end,
                taint_ok: self.taint_ok,
            })
        }

        fn reasons(&self) -> Vec<Reason> {
            let verdict = self.verdict();
            assert_eq!(verdict.tally().is_green(), verdict.failures.is_empty());
            verdict
                .failures
                .iter()
                .map(|failure| failure.reason)
                .collect()
        }
    }

    fn with_ktap(ktap: &str) -> Vec<Reason> {
        let ktap = ktap.to_owned();
        Run {
            ktap,
            ..Run::default()
        }
        .reasons()
    }

    fn with_control(control: &str) -> Vec<Reason> {
        let control = control.to_owned();
        Run {
            control,
            ..Run::default()
        }
        .reasons()
    }

    fn with_console(line: &str) -> Vec<Reason> {
        let console = format!("{CONSOLE}[    0.9] {line}\n");
        Run {
            console,
            ..Run::default()
        }
        .reasons()
    }

    #[test]
    fn a_good_run_is_green() {
        let verdict = Run::default().verdict();
        assert!(verdict.failures.is_empty(), "{verdict:?}");
        let expected = Tally {
            passed: 2,
            failed: 0,
            skipped: 0,
        };
        assert_eq!(verdict.tally(), expected);
        assert!(verdict.tally().is_green());
    }

    #[test]
    fn a_skipped_test_is_no_passed_one() {
        let ktap = KTAP.replace("pair", "pair # SKIP no IPv6");
        let verdict = Run {
            ktap,
            ..Run::default()
        }
        .verdict();
        assert_eq!(verdict.tally().to_string(), "1 passed, 0 failed, 1 skipped");
        assert_eq!(
            verdict.skipped,
            [("group/pair".to_owned(), "no IPv6".to_owned())]
        );
        assert_eq!(with_ktap("1..1\nok 1 a # SKIP\n"), [Reason::NothingPassed]);
        assert_eq!(with_ktap("1..0\n"), [Reason::NothingPassed]);
    }

    #[test]
    fn a_failed_test_is_told_with_diagnostics_and_console() {
        let ktap = KTAP.replace("ok 2", "not ok 2");
        let verdict = Run {
            ktap,
            ..Run::default()
        }
        .verdict();
        let [failure] = &verdict.failures[..] else {
            panic!("{verdict:?}")
        };
        assert_eq!(failure.reason, Reason::NotOk);
        let mut text = Vec::new();
        verdict.print(&mut text).unwrap();
        let expected = "\nFAILED: group/pair\n    # left 1\n  console:\n    \
                        | [    0.8] klips: inside the pair\n";
        assert_eq!(String::from_utf8(text).unwrap(), expected);
    }

    #[test]
    fn broken_protocols_are_red() {
        use Reason::Protocol;
        let short = "1..3\nok 1 a\nok 2 b\n";
        assert_eq!(with_ktap(short), [Protocol(Fault::Count)]);
        let more = "1..1\nok 1 a\nok 2 b\n";
        assert_eq!(with_ktap(more), [Protocol(Fault::Count)]);
        assert_eq!(with_ktap("ok 1 a\n"), [Protocol(Fault::NoPlan)]);
        assert_eq!(with_ktap(""), [Protocol(Fault::NoPlan)]);
        let twice = "1..2\nok 1 a\nok 1 a\n";
        assert_eq!(with_ktap(twice), [Protocol(Fault::Numbering)]);
        assert_eq!(
            with_ktap("1..1\nok 1 a\nok\n"),
            [Protocol(Fault::Malformed)]
        );
        let bail = "1..1\nok 1 a\nBail out!\n";
        assert_eq!(with_ktap(bail), [Protocol(Fault::BailedOut)]);
        let hidden = "1..1\n    1..1\n    not ok 1 b\nok 1 a\n";
        let both = [Reason::NotOk, Protocol(Fault::Inconsistent)];
        assert_eq!(with_ktap(hidden), both);
    }

    #[test]
    fn kernel_reports_are_red_and_name_the_test() {
        for line in [
            "WARNING: net/klips.c:1 at f",
            "BUG: scheduling while atomic: x/1/0x2",
            "Oops: 0002 [#1] SMP",
            "INFO: possible recursive locking detected",
            "WARNING: possible circular locking dependency detected",
            "INFO: task insmod:50 blocked for more than 120 seconds.",
            "rcu: INFO: rcu_sched self-detected stall on CPU",
            "UBSAN: shift-out-of-bounds in x.c:1:2",
            "BUG: KASAN: slab-out-of-bounds in f",
            "BUG: KCSAN: data-race in f [klips] / g",
            "kmemleak: unreferenced object 0xffff (size 64):",
            "Kernel panic - not syncing: x",
            "general protection fault, probably for non-canonical address",
        ] {
            assert_eq!(with_console(line), [Reason::Kernel], "{line}");
        }
        let console = format!("{CONSOLE}WARNING: x\n");
        let verdict = Run {
            console,
            ..Run::default()
        }
        .verdict();
        let title = &verdict.failures[0].title;
        assert_eq!(title, "kernel report during group/pair: WARNING: x");
    }

    #[test]
    fn bad_exit_codes_are_red() {
        let failed = "ready uptime=0.4\nexit code=1 tainted=0\n";
        assert_eq!(with_control(failed), [Reason::ExitCode]);
        let control = "ready uptime=0.4\nexit code=139 tainted=0\n".to_owned();
        let verdict = Run {
            control,
            ..Run::default()
        }
        .verdict();
        let title = &verdict.failures[0].title;
        assert_eq!(title, "the test program was ended by signal 11");
    }

    #[test]
    fn a_missing_exit_code_is_red() {
        assert_eq!(with_control("ready uptime=0.4\n"), [Reason::NoExitCode]);
        for cut in [
            "exit code=0",
            "exit code=0 tainted=12288",
            "exit code= tainted=\n",
        ] {
            let control = format!("ready uptime=0.4\n{cut}");
            assert_eq!(with_control(&control), [Reason::NoExitCode], "{cut}");
        }
    }

    #[test]
    fn unexpected_taints_are_red() {
        let control = "ready uptime=0.4\nexit code=0 tainted=12800\n".to_owned();
        let mut run = Run {
            control,
            ..Run::default()
        };
        assert_eq!(run.reasons(), [Reason::Taint]);
        assert_eq!(
            run.verdict().failures[0].title,
            "unexpected kernel taint 512 (W)"
        );
        run.taint_ok |= 512;
        assert_eq!(run.reasons(), []);
        assert_eq!(Taint((1 << 40) | 1).to_string(), "1099511627777 (P)");
    }

    #[test]
    fn no_answer_is_red() {
        for end in [End::Off, End::TimedOut(Duration::from_secs(9))] {
            let mut run = Run {
                end,
                ..Run::default()
            };
            run.ktap.clear();
            run.control.clear();
            assert_eq!(run.reasons(), [Reason::NoAnswer]);
            run.console.clear();
            assert_eq!(run.reasons(), [Reason::NoAnswer]);
        }
    }

    #[test]
    fn a_time_out_is_red_and_names_the_test() {
        let run = Run {
            ktap: "1..2\nok 1 load\n".to_owned(),
            control: "ready uptime=0.4\n".to_owned(),
            end: End::TimedOut(Duration::from_secs(9)),
            ..Run::default()
        };
        let expected = [Reason::Protocol(Fault::Count), Reason::TimedOut];
        assert_eq!(run.reasons(), expected);
        let title = &run.verdict().failures[1].title;
        assert_eq!(title, "time-out after 9 s during group/pair");
        // Even when all results had arrived.
        let end = End::TimedOut(Duration::from_secs(9));
        assert_eq!(
            Run {
                end,
                ..Run::default()
            }
            .reasons(),
            [Reason::TimedOut]
        );
        let end = End::Stuck;
        assert_eq!(
            Run {
                end,
                ..Run::default()
            }
            .reasons(),
            [Reason::NoPowerOff]
        );
    }

    #[test]
    fn a_dead_qemu_is_red() {
        let died = || End::Died {
            status: "signal: 9".to_owned(),
            said: vec!["cannot allocate memory".to_owned()],
        };
        let mut run = Run {
            end: died(),
            ..Run::default()
        };
        assert_eq!(run.reasons(), [Reason::QemuDied]);
        run.ktap.clear();
        run.control.clear();
        assert_eq!(run.reasons(), [Reason::QemuDied]);
    }

    #[test]
    fn tallies_are_read_summed_and_shown() {
        let mut sum: Tally = "10,0".parse().unwrap();
        assert!(sum.is_green());
        sum += "1,2,3".parse().unwrap();
        assert_eq!(sum.to_string(), "11 passed, 2 failed, 3 skipped");
        assert!(!sum.is_green());
        assert!(!Tally::default().is_green());
        for bad in ["", "1", "1,", "1,2,3,4", "a,b", "-1,0"] {
            assert!(bad.parse::<Tally>().is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn any_evidence_can_be_judged(
            ktap in proptest::collection::vec(any::<u8>(), 0..100),
            control in "(ready uptime=|exit code=|-?[0-9]{1,10}| tainted=|\n){0,12}",
            console in proptest::collection::vec(any::<u8>(), 0..100),
        ) {
            let verdict = judge(&Evidence {
                ktap: &ktap,
                control: control.as_bytes(),
                console: &console,
                end: &End::Off,
                taint_ok: 0,
            });
            verdict.print(&mut Vec::new()).unwrap();
        }

        #[test]
        fn a_run_whose_output_is_cut_short_is_never_green(
            ktap in 0..KTAP.len() - " group/pair\n".len(),
            control in 0..CONTROL.len(),
        ) {
            let run = Run { ktap: KTAP[..ktap].to_owned(), ..Run::default() };
            prop_assert!(!run.reasons().is_empty());
            let run = Run { control: CONTROL[..control].to_owned(), ..Run::default() };
            prop_assert!(!run.reasons().is_empty());
        }
    }
}
