# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash disable=SC2034,SC2154 # shared with the scripts that include this
#
# What a kernel's build directory says that kernel was built with, and where that is here.
#
# For scripts that include common.sh.

# Sets: kconfig, the configuration of the kernel built in DIR.  Fails if there is none.
find_configuration() { # DIR
	for kconfig in "$1/.config" "$1/include/config/auto.conf"; do
		[[ ! -r $kconfig ]] || return 0
	done
	return 1
}

# Sets: c_compiler, such as "clang 19", and c_compiler_args for make.  Fails if it is not here.
find_c_compiler() {
	local major tool
	if [[ $(kernel_option "$kconfig" CC_IS_CLANG) == y ]]; then
		major=$(($(kernel_option "$kconfig" CLANG_VERSION) / 10000))
		c_compiler="clang $major"
		if command -v "clang-$major" >/dev/null; then
			c_compiler_args=("LLVM=-$major")
			return
		elif [[ $(clang -dumpversion 2>/dev/null) == "$major".* ]]; then
			c_compiler_args=("LLVM=1")
			return
		fi
	else
		major=$(($(kernel_option "$kconfig" GCC_VERSION) / 10000))
		c_compiler="gcc $major"
		tool=$(kernel_option "$kconfig" CC_VERSION_TEXT)
		for tool in "${tool%% *}" "gcc-$major" gcc; do
			if [[ $tool && $("$tool" -dumpversion 2>/dev/null) =~ ^$major($|\.) ]]; then
				c_compiler_args=("CC=$tool")
				return
			fi
		done
	fi
	return 1
}

# Sets: rust_compiler, such as "rustc 1.85.1 (…)", and rust_compiler_path.  Fails if it is not
# here: what it wrote can be read by the very same compiler only.
find_rust_compiler() {
	rust_compiler=$(kernel_option "$kconfig" RUSTC_VERSION_TEXT)
	for rust_compiler_path in "$rustc" "$(command -v rustc)"; do
		if [[ $rust_compiler && $("$rust_compiler_path" --version 2>/dev/null) == "$rust_compiler" ]]; then
			return
		fi
	done
	return 1
}
