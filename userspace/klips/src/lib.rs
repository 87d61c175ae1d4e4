// SPDX-License-Identifier: GPL-2.0

//! The parts of `klips.ko` that know nothing of a kernel: the same source files as in the module,
//! with the host's memory in the place of the kernel's.
//!
//! The tools use [`said`], [`address`] and [`pfkey`]; tests use all of it.

#[path = "../../../rust/engine.rs"]
pub mod engine;
#[path = "../../../rust/core/mod.rs"]
pub mod klips_core;
#[path = "../../../rust/listing/mod.rs"]
pub mod listing;
pub mod memory;
#[path = "../../../rust/netns.rs"]
pub mod netns;
#[path = "../../../rust/post/mod.rs"]
pub mod post;
#[path = "../../../rust/request/mod.rs"]
pub mod request;
#[path = "../../../rust/sadb/mod.rs"]
pub mod sadb;

pub use klips_core::{address, errno, group, number, pfkey, said};
