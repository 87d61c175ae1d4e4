/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note */
/*
 * What klips.ko adds to KLIPS's dialect of PF_KEYv2: grouping of several SAs by one message.
 *
 * The message is an SADB_X_GRPSA (type 13) whose SADB_EXT_SA and SADB_EXT_ADDRESS_DST name the
 * innermost SA, as in KLIPS, and whose KLIPS_EXT_GROUP names the one to three SAs around it,
 * inside to outside. It makes one group of them or changes nothing: every SA has to exist, none
 * may be part of a group and none may be named twice. The answer echoes the message.
 *
 * If that is not so, write() fails and every open PF_KEY socket gets the header of the message
 * with the errno in sadb_msg_errno, followed by KLIPS_EXT_FAULT, which tells which SA is at fault:
 *
 *   KLIPS_FAULT_MISSING   ENOENT
 *   KLIPS_FAULT_GROUPED   EEXIST
 *   KLIPS_FAULT_TWICE     EEXIST
 *
 * A KLIPS without this extension answers EINVAL. Integers are in host order except where __be32
 * stands; lengths count words of eight bytes.
 */
#ifndef _UAPI_LINUX_KLIPS_H
#define _UAPI_LINUX_KLIPS_H

#include <linux/types.h>

/* Numbers of extensions, clear of KLIPS's (1 to 32) and of mainline's. */
#define KLIPS_EXT_GROUP		48
#define KLIPS_EXT_FAULT		49

/* The most SAs in a group made at once, the innermost included. */
#define KLIPS_GROUP_MAX		4

/* One SA. */
struct klips_group_member {
	__be32 spi;
	__u8 satype;		/* 2 AH, 3 ESP, 9 tunnel, 10 COMP */
	__u8 reserved;		/* 0 */
	__u16 family;		/* AF_INET or AF_INET6 */
	__u8 address[16];	/* IPv4 in the first four bytes, the rest 0 */
};

/* KLIPS_EXT_GROUP: the length is 1 + 3 * count words. */
struct klips_group {
	__u16 len;
	__u16 exttype;
	__u8 count;		/* 1 to 3 */
	__u8 reserved[3];	/* 0 */
	struct klips_group_member member[];
};

/* Values of klips_fault.reason. */
#define KLIPS_FAULT_MISSING	1	/* there is no such SA */
#define KLIPS_FAULT_GROUPED	2	/* it is part of a group */
#define KLIPS_FAULT_TWICE	3	/* it is named twice */

/* KLIPS_EXT_FAULT: the length is one word. */
struct klips_fault {
	__u16 len;
	__u16 exttype;
	__u8 member;		/* 0 is the innermost */
	__u8 reason;
	__u16 reserved;		/* 0 */
};

#endif /* _UAPI_LINUX_KLIPS_H */
