// SPDX-License-Identifier: GPL-2.0

//! The one folder that talks to C: safe types around what `shim.c` gives, and the functions that
//! it calls.

mod bindings;
mod entry;
mod message;
mod net;
mod page;
mod secret;
mod xfrm;

pub use self::{
    message::Draft,
    net::Net,
    secret::Secret,
    xfrm::Xfrm, //
};

use crate::klips_core::errno::Errno;
use kernel::prelude::*;

/// The registration of family, files and namespaces. Dropping it takes them back.
///
/// # Invariants
///
/// `klips_shim_register` has succeeded, and `klips_shim_unregister` has not been called since.
pub struct Registration {
    /// Dropped last, when no namespace uses it any more.
    _xfrm: xfrm::Registration,
}

impl Registration {
    /// Registers everything. `EEXIST` if another module has the protocol family.
    pub fn new() -> Result<Self> {
        let xfrm = xfrm::Registration::new();
        // SAFETY: Called once, when the module is loaded: there is no other `Registration`.
        to_result(unsafe { bindings::klips_shim_register() })?;
        // INVARIANT: It has just succeeded.
        Ok(Registration { _xfrm: xfrm })
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        // SAFETY: By the type invariant everything is registered.
        unsafe { bindings::klips_shim_unregister() };
    }
}

// With its places in the table's maps, and what the allocator adds to be able to account it, an SA
// takes about 300 bytes.
const _: () = assert!(size_of::<crate::sadb::Sa>() <= 256);

fn to_result(err: c_int) -> Result {
    kernel::error::to_result(err)
}

// The core has its own error numbers, so that it needs no kernel: here is where they meet.
macro_rules! same_errnos {
    ($($name:ident)*) => {
        $(const _: () = assert!(Errno::$name.0 as u32 == kernel::bindings::$name);)*
    };
}

same_errnos! {
    EPERM ENOENT ESRCH ENOMEM EACCES EFAULT EBUSY EEXIST ENODEV EINVAL ENOSPC EPIPE EMLINK ENOSYS
    EMSGSIZE EPROTONOSUPPORT ESOCKTNOSUPPORT EOPNOTSUPP EPFNOSUPPORT EAFNOSUPPORT ENOBUFS
}
