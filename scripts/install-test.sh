#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Installs below directories of its own, and looks at what is there and what is left.

set -euo pipefail

# shellcheck source-path=SCRIPTDIR source=common.sh
. "$(dirname -- "${BASH_SOURCE[0]}")/common.sh"
# shellcheck source-path=SCRIPTDIR source=checks.sh
. "$scripts/checks.sh"

work=$(mktemp -d)
trap 'status=$?; rm -rf "$work"; finish_checks $status' EXIT
root=$work/root
version=$(project_version)

run() { DESTDIR=$root "$scripts/install.sh" "$@"; }

left() { (cd "$root" && find . -mindepth 1 | sort); }

# A system that other software is on.
begin() {
	rm -rf "$root"
	mkdir -p "$root/usr/local/sbin" "$root/etc/modprobe.d"
	printf 'of another program\n' >"$root/usr/local/sbin/ipsec"
	before=$(left)
}

begin
check "installs" run install
for file in libexec/klips/ipsec libexec/klips/spigrp libexec/klips/ipsec_spi libexec/klips/eroute sbin/klips include/klips/klips.h \
	share/bash-completion/completions/klips share/zsh/site-functions/_klips share/fish/vendor_completions.d/klips.fish \
	lib/systemd/system/klips.service lib/systemd/system/klips-manual.service lib/systemd/system/klips-tncfg.service "src/klips-$version/Kbuild" "src/klips-$version/rust/sys/socket.c"; do
	check "there is $file" test -e "$root/usr/local/$file"
done
check "klips is the tool" has "$("$root/usr/local/sbin/klips" --version)" "klips, $version"
check "it is its own name" has "$("$root/usr/local/sbin/klips" spigrp --help)" "klips spigrp"
doctor() { "$root/usr/local/sbin/klips" doctor "$@" 2>&1 || true; }
check "it has a doctor" has "$(doctor /nonexistent)" "missing  a kernel's configuration in /nonexistent"
check "which begins with the kernel" has "$(doctor | head -n 1)" "Linux ${known_series[0]} or newer"
check "its page has its name" same "$(grep -E '^\.(Dt|Nm ipsec)' "$root/usr/local/share/man/man8/klips.8")" '.Dt KLIPS 8'
check "the other ipsec is as it was" grep -qx 'of another program' "$root/usr/local/sbin/ipsec"
for name in spi spigrp eroute; do
	check "there is $name.batch" test -e "$root/etc/klips/$name.batch"
	check "the service runs it" grep -q "^ExecStart=.*/ipsec $name --batch /etc/klips/$name.batch$" \
		"$root/usr/local/lib/systemd/system/klips.service"
done
for name in spi.batch ipsec.conf; do
	check "nobody else reads keys in $name" same "$(stat -c %a "$root/etc/klips" "$root/etc/klips/$name")" $'700\n600'
done
check "the file of connections has none" same "$("$root/usr/local/sbin/klips" manual --config "$root/etc/klips/ipsec.conf" --showonly --up --all)" ""
check "nothing is left to be filled in" fails grep -rE '@[A-Z]+@' "$root/usr/local/lib" "$root/usr/local/src" --include=dkms.conf --include='*.service'
check "DKMS gets the version" grep -qx "PACKAGE_VERSION=\"$version\"" "$root/usr/local/src/klips-$version/dkms.conf"

# Which kernels DKMS builds for, as its own reading of that file has it.
mkdir -p "$work/headers/rust"
touch "$work/headers/rust/libkernel.rmeta"
dkms_takes() ( # RELEASE [HEADERS]
	# shellcheck disable=SC2034 # for what is read
	kernelver=$1 kernel_source_dir=${2:-$work/headers}
	# shellcheck disable=SC1090 # made here
	. "$root/usr/local/src/klips-$version/dkms.conf"
	[[ $kernelver =~ $BUILD_EXCLUSIVE_KERNEL ]]
)
for known in "${known_series[@]}"; do
	check "DKMS builds for Linux $known" dkms_takes "$known.12+deb13-amd64"
	check "but not without metadata" fails dkms_takes "$known.12+deb13-amd64" "$work"
done
for release in 6.18.9-amd64 7.1.13 7.20.1 7.4.0 8.0.1; do
	check "DKMS passes over $release" fails dkms_takes "$release"
done
export KLIPS_UNTRIED=1
check "DKMS tries a newer one when told to" dkms_takes 7.4.0
check "but no older one" fails dkms_takes 7.1.13
check "nor one without metadata" fails dkms_takes 7.4.0 "$work"
unset KLIPS_UNTRIED

check "installs again" run install
check "what belongs to others is not on the list" fails grep -q 'usr/local/sbin/ipsec' "$root/usr/local/libexec/klips/installed"
check "uninstalls" run uninstall
check "nothing is left" same "$(left)" "$before"
check "cannot uninstall twice" fails run uninstall

check "refuses to replace another ipsec" fails env INSTALL_IPSEC=1 DESTDIR="$root" "$scripts/install.sh" install
check "and leaves nothing behind" same "$(left)" "$before"
rm "$root/usr/local/sbin/ipsec"
check "installs ipsec when asked to" env INSTALL_IPSEC=1 DESTDIR="$root" "$scripts/install.sh" install
check "which is the tool" has "$("$root/usr/local/sbin/ipsec" --version)" "ipsec, $version"
check "installs without it again" run install
check "which takes it away" fails test -e "$root/usr/local/sbin/ipsec"

printf 'my own\n' >>"$root/etc/klips/spi.batch"
check "installs over a changed file" run install
check "which keeps the file" grep -qx 'my own' "$root/etc/klips/spi.batch"
check "uninstalls beside a changed file" run uninstall
check "and leaves only that" same "$(left)" $'./etc\n./etc/klips\n./etc/klips/spi.batch\n./etc/modprobe.d\n./usr\n./usr/local\n./usr/local/sbin'

begin
check "has another prefix" env PREFIX=/opt/klips DESTDIR="$root" "$scripts/install.sh" install
check "the service knows it" grep -q '^ExecStart=/opt/klips/libexec/klips/ipsec ' "$root/opt/klips/lib/systemd/system/klips.service"
check "uninstalls from there" env PREFIX=/opt/klips DESTDIR="$root" "$scripts/install.sh" uninstall
check "nothing is left there" same "$(left)" "$before"
if command -v systemd-analyze >/dev/null; then
	run install
	# Programs are looked for where they will be.
	for name in klips klips-manual klips-tncfg; do
		sed "s,=\(-\?\)/usr/local,=\1$root/usr/local," "$root/usr/local/lib/systemd/system/$name.service" >"$work/$name.service"
	done
	check "systemd takes the services" same "$(systemd-analyze verify --man=no "$work/klips.service" "$work/klips-manual.service" "$work/klips-tncfg.service" 2>&1)" ''
fi
