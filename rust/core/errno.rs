// SPDX-License-Identifier: GPL-2.0

//! The error numbers that KLIPS answers with.

/// A Linux error number (positive).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Errno(pub u8);

macro_rules! errnos {
    ($($name:ident = $number:literal, $text:literal;)*) => {
        impl Errno {
            $(#[doc = $text] pub const $name: Errno = Errno($number);)*

            /// All of them.
            #[cfg(not(MODULE))]
            pub const ALL: &'static [Errno] = &[$(Errno($number)),*];

            /// The symbolic name and the usual text, for the numbers that KLIPS answers with.
            pub const fn describe(self) -> Option<(&'static str, &'static str)> {
                match self.0 {
                    $($number => Some((stringify!($name), $text)),)*
                    _ => None,
                }
            }
        }
    };
}

// The values of <asm-generic/errno.h>; the module asserts at build time that its kernel agrees.
errnos! {
    EPERM = 1, "Operation not permitted";
    ENOENT = 2, "No such SA";
    ESRCH = 3, "No such SA to delete or read";
    EINTR = 4, "Interrupted";
    ENOMEM = 12, "Out of memory";
    EACCES = 13, "Permission denied";
    EFAULT = 14, "Bad address";
    EBUSY = 16, "A dump is under way on this socket";
    EEXIST = 17, "SA already exists, or is already in a group";
    ENODEV = 19, "No such device";
    EINVAL = 22, "Invalid argument";
    ENFILE = 23, "Too many sockets";
    ENOSPC = 28, "No space left";
    EMLINK = 31, "Too many SAs in one group";
    EPIPE = 32, "Broken pipe";
    ENOSYS = 38, "Function not implemented";
    EMSGSIZE = 90, "Message length is wrong";
    EPROTONOSUPPORT = 93, "Protocol not supported";
    ESOCKTNOSUPPORT = 94, "Socket type not supported";
    EOPNOTSUPP = 95, "Operation not supported";
    EPFNOSUPPORT = 96, "Address family not supported in this extension";
    EAFNOSUPPORT = 97, "Address prefix length not supported";
    ENOBUFS = 105, "No buffer space available";
}
