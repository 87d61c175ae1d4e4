// SPDX-License-Identifier: GPL-2.0

//! X_PLUMBIF and X_UNPLUMBIF: an interface `ipsecN` comes into use, or goes out of it (reference 4.15).
//! KLIPS made it; here it has to be there.

use crate::{
    change::{
        self,
        Plumb,
        Unplumb, //
    },
    klips_core::{
        errno::Errno,
        interface::{
            Interface,
            FIRST_IFNUM, //
        },
        pfkey::{
            Message,
            MsgType, //
        }, //
    },
    netns::{
        Host,
        Refusal, //
    },
    post::{
        write,
        Audience,
        SocketId, //
    }, //
};

#[inline(never)]
pub(super) fn plumb_if<H: Host>(
    host: &H,
    sender: SocketId,
    message: &Message<'_>,
) -> Result<(), Refusal> {
    let ifnum = message.ifnum().ok_or(Errno::EINVAL)?;
    if ifnum < FIRST_IFNUM {
        // mastN, of which there are none.
        return Err(Errno::EOPNOTSUPP.into());
    }
    let interface = Interface::from_ifnum(ifnum).ok_or(Errno::ENOENT)?;
    let answer = write(host, &message.header.reply(), |out| out.ifnum(ifnum))?;
    if message.header.msg_type == MsgType::PlumbIf {
        change::make(host, Plumb(interface))?;
    } else {
        change::make(host, Unplumb(interface))?;
    }
    let mut state = host.lock();
    state.listeners.send(host, answer, Audience::Only(sender));
    Ok(())
}
