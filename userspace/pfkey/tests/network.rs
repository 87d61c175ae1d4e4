// SPDX-License-Identifier: GPL-2.0

//! Networks as people type them.

use klips::address::Family;
use pfkey::text::{
    address::{AddressError, Host},
    network::{NetworkError, Unresolved, parse},
    number::NumberError,
};
use proptest::prelude::*;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// What is read, with all of it looked up.
fn network(text: &str, family: Option<Family>) -> Result<(String, Option<u16>), NetworkError> {
    let read = parse(text, family)?;
    let Host::Address(address) = read.address else {
        panic!("{text} is a name");
    };
    let network = read.with_address(address).expect("no more bits");
    Ok((network.to_string(), read.port))
}

#[test]
fn forms_that_are_read() {
    for (text, want) in [
        ("10.0.1.0/24", "10.0.1.0/24"),
        ("10.0.1.255/24", "10.0.1.0/24"),
        ("10.0.1.255/255.255.255.0", "10.0.1.0/24"),
        ("10.0.1/24", "10.0.1.0/24"),
        ("10/8", "10.0.0.0/8"),
        ("0/0", "0.0.0.0/0"),
        ("1.2.3.4/0.0.0.0", "0.0.0.0/0"),
        ("1.2.3.4/255.255.255.255", "1.2.3.4/32"),
        ("1.2.3.4/032", "1.2.3.4/32"),
        ("0x0a000001/0xff000000", "10.0.0.0/8"),
        ("%default", "0.0.0.0/0"),
        ("::/0", "::/0"),
        ("2001:db8:1::1/32", "2001:db8::/32"),
        ("2001:db8::1/128", "2001:db8::1/128"),
    ] {
        assert_eq!(network(text, None), Ok((want.to_owned(), None)), "{text}");
    }
    let family = Some(Family::Inet6);
    assert_eq!(network("%default", family), Ok(("::/0".to_owned(), None)));
    for (text, want) in [
        ("10.0.1.0/24:80", "10.0.1.0/24"),
        ("10.0.1.0/255.255.255.0:80", "10.0.1.0/24"),
        ("2001:db8::/32:80", "2001:db8::/32"),
    ] {
        assert_eq!(network(text, None), Ok((want.to_owned(), Some(80))));
    }
}

#[test]
fn names_are_left_to_others() {
    for (family, address) in [
        (None, IpAddr::from([10, 0, 0, 2])),
        (Some(Family::Inet), [10, 0, 0, 2].into()),
        (Some(Family::Inet6), "2001:db8::2".parse().unwrap()),
    ] {
        let read = parse("gw2/24:53", family).unwrap();
        let want = Unresolved {
            address: Host::Name("gw2", family.unwrap_or(Family::Inet)),
            prefix: 24,
            port: Some(53),
        };
        assert_eq!(read, want);
        let network = read.with_address(address).unwrap();
        assert_eq!(network.prefix(), 24);
        assert!(network.contains(address));
    }
    let read = parse("gw2/64", Some(Family::Inet6)).unwrap();
    assert_eq!(read.with_address([10, 0, 0, 2].into()), None);
}

#[test]
fn what_is_no_network() {
    use NetworkError::{Address, Ipv6Mask, Mask, NoSlash, Port, TooManyBits};
    for (text, want) in [
        ("", Address(AddressError::Empty)),
        ("/", Address(AddressError::Empty)),
        ("/24", Address(AddressError::Empty)),
        ("10.0.1.0", NoSlash),
        ("default", NoSlash),
        ("10.0.1.0/", Address(AddressError::Empty)),
        ("10.0.1.0/33", TooManyBits),
        ("10.0.1.0/256", TooManyBits),
        ("10.0.1.0/99999999999", TooManyBits),
        ("2001:db8::/129", TooManyBits),
        ("10.0.1.0/+24", Address(AddressError::IllegalName)),
        ("10.0.1.0/mask", Mask),
        ("10.0.1.0/255.0.255.0", Mask),
        ("10.0.1.0/0.0.0.255", Mask),
        ("10.0.1.0/255.255.255.1", Mask),
        (
            "10.0.1.0/255.255.256.0",
            Address(AddressError::ByteOverflow),
        ),
        (
            "10.0.1.0/0xfffffg00",
            Address(AddressError::Hexadecimal(NumberError::NonHexDigit)),
        ),
        ("2001:db8::/ffff::", Ipv6Mask),
        ("2001:db8::/255.255.0.0", Ipv6Mask),
        ("10.0.1.0/24:", Port),
        ("10.0.1.0/24:0", Port),
        ("10.0.1.0/24:+80", Port),
        ("10.0.1.0/24:65536", Port),
        ("10.0.1.0/24:http", Port),
        ("10.0.1.0/24:80:80", Port),
        ("10.0.256.0/24", Address(AddressError::ByteOverflow)),
        ("gw2!/24", Address(AddressError::IllegalName)),
    ] {
        assert_eq!(parse(text, None).map(drop), Err(want), "{text}");
    }
    let inet = |text, family| parse(text, Some(family)).map(drop);
    let colon = Address(AddressError::ColonInIpv4);
    assert_eq!(inet("2001:db8::/32", Family::Inet), Err(colon));
    let dotted = Address(AddressError::NotIpv6);
    assert_eq!(inet("10.0.1.0/24", Family::Inet6), Err(dotted));
}

proptest! {
    /// Every network reads as it is printed, with and without a port.
    #[test]
    fn what_is_printed_is_read(
        bits in any::<u128>(),
        is_v4 in any::<bool>(),
        prefix in 0..=128u8,
        port in prop::option::of(1..=u16::MAX),
    ) {
        let (address, prefix) = if is_v4 {
            (IpAddr::from(Ipv4Addr::from_bits(bits as u32)), prefix % 33)
        } else {
            (IpAddr::from(Ipv6Addr::from_bits(bits)), prefix)
        };
        let want = klips::selector::Network::of(address, prefix).unwrap();
        let text = match port {
            Some(port) => format!("{want}:{port}"),
            None => want.to_string(),
        };
        prop_assert_eq!(network(&text, None), Ok((want.to_string(), port)));
    }

    /// Nothing makes it panic.
    #[test]
    fn anything_is_read_or_refused(text in "[0-9a-f.:/%x ]{0,24}") {
        let _ = parse(&text, None);
    }
}
