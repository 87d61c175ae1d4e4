// SPDX-License-Identifier: GPL-2.0

//! KLIPS for Linux of today: the PF_KEYv2 sockets, the SA table with its groups, and the files in
//! `/proc/net`.
//!
//! A byte from a socket goes this way:
//!
//! - [`sys`] takes it from the socket and gives it, with the state of its network namespace, to
//! - [`request`], which has it checked by [`klips_core::pfkey`] and carries it out on
//! - [`sadb`], where the rules of [`klips_core::group`] hold; the answer goes back through [`sys`].
//!
//! [`listing`] writes the lines of the files in `/proc/net`. Only [`sys`] has `unsafe` code.

#![crate_name = "klips"]
#![deny(unsafe_op_in_unsafe_fn)]
// Modules are private, so that the compiler finds what the module never calls; what is public in
// them is so for the crate of the same sources that tools and tests use.
#![deny(dead_code)]
#![expect(unreachable_pub)]

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
    params: {
        max_sas: u32 {
            default: 65536,
            description: "Most SAs in a network namespace that the first user namespace does not own",
        },
        max_sockets: u32 {
            default: 1024,
            description: "Most open sockets in a network namespace, for all but the first",
        },
        max_flows: u32 {
            default: 16384,
            description: "Most eroutes in a network namespace, for all but the first",
        },
    },
}

/// How many SAs there may be in a network namespace whose owner is not trusted with the memory of
/// the whole machine: anybody may become one who can make user namespaces.
fn max_sas() -> usize {
    usize::try_from(module_parameters::max_sas.value()).unwrap_or(usize::MAX)
}

/// How many sockets may be open in a network namespace other than the first.
fn max_sockets() -> usize {
    usize::try_from(module_parameters::max_sockets.value()).unwrap_or(usize::MAX)
}

/// How many eroutes there may be in a network namespace other than the first. Each takes one policy of
/// the kernel's or two, whose memory nobody is charged for.
fn max_flows() -> usize {
    usize::try_from(module_parameters::max_flows.value()).unwrap_or(usize::MAX)
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
