// SPDX-License-Identifier: GPL-2.0

//! `ipsec manual`: connections up and down, and what is done when that fails.

use crate::common::{K16, K24, Machine};
use insta::assert_snapshot;
use klips::errno::Errno;

const K20: &str = "0x00112233445566778899aabbccddeeff01234567";

/// Connections between this machine, 10.0.0.1, and another, 10.0.0.2.
fn conf() -> String {
    format!(
        "# Two gateways
version 2.0

config setup
	interfaces=%defaultroute
	manualstart=\"host  net\"

conn %default
	left=10.0.0.1
	right=10.0.0.2
	keyingtries=0

conn net # between networks
	also=keys
	leftsubnet=10.1.0.0/255.255.0.0
	rightsubnet = 10.2.0.0/16
	leftnexthop=10.0.0.254
	leftupdown=\"/bin/true with words\"
	spibase=0x200
	ah=hmac-sha1-96
	ahkey={K20}

conn host
	type=transport
	also=keys
	spi=0x300
	auto=manual

conn keys
	esp=3des-md5-96
	espenckey={K24}
	espauthkey={K16}
	espreplay_window=32

conn pass
	type=passthrough
	rightprotoport=tcp/22

conn reject
	type=reject
	rightsubnet=10.9.0.0/16

conn drop
	type=drop
	rightsubnet=10.8.0.0/16
"
    )
}

const CONF: &str = "/etc/klips/ipsec.conf";

fn machine() -> Machine {
    machine_with(&conf())
}

fn machine_with(conf: &str) -> Machine {
    let mut machine = Machine::new();
    machine.files.insert(CONF.into(), conf.into());
    machine
}

/// What is listed: eroutes and groups.
fn listed(machine: &Machine) -> String {
    let eroutes = machine.kernel.host.eroute();
    let eroutes = eroutes.lines().map(|line| {
        let words: Vec<_> = line.split_ascii_whitespace().skip(1).collect();
        words.join(" ")
    });
    let mut lines: Vec<_> = eroutes.collect();
    lines.extend(machine.groups());
    lines.join("\n")
}

#[test]
fn help_and_version() {
    assert_snapshot!(Machine::new().session(
        "ipsec manual --help
        ipsec manual --version
        ipsec_manual --version"
    ));
}

#[test]
fn bad_arguments() {
    assert_snapshot!(machine().session(
        "ipsec manual
        ipsec manual net
        ipsec manual --up
        ipsec manual --up --down net
        ipsec manual --up --all net
        ipsec manual --up --union
        ipsec manual --up --show --showonly net
        ipsec manual --up --iam nobody net
        ipsec manual --up nte
        ipsec manual --up --config /nowhere net
        ipsec manual --upp net"
    ));
}

/// The commands of every operation and type, as a shell takes them.
#[test]
fn commands_that_are_shown() {
    let mut machine = machine();
    let text = machine.session(
        "ipsec manual --showonly --up net
        ipsec manual --showonly --up --other net
        ipsec manual --showonly --iam 10.0.0.2@eth1 --up net
        ipsec manual --showonly --down net
        ipsec manual --showonly --route net
        ipsec manual --showonly --unroute net
        klips manual --showonly --up host
        ipsec_manual --showonly --up pass reject drop
        ipsec manual --showonly --json --down pass",
    );
    assert!(machine.kernel.sent.borrow().is_empty());
    assert_snapshot!(text);
}

/// `--other` is what the other end does itself.
#[test]
fn the_other_end_does_what_other_shows() {
    let commands = |line: &str| {
        let mut machine = machine();
        let text = machine.session(line);
        text.lines().skip(1).collect::<Vec<_>>().join("\n")
    };
    for name in ["net", "host", "pass"] {
        let other = commands(&format!("ipsec manual --showonly --other --up {name}"));
        let there = commands(&format!(
            "ipsec manual --showonly --iam 10.0.0.2 --up {name}"
        ));
        let here = commands(&format!("ipsec manual --showonly --up {name}"));
        assert_eq!(other, there);
        assert_ne!(other, here);
    }
}

/// What is shown is what is done.
#[test]
fn shown_commands_do_the_same() {
    for name in ["net", "host", "pass", "reject", "drop"] {
        let mut machine = machine();
        machine.run(&format!("ipsec manual --up {name}"));
        let done = listed(&machine);
        let mut other = self::machine();
        let shown = other.session(&format!("ipsec manual --showonly --up {name}"));
        for line in shown.lines().skip(1) {
            assert_eq!(other.run(line), 0, "{}", other.transcript);
        }
        assert_eq!(listed(&other), done);
        assert!(!done.is_empty());
    }
}

#[test]
fn up_and_down() {
    let mut machine = machine();
    let mut text = String::new();
    for line in [
        "ipsec manual --show --up net",
        "ipsec manual --up net",
        "ipsec manual --unroute net",
        "ipsec manual --route net",
        "ipsec manual --show --down net",
        "ipsec manual --down net",
        "ipsec manual --route net",
        "ipsec manual --up net",
        "ipsec manual --down net",
        "ipsec manual --show --unroute net",
        "ipsec manual --unroute net",
    ] {
        text += &machine.session(line);
        text += &format!("{}\n\n", listed(&machine));
    }
    assert_snapshot!(text);
    machine.kernel.host.check();
}

#[test]
fn every_type_goes_up_and_down() {
    let mut machine = machine();
    let mut text = String::new();
    for name in ["host", "pass", "reject", "drop"] {
        for operation in ["up", "up", "down", "down", "unroute"] {
            text += &machine.session(&format!("ipsec manual --{operation} {name}"));
            text += &format!("{}\n\n", listed(&machine));
        }
    }
    assert_snapshot!(text);
}

#[test]
fn all_that_the_file_says() {
    let mut machine = machine();
    let text = machine.session(
        "ipsec manual --show --route --all
        ipsec manual --json --up --all
        ipsec manual --up --all
        ipsec manual --json --down --all",
    );
    assert_snapshot!(text);
    // Nothing is to be started where there is no such file.
    machine.files.clear();
    assert_snapshot!(machine.session(
        "ipsec manual --up --all
        ipsec manual --up net
        ipsec manual --config other --up --all"
    ));
}

/// Whatever is refused, there is nothing left of it but an eroute that drops.
#[test]
fn whatever_fails_leaves_no_sa_and_drops() {
    let count = {
        let mut machine = machine();
        machine.run("ipsec manual --up net");
        machine.kernel.sent.take().len()
    };
    assert_eq!(count, 11);
    let mut text = String::new();
    for failing in 0..count {
        let mut machine = machine();
        machine.kernel.refuse.replace(Some(Box::new(move |request| {
            (request.number == failing).then_some(Errno::ENOBUFS)
        })));
        text += &format!("{failing}: {}", machine.session("ipsec manual --up net"));
        let left = listed(&machine);
        let expected = match failing {
            0 => "",
            _ => "10.1.0.0/16 -> 10.2.0.0/16 => %drop",
        };
        assert_eq!(left, expected, "{failing}");
        machine.kernel.refuse.take();
        assert_eq!(
            machine.run("ipsec manual --up net"),
            0,
            "{}",
            machine.transcript
        );
        machine.kernel.host.check();
    }
    assert_snapshot!(text);
}

#[test]
fn an_end_that_the_user_wants_leaves_nothing_half_done() {
    for end in 1..11 {
        let mut machine = machine();
        machine.end_after = Some(end);
        assert_eq!(machine.run("ipsec manual --up net"), 1);
        assert!(machine.transcript.contains("interrupted"));
        assert_eq!(listed(&machine), "10.1.0.0/16 -> 10.2.0.0/16 => %drop");
    }
}

#[test]
fn what_is_in_the_way_is_named() {
    let mut machine = machine();
    assert_snapshot!(machine.session(
        "ipsec eroute --add --src 10.1.0.0/16 --dst 10.2.0.0/16 --said %pass
        ipsec manual --up net
        ipsec manual --route net
        ipsec manual --unroute net
        ipsec eroute --replace --src 10.1.0.0/16 --dst 10.2.0.0/16 --said %trap
        ipsec spi --ip4 --said tun.203@10.0.0.1 --src 10.0.0.2
        ipsec spi --ip4 --said tun.201@10.0.0.1 --src 10.0.0.2
        ipsec manual --up net
        ipsec manual --json --up net
        ipsec spi --del --said tun.201@10.0.0.1
        ipsec manual --up net
        ipsec spigrp --ungroup tun.200@10.0.0.2
        ipsec manual --up net
        ipsec manual --show --down net
        ipsec manual --show --up net"
    ));
}

#[test]
fn dry_runs() {
    let mut machine = machine();
    let text = machine.session(
        "ipsec manual --dry-run --up net
        ipsec manual --dry-run --down net
        ipsec manual --dry-run --json --up host
        ipsec manual --up host
        ipsec manual --dry-run --up host
        ipsec manual --dry-run --down host
        ipsec manual --dry-run --unroute host",
    );
    assert_snapshot!(text);
}

/// Before this machine has addresses, packets both ways are dropped; afterwards only those of the
/// way that is its own.
#[test]
fn routes_before_there_are_addresses() {
    let mut machine = machine();
    let interfaces = std::mem::take(&mut machine.interfaces);
    let mut text = machine.session(
        "ipsec manual --up net
        ipsec manual --show --route net
        ipsec manual --route net",
    );
    text += &format!("{}\n\n", listed(&machine));
    machine.interfaces = interfaces;
    text += &machine.session("ipsec manual --show --up net");
    text += &format!("{}\n\n", listed(&machine));
    machine.interfaces.clear();
    text += &machine.session(
        "ipsec manual --show --route host
        ipsec manual --show --unroute host
        ipsec manual --unroute host",
    );
    assert_snapshot!(text);
}

#[test]
fn both_ends_here() {
    let mut machine = machine();
    machine.interfaces[0].addresses.push([10, 0, 0, 2].into());
    assert_snapshot!(machine.session(
        "ipsec manual --up host
        ipsec manual --iam 10.0.0.2 --show --up host"
    ));
}

#[test]
fn the_default_route_is_the_own_end() {
    let text = "conn c\n left=%defaultroute\n right=10.0.0.2\n type=passthrough\n leftnexthop=%defaultroute\n";
    let mut machine = machine_with(text);
    let mut told = machine.session("ipsec manual --showonly --up c");
    machine.files.insert(
        "/proc/net/route".into(),
        b"Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n\
          eth1\t00000000\t0100000A\t0003\t0\t0\t200\t00000000\t0\t0\t0\n\
          eth0\t00000000\tFE00000A\t0003\t0\t0\t100\t00000000\t0\t0\t0\n\
          eth0\t0000000A\t00000000\t0001\t0\t0\t100\t00FFFFFF\t0\t0\t0\n"
            .to_vec(),
    );
    told += &machine.session("ipsec manual --showonly --up c");
    machine.files.insert(
        "/proc/net/ipv6_route".into(),
        b"00000000000000000000000000000000 00 00000000000000000000000000000000 00 \
          30490001000000000000000000000001 00000400 00000001 00000000 00000003     eth0\n"
            .to_vec(),
    );
    machine
        .files
        .insert(CONF.into(), text.replace("10.0.0.2", "3049:1::1").into());
    told += &machine.session("ipsec manual --showonly --up c");
    assert_snapshot!(told);
}

#[test]
fn ipv6() {
    let mut machine = machine_with(&format!(
        "conn six
	connaddrfamily=ipv6
	left=3049:1::99
	right=3049:1::1
	leftsubnet=10.1.0.0/16
	rightsubnet=10.2.0.0/16
	spibase=0x1230
	esp=aes128-sha1
	espenckey={K16}
	leftespauthkey={K20}
	rightespauthkey=0s{}
	leftespspi=0x777
	leftprotoport=udp
	rightprotoport=17/%any
",
        "ABEiM0RVZneImaq7zN3u/wEjRWc="
    ));
    let mut text = machine.session("ipsec manual --showonly --up six");
    text += &machine.session("ipsec manual --up six\n ipsec manual --up six");
    text += &listed(&machine);
    assert_snapshot!(text);
}

#[test]
fn beside_netkey() {
    let mut machine = machine();
    machine.netkey = true;
    assert_snapshot!(machine.session("ipsec manual --up net"));
}

/// Algorithms that had better not be used with keys from a file; they are.
#[test]
fn remarks_on_algorithms() {
    let conn = |esp: &str, more: &str| {
        format!(
            "conn c\n left=10.0.0.1\n right=10.0.0.2\n spi=0x200\n esp={esp}\n espenckey={K20}\n{more}"
        )
    };
    let mut text = String::new();
    for conf in [
        conn("aes-gcm-16-128", ""),
        conn("aes-ctr-128", ""),
        conn("aes-ctr-128-sha1", &format!(" espauthkey={K20}\n")),
        conn("3des", "").replace(K20, K24),
        conn("3des", &format!(" ah=sha1\n ahkey={K20}\n")).replacen(K20, K24, 1),
        conn("null-sha1", &format!(" espauthkey={K20}\n")).replacen(
            &format!(" espenckey={K20}\n"),
            "",
            1,
        ),
    ] {
        let mut machine = machine_with(&conf);
        text += &machine.session("ipsec manual --up c");
        assert!(listed(&machine).contains("tun0x200@10.0.0.2 esp0x200@10.0.0.2"));
    }
    assert_snapshot!(text);
}
