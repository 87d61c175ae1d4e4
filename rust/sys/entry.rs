// SPDX-License-Identifier: GPL-2.0

//! The functions that `shim.c` calls, as `include/klips_shim.h` declares them.
//!
//! `state` is always what [`klips_net_new`] returned for the namespace, and not freed yet.

use super::{
    bindings::{
        self,
        NetNs,
        OpenFile, //
    },
    net::{
        Net,
        Socket, //
    },
    page::SeqPage,
    secret::Scratch,
    Secret, //
};
use crate::{
    change,
    klips_core::{
        errno::Errno,
        pfkey::{
            types::{
                PF_KEY_V2,
                WORD, //
            },
            Header, //
        }, //
    },
    listing::{
        End,
        Listing, //
    },
    memory::OutOfMemory,
    netns::Host,
    request, //
};
use core::ptr::{
    self,
    NonNull, //
};
use kernel::{
    bindings::{
        msghdr,
        sock,
        sock_type_SOCK_RAW, //
    },
    prelude::*, //
};

/// Longest message that a header can tell the length of.
const MAX_MESSAGE: usize = u16::MAX as usize * WORD;

/// A result as C has it.
fn to_c(result: Result<(), Errno>) -> c_int {
    match result {
        Ok(()) => 0,
        Err(errno) => -c_int::from(errno.0),
    }
}

/// What a writer gets if there is no memory to copy its message (reference 2.1, check 6).
impl From<OutOfMemory> for Errno {
    fn from(_: OutOfMemory) -> Self {
        Errno::ENOBUFS
    }
}

/// Makes the state of a network namespace. Null without memory.
///
/// # Safety
///
/// `net` is valid, and stays so until the state is freed.
#[no_mangle]
pub(super) unsafe extern "C" fn klips_net_new(net: *mut NetNs) -> *mut c_void {
    let Some(net) = NonNull::new(net) else {
        return ptr::null_mut();
    };
    // SAFETY: The caller promises that `net` stays valid.
    match KBox::pin_init(unsafe { Net::new(net) }, GFP_KERNEL_ACCOUNT) {
        // SAFETY: Nothing is moved out of the pointer; `klips_net_free` pins it again.
        Ok(state) => KBox::into_raw(unsafe { Pin::into_inner_unchecked(state) }).cast(),
        Err(_) => ptr::null_mut(),
    }
}

/// Frees the state of a network namespace.
///
/// # Safety
///
/// `state` came from [`klips_net_new`], and nobody uses it any more.
#[no_mangle]
pub(super) unsafe extern "C" fn klips_net_free(state: *mut c_void) {
    // SAFETY: The caller hands over what `klips_net_new` gave, which was pinned.
    let net = unsafe { Pin::new_unchecked(KBox::from_raw(state.cast::<Net>())) };
    // Nothing refuses that, and nobody is told.
    let _ = change::remove_all(&*net, None);
}

/// The state behind the pointer.
///
/// # Safety
///
/// `state` came from [`klips_net_new`] and is not freed during `'a`.
unsafe fn borrow<'a>(state: *mut c_void) -> &'a Net {
    // SAFETY: The caller promises that it is a valid `Net`; it is only ever shared.
    unsafe { &*state.cast::<Net>() }
}

/// Whether a socket of this type and protocol may be made.
///
/// # Safety
///
/// `net` is valid.
#[no_mangle]
pub(super) unsafe extern "C" fn klips_socket_check(
    net: *const NetNs,
    socket_type: c_int,
    protocol: c_int,
) -> c_int {
    to_c(if u32::try_from(socket_type) != Ok(sock_type_SOCK_RAW) {
        Err(Errno::ESOCKTNOSUPPORT)
    } else if u8::try_from(protocol) != Ok(PF_KEY_V2) {
        Err(Errno::EPROTONOSUPPORT)
    // SAFETY: The caller promises that `net` is valid.
    } else if !unsafe { bindings::klips_shim_may_administer(net) } {
        Err(Errno::EPERM)
    } else {
        Ok(())
    })
}

/// A socket was made.
///
/// # Safety
///
/// `state` is that of the socket's namespace; `sk` stays valid until [`klips_socket_close`].
#[no_mangle]
pub(super) unsafe extern "C" fn klips_socket_open(state: *mut c_void, sk: *mut sock) -> c_int {
    // SAFETY: The namespace of a socket is there as long as the socket.
    let net = unsafe { borrow(state) };
    to_c(match NonNull::new(sk) {
        // INVARIANT: `klips_socket_close` takes it out before the socket is released.
        Some(sk) => net
            .lock()
            .listeners
            .open(Socket(sk))
            .map_err(|OutOfMemory| Errno::ENOMEM),
        None => Err(Errno::EINVAL),
    })
}

/// A socket is being closed.
///
/// # Safety
///
/// `state` is that of the socket's namespace.
#[no_mangle]
pub(super) unsafe extern "C" fn klips_socket_close(state: *mut c_void, sk: *mut sock) {
    // SAFETY: The namespace of a socket is there as long as the socket.
    let net = unsafe { borrow(state) };
    if let Some(sk) = NonNull::new(sk) {
        net.lock().listeners.close(Socket(sk));
    }
}

/// Something was read from a socket that a DUMP goes on for.
///
/// # Safety
///
/// `state` is that of the socket's namespace, and `sk` is valid.
#[no_mangle]
pub(super) unsafe extern "C" fn klips_socket_drained(state: *mut c_void, sk: *mut sock) {
    // SAFETY: The namespace of a socket is there as long as the socket.
    let net = unsafe { borrow(state) };
    if let Some(sk) = NonNull::new(sk) {
        request::go_on_dumping(net, Socket(sk));
    }
}

/// The time that was asked for has come.
///
/// # Safety
///
/// `state` is that of the namespace whose work this is.
#[no_mangle]
pub(super) unsafe extern "C" fn klips_expire(state: *mut c_void) {
    // SAFETY: The work of a namespace is cancelled before its state is freed.
    request::expire_due(unsafe { borrow(state) });
}

/// A message was written to a socket: the checks of reference 2.1, numbers 2 to 6, then the request.
///
/// # Safety
///
/// `state` is that of the socket's namespace; `sk` and `msg` are valid, and `len` bytes can be
/// copied from `msg`.
#[no_mangle]
pub(super) unsafe extern "C" fn klips_socket_send(
    state: *mut c_void,
    sk: *mut sock,
    msg: *mut msghdr,
    len: usize,
) -> c_int {
    // SAFETY: The namespace of a socket is there as long as the socket.
    let net = unsafe { borrow(state) };
    // SAFETY: The caller promises that `sk` and `msg` are as `send` wants them.
    to_c(unsafe { send(net, sk, msg, len) })
}

/// # Safety
///
/// As for [`klips_socket_send`].
unsafe fn send(net: &Net, sk: *mut sock, msg: *mut msghdr, len: usize) -> Result<(), Errno> {
    let socket = Socket(NonNull::new(sk).ok_or(Errno::EINVAL)?);
    if !net.may_administer() {
        return Err(Errno::EPERM);
    }
    // SAFETY: The caller promises that `msg` is valid.
    if unsafe { bindings::klips_shim_has_control(msg) } {
        return Err(Errno::EINVAL);
    }
    // SAFETY: The caller promises that `sk` is valid.
    if unsafe { bindings::klips_shim_send_is_shut_down(sk) } {
        return Err(Errno::EPIPE);
    }
    if !(Header::SIZE..=MAX_MESSAGE).contains(&len) {
        return Err(Errno::EMSGSIZE);
    }
    let copy = |to: *mut u8| {
        // SAFETY: The caller promises that there are `len` bytes in `msg`, and `to` has room.
        match unsafe { bindings::klips_shim_copy_from(to.cast(), msg, len) } {
            0 => Ok(()),
            _ => Err(Errno::EFAULT),
        }
    };
    // A request may hold keys: wherever it is copied to is wiped.
    if let Some(mut scratch) = Scratch::new(len) {
        // SAFETY: `copy` copies `len` bytes, for which `scratch` has been made, and returns `Ok` only
        // if these are all there.
        request::submit(net, socket, unsafe { scratch.filled_by(copy) }?)
    } else {
        // SAFETY: `copy` returns `Ok` only if it has copied all bytes.
        let secret = unsafe { Secret::filled_by(len, copy) }?;
        request::submit(net, socket, secret.as_slice())
    }
}

/// Fills the rest of a page of a file; see [`Listing::page`]. Returns 0 at the end.
///
/// # Safety
///
/// `state` is that of the file's namespace; `m` and `end` are valid and used by the caller alone.
#[no_mangle]
pub(super) unsafe extern "C" fn klips_listing_page(
    state: *mut c_void,
    listing: u32,
    m: *mut OpenFile,
    position: u64,
    end: *mut u64,
) -> u64 {
    // SAFETY: An open file holds its namespace.
    let net = unsafe { borrow(state) };
    let Some(listing) = Listing::from_number(listing) else {
        return 0;
    };
    // SAFETY: The caller promises that `m` is valid and nobody else uses it.
    let mut page = unsafe { SeqPage::of(m) };
    // SAFETY: The caller promises that `end` is valid and nobody else uses it.
    let end = unsafe { &mut *end };
    match listing.page(net, position, end, &mut page) {
        End::More(next) => next,
        End::Over => 0,
        End::TooSmall => {
            page.overflow();
            position
        }
    }
}
