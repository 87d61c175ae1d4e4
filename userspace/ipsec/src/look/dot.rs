// SPDX-License-Identifier: GPL-2.0

//! The picture for graphviz: eroutes lead to the innermost SA of a chain, and on to the outside; what
//! comes in goes the other way.

use super::{
    chain::Sa,
    picture::{Eroute, Picture},
};
use crate::eroute::Packets;
use std::fmt::Write;

/// All of it as a directed graph.
pub(super) fn text(picture: &Picture) -> String {
    let mut dot = Dot {
        text: "digraph klips {\n\trankdir=LR;\n\tnode [shape=box, fontname=\"monospace\"];\n"
            .to_owned(),
        clusters: 0,
    };
    let mut drawn: Vec<&str> = Vec::new();
    for eroute in &picture.eroutes {
        // Several eroutes may lead to one chain.
        let first = eroute.chain.first().map(|sa| sa.entry.text());
        if let Some(first) = first.filter(|first| !drawn.contains(first)) {
            drawn.push(first);
            dot.chain(&eroute.chain, "what leaves", false);
        }
        dot.eroute(eroute);
    }
    for chain in &picture.inbound {
        dot.chain(chain, "what comes in", true);
    }
    for chain in &picture.unused {
        dot.chain(chain, "no eroute leads here", false);
    }
    dot.text + "}\n"
}

struct Dot {
    text: String,
    clusters: usize,
}

impl Dot {
    fn line(&mut self, line: &str) {
        let _ = writeln!(self.text, "\t{line}");
    }

    fn eroute(&mut self, eroute: &Eroute) {
        let selector = Packets(&eroute.row.selector).to_string();
        let node = quoted(&format!("eroute {selector}"));
        let packets = eroute
            .packets
            .map_or(String::new(), |packets| format!("\n{packets} packets"));
        let label = quoted(&format!("{selector}{packets}"));
        self.line(&format!("{node} [shape=ellipse, label={label}];"));
        match (&eroute.blocked, eroute.chain.first()) {
            (Some(why), _) => {
                let end = quoted(&format!("dropped {selector}"));
                let label = quoted(&format!("dropped:\n{why}"));
                self.line(&format!("{end} [shape=octagon, color=red, label={label}];"));
                self.line(&format!("{node} -> {end} [color=red];"));
            }
            (None, Some(first)) => {
                let first = quoted(first.entry.text());
                self.line(&format!("{node} -> {first};"));
            }
            (None, None) => {
                let end = quoted("in clear");
                self.line(&format!("{end} [shape=octagon, color=orange];"));
                self.line(&format!("{node} -> {end} [color=orange];"));
            }
        }
    }

    /// A chain in a box of its own.
    fn chain(&mut self, chain: &[Sa], label: &str, inbound: bool) {
        self.clusters += 1;
        self.line(&format!("subgraph cluster_{} {{", self.clusters));
        self.line(&format!("\tlabel={};", quoted(label)));
        for sa in chain {
            let label = match &sa.known {
                Some(known) => quoted(&format!(
                    "{}\n{}\n{} packets, {} bytes",
                    sa.entry.text(),
                    known.transform,
                    known.packets,
                    known.bytes
                )),
                None => quoted(&format!("{}\nis not there", sa.entry.text())),
            };
            let color = if sa.known.is_none() {
                ", color=red"
            } else {
                ""
            };
            self.line(&format!(
                "\t{} [label={label}{color}];",
                quoted(sa.entry.text())
            ));
        }
        for pair in chain.windows(2) {
            let [inner, outer] = [&pair[0], &pair[1]].map(|sa| quoted(sa.entry.text()));
            self.line(&if inbound {
                format!("\t{outer} -> {inner};")
            } else {
                format!("\t{inner} -> {outer};")
            });
        }
        self.line("}");
    }
}

/// A string of the language: quotes are escaped, lines end in `\n`, and nothing else is special.
fn quoted(text: &str) -> String {
    let escaped = text.replace('\\', "\\\\").replace('"', "\\\"");
    format!("\"{}\"", escaped.replace('\n', "\\n"))
}
