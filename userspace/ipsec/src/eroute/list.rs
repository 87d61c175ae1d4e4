// SPDX-License-Identifier: GPL-2.0

//! The list of eroutes.

use super::{
    path::is_word,
    table::{self, Line, Row},
    transport::Name,
};
use crate::{
    failure::Failure,
    json::{Flow, Sa},
    list,
    system::{ProcFile, System},
};
use serde::Serialize;

/// The eroutes.
pub(super) enum Eroutes {}

impl list::List for Eroutes {
    const FILE: ProcFile = ProcFile::Eroute;
    type Line = Line;

    fn read(system: &mut impl System) -> Result<Vec<Line>, Failure> {
        table::read(system)
    }

    fn aligned(lines: &[Line], colors: bool) -> String {
        aligned(lines, colors)
    }

    fn json(line: &Line) -> impl Serialize {
        match line {
            Line::Row(row) => row.json(),
            Line::Unread(line) => Listed::Unread {
                unread: line.clone(),
            },
        }
    }
}

/// An eroute, or a line that makes no sense.
#[derive(Serialize)]
#[serde(untagged)]
pub(super) enum Listed {
    Row {
        #[serde(skip_serializing_if = "Option::is_none")]
        packets: Option<u64>,
        #[serde(flatten)]
        flow: Flow,
        sa: Sa,
        #[serde(skip_serializing_if = "std::ops::Not::not")]
        dropped: bool,
    },
    Unread {
        unread: String,
    },
}

impl Row {
    /// As `--json` has it.
    pub(super) fn json(&self) -> Listed {
        Listed::Row {
            packets: self.packets,
            flow: Flow::of(&self.selector),
            sa: Sa::of_entry(&self.sa),
            dropped: self.drops == Some(true),
        }
    }
}

/// A line per eroute, with a column for each of its parts.
fn aligned(lines: &[Line], colors: bool) -> String {
    let columns = |row: &Row| {
        [
            row.packets
                .map(|count| count.to_string())
                .unwrap_or_default(),
            row.selector.src_text().to_string(),
            row.selector.dst_text().to_string(),
        ]
    };
    let width = |column: usize| {
        let rows = lines.iter().filter_map(|line| match line {
            Line::Row(row) => Some(columns(row)[column].len()),
            Line::Unread(_) => None,
        });
        rows.max().unwrap_or(0)
    };
    let [counts, srcs, dsts] = [0, 1, 2].map(width);
    let mut text = String::new();
    for line in lines {
        match line {
            Line::Row(row) => {
                let [count, src, dst] = columns(row);
                let sa = row.sa.styled(colors);
                let proto = match row.selector.proto {
                    0 => String::new(),
                    proto => format!("  {}", Name(proto)),
                };
                // A word such as %drop says it already.
                let is_word = row.sa.said().is_some_and(|said| is_word(&said));
                let dropped = match row.drops {
                    Some(true) if !is_word => "  dropped",
                    _ => "",
                };
                text += &format!(
                    "{count:>counts$}  {src:srcs$} -> {dst:dsts$} => {sa}{proto}{dropped}\n"
                );
            }
            Line::Unread(line) => text += &format!("{line}\n"),
        }
    }
    text
}
