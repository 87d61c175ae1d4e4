# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash disable=SC2154 # shared with the scripts that include this
#
# Builds of a kernel that can be interrupted: the next run goes on with what is there.  Scripts
# that include this set build, the directory, and config, a name, and define configure and compile,
# which set build_status to what make ended with.

# was_killed STATUS: make was ended by a signal, or says that a program that it ran was.
was_killed() {
	(($1 > 128)) ||
		grep -Eq '^make.*\*\*\* .* (Interrupt|Terminated|Hangup|Killed|Error (129|130|137|143))$' "$build/klips.log"
}

# Nothing is removed, whatever the reason was.
build_failed() { # STATUS
	local hint="The same command goes on with what is built.  To start afresh: scripts/kernel.sh clean --config $config"
	(($1 != disk_is_full)) || die_of_full_disk "$cache"
	if was_killed "$1"; then
		if (($1 == 137)) || grep -Eq '(Killed|Error 137)$' "$build/klips.log"; then
			die "a program of the kernel's build was killed, most likely because memory ran out: try JOBS=1." "$hint"
		fi
		die "the build of the kernel was interrupted." "$hint"
	fi
	build_errors "$build/klips.log" >&2
	die "the kernel did not build; the log is $build/klips.log" "$hint"
}

is_resumed() { [[ -e $build/klips.started ]]; }

configure_and_compile() {
	local resumed='' build_status
	! is_resumed || resumed=1
	while true; do
		mkdir -p "$build"
		touch "$build/klips.started"
		build_status=0
		configure
		((build_status != 0)) || compile
		((build_status != 0)) || break
		if [[ ! $resumed ]] || ((build_status == disk_is_full)) || was_killed $build_status; then
			build_failed $build_status
		fi
		# An interruption may have left half a file behind.
		say "that failed, so once more from the start"
		resumed=''
		rm -rf "$build"
	done
	rm -f "$build/klips.started"
}
