/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the C and the Rust code of klips.ko know of each other, where packets are concerned: xfrm.c
 * and xfrm_events.c, interface.c, device.c, routes.c and rtnetlink.c of rust/sys.
 *
 * rust/sys/bindings.rs is made of this file by scripts/bindings.sh.
 *
 * Addresses are in network order, an IPv4 address being the first four bytes; all other numbers are
 * in host order. A family is AF_INET or AF_INET6.
 */
#ifndef KLIPS_XFRM_H
#define KLIPS_XFRM_H

#include <linux/types.h>

struct net;
struct net_device;
struct sk_buff;
struct xfrm_state;

/* Set in the reqid of every state that klips makes; daemons have small numbers. */
#define KLIPS_XFRM_REQID 0x80000000U

/*
 * The bits of a reqid that say what has it, and that of a %trap or %trapsubnet: no state has it,
 * and whichever packet asks for one is told of.
 */
#define KLIPS_XFRM_KIND 0xe0000000U
#define KLIPS_XFRM_TRAP 0xa0000000U

/* Templates that a policy takes. xfrm has room for six, and takes no packet through the sixth. */
#define KLIPS_XFRM_TEMPLATES 5

/* An algorithm by the name that xfrm has for it, which is NULL if there is none. */
struct klips_xfrm_algorithm {
	const char *name;
	const u8 *key;
	u32 key_bits;
	/* Length of what authenticates; 0 for the algorithm's own. */
	u32 icv_bits;
};

/* Limits as xfrm_lifetime_cfg has them: what reaches one is over. */
struct klips_xfrm_limits {
	u64 bytes;
	u64 packets;
	/* Seconds since the first packet; 0 for no limit. */
	u64 use_seconds;
};

/* What a state is made of. */
struct klips_xfrm_sa {
	struct klips_xfrm_algorithm auth;
	struct klips_xfrm_algorithm encrypt;
	/* Encryption with authentication in one. */
	struct klips_xfrm_algorithm aead;
	struct klips_xfrm_algorithm compress;
	struct klips_xfrm_limits soft;
	struct klips_xfrm_limits hard;
	u8 src[16];
	u8 dst[16];
	/* The address before NAT. */
	u8 original[16];
	u32 spi;
	u32 reqid;
	/* That of an xfrm interface, 0 for none; in a policy likewise. */
	u32 if_id;
	u16 family;
	/* UDP encapsulation: UDP_ENCAP_..., 0 for none, and its ports. */
	u16 encap;
	u16 sport;
	u16 dport;
	/* IPPROTO_... */
	u8 proto;
	/* XFRM_MODE_... */
	u8 mode;
	/* Packets that may come late; 0 if sequence numbers don't matter. */
	u8 window;
	/* Keeps the DSCP of the packet inside from being copied to the header in front of it. */
	u8 hide_dscp;
};

/* What a policy asks for: an xfrm_tmpl without an SPI. */
struct klips_xfrm_template {
	u8 src[16];
	u8 dst[16];
	u32 reqid;
	u16 family;
	u8 proto;
	u8 mode;
	u8 optional;
	/* Whether what xfrm makes beside a state of an IPComp tunnel will not do for it. */
	u8 strict;
	u8 unused[6];
};

/*
 * Set in the rank of a policy that is only for packets whose ports are both 0.  To xfrm, those of
 * all fragments are, the first included.
 */
#define KLIPS_XFRM_FRAGMENTS 0x80000000U

/* What a policy is made of. */
struct klips_xfrm_flow {
	struct klips_xfrm_template templates[KLIPS_XFRM_TEMPLATES];
	u8 src[16];
	u8 dst[16];
	u32 priority;
	u32 if_id;
	/* Tells its selector from that of another policy for the same packets. */
	u32 rank;
	u16 family;
	/* 0 for any port. */
	u16 sport;
	u16 dport;
	u8 src_prefix;
	u8 dst_prefix;
	/* 0 for any protocol. */
	u8 proto;
	/* XFRM_POLICY_IN, _OUT or _FWD; XFRM_POLICY_ALLOW or _BLOCK. */
	u8 dir;
	u8 action;
	u8 template_count;
};

/* What a state has been used for. */
struct klips_xfrm_usage {
	u64 bytes;
	u64 packets;
	/* Seconds since the epoch; 0 for never. */
	u64 use_time;
	u64 last_used;
	/* Which of the last 64 packets have come; bit 0 is the one with the highest number. */
	u64 received;
	u32 sent_seq;
	u32 received_seq;
	/* Whether packets can go through it, and whether a soft limit has been passed. */
	u8 alive;
	u8 dying;
	u8 unused[6];
};

/* The name of a state. */
struct klips_xfrm_name {
	u8 dst[16];
	u32 spi;
	u16 family;
	/* IPPROTO_... */
	u8 proto;
	u8 unused;
};

/* A packet that a %trap or %trapsubnet has taken. */
struct klips_xfrm_acquire {
	/* What keeps others of these two hosts from being told of; a reference. */
	struct xfrm_state *waiting;
	/* The second since boot up to which it does. */
	u64 until;
	u8 src[16];
	u8 dst[16];
	/* That of the eroute's policy. */
	u32 reqid;
	u16 family;
	/* 0 where the protocol has no ports. */
	u16 sport;
	u16 dport;
	u8 proto;
	u8 unused[5];
};

/* That packets for a state come from elsewhere than before. */
struct klips_xfrm_mapping {
	struct klips_xfrm_name name;
	u8 src[16];
	u16 sport;
	u8 unused[2];
};

/* Which states something has happened to; if neither, to any. */
#define KLIPS_XFRM_NO_STATE 0
#define KLIPS_XFRM_ONE_STATE 1

/* A policy. */
struct klips_xfrm_policy;

/*
 * Implemented in C, called by Rust.
 *
 * What changes states and policies is called between klips_xfrm_hold and klips_xfrm_release, and so
 * is klips_xfrm_state_new. All of it may sleep.
 */

/*
 * Registers the key manager that notes what happens to states and policies; 0 or a negative
 * errno.
 */
int klips_xfrm_register(void);
/* No namespace has Rust code called any more. */
void klips_xfrm_unregister(void);

/* From here on the functions at the end of this file are called with state. */
void klips_xfrm_net_start(struct net *net, void *state);
/* From here on they are not, and none of them is under way. */
void klips_xfrm_net_stop(struct net *net);

/* Has klips_netns_interfaces called when interfaces go; 0 or a negative errno. */
int klips_interface_register(void);
void klips_interface_unregister(void);

/* Keeps other key managers from changing states and policies. */
void klips_xfrm_hold(struct net *net);
void klips_xfrm_release(struct net *net);

/*
 * A state that is not inserted; NULL with a negative errno in *err, -ENOENT for an algorithm that
 * the kernel does not have.
 */
struct xfrm_state *klips_xfrm_state_new(struct net *net, const struct klips_xfrm_sa *sa, int *err);
/* Gives the reference back; the state stays if it is inserted. */
void klips_xfrm_state_put(struct xfrm_state *x);
void klips_xfrm_state_insert(struct xfrm_state *x);
/*
 * Takes out one and inserts another of the same name, with its counters and, if carry, its sequence
 * numbers.  What somebody else has removed is not brought back: then both are dead.
 */
void klips_xfrm_state_swap(struct xfrm_state *old, struct xfrm_state *new, bool carry);
void klips_xfrm_state_delete(struct xfrm_state *x);
void klips_xfrm_state_set_ports(struct xfrm_state *x, u16 sport, u16 dport);
void klips_xfrm_state_usage(struct xfrm_state *x, struct klips_xfrm_usage *usage);
/* The reqid of the state of this name, whoever made it; -ESRCH if there is none. */
s64 klips_xfrm_reqid(struct net *net, u16 family, const u8 *dst, u32 spi, u8 proto);

/* How many interfaces there may be, and the if_id of ipsec0. */
#define KLIPS_INTERFACES 64
#define KLIPS_FIRST_IF_ID 0x4b4c0000U

/* For the other C halves. */
bool klips_is_xfrm_interface(const struct net_device *dev);
/* What the kernel knows ipsecN by, if that is an xfrm interface with this if_id; 0 if not. */
u32 klips_interface_find(struct net *net, u32 number, u32 if_id);
/* What the kernel knows the interface below one by; 0 if there is none. */
u32 klips_interface_physical(struct net *net, u32 ifindex);
/* Whether an address is one of the interface below one that is known by ifindex. */
bool klips_interface_is_end(struct net *net, u32 ifindex, u16 family, const u8 *address);

/* What /proc/net/ipsec_tncfg says of an interface. */
struct klips_attached {
	/* The one below it; empty if there is none. */
	char physical[16];
	u32 mtu;
	u32 physical_mtu;
};

void klips_interface_attached(struct net *net, u32 ifindex, struct klips_attached *attached);

/*
 * For the other C halves: asks rtnetlink, unless err says that the request could not be
 * written, and frees the request; 0 or a negative errno.
 */
int klips_rtnetlink(struct net *net, struct sk_buff *request, int err);

/*
 * The way around an interface for IKE with a peer that is routed to it, and for what SAs make of
 * packets: rust/sys/routes.c.  Called by one work of a namespace alone.
 */
struct klips_routes;

struct klips_routes *klips_routes_new(struct net *net);
/* klips_routes_changed is not called any more. */
void klips_routes_stop(struct klips_routes *routes);
void klips_routes_free(struct klips_routes *routes);
/* Has klips_routes_changed called after this many jiffies, or as was asked for before. */
void klips_routes_after(struct net *net, unsigned long jiffies);
/* For the other C halves: those of a namespace. */
struct klips_routes *klips_netns_routes(const struct net *net);
/* Between an address of this host and a peer, around the interface that is known by ifindex. */
void klips_routes_want(struct net *net, u16 family, const u8 *own, const u8 *peer, u32 ifindex);
/* Makes those that are wanted since it was last called, and removes all others. */
void klips_routes_settle(struct net *net);

/* A policy that is not inserted; NULL without memory. */
struct klips_xfrm_policy *klips_xfrm_policy_new(struct net *net,
						const struct klips_xfrm_flow *flow);
/* Gives the references back; the policy stays if it is inserted. */
void klips_xfrm_policy_put(struct klips_xfrm_policy *policy);
/* If over, in the place of whatever there is of its selector; 0, -EEXIST or -ENOMEM. */
int klips_xfrm_policy_insert(struct klips_xfrm_policy *policy, bool over);
/*
 * Of the same direction and selector. If there is no memory to do it, which can only be where
 * somebody else has removed the old, it is for klips_xfrm_policies_changed to do.
 */
void klips_xfrm_policy_replace(struct klips_xfrm_policy *old, struct klips_xfrm_policy *new);
/* Whether it asks for just these. */
bool klips_xfrm_policy_has(const struct klips_xfrm_policy *policy,
			   const struct klips_xfrm_template *templates, u8 count);
/* Have it block, or let through what its templates say, from now on, be it inserted or not. */
void klips_xfrm_policy_block(struct klips_xfrm_policy *policy);
void klips_xfrm_policy_open(struct klips_xfrm_policy *policy);
/*
 * Puts back one that somebody else has removed, or has put another in the place of. 1 if that was
 * so, 0 if it is where it belongs, -ENOMEM.
 */
int klips_xfrm_policy_restore(struct klips_xfrm_policy *policy);
void klips_xfrm_policy_delete(struct klips_xfrm_policy *policy);

/*
 * Takes what has happened to states: KLIPS_XFRM_NO_STATE if nothing has, KLIPS_XFRM_ONE_STATE and
 * its name, or something else if any of them may have changed.
 */
int klips_xfrm_next_state(struct net *net, struct klips_xfrm_name *name);
/* Has klips_xfrm_states_changed called in a second, for any state may have changed. */
void klips_xfrm_states_later(struct net *net);
/* Has klips_xfrm_policies_changed called in a second. */
void klips_xfrm_policies_later(struct net *net);
/* For xfrm.c: routes are outdated once more in a second. */
void klips_xfrm_outdate_later(struct net *net);

/*
 * Whether there is somebody to be told of packets that a %trap takes; if not, nothing is made for
 * them.
 */
void klips_xfrm_accept_acquires(struct net *net, bool accept);
/* Takes the next such packet; false if there is none. */
bool klips_xfrm_next_acquire(struct net *net, struct klips_xfrm_acquire *acquire);
/* Gives the reference back. */
void klips_xfrm_waiting_put(struct xfrm_state *waiting);
/* Has the next packet told of again. */
void klips_xfrm_waiting_delete(struct xfrm_state *waiting);
/* Takes the next change of an address or port behind NAT; false if there is none. */
bool klips_xfrm_next_mapping(struct net *net, struct klips_xfrm_mapping *mapping);

/* For netns.c: from now on packets without a policy are dropped; called when the namespace goes. */
void klips_xfrm_drop_all(struct net *net);

/*
 * For the other half in C: loads and pins what drops bare IP-in-IP packets without a word; 0 or a
 * negative errno.
 */
int klips_xfrm_pin_tunnels(void);
void klips_xfrm_unpin_tunnels(void);

/*
 * Implemented in Rust, called by C from a worker, with what klips_xfrm_net_start was given.
 */

/* Limits of states have been passed, or somebody else has removed some. */
void klips_xfrm_states_changed(void *state);
/* Somebody else has removed policies, or put others in their place. */
void klips_xfrm_policies_changed(void *state);
/* What goes around interfaces may have changed, or by what way. */
void klips_routes_changed(void *state);
/* A %trap has taken packets, or some come from elsewhere than before. */
void klips_xfrm_packets_told(void *state);

#endif /* KLIPS_XFRM_H */
