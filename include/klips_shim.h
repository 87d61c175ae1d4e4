/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the C and the Rust half of rust/sys know of each other.
 *
 * C does what takes the kernel's own headers: structures that the Rust bindings lack, inline
 * functions and macros.  rust/sys/bindings.rs is made of this file by scripts/bindings.sh.
 */
#ifndef KLIPS_SHIM_H
#define KLIPS_SHIM_H

#include <linux/types.h>

struct file;
struct msghdr;
struct net;
struct proc_dir_entry;
struct sock;

/*
 * Network namespaces: rust/sys/netns.c and netns.rs.
 */

/* Registers the state of each namespace; 0 or a negative errno. */
int klips_netns_register(void);
void klips_netns_unregister(void);
/* For the other C halves: what klips_netns_new has made. */
void *klips_netns_state(const struct net *net);
/* Likewise, /proc/sys/net/ipsec: rust/sys/sysctl.c. */
int klips_sysctl_register(void);
void klips_sysctl_unregister(void);
bool klips_sysctl_hides_tos(const struct net *net);
/* Has klips_netns_work called after this many jiffies, and not at the time that was set before. */
void klips_netns_work_after(struct net *net, unsigned long jiffies);
/* Has klips_netns_interfaces called after this many jiffies, or sooner if that was asked for. */
void klips_netns_interfaces_after(struct net *net, unsigned long jiffies);
/* Whether an address in network byte order is one of this namespace's own. */
bool klips_netns_is_local_v4(struct net *net, const u8 *address);
bool klips_netns_is_local_v6(struct net *net, const u8 *address);
/* Whether the current process has CAP_NET_ADMIN in the user namespace that owns this one. */
bool klips_netns_may_administer(const struct net *net);

/* Parameters, which root can change: the most of each in every namespace but the first. */
extern unsigned int klips_max_sas;
extern unsigned int klips_max_sockets;
extern unsigned int klips_max_flows;
extern unsigned int klips_max_states;

/*
 * Keeps the module from being unloaded, once for each call.  The caller keeps it in another way
 * then, and when it gives that back.
 */
void klips_netns_hold_module(void);
void klips_netns_release_module(void);

/* Lets others run; called without locks. */
void klips_cond_resched(void);
/*
 * Between these the processor is nobody else's, so that no other who wants the table's mutex has to
 * wait until a processor is free for its owner.  Nothing may sleep there.
 */
void klips_preempt_disable(void);
void klips_preempt_enable(void);
/* Whether the calling process has been sent SIGKILL. */
bool klips_is_killed(void);

/* In Rust: the state of a namespace, given to all functions of Rust; NULL without memory. */
void *klips_netns_new(struct net *net);
/* Whether it has eroutes, or what packets that come in have to meet. */
bool klips_netns_is_in_use(void *state);
/* Nothing else is called for that state any more. */
void klips_netns_free(void *state);
/* The time that klips_netns_work_after was told has come. */
void klips_netns_work(void *state);
/* Interfaces may have gone. */
void klips_netns_interfaces(void *state);
/* Has ipsecN be used, an xfrm interface; 0 or a negative errno. */
int klips_netns_attach(void *state, u32 number);

/*
 * KLIPS's interfaces before they are attached: rust/sys/device.c.
 */

/* Has each namespace have some; 0 or a negative errno. */
int klips_device_register(void);
void klips_device_unregister(void);
/* Makes ipsecN, unattached; 0 or a negative errno, -EEXIST if the name is taken. */
int klips_device_add(struct net *net, u32 number);
/* Removes ipsecN; false if it is not there, or attached. */
bool klips_device_remove(struct net *net, u32 number);
/* Whether ipsecN is there, unattached. */
bool klips_device_is_there(struct net *net, u32 number);

/*
 * Sockets: rust/sys/socket.c and socket.rs.
 */

/* Registers the protocol family; 0 or a negative errno. */
int klips_socket_register(void);
/* No socket can be open then, for each of them holds the module. */
void klips_socket_unregister(void);

void klips_socket_hold(struct sock *sk);
void klips_socket_put(struct sock *sk);

/*
 * Queues a copy of a message at a socket.  Its memory is charged to the memory control group of
 * who made the socket.  -EPERM if the socket's filter does not want the message.  -ENOMEM without
 * memory and -ENOBUFS if the receive buffer is full: then it counts as dropped.
 */
int klips_socket_deliver(struct sock *sk, const u8 *message, size_t len);
/*
 * Makes sure that the next message of up to len bytes can be queued even if there is no memory
 * then; 0 or -ENOMEM.
 */
int klips_socket_reserve(struct sock *sk, size_t len);
/* Has reading and polling tell of an error once. */
void klips_socket_set_error(struct sock *sk, int err);
/* Counts messages as dropped. */
void klips_socket_add_drops(struct sock *sk, u32 count);
/* What shutdown() has not ended. */
bool klips_socket_receives(const struct sock *sk);
bool klips_socket_sends(const struct sock *sk);
/* The size of the receive buffer, and how much of it is used. */
int klips_socket_rcvbuf(const struct sock *sk);
int klips_socket_rmem(const struct sock *sk);
/*
 * Has klips_socket_room called when something has been read and at least so much of the receive
 * buffer is free; 0 for never.  A reader who makes room after this has returned sees it.
 */
void klips_socket_await_room(struct sock *sk, int room);

/* What /proc/net/pf_key tells of a socket. */
struct klips_socket_info {
	u64 inode;
	u32 err;
	u32 protocol;
	u32 sndbuf;
	u32 type;
	u32 state;
	u32 drops;
};

void klips_socket_info(struct sock *sk, struct klips_socket_info *info);

/* In Rust: whether a socket of this type and protocol may be made; 0 or a negative errno. */
int klips_socket_check(void *state, int type, int protocol);
/* A socket was made; 0 or a negative errno, and the number that Rust knows it by. */
int klips_socket_open(void *state, struct sock *sk, u64 *number);
/* A socket is being closed.  Nothing is delivered to it after that. */
void klips_socket_close(void *state, u64 number);
/* 0 or a negative errno. */
int klips_socket_send(void *state, struct sock *sk, u64 number, struct msghdr *msg, size_t len);
/* There is as much room as klips_socket_await_room was told. */
void klips_socket_room(void *state, u64 number);

/*
 * Files in /proc/net: rust/sys/proc.c and proc.rs.
 */

/* The folder /proc/net of a namespace, which does not change. */
struct proc_dir_entry *klips_proc_net(const struct net *net);
/* A folder; NULL without memory. */
struct proc_dir_entry *klips_proc_mkdir(struct net *net, struct proc_dir_entry *parent,
					const char *name);
/* A file, whose opening calls klips_proc_open with data; false without memory. */
bool klips_proc_create(struct proc_dir_entry *parent, const char *name, umode_t mode, void *data);
bool klips_proc_symlink(struct proc_dir_entry *parent, const char *name, const char *target);
/*
 * Removes an entry, if it is there, with all below it.  Waits for whoever reads such a file, and
 * closes those that are open: none of them is read after that.
 */
void klips_proc_remove(struct proc_dir_entry *parent, const char *name);

/* In Rust: opens a file as a seq_file with private data; 0 or a negative errno. */
int klips_proc_open(struct file *file, void *data);

#endif /* KLIPS_SHIM_H */
