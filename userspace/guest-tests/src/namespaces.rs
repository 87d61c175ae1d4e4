// SPDX-License-Identifier: GPL-2.0

//! Network namespaces and permissions.

use crate::{
    helper::{self, Helper, Who},
    ktap::Test,
    support::{KeySocket, PROC, add, expect_spigrp, group, in_own_network, make, manual_sas},
    tests,
};
use anyhow::{Result, ensure};
use klips::errno::Errno;
use std::{fs, io::Read};

/// All of them.
pub fn all() -> Vec<Test> {
    tests![
        each_namespace_has_its_own_sas_and_sockets,
        a_namespace_ends_with_sas_groups_and_open_files,
        a_namespace_ends_with_ten_thousand_sas,
        an_unprivileged_process_gets_eperm,
        a_socket_is_of_no_use_to_an_unprivileged_writer,
        root_of_a_user_namespace_rules_its_own_network_only,
    ]
}

fn each_namespace_has_its_own_sas_and_sockets() -> Result<()> {
    let outside = KeySocket::open()?;
    let sas = manual_sas();
    make(&sas)?;
    outside.drain()?;
    in_own_network(|| {
        expect_spigrp(&[])?;
        make(&sas)?;
        KeySocket::open()?.ask(&group(&sas))?;
        expect_spigrp(&["tun0x113@10.0.0.2 esp0x115@10.0.0.2 ah0x116@10.0.0.2"])
    })?;
    ensure!(outside.drain()?.is_empty(), "told of another namespace");
    expect_spigrp(&["tun0x113@10.0.0.2", "esp0x115@10.0.0.2", "ah0x116@10.0.0.2"])
}

fn a_namespace_ends_with_sas_groups_and_open_files() -> Result<()> {
    let (mut file, socket) = in_own_network(|| {
        let sas = manual_sas();
        make(&sas)?;
        let socket = KeySocket::open()?;
        socket.ask(&group(&sas))?;
        Ok((fs::File::open(format!("{PROC}/ipsec_spigrp"))?, socket))
    })?;
    // The thread is gone; file and socket keep the namespace and work on.
    let mut text = String::new();
    file.read_to_string(&mut text)?;
    ensure!(text == "tun0x113@10.0.0.2 esp0x115@10.0.0.2 ah0x116@10.0.0.2 \n");
    ensure!(socket.send(&add(&manual_sas()[0])) == Err(Errno::EEXIST));
    drop((file, socket));
    // `load::unloads_clean` could not unload the module if anything of it were left.
    Ok(())
}

fn a_namespace_ends_with_ten_thousand_sas() -> Result<()> {
    let socket = KeySocket::open()?;
    for n in 0..10_000 {
        let sa = crate::support::said(&format!("tun.{:x}@10.0.0.2", 0x1000 + n));
        ensure!(socket.send(&add(&sa)).is_ok());
        socket.drain()?;
    }
    Ok(())
}

fn an_unprivileged_process_gets_eperm() -> Result<()> {
    // What can't be made at all is told first, as ever.
    let told = helper::run(Helper::Open, Who::Nobody, None)?;
    ensure!(told == "socket EPERM, protocol EPROTONOSUPPORT, list EACCES");
    Ok(())
}

fn a_socket_is_of_no_use_to_an_unprivileged_writer() -> Result<()> {
    let socket = KeySocket::open()?;
    helper::expect_no_writing(Helper::Write, &socket)?;
    ensure!(socket.drain()?.is_empty());
    expect_spigrp(&[])
}

fn root_of_a_user_namespace_rules_its_own_network_only() -> Result<()> {
    let told = helper::run(Helper::OwnNetwork, Who::Nobody, None)?;
    ensure!(told == "ok", "in its own network namespace: {told}");
    let told = helper::run(Helper::OtherNetwork, Who::Nobody, None)?;
    ensure!(told == "EPERM", "in another network namespace: {told}");
    expect_spigrp(&[])
}
