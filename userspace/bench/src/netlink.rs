// SPDX-License-Identifier: GPL-2.0

//! Requests to mainline's `xfrm_user`, as `ip xfrm` makes them.

use crate::message::{Flow, KEY, Sa};
use netlink_packet_core::{
    NLM_F_ACK, NLM_F_CREATE, NLM_F_DUMP, NLM_F_EXCL, NLM_F_REQUEST, NetlinkHeader, NetlinkMessage,
    NetlinkPayload,
};
use netlink_packet_xfrm::{
    Alg, AlgAuth, IPPROTO_ESP, Selector, UserTemplate, XFRM_MODE_TRANSPORT, XFRM_MODE_TUNNEL,
    XFRM_POLICY_OUT, XfrmAttrs, XfrmMessage, policy, state,
};

/// What adds is refused if there is one already.
const NEW: u16 = NLM_F_CREATE | NLM_F_EXCL;

/// A request that is answered whatever becomes of it.
fn request(message: XfrmMessage, flags: u16) -> Vec<u8> {
    let mut header = NetlinkHeader::default();
    header.flags = NLM_F_REQUEST | NLM_F_ACK | flags;
    header.sequence_number = 1;
    let mut message = NetlinkMessage::new(header, NetlinkPayload::from(message));
    message.finalize();
    let mut bytes = vec![0; message.buffer_len()];
    message.serialize(&mut bytes);
    bytes
}

/// The name of an algorithm, zeros behind it.
fn name(text: &str) -> [u8; 64] {
    let mut name = [0; 64];
    name[..text.len()].copy_from_slice(text.as_bytes());
    name
}

/// What each SA has for itself, so that policies find it. xfrm mixes it with the addresses to find a
/// place for the SA: if it rose as these do, a few places would have them all.
pub(crate) fn reqid(spi: u32) -> u32 {
    spi.wrapping_mul(0x9e37_79b1)
}

/// `ip xfrm state add`: ESP with AES-CBC and HMAC-SHA1 in a mode.
fn add_state_in(sa: &Sa, mode: u8) -> Vec<u8> {
    let mut message = state::ModifyMessage::default();
    let info = &mut message.user_sa_info;
    info.source(&sa.src.into());
    info.destination(&sa.dst.into());
    info.id.proto = IPPROTO_ESP;
    info.id.spi = sa.spi;
    info.reqid = reqid(sa.spi);
    info.mode = mode;
    info.replay_window = 32;
    message.nlas = vec![
        XfrmAttrs::AuthenticationAlgTrunc(AlgAuth {
            alg_name: name("hmac(sha1)"),
            alg_key_len: 160,
            alg_trunc_len: 96,
            alg_key: vec![KEY; 20],
        }),
        XfrmAttrs::EncryptionAlg(Alg {
            alg_name: name("cbc(aes)"),
            alg_key_len: 128,
            alg_key: vec![KEY; 16],
        }),
    ];
    request(XfrmMessage::AddSa(message), NEW)
}

/// `ip xfrm state add … mode transport`.
pub(crate) fn add_state(sa: &Sa) -> Vec<u8> {
    add_state_in(sa, XFRM_MODE_TRANSPORT)
}

/// `ip xfrm state add … mode tunnel`.
pub(crate) fn add_state_in_tunnel_mode(sa: &Sa) -> Vec<u8> {
    add_state_in(sa, XFRM_MODE_TUNNEL)
}

fn selector(flow: &Flow) -> Selector {
    let mut selector = Selector::default();
    selector.source_prefix(&flow.from.0.into(), flow.from.1);
    selector.destination_prefix(&flow.to.0.into(), flow.to.1);
    selector
}

/// A policy for the packets of a flow that leave: they go through a tunnel.
fn through(flow: &Flow, sa: &Sa) -> policy::ModifyMessage {
    let mut message = policy::ModifyMessage::default();
    message.user_policy_info.selector = selector(flow);
    message.user_policy_info.direction = XFRM_POLICY_OUT;
    let mut template = UserTemplate::default();
    template.source(&sa.src.into());
    template.destination(&sa.dst.into());
    template.protocol(IPPROTO_ESP);
    template.mode(XFRM_MODE_TUNNEL);
    template.reqid(reqid(sa.spi));
    // Whatever its algorithms.
    (template.aalgos, template.ealgos, template.calgos) = (u32::MAX, u32::MAX, u32::MAX);
    message.nlas = vec![XfrmAttrs::Template(vec![template])];
    message
}

/// `ip xfrm policy add dir out`.
pub(crate) fn add_policy(flow: &Flow, sa: &Sa) -> Vec<u8> {
    request(XfrmMessage::AddPolicy(through(flow, sa)), NEW)
}

/// `ip xfrm policy update dir out`.
pub(crate) fn update_policy(flow: &Flow, sa: &Sa) -> Vec<u8> {
    request(XfrmMessage::UpdatePolicy(through(flow, sa)), 0)
}

/// `ip xfrm policy delete dir out`.
pub(crate) fn delete_policy(flow: &Flow) -> Vec<u8> {
    let mut message = policy::DelGetMessage::default();
    message.user_policy_id.selector = selector(flow);
    message.user_policy_id.direction = XFRM_POLICY_OUT;
    request(XfrmMessage::DeletePolicy(message), 0)
}

/// `ip xfrm policy flush`.
pub(crate) fn flush_policies() -> Vec<u8> {
    request(XfrmMessage::FlushPolicy(policy::FlushMessage::default()), 0)
}

/// `ip xfrm state delete`.
pub(crate) fn delete_state(sa: &Sa) -> Vec<u8> {
    let mut message = state::DelGetMessage::default();
    message.user_sa_id.destination(&sa.dst.into());
    message.user_sa_id.proto = IPPROTO_ESP;
    message.user_sa_id.spi = sa.spi;
    request(XfrmMessage::DeleteSa(message), 0)
}

/// `ip xfrm state list`.
pub(crate) fn dump_states() -> Vec<u8> {
    let message = XfrmMessage::GetDumpSa(state::GetDumpMessage::default());
    request(message, NLM_F_DUMP)
}

/// `ip xfrm state flush`.
pub(crate) fn flush_states() -> Vec<u8> {
    request(XfrmMessage::FlushSa(state::FlushMessage::default()), 0)
}
