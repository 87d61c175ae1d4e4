// SPDX-License-Identifier: GPL-2.0

//! What `ipsec spi` reads from files: keys, options, batches.

use crate::common::{K16, K24, Machine, hex};
use insta::assert_snapshot;

/// A machine with these files.
fn machine(files: &[(&str, &str)]) -> Machine {
    let mut machine = Machine::new();
    machine.files = files
        .iter()
        .map(|(name, text)| (name.to_string(), text.as_bytes().to_vec()))
        .collect();
    machine
}

/// The bytes of a message without its process ID, written since the last time.
fn sent(machine: &Machine) -> Vec<Vec<u8>> {
    let sent = machine.kernel.sent.take().into_iter();
    sent.map(|mut request| {
        request.bytes[12..16].fill(0);
        request.bytes
    })
    .collect()
}

#[test]
fn keys_from_a_file_make_the_same_messages() {
    let files = [
        (
            "both",
            format!("# keys of gw2\n\n  authkey {K16}\r\nenckey\t\t{K24}  \n"),
        ),
        ("auth", format!("authkey {K16}")),
        (
            "-",
            format!("enckey {K24}\n#authkey none\nauthkey 0x0011223344556677_8899aabbccddeeff\n"),
        ),
        (
            "text",
            "authkey 0t0123 456 89abcde \nenckey 0t#123456789abcdef01234567".to_owned(),
        ),
    ];
    let files: Vec<_> = files
        .iter()
        .map(|(name, text)| (*name, text.as_str()))
        .collect();
    let mut machine = machine(&files);
    let mut messages = |line: &str| {
        machine.quiet(&format!("spi --esp 3des-md5-96 --said esp.115@gw2 {line}"));
        machine.quiet("spi --clear");
        sent(&machine)
    };
    let by_option = messages(&format!("--enckey {K24} --authkey {K16}"));
    assert_eq!(messages("--keyfile both"), by_option);
    assert_eq!(messages("--keyfile=-"), by_option);
    assert_eq!(
        messages(&format!("--keyfile auth --enckey {K24}")),
        by_option
    );
    // Blanks inside a key are part of it, and so is what looks like a comment.
    let text = messages("--keyfile text");
    for key in ["0123 456 89abcde", "#123456789abcdef01234567"] {
        let mut windows = text[0].windows(key.len());
        assert!(
            windows.any(|bytes| bytes == key.as_bytes()),
            "{}",
            hex(&text[0])
        );
    }
}

#[test]
fn bad_key_files() {
    let long = "#".repeat(16 * 1024 + 1);
    let files = [
        ("empty", ""),
        ("word", "authkey\n"),
        ("no-blank", "authkey0x00112233445566778899aabbccddeeff"),
        ("only-key", "\n0x00112233445566778899aabbccddeeff"),
        ("other", "# c\nsecretkey 0x00112233445566778899aabbccddeeff"),
        ("case", "AuthKey 0x00112233445566778899aabbccddeeff"),
        (
            "twice",
            "authkey 0x00112233445566778899aabbccddeeff\nauthkey 0x00",
        ),
        ("syntax", "authkey 0xsecretsecret"),
        ("prefix", "authkey 00112233445566778899aabbccddeeff"),
        ("short", "authkey 0x0011223344556677"),
        ("wrong", "enckey 0x00112233445566778899aabbccddeeff"),
        (
            "surplus",
            "authkey 0x00112233445566778899aabbccddeeff\nenckey 0x0011",
        ),
        ("open", "authkey 0x00112233445566778899aabbccddeeff"),
        ("group", "authkey 0x00112233445566778899aabbccddeeff"),
        ("long", &long),
        ("-", "authkey 0xsecret"),
    ];
    let mut machine = machine(&files);
    machine.modes.insert("open".to_owned(), 0o644);
    machine.modes.insert("group".to_owned(), 0o610);
    machine.files.insert(
        "bytes".to_owned(),
        b"authkey 0x\xff0112233445566778899aabbccddeeff".to_vec(),
    );
    let ah = |file: &str| format!("spi --ah md5 --said ah.116@gw2 --keyfile {file}\n");
    let names = files.iter().map(|(name, _)| ah(name));
    let lines: String = names.chain([ah("bytes"), ah("missing")]).collect();
    let text = machine.session(&format!(
        "{lines}
        spi --json --ah md5 --said ah.116@gw2 --keyfile syntax
        spi --ah md5 --said ah.116@gw2 --keyfile short --authkey {K16}
        spi --ah md5 --said ah.116@gw2 --keyfile
        spi --ip4 --said tun.116@gw2 --keyfile short
        spi --ip4 --said tun.116@gw2 --keyfile empty
        spi --del --said tun.116@gw2 --keyfile empty
        (sent)"
    ));
    for line in text.lines().filter(|line| !line.starts_with('$')) {
        for secret in ["secretsecret", "0xsecret", "0011", "secretkey"] {
            assert!(!line.contains(secret), "{line}");
        }
    }
    assert_snapshot!(text);
}

#[test]
fn the_largest_key_file() {
    let key = format!("authkey {K16}\n#");
    let mut machine = machine(&[("full", &(key.clone() + &"x".repeat(16 * 1024 - key.len())))]);
    machine.quiet("spi --ah md5 --said ah.116@gw2 --keyfile full");
}

#[test]
fn options_from_a_file() {
    let files = [
        (
            "sa",
            "# which\n--edst gw2 --proto   tun\t--spi\n0x113\n\n \t\n--af\ninet\n",
        ),
        ("quoted", "--label\n\"a label\"\n--said\ntun.114@gw2\n"),
        ("quotes", "--label\n\"\n--label \"x y\"\n"),
        ("outer", "--ip4\n--optionsfrom inner\n--src 10.0.0.1\n"),
        ("inner", "--said tun.115@gw2\r\n"),
        ("loop", "--listenreply\n--optionsfrom loop\n"),
        ("nothing", "# nothing\n"),
        ("word", "word\n"),
        ("json", "--json\n"),
        ("-", "--said tun.116@gw2"),
        ("batch", "--optionsfrom outer\n--optionsfrom inner --del\n"),
        ("keys", "--authkey 0xsecret\n"),
    ];
    let mut machine = machine(&files);
    machine
        .files
        .insert("bytes".to_owned(), b"--label \xff".to_vec());
    assert_snapshot!(machine.session(
        "spi --ip4 --optionsfrom sa
        spi --optionsfrom=sa --ip4
        spi --ip4 --optionsfrom quoted --listenreply
        spi --opt outer --debug
        spi --ip4 --optionsfrom -
        (sent)
        spi --optionsfrom nothing
        spi --optionsfrom json

        spi --optionsfrom quotes --clear
        spi --optionsfrom missing
        spi --json --label l --optionsfrom missing
        spi --label --optionsfrom missing
        spi --label=x --optionsfrom word
        spi --saref --optionsfrom word
        spi --optionsfrom bytes
        spi --optionsfrom loop
        spi --optionsfrom
        spi --ip4 --optionsfrom inner --optionsfrom inner
        spi --ah md5 --said ah.116@gw2 --optionsfrom keys
        spi --batch batch
        (sent)"
    ));
}

#[test]
fn a_file_may_be_named_a_hundred_times_less_one() {
    let mut machine = machine(&[("nothing", "")]);
    machine.quiet(&format!(
        "spi --clear{}",
        " --optionsfrom nothing".repeat(99)
    ));
    assert_eq!(
        machine.run(&format!(
            "spi --clear{}",
            " --optionsfrom nothing".repeat(100)
        )),
        2
    );
}

const BATCH: &str = "\
# The examples of the manual page
--ip4 --said tun.113@gw2 --src 10.0.0.1 --dst gw2

--esp 3des-md5-96 --said esp.115@gw2 --keyfile 'my keys'   # encrypts
--label ah --ah hmac-md5-96 --said ah.116@gw2 --authkey 0t0123456789abcdef
--get --said ah.116@gw2
--del --said ah.116@gw2 --listenreply
";

#[test]
fn batches() {
    let keys = format!("authkey {K16}\nenckey {K24}\n");
    let mut machine = machine(&[
        ("sas", BATCH),
        ("my keys", &keys),
        ("-", "--clear\n--clear --listenreply"),
        ("stops", "--clear\n--del --said tun.999@gw2\n--clear\n"),
    ]);
    assert_snapshot!(machine.session(
        "ipsec spi --batch sas
        (sent)
        spi
        spi --batch -
        spi --json --batch sas
        spi --label all --debug --batch stops
        spi --keep-going --batch stops
        (sent)"
    ));
}

#[test]
fn lines_of_a_batch_that_make_no_sense() {
    let mut machine = machine(&[
        (
            "bad",
            "--ip4
--clear --json
--clear --debug
--clear --batch other
--clear --keep-going
--label only
--help
--version
--ah md5 --said ah.116@gw2 --authkey 0xsecret
--ah md5 --said ah.116@gw2 --keyfile missing
--clear --said tun.113@gw2
--bogus
--optionsfrom missing
--said 'tun.113@gw2
",
        ),
        ("-", "--ah md5 --said ah.116@gw2 --keyfile -\n"),
        ("stdin", "--ah md5 --said ah.116@gw2 --keyfile -\n"),
    ]);
    assert_snapshot!(machine.session(
        "spi --batch bad
        spi --batch -
        spi --batch stdin
        spi --batch bad --said tun.113@gw2
        spi --batch bad --clear
        spi --batch bad --listenreply
        spi --keep-going
        spi --clear --keep-going
        spi --batch missing
        spi --batch
        (sent)"
    ));
}
