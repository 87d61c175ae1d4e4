// SPDX-License-Identifier: GPL-2.0

//! Why the kernel's xfrm has dropped packets: what it counts in `/proc/net/xfrm_stat`
//! (Documentation/networking/xfrm/xfrm_proc.rst), in words.

use crate::system::System;
use serde::Serialize;
use std::io::{BufRead, BufReader};

/// How many packets were dropped for a reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Drops {
    /// As the kernel calls it.
    pub(super) name: String,
    pub(super) packets: u64,
    /// What that means, if it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) meaning: Option<&'static str>,
}

const MEANINGS: [(&str, &str); 32] = [
    (
        "XfrmInError",
        "came in and failed in a way that has no other name",
    ),
    (
        "XfrmInBufferError",
        "came in when there was no memory, or with too many headers",
    ),
    (
        "XfrmInHdrError",
        "came in with a header that makes no sense, or to an SA that is not grouped",
    ),
    (
        "XfrmInNoStates",
        "came in for an SA that there is not: wrong SPI, address or protocol",
    ),
    (
        "XfrmInStateProtoError",
        "came in and could not be decrypted or authenticated: wrong key or algorithm",
    ),
    (
        "XfrmInStateModeError",
        "came in with something else inside than the SA is for",
    ),
    (
        "XfrmInStateSeqError",
        "came in with a sequence number that was there, or is too old: replayed",
    ),
    ("XfrmInStateExpired", "came in for an SA that has expired"),
    (
        "XfrmInStateMismatch",
        "came in without the UDP encapsulation of its SA, or with another",
    ),
    ("XfrmInStateInvalid", "came in for an SA that is going"),
    (
        "XfrmInTmplMismatch",
        "came in with other transforms than the eroute's other way has",
    ),
    (
        "XfrmInNoPols",
        "came in through an SA, and no policy says that they may",
    ),
    (
        "XfrmInPolBlock",
        "came in where an inbound policy drops them",
    ),
    (
        "XfrmInPolError",
        "came in where an inbound policy could not be applied",
    ),
    (
        "XfrmOutError",
        "were to leave and failed in a way that has no other name",
    ),
    (
        "XfrmOutBundleGenError",
        "were to leave and had no way through their SAs",
    ),
    (
        "XfrmOutBundleCheckError",
        "were to leave when their way through SAs had changed",
    ),
    (
        "XfrmOutNoStates",
        "were to leave through SAs that there are not",
    ),
    (
        "XfrmOutStateProtoError",
        "were to leave and could not be encrypted or authenticated",
    ),
    (
        "XfrmOutStateModeError",
        "were to leave and did not fit the mode of the SA, or are too big",
    ),
    (
        "XfrmOutStateSeqError",
        "were to leave when the SA had no sequence number left",
    ),
    (
        "XfrmOutStateExpired",
        "were to leave through an SA that has expired",
    ),
    (
        "XfrmOutPolBlock",
        "were to leave where an eroute or a policy drops them",
    ),
    ("XfrmOutPolDead", "were to leave by a policy that is going"),
    (
        "XfrmOutPolError",
        "were to leave where a policy could not be applied",
    ),
    (
        "XfrmFwdHdrError",
        "were to be forwarded and had a header that makes no sense",
    ),
    (
        "XfrmOutStateInvalid",
        "were to leave through an SA that is going",
    ),
    (
        "XfrmAcquireError",
        "were to leave before a key daemon had made their SAs",
    ),
    (
        "XfrmOutStateDirError",
        "were to leave through an SA that is for what comes in",
    ),
    (
        "XfrmInStateDirError",
        "came in for an SA that is for what leaves",
    ),
    (
        "XfrmInIptfsError",
        "came in and could not be put together (IP-TFS)",
    ),
    (
        "XfrmOutNoQueueSpace",
        "were to leave when the queue was full (IP-TFS)",
    ),
];

/// Reads the counts that are not 0; `None` if the kernel does not count.
pub(super) fn read(system: &mut impl System) -> Option<Vec<Drops>> {
    let file = system.input("/proc/net/xfrm_stat").ok()?;
    let lines = BufReader::new(file).lines().map_while(Result::ok);
    let drops = lines.filter_map(|line| {
        let mut words = line.split_ascii_whitespace();
        let (name, packets) = (words.next()?, words.next()?.parse().ok()?);
        let meaning = MEANINGS.iter().find(|(own, _)| *own == name);
        (packets != 0).then(|| Drops {
            name: name.to_owned(),
            packets,
            meaning: meaning.map(|(_, meaning)| *meaning),
        })
    });
    Some(drops.collect())
}
