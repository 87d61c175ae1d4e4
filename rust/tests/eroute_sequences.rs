// SPDX-License-Identifier: GPL-2.0

//! Eroutes in sequences of requests at random, beside rules written down plainly: which policies
//! are open, and what they ask for, follows from the chains that there are and from what was asked
//! for. The engine looks at itself after each of its calls.

use klips::{
    errno::Errno,
    klips_core::selector::Packet,
    memory,
    said::{Proto, Said},
};
use proptest::prelude::*;
use std::collections::HashMap;
use testbed::*;

/// SAs that leave, and SAs that come in.
const POOL: [&str; 10] = [
    "tun.101@10.0.0.2",
    "tun.102@10.0.0.2",
    "esp.103@10.0.0.2",
    "esp.104@10.0.0.2",
    "ah.105@10.0.0.2",
    "comp.106@10.0.0.2",
    "tun.201@10.0.0.1",
    "tun.202@10.0.0.1",
    "esp.203@10.0.0.1",
    "ah.204@10.0.0.1",
];

const NETS: [&str; 3] = ["10.2.0.0/24", "10.3.0.0/24", "10.4.0.0/16"];

#[derive(Clone, Debug)]
enum Step {
    Add(Said),
    Reserve(Said),
    Update(Said),
    Delete(Said),
    Pair(Said, Said),
    List(Vec<Said>),
    Ungroup(Said),
    Flush(u8),
    Eroute(Said, usize, u32),
    Remove(usize),
    Clear,
    /// What somebody else does, to a state, to all of them, to a policy, to all of them.
    TakeState(Said),
    FlushStates,
    TakePolicy(usize, bool),
    FlushPolicies,
    /// A packet is to leave, to one of a few hosts of a network.
    Send(usize, u8),
    /// What is held for such packets is not to be.
    Release(usize, u8),
}

/// The address of a host of a network.
fn host_of(net: usize, last: u8) -> String {
    let (address, _) = NETS[net].split_once(".0/").expect("a network");
    format!("{address}.{last}")
}

impl Step {
    /// Does it if it is not a request. Whether it was something else.
    fn is_by_others(&self, host: &TestHost) -> bool {
        let engine = &host.engine;
        match self {
            Step::TakeState(said) => {
                if engine.states().iter().any(|state| state.spi == said.spi) {
                    engine.take(said.spi);
                }
            }
            Step::FlushStates => engine.flush_states(),
            Step::TakePolicy(net, replaced) => {
                let listing = engine.policies();
                let policies = listing.iter().map(|policy| &policy.spec);
                for spec in policies.filter(|it| it.selector.dst.to_string() == NETS[*net]) {
                    if *replaced {
                        engine.replace_policy(spec.direction, spec.selector);
                    } else {
                        engine.take_policy(spec.direction, spec.selector);
                    }
                }
            }
            Step::FlushPolicies => engine.flush_policies(),
            Step::Send(net, last) => {
                let packet = Packet {
                    src: ip("10.1.0.1"),
                    dst: ip(&host_of(*net, *last)),
                    proto: 17,
                    sport: 1024,
                    dport: 53,
                };
                engine.send(&packet, host.clock.get().boot);
            }
            _ => return false,
        }
        true
    }

    fn bytes(&self) -> Vec<u8> {
        let eroute = |net: usize| flow(("10.1.0.0/24", 0), (NETS[net], 0), 0);
        let from = |said: &Said, request: Vec<u8>| {
            let outgoing = said.dst == ip("10.0.0.2");
            from_source(request, if outgoing { "10.0.0.1" } else { "10.0.0.2" })
        };
        match self {
            Step::Add(said) => from(said, add(*said)),
            Step::Reserve(said) => reserve(*said),
            Step::Update(said) => {
                let mut request = from(said, add(*said));
                request[1] = msg::UPDATE;
                request
            }
            Step::Delete(said) => delete(*said),
            Step::Pair(inner, outer) => pair(*inner, *outer),
            Step::List(saids) => list(saids),
            Step::Ungroup(said) => ungroup(*said),
            Step::Flush(satype) => flush(*satype),
            Step::Eroute(said, net, flags) => add_flow(*said, *flags, &eroute(*net)),
            Step::Remove(net) => del_flow(&eroute(*net)),
            Step::Clear => clear_flows(),
            Step::Release(net, last) => {
                let to = format!("{}/32", host_of(*net, *last));
                del_flow(&flow(("10.1.0.1/32", 0), (&to, 0), 0))
            }
            Step::TakeState(_)
            | Step::FlushStates
            | Step::TakePolicy(..)
            | Step::FlushPolicies
            | Step::Send(..) => unreachable!("no request"),
        }
    }
}

fn any_said() -> impl Strategy<Value = Said> {
    prop::sample::select(&POOL[..]).prop_map(said)
}

fn step() -> impl Strategy<Value = Step> {
    let net = 0..NETS.len();
    let flags = prop::sample::select(vec![
        0,
        0,
        flag::REPLACE,
        flag::IN,
        flag::IN | flag::REPLACE,
    ]);
    let shunt = prop::sample::select(vec!["%drop", "%trap", "%trap", "%trapsubnet"]).prop_map(said);
    prop_oneof![
        8 => any_said().prop_map(Step::Add),
        1 => any_said().prop_map(Step::Reserve),
        2 => any_said().prop_map(Step::Update),
        1 => any_said().prop_map(Step::Delete),
        8 => (any_said(), any_said()).prop_map(|(inner, outer)| Step::Pair(inner, outer)),
        3 => prop::sample::subsequence(&POOL[..], 2..=4)
            .prop_map(|names| Step::List(names.into_iter().map(said).collect())),
        2 => any_said().prop_map(Step::Ungroup),
        1 => prop::sample::select(vec![0, 2, 3]).prop_map(Step::Flush),
        8 => (prop_oneof![8 => any_said(), 2 => shunt], net.clone(), flags)
            .prop_map(|(said, net, flags)| Step::Eroute(said, net, flags)),
        2 => net.prop_map(Step::Remove),
        1 => Just(Step::Clear),
        2 => any_said().prop_map(Step::TakeState),
        1 => Just(Step::FlushStates),
        2 => (0..NETS.len(), any::<bool>())
            .prop_map(|(net, replaced)| Step::TakePolicy(net, replaced)),
        2 => Just(Step::FlushPolicies),
        4 => (0..NETS.len(), 1..4_u8).prop_map(|(net, last)| Step::Send(net, last)),
        1 => (0..NETS.len(), 1..4_u8).prop_map(|(net, last)| Step::Release(net, last)),
    ]
}

/// What is remembered of an eroute.
#[derive(Clone, Copy, Default)]
struct Memory {
    /// How many ESPs and AHs there have been.
    most: (usize, usize),
    /// Whether no protection at all is what the request found.
    bare: bool,
}

/// The transforms of a chain, `esp/tunnel` and so on, if states can carry it out.
fn folded(chain: &[Proto]) -> Option<Vec<&'static str>> {
    let mut layers = Vec::new();
    for (index, proto) in chain.iter().enumerate() {
        let behind_tunnel = index > 0 && chain[index - 1] == Proto::Tun;
        layers.push(match (proto, behind_tunnel) {
            (Proto::Tun, true) | (Proto::Int, _) => return None,
            (Proto::Tun, false) if index + 1 == chain.len() => "ipip/tunnel",
            (Proto::Tun, false) => continue,
            (Proto::Esp, false) => "esp/transport",
            (Proto::Esp, true) => "esp/tunnel",
            (Proto::Ah, false) => "ah/transport",
            (Proto::Ah, true) => "ah/tunnel",
            (Proto::Comp, false) => "comp/transport",
            (Proto::Comp, true) => "comp/tunnel",
        });
    }
    Some(layers)
}

fn protection(layers: &[&str]) -> (usize, usize) {
    let count = |name: &str| layers.iter().filter(|it| it.starts_with(name)).count();
    (count("esp/"), count("ah/"))
}

/// The chains that there are, inside to outside.
fn chains(host: &TestHost) -> Vec<Vec<Said>> {
    let listing = host.spigrp();
    let chains = listing.lines().map(|line| {
        line.split_whitespace()
            .map(|name| said(&name.replacen("0x", ".", 1)))
            .collect()
    });
    chains.collect()
}

/// The transforms that a chain beginning with an SA would be carried out by, `None` if it can't be
/// used.
fn usable(host: &TestHost, named: Said) -> Option<Vec<&'static str>> {
    let chains = chains(host);
    let chain = chains.iter().find(|chain| chain[0] == named)?;
    let state = host.state();
    let reserved = |said: &Said| {
        let sa = state.sadb.find(said).expect("listed");
        sa.spec.state == klips::pfkey::SaState::Larval
    };
    let one_destination = chain.iter().all(|said| said.dst == named.dst);
    if chain.iter().any(reserved) || !one_destination {
        return None;
    }
    let protos: Vec<Proto> = chain.iter().map(|said| said.proto).collect();
    folded(&protos)
}

/// What the policy of an eroute asks for; `None` if it drops.
fn asked_for(host: &TestHost, net: &str) -> Option<Vec<String>> {
    let listing = host.engine.listing();
    let begin = format!("out 10.1.0.0/24>{net} ");
    let mut lines = listing.lines().filter_map(|line| line.strip_prefix(&begin));
    let line = lines.next().expect("each eroute is a policy");
    assert_eq!(lines.next(), None);
    let templates = line.strip_prefix("allow ")?;
    let words = templates.split_whitespace();
    Some(
        words
            .filter(|it| it.contains('/'))
            .map(str::to_owned)
            .collect(),
    )
}

/// Compares the engine with the rules, and remembers what has been.
fn compare(host: &TestHost, memories: &mut HashMap<String, Memory>) {
    let listing = host.eroute();
    let mut seen = Vec::new();
    for line in listing.lines() {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let (net, name) = (fields[3], fields[5]);
        let memory = match memories.get_mut(net) {
            Some(memory) => memory,
            // Packets that a %trap has taken.
            None if name == "%hold" => continue,
            None => panic!("nobody asked for it: {line}"),
        };
        let open = asked_for(host, net);
        assert_eq!(
            host.dropped().lines().any(|it| it == line),
            open.is_none(),
            "{line}\n{}",
            host.dropped()
        );
        seen.push(net.to_owned());
        if name.starts_with('%') {
            let waits = (name != "%drop").then(|| vec!["esp/transport".to_owned()]);
            assert_eq!(open, waits, "{line}");
            continue;
        }
        let wanted = usable(host, said(&name.replacen("0x", ".", 1))).filter(|layers| {
            let (esp, ah) = protection(layers);
            esp >= memory.most.0 && ah >= memory.most.1 && (memory.bare || esp + ah > 0)
        });
        let wanted: Option<Vec<String>> =
            wanted.map(|layers| layers.iter().map(|it| (*it).to_owned()).collect());
        assert_eq!(
            open,
            wanted,
            "{line}\n{}{}",
            host.spigrp(),
            host.engine.listing()
        );
        if let Some(layers) = wanted {
            let words: Vec<&str> = layers.iter().map(String::as_str).collect();
            let (esp, ah) = protection(&words);
            memory.most = (memory.most.0.max(esp), memory.most.1.max(ah));
        }
    }
    memories.retain(|net, _| seen.contains(net));
    assert_eq!(memories.len(), seen.len());
}

/// What is not so of any inflow: that packets come in which no transform has vouched for.
fn check_inflows(host: &TestHost) {
    for line in host.engine.listing().lines() {
        let comes_in = line.starts_with("in ") || line.starts_with("fwd ");
        if comes_in && line.contains(" allow") && !line.contains("reqid 0xc0000000 use") {
            let required = line.matches(" reqid ").count() > line.matches(" use").count();
            assert!(required, "{line}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn policies_follow_from_chains_and_requests(
        steps in prop::collection::vec((step(), prop::option::weighted(0.3, 0..12_u64)), 1..60),
    ) {
        let host = TestHost::new();
        host.local.borrow_mut().push(ip("10.0.0.1"));
        host.set_up(&message(msg::REGISTER, 3, &[]));
        let mut memories: HashMap<String, Memory> = HashMap::new();
        for (step, enough) in steps {
            if step.is_by_others(&host) {
                // The kernel's worker comes at once, or only after the next request.
                if enough != Some(0) {
                    memory::fail_after(enough);
                    host.work();
                    memory::fail_after(None);
                    host.sleep(1);
                    host.check();
                    compare(&host, &mut memories);
                }
                continue;
            }
            let request = step.bytes();
            let before = seen(&host);
            memory::fail_after(enough);
            let mut result = host.write(&request);
            memory::fail_after(None);
            if result == Err(Errno::ENOMEM) {
                prop_assert_eq!(&seen(&host), &before, "{:?}", step);
                result = host.write(&request);
            }
            host.check();
            host.drain();
            match (&step, result) {
                (_, Err(_)) => prop_assert_eq!(&seen(&host), &before, "{:?}", step),
                (Step::Eroute(said, net, flags), Ok(())) if flags & flag::IN == 0 => {
                    let layers = usable(&host, *said);
                    memories.insert(NETS[*net].to_owned(), Memory {
                        most: (0, 0),
                        bare: layers.is_some_and(|it| protection(&it) == (0, 0)),
                    });
                }
                _ => (),
            }
            host.sleep(1);
            compare(&host, &mut memories);
            check_inflows(&host);
        }
    }
}
