// SPDX-License-Identifier: GPL-2.0

//! What only a client reads: extensions that the kernel sends and never takes.

use crate::content::SaRefs;
use klips::pfkey::{Ext, Fault, Message, parse, wire};
use zerocopy::{FromBytes, Immutable, KnownLayout, Unaligned};

/// What replies have beside what requests have.
pub trait Reply<'a> {
    /// The references to the SA and its peer's.
    fn sa_refs(&self) -> Option<SaRefs>;
    /// The algorithms of SUPPORTED_AUTH or SUPPORTED_ENCRYPT.
    fn supported(&self, ext: Ext) -> impl Iterator<Item = &'a wire::Alg>;
    /// Which SA of a group request was at fault.
    fn fault(&self) -> Option<Fault>;
}

impl<'a> Reply<'a> for Message<'a> {
    fn sa_refs(&self) -> Option<SaRefs> {
        let refs: &wire::SaRef = read(self, Ext::SaRef)?;
        Some(SaRefs {
            me: refs.me.get(),
            him: refs.him.get(),
        })
    }

    fn supported(&self, ext: Ext) -> impl Iterator<Item = &'a wire::Alg> {
        let algorithms = self
            .ext(ext)
            .and_then(|bytes| bytes.get(size_of::<wire::Supported>()..));
        algorithms
            .unwrap_or_default()
            .chunks(size_of::<wire::Alg>())
            .filter_map(|alg| wire::Alg::ref_from_bytes(alg).ok())
    }

    fn fault(&self) -> Option<Fault> {
        parse::read_fault(self.ext(Ext::Fault)?).ok()
    }
}

fn read<'a, T>(message: &Message<'a>, ext: Ext) -> Option<&'a T>
where
    T: FromBytes + KnownLayout + Immutable + Unaligned,
{
    Some(T::ref_from_prefix(message.ext(ext)?).ok()?.0)
}
