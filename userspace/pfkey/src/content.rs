// SPDX-License-Identifier: GPL-2.0

//! What a message says, all in one value.

use klips::{
    pfkey::{
        Address, Ext, Fault, Header, Ident, Key, Lifetime, LifetimeForm, Sa, SaType,
        build::{Builder, build, ext_header, sized},
        debug::Masks,
        value::{Flow, GroupList, Second},
        wire,
    },
    said::Said,
};

/// The references of Openswan 2.6 and libreswan to a pair of SAs: SAREF. This module keeps none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SaRefs {
    /// Reference of the SA.
    pub me: u32,
    /// Reference of the peer's SA.
    pub him: u32,
}

/// The content of a message. What is `None` is left out.
#[derive(Clone, Copy)]
pub struct Content<'a> {
    /// Type, error number, SA type, sequence number and process ID.
    pub header: Header,
    /// The SA.
    pub sa: Option<Sa>,
    /// What the SA has used up.
    pub current: Option<Lifetime>,
    /// What ends the SA.
    pub hard: Option<Lifetime>,
    /// What asks for a successor.
    pub soft: Option<Lifetime>,
    /// Length of all three.
    pub lifetime_form: LifetimeForm,
    /// Source.
    pub src: Option<Address>,
    /// Destination.
    pub dst: Option<Address>,
    /// Proxy.
    pub proxy: Option<Address>,
    /// Authentication key.
    pub key_auth: Option<Key<'a>>,
    /// Encryption key.
    pub key_encrypt: Option<Key<'a>>,
    /// Identity of the source.
    pub ident_src: Option<Ident<'a>>,
    /// Identity of the destination.
    pub ident_dst: Option<Ident<'a>>,
    /// The SA type whose algorithms are listed.
    pub supported: Option<SaType>,
    /// Lowest and highest SPI to choose from.
    pub spi_range: Option<(u32, u32)>,
    /// The second SA of a pair.
    pub second: Option<Second>,
    /// What an eroute is for.
    pub flow: Option<Flow>,
    /// Debugging masks.
    pub debug: Option<Masks>,
    /// Kind of NAT traversal.
    pub natt_type: Option<u8>,
    /// Source port behind NAT.
    pub natt_sport: Option<u16>,
    /// Destination port behind NAT.
    pub natt_dport: Option<u16>,
    /// Original address behind NAT.
    pub natt_oa: Option<Address>,
    /// Number of the interface through which packets leave.
    pub outif: Option<u16>,
    /// References to the SA and its peer's.
    pub sa_refs: Option<SaRefs>,
    /// SAs to be grouped with the message's own.
    pub group: Option<GroupList>,
    /// Which SA is at fault.
    pub fault: Option<Fault>,
}

impl<'a> Content<'a> {
    /// A message without extensions.
    pub fn new(header: Header) -> Self {
        Content {
            header,
            sa: None,
            current: None,
            hard: None,
            soft: None,
            lifetime_form: LifetimeForm::default(),
            src: None,
            dst: None,
            proxy: None,
            key_auth: None,
            key_encrypt: None,
            ident_src: None,
            ident_dst: None,
            supported: None,
            spi_range: None,
            second: None,
            flow: None,
            debug: None,
            natt_type: None,
            natt_sport: None,
            natt_dport: None,
            natt_oa: None,
            outif: None,
            sa_refs: None,
            group: None,
            fault: None,
        }
    }

    /// A message of this type about `said`, with an SA extension that only names it.
    pub fn about(header: Header, said: &Said) -> Self {
        Content {
            header: Header {
                satype: SaType::of(said.proto) as u8,
                ..header
            },
            sa: Some(Sa::naming(said.spi)),
            dst: Some(Address::of(said.dst)),
            ..Content::new(header)
        }
    }

    /// Length of the message in bytes, a multiple of eight.
    /// 0 if that is more than a message can be.
    pub fn size(&self) -> usize {
        build(&self.header, &mut [], |out| self.put(out)).unwrap_or(0)
    }

    /// Writes the message to the front of `out`, which must have [`Content::size`] bytes; returns
    /// how many that were, or `None` if `out` is too short or the message too long to have its
    /// length in 16 bits of words.
    pub fn write(&self, out: &mut [u8]) -> Option<usize> {
        let room = out.get_mut(..self.size())?;
        build(&self.header, room, |out| self.put(out))
    }

    /// Writes the extensions.
    pub fn put(&self, out: &mut Builder<'_>) {
        if let Some(sa) = &self.sa {
            out.sa(Ext::Sa, sa);
        }
        for (ext, lifetime) in [
            (Ext::LifetimeCurrent, &self.current),
            (Ext::LifetimeHard, &self.hard),
            (Ext::LifetimeSoft, &self.soft),
        ] {
            if let Some(lifetime) = lifetime {
                out.lifetime(ext, lifetime, self.lifetime_form);
            }
        }
        for (ext, address) in [
            (Ext::AddressSrc, &self.src),
            (Ext::AddressDst, &self.dst),
            (Ext::AddressProxy, &self.proxy),
        ] {
            if let Some(address) = address {
                out.address(ext, address);
            }
        }
        for (ext, key) in [
            (Ext::KeyAuth, &self.key_auth),
            (Ext::KeyEncrypt, &self.key_encrypt),
        ] {
            if let Some(key) = key {
                put_key(out, ext, key);
            }
        }
        for (ext, ident) in [
            (Ext::IdentitySrc, &self.ident_src),
            (Ext::IdentityDst, &self.ident_dst),
        ] {
            if let Some(ident) = ident {
                out.ident(ext, ident);
            }
        }
        if let Some(satype) = self.supported {
            out.supported(satype);
        }
        if let Some((min, max)) = self.spi_range {
            out.put(&wire::SpiRange {
                header: sized::<wire::SpiRange>(Ext::SpiRange),
                min: min.into(),
                max: max.into(),
                reserved: 0.into(),
            });
        }
        if let Some(second) = &self.second {
            out.second(second);
        }
        if let Some(flow) = &self.flow {
            out.flow(flow);
        }
        if let Some(Masks(masks)) = self.debug {
            out.put(&wire::Debug {
                header: sized::<wire::Debug>(Ext::Debug),
                masks: masks.map(Into::into),
                reserved: 0.into(),
            });
        }
        if let Some(flow) = &self.flow {
            out.protocol(flow);
        }
        if let Some(kind) = self.natt_type {
            out.natt_type(kind);
        }
        out.natt_ports(self.natt_sport, self.natt_dport);
        if let Some(address) = &self.natt_oa {
            out.address(Ext::NatTOa, address);
        }
        if let Some(number) = self.outif {
            out.ifnum(number);
        }
        if let Some(SaRefs { me, him }) = self.sa_refs {
            out.put(&wire::SaRef {
                header: sized::<wire::SaRef>(Ext::SaRef),
                me: me.into(),
                him: him.into(),
                reserved: 0.into(),
            });
        }
        if let Some(group) = &self.group {
            out.group(group);
        }
        if let Some(fault) = &self.fault {
            out.fault(fault);
        }
    }
}

fn put_key(out: &mut Builder<'_>, ext: Ext, key: &Key<'_>) {
    out.put(&wire::Key {
        header: ext_header(ext, size_of::<wire::Key>() + key.data.len()),
        bits: key.bits.into(),
        reserved: 0.into(),
    });
    out.bytes(key.data);
    out.pad();
}
