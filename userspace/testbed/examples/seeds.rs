// SPDX-License-Identifier: GPL-2.0

//! `seeds TARGET DIR` writes inputs for a fuzz target to begin with: messages of every kind, which
//! no fuzzer would come upon by itself.

use model::{
    Random, messages, sequence,
    wire::{add, add_flow, clear_flows, del_flow, flag, flow, list, said},
};
use std::{error::Error, fs, path::Path};
use testbed::target::{Event, encode};

/// What the kernel answers.
fn answers() -> Vec<Vec<u8>> {
    let host = testbed::TestHost::new();
    host.engine.expect_all_clear();
    for message in [messages(), flows()].concat() {
        // Some are refused, which makes a message as well.
        let _ = host.write(&message);
    }
    host.read(testbed::A)
}

/// About eroutes, in both families, with protocols and ports: for a tunnel, which is there, and for SPIs
/// that mean something by themselves.
fn flows() -> Vec<Vec<u8>> {
    let sas = ["tun.1001@10.0.0.2", "esp.1002@10.0.0.2"].map(said);
    let mut messages: Vec<Vec<u8>> = sas.map(add).to_vec();
    messages.push(list(&sas));
    for flow in [
        flow(("10.1.0.0/16", 0), ("10.2.0.0/24", 0), 0),
        flow(("10.1.0.1/32", 1024), ("10.2.0.1/32", 53), 17),
        flow(("2001:db8:1::/48", 0), ("2001:db8:2::/48", 443), 6),
        flow(("0.0.0.0/0", 0), ("0.0.0.0/0", 0), 0),
    ] {
        messages.extend([
            add_flow(sas[0], 0, &flow),
            add_flow(sas[0], flag::IN, &flow),
            add_flow(said("%trap"), flag::REPLACE, &flow),
            add_flow(said("%pass"), flag::REPLACE, &flow),
            add_flow(sas[1], flag::REPLACE, &flow),
            del_flow(&flow),
            del_flow(&flow),
        ]);
    }
    messages.push(clear_flows());
    messages
}

fn texts() -> Vec<Vec<u8>> {
    let texts = [
        "0",
        "256",
        "0x1fF",
        "0377",
        "4294967296",
        "10.0.0.2",
        "10.",
        "0x0a000002",
        "0h0200000a",
        "2001:db8::2",
        "::ffff:10.0.0.2",
        "1:2:3:4:5:6:7::",
        "gateway.example",
        "tun.113@10.0.0.2",
        "esp:115@2001:db8::2",
        "ah0x116@10.0.0.2",
        "comp99@10.0.0.2",
        "int.105@0.0.0.0",
        "tun.113@gateway.example",
        "%pass",
        "%trapsubnet",
        "%passthrough",
        "%passthrough6",
    ];
    texts.map(|text| text.as_bytes().to_vec()).to_vec()
}

/// Messages from several sockets, with all that may happen between them.
fn sequences() -> Vec<Vec<u8>> {
    let write = |message: Vec<u8>| Event::Frame(1, message);
    let mut inputs: Vec<Vec<Event>> = messages().into_iter().map(|one| vec![write(one)]).collect();
    inputs.push(messages().into_iter().map(write).collect());
    inputs.push(flows().into_iter().map(write).collect());
    inputs.push(
        flows()
            .into_iter()
            .flat_map(|one| [Event::Starve(1, 4, one), Event::Sleep(1)])
            .collect(),
    );
    inputs.push(
        messages()
            .into_iter()
            .flat_map(|one| {
                [
                    Event::Starve(2, 3, one.clone()),
                    Event::Read(2),
                    Event::Write(1, one),
                ]
            })
            .collect(),
    );
    inputs.push(
        messages()
            .into_iter()
            .flat_map(|one| {
                [
                    Event::Toggle(3),
                    write(one),
                    Event::Fill(2),
                    Event::Sleep(20),
                ]
            })
            .collect(),
    );
    for seed in 0..20 {
        let requests = sequence(seed, 25);
        inputs.push(
            requests
                .iter()
                .map(|request| write(request.bytes()))
                .collect(),
        );
    }
    inputs.iter().map(|events| encode(events)).collect()
}

/// Bytes for the targets that any bytes will do for.
fn choices() -> Vec<Vec<u8>> {
    let mut random = Random::new(1);
    let mut input = |steps: u64| {
        (0..steps)
            .flat_map(|_| random.next().to_le_bytes())
            .collect()
    };
    (1..30).map(&mut input).collect()
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, target, directory] = &arguments[..] else {
        return Err("usage: seeds TARGET DIR".into());
    };
    let inputs = match target.as_str() {
        "codec" => [messages(), flows(), answers()].concat(),
        "text" => texts(),
        "sequence" => sequences(),
        "model" | "memory" => choices(),
        _ => return Err("no such target".into()),
    };
    for (number, input) in inputs.iter().enumerate() {
        fs::write(Path::new(directory).join(format!("seed-{number}")), input)?;
    }
    Ok(())
}
