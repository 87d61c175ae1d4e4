// SPDX-License-Identifier: GPL-2.0
/*
 * /proc/sys/net/ipsec, which start scripts of KLIPS write to.
 */
#include <linux/slab.h>
#include <linux/sysctl.h>
#include <net/net_namespace.h>
#include <net/netns/generic.h>

#include "klips_shim.h"

/* What is kept for a namespace. */
struct klips_sysctls {
	/* The ICMP messages about packets that are too long: the kernel sends them in any case. */
	int icmp;
	/* Whether what comes out of a tunnel has to be what was said of it. */
	int inbound_policy_check;
	/* Whether the TOS of the packet inside is kept from the header in front of it. */
	int tos;
	/* A copy of the table below. */
	void *table;
	struct ctl_table_header *header;
};

static unsigned int klips_sysctls_id __read_mostly;

static const struct ctl_table klips_sysctl_table[] = {
	{
		.procname	= "icmp",
		.maxlen		= sizeof(int),
		.mode		= 0644,
		.proc_handler	= proc_dointvec_minmax,
		.extra1		= SYSCTL_ZERO,
		.extra2		= SYSCTL_ONE,
	},
	{
		.procname	= "inbound_policy_check",
		.maxlen		= sizeof(int),
		.mode		= 0644,
		.proc_handler	= proc_dointvec_minmax,
		/* It can't be done without. */
		.extra1		= SYSCTL_ONE,
		.extra2		= SYSCTL_ONE,
	},
	{
		.procname	= "tos",
		.maxlen		= sizeof(int),
		.mode		= 0644,
		.proc_handler	= proc_dointvec_minmax,
		.extra1		= SYSCTL_ZERO,
		.extra2		= SYSCTL_ONE,
	},
};

bool klips_sysctl_hides_tos(const struct net *net)
{
	const struct klips_sysctls *sysctls = net_generic(net, klips_sysctls_id);

	return READ_ONCE(sysctls->tos);
}

/* Has the entries of a copy be about the values of a namespace. */
static void klips_sysctl_fill(struct klips_sysctls *sysctls, struct ctl_table *const table)
{
	table[0].data = &sysctls->icmp;
	table[1].data = &sysctls->inbound_policy_check;
	table[2].data = &sysctls->tos;
}

static int __net_init klips_sysctl_init(struct net *net)
{
	struct klips_sysctls *sysctls = net_generic(net, klips_sysctls_id);

	sysctls->inbound_policy_check = 1;
	sysctls->tos = 1;
	if (!IS_ENABLED(CONFIG_SYSCTL))
		return 0;
	sysctls->table = kmemdup(klips_sysctl_table, sizeof(klips_sysctl_table),
				 GFP_KERNEL_ACCOUNT);
	if (!sysctls->table)
		return -ENOMEM;
	klips_sysctl_fill(sysctls, sysctls->table);
	sysctls->header = register_net_sysctl_sz(net, "net/ipsec", sysctls->table,
						 ARRAY_SIZE(klips_sysctl_table));
	if (sysctls->header)
		return 0;
	kfree(sysctls->table);
	return -ENOMEM;
}

static void __net_exit klips_sysctl_exit(struct net *net)
{
	struct klips_sysctls *sysctls = net_generic(net, klips_sysctls_id);

	if (sysctls->header)
		unregister_net_sysctl_table(sysctls->header);
	kfree(sysctls->table);
}

static struct pernet_operations klips_sysctl_ops = {
	.init	= klips_sysctl_init,
	.exit	= klips_sysctl_exit,
	.id	= &klips_sysctls_id,
	.size	= sizeof(struct klips_sysctls),
};

int klips_sysctl_register(void)
{
	return register_pernet_subsys(&klips_sysctl_ops);
}

void klips_sysctl_unregister(void)
{
	unregister_pernet_subsys(&klips_sysctl_ops);
}
