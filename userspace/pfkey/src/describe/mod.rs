// SPDX-License-Identifier: GPL-2.0

//! Messages in words, for people ([`Display`](fmt::Display)) and for programs
//! ([`Serialize`]).
//!
//! ```
//! use klips::pfkey::{build::request, MsgType};
//! use pfkey::{Content, describe::Description, text::said};
//!
//! let said = said::parse("tun.113@10.0.0.2").unwrap().with_dst([10, 0, 0, 2].into());
//! let ungroup = Content::about(request(MsgType::GrpSa, 0, 1, 1234), &said);
//! let mut bytes = vec![0; ungroup.size()];
//! ungroup.write(&mut bytes).unwrap();
//! let text = Description::of(&bytes)?.to_string();
//! assert!(text.starts_with(
//!     "pfkey v2 msg. type=13(x-groupsa) seq=1 len=8 pid=1234 errno=0 satype=9(IPIP) \
//!      said=tun.113@10.0.0.2\n  ext=1(security-association) len=3 spi=0x113 "
//! ));
//! # Ok::<(), pfkey::describe::Undescribable>(())
//! ```
//!
//! The first line begins as that of KLIPS's own `pf_key`; each extension has a line, and each of
//! several things in an extension a line below. Whatever has no meaning is shown as hexadecimal
//! bytes; keys never are.

mod extension;
mod fields;
mod names;

use self::{
    extension::Body,
    fields::{Fields, Value},
};
use klips::{
    errno::Errno,
    pfkey::{Ext, Header, MsgType, SaType, types::WORD, wire},
    said::Said,
};
use serde::Serialize;
use std::fmt;
use zerocopy::FromBytes;

/// Why there is nothing to be said of a message. The texts are those of KLIPS's `pf_key`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Undescribable {
    /// It is shorter than a header.
    #[error("runt packet of size: {0} (<{size})", size = Header::SIZE)]
    Runt(usize),
    /// It is not as long as its header says.
    #[error(
        "packet size read from socket={read} doesn't equal sadb_msg_len {words} * {WORD}; message \
         not decoded"
    )]
    Length {
        /// How many bytes there are.
        read: usize,
        /// How many words the header promises.
        words: u16,
    },
}

/// A message in words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Description {
    version: u8,
    #[serde(flatten)]
    header: Fields,
    extensions: Vec<Extension>,
    /// What an X_PROMISC is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<Box<Description>>,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    rest: Option<Fields>,
}

/// An extension in words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Extension {
    #[serde(flatten)]
    fields: Fields,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    list: Vec<Fields>,
}

impl Description {
    /// Describes the bytes of a message.
    pub fn of(bytes: &[u8]) -> Result<Self, Undescribable> {
        let (header, rest) = wire::MsgHeader::ref_from_prefix(bytes)
            .map_err(|_| Undescribable::Runt(bytes.len()))?;
        let words = header.len.get();
        if usize::from(words) * WORD != bytes.len() {
            return Err(Undescribable::Length {
                read: bytes.len(),
                words,
            });
        }
        let mut description = Description {
            version: header.version,
            header: describe_header(header),
            extensions: Vec::new(),
            message: None,
            rest: None,
        };
        match inner(header, rest) {
            Some(message) => description.message = Some(Box::new(message)),
            None => description.describe_extensions(header, rest),
        }
        Ok(description)
    }

    fn describe_extensions(&mut self, header: &wire::MsgHeader, bytes: &[u8]) {
        let (parts, rest) = split(bytes);
        let find = |wanted| {
            let mut all = parts.iter();
            all.find(|part| part.known() == Some(wanted))
        };
        let satypes = SaTypes {
            first: SaType::from_number(header.satype),
            second: find(Ext::SaType2).and_then(|part| extension::satype(part.bytes)),
        };
        for (name, satype, sa, dst) in [
            ("said", satypes.first, Ext::Sa, Ext::AddressDst),
            ("said2", satypes.second, Ext::Sa2, Ext::AddressDst2),
        ] {
            let said = || {
                Some(Said {
                    spi: extension::spi(find(sa)?.bytes)?,
                    dst: extension::ip(find(dst)?.bytes)?,
                    proto: satype?.proto(),
                })
            };
            if let Some(said) = said() {
                self.header.push(name, Value::Word(format!("{said:#}")));
            }
        }
        for (index, part) in parts.iter().enumerate() {
            let (extension, whole) = part.describe(&satypes);
            self.extensions.push(extension);
            if !whole && part.is_key() {
                // Where the key ends is not known, so that all that follows may be part of it.
                let behind = parts[index + 1..].iter().map(|part| part.bytes.len());
                self.rest = undecoded(&[], behind.sum::<usize>() + rest.len());
                return;
            }
        }
        // The beginning of an extension, so that this is no key yet.
        self.rest = undecoded(&rest[..rest.len().min(WORD)], rest.len());
    }
}

fn describe_header(header: &wire::MsgHeader) -> Fields {
    let mut fields = Fields::default();
    let msg_type = MsgType::from_number(header.msg_type);
    fields.named(
        "type",
        header.msg_type,
        Some(msg_type.map_or("unknown-sadb-type", names::msg_type)),
    );
    fields.number("seq", header.seq.get());
    fields.number("len", header.len.get());
    fields.number("pid", header.pid.get());
    let errno = Errno(header.errno);
    fields.named(
        "errno",
        header.errno,
        errno.describe().map(|(name, _)| name),
    );
    let satype = names::satype(header.satype);
    fields.named("satype", header.satype, Some(satype.unwrap_or("UNKNOWN")));
    fields.odd("reserved", &header.reserved.get().to_ne_bytes());
    fields
}

/// The message that an X_PROMISC has in the place of extensions, if it is of that form.
fn inner(header: &wire::MsgHeader, bytes: &[u8]) -> Option<Description> {
    let is_promisc = |number| MsgType::from_number(number) == Some(MsgType::Promisc);
    let (inner, _) = wire::MsgHeader::ref_from_prefix(bytes).ok()?;
    // None is about another one; there is no end to what could be written, though.
    if !is_promisc(header.msg_type) || is_promisc(inner.msg_type) {
        return None;
    }
    Description::of(bytes).ok()
}

/// What was not described for want of a clear beginning and end.
fn undecoded(head: &[u8], len: usize) -> Option<Fields> {
    let mut fields = Fields::default();
    fields.number("undecoded_bytes", len as u64);
    fields.odd("undecoded_head", head);
    (len > 0).then_some(fields)
}

/// The SA types of the two SAs that a message may be about.
struct SaTypes {
    first: Option<SaType>,
    second: Option<SaType>,
}

/// An extension of any type.
struct Part<'a> {
    number: u16,
    /// All of it, header included.
    bytes: &'a [u8],
}

/// Takes the extensions apart. Returns what is left when there is no more that has a length.
fn split(mut bytes: &[u8]) -> (Vec<Part<'_>>, &[u8]) {
    let mut parts = Vec::new();
    while let Some((part, rest)) = split_first(bytes) {
        parts.push(part);
        bytes = rest;
    }
    (parts, bytes)
}

fn split_first(bytes: &[u8]) -> Option<(Part<'_>, &[u8])> {
    let (header, _) = wire::ExtHeader::ref_from_prefix(bytes).ok()?;
    let len = usize::from(header.len.get()) * WORD;
    let (bytes, rest) = bytes.split_at_checked(len)?;
    let number = header.ext_type.get();
    (len > 0).then_some((Part { number, bytes }, rest))
}

impl Part<'_> {
    fn known(&self) -> Option<Ext> {
        Ext::from_number(self.number)
    }

    fn is_key(&self) -> bool {
        matches!(self.known(), Some(Ext::KeyAuth | Ext::KeyEncrypt))
    }

    /// Describes it; and whether that was possible.
    fn describe(&self, satypes: &SaTypes) -> (Extension, bool) {
        let mut fields = Fields::default();
        let name = self.known().map_or("unknown-ext", names::ext);
        fields.named("ext", self.number, Some(name));
        fields.number("len", (self.bytes.len() / WORD) as u64);
        let satype = match self.known() {
            Some(Ext::Sa2) => satypes.second,
            _ => satypes.first,
        };
        let body = self
            .known()
            .and_then(|ext| extension::read(ext, self.bytes, satype));
        let Some(Body { fields: own, list }) = body else {
            if !self.is_key() {
                let start = size_of::<wire::ExtHeader>();
                fields.push("bytes", Value::Bytes(self.bytes[start..].to_vec()));
            }
            return (
                Extension {
                    fields,
                    list: Vec::new(),
                },
                false,
            );
        };
        fields.append(own);
        (Extension { fields, list }, true)
    }
}

impl fmt::Display for Description {
    /// Each line ends with a newline.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "pfkey v{} msg. {}", self.version, self.header)?;
        for extension in &self.extensions {
            writeln!(f, "  {}", extension.fields)?;
            for fields in &extension.list {
                writeln!(f, "    {fields}")?;
            }
        }
        if let Some(message) = &self.message {
            for line in message.to_string().lines() {
                writeln!(f, "  {line}")?;
            }
        }
        match &self.rest {
            Some(fields) => writeln!(f, "  {fields}"),
            None => Ok(()),
        }
    }
}
