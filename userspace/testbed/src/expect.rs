// SPDX-License-Identifier: GPL-2.0

//! What a request has to come to, in a word.

use crate::host::{A, B, TestHost};
use klips::{
    errno::Errno,
    sadb::{Sa, SaSpec},
    said::Said,
};
use model::wire::{error_message, ext, extension, fix_len, hex, ip};
use std::{fs, net::SocketAddr};

/// A plain SA for the table.
pub fn plain(said: Said) -> Box<Sa> {
    let address = |ip| SocketAddr::new(ip, 0);
    let spec = || {
        let (src, dst) = (address(ip("10.0.0.1")), address(said.dst));
        SaSpec::new(said.proto, said.spi, src, dst)
    };
    Sa::boxed(spec).expect("memory is not made to fail yet")
}

/// Writes a request that has to succeed, and returns what both sockets read.
pub fn answers(host: &TestHost, request: &[u8]) -> Vec<Vec<u8>> {
    host.drain();
    assert_eq!(host.write(request), Ok(()), "{}", hex(request));
    host.check();
    let read = host.read(A);
    assert_eq!(host.read(B), read, "both sockets read the same");
    read
}

/// The one answer to a request that has to succeed.
pub fn answer(host: &TestHost, request: &[u8]) -> Vec<u8> {
    let mut read = answers(host, request);
    assert_eq!(read.len(), 1, "one answer");
    read.remove(0)
}

/// All that can be seen of the tables, and of the engine.
pub fn seen(host: &TestHost) -> [String; 4] {
    [
        host.spigrp(),
        host.spi(),
        host.eroute(),
        host.engine.listing(),
    ]
}

/// Checks that a request fails: with this errno, with the message of it at both sockets, and
/// without a change.
pub fn refused(host: &TestHost, request: &[u8], errno: Errno) {
    refused_with(host, request, errno, None);
}

/// The same, with a fault in the message.
pub fn refused_with(host: &TestHost, request: &[u8], errno: Errno, fault: Option<(u8, u8)>) {
    host.drain();
    let before = seen(host);
    assert_eq!(host.write(request), Err(errno), "{}", hex(request));
    host.check();
    assert_eq!(seen(host), before, "nothing changes");
    let mut want = error_message(request, errno);
    if let Some((member, reason)) = fault {
        want.extend(extension(ext::FAULT, &[member, reason, 0, 0]));
        fix_len(&mut want);
    }
    for socket in [A, B] {
        let read = host.read(socket);
        assert_eq!(read.len(), 1, "one message");
        assert_eq!(hex(&read[0]), hex(&want));
    }
}

/// Checks that a request fails with an errno only.
pub fn refused_silently(host: &TestHost, request: &[u8], errno: Errno) {
    host.drain();
    let before = host.spigrp();
    assert_eq!(host.write(request), Err(errno), "{}", hex(request));
    assert_eq!(host.spigrp(), before);
    assert!(host.deliveries().is_empty(), "nobody is told");
}

/// The files of a folder of tests that the program which they are modules of does not name.
pub fn not_named(folder: &str, main: &str) -> Vec<String> {
    let mut missing = Vec::new();
    for entry in fs::read_dir(folder).expect("the folder of the tests") {
        let name = entry.expect("an entry").file_name();
        let name = name.to_str().expect("an ASCII name");
        if let Some(module) = name.strip_suffix(".rs").filter(|name| *name != "main") {
            let line = format!("mod {module};");
            if !main.lines().any(|found| found == line) {
                missing.push(line);
            }
        }
    }
    missing
}
