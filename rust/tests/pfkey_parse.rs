// SPDX-License-Identifier: GPL-2.0

//! Which messages are taken and which are refused, with which errno (reference 2).

use klips::{
    errno::Errno,
    pfkey::{table, Direction, Ext, Fault, Header, Message, MsgType, SaState, SaType},
};
use pfkey::Reply;
use proptest::prelude::*;
use testbed::*;

const IN: Direction = Direction::In;
const OUT: Direction = Direction::Out;

/// What a message must and may have, as reference 2.4 has it, with this project's additions.
struct Row {
    msg_type: u8,
    required: &'static str,
    permitted: &'static str,
}

const fn row(msg_type: u8, required: &'static str, permitted: &'static str) -> Row {
    Row {
        msg_type,
        required,
        permitted,
    }
}

const FIRST_TWENTY: &str = "SA LC LH LS AS AD AP KA KE IS ID SEN PROP SUA SUE RNG KMP ST2 SA2 AD2";

const TABLE_IN: [Row; 19] = [
    row(msg::GETSPI, "AS AD RNG", "AP"),
    row(msg::UPDATE, "SA AS AD", "LC LH LS AP KA KE IS ID SEN NS ND"),
    // PLU and REF as Openswan 2.6 and libreswan.
    row(
        msg::ADD,
        "SA AS AD",
        "LH LS AP KA KE IS ID SEN NT NS ND NO PLU REF",
    ),
    row(msg::DELETE, "SA AS AD", ""),
    // LC as libreswan.
    row(msg::GET, "SA AS AD", "LC"),
    row(msg::ACQUIRE, "AS AD PROP", "AP IS ID SEN"),
    row(msg::REGISTER, "", ""),
    row(msg::EXPIRE, "", ""),
    row(msg::FLUSH, "", ""),
    row(msg::DUMP, "", ""),
    // Contract 6.
    row(msg::PROMISC, "", ""),
    row(msg::PCHANGE, FIRST_TWENTY, ""),
    // Contract 4: GRP.
    row(msg::GRPSA, "SA AD", "ST2 SA2 AD2 GRP"),
    row(msg::ADDFLOW, "SA AD FS FD FSM FDM", "AS IS ID PRO"),
    row(msg::DELFLOW, "", "SA FS FD FSM FDM IS ID PRO"),
    row(msg::DEBUG, "DBG", ""),
    row(msg::NAT_T_NEW_MAPPING, "SA AS AD NS ND", ""),
    row(msg::PLUMBIF, "PLU", ""),
    row(msg::UNPLUMBIF, "PLU", ""),
];

const TABLE_OUT: [Row; 19] = [
    row(msg::GETSPI, "SA AS AD", ""),
    row(msg::UPDATE, "SA AS AD", "LC LH LS AP IS ID SEN NS ND"),
    row(msg::ADD, "SA AS AD", "LH LS IS ID SEN NT NS ND NO PLU REF"),
    row(msg::DELETE, "SA AS AD", ""),
    row(
        msg::GET,
        "SA AS AD",
        "LC LH LS AP KA KE IS ID SEN NT NS ND NO",
    ),
    row(msg::ACQUIRE, "AS AD PROP", "AP IS ID SEN"),
    row(msg::REGISTER, "", "SUA SUE"),
    row(msg::EXPIRE, "SA LC AS AD", "LH LS"),
    row(msg::FLUSH, "", ""),
    // Contract 6: the keys are not required.
    row(
        msg::DUMP,
        "SA AS AD",
        "KA KE LC LH LS AP IS ID SEN NT NS ND NO",
    ),
    // Contract 6.
    row(msg::PROMISC, "", ""),
    row(msg::PCHANGE, FIRST_TWENTY, ""),
    // Contract 4: GRP and FLT.
    row(msg::GRPSA, "SA AD", "ST2 SA2 AD2 GRP FLT"),
    row(msg::ADDFLOW, "SA AD FS FD FSM FDM", "AS PRO"),
    // KLIPS requires the flow, and sends none when all are removed.
    row(msg::DELFLOW, "", "SA FS FD FSM FDM PRO"),
    row(msg::DEBUG, "DBG", ""),
    row(msg::NAT_T_NEW_MAPPING, "SA AS AD NS ND", ""),
    row(msg::PLUMBIF, "PLU", ""),
    row(msg::UNPLUMBIF, "PLU", ""),
];

const NAMES: [(&str, u16); 34] = [
    ("SA", 1),
    ("LC", 2),
    ("LH", 3),
    ("LS", 4),
    ("AS", 5),
    ("AD", 6),
    ("AP", 7),
    ("KA", 8),
    ("KE", 9),
    ("IS", 10),
    ("ID", 11),
    ("SEN", 12),
    ("PROP", 13),
    ("SUA", 14),
    ("SUE", 15),
    ("RNG", 16),
    ("KMP", 17),
    ("ST2", 18),
    ("SA2", 19),
    ("AD2", 20),
    ("FS", 21),
    ("FD", 22),
    ("FSM", 23),
    ("FDM", 24),
    ("DBG", 25),
    ("PRO", 26),
    ("NT", 27),
    ("NS", 28),
    ("ND", 29),
    ("NO", 30),
    ("PLU", 31),
    ("REF", 32),
    ("GRP", 48),
    ("FLT", 49),
];

fn numbers(names: &str) -> Vec<u16> {
    let number = |name| NAMES.iter().find(|(known, _)| *known == name).unwrap().1;
    names.split_whitespace().map(number).collect()
}

fn rows() -> impl Iterator<Item = (&'static Row, Direction)> {
    let ins = TABLE_IN.iter().map(|row| (row, IN));
    ins.chain(TABLE_OUT.iter().map(|row| (row, OUT)))
}

/// An extension with nothing wrong in it. The SA passes ADD's rules for tunnels.
fn valid(number: u16) -> Vec<u8> {
    match number {
        ext::SA | ext::SA2 => RawSa::mature(0x1000).ext(number),
        2..=4 => lifetime(number, [1, 2, 3, 4, 5]),
        5..=7 | 20..=24 | 30 => address(number, ip("10.0.0.2"), 500),
        ext::KEY_AUTH | ext::KEY_ENCRYPT => key(number, 128, 0x11),
        ext::IDENTITY_SRC | ext::IDENTITY_DST => identity(number, 2, 0, b"a.example\0"),
        ext::SENSITIVITY => extension(number, &[0; 12]),
        ext::PROPOSAL => extension(number, &[0; 4]),
        ext::SUPPORTED_AUTH | ext::SUPPORTED_ENCRYPT => extension(number, &[0; 4]),
        ext::SPIRANGE => spi_range(256, 0xffff),
        ext::SATYPE2 => extension(number, &[3, 0, 0, 0]),
        ext::DEBUG => extension(number, &[0; 52]),
        ext::NAT_T_TYPE => extension(number, &[1, 0, 0, 0]),
        ext::SAREF => extension(number, &[0; 12]),
        ext::GROUP => group(&[said("esp.1001@10.0.0.2")]),
        ext::FAULT => extension(number, &[1, 1, 0, 0]),
        _ => extension(number, &[0; 4]),
    }
}

/// Parses a message; what the header's checks say comes first.
fn parse(bytes: &[u8], direction: Direction) -> Result<Message<'_>, Errno> {
    Message::parse(Header::parse(bytes)?, bytes, direction)
}

fn errno(bytes: &[u8], direction: Direction) -> Option<Errno> {
    parse(bytes, direction).err()
}

/// A message with all that is required and nothing else, each extension as `valid` has it or, if
/// it is among them, as in `exts`, which are appended otherwise.
fn with(msg_type: u8, direction: Direction, exts: &[Vec<u8>]) -> Vec<u8> {
    let table = match direction {
        Direction::In => &TABLE_IN,
        Direction::Out => &TABLE_OUT,
    };
    let row = &table[usize::from(msg_type) - 1];
    let number = |ext: &Vec<u8>| u16::from_ne_bytes([ext[2], ext[3]]);
    let mut all: Vec<Vec<u8>> = numbers(row.required).into_iter().map(valid).collect();
    for ext in exts {
        match all.iter_mut().find(|other| number(other) == number(ext)) {
            Some(other) => *other = ext.clone(),
            None => all.push(ext.clone()),
        }
    }
    message(msg_type, 9, &all)
}

#[test]
fn tables_are_those_of_the_reference() {
    for (row, direction) in rows() {
        let bits = |names| numbers(names).iter().fold(0u64, |bits, n| bits | 1 << n);
        let rule = table::extensions(MsgType::from_number(row.msg_type).unwrap(), direction);
        let context = format!("type {} {direction:?}", row.msg_type);
        let required = bits(row.required);
        assert_eq!(rule.required, required, "{context}: required");
        assert_eq!(
            rule.permitted,
            required | bits(row.permitted),
            "{context}: permitted"
        );
    }
}

/// Type 12 requires extension 17, which is always refused.
fn can_be_valid(msg_type: u8) -> bool {
    msg_type != msg::PCHANGE
}

#[test]
fn message_with_what_is_required_is_taken() {
    for (row, direction) in rows().filter(|(row, _)| can_be_valid(row.msg_type)) {
        let mut exts = Vec::new();
        if row.msg_type == msg::DELFLOW {
            exts = numbers("FS FD FSM FDM").into_iter().map(valid).collect();
        }
        let bytes = with(row.msg_type, direction, &exts);
        assert_eq!(errno(&bytes, direction), None, "{}", hex(&bytes));
    }
}

#[test]
fn message_without_what_is_required_is_einval() {
    for (row, direction) in rows() {
        let required = numbers(row.required);
        for absent in &required {
            let exts: Vec<_> = required
                .iter()
                .filter(|n| *n != absent)
                .map(|n| valid(*n))
                .collect();
            let bytes = message(row.msg_type, 9, &exts);
            assert_eq!(
                errno(&bytes, direction),
                Some(Errno::EINVAL),
                "type {} {direction:?} without {absent}",
                row.msg_type
            );
        }
    }
}

#[test]
fn every_other_extension_is_taken_if_permitted_and_einval_if_not() {
    for (row, direction) in rows().filter(|(row, _)| can_be_valid(row.msg_type)) {
        let (required, permitted) = (numbers(row.required), numbers(row.permitted));
        for number in (0..64).filter(|number| !required.contains(number)) {
            let mut exts = vec![valid(number)];
            if row.msg_type == msg::DELFLOW {
                exts = numbers("FS FD FSM FDM").into_iter().map(valid).collect();
                if !exts.contains(&valid(number)) {
                    exts.push(valid(number));
                }
            }
            let bytes = with(row.msg_type, direction, &exts);
            let want = if permitted.contains(&number) {
                None
            } else {
                Some(Errno::EINVAL)
            };
            assert_eq!(
                errno(&bytes, direction),
                want,
                "type {} {direction:?} with {number}",
                row.msg_type
            );
        }
    }
}

#[test]
fn all_that_is_permitted_is_taken_together_in_any_order() {
    for (row, direction) in rows().filter(|(row, _)| can_be_valid(row.msg_type)) {
        let mut all = numbers(row.required);
        all.extend(numbers(row.permitted));
        for _ in 0..=all.len() {
            let exts: Vec<_> = all.iter().map(|number| valid(*number)).collect();
            let bytes = message(row.msg_type, 9, &exts);
            let message = parse(&bytes, direction)
                .unwrap_or_else(|errno| panic!("type {} {errno:?}", row.msg_type));
            for ext in Ext::ALL {
                let place = all.iter().position(|number| *number == *ext as u16);
                let want = place.map(|place| exts[place].as_slice());
                assert_eq!(message.has(*ext), want.is_some());
                assert_eq!(message.ext(*ext), want);
                assert_eq!(message.present() & ext.bit() != 0, want.is_some());
            }
            if !all.is_empty() {
                all.rotate_left(1);
            }
        }
        all.reverse();
        let exts: Vec<_> = all.iter().map(|number| valid(*number)).collect();
        assert_eq!(errno(&message(row.msg_type, 9, &exts), direction), None);
    }
}

#[test]
fn pchange_is_einval_even_with_all_it_requires() {
    for direction in [IN, OUT] {
        let bytes = with(msg::PCHANGE, direction, &[]);
        assert_eq!(errno(&bytes, direction), Some(Errno::EINVAL));
    }
}

#[test]
fn extension_numbers_are_those_of_the_reference() {
    let known: Vec<u16> = Ext::ALL.iter().map(|ext| *ext as u16).collect();
    assert_eq!(known, NAMES.map(|(_, number)| number));
    assert!(known.iter().all(|number| u32::from(*number) < u64::BITS));
    for number in 0..=u16::MAX {
        let found = Ext::from_number(number).map(|ext| ext as u16);
        assert_eq!(found, known.contains(&number).then_some(number));
    }
    for number in 0..=u8::MAX {
        let found = MsgType::from_number(number).map(|msg_type| msg_type as u8);
        assert_eq!(found, (1..=19).contains(&number).then_some(number));
    }
}

#[test]
fn extension_of_unknown_type_is_einval() {
    for number in [0, 33, 47, 50, 63, 64, 255, 256, 0x8001, 0xffff] {
        let bytes = with(msg::DELETE, IN, &[extension(number, &[0; 4])]);
        assert_eq!(errno(&bytes, IN), Some(Errno::EINVAL), "{number}");
    }
}

// --- The header ---------------------------------------------------------------------------------

#[test]
fn header_checks_come_in_the_order_of_the_reference() {
    let good = with(msg::DELETE, IN, &[]);
    assert!(Header::parse(&good).is_ok());
    let version = |bytes: &mut Vec<u8>| bytes[0] = 1;
    let len = |bytes: &mut Vec<u8>| bytes[4] += 1;
    let reserved = |bytes: &mut Vec<u8>| bytes[7] = 1;
    let msg_type = |bytes: &mut Vec<u8>| bytes[1] = 0;
    type Fault = fn(&mut Vec<u8>);
    let short: Fault = |bytes| bytes.truncate(15);
    let faults: [(Fault, Errno); 5] = [
        (short, Errno::EMSGSIZE),
        (version, Errno::EINVAL),
        (len, Errno::EMSGSIZE),
        (reserved, Errno::EINVAL),
        (msg_type, Errno::EINVAL),
    ];
    for (first, (fault, errno)) in faults.iter().enumerate() {
        for (other, _) in &faults[first..] {
            let mut bytes = good.clone();
            other(&mut bytes);
            fault(&mut bytes);
            assert_eq!(Header::parse(&bytes), Err(*errno), "{first}");
        }
    }
}

#[test]
fn header_of_less_than_16_bytes_is_emsgsize() {
    let bytes = message(msg::FLUSH, 0, &[]);
    for len in 0..16 {
        assert_eq!(Header::parse(&bytes[..len]), Err(Errno::EMSGSIZE), "{len}");
    }
}

#[test]
fn length_field_has_to_be_the_length_written() {
    let good = with(msg::DELETE, IN, &[]);
    for words in 0..=u16::MAX {
        let mut bytes = good.clone();
        bytes[4..6].copy_from_slice(&words.to_ne_bytes());
        let right = usize::from(words) * 8 == good.len();
        let want = (!right).then_some(Errno::EMSGSIZE);
        assert_eq!(Header::parse(&bytes).err(), want, "{words}");
    }
    for extra in 1..24 {
        let mut bytes = good.clone();
        bytes.resize(good.len() + extra, 0);
        assert_eq!(Header::parse(&bytes), Err(Errno::EMSGSIZE), "{extra}");
        bytes.truncate(good.len() - extra);
        assert_eq!(Header::parse(&bytes), Err(Errno::EMSGSIZE), "-{extra}");
    }
}

#[test]
fn only_version_2_is_taken() {
    for version in 0..=255 {
        let mut bytes = message(msg::FLUSH, 0, &[]);
        bytes[0] = version;
        let want = (version != 2).then_some(Errno::EINVAL);
        assert_eq!(Header::parse(&bytes).err(), want, "{version}");
    }
}

#[test]
fn both_reserved_bytes_of_the_header_have_to_be_0() {
    for byte in [6, 7] {
        let mut bytes = message(msg::FLUSH, 0, &[]);
        bytes[byte] = 0x80;
        assert_eq!(Header::parse(&bytes), Err(Errno::EINVAL));
    }
}

#[test]
fn header_fields_are_read_from_their_places() {
    let mut bytes = message_of(msg::ACQUIRE, 5, 0x0102_0304, 0xfffe_fdfc, &[]);
    bytes[2] = 17;
    let want = Header {
        msg_type: MsgType::Acquire,
        errno: 17,
        satype: 5,
        seq: 0x0102_0304,
        pid: 0xfffe_fdfc,
    };
    assert_eq!(Header::parse(&bytes), Ok(want));
    assert_eq!(want.known_satype(), None);
    let esp = Header { satype: 3, ..want };
    assert_eq!(esp.known_satype(), Some(SaType::Esp));
}

#[test]
fn satype_is_checked_as_the_message_type_wants_it() {
    for row in TABLE_IN.iter().filter(|row| can_be_valid(row.msg_type)) {
        for satype in 0..=255u8 {
            let taken = match row.msg_type {
                msg::GETSPI
                | msg::UPDATE
                | msg::ADD
                | msg::DELETE
                | msg::GET
                | msg::GRPSA
                | msg::ADDFLOW => matches!(satype, 2 | 3 | 9 | 10 | 11),
                msg::ACQUIRE | msg::REGISTER | msg::EXPIRE => (1..=11).contains(&satype),
                _ => satype <= 11,
            };
            // An SA that fits its type, and makes DELFLOW clear all flows.
            let (auth, encrypt) = match satype {
                2 => (2, 0),
                3 | 10 => (0, 3),
                _ => (0, 0),
            };
            let sa = RawSa {
                auth,
                encrypt,
                flags: 4,
                ..RawSa::mature(256)
            };
            let mut bytes = with(row.msg_type, IN, &[]);
            if row.required.contains("SA ") || row.msg_type == msg::DELFLOW {
                bytes = with(row.msg_type, IN, &[sa.ext(ext::SA)]);
            }
            bytes[3] = satype;
            let want = (!taken).then_some(Errno::EINVAL);
            assert_eq!(errno(&bytes, IN), want, "{} {satype}", row.msg_type);
        }
    }
}

#[test]
fn errno_of_a_request_has_to_be_0_except_in_acquire() {
    for row in &TABLE_IN {
        let mut bytes = message(row.msg_type, 9, &[]);
        bytes[2] = 1;
        let want = (row.msg_type != msg::ACQUIRE).then_some(Errno::EINVAL);
        assert_eq!(errno(&bytes, IN), want, "{}", row.msg_type);
    }
}

#[test]
fn acquire_with_errno_needs_no_extensions_but_those_there_have_to_be_right() {
    let mut bytes = message(msg::ACQUIRE, 3, &[valid(ext::ADDRESS_SRC)]);
    bytes[2] = 3;
    assert_eq!(errno(&bytes, IN), None);
    let mut bad = valid(ext::ADDRESS_SRC);
    bad[5] = 1;
    let mut bytes = message(msg::ACQUIRE, 3, &[bad]);
    bytes[2] = 3;
    assert_eq!(errno(&bytes, IN), Some(Errno::EAFNOSUPPORT));
}

#[test]
fn error_reply_with_fault_is_readable() {
    let mut bytes = message(msg::GRPSA, 9, &[extension(ext::FAULT, &[2, 3, 0, 0])]);
    bytes[2] = 17;
    let message = parse(&bytes, OUT).expect("readable");
    assert_eq!(message.header.errno, 17);
    let fault = message.fault().expect("a fault");
    assert_eq!((fault.member, fault.reason as u8), (2, 3));
}

#[test]
fn error_reply_of_every_type_is_readable() {
    for row in &TABLE_IN {
        // Whatever SA type was refused.
        for satype in 0..=255 {
            let mut bytes = message(row.msg_type, satype, &[]);
            bytes[2] = 22;
            assert_eq!(errno(&bytes, OUT), None, "{}", row.msg_type);
        }
    }
}

// --- Lengths of extensions ----------------------------------------------------------------------

/// A message type and a direction in which an extension may be had.
fn carrier(number: u16) -> (u8, Direction) {
    match number {
        ext::LIFETIME_CURRENT => (msg::UPDATE, IN),
        ext::PROPOSAL => (msg::ACQUIRE, IN),
        ext::SUPPORTED_AUTH | ext::SUPPORTED_ENCRYPT => (msg::REGISTER, OUT),
        ext::SPIRANGE => (msg::GETSPI, IN),
        18..=20 | ext::GROUP => (msg::GRPSA, IN),
        21..=24 | ext::PROTOCOL => (msg::ADDFLOW, IN),
        ext::DEBUG => (msg::DEBUG, IN),
        ext::FAULT => (msg::GRPSA, OUT),
        _ => (msg::ADD, IN),
    }
}

/// The errno of the message that carries an extension, if any.
fn carried(ext: Vec<u8>) -> Option<Errno> {
    let (msg_type, direction) = carrier(u16::from_ne_bytes([ext[2], ext[3]]));
    errno(&with(msg_type, direction, &[ext]), direction)
}

/// The same extension with another number of words, zeros added where there are more.
fn resized(ext: &[u8], words: u16) -> Vec<u8> {
    let mut ext = ext.to_vec();
    ext.resize(usize::from(words) * 8, 0);
    ext[..2].copy_from_slice(&words.to_ne_bytes());
    ext
}

#[test]
fn extension_has_a_length_that_its_layout_allows() {
    for (_, number) in NAMES {
        if number == ext::KMPRIVATE {
            continue;
        }
        for words in 1..=40 {
            let right = match number {
                ext::SA | ext::SA2 => words == 2 || words == 3,
                2..=4 => words == 4 || words == 5,
                5..=7 | 20..=24 | 30 => words == 3,
                ext::KEY_AUTH | ext::KEY_ENCRYPT => words == 3,
                ext::IDENTITY_SRC | ext::IDENTITY_DST | ext::SENSITIVITY => words >= 2,
                ext::PROPOSAL => (words - 1) % 9 == 0 || (words - 1) % 10 == 0,
                ext::SUPPORTED_AUTH | ext::SUPPORTED_ENCRYPT => true,
                ext::SPIRANGE | ext::SAREF => words == 2,
                ext::DEBUG => words == 7,
                ext::GROUP => words == 4,
                _ => words == 1,
            };
            let want = (!right).then_some(Errno::EINVAL);
            let template = match number {
                // Without a text, so that no cut leaves one without its end.
                ext::IDENTITY_SRC | ext::IDENTITY_DST => identity(number, 1, 0, &[]),
                _ => valid(number),
            };
            let ext = resized(&template, words);
            assert_eq!(carried(ext), want, "extension {number} of {words} words");
        }
    }
}

#[test]
fn ipv6_address_extension_has_5_words() {
    for number in [5, 6, 7, 20, 21, 22, 23, 24, 30] {
        let template = address(number, ip("2001:db8::1"), 0);
        assert_eq!(template.len(), 40);
        for words in 1..=10 {
            let want = (words != 5).then_some(Errno::EINVAL);
            assert_eq!(carried(resized(&template, words)), want, "{number} {words}");
        }
    }
}

#[test]
fn extension_of_length_0_is_einval() {
    for (_, number) in NAMES {
        let mut ext = valid(number);
        ext[..2].fill(0);
        assert_eq!(carried(ext), Some(Errno::EINVAL), "{number}");
    }
}

#[test]
fn extension_that_reaches_beyond_the_message_is_einval() {
    for (_, number) in NAMES
        .into_iter()
        .filter(|(_, number)| *number != ext::KMPRIVATE)
    {
        let (msg_type, direction) = carrier(number);
        // As the last one, however long it says it is.
        let required: Vec<_> = numbers(
            match direction {
                Direction::In => &TABLE_IN,
                Direction::Out => &TABLE_OUT,
            }[usize::from(msg_type) - 1]
                .required,
        )
        .into_iter()
        .filter(|other| *other != number)
        .map(valid)
        .collect();
        let ext = valid(number);
        let words = (ext.len() / 8) as u16;
        for more in 0..300 {
            let mut ext = ext.clone();
            ext[..2].copy_from_slice(&(words + more).to_ne_bytes());
            let bytes = message(msg_type, 9, &[required.clone(), vec![ext]].concat());
            let want = (more != 0).then_some(Errno::EINVAL);
            assert_eq!(errno(&bytes, direction), want, "{number} +{more}");
        }
    }
}

#[test]
fn key_is_as_long_as_its_bits_need() {
    for number in [ext::KEY_AUTH, ext::KEY_ENCRYPT] {
        for bits in 0..=520u16 {
            for words in 1..=10u16 {
                let mut ext = resized(&key(number, 64, 0), words);
                ext[4..6].copy_from_slice(&bits.to_ne_bytes());
                let right = bits != 0 && words == 1 + bits.div_ceil(64);
                let want = (!right).then_some(Errno::EINVAL);
                assert_eq!(carried(ext), want, "{bits} bits in {words} words");
            }
        }
        assert_eq!(carried(key(number, u16::MAX, 0x55)), None);
    }
}

#[test]
fn group_is_as_long_as_its_count_says() {
    let saids = [
        said("esp.1001@10.0.0.2"),
        said("ah:1002@2001:db8::1"),
        said("comp.1003@10.0.0.2"),
        said("tun.1004@10.0.0.2"),
        said("tun.1005@10.0.0.2"),
    ];
    for members in 0..=5 {
        for count in 0..=255 {
            let mut ext = group(&saids[..members]);
            ext[4] = count;
            let right = usize::from(count) == members && (1..=3).contains(&members);
            let want = (!right).then_some(Errno::EINVAL);
            assert_eq!(carried(ext), want, "{members} members, count {count}");
        }
    }
}

// --- Fields of extensions -----------------------------------------------------------------------

/// The errnos of a valid extension in which one byte has each of its values.
fn byte_values(ext: &[u8], at: usize) -> impl Iterator<Item = (u8, Option<Errno>)> + '_ {
    (0..=255).map(move |value| {
        let mut ext = ext.to_vec();
        ext[at] = value;
        (value, carried(ext))
    })
}

fn einval_unless(right: bool) -> Option<Errno> {
    (!right).then_some(Errno::EINVAL)
}

#[test]
fn sa_fields_have_to_be_in_range() {
    for number in [ext::SA, ext::SA2] {
        for ext in [
            RawSa::mature(0x1000).ext(number),
            RawSa::mature(0x1000).short_ext(number),
        ] {
            for (replay, errno) in byte_values(&ext, 8) {
                assert_eq!(errno, einval_unless(replay <= 64), "replay {replay}");
            }
            for (auth, errno) in byte_values(&ext, 10) {
                assert_eq!(errno, einval_unless(auth <= 252), "auth {auth}");
            }
            for (encrypt, errno) in byte_values(&ext, 11) {
                assert_eq!(errno, None, "encrypt {encrypt}");
            }
        }
    }
    // ADD wants state 1; others take all but 3.
    for state in 0..=255 {
        for (msg_type, number) in [(msg::DELETE, ext::SA), (msg::GRPSA, ext::SA2)] {
            let sa = RawSa {
                state,
                ..RawSa::naming(0)
            };
            let bytes = with(msg_type, IN, &[sa.ext(number)]);
            assert_eq!(errno(&bytes, IN), einval_unless(state < 3), "state {state}");
        }
    }
}

#[test]
fn saref_is_below_65536_or_all_ones() {
    for (sa_ref, right) in [
        (0, true),
        (1, true),
        (32767, true),
        (32768, true),
        (65535, true),
        (65536, false),
        (0x0001_0001, false),
        (0x7fff_ffff, false),
        (0xffff_0001, false),
        (u32::MAX - 1, false),
        (u32::MAX, true),
    ] {
        for number in [ext::SA, ext::SA2] {
            let sa = RawSa {
                sa_ref,
                ..RawSa::mature(0x1000)
            };
            assert_eq!(carried(sa.ext(number)), einval_unless(right), "{sa_ref:#x}");
        }
    }
}

#[test]
fn reserved_tail_of_the_sa_is_not_looked_at() {
    let mut ext = RawSa::mature(0x1000).ext(ext::SA);
    ext[20..].fill(0xff);
    assert_eq!(carried(ext), None);
}

#[test]
fn sa_of_16_bytes_is_taken_wherever_it_stands() {
    let short = RawSa::naming(0x1000).short_ext(ext::SA);
    assert_eq!(short.len(), 16);
    let [_, src, dst] = naming(said("tun.1000@10.0.0.2"));
    for exts in [
        [short.clone(), src.clone(), dst.clone()],
        [src.clone(), short.clone(), dst.clone()],
        [src, dst, short],
    ] {
        let bytes = message(msg::DELETE, 9, &exts);
        let sa = parse(&bytes, IN).expect("taken").sa().expect("an SA");
        assert_eq!((sa.spi, sa.sa_ref, sa.state), (0x1000, 0, SaState::Larval));
    }
}

#[test]
fn address_checks_come_in_the_order_of_the_reference() {
    let good = |words: u16| resized(&address(ext::ADDRESS_DST, ip("10.0.0.2"), 0), words);
    let reserved = |mut ext: Vec<u8>| {
        ext[7] = 1;
        ext
    };
    let family = |mut ext: Vec<u8>| {
        ext[8..10].copy_from_slice(&1u16.to_ne_bytes());
        ext
    };
    let prefixlen = |mut ext: Vec<u8>| {
        ext[5] = 32;
        ext
    };
    let einval = Some(Errno::EINVAL);
    assert_eq!(carried(good(3)), None);
    assert_eq!(carried(family(good(2))), einval, "short before family");
    assert_eq!(carried(prefixlen(good(2))), einval, "short before prefix");
    assert_eq!(
        carried(reserved(family(good(3)))),
        einval,
        "reserved before family"
    );
    assert_eq!(
        carried(reserved(prefixlen(good(3)))),
        einval,
        "reserved before prefix"
    );
    assert_eq!(
        carried(family(prefixlen(good(4)))),
        Some(Errno::EPFNOSUPPORT),
        "family before length and prefix"
    );
    assert_eq!(carried(family(good(3))), Some(Errno::EPFNOSUPPORT));
    assert_eq!(carried(prefixlen(good(4))), einval, "length before prefix");
    assert_eq!(carried(prefixlen(good(3))), Some(Errno::EAFNOSUPPORT));
}

#[test]
fn only_ipv4_and_ipv6_are_families() {
    for number in [5, 6, 7, 20, 21, 22, 23, 24, 30] {
        for family in (0..=300).chain([0x0200, 0x0a00, u16::MAX]) {
            for (words, right) in [(3, 2), (5, 10)] {
                let mut ext = resized(&address(number, ip("10.0.0.2"), 0), words);
                ext[8..10].copy_from_slice(&family.to_ne_bytes());
                let want = match family {
                    2 | 10 => einval_unless(family == right),
                    _ => Some(Errno::EPFNOSUPPORT),
                };
                assert_eq!(carried(ext), want, "{number}: {family}, {words} words");
            }
        }
    }
}

#[test]
fn address_may_have_a_port_and_a_protocol_but_no_prefix_length() {
    for template in [
        address(ext::ADDRESS_DST, ip("10.0.0.2"), 4500),
        address(ext::ADDRESS_DST, ip("2001:db8::1"), 4500),
    ] {
        for (proto, errno) in byte_values(&template, 4) {
            assert_eq!(errno, None, "protocol {proto}");
        }
        for (prefixlen, errno) in byte_values(&template, 5) {
            let want = (prefixlen != 0).then_some(Errno::EAFNOSUPPORT);
            assert_eq!(errno, want, "prefix length {prefixlen}");
        }
        for at in [6, 7] {
            for (reserved, errno) in byte_values(&template, at) {
                assert_eq!(errno, einval_unless(reserved == 0), "reserved {reserved}");
            }
        }
    }
}

#[test]
fn reserved_fields_that_are_checked_have_to_be_0() {
    for (number, places) in [
        (ext::KEY_AUTH, 6..8),
        (ext::KEY_ENCRYPT, 6..8),
        (ext::IDENTITY_SRC, 6..8),
        (ext::IDENTITY_DST, 6..8),
        (ext::PROPOSAL, 5..8),
        (ext::SUPPORTED_AUTH, 4..8),
        (ext::SUPPORTED_ENCRYPT, 4..8),
        (ext::SPIRANGE, 12..16),
        (ext::SATYPE2, 5..8),
        (ext::DEBUG, 52..56),
        (ext::PROTOCOL, 7..8),
        (ext::GROUP, 5..8),
        // Of the member, and what follows its IPv4 address.
        (ext::GROUP, 13..14),
        (ext::GROUP, 20..32),
        (ext::FAULT, 6..8),
    ] {
        for at in places {
            for (reserved, errno) in byte_values(&valid(number), at) {
                let want = einval_unless(reserved == 0);
                assert_eq!(errno, want, "extension {number}, byte {at}");
            }
        }
    }
}

#[test]
fn what_klips_does_not_check_may_have_any_value() {
    for (number, places) in [
        (ext::LIFETIME_HARD, 4..40),
        (ext::IDENTITY_SRC, 8..16),
        (ext::SENSITIVITY, 4..16),
        (ext::DEBUG, 4..52),
        (ext::PROTOCOL, 4..7),
        (ext::NAT_T_TYPE, 4..8),
        (ext::NAT_T_SPORT, 4..8),
        (ext::NAT_T_DPORT, 4..8),
        (ext::PLUMBIF, 4..8),
        (ext::SAREF, 4..16),
        (ext::SA, 12..16),
        (ext::KEY_AUTH, 8..24),
        (ext::ADDRESS_SRC, 10..24),
    ] {
        for at in places {
            for (value, errno) in byte_values(&valid(number), at) {
                assert_eq!(errno, None, "extension {number}, byte {at}: {value}");
            }
        }
    }
}

#[test]
fn identity_has_a_known_kind_and_a_terminated_text() {
    for number in [ext::IDENTITY_SRC, ext::IDENTITY_DST] {
        for kind in (0..=300).chain([0x0100, 0x0400, u16::MAX]) {
            let want = einval_unless(kind <= 4);
            assert_eq!(carried(identity(number, kind, 1, b"x\0")), want, "{kind}");
            assert_eq!(carried(identity(number, kind, 1, b"")), want, "{kind}");
        }
        assert_eq!(carried(identity(number, 2, 0, b"sevenby\0")), None);
        let unterminated = identity(number, 2, 0, b"eightbyt");
        assert_eq!(carried(unterminated), Some(Errno::EINVAL));
    }
}

#[test]
fn spi_range_goes_up_and_begins_above_255() {
    for (min, max, want) in [
        (256, 256, None),
        (256, u32::MAX, None),
        (u32::MAX, u32::MAX, None),
        (255, 256, Some(Errno::EEXIST)),
        (0, 0, Some(Errno::EEXIST)),
        (0, u32::MAX, Some(Errno::EEXIST)),
        (257, 256, Some(Errno::EINVAL)),
        (u32::MAX, 0, Some(Errno::EINVAL)),
        // Upside down before too low.
        (100, 99, Some(Errno::EINVAL)),
        // In network order: 0x00000100 and not 0x00010000.
        (0x0001_0000, 0x0000_0100, Some(Errno::EINVAL)),
    ] {
        assert_eq!(carried(spi_range(min, max)), want, "{min}..={max}");
    }
    let mut reserved = spi_range(1, 256);
    reserved[12] = 1;
    assert_eq!(carried(reserved), Some(Errno::EINVAL));
}

#[test]
fn second_satype_has_to_be_a_known_one() {
    for (satype, errno) in byte_values(&valid(ext::SATYPE2), 4) {
        let right = matches!(satype, 2 | 3 | 9 | 10 | 11);
        assert_eq!(errno, einval_unless(right), "{satype}");
    }
}

#[test]
fn group_member_has_a_known_satype_and_family() {
    for (satype, errno) in byte_values(&valid(ext::GROUP), 12) {
        let right = matches!(satype, 2 | 3 | 9 | 10 | 11);
        assert_eq!(errno, einval_unless(right), "{satype}");
    }
    for family in 0..=300u16 {
        let mut ext = group(&[said("esp:1@::")]);
        ext[14..16].copy_from_slice(&family.to_ne_bytes());
        let right = family == 2 || family == 10;
        let want = (!right).then_some(Errno::EPFNOSUPPORT);
        assert_eq!(carried(ext), want, "{family}");
    }
    // The last member is checked like the first.
    let mut ext = group(&[said("esp:1@::"), said("esp:2@::"), said("esp:3@::")]);
    ext[8 + 2 * 24 + 4] = 4;
    assert_eq!(carried(ext), Some(Errno::EINVAL));
}

#[test]
fn fault_has_one_of_three_reasons() {
    for (reason, errno) in byte_values(&valid(ext::FAULT), 5) {
        assert_eq!(errno, einval_unless((1..=3).contains(&reason)), "{reason}");
    }
}

/// A combination of a proposal, by what is checked in it: the two algorithms with their sizes and
/// the four limits, soft and hard.
#[derive(Clone, Copy, Default)]
struct Comb {
    auth: (u8, u16, u16),
    encrypt: (u8, u16, u16),
    reserved: u32,
    limits: [(u64, u64); 4],
}

impl Comb {
    fn bytes(&self) -> Vec<u8> {
        let mut bytes = vec![self.auth.0, self.encrypt.0, 0, 0];
        for bits in [self.auth.1, self.auth.2, self.encrypt.1, self.encrypt.2] {
            bytes.extend(bits.to_ne_bytes());
        }
        bytes.extend(self.reserved.to_ne_bytes());
        let [allocations, rest @ ..] = self.limits;
        bytes.extend((allocations.0 as u32).to_ne_bytes());
        bytes.extend((allocations.1 as u32).to_ne_bytes());
        for (soft, hard) in rest {
            bytes.extend(soft.to_ne_bytes());
            bytes.extend(hard.to_ne_bytes());
        }
        assert_eq!(bytes.len(), 72);
        bytes
    }
}

/// A proposal of combinations in the 72-byte form or, with room for packets, in the 80-byte form.
fn proposal(replay: u8, long: bool, combs: &[Comb]) -> Vec<u8> {
    let mut body = vec![replay, 0, 0, 0];
    for comb in combs {
        body.extend(comb.bytes());
        body.resize(body.len() + if long { 8 } else { 0 }, 0xee);
    }
    extension(ext::PROPOSAL, &body)
}

#[test]
fn proposal_has_sensible_combinations() {
    let good = Comb {
        auth: (2, 128, 128),
        encrypt: (3, 168, 192),
        reserved: 0,
        limits: [(1, 2), (3, 3), (9, 0), (57600, 86400)],
    };
    let none = Comb::default();
    let bad = |auth, encrypt| Comb {
        auth,
        encrypt,
        ..none
    };
    for long in [false, true] {
        let check = |combs: &[Comb]| carried(proposal(64, long, combs));
        assert_eq!(check(&[]), None);
        assert_eq!(check(&[none]), None);
        assert_eq!(check(&[good, none, good]), None);
        let einval = Some(Errno::EINVAL);
        for sizes in [
            (0, 1, 0),
            (0, 0, 1),
            (2, 0, 128),
            (2, 128, 0),
            (2, 129, 128),
        ] {
            assert_eq!(check(&[bad(sizes, (0, 0, 0))]), einval, "{sizes:?}");
            assert_eq!(check(&[bad((0, 0, 0), sizes)]), einval, "{sizes:?}");
            assert_eq!(check(&[good, bad(sizes, (0, 0, 0))]), einval, "{sizes:?}");
        }
        for limit in 0..4 {
            let mut comb = good;
            comb.limits[limit] = (101, 100);
            assert_eq!(check(&[comb]), einval, "limit {limit}");
            comb.limits[limit] = (101, 0);
            assert_eq!(check(&[comb]), None, "limit {limit}");
        }
        assert_eq!(
            check(&[Comb {
                reserved: 1 << 24,
                ..good
            }]),
            einval
        );
    }
    for replay in 0..=255 {
        let want = einval_unless(replay <= 64);
        assert_eq!(carried(proposal(replay, false, &[good])), want, "{replay}");
    }
}

#[test]
fn reserved_field_of_every_supported_algorithm_has_to_be_0() {
    for number in [ext::SUPPORTED_AUTH, ext::SUPPORTED_ENCRYPT] {
        let mut body = vec![0; 4];
        body.extend(unhex("0300a000a0000000 0200800080000000"));
        assert_eq!(carried(extension(number, &body)), None);
        for at in [10, 11, 18, 19] {
            let mut body = body.clone();
            body[at] = 1;
            assert_eq!(
                carried(extension(number, &body)),
                Some(Errno::EINVAL),
                "{at}"
            );
        }
    }
}

// --- Which error comes first --------------------------------------------------------------------

fn bad_family(number: u16) -> Vec<u8> {
    let mut ext = valid(number);
    ext[8..10].copy_from_slice(&1u16.to_ne_bytes());
    ext
}

fn bad_prefix(number: u16) -> Vec<u8> {
    let mut ext = valid(number);
    ext[5] = 24;
    ext
}

#[test]
fn first_bad_extension_of_the_message_decides() {
    use ext::{ADDRESS_DST, ADDRESS_SRC};
    let sa = || valid(ext::SA);
    for (exts, want) in [
        (
            vec![sa(), bad_family(ADDRESS_SRC), bad_prefix(ADDRESS_DST)],
            Errno::EPFNOSUPPORT,
        ),
        (
            vec![sa(), bad_prefix(ADDRESS_DST), bad_family(ADDRESS_SRC)],
            Errno::EAFNOSUPPORT,
        ),
        (
            vec![bad_prefix(ADDRESS_SRC), extension(0, &[]), sa()],
            Errno::EAFNOSUPPORT,
        ),
        (
            vec![extension(0, &[]), bad_prefix(ADDRESS_SRC), sa()],
            Errno::EINVAL,
        ),
        // What is wrong in an extension before one that is missing.
        (vec![bad_family(ADDRESS_DST)], Errno::EPFNOSUPPORT),
        // A duplicate before what is wrong in it.
        (
            vec![sa(), valid(ADDRESS_DST), bad_family(ADDRESS_DST)],
            Errno::EINVAL,
        ),
        // Not permitted before what is wrong in it.
        (vec![sa(), bad_family(ext::ADDRESS_PROXY)], Errno::EINVAL),
    ] {
        let bytes = message(msg::DELETE, 9, &exts);
        assert_eq!(errno(&bytes, IN), Some(want), "{}", hex(&bytes));
    }
}

#[test]
fn header_is_looked_at_before_the_extensions() {
    let exts = [valid(ext::SA), bad_family(ext::ADDRESS_DST)];
    let mut bytes = message(msg::GRPSA, 12, &exts);
    assert_eq!(errno(&bytes, IN), Some(Errno::EINVAL));
    bytes[3] = 9;
    assert_eq!(errno(&bytes, IN), Some(Errno::EPFNOSUPPORT));
    bytes[2] = 1;
    assert_eq!(errno(&bytes, IN), Some(Errno::EINVAL));
}

#[test]
fn extension_that_is_there_twice_is_einval() {
    for (_, number) in NAMES
        .into_iter()
        .filter(|(_, number)| *number != ext::KMPRIVATE)
    {
        let (msg_type, direction) = carrier(number);
        let mut bytes = with(msg_type, direction, &[valid(number)]);
        assert_eq!(errno(&bytes, direction), None, "{number}");
        bytes.extend(valid(number));
        fix_len(&mut bytes);
        assert_eq!(errno(&bytes, direction), Some(Errno::EINVAL), "{number}");
    }
}

// --- ADD, UPDATE and DELFLOW --------------------------------------------------------------------

#[test]
fn new_sa_has_to_be_mature() {
    for (msg_type, direction) in [(msg::ADD, IN), (msg::UPDATE, IN)] {
        for state in 0..=3 {
            let sa = RawSa {
                state,
                ..RawSa::mature(256)
            };
            let bytes = with(msg_type, direction, &[sa.ext(ext::SA)]);
            assert_eq!(
                errno(&bytes, direction),
                einval_unless(state == 1),
                "{state}"
            );
        }
    }
}

#[test]
fn new_sa_has_an_spi_above_255() {
    for (spi, right) in [
        (0, false),
        (1, false),
        (255, false),
        (256, true),
        (u32::MAX, true),
    ] {
        for msg_type in [msg::ADD, msg::UPDATE] {
            let bytes = with(msg_type, IN, &[RawSa::mature(spi).ext(ext::SA)]);
            assert_eq!(errno(&bytes, IN), einval_unless(right), "{spi}");
        }
        for msg_type in [msg::DELETE, msg::GET, msg::GRPSA] {
            let bytes = with(msg_type, IN, &[RawSa::mature(spi).ext(ext::SA)]);
            assert_eq!(errno(&bytes, IN), None, "{spi}");
        }
    }
}

#[test]
fn new_sa_has_algorithms_that_its_satype_wants() {
    for msg_type in [msg::ADD, msg::UPDATE] {
        for satype in [2, 3, 9, 10, 11] {
            for auth in [0, 1, 2, 3, 99, 251] {
                for encrypt in [0, 1, 2, 3, 11, 12, 255] {
                    let right = match satype {
                        2 => auth != 0 && encrypt == 0,
                        3 => encrypt != 0 && !(encrypt == 11 && auth == 0),
                        10 => encrypt != 0 && auth == 0,
                        _ => true,
                    };
                    let sa = RawSa {
                        auth,
                        encrypt,
                        ..RawSa::mature(256)
                    };
                    let mut bytes = with(msg_type, IN, &[sa.ext(ext::SA)]);
                    bytes[3] = satype;
                    let want = einval_unless(right);
                    assert_eq!(errno(&bytes, IN), want, "{satype}: {auth} {encrypt}");
                }
            }
        }
    }
}

#[test]
fn delflow_has_all_four_selectors_or_clears_all_flows() {
    let flows = numbers("FS FD FSM FDM");
    for present in 0..16 {
        for flags in [None, Some(0), Some(2), Some(4), Some(7)] {
            let mut exts: Vec<_> = (0..4)
                .filter(|index| present >> index & 1 != 0)
                .map(|index| valid(flows[index]))
                .collect();
            if let Some(flags) = flags {
                exts.push(
                    RawSa {
                        flags,
                        ..RawSa::naming(0)
                    }
                    .ext(ext::SA),
                );
            }
            let right = present == 15 || flags.is_some_and(|flags| flags & 4 != 0);
            let bytes = message(msg::DELFLOW, 0, &exts);
            assert_eq!(
                errno(&bytes, IN),
                einval_unless(right),
                "{present} {flags:?}"
            );
        }
    }
}

#[test]
fn well_formed_but_unsupported_extensions_are_refused_when_processed() {
    for (msg_type, number, refused) in [
        (msg::UPDATE, ext::LIFETIME_CURRENT, true),
        (msg::GET, ext::LIFETIME_CURRENT, true),
        (msg::ADD, ext::SENSITIVITY, true),
        (msg::ACQUIRE, ext::PROPOSAL, true),
        (msg::ADD, ext::LIFETIME_HARD, false),
        (msg::ADD, ext::LIFETIME_SOFT, false),
        (msg::ADD, ext::ADDRESS_PROXY, false),
        (msg::ADD, ext::IDENTITY_SRC, false),
        (msg::GETSPI, ext::SPIRANGE, false),
        (msg::GRPSA, ext::SATYPE2, false),
        (msg::GRPSA, ext::GROUP, false),
        (msg::ADD, ext::NAT_T_OA, false),
    ] {
        let bytes = with(msg_type, IN, &[valid(number)]);
        let message = parse(&bytes, IN).expect("its form is right");
        let result = message.check_supported();
        assert_eq!(result.err(), einval_unless(!refused), "{msg_type} {number}");
    }
    for number in [ext::SUPPORTED_AUTH, ext::SUPPORTED_ENCRYPT] {
        let bytes = with(msg::REGISTER, OUT, &[valid(number)]);
        let message = parse(&bytes, OUT).expect("its form is right");
        assert_eq!(message.check_supported(), Err(Errno::EINVAL));
    }
}

#[test]
fn natt_type_is_1_or_2() {
    for kind in 0..=255 {
        let bytes = with(
            msg::ADD,
            IN,
            &[extension(ext::NAT_T_TYPE, &[kind, 0, 0, 0])],
        );
        let message = parse(&bytes, IN).expect("its form is right");
        let want = einval_unless(kind == 1 || kind == 2);
        assert_eq!(message.check_supported().err(), want, "{kind}");
    }
}

// --- Whatever comes -----------------------------------------------------------------------------

/// Calls everything that reads, which must not panic; what is there has to be readable.
fn read_all(message: &Message<'_>) {
    let _ = message.check_supported();
    let _ = message.header.known_satype();
    let present = |number: u16| message.present() >> number & 1 != 0;
    assert_eq!(message.sa().is_some(), present(1));
    for ext in [Ext::LifetimeCurrent, Ext::LifetimeHard, Ext::LifetimeSoft] {
        assert_eq!(message.lifetime(ext).is_some(), message.has(ext));
    }
    for ext in [
        Ext::AddressSrc,
        Ext::AddressDst,
        Ext::AddressProxy,
        Ext::AddressDst2,
        Ext::AddressSrcFlow,
        Ext::AddressDstFlow,
        Ext::AddressSrcMask,
        Ext::AddressDstMask,
        Ext::NatTOa,
    ] {
        assert_eq!(message.address(ext).is_some(), message.has(ext));
    }
    for ext in [Ext::KeyAuth, Ext::KeyEncrypt] {
        let key = message.key(ext);
        assert_eq!(key.is_some(), message.has(ext));
        if let Some(key) = key {
            assert_eq!(key.data.len(), usize::from(key.bits).div_ceil(8));
        }
    }
    for ext in [Ext::IdentitySrc, Ext::IdentityDst] {
        assert_eq!(message.ident(ext).is_some(), message.has(ext));
    }
    for ext in [Ext::NatTSport, Ext::NatTDport] {
        assert_eq!(message.natt_port(ext).is_some(), message.has(ext));
    }
    assert_eq!(message.natt_type().is_some(), present(27));
    assert_eq!(message.spi_range().is_some(), present(16));
    assert_eq!(message.group_list().is_some(), present(48));
    assert_eq!(message.fault().is_some(), present(49));
    let second = [18, 19, 20].map(present);
    assert_eq!(message.has_second(), second.contains(&true));
    assert_eq!(message.second().is_some(), second == [true; 3]);
    if let Some(second) = message.second() {
        let _ = second.said();
    }
    let said = present(1) && present(6) && message.header.known_satype().is_some();
    assert_eq!(message.said().is_some(), said);
    let _: Option<Fault> = message.fault();
    for ext in Ext::ALL {
        let bytes = message.ext(*ext);
        assert_eq!(bytes.is_some(), message.has(*ext));
        assert!(bytes.is_none_or(|bytes| bytes.len() % 8 == 0 && !bytes.is_empty()));
    }
}

fn parse_whatever(bytes: &[u8]) {
    for direction in [IN, OUT] {
        if let Ok(message) = parse(bytes, direction) {
            read_all(&message);
        }
    }
}

/// A message with any subset of the extensions that it may have.
fn any_valid() -> impl Strategy<Value = Vec<u8>> {
    (0..38usize, any::<u64>()).prop_map(|(index, chosen)| {
        let (row, _) = rows().nth(index).unwrap();
        let mut exts: Vec<_> = numbers(row.required).into_iter().map(valid).collect();
        let also = numbers(row.permitted).into_iter();
        exts.extend(also.filter(|number| chosen >> number & 1 != 0).map(valid));
        message(row.msg_type, 9, &exts)
    })
}

/// A change to a message.
#[derive(Clone, Debug)]
enum Mutation {
    Set(prop::sample::Index, u8),
    Flip(prop::sample::Index, u8),
    Cut(prop::sample::Index),
    Append(Vec<u8>),
    FixLen,
}

fn any_mutation() -> impl Strategy<Value = Mutation> {
    let index = any::<prop::sample::Index>;
    prop_oneof![
        4 => (index(), prop_oneof![0..12u8, any::<u8>()]).prop_map(|(at, to)| Mutation::Set(at, to)),
        4 => (index(), 0..8u8).prop_map(|(at, bit)| Mutation::Flip(at, bit)),
        1 => index().prop_map(Mutation::Cut),
        1 => prop::collection::vec(any::<u8>(), 0..32).prop_map(Mutation::Append),
        4 => Just(Mutation::FixLen),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn no_bytes_make_the_parser_panic(
        mut bytes in prop::collection::vec(any::<u8>(), 0..256),
        header_ok in any::<bool>(),
    ) {
        if header_ok && bytes.len() >= 16 {
            bytes.truncate(bytes.len() / 8 * 8);
            bytes[0] = 2;
            bytes[1] = 1 + bytes[1] % 19;
            bytes[2] = 0;
            bytes[3] = [2, 3, 9, 10, 11][usize::from(bytes[3]) % 5];
            bytes[6..8].fill(0);
            fix_len(&mut bytes);
        }
        parse_whatever(&bytes);
    }

    #[test]
    fn no_mutation_of_a_valid_message_makes_the_parser_panic(
        mut bytes in any_valid(),
        mutations in prop::collection::vec(any_mutation(), 0..6),
    ) {
        for mutation in mutations {
            match mutation {
                Mutation::Set(at, to) if !bytes.is_empty() => {
                    let at = at.index(bytes.len());
                    bytes[at] = to;
                }
                Mutation::Flip(at, bit) if !bytes.is_empty() => {
                    let at = at.index(bytes.len());
                    bytes[at] ^= 1 << bit;
                }
                Mutation::Cut(at) if !bytes.is_empty() => bytes.truncate(at.index(bytes.len())),
                Mutation::Append(more) => bytes.extend(more),
                Mutation::FixLen if bytes.len() >= 16 => {
                    bytes.truncate(bytes.len() / 8 * 8);
                    fix_len(&mut bytes);
                }
                _ => (),
            }
        }
        parse_whatever(&bytes);
    }
}
