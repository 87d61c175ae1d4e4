// SPDX-License-Identifier: GPL-2.0

//! `ipsec tncfg`: attaches interfaces `ipsecN` to physical ones, and lists them (reference 8.6).
//!
//! KLIPS's were devices of its own. Here each is an xfrm interface, which this makes by
//! rtnetlink, with the addresses of the physical one; the module is told to use it.

mod dry_run;
mod execute;
mod list;
mod plan;
mod run;
mod syntax;

pub(crate) use list::attached;
pub(crate) use run::Tncfg;
pub(crate) use syntax::definition;
