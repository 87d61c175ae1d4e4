// SPDX-License-Identifier: GPL-2.0

//! `ipsec spigrp --join`: chains that are built by several calls, by the rules of Openswan 2.4's
//! kernel.

use crate::common::{ALONE, K16, Machine};
use insta::assert_snapshot;
use klips::errno::Errno;

const PAIR: &str = "tun0x113@10.0.0.2 esp0x115@10.0.0.2";

/// Machines with four SAs, the first two of them grouped, and two more SAs: under this module, and
/// under a KLIPS of old.
fn machines() -> [Machine; 2] {
    [Machine::with_four(), Machine::historic()].map(|mut machine| {
        machine.quiet("spigrp --said tun.113@gw2 esp.115@gw2");
        machine.quiet("spi --ip4 --said tun.213@gw2");
        machine.quiet(&format!("spi --ah md5 --said ah.216@gw2 --authkey {K16}"));
        machine.kernel.sent.take();
        machine.transcript.clear();
        machine
    })
}

#[test]
fn old_scripts_build_chains_by_several_calls() {
    for mut machine in machines() {
        // What they do is refused, and the way out is named; with it, it works.
        assert_eq!(machine.run("spigrp --said comp.117@gw2 tun.113@gw2"), 1);
        assert!(machine.transcript.ends_with(
            "tun.113@10.0.0.2 is already in the group tun.113@10.0.0.2.  Ungroup it and name all \
             SAs in one call, or use --join.\n[exit 1]\n"
        ));
        machine.quiet("spigrp --join --said comp.117@gw2 tun.113@gw2");
        let joined = format!("comp0x117@10.0.0.2 {PAIR}");
        assert!(machine.groups().contains(&joined), "{:?}", machine.groups());
        machine.quiet("spigrp --join inet gw2 0x115 esp inet gw2 0x116 ah");
        machine.quiet("spigrp --said tun.213@gw2 ah.216@gw2");
        machine.quiet("spigrp --said --join ah.116@gw2 tun.213@gw2");
        assert_eq!(
            machine.groups(),
            [format!(
                "comp0x117@10.0.0.2 {PAIR} ah0x116@10.0.0.2 tun0x213@10.0.0.2 ah0x216@10.0.0.2"
            )]
        );
    }
}

#[test]
fn only_ends_can_be_joined() {
    for mut machine in machines() {
        machine.quiet("spigrp --join --said tun.213@gw2 ah.216@gw2");
        let before = machine.groups();
        machine.kernel.sent.take();
        let text = machine.session(
            "ipsec spigrp --join --said tun.113@gw2 comp.117@gw2
            spigrp --join --said comp.117@gw2 esp.115@gw2
            spigrp --join --said esp.115@gw2 tun.113@gw2
            spigrp --join --said comp.117@gw2 comp.117@gw2
            spigrp --join --said ah.216@gw2 esp.999@gw2
            spigrp --join --said esp.999@gw2 comp.117@gw2
            spigrp --join --said esp.115@gw2 comp.117@gw2 tun.113@gw2
            spigrp --json --join --said comp.117@gw2 ah.116@gw2 ah.216@gw2
            spigrp --join --said comp.117@gw2
            spigrp --join
            spigrp --join --ungroup comp.117@gw2
            spigrp --join --monitor
            spigrp --join --said 1 2 3 4 5",
        );
        assert_snapshot!("only_ends_can_be_joined", text);
        assert!(machine.kernel.sent.borrow().is_empty());
        assert_eq!(machine.groups(), before);
    }
}

/// Fails at each message of a call that joins two groups and an SA, in each way.
#[test]
fn a_failure_leaves_the_groups_that_were_there() {
    let line = "spigrp --join --said esp.115@gw2 comp.117@gw2 tun.213@gw2";
    let prepared = || {
        machines().map(|mut machine| {
            machine.quiet("spigrp --said tun.213@gw2 ah.216@gw2");
            machine.kernel.sent.take();
            machine
        })
    };
    for fail_at in 0..2 {
        for mut machine in prepared() {
            let before = machine.groups();
            *machine.kernel.refuse.borrow_mut() = Some(Box::new(move |request| {
                (request.number == fail_at).then_some(Errno::ENOMEM)
            }));
            assert_eq!(machine.run(line), 1);
            assert_eq!(machine.groups(), before, "{fail_at}");
        }
        for mut machine in prepared() {
            let before = machine.groups();
            machine.end_after = Some(fail_at);
            assert_eq!(machine.run(line), 1);
            assert_eq!(machine.groups(), before, "{fail_at}");
        }
    }
    // The kernel does what it is asked for, but that can't be read.
    for mut machine in prepared() {
        let before = machine.groups();
        machine.kernel.receive_error.set(Some(Errno(5)));
        assert_eq!(machine.run(line), 1);
        assert_eq!(machine.groups(), before);
    }
    // What can't be undone is told of: that a link stays, or that one does not come back.
    let mut told = String::new();
    for fail_at in [[1, 2], [1, 3]] {
        let [mut machine, _] = prepared();
        *machine.kernel.refuse.borrow_mut() = Some(Box::new(move |request| {
            fail_at.contains(&request.number).then_some(Errno::ENOMEM)
        }));
        machine.transcript.clear();
        told += &machine.session(&format!("{line}\n(sent)\nspigrp"));
    }
    assert_snapshot!(told);
}

#[test]
fn in_batches_and_dry_runs() {
    let [mut machine, _] = machines();
    machine.files.insert(
        "lines".to_owned(),
        "\
--join --said comp.117@gw2 tun.113@gw2
--join --said esp.115@gw2 ah.116@gw2 tun.213@gw2
--join --said comp.117@gw2 ah.216@gw2
--ungroup esp.115@gw2
"
        .into(),
    );
    let before = machine.groups();
    let text = machine.session(
        "spigrp --dry-run --keep-going --batch lines
        spigrp --dry-run --json --join --said esp.115@gw2 comp.117@gw2 ah.116@gw2
        (sent)",
    );
    assert_eq!(machine.groups(), before);
    let done = machine.session("spigrp --keep-going --json --batch lines\n(sent)\nspigrp");
    assert_snapshot!(text + &done);
    assert_eq!(machine.groups()[..4], ALONE);
}
