// SPDX-License-Identifier: GPL-2.0

//! `ipsec eroute`: says which packets go through which SAs, lists that, and finds out what becomes
//! of a packet (reference 8.4).

mod args;
mod change;
mod dry_run;
mod execute;
mod list;
mod lookup;
mod network;
pub(crate) mod path;
mod place;
mod plan;
mod refusal;
mod run;
mod selector;
mod syntax;
pub(crate) mod table;
pub(crate) mod transport;

pub(crate) use run::{Eroute, run};
pub(crate) use selector::Packets;
pub(crate) use syntax::definition;
