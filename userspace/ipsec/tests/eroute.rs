// SPDX-License-Identifier: GPL-2.0

//! `ipsec eroute`: what is asked of the kernel, and what is said of what makes no sense.

use crate::common::{Machine, hex};
use insta::assert_snapshot;
use klips::{
    errno::Errno,
    pfkey::{Address, MsgType, SaType, build::request},
};
use pfkey::Content;

/// A machine with a group of three and an SA that is in none.
fn machine() -> Machine {
    let mut machine = Machine::with_four();
    machine.quiet("spigrp --said tun.113@gw2 esp.115@gw2 ah.116@gw2");
    machine.kernel.sent.take();
    machine.transcript.clear();
    machine
}

/// The bytes of the message that a command line sends, without its process ID.
fn message(line: &str) -> String {
    let mut machine = machine();
    // What comes of it does not matter here.
    machine.run(line);
    let mut sent = machine.kernel.sent.take();
    assert_eq!(sent.len(), 1, "{line}");
    let bytes = &mut sent[0].bytes;
    assert_eq!(bytes[12..16], std::process::id().to_ne_bytes());
    bytes[12..16].fill(0);
    hex(bytes)
}

#[test]
fn help_version_and_labels() {
    assert_snapshot!(Machine::new().session(
        "ipsec eroute --help
        eroute --label foo --version
        ipsec_eroute --version --label foo
        eroute --lab foo --add
        eroute --vers
        ipsec eroute -h --json"
    ));
}

/// What the original sends (reference 8.4), byte for byte.
#[test]
fn messages_byte_for_byte() {
    let lines = [
        "eroute --add --eraf inet --src 10.0.1.0/24 --dst 10.0.2.0/24 --said tun.113@10.0.0.2",
        "eroute --replace --src 10.0.1.0/24 --dst 10.0.2.0/24 --said tun.113@10.0.0.2",
        "eroute --addin --src 10.0.1.0/24 --dst 10.0.2.0/24 --said tun.113@10.0.0.2",
        "eroute --replacein --src 10.0.1.0/24 --dst 10.0.2.0/24 --said tun.113@10.0.0.2",
        "eroute --add --src 0/0 --dst 10.0.2.9/32 --transport-proto udp --src-port 1025 --dst-port domain --said %trap",
        "eroute --add --eraf inet6 --src 2001:db8::/32 --dst %default --said esp:235@3049:1::1",
        "eroute --del --src 10.0.1.0/24 --dst 10.0.2.0/24 --transport-proto 6 --dst-port 80",
        "eroute --clear",
    ];
    let messages = lines.map(|line| format!("{line}\n{}\n", message(line)));
    assert_snapshot!(messages.concat());
}

/// The messages of Openswan 2.4.9's pluto, as recorded: the same but for its addresses of SAs
/// (sources are of no use), for null SArefs, and for what stands behind addresses.
#[test]
fn a_key_daemon_asks_for_the_same() {
    for (line, recorded) in [
        (
            "eroute --replace --src 10.2.1.0/24 --dst 10.2.2.0/24 --said tun.1002@10.1.0.2",
            "020e0009 1700 0000 0d000000 8d000000
            0300 0100 00001002 00000000 02000000 ffffffff 00000000
            0300 0500 00000000 0200 0000 0a010001 0000000000000000
            0300 0600 00000000 0200 0000 0a010002 0000000000000000
            0300 1500 00000000 0200 0000 0a020100 0700000000000000
            0300 1600 00000000 0200 0000 0a020200 0700000000000000
            0300 1700 00000000 0200 0000 ffffff00 e0ea1052fd7f0000
            0300 1800 00000000 0200 0000 ffffff00 50ec1052fd7f0000",
        ),
        (
            "eroute --add --src 10.2.1.0/24 --dst 10.2.2.0/24 --said %trap",
            "020e000b 1700 0000 05000000 8d000000
            0300 0100 00000104 00000000 00000000 ffffffff 00000000
            0300 0500 00000000 0200 0000 0a010001 0000000000000000
            0300 0600 00000000 0200 0000 00000000 0000000000000000
            0300 1500 00000000 0200 0000 0a020100 0700000000000000
            0300 1600 00000000 0200 0000 0a020200 0700000000000000
            0300 1700 00000000 0200 0000 ffffff00 60c61d5457580c03
            0300 1800 00000000 0200 0000 ffffff00 b7c7450000000000",
        ),
        (
            "eroute --del --src 10.2.1.0/24 --dst 10.2.2.0/24 --said %trap",
            "020f000b 0e00 0000 11000000 8d000000
            0300 1500 00000000 0200 0000 0a020100 0700000000000000
            0300 1600 00000000 0200 0000 0a020200 0700000000000000
            0300 1700 00000000 0200 0000 ffffff00 b0e01052fd7f0000
            0300 1800 00000000 0200 0000 ffffff00 20e21052fd7f0000",
        ),
    ] {
        let mut recorded = testbed::unhex(recorded);
        // Sequence number, process ID.
        recorded[8..16].copy_from_slice(&[1, 0, 0, 0, 0, 0, 0, 0]);
        let mut at = 16;
        while at < recorded.len() {
            match recorded[at + 2] {
                1 => recorded[at + 16..at + 20].fill(0),
                5 => recorded[at + 12..at + 16].fill(0),
                21..=24 => recorded[at + 16..at + 24].fill(0),
                _ => (),
            }
            at += 8 * usize::from(recorded[at]);
        }
        assert_eq!(message(line), hex(&recorded), "{line}");
    }
}

#[test]
fn forms_of_the_same_request() {
    let same = |lines: &[&str]| {
        let first = message(lines[0]);
        for line in lines {
            assert_eq!(message(line), first, "{line}");
        }
    };
    same(&[
        "eroute --add --src 10.0.1.0/24 --dst 10.0.2.0/24 --said tun.113@10.0.0.2",
        "eroute --said tun0x113@10.0.0.2 --dst 10.0.2.9/24 --src 10.0.1.255/255.255.255.0 --add",
        "ipsec eroute --add --eraf inet --src 10.0.1/24 --dst=10.0.2/24 --af inet --edst gw2 --spi 0x113 --proto tun",
        "eroute --add --add --src 10.0.1.0/24 --dst 10.0.2.0/24 --edst gw2 --spi 275 --proto tun",
        "eroute --add --src 10.0.1.0/24 --dst 10.0.2.0/24 --transport-proto 0 --said tun.113@gw2 --label x",
    ]);
    same(
        &[
            "eroute --del --src 0/0 --dst 10.0.2.9/32 --transport-proto tcp --src-port 1025 --dst-port 80",
            "eroute --del --src 0.0.0.0/0 --dst 10.0.2.9/32 --transport-proto 6 --src-port 0x401 --dst-port http",
            "eroute --del --src %default:1025 --dst 10.0.2.9/32:80 --transport-proto tcp --src-port 0",
            "eroute --del --src 1.2.3.4/0.0.0.0:1025 --dst 10.0.2.9/255.255.255.255:80 --transport-proto tcp",
        ][..2],
    );
    same(&[
        "eroute --del --src 0/0:1025 --dst 10.0.2.9/32:80 --transport-proto tcp",
        "eroute --del --src 1.2.3.4/0.0.0.0:1025 --dst 10.0.2.9/255.255.255.255:80 --transport-proto tcp",
    ]);
    same(&[
        "eroute --del --src ::/0 --dst 2001:db8::/32 --transport-proto dccp",
        "eroute --del --eraf inet6 --src %default --dst 2001:db8:1::/32 --transport-proto 33",
    ]);
}

#[test]
fn options_from_a_file() {
    let mut machine = machine();
    machine.files.insert(
        "net".into(),
        b"# from here\n--src 10.0.1.0/24\n--dst\n10.0.2.0/24\n".to_vec(),
    );
    assert_snapshot!(machine.session(
        "eroute --debug --add --optionsfrom net --said tun.113@gw2
        eroute --add --optionsfrom nothing --label x --said tun.113@gw2
        eroute --json --optionsfrom nothing
        (sent)"
    ));
}

#[test]
fn bad_arguments() {
    let mut machine = machine();
    assert_snapshot!(machine.session(
        "eroute --src 10.0.1.0/24
        eroute --add
        eroute --add --del
        eroute --add --replace --src 0/0 --dst 0/0 --said %drop
        eroute --get 10.0.0.1 10.0.0.2 --clear
        eroute --add --src 10.0.1.0/24 --dst 10.0.2.0/24
        eroute --add --said tun.113@gw2
        eroute --addin --src 0/0 --said tun.113@gw2
        eroute --del --dst 0/0
        eroute --del --src 0/0
        eroute --replace --src 0/0 --dst 0/0 --edst gw2 --spi 0x113
        eroute --replace --src 0/0 --dst 0/0 --af inet
        eroute --replace --src 0/0 --dst 0/0 --af ipx --said tun.113@gw2
        eroute --add --src 0/0 --dst 0/0 --said tun.113@gw2 --spi 0x113
        eroute --add --src 0/0 --dst 0/0 --said tun.113@gw2 --said tun.114@gw2
        eroute --add --src 0/0 --dst 0/0 --said tun.ff@gw2
        eroute --add --src 0/0 --dst 0/0 --said %passthrough
        eroute --add --src 0/0 --dst 0/0 --said %nothing
        eroute --add --src 0/0 --dst 0/0 --edst gw2 --spi 0xff --proto tun
        eroute --add --src 0/0 --dst 0/0 --edst gw2 --spi 0x113 --proto int
        eroute --add --src 0/0 --src 0/0 --dst 0/0 --said %drop
        eroute --add --src 0/0 --dst 0/0 --eraf inet --eraf inet --said %drop
        eroute --clear --said tun.113@gw2
        eroute --clear --src 10.0.1.0/24 --dst 10.0.2.0/24
        eroute --add foo
        eroute --adding
        eroute --replacei --src 0/0
        eroute --src
        eroute --timestamp
        eroute --dry-run
        eroute --monitor --add
        eroute --monitor --dry-run
        eroute --keep-going
        eroute --json --del --src 0/0
        (sent)"
    ));
}

#[test]
fn bad_packets() {
    let mut machine = machine();
    let lines = [
        "--src 10.0.1.0 --dst 0/0",
        "--src \"\" --dst 0/0",
        "--src /24 --dst 0/0",
        "--src 10.0.1.0/ --dst 0/0",
        "--src 10.0.1.0/33 --dst 0/0",
        "--src 10.0.1.0/999 --dst 0/0",
        "--src 10.0.1.0/-1 --dst 0/0",
        "--src 10.0.1.0/255.0.255.0 --dst 0/0",
        "--src 10.0.1.0/0.0.0.255 --dst 0/0",
        "--src 10.0.1.0/24/24 --dst 0/0",
        "--src 10.0.1.256/24 --dst 0/0",
        "--src nowhere/24 --dst 0/0",
        "--src no_where!/24 --dst 0/0",
        "--src 0/0 --dst 2001:db8::/129",
        "--src 0/0 --dst 2001:db8::/ffff::",
        "--src 0/0 --dst 2001:db8::/32",
        "--src ::/0 --dst %default",
        "--eraf inet --src 2001:db8::/32 --dst 0/0",
        "--eraf inet6 --src 10.0.1.0/24 --dst ::/0",
        "--eraf ipx --src 10.0.1.0/24 --dst 0/0",
        "--src 0/0:80 --dst 0/0",
        "--src 0/0:0 --dst 0/0 --transport-proto tcp",
        "--src 0/0:http --dst 0/0 --transport-proto tcp",
        "--src 0/0:65536 --dst 0/0 --transport-proto tcp",
        "--src 0/0:80 --dst 0/0 --transport-proto tcp --src-port 80",
        "--src 0/0 --dst 0/0 --src-port 80",
        "--src 0/0 --dst 0/0 --dst-port 80 --transport-proto icmp",
        "--src 0/0 --dst 0/0 --transport-proto foo",
        "--src 0/0 --dst 0/0 --transport-proto 256",
        "--src 0/0 --dst 0/0 --transport-proto -1",
        "--src 0/0 --dst 0/0 --transport-proto tcp --transport-proto udp",
        "--src 0/0 --dst 0/0 --transport-proto udp --dst-port http",
        "--src 0/0 --dst 0/0 --transport-proto udp --dst-port 65536",
        "--src 0/0 --dst 0/0 --transport-proto udp --dst-port 0x",
    ];
    for line in lines {
        machine.run(&format!("eroute --del {line}"));
    }
    assert_snapshot!(machine.session("(sent)"));
}

#[test]
fn refusals_have_reasons_and_ways_out() {
    let mut machine = machine();
    let refuse = |machine: &mut Machine, errno: Errno, line: &str| {
        *machine.kernel.refuse.borrow_mut() = Some(Box::new(move |_| Some(errno)));
        machine.run(line);
    };
    let flow = "--src 10.0.1.0/24 --dst 10.0.2.0/24";
    // Not listed, so that it is somebody else's.
    refuse(
        &mut machine,
        Errno::EEXIST,
        &format!("eroute --add --said tun.113@gw2 {flow}"),
    );
    *machine.kernel.refuse.borrow_mut() = None;
    machine.run(&format!("eroute --add --said %drop {flow}"));
    for (errno, line) in [
        (Errno::EEXIST, "--add --said tun.113@gw2"),
        (Errno::EEXIST, "--replace --said tun.113@gw2"),
        (Errno::ENOENT, "--replace --said tun.113@gw2"),
        (Errno::ENOENT, "--addin --said tun.999@gw2"),
        (Errno::ENOENT, "--replacein --said comp.117@gw2"),
        (Errno::ENOENT, "--del --transport-proto udp --dst-port 53"),
        (Errno::EINVAL, "--add --said esp.115@gw2"),
        (Errno::EINVAL, "--add --said tun.113@gw2"),
        (Errno::EMLINK, "--add --said tun.113@gw2"),
        (Errno::ENOSPC, "--add --said tun.113@gw2"),
        (Errno::EPERM, "--add --said tun.113@gw2"),
        (Errno::ENOMEM, "--del"),
        (Errno::EOPNOTSUPP, "--del"),
        (Errno(200), "--del"),
    ] {
        refuse(&mut machine, errno, &format!("eroute {line} {flow}"));
    }
    refuse(&mut machine, Errno::ENOMEM, "eroute --clear");
    refuse(
        &mut machine,
        Errno::EEXIST,
        &format!("eroute --json --add --said tun.113@gw2 {flow}"),
    );
    refuse(
        &mut machine,
        Errno::ENOENT,
        &format!("eroute --json --addin --said tun.999@gw2 {flow}"),
    );
    machine.list_error = Some(std::io::ErrorKind::PermissionDenied);
    refuse(
        &mut machine,
        Errno::ENOENT,
        &format!("eroute --addin --said tun.999@gw2 {flow}"),
    );
    refuse(
        &mut machine,
        Errno::EINVAL,
        &format!("eroute --add --said esp.115@gw2 {flow}"),
    );
    assert_snapshot!(machine.session(""));
}

#[test]
fn without_the_module_and_beside_netkey() {
    let mut machine = machine();
    machine.open_error = Some(Errno::EAFNOSUPPORT);
    machine.list_error = Some(std::io::ErrorKind::NotFound);
    let lines = "eroute
        eroute --json
        eroute --clear
        eroute --get 10.0.0.1 10.0.0.2
        eroute --json --get 10.0.0.1 10.0.0.2
        eroute --dry-run --clear
        eroute --monitor
        eroute --version";
    machine.session(lines);
    let absent = machine.session(lines);
    machine.netkey = true;
    assert_snapshot!(absent + &machine.session(lines));
}

/// What a dry run tells of a line is what comes of it.
#[test]
fn the_kernel_decides_alike() {
    let flows = [
        "--src 10.0.1.0/24 --dst 10.0.2.0/24",
        "--src 10.0.1.0/24 --dst 10.0.2.0/24:80 --transport-proto tcp",
        "--src ::/0 --dst 2001:db8::/32",
    ];
    let saids = [
        "tun.113@gw2",
        "esp.115@gw2",
        "ah.116@gw2",
        "comp.117@gw2",
        "esp.999@gw2",
        "tun.555@gw2",
        "esp.666@gw2",
        "%drop",
        "%pass",
        "int.106@0.0.0.0",
    ];
    let mut lines = String::new();
    for (index, said) in saids.iter().enumerate() {
        for action in ["add", "replace"] {
            for flow in flows {
                lines += &format!("--{action} {flow} --said {said}\n");
            }
        }
        // One for all tunnels: of what was said before for one of them, no list tells.
        for action in ["addin", "replacein"] {
            lines += &format!("--{action} {} --said {said}\n", flows[0]);
        }
        for flow in &flows[index % 2..] {
            lines += &format!("--del {flow}\n--del {flow}\n");
        }
        if index == 5 {
            lines += "--clear\n";
        }
    }
    let mut machine = machine();
    // A tunnel that begins nowhere, and an SPI that is only reserved.
    machine.quiet("spi --ip4 --said tun.555@gw2");
    let reserve = Content {
        src: Some(Address::of([10, 0, 0, 1].into())),
        dst: Some(Address::of([10, 0, 0, 2].into())),
        spi_range: Some((0x666, 0x666)),
        ..Content::new(request(MsgType::GetSpi, SaType::Esp as u8, 1, 2))
    };
    let mut bytes = vec![0; reserve.size()];
    reserve.write(&mut bytes).unwrap();
    machine.kernel.host.set_up(&bytes);
    machine.files.insert("eroutes".into(), lines.into());
    let results = |machine: &mut Machine, options: &str| {
        machine.transcript.clear();
        machine.run(&format!(
            "eroute --json --keep-going {options}--batch eroutes"
        ));
        let transcript = machine.session("").replace("\"pid\":PID", "\"pid\":0");
        let objects = transcript.lines().filter(|line| line.starts_with('{'));
        objects
            .map(|line| {
                let object: serde_json::Value = serde_json::from_str(line).unwrap();
                let error = &object["error"];
                let result = object["result"].as_str().unwrap();
                let result = result.replace("would-succeed", "done");
                (
                    object["line"].to_string(),
                    result.replace("would-be-", ""),
                    [&object["flow"], &error["sa"], &error["reason"]].map(ToString::to_string),
                )
            })
            .collect::<Vec<_>>()
    };
    machine.kernel.sent.take();
    let supposed = results(&mut machine, "--dry-run ");
    assert!(machine.kernel.sent.take().is_empty());
    let real = results(&mut machine, "");
    for (supposed, real) in supposed.iter().zip(&real) {
        assert_eq!(supposed, real);
    }
    assert_eq!(supposed.len(), real.len());
    for result in ["done", "refused"] {
        let found = real.iter().filter(|(_, found, _)| found == result);
        assert!(found.count() > 20, "{result}");
    }
}

/// What is printed of each change by a monitor is what the module tells.
#[test]
fn a_monitor_hears_every_change() {
    let mut machine = machine();
    for line in [
        "eroute --add --src 10.0.1.0/24 --dst 10.0.2.0/24:80 --transport-proto tcp --said tun.113@gw2",
        "eroute --add --src 10.0.1.0/24 --dst 10.0.2.0/24 --said %trap",
        "eroute --replace --src 10.0.1.0/24 --dst 10.0.2.0/24 --said tun.113@gw2",
        "eroute --addin --src 10.0.2.0/24 --dst 10.0.1.0/24 --said ah.116@gw2",
        "eroute --del --src 10.0.1.0/24 --dst 10.0.2.0/24",
        "eroute --del --src 10.0.1.0/24 --dst 10.0.2.0/24",
        "eroute --clear",
    ] {
        machine.meanwhile(move |machine| _ = machine.run(line));
    }
    assert_snapshot!(machine.session("eroute --monitor"));
}

/// Answers that a KLIPS of 2.4 does not give are not waited for, others are.
#[test]
fn answers() {
    let mut machine = machine();
    machine.kernel.mute.set(true);
    machine.quiet("eroute --clear");
    assert_snapshot!(machine.session(
        "eroute --add --src 0/0 --dst 10.0.2.0/24 --said %drop
        eroute --json --del --src 0/0 --dst 10.0.2.0/24"
    ));
}

#[test]
fn results_as_json() {
    assert_snapshot!(machine().session(
        "eroute --json --add --src 10.0.1.0/24 --dst 10.0.2.0/24 --said tun.113@gw2
        eroute --json --add --src ::/0 --dst 2001:db8::/32:53 --transport-proto udp --said %pass
        eroute --json --del --src ::/0 --dst 2001:db8::/32:53 --transport-proto udp
        eroute --json --clear"
    ));
}

const LINES: &str = "\
# networks
--add --src 10.0.1.0/24 --dst 10.0.2.0/24 --said tun.113@gw2

--label dns --add --src 0/0 --dst 10.0.2.53/32:53 --transport-proto udp --said '%pass'
--del --src 10.0.1.0/24 --dst 10.0.2.0/24
--clear
";

#[test]
fn batches() {
    let mut machine = machine();
    machine.files.insert("eroutes".into(), LINES.into());
    assert_snapshot!(machine.session(
        "eroute --batch eroutes
        (sent)
        eroute --json --batch eroutes"
    ));
}

#[test]
fn lines_of_a_batch_that_make_no_sense() {
    let mut machine = machine();
    let lines = "--get 10.0.0.1 10.0.0.2\n--json --clear\n--dry-run --clear\n--monitor\n--label x\n\
        --help\n--add --src 10.0.1.0\n--batch -\n--debug --clear\n";
    machine.files.insert("bad".into(), lines.into());
    assert_snapshot!(machine.session("eroute --batch bad\n(sent)\neroute --batch bad --src 0/0"));
}
