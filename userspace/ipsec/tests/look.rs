// SPDX-License-Identifier: GPL-2.0

//! `ipsec look`: one picture of all there is.

use crate::common::{K16, K24, Machine};
use insta::assert_snapshot;
use std::{
    collections::BTreeSet,
    io::Write,
    process::{Command, Stdio},
};

/// A machine with a bit of everything.
fn machine() -> Machine {
    let mut machine = Machine::with_four();
    machine
        .kernel
        .host
        .local
        .borrow_mut()
        .push([10, 0, 0, 1].into());
    for line in [
        "spigrp --said tun.113@gw2 esp.115@gw2 ah.116@gw2",
        "eroute --add --src 10.0.1.0/24 --dst 10.0.2.0/24 --said tun.113@gw2",
        "eroute --add --src 10.0.1.0/24 --dst 10.0.3.0/24 --said tun.999@gw2",
        "eroute --add --src 10.0.1.0/24 --dst 10.0.4.0/24 --said %drop",
        "eroute --add --src 10.0.1.0/24 --dst 10.0.4.9/32 --transport-proto tcp --dst-port 80 --said %pass",
        "spi --ip4 --said tun.123@10.0.0.1 --src gw2",
        &format!(
            "spi --esp 3des-md5-96 --said esp.125@10.0.0.1 --src gw2 --enckey {K24} --authkey {K16} \
             --life hard-addtime=100,soft-addtime=10"
        ),
        "spigrp --said tun.123@10.0.0.1 esp.125@10.0.0.1",
        "eroute --add --src 10.0.1.7/32 --dst 10.0.2.0/24 --said tun.113@gw2",
        // A lone tunnel protects nothing; it was there before the eroute.
        "spi --ip4 --said tun.200@gw2 --src 10.0.0.1",
        "eroute --add --src 10.0.1.0/24 --dst 10.0.5.0/24 --said tun.200@gw2",
    ] {
        machine.quiet(line);
    }
    machine.kernel.host.sleep(85);
    machine.files.insert(
        "/proc/net/xfrm_stat".into(),
        b"XfrmInError             \t0\nXfrmInNoStates          \t12\nXfrmOutPolBlock         \t3\n\
          XfrmToBeInvented        \t1\n"
            .to_vec(),
    );
    machine.files.insert(
        "/proc/net/ipsec_tncfg".into(),
        b"ipsec0 -> eth0 mtu=16260(1500) -> 1500\nipsec1 -> NULL mtu=0(0) -> 0\n".to_vec(),
    );
    machine.interfaces.push(ipsec_tools::Interface {
        name: "ipsec0".into(),
        addresses: vec![[10, 0, 0, 1].into()],
    });
    machine.transcript.clear();
    machine
}

#[test]
fn help_version_and_bad_arguments() {
    assert_snapshot!(machine().session(
        "ipsec look --help
        ipsec_look --version
        ipsec look --dot --json
        ipsec look --dot --watch 1
        ipsec look --watch 0
        ipsec look --watch x
        ipsec look tun.113@gw2"
    ));
}

#[test]
fn a_picture_for_a_reader() {
    assert_snapshot!(machine().session("ipsec look"));
}

#[test]
fn a_picture_in_colours() {
    let mut machine = machine();
    machine.terminal = true;
    assert_snapshot!(machine.session("ipsec look"));
    let plain = machine.session("ipsec look --color never");
    assert!(!plain.contains("ESC"));
}

#[test]
fn a_picture_as_json() {
    assert_snapshot!(machine().session("ipsec look --json"));
}

#[test]
fn a_picture_for_graphviz() {
    assert_snapshot!(machine().session("ipsec look --dot"));
}

#[test]
fn where_there_is_nothing() {
    let mut machine = Machine::new();
    let mut text = machine.session("ipsec look\n ipsec look --json\n ipsec look --dot");
    machine.list_error = Some(std::io::ErrorKind::NotFound);
    text += &machine.session("ipsec look");
    machine.netkey = true;
    text += &machine.session("ipsec look");
    assert_snapshot!(text);
}

/// What the module drops is shown so, though its SAs would be a way.
#[test]
fn less_protection_than_before_is_shown_as_dropped() {
    let mut machine = machine();
    machine.quiet("spigrp --ungroup tun.113@gw2");
    machine.quiet("spigrp --said tun.113@gw2 esp.115@gw2");
    machine.transcript.clear();
    let text = machine.session("ipsec look\n ipsec look --json\n ipsec look --dot");
    let dropped = "its SAs protect less than they did";
    // Two eroutes, in each of the three.
    assert_eq!(text.matches(dropped).count(), 6, "{text}");
    assert!(
        text.contains("10.0.1.0/24 -> 10.0.2.0/24  0 packets  dropped: its"),
        "{text}"
    );
    machine.quiet("eroute --replace --src 10.0.1.0/24 --dst 10.0.2.0/24 --said tun.113@gw2");
    machine.transcript.clear();
    assert_eq!(machine.session("ipsec look").matches(dropped).count(), 1);
}

/// Lists as other releases have them, and a limit that is larger than a hundredth of what 64 bits
/// can count.
#[test]
fn odd_lists() {
    let mut machine = Machine::new();
    machine.list =
        Some("tun0x1@10.0.0.2 esp0x2@10.0.0.2 \nesp0x2@10.0.0.2 \ntun0x9@(unknown)\n\n".to_owned());
    machine.sas = Some(
        "tun0x1@10.0.0.2 IPIP: dir=out src=10.0.0.1 life(c,s,h)=addtime(5,0,0) refcount=4\n\
         esp0x2@10.0.0.2 ESP_3DES_HMAC_MD5: dir=out src=10.0.0.1 idle=3 \
         life(c,s,h)=bytes(18446744073709551614,1,18446744073709551615)addtime(5,0,0)packets(1,0,0) x\n"
            .to_owned(),
    );
    machine.eroutes = Some(
        "10.0.1.0/24 -> 10.0.2.0/24 => tun0x1@10.0.0.2\n\
         5 10.0.1.0/24 -> 10.0.3.0/24 => tun0x9@(unknown)\nnonsense\n"
            .to_owned(),
    );
    assert_snapshot!(machine.session("ipsec look"));
}

/// KLIPS lists a count of packets from 2 on, and one of bytes likewise.
#[test]
fn one_packet_is_one() {
    let mut machine = Machine::new();
    machine.list = Some("esp0x2@10.0.0.2 \n".to_owned());
    machine.sas = Some(
        "esp0x2@10.0.0.2 ESP_3DES: dir=out src=10.0.0.1 life(c,s,h)=bytes(84,0,0) refcount=4\n"
            .to_owned(),
    );
    let text = machine.session("ipsec look");
    assert!(text.contains("  1 packet  84 bytes  "), "{text}");
}

#[test]
fn watching_tells_rates() {
    let mut machine = machine();
    let line =
        |packets: u64| format!("{packets} 10.0.1.0/24 -> 10.0.2.0/24 => tun0x113@10.0.0.2\n");
    machine.eroutes = Some(line(10));
    machine.meanwhile(move |machine| machine.eroutes = Some(line(60)));
    // Made anew, it counts from 0.
    machine.meanwhile(move |machine| machine.eroutes = Some(line(2)));
    machine.meanwhile(move |machine| machine.eroutes = Some(line(7)));
    let text = machine.session("ipsec look --watch 5");
    let rows: Vec<_> = text
        .lines()
        .filter(|line| line.contains("=>") || line.contains("->"))
        .collect();
    let eroutes: Vec<_> = rows
        .iter()
        .filter(|line| line.contains("10.0.2.0"))
        .collect();
    assert_eq!(
        eroutes,
        [
            &"  10.0.1.0/24 -> 10.0.2.0/24  10 packets",
            &"  10.0.1.0/24 -> 10.0.2.0/24  60 packets  10.0/s",
            &"  10.0.1.0/24 -> 10.0.2.0/24  2 packets",
            &"  10.0.1.0/24 -> 10.0.2.0/24  7 packets  1.0/s",
        ]
    );
    machine.terminal = true;
    machine.meanwhile(|_| ());
    let text = machine.session("ipsec look --color never --watch");
    assert_eq!(text.matches("ESC[2JESC[H").count(), 2);
    machine.terminal = false;
    machine.meanwhile(|_| ());
    let text = machine.session("ipsec look --json --watch 1");
    let second = text.lines().nth(2).unwrap();
    let counts = ["rate", "age"].map(|name| second.matches(&format!("\"{name}\":")).count());
    // Each SA has one, and the eroute.
    assert_eq!(counts, [6, 5], "{second}");
}

/// Nodes and edges of a graph in the part of graphviz's language that is used here: statements that
/// end in `;`, strings in quotes, attributes in brackets, subgraphs in braces.
fn graph(dot: &str) -> (BTreeSet<String>, Vec<(String, String)>) {
    let (mut nodes, mut edges) = (BTreeSet::new(), Vec::new());
    let mut depth = 0;
    for line in dot.lines().map(str::trim) {
        if line.ends_with('{') {
            depth += 1;
            continue;
        }
        if line == "}" {
            depth -= 1;
            continue;
        }
        let statement = line.strip_suffix(';').unwrap_or_else(|| panic!("{line}"));
        let mut strings = Vec::new();
        let (mut string, mut inside, mut escaped) = (String::new(), false, false);
        for c in statement.chars() {
            match (inside, escaped, c) {
                (true, false, '\\') => escaped = true,
                (true, false, '"') => {
                    strings.push(std::mem::take(&mut string));
                    inside = false;
                }
                (true, _, c) => {
                    string.push(c);
                    escaped = false;
                }
                (false, _, '"') => inside = true,
                _ => (),
            }
        }
        assert!(!inside, "{line}");
        match statement {
            _ if statement.contains("\" -> \"") => {
                edges.push((strings[0].clone(), strings[1].clone()));
            }
            _ if statement.starts_with('"') => _ = nodes.insert(strings[0].clone()),
            _ => assert!(
                ["rankdir=", "node [", "label="]
                    .iter()
                    .any(|word| statement.starts_with(word))
            ),
        }
    }
    assert_eq!(depth, 0);
    (nodes, edges)
}

#[test]
fn the_graph_is_one() {
    let text = machine().session("ipsec look --dot");
    let dot = text.lines().skip(1).collect::<Vec<_>>().join("\n");
    let (nodes, edges) = graph(&dot);
    for (from, to) in &edges {
        assert!(nodes.contains(from) && nodes.contains(to), "{from} -> {to}");
    }
    let has = |from: &str, to: &str| edges.contains(&(from.to_owned(), to.to_owned()));
    assert!(has(
        "eroute 10.0.1.0/24 -> 10.0.2.0/24",
        "tun0x113@10.0.0.2"
    ));
    assert!(has("tun0x113@10.0.0.2", "esp0x115@10.0.0.2"));
    assert!(has("esp0x115@10.0.0.2", "ah0x116@10.0.0.2"));
    assert!(has("esp0x125@10.0.0.1", "tun0x123@10.0.0.1"));
    assert!(has(
        "eroute 10.0.1.0/24 -> 10.0.4.0/24",
        "dropped 10.0.1.0/24 -> 10.0.4.0/24"
    ));
    assert_eq!(edges.len(), 9);
    // Graphviz itself, where it is installed.
    let child = Command::new("dot")
        .arg("-Tplain")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn();
    let Ok(mut child) = child else {
        println!("graphviz is not installed: it has not read the graph");
        return;
    };
    child
        .stdin
        .take()
        .unwrap()
        .write_all(dot.as_bytes())
        .unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    let drawn = String::from_utf8(output.stdout).unwrap();
    let count = |kind: &str| drawn.lines().filter(|line| line.starts_with(kind)).count();
    assert_eq!((count("node "), count("edge ")), (nodes.len(), edges.len()));
}
