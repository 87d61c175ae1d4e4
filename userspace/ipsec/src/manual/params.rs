// SPDX-License-Identifier: GPL-2.0

//! The parameters that a connection may have.
//!
//! Those of automatic keying are known by name, so that a file that a key daemon has too can be read;
//! they mean nothing here. What would have changed which packets are meant, and isn't done, is
//! refused.

use super::file::Param;
use crate::{failure::Failure, suggest};

/// What becomes of a parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Use {
    /// It means something.
    Read,
    /// It is a key.
    Key,
    /// It means something to a key daemon only.
    Ignored,
    /// It is a command for routes or firewalls; none is run.
    NotRun,
    /// It can't be done, for this reason.
    Refused(&'static str),
}

const READ: [&str; 9] = [
    "type",
    "spi",
    "spibase",
    "esp",
    "espreplay_window",
    "ah",
    "ahreplay_window",
    "auto",
    "connaddrfamily",
];

/// Those that one side may have, behind `left` or `right`.
const SIDES: [&str; 6] = ["", "subnet", "nexthop", "protoport", "espspi", "ahspi"];

/// Keys, of both directions, or of one behind `left` or `right`.
const KEYS: [&str; 3] = ["espenckey", "espauthkey", "ahkey"];

/// Those of automatic keying, in FreeS/WAN, Openswan and libreswan.
const IGNORED: [&str; 66] = [
    "aggrmode",
    "auth",
    "authby",
    "compress",
    "ddos-mode",
    "disablearrivalcheck",
    "dpdaction",
    "dpddelay",
    "dpdtimeout",
    "encapsulation",
    "esn",
    "failureshunt",
    "fake-strongswan",
    "forceencaps",
    "fragmentation",
    "hostaddrfamily",
    "clientaddrfamily",
    "ike",
    "ikelifetime",
    "ikepad",
    "ikev2",
    "initial-contact",
    "initial_contact",
    "ipsec-interface",
    "keyexchange",
    "keyingtries",
    "keylife",
    "labeled_ipsec",
    "lifetime",
    "loopback",
    "mark",
    "metric",
    "mobike",
    "modecfgbanner",
    "modecfgdns",
    "modecfgdns1",
    "modecfgdns2",
    "modecfgdomains",
    "modecfgpull",
    "modecfgwins1",
    "modecfgwins2",
    "modeconfig",
    "mtu",
    "narrowing",
    "negotiationshunt",
    "nm_configured",
    "overlapip",
    "pfs",
    "pfsgroup",
    "phase2",
    "phase2alg",
    "priority",
    "reauth",
    "rekey",
    "rekeyfuzz",
    "rekeymargin",
    "remote_peer_type",
    "replay-window",
    "reqid",
    "retransmit-interval",
    "retransmit-timeout",
    "salifetime",
    "send-no-esp-tfc",
    "sha2-truncbug",
    "sha2_truncbug",
    "tfc",
];

/// The same, behind `left` or `right`.
const IGNORED_SIDES: [&str; 25] = [
    "addresspool",
    "auth",
    "ca",
    "cert",
    "ckaid",
    "groups",
    "id",
    "modecfgclient",
    "modecfgserver",
    "pubkey",
    "rsasigkey",
    "rsasigkey2",
    "sendcert",
    "sigkey",
    "sourceip",
    "username",
    "vti",
    "xauthclient",
    "xauthname",
    "xauthpassword",
    "xauthserver",
    "xauthusername",
    "dns",
    "allowany",
    "interface-ip",
];

/// What is said of what chooses packets in a way that can't be done.
const REFUSED_SIDES: [(&str, &str); 2] = [
    (
        "subnets",
        "a manually keyed connection has one subnet on a side; write a conn for each",
    ),
    (
        "subnetwithin",
        "which network it is has to be known: leftsubnet or rightsubnet",
    ),
];

const NOT_RUN_SIDES: [&str; 3] = ["updown", "firewall", "hostaccess"];

/// The name behind `left` or `right`.
pub(super) fn side(name: &str) -> Option<&str> {
    name.strip_prefix("left")
        .or_else(|| name.strip_prefix("right"))
}

/// What becomes of a parameter of a connection.
pub(super) fn use_of(param: &Param) -> Result<Use, Failure> {
    let name = param.name.as_str();
    if name.starts_with("x-") || name.starts_with("x_") {
        return Ok(Use::Ignored);
    }
    let behind = side(name);
    let is_in = |list: &[&str], name: Option<&str>| name.is_some_and(|name| list.contains(&name));
    let refused = REFUSED_SIDES.iter().find(|(own, _)| behind == Some(*own));
    if is_in(&READ, Some(name)) || is_in(&SIDES, behind) {
        Ok(Use::Read)
    } else if is_in(&KEYS, Some(name)) || is_in(&KEYS, behind) {
        Ok(Use::Key)
    } else if let Some((_, why)) = refused {
        Ok(Use::Refused(why))
    } else if is_in(&NOT_RUN_SIDES, behind) {
        Ok(Use::NotRun)
    } else if is_in(&IGNORED, Some(name)) || is_in(&IGNORED_SIDES, behind) {
        Ok(Use::Ignored)
    } else {
        let guess = suggest::nearest(name, known());
        let guess = guess.map_or(String::new(), |near| format!("; did you mean '{near}'?"));
        Err(param.bad(format_args!("there is no such parameter{guess}")))
    }
}

/// All names that mean something here.
fn known() -> impl Iterator<Item = String> {
    let sides = |names: &'static [&'static str]| {
        let of = move |side: &'static str| names.iter().map(move |name| format!("{side}{name}"));
        of("left").chain(of("right"))
    };
    let plain = READ.iter().chain(&KEYS).map(|name| (*name).to_owned());
    plain
        .chain(sides(&SIDES))
        .chain(sides(&KEYS))
        .chain(["also".to_owned(), "alsoflip".to_owned()])
}
