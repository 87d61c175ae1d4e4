// SPDX-License-Identifier: GPL-2.0

//! `ipsec look`: all that there is in one picture, made from the files of the module and of the
//! kernel's xfrm.

mod chain;
mod dot;
mod draw;
mod picture;
mod rates;
mod run;
mod stats;
mod syntax;

pub(crate) use run::run;
pub(crate) use syntax::definition;
