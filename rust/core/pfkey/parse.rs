// SPDX-License-Identifier: GPL-2.0

//! From bytes to a checked message: KLIPS's checks, in its order, with its errnos (reference 2).

use super::{
    debug::Masks,
    table,
    types::{
        Direction,
        Ext,
        MsgType,
        SaState,
        SaType,
        CPI_MAX,
        PF_KEY_V2,
        REPLAY_MAX,
        SAFLAG_CLEARFLOW,
        SAREF_ENTRIES,
        SAREF_NULL,
        SAREF_NULL_24,
        SATYPE_MAX,
        SPI_MIN,
        WORD, //
    },
    value::{
        Address,
        Fault,
        Flow,
        GroupList,
        Ident,
        Key,
        Lifetime,
        LifetimeForm,
        Sa,
        Second, //
    },
    wire, //
};
use crate::klips_core::{
    address::Family,
    errno::Errno,
    group::ListReason,
    said::Said, //
};
use core::{
    mem::size_of,
    net::{
        IpAddr,
        Ipv4Addr,
        Ipv6Addr,
        SocketAddr,
        SocketAddrV4,
        SocketAddrV6, //
    }, //
};
use zerocopy::FromBytes;

/// The header of a message whose outer form is right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Type of the message.
    pub msg_type: MsgType,
    /// Error number.
    pub errno: u8,
    /// SA type, not checked yet.
    pub satype: u8,
    /// Sequence number.
    pub seq: u32,
    /// Process ID.
    pub pid: u32,
}

impl Header {
    /// Size of the header on the wire.
    pub const SIZE: usize = size_of::<wire::MsgHeader>();

    /// Reads the header of a message from all of its bytes.
    #[cfg(not(MODULE))]
    pub fn parse(bytes: &[u8]) -> Result<Self, Errno> {
        Header::of_message(bytes, bytes.len())
    }

    /// Checks what has to be right before anybody is told anything about a message of `len` bytes that
    /// begins with these: length, version, reserved field and type (reference 2.1, checks 5 to 10).
    pub fn of_message(front: &[u8], len: usize) -> Result<Self, Errno> {
        let (header, _) = wire::MsgHeader::ref_from_prefix(front).map_err(|_| Errno::EMSGSIZE)?;
        if header.version != PF_KEY_V2 {
            return Err(Errno::EINVAL);
        }
        if usize::from(header.len.get()) * WORD != len {
            return Err(Errno::EMSGSIZE);
        }
        if header.reserved.get() != 0 {
            return Err(Errno::EINVAL);
        }
        Ok(Header {
            msg_type: MsgType::from_number(header.msg_type).ok_or(Errno::EINVAL)?,
            errno: header.errno,
            satype: header.satype,
            seq: header.seq.get(),
            pid: header.pid.get(),
        })
    }

    /// The header of the answer: same type, SA type, sequence number and process ID.
    pub fn reply(&self) -> Self {
        Header { errno: 0, ..*self }
    }

    /// The SA type, `None` for 0 and for numbers without a meaning.
    pub fn known_satype(&self) -> Option<SaType> {
        SaType::from_number(self.satype)
    }

    /// The SA type of a message about all SAs of a type: `None` for 0, which means all types.
    pub fn satype_or_all(&self) -> Result<Option<SaType>, Errno> {
        match self.satype {
            0 => Ok(None),
            _ => self.known_satype().map(Some).ok_or(Errno::EINVAL),
        }
    }
}

/// A message that has passed all checks of form. Borrows the bytes it was made from.
#[derive(Clone)]
pub struct Message<'a> {
    /// Its header.
    pub header: Header,
    bytes: &'a [u8],
    /// The set of extensions that are there.
    present: u64,
    /// What is asked for again and again, read once.
    read: Read<'a>,
}

/// The extensions of a message one after the other, each with the number of its type.
struct Extensions<'a> {
    rest: &'a [u8],
}

impl<'a> Extensions<'a> {
    fn of(message: &'a [u8]) -> Self {
        Extensions {
            rest: message.get(Header::SIZE..).unwrap_or_default(),
        }
    }
}

impl<'a> Iterator for Extensions<'a> {
    type Item = Result<(u16, &'a [u8]), Errno>;

    /// An error, and then no more, for what is too short, be it the rest or an extension that would
    /// never end.
    fn next(&mut self) -> Option<Self::Item> {
        let rest = core::mem::take(&mut self.rest);
        if rest.is_empty() {
            return None;
        }
        let Ok((header, _)) = wire::ExtHeader::ref_from_prefix(rest) else {
            return Some(Err(Errno::EINVAL));
        };
        match rest.split_at_checked(usize::from(header.len.get()) * WORD) {
            None | Some(([], _)) => Some(Err(Errno::EINVAL)),
            Some((extension, rest)) => {
                self.rest = rest;
                Some(Ok((header.ext_type.get(), extension)))
            }
        }
    }
}

/// The extensions that name SAs, and what else comes with most requests.
#[derive(Clone, Copy, Default)]
struct Read<'a> {
    sa: Option<Sa>,
    src: Option<Address>,
    dst: Option<Address>,
    satype2: Option<SaType>,
    sa2: Option<Sa>,
    dst2: Option<Address>,
    group: Option<GroupList>,
    key_auth: Option<Key<'a>>,
    key_encrypt: Option<Key<'a>>,
}

impl<'a> Message<'a> {
    /// Checks the whole message, of which [`Header::parse`] has checked the header (reference 2.1,
    /// checks 12 to 25).
    pub fn parse(header: Header, bytes: &'a [u8], direction: Direction) -> Result<Self, Errno> {
        let mut message = Message {
            header,
            bytes,
            present: 0,
            read: Read::default(),
        };
        message.read(direction)?;
        Ok(message)
    }

    fn read(&mut self, direction: Direction) -> Result<(), Errno> {
        let header = self.header;
        let is_acquire = header.msg_type == MsgType::Acquire;
        // A refusal carries the header of what was refused, right or wrong, and at most a fault.
        let refusal = direction == Direction::Out && header.errno != 0;
        if !refusal {
            check_satype(&header)?;
            if header.errno != 0 && !is_acquire {
                return Err(Errno::EINVAL);
            }
        }
        let rule = table::extensions(header.msg_type, direction);
        // With an errno, ACQUIRE also tells of a negotiation that failed, with what it was about.
        self.read_extensions(if refusal && !is_acquire {
            Ext::Fault.bit()
        } else {
            rule.permitted
        })?;
        if header.errno != 0 {
            return Ok(());
        }
        if rule.required & !self.present != 0 {
            return Err(Errno::EINVAL);
        }
        self.check_content()
    }

    fn read_extensions(&mut self, permitted: u64) -> Result<(), Errno> {
        for extension in Extensions::of(self.bytes) {
            let (number, bytes) = extension?;
            let ext = Ext::from_number(number).ok_or(Errno::EINVAL)?;
            if self.present & ext.bit() != 0 || permitted & ext.bit() == 0 {
                return Err(Errno::EINVAL);
            }
            self.read.take(ext, bytes)?;
            self.present |= ext.bit();
        }
        Ok(())
    }

    fn check_content(&self) -> Result<(), Errno> {
        match self.header.msg_type {
            MsgType::DelFlow => {
                let clears = self.sa().is_some_and(|sa| sa.flags & SAFLAG_CLEARFLOW != 0);
                if self.present & table::FLOWS != table::FLOWS && !clears {
                    return Err(Errno::EINVAL);
                }
            }
            MsgType::GetSpi => {
                let last = self.spi_range().map_or(0, |range| *range.end());
                if self.header.known_satype() == Some(SaType::Comp) && last > CPI_MAX {
                    return Err(Errno::EINVAL);
                }
            }
            MsgType::Add | MsgType::Update => {
                let sa = self.sa().ok_or(Errno::EINVAL)?;
                if sa.state != SaState::Mature {
                    return Err(Errno::EINVAL);
                }
                let fits = match self.header.known_satype() {
                    Some(SaType::Ah) => sa.auth != 0 && sa.encrypt == 0,
                    Some(SaType::Esp) => {
                        sa.encrypt != 0
                            && (sa.encrypt != super::algorithm::encrypt::NULL || sa.auth != 0)
                    }
                    Some(SaType::Comp) => sa.encrypt != 0 && sa.auth == 0 && sa.spi <= CPI_MAX,
                    _ => true,
                };
                if !fits || sa.spi < SPI_MIN {
                    return Err(Errno::EINVAL);
                }
            }
            _ => (),
        }
        Ok(())
    }

    /// What is refused although its form is right, in ascending order of extensions
    /// (reference 2.6).
    pub fn check_supported(&self) -> Result<(), Errno> {
        if self.present() & table::REFUSED != 0 {
            return Err(Errno::EINVAL);
        }
        match self.get::<wire::NatTType>(Ext::NatTType) {
            Some(natt) if !matches!(natt.kind, 1 | 2) => Err(Errno::EINVAL),
            _ => Ok(()),
        }
    }

    /// The set of extensions that are there.
    pub fn present(&self) -> u64 {
        self.present
    }

    /// Whether an extension is there.
    pub fn has(&self, ext: Ext) -> bool {
        self.present & ext.bit() != 0
    }

    /// The bytes of an extension, header and padding included.
    pub fn ext(&self, ext: Ext) -> Option<&'a [u8]> {
        if !self.has(ext) {
            return None;
        }
        Extensions::of(self.bytes)
            .map_while(Result::ok)
            .find_map(|(number, bytes)| (number == ext as u16).then_some(bytes))
    }

    fn get<T>(&self, ext: Ext) -> Option<&'a T>
    where
        T: FromBytes + zerocopy::KnownLayout + zerocopy::Immutable + zerocopy::Unaligned,
    {
        Some(T::ref_from_prefix(self.ext(ext)?).ok()?.0)
    }

    /// The SA.
    pub fn sa(&self) -> Option<Sa> {
        self.read.sa
    }

    /// An address extension.
    pub fn address(&self, ext: Ext) -> Option<Address> {
        match ext {
            Ext::AddressSrc => self.read.src,
            Ext::AddressDst => self.read.dst,
            _ => read_address(self.ext(ext)?).ok(),
        }
    }

    /// A lifetime extension.
    pub fn lifetime(&self, ext: Ext) -> Option<(Lifetime, LifetimeForm)> {
        read_lifetime(self.ext(ext)?).ok()
    }

    /// A key extension.
    pub fn key(&self, ext: Ext) -> Option<Key<'a>> {
        match ext {
            Ext::KeyAuth => self.read.key_auth,
            Ext::KeyEncrypt => self.read.key_encrypt,
            _ => None,
        }
    }

    /// An identity extension.
    pub fn ident(&self, ext: Ext) -> Option<Ident<'a>> {
        read_ident(self.ext(ext)?).ok()
    }

    /// Kind of NAT traversal.
    pub fn natt_type(&self) -> Option<u8> {
        Some(self.get::<wire::NatTType>(Ext::NatTType)?.kind)
    }

    /// A port behind NAT.
    pub fn natt_port(&self, ext: Ext) -> Option<u16> {
        Some(self.get::<wire::NatTPort>(ext)?.port.get())
    }

    /// Number of an interface.
    pub fn ifnum(&self) -> Option<u16> {
        Some(self.get::<wire::PlumbIf>(Ext::PlumbIf)?.ifnum.get())
    }

    /// The range of SPIs.
    pub fn spi_range(&self) -> Option<core::ops::RangeInclusive<u32>> {
        let range = self.get::<wire::SpiRange>(Ext::SpiRange)?;
        Some(range.min.get()..=range.max.get())
    }

    /// The debugging masks.
    pub fn debug_masks(&self) -> Option<Masks> {
        let debug = self.get::<wire::Debug>(Ext::Debug)?;
        Some(Masks(debug.masks.map(|mask| mask.get())))
    }

    /// The SAID that the message is about: SPI of the SA, protocol of the SA type, destination.
    pub fn said(&self) -> Option<Said> {
        Some(Said {
            dst: self.read.dst?.socket.ip(),
            spi: self.sa()?.spi,
            proto: self.header.known_satype()?.proto(),
        })
    }

    /// Whether any of SATYPE2, SA2 and ADDRESS_DST2 is there.
    pub fn has_second(&self) -> bool {
        self.present & table::SECOND != 0
    }

    /// The second SA, if all three of its extensions are there.
    pub fn second(&self) -> Option<Second> {
        Some(Second {
            satype: self.read.satype2?,
            sa: self.read.sa2?,
            dst: self.read.dst2?,
        })
    }

    /// What an eroute is for, if its four extensions are all there. Of a sockaddr nothing but family,
    /// address and port is kept: historic clients leave anything behind these.
    pub fn flow(&self) -> Option<Flow> {
        let socket = |ext| {
            let socket = self.address(ext)?.socket;
            Some(SocketAddr::new(socket.ip(), socket.port()))
        };
        Some(Flow {
            src: socket(Ext::AddressSrcFlow)?,
            dst: socket(Ext::AddressDstFlow)?,
            src_mask: socket(Ext::AddressSrcMask)?,
            dst_mask: socket(Ext::AddressDstMask)?,
            proto: self
                .get::<wire::Protocol>(Ext::Protocol)
                .map_or(0, |protocol| protocol.proto),
        })
    }

    /// The list of SAs to be grouped at once.
    pub fn group_list(&self) -> Option<&GroupList> {
        self.read.group.as_ref()
    }
}

/// SA type of the header against the message type (reference 2.2).
fn check_satype(header: &Header) -> Result<(), Errno> {
    if header.satype > SATYPE_MAX {
        return Err(Errno::EINVAL);
    }
    let ok = match header.msg_type {
        MsgType::GetSpi
        | MsgType::Update
        | MsgType::Add
        | MsgType::Delete
        | MsgType::Get
        | MsgType::GrpSa
        | MsgType::AddFlow => header.known_satype().is_some(),
        MsgType::Acquire | MsgType::Register | MsgType::Expire => header.satype != 0,
        _ => true,
    };
    if ok {
        Ok(())
    } else {
        Err(Errno::EINVAL)
    }
}

fn ensure(condition: bool) -> Result<(), Errno> {
    if condition {
        Ok(())
    } else {
        Err(Errno::EINVAL)
    }
}

impl<'a> Read<'a> {
    /// Checks an extension, and keeps it if it is one of these.
    fn take(&mut self, ext: Ext, bytes: &'a [u8]) -> Result<(), Errno> {
        match ext {
            Ext::Sa => self.sa = Some(read_sa(bytes)?),
            Ext::LifetimeCurrent | Ext::LifetimeHard | Ext::LifetimeSoft => {
                read_lifetime(bytes)?;
            }
            Ext::AddressSrc => self.src = Some(read_address(bytes)?),
            Ext::AddressDst => self.dst = Some(read_address(bytes)?),
            Ext::AddressProxy
            | Ext::AddressSrcFlow
            | Ext::AddressDstFlow
            | Ext::AddressSrcMask
            | Ext::AddressDstMask
            | Ext::NatTOa => {
                read_address(bytes)?;
            }
            Ext::KeyAuth => self.key_auth = Some(read_key(bytes)?),
            Ext::KeyEncrypt => self.key_encrypt = Some(read_key(bytes)?),
            Ext::IdentitySrc | Ext::IdentityDst => {
                read_ident(bytes)?;
            }
            Ext::Sensitivity => {
                prefix::<wire::Sensitivity>(bytes)?;
            }
            Ext::Proposal => check_proposal(bytes)?,
            Ext::SupportedAuth | Ext::SupportedEncrypt => check_supported(bytes)?,
            Ext::SpiRange => check_spi_range(bytes)?,
            Ext::KmPrivate => return Err(Errno::EINVAL),
            Ext::SaType2 => self.satype2 = Some(read_satype2(bytes)?),
            Ext::Sa2 => self.sa2 = Some(read_sa(bytes)?),
            Ext::AddressDst2 => self.dst2 = Some(read_address(bytes)?),
            Ext::Debug => ensure(exact::<wire::Debug>(bytes)?.reserved.get() == 0)?,
            Ext::Protocol => ensure(exact::<wire::Protocol>(bytes)?.reserved == 0)?,
            // KLIPS checked nothing in these, not even the length.
            Ext::NatTType => {
                exact::<wire::NatTType>(bytes)?;
            }
            Ext::NatTSport | Ext::NatTDport => {
                exact::<wire::NatTPort>(bytes)?;
            }
            Ext::PlumbIf => {
                exact::<wire::PlumbIf>(bytes)?;
            }
            Ext::SaRef => {
                exact::<wire::SaRef>(bytes)?;
            }
            Ext::Group => self.group = Some(read_group(bytes)?),
            Ext::Fault => {
                read_fault(bytes)?;
            }
        }
        Ok(())
    }
}

/// The beginning of an extension, which may be longer.
fn prefix<T>(bytes: &[u8]) -> Result<(&T, &[u8]), Errno>
where
    T: FromBytes + zerocopy::KnownLayout + zerocopy::Immutable + zerocopy::Unaligned,
{
    T::ref_from_prefix(bytes).map_err(|_| Errno::EINVAL)
}

/// An extension that is exactly as long as its layout.
fn exact<T>(bytes: &[u8]) -> Result<&T, Errno>
where
    T: FromBytes + zerocopy::KnownLayout + zerocopy::Immutable + zerocopy::Unaligned + ?Sized,
{
    T::ref_from_bytes(bytes).map_err(|_| Errno::EINVAL)
}

fn read_sa(bytes: &[u8]) -> Result<Sa, Errno> {
    let (sa, tail) = prefix::<wire::Sa>(bytes)?;
    let sa_ref = if tail.is_empty() {
        SAREF_NULL
    } else {
        exact::<wire::SaTail>(tail)?.sa_ref.get()
    };
    let state = SaState::from_number(sa.state).ok_or(Errno::EINVAL)?;
    ensure(sa.auth <= super::algorithm::auth::MAX)?;
    ensure(state != SaState::Dead)?;
    ensure(sa.replay <= REPLAY_MAX)?;
    ensure(sa_ref < SAREF_ENTRIES || sa_ref == SAREF_NULL_24)?;
    Ok(Sa {
        spi: sa.spi.get(),
        replay: sa.replay,
        state,
        auth: sa.auth,
        encrypt: sa.encrypt,
        flags: sa.flags.get(),
        sa_ref,
    })
}

fn read_satype2(bytes: &[u8]) -> Result<SaType, Errno> {
    let ext = exact::<wire::SaType2>(bytes)?;
    let satype = SaType::from_number(ext.satype).ok_or(Errno::EINVAL)?;
    ensure(ext.reserved == [0; 3])?;
    Ok(satype)
}

fn read_lifetime(bytes: &[u8]) -> Result<(Lifetime, LifetimeForm), Errno> {
    let (lifetime, tail) = prefix::<wire::Lifetime>(bytes)?;
    let (packets, form) = if tail.is_empty() {
        (0, LifetimeForm::Rfc)
    } else {
        let tail = exact::<wire::LifetimeTail>(tail)?;
        (tail.packets.get(), LifetimeForm::WithPackets)
    };
    let lifetime = Lifetime {
        allocations: lifetime.allocations.get(),
        packets,
        bytes: lifetime.bytes.get(),
        addtime: lifetime.addtime.get(),
        usetime: lifetime.usetime.get(),
    };
    Ok((lifetime, form))
}

fn read_address(bytes: &[u8]) -> Result<Address, Errno> {
    let (address, sockaddr) = prefix::<wire::Address>(bytes)?;
    // The shortest sockaddr there is, before its family is looked at.
    ensure(sockaddr.len() >= size_of::<wire::SockAddrIn>())?;
    ensure(address.reserved.get() == 0)?;
    let (family, _) = prefix::<zerocopy::byteorder::native_endian::U16>(sockaddr)?;
    let socket = match family.get() {
        family if family == Family::Inet.number() => {
            let sin = exact::<wire::SockAddrIn>(sockaddr)?;
            SocketAddr::V4(SocketAddrV4::new(
                Ipv4Addr::from(sin.address),
                sin.port.get(),
            ))
        }
        family if family == Family::Inet6.number() => {
            let (sin6, _) = prefix::<wire::SockAddrIn6>(sockaddr)?;
            ensure(sockaddr.len() == size_of::<wire::SockAddrIn6>().next_multiple_of(WORD))?;
            SocketAddr::V6(SocketAddrV6::new(
                Ipv6Addr::from(sin6.address),
                sin6.port.get(),
                sin6.flowinfo.get(),
                sin6.scope_id.get(),
            ))
        }
        _ => return Err(Errno::EPFNOSUPPORT),
    };
    if address.prefixlen != 0 {
        return Err(Errno::EAFNOSUPPORT);
    }
    Ok(Address {
        proto: address.proto,
        socket,
    })
}

fn read_key(bytes: &[u8]) -> Result<Key<'_>, Errno> {
    let (key, data) = prefix::<wire::Key>(bytes)?;
    let bits = key.bits.get();
    ensure(bits != 0)?;
    let len = usize::from(bits).div_ceil(8);
    ensure(data.len() == len.next_multiple_of(WORD))?;
    ensure(key.reserved.get() == 0)?;
    Ok(Key {
        bits,
        data: data.get(..len).ok_or(Errno::EINVAL)?,
    })
}

fn read_ident(bytes: &[u8]) -> Result<Ident<'_>, Errno> {
    let (ident, text) = prefix::<wire::Ident>(bytes)?;
    ensure(ident.kind.get() <= 4)?;
    ensure(ident.reserved.get() == 0)?;
    ensure(text.last().is_none_or(|last| *last == 0))?;
    Ok(Ident {
        kind: ident.kind.get(),
        id: ident.id.get(),
        text,
    })
}

fn check_proposal(bytes: &[u8]) -> Result<(), Errno> {
    let (proposal, combs) = prefix::<wire::Proposal>(bytes)?;
    // Openswan 2.4 appends two packet limits to each combination.
    const LONG: usize = size_of::<wire::Comb>() + WORD;
    let size = match combs.len() % LONG {
        0 => LONG,
        _ => size_of::<wire::Comb>(),
    };
    ensure(combs.len() % size == 0)?;
    ensure(proposal.replay <= REPLAY_MAX)?;
    ensure(proposal.reserved == [0; 3])?;
    combs.chunks(size).try_for_each(|comb| {
        let (comb, _) = prefix::<wire::Comb>(comb)?;
        let sizes = |id: u8, min: u16, max: u16| match id {
            0 => min == 0 && max == 0,
            _ => min != 0 && max != 0 && min <= max,
        };
        let limits = |soft: u64, hard: u64| hard == 0 || soft <= hard;
        ensure(sizes(
            comb.auth,
            comb.auth_minbits.get(),
            comb.auth_maxbits.get(),
        ))?;
        ensure(sizes(
            comb.encrypt,
            comb.encrypt_minbits.get(),
            comb.encrypt_maxbits.get(),
        ))?;
        ensure(comb.reserved.get() == 0)?;
        ensure(limits(
            comb.soft_allocations.get().into(),
            comb.hard_allocations.get().into(),
        ))?;
        ensure(limits(comb.soft_bytes.get(), comb.hard_bytes.get()))?;
        ensure(limits(comb.soft_addtime.get(), comb.hard_addtime.get()))?;
        ensure(limits(comb.soft_usetime.get(), comb.hard_usetime.get()))
    })
}

fn check_supported(bytes: &[u8]) -> Result<(), Errno> {
    let (supported, algorithms) = prefix::<wire::Supported>(bytes)?;
    ensure(supported.reserved.get() == 0)?;
    algorithms
        .chunks(size_of::<wire::Alg>())
        .try_for_each(|alg| ensure(exact::<wire::Alg>(alg)?.reserved.get() == 0))
}

fn check_spi_range(bytes: &[u8]) -> Result<(), Errno> {
    let range = exact::<wire::SpiRange>(bytes)?;
    ensure(range.reserved.get() == 0)?;
    ensure(range.max.get() >= range.min.get())?;
    if range.min.get() < SPI_MIN {
        Err(Errno::EEXIST)
    } else {
        Ok(())
    }
}

fn read_group(bytes: &[u8]) -> Result<GroupList, Errno> {
    let (group, members) = prefix::<wire::Group>(bytes)?;
    ensure(group.reserved == [0; 3])?;
    ensure((1..=GroupList::MAX).contains(&usize::from(group.count)))?;
    let members = exact::<[wire::GroupMember]>(members)?;
    ensure(members.len() == usize::from(group.count))?;
    let (first, others) = members.split_first().ok_or(Errno::EINVAL)?;
    let mut list = GroupList::of(read_group_member(first)?);
    for member in others {
        list.push(read_group_member(member)?).ok_or(Errno::EINVAL)?;
    }
    Ok(list)
}

fn read_group_member(member: &wire::GroupMember) -> Result<Said, Errno> {
    let satype = SaType::from_number(member.satype).ok_or(Errno::EINVAL)?;
    ensure(member.reserved == 0)?;
    let [a, b, c, d, zeros @ ..] = member.address;
    let dst = match member.family.get() {
        family if family == Family::Inet.number() => {
            ensure(zeros == [0; 12])?;
            IpAddr::from([a, b, c, d])
        }
        family if family == Family::Inet6.number() => IpAddr::from(member.address),
        _ => return Err(Errno::EPFNOSUPPORT),
    };
    Ok(Said {
        dst,
        spi: member.spi.get(),
        proto: satype.proto(),
    })
}

/// A fault extension.
pub fn read_fault(bytes: &[u8]) -> Result<Fault, Errno> {
    let fault = exact::<wire::Fault>(bytes)?;
    ensure(fault.reserved.get() == 0)?;
    let reason = match fault.reason {
        1 => ListReason::Missing,
        2 => ListReason::Grouped,
        3 => ListReason::Twice,
        _ => return Err(Errno::EINVAL),
    };
    Ok(Fault {
        member: fault.member,
        reason,
    })
}
