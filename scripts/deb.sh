#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Makes Debian packages in build/deb, of what scripts/install.sh installs: klips-tools, the tools
# that "make tools" built, and klips-dkms, the source of the module.
#
# "deb.sh check" only looks whether what that takes is there.
#
# The same input makes the same bytes: times are those of the last commit, or SOURCE_DATE_EPOCH.
# DEBFULLNAME and DEBEMAIL say who the maintainer is, if not the author of that commit.

set -euo pipefail
umask 022

# shellcheck source-path=SCRIPTDIR source=common.sh
. "$(dirname -- "${BASH_SOURCE[0]}")/common.sh"

project=${scripts%/*}
readonly project templates=$scripts/install/debian out=$project/build/deb

of_last_commit() { git -C "$project" log -1 --format="$1"; }

fill_in() { # TEMPLATE
	sed -e "s,@VERSION@,$version,g; s,@ARCHITECTURE@,$architecture,g; s,@KNOWN@,$(known_kernels),g; s,@RUST@,${min_rust%.*},g" \
		-e "s,@MAINTAINER@,$maintainer,g; s,@YEAR@,$(date -u -d "@$SOURCE_DATE_EPOCH" +%Y),g" \
		-e "s,@SIZE@,${size:-},g; s/@LIBRARIES@/${libraries:-}/g" "$1"
}

# The packages of the libraries that the program needs, with versions.
find_libraries() {
	mkdir "$work/debian"
	touch "$work/debian/control"
	libraries=$(cd "$work" && dpkg-shlibdeps -O "$work/klips-tools/usr/libexec/klips/ipsec" 2>"$work/log") || {
		cat "$work/log" >&2
		die "dpkg-shlibdeps failed."
	}
	libraries=${libraries#shlibs:Depends=}
}

# What belongs in both packages.
put_documents() { # DIR PACKAGE
	local doc=$1/usr/share/doc/$2
	mkdir -p "$doc"
	fill_in "$templates/copyright.in" >"$doc/copyright"
	gzip -9n >"$doc/changelog.gz" <<-CHANGELOG
		klips ($version) unstable; urgency=medium

		  * Made from the project's own repository, whose history tells what changed.

		 -- $maintainer  $(LC_ALL=C date -u -R -d "@$SOURCE_DATE_EPOCH")
	CHANGELOG
	if [[ -e $templates/$2.lintian-overrides ]]; then
		install -D -m 644 "$templates/$2.lintian-overrides" "$1/usr/share/lintian/overrides/$2"
	fi
}

put_control() { # DIR PACKAGE
	local script name size
	size=$(du -sk --apparent-size "$1" | cut -f 1)
	mkdir "$1/DEBIAN"
	fill_in "$templates/$2.control.in" >"$1/DEBIAN/control"
	(cd "$1" && find etc -type f -printf '/%p\n' | sort) >"$1/DEBIAN/conffiles"
	(cd "$1" && find usr -type f -print0 | sort -z | xargs -0 md5sum) >"$1/DEBIAN/md5sums"
	for script in "$templates/$2".{postinst,prerm,postrm}{,.in}; do
		[[ -e $script ]] || continue
		name=${script##*/"$2".}
		fill_in "$script" >"$1/DEBIAN/${name%.in}"
		chmod 755 "$1/DEBIAN/${name%.in}"
	done
}

pack() { # PACKAGE ARCHITECTURE
	local dir=$work/$1
	put_documents "$dir" "$1"
	put_control "$dir" "$1"
	dpkg-deb --root-owner-group -Zxz --build "$dir" "$out/$1_${version}_$2.deb" >/dev/null
	printf '%s\n' "$out/$1_${version}_$2.deb"
}

check_tools() {
	local tool list=''
	for tool in dpkg-deb dpkg-shlibdeps strip git; do
		command -v $tool >/dev/null || list+=" $tool"
	done
	[[ -z $list ]] || die "missing:$list." "sudo apt install dpkg-dev binutils git"
	git -C "$project" rev-parse HEAD >/dev/null 2>&1 || [[ ${SOURCE_DATE_EPOCH:-} && ${DEBFULLNAME:-} && ${DEBEMAIL:-} ]] ||
		die "this is no git repository, so set SOURCE_DATE_EPOCH, DEBFULLNAME and DEBEMAIL."
}

main() {
	check_tools
	[[ ${1:-} != check ]] || return 0
	version=$(project_version)
	architecture=$(dpkg --print-architecture)
	maintainer="${DEBFULLNAME:-$(of_last_commit %an)} <${DEBEMAIL:-$(of_last_commit %ae)}>"
	SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(of_last_commit %ct)}
	export SOURCE_DATE_EPOCH
	work=$(mktemp -d)
	trap 'rm -rf "$work"' EXIT
	mkdir -p "$out"

	PREFIX=/usr DESTDIR=$work/klips-tools "$scripts/install.sh" install
	# dpkg has a list of its own.
	rm "$work/klips-tools/usr/libexec/klips/installed"
	strip --remove-section=.comment --remove-section=.note "$work/klips-tools/usr/libexec/klips/ipsec"
	[[ ! -d $work/klips-tools/usr/share/man ]] || find "$work/klips-tools/usr/share/man" -type f -exec gzip -9n {} +
	# Where Debian's zsh looks.
	mv "$work/klips-tools/usr/share/zsh"/{site-functions,vendor-completions}
	mkdir -p "$work/klips-dkms"/{usr,etc}
	mv "$work/klips-tools/usr/src" "$work/klips-dkms/usr"
	mv "$work/klips-tools/etc/modprobe.d" "$work/klips-dkms/etc"
	# It is in the copyright file.
	rm "$work/klips-dkms/usr/src/klips-$version/LICENSE"

	find_libraries
	pack klips-tools "$architecture"
	pack klips-dkms all
}

main "$@"
