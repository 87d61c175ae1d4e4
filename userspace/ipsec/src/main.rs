// SPDX-License-Identifier: GPL-2.0

//! The program `ipsec`.

use ipsec_tools::{Console, Linux, run};
use std::{
    env,
    io::{self, IsTerminal},
    process::ExitCode,
};

fn main() -> ExitCode {
    let mut console = Console {
        out: &mut stdio::stdout(),
        err: &mut io::stderr().lock(),
        terminal: io::stdout().is_terminal(),
        no_color: env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty()),
    };
    run(env::args_os(), &mut Linux::default(), &mut console).into()
}
