// SPDX-License-Identifier: GPL-2.0

//! Settings of the kernel's network that work against eroutes: those in `/proc/sys/net`
//! (Documentation/networking/ip-sysctl.rst).

use super::{finding::Finding, modules::text};
use crate::{
    eroute::table::Row,
    system::{Interface, System},
};
use klips::address::Family;

/// What of it matters.
pub(super) struct Use<'a> {
    pub(super) rows: &'a [Row],
    pub(super) interfaces: &'a [Interface],
    /// Whether anything comes in by SAs.
    pub(super) has_inbound: bool,
}

/// Looks at all of it.
pub(super) fn findings(of: &Use<'_>, system: &mut impl System) -> Vec<Finding> {
    let mut findings = forwarding(of, system);
    findings.extend(per_interface(of, system));
    if text(system, "/proc/net/xfrm_stat").is_none() {
        findings.push(Finding::warning(
            "statistics",
            "the kernel does not count what it drops".to_owned(),
            "build it with CONFIG_XFRM_STATISTICS".to_owned(),
        ));
    }
    findings
}

fn number(system: &mut impl System, setting: &str) -> Option<u64> {
    let path = format!("/proc/sys/{}", setting.replace('.', "/"));
    text(system, &path)?.trim().parse().ok()
}

/// Networks behind this host need it to forward.
fn forwarding(of: &Use<'_>, system: &mut impl System) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (family, setting) in [
        (Family::Inet, "net.ipv4.ip_forward"),
        (Family::Inet6, "net.ipv6.conf.all.forwarding"),
    ] {
        let own = |row: &&Row| {
            let src = row.selector.src;
            let bits = match family {
                Family::Inet => 32,
                Family::Inet6 => 128,
            };
            Family::of(&src.address()) == family
                && !(src.prefix() == bits && has(of.interfaces, &src.address()))
        };
        let Some(row) = of.rows.iter().find(own) else {
            continue;
        };
        match number(system, setting) {
            Some(0) => findings.push(Finding::warning(
                "forwarding",
                format!(
                    "{setting} is 0, so packets of hosts in {} are not forwarded, only those of this host",
                    row.selector.src
                ),
                format!("sysctl -w {setting}=1; in /etc/sysctl.d for the next boot"),
            )),
            Some(_) => findings.push(Finding::ok("forwarding", format!("{setting} is on"))),
            None => (),
        }
    }
    findings
}

fn has(interfaces: &[Interface], address: &std::net::IpAddr) -> bool {
    let mut all = interfaces.iter().flat_map(|interface| &interface.addresses);
    all.any(|own| own == address)
}

/// What each interface may have, or all of them.
fn per_interface(of: &Use<'_>, system: &mut impl System) -> Vec<Finding> {
    let mut findings = Vec::new();
    let forwards = number(system, "net.ipv4.ip_forward").is_some_and(|value| value != 0);
    // What comes by the loopback device is never checked, nor what leaves by it transformed.
    for interface in of
        .interfaces
        .iter()
        .filter(|interface| interface.name != "lo")
    {
        let name = &interface.name;
        let mut both = |setting: &str| {
            let of = |whose: &str| format!("net.ipv4.conf.{whose}.{setting}");
            // A name with a dot has a slash in the names of settings.
            let path = format!("/proc/sys/net/ipv4/conf/{name}/{setting}");
            let own = text(system, &path).and_then(|text| text.trim().parse::<u64>().ok());
            let all = number(system, &of("all"));
            (
                own.unwrap_or(0),
                all.unwrap_or(0),
                of(&name.replace('.', "/")),
            )
        };
        let (own, all, setting) = both("disable_xfrm");
        if own != 0 || all != 0 {
            findings.push(Finding::error(
                "disable_xfrm",
                format!(
                    "{setting} is on: what leaves by {name} is sent in clear, whatever eroutes say"
                ),
                format!("sysctl -w {setting}=0 net.ipv4.conf.all.disable_xfrm=0"),
            ));
        }
        let (own, all, setting) = both("disable_policy");
        if own != 0 || all != 0 {
            findings.push(Finding::error(
                "disable_policy",
                format!("{setting} is on: what comes in by {name} is taken in clear, too"),
                format!("sysctl -w {setting}=0 net.ipv4.conf.all.disable_policy=0"),
            ));
        }
        let (own, all, setting) = both("rp_filter");
        if of.has_inbound && own.max(all) == 1 {
            findings.push(Finding::warning(
                "rp_filter",
                format!(
                    "{setting} is strict: what comes out of a tunnel is dropped if the way back does not \
                     lead through {name}"
                ),
                format!("sysctl -w {setting}=2 net.ipv4.conf.all.rp_filter=2"),
            ));
        }
        let (own, all, setting) = both("send_redirects");
        if forwards && !of.rows.is_empty() && (own != 0 || all != 0) {
            findings.push(Finding::warning(
                "redirects",
                format!("{setting} is on: hosts may be told to send past this gateway, in clear"),
                format!("sysctl -w {setting}=0 net.ipv4.conf.all.send_redirects=0"),
            ));
        }
        let (own, all, setting) = both("accept_redirects");
        let accepts = if forwards {
            own != 0 && all != 0
        } else {
            own != 0 || all != 0
        };
        if accepts && !of.rows.is_empty() {
            findings.push(Finding::warning(
                "redirects",
                format!("{setting} is on: others may lead packets elsewhere"),
                format!("sysctl -w {setting}=0 net.ipv4.conf.all.accept_redirects=0"),
            ));
        }
    }
    findings
}
