// SPDX-License-Identifier: GPL-2.0

//! The numbers of the dialect: message types, extensions, SA types, states (reference 1.2 to 1.7).

use crate::klips_core::said::Proto;

/// Version of the protocol, the first byte of every message.
pub const PF_KEY_V2: u8 = 2;

/// Size of a word, the unit of all lengths.
pub const WORD: usize = 8;

macro_rules! numbered {
    (
        $(#[$doc:meta])*
        $name:ident: $repr:ty { $($(#[doc = $item_doc:literal])* $item:ident = $value:literal,)* }
    ) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr($repr)]
        pub enum $name {
            $($(#[doc = $item_doc])* $item = $value,)*
        }

        impl $name {
            /// All of them, in ascending order.
            #[cfg(not(MODULE))]
            pub const ALL: &'static [$name] = &[$($name::$item,)*];

            /// What it is, in the words of its documentation.
            #[cfg(not(MODULE))]
            pub const fn doc(self) -> &'static str {
                match self {
                    $($name::$item => concat!($($item_doc),*).trim_ascii(),)*
                }
            }

            /// The one with this number.
            pub const fn from_number(number: $repr) -> Option<Self> {
                match number {
                    $($value => Some($name::$item),)*
                    _ => None,
                }
            }
        }
    };
}

numbered! {
    /// Type of a message. From 13 on they are KLIPS's own and mean other things to mainline.
    MsgType: u8 {
        /// Reserves an SPI.
        GetSpi = 1,
        /// Replaces an SA.
        Update = 2,
        /// Makes an SA.
        Add = 3,
        /// Removes an SA, and with it the group that it is in.
        Delete = 4,
        /// Reads an SA.
        Get = 5,
        /// Asks key management for an SA.
        Acquire = 6,
        /// Asks for the ACQUIREs of one SA type.
        Register = 7,
        /// Tells that an SA's lifetime is over.
        Expire = 8,
        /// Removes all SAs, or all of one type.
        Flush = 9,
        /// Reads all SAs, or all of one type.
        Dump = 10,
        /// Turns promiscuous mode on or off.
        Promisc = 11,
        /// Not used by anybody.
        PChange = 12,
        /// Groups two SAs, or ungroups a group.
        GrpSa = 13,
        /// Adds an eroute.
        AddFlow = 14,
        /// Removes an eroute.
        DelFlow = 15,
        /// Sets the debugging masks.
        Debug = 16,
        /// Tells of a peer's new address behind NAT; only ever sent by the kernel.
        NatTNewMapping = 17,
        /// Has eroutes be for what is routed to an interface.
        PlumbIf = 18,
        /// Ends that.
        UnplumbIf = 19,
    }
}

numbered! {
    /// Type of an extension.
    Ext: u16 {
        /// `sadb_sa`.
        Sa = 1,
        /// What an SA has used up.
        LifetimeCurrent = 2,
        /// What ends an SA.
        LifetimeHard = 3,
        /// What asks for a successor.
        LifetimeSoft = 4,
        /// Source address.
        AddressSrc = 5,
        /// Destination address.
        AddressDst = 6,
        /// Proxy address.
        AddressProxy = 7,
        /// Authentication key.
        KeyAuth = 8,
        /// Encryption key.
        KeyEncrypt = 9,
        /// Identity of the source.
        IdentitySrc = 10,
        /// Identity of the destination.
        IdentityDst = 11,
        /// Sensitivity; refused.
        Sensitivity = 12,
        /// Proposal.
        Proposal = 13,
        /// Authentication algorithms there are.
        SupportedAuth = 14,
        /// Encryption algorithms there are.
        SupportedEncrypt = 15,
        /// Range of SPIs to choose from.
        SpiRange = 16,
        /// Private to key management; refused.
        KmPrivate = 17,
        /// SA type of the second SA.
        SaType2 = 18,
        /// The second SA. Mainline has another layout under this name.
        Sa2 = 19,
        /// Destination of the second SA.
        AddressDst2 = 20,
        /// Source of an eroute.
        AddressSrcFlow = 21,
        /// Destination of an eroute.
        AddressDstFlow = 22,
        /// Source mask of an eroute.
        AddressSrcMask = 23,
        /// Destination mask of an eroute.
        AddressDstMask = 24,
        /// Debugging masks.
        Debug = 25,
        /// Protocol of an eroute.
        Protocol = 26,
        /// Kind of NAT traversal.
        NatTType = 27,
        /// Source port behind NAT.
        NatTSport = 28,
        /// Destination port behind NAT.
        NatTDport = 29,
        /// Original address behind NAT.
        NatTOa = 30,
        /// Number of a virtual interface.
        PlumbIf = 31,
        /// References to SAs.
        SaRef = 32,
        /// The SAs to be grouped at once with the message's own: this project's addition.
        Group = 48,
        /// Which SA of a group request is at fault: this project's addition.
        Fault = 49,
    }
}

impl Ext {
    /// Bit of the extension in a set.
    pub const fn bit(self) -> u64 {
        1 << self as u16
    }
}

/// Highest value of the header's satype field.
pub const SATYPE_MAX: u8 = 11;

numbered! {
    /// SA type: what RFC 2367 calls the protocols.
    SaType: u8 {
        /// Authentication Header.
        Ah = 2,
        /// Encapsulating Security Payload.
        Esp = 3,
        /// IP-in-IP tunnel. Mainline has IPCOMP here.
        IpIp = 9,
        /// IP compression.
        Comp = 10,
        /// Internal: the magic SAIDs.
        Int = 11,
    }
}

impl SaType {
    /// The protocol of SAs of this type.
    pub const fn proto(self) -> Proto {
        match self {
            SaType::Ah => Proto::Ah,
            SaType::Esp => Proto::Esp,
            SaType::IpIp => Proto::Tun,
            SaType::Comp => Proto::Comp,
            SaType::Int => Proto::Int,
        }
    }

    /// The type of SAs of this protocol.
    pub const fn of(proto: Proto) -> Self {
        match proto {
            Proto::Ah => SaType::Ah,
            Proto::Esp => SaType::Esp,
            Proto::Tun => SaType::IpIp,
            Proto::Comp => SaType::Comp,
            Proto::Int => SaType::Int,
        }
    }
}

numbered! {
    /// State of an SA.
    SaState: u8 {
        /// Reserved by GETSPI.
        Larval = 0,
        /// In use.
        Mature = 1,
        /// Past its soft lifetime.
        Dying = 2,
        /// Past its hard lifetime; never accepted in a message.
        Dead = 3,
    }
}

/// Which way a message goes; it decides which extensions may be in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From user space to the kernel.
    In,
    /// From the kernel to user space.
    Out,
}

/// Flag of an SA: perfect forward secrecy; KLIPS uses the same bit for "inbound".
pub const SAFLAG_PFS: u32 = 1;
/// Flag of ADDFLOW: take the place of the eroute that there is for this flow.
pub const SAFLAG_REPLACEFLOW: u32 = 2;
/// Flag of DELFLOW: remove all eroutes.
pub const SAFLAG_CLEARFLOW: u32 = 4;
/// Flag of ADDFLOW: no eroute, but what may come out of the tunnel that is named.
pub const SAFLAG_INFLOW: u32 = 8;
/// The SAref that means "none" to Openswan 2.6 and libreswan.
pub const SAREF_NULL: u32 = 0;
/// The SAref that means "none" to Openswan 2.4.
pub const SAREF_NULL_24: u32 = u32::MAX;
/// One more than the largest SAref of Openswan 2.4.
pub const SAREF_ENTRIES: u32 = 65536;
/// Largest replay window.
pub const REPLAY_MAX: u8 = 64;
/// Smallest SPI that an SA may have: those below are reserved (RFC 2406).
pub const SPI_MIN: u32 = 256;
/// Largest SPI of an IPCOMP SA: it is a CPI, which has 16 bits (RFC 3173 section 3.3).
pub const CPI_MAX: u32 = 0xffff;
