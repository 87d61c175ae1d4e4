// SPDX-License-Identifier: GPL-2.0

//! What `include/klips_shim.h` and `klips_xfrm.h` declare; made of them by `scripts/bindings.sh`.

#![expect(non_camel_case_types)]

use kernel::ffi;

pub(super) const KLIPS_XFRM_REQID: u32 = 2147483648;
pub(super) const KLIPS_XFRM_KIND: u32 = 3758096384;
pub(super) const KLIPS_XFRM_TRAP: u32 = 2684354560;
pub(super) const KLIPS_XFRM_TEMPLATES: u32 = 5;
pub(super) const KLIPS_XFRM_FRAGMENTS: u32 = 2147483648;
pub(super) const KLIPS_XFRM_NO_STATE: u32 = 0;
pub(super) const KLIPS_XFRM_ONE_STATE: u32 = 1;
pub(super) const KLIPS_INTERFACES: u32 = 64;
pub(super) const KLIPS_FIRST_IF_ID: u32 = 1263271936;
pub(super) type u8_ = ffi::c_uchar;
pub(super) type u16_ = ffi::c_ushort;
pub(super) type u32_ = ffi::c_uint;
pub(super) type u64_ = ffi::c_ulonglong;
pub(super) type s64 = ffi::c_longlong;
pub(super) type umode_t = ffi::c_ushort;
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub(super) struct file {
    _unused: [u8; 0],
}
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub(super) struct msghdr {
    _unused: [u8; 0],
}
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub(super) struct net {
    _unused: [u8; 0],
}
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub(super) struct proc_dir_entry {
    _unused: [u8; 0],
}
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub(super) struct sock {
    _unused: [u8; 0],
}
#[repr(C)]
#[derive(Debug, Default, Copy, Clone)]
pub(super) struct klips_socket_info {
    pub(super) inode: u64_,
    pub(super) err: u32_,
    pub(super) protocol: u32_,
    pub(super) sndbuf: u32_,
    pub(super) type_: u32_,
    pub(super) state: u32_,
    pub(super) drops: u32_,
}
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub(super) struct xfrm_state {
    _unused: [u8; 0],
}
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub(super) struct klips_xfrm_algorithm {
    pub(super) name: *const ffi::c_char,
    pub(super) key: *const u8_,
    pub(super) key_bits: u32_,
    pub(super) icv_bits: u32_,
}
#[repr(C)]
#[derive(Debug, Default, Copy, Clone)]
pub(super) struct klips_xfrm_limits {
    pub(super) bytes: u64_,
    pub(super) packets: u64_,
    pub(super) use_seconds: u64_,
}
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub(super) struct klips_xfrm_sa {
    pub(super) auth: klips_xfrm_algorithm,
    pub(super) encrypt: klips_xfrm_algorithm,
    pub(super) aead: klips_xfrm_algorithm,
    pub(super) compress: klips_xfrm_algorithm,
    pub(super) soft: klips_xfrm_limits,
    pub(super) hard: klips_xfrm_limits,
    pub(super) src: [u8_; 16usize],
    pub(super) dst: [u8_; 16usize],
    pub(super) original: [u8_; 16usize],
    pub(super) spi: u32_,
    pub(super) reqid: u32_,
    pub(super) if_id: u32_,
    pub(super) family: u16_,
    pub(super) encap: u16_,
    pub(super) sport: u16_,
    pub(super) dport: u16_,
    pub(super) proto: u8_,
    pub(super) mode: u8_,
    pub(super) window: u8_,
    pub(super) hide_dscp: u8_,
}
#[repr(C)]
#[derive(Debug, Default, Copy, Clone)]
pub(super) struct klips_xfrm_template {
    pub(super) src: [u8_; 16usize],
    pub(super) dst: [u8_; 16usize],
    pub(super) reqid: u32_,
    pub(super) family: u16_,
    pub(super) proto: u8_,
    pub(super) mode: u8_,
    pub(super) optional: u8_,
    pub(super) strict: u8_,
    pub(super) unused: [u8_; 6usize],
}
#[repr(C)]
#[derive(Debug, Default, Copy, Clone)]
pub(super) struct klips_xfrm_flow {
    pub(super) templates: [klips_xfrm_template; 5usize],
    pub(super) src: [u8_; 16usize],
    pub(super) dst: [u8_; 16usize],
    pub(super) priority: u32_,
    pub(super) if_id: u32_,
    pub(super) rank: u32_,
    pub(super) family: u16_,
    pub(super) sport: u16_,
    pub(super) dport: u16_,
    pub(super) src_prefix: u8_,
    pub(super) dst_prefix: u8_,
    pub(super) proto: u8_,
    pub(super) dir: u8_,
    pub(super) action: u8_,
    pub(super) template_count: u8_,
}
#[repr(C)]
#[derive(Debug, Default, Copy, Clone)]
pub(super) struct klips_xfrm_usage {
    pub(super) bytes: u64_,
    pub(super) packets: u64_,
    pub(super) use_time: u64_,
    pub(super) last_used: u64_,
    pub(super) received: u64_,
    pub(super) sent_seq: u32_,
    pub(super) received_seq: u32_,
    pub(super) alive: u8_,
    pub(super) dying: u8_,
    pub(super) unused: [u8_; 6usize],
}
#[repr(C)]
#[derive(Debug, Default, Copy, Clone)]
pub(super) struct klips_xfrm_name {
    pub(super) dst: [u8_; 16usize],
    pub(super) spi: u32_,
    pub(super) family: u16_,
    pub(super) proto: u8_,
    pub(super) unused: u8_,
}
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub(super) struct klips_xfrm_acquire {
    pub(super) waiting: *mut xfrm_state,
    pub(super) until: u64_,
    pub(super) src: [u8_; 16usize],
    pub(super) dst: [u8_; 16usize],
    pub(super) reqid: u32_,
    pub(super) family: u16_,
    pub(super) sport: u16_,
    pub(super) dport: u16_,
    pub(super) proto: u8_,
    pub(super) unused: [u8_; 5usize],
}
#[repr(C)]
#[derive(Debug, Default, Copy, Clone)]
pub(super) struct klips_xfrm_mapping {
    pub(super) name: klips_xfrm_name,
    pub(super) src: [u8_; 16usize],
    pub(super) sport: u16_,
    pub(super) unused: [u8_; 2usize],
}
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub(super) struct klips_xfrm_policy {
    _unused: [u8; 0],
}
#[repr(C)]
#[derive(Debug, Default, Copy, Clone)]
pub(super) struct klips_attached {
    pub(super) physical: [ffi::c_char; 16usize],
    pub(super) mtu: u32_,
    pub(super) physical_mtu: u32_,
}
unsafe extern "C" {
    pub(super) fn klips_netns_register() -> ffi::c_int;
    pub(super) fn klips_netns_unregister();
    pub(super) fn klips_netns_work_after(net: *mut net, jiffies: ffi::c_ulong);
    pub(super) fn klips_netns_interfaces_after(net: *mut net, jiffies: ffi::c_ulong);
    pub(super) fn klips_netns_is_local_v4(net: *mut net, address: *const u8_) -> bool;
    pub(super) fn klips_netns_is_local_v6(net: *mut net, address: *const u8_) -> bool;
    pub(super) fn klips_netns_may_administer(net: *const net) -> bool;
    pub(super) static mut klips_max_sas: ffi::c_uint;
    pub(super) static mut klips_max_sockets: ffi::c_uint;
    pub(super) static mut klips_max_flows: ffi::c_uint;
    pub(super) static mut klips_max_states: ffi::c_uint;
    pub(super) fn klips_netns_hold_module();
    pub(super) fn klips_netns_release_module();
    pub(super) fn klips_cond_resched();
    pub(super) fn klips_preempt_disable();
    pub(super) fn klips_preempt_enable();
    pub(super) fn klips_is_killed() -> bool;
    pub(super) fn klips_netns_new(net: *mut net) -> *mut ffi::c_void;
    pub(super) fn klips_netns_is_in_use(state: *mut ffi::c_void) -> bool;
    pub(super) fn klips_netns_free(state: *mut ffi::c_void);
    pub(super) fn klips_netns_work(state: *mut ffi::c_void);
    pub(super) fn klips_netns_interfaces(state: *mut ffi::c_void);
    pub(super) fn klips_netns_attach(state: *mut ffi::c_void, number: u32_) -> ffi::c_int;
    pub(super) fn klips_device_register() -> ffi::c_int;
    pub(super) fn klips_device_unregister();
    pub(super) fn klips_device_add(net: *mut net, number: u32_) -> ffi::c_int;
    pub(super) fn klips_device_remove(net: *mut net, number: u32_) -> bool;
    pub(super) fn klips_device_is_there(net: *mut net, number: u32_) -> bool;
    pub(super) fn klips_socket_register() -> ffi::c_int;
    pub(super) fn klips_socket_unregister();
    pub(super) fn klips_socket_hold(sk: *mut sock);
    pub(super) fn klips_socket_put(sk: *mut sock);
    pub(super) fn klips_socket_deliver(
        sk: *mut sock,
        message: *const u8_,
        len: usize,
    ) -> ffi::c_int;
    pub(super) fn klips_socket_reserve(sk: *mut sock, len: usize) -> ffi::c_int;
    pub(super) fn klips_socket_set_error(sk: *mut sock, err: ffi::c_int);
    pub(super) fn klips_socket_add_drops(sk: *mut sock, count: u32_);
    pub(super) fn klips_socket_receives(sk: *const sock) -> bool;
    pub(super) fn klips_socket_sends(sk: *const sock) -> bool;
    pub(super) fn klips_socket_rcvbuf(sk: *const sock) -> ffi::c_int;
    pub(super) fn klips_socket_rmem(sk: *const sock) -> ffi::c_int;
    pub(super) fn klips_socket_await_room(sk: *mut sock, room: ffi::c_int);
    pub(super) fn klips_socket_info(sk: *mut sock, info: *mut klips_socket_info);
    pub(super) fn klips_socket_check(
        state: *mut ffi::c_void,
        type_: ffi::c_int,
        protocol: ffi::c_int,
    ) -> ffi::c_int;
    pub(super) fn klips_socket_open(
        state: *mut ffi::c_void,
        sk: *mut sock,
        number: *mut u64_,
    ) -> ffi::c_int;
    pub(super) fn klips_socket_close(state: *mut ffi::c_void, number: u64_);
    pub(super) fn klips_socket_send(
        state: *mut ffi::c_void,
        sk: *mut sock,
        number: u64_,
        msg: *mut msghdr,
        len: usize,
    ) -> ffi::c_int;
    pub(super) fn klips_socket_room(state: *mut ffi::c_void, number: u64_);
    pub(super) fn klips_proc_net(net: *const net) -> *mut proc_dir_entry;
    pub(super) fn klips_proc_mkdir(
        net: *mut net,
        parent: *mut proc_dir_entry,
        name: *const ffi::c_char,
    ) -> *mut proc_dir_entry;
    pub(super) fn klips_proc_create(
        parent: *mut proc_dir_entry,
        name: *const ffi::c_char,
        mode: umode_t,
        data: *mut ffi::c_void,
    ) -> bool;
    pub(super) fn klips_proc_symlink(
        parent: *mut proc_dir_entry,
        name: *const ffi::c_char,
        target: *const ffi::c_char,
    ) -> bool;
    pub(super) fn klips_proc_remove(parent: *mut proc_dir_entry, name: *const ffi::c_char);
    pub(super) fn klips_proc_open(file: *mut file, data: *mut ffi::c_void) -> ffi::c_int;
    pub(super) fn klips_xfrm_register() -> ffi::c_int;
    pub(super) fn klips_xfrm_unregister();
    pub(super) fn klips_interface_register() -> ffi::c_int;
    pub(super) fn klips_interface_unregister();
    pub(super) fn klips_xfrm_hold(net: *mut net);
    pub(super) fn klips_xfrm_release(net: *mut net);
    pub(super) fn klips_xfrm_state_new(
        net: *mut net,
        sa: *const klips_xfrm_sa,
        err: *mut ffi::c_int,
    ) -> *mut xfrm_state;
    pub(super) fn klips_xfrm_state_put(x: *mut xfrm_state);
    pub(super) fn klips_xfrm_state_insert(x: *mut xfrm_state);
    pub(super) fn klips_xfrm_state_swap(old: *mut xfrm_state, new: *mut xfrm_state, carry: bool);
    pub(super) fn klips_xfrm_state_delete(x: *mut xfrm_state);
    pub(super) fn klips_xfrm_state_set_ports(x: *mut xfrm_state, sport: u16_, dport: u16_);
    pub(super) fn klips_xfrm_state_usage(x: *mut xfrm_state, usage: *mut klips_xfrm_usage);
    pub(super) fn klips_xfrm_reqid(
        net: *mut net,
        family: u16_,
        dst: *const u8_,
        spi: u32_,
        proto: u8_,
    ) -> s64;
    pub(super) fn klips_interface_find(net: *mut net, number: u32_, if_id: u32_) -> u32_;
    pub(super) fn klips_interface_is_end(
        net: *mut net,
        ifindex: u32_,
        family: u16_,
        address: *const u8_,
    ) -> bool;
    pub(super) fn klips_interface_attached(
        net: *mut net,
        ifindex: u32_,
        attached: *mut klips_attached,
    );
    pub(super) fn klips_routes_after(net: *mut net, jiffies: ffi::c_ulong);
    pub(super) fn klips_routes_want(
        net: *mut net,
        family: u16_,
        own: *const u8_,
        peer: *const u8_,
        ifindex: u32_,
    );
    pub(super) fn klips_routes_settle(net: *mut net);
    pub(super) fn klips_xfrm_policy_new(
        net: *mut net,
        flow: *const klips_xfrm_flow,
    ) -> *mut klips_xfrm_policy;
    pub(super) fn klips_xfrm_policy_put(policy: *mut klips_xfrm_policy);
    pub(super) fn klips_xfrm_policy_insert(
        policy: *mut klips_xfrm_policy,
        over: bool,
    ) -> ffi::c_int;
    pub(super) fn klips_xfrm_policy_replace(
        old: *mut klips_xfrm_policy,
        new: *mut klips_xfrm_policy,
    );
    pub(super) fn klips_xfrm_policy_has(
        policy: *const klips_xfrm_policy,
        templates: *const klips_xfrm_template,
        count: u8_,
    ) -> bool;
    pub(super) fn klips_xfrm_policy_block(policy: *mut klips_xfrm_policy);
    pub(super) fn klips_xfrm_policy_open(policy: *mut klips_xfrm_policy);
    pub(super) fn klips_xfrm_policy_restore(policy: *mut klips_xfrm_policy) -> ffi::c_int;
    pub(super) fn klips_xfrm_policy_delete(policy: *mut klips_xfrm_policy);
    pub(super) fn klips_xfrm_next_state(net: *mut net, name: *mut klips_xfrm_name) -> ffi::c_int;
    pub(super) fn klips_xfrm_states_later(net: *mut net);
    pub(super) fn klips_xfrm_policies_later(net: *mut net);
    pub(super) fn klips_xfrm_accept_acquires(net: *mut net, accept: bool);
    pub(super) fn klips_xfrm_next_acquire(net: *mut net, acquire: *mut klips_xfrm_acquire) -> bool;
    pub(super) fn klips_xfrm_waiting_put(waiting: *mut xfrm_state);
    pub(super) fn klips_xfrm_waiting_delete(waiting: *mut xfrm_state);
    pub(super) fn klips_xfrm_next_mapping(net: *mut net, mapping: *mut klips_xfrm_mapping) -> bool;
    pub(super) fn klips_xfrm_states_changed(state: *mut ffi::c_void);
    pub(super) fn klips_xfrm_policies_changed(state: *mut ffi::c_void);
    pub(super) fn klips_routes_changed(state: *mut ffi::c_void);
    pub(super) fn klips_xfrm_packets_told(state: *mut ffi::c_void);
}
