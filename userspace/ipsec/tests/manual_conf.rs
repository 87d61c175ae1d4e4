// SPDX-License-Identifier: GPL-2.0

//! The files that `ipsec manual` reads: their grammar, what is wrong in them, and what real ones
//! have.

use crate::common::{K16, K24, Machine};
use insta::assert_snapshot;
use std::fmt::Write;

const CONF: &str = "/etc/klips/ipsec.conf";

/// What is said of a file, by the connection `c` in it.
fn said_of(conf: &str) -> String {
    let mut machine = Machine::new();
    machine.files.insert(CONF.into(), conf.into());
    let text = machine.session("ipsec manual --showonly --up c");
    text.lines().skip(1).collect::<Vec<_>>().join("\n")
}

/// A connection that makes sense, but for what `instead` says.
fn conn(instead: &str) -> String {
    let mut params = vec![
        ("left", "10.0.0.1"),
        ("right", "10.0.0.2"),
        ("spi", "0x200"),
        ("esp", "3des-md5-96"),
        ("espenckey", K24),
        ("espauthkey", K16),
    ];
    let changes: Vec<_> = instead
        .lines()
        .filter_map(|line| line.split_once('='))
        .collect();
    params.retain(|(name, _)| changes.iter().all(|(changed, _)| changed != name));
    let mut text = "conn c\n".to_owned();
    for (name, value) in params {
        writeln!(text, "\t{name}={value}").unwrap();
    }
    for (name, value) in changes {
        writeln!(text, "\t{name}={value}").unwrap();
    }
    text
}

/// Every way to write the same.
#[test]
fn one_connection_in_many_ways() {
    let plain = said_of(&conn(""));
    assert!(
        plain.contains("--enckey 0x") && !plain.contains('!'),
        "{plain}"
    );
    let files = [
        // Comments, blanks, blank lines, another encoding, the ends of lines of Windows.
        format!(
            "\u{feff}# c\nversion 2\n\nconn c # the one\n# not indented\n\n  \n{}",
            &conn("")[7..]
        ),
        conn("").replace('\n', "\r\n"),
        conn("").replace('=', "  =\t"),
        conn("").replace("10.0.0.1", "\"10.0.0.1\"   # here"),
        conn("").replace("0x200", "0x200\t#no"),
        conn("").replace("\tspi=", "\tSPI="),
        // Other sections, with what nobody knows.
        format!(
            "ca x\n\tfoo=1\nconn other\n\tno parameter\n\tfoo=bar\n{}",
            conn("")
        ),
        format!("{}conn b\n\tleft=10.0.0.1\n", conn("")),
        // Defaults, that others' values come before; an empty value is none.
        format!(
            "conn %default\n\tright=10.9.9.9\n\ttype=transport\n{}\ttype=\n",
            conn("")
        ),
        format!("conn %default\n\tspibase=0x200\n{}\tspibase=\n", conn("")),
        // Parts of it elsewhere, and from the other side.
        format!(
            "{}\talso=keys\nconn keys\n\tespauthkey={K16}\n",
            conn("espauthkey=").replace("\tespauthkey=\n", "")
        ),
        format!(
            "conn c\n\talsoflip=x\nconn x\n{}",
            &conn("")
                .replace("left=10.0.0.1", "right=10.0.0.1")
                .replace("right=10.0.0.2", "left=10.0.0.2")[7..]
        ),
        // What is of automatic keying, or somebody's own.
        format!(
            "{}\tauto=start\n\tleftid=@x\n\tx-comment=\"a # b\"\n\tX_y=1\n",
            conn("")
        ),
    ];
    for file in files {
        assert_eq!(said_of(&file), plain, "{file}");
    }
}

/// Each in a line of its own, with what is said of it.
#[test]
fn what_is_wrong_with_values() {
    let mut text = String::new();
    for change in [
        "left=",
        "left=%any",
        "left=%group",
        "left=10.0.0.0/24",
        "left=10.0.0.256",
        "left=nobody.example.org",
        "left=0.0.0.0",
        "left=10.0.0.2",
        "left=3049:1::99",
        "left=%defaultroute",
        "left=%defaultroute\nright=%defaultroute",
        "left=10.0.0.3",
        "leftsubnet=10.1.0.0",
        "leftsubnet=10.1.0.0/33",
        "leftsubnet=10.1.0.0/255.0.255.0",
        "leftsubnet=net/24",
        "leftsubnet=10.1.0.0/16:80",
        "leftsubnet=2001:db8::/32",
        "type=transport\nleftsubnet=10.1.0.0/16",
        "type=tunel",
        "type=drop",
        "leftsubnets={10.1.0.0/16 10.3.0.0/16}",
        "leftsubnets=10.1.0.0/16,10.3.0.0/16",
        "rightsubnetwithin=10.2.0.0/16",
        "leftnexthop=10.0.0.1",
        "leftnexthop=x.y",
        "connaddrfamily=ipx",
        "leftprotoport=nothing",
        "leftprotoport=icmp/8",
        "leftprotoport=tcp/99999",
        "leftprotoport=tcp\nrightprotoport=udp",
        "spi=512",
        "spi=0xff",
        "spi=0x1ffffffff",
        "spi=",
        "spibase=0x200",
        "spi=\nspibase=0x201",
        "spi=\nspibase=0xf0",
        "leftespspi=0x7",
        "esp=",
        "esp=des-md5-96",
        "esp=3des-mdd5",
        "esp=null",
        "esp=aes-gcm-16-md5",
        "esp=3des-md5-96,aes128-sha1",
        "espenckey=",
        "espenckey=0x0123",
        "espenckey=0123456789abcdef02468ace13579bdf0011223344556677",
        "espenckey=[192 bits]",
        "espauthkey=",
        "espauthkey=\nleftespauthkey=0x00112233445566778899aabbccddeeff",
        "esp=3des",
        "ah=sha1",
        "ah=sha1\nahkey=0x00",
        "ah=sha3\nahkey=0x00",
        "espreplay_window=65",
        "espreplay_window=-1",
        "espreplay-window=32",
        "lefft=10.0.0.1",
        "espenckeyy=0x00",
    ] {
        let said = said_of(&conn(change));
        writeln!(text, "{}\n{said}\n", change.replace('\n', "; ")).unwrap();
        assert!(said.contains("[exit "), "{change}\n{said}");
        // No key is told, whatever is wrong with it.
        assert!(!said.contains("0123456789abcdef0246"), "{said}");
    }
    assert_snapshot!(text);
}

#[test]
fn what_is_wrong_with_lines() {
    let rest = conn("");
    let mut text = String::new();
    for conf in [
        format!("version 1\n{rest}"),
        format!("version two\n{rest}"),
        format!("\tleft=10.0.0.1\n{rest}"),
        format!("left=10.0.0.1\n{rest}"),
        format!("config other\n{rest}"),
        format!("con d\n{rest}"),
        format!("conn a b\n{rest}"),
        format!("conn\n{rest}"),
        format!("{rest}{rest}"),
        format!("{rest}conn %default\n\tleft=10.0.0.1\n"),
        format!("conn %default\n\talso=x\n{rest}"),
        format!("conn %default\n\tauto=add\n\tauto=add\n{rest}"),
        format!("{rest}\tleft=10.0.0.1\n"),
        format!("{rest}\talso=x\n\talso=x\nconn x\n"),
        format!("{rest}\talso=x\nconn x\n\talso=c\n"),
        format!("{rest}\talso=x\nconn x\n\tspi=0x100\n"),
        format!("{rest}\talso=x\nconn y\n"),
        format!("{rest}\tauto\n"),
        format!("{rest}\t1st=x\n"),
        format!("{rest}\tleftid=a b\n"),
        format!("{rest}\tleftid=\"a b\n"),
        format!("{rest}\tleftid=a\"b\n"),
        format!("{rest}\tleftid=\"a\" b\"\n"),
        format!("{rest}\tleftid=a\u{7}\n"),
        "conn d\n".to_owned(),
        String::new(),
    ] {
        let shown = conf.replace(&rest, "(c)\n");
        writeln!(text, "{shown}=> {}\n", said_of(&conf)).unwrap();
    }
    assert_snapshot!(text);
}

#[test]
fn other_files() {
    let mut machine = Machine::new();
    for (name, text) in [
        (
            CONF,
            "include keys/*.conf\ninclude \"one.conf\"\nconn d\n\tleft=1.2.3.4\n".to_owned(),
        ),
        (
            "/etc/klips/keys/b.conf",
            conn("").replace("conn c", "conn b"),
        ),
        ("/etc/klips/keys/a.conf", "include ../c.conf\n".to_owned()),
        ("/etc/klips/keys/../c.conf", conn("")),
        (
            "/etc/klips/one.conf",
            "# nothing\ninclude /none/*.conf\n".to_owned(),
        ),
        ("loop.conf", "include loop.conf\n".to_owned()),
        ("missing.conf", "\n\ninclude gone.conf\n".to_owned()),
        (
            "after.conf",
            format!("conn c\ninclude empty.conf\n{}", &conn("")[7..]),
        ),
        ("empty.conf", String::new()),
        ("two.conf", "include a b\n".to_owned()),
        ("-", conn("")),
    ] {
        machine.files.insert(name.into(), text.into());
    }
    machine.files.insert(
        "latin.conf".into(),
        [b"conn c\n\t# \xe4\n", &conn("").as_bytes()[7..]].concat(),
    );
    machine.files.insert(
        "value.conf".into(),
        [b"conn c\n\tleftid=\xe4\n", &conn("").as_bytes()[7..]].concat(),
    );
    machine
        .modes
        .insert("/etc/klips/keys/../c.conf".into(), 0o640);
    machine.modes.insert(CONF.into(), 0o644);
    assert_snapshot!(machine.session(
        "ipsec manual --showonly --down b
        ipsec manual --showonly --down c
        ipsec manual --config loop.conf --up c
        ipsec manual --config missing.conf --up c
        ipsec manual --config after.conf --up c
        ipsec manual --config two.conf --up c
        ipsec manual --config - --showonly --down c
        ipsec manual --config latin.conf --showonly --down c
        ipsec manual --config value.conf --showonly --down c"
    ));
}

#[test]
fn a_union_is_one_connection() {
    let mut machine = Machine::new();
    let text = format!(
        "conn a\n\tleft=10.0.0.1\n\tright=10.0.0.2\n\tspi=0x200\nconn b\n\tesp=3des-md5-96\n\
         \tespenckey={K24}\n\tespauthkey={K16}\nconn c\n\tspi=0x300\n"
    );
    machine.files.insert(CONF.into(), text.into());
    assert_snapshot!(machine.session(
        "ipsec manual --showonly --up --union a b
        ipsec manual --showonly --up --union a b c
        ipsec manual --showonly --up --union a a
        ipsec manual --up a b
        ipsec manual --json --up --union a b"
    ));
}

/// What real files have, found in public: those of an administration page for FreeS/WAN, of a server
/// appliance, of a router's firmware, of a packet filter's documentation, of a test bed, of a
/// microkernel's demonstration. Addresses and names are others, keys are as good as those.
#[test]
fn real_files() {
    let mut text = String::new();
    for (what, conf) in [
        (
            "defaults with keys for tests, sections in a file of their own",
            format!(
                "config setup\n\tinterfaces=\"ipsec0=eth0\"\n\tklipsdebug=none\n\tplutoload=%search\n\nconn \
                 %default\n\tkeyingtries=2\n\tspi=0x200\n\tesp=3des-md5-96\n\tespenckey={}\n\tespauthkey={}\n\t\
                 leftrsasigkey=%dns\n\trightrsasigkey=%dns\nconn c\n\tleft=10.0.0.1\n\tright=10.0.0.2\n\t\
                 leftnexthop=10.0.0.254\n\trightsubnet=10.2.0.0/24\n",
                underscored(K24),
                underscored(K16)
            ),
        ),
        (
            "hosts and networks of one tunnel, by also, with empty values",
            format!(
                "conn profile-manual\n\tesp=3des-md5-96\n\tauth=esp\nconn c\n        also=t\n        \n        \
                 leftsubnet=\n        rightsubnet=10.2.0.0/255.255.255.0\n\tspi=0x101\n\nconn t\n        \
                 also=profile-manual\n        espenckey={K24}\n\tespauthkey={K16}\n        \
                 left=10.0.0.1\n        leftnexthop=\n\tleftupdown=/usr/sbin/updown.pl\n        right=10.0.0.2\n        \
                 rightnexthop=10.0.0.254\n"
            ),
        ),
        (
            "a router's, with a mask",
            format!(
                "config setup\n  interfaces=%defaultroute\n  uniqueids=yes\n \nconn c\n\tleft=10.0.0.1\n\t\
                 leftsubnet=192.168.1.0/255.255.255.0\n\tright=10.0.0.2\n\trightsubnet=192.168.2.7/32\n\tauth=esp\n\t\
                 esp=aes128-sha1\n\tspi=0x1234\n\tespenckey={K16}\n\tespauthkey={K16}00112233\n"
            ),
        ),
        (
            "the same for any other end",
            format!(
                "conn c\n\tleft=10.0.0.1\n\tleftsubnet=192.168.1.5/32\n\tright=%any\n\tauth=esp\n\tesp=null-md5\n\t\
                 spi=0x1234\n\tespauthkey={K16}\n"
            ),
        ),
        (
            "transport of one cipher without authentication, whose key lacks a digit",
            "conn c\n authby=manual\n left=10.0.0.1\n leftid=@here\n right=10.0.0.2\n rightid=@there\n \
             type=transport\n esp=3des\n spi=0x1006\n espenckey=0x01234567_01234567_01234567_01234567_01234567_0123456\n"
                .to_owned(),
        ),
        (
            "all in clear",
            "version 2.0\n\nconfig setup\n\tplutostderrlog=/tmp/pluto.log\n        \
             plutorestartoncrash=false\n\nconn c\n\ttype=passthrough\n\tleftsubnet=0.0.0.0/0\n\tleft=10.0.0.1\n\t\
             rightsubnet=0.0.0.0/0\n\tright=10.0.0.2\n\t#auto=manual\n\nconn us\n\trightsubnet=192.0.1.0/24\n"
                .to_owned(),
        ),
        (
            "one service in clear",
            "config setup\n\tlogfile=/tmp/pluto.log\n\tlogtime=no\n\nconn c\n\ttype=passthrough\n\t\
             authby=never\n\tleft=10.0.0.1\n\tleftprotoport=tcp\n\tright=0.0.0.0\n\trightsubnet=0.0.0.0/0\n\t\
             rightprotoport=tcp/7\n"
                .to_owned(),
        ),
        (
            "ends behind a pattern of addresses",
            "conn c\n\tauthby=never\n\tleft=10.0.0.1\n\tleftsubnet=0.0.0.0/0[tcp/22]\n\tright=10.0.0.2\n\t\
             rightsubnet=0.0.0.0/0[tcp]\n\ttype=pass\n\tauto=route\n"
                .to_owned(),
        ),
        (
            "the sample that was to be filled in",
            "conn c\n\tleft=10.0.0.1\n\tleftsubnet=172.16.0.0/24\n\tleftnexthop=10.0.0.254\n\tright=10.0.0.2\n\t\
             rightsubnet=192.168.0.0/24\n\tspibase=0x200\n\tesp=3des-md5-96\n\tespenckey=[192 bits]\n\t\
             espauthkey=[128 bits]\n"
                .to_owned(),
        ),
        (
            "one of a key daemon",
            "config setup\n nat_traversal=yes\n protostack=netkey\n\nconn c\n left=10.0.0.1\n \
             leftid=198.51.100.7\n leftsubnet=10.10.0.0/16\n right=203.0.113.9\n rightsubnet=10.0.20.0/24\n pfs=no\n \
             forceencaps=yes\n authby=secret\n auto=start\n"
                .to_owned(),
        ),
    ] {
        writeln!(text, "{what}\n{}\n", said_of(&conf)).unwrap();
    }
    assert_snapshot!(text);
}

/// A key as FreeS/WAN printed it: eight digits, an underscore.
fn underscored(key: &str) -> String {
    let digits: Vec<_> = key.trim_start_matches("0x").as_bytes().chunks(8).collect();
    let groups = digits
        .iter()
        .map(|group| std::str::from_utf8(group).unwrap());
    format!("0x{}", groups.collect::<Vec<_>>().join("_"))
}
