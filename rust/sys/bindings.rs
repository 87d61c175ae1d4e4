// SPDX-License-Identifier: GPL-2.0

//! The functions of `shim.c`, as `include/klips_shim.h` declares them.

use crate::netns::SocketInfo;
use kernel::{
    bindings::{
        msghdr,
        sk_buff,
        sock, //
    },
    prelude::*, //
};

/// `struct net`, of which only addresses are ever seen here.
///
/// `kernel::bindings` has it whole, with members that are no valid types to pass to C.
#[repr(C)]
pub(super) struct NetNs {
    _opaque: [u8; 0],
}

/// `struct seq_file`, likewise.
#[repr(C)]
pub(super) struct OpenFile {
    _opaque: [u8; 0],
}

extern "C" {
    pub(super) fn klips_shim_register() -> c_int;
    pub(super) fn klips_shim_unregister();

    pub(super) fn klips_shim_may_administer(net: *const NetNs) -> bool;
    pub(super) fn klips_shim_is_trusted(net: *const NetNs) -> bool;
    pub(super) fn klips_shim_is_local_v4(net: *mut NetNs, address: *const u8) -> bool;
    pub(super) fn klips_shim_is_local_v6(net: *mut NetNs, address: *const u8) -> bool;
    pub(super) fn klips_shim_real_seconds() -> u64;
    pub(super) fn klips_shim_boot_seconds() -> u64;
    pub(super) fn klips_shim_random(bytes: *mut c_void, len: usize);
    pub(super) fn klips_shim_cond_resched();

    pub(super) fn klips_shim_has_control(msg: *const msghdr) -> bool;
    pub(super) fn klips_shim_send_is_shut_down(sk: *const sock) -> bool;
    pub(super) fn klips_shim_copy_from(to: *mut c_void, msg: *mut msghdr, len: usize) -> c_int;

    pub(super) fn klips_shim_message_new(
        net: *const NetNs,
        len: usize,
        data: *mut *mut u8,
    ) -> *mut sk_buff;
    pub(super) fn klips_shim_message_shorten(message: *mut sk_buff, len: usize);
    pub(super) fn klips_shim_message_free(net: *const NetNs, message: *mut sk_buff);
    pub(super) fn klips_shim_deliver(sk: *mut sock, message: *mut sk_buff);
    pub(super) fn klips_shim_deliver_last(sk: *mut sock, message: *mut sk_buff);
    pub(super) fn klips_shim_lost(sk: *mut sock);
    pub(super) fn klips_shim_has_room(sk: *const sock) -> bool;
    pub(super) fn klips_shim_set_dumping(sk: *mut sock, dumping: bool);
    pub(super) fn klips_shim_socket_info(sk: *mut sock, info: *mut SocketInfo);
    pub(super) fn klips_shim_wake_after(net: *mut NetNs, seconds: u64);

    pub(super) fn klips_shim_page_begin(m: *mut OpenFile, start: *mut *mut u8) -> usize;
    pub(super) fn klips_shim_page_end(m: *mut OpenFile, len: c_int);

    pub(super) fn klips_shim_wipe(secret: *mut c_void, len: usize);
    pub(super) fn klips_shim_secret_new(len: usize) -> *mut c_void;
    pub(super) fn klips_shim_secret_free(secret: *mut c_void, len: usize);
}
