// SPDX-License-Identifier: GPL-2.0

//! `ipsec manual`: takes manually keyed connections up and down, as the file of connections
//! describes them.
//!
//! What it asks of the kernel are requests of `spi`, `spigrp` and `eroute`, read from command lines
//! as those read them, so that what it shows is what it does.

mod conn;
mod connection;
mod file;
mod local;
mod operation;
mod params;
mod plan;
mod run;
mod state;
mod steps;
mod syntax;

pub(crate) use run::run;
pub(crate) use syntax::definition;
