// SPDX-License-Identifier: GPL-2.0

//! What the `ipsec` program costs, from its start to its end, beside a shell script of `ip xfrm`
//! lines that does the same.

use crate::{
    measure::{self, Clock, Setting},
    message::Gateways,
    module::Module,
    program,
    socket::Socket,
    table::Table,
};
use anyhow::{Result, ensure};
use std::{fmt::Write, fs, os::unix::fs::PermissionsExt};
use testnet::{Space, make_gateways};

/// Connections that come up.
const CONNECTIONS: u32 = 100;
/// SAs that are looked at.
const SAS: u32 = 10_000;
/// Where scripts and connections are written to.
const CONNECTIONS_FILE: &str = "/tmp/connections.conf";
const SCRIPT: &str = "/tmp/script.sh";

/// By its path, or the guest's shell takes its own.
const IP: &str = "/usr/sbin/ip";

const ENCKEY: &str = "0x8dcd4d3c5b2b8e4c9d4d9f8ab3f0ce1b";
const AUTHKEY: &str = "0x9ad2f1ab03c93cb7cd1c2bb1d8f2a5e94c6b7d80";

/// Networks and SPIs of a connection: ours, theirs, out, in.
fn connection(number: u32) -> (String, String, u32, u32) {
    let (here, there) = (
        "10.1.0.0/16".to_owned(),
        format!("10.2.{}.0/24", number % 256),
    );
    let base = 0x1000 + 16 * number;
    (here, there, base, base + 1)
}

/// The file of connections for `ipsec manual`.
fn connections() -> String {
    let mut text = format!(
        "conn %default\n\tleft=10.0.0.1\n\tright=10.0.0.2\n\tesp=aes128-sha1-96\n\
         \tespenckey={ENCKEY}\n\tespauthkey={AUTHKEY}\n\tespreplay_window=32\n"
    );
    for number in 0..CONNECTIONS {
        let (here, there, base, _) = connection(number);
        let _ = write!(
            text,
            "\nconn c{number}\n\tauto=manual\n\tleftsubnet={here}\n\trightsubnet={there}\n\tspibase={base:#x}\n"
        );
    }
    text
}

/// The same as a script.
fn script() -> String {
    let mut text = "set -e\n".to_owned();
    for number in 0..CONNECTIONS {
        let (here, there, out, back) = connection(number);
        let ends = [
            ("10.0.0.1", "10.0.0.2", out),
            ("10.0.0.2", "10.0.0.1", back),
        ];
        for (src, dst, spi) in ends {
            let _ = writeln!(
                text,
                "{IP} xfrm state add src {src} dst {dst} proto esp spi {spi} reqid {spi} mode tunnel \
                 replay-window 32 enc 'cbc(aes)' {ENCKEY} auth-trunc 'hmac(sha1)' {AUTHKEY} 96"
            );
        }
        for (dir, from, to, (src, dst, spi)) in [
            ("out", &here, &there, ends[0]),
            ("in", &there, &here, ends[1]),
            ("fwd", &there, &here, ends[1]),
        ] {
            let _ = writeln!(
                text,
                "{IP} xfrm policy add dir {dir} src {from} dst {to} tmpl src {src} dst {dst} \
                 proto esp reqid {spi} mode tunnel"
            );
        }
    }
    text
}

/// Measures both.
pub(crate) fn run(clock: Clock) -> Result<()> {
    fs::write(CONNECTIONS_FILE, connections())?;
    fs::set_permissions(CONNECTIONS_FILE, fs::Permissions::from_mode(0o600))?;
    for module in [Module::XfrmUser, Module::Klips] {
        module.load()?;
        let (a, b) = (Space::new()?, Space::new()?);
        make_gateways(&a, &b)?;
        let setting = Setting::bare(clock, module.name());
        let (up, clear): (&[_], [&str; 2]) = match module {
            Module::Klips => (
                &[
                    "ipsec",
                    "manual",
                    "--config",
                    CONNECTIONS_FILE,
                    "--up",
                    "--all",
                ],
                ["ipsec eroute --clear", "ipsec spi --clear"],
            ),
            _ => {
                fs::write(SCRIPT, script())?;
                (
                    &["sh", SCRIPT],
                    ["ip xfrm policy flush", "ip xfrm state flush"],
                )
            }
        };
        let took = a.within(|| measure::time(|| program::run(up)))?;
        let policies = a.run("ip xfrm policy")?;
        let count = policies.matches("dir out").count();
        ensure!(count == CONNECTIONS as usize, "{count} are up: {policies}");
        setting.tell_each("100 connections come up", took, 1);
        for line in clear {
            a.run(line)?;
        }

        let table = Table {
            clock,
            module,
            gateways: Gateways::Many,
        };
        a.within(|| {
            table.request(0..SAS, |number| module.add_live(&table.sa(number)))?;
            let look: &[_] = match module {
                Module::Klips => &["ipsec", "look"],
                _ => {
                    let lists = ["-s xfrm state", "xfrm policy", "route"]
                        .map(|list| format!("{IP} {list}\n"));
                    fs::write(SCRIPT, lists.concat())?;
                    &["sh", SCRIPT]
                }
            };
            let took = measure::time(|| program::run(look))?;
            setting.tell_each("a look at 10000 SAs", took, 1);
            Socket::to(module)?.request(&module.flush())
        })?;
        drop((a, b));
        module.unload()?;
    }
    Ok(())
}
