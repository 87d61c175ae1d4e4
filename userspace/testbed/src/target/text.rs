// SPDX-License-Identifier: GPL-2.0

//! Texts of numbers, addresses and SAIDs: what is read can be printed and read again.

use klips::{
    address::Family,
    said::{Proto, Said},
};
use pfkey::text::{
    address::{self, Host},
    number, said,
};
use std::net::IpAddr;

/// Reads a text as everything that it may be, prints what it is and reads it again.
pub fn text(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    numbers(text);
    for family in [None, Some(Family::Inet), Some(Family::Inet6)] {
        addresses(text, family);
    }
    saids(text);
}

fn numbers(text: &str) {
    match number::parse(text) {
        Ok(value) => {
            for printed in [
                format!("{value}"),
                format!("{value:#x}"),
                format!("0{value:o}"),
            ] {
                assert_eq!(number::parse(&printed), Ok(value), "{text:?}");
            }
        }
        Err(error) => assert_ne!(error.to_string(), ""),
    }
    if let Ok(value) = number::parse_hex(text) {
        assert_eq!(number::parse_hex(&format!("{value:x}")), Ok(value));
    }
}

fn addresses(text: &str, family: Option<Family>) {
    match address::parse(text, family) {
        Ok(Host::Address(ip)) => {
            let of_ip = Family::of(&ip);
            assert!(family.is_none_or(|family| family == of_ip), "{text:?}");
            let printed = ip.to_string();
            assert_eq!(
                address::parse(&printed, family),
                Ok(Host::Address(ip)),
                "{text:?}"
            );
        }
        Ok(Host::Name(name, of_name)) => {
            assert_eq!(name, text);
            assert!(family.is_none_or(|family| family == of_name), "{text:?}");
        }
        Err(error) => assert_ne!(error.to_string(), ""),
    }
}

fn saids(text: &str) {
    match said::parse(text) {
        Ok(unresolved) => {
            let Host::Address(ip) = unresolved.dst else {
                return;
            };
            let said = unresolved.with_dst(ip);
            for printed in [format!("{said}"), format!("{said:#}")] {
                assert_eq!(read(&printed), Some(meant(said, &printed)), "{text:?}");
            }
        }
        Err(error) => assert_ne!(error.to_string(), ""),
    }
}

fn read(text: &str) -> Option<Said> {
    let unresolved = said::parse(text).ok()?;
    match unresolved.dst {
        Host::Address(ip) => Some(unresolved.with_dst(ip)),
        Host::Name(..) => None,
    }
}

/// What a printed SAID means: the keyword of a magic one says nothing of its destination.
fn meant(said: Said, printed: &str) -> Said {
    if said.proto == Proto::Int && printed.starts_with('%') {
        Said {
            dst: IpAddr::from([0; 4]),
            ..said
        }
    } else {
        said
    }
}
