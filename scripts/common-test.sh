#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# What the scripts have in common: who is asked for a password and when, what is shown of long
# commands, and how much room is asked for.

set -euo pipefail

# shellcheck source-path=SCRIPTDIR source=common.sh
. "$(dirname -- "${BASH_SOURCE[0]}")/common.sh"
# shellcheck source-path=SCRIPTDIR source=checks.sh
. "$scripts/checks.sh"

work=$(mktemp -d)
trap 'status=$?; rm -rf "$work"; finish_checks $status' EXIT
chmod 755 "$work"

# --- Passwords -------------------------------------------------------------------

# A sudo that wants a password once, from the terminal, and counts how often it asked.
mkdir "$work/bin" "$work/state"
chmod 777 "$work/state"
cp "$scripts/common.sh" "$scripts/progress.sh" "$work/bin"
cat >"$work/bin/sudo" <<-SUDO
	#!/bin/bash
	case \$1 in
	-v)
		echo asked >>$work/state/asked
		read -r word </dev/tty && [[ \$word == right ]] && touch $work/state/may
		;;
	-n)
		[[ -e $work/state/may ]] || { echo "sudo: a password is required" >&2; exit 1; }
		shift
		[[ \$1 == true ]] || echo "\$*" >>$work/state/ran
		;;
	esac
SUDO
cat >"$work/bin/steps" <<-STEPS
	#!/bin/bash
	set -euo pipefail
	. $work/bin/common.sh
	need_root "the first step"
	as_root one
	need_root "the second step"
	as_root two
STEPS
chmod 755 "$work"/bin/*

# Somebody who is not root.
user=()
((EUID != 0)) || user=(setpriv --reuid 65534 --clear-groups)
steps() { "${user[@]}" env -i HOME="$work/state" PATH="$work/bin:/usr/sbin:/usr/bin:/sbin:/bin" "$work/bin/steps"; }
at_terminal() { # PASSWORD
	local command
	printf -v command '%q ' "${user[@]}" env -i HOME="$work/state" PATH="$work/bin:/usr/sbin:/usr/bin:/sbin:/bin" "$work/bin/steps"
	{ sleep 1 && echo "$1" && sleep 1; } | script -qec "$command" /dev/null
}
begin() { rm -f "$work"/state/*; }
lines() { grep -c '' "$work/state/$1" 2>/dev/null || echo 0; }

without_terminal() {
	local output
	begin
	! output=$(steps 2>&1 </dev/null) || return 1
	has "$output" "the first step needs root, sudo asks for a password, and there is no terminal" &&
		same "$(lines asked)" 0
}

with_terminal() {
	begin
	at_terminal right >"$work/log" 2>&1 || {
		cat "$work/log"
		return 1
	}
	same "$(lines asked) $(<"$work/state/ran")" $'1 one\ntwo'
}

wrong_password() {
	begin
	! at_terminal wrong >"$work/log" 2>&1 || return 1
	has "$(<"$work/log")" "error: the first step needs root" && same "$(lines ran)" 0
}

without_password() {
	begin
	touch "$work/state/may"
	steps </dev/null && same "$(lines asked) $(lines ran)" "0 2"
}

without_sudo() {
	local output
	begin
	mv "$work/bin/sudo" "$work/sudo"
	! output=$(steps 2>&1 </dev/null) || return 1
	mv "$work/sudo" "$work/bin/sudo"
	command -v sudo >/dev/null || has "$output" "there is no sudo"
}

check "asks nobody without a terminal" without_terminal
check "asks once at a terminal" with_terminal
check "does nothing after a wrong password" wrong_password
check "asks nobody where sudo needs no password" without_password
check "says that there is no sudo" without_sudo

# --- What is shown ---------------------------------------------------------------

# reads READER TEXT: what is shown after each line of the text.
reads() {
	local line what='' size='' phase='' fetched=0 unpacked=0 set_up=0 total=0 steps=0
	while IFS= read -r line; do
		"$1"
		printf '%s/%s %s\n' "$steps" "$total" "$what"
	done <<<"$2"
}

apt='0 upgraded, 2 newly installed, 0 to remove and 49 not upgraded.
Need to get 45.1 kB/200 MB of archives.
Get:1 http://archive/debian trixie/main amd64 one amd64 1.0-1 [20.1 kB]
Get:2 http://archive/debian trixie/main amd64 two all 2.0 [25.0 kB]
Unpacking one (1.0-1) ...
Setting up one (1.0-1) ...
Unpacking two (2.0) ...
Setting up two (2.0) ...'
check "shows what apt installs" same "$(reads read_apt "$apt" | tail -n 6)" '1/6 fetching one (1 of 2, 45.1 kB in all)
2/6 fetching two (2 of 2, 45.1 kB in all)
3/6 unpacking one (1 of 2)
4/6 setting up one (1 of 2)
5/6 unpacking two (2 of 2)
6/6 setting up two (2 of 2)'
check "shows whose lists apt reads" same \
	"$(reads read_apt 'Get:4 http://archive/debian trixie/main amd64 Packages [9,670 kB]')" '0/0 fetching lists of trixie'
bootstrap='I: Retrieving one 1.0
I: Validating one 1.0
I: Retrieving two 2.0
I: Extracting one...
I: Unpacking one...
I: Unpacking two...
I: Configuring two...'
check "shows what debootstrap installs" same "$(reads read_debootstrap "$bootstrap" | cut -d ' ' -f 2- | uniq)" \
	'fetching one (1)
fetching two (2)
extracting one (1 of 2)
unpacking one (1 of 2)
unpacking two (2 of 2)
configuring two (1 of 2)'
check "shows what tar unpacks" same "$(reads read_tar 'tar: 50000')" '0/0 512 MB'

# --- Room ------------------------------------------------------------------------

free=$(megabytes_free "$work")
asks() { (need_space "$@") 2>&1; }
check "takes what there is room for" asks "$work/not/there/yet" $((free / 2))
check "adds up what is on one disk" fails asks "$work" $((free / 2)) "$work/other" $((free / 2 + 1000))
check "says how much there is and is needed" has "$(asks "$work" 900000000 || true)" "MB free, 900000000 MB are needed"

no_room() { watched "$work/log" read_make 0 0 sh -c 'echo "cp: cannot write: No space left on device"; exit 1'; }
knows_a_full_disk() {
	local status=0
	no_room || status=$?
	same "$status" "$disk_is_full"
}
full_log() {
	local status=0
	watched /dev/full read_make 0 0 sh -c 'echo one; exit 3' || status=$?
	same "$status" "$disk_is_full"
}
check "knows a full disk from what is said" knows_a_full_disk
check "knows a full disk from its own log" full_log
check "says one thing of it" same "$( (logged "$work/log" no_room) 2>&1 | wc -l)" 3
