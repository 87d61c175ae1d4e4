// SPDX-License-Identifier: GPL-2.0

//! What the command is to the driver.

use super::{dry_run::Rehearsal, execute::execute, list::Interfaces, plan::Request, syntax};
use crate::{
    about::About,
    console::Console,
    failure::Failure,
    given::Given,
    json::Ending,
    list,
    program::Program,
    requests::{How, Requests, Run},
    system::System,
};
use pfkey::Client;
use serde::Serialize;

/// The command.
pub(crate) enum Tncfg {}

/// What `--json` tells of a request.
#[derive(Serialize)]
pub(crate) struct Outcome {
    action: &'static str,
    result: Ending,
    #[serde(skip_serializing_if = "Option::is_none")]
    interface: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    physical: Option<String>,
}

impl Outcome {
    pub(super) fn of(request: &Request, result: Ending) -> Self {
        Outcome {
            action: request.action(),
            result,
            interface: request.interface().map(|interface| interface.to_string()),
            physical: request.physical().map(|physical| physical.name.clone()),
        }
    }
}

impl<S: System> Requests<S> for Tncfg {
    type Request = Request;
    type Outcome = Outcome;
    type Rehearsal = Rehearsal;

    const DEFINITION: fn(&str) -> clap::Command = syntax::definition;
    const LIST: Run<S> = list::print::<Interfaces, S>;

    fn beside_netkey() -> String {
        "NETKEY does not support virtual interfaces.".to_owned()
    }

    fn about(request: &Request) -> About<'_> {
        About::nothing(request.action())
    }

    fn read(
        given: &Given,
        _: How,
        program: &Program,
        system: &mut S,
    ) -> Result<Option<Request>, Failure> {
        syntax::read(given, program, system)
    }

    fn execute(
        request: &Request,
        client: &mut Client<S::Transport>,
        program: &Program,
        system: &mut S,
        console: &mut Console<'_>,
    ) -> Result<Outcome, Failure> {
        execute(request, client, program, system, console)?;
        Ok(Outcome::of(request, Ending::Done))
    }
}
