// SPDX-License-Identifier: GPL-2.0

//! An SA as a list names it.

use anstyle::{AnsiColor, Style};
use klips::{
    address::Family,
    said::{Proto, Said},
};
use pfkey::text::{address::Host, said};

/// An SA in the list of groups.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    text: String,
    /// `None` where the kernel does not know a destination, as Openswan 2.4.9 with IPv6.
    said: Option<Said>,
}

impl Entry {
    /// Reads the name of an SA as a list has it.
    pub(crate) fn parse(text: &str) -> Self {
        let said = said::parse(text).ok().and_then(|said| match said.dst {
            Host::Address(ip) => Some(said.with_dst(ip)),
            Host::Name(..) => None,
        });
        Entry {
            text: text.to_owned(),
            said,
        }
    }

    /// As the list has it.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// Its name, if that can be read.
    pub(crate) fn said(&self) -> Option<Said> {
        self.said
    }

    /// Whether its name can't be read, but could be this one.
    pub(crate) fn could_be(&self, said: &Said) -> bool {
        let id = format!("{}0x{:x}", said.proto.name(), said.spi);
        self.said.is_none()
            && Family::of(&said.dst) == Family::Inet6
            && self
                .text
                .strip_prefix(&id)
                .is_some_and(|rest| rest.starts_with('@'))
    }

    /// As the list has it, with its protocol in colour if that is wanted.
    pub(crate) fn styled(&self, colors: bool) -> String {
        let Some(Said { proto, .. }) = self.said.filter(|_| colors) else {
            return self.text.clone();
        };
        // A keyword has no protocol in front, and is coloured whole.
        let end = if self.text.starts_with(proto.name()) {
            proto.name().len()
        } else {
            self.text.len()
        };
        let (head, tail) = self.text.split_at(end);
        let style = style(proto);
        format!("{style}{head}{style:#}{tail}")
    }

    /// Its name in the form of the manual page.
    pub(crate) fn name(&self) -> String {
        match &self.said {
            Some(said) => format!("{said:#}"),
            None => self.text.clone(),
        }
    }
}

fn style(proto: Proto) -> Style {
    let color = match proto {
        Proto::Tun => AnsiColor::Blue,
        Proto::Esp => AnsiColor::Green,
        Proto::Ah => AnsiColor::Yellow,
        Proto::Comp => AnsiColor::Magenta,
        Proto::Int => AnsiColor::Red,
    };
    color.on_default().bold()
}
