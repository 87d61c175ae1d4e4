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
}

impl Interfaces {
    /// None.
    pub const NONE: Self = Interfaces {
        ifindex: [0; INTERFACES],
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
    }
}
