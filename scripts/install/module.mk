# SPDX-License-Identifier: GPL-2.0
#
# Builds klips.ko for the kernel built in KDIR; DKMS calls this.  Kbuild describes the module.

KDIR ?= /lib/modules/$(shell uname -r)/build
# The distribution's compiler, not whatever rustc is first in PATH.
RUSTC := /usr/bin/rustc
# DKMS finds out which C compiler the kernel was built with.
kbuild = $(MAKE) -C $(KDIR) M=$(CURDIR) RUSTC=$(RUSTC) $(if $(KERNEL_CC),CC=$(KERNEL_CC))

.PHONY: modules clean
modules clean:
	$(kbuild) $@
