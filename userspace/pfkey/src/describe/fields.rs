// SPDX-License-Identifier: GPL-2.0

//! Named values, as text and as JSON.

use serde::{Serialize, Serializer, ser::SerializeMap};
use std::{borrow::Cow, fmt};

/// A value that a message carries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Value {
    /// A count.
    Number(u64),
    /// A number whose bits matter: hexadecimal in text.
    Hex(u64),
    /// A time in seconds.
    Seconds(u64),
    /// A number with the name of what it stands for, if that is known.
    Named(u64, Option<Cow<'static, str>>),
    /// A word that needs no quotes.
    Word(String),
    /// What somebody else wrote.
    Text(String),
    /// Bytes that have no meaning here.
    Bytes(Vec<u8>),
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Number(number) => write!(f, "{number}"),
            Value::Hex(number) => write!(f, "{number:#x}"),
            Value::Seconds(seconds) => write!(f, "{seconds}s"),
            Value::Named(number, None) => write!(f, "{number}"),
            Value::Named(number, Some(name)) => write!(f, "{number}({name})"),
            Value::Word(word) => f.write_str(word),
            // Quoted and escaped, so that it can't play tricks on a terminal.
            Value::Text(text) => write!(f, "{text:?}"),
            Value::Bytes(bytes) => f.write_str(&hex(bytes)),
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("0x{digits}")
}

/// Named values in the order of the message.
///
/// Prints as `name=value name=value`. In JSON it is an object; a [`Value::Named`] has a second
/// member there, with `_name` behind its name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Fields(Vec<(&'static str, Value)>);

impl Fields {
    pub(super) fn push(&mut self, name: &'static str, value: Value) {
        self.0.push((name, value));
    }

    pub(super) fn number(&mut self, name: &'static str, value: impl Into<u64>) {
        self.push(name, Value::Number(value.into()));
    }

    pub(super) fn hex(&mut self, name: &'static str, value: impl Into<u64>) {
        self.push(name, Value::Hex(value.into()));
    }

    pub(super) fn seconds(&mut self, name: &'static str, value: impl Into<u64>) {
        self.push(name, Value::Seconds(value.into()));
    }

    pub(super) fn named<N: Into<Cow<'static, str>>>(
        &mut self,
        name: &'static str,
        value: impl Into<u64>,
        meaning: Option<N>,
    ) {
        self.push(name, Value::Named(value.into(), meaning.map(Into::into)));
    }

    /// Bytes that should be zero or not be there, and only then are worth a word.
    pub(super) fn odd(&mut self, name: &'static str, bytes: &[u8]) {
        if bytes.iter().any(|byte| *byte != 0) {
            self.push(name, Value::Bytes(bytes.to_vec()));
        }
    }

    pub(super) fn append(&mut self, others: Fields) {
        self.0.extend(others.0);
    }
}

impl fmt::Display for Fields {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        for (name, value) in &self.0 {
            write!(f, "{separator}{name}={value}")?;
            separator = " ";
        }
        Ok(())
    }
}

impl Serialize for Fields {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for (name, value) in &self.0 {
            match value {
                Value::Number(number) | Value::Hex(number) | Value::Seconds(number) => {
                    map.serialize_entry(name, number)?;
                }
                Value::Named(number, meaning) => {
                    map.serialize_entry(name, number)?;
                    if let Some(meaning) = meaning {
                        map.serialize_entry(&format!("{name}_name"), meaning)?;
                    }
                }
                Value::Word(text) | Value::Text(text) => map.serialize_entry(name, text)?,
                Value::Bytes(bytes) => map.serialize_entry(name, &hex(bytes))?,
            }
        }
        map.end()
    }
}
