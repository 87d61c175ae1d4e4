// SPDX-License-Identifier: GPL-2.0

//! `ipsec verify`: looks for what keeps eroutes and SAs from doing what they say, on the running
//! system.

mod finding;
mod modules;
mod policies;
mod run;
mod settings;
mod syntax;
mod ways;

pub(crate) use run::run;
pub(crate) use syntax::definition;
