// SPDX-License-Identifier: GPL-2.0

//! What `include/klips_shim.h` declares; made of it by `scripts/bindings.sh`.

#![expect(non_camel_case_types)]

use kernel::ffi;

pub(super) type u8_ = ffi::c_uchar;
pub(super) type u32_ = ffi::c_uint;
pub(super) type u64_ = ffi::c_ulonglong;
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
unsafe extern "C" {
    pub(super) fn klips_netns_register() -> ffi::c_int;
    pub(super) fn klips_netns_unregister();
    pub(super) fn klips_netns_work_after(net: *mut net, jiffies: ffi::c_ulong);
    pub(super) fn klips_netns_is_local_v4(net: *mut net, address: *const u8_) -> bool;
    pub(super) fn klips_netns_is_local_v6(net: *mut net, address: *const u8_) -> bool;
    pub(super) fn klips_cond_resched();
    pub(super) fn klips_is_killed() -> bool;
    pub(super) fn klips_netns_new(net: *mut net) -> *mut ffi::c_void;
    pub(super) fn klips_netns_free(state: *mut ffi::c_void);
    pub(super) fn klips_netns_work(state: *mut ffi::c_void);
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
}
