# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash disable=SC2154 # of common.sh
#
# How long commands are run: with a log, with a line that tells what they are at, so that they end
# when this script is told to, and with one reason where they fail.
#
# Included by common.sh.

# --- What a command is at ------------------------------------------------------

# A reader is called with each line of a command's output in "line", and with none before each
# time that something is shown.  It sets what is done, and how many steps of "total" are.

read_make() {
	[[ $line == '  '[A-Z]* ]] || return 0
	steps=$((steps + 1)) what=${line##* }
}

read_cargo() {
	[[ $line =~ ^\ +([A-Z][a-z-]+\ [^\ ]+(\ v[0-9.]+)?) ]] || return 0
	what=${BASH_REMATCH[1]}
}

# Each package is fetched, unpacked and set up; some are set up before others are unpacked.
read_apt() {
	local packages=$((total / 3)) words
	case $line in
	*' newly installed, '*)
		[[ $line =~ ^([0-9]+)\ upgraded,\ ([0-9]+)\ newly ]] || return 0
		total=$(((BASH_REMATCH[1] + BASH_REMATCH[2]) * 3))
		;;
	'Need to get '*)
		size=${line#Need to get } size=${size%% of *} size=${size%%/*}
		;;
	'Get:'*)
		# Number, archive, suite, architecture, package; of lists only the first three.
		IFS=' ' read -ra words <<<"$line"
		if ((total == 0)); then
			what="fetching lists of ${words[2]%%/*}"
		else
			fetched=$((fetched + 1))
			what="fetching ${words[4]} ($fetched of $packages${size:+, $size in all})"
		fi
		;;
	'Unpacking '*)
		unpacked=$((unpacked + 1)) what=${line#* }
		what="unpacking ${what%% *} ($unpacked of $packages)"
		;;
	'Setting up '*)
		set_up=$((set_up + 1)) what=${line#Setting up }
		what="setting up ${what%% *} ($set_up of $packages)"
		;;
	esac
	steps=$((fetched + unpacked + set_up))
}

# How many packages there are is known once all have been fetched.
read_debootstrap() {
	local name
	[[ $line =~ ^I:\ (Retrieving|Extracting|Unpacking|Configuring)\ ([^\ .]+) ]] || return 0
	name=${BASH_REMATCH[2]}
	if [[ ${BASH_REMATCH[1]} == Retrieving ]]; then
		size=$((${size:-0} + 1))
		what="fetching $name ($size)"
	else
		[[ ${BASH_REMATCH[1]} == "${phase:-}" ]] || steps=0
		phase=${BASH_REMATCH[1]} steps=$((steps + 1))
		what="${phase,} $name ($steps of $size)"
	fi
}

# The bytes in $archive_dir/archives, of $total.
read_download() {
	local bytes
	[[ -z $line ]] || return 0
	# shellcheck disable=SC2154 # of archive.sh
	bytes=$(du -sb --exclude=lock "$archive_dir/archives" 2>/dev/null) || return 0
	steps=${bytes%%[!0-9]*}
	what="$((steps / 1000000)) of $((total / 1000000)) MB"
}

# What tar says with --checkpoint-action=echo=%u, of blocks of 10,240 bytes.
read_tar() {
	[[ $line =~ ^tar:\ ([0-9]+)$ ]] || return 0
	what="$((BASH_REMATCH[1] * 10240 / 1000000)) MB"
}

readonly disk_is_full=28 # ENOSPC
readonly full_disk='*@(No space left on device|not enough free space|Disk quota exceeded)*'

# Copies a command's output to a log and tells what it is at: on a terminal in one line that
# changes, else in a line every ten seconds; in percent, too, if the number of steps is known.
# Fails with $disk_is_full if the output says so, or the log cannot be written.
progress() { # LOG READER [TOTAL [STEPS]]
	local line what='' size='' phase='' fetched=0 unpacked=0 set_up=0 total=${3:-0} steps=${4:-0} percent status full=0
	local start=$SECONDS last=$SECONDS interval=10
	[[ ! -t 2 ]] || interval=1
	while true; do
		status=0
		IFS= read -r -t "$interval" line || status=$?
		if ((status == 0)); then
			printf '%s\n' "$line" >&3 2>/dev/null || full=1
			# shellcheck disable=SC2053 # a pattern
			[[ $line != $full_disk ]] || full=1
			[[ -z $line ]] || "$2"
		elif ((status > 128)); then
			printf '%s' "$line" >&3 2>/dev/null || full=1
		else
			break
		fi
		((SECONDS - last >= interval)) || continue
		last=$SECONDS line='' percent=''
		"$2"
		((total == 0)) || printf -v percent '%2d%%  ' $((steps < total ? steps * 100 / total : 99))
		printf -v line '%s: %2d:%02d  %s%s' "$me" \
			$(((last - start) / 60)) $(((last - start) % 60)) "$percent" "$what"
		if [[ -t 2 ]]; then printf '\r\033[K%.78s' "$line" >&2; else printf '%s\n' "$line" >&2; fi
	done 3>>"$1"
	[[ ! -t 2 ]] || printf '\r\033[K' >&2
	((!full)) || return $disk_is_full
}

# --- Running and ending ----------------------------------------------------------

watched_job='' ended_by=''

end_job() { # SIGNAL
	# The same, since that one was not ignored when this began; whoever asks twice means it.
	local how=$1
	[[ -z $ended_by ]] || how=KILL
	ended_by=$1
	kill -s "$how" -- "-$watched_job" 2>/dev/null || as_root kill -s "$how" -- "-$watched_job" 2>/dev/null || true
}

# watched LOG READER TOTAL STEPS COMMAND...: runs a command as progress tells of it.  Returns its
# status, or $disk_is_full.  INT, TERM and HUP end the command, all processes of it, and then this
# script.  It is run in the background for that: for a command in the foreground bash would hear
# of them only after its end, and of INT only if the command died of it.
watched() {
	local out reader job status=0 reader_status=0 name heard=()
	# It stays until the command's last word.
	exec {out}> >(trap '' INT TERM HUP && progress "$1" "$2" "$3" "$4")
	reader=$!
	ended_by=''
	# Job control gives it a process group, by which it can be ended.
	set -m
	"${@:5}" >&"$out" 2>&1 </dev/null {out}>&- &
	watched_job=$! job=$!
	set +m
	for name in INT TERM HUP; do
		# Resetting the trap of one that was ignored from the start would let it in.
		[[ -z $(trap -p $name) ]] || continue
		# shellcheck disable=SC2064 # its value now
		trap "end_job $name" $name
		heard+=("$name")
	done
	exec {out}>&-
	wait "$job" || status=$?
	while [[ $ended_by ]] && kill -0 "$job" 2>/dev/null; do
		wait "$job" || true
	done
	wait "$reader" || reader_status=$?
	((${#heard[@]} == 0)) || trap - "${heard[@]}"
	watched_job=''
	if [[ $ended_by ]]; then
		say "ended by SIG$ended_by"
		kill -s "$ended_by" $BASHPID
	fi
	((status == 0 || reader_status != disk_is_full)) || status=$disk_is_full
	return $status
}

# --- Why it failed ---------------------------------------------------------------

# megabytes_free DIR: on the disk where DIR is, or would be.
megabytes_free() {
	df --output=avail -m "$(existing "$1")" | tail -n 1 | tr -d ' '
}

# The directory, or the one that it will be made in.
existing() { # DIR
	local dir=$1
	until [[ -e $dir ]]; do
		dir=$(dirname -- "$dir")
	done
	printf '%s\n' "$dir"
}

# need_space DIR MEGABYTES...: fails unless there is room for all of it at once.
need_space() {
	local disk free
	local -A wanted=() place=()
	while (($#)); do
		disk=$(stat -c %d -- "$(existing "$1")")
		wanted[$disk]=$((${wanted[$disk]:-0} + $2))
		: "${place[$disk]:=$1}"
		shift 2
	done
	for disk in "${!wanted[@]}"; do
		free=$(megabytes_free "${place[$disk]}")
		((free >= wanted[$disk])) || die "the disk of ${place[$disk]} has $free MB free, ${wanted[$disk]} MB are needed." \
			"Make room there, or set XDG_CACHE_HOME to a directory on a larger disk." \
			"(scripts/kernel.sh list shows what the cache holds.)"
	done
}

# die_of_full_disk DIR...: names the first of them that has no room.
die_of_full_disk() {
	local dir full=$1
	for dir in "${TMPDIR:-/tmp}" "$@"; do
		(($(megabytes_free "$dir") > 20)) || full=$dir
	done
	die "the disk of $full is full." \
		"Make room there, then run the same again: it goes on with what is there." \
		"(scripts/kernel.sh list shows what the cache holds; XDG_CACHE_HOME=DIR puts it elsewhere.)"
}

# build_errors LOG: what of a build's log tells why it failed.
build_errors() {
	{ grep -E -A 3 '(error|Error [0-9]+|undefined symbol|not found|Killed)' "$1" || tail -n 20 "$1"; } | head -n 40
}

# logged LOG COMMAND...: shows the progress of a quiet cargo, and its errors if it fails.
logged() { logged_as read_cargo "$@"; }

logged_as() { # READER LOG COMMAND...
	local reader=$1 log=$2 status=0
	mkdir -p "${log%/*}"
	: >"$log"
	watched "$log" "$reader" 0 0 "${@:3}" || status=$?
	((status != disk_is_full)) || die_of_full_disk "$(dirname -- "$log")" "$cache" /
	if ((status != 0)); then
		{ grep -A 1000 -m 1 '^error' "$log" || tail -n 20 "$log"; } >&2
		say "that failed; the log is $log"
	fi
	return $status
}
