// SPDX-License-Identifier: GPL-2.0

//! Makes interfaces and has the module use them, or the other way round.

use super::{
    list,
    plan::{self, Physical, Request},
};
use crate::{
    console::Console,
    failure::{Failure, Reason},
    program::Program,
    system::System,
    text,
};
use klips::{errno::Errno, klips_core::interface::Interface};
use pfkey::{Client, Error, Transport};
use std::io;

pub(super) fn execute<S: System>(
    request: &Request,
    client: &mut Client<S::Transport>,
    program: &Program,
    system: &mut S,
    console: &mut Console<'_>,
) -> Result<(), Failure> {
    console.debug(program, format_args!("{request}"));
    let rows = list::rows(system)?;
    let row = |interface| rows.iter().find(|row| row.interface() == Some(interface));
    match request {
        Request::Attach(interface, physical) => {
            let was_there = match row(*interface) {
                Some(row) if row.physical.is_some() => {
                    return Err(already_attached(*interface, row.physical.as_deref()));
                }
                Some(_) => {
                    take_away(*interface, client, system)?;
                    true
                }
                None => {
                    remove_left(*interface, system)?;
                    false
                }
            };
            make(physical, *interface, client, system).map_err(|failure| {
                if was_there {
                    // That it can't be attached is what there is to tell.
                    let _ = client.request(&plan::plumb(*interface));
                }
                failure.prefixed(&format!("can't attach {interface} to {}: ", physical.name))
            })
        }
        Request::Create(interface) => {
            if row(*interface).is_some() {
                return Err(exists(*interface));
            }
            remove_left(*interface, system)?;
            plumb(*interface, client)
        }
        Request::Detach(interface) => match row(*interface) {
            Some(row) if row.physical.is_some() => detach(*interface, client, system),
            _ => Err(not_attached(*interface)),
        },
        Request::Delete(interface) => match row(*interface) {
            Some(_) => take_away(*interface, client, system),
            None => Err(absent(*interface)),
        },
        Request::Clear => {
            let attached = rows.iter().filter(|row| row.physical.is_some());
            for interface in attached.filter_map(|row| row.interface()) {
                detach(interface, client, system)?;
            }
            Ok(())
        }
    }
}

/// It is above another one.
pub(super) fn already_attached(interface: Interface, to: Option<&str>) -> Failure {
    let to = to.unwrap_or("one");
    Failure::refused(format!(
        "{interface} is already attached to {to}.  Detach it first."
    ))
    .because(Reason::Exists)
}

/// It is above none.
pub(super) fn not_attached(interface: Interface) -> Failure {
    Failure::refused(format!("{interface} is not attached.")).because(Reason::Missing)
}

/// It is there.
pub(super) fn exists(interface: Interface) -> Failure {
    Failure::refused(format!("{interface} is there already.")).because(Reason::Exists)
}

/// It is not there.
pub(super) fn absent(interface: Interface) -> Failure {
    Failure::refused(format!("there is no {interface}.")).because(Reason::Missing)
}

/// Makes an interface above a physical one and has it used, or leaves none.
fn make<S: System>(
    physical: &Physical,
    interface: Interface,
    client: &mut Client<S::Transport>,
    system: &mut S,
) -> Result<(), Failure> {
    let link = physical.new_link(interface);
    system.make_link(&link).map_err(no_link)?;
    plumb(interface, client).inspect_err(|_| {
        let removed = system.link(&link.name);
        if let Ok(Some(made)) = removed {
            // What can't be removed is of no harm: the module does not use it.
            let _ = system.remove_link(made.index);
        }
    })
}

/// Has an interface be used, or made, if there is none: then it is attached to none.
fn plumb<T: Transport>(interface: Interface, client: &mut Client<T>) -> Result<(), Failure> {
    let answer = client.request(&plan::plumb(interface));
    answer.map(drop).map_err(|error| refused(error, interface))
}

/// Takes an interface from its physical one. As KLIPS's it stays, attached to none.
fn detach<S: System>(
    interface: Interface,
    client: &mut Client<S::Transport>,
    system: &mut S,
) -> Result<(), Failure> {
    take_away(interface, client, system)?;
    plumb(interface, client)
}

/// Has an interface not be used any more, then removes it: no packet meets it without its eroutes.
fn take_away<S: System>(
    interface: Interface,
    client: &mut Client<S::Transport>,
    system: &mut S,
) -> Result<(), Failure> {
    client
        .request(&plan::unplumb(interface))
        .map_err(|error| refused(error, interface))?;
    remove_left(interface, system)
}

/// Removes an interface that the module does not use, and that somebody has left.
fn remove_left(interface: Interface, system: &mut impl System) -> Result<(), Failure> {
    let name = interface.to_string();
    let failed = |error: io::Error| Failure::refused(format!("{name}: {error}"));
    match system.link(&name).map_err(failed)? {
        None => Ok(()),
        Some(link) if link.if_id == Some(interface.if_id()) => {
            system.remove_link(link.index).map_err(failed)
        }
        Some(_) => Err(Failure::refused(format!(
            "there is an interface {name} that is not KLIPS's.  Remove or rename it ('ip link')."
        ))
        .because(Reason::Exists)),
    }
}

/// Why there can be no such interface.
fn no_link(error: io::Error) -> Failure {
    match error.kind() {
        io::ErrorKind::Unsupported => Failure::refused(
            "the kernel has no xfrm interfaces (CONFIG_XFRM_INTERFACE, module xfrm_interface).",
        ),
        io::ErrorKind::PermissionDenied => {
            Failure::refused("access denied.  You must be root or have CAP_NET_ADMIN.")
        }
        _ => Failure::refused(error.to_string()),
    }
}

fn refused(error: Error, interface: Interface) -> Failure {
    match error {
        Error::Refused { errno, .. } => match errno {
            Errno::EEXIST => exists(interface),
            Errno::ENODEV => absent(interface),
            Errno::EOPNOTSUPP => Failure::refused("this kernel's klips knows no interfaces."),
            Errno::ENOMEM => {
                Failure::refused("no kernel memory to have eroutes and SAs go to other interfaces.")
            }
            _ => text::failure(error),
        }
        .with_errno(errno),
        error => text::failure(error),
    }
}
