/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What rust/sys/shim.c and the Rust code of klips.ko know of each other.
 *
 * rust/sys/bindings.rs declares the same for Rust. The shim does what takes the kernel's own
 * headers: structures that the Rust bindings lack, and inline functions. It decides nothing.
 */
#ifndef KLIPS_SHIM_H
#define KLIPS_SHIM_H

#include <linux/types.h>

struct msghdr;
struct net;
struct seq_file;
struct sk_buff;
struct sock;

/* Files in /proc/net; Listing in Rust has the same order. */
enum klips_listing {
	KLIPS_LISTING_SPIGRP,
	KLIPS_LISTING_SPI,
	KLIPS_LISTING_VERSION,
	KLIPS_LISTING_KLIPSDEBUG,
	KLIPS_LISTING_PF_KEY,
	KLIPS_LISTING_PF_KEY_REGISTERED,
	KLIPS_LISTING_PF_KEY_SUPPORTED,
	KLIPS_LISTING_COUNT,
};

/* What /proc/net/pf_key tells of a socket. */
struct klips_socket_info {
	u64 inode;
	u32 pid;
	u32 err;
	u32 protocol;
	u32 sndbuf;
	u32 rcvbuf;
	u32 type;
	u32 state;
	/* Messages lost because the socket had no room for them. */
	u32 lost;
};

/*
 * Implemented in C, called by Rust.
 */

/* Registers the family, the files and the per-namespace state; 0 or a negative errno. */
int klips_shim_register(void);
/* Undoes that. No socket or file can be open then, for each of them holds the module. */
void klips_shim_unregister(void);

bool klips_shim_may_administer(const struct net *net);
/* Whether the namespace belongs to the first user namespace. */
bool klips_shim_is_trusted(const struct net *net);
bool klips_shim_is_local_v4(struct net *net, const u8 *address);
bool klips_shim_is_local_v6(struct net *net, const u8 *address);
u64 klips_shim_real_seconds(void);
u64 klips_shim_boot_seconds(void);
void klips_shim_random(void *bytes, size_t len);
void klips_shim_cond_resched(void);

bool klips_shim_has_control(const struct msghdr *msg);
bool klips_shim_send_is_shut_down(const struct sock *sk);
/* 0 or -EFAULT. */
int klips_shim_copy_from(void *to, struct msghdr *msg, size_t len);

/*
 * Room that every message has, enough for most: USUAL_ROOM in rust/post/mod.rs.  Where cache
 * lines have 64 bytes, what ends a socket buffer takes the rest of 512 bytes, and nothing smaller
 * has room for it.
 */
#define KLIPS_USUAL_ROOM 192

/*
 * A message of len bytes at *data; NULL without memory.  They are initialized, but by what another
 * message has left: the caller writes all of them that are not cut off.
 */
struct sk_buff *klips_shim_message_new(const struct net *net, size_t len, u8 **data);
/* Leaves only the first bytes of a message that has not been delivered. */
void klips_shim_message_shorten(struct sk_buff *message, size_t len);
/* Gives up a message that was not delivered last.  It may be kept, to be written anew. */
void klips_shim_message_free(const struct net *net, struct sk_buff *message);
/*
 * Queues a message at a socket, or notes there that one was lost. Rust calls this and the next
 * two under its lock.
 */
void klips_shim_deliver(struct sock *sk, struct sk_buff *message);
/* The same without a copy: the message is taken over. */
void klips_shim_deliver_last(struct sock *sk, struct sk_buff *message);
/* Notes that a message was lost that could not even be made. */
void klips_shim_lost(struct sock *sk);
bool klips_shim_has_room(const struct sock *sk);
void klips_shim_set_dumping(struct sock *sk, bool dumping);
void klips_shim_socket_info(struct sock *sk, struct klips_socket_info *info);
/* Has klips_expire called after this many seconds. */
void klips_shim_wake_after(struct net *net, u64 seconds);

/*
 * The free part of a seq_file's buffer, and how much of it has been written; -1 if it was too
 * small.
 */
size_t klips_shim_page_begin(struct seq_file *m, u8 **start);
void klips_shim_page_end(struct seq_file *m, int len);

void klips_shim_wipe(void *secret, size_t len);
/* Memory that is wiped when it is freed. */
void *klips_shim_secret_new(size_t len);
void klips_shim_secret_free(void *secret, size_t len);

/*
 * Implemented in Rust, called by C.
 */

/* The state of a network namespace; NULL without memory. */
void *klips_net_new(struct net *net);
void klips_net_free(void *state);

/* Whether a socket of this type and protocol may be made; 0 or a negative errno. */
int klips_socket_check(const struct net *net, int type, int protocol);
int klips_socket_open(void *state, struct sock *sk);
void klips_socket_close(void *state, struct sock *sk);
/* There is room to go on with a DUMP at a socket for which klips_shim_set_dumping was called. */
void klips_socket_drained(void *state, struct sock *sk);
/* The time that klips_shim_wake_after was told has come. */
void klips_expire(void *state);
/* 0 or a negative errno. */
int klips_socket_send(void *state, struct sock *sk, struct msghdr *msg, size_t len);

/*
 * Fills the rest of the buffer of m with the lines that begin at position or later, or with as many
 * as can be written without taking too long. Returns the position to go on at, or 0 at the end.
 * *end is 0 when a reading begins, and kept from then on: it says where the reading ends.
 */
u64 klips_listing_page(void *state, u32 listing, struct seq_file *m, u64 position, u64 *end);

#endif /* KLIPS_SHIM_H */
