// SPDX-License-Identifier: GPL-2.0

//! `ipsec spigrp` against the module's request engine.

use crate::common::{ALONE, Machine, hex};
use insta::assert_snapshot;
use klips::{
    errno::Errno,
    pfkey::{Header, MsgType, build::request},
};
use pfkey::Content;

const THREE: [&str; 2] = [
    "tun0x113@10.0.0.2 esp0x115@10.0.0.2 ah0x116@10.0.0.2",
    "comp0x117@10.0.0.2",
];

#[test]
fn help_version_and_labels() {
    assert_snapshot!(Machine::new().session(
        "ipsec spigrp --help
        spigrp --label foo --help
        spigrp --help --label foo
        /usr/lib/ipsec/spigrp --version
        ipsec spigrp --label foo --version
        spigrp --debug --version
        ipsec spigrp -h
        spigrp --label
        spigrp --debug --label
        spigrp --label foo
        spigrp --label=foo --bogus
        spigrp --label foo --bogus
        ipsec_spigrp -x
        ipsec spigrp --label foo --said tun.113@10.0.0.2"
    ));
}

#[test]
fn bad_arguments() {
    let mut machine = Machine::with_four();
    assert_snapshot!(machine.session(
        "spigrp inet 10.0.0.2 0x113 foo
        spigrp inet 10.0.0.2 0x113 TUN
        spigrp inet 10.0.0.2 0x113 int
        spigrp inet 10.0.0.2 0xzz tun
        spigrp inet 10.0.0.2 0x tun
        spigrp inet 10.0.0.2 12a tun
        spigrp inet 10.0.0.2 09 tun
        spigrp inet 10.0.0.2 \"\" tun
        spigrp inet 10.0.0.2 -1 tun
        spigrp inet 10.0.0.2 +1 tun
        spigrp inet 10.0.0.2 0x100000000 tun
        spigrp inet 10.0.0.300 0x113 tun
        spigrp inet no.such.host 0x113 tun
        spigrp inet 3049:1::1 0x113 tun
        spigrp inet6 10.0.0.2 0x113 tun
        spigrp inet7 10.0.0.2 0x113 tun
        spigrp inet \"\" 0x113 tun
        spigrp inet gw2 0x113 tun inet gw3 0x115 esp
        spigrp inet7 bad! bad bad

        spigrp inet
        spigrp inet 10.0.0.2
        spigrp inet 10.0.0.2 0x113
        spigrp inet 10.0.0.2 0x113 tun inet
        spigrp inet 10.0.0.2 0x113 tun inet 10.0.0.2 0x115
        spigrp inet 10.0.0.2 0x113 tun --said
        spigrp --said
        spigrp --said tun.113
        spigrp --said foo.113@10.0.0.2
        spigrp --said tun.zz@10.0.0.2
        spigrp --said tun.0x113@10.0.0.2
        spigrp --said tun.@10.0.0.2
        spigrp --said tun@10.0.0.2
        spigrp --said tun.113@10.0.0.300
        spigrp --said tun:113@10.0.0.2
        spigrp --said tun.113@3049:1::1
        spigrp --said tun.100000000@10.0.0.2
        spigrp --said tun.113@nowhere
        spigrp --said @
        spigrp --said %foo
        spigrp --said \"\"
        spigrp --said tun.113@10.0.0.2 --said
        spigrp --json --said tun.113@10.0.0.2

        ipsec spigrp inet gw2 0x113 tun inet gw2 0x117 comp inet gw2 0x115 esp inet gw2 0x116 ah inet gw2 0x118 tun
        ipsec spigrp --said tun.113@gw2 comp.117@gw2 esp.115@gw2 ah.116@gw2 tun.118@gw2
        ipsec spigrp --label five --said tun.113@gw2 comp.117@gw2 esp.115@gw2 ah.116@gw2 tun.118@gw2
        (sent)"
    ));
    assert_eq!(machine.groups(), ALONE);
}

#[test]
fn groups_in_one_message() {
    let mut machine = Machine::with_four();
    assert_snapshot!(machine.session(
        "ipsec spigrp inet gw2 0x113 tun inet gw2 0x115 esp inet gw2 0x116 ah
        (sent)
        spigrp
        ipsec spigrp --debug inet 10.0.0.2 277 esp
        (sent)
        spigrp
        spigrp --label mine --debug --said tun.113@gw2 esp0x115@10.0.0.2 ah0426@gw2 comp279@10.0.0.2
        (sent)
        ipsec_spigrp"
    ));
}

#[test]
fn the_message_byte_for_byte() {
    let mut machine = Machine::with_four();
    machine.quiet("spigrp --said tun.113@gw2 esp.115@gw2 ah.116@gw2");
    let sent = machine.kernel.sent.take();
    let mut bytes = sent[0].bytes.clone();
    assert_eq!(bytes[12..16], std::process::id().to_ne_bytes());
    bytes[12..16].fill(0);
    assert_snapshot!(hex(&bytes));
}

#[test]
fn both_forms_of_every_example_of_the_manual() {
    for line in [
        "ipsec spigrp inet gw2 0x113 tun inet gw2 0x115 esp inet gw2 0x116 ah",
        "ipsec spigrp --said tun.113@gw2 esp.115@gw2 ah.116@gw2",
        "spigrp inet 10.0.0.2 275 tun inet 10.0.0.2 0425 esp inet 10.0.0.2 0X116 ah",
    ] {
        let mut machine = Machine::with_four();
        machine.quiet(line);
        assert_eq!(machine.groups(), THREE);
    }
    for line in [
        "ipsec spigrp --said tun:233@3049:1::1 esp:235@3049:1::1 ah:236@3049:1::1",
        "ipsec spigrp inet6 3049:1::1 0x233 tun inet6 3049:1::1 0x235 esp inet6 3049:1::1 0x236 ah",
        "ipsec spigrp inet6 gw2 0x233 tun inet6 gw2 0x235 esp inet6 gw2 0x236 ah",
    ] {
        let mut machine = Machine::new();
        machine.quiet("spi --ip6 --said tun:233@3049:1::1");
        machine.quiet(&format!(
            "spi --esp aes256-sha2-256 --said esp:235@3049:1::1 --enckey {0}{1} --authkey {0}{1}",
            crate::common::K16,
            &crate::common::K16[2..]
        ));
        machine.quiet(&format!(
            "spi --ah md5 --said ah:236@3049:1::1 --authkey {}",
            crate::common::K16
        ));
        machine.quiet(line);
        assert_eq!(
            machine.groups(),
            ["tun0x233@3049:1::1 esp0x235@3049:1::1 ah0x236@3049:1::1"]
        );
    }
}

#[test]
fn refusals_name_the_sa() {
    let mut machine = Machine::with_four();
    assert_snapshot!(machine.session(
        "spigrp --said tun.999@10.0.0.2
        spigrp inet 10.0.0.2 0x0 tun
        spigrp inet 10.0.0.2 0xffffffff tun
        spigrp --said %drop
        spigrp --said tun.999@gw2 esp.115@gw2
        spigrp --said tun.113@gw2 esp.999@gw2
        spigrp --label x --said tun.113@gw2 esp.115@gw2 ah:999@3049:1::1
        spigrp --said tun.113@gw2 tun.113@gw2
        ipsec spigrp --said tun.113@gw2 esp.115@gw2 tun.113@gw2
        spigrp

        spigrp --said tun.113@gw2 esp.115@gw2
        spigrp --said tun.113@gw2 esp.115@gw2 ah.116@gw2
        ipsec spigrp --label again --said ah.116@gw2 esp.115@gw2
        spigrp"
    ));
    machine.list_error = Some(std::io::ErrorKind::PermissionDenied);
    assert_snapshot!(
        "group_unknown",
        machine.session("spigrp --said ah.116@gw2 esp.115@gw2")
    );
}

#[test]
fn ungrouping() {
    for member in ["tun.113@gw2", "esp.115@gw2", "ah.116@gw2"] {
        let mut machine = Machine::with_four();
        machine.quiet("spigrp --said tun.113@gw2 esp.115@gw2 ah.116@gw2");
        assert_eq!(machine.groups(), THREE);
        machine.quiet(&format!("spigrp --said {member}"));
        assert_eq!(machine.groups(), ALONE);
        // Once more changes nothing.
        machine.quiet(&format!("spigrp --said {member}"));
        assert_eq!(machine.groups(), ALONE);
    }
}

#[test]
fn ungrouping_as_a_word() {
    let mut machine = Machine::with_four();
    assert_snapshot!(machine.session(
        "spigrp --said tun.113@gw2 esp.115@gw2
        ipsec spigrp --debug --ungroup esp.115@gw2 --label x
        (sent)
        spigrp --ungroup=tun0x113@10.0.0.2
        ipsec spigrp --label x --ungroup tun.999@gw2
        spigrp --ungroup tun.zz@gw2
        spigrp --ungroup
        spigrp --ungroup tun.113@gw2 esp.115@gw2
        spigrp --ungroup tun.113@gw2 --ungroup esp.115@gw2
        spigrp --ungroup tun.113@gw2 --said esp.115@gw2
        spigrp --said --ungroup tun.113@gw2
        spigrp --ungroup inet gw2 0x113 tun
        spigrp --ungroup tun.113@gw2 --batch -
        spigrp"
    ));
}

#[test]
fn families_may_differ() {
    let mut machine = Machine::with_four();
    machine.quiet("spi --ip6 --said tun:233@3049:1::1");
    machine.quiet("spigrp inet 10.0.0.2 0x113 tun inet6 3049:1::1 0x233 tun");
    assert_eq!(machine.groups()[0], "tun0x113@10.0.0.2 tun0x233@3049:1::1");
}

#[test]
fn lists() {
    let mut machine = Machine::with_four();
    machine.quiet("spi --ip6 --said tun:233@3049:1::1");
    assert_snapshot!(machine.session(
        "spigrp --json
        spigrp --said tun.113@gw2 tun:233@3049:1::1
        spigrp
        spigrp --debug --label x
        spigrp --json
        spi --clear
        spigrp
        spigrp --json"
    ));
    machine.list = Some("esp0x235@<invalid> \"\\ \n".to_owned());
    assert_snapshot!("unreadable_names", machine.session("spigrp\nspigrp --json"));
}

#[test]
fn lists_for_a_reader() {
    let mut machine = Machine::with_four();
    machine.quiet("spi --ip6 --said tun:233@3049:1::1");
    machine.quiet("spi --ip4 --said tun.12345@10.0.0.2");
    machine.quiet("spigrp --said tun.113@gw2 esp.115@gw2 ah.116@gw2");
    machine.quiet("spigrp --said tun:233@3049:1::1 comp.117@gw2");
    machine.transcript.clear();
    let lines = "spigrp
        spigrp --color never
        spigrp --color=always
        spigrp --color auto
        spigrp --json --color always
        spigrp --color always --color never";
    assert_snapshot!("lists_without_a_terminal", machine.session(lines));
    machine.terminal = true;
    assert_snapshot!("lists_at_a_terminal", machine.session(lines));
    machine.no_color = true;
    assert_snapshot!("lists_without_colours", machine.session(lines));
    assert_snapshot!(
        "bad_colours",
        machine.session("spigrp --color\nspigrp --color red\nspigrp --color=")
    );
    machine.list = Some(
        "%trap tun0x0@0.0.0.0 \n%passthrough4 esp0x235@<invalid> \n\nint0x99@0.0.0.0 \n".to_owned(),
    );
    assert_snapshot!(
        "odd_lists",
        machine.session("spigrp --color always\nspigrp")
    );
    machine.list = Some(String::new());
    machine.quiet("spigrp");
    machine.list_error = Some(std::io::ErrorKind::NotFound);
    assert_eq!(machine.run("spigrp"), 1);
}

#[test]
fn without_the_module() {
    let mut machine = Machine::new();
    machine.open_error = Some(Errno::EAFNOSUPPORT);
    machine.list_error = Some(std::io::ErrorKind::NotFound);
    assert_snapshot!(machine.session(
        "spigrp
        ipsec spigrp --label l
        spigrp --json
        spigrp --said tun.113@10.0.0.2 esp.115@10.0.0.2
        spi
        spi --clear
        klipsdebug"
    ));
    machine.proc = false;
    assert_snapshot!(
        "without_proc",
        machine.session("ipsec spigrp\nspi --json\nklipsdebug")
    );
}

#[test]
fn sockets_that_cannot_be_opened() {
    let mut machine = Machine::new();
    for errno in [1, 2, 6, 12, 13, 16, 17, 19, 22, 49, 93, 94, 97, 105] {
        machine.open_error = Some(Errno(errno));
        machine.transcript += &format!("{errno}\n");
        machine.run("spigrp --said tun.113@gw2");
    }
    assert_snapshot!(machine.session(""));
}

#[test]
fn beside_netkey() {
    let mut machine = Machine::with_four();
    machine.netkey = true;
    assert_snapshot!(machine.session(
        "spigrp
        ipsec spigrp --label x --said tun.113@gw2 esp.115@gw2
        spigrp --said
        spigrp --version
        spi
        ipsec spi --clear
        spi --version
        (sent)"
    ));
}

#[test]
fn other_errnos() {
    let mut machine = Machine::with_four();
    for errno in [
        1, 3, 6, 12, 13, 16, 19, 28, 29, 31, 38, 49, 90, 94, 105, 255,
    ] {
        *machine.kernel.refuse.borrow_mut() = Some(Box::new(move |_| Some(Errno(errno))));
        machine.run("spigrp --said tun.113@gw2 esp.115@gw2");
    }
    assert_snapshot!(machine.session(""));
    assert_eq!(machine.groups(), ALONE);
}

#[test]
fn an_answer_is_found_among_others() {
    let mut machine = Machine::with_four();
    let pid = std::process::id();
    // Somebody else's answers: another process, another request of ours, another type; what is
    // no message, and what is too long to be read.
    let other = |msg_type, satype, seq, pid, errno| {
        let content = Content::new(Header {
            errno,
            ..request(msg_type, satype, seq, pid)
        });
        let mut bytes = vec![0; content.size()];
        content.write(&mut bytes).unwrap();
        bytes
    };
    let mut huge = vec![0; 8000];
    huge[..16].copy_from_slice(&other(MsgType::GrpSa, 9, 1, pid, 2));
    huge[4..6].copy_from_slice(&1000u16.to_ne_bytes());
    *machine.kernel.noise.borrow_mut() = vec![
        other(MsgType::GrpSa, 9, 1, pid + 1, 2),
        other(MsgType::GrpSa, 9, 2, pid, 2),
        other(MsgType::Delete, 9, 1, pid, 2),
        vec![2, 13, 0],
        huge,
    ];
    machine.kernel.receive_error.set(Some(Errno::ENOBUFS));
    machine.quiet("spigrp --said tun.113@gw2 esp.115@gw2 ah.116@gw2");
    assert_eq!(machine.groups(), THREE);
    // The same when a fault is looked for.
    *machine.kernel.noise.borrow_mut() =
        vec![other(MsgType::GrpSa, 9, 1, pid + 1, 22), vec![0; 16]];
    machine.kernel.receive_error.set(Some(Errno::ENOBUFS));
    assert_snapshot!(machine.session("spigrp --said comp.117@gw2 ah.116@gw2"));
}

#[test]
fn answers_that_do_not_come() {
    let mut machine = Machine::with_four();
    machine.kernel.mute.set(true);
    machine.run("spigrp --said tun.113@gw2 esp.115@gw2");
    // Without the fault there is only the errno.
    machine.run("spigrp --said tun.113@gw2 esp.115@gw2");
    machine.run("spigrp --said tun.113@gw2 esp.999@gw2");
    machine.kernel.mute.set(false);
    machine.kernel.receive_error.set(Some(Errno(5)));
    machine.run("spigrp --said tun.113@gw2");
    assert_snapshot!(machine.session(""));
}
