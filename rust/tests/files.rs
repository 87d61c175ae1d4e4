// SPDX-License-Identifier: GPL-2.0

//! The files in `/proc/net` that are not of SAs: version, klipsdebug, pf_key, pf_key_registered,
//! pf_key_supported.

use klips::{
    listing::{Listing, VERSION},
    pfkey::{algorithm::ALGORITHMS, SaType},
};
use proptest::prelude::*;
use testbed::*;

fn register(host: &TestHost, socket: Socket, satype: u8) {
    host.write_from(socket, &message(msg::REGISTER, satype, &[]))
        .unwrap();
}

/// The columns of a file, its header left out.
fn columns(host: &TestHost, file: Listing) -> Vec<Vec<String>> {
    let text = host.listing(file);
    let rows = text.lines().skip(1);
    rows.map(|line| line.split_whitespace().map(str::to_owned).collect())
        .collect()
}

#[test]
fn version_is_one_line() {
    let host = TestHost::new();
    let want = format!("Klips version: {VERSION}\n");
    assert_eq!(host.listing(Listing::Version), want);
    assert_eq!(VERSION, env!("CARGO_PKG_VERSION"));
    for position in [1, 2, u64::MAX] {
        assert_eq!(host.line(Listing::Version, position), None);
    }
}

#[test]
fn klipsdebug_has_a_line_for_each_mask_as_the_last_request_left_it() {
    let host = TestHost::new();
    let names = [
        "tunnel", "xform", "eroute", "spi", "radij", "esp", "ah", "rcv", "pfkey",
    ];
    let none: String = names
        .map(|name| format!("debug_{name}=00000000.\n"))
        .concat();
    assert_eq!(host.listing(Listing::KlipsDebug), none);
    // Masks in the order of the message; netlink, ipcomp and verbose have no line.
    let masks: [u32; 12] = [1, 0xffff_ffff, 3, 4, 5, 6, 7, 8, 0xabcd_ef09, 0x10, 11, 12];
    let mut body: Vec<u8> = masks.into_iter().flat_map(u32::to_ne_bytes).collect();
    body.extend([0; 4]);
    let request = message(msg::DEBUG, 0, &[extension(ext::DEBUG, &body)]);
    host.write(&request).unwrap();
    let shown = [1, 3, 4, 5, 6, 7, 8, 0xabcd_ef09, 0x10];
    let want: String = names
        .iter()
        .zip(shown)
        .map(|(name, mask): (_, u32)| format!("debug_{name}={mask:08x}.\n"))
        .collect();
    assert_eq!(host.listing(Listing::KlipsDebug), want);
}

#[test]
fn pf_key_has_a_line_for_each_socket_in_the_order_of_opening() {
    let host = TestHost::new();
    let header =
        "    sock   pid   socket     next     prev e n p sndbf    Flags     Type St  lost\n";
    let line = |socket: Socket, lost: u32| {
        let inode = 0x1000 + socket;
        let pid = 30 + socket;
        format!("{inode:016x} {pid:5} {inode:016x} 0 2 212992 00000000        3  1 {lost:5}\n")
    };
    let file = |lines: &[String]| header.to_owned() + &lines.concat();
    assert_eq!(
        host.listing(Listing::PfKey),
        file(&[line(A, 0), line(B, 0)])
    );
    // A number that was used before is nothing special.
    host.close(A);
    host.open(7);
    host.open(A);
    let want = file(&[line(B, 0), line(7, 0), line(A, 0)]);
    assert_eq!(host.listing(Listing::PfKey), want);
    // Lost messages are counted.
    host.full.borrow_mut().insert(7);
    for index in 0..3 {
        host.write(&add(said(&format!("tun.{:x}@10.0.0.2", 0x1000 + index))))
            .unwrap();
    }
    let want = file(&[line(B, 0), line(7, 3), line(A, 0)]);
    assert_eq!(host.listing(Listing::PfKey), want);
    for socket in [A, B, 7] {
        host.close(socket);
    }
    assert_eq!(host.listing(Listing::PfKey), header);
}

#[test]
fn pf_key_registered_has_a_line_for_each_socket_and_type() {
    let host = TestHost::new();
    let header = "satype   socket   pid       sk\n";
    assert_eq!(host.listing(Listing::PfKeyRegistered), header);
    for satype in [3, 11, 2] {
        register(&host, B, satype);
    }
    for satype in [9, 3, 3, 1] {
        register(&host, A, satype);
    }
    let line = |satype: u8, socket: Socket| {
        let inode = 0x1000 + socket;
        let pid = 30 + socket;
        format!("    {satype:2} {inode:016x} {pid:5} {inode:016x}\n")
    };
    let of_a = [line(1, A), line(3, A), line(9, A)].concat();
    let of_b = [line(2, B), line(3, B), line(11, B)].concat();
    let want = [header, &of_a, &of_b].concat();
    assert_eq!(host.listing(Listing::PfKeyRegistered), want);
    host.close(A);
    let want = [header, &of_b].concat();
    assert_eq!(host.listing(Listing::PfKeyRegistered), want);
}

#[test]
fn pf_key_supported_has_a_line_for_each_algorithm_that_register_tells() {
    let host = TestHost::new();
    let text = host.listing(Listing::PfKeySupported);
    let header = "satype exttype alg_id ivlen minbits maxbits name";
    assert_eq!(text.lines().next(), Some(header));
    let rows = columns(&host, Listing::PfKeySupported);
    let mut want = Vec::new();
    for satype in [2, 3, 9, 10, 11] {
        register(&host, A, satype);
        let reply = host.read(A).remove(0);
        for number in [ext::SUPPORTED_ENCRYPT, ext::SUPPORTED_AUTH] {
            for (_, list) in exts_of(&reply).into_iter().filter(|(n, _)| *n == number) {
                for alg in list[8..].chunks(8) {
                    let bits = |at: usize| u16::from_ne_bytes([alg[at], alg[at + 1]]);
                    want.push(vec![
                        satype.to_string(),
                        number.to_string(),
                        alg[0].to_string(),
                        alg[1].to_string(),
                        bits(2).to_string(),
                        bits(4).to_string(),
                    ]);
                }
            }
        }
    }
    let told: Vec<_> = rows.iter().map(|row| row[..6].to_vec()).collect();
    assert_eq!(told, want);
    // Each has a name; those of the table are there.
    assert!(rows.iter().all(|row| row.len() == 7));
    for algorithm in ALGORITHMS {
        let suits = SaType::ALL
            .iter()
            .filter(|satype| algorithm.suits(**satype));
        let name = match algorithm.proc_name {
            "" => continue,
            name => name.trim_start_matches('_'),
        };
        let times = rows.iter().filter(|row| row[6] == name).count();
        assert_eq!(times, suits.count(), "{name}");
    }
    let aes = "     3      15     12   128     128     256                  AES\n";
    assert!(text.contains(aes), "{text}");
}

#[test]
fn positions_beyond_the_end_are_the_end() {
    let host = TestHost::new();
    register(&host, A, 3);
    for file in Listing::ALL {
        for position in [1 << 20, 1 << 40, u64::MAX - 1, u64::MAX] {
            assert_eq!(host.line(file, position), None, "{file:?} {position}");
        }
    }
}

/// What happens between two lines that a reader reads.
#[derive(Clone, Debug)]
enum Change {
    Open,
    Close(prop::sample::Index),
    Register(prop::sample::Index, u8),
}

fn any_change() -> impl Strategy<Value = Change> {
    let index = any::<prop::sample::Index>;
    prop_oneof![
        2 => Just(Change::Open),
        2 => index().prop_map(Change::Close),
        2 => (index(), 1..=11u8).prop_map(|(at, satype)| Change::Register(at, satype)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn sockets_that_stay_are_listed_once_in_order_whatever_comes_and_goes(
        registered in prop::collection::vec((0..20u32, 1..=11u8), 0..60),
        changes in prop::collection::vec(prop::collection::vec(any_change(), 0..4), 1..80),
    ) {
        let host = TestHost::new();
        let mut open: Vec<Socket> = vec![A, B];
        for socket in 3..=20 {
            host.open(socket);
            open.push(socket);
        }
        let mut stay = open.clone();
        let mut pairs = std::collections::BTreeSet::new();
        for (at, satype) in registered {
            register(&host, open[at as usize], satype);
            pairs.insert((open[at as usize], satype));
        }
        let mut readers = [Listing::PfKey, Listing::PfKeyRegistered]
            .map(|file| (file, Some(0), Vec::<String>::new()));
        let (mut changes, mut opened) = (changes.into_iter(), 20);
        while readers.iter().any(|(_, position, _)| position.is_some()) {
            for (file, position, lines) in &mut readers {
                let Some(at) = *position else { continue };
                let (line, next) = host.line(*file, at).unzip();
                // One of a socket that went is passed over.
                lines.extend(line.filter(|line| !line.is_empty()));
                *position = next;
                prop_assert!(position.is_none_or(|next| next > at));
            }
            for change in changes.next().unwrap_or_default() {
                match change {
                    Change::Open => {
                        opened += 1;
                        host.open(opened);
                        open.push(opened);
                    }
                    Change::Close(_) if open.len() == 1 => (),
                    Change::Close(at) => {
                        let socket = open.remove(at.index(open.len()));
                        host.close(socket);
                        stay.retain(|other| *other != socket);
                    }
                    Change::Register(at, satype) => {
                        register(&host, open[at.index(open.len())], satype);
                    }
                }
            }
        }
        let socket = |text: &str| Socket::from_str_radix(text, 16).unwrap() - 0x1000;
        let [(_, _, sockets), (_, _, registered)] = readers;
        // Numbers of sockets are given in the order of opening here.
        let listed: Vec<Socket> = (sockets[1..].iter())
            .map(|line| socket(&line[..16]))
            .collect();
        prop_assert!(listed.windows(2).all(|pair| pair[0] < pair[1]), "{listed:?}");
        for socket in &stay {
            prop_assert!(listed.contains(socket), "{socket} of {listed:?}");
        }
        let listed: Vec<(Socket, u8)> = (registered[1..].iter())
            .map(|line| (socket(&line[7..23]), line[..6].trim().parse().unwrap()))
            .collect();
        prop_assert!(listed.windows(2).all(|pair| pair[0] < pair[1]), "{listed:?}");
        for pair in pairs.iter().filter(|(socket, _)| stay.contains(socket)) {
            prop_assert!(listed.contains(pair), "{pair:?} of {listed:?}");
        }
    }
}
