// SPDX-License-Identifier: GPL-2.0

//! `/proc/net/ipsec_spigrp` and `/proc/net/ipsec_spi` (contract 10, reference 6.2 and 6.3).

use klips::{
    listing::{End, Listing, Page},
    sadb::{Age, Moment, Sadb},
    said::{Proto, Said},
};
use proptest::prelude::*;
use std::{
    collections::{HashMap, HashSet},
    fmt,
};
use testbed::*;

/// The SAs of the recordings.
fn recorded() -> [Said; 4] {
    [
        said("tun.3d0@192.168.2.110"),
        said("comp.3d0@192.168.2.110"),
        said("esp.187a101b@192.168.2.110"),
        said("ah.187a101a@192.168.2.110"),
    ]
}

#[test]
fn empty_table_has_empty_files() {
    let host = TestHost::new();
    assert_eq!(host.spigrp(), "");
    assert_eq!(host.spi(), "");
}

#[test]
fn spigrp_has_a_line_for_each_chain_as_recorded() {
    let host = TestHost::new();
    for said in recorded() {
        host.set_up(&add(said));
    }
    let [tun, comp, esp, ah] = recorded();
    // The recorded lines, in our order.
    assert_eq!(
        host.spigrp(),
        "tun0x3d0@192.168.2.110 \n\
         comp0x3d0@192.168.2.110 \n\
         esp0x187a101b@192.168.2.110 \n\
         ah0x187a101a@192.168.2.110 \n"
    );
    host.set_up(&pair(tun, comp));
    assert_eq!(
        host.spigrp(),
        "tun0x3d0@192.168.2.110 comp0x3d0@192.168.2.110 \n\
         esp0x187a101b@192.168.2.110 \n\
         ah0x187a101a@192.168.2.110 \n"
    );
    host.set_up(&pair(comp, esp));
    host.set_up(&pair(esp, ah));
    assert_eq!(
        host.spigrp(),
        "tun0x3d0@192.168.2.110 comp0x3d0@192.168.2.110 esp0x187a101b@192.168.2.110 \
         ah0x187a101a@192.168.2.110 \n"
    );
}

#[test]
fn spigrp_has_the_example_of_the_reference() {
    let host = TestHost::new();
    let saids = ["tun.113", "esp.115", "ah.116"].map(|text| said(&format!("{text}@10.0.0.2")));
    for said in saids {
        host.set_up(&add(said));
    }
    host.set_up(&list(&saids));
    assert_eq!(
        host.spigrp(),
        "tun0x113@10.0.0.2 esp0x115@10.0.0.2 ah0x116@10.0.0.2 \n"
    );
}

#[test]
fn spigrp_is_ordered_by_the_age_of_the_innermost_sa() {
    let host = TestHost::new();
    let [a, b, c, d] =
        [0, 1, 2, 3].map(|index| said(&format!("tun.{:x}@10.0.0.2", 0x1000 + index)));
    for said in [a, b, c, d] {
        host.set_up(&add(said));
    }
    host.set_up(&pair(d, a));
    assert_eq!(
        host.spigrp(),
        "tun0x1001@10.0.0.2 \ntun0x1002@10.0.0.2 \ntun0x1003@10.0.0.2 tun0x1000@10.0.0.2 \n"
    );
    host.set_up(&pair(b, c));
    assert_eq!(
        host.spigrp(),
        "tun0x1001@10.0.0.2 tun0x1002@10.0.0.2 \ntun0x1003@10.0.0.2 tun0x1000@10.0.0.2 \n"
    );
    host.set_up(&pair(a, b));
    assert_eq!(
        host.spigrp(),
        "tun0x1003@10.0.0.2 tun0x1000@10.0.0.2 tun0x1001@10.0.0.2 tun0x1002@10.0.0.2 \n"
    );
}

#[test]
fn ipv6_and_magic_saids_are_listed_as_they_are_printed() {
    let host = TestHost::new();
    for text in [
        "esp:107@1:2:3:4:5:6:7:8",
        "esp:10a@1:0:3:4:5:6:7:8",
        "ah:1@::",
        "%trap",
    ] {
        let sadb = &mut host.state().sadb;
        let prepared = sadb.prepare(plain(said(text))).ok().unwrap();
        sadb.add(prepared);
    }
    assert_eq!(
        host.spigrp(),
        "esp0x107@1:2:3:4:5:6:7:8 \nesp0x10a@1:0:3:4:5:6:7:8 \nah0x1@:: \n%trap \n"
    );
}

// --- ipsec_spi ----------------------------------------------------------------------------------

#[test]
fn spi_lines_are_as_recorded() {
    let host = TestHost::new();
    for said in recorded() {
        host.set_up(&add(said));
    }
    // As recorded but for what the packets and the boot of the recording made of them: no IV before
    // the first packet, NAT traversal told, ages as references.
    assert_eq!(
        host.spi(),
        "tun0x3d0@192.168.2.110 IPIP: dir=out src=10.0.0.1 life(c,s,h)=addtime(0,0,0) \
         natencap=none natsport=0 natdport=0 refcount=3 ref=1\n\
         comp0x3d0@192.168.2.110 COMP_DEFLATE: dir=out src=10.0.0.1 life(c,s,h)=addtime(0,0,0) \
         natencap=none natsport=0 natdport=0 refcount=3 ref=2\n\
         esp0x187a101b@192.168.2.110 ESP_3DES_HMAC_MD5: dir=out src=10.0.0.1 alen=128 aklen=128 \
         eklen=192 life(c,s,h)=addtime(0,0,0) \
         natencap=none natsport=0 natdport=0 refcount=3 ref=3\n\
         ah0x187a101a@192.168.2.110 AH_HMAC_MD5: dir=out src=10.0.0.1 alen=128 aklen=128 \
         life(c,s,h)=addtime(0,0,0) natencap=none natsport=0 natdport=0 refcount=3 ref=4\n"
    );
}

#[test]
fn spi_line_has_the_example_of_the_reference() {
    let host = TestHost::new();
    host.set_up(&add(said("tun.113@10.0.0.2")));
    host.sleep(5);
    assert_eq!(
        host.spi(),
        "tun0x113@10.0.0.2 IPIP: dir=out src=10.0.0.1 life(c,s,h)=addtime(5,0,0) \
         natencap=none natsport=0 natdport=0 refcount=3 ref=1\n"
    );
}

#[test]
fn refcount_counts_a_link_at_both_its_ends_as_recorded() {
    let host = TestHost::new();
    for said in recorded() {
        host.set_up(&add(said));
    }
    let counts = || -> Vec<String> {
        let spi = host.spi();
        let count = |line: &str| {
            let (_, rest) = line.split_once(" refcount=").unwrap();
            rest.split_once(' ').unwrap().0.to_string()
        };
        spi.lines().map(count).collect()
    };
    let [tun, comp, esp, ah] = recorded();
    assert_eq!(counts(), ["3", "3", "3", "3"]);
    host.set_up(&pair(tun, comp));
    assert_eq!(counts(), ["4", "4", "3", "3"]);
    host.set_up(&pair(comp, esp));
    host.set_up(&pair(esp, ah));
    assert_eq!(counts(), ["4", "5", "5", "4"]);
    host.set_up(&ungroup(comp));
    assert_eq!(counts(), ["3", "3", "3", "3"]);
}

/// The line of an SA that is added with these numbers and further extensions.
fn line(said: Said, sa: RawSa, exts: &[Vec<u8>]) -> String {
    let host = TestHost::new();
    host.local.borrow_mut().push(ip("127.0.0.1"));
    let mut all = naming(said).to_vec();
    all[0] = sa.ext(ext::SA);
    all.extend(exts.iter().cloned());
    host.set_up(&message(msg::ADD, satype(said.proto), &all));
    host.sleep(7);
    host.spi()
}

#[test]
fn spi_line_tells_all_that_was_given() {
    let esp = said("esp.1000@127.0.0.1");
    let sa = RawSa {
        replay: 32,
        auth: 3,
        encrypt: 12,
        flags: 0x41,
        ..RawSa::mature(0x1000)
    };
    let port = |port: u16| [&port.to_ne_bytes()[..], &[0, 0]].concat();
    let exts = [
        key(ext::KEY_AUTH, 160, 1),
        key(ext::KEY_ENCRYPT, 256, 2),
        lifetime(ext::LIFETIME_HARD, [10, 20, 30, 40, 50]),
        lifetime(ext::LIFETIME_SOFT, [9, 19, 29, 39, 49]),
        extension(ext::NAT_T_TYPE, &[2, 0, 0, 0]),
        extension(ext::NAT_T_SPORT, &port(4500)),
        extension(ext::NAT_T_DPORT, &port(65535)),
    ];
    assert_eq!(
        line(esp, sa, &exts),
        "esp0x1000@127.0.0.1 ESP_AES_HMAC_SHA1: dir=in  src=10.0.0.1 ooowin=32 flags=0x40<> \
         alen=160 aklen=160 eklen=256 \
         life(c,s,h)=alloc(1,9,10)bytes(0,29,30)addtime(7,39,40)usetime(0,49,50)packets(0,19,20) \
         natencap=nonesp natsport=4500 natdport=65535 refcount=3 ref=1\n"
    );
}

#[test]
fn spi_line_shows_a_lifetime_if_either_limit_is_set() {
    let tun = said("tun.1000@10.0.0.2");
    for (hard, soft, want) in [
        ([0; 5], [0; 5], "addtime(7,0,0)"),
        ([2, 0, 0, 0, 0], [0; 5], "alloc(1,0,2)addtime(7,0,0)"),
        ([0; 5], [2, 0, 0, 0, 0], "alloc(1,2,0)addtime(7,0,0)"),
        ([0, 2, 0, 0, 0], [0; 5], "addtime(7,0,0)packets(0,0,2)"),
        ([0, 0, 2, 0, 0], [0; 5], "bytes(0,0,2)addtime(7,0,0)"),
        ([0, 0, 0, 200, 0], [0, 0, 0, 100, 0], "addtime(7,100,200)"),
        ([0; 5], [0, 0, 0, 0, 9], "addtime(7,0,0)usetime(0,9,0)"),
        // As recorded.
        (
            [0, 0, 0, 100000, 0],
            [0, 0, 0, 90000, 0],
            "addtime(7,90000,100000)",
        ),
    ] {
        let exts = [
            lifetime(ext::LIFETIME_HARD, hard),
            lifetime(ext::LIFETIME_SOFT, soft),
        ];
        assert_eq!(
            line(tun, RawSa::mature(0x1000), &exts),
            format!(
                "tun0x1000@10.0.0.2 IPIP: dir=out src=10.0.0.1 life(c,s,h)={want} \
                 natencap=none natsport=0 natdport=0 refcount=3 ref=1\n"
            )
        );
    }
}

#[test]
fn spi_line_names_the_algorithms() {
    for (proto, auth, auth_bits, encrypt, encrypt_bits, want) in [
        ("ah", 2, 128, 0, 0, "AH_HMAC_MD5"),
        ("ah", 3, 160, 0, 0, "AH_HMAC_SHA1"),
        ("ah", 5, 256, 0, 0, "AH_HMAC_SHA2_256"),
        ("ah", 252, 256, 0, 0, "AH_HMAC_SHA2_256_96"),
        ("ah", 6, 384, 0, 0, "AH_HMAC_SHA2_384"),
        ("ah", 7, 512, 0, 0, "AH_HMAC_SHA2_512"),
        ("esp", 0, 0, 3, 192, "ESP_3DES"),
        ("esp", 3, 160, 3, 192, "ESP_3DES_HMAC_SHA1"),
        ("esp", 2, 128, 11, 0, "ESP_NULL_HMAC_MD5"),
        ("esp", 0, 0, 12, 128, "ESP_AES"),
        // Authentication that is none has no name, as in KLIPS.
        ("esp", 251, 0, 3, 192, "ESP_3DES_ID251"),
        ("esp", 0, 0, 20, 160, "ESP_AES_GCM_16"),
        ("comp", 0, 0, 2, 0, "COMP_DEFLATE"),
        ("comp", 0, 0, 3, 0, "COMP_UNKNOWN_comp"),
        ("comp", 0, 0, 1, 0, "COMP_UNKNOWN_comp"),
        ("comp", 0, 0, 77, 0, "COMP_UNKNOWN_comp"),
        ("tun", 0, 0, 0, 0, "IPIP"),
        ("tun", 2, 0, 3, 0, "IPIP"),
    ] {
        let said = said(&format!("{proto}.1000@10.0.0.2"));
        let mut exts = Vec::new();
        if auth_bits != 0 {
            exts.push(key(ext::KEY_AUTH, auth_bits, 1));
        }
        if encrypt_bits != 0 {
            exts.push(key(ext::KEY_ENCRYPT, encrypt_bits, 2));
        }
        let sa = RawSa {
            auth,
            encrypt,
            ..RawSa::mature(0x1000)
        };
        let line = line(said, sa, &exts);
        assert!(
            line.starts_with(&format!("{said} {want}: dir=out src=")),
            "{want}: {line}"
        );
    }
}

#[test]
fn connections_that_are_told_are_none_after_update() {
    let host = TestHost::new();
    let said = said("tun.1000@10.0.0.2");
    for (msg_type, want) in [(msg::ADD, "alloc(1,0,9)"), (msg::UPDATE, "alloc(0,0,9)")] {
        let mut request = add(said);
        request[1] = msg_type;
        request.extend(lifetime(ext::LIFETIME_HARD, [9, 0, 0, 0, 0]));
        fix_len(&mut request);
        host.set_up(&request);
        let spi = host.spi();
        assert!(spi.contains(&format!(")={want}addtime(")), "{spi}");
    }
}

#[test]
fn spi_line_shows_a_window_only_with_an_algorithm() {
    for (said, encrypt, replay, shown) in [
        (said("tun.1000@10.0.0.2"), 0, 32, false),
        (said("comp.1000@10.0.0.2"), 2, 32, true),
        (said("comp.1000@10.0.0.2"), 2, 0, false),
    ] {
        let sa = RawSa {
            encrypt,
            replay,
            ..RawSa::mature(0x1000)
        };
        let line = line(said, sa, &[]);
        assert_eq!(line.contains(" ooowin=32 "), shown, "{line}");
        assert_eq!(line.contains("ooowin"), shown, "{line}");
    }
}

#[test]
fn spi_line_names_the_kind_of_nat_traversal() {
    for (kind, want) in [(1, "nonike"), (2, "nonesp")] {
        let exts = [extension(ext::NAT_T_TYPE, &[kind, 0, 0, 0])];
        let line = line(said("tun.1000@10.0.0.2"), RawSa::mature(0x1000), &exts);
        assert!(
            line.contains(&format!(" natencap={want} natsport=0 natdport=0 ")),
            "{line}"
        );
    }
}

#[test]
fn age_of_an_sa_does_not_follow_a_clock_that_is_set_back() {
    let host = TestHost::new();
    host.set_up(&add(said("tun.1000@10.0.0.2")));
    let Moment { boot, .. } = host.clock.get();
    host.clock.set(Moment {
        real: 5,
        boot: boot + 3,
    });
    assert!(host.spi().contains("addtime(3,0,0)"), "{}", host.spi());
    host.clock.set(Moment {
        real: 5,
        boot: boot - 3,
    });
    assert!(host.spi().contains("addtime(0,0,0)"), "{}", host.spi());
}

#[test]
fn spi_lists_by_age_whatever_is_grouped() {
    let host = TestHost::new();
    for said in recorded() {
        host.set_up(&add(said));
    }
    let [tun, comp, esp, ah] = recorded();
    host.set_up(&list(&[ah, esp, comp, tun]));
    let spi = host.spi();
    let names: Vec<&str> = spi
        .lines()
        .map(|line| line.split_once(' ').unwrap().0)
        .collect();
    assert_eq!(names, recorded().map(|said| said.to_string()));
}

// --- Pages --------------------------------------------------------------------------------------

/// A page that has room for so many bytes.
struct Small {
    text: String,
    room: usize,
}

impl fmt::Write for Small {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        if self.text.len() + text.len() > self.room {
            // Part of it is there: nobody may count on all or nothing.
            let fits = &text[..self.room - self.text.len()];
            self.text.push_str(fits);
            return Err(fmt::Error);
        }
        self.text.push_str(text);
        Ok(())
    }
}

impl Page for Small {
    fn written(&self) -> usize {
        self.text.len()
    }

    fn truncate(&mut self, len: usize) {
        self.text.truncate(len);
    }
}

/// What stands in a page before a file goes on in it.
const BEFORE: &str = "before\n";

/// A page with room for so many bytes more than are there, from a position on.
fn small_page(host: &TestHost, file: Listing, position: u64, room: usize) -> (String, End) {
    let mut page = Small {
        text: BEFORE.to_owned(),
        room: BEFORE.len() + room,
    };
    let end = file.page(host, position, &mut 0, &mut page);
    let text = page.text.strip_prefix(BEFORE).expect("it stays");
    (text.to_owned(), end)
}

/// A host with something in every file.
fn host_with_all() -> TestHost {
    let host = TestHost::new();
    for said in recorded() {
        host.set_up(&add(said));
    }
    host.set_up(&pair(recorded()[1], recorded()[2]));
    for network in ["10.2.0.0/24", "10.3.0.0/24"] {
        let eroute = flow(("10.1.0.0/24", 0), (network, 0), 0);
        host.set_up(&add_flow(recorded()[1], 0, &eroute));
    }
    for network in ["10.4.0.0/24", "10.5.0.0/24"] {
        let eroute = flow(("10.1.0.0/24", 0), (network, 0), 0);
        host.set_up(&add_flow(said("%drop"), 0, &eroute));
    }
    for (socket, satype) in [(A, 3), (A, 9), (B, 2)] {
        host.write_from(socket, &message(msg::REGISTER, satype, &[]))
            .unwrap();
    }
    for number in [0, 12] {
        host.engine.add_interface(number, 7, &[]);
        let [low, high] = (49152 + number as u16).to_le_bytes();
        let interface = extension(ext::PLUMBIF, &[low, high, 0, 0]);
        host.set_up(&message(msg::PLUMBIF, 0, &[interface]));
    }
    host.drain();
    host
}

#[test]
fn page_that_fills_up_has_whole_lines_and_the_file_goes_on_after_them() {
    let host = host_with_all();
    for file in Listing::ALL {
        let all = host.listing(file);
        let longest = all.lines().map(|line| line.len() + 1).max().unwrap();
        let rooms = (longest..longest + 160).chain(all.len() - 1..all.len() + 2);
        for room in rooms.filter(|room| *room >= longest) {
            let (mut text, mut position) = (String::new(), 0);
            loop {
                let (page, end) = small_page(&host, file, position, room);
                text += &page;
                match end {
                    End::More(next) => {
                        assert!(next > position && page.ends_with('\n'), "{file:?} {room}");
                        // As much as fits: the next line would not have.
                        let rest = &all[text.len()..];
                        let line = rest.split_inclusive('\n').next().unwrap_or_default();
                        assert!(line.is_empty() || page.len() + line.len() > room);
                        position = next;
                    }
                    End::Over => break assert_eq!(page, ""),
                    End::TooSmall => panic!("{file:?}: {room} bytes are room for any line"),
                }
            }
            assert_eq!(text, all, "{file:?} {room}");
        }
    }
}

#[test]
fn page_without_room_for_its_first_line_is_too_small_and_stays_as_it_is() {
    let host = host_with_all();
    for file in Listing::ALL {
        let mut position = 0;
        while let Some((line, next)) = host.line(file, position) {
            for room in [0, 1, line.len() / 2, line.len() - 1] {
                let page = small_page(&host, file, position, room);
                assert_eq!(page, (String::new(), End::TooSmall), "{file:?} {room}");
            }
            let (page, end) = small_page(&host, file, position, line.len());
            assert_eq!((page, end), (line, End::More(next)), "{file:?}");
            position = next;
        }
        let page = small_page(&host, file, position, 0);
        assert_eq!(page, (String::new(), End::Over), "{file:?}");
    }
}

#[test]
fn page_ends_after_64_lines_or_sas_so_that_others_get_their_turn() {
    let host = TestHost::new();
    for index in 0..200 {
        host.set_up(&add(tun(index)));
    }
    for file in [Listing::SpiGrp, Listing::Spi] {
        let (text, end) = host.page(file, 0, &mut 0);
        assert_eq!((text.lines().count(), end), (64, End::More(65)));
    }
    // Of the first 64 SAs only the last has a line: it is the innermost.
    for index in (1..64).rev() {
        host.set_up(&pair(tun(index), tun(index - 1)));
    }
    let (text, end) = host.page(Listing::SpiGrp, 0, &mut 0);
    assert_eq!((text.lines().count(), end), (64, End::More(64 + 64)));
    // Now none of them has.
    host.set_up(&ungroup(tun(0)));
    for index in (2..=64).rev() {
        host.set_up(&pair(tun(index), tun(index - 1)));
    }
    host.set_up(&pair(tun(199), tun(0)));
    let (text, end) = host.page(Listing::SpiGrp, 0, &mut 0);
    assert_eq!((text.as_str(), end), ("", End::More(65)));
    let (text, _) = host.page(Listing::SpiGrp, 65, &mut 0);
    assert!(
        text.starts_with("tun0x1040@10.0.0.2 tun0x103f@10.0.0.2 "),
        "{text}"
    );
    assert_eq!(
        read_on(&host, Listing::SpiGrp, &mut 0, || ()),
        host.spigrp()
    );
}

#[test]
fn page_of_what_is_dropped_ends_after_64_eroutes_that_are_not() {
    let host = TestHost::new();
    let to = |name: &str, last: usize| {
        let network = format!("10.2.{last}.0/24");
        let eroute = flow(("10.1.0.0/24", 0), (network.as_str(), 0), 0);
        host.set_up(&add_flow(said(name), 0, &eroute));
    };
    (0..100).for_each(|last| to("%hold", last));
    to("%drop", 200);
    let file = Listing::ErouteDropped;
    let (text, end) = host.page(file, 0, &mut 0);
    assert_eq!((text.as_str(), end), ("", End::More(65)));
    let (text, end) = host.page(file, 65, &mut 0);
    assert_eq!((text.lines().count(), end), (1, End::More(102)));
    assert!(text.contains("-> 10.2.200.0/24 "), "{text}");
    assert_eq!(host.page(file, 102, &mut 0), (String::new(), End::Over));
    assert_eq!(read_on(&host, file, &mut 0, || ()), text);
}

#[test]
fn page_of_sockets_ends_after_64_that_are_registered_for_nothing() {
    let host = TestHost::new();
    (100..200).for_each(|socket| host.open(socket));
    host.write_from(199, &message(msg::REGISTER, 11, &[]))
        .unwrap();
    let file = Listing::PfKeyRegistered;
    let head = host.line(file, 0).unwrap();
    assert_eq!(head.1, 1);
    let (text, end) = host.page(file, 1, &mut 0);
    assert_eq!(text, "");
    let End::More(next) = end else {
        panic!("{end:?}");
    };
    let (text, end) = host.page(file, next, &mut 0);
    assert!(text.starts_with("    11 00000000000010c7 "), "{text}");
    assert_eq!(text.lines().count(), 1);
    let End::More(next) = end else {
        panic!("{end:?}");
    };
    assert_eq!(host.page(file, next, &mut 0), (String::new(), End::Over));
}

// --- Positions ----------------------------------------------------------------------------------

#[test]
fn position_0_and_1_are_the_beginning() {
    let host = TestHost::new();
    host.set_up(&add(said("tun.1000@10.0.0.2")));
    for file in [Listing::SpiGrp, Listing::Spi] {
        for position in [0, 1] {
            let (text, next) = host.line(file, position).expect("a line");
            assert_eq!(next, 2);
            assert!(
                text.starts_with("tun0x1000@10.0.0.2 ") && text.ends_with('\n'),
                "{text}"
            );
        }
        for position in [2, 3, 1 << 48, u64::MAX] {
            assert_eq!(host.line(file, position), None, "at {position}");
        }
    }
}

#[test]
fn reading_a_position_again_gives_the_same_line() {
    let host = TestHost::new();
    for said in recorded() {
        host.set_up(&add(said));
    }
    host.set_up(&pair(recorded()[3], recorded()[0]));
    for file in [Listing::SpiGrp, Listing::Spi] {
        let mut position = 0;
        while position < 6 {
            let read = host.line(file, position);
            assert_eq!(host.line(file, position), read);
            match read {
                Some((_, next)) => position = next,
                None => break,
            }
        }
    }
}

/// Reads pages up to the end, and lets something happen after each.
fn read_on(
    host: &TestHost,
    file: Listing,
    position: &mut u64,
    mut meanwhile: impl FnMut(),
) -> String {
    let (mut text, mut end) = (String::new(), 0);
    for _ in 0..100 {
        let (page, next) = host.page(file, *position, &mut end);
        text += &page;
        match next {
            End::More(next) => *position = next,
            End::Over => return text,
            End::TooSmall => panic!("a String has room"),
        }
        meanwhile();
    }
    panic!("{file:?} has no end");
}

#[test]
fn reading_ends_however_fast_others_add_and_who_reads_on_is_told_of_that() {
    for file in [Listing::SpiGrp, Listing::Spi] {
        let host = TestHost::new();
        let names = |text: &str| -> Vec<String> {
            let first = |line: &str| line.split(' ').next().unwrap().to_owned();
            text.lines().map(first).collect()
        };
        let expected = |range: std::ops::Range<usize>| -> Vec<String> {
            range.map(|index| tun(index).to_string()).collect()
        };
        let mut added = 0;
        let mut add_some = || {
            for _ in 0..100 {
                host.set_up(&add(tun(added)));
                added += 1;
            }
        };
        add_some();
        add_some();
        let mut position = 0;
        // 200 lines take four pages, the last of which is the end.
        let text = read_on(&host, file, &mut position, &mut add_some);
        assert_eq!(names(&text), expected(0..200), "{file:?}");
        let text = read_on(&host, file, &mut position, || ());
        let all = expected(200..host.state().sadb.len());
        assert_eq!(names(&text), all, "{file:?}");
        assert_eq!(read_on(&host, file, &mut position, || ()), "");
        assert_eq!(
            read_on(&host, file, &mut 0, || ()).lines().count(),
            200 + all.len()
        );
    }
}

#[test]
fn reading_of_sockets_ends_with_those_that_were_there() {
    for file in [Listing::PfKey, Listing::PfKeyRegistered] {
        let host = TestHost::new();
        let register = |socket| {
            host.open(socket);
            host.write_from(socket, &message(msg::REGISTER, 3, &[]))
                .unwrap();
        };
        (100..300).for_each(register);
        let there = host.listing(file).lines().count();
        let mut next = 1000;
        let text = read_on(&host, file, &mut 0, || {
            (next..next + 100).for_each(register);
            next += 100;
        });
        assert_eq!(text.lines().count(), there, "{file:?}");
        // It has them in order: those are the first.
        assert!(host.listing(file).starts_with(&text), "{file:?}");
    }
}

/// What happens between two lines that a reader reads.
#[derive(Clone, Debug)]
enum Change {
    Add,
    Delete(prop::sample::Index),
    Group(prop::sample::Index, prop::sample::Index),
    Ungroup(prop::sample::Index),
}

fn any_change() -> impl Strategy<Value = Change> {
    let index = any::<prop::sample::Index>;
    prop_oneof![
        2 => Just(Change::Add),
        2 => index().prop_map(Change::Delete),
        2 => (index(), index()).prop_map(|(one, other)| Change::Group(one, other)),
        1 => index().prop_map(Change::Ungroup),
    ]
}

fn tun(index: usize) -> Said {
    Said {
        dst: ip("10.0.0.2"),
        spi: 0x1000 + index as u32,
        proto: Proto::Tun,
    }
}

/// The chains of a table, by the text of their line.
fn chains(sadb: &Sadb) -> HashMap<String, Vec<Age>> {
    let mut chains = HashMap::new();
    for sa in sadb.sas_from(Age::FIRST).filter(|sa| sa.inext().is_none()) {
        let members: Vec<_> = sadb.chain(sa).collect();
        let line: String = members
            .iter()
            .map(|sa| format!("{} ", sa.spec.said()))
            .collect();
        chains.insert(line + "\n", members.iter().map(|sa| sa.age()).collect());
    }
    chains
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(80))]

    #[test]
    fn chains_that_nothing_happens_to_are_listed_once_whatever_happens_to_others(
        sas in 1..150usize,
        groups in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>()), 0..40),
        changes in prop::collection::vec(prop::collection::vec(any_change(), 0..6), 1..150),
    ) {
        let host = TestHost::new();
        for index in 0..sas {
            host.set_up(&add(tun(index)));
        }
        for (one, other) in groups {
            let _ = host.write(&pair(tun(one.index(sas)), tun(other.index(sas))));
        }
        let mut added = sas;
        let mut untouched: HashMap<String, Vec<Age>> = chains(&host.state().sadb);
        let mut readers = [Listing::SpiGrp, Listing::Spi].map(|file| (file, Some(0), Vec::new()));
        let mut changes = changes.into_iter();
        while readers.iter().any(|(_, position, _)| position.is_some()) {
            for (file, position, lines) in &mut readers {
                let Some(at) = *position else { continue };
                let (line, next) = host.line(*file, at).unzip();
                prop_assert!(line.as_ref().is_none_or(|line| !line.is_empty()));
                lines.extend(line);
                *position = next;
            }
            for change in changes.next().unwrap_or_default() {
                let _ = match change {
                    Change::Add => {
                        added += 1;
                        host.write(&add(tun(added - 1)))
                    }
                    Change::Delete(at) => host.write(&delete(tun(at.index(added)))),
                    Change::Group(one, other) => {
                        host.write(&pair(tun(one.index(added)), tun(other.index(added))))
                    }
                    Change::Ungroup(at) => host.write(&ungroup(tun(at.index(added)))),
                };
            }
            let now = chains(&host.state().sadb);
            untouched.retain(|line, members| now.get(line) == Some(members));
        }
        let [(_, _, spigrp), (_, _, spi)] = readers;
        for line in untouched.keys() {
            let times = spigrp.iter().filter(|other| *other == line).count();
            prop_assert_eq!(times, 1, "{}", line);
        }
        // In the other file no SA is listed twice, and none that stayed is missing.
        let names: Vec<&str> = spi.iter().map(|line| line.split_once(' ').unwrap().0).collect();
        let distinct: HashSet<&str> = names.iter().copied().collect();
        prop_assert_eq!(distinct.len(), names.len());
        for line in untouched.keys() {
            for name in line.split_whitespace() {
                prop_assert!(distinct.contains(name), "{}", name);
            }
        }
        host.check();
    }
}
