// SPDX-License-Identifier: GPL-2.0

//! The picture for a reader: a section for each kind, chains one SA a line, inside to outside.

use super::{
    chain::{Known, Sa},
    picture::{Eroute, Picture},
};
use crate::{entry::Entry, eroute::Packets};
use anstyle::{AnsiColor, Style};
use std::{fmt::Write, time::Duration};

/// How it is drawn.
pub(super) fn text(picture: &Picture, colors: bool) -> String {
    let mut drawing = Drawing {
        text: String::new(),
        colors,
        names: 0,
        transforms: 0,
    };
    let chains = picture.eroutes.iter().map(|eroute| &eroute.chain);
    let chains = chains.chain(&picture.inbound).chain(&picture.unused);
    for sa in chains.flatten() {
        let transform = sa.known.as_ref().map_or(0, |known| known.transform.len());
        drawing.names = drawing.names.max(sa.entry.text().len());
        drawing.transforms = drawing.transforms.max(transform);
    }
    drawing.interfaces(picture);
    drawing.head("Eroutes: what leaves");
    for eroute in &picture.eroutes {
        drawing.eroute(eroute);
    }
    if picture.eroutes.is_empty() {
        drawing.line("  none: all packets leave as they are");
    }
    drawing.chains("SAs: what comes in", &picture.inbound);
    drawing.chains("SAs that no eroute leads to", &picture.unused);
    drawing.drops(picture);
    drawing.text
}

struct Drawing {
    text: String,
    colors: bool,
    /// Widths of columns.
    names: usize,
    transforms: usize,
}

impl Drawing {
    fn line(&mut self, line: &str) {
        self.text += line.trim_end();
        self.text.push('\n');
    }

    fn styled(&self, text: &str, style: Style) -> String {
        if self.colors {
            format!("{style}{text}{style:#}")
        } else {
            text.to_owned()
        }
    }

    fn bad(&self, text: &str) -> String {
        self.styled(text, AnsiColor::Red.on_default().bold())
    }

    fn head(&mut self, text: &str) {
        if !self.text.is_empty() {
            self.text.push('\n');
        }
        let head = self.styled(text, Style::new().bold());
        self.line(&head);
    }

    fn interfaces(&mut self, picture: &Picture) {
        self.head("Interfaces");
        let names = picture
            .interfaces
            .iter()
            .map(|interface| interface.name.len());
        let width = names.max().unwrap_or(0);
        for interface in &picture.interfaces {
            let addresses = interface.addresses.iter().map(ToString::to_string);
            let addresses: Vec<_> = addresses.collect();
            let attached = interface.attached_to.as_ref();
            let attached = attached.map_or(String::new(), |to| format!("  attached to {to}"));
            let name = &interface.name;
            self.line(&format!(
                "  {name:width$}  {}{attached}",
                addresses.join("  ")
            ));
        }
    }

    fn eroute(&mut self, eroute: &Eroute) {
        let mut line = format!("  {}", Packets(&eroute.row.selector));
        if let Some(packets) = eroute.packets {
            let _ = write!(line, "  {}", count(packets, "packet"));
        }
        if let Some(rate) = eroute.rate {
            let _ = write!(line, "  {}", per_second(rate));
        }
        match &eroute.blocked {
            Some(why) => {
                let blocked = self.bad("dropped");
                let _ = write!(line, "  {blocked}: {why}");
            }
            None if eroute.in_clear => {
                let clear = self.styled("in clear", AnsiColor::Yellow.on_default().bold());
                let _ = write!(line, "  {clear}");
            }
            None => (),
        }
        self.line(&line);
        self.chain(&eroute.chain, "    ");
    }

    fn chains(&mut self, head: &str, chains: &[Vec<Sa>]) {
        if chains.is_empty() {
            return;
        }
        self.head(head);
        for chain in chains {
            self.chain(chain, "  ");
        }
    }

    /// Inside to outside: what is further outside stands further to the right.
    fn chain(&mut self, chain: &[Sa], indentation: &str) {
        for (depth, sa) in chain.iter().enumerate() {
            let arrow = match depth {
                0 => String::new(),
                depth => format!("{:1$}`- ", "", 3 * (depth - 1)),
            };
            let width = self.names + 9 - arrow.len().min(9);
            let gap = width.saturating_sub(sa.entry.text().len());
            let name = sa.entry.styled(self.colors);
            let notes = match &sa.known {
                Some(known) => self.notes(&sa.entry, known),
                None => self.bad("is not there"),
            };
            self.line(&format!("{indentation}{arrow}{name}{:gap$}  {notes}", ""));
        }
    }

    /// What an SA is and has done, in columns.
    fn notes(&self, entry: &Entry, known: &Known) -> String {
        let width = self.transforms;
        let mut notes = format!("{:width$}", known.transform);
        if !known.src.is_empty() {
            let dst = entry
                .said()
                .map_or(String::new(), |said| said.dst.to_string());
            let _ = write!(notes, "  {} > {dst}", known.src);
        }
        let age = humantime::format_duration(Duration::from_secs(known.age));
        let packets = count(known.packets, "packet");
        let _ = write!(
            notes,
            "  {packets}  {}  age {age}",
            count(known.bytes, "byte")
        );
        if let Some(idle) = known.idle {
            let idle = humantime::format_duration(Duration::from_secs(idle));
            let _ = write!(notes, "  idle {idle}");
        }
        if let Some(rate) = known.rate {
            let _ = write!(notes, "  {}", per_second(rate));
        }
        for ending in &known.ending {
            let text = format!(
                "{} at {}% of the {} limit",
                ending.kind, ending.percent, ending.limit
            );
            let _ = write!(notes, "  {}", self.bad(&text));
        }
        notes
    }

    fn drops(&mut self, picture: &Picture) {
        let Some(drops) = &picture.drops else {
            self.head("Dropped");
            self.line("  this kernel does not count (CONFIG_XFRM_STATISTICS)");
            return;
        };
        if drops.is_empty() {
            return;
        }
        self.head("Dropped by xfrm since boot, whoever the packets were of");
        let counts = drops.iter().map(|drops| drops.packets.to_string().len());
        let width = counts.max().unwrap_or(0);
        for drops in drops {
            let meaning = drops.meaning.unwrap_or("what this means is not known here");
            let packets = self.bad(&format!("{:width$}", drops.packets));
            self.line(&format!("  {packets}  {meaning} ({})", drops.name));
        }
    }
}

fn count(number: u64, what: &str) -> String {
    match number {
        1 => format!("1 {what}"),
        number => format!("{number} {what}s"),
    }
}

fn per_second(rate: f64) -> String {
    format!("{rate:.1}/s")
}
