// SPDX-License-Identifier: GPL-2.0

//! The list of SAs.
//!
//! JSON is made from `/proc/net/ipsec_spi` and not from a DUMP: so it says the same as the list for
//! people, in the same order; no receive buffer can be too small for it; a KLIPS of old, which
//! refuses DUMP, has the file too; and only the file has the lengths of keys.
//!
//! Fields keep the names that they have in the file. What is not known to be a number stays text,
//! and what is not understood at all is kept as it is, so that no release can have a line that is
//! lost.

use super::{
    algorithm::{self, AllUsed},
    limits::{Limit, Limits},
};
use crate::{
    entry::Entry,
    failure::Failure,
    json::Sa,
    list,
    listing::{self, SaRow},
    system::{ProcFile, System},
};
use serde::{Serialize, Serializer};
use std::io::Read;

/// The SAs.
pub(crate) enum Sas {}

impl list::List for Sas {
    const FILE: ProcFile = ProcFile::Spi;
    type Line = Line;

    fn read(system: &mut impl System) -> Result<Vec<Line>, Failure> {
        let mut text = String::new();
        listing::open(system, ProcFile::Spi)?
            .read_to_string(&mut text)
            .map_err(|error| Failure::refused(format!("read error: {error}")))?;
        let lines = text.lines().filter(|line| !line.trim_ascii().is_empty());
        Ok(lines.map(Line::parse).collect())
    }

    fn aligned(lines: &[Line], colors: bool) -> String {
        aligned(lines, colors)
    }

    fn json(line: &Line) -> impl Serialize {
        line
    }
}

/// The fields that are numbers.
const NUMBERS: [&str; 17] = [
    "ooowin",
    "ooo_errs",
    "seq",
    "max_seq_diff",
    "alen",
    "aklen",
    "auth_errs",
    "eklen",
    "encr_size_errs",
    "encr_pad_errs",
    "jiffies",
    "idle",
    "natsport",
    "natdport",
    "refcount",
    "ref",
    "refhim",
];

/// The name of the field with the limits.
const LIFE: &str = "life(c,s,h)";

/// The name of the field with the flags.
const FLAGS: &str = "flags";

/// A line.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Line {
    #[serde(skip)]
    entry: Entry,
    #[serde(flatten)]
    sa: Sa,
    /// What the SA does to a packet.
    transform: String,
    #[serde(flatten)]
    algorithms: AllUsed,
    #[serde(flatten)]
    fields: Fields,
    /// What is not understood.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    unread: Vec<String>,
}

/// Fields by name, in the order of the file.
#[derive(Debug, Default, PartialEq, Eq)]
struct Fields(Vec<(String, Value)>);

#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
enum Value {
    Number(u64),
    Text(String),
    Limits(Limits),
}

impl Serialize for Fields {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}

impl Line {
    fn parse(line: &str) -> Self {
        let mut words = line.split_ascii_whitespace();
        let entry = Entry::parse(words.next().unwrap_or_default());
        let transform = words.next().unwrap_or_default();
        let transform = transform.strip_suffix(':').unwrap_or(transform);
        let mut fields = Fields::default();
        let mut unread = Vec::new();
        for word in words {
            match fields.read(word) {
                Some(field) => fields.0.push(field),
                None => unread.push(word.to_owned()),
            }
        }
        Line {
            sa: Sa::of_entry(&entry),
            entry,
            transform: transform.to_owned(),
            algorithms: algorithm::of_transform(transform),
            fields,
            unread,
        }
    }
}

impl Line {
    /// The SA.
    pub(crate) fn entry(&self) -> &Entry {
        &self.entry
    }

    /// What it does to packets.
    pub(crate) fn transform(&self) -> &str {
        &self.transform
    }

    /// How it sends packets, if its name can be read.
    pub(crate) fn row(&self) -> Option<SaRow> {
        let text = |name: &str| Some(self.text(name)).filter(|text| !text.is_empty());
        SaRow::of(&self.entry, &self.transform, text, |name| self.number(name))
    }

    /// A field that is a text; empty if there is no such field.
    pub(crate) fn text(&self, name: &str) -> &str {
        self.fields.text(name)
    }

    /// A field that is a number.
    pub(crate) fn number(&self, name: &str) -> Option<u64> {
        let found = self.fields.0.iter().find(|(own, _)| own == name);
        match found {
            Some((_, Value::Number(number))) => Some(*number),
            _ => None,
        }
    }

    /// What is used up, and the limits of that, by name.
    pub(crate) fn limits(&self) -> &[(String, Limit)] {
        let values = self.fields.0.iter().map(|(_, value)| value);
        let mut limits = values.filter_map(|value| match value {
            Value::Limits(limits) => Some(limits.0.as_slice()),
            _ => None,
        });
        limits.next().unwrap_or_default()
    }
}

impl Fields {
    /// The text of a field, empty if there is no such field.
    fn text(&self, name: &str) -> &str {
        let found = self.0.iter().find(|(own, _)| own == name);
        match found {
            Some((_, Value::Text(text))) => text,
            _ => "",
        }
    }

    /// Reads a field that is not there yet.
    fn read(&self, word: &str) -> Option<(String, Value)> {
        let (name, text) = word.split_once('=')?;
        let (name, value) = match name {
            LIFE => ("life", Value::Limits(limits(text)?)),
            name if NUMBERS.contains(&name) => (name, Value::Number(text.parse().ok()?)),
            FLAGS => (name, Value::Number(flags(text)?)),
            name => (name, Value::Text(text.to_owned())),
        };
        let is_new = self.0.iter().all(|(own, _)| own != name);
        is_new.then(|| (name.to_owned(), value))
    }
}

/// Fields that a reader can do without: what counts inside the kernel, and what says the same as
/// another.
const FOR_NO_READER: [&str; 5] = ["alen", "jiffies", "refcount", "ref", "refhim"];

/// What a field says that says nothing.
const NOTHING: [&str; 4] = ["natencap=none", "natencap=na", "natsport=0", "natdport=0"];

/// A line per SA, with columns for what all of them have.
fn aligned(lines: &[Line], colors: bool) -> String {
    let columns = |line: &Line| {
        [
            &line.transform,
            line.fields.text("dir"),
            line.fields.text("src"),
        ]
        .map(str::len)
    };
    let width = |column: usize| lines.iter().map(|line| columns(line)[column]).max();
    let [transforms, dirs, srcs] = [0, 1, 2].map(|column| width(column).unwrap_or(0));
    let names = lines.iter().map(|line| line.entry.text().len()).max();
    let mut text = String::new();
    for line in lines {
        // Styles have no width, so that the name is padded by hand.
        let gap = names.unwrap_or(0) - line.entry.text().len();
        let row = format!(
            "{}{:gap$}  {:transforms$}  {:dirs$}  {:srcs$}  {}",
            line.entry.styled(colors),
            "",
            line.transform,
            line.fields.text("dir"),
            line.fields.text("src"),
            line.notes()
        );
        text.push_str(row.trim_end());
        text.push('\n');
    }
    text
}

impl Line {
    /// What there is to say beside what has a column.
    fn notes(&self) -> String {
        let mut notes = Vec::new();
        for (name, value) in &self.fields.0 {
            match value {
                Value::Limits(limits) => notes.extend(limits.0.iter().map(limit)),
                _ if ["dir", "src"].contains(&name.as_str()) => (),
                _ if FOR_NO_READER.contains(&name.as_str()) => (),
                Value::Number(number) if name == FLAGS => notes.push(format!("{name}={number:#x}")),
                Value::Number(number) => notes.push(format!("{name}={number}")),
                Value::Text(text) => notes.push(format!("{name}={text}")),
            }
        }
        notes.retain(|note| !NOTHING.contains(&note.as_str()));
        notes.extend(self.unread.iter().cloned());
        notes.join(" ")
    }
}

/// What is used up and, if there are limits, the soft and the hard one.
fn limit((name, limit): &(String, Limit)) -> String {
    let current = limit.current.unwrap_or(0);
    match (limit.soft, limit.hard) {
        (0, 0) => format!("{name}={current}"),
        (soft, hard) => format!("{name}={current}/{soft}/{hard}"),
    }
}

/// Reads flags, after which the original printed names, but never had any.
fn flags(text: &str) -> Option<u64> {
    let digits = text.strip_prefix("0x")?.strip_suffix("<>")?;
    u64::from_str_radix(digits, 16).ok()
}

/// Reads `name(current,soft,hard)` as often as it is there.
fn limits(mut text: &str) -> Option<Limits> {
    let mut limits = Limits::default();
    while !text.is_empty() {
        let (name, rest) = text.split_once('(')?;
        let (numbers, rest) = rest.split_once(')')?;
        let mut numbers = numbers.split(',').map(|number| number.parse().ok());
        let limit = Limit {
            current: Some(numbers.next()??),
            soft: numbers.next()??,
            hard: numbers.next()??,
        };
        limits.0.push((name.to_owned(), limit));
        text = rest;
    }
    Some(limits)
}
