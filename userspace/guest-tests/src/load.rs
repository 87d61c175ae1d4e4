// SPDX-License-Identifier: GPL-2.0

//! Loading and unloading the module.

use crate::{
    cleartext::{chain_to, is_taking_more, taken},
    events::both_ways,
    helper::{self, Helper, Who},
    ktap::Test,
    memory::{self, FILES},
    packets::{
        ask, eroute, flow, inflow, join_up, make_group, make_inbound, said_of, send_through,
        set_up_peer,
    },
    support::{
        KeySocket, PROC, Slab, add, flush, in_own_network, insmod, is_loaded, klips_ko,
        load_what_klips_needs, loopback_up, make, manual_sas, naming, number, open_raw, rmmod,
        said,
    },
    wire::{Capture, Family, Flood, Gateways, Space, V4, V6, eventually, expect_pings},
};
use anyhow::{Context, Result, bail, ensure};
use klips::{pfkey::MsgType, said::Said};
use model::wire;
use nix::{
    errno::Errno,
    kmod::{DeleteModuleFlags, ModuleInitFlags, delete_module, finit_module},
};
use std::{
    fs,
    io::Read,
    net::UdpSocket,
    os::unix::fs::MetadataExt,
    process::{Child, Command},
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    thread,
    time::{Duration, Instant},
};

/// How long it may take to unload the module between two uses of it.
const PATIENCE: Duration = Duration::from_secs(200);

/// Where the harness puts the module that takes the family away.
const GRAB: &str = "/lib/modules/extra/grab15.ko";

/// What no other test can do without: each guest does this, whatever else it is asked for.
pub const FRAME: [&str; 2] = ["load::loads_again", "load::unloads_clean"];

/// What comes before all other tests. Each of these but the last begins and ends without the module.
pub fn before() -> Vec<Test> {
    vec![
        Test::step("load::family_is_free_without_the_module", family_is_free),
        Test::step(
            "load::a_taken_family_is_refused_with_one_helpful_line",
            taken_family,
        ),
        Test::step(
            "load::a_socket_loads_the_module_by_its_alias",
            loaded_by_alias,
        ),
        Test::step(
            "load::without_the_tunnel_handlers_it_does_not_load",
            without_tunnel_handlers,
        ),
        Test::step("load::an_open_socket_keeps_the_module", kept_by_socket),
        Test::step(
            "load::open_files_do_not_keep_the_module_wherever_they_are_read",
            not_kept_by_files,
        ),
        Test::step("load::unloads_with_sas_and_groups", unloads_with_sas),
        Test::step(
            "load::an_eroute_keeps_the_module_and_nothing_leaves_in_clear",
            kept_by_eroute,
        ),
        Test::step(
            "load::a15_unloads_during_a_flood_and_leaves_nothing_in_xfrm",
            unloads_during_a_flood,
        ),
        Test::step(
            "load::a25_protocols_load_by_themselves",
            protocols_load_by_themselves,
        ),
        Test::step("load::loads_and_unloads_again_and_again", cycles),
        Test::step(
            "load::loads_or_leaves_nothing_when_memory_fails",
            memory::loading,
        ),
        Test::step(
            "load::a_limit_on_sas_holds_in_all_namespaces_but_the_first",
            limited,
        ),
        Test::step(
            "load::a_limit_on_sockets_holds_in_all_namespaces_but_the_first",
            limited_sockets,
        ),
        Test::step(
            "load::limits_on_eroutes_and_states_hold_in_all_namespaces_but_the_first",
            limited_packets,
        ),
        Test::step("load::no_parameter_lets_anybody_in_who_may_not", parameters),
        Test::step(
            "load::unloading_races_with_sockets_files_and_namespaces",
            unloading_races,
        ),
        Test::step("load::loads_again", loads),
    ]
}

/// What comes after all other tests.
pub fn after() -> Vec<Test> {
    vec![Test::step("load::unloads_clean", unloads_clean)]
}

fn dmesg() -> Result<String> {
    let output = Command::new("dmesg").output().context("can't run dmesg")?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn unload() -> Result<()> {
    let output = rmmod("klips")?;
    ensure!(output.status.success(), "rmmod: {output:?}");
    expect_no_files()
}

fn expect_no_files() -> Result<()> {
    for file in ["ipsec", "ipsec_spi", "ipsec_spigrp"] {
        let path = format!("{PROC}/{file}");
        ensure!(
            fs::symlink_metadata(&path).is_err(),
            "{path} is there after unloading"
        );
    }
    Ok(())
}

fn family_is_free() -> Result<()> {
    ensure!(!is_loaded("klips") && !is_loaded("af_key"));
    // Without /sbin/modprobe in reach the kernel can't load it on its own here.
    fs::write("/proc/sys/kernel/modprobe", "/nowhere\n")?;
    let result = open_raw(3, 2);
    fs::write("/proc/sys/kernel/modprobe", "/sbin/modprobe\n")?;
    let error = result
        .err()
        .context("a PF_KEY socket without the module")?
        .raw_os_error();
    ensure!(error == Some(97), "expected EAFNOSUPPORT, it was {error:?}");
    Ok(())
}

fn taken_family() -> Result<()> {
    let output = insmod(GRAB)?;
    ensure!(output.status.success(), "{GRAB}: {output:?}");
    // What the module needs is not what is missing.
    load_what_klips_needs();
    // Not with insmod: it tries a second time when the first way is refused.
    let file = fs::File::open(klips_ko())?;
    let result = finit_module(&file, c"", ModuleInitFlags::empty());
    let log = dmesg()?;
    let undo = rmmod("grab15")?;
    ensure!(undo.status.success(), "{undo:?}");
    // EEXIST would tell user space that the module is loaded, so the kernel turns it into EBUSY.
    ensure!(result == Err(Errno::EBUSY), "{result:?}");
    let lines: Vec<_> = log
        .lines()
        .filter(|line| line.contains("klips: "))
        .collect();
    ensure!(
        lines.len() == 1 && lines[0].contains("af_key"),
        "log: {lines:?}"
    );
    ensure!(!is_loaded("klips"));
    ensure!(
        fs::symlink_metadata(format!("{PROC}/ipsec")).is_err(),
        "files are left behind"
    );
    Ok(())
}

fn loaded_by_alias() -> Result<()> {
    let socket = KeySocket::open()?;
    ensure!(is_loaded("klips"));
    drop(socket);
    unload()
}

/// Without them, tunnel packets to SAs that are not grouped would be answered in clear, see `a11`.
fn without_tunnel_handlers() -> Result<()> {
    // It has them loaded, and keeps them for as long as it is there.
    loads()?;
    unload()?;
    let output = rmmod("xfrm4_tunnel")?;
    ensure!(output.status.success(), "rmmod: {output:?}");
    // Without /sbin/modprobe in reach the kernel can't load it again.
    fs::write("/proc/sys/kernel/modprobe", "/nowhere\n")?;
    let file = fs::File::open(klips_ko())?;
    let result = finit_module(&file, c"", ModuleInitFlags::empty());
    fs::write("/proc/sys/kernel/modprobe", "/sbin/modprobe\n")?;
    ensure!(result == Err(Errno::EPROTONOSUPPORT), "{result:?}");
    ensure!(dmesg()?.contains("klips: xfrm4_tunnel or xfrm6_tunnel is missing"));
    ensure!(!is_loaded("klips"));
    loads()?;
    ensure!(is_loaded("xfrm4_tunnel"), "klips does not load it");
    let output = rmmod("xfrm4_tunnel")?;
    ensure!(!output.status.success(), "klips does not keep it");
    unload()
}

fn kept_by_socket() -> Result<()> {
    loads()?;
    let socket = KeySocket::open()?;
    let output = rmmod("klips")?;
    ensure!(
        !output.status.success() && is_loaded("klips"),
        "unloaded with a socket open"
    );
    drop(socket);
    unload()
}

/// Opens a file and reads so many bytes of it, or as many as there are.
fn opened(path: &str, len: usize) -> Result<fs::File> {
    let mut file = fs::File::open(path).with_context(|| path.to_owned())?;
    let mut buffer = [0; 300];
    let mut left = len;
    while left > 0 {
        let room = left.min(buffer.len());
        match file.read(&mut buffer[..room])? {
            0 => break,
            read => left -= read,
        }
    }
    Ok(file)
}

/// Opened, read in part, to the end and beyond it; by others, in another namespace, and while they
/// are being read: none keeps the module, and afterwards there is nothing to be read.
fn not_kept_by_files() -> Result<()> {
    const EIO: i32 = 5;
    loads()?;
    let names: Vec<_> = (0..600)
        .map(|spi| said(&format!("esp.{:x}@10.0.0.2", 0x1000 + spi)))
        .collect();
    make(&names)?;
    let mut files = Vec::new();
    for name in FILES {
        for len in [0, 1, 23, 4096, 5000, usize::MAX] {
            files.push(opened(&format!("{PROC}/{name}"), len)?);
        }
    }
    // One that has been told the end, and then there was more.
    let mut told = opened(&format!("{PROC}/ipsec_spi"), usize::MAX)?;
    make(&[said("tun.1001@10.0.0.3")])?;
    ensure!(told.read(&mut [0; 10])? == 10, "nothing after the end");
    files.push(told);
    let elsewhere = in_own_network(|| {
        make(&names)?;
        let files = FILES.map(|name| opened(&format!("{PROC}/{name}"), 100));
        files.into_iter().collect::<Result<Vec<_>>>()
    })?;
    files.extend(elsewhere);
    let mut holder = helper::start(Helper::HoldFile, &[])?;
    let mut ready = [0; 1];
    holder
        .stdout
        .as_mut()
        .context("no output")?
        .read_exact(&mut ready)?;

    let is_over = AtomicBool::new(false);
    let reads = AtomicUsize::new(0);
    let outcome = thread::scope(|scope| {
        for name in ["ipsec_spi", "ipsec_spigrp", "pf_key_supported"] {
            let (is_over, reads) = (&is_over, &reads);
            scope.spawn(move || {
                while !is_over.load(Ordering::Relaxed) {
                    // In small pieces, so that it is always in the middle of one.
                    let read = opened(&format!("{PROC}/{name}"), usize::MAX);
                    reads.fetch_add(usize::from(read.is_ok()), Ordering::Relaxed);
                }
            });
        }
        while reads.load(Ordering::Relaxed) < 6 {
            thread::yield_now();
        }
        let outcome = unload();
        is_over.store(true, Ordering::Relaxed);
        outcome
    });
    outcome?;
    for (index, file) in files.iter_mut().enumerate() {
        let error = file
            .read(&mut [0; 10])
            .map_err(|error| error.raw_os_error());
        ensure!(error == Err(Some(EIO)), "file {index}: {error:?}");
    }
    loads()?;
    // Nor does it come back to them.
    for file in &mut files {
        ensure!(file.read(&mut [0; 10]).is_err(), "of the module before");
    }
    drop(files);
    holder.kill()?;
    holder.wait()?;
    unload()
}

/// What [`Helper::HoldFile`] does: opens a file that everybody may read, tells so and waits for its
/// end.
pub fn hold_file() -> Result<String> {
    let _file = opened(&format!("{PROC}/pf_key"), 10)?;
    println!();
    thread::sleep(Duration::from_secs(3600));
    Ok("ok".to_owned())
}

/// While packets flow, in a namespace that is not the first. What may come out of a tunnel keeps it
/// as well. Unloaded with SAs that packets come in by, it leaves neither them nor an answer in clear.
fn kept_by_eroute() -> Result<()> {
    for family in [V4, V6] {
        in_own_network(|| kept_in(family)).with_context(|| format!("{} bits", family.bits))?;
    }
    loads()?;
    // A namespace that goes, and all eroutes in it, keeps it no longer.
    in_own_network(|| eroute("10.1.0.1", "10.2.0.2", &manual_sas()[0]))?;
    eventually("the namespace is gone", || {
        Ok(delete_module(c"klips", DeleteModuleFlags::O_NONBLOCK).is_ok())
    })
}

fn is_kept(what: &str) -> Result<()> {
    for _ in 0..10 {
        let result = delete_module(c"klips", DeleteModuleFlags::O_NONBLOCK);
        ensure!(result == Err(Errno::EAGAIN), "with {what}: {result:?}");
    }
    Ok(())
}

fn kept_in(family: Family) -> Result<()> {
    let gateways = Gateways::new()?;
    let (here, there) = family.inner;
    let sas = chain_to(family.outer.1, 0x1000);
    make_group(&sas)?;
    eroute(here, there, &sas[0])?;
    let capture = Capture::of_unprotected(&gateways.a, "w0")?;
    let flood = Flood::start(&gateways.a, here, there, 9)?;
    is_taking_more()?;
    is_kept("an eroute")?;
    let result = KeySocket::open()?.send(&flush(0));
    ensure!(result == Ok(()), "FLUSH: {result:?}");
    is_kept("an eroute without SAs")?;
    eventually("packets are dropped", || {
        Ok(gateways.a.counters()?.of("XfrmOutPolBlock") > 0)
    })?;
    drop(flood);
    let packets = capture.end()?;
    ensure!(packets.len() == 0, "in clear: {:?}", packets.headers());
    ask(&wire::clear_flows())?;

    let sas = chain_to(family.outer.0, 0x2000);
    make_inbound(&sas)?;
    join_up(&sas)?;
    send_through(&gateways, family, (there, here), &sas)?;
    inflow(there, here, &sas[0])?;
    is_kept("an inflow")?;
    // From now on it goes with its SAs, and those go with the module.
    ask(&wire::clear_flows())?;
    let capture = Capture::of_unprotected(&gateways.a, "w0")?;
    let _listener = gateways.a.within(|| Ok(UdpSocket::bind((here, 9))?))?;
    let flood = Flood::start(&gateways.b, there, here, 9)?;
    thread::sleep(Duration::from_millis(100));
    unload()?;
    let before = flood.sent();
    eventually("more of them", || Ok(flood.sent() > before + 100))?;
    drop(flood);
    let packets = capture.end()?;
    ensure!(packets.len() == 0, "sent: {:?}", packets.headers());
    let counted = gateways.a.counters()?;
    ensure!(counted.of("XfrmInNoStates") > 0, "{counted:?}");
    ensure!(gateways.a.xfrm()?.is_empty(), "{}", gateways.a.xfrm()?);
    Ok(())
}

/// Whether something is part of the kernel, and no module that could be loaded.
fn is_built_in(module: &str) -> Result<bool> {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease")?;
    let list = fs::read_to_string(format!("/lib/modules/{}/modules.builtin", release.trim()))?;
    Ok(list.contains(&format!("/{module}.ko")))
}

/// The kernel loads what states are made of when SAs come to need it, and packets go through that.
fn protocols_load_by_themselves() -> Result<()> {
    loads()?;
    for (family, modules) in [
        (V4, ["ah4", "esp4", "ipcomp"]),
        (V6, ["ah6", "esp6", "ipcomp6"]),
    ] {
        in_own_network(|| {
            let mut wanted = Vec::new();
            for module in modules {
                if is_built_in(module)? {
                    continue;
                }
                // States of tests before may go a little later.
                eventually(&format!("{module} is not loaded"), || {
                    Ok(!is_loaded(module) || rmmod(module)?.status.success())
                })?;
                wanted.push(module);
            }
            let gateways = Gateways::new()?;
            let sas =
                ["tun", "comp", "esp", "ah"].map(|proto| said_of(proto, 0x1000, family.outer.1));
            let (from, to) = family.inner;
            make_group(&sas)?;
            eroute(from, to, &sas[0])?;
            let missing: Vec<_> = wanted.iter().filter(|module| !is_loaded(module)).collect();
            ensure!(missing.is_empty(), "not loaded: {missing:?}");
            println!("# loaded by themselves: {wanted:?}");
            let capture = gateways.capture()?;
            set_up_peer(&gateways, family, (from, to), &sas)?;
            expect_pings(&gateways.a, from, to, 3)?;
            let packets = capture.end()?;
            packets.expect_only(family.outer, &[51])?;
            ask(&wire::clear_flows())
        })?;
    }
    unload()
}

fn unloads_with_sas() -> Result<()> {
    loads()?;
    let sas = manual_sas();
    make(&sas)?;
    KeySocket::open()?
        .ask(&crate::support::group(&sas))
        .context("can't group")?;
    unload()
}

/// With packets under way in both directions, in two namespaces of which one ends at the same time.
fn unloads_during_a_flood() -> Result<()> {
    for _ in 0..3 {
        loads()?;
        let flood = |gateways: &Gateways| -> Result<[Child; 2]> {
            let (here, there) = V4.inner;
            let start = |space: &Space, from, to| {
                space.start(&format!("ping -n -q -f -w 600 -I {from} {to}"))
            };
            Ok([
                start(&gateways.a, here, there)?,
                start(&gateways.b, there, here)?,
            ])
        };
        let end = |floods: [Child; 2]| -> Result<()> {
            for mut flood in floods {
                flood.kill()?;
                flood.wait()?;
            }
            Ok(())
        };
        in_own_network(|| {
            let gateways = both_ways()?;
            let others = in_own_network(|| flood(&both_ways()?))?;
            let floods = flood(&gateways)?;
            thread::sleep(Duration::from_millis(500));
            let capture = gateways.capture()?;
            end(others)?;
            let result = delete_module(c"klips", DeleteModuleFlags::O_NONBLOCK);
            ensure!(result == Err(Errno::EAGAIN), "with eroutes: {result:?}");
            ask(&wire::clear_flows())?;
            // Those of the other namespace go with it.
            eventually("nothing keeps it", || Ok(rmmod("klips")?.status.success()))?;
            expect_no_files()?;
            let left = gateways.a.xfrm()?;
            ensure!(left.is_empty(), "left: {left}");
            end(floods)?;
            // From then on there are no eroutes; it is as if there had never been any.
            let packets = capture.end()?;
            ensure!(packets.len() > 0, "nothing was sent");
            Ok(())
        })?;
    }
    Ok(())
}

/// Each time with SAs and groups, in the first namespace and in one more, with eroutes and packets both
/// ways, with a file open, and not while a socket is. `KLIPS_CYCLES=1000` in the environment makes it that
/// many times.
fn cycles() -> Result<()> {
    const FEW: u64 = 20;
    // What the first few take is taken once.
    const WARM: u64 = 5;
    let cycles = number("KLIPS_CYCLES", FEW)?;
    let traffic = in_own_network(|| {
        let gateways = Gateways::new()?;
        let [v4, v6] = [V4, V6].map(|family| Traffic::new(&gateways, family));
        Ok((gateways, [v4?, v6?]))
    })?;
    let (gateways, ways) = &traffic;
    let mut memory = Slab::now()?;
    for number in 0..WARM + cycles {
        if number == WARM {
            memory = Slab::now()?;
        }
        let traffic = &ways[usize::from(number % 2 == 1)];
        cycle(|| gateways.a.within(|| traffic.flows()))
            .with_context(|| format!("cycle {number}"))?;
    }
    let left = gateways.a.xfrm()?;
    ensure!(left.is_empty(), "left: {left}");
    // Each cycle loads 200 KiB of module, and makes more than 100 KiB of SAs.
    let most = 1536 + 8 * cycles;
    let grown = memory.settled(most)?;
    println!("# {cycles} cycles, {grown:?} KiB more");
    ensure!(grown.is_none_or(|grown| grown < most), "{grown:?} KiB");
    Ok(())
}

/// What goes through SAs of klips's gateway and to it, and who gets it.
struct Traffic {
    family: Family,
    here: UdpSocket,
    there: UdpSocket,
}

impl Traffic {
    const PORT: u16 = 9;

    /// The other end sends what it sends through a chain. It drops what comes: for that it has no states.
    fn new(gateways: &Gateways, family: Family) -> Result<Self> {
        let (here, there) = family.inner;
        send_through(gateways, family, (there, here), &Self::back(family))?;
        let open = |space: &Space, address: &str| {
            space.within(|| Ok(UdpSocket::bind((address, Self::PORT))?))
        };
        let traffic = Traffic {
            family,
            here: open(&gateways.a, here)?,
            there: open(&gateways.b, there)?,
        };
        traffic.here.set_read_timeout(Some(PATIENCE))?;
        Ok(traffic)
    }

    fn back(family: Family) -> [Said; 3] {
        chain_to(family.outer.0, 0x2000)
    }

    /// Has packets go through an eroute, and others come in by an inflow; then takes both away.
    fn flows(&self) -> Result<()> {
        const COUNT: u64 = 5;
        let (here, there) = self.family.inner;
        let (out, back) = (
            chain_to(self.family.outer.1, 0x1000),
            Self::back(self.family),
        );
        make_group(&out)?;
        eroute(here, there, &out[0])?;
        make_inbound(&back)?;
        join_up(&back)?;
        inflow(there, here, &back[0])?;
        for _ in 0..COUNT {
            self.here.send_to(b"out", (there, Self::PORT))?;
            self.there.send_to(b"back", (here, Self::PORT))?;
            self.here.recv(&mut [0; 8])?;
        }
        let taken = taken()?;
        ensure!(taken == COUNT, "{taken} packets went through the eroute");
        ask(&wire::clear_flows())
    }
}

/// Loads the module, has packets flow, and unloads it.
fn cycle(flows: impl FnOnce() -> Result<()>) -> Result<()> {
    let names: Vec<_> = (0..400)
        .map(|spi| said(&format!("esp.{:x}@10.0.0.2", 0x1000 + spi)))
        .collect();
    let fill = || -> Result<()> {
        make(&names)?;
        let socket = KeySocket::open()?;
        for four in names.chunks(4) {
            socket.ask(&crate::support::group(four))?;
        }
        Ok(())
    };
    finit_module(&fs::File::open(klips_ko())?, c"", ModuleInitFlags::empty())?;
    fill()?;
    // One that nobody holds any more but the module: it may end before or after.
    in_own_network(|| make(&manual_sas()))?;
    flows()?;
    let remove = || delete_module(c"klips", DeleteModuleFlags::O_NONBLOCK);
    let socket = KeySocket::open()?;
    let result = remove();
    ensure!(result == Err(Errno::EAGAIN), "with a socket: {result:?}");
    drop(socket);
    let file = fs::File::open(format!("{PROC}/ipsec_spi"))?;
    remove().context("with a file")?;
    drop(file);
    ensure!(!is_loaded("klips"));
    ensure!(fs::symlink_metadata(format!("{PROC}/ipsec")).is_err());
    Ok(())
}

fn load_with(parameter: &str) -> Result<()> {
    let output = Command::new("insmod")
        .args([&klips_ko(), parameter])
        .output()?;
    ensure!(output.status.success(), "insmod: {output:?}");
    Ok(())
}

/// With room for four SAs: three of the manual page and one that GETSPI reserves.
fn limited() -> Result<()> {
    load_with("max_sas=4")?;
    let told = helper::run(Helper::FullTable, Who::Nobody, None)?;
    ensure!(
        told == "ok",
        "in a network namespace of somebody else's: {told}"
    );
    // The host's root, too, is bound in namespaces other than the host's own.
    in_own_network(helper::fill_table).context("in one of the host's")?;
    let sas: Vec<_> = (0..6)
        .map(|spi| said(&format!("tun.{:x}@10.0.0.2", 0x200 + spi)))
        .collect();
    make(&sas).context("in the first network namespace")?;
    // It can be changed, and counts from then on, where there is a table already as well.
    in_own_network(|| {
        helper::fill_table()?;
        // Two are left.
        fs::write(parameter("max_sas"), "3")?;
        let socket = KeySocket::open()?;
        let more = ["tun.500@10.0.0.2", "tun.501@10.0.0.2"].map(said);
        ensure!(
            socket.send(&add(&more[0])) == Ok(()),
            "there is room for it"
        );
        let result = socket.send(&add(&more[1]));
        ensure!(
            result == Err(klips::errno::Errno::ENOSPC),
            "beyond what it is now: {result:?}"
        );
        // What is there stays.
        fs::write(parameter("max_sas"), "0")?;
        ensure!(socket.send(&naming(MsgType::Get, &more[0])) == Ok(()));
        Ok(())
    })?;
    unload()
}

/// The file of a parameter.
fn parameter(name: &str) -> String {
    format!("/sys/module/klips/parameters/{name}")
}

fn limited_sockets() -> Result<()> {
    load_with("max_sockets=3")?;
    let told = helper::run(Helper::ThreeSockets, Who::Nobody, None)?;
    ensure!(told == "ok", "somebody else's: {told}");
    // The host's root, too, is bound in namespaces other than the host's own.
    in_own_network(|| three_sockets().map(drop)).context("one of the host's")?;
    let many: Vec<_> = (0..20).map(|_| KeySocket::open()).collect::<Result<_>>()?;
    drop(many);
    unload()
}

/// Opens as many sockets as there may be, and some more in the place of one that is closed.
pub fn three_sockets() -> Result<String> {
    const ENFILE: i32 = 23;
    let mut sockets: Vec<_> = (0..3).map(|_| KeySocket::open()).collect::<Result<_>>()?;
    for _ in 0..10 {
        let fourth = open_raw(3, 2).err().and_then(|error| error.raw_os_error());
        ensure!(fourth == Some(ENFILE), "a fourth: {fourth:?}");
        drop(sockets.remove(0));
        sockets.push(KeySocket::open()?);
    }
    Ok("ok".to_owned())
}

fn limited_packets() -> Result<()> {
    let output = Command::new("insmod")
        .args([&klips_ko(), "max_flows=2", "max_states=2"])
        .output()?;
    ensure!(output.status.success(), "insmod: {output:?}");
    let told = helper::run(Helper::FullEngine, Who::Nobody, None)?;
    ensure!(told == "ok", "somebody else's: {told}");
    in_own_network(|| fill_engine().map(drop)).context("one of the host's")?;
    // As many as there are in the first one; the states are those of eroutes.
    let sas: Vec<_> = (0..4)
        .map(|n| said(&format!("esp.{:x}@10.0.0.2", 0x200 + n)))
        .collect();
    make(&sas)?;
    for (n, said) in sas.iter().enumerate() {
        eroute("10.1.0.1", &format!("10.2.0.{n}"), said)?;
    }
    let states = Command::new("ip").args(["xfrm", "state"]).output()?;
    let states = String::from_utf8_lossy(&states.stdout).into_owned();
    ensure!(states.matches("proto esp").count() == 4, "{states}");
    ask(&wire::clear_flows())?;
    eventually("the namespaces are gone", || {
        Ok(delete_module(c"klips", DeleteModuleFlags::O_NONBLOCK).is_ok())
    })
}

/// Has as many eroutes and SAs with states as there may be, and no more.
pub fn fill_engine() -> Result<String> {
    let refused = |result, what: &str| {
        ensure!(
            result == Err(klips::errno::Errno::ENOSPC),
            "{what}: {result:?}"
        );
        Ok(())
    };
    loopback_up()?;
    let local = ["addr", "add", "10.0.0.2", "dev", "lo"];
    let output = Command::new("ip").args(local).output()?;
    ensure!(output.status.success(), "{output:?}");
    let socket = KeySocket::open()?;
    let [first, second, third] =
        ["esp.201@10.0.0.2", "esp.202@10.0.0.2", "esp.203@10.0.0.2"].map(said);
    make(&[first, second])?;
    refused(socket.send(&add(&third)), "a third state")?;
    let result = socket.send(&naming(MsgType::Delete, &second));
    ensure!(result == Ok(()), "DELETE: {result:?}");
    make(&[third])?;

    // Neither of these SAs is there.
    let flow_to = |n: u8| flow("10.1.0.1", &format!("10.2.0.{n}"));
    ask(&wire::add_flow(second, 0, &flow_to(1)))?;
    ask(&wire::add_flow(second, 0, &flow_to(2)))?;
    refused(
        socket.write(&wire::add_flow(second, 0, &flow_to(3))),
        "a third eroute",
    )?;
    ask(&wire::del_flow(&flow_to(1)))?;
    ask(&wire::add_flow(second, 0, &flow_to(3)))?;
    Ok("ok".to_owned())
}

/// Parameters can be read by all and changed by root, and whatever they are says nothing of who may do
/// what.
fn parameters() -> Result<()> {
    let module = fs::read(klips_ko())?;
    let module = String::from_utf8_lossy(&module);
    let described = module.split("parmtype=").skip(1);
    let described: Vec<&str> = described
        .filter_map(|text| text.split('\0').next())
        .collect();
    let mut files = Vec::new();
    for value in [
        "max_sas=0",
        "max_sas=4294967295",
        "max_sockets=4294967295",
        "max_flows=4294967295",
        "max_states=4294967295",
    ] {
        load_with(value)?;
        files.clear();
        for file in fs::read_dir("/sys/module/klips/parameters")? {
            let file = file?;
            let name = file.file_name().to_string_lossy().into_owned();
            let metadata = file.metadata()?;
            ensure!(
                metadata.mode() & 0o7777 == 0o644 && metadata.uid() == 0,
                "{name}: {metadata:?}"
            );
            files.push(format!("{name}:uint"));
            if Some(&*name) == value.split('=').next() {
                let is = fs::read_to_string(file.path())?;
                ensure!(
                    value == format!("{name}={}", is.trim_end()),
                    "{name} is {is}"
                );
            }
        }
        let told = helper::run(Helper::Open, Who::Nobody, None)?;
        ensure!(
            told == "socket EPERM, protocol EPROTONOSUPPORT, list EACCES",
            "{value}: {told}"
        );
        let socket = KeySocket::open()?;
        for helper in [
            Helper::Write,
            Helper::WriteAsOtherRoot,
            Helper::WriteFromOtherNetwork,
        ] {
            helper::expect_no_writing(helper, &socket).with_context(|| value.to_owned())?;
        }
        drop(socket);
        unload()?;
    }
    files.sort();
    let mut described = described;
    described.sort_unstable();
    ensure!(files == described, "{files:?} and {described:?}");
    Ok(())
}

/// What happens while the module is unloaded: whether it was of any use.
type Step = fn() -> Result<bool>;

/// Sockets load the module again while it is unloaded; files and namespaces come and go.
fn unloading_races() -> Result<()> {
    const ROUNDS: usize = 5;
    let steps: [Step; 3] = [
        || match open_raw(3, 2) {
            Ok(_) => Ok(true),
            Err(error) if error.raw_os_error() == Some(97) => Ok(false),
            Err(error) => Err(error).context("a socket"),
        },
        || match fs::read(format!("{PROC}/ipsec_spigrp")).map_err(|error| error.raw_os_error()) {
            Ok(_) => Ok(true),
            // Not there; the module or, says procfs, the link is going; it went while it was read.
            Err(Some(2 | 5 | 6 | 22)) => Ok(false),
            Err(error) => bail!("a file: {error:?}"),
        },
        // Where a namespace takes long, the module is gone again by the time it is there.
        || in_own_network(|| Ok((0..20).any(|_| open_raw(3, 2).is_ok()))),
    ];
    let begun = Instant::now();
    let is_over = AtomicBool::new(false);
    let done = steps.map(|_| AtomicUsize::new(0));
    let raced = thread::scope(|scope| {
        let is_over = &is_over;
        let threads: Vec<_> = steps
            .iter()
            .zip(&done)
            .map(|(step, done)| {
                scope.spawn(move || -> Result<()> {
                    while !is_over.load(Ordering::Relaxed) {
                        done.fetch_add(usize::from(step()?), Ordering::Relaxed);
                    }
                    Ok(())
                })
            })
            .collect();
        let is_idle = |done: &AtomicUsize| done.load(Ordering::Relaxed) == 0;
        let mut unloaded = 0;
        while (unloaded < ROUNDS || done.iter().any(is_idle)) && begun.elapsed() < PATIENCE {
            unloaded += usize::from(delete_module(c"klips", DeleteModuleFlags::O_NONBLOCK).is_ok());
            if unloaded < ROUNDS {
                thread::yield_now();
            } else {
                // Where loading takes long, that leaves time for what has not been done yet.
                thread::sleep(Duration::from_millis(50));
            }
        }
        is_over.store(true, Ordering::Relaxed);
        for thread in threads {
            thread.join().expect("no panic")?;
        }
        println!("# unloaded {unloaded} times, {done:?} sockets, files, namespaces");
        ensure!(unloaded >= ROUNDS, "unloaded {unloaded} times");
        ensure!(!done.iter().any(is_idle), "nothing was done meanwhile");
        Ok(())
    });
    if is_loaded("klips") {
        unload()?;
    }
    raced
}

fn loads() -> Result<()> {
    let output = insmod(&klips_ko())?;
    ensure!(output.status.success(), "insmod: {output:?}");
    ensure!(is_loaded("klips"));
    Ok(())
}

fn unloads_clean() -> Result<()> {
    // Namespaces with eroutes may still be going.
    eventually("nothing keeps it", || Ok(rmmod("klips")?.status.success()))?;
    expect_no_files()?;
    ensure!(!is_loaded("klips"));
    Ok(())
}
