// SPDX-License-Identifier: GPL-2.0

//! Messages in words: what KLIPS itself sent, what it never would, and whatever else there is.

use insta::assert_snapshot;
use pfkey::describe::Description;
use proptest::prelude::*;
use std::collections::BTreeSet;
use testbed::{
    RawSa, add, address, ext, extension, fix_len, group, identity, key, lifetime, list, message,
    msg, said, second, short_lifetime, unhex,
};

/// A message as text and as JSON.
fn describe(bytes: &[u8]) -> String {
    match Description::of(bytes) {
        Ok(description) => {
            let json = serde_json::to_string(&description).unwrap();
            format!("{description}{json}\n\n")
        }
        Err(error) => format!("{error}\n\n"),
    }
}

fn describe_all<'a>(messages: impl IntoIterator<Item = &'a [u8]>) -> String {
    messages.into_iter().map(describe).collect()
}

/// The recorded files: what a real KLIPS was sent, and what it answered.
const RECORDED: [&str; 6] = [
    include_str!("../../guest-tests/golden/openswan-2.4.9/01-proc-states.txt"),
    include_str!("../../guest-tests/golden/openswan-2.4.9/02-grpsa.txt"),
    include_str!("../../guest-tests/golden/openswan-2.4.9/03-pfkey-msgs.txt"),
    include_str!("../../guest-tests/golden/libreswan-3.32/01-proc-states.txt"),
    include_str!("../../guest-tests/golden/libreswan-3.32/02-grpsa.txt"),
    include_str!("../../guest-tests/golden/libreswan-3.32/03-pfkey-msgs.txt"),
];

/// Lines of the files that are about a message: what they begin with.
const REQUESTS: [&str; 2] = ["write ", "setup "];
const ANSWERS: [&str; 4] = ["  A ", "  B ", "  D ", "  E "];

fn recorded(beginnings: &[&str]) -> Vec<Vec<u8>> {
    let lines = RECORDED.iter().flat_map(|file| file.lines());
    lines
        .filter(|line| beginnings.iter().any(|start| line.starts_with(start)))
        .filter_map(|line| line.split(' ').find(|word| word.len() >= 32))
        .map(unhex)
        .collect()
}

/// What distinguishes a message at first sight: its type, whether it is an error, and the numbers
/// and lengths of its extensions.
fn shape(bytes: &[u8]) -> (u8, bool, Vec<[u8; 4]>) {
    let mut exts = Vec::new();
    let mut rest = &bytes[16..];
    while let [a, b, c, d, ..] = *rest {
        exts.push([a, b, c, d]);
        rest = rest.get(usize::from(a) * 8..).unwrap_or_default();
        if a == 0 {
            break;
        }
    }
    (bytes[1], bytes[2] != 0, exts)
}

#[test]
fn one_of_each_kind_that_klips_answered() {
    let answers = recorded(&ANSWERS);
    assert!(answers.len() > 300, "{}", answers.len());
    let mut seen = BTreeSet::new();
    let texts: Vec<_> = answers
        .iter()
        .filter(|bytes| seen.insert(shape(bytes)))
        .map(|bytes| Description::of(bytes).unwrap().to_string())
        .collect();
    assert_snapshot!(texts.join("\n"));
}

#[test]
fn all_that_klips_answered_is_understood() {
    for bytes in recorded(&ANSWERS) {
        let text = describe(&bytes);
        for odd in ["unknown", "undecoded", "rest=", "bytes=0x", "reserved="] {
            assert!(!text.contains(odd), "{text}");
        }
    }
}

#[test]
fn keys_that_klips_was_given_are_not_shown() {
    let mut keys = 0;
    for bytes in recorded(&REQUESTS) {
        let text = describe(&bytes);
        if text.contains("-key") {
            keys += 1;
            assert!(text.contains("\"bits\":"), "{text}");
            assert!(!text.contains("1122334455667788"), "{text}");
        }
    }
    assert!(keys > 50, "{keys}");
}

fn ip(text: &str) -> std::net::IpAddr {
    text.parse().unwrap()
}

#[test]
fn every_extension() {
    let exts = [
        RawSa {
            replay: 32,
            auth: 3,
            encrypt: 12,
            flags: 9,
            sa_ref: 7,
            ..RawSa::mature(0x1234_5678)
        }
        .ext(ext::SA),
        lifetime(ext::LIFETIME_CURRENT, [1, 2, 3, 4, 5]),
        short_lifetime(ext::LIFETIME_HARD, [1, 1 << 40, 3600, 7200, 0]),
        lifetime(ext::LIFETIME_SOFT, [0, 0, 0, 0, 0]),
        address(ext::ADDRESS_SRC, ip("10.0.0.1"), 500),
        address(ext::ADDRESS_DST, ip("2001:db8::2"), 4500),
        address(ext::ADDRESS_PROXY, ip("0.0.0.0"), 0),
        key(ext::KEY_AUTH, 160, 0x5a),
        key(ext::KEY_ENCRYPT, 100, 0x5b),
        identity(ext::IDENTITY_SRC, 2, 1 << 33, b"gw1.example\0"),
        identity(ext::IDENTITY_DST, 3, 0, "\u{1b}[31m\"é\0".as_bytes()),
        extension(
            ext::SENSITIVITY,
            &unhex("01000000 02 01 03 01 00000000 0102030405060708 1112131415161718"),
        ),
        extension(ext::PROPOSAL, &{
            let comb = "03 03 0100 a000a000 a800a800 00000000 01000000 02000000 \
                        0300000000000000 0400000000000000 0500000000000000 0600000000000000 \
                        0700000000000000 0800000000000000";
            unhex(&format!("40000000 {comb} {comb}"))
        }),
        extension(
            ext::SUPPORTED_AUTH,
            &unhex("00000000 03 00 a000 a000 0000 08 00 a000 a000 0000"),
        ),
        extension(
            ext::SUPPORTED_ENCRYPT,
            &unhex("00000000 03 40 a800 a800 0000 14 40 a000 2001 0000"),
        ),
        extension(ext::SPIRANGE, &unhex("00001000 00001fff 00000000")),
        extension(ext::KMPRIVATE, &unhex("01020304")),
        extension(ext::SATYPE2, &unhex("0a000000")),
        RawSa {
            encrypt: 2,
            ..RawSa::naming(0x117)
        }
        .ext(ext::SA2),
        address(ext::ADDRESS_DST2, ip("10.0.0.3"), 0),
        address(ext::ADDRESS_SRC_FLOW, ip("10.1.0.0"), 0),
        address(ext::ADDRESS_DST_FLOW, ip("10.2.0.0"), 80),
        address(ext::ADDRESS_SRC_MASK, ip("255.255.0.0"), 0),
        address(ext::ADDRESS_DST_MASK, ip("255.255.0.0"), 0xffff),
        extension(ext::DEBUG, &{
            let masks = (0..12u32).flat_map(|mask| (mask * 0x1111_1111).to_ne_bytes());
            masks.chain([0; 4]).collect::<Vec<_>>()
        }),
        extension(ext::PROTOCOL, &unhex("06 01 02 00")),
        extension(ext::NAT_T_TYPE, &unhex("02 000000")),
        extension(ext::NAT_T_SPORT, &unhex("9411 0000")),
        extension(ext::NAT_T_DPORT, &unhex("50c3 0000")),
        address(ext::NAT_T_OA, ip("192.168.1.1"), 0),
        extension(ext::PLUMBIF, &unhex("01c0 0000")),
        extension(ext::SAREF, &unhex("05000000 06000000 00000000")),
        group(&[said("esp.115@10.0.0.2"), said("ah:116@2001:db8::2")]),
        extension(ext::FAULT, &unhex("01 02 0000")),
    ];
    assert_snapshot!(describe(&message(msg::ADD, 3, &exts)));
}

#[test]
fn numbers_without_a_name() {
    let sa = RawSa {
        state: 7,
        auth: 99,
        encrypt: 98,
        ..RawSa::naming(1)
    };
    let strange = [
        sa.ext(ext::SA),
        extension(ext::SATYPE2, &unhex("01")),
        identity(ext::IDENTITY_SRC, 9, 0, b""),
        extension(ext::NAT_T_TYPE, &unhex("03")),
        extension(ext::PLUMBIF, &unhex("07a0 0000")),
        extension(ext::PLUMBIF, &unhex("0700 0000")),
        extension(ext::FAULT, &unhex("09 09")),
        extension(40, &unhex("0102030405060708")),
    ];
    let mut bytes = message(msg::GRPSA, 7, &strange);
    bytes[1] = 77;
    bytes[2] = 5;
    assert_snapshot!(describe(&bytes));
}

/// Messages that break off, or have bytes where none belong.
#[test]
fn odd_messages() {
    let with = |exts: &[Vec<u8>]| message(msg::GRPSA, 9, exts);
    let mut reserved = with(&[]);
    reserved[6] = 0xab;
    let mut version = with(&[]);
    version[0] = 3;
    let filled = |number, len: usize| {
        let mut bytes = extension(number, &vec![0; len - 4]);
        bytes[4..].fill(0xee);
        bytes
    };
    let long_key = {
        let mut bytes = key(ext::KEY_AUTH, 128, 0x5a);
        bytes[4..6].copy_from_slice(&256u16.to_ne_bytes());
        bytes
    };
    let endless = [0, 0, 1, 0, 0xee, 0xee, 0xee, 0xee];
    let messages = [
        vec![],
        vec![2; 15],
        vec![2; 16],
        with(&[])[..].repeat(2),
        reserved,
        version,
        // Lengths that lead nowhere.
        with(&[endless.to_vec(), key(ext::KEY_AUTH, 128, 0x5a)]),
        with(&[RawSa::naming(0x113).ext(ext::SA)[..16].to_vec()]),
        // Too short or too long for their layout.
        with(&[filled(ext::SA, 8), filled(ext::ADDRESS_DST, 8)]),
        with(&[filled(ext::SA, 32), filled(ext::LIFETIME_HARD, 48)]),
        with(&[filled(ext::ADDRESS_SRC, 16), filled(ext::ADDRESS_DST, 48)]),
        with(&[filled(ext::GROUP, 40), filled(ext::SUPPORTED_AUTH, 24)]),
        with(&[filled(ext::SENSITIVITY, 24), filled(ext::PROPOSAL, 88)]),
        with(&[filled(ext::SPIRANGE, 16), filled(ext::DEBUG, 56)]),
        with(&[filled(ext::PROTOCOL, 8), filled(ext::NAT_T_SPORT, 8)]),
        // A key of another length than it has.
        with(&[long_key, key(ext::KEY_ENCRYPT, 64, 0x5b), endless.to_vec()]),
        with(&[filled(ext::KEY_AUTH, 8)]),
    ];
    assert_snapshot!(describe_all(messages.iter().map(Vec::as_slice)));
}

#[test]
fn promiscuous_copies() {
    let inner = list(&[said("tun.113@10.0.0.2"), said("esp.115@10.0.0.2")]);
    let copy = message(msg::PROMISC, 0, &[inner]);
    assert_snapshot!(describe_all([
        copy.as_slice(),
        &message(msg::PROMISC, 1, &[]),
        // A copy of a copy, and one of something else.
        &message(msg::PROMISC, 0, std::slice::from_ref(&copy)),
        &message(msg::PROMISC, 0, &[vec![7; 16]]),
    ]));
}

/// Hexadecimal digits in the forms in which a description may have them.
fn has_bytes(text: &str, bytes: &[u8]) -> bool {
    let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    text.replace(' ', "").contains(&digits)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn nothing_that_has_a_header_is_too_odd(
        mut bytes in prop::collection::vec(any::<u8>(), 16..400),
        numbers in prop::collection::vec((0..52u8, 0..8u8), 0..12),
    ) {
        bytes.truncate(bytes.len() / 8 * 8);
        // Extensions that begin where the one before ends, as far as there is room.
        let mut at = 16;
        for (number, words) in numbers {
            if at + 8 > bytes.len() {
                break;
            }
            bytes[at..at + 4].copy_from_slice(&[words, 0, number, 0]);
            at += usize::from(words) * 8;
        }
        fix_len(&mut bytes);
        let description = Description::of(&bytes).unwrap();
        let text = description.to_string();
        prop_assert!(text.starts_with("pfkey v") && text.ends_with('\n'));
        prop_assert!(text.chars().all(|c| c == '\n' || !c.is_control()), "{text:?}");
        let json = serde_json::to_string(&description).unwrap();
        let value: serde_json::Value = serde_json::from_str(&json).unwrap();
        prop_assert_eq!(&value["type"], &serde_json::json!(bytes[1]));
        prop_assert!(value["extensions"].is_array());
    }

    #[test]
    fn what_has_no_header_is_refused(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
        let words = bytes.get(4..6).map(|len| u16::from_ne_bytes([len[0], len[1]]));
        let whole = bytes.len() >= 16 && words.map(usize::from) == Some(bytes.len() / 8)
            && bytes.len() % 8 == 0;
        prop_assert_eq!(Description::of(&bytes).is_ok(), whole);
    }

    /// Wherever keys are in a message, and whatever length they claim to have.
    #[test]
    fn keys_are_never_shown(
        before in 0..3usize,
        secret in prop::collection::vec(1..=255u8, 8..64),
        bits in any::<u16>(),
        honest in any::<bool>(),
        ends_early in any::<bool>(),
        looks_short in any::<bool>(),
    ) {
        let bits = if honest { (secret.len() * 8) as u16 } else { bits };
        let mut body = bits.to_ne_bytes().to_vec();
        body.extend([0, 0]);
        body.extend(&secret);
        let mut exts = vec![RawSa::mature(0x113).ext(ext::SA); before];
        exts.push(extension(ext::KEY_AUTH, &body));
        exts.push(extension(ext::KEY_ENCRYPT, &body));
        if looks_short && honest && secret.len() > 8 {
            // What follows in the middle of the key is no extension.
            exts[before][0] = 2;
        }
        let mut bytes = message(msg::ADD, 3, &exts);
        if ends_early {
            bytes.truncate(bytes.len() - 8);
            fix_len(&mut bytes);
        }
        let text = describe(&bytes);
        prop_assert!(secret.windows(4).all(|part| !has_bytes(&text, part)), "{text}");
    }
}

/// A message of its own making is described as what it is.
#[test]
fn the_modules_own_requests() {
    let sa = said("esp.115@10.0.0.2");
    let pair: Vec<Vec<u8>> = testbed::naming(said("tun.113@10.0.0.2"))
        .into_iter()
        .filter(|ext| ext[2] != 5)
        .chain(second(sa))
        .collect();
    assert_snapshot!(describe_all([
        add(sa).as_slice(),
        &message(msg::GRPSA, 9, &pair)
    ]));
}
