# SPDX-License-Identifier: GPL-2.0
#
# What people type.  Kbuild describes the module, scripts/ does the work.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
MAKEFLAGS += --no-print-directory

# Which of the cached kernels: main, NAME for scripts/kernel-NAME.config, or one that Debian
# built: debian, debian-cloud, debian-rt (Debian 13's), debian-forky, debian-sid.
CONFIG ?= main
# More arguments for the harness: make test ARGS="...".
ARGS ?=

# What the kernel, the module and the tools are built for, if not this machine's x86_64: arm64.
ifneq ($(filter-out x86_64,$(ARCH)),)
export ARCH
ifdef KDIR
$(error for an arm64 kernel of your own, use make KDIR=... on arm64: ARCH is for kernels of the cache)
endif
architecture := -$(ARCH)
endif

ifdef KDIR
variant := -kdir
else
ifneq ($(CONFIG),main)
variant := -$(CONFIG)
endif
# Which Linux, if not the usual one.
ifdef SERIES
export SERIES
variant := $(variant)-$(SERIES)
endif
variant := $(architecture)$(variant)
endif
module_dir := build/module$(variant)
module := $(module_dir)/klips.ko
# Modules for the tests, most of them broken on purpose.
test_module_dir := build/test-modules$(variant)
bin_dir := build/bin$(architecture)
programs = bench guest-tests ipsec vm
ifdef architecture
# Cargo has the programs in a folder of their architecture, and "vm" runs here.
programs := $(filter-out vm,$(programs))
cargo_dir := build/cargo$(architecture)
built := $(cargo_dir)/aarch64-unknown-linux-gnu/release
cargo_setup = use_cargo; cross_cargo
machine := --machine virt
root = --root "$$(scripts/arm64-root.sh)"
else
cargo_dir := build/cargo
built := $(cargo_dir)/release
cargo_setup = use_cargo
endif
# Other names of the program ipsec: itself beside another of that name, and its commands.
links := klips $(foreach tool,spigrp spi eroute tncfg manual look verify pf_key klipsdebug,$(tool) ipsec_$(tool))
ifneq ($(filter debian debian-%,$(CONFIG)),)
# They have no drivers for the simpler computer that the other guests are.
machine := --machine q35
endif

# Kbuild takes these from the command line only, so they are passed on that way.
kbuild_flags := $(foreach v,C CHECK CLIPPY V W,$(if $(filter command,$(origin $v)),$v='$($v)'))
ifeq ($(filter 1 2,$(V)),)
kbuild_flags += -s
endif

kmake = scripts/kernel.sh make --config $(CONFIG) -- $(kbuild_flags)
vm = . scripts/common.sh; use_cargo; export CARGO_TARGET_DIR='$(CURDIR)/build/cargo'; \
	cargo run --quiet --release -p vm -- $@ \
	--kernel "$$(scripts/kernel.sh path --config $(CONFIG))/$$kernel_image" \
	--module $(module) --bin $(bin_dir) $(machine) $(root)

ifneq ($(and $(KDIR),$(filter test demo shell,$(MAKECMDGOALS))),)
$(error the virtual machines run a kernel of the cache: KDIR is for "make module")
endif

.PHONY: all
all: module tools

.PHONY: help
help:
	@echo 'Targets:'
	@echo '  all        module and tools (this is the default)'
	@echo '  module     klips.ko, for the cached kernel or the one KDIR names'
	@echo '  compile    the module for a kernel that is not built, only prepared (3 minutes):'
	@echo '             with SERIES, or with KERNEL_SRC for one that is newer than what klips knows'
	@echo '  tools      the user space programs'
	@echo '  test       install what is missing, build everything, run every test'
	@echo '  check-all  the same for hours, on kernels that report what others pass over, and more;'
	@echo '             PARTS=... for some of: tests, older, model, asan, fuzz, mutants, debug,'
	@echo '             kcsan, stress, packaged, packages, service, secure-boot, newcomer'
	@echo '  debian-kernel'
	@echo '             the same with the kernel that Debian 13 backports has as a package'
	@echo '  doctor     look for everything that building for KDIR and loading take'
	@echo '  install    put the tools, and the source of the module for DKMS, below PREFIX'
	@echo '  uninstall  remove exactly what was installed there'
	@echo '  deb        Debian packages of the tools and of the module for DKMS, in build/deb'
	@echo '  bench      measure klips.ko beside mainline'"'"'s af_key.ko and netlink, and write tables and plots'
	@echo '  demo       watch the module and the tools work, in a virtual machine'
	@echo '  shell      a shell in a virtual machine with the module and the tools'
	@echo '  lint       every static check; prints what they find'
	@echo '  rust-analyzer'
	@echo '             build/rust-project.json, from which editors learn about the module'
	@echo '  deps       install the packages the above need, only those missing'
	@echo '  kernel     build the kernel for the tests into the cache (10 minutes, once)'
	@echo '  clean      remove what was built here'
	@echo '  distclean  clean, and remove the cache of kernels, their source and tools'
	@echo
	@echo 'Variables:'
	@echo '  KDIR=DIR        build the module for the kernel built in DIR,'
	@echo '                  such as /lib/modules/VERSION/build'
	@echo '  SERIES=7.2      for the kernel of that series; 7.3 if not given'
	@echo '  ARCH=arm64      kernel, module and tools for arm64, guests under qemu-system-aarch64:'
	@echo '                  for test (of it, the part guests), demo, shell, kernel, module, tools'
	@echo '  KERNEL_SRC=DIR  build the kernel from this tree (it is not written to)'
	@echo '  CONFIG=NAME     use the kernel of this configuration: main, debug, kcsan, or as packaged:'
	@echo '                  debian, debian-cloud, debian-rt (Debian 13), debian-forky, debian-sid'
	@echo '  PREFIX=DIR      install below DIR instead of /usr/local; DESTDIR=DIR for packages'
	@echo '  INSTALL_IPSEC=1 install as PREFIX/sbin/ipsec, too'
	@echo '  CLIPPY=1 W=1    more warnings from the module build; V=1 shows its commands'
	@echo '  ARGS=...        further arguments for test, demo and shell; bench: --quick'

.PHONY: deps
deps:
	@scripts/deps.sh

.PHONY: kernel
kernel:
	@scripts/kernel.sh build --config $(CONFIG) >/dev/null

.PHONY: module
module: $(if $(KDIR),,kernel)
	@echo '  MODULE  $(module)'
	@mkdir -p $(module_dir)
	@$(kmake) M='$(CURDIR)' MO='$(CURDIR)/$(module_dir)' modules

# No kernel is built for it, so nothing tells whether it could be linked.
.PHONY: compile
compile:
	@scripts/kernel.sh prepare --config $(CONFIG) >/dev/null
	@echo '  COMPILE $(module_dir)/klips.o'
	@mkdir -p $(module_dir)
	@$(kmake) M='$(CURDIR)' MO='$(CURDIR)/$(module_dir)' klips.o

.PHONY: tools
tools:
	@echo '  TOOLS   $(bin_dir)'
	@me=tools; . scripts/common.sh; $(cargo_setup); export CARGO_TARGET_DIR='$(CURDIR)/$(cargo_dir)'; \
		logged build/log/tools$(architecture).log \
		cargo build --release $(addprefix --package=,$(programs))
	@rm -rf $(bin_dir)
	@mkdir -p $(bin_dir)
	@find $(built) -maxdepth 1 -type f -executable ! -name vm ! -name '*.so' \
		-exec cp --link -t $(bin_dir) {} +
	@for name in $(links); do ln -s ipsec $(bin_dir)/$$name; done

.PHONY: test-modules
test-modules: $(if $(KDIR),,kernel)
	@echo '  MODULES $(test_module_dir)'
	@mkdir -p $(test_module_dir)
	@$(kmake) M='$(CURDIR)/userspace/vm/broken' MO='$(CURDIR)/$(test_module_dir)' modules

.PHONY: test
test:
	@CONFIG='$(CONFIG)' PARTS='$(PARTS)' MODULE='$(module)' TEST_MODULES='$(test_module_dir)' BIN='$(bin_dir)' \
		scripts/test.sh $(machine) $(ARGS)

.PHONY: check-all
check-all:
	@scripts/check-all.sh $(PARTS)

.PHONY: debian-kernel
debian-kernel:
	@$(MAKE) test CONFIG=debian

.PHONY: doctor
doctor:
	@scripts/doctor.sh $(KDIR)

# It builds nothing: who installs should not be the one who builds.
.PHONY: install uninstall
install uninstall:
	@$(foreach v,PREFIX DESTDIR INSTALL_IPSEC,$(if $(value $v),$v='$($v)')) scripts/install.sh $@

.PHONY: deb
deb:
	@scripts/deb.sh check
	@$(MAKE) tools programs=ipsec
	@scripts/deb.sh

.PHONY: bench
bench:
	@scripts/bench.sh $(ARGS)

.PHONY: demo
demo:
	@scripts/deps.sh
	@$(MAKE) module tools
	@$(vm) --script scripts/demo.sh $(ARGS)

.PHONY: shell
shell:
	@scripts/deps.sh
	@$(MAKE) module tools
	@$(vm) $(ARGS)

.PHONY: lint
lint:
	@scripts/lint.sh

.PHONY: rust-analyzer
rust-analyzer: $(if $(KDIR),,kernel)
	@scripts/rust-analyzer.sh $(CONFIG)

.PHONY: clean
clean:
	rm -rf build

.PHONY: distclean
distclean: clean
	@scripts/kernel.sh distclean
