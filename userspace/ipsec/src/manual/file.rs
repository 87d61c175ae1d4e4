// SPDX-License-Identifier: GPL-2.0

//! The grammar of `ipsec.conf`: sections, the parameters in them, and other files.
//!
//! - A line that begins with no blank begins a section: `conn NAME` or `config setup`. The indented
//!   lines that follow are its parameters, `NAME=VALUE`, until the next such line.
//! - A value with blanks in it stands in double quotes. One that is empty is none.
//! - `#` at the beginning of a word outside of quotes begins a comment; lines without words don't
//!   count.
//! - `include FILE` stands for what is in a file, or in all that a pattern names, looked for beside
//!   the file that it is in.
//! - `version 2` may say which grammar it is.
//!
//! A parameter that makes no sense is told of only where its section is used: the same file may have
//! connections of a key daemon with a grammar of its own.

use crate::{
    failure::Failure,
    input,
    system::{Secret, System},
};
use std::{collections::HashMap, fmt, io, path::Path, rc::Rc};
use zeroize::Zeroizing;

/// The longest file that is read, in bytes.
const MAX_LEN: usize = 1 << 20;

/// How many files are too many: one may include itself.
const MAX_FILES: usize = 1000;

/// The deepest inclusion, for the same reason.
const MAX_DEPTH: usize = 10;

/// A line of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) file: Rc<str>,
    /// Counts from 1.
    pub(super) line: usize,
}

impl Place {
    /// What is wrong there, with how to do it right.
    pub(super) fn bad(&self, what: impl fmt::Display) -> Failure {
        Failure::usage(format!("{self}: {what}"))
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.line)
    }
}

/// A parameter.
#[derive(Clone, Debug)]
pub(super) struct Param {
    pub(super) name: String,
    /// It may be a key.
    pub(super) value: Zeroizing<String>,
    pub(super) place: Place,
}

impl Param {
    /// What is wrong with it.
    pub(super) fn bad(&self, why: impl fmt::Display) -> Failure {
        self.place.bad(format_args!("{}: {why}", self.name))
    }
}

/// An indented line: a parameter, or what is wrong with it.
pub(super) type Line = Result<Param, (Place, String)>;

/// What a section is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A connection, or a part of some.
    Conn,
    /// `config setup`.
    Config,
    /// Certificate authorities, which only key daemons need.
    Ca,
}

/// A section.
#[derive(Debug)]
pub(super) struct Section {
    pub(super) kind: Kind,
    pub(super) name: String,
    pub(super) place: Place,
    pub(super) lines: Vec<Line>,
}

/// All that a file and those it includes have.
#[derive(Default)]
pub(super) struct Conf {
    pub(super) sections: Vec<Section>,
    /// Permissions of the files, the nine lowest bits.
    modes: HashMap<Rc<str>, u32>,
    count: usize,
}

impl Conf {
    /// Reads a file, and those that it includes.
    pub(super) fn read(name: &str, system: &mut impl System) -> Result<Self, Failure> {
        let mut conf = Conf::default();
        conf.add_file(name, None, 0, system)?;
        conf.check()?;
        Ok(conf)
    }

    /// The section of this kind and name.
    pub(super) fn find(&self, kind: Kind, name: &str) -> Option<&Section> {
        let mut all = self.sections.iter();
        all.find(|section| section.kind == kind && section.name == name)
    }

    /// Permissions of the file that a parameter is in; `None` if it is no regular file.
    pub(super) fn mode(&self, param: &Param) -> Option<u32> {
        self.modes.get(&param.place.file).copied()
    }

    fn add_file(
        &mut self,
        name: &str,
        included_at: Option<&Place>,
        depth: usize,
        system: &mut impl System,
    ) -> Result<(), Failure> {
        let failed = |why: &dyn fmt::Display| {
            let at = included_at.map(|place| format!("{place}: include: "));
            Failure::refused(format!("{}{name}: {why}", at.unwrap_or_default()))
        };
        self.count += 1;
        if depth > MAX_DEPTH || self.count > MAX_FILES {
            return Err(failed(&"too many files; does one of them include itself?"));
        }
        let unreadable = |error: io::Error| failed(&error);
        let Secret { input, mode } = system.secret(name).map_err(unreadable)?;
        let text = input::read(input, MAX_LEN).map_err(unreadable)?;
        let text = text.ok_or_else(|| failed(&format_args!("longer than {MAX_LEN} bytes")))?;
        let file: Rc<str> = match name {
            "-" => "<stdin>".into(),
            name => name.into(),
        };
        if let Some(mode) = mode {
            self.modes.insert(file.clone(), mode);
        }
        // Comments may be in any encoding; values are looked at below.
        let text = Zeroizing::new(String::from_utf8_lossy(input::without_mark(&text)).into_owned());
        let mut in_section = false;
        for (index, line) in text.lines().enumerate() {
            let place = Place {
                file: file.clone(),
                line: index + 1,
            };
            let words = without_comment(line).trim_matches(BLANKS);
            if words.is_empty() {
                continue;
            }
            if let Some(pattern) = included(words) {
                in_section = false;
                for name in named_by(pattern, &place, system)? {
                    self.add_file(&name, Some(&place), depth + 1, system)?;
                }
            } else if !line.starts_with(BLANKS) {
                in_section = self.begin(words, place)?;
            } else if let (true, Some(section)) = (in_section, self.sections.last_mut()) {
                section.lines.push(param(words, place));
            } else {
                return Err(place.bad(
                    "an indented line is a parameter of the section above it, and there is none \
                     here; a section begins with 'conn NAME' or 'config setup'",
                ));
            }
        }
        Ok(())
    }

    /// Begins a section, if a line does.
    fn begin(&mut self, line: &str, place: Place) -> Result<bool, Failure> {
        let words: Vec<&str> = line.split(BLANKS).filter(|word| !word.is_empty()).collect();
        let (kind, name) = match *words {
            ["version", version] => {
                let number = version.parse::<f32>();
                return if number == Ok(2.0) {
                    Ok(false)
                } else {
                    Err(place.bad(format_args!(
                        "version {version}: only version 2 of this file is known"
                    )))
                };
            }
            ["config", "setup"] => (Kind::Config, "setup"),
            ["config", name] => {
                return Err(place.bad(format_args!(
                    "config {name}: the only section of that kind is 'config setup'"
                )));
            }
            ["conn", name] => (Kind::Conn, name),
            ["ca", name] => (Kind::Ca, name),
            [only] if !only.contains('=') => {
                return Err(place.bad(format_args!(
                    "'{only}' is no beginning of a section; that is 'conn NAME' or 'config setup'"
                )));
            }
            _ if line.contains('=') => {
                return Err(place.bad(
                    "a parameter has to be indented; only sections begin at the beginning of a line",
                ));
            }
            [kind, ..] => {
                return Err(place.bad(format_args!(
                    "'{kind}': a section is 'conn NAME' or 'config setup'; a name has no blanks"
                )));
            }
            [] => return Ok(false),
        };
        self.sections.push(Section {
            kind,
            name: name.to_owned(),
            place,
            lines: Vec::new(),
        });
        Ok(true)
    }

    /// Refuses names that are there twice, and defaults that come too late.
    fn check(&self) -> Result<(), Failure> {
        let mut seen: HashMap<(&str, bool), &Place> = HashMap::new();
        let mut conn_before = None;
        for section in &self.sections {
            if section.name == DEFAULT {
                if let (Kind::Conn, Some(before)) = (section.kind, conn_before) {
                    return Err(section.place.bad(format_args!(
                        "conn {DEFAULT} has to come before all other connections; there is one at \
                         {before}"
                    )));
                }
                continue;
            }
            match section.kind {
                Kind::Ca => continue,
                // There may be several of it.
                Kind::Config => continue,
                Kind::Conn => conn_before = Some(&section.place),
            }
            let key = (section.name.as_str(), section.kind == Kind::Conn);
            if let Some(before) = seen.insert(key, &section.place) {
                return Err(section.place.bad(format_args!(
                    "conn {} is there twice, first at {before}; rename one of them",
                    section.name
                )));
            }
        }
        Ok(())
    }
}

/// The name of the section whose parameters are those of all connections that say nothing else.
pub(super) const DEFAULT: &str = "%default";

const BLANKS: [char; 2] = [' ', '\t'];

/// A line without the comment at its end. `#` inside of a word or of quotes begins none.
fn without_comment(line: &str) -> &str {
    let mut quoted = false;
    let mut before = ' ';
    for (at, c) in line.char_indices() {
        match c {
            '"' => quoted = !quoted,
            '#' if !quoted && BLANKS.contains(&before) => return &line[..at],
            _ => (),
        }
        before = c;
    }
    line
}

/// What a line includes.
fn included(line: &str) -> Option<&str> {
    let pattern = line.strip_prefix("include")?;
    let is_it = pattern.starts_with(BLANKS);
    let pattern = pattern.trim_start_matches(BLANKS);
    (is_it && !pattern.starts_with('=')).then_some(pattern)
}

/// The files that an inclusion names.
fn named_by(
    pattern: &str,
    place: &Place,
    system: &mut impl System,
) -> Result<Vec<String>, Failure> {
    let pattern = pattern
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'))
        .unwrap_or(pattern);
    if pattern.contains(BLANKS) {
        return Err(
            place.bad("include takes one name, or a pattern with * and ?, without blanks in it")
        );
    }
    let pattern = match Path::new(&*place.file).parent() {
        Some(folder) => folder.join(pattern).to_string_lossy().into_owned(),
        None => pattern.to_owned(),
    };
    if pattern.contains(['*', '?', '[']) {
        system
            .matching(&pattern)
            .map_err(|error| Failure::refused(format!("{place}: include: {pattern}: {error}")))
    } else {
        Ok(vec![pattern])
    }
}

/// Reads a parameter.
fn param(line: &str, place: Place) -> Line {
    let Some((name, value)) = line.split_once('=') else {
        return Err((
            place,
            "this is no parameter, which is NAME=VALUE".to_owned(),
        ));
    };
    let name = name.trim_end_matches(BLANKS);
    let value = value.trim_start_matches(BLANKS);
    let is_name = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-');
    if !is_name {
        return Err((
            place,
            "this is no parameter, which is NAME=VALUE with a name of letters, digits, _ and -"
                .to_owned(),
        ));
    }
    let name = name.to_ascii_lowercase();
    let bad = |place, why: &str| Err((place, format!("{name}: {why}")));
    let inside = value
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'));
    let value = match inside {
        Some(inside) if !inside.contains('"') => inside,
        None if !value.contains('"') => {
            if value.contains(BLANKS) {
                return bad(
                    place,
                    "a value with blanks in it has to stand in \"quotes\"",
                );
            }
            value
        }
        _ => {
            return bad(
                place,
                "quotes have to stand around the whole value, and none inside of it",
            );
        }
    };
    if value
        .chars()
        .any(|c| c.is_control() || c == char::REPLACEMENT_CHARACTER)
    {
        return bad(place, "there are characters in its value that are no text");
    }
    Ok(Param {
        name,
        value: Zeroizing::new(value.to_owned()),
        place,
    })
}
