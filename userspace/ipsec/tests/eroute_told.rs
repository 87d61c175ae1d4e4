// SPDX-License-Identifier: GPL-2.0

//! `ipsec eroute`: lists, what becomes of a packet, dry runs, changes.

use crate::common::{K16, K24, Machine};
use insta::assert_snapshot;
use klips::{
    errno::Errno,
    pfkey::{
        Address, Flow, MsgType, Sa,
        build::request,
        types::{SAFLAG_CLEARFLOW, SAFLAG_INFLOW, SAFLAG_REPLACEFLOW},
    },
};
use pfkey::Content;

/// A group of a tunnel, ESP and AH, an IPCOMP SA, and some eroutes.
fn machine() -> Machine {
    let mut machine = Machine::with_four();
    machine.quiet("spigrp --said tun.113@gw2 esp.115@gw2 ah.116@gw2");
    machine.eroutes = Some(LIST.to_owned());
    machine.kernel.sent.take();
    machine.transcript.clear();
    machine
}

const LIST: &str = "\
12         10.0.1.0/24        -> 10.0.2.0/24        => tun0x113@10.0.0.2
1000000    10.0.1.0/24        -> 10.0.2.0/24:53     => %pass:17
0          10.0.1.0/24:1025   -> 10.0.2.0/24:80     => %drop:6
0          0.0.0.0/0          -> 10.0.3.0/24        => esp0x999@10.0.0.2
0          0.0.0.0/0          -> 10.0.4.0/24        => esp0x115@10.0.0.2
0          10.0.0.1/32        -> 10.0.0.2/32        => comp0x117@10.0.0.2
0          2001:db8::/32      -> 2001:db9::/32      => tun0x113@10.0.0.2
0          2001:db8:1::/48    -> 2001:db9:1::/48:22 => tun0x233@[3049:1::1]:6
";

#[test]
fn lists() {
    let mut machine = machine();
    let lines = "eroute
        eroute --color never
        eroute --color=always
        eroute --json --color always";
    assert_snapshot!("without_a_terminal", machine.session(lines));
    machine.terminal = true;
    assert_snapshot!("at_a_terminal", machine.session(lines));
    machine.eroutes = Some(String::new());
    machine.quiet("eroute");
    assert_snapshot!("empty", machine.session("eroute --json"));
}

/// Lines of other releases, and those of none.
#[test]
fn no_line_is_lost() {
    let mut machine = machine();
    machine.eroutes = Some(
        "10.0.1.0/24 -> 10.0.2.0/24 => tun0x113@10.0.0.2\n\
         \n\
         3 10.0.1.0/24 -> 10.0.2.0/24 => %unk-262\n\
         4 10.0.1.0/24 -> 10.0.2.0/24 => esp0x235@<invalid>:6\n\
         5 10.0.1.0/24 -> 10.0.2.0/24 => %hold:17\n\
         6 2001:db8::/32:53 -> 2001:db9::/32 => tun0x1@2001:db8::1:6\n\
         x 10.0.1.0/24 -> 10.0.2.0/24 => %hold\n\
         7 10.0.1.0/24 => 10.0.2.0/24 -> %hold\n\
         8 10.0.1.0/33 -> 10.0.2.0/24 => %hold\n\
         9 10.0.1.0/24 -> gw2/32 => tun0x113@10.0.0.2\n\
         10 10.0.1.0/24 -> 10.0.2.0/24 => tun0x1@[2001:db8::1:6\n\
         garbage\n"
            .to_owned(),
    );
    assert_snapshot!(machine.session("eroute --json\neroute --color always"));
}

#[test]
fn what_becomes_of_a_packet() {
    let mut machine = machine();
    machine.quiet("spi --ip6 --said tun:233@3049:1::1 --src 3049:1::2");
    machine.transcript.clear();
    assert_snapshot!(machine.session(
        "eroute --get 10.0.1.7 10.0.2.9 --transport-proto icmp
        eroute --get 10.0.1.7 10.0.2.9
        eroute --get 10.0.1.7 10.0.2.9 --transport-proto tcp
        eroute --get 10.0.1.7 10.0.2.9 --transport-proto tcp --src-port 1026 --dst-port http
        eroute --get 10.0.1.7 10.0.2.9 --transport-proto tcp --src-port 1025 --dst-port 80
        eroute --get 10.0.1.7 10.0.2.9 --transport-proto udp --dst-port domain
        eroute --get 10.0.9.9 10.0.3.1
        eroute --get 10.0.9.9 10.0.4.1
        eroute --get 10.0.9.9 10.0.5.1
        eroute --get 10.0.0.1 gw2 --transport-proto tcp
        eroute --get 2001:db8::7 2001:db9::9 --transport-proto ipv6-icmp
        eroute --get 2001:db8:1::7 2001:db9:1::9 --transport-proto tcp --dst-port 22
        eroute --color always --get 10.0.1.7 10.0.2.9 --transport-proto tcp"
    ));
}

#[test]
fn what_becomes_of_a_packet_as_json() {
    assert_snapshot!(machine().session(
        "eroute --json --get 10.0.1.7 10.0.2.9 --transport-proto tcp
        eroute --json --get 10.0.1.7 10.0.2.9 --transport-proto udp --dst-port 53
        eroute --json --get 10.0.9.9 10.0.3.1
        eroute --json --get 10.0.9.9 10.0.5.1"
    ));
}

/// Chains of every kind, and each reason for which nothing is sent.
#[test]
fn chains() {
    let mut machine = Machine::new();
    for line in [
        "spi --ip4 --said tun.101@gw2 --src 10.0.0.1",
        "spi --ip4 --said tun.102@gw2 --src 10.0.0.1",
        "spi --ip4 --said tun.103@gw2",
        "spi --ip4 --said tun.104@gw2 --src 10.0.0.9",
        "spi --comp deflate --said comp.201@gw2 --src 10.0.0.1",
        &format!("spi --esp 3des --said esp.301@gw2 --src 10.0.0.1 --enckey {K24}"),
        &format!(
            "spi --esp 3des --said esp.302@gw2 --src 10.0.0.1 --enckey {K24} --natt nonesp --sport 4500 --dport 4501"
        ),
        &format!(
            "spi --esp 3des --said esp.303@gw2 --src 10.0.0.1 --enckey {K24} --natt nonike --sport 4500 --dport 4501"
        ),
        &format!("spi --ah md5 --said ah.401@gw2 --src 10.0.0.1 --authkey {K16}"),
        &format!("spi --ah md5 --said ah.402@10.0.0.3 --src 10.0.0.1 --authkey {K16}"),
    ] {
        machine.quiet(line);
    }
    machine.transcript.clear();
    let mut told = String::new();
    for chain in [
        "tun.101@gw2",
        "tun.103@gw2",
        "esp.301@gw2",
        "esp.301@gw2 ah.401@gw2",
        "comp.201@gw2 esp.301@gw2",
        "tun.101@gw2 comp.201@gw2 esp.301@gw2",
        "tun.101@gw2 esp.302@gw2",
        "tun.101@gw2 esp.303@gw2",
        "tun.101@gw2 esp.301@gw2 tun.102@gw2 ah.401@gw2",
        "tun.103@gw2 esp.301@gw2",
        "tun.104@gw2 esp.301@gw2",
        "tun.101@gw2 tun.102@gw2 esp.301@gw2",
        "tun.101@gw2 ah.402@10.0.0.3",
        "ah.402@10.0.0.3",
    ] {
        let inner = chain.split(' ').next().unwrap();
        if chain != inner {
            machine.quiet(&format!("spigrp --said {chain}"));
        }
        let listed = inner.replace('.', "0x").replace("gw2", "10.0.0.2");
        let listed = listed.replace("100x00x00x", "10.0.0.");
        machine.eroutes = Some(format!("0 0.0.0.0/0 -> 10.0.0.0/16 => {listed}\n"));
        machine.transcript.clear();
        machine.run("eroute --get 10.0.0.1 10.0.0.2 --transport-proto tcp");
        machine.run("eroute --get 10.0.1.7 10.0.2.9 --transport-proto tcp");
        told += &format!("== {chain}\n{}", machine.session(""));
        machine.quiet(&format!("spigrp --ungroup {inner}"));
    }
    assert_snapshot!(told);
}

/// An SPI that is only reserved is no way for packets.
#[test]
fn a_reserved_spi_sends_nothing() {
    let mut machine = Machine::new();
    machine.sas = Some("esp0x1234@10.0.0.2 ESP: dir=out src=10.0.0.1 life(c,s,h)=\n".to_owned());
    machine.list = Some("esp0x1234@10.0.0.2 \n".to_owned());
    machine.eroutes = Some("0 0.0.0.0/0 -> 10.0.0.0/16 => esp0x1234@10.0.0.2\n".to_owned());
    assert_snapshot!(machine.session("eroute --get 10.0.0.1 10.0.0.2"));
}

/// The module drops, though there is a way: what the SAs gave before, they do not give any more.
#[test]
fn less_protection_than_before_is_dropped() {
    let mut machine = Machine::with_four();
    for line in [
        "spigrp --said tun.113@gw2 esp.115@gw2 ah.116@gw2",
        "eroute --add --src 10.0.1.0/24 --dst 10.0.2.0/24 --said tun.113@gw2",
        "eroute --add --src 10.0.1.0/24 --dst 10.0.3.0/24 --said tun.200@gw2",
        "eroute --add --src 10.0.1.0/24 --dst 10.0.4.0/24 --said %drop",
        // This one comes after its eroute, and alone.
        "spi --ip4 --said tun.200@gw2 --src 10.0.0.1",
        "spigrp --ungroup tun.113@gw2",
        "spigrp --said tun.113@gw2 esp.115@gw2",
    ] {
        machine.quiet(line);
    }
    machine.transcript.clear();
    let ask = "eroute --get 10.0.1.7 10.0.2.9 --transport-proto tcp
        eroute --json --get 10.0.1.7 10.0.2.9 --transport-proto tcp
        eroute --get 10.0.1.7 10.0.3.9";
    machine.terminal = true;
    let list = "eroute --color never\neroute --json";
    assert_snapshot!("less", machine.session(&format!("{ask}\n{list}")));
    // Somebody says that it is meant so.
    machine.quiet("eroute --replace --src 10.0.1.0/24 --dst 10.0.2.0/24 --said tun.113@gw2");
    machine.quiet("eroute --replace --src 10.0.1.0/24 --dst 10.0.3.0/24 --said tun.200@gw2");
    machine.transcript.clear();
    assert_snapshot!("as_is_meant", machine.session(&format!("{ask}\n{list}")));
    // A module that does not tell.
    machine.dropped = Some("-".to_owned());
    assert_snapshot!("not_told", machine.session(&format!("{ask}\n{list}")));
}

/// A machine with an interface attached, and an eroute of each kind.
fn attached() -> Machine {
    let mut machine = Machine::with_four();
    machine.interfaces = vec![ipsec_tools::Interface {
        name: "eth0".into(),
        addresses: vec![[10, 0, 0, 1].into()],
    }];
    let link = ipsec_tools::Link {
        index: 2,
        mtu: 1500,
        if_id: None,
        below: 0,
    };
    let addresses = vec![([10, 0, 0, 1].into(), 24)];
    machine.links.insert("eth0".to_owned(), (link, addresses));
    for line in [
        "tncfg --attach --virtual ipsec0 --physical eth0",
        "spigrp --said tun.113@gw2 esp.115@gw2",
        "eroute --add --src 10.0.0.0/16 --dst 10.0.2.0/24 --said tun.113@gw2",
        "eroute --add --src 10.0.0.0/16 --dst 10.0.3.0/24 --said %pass",
        "eroute --add --src 10.0.0.0/16 --dst 10.0.4.0/24 --said %drop",
        // In transport mode.
        "eroute --add --src 10.0.0.1/32 --dst 10.0.0.2/32 --said ah.116@gw2",
        // Of an address of another interface.
        "spi --ip4 --said tun.300@gw2 --src 10.9.0.1",
        "eroute --add --src 10.0.0.0/16 --dst 10.0.5.0/24 --said tun.300@gw2",
        "eroute --add --src 10.0.0.0/16 --dst 10.0.6.0/24 --said tun.999@gw2",
        // Coarser than the others, and asked before them.
        "eroute --add --src 10.0.0.0/8 --dst 10.0.2.128/25 --said tun.300@gw2",
    ] {
        machine.quiet(line);
    }
    machine.transcript.clear();
    machine
}

#[test]
fn routes_decide_while_an_interface_is_attached() {
    let mut machine = attached();
    let asked = [
        "10.0.1.7 10.0.2.9",
        "10.0.0.1 10.0.2.9",
        "10.0.1.7 10.0.2.200",
        "10.0.1.7 10.0.3.9",
        "10.0.1.7 10.0.4.9",
        "10.0.0.1 10.0.0.2",
        "10.0.1.7 10.0.5.9",
        "10.0.1.7 10.0.6.9",
        "10.0.1.7 10.0.7.9",
    ];
    for way in ["ipsec0", "eth0", "unknown"] {
        for ends in asked {
            let (src, dst) = ends.split_once(' ').unwrap();
            let own = (src == "10.0.0.1").then(|| src.parse().unwrap());
            let key = (own, dst.parse().unwrap());
            machine.routes.remove(&key);
            if way != "unknown" {
                machine.routes.insert(key, way.to_owned());
            }
        }
        machine.transcript.clear();
        let lines = asked.map(|ends| format!("eroute --get {ends}")).join("\n");
        assert_snapshot!(format!("routed_to_{way}"), machine.session(&lines));
        machine.transcript.clear();
        let lines = asked.map(|ends| format!("eroute --json --get {ends}"));
        assert_snapshot!(
            format!("routed_to_{way}_json"),
            machine.session(&lines[..1].join("\n"))
        );
    }
    // None is attached any more.
    machine.quiet("tncfg --detach --virtual ipsec0");
    machine.transcript.clear();
    let lines = asked.map(|ends| format!("eroute --get {ends}")).join("\n");
    let text = machine.session(&lines);
    assert!(
        !text.contains("routed") && !text.contains("only if"),
        "{text}"
    );
}

#[test]
fn bad_questions() {
    let mut machine = machine();
    assert_snapshot!(machine.session(
        "eroute --get
        eroute --get 10.0.0.1
        eroute --get 10.0.0.1 10.0.0.2 10.0.0.3
        eroute --get 10.0.0.1 2001:db8::1
        eroute --get 2001:db8::1 10.0.0.1
        eroute --get nowhere 10.0.0.1
        eroute --get 10.0.0.1/32 10.0.0.1
        eroute --get 10.0.0.1 10.0.0.2 --src-port 80
        eroute --get 10.0.0.1 10.0.0.2 --transport-proto 256
        eroute --get 10.0.0.1 10.0.0.2 --said tun.113@gw2
        eroute --get 10.0.0.1 10.0.0.2 --dry-run"
    ));
    machine.list_error = Some(std::io::ErrorKind::PermissionDenied);
    assert_snapshot!(
        "unreadable",
        machine.session("eroute --get 10.0.0.1 10.0.0.2")
    );
}

#[test]
fn nothing_is_sent_in_a_dry_run() {
    let mut machine = machine();
    assert_snapshot!(machine.session(
        "eroute --dry-run --add --src 10.0.9.0/24 --dst 10.0.2.0/24 --said tun.113@gw2
        eroute --dry-run --add --src 10.0.9.0/24 --dst 10.0.2.0/24 --said tun.999@gw2
        eroute --dry-run --add --src 10.0.1.0/24 --dst 10.0.2.0/24 --said tun.113@gw2
        eroute --dry-run --replace --src 10.0.1.0/24 --dst 10.0.2.0/24 --said %trap
        eroute --dry-run --replace --src 10.0.9.0/24 --dst 10.0.2.0/24 --said %trap
        eroute --dry-run --add --src 10.0.9.0/24 --dst 10.0.2.0/24 --said ah.116@gw2
        eroute --dry-run --add --src 10.0.9.0/24 --dst 10.0.2.0/24 --said int.106@0.0.0.0
        eroute --dry-run --addin --src 10.0.9.0/24 --dst 10.0.2.0/24 --said ah.116@gw2
        eroute --dry-run --addin --src 10.0.9.0/24 --dst 10.0.2.0/24 --said comp.117@gw2
        eroute --dry-run --replacein --src 10.0.9.0/24 --dst 10.0.2.0/24 --said tun.999@gw2
        eroute --label x --dry-run --del --src 10.0.1.0/24 --dst 10.0.2.0/24
        eroute --dry-run --del --src 10.0.1.0/24 --dst 10.0.2.0/25
        eroute --dry-run --clear
        (sent)"
    ));
}

#[test]
fn prospects_as_json() {
    assert_snapshot!(machine().session(
        "eroute --json --dry-run --add --src 10.0.9.0/24 --dst 10.0.2.0/24 --said tun.999@gw2
        eroute --json --dry-run --del --src 10.0.1.0/24 --dst 10.0.2.0/25
        eroute --json --dry-run --clear"
    ));
}

#[test]
fn a_batch_finds_what_its_lines_would_leave() {
    let lines = "\
        --add --src 10.0.9.0/24 --dst 10.0.2.0/24 --said tun.113@gw2\n\
        --add --src 10.0.9.0/24 --dst 10.0.2.0/24 --said %drop\n\
        --replace --src 10.0.9.0/24 --dst 10.0.2.0/24 --said %drop\n\
        --del --src 10.0.9.0/24 --dst 10.0.2.0/24\n\
        --del --src 10.0.9.0/24 --dst 10.0.2.0/24\n\
        --clear\n\
        --del --src 10.0.1.0/24 --dst 10.0.2.0/24\n";
    let mut machine = machine();
    machine.files.insert("eroutes".into(), lines.into());
    assert_snapshot!(machine.session(
        "eroute --json --dry-run --keep-going --batch eroutes
        eroute --dry-run --batch eroutes
        (sent)"
    ));
}

/// What a kernel tells of eroutes.
fn told(msg_type: MsgType, said: &str, flags: u32, selects: bool) -> Vec<u8> {
    let said = pfkey::text::said::parse(said).unwrap();
    let said = said.with_dst([10, 0, 0, 2].into());
    let about = Content::about(request(msg_type, 0, 5, 6), &said);
    let socket = |text: &str| text.parse().unwrap();
    let flow = Flow {
        src: socket("10.0.1.0:0"),
        dst: socket("10.0.2.0:80"),
        src_mask: socket("255.255.255.0:0"),
        dst_mask: socket("255.255.255.0:65535"),
        proto: 6,
    };
    let is_add = msg_type == MsgType::AddFlow;
    let content = Content {
        sa: Some(Sa {
            flags,
            ..Sa::naming(said.spi)
        }),
        src: is_add.then_some(Address::of([10, 0, 0, 1].into())),
        dst: about.dst.filter(|_| is_add),
        flow: selects.then_some(flow),
        ..about
    };
    let mut bytes = vec![0; content.size()];
    content.write(&mut bytes).unwrap();
    bytes
}

#[test]
fn every_change_has_a_line() {
    for option in ["", "--json ", "--timestamp "] {
        let mut machine = machine();
        let tell = |machine: &mut Machine, message: Vec<u8>| {
            machine.meanwhile(move |machine| machine.kernel.noise.borrow_mut().push(message));
        };
        let tun = "tun.113@10.0.0.2";
        for message in [
            told(MsgType::AddFlow, tun, 0, true),
            told(
                MsgType::AddFlow,
                "esp.115@10.0.0.2",
                SAFLAG_REPLACEFLOW,
                true,
            ),
            told(MsgType::AddFlow, tun, SAFLAG_INFLOW, true),
            told(
                MsgType::AddFlow,
                tun,
                SAFLAG_INFLOW | SAFLAG_REPLACEFLOW,
                true,
            ),
            told(MsgType::DelFlow, tun, 0, true),
            told(MsgType::DelFlow, tun, SAFLAG_CLEARFLOW, false),
            // Nothing, as far as eroutes go.
            told(MsgType::GrpSa, tun, 0, false),
            vec![2, 14, 0],
        ] {
            tell(&mut machine, message);
        }
        let mut refused = told(MsgType::DelFlow, tun, SAFLAG_CLEARFLOW, false);
        refused[2] = 2;
        tell(&mut machine, refused);
        machine.meanwhile(|machine| machine.kernel.receive_error.set(Some(Errno::ENOBUFS)));
        let name = format!("changes_{}", option.trim_matches(['-', ' ']));
        assert_snapshot!(name, machine.session(&format!("eroute {option}--monitor")));
    }
}
