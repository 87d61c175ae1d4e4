// SPDX-License-Identifier: GPL-2.0

//! `ipsec spigrp`: groups and ungroups SAs, lists groups.

mod args;
mod change;
mod dry_run;
mod execute;
mod list;
mod pairs;
mod plan;
mod refusal;
mod run;
mod sas;
mod syntax;

pub(crate) use run::SpiGrp;
pub(crate) use syntax::definition;
