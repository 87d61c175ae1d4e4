// SPDX-License-Identifier: GPL-2.0

//! What the table of SAs is expected to do, written down plainly and without the code under test.
//!
//! [`Model`] has the rules, [`Request`] what can be asked for, [`Told`] what is told of it,
//! [`sequence`](sequence()) makes up what happens, [`Messages`] what no program would write, and
//! [`wire`] has the bytes of all that. Of the crate `klips` only plain values are used: SAIDs,
//! states, errnos.

pub mod flows;
mod fuzz;
mod messages;
mod request;
mod rules;
pub mod sequence;
mod told;
pub mod wire;

pub use self::{
    fuzz::{Messages, change},
    messages::messages,
    request::{Flow, Request, Step, Terms},
    rules::{Model, Refusal, Sa},
    sequence::{CHOICES, FLOWS, Random, pool, sequence, step, unlimited_request},
    told::{Described, Passed, Told},
};
