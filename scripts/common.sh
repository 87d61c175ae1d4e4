# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash disable=SC2034 # used by the scripts that include this
#
# What the scripts share: which tools are used, and where they are.

# The Linux this project is for, and where Debian has it.
readonly series=7.3
readonly codename=trixie
readonly suite=$codename-backports

readonly llvm=19
readonly min_rust=1.85.0 min_bindgen=0.71.1
# Built from crates.io where the distribution's bindgen is older than min_bindgen.
readonly bindgen_pinned=0.72.1

# The kernel is built with the distribution's compiler, not with whatever rustc is first
# in PATH: the sources of its standard library must match it exactly.
readonly rustc=/usr/bin/rustc
# What building for Debian 13's own kernel needs there.
readonly debian_kernel_packages=(make gcc-14-for-host libc6-dev rustc rust-src bindgen flex bison bc
	libelf-dev libssl-dev openssl pahole perl python3-minimal xz-utils)
# AddressSanitizer of clang: not every rustc comes with one.
readonly asan_runtime=/usr/lib/llvm-$llvm/lib/clang/$llvm/lib/linux/libclang_rt.asan-x86_64.a
readonly clippy_driver=/usr/bin/clippy-driver rustfmt=/usr/bin/rustfmt

scripts=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
readonly scripts
readonly jobs=${JOBS:-$(nproc)}

readonly cache=${XDG_CACHE_HOME:-$HOME/.cache}/klips
readonly cached_bindgen=$cache/tools/bindgen-$bindgen_pinned/bin/bindgen

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

need_root() { # WHAT
	((EUID != 0)) || return 0
	command -v sudo >/dev/null || die "$1 needs root, and there is no sudo."
	sudo -n true 2>/dev/null || die "$1 needs root, and sudo would ask for a password."
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

# lock NAME WHAT: held until this process and its children are gone.
lock() {
	local fd
	mkdir -p "$cache/lock"
	exec {fd}>"$cache/lock/$1"
	flock --nonblock "$fd" && return
	say "waiting: another process is busy with $2"
	flock "$fd"
}

need_space() { # GIGABYTES
	local free
	free=$(df --output=avail -k "$cache" | tail -n 1)
	((free >= $1 * 1024 * 1024)) ||
		die "$cache has $((free / 1024 / 1024)) GB free, $1 GB are needed." \
			"Make room (scripts/kernel.sh list shows the cache), or set XDG_CACHE_HOME to a larger disk."
}

# Copies the output of make or cargo to a log and tells what it is at: on a terminal in one
# line that changes, else in a line every ten seconds.  How far it is, too, if the number of
# steps make will take is known.
progress() { # LOG [STEPS]
	local line what='' steps=0 percent='' status start=$SECONDS last=$SECONDS interval=10
	[[ ! -t 2 ]] || interval=1
	while true; do
		status=0
		IFS= read -r -t "$interval" line || status=$?
		if ((status == 0)); then
			printf '%s\n' "$line" >&3
			if [[ ${2:-} && $line == '  '[A-Z]* ]]; then
				steps=$((steps + 1)) what=${line##* }
				percent=$((steps < $2 ? steps * 100 / $2 : 99))
				printf -v percent '%2d%%  ' "$percent"
			elif [[ -z ${2:-} && $line =~ ^\ +([A-Z][a-z-]+\ [^\ ]+(\ v[0-9.]+)?) ]]; then
				what=${BASH_REMATCH[1]}
			fi
		elif ((status > 128)); then
			printf '%s' "$line" >&3
		else
			break
		fi
		((SECONDS - last >= interval)) || continue
		last=$SECONDS
		printf -v line '%s: %2d:%02d  %s%s' "$me" \
			$(((last - start) / 60)) $(((last - start) % 60)) "$percent" "$what"
		if [[ -t 2 ]]; then printf '\r\033[K%.78s' "$line" >&2; else printf '%s\n' "$line" >&2; fi
	done 3>>"$1"
	[[ ! -t 2 ]] || printf '\r\033[K' >&2
}

# build_errors LOG: what of a build's log tells why it failed.
build_errors() {
	{ grep -E -A 3 '(error|Error [0-9]+|undefined symbol|not found|Killed)' "$1" || tail -n 20 "$1"; } | head -n 40
}

# logged LOG COMMAND...: shows the progress of a quiet command, and its errors if it fails.
logged() {
	local log=$1 status=0
	shift
	mkdir -p "${log%/*}"
	: >"$log"
	"$@" 2>&1 | progress "$log" || status=$?
	if ((status != 0)); then
		{ grep -A 1000 -m 1 '^error' "$log" || tail -n 20 "$log"; } >&2
		say "that failed; the log is $log"
	fi
	return $status
}
