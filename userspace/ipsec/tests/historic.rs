// SPDX-License-Identifier: GPL-2.0

//! `ipsec spigrp` on a kernel that only knows pairs.

use crate::common::{ALONE, Machine};
use insta::assert_snapshot;
use klips::errno::Errno;
use std::rc::Rc;
use testbed::{B, delete, pair, said};

#[test]
fn pair_by_pair_on_a_historic_kernel() {
    let mut machine = Machine::historic();
    assert_snapshot!(machine.session(
        "spigrp --debug --said tun.113@gw2 esp.115@gw2 ah.116@gw2 comp.117@gw2
        (sent)
        spigrp
        spigrp --said ah.116@gw2
        (sent)
        spigrp
        spigrp inet gw2 0x113 tun inet gw2 0x115 esp
        spigrp"
    ));
}

#[test]
fn historic_failures_leave_nothing_behind() {
    for line in [
        "spigrp --said tun.999@gw2 esp.115@gw2",
        "spigrp --said tun.113@gw2 esp.999@gw2",
        "spigrp --said tun.113@gw2 esp.999@gw2 ah.116@gw2",
        "spigrp --said tun.113@gw2 esp.115@gw2 ah.999@gw2",
        "spigrp --said tun.113@gw2 esp.115@gw2 ah.116@gw2 comp.999@gw2",
        "spigrp --said tun.113@gw2 tun.113@gw2",
        "spigrp --said tun.113@gw2 esp.115@gw2 tun.113@gw2",
    ] {
        let mut machine = Machine::historic();
        assert_eq!(machine.run(line), 1);
        assert_eq!(machine.groups(), ALONE, "{line}");
    }
    assert_snapshot!(Machine::historic().session(
        "spigrp --said tun.999@gw2 esp.115@gw2
        spigrp --said tun.113@gw2 esp.999@gw2
        (sent)
        spigrp --debug --label x --said tun.113@gw2 esp.115@gw2 ah.116@gw2 comp.999@gw2
        (sent)
        spigrp --said tun.113@gw2 esp.115@gw2 tun.113@gw2
        (sent)"
    ));
}

#[test]
fn a_rollback_never_dissolves_a_group_that_was_there() {
    // Each of these would make links before it fails, and undoing them would take the old group
    // with it.
    for line in [
        "spigrp --said ah.116@gw2 tun.113@gw2 comp.117@gw2",
        "spigrp --said ah.116@gw2 comp.117@gw2 tun.113@gw2 ah.999@gw2",
        "spigrp --said esp.115@gw2 ah.116@gw2 comp.999@gw2",
        "spigrp --said tun.113@gw2 esp.115@gw2 ah.116@gw2",
    ] {
        let mut machine = Machine::historic();
        machine.quiet("spigrp --said tun.113@gw2 esp.115@gw2");
        let before = machine.groups();
        assert_eq!(before[0], "tun0x113@10.0.0.2 esp0x115@10.0.0.2");
        assert_eq!(machine.run(line), 1);
        assert_eq!(machine.groups(), before, "{line}");
    }
    let mut machine = Machine::historic();
    assert_snapshot!(machine.session(
        "spigrp --said tun.113@gw2 esp.115@gw2
        (sent)
        ipsec spigrp --label x --said ah.116@gw2 comp.117@gw2 esp.115@gw2 ah.999@gw2
        (sent)"
    ));
    // What is not known can't be kept.
    machine.list_error = Some(std::io::ErrorKind::PermissionDenied);
    assert_snapshot!(
        "list_unreadable",
        machine.session("spigrp --said ah.116@gw2 comp.117@gw2\n(sent)")
    );
}

#[test]
fn lists_of_other_releases_are_understood() {
    // A line for each SA, with those outside of it (libreswan 3.32).
    let mut machine = Machine::historic();
    machine.list = Some(
        "ah0x116@10.0.0.2 \nesp0x115@10.0.0.2 ah0x116@10.0.0.2 \ncomp0x117@10.0.0.2 \n\
         tun0x113@10.0.0.2 esp0x115@10.0.0.2 ah0x116@10.0.0.2 \n"
            .to_owned(),
    );
    machine.run("spigrp --said comp.117@gw2 ah.116@gw2");
    // No IPv6 destinations (Openswan 2.4.9).
    machine.list = Some("tun0x113@10.0.0.2 esp0x235@<invalid> \ncomp0x117@10.0.0.2 \n".to_owned());
    machine.run("spigrp --said comp.117@gw2 esp:235@3049:1::1");
    machine.run("spigrp --said comp.117@gw2 esp.235@gw2");
    machine.list = Some("esp0x235@<invalid> ah0x236@<invalid> \n".to_owned());
    machine.run("spigrp --said comp.117@gw2 ah:236@3049:1::1");
    assert_snapshot!(machine.session(""));
}

#[test]
fn undoing_may_fail_too() {
    let mut machine = Machine::historic();
    *machine.kernel.refuse.borrow_mut() = Some(Box::new(|request| match request.number {
        2 => Some(Errno::ENOMEM),
        3 => Some(Errno::ENOBUFS),
        _ => None,
    }));
    assert_snapshot!(machine.session(
        "spigrp --said tun.113@gw2 esp.115@gw2 ah.116@gw2
        (sent)
        spigrp"
    ));
}

#[test]
fn a_link_that_is_not_confirmed_is_undone() {
    let mut machine = Machine::historic();
    machine.kernel.mute.set(true);
    assert_snapshot!(machine.session("spigrp --said tun.113@gw2 esp.115@gw2\n(sent)"));
    assert_eq!(machine.groups(), ALONE);
}

#[test]
fn a_link_whose_answer_cannot_be_read_is_undone() {
    let mut machine = Machine::historic();
    let kernel = Rc::downgrade(&machine.kernel);
    *machine.kernel.refuse.borrow_mut() = Some(Box::new(move |request| {
        if request.number == 1 {
            let kernel = kernel.upgrade().unwrap();
            kernel.receive_error.set(Some(Errno(5)));
        }
        None
    }));
    assert_snapshot!(machine.session("spigrp --said tun.113@gw2 esp.115@gw2\n(sent)"));
    assert_eq!(machine.groups(), ALONE);
}

#[test]
fn an_sa_that_is_grouped_meanwhile_is_named() {
    let mut machine = Machine::historic();
    let kernel = Rc::downgrade(&machine.kernel);
    // Between the first link and the second, the third SA is linked to the fourth.
    *machine.kernel.refuse.borrow_mut() = Some(Box::new(move |request| {
        if request.number == 2 {
            let kernel = kernel.upgrade().unwrap();
            kernel
                .host
                .write_from(B, &pair(said("comp.117@10.0.0.2"), said("ah.116@10.0.0.2")))
                .unwrap();
        }
        None
    }));
    assert_snapshot!(
        machine.session("spigrp --json --said tun.113@gw2 esp.115@gw2 ah.116@gw2\n(sent)\nspigrp")
    );
}

#[test]
fn an_sa_that_goes_meanwhile_is_named() {
    let mut machine = Machine::historic();
    let kernel = Rc::downgrade(&machine.kernel);
    *machine.kernel.refuse.borrow_mut() = Some(Box::new(move |request| {
        if request.number == 2 {
            let kernel = kernel.upgrade().unwrap();
            kernel
                .host
                .write_from(B, &delete(said("ah.116@10.0.0.2")))
                .unwrap();
        }
        None
    }));
    assert_snapshot!(
        machine.session("spigrp --said tun.113@gw2 esp.115@gw2 ah.116@gw2\n(sent)\nspigrp")
    );
}

#[test]
fn an_end_half_way_leaves_nothing_behind() {
    for end_after in 0..=4 {
        let mut machine = Machine::historic();
        machine.end_after = Some(end_after);
        let code = machine.run("spigrp --said tun.113@gw2 esp.115@gw2 ah.116@gw2 comp.117@gw2");
        let groups = machine.groups();
        match end_after {
            // All is linked before anybody asks.
            4 => assert_eq!((code, groups.len()), (0, 1)),
            _ => assert_eq!((code, groups), (1, ALONE.map(str::to_owned).to_vec())),
        }
        // The list, which is refused, the links, and what undoes them: before the first there is
        // nothing to undo.
        let sent = machine.kernel.sent.borrow().len();
        assert_eq!(sent, [1, 1, 3, 4, 4][end_after], "{end_after}");
    }
    let mut machine = Machine::historic();
    machine.end_after = Some(2);
    let lines = "--said tun.113@gw2 esp.115@gw2 ah.116@gw2\n--said tun.113@gw2\n";
    machine.files.insert("groups".into(), lines.into());
    assert_snapshot!(machine.session(
        "spigrp --debug --keep-going --batch groups
        (sent)
        spigrp --json --batch groups"
    ));
}
