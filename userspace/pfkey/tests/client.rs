// SPDX-License-Identifier: GPL-2.0

//! The client against scripted kernels.

use klips::{
    errno::Errno,
    group::ListReason,
    pfkey::{Direction, Fault, Header, Message, MsgType, build::request},
    said::{Proto, Said},
};
use pfkey::{Client, Content, Error, Transport, text::said};
use std::{collections::VecDeque, time::Duration};

fn said() -> Said {
    said::parse("tun.113@10.0.0.2")
        .unwrap()
        .with_dst([10, 0, 0, 2].into())
}

fn ungroup() -> Content<'static> {
    Content::about(request(MsgType::GrpSa, 0, 7, 7), &said())
}

fn bytes(content: &Content<'_>) -> Vec<u8> {
    let mut bytes = vec![0; content.size()];
    content.write(&mut bytes).unwrap();
    bytes
}

/// What a scripted kernel does with a request: the result of write(), and what can be read then.
type Script = Box<dyn Fn(&[u8]) -> (Result<(), Errno>, Vec<Result<Vec<u8>, Errno>>)>;

struct Scripted {
    script: Script,
    queue: VecDeque<Result<Vec<u8>, Errno>>,
}

impl Transport for Scripted {
    fn send(&mut self, message: &[u8]) -> Result<(), Errno> {
        let (result, queued) = (self.script)(message);
        self.queue.extend(queued);
        result
    }

    fn receive(&mut self, buffer: &mut [u8], _: Duration) -> Result<Option<usize>, Errno> {
        match self.queue.pop_front() {
            None => Ok(None),
            Some(Err(errno)) => Err(errno),
            Some(Ok(message)) => {
                let len = message.len().min(buffer.len());
                buffer[..len].copy_from_slice(&message[..len]);
                Ok(Some(len))
            }
        }
    }
}

type Queue = Vec<Result<Vec<u8>, Errno>>;

fn client(script: impl Fn(&[u8]) -> (Result<(), Errno>, Queue) + 'static) -> Client<Scripted> {
    Client::new(Scripted {
        script: Box::new(script),
        queue: VecDeque::new(),
    })
}

/// The answer to a request: itself.
fn echo(message: &[u8]) -> (Result<(), Errno>, Queue) {
    (Ok(()), vec![Ok(message.to_vec())])
}

/// A refusal as message.
fn refusal(message: &[u8], errno: Errno, fault: Option<Fault>) -> Vec<u8> {
    let header = Header::parse(message).unwrap();
    bytes(&Content {
        fault,
        ..Content::new(Header {
            errno: errno.0,
            ..header
        })
    })
}

#[test]
fn requests_are_numbered_and_signed() {
    let mut client = client(echo);
    for seq in 1..4 {
        let answer = client.request(&ungroup()).unwrap();
        assert_eq!(answer.header.seq, seq);
        assert_eq!(answer.header.pid, std::process::id());
        assert_eq!(answer.said().unwrap(), said());
        assert_eq!(answer.said().unwrap().proto, Proto::Tun);
    }
}

#[test]
fn an_answer_of_an_earlier_request_is_not_taken() {
    let mut client = client(|message| {
        let header = Header::parse(message).unwrap();
        let mut old = message.to_vec();
        old[8..12].copy_from_slice(&(header.seq - 1).to_ne_bytes());
        (Ok(()), vec![Ok(old), Ok(message.to_vec())])
    });
    for seq in 1..3 {
        assert_eq!(client.request(&ungroup()).unwrap().header.seq, seq);
    }
}

#[test]
fn a_refusal_has_its_fault() {
    let fault = Fault {
        member: 2,
        reason: ListReason::Grouped,
    };
    let refused = |fault| {
        Err(Error::Refused {
            errno: Errno::EEXIST,
            fault,
        })
    };
    for fault in [None, Some(fault)] {
        // By write(), and by a message only.
        for written in [Err(Errno::EEXIST), Ok(())] {
            let mut client = client(move |message| {
                let own = refusal(message, Errno::EEXIST, fault);
                let mut other = own.clone();
                other[12..16].fill(0);
                (
                    written,
                    vec![Err(Errno::ENOBUFS), Ok(other), Ok(vec![1]), Ok(own)],
                )
            });
            assert_eq!(client.request(&ungroup()).map(drop), refused(fault));
        }
    }
    // A refusal by write() that left nothing to be read, or nothing that can be.
    for queue in [vec![], vec![Err(Errno(5))], vec![Ok(vec![0; 16])]] {
        let mut client = client(move |_| (Err(Errno::EEXIST), queue.clone()));
        assert_eq!(client.request(&ungroup()).map(drop), refused(None));
    }
}

#[test]
fn answers_that_are_none() {
    let mut none = client(|_| (Ok(()), vec![]));
    assert_eq!(none.request(&ungroup()).map(drop), Err(Error::NoAnswer));

    let mut broken = client(|_| (Ok(()), vec![Err(Errno(5))]));
    assert_eq!(
        broken.request(&ungroup()).map(drop),
        Err(Error::Receive(Errno(5)))
    );

    // A header alone is no answer to a group request.
    let mut short = client(|message| {
        let header = Header::parse(message).unwrap();
        (Ok(()), vec![Ok(bytes(&Content::new(header)))])
    });
    assert_eq!(short.request(&ungroup()).map(drop), Err(Error::Malformed));
}

#[test]
fn a_message_that_would_be_too_long_is_not_sent() {
    let mut client = client(|_| unreachable!());
    let text = vec![0; 600_000];
    let content = Content {
        ident_src: Some(klips::pfkey::Ident {
            kind: 1,
            id: 0,
            text: &text,
        }),
        ..ungroup()
    };
    assert_eq!(client.request(&content).map(drop), Err(Error::TooLong));
}

#[test]
fn an_answer_may_be_longer_than_the_request() {
    // Nothing but type, number and sender is compared.
    let mut client = client(|message| {
        let header = Header::parse(message).unwrap();
        let message = bytes(&Content {
            group: klips::pfkey::value::GroupList::new([said()]),
            ..Content::about(header, &said())
        });
        (Ok(()), vec![Ok(message)])
    });
    let answer = client.request(&ungroup()).unwrap();
    assert!(answer.group_list().is_some());
    let header = answer.header;
    assert!(Message::parse(header, &bytes(&ungroup()), Direction::Out).is_ok());
}

#[test]
fn texts_of_errors() {
    let texts = [
        Error::Open(Errno::EACCES),
        Error::Refused {
            errno: Errno::ENOENT,
            fault: None,
        },
        Error::NoAnswer,
        Error::Malformed,
        Error::TooLong,
        Error::Receive(Errno(5)),
    ]
    .map(|error| error.to_string());
    assert_eq!(
        texts,
        [
            "cannot open a PF_KEY socket (errno=13)",
            "the kernel refused the request (errno=2)",
            "the kernel took the request, but did not confirm it",
            "the kernel's answer is malformed",
            "the request is too long for a message",
            "cannot read the kernel's answer (errno=5)",
        ]
    );
}
