// SPDX-License-Identifier: GPL-2.0
/*
 * The interfaces ipsecN that nothing has been attached to yet: devices of the kind "klips", which
 * never come up, so that no packet meets them.  They are there for the ioctls of KLIPS's own tncfg,
 * which go to a device.  An xfrm interface takes the place of one that is attached.
 */
#include <linux/anon_inodes.h>
#include <linux/capability.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/if_arp.h>
#include <linux/if_link.h>
#include <linux/module.h>
#include <linux/moduleparam.h>
#include <linux/netdevice.h>
#include <linux/rtnetlink.h>
#include <linux/sockios.h>
#include <net/ip.h>
#include <net/net_namespace.h>
#include <net/netlink.h>
#include <net/rtnetlink.h>

#include "klips_shim.h"
#include "klips_xfrm.h"

static unsigned int klips_interfaces = 2;
module_param_named(interfaces, klips_interfaces, uint, 0644);
MODULE_PARM_DESC(interfaces,
		 "Interfaces ipsecN that a network namespace has from the start, for KLIPS's tncfg");

/* What KLIPS's tncfg asks for, by SIOCDEVPRIVATE and those behind it. */
enum {
	KLIPS_ATTACH = SIOCDEVPRIVATE,
	KLIPS_DETACH,
	KLIPS_CLEAR,
};

/* What it puts behind the name in a struct ifreq. */
struct klips_tunnel_config {
	u32 command;
	char physical[12];
};

static_assert(sizeof(struct klips_tunnel_config) <= sizeof_field(struct ifreq, ifr_ifru));

/* What is to be attached to what. */
struct klips_attachment {
	struct net *net;
	u32 number;
	u32 physical;
	u32 mtu;
};

static const struct net_device_ops klips_device_ops;

static bool klips_is_device(const struct net_device *dev)
{
	return dev->netdev_ops == &klips_device_ops;
}

static void klips_device_name(char *name, u32 number)
{
	snprintf(name, IFNAMSIZ, "ipsec%u", number);
}

/* N of ipsecN; -EINVAL for other names. */
static int klips_device_number(const struct net_device *dev)
{
	char name[IFNAMSIZ];
	u32 number;

	for (number = 0; number < KLIPS_INTERFACES; number++) {
		klips_device_name(name, number);
		if (!strcmp(name, dev->name))
			return number;
	}
	return -EINVAL;
}

/* Makes an xfrm interface; 0 or a negative errno. */
static int klips_make_xfrm_interface(const struct klips_attachment *wanted)
{
	struct sk_buff *skb = nlmsg_new(NLMSG_GOODSIZE, GFP_KERNEL);
	struct nlattr *info, *data;
	char name[IFNAMSIZ];
	struct nlmsghdr *nlh;
	int err;

	if (!skb)
		return -ENOMEM;
	klips_device_name(name, wanted->number);
	nlh = nlmsg_put(skb, 0, 1, RTM_NEWLINK, sizeof(struct ifinfomsg),
			NLM_F_REQUEST | NLM_F_CREATE | NLM_F_EXCL | NLM_F_ACK);
	memset(nlmsg_data(nlh), 0, sizeof(struct ifinfomsg));
	err = nla_put_string(skb, IFLA_IFNAME, name) ?: nla_put_u32(skb, IFLA_MTU, wanted->mtu);
	info = nla_nest_start(skb, IFLA_LINKINFO);
	err = err ?: nla_put_string(skb, IFLA_INFO_KIND, "xfrm");
	data = nla_nest_start(skb, IFLA_INFO_DATA);
	err = err ?: nla_put_u32(skb, IFLA_XFRM_LINK, wanted->physical) ?:
	      nla_put_u32(skb, IFLA_XFRM_IF_ID, KLIPS_FIRST_IF_ID + wanted->number);
	nla_nest_end(skb, data);
	nla_nest_end(skb, info);
	nlmsg_end(skb, nlh);
	return klips_rtnetlink(wanted->net, skb, err);
}

/* Removes an xfrm interface that has just been made. */
static void klips_remove_xfrm_interface(struct net *net, u32 number)
{
	struct net_device *dev;
	u32 ifindex;

	rtnl_lock();
	ifindex = klips_interface_find(net, number, KLIPS_FIRST_IF_ID + number);
	dev = ifindex ? __dev_get_by_index(net, ifindex) : NULL;
	if (dev)
		rtnl_delete_link(dev, 0, NULL);
	rtnl_unlock();
}

/*
 * Puts an xfrm interface in the place of a device, and has it used.  Called when the process that
 * asked for it is on its way back from the ioctl, for that is called with RTNL held.
 */
static int klips_attach_release(struct inode *inode, struct file *file)
{
	struct klips_attachment *wanted = file->private_data;
	struct net *net = wanted->net;
	int err = -EEXIST;

	if (klips_device_remove(net, wanted->number)) {
		err = klips_make_xfrm_interface(wanted);
		if (!err) {
			err = klips_netns_attach(klips_netns_state(net), wanted->number);
			if (err)
				klips_remove_xfrm_interface(net, wanted->number);
		}
		if (err)
			klips_device_add(net, wanted->number);
	}
	/* The log is the host's, not for others to fill. */
	if (err && net_eq(net, &init_net))
		pr_warn("klips: ipsec%u can't be attached (error %d)\n", wanted->number, err);
	put_net(net);
	kfree(wanted);
	return 0;
}

static const struct file_operations klips_attach_fops = {
	.owner		= THIS_MODULE,
	.release	= klips_attach_release,
};

static int klips_device_attach(const struct net_device *dev, const struct ifreq *ifr)
{
	struct net *net = dev_net(dev);
	struct klips_tunnel_config config;
	const struct net_device *physical;
	struct klips_attachment *wanted;
	int number = klips_device_number(dev);
	struct file *file;

	if (number < 0)
		return number;
	memcpy(&config, &ifr->ifr_ifru, sizeof(config));
	if (strnlen(config.physical, sizeof(config.physical)) == sizeof(config.physical))
		return -EINVAL;
	physical = __dev_get_by_name(net, config.physical);
	if (!physical)
		return -ENXIO;
	if (klips_is_device(physical) || klips_is_xfrm_interface(physical))
		return -EINVAL;
	wanted = kmalloc_obj(*wanted, GFP_KERNEL_ACCOUNT);
	if (!wanted)
		return -ENOMEM;
	*wanted = (struct klips_attachment){
		.net = get_net(net),
		.number = number,
		.physical = physical->ifindex,
		/* That of lo is more than an xfrm interface takes. */
		.mtu = min_t(u32, READ_ONCE(physical->mtu), IP_MAX_MTU),
	};
	/*
	 * What a file's release does is done before the process goes on, without locks, and the
	 * file holds the module until it has returned.
	 */
	file = anon_inode_getfile("[klips]", &klips_attach_fops, wanted, O_RDONLY);
	if (IS_ERR(file)) {
		put_net(net);
		kfree(wanted);
		return PTR_ERR(file);
	}
	fput(file);
	return 0;
}

/* 0 if none is attached: an xfrm interface has no function for the ioctl to detach it. */
static int klips_device_clear(struct net *net)
{
	u32 number;

	for (number = 0; number < KLIPS_INTERFACES; number++)
		if (klips_interface_find(net, number, KLIPS_FIRST_IF_ID + number))
			return -EOPNOTSUPP;
	return 0;
}

static int klips_device_ioctl(struct net_device *dev, struct ifreq *ifr, void __user *data, int cmd)
{
	struct net *net = dev_net(dev);

	if (!ns_capable(net->user_ns, CAP_NET_ADMIN))
		return -EPERM;
	switch (cmd) {
	case KLIPS_ATTACH:
		return klips_device_attach(dev, ifr);
	case KLIPS_DETACH:
		return -ENODEV;
	case KLIPS_CLEAR:
		return klips_device_clear(net);
	}
	return -EOPNOTSUPP;
}

/* As KLIPS's, which had nowhere to send packets to. */
static int klips_device_open(struct net_device *dev)
{
	return -ENODEV;
}

static const struct net_device_ops klips_device_ops = {
	.ndo_open		= klips_device_open,
	.ndo_siocdevprivate	= klips_device_ioctl,
};

static void klips_device_setup(struct net_device *dev)
{
	dev->netdev_ops = &klips_device_ops;
	dev->needs_free_netdev = true;
	dev->netns_immutable = true;
	dev->type = ARPHRD_NONE;
	dev->flags = IFF_NOARP;
	dev->mtu = ETH_DATA_LEN;
	dev->priv_flags |= IFF_NO_QUEUE;
}

static struct rtnl_link_ops klips_link_ops __read_mostly = {
	.kind	= "klips",
	.setup	= klips_device_setup,
};

int klips_device_add(struct net *net, u32 number)
{
	struct net_device *dev;
	char name[IFNAMSIZ];
	int err;

	/* One that goes must not get new devices. */
	if (!maybe_get_net(net))
		return -ENODEV;
	klips_device_name(name, number);
	dev = alloc_netdev(0, name, NET_NAME_USER, klips_device_setup);
	if (!dev) {
		err = -ENOMEM;
		goto put;
	}
	dev_net_set(dev, net);
	dev->rtnl_link_ops = &klips_link_ops;
	err = register_netdev(dev);
	if (err)
		free_netdev(dev);
put:
	put_net(net);
	return err;
}

/* The device of ours by that name, or NULL. Under RCU. */
static struct net_device *klips_device_find(struct net *net, u32 number)
{
	struct net_device *dev;
	char name[IFNAMSIZ];

	klips_device_name(name, number);
	dev = dev_get_by_name_rcu(net, name);
	return dev && klips_is_device(dev) ? dev : NULL;
}

bool klips_device_remove(struct net *net, u32 number)
{
	struct net_device *dev;

	rtnl_lock();
	rcu_read_lock();
	dev = klips_device_find(net, number);
	rcu_read_unlock();
	/* RTNL keeps it. */
	if (dev)
		unregister_netdevice(dev);
	rtnl_unlock();
	return dev;
}

bool klips_device_is_there(struct net *net, u32 number)
{
	bool is_there;

	rcu_read_lock();
	is_there = klips_device_find(net, number);
	rcu_read_unlock();
	return is_there;
}

static int __net_init klips_device_init(struct net *net)
{
	u32 count = min_t(u32, READ_ONCE(klips_interfaces), KLIPS_INTERFACES);
	u32 number;
	int err;

	/* As other devices of which a namespace has one from the start. */
	if (!net_has_fallback_tunnels(net))
		return 0;
	for (number = 0; number < count; number++) {
		err = klips_device_add(net, number);
		/* Somebody else has the name. */
		if (err && err != -EEXIST)
			return err;
	}
	return 0;
}

static struct pernet_operations klips_device_net_ops = {
	.init = klips_device_init,
};

int klips_device_register(void)
{
	int err = rtnl_link_register(&klips_link_ops);

	if (err)
		return err;
	err = register_pernet_device(&klips_device_net_ops);
	if (err)
		rtnl_link_unregister(&klips_link_ops);
	return err;
}

void klips_device_unregister(void)
{
	unregister_pernet_device(&klips_device_net_ops);
	rtnl_link_unregister(&klips_link_ops);
}
