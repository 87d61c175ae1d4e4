// SPDX-License-Identifier: GPL-2.0

//! Nothing leaves that is not meant to: no key, and no byte of room that was not written.

use klips::{errno::Errno, listing::Listing};
use model::{CHOICES, Random, Request, Step, pool, step, wire::*};
use proptest::{prelude::*, sample::Index};
use std::collections::HashSet;
use testbed::{
    A, B, Socket, TestHost, messages,
    target::{self, Event, encode},
};

/// A piece of a key; shorter ones could turn up by chance.
type Piece = [u8; 6];

/// A host whose every word is listened to.
struct Tapped {
    host: TestHost,
    keys: HashSet<Piece>,
    random: Random,
}

/// A socket that hears what others are told.
const EAVESDROPPER: Socket = 3;

impl Tapped {
    /// Logs all there is to be logged.
    fn new() -> Self {
        let host = TestHost::new();
        host.engine.expect_all_clear();
        host.open(EAVESDROPPER);
        let on = message(msg::PROMISC, 1, &[]);
        assert_eq!(host.write_from(EAVESDROPPER, &on), Ok(()));
        let mut masks = vec![0xff; 48];
        masks.extend([0; 4]);
        host.set_up(&message(msg::DEBUG, 0, &[extension(ext::DEBUG, &masks)]));
        Tapped {
            host,
            keys: HashSet::new(),
            random: Random::new(1),
        }
    }

    /// Puts keys into a request that are nowhere else, and writes it.
    fn write(&mut self, mut bytes: Vec<u8>) -> Result<(), Errno> {
        let mut at = 16;
        for (number, ext) in exts_of(&bytes) {
            if [ext::KEY_AUTH, ext::KEY_ENCRYPT].contains(&number) {
                let key = &mut bytes[at + 8..at + ext.len()];
                key.fill_with(|| self.random.next() as u8);
                let pieces = key.windows(size_of::<Piece>());
                self.keys
                    .extend(pieces.map(|piece| Piece::try_from(piece).expect("its length")));
            }
            at += ext.len();
        }
        self.host.write(&bytes)
    }

    /// Whether a piece of a key is in some bytes.
    fn is_in(&self, bytes: &[u8]) -> bool {
        let mut pieces = bytes.windows(size_of::<Piece>());
        pieces.any(|piece| self.keys.contains(piece))
    }

    /// Checks all that there is to be heard and read. How many bytes that was.
    fn assert_silent(&self) -> usize {
        let sockets = [A, B, EAVESDROPPER].into_iter();
        let messages: Vec<Vec<u8>> = sockets.flat_map(|it| self.host.read(it)).collect();
        for message in &messages {
            assert!(!self.is_in(message), "a key: {}", hex(message));
        }
        let mut texts = Listing::ALL.map(|file| self.host.listing(file)).to_vec();
        texts.extend(self.host.logged.take());
        for text in &texts {
            assert!(
                !readings(text).iter().any(|bytes| self.is_in(bytes)),
                "a key: {text}"
            );
        }
        messages.iter().map(Vec::len).sum::<usize>() + texts.iter().map(String::len).sum::<usize>()
    }
}

/// The requests beside its own that may come after a step.
fn asked_for(step: &Step) -> Vec<Vec<u8>> {
    let said = match step {
        Step::Request(request) => request.about(),
        Step::Wait(_) => None,
    };
    let mut requests = vec![message(msg::DUMP, 0, &[])];
    requests.extend(said.map(get));
    requests
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn no_key_is_in_any_message_file_or_line_of_the_log(
        steps in prop::collection::vec((any::<[u8; CHOICES]>(), any::<bool>()), 1..60),
    ) {
        let pool = pool(8);
        let mut tapped = Tapped::new();
        let mut heard = 0;
        for (choices, spoil) in steps {
            let step = step(&pool, choices);
            match &step {
                Step::Request(request) => {
                    let mut bytes = request.bytes();
                    if spoil && matches!(request, Request::Add(..) | Request::Update(..)) {
                        // An algorithm that takes other keys.
                        bytes[16 + 10] = 7;
                    }
                    let _ = tapped.write(bytes);
                }
                Step::Wait(seconds) => tapped.host.sleep(*seconds),
            }
            for request in asked_for(&step) {
                let _ = tapped.host.write(&request);
            }
            heard += tapped.assert_silent();
        }
        prop_assert!(heard > 1000);
    }

    #[test]
    fn every_byte_that_is_told_was_written_on_purpose(
        order in prop::collection::vec((any::<Index>(), 1..4u32, any::<bool>()), 1..80),
    ) {
        // Whatever room for messages is full of beforehand: the target compares two hosts.
        let messages = messages();
        let events: Vec<Event> = order
            .into_iter()
            .map(|(index, socket, read)| {
                if read {
                    Event::Read(socket)
                } else {
                    Event::Frame(socket, messages[index.index(messages.len())].clone())
                }
            })
            .collect();
        target::sequence(&encode(&events));
    }
}

#[test]
fn key_would_be_found_however_it_is_written() {
    let mut tapped = Tapped::new();
    let key: Piece = [0x1f, 0xa0, 0x2e, 0xb1, 0x3d, 0xc2];
    tapped.keys = HashSet::from([key]);
    let is_found = |text: &str| readings(text).iter().any(|bytes| tapped.is_in(bytes));
    for text in [
        hex(&key),
        format!("key={}.", hex(&key).to_uppercase()),
        format!("1 {}", hex(&key)),
        format!("{key:?}"),
    ] {
        assert!(is_found(&text), "{text}");
    }
    assert!(!is_found(&hex(&[&key[1..], &key[..1]].concat())));
    assert!(tapped.is_in(&[&[0; 5][..], &key].concat()));
}

#[test]
fn every_piece_of_a_key_that_is_written_is_known() {
    let mut tapped = Tapped::new();
    let request = add(said("esp.1001@10.0.0.2"));
    let keys = exts_of(&request).into_iter().filter_map(|(number, ext)| {
        [ext::KEY_AUTH, ext::KEY_ENCRYPT]
            .contains(&number)
            .then(|| ext.len() - 8)
    });
    let pieces: usize = keys.map(|length| length + 1 - size_of::<Piece>()).sum();
    assert!(pieces > 10);
    assert_eq!(tapped.write(request), Ok(()));
    assert_eq!(tapped.keys.len(), pieces);
}
