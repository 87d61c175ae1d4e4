// SPDX-License-Identifier: GPL-2.0

//! Requests of every kind, with every extension that an SA can have.

use crate::wire::*;
use klips::said::Said;

/// Requests of every kind. In this order, most are taken.
pub fn messages() -> Vec<Vec<u8>> {
    let saids = [
        "tun.1001@10.0.0.2",
        "esp.1002@10.0.0.2",
        "ah:1003@2001:db8::3",
    ]
    .map(said);
    let [tun, esp, ah] = saids;
    let comp = said("comp.1004@10.0.0.2");
    let mut messages: Vec<Vec<u8>> = saids.into_iter().map(add).collect();
    messages.push(add(comp));
    messages.push(rich(msg::ADD, said("esp.1005@10.0.0.2")));
    messages.push(rich(msg::UPDATE, esp));
    messages.extend([msg::ADD, msg::UPDATE].map(|kind| limited(kind, comp, 5, 10)));
    messages.extend([
        reserve(ah),
        get(esp),
        pair(tun, comp),
        list(&saids),
        ungroup(ah),
    ]);
    messages.extend([delete(esp), flush(0), flush(3), ports(esp)]);
    let plain = [
        (msg::REGISTER, 3),
        (msg::REGISTER, 9),
        (msg::EXPIRE, 3),
        (msg::DUMP, 0),
        (msg::DUMP, 2),
        (msg::PROMISC, 1),
        (msg::PROMISC, 0),
    ];
    messages.extend(plain.map(|(kind, satype)| message(kind, satype, &[])));
    let mut failed = message(msg::ACQUIRE, 3, &[]);
    failed[2] = 1;
    messages.push(failed);
    messages.push(message(
        msg::DEBUG,
        0,
        &[extension(ext::DEBUG, &[0xff; 48])],
    ));
    // What is read and then refused: eroutes and interfaces.
    messages.extend([eroute(msg::ADDFLOW, esp), eroute(msg::DELFLOW, esp)]);
    let interface = extension(ext::PLUMBIF, &[1, 0, 0, 0]);
    messages.push(message(msg::PLUMBIF, 0, &[interface]));
    messages
}

/// A message about an eroute.
fn eroute(kind: u8, said: Said) -> Vec<u8> {
    let flow = [
        (ext::ADDRESS_SRC_FLOW, "10.1.0.0"),
        (ext::ADDRESS_DST_FLOW, "10.2.0.0"),
        (ext::ADDRESS_SRC_MASK, "255.255.0.0"),
        (ext::ADDRESS_DST_MASK, "255.255.0.0"),
    ];
    let mut exts = naming(said).to_vec();
    exts.extend(flow.map(|(number, text)| address(number, ip(text), 0)));
    match kind {
        msg::ADDFLOW => message(kind, satype(said.proto), &exts),
        _ => message(kind, 0, &exts[3..]),
    }
}

/// A message with every extension that an SA can have.
fn rich(kind: u8, said: Said) -> Vec<u8> {
    let mut bytes = limited(kind, said, 60, 70);
    bytes.extend(identity(ext::IDENTITY_SRC, 2, 9, b"left.example\0"));
    bytes.extend(identity(ext::IDENTITY_DST, 3, 8, b"right@example\0"));
    bytes.extend(address(ext::ADDRESS_PROXY, ip("10.9.9.9"), 0));
    if kind == msg::ADD {
        bytes.extend(extension(ext::NAT_T_TYPE, &[2, 0, 0, 0]));
        bytes.extend(address(ext::NAT_T_OA, ip("10.8.8.8"), 0));
    }
    fix_len(&mut bytes);
    bytes
}

/// An UPDATE of ports only.
fn ports(said: Said) -> Vec<u8> {
    let mut bytes = add(said);
    bytes[1] = msg::UPDATE;
    bytes.extend(extension(ext::NAT_T_SPORT, &[0x94, 0x11]));
    bytes.extend(extension(ext::NAT_T_DPORT, &[0x95, 0x11]));
    fix_len(&mut bytes);
    bytes
}
