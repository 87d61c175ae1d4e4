// SPDX-License-Identifier: GPL-2.0

//! What the arguments of `ipsec spigrp` ask for.

use super::{plan::Request, sas};
use crate::{failure::Failure, given::Given, program::Program, system::System, text};

/// The request that SAs make, if there are any.
pub(super) fn request(
    given: &Given,
    program: &Program,
    system: &mut impl System,
) -> Result<Option<Request>, Failure> {
    let (args, ungroup): (Vec<_>, Vec<_>) =
        (given.all("sa").collect(), given.all("ungroup").collect());
    let see = text::see_help(program);
    let join = given.flag("join");
    if !ungroup.is_empty() && join {
        return Err(Failure::usage(format!(
            "--join and --ungroup can't be given together.{see}"
        )));
    }
    let saids = match (ungroup.as_slice(), given.flag("said")) {
        ([said], false) if args.is_empty() => {
            return Ok(Some(Request::Ungroup(text::said(said, system)?)));
        }
        ([_, ..], _) => {
            return Err(Failure::usage(format!(
                "--ungroup takes exactly one SA.{see}"
            )));
        }
        ([], true) => sas::saids(program, &args, system)?,
        ([], false) => sas::words(program, &args, system)?,
    };
    match (join, saids.len()) {
        (false, _) => Ok(Request::of(saids)),
        (true, 2..) => Ok(Some(Request::Join(saids))),
        (true, count) => Err(Failure::usage(format!(
            "--join takes 2 to {} SAs, got {count}.{see}",
            sas::MAX
        ))),
    }
}
