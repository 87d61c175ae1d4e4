// SPDX-License-Identifier: GPL-2.0

//! The text of the files in `/proc/net` (contract 10 and 11, reference 6).
//!
//! A file is read a page of lines at a time. The position in a list of SAs is the [`Age`] of the SA that a
//! line begins with, so that a reader goes on in the right place whatever has come and gone in
//! between; that in a list of sockets is the number of the socket, likewise.

mod eroute;
mod reading;
mod spi;
mod spigrp;

pub use self::reading::Reading;

use crate::{
    flows::Listed,
    klips_core::{
        interface::Interface,
        pfkey::{
            algorithm::{
                self,
                Algorithm, //
            },
            debug::Masks,
            types::SATYPE_MAX,
            Ext,
            SaType, //
        },
        said::Shunt, //
    },
    netns::{
        Attached,
        Host,
        State, //
    },
    sadb::{
        Age,
        Moment,
        Sas, //
    }, //
};
use core::fmt;

/// A file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listing {
    /// `/proc/net/ipsec/spigrp/all`: a line for each chain.
    SpiGrp,
    /// `/proc/net/ipsec/spi/all`: a line for each SA.
    Spi,
    /// `/proc/net/ipsec/version`.
    Version,
    /// `/proc/net/ipsec/klipsdebug`: a line for each mask.
    KlipsDebug,
    /// `/proc/net/pf_key`: a line for each socket.
    PfKey,
    /// `/proc/net/pf_key_registered`: a line for each socket and SA type.
    PfKeyRegistered,
    /// `/proc/net/pf_key_supported`: a line for each algorithm.
    PfKeySupported,
    /// `/proc/net/ipsec/eroute/all`: a line for each eroute.
    Eroute,
    /// `/proc/net/ipsec/eroute/dropped`: the lines of those among them whose packets are dropped at
    /// present. What that follows from is not in the list of SAs: it depends on what an eroute's
    /// chain has been.
    ErouteDropped,
    /// `/proc/net/ipsec/tncfg`: a line for each interface in use, or attached to none.
    Tncfg,
    /// `/proc/net/ipsec/natt`: which encapsulation for NAT there is.
    NatT,
    /// `/proc/net/ipsec/stats/trap_count`: how many packets have met a trap.
    TrapCount,
    /// `/proc/net/ipsec/stats/trap_sendcount`: how many of them key daemons were told of.
    TrapSendCount,
}

/// Version of the module, of the tools and of the documents.
pub const VERSION: &str = "0.1.0";

/// How many SAs or sockets are looked at, under the lock, before others get their turn.
const STEPS: usize = 64;

/// Numbers that an SA type can have, 0 included.
const SA_TYPES: u64 = SATYPE_MAX as u64 + 1;

/// Room for lines.
pub trait Page: fmt::Write {
    /// How many bytes have been written.
    fn written(&self) -> usize;

    /// Takes back all but the first `len` bytes.
    fn truncate(&mut self, len: usize);
}

/// How a page ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The file goes on at this position.
    More(u64),
    /// There are no more lines; none was written.
    Over,
    /// The first line does not fit; none was written.
    TooSmall,
}

impl Listing {
    /// All files, in order.
    pub const ALL: [Listing; 13] = [
        Listing::SpiGrp,
        Listing::Spi,
        Listing::Version,
        Listing::KlipsDebug,
        Listing::PfKey,
        Listing::PfKeyRegistered,
        Listing::PfKeySupported,
        Listing::Eroute,
        Listing::ErouteDropped,
        Listing::Tncfg,
        Listing::NatT,
        Listing::TrapCount,
        Listing::TrapSendCount,
    ];

    /// Fills a page with the lines from `position` on: as many as fit, and no more than [`STEPS`],
    /// so that others get their turn.
    ///
    /// `end` is 0 where a reading begins, and the position where it ends from then on. What is added
    /// meanwhile comes after that, so that who reads more slowly than others add is not kept for
    /// ever.
    pub fn page<H: Host>(
        self,
        host: &H,
        mut position: u64,
        end: &mut u64,
        page: &mut impl Page,
    ) -> End {
        let now = host.now();
        let state = host.lock();
        if *end == 0 {
            *end = self.end(&state);
        }
        if position >= *end {
            return End::Over;
        }
        let before = page.written();
        let mut cursor = Cursor::at(&state, position);
        for _ in 0..STEPS {
            let start = page.written();
            match self.next_line(host, &state, now, position, &mut cursor, page) {
                Some(Ok(next)) if next <= *end => position = next,
                other => {
                    page.truncate(start);
                    return match other {
                        _ if start > before => End::More(position),
                        Some(Err(fmt::Error)) => End::TooSmall,
                        _ => End::Over,
                    };
                }
            }
            if page.written() == start {
                // That was long enough for nothing.
                break;
            }
        }
        End::More(position)
    }

    /// The position after the last line that there is. Never 0.
    fn end<H: Host>(self, state: &State<H>) -> u64 {
        match self {
            Listing::SpiGrp | Listing::Spi => state.sadb.next_age().number(),
            Listing::Eroute | Listing::ErouteDropped => state.flows.next_number(),
            Listing::PfKey => state.listeners.next_number(),
            Listing::PfKeyRegistered => state.listeners.next_number() * SA_TYPES,
            Listing::Version
            | Listing::KlipsDebug
            | Listing::PfKeySupported
            | Listing::Tncfg
            | Listing::NatT
            | Listing::TrapCount
            | Listing::TrapSendCount => u64::MAX,
        }
    }

    /// Writes the first line at `position` or after, or nothing if it can't be found in [`STEPS`]
    /// steps. Returns the position to go on at, `None` at the end, and an error if the line could
    /// not be written.
    #[cfg(not(MODULE))]
    pub fn line<H: Host>(
        self,
        host: &H,
        state: &State<H>,
        now: Moment,
        position: u64,
        out: &mut impl Page,
    ) -> Option<Result<u64, fmt::Error>> {
        let mut cursor = Cursor::at(state, position);
        self.next_line(host, state, now, position, &mut cursor, out)
    }

    /// The same with a cursor at `position`, which is left at the next.
    fn next_line<H: Host>(
        self,
        host: &H,
        state: &State<H>,
        now: Moment,
        position: u64,
        cursor: &mut Cursor<'_>,
        out: &mut impl Page,
    ) -> Option<Result<u64, fmt::Error>> {
        match self {
            Listing::SpiGrp => {
                let mut next = position;
                for _ in 0..STEPS {
                    let sa = cursor.sas.next()?;
                    next = sa.age().next().number();
                    if sa.inext().is_none() {
                        let written = spigrp::write_line(&state.sadb, sa, out);
                        return Some(written.map(|()| next));
                    }
                }
                Some(Ok(next))
            }
            Listing::Spi => {
                let sa = cursor.sas.next()?;
                let line = spi::Line {
                    sa,
                    now,
                    usage: state.usage(host, sa),
                    policy: state.flows.inflow_of(sa.age()),
                };
                let written = writeln!(out, "{line}");
                Some(written.map(|()| sa.age().next().number()))
            }
            Listing::Eroute => eroute(host, state, position, false, out),
            Listing::ErouteDropped => eroute(host, state, position, true, out),
            Listing::Version => only_line(position, out, format_args!("Klips version: {VERSION}")),
            Listing::Tncfg => tncfg(host, state, position, out),
            // The numbers of KLIPS: that of ports 4500, with non-ESP markers (RFC 3948), is 2.
            Listing::NatT => only_line(position, out, format_args!("2")),
            Listing::TrapCount => {
                only_line(position, out, format_args!("{:08x}", state.traps.caught))
            }
            Listing::TrapSendCount => {
                only_line(position, out, format_args!("{:08x}", state.traps.told))
            }
            Listing::KlipsDebug => {
                let part = *Masks::SHOWN.get(usize::try_from(position).ok()?)?;
                let mask = state.debug.of(part);
                let written = writeln!(out, "debug_{}={mask:08x}.", part.name());
                Some(written.map(|()| position + 1))
            }
            Listing::PfKey => pf_key(host, state, position, out),
            Listing::PfKeyRegistered => pf_key_registered(host, state, position, out),
            Listing::PfKeySupported => pf_key_supported(position, out),
        }
    }
}

/// An eroute, or only one whose packets are dropped.
fn eroute<H: Host>(
    host: &H,
    state: &State<H>,
    position: u64,
    only_dropped: bool,
    out: &mut impl fmt::Write,
) -> Option<Result<u64, fmt::Error>> {
    let mut next = position;
    for _ in 0..STEPS {
        let (number, listed) = state.flows.listed_at_or_after(next)?;
        next = number + 1;
        let line = match listed {
            Listed::Eroute(eroute) if only_dropped && eroute.is_open() => continue,
            // It waits.
            Listed::Hold(_) if only_dropped => continue,
            Listed::Eroute(eroute) => eroute::Line {
                packets: state.flows.packets(host.engine(), &state.sadb, eroute),
                selector: eroute.selector,
                said: eroute.said,
            },
            Listed::Hold(selector) => eroute::Line {
                packets: 0,
                selector: *selector,
                said: Shunt::Hold.said(),
            },
        };
        return Some(writeln!(out, "{line}").map(|()| next));
    }
    Some(Ok(next))
}

/// The line of a file that has one.
fn only_line(
    position: u64,
    out: &mut impl fmt::Write,
    line: fmt::Arguments<'_>,
) -> Option<Result<u64, fmt::Error>> {
    let () = (position == 0).then_some(())?;
    Some(writeln!(out, "{line}").map(|()| 1))
}

/// An interface, what is below it, and how long the packets may be that each takes (reference 6.4).
fn tncfg<H: Host>(
    host: &H,
    state: &State<H>,
    position: u64,
    out: &mut impl fmt::Write,
) -> Option<Result<u64, fmt::Error>> {
    let ifindex = |it: Interface| state.flows.interfaces.get(it);
    let mut rest = Interface::all().skip_while(|it| (it.number() as u64) < position);
    let interface = rest.find(|it| ifindex(*it) != 0 || host.has_unattached(*it))?;
    let attached = match ifindex(interface) {
        0 => Attached::default(),
        ifindex => host.attached(ifindex),
    };
    let written = match attached.physical() {
        Some(physical) => writeln!(
            out,
            "{interface} -> {physical} mtu={}({}) -> {}",
            attached.mtu,
            attached.mtu.min(attached.physical_mtu),
            attached.physical_mtu,
        ),
        None => writeln!(out, "{interface} -> NULL mtu=0(0) -> 0"),
    };
    Some(written.map(|()| interface.number() as u64 + 1))
}

/// What goes from line to line: finding each SA anew would cost more than its text.
struct Cursor<'a> {
    /// The SAs that are still to come.
    sas: Sas<'a>,
}

impl<'a> Cursor<'a> {
    /// At a position in a list of SAs.
    fn at<H: Host>(state: &'a State<H>, position: u64) -> Self {
        let age = Age::from_number(position).unwrap_or(Age::FIRST);
        Cursor {
            sas: state.sadb.sas_from(age),
        }
    }
}

/// Position 0 is the header, 1 and up are sockets. In the place of kernel addresses stands the
/// inode of the socket; `lost` counts the messages that it had no room for.
fn pf_key<H: Host>(
    host: &H,
    state: &State<H>,
    position: u64,
    out: &mut impl fmt::Write,
) -> Option<Result<u64, fmt::Error>> {
    if position == 0 {
        let head =
            "    sock   pid   socket     next     prev e n p sndbf    Flags     Type St  lost";
        return Some(writeln!(out, "{head}").map(|()| 1));
    }
    let listener = state.listeners.by_number(position)?;
    let info = host.socket_info(&listener.socket);
    let written = writeln!(
        out,
        "{:016x} {:5} {:016x} {} {} {:6} {:08x} {:8} {:2} {:5}",
        info.inode,
        info.pid,
        info.inode,
        info.err,
        info.protocol,
        info.sndbuf,
        0,
        info.socket_type,
        info.state,
        u64::from(info.lost) + state.listeners.lost(listener),
    );
    Some(written.map(|()| listener.number() + 1))
}

/// Position 0 is the header; then sockets, from number 1, each with all SA types.
fn pf_key_registered<H: Host>(
    host: &H,
    state: &State<H>,
    position: u64,
    out: &mut impl fmt::Write,
) -> Option<Result<u64, fmt::Error>> {
    if position == 0 {
        return Some(writeln!(out, "satype   socket   pid       sk").map(|()| 1));
    }
    let (mut number, mut satype) = (position / SA_TYPES, position % SA_TYPES);
    for _ in 0..STEPS {
        let listener = state.listeners.by_number(number)?;
        if listener.number() != number {
            satype = 0;
        }
        let mut rest = satype..SA_TYPES;
        // CAST: at most 11.
        if let Some(satype) = rest.find(|satype| listener.is_registered(*satype as u8)) {
            let info = host.socket_info(&listener.socket);
            let written = writeln!(
                out,
                "    {satype:2} {:016x} {:5} {:016x}",
                info.inode, info.pid, info.inode,
            );
            return Some(written.map(|()| listener.number() * SA_TYPES + satype + 1));
        }
        (number, satype) = (listener.number() + 1, 0);
    }
    Some(Ok(number * SA_TYPES))
}

/// Returns an algorithm by its place in `/proc/net/pf_key_supported`: those of each SA type in
/// turn, encryption first.
///
/// Loops, because iterators within iterators make names of types, and with them symbols, longer
/// than the 512 bytes that a kernel takes.
fn supported_at(mut index: u64) -> Option<(SaType, Ext, &'static Algorithm)> {
    for satype in (0..=SATYPE_MAX).filter_map(SaType::from_number) {
        for (for_auth, ext) in [(false, Ext::SupportedEncrypt), (true, Ext::SupportedAuth)] {
            for algorithm in algorithm::supported(satype, for_auth) {
                match index.checked_sub(1) {
                    Some(rest) => index = rest,
                    None => return Some((satype, ext, algorithm)),
                }
            }
        }
    }
    None
}

/// Position 0 is the header; then the algorithms.
fn pf_key_supported(position: u64, out: &mut impl fmt::Write) -> Option<Result<u64, fmt::Error>> {
    let Some(index) = position.checked_sub(1) else {
        let head = "satype exttype alg_id ivlen minbits maxbits name";
        return Some(writeln!(out, "{head}").map(|()| 1));
    };
    let (satype, ext, algorithm) = supported_at(index)?;
    let (min, max) = algorithm.told_bits;
    // KLIPS knew no names; here they are those of /proc/net/ipsec_spi.
    let name = match algorithm.proc_name.trim_start_matches('_') {
        "" => "unknown",
        name => name,
    };
    let written = writeln!(
        out,
        "    {:2}      {:2}     {:2}   {:3}     {min:3}     {max:3} {name:>20}",
        satype as u8, ext as u16, algorithm.id, algorithm.iv_bits,
    );
    Some(written.map(|()| position + 1))
}
