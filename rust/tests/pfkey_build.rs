// SPDX-License-Identifier: GPL-2.0

//! Messages are written byte by byte as the reference has them (1.4 and 1.8), and read back as
//! what they were.

use klips::{
    group::ListReason,
    pfkey::{
        algorithm, build,
        debug::{Masks, PARTS},
        types::SAFLAG_CLEARFLOW,
        value::{GroupList, Second},
        Address, Direction, Ext, Fault, Flow, Header, Ident, Key, Lifetime, LifetimeForm, Message,
        MsgType, Sa, SaState, SaType,
    },
    said::{Proto, Said},
};
use pfkey::{Content, Reply, SaRefs};
use proptest::{option, prelude::*};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use testbed::*;

/// Writes a message into room that is full of other bytes, twice, and checks that exactly its own
/// bytes are written.
fn write(content: &Content<'_>) -> Vec<u8> {
    let size = content.size();
    assert_eq!(size % 8, 0);
    let [first, second] = [0xaau8, 0x55].map(|poison| {
        let mut room = vec![poison; size + 24];
        assert_eq!(content.write(&mut room), Some(size));
        assert!(room[size..].iter().all(|byte| *byte == poison));
        room.truncate(size);
        room
    });
    assert_eq!(first, second, "every byte is written");
    first
}

fn header(msg_type: MsgType, satype: u8) -> Header {
    build::request(msg_type, satype, 1, 1234)
}

/// The messages of reference 1.8.
#[cfg(target_endian = "little")]
mod literal {
    use super::*;

    const GROUP: &str = "
        02 0d 00 09 0f 00 00 00
        01 00 00 00 d2 04 00 00
        03 00 01 00 00 00 01 13
        00 00 00 00 00 00 00 00
        00 00 00 00 00 00 00 00
        03 00 06 00 00 00 00 00
        02 00 00 00 0a 00 00 02
        00 00 00 00 00 00 00 00
        01 00 12 00 03 00 00 00
        03 00 13 00 00 00 01 15
        00 00 00 00 00 00 00 00
        00 00 00 00 00 00 00 00
        03 00 14 00 00 00 00 00
        02 00 00 00 0a 00 00 02
        00 00 00 00 00 00 00 00";

    const UNGROUP: &str = "
        02 0d 00 09 08 00 00 00
        01 00 00 00 d2 04 00 00
        03 00 01 00 00 00 01 13
        00 00 00 00 00 00 00 00
        00 00 00 00 00 00 00 00
        03 00 06 00 00 00 00 00
        02 00 00 00 0a 00 00 02
        00 00 00 00 00 00 00 00";

    fn second() -> Second {
        Second {
            satype: SaType::Esp,
            sa: Sa::naming(0x115),
            dst: Address::of(ip("10.0.0.2")),
        }
    }

    #[test]
    fn group_request_has_the_bytes_of_the_reference() {
        let content = Content {
            second: Some(second()),
            ..Content::about(header(MsgType::GrpSa, 0), &said("tun.113@10.0.0.2"))
        };
        assert_eq!(hex(&write(&content)), hex(&unhex(GROUP)));
    }

    #[test]
    fn group_request_of_the_reference_is_read() {
        let bytes = unhex(GROUP);
        let head = Header::parse(&bytes).unwrap();
        assert_eq!(head, header(MsgType::GrpSa, 9));
        let message = Message::parse(head, &bytes, Direction::In).unwrap();
        assert_eq!(message.said(), Some(said("tun.113@10.0.0.2")));
        assert_eq!(message.sa(), Some(Sa::naming(0x113)));
        assert!(message.has_second());
        assert_eq!(message.second(), Some(second()));
        let outer = message.second().unwrap().said();
        assert_eq!(outer, said("esp.115@10.0.0.2"));
        assert_eq!(message.group_list(), None);
    }

    #[test]
    fn ungroup_request_has_the_bytes_of_the_reference() {
        let content = Content::about(header(MsgType::GrpSa, 0), &said("tun.113@10.0.0.2"));
        assert_eq!(hex(&write(&content)), hex(&unhex(UNGROUP)));
        let bytes = unhex(UNGROUP);
        let head = Header::parse(&bytes).unwrap();
        let message = Message::parse(head, &bytes, Direction::In).unwrap();
        assert_eq!(message.said(), Some(said("tun.113@10.0.0.2")));
        assert!(!message.has_second());
        assert_eq!(message.second(), None);
    }

    #[test]
    fn saref_of_a_24_tool_is_written_as_it_is() {
        let sa = Sa {
            sa_ref: u32::MAX,
            ..Sa::naming(0x113)
        };
        let content = Content {
            sa: Some(sa),
            ..Content::about(header(MsgType::GrpSa, 0), &said("tun.113@10.0.0.2"))
        };
        assert_eq!(hex(&write(&content)[32..40]), "ffffffff00000000");
    }

    #[test]
    fn every_extension_has_its_bytes() {
        let lifetime = Lifetime {
            allocations: 0x01020304,
            packets: 0x05060708,
            bytes: 0x1112131415161718,
            addtime: 0x2122232425262728,
            usetime: 0x3132333435363738,
        };
        let socket = |text: &str| Address {
            proto: 17,
            socket: text.parse().unwrap(),
        };
        let ident = Ident {
            kind: 2,
            id: 0x0102030405060708,
            text: b"a.example\0",
        };
        let fault = Fault {
            member: 3,
            reason: ListReason::Twice,
        };
        let list = [said("esp.115@10.0.0.2"), said("ah:116@2001:db8::2")];
        let sixteen = [0x77; 16];
        let content = Content {
            sa: Some(Sa {
                spi: 0x01020304,
                replay: 64,
                state: SaState::Mature,
                auth: 2,
                encrypt: 3,
                flags: 0x11121314,
                sa_ref: 0x2122,
            }),
            current: Some(lifetime),
            hard: Some(lifetime),
            soft: Some(lifetime),
            src: Some(socket("10.0.0.1:500")),
            dst: Some(socket("[2001:db8::2]:4500")),
            proxy: Some(socket("10.0.0.3:0")),
            key_auth: Some(Key {
                bits: 128,
                data: &sixteen,
            }),
            key_encrypt: Some(Key {
                bits: 36,
                data: &sixteen[..5],
            }),
            ident_src: Some(ident),
            ident_dst: Some(Ident { text: &[], ..ident }),
            spi_range: Some((0x100, 0xffff_fffe)),
            second: Some(second()),
            flow: Some(Flow {
                src: "10.1.0.0:1025".parse().unwrap(),
                dst: "[2001:db8::]:0".parse().unwrap(),
                src_mask: "255.255.0.0:65535".parse().unwrap(),
                dst_mask: "[ffff:ffff::]:0".parse().unwrap(),
                proto: 6,
            }),
            debug: Some(Masks(std::array::from_fn(|index| index as u32))),
            natt_type: Some(2),
            natt_sport: Some(4500),
            natt_dport: Some(0x0102),
            natt_oa: Some(socket("10.9.9.9:1")),
            outif: Some(0xc001),
            sa_refs: Some(SaRefs {
                me: 0x01020304,
                him: 0x05060708,
            }),
            group: GroupList::new(list),
            fault: Some(fault),
            ..Content::new(Header {
                errno: 17,
                ..header(MsgType::GrpSa, 9)
            })
        };
        let lifetime_after_type = "04030201 1817161514131211 2827262524232221 3837363534333231
                08070605 00000000";
        let masks: String = (0..PARTS)
            .map(|mask| format!("{mask:02x}000000 "))
            .collect();
        let want = format!(
            "020d1109 4c00 0000 01000000 d2040000
            0300 0100 01020304 40 01 02 03 14131211 22210000 00000000
            0500 0200 {lifetime_after_type}
            0500 0300 {lifetime_after_type}
            0500 0400 {lifetime_after_type}
            0300 0500 11 00 0000 0200 01f4 0a000001 0000000000000000
            0500 0600 11 00 0000 0a00 1194 00000000 20010db8000000000000000000000002 00000000
                00000000
            0300 0700 11 00 0000 0200 0000 0a000003 0000000000000000
            0300 0800 8000 0000 77777777777777777777777777777777
            0200 0900 2400 0000 7777777777 000000
            0400 0a00 0200 0000 0807060504030201 612e6578616d706c6500 000000000000
            0200 0b00 0200 0000 0807060504030201
            0200 1000 00000100 fffffffe 00000000
            0100 1200 03 000000
            0300 1300 00000115 00 00 00 00 00000000 00000000 00000000
            0300 1400 00 00 0000 0200 0000 0a000002 0000000000000000
            0300 1500 00 00 0000 0200 0401 0a010000 0000000000000000
            0500 1600 00 00 0000 0a00 0000 00000000 20010db8000000000000000000000000 00000000
                00000000
            0300 1700 00 00 0000 0200 ffff ffff0000 0000000000000000
            0500 1800 00 00 0000 0a00 0000 00000000 ffffffff000000000000000000000000 00000000
                00000000
            0700 1900 {masks} 00000000
            0100 1a00 06 00 00 00
            0100 1b00 02 000000
            0100 1c00 9411 0000
            0100 1d00 0201 0000
            0300 1e00 11 00 0000 0200 0001 0a090909 0000000000000000
            0100 1f00 01c0 0000
            0200 2000 04030201 08070605 00000000
            0700 3000 02 000000
                00000115 03 00 0200 0a000002 000000000000000000000000
                00000116 02 00 0a00 20010db8000000000000000000000002
            0100 3100 03 03 0000"
        );
        let mut want = unhex(&want);
        fix_len(&mut want);
        assert_eq!(hex(&write(&content)), hex(&want));
    }

    /// The outbound eroute of Openswan 2.4.9's pluto, with what happened to stand on its stack in
    /// the masks, and what removes it.
    #[test]
    fn flows_of_a_key_daemon_are_read() {
        let mask = "03001700 00000000 0200 0000 ffffff00 e0ea1052fd7f0000
                    03001800 00000000 0200 0000 ffffff00 50ec1052fd7f0000";
        let flow = "03001500 00000000 0200 0000 0a020100 0700000000000000
                    03001600 00000000 0200 0000 0a020200 0700000000000000";
        let add = unhex(&format!(
            "020e0009 17000000 0d000000 8d000000
            03000100 00001002 00000000 02000000 ffffffff 00000000
            03000500 00000000 0200 0000 0a010001 0000000000000000
            03000600 00000000 0200 0000 0a010002 0000000000000000 {flow} {mask}"
        ));
        let del = unhex(&format!(
            "020f000b 0e000000 11000000 8d000000 {flow} {mask}"
        ));
        let want = Flow {
            src: "10.2.1.0:0".parse().unwrap(),
            dst: "10.2.2.0:0".parse().unwrap(),
            src_mask: "255.255.255.0:0".parse().unwrap(),
            dst_mask: "255.255.255.0:0".parse().unwrap(),
            proto: 0,
        };
        for bytes in [add, del] {
            let head = Header::parse(&bytes).unwrap();
            let message = Message::parse(head, &bytes, Direction::In).unwrap();
            assert_eq!(message.flow(), Some(want));
        }
    }

    #[test]
    fn references_are_read_as_they_are_written() {
        let sa_refs = SaRefs {
            me: 7,
            him: 0xffff0001,
        };
        let content = Content {
            sa: Some(Sa {
                state: SaState::Mature,
                ..Sa::naming(0x113)
            }),
            sa_refs: Some(sa_refs),
            src: Some(Address::of(ip("10.0.0.1"))),
            ..Content::about(header(MsgType::Add, 0), &said("tun.113@10.0.0.2"))
        };
        let bytes = write(&content);
        let head = Header::parse(&bytes).unwrap();
        let message = Message::parse(head, &bytes, Direction::Out).unwrap();
        assert_eq!(message.sa_refs(), Some(sa_refs));
        assert_eq!(message.said(), Some(said("tun.113@10.0.0.2")));
    }

    #[test]
    fn short_lifetime_leaves_the_packets_out() {
        let content = Content {
            hard: Some(Lifetime {
                allocations: 1,
                packets: 2,
                bytes: 3,
                addtime: 4,
                usetime: 5,
            }),
            lifetime_form: LifetimeForm::Rfc,
            ..Content::new(header(MsgType::Add, 9))
        };
        assert_eq!(
            hex(&write(&content)[16..]),
            "0400030001000000 0300000000000000 0400000000000000 0500000000000000"
        );
    }
}

#[test]
fn message_without_room_is_not_written() {
    let content = Content::about(header(MsgType::GrpSa, 0), &said("tun.113@10.0.0.2"));
    let size = content.size();
    assert_eq!(size, 64);
    for len in 0..size {
        let mut room = vec![0xaa; len];
        assert_eq!(content.write(&mut room), None, "{len}");
        assert!(room.iter().all(|byte| *byte == 0xaa));
    }
}

#[test]
fn message_too_long_for_its_length_field_is_not_written() {
    for (len, fits) in [
        (65535 * 8 - 32, true),
        (65535 * 8 - 31, false),
        (65536 * 8, false),
    ] {
        let text = vec![0; len];
        let ident = Ident {
            kind: 1,
            id: 0,
            text: &text,
        };
        let content = Content {
            ident_src: Some(ident),
            ..Content::new(header(MsgType::Add, 9))
        };
        let mut room = vec![0xaa; content.size()];
        let want = fits.then_some(65535 * 8);
        assert_eq!(content.write(&mut room), want, "{len}");
    }
}

#[test]
fn answer_has_the_header_of_the_request_but_its_errno() {
    let request = Header {
        msg_type: MsgType::Acquire,
        errno: 5,
        satype: 3,
        seq: 6,
        pid: 7,
    };
    let content = Content::new(request.reply());
    assert_eq!(
        content.header,
        Header {
            errno: 0,
            ..request
        }
    );
    assert_eq!(write(&content), message_of(msg::ACQUIRE, 3, 6, 7, &[]));
}

#[test]
fn group_list_has_one_to_three_members() {
    let some = |count| (0..count).map(|spi| said(&format!("esp.{spi:x}@10.0.0.2")));
    assert_eq!(GroupList::new(some(0)), None);
    for count in 1..=3 {
        let list = GroupList::new(some(count)).expect("fits");
        assert!(list.iter().eq(some(count)));
    }
    assert_eq!(GroupList::new(some(4)), None);
}

#[test]
fn satype_and_protocol_name_each_other() {
    for (satype, proto) in [
        (SaType::Ah, Proto::Ah),
        (SaType::Esp, Proto::Esp),
        (SaType::IpIp, Proto::Tun),
        (SaType::Comp, Proto::Comp),
        (SaType::Int, Proto::Int),
    ] {
        assert_eq!(satype.proto(), proto);
        assert_eq!(SaType::of(proto), satype);
        assert_eq!(satype as u8, testbed::satype(proto));
    }
}

// --- Round trips --------------------------------------------------------------------------------

/// What [`Content`] borrows from elsewhere, owned.
#[derive(Clone, Debug)]
struct Owned {
    header: Header,
    sa: Option<Sa>,
    lifetimes: [Option<Lifetime>; 3],
    form: LifetimeForm,
    addresses: [Option<Address>; 4],
    keys: [Option<(u16, Vec<u8>)>; 2],
    idents: [Option<(u16, u64, Vec<u8>)>; 2],
    supported: Option<SaType>,
    spi_range: Option<(u32, u32)>,
    second: Option<Second>,
    flow: Option<Flow>,
    debug: Option<[u32; PARTS]>,
    natt: (Option<u8>, Option<u16>, Option<u16>),
    group: Option<GroupList>,
    fault: Option<Fault>,
}

impl Owned {
    fn content(&self) -> Content<'_> {
        fn key(key: &Option<(u16, Vec<u8>)>) -> Option<Key<'_>> {
            key.as_ref().map(|(bits, data)| Key { bits: *bits, data })
        }
        fn ident(ident: &Option<(u16, u64, Vec<u8>)>) -> Option<Ident<'_>> {
            ident.as_ref().map(|(kind, id, text)| Ident {
                kind: *kind,
                id: *id,
                text,
            })
        }
        Content {
            sa: self.sa,
            current: self.lifetimes[0],
            hard: self.lifetimes[1],
            soft: self.lifetimes[2],
            lifetime_form: self.form,
            src: self.addresses[0],
            dst: self.addresses[1],
            proxy: self.addresses[2],
            natt_oa: self.addresses[3],
            key_auth: key(&self.keys[0]),
            key_encrypt: key(&self.keys[1]),
            ident_src: ident(&self.idents[0]),
            ident_dst: ident(&self.idents[1]),
            supported: self.supported,
            spi_range: self.spi_range,
            second: self.second,
            flow: self.flow,
            debug: self.debug.map(Masks),
            natt_type: self.natt.0,
            natt_sport: self.natt.1,
            natt_dport: self.natt.2,
            group: self.group,
            fault: self.fault,
            ..Content::new(self.header)
        }
    }

    /// Only what a message of this type may have in this direction; what it must have is there.
    fn fit(mut self, msg_type: MsgType, direction: Direction) -> Self {
        let rule = klips::pfkey::table::extensions(msg_type, direction);
        let may = |ext: Ext| rule.permitted & ext.bit() != 0;
        let address = Address::of(ip("10.0.0.2"));
        self.header.msg_type = msg_type;
        self.sa = may(Ext::Sa).then(|| self.sa.unwrap_or(Sa::naming(1)));
        if matches!(msg_type, MsgType::Add | MsgType::Update) {
            // A tunnel, so that all algorithms pass.
            self.header.satype = 9;
            if let Some(sa) = &mut self.sa {
                sa.state = SaState::Mature;
                sa.spi |= 256;
            }
        }
        if msg_type == MsgType::GetSpi && self.header.satype == 10 {
            // ESP, so that all SPIs pass.
            self.header.satype = 3;
        }
        self.flow = match rule.permitted & Ext::AddressSrcFlow.bit() {
            0 => None,
            _ => self.flow,
        };
        let flow_is_required = rule.required & Ext::AddressSrcFlow.bit() != 0;
        if flow_is_required && self.flow.is_none() {
            self.flow = Some(ANY_FLOW);
        }
        if msg_type == MsgType::DelFlow && self.flow.is_none() {
            // Which eroute is not told, so it is all of them.
            let sa = self.sa.get_or_insert(Sa::naming(1));
            sa.flags |= SAFLAG_CLEARFLOW;
        }
        if msg_type == MsgType::Acquire {
            // No proposals either; but it tells of negotiations that failed.
            self.header.errno = self.header.errno.max(1);
        }
        for (lifetime, ext) in self.lifetimes.iter_mut().zip([
            Ext::LifetimeCurrent,
            Ext::LifetimeHard,
            Ext::LifetimeSoft,
        ]) {
            *lifetime = lifetime.filter(|_| may(ext));
        }
        if rule.required & Ext::LifetimeCurrent.bit() != 0 {
            self.lifetimes[0].get_or_insert_default();
        }
        self.addresses[0] = may(Ext::AddressSrc).then(|| self.addresses[0].unwrap_or(address));
        self.addresses[1] = may(Ext::AddressDst).then(|| self.addresses[1].unwrap_or(address));
        self.addresses[2] = self.addresses[2].filter(|_| may(Ext::AddressProxy));
        self.addresses[3] = self.addresses[3].filter(|_| may(Ext::NatTOa));
        let required = rule.required;
        if !may(Ext::KeyAuth) {
            self.keys = [None, None];
        }
        if !may(Ext::IdentitySrc) {
            self.idents = [None, None];
        }
        self.supported = self.supported.filter(|_| may(Ext::SupportedAuth));
        self.debug = may(Ext::Debug).then(|| self.debug.unwrap_or_default());
        self.spi_range = may(Ext::SpiRange).then(|| self.spi_range.unwrap_or((256, 256)));
        self.second = self.second.filter(|_| may(Ext::Sa2));
        self.natt.0 = self.natt.0.filter(|_| may(Ext::NatTType));
        self.natt.1 = self.natt.1.filter(|_| may(Ext::NatTSport));
        self.natt.2 = self.natt.2.filter(|_| may(Ext::NatTDport));
        if required & Ext::NatTSport.bit() != 0 {
            self.natt.1.get_or_insert(0);
            self.natt.2.get_or_insert(0);
        }
        self.group = self.group.filter(|_| may(Ext::Group));
        self.fault = self.fault.filter(|_| may(Ext::Fault));
        self
    }
}

/// All packets of IPv4.
const ANY_FLOW: Flow = {
    let any = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);
    Flow {
        src: any,
        dst: any,
        src_mask: any,
        dst_mask: any,
        proto: 0,
    }
};

fn any_flow() -> impl Strategy<Value = Flow> {
    let socket = (any_ip(), any::<u16>()).prop_map(|(ip, port)| SocketAddr::new(ip, port));
    (prop::array::uniform4(socket), any::<u8>()).prop_map(
        |([src, dst, src_mask, dst_mask], proto)| Flow {
            src,
            dst,
            src_mask,
            dst_mask,
            proto,
        },
    )
}

fn any_ip() -> impl Strategy<Value = IpAddr> {
    prop_oneof![
        any::<u32>().prop_map(|bits| Ipv4Addr::from(bits).into()),
        any::<u128>().prop_map(|bits| Ipv6Addr::from(bits).into()),
    ]
}

fn any_address() -> impl Strategy<Value = Address> {
    let socket = (any_ip(), any::<u16>(), any::<u32>(), any::<u32>()).prop_map(
        |(ip, port, flowinfo, scope)| match ip {
            IpAddr::V4(ip) => SocketAddr::V4(SocketAddrV4::new(ip, port)),
            IpAddr::V6(ip) => SocketAddr::V6(SocketAddrV6::new(ip, port, flowinfo, scope)),
        },
    );
    (any::<u8>(), socket).prop_map(|(proto, socket)| Address { proto, socket })
}

fn any_sa() -> impl Strategy<Value = Sa> {
    let state = prop::sample::select(&[SaState::Larval, SaState::Mature, SaState::Dying][..]);
    let sa_ref = prop_oneof![0..65536u32, Just(u32::MAX)];
    (
        any::<u32>(),
        0..=64u8,
        state,
        0..=252u8,
        any::<u8>(),
        any::<u32>(),
        sa_ref,
    )
        .prop_map(|(spi, replay, state, auth, encrypt, flags, sa_ref)| Sa {
            spi,
            replay,
            state,
            auth,
            encrypt,
            flags,
            sa_ref,
        })
}

fn any_lifetime() -> impl Strategy<Value = Lifetime> {
    any::<(u32, u32, u64, u64, u64)>().prop_map(
        |(allocations, packets, bytes, addtime, usetime)| Lifetime {
            allocations,
            packets,
            bytes,
            addtime,
            usetime,
        },
    )
}

fn any_key() -> impl Strategy<Value = (u16, Vec<u8>)> {
    (1..2100u16).prop_flat_map(|bits| {
        let bytes = usize::from(bits).div_ceil(8);
        (Just(bits), prop::collection::vec(any::<u8>(), bytes))
    })
}

fn any_ident() -> impl Strategy<Value = (u16, u64, Vec<u8>)> {
    let text = prop_oneof![
        Just(Vec::new()),
        prop::collection::vec(1..=255u8, 0..40).prop_map(|mut text| {
            text.push(0);
            text
        }),
    ];
    (0..=4u16, any::<u64>(), text)
}

fn any_satype() -> impl Strategy<Value = SaType> {
    prop::sample::select(SaType::ALL)
}

fn any_owned() -> impl Strategy<Value = Owned> {
    let header = (any_satype(), any::<u32>(), any::<u32>()).prop_map(|(satype, seq, pid)| {
        let msg_type = MsgType::Get;
        build::request(msg_type, satype as u8, seq, pid)
    });
    let form = prop::sample::select(&[LifetimeForm::Rfc, LifetimeForm::WithPackets][..]);
    let second = (any_satype(), any_sa(), any_address());
    let second = second.prop_map(|(satype, sa, dst)| Second { satype, sa, dst });
    let said = (any_ip(), any::<u32>(), any_satype()).prop_map(|(dst, spi, satype)| Said {
        dst,
        spi,
        proto: satype.proto(),
    });
    let group = prop::collection::vec(said, 1..=3).prop_map(|list| GroupList::new(list).unwrap());
    let reasons = [ListReason::Missing, ListReason::Grouped, ListReason::Twice];
    let fault = (any::<u8>(), prop::sample::select(reasons.to_vec()))
        .prop_map(|(member, reason)| Fault { member, reason });
    let range = (256..=u32::MAX).prop_flat_map(|min| (Just(min), min..=u32::MAX));
    let first = (
        header,
        option::of(any_sa()),
        prop::array::uniform3(option::of(any_lifetime())),
        form,
        prop::array::uniform4(option::of(any_address())),
        prop::array::uniform2(option::of(any_key())),
        prop::array::uniform2(option::of(any_ident())),
    );
    let rest = (
        option::of(any_satype()),
        option::of(range),
        option::of(second),
        option::of(any_flow()),
        option::of(any::<[u32; PARTS]>()),
        any::<(Option<u8>, Option<u16>, Option<u16>)>(),
        option::of(group),
        option::of(fault),
    );
    (first, rest).prop_map(
        |(
            (header, sa, lifetimes, form, addresses, keys, idents),
            (supported, spi_range, second, flow, debug, natt, group, fault),
        )| Owned {
            header,
            sa,
            lifetimes,
            form,
            addresses,
            keys,
            idents,
            supported,
            spi_range,
            second,
            flow,
            debug,
            natt,
            group,
            fault,
        },
    )
}

/// Every type of message that can be written, in both directions: there is nobody who writes
/// interfaces, nor what X_PCHANGE would need.
fn kinds() -> Vec<(MsgType, Direction)> {
    let unwritten = |kind: &(MsgType, Direction)| {
        matches!(
            kind.0,
            MsgType::PlumbIf | MsgType::UnplumbIf | MsgType::PChange
        )
    };
    let directions = [Direction::In, Direction::Out];
    let all = MsgType::ALL
        .iter()
        .flat_map(|kind| directions.map(|to| (*kind, to)));
    all.filter(|kind| !unwritten(kind)).collect()
}

/// The given text, with zeros up to a word.
fn padded(text: &[u8]) -> Vec<u8> {
    let mut text = text.to_vec();
    text.resize(text.len().next_multiple_of(8), 0);
    text
}

/// Checks that everything reads as it was written.
fn reads_back(owned: &Owned, message: &Message<'_>) {
    assert_eq!(message.header, owned.header);
    assert_eq!(message.sa(), owned.sa);
    for (ext, lifetime) in [Ext::LifetimeCurrent, Ext::LifetimeHard, Ext::LifetimeSoft]
        .into_iter()
        .zip(owned.lifetimes)
    {
        let want = lifetime.map(|lifetime| match owned.form {
            LifetimeForm::Rfc => Lifetime {
                packets: 0,
                ..lifetime
            },
            LifetimeForm::WithPackets => lifetime,
        });
        assert_eq!(message.lifetime(ext), want.map(|want| (want, owned.form)));
    }
    for (ext, address) in [
        Ext::AddressSrc,
        Ext::AddressDst,
        Ext::AddressProxy,
        Ext::NatTOa,
    ]
    .into_iter()
    .zip(owned.addresses)
    {
        assert_eq!(message.address(ext), address);
        let padding = message.ext(ext).map_or(&[][..], |ext| match ext.len() {
            24 => &ext[16..],
            _ => &ext[36..],
        });
        assert!(padding.iter().all(|byte| *byte == 0), "padding of {ext:?}");
    }
    for (ext, key) in [Ext::KeyAuth, Ext::KeyEncrypt].into_iter().zip(&owned.keys) {
        let read = message.key(ext).map(|key| (key.bits, key.data.to_vec()));
        assert_eq!(read, *key);
        if let (Some(ext), Some((_, data))) = (message.ext(ext), key) {
            assert_eq!(ext[8..], padded(data), "padding of a key");
        }
    }
    for (ext, ident) in [Ext::IdentitySrc, Ext::IdentityDst]
        .into_iter()
        .zip(&owned.idents)
    {
        let read = message.ident(ext);
        let read = read.map(|ident| (ident.kind, ident.id, ident.text.to_vec()));
        let want = ident.as_ref();
        assert_eq!(
            read,
            want.map(|(kind, id, text)| (*kind, *id, padded(text)))
        );
    }
    assert_eq!(
        message.spi_range(),
        owned.spi_range.map(|(min, max)| min..=max)
    );
    for (ext, for_auth) in [(Ext::SupportedAuth, true), (Ext::SupportedEncrypt, false)] {
        let read: Vec<u8> = message
            .supported(ext)
            .map(|algorithm| algorithm.id)
            .collect();
        let known = |satype| algorithm::supported(satype, for_auth).map(|algorithm| algorithm.id);
        let known: Vec<u8> = owned
            .supported
            .map_or_else(Vec::new, |it| known(it).collect());
        assert_eq!(read, known);
    }
    assert_eq!(message.second(), owned.second);
    assert_eq!(message.flow(), owned.flow);
    assert_eq!(message.debug_masks(), owned.debug.map(Masks));
    assert_eq!(message.has_second(), owned.second.is_some());
    assert_eq!(message.natt_type(), owned.natt.0);
    assert_eq!(message.natt_port(Ext::NatTSport), owned.natt.1);
    assert_eq!(message.natt_port(Ext::NatTDport), owned.natt.2);
    assert_eq!(message.group_list(), owned.group.as_ref());
    assert_eq!(message.fault(), owned.fault);
    if let (Some(sa), Some(dst)) = (owned.sa, owned.addresses[1]) {
        let want = Said {
            dst: dst.socket.ip(),
            spi: sa.spi,
            proto: SaType::from_number(owned.header.satype).unwrap().proto(),
        };
        assert_eq!(message.said(), Some(want));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn what_is_written_reads_back_equal(
        owned in any_owned(),
        (msg_type, direction) in prop::sample::select(kinds()),
    ) {
        let owned = owned.fit(msg_type, direction);
        let bytes = write(&owned.content());
        let header = Header::parse(&bytes).expect("a right header");
        let message = Message::parse(header, &bytes, direction)
            .unwrap_or_else(|errno| panic!("{errno:?}: {}", hex(&bytes)));
        reads_back(&owned, &message);
        // Ascending, as KLIPS's builders write them.
        let numbers: Vec<u16> = exts_of(&bytes).into_iter().map(|(number, _)| number).collect();
        prop_assert!(numbers.windows(2).all(|pair| pair[0] < pair[1]), "{:?}", numbers);
    }

    #[test]
    fn refusal_of_anything_reads_back_equal(
        owned in any_owned(),
        msg_type in prop::sample::select(MsgType::ALL),
        (errno, satype) in (1..=255u8, any::<u8>()),
    ) {
        let header = Header { msg_type, errno, satype, ..owned.header };
        let refusal = msg_type != MsgType::Acquire;
        let content = Content {
            fault: owned.fault.filter(|_| refusal),
            ..Content::new(header)
        };
        let bytes = write(&content);
        prop_assert_eq!(Header::parse(&bytes), Ok(header));
        let message = Message::parse(header, &bytes, Direction::Out).expect("a right message");
        prop_assert_eq!(message.fault(), content.fault);
        prop_assert_eq!(message.present() & !Ext::Fault.bit(), 0);
    }

    #[test]
    fn any_content_is_written_in_just_its_size(owned in any_owned()) {
        let bytes = write(&owned.content());
        let total: usize = 16 + exts_of(&bytes).iter().map(|(_, ext)| ext.len()).sum::<usize>();
        prop_assert_eq!(total, bytes.len());
        let words = usize::from(u16::from_ne_bytes([bytes[4], bytes[5]]));
        prop_assert_eq!(words * 8, bytes.len());
    }

    #[test]
    fn message_put_together_by_hand_is_the_one_that_is_written(
        spi in any::<u32>(), dst in any_ip(), satype in any_satype(),
    ) {
        let said = Said { dst, spi, proto: satype.proto() };
        let content = Content {
            src: Some(Address::of(ip("10.0.0.1"))),
            ..Content::about(build::request(MsgType::Delete, 0, 7, 1234), &said)
        };
        prop_assert_eq!(write(&content), delete(said));
    }
}
