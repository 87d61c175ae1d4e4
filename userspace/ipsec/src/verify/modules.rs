// SPDX-License-Identifier: GPL-2.0

//! Whether the kernel has what the protocols of the SAs take.

use super::finding::Finding;
use crate::{
    listing::SaRow,
    system::{ProcFile, System},
};
use klips::{address::Family, said::Proto};
use std::{
    collections::BTreeSet,
    io::{self, BufRead, BufReader, Read},
};

/// The kernel module that a protocol takes, and what it is configured by.
fn module_of(proto: Proto, family: Family) -> Option<(&'static str, &'static str)> {
    Some(match (proto, family) {
        (Proto::Esp, Family::Inet) => ("esp4", "CONFIG_INET_ESP"),
        (Proto::Esp, Family::Inet6) => ("esp6", "CONFIG_INET6_ESP"),
        (Proto::Ah, Family::Inet) => ("ah4", "CONFIG_INET_AH"),
        (Proto::Ah, Family::Inet6) => ("ah6", "CONFIG_INET6_AH"),
        (Proto::Comp, Family::Inet) => ("ipcomp", "CONFIG_INET_IPCOMP"),
        (Proto::Comp, Family::Inet6) => ("ipcomp6", "CONFIG_INET6_IPCOMP"),
        (Proto::Tun, Family::Inet) => ("xfrm4_tunnel", "CONFIG_INET_XFRM_TUNNEL"),
        (Proto::Tun, Family::Inet6) => ("xfrm6_tunnel", "CONFIG_INET6_XFRM_TUNNEL"),
        (Proto::Int, _) => return None,
    })
}

/// Whether klips is loaded and has the PF_KEY socket. Without it nothing else can be looked at.
pub(super) fn klips(system: &mut impl System) -> Result<Finding, Vec<Finding>> {
    let mut wrong = Vec::new();
    if system.has_netkey() {
        wrong.push(Finding::error(
            "af_key",
            "mainline's af_key has the PF_KEY socket, so that nobody can talk to klips".to_owned(),
            "modprobe -r af_key; and keep it from being loaded, as /etc/modprobe.d/klips.conf does"
                .to_owned(),
        ));
    }
    match system.open(ProcFile::Spi) {
        Ok(_) if wrong.is_empty() => {
            return Ok(Finding::ok("module", "klips is loaded, and af_key is not"));
        }
        Ok(_) => (),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            wrong.push(Finding::error(
                "module",
                "its files can't be read".to_owned(),
                "be root, in the network namespace that is meant".to_owned(),
            ));
        }
        Err(_) if !system.has_proc() => wrong.push(Finding::error(
            "module",
            "/proc is not mounted".to_owned(),
            "mount -t proc proc /proc".to_owned(),
        )),
        Err(_) => wrong.push(Finding::error(
            "module",
            "klips is not loaded".to_owned(),
            "modprobe klips; if that fails, 'ipsec doctor' says what is missing".to_owned(),
        )),
    }
    Err(wrong)
}

/// Whether the kernel has each protocol that there is an SA of, loaded or to be loaded.
pub(super) fn protocols(rows: &[SaRow], system: &mut impl System) -> Vec<Finding> {
    let needed = rows.iter().filter_map(|row| {
        let said = &row.said;
        module_of(said.proto, Family::of(&said.dst))
    });
    let needed: BTreeSet<_> = needed.collect();
    if needed.is_empty() {
        return Vec::new();
    }
    let Some(known) = Known::read(system) else {
        return Vec::new();
    };
    let missing = needed.iter().filter(|(module, _)| !known.has(module));
    let findings: Vec<_> = missing
        .map(|(module, config)| {
            Finding::error(
                "protocols",
                format!("there are SAs that take {module}, which this kernel does not have"),
                format!("install its module, or build the kernel with {config}"),
            )
        })
        .collect();
    if findings.is_empty() {
        let names: Vec<_> = needed.iter().map(|(module, _)| *module).collect();
        vec![Finding::ok(
            "protocols",
            format!("the kernel has {}", names.join(", ")),
        )]
    } else {
        findings
    }
}

/// Modules that are loaded, part of the kernel, or can be loaded.
struct Known(String);

impl Known {
    /// `None` if it can't be said, as in a container without `/lib/modules`.
    fn read(system: &mut impl System) -> Option<Self> {
        let release = text(system, "/proc/sys/kernel/osrelease")?;
        let folder = format!("/lib/modules/{}", release.trim());
        let mut all = text(system, &format!("{folder}/modules.dep"))?;
        all += &text(system, &format!("{folder}/modules.builtin"))?;
        if let Ok(file) = system.input("/proc/modules") {
            for line in BufReader::new(file).lines().map_while(Result::ok) {
                let name = line.split(' ').next().unwrap_or_default();
                all += &format!("{name}.ko\n");
            }
        }
        Some(Known(all))
    }

    /// Whether a file of this name is listed, however it is compressed.
    fn has(&self, module: &str) -> bool {
        self.0.lines().any(|line| {
            let path = line.split(':').next().unwrap_or_default();
            let file = path.rsplit('/').next().unwrap_or_default();
            file.split_once(".ko")
                .is_some_and(|(name, _)| name.replace('-', "_") == module)
        })
    }
}

/// All that is in a file, if it can be read.
pub(super) fn text(system: &mut impl System, name: &str) -> Option<String> {
    let mut text = String::new();
    system.input(name).ok()?.read_to_string(&mut text).ok()?;
    Some(text)
}
