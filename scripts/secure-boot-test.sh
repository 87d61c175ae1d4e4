#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Starts Debian's own kernel as a PC with Secure Boot does, which locks it down, and looks which
# klips.ko it takes: none that is unsigned, none that a stranger has signed, that which was signed as
# DKMS does it.  Then packets go through that.  The same without Secure Boot, where the kernel was only
# told by a parameter to take no others.

set -euo pipefail
cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.."

# shellcheck source-path=SCRIPTDIR source=common.sh
. scripts/common.sh
# shellcheck source-path=SCRIPTDIR source=checks.sh
. scripts/checks.sh

# Of the make that runs this.
unset MAKEFLAGS MFLAGS MAKELEVEL

trap 'finish_checks $?' EXIT

scripts/deps.sh debian-kernel
scripts/deps.sh secure-boot
use_cargo
make CONFIG=debian module tools >&2
kernel=$(scripts/kernel.sh path --config debian)
readonly kernel work=$PWD/build/secure-boot
readonly vm=build/cargo/release/vm module=build/module-debian/klips.ko
rm -rf "$work"
mkdir -p "$work"/{owner,stranger,bin}

# As DKMS makes its key, and signs.
make_key() { # DIRECTORY
	openssl req -x509 -newkey rsa:2048 -nodes -days 36500 -subj "/CN=DKMS module signing key/" \
		-addext extendedKeyUsage=codeSigning -keyout "$1/mok.key" -outform DER -out "$1/mok.pub" 2>/dev/null
}

sign() { # DIRECTORY MODULE
	cp $module "$2"
	"$kernel/scripts/sign-file" sha256 "$1/mok.key" "$1/mok.pub" "$2"
}

for who in owner stranger; do
	make_key "$work/$who"
	sign "$work/$who" "$work/by-$who.ko"
done
export KLIPS_MOK=$work/owner

machine=(--kernel "$kernel/arch/x86/boot/bzImage" --machine q35 --accel tcg --memory 2048
	--bin build/bin --loader scripts/secure-boot.sh)

# What doctor reads has to be bash's.
cp /bin/bash "$work/bin"
cat >"$work/guest.sh" <<'GUEST'
mount -t securityfs none /sys/kernel/security
echo "locked down: $(cat /sys/kernel/security/lockdown)"
for name in xfrm_user xfrm_interface xfrm4_tunnel xfrm6_tunnel; do
	modprobe $name
done
for who in nobody stranger owner; do
	file=/lib/modules/extra/by-$who.ko
	[ $who != nobody ] || file=$KLIPS_KO
	echo "signed by $who: $(insmod $file 2>&1 && echo taken)"
	[ $who != nobody ] || bash /doctor/doctor.sh 2>&1
done
ipsec --version
GUEST

share=(--share "$work/guest.sh:/guest.sh")
for name in doctor common progress build-dir; do
	share+=(--share "scripts/$name.sh:/doctor/$name.sh")
done

# Which of the three is taken by a guest.
try() { # NAME LOCKDOWN ARGUMENT...
	local status=0 said before=$failed
	said=$($vm run "${machine[@]}" "${share[@]}" --bin "$work/bin" --out "$work/$1" --module $module \
		--extra-module "$work/by-stranger.ko" --extra-module "$work/by-owner.ko" "${@:3}" -- sh /guest.sh) || status=$?
	check "$1: the guest did its work" test $status = 0
	check "$1: the kernel is locked down, or not" has "$said" "locked down: $2"
	check "$1: one without a signature is refused" has "$said" "signed by nobody: insmod: can't insert"
	check "$1: which says why" has "$said" "Key was rejected by service"
	check "$1: doctor finds that, and says what to do" has "$said" "mokutil --import /var/lib/dkms/mok.pub"
	[[ $1 != enforced ]] ||
		check "$1: also that mokutil will not do" has "$said" "without Secure Boot, keys of mokutil are passed over"
	check "$1: one with a stranger's is refused" has "$said" "signed by stranger: insmod: can't insert"
	check "$1: one with the owner's is taken" has "$said" "signed by owner: taken"
	check "$1: the log says so" grep -q "Loading of unsigned module is rejected" "$work/$1/console.log"
	((failed == before)) || printf '%s\n' "$said"
}

say "Secure Boot, with klips.ko unsigned, signed by a stranger, signed by the owner"
try locked-down 'none [integrity] confidentiality'
# The kernel passes over keys of mokutil then, which anybody could have put there.
say "the same without Secure Boot, with module.sig_enforce=1, the owner's key in the firmware's own list"
KLIPS_MOK=$work/stranger KLIPS_DB=$work/owner try enforced '[none] integrity confidentiality' --append module.sig_enforce=1

say "packets under Secure Boot"
status=0
$vm test "${machine[@]}" --out "$work/packets" --module "$work/by-owner.ko" --filter packets:: | tee "$work/log" || status=$?
tally "$work/log" $status
