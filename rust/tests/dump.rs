// SPDX-License-Identifier: GPL-2.0

//! DUMP: what a reader gets, however slowly it reads and whatever happens meanwhile.

use klips::{
    errno::Errno,
    memory, request,
    said::{Proto, Said},
};
use proptest::prelude::*;
use testbed::*;

/// DUMP of an SA type, 0 for all.
fn dump(satype: u8) -> Vec<u8> {
    message(msg::DUMP, satype, &[])
}

/// SAs of four types, one after the other.
fn nth(index: usize) -> Said {
    let name = ["tun", "esp", "ah", "comp"][index % 4];
    said(&format!("{name}.{:x}@10.0.0.2", 0x1000 + index))
}

fn host_with(count: usize) -> TestHost {
    let host = TestHost::new();
    for index in 0..count {
        host.set_up(&add(nth(index)));
    }
    host
}

/// What a dump tells of an SA: what GET does.
fn told(host: &TestHost, said: Said, seq: u32) -> Vec<u8> {
    host.drain();
    host.write(&get(said)).unwrap();
    let mut message = host.read_one(A).unwrap();
    message[1] = msg::DUMP;
    message[8..12].copy_from_slice(&seq.to_ne_bytes());
    message
}

/// What a whole dump is.
fn all_told(host: &TestHost, saids: &[Said]) -> Vec<Vec<u8>> {
    let number = |index: usize| {
        if index + 1 == saids.len() {
            0
        } else {
            index as u32 + 1
        }
    };
    let told = (saids.iter().enumerate()).map(|(index, said)| told(host, *said, number(index)));
    let told = told.collect();
    host.drain();
    told
}

fn seq_of(message: &[u8]) -> u32 {
    u32::from_ne_bytes(message[8..12].try_into().unwrap())
}

fn said_of(message: &[u8]) -> Said {
    let proto = match message[3] {
        2 => Proto::Ah,
        3 => Proto::Esp,
        9 => Proto::Tun,
        10 => Proto::Comp,
        satype => panic!("SA type {satype}"),
    };
    let exts = exts_of(message);
    let ext = |number| &exts.iter().find(|(found, _)| *found == number).unwrap().1;
    let dst = ext(ext::ADDRESS_DST);
    Said {
        dst: std::net::Ipv4Addr::new(dst[12], dst[13], dst[14], dst[15]).into(),
        spi: u32::from_be_bytes(ext(ext::SA)[4..8].try_into().unwrap()),
        proto,
    }
}

/// Sequence numbers and SAs of a dump, which has to end as a dump ends.
fn finished(messages: &[Vec<u8>]) -> Vec<Said> {
    for (index, message) in messages.iter().enumerate() {
        assert_eq!(message[1], msg::DUMP);
        let last = index + 1 == messages.len();
        let want = if last { 0 } else { index as u32 + 1 };
        assert_eq!(seq_of(message), want, "message {index}");
    }
    assert!(!messages.is_empty(), "a dump has an end");
    messages.iter().map(|message| said_of(message)).collect()
}

#[test]
fn dump_tells_all_sas_by_age_and_the_last_has_number_0() {
    for count in 1..8 {
        let saids: Vec<Said> = (0..count).map(nth).collect();
        let host = host_with(count);
        let want = all_told(&host, &saids);
        for room in (1..count + 3).chain([usize::MAX]) {
            host.room.set(room);
            host.drain();
            assert_eq!(host.write(&dump(0)), Ok(()));
            let queued = host.deliveries().len();
            assert_eq!(
                queued,
                room.min(count),
                "what there is room for comes at once"
            );
            assert_eq!(host.read(A), want, "{count} SAs, room for {room}");
            assert!(!host.deliveries().contains(&B), "to the sender only");
            assert_eq!(host.lost.borrow().len(), 0);
            assert!(!host.is_dumping(A), "nothing is left to do");
        }
        host.check();
    }
}

#[test]
fn dump_tells_of_an_sa_what_get_tells() {
    let host = TestHost::new();
    let mut request = add(nth(1));
    request.extend(lifetime(ext::LIFETIME_HARD, [10, 20, 30, 400, 500]));
    request.extend(lifetime(ext::LIFETIME_SOFT, [9, 19, 29, 390, 490]));
    request.extend(address(ext::ADDRESS_PROXY, ip("10.0.0.9"), 0));
    request.extend(identity(ext::IDENTITY_SRC, 2, 9, b"left.example\0"));
    fix_len(&mut request);
    host.set_up(&request);
    let want = all_told(&host, &[nth(1)]);
    assert_eq!(host.write(&dump(0)), Ok(()));
    let read = host.read(A);
    assert_eq!(hex(&read[0]), hex(&want[0]));
    for key in [0x5e, 0x5c] {
        assert!(!read[0].windows(4).any(|bytes| bytes == [key; 4]));
    }
}

#[test]
fn dump_of_a_type_tells_its_sas_only() {
    let host = host_with(11);
    for satype in [2, 3, 9, 10] {
        let saids = (0..11).map(nth);
        let saids: Vec<Said> = saids
            .filter(|said| testbed::satype(said.proto) == satype)
            .collect();
        let want = all_told(&host, &saids);
        for room in 1..5 {
            host.room.set(room);
            assert_eq!(host.write(&dump(satype)), Ok(()));
            assert_eq!(host.read(A), want);
        }
        host.room.set(usize::MAX);
    }
}

#[test]
fn dump_of_nothing_is_enoent_and_of_a_type_without_a_protocol_einval() {
    let host = TestHost::new();
    refused(&host, &dump(0), Errno::ENOENT);
    host.set_up(&add(nth(0)));
    for satype in [2, 3, 10, 11] {
        refused(&host, &dump(satype), Errno::ENOENT);
    }
    for satype in [1, 4, 5, 6, 7, 8, 12, 255] {
        refused(&host, &dump(satype), Errno::EINVAL);
    }
    let request = message(msg::DUMP, 9, &naming(nth(0)));
    refused(&host, &request, Errno::EINVAL);
    assert!(!host.is_dumping(A));
}

#[test]
fn second_dump_on_a_socket_is_ebusy_until_the_first_is_through() {
    let host = host_with(5);
    host.room.set(2);
    host.write(&dump(0)).unwrap();
    let first = host.read_one(A).unwrap();
    assert_eq!(host.write(&dump(9)), Err(Errno::EBUSY));
    // The refusal itself had no room at A.
    assert_eq!(host.read(B), [error_message(&dump(9), Errno::EBUSY)]);
    let mut messages = vec![first];
    messages.extend(host.read(A));
    assert_eq!(finished(&messages).len(), 5);
    host.room.set(usize::MAX);
    host.drain();
    assert_eq!(host.write(&dump(9)), Ok(()));
    assert_eq!(finished(&host.read(A)), [nth(0), nth(4)]);
}

#[test]
fn two_sockets_dump_at_the_same_time() {
    let host = host_with(6);
    host.room.set(1);
    host.write(&dump(0)).unwrap();
    host.write_from(B, &dump(3)).unwrap();
    let (mut a, mut b) = (Vec::new(), Vec::new());
    loop {
        let (next_a, next_b) = (host.read_one(A), host.read_one(B));
        if next_a.is_none() && next_b.is_none() {
            break;
        }
        a.extend(next_a);
        b.extend(next_b);
    }
    assert_eq!(finished(&a), (0..6).map(nth).collect::<Vec<_>>());
    assert_eq!(finished(&b), [nth(1), nth(5)]);
}

#[test]
fn sas_that_are_added_meanwhile_are_not_told() {
    for room in 1..5 {
        let host = host_with(4);
        host.room.set(room);
        host.write(&dump(0)).unwrap();
        let mut messages = Vec::new();
        let mut added = 4;
        // An endless dump would not end.
        while let Some(message) = host.read_one(A) {
            if message[1] == msg::DUMP {
                messages.push(message);
            }
            host.full.borrow_mut().insert(A);
            host.write(&add(nth(added))).unwrap();
            host.full.borrow_mut().clear();
            added += 1;
        }
        assert_eq!(finished(&messages), (0..4).map(nth).collect::<Vec<_>>());
    }
}

#[test]
fn dump_ends_with_0_whatever_is_deleted_meanwhile() {
    for count in 2..7 {
        for room in 1..count {
            for read_before in 0..count - room {
                for kept in 0..count {
                    let host = host_with(count);
                    host.room.set(room);
                    host.write(&dump(0)).unwrap();
                    let mut messages: Vec<_> = (0..read_before)
                        .map(|_| host.read_one(A).unwrap())
                        .collect();
                    // Told to nobody, so that it does not get between.
                    host.full.borrow_mut().extend([A, B]);
                    for index in kept..count {
                        host.write(&delete(nth(index))).unwrap();
                    }
                    host.full.borrow_mut().clear();
                    messages.extend(host.read(A));
                    let saids = finished(&messages);
                    assert!(
                        saids.iter().copied().eq((0..saids.len()).map(nth)),
                        "{saids:?}"
                    );
                    assert!(saids.len() >= kept, "what stays is told");
                    assert!(!host.is_dumping(A));
                    host.check();
                }
            }
        }
    }
}

#[test]
fn dump_ends_with_0_if_all_is_flushed_meanwhile() {
    for count in 2..6 {
        for room in 1..count {
            for satype in [0, 2, 3, 9, 10] {
                let host = host_with(count);
                host.room.set(room);
                host.write(&dump(0)).unwrap();
                host.full.borrow_mut().extend([A, B]);
                host.write(&flush(satype)).unwrap();
                host.full.borrow_mut().clear();
                finished(&host.read(A));
                host.drain();
                host.room.set(usize::MAX);
                // The next one is not in the way of that.
                host.write(&add(nth(0))).err();
                host.drain();
                assert_eq!(host.write(&dump(0)), Ok(()));
                finished(&host.read(A));
            }
        }
    }
}

#[test]
fn socket_that_is_closed_takes_its_dump_with_it() {
    let host = host_with(5);
    host.room.set(2);
    host.write(&dump(0)).unwrap();
    let id = host.id(A);
    host.close(A);
    host.drain();
    request::has_read(&host, id);
    assert_eq!(host.deliveries(), []);
    host.open(A);
    request::has_read(&host, host.id(A));
    assert_eq!(host.deliveries(), []);
    assert!(!host.is_dumping(A));
    assert_eq!(host.write(&dump(0)), Ok(()));
    assert_eq!(finished(&host.read(A)).len(), 5);
}

#[test]
fn to_go_on_without_a_dump_does_nothing() {
    let host = host_with(2);
    for socket in [A, B, 9] {
        request::has_read(&host, host.id(socket));
    }
    assert_eq!(host.deliveries(), []);
}

#[test]
fn long_way_to_the_sas_of_a_type_lets_others_have_their_turn() {
    let host = TestHost::new();
    let tun = |index| said(&format!("tun.{:x}@10.0.0.2", 0x2000 + index));
    let esp = |index| said(&format!("esp.{:x}@10.0.0.2", 0x2000 + index));
    for index in 0..3 {
        host.set_up(&add(esp(index)));
        for tunnel in 0..200 {
            host.set_up(&add(tun(index * 200 + tunnel)));
        }
    }
    for room in [1, usize::MAX] {
        host.room.set(room);
        host.reschedules.set(0);
        host.drain();
        host.write(&dump(3)).unwrap();
        assert_eq!(finished(&host.read(A)), [esp(0), esp(1), esp(2)]);
        assert!(host.reschedules.get() >= 9, "{}", host.reschedules.get());
    }
    refused(&host, &dump(2), Errno::ENOENT);
}

#[test]
fn dump_ends_with_0_although_what_it_looks_for_goes_while_others_run() {
    let host = TestHost::new();
    let esp = |index| said(&format!("esp.{:x}@10.0.0.2", 0x2000 + index));
    for index in 0..3 {
        host.set_up(&add(esp(index)));
    }
    for tunnel in 0..200 {
        host.set_up(&add(said(&format!("tun.{:x}@10.0.0.2", 0x2000 + tunnel))));
    }
    host.set_up(&add(esp(3)));
    host.on_resched.replace(Some(Box::new(move |host| {
        for index in 1..4 {
            host.full.borrow_mut().extend([A, B]);
            let _ = host.write(&delete(esp(index)));
            host.full.borrow_mut().clear();
        }
    })));
    host.write(&dump(3)).unwrap();
    let saids = finished(&host.read(A));
    assert_eq!(saids[0], esp(0));
    assert!(!host.is_dumping(A));
}

#[test]
fn whichever_allocation_of_a_dump_fails_its_reader_is_told_and_can_dump_again() {
    for (satype, room) in [(0, 1), (0, 2), (0, usize::MAX), (9, 1), (10, 1)] {
        let host = host_with(7);
        host.room.set(room);
        for count in 0.. {
            assert!(count < 50, "some number of allocations is enough");
            host.drain();
            host.lost.borrow_mut().clear();
            memory::fail_after(Some(count));
            let result = host.write(&dump(satype));
            let messages = host.read(A);
            memory::fail_after(None);
            host.check();
            assert!(!host.is_dumping(A), "allocation {count}");
            let lost = host.lost.borrow().get(&A).copied();
            match (result, messages.last()) {
                (Err(Errno::ENOMEM), None) => assert_eq!(lost, None),
                (Ok(()), Some(last)) if seq_of(last) == 0 => {
                    finished(&messages);
                    assert_eq!(lost, None);
                    break;
                }
                (Ok(()), _) => {
                    assert_eq!(lost, Some(1), "allocation {count}");
                    for (index, message) in messages.iter().enumerate() {
                        assert_eq!(seq_of(message), index as u32 + 1);
                    }
                }
                (result, _) => panic!("{result:?}"),
            }
            host.drain();
            assert_eq!(host.write(&dump(satype)), Ok(()), "no dump is stuck");
            finished(&host.read(A));
        }
        assert_eq!(host.lost.borrow().len(), 0);
    }
}

#[test]
fn without_memory_for_copies_a_dump_is_whole() {
    let host = host_with(3);
    host.write_from(B, &message(msg::PROMISC, 1, &[])).unwrap();
    host.drain();
    for count in 1..6 {
        host.lost.borrow_mut().clear();
        memory::fail_after(Some(count));
        let result = host.write(&dump(0));
        memory::fail_after(None);
        assert_eq!(result, Ok(()));
        let (a, b) = (host.read(A), host.read(B));
        let lost = |socket| host.lost.borrow().get(&socket).copied().unwrap_or(0);
        // A copy that could not be made is lost, a message that could not be made ends it.
        assert_eq!(b.len() + lost(B) as usize, a.len());
        assert_eq!(lost(A) == 0, a.last().is_some_and(|last| seq_of(last) == 0));
        host.drain();
    }
}

#[derive(Clone, Debug)]
enum Step {
    Read,
    Add(usize),
    Delete(usize),
    Pair(usize, usize),
    Flush(u8),
    Room(usize),
}

fn any_step() -> impl Strategy<Value = Step> {
    let sa = 0..12usize;
    prop_oneof![
        8 => Just(Step::Read),
        3 => sa.clone().prop_map(Step::Add),
        3 => sa.clone().prop_map(Step::Delete),
        1 => (sa.clone(), sa).prop_map(|(inner, outer)| Step::Pair(inner, outer)),
        1 => prop::sample::select(&[0u8, 2, 3, 9, 10][..]).prop_map(Step::Flush),
        2 => (1usize..4).prop_map(Step::Room),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    /// What is there from beginning to end is told once, in order; what is told was there at the
    /// beginning; and there is an end.
    #[test]
    fn dump_is_complete_and_ends_whatever_happens(
        satype in prop::sample::select(&[0u8, 0, 2, 3, 9, 10][..]),
        steps in prop::collection::vec(any_step(), 0..60),
    ) {
        let host = host_with(12);
        let wanted = |said: &Said| satype == 0 || testbed::satype(said.proto) == satype;
        let at_first: Vec<Said> = (0..12).map(nth).filter(wanted).collect();
        let mut stays = at_first.clone();
        host.room.set(1);
        host.write(&dump(satype)).unwrap();
        let mut messages = Vec::new();
        let quietly = |request: &[u8]| {
            host.full.borrow_mut().extend([A, B]);
            let _ = host.write(request);
            host.full.borrow_mut().clear();
        };
        for step in steps {
            match step {
                Step::Read => messages.extend(host.read_one(A)),
                Step::Add(index) => quietly(&add(nth(index))),
                Step::Delete(index) => quietly(&delete(nth(index))),
                Step::Pair(inner, outer) => quietly(&pair(nth(inner), nth(outer))),
                Step::Flush(satype) => quietly(&flush(satype)),
                Step::Room(room) => host.room.set(room),
            }
            let state = host.state();
            stays.retain(|said| state.sadb.find(said).is_some_and(|sa| sa.age().number() <= 12));
        }
        messages.extend(host.read(A));
        host.check();
        let saids = finished(&messages);
        // In the order of the beginning, each once.
        let mut rest = at_first.iter();
        for said in &saids {
            prop_assert!(rest.any(|first| first == said), "{saids:?}");
        }
        for said in &stays {
            prop_assert!(saids.contains(said), "{said} of {saids:?}");
        }
        prop_assert!(!host.is_dumping(A));
    }
}
