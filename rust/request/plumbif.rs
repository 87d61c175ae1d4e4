// SPDX-License-Identifier: GPL-2.0

//! X_PLUMBIF and X_UNPLUMBIF: an interface `ipsecN` comes into use, or goes out of it (reference 4.15).
//! An xfrm interface of its name is used; where there is none, one is made that is attached to none, as
//! KLIPS's were at first.

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
        match change::make(host, Plumb(interface)) {
            Err(Refusal {
                errno: Errno::ENODEV,
                ..
            }) => host.add_unattached(interface)?,
            result => drop(result?),
        }
    } else if !host.remove_unattached(interface) {
        change::make(host, Unplumb(interface))?;
    }
    let mut state = host.lock();
    state.listeners.send(host, answer, Audience::Only(sender));
    Ok(())
}
