// SPDX-License-Identifier: GPL-2.0

//! The modules, and what it costs to have one.

use crate::{
    measure::{Clock, Setting},
    program,
};
use anyhow::{Context, Result, bail};
use clap::ValueEnum;
use nix::kmod::{DeleteModuleFlags, ModuleInitFlags, delete_module, finit_module};
use std::{
    ffi::CString,
    fs::{self, File},
};

/// A module that makes PF_KEY sockets, or that does the same by netlink.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Module {
    /// Ours.
    Klips,
    /// Mainline's.
    AfKey,
    /// Mainline's that `ip xfrm` speaks to. It is built in.
    XfrmUser,
}

impl Module {
    /// As the kernel calls it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Module::Klips => "klips",
            Module::AfKey => "af_key",
            Module::XfrmUser => "xfrm_user",
        }
    }

    /// Whether it knows groups.
    pub(crate) fn has_groups(self) -> bool {
        self == Module::Klips
    }

    /// Its file, where the harness puts it.
    fn file(self) -> Result<String> {
        match self {
            Module::Klips => std::env::var("KLIPS_KO").context("KLIPS_KO"),
            Module::AfKey => Ok("/lib/modules/extra/af_key.ko".to_owned()),
            Module::XfrmUser => bail!("xfrm_user is no file"),
        }
    }

    /// Loads it.
    pub(crate) fn load(self) -> Result<()> {
        if self == Module::XfrmUser {
            return Ok(());
        }
        load_what_it_needs();
        program::run(&["insmod", &self.file()?])?;
        if self == Module::Klips {
            // It has limits in namespaces other than the first.
            for parameter in ["max_sas", "max_sockets", "max_flows", "max_states"] {
                let path = format!("/sys/module/klips/parameters/{parameter}");
                fs::write(&path, u32::MAX.to_string()).context(path)?;
            }
        }
        Ok(())
    }

    /// Unloads it.
    pub(crate) fn unload(self) -> Result<()> {
        if self == Module::XfrmUser {
            return Ok(());
        }
        program::run(&["rmmod", self.name()])
    }

    /// Unloads and loads it, and starts no program for that.
    pub(crate) fn reload(self) -> Result<()> {
        let name = CString::new(self.name())?;
        delete_module(&name, DeleteModuleFlags::empty())?;
        let file = File::open(self.file()?)?;
        Ok(finit_module(file, c"", ModuleInitFlags::empty())?)
    }

    /// Measures how long loading and unloading take, without what it takes to start a program that
    /// does nothing, and how large it is. It is not loaded before and not afterwards.
    pub(crate) fn measure(self, clock: Clock) -> Result<()> {
        let setting = Setting::bare(clock, self.name());
        let file = self.file()?;
        load_what_it_needs();
        let nothing = program::time(&["true"], || Ok(()))?;
        let load = program::time(&["insmod", &file], || self.unload())?;
        self.load()?;
        setting.tell("size in memory", "B", self.size()?);
        let unload = program::time(&["rmmod", self.name()], || self.load())?;
        self.unload()?;
        setting.tell_each("load", load.saturating_sub(nothing), 1);
        setting.tell_each("unload", unload.saturating_sub(nothing), 1);
        // CAST: far below 2^53.
        setting.tell("size of file", "B", fs::metadata(file)?.len() as f64);
        Ok(())
    }

    /// Bytes of memory of the loaded module's code and data.
    fn size(self) -> Result<f64> {
        let list = fs::read_to_string("/proc/modules")?;
        let size = list.lines().find_map(|line| {
            let mut fields = line.split(' ');
            (fields.next() == Some(self.name())).then(|| fields.next())?
        });
        Ok(size.context("it is not in /proc/modules")?.parse()?)
    }
}

/// Loads what both modules take symbols from, for insmod looks for nothing. Where that fails it is built
/// in, or insmod will tell.
fn load_what_it_needs() {
    for module in ["xfrm_algo", "xfrm6_tunnel"] {
        let _ = program::run(&["modprobe", module]);
    }
}
