// SPDX-License-Identifier: GPL-2.0

//! Interfaces: which eroutes and states belong to which, and what becomes of them when interfaces
//! come and go.

use klips::{
    change, errno::Errno, klips_core::interface::Interface, listing::Listing, memory,
    netns::Attached, said::Said,
};
use testbed::*;

const OWN: &str = "10.0.0.1";
const PEER: &str = "10.0.0.2";

fn out() -> [Said; 2] {
    [said("tun.113@10.0.0.2"), said("esp.115@10.0.0.2")]
}

fn incoming() -> [Said; 2] {
    [said("tun.213@10.0.0.1"), said("esp.215@10.0.0.1")]
}

fn flow_of(src: &str, dst: &str) -> Vec<Vec<u8>> {
    flow((src, 0), (dst, 0), 0)
}

fn usual() -> Vec<Vec<u8>> {
    flow_of("10.1.0.0/24", "10.2.0.0/24")
}

fn back() -> Vec<Vec<u8>> {
    flow_of("10.2.0.0/24", "10.1.0.0/24")
}

/// X_PLUMBIF or X_UNPLUMBIF of `ipsecN`.
fn plumb(msg_type: u8, number: u64) -> Vec<u8> {
    let interface = Interface::from_number(number).expect("one that there may be");
    numbered(msg_type, interface.ifnum())
}

fn numbered(msg_type: u8, ifnum: u16) -> Vec<u8> {
    let [low, high] = ifnum.to_le_bytes();
    let ext = extension(ext::PLUMBIF, &[low, high, 0, 0]);
    message(msg_type, 0, &[ext])
}

/// A host with one address, and a tunnel with ESP each way.
fn host() -> TestHost {
    let host = TestHost::new();
    host.local.borrow_mut().push(ip(OWN));
    for said in out() {
        host.set_up(&add(said));
    }
    host.set_up(&list(&out()));
    for said in incoming() {
        host.set_up(&from_source(add(said), PEER));
    }
    host.set_up(&list(&incoming()));
    host
}

/// The same with an eroute, and what may come back.
fn host_in_use() -> TestHost {
    let host = host();
    host.set_up(&add_flow(out()[0], 0, &usual()));
    host.set_up(&add_flow(incoming()[0], flag::IN, &back()));
    host
}

/// `ipsec0` above what has the host's address comes into use.
fn attach(host: &TestHost) {
    host.engine.add_interface(0, 7, &[ip(OWN)]);
    host.set_up(&plumb(msg::PLUMBIF, 0));
}

fn engine(host: &TestHost) -> Vec<String> {
    host.check();
    let text = host.engine.listing();
    text.lines().map(str::to_owned).collect()
}

const STATES: [&str; 2] = [
    "esp/tunnel 0x115 10.0.0.1>10.0.0.2 reqid 0x80000002",
    "esp/tunnel 0x215 10.0.0.2>10.0.0.1 reqid 0xc0000003",
];
const OPEN: &str = "out 10.1.0.0/24>10.2.0.0/24 allow esp/tunnel reqid 0x80000002";
const IN_ALLOW: &str = "10.2.0.0/24>10.1.0.0/24 allow esp/tunnel reqid 0xc0000003";

/// All there is with an interface, or without.
fn expected(interface: &str) -> Vec<String> {
    let mut lines: Vec<String> = STATES.map(|state| format!("{state}{interface}")).into();
    let at = |line: &str| line.replace(" allow", &format!("{interface} allow"));
    let mut policies = vec![
        at(OPEN),
        at(&format!("in {IN_ALLOW}")),
        at(&format!("fwd {IN_ALLOW}")),
    ];
    for way in ["in", "fwd"].iter().filter(|_| !interface.is_empty()) {
        policies.push(format!("{way} 10.2.0.0/24>10.1.0.0/24 block"));
    }
    policies.sort();
    lines.extend(policies);
    lines
}

/// Those policies that have not to do with what comes out of tunnels without an inflow.
fn without_catch_all(lines: Vec<String>) -> Vec<String> {
    let is_any = |line: &String| line.contains("0.0.0.0/0>0.0.0.0/0") || line.contains("::/0>::/0");
    lines.into_iter().filter(|line| !is_any(line)).collect()
}

#[test]
fn an_interface_has_to_be_there_and_is_used_once() {
    let host = TestHost::new();
    refused(&host, &plumb(msg::UNPLUMBIF, 0), Errno::ENODEV);
    // Where there is none, one is made that is attached to none.
    host.set_up(&plumb(msg::PLUMBIF, 0));
    refused(&host, &plumb(msg::PLUMBIF, 0), Errno::EEXIST);
    assert_eq!(
        host.listing(Listing::Tncfg),
        "ipsec0 -> NULL mtu=0(0) -> 0\n"
    );
    assert_eq!(host.engine.listing(), "", "no packet is for it");
    host.set_up(&plumb(msg::UNPLUMBIF, 0));
    assert_eq!(host.listing(Listing::Tncfg), "");
    for msg_type in [msg::PLUMBIF, msg::UNPLUMBIF] {
        refused(&host, &numbered(msg_type, 49151), Errno::EOPNOTSUPP);
        refused(&host, &numbered(msg_type, 49152 + 64), Errno::ENOENT);
        refused(&host, &numbered(msg_type, u16::MAX), Errno::ENOENT);
    }
    host.engine.add_interface(63, 7, &[]);
    host.drain();
    let request = plumb(msg::PLUMBIF, 63);
    assert_eq!(host.write(&request), Ok(()));
    assert_eq!(
        host.read(A),
        std::slice::from_ref(&request),
        "the answer is an echo"
    );
    assert_eq!(host.read(B), [[0; 0]; 0], "for the sender alone");
    refused(&host, &request, Errno::EEXIST);
    // Another is there by its name: that one is used from then on.
    host.engine.add_interface(63, 8, &[]);
    host.set_up(&request);
    host.set_up(&plumb(msg::UNPLUMBIF, 63));
    refused(&host, &plumb(msg::UNPLUMBIF, 63), Errno::ENODEV);
}

#[test]
fn interfaces_are_listed_as_klips_does() {
    let host = TestHost::new();
    let tncfg = || host.listing(Listing::Tncfg);
    assert_eq!(tncfg(), "");
    for number in [63, 0] {
        host.engine.add_interface(number, 7, &[]);
        host.set_up(&plumb(msg::PLUMBIF, number as u64));
    }
    assert_eq!(
        tncfg(),
        "ipsec0 -> NULL mtu=0(0) -> 0\nipsec63 -> NULL mtu=0(0) -> 0\n"
    );
    let mut attached = Attached {
        mtu: 16260,
        physical_mtu: 1500,
        ..Attached::default()
    };
    attached.physical[..4].copy_from_slice(b"eth0");
    host.attached.borrow_mut().insert(7, attached);
    host.set_up(&plumb(msg::UNPLUMBIF, 63));
    assert_eq!(tncfg(), "ipsec0 -> eth0 mtu=16260(1500) -> 1500\n");
}

#[test]
fn fragments_are_dropped_where_packets_with_ports_go() {
    let host = host();
    let of = |(src, dst)| flow((src, 0), (dst, 5000), 17);
    let there = ("10.1.0.0/24", "10.2.0.0/24");
    host.set_up(&add_flow(out()[0], 0, &of(there)));
    host.set_up(&add_flow(incoming()[0], flag::IN, &of((there.1, there.0))));
    let fragments = || {
        let mut lines = engine(&host);
        lines.retain(|line| line.contains("fragments"));
        lines
    };
    let sent = |at| format!("out 10.1.0.0/24>10.2.0.0/24 proto 17 fragments{at} block");
    // What comes in around the interface is not its own.
    let fwd = "fwd 10.2.0.0/24>10.1.0.0/24 proto 17 fragments block".to_owned();
    assert_eq!(fragments(), [fwd.clone(), sent("")]);
    attach(&host);
    assert_eq!(fragments(), [fwd.clone(), sent(" ipsec0")]);
    host.set_up(&delete(out()[0]));
    assert_eq!(fragments(), [fwd.clone(), sent(" ipsec0")]);
    host.set_up(&plumb(msg::UNPLUMBIF, 0));
    assert_eq!(fragments(), [fwd, sent("")]);
}

#[test]
fn an_interface_is_known_to_tools_by_its_if_id() {
    for (number, if_id) in [(0, 0x4b4c_0000), (63, 0x4b4c_003f)] {
        let interface = Interface::from_number(number).unwrap();
        assert_eq!(interface.if_id(), if_id);
    }
}

#[test]
fn what_is_in_use_goes_to_the_interface_and_back() {
    let host = host_in_use();
    assert_eq!(without_catch_all(engine(&host)), expected(""));
    attach(&host);
    assert_eq!(without_catch_all(engine(&host)), expected(" ipsec0"));
    host.engine.calls();
    host.set_up(&plumb(msg::UNPLUMBIF, 0));
    assert_eq!(without_catch_all(engine(&host)), expected(""));
    // What is routed to the interface drops before its state goes, as does what is not, until there
    // is one for that; only then nothing looks at the interface any more.
    let calls = host.engine.calls().into_iter();
    let calls: Vec<String> = calls
        .filter(|call| call.contains(" out ") || call.contains("0x115"))
        .filter(|call| !call.starts_with("new"))
        .collect();
    assert_eq!(
        calls,
        [
            "insert out 10.1.0.0/24>10.2.0.0/24 block".to_owned(),
            format!("block {}", OPEN.replace(" allow", " ipsec0 allow")),
            format!("swap {0} ipsec0 for {0}", STATES[0]),
            format!("open {OPEN}"),
            "delete out 10.1.0.0/24>10.2.0.0/24 ipsec0 block".to_owned(),
        ]
    );
}

#[test]
fn one_that_the_kernel_has_just_made_is_used_as_if_asked_for() {
    let host = host_in_use();
    let interface = Interface::from_number(0).unwrap();
    assert_eq!(change::attach(&host, interface), Err(Errno::ENODEV));
    host.engine.add_interface(0, 7, &[ip(OWN)]);
    assert_eq!(change::attach(&host, interface), Ok(()));
    assert_eq!(without_catch_all(engine(&host)), expected(" ipsec0"));
    assert_eq!(change::attach(&host, interface), Err(Errno::EEXIST));
}

#[test]
fn what_is_asked_for_later_is_the_interface_s_from_the_start() {
    let host = host();
    attach(&host);
    host.set_up(&add_flow(out()[0], 0, &usual()));
    host.set_up(&add_flow(incoming()[0], flag::IN, &back()));
    assert_eq!(without_catch_all(engine(&host)), expected(" ipsec0"));
    host.set_up(&del_flow(&usual()));
    host.set_up(&clear_flows());
    host.set_up(&flush(0));
    assert_eq!(without_catch_all(engine(&host)), [""; 0]);
}

#[test]
fn whatever_fails_nothing_has_changed() {
    for msg_type in [msg::PLUMBIF, msg::UNPLUMBIF] {
        let host = host_in_use();
        host.set_up(&add_flow(
            said("%drop"),
            0,
            &flow_of("10.1.0.0/24", "0.0.0.0/0"),
        ));
        host.engine.add_interface(0, 7, &[ip(OWN)]);
        if msg_type == msg::UNPLUMBIF {
            attach(&host);
        }
        for enough in 0.. {
            let before = seen(&host);
            memory::fail_after(Some(enough));
            let result = host.write(&plumb(msg_type, 0));
            memory::fail_after(None);
            host.check();
            if result == Ok(()) {
                assert!(enough > 20, "{enough}");
                break;
            }
            assert_eq!(result, Err(Errno::ENOMEM));
            assert_eq!(seen(&host), before, "after {enough}");
        }
    }
}

#[test]
fn chains_of_other_ends_and_without_a_tunnel_are_nobody_s() {
    let host = TestHost::new();
    let [tun, esp] = out();
    for said in [tun, esp] {
        host.set_up(&from_source(add(said), "10.0.0.9"));
    }
    host.set_up(&list(&out()));
    host.set_up(&add_flow(tun, 0, &usual()));
    let ah = said("ah.116@10.0.0.2");
    host.set_up(&add(ah));
    let hosts = flow_of("10.0.0.1/32", "10.0.0.2/32");
    host.set_up(&add_flow(ah, 0, &hosts));
    let before = engine(&host);
    attach(&host);
    assert_eq!(engine(&host), before);
    // The second interface has it.
    host.engine.add_interface(1, 8, &[ip("10.0.0.9")]);
    host.set_up(&plumb(msg::PLUMBIF, 1));
    let lines = engine(&host);
    assert!(
        lines.contains(&OPEN.replace(" allow", " ipsec1 allow")),
        "{lines:?}"
    );
    assert!(lines
        .iter()
        .any(|line| line.contains("10.0.0.2/32 allow ah/transport")));
    // Another SA for the same eroute, with the first one's end.
    let [tun, esp] = [said("tun.313@10.0.0.2"), said("esp.315@10.0.0.2")];
    host.set_up(&add(tun));
    host.set_up(&add(esp));
    host.set_up(&list(&[tun, esp]));
    host.set_up(&add_flow(tun, flag::REPLACE, &usual()));
    let out = |line: &&String| line.starts_with("out 10.1.0.0/24");
    let lines = engine(&host);
    let lines: Vec<&String> = lines.iter().filter(out).collect();
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(lines[0].contains(" ipsec0 allow esp/tunnel"), "{lines:?}");
}

#[test]
fn eroutes_without_sas_are_on_every_interface() {
    let host = host();
    let drop = |text: &str| format!("out 10.1.0.0/24>10.2.0.0/24{text} block");
    let seen = |host: &TestHost| -> Vec<String> {
        let lines = engine(host).into_iter();
        lines.filter(|line| line.starts_with("out ")).collect()
    };
    host.set_up(&add_flow(said("%drop"), 0, &usual()));
    assert_eq!(seen(&host), [drop("")]);
    attach(&host);
    assert_eq!(seen(&host), [drop(" ipsec0")]);
    host.engine.add_interface(5, 8, &[]);
    host.set_up(&plumb(msg::PLUMBIF, 5));
    assert_eq!(seen(&host), [drop(" ipsec0"), drop(" ipsec5")]);
    // One with SAs takes the place of all of them, and the other way round.
    host.set_up(&add_flow(out()[0], flag::REPLACE, &usual()));
    assert_eq!(seen(&host), [OPEN.replace(" allow", " ipsec0 allow")]);
    host.set_up(&add_flow(said("%drop"), flag::REPLACE, &usual()));
    assert_eq!(seen(&host), [drop(" ipsec0"), drop(" ipsec5")]);
    host.set_up(&plumb(msg::UNPLUMBIF, 0));
    assert_eq!(seen(&host), [drop(" ipsec5")]);
    host.set_up(&plumb(msg::UNPLUMBIF, 5));
    assert_eq!(seen(&host), [drop("")]);
    host.set_up(&del_flow(&usual()));
    assert_eq!(seen(&host), [""; 0]);
}

#[test]
fn what_passes_is_not_dropped_when_an_interface_comes_or_goes() {
    let host = host();
    host.engine.expect_all_clear();
    host.set_up(&add_flow(said("%pass"), 0, &usual()));
    for msg_type in [msg::PLUMBIF, msg::UNPLUMBIF] {
        host.engine.add_interface(0, 7, &[ip(OWN)]);
        host.engine.calls();
        host.set_up(&plumb(msg_type, 0));
        let calls = host.engine.calls();
        let mut blocks = calls.iter().filter(|call| call.starts_with("block out"));
        assert_eq!(blocks.next(), None, "{calls:?}");
    }
}

#[test]
fn an_eroute_whose_chain_and_interface_have_gone_drops_everywhere() {
    for (first, others) in [(true, false), (false, false), (true, true), (false, true)] {
        let host = host_in_use();
        if others {
            host.engine.add_interface(1, 8, &[]);
            host.set_up(&plumb(msg::PLUMBIF, 1));
        }
        attach(&host);
        let delete = delete(out()[1]);
        let unplumb = plumb(msg::UNPLUMBIF, 0);
        let steps = if first {
            [delete, unplumb]
        } else {
            [unplumb, delete]
        };
        for step in steps {
            host.set_up(&step);
        }
        let lines = engine(&host);
        let lines: Vec<&String> = lines.iter().filter(|it| it.starts_with("out")).collect();
        assert_eq!(lines, ["out 10.1.0.0/24>10.2.0.0/24 block"]);
        // With SAs again, it opens where they are.
        attach(&host);
        for said in out() {
            host.set_up(&add(said));
        }
        host.set_up(&list(&out()));
        let lines = engine(&host);
        let lines: Vec<&String> = lines.iter().filter(|it| it.starts_with("out")).collect();
        assert_eq!(lines.len(), 1, "{lines:?}");
        assert!(lines[0].contains(" ipsec0 allow esp/tunnel"), "{lines:?}");
    }
}

#[test]
fn one_that_somebody_removes_is_forgotten() {
    let host = host_in_use();
    attach(&host);
    change::interfaces_changed(&host);
    assert_eq!(
        without_catch_all(engine(&host)),
        expected(" ipsec0"),
        "it is there"
    );
    assert!(host.unattached.borrow().is_empty());
    host.engine.remove_interface(0);
    // Without memory, later.
    memory::fail_after(Some(3));
    change::interfaces_changed(&host);
    memory::fail_after(None);
    assert!(host.look_at_interfaces.take());
    assert_eq!(without_catch_all(engine(&host)), expected(" ipsec0"));
    change::interfaces_changed(&host);
    assert!(!host.look_at_interfaces.get());
    assert_eq!(without_catch_all(engine(&host)), expected(""));
    assert_eq!(
        host.listing(Listing::Tncfg),
        "ipsec0 -> NULL mtu=0(0) -> 0\n"
    );
    // One of the same name that somebody else has made since is not used without being asked for.
    host.unattached.borrow_mut().clear();
    host.engine.add_interface(0, 9, &[ip(OWN)]);
    assert_eq!(without_catch_all(engine(&host)), expected(""));
    host.set_up(&plumb(msg::PLUMBIF, 0));
    assert_eq!(without_catch_all(engine(&host)), expected(" ipsec0"));
}

#[test]
fn tunnels_without_an_inflow_are_let_in_at_the_interface() {
    let host = host();
    attach(&host);
    let lines = engine(&host);
    for way in ["in", "fwd"] {
        for family in ["0.0.0.0/0>0.0.0.0/0", "::/0>::/0"] {
            let at = format!("{way} {family} ipsec0 allow");
            assert!(
                lines.iter().any(|line| line.starts_with(&at)),
                "{at}: {lines:?}"
            );
        }
    }
    host.set_up(&plumb(msg::UNPLUMBIF, 0));
    let lines = engine(&host);
    assert!(
        !lines.iter().any(|line| line.contains("ipsec0")),
        "{lines:?}"
    );
}
