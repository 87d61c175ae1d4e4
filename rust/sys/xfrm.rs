// SPDX-License-Identifier: GPL-2.0

//! The packet engine of a network namespace: states and policies of the kernel's xfrm, by way of
//! `xfrm.c`, as `include/klips_xfrm.h` declares it.

use super::bindings::{
    self,
    klips_interface_find,
    klips_interface_is_end,
    klips_routes_after,
    klips_xfrm_accept_acquires,
    klips_xfrm_acquire as RawAcquire,
    klips_xfrm_algorithm as RawAlgorithm,
    klips_xfrm_flow as RawFlow,
    klips_xfrm_hold,
    klips_xfrm_limits as RawLimits,
    klips_xfrm_mapping as RawMapping,
    klips_xfrm_name as RawName,
    klips_xfrm_next_acquire,
    klips_xfrm_next_mapping,
    klips_xfrm_next_state,
    klips_xfrm_policies_later,
    klips_xfrm_policy as RawPolicy,
    klips_xfrm_policy_block,
    klips_xfrm_policy_delete,
    klips_xfrm_policy_has,
    klips_xfrm_policy_insert,
    klips_xfrm_policy_new,
    klips_xfrm_policy_open,
    klips_xfrm_policy_put,
    klips_xfrm_policy_replace,
    klips_xfrm_policy_restore,
    klips_xfrm_register,
    klips_xfrm_release,
    klips_xfrm_reqid,
    klips_xfrm_sa as RawSa,
    klips_xfrm_state_delete,
    klips_xfrm_state_insert,
    klips_xfrm_state_new,
    klips_xfrm_state_put,
    klips_xfrm_state_set_ports,
    klips_xfrm_state_swap,
    klips_xfrm_state_usage,
    klips_xfrm_states_later,
    klips_xfrm_template as RawTemplate,
    klips_xfrm_unregister,
    klips_xfrm_usage as RawUsage,
    klips_xfrm_waiting_delete,
    klips_xfrm_waiting_put,
    net as NetNs,
    xfrm_state as RawState, //
};
use super::{
    declared,
    errno_of,
    netns, //
};
use crate::{
    change,
    engine::{
        Acquire,
        Engine,
        Event,
        Mapping, //
    },
    flows,
    klips_core::{
        crypto::{
            self,
            Named,
            Names, //
        },
        errno::Errno,
        fold::{
            Mode,
            Transform, //
        },
        interface::{
            Interface,
            NO_INTERFACE, //
        },
        said::{
            Proto,
            Said, //
        },
        selector::{
            PRIORITY_FIRST,
            PRIORITY_LAST, //
        },
        xfrm::{
            Algorithms,
            Encapsulation,
            Health,
            Key,
            Limit,
            PolicySpec,
            StateSpec,
            Template,
            Templates,
            Usage, //
        }, //
    }, //
};
use core::{
    marker::PhantomData,
    net::{
        IpAddr,
        Ipv4Addr,
        Ipv6Addr,
        SocketAddr, //
    },
    ptr::{
        self,
        NonNull, //
    }, //
};
use kernel::{
    bindings::{
        AF_INET,
        AF_INET6, //
    },
    error::to_result,
    prelude::*,
    sync::atomic::{
        Atomic,
        Relaxed, //
    }, //
};

/// `KLIPS_XFRM_TEMPLATES`.
const TEMPLATES: usize = crate::klips_core::fold::MAX_STATES;

/// What C calls `XFRM_INF`: no limit.
const UNLIMITED: u64 = u64::MAX;

/// So many seconds are for ever.
const FOREVER: u64 = 1 << 32;

const _: () = assert!(bindings::KLIPS_XFRM_TEMPLATES as usize == TEMPLATES);
const _: () = assert!(bindings::KLIPS_XFRM_REQID == flows::OURS);
const _: () = assert!(bindings::KLIPS_XFRM_KIND == flows::KIND);
const _: () = assert!(bindings::KLIPS_XFRM_TRAP == flows::TRAP);

/// A reqid as xfrm has it: another number of the same kind for each, but for those that no state has.
///
/// xfrm finds states by the xor of addresses and reqid. Reqids rise with each SA, and where the gateways'
/// addresses do so too all states would be in a few lists.
const fn raw_reqid(reqid: u32) -> u32 {
    if reqid & flows::TRAP == flows::TRAP {
        return reqid;
    }
    // Times an odd number, no two are the same: this is that of Fibonacci hashing.
    reqid & flows::KIND | reqid.wrapping_mul(0x9e37_79b1) & !flows::KIND
}

/// An address as xfrm has it: in network order, an IPv4 address in front.
pub(super) fn raw_address(ip: IpAddr) -> [u8; 16] {
    match ip {
        IpAddr::V4(ip) => {
            let [a, b, c, d] = ip.octets();
            [a, b, c, d, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]
        }
        IpAddr::V6(ip) => ip.octets(),
    }
}

pub(super) fn raw_family(ip: IpAddr) -> u16 {
    // CAST: address families are small numbers.
    match ip {
        IpAddr::V4(_) => AF_INET as u16,
        IpAddr::V6(_) => AF_INET6 as u16,
    }
}

impl RawAlgorithm {
    const NONE: Self = RawAlgorithm {
        name: ptr::null(),
        key: ptr::null(),
        key_bits: 0,
        icv_bits: 0,
    };

    /// An algorithm, if there is one, with a key whose bytes are there.
    fn new(named: Option<Named>, key: &Key<'_>) -> Result<Self, Errno> {
        let Some(named) = named else {
            return Ok(Self::NONE);
        };
        if key.bytes.len() < usize::from(key.bits.div_ceil(8)) {
            return Err(Errno::EINVAL);
        }
        Ok(RawAlgorithm {
            name: named.name.as_char_ptr().cast(),
            key: key.bytes.as_ptr(),
            key_bits: key.bits.into(),
            icv_bits: named.icv_bits.into(),
        })
    }
}

impl From<&Limit> for RawLimits {
    /// xfrm ends what has reached a limit, KLIPS what has passed it.
    fn from(limit: &Limit) -> Self {
        let reached = |limit: u64| match limit {
            0 => UNLIMITED,
            limit => limit.saturating_add(1),
        };
        RawLimits {
            bytes: reached(limit.bytes),
            packets: reached(limit.packets),
            // 0 is none, and what is far from any time that there will be overflows there.
            use_seconds: match limit.usetime {
                0 | FOREVER.. => 0,
                limit => limit + 1,
            },
        }
    }
}

impl RawSa {
    /// Points to names, and to the keys of `spec`.
    fn new(spec: &StateSpec<'_>) -> Result<Self, Errno> {
        let names = match spec.transform {
            Transform::IpIp | Transform::Ipv6 => Names::default(),
            Transform::Esp | Transform::Ah | Transform::Comp => {
                crypto::names(&spec.algorithms).ok_or(Errno::ENOENT)?
            }
        };
        let encap = spec.encapsulation.unwrap_or(Encapsulation {
            kind: 0,
            sport: 0,
            dport: 0,
            original: None,
        });
        let original = encap.original.unwrap_or(Ipv4Addr::UNSPECIFIED.into());
        Ok(RawSa {
            auth: RawAlgorithm::new(names.auth, &spec.key_auth)?,
            encrypt: RawAlgorithm::new(names.encrypt, &spec.key_encrypt)?,
            aead: RawAlgorithm::new(names.aead, &spec.key_encrypt)?,
            compress: RawAlgorithm::new(names.compress, &Key::default())?,
            soft: (&spec.soft).into(),
            hard: (&spec.hard).into(),
            src: raw_address(spec.src),
            dst: raw_address(spec.dst),
            original: raw_address(original),
            spi: spec.spi,
            reqid: raw_reqid(spec.reqid),
            if_id: spec.if_id,
            family: raw_family(spec.dst),
            encap: encap.kind.into(),
            sport: encap.sport,
            dport: encap.dport,
            // CAST: these are enums of one byte with the numbers that C has.
            proto: spec.transform as u8,
            mode: spec.mode as u8,
            window: spec.replay,
            hide_dscp: (spec.mode == Mode::Tunnel).into(),
        })
    }
}

impl From<&Template> for RawTemplate {
    fn from(template: &Template) -> Self {
        RawTemplate {
            src: raw_address(template.src),
            dst: raw_address(template.dst),
            reqid: raw_reqid(template.reqid),
            family: raw_family(template.dst),
            // CAST: as for RawSa.
            proto: template.transform as u8,
            mode: template.mode as u8,
            optional: template.optional.into(),
            strict: template.strict.into(),
            ..RawTemplate::default()
        }
    }
}

fn raw_templates(templates: &Templates) -> [RawTemplate; TEMPLATES] {
    let mut raw = [RawTemplate::default(); TEMPLATES];
    for (place, template) in raw.iter_mut().zip(templates.iter()) {
        *place = template.into();
    }
    raw
}

impl From<&PolicySpec> for RawFlow {
    fn from(spec: &PolicySpec) -> Self {
        let selector = &spec.selector;
        RawFlow {
            templates: raw_templates(&spec.templates),
            src: raw_address(selector.src.address()),
            dst: raw_address(selector.dst.address()),
            priority: spec.priority,
            if_id: spec.if_id,
            family: raw_family(selector.dst.address()),
            sport: selector.sport,
            dport: selector.dport,
            src_prefix: selector.src.prefix(),
            dst_prefix: selector.dst.prefix(),
            proto: selector.proto,
            // CAST: these are enums of one byte with the numbers that C has; there are few templates.
            dir: spec.direction as u8,
            action: spec.action as u8,
            template_count: spec.templates.len() as u8,
            rank: match (spec.fragments_of, spec.priority) {
                // CAST: the low bits. No two of the same packets are half of all numbers apart.
                (Some(number), _) => bindings::KLIPS_XFRM_FRAGMENTS | number as u32,
                (None, PRIORITY_FIRST) => 1,
                (None, PRIORITY_LAST) => 2,
                (None, _) => 0,
            },
        }
    }
}

/// What the module has of xfrm as long as it is loaded: a key manager, which is told what others do,
/// and `xfrm4_tunnel` and `xfrm6_tunnel`.
///
/// # Invariants
///
/// `klips_xfrm_register` has succeeded, and `klips_xfrm_unregister` has not been called since.
pub(super) struct Registration(());

impl Registration {
    /// Registers the key manager, and loads the two. `EPROTONOSUPPORT` where the kernel lacks one.
    pub(super) fn new() -> Result<Self> {
        // SAFETY: Called once, when the module is loaded: there is no other `Registration`.
        to_result(unsafe { klips_xfrm_register() })?;
        // INVARIANT: It has just succeeded.
        Ok(Registration(()))
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        // SAFETY: By the type invariant it was registered, and no namespace uses it any more, as
        // those are gone before.
        unsafe { klips_xfrm_unregister() };
    }
}

/// A state of xfrm's.
///
/// # Invariants
///
/// It is valid, and this object owns a reference to it.
pub struct XfrmState(NonNull<RawState>);

// SAFETY: A reference to a state belongs to no thread.
unsafe impl Send for XfrmState {}
// SAFETY: What changes it takes its lock, or is called by who has the lock of the table, and
// xfrm_cfg_mutex.
unsafe impl Sync for XfrmState {}

impl Drop for XfrmState {
    fn drop(&mut self) {
        // SAFETY: By the type invariant the reference is ours to give back.
        unsafe { klips_xfrm_state_put(self.0.as_ptr()) };
    }
}

/// A policy of xfrm's.
///
/// # Invariants
///
/// It is valid, and belongs to this object.
pub struct XfrmPolicy(NonNull<RawPolicy>);

// SAFETY: A policy belongs to no thread.
unsafe impl Send for XfrmPolicy {}
// SAFETY: What changes it is called by who has the lock of the table, and xfrm_cfg_mutex.
unsafe impl Sync for XfrmPolicy {}

impl Drop for XfrmPolicy {
    fn drop(&mut self) {
        // SAFETY: By the type invariant it is ours to free.
        unsafe { klips_xfrm_policy_put(self.0.as_ptr()) };
    }
}

/// A state of xfrm's without keys, which keeps packets that a %trap takes from being told of.
///
/// # Invariants
///
/// It is valid, and this object owns a reference to it.
pub struct XfrmWaiting(NonNull<RawState>);

// SAFETY: A reference to a state belongs to no thread.
unsafe impl Send for XfrmWaiting {}
// SAFETY: What can be done by a shared reference takes the locks of xfrm.
unsafe impl Sync for XfrmWaiting {}

impl Drop for XfrmWaiting {
    fn drop(&mut self) {
        // SAFETY: By the type invariant the reference is ours to give back.
        unsafe { klips_xfrm_waiting_put(self.0.as_ptr()) };
    }
}

/// xfrm in a network namespace.
///
/// # Invariants
///
/// `net` is valid as long as this object.
pub struct Xfrm {
    net: NonNull<NetNs>,
}

// SAFETY: A namespace may be used from any thread.
unsafe impl Send for Xfrm {}
// SAFETY: As above.
unsafe impl Sync for Xfrm {}

/// Keeps others from changing states and policies.
///
/// # Invariants
///
/// `klips_xfrm_hold` was called for the namespace by this thread, which the pointer keeps it in.
pub struct Hold<'a> {
    net: NonNull<NetNs>,
    _xfrm: PhantomData<&'a Xfrm>,
}

impl Drop for Hold<'_> {
    fn drop(&mut self) {
        // SAFETY: By the type invariant this thread has called `klips_xfrm_hold`.
        unsafe { klips_xfrm_release(self.net.as_ptr()) };
    }
}

/// How many combinations of algorithms are remembered; one more is only tried out again.
const WORKING: usize = 64;

/// Combinations of algorithms with which a state could be made, each in the place of its
/// [`combination`].
static WORKS: [Atomic<u32>; WORKING] = [const { Atomic::new(0) }; WORKING];

/// A number for the algorithms, which is not 0 as no protocol is.
fn combination(algorithms: &Algorithms) -> u32 {
    // CAST: an enum of one byte.
    u32::from_be_bytes([
        0,
        algorithms.proto as u8,
        algorithms.auth,
        algorithms.encrypt,
    ])
}

impl Xfrm {
    /// That of a namespace.
    ///
    /// # Safety
    ///
    /// `net` is valid as long as the object that is made.
    pub(super) unsafe fn of(net: NonNull<NetNs>) -> Self {
        // INVARIANT: The caller promises it.
        Xfrm { net }
    }

    /// Makes a state with these algorithms, which nobody gets: it tells whether the kernel has all
    /// that is built of them, and has that loaded.
    fn try_out(&self, algorithms: &Algorithms, names: &Names, dst: IpAddr) -> Result<(), Errno> {
        // Bytes that differ: three equal parts are no key of 3DES. CAST: there are 128.
        let bytes: [u8; 128] = core::array::from_fn(|i| i as u8);
        let key = |named: Option<Named>| {
            let bits = named.map_or(0, |named| named.least_key_bits);
            Key {
                bits,
                bytes: &bytes,
            }
        };
        let transform = match algorithms.proto {
            Proto::Esp => Transform::Esp,
            Proto::Ah => Transform::Ah,
            Proto::Comp => Transform::Comp,
            Proto::Tun | Proto::Int => return Ok(()),
        };
        self.state_new(&StateSpec {
            transform,
            spi: 0,
            mode: Mode::Transport,
            src: dst,
            dst,
            reqid: bindings::KLIPS_XFRM_REQID,
            if_id: NO_INTERFACE,
            replay: 0,
            algorithms: *algorithms,
            key_auth: key(names.auth),
            key_encrypt: key(names.encrypt.or(names.aead)),
            encapsulation: None,
            soft: Limit::default(),
            hard: Limit::default(),
        })?;
        Ok(())
    }
}

impl Engine for Xfrm {
    type State = XfrmState;
    type Policy = XfrmPolicy;
    type Waiting = XfrmWaiting;
    type Hold<'a> = Hold<'a>;

    fn hold(&self) -> Hold<'_> {
        // SAFETY: By the type invariant the namespace is valid; the caller may sleep.
        unsafe { klips_xfrm_hold(self.net.as_ptr()) };
        // INVARIANT: It has just been called.
        Hold {
            net: self.net,
            _xfrm: PhantomData,
        }
    }

    fn probe(&self, algorithms: &Algorithms) -> Result<(), Errno> {
        let combination = combination(algorithms);
        let known = usize::try_from(combination).map_or(0, |number| number % WORKING);
        let known = WORKS.get(known).ok_or(Errno::EINVAL)?;
        if known.load(Relaxed) == combination {
            return Ok(());
        }
        let names = crypto::names(algorithms).ok_or(Errno::ENOENT)?;
        let lacking = |errno| match errno {
            Errno::ENOMEM => Errno::ENOMEM,
            _ => Errno::ENOENT,
        };
        let _hold = self.hold();
        self.try_out(algorithms, &names, Ipv4Addr::LOCALHOST.into())
            .map_err(lacking)?;
        // A kernel without IPv6 needs no states for it.
        match self.try_out(algorithms, &names, Ipv6Addr::LOCALHOST.into()) {
            Ok(()) | Err(Errno::EPROTONOSUPPORT) => {}
            Err(errno) => return Err(lacking(errno)),
        }
        known.store(combination, Relaxed);
        Ok(())
    }

    fn state_new(&self, spec: &StateSpec<'_>) -> Result<XfrmState, Errno> {
        let raw = RawSa::new(spec)?;
        let mut err = 0;
        // SAFETY: The namespace is valid by the type invariant; `raw` is too, with keys and names
        // that live as long as `spec`; `err` may be written to.
        let state = unsafe { klips_xfrm_state_new(self.net.as_ptr(), &raw, &mut err) };
        // INVARIANT: It is new, and nobody else has the reference.
        NonNull::new(state)
            .map(XfrmState)
            .ok_or_else(|| errno_of(err))
    }

    fn is_taken(&self, dst: IpAddr, spi: u32, transform: Transform) -> bool {
        let (family, dst) = (raw_family(dst), raw_address(dst));
        // SAFETY: The namespace is valid by the type invariant, and the address has 16 bytes.
        let reqid = unsafe {
            // CAST: an enum of one byte.
            klips_xfrm_reqid(
                self.net.as_ptr(),
                family,
                dst.as_ptr(),
                spi,
                transform as u8,
            )
        };
        u32::try_from(reqid).is_ok_and(|reqid| reqid & bindings::KLIPS_XFRM_REQID == 0)
    }

    fn state_insert(&self, state: &XfrmState) {
        // SAFETY: A state is valid by its invariant. It has not been inserted before, says the
        // contract of the trait.
        unsafe { klips_xfrm_state_insert(state.0.as_ptr()) };
    }

    fn state_swap(&self, old: &XfrmState, new: &XfrmState, carry: bool) {
        // SAFETY: Both are valid by their invariant; as for `state_insert`.
        unsafe { klips_xfrm_state_swap(old.0.as_ptr(), new.0.as_ptr(), carry) };
    }

    fn state_delete(&self, state: &XfrmState) {
        // SAFETY: A state is valid by its invariant.
        unsafe { klips_xfrm_state_delete(state.0.as_ptr()) };
    }

    fn state_set_ports(&self, state: &XfrmState, sport: u16, dport: u16) {
        // SAFETY: A state is valid by its invariant.
        unsafe { klips_xfrm_state_set_ports(state.0.as_ptr(), sport, dport) };
    }

    fn usage(&self, state: &XfrmState) -> Usage {
        let mut raw = RawUsage::default();
        // SAFETY: A state is valid by its invariant; `raw` may be written to.
        unsafe { klips_xfrm_state_usage(state.0.as_ptr(), &mut raw) };
        Usage {
            bytes: raw.bytes,
            packets: raw.packets,
            use_time: raw.use_time,
            last_used: raw.last_used,
            sequence: raw.sent_seq.max(raw.received_seq),
            window: raw.received,
            health: match (raw.alive, raw.dying) {
                (0, _) => Health::Dead,
                (_, 0) => Health::Alive,
                _ => Health::Dying,
            },
        }
    }

    fn policy_new(&self, spec: &PolicySpec) -> Result<XfrmPolicy, Errno> {
        let raw = RawFlow::from(spec);
        // SAFETY: The namespace is valid by the type invariant, and so is `raw`.
        let policy = unsafe { klips_xfrm_policy_new(self.net.as_ptr(), &raw) };
        // INVARIANT: It is new, and nobody else has it.
        NonNull::new(policy).map(XfrmPolicy).ok_or(Errno::ENOMEM)
    }

    fn policy_insert(&self, policy: &XfrmPolicy, over: bool) -> Result<(), Errno> {
        // SAFETY: A policy is valid by its invariant. It has not been inserted before, says the
        // contract of the trait.
        match unsafe { klips_xfrm_policy_insert(policy.0.as_ptr(), over) } {
            0 => Ok(()),
            err => Err(errno_of(err)),
        }
    }

    fn policy_replace(&self, old: &XfrmPolicy, new: &XfrmPolicy) {
        // SAFETY: Both are valid by their invariant; as for `policy_insert`.
        unsafe { klips_xfrm_policy_replace(old.0.as_ptr(), new.0.as_ptr()) };
    }

    fn find_interface(&self, interface: Interface) -> Result<u32, Errno> {
        // CAST: there are 64.
        let number = interface.number() as u32;
        // SAFETY: The namespace is valid by the type invariant.
        let ifindex = unsafe { klips_interface_find(self.net.as_ptr(), number, interface.if_id()) };
        if ifindex == 0 {
            Err(Errno::ENODEV)
        } else {
            Ok(ifindex)
        }
    }

    fn is_end_of(&self, ifindex: u32, own: IpAddr) -> bool {
        let (family, address) = (raw_family(own), raw_address(own));
        // SAFETY: The namespace is valid by the type invariant, and the address has 16 bytes.
        unsafe { klips_interface_is_end(self.net.as_ptr(), ifindex, family, address.as_ptr()) }
    }

    fn policy_has(&self, policy: &XfrmPolicy, templates: &Templates) -> bool {
        let raw = raw_templates(templates);
        // CAST: there are few.
        let count = templates.len() as u8;
        // SAFETY: A policy is valid by its invariant, and nobody changes it as the caller has `hold`'s
        // guard; `raw` has as many templates, which are only read meanwhile.
        unsafe { klips_xfrm_policy_has(policy.0.as_ptr(), raw.as_ptr(), count) }
    }

    fn policy_block(&self, policy: &XfrmPolicy) {
        // SAFETY: A policy is valid by its invariant.
        unsafe { klips_xfrm_policy_block(policy.0.as_ptr()) };
    }

    fn policy_open(&self, policy: &XfrmPolicy) {
        // SAFETY: A policy is valid by its invariant.
        unsafe { klips_xfrm_policy_open(policy.0.as_ptr()) };
    }

    fn policy_restore(&self, policy: &XfrmPolicy) -> Result<bool, Errno> {
        // SAFETY: A policy is valid by its invariant.
        match unsafe { klips_xfrm_policy_restore(policy.0.as_ptr()) } {
            0 => Ok(false),
            1 => Ok(true),
            err => Err(errno_of(err)),
        }
    }

    fn policy_delete(&self, policy: &XfrmPolicy) {
        // SAFETY: A policy is valid by its invariant.
        unsafe { klips_xfrm_policy_delete(policy.0.as_ptr()) };
    }

    fn next_event(&self) -> Option<Event> {
        let mut name = RawName::default();
        // SAFETY: The namespace is valid by the type invariant; `name` may be written to.
        let which = unsafe { klips_xfrm_next_state(self.net.as_ptr(), &mut name) };
        match u32::try_from(which) {
            Ok(bindings::KLIPS_XFRM_NO_STATE) => None,
            Ok(bindings::KLIPS_XFRM_ONE_STATE) => {
                // One that can't be named is one of all.
                Some(said_of(&name).map_or(Event::AnyState, Event::State))
            }
            // KLIPS_XFRM_ANY_STATE
            _ => Some(Event::AnyState),
        }
    }

    fn look_at_states_later(&self) {
        // SAFETY: The namespace is valid by the type invariant.
        unsafe { klips_xfrm_states_later(self.net.as_ptr()) };
    }

    fn look_at_routes(&self) {
        // SAFETY: The namespace is valid by the type invariant, and its work is disabled before it goes.
        unsafe { klips_routes_after(self.net.as_ptr(), 1) };
    }

    fn look_at_policies_later(&self) {
        // SAFETY: The namespace is valid by the type invariant.
        unsafe { klips_xfrm_policies_later(self.net.as_ptr()) };
    }

    fn accept_acquires(&self, accept: bool) {
        // SAFETY: The namespace is valid by the type invariant.
        unsafe { klips_xfrm_accept_acquires(self.net.as_ptr(), accept) };
    }

    fn next_acquire(&self) -> Option<Acquire<XfrmWaiting>> {
        loop {
            let mut raw = RawAcquire {
                waiting: ptr::null_mut(),
                until: 0,
                src: [0; 16],
                dst: [0; 16],
                reqid: 0,
                family: 0,
                sport: 0,
                dport: 0,
                proto: 0,
                unused: [0; 5],
            };
            // SAFETY: The namespace is valid by the type invariant; `raw` may be written to.
            if !unsafe { klips_xfrm_next_acquire(self.net.as_ptr(), &mut raw) } {
                return None;
            }
            // INVARIANT: The reference is ours from here on.
            let waiting = XfrmWaiting(NonNull::new(raw.waiting)?);
            let src = address_of(raw.family, raw.src);
            let dst = address_of(raw.family, raw.dst);
            if let Some((src, dst)) = src.zip(dst) {
                return Some(Acquire {
                    reqid: raw.reqid,
                    src: SocketAddr::new(src, raw.sport),
                    dst: SocketAddr::new(dst, raw.dport),
                    proto: raw.proto,
                    until: raw.until,
                    waiting,
                });
            }
        }
    }

    fn stop_waiting(&self, waiting: &XfrmWaiting) {
        // SAFETY: It is valid by its invariant.
        unsafe { klips_xfrm_waiting_delete(waiting.0.as_ptr()) };
    }

    fn next_mapping(&self) -> Option<Mapping> {
        loop {
            let mut raw = RawMapping::default();
            // SAFETY: The namespace is valid by the type invariant; `raw` may be written to.
            if !unsafe { klips_xfrm_next_mapping(self.net.as_ptr(), &mut raw) } {
                return None;
            }
            if let Some((said, src)) = said_of(&raw.name).zip(address_of(raw.name.family, raw.src))
            {
                return Some(Mapping {
                    said,
                    src,
                    sport: raw.sport,
                });
            }
        }
    }
}

/// An address that xfrm has.
fn address_of(family: u16, raw: [u8; 16]) -> Option<IpAddr> {
    match u32::from(family) {
        AF_INET => {
            let [a, b, c, d, ..] = raw;
            Some(Ipv4Addr::new(a, b, c, d).into())
        }
        AF_INET6 => Some(Ipv6Addr::from(raw).into()),
        _ => None,
    }
}

/// The SA whose state has this name.
fn said_of(name: &RawName) -> Option<Said> {
    let dst = address_of(name.family, name.dst)?;
    // CAST: enums of one byte.
    const ESP: u8 = Transform::Esp as u8;
    const AH: u8 = Transform::Ah as u8;
    const COMP: u8 = Transform::Comp as u8;
    const IPIP: u8 = Transform::IpIp as u8;
    const IPV6: u8 = Transform::Ipv6 as u8;
    let proto = match name.proto {
        ESP => Proto::Esp,
        AH => Proto::Ah,
        COMP => Proto::Comp,
        IPIP | IPV6 => Proto::Tun,
        _ => return None,
    };
    Some(Said {
        proto,
        spi: name.spi,
        dst,
    })
}

declared!(
    klips_xfrm_states_changed
    klips_xfrm_policies_changed
    klips_routes_changed
    klips_xfrm_packets_told
);

/// Something has happened to states.
///
/// # Safety
///
/// `state` is what `klips_xfrm_net_start` was given, and `klips_xfrm_net_stop` has not returned.
#[no_mangle]
unsafe extern "C" fn klips_xfrm_states_changed(state: *mut c_void) {
    // SAFETY: The caller promises that the namespace is still there.
    change::states_changed(unsafe { netns::borrow(state) });
}

/// Somebody else has removed policies, or put others in their place.
///
/// # Safety
///
/// As for [`klips_xfrm_states_changed`].
#[no_mangle]
unsafe extern "C" fn klips_xfrm_policies_changed(state: *mut c_void) {
    // SAFETY: The caller promises that the namespace is still there.
    change::policies_changed(unsafe { netns::borrow(state) });
}

/// What goes around interfaces may have changed, or by what way.
///
/// # Safety
///
/// `state` is that of a namespace, and `klips_routes_stop` has not returned for that.
#[no_mangle]
unsafe extern "C" fn klips_routes_changed(state: *mut c_void) {
    // SAFETY: The caller promises that the namespace is still there.
    change::routes_changed(unsafe { netns::borrow(state) });
}

/// A %trap has taken packets, or some come from elsewhere than before.
///
/// # Safety
///
/// As for [`klips_xfrm_states_changed`].
#[no_mangle]
unsafe extern "C" fn klips_xfrm_packets_told(state: *mut c_void) {
    // SAFETY: The caller promises that the namespace is still there.
    change::packets_told(unsafe { netns::borrow(state) });
}
