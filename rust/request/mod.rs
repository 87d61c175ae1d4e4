// SPDX-License-Identifier: GPL-2.0

//! From a message that a socket wrote to what changes and who is told.
//!
//! [`submit`] is the way of every request: parse, hand to the handler of its type, and if that
//! refuses, tell everybody so. A handler says what is wanted; what changes the tables is made by
//! [`crate::change`].

mod add;
mod addflow;
mod debug;
mod delete;
mod delflow;
mod dump;
mod expire;
mod flush;
mod get;
mod getspi;
mod grpsa;
mod plumbif;
mod promisc;
mod register;
mod spec;
mod update;

use crate::{
    klips_core::{
        errno::Errno,
        pfkey::{
            Direction,
            Header,
            Message,
            MsgType, //
        }, //
    },
    netns::{
        Host,
        Refusal, //
    },
    post::{
        self,
        write,
        Audience,
        SocketId, //
    }, //
};

/// Something has been read from a socket, as [`Post::await_room`](post::Post::await_room) was asked
/// to tell.
pub fn has_read<H: Host>(host: &H, id: SocketId) {
    if post::has_read(host, id) {
        dump::go_on(host, id);
    }
}

/// Carries out a message that `sender` wrote, and that begins with this header: one whose header is
/// wrong has been refused in silence before. Any other refusal is told to all open sockets before it is
/// returned.
pub fn submit<H: Host>(
    host: &H,
    sender: SocketId,
    header: Header,
    bytes: &[u8],
) -> Result<(), Errno> {
    let result = carry_out(host, sender, header, bytes);
    if host.is_traced() {
        host.log(format_args!(
            "{:?} seq {} pid {} satype {}: {}",
            header.msg_type,
            header.seq,
            header.pid,
            header.satype,
            result.as_ref().err().map_or("ok", Refusal::name),
        ));
    }
    if let Err(refusal) = &result {
        announce_refusal(host, &header, refusal);
    }
    // These are answered to the sender alone, and wait for nobody.
    let is_private = matches!(
        header.msg_type,
        MsgType::Get | MsgType::Dump | MsgType::Promisc | MsgType::PlumbIf | MsgType::UnplumbIf
    );
    post::tell(host, !is_private || result.is_err());
    result.map_err(|refusal| refusal.errno)
}

fn carry_out<H: Host>(
    host: &H,
    sender: SocketId,
    header: Header,
    bytes: &[u8],
) -> Result<(), Refusal> {
    let message = Message::parse(header, bytes, Direction::In)?;
    message.check_supported()?;
    dispatch(host, sender, &message)
}

/// The handlers are not inlined, for the reason that [`change::Change`](crate::change::Change) gives.
fn dispatch<H: Host>(host: &H, sender: SocketId, message: &Message<'_>) -> Result<(), Refusal> {
    match message.header.msg_type {
        MsgType::GetSpi => getspi::getspi(host, message),
        MsgType::Update => update::update(host, message),
        MsgType::Add => add::add(host, message),
        MsgType::Delete => delete::delete(host, message),
        MsgType::Get => get::get(host, sender, message),
        MsgType::Acquire => register::acquire(host, message),
        MsgType::Register => register::register(host, sender, message),
        MsgType::Expire => expire::expire(host, message),
        MsgType::Flush => flush::flush(host, message),
        MsgType::Dump => dump::dump(host, sender, message),
        MsgType::Promisc => promisc::promisc(host, sender, message),
        MsgType::GrpSa => grpsa::grpsa(host, message),
        MsgType::Debug => debug::debug(host, message),
        MsgType::AddFlow => addflow::add_flow(host, message),
        MsgType::DelFlow => delflow::del_flow(host, message),
        MsgType::PlumbIf | MsgType::UnplumbIf => plumbif::plumb_if(host, sender, message),
        // The kernel's own, and nobody's.
        MsgType::NatTNewMapping | MsgType::PChange => Err(Errno::EINVAL.into()),
    }
}

/// Tells everybody of a refusal: the request's header with the errno, and for a group request the
/// fault. If there is no memory for it, the writer still has its errno.
fn announce_refusal<H: Host>(host: &H, header: &Header, refusal: &Refusal) {
    let header = Header {
        errno: refusal.errno.0,
        ..*header
    };
    let draft = write(host, &header, |out| {
        if let Some(fault) = &refusal.fault {
            out.fault(fault);
        }
    });
    if let Ok(draft) = draft {
        host.lock().listeners.send(host, draft, Audience::All);
    }
}
