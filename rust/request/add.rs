// SPDX-License-Identifier: GPL-2.0

//! ADD: makes an SA (RFC 2367 section 3.1.3, reference 4.7).

use super::spec;
use crate::{
    change::{
        self,
        Add, //
    },
    klips_core::pfkey::Message,
    netns::{
        Host,
        Refusal, //
    },
    post::write, //
};

#[inline(never)]
pub(super) fn add<H: Host>(host: &H, message: &Message<'_>) -> Result<(), Refusal> {
    let (sa, algorithms) = spec::of_message(host, message)?;
    let answer = write(host, &message.header.reply(), |out| {
        spec::reply_to(message, &sa.spec, None, out);
    })?;
    change::make(
        host,
        Add {
            sa,
            algorithms,
            answer,
        },
    )
}
