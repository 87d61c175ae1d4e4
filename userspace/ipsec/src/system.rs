// SPDX-License-Identifier: GPL-2.0

//! What the commands need of the system that they run on.

use dns_lookup::AddrInfoHints;
use klips::address::Family;
use pfkey::{Client, Transport};
use std::{
    fs::File,
    io::{self, Read},
    net::IpAddr,
    path::Path,
};

/// A file that the module provides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProcFile {
    /// The groups.
    SpiGrp,
    /// The SAs.
    Spi,
}

impl ProcFile {
    /// Its path.
    pub const fn path(self) -> &'static str {
        match self {
            ProcFile::SpiGrp => "/proc/net/ipsec_spigrp",
            ProcFile::Spi => "/proc/net/ipsec_spi",
        }
    }
}

/// What the commands need of the system that they run on.
pub trait System {
    /// What carries messages to the kernel.
    type Transport: Transport;

    /// Connects to the kernel.
    fn connect(&mut self) -> Result<Client<Self::Transport>, pfkey::Error>;
    /// Opens a file of the module.
    fn open(&mut self, file: ProcFile) -> io::Result<Box<dyn Read>>;
    /// Opens a file of the user's, or standard input for `-`.
    fn input(&mut self, name: &str) -> io::Result<Box<dyn Read>>;
    /// Whether the PF_KEY socket is that of mainline, to which KLIPS's messages mean other things.
    fn has_netkey(&mut self) -> bool;
    /// Looks up the address of a name.
    fn resolve(&mut self, name: &str, family: Family) -> Option<IpAddr>;
}

/// The system that this program runs on.
pub struct Linux;

impl System for Linux {
    type Transport = pfkey::Socket;

    fn connect(&mut self) -> Result<Client, pfkey::Error> {
        Client::open()
    }

    fn open(&mut self, file: ProcFile) -> io::Result<Box<dyn Read>> {
        Ok(Box::new(File::open(file.path())?))
    }

    fn input(&mut self, name: &str) -> io::Result<Box<dyn Read>> {
        match name {
            "-" => Ok(Box::new(io::stdin())),
            name => Ok(Box::new(File::open(name)?)),
        }
    }

    fn has_netkey(&mut self) -> bool {
        Path::new("/proc/net/pfkey").exists()
    }

    fn resolve(&mut self, name: &str, family: Family) -> Option<IpAddr> {
        // Asks for this family only: the resolver need not have found both when asked for any.
        let hints = AddrInfoHints {
            address: family.number().into(),
            ..AddrInfoHints::default()
        };
        dns_lookup::getaddrinfo(Some(name), None, Some(hints))
            .ok()?
            .filter_map(Result::ok)
            .map(|info| info.sockaddr.ip())
            .find(|ip| Family::of(ip) == family)
    }
}
