#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Shows scripts/doctor.sh a computer on which everything is there, made of empty files and programs
# that only know their version, and takes away one thing after the other.

set -euo pipefail

# shellcheck source-path=SCRIPTDIR source=common.sh
. "$(dirname -- "${BASH_SOURCE[0]}")/common.sh"
# shellcheck source-path=SCRIPTDIR source=checks.sh
. "$scripts/checks.sh"

work=$(mktemp -d)
trap 'status=$?; rm -rf "$work"; finish_checks $status' EXIT
kdir=$work/kernel bin=$work/bin root=$work/root

program() { # NAME OUTPUT
	printf '#!/bin/sh\necho "%s"\n' "$2" >"$bin/$1"
	chmod +x "$bin/$1"
}

config() { printf 'CONFIG_%s\n' "$@" >"$kdir/.config"; }

begin() {
	local name
	rm -rf "$kdir" "$bin" "$root"
	mkdir -p "$kdir"/{include/config,include/generated,scripts/mod,rust,tools/objtool} "$bin" \
		"$root"/{etc,proc,sys/module/module/parameters,sys/kernel/security}
	config 'RUST=y' 'MODULES=y' 'NET=y' 'INET=y' 'XFRM=y' 'NET_KEY=m' 'XFRM_ALGO=m' 'XFRM_INTERFACE=m' 'IPV6=y' \
		INET{,6}_{ESP,AH,IPCOMP,XFRM_TUNNEL}=m 'OBJTOOL=y' 'CC_IS_CLANG=y' 'CLANG_VERSION=770102' \
		'RUSTC_VERSION_TEXT="rustc 7.7.1 (of the kernel)"'
	echo "$series.77-fake" >"$kdir/include/config/kernel.release"
	touch "$kdir"/include/{config/auto.conf,generated/{autoconf.h,rustc_cfg}} \
		"$kdir"/scripts/{mod/modpost,module.lds,target.json} "$kdir"/{tools/objtool/objtool,Module.symvers} \
		"$kdir"/rust/lib{core,compiler_builtins,ffi,build_error,bindings,uapi,pin_init,zerocopy,kernel}.rmeta \
		"$kdir"/rust/lib{macros,pin_init_internal,zerocopy_derive}.so
	for name in bash cat dirname env grep head nproc sed sort tr; do
		ln -s "$(command -v $name)" "$bin"
	done
	program uname "$series.77-running"
	program rustc 'rustc 7.7.1 (of the kernel)'
	program cargo 'cargo 7.7.1'
	for name in make cc clang-77 ld.lld-77; do
		program $name ''
	done
	echo 'ID=debian' >"$root/etc/os-release"
	echo 'klips 1 0 - Live 0x0' >"$root/proc/modules"
	echo N >"$root/sys/module/module/parameters/sig_enforce"
	echo '[none] integrity confidentiality' >"$root/sys/kernel/security/lockdown"
}

doctor() { PATH=$bin "${hide[@]}" "$bin/bash" "$scripts/doctor.sh" "$kdir" "$root" 2>&1; }
hide=()

# That one thing is missing, and nothing else; and that the remedy has a text in it.
finds() { # WHAT REMEDY
	local output status=0
	output=$(doctor) || status=$?
	same "$(grep -o '^missing  [^:]*' <<<"$output")" "missing  $1" && has "$output" "$2" && ((status == 1))
}

# without WHAT REMEDY COMMAND...: COMMAND takes it away.
without() {
	begin
	"${@:3}"
	check "finds missing: $1 (${*:3})" finds "$1" "$2"
}

write() { printf '%s\n' "$1" >"$2"; }
drop_option() { sed -i "/^CONFIG_$1=/d" "$kdir/.config"; }
set_option() { sed -i "s/^CONFIG_$1=.*/CONFIG_$1=$2/" "$kdir/.config"; }
gcc_kernel() {
	drop_option CC_IS_CLANG
	printf 'CONFIG_%s\n' 'GCC_VERSION=770102' 'CC_VERSION_TEXT="x86-gcc-77 (of the kernel) 77.1.2"' >>"$kdir/.config"
	rm "$bin/clang-77" "$bin/ld.lld-77"
}

begin
check "finds everything" doctor
check "says so line by line" test "$(doctor | grep -c '^ok ')" -eq 26

oldest="Linux ${known_series[0]} or newer"
for release in 6.18.9-amd64 7.1.13 7.0.9; do
	without "$oldest" "that directory is $release; $too_old" write $release "$kdir/include/config/kernel.release"
done
check "begins with that" same "$(doctor | head -n 1 | cut -d : -f 1)" "missing  $oldest"
check "and says nothing of headers then" fails grep -q headers <(doctor)
without "$oldest, it is of unknown version" "of such a kernel" rm "$kdir/include/config/kernel.release"
for known in "${known_series[@]}"; do
	begin
	write "$known.77" "$kdir/include/config/kernel.release"
	check "finds Linux $known" has "$(doctor)" "ok       Linux $known.77"
done
for release in 7.4.0 7.30.1-rc1 8.0; do
	begin
	write $release "$kdir/include/config/kernel.release"
	check "says that $release is untried" has "$(doctor)" "untried  Linux $release: klips was made for 7.2 and 7.3"
	check "and goes on" doctor
done
# The running one.
begin
program uname 6.18.9-amd64
running() { PATH=$bin "$bin/bash" "$scripts/doctor.sh" '' "$root" 2>&1 || true; }
check "begins with the running kernel's series" same "$(running | head -n 1 | cut -d , -f 1)" \
	"missing  $oldest: you run 6.18.9-amd64; $too_old; install (Debian: linux-image-amd64 of $suite; Ubuntu: no package has it; Fedora: kernel 7.3; Arch: linux 7.3) and boot it"
check "and says how to get another" has "$(running | head -n 1)" "linux-image-amd64 of $suite"
for option in MODULES NET INET XFRM RUST; do
	without "CONFIG_$option" "CONFIG_$option=y" drop_option $option
done
without "CONFIG_NET_KEY not built in" "CONFIG_NET_KEY=m" set_option NET_KEY y
without "xfrm_algo, which klips.ko needs" "no CONFIG_XFRM_ALGO;" drop_option XFRM_ALGO
without "xfrm interfaces, which ipsec tncfg makes" "no CONFIG_XFRM_INTERFACE;" drop_option XFRM_INTERFACE
for option in ESP AH IPCOMP XFRM_TUNNEL; do
	without "ESP, AH, IPComp and tunnels for IPv4" "no CONFIG_INET_$option;" drop_option INET_$option
	without "ESP, AH, IPComp and tunnels for IPv6" "no CONFIG_INET6_$option;" drop_option INET6_$option
done
begin
set_option INET_ESP y
drop_option IPV6
drop_option INET6_ESP
check "wants no IPv6 protocols without IPv6" doctor

mine='rustc 7.7.1 (of the kernel)'
without "the kernel's $mine" "of release 7.7.1" rm "$bin/rustc"
without "the kernel's $mine" "of release 7.7.1" program rustc 'rustc 7.7.1 (of another)'
without "the kernel's rustc" "that built the kernel" drop_option RUSTC_VERSION_TEXT
without "the kernel's clang 77" "clang-77, lld-77, llvm-77" rm "$bin/clang-77"
without "its linker" "lld-77" rm "$bin/ld.lld-77"
without "the kernel's gcc 77" "gcc-77" gcc_kernel
gcc_and_other() {
	gcc_kernel
	program gcc 770
}
without "the kernel's gcc 77" "gcc-77" gcc_and_other
for name in x86-gcc-77 gcc-77 gcc; do
	begin
	gcc_kernel
	program $name 77
	check "finds gcc as $name" doctor
done

for file in include/config/auto.conf include/generated/{autoconf.h,rustc_cfg}; do
	without "the kernel's generated headers" "no $file in" rm "$kdir/$file"
done
for file in scripts/mod/modpost scripts/module.lds scripts/target.json; do
	without "the kernel's tools for modules" "no $file in" rm "$kdir/$file"
done
without "objtool" "no tools/objtool/objtool in" rm "$kdir/tools/objtool/objtool"
without "the kernel's symbols" "no Module.symvers in" rm "$kdir/Module.symvers"
begin
for file in "$kdir"/rust/*; do
	without "the metadata of the kernel's Rust crates" "no ${file#"$kdir/"} in" rm "$file"
done
without "a kernel's configuration in $kdir" "linux-headers-$series.77-fake" rm "$kdir/.config" "$kdir/include/config/auto.conf"

without "make" "install" rm "$bin/make"
without "a linker for the tools" "libc6-dev" rm "$bin/cc"
# The system's own cargo would do, too.
own_mounts=(unshare --mount)
((EUID == 0)) || own_mounts+=(--user --map-root-user)
if [[ -e /usr/bin/cargo ]] && "${own_mounts[@]}" mount --bind /dev/null /usr/bin/cargo; then
	# shellcheck disable=SC2016 # for that shell
	hide=("$(command -v unshare)" "${own_mounts[@]:1}" /bin/sh -c '/bin/mount --bind /dev/null /usr/bin/cargo && exec "$@"' hide)
fi
if [[ ! -e /usr/bin/cargo || ${hide[*]} ]]; then
	without "cargo $min_rust or newer, for the tools" "cargo" rm "$bin/cargo"
	without "cargo $min_rust or newer, for the tools" "cargo" program cargo 'cargo 1.84.1'
fi
hide=()

without "af_key is not loaded" "rmmod af_key" write "af_key 1 0 - Live 0x0" "$root/proc/modules"
without "modules need no signature" "Key was rejected by service" write Y "$root/sys/module/module/parameters/sig_enforce"
for mode in integrity confidentiality; do
	without "the kernel is not locked down" "mokutil --import /var/lib/dkms/mok.pub" write "none [$mode]" "$root/sys/kernel/security/lockdown"
done

# Whose packages come first.
for pair in 'ID=ubuntu:Ubuntu' 'ID=fedora:Fedora' 'ID=arch:Arch' 'ID="linuxmint" ID_LIKE="ubuntu debian":Ubuntu' 'ID=gentoo:Debian'; do
	begin
	rm "$bin/make"
	tr ' ' '\n' <<<"${pair%:*}" >"$root/etc/os-release"
	check "knows ${pair%:*}" has "$(doctor)" "install (${pair#*:}: make"
done
