// SPDX-License-Identifier: GPL-2.0

//! A line of `/proc/net/ipsec_spi`: an SA with what is known of it, never its keys
//! (reference 6.3).
//!
//! Of the fields that traffic fills, IV, error counts and ratio are left out, as KLIPS leaves them
//! out before any.

use crate::{
    klips_core::{
        pfkey::{
            algorithm,
            types::SAFLAG_PFS,
            SaType, //
        },
        said::Proto,
        selector::Selector,
        xfrm::Usage, //
    },
    sadb::{
        Moment,
        Sa, //
    }, //
};
use core::fmt;

pub(super) struct Line<'a> {
    pub(super) sa: &'a Sa,
    pub(super) now: Moment,
    /// What it has been used for.
    pub(super) usage: Usage,
    /// What may come out of the tunnel that it is.
    pub(super) policy: Option<Selector>,
}

impl fmt::Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let spec = &self.sa.spec;
        write!(f, "{} {}", spec.said(), Transform(self.sa))?;
        f.write_str(if spec.is_shown_inbound() {
            ": dir=in "
        } else {
            ": dir=out"
        })?;
        write!(f, " src={}", spec.src.ip())?;
        if let Some(policy) = &self.policy {
            let (src, dst) = (policy.src_text(), policy.dst_text());
            write!(f, " policy={src}->{dst}")?;
        }
        if spec.auth != 0 || spec.encrypt != 0 {
            if spec.replay != 0 {
                write!(f, " ooowin={}", spec.replay)?;
            }
            if self.usage.sequence != 0 {
                write!(f, " seq={}", self.usage.sequence)?;
            }
            if self.usage.window != 0 {
                write!(f, " bit={:#x}", self.usage.window)?;
            }
        }
        let flags = spec.flags & !SAFLAG_PFS;
        if flags != 0 {
            write!(f, " flags={flags:#x}<>")?;
        }
        let auth_bits = spec.auth_bits;
        if auth_bits != 0 {
            write!(f, " alen={auth_bits} aklen={auth_bits}")?;
        }
        let encrypt_bits = spec.encrypt_bits;
        if encrypt_bits != 0 {
            write!(f, " eklen={encrypt_bits}")?;
        }
        self.lifetimes(f)?;
        if self.usage.last_used != 0 {
            write!(f, " idle={}", self.since(self.usage.last_used))?;
        }
        let natt = &spec.natt;
        let encapsulation = match natt.kind {
            0 => "none",
            1 => "nonike",
            2 => "nonesp",
            _ => "unknown",
        };
        write!(
            f,
            " natencap={encapsulation} natsport={} natdport={}",
            natt.sport, natt.dport,
        )?;
        let links = self.sa.inext().iter().chain(self.sa.onext().iter()).count();
        // As KLIPS counts at rest: one for being, one for the table, one for the reader; a link
        // holds the SAs at both its ends.
        write!(f, " refcount={} ref={}", 3 + links, self.sa.age().number())
    }
}

impl Line<'_> {
    /// How many seconds ago something was; 0 if it has not been.
    fn since(&self, real: u64) -> u64 {
        match real {
            0 => 0,
            _ => self.now.real.saturating_sub(real),
        }
    }

    /// `life(c,s,h)=` and for each kind that counts or is limited: current, soft, hard.
    fn lifetimes(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let spec = &self.sa.spec;
        let (current, soft, hard) = (self.sa.current(&self.usage), &spec.soft, &spec.hard);
        let age = self.now.boot.saturating_sub(spec.added.boot);
        f.write_str(" life(c,s,h)=")?;
        let mut kind = |name: &str, shown: bool, c: u64, s: u64, h: u64| {
            if shown || s != 0 || h != 0 {
                write!(f, "{name}({c},{s},{h})")
            } else {
                Ok(())
            }
        };
        kind(
            "alloc",
            current.allocations > 1,
            current.allocations.into(),
            soft.allocations.into(),
            hard.allocations.into(),
        )?;
        kind(
            "bytes",
            current.bytes > 1,
            current.bytes,
            soft.bytes,
            hard.bytes,
        )?;
        // The time of adding counts from the first second.
        kind("addtime", true, age, soft.addtime, hard.addtime)?;
        kind(
            "usetime",
            current.usetime > 1,
            self.since(current.usetime),
            soft.usetime,
            hard.usetime,
        )?;
        kind(
            "packets",
            current.packets > 1,
            current.packets.into(),
            soft.packets.into(),
            hard.packets.into(),
        )
    }
}

/// What an SA does to a packet, as `ESP_3DES_HMAC_MD5` (reference 6.3).
struct Transform<'a>(&'a Sa);

impl fmt::Display for Transform<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let spec = &self.0.spec;
        f.write_str(match spec.proto {
            Proto::Ah => "AH",
            Proto::Esp => "ESP",
            Proto::Comp => "COMP",
            // The algorithm fields of a tunnel mean nothing.
            Proto::Tun => return f.write_str("IPIP"),
            Proto::Int => return f.write_str("UNKNOWN_proto"),
        })?;
        let satype = SaType::of(spec.proto);
        for (for_auth, id) in [(false, spec.encrypt), (true, spec.auth)] {
            match algorithm::find(satype, for_auth, id) {
                _ if id == 0 => (),
                Some(algorithm) => f.write_str(algorithm.proc_name)?,
                None if satype == SaType::Comp => f.write_str("_UNKNOWN_comp")?,
                None => write!(f, "_ID{id}")?,
            }
        }
        Ok(())
    }
}
