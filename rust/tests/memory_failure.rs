// SPDX-License-Identifier: GPL-2.0

//! Whichever allocation of a request fails: nothing changes, nobody is told of what did not
//! happen, and the next attempt works.

use klips::{
    errno::Errno,
    group,
    listing::Listing,
    memory,
    post::{Listeners, OpenError},
    sadb::{AddError, Age, HashKey, Sadb},
    said::Said,
};
use testbed::*;

/// All there is to be seen of a host.
fn seen(host: &TestHost) -> [String; 4] {
    [
        Listing::SpiGrp,
        Listing::Spi,
        Listing::PfKeyRegistered,
        Listing::KlipsDebug,
    ]
    .map(|file| host.listing(file))
}

/// Makes one allocation after another of a request fail, each time on a new host, until it
/// succeeds. Returns how many it needs.
fn fail_each(set_up: impl Fn(&TestHost), request: &[u8]) -> u64 {
    let undisturbed = TestHost::new();
    set_up(&undisturbed);
    undisturbed.drain();
    undisturbed.write(request).unwrap();
    let want = seen(&undisturbed);
    let want_read = (undisturbed.read(A), undisturbed.read(B));

    for count in 0.. {
        let host = TestHost::new();
        set_up(&host);
        host.drain();
        let before = seen(&host);
        let next_age = host.state().sadb.next_age();
        memory::fail_after(Some(count));
        let result = host.write(request);
        memory::fail_after(None);
        host.check();
        if result == Ok(()) {
            assert_eq!(seen(&host), want);
            assert_eq!((host.read(A), host.read(B)), want_read);
            return count;
        }
        assert_eq!(result, Err(Errno::ENOMEM), "allocation {count}");
        assert_eq!(seen(&host), before, "allocation {count}");
        assert_eq!(host.state().sadb.next_age(), next_age);
        // There is no memory for telling of the error either.
        assert_eq!(host.deliveries(), [], "allocation {count}");
        assert_eq!(
            host.write(request),
            Ok(()),
            "again after allocation {count}"
        );
        host.check();
        assert_eq!(seen(&host), want);
        assert_eq!((host.read(A), host.read(B)), want_read);
    }
    unreachable!()
}

fn four() -> [Said; 4] {
    ["tun.1001", "esp.1002", "ah.1003", "comp.1004"].map(|text| said(&format!("{text}@10.0.0.2")))
}

fn set_up_four(host: &TestHost) {
    for said in four() {
        host.set_up(&add(said));
    }
}

fn set_up_group(host: &TestHost) {
    set_up_four(host);
    host.set_up(&list(&four()));
}

/// ADD with all that takes memory.
fn rich_add() -> Vec<u8> {
    let mut request = add(said("esp:5000@2001:db8::2"));
    request.extend(identity(ext::IDENTITY_SRC, 2, 9, b"left.example\0"));
    request.extend(identity(ext::IDENTITY_DST, 3, 8, b"right@example\0"));
    fix_len(&mut request);
    request
}

#[test]
fn add_to_an_empty_table_survives_each_failure() {
    let needed = fail_each(|_| (), &rich_add());
    // Two keys, two identities, the answer, the SA, eight levels of the age map, two of the index.
    assert!(needed >= 10, "{needed}");
}

#[test]
fn add_to_a_table_with_sas_survives_each_failure() {
    assert!(fail_each(set_up_four, &rich_add()) >= 6);
    assert!(fail_each(set_up_group, &add(said("tun.5000@10.0.0.2"))) >= 2);
}

#[test]
fn add_survives_each_failure_where_the_table_has_to_grow() {
    // The next SA needs another leaf of the age map, and another chunk of the index.
    for count in [62, 63, 64, 65, 127, 128] {
        let set_up = |host: &TestHost| {
            for index in 0..count {
                host.set_up(&add(said(&format!("tun.{:x}@10.0.0.2", 0x1000 + index))));
            }
        };
        assert!(fail_each(set_up, &rich_add()) >= 6, "{count}");
    }
}

#[test]
fn get_survives_each_failure() {
    assert!(fail_each(set_up_four, &get(four()[1])) >= 1);
}

#[test]
fn delete_of_a_single_sa_survives_each_failure() {
    assert!(fail_each(set_up_four, &delete(four()[1])) >= 1);
}

#[test]
fn delete_of_a_group_survives_each_failure() {
    for named in four() {
        // An announcement for each member.
        assert!(fail_each(set_up_group, &delete(named)) >= 4);
    }
}

#[test]
fn flush_survives_each_failure() {
    for satype in [0, 2, 3, 9, 10, 11] {
        assert!(fail_each(set_up_group, &flush(satype)) >= 1, "{satype}");
    }
}

#[test]
fn grpsa_survives_each_failure() {
    assert!(fail_each(set_up_four, &pair(four()[0], four()[1])) >= 1);
    assert!(fail_each(set_up_four, &list(&four())) >= 1);
    assert!(fail_each(set_up_group, &ungroup(four()[2])) >= 1);
}

#[test]
fn getspi_survives_each_failure() {
    // The answer, the SA, four levels of the age map, two of the index, five of the timers, the plan.
    let needed = fail_each(|_| (), &reserve(said("esp.5000@10.0.0.2")));
    assert_eq!(needed, 14);
    // All but the levels of the age map and the index, for others are there.
    assert_eq!(
        fail_each(set_up_group, &reserve(said("esp.5000@10.0.0.2"))),
        8
    );
    let set_up = |host: &TestHost| host.set_up(&reserve(said("esp.4000@10.0.0.2")));
    // The second of its deadline is there.
    assert!(fail_each(set_up, &reserve(said("esp.5000@10.0.0.2"))) < 5);
}

/// UPDATE with all that takes memory.
fn rich_update(hard: u64) -> Vec<u8> {
    let mut request = add(four()[1]);
    request[1] = msg::UPDATE;
    request.extend(lifetime(ext::LIFETIME_HARD, [0, 0, 0, hard, 0]));
    request.extend(identity(ext::IDENTITY_SRC, 2, 9, b"left.example\0"));
    request.extend(identity(ext::IDENTITY_DST, 3, 8, b"right@example\0"));
    fix_len(&mut request);
    request
}

#[test]
fn update_survives_each_failure() {
    // The SA, its keys, two identities and what holds them, the answer; a second to be woken in.
    assert!(fail_each(set_up_group, &rich_update(0)) >= 6);
    assert!(fail_each(set_up_group, &rich_update(100)) >= 11);
    // From one second to another, near and far.
    for hard in [1, 99, 100, 101, 5000, 1 << 40] {
        let set_up = |host: &TestHost| {
            set_up_group(host);
            host.set_up(&rich_update(100));
        };
        assert!(fail_each(set_up, &rich_update(hard)) >= 5, "{hard}");
    }
}

#[test]
fn update_of_ports_survives_each_failure() {
    let mut request = rich_update(100);
    request.extend(extension(ext::NAT_T_SPORT, &[1, 1, 0, 0]));
    fix_len(&mut request);
    assert!(fail_each(set_up_group, &request) >= 1);
}

#[test]
fn register_survives_each_failure() {
    for satype in [2, 3, 9, 10, 11, 5] {
        let request = message(msg::REGISTER, satype, &[]);
        assert!(fail_each(|_| (), &request) >= 1, "{satype}");
    }
}

#[test]
fn acquire_expire_and_promisc_survive_each_failure() {
    let set_up = |host: &TestHost| host.set_up(&message(msg::REGISTER, 3, &[]));
    let mut acquire = message(msg::ACQUIRE, 3, &[]);
    acquire[2] = Errno::EPERM.0;
    assert!(fail_each(set_up, &acquire) >= 1);
    assert!(fail_each(|_| (), &message(msg::EXPIRE, 3, &[])) >= 1);
    assert!(fail_each(|_| (), &message(msg::PROMISC, 1, &[])) >= 1);
}

#[test]
fn promisc_that_was_refused_for_want_of_memory_leaves_no_copies() {
    let host = TestHost::new();
    set_up_four(&host);
    memory::fail_after(Some(0));
    let result = host.write_from(B, &message(msg::PROMISC, 1, &[]));
    memory::fail_after(None);
    assert_eq!(result, Err(Errno::ENOMEM));
    host.write(&get(four()[0])).unwrap();
    assert_eq!(host.deliveries(), [A]);
}

#[test]
fn dump_of_one_sa_survives_each_failure() {
    // What can fail later than the request is in dump.rs.
    assert!(fail_each(set_up_four, &message(msg::DUMP, 3, &[])) >= 1);
}

#[test]
fn refusal_keeps_its_errno_when_there_is_no_memory_to_tell_of_it() {
    let host = TestHost::new();
    set_up_group(&host);
    for (request, errno, enough) in [
        (delete(said("esp.9999@10.0.0.2")), Errno::ESRCH, 1),
        (pair(four()[0], four()[1]), Errno::EEXIST, 1),
        (get(said("esp.9999@10.0.0.2")), Errno::ESRCH, 0),
        (message(msg::DELETE, 9, &[]), Errno::EINVAL, 0),
    ] {
        memory::fail_after(Some(enough));
        let result = host.write(&request);
        memory::fail_after(None);
        assert_eq!(result, Err(errno));
        assert_eq!(host.deliveries(), []);
    }
}

#[test]
fn socket_that_can_not_be_opened_is_not_told_of_anything() {
    let mut listeners: Listeners<TestHost> = Listeners::new();
    memory::fail_after(Some(0));
    let result = listeners.open(7);
    memory::fail_after(None);
    assert_eq!(result, Err(OpenError::OutOfMemory));
    assert!(listeners.open(8).is_ok());
}

#[test]
fn prepare_fails_cleanly_at_every_size_of_the_table() {
    let mut sadb = Sadb::new(HashKey([1, 2]));
    for index in 0..200 {
        let said = said(&format!("tun.{:x}@10.0.0.2", 0x1000 + index));
        for count in 0.. {
            let sa = plain(said);
            memory::fail_after(Some(count));
            let prepared = sadb.prepare(sa);
            memory::fail_after(None);
            sadb.check();
            match prepared {
                Ok(prepared) => {
                    // All memory has been taken: this needs none.
                    memory::fail_after(Some(0));
                    sadb.add(prepared);
                    memory::fail_after(None);
                    break;
                }
                Err(error) => assert_eq!(error, AddError::OutOfMemory),
            }
            assert_eq!(sadb.len(), index);
        }
        sadb.check();
    }
    // Nor does anything else need memory.
    memory::fail_after(Some(0));
    let ages: Vec<Age> = (1..=200).filter_map(Age::from_number).collect();
    for pair in ages[..64].windows(2) {
        group::link(&mut sadb, pair[0], pair[1]);
    }
    group::link_list(&mut sadb, &[Some(ages[70]), Some(ages[71])]);
    group::ungroup(&mut sadb, ages[70]);
    for age in ages {
        sadb.remove_chain(age, drop);
    }
    drop(sadb.remove_all());
    memory::fail_after(None);
    assert!(sadb.is_empty());
    sadb.check();
}
