// SPDX-License-Identifier: GPL-2.0

//! `ipsec spigrp` and `ipsec spi`.

use ipsec_tools::{Console, Linux, run};
use std::{env, io, process::ExitCode};

fn main() -> ExitCode {
    let mut console = Console {
        out: &mut io::stdout().lock(),
        err: &mut io::stderr().lock(),
    };
    run(env::args_os(), &mut Linux, &mut console).into()
}
