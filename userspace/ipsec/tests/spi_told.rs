// SPDX-License-Identifier: GPL-2.0

//! What `ipsec spi` tells of SAs: `--get`, the list as JSON, references.

use crate::common::{K16, K24, Machine};
use insta::assert_snapshot;
use klips::pfkey::{
    Address, Header, Ident, Lifetime, LifetimeForm, MsgType, Sa, SaState,
    algorithm::{auth, compress, encrypt},
    build::request,
};
use pfkey::{Content, SaRefs};
use testbed::said;

fn bytes_of(content: &Content<'_>) -> Vec<u8> {
    let mut bytes = vec![0; content.size()];
    content.write(&mut bytes).unwrap();
    bytes
}

fn address(text: &str) -> Option<Address> {
    let socket = text.parse().unwrap();
    Some(Address { proto: 0, socket })
}

/// An SA with all that an ADD can say of one.
fn with_everything() -> Vec<u8> {
    let ident = |kind, id, text| Some(Ident { kind, id, text });
    bytes_of(&Content {
        sa: Some(Sa {
            state: SaState::Mature,
            replay: 32,
            flags: 0x8001,
            ..Sa::naming(0x200)
        }),
        hard: Some(Lifetime {
            allocations: 1,
            packets: 5,
            bytes: 6,
            addtime: 700,
            usetime: 800,
        }),
        soft: Some(Lifetime {
            bytes: 5,
            addtime: 600,
            ..Lifetime::default()
        }),
        src: address("[2001:db8::1]:500"),
        proxy: address("[2001:db8::3]:17"),
        ident_src: ident(2, 0, b"gw1.example\0\0\0\0\0"),
        ident_dst: ident(3, 7, b"\x1b[31m\"\xff\0\0"),
        natt_type: Some(1),
        natt_sport: Some(4500),
        natt_dport: Some(50000),
        natt_oa: address("192.0.2.1:0"),
        ..Content::about(request(MsgType::Add, 0, 1, 1), &said("tun:200@2001:db8::2"))
    })
}

/// A reserved SPI.
fn larval() -> Vec<u8> {
    let said = said("esp.300@10.0.0.2");
    bytes_of(&Content {
        sa: None,
        src: address("10.0.0.1:0"),
        spi_range: Some((said.spi, said.spi)),
        ..Content::about(request(MsgType::GetSpi, 0, 1, 1), &said)
    })
}

/// A machine with SAs that have a lot to tell.
fn machine() -> Machine {
    let mut machine = Machine::with_four();
    let host = &machine.kernel.host;
    host.set_up(&with_everything());
    host.set_up(&larval());
    for line in [
        &format!(
            "spi --esp aes256-sha2-256 --said esp.215@gw2 --src 10.0.0.1 --enckey 0t{} \
             --authkey 0t{} --replay_window 64 --natt nonesp --sport 4500 --dport 4501",
            "e".repeat(32),
            "a".repeat(32)
        ),
        &format!(
            "spi --esp 3des --said esp.216@gw2 --enckey {K24} \
             --life soft-addtime=10,hard-addtime=100,hard-bytes=18446744073709551615"
        ),
        "spi --comp lzs --said comp.217@gw2",
    ] {
        machine.quiet(line);
    }
    machine.kernel.host.sleep(11);
    machine.kernel.sent.take();
    machine.transcript.clear();
    machine
}

const ALL: [&str; 9] = [
    "tun.113@gw2",
    "esp.115@gw2",
    "ah.116@gw2",
    "comp.117@gw2",
    "tun:200@2001:db8::2",
    "esp.215@gw2",
    "esp.216@gw2",
    "comp.217@gw2",
    "esp.300@gw2",
];

#[test]
fn an_sa_for_people() {
    let lines = ALL.map(|said| format!("ipsec spi --get --said {said}\n"));
    let text = machine().session(&format!(
        "{}spi --get --af inet --edst gw2 --spi 0x113 --proto tun --listenreply
        (sent)",
        lines.concat()
    ));
    assert!(!text.contains('\u{1b}'), "what others wrote is quoted");
    assert_snapshot!(text);
}

#[test]
fn an_sa_as_json() {
    let lines = ALL.map(|said| format!("spi --json --get --said {said}\n"));
    assert_snapshot!(machine().session(&lines.concat()));
}

#[test]
fn an_sa_that_cannot_be_told_of() {
    let mut machine = machine();
    assert_snapshot!(
        "refusals",
        machine.session(
            "ipsec spi --get --said esp.999@gw2
        ipsec spi --json --label x --get --said esp.999@gw2
        spi --get
        spi --get --said esp.115@gw2 --src 10.0.0.1
        spi --get --del --said esp.115@gw2
        spi --get --said esp.115@gw2 --dumpsaref
        spi --get --said esp.115@gw2 --replay_window 3
        spi --get --said esp.115@gw2 --authkey 0x00
        spi --get --said esp.115@gw2 --keyfile none"
        )
    );
    machine.kernel.mute.set(true);
    machine.run("spi --get --said esp.115@gw2");
    machine.kernel.mute.set(false);
    // An answer that is about no SA.
    let empty = Content::new(request(MsgType::Get, 3, 1, std::process::id()));
    *machine.kernel.noise.borrow_mut() = vec![bytes_of(&empty)];
    machine.run("spi --get --said esp.115@gw2");
    assert_snapshot!("answers", machine.session(""));
}

/// What a KLIPS of another release tells: a number that nobody knows, a time since boot.
#[test]
fn what_others_tell() {
    let mut machine = machine();
    let answer = |satype, sa| Content {
        sa: Some(sa),
        current: Some(Lifetime {
            addtime: u64::MAX,
            usetime: 253_402_300_799,
            bytes: 9,
            packets: 3,
            allocations: 2,
        }),
        lifetime_form: LifetimeForm::Rfc,
        src: address("10.0.0.1:0"),
        dst: address("10.0.0.2:0"),
        ident_src: Some(Ident {
            kind: 0,
            id: 0,
            text: b"",
        }),
        natt_type: Some(9),
        ..Content::new(Header {
            satype,
            ..request(MsgType::Get, 0, 1, std::process::id())
        })
    };
    let unknown = |encrypt, auth| Sa {
        encrypt,
        auth,
        state: SaState::Dying,
        ..Sa::naming(0x115)
    };
    for (satype, sa) in [
        (3, unknown(6, 8)),
        (10, unknown(compress::DEFLATE + 2, auth::NONE)),
        (3, unknown(encrypt::AES_GCM_16, auth::NULL)),
    ] {
        for json in ["", "--json "] {
            *machine.kernel.noise.borrow_mut() = vec![bytes_of(&answer(satype, sa))];
            machine.run(&format!("spi {json}--get --said esp.115@gw2"));
        }
    }
    assert_snapshot!(machine.session(""));
}

#[test]
fn the_list_as_json() {
    let mut machine = machine();
    assert_snapshot!("list_json", machine.session("ipsec spi --json"));
    assert_snapshot!("empty_list_json", Machine::new().session("spi --json"));
}

/// Lines of Openswan 2.4.9, libreswan 3.32, and of nobody.
const LINES: &str = "\
tun0x113@10.0.0.2 IPIP: dir=in  src=10.0.0.1 policy=10.1.0.0/24->10.2.0.0/24 flags=0x8<> life(c,s,h)=addtime(5,0,0) natencap=none natsport=0 natdport=0 refcount=3 ref=7
esp0x115@10.0.0.2 ESP_3DES_HMAC_SHA1: dir=out src=10.0.0.1 iv_bits=64bits iv=0xb10e355efc2d62ff ooowin=64 seq=3 bit=0x7 alen=160 aklen=160 eklen=192 jiffies=4294937453 life(c,s,h)=bytes(312,0,0)addtime(20,0,0)usetime(3,0,0)packets(3,0,0) idle=2 natencap=nonesp natsport=4500 natdport=4500 refcount=3 ref=2 refhim=0 outif=ipsec0:0
comp0x117@10.0.0.2 COMP_DEFLATE: dir=out src=10.0.0.1 life(c,s,h)=addtime(0,0,0) ratio=100:50 natencap=na refcount=3 ref=4
esp0x118@<invalid> ESP_ID99_ID98: dir=out src=<invalid> eklen=many life(c,s,h)=addtime(0,0 new=1 new=2 loose

ah0x119@10.0.0.2
nonsense
";

#[test]
fn no_line_of_a_list_is_lost() {
    let mut machine = Machine::new();
    machine.sas = Some(LINES.to_owned());
    assert_snapshot!(machine.session("spi --json"));
}

#[test]
fn lists_for_a_reader() {
    let mut machine = machine();
    machine.terminal = true;
    machine.run("spi");
    machine.run("spi --color never");
    machine.sas = Some(LINES.to_owned());
    machine.run("spi --color=auto");
    machine.sas = Some(String::new());
    machine.run("spi");
    machine.sas = Some("tun0x113@10.0.0.2 IPIP:\n".to_owned());
    machine.no_color = true;
    machine.run("spi");
    machine.run("spi --color always");
    machine.run("spi --json");
    machine.list_error = Some(std::io::ErrorKind::PermissionDenied);
    machine.run("spi");
    assert_snapshot!(machine.session(""));
}

#[test]
fn elsewhere_a_list_is_the_bytes_of_the_file() {
    let mut machine = machine();
    for color in ["", " --color auto", " --color never"] {
        machine.run(&format!("spi{color}"));
        let text = machine.session("");
        let (_, list) = text.split_once('\n').unwrap();
        assert_eq!(list, machine.kernel.host.spi());
    }
    assert_snapshot!(machine.session(
        "spi --color sometimes
        spi --clear --color never
        spi --batch none --color never"
    ));
}

#[test]
fn a_list_that_cannot_be_read() {
    let mut machine = Machine::new();
    machine.list_error = Some(std::io::ErrorKind::PermissionDenied);
    machine.run("spi --json");
    machine.list_error = None;
    machine.netkey = true;
    machine.run("spi --json");
    machine.run("spi --get --said tun.113@gw2");
    assert_snapshot!(machine.session(""));
}

#[test]
fn results_as_json() {
    let mut machine = Machine::with_four();
    assert_snapshot!(machine.session(&format!(
        "spi --json --ip4 --said tun.213@gw2
        spi --json --ah md5 --said ah.216@gw2 --authkey {K16} --listenreply --dumpsaref
        spi --json --del --said ah.216@gw2
        spi --json --clear
        spi --json --clear --debug
        spi --json --del --said ah.216@gw2
        spi --json --ip4 --said tun.213@gw2
        spi --label l --json --ip4 --said tun.213@gw2
        spi --json --ip4
        spi --json --bogus
        spi --json --version"
    )));
}

#[test]
fn references() {
    let mut machine = Machine::new();
    let text = machine.session(
        "ipsec spi --ip4 --said tun.101@gw2 --saref
        spi --ip4 --said tun.102@gw2 --dumpsaref --label l
        spi --json --ip4 --said tun.103@gw2 --dumpsaref
        spi --saref --ip4 --said tun.104@gw2
        (sent)
        spi --ip4 --said tun.105@gw2 --saref 5 --outif 0xc001
        spi --ip4 --said tun.106@gw2 --sarefme=6 --saref_him=0xffff0001
        spi --ip4 --said tun.107@gw2 --sarefhim 8
        (sent)
        spi --ip4 --said tun.108@gw2 --saref 5 --saref_me 5
        spi --ip4 --said tun.108@gw2 --sarefme 0x100000000
        spi --ip4 --said tun.108@gw2 --sarefhim him
        spi --ip4 --said tun.108@gw2 --outif 65536
        spi --ip4 --said tun.108@gw2 --outif eth0
        spi --del --said tun.107@gw2 --sarefme 6
        spi --del --said tun.107@gw2 --saref 6
        (sent)
        spi --del --said tun.101@gw2 --saref
        spi --del --said tun.102@gw2 --dumpsaref
        spi --del --said tun.103@gw2 --saref --dumpsaref --json
        spi --get --said tun.104@gw2 --saref
        spi --del --said tun.104@gw2 --authkey 0x00 --enckey 0x00 --sport 1 --dport 2
        spi --get --said tun.105@gw2 --authkey 0x00
        (sent)",
    );
    assert_snapshot!(text);
}

/// Openswan 2.6 and libreswan tell of references in an extension, Openswan 2.4 in the SA's.
#[test]
fn references_of_others() {
    let mut machine = Machine::new();
    let answer = |sa_ref, sa_refs| Content {
        sa: Some(Sa {
            sa_ref,
            state: SaState::Mature,
            ..Sa::naming(0x101)
        }),
        sa_refs,
        src: address("10.0.0.1:0"),
        ..Content::about(
            request(MsgType::Add, 0, 1, std::process::id()),
            &said("tun.101@10.0.0.2"),
        )
    };
    for answer in [
        answer(0, Some(SaRefs { me: 5, him: 6 })),
        answer(7, None),
        answer(u32::MAX, None),
    ] {
        *machine.kernel.noise.borrow_mut() = vec![bytes_of(&answer)];
        machine.run("spi --ip4 --said tun.101@gw2 --dumpsaref");
        machine.quiet("spi --clear");
    }
    assert_snapshot!(machine.session(""));
}
