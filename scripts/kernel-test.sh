#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Interrupts scripts/kernel.sh in every way, fills its disk and breaks its build, and looks at what
# is left.  What it builds is no kernel: a tree that looks like one to it, and takes seconds.

set -euo pipefail

# shellcheck source-path=SCRIPTDIR source=common.sh
. "$(dirname -- "${BASH_SOURCE[0]}")/common.sh"
# shellcheck source-path=SCRIPTDIR source=checks.sh
. "$scripts/checks.sh"

work=$(mktemp -d)
trap 'status=$?; umount "$XDG_CACHE_HOME" 2>/dev/null || true; rm -rf "$work"; [[ ${1:-} == --disk ]] || finish_checks $status' EXIT
tree=$work/linux log=$work/log
export XDG_CACHE_HOME=$work/cache KERNEL_SRC=$tree JOBS=2
kernel=$scripts/kernel.sh

# A tree of 40 steps, each of which does what is in "step", and waits while as many as "limit" have
# been done.  A step leaves as many .cmd files as 50 of the kernel's do.
make_tree() {
	mkdir -p "$tree/rust"
	touch "$tree/rust/Makefile"
	cat >"$tree/Makefile" <<-'MAKEFILE'
		VERSION = 7
		PATCHLEVEL = 3
		SUBLEVEL = 77
		SHELL := /bin/bash
		.RECIPEPREFIX := >
		objects := $(foreach i,1 2 3 4,$(foreach j,0 1 2 3 4 5 6 7 8 9,$(O)/part/$i$j.o))
		here := $(CURDIR)
		image := $(if $(filter arm64,$(ARCH)),arch/arm64/boot/Image,arch/x86/boot/bzImage)

		.PHONY: allnoconfig rustavailable $(notdir $(image)) modules modules_prepare
		allnoconfig:
		> @grep -v "^CONFIG_$$(cat $(here)/unknown)=" $(KCONFIG_ALLCONFIG) >$(O)/.config
		> @mkdir -p $(O)/part
		rustavailable:
		modules_prepare:
		> @mkdir -p $(O)/rust
		> @touch $(O)/rust/libkernel.rmeta

		$(notdir $(image)): $(objects)
		> @mkdir -p $(dir $(O)/$(image)) $(O)/scripts $(O)/rust
		> @touch $(addprefix $(O)/,vmlinux $(image) Module.symvers scripts/module.lds rust/libkernel.rmeta)
		modules:

		$(objects):
		> @echo "  CC      $(notdir $@)"
		> @while (($$(ls $(O)/part | wc -l) >= $$(cat $(here)/limit))); do sleep 0.1; done
		> @cd $(O) && . $(here)/step
		> @echo built >>$@
		> @touch $(dir $@).$(notdir $@).{1..62}.cmd
	MAKEFILE
	begin
}

# A build may be reading them.
set_tree() { # LIMIT STEP
	printf '%s\n' "$1" >"$tree/new"
	mv "$tree/new" "$tree/limit"
	printf '%s\n' "$2" >"$tree/new"
	mv "$tree/new" "$tree/step"
}

begin() {
	rm -rf "${XDG_CACHE_HOME:?}"/*
	mkdir -p "$XDG_CACHE_HOME/klips"
	# Where a bindgen may be.
	ln -s "$cache/tools" "$XDG_CACHE_HOME/klips/tools"
	become 7.3
}

# The tree is of that series, and its Kconfig does not know one symbol.
become() { # SERIES [SYMBOL]
	sed -i "s/^VERSION = .*/VERSION = ${1%.*}/; s/^PATCHLEVEL = .*/PATCHLEVEL = ${1#*.}/" "$tree/Makefile"
	printf '%s\n' "${2:-NONE}" >"$tree/unknown"
}

built() { find "$XDG_CACHE_HOME" -name '[0-9][0-9].o' 2>/dev/null | wc -l; }

# It stays the same as long as nothing is removed.
first_object() { find "$XDG_CACHE_HOME" -name 10.o -printf '%i %T@\n'; }

wait_for() { # WHAT COMMAND...
	local i
	for ((i = 0; i < 600; i++)); do
		! "${@:2}" || return 0
		[[ $1 != 'some steps' ]] || kill -0 "$pid" 2>/dev/null || break
		sleep 0.1
	done
	printf '%s: that did not happen\n' "$1"
	cat "$log"
	return 1
}

has_built() { (($(built) >= $1)); }

tells_percent() { grep -q '[0-9]%' "$log"; }

is_gone() { ! kill -0 "$1" 2>/dev/null; }

# No process of the build is left.
is_over() { [[ -z $(pgrep -f -- " -C $tree O=") ]]; }

# What is there stays, and the next run builds no more than the rest.
goes_on() { # FIRST-OBJECT
	local output before
	before=$(built)
	wait_for "the end of the build" is_over || return
	# make removes the two that it was at.
	((before >= 3 && before < 40)) || {
		printf '%d objects are left\n' "$before"
		cat "$log"
		return 1
	}
	set_tree 40 :
	output=$("$kernel" build 2>&1) || {
		printf '%s\n' "$output"
		return 1
	}
	has "$output" ", resuming" && has "$output" "is ready" && same "$(first_object)" "$1" && same "$(built)" 40
}

# interrupt SIGNAL WHOM [PREFIX...]: a run behind such a prefix ends by the signal, which goes to
# the script or to its process group.
interrupt() {
	local pid status=0 first
	begin
	set_tree 6 :
	setsid "${@:3}" "$kernel" build >"$log" 2>&1 &
	pid=$!
	wait_for "some steps" has_built 6 || return
	first=$(first_object)
	case $2 in
	script) kill -s "$1" $pid ;;
	group) kill -s "$1" -- -$pid ;;
	esac
	wait_for "the end of the script" is_gone "$pid" || return
	wait "$pid" || status=$?
	same "$status" $((128 + $(kill -l "$1"))) && has "$(<"$log")" "ended by SIG$1" && goes_on "$first"
}

# disregard SIGNAL PREFIX...: a run that such a prefix keeps from hearing of it comes to its end.
disregard() {
	local pid
	begin
	set_tree 6 :
	setsid "${@:2}" "$kernel" build >"$log" 2>&1 &
	pid=$!
	wait_for "some steps" has_built 6 || return
	kill -s "$1" -- -$pid
	set_tree 40 :
	wait "$pid" || {
		cat "$log"
		return 1
	}
	same "$(built)" 40
}

on_terminal() { # COMMAND...
	local command
	printf -v command '%q ' "$@"
	rm -f "$work/keys"
	mkfifo "$work/keys"
	script -qec "$command" /dev/null <"$work/keys" >"$log" 2>&1 &
	pid=$!
	exec {keys}>"$work/keys"
}

# Ctrl-C on a terminal, and once more in the run that goes on.
interrupt_by_key() { # [PREFIX...]
	local pid keys first='' i status
	begin
	for i in 1 2; do
		set_tree $((i * 8)) :
		on_terminal "$@" "$kernel" build
		wait_for "some steps" has_built $((i * 8)) && wait_for "a percentage" tells_percent || return
		: "${first:=$(first_object)}"
		printf '\003' >&"$keys"
		wait_for "the end of the script" is_gone "$pid" || return
		exec {keys}>&-
		status=0
		wait "$pid" || status=$?
		same "$status" 130 && has "$(<"$log")" "ended by SIGINT" || return
	done
	# Of 1,600 steps or more 400 were done when this run began.
	[[ $(grep -o '[0-9]*%' "$log" | head -n 1) == [12][0-9]% ]] || {
		cat "$log"
		return 1
	}
	goes_on "$first"
}

disregard_key() { # PREFIX...
	local pid keys status=0
	begin
	set_tree 6 :
	on_terminal "$@" "$kernel" build
	wait_for "some steps" has_built 6 || return
	printf '\003' >&"$keys"
	set_tree 40 :
	wait "$pid" || status=$?
	exec {keys}>&-
	same "$status" 0 && same "$(built)" 40
}

# fail_twice STEP WHAT-IT-SAYS: a step that fails, in the first run and in one that goes on, whatever
# signals this script was told to ignore.
fail_twice() {
	local output first i
	begin
	for i in 1 2; do
		set_tree 40 "(( \$(ls part | wc -l) < $((i * 8)) )) || { $1; }"
		output=$(env --default-signal "$kernel" build 2>&1) && return 1
		: "${first:=$(first_object)}"
		has "$output" "$2" || return
		[[ $output != *"from the start"* ]] || {
			printf '%s\n' "$output"
			return 1
		}
	done
	printf '%s\n' "$output" >"$log"
	(($(wc -l <"$log") <= ${3:-100})) || {
		cat "$log"
		return 1
	}
	goes_on "$first"
}

# A file that is half written makes a run that goes on fail: that is begun anew, once.
begin_anew() {
	local output first
	begin
	set_tree 40 'if [[ -e part/17.o ]]; then exit 1; fi'
	output=$("$kernel" build 2>&1) && return 1
	has "$output" "did not build" || return
	first=$(first_object)
	set_tree 40 'if [[ -e half ]]; then exit 1; fi'
	touch "$(dirname "$(find "$XDG_CACHE_HOME" -name part)")/half"
	output=$("$kernel" build 2>&1) || {
		printf '%s\n' "$output"
		return 1
	}
	has "$output" "once more from the start" && same "$(built)" 40 && [[ $(first_object) != "$first" ]]
}

# On a disk of its own: first one that is too small to begin with, then one that fills.
fill_disk() {
	local output
	mount -t tmpfs -o size=800m klips-test "$XDG_CACHE_HOME"
	begin
	set_tree 40 :
	output=$("$kernel" build 2>&1) && return 1
	has "$output" "800 MB free, 900 MB are needed" || return
	mount -o remount,size=1000m "$XDG_CACHE_HOME"
	fail_twice 'dd if=/dev/zero of=fill bs=1M count=1100 status=none || { rm fill; false; }' "the disk of $XDG_CACHE_HOME" 8
}

# refuses WHAT-IT-SAYS SERIES [SYMBOL]
refuses() {
	local output
	begin
	set_tree 40 :
	become "${@:2}"
	output=$("$kernel" build 2>&1) && return 1
	has "$output" "$1"
}

# builds SERIES [SYMBOL]: what it says is in output, the configuration in configuration.
builds() {
	begin
	set_tree 40 :
	become "$@"
	output=$("$kernel" build 2>&1) || {
		printf '%s\n' "$output"
		return 1
	}
	configuration=$(cat "$XDG_CACHE_HOME"/klips/kernel/*/.config)
	same "$(built)" 40
}

builds_known() { # SERIES
	local output configuration
	builds "$1" && fails has "$output" "warning" && has "$configuration" "CONFIG_SYSCTL=y"
}

# What Kconfig does not know is no reason not to try.
tries_newer() {
	local output configuration
	builds 7.4 && has "$output" "is Linux 7.4.77: klips was made for 7.2 and 7.3, newer ones are tried" &&
		builds 7.4 DUMMY && has "$output" "CONFIG_DUMMY is n, wanted y" && has "$output" "going on without"
}

refuses_other_series() {
	local output
	begin
	output=$(SERIES=7.2 "$kernel" build 2>&1) && return 1
	has "$output" "is Linux 7.3.77, and SERIES says 7.2"
}

only_in_older() {
	local output configuration
	builds 7.2 && has "$configuration" "CONFIG_PROC_SYSCTL=y" &&
		builds 7.3 && fails has "$configuration" "PROC_SYSCTL"
}

# A kernel for another architecture is one of its own, with what only that has.
for_arm64() {
	local output configuration
	(
		export ARCH=arm64
		builds 7.3 && has "$configuration" "CONFIG_SERIAL_AMBA_PL011=y" && fails has "$configuration" "X86_X2APIC" &&
			has "$("$kernel" path)" "-arm64-main-"
	) && fails "$kernel" path &&
		builds 7.3 && has "$configuration" "CONFIG_X86_X2APIC=y" && fails has "$configuration" "SERIAL_AMBA"
}

# Preparing builds no kernel, and building goes on from there.
prepare_first() {
	local output
	begin
	set_tree 40 :
	output=$("$kernel" prepare 2>&1) || true
	has "$output" "modules can be compiled" && same "$(built)" 0 && fails "$kernel" path && same "$("$kernel" prepare 2>&1 | wc -l)" 1 &&
		has "$("$kernel" build 2>&1)" "is ready" && same "$(built)" 40 && "$kernel" path
}

make_tree
if [[ ${1:-} == --disk ]]; then
	fill_disk
	exit
fi
for signal in INT TERM HUP; do
	check "SIG$signal to its script" interrupt $signal script env --default-signal
	check "SIG$signal to its group, SIGCHLD blocked" interrupt $signal group env --default-signal --block-signal=CHLD
done
check "SIGTERM to its script, SIGCHLD blocked" interrupt TERM script env --default-signal --block-signal=CHLD
check "SIGINT ignored" disregard INT env --ignore-signal=INT
check "SIGHUP ignored" disregard HUP env --ignore-signal=HUP
check "SIGTERM blocked" disregard TERM env --default-signal --block-signal=TERM
check "Ctrl-C" interrupt_by_key env --default-signal
check "Ctrl-C, SIGCHLD blocked" interrupt_by_key env --default-signal --block-signal=CHLD
check "Ctrl-C, SIGCHLD ignored" interrupt_by_key env --default-signal --ignore-signal=CHLD
check "Ctrl-C, SIGTERM ignored" interrupt_by_key env --default-signal --ignore-signal=TERM
check "Ctrl-C, SIGINT ignored" disregard_key env --ignore-signal=INT
check "Ctrl-C, SIGINT blocked" disregard_key env --default-signal --block-signal=INT
for signal in INT TERM HUP; do
	check "SIG$signal to make alone" fail_twice "kill -s $signal \$(pgrep -o -f -- '^make .* -C $tree O=')" "was interrupted"
	check "SIG$signal to a step alone" fail_twice "kill -s $signal \$\$" "was interrupted"
done
check "SIGKILL to a step" fail_twice 'kill -s KILL $$' "memory ran out"
check "half a file" begin_anew
for known in "${known_series[@]}"; do
	check "builds Linux $known" builds_known "$known"
done
check "has in Linux 7.2 what only that has" only_in_older
for release in 6.18 7.1; do
	check "refuses Linux $release" refuses "is Linux $release.77: $too_old" $release
done
check "tries a newer one" tries_newer
check "but not without Rust" refuses "Kconfig did not accept" 7.4 RUST
check "wants all that it knows of a known one" refuses "CONFIG_DUMMY is n, wanted y" 7.3 DUMMY
check "refuses a source that is not what SERIES says" refuses_other_series
check "refuses a SERIES that it does not know" has "$(SERIES=6.9 "$kernel" help 2>&1 || true)" "klips knows Linux 7.2 and 7.3, not 6.9"
check "builds for arm64, and that apart" for_arm64
check "refuses an ARCH that it does not know" has "$(ARCH=mips "$kernel" help 2>&1 || true)" "x86_64 and arm64, not on mips"
check "has none of Debian's kernels for arm64" has "$(ARCH=arm64 "$kernel" path --config debian 2>&1 || true)" "only those for x86_64"
check "prepares without building" prepare_first
# Mounts take root, at least in a namespace of its own.
own=(unshare --mount)
((EUID == 0)) || own+=(--user --map-root-user)
check "a disk that fills" "${own[@]}" "$0" --disk
