// SPDX-License-Identifier: GPL-2.0

//! `ipsec spi`: adds, deletes and reads SAs, lists them.

mod algorithm;
mod args;
mod execute;
mod info;
mod key;
mod keyfile;
mod life;
mod limits;
mod list;
mod plan;
mod run;
mod syntax;
mod wanted;

pub(crate) use key::KeyKind;
pub(crate) use limits::Limit;
pub(crate) use list::{Line, Sas};
pub(crate) use run::Spi;
pub(crate) use syntax::definition;
pub(crate) use wanted::{key, transform};
