// SPDX-License-Identifier: GPL-2.0
/*
 * Owns address family 15, as mainline's af_key would, and opens no socket of
 * it: klips must refuse to load beside it, and must load once it is gone.
 */
#include <linux/module.h>
#include <linux/net.h>

static int grab15_create(struct net *net, struct socket *sock, int protocol,
			 int kern)
{
	return -EPROTONOSUPPORT;
}

static const struct net_proto_family grab15_family = {
	.family	= PF_KEY,
	.create	= grab15_create,
	.owner	= THIS_MODULE,
};

static int __init grab15_init(void)
{
	return sock_register(&grab15_family);
}
module_init(grab15_init);

static void __exit grab15_exit(void)
{
	sock_unregister(PF_KEY);
}
module_exit(grab15_exit);

MODULE_DESCRIPTION("Occupies the PF_KEY family");
MODULE_LICENSE("GPL");
