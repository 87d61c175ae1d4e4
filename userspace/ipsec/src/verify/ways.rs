// SPDX-License-Identifier: GPL-2.0

//! Whether packets get to their eroutes, and from there to the other end.

use super::finding::Finding;
use crate::{
    eroute::{
        Packets,
        path::{Obstacle, Sas, is_word},
        table::Row,
    },
    routes::{self, Route},
    system::System,
};
use klips::{address::Family, said::Shunt, selector::Network};

/// Looks at each eroute.
pub(super) fn findings(rows: &[Row], sas: &Sas, system: &mut impl System) -> Vec<Finding> {
    let routes = [Family::Inet, Family::Inet6].map(|family| routes::read(family, system));
    let routes = |of: &Network| match Family::of(&of.address()) {
        Family::Inet => routes[0].as_slice(),
        Family::Inet6 => routes[1].as_slice(),
    };
    let mut findings = Vec::new();
    for row in rows {
        let packets = Packets(&row.selector);
        let Some(said) = row.sa.said() else { continue };
        if Shunt::of(&said).is_some_and(|it| it != Shunt::Pass) {
            continue;
        }
        let dst = &row.selector.dst;
        if !leads(routes(dst), dst) {
            findings.push(Finding::warning(
                "routes",
                format!(
                    "no route leads to {dst}, so that no packet gets to the eroute {packets}, as far as the \
                     main table tells"
                ),
                format!("ip route add {dst} via GATEWAY"),
            ));
        }
        if is_word(&said) {
            continue;
        }
        match sas.way(row, &said) {
            Err(obstacle) => {
                let remedy = match obstacle {
                    Obstacle::LessProtection => format!(
                        "ipsec look shows the chain; group its SAs as they were, or, if it is meant so: {}",
                        replacing(row)
                    ),
                    _ => "ipsec look shows the chain; make its SAs and group them, or delete the eroute"
                        .to_owned(),
                };
                findings.push(Finding::error(
                    "chains",
                    format!("the eroute {packets} drops all packets: {obstacle}"),
                    remedy,
                ));
            }
            Ok(path) => {
                if path.is_in_clear() {
                    findings.push(Finding::error(
                        "chains",
                        format!(
                            "the eroute {packets} leads to no ESP and no AH, so nothing protects it"
                        ),
                        "group the SA with one that does".to_owned(),
                    ));
                }
                let ends = path.saids.last().map(|said| said.dst);
                let end =
                    ends.and_then(|dst| Network::of(dst, if dst.is_ipv4() { 32 } else { 128 }));
                if let Some(end) = end.filter(|end| !leads(routes(end), end)) {
                    findings.push(Finding::warning(
                        "routes",
                        format!(
                            "no route leads to {}, the other end of the eroute {packets}",
                            end.address()
                        ),
                        format!("ip route add {end} via GATEWAY"),
                    ));
                }
            }
        }
    }
    if findings.is_empty() && !rows.is_empty() {
        findings.push(Finding::ok(
            "eroutes",
            "each has a route, and a chain that packets can go through",
        ));
    }
    findings
}

/// What says once more what an eroute is to do.
fn replacing(row: &Row) -> String {
    let (src, dst) = (row.selector.src_text(), row.selector.dst_text());
    let proto = match row.selector.proto {
        0 => String::new(),
        proto => format!(" --transport-proto {proto}"),
    };
    format!(
        "ipsec eroute --replace --src {src} --dst {dst}{proto} --said {}",
        row.sa.text()
    )
}

/// Whether a route leads to a network, or to a part of it.
fn leads(routes: &[Route], to: &Network) -> bool {
    routes.iter().any(|route| {
        let (wide, narrow) = if route.dst.prefix() <= to.prefix() {
            (&route.dst, to)
        } else {
            (to, &route.dst)
        };
        wide.contains(narrow.address())
    })
}
