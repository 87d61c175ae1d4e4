// SPDX-License-Identifier: GPL-2.0

//! The tools against the module: the examples of the manual page, to the letter.

use crate::{
    ktap::Test,
    support::{expect_spigrp, in_first_network},
    tests,
};
use anyhow::{Context, Result, ensure};
use std::process::Command;

/// All of them.
pub fn all() -> Vec<Test> {
    tests![
        the_manuals_ipv4_example_in_words,
        the_manuals_ipv4_example_with_said,
        the_manuals_ipv6_example_with_said,
        the_manuals_ipv6_example_in_words,
        called_by_its_historic_names,
        lists_are_the_files_byte_for_byte,
        a_missing_sa_is_named,
        a_grouped_sa_and_its_group_are_named,
        five_sas_are_refused_before_anything_is_sent,
        deleting_and_clearing,
        debugging_masks_are_set_and_listed,
        a_debugging_mask_makes_the_kernel_talk,
    ]
}

/// What came of a command.
pub struct Outcome {
    /// Its exit status.
    pub code: Option<i32>,
    /// What it wrote to standard output.
    pub stdout: String,
    /// What it wrote to standard error.
    pub stderr: String,
}

/// Runs a command line.
pub fn run(line: &str) -> Result<Outcome> {
    let mut words = line.split_ascii_whitespace();
    output(Command::new(words.next().context("no command")?).args(words))
}

/// Runs a command.
pub fn output(command: &mut Command) -> Result<Outcome> {
    let output = command
        .output()
        .with_context(|| format!("can't run {command:?}"))?;
    Ok(Outcome {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout)?,
        stderr: String::from_utf8(output.stderr)?,
    })
}

/// Runs a command line that succeeds in silence.
pub fn quiet(line: &str) -> Result<()> {
    let outcome = run(line)?;
    ensure!(
        outcome.code == Some(0) && outcome.stdout.is_empty() && outcome.stderr.is_empty(),
        "{line}\nexit {:?}\n{}{}",
        outcome.code,
        outcome.stdout,
        outcome.stderr
    );
    Ok(())
}

/// Runs a command line that fails with a message that has all of the words in it.
pub fn fails(line: &str, code: i32, words: &[&str]) -> Result<()> {
    let outcome = run(line)?;
    ensure!(
        outcome.code == Some(code)
            && outcome.stdout.is_empty()
            && words.iter().all(|word| outcome.stderr.contains(word)),
        "{line}\nexpected exit {code} and {words:?}\nexit {:?}\n{}{}",
        outcome.code,
        outcome.stdout,
        outcome.stderr
    );
    Ok(())
}

const KEY24: &str = "0x0123456789abcdef02468ace13579bdf0011223344556677";
/// A key for command lines.
pub const KEY16: &str = "0x00112233445566778899aabbccddeeff";

/// Makes the SAs of the manual page's IPv4 examples.
pub fn make_ipv4() -> Result<()> {
    quiet("ipsec spi --ip4 --af inet --edst gw2 --spi 0x113 --proto tun --src 10.0.0.1 --dst gw2")?;
    quiet(&format!(
        "ipsec spi --esp 3des-md5-96 --af inet --edst gw2 --spi 0x115 --proto esp \
         --src 10.0.0.1 --enckey {KEY24} --authkey {KEY16}"
    ))?;
    quiet(&format!(
        "ipsec spi --ah hmac-md5-96 --said ah.116@gw2 --src 10.0.0.1 --authkey {KEY16}"
    ))
}

fn make_ipv6() -> Result<()> {
    quiet(
        "ipsec spi --ip6 --af inet6 --edst 3049:1::1 --spi 0x233 --proto tun --src 3049:1::99 \
         --dst 3049:1::1",
    )?;
    quiet(&format!(
        "ipsec spi --esp 3des-md5-96 --af inet6 --edst 3049:1::1 --spi 0x235 --proto esp \
         --src 3049:1::99 --enckey {KEY24} --authkey {KEY16}"
    ))?;
    quiet(&format!(
        "ipsec spi --ah hmac-md5-96 --af inet6 --edst 3049:1::1 --spi 0x236 --proto ah \
         --src 3049:1::99 --authkey {KEY16}"
    ))
}

/// The group that they make, as it is listed.
pub const IPV4: &str = "tun0x113@10.0.0.2 esp0x115@10.0.0.2 ah0x116@10.0.0.2";
const IPV6: &str = "tun0x233@3049:1::1 esp0x235@3049:1::1 ah0x236@3049:1::1";

/// A group made by `line` is `group`; its middle member `middle` ungroups it.
fn example(line: &str, group: &str, middle: &str) -> Result<()> {
    quiet(line)?;
    expect_spigrp(&[group])?;
    quiet(&format!("ipsec spigrp --said {middle}"))?;
    expect_spigrp(&group.split(' ').collect::<Vec<_>>())
}

fn the_manuals_ipv4_example_in_words() -> Result<()> {
    make_ipv4()?;
    example(
        "ipsec spigrp inet gw2 0x113 tun inet gw2 0x115 esp inet gw2 0x116 ah",
        IPV4,
        "esp.115@gw2",
    )
}

fn the_manuals_ipv4_example_with_said() -> Result<()> {
    make_ipv4()?;
    example(
        "ipsec spigrp --said tun.113@gw2 esp.115@gw2 ah.116@gw2",
        IPV4,
        "esp0x115@10.0.0.2",
    )
}

fn the_manuals_ipv6_example_with_said() -> Result<()> {
    make_ipv6()?;
    example(
        "ipsec spigrp --said tun:233@3049:1::1 esp:235@3049:1::1 ah:236@3049:1::1",
        IPV6,
        "esp:235@3049:1::1",
    )
}

fn the_manuals_ipv6_example_in_words() -> Result<()> {
    make_ipv6()?;
    example(
        "ipsec spigrp inet6 3049:1::1 0x233 tun inet6 3049:1::1 0x235 esp \
         inet6 3049:1::1 0x236 ah",
        IPV6,
        "esp0x235@3049:1::1",
    )
}

fn called_by_its_historic_names() -> Result<()> {
    make_ipv4()?;
    for name in ["spigrp", "ipsec_spigrp"] {
        quiet(&format!("{name} --said tun.113@gw2 esp.115@gw2 ah.116@gw2"))?;
        expect_spigrp(&[IPV4])?;
        quiet(&format!("{name} inet gw2 0x116 ah"))?;
        fails(
            &format!("{name} --label here --said tun.999@gw2"),
            1,
            &[&format!("{name} --label here: "), "tun.999@10.0.0.2"],
        )?;
    }
    for name in ["spi", "ipsec_spi", "klips spi"] {
        ensure!(run(name)?.stdout.lines().count() == 3, "{name}");
    }
    fails(
        "klips spigrp --said tun.999@gw2",
        1,
        &["klips spigrp: ", "tun.999@10.0.0.2"],
    )?;
    for name in ["pf_key", "ipsec_pf_key", "klipsdebug", "ipsec_klipsdebug"] {
        let version = run(&format!("{name} --version"))?.stdout;
        ensure!(version.starts_with(&format!("{name}, ")), "{version}");
    }
    Ok(())
}

fn lists_are_the_files_byte_for_byte() -> Result<()> {
    for command in ["ipsec spigrp", "ipsec spi"] {
        let outcome = run(command)?;
        ensure!(outcome.code == Some(0) && outcome.stdout.is_empty() && outcome.stderr.is_empty());
    }
    make_ipv4()?;
    quiet("ipsec spigrp --said tun.113@gw2 ah.116@gw2")?;
    for (command, file) in [("ipsec spigrp", "ipsec_spigrp"), ("ipsec spi", "ipsec_spi")] {
        let outcome = run(command)?;
        let lines = outcome.stdout.lines().count();
        ensure!(
            lines == if file == "ipsec_spi" { 3 } else { 2 },
            "{command}"
        );
        if file == "ipsec_spigrp" {
            ensure!(outcome.stdout == crate::support::proc_net(file)?);
        }
    }
    Ok(())
}

fn a_missing_sa_is_named() -> Result<()> {
    make_ipv4()?;
    fails(
        "ipsec spigrp --said tun.113@gw2 esp.999@gw2 ah.116@gw2",
        1,
        &["ipsec spigrp: ", "esp.999@10.0.0.2"],
    )?;
    expect_spigrp(&IPV4.split(' ').collect::<Vec<_>>())
}

fn a_grouped_sa_and_its_group_are_named() -> Result<()> {
    make_ipv4()?;
    quiet("ipsec spi --comp deflate --said comp.117@gw2 --src 10.0.0.1")?;
    quiet("ipsec spigrp --said tun.113@gw2 esp.115@gw2")?;
    fails(
        "ipsec spigrp --said comp.117@gw2 esp.115@gw2",
        1,
        &["esp.115@10.0.0.2", "tun.113@10.0.0.2", "already"],
    )?;
    expect_spigrp(&[
        "tun0x113@10.0.0.2 esp0x115@10.0.0.2",
        "ah0x116@10.0.0.2",
        "comp0x117@10.0.0.2",
    ])
}

fn five_sas_are_refused_before_anything_is_sent() -> Result<()> {
    make_ipv4()?;
    let listener = crate::support::KeySocket::open()?;
    fails(
        "ipsec spigrp --said tun.113@gw2 esp.115@gw2 ah.116@gw2 ah.117@gw2 ah.118@gw2",
        2,
        &["ipsec spigrp: "],
    )?;
    ensure!(listener.drain()?.is_empty(), "something was sent");
    Ok(())
}

fn deleting_and_clearing() -> Result<()> {
    make_ipv4()?;
    quiet("ipsec spi --del --af inet --edst gw2 --spi 0x115 --proto esp")?;
    expect_spigrp(&["tun0x113@10.0.0.2", "ah0x116@10.0.0.2"])?;
    fails(
        "ipsec spi --del --said esp.115@gw2",
        1,
        &["ipsec spi: ", "esp.115@10.0.0.2"],
    )?;
    quiet("ipsec spi --clear")?;
    expect_spigrp(&[])
}

/// The masks that are not zero.
fn masks() -> Result<Vec<String>> {
    let outcome = run("ipsec klipsdebug")?;
    ensure!(outcome.code == Some(0) && outcome.stderr.is_empty());
    ensure!(outcome.stdout == crate::support::proc_net("ipsec_klipsdebug")?);
    ensure!(outcome.stdout.lines().count() == 9, "{}", outcome.stdout);
    let lines = outcome.stdout.lines();
    Ok(lines
        .filter(|line| !line.ends_with("=00000000."))
        .map(str::to_owned)
        .collect())
}

fn debugging_masks_are_set_and_listed() -> Result<()> {
    ensure!(masks()?.is_empty(), "{:?}", masks()?);
    quiet("ipsec klipsdebug --set eroute")?;
    quiet("ipsec klipsdebug --set tunnel-xmit")?;
    ensure!(masks()? == ["debug_tunnel=00000010.", "debug_eroute=ffffffff."]);
    quiet("ipsec klipsdebug --clear eroute")?;
    ensure!(masks()? == ["debug_tunnel=00000010."]);
    let json = run("ipsec klipsdebug --json")?.stdout;
    ensure!(
        json.contains("\"tunnel\":16") && json.contains("\"spi\":0"),
        "{json}"
    );
    quiet("ipsec klipsdebug --all")?;
    ensure!(masks()?.len() == 9, "{:?}", masks()?);
    quiet("ipsec klipsdebug --none")?;
    ensure!(masks()?.is_empty(), "{:?}", masks()?);
    fails(
        "ipsec klipsdebug --set pf_key",
        2,
        &["did you mean 'pfkey'?"],
    )
}

fn a_debugging_mask_makes_the_kernel_talk() -> Result<()> {
    in_first_network(talk)
}

fn talk() -> Result<()> {
    let said = || -> Result<usize> {
        let log = run("dmesg")?.stdout;
        Ok(log.matches("tun0x7e58@10.0.0.2: added").count())
    };
    let add = "ipsec spi --ip4 --said tun.7e58@gw2 --src 10.0.0.1";
    quiet(add)?;
    quiet("ipsec spi --clear")?;
    ensure!(said()? == 0, "it talks unasked");
    quiet("ipsec klipsdebug --set spi")?;
    quiet(add)?;
    ensure!(said()? == 1, "{}", said()?);
    Ok(())
}
