// SPDX-License-Identifier: GPL-2.0

//! Proves that the harness turns red: boots guests that are broken on purpose, one way each, and
//! expects exactly that way to be reported.  A healthy guest among them proves that it is not
//! just always red.

use crate::{
    initramfs::{Image, Job},
    ktap::Fault,
    qemu::Machine,
    verdict::{Evidence, Reason, TAINTS_EXPECTED, Tally, Verdict, judge},
};
use anyhow::Result;
use std::{path::Path, time::Duration};

/// How long a guest may take after its boot.
const LIMIT: Duration = Duration::from_secs(120);
/// The same where it is known to hang.
const HANG_LIMIT: Duration = Duration::from_secs(8);

/// Spares a guest the time to look for leaks.
const NO_KMEMLEAK: &str = "kmemleak=off";

/// A guest and what must be found wrong with it.
struct Case {
    name: &'static str,
    /// Module of the directory of broken ones that the script loads.
    module: Option<&'static str>,
    /// Kernel option without which the kernel cannot notice.
    needs: Option<&'static str>,
    /// Kernel parameters for this guest.
    append: &'static str,
    /// How long it may take after its boot.
    limit: Duration,
    /// The guest's test program.
    script: &'static str,
    /// Every reason that is to be given, and nothing else.
    reasons: &'static [Reason],
    /// Text that must be in one of the failures' titles.
    told: &'static str,
}

/// What most cases have in common.
const CASE: Case = Case {
    name: "",
    module: None,
    needs: None,
    append: NO_KMEMLEAK,
    limit: LIMIT,
    script: "",
    reasons: &[],
    told: "",
};

const CASES: &[Case] = &[
    Case {
        name: "a healthy guest is green",
        module: Some("good"),
        append: "",
        script: "echo 1..2
                 zcat /proc/config.gz | grep '^CONFIG_.*=y'
                 insmod /lib/modules/extra/good.ko && echo ok 1 load
                 rmmod good && echo ok 2 unload",
        ..CASE
    },
    Case {
        name: "a module that warns",
        module: Some("warn"),
        script: "echo 1..1
                 echo klips-test: begin loading it >/dev/kmsg
                 insmod /lib/modules/extra/warn.ko && echo ok 1 load",
        reasons: &[Reason::Kernel, Reason::Taint],
        told: "kernel report during loading it: WARNING: ",
        ..CASE
    },
    Case {
        name: "a module that oopses",
        module: Some("oops"),
        script: "echo 1..1
                 insmod /lib/modules/extra/oops.ko && echo ok 1 load",
        reasons: &[
            Reason::Protocol(Fault::Count),
            Reason::Kernel,
            Reason::NoExitCode,
        ],
        told: "kernel BUG at oops.c",
        ..CASE
    },
    Case {
        name: "a module that hangs",
        module: Some("hang"),
        script: "echo 1..1
                 echo klips-test: begin loading it >/dev/kmsg
                 insmod /lib/modules/extra/hang.ko && echo ok 1 load",
        limit: HANG_LIMIT,
        reasons: &[Reason::Protocol(Fault::Count), Reason::TimedOut],
        told: "during loading it",
        ..CASE
    },
    Case {
        name: "a test that fails",
        script: "echo 1..2
                 echo ok 1 good
                 echo not ok 2 bad",
        reasons: &[Reason::NotOk],
        told: "bad",
        ..CASE
    },
    Case {
        name: "tests without a plan",
        script: "echo ok 1 good",
        reasons: &[Reason::Protocol(Fault::NoPlan)],
        told: "no plan",
        ..CASE
    },
    Case {
        name: "tests that end early with exit code 0",
        script: "echo 1..2
                 echo ok 1 good
                 exit 0",
        reasons: &[Reason::Protocol(Fault::Count)],
        told: "2 planned, 1 reported",
        ..CASE
    },
    Case {
        name: "tests that exit with an error",
        script: "echo 1..1
                 echo ok 1 good
                 exit 3",
        reasons: &[Reason::ExitCode],
        told: "exited with 3",
        ..CASE
    },
    Case {
        name: "tests that die by a signal",
        script: "echo 1..1
                 echo ok 1 good
                 kill -SEGV $$",
        reasons: &[Reason::ExitCode],
        told: "ended by signal 11",
        ..CASE
    },
    Case {
        name: "a guest that restarts behind our back",
        script: "echo 1..1
                 echo ok 1 good
                 sleep 0.1
                 reboot -f",
        reasons: &[Reason::NoExitCode],
        told: "no exit code arrived",
        ..CASE
    },
    Case {
        name: "a test program that does nothing",
        reasons: &[Reason::Protocol(Fault::NoPlan)],
        told: "no plan",
        ..CASE
    },
    Case {
        name: "a tainted kernel",
        script: "echo 1..1
                 echo 64 >/proc/sys/kernel/tainted
                 echo ok 1 good",
        reasons: &[Reason::Taint],
        told: "taint 64 (U)",
        ..CASE
    },
    Case {
        name: "a guest that never answers",
        append: "rdinit=/nowhere init=/nowhere",
        reasons: &[Reason::Kernel, Reason::NoAnswer],
        told: "never answered",
        ..CASE
    },
    Case {
        name: "a module that leaks",
        module: Some("leak"),
        append: "",
        needs: Some("CONFIG_DEBUG_KMEMLEAK=y"),
        script: "echo 1..2
                 insmod /lib/modules/extra/leak.ko && echo ok 1 load
                 rmmod leak && echo ok 2 unload",
        reasons: &[Reason::Kernel],
        told: "suspected memory leaks",
        ..CASE
    },
    Case {
        name: "a module that uses freed memory",
        module: Some("stale"),
        needs: Some("CONFIG_KASAN=y"),
        script: "echo 1..1
                 insmod /lib/modules/extra/stale.ko && echo ok 1 load",
        reasons: &[Reason::Kernel, Reason::Taint],
        told: "KASAN: slab-use-after-free",
        ..CASE
    },
    Case {
        name: "a module that breaks the locking order",
        module: Some("locks"),
        needs: Some("CONFIG_PROVE_LOCKING=y"),
        script: "echo 1..1
                 insmod /lib/modules/extra/locks.ko && echo ok 1 load",
        reasons: &[Reason::Kernel],
        told: "possible circular locking dependency",
        ..CASE
    },
    Case {
        name: "a module with a data race",
        module: Some("race"),
        needs: Some("CONFIG_KCSAN=y"),
        script: "echo 1..1
                 echo klips-test: begin loading it >/dev/kmsg
                 insmod /lib/modules/extra/race.ko && echo ok 1 load",
        reasons: &[Reason::Kernel],
        told: "BUG: KCSAN: data-race in race_count",
        ..CASE
    },
];

impl Case {
    /// Boots the guest; returns what it printed and the verdict on it.
    fn run(&self, bench: &Bench<'_>) -> Result<(Vec<u8>, Verdict)> {
        let mut image = Image::new(bench.machine.root.as_deref())?;
        if let Some(module) = self.module {
            let module = bench.broken.join(module).with_extension("ko");
            image.extra_module(&module, bench.release)?;
        }
        let script = format!("#!/bin/sh\n{}\n", self.script);
        image.script("usr/sbin/guest-tests", script.as_bytes())?;
        let mut machine = bench.machine.clone();
        machine.append = format!("{} {}", machine.append, self.append);
        let directory = bench.out.join(self.name.replace(' ', "-"));
        let job = Job::Test(&[]);
        let boot = machine.boot(image, &job, &directory, self.limit, &mut |_, _| Ok(()))?;
        let verdict = judge(&Evidence {
            ktap: &boot.out,
            control: &boot.control,
            console: &boot.console,
            end: &boot.end,
            taint_ok: TAINTS_EXPECTED,
        });
        Ok((boot.out, verdict))
    }

    /// Tells what is wrong with a verdict, if anything.
    fn complaint(&self, verdict: &Verdict) -> Option<String> {
        let mut reasons: Vec<_> = verdict.failures.iter().map(|f| f.reason).collect();
        let mut expected = self.reasons.to_vec();
        reasons.sort();
        expected.sort();
        if reasons != expected {
            return Some(format!("expected {expected:?}, found {reasons:?}"));
        }
        let told = self.told;
        let mut titles = verdict.failures.iter().map(|failure| &failure.title);
        if !expected.is_empty() && !titles.any(|title| title.contains(told)) {
            return Some(format!("no failure mentions “{told}”"));
        }
        (verdict.tally().is_green() != expected.is_empty()).then(|| "wrong colour".to_owned())
    }
}

/// What the cases run with.
pub struct Bench<'a> {
    /// The machine they boot on.
    pub machine: &'a Machine,
    /// Its kernel's release.
    pub release: &'a str,
    /// Directory of the modules built from `broken/`.
    pub broken: &'a Path,
    /// Where each of them gets a directory for its logs.
    pub out: &'a Path,
}

/// Boots every broken guest that the kernel has the means to find out.
pub fn run(bench: &Bench<'_>) -> Result<Tally> {
    let mut tally = Tally::default();
    // The first guest, the healthy one, prints the kernel's configuration.
    let mut options = String::new();
    for case in CASES {
        if let Some(needs) = case.needs {
            if !options.lines().any(|option| option == needs) {
                println!("n/a      harness: {} (no {needs})", case.name);
                continue;
            }
        }
        let (printed, verdict) = case.run(bench)?;
        options += &String::from_utf8_lossy(&printed);
        match case.complaint(&verdict) {
            None => {
                tally.passed += 1;
                println!("ok       harness: {}", case.name);
                for failure in &verdict.failures {
                    println!("         {}", failure.title);
                }
            }
            Some(complaint) => {
                tally.failed += 1;
                println!("not ok   harness: {}\n         {complaint}", case.name);
                verdict.print(&mut std::io::stdout())?;
            }
        }
    }
    Ok(tally)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verdict::Failure;

    fn verdict(passed: usize, failures: &[(Reason, &str)]) -> Verdict {
        let failure = |&(reason, title): &(Reason, &str)| Failure {
            reason,
            title: title.to_owned(),
            diagnostics: Vec::new(),
            console: Vec::new(),
        };
        Verdict {
            passed,
            skipped: Vec::new(),
            failures: failures.iter().map(failure).collect(),
        }
    }

    #[test]
    fn only_the_expected_reasons_satisfy_a_case() {
        let case = CASES.iter().find(|case| case.told == "bad").unwrap();
        let complains = |failures: &[_]| case.complaint(&verdict(1, failures)).is_some();
        assert!(!complains(&[(Reason::NotOk, "bad")]));
        assert!(complains(&[]));
        assert!(complains(&[(Reason::NotOk, "other")]));
        assert!(complains(&[(Reason::TimedOut, "bad")]));
        assert!(complains(&[(Reason::NotOk, "bad"), (Reason::Taint, "W")]));

        let healthy = &CASES[0];
        assert_eq!(healthy.complaint(&verdict(2, &[])), None);
        assert!(healthy.complaint(&verdict(0, &[])).is_some());
        let failed = [(Reason::NotOk, "load")];
        assert!(healthy.complaint(&verdict(1, &failed)).is_some());
    }
}
