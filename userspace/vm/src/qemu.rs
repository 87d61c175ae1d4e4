// SPDX-License-Identifier: GPL-2.0

//! Starts QEMU, watches what the guest says, and ends it when the time is over.
//!
//! The guest has a serial port for the console and one virtio port for each stream the host
//! listens to; [`Board`] says what they are plugged into.  Every stream goes to a file, which
//! stays for whoever looks into a failure, and which is read while it grows.

use crate::{
    initramfs::{Image, Job, find_program},
    recorder::{Record, Recorder},
    verdict::Control,
};
use anyhow::{Context, Result, ensure};
use std::{
    fmt, fs,
    fs::File,
    io,
    io::Read,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

/// Kernel parameters every guest gets: all of its messages on the serial port, which the [`Board`]
/// names, none of them dropped; an end instead of a hang when it panics; no waiting for entropy; none
/// of the mitigations whose boot messages contain `WARNING:`.
const PARAMETERS: &str = "loglevel=7 printk.time=1 printk.devkmsg=on oops=panic \
                          panic=-1 random.trust_cpu=on mitigations=off";

/// What a guest starts with, in its directory.
const INITRAMFS: &str = "initramfs.cpio";
/// A guest's memory, in its directory.
pub const MEMORY: &str = "memory.bin";

/// How long `init` may take to answer, on a machine that does much else.
const BOOT_LIMIT: Duration = Duration::from_secs(400);
/// The same where KVM is only tried; if it works at all it takes a second.
const PROBE_LIMIT: Duration = Duration::from_secs(10);
/// How long the guest may take to go down after its work.
const POWER_OFF_LIMIT: Duration = Duration::from_secs(15);
/// Time between two looks at the guest's output.
const POLL: Duration = Duration::from_millis(10);

/// What the guest's processors are made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Accel {
    /// KVM if a trial boot shows that it works, else TCG.
    Auto,
    /// The host's processors.
    Kvm,
    /// QEMU's emulation.
    Tcg,
    /// QEMU's emulation with a thread for each processor, so that they work at the same time. Such
    /// a guest now and then dies while it boots.
    TcgParallel,
    /// QEMU's emulation of one processor that takes a nanosecond for each instruction, so that the
    /// guest's clock counts them.
    Icount,
}

impl fmt::Display for Accel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Auto => "KVM or TCG",
            Self::Kvm => "KVM",
            Self::Tcg => "TCG",
            Self::TcgParallel => "TCG with a thread per processor",
            Self::Icount => "TCG counting instructions",
        })
    }
}

/// The kind of computer the guest is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Board {
    /// No firmware tables, no PCI: starts in no time, but not every kernel has the drivers.
    Microvm,
    /// An ordinary PC, for kernels of distributions.
    Q35,
    /// QEMU's own computer for arm64, described to the kernel by a device tree.
    Virt,
}

impl Board {
    /// QEMU's name for it.
    fn machine(self) -> &'static str {
        match self {
            Self::Microvm => "microvm,acpi=off",
            Self::Q35 => "q35",
            Self::Virt => "virt",
        }
    }

    /// The program that emulates it, and its Debian package.
    fn qemu(self) -> (&'static str, &'static str) {
        match self {
            Self::Microvm | Self::Q35 => ("qemu-system-x86_64", "qemu-system-x86"),
            Self::Virt => ("qemu-system-aarch64", "qemu-system-arm"),
        }
    }

    /// Kernel parameters: the serial port, and for a PC how it restarts, and no panic when the machine
    /// is too busy for a timer's interrupts to come in time.
    fn parameters(self) -> &'static str {
        match self {
            Self::Microvm | Self::Q35 => "console=ttyS0 reboot=t no_timer_check",
            Self::Virt => "console=ttyAMA0",
        }
    }

    /// QEMU's name for what holds the virtio ports.
    fn ports(self) -> &'static str {
        match self {
            Self::Microvm | Self::Virt => "virtio-serial-device",
            Self::Q35 => "virtio-serial-pci",
        }
    }
}

/// What the guest runs on.
#[derive(Clone, Debug)]
pub struct Machine {
    /// The kind of computer.
    pub board: Board,
    /// The kernel image.
    pub kernel: PathBuf,
    /// Where the guest's programs and their libraries are, if not where this machine's are.
    pub root: Option<PathBuf>,
    /// Memory in MiB.
    pub memory: u32,
    /// Number of processors.
    pub cpus: u32,
    /// What has a firmware load the kernel, in place of QEMU: a program that is called in the guest's
    /// directory with the kernel, the initramfs and the parameters, and prints options for QEMU, one
    /// on each line.
    pub loader: Option<PathBuf>,
    /// More kernel parameters.
    pub append: String,
    /// What executes it; never [`Accel::Auto`] once it boots.
    pub accel: Accel,
    /// Which instructions are recorded once the job's output ends with the line "ready"; then the
    /// guest has done its work.
    pub record: Option<Record>,
    /// Whether its memory is left in the file [`MEMORY`] once it is off.
    pub keep_memory: bool,
}

/// How a guest ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// It restarted or went off, which may also have been a panic.
    Off,
    /// It was killed after this time.
    TimedOut(Duration),
    /// It was killed because it did not go off after its work.
    Stuck,
    /// It was killed because enough of its instructions had been recorded.
    Recorded,
    /// QEMU failed.
    Died {
        /// How it exited.
        status: String,
        /// What it said.
        said: Vec<String>,
    },
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Off => f.write_str("the guest went down"),
            Self::TimedOut(after) => write!(f, "time-out after {} s", after.as_secs()),
            Self::Stuck => f.write_str("the guest did not end after its work"),
            Self::Recorded => f.write_str("enough was recorded"),
            Self::Died { status, said } => write!(f, "QEMU died: {status}: {}", said.join("; ")),
        }
    }
}

/// A stream of the job's output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    /// Its standard output.
    Out,
    /// Its standard error, where that is kept apart.
    Err,
}

/// Everything one boot brought.
#[derive(Debug)]
pub struct Boot {
    /// How it ended.
    pub end: End,
    /// The job's output.
    pub out: Vec<u8>,
    /// The control port.
    pub control: Vec<u8>,
    /// The serial port.
    pub console: Vec<u8>,
    /// Time from QEMU's start to `init`'s answer.
    pub answered: Option<Duration>,
    /// Time from QEMU's start to its end.
    pub took: Duration,
}

impl Machine {
    /// Decides between KVM and TCG.  Only a boot tells: `/dev/kvm` may exist and not work.
    pub fn settle_accel(&mut self) -> Result<()> {
        if self.accel != Accel::Auto {
            return Ok(());
        }
        self.accel = Accel::Tcg;
        let device = File::options().read(true).write(true).open("/dev/kvm");
        if device.is_ok() && self.board != Board::Virt {
            let trial = Self {
                accel: Accel::Kvm,
                ..self.clone()
            };
            let directory = tempfile::tempdir()?;
            let limits = (PROBE_LIMIT, PROBE_LIMIT);
            let boot = trial.watch(
                Image::new(self.root.as_deref())?,
                &Job::Probe,
                directory.path(),
                limits,
                &mut |_, _| Ok(()),
            )?;
            if boot.answered.is_some() && boot.end == End::Off {
                self.accel = Accel::Kvm;
            }
        }
        Ok(())
    }

    /// Boots a guest that does `job` and waits for its end, at most `limit` after its `init`
    /// has answered.  Its files are left in `directory`; `output` gets the job's output live.
    pub fn boot(
        &self,
        image: Image,
        job: &Job<'_>,
        directory: &Path,
        limit: Duration,
        output: &mut dyn FnMut(Stream, &[u8]) -> io::Result<()>,
    ) -> Result<Boot> {
        self.watch(image, job, directory, (BOOT_LIMIT, limit), output)
    }

    /// Boots a guest whose console is this terminal.
    pub fn interact(&self, image: Image) -> Result<ExitStatus> {
        let directory = tempfile::tempdir()?;
        image.write(&Job::Shell, &directory.path().join(INITRAMFS))?;
        let mut command = self.command(directory.path())?;
        command.args(["-serial", "mon:stdio"]);
        command.status().context(self.board.qemu().0)
    }

    fn watch(
        &self,
        image: Image,
        job: &Job<'_>,
        directory: &Path,
        (boot_limit, limit): (Duration, Duration),
        output: &mut dyn FnMut(Stream, &[u8]) -> io::Result<()>,
    ) -> Result<Boot> {
        fs::create_dir_all(directory).with_context(|| directory.display().to_string())?;
        image.write(job, &directory.join(INITRAMFS))?;

        let mut command = self.command(directory)?;
        let mut console = Tail::create(directory, "console.log")?;
        command.args(["-serial", "file:console.log"]);
        command.args(["-device", self.board.ports()]);
        let mut add_port = |id: &str, name: &str, file: &str| {
            command.arg("-chardev");
            command.arg(format!("file,id={id},path={file}"));
            command.arg("-device");
            command.arg(format!("virtserialport,chardev={id},name={name}"));
            Tail::create(directory, file)
        };
        let mut control = add_port("control", "klips.ctl", "control.log")?;
        let mut out = add_port("out", job.port(), "output.log")?;
        let mut err = add_port("err", "klips.err", "errors.log")?;
        let mut files = add_port("files", "klips.files", "files.bin")?;
        let recorder = self
            .record
            .as_ref()
            .map(|record| Recorder::new(directory, record));
        let mut recorder = recorder.transpose()?;
        if let Some(recorder) = &recorder {
            let socket = recorder.socket();
            command.arg("-monitor");
            command.arg(format!("unix:{},server=on,wait=off", socket.display()));
        }
        let said = directory.join("qemu.log");
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(&said)?);

        let start = Instant::now();
        let mut qemu = Qemu(command.spawn().context(self.board.qemu().0)?);
        let mut answered = None;
        let mut done = None;
        let end = loop {
            let exited = qemu.0.try_wait()?;
            let now = start.elapsed();
            console.read()?;
            control.read()?;
            output(Stream::Out, out.read()?)?;
            output(Stream::Err, err.read()?)?;
            let heard = Control::parse(&control.data);
            if heard.uptime.is_some() {
                answered.get_or_insert(now);
            }
            if heard.exit.is_some() {
                done.get_or_insert(now);
            }

            if let Some(status) = exited {
                break if status.success() {
                    End::Off
                } else {
                    End::Died {
                        status: status.to_string(),
                        said: lines(&fs::read(&said)?),
                    }
                };
            }
            if let Some(recorder) = &mut recorder {
                if recorder.look(&out.data)? {
                    break End::Recorded;
                }
            }
            // The limit is for the job, not for how long an emulator takes to boot.
            let (since, limit) = answered.map_or((Duration::ZERO, boot_limit), |at| (at, limit));
            if done.is_some_and(|at| now > at + POWER_OFF_LIMIT) {
                break End::Stuck;
            }
            if done.is_none() && now > since + limit {
                break End::TimedOut(limit);
            }
            thread::sleep(POLL);
        };
        drop(qemu);
        if let Some(recorder) = recorder.filter(|_| end == End::Recorded) {
            recorder.finish(&out.data)?;
        }
        files.read()?;
        save_files(&files.data, &directory.join("files"))?;
        Ok(Boot {
            end,
            out: out.data,
            control: control.data,
            console: console.data,
            answered,
            took: start.elapsed(),
        })
    }

    /// The part of the command line that all guests share.  QEMU runs in `directory`, so that
    /// no path in its options needs quoting.
    fn command(&self, directory: &Path) -> Result<Command> {
        let (program, package) = self.board.qemu();
        let qemu = find_program(program, package)?;
        // Where the system can do so, QEMU ends with us, whatever ends us.
        let mut command = match find_program("setpriv", "util-linux") {
            Ok(setpriv) => {
                let mut command = Command::new(setpriv);
                command.args(["--pdeathsig", "KILL", "--"]).arg(qemu);
                command
            }
            Err(_) => Command::new(qemu),
        };
        ensure!(self.accel != Accel::Auto, "the accelerator is not settled");
        let accel = match self.accel {
            Accel::Kvm => "kvm",
            // One thread for all virtual processors. With one each, a processor now and then runs
            // into the breakpoint with which the kernel patches its code when it is gone already,
            // and the guest dies of an int3 while it boots.
            Accel::Auto | Accel::Tcg | Accel::Icount => "tcg,thread=single",
            Accel::TcgParallel => "tcg,thread=multi",
        };
        let cpu = match (self.board, self.accel) {
            (Board::Virt, _) => "max",
            // Without the features for which the kernel copies byte by byte in one instruction:
            // each byte would count as one.
            (_, Accel::Icount) => "max,la57=off,erms=off,fsrm=off",
            // With 57-bit addresses, an interrupt early in the boot makes KASAN report an error
            // that is none.
            _ => "max,la57=off",
        };
        let (memory, mut board) = (self.memory, self.board.machine().to_owned());
        if self.keep_memory {
            let file = format!("memory-backend-file,id=memory,size={memory}M,mem-path={MEMORY}");
            command.args(["-object", &format!("{file},share=on")]);
            board += ",memory-backend=memory";
        }
        command
            .current_dir(directory)
            .args(["-nodefaults", "-no-user-config", "-no-reboot"])
            .args(["-display", "none", "-machine", &board])
            .args(["-accel", accel, "-cpu", cpu])
            .args(["-smp", &self.cpus.to_string()])
            .args(["-m", &memory.to_string()]);
        let (kernel, parameters) = (fs::canonicalize(&self.kernel)?, self.parameters());
        match &self.loader {
            Some(loader) => {
                let mut loader = Command::new(fs::canonicalize(loader)?);
                loader.current_dir(directory);
                loader.arg(kernel).args([INITRAMFS, &parameters]);
                let output = loader.output().with_context(|| format!("{loader:?}"))?;
                ensure!(output.status.success(), "{loader:?}: {output:?}");
                command.args(String::from_utf8(output.stdout)?.lines());
            }
            None => {
                command.arg("-kernel").arg(kernel);
                command.args(["-initrd", INITRAMFS, "-append", &parameters]);
            }
        }
        if self.accel == Accel::Icount {
            // Time does not stand still while all processes sleep, it skips to when one wakes.
            command.args(["-icount", "shift=0,sleep=off"]);
        }
        Ok(command)
    }

    fn parameters(&self) -> String {
        let mut parameters = format!("{} {PARAMETERS}", self.board.parameters());
        let khz = match self.accel {
            // It tells its timer's frequency.
            _ if self.board == Board::Virt => None,
            Accel::Auto | Accel::Kvm => None,
            Accel::Tcg | Accel::TcgParallel => {
                tsc_khz(&fs::read_to_string("/proc/cpuinfo").unwrap_or_default())
            }
            // A tick with each instruction.
            Accel::Icount => Some(1_000_000),
        };
        if let Some(khz) = khz {
            parameters += &format!(" tsc_early_khz={khz} tsc=reliable");
        }
        if self.accel == Accel::Icount && self.board != Board::Virt {
            // The kernel finds out that timer's frequency in a loop of "pause" instructions, each
            // of which takes QEMU some microseconds here: most of the time of a boot.
            parameters += " nolapic_timer";
        }
        if !self.append.is_empty() {
            parameters = format!("{parameters} {}", self.append);
        }
        parameters
    }
}

/// Returns the frequency of the host's time stamp counter, which is that of an emulated one.
///
/// A microvm has no timer to measure it with; a kernel that is not told the frequency falls
/// back to counting ticks of 4 ms.  Where the counter runs at a constant rate, Linux reports
/// twice that rate as "bogomips".
fn tsc_khz(cpuinfo: &str) -> Option<u64> {
    let value = |key: &str| {
        let mut fields = cpuinfo.lines().filter_map(|line| line.split_once(':'));
        fields.find_map(|(name, value)| (name.trim() == key).then_some(value))
    };
    let constant = value("flags")?
        .split_whitespace()
        .any(|flag| flag == "constant_tsc");
    let mhz = value("bogomips")?.trim().parse::<f64>().ok()? / 2.0;
    // CAST: the range leaves no room for loss.
    (constant && (100.0..100_000.0).contains(&mhz)).then_some((mhz * 1000.0).round() as u64)
}

/// A running QEMU, killed when dropped.
struct Qemu(Child);

impl Drop for Qemu {
    fn drop(&mut self) {
        // Both fail only if it has ended and was waited for already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A file that QEMU writes and we read.
struct Tail {
    file: File,
    data: Vec<u8>,
}

impl Tail {
    /// Makes the file, empty: what an earlier run left there must not count.
    fn create(directory: &Path, name: &str) -> Result<Self> {
        let path = directory.join(name);
        let file = File::create(&path)
            .and_then(|_| File::open(&path))
            .with_context(|| path.display().to_string())?;
        let data = Vec::new();
        Ok(Self { file, data })
    }

    /// Reads and returns what is new.
    fn read(&mut self) -> io::Result<&[u8]> {
        let known = self.data.len();
        self.file.read_to_end(&mut self.data)?;
        Ok(&self.data[known..])
    }
}

/// Saves the files that a guest has handed over, in a directory that has nothing else: each is a
/// line with its name and size, and so many bytes.
fn save_files(mut stream: &[u8], directory: &Path) -> Result<()> {
    if fs::exists(directory)? {
        fs::remove_dir_all(directory).with_context(|| directory.display().to_string())?;
    }
    while !stream.is_empty() {
        let end = stream.iter().position(|&byte| byte == b'\n');
        let (line, rest) = stream.split_at(end.context("a file without a name")?);
        let line = std::str::from_utf8(line).context("a file's name")?;
        let (name, size) = line.split_once(' ').context("a file without a size")?;
        let plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        ensure!(
            name.chars().all(plain) && !name.starts_with('.') && !name.is_empty(),
            "no usable file name: {name:?}"
        );
        let size = size.parse().context("a file's size")?;
        let content = rest[1..].get(..size).context("a file that is cut short")?;
        fs::create_dir_all(directory).with_context(|| directory.display().to_string())?;
        fs::write(directory.join(name), content)?;
        stream = &rest[1 + size..];
    }
    Ok(())
}

fn lines(text: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(text);
    text.lines().map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_counters_frequency_is_used_only_if_constant() {
        let cpuinfo = "flags\t\t: fpu tsc constant_tsc\nbogomips\t: 5192.28\n\nbogomips\t: 1\n";
        assert_eq!(tsc_khz(cpuinfo), Some(2_596_140));
        assert_eq!(tsc_khz(&cpuinfo.replace("constant_tsc", "constant")), None);
        assert_eq!(tsc_khz(&cpuinfo.replace("5192.28", "-1")), None);
        assert_eq!(tsc_khz(&cpuinfo.replace("5192.28", "NaN")), None);
        assert_eq!(tsc_khz("BogoMIPS\t: 50.00\nFeatures\t: fp\n"), None);
    }

    #[test]
    fn files_come_out_of_a_guest_as_they_were() {
        let temporary = tempfile::tempdir().unwrap();
        let directory = temporary.path().join("files");
        save_files(b"a.pcap 3\n\n\0 b.json 0\nc 1\nx", &directory).unwrap();
        let read = |name: &str| fs::read(directory.join(name)).unwrap();
        assert_eq!(read("a.pcap"), b"\n\0 ");
        assert_eq!(read("b.json"), b"");
        assert_eq!(read("c"), b"x");
        // Those of an earlier run must not count.
        save_files(b"", &directory).unwrap();
        assert!(!directory.exists());
        for bad in [
            "../a 1\nx",
            ".a 1\nx",
            " 1\nx",
            "a 2\nx",
            "a\n",
            "a -1\nx",
            "a 1",
        ] {
            assert!(save_files(bad.as_bytes(), &directory).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn what_an_earlier_run_left_is_not_read() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("control.log");
        fs::write(&path, "exit code=0 tainted=0\n").unwrap();
        let mut tail = Tail::create(directory.path(), "control.log").unwrap();
        assert_eq!(tail.read().unwrap(), b"");
        fs::write(&path, "new").unwrap();
        assert_eq!(tail.read().unwrap(), b"new");
        assert_eq!(tail.read().unwrap(), b"");
        assert_eq!(tail.data, b"new");
    }
}
