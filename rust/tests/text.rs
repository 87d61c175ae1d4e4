// SPDX-License-Identifier: GPL-2.0

//! The text forms of numbers, addresses and SAIDs (reference 7).

use klips::{
    address::Family,
    said::{Proto, Said},
};
use pfkey::text::{
    address::{self, AddressError, Host},
    number::{self, NumberError},
    said::{self, SaidError, PROTOS},
};
use proptest::prelude::*;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use testbed::ip;

#[test]
fn number_is_hexadecimal_octal_or_decimal_by_its_prefix() {
    for (text, value) in [
        ("0", 0),
        ("7", 7),
        ("256", 256),
        ("4294967295", u32::MAX),
        ("0x0", 0),
        ("0x101", 0x101),
        ("0X1fF", 0x1ff),
        ("0xffffffff", u32::MAX),
        ("0xdeadBEEF", 0xdead_beef),
        ("0x00000000000000000000ff", 255),
        ("00", 0),
        ("010", 8),
        ("0377", 255),
        ("037777777777", u32::MAX),
        ("000000000000000000000010", 8),
    ] {
        assert_eq!(number::parse(text), Ok(value), "{text}");
    }
}

#[test]
fn number_that_is_none_is_refused_for_its_reason() {
    use NumberError::*;
    for (text, error) in [
        ("", Empty),
        // A lone prefix is octal garbage.
        ("0x", NonDigit),
        ("0X", NonDigit),
        ("0xg", NonHexDigit),
        ("0x1 ", NonHexDigit),
        ("0x-1", NonHexDigit),
        ("0x+1", NonHexDigit),
        ("0x0x1", NonHexDigit),
        ("08", NonDigit),
        ("0o7", NonDigit),
        ("12a", NonDigit),
        ("abc", NonDigit),
        ("-1", NonDigit),
        ("+1", NonDigit),
        (" 1", NonDigit),
        ("1.0", NonDigit),
        ("\u{663}", NonDigit),
        ("0x\u{663}", NonHexDigit),
        ("4294967296", TooLarge),
        ("0x100000000", TooLarge),
        ("040000000000", TooLarge),
        ("99999999999999999999999", TooLarge),
        // Bad digits come before bad sizes.
        ("0xfffffffffffffffffffffg", NonHexDigit),
        ("99999999999999999999999x", NonDigit),
    ] {
        assert_eq!(number::parse(text), Err(error), "{text}");
    }
}

#[test]
fn number_errors_have_the_texts_of_ttoul() {
    for (error, text) in [
        (NumberError::Empty, "empty string"),
        (NumberError::NonHexDigit, "non-hex digit in hex number"),
        (NumberError::NonDigit, "non-digit in number"),
        (NumberError::TooLarge, "number does not fit in 32 bits"),
    ] {
        assert_eq!(error.to_string(), text);
    }
}

#[test]
fn hexadecimal_number_has_no_prefix() {
    assert_eq!(number::parse_hex("1f"), Ok(0x1f));
    assert_eq!(number::parse_hex("FFFFFFFF"), Ok(u32::MAX));
    assert_eq!(number::parse_hex(""), Err(NumberError::Empty));
    assert_eq!(number::parse_hex("0x1"), Err(NumberError::NonHexDigit));
    assert_eq!(number::parse_hex("100000000"), Err(NumberError::TooLarge));
}

/// An address that is read without a family and with its own.
fn reads_as(text: &str, want: &str) {
    let want = ip(want);
    let host = Ok(Host::Address(want));
    assert_eq!(address::parse(text, None), host, "{text}");
    assert_eq!(
        address::parse(text, Some(Family::of(&want))),
        host,
        "{text}"
    );
}

#[test]
fn ipv4_address_has_one_to_four_decimal_bytes() {
    for (text, want) in [
        ("10.0.0.2", "10.0.0.2"),
        ("0.0.0.0", "0.0.0.0"),
        ("255.255.255.255", "255.255.255.255"),
        ("10", "10.0.0.0"),
        ("10.", "10.0.0.0"),
        ("10.1", "10.1.0.0"),
        ("10.1.", "10.1.0.0"),
        ("10.1.2", "10.1.2.0"),
        ("10.1.2.3.", "10.1.2.3"),
        // Leading zeros are decimal.
        ("010.008.009.0000099", "10.8.9.99"),
        ("0x0a000002", "10.0.0.2"),
        ("0xFFFFFFFE", "255.255.255.254"),
    ] {
        reads_as(text, want);
    }
}

#[test]
fn ipv4_address_with_0h_is_in_host_order() {
    let want = Ipv4Addr::from(0x0a00_0002u32.to_ne_bytes());
    reads_as("0h0a000002", &want.to_string());
}

#[test]
fn ipv6_address_is_read_in_every_valid_form() {
    for (text, want) in [
        ("::", "::"),
        ("::1", "::1"),
        ("1::", "1::"),
        ("1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7:8"),
        ("2001:DB8::A", "2001:db8::a"),
        ("2001:0db8:0000:0000:0000:0000:0000:0001", "2001:db8::1"),
        ("1:2:3:4:5:6:7::", "1:2:3:4:5:6:7:0"),
        ("::2:3:4:5:6:7:8", "0:2:3:4:5:6:7:8"),
        ("0:0:1::", "0:0:1::"),
        // KLIPS's first run and RFC 5952's longest.
        ("1::4:0:0:0:8", "1:0:0:4:0:0:0:8"),
        ("1:0:0:4::8", "1:0:0:4:0:0:0:8"),
        // KLIPS did not know these.
        ("::ffff:10.0.0.2", "::ffff:a00:2"),
        ("64:ff9b::10.0.0.2", "64:ff9b::a00:2"),
    ] {
        reads_as(text, want);
    }
}

#[test]
fn names_are_told_apart_from_addresses() {
    for text in [
        "gateway",
        "gw.example.com",
        "a-b_c.d",
        "3com.com",
        "10.x",
        "é.example",
        // Not ten characters, so not a hexadecimal address.
        "0x0a00002",
        "0x0a0000020",
        "0h0a00002",
    ] {
        let name = |family| Ok(Host::Name(text, family));
        assert_eq!(address::parse(text, None), name(Family::Inet), "{text}");
        for family in [Family::Inet, Family::Inet6] {
            assert_eq!(address::parse(text, Some(family)), name(family), "{text}");
        }
    }
}

#[test]
fn address_that_is_none_is_refused_for_its_reason() {
    use AddressError::*;
    let (guess, v4, v6) = (None, Some(Family::Inet), Some(Family::Inet6));
    for (text, family, error) in [
        ("", guess, Empty),
        ("", v4, Empty),
        ("", v6, Empty),
        ("::1", v4, ColonInIpv4),
        ("a:b", v4, ColonInIpv4),
        ("10.0.0.2", v6, NotIpv6),
        ("10", v6, NotIpv6),
        ("0x0a000002", v6, NotIpv6),
        ("10.0.0.256", guess, ByteOverflow),
        ("256", guess, ByteOverflow),
        ("1.2.3.99999999999999999999", guess, ByteOverflow),
        ("1.2.3.4.5", guess, DottedGarbage),
        ("1.2.3.4..", guess, DottedGarbage),
        ("1..3.4", guess, DottedEmpty),
        ("1.2..", guess, DottedEmpty),
        ("1.2.3,4", guess, DottedNonNumeric),
        ("1.2.+3", guess, DottedNonNumeric),
        ("10/8", guess, DottedNonNumeric),
        ("0x0a00000g", guess, Hexadecimal(NumberError::NonHexDigit)),
        ("0h0a00000g", v4, Hexadecimal(NumberError::NonHexDigit)),
        ("two words", guess, IllegalName),
        ("a/b", v4, IllegalName),
        ("a@b", v4, IllegalName),
        ("a\nb", v6, IllegalName),
        (":1", guess, LeadingColon),
        (":1:2:3:4:5:6:7", v6, LeadingColon),
        (":", guess, LeadingColon),
        ("1:", guess, TrailingColon),
        ("1:2:3:4:5:6:7:", v6, TrailingColon),
        ("1::2:", v6, TrailingColon),
        ("1::2::3", guess, TwoGaps),
        (":::", guess, TwoGaps),
        ("1:::2", guess, TwoGaps),
        ("1:2:3:4:5:6:7", guess, EndsPrematurely),
        ("1:2", guess, EndsPrematurely),
        ("1:2:3:4:5:6:7:8:9", guess, ExtraGarbage),
        ("1:2:3:4:5:6:7:8::9", guess, ExtraGarbage),
        ("1:2:3:4::5:6:7:8", guess, EmptyField),
        ("1:2:3:4:5:6:7:8::", guess, EmptyField),
        ("1:g::", guess, NonHexField),
        ("fe80::1%eth0", guess, NonHexField),
        ("[::1]", guess, NonHexField),
        ("::1/64", guess, NonHexField),
        ("12345::", guess, LongField),
        ("::00001", guess, LongField),
        ("::10.0.0.256", guess, NonHexField),
    ] {
        assert_eq!(address::parse(text, family), Err(error), "{text}");
    }
}

#[test]
fn address_errors_have_the_texts_of_ttoaddr() {
    use AddressError::*;
    for (error, text) in [
        (Empty, "empty string"),
        (ColonInIpv4, "non-ipv6 address may not contain `:'"),
        (LeadingColon, "illegal leading `:' in IPv6 numeric address"),
        (
            TrailingColon,
            "illegal trailing `:' in IPv6 numeric address",
        ),
        (TwoGaps, "more than one :: in IPv6 numeric address"),
        (EndsPrematurely, "IPv6 numeric address ends prematurely"),
        (ExtraGarbage, "extra garbage on end of IPv6 numeric address"),
        (
            EmptyField,
            "non-abbreviating empty field in IPv6 numeric address",
        ),
        (NonHexField, "non-hex field in IPv6 numeric address"),
        (
            LongField,
            "field in IPv6 numeric address longer than 4 hex digits",
        ),
        (ByteOverflow, "byte overflow in dotted-decimal address"),
        (
            DottedGarbage,
            "extra garbage on end of dotted-decimal address",
        ),
        (
            DottedNonNumeric,
            "non-numeric component in dotted-decimal address",
        ),
        (DottedEmpty, "empty number in dotted-decimal address"),
        (
            Hexadecimal(NumberError::NonHexDigit),
            "non-hex digit in hex number",
        ),
        (IllegalName, "illegal (non-DNS-name) character in name"),
        // The original says what its resolver says.
        (NotIpv6, "IPv4 address where an IPv6 address is needed"),
    ] {
        assert_eq!(error.to_string(), text);
    }
}

fn parse_said(text: &str) -> Result<Said, SaidError> {
    let unresolved = said::parse(text)?;
    match unresolved.dst {
        Host::Address(address) => Ok(unresolved.with_dst(address)),
        Host::Name(name, _) => panic!("{text} has the name {name}"),
    }
}

fn said_of(proto: Proto, spi: u32, dst: &str) -> Said {
    let dst = ip(dst);
    Said { dst, spi, proto }
}

#[test]
fn said_is_read_in_every_form() {
    use Proto::*;
    for (text, want) in [
        ("esp.101@1.2.3.4", said_of(Esp, 0x101, "1.2.3.4")),
        ("esp0x101@1.2.3.4", said_of(Esp, 0x101, "1.2.3.4")),
        ("esp0X101@1.2.3.4", said_of(Esp, 0x101, "1.2.3.4")),
        ("esp257@1.2.3.4", said_of(Esp, 257, "1.2.3.4")),
        ("esp0401@1.2.3.4", said_of(Esp, 257, "1.2.3.4")),
        ("esp.00000101@1.2.3.4", said_of(Esp, 0x101, "1.2.3.4")),
        ("esp:101@::1", said_of(Esp, 0x101, "::1")),
        ("esp0x101@::1", said_of(Esp, 0x101, "::1")),
        ("esp257@2001:db8::2", said_of(Esp, 257, "2001:db8::2")),
        ("ah.1@10.0.0.2", said_of(Ah, 1, "10.0.0.2")),
        ("ah:deadBEEF@::", said_of(Ah, 0xdead_beef, "::")),
        ("tun.113@10.0.0.2", said_of(Tun, 0x113, "10.0.0.2")),
        ("comp.3d0@10.0.0.2", said_of(Comp, 0x3d0, "10.0.0.2")),
        ("int.106@0.0.0.0", said_of(Int, 0x106, "0.0.0.0")),
        ("ah0@10.0.0.2", said_of(Ah, 0, "10.0.0.2")),
        ("ah.0@10", said_of(Ah, 0, "10.0.0.0")),
        ("tun.ffffffff@10.1", said_of(Tun, u32::MAX, "10.1.0.0")),
        ("ah1@0x0a000002", said_of(Ah, 1, "10.0.0.2")),
        ("%passthrough", said_of(Tun, 0, "0.0.0.0")),
        ("%passthrough4", said_of(Tun, 0, "0.0.0.0")),
        ("%passthrough6", said_of(Tun, 0, "::")),
        ("%pass", said_of(Int, 256, "0.0.0.0")),
        ("%drop", said_of(Int, 257, "0.0.0.0")),
        ("%reject", said_of(Int, 258, "0.0.0.0")),
        ("%hold", said_of(Int, 259, "0.0.0.0")),
        ("%trap", said_of(Int, 260, "0.0.0.0")),
        ("%trapsubnet", said_of(Int, 261, "0.0.0.0")),
    ] {
        assert_eq!(parse_said(text), Ok(want), "{text}");
    }
}

#[test]
fn said_with_a_name_says_in_which_family_to_look_it_up() {
    for (text, family) in [
        ("esp.101@gw.example", Family::Inet),
        ("esp0x101@gw.example", Family::Inet),
        ("esp:101@gw.example", Family::Inet6),
    ] {
        let unresolved = said::parse(text).unwrap();
        assert_eq!(unresolved.dst, Host::Name("gw.example", family), "{text}");
        let said = unresolved.with_dst(ip("10.9.9.9"));
        assert_eq!(said, said_of(Proto::Esp, 0x101, "10.9.9.9"));
    }
}

#[test]
fn said_that_is_none_is_refused_for_its_reason() {
    use SaidError::*;
    for (text, error) in [
        ("", Empty),
        ("a", TooShort),
        ("ah@1", TooShort),
        ("%pas", TooShort),
        ("%abcd", UnknownKeyword),
        ("%Pass", UnknownKeyword),
        ("%passthrough5", UnknownKeyword),
        ("%pass@1.2.3.4", UnknownKeyword),
        ("esp.101", NoAt),
        ("nothing", NoAt),
        ("foo.101@1.2.3.4", NoProto),
        ("ESP.101@1.2.3.4", NoProto),
        (".101@1.2.3.4", NoProto),
        ("@1.2.3.4", NoProto),
        (" esp.101@1.2.3.4", NoProto),
        ("unk77.9@1.2.3.4", NoProto),
        ("esp@1.2.3.4", NoSpi),
        ("esp.@1.2.3.4", NoSpiFound),
        ("esp:@::1", NoSpiFound),
        ("esp.0x101@1.2.3.4", Spi(NumberError::NonHexDigit)),
        ("esp.zz@1.2.3.4", Spi(NumberError::NonHexDigit)),
        ("esp..1@1.2.3.4", Spi(NumberError::NonHexDigit)),
        ("esp0x@1.2.3.4", Spi(NumberError::NonDigit)),
        ("esp0xzz@1.2.3.4", Spi(NumberError::NonHexDigit)),
        ("esp12a@1.2.3.4", Spi(NumberError::NonDigit)),
        ("esp08@1.2.3.4", Spi(NumberError::NonDigit)),
        ("esp-1@1.2.3.4", Spi(NumberError::NonDigit)),
        ("espx@1.2.3.4", Spi(NumberError::NonDigit)),
        ("esp.123456789@1.2.3.4", Spi(NumberError::TooLarge)),
        ("esp4294967296@1.2.3.4", Spi(NumberError::TooLarge)),
        ("esp:101@1.2.3.4", Address(AddressError::NotIpv6)),
        ("esp.101@::1", Address(AddressError::ColonInIpv4)),
        ("esp.101@", Address(AddressError::Empty)),
        ("esp.101@1.2.3.4@5", Address(AddressError::DottedNonNumeric)),
        ("esp.101@a@b", Address(AddressError::IllegalName)),
        ("esp.101@1.2.3.256", Address(AddressError::ByteOverflow)),
        ("esp0x101@1:2", Address(AddressError::EndsPrematurely)),
        // The SPI is looked at before the address.
        ("esp.zz@", Spi(NumberError::NonHexDigit)),
    ] {
        assert_eq!(parse_said(text), Err(error), "{text}");
    }
}

#[test]
fn said_errors_have_the_texts_of_ttosa() {
    use SaidError::*;
    for (error, text) in [
        (Empty, "empty string"),
        (TooShort, "string too short to be SA identifier"),
        (UnknownKeyword, "unknown % keyword"),
        (NoAt, "no @ in SA specifier"),
        (NoProto, "SA specifier lacks valid protocol prefix"),
        (NoSpi, "no SPI in SA specifier"),
        (NoSpiFound, "no SPI found in SA specifier"),
        (Spi(NumberError::NonDigit), "non-digit in number"),
        (
            Address(AddressError::ByteOverflow),
            "byte overflow in dotted-decimal address",
        ),
    ] {
        assert_eq!(error.to_string(), text);
    }
}

#[test]
fn said_is_printed_as_in_proc_and_as_in_the_manual() {
    use Proto::*;
    for (said, proc_text, manual_text) in [
        (
            said_of(Tun, 0x113, "10.0.0.2"),
            "tun0x113@10.0.0.2",
            "tun.113@10.0.0.2",
        ),
        (said_of(Esp, 0x101, "::1"), "esp0x101@::1", "esp:101@::1"),
        (
            said_of(Ah, u32::MAX, "255.255.255.255"),
            "ah0xffffffff@255.255.255.255",
            "ah.ffffffff@255.255.255.255",
        ),
        (
            said_of(Comp, 0, "2001:db8::2"),
            "comp0x0@2001:db8::2",
            "comp:0@2001:db8::2",
        ),
        // Only without SPI and address does a tunnel mean "pass through".
        (
            said_of(Tun, 0, "0.0.0.1"),
            "tun0x0@0.0.0.1",
            "tun.0@0.0.0.1",
        ),
        (
            said_of(Tun, 1, "0.0.0.0"),
            "tun0x1@0.0.0.0",
            "tun.1@0.0.0.0",
        ),
        (
            said_of(Esp, 0, "0.0.0.0"),
            "esp0x0@0.0.0.0",
            "esp.0@0.0.0.0",
        ),
        (said_of(Tun, 0, "0.0.0.0"), "%passthrough4", "%passthrough4"),
        (said_of(Tun, 0, "::"), "%passthrough6", "%passthrough6"),
        (
            said_of(Int, 0x106, "0.0.0.0"),
            "int0x106@0.0.0.0",
            "int.106@0.0.0.0",
        ),
        (
            said_of(Int, 255, "10.0.0.2"),
            "int0xff@10.0.0.2",
            "int.ff@10.0.0.2",
        ),
        (said_of(Int, 256, "0.0.0.0"), "%pass", "%pass"),
        (said_of(Int, 257, "0.0.0.0"), "%drop", "%drop"),
        (said_of(Int, 258, "0.0.0.0"), "%reject", "%reject"),
        (said_of(Int, 259, "0.0.0.0"), "%hold", "%hold"),
        (said_of(Int, 260, "0.0.0.0"), "%trap", "%trap"),
        (said_of(Int, 261, "0.0.0.0"), "%trapsubnet", "%trapsubnet"),
        // The address of a magic SAID is not told.
        (said_of(Int, 261, "10.0.0.2"), "%trapsubnet", "%trapsubnet"),
        (
            said_of(Ah, 256, "0.0.0.0"),
            "ah0x100@0.0.0.0",
            "ah.100@0.0.0.0",
        ),
    ] {
        assert_eq!(format!("{said}"), proc_text);
        assert_eq!(format!("{said:#}"), manual_text);
    }
}

#[test]
fn ipv6_text_follows_rfc_5952() {
    for (groups, text) in [
        ([0, 0, 0, 0, 0, 0, 0, 0], "::"),
        ([0, 0, 0, 0, 0, 0, 0, 1], "::1"),
        ([1, 0, 0, 0, 0, 0, 0, 0], "1::"),
        // The longest run, not the first.
        ([1, 0, 0, 4, 0, 0, 0, 8], "1:0:0:4::8"),
        // The first of two that are as long.
        ([1, 0, 0, 4, 5, 0, 0, 8], "1::4:5:0:0:8"),
        ([0, 0, 3, 4, 5, 6, 0, 0], "::3:4:5:6:0:0"),
        // A single group is not shortened.
        ([1, 0, 3, 4, 5, 6, 7, 8], "1:0:3:4:5:6:7:8"),
        ([0, 2, 3, 4, 5, 6, 7, 0], "0:2:3:4:5:6:7:0"),
        // Lower case, no leading zeros.
        (
            [0x2001, 0xdb8, 0xa, 0xb, 0xc, 0xd, 0xe, 0xabcd],
            "2001:db8:a:b:c:d:e:abcd",
        ),
        ([0xfe80, 0, 0, 0, 0, 0xa, 0xb, 0], "fe80::a:b:0"),
    ] {
        let said = Said {
            dst: Ipv6Addr::from(groups).into(),
            spi: 1,
            proto: Proto::Ah,
        };
        assert_eq!(format!("{said}"), format!("ah0x1@{text}"));
    }
}

#[test]
fn every_protocol_has_its_name() {
    for (proto, name, number) in [
        (Proto::Ah, "ah", 51),
        (Proto::Esp, "esp", 50),
        (Proto::Tun, "tun", 4),
        (Proto::Comp, "comp", 108),
        (Proto::Int, "int", 61),
    ] {
        assert_eq!(proto.name(), name);
        assert_eq!(proto as u8, number);
        assert_eq!(said::proto(name), Some(proto));
    }
    assert_eq!(said::proto("icmp"), None);
    assert_eq!(said::proto("AH"), None);
}

/// RFC 5952 section 4, in other words than the library's.
fn rfc_5952(address: Ipv6Addr) -> String {
    if let Some(mapped) = address.to_ipv4_mapped() {
        return format!("::ffff:{mapped}");
    }
    let groups = address.segments();
    let text = |groups: &[u16]| {
        let digits: Vec<String> = groups.iter().map(|group| format!("{group:x}")).collect();
        digits.join(":")
    };
    for len in (2..=8).rev() {
        for start in 0..=8 - len {
            if groups[start..start + len].iter().all(|group| *group == 0) {
                return format!(
                    "{}::{}",
                    text(&groups[..start]),
                    text(&groups[start + len..])
                );
            }
        }
    }
    text(&groups)
}

fn any_ipv6() -> impl Strategy<Value = Ipv6Addr> {
    // Many zeros, to have runs of them.
    let group = prop_oneof![3 => Just(0u16), 1 => 1..16u16, 1 => any::<u16>()];
    prop::array::uniform8(group).prop_map(Ipv6Addr::from)
}

fn any_ip() -> impl Strategy<Value = IpAddr> {
    prop_oneof![
        any::<u32>().prop_map(|bits| Ipv4Addr::from(bits).into()),
        any_ipv6().prop_map(IpAddr::from),
    ]
}

fn any_said() -> impl Strategy<Value = Said> {
    let spi = prop_oneof![any::<u32>(), 0..300u32];
    let dst = prop_oneof![
        4 => any_ip(),
        1 => Just(ip("0.0.0.0")),
        1 => Just(ip("::")),
    ];
    (prop::sample::select(&PROTOS[..]), spi, dst).prop_map(|(proto, spi, dst)| {
        // The text of a magic SAID has no address.
        let magic = proto == Proto::Int && (256..=261).contains(&spi);
        let dst = if magic { ip("0.0.0.0") } else { dst };
        Said { dst, spi, proto }
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn said_survives_being_printed_and_read(said in any_said()) {
        prop_assert_eq!(parse_said(&format!("{said}")), Ok(said));
        prop_assert_eq!(parse_said(&format!("{said:#}")), Ok(said));
    }

    #[test]
    fn every_ipv6_text_is_the_one_of_rfc_5952(address in any_ipv6()) {
        let said = Said { dst: address.into(), spi: 0x101, proto: Proto::Esp };
        prop_assert_eq!(format!("{said:#}"), format!("esp:101@{}", rfc_5952(address)));
    }

    #[test]
    fn address_survives_being_printed_and_read(address in any_ip()) {
        let text = address.to_string();
        prop_assert_eq!(address::parse(&text, None), Ok(Host::Address(address)));
    }

    #[test]
    fn number_is_read_in_all_bases(value in any::<u32>()) {
        prop_assert_eq!(number::parse(&format!("{value}")), Ok(value));
        prop_assert_eq!(number::parse(&format!("{value:#x}")), Ok(value));
        prop_assert_eq!(number::parse(&format!("0{value:o}")), Ok(value));
        prop_assert_eq!(number::parse_hex(&format!("{value:X}")), Ok(value));
    }

    #[test]
    fn any_text_is_read_or_refused(text in "\\PC*") {
        let _ = number::parse(&text);
        let _ = address::parse(&text, None);
        let _ = said::parse(&text);
    }

    #[test]
    fn almost_a_said_is_read_or_refused(text in "(ah|esp|tun|comp|int|%)?[.:0x]?[0-9a-fx@:.%]{0,40}") {
        if let Ok(unresolved) = said::parse(&text) {
            if let Host::Address(address) = unresolved.dst {
                let said = unresolved.with_dst(address);
                prop_assert_eq!(parse_said(&format!("{said}")), Ok(said), "{}", text);
            }
        }
        for family in [None, Some(Family::Inet), Some(Family::Inet6)] {
            let _ = address::parse(&text, family);
        }
    }
}
