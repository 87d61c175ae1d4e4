// SPDX-License-Identifier: GPL-2.0

//! What KLIPS means, apart from any kernel: the text form of an SAID, the PF_KEYv2 dialect, the
//! rules of grouping.
//!
//! This folder is one source compiled three ways: into `klips.ko`, into the user space tools and
//! into tests on the host. It has no `unsafe`, uses no `std`, and allocates nothing.

pub mod address;
pub mod crypto;
pub mod errno;
pub mod fold;
pub mod group;
pub mod interface;
pub mod pfkey;
pub mod said;
pub mod selector;
pub mod xfrm;
