// SPDX-License-Identifier: GPL-2.0

//! Puts together the guest's whole file system: busybox, our `init`, the modules, the programs
//! with the libraries they need, and the few files of `/etc` that programs look at.

use crate::{
    cpio::{Archive, Node},
    libraries,
};
use anyhow::{Context, Result, bail, ensure};
use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
};

const INIT: &str = include_str!("../guest/init.sh");

const ETC: &[(&str, &str)] = &[
    ("etc/group", "root:x:0:\nnogroup:x:65534:\n"),
    (
        "etc/hosts",
        "127.0.0.1 localhost\n::1 localhost\n10.0.0.2 gw2\n",
    ),
    (
        "etc/nsswitch.conf",
        "passwd: files\ngroup: files\nhosts: files\n",
    ),
    (
        "etc/passwd",
        "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/sh\n",
    ),
];

/// Where [`Image::extra_module`] puts modules.
pub const EXTRA_MODULES: &str = "/lib/modules/extra";

/// Programs for networks: name, Debian package, folder in the guest.
const NETWORK_TOOLS: &[(&str, &str, &str)] = &[
    ("ip", "iproute2", "usr/sbin"),
    ("perl", "perl-base", "usr/bin"),
    ("ping", "iputils-ping", "usr/bin"),
    ("tcpdump", "tcpdump", "usr/bin"),
];

/// What the guest is for.
pub enum Job<'a> {
    /// Only to tell that it started.
    Probe,
    /// Run `guest-tests` with arguments.
    Test(&'a [String]),
    /// Run `/demo.sh`.
    Demo,
    /// Run a command.
    Run(&'a [String]),
    /// Give a shell to the user.
    Shell,
}

impl Job<'_> {
    /// Name of the port the job's output goes to.
    pub fn port(&self) -> &'static str {
        match self {
            Job::Test(_) => "klips.ktap",
            _ => "klips.out",
        }
    }

    fn mode(&self) -> &'static str {
        match self {
            Job::Probe => "probe",
            Job::Test(_) => "test",
            Job::Demo => "demo",
            Job::Run(_) => "run",
            Job::Shell => "shell",
        }
    }

    fn script(&self) -> String {
        let exec = |words: &[String]| -> String {
            let words = words.iter().map(|word| format!(" {}", quoted(word)));
            format!("exec{}\n", words.collect::<String>())
        };
        match self {
            Job::Probe | Job::Shell => String::new(),
            Job::Test(arguments) => exec(&[&["guest-tests".to_owned()], *arguments].concat()),
            Job::Demo => exec(&["/demo.sh".to_owned()]),
            Job::Run(command) => exec(command),
        }
    }
}

/// A file system under construction.
pub struct Image {
    /// Where programs and libraries come from, if not from this machine's own.
    root: Option<PathBuf>,
    archive: Archive,
    environment: String,
}

impl Image {
    /// Begins with what every guest has; `root` is where its programs are found, if not here.
    pub fn new(root: Option<&Path>) -> Result<Self> {
        let mut archive = Archive::default();
        for (path, minor) in [("dev/console", 1), ("dev/null", 3)] {
            let major = if path == "dev/console" { 5 } else { 1 };
            archive.add(path, Node::Device(0o666, major, minor))?;
        }
        for path in ["proc", "sys", "run", "root", "tmp"] {
            archive.add(path, Node::Directory(0o755))?;
        }
        for (path, text) in ETC {
            archive.add(path, Node::File(0o644, text.as_bytes().to_vec()))?;
        }
        archive.add("init", Node::File(0o755, INIT.as_bytes().to_vec()))?;

        let busybox = find_program_in(root, "busybox", "busybox-static")?;
        let content = read(&busybox)?;
        ensure!(
            libraries::interpreter(&content).is_none(),
            "{} is not static; install busybox-static",
            busybox.display()
        );
        archive.add("bin/busybox", Node::File(0o755, content))?;
        // One of another architecture does not run here, but Debian builds the same into each.
        let own = find_program("busybox", "busybox-static")?;
        let output = Command::new(&own)
            .arg("--list-full")
            .output()
            .with_context(|| own.display().to_string())?;
        for applet in String::from_utf8_lossy(&output.stdout).lines() {
            if applet.contains('/') && !archive.contains(applet) {
                archive.add(applet, Node::Symlink("/bin/busybox".to_owned()))?;
            }
        }
        ensure!(
            archive.contains("bin/sh"),
            "{} has no shell",
            busybox.display()
        );
        Ok(Self {
            root: root.map(Path::to_owned),
            archive,
            environment: String::new(),
        })
    }

    /// Adds the modules that were built with the kernel, and the module under test, where
    /// `modprobe` and the kernel find them by name and alias.
    pub fn modules(&mut self, kernel: &Path, release: &str, module: Option<&Path>) -> Result<()> {
        let directory = format!("lib/modules/{release}");
        let staging = tempfile::tempdir()?;
        let modules = staging.path().join(&directory);
        fs::create_dir_all(&modules)?;

        let own = built_with(kernel)?;
        for list in ["modules.builtin", "modules.builtin.modinfo"] {
            let content = own.directory.as_ref().map(|from| read(&from.join(list)));
            fs::write(modules.join(list), content.transpose()?.unwrap_or_default())?;
        }
        let mut order = String::new();
        for file in own.files.iter().map(PathBuf::as_path).chain(module) {
            let name = file_name(file)?;
            fs::write(modules.join(name), module_for(file, release)?)?;
            order += &format!("{name}\n");
        }
        fs::write(modules.join("modules.order"), order)?;
        let output = Command::new(find_program("depmod", "kmod")?)
            .arg("-b")
            .arg(staging.path())
            .arg(release)
            .output()
            .context("depmod")?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "depmod: {}", said.trim());

        for file in fs::read_dir(&modules)? {
            let path = file?.path();
            let guest = format!("{directory}/{}", file_name(&path)?);
            self.archive.add(&guest, Node::File(0o644, read(&path)?))?;
        }
        if let Some(module) = module {
            let klips_ko = quoted(&format!("/{directory}/{}", file_name(module)?));
            self.environment += &format!("export KLIPS_KO={klips_ko}\n");
        }
        Ok(())
    }

    /// Adds a module that nothing loads on its own.
    pub fn extra_module(&mut self, module: &Path, release: &str) -> Result<()> {
        let guest = format!("{EXTRA_MODULES}/{}", file_name(module)?);
        let content = module_for(module, release)?;
        self.archive.add(&guest, Node::File(0o644, content))
    }

    /// Adds the programs in a directory to `/usr/sbin`, with the libraries they need.  Symbolic
    /// links between them stay links; this very program stays out.
    pub fn programs(&mut self, directory: &Path) -> Result<()> {
        let entries = fs::read_dir(directory).with_context(|| directory.display().to_string())?;
        let own = std::env::current_exe()?;
        let mut found = false;
        for entry in entries {
            let path = entry?.path();
            let guest = format!("usr/sbin/{}", file_name(&path)?);
            if let Ok(target) = fs::read_link(&path) {
                if target.components().count() == 1 {
                    let target = target.to_string_lossy().into_owned();
                    self.archive.add(&guest, Node::Symlink(target))?;
                    continue;
                }
            }
            let about = fs::metadata(&path).with_context(|| path.display().to_string())?;
            let executable = about.is_file() && about.permissions().mode() & 0o111 != 0;
            if executable && fs::canonicalize(&path)? != own {
                self.share(&path, &guest)?;
                found = true;
            }
        }
        ensure!(found, "no programs in {}", directory.display());
        Ok(())
    }

    /// Adds a file at any place, and the libraries it needs if it is a program.
    pub fn share(&mut self, file: &Path, guest: &str) -> Result<()> {
        let content = read(file)?;
        let mode = fs::metadata(file)?.permissions().mode() & 0o777;
        self.archive.add(guest, Node::File(mode, content))?;
        let libraries = match &self.root {
            Some(root) => libraries::needed_in(root, file)?,
            None => libraries::needed(file)?,
        };
        for library in libraries {
            let path = library.to_str().context("library path is not UTF-8")?;
            if !self.archive.contains(path) {
                let source = match &self.root {
                    Some(root) => root.join(path.trim_start_matches('/')),
                    None => library.clone(),
                };
                self.archive.add(path, Node::File(0o755, read(&source)?))?;
            }
        }
        Ok(())
    }

    /// Adds the tools that set up networks and look at packets.
    ///
    /// They are where the search path comes by first, but busybox's shell knows its own `ip` and
    /// `ping` before any path: scripts name them `/usr/sbin/ip` and `/usr/bin/ping`.
    pub fn network_tools(&mut self) -> Result<()> {
        for (name, package, directory) in NETWORK_TOOLS {
            let file = find_program_in(self.root.as_deref(), name, package)?;
            self.share(&file, &format!("{directory}/{name}"))?;
        }
        Ok(())
    }

    /// Adds an executable script.
    pub fn script(&mut self, guest: &str, text: &[u8]) -> Result<()> {
        self.archive.add(guest, Node::File(0o755, text.to_vec()))
    }

    /// Writes the file system of a guest that does `job` to `path`.
    pub fn write(mut self, job: &Job<'_>, path: &Path) -> Result<()> {
        let config = format!(
            "mode={}\nout={}\n{}",
            job.mode(),
            job.port(),
            self.environment
        );
        let mut add =
            |path, text: String| self.archive.add(path, Node::File(0o644, text.into_bytes()));
        add("vm/config", config)?;
        add("vm/job", job.script())?;
        fs::write(path, self.archive.to_bytes()?).with_context(|| path.display().to_string())
    }
}

/// The modules that were built with a kernel.
struct BuiltWith {
    /// The build directory, if there is one.
    directory: Option<PathBuf>,
    files: Vec<PathBuf>,
}

/// Finds the modules that were built with the kernel image at `DIRECTORY/arch/x86/boot/bzImage`, or at
/// `DIRECTORY/arch/arm64/boot/Image`.
///
/// Modules of the same name in different folders would be one file in the guest: that is an error.
/// An image that is not in a build directory has none.
fn built_with(kernel: &Path) -> Result<BuiltWith> {
    let kernel = fs::canonicalize(kernel).with_context(|| kernel.display().to_string())?;
    let directory = kernel
        .parent()
        .filter(|boot| boot.ends_with("arch/x86/boot") || boot.ends_with("arch/arm64/boot"))
        .and_then(|boot| boot.ancestors().nth(3))
        .filter(|directory| directory.join("modules.order").is_file());
    let Some(directory) = directory else {
        return Ok(BuiltWith {
            directory: None,
            files: Vec::new(),
        });
    };
    let order = fs::read_to_string(directory.join("modules.order"))?;
    // Kbuild lists object files, depmod modules.
    let files: Vec<_> = order
        .lines()
        .map(|line| directory.join(line).with_extension("ko"))
        .collect();
    let mut names: Vec<_> = files.iter().map(|file| file.file_name()).collect();
    names.sort_unstable();
    ensure!(
        names.windows(2).all(|pair| pair[0] != pair[1]),
        "{}: two modules have the same name",
        directory.display()
    );
    Ok(BuiltWith {
        directory: Some(directory.to_owned()),
        files,
    })
}

/// Finds out which Linux release a kernel image is, which names its module directory.
pub fn kernel_release(kernel: &Path) -> Result<String> {
    release_of(&read(kernel)?)
        .with_context(|| format!("{} is no kernel for x86 or arm64", kernel.display()))
}

/// x86's header says where the version text is; arm64's does not, but its image is not compressed.
fn release_of(image: &[u8]) -> Option<String> {
    const BANNER: &[u8] = b"Linux version ";
    if image.get(0x202..0x206)? == b"HdrS" {
        let offset: [u8; 2] = image.get(0x20e..0x210)?.try_into().ok()?;
        return release_at(image.get(usize::from(u16::from_le_bytes(offset)) + 0x200..)?);
    }
    if image.get(0x38..0x3c)? != b"ARM\x64" {
        return None;
    }
    let mut windows = image.windows(BANNER.len()).enumerate();
    // There are formats of that text, too.
    windows.find_map(|(at, window)| {
        (window == BANNER).then(|| release_at(&image[at + BANNER.len()..]))?
    })
}

fn release_at(text: &[u8]) -> Option<String> {
    let release = text.split(|&byte| byte == b' ' || byte == 0).next()?;
    let release = std::str::from_utf8(release).ok()?;
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-+~".contains(c);
    (release.starts_with(|c: char| c.is_ascii_digit()) && release.chars().all(plain))
        .then(|| release.to_owned())
}

/// Reads a module and makes sure it was built for `release`: in the guest that would only show
/// as a failure to load.
fn module_for(module: &Path, release: &str) -> Result<Vec<u8>> {
    let content = read(module)?;
    let Some(built_for) = module_release(&content) else {
        bail!("{} is not a kernel module", module.display());
    };
    ensure!(
        built_for == release,
        "{} was built for Linux {built_for}, the kernel is {release}",
        module.display()
    );
    Ok(content)
}

fn module_release(content: &[u8]) -> Option<String> {
    const KEY: &[u8] = b"\0vermagic=";
    let at = content.windows(KEY.len()).position(|part| part == KEY)? + KEY.len();
    let release = content[at..]
        .split(|&byte| byte == b' ' || byte == 0)
        .next()?;
    String::from_utf8(release.to_vec()).ok()
}

/// Finds a program in `PATH` or where a system administrator's programs are.
pub fn find_program(name: &str, package: &str) -> Result<PathBuf> {
    find_program_in(None, name, package)
}

/// The same below `root`, if there is one, where the file systems of packages were unpacked.
fn find_program_in(root: Option<&Path>, name: &str, package: &str) -> Result<PathBuf> {
    if let Some(root) = root {
        return ["usr/bin", "usr/sbin"]
            .map(|directory| root.join(directory).join(name))
            .into_iter()
            .find(|file| file.is_file())
            .with_context(|| format!("{name} of {package} is not in {}", root.display()));
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin", "/sbin"].map(PathBuf::from))
        .map(|directory| directory.join(name))
        .find(|file| file.is_file())
        .with_context(|| format!("{name} is not installed (Debian package {package})"))
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).with_context(|| path.display().to_string())
}

fn file_name(path: &Path) -> Result<&str> {
    path.file_name()
        .and_then(|name| name.to_str())
        .with_context(|| format!("no usable file name: {}", path.display()))
}

/// Quotes a word for the shell.
fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cpio::tests::read as read_archive;
    use std::os::unix::fs::symlink;

    fn bare() -> Image {
        Image {
            root: None,
            archive: Archive::default(),
            environment: String::new(),
        }
    }

    fn nodes(image: &Image) -> Vec<(String, Node)> {
        read_archive(&image.archive.to_bytes().unwrap())
    }

    #[test]
    fn the_release_is_in_the_images_header() {
        let mut image = vec![0; 0x400];
        image[0x202..0x206].copy_from_slice(b"HdrS");
        image[0x20e..0x210].copy_from_slice(&0x100_u16.to_le_bytes());
        image[0x300..0x317].copy_from_slice(b"7.3.4-klips (a@b) #1 SM");
        assert_eq!(release_of(&image).as_deref(), Some("7.3.4-klips"));
        image[0x300] = b'/';
        assert_eq!(release_of(&image), None);
        image[0x20e..0x210].copy_from_slice(&0xffff_u16.to_le_bytes());
        assert_eq!(release_of(&image), None);
        assert_eq!(release_of(b"\x7fELF"), None);

        let mut image = vec![0; 0x400];
        image[0x38..0x3c].copy_from_slice(b"ARM\x64");
        image[0x210..0x224].copy_from_slice(b"Linux version %s %s\n");
        assert_eq!(release_of(&image), None);
        image[0x310..0x32e].copy_from_slice(b"Linux version 7.3.4-klips (a@b");
        assert_eq!(release_of(&image).as_deref(), Some("7.3.4-klips"));
    }

    #[test]
    fn a_module_for_another_kernel_is_refused() {
        let module = tempfile::NamedTempFile::new().unwrap();
        fs::write(
            module.path(),
            b"\x7fELF\0name=x\0vermagic=7.3.4 SMP mod_unload \0",
        )
        .unwrap();
        assert!(module_for(module.path(), "7.3.4").is_ok());
        let error = module_for(module.path(), "7.3.5").unwrap_err().to_string();
        assert!(error.contains("built for Linux 7.3.4"), "{error}");
        fs::write(module.path(), b"text").unwrap();
        assert!(module_for(module.path(), "7.3.4").is_err());
    }

    #[test]
    fn modules_come_from_the_kernels_build_directory() {
        let build = tempfile::tempdir().unwrap();
        let boot = build.path().join("arch/x86/boot");
        fs::create_dir_all(&boot).unwrap();
        let kernel = boot.join("bzImage");
        fs::write(&kernel, "").unwrap();
        // Not built yet, or built without modules.
        assert!(built_with(&kernel).unwrap().files.is_empty());

        let order = build.path().join("modules.order");
        fs::write(&order, "crypto/ctr.o\nnet/ipv4/esp4.o\n").unwrap();
        let found = built_with(&kernel).unwrap();
        let directory = fs::canonicalize(build.path()).unwrap();
        let expected = ["crypto/ctr.ko", "net/ipv4/esp4.ko"].map(|name| directory.join(name));
        assert_eq!(found.files, expected);

        fs::write(&order, "a/same.o\nb/same.o\n").unwrap();
        assert!(built_with(&kernel).is_err());

        // A copy of an image has left its modules behind.
        let copy = build.path().join("bzImage");
        fs::write(&copy, "").unwrap();
        assert!(built_with(&copy).unwrap().files.is_empty());
    }

    #[test]
    fn commands_reach_the_guest_word_by_word() {
        let words = ["echo", "it's", "a b", "$HOME", ""].map(str::to_owned);
        let script = Job::Run(&words).script();
        assert_eq!(script, "exec 'echo' 'it'\\''s' 'a b' '$HOME' ''\n");
        let output = Command::new("sh").arg("-c").arg(script).output().unwrap();
        assert_eq!(output.stdout, b"it's a b $HOME \n");
        let arguments = ["a*".to_owned()];
        let script = Job::Test(&arguments).script();
        assert_eq!(script, "exec 'guest-tests' 'a*'\n");
    }

    #[test]
    fn programs_bring_their_libraries_and_links() {
        let directory = tempfile::tempdir().unwrap();
        let own = std::env::current_exe().unwrap();
        fs::copy(&own, directory.path().join("ipsec")).unwrap();
        fs::write(directory.path().join("notes.txt"), "").unwrap();
        symlink("ipsec", directory.path().join("spigrp")).unwrap();
        let mut image = bare();
        image.programs(directory.path()).unwrap();

        let nodes = nodes(&image);
        let find = |path: &str| {
            nodes
                .iter()
                .find(|(name, _)| name == path)
                .map(|(_, node)| node)
        };
        let link = Node::Symlink("ipsec".to_owned());
        assert_eq!(find("usr/sbin/spigrp"), Some(&link));
        assert!(find("usr/sbin/notes.txt").is_none());
        assert!(matches!(find("usr/sbin/ipsec"), Some(Node::File(mode, _)) if mode & 0o111 != 0));
        for library in libraries::needed(&own).unwrap() {
            let path = library.to_str().unwrap().trim_start_matches('/');
            assert!(find(path).is_some(), "{path}");
        }
    }

    #[test]
    fn a_directory_without_programs_is_a_mistake() {
        let directory = tempfile::tempdir().unwrap();
        assert!(bare().programs(directory.path()).is_err());
        assert!(bare().programs(&directory.path().join("missing")).is_err());
    }
}
