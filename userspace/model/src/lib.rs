// SPDX-License-Identifier: GPL-2.0

//! What the table of SAs is expected to do, written down plainly and without the code under test.

pub mod wire;
