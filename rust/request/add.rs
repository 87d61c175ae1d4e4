// SPDX-License-Identifier: GPL-2.0

//! ADD: makes an SA (RFC 2367 section 3.1.3, reference 4.7).

use super::spec;
use crate::{
    klips_core::pfkey::{
        debug::Part,
        Message, //
    },
    memory::OutOfMemory,
    netns::{
        Host,
        Refusal, //
    },
    post::{
        write,
        Audience, //
    },
    sadb::AddError, //
};

pub(super) fn add<H: Host>(host: &H, message: &Message<'_>) -> Result<(), Refusal> {
    let sa = spec::of_message(host, message)?;
    let algorithms = spec::check_algorithms(message, &sa.spec);
    let reply = write(host, &message.header.reply(), |out| {
        spec::reply_to(message, &sa.spec, None, out);
    })?;
    let said = sa.spec.said();

    let mut state = host.lock();
    // That there is such an SA already is told before what is wrong with this one.
    if algorithms.is_err() && state.sadb.find(&said).is_some() {
        return Err(AddError::Exists.into());
    }
    algorithms?;
    let prepared = state.sadb.prepare(sa)?;
    state.sadb.add(prepared).map_err(|_| OutOfMemory)?;
    host.wake_at(state.sadb.next_deadline());
    state.trace(host, Part::Spi, format_args!("{said}: added"));
    state.listeners.send(host, reply, Audience::All);
    Ok(())
}
