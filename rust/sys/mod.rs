// SPDX-License-Identifier: GPL-2.0

//! The one folder that talks to C, by subject: [`netns`], [`socket`], [`proc`] and [`xfrm`] each have a
//! half in Rust, and one in C for what the Rust bindings lack: structures, inline functions, callbacks.
//! Those of [`xfrm`] are `xfrm.c`, `xfrm_events.c` (what it tells), `interface.c`, `device.c` and
//! `rtnetlink.c` (`ipsecN`), `routes.c` (to peers, past `ipsecN`); `sysctl.c` has limits.
//! `include/klips_shim.h` and `klips_xfrm.h` are what the halves know of each other; [`bindings`] is made
//! of them, and [`declared`] checks against them what Rust defines.

mod bindings;
mod netns;
mod proc;
mod secret;
mod socket;
mod xfrm;

pub use self::{
    secret::Secret,
    xfrm::Xfrm, //
};

use crate::{
    klips_core::errno::Errno,
    memory::OutOfMemory, //
};
use kernel::{
    error::to_result,
    prelude::*, //
};

/// Checks that functions have the signatures that the header declares: the branches of an `if` have
/// one type.
macro_rules! declared {
    ($($name:ident)*) => {
        $(
            const _: () = {
                if true {
                    $crate::sys::bindings::$name
                } else {
                    $name
                };
            };
        )*
    };
}
use declared;

/// The registration of family, files and namespaces. Dropping it takes them back.
///
/// # Invariants
///
/// `klips_netns_register`, `klips_interface_register`, `klips_device_register` and `klips_socket_register`
/// have succeeded, in this order, and have not been undone.
pub struct Registration {
    /// Dropped last, when no namespace uses it any more.
    _xfrm: xfrm::Registration,
}

impl Registration {
    /// Registers everything. `EEXIST` if another module has the protocol family.
    pub fn new() -> Result<Self> {
        let xfrm = xfrm::Registration::new()?;
        // SAFETY: Called once, when the module is loaded: there is no other `Registration`.
        to_result(unsafe { bindings::klips_netns_register() })?;
        // SAFETY: As above; each namespace has its state now.
        to_result(unsafe { bindings::klips_interface_register() }).inspect_err(|_| {
            // SAFETY: It has been registered, and nothing else has.
            unsafe { bindings::klips_netns_unregister() }
        })?;
        // SAFETY: As above.
        to_result(unsafe { bindings::klips_device_register() }).inspect_err(|_| {
            // SAFETY: They have been registered, and nothing else has.
            unsafe {
                bindings::klips_interface_unregister();
                bindings::klips_netns_unregister();
            }
        })?;
        // Last, for from here on there can be sockets.
        // SAFETY: As above.
        to_result(unsafe { bindings::klips_socket_register() }).inspect_err(|_| {
            // SAFETY: They have been registered, and there are no sockets.
            unsafe {
                bindings::klips_device_unregister();
                bindings::klips_interface_unregister();
                bindings::klips_netns_unregister();
            }
        })?;
        // INVARIANT: All have just succeeded.
        Ok(Registration { _xfrm: xfrm })
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        // SAFETY: By the type invariant it is registered. There are no sockets, for each of them
        // holds the module.
        unsafe { bindings::klips_socket_unregister() };
        // SAFETY: By the type invariant it is registered. What one of its devices was asked for holds
        // the module until it is done.
        unsafe { bindings::klips_device_unregister() };
        // SAFETY: By the type invariant it is registered. It asks for work in namespaces, which ends
        // with them.
        unsafe { bindings::klips_interface_unregister() };
        // SAFETY: By the type invariant they are registered, and there can't be sockets any more.
        unsafe { bindings::klips_netns_unregister() };
    }
}

/// A result as C has it.
fn to_c(result: Result<(), Errno>) -> c_int {
    match result {
        Ok(()) => 0,
        Err(errno) => -c_int::from(errno.0),
    }
}

/// An error of C's, which is never positive.
fn errno_of(err: c_int) -> Errno {
    u8::try_from(-err).map_or(Errno::EINVAL, Errno)
}

/// What a writer gets if there is no memory to copy its message (reference 2.1, check 6).
impl From<OutOfMemory> for Errno {
    fn from(_: OutOfMemory) -> Self {
        Errno::ENOBUFS
    }
}

// With its places in the table's maps, and what the allocator adds to be able to account it, an SA
// takes about 300 bytes.
const _: () = assert!(size_of::<crate::sadb::Sa>() <= 256);

// The core has its own error numbers, so that it needs no kernel: here is where they meet.
macro_rules! same_errnos {
    ($($name:ident)*) => {
        $(const _: () = assert!(Errno::$name.0 as u32 == kernel::bindings::$name);)*
    };
}

same_errnos! {
    EPERM ENOENT ESRCH EINTR ENOMEM EACCES EFAULT EBUSY EEXIST ENODEV EINVAL ENFILE ENOSPC EPIPE
    EMLINK ENOSYS EMSGSIZE EPROTONOSUPPORT ESOCKTNOSUPPORT EOPNOTSUPP EPFNOSUPPORT EAFNOSUPPORT
    ENOBUFS
}
