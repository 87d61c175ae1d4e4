// SPDX-License-Identifier: GPL-2.0

//! The messages that `guest-tests` sends to the module when it fuzzes it: that they are worth it.

use model::{Messages, wire::msg};
use std::collections::{BTreeMap, BTreeSet};
use testbed::TestHost;

/// How many are looked at.
const MESSAGES: usize = 40_000;

#[test]
fn a_seed_always_gives_the_same_messages() {
    let some = |seed| {
        let mut messages = Messages::new(seed);
        (0..1000).map(|_| messages.next()).collect::<Vec<_>>()
    };
    assert_eq!(some(1), some(1));
    assert_ne!(some(1), some(2));
}

/// Of each type some are taken, and refusals are of all kinds that there are without a reason in
/// the kernel.
#[test]
fn messages_reach_every_kind_of_answer() {
    let host = TestHost::new();
    host.engine.expect_all_clear();
    host.room.set(3);
    let mut messages = Messages::new(1);
    let mut taken = BTreeSet::new();
    let mut refused: BTreeMap<&str, usize> = BTreeMap::new();
    let mut longest = 0;
    for number in 0..MESSAGES {
        let message = messages.next();
        host.reschedules.set(0);
        match host.write(&message) {
            Ok(()) => _ = taken.insert(message[1]),
            Err(errno) => {
                let (name, _) = errno.describe().unwrap_or_else(|| panic!("{errno:?}"));
                *refused.entry(name).or_default() += 1;
            }
        }
        longest = longest.max(message.len());
        if number % 1000 == 0 {
            host.check();
        }
        // A DUMP takes a few rounds, so that some find one under way.
        host.read_one(testbed::A);
    }
    host.check();
    assert_eq!(longest, 65535 * 8);
    let all = msg::GETSPI..=msg::UNPLUMBIF;
    let never = [
        msg::PCHANGE,
        msg::NAT_T_NEW_MAPPING,
        msg::PLUMBIF,
        msg::UNPLUMBIF,
    ];
    let expected: BTreeSet<u8> = all.filter(|kind| !never.contains(kind)).collect();
    assert_eq!(taken, expected);
    let names = [
        "EAFNOSUPPORT",
        "EBUSY",
        "EEXIST",
        "EINVAL",
        "EMSGSIZE",
        "ENOENT",
        "EOPNOTSUPP",
        "EPFNOSUPPORT",
        "EPROTONOSUPPORT",
        "ESRCH",
    ];
    for name in names {
        assert!(refused.contains_key(name), "{name}: {refused:?}");
    }
    let count: usize = refused.values().sum();
    assert!(
        (MESSAGES / 4..MESSAGES * 9 / 10).contains(&count),
        "{refused:?}"
    );
    println!("{} taken, refused: {refused:?}", MESSAGES - count);
}
