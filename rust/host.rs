// SPDX-License-Identifier: GPL-2.0

//! The parts of `klips.ko` that know nothing of a kernel: the same source files as in the module,
//! with the host's memory in the place of the kernel's.
//!
//! The tools use what stands in [`klips_core`]; tests use all of it.

pub mod change;
pub mod engine;
pub mod flows;
#[path = "core/mod.rs"]
pub mod klips_core;
pub mod listing;
#[path = "memory/host.rs"]
pub mod memory;
pub mod netns;
pub mod post;
pub mod request;
pub mod sadb;

pub use klips_core::{address, errno, fold, group, pfkey, said, selector};
