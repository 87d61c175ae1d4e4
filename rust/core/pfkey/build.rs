// SPDX-License-Identifier: GPL-2.0

//! From plain values to bytes: extensions in ascending order of their numbers, padding zero.

use super::{
    algorithm,
    debug::Masks,
    types::{
        Ext,
        MsgType,
        PF_KEY_V2,
        WORD, //
    },
    value::{
        Address,
        Fault,
        GroupList,
        Ident,
        Key,
        Lifetime,
        LifetimeForm,
        Sa,
        SaRefs,
        Second, //
    },
    wire,
    Header,
    SaType, //
};
use crate::klips_core::{
    address::Family,
    said::Said, //
};
use core::{
    mem::size_of,
    net::{
        IpAddr,
        SocketAddr, //
    },
};
use zerocopy::{
    Immutable,
    IntoBytes, //
};

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

    /// The answer to a message: same type, SA type, sequence number and process ID.
    pub fn reply_to(header: &Header) -> Self {
        Content::new(Header {
            errno: 0,
            ..*header
        })
    }

    /// Length of the message in bytes, a multiple of eight.
    pub fn size(&self) -> usize {
        let mut counter = Counter(0);
        self.emit(0, &mut counter);
        counter.0
    }

    /// Writes the message to the front of `out`, which must have [`Content::size`] bytes; returns
    /// how many that were, or `None` if `out` is too short or the message too long to have its
    /// length in 16 bits of words.
    pub fn write(&self, out: &mut [u8]) -> Option<usize> {
        let len = self.size();
        let words = u16::try_from(len / WORD).ok()?;
        let mut writer = Writer {
            out: out.get_mut(..len)?,
            at: 0,
        };
        self.emit(words, &mut writer);
        Some(len)
    }

    /// Writes the message with bytes that follow it, a whole message in the data form of X_PROMISC,
    /// to `out`, which has room for just that.
    pub fn write_with_tail(&self, tail: &[u8], out: &mut [u8]) -> Option<()> {
        let words = u16::try_from(out.len() / WORD).ok()?;
        let (front, back) = out.split_at_mut(out.len().checked_sub(tail.len())?);
        back.copy_from_slice(tail);
        let len = front.len();
        let mut writer = Writer { out: front, at: 0 };
        self.emit(words, &mut writer);
        (writer.at == len).then_some(())
    }

    /// The one place that knows what is written, used for counting and for writing alike.
    fn emit(&self, words: u16, out: &mut impl Sink) {
        let header = &self.header;
        out.put(&wire::MsgHeader {
            version: PF_KEY_V2,
            msg_type: header.msg_type as u8,
            errno: header.errno,
            satype: header.satype,
            len: words.into(),
            reserved: 0.into(),
            seq: header.seq.into(),
            pid: header.pid.into(),
        });
        if let Some(sa) = &self.sa {
            emit_sa(out, Ext::Sa, sa);
        }
        for (ext, lifetime) in [
            (Ext::LifetimeCurrent, &self.current),
            (Ext::LifetimeHard, &self.hard),
            (Ext::LifetimeSoft, &self.soft),
        ] {
            if let Some(lifetime) = lifetime {
                emit_lifetime(out, ext, lifetime, self.lifetime_form);
            }
        }
        for (ext, address) in [
            (Ext::AddressSrc, &self.src),
            (Ext::AddressDst, &self.dst),
            (Ext::AddressProxy, &self.proxy),
        ] {
            if let Some(address) = address {
                emit_address(out, ext, address);
            }
        }
        for (ext, key) in [
            (Ext::KeyAuth, &self.key_auth),
            (Ext::KeyEncrypt, &self.key_encrypt),
        ] {
            if let Some(key) = key {
                emit_key(out, ext, key);
            }
        }
        for (ext, ident) in [
            (Ext::IdentitySrc, &self.ident_src),
            (Ext::IdentityDst, &self.ident_dst),
        ] {
            if let Some(ident) = ident {
                emit_ident(out, ext, ident);
            }
        }
        if let Some(satype) = self.supported {
            emit_supported(out, Ext::SupportedAuth, satype);
            emit_supported(out, Ext::SupportedEncrypt, satype);
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
            out.put(&wire::SaType2 {
                header: sized::<wire::SaType2>(Ext::SaType2),
                satype: second.satype as u8,
                reserved: [0; 3],
            });
            emit_sa(out, Ext::Sa2, &second.sa);
            emit_address(out, Ext::AddressDst2, &second.dst);
        }
        if let Some(Masks(masks)) = self.debug {
            out.put(&wire::Debug {
                header: sized::<wire::Debug>(Ext::Debug),
                masks: masks.map(Into::into),
                reserved: 0.into(),
            });
        }
        self.emit_natt(out);
        if let Some(number) = self.outif {
            out.put(&wire::PlumbIf {
                header: sized::<wire::PlumbIf>(Ext::PlumbIf),
                ifnum: number.into(),
                reserved: 0.into(),
            });
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
            emit_group(out, group);
        }
        if let Some(fault) = &self.fault {
            out.put(&wire::Fault {
                header: sized::<wire::Fault>(Ext::Fault),
                member: fault.member,
                reason: fault.reason as u8,
                reserved: 0.into(),
            });
        }
    }

    fn emit_natt(&self, out: &mut impl Sink) {
        if let Some(kind) = self.natt_type {
            out.put(&wire::NatTType {
                header: sized::<wire::NatTType>(Ext::NatTType),
                kind,
                reserved: [0; 3],
            });
        }
        for (ext, port) in [
            (Ext::NatTSport, self.natt_sport),
            (Ext::NatTDport, self.natt_dport),
        ] {
            if let Some(port) = port {
                out.put(&wire::NatTPort {
                    header: sized::<wire::NatTPort>(ext),
                    port: port.into(),
                    reserved: 0.into(),
                });
            }
        }
        if let Some(address) = &self.natt_oa {
            emit_address(out, Ext::NatTOa, address);
        }
    }
}

/// The header of a request.
pub fn request(msg_type: MsgType, satype: u8, seq: u32, pid: u32) -> Header {
    Header {
        msg_type,
        errno: 0,
        satype,
        seq,
        pid,
    }
}

/// What is written to.
trait Sink {
    fn bytes(&mut self, bytes: &[u8]);
    /// Zeros up to the next word.
    fn pad(&mut self);

    fn put<T: IntoBytes + Immutable>(&mut self, value: &T) {
        self.bytes(value.as_bytes());
    }
}

struct Counter(usize);

impl Sink for Counter {
    fn bytes(&mut self, bytes: &[u8]) {
        self.0 += bytes.len();
    }

    fn pad(&mut self) {
        self.0 = self.0.next_multiple_of(WORD);
    }
}

struct Writer<'a> {
    out: &'a mut [u8],
    at: usize,
}

impl Sink for Writer<'_> {
    fn bytes(&mut self, bytes: &[u8]) {
        let end = self.at + bytes.len();
        if let Some(room) = self.out.get_mut(self.at..end) {
            room.copy_from_slice(bytes);
        }
        self.at = end;
    }

    fn pad(&mut self) {
        let end = self.at.next_multiple_of(WORD);
        if let Some(room) = self.out.get_mut(self.at..end) {
            room.fill(0);
        }
        self.at = end;
    }
}

/// The header of an extension of `len` bytes, padding included or not.
fn ext_header(ext: Ext, len: usize) -> wire::ExtHeader {
    wire::ExtHeader {
        // CAST: `Content::write` refuses messages whose length is more than 16 bits of words.
        len: (len.div_ceil(WORD) as u16).into(),
        ext_type: (ext as u16).into(),
    }
}

/// The header of an extension that is as long as its layout.
fn sized<T>(ext: Ext) -> wire::ExtHeader {
    ext_header(ext, size_of::<T>())
}

fn emit_sa(out: &mut impl Sink, ext: Ext, sa: &Sa) {
    out.put(&wire::Sa {
        header: ext_header(ext, size_of::<wire::Sa>() + size_of::<wire::SaTail>()),
        spi: sa.spi.into(),
        replay: sa.replay,
        state: sa.state as u8,
        auth: sa.auth,
        encrypt: sa.encrypt,
        flags: sa.flags.into(),
    });
    out.put(&wire::SaTail {
        sa_ref: sa.sa_ref.into(),
        reserved: 0.into(),
    });
}

fn emit_lifetime(out: &mut impl Sink, ext: Ext, lifetime: &Lifetime, form: LifetimeForm) {
    let tail = match form {
        LifetimeForm::Rfc => 0,
        LifetimeForm::WithPackets => size_of::<wire::LifetimeTail>(),
    };
    out.put(&wire::Lifetime {
        header: ext_header(ext, size_of::<wire::Lifetime>() + tail),
        allocations: lifetime.allocations.into(),
        bytes: lifetime.bytes.into(),
        addtime: lifetime.addtime.into(),
        usetime: lifetime.usetime.into(),
    });
    if form == LifetimeForm::WithPackets {
        out.put(&wire::LifetimeTail {
            packets: lifetime.packets.into(),
            reserved: 0.into(),
        });
    }
}

fn emit_address(out: &mut impl Sink, ext: Ext, address: &Address) {
    let header = |sockaddr: usize| wire::Address {
        header: ext_header(ext, size_of::<wire::Address>() + sockaddr),
        proto: address.proto,
        prefixlen: 0,
        reserved: 0.into(),
    };
    match &address.socket {
        SocketAddr::V4(socket) => {
            out.put(&header(size_of::<wire::SockAddrIn>()));
            out.put(&wire::SockAddrIn {
                family: Family::Inet.number().into(),
                port: socket.port().into(),
                address: socket.ip().octets(),
                zero: [0; 8],
            });
        }
        SocketAddr::V6(socket) => {
            out.put(&header(size_of::<wire::SockAddrIn6>()));
            out.put(&wire::SockAddrIn6 {
                family: Family::Inet6.number().into(),
                port: socket.port().into(),
                flowinfo: socket.flowinfo().into(),
                address: socket.ip().octets(),
                scope_id: socket.scope_id().into(),
            });
            out.pad();
        }
    }
}

fn emit_key(out: &mut impl Sink, ext: Ext, key: &Key<'_>) {
    out.put(&wire::Key {
        header: ext_header(ext, size_of::<wire::Key>() + key.data.len()),
        bits: key.bits.into(),
        reserved: 0.into(),
    });
    out.bytes(key.data);
    out.pad();
}

fn emit_ident(out: &mut impl Sink, ext: Ext, ident: &Ident<'_>) {
    out.put(&wire::Ident {
        header: ext_header(ext, size_of::<wire::Ident>() + ident.text.len()),
        kind: ident.kind.into(),
        reserved: 0.into(),
        id: ident.id.into(),
    });
    out.bytes(ident.text);
    out.pad();
}

/// The algorithms of an SA type; no extension if there are none.
fn emit_supported(out: &mut impl Sink, ext: Ext, satype: SaType) {
    let algorithms = || algorithm::supported(satype, ext == Ext::SupportedAuth);
    let count = algorithms().count();
    if count == 0 {
        return;
    }
    out.put(&wire::Supported {
        header: ext_header(
            ext,
            size_of::<wire::Supported>() + count * size_of::<wire::Alg>(),
        ),
        reserved: 0.into(),
    });
    for algorithm in algorithms() {
        let (minbits, maxbits) = algorithm.told_bits;
        out.put(&wire::Alg {
            id: algorithm.id,
            ivlen: algorithm.iv_bits,
            minbits: minbits.into(),
            maxbits: maxbits.into(),
            reserved: 0.into(),
        });
    }
}

fn emit_group(out: &mut impl Sink, group: &GroupList) {
    let count = group.iter().count();
    let members = count * size_of::<wire::GroupMember>();
    out.put(&wire::Group {
        header: ext_header(Ext::Group, size_of::<wire::Group>() + members),
        // CAST: a list has at most three members.
        count: count as u8,
        reserved: [0; 3],
    });
    for said in group.iter() {
        let mut address = [0; 16];
        match said.dst {
            IpAddr::V4(ip) => address[..4].copy_from_slice(&ip.octets()),
            IpAddr::V6(ip) => address = ip.octets(),
        }
        out.put(&wire::GroupMember {
            spi: said.spi.into(),
            satype: SaType::of(said.proto) as u8,
            reserved: 0,
            family: Family::of(&said.dst).number().into(),
            address,
        });
    }
}
