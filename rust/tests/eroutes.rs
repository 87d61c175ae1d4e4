// SPDX-License-Identifier: GPL-2.0

//! Eroutes from end to end: what requests about them and about SAs ask of the packet engine, in
//! which order, and what everybody is told.

use klips::{
    errno::Errno,
    klips_core::{
        fold::{Mode, Transform},
        selector::{Network, Packet, Selector, PRIORITY_FIRST, PRIORITY_FRAGMENTS, PRIORITY_LAST},
        xfrm::{Action, Direction},
    },
    memory,
    netns::Limits,
    said::Said,
};
use testbed::{engine::Fate, *};

const SRC: &str = "10.0.0.1";

fn tun() -> Said {
    said("tun.113@10.0.0.2")
}

fn esp() -> Said {
    said("esp.115@10.0.0.2")
}

fn ah() -> Said {
    said("ah.116@10.0.0.2")
}

/// From one network to another, any protocol.
fn nets(src: &str, dst: &str) -> Vec<Vec<u8>> {
    flow((src, 0), (dst, 0), 0)
}

fn usual() -> Vec<Vec<u8>> {
    nets("10.1.0.0/24", "10.2.0.0/24")
}

fn selector(src: &str, dst: &str) -> Selector {
    let network = |text: &str| {
        let (address, prefix) = text.split_once('/').unwrap();
        Network::of(ip(address), prefix.parse().unwrap()).unwrap()
    };
    Selector {
        src: network(src),
        dst: network(dst),
        proto: 0,
        sport: 0,
        dport: 0,
    }
}

/// A host with the SAs of the manual page's first example, not grouped.
fn host_with_sas() -> TestHost {
    let host = TestHost::new();
    for said in [tun(), esp(), ah()] {
        host.set_up(&add(said));
    }
    host
}

/// The same, grouped, and with an eroute.
fn host_with_eroute() -> TestHost {
    let host = host_with_sas();
    host.set_up(&list(&[tun(), esp(), ah()]));
    host.set_up(&add_flow(tun(), 0, &usual()));
    host
}

/// States and policies, without what is the same in all of them.
fn engine(host: &TestHost) -> Vec<String> {
    host.check();
    let text = host.engine.listing();
    let text = text.replace(" reqid 0x8000000", " r");
    text.lines().map(str::to_owned).collect()
}

/// What was asked of the engine since the last time, what was only made left out.
fn calls(host: &TestHost) -> Vec<String> {
    let calls = host.engine.calls().into_iter();
    calls
        .filter(|call| !call.starts_with("new"))
        .map(|call| call.replace(" reqid 0x8000000", " r"))
        .collect()
}

const OPEN: &str = "out 10.1.0.0/24>10.2.0.0/24 allow esp/tunnel r2 ah/transport r3";
const SHUT: &str = "out 10.1.0.0/24>10.2.0.0/24 block";
const ESP: &str = "esp/tunnel 0x115 10.0.0.1>10.0.0.2 r2";
const AH: &str = "ah/transport 0x116 10.0.0.1>10.0.0.2 r3";

// --- Chains that are there ----------------------------------------------------------------------

#[test]
fn an_eroute_is_a_policy_whose_templates_are_the_chain() {
    let host = host_with_sas();
    host.set_up(&list(&[tun(), esp(), ah()]));
    assert_eq!(engine(&host), [""; 0], "nobody needs states yet");
    host.engine.calls();
    host.set_up(&add_flow(tun(), 0, &usual()));
    assert_eq!(engine(&host), [AH, ESP, OPEN]);
    // States before the policy that asks for them.
    assert_eq!(
        calls(&host),
        [
            format!("insert {ESP}"),
            format!("insert {AH}"),
            format!("insert {OPEN}"),
        ]
    );
    assert_eq!(
        host.eroute(),
        "0          10.1.0.0/24        -> 10.2.0.0/24        => tun0x113@10.0.0.2\n"
    );
}

#[test]
fn an_eroute_may_come_before_its_sas() {
    let host = TestHost::new();
    host.set_up(&add_flow(tun(), 0, &usual()));
    assert_eq!(engine(&host), [SHUT]);
    host.set_up(&add(tun()));
    assert_eq!(engine(&host), [SHUT], "a tunnel alone protects nothing");
    host.set_up(&add(esp()));
    host.set_up(&add(ah()));
    assert_eq!(engine(&host), [SHUT]);
    host.set_up(&pair(tun(), esp()));
    assert_eq!(
        engine(&host),
        [ESP, "out 10.1.0.0/24>10.2.0.0/24 allow esp/tunnel r2"]
    );
    host.set_up(&pair(esp(), ah()));
    assert_eq!(engine(&host), [AH, ESP, OPEN]);
}

#[test]
fn an_sa_that_is_only_reserved_is_of_no_use_yet() {
    let host = TestHost::new();
    host.set_up(&reserve(esp()));
    host.set_up(&add_flow(esp(), 0, &usual()));
    assert_eq!(engine(&host), [SHUT]);
    let mut update = add(esp());
    update[1] = msg::UPDATE;
    host.set_up(&update);
    assert_eq!(
        engine(&host),
        [
            "esp/transport 0x115 10.0.0.1>10.0.0.2 r1",
            "out 10.1.0.0/24>10.2.0.0/24 allow esp/transport r1"
        ]
    );
}

#[test]
fn many_eroutes_may_name_one_sa() {
    let host = host_with_eroute();
    host.set_up(&add_flow(tun(), 0, &nets("10.1.0.0/24", "10.3.0.0/24")));
    assert_eq!(engine(&host).len(), 4, "no more states");
    host.set_up(&ungroup(ah()));
    assert_eq!(host.engine.policies().len(), 2);
    assert!(engine(&host)[2..]
        .iter()
        .all(|line| line.ends_with("block")));
    host.set_up(&list(&[tun(), esp(), ah()]));
    assert!(!engine(&host)[2..]
        .iter()
        .any(|line| line.ends_with("block")));
}

#[test]
fn ipv6_in_ipv4_and_the_other_way_round() {
    for (src, dst, from, to) in [
        (SRC, "10.0.0.2", "2001:db8:1::/64", "2001:db8:2::/64"),
        ("2001:db8::1", "2001:db8::2", "10.1.0.0/24", "10.2.0.0/24"),
        ("2001:db8::1", "2001:db8::2", "::/0", "2001:db8:2::/64"),
    ] {
        let host = TestHost::new();
        let name = |proto, spi| Said {
            proto,
            spi,
            dst: ip(dst),
        };
        let [tun, esp] = [name(tun().proto, 0x113), name(esp().proto, 0x115)];
        for said in [tun, esp] {
            host.set_up(&from_source(add(said), src));
        }
        host.set_up(&pair(tun, esp));
        host.set_up(&add_flow(tun, 0, &nets(from, to)));
        assert_eq!(
            engine(&host),
            [
                format!("esp/tunnel 0x115 {src}>{dst} r2"),
                format!("out {from}>{to} allow esp/tunnel r2"),
            ]
        );
        assert!(
            host.eroute().contains(&format!("-> {to}")),
            "{}",
            host.eroute()
        );
    }
}

// --- Chains that change -------------------------------------------------------------------------

#[test]
fn ungroup_drops_and_grouping_again_opens_with_the_same_states() {
    let host = host_with_eroute();
    host.engine.pass(0x115, 100);
    host.engine.calls();
    host.set_up(&ungroup(esp()));
    assert_eq!(engine(&host), [AH, ESP, SHUT], "states stay");
    assert_eq!(calls(&host), [format!("block {OPEN}")]);
    host.set_up(&list(&[tun(), esp(), ah()]));
    assert_eq!(engine(&host), [AH, ESP, OPEN]);
    assert_eq!(calls(&host), [format!("replace {SHUT} by {OPEN}")]);
    let esp = host.engine.states().into_iter().find(|it| it.spi == 0x115);
    assert_eq!(esp.unwrap().usage.sequence, 1, "sequence numbers go on");
}

#[test]
fn a_chain_never_comes_to_protect_less_by_itself() {
    let host = host_with_eroute();
    host.set_up(&ungroup(ah()));
    host.set_up(&pair(tun(), esp()));
    assert_eq!(engine(&host).last().unwrap(), SHUT, "AH is missing");
    assert_eq!(host.dropped(), host.eroute());
    host.set_up(&pair(esp(), ah()));
    assert_eq!(engine(&host), [AH, ESP, OPEN]);
    assert_eq!(host.dropped(), "");
    host.set_up(&ungroup(ah()));
    host.set_up(&pair(tun(), esp()));
    assert_eq!(host.dropped(), host.eroute());
    // Now somebody says so.
    host.set_up(&add_flow(tun(), flag::REPLACE, &usual()));
    assert_eq!(
        engine(&host).last().unwrap(),
        "out 10.1.0.0/24>10.2.0.0/24 allow esp/tunnel r2"
    );
    assert_eq!(host.dropped(), "");
}

#[test]
fn what_drops_is_listed_and_what_waits_is_not() {
    let host = host_with_eroute();
    host.engine
        .expect_clear(selector("10.1.0.0/24", "10.4.0.0/24"));
    let to = |name: &str, network: &str| {
        let eroute = nets("10.1.0.0/24", network);
        host.set_up(&add_flow(said(name), 0, &eroute));
    };
    to("esp.999@10.0.0.2", "10.3.0.0/24");
    to("%pass", "10.4.0.0/24");
    to("%drop", "10.5.0.0/24");
    to("%reject", "10.6.0.0/24");
    to("%hold", "10.7.0.0/24");
    to("%trap", "10.8.0.0/24");
    to("%trapsubnet", "10.9.0.0/24");
    let networks = |list: String| -> Vec<String> {
        let lines = list.lines();
        lines
            .map(|line| line.split_whitespace().nth(3).unwrap().to_owned())
            .collect()
    };
    let shut = ["10.3.0.0/24", "10.5.0.0/24", "10.6.0.0/24"];
    assert_eq!(networks(host.dropped()), shut);
    assert!(host
        .dropped()
        .lines()
        .all(|line| host.eroute().lines().any(|listed| listed == line)));
    host.set_up(&add(said("esp.999@10.0.0.2")));
    assert_eq!(networks(host.dropped()), shut[1..]);
    host.set_up(&delete(said("esp.999@10.0.0.2")));
    assert_eq!(networks(host.dropped()), shut);
    // A lone tunnel that comes after its eroute.
    to("tun.998@10.0.0.2", "10.2.9.0/24");
    host.set_up(&from_source(add(said("tun.998@10.0.0.2")), "10.0.0.1"));
    assert_eq!(networks(host.dropped()).last().unwrap(), "10.2.9.0/24");
    host.set_up(&flush(0));
    assert_eq!(
        networks(host.dropped()),
        [
            "10.2.0.0/24",
            "10.3.0.0/24",
            "10.5.0.0/24",
            "10.6.0.0/24",
            "10.2.9.0/24"
        ]
    );
}

#[test]
fn a_bare_tunnel_is_for_who_asks_for_it() {
    let host = host_with_sas();
    host.set_up(&add_flow(tun(), 0, &usual()));
    assert_eq!(
        engine(&host),
        [
            "ipip/tunnel 0x113 10.0.0.1>10.0.0.2 r1",
            "out 10.1.0.0/24>10.2.0.0/24 allow ipip/tunnel r1"
        ]
    );
    host.set_up(&pair(tun(), esp()));
    assert_eq!(
        engine(&host)[1..],
        [
            "ipip/tunnel 0x113 10.0.0.1>10.0.0.2 r1",
            "out 10.1.0.0/24>10.2.0.0/24 allow esp/tunnel r2"
        ]
    );
    host.set_up(&ungroup(tun()));
    assert_eq!(engine(&host).last().unwrap(), SHUT);
}

#[test]
fn removal_drops_first_and_takes_states_out_then() {
    for request in [delete(ah()), flush(0), flush(2)] {
        let host = host_with_eroute();
        host.engine.calls();
        host.set_up(&request);
        assert_eq!(engine(&host), [SHUT]);
        let calls = calls(&host);
        assert_eq!(calls[0], format!("block {OPEN}"));
        assert_eq!(calls.len(), 3, "{calls:?}");
        assert!(calls[1..].iter().all(|call| call.starts_with("delete")));
        // The same SAs again.
        for said in [tun(), esp(), ah()] {
            host.set_up(&add(said));
        }
        assert_eq!(engine(&host), [SHUT]);
        host.set_up(&list(&[tun(), esp(), ah()]));
        assert!(engine(&host).last().unwrap().contains("allow esp/tunnel"));
    }
}

#[test]
fn a_hard_limit_drops_and_a_soft_one_does_not() {
    let host = TestHost::new();
    host.set_up(&limited(msg::ADD, esp(), 5, 10));
    host.set_up(&add_flow(esp(), 0, &usual()));
    host.sleep(7);
    assert_eq!(engine(&host).len(), 2);
    assert!(engine(&host)[1].contains("allow"));
    host.sleep(10);
    assert_eq!(engine(&host), [SHUT]);
}

#[test]
fn update_renews_the_state_and_carries_on_with_the_same_keys() {
    let host = host_with_eroute();
    let mut same = add(esp());
    same[1] = msg::UPDATE;
    host.engine.calls();
    host.set_up(&same);
    assert_eq!(calls(&host), [format!("swap {ESP} for {ESP}")]);
    let mut other = same;
    let last = other.len() - 1;
    other[last] ^= 0xff;
    host.set_up(&other);
    assert_eq!(calls(&host), [format!("swap anew {ESP} for {ESP}")]);
    assert_eq!(engine(&host), [AH, ESP, OPEN]);
}

#[test]
fn a_mode_changes_behind_a_policy_that_drops() {
    let host = host_with_sas();
    host.set_up(&add_flow(esp(), 0, &usual()));
    let transport = "esp/transport 0x115 10.0.0.1>10.0.0.2 r2";
    let other = nets("10.1.0.0/24", "10.3.0.0/24");
    assert_eq!(engine(&host)[0], transport);
    // In the middle of a chain it is in another mode, and of no use to who names it.
    host.engine.calls();
    host.set_up(&pair(tun(), esp()));
    assert_eq!(
        calls(&host),
        ["block out 10.1.0.0/24>10.2.0.0/24 allow esp/transport r2"]
    );
    host.set_up(&add_flow(tun(), 0, &other));
    assert_eq!(
        calls(&host),
        [
            "insert out 10.1.0.0/24>10.3.0.0/24 block",
            "swap esp/transport 0x115 10.0.0.1>10.0.0.2 r2 for esp/tunnel 0x115 10.0.0.1>10.0.0.2 r2",
            "open out 10.1.0.0/24>10.3.0.0/24 allow esp/tunnel r2",
        ]
    );
    // Taken apart, the first eroute wants transport mode again, and it drops in between.
    host.set_up(&ungroup(tun()));
    let calls = calls(&host);
    assert_eq!(
        calls[0],
        "block out 10.1.0.0/24>10.3.0.0/24 allow esp/tunnel r2"
    );
    assert!(calls[1].starts_with("swap"), "{calls:?}");
    assert!(calls[2].starts_with("replace"), "{calls:?}");
    assert_eq!(calls.len(), 3);
}

#[test]
fn an_open_policy_drops_while_a_state_of_its_chain_changes() {
    let host = TestHost::new();
    host.set_up(&add(tun()));
    host.set_up(&from_source(add(esp()), "0.0.0.0"));
    host.set_up(&pair(tun(), esp()));
    host.set_up(&add_flow(tun(), 0, &usual()));
    let mut update = from_source(add(tun()), "10.0.0.9");
    update[1] = msg::UPDATE;
    host.engine.calls();
    host.set_up(&update);
    let open = "out 10.1.0.0/24>10.2.0.0/24 allow esp/tunnel r2";
    let state = |src| format!("esp/tunnel 0x115 {src}>10.0.0.2 r2");
    assert_eq!(
        calls(&host),
        [
            format!("block {open}"),
            format!("swap {} for {}", state("10.0.0.1"), state("10.0.0.9")),
            format!("replace {SHUT} by {open}"),
        ]
    );
}

// --- Requests about eroutes ---------------------------------------------------------------------

#[test]
fn adding_twice_replacing_and_removing() {
    let host = host_with_eroute();
    refused(&host, &add_flow(tun(), 0, &usual()), Errno::EEXIST);
    // What does not count in an address does not make another eroute.
    let near = nets("10.1.0.77/24", "10.2.0.0/24");
    refused(&host, &add_flow(esp(), 0, &near), Errno::EEXIST);
    let other = nets("10.1.0.0/24", "10.4.0.0/24");
    refused(
        &host,
        &add_flow(tun(), flag::REPLACE, &other),
        Errno::ENOENT,
    );
    refused(&host, &del_flow(&other), Errno::ENOENT);
    // The new one may name another SA; it takes the place in one go.
    let new = said("esp.200@10.0.0.2");
    host.set_up(&add(new));
    host.engine.calls();
    host.set_up(&add_flow(new, flag::REPLACE, &usual()));
    let to = "out 10.1.0.0/24>10.2.0.0/24 allow esp/transport r4";
    assert_eq!(
        calls(&host),
        [
            "insert esp/transport 0x200 10.0.0.1>10.0.0.2 r4".to_owned(),
            format!("replace {OPEN} by {to}"),
        ]
    );
    assert!(host.eroute().ends_with("=> esp0x200@10.0.0.2\n"));
    // What the old one named is none of its business any more.
    host.set_up(&delete(esp()));
    assert_eq!(engine(&host).last().unwrap(), to);
    host.set_up(&del_flow(&usual()));
    assert_eq!(engine(&host).len(), 1, "the state stays");
    assert_eq!(host.eroute(), "");
}

#[test]
fn clear_removes_all_eroutes() {
    let host = host_with_eroute();
    for net in 0..200 {
        host.set_up(&add_flow(
            tun(),
            0,
            &nets("10.1.0.0/24", &format!("10.5.{net}.0/24")),
        ));
    }
    assert_eq!(host.eroute().lines().count(), 201);
    let told = answer(&host, &clear_flows());
    assert_eq!(hex(&told), hex(&clear_flows()));
    assert_eq!(host.eroute(), "");
    assert!(host.engine.policies().is_empty());
    // And with nothing there.
    answer(&host, &clear_flows());
}

#[test]
fn everybody_is_told_what_was_asked_for() {
    let host = host_with_sas();
    let mut ports = flow(("10.1.0.0/24", 0), ("10.2.0.0/24", 443), 6);
    let request = add_flow(esp(), 0, &ports);
    assert_eq!(hex(&answer(&host, &request)), hex(&request));
    let again = add_flow(esp(), flag::REPLACE, &ports);
    assert_eq!(hex(&answer(&host, &again)), hex(&again));
    // DELFLOW is answered with an SA extension in any case.
    let told = answer(&host, &del_flow(&ports));
    ports.insert(0, RawSa::naming(0).ext(ext::SA));
    assert_eq!(hex(&told), hex(&del_flow(&ports)));
    // A source is not needed, and algorithms that mean nothing are not echoed.
    let mut exts = vec![
        RawSa {
            auth: 2,
            encrypt: 3,
            sa_ref: u32::MAX,
            ..RawSa::naming(0x113)
        }
        .ext(ext::SA),
        address(ext::ADDRESS_DST, tun().dst, 0),
    ];
    exts.extend(usual());
    let told = answer(&host, &message(msg::ADDFLOW, 9, &exts));
    exts[0] = RawSa::naming(0x113).ext(ext::SA);
    assert_eq!(hex(&told), hex(&message(msg::ADDFLOW, 9, &exts)));
}

#[test]
fn what_is_left_behind_addresses_is_neither_key_nor_told() {
    let host = host_with_sas();
    let clean = add_flow(esp(), 0, &usual());
    let mut dirty = usual();
    for ext in &mut dirty {
        ext[16..24].fill(0x5a);
    }
    let told = answer(&host, &add_flow(esp(), 0, &dirty));
    assert_eq!(hex(&told), hex(&clean));
    refused(&host, &clean, Errno::EEXIST);
    host.set_up(&del_flow(&dirty));
}

#[test]
fn masks_and_chains_that_can_not_be_are_refused() {
    let host = host_with_sas();
    let mut gap = usual();
    gap[2] = address(ext::ADDRESS_SRC_MASK, ip("255.0.255.0"), 0);
    refused(&host, &add_flow(esp(), 0, &gap), Errno::EINVAL);
    let mut mixed = usual();
    mixed[1] = address(ext::ADDRESS_DST_FLOW, ip("2001:db8::"), 0);
    mixed[3] = address(ext::ADDRESS_DST_MASK, ip("ffff::"), 0);
    refused(&host, &add_flow(esp(), 0, &mixed), Errno::EINVAL);
    host.set_up(&list(&[tun(), esp(), ah()]));
    // Only from the inside on is a chain whole.
    refused(&host, &add_flow(esp(), 0, &usual()), Errno::EINVAL);
    refused(&host, &add_flow(ah(), 0, &usual()), Errno::EINVAL);
    // Magic SAIDs that are none.
    let int = |spi| Said {
        spi,
        ..said("%trap")
    };
    refused(&host, &add_flow(int(255), 0, &usual()), Errno::EINVAL);
    refused(&host, &add_flow(int(262), 0, &usual()), Errno::EINVAL);
    // A source that is not that of the tunnel.
    let other = said("esp.300@10.0.0.2");
    let tunnel = said("tun.301@10.0.0.2");
    host.set_up(&from_source(add(other), "10.0.0.77"));
    host.set_up(&add(tunnel));
    host.set_up(&pair(tunnel, other));
    refused(&host, &add_flow(tunnel, 0, &usual()), Errno::EINVAL);
}

#[test]
fn six_states_are_too_many_for_packets_and_not_for_a_group() {
    let host = TestHost::new();
    let chain: Vec<Said> = (0x201..0x207).map(|spi| Said { spi, ..esp() }).collect();
    for said in &chain {
        host.set_up(&add(*said));
    }
    for two in chain[..5].windows(2) {
        host.set_up(&pair(two[0], two[1]));
    }
    host.set_up(&add_flow(chain[0], 0, &usual()));
    assert_eq!(host.engine.states().len(), 5);
    // The group may grow; then the eroute drops.
    host.set_up(&pair(chain[4], chain[5]));
    assert_eq!(engine(&host).last().unwrap(), SHUT);
    let other = nets("10.1.0.0/24", "10.3.0.0/24");
    refused(&host, &add_flow(chain[0], 0, &other), Errno::EMLINK);
}

/// What waits for a state that there never is.
const WAITS: &str = "out 10.1.0.0/24>10.2.0.0/24 allow esp/transport reqid ";

#[test]
fn shunts_pass_drop_or_wait_without_an_sa() {
    let host = TestHost::new();
    for (number, (keyword, expected)) in (1..).zip([
        ("%drop", SHUT),
        ("%reject", SHUT),
        ("%hold", "0xe0000000"),
        ("%trap", "0xa000000"),
        ("%trapsubnet", "0xa000000"),
    ]) {
        host.set_up(&add_flow(said(keyword), 0, &usual()));
        let expected = match expected {
            "0xe0000000" => format!("{WAITS}{expected}"),
            "0xa000000" => format!("{WAITS}{expected}{number}"),
            shut => shut.to_owned(),
        };
        assert_eq!(engine(&host), [expected], "{keyword}");
        assert!(host.eroute().ends_with(&format!("=> {keyword}\n")));
        host.set_up(&del_flow(&usual()));
    }
    host.engine
        .expect_clear(selector("10.1.0.0/24", "10.2.0.0/24"));
    host.set_up(&add_flow(said("%pass"), 0, &usual()));
    assert_eq!(engine(&host), ["out 10.1.0.0/24>10.2.0.0/24 allow"]);
    // A number is that of the selector: whoever waits goes on waiting.
    host.set_up(&add_flow(said("%trap"), flag::REPLACE, &usual()));
    assert_eq!(engine(&host), [format!("{WAITS}0xa0000006")]);
    host.set_up(&add_flow(said("%drop"), flag::REPLACE, &usual()));
    assert_eq!(engine(&host), [SHUT]);
}

// --- Fragments ----------------------------------------------------------------------------------

const UDP: u8 = 17;

/// From one network to another, one protocol to one port.
fn to_port(port: u16, proto: u8) -> Vec<Vec<u8>> {
    flow(("10.1.0.0/24", 0), ("10.2.0.0/24", port), proto)
}

/// What becomes of a packet of the usual networks; without ports, it is a fragment.
fn fate(host: &TestHost, proto: u8, dport: u16) -> Fate {
    let packet = Packet {
        src: ip("10.1.0.3"),
        dst: ip("10.2.0.3"),
        proto,
        sport: if dport == 0 { 0 } else { 1024 },
        dport,
    };
    host.engine.send(&packet, 0)
}

const FRAGMENTS: &str = "out 10.1.0.0/24>10.2.0.0/24 proto 17 fragments block";

#[test]
fn fragments_that_may_be_of_an_eroute_with_ports_are_dropped() {
    let host = host_with_sas();
    host.set_up(&list(&[tun(), esp(), ah()]));
    host.set_up(&add_flow(tun(), 0, &to_port(5000, UDP)));
    let open = OPEN.replace(" allow", ":5000 proto 17 allow");
    let listing = || engine(&host)[2..].to_vec();
    let has_one = [FRAGMENTS.to_owned(), open.clone()];
    assert_eq!(listing(), has_one);
    assert_eq!(fate(&host, UDP, 5000), Fate::Protected);
    assert_eq!(fate(&host, UDP, 5001), Fate::Clear);
    assert_eq!(fate(&host, UDP, 0), Fate::Dropped);
    assert_eq!(fate(&host, 6, 0), Fate::Clear, "of no eroute");
    // Each has its own, and the last that goes takes them along.
    host.set_up(&add_flow(said("%trap"), 0, &to_port(5001, UDP)));
    assert_eq!(listing().iter().filter(|it| *it == FRAGMENTS).count(), 2);
    host.set_up(&del_flow(&to_port(5001, UDP)));
    assert_eq!(fate(&host, UDP, 0), Fate::Dropped);
    // What of the SAs is there or not changes nothing.
    host.set_up(&ungroup(esp()));
    assert_eq!(fate(&host, UDP, 0), Fate::Dropped);
    host.set_up(&list(&[tun(), esp(), ah()]));
    assert_eq!(listing(), has_one);
    // %pass wants nothing of them; what takes its place does again.
    let network = |text| selector(text, text).src;
    host.engine.expect_clear(Selector {
        src: network("10.1.0.0/24"),
        dst: network("10.2.0.0/24"),
        proto: UDP,
        sport: 0,
        dport: 5000,
    });
    host.set_up(&add_flow(said("%pass"), flag::REPLACE, &to_port(5000, UDP)));
    assert_eq!(fate(&host, UDP, 0), Fate::Clear);
    host.set_up(&add_flow(said("%drop"), flag::REPLACE, &to_port(5000, UDP)));
    assert_eq!(fate(&host, UDP, 0), Fate::Dropped);
    host.set_up(&add_flow(tun(), flag::REPLACE, &to_port(5000, UDP)));
    assert_eq!(listing(), has_one);
    host.set_up(&del_flow(&to_port(5000, UDP)));
    assert_eq!(fate(&host, UDP, 0), Fate::Clear);
    assert_eq!(listing(), [""; 0]);
}

#[test]
fn an_eroute_without_ports_takes_fragments_whatever_others_have_ports() {
    let host = host_with_eroute();
    host.set_up(&add_flow(said("%drop"), 0, &to_port(5000, UDP)));
    assert_eq!(fate(&host, UDP, 5000), Fate::Dropped);
    assert_eq!(fate(&host, UDP, 0), Fate::Protected);
    // Also one for more than these networks.
    host.set_up(&del_flow(&usual()));
    assert_eq!(fate(&host, UDP, 0), Fate::Dropped);
    host.set_up(&add_flow(tun(), 0, &nets("0.0.0.0/0", "10.0.0.0/8")));
    assert_eq!(fate(&host, UDP, 5000), Fate::Dropped);
    assert_eq!(fate(&host, UDP, 0), Fate::Protected);
}

#[test]
fn ports_of_any_protocol_are_those_of_protocols_that_have_ports() {
    let host = TestHost::new();
    for flow in [
        to_port(5000, 0),
        // With the same ports beside it, and with others.
        to_port(5000, UDP),
        flow(("10.1.0.0/24", 5000), ("10.2.0.0/24", 0), 0),
    ] {
        host.set_up(&add_flow(said("%drop"), 0, &flow));
        host.check();
    }
    for proto in [6, UDP, 132, 136] {
        assert_eq!(fate(&host, proto, 0), Fate::Dropped, "{proto}");
    }
    // What is the place of a port is 0 in whole packets of these: an echo reply, or ESP.
    for proto in [1, 47, 50] {
        assert_eq!(fate(&host, proto, 0), Fate::Clear, "{proto}");
    }
    host.set_up(&clear_flows());
    host.set_up(&add_flow(said("%drop"), 0, &to_port(3, 1)));
    assert_eq!(host.engine.policies().len(), 1);
}

#[test]
fn fragments_that_may_be_of_an_inflow_with_ports_do_not_get_any_further() {
    let host = local_host();
    let [tun, esp, ah] = incoming();
    for said in [tun, esp, ah] {
        add_incoming(&host, said);
    }
    host.set_up(&list(&[tun, esp, ah]));
    let flow = flow(("10.2.0.0/24", 0), ("10.1.0.0/24", 5000), UDP);
    host.set_up(&add_flow(tun, flag::IN, &flow));
    let fragments = || {
        let policies = host.engine.policies().into_iter().map(|it| it.spec);
        let mut found: Vec<_> = policies
            .filter(|spec| spec.fragments_of.is_some())
            .collect();
        assert!(found.len() < 2);
        found.pop()
    };
    let spec = fragments().expect("a policy");
    assert_eq!(
        (spec.direction, spec.action, spec.priority),
        (Direction::Forward, Action::Block, PRIORITY_FRAGMENTS)
    );
    assert_eq!(spec.selector.src_text().to_string(), "10.2.0.0/24");
    assert_eq!((spec.selector.proto, spec.selector.dport), (UDP, 0));
    // Before what lets in tunnels without an inflow, after all others.
    assert!(PRIORITY_FRAGMENTS < PRIORITY_LAST && PRIORITY_FRAGMENTS > spec.selector.priority());
    // It goes with the inflow, and not before.
    host.set_up(&flush(0));
    assert!(fragments().is_some());
    host.set_up(&del_flow(&flow));
    assert_eq!(engine(&host), [""; 0]);
}

#[test]
fn there_may_be_so_many_and_no_more() {
    let host = host_with_sas();
    host.state().flows.set_limits(2, usize::MAX);
    let of = |net: u8| nets("10.1.0.0/24", &format!("10.{net}.0.0/24"));
    assert!(host.state().flows.is_empty());
    host.set_up(&add_flow(esp(), 0, &of(2)));
    host.set_up(&add_flow(esp(), 0, &of(3)));
    assert_eq!(host.state().flows.len(), 2);
    assert!(!host.state().flows.is_empty());
    refused(&host, &add_flow(esp(), 0, &of(4)), Errno::ENOSPC);
    refused(&host, &add_flow(tun(), flag::IN, &of(5)), Errno::ENOSPC);
    host.set_up(&add_flow(ah(), flag::REPLACE, &of(2)));
    host.set_up(&del_flow(&of(3)));
    host.set_up(&add_flow(tun(), flag::IN, &of(5)));
}

#[test]
fn limits_of_a_namespace_are_those_of_its_tables() {
    let host = host_with_sas();
    let limits = |limits| host.state().set_limits(&limits);
    let other = said("esp.515@10.0.0.2");
    limits(Limits {
        sas: 3,
        ..Limits::NONE
    });
    refused(&host, &add(other), Errno::ENOSPC);
    limits(Limits {
        flows: 0,
        ..Limits::NONE
    });
    host.set_up(&add(other));
    refused(&host, &add_flow(esp(), 0, &usual()), Errno::ENOSPC);
    limits(Limits {
        states: 0,
        ..Limits::NONE
    });
    refused(&host, &add_flow(esp(), 0, &usual()), Errno::ENOSPC);
    limits(Limits::NONE);
    host.set_up(&add_flow(esp(), 0, &usual()));
}

#[test]
fn so_many_sas_may_have_states_and_no_more() {
    let host = local_host();
    for said in [tun(), esp(), ah()] {
        host.set_up(&add(said));
    }
    host.state().flows.set_limits(usize::MAX, 2);
    host.set_up(&list(&[tun(), esp(), ah()]));
    host.set_up(&add_flow(tun(), 0, &usual()));
    let full = engine(&host);
    assert_eq!(full, [AH, ESP, OPEN]);
    // What comes in has its state from ADD on; without room for that there is no such SA.
    let [tun_in, esp_in, ah_in] = incoming();
    refused(&host, &add(esp_in), Errno::ENOSPC);
    host.set_up(&add(tun_in));
    // What needs none, and what is made anew, is as before.
    let mut update = add(esp());
    update[1] = msg::UPDATE;
    host.set_up(&update);
    host.set_up(&ungroup(esp()));
    host.set_up(&list(&[tun(), esp(), ah()]));
    assert_eq!(engine(&host), full);
    let other = said("esp.515@10.0.0.2");
    host.set_up(&add(other));
    let flow = nets("10.1.0.0/24", "10.5.0.0/24");
    refused(&host, &add_flow(other, 0, &flow), Errno::ENOSPC);
    assert_eq!(engine(&host), full);
    // Those that are there stay; and where some have gone, others may come.
    host.state().flows.set_limits(usize::MAX, 1);
    assert_eq!(engine(&host), full);
    host.set_up(&delete(ah()));
    host.set_up(&add_flow(other, 0, &flow));
    refused(&host, &add(ah_in), Errno::ENOSPC);
    host.state().flows.set_limits(usize::MAX, 2);
    host.set_up(&add(ah_in));
    // Of two states that a chain needs, there is none if there is room for one.
    host.set_up(&flush(0));
    host.set_up(&clear_flows());
    for said in [esp(), ah()] {
        host.set_up(&add(said));
    }
    host.set_up(&pair(esp(), ah()));
    host.state().flows.set_limits(usize::MAX, 1);
    refused(&host, &add_flow(esp(), 0, &usual()), Errno::ENOSPC);
    assert_eq!(engine(&host), [""; 0]);
}

#[test]
fn what_stands_in_the_way_of_cleartext_keeps_the_module() {
    let host = host_with_sas();
    let in_use = |expected| {
        host.check();
        assert_eq!(host.in_use.get(), expected);
    };
    in_use(false);
    host.set_up(&add_flow(esp(), 0, &usual()));
    in_use(true);
    // Without its SAs it drops.
    host.set_up(&flush(0));
    in_use(true);
    host.set_up(&del_flow(&usual()));
    in_use(false);
    // So does what may come out of a tunnel, until that is gone as well.
    host.set_up(&add(tun()));
    host.set_up(&add_flow(tun(), flag::IN, &usual()));
    in_use(true);
    host.set_up(&flush(0));
    in_use(true);
    host.set_up(&clear_flows());
    in_use(false);
    // Said to go with its SAs, it may go with the module as well, unless it is said again.
    host.set_up(&add(tun()));
    for _ in 0..2 {
        host.set_up(&add_flow(tun(), flag::IN, &usual()));
        in_use(true);
        host.set_up(&clear_flows());
        in_use(false);
    }
    assert_eq!(host.state().flows.len(), 1);
    // A request that is refused changes nothing of that.
    memory::fail_after(Some(3));
    assert!(host.write(&add_flow(esp(), 0, &usual())).is_err());
    memory::fail_after(None);
    in_use(false);
}

#[test]
fn what_others_have_in_the_engine_is_not_touched() {
    let host = host_with_sas();
    host.engine
        .add_foreign_state(esp().dst, 0x115, Transform::Esp);
    refused(&host, &add_flow(esp(), 0, &usual()), Errno::EEXIST);
    let other = selector("10.1.0.0/24", "10.3.0.0/24");
    host.engine.add_foreign_policy(Direction::Out, other);
    let other = nets("10.1.0.0/24", "10.3.0.0/24");
    refused(&host, &add_flow(ah(), 0, &other), Errno::EEXIST);
    assert_eq!(engine(&host), [""; 0]);
    // Of the two policies of an inflow, the first is taken back when the second is refused.
    let third = selector("10.1.0.0/24", "10.4.0.0/24");
    host.engine.add_foreign_policy(Direction::Forward, third);
    let third = nets("10.1.0.0/24", "10.4.0.0/24");
    refused(&host, &add_flow(tun(), flag::IN, &third), Errno::EEXIST);
}

// --- What comes in ------------------------------------------------------------------------------

/// The same SAs the other way round, with SPIs of their own.
fn incoming() -> [Said; 3] {
    ["tun.213@10.0.0.1", "esp.215@10.0.0.1", "ah.216@10.0.0.1"].map(said)
}

fn back() -> Vec<Vec<u8>> {
    nets("10.2.0.0/24", "10.1.0.0/24")
}

/// A host to which 10.0.0.1 belongs.
fn local_host() -> TestHost {
    let host = TestHost::new();
    host.local.borrow_mut().push(ip(SRC));
    host
}

fn add_incoming(host: &TestHost, said: Said) {
    host.set_up(&from_source(add(said), "10.0.0.2"));
}

/// With an inflow, in pluto's order: before the group.
fn host_with_inflow() -> TestHost {
    let host = local_host();
    let [tun, esp, ah] = incoming();
    add_incoming(&host, tun);
    host.set_up(&add_flow(tun, flag::IN, &back()));
    add_incoming(&host, esp);
    add_incoming(&host, ah);
    host.set_up(&list(&[tun, esp, ah]));
    host
}

/// The two policies of an inflow.
fn both(text: &str) -> [String; 2] {
    ["fwd", "in"].map(|way| format!("{way} 10.2.0.0/24>10.1.0.0/24 {text}"))
}

const R1: &str = "allow esp/tunnel reqid 0xc0000002 ah/transport reqid 0xc0000002";

#[test]
fn incoming_sas_have_states_from_the_start() {
    let host = local_host();
    let [tun, esp, ah] = incoming();
    add_incoming(&host, tun);
    assert_eq!(engine(&host), [""; 0], "nothing vouches for a tunnel");
    add_incoming(&host, esp);
    add_incoming(&host, ah);
    assert_eq!(
        engine(&host),
        [
            "ah/transport 0x216 10.0.0.2>10.0.0.1 r3",
            "esp/transport 0x215 10.0.0.2>10.0.0.1 r2",
        ]
    );
}

#[test]
fn an_inflow_wants_what_its_chain_gives() {
    let host = local_host();
    let [tun, esp, ah] = incoming();
    add_incoming(&host, tun);
    host.set_up(&add_flow(tun, flag::IN, &back()));
    assert_eq!(engine(&host), both("block"));
    add_incoming(&host, esp);
    add_incoming(&host, ah);
    host.engine.pass(0x215, 100);
    host.engine.calls();
    host.set_up(&list(&[tun, esp, ah]));
    let expected = [
        "ah/transport 0x216 10.0.0.2>10.0.0.1 reqid 0xc0000002".to_owned(),
        "esp/tunnel 0x215 10.0.0.2>10.0.0.1 reqid 0xc0000002".to_owned(),
    ];
    assert_eq!(engine(&host)[..2], expected);
    assert_eq!(engine(&host)[2..], both(R1));
    let esp_state = host.engine.states().into_iter().find(|it| it.spi == 0x215);
    assert_eq!(esp_state.unwrap().usage.sequence, 1, "the window goes on");
    assert!(
        host.spi().contains("policy=10.2.0.0/24->10.1.0.0/24"),
        "{}",
        host.spi()
    );
    // Taken apart it drops, and grouped again it goes on.
    host.set_up(&ungroup(esp));
    assert_eq!(engine(&host)[2..], both("block"));
    assert_eq!(engine(&host)[..2], expected, "states stay");
    host.set_up(&list(&[tun, esp, ah]));
    assert_eq!(engine(&host)[2..], both(R1));
}

#[test]
fn an_inflow_never_comes_to_want_less_by_itself() {
    let host = host_with_inflow();
    let [tun, esp, ah] = incoming();
    host.set_up(&ungroup(ah));
    host.set_up(&pair(tun, esp));
    assert_eq!(engine(&host)[2..], both("block"), "AH is missing");
    // Now somebody says so.
    host.engine.calls();
    host.set_up(&add_flow(tun, flag::IN, &back()));
    let [forward, inside] = both("allow esp/tunnel reqid 0xc0000002");
    assert_eq!(engine(&host)[2..], [forward.clone(), inside.clone()]);
    let [forward_shut, inside_shut] = both("block");
    assert_eq!(
        calls(&host),
        [
            format!("replace {inside_shut} by {inside}"),
            format!("replace {forward_shut} by {forward}"),
        ]
    );
}

#[test]
fn an_inflow_of_a_tunnel_that_leads_elsewhere_needs_its_states() {
    let host = host_with_sas();
    host.set_up(&list(&[tun(), esp(), ah()]));
    host.set_up(&add_flow(tun(), flag::IN, &back()));
    assert_eq!(engine(&host), both("block"));
    // Nor do they come from another such tunnel.
    let other = said("tun.313@10.0.0.2");
    host.set_up(&add(other));
    host.set_up(&add_flow(other, flag::IN, &back()));
    assert_eq!(engine(&host), both("block"));
    host.set_up(&delete(other));
    // An eroute asks for them.
    host.set_up(&add_flow(tun(), 0, &usual()));
    let open = |lines: Vec<String>| lines.iter().filter(|it| it.contains("allow")).count();
    assert_eq!(open(engine(&host)), 3);
    // They stay when it goes.
    host.set_up(&del_flow(&usual()));
    assert_eq!(open(engine(&host)), 2);
    host.set_up(&add_flow(
        tun(),
        flag::IN,
        &nets("10.7.0.0/24", "10.1.0.0/24"),
    ));
    assert_eq!(open(engine(&host)), 2);
}

#[test]
fn an_inflow_may_name_an_sa_outside_of_the_tunnel() {
    let host = local_host();
    let [tun, esp, ah] = incoming();
    for said in [tun, esp, ah] {
        add_incoming(&host, said);
    }
    host.set_up(&list(&[tun, esp, ah]));
    host.set_up(&add_flow(ah, flag::IN, &back()));
    assert!(engine(&host).last().unwrap().contains("allow esp/tunnel"));
    // Without a tunnel there is none to set it for.
    let lone = said("esp.300@10.0.0.1");
    refused(&host, &add_flow(lone, flag::IN, &back()), Errno::ENOENT);
    add_incoming(&host, lone);
    refused(&host, &add_flow(lone, flag::IN, &back()), Errno::ENOENT);
}

#[test]
fn old_and_new_chain_are_good_side_by_side() {
    let host = host_with_inflow();
    let new = ["tun.313@10.0.0.1", "esp.315@10.0.0.1", "ah.316@10.0.0.1"].map(said);
    host.engine.calls();
    add_incoming(&host, new[0]);
    host.set_up(&add_flow(new[0], flag::IN, &back()));
    assert_eq!(engine(&host)[2..], both(R1), "the old one is still there");
    add_incoming(&host, new[1]);
    add_incoming(&host, new[2]);
    host.set_up(&list(&new));
    let calls = calls(&host);
    assert!(
        !calls.iter().any(|call| call.contains("10.2.0.0/24")),
        "{calls:?}"
    );
    assert_eq!(host.engine.states().len(), 4);
    // Taking the one apart is nothing to the other.
    host.set_up(&ungroup(new[0]));
    assert_eq!(engine(&host)[4..], both(R1));
    host.set_up(&list(&new));
    host.set_up(&delete(incoming()[1]));
    assert_eq!(host.engine.states().len(), 2);
    assert_eq!(engine(&host)[2..], both(R1));
    // With the last one, nothing comes through, not even cleartext.
    host.set_up(&delete(new[1]));
    assert_eq!(engine(&host), both("block"));
}

#[test]
fn a_group_with_one_inflow_in_two_of_its_tunnels_is_taken_apart_all_the_same() {
    let host = local_host();
    let chain = [
        "tun.213@10.0.0.1",
        "esp.215@10.0.0.1",
        "tun.223@10.0.0.1",
        "esp.225@10.0.0.1",
    ]
    .map(said);
    for said in chain {
        add_incoming(&host, said);
    }
    host.set_up(&list(&chain));
    host.set_up(&add_flow(chain[0], flag::IN, &back()));
    host.set_up(&add_flow(chain[2], flag::IN, &back()));
    let policies = |host: &TestHost| {
        let policies = engine(host).into_iter();
        let of_it = policies.filter(|line| line.contains("10.2.0.0/24>"));
        of_it.collect::<Vec<_>>()
    };
    let open = "allow esp/tunnel reqid 0xc0000002 esp/tunnel reqid 0xc0000002";
    assert_eq!(policies(&host), both(open));
    host.set_up(&ungroup(chain[1]));
    assert_eq!(policies(&host), both("block"));
}

#[test]
fn an_inflow_stays_open_for_the_longest_chain_there_can_be() {
    let host = local_host();
    let [older, newer] = [3, 4].map(|first| -> Vec<Said> {
        (0..5)
            .flat_map(|n| ["tun", "esp"].map(|proto| format!("{proto}.{first}{n}0@{SRC}")))
            .map(|text| said(&text))
            .collect()
    });
    for chain in [&older, &newer] {
        for said in chain {
            add_incoming(&host, *said);
        }
        for two in chain.windows(2) {
            host.set_up(&pair(two[0], two[1]));
        }
        host.set_up(&add_flow(chain[0], flag::IN, &back()));
    }
    let open = both(&format!(
        "allow{}",
        " esp/tunnel reqid 0xc0000002".repeat(5)
    ));
    let inflow = || -> Vec<String> {
        let mut listing = engine(&host);
        listing.retain(|line| line.contains("10.2.0.0/24>10.1.0.0/24"));
        listing
    };
    assert_eq!(inflow(), open);
    host.set_up(&delete(newer[9]));
    assert_eq!(inflow(), open);
    host.set_up(&delete(older[9]));
    assert_eq!(engine(&host), both("block"));
}

#[test]
fn an_inflow_without_sas_goes_when_protection_is_not_wanted_any_more() {
    // With the eroute the other way.
    let host = host_with_inflow();
    host.set_up(&add_flow(said("%trap"), 0, &usual()));
    host.set_up(&flush(0));
    assert_eq!(engine(&host).len(), 3);
    host.set_up(&del_flow(&usual()));
    assert_eq!(engine(&host), [""; 0]);
    // With that eroute letting all through.
    let host = host_with_inflow();
    host.set_up(&flush(0));
    host.engine
        .expect_clear(selector("10.1.0.0/24", "10.2.0.0/24"));
    host.set_up(&add_flow(said("%pass"), 0, &usual()));
    assert_eq!(engine(&host), ["out 10.1.0.0/24>10.2.0.0/24 allow"]);
    // By its own name.
    let host = host_with_inflow();
    refused(&host, &del_flow(&back()), Errno::ENOENT);
    host.set_up(&flush(0));
    host.set_up(&del_flow(&back()));
    assert_eq!(engine(&host), [""; 0]);
    // With all eroutes, before its SAs or after.
    let host = host_with_inflow();
    host.set_up(&clear_flows());
    assert_eq!(engine(&host)[2..], both(R1));
    host.set_up(&flush(0));
    assert_eq!(engine(&host), [""; 0]);
    let host = host_with_inflow();
    host.set_up(&flush(0));
    host.set_up(&clear_flows());
    assert_eq!(engine(&host), [""; 0]);
}

#[test]
fn a_tunnel_has_one_inflow() {
    let host = host_with_inflow();
    let other = nets("10.7.0.0/24", "10.1.0.0/24");
    host.set_up(&add_flow(incoming()[0], flag::IN, &other));
    let listing = engine(&host);
    let [forward, inside] = both("block");
    // What the tunnel had before is not let in any more.
    assert_eq!([&listing[2], &listing[4]], [&forward, &inside]);
    assert!(listing[3].starts_with("fwd 10.7.0.0/24>10.1.0.0/24 allow esp/tunnel"));
    // The same once more changes nothing, nor does it drop anything in between.
    host.engine.calls();
    host.set_up(&add_flow(incoming()[0], flag::IN, &other));
    assert_eq!(calls(&host), [""; 0]);
    assert_eq!(engine(&host), listing);
}

#[test]
fn what_comes_out_of_tunnels_without_an_inflow_is_let_in() {
    let host = local_host();
    let [tun, esp, _] = incoming();
    add_incoming(&host, tun);
    add_incoming(&host, esp);
    assert_eq!(host.engine.policies().len(), 0);
    host.set_up(&pair(tun, esp));
    let listing = engine(&host);
    assert_eq!(
        listing[0],
        "esp/tunnel 0x215 10.0.0.2>10.0.0.1 reqid 0xc0000000"
    );
    let free = [
        "fwd 0.0.0.0/0>0.0.0.0/0",
        "fwd ::/0>::/0",
        "in 0.0.0.0/0>0.0.0.0/0",
        "in ::/0>::/0",
    ];
    for (line, beginning) in listing[1..].iter().zip(free) {
        assert!(line.starts_with(beginning), "{line}");
        assert_eq!(line.matches(" reqid 0xc0000000 use").count(), 4, "{line}");
    }
    assert_eq!(listing.len(), 5);
    // They come after all others.
    let mut policies = host.engine.policies().into_iter();
    assert!(policies.all(|policy| {
        policy.spec.priority == PRIORITY_LAST && policy.spec.templates.len() == 4
    }));
}

/// ADD of an ESP SA that encrypts only.
fn add_unauthenticated(said: Said) -> Vec<u8> {
    let bytes = from_source(add(said), "10.0.0.2");
    let exts = exts_of(&bytes).into_iter();
    let exts: Vec<_> = exts
        .filter(|(number, _)| *number != ext::KEY_AUTH)
        .map(|(number, mut bytes)| {
            if number == ext::SA {
                bytes[10] = 0;
            }
            bytes
        })
        .collect();
    message_of(msg::ADD, satype(said.proto), 7, 42, &exts)
}

#[test]
fn without_an_inflow_a_tunnel_that_others_have_to_vouch_for_is_not_let_in() {
    let [tun, esp, ah] = incoming();
    let comp = said("comp.217@10.0.0.1");
    let is_free = |chain: &[Said], plain: bool| {
        let host = local_host();
        for &said in chain {
            if said == esp && plain {
                host.set_up(&add_unauthenticated(said));
            } else {
                add_incoming(&host, said);
            }
        }
        host.set_up(&list(chain));
        let states = host.engine.states().into_iter();
        let mut tunnels = states.filter(|state| state.mode == Mode::Tunnel);
        let reqid = tunnels.next().expect("a tunnel").reqid;
        let free = reqid == 0xc000_0000;
        assert_eq!(host.engine.policies().len(), if free { 4 } else { 0 });
        free
    };
    assert!(is_free(&[tun, esp, ah], false), "ESP authenticates");
    assert!(!is_free(&[tun, esp, ah], true), "AH has to");
    assert!(is_free(&[tun, esp], true), "that is all there is");
    assert!(is_free(&[tun, ah], false));
    for chain in [&[tun, comp, esp][..], &[tun, comp, ah], &[tun, comp]] {
        assert!(!is_free(chain, false), "anybody can compress");
    }
}

#[test]
fn what_lets_in_tunnels_without_an_inflow_goes_with_the_last_of_them() {
    let host = local_host();
    let [tun, esp, _] = incoming();
    let other = ["tun.313@10.0.0.1", "esp.315@10.0.0.1"].map(said);
    let policies = |count| assert_eq!(host.engine.policies().len(), count);
    for pair_of in [[tun, esp], other] {
        for said in pair_of {
            add_incoming(&host, said);
        }
        host.set_up(&pair(pair_of[0], pair_of[1]));
        policies(4);
    }
    host.set_up(&delete(other[0]));
    policies(4);
    let mut update = from_source(add(esp), "10.0.0.2");
    update[1] = msg::UPDATE;
    host.set_up(&update);
    policies(4);
    // The last one is given an inflow: only the two policies of that are left.
    host.set_up(&add_flow(tun, flag::IN, &back()));
    policies(2);
    // Another takes its place again, and goes with its SAs.
    for said in other {
        add_incoming(&host, said);
    }
    host.set_up(&pair(other[0], other[1]));
    policies(6);
    host.set_up(&flush(0));
    policies(2);
}

/// What `Common::Between` says of policies, for each protocol and family.
fn between(host: &TestHost) -> Vec<(u8, bool)> {
    let policies = host.engine.policies().into_iter();
    let mut found: Vec<_> = policies
        .filter(|policy| policy.spec.priority == PRIORITY_FIRST)
        .map(|policy| {
            let spec = policy.spec;
            assert_eq!(spec.direction, Direction::In);
            assert_eq!(
                (spec.selector.src, spec.action),
                (spec.selector.dst, Action::Allow)
            );
            assert_eq!(spec.selector.src.prefix(), 0);
            assert_eq!(spec.templates.len(), 5);
            let mut templates = spec.templates.iter();
            assert!(templates.all(|it| it.optional && it.reqid == 0 && it.mode == Mode::Tunnel));
            (spec.selector.proto, spec.selector.src.address().is_ipv4())
        })
        .collect();
    found.sort();
    found
}

#[test]
fn an_inflow_of_two_tunnels_has_what_xfrm_interfaces_ask_for_between_them() {
    const ALL: [(u8, bool); 6] = [
        (50, false),
        (50, true),
        (51, false),
        (51, true),
        (108, false),
        (108, true),
    ];
    let host = local_host();
    let inner = ["tun.213@10.0.0.1", "esp.215@10.0.0.1"].map(said);
    let outer = ["tun.223@10.0.0.1", "ah.226@10.0.0.1"].map(said);
    let all = [inner[0], inner[1], outer[0], outer[1]];
    let make = || {
        for said in all {
            add_incoming(&host, said);
        }
        host.set_up(&list(&all));
    };
    make();
    assert_eq!(
        between(&host),
        [],
        "without an inflow nothing more is needed"
    );
    host.set_up(&add_flow(inner[0], flag::IN, &back()));
    assert_eq!(between(&host), ALL);
    host.set_up(&delete(outer[1]));
    assert_eq!(between(&host), [], "with the last of them they go");
    // Two alike.
    make();
    host.set_up(&add_flow(inner[0], flag::IN | flag::REPLACE, &back()));
    let more = ["tun.233@10.0.0.1", "esp.235@10.0.0.1", "esp.237@10.0.0.1"].map(said);
    for said in more {
        add_incoming(&host, said);
    }
    host.set_up(&list(&more));
    host.set_up(&add_flow(
        more[0],
        flag::IN,
        &nets("10.3.0.0/24", "10.1.0.0/24"),
    ));
    assert_eq!(between(&host), ALL);
    host.set_up(&delete(inner[0]));
    assert_eq!(between(&host), [], "a tunnel with no other in it has none");
}

#[test]
fn one_that_is_reserved_first_is_let_in_as_others_are() {
    let host = local_host();
    let [tun, esp, _] = incoming();
    add_incoming(&host, tun);
    host.set_up(&from_source(reserve(esp), "10.0.0.2"));
    host.set_up(&pair(tun, esp));
    assert_eq!(engine(&host), [""; 0]);
    let mut update = from_source(add(esp), "10.0.0.2");
    update[1] = msg::UPDATE;
    host.set_up(&update);
    assert_eq!(engine(&host).len(), 5);
    host.set_up(&delete(tun));
    assert_eq!(engine(&host), [""; 0]);
}

#[test]
fn small_packets_may_come_in_uncompressed() {
    let host = local_host();
    let [tun, esp, _] = incoming();
    let comp = said("comp.217@10.0.0.1");
    for said in [tun, comp, esp] {
        add_incoming(&host, said);
    }
    host.set_up(&add_flow(tun, flag::IN, &back()));
    host.set_up(&list(&[tun, comp, esp]));
    assert_eq!(
        engine(&host)[2..],
        both("allow comp/tunnel reqid 0xc0000002 use esp/transport reqid 0xc0000002")
    );
    // Compression alone vouches for nothing: cleartext would come in with it.
    let other = ["tun.313@10.0.0.1", "comp.314@10.0.0.1"].map(said);
    for said in other {
        add_incoming(&host, said);
    }
    host.set_up(&list(&other));
    host.set_up(&add_flow(
        other[0],
        flag::IN,
        &nets("10.7.0.0/24", "10.1.0.0/24"),
    ));
    assert!(engine(&host).contains(&"in 10.7.0.0/24>10.1.0.0/24 block".to_owned()));
}

// --- What states are made of --------------------------------------------------------------------

#[test]
fn a_state_has_keys_window_and_limits_of_its_sa() {
    let host = TestHost::new();
    let mut request = add(esp());
    request[16 + 8] = 64;
    request.extend(lifetime(ext::LIFETIME_HARD, [0, 20, 1000, 0, 30]));
    request.extend(lifetime(ext::LIFETIME_SOFT, [0, 10, 900, 0, 15]));
    fix_len(&mut request);
    host.set_up(&request);
    host.set_up(&add_flow(esp(), 0, &usual()));
    let state = host.engine.states().remove(0);
    assert_eq!(state.replay, 64);
    assert_eq!(state.keys.map(|key| key.len()), [16, 24]);
    let [soft, hard] = state.limits;
    assert_eq!((soft.bytes, soft.usetime, soft.packets), (900, 15, 10));
    assert_eq!((hard.bytes, hard.usetime, hard.packets), (1000, 30, 20));
    // Where there are no sequence numbers there is no window.
    for said in [tun(), said("comp.300@10.0.0.2")] {
        let host = TestHost::new();
        let mut request = add(said);
        request[16 + 8] = 64;
        host.set_up(&request);
        host.set_up(&add_flow(said, 0, &usual()));
        assert_eq!(host.engine.states().remove(0).replay, 0);
    }
}

#[test]
fn packets_behind_nat_go_in_udp() {
    let natt = |kind: u8| {
        let mut request = add(esp());
        request.extend(extension(ext::NAT_T_TYPE, &[kind, 0, 0, 0]));
        for (number, port) in [(ext::NAT_T_SPORT, 4500_u16), (ext::NAT_T_DPORT, 1024)] {
            let [a, b] = port.to_ne_bytes();
            request.extend(extension(number, &[a, b, 0, 0]));
        }
        fix_len(&mut request);
        request
    };
    let host = TestHost::new();
    host.set_up(&natt(2));
    host.set_up(&add_flow(esp(), 0, &usual()));
    let ports = |host: &TestHost| {
        let state = host.engine.states().remove(0);
        state.encapsulation.map(|it| (it.kind, it.sport, it.dport))
    };
    assert_eq!(ports(&host), Some((2, 4500, 1024)));
    let mut update = add(esp());
    update[1] = msg::UPDATE;
    let [a, b] = 1111_u16.to_ne_bytes();
    update.extend(extension(ext::NAT_T_DPORT, &[a, b, 0, 0]));
    fix_len(&mut update);
    host.set_up(&update);
    assert_eq!(ports(&host), Some((2, 4500, 1111)));
    // The marker of old is gone from the kernel: such an SA is kept, and no packet goes through it.
    let host = TestHost::new();
    host.set_up(&natt(1));
    refused(&host, &add_flow(esp(), 0, &usual()), Errno::EPROTONOSUPPORT);
}

#[test]
fn an_algorithm_that_the_kernel_lacks_is_enoent_at_add() {
    let host = TestHost::new();
    let (auth, encrypt) = algorithms(esp().proto);
    host.engine.lack(auth, encrypt);
    refused(&host, &add(esp()), Errno::ENOENT);
    host.set_up(&add(ah()));
    host.set_up(&reserve(esp()));
    let mut update = add(esp());
    update[1] = msg::UPDATE;
    refused(&host, &update, Errno::ENOENT);
}

// --- What packets do to an SA, and others to its state -----------------------------------------

/// A group of ESP with such limits and AH, with an eroute.
fn host_with_limits(hard: [u64; 5], soft: [u64; 5]) -> TestHost {
    let host = TestHost::new();
    let mut request = add(esp());
    request.extend(lifetime(ext::LIFETIME_HARD, hard));
    request.extend(lifetime(ext::LIFETIME_SOFT, soft));
    fix_len(&mut request);
    host.set_up(&request);
    host.set_up(&add(ah()));
    host.set_up(&pair(esp(), ah()));
    host.set_up(&add_flow(esp(), 0, &usual()));
    host
}

/// What both sockets were told: type, satype and which extension of a limit there was.
fn told(host: &TestHost) -> Vec<(u8, u8, Option<u16>)> {
    let read = host.read(A);
    assert_eq!(host.read(B), read);
    let kind = |message: &Vec<u8>| {
        let mut exts = exts_of(message).into_iter().map(|(number, _)| number);
        let limit = exts.find(|it| matches!(*it, ext::LIFETIME_HARD | ext::LIFETIME_SOFT));
        (message[1], message[3], limit)
    };
    read.iter().map(kind).collect()
}

#[test]
fn packets_pass_limits_and_everybody_is_told() {
    // Packets 2 and 4: more than that.
    let host = host_with_limits([0, 4, 0, 0, 0], [0, 2, 0, 0, 0]);
    (0..3).for_each(|_| host.engine.pass(0x115, 100));
    host.work();
    assert_eq!(told(&host), []);
    host.engine.pass(0x115, 100);
    host.work();
    let soft = (msg::EXPIRE, 3, Some(ext::LIFETIME_SOFT));
    assert_eq!(told(&host), [soft]);
    host.engine.pass(0x115, 100);
    host.work();
    assert_eq!(told(&host), [], "once");
    assert_eq!(engine(&host).len(), 3);
    host.engine.pass(0x115, 100);
    host.work();
    let hard = (msg::EXPIRE, 3, Some(ext::LIFETIME_HARD));
    assert_eq!(told(&host), [hard, (msg::DELETE, 2, None)]);
    assert_eq!(engine(&host), [SHUT]);
    assert_eq!(host.spigrp(), "");
    assert_eq!(host.wake.get(), None, "nothing is left to look at");
}

#[test]
fn bytes_pass_limits_as_well() {
    let host = host_with_limits([0, 0, 1000, 0, 0], [0; 5]);
    (0..2).for_each(|_| host.engine.pass(0x115, 600));
    host.engine.pass(0x115, 600);
    host.work();
    let hard = (msg::EXPIRE, 3, Some(ext::LIFETIME_HARD));
    assert_eq!(told(&host), [hard, (msg::DELETE, 2, None)]);
}

#[test]
fn what_others_take_out_is_told_as_deleted_with_its_group() {
    let host = host_with_eroute();
    host.engine.take(0x116);
    host.work();
    assert_eq!(
        told(&host),
        [
            (msg::DELETE, 2, None),
            (msg::DELETE, 9, None),
            (msg::DELETE, 3, None)
        ]
    );
    assert_eq!(engine(&host), [SHUT]);
}

#[test]
fn without_memory_limits_are_passed_later() {
    let host = host_with_limits([0, 4, 0, 0, 0], [0; 5]);
    (0..6).for_each(|_| host.engine.pass(0x115, 100));
    memory::fail_after(Some(0));
    host.work();
    memory::fail_after(None);
    assert_eq!(told(&host), []);
    assert_eq!(host.engine.states().len(), 2);
    host.work();
    assert_eq!(told(&host), [], "not at once");
    host.sleep(1);
    assert_eq!(told(&host).len(), 2);
    assert_eq!(engine(&host), [SHUT]);
}

#[test]
fn both_limits_at_once_are_told_in_order() {
    let host = host_with_limits([0, 4, 0, 0, 0], [0, 2, 0, 0, 0]);
    (0..9).for_each(|_| host.engine.pass(0x115, 100));
    host.work();
    assert_eq!(
        told(&host),
        [
            (msg::EXPIRE, 3, Some(ext::LIFETIME_SOFT)),
            (msg::EXPIRE, 3, Some(ext::LIFETIME_HARD)),
            (msg::DELETE, 2, None)
        ]
    );
    assert_eq!(engine(&host), [SHUT]);
}

/// An SPI that `host_with_many` has.
const fn many(number: usize) -> u32 {
    0x1000 + number as u32
}

/// So many ESP SAs with an eroute each.
fn host_with_many(count: usize) -> TestHost {
    let host = TestHost::new();
    for number in 0..count {
        let said = Said {
            spi: many(number),
            ..esp()
        };
        host.set_up(&add(said));
        host.set_up(&add_flow(
            said,
            0,
            &nets("10.1.0.0/24", &format!("10.2.{number}.0/24")),
        ));
    }
    host
}

#[test]
fn all_states_that_others_take_out_are_told_of() {
    // More than the engine remembers, more than are looked at in one go, and all at once.
    for count in [2, testbed::engine::RING, testbed::engine::RING + 1, 150] {
        let host = host_with_many(count + 1);
        (0..count).for_each(|number| host.engine.take(many(number)));
        host.work();
        assert_eq!(told(&host), vec![(msg::DELETE, 3, None); count], "{count}");
        assert_eq!(host.spi().lines().count(), 1);
        assert_eq!(host.engine.states().len(), 1);
        let open = |line: &&String| line.contains("allow");
        assert_eq!(engine(&host).iter().filter(open).count(), 1);
        host.engine.flush_states();
        host.work();
        assert_eq!(told(&host), [(msg::DELETE, 3, None)]);
        assert_eq!(engine(&host).len(), count + 1);
        assert!(!engine(&host).iter().any(|line| line.contains("allow")));
    }
}

#[test]
fn one_that_is_taken_out_just_at_its_limit_has_not_passed_it() {
    let host = TestHost::new();
    let mut request = add(esp());
    request.extend(lifetime(ext::LIFETIME_HARD, [0, 0, 100, 0, 0]));
    fix_len(&mut request);
    host.set_up(&request);
    host.set_up(&add_flow(esp(), 0, &usual()));
    host.engine.pass(0x115, 100);
    host.engine.take(0x115);
    host.work();
    assert_eq!(told(&host), [(msg::DELETE, 3, None)]);
}

#[test]
fn one_that_is_gone_before_it_is_looked_at_is_told_of_once() {
    let host = host_with_eroute();
    host.engine.take(0x115);
    host.set_up(&delete(esp()));
    host.work();
    assert_eq!(told(&host), []);
    for said in [tun(), esp(), ah()] {
        host.set_up(&add(said));
    }
    host.set_up(&list(&[tun(), esp(), ah()]));
    // Its name says nothing of what became of it.
    host.engine.take(0x115);
    host.set_up(&delete(esp()));
    for said in [tun(), esp(), ah()] {
        host.set_up(&add(said));
    }
    host.set_up(&list(&[tun(), esp(), ah()]));
    host.work();
    assert_eq!(told(&host), []);
    assert!(engine(&host).last().unwrap().contains("allow"));
}

#[test]
fn without_memory_what_others_took_out_is_told_later() {
    const COUNT: usize = 8;
    for at_once in [false, true] {
        let mut failures = 0;
        for enough in 0.. {
            let host = host_with_many(COUNT);
            if at_once {
                host.engine.flush_states();
            } else {
                (0..COUNT).for_each(|number| host.engine.take(many(number)));
            }
            memory::fail_after(Some(enough));
            host.work();
            memory::fail_after(None);
            host.check();
            let at_first = told(&host).len();
            host.sleep(1);
            assert_eq!(at_first + told(&host).len(), COUNT, "after {enough}");
            assert_eq!(host.spi(), "");
            if at_first == COUNT {
                break;
            }
            failures += 1;
        }
        assert!(failures > COUNT, "{failures}");
    }
}

#[test]
fn policies_that_others_take_out_are_put_back() {
    let host = host_with_eroute();
    let [itun, iesp, _] = incoming();
    host.local.borrow_mut().push(ip(SRC));
    // An inflow, what lets in tunnels without one, and eroutes that drop and pass.
    add_incoming(&host, itun);
    add_incoming(&host, iesp);
    host.set_up(&pair(itun, iesp));
    host.set_up(&add_flow(itun, flag::IN, &back()));
    let free = [said("tun.313@10.0.0.1"), said("esp.315@10.0.0.1")];
    free.into_iter().for_each(|said| add_incoming(&host, said));
    host.set_up(&pair(free[0], free[1]));
    let pass = nets("10.1.0.0/24", "10.8.0.0/24");
    host.engine
        .expect_clear(selector("10.1.0.0/24", "10.8.0.0/24"));
    host.set_up(&add_flow(said("%pass"), 0, &pass));
    host.set_up(&add_flow(
        said("%drop"),
        0,
        &nets("10.1.0.0/24", "10.9.0.0/24"),
    ));
    let before = (host.eroute(), host.engine.listing());
    let count = host.engine.policies().len();
    assert_eq!(count, 3 + 2 + 4);
    host.engine.flush_policies();
    assert_eq!(host.engine.policies().len(), 0);
    host.work();
    assert_eq!((host.eroute(), host.engine.listing()), before);
    assert_eq!(told(&host), [], "nothing has become of eroutes");
    assert_eq!(
        host.logged.take(),
        [format!(
            "policies of eroutes that others removed or replaced are back ({count}): \
             \"ipsec eroute --del\" and \"--clear\" remove eroutes"
        )]
    );
    // One by one.
    for policy in host.engine.policies() {
        let spec = &policy.spec;
        assert!(host.engine.take_policy(spec.direction, spec.selector));
        host.work();
        assert_eq!((host.eroute(), host.engine.listing()), before);
    }
    assert_eq!(host.logged.take(), [""; 0], "not all the time");
    host.sleep(5);
    assert_eq!(host.logged.take(), [""; 0], "only with a reason");
    host.engine
        .replace_policy(Direction::In, selector("10.2.0.0/24", "10.1.0.0/24"));
    host.work();
    assert_eq!(
        (host.eroute(), host.engine.listing()),
        before,
        "ours is there, and theirs is not"
    );
    let logged = host.logged.take();
    assert_eq!(logged.len(), 1);
    assert!(
        logged[0].contains(&format!("({})", count + 1)),
        "{logged:?}"
    );
}

#[test]
fn what_klips_itself_removed_is_not_put_back() {
    let host = host_with_eroute();
    host.engine.flush_policies();
    host.set_up(&del_flow(&usual()));
    host.work();
    assert_eq!(engine(&host), [AH, ESP]);
    host.set_up(&add_flow(tun(), 0, &usual()));
    host.engine.flush_policies();
    host.set_up(&clear_flows());
    host.work();
    assert_eq!(engine(&host), [AH, ESP]);
    assert_eq!(host.logged.take(), [""; 0]);
}

#[test]
fn a_request_meets_policies_that_others_have_taken_out() {
    let other = said("esp.200@10.0.0.2");
    let to_other = "out 10.1.0.0/24>10.2.0.0/24 allow esp/transport r4";
    type Requests = fn() -> Vec<Vec<u8>>;
    let cases: [(Requests, &str); 4] = [
        (|| vec![ungroup(ah())], SHUT),
        (|| vec![delete(ah())], SHUT),
        (|| vec![ungroup(ah()), list(&[tun(), esp(), ah()])], OPEN),
        (
            || vec![add_flow(said("esp.200@10.0.0.2"), flag::REPLACE, &usual())],
            to_other,
        ),
    ];
    for (requests, expected) in cases {
        for replaced in [false, true] {
            for enough in 0.. {
                let host = host_with_eroute();
                host.set_up(&add(other));
                let usual = selector("10.1.0.0/24", "10.2.0.0/24");
                if replaced {
                    host.engine.replace_policy(Direction::Out, usual);
                } else {
                    host.engine.flush_policies();
                }
                let mut failed = false;
                for request in requests() {
                    memory::fail_after(Some(enough));
                    let result = host.write(&request);
                    memory::fail_after(None);
                    host.check();
                    if result == Err(Errno::ENOMEM) {
                        failed = true;
                        host.set_up(&request);
                    }
                }
                // What drops is put back with all others.
                let at_once = engine(&host).last().is_some_and(|it| it == expected);
                let at_once = at_once || expected == SHUT;
                host.sleep(1);
                assert_eq!(engine(&host).last().unwrap(), expected, "after {enough}");
                if at_once && !failed && enough > 10 {
                    break;
                }
            }
        }
    }
}

#[test]
fn without_memory_policies_are_put_back_later() {
    let host = host_with_many(10);
    let before = (host.eroute(), host.engine.listing());
    let mut failures = 0;
    for enough in 0.. {
        host.engine.flush_policies();
        memory::fail_after(Some(enough));
        host.work();
        memory::fail_after(None);
        host.check();
        let back = host.engine.policies().len();
        if back == 10 {
            assert!(enough >= 20);
            break;
        }
        assert_eq!(back as u64, enough / 2, "as many as there was memory for");
        host.sleep(1);
        assert_eq!((host.eroute(), host.engine.listing()), before);
        failures += 1;
    }
    assert_eq!(failures, 20);
}

// --- Memory and the engine's refusals -----------------------------------------------------------

/// Requests that go through all that a plan can consist of, in order.
fn a_life() -> Vec<Vec<u8>> {
    let [itun, iesp, iah] = incoming();
    let inside = |said| from_source(add(said), "10.0.0.2");
    let mut update = add(esp());
    update[1] = msg::UPDATE;
    let new = said("esp.200@10.0.0.2");
    vec![
        add_flow(tun(), 0, &usual()),
        add(tun()),
        add(esp()),
        add(ah()),
        pair(tun(), esp()),
        pair(esp(), ah()),
        add_flow(tun(), 0, &nets("10.1.0.0/24", "10.3.0.0/24")),
        add_flow(tun(), 0, &to_port(5000, 0)),
        inside(itun),
        add_flow(itun, flag::IN, &back()),
        inside(iesp),
        pair(itun, iesp),
        inside(iah),
        pair(iesp, iah),
        update,
        ungroup(esp()),
        list(&[tun(), esp(), ah()]),
        add(new),
        add_flow(new, flag::REPLACE, &usual()),
        add_flow(itun, flag::IN, &nets("10.7.0.0/24", "10.1.0.0/24")),
        add_flow(itun, flag::IN, &to_port(5000, UDP)),
        add_flow(new, flag::REPLACE, &to_port(5000, 0)),
        del_flow(&nets("10.1.0.0/24", "10.3.0.0/24")),
        delete(iah),
        add_flow(said("%trap"), flag::REPLACE, &usual()),
        flush(0),
        clear_flows(),
    ]
}

#[test]
fn whatever_fails_tables_and_engine_are_what_they_were() {
    let host = local_host();
    let mut failures = 0;
    for request in a_life() {
        for enough in 0.. {
            let before = seen(&host);
            memory::fail_after(Some(enough));
            let result = host.write(&request);
            memory::fail_after(None);
            host.check();
            match result {
                Ok(()) => break,
                Err(errno) => assert_eq!(errno, Errno::ENOMEM, "{}", hex(&request)),
            }
            assert_eq!(seen(&host), before, "{} after {enough}", hex(&request));
            failures += 1;
        }
        host.drain();
    }
    assert!(failures > 150, "{failures}");
}

// --- The file -----------------------------------------------------------------------------------

#[test]
fn the_file_has_packets_ports_and_protocols() {
    let host = host_with_eroute();
    (0..12).for_each(|_| host.engine.pass(0x115, 100));
    let ports = flow(("10.1.0.0/24", 1024), ("192.168.100.128/25", 443), 6);
    host.set_up(&add_flow(said("%drop"), 0, &ports));
    host.set_up(&add_flow(
        said("esp:400@2001:db8::2"),
        0,
        &nets("2001:db8:1::/64", "2001:db8:2:3:4:5:6:7/128"),
    ));
    assert_eq!(
        host.eroute(),
        "12         10.1.0.0/24        -> 10.2.0.0/24        => tun0x113@10.0.0.2\n\
         0          10.1.0.0/24:1024   -> 192.168.100.128/25:443 => %drop:6\n\
         0          2001:db8:1::/64    -> 2001:db8:2:3:4:5:6:7/128 => esp0x400@2001:db8::2\n"
    );
}

/// Of `esp0x400@2001:db8::2:6`, nobody could tell whether it has a protocol behind it.
#[test]
fn an_ipv6_address_with_a_protocol_behind_it_stands_in_brackets() {
    let host = TestHost::new();
    for (name, listed) in [
        ("esp:400@2001:db8::2", "esp0x400@[2001:db8::2]:6"),
        ("tun:ffffffff@::", "tun0xffffffff@[::]:6"),
        ("esp.400@10.0.0.2", "esp0x400@10.0.0.2:6"),
        ("%drop", "%drop:6"),
        ("int:101@::", "%drop:6"),
    ] {
        host.set_up(&add_flow(
            said(name),
            0,
            &flow(("10.1.0.0/24", 0), ("10.2.0.0/24", 0), 6),
        ));
        assert!(host.eroute().ends_with(&format!("=> {listed}\n")), "{name}");
        host.set_up(&clear_flows());
    }
}

#[test]
fn usage_is_told_where_sas_are() {
    let host = host_with_eroute();
    host.engine.pass(0x115, 100);
    host.engine.pass(0x115, 50);
    host.engine.pass(0x116, 50);
    host.engine.pass(0x116, 50);
    host.engine.pass(0x116, 50);
    for line in host.spi().lines().take(2) {
        assert!(line.contains("bytes(150,0,0)"), "{line}");
        assert!(line.contains("packets(2,0,0)"), "{line}");
    }
    assert!(host
        .spi()
        .lines()
        .nth(2)
        .unwrap()
        .contains("packets(3,0,0)"));
    assert_eq!(host.write(&get(esp())), Ok(()));
    let told = host.read_one(A).expect("the answer");
    let current = exts_of(&told)
        .into_iter()
        .find(|(it, _)| *it == ext::LIFETIME_CURRENT);
    let current = current.unwrap().1;
    assert_eq!((u64_at(&current, 8), u32_at(&current, 32)), (150, 2));
}

#[test]
fn what_has_hardly_been_used_is_not_listed() {
    let host = TestHost::new();
    host.set_up(&reserve(esp()));
    assert!(!host.spi().contains("alloc("), "{}", host.spi());
    let mut update = add(esp());
    update[1] = msg::UPDATE;
    host.set_up(&update);
    host.set_up(&add_flow(esp(), 0, &usual()));
    let fields = ["alloc(", "bytes(", "packets(", "usetime(", "idle="];
    let listed = || fields.map(|field| host.spi().contains(field));
    assert_eq!(listed(), [false; 5]);
    host.engine.pass(0x115, 1);
    assert_eq!(listed(), [false; 5]);
    host.engine.pass(0x115, 1);
    assert_eq!(listed(), [false, true, true, false, false]);
    host.engine.used(0x115, 1, 0);
    assert_eq!(listed(), [false, true, true, false, false]);
    let now = host.clock.get().real;
    host.engine.used(0x115, now - 50, now - 20);
    let line = host.spi();
    assert!(line.contains("usetime(50,0,0)"), "{line}");
    assert!(line.contains(" idle=20 "), "{line}");
}

/// A gateway may have thousands of networks behind one tunnel.
#[test]
fn an_eroute_costs_the_same_beside_many_to_its_group() {
    let host = host_with_sas();
    host.set_up(&list(&[tun(), esp(), ah()]));
    let flow_to = |number: u32| nets("10.1.0.0/24", &format!("10.2.{number}.0/24"));
    // By the memory that it takes.
    let cost = |number: u32| {
        let request = add_flow(tun(), 0, &flow_to(number));
        let enough = (0..).find(|enough| {
            memory::fail_after(Some(*enough));
            let result = host.write(&request);
            memory::fail_after(None);
            result.is_ok()
        });
        host.check();
        enough.unwrap()
    };
    // The first has states made.
    let (first, second) = (cost(0), cost(1));
    assert!(second < first, "{first}, {second}");
    for number in 2..50 {
        assert_eq!(cost(number), second, "{number}");
    }
    let policies = host.engine.policies();
    let open = policies
        .iter()
        .filter(|it| it.spec.direction == Direction::Out);
    assert_eq!(open.count(), 50);
}

#[test]
fn flush_has_many_eroutes_drop_before_it_takes_long() {
    const MANY: usize = 200;
    let host = host_with_eroute();
    for number in 1..MANY {
        let flow = nets(&format!("10.9.{number}.0/24"), "10.2.0.0/24");
        host.set_up(&add_flow(tun(), 0, &flow));
    }
    let open = |host: &TestHost| {
        let policies = host.engine.policies().into_iter();
        policies
            .filter(|it| it.spec.action == Action::Allow)
            .count()
    };
    assert_eq!(open(&host), MANY);
    // While others have their turn, one opens that drops already.
    host.on_resched.replace(Some(Box::new(move |host| {
        if host.reschedules.get() == 2 {
            let before = open(host);
            host.set_up(&add_flow(tun(), flag::REPLACE, &usual()));
            assert_eq!(open(host), before + 1, "it had been blocked");
        }
    })));
    host.reschedules.set(0);
    host.set_up(&flush(0));
    host.on_resched.take();
    assert_eq!(open(&host), 0);
    assert_eq!(host.engine.policies().len(), MANY);
    assert_eq!(host.engine.states().len(), 0);
    host.check();
}
