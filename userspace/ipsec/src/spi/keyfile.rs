// SPDX-License-Identifier: GPL-2.0

//! `--keyfile`: keys from a file or from standard input, which keeps them off the command line,
//! where everybody on the machine can see them.
//!
//! A line is `authkey` or `enckey`, blanks, and the key as the options take it; blanks at the end of
//! a line are no part of it. Lines of nothing but blanks, and those that begin with `#`, don't
//! count. What is read is wiped, and nothing that is said of it has any of it in it.

use super::key::{KeyBytes, KeyKind};
use crate::{
    failure::Failure,
    input,
    system::{Secret, System},
};
use std::io;

/// The longest file that is read, in bytes: ten times what two keys and some comments need.
const MAX_LEN: usize = 16 * 1024;

/// The keys in a file.
#[derive(Default)]
pub(super) struct KeyFile {
    auth: Option<KeyBytes>,
    encrypt: Option<KeyBytes>,
}

impl KeyFile {
    /// Reads the file of that name, or standard input for `-`.
    pub(super) fn read(name: &str, system: &mut impl System) -> Result<Self, Failure> {
        let shown = match name {
            "-" => "<stdin>",
            name => name,
        };
        let unreadable = |error: io::Error| Failure::refused(format!("{shown}: {error}"));
        let Secret { input: file, mode } = system.secret(name).map_err(unreadable)?;
        if let Some(why) = input::too_open(mode) {
            return Err(Failure::refused(format!("{shown}: {why}")));
        }
        let text = input::read(file, MAX_LEN).map_err(unreadable)?;
        let text = text.ok_or_else(|| {
            Failure::refused(format!(
                "{shown}: longer than {MAX_LEN} bytes, so no file of keys."
            ))
        })?;
        Self::parse(input::without_mark(&text))
            .map_err(|(line, error)| Failure::usage(format!("{shown}:{line}: {error}")))
    }

    /// The key of a kind, if the file has one.
    pub(super) fn take(&mut self, kind: KeyKind) -> Option<KeyBytes> {
        self.slot(kind).take()
    }

    fn slot(&mut self, kind: KeyKind) -> &mut Option<KeyBytes> {
        match kind {
            KeyKind::Authentication => &mut self.auth,
            KeyKind::Encryption => &mut self.encrypt,
        }
    }

    /// Reads the lines; the number of the bad one, from 1, and what is wrong with it.
    fn parse(text: &[u8]) -> Result<Self, (usize, String)> {
        let mut keys = KeyFile::default();
        for (index, line) in text.split(|byte| *byte == b'\n').enumerate() {
            let line = line.trim_ascii();
            if !line.is_empty() && !line.starts_with(b"#") {
                keys.add(line).map_err(|error| (index + 1, error))?;
            }
        }
        Ok(keys)
    }

    fn add(&mut self, line: &[u8]) -> Result<(), String> {
        let end = line.iter().position(u8::is_ascii_whitespace);
        let (word, key) = line.split_at(end.unwrap_or(line.len()));
        let kind = KeyKind::ALL
            .into_iter()
            .find(|kind| kind.option().as_bytes() == word)
            .ok_or("a line is authkey or enckey, a blank and a key.")?;
        let key = std::str::from_utf8(key.trim_ascii_start())
            .map_err(|_| format!("the {} key is not valid UTF-8.", kind.word()))?;
        match self.slot(kind).replace(kind.parse(key)?) {
            None => Ok(()),
            Some(_) => Err(format!("{} is there twice.", kind.option())),
        }
    }
}
