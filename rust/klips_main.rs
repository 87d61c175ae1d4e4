// SPDX-License-Identifier: GPL-2.0

//! KLIPS for Linux of today: the PF_KEYv2 sockets, the SA table with its groups, and the files in
//! `/proc/net`.
//!
//! A byte from a socket goes this way:
//!
//! - [`sys`] takes it from the socket and gives it, with the state of its network namespace, to
//! - [`request`], which has it checked by [`klips_core::pfkey`] and says what is to change to
//! - [`change`], the one door to
//! - [`sadb`], where the rules of [`klips_core::group`] hold, and [`flows`], the eroutes; the answer
//!   goes back by way of [`post`] and [`sys`].
//!
//! A packet meets none of this: [`flows`] has the kernel's xfrm, behind [`engine`], hold states for
//! SAs and policies for eroutes. [`listing`] writes the lines of the files in `/proc/net`. Only [`sys`] has `unsafe` code.

#![crate_name = "klips"]
#![deny(unsafe_op_in_unsafe_fn)]
// Modules are private, so that the compiler finds what the module never calls, which Kbuild has
// dead_code be an error for; what is public in them is so for the crate of the same sources that
// tools and tests use.
#![expect(unreachable_pub)]
#![warn(clippy::match_bool)]

use kernel::prelude::*;

mod change;
mod engine;
mod flows;
#[path = "core/mod.rs"]
mod klips_core;
mod listing;
#[path = "memory/kernel.rs"]
mod memory;
mod netns;
mod post;
mod request;
mod sadb;
mod sys;

module! {
    type: Klips,
    name: "klips",
    authors: ["The klips developers"],
    description: "KLIPS: PF_KEYv2 sockets and grouping of IPsec Security Associations",
    license: "GPL",
    alias: ["net-pf-15"],
}

/// The loaded module.
struct Klips {
    _registration: sys::Registration,
}

impl kernel::Module for Klips {
    fn init(_module: &'static ThisModule) -> Result<Self> {
        let registration = sys::Registration::new().inspect_err(|error| {
            if *error == EEXIST {
                pr_err!(
                    "protocol family 15 (PF_KEY) is taken, most likely by af_key: \
                     unload that first (rmmod af_key) and keep it from being loaded\n"
                );
            }
        })?;
        pr_info!("loaded\n");
        Ok(Klips {
            _registration: registration,
        })
    }
}

impl Drop for Klips {
    fn drop(&mut self) {
        pr_info!("unloaded\n");
    }
}
