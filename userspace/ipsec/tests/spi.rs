// SPDX-License-Identifier: GPL-2.0

//! `ipsec spi` against the module's request engine.

mod common;

use common::{K16, K24, Machine, hex};
use insta::assert_snapshot;
use klips::errno::Errno;

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

#[test]
fn every_kind_of_sa() {
    let mut machine = Machine::new();
    let lines = format!(
        "ipsec spi --ip4 --af inet --edst 10.0.0.2 --spi 0x113 --proto tun --src 10.0.0.1 --dst 10.0.0.2
        spi --dst gw2 --src 10.0.0.1 --proto tun --spi 0x114 --edst gw2 --af inet --ip4
        spi --ip6 --said tun:233@3049:1::1 --src 3049:1::99 --dst 3049:1::1
        spi --ip6 --af inet6 --edst gw2 --spi 564 --proto tun --src ::1
        spi --ah hmac-md5-96 --said ah.116@gw2 --authkey {K16}
        spi --ah hmac-sha1-96 --said ah.126@gw2 --authkey {K20} --replay_window 32
        spi --ah hmac-sha2-256-128 --said ah.136@gw2 --authkey {K32}
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
        "spi --del --said esp.115@gw2",
        "spi --clear",
    ] {
        machine.quiet(line);
        for mut request in machine.kernel.sent.take() {
            request.bytes[12..16].fill(0);
            text += &format!("{}\n", hex(&request.bytes));
        }
    }
    assert_snapshot!(text);
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
        spi --esp null --said esp.115@gw2
        spi --esp null-md5 --said esp.115@gw2 --authkey {K16} --enckey {K16}
        spi --comp deflate --said comp.117@gw2 --enckey {K16}
        spi --ip4 --said tun.113@gw2 --authkey {K16}
        spi --del --said ah.116@gw2 --authkey {K16}
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
        "0X3031323334353637_3839616263646566",
        "0x30313233343536373839616263646566",
        "0sMDEyMzQ1Njc4OWFiY2RlZg==",
        "0sMDEy_MzQ1_Njc4OWFiY2RlZg==",
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
