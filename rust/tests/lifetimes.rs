// SPDX-License-Identifier: GPL-2.0

//! What time does to SAs: who is told when, and what goes.

use klips::{change, memory, pfkey::SaState, sadb::Moment, said::Said};
use testbed::*;

const SOFT: u16 = ext::LIFETIME_SOFT;
const HARD: u16 = ext::LIFETIME_HARD;

fn esp() -> Said {
    said("esp.1002@10.0.0.2")
}

fn three() -> [Said; 3] {
    [said("tun.1001@10.0.0.2"), esp(), said("ah.1003@10.0.0.2")]
}

/// The EXPIRE about an SA that was added at the beginning. `limit` is the lifetime extension.
fn expired(said: Said, seq: u32, state: u8, limit: Vec<u8>) -> Vec<u8> {
    let bytes = add(said);
    let mut sa = exts_of(&bytes).remove(0).1;
    sa[9] = state;
    let current = lifetime(ext::LIFETIME_CURRENT, [1, 0, 0, 1_000_000_000, 0]);
    let dst = address(ext::ADDRESS_DST, said.dst, 0);
    let exts = [sa, current, limit, source(), dst];
    message_of(msg::EXPIRE, satype(said.proto), seq, 0, &exts)
}

/// The DELETE about an SA that went with its group.
fn deleted(said: Said) -> Vec<u8> {
    message_of(msg::DELETE, satype(said.proto), 0, 0, &naming(said))
}

/// What both sockets read.
fn read_both(host: &TestHost) -> Vec<Vec<u8>> {
    host.check();
    let read = host.read(A);
    assert_eq!(host.read(B), read, "everybody is told");
    read
}

fn assert_told(host: &TestHost, want: &[Vec<u8>]) {
    let read: Vec<String> = read_both(host).iter().map(|bytes| hex(bytes)).collect();
    let want: Vec<String> = want.iter().map(|bytes| hex(bytes)).collect();
    assert_eq!(read, want);
}

fn state_of(host: &TestHost, said: Said) -> Option<SaState> {
    host.state().sadb.find(&said).map(|sa| sa.spec.state)
}

#[test]
fn sa_past_its_soft_limit_is_dying_and_told_once() {
    let host = TestHost::new();
    host.set_up(&limited(msg::ADD, esp(), 10, 0));
    host.sleep(10);
    assert_told(&host, &[]);
    assert_eq!(state_of(&host, esp()), Some(SaState::Mature));
    host.sleep(1);
    assert_told(&host, &[expired(esp(), 1, 2, seconds(SOFT, 10))]);
    assert_eq!(state_of(&host, esp()), Some(SaState::Dying));
    assert_eq!(host.wake.get(), None, "nothing is left to do");
    host.sleep(100_000);
    change::limits_due(&host);
    assert_told(&host, &[]);
    // GET tells so too.
    host.write(&get(esp())).unwrap();
    assert_eq!(host.read(A)[0][16 + 9], 2);
}

#[test]
fn sa_past_its_hard_limit_is_told_and_gone() {
    // Also where one limit is passed a second after the other.
    for (soft, hard) in [(5, 20), (10, 11)] {
        let host = TestHost::new();
        host.set_up(&limited(msg::ADD, esp(), soft, hard));
        host.sleep(hard);
        assert_told(&host, &[expired(esp(), 1, 2, seconds(SOFT, soft))]);
        host.sleep(1);
        assert_told(&host, &[expired(esp(), 2, 2, seconds(HARD, hard))]);
        assert_eq!(host.spigrp(), "");
        assert_eq!(host.wake.get(), None);
    }
}

#[test]
fn without_a_soft_limit_below_the_hard_one_only_the_end_is_told() {
    for soft in [0, 20, 21, 1000] {
        let host = TestHost::new();
        host.set_up(&limited(msg::ADD, esp(), soft, 20));
        host.sleep(20);
        assert_told(&host, &[]);
        host.sleep(1);
        assert_told(&host, &[expired(esp(), 1, 1, seconds(HARD, 20))]);
    }
}

#[test]
fn end_of_an_sa_is_the_end_of_its_group_and_each_mate_is_told() {
    for named in three() {
        let host = TestHost::new();
        for said in three() {
            let hard = if said == named { 20 } else { 0 };
            host.set_up(&limited(msg::ADD, said, 0, hard));
        }
        host.set_up(&list(&three()));
        host.set_up(&add(said("ah.9999@10.0.0.2")));
        host.sleep(21);
        let mut want = vec![expired(named, 1, 1, seconds(HARD, 20))];
        want.extend(
            three()
                .into_iter()
                .filter(|said| *said != named)
                .map(deleted),
        );
        assert_told(&host, &want);
        assert_eq!(host.state().sadb.len(), 1);
    }
}

#[test]
fn soft_limit_leaves_the_group_alone() {
    let host = TestHost::new();
    for said in three() {
        host.set_up(&limited(msg::ADD, said, 10, 0));
    }
    host.set_up(&list(&three()));
    let before = host.spigrp();
    host.sleep(11);
    assert_eq!(read_both(&host).len(), 3);
    assert_eq!(host.spigrp(), before);
}

#[test]
fn group_whose_members_end_in_the_same_second_ends_once() {
    let host = TestHost::new();
    for said in three() {
        host.set_up(&limited(msg::ADD, said, 0, 10));
    }
    host.set_up(&list(&three()));
    host.sleep(11);
    let types: Vec<u8> = read_both(&host).iter().map(|message| message[1]).collect();
    assert_eq!(types, [msg::EXPIRE, msg::DELETE, msg::DELETE]);
    assert_eq!(host.spigrp(), "");
}

#[test]
fn reserved_spi_that_is_not_updated_ends_after_30_seconds() {
    let host = TestHost::new();
    host.set_up(&reserve(esp()));
    let tun = three()[0];
    host.set_up(&add(tun));
    host.set_up(&pair(tun, esp()));
    host.sleep(30);
    assert_told(&host, &[]);
    host.sleep(1);
    let [_, src, dst] = naming(esp());
    let exts = [
        RawSa::naming(esp().spi).ext(ext::SA),
        lifetime(ext::LIFETIME_CURRENT, [1, 0, 0, 1_000_000_000, 0]),
        seconds(HARD, 0),
        src,
        dst,
    ];
    let want = message_of(msg::EXPIRE, 3, 1, 0, &exts);
    assert_told(&host, &[want, deleted(tun)]);
    assert_eq!(host.spigrp(), "");
    // And may be reserved again.
    assert_eq!(host.write(&reserve(esp())), Ok(()));
}

/// Soft and hard limit.
type Limits = (u64, u64);

#[test]
fn update_sets_the_clock_of_an_sa_anew() {
    // Soft and hard limit before and after, when the update comes, and when something is told
    // after it.
    let cases: [(Limits, u64, Limits, &[u64]); 9] = [
        // In the same second.
        ((0, 20), 0, (0, 20), &[21]),
        ((10, 20), 0, (10, 30), &[11, 31]),
        // Later, earlier, never.
        ((0, 20), 5, (0, 20), &[26]),
        ((0, 20), 5, (0, 100), &[106]),
        ((0, 100), 5, (0, 3), &[9]),
        ((10, 20), 5, (0, 0), &[]),
        ((0, 0), 5, (1, 0), &[7]),
        // After the soft limit: mature again, and told again.
        ((10, 50), 15, (10, 50), &[26, 66]),
        ((10, 50), 11, (0, 0), &[]),
    ];
    for ((soft, hard), at, (new_soft, new_hard), want) in cases {
        let host = TestHost::new();
        host.set_up(&limited(msg::ADD, esp(), soft, hard));
        host.sleep(at);
        host.set_up(&limited(msg::UPDATE, esp(), new_soft, new_hard));
        assert_eq!(state_of(&host, esp()), Some(SaState::Mature));
        let mut told = Vec::new();
        for second in at + 1..200 {
            host.sleep(1);
            told.extend(read_both(&host).iter().map(|_| second));
        }
        assert_eq!(told, want, "{soft} {hard} at {at} {new_soft} {new_hard}");
    }
}

#[test]
fn update_of_ports_does_not_set_the_clock_anew() {
    let host = TestHost::new();
    host.set_up(&limited(msg::ADD, esp(), 0, 20));
    host.sleep(10);
    let mut request = limited(msg::UPDATE, esp(), 0, 100);
    request.extend(extension(ext::NAT_T_SPORT, &[1, 1, 0, 0]));
    fix_len(&mut request);
    host.set_up(&request);
    host.sleep(11);
    assert_eq!(read_both(&host).len(), 1);
    assert_eq!(host.spigrp(), "");
}

#[test]
fn host_is_woken_for_the_next_limit_only() {
    let host = TestHost::new();
    let [a, b, c] = three();
    host.set_up(&add(a));
    assert_eq!(host.wake.get(), None);
    host.set_up(&limited(msg::ADD, b, 0, 100));
    assert_eq!(host.wake.get(), Some(1101));
    host.set_up(&limited(msg::ADD, c, 50, 200));
    assert_eq!(host.wake.get(), Some(1051));
    host.set_up(&limited(msg::UPDATE, c, 0, 200));
    assert_eq!(host.wake.get(), Some(1101));
    host.set_up(&reserve(said("esp.5555@10.0.0.2")));
    assert_eq!(host.wake.get(), Some(1031));
    host.sleep(31);
    assert_eq!(host.wake.get(), Some(1101));
    host.sleep(70);
    assert_eq!(host.wake.get(), Some(1201));
    host.sleep(100);
    assert_eq!(host.wake.get(), None);
    assert_eq!(host.state().sadb.len(), 1);
}

#[test]
fn sa_that_is_deleted_in_time_is_not_told_of() {
    let host = TestHost::new();
    for said in three() {
        host.set_up(&limited(msg::ADD, said, 10, 20));
    }
    host.set_up(&delete(three()[1]));
    host.sleep(11);
    assert_eq!(read_both(&host).len(), 2);
    host.set_up(&flush(0));
    host.sleep(100);
    assert_told(&host, &[]);
    assert_eq!(host.wake.get(), None);
}

#[test]
fn limits_beyond_all_time_are_never_passed() {
    let host = TestHost::new();
    let limits = [
        u64::MAX,
        u64::MAX - 1,
        u64::MAX - 1000,
        u64::MAX - 1001,
        1 << 32,
        1 << 63,
    ];
    for (index, limit) in limits.into_iter().enumerate() {
        let said = said(&format!("esp.{:x}@10.0.0.2", 0x1000 + index));
        host.set_up(&limited(msg::ADD, said, limit, limit));
        host.set_up(&limited(msg::UPDATE, said, limit, limit));
        host.check();
    }
    assert_eq!(host.wake.get(), None);
    host.sleep(1 << 40);
    change::limits_due(&host);
    assert_told(&host, &[]);
    assert_eq!(host.state().sadb.len(), limits.len());
}

#[test]
fn longest_limit_that_is_kept_is_kept() {
    let host = TestHost::new();
    host.set_up(&limited(msg::ADD, esp(), 0, (1 << 32) - 1000 - 2));
    assert_eq!(host.wake.get(), Some((1 << 32) - 1));
    host.sleep((1 << 32) - 1000 - 1);
    assert_eq!(read_both(&host).len(), 1);
}

#[test]
fn wall_clock_that_is_set_changes_nothing() {
    let host = TestHost::new();
    host.set_up(&limited(msg::ADD, esp(), 10, 20));
    for real in [0, u64::MAX / 2] {
        let boot = host.clock.get().boot;
        host.clock.set(Moment { real, boot });
        change::limits_due(&host);
        assert_told(&host, &[]);
    }
    host.sleep(21);
    assert_eq!(read_both(&host).len(), 2);
}

#[test]
fn who_is_woken_late_tells_the_end_only() {
    let host = TestHost::new();
    host.set_up(&limited(msg::ADD, esp(), 10, 20));
    host.clock.set(Moment {
        real: 1_000_000_500,
        boot: 1500,
    });
    change::limits_due(&host);
    assert_told(&host, &[expired(esp(), 1, 1, seconds(HARD, 20))]);
}

#[test]
fn limits_are_told_in_the_form_they_were_given_in() {
    let host = TestHost::new();
    let mut request = add(esp());
    request.extend(short_lifetime(HARD, [0, 0, 0, 10, 0]));
    fix_len(&mut request);
    host.set_up(&request);
    host.sleep(11);
    let message = read_both(&host).remove(0);
    let exts = exts_of(&message);
    assert_eq!(exts[1].0, ext::LIFETIME_CURRENT);
    assert_eq!(exts[1].1.len(), 32);
    assert_eq!(exts[2].1, short_lifetime(HARD, [0, 0, 0, 10, 0]));
}

#[test]
fn limits_of_other_kinds_do_not_end_an_sa() {
    let host = TestHost::new();
    let mut request = add(esp());
    request.extend(lifetime(HARD, [1, 1, 1, 0, 1]));
    request.extend(lifetime(SOFT, [1, 1, 1, 0, 1]));
    fix_len(&mut request);
    host.set_up(&request);
    assert_eq!(host.wake.get(), None);
    host.sleep(1000);
    assert_told(&host, &[]);
}

#[test]
fn many_sas_of_one_second_are_all_told_and_others_have_their_turn() {
    const COUNT: u32 = 300;
    let host = TestHost::new();
    let nth = |index| said(&format!("esp.{:x}@10.0.0.2", 0x1000 + index));
    for index in 0..COUNT {
        host.set_up(&limited(msg::ADD, nth(index), 10, 20));
    }
    for (sleep, left) in [(11, COUNT as usize), (10, 0)] {
        host.reschedules.set(0);
        host.sleep(sleep);
        let told = read_both(&host);
        assert_eq!(told.len(), COUNT as usize);
        let mut spis: Vec<Vec<u8>> = told.iter().map(|message| message[20..24].into()).collect();
        spis.sort();
        spis.dedup();
        assert_eq!(spis.len(), COUNT as usize, "each once");
        assert!(host.reschedules.get() >= 10, "{}", host.reschedules.get());
        assert_eq!(host.state().sadb.len(), left);
    }
    for (sas, keys) in &*host.at_unlock.borrow() {
        assert!(keys - sas <= 16, "{keys} keys for {sas} SAs");
    }
    assert_eq!(host.wake.get(), None);
}

#[test]
fn numbers_of_what_the_kernel_tells_go_up() {
    let host = TestHost::new();
    for (index, said) in three().into_iter().enumerate() {
        host.set_up(&limited(
            msg::ADD,
            said,
            10 + index as u64,
            20 + index as u64,
        ));
    }
    host.sleep(100);
    let seqs: Vec<u32> = read_both(&host)
        .iter()
        .map(|message| u32::from_ne_bytes(message[8..12].try_into().unwrap()))
        .collect();
    assert_eq!(seqs, [1, 2, 3, 4, 5, 6]);
}

/// Lets a second pass on a host where every allocation fails after so many.
fn sleep_without_memory(host: &TestHost, allocations: u64) {
    memory::fail_after(Some(allocations));
    host.sleep(1);
    memory::fail_after(None);
}

#[test]
fn without_memory_a_limit_is_passed_a_second_later() {
    // Whichever allocation fails, soft or hard, alone or in a group.
    for (soft, hard) in [(10, 0), (10, 20), (0, 10)] {
        for count in 0.. {
            let host = TestHost::new();
            for said in three() {
                let limits = if said == esp() { (soft, hard) } else { (0, 0) };
                host.set_up(&limited(msg::ADD, said, limits.0, limits.1));
            }
            host.set_up(&list(&three()));
            let wanted = {
                let host = TestHost::new();
                for said in three() {
                    let limits = if said == esp() { (soft, hard) } else { (0, 0) };
                    host.set_up(&limited(msg::ADD, said, limits.0, limits.1));
                }
                host.set_up(&list(&three()));
                host.sleep(11);
                (read_both(&host), host.spigrp())
            };
            host.sleep(10);
            let before = (host.spigrp(), state_of(&host, esp()));
            sleep_without_memory(&host, count);
            let told = read_both(&host);
            if !told.is_empty() {
                assert_eq!((told, host.spigrp()), wanted);
                assert!(count > 0);
                break;
            }
            assert_eq!((host.spigrp(), state_of(&host, esp())), before);
            assert_eq!(host.wake.get(), Some(1012), "tried again");
            // Still none: and again.
            sleep_without_memory(&host, count);
            assert_told(&host, &[]);
            host.sleep(1);
            let told = read_both(&host);
            assert_eq!(told.len(), wanted.0.len());
            for (told, want) in told.iter().zip(&wanted.0) {
                // But for the number, which counts attempts.
                assert_eq!(told[..8], want[..8]);
                assert_eq!(told[12..], want[12..]);
            }
            assert_eq!(host.spigrp(), wanted.1);
        }
    }
}

#[test]
fn many_limits_are_passed_one_by_one_as_memory_comes() {
    let host = TestHost::new();
    for index in 0..40 {
        let said = said(&format!("esp.{:x}@10.0.0.2", 0x1000 + index));
        host.set_up(&limited(msg::ADD, said, 0, 10));
    }
    host.sleep(10);
    let mut told = 0;
    for _ in 0..200 {
        sleep_without_memory(&host, 3);
        told += read_both(&host).len();
        assert_eq!(told, 40 - host.state().sadb.len());
    }
    assert_eq!(told, 40);
}
