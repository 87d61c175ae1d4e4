// SPDX-License-Identifier: GPL-2.0

//! The table and the rules of grouping by themselves: limits, sizes, order. What requests make of
//! them is compared with a model in `userspace/testbed`.

use klips::{
    group::{self, LinkError, Links, Neighbours, MAX_CHAIN},
    sadb::{AddError, Age, HashKey, RemovedAll, Sadb},
    said::{Proto, Said},
};
use std::{
    collections::BTreeSet,
    net::{IpAddr, Ipv4Addr},
};
use testbed::*;

const KEY: HashKey = HashKey([0x1111_2222_3333_4444, 0x5555_6666_7777_8888]);

// --- Limits -------------------------------------------------------------------------------------

fn nth(index: u32) -> Said {
    Said {
        dst: IpAddr::V4(Ipv4Addr::from(0x0a00_0000 + index % 251)),
        spi: 256 + index,
        proto: Proto::Esp,
    }
}

fn insert(sadb: &mut Sadb, said: Said) -> Age {
    let prepared = sadb
        .prepare(plain(said))
        .unwrap_or_else(|_| panic!("{said}"));
    let age = sadb.next_age();
    sadb.add(prepared);
    assert_eq!(sadb.find(&said).map(|sa| sa.age()), Some(age));
    age
}

fn link(sadb: &mut Sadb, inner: Age, outer: Age) -> Result<(), LinkError> {
    group::check_link(sadb, inner, outer)?;
    group::link(sadb, inner, outer);
    Ok(())
}

#[test]
fn chain_has_at_most_64_members_however_it_is_made() {
    assert_eq!(MAX_CHAIN, 64);
    for first in 1..=64 {
        let mut sadb = Sadb::new(KEY);
        let ages: Vec<Age> = (0..65).map(|index| insert(&mut sadb, nth(index))).collect();
        // A chain of `first` and one of the rest without one, then both joined, then one too many.
        for pair in ages[..first].windows(2).chain(ages[first..64].windows(2)) {
            link(&mut sadb, pair[0], pair[1]).unwrap();
        }
        if first < 64 {
            link(&mut sadb, ages[first - 1], ages[first]).unwrap();
        }
        sadb.check();
        assert_eq!(link(&mut sadb, ages[63], ages[64]), Err(LinkError::TooLong));
        assert_eq!(link(&mut sadb, ages[64], ages[0]), Err(LinkError::TooLong));
        sadb.check();
        assert_eq!(sadb.chain(sadb.get(ages[9]).unwrap()).count(), 64);
        // A ring is told before the length.
        assert_eq!(link(&mut sadb, ages[63], ages[0]), Err(LinkError::Cycle));
        group::ungroup(&mut sadb, ages[32]);
        assert!(ages
            .iter()
            .all(|age| sadb.chain(sadb.get(*age).unwrap()).count() == 1));
        link(&mut sadb, ages[63], ages[64]).unwrap();
        sadb.check();
    }
}

#[test]
fn two_chains_that_are_too_long_together_stay_apart() {
    let mut sadb = Sadb::new(KEY);
    let ages: Vec<Age> = (0..80).map(|index| insert(&mut sadb, nth(index))).collect();
    for pair in ages[..40].windows(2).chain(ages[40..].windows(2)) {
        link(&mut sadb, pair[0], pair[1]).unwrap();
    }
    assert_eq!(link(&mut sadb, ages[39], ages[40]), Err(LinkError::TooLong));
    assert_eq!(link(&mut sadb, ages[79], ages[0]), Err(LinkError::TooLong));
    sadb.check();
    let lens: Vec<usize> = [0, 79]
        .iter()
        .map(|at| sadb.chain(sadb.get(ages[*at]).unwrap()).count())
        .collect();
    assert_eq!(lens, [40, 40]);
}

#[test]
fn link_errors_come_in_the_order_of_the_reference() {
    let mut sadb = Sadb::new(KEY);
    let [a, b, c, d] = [0, 1, 2, 3].map(|index| insert(&mut sadb, nth(index)));
    assert_eq!(link(&mut sadb, a, a), Err(LinkError::Cycle));
    link(&mut sadb, a, b).unwrap();
    link(&mut sadb, c, d).unwrap();
    assert_eq!(link(&mut sadb, a, b), Err(LinkError::InnerTaken));
    assert_eq!(link(&mut sadb, a, d), Err(LinkError::InnerTaken));
    assert_eq!(link(&mut sadb, a, a), Err(LinkError::InnerTaken));
    assert_eq!(link(&mut sadb, b, d), Err(LinkError::OuterTaken));
    assert_eq!(link(&mut sadb, b, b), Err(LinkError::OuterTaken));
    assert_eq!(link(&mut sadb, b, a), Err(LinkError::Cycle));
    link(&mut sadb, b, c).unwrap();
    assert_eq!(link(&mut sadb, d, a), Err(LinkError::Cycle));
    sadb.check();
}

#[test]
fn links_of_an_sa_that_is_gone_are_none() {
    let mut sadb = Sadb::new(KEY);
    let [a, b] = [0, 1].map(|index| insert(&mut sadb, nth(index)));
    link(&mut sadb, a, b).unwrap();
    assert_eq!(
        (Links::onext(&sadb, a), Links::inext(&sadb, b)),
        (Some(b), Some(a))
    );
    sadb.remove_chain(b, drop);
    assert_eq!(
        (Links::onext(&sadb, a), Links::inext(&sadb, b)),
        (None, None)
    );
    assert!(sadb.get(a).is_none());
    // Nothing comes of using a handle any longer.
    let to_b = Neighbours {
        onext: Some(b),
        ..Neighbours::NONE
    };
    assert_eq!(sadb.set_neighbours(a, to_b), Neighbours::NONE);
    group::ungroup(&mut sadb, a);
    sadb.remove_chain(a, |_| panic!("nothing to remove"));
    sadb.check();
}

#[test]
fn prepared_sa_is_not_added_if_another_came_first() {
    let mut sadb = Sadb::new(KEY);
    let first = sadb.prepare(plain(nth(0))).ok().unwrap();
    let second = sadb.prepare(plain(nth(1))).ok().unwrap();
    sadb.add(second);
    // It was prepared for a table that is another now.
    sadb.add(first);
    assert!(sadb.find(&nth(0)).is_none());
    assert_eq!(sadb.len(), 1);
    sadb.check();
}

#[test]
fn prepared_sa_that_is_dropped_leaves_nothing() {
    let mut sadb = Sadb::new(KEY);
    insert(&mut sadb, nth(0));
    drop(sadb.prepare(plain(nth(1))));
    sadb.check();
    assert_eq!(sadb.len(), 1);
    assert_eq!(insert(&mut sadb, nth(1)).number(), 2);
    sadb.check();
}

#[test]
fn sas_differ_by_destination_family_spi_and_protocol() {
    let mut sadb = Sadb::new(KEY);
    let saids = [
        "esp.1000@10.0.0.2",
        "ah.1000@10.0.0.2",
        "comp.1000@10.0.0.2",
        "tun.1000@10.0.0.2",
        "int.1000@10.0.0.2",
        "esp.1001@10.0.0.2",
        "esp.1000@10.0.0.3",
        "esp:1000@::10.0.0.2",
        "esp:1000@::ffff:10.0.0.2",
        "esp:1000@2001:db8::2",
        "esp:1000@2001:db9::2",
        "esp.0@0.0.0.0",
        "esp:0@::",
    ]
    .map(said);
    for said in saids {
        insert(&mut sadb, said);
    }
    sadb.check();
    for (index, said) in saids.iter().enumerate() {
        assert_eq!(sadb.find(said).unwrap().age().number(), index as u64 + 1);
        assert_eq!(sadb.prepare(plain(*said)).err(), Some(AddError::Exists));
    }
}

// --- Size ---------------------------------------------------------------------------------------

/// Numbers that look random, the same every time.
fn random(seed: &mut u64) -> usize {
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    (*seed >> 16) as usize
}

#[test]
fn table_grows_to_20000_sas_and_shrinks_to_none() {
    let mut sadb = Sadb::new(KEY);
    let mut there: Vec<u32> = Vec::new();
    let mut seed = 88172645463325252;
    for index in 0..20_000 {
        insert(&mut sadb, nth(index));
        there.push(index);
        // Every size up to some hundreds, then now and then.
        if index < 300 || index % 5000 == 0 {
            sadb.check();
        }
    }
    sadb.check();
    assert!((0..20_000).all(|index| sadb.find(&nth(index)).is_some()));
    assert!((20_000..25_000).all(|index| sadb.find(&nth(index)).is_none()));
    while !there.is_empty() {
        let index = there.swap_remove(random(&mut seed) % there.len());
        let age = sadb.find(&nth(index)).expect("still there").age();
        sadb.remove_chain(age, |sa| assert_eq!(sa.spec.said(), nth(index)));
        assert!(sadb.find(&nth(index)).is_none());
        assert_eq!(sadb.len(), there.len());
        if there.len() < 300 || there.len() % 5000 == 0 {
            sadb.check();
            assert!(there.iter().all(|index| sadb.find(&nth(*index)).is_some()));
        }
    }
    assert!(sadb.is_empty());
    assert!(sadb.at_or_after(Age::FIRST).is_none());
}

#[test]
fn table_grows_and_shrinks_around_every_size_of_its_index() {
    let mut sadb = Sadb::new(KEY);
    let mut next = 0;
    let mut there: Vec<Age> = Vec::new();
    let mut seed = 4711;
    // Up and down past every power of two and every chunk of 64 buckets.
    for target in [
        65, 10, 130, 63, 64, 1, 200, 127, 129, 30, 520, 250, 260, 0, 70,
    ] {
        while there.len() != target {
            if there.len() < target {
                there.push(insert(&mut sadb, nth(next)));
                next += 1;
            } else {
                let age = there.swap_remove(random(&mut seed) % there.len());
                sadb.remove_chain(age, drop);
            }
            sadb.check();
        }
    }
}

#[test]
fn sas_are_listed_by_age_whatever_holes_there_are() {
    // The map of ages is another from 2^24 on.
    for start in [1, (1 << 24) - 3000, (1 << 48) - 20_000] {
        lists_by_age_whatever_holes_there_are(start);
    }
}

fn lists_by_age_whatever_holes_there_are(start: u64) {
    let mut sadb = Sadb::new(KEY);
    sadb.skip_to(Age::from_number(start).unwrap());
    let mut ages: BTreeSet<u64> = BTreeSet::new();
    let mut seed = 2463534242;
    let mut next = 0;
    for round in 0..40 {
        for _ in 0..random(&mut seed) % 500 {
            ages.insert(insert(&mut sadb, nth(next)).number());
            next += 1;
        }
        // A hole of its own in each round, from single SAs to everything.
        let keep_one_in = [1, 2, 64, 65, 300, 4096, usize::MAX][round % 7];
        for age in ages.clone() {
            if random(&mut seed) % keep_one_in != 0 {
                sadb.remove_chain(Age::from_number(age).unwrap(), drop);
                ages.remove(&age);
            }
        }
        assert_eq!(sadb.len(), ages.len());
        let last = sadb.next_age().number();
        let probes = (0..300).map(|_| start + random(&mut seed) as u64 % (last + 1 - start));
        let far = [
            1,
            (1 << 24) - 1,
            1 << 24,
            last,
            last + 4096,
            1 << 40,
            (1 << 48) - 1,
            1 << 48,
            u64::MAX,
        ];
        for probe in probes.chain(far) {
            let found = sadb.at_or_after(Age::from_number(probe).unwrap());
            let want = ages.range(probe..).next().copied();
            assert_eq!(found.map(|sa| sa.age().number()), want, "from {probe}");
        }
        sadb.check();
    }
}

#[test]
fn groups_and_lookups_reach_across_the_levels_of_the_map() {
    let mut sadb = Sadb::new(KEY);
    let mut ages = Vec::new();
    for (index, age) in [1, 2, (1 << 24) - 1, 1 << 24, (1 << 24) + 1, (1 << 48) - 1]
        .into_iter()
        .enumerate()
    {
        sadb.skip_to(Age::from_number(age).unwrap());
        ages.push(insert(&mut sadb, nth(index as u32)));
        sadb.check();
    }
    for pair in ages.windows(2).step_by(2) {
        link(&mut sadb, pair[0], pair[1]).unwrap();
    }
    sadb.check();
    // That was the last age there is.
    assert!(matches!(
        sadb.prepare(plain(nth(6))),
        Err(AddError::OutOfMemory)
    ));
    sadb.check();
    let listed: Vec<Age> = sadb.sas_from(Age::FIRST).map(|sa| sa.age()).collect();
    assert_eq!(listed, ages);
    for (removed, left) in [(ages[2], 4), (ages[0], 2), (ages[5], 0)] {
        sadb.remove_chain(removed, drop);
        sadb.check();
        assert_eq!(sadb.len(), left);
    }
}

#[test]
fn ages_go_on_after_all_was_removed() {
    let mut sadb = Sadb::new(KEY);
    insert(&mut sadb, nth(0));
    insert(&mut sadb, nth(1));
    let removed = sadb.remove_all();
    assert_eq!((removed.len(), sadb.len()), (2, 0));
    assert_eq!(insert(&mut sadb, nth(0)).number(), 3);
    sadb.check();
}

#[test]
fn what_was_removed_is_freed_a_leaf_at_a_time() {
    // Where one node of the second level ends, and where the deep ones begin.
    for middle in [1 << 12, 1 << 24] {
        let mut sadb = Sadb::new(KEY);
        sadb.skip_to(Age::from_number(middle - 500).unwrap());
        for index in 0..1000 {
            insert(&mut sadb, nth(index));
        }
        let mut removed = sadb.remove_all();
        while !removed.is_empty() {
            let before = removed.len();
            assert!(removed.free_some());
            assert!((1..=64).contains(&(before - removed.len())));
        }
        // Sixteen chunks of 64 buckets.
        assert_eq!(steps_to_free(removed), 16);
    }
}

/// In how many steps the rest of a table is freed that has no SAs any more.
fn steps_to_free(mut removed: RemovedAll) -> usize {
    assert!(removed.is_empty());
    (0..).find(|_| !removed.free_some()).expect("an end")
}

#[test]
fn timers_of_what_was_removed_are_freed_a_leaf_at_a_time() {
    let mut sadb = Sadb::new(KEY);
    for index in 0..320 {
        let mut sa = plain(nth(index));
        sa.spec.hard.addtime = 2 * u64::from(index) + 1;
        let prepared = sadb.prepare(sa).ok().unwrap();
        sadb.add(prepared);
    }
    sadb.check();
    let mut removed = sadb.remove_all();
    while !removed.is_empty() {
        assert!(removed.free_some());
    }
    // Every second one from 2 to 640, 64 seconds a leaf, and five chunks of buckets.
    assert_eq!(steps_to_free(removed), 11 + 5);
}

#[test]
fn index_gives_back_its_memory_a_chunk_at_a_time() {
    let mut sadb = Sadb::new(KEY);
    let mut ages: Vec<Age> = (0..1000)
        .map(|index| insert(&mut sadb, nth(index)))
        .collect();
    while let Some(age) = ages.pop() {
        sadb.remove_chain(age, drop);
        sadb.check();
    }
    // One bucket is left, and the memory that is kept in hand for the next SAs.
    assert_eq!(steps_to_free(sadb.remove_all()), 2);
}

#[test]
fn age_0_is_none() {
    assert_eq!(Age::from_number(0), None);
    assert_eq!(Age::from_number(1), Some(Age::FIRST));
    assert_eq!(Age::FIRST.next().number(), 2);
    assert_eq!(
        Age::from_number(u64::MAX).unwrap().next().number(),
        u64::MAX
    );
}

#[test]
fn hash_spreads_saids_that_differ_in_a_single_field() {
    let bits = |index: u32| Ipv4Addr::from(index.swap_bytes());
    type MakeSaid = fn(u32, Ipv4Addr) -> Said;
    let families: [(&str, MakeSaid); 4] = [
        ("SPIs", |index, _| Said {
            spi: index,
            ..nth(0)
        }),
        ("high SPIs", |index, _| Said {
            spi: index << 20,
            ..nth(0)
        }),
        ("IPv4", |_, ip| Said {
            dst: ip.into(),
            ..nth(0)
        }),
        ("IPv6", |_, ip| Said {
            dst: ip.to_ipv6_compatible().into(),
            ..nth(0)
        }),
    ];
    let keys = [
        KEY,
        HashKey([0x9c1f_3a52_77e0_4b1d, 0x2e8d_61c7_05fa_93b6]),
        HashKey([0x51a9_c4e3_d80b_7f26, 0xb37e_5d10_8a4c_62f9]),
    ];
    for key in keys {
        for (name, said) in families {
            let mut buckets = [0; 256];
            for index in 0..4096 {
                buckets[(key.hash(&said(index, bits(index))) & 255) as usize] += 1;
            }
            // 16 each on average.
            let most = buckets.iter().max().unwrap();
            assert!(*most < 48, "{name}: {most} in one bucket of {:x?}", key.0);
        }
    }
}

#[test]
fn hash_tells_neighbouring_addresses_apart() {
    for (one, other) in [
        ("esp.1000@10.0.0.2", "esp.1000@10.0.0.3"),
        ("esp.1000@10.0.0.2", "esp.1001@10.0.0.2"),
        ("esp:1000@2001:db8::2", "esp:1000@2001:db8::3"),
        ("esp:1000@2001:db8::2", "esp:1000@2001:db9::2"),
        ("esp.1000@10.0.0.2", "ah.1000@10.0.0.2"),
        ("esp.1000@10.0.0.2", "esp:1000@::10.0.0.2"),
    ] {
        assert_ne!(
            KEY.hash(&said(one)),
            KEY.hash(&said(other)),
            "{one} {other}"
        );
    }
}

#[test]
fn hash_depends_on_its_key() {
    let other = HashKey([KEY.0[0], KEY.0[1] ^ 1]);
    let same = (0..1000).filter(|index| KEY.hash(&nth(*index)) == other.hash(&nth(*index)));
    assert_eq!(same.count(), 0);
}
