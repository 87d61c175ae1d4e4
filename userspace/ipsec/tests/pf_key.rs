// SPDX-License-Identifier: GPL-2.0

//! `ipsec pf_key` against the module's request engine.

use crate::common::Machine;
use insta::assert_snapshot;
use ipsec_tools::Detached;
use klips::errno::Errno;
use rustix::fs::{CWD, FileType, FlockOperation, Mode, flock, mknodat};
use std::{
    cell::Cell,
    fs,
    os::unix::fs::{FileTypeExt, MetadataExt, symlink},
    path::{Path, PathBuf},
    process::{self, Command},
    rc::Rc,
};
use testbed::{add, delete, flush, get, key, list, message, said};

/// Runs a command line while others write requests; the transcript.
fn while_written(line: &str, requests: impl IntoIterator<Item = Vec<u8>>) -> String {
    let mut machine = Machine::new();
    for bytes in requests {
        machine.meanwhile(move |machine| _ = machine.kernel.host.write(&bytes));
    }
    machine.session(line)
}

#[test]
fn help_version_and_labels() {
    assert_snapshot!(Machine::new().session(
        "ipsec pf_key --help
        ipsec help pf_key
        ipsec_pf_key --version
        klips pf_key --version
        pf_key --label here --version"
    ));
}

#[test]
fn bad_arguments() {
    assert_snapshot!(Machine::new().session(
        "ipsec pf_key word
        pf_key --bogus
        pf_key --daemn x
        pf_key --label here --ipcom --bogus
        pf_key --daemon
        pf_key --count 0
        pf_key --count many
        pf_key --dumpfile x --esp
        pf_key --dumpfile x --daemon y
        pf_key --ip
        pf_key --json=yes"
    ));
}

#[test]
fn it_registers_for_what_is_asked_for() {
    let mut machine = Machine::new();
    assert_snapshot!(machine.session(
        "ipsec pf_key --count 4
        (sent)
        pf_key --ipcomp --ah
        (sent)
        pf_key --debug --es --promisc --label here
        (sent)"
    ));
}

fn life() -> [Vec<u8>; 7] {
    let [tun, esp] = ["tun.113@10.0.0.2", "esp.115@10.0.0.2"].map(said);
    [
        add(tun),
        add(esp),
        add(esp),
        list(&[tun, esp]),
        list(&[tun, esp]),
        delete(tun),
        flush(0),
    ]
}

#[test]
fn the_life_of_a_group() {
    assert_snapshot!(while_written("ipsec pf_key --ah", life()));
}

#[test]
fn the_life_of_a_group_as_json() {
    assert_snapshot!(while_written("ipsec pf_key --ah --json", life()));
}

#[test]
fn what_others_ask_for_is_heard_with_promisc() {
    let requests = || {
        let tun = said("tun.113@10.0.0.2");
        [add(tun), get(tun), flush(0)]
    };
    assert_snapshot!(
        while_written("pf_key --ah", requests())
            + &while_written("pf_key --ah --promisc", requests())
    );
}

/// Has bytes come that no kernel would send, and a message with them.
fn noise(machine: &mut Machine, bytes: Vec<u8>) {
    machine.meanwhile(|machine| {
        machine.kernel.noise.borrow_mut().push(bytes);
        machine.kernel.host.write(&flush(3)).unwrap();
    });
}

#[test]
fn what_is_no_message_is_told() {
    let mut text = String::new();
    for line in ["ipsec pf_key --label here --ah", "pf_key --ah --json"] {
        let mut machine = Machine::new();
        noise(&mut machine, vec![2; 7]);
        noise(&mut machine, [flush(0), vec![0; 8]].concat());
        machine.meanwhile(|machine| {
            let lost = Some(Errno::ENOBUFS);
            machine.kernel.receive_error.set(lost);
        });
        text += &machine.session(line);
    }
    assert_snapshot!(text);
}

#[test]
fn it_ends_after_as_many_messages_as_asked_for() {
    let messages = |line| {
        let text = while_written(line, life());
        (
            text.matches("pfkey v2 msg.").count(),
            text.contains("signal"),
        )
    };
    assert_eq!(messages("pf_key --ah"), (9, true));
    assert_eq!(messages("pf_key --ah --count 3"), (3, false));
    assert_eq!(messages("pf_key --count 3"), (3, false));
    assert_eq!(messages("pf_key --count 300"), (12, true));
}

#[test]
fn a_long_message_is_not_cut() {
    let many: Vec<_> = (0..500).map(|_| key(9, 64, 1)).collect();
    let bytes = message(3, 3, &many);
    let mut machine = Machine::new();
    noise(&mut machine, bytes);
    let text = machine.session("pf_key --ah --count 3");
    assert_eq!(text.matches("ext=9(cipher-key)").count(), 500);
    assert!(!text.contains("decoded"));
}

#[test]
fn kernels_that_refuse() {
    let mut machine = Machine::new();
    machine.netkey = true;
    let mut text = machine.session("ipsec pf_key\npf_key --dumpfile none");
    machine.netkey = false;
    for errno in [Errno::EAFNOSUPPORT, Errno::EPERM] {
        machine.open_error = Some(errno);
        text += &machine.session("ipsec pf_key");
    }
    machine.open_error = None;
    *machine.kernel.refuse.borrow_mut() = Some(Box::new(|request| {
        (request.bytes[1] == 11).then_some(Errno::EINVAL)
    }));
    text += &machine.session("ipsec pf_key --promisc");
    machine.kernel.receive_error.set(Some(Errno(5)));
    text += &machine.session("ipsec pf_key --esp");
    assert_snapshot!(text);
}

#[test]
fn messages_in_a_file() {
    let mut machine = Machine::new();
    let [tun, esp] = ["tun.113@10.0.0.2", "esp.115@10.0.0.2"].map(said);
    let good = [add(esp), flush(3)].concat();
    let mut endless = flush(0);
    endless[4] = 0;
    for (name, bytes) in [
        ("good", good.clone()),
        ("empty", vec![]),
        ("runt", [list(&[tun, esp]), vec![2; 15]].concat()),
        ("cut", good[..good.len() - 8].to_vec()),
        ("endless", [flush(2), endless, good].concat()),
    ] {
        machine.files.insert(name.to_owned(), bytes);
    }
    machine.files.insert("-".to_owned(), flush(9));
    assert_snapshot!(machine.session(
        "ipsec pf_key --dumpfile good
        pf_key -d good --json
        pf_key --dumpfile -
        pf_key --dumpfile empty
        pf_key --dumpfile runt
        pf_key --dumpfile cut
        pf_key --dumpfile endless
        pf_key --dumpfile none"
    ));
    assert!(machine.kernel.sent.borrow().is_empty());
}

/// A file need not have an end.
#[test]
fn messages_in_a_device_without_end() {
    let output = Command::new(env!("CARGO_BIN_EXE_ipsec"))
        .args(["pf_key", "--dumpfile", "/dev/zero"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let err = String::from_utf8(output.stderr).unwrap();
    assert!(
        err.starts_with("ipsec pf_key: /dev/zero: at byte 0: "),
        "{err}"
    );
}

/// A machine on which everything is in the background already.
fn background() -> Machine {
    Machine {
        detached: Detached::Here,
        ..Machine::new()
    }
}

/// A folder of its own for each test.
struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Folder(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn files(&self) -> usize {
        fs::read_dir(self.0.path()).unwrap().count()
    }
}

/// Runs a daemon with this file; the transcript, and what was in the file meanwhile.
fn daemon(machine: &mut Machine, pidfile: &Path) -> (String, Option<String>) {
    let found = Rc::new(Cell::new(None));
    let (path, seen) = (pidfile.to_owned(), found.clone());
    machine.meanwhile(move |_| seen.set(fs::read_to_string(path).ok()));
    let line = format!(
        "ipsec pf_key --ah --count 1000 --daemon {}",
        pidfile.display()
    );
    let text = machine.session(&line);
    (text.replace(&line, "LINE"), found.take())
}

#[test]
fn a_daemon_has_a_file_with_its_process_id() {
    let folder = Folder::new();
    let pidfile = folder.path("pid");
    let mut machine = background();
    let (text, found) = daemon(&mut machine, &pidfile);
    assert!(text.contains("type=7(register)"), "{text}");
    assert!(
        text.ends_with("\nipsec pf_key: Exiting on a signal\n"),
        "{text}"
    );
    assert_eq!(found, Some(format!("{}\n", process::id())));
    assert_eq!(machine.settled, 1);
    assert_eq!(folder.files(), 0);
}

/// Has a daemon run with this file and something happen meanwhile.
fn daemon_meanwhile(pidfile: &Path, happen: impl FnOnce(&Path) + 'static) {
    let path = pidfile.to_owned();
    let mut machine = background();
    machine.meanwhile(move |_| happen(&path));
    assert_eq!(
        machine.run(&format!("pf_key --daemon {}", pidfile.display())),
        0,
        "{}",
        machine.transcript
    );
}

#[test]
fn a_stale_file_is_written_in_its_place_and_removed() {
    let folder = Folder::new();
    let pidfile = folder.path("pid");
    for stale in ["4711\n", "", " 4711", "123456789012345678\n"] {
        fs::write(&pidfile, stale).unwrap();
        let inode = fs::metadata(&pidfile).unwrap().ino();
        daemon_meanwhile(&pidfile, move |path| {
            let pid = format!("{}\n", process::id());
            assert_eq!(fs::read_to_string(path).unwrap(), pid);
            assert_eq!(fs::metadata(path).unwrap().ino(), inode);
        });
        assert_eq!(folder.files(), 0, "{stale:?}");
    }
}

/// Neither one that others have put in its place nor one that they have written to.
#[test]
fn a_file_of_others_is_left_alone_at_the_end() {
    let folder = Folder::new();
    let pidfile = folder.path("pid");
    daemon_meanwhile(&pidfile, |path| fs::write(path, "4712\n").unwrap());
    assert_eq!(fs::read_to_string(&pidfile).unwrap(), "4712\n");

    let pid = format!("{}\n", process::id());
    let (other, text) = (folder.path("other"), pid.clone());
    daemon_meanwhile(&pidfile, move |path| {
        fs::write(&other, text).unwrap();
        fs::rename(other, path).unwrap();
    });
    assert_eq!(fs::read_to_string(&pidfile).unwrap(), pid);
}

/// What a daemon says to a path that it must not use.
fn refused(path: &Path) -> String {
    let (text, found) = daemon(&mut background(), path);
    assert!(text.ends_with("[exit 1]\n"), "{text}");
    assert_eq!(found, None);
    let (_, said) = text.split_once("! ").unwrap();
    let (said, _) = said.split_once('\n').unwrap();
    said.replace(&path.display().to_string(), "PATH")
}

#[test]
fn nothing_takes_the_place_of_what_is_no_file_of_a_process_id() {
    const NOT_REGULAR: &str = "ipsec pf_key: PATH: not a regular file; left as it is";
    let folder = Folder::new();

    let fifo = folder.path("fifo");
    let mode = Mode::RUSR | Mode::WUSR;
    mknodat(CWD, &fifo, FileType::Fifo, mode, 0).unwrap();
    assert_eq!(refused(&fifo), NOT_REGULAR);
    assert!(fs::symlink_metadata(&fifo).unwrap().file_type().is_fifo());

    let (link, target) = (folder.path("link"), folder.path("target"));
    fs::write(&target, "1\n").unwrap();
    symlink(&target, &link).unwrap();
    assert_eq!(refused(&link), NOT_REGULAR);
    assert_eq!(fs::read_link(&link).unwrap(), target);
    assert_eq!(fs::read_to_string(&target).unwrap(), "1\n");

    fs::remove_file(&target).unwrap();
    assert_eq!(refused(&link), NOT_REGULAR);
    assert!(!target.exists());

    fs::create_dir(&target).unwrap();
    assert_eq!(refused(&target), NOT_REGULAR);
    fs::remove_dir(&target).unwrap();

    for text in ["root:x:0:0\n", "4711 a\n", "\0\0", &"1".repeat(40), "\n"] {
        fs::write(&target, text).unwrap();
        assert_eq!(
            refused(&target),
            "ipsec pf_key: PATH: there is something else than a process ID in it; left as it is",
            "{text:?}"
        );
        assert_eq!(fs::read_to_string(&target).unwrap(), text);
    }
}

/// What a live daemon has locked is refused, and its own again once it is gone.
#[test]
fn a_file_that_another_daemon_has_is_refused() {
    let folder = Folder::new();
    let pidfile = folder.path("pid");
    for (text, whose) in [("4711\n", ": 4711"), ("", "")] {
        fs::write(&pidfile, text).unwrap();
        let held = fs::File::open(&pidfile).unwrap();
        flock(&held, FlockOperation::LockExclusive).unwrap();
        assert_eq!(
            refused(&pidfile),
            format!("ipsec pf_key: PATH: another process has this file{whose}")
        );
        assert_eq!(fs::read_to_string(&pidfile).unwrap(), text);
        drop(held);
        daemon_meanwhile(&pidfile, |path| {
            // The daemon has a lock as well.
            let file = fs::File::open(path).unwrap();
            assert!(flock(&file, FlockOperation::NonBlockingLockShared).is_err());
        });
    }
}

#[test]
fn daemons_that_do_not_come_up() {
    let folder = Folder::new();
    let mut machine = background();

    let (text, found) = daemon(&mut machine, &folder.path("none/pid"));
    let text = text.replace(&folder.path("").display().to_string(), "FOLDER/");
    assert_snapshot!(text);
    assert_eq!((found, machine.settled), (None, 0));

    machine.settle_error = Some(std::io::ErrorKind::BrokenPipe);
    let (text, found) = daemon(&mut machine, &folder.path("pid"));
    assert!(text.ends_with("pid: broken pipe\n[exit 1]\n"), "{text}");
    assert_eq!(found, None);

    machine.open_error = Some(Errno::EAFNOSUPPORT);
    let (text, _) = daemon(&mut machine, &folder.path("pid"));
    assert!(
        text.ends_with("Load it: modprobe klips.\n[exit 1]\n"),
        "{text}"
    );
    assert_eq!(folder.files(), 0);
}

#[test]
fn the_foreground_leaves_all_to_the_daemon() {
    let folder = Folder::new();
    let mut machine = Machine::new();
    for (detached, code) in [(Detached::Ready, ""), (Detached::Failed, "[exit 1]\n")] {
        machine.detached = detached;
        let (text, _) = daemon(&mut machine, &folder.path("pid"));
        assert_eq!(text, format!("$ LINE\n{code}"));
    }
    assert!(machine.kernel.sent.borrow().is_empty());
    assert_eq!(folder.files(), 0);
}

/// With and without a module: what is started in the background fails, says so once, and what has
/// started it tells by its exit status.
#[test]
fn a_real_daemon_that_fails_is_told_of() {
    let output = Command::new(env!("CARGO_BIN_EXE_ipsec"))
        .args(["pf_key", "--daemon", "/nowhere/at/all/pid"])
        .output()
        .unwrap();
    let err = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{err}");
    assert!(err.starts_with("ipsec pf_key: "), "{err}");
    assert_eq!(err.lines().count(), 1, "{err}");
}
