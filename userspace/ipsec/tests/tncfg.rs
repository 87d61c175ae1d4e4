// SPDX-License-Identifier: GPL-2.0

//! `ipsec tncfg` against the module's request engine, and a machine with two interfaces.

use crate::common::Machine;
use insta::assert_snapshot;
use ipsec_tools::Link;
use klips::errno::Errno;
use std::io;

/// A machine with `eth0` and `eth1`.
fn machine() -> Machine {
    let mut machine = Machine::new();
    let link = Link {
        index: 3,
        mtu: 1400,
        if_id: None,
        below: 0,
    };
    let addresses = vec![([10, 9, 0, 1].into(), 24)];
    machine.links.insert("eth1".to_owned(), (link, addresses));
    machine
}

const ATTACH: &str = "ipsec tncfg --attach --virtual ipsec0 --physical eth0";

#[test]
fn help_version_and_labels() {
    assert_snapshot!(machine().session(
        "ipsec tncfg --help
        ipsec_tncfg --version
        klips tncfg --label here --version"
    ));
}

#[test]
fn bad_arguments() {
    let mut machine = machine();
    assert_snapshot!(machine.session(
        "ipsec tncfg ipsec0
        tncfg --bogus
        tncfg --virtual ipsec0
        tncfg --attach
        tncfg --attach --virtual ipsec0
        tncfg --attach --virtual ipsec0 --physical eth7
        tncfg --attach --virtual ipsec64 --physical eth0
        tncfg --attach --virtual ipsec00 --physical eth0
        tncfg --attach --virtual mast0 --physical eth0
        tncfg --attach --detach --virtual ipsec0
        tncfg --detach --virtual ipsec0 --physical eth0
        tncfg --detach
        tncfg --create
        tncfg --create eth0
        tncfg --clear --virtual ipsec0
        tncfg --dry-run
        tncfg --label here --delete ipsec-1"
    ));
    assert!(machine.kernel.sent.borrow().is_empty());
}

#[test]
fn interfaces_come_and_go() {
    let mut machine = machine();
    machine.terminal = true;
    assert_snapshot!(machine.session(
        "ipsec tncfg
        ipsec tncfg --attach --virtual ipsec0 --physical eth0
        ipsec tncfg --att --virt ipsec12 --phys eth1
        ipsec tncfg --create ipsec1
        ipsec tncfg
        ipsec tncfg --json
        ipsec tncfg --attach --virtual ipsec0 --physical eth1
        ipsec tncfg --attach --virtual ipsec2 --physical ipsec0
        ipsec tncfg --create ipsec1
        ipsec tncfg --attach --virtual ipsec1 --physical eth1
        ipsec tncfg --detach --virtual ipsec0
        ipsec tncfg --detach --virtual ipsec0
        ipsec tncfg --delete ipsec0
        ipsec tncfg --debug --delete ipsec1
        ipsec tncfg
        ipsec tncfg --clear
        ipsec tncfg"
    ));
    let left: Vec<&str> = machine.links.keys().map(String::as_str).collect();
    assert_eq!(left, ["eth0", "eth1"]);
}

/// As KLIPS's own took them.
#[test]
fn one_dash_will_do() {
    let mut machine = machine();
    machine.quiet("tncfg -attach -virt ipsec0 -physical=eth0");
    assert!(machine.links.contains_key("ipsec0"));
    machine.quiet("tncfg -det --virtual ipsec0");
    assert!(!machine.links.contains_key("ipsec0"));
    let text = machine.session("ipsec tncfg -attached\n ipsec tncfg -x");
    assert_eq!(text.matches("[exit 2]").count(), 2, "{text}");
}

#[test]
fn what_is_made_has_the_physical_one_s_addresses() {
    let mut machine = machine();
    machine.quiet(ATTACH);
    let (link, addresses) = &machine.links["ipsec0"];
    assert_eq!(
        (link.if_id, link.below, link.mtu),
        (Some(0x4b4c_0000), 2, 1500)
    );
    assert_eq!(*addresses, machine.links["eth0"].1);
}

#[test]
fn no_mtu_is_longer_than_packets_are() {
    let mut machine = machine();
    machine.links.get_mut("eth0").unwrap().0.mtu = 65536;
    machine.quiet(ATTACH);
    assert_eq!(machine.links["ipsec0"].0.mtu, 65535);
}

#[test]
fn results_as_json() {
    let mut machine = machine();
    assert_snapshot!(machine.session(
        "ipsec tncfg --json --attach --virtual ipsec0 --physical eth0
        ipsec tncfg --json --attach --virtual ipsec0 --physical eth0
        ipsec tncfg --json --clear
        ipsec tncfg --json --detach --virtual ipsec0"
    ));
}

#[test]
fn nothing_is_made_in_a_dry_run() {
    let mut machine = machine();
    machine.quiet("ipsec tncfg --create ipsec3");
    machine.kernel.sent.take();
    machine.files.insert(
        "batch".to_owned(),
        b"--attach --virtual ipsec0 --physical eth0
        --attach --virtual ipsec0 --physical eth1
        --detach --virtual ipsec0
        --attach --virtual ipsec3 --physical eth1
        --delete ipsec7
        --clear"
            .to_vec(),
    );
    assert_snapshot!(machine.session(
        "ipsec tncfg --dry-run --attach --virtual ipsec0 --physical eth0
        ipsec tncfg --dry-run --create ipsec0
        ipsec tncfg --dry-run --json --delete ipsec3
        ipsec tncfg --dry-run --batch batch
        ipsec tncfg --dry-run --batch batch --keep-going"
    ));
    assert!(machine.kernel.sent.borrow().is_empty());
    assert_eq!(machine.links.len(), 2);
}

#[test]
fn batches() {
    let mut machine = machine();
    machine.files.insert(
        "batch".to_owned(),
        b"# at boot
        --attach --virtual ipsec0 --physical eth0
        --attach --virtual ipsec1 --physical eth1 # the other
        "
        .to_vec(),
    );
    assert_snapshot!(machine.session(
        "ipsec tncfg --batch batch
        ipsec tncfg
        ipsec tncfg --batch batch"
    ));
}

#[test]
fn whatever_fails_leaves_nothing() {
    let mut machine = machine();
    machine.link_error = Some(io::ErrorKind::Unsupported);
    machine.run(ATTACH);
    machine.link_error = Some(io::ErrorKind::PermissionDenied);
    machine.run(ATTACH);
    machine.link_error = None;
    for errno in [
        Errno::EOPNOTSUPP,
        Errno::ENOMEM,
        Errno::EEXIST,
        Errno::ENODEV,
    ] {
        *machine.kernel.refuse.borrow_mut() = Some(Box::new(move |_| Some(errno)));
        machine.run(ATTACH);
        assert_eq!(machine.links.len(), 2, "{errno:?}");
    }
    *machine.kernel.refuse.borrow_mut() = None;
    machine.run(ATTACH);
    *machine.kernel.refuse.borrow_mut() = Some(Box::new(|_| Some(Errno::ENOMEM)));
    machine.run("ipsec tncfg --detach --virtual ipsec0");
    assert_eq!(machine.links.len(), 3, "in use, so it stays");
    *machine.kernel.refuse.borrow_mut() = None;
    // What is somebody else's stays as it is; what is left of ours is made anew.
    let foreign = machine.links["eth0"].clone();
    machine.links.insert("ipsec5".to_owned(), foreign);
    machine.run("ipsec tncfg --attach --virtual ipsec5 --physical eth0");
    assert!(machine.links.contains_key("ipsec5"));
    let mut left = machine.links["ipsec0"].clone();
    left.0.if_id = Some(0x4b4c_0006);
    left.0.index = 77;
    machine.links.insert("ipsec6".to_owned(), left);
    machine.run("ipsec tncfg --attach --virtual ipsec6 --physical eth0");
    assert_ne!(machine.links["ipsec6"].0.index, 77);
    assert_snapshot!(machine.transcript);
}

#[test]
fn without_the_module_and_beside_netkey() {
    let mut machine = machine();
    machine.open_error = Some(Errno::EAFNOSUPPORT);
    machine.run(ATTACH);
    machine.list_error = Some(io::ErrorKind::NotFound);
    machine.run("ipsec tncfg");
    machine.netkey = true;
    machine.run("tncfg");
    machine.run(ATTACH);
    assert_eq!(machine.links.len(), 2);
    assert_snapshot!(machine.transcript);
}

#[test]
fn lists_of_klips_are_understood() {
    let mut machine = machine();
    machine.list = Some(
        "ipsec0 -> eth0 mtu=16260(1500) -> 1500\nipsec1 -> NULL mtu=0(0) -> 0\nmast0 -> NULL mtu=0(0) -> 0\nwhat\n"
            .to_owned(),
    );
    assert_snapshot!(machine.session(
        "ipsec tncfg --json
        ipsec tncfg
        ipsec tncfg --color always"
    ));
}
