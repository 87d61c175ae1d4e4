// SPDX-License-Identifier: GPL-2.0
/*
 * The part of klips.ko that takes the kernel's own headers. It decides nothing: see
 * include/klips_shim.h.
 */
#include <linux/capability.h>
#include <linux/in6.h>
#include <linux/ipv6.h>
#include <linux/module.h>
#include <linux/net.h>
#include <linux/pfkeyv2.h>
#include <linux/proc_fs.h>
#include <linux/random.h>
#include <linux/sched.h>
#include <linux/seq_file.h>
#include <linux/skbuff.h>
#include <linux/slab.h>
#include <linux/timekeeping.h>
#include <linux/user_namespace.h>
#include <linux/workqueue.h>
#include <net/addrconf.h>
#include <net/net_namespace.h>
#include <net/netns/generic.h>
#include <net/route.h>
#include <net/sock.h>

#include "klips_shim.h"

/* What the data of a /proc file points to. */
struct klips_file {
	struct klips_net *knet;
	enum klips_listing listing;
};

/* State per network namespace. */
struct klips_net {
	struct net *net;
	/* Owned by Rust. */
	void *state;
	/* A message that is done with, to be written anew, or NULL; and more of them. */
	struct sk_buff *spare;
	struct sk_buff_head spares;
	struct delayed_work work;
	struct klips_file files[KLIPS_LISTING_COUNT];
};

/* A socket. */
struct klips_sock {
	/* First, as struct proto wants it. */
	struct sock sk;
	struct klips_net *knet;
	/* Who made it, as its process namespace counts. */
	pid_t pid;
	/* Whether a DUMP goes on when something is read. */
	bool dumping;
	/* Whether messages have been lost since the last that was not; under Rust's lock. */
	bool overrun;
};

static_assert(offsetof(struct klips_sock, sk) == 0);
/* SocketInfo in Rust. */
static_assert(sizeof(struct klips_socket_info) == 40);
static_assert(offsetof(struct klips_socket_info, lost) == 36);

static unsigned int klips_net_id __read_mostly;

static struct klips_sock *klips_sk(const struct sock *sk)
{
	return (struct klips_sock *)sk;
}

static struct klips_net *klips_net(const struct net *net)
{
	return net_generic(net, klips_net_id);
}

static void *klips_state(const struct sock *sk)
{
	return klips_sk(sk)->knet->state;
}

/*
 * What Rust can't call itself.
 */

bool klips_shim_may_administer(const struct net *net)
{
	return ns_capable(net->user_ns, CAP_NET_ADMIN);
}

bool klips_shim_is_trusted(const struct net *net)
{
	return net->user_ns == &init_user_ns;
}

bool klips_shim_is_local_v4(struct net *net, const u8 *address)
{
	__be32 be;

	memcpy(&be, address, sizeof(be));
	return inet_addr_type(net, be) == RTN_LOCAL;
}

bool klips_shim_is_local_v6(struct net *net, const u8 *address)
{
#if IS_ENABLED(CONFIG_IPV6)
	struct in6_addr in6;

	memcpy(&in6, address, sizeof(in6));
	/* With ipv6.disable=1 there are no tables to look into. */
	return ipv6_mod_enabled() && ipv6_chk_addr(net, &in6, NULL, 0);
#else
	return false;
#endif
}

u64 klips_shim_real_seconds(void)
{
	return ktime_get_real_seconds();
}

u64 klips_shim_boot_seconds(void)
{
	return ktime_get_boottime_seconds();
}

void klips_shim_random(void *bytes, size_t len)
{
	get_random_bytes(bytes, len);
}

void klips_shim_cond_resched(void)
{
	cond_resched();
}

bool klips_shim_has_control(const struct msghdr *msg)
{
	return msg->msg_controllen != 0;
}

bool klips_shim_send_is_shut_down(const struct sock *sk)
{
	return READ_ONCE(sk->sk_shutdown) & SEND_SHUTDOWN;
}

int klips_shim_copy_from(void *to, struct msghdr *msg, size_t len)
{
	return memcpy_from_msg(to, msg, len);
}

/*
 * How many messages are kept besides the one that is enough where each request is followed by
 * reading its answer: as many as are written at once while a DUMP is being read.
 */
#define KLIPS_SPARES 16

/*
 * What the allocator gives for KLIPS_USUAL_ROOM, at the most: 640 where cache lines have 128 bytes.
 * A larger one would be charged in full to each socket that is sent a short message in it.
 */
#define KLIPS_SPARE_ROOM 640

/*
 * A message that is done with is kept, if nobody else has it or its bytes, as another listener or
 * by MSG_PEEK: to write it anew takes a small part of what it takes to free one and make another.
 */
static void klips_message_done(struct klips_net *knet, struct sk_buff *message)
{
	bool first = !READ_ONCE(knet->spare);

	if ((!first && skb_queue_len_lockless(&knet->spares) >= KLIPS_SPARES) ||
	    skb_end_offset(message) > KLIPS_SPARE_ROOM || skb_pfmemalloc(message) ||
	    refcount_read(&message->users) != 1 || skb_cloned(message)) {
		consume_skb(message);
		return;
	}
	/* As in skb_unref(). */
	smp_rmb();
	skb_orphan(message);
	if (first)
		consume_skb(xchg(&knet->spare, message));
	else
		skb_queue_head(&knet->spares, message);
}

/* A message that was kept, as if it were new; NULL if there is none. */
static struct sk_buff *klips_take_spare(struct klips_net *knet)
{
	struct sk_buff *message = NULL;

	if (READ_ONCE(knet->spare))
		message = xchg(&knet->spare, NULL);
	if (!message && !skb_queue_empty_lockless(&knet->spares))
		message = skb_dequeue(&knet->spares);
	if (message) {
		__skb_trim(message, 0);
		/* SO_TIMESTAMP had noted when it was read. */
		message->tstamp = 0;
	}
	return message;
}

struct sk_buff *klips_shim_message_new(const struct net *net, size_t len, u8 **data)
{
	size_t room = max_t(size_t, len, KLIPS_USUAL_ROOM);
	struct sk_buff *message = NULL;

	if (len <= KLIPS_USUAL_ROOM)
		message = klips_take_spare(klips_net(net));
	if (!message) {
		/* On account of who writes, also while it is kept and when others write it anew. */
		message = alloc_skb(room, GFP_KERNEL_ACCOUNT);
		if (!message)
			return NULL;
		/*
		 * All of it, now: whoever takes it later finds what was written for the same
		 * namespace before, and that never is a key.
		 */
		memset(message->data, 0, room);
	}
	*data = __skb_put(message, len);
	return message;
}

void klips_shim_message_shorten(struct sk_buff *message, size_t len)
{
	__skb_trim(message, len);
}

void klips_shim_message_free(const struct net *net, struct sk_buff *message)
{
	klips_message_done(klips_net(net), message);
}

static void klips_tell_loss(struct sock *sk)
{
	klips_sk(sk)->overrun = true;
	WRITE_ONCE(sk->sk_err, ENOBUFS);
	sk_error_report(sk);
}

/* Queues a message, which it takes over. NULL is one that could not be made. */
static void klips_queue(struct sock *sk, struct sk_buff *message)
{
	int err = -ENOBUFS;

	if (message)
		err = sock_queue_rcv_skb(sk, message);
	else
		sk_drops_inc(sk);
	if (!err) {
		klips_sk(sk)->overrun = false;
		return;
	}
	kfree_skb(message);
	/*
	 * -EPERM: the socket's own filter did not want it.  Else the reader is told, but only once
	 * until it has made room: errors are told before what is queued, and telling of each loss
	 * could keep it from ever reading.
	 */
	if (err != -EPERM && !klips_sk(sk)->overrun)
		klips_tell_loss(sk);
}

static bool klips_is_deaf(const struct sock *sk)
{
	return READ_ONCE(sk->sk_shutdown) & RCV_SHUTDOWN;
}

void klips_shim_deliver(struct sock *sk, struct sk_buff *message)
{
	struct sk_buff *copy = NULL;

	if (klips_is_deaf(sk))
		return;
	/* Ask first: no copy for a socket that can't take it. */
	if (atomic_read(&sk->sk_rmem_alloc) < READ_ONCE(sk->sk_rcvbuf))
		copy = skb_clone(message, GFP_KERNEL_ACCOUNT);
	klips_queue(sk, copy);
}

void klips_shim_deliver_last(struct sock *sk, struct sk_buff *message)
{
	if (klips_is_deaf(sk))
		consume_skb(message);
	else
		klips_queue(sk, message);
}

void klips_shim_lost(struct sock *sk)
{
	sk_drops_inc(sk);
	klips_tell_loss(sk);
}

bool klips_shim_has_room(const struct sock *sk)
{
	/* As mainline's af_key: leave a third for what others tell meanwhile. */
	return 3 * (s64)atomic_read(&sk->sk_rmem_alloc) <= 2 * (s64)READ_ONCE(sk->sk_rcvbuf);
}

/*
 * Whether there is room for so much that it is worth while to go on with a DUMP: for as many
 * messages as are kept, or for a third of the buffer if that is less.
 */
static bool klips_is_drained(const struct sock *sk)
{
	s64 rcvbuf = READ_ONCE(sk->sk_rcvbuf);
	/* Three times the room, as klips_shim_has_room reckons. */
	s64 room = 2 * rcvbuf - 3 * (s64)atomic_read(&sk->sk_rmem_alloc);

	return room >= min_t(s64, 3 * KLIPS_SPARES * SKB_TRUESIZE(KLIPS_USUAL_ROOM), rcvbuf);
}

void klips_shim_set_dumping(struct sock *sk, bool dumping)
{
	/*
	 * Before the caller looks for room again; klips_recvmsg makes room before it looks at
	 * this. So one of them sees what the other has done.
	 */
	smp_store_mb(klips_sk(sk)->dumping, dumping);
}

void klips_shim_socket_info(struct sock *sk, struct klips_socket_info *info)
{
	info->inode = sock_i_ino(sk);
	info->pid = klips_sk(sk)->pid;
	info->err = READ_ONCE(sk->sk_err);
	info->protocol = sk->sk_protocol;
	info->sndbuf = READ_ONCE(sk->sk_sndbuf);
	info->rcvbuf = READ_ONCE(sk->sk_rcvbuf);
	info->type = sk->sk_type;
	info->state = sk->sk_socket ? sk->sk_socket->state : SS_FREE;
	info->lost = sk_drops_read(sk);
}

void klips_shim_wake_after(struct net *net, u64 seconds)
{
	/*
	 * A minute at the most, after which klips_expire asks anew: the delay does not go on while
	 * the machine sleeps, the clock does.
	 */
	unsigned long delay = min_t(u64, seconds, 60) * HZ;

	mod_delayed_work(system_dfl_wq, &klips_net(net)->work, delay);
}

static void klips_work(struct work_struct *work)
{
	klips_expire(container_of(to_delayed_work(work), struct klips_net, work)->state);
}

void klips_shim_wipe(void *secret, size_t len)
{
	memzero_explicit(secret, len);
}

void *klips_shim_secret_new(size_t len)
{
	return kvmalloc(len, GFP_KERNEL_ACCOUNT);
}

void klips_shim_secret_free(void *secret, size_t len)
{
	kvfree_sensitive(secret, len);
}

size_t klips_shim_page_begin(struct seq_file *m, u8 **start)
{
	return seq_get_buf(m, (char **)start);
}

void klips_shim_page_end(struct seq_file *m, int len)
{
	seq_commit(m, len);
}

/*
 * Files in /proc/net.
 */

/* An open file. */
struct klips_reader {
	struct klips_file *file;
	/* The position after the page that was shown last; 0 at the end. */
	u64 next;
	/* The position that the end has been given, which is one too far; 0 before the end. */
	loff_t end;
	/* How much had been read when the end was found, or was found to be told. */
	loff_t end_at;
	/* Where this reading ends, as Rust has it; 0 when it begins. */
	u64 until;
};

static void *klips_seq_start(struct seq_file *m, loff_t *pos)
{
	struct klips_reader *reader = m->private;

	if (!*pos)
		reader->until = 0;
	if (reader->end && *pos == reader->end) {
		/*
		 * Since then there have been lines to read, in the same read() even: the end is
		 * still to be told.
		 */
		if (reader->end_at != m->read_pos) {
			reader->end_at = m->read_pos;
			return NULL;
		}
		/* What has come since it was told begins where the end was. */
		--*pos;
		reader->until = 0;
	}
	reader->end = 0;
	return reader;
}

static void *klips_seq_next(struct seq_file *m, void *v, loff_t *pos)
{
	struct klips_reader *reader = v;

	if (!reader->next) {
		/* seq_file wants the position to change. */
		reader->end = ++*pos;
		reader->end_at = m->read_pos;
		return NULL;
	}
	*pos = reader->next;
	return reader;
}

static void klips_seq_stop(struct seq_file *m, void *v)
{
}

static int klips_seq_show(struct seq_file *m, void *v)
{
	struct klips_reader *reader = v;
	const struct klips_file *file = reader->file;
	size_t before = m->count;

	reader->next = klips_listing_page(file->knet->state, file->listing, m, m->index,
					  &reader->until);
	return m->count == before ? SEQ_SKIP : 0;
}

static const struct seq_operations klips_seq_ops = {
	.start	= klips_seq_start,
	.next	= klips_seq_next,
	.stop	= klips_seq_stop,
	.show	= klips_seq_show,
};

/*
 * An open file holds the module and its namespace. Neither reference can come too late: /proc
 * does not let an entry be removed, which unloading and the end of a namespace both have to do,
 * while one of the functions below runs.
 */
static int klips_proc_open(struct inode *inode, struct file *file)
{
	struct klips_file *klips_file = pde_data(inode);
	struct klips_reader *reader;
	struct net *net;

	if (!try_module_get(THIS_MODULE))
		return -ENXIO;
	net = maybe_get_net(klips_file->knet->net);
	if (!net) {
		module_put(THIS_MODULE);
		return -ENXIO;
	}
	reader = __seq_open_private(file, &klips_seq_ops, sizeof(*reader));
	if (!reader) {
		put_net(net);
		module_put(THIS_MODULE);
		return -ENOMEM;
	}
	reader->file = klips_file;
	return 0;
}

static int klips_proc_release(struct inode *inode, struct file *file)
{
	struct klips_file *klips_file = pde_data(inode);
	int err = seq_release_private(inode, file);

	put_net(klips_file->knet->net);
	module_put(THIS_MODULE);
	return err;
}

static const struct proc_ops klips_proc_ops = {
	.proc_open	= klips_proc_open,
	.proc_read_iter	= seq_read_iter,
	.proc_lseek	= seq_lseek,
	.proc_release	= klips_proc_release,
};

static const struct {
	/* In the folder ipsec; a folder itself, with a file "all", if folder is set. */
	const char *name;
	bool folder;
	umode_t mode;
	/* In /proc/net; without a target it is the file itself. */
	const char *link;
	const char *target;
} klips_files[KLIPS_LISTING_COUNT] = {
	[KLIPS_LISTING_SPIGRP] = {
		"spigrp", true, 0400, "ipsec_spigrp", "ipsec/spigrp/all",
	},
	[KLIPS_LISTING_SPI] = {
		"spi", true, 0400, "ipsec_spi", "ipsec/spi/all",
	},
	[KLIPS_LISTING_VERSION] = {
		"version", false, 0444, "ipsec_version", "ipsec/version",
	},
	[KLIPS_LISTING_KLIPSDEBUG] = {
		"klipsdebug", false, 0400, "ipsec_klipsdebug", "ipsec/klipsdebug",
	},
	[KLIPS_LISTING_PF_KEY] = { .link = "pf_key", .mode = 0444 },
	[KLIPS_LISTING_PF_KEY_REGISTERED] = { .link = "pf_key_registered", .mode = 0444 },
	[KLIPS_LISTING_PF_KEY_SUPPORTED] = { .link = "pf_key_supported", .mode = 0444 },
};

static void klips_proc_remove(struct net *net)
{
	unsigned int i;

	for (i = 0; i < KLIPS_LISTING_COUNT; i++)
		remove_proc_subtree(klips_files[i].link, net->proc_net);
	remove_proc_subtree("ipsec", net->proc_net);
}

/* Makes a file and the link to it; whatever can't be made makes it fail. */
static bool klips_proc_create_file(struct klips_net *knet, struct proc_dir_entry *ipsec,
				   enum klips_listing listing)
{
	struct proc_dir_entry *net = knet->net->proc_net;
	struct klips_file *file = &knet->files[listing];
	const char *name = klips_files[listing].name;
	umode_t mode = klips_files[listing].mode;

	file->knet = knet;
	file->listing = listing;
	if (!name)
		return proc_create_data(klips_files[listing].link, mode, net, &klips_proc_ops,
					file);
	if (klips_files[listing].folder) {
		ipsec = proc_net_mkdir(knet->net, name, ipsec);
		if (!ipsec)
			return false;
		name = "all";
	}
	return proc_create_data(name, mode, ipsec, &klips_proc_ops, file) &&
	       proc_symlink(klips_files[listing].link, net, klips_files[listing].target);
}

static int klips_proc_create(struct klips_net *knet)
{
	struct proc_dir_entry *ipsec;
	unsigned int i;

	ipsec = proc_net_mkdir(knet->net, "ipsec", knet->net->proc_net);
	if (!ipsec)
		return -ENOMEM;
	for (i = 0; i < KLIPS_LISTING_COUNT; i++)
		if (!klips_proc_create_file(knet, ipsec, i))
			return -ENOMEM;
	return 0;
}

/*
 * Network namespaces.
 */

static int __net_init klips_net_init(struct net *net)
{
	struct klips_net *knet = klips_net(net);
	int err;

	knet->net = net;
	skb_queue_head_init(&knet->spares);
	INIT_DELAYED_WORK(&knet->work, klips_work);
	knet->state = klips_net_new(net);
	if (!knet->state)
		return -ENOMEM;
	err = klips_proc_create(knet);
	if (err) {
		klips_proc_remove(net);
		klips_net_free(knet->state);
	}
	return err;
}

static void __net_exit klips_net_exit(struct net *net)
{
	klips_proc_remove(net);
	cancel_delayed_work_sync(&klips_net(net)->work);
	klips_net_free(klips_net(net)->state);
	consume_skb(klips_net(net)->spare);
	skb_queue_purge_reason(&klips_net(net)->spares, SKB_CONSUMED);
}

static struct pernet_operations klips_net_ops = {
	.init	= klips_net_init,
	.exit	= klips_net_exit,
	.id	= &klips_net_id,
	.size	= sizeof(struct klips_net),
};

/*
 * Sockets.
 */

static struct proto klips_proto = {
	.name		= "KLIPS",
	.owner		= THIS_MODULE,
	.obj_size	= sizeof(struct klips_sock),
};

static void klips_destruct(struct sock *sk)
{
	skb_queue_purge(&sk->sk_receive_queue);
}

static int klips_release(struct socket *sock)
{
	struct sock *sk = sock->sk;

	if (!sk)
		return 0;
	/* From here on nothing is delivered to it. */
	klips_socket_close(klips_state(sk), sk);
	sock_orphan(sk);
	sock->sk = NULL;
	sock_put(sk);
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
	int err = klips_socket_send(klips_state(sk), sk, msg, len);

	if (err == -EPIPE && !(msg->msg_flags & MSG_NOSIGNAL))
		send_sig(SIGPIPE, current, 0);
	return err ?: len;
}

/* What is read next; most often there is a message and no error, and nothing to wait for. */
static struct sk_buff *klips_next_message(struct sock *sk, int flags, int *err)
{
	struct sk_buff *message = NULL;

	if (!(flags & MSG_PEEK) && !READ_ONCE(sk->sk_err))
		message = skb_dequeue(&sk->sk_receive_queue);
	return message ?: skb_recv_datagram(sk, flags, err);
}

static int klips_recvmsg(struct socket *sock, struct msghdr *msg, size_t len, int flags)
{
	struct sock *sk = sock->sk;
	struct sk_buff *skb;
	size_t copied;
	int err;

	if (flags & (MSG_OOB | MSG_ERRQUEUE))
		return -EOPNOTSUPP;
	skb = klips_next_message(sk, flags, &err);
	if (!skb)
		return err;
	copied = min_t(size_t, len, skb->len);
	if (copied < skb->len)
		msg->msg_flags |= MSG_TRUNC;
	/* All messages are in one piece. */
	err = memcpy_to_msg(msg, skb->data, copied);
	if (!err) {
		sock_recv_cmsgs(msg, sk, skb);
		err = flags & MSG_TRUNC ? skb->len : copied;
	}
	klips_message_done(klips_sk(sk)->knet, skb);
	/* Pairs with klips_shim_set_dumping. */
	smp_mb();
	if (READ_ONCE(klips_sk(sk)->dumping) && klips_is_drained(sk))
		klips_socket_drained(klips_state(sk), sk);
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
	struct sock *sk;
	int err;

	err = klips_socket_check(net, sock->type, protocol);
	if (err)
		return err;
	sk = sk_alloc(net, PF_KEY, GFP_KERNEL, &klips_proto, kern);
	if (!sk)
		return -ENOMEM;
	sock->ops = &klips_ops;
	sock_init_data(sock, sk);
	sk->sk_protocol = protocol;
	klips_sk(sk)->knet = klips_net(net);
	klips_sk(sk)->pid = task_tgid_vnr(current);
	klips_sk(sk)->dumping = false;
	klips_sk(sk)->overrun = false;
	sk->sk_destruct = klips_destruct;
	err = klips_socket_open(klips_state(sk), sk);
	if (err) {
		sock_orphan(sk);
		sock->sk = NULL;
		sock_put(sk);
	}
	return err;
}

static const struct net_proto_family klips_family = {
	.family	= PF_KEY,
	.create	= klips_create,
	.owner	= THIS_MODULE,
};

int klips_shim_register(void)
{
	int err;

	err = proto_register(&klips_proto, 1);
	if (err)
		return err;
	err = register_pernet_subsys(&klips_net_ops);
	if (err)
		goto out_proto;
	/* Last, for from here on there can be sockets. */
	err = sock_register(&klips_family);
	if (err)
		goto out_pernet;
	return 0;

out_pernet:
	unregister_pernet_subsys(&klips_net_ops);
out_proto:
	proto_unregister(&klips_proto);
	return err;
}

void klips_shim_unregister(void)
{
	sock_unregister(PF_KEY);
	unregister_pernet_subsys(&klips_net_ops);
	proto_unregister(&klips_proto);
}
