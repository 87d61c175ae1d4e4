// SPDX-License-Identifier: GPL-2.0

//! The debugging masks of KLIPS (reference 1.4.11).

/// A part of KLIPS that can be debugged, in the order of the message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(
    MODULE,
    expect(
        dead_code,
        reason = "the message has masks for all, the module asks for some"
    )
)]
#[repr(usize)]
pub enum Part {
    /// Tunnels.
    Tunnel,
    /// Netlink; of its mask only the highest bit means something, and that in a request.
    Netlink,
    /// Transforms.
    Xform,
    /// Eroutes.
    Eroute,
    /// SAs and groups.
    Spi,
    /// The tree of eroutes.
    Radij,
    /// ESP.
    Esp,
    /// AH.
    Ah,
    /// Receiving.
    Rcv,
    /// PF_KEY messages.
    PfKey,
    /// Compression.
    IpComp,
    /// More of everything.
    Verbose,
}

impl Part {
    /// All parts, in the order of the message.
    #[cfg(not(MODULE))]
    pub const ALL: [Part; PARTS] = [
        Part::Tunnel,
        Part::Netlink,
        Part::Xform,
        Part::Eroute,
        Part::Spi,
        Part::Radij,
        Part::Esp,
        Part::Ah,
        Part::Rcv,
        Part::PfKey,
        Part::IpComp,
        Part::Verbose,
    ];

    /// Its name in `/proc/net/ipsec_klipsdebug`, behind `debug_`, and on command lines.
    pub const fn name(self) -> &'static str {
        match self {
            Part::Tunnel => "tunnel",
            Part::Netlink => "netlink",
            Part::Xform => "xform",
            Part::Eroute => "eroute",
            Part::Spi => "spi",
            Part::Radij => "radij",
            Part::Esp => "esp",
            Part::Ah => "ah",
            Part::Rcv => "rcv",
            Part::PfKey => "pfkey",
            Part::IpComp => "ipcomp",
            Part::Verbose => "verbose",
        }
    }
}

/// How many parts there are.
pub const PARTS: usize = 12;

/// Set in the netlink mask of a request: switch the bits on; else only those given stay on.
pub const SET: u32 = 1 << 31;

/// A mask for each part.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Masks(pub [u32; PARTS]);

impl Masks {
    /// The lines of `/proc/net/ipsec_klipsdebug`.
    pub const SHOWN: [Part; 9] = [
        Part::Tunnel,
        Part::Xform,
        Part::Eroute,
        Part::Spi,
        Part::Radij,
        Part::Esp,
        Part::Ah,
        Part::Rcv,
        Part::PfKey,
    ];

    /// No debugging.
    pub const NONE: Masks = Masks([0; PARTS]);

    /// The mask of a part.
    pub const fn of(&self, part: Part) -> u32 {
        self.0[part as usize]
    }

    /// Does what a request says.
    pub fn change(&mut self, request: &Masks) {
        let set = request.of(Part::Netlink) & SET != 0;
        for (mask, by) in self.0.iter_mut().zip(request.0) {
            if set {
                *mask |= by;
            } else {
                *mask &= by;
            }
        }
        // The switch itself is no part of the mask.
        self.0[Part::Netlink as usize] &= !SET;
    }
}
