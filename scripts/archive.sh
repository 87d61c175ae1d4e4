# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash disable=SC2034,SC2154 # shared with the scripts that include this
#
# Packages from Debian's archive: apt checks its signature and their digests.  All of apt's
# state is in a directory of ours, the system's own is neither used nor changed.
#
# For scripts that include common.sh.

# archive_uri APT...: the Debian archive this system uses, as its administrator set it up.
archive_uri() {
	local ours uri release name
	ours=$(own_codename)
	# shellcheck disable=SC2016 # expanded by apt
	"$@" indextargets --format '$(REPO_URI)|$(RELEASE)|$(CODENAME)' \
		'Created-By: Packages' 'Component: main' 2>/dev/null | sort -u |
		while IFS='|' read -r uri release name; do
			[[ $release == "$ours" || $name == "$ours" ]] || continue
			printf '%s\n' "$uri"
			break
		done
}

# open_archive DIR [ADVICE]: finds the archive; apt's state will be in DIR.
# Sets: archive, keyring, archive_dir, archive_advice.
open_archive() {
	local file
	archive_dir=$1
	archive_advice=("${@:2}")
	[[ -e /etc/debian_version ]] ||
		die "packages come from Debian's archive, and this is not Debian." "${archive_advice[@]}"
	mkdir -p "$archive_dir"/{lists,archives}/partial

	keyring=''
	for file in /usr/share/keyrings/debian-archive-keyring.{gpg,pgp}; do
		[[ ! -e $file ]] || keyring=$file
	done
	[[ $keyring ]] || die "the archive's keys are missing." "Install the package debian-archive-keyring."

	# Hooks go because in containers they empty the system's package cache.
	cat >"$archive_dir/apt.conf" <<-CONF
		Dir::State::Lists "$archive_dir/lists";
		Dir::Cache::archives "$archive_dir/archives";
		Dir::Cache::pkgcache "";
		Dir::Cache::srcpkgcache "";
		Dir::Etc::Preferences "/dev/null";
		Dir::Etc::PreferencesParts "/dev/null";
		APT::Sandbox::User "$(id -un)";
		Acquire::Languages "none";
		Acquire::Retries "3";
		#clear APT::Update::Pre-Invoke;
		#clear APT::Update::Post-Invoke;
		#clear APT::Update::Post-Invoke-Success;
		#clear Acquire::IndexTargets::deb::DEP-11;
	CONF

	archive=$(archive_uri apt-get)
	if [[ -z $archive ]]; then
		# Where "apt-get update" never ran, only reading the lists tells.
		say "reading the package lists"
		watched "$archive_dir/log" read_apt 0 0 apt-get -q -c "$archive_dir/apt.conf" update || true
		archive=$(archive_uri apt-get -c "$archive_dir/apt.conf")
	fi
	[[ $archive ]] ||
		die "apt knows no Debian archive for this release: check the system's apt sources." "${archive_advice[@]}"
}

# of_suite APT-COMMAND...: apt that knows $suite and nothing else.
of_suite() {
	"$1" -q -c "$archive_dir/apt.conf" -o "Dir::Etc::SourceList=$archive_dir/sources.list" \
		-o Dir::Etc::SourceParts=/dev/null "${@:2}"
}

archive_failed() { # WHAT [STATUS]
	((${2:-1} != disk_is_full)) || die_of_full_disk "$archive_dir"
	tail -n 15 "$archive_dir/log" >&2
	die "could not get $1 from $suite of the system's Debian archive: is it reachable?" "${archive_advice[@]}"
}

# Reads what $suite has.
read_suite() {
	printf 'deb [signed-by=%s] %s %s main\n' "$keyring" "$archive" "$suite" >"$archive_dir/sources.list"
	: >"$archive_dir/log"
	watched "$archive_dir/log" read_apt 0 0 of_suite apt-get --error-on=any update ||
		archive_failed "the package lists" $?
}

download_packages() { # PACKAGE...
	cd "$archive_dir/archives" &&
		of_suite apt-get download "$@"
}

# download PACKAGE...: to $archive_dir/archives.
download() {
	local bytes
	# A line of it: 'URI' FILE BYTES DIGEST
	bytes=$(of_suite apt-get download --print-uris "$@" 2>/dev/null | awk '{ sum += $3 } END { printf "%d", sum }')
	: >"$archive_dir/log"
	watched "$archive_dir/log" read_download "$bytes" 0 download_packages "$@" || archive_failed "$*" $?
}
