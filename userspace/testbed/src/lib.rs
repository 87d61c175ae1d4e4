// SPDX-License-Identifier: GPL-2.0

//! What tests on the build machine share: the module's request engine on a [`TestHost`], and
//! messages put together byte by byte.

pub mod engine;
mod expect;
mod host;
pub mod target;
mod twin;

pub use self::{expect::*, host::*, twin::Twin};
pub use model::{messages, wire::*};
