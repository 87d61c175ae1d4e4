// SPDX-License-Identifier: GPL-2.0
/*
 * The way around an interface ipsecN.  A peer may be routed to ipsecN itself; IKE with it, and what
 * SAs to it make of packets, have to leave by the interface below all the same.  xfrm and sockets
 * find the way of these by the routing tables alone: so there are rules for them, and a table that
 * has a route to each such peer, as packets that are bound to the interface below would go.
 */
#include <linux/fib_rules.h>
#include <linux/hashtable.h>
#include <linux/in6.h>
#include <linux/jhash.h>
#include <linux/rtnetlink.h>
#include <linux/slab.h>
#include <linux/workqueue.h>
#include <net/fib_notifier.h>
#include <net/fib_rules.h>
#include <net/ip6_fib.h>
#include <net/ip6_route.h>
#include <net/ip_fib.h>
#include <net/net_namespace.h>
#include <net/netlink.h>
#include <net/route.h>

#include "klips_shim.h"
#include "klips_xfrm.h"

/* The table, and the rank of its rules: the last before that of the main table. */
#define KLIPS_TABLE	KLIPS_FIRST_IF_ID
#define KLIPS_RANK	32765

/* What has a rule.  Without a port, what xfrm makes: the protocol of a tunnel's state. */
static const struct {
	u8 proto;
	u16 sport;
} klips_ruled[] = {
	{ IPPROTO_UDP, 500 },
	/* Also ESP in UDP. */
	{ IPPROTO_UDP, 4500 },
	{ IPPROTO_ESP },
	{ IPPROTO_AH },
	{ IPPROTO_COMP },
};

/* A route to a peer. */
struct klips_route {
	struct hlist_node node;
	u16 family;
	u8 own[16];
	u8 peer[16];
	/* ipsecN. */
	u32 ifindex;
	bool wanted;
	bool is_there;
};

/* Those of a namespace.  Only its work uses them, but for is_stale. */
struct klips_routes {
	struct net *net;
	struct delayed_work work;
	DECLARE_HASHTABLE(table, 6);
	struct notifier_block fib;
	bool listens;
	/* Whether other routes or rules have changed. */
	bool is_stale;
	/* Whether there was no memory for what is wanted. */
	bool is_incomplete;
	/* By family: IPv6 or not. */
	bool has_rules[2];
};

/* By which interface, and which gateway, of family 0 if there is none. */
struct klips_way {
	u32 ifindex;
	u16 family;
	u8 gateway[16];
};

static size_t klips_address_size(u16 family)
{
	return family == AF_INET6 ? sizeof(struct in6_addr) : sizeof(__be32);
}

static int klips_find_way4(struct net *net, const struct klips_route *route, struct klips_way *way)
{
	struct flowi4 fl4 = { .flowi4_oif = way->ifindex };
	const struct rtable *rt;
	struct dst_entry *dst;
	int err = 0;

	memcpy(&fl4.saddr, route->own, sizeof(fl4.saddr));
	memcpy(&fl4.daddr, route->peer, sizeof(fl4.daddr));
	rt = ip_route_output_key(net, &fl4);
	if (IS_ERR(rt))
		return PTR_ERR(rt);
	dst = (struct dst_entry *)&rt->dst;
	way->family = rt->rt_gw_family;
	if (rt->rt_gw_family == AF_INET)
		memcpy(way->gateway, &rt->rt_gw4, sizeof(rt->rt_gw4));
	else if (rt->rt_gw_family == AF_INET6)
		memcpy(way->gateway, &rt->rt_gw6, sizeof(rt->rt_gw6));
	if (dst_dev(dst)->ifindex != way->ifindex)
		err = -ENETUNREACH;
	dst_release(dst);
	return err;
}

static int klips_find_way6(struct net *net, const struct klips_route *route, struct klips_way *way)
{
#if IS_ENABLED(CONFIG_IPV6)
	struct flowi6 fl6 = { .flowi6_oif = way->ifindex };
	const struct rt6_info *rt;
	struct dst_entry *dst;
	int err;

	memcpy(&fl6.saddr, route->own, sizeof(fl6.saddr));
	memcpy(&fl6.daddr, route->peer, sizeof(fl6.daddr));
	/* Otherwise it would only be preferred. */
	dst = ip6_route_output_flags(net, NULL, &fl6, RT6_LOOKUP_F_IFACE);
	err = dst->error;
	if (!err) {
		rt = dst_rt6_info(dst);
		way->family = rt->rt6i_flags & RTF_GATEWAY ? AF_INET6 : 0;
		memcpy(way->gateway, &rt->rt6i_gateway, sizeof(rt->rt6i_gateway));
		if (dst_dev(dst)->ifindex != way->ifindex)
			err = -ENETUNREACH;
	}
	dst_release(dst);
	return err;
#else
	return -EAFNOSUPPORT;
#endif
}

/* How the peer is reached by the interface below; 0 or a negative errno. */
static int klips_find_way(struct net *net, const struct klips_route *route, struct klips_way *way)
{
	memset(way, 0, sizeof(*way));
	way->ifindex = klips_interface_physical(net, route->ifindex);
	if (!way->ifindex)
		return -ENODEV;
	return route->family == AF_INET6 ? klips_find_way6(net, route, way) :
					   klips_find_way4(net, route, way);
}

/* The attribute of a route's gateway: RTA_VIA where that is of another family. */
static int klips_put_gateway(struct sk_buff *skb, u16 family, const struct klips_way *way)
{
	size_t size = klips_address_size(way->family);
	struct nlattr *attr;
	struct rtvia *via;

	if (!way->family)
		return 0;
	if (way->family == family)
		return nla_put(skb, RTA_GATEWAY, size, way->gateway);
	attr = nla_reserve(skb, RTA_VIA, sizeof(*via) + size);
	if (!attr)
		return -EMSGSIZE;
	via = nla_data(attr);
	via->rtvia_family = way->family;
	memcpy(via->rtvia_addr, way->gateway, size);
	return 0;
}

/* Makes a route to a peer, or changes it; without a way, removes it. */
static int klips_ask_route(struct net *net, const struct klips_route *route,
			   const struct klips_way *way)
{
	size_t size = klips_address_size(route->family);
	struct sk_buff *skb = nlmsg_new(NLMSG_GOODSIZE, GFP_KERNEL);
	struct nlmsghdr *nlh;
	struct rtmsg *rtm;
	int err;

	if (!skb)
		return -ENOMEM;
	nlh = nlmsg_put(skb, 0, 1, way ? RTM_NEWROUTE : RTM_DELROUTE, sizeof(*rtm),
			NLM_F_REQUEST | NLM_F_ACK | (way ? NLM_F_CREATE | NLM_F_REPLACE : 0));
	rtm = nlmsg_data(nlh);
	*rtm = (struct rtmsg){
		.rtm_family = route->family,
		.rtm_dst_len = size * 8,
		.rtm_protocol = RTPROT_KERNEL,
		.rtm_type = RTN_UNICAST,
		.rtm_scope = RT_SCOPE_NOWHERE,
	};
	err = nla_put_u32(skb, RTA_TABLE, KLIPS_TABLE) ?:
	      nla_put(skb, RTA_DST, size, route->peer);
	if (way) {
		rtm->rtm_scope = way->family ? RT_SCOPE_UNIVERSE : RT_SCOPE_LINK;
		/* How the gateway is reached is not for this table to know. */
		rtm->rtm_flags = way->family ? RTNH_F_ONLINK : 0;
		err = err ?: nla_put_u32(skb, RTA_OIF, way->ifindex) ?:
		      klips_put_gateway(skb, route->family, way);
	}
	nlmsg_end(skb, nlh);
	return klips_rtnetlink(net, skb, err);
}

/* Makes or removes a rule. */
static int klips_ask_rule(struct net *net, u16 family, u8 proto, u16 sport, bool there)
{
	const struct fib_rule_port_range range = { .start = sport, .end = sport };
	struct sk_buff *skb = nlmsg_new(NLMSG_GOODSIZE, GFP_KERNEL);
	struct fib_rule_hdr *rule;
	struct nlmsghdr *nlh;
	int err;

	if (!skb)
		return -ENOMEM;
	nlh = nlmsg_put(skb, 0, 1, there ? RTM_NEWRULE : RTM_DELRULE, sizeof(*rule),
			NLM_F_REQUEST | NLM_F_ACK | (there ? NLM_F_CREATE | NLM_F_EXCL : 0));
	rule = nlmsg_data(nlh);
	*rule = (struct fib_rule_hdr){
		.family = family,
		.action = FR_ACT_TO_TBL,
	};
	/* What comes in by lo is what this host sends, and nothing that it forwards. */
	err = nla_put_string(skb, FRA_IIFNAME, "lo") ?:
	      nla_put_u32(skb, FRA_TABLE, KLIPS_TABLE) ?:
	      nla_put_u32(skb, FRA_PRIORITY, KLIPS_RANK) ?:
	      nla_put_u8(skb, FRA_PROTOCOL, RTPROT_KERNEL) ?:
	      nla_put_u8(skb, FRA_IP_PROTO, proto);
	if (sport)
		err = err ?: nla_put(skb, FRA_SPORT_RANGE, sizeof(range), &range);
	nlmsg_end(skb, nlh);
	return klips_rtnetlink(net, skb, err);
}

/* Makes or removes the rules of a family; 0 or a negative errno. */
static int klips_set_rules(struct net *net, u16 family, bool there)
{
	unsigned int i;
	int err, result = 0;

	for (i = 0; i < ARRAY_SIZE(klips_ruled); i++) {
		err = klips_ask_rule(net, family, klips_ruled[i].proto, klips_ruled[i].sport,
				     there);
		if (err && err != (there ? -EEXIST : -ENOENT))
			result = err;
	}
	return result;
}

static u32 klips_hash_peer(u16 family, const u8 *peer)
{
	return jhash(peer, klips_address_size(family), 0);
}

static struct klips_route *klips_find_route(struct klips_routes *routes, u16 family,
					    const u8 *peer)
{
	struct klips_route *route;

	hash_for_each_possible(routes->table, route, node, klips_hash_peer(family, peer))
		if (route->family == family &&
		    !memcmp(route->peer, peer, klips_address_size(family)))
			return route;
	return NULL;
}

void klips_routes_want(struct net *net, u16 family, const u8 *own, const u8 *peer, u32 ifindex)
{
	struct klips_routes *routes = klips_netns_routes(net);
	struct klips_route *route = klips_find_route(routes, family, peer);

	/* Of two ends of here that have the same peer, the first. */
	if (route && route->wanted)
		return;
	if (!route) {
		route = kzalloc_obj(*route, GFP_KERNEL_ACCOUNT);
		if (!route) {
			routes->is_incomplete = true;
			return;
		}
		route->family = family;
		memcpy(route->peer, peer, sizeof(route->peer));
		hash_add(routes->table, &route->node, klips_hash_peer(family, peer));
	}
	if (route->ifindex != ifindex || memcmp(route->own, own, sizeof(route->own)))
		route->is_there = false;
	route->ifindex = ifindex;
	memcpy(route->own, own, sizeof(route->own));
	route->wanted = true;
}

static void klips_make_route(struct net *net, struct klips_route *route)
{
	struct klips_way way;

	route->is_there = !klips_find_way(net, route, &way) && !klips_ask_route(net, route, &way);
	/* It may lead to where the peer was reached before. */
	if (!route->is_there)
		klips_ask_route(net, route, NULL);
}

/* Whether an event is about the table here. */
static bool klips_is_own_event(unsigned long event, const struct fib_notifier_info *info)
{
	switch (event) {
	case FIB_EVENT_ENTRY_REPLACE:
	case FIB_EVENT_ENTRY_APPEND:
	case FIB_EVENT_ENTRY_ADD:
	case FIB_EVENT_ENTRY_DEL:
		break;
	default:
		return false;
	}
	if (info->family == AF_INET)
		return container_of(info, struct fib_entry_notifier_info, info)->tb_id ==
		       KLIPS_TABLE;
#if IS_ENABLED(CONFIG_IPV6)
	if (info->family == AF_INET6)
		return container_of(info, struct fib6_entry_notifier_info, info)
			       ->rt->fib6_table->tb6_id == KLIPS_TABLE;
#endif
	return false;
}

void klips_routes_after(struct net *net, unsigned long jiffies)
{
	queue_delayed_work(system_dfl_wq, &klips_netns_routes(net)->work, jiffies);
}

static void klips_do_routes(struct work_struct *work)
{
	struct klips_routes *routes = container_of(to_delayed_work(work), struct klips_routes,
						   work);

	klips_routes_changed(klips_netns_state(routes->net));
}

static int klips_fib_event(struct notifier_block *nb, unsigned long event, void *ptr)
{
	struct klips_routes *routes = container_of(nb, struct klips_routes, fib);

	/* Being registered, it is told of all that there is. */
	if (READ_ONCE(routes->listens) && !klips_is_own_event(event, ptr)) {
		WRITE_ONCE(routes->is_stale, true);
		klips_routes_after(routes->net, 1);
	}
	return NOTIFY_DONE;
}

static void klips_listen(struct klips_routes *routes, bool listen)
{
	if (routes->listens == listen)
		return;
	if (!listen) {
		WRITE_ONCE(routes->listens, false);
		unregister_fib_notifier(routes->net, &routes->fib);
	} else if (!register_fib_notifier(routes->net, &routes->fib, NULL, NULL)) {
		WRITE_ONCE(routes->listens, true);
	}
}

/* The log is the host's, not for others to fill. */
static void klips_complain(struct net *net, u16 family, int err)
{
	if (net_eq(net, &init_net))
		pr_warn("klips: no rules for the way around ipsecN can be made (IPv%u, error %d)%s\n",
			family == AF_INET ? 4 : 6, err,
			err == -EOPNOTSUPP ? ": the kernel has no policy routing" : "");
}

static void klips_settle_rules(struct klips_routes *routes, u16 family, bool there, bool again)
{
	bool *has_rules = &routes->has_rules[family == AF_INET6];
	int err;

	if (there == *has_rules && !(there && again))
		return;
	err = klips_set_rules(routes->net, family, there);
	if (err && there && !*has_rules)
		klips_complain(routes->net, family, err);
	*has_rules = there;
}

void klips_routes_settle(struct net *net)
{
	struct klips_routes *routes = klips_netns_routes(net);
	bool any[2] = {};
	struct klips_route *route;
	struct hlist_node *next;
	unsigned int bucket;
	bool again;

	/* One that goes takes its routes and rules along. */
	if (!maybe_get_net(net))
		return;
	/* From here on nothing that changes is missed. */
	klips_listen(routes, !hash_empty(routes->table));
	again = xchg(&routes->is_stale, false);
	hash_for_each_safe(routes->table, bucket, next, route, node) {
		if (route->wanted || routes->is_incomplete) {
			if (again || !route->is_there)
				klips_make_route(net, route);
			any[route->family == AF_INET6] = true;
			route->wanted = false;
		} else {
			klips_ask_route(net, route, NULL);
			hash_del(&route->node);
			kfree(route);
		}
		cond_resched();
	}
	klips_settle_rules(routes, AF_INET, any[0], again);
	klips_settle_rules(routes, AF_INET6, any[1], again);
	klips_listen(routes, any[0] || any[1]);
	if (routes->is_incomplete)
		klips_routes_after(net, HZ);
	routes->is_incomplete = false;
	put_net(net);
}

struct klips_routes *klips_routes_new(struct net *net)
{
	struct klips_routes *routes = kzalloc_obj(*routes, GFP_KERNEL_ACCOUNT);

	if (!routes)
		return NULL;
	routes->net = net;
	INIT_DELAYED_WORK(&routes->work, klips_do_routes);
	routes->fib.notifier_call = klips_fib_event;
	hash_init(routes->table);
	return routes;
}

void klips_routes_stop(struct klips_routes *routes)
{
	/* What is removed with the state asks for it once more. */
	disable_delayed_work_sync(&routes->work);
}

void klips_routes_free(struct klips_routes *routes)
{
	struct klips_route *route;
	struct hlist_node *next;
	unsigned int bucket;

	/* Nothing is wanted any more.  Where only the module goes, the namespace is cleaned up. */
	routes->is_incomplete = false;
	klips_routes_settle(routes->net);
	klips_listen(routes, false);
	hash_for_each_safe(routes->table, bucket, next, route, node)
		kfree(route);
	kfree(routes);
}
