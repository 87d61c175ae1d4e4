#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Has a guest's kernel loaded as a PC with Secure Boot loads it: the firmware starts shim, which
# Microsoft has signed, and shim starts what the owner of the machine has signed.  For "vm --loader",
# which calls this in the guest's directory and gives QEMU the options that it prints.
#
#   scripts/secure-boot.sh KERNEL INITRAMFS PARAMETERS
#
# The owner's key, of which the firmware was told, is $KLIPS_MOK/mok.key, its certificate mok.pub.  With
# $KLIPS_DB, the directory of another, Secure Boot is off, and that is the one key that the firmware itself
# has.

set -euo pipefail

# shellcheck source-path=SCRIPTDIR source=common.sh
. "$(dirname -- "${BASH_SOURCE[0]}")/common.sh"

(($# == 3)) || die "usage: scripts/secure-boot.sh KERNEL INITRAMFS PARAMETERS"
readonly firmware=/usr/share/OVMF
readonly mok=${KLIPS_MOK:?"the directory of the owner's key"}
# Of whom the firmware takes an entry: any will do.
readonly owner=a3f5cf3c-0f41-4f2e-9a57-6b1c70d1e0f5

# Only QEMU's options go to stdout.
exec 3>&1 >&2

openssl x509 -inform DER -in "$mok/mok.pub" -out mok.pem
# One program for the firmware of kernel, initramfs and parameters.
printf '%s' "$3" >parameters
objcopy --add-section .cmdline=parameters --change-section-vma .cmdline=0x30000 \
	--add-section .linux="$1" --change-section-vma .linux=0x2000000 \
	--add-section .initrd="$2" --change-section-vma .initrd=0x4000000 \
	/usr/lib/systemd/boot/efi/linuxx64.efi.stub unsigned.efi
sbsign --key "$mok/mok.key" --cert mok.pem --output signed.efi unsigned.efi
rm unsigned.efi
# The disk that it is on, where shim looks for a boot loader of this name.
truncate --size=$(($(stat -c %s signed.efi) + (16 << 20))) disk.img
mformat -i disk.img -F ::
mmd -i disk.img ::/EFI ::/EFI/BOOT
mcopy -i disk.img /usr/lib/shim/shimx64.efi.signed ::/EFI/BOOT/BOOTX64.EFI
mcopy -i disk.img signed.efi ::/EFI/BOOT/grubx64.efi
variables=(--input "$firmware/OVMF_VARS_4M.ms.fd" --output variables.fd)
[[ ! ${KLIPS_DB:-} ]] ||
	variables=(--input "$firmware/OVMF_VARS_4M.fd" --output variables.fd --add-db "$owner" "$KLIPS_DB/mok.pub")
# What "mokutil --import" and the dialogue after it leave in the firmware.
"$cached_virt_firmware/bin/virt-fw-vars" "${variables[@]}" --add-mok $owner "$mok/mok.pub"

printf '%s\n' -machine smm=on -global driver=cfi.pflash01,property=secure,value=on \
	-drive if=pflash,format=raw,unit=0,readonly=on,file=$firmware/OVMF_CODE_4M.secboot.fd \
	-drive if=pflash,format=raw,unit=1,file=variables.fd \
	-drive if=none,id=disk,format=raw,file=disk.img -device virtio-blk-pci,drive=disk,bootindex=1 >&3
