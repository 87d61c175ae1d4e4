// SPDX-License-Identifier: GPL-2.0

//! Messages: what is read can be written and read again.

use klips::pfkey::{Direction, Ext, Header, LifetimeForm, Message};
use model::wire::{exts_of, framed, hex};
use pfkey::{Content, Reply};

/// Reads a message, as it is and with its outer form made right, writes it and reads it again.
pub fn codec(bytes: &[u8]) {
    check(bytes);
    check(&framed(bytes));
}

fn check(bytes: &[u8]) {
    let Ok(header) = Header::parse(bytes) else {
        return;
    };
    for direction in [Direction::In, Direction::Out] {
        let Ok(message) = Message::parse(header, bytes, direction) else {
            continue;
        };
        let _ = message.check_supported();
        let before = values(&message);
        let Some(content) = content_of(&message) else {
            continue;
        };
        let written = written(&content);
        let again = parse(&written, direction);
        assert_eq!(values(&again), before, "{}", hex(bytes));
        let content = content_of(&again).expect("what was written can be written");
        assert_eq!(self::written(&content), written, "{}", hex(bytes));
    }
}

/// Checks that a message of the kernel is exactly as it would be written anew.
pub(super) fn assert_canonical(bytes: &[u8]) {
    let message = parse(bytes, Direction::Out);
    let content = content_of(&message).expect("what the kernel writes can be written");
    assert_eq!(hex(&written(&content)), hex(bytes));
}

fn parse(bytes: &[u8], direction: Direction) -> Message<'_> {
    let header = Header::parse(bytes).expect("a right header");
    Message::parse(header, bytes, direction)
        .unwrap_or_else(|errno| panic!("{errno:?} in {}", hex(bytes)))
}

/// Writes a message into room that is full of other bytes, twice, and checks that all of it is
/// written.
fn written(content: &Content<'_>) -> Vec<u8> {
    let [one, other] = [0xaa, 0x55].map(|poison| {
        let mut room = vec![poison; content.size()];
        assert_eq!(content.write(&mut room), Some(room.len()));
        room
    });
    assert_eq!(one, other, "every byte is written");
    one
}

/// All that a message says, extension by extension.
fn values(message: &Message<'_>) -> Vec<String> {
    let value = |ext: Ext| match ext {
        Ext::Sa => format!("{:?}", message.sa()),
        Ext::LifetimeCurrent | Ext::LifetimeHard | Ext::LifetimeSoft => {
            format!("{:?}", message.lifetime(ext))
        }
        Ext::KeyAuth | Ext::KeyEncrypt => {
            let key = message.key(ext).expect("a key");
            format!("{} {}", key.bits, hex(key.data))
        }
        Ext::IdentitySrc | Ext::IdentityDst => format!("{:?}", message.ident(ext)),
        Ext::SupportedAuth | Ext::SupportedEncrypt => {
            format!("{:?}", message.supported(ext).collect::<Vec<_>>())
        }
        Ext::SpiRange => format!("{:?}", message.spi_range()),
        Ext::SaType2 | Ext::Sa2 => format!("{:?}", message.second()),
        Ext::Debug => format!("{:?}", message.debug_masks()),
        Ext::NatTType => format!("{:?}", message.natt_type()),
        Ext::NatTSport | Ext::NatTDport => format!("{:?}", message.natt_port(ext)),
        Ext::Group => format!("{:?}", message.group_list()),
        Ext::Fault => format!("{:?}", message.fault()),
        Ext::Sensitivity | Ext::Proposal | Ext::KmPrivate | Ext::PlumbIf => {
            format!("{:?}", message.ext(ext))
        }
        // Of a flow, what counts is read.
        Ext::AddressSrcFlow
        | Ext::AddressDstFlow
        | Ext::AddressSrcMask
        | Ext::AddressDstMask
        | Ext::Protocol => format!("{:?}", message.flow()),
        Ext::SaRef => format!("{:?}", message.sa_refs()),
        // The rest are addresses.
        _ => format!("{:?}", message.address(ext)),
    };
    let there = Ext::ALL.iter().filter(|ext| message.has(**ext));
    let mut values: Vec<String> = there
        .map(|ext| format!("{ext:?} {}", value(*ext)))
        .collect();
    values.push(format!("{:?}", message.header));
    values
}

/// What would write this message, if it can be written: there is nobody who writes proposals and the
/// like, a part of a flow, a pair without its second SA, or lifetimes of two lengths.
fn content_of<'a>(message: &Message<'a>) -> Option<Content<'a>> {
    let lifetime = |ext| message.lifetime(ext).map(|(lifetime, _)| lifetime);
    let exts = [Ext::LifetimeCurrent, Ext::LifetimeHard, Ext::LifetimeSoft];
    let forms = exts.map(|ext| message.lifetime(ext).map(|(_, form)| form));
    let mut forms = forms.into_iter().flatten();
    let form = forms.next();
    let has_algorithms = message.has(Ext::SupportedAuth) || message.has(Ext::SupportedEncrypt);
    let content = Content {
        sa: message.sa(),
        current: lifetime(Ext::LifetimeCurrent),
        hard: lifetime(Ext::LifetimeHard),
        soft: lifetime(Ext::LifetimeSoft),
        lifetime_form: form.unwrap_or(LifetimeForm::Rfc),
        src: message.address(Ext::AddressSrc),
        dst: message.address(Ext::AddressDst),
        proxy: message.address(Ext::AddressProxy),
        key_auth: message.key(Ext::KeyAuth),
        key_encrypt: message.key(Ext::KeyEncrypt),
        ident_src: message.ident(Ext::IdentitySrc),
        ident_dst: message.ident(Ext::IdentityDst),
        supported: message.header.known_satype().filter(|_| has_algorithms),
        spi_range: message
            .spi_range()
            .map(|range| (*range.start(), *range.end())),
        second: message.second(),
        flow: message.flow(),
        debug: message.debug_masks(),
        natt_type: message.natt_type(),
        natt_sport: message.natt_port(Ext::NatTSport),
        natt_dport: message.natt_port(Ext::NatTDport),
        natt_oa: message.address(Ext::NatTOa),
        group: message.group_list().copied(),
        fault: message.fault(),
        sa_refs: message.sa_refs(),
        // Written for historic kernels, but read by nobody.
        outif: None,
        header: message.header,
    };
    // Only the algorithms that there are can be written.
    let algorithms = [Ext::SupportedAuth, Ext::SupportedEncrypt];
    let written: Vec<(u16, Vec<u8>)> = exts_of(&written(&content));
    let is_written = |ext: &&Ext| match written.iter().find(|(found, _)| *found == **ext as u16) {
        Some((_, bytes)) if algorithms.contains(ext) => message.ext(**ext) == Some(bytes),
        found => found.is_some() == message.has(**ext),
    };
    let is_whole = Ext::ALL.iter().all(|ext| is_written(&ext));
    (is_whole && forms.all(|other| Some(other) == form)).then_some(content)
}
