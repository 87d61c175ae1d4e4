// SPDX-License-Identifier: GPL-2.0
/*
 * Asks rtnetlink for something, as user space does: what the kernel itself has for that is not
 * exported.
 */
#include <linux/net.h>
#include <linux/netlink.h>
#include <net/net_namespace.h>
#include <net/netlink.h>

#include "klips_xfrm.h"

int klips_rtnetlink(struct net *net, struct sk_buff *request, int err)
{
	/* Without an address rtnetlink would look for whoever opened the socket. */
	struct sockaddr_nl kernel = { .nl_family = AF_NETLINK };
	struct {
		struct nlmsghdr header;
		struct nlmsgerr error;
	} answer = {};
	struct msghdr msg = { .msg_name = &kernel, .msg_namelen = sizeof(kernel) };
	struct kvec vec = { .iov_base = request->data, .iov_len = request->len };
	struct socket *sock;

	err = err ?: sock_create_kern(net, AF_NETLINK, SOCK_RAW, NETLINK_ROUTE, &sock);
	if (err)
		goto free;
	err = kernel_sendmsg(sock, &msg, &vec, 1, vec.iov_len);
	if (err >= 0) {
		msg = (struct msghdr){};
		vec = (struct kvec){ .iov_base = &answer, .iov_len = sizeof(answer) };
		/* rtnetlink has answered before sendmsg() returned. */
		err = kernel_recvmsg(sock, &msg, &vec, 1, sizeof(answer), MSG_DONTWAIT);
	}
	if (err >= 0)
		err = answer.header.nlmsg_type == NLMSG_ERROR ? answer.error.error : -EPROTO;
	sock_release(sock);
free:
	nlmsg_free(request);
	return err;
}
