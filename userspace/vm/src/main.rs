// SPDX-License-Identifier: GPL-2.0

//! Boots small QEMU guests around `klips.ko`: to run its tests and judge them, to show it, to
//! run one command, or to give a shell.
//!
//! What a guest finds: the module in `/lib/modules/RELEASE` (and its path in `$KLIPS_KO`) with
//! those that were built with the kernel, other modules in `/lib/modules/extra`, the given programs
//! in `/usr/sbin`, iproute2's `ip`, `perl`, `ping`, `tcpdump`, and busybox.  No module is loaded on its own,
//! except in a shell guest, unless the kernel asks for it by alias.
//!
//! For `vm test` the program `guest-tests` prints KTAP ([`ktap`] says which) to its standard
//! output, which is a virtio port of its own; its standard error goes to the console.  Where a
//! test begins it writes `klips-test: begin NAME` to `/dev/kmsg`, which ties the console's lines
//! to tests.  The guest's `init` adds the exit code and the kernel's taints on another port, and
//! where the kernel has kmemleak, what it found.  [`verdict`] has the rules for what is green.

mod console;
mod cpio;
mod initramfs;
mod keys;
mod ktap;
mod libraries;
mod qemu;
mod recorder;
mod selftest;
mod verdict;

use crate::{
    initramfs::{Image, Job},
    qemu::{Accel, Board, Boot, End, Machine, Stream},
    recorder::Record,
    selftest::Bench,
    verdict::{Control, Evidence, TAINTS_EXPECTED, Tally},
};
use anyhow::{Context, Result, anyhow, ensure};
use clap::{Args, Parser, Subcommand, value_parser};
use std::{
    io::{self, Write},
    path::PathBuf,
    process::ExitCode,
    sync::mpsc,
    thread,
    time::Duration,
};

/// Exit code of `demo` and `run` when the guest's own never arrived.
const NO_EXIT_CODE: u8 = 125;

#[derive(Parser)]
#[command(about = "Boots QEMU guests to test klips.ko", version)]
struct Cli {
    #[command(subcommand)]
    command: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Run guest-tests from the --bin directory and judge what it and the kernel say
    Test(TestArgs),
    /// Boot guests that are broken on purpose and check that each one is found out
    Selftest(SelftestArgs),
    /// Run a script in the guest with its output live on stdout; exits with its exit code
    Demo(DemoArgs),
    /// Run one command in the guest with its stdout and stderr; exits with its exit code
    Run(RunArgs),
    /// Run one command that never ends, in a guest that counts instructions, and count how often
    /// each is executed once the command has written the line "ready": DIR/counts.csv
    Profile(ProfileArgs),
    /// Use a guest from this terminal; Ctrl-A X ends it
    Shell(GuestArgs),
}

#[derive(Args, Clone)]
struct MachineArgs {
    /// The kernel image: a bzImage, or for arm64 an Image
    #[arg(long)]
    kernel: PathBuf,
    /// Where the guest's programs and libraries are, unpacked from packages of another architecture
    /// [default: as installed on this machine]
    #[arg(long, value_name = "DIR")]
    root: Option<PathBuf>,
    /// The kind of computer to emulate
    #[arg(long, value_enum, default_value = "microvm")]
    machine: Board,
    /// Memory in MiB
    #[arg(long, default_value_t = 512)]
    memory: u32,
    /// Number of processors
    #[arg(long, default_value_t = 2)]
    cpus: u32,
    /// What executes the guest; "auto" is KVM if a trial boot works, else TCG
    #[arg(long, value_enum, default_value = "auto")]
    accel: Accel,
    /// A program that has a firmware load the kernel: it is called with the kernel, the initramfs and
    /// the parameters, and prints options for QEMU, one on each line
    #[arg(long, value_name = "PROGRAM")]
    loader: Option<PathBuf>,
    /// More kernel parameters
    #[arg(long, default_value = "", allow_hyphen_values = true)]
    append: String,
}

#[derive(Args)]
struct GuestArgs {
    #[command(flatten)]
    machine: MachineArgs,
    /// The module under test, klips.ko; the guest finds its path in $KLIPS_KO
    #[arg(long)]
    module: Option<PathBuf>,
    /// Another module, put to /lib/modules/extra and not loaded
    #[arg(long, value_name = "FILE")]
    extra_module: Vec<PathBuf>,
    /// Directory of programs for the guest's /usr/sbin
    #[arg(long, value_name = "DIR")]
    bin: Vec<PathBuf>,
    /// Another file for the guest
    #[arg(long, value_name = "FILE:GUESTPATH", value_parser = share)]
    share: Vec<(PathBuf, String)>,
}

#[derive(Args)]
struct TestArgs {
    #[command(flatten)]
    guest: GuestArgs,
    /// Where to leave the logs [default: nowhere]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Seconds the tests may take once the guest has booted
    #[arg(long, value_name = "SECS", default_value_t = 1800)]
    timeout: u64,
    /// Run the tests whose names contain this, and those of loading and unloading
    #[arg(long, value_name = "PATTERN", allow_hyphen_values = true)]
    filter: Option<String>,
    /// Results of tests that ran elsewhere, to be added up; may be given more than once
    #[arg(long, value_name = "PASSED,FAILED[,SKIPPED]")]
    host_results: Vec<Tally>,
    /// Kernel taints that are no failure [default: 12288, out-of-tree and unsigned]
    #[arg(long, value_name = "MASK", value_parser = mask)]
    taint_ok: Option<u64>,
    /// First do what "selftest" does, with the modules in this directory
    #[arg(long, value_name = "DIR")]
    broken: Option<PathBuf>,
    /// First search all of a guest's memory for keys that are no longer used
    #[arg(long)]
    keys: bool,
    /// Guests at a time, among which the tests are dealt out; each loads and unloads the module
    /// [default: 3 where there are two processors, 1 with --filter]
    #[arg(long, value_name = "N", value_parser = value_parser!(u16).range(1..))]
    guests: Option<u16>,
}

impl TestArgs {
    fn guests(&self) -> usize {
        let processors = thread::available_parallelism().map_or(1, usize::from);
        match self.guests {
            Some(guests) => guests.into(),
            None if self.filter.is_some() => 1,
            // Tests wait, too.
            None if processors < 2 => 1,
            None => 3,
        }
    }
}

#[derive(Args)]
struct SelftestArgs {
    #[command(flatten)]
    machine: MachineArgs,
    /// Directory of the modules built from userspace/vm/broken
    #[arg(long, value_name = "DIR")]
    broken: PathBuf,
    /// Where to leave the logs [default: nowhere]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

#[derive(Args)]
struct JobArgs {
    #[command(flatten)]
    guest: GuestArgs,
    /// Where to leave the logs [default: nowhere]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Seconds it may take once the guest has booted
    #[arg(long, value_name = "SECS", default_value_t = 600)]
    timeout: u64,
}

#[derive(Args)]
struct DemoArgs {
    #[command(flatten)]
    job: JobArgs,
    /// The script, /demo.sh in the guest
    #[arg(long, value_name = "FILE")]
    script: PathBuf,
}

#[derive(Args)]
struct RunArgs {
    #[command(flatten)]
    job: JobArgs,
    /// The command and its arguments
    #[arg(last = true, required = true)]
    command: Vec<String>,
}

#[derive(Args)]
struct ProfileArgs {
    #[command(flatten)]
    guest: GuestArgs,
    /// Where to leave the counts, and the command's output in output.log
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Seconds it may take once the guest has booted
    #[arg(long, value_name = "SECS", default_value_t = 600)]
    timeout: u64,
    /// About how many instructions to record
    #[arg(long, value_name = "N", default_value_t = 1_000_000)]
    instructions: u64,
    /// Count only from when this function of the kernel begins until it begins for the last time
    #[arg(long, value_name = "FUNCTION")]
    rounds: Option<String>,
    /// The command and its arguments
    #[arg(last = true, required = true)]
    command: Vec<String>,
}

fn share(text: &str) -> Result<(PathBuf, String), String> {
    let (file, guest) = text.rsplit_once(':').ok_or("expected FILE:GUESTPATH")?;
    Ok((PathBuf::from(file), guest.to_owned()))
}

/// Reads a number, hexadecimal if it begins with 0x.
fn mask(text: &str) -> Result<u64, std::num::ParseIntError> {
    match text.strip_prefix("0x") {
        Some(hex) => u64::from_str_radix(hex, 16),
        None => text.parse(),
    }
}

impl MachineArgs {
    /// Returns the machine, ready to boot, and the release of its kernel.
    fn settle(&self) -> Result<(Machine, String)> {
        let release = initramfs::kernel_release(&self.kernel)?;
        let mut machine = Machine {
            board: self.machine,
            kernel: self.kernel.clone(),
            root: self.root.clone(),
            memory: self.memory,
            cpus: self.cpus,
            loader: self.loader.clone(),
            append: self.append.clone(),
            accel: self.accel,
            record: None,
            keep_memory: false,
        };
        if machine.accel == Accel::Icount {
            machine.cpus = 1;
        }
        machine.settle_accel()?;
        Ok((machine, release))
    }
}

impl GuestArgs {
    fn image(&self, release: &str) -> Result<Image> {
        let mut image = Image::new(self.machine.root.as_deref())?;
        image.modules(&self.machine.kernel, release, self.module.as_deref())?;
        image.network_tools()?;
        for module in &self.extra_module {
            image.extra_module(module, release)?;
        }
        for directory in &self.bin {
            image.programs(directory)?;
        }
        for (file, guest) in &self.share {
            image.share(file, guest)?;
        }
        Ok(image)
    }
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let (result, failure) = match &cli.command {
        Task::Test(args) => (test(args), 1),
        Task::Selftest(args) => (self_test(args), 1),
        Task::Demo(args) => (demo(args), NO_EXIT_CODE),
        Task::Run(args) => (run(args), NO_EXIT_CODE),
        Task::Profile(args) => (profile(args), NO_EXIT_CODE),
        Task::Shell(args) => (shell(args), NO_EXIT_CODE),
    };
    result.unwrap_or_else(|error| {
        eprintln!("vm: {error:#}");
        ExitCode::from(failure)
    })
}

fn test(args: &TestArgs) -> Result<ExitCode> {
    let temporary = tempfile::tempdir()?;
    let directory = args.out.as_deref().unwrap_or(temporary.path());
    let (machine, release) = args.guest.machine.settle()?;
    let guests = args.guests();
    let boot = |number: usize, output: &mpsc::Sender<(Stream, Vec<u8>)>| {
        let share = (guests > 1).then(|| ["--share".to_owned(), format!("{number}/{guests}")]);
        let arguments: Vec<_> = share
            .into_iter()
            .flatten()
            .chain(args.filter.clone())
            .collect();
        let directory = match guests {
            1 => directory.to_owned(),
            _ => directory.join(number.to_string()),
        };
        // Nobody listens any more if printing failed.
        let mut send = |stream, data: &[u8]| {
            let sent = output.send((stream, data.to_owned()));
            sent.map_err(|_| io::ErrorKind::BrokenPipe.into())
        };
        let (image, job) = (args.guest.image(&release)?, Job::Test(&arguments));
        let limit = Duration::from_secs(args.timeout);
        machine.boot(image, &job, &directory, limit, &mut send)
    };
    let sum = thread::scope(|scope| -> Result<Tally> {
        // What they say waits until it is their turn to be shown.
        let guests: Vec<_> = (1..=guests)
            .map(|number| {
                let (output, shown) = mpsc::channel();
                (scope.spawn(move || boot(number, &output)), shown)
            })
            .collect();
        let mut sum = Tally::default();
        for tally in &args.host_results {
            sum += *tally;
        }
        if let Some(broken) = &args.broken {
            sum += selftest::run(&Bench {
                machine: &machine,
                release: &release,
                broken,
                out: &directory.join("selftest"),
            })?;
            println!();
        }
        if args.keys {
            sum += keys::run(
                &machine,
                args.guest.image(&release)?,
                &directory.join("keys"),
            )?;
            println!();
        }
        for (guest, shown) in guests {
            for (stream, data) in shown {
                pass_on(stream, &data)?;
            }
            let boot = guest
                .join()
                .map_err(|_| anyhow!("a guest's thread panicked"))??;
            sum += conclude_guest(args, &machine, &release, &boot)?;
        }
        Ok(sum)
    })?;
    let mut out = io::stdout().lock();
    if let Some(directory) = &args.out {
        writeln!(out, "logs: {}", directory.display())?;
    }
    conclude(out, sum)
}

/// Judges what a guest did, and prints the judgement.
fn conclude_guest(args: &TestArgs, machine: &Machine, release: &str, boot: &Boot) -> Result<Tally> {
    let verdict = verdict::judge(&Evidence {
        ktap: &boot.out,
        control: &boot.control,
        console: &boot.console,
        end: &boot.end,
        taint_ok: args.taint_ok.unwrap_or(TAINTS_EXPECTED),
    });
    let mut out = io::stdout().lock();
    writeln!(out)?;
    verdict.print(&mut out)?;
    if !verdict.failures.is_empty() {
        writeln!(out)?;
    }
    writeln!(out, "guest: Linux {release}, {}\n", times(machine, boot))?;
    Ok(verdict.tally())
}

fn self_test(args: &SelftestArgs) -> Result<ExitCode> {
    let temporary = tempfile::tempdir()?;
    let (machine, release) = args.machine.settle()?;
    let sum = selftest::run(&Bench {
        machine: &machine,
        release: &release,
        broken: &args.broken,
        out: args.out.as_deref().unwrap_or(temporary.path()),
    })?;
    conclude(io::stdout().lock(), sum)
}

/// Prints the line that says it all, the last one.
fn conclude(mut out: impl Write, sum: Tally) -> Result<ExitCode> {
    writeln!(out, "{sum}")?;
    Ok(ExitCode::from(u8::from(!sum.is_green())))
}

fn times(machine: &Machine, boot: &Boot) -> String {
    let booted = match (Control::parse(&boot.control).uptime, boot.answered) {
        (Some(uptime), Some(answered)) => format!(
            "init after {uptime:.2} s of kernel time, {:.1} s after QEMU's start",
            answered.as_secs_f64()
        ),
        _ => "init never reached".to_owned(),
    };
    let (accel, cpus) = (machine.accel, machine.cpus);
    let took = boot.took.as_secs_f64();
    format!("{accel}, {cpus} CPUs: {booted}; all done after {took:.1} s")
}

fn demo(args: &DemoArgs) -> Result<ExitCode> {
    let script = std::fs::read(&args.script).with_context(|| args.script.display().to_string())?;
    let prepare = |image: &mut Image| image.script("demo.sh", &script);
    perform(&args.job, &Job::Demo, &prepare)
}

fn run(args: &RunArgs) -> Result<ExitCode> {
    perform(&args.job, &Job::Run(&args.command), &|_| Ok(()))
}

fn profile(args: &ProfileArgs) -> Result<ExitCode> {
    let machine = MachineArgs {
        accel: Accel::Icount,
        ..args.guest.machine.clone()
    };
    let (mut machine, release) = machine.settle()?;
    machine.record = Some(Record {
        instructions: args.instructions,
        rounds: args.rounds.clone(),
    });
    let image = args.guest.image(&release)?;
    let limit = Duration::from_secs(args.timeout);
    let job = Job::Run(&args.command);
    let mut unseen = |stream, data: &[u8]| match stream {
        Stream::Out => Ok(()),
        Stream::Err => pass_on(stream, data),
    };
    let boot = machine.boot(image, &job, &args.out, limit, &mut unseen)?;
    ensure!(
        boot.end == End::Recorded,
        "{} ({})",
        boot.end,
        args.out.display()
    );
    Ok(ExitCode::SUCCESS)
}

/// Does a job whose output and exit code become ours.
fn perform(
    args: &JobArgs,
    job: &Job<'_>,
    prepare: &dyn Fn(&mut Image) -> Result<()>,
) -> Result<ExitCode> {
    let temporary = tempfile::tempdir()?;
    let directory = args.out.as_deref().unwrap_or(temporary.path());
    let (machine, release) = args.guest.machine.settle()?;
    let mut image = args.guest.image(&release)?;
    prepare(&mut image)?;
    let limit = Duration::from_secs(args.timeout);
    let boot = machine.boot(image, job, directory, limit, &mut pass_on)?;

    let console = console::Console::new(&boot.console);
    for finding in console.findings() {
        eprintln!("vm: kernel report: {}", finding.text);
        for line in console.around(finding.line) {
            eprintln!("    | {line}");
        }
    }
    if let Some((code, _)) = Control::parse(&boot.control).exit {
        return Ok(ExitCode::from(u8::try_from(code).unwrap_or(NO_EXIT_CODE)));
    }
    eprintln!(
        "vm: no exit code arrived ({:?}); the console's end:",
        boot.end
    );
    for line in console.tail(20) {
        eprintln!("    | {line}");
    }
    Ok(ExitCode::from(NO_EXIT_CODE))
}

fn shell(args: &GuestArgs) -> Result<ExitCode> {
    let (machine, release) = args.machine.settle()?;
    let status = machine.interact(args.image(&release)?)?;
    Ok(ExitCode::from(u8::from(!status.success())))
}

/// Copies the guest's output to ours.
fn pass_on(stream: Stream, data: &[u8]) -> io::Result<()> {
    match stream {
        Stream::Out => {
            let mut out = io::stdout();
            out.write_all(data).and_then(|()| out.flush())
        }
        Stream::Err => io::stderr().write_all(data),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn values_are_read() {
        assert_eq!(mask("0x3000"), Ok(12288));
        assert_eq!(mask("12288"), Ok(12288));
        assert!(mask("W").is_err());
        let expected = (PathBuf::from("a:b"), "/c".to_owned());
        assert_eq!(share("a:b:/c"), Ok(expected));
        assert!(share("a").is_err());
        let words = ["vm", "run", "--kernel", "k", "--", "ipsec", "--help"];
        let Task::Run(args) = Cli::parse_from(words).command else {
            panic!("not run");
        };
        assert_eq!(args.command, ["ipsec", "--help"]);
        assert_eq!(args.job.guest.machine.machine, Board::Microvm);
        let words = ["vm", "shell", "--kernel", "k", "--machine", "q35"];
        let Task::Shell(args) = Cli::parse_from(words).command else {
            panic!("not shell");
        };
        assert_eq!(args.machine.machine, Board::Q35);
    }
}
