# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash disable=SC2034 # used by the scripts that include this
#
# What the scripts share: which tools are used, and where they are.

# The Linux this project is for, the oldest first, and which of them the tests run on; SERIES names
# another. Where Debian has them.
readonly known_series=(7.2 7.3)
series=${SERIES:-7.3}
readonly codename=trixie
suite=${SUITE:-$codename-backports}

# What the kernel, the module and the tools in the guest are built for: ARCH names another than this
# machine's. How the kernel's makefiles call it, and the image that they make.
readonly arch=${ARCH:-x86_64}
case $arch in
x86_64) kernel_image=arch/x86/boot/bzImage ;;
arm64) kernel_image=arch/arm64/boot/Image ;;
esac

readonly llvm=19
readonly min_rust=1.85.0 min_bindgen=0.71.1
# Built from crates.io where the distribution's bindgen is older than min_bindgen.
readonly bindgen_pinned=0.72.1
readonly mutants_pinned=26.0.0
readonly virt_firmware_pinned=26.10

# The kernel is built with the distribution's compiler, not with whatever rustc is first
# in PATH: the sources of its standard library must match it exactly.
readonly rustc=/usr/bin/rustc
# What building for Debian 13's own kernel needs there; other releases have another gcc.
readonly debian_kernel_packages=(make gcc-14-for-host libc6-dev rustc rust-src bindgen flex bison bc
	libelf-dev libssl-dev openssl pahole perl python3-minimal xz-utils)
# AddressSanitizer of clang: not every rustc comes with one.
readonly asan_runtime=/usr/lib/llvm-$llvm/lib/clang/$llvm/lib/linux/libclang_rt.asan-x86_64.a
# Disk space in megabytes: the kernel's source with its package, a kernel, tools with their tests.
readonly source_space=2200 build_space=900 tools_space=1500
readonly clippy_driver=/usr/bin/clippy-driver rustfmt=/usr/bin/rustfmt

scripts=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
readonly scripts
readonly jobs=${JOBS:-$(nproc)}

readonly cache=${XDG_CACHE_HOME:-$HOME/.cache}/klips
sources=$cache/src${SUITE:+/$SUITE}
readonly cached_bindgen=$cache/tools/bindgen-$bindgen_pinned/bin/bindgen
readonly cached_mutants=$cache/tools/cargo-mutants-$mutants_pinned/bin/cargo-mutants
readonly cached_virt_firmware=$cache/tools/virt-firmware-$virt_firmware_pinned

# Whose messages these are.
if [[ -z ${me:-} ]]; then
	me=${0##*/}
	me=${me%.sh}
fi

say() { printf '%s: %s\n' "$me" "$*" >&2; }

die() { # MESSAGE [ADVICE...]
	say "error: $1"
	shift
	(($# == 0)) || printf '  %s\n' "$@" >&2
	exit 1
}

# at_least HAVE WANT: compares dotted versions.
at_least() { [[ $(printf '%s\n%s\n' "$2" "$1" | sort -V | head -n 1) == "$2" ]]; }

# version_of COMMAND: "rustc 1.96.0 (...)" gives 1.96.0; fails if it does not run.
version_of() {
	local text
	text=$("$1" --version 2>/dev/null) || return 1
	text=${text#* }
	printf '%s\n' "${text%%[^0-9.]*}"
}

is_at_least() { # COMMAND VERSION
	local version
	version=$(version_of "$1") && at_least "$version" "$2"
}

as_root() {
	if ((EUID == 0)); then "$@"; else sudo -n "$@"; fi
}

# The password is asked for once, at the start, and by a person only.
need_root() { # WHAT
	((EUID != 0)) || return 0
	command -v sudo >/dev/null || die "$1 needs root, and there is no sudo." "Run it as root once."
	! sudo -n true 2>/dev/null || return 0
	[[ -t 0 && -t 2 ]] ||
		die "$1 needs root, sudo asks for a password, and there is no terminal to ask on." \
			"Run scripts/deps.sh on one first, or as root."
	say "$1 needs root"
	sudo -v || die "$1 needs root."
}

# Of these Debian packages, those that are not installed.
not_installed() { # PACKAGE...
	local package
	for package in "$@"; do
		[[ $(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null) == installed ]] ||
			printf '%s\n' "$package"
	done
}

# The code name of this Debian.
own_codename() { sed -n 's/^VERSION_CODENAME=//p' /etc/os-release; }

# kernel_option CONFIG NAME: the value of CONFIG_NAME, without quotes; nothing if not set.
kernel_option() { sed -n "s/^CONFIG_$2=\"\?\([^\"]*\)\"\?\$/\1/p" "$1"; }

# What the project is for, as people say it.
known_kernels() {
	local known
	known=$(printf ', %s' "${known_series[@]}")
	known=${known#, }
	printf '%s\n' "${known%, *} and ${known##*, }"
}

# judge_release RELEASE: "known"; "old", for which there is no way; or "new": who knows.
judge_release() {
	local known
	for known in "${known_series[@]}"; do
		[[ $1 != "$known" && $1 != "$known"[.-]* ]] || {
			echo known
			return
		}
	done
	if [[ $1 == [0-9]* ]] && at_least "$1" "${known_series[-1]}"; then echo new; else echo old; fi
}

# Why not, in a sentence's second half.
readonly too_old="klips is for Linux ${known_series[0]} and newer: older ones lack the crate zerocopy that it reads messages with"

# The version of this project.
project_version() { sed -n 's/^version = "\(.*\)"$/\1/p' "$scripts/../Cargo.toml"; }

# The standard library's sources for $rustc.
rust_sources() {
	local dir version
	version=$(version_of "$rustc") || return 1
	for dir in "/usr/src/rustc-$version/library" \
		"$("$rustc" --print sysroot)/lib/rustlib/src/rust/library"; do
		if [[ -e $dir/core/src/lib.rs ]]; then
			printf '%s\n' "$dir"
			return
		fi
	done
	return 1
}

# The first bindgen that is new enough.
find_bindgen() {
	local file
	for file in /usr/bin/bindgen "$cached_bindgen"; do
		if is_at_least "$file" $min_bindgen; then
			printf '%s\n' "$file"
			return
		fi
	done
	return 1
}

# Puts a cargo that is new enough first in PATH, with the rustc beside it.
use_cargo() {
	is_at_least cargo $min_rust && return
	is_at_least /usr/bin/cargo $min_rust || die "there is no cargo $min_rust or newer." "scripts/deps.sh installs it."
	PATH=/usr/bin:$PATH
}

# Has cargo build for arm64, with the compiler that the standard library unpacked there is for.
cross_cargo() {
	local root flags
	root=$("$scripts/arm64-root.sh")
	flags=("--sysroot=$root/usr" "-Clinker=clang-$llvm" -Clink-arg=--target=aarch64-linux-gnu
		"-Clink-arg=--sysroot=$root" -Clink-arg=-fuse-ld=lld)
	CARGO_ENCODED_RUSTFLAGS=$(
		IFS=$'\x1f'
		printf '%s' "${flags[*]}"
	)
	export CARGO_ENCODED_RUSTFLAGS RUSTC=$rustc CARGO_BUILD_TARGET=aarch64-unknown-linux-gnu
}

# lock NAME WHAT: held until unlock, or until this process and its children are gone.
lock() {
	mkdir -p "$cache/lock"
	exec {lock_fd}>"$cache/lock/$1"
	flock --nonblock "$lock_fd" && return
	say "waiting: another process is busy with $2"
	flock "$lock_fd"
}

unlock() { exec {lock_fd}>&-; }

[[ ${kernel_image:-} ]] || die "ARCH: klips is tested on x86_64 and arm64, not on $arch."
[[ " ${known_series[*]} " == *" $series "* ]] || die "SERIES: klips knows Linux $(known_kernels), not $series." \
	"For the source of another, set KERNEL_SRC; for one that is built, KDIR."

# shellcheck source-path=SCRIPTDIR source=progress.sh
. "$scripts/progress.sh"
