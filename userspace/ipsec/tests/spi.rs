// SPDX-License-Identifier: GPL-2.0

//! `ipsec spi` against the module's request engine.

use crate::common::{K16, K24, Machine, hex};
use insta::assert_snapshot;
use klips::{
    errno::Errno,
    pfkey::algorithm::{ALGORITHMS, Purpose, compress, encrypt},
};

const K20: &str = "0x000102030405060708090a0b0c0d0e0f10111213";
const K32: &str = "0s3sD2j8f3pTqVEkQ3y5dQ3sD2j8f3pTqVEkQ3y5dQAAA=";

#[test]
fn help_version_and_labels() {
    assert_snapshot!(Machine::new().session(
        "ipsec spi --help
        spi --label foo --help
        spi --version
        ipsec spi --label foo --version
        spi --vers
        spi
        spi --label foo
        spi --label
        spi --bogus
        spi --label foo --bogus
        spi --bogus --label=foo
        spi --label foo --label bar
        spi -x
        spi word
        spi --spi 0x100 --spi 0x101
        spi --s 1
        spi --clear=yes"
    ));
}

/// As a list has it, or a mail: blanks around what names an SA are nothing, and what is wrong can be
/// seen.
#[test]
fn names_with_blanks_around_them() {
    let mut machine = Machine::new();
    machine.files.insert(
        "sas".to_owned(),
        "\
--ip4 --said 'tun0x113@10.0.0.2 ' --src ' 10.0.0.1'
--ip4 --af ' inet' --edst '10.0.0.2 ' --spi ' 0x114\t' --proto 'tun ' --src \"\u{a0}gw2\"
--del --said \" tun.114@gw2\r\"
--ip4 --said '\u{feff}tun.115@gw2'
--ip4 --said 'tun.115 @gw2'
--ip4 --said ' '
--ip4 --edst '\u{200b}gw2' --spi 0x115 --proto tun
--ip4 --edst gw2 --spi '0x115 6' --proto tun
--ip4 --edst gw2 --spi ' ' --proto tun
--ip4 --edst gw2 --spi 0x115 --proto 't\u{200b}un'
--ip4 --af 'in et' --edst gw2 --spi 0x115 --proto tun
--ip4 --said tun.115@gw2 --replay_window '1 '
--ip4 --said tun.115@gw2 --life 'hard-bytes\u{200b}=1'
--ip4 --said tun.115@gw2 --natt '\u{feff}none'
--ip4 --said tun.115@gw2 --outif '1 '
"
        .into(),
    );
    machine.files.insert(
        "groups".to_owned(),
        "\
--said 'tun0x113@10.0.0.2 ' '\tesp.115@gw2'
' inet' 'gw2 ' ' 0x113 ' 'tun '
inet 'gw2\u{feff}' 0x113 tun
inet gw2 '\u{feff}0x113' tun
inet gw2 0x113 '\u{feff}tun'
'\u{feff}inet' gw2 0x113 tun
--ungroup ' tun.113@gw2 '
"
        .into(),
    );
    assert_snapshot!(machine.session(
        "spi --keep-going --batch sas
        spigrp --keep-going --batch groups"
    ));
}

#[test]
fn soft_limits_above_hard_ones_are_told_of() {
    let mut machine = Machine::new();
    assert_snapshot!(machine.session(
        "spi --ip4 --said tun.101@gw2 --life soft-bytes=2,hard-bytes=1,soft-packets=3,hard-packets=3
        spi --get --said tun.101@gw2
        spi --ip4 --said tun.102@gw2 --label l --life soft-addtime=9,hard-addtime=8,soft-usetime=7,soft-allocations=5,hard-allocations=4
        spi --ip4 --said tun.103@gw2 --life soft-usetime=7 --json"
    ));
}

#[test]
fn spis_of_ipcomp_have_16_bits() {
    let mut machine = Machine::new();
    assert_snapshot!(machine.session(
        "spi --comp deflate --said comp.ffff@gw2
        spi --comp deflate --said comp.10000@gw2
        spi --comp lzs --af inet --edst gw2 --spi 65536 --proto comp
        spi --del --said comp.10000@gw2
        spi --ip4 --said tun.10000@gw2"
    ));
}

#[test]
fn every_kind_of_sa() {
    let mut machine = Machine::new();
    let lines = format!(
        "ipsec spi --ip4 --af inet --edst 10.0.0.2 --spi 0x113 --proto tun --src 10.0.0.1 --dst 10.0.0.2
        spi --dst gw2 --src 10.0.0.1 --proto tun --spi 0x114 --edst gw2 --af inet --ip4
        spi --ip6 --said tun:233@3049:1::1 --src 3049:1::99 --dst 3049:1::1
        spi --ip6 --af inet6 --edst gw2 --spi 564 --proto tun --src ::1
        spi --ip6 --edst gw2 --spi 565 --proto tun --src gw2
        spi --src ::1 --spi 566 --edst gw2 --proto tun --ip6 --af inet6
        spi --ah hmac-md5-96 --said ah.116@gw2 --authkey {K16}
        spi --ah hmac-sha1-96 --said ah.126@gw2 --authkey {K20} --replay_window 32
        spi --ah hmac-sha2-256-128 --said ah.136@gw2 --authkey {K32}
        spi --ah hmac-sha2-256-96 --said ah.137@gw2 --authkey {K32}
        spi --ah sha384 --said ah.146@gw2 --authkey 0t................................................
        spi --ah hmac_sha2_512 --said ah.156@gw2 --authkey 0t................................................................
        spi --esp 3des-md5-96 --said esp.115@gw2 --enckey {K24} --authkey {K16}
        spi --esp 3des-sha1-96 --said esp.125@gw2 --enckey {K24} --authkey {K20} --iv 0x0102030405060708
        spi --esp 3des --said esp.135@gw2 --enckey {K24}
        spi --esp aes128-sha1 --said esp.145@gw2 --enckey {K16} --authkey {K20} --replay_window=64
        spi --esp aes-192-hmac-md5 --said esp.155@gw2 --enckey {K24} --authkey {K16}
        spi --esp aes256-sha2-256-128 --said esp.165@gw2 --enckey {K32} --authkey {K32}
        spi --esp aes --said esp.175@gw2 --enckey {K24}
        spi --esp null-sha1-96 --said esp.185@gw2 --authkey {K20}
        spi --comp deflate --af inet --edst 10.0.0.2 --spi 0x117 --proto comp --src 10.0.0.1
        spi --ip4 --said tun.100@gw2
        spi
        ipsec_spi --debug --label all"
    );
    assert_snapshot!(machine.session(&lines));
}

#[test]
fn messages_byte_for_byte() {
    let mut machine = Machine::new();
    let mut text = String::new();
    for line in [
        &format!(
            "spi --esp 3des-md5-96 --said esp.115@gw2 --src 10.0.0.1 --enckey {K24} --authkey {K16} --replay_window 5 --life soft-bytes=1000,hard-bytes=0x800 --natt nonesp --sport 4500 --dport 50000"
        ),
        "spi --comp lzs --said comp.127@gw2",
        "spi --get --said esp.115@gw2 --src 10.0.0.1",
        "spi --del --said esp.115@gw2",
        "spi --ip6 --said tun:233@3049:1::1 --sarefme 5 --sarefhim 6 --outif 0xc001",
        &format!("spi --esp aes_gcm_c-128-null --said esp.125@gw2 --enckey {K20}"),
        "spi --clear",
    ] {
        assert_eq!(machine.run(line), 0);
        for mut request in machine.kernel.sent.take() {
            request.bytes[12..16].fill(0);
            text += &format!("{}\n", hex(&request.bytes));
        }
    }
    assert_snapshot!(text);
}

#[test]
fn limits_may_have_blanks_between_them() {
    let mut machine = Machine::new();
    let line = "--ip4 --said tun.101@gw2 --life 'soft-bytes=1 hard-bytes=2,hard-packets=3'";
    machine
        .files
        .insert("sa".to_owned(), line.as_bytes().to_vec());
    assert_eq!(machine.run("spi --batch sa"), 0);
    let list = machine.kernel.host.spi();
    assert!(
        list.contains("bytes(0,1,2)addtime(0,0,0)packets(0,0,3)"),
        "{list}"
    );
}

#[test]
fn lifetimes() {
    let mut machine = Machine::new();
    assert_snapshot!(machine.session(
        "spi --ip4 --said tun.101@gw2 --life soft-allocations=1,hard-allocations=2,soft-bytes=0x10000000000,hard-bytes=20000000000000,soft-addtime=010,hard-addtime=100
        spi --ip4 --said tun.102@gw2 --life hard-usetime=4,hard-packets=4294967295 --life soft-usetime=3
        spi --ip4 --said tun.103@gw2 --life hard-bytes=0xffffffffffffffff
        spi
        spi --ip4 --said tun.104@gw2 --life hard-bytes
        spi --ip4 --said tun.104@gw2 --life \"\"
        spi --ip4 --said tun.104@gw2 --life bytes=3
        spi --ip4 --said tun.104@gw2 --life firm-bytes=3
        spi --ip4 --said tun.104@gw2 --life hard-byte=3
        spi --ip4 --said tun.104@gw2 --life hard-bytes=
        spi --ip4 --said tun.104@gw2 --life hard-bytes=-3
        spi --ip4 --said tun.104@gw2 --life hard-bytes=0x1ffffffffffffffff
        spi --ip4 --said tun.104@gw2 --life hard-packets=4294967296
        spi --ip4 --said tun.104@gw2 --life hard-bytes=3,hard-bytes=4
        spi --ip4 --said tun.104@gw2 --life hard-bytes=3,
        spi --del --said tun.104@gw2 --life hard-bytes=3"
    ));
}

#[test]
fn nat_traversal() {
    let mut machine = Machine::new();
    let esp = |rest: &str| format!("spi --esp 3des --enckey {K24} {rest}\n");
    let lines = [
        "--said esp.101@gw2 --natt nonesp --sport 4500 --dport 50000",
        "--said esp.102@gw2 --natt NonIKE",
        "--said esp.103@gw2 --natt 2 --dport 0xffff",
        "--said esp.104@gw2 --natt none",
        "--said esp.105@gw2 --natt 3",
        "--said esp.105@gw2 --natt yes",
        "--said esp.105@gw2 --natt 1 --sport 65536",
        "--said esp.105@gw2 --natt 1 --dport http",
        "--said esp.105@gw2 --sport 4500",
        "--said esp.105@gw2 --natt none --dport 4500",
    ]
    .map(esp)
    .concat();
    assert_snapshot!(machine.session(&format!("{lines}spi")));
}

#[test]
fn bad_arguments() {
    let mut machine = Machine::new();
    assert_snapshot!(machine.session(
        "spi --del
        spi --ip4 --af inet
        spi --ip4 --edst gw2
        spi --ip4 --edst gw2 --spi 0x113
        spi --said tun.113@gw2
        spi --listenreply
        spi --ip4 --ip6 --said tun.113@gw2
        spi --clear --del
        ipsec spi --label x --ah hmac-md5-96 --esp 3des --said ah.116@gw2
        spi --ip4 --said tun.113@gw2 --edst gw2
        spi --ip4 --said tun.113@gw2 --proto tun
        spi --ip4 --said tun.113@gw2 --af inet6
        spi --ip6 --said tun.113@gw2
        spi --ip4 --said tun:113@3049:1::1
        spi --ip6 --af inet --edst gw2 --spi 0x113 --proto tun
        spi --ah md5 --said ah.113@gw2 --af inet6
        spi --ip4 --said tun.113@gw2 --said tun.114@gw2
        spi --ip4 --edst gw2 --edst gw1 --spi 0x113 --proto tun
        spi --ip4 --edst gw2 --spi 0x113 --spi 0x114 --proto tun
        spi --ip4 --edst gw2 --spi 0x113 --proto tun --proto esp
        spi --ip4 --af inet --af inet --said tun.113@gw2
        spi --ip4 --said tun.113@gw2 --src gw2 --src gw2
        spi --ip4 --said tun.113@gw2 --dst gw2 --dst gw2
        spi --clear --said tun.113@gw2
        spi --clear --authkey 0x00
        spi --get --clear
        spi --ip4 --said tun.113@gw2 --af ipx
        spi --ip4 --said tun.113@gw2 --src 3049:1::1
        spi --ip4 --said tun.113@gw2 --dst nowhere
        spi --ip4 --said tun.113@gw2 --src \"\"
        spi --ip4 --said tun.113
        spi --ip4 --said tun.ff@gw2
        spi --ip4 --said %pass
        spi --ip4 --edst gw2 --spi 0xff --proto tun
        spi --del --edst gw2 --spi 0 --proto tun
        spi --ip4 --edst gw2 --spi 12x --proto tun
        spi --ip4 --edst gw2 --spi -1 --proto tun
        spi --ip4 --edst gw2 --spi= --proto tun
        spi --ip4 --edst gw2 --spi 0x100000000 --proto tun
        spi --ip4 --edst 10.0.0.300 --spi 0x113 --proto tun
        spi --ip4 --af inet6 --edst 10.0.0.2 --spi 0x113 --proto tun
        spi --ip4 --edst nowhere --spi 0x113 --proto tun
        spi --ip4 --edst gw2 --spi 0x113 --proto TUN
        spi --ip4 --edst gw2 --spi 0x113 --proto int
        spi --ip4 --edst gw2 --spi 0x113 --proto esp
        spi --comp deflate --said esp.113@gw2
        spi --ah foo --said ah.116@gw2
        spi --esp foo --said esp.116@gw2
        spi --esp 3des- --said esp.116@gw2
        spi --esp 3desmd5 --said esp.116@gw2
        spi --esp 3des-md4 --said esp.116@gw2
        spi --esp \"\" --said esp.116@gw2
        spi --comp zip --said comp.117@gw2
        spi --ip4 --said tun.113@gw2 --replay_window 0
        spi --ip4 --said tun.113@gw2 --replay_window 65
        spi --ip4 --said tun.113@gw2 --replay_window many
        (sent)"
    ));
}

#[test]
fn bad_keys() {
    let mut machine = Machine::new();
    let lines = format!(
        "spi --ah hmac-md5-96 --said ah.116@gw2
        spi --ah hmac-md5-96 --said ah.116@gw2 --authkey 0x00
        spi --ah hmac-md5-96 --said ah.116@gw2 --authkey {K20}
        spi --ah hmac-md5-96 --said ah.116@gw2 --authkey secret
        spi --ah hmac-md5-96 --said ah.116@gw2 --authkey 0y00
        spi --ah hmac-md5-96 --said ah.116@gw2 --authkey 0x0
        spi --ah hmac-md5-96 --said ah.116@gw2 --authkey 0xzz
        spi --ah hmac-md5-96 --said ah.116@gw2 --authkey 0X00112233445566778899aabbccddeeff
        spi --ah hmac-md5-96 --said ah.116@gw2 --authkey 0x001122334455667_78899aabbccddeeff
        spi --ah hmac-md5-96 --said ah.116@gw2 --authkey 0x0011223344556677__8899aabbccddeeff
        spi --ah hmac-md5-96 --said ah.116@gw2 --authkey 0x00112233445566778899aabbccddeeff_
        spi --ah hmac-md5-96 --said ah.116@gw2 --authkey 0x
        spi --ah hmac-md5-96 --said ah.116@gw2 --authkey 0t
        spi --ah hmac-md5-96 --said ah.116@gw2 --authkey 0s!!
        spi --ah hmac-md5-96 --said ah.116@gw2 --authkey \u{e4}\u{f6}
        spi --ah hmac-md5-96 --said ah.116@gw2 --authkey 0
        spi --ah hmac-md5-96 --said ah.116@gw2 --authkey \"\"
        spi --ah hmac-md5-96 --said ah.116@gw2 --authkey {K16} --enckey {K24}
        spi --esp 3des --said esp.115@gw2 --enckey {K24} --authkey {K16}
        spi --esp 3des --said esp.115@gw2 --enckey {K16}
        spi --esp 3des-sha1-96 --said esp.115@gw2 --enckey {K24} --authkey {K16}
        spi --esp aes --said esp.115@gw2 --enckey {K20}
        spi --esp aes128 --said esp.115@gw2 --enckey {K24}
        spi --esp aes-ccm-8 --said esp.115@gw2
        spi --esp aes_gcm_c-256-null --said esp.115@gw2 --enckey 0t................................
        spi --esp chacha20-poly1305 --said esp.115@gw2 --enckey {K20}
        spi --esp aes-ctr128-sha1 --said esp.115@gw2 --enckey {K16} --authkey {K20}
        spi --esp aes-gcm-16 --said esp.115@gw2 --enckey {K20} --authkey {K20}
        spi --esp aes-gcm-16-sha1 --said esp.115@gw2 --enckey {K20} --authkey {K20}
        spi --esp null --said esp.115@gw2
        spi --esp null-md5 --said esp.115@gw2 --authkey {K16} --enckey {K16}
        spi --esp 3des --said esp.115@gw2 --enckey 0q
        spi --comp deflate --said comp.117@gw2 --enckey {K16}
        spi --ip4 --said tun.113@gw2 --authkey {K16}
        spi --del --said ah.116@gw2 --authkey {K16}
        spi --ah md5 --said ah.116@gw2 {K16}
        spi --ah md5 --said ah.116@gw2 --authkey{K16}
        spi --ah md5 --said ah.116@gw2 --auth_key={K16}
        spi --clear={K16}
        spi -a {K16}
        (sent)"
    );
    let text = machine.session(&lines);
    assert_snapshot!(text);
    // Nothing that is printed has any of a key in it.
    for line in text.lines().filter(|line| line.starts_with('!')) {
        assert!(!line.contains("secret") && !line.contains("0011"), "{line}");
    }
}

#[test]
fn key_formats() {
    let mut machine = Machine::new();
    let mut keys = Vec::new();
    for key in [
        "0x30313233343536373839616263646566",
        "0x3031323334353637_3839616263646566",
        "0x30313233343536373839616263646566",
        "0sMDEyMzQ1Njc4OWFiY2RlZg==",
        "0sMDEy_MzQ1_Njc4OWFi_Y2Rl_Zg==",
        "0t0123456789abcdef",
    ] {
        machine.quiet("spi --clear");
        machine.kernel.sent.take();
        machine.quiet(&format!("spi --ah md5 --said ah.116@gw2 --authkey {key}"));
        let sent = machine.kernel.sent.take();
        keys.push(sent[0].bytes[16 + 24 * 3..].to_vec());
    }
    assert!(keys.iter().all(|key| *key == keys[0]));
    assert_eq!(keys[0][8..], *b"0123456789abcdef");
}

/// The names in a list, as messages have it.
fn names(list: &str) -> Vec<&str> {
    list.split(", ").collect()
}

/// The list of known algorithms in what is said of one that nobody knows.
fn known(machine: &mut Machine, option: &str) -> String {
    let text = machine.session(&format!("spi --{option} ? --said {option}.100@gw2"));
    let (_, list) = text.split_once("Known: ").unwrap();
    list.split_once(".\n").unwrap().0.to_owned()
}

/// The numbers of bytes in what is said of a key that is missing.
fn lengths(text: &str) -> Vec<usize> {
    let (_, text) = text.split_once(" has ").unwrap();
    let (numbers, _) = text.split_once(" bytes").unwrap();
    let numbers = numbers.replace(" or ", ", ");
    names(&numbers).iter().map(|n| n.parse().unwrap()).collect()
}

/// Adds an SA with keys of every length that is asked for, which the kernel has to take, and tries
/// those that are a byte shorter or longer, of which it must not hear. Returns the numbers of the
/// algorithm and the lengths of the key.
fn try_keys(line: &str, option: &str) -> (u8, u8, Vec<u16>) {
    let mut machine = Machine::new();
    let asked = lengths(&machine.session(line));
    let with_key = |bytes: usize| format!("{line} --{option} 0x{}", "5a".repeat(bytes));
    for bytes in asked.iter().flat_map(|bytes| [bytes - 1, bytes + 1]) {
        assert_eq!(machine.run(&with_key(bytes)), 2, "{line}, {bytes} bytes");
    }
    assert!(machine.kernel.sent.borrow().is_empty());
    let mut numbers = (0, 0);
    for bytes in &asked {
        machine.quiet(&with_key(*bytes));
        machine.quiet("spi --clear");
        let sent = machine.kernel.sent.take();
        numbers = (sent[0].bytes[16 + 10], sent[0].bytes[16 + 11]);
    }
    let bits = asked.into_iter().map(|bytes| bytes as u16 * 8).collect();
    (numbers.0, numbers.1, bits)
}

#[test]
fn every_algorithm_of_the_kernel_can_be_had_with_keys_as_long_as_is_told() {
    let mut found = Vec::new();
    let mut machine = Machine::new();

    for name in names(&known(&mut machine, "ah")) {
        let (auth, encrypt, bits) =
            try_keys(&format!("spi --ah {name} --said ah.100@gw2"), "authkey");
        assert_eq!(encrypt, 0);
        found.push((Purpose::Auth, auth, bits));
    }

    let esp = known(&mut machine, "esp");
    let (ciphers, combined) = esp.split_once("; ").unwrap();
    let (ciphers, auths) = ciphers.split_once(", each with ").unwrap();
    let (_, auths) = auths.split_once('(').unwrap();
    let (auths, _) = auths.split_once(')').unwrap();
    for (list, purpose) in [(ciphers, Purpose::Encrypt), (combined, Purpose::Combined)] {
        for name in names(list).into_iter().filter(|name| *name != "null") {
            let (auth, encrypt, bits) =
                try_keys(&format!("spi --esp {name} --said esp.100@gw2"), "enckey");
            assert_eq!(auth, 0);
            found.push((purpose, encrypt, bits));
        }
    }
    for (name, number) in names(auths).iter().zip(found.clone()) {
        let (auth, encrypt, bits) = try_keys(
            &format!("spi --esp null-{name} --said esp.100@gw2"),
            "authkey",
        );
        assert_eq!((Purpose::Auth, auth, bits), number);
        assert_eq!(encrypt, encrypt::NULL);
    }

    for name in names(&known(&mut machine, "comp")) {
        machine.quiet("spi --clear");
        machine.quiet(&format!("spi --comp {name} --said comp.100@gw2"));
        let number = machine.kernel.sent.take()[1].bytes[16 + 11];
        found.push((Purpose::Compress, number, vec![0]));
    }

    // The null cipher has been tried, and the kernel takes any compression.
    found.push((Purpose::Encrypt, encrypt::NULL, vec![0]));
    found.retain(|(purpose, number, _)| (*purpose, *number) != (Purpose::Compress, compress::LZS));
    let mut table: Vec<_> = ALGORITHMS
        .iter()
        .filter(|algorithm| algorithm.purpose != Purpose::Tunnel)
        .map(|algorithm| (algorithm.purpose, algorithm.id, algorithm.key_bits.to_vec()))
        .collect();
    for list in [&mut table, &mut found] {
        list.sort_by_key(|(purpose, number, _)| (*purpose as u8, *number));
    }
    assert_eq!(found, table);
}

#[test]
fn deleting() {
    let mut machine = Machine::with_four();
    assert_snapshot!(machine.session(
        "spigrp --said tun.113@gw2 esp.115@gw2
        spi --del --af inet --edst 10.0.0.2 --spi 0x115 --proto esp
        (sent)
        spigrp
        spi --del --said esp.115@10.0.0.2
        ipsec spi --label gone --del --said tun.999@10.0.0.2
        spi --debug --del --said ah.116@gw2 --src 10.0.0.1
        spi --listenreply --clear
        spigrp
        spi --clear"
    ));
}

#[test]
fn refusals() {
    let mut machine = Machine::with_four();
    machine.run("spi --ip4 --said tun.113@10.0.0.2");
    machine.run("spi --comp lzs --af inet --edst gw2 --spi 0x117 --proto comp");
    for errno in [1, 2, 3, 12, 17, 22, 95, 105] {
        *machine.kernel.refuse.borrow_mut() = Some(Box::new(move |_| Some(Errno(errno))));
        machine.run("ipsec spi --label no --ip4 --said tun.200@gw2");
    }
    machine.run("spi --clear");
    *machine.kernel.refuse.borrow_mut() = None;
    machine.kernel.mute.set(true);
    machine.run("spi --clear");
    assert_snapshot!(machine.session(""));
}
