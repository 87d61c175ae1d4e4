#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Installs what building and testing needs, and only what is missing.  Takes a fraction of a second
# when everything is there.  Asks nothing, unless sudo wants a password and there is a terminal.
#
#   scripts/deps.sh         for the module, the tools, the test kernel and the tests
#   scripts/deps.sh lint    also for "make lint"
#   scripts/deps.sh debian-kernel
#                           for a module for Debian 13's own kernel
#   scripts/deps.sh fuzz    also for scripts/fuzz.sh
#   scripts/deps.sh asan    also for scripts/asan.sh
#   scripts/deps.sh bench   also for "make bench"
#   scripts/deps.sh mutants also for scripts/mutants.sh
#   scripts/deps.sh secure-boot
#                           also for scripts/secure-boot-test.sh
#   scripts/deps.sh check   installs nothing, fails if something is missing

set -euo pipefail

# shellcheck source-path=SCRIPTDIR source=common.sh
. "$(dirname -- "${BASH_SOURCE[0]}")/common.sh"

missing=() # Debian packages

# --- What is there -----------------------------------------------------------

need_command() { # COMMAND [PACKAGE]
	command -v "$1" >/dev/null || missing+=("${2:-$1}")
}

need_file() { # FILE PACKAGE
	[[ -e $1 ]] || missing+=("$2")
}

check_packages() {
	need_command make
	need_command gcc
	need_command "clang-$llvm"
	need_command "ld.lld-$llvm" "lld-$llvm"
	need_command "llvm-objcopy-$llvm" "llvm-$llvm"
	need_command flex
	need_command bison
	need_command bc
	need_command perl
	need_command xz xz-utils
	need_command kmod
	need_command pgrep procps
	need_command qemu-system-x86_64 qemu-system-x86
	[[ $arch != arm64 ]] || need_command qemu-system-aarch64 qemu-system-arm
	need_command busybox busybox-static
	need_command ip iproute2
	need_command ping iputils-ping
	need_command tcpdump
	# Takes packets apart that guests have sent.
	need_file /usr/lib/python3/dist-packages/scapy/layers/ipsec.py python3-scapy
	need_file /usr/lib/python3/dist-packages/cryptography/__init__.py python3-cryptography
	need_file /usr/include/stdio.h libc6-dev
	need_file /usr/include/gelf.h libelf-dev
	need_file "/usr/lib/llvm-$llvm/lib/libclang-$llvm.so.1" "libclang1-$llvm"
	need_file /etc/ssl/certs/ca-certificates.crt ca-certificates
	if [[ $mode == lint ]]; then
		need_command shellcheck
		need_command mandoc
		need_command groff groff-base
		# Reads the graphs that "ipsec look" draws.
		need_command dot graphviz
	fi
	[[ $mode != fuzz ]] || need_command g++
	[[ $mode != asan ]] || need_file "$asan_runtime" "libclang-rt-$llvm-dev"
	[[ $mode != secure-boot ]] || check_secure_boot_packages
	[[ $mode != bench ]] || need_file /usr/share/fonts/truetype/dejavu/DejaVuSans.ttf fonts-dejavu-core
}

check_secure_boot_packages() {
	need_command openssl
	need_command objcopy binutils
	need_command sbsign sbsigntool
	need_command mformat mtools
	need_file /usr/share/OVMF/OVMF_CODE_4M.secboot.fd ovmf
	need_file /usr/lib/shim/shimx64.efi.signed shim-signed
	need_file /usr/lib/systemd/boot/efi/linuxx64.efi.stub systemd-boot-efi
	python3 -c 'import ensurepip' 2>/dev/null || missing+=(python3-venv)
}

check_debian_kernel_packages() {
	if [[ $(own_codename) == "$codename" ]]; then
		mapfile -t missing < <(not_installed "${debian_kernel_packages[@]}")
	else
		need_command debootstrap
	fi
}

have_rustc() { is_at_least "$rustc" $min_rust; }
have_sources() { rust_sources >/dev/null; }
have_cargo() { (use_cargo) 2>/dev/null; }
have_bindgen() { find_bindgen >/dev/null; }
have_mutants() { [[ $mode != mutants || -x $cached_mutants ]]; }
have_virt_firmware() { [[ $mode != secure-boot || -x $cached_virt_firmware/bin/virt-fw-vars ]]; }
have_lint() { [[ $mode != lint || (-x $clippy_driver && -x $rustfmt) ]]; }
have_rust() { have_rustc && have_sources && have_cargo && have_lint; }

everything_missing() {
	local list=("${missing[@]}")
	have_rustc && have_sources || list+=("rustc $min_rust (or newer) and its library sources")
	have_cargo || list+=("cargo $min_rust")
	have_bindgen || list+=("bindgen $min_bindgen")
	have_mutants || list+=("cargo-mutants $mutants_pinned")
	have_virt_firmware || list+=("virt-firmware $virt_firmware_pinned")
	have_lint || list+=("clippy and rustfmt of $rustc")
	local IFS=,
	printf '%s' "${list[*]}" | sed 's/,/, /g'
}

# --- Installing --------------------------------------------------------------

run_apt() {
	local status=0
	: >"$work/log"
	# The packages are downloaded to a place of our own: in containers a hook empties the
	# system's, even while another process is installing from it.
	watched "$work/log" read_apt 0 0 as_root env DEBIAN_FRONTEND=noninteractive LC_ALL=C apt-get -q -y \
		-o DPkg::Lock::Timeout=600 -o Acquire::Retries=3 -o Dpkg::Use-Pty=0 \
		-o Dir::Cache::archives="$work/archives" "$@" || status=$?
	((status != disk_is_full)) || die_of_full_disk / /var /usr
	if ((status != 0)); then
		tail -n 15 "$work/log" >&2
		die "apt-get $1 failed; its last words are above." "Wanted: ${missing[*]:-the package lists}"
	fi
}

# Room for all that the targets of the Makefile make, before the first of it.
need_all_space() {
	local room=("$cache" 10) packages=(/ 100) found
	if ((${#missing[@]})) || ! have_rust; then
		# The compilers are most of it.
		if command -v "clang-$llvm" >/dev/null && have_rust; then packages=(/ 500); else packages=(/ 2500); fi
	fi
	if [[ -z ${KERNEL_SRC:-} ]]; then
		found=("$cache/src/linux-$series".*)
		[[ -d ${found[0]} ]] || room+=("$cache" "$source_space")
	fi
	found=("$cache"/kernel/*/.complete)
	[[ -e ${found[0]} ]] || room+=("$cache" "$build_space")
	[[ -d ${scripts%/*}/build/cargo ]] || room+=("${scripts%/*}" "$tools_space")
	need_space "${packages[@]}" "${room[@]}"
}

candidate() { # PACKAGE: the version apt would install, without epoch and revision
	local version
	version=$(LC_ALL=C apt-cache policy "$1" 2>/dev/null | sed -n 's/^  Candidate: //p')
	version=${version#*:}
	printf '%s\n' "${version%%[-+~]*}"
}

offers() { # PACKAGE VERSION
	local version
	version=$(candidate "$1")
	[[ $version == [0-9]* ]] && at_least "$version" "$2"
}

# Debian has the Rust compiler under two names: "rustc" and, kept newer in stable releases,
# "rustc-web".  Compiler, sources, cargo and linter must come from the same one.
choose_rust_packages() {
	local owner='' new_compiler=0
	if [[ -e $rustc ]]; then
		owner=$(dpkg-query -S $rustc 2>/dev/null) || true
		owner=${owner%%:*}
	fi
	if ! have_rustc; then
		[[ $owner != rustup ]] ||
			die "$rustc belongs to the package rustup; the kernel needs the distribution's compiler." \
				"Remove it (apt-get remove rustup; a rustup in the home directory may stay), then try again."
		if offers rustc $min_rust; then
			owner='rustc'
		elif offers rustc-web $min_rust; then
			owner='rustc-web'
		else
			die "this release has no rustc $min_rust or newer (rustc is $(candidate rustc))." \
				"Debian 12 has rustc-web in its updates: are they among the system's apt sources?"
		fi
		missing+=("$owner")
		new_compiler=1
	fi
	case $owner in
	rustc) set -- rust-src cargo rust-clippy rustfmt ;;
	rustc-web) set -- rust-web-src cargo-web rust-web-clippy rustfmt-web ;;
	*) die "$rustc comes from no package known here; its library sources, a cargo or a linter are missing." \
		"Install Debian's rustc, rust-src and cargo instead (Debian 12: rustc-web, rust-web-src, cargo-web)." ;;
	esac
	((!new_compiler)) && have_sources || missing+=("$1")
	have_cargo || missing+=("$2")
	[[ $mode != lint ]] || { ((!new_compiler)) && have_lint; } || missing+=("$3" "$4")
}

# Builds a program of crates.io into the cache.
install_crate() { # CRATE VERSION NAME
	use_cargo
	mkdir -p "$cache/tools"
	# Built aside and renamed: complete or not there at all.
	local aside
	aside=$(mktemp -d "$cache/tools/.new.XXXXXX")
	: >"$work/log"
	watched "$work/log" read_cargo 0 0 env LIBCLANG_PATH=/usr/lib/llvm-$llvm/lib CARGO_TARGET_DIR="$work/target" \
		cargo install "$1" --version "$2" --locked --root "$aside" || {
		(($? != disk_is_full)) || die_of_full_disk "$work" "$cache"
		tail -n 15 "$work/log" >&2
		rm -rf "$aside"
		die "$3 $2 did not build; the last words are above." \
			"cargo gets it from crates.io: is that reachable?"
	}
	mv -T "$aside" "$cache/tools/$3-$2" 2>/dev/null || rm -rf "$aside"
}

install_bindgen() {
	say "building bindgen $bindgen_pinned, the distribution's is too old (about a minute)"
	install_crate bindgen-cli $bindgen_pinned bindgen
	have_bindgen || die "bindgen was built but does not run: $cached_bindgen"
}

install_mutants() {
	say "building cargo-mutants $mutants_pinned (some minutes)"
	install_crate cargo-mutants $mutants_pinned cargo-mutants
	have_mutants || die "cargo-mutants was built but does not run: $cached_mutants"
}

# What changes the variables of a firmware; Debian 12 has no package of it.
install_virt_firmware() {
	say "installing virt-firmware $virt_firmware_pinned from PyPI"
	mkdir -p "$cache/tools"
	rm -rf "$cached_virt_firmware"
	python3 -m venv "$cached_virt_firmware"
	"$cached_virt_firmware/bin/pip" -q install "virt-firmware==$virt_firmware_pinned" >"$work/log" 2>&1 || {
		tail -n 15 "$work/log" >&2
		rm -rf "$cached_virt_firmware"
		die "virt-firmware $virt_firmware_pinned was not installed; the last words are above."
	}
}

main() {
	mode=${1:-install}
	case $mode in
	install | lint | fuzz | asan | bench | mutants | secure-boot | check) check_packages ;;
	debian-kernel) check_debian_kernel_packages ;;
	*) die "usage: scripts/deps.sh [lint|fuzz|asan|bench|mutants|secure-boot|debian-kernel|check]" ;;
	esac
	[[ $mode == check || $mode == debian-kernel ]] || need_all_space
	if ((${#missing[@]} == 0)) && have_rust && have_bindgen && have_mutants && have_virt_firmware; then
		return
	fi
	if [[ $mode == check ]]; then
		die "missing: $(everything_missing)" "scripts/deps.sh installs it."
	fi
	command -v apt-get >/dev/null ||
		die "this is not Debian, so install these by hand: $(everything_missing)"

	work=$(mktemp -d)
	# apt may have written there as root.
	trap 'rm -rf "$work" 2>/dev/null || sudo -n rm -rf "$work"' EXIT
	mkdir -p "$work/archives/partial"

	if ((${#missing[@]})) || ! have_rust || { ! have_bindgen && offers bindgen $min_bindgen; }; then
		need_root "installing $(everything_missing)"
		say "updating the package lists"
		run_apt update
		have_rust || choose_rust_packages
		have_bindgen || ! offers bindgen $min_bindgen || missing+=(bindgen)
		say "installing ${missing[*]}"
		run_apt install --no-install-recommends "${missing[@]}"
		hash -r
	fi
	have_bindgen || install_bindgen
	have_mutants || install_mutants
	have_virt_firmware || install_virt_firmware
	say "everything needed is there"
}

main "$@"
