// SPDX-License-Identifier: GPL-2.0
/*
 * The interfaces ipsecN, which somebody else makes: xfrm interfaces, looked at as far as that takes
 * the kernel's own headers.  See include/klips_xfrm.h.
 */
#include <linux/in6.h>
#include <linux/inetdevice.h>
#include <linux/ipv6.h>
#include <linux/netdevice.h>
#include <net/addrconf.h>
#include <net/net_namespace.h>
#include <net/rtnetlink.h>
#include <net/xfrm.h>

#include "klips_shim.h"
#include "klips_xfrm.h"

bool klips_is_xfrm_interface(const struct net_device *dev)
{
	return dev->rtnl_link_ops && !strcmp(dev->rtnl_link_ops->kind, "xfrm");
}

u32 klips_interface_find(struct net *net, u32 number, u32 if_id)
{
	char name[IFNAMSIZ];
	const struct net_device *dev;
	u32 ifindex = 0;

	snprintf(name, sizeof(name), "ipsec%u", number);
	rcu_read_lock();
	dev = dev_get_by_name_rcu(net, name);
	if (dev && klips_is_xfrm_interface(dev)) {
		const struct xfrm_if *xi = netdev_priv(dev);

		/* One from another namespace goes on to look at the policies of that. */
		if (xi->p.if_id == if_id && net_eq(xi->net, net))
			ifindex = dev->ifindex;
	}
	rcu_read_unlock();
	return ifindex;
}

/* The interface below one; called under RCU. */
static struct net_device *klips_physical(struct net *net, u32 ifindex)
{
	const struct net_device *dev = dev_get_by_index_rcu(net, ifindex);

	return dev ? dev_get_by_index_rcu(net, dev_get_iflink(dev)) : NULL;
}

u32 klips_interface_physical(struct net *net, u32 ifindex)
{
	const struct net_device *dev;
	u32 physical;

	rcu_read_lock();
	dev = klips_physical(net, ifindex);
	physical = dev ? dev->ifindex : 0;
	rcu_read_unlock();
	return physical;
}

static bool klips_has_address4(const struct net_device *dev, const u8 *address)
{
	const struct in_device *in_dev = __in_dev_get_rcu(dev);
	const struct in_ifaddr *ifa;
	__be32 be;

	memcpy(&be, address, sizeof(be));
	if (!in_dev)
		return false;
	in_dev_for_each_ifa_rcu(ifa, in_dev)
		if (ifa->ifa_local == be)
			return true;
	return false;
}

static bool klips_has_address6(struct net *net, const struct net_device *dev, const u8 *address)
{
#if IS_ENABLED(CONFIG_IPV6)
	struct in6_addr in6;

	memcpy(&in6, address, sizeof(in6));
	return ipv6_mod_enabled() &&
	       ipv6_chk_addr_and_flags(net, &in6, dev, false, 0, IFA_F_DADFAILED);
#else
	return false;
#endif
}

bool klips_interface_is_end(struct net *net, u32 ifindex, u16 family, const u8 *address)
{
	const struct net_device *dev;
	bool is_end = false;

	rcu_read_lock();
	dev = klips_physical(net, ifindex);
	if (dev)
		is_end = family == AF_INET ? klips_has_address4(dev, address) :
					     klips_has_address6(net, dev, address);
	rcu_read_unlock();
	return is_end;
}

void klips_interface_attached(struct net *net, u32 ifindex, struct klips_attached *attached)
{
	const struct net_device *dev;

	memset(attached, 0, sizeof(*attached));
	rcu_read_lock();
	dev = dev_get_by_index_rcu(net, ifindex);
	if (dev)
		attached->mtu = READ_ONCE(dev->mtu);
	dev = klips_physical(net, ifindex);
	if (dev) {
		/* One that is being renamed may show letters of both names. */
		strscpy(attached->physical, dev->name);
		attached->physical_mtu = READ_ONCE(dev->mtu);
	}
	rcu_read_unlock();
}

/*
 * One that goes, moves to another namespace or gets another name is no ipsecN any more.  This is
 * called with RTNL held, and must not wait for the lock of the table: whoever has that may be
 * waiting for a module that is being loaded.
 */
static int klips_interface_event(struct notifier_block *nb, unsigned long event, void *ptr)
{
	const struct net_device *dev = netdev_notifier_info_to_dev(ptr);

	if ((event == NETDEV_UNREGISTER || event == NETDEV_CHANGENAME) &&
	    klips_is_xfrm_interface(dev))
		klips_netns_interfaces_after(dev_net(dev), 0);
	return NOTIFY_DONE;
}

static struct notifier_block klips_interface_notifier = {
	.notifier_call = klips_interface_event,
};

int klips_interface_register(void)
{
	return register_netdevice_notifier(&klips_interface_notifier);
}

void klips_interface_unregister(void)
{
	unregister_netdevice_notifier(&klips_interface_notifier);
}
