// SPDX-License-Identifier: GPL-2.0
/*
 * What xfrm does to states by itself, what others do to states and policies, and what packets
 * tell: a key manager of xfrm's that notes it for Rust.  See include/klips_xfrm.h.
 */
#include <linux/kfifo.h>
#include <linux/mutex.h>
#include <linux/spinlock.h>
#include <linux/timekeeping.h>
#include <linux/workqueue.h>
#include <linux/xfrm.h>
#include <net/net_namespace.h>
#include <net/netns/generic.h>
#include <net/xfrm.h>

#include "klips_xfrm.h"

/* A power of two. */
#define KLIPS_EVENTS 64

#define KLIPS_XFRM_ANY_STATE 2

/* Of a network namespace. */
struct klips_xfrm_net {
	struct net *net;
	/* What Rust has for it, while the works may run. */
	void *state;
	struct delayed_work states;
	struct delayed_work policies;
	struct delayed_work packets;
	struct delayed_work outdate;
	/* Whether there is somebody to be told of what a %trap takes. */
	bool accepts;
	/* Whether xfrm_cfg_mutex, with which this is written, is held by klips. */
	bool held;
	/* Protects what follows, and is the innermost lock of all. */
	spinlock_t lock;
	/* Whether the works may be queued. */
	bool open;
	/* Whether any state may have changed. */
	bool any_state;
	/* The states that have. */
	DECLARE_KFIFO(names, struct klips_xfrm_name, KLIPS_EVENTS);
	/* What packets have told: if there are more, one of the next ones tells. */
	DECLARE_KFIFO(acquires, struct klips_xfrm_acquire, KLIPS_EVENTS);
	DECLARE_KFIFO(mappings, struct klips_xfrm_mapping, KLIPS_EVENTS);
};

static unsigned int klips_xfrm_net_id __read_mostly;

static struct klips_xfrm_net *klips_xfrm_net(const struct net *net)
{
	return net_generic(net, klips_xfrm_net_id);
}

void klips_xfrm_hold(struct net *net)
{
	mutex_lock(&net->xfrm.xfrm_cfg_mutex);
	WRITE_ONCE(klips_xfrm_net(net)->held, true);
}

void klips_xfrm_release(struct net *net)
{
	WRITE_ONCE(klips_xfrm_net(net)->held, false);
	mutex_unlock(&net->xfrm.xfrm_cfg_mutex);
}

/*
 * The works.
 */

/*
 * Whoever rules a namespace other than the first can cause work as often as it likes, so for those
 * it is not done all the time.
 */
static void klips_rest(const struct klips_xfrm_net *kx)
{
	if (kx != klips_xfrm_net(&init_net))
		schedule_timeout_uninterruptible(1);
}

static void klips_states_work(struct work_struct *work)
{
	struct klips_xfrm_net *kx = container_of(to_delayed_work(work), struct klips_xfrm_net,
						 states);

	klips_xfrm_states_changed(kx->state);
	klips_rest(kx);
}

static void klips_policies_work(struct work_struct *work)
{
	struct klips_xfrm_net *kx = container_of(to_delayed_work(work), struct klips_xfrm_net,
						 policies);

	klips_xfrm_policies_changed(kx->state);
	klips_rest(kx);
}

static void klips_packets_work(struct work_struct *work)
{
	struct klips_xfrm_net *kx = container_of(to_delayed_work(work), struct klips_xfrm_net,
						 packets);

	klips_xfrm_packets_told(kx->state);
	klips_rest(kx);
}

static void klips_outdate_work(struct work_struct *work)
{
	struct klips_xfrm_net *kx = container_of(to_delayed_work(work), struct klips_xfrm_net,
						 outdate);

	rt_genid_bump_all(kx->net);
}

/* Under the lock. */
static void klips_queue(struct klips_xfrm_net *kx, struct delayed_work *work, unsigned long delay)
{
	if (!kx->open)
		return;
	/* What is due at once does not wait for what is to be tried again. */
	if (delay)
		queue_delayed_work(system_dfl_wq, work, delay);
	else
		mod_delayed_work(system_dfl_wq, work, 0);
}

static void klips_note_any_state(struct klips_xfrm_net *kx, unsigned long delay)
{
	spin_lock_bh(&kx->lock);
	kx->any_state = true;
	klips_queue(kx, &kx->states, delay);
	spin_unlock_bh(&kx->lock);
}

static void klips_set_name(struct klips_xfrm_name *name, const struct xfrm_state *x)
{
	memcpy(name->dst, &x->id.daddr, sizeof(name->dst));
	name->spi = be32_to_cpu(x->id.spi);
	name->family = x->props.family;
	name->proto = x->id.proto;
}

static void klips_note_state(struct klips_xfrm_net *kx, const struct xfrm_state *x)
{
	struct klips_xfrm_name name = {};

	klips_set_name(&name, x);
	spin_lock_bh(&kx->lock);
	if (!kfifo_put(&kx->names, name))
		kx->any_state = true;
	klips_queue(kx, &kx->states, 0);
	spin_unlock_bh(&kx->lock);
}

static void klips_note_policies(struct klips_xfrm_net *kx, unsigned long delay)
{
	spin_lock_bh(&kx->lock);
	klips_queue(kx, &kx->policies, delay);
	spin_unlock_bh(&kx->lock);
}

void klips_xfrm_states_later(struct net *net)
{
	klips_note_any_state(klips_xfrm_net(net), HZ);
}

void klips_xfrm_policies_later(struct net *net)
{
	klips_note_policies(klips_xfrm_net(net), HZ);
}

void klips_xfrm_outdate_later(struct net *net)
{
	struct klips_xfrm_net *kx = klips_xfrm_net(net);

	spin_lock_bh(&kx->lock);
	klips_queue(kx, &kx->outdate, HZ);
	spin_unlock_bh(&kx->lock);
}

int klips_xfrm_next_state(struct net *net, struct klips_xfrm_name *name)
{
	struct klips_xfrm_net *kx = klips_xfrm_net(net);
	int which = KLIPS_XFRM_NO_STATE;

	memset(name, 0, sizeof(*name));
	spin_lock_bh(&kx->lock);
	if (kx->any_state) {
		/* That includes those that are in the ring. */
		kx->any_state = false;
		kfifo_reset(&kx->names);
		which = KLIPS_XFRM_ANY_STATE;
	} else if (kfifo_get(&kx->names, name)) {
		which = KLIPS_XFRM_ONE_STATE;
	}
	spin_unlock_bh(&kx->lock);
	return which;
}

bool klips_xfrm_next_acquire(struct net *net, struct klips_xfrm_acquire *acquire)
{
	struct klips_xfrm_net *kx = klips_xfrm_net(net);
	bool found;

	spin_lock_bh(&kx->lock);
	found = kfifo_get(&kx->acquires, acquire);
	spin_unlock_bh(&kx->lock);
	return found;
}

void klips_xfrm_waiting_put(struct xfrm_state *waiting)
{
	xfrm_state_put(waiting);
}

void klips_xfrm_waiting_delete(struct xfrm_state *waiting)
{
	spin_lock_bh(&waiting->lock);
	/* xfrm says so under a lock of its own, which deleting takes, and inserts it under that. */
	if (READ_ONCE(waiting->km.state) == XFRM_STATE_ACQ)
		__xfrm_state_delete(waiting);
	spin_unlock_bh(&waiting->lock);
}

bool klips_xfrm_next_mapping(struct net *net, struct klips_xfrm_mapping *mapping)
{
	struct klips_xfrm_net *kx = klips_xfrm_net(net);
	bool found;

	spin_lock_bh(&kx->lock);
	found = kfifo_get(&kx->mappings, mapping);
	spin_unlock_bh(&kx->lock);
	return found;
}

void klips_xfrm_accept_acquires(struct net *net, bool accept)
{
	WRITE_ONCE(klips_xfrm_net(net)->accepts, accept);
}

/*
 * The key manager.  xfrm calls it with rcu_read_lock(), and often with more than that: it may not
 * sleep, and takes no lock but the one above.
 */

static bool klips_is_ours(const struct xfrm_state *x)
{
	return x->props.reqid & KLIPS_XFRM_REQID;
}

/* xfrm_user tells of removals and changes with xfrm_cfg_mutex held, and so does klips. */
static bool klips_is_own_doing(const struct klips_xfrm_net *kx)
{
	return READ_ONCE(kx->held);
}

/* For limits, x->lock is held. */
static int klips_notify(struct xfrm_state *x, const struct km_event *c)
{
	switch (c->event) {
	case XFRM_MSG_EXPIRE:
		if (klips_is_ours(x))
			klips_note_state(klips_xfrm_net(xs_net(x)), x);
		break;
	case XFRM_MSG_DELSA:
		if (klips_is_ours(x) && !klips_is_own_doing(klips_xfrm_net(xs_net(x))))
			klips_note_state(klips_xfrm_net(xs_net(x)), x);
		break;
	case XFRM_MSG_FLUSHSA:
		/* x is NULL. */
		klips_note_any_state(klips_xfrm_net(c->net), 0);
		break;
	}
	return 0;
}

/*
 * Nothing tells a policy of ours from another: one that drops has no templates, and one that takes
 * the place of ours is all there is to see of that.
 */
static int klips_notify_policy(struct xfrm_policy *xp, int dir, const struct km_event *c)
{
	switch (c->event) {
	case XFRM_MSG_DELPOLICY:
	case XFRM_MSG_UPDPOLICY:
		if (!klips_is_own_doing(klips_xfrm_net(xp_net(xp))))
			klips_note_policies(klips_xfrm_net(xp_net(xp)), 0);
		break;
	case XFRM_MSG_POLEXPIRE:
		/* Ours have no limits, but may be said to have passed one. */
		if (c->data.hard)
			klips_note_policies(klips_xfrm_net(xp_net(xp)), 0);
		break;
	case XFRM_MSG_FLUSHPOLICY:
		/* xp is NULL. */
		klips_note_policies(klips_xfrm_net(c->net), 0);
		break;
	}
	return 0;
}

/* Asked before anything is made for a packet that finds no state. */
static bool klips_is_alive(const struct km_event *c)
{
	return READ_ONCE(klips_xfrm_net(c->net)->accepts);
}

static bool klips_has_ports(u8 proto)
{
	switch (proto) {
	case IPPROTO_TCP:
	case IPPROTO_UDP:
	case IPPROTO_DCCP:
	case IPPROTO_SCTP:
	case IPPROTO_UDPLITE:
		return true;
	default:
		return false;
	}
}

/* Where this succeeds, x keeps packets of these two hosts from coming here, until it times out. */
static bool klips_note_acquire(struct klips_xfrm_net *kx, struct xfrm_state *x)
{
	const struct xfrm_selector *sel = &x->sel;
	struct klips_xfrm_acquire acquire = {
		.waiting = x,
		.until = ktime_get_boottime_seconds() +
			 READ_ONCE(xs_net(x)->xfrm.sysctl_acq_expires),
		.reqid = x->props.reqid,
		.family = sel->family,
		.proto = sel->proto,
	};
	bool noted;

	memcpy(acquire.src, &sel->saddr, sizeof(acquire.src));
	memcpy(acquire.dst, &sel->daddr, sizeof(acquire.dst));
	if (klips_has_ports(sel->proto)) {
		acquire.sport = be16_to_cpu(sel->sport);
		acquire.dport = be16_to_cpu(sel->dport);
	}
	spin_lock_bh(&kx->lock);
	noted = kx->open && READ_ONCE(kx->accepts) && kfifo_put(&kx->acquires, acquire);
	if (noted) {
		xfrm_state_hold(x);
		klips_queue(kx, &kx->packets, 0);
	}
	spin_unlock_bh(&kx->lock);
	return noted;
}

/* xfrm calls it without asking whether there is one. */
static int klips_acquire(struct xfrm_state *x, struct xfrm_tmpl *tmpl, struct xfrm_policy *xp)
{
	if ((x->props.reqid & KLIPS_XFRM_KIND) != KLIPS_XFRM_TRAP)
		return -ESRCH;
	return klips_note_acquire(klips_xfrm_net(xs_net(x)), x) ? 0 : -ESRCH;
}

/* For each packet that comes from there.  Who returns 0 is the last that is told. */
static int klips_new_mapping(struct xfrm_state *x, xfrm_address_t *ipaddr, __be16 sport)
{
	struct klips_xfrm_net *kx = klips_xfrm_net(xs_net(x));
	struct klips_xfrm_mapping mapping = {
		.sport = be16_to_cpu(sport),
	};

	if (!klips_is_ours(x))
		return -ESRCH;
	klips_set_name(&mapping.name, x);
	memcpy(mapping.src, ipaddr, sizeof(mapping.src));
	spin_lock_bh(&kx->lock);
	kfifo_put(&kx->mappings, mapping);
	klips_queue(kx, &kx->packets, 0);
	spin_unlock_bh(&kx->lock);
	return -ESRCH;
}

/* xfrm calls it without asking whether there is one. What others made of it, in *dir, stays. */
static struct xfrm_policy *klips_compile_policy(struct sock *sk, int opt, u8 *data, int len,
						int *dir)
{
	return NULL;
}

static struct xfrm_mgr klips_mgr = {
	.notify		= klips_notify,
	.is_alive	= klips_is_alive,
	.acquire	= klips_acquire,
	.new_mapping	= klips_new_mapping,
	.compile_policy	= klips_compile_policy,
	.notify_policy	= klips_notify_policy,
};

/*
 * Network namespaces.
 */

void klips_xfrm_net_start(struct net *net, void *state)
{
	struct klips_xfrm_net *kx = klips_xfrm_net(net);

	kx->state = state;
	spin_lock_bh(&kx->lock);
	kx->open = true;
	spin_unlock_bh(&kx->lock);
}

void klips_xfrm_net_stop(struct net *net)
{
	struct klips_xfrm_net *kx = klips_xfrm_net(net);
	struct klips_xfrm_acquire acquire;

	spin_lock_bh(&kx->lock);
	kx->open = false;
	spin_unlock_bh(&kx->lock);
	cancel_delayed_work_sync(&kx->states);
	cancel_delayed_work_sync(&kx->policies);
	cancel_delayed_work_sync(&kx->packets);
	cancel_delayed_work_sync(&kx->outdate);
	while (klips_xfrm_next_acquire(net, &acquire))
		klips_xfrm_waiting_put(acquire.waiting);
}

static int __net_init klips_xfrm_net_init(struct net *net)
{
	struct klips_xfrm_net *kx = klips_xfrm_net(net);

	kx->net = net;
	spin_lock_init(&kx->lock);
	INIT_KFIFO(kx->names);
	INIT_KFIFO(kx->acquires);
	INIT_KFIFO(kx->mappings);
	INIT_DELAYED_WORK(&kx->states, klips_states_work);
	INIT_DELAYED_WORK(&kx->policies, klips_policies_work);
	INIT_DELAYED_WORK(&kx->packets, klips_packets_work);
	INIT_DELAYED_WORK(&kx->outdate, klips_outdate_work);
	return 0;
}

static struct pernet_operations klips_xfrm_net_ops = {
	.init	= klips_xfrm_net_init,
	.id	= &klips_xfrm_net_id,
	.size	= sizeof(struct klips_xfrm_net),
};

int klips_xfrm_register(void)
{
	int err = register_pernet_subsys(&klips_xfrm_net_ops);

	if (err)
		return err;
	err = klips_xfrm_pin_tunnels();
	if (err) {
		unregister_pernet_subsys(&klips_xfrm_net_ops);
		return err;
	}
	xfrm_register_km(&klips_mgr);
	return 0;
}

void klips_xfrm_unregister(void)
{
	/* Waits for who is in one of our functions. */
	xfrm_unregister_km(&klips_mgr);
	klips_xfrm_unpin_tunnels();
	unregister_pernet_subsys(&klips_xfrm_net_ops);
}
