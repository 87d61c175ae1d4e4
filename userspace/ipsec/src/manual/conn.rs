// SPDX-License-Identifier: GPL-2.0

//! The parameters of a connection, put together from its section, those that it refers to by
//! `also`, and `conn %default`; none of them may be there twice.

use super::{
    file::{Conf, DEFAULT, Kind, Param, Place},
    params::{self, Use},
};
use crate::{failure::Failure, input, suggest};
use std::collections::BTreeMap;

/// The parameters of a connection.
pub(super) struct Conn {
    /// The name of its section; of several, with `+` between them.
    pub(super) name: String,
    /// Where the first of them begins.
    pub(super) place: Place,
    params: BTreeMap<String, Param>,
    /// Commands that are not run.
    pub(super) not_run: Vec<Param>,
}

/// A section that is wanted.
struct Wanted<'a> {
    name: &'a str,
    /// Whether left is right in it.
    flipped: bool,
    /// What refers to it, if it is not the connection itself.
    by: Option<&'a Param>,
}

impl Conn {
    /// Puts together what these sections say.
    pub(super) fn of(conf: &Conf, names: &[&str]) -> Result<Self, Failure> {
        let mut wanted: Vec<Wanted<'_>> = names
            .iter()
            .map(|name| Wanted {
                name,
                flipped: false,
                by: None,
            })
            .collect();
        let mut conn = Conn {
            name: names.join("+"),
            place: Place {
                file: "".into(),
                line: 0,
            },
            params: BTreeMap::new(),
            not_run: Vec::new(),
        };
        let mut next = 0;
        while next < wanted.len() {
            for (param, flipped) in conn.add(conf, &wanted[next], next == 0)? {
                let name = param.value.as_str();
                if let Some(before) = wanted.iter().find(|other| other.name == name) {
                    let before = match before.by {
                        Some(by) => format!("by {}", by.place),
                        None => "as the connection itself".to_owned(),
                    };
                    return Err(
                        param.bad(format_args!("conn {name} is part of it already, {before}"))
                    );
                }
                wanted.push(Wanted {
                    name,
                    flipped,
                    by: Some(param),
                });
            }
            next += 1;
        }
        for param in defaults(conf)? {
            if !conn.params.contains_key(&param.name) {
                conn.insert(param.clone())?;
            }
        }
        conn.params.retain(|_, param| !param.value.is_empty());
        conn.not_run.retain(|param| !param.value.is_empty());
        for param in conn.params.values() {
            check_mode(conf, param)?;
        }
        Ok(conn)
    }

    /// Adds a section; what refers to others, and whether left is right in those.
    fn add<'a>(
        &mut self,
        conf: &'a Conf,
        wanted: &Wanted<'a>,
        is_first: bool,
    ) -> Result<Vec<(&'a Param, bool)>, Failure> {
        let section = conf
            .find(Kind::Conn, wanted.name)
            .ok_or_else(|| missing(conf, wanted))?;
        if is_first {
            self.place = section.place.clone();
        }
        let mut also = Vec::new();
        for line in &section.lines {
            let param = match line {
                Ok(param) => param,
                Err((place, why)) => return Err(place.bad(why)),
            };
            if let "also" | "alsoflip" = param.name.as_str() {
                also.push((param, wanted.flipped ^ (param.name == "alsoflip")));
                continue;
            }
            let mut param = param.clone();
            if wanted.flipped {
                param.name = flipped(&param.name);
            }
            if let Some(before) = self.params.get(&param.name) {
                return Err(param.bad(format_args!(
                    "it is given twice, first at {}; leave one of them out",
                    before.place
                )));
            }
            self.insert(param)?;
        }
        Ok(also)
    }

    fn insert(&mut self, param: Param) -> Result<(), Failure> {
        match params::use_of(&param)? {
            // Without a value it is as if it was not there.
            Use::Refused(why) if !param.value.is_empty() => return Err(param.bad(why)),
            Use::NotRun => self.not_run.push(param.clone()),
            Use::Read | Use::Key | Use::Ignored | Use::Refused(_) => (),
        }
        self.params.insert(param.name.clone(), param);
        Ok(())
    }

    /// A parameter, if it has a value.
    pub(super) fn get(&self, name: &str) -> Option<&Param> {
        self.params.get(name)
    }

    /// A parameter that there has to be; `example` is what it looks like.
    pub(super) fn need(&self, name: &str, example: &str) -> Result<&Param, Failure> {
        self.get(name).ok_or_else(|| {
            self.bad(format_args!(
                "{name} is missing; it is needed, as in {name}={example}"
            ))
        })
    }

    /// What is wrong with it, but with none of its parameters.
    pub(super) fn bad(&self, why: impl std::fmt::Display) -> Failure {
        self.place.bad(format_args!("conn {}: {why}", self.name))
    }
}

/// What `conn %default` says.
fn defaults(conf: &Conf) -> Result<Vec<&Param>, Failure> {
    let mut all: Vec<&Param> = Vec::new();
    let sections = conf.sections.iter();
    for section in sections.filter(|section| section.kind == Kind::Conn && section.name == DEFAULT)
    {
        for line in &section.lines {
            let param = match line {
                Ok(param) => param,
                Err((place, why)) => return Err(place.bad(why)),
            };
            if let "also" | "alsoflip" = param.name.as_str() {
                return Err(param.bad("conn %default can't refer to others"));
            }
            if let Some(before) = all.iter().find(|other| other.name == param.name) {
                return Err(param.bad(format_args!(
                    "it is given twice, first at {}; leave one of them out",
                    before.place
                )));
            }
            all.push(param);
        }
    }
    Ok(all)
}

/// The same parameter of the other side.
pub(super) fn flipped(name: &str) -> String {
    match (name.strip_prefix("left"), name.strip_prefix("right")) {
        (Some(rest), _) => format!("right{rest}"),
        (_, Some(rest)) => format!("left{rest}"),
        _ => name.to_owned(),
    }
}

fn missing(conf: &Conf, wanted: &Wanted<'_>) -> Failure {
    let names = conf
        .sections
        .iter()
        .filter(|section| section.kind == Kind::Conn);
    let guess = suggest::nearest(wanted.name, names.map(|section| section.name.clone()));
    let guess = guess.map_or(String::new(), |near| format!("; did you mean '{near}'?"));
    let why = format!("there is no 'conn {}'{guess}", wanted.name);
    match wanted.by {
        Some(param) => param.bad(why),
        None => Failure::usage(why),
    }
}

/// Refuses keys that others than the owner of their file can read.
fn check_mode(conf: &Conf, param: &Param) -> Result<(), Failure> {
    if params::use_of(param)? != Use::Key {
        return Ok(());
    }
    match input::too_open(conf.mode(param)) {
        Some(why) => Err(Failure::refused(format!(
            "{}: {}: {why}",
            param.place, param.name
        ))),
        None => Ok(()),
    }
}
