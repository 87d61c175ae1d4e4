// SPDX-License-Identifier: GPL-2.0

//! Routes as `/proc/net/route` and `/proc/net/ipv6_route` list them: those of the main table.
//!
//! ```text
//! Iface Destination Gateway  Flags RefCnt Use Metric Mask     MTU Window IRTT
//! eth0  00000000    010200C0 0003  0      0   100    00000000 0   0      0
//! ```
//!
//! IPv4 addresses are written as the processor has them in memory; IPv6 has 32 digits and a prefix,
//! for destination and source, then the gateway, metric, counts, flags and the interface.

use crate::system::System;
use klips::{address::Family, selector::Network};
use std::{
    io::{BufRead, BufReader},
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

/// A route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Route {
    pub(crate) dst: Network,
    pub(crate) metric: u32,
    pub(crate) interface: String,
}

/// RTF_UP and RTF_REJECT of <linux/route.h>: whether it is used, and whether it only refuses.
const UP: u32 = 0x1;
const REJECT: u32 = 0x200;

/// The routes of a family that lead anywhere. None, if they can't be read.
pub(crate) fn read(family: Family, system: &mut impl System) -> Vec<Route> {
    let (file, parse): (_, fn(&str) -> Option<Route>) = match family {
        Family::Inet => ("/proc/net/route", ipv4),
        Family::Inet6 => ("/proc/net/ipv6_route", ipv6),
    };
    let Ok(file) = system.input(file) else {
        return Vec::new();
    };
    let lines = BufReader::new(file).lines().map_while(Result::ok);
    lines.filter_map(|line| parse(&line)).collect()
}

fn leads_somewhere(flags: &str) -> Option<()> {
    let flags = u32::from_str_radix(flags, 16).ok()?;
    (flags & UP != 0 && flags & REJECT == 0).then_some(())
}

fn ipv4(line: &str) -> Option<Route> {
    let words: Vec<_> = line.split_ascii_whitespace().collect();
    let [interface, dst, _, flags, _, _, metric, mask, ..] = *words else {
        return None;
    };
    leads_somewhere(flags)?;
    let bits = |text| u32::from_str_radix(text, 16).ok();
    let dst = Ipv4Addr::from(bits(dst)?.to_ne_bytes());
    let prefix = u8::try_from(bits(mask)?.count_ones()).ok()?;
    Some(Route {
        dst: Network::of(IpAddr::V4(dst), prefix)?,
        metric: metric.parse().ok()?,
        interface: interface.to_owned(),
    })
}

fn ipv6(line: &str) -> Option<Route> {
    let words: Vec<_> = line.split_ascii_whitespace().collect();
    let [dst, prefix, _, _, _, metric, _, _, flags, interface] = *words else {
        return None;
    };
    leads_somewhere(flags)?;
    let dst = Ipv6Addr::from(u128::from_str_radix(dst, 16).ok()?);
    Some(Route {
        dst: Network::of(IpAddr::V6(dst), u8::from_str_radix(prefix, 16).ok()?)?,
        metric: u32::from_str_radix(metric, 16).ok()?,
        interface: interface.to_owned(),
    })
}
