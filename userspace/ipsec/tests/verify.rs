// SPDX-License-Identifier: GPL-2.0

//! `ipsec verify`: what is found, and what helps.

use crate::common::Machine;
use insta::assert_snapshot;
use std::io::ErrorKind;

fn set(machine: &mut Machine, name: &str, text: &str) {
    machine.files.insert(name.into(), text.into());
}

const ROUTES: &str = "Iface Destination Gateway Flags RefCnt Use Metric Mask MTU Window IRTT
eth0 00000000 FE00000A 0003 0 0 100 00000000 0 0 0
eth0 0000000A 00000000 0001 0 0 100 00FFFFFF 0 0 0
";

/// A gateway on which all is well.
fn machine() -> Machine {
    let mut machine = Machine::with_four();
    machine.quiet("spigrp --said tun.113@gw2 esp.115@gw2 ah.116@gw2");
    machine.quiet("eroute --add --src 10.0.1.0/24 --dst 10.0.2.0/24 --said tun.113@gw2");
    machine.quiet("spi --ip4 --said tun.123@10.0.0.1 --src gw2");
    for (name, text) in [
        ("/proc/sys/kernel/osrelease", "7.3\n"),
        (
            "/lib/modules/7.3/modules.dep",
            "kernel/net/ipv4/esp4.ko.xz: kernel/x.ko\nkernel/net/ipv4/ipcomp.ko:\n",
        ),
        (
            "/lib/modules/7.3/modules.builtin",
            "kernel/net/ipv4/xfrm4_tunnel.ko\n",
        ),
        ("/proc/modules", "ah4 16384 2 - Live 0x0\n"),
        ("/proc/net/xfrm_stat", "XfrmInError 0\n"),
        ("/proc/net/route", ROUTES),
        ("/proc/sys/net/ipv4/ip_forward", "1\n"),
    ] {
        set(&mut machine, name, text);
    }
    machine.outputs.insert("ip xfrm policy".into(), OWN.into());
    machine.transcript.clear();
    machine
}

const OWN: &str = "src 10.0.1.0/24 dst 10.0.2.0/24 
\tdir out priority 16780000 ptype main 
\ttmpl src 10.0.0.1 dst 10.0.0.2
\t\tproto esp reqid 2147483650 mode tunnel
src 10.0.1.1/32 dst 10.0.2.2/32 proto udp sport 500 
\tdir out priority 16777215 ptype main 
src 0.0.0.0/0 dst 0.0.0.0/0 
\tsocket in priority 0 ptype main 
";

#[test]
fn all_is_well() {
    let mut machine = machine();
    assert_snapshot!(machine.session(
        "ipsec verify --help
        ipsec_verify --version
        ipsec verify
        ipsec verify --json
        ipsec verify now"
    ));
    machine.terminal = true;
    assert!(
        machine
            .session("ipsec verify")
            .contains("ESC[32mok     ESC[0m")
    );
    assert!(
        !machine
            .session("ipsec verify --color never")
            .contains("ESC")
    );
}

#[test]
fn nothing_to_talk_to() {
    let mut machine = Machine::new();
    let mut text = String::new();
    for (kind, proc, netkey) in [
        (Some(ErrorKind::NotFound), true, false),
        (Some(ErrorKind::NotFound), true, true),
        (None, true, true),
        (Some(ErrorKind::NotFound), false, false),
        (Some(ErrorKind::PermissionDenied), true, false),
    ] {
        machine.list_error = kind;
        machine.proc = proc;
        machine.netkey = netkey;
        text += &machine.session("ipsec verify");
    }
    assert_snapshot!(text);
}

#[test]
fn nothing_there() {
    let mut machine = Machine::new();
    assert_snapshot!(machine.session("ipsec verify"));
}

/// Each of these alone is found, with what helps; and it is the only one that is.
#[test]
fn each_is_found_alone() {
    let conf = |name: &str| format!("/proc/sys/net/ipv4/conf/{name}");
    let policy = |rest: &str| format!("{OWN}{rest}\n");
    let mut text = String::new();
    let mut found = |what: &str, change: &dyn Fn(&mut Machine)| {
        let mut machine = machine();
        change(&mut machine);
        machine.transcript.clear();
        let said = machine.session("ipsec verify");
        let lines = said
            .lines()
            .filter(|line| !line.starts_with("ok ") && !line.starts_with('$'));
        text += &format!("{what}\n{}\n\n", lines.collect::<Vec<_>>().join("\n"));
        assert_eq!(said.matches("\n         -> ").count(), 1, "{what}\n{said}");
    };
    found("no module", &|machine| set(machine, "/proc/modules", ""));
    found("no forwarding", &|machine| {
        set(machine, "/proc/sys/net/ipv4/ip_forward", "0\n")
    });
    found("no statistics", &|machine| {
        _ = machine.files.remove("/proc/net/xfrm_stat")
    });
    for (setting, value) in [
        ("eth0/disable_xfrm", "1\n"),
        ("all/disable_xfrm", "1\n"),
        ("eth0/disable_policy", "1\n"),
        ("all/rp_filter", "1\n"),
        ("eth0/rp_filter", "1\n"),
        ("eth0/send_redirects", "1\n"),
    ] {
        found(setting, &|machine| set(machine, &conf(setting), value));
    }
    found("accepted redirects", &|machine| {
        set(machine, &conf("all/accept_redirects"), "1\n");
        set(machine, &conf("eth0/accept_redirects"), "1\n");
    });
    found("no route", &|machine| {
        set(
            machine,
            "/proc/net/route",
            &ROUTES
                .replace("eth0 00000000 FE", "eth0 00000001 FE")
                .replace(" 100 00000000", " 100 FFFFFFFF"),
        );
    });
    found("no route to the other end", &|machine| {
        set(
            machine,
            "/proc/net/route",
            "eth0 0002000A FE00000A 0003 0 0 100 00FFFFFF 0 0 0\n",
        );
    });
    found("a chain that is gone", &|machine| {
        machine.quiet("spi --del --said ah.116@gw2")
    });
    found("a chain that has lost AH", &|machine| {
        machine.quiet("spigrp --ungroup tun.113@gw2");
        machine.quiet("spigrp --said tun.113@gw2 esp.115@gw2");
    });
    found("a lone tunnel", &|machine| {
        machine.quiet("spi --ip4 --said tun.200@gw2 --src 10.0.0.1");
        machine.quiet("eroute --replace --src 10.0.1.0/24 --dst 10.0.2.0/24 --said tun.200@gw2");
    });
    found("a name that can't be seen", &|machine| {
        machine.outputs.clear()
    });
    for rest in [
        "src 10.0.0.0/16 dst 10.0.2.0/24 \n\tdir out priority 375423 ptype main ",
        "src 10.0.1.7/32 dst 0.0.0.0/0 proto tcp dport 80 \n\tdir out action block ptype main ",
        "src 10.0.2.0/24 dst 10.0.1.0/24 \n\tdir fwd priority 16777214 ptype main ",
    ] {
        found(rest, &|machine| {
            _ = machine
                .outputs
                .insert("ip xfrm policy".into(), policy(rest))
        });
    }
    assert_snapshot!(text);
}

/// What is like these, and is nothing.
#[test]
fn what_is_no_fault_is_not_told_of() {
    let fine = |what: &str, change: &dyn Fn(&mut Machine)| {
        let mut machine = machine();
        change(&mut machine);
        machine.transcript.clear();
        let said = machine.session("ipsec verify");
        assert!(
            !said.contains("-> ") && !said.contains("[exit"),
            "{what}\n{said}"
        );
    };
    fine("other packets", &|machine| {
        let other = "src 10.7.0.0/16 dst 10.0.2.0/24 \n\tdir out priority 1 ptype main \n\
                     src 10.0.1.0/24 dst 10.0.2.0/24 \n\tdir in priority 1 ptype main \n\
                     src ::/0 dst ::/0 \n\tdir out priority 1 ptype main \n";
        machine
            .outputs
            .insert("ip xfrm policy".into(), format!("{OWN}{other}"));
    });
    fine("later ones", &|machine| {
        let later = "src 10.0.1.0/24 dst 10.0.2.0/24 \n\tdir out priority 2147483648 ptype main \n";
        machine
            .outputs
            .insert("ip xfrm policy".into(), format!("{OWN}{later}"));
    });
    fine("other ports", &|machine| {
        machine.quiet("eroute --del --src 10.0.1.0/24 --dst 10.0.2.0/24");
        machine.quiet("eroute --add --src 10.0.1.0/24 --dst 10.0.2.0/24 --transport-proto tcp --dst-port 80 --said tun.113@gw2");
        let other = "src 10.0.1.0/24 dst 10.0.2.0/24 proto tcp dport 81 \n\tdir out priority 1 ptype main \n\
                     src 10.0.1.0/24 dst 10.0.2.0/24 proto udp dport 80 \n\tdir out priority 1 ptype main \n";
        machine
            .outputs
            .insert("ip xfrm policy".into(), format!("{OWN}{other}"));
    });
    fine("loopback", &|machine| {
        machine.interfaces[0].name = "lo".into();
        for setting in ["disable_xfrm", "disable_policy", "rp_filter"] {
            set(
                machine,
                &format!("/proc/sys/net/ipv4/conf/lo/{setting}"),
                "1\n",
            );
        }
    });
    fine("loose", &|machine| {
        set(machine, "/proc/sys/net/ipv4/conf/all/rp_filter", "1\n");
        set(machine, "/proc/sys/net/ipv4/conf/eth0/rp_filter", "2\n");
    });
    fine("a host's own packets", &|machine| {
        machine.quiet("eroute --del --src 10.0.1.0/24 --dst 10.0.2.0/24");
        machine.quiet("eroute --add --src 10.0.0.1/32 --dst 10.0.2.0/24 --said tun.113@gw2");
        set(machine, "/proc/sys/net/ipv4/ip_forward", "0\n");
    });
    fine("what drops on purpose", &|machine| {
        machine.quiet("eroute --add --src 10.0.1.0/24 --dst 192.168.0.0/16 --said %drop");
        machine.quiet("eroute --add --src 10.0.1.0/24 --dst 10.0.2.9/32 --said %pass");
    });
    fine("a container", &|machine| {
        _ = machine.files.remove("/lib/modules/7.3/modules.dep")
    });
}
