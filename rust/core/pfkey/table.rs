// SPDX-License-Identifier: GPL-2.0

//! Which extensions a message must and may have, by type and direction (reference 2.4).

use super::types::{
    Direction,
    Ext,
    MsgType, //
};

/// Sets of extensions: [`Ext::bit`]s.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Must be there.
    pub required: u64,
    /// May be there; includes what must.
    pub permitted: u64,
}

const fn set(exts: &[Ext]) -> u64 {
    let mut bits = 0;
    let mut index = 0;
    while index < exts.len() {
        bits |= exts[index].bit();
        index += 1;
    }
    bits
}

const fn rule(required: &[Ext], also_permitted: &[Ext]) -> Rule {
    Rule {
        required: set(required),
        permitted: set(required) | set(also_permitted),
    }
}

use Ext::{
    AddressDst as AD,
    AddressDst2 as AD2,
    AddressDstFlow as FD,
    AddressDstMask as FDM,
    AddressProxy as AP,
    AddressSrc as AS,
    AddressSrcFlow as FS,
    AddressSrcMask as FSM,
    Debug as DBG,
    Fault as FLT,
    Group as GRP,
    IdentityDst as ID,
    IdentitySrc as IS,
    KeyAuth as KA,
    KeyEncrypt as KE,
    LifetimeCurrent as LC,
    LifetimeHard as LH,
    LifetimeSoft as LS,
    NatTDport as ND,
    NatTOa as NO,
    NatTSport as NS,
    NatTType as NT,
    PlumbIf as PLU,
    Proposal as PROP,
    Protocol as PRO,
    Sa as SA,
    Sa2 as SA2,
    SaRef as REF,
    SaType2 as ST2,
    Sensitivity as SEN,
    SpiRange as RNG,
    SupportedAuth as SUA,
    SupportedEncrypt as SUE, //
};

/// Extensions 1 to 20, all of which X_PCHANGE is said to require.
const FIRST_TWENTY: Rule = Rule {
    required: 0x001f_fffe,
    permitted: 0x001f_fffe,
};

/// What a message of this type must and may have.
#[rustfmt::skip]
pub const fn extensions(msg_type: MsgType, direction: Direction) -> Rule {
    use MsgType::*;
    match direction {
        Direction::In => match msg_type {
            GetSpi => rule(&[AS, AD, RNG], &[AP]),
            Update => rule(&[SA, AS, AD], &[LC, LH, LS, AP, KA, KE, IS, ID, SEN, NS, ND]),
            Add => rule(&[SA, AS, AD],
                        &[LH, LS, AP, KA, KE, IS, ID, SEN, NT, NS, ND, NO, PLU, REF]),
            Delete => rule(&[SA, AS, AD], &[]),
            Get => rule(&[SA, AS, AD], &[LC]),
            Acquire => rule(&[AS, AD, PROP], &[AP, IS, ID, SEN]),
            // KLIPS's table makes X_PROMISC impossible; it has no extensions (RFC 2367).
            Register | Expire | Flush | Dump | Promisc => rule(&[], &[]),
            PChange => FIRST_TWENTY,
            GrpSa => rule(&[SA, AD], &[ST2, SA2, AD2, GRP]),
            AddFlow => rule(&[SA, AD, FS, FD, FSM, FDM], &[AS, IS, ID, PRO]),
            DelFlow => rule(&[], &[SA, FS, FD, FSM, FDM, IS, ID, PRO]),
            Debug => rule(&[DBG], &[]),
            NatTNewMapping => rule(&[SA, AS, AD, NS, ND], &[]),
            PlumbIf | UnplumbIf => rule(&[PLU], &[]),
        },
        Direction::Out => match msg_type {
            GetSpi | Delete => rule(&[SA, AS, AD], &[]),
            Update => rule(&[SA, AS, AD], &[LC, LH, LS, AP, IS, ID, SEN, NS, ND]),
            Add => rule(&[SA, AS, AD], &[LH, LS, IS, ID, SEN, NT, NS, ND, NO, PLU, REF]),
            Get => rule(&[SA, AS, AD], &[LC, LH, LS, AP, KA, KE, IS, ID, SEN, NT, NS, ND, NO]),
            Acquire => rule(&[AS, AD, PROP], &[AP, IS, ID, SEN]),
            Register => rule(&[], &[SUA, SUE]),
            Expire => rule(&[SA, LC, AS, AD], &[LH, LS]),
            Flush => rule(&[], &[]),
            // KLIPS's table requires the keys, which are not given away here.
            Dump => rule(&[SA, AS, AD], &[LC, LH, LS, AP, KA, KE, IS, ID, SEN, NT, NS, ND, NO]),
            // The data form has a whole message in the place of extensions.
            Promisc => rule(&[], &[]),
            PChange => FIRST_TWENTY,
            GrpSa => rule(&[SA, AD], &[ST2, SA2, AD2, GRP, FLT]),
            AddFlow => rule(&[SA, AD, FS, FD, FSM, FDM], &[AS, PRO]),
            // KLIPS's table requires the flow, which is not there when all are removed.
            DelFlow => rule(&[], &[SA, FS, FD, FSM, FDM, PRO]),
            Debug => rule(&[DBG], &[]),
            NatTNewMapping => rule(&[SA, AS, AD, NS, ND], &[]),
            PlumbIf | UnplumbIf => rule(&[PLU], &[]),
        },
    }
}

/// The four extensions that describe an eroute.
pub const FLOWS: u64 = set(&[FS, FD, FSM, FDM]);

/// The three extensions that describe the second SA of a pair.
pub const SECOND: u64 = set(&[ST2, SA2, AD2]);

/// Extensions that are refused when a message is processed, although they parse (reference 2.6).
pub const REFUSED: u64 = set(&[LC, SEN, PROP, SUA, SUE, Ext::KmPrivate]);
