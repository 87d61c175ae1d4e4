// SPDX-License-Identifier: GPL-2.0
/*
 * Sockets, as far as they take the kernel's own headers.
 */
#include <linux/memcontrol.h>
#include <linux/module.h>
#include <linux/net.h>
#include <linux/pfkeyv2.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/skbuff.h>
#include <net/sock.h>

#include "klips_shim.h"

struct klips_sock {
	/* First, as struct proto wants it. */
	struct sock sk;
	/* What the Rust half knows it by. */
	u64 number;
	/* Whom messages are charged to: who made the socket. */
	struct mem_cgroup *memcg;
	/* For a message that there is no other memory for, or NULL. */
	struct sk_buff *reserve;
	/* How much room in the receive buffer the Rust half waits for, or 0. */
	int awaited;
};

static_assert(offsetof(struct klips_sock, sk) == 0);

static struct klips_sock *klips_sk(const struct sock *sk)
{
	return (struct klips_sock *)sk;
}

static void *klips_state(const struct sock *sk)
{
	return klips_netns_state(sock_net(sk));
}

void klips_socket_hold(struct sock *sk)
{
	sock_hold(sk);
}

void klips_socket_put(struct sock *sk)
{
	sock_put(sk);
}

/* A buffer charged to the socket's owner, whose own processes are not killed for want of it. */
static struct sk_buff *klips_alloc_skb(const struct sock *sk, size_t len)
{
	struct mem_cgroup *old = set_active_memcg(klips_sk(sk)->memcg);
	struct sk_buff *skb = alloc_skb(len, GFP_KERNEL_ACCOUNT | __GFP_RETRY_MAYFAIL);

	set_active_memcg(old);
	/* Of the reserves that help to free memory: a socket filter drops these unseen. */
	if (skb && skb_pfmemalloc(skb)) {
		kfree_skb(skb);
		return NULL;
	}
	return skb;
}

int klips_socket_reserve(struct sock *sk, size_t len)
{
	struct klips_sock *ksk = klips_sk(sk);
	struct sk_buff *skb;

	if (READ_ONCE(ksk->reserve))
		return 0;
	skb = klips_alloc_skb(sk, len);
	if (!skb)
		return -ENOMEM;
	kfree_skb(xchg(&ksk->reserve, skb));
	return 0;
}

int klips_socket_deliver(struct sock *sk, const u8 *message, size_t len)
{
	struct sk_buff *skb = klips_alloc_skb(sk, len);
	int err;

	if (!skb)
		skb = xchg(&klips_sk(sk)->reserve, NULL);
	if (!skb || skb_tailroom(skb) < len) {
		kfree_skb(skb);
		sk_drops_inc(sk);
		return -ENOMEM;
	}
	skb_put_data(skb, message, len);
	err = sock_queue_rcv_skb(sk, skb);
	if (err)
		kfree_skb(skb);
	/* The kernel's word for a full buffer. */
	return err == -ENOMEM ? -ENOBUFS : err;
}

void klips_socket_set_error(struct sock *sk, int err)
{
	WRITE_ONCE(sk->sk_err, err);
	sk_error_report(sk);
}

void klips_socket_add_drops(struct sock *sk, u32 count)
{
	sk_drops_add(sk, count);
}

bool klips_socket_receives(const struct sock *sk)
{
	return !(READ_ONCE(sk->sk_shutdown) & RCV_SHUTDOWN);
}

bool klips_socket_sends(const struct sock *sk)
{
	return !(READ_ONCE(sk->sk_shutdown) & SEND_SHUTDOWN);
}

int klips_socket_rcvbuf(const struct sock *sk)
{
	return READ_ONCE(sk->sk_rcvbuf);
}

int klips_socket_rmem(const struct sock *sk)
{
	return atomic_read(&sk->sk_rmem_alloc);
}

void klips_socket_await_room(struct sock *sk, int room)
{
	/*
	 * Before the caller looks for room again; klips_recvmsg makes room before it looks at
	 * this. So one of them sees what the other has done.
	 */
	smp_store_mb(klips_sk(sk)->awaited, room);
}

void klips_socket_info(struct sock *sk, struct klips_socket_info *info)
{
	info->inode = sock_i_ino(sk);
	info->err = READ_ONCE(sk->sk_err);
	info->protocol = sk->sk_protocol;
	info->sndbuf = READ_ONCE(sk->sk_sndbuf);
	info->type = sk->sk_type;
	info->state = sk->sk_socket ? sk->sk_socket->state : SS_FREE;
	info->drops = sk_drops_read(sk);
}

static struct proto klips_proto = {
	.name		= "KLIPS",
	.owner		= THIS_MODULE,
	.obj_size	= sizeof(struct klips_sock),
};

static void klips_destruct(struct sock *sk)
{
	skb_queue_purge(&sk->sk_receive_queue);
	kfree_skb(klips_sk(sk)->reserve);
	mem_cgroup_put(klips_sk(sk)->memcg);
}

static void klips_discard(struct socket *sock)
{
	struct sock *sk = sock->sk;

	sock_orphan(sk);
	sock->sk = NULL;
	sock_put(sk);
}

static int klips_release(struct socket *sock)
{
	struct sock *sk = sock->sk;

	if (!sk)
		return 0;
	klips_socket_close(klips_state(sk), klips_sk(sk)->number);
	klips_discard(sock);
	return 0;
}

static int klips_shutdown(struct socket *sock, int how)
{
	struct sock *sk = sock->sk;

	if (how < SHUT_RD || how > SHUT_RDWR)
		return -EINVAL;
	lock_sock(sk);
	/* SHUT_RD, SHUT_WR and SHUT_RDWR are one less than the sets of bits that they mean. */
	WRITE_ONCE(sk->sk_shutdown, sk->sk_shutdown | (how + 1));
	release_sock(sk);
	sk->sk_state_change(sk);
	return 0;
}

static int klips_sendmsg(struct socket *sock, struct msghdr *msg, size_t len)
{
	struct sock *sk = sock->sk;
	int err = klips_socket_send(klips_state(sk), sk, klips_sk(sk)->number, msg, len);

	if (err == -EPIPE && !(msg->msg_flags & MSG_NOSIGNAL))
		send_sig(SIGPIPE, current, 0);
	return err ?: len;
}

static int klips_recvmsg(struct socket *sock, struct msghdr *msg, size_t len, int flags)
{
	struct sock *sk = sock->sk;
	struct sk_buff *skb;
	size_t copied;
	int awaited;
	int err;

	if (flags & (MSG_OOB | MSG_ERRQUEUE))
		return -EOPNOTSUPP;
	skb = skb_recv_datagram(sk, flags, &err);
	if (!skb)
		return err;
	copied = min_t(size_t, len, skb->len);
	if (copied < skb->len)
		msg->msg_flags |= MSG_TRUNC;
	err = skb_copy_datagram_msg(skb, 0, msg, copied);
	if (!err) {
		sock_recv_cmsgs(msg, sk, skb);
		err = flags & MSG_TRUNC ? skb->len : copied;
	}
	skb_free_datagram(sk, skb);
	/* Pairs with klips_socket_await_room. */
	smp_mb();
	awaited = READ_ONCE(klips_sk(sk)->awaited);
	if (awaited && klips_socket_rcvbuf(sk) - klips_socket_rmem(sk) >= awaited)
		klips_socket_room(klips_state(sk), klips_sk(sk)->number);
	return err;
}

static const struct proto_ops klips_ops = {
	.family		= PF_KEY,
	.owner		= THIS_MODULE,
	.release	= klips_release,
	.bind		= sock_no_bind,
	.connect	= sock_no_connect,
	.socketpair	= sock_no_socketpair,
	.accept		= sock_no_accept,
	.getname	= sock_no_getname,
	.poll		= datagram_poll,
	.ioctl		= sock_no_ioctl,
	.listen		= sock_no_listen,
	.shutdown	= klips_shutdown,
	.sendmsg	= klips_sendmsg,
	.recvmsg	= klips_recvmsg,
	.mmap		= sock_no_mmap,
};

static int klips_create(struct net *net, struct socket *sock, int protocol, int kern)
{
	void *state = klips_netns_state(net);
	struct sock *sk;
	int err;

	err = klips_socket_check(state, sock->type, protocol);
	if (err)
		return err;
	sk = sk_alloc(net, PF_KEY, GFP_KERNEL, &klips_proto, kern);
	if (!sk)
		return -ENOMEM;
	sock->ops = &klips_ops;
	sock_init_data(sock, sk);
	sk->sk_protocol = protocol;
	sk->sk_destruct = klips_destruct;
	klips_sk(sk)->memcg = get_mem_cgroup_from_mm(current->mm);
	klips_sk(sk)->reserve = NULL;
	klips_sk(sk)->awaited = 0;
	err = klips_socket_open(state, sk, &klips_sk(sk)->number);
	if (err)
		klips_discard(sock);
	return err;
}

static const struct net_proto_family klips_family = {
	.family	= PF_KEY,
	.create	= klips_create,
	.owner	= THIS_MODULE,
};

int klips_socket_register(void)
{
	int err;

	err = proto_register(&klips_proto, 1);
	if (err)
		return err;
	err = sock_register(&klips_family);
	if (err)
		proto_unregister(&klips_proto);
	return err;
}

void klips_socket_unregister(void)
{
	sock_unregister(PF_KEY);
	proto_unregister(&klips_proto);
}
