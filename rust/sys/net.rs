// SPDX-License-Identifier: GPL-2.0

//! A network namespace: its state behind its lock, and what a request needs of the kernel.

use super::{
    bindings::{
        self,
        NetNs, //
    },
    Draft,
    Xfrm, //
};
use crate::{
    memory::OutOfMemory,
    netns::{
        Host,
        SocketInfo,
        State, //
    },
    sadb::{
        HashKey,
        Moment, //
    }, //
};
use core::{
    fmt,
    net::IpAddr,
    ptr::NonNull, //
};
use kernel::{
    bindings::sock,
    new_mutex,
    prelude::*,
    sync::{
        atomic::{
            Atomic,
            Relaxed, //
        },
        lock::{
            mutex::MutexBackend,
            Guard, //
        },
        Mutex, //
    }, //
};

/// An open socket.
///
/// # Invariants
///
/// Where one is kept in a [`State`], its socket has not been released: `klips_socket_close` takes
/// it out, under the lock, before the socket goes.
#[derive(Clone, Copy, PartialEq)]
pub struct Socket(pub(super) NonNull<sock>);

// SAFETY: A socket may be used from any thread; this is but its address.
unsafe impl Send for Socket {}

/// A network namespace in which the module is active. One mutex protects all of its state.
///
/// # Invariants
///
/// `net` is valid as long as this object: it is made and freed with the namespace.
#[pin_data]
pub struct Net {
    net: NonNull<NetNs>,
    engine: Xfrm,
    /// Whether requests are logged; depends on nothing else.
    traced: Atomic<bool>,
    #[pin]
    state: Mutex<State<Net>>,
}

// SAFETY: The namespace may be used from any thread; the state is behind a mutex.
unsafe impl Send for Net {}
// SAFETY: As above: a shared reference gives access to the state by way of the mutex only.
unsafe impl Sync for Net {}

impl Net {
    /// The state of a new namespace.
    ///
    /// # Safety
    ///
    /// `net` is valid as long as the object that is made.
    pub(super) unsafe fn new(net: NonNull<NetNs>) -> impl PinInit<Self> {
        // SAFETY: The caller promises that `net` is valid.
        let trusted = unsafe { bindings::klips_shim_is_trusted(net.as_ptr()) };
        let mut key = [0u64; 2];
        // SAFETY: The key has room for as many bytes as it has.
        unsafe {
            bindings::klips_shim_random(key.as_mut_ptr().cast(), core::mem::size_of_val(&key));
        }
        let mut state = State::new(HashKey(key));
        if !trusted {
            state.sadb.set_limit(crate::max_sas());
        }
        // SAFETY: The caller promises that `net` is valid.
        let engine = unsafe { Xfrm::of(net) };
        // INVARIANT: The caller promises that `net` is valid.
        pin_init!(Self {
            net,
            engine,
            traced: Atomic::new(false),
            state <- new_mutex!(state, "klips"),
        })
    }

    /// Whether the current process may administer this namespace (contract 12).
    pub(super) fn may_administer(&self) -> bool {
        // SAFETY: By the type invariant the namespace is valid.
        unsafe { bindings::klips_shim_may_administer(self.net.as_ptr()) }
    }

    /// The packet engine of this namespace.
    pub fn engine(&self) -> &Xfrm {
        &self.engine
    }
}

impl Host for Net {
    type Socket = Socket;
    type Draft = Draft;
    type Guard<'a> = Guard<'a, State<Net>, MutexBackend>;

    fn lock(&self) -> Self::Guard<'_> {
        self.state.lock()
    }

    fn draft(&self, len: usize) -> Result<Draft, OutOfMemory> {
        // SAFETY: By the type invariant the namespace is valid as long as this object, and drafts
        // live in its state or within a call that uses it.
        unsafe { Draft::new(self.net, len) }
    }

    fn shorten(&self, draft: &mut Draft, len: usize) {
        draft.shorten(len);
    }

    fn deliver(&self, socket: Socket, message: &Draft) {
        // SAFETY: A socket comes from the state, which is locked, or from the process that is
        // writing to it; either way it has not been released.
        unsafe { message.deliver_to(socket.0) };
    }

    fn deliver_last(&self, socket: Socket, message: Draft) {
        // SAFETY: As for `deliver`.
        unsafe { message.deliver_last_to(socket.0) };
    }

    fn lost(&self, socket: Socket) {
        // SAFETY: As for `deliver`.
        unsafe { bindings::klips_shim_lost(socket.0.as_ptr()) };
    }

    fn has_room(&self, socket: Socket) -> bool {
        // SAFETY: As for `deliver`.
        unsafe { bindings::klips_shim_has_room(socket.0.as_ptr()) }
    }

    fn set_dumping(&self, socket: Socket, dumping: bool) {
        // SAFETY: As for `deliver`.
        unsafe { bindings::klips_shim_set_dumping(socket.0.as_ptr(), dumping) };
    }

    fn wake_at(&self, second: Option<u64>) {
        let Some(second) = second else {
            return;
        };
        let seconds = second.saturating_sub(self.now().boot);
        // SAFETY: By the type invariant the namespace is valid. Its work is cancelled before this
        // object goes, when there are neither sockets nor work that could call this.
        unsafe { bindings::klips_shim_wake_after(self.net.as_ptr(), seconds) };
    }

    fn socket_info(&self, socket: Socket) -> SocketInfo {
        let mut info = SocketInfo::default();
        // SAFETY: As for `deliver`; `info` may be written to.
        unsafe { bindings::klips_shim_socket_info(socket.0.as_ptr(), &mut info) };
        info
    }

    fn random(&self) -> u64 {
        let mut random = 0u64;
        // SAFETY: `random` has room for as many bytes as it has.
        unsafe {
            bindings::klips_shim_random(core::ptr::from_mut(&mut random).cast(), size_of::<u64>());
        }
        random
    }

    fn set_traced(&self, traced: bool) {
        self.traced.store(traced, Relaxed);
    }

    fn is_traced(&self) -> bool {
        self.traced.load(Relaxed)
    }

    fn log(&self, line: fmt::Arguments<'_>) {
        // SAFETY: By the type invariant the namespace is valid.
        let trusted = unsafe { bindings::klips_shim_is_trusted(self.net.as_ptr()) };
        // The log is the host's, not for any namespace's owner to fill.
        if trusted {
            pr_info!("{}\n", line);
        }
    }

    fn now(&self) -> Moment {
        // SAFETY: These may be called at any time.
        let (real, boot) = unsafe {
            (
                bindings::klips_shim_real_seconds(),
                bindings::klips_shim_boot_seconds(),
            )
        };
        Moment { real, boot }
    }

    fn is_local(&self, ip: IpAddr) -> bool {
        let net = self.net.as_ptr();
        match ip {
            // SAFETY: The namespace is valid by the type invariant, the address has 4 bytes.
            IpAddr::V4(ip) => unsafe {
                bindings::klips_shim_is_local_v4(net, ip.octets().as_ptr())
            },
            // SAFETY: The namespace is valid by the type invariant, the address has 16 bytes.
            IpAddr::V6(ip) => unsafe {
                bindings::klips_shim_is_local_v6(net, ip.octets().as_ptr())
            },
        }
    }

    fn breathe(&self) {
        // SAFETY: Called without locks, in a context that may sleep.
        unsafe { bindings::klips_shim_cond_resched() };
    }
}
