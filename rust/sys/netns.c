// SPDX-License-Identifier: GPL-2.0
/*
 * Network namespaces, as far as they take the kernel's own headers.
 */
#include <linux/capability.h>
#include <linux/in6.h>
#include <linux/ipv6.h>
#include <linux/module.h>
#include <linux/moduleparam.h>
#include <linux/sched.h>
#include <linux/sched/signal.h>
#include <linux/workqueue.h>
#include <net/addrconf.h>
#include <net/net_namespace.h>
#include <net/netns/generic.h>
#include <net/route.h>

#include "klips_shim.h"
#include "klips_xfrm.h"

unsigned int klips_max_sas = 65536;
module_param_named(max_sas, klips_max_sas, uint, 0644);
MODULE_PARM_DESC(max_sas, "Most SAs in a network namespace, for all but the first");

unsigned int klips_max_sockets = 1024;
module_param_named(max_sockets, klips_max_sockets, uint, 0644);
MODULE_PARM_DESC(max_sockets, "Most open sockets in a network namespace, for all but the first");

unsigned int klips_max_flows = 16384;
module_param_named(max_flows, klips_max_flows, uint, 0644);
MODULE_PARM_DESC(max_flows, "Most eroutes in a network namespace, for all but the first");

unsigned int klips_max_states = 16384;
module_param_named(max_states, klips_max_states, uint, 0644);
MODULE_PARM_DESC(max_states,
		 "Most SAs with a state in xfrm in a network namespace, for all but the first");

/* What is kept for a namespace. */
struct klips_netns {
	/* Owned by Rust. */
	void *state;
	struct delayed_work work;
	struct delayed_work interfaces;
	struct klips_routes *routes;
};

static unsigned int klips_netns_id __read_mostly;

static struct klips_netns *klips_netns(const struct net *net)
{
	return net_generic(net, klips_netns_id);
}

void *klips_netns_state(const struct net *net)
{
	return klips_netns(net)->state;
}

struct klips_routes *klips_netns_routes(const struct net *net)
{
	return klips_netns(net)->routes;
}

bool klips_netns_may_administer(const struct net *net)
{
	return ns_capable(net->user_ns, CAP_NET_ADMIN);
}

bool klips_netns_is_local_v4(struct net *net, const u8 *address)
{
	__be32 be;

	memcpy(&be, address, sizeof(be));
	return inet_addr_type(net, be) == RTN_LOCAL;
}

bool klips_netns_is_local_v6(struct net *net, const u8 *address)
{
#if IS_ENABLED(CONFIG_IPV6)
	struct in6_addr in6;

	memcpy(&in6, address, sizeof(in6));
	/* With ipv6.disable=1 there are no tables to look into. */
	/* An address that is only just being tried is one, unless somebody else has it. */
	return ipv6_mod_enabled() &&
	       ipv6_chk_addr_and_flags(net, &in6, NULL, true, 0, IFA_F_DADFAILED);
#else
	return false;
#endif
}

void klips_netns_hold_module(void)
{
	__module_get(THIS_MODULE);
}

void klips_netns_release_module(void)
{
	module_put(THIS_MODULE);
}

void klips_cond_resched(void)
{
	cond_resched();
}

void klips_preempt_disable(void)
{
	/* There the mutex gives its owner the priority of who waits. */
	if (!IS_ENABLED(CONFIG_PREEMPT_RT))
		preempt_disable();
}

void klips_preempt_enable(void)
{
	if (!IS_ENABLED(CONFIG_PREEMPT_RT))
		preempt_enable();
}

bool klips_is_killed(void)
{
	return fatal_signal_pending(current);
}

void klips_netns_work_after(struct net *net, unsigned long jiffies)
{
	mod_delayed_work(system_dfl_wq, &klips_netns(net)->work, jiffies);
}

static void klips_netns_do_work(struct work_struct *work)
{
	klips_netns_work(container_of(to_delayed_work(work), struct klips_netns, work)->state);
}

void klips_netns_interfaces_after(struct net *net, unsigned long jiffies)
{
	struct delayed_work *work = &klips_netns(net)->interfaces;

	if (jiffies)
		queue_delayed_work(system_dfl_wq, work, jiffies);
	else
		mod_delayed_work(system_dfl_wq, work, 0);
}

static void klips_netns_do_interfaces(struct work_struct *work)
{
	struct klips_netns *netns = container_of(to_delayed_work(work), struct klips_netns,
						 interfaces);

	klips_netns_interfaces(netns->state);
}

static int __net_init klips_netns_init(struct net *net)
{
	struct klips_netns *netns = klips_netns(net);

	INIT_DELAYED_WORK(&netns->work, klips_netns_do_work);
	INIT_DELAYED_WORK(&netns->interfaces, klips_netns_do_interfaces);
	netns->routes = klips_routes_new(net);
	if (!netns->routes)
		return -ENOMEM;
	netns->state = klips_netns_new(net);
	if (!netns->state) {
		klips_routes_free(netns->routes);
		return -ENOMEM;
	}
	klips_xfrm_net_start(net, netns->state);
	return 0;
}

/*
 * Called before xfrm's, as this was registered later.  xfrm's takes all policies out, those of
 * eroutes too, while the namespace still has its interfaces and forwards; what the works put in
 * after that would have it work on tables that go.
 */
static void __net_exit klips_netns_pre_exit(struct net *net)
{
	struct klips_netns *netns = klips_netns(net);

	klips_xfrm_net_stop(net);
	/* Removing what the state has asks for them once more. */
	disable_delayed_work_sync(&netns->interfaces);
	disable_delayed_work_sync(&netns->work);
	klips_routes_stop(netns->routes);
	if (klips_netns_is_in_use(netns->state))
		klips_xfrm_drop_all(net);
}

static void __net_exit klips_netns_exit(struct net *net)
{
	struct klips_netns *netns = klips_netns(net);

	klips_netns_free(netns->state);
	klips_routes_free(netns->routes);
}

static struct pernet_operations klips_netns_ops = {
	.init	= klips_netns_init,
	.pre_exit = klips_netns_pre_exit,
	.exit	= klips_netns_exit,
	.id	= &klips_netns_id,
	.size	= sizeof(struct klips_netns),
};

int klips_netns_register(void)
{
	int err = klips_sysctl_register();

	if (err)
		return err;
	err = register_pernet_subsys(&klips_netns_ops);
	if (err)
		klips_sysctl_unregister();
	return err;
}

void klips_netns_unregister(void)
{
	unregister_pernet_subsys(&klips_netns_ops);
	klips_sysctl_unregister();
}
