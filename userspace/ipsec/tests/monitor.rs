// SPDX-License-Identifier: GPL-2.0

//! `ipsec spigrp --monitor`.

use crate::common::{K16, Machine};
use insta::assert_snapshot;
use ipsec_tools::Console;
use klips::{
    change::limits_due,
    errno::Errno,
    pfkey::{Address, MsgType, Sa, SaState, SaType, build::request, value::Second},
    sadb::Moment,
};
use pfkey::Content;
use std::io::{self, Write};

/// Has command lines run while the next command listens.
fn meanwhile(machine: &mut Machine, lines: &str) {
    for line in lines.lines().map(|line| line.trim().to_owned()) {
        machine.meanwhile(move |machine| _ = machine.run(&line));
    }
}

/// Has a program write a message while the next command listens.
fn meanwhile_message(machine: &mut Machine, content: Content<'static>) {
    machine.meanwhile(move |machine| {
        let mut bytes = vec![0; content.size()];
        content.write(&mut bytes).unwrap();
        let host = &machine.kernel.host;
        host.open(7);
        host.write_from(7, &bytes).unwrap();
        host.close(7);
    });
}

/// Has the clock stand at a second after the SAs were made.
fn meanwhile_time_passes(machine: &mut Machine, seconds: u64) {
    machine.meanwhile(move |machine| {
        let host = &machine.kernel.host;
        host.clock.set(Moment {
            real: 1_000_000_000 + seconds,
            boot: 1000 + seconds,
        });
        limits_due(host);
    });
}

const LINES: &str = "\
spigrp --said tun.113@gw2 esp.115@gw2 ah.116@gw2
spigrp --said comp.117@gw2 tun.113@gw2
spigrp --ungroup esp.115@gw2
spigrp --said comp.117@gw2 ah.116@gw2
spi --del --said ah.116@gw2
spi --ip6 --said tun:233@3049:1::1
spi --clear
spigrp --said tun.113@gw2";

/// One of each kind that has no command here.
fn others(machine: &mut Machine) {
    let about = |msg_type, said: &str| {
        let said = pfkey::text::said::parse(said).unwrap();
        Content::about(
            request(msg_type, 0, 5, 6),
            &said.with_dst([10, 0, 0, 2].into()),
        )
    };
    let src = Some(Address::of([10, 0, 0, 1].into()));
    meanwhile_message(
        machine,
        Content {
            sa: None,
            src,
            spi_range: Some((0x1234, 0x1234)),
            ..about(MsgType::GetSpi, "esp.1234@10.0.0.2")
        },
    );
    meanwhile_message(
        machine,
        Content {
            src,
            natt_sport: Some(4500),
            natt_dport: Some(4501),
            sa: about(MsgType::Update, "tun.113@10.0.0.2").sa.map(|sa| Sa {
                state: SaState::Mature,
                ..sa
            }),
            ..about(MsgType::Update, "tun.113@10.0.0.2")
        },
    );
    // An echo of what says nothing.
    meanwhile_message(
        machine,
        Content::new(request(MsgType::Expire, SaType::Esp as u8, 1, 2)),
    );
    meanwhile_message(
        machine,
        Content {
            second: about_second(),
            ..about(MsgType::GrpSa, "tun.113@10.0.0.2")
        },
    );
    meanwhile_message(
        machine,
        Content::new(request(MsgType::Flush, SaType::Esp as u8, 1, 2)),
    );
}

fn about_second() -> Option<Second> {
    Some(Second {
        satype: SaType::Esp,
        sa: Sa::naming(0x115),
        dst: Address::of([10, 0, 0, 2].into()),
    })
}

#[test]
fn every_change_has_a_line() {
    let mut machine = Machine::with_four();
    meanwhile(&mut machine, LINES);
    machine.run("ipsec spigrp --debug --monitor");
    let mut machine2 = Machine::with_four();
    others(&mut machine2);
    machine2.run("spigrp --monitor");
    assert_snapshot!(machine.session("") + &machine2.session(""));
}

#[test]
fn every_change_as_json() {
    let mut machine = Machine::with_four();
    meanwhile(&mut machine, LINES);
    machine.run("spigrp --monitor --json");
    let mut machine2 = Machine::with_four();
    others(&mut machine2);
    machine2.run("spigrp --json --monitor");
    assert_snapshot!(machine.session("") + &machine2.session(""));
}

#[test]
fn what_is_refused_is_no_change() {
    for option in ["", " --json"] {
        let mut machine = Machine::with_four();
        machine.meanwhile(|machine| {
            let host = &machine.kernel.host;
            host.open(7);
            // FLUSH of a type that there is not, and of all with an SA that it has no use for.
            let said = pfkey::text::said::parse("tun.113@10.0.0.2").unwrap();
            let said = said.with_dst([10, 0, 0, 2].into());
            for content in [
                Content::new(request(MsgType::Flush, 99, 1, 2)),
                Content::about(request(MsgType::Flush, 0, 1, 2), &said),
            ] {
                let mut bytes = vec![0; content.size()];
                content.write(&mut bytes).unwrap();
                assert_eq!(host.write_from(7, &bytes), Err(Errno::EINVAL));
            }
            host.close(7);
        });
        meanwhile(
            &mut machine,
            "spigrp --said tun.999@gw2 esp.115@gw2
            spi --del --said ah.999@gw2
            spi --clear",
        );
        machine.run(&format!("spigrp --monitor{option}"));
        let text = machine.session("");
        let told: Vec<&str> = text
            .lines()
            .skip_while(|line| !line.starts_with("$ spigrp --monitor"))
            .skip(1)
            .collect();
        let flushed = match option {
            "" => "deleted all SAs",
            _ => r#"{"event":"flushed"}"#,
        };
        assert_eq!(told, [flushed], "{text}");
    }
}

#[test]
fn limits_are_told_with_the_time() {
    for option in ["", "--json "] {
        let mut machine = Machine::with_four();
        machine.quiet(&format!(
            "spi --ah md5 --said ah.200@gw2 --authkey {K16} --life soft-addtime=10,hard-addtime=20"
        ));
        machine.quiet("spigrp --said tun.113@gw2 ah.200@gw2 esp.115@gw2");
        machine.transcript.clear();
        meanwhile_time_passes(&mut machine, 9);
        meanwhile_time_passes(&mut machine, 11);
        meanwhile_time_passes(&mut machine, 21);
        machine.meanwhile(|machine| machine.kernel.receive_error.set(Some(Errno::ENOBUFS)));
        machine.run(&format!("spigrp --monitor {option}--timestamp"));
        assert_snapshot!(
            format!("limits{}", option.trim().trim_start_matches('-')),
            machine.session("spigrp")
        );
    }
}

#[test]
fn lost_messages_are_told_of() {
    let mut machine = Machine::with_four();
    meanwhile(&mut machine, "spigrp --said tun.113@gw2 esp.115@gw2");
    machine.meanwhile(|machine| machine.kernel.receive_error.set(Some(Errno::ENOBUFS)));
    meanwhile(&mut machine, "spigrp --said tun.113@gw2");
    assert_snapshot!(machine.session("spigrp --monitor"));
}

#[test]
fn monitors_that_end_badly() {
    let mut machine = Machine::with_four();
    machine.meanwhile(|machine| machine.kernel.receive_error.set(Some(Errno(5))));
    machine.run("ipsec spigrp --label x --monitor");
    machine.meanwhile(|machine| machine.kernel.receive_error.set(Some(Errno(5))));
    machine.run("spigrp --json --monitor");
    machine.wait_error = Some(io::ErrorKind::OutOfMemory);
    machine.run("spigrp --monitor");
    machine.open_error = Some(Errno::EPERM);
    machine.run("spigrp --monitor");
    machine.netkey = true;
    machine.run("spigrp --monitor");
    machine.run("spigrp --monitor --said tun.113@gw2");
    machine.run("spigrp --monitor inet gw2 0x113 tun");
    machine.run("spigrp --batch - --monitor");
    machine.run("spigrp --monitor --keep-going");
    machine.run("spigrp --timestamp");
    assert_snapshot!(machine.session(""));
}

/// A pipe that nobody reads from, from its second line on.
struct Closing(usize);

impl Write for Closing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self.0 {
            0 => Err(io::ErrorKind::BrokenPipe.into()),
            _ => Ok(bytes.len()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0 -= 1;
        Ok(())
    }
}

#[test]
fn a_reader_that_goes_away_ends_it_in_silence() {
    let mut machine = Machine::with_four();
    meanwhile(
        &mut machine,
        "spigrp --said tun.113@gw2 esp.115@gw2\nspigrp --said tun.113@gw2\nspi --clear",
    );
    let mut err = Vec::new();
    let mut console = Console {
        out: &mut Closing(1),
        err: &mut err,
        terminal: false,
        no_color: false,
    };
    let args = ["spigrp".into(), "--monitor".into()];
    assert_eq!(ipsec_tools::run(args, &mut machine, &mut console), 1);
    assert!(err.is_empty());
    // Each line is written when it happens: two have, and the third has to wait for nobody.
    assert_eq!(machine.transcript.lines().count(), 2);
}
