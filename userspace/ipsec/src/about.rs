// SPDX-License-Identifier: GPL-2.0

//! What a request is about, for those who tell of it.

use klips::{said::Said, selector::Selector};

/// What a request is about.
#[derive(Clone, Copy)]
pub(crate) struct About<'a> {
    /// What it is, in one word.
    pub(crate) action: &'static str,
    /// The SAs that it names.
    pub(crate) saids: &'a [Said],
    /// The packets that it names.
    pub(crate) selector: Option<&'a Selector>,
}

impl<'a> About<'a> {
    /// A request that names nothing.
    pub(crate) const fn nothing(action: &'static str) -> Self {
        About::sas(action, &[])
    }

    /// A request that names SAs.
    pub(crate) const fn sas(action: &'static str, saids: &'a [Said]) -> Self {
        About {
            action,
            saids,
            selector: None,
        }
    }
}
