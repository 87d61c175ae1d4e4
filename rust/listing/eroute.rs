// SPDX-License-Identifier: GPL-2.0

//! A line of `/proc/net/ipsec_eroute`: an eroute and how many packets have gone through the SA that
//! it names (reference 6.4).

use crate::klips_core::{
    said::{
        Proto,
        Said, //
    },
    selector::{
        End,
        Selector, //
    }, //
};
use core::{
    fmt,
    net::IpAddr, //
};

pub(super) struct Line {
    pub(super) packets: u64,
    pub(super) selector: Selector,
    pub(super) said: Said,
}

/// Text that takes at least so many places, blanks behind it.
struct Padded<T>(T, usize);

impl fmt::Display for Padded<End> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Padded(end, width) = self;
        let mut counted = Counted { out: f, len: 0 };
        fmt::write(&mut counted, format_args!("{end}"))?;
        for _ in counted.len..*width {
            counted.out.write_str(" ")?;
        }
        Ok(())
    }
}

/// Counts what is written. All of it is ASCII.
struct Counted<'a, 'b> {
    out: &'a mut fmt::Formatter<'b>,
    len: usize,
}

impl fmt::Write for Counted<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.len += text.len();
        self.out.write_str(text)
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Line {
            packets,
            selector,
            said,
        } = self;
        let (src, dst) = (selector.src_text(), selector.dst_text());
        write!(
            f,
            "{packets:<10} {} -> {} => ",
            Padded(src, 18),
            Padded(dst, 18),
        )?;
        match (selector.proto, said.dst) {
            (0, _) => write!(f, "{said}"),
            // Without brackets, nobody could tell the protocol from the end of the address.
            (proto, IpAddr::V6(dst)) if said.proto != Proto::Int => {
                write!(f, "{}0x{:x}@[{dst}]:{proto}", said.proto.name(), said.spi)
            }
            (proto, _) => write!(f, "{said}:{proto}"),
        }
    }
}
