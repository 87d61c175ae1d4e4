// SPDX-License-Identifier: GPL-2.0

//! The target `memory` of `testbed`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| testbed::target::memory(bytes));
