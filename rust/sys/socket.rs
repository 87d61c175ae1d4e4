// SPDX-License-Identifier: GPL-2.0

//! Sockets: references to them, what is delivered to them, and what they write.

use super::{
    bindings,
    declared,
    netns::{
        self,
        Net, //
    },
    to_c,
    Secret, //
};
use crate::{
    klips_core::{
        errno::Errno,
        pfkey::{
            types::{
                PF_KEY_V2,
                WORD, //
            },
            Header, //
        },
    },
    memory::{
        self,
        OutOfMemory, //
    },
    netns::Host,
    post::{
        Awaited,
        Delivery,
        Draft,
        Post,
        SocketId,
        SocketInfo, //
    },
    request, //
};
use core::ptr::NonNull;
use kernel::{
    bindings::{
        msghdr,
        sock_type_SOCK_RAW,
        MSG_BATCH,
        MSG_CMSG_COMPAT,
        MSG_DONTWAIT,
        MSG_EOR,
        MSG_NOSIGNAL,
        MSG_SPLICE_PAGES, //
    },
    iov::IovIterSource,
    prelude::*,
    sync::aref::{
        ARef,
        AlwaysRefCounted, //
    },
    task::Pid,
    types::Opaque, //
};

/// Longest message that a header can tell the length of.
const MAX_MESSAGE: usize = u16::MAX as usize * WORD;

/// What a write can be asked for that makes sense, or makes no difference, where one write is one
/// message that is carried out at once.
const SEND_FLAGS: u32 =
    MSG_DONTWAIT | MSG_NOSIGNAL | MSG_EOR | MSG_BATCH | MSG_SPLICE_PAGES | MSG_CMSG_COMPAT;

/// What is kept for a writer's answer, so that no request is carried out and nobody told of it for
/// want of memory: enough for most.
const RESERVE: usize = 512;

/// A socket of the kernel.
#[repr(transparent)]
pub(super) struct Sock(Opaque<bindings::sock>);

// SAFETY: A socket may be used, and released, by any thread.
unsafe impl Send for Sock {}
// SAFETY: All that can be done with a shared reference takes care of others who do so.
unsafe impl Sync for Sock {}

// SAFETY: `sock_hold` keeps the socket's memory until `sock_put`, and all sockets are counted.
unsafe impl AlwaysRefCounted for Sock {
    fn inc_ref(&self) {
        // SAFETY: There is a reference, so it is valid.
        unsafe { bindings::klips_socket_hold(self.as_ptr()) };
    }

    unsafe fn dec_ref(obj: NonNull<Self>) {
        // SAFETY: The caller owns the reference that is given up. CAST: `Sock` is transparent.
        unsafe { bindings::klips_socket_put(obj.as_ptr().cast()) };
    }
}

impl Sock {
    /// A socket that C knows.
    ///
    /// # Safety
    ///
    /// `sk` is a socket of this family, and valid during `'a`.
    unsafe fn from_raw<'a>(sk: *mut bindings::sock) -> &'a Sock {
        // CAST: `Sock` is transparent.
        // SAFETY: The caller promises that it is valid.
        unsafe { &*sk.cast() }
    }

    fn as_ptr(&self) -> *mut bindings::sock {
        self.0.get()
    }

    /// Whether reading has not been shut down.
    fn receives(&self) -> bool {
        // SAFETY: There is a reference, so it is valid.
        unsafe { bindings::klips_socket_receives(self.as_ptr()) }
    }

    /// Whether writing has not been shut down.
    fn sends(&self) -> bool {
        // SAFETY: There is a reference, so it is valid.
        unsafe { bindings::klips_socket_sends(self.as_ptr()) }
    }

    /// The size of the receive buffer.
    fn rcvbuf(&self) -> c_int {
        // SAFETY: There is a reference, so it is valid.
        unsafe { bindings::klips_socket_rcvbuf(self.as_ptr()) }
    }

    /// How much of the receive buffer is used.
    fn rmem(&self) -> c_int {
        // SAFETY: There is a reference, so it is valid.
        unsafe { bindings::klips_socket_rmem(self.as_ptr()) }
    }

    fn add_drops(&self, count: u32) {
        // SAFETY: There is a reference, so it is valid.
        unsafe { bindings::klips_socket_add_drops(self.as_ptr(), count) };
    }

    /// Makes sure that there is memory for an answer.
    fn reserve(&self) -> Result<(), OutOfMemory> {
        // SAFETY: There is a reference, so it is valid.
        match unsafe { bindings::klips_socket_reserve(self.as_ptr(), RESERVE) } {
            0 => Ok(()),
            _ => Err(OutOfMemory),
        }
    }

    fn deliver(&self, message: &[u8]) -> Delivery {
        if !self.receives() {
            return Delivery::Deaf;
        }
        // Asked first: no copy for a socket that can't take it.
        if self.rmem() >= self.rcvbuf() {
            self.add_drops(1);
            return Delivery::Lost;
        }
        let (bytes, len) = (message.as_ptr(), message.len());
        // SAFETY: There is a reference to the socket, so it is valid, and so are the bytes.
        let err = unsafe { bindings::klips_socket_deliver(self.as_ptr(), bytes, len) };
        match -err {
            0 => Delivery::Done,
            err if err == c_int::from(Errno::EPERM.0) => Delivery::Unwanted,
            _ => Delivery::Lost,
        }
    }
}

/// An open socket, and who has opened it.
pub struct Socket {
    sk: ARef<Sock>,
    /// As its process namespace counts.
    pid: Pid,
}

impl Post for Net {
    type Socket = Socket;

    fn draft(&self, len: usize) -> Result<Draft, OutOfMemory> {
        memory::filled(0, len)
    }

    fn deliver(&self, socket: &Socket, message: &[u8]) -> Delivery {
        socket.sk.deliver(message)
    }

    fn tell_loss(&self, socket: &Socket) {
        let err = c_int::from(Errno::ENOBUFS.0);
        // SAFETY: There is a reference to the socket, so it is valid.
        unsafe { bindings::klips_socket_set_error(socket.sk.as_ptr(), err) };
    }

    fn add_lost(&self, socket: &Socket, count: u64) {
        socket
            .sk
            .add_drops(u32::try_from(count).unwrap_or(u32::MAX));
    }

    fn is_full(&self, socket: &Socket) -> bool {
        socket.sk.rmem() >= socket.sk.rcvbuf()
    }

    fn has_room(&self, socket: &Socket) -> bool {
        // As mainline's af_key: a third is left for what others tell meanwhile.
        3 * i64::from(socket.sk.rmem()) <= 2 * i64::from(socket.sk.rcvbuf())
    }

    fn await_room(&self, socket: &Socket, awaited: Option<Awaited>) {
        let room = match awaited {
            None => 0,
            Some(Awaited::Any) => 1,
            // As much as a DUMP leaves, and a third of the whole to fill anew.
            Some(Awaited::ForDump) => (socket.sk.rcvbuf() / 3 * 2).max(1),
        };
        // SAFETY: There is a reference to the socket, so it is valid.
        unsafe { bindings::klips_socket_await_room(socket.sk.as_ptr(), room) };
    }

    fn socket_info(&self, socket: &Socket) -> SocketInfo {
        let mut info = bindings::klips_socket_info::default();
        // SAFETY: There is a reference to the socket, so it is valid; `info` may be written to.
        unsafe { bindings::klips_socket_info(socket.sk.as_ptr(), &mut info) };
        SocketInfo {
            inode: info.inode,
            // CAST: no process has a negative number.
            pid: socket.pid as u32,
            err: info.err,
            protocol: info.protocol,
            sndbuf: info.sndbuf,
            socket_type: info.type_,
            state: info.state,
            lost: info.drops,
        }
    }
}

declared! {
    klips_socket_check klips_socket_open klips_socket_close klips_socket_send klips_socket_room
}

/// Whether a socket of this type and protocol may be made.
///
/// # Safety
///
/// `state` is that of the namespace in which it is to be.
#[no_mangle]
unsafe extern "C" fn klips_socket_check(
    state: *mut c_void,
    socket_type: c_int,
    protocol: c_int,
) -> c_int {
    // SAFETY: The caller promises that the namespace is there.
    let net = unsafe { netns::borrow(state) };
    to_c(if u32::try_from(socket_type) != Ok(sock_type_SOCK_RAW) {
        Err(Errno::ESOCKTNOSUPPORT)
    } else if u8::try_from(protocol) != Ok(PF_KEY_V2) {
        Err(Errno::EPROTONOSUPPORT)
    } else if !net.may_administer() {
        Err(Errno::EPERM)
    } else {
        Ok(())
    })
}

/// A socket was made. Tells the number that it is known by.
///
/// # Safety
///
/// `state` is that of the socket's namespace, and `sk` is valid; `number` may be written to.
#[no_mangle]
unsafe extern "C" fn klips_socket_open(
    state: *mut c_void,
    sk: *mut bindings::sock,
    number: *mut u64,
) -> c_int {
    // SAFETY: The namespace of a socket is there as long as the socket.
    let net = unsafe { netns::borrow(state) };
    let socket = Socket {
        // SAFETY: The caller promises that it is valid.
        sk: unsafe { Sock::from_raw(sk) }.into(),
        pid: current!().tgid_nr_ns(current!().active_pid_ns()),
    };
    let opened = net.lock().listeners.open(socket);
    to_c(opened.map_err(Errno::from).map(|id| {
        // SAFETY: The caller promises that this may be written to.
        unsafe { number.write(id.number()) };
    }))
}

/// A socket is being closed.
///
/// # Safety
///
/// `state` is that of the socket's namespace.
#[no_mangle]
unsafe extern "C" fn klips_socket_close(state: *mut c_void, number: u64) {
    // SAFETY: The namespace of a socket is there as long as the socket.
    let net = unsafe { netns::borrow(state) };
    if let Some(id) = SocketId::from_number(number) {
        net.close(id);
    }
}

/// Something was read from a socket for which [`Post::await_room`] was called.
///
/// # Safety
///
/// `state` is that of the socket's namespace.
#[no_mangle]
unsafe extern "C" fn klips_socket_room(state: *mut c_void, number: u64) {
    // SAFETY: The namespace of a socket is there as long as the socket.
    let net = unsafe { netns::borrow(state) };
    if let Some(id) = SocketId::from_number(number) {
        request::has_read(net, id);
    }
}

/// A message was written to a socket: the checks of reference 2.1, numbers 2 to 6, then the request.
///
/// # Safety
///
/// `state` is that of the socket's namespace, `sk` and `msg` are valid, and nobody else uses `msg`.
#[no_mangle]
unsafe extern "C" fn klips_socket_send(
    state: *mut c_void,
    sk: *mut bindings::sock,
    number: u64,
    msg: *mut bindings::msghdr,
    len: usize,
) -> c_int {
    // SAFETY: The namespace of a socket is there as long as the socket.
    let net = unsafe { netns::borrow(state) };
    // SAFETY: The caller promises that it is valid.
    let sk = unsafe { Sock::from_raw(sk) };
    // SAFETY: The caller promises that it is valid and ours. CAST: the same structure of C.
    let msg = unsafe { &mut *msg.cast::<msghdr>() };
    to_c(send(net, sk, number, msg, len))
}

fn send(net: &Net, sk: &Sock, number: u64, msg: &mut msghdr, len: usize) -> Result<(), Errno> {
    let id = SocketId::from_number(number).ok_or(Errno::EINVAL)?;
    if !net.may_administer() {
        return Err(Errno::EPERM);
    }
    if msg.msg_flags & !SEND_FLAGS != 0 {
        return Err(Errno::EOPNOTSUPP);
    }
    if msg.msg_controllen != 0 {
        return Err(Errno::EINVAL);
    }
    if !sk.sends() {
        return Err(Errno::EPIPE);
    }
    if !(Header::SIZE..=MAX_MESSAGE).contains(&len) {
        return Err(Errno::EMSGSIZE);
    }
    // SAFETY: What is being sent is a source, and is used in no other way as long as this is.
    let source = unsafe { IovIterSource::from_raw(&mut msg.msg_iter) };
    // Each byte is read once. What has a wrong header takes no memory.
    let mut front = [0; Header::SIZE];
    if source.copy_from_iter(&mut front) != front.len() {
        return Err(Errno::EFAULT);
    }
    let header = Header::of_message(&front, len)?;
    sk.reserve()?;
    // It may hold keys: wherever it is copied to is wiped.
    let message = Secret::read(&front, source, len)?;
    request::submit(net, id, header, message.as_slice())
}
