// SPDX-License-Identifier: GPL-2.0

//! KLIPS's network interfaces `ipsec0` to `ipsec63`. Each is an xfrm interface here, which sees the
//! states and policies that have its `if_id`, and no others.

use core::fmt;

/// How many there may be.
pub const INTERFACES: usize = 64;

/// `IPSECDEV_OFFSET`: `ipsec0` as X_PLUMBIF and X_UNPLUMBIF have it. Lower numbers are `mastN`.
pub const FIRST_IFNUM: u16 = 49152;

/// `if_id` of what belongs to no interface.
pub const NO_INTERFACE: u32 = 0;

/// `if_id` of `ipsec0`. What others make is numbered from 1 on, mostly.
pub const FIRST_IF_ID: u32 = 0x4b4c_0000;

/// `ipsecN`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Interface(u8);

impl Interface {
    /// All of them, in order.
    pub fn all() -> impl Iterator<Item = Self> {
        // CAST: there are 64.
        (0..INTERFACES as u8).map(Interface)
    }

    /// That of an extension X_PLUMBIF (reference 1.4.14).
    pub fn from_ifnum(ifnum: u16) -> Option<Self> {
        let number = ifnum.checked_sub(FIRST_IFNUM)?;
        Self::from_number(number.into())
    }

    /// `ipsecN` by N.
    pub fn from_number(number: u64) -> Option<Self> {
        let number = u8::try_from(number).ok()?;
        (usize::from(number) < INTERFACES).then_some(Interface(number))
    }

    /// N.
    pub const fn number(self) -> usize {
        self.0 as usize
    }

    /// How X_PLUMBIF names it.
    #[cfg(not(MODULE))]
    pub const fn ifnum(self) -> u16 {
        FIRST_IFNUM + self.0 as u16
    }

    /// What its states and policies have.
    pub const fn if_id(self) -> u32 {
        FIRST_IF_ID + self.0 as u32
    }
}

impl fmt::Display for Interface {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ipsec{}", self.0)
    }
}

/// The interfaces that are in use.
#[derive(Clone, Copy)]
pub struct Interfaces {
    /// By number, what the kernel knows each by; 0 for one that is not in use.
    ifindex: [u32; INTERFACES],
    /// A bit for each that is in use.
    used: u64,
}

const _: () = assert!(INTERFACES == u64::BITS as usize, "a bit for each");

impl Interfaces {
    /// None.
    pub const NONE: Self = Interfaces {
        ifindex: [0; INTERFACES],
        used: 0,
    };

    /// What the kernel knows one by; 0 if it is not in use.
    pub fn get(&self, interface: Interface) -> u32 {
        self.ifindex.get(interface.number()).copied().unwrap_or(0)
    }

    /// Has one be in use, or not with 0.
    pub fn set(&mut self, interface: Interface, ifindex: u32) {
        if let Some(place) = self.ifindex.get_mut(interface.number()) {
            *place = ifindex;
        }
        self.used = with(self.used, interface, ifindex);
    }

    /// Those in use, in order, each with its number in the kernel; as they are once one of them has
    /// changed as [`Self::set`] does it.
    pub fn in_use(
        &self,
        changed: Option<(Interface, u32)>,
    ) -> impl Iterator<Item = (Interface, u32)> + '_ {
        let mut rest = match changed {
            Some((interface, ifindex)) => with(self.used, interface, ifindex),
            None => self.used,
        };
        core::iter::from_fn(move || {
            // CAST: at most 64.
            let interface = (rest != 0).then(|| Interface(rest.trailing_zeros() as u8))?;
            rest &= rest - 1;
            let is_changed = changed.filter(|(changed, _)| *changed == interface);
            let ifindex = is_changed.map_or_else(|| self.get(interface), |(_, ifindex)| ifindex);
            Some((interface, ifindex))
        })
    }
}

/// Bits of those in use once one is known by a number in the kernel, or not with 0.
fn with(used: u64, interface: Interface, ifindex: u32) -> u64 {
    let bit = 1 << interface.0;
    if ifindex == 0 {
        used & !bit
    } else {
        used | bit
    }
}
