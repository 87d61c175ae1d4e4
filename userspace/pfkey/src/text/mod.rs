// SPDX-License-Identifier: GPL-2.0

//! What people type for numbers, addresses, networks and SAIDs, read as KLIPS's library did.

pub mod address;
pub mod network;
pub mod number;
pub mod said;
