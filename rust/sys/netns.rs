// SPDX-License-Identifier: GPL-2.0

//! A network namespace: its state behind its lock, and what a request needs of the kernel.

use super::{
    bindings,
    declared,
    errno_of,
    proc::Files,
    to_c,
    xfrm::{
        raw_address,
        raw_family, //
    },
    Xfrm, //
};
use crate::{
    change,
    klips_core::{
        errno::Errno,
        interface::{
            Interface,
            FIRST_IF_ID,
            INTERFACES, //
        }, //
    },
    netns::{
        Attached,
        Clock,
        Host,
        Limits,
        State, //
    },
    post::SocketId,
    sadb::{
        HashKey,
        Moment, //
    }, //
};
use core::{
    fmt,
    net::IpAddr,
    ptr::{
        self,
        NonNull, //
    }, //
};
use kernel::{
    bindings::{
        get_random_bytes,
        init_net,
        ktime_get_coarse_with_offset,
        ktime_get_real_seconds,
        tk_offsets_TK_OFFS_BOOT, //
    },
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
    },
    time::{
        msecs_to_jiffies,
        NSEC_PER_SEC, //
    },
    types::ForeignOwnable, //
};

/// The longest that is waited in one go, in seconds: a delay does not go on while the machine sleeps,
/// the clock does.
const LONGEST_DELAY: u32 = 60;

/// A network namespace in which the module is active. One mutex protects all of its state.
///
/// # Invariants
///
/// `net` is valid as long as this object, and so is what is kept for it in C: both are made and freed
/// with the namespace.
#[pin_data]
pub struct Net {
    net: NonNull<bindings::net>,
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
    /// A socket is being closed. Preemption is off while the mutex is held: a process that closes
    /// thousands of sockets would else be preempted with it, and whoever wants it had to wait until that
    /// process gets a processor again.
    pub(super) fn close(&self, id: SocketId) {
        // SAFETY: Nothing sleeps until it is enabled again: a mutex is only tried.
        unsafe { bindings::klips_preempt_disable() };
        let mut state = self.state.try_lock().unwrap_or_else(|| {
            // SAFETY: It was disabled above.
            unsafe { bindings::klips_preempt_enable() };
            let state = self.state.lock();
            // SAFETY: Nothing sleeps until it is enabled again: `State::close` unlinks, and frees nodes.
            unsafe { bindings::klips_preempt_disable() };
            state
        });
        let gone = state.close(self, id);
        drop(state);
        // SAFETY: It was disabled above.
        unsafe { bindings::klips_preempt_enable() };
        drop(gone);
    }

    /// The state of a new namespace.
    ///
    /// # Safety
    ///
    /// `net` is valid as long as the object that is made.
    unsafe fn new(net: NonNull<bindings::net>) -> impl PinInit<Self> {
        let state = State::new(HashKey([random(), random()]));
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

    /// The namespace, for functions in C.
    pub(super) fn as_ptr(&self) -> *mut bindings::net {
        self.net.as_ptr()
    }

    /// Whether this is the host's own network namespace. Whoever rules that may have as much of the
    /// machine as there is; all others are bounded, whoever owns them.
    fn is_first(&self) -> bool {
        ptr::eq(self.net.as_ptr().cast(), &raw const init_net)
    }

    /// How much there may be in it, as the parameters say now.
    fn limits(&self) -> Limits {
        if self.is_first() {
            return Limits::NONE;
        }
        Limits {
            // SAFETY: It is a parameter.
            sas: unsafe { parameter(&raw const bindings::klips_max_sas) },
            // SAFETY: It is a parameter.
            sockets: unsafe { parameter(&raw const bindings::klips_max_sockets) },
            // SAFETY: It is a parameter.
            flows: unsafe { parameter(&raw const bindings::klips_max_flows) },
            // SAFETY: It is a parameter.
            states: unsafe { parameter(&raw const bindings::klips_max_states) },
        }
    }

    /// Whether the current process may administer this namespace (contract 12).
    pub(super) fn may_administer(&self) -> bool {
        // SAFETY: By the type invariant the namespace is valid.
        unsafe { bindings::klips_netns_may_administer(self.as_ptr()) }
    }
}

/// A parameter of the module.
///
/// # Safety
///
/// It is one, and nothing but the kernel's own functions for parameters writes to it.
unsafe fn parameter(parameter: *const c_uint) -> usize {
    // SAFETY: The caller promises that it is valid. It may be written to meanwhile, in one piece.
    let value = unsafe { ptr::read_volatile(parameter) };
    usize::try_from(value).unwrap_or(usize::MAX)
}

/// N of `ipsecN`.
fn number(interface: Interface) -> u32 {
    // CAST: there are 64.
    interface.number() as u32
}

const _: () = {
    assert!(bindings::KLIPS_INTERFACES as usize == INTERFACES);
    assert!(bindings::KLIPS_FIRST_IF_ID == FIRST_IF_ID);
};

fn random() -> u64 {
    let mut random = 0u64;
    // SAFETY: `random` has room for as many bytes as it has.
    unsafe { get_random_bytes(ptr::from_mut(&mut random).cast(), size_of::<u64>()) };
    random
}

impl Host for Net {
    type Engine = Xfrm;
    type Guard<'a> = Guard<'a, State<Net>, MutexBackend>;

    fn engine(&self) -> &Xfrm {
        &self.engine
    }

    // Not in the code of each that locks.
    #[inline(never)]
    fn lock(&self) -> Self::Guard<'_> {
        let mut state = self.state.lock();
        state.set_limits(&self.limits());
        state
    }

    fn random(&self) -> u64 {
        random()
    }

    fn set_traced(&self, traced: bool) {
        self.traced.store(traced, Relaxed);
    }

    fn is_traced(&self) -> bool {
        self.traced.load(Relaxed)
    }

    fn log(&self, line: fmt::Arguments<'_>) {
        // The log is the host's, not for those to fill who rule a namespace of their own: a container
        // may have one that belongs to the first user namespace.
        if self.is_first() {
            pr_info!("{}\n", line);
        }
    }

    fn look_at_interfaces_later(&self) {
        // SAFETY: As for `wake_at`.
        unsafe {
            bindings::klips_netns_interfaces_after(self.net.as_ptr(), msecs_to_jiffies(1000));
        }
    }

    fn want_route(&self, own: IpAddr, peer: IpAddr, ifindex: u32) {
        let (net, family) = (self.net.as_ptr(), raw_family(peer));
        let (own, peer) = (raw_address(own), raw_address(peer));
        // SAFETY: The namespace is valid by the type invariant, both addresses have 16 bytes, and only
        // the namespace's work for routes gets here.
        unsafe {
            bindings::klips_routes_want(net, family, own.as_ptr(), peer.as_ptr(), ifindex);
        }
    }

    fn settle_routes(&self) {
        // SAFETY: The namespace is valid by the type invariant, nothing is locked, and only its work for
        // routes gets here.
        unsafe { bindings::klips_routes_settle(self.net.as_ptr()) };
    }

    fn attached(&self, ifindex: u32) -> Attached {
        let mut raw = bindings::klips_attached::default();
        // SAFETY: The namespace is valid by the type invariant; `raw` may be written to.
        unsafe { bindings::klips_interface_attached(self.net.as_ptr(), ifindex, &mut raw) };
        Attached {
            physical: raw.physical,
            mtu: raw.mtu,
            physical_mtu: raw.physical_mtu,
        }
    }

    fn add_unattached(&self, interface: Interface) -> Result<(), Errno> {
        let net = self.net.as_ptr();
        // SAFETY: The namespace is valid by the type invariant; nothing is locked.
        let result = unsafe { bindings::klips_device_add(net, number(interface)) };
        if result == 0 {
            Ok(())
        } else {
            Err(errno_of(result))
        }
    }

    fn remove_unattached(&self, interface: Interface) -> bool {
        let net = self.net.as_ptr();
        // SAFETY: As above.
        unsafe { bindings::klips_device_remove(net, number(interface)) }
    }

    fn has_unattached(&self, interface: Interface) -> bool {
        let net = self.net.as_ptr();
        // SAFETY: The namespace is valid by the type invariant.
        unsafe { bindings::klips_device_is_there(net, number(interface)) }
    }

    fn is_local(&self, ip: IpAddr) -> bool {
        let net = self.net.as_ptr();
        match ip {
            // SAFETY: The namespace is valid by the type invariant, the address has 4 bytes.
            IpAddr::V4(ip) => unsafe {
                bindings::klips_netns_is_local_v4(net, ip.octets().as_ptr())
            },
            // SAFETY: The namespace is valid by the type invariant, the address has 16 bytes.
            IpAddr::V6(ip) => unsafe {
                bindings::klips_netns_is_local_v6(net, ip.octets().as_ptr())
            },
        }
    }

    fn set_in_use(&self, in_use: bool) {
        if in_use {
            // SAFETY: What stands in the way begins with a request, whose socket holds the module.
            unsafe { bindings::klips_netns_hold_module() };
        } else {
            // SAFETY: It was held when there began to be something. Whoever gets here keeps the
            // module in another way: by a socket, or as the namespace that ends.
            unsafe { bindings::klips_netns_release_module() };
        }
    }
}

impl Clock for Net {
    #[inline(never)]
    fn now(&self) -> Moment {
        // SAFETY: These may be called at any time.
        let (real, boot) = unsafe {
            (
                ktime_get_real_seconds(),
                ktime_get_coarse_with_offset(tk_offsets_TK_OFFS_BOOT) / NSEC_PER_SEC,
            )
        };
        // CAST: neither was before 1970, or before the boot.
        Moment {
            real: real as u64,
            boot: boot as u64,
        }
    }

    #[inline(never)]
    fn wake_at(&self, second: Option<u64>) {
        let Some(second) = second else {
            return;
        };
        let seconds = second.saturating_sub(self.now().boot);
        let seconds = u32::try_from(seconds).map_or(LONGEST_DELAY, |it| it.min(LONGEST_DELAY));
        // At least one: whoever has to wait for its turn does so.
        let jiffies = msecs_to_jiffies(1000 * seconds).max(1);
        // SAFETY: By the type invariant the namespace is valid. Its work is disabled before this object
        // goes, and then this does nothing.
        unsafe { bindings::klips_netns_work_after(self.net.as_ptr(), jiffies) };
    }

    fn cond_resched(&self) {
        // SAFETY: Called without locks, in a context that may sleep.
        unsafe { bindings::klips_cond_resched() };
    }

    fn is_killed(&self) -> bool {
        // SAFETY: This may be called at any time.
        unsafe { bindings::klips_is_killed() }
    }

    fn may_go_on(&self) -> bool {
        // What others' namespaces have the worker do takes it a part of the time only.
        self.is_first()
    }
}

/// What C keeps for a namespace.
struct Namespace {
    /// They refer to `net`, so they are to go first.
    files: Files,
    net: Pin<KBox<Net>>,
}

/// The namespace behind a pointer that C has kept.
///
/// # Safety
///
/// `state` came from [`klips_netns_new`] and is not freed during `'a`.
pub(super) unsafe fn borrow<'a>(state: *mut c_void) -> &'a Net {
    // SAFETY: The caller promises that it is what `into_foreign` gave, and is only ever shared.
    let namespace = unsafe { KBox::<Namespace>::borrow(state) };
    &namespace.net
}

declared!(
    klips_netns_new
    klips_netns_is_in_use
    klips_netns_free
    klips_netns_work
    klips_netns_interfaces
    klips_netns_attach
);

/// Makes the state of a network namespace, and its files. Null without memory.
///
/// # Safety
///
/// `net` is valid, and stays so until the state is freed.
#[no_mangle]
unsafe extern "C" fn klips_netns_new(net: *mut bindings::net) -> *mut c_void {
    let Some(net) = NonNull::new(net) else {
        return ptr::null_mut();
    };
    let make = || -> Result<KBox<Namespace>> {
        // SAFETY: The caller promises that `net` stays valid.
        let net = KBox::pin_init(unsafe { Net::new(net) }, GFP_KERNEL_ACCOUNT)?;
        // SAFETY: `net` is pinned, and goes after the files.
        let files = unsafe { Files::new(&net) }?;
        Ok(KBox::new(Namespace { files, net }, GFP_KERNEL_ACCOUNT)?)
    };
    make().map_or(ptr::null_mut(), ForeignOwnable::into_foreign)
}

/// Whether something in a network namespace stands in the way of cleartext.
///
/// # Safety
///
/// `state` came from [`klips_netns_new`] and has not been freed.
#[no_mangle]
unsafe extern "C" fn klips_netns_is_in_use(state: *mut c_void) -> bool {
    // SAFETY: The caller promises that it is not freed.
    let net = unsafe { borrow(state) };
    net.lock().flows.is_in_use()
}

/// Frees the state of a network namespace.
///
/// # Safety
///
/// `state` came from [`klips_netns_new`], and nobody uses it any more.
#[no_mangle]
unsafe extern "C" fn klips_netns_free(state: *mut c_void) {
    // SAFETY: The caller hands over what `klips_netns_new` gave.
    let namespace = unsafe { KBox::<Namespace>::from_foreign(state) };
    let Namespace { files, net } = KBox::into_inner(namespace);
    drop(files);
    change::end(&*net);
}

/// The time has come that [`Clock::wake_at`] was told.
///
/// # Safety
///
/// `state` is that of the namespace whose work this is.
#[no_mangle]
unsafe extern "C" fn klips_netns_work(state: *mut c_void) {
    // SAFETY: The work of a namespace is disabled before its state is freed.
    change::limits_due(unsafe { borrow(state) });
}

/// Interfaces may have gone.
///
/// # Safety
///
/// As for [`klips_netns_work`].
#[no_mangle]
unsafe extern "C" fn klips_netns_interfaces(state: *mut c_void) {
    // SAFETY: As for `klips_netns_work`.
    change::interfaces_changed(unsafe { borrow(state) });
}

/// Has an xfrm interface be used as `ipsecN`; 0 or a negative errno.
///
/// # Safety
///
/// `state` came from [`klips_netns_new`] and is not freed before this returns. Nothing is locked.
#[no_mangle]
unsafe extern "C" fn klips_netns_attach(state: *mut c_void, number: u32) -> c_int {
    // SAFETY: The caller promises that it is not freed.
    let net = unsafe { borrow(state) };
    let interface = Interface::from_number(number.into()).ok_or(Errno::ENODEV);
    to_c(interface.and_then(|it| change::attach(net, it)))
}
