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

pub(crate) use run::Spi;
pub(crate) use syntax::definition;
