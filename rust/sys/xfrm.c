// SPDX-License-Identifier: GPL-2.0
/*
 * States and policies of the kernel's xfrm, made of what Rust says: see include/klips_xfrm.h.
 */
#include <linux/module.h>
#include <linux/netlink.h>
#include <linux/random.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/udp.h>
#include <linux/xfrm.h>
#include <net/net_namespace.h>
#include <net/xfrm.h>

#include "klips_shim.h"
#include "klips_xfrm.h"

#ifndef CONFIG_XFRM
#error "klips.ko needs a kernel with CONFIG_XFRM."
#endif

/* The numbers of Mode, Transform, Direction and Action in rust/core. */
static_assert(XFRM_MODE_TRANSPORT == 0 && XFRM_MODE_TUNNEL == 1);
static_assert(IPPROTO_IPIP == 4 && IPPROTO_IPV6 == 41 && IPPROTO_ESP == 50 && IPPROTO_AH == 51 &&
	      IPPROTO_COMP == 108);
static_assert(XFRM_POLICY_IN == 0 && XFRM_POLICY_OUT == 1 && XFRM_POLICY_FWD == 2);
static_assert(XFRM_POLICY_ALLOW == 0 && XFRM_POLICY_BLOCK == 1);
static_assert(KLIPS_XFRM_TEMPLATES < XFRM_MAX_DEPTH);

/* The user of a selector on its way into another's place; no other policy of klips's has it. */
#define KLIPS_IN_PLACE 3

/* One of so many policies that are taken out has xfrm look for networks without any. */
#define KLIPS_PRUNE 256U

/*
 * Whether what klips does is told to anybody.  Of the key managers that want to know, one is klips
 * itself, which knows, and the other xfrm_user, which makes a message of it also where nobody
 * listens.  Who begins to listen later finds the states and policies as they are by then.
 */
static bool klips_is_heard(const struct net *net, unsigned int group)
{
	struct sock *sk;
	bool heard;

	rcu_read_lock();
	sk = rcu_dereference(net->xfrm.nlsk);
	heard = sk && netlink_has_listeners(sk, group);
	rcu_read_unlock();
	return heard;
}

static void klips_set_address(xfrm_address_t *to, const u8 *from)
{
	memcpy(to, from, sizeof(*to));
}

/*
 * States.
 */

/*
 * Each algorithm is looked for first: ESP, AH and IPComp run into a BUG() with one that the kernel
 * lacks.
 */
static int klips_attach_aead(struct xfrm_state *x, const struct klips_xfrm_algorithm *algorithm)
{
	size_t len = DIV_ROUND_UP(algorithm->key_bits, 8);
	struct xfrm_algo_desc *desc;

	if (!algorithm->name)
		return 0;
	desc = xfrm_aead_get_byname(algorithm->name, algorithm->icv_bits, 1);
	if (!desc)
		return -ENOENT;
	x->aead = kzalloc(sizeof(*x->aead) + len, GFP_KERNEL_ACCOUNT);
	if (!x->aead)
		return -ENOMEM;
	strscpy(x->aead->alg_name, desc->name);
	x->aead->alg_key_len = algorithm->key_bits;
	x->aead->alg_icv_len = algorithm->icv_bits;
	memcpy(x->aead->alg_key, algorithm->key, len);
	x->props.ealgo = desc->desc.sadb_alg_id;
	x->geniv = desc->uinfo.aead.geniv;
	return 0;
}

static int klips_attach_auth(struct xfrm_state *x, const struct klips_xfrm_algorithm *algorithm)
{
	size_t len = DIV_ROUND_UP(algorithm->key_bits, 8);
	struct xfrm_algo_desc *desc;

	if (!algorithm->name)
		return 0;
	desc = xfrm_aalg_get_byname(algorithm->name, 1);
	if (!desc)
		return -ENOENT;
	x->aalg = kzalloc(sizeof(*x->aalg) + len, GFP_KERNEL_ACCOUNT);
	if (!x->aalg)
		return -ENOMEM;
	strscpy(x->aalg->alg_name, desc->name);
	x->aalg->alg_key_len = algorithm->key_bits;
	x->aalg->alg_trunc_len = algorithm->icv_bits ?: desc->uinfo.auth.icv_truncbits;
	memcpy(x->aalg->alg_key, algorithm->key, len);
	x->props.aalgo = desc->desc.sadb_alg_id;
	return 0;
}

static int klips_attach_encrypt(struct xfrm_state *x, const struct klips_xfrm_algorithm *algorithm)
{
	size_t len = DIV_ROUND_UP(algorithm->key_bits, 8);
	struct xfrm_algo_desc *desc;

	if (!algorithm->name)
		return 0;
	desc = xfrm_ealg_get_byname(algorithm->name, 1);
	if (!desc)
		return -ENOENT;
	x->ealg = kzalloc(sizeof(*x->ealg) + len, GFP_KERNEL_ACCOUNT);
	if (!x->ealg)
		return -ENOMEM;
	strscpy(x->ealg->alg_name, desc->name);
	x->ealg->alg_key_len = algorithm->key_bits;
	memcpy(x->ealg->alg_key, algorithm->key, len);
	x->props.ealgo = desc->desc.sadb_alg_id;
	x->geniv = desc->uinfo.encr.geniv;
	return 0;
}

static int klips_attach_compress(struct xfrm_state *x,
				 const struct klips_xfrm_algorithm *algorithm)
{
	struct xfrm_algo_desc *desc;

	if (!algorithm->name)
		return 0;
	desc = xfrm_calg_get_byname(algorithm->name, 1);
	if (!desc)
		return -ENOENT;
	x->calg = kzalloc_obj(*x->calg, GFP_KERNEL_ACCOUNT);
	if (!x->calg)
		return -ENOMEM;
	strscpy(x->calg->alg_name, desc->name);
	x->props.calgo = desc->desc.sadb_alg_id;
	return 0;
}

static int klips_attach_encap(struct xfrm_state *x, const struct klips_xfrm_sa *sa)
{
	if (!sa->encap)
		return 0;
	x->encap = kzalloc_obj(*x->encap, GFP_KERNEL_ACCOUNT);
	if (!x->encap)
		return -ENOMEM;
	x->encap->encap_type = sa->encap;
	x->encap->encap_sport = cpu_to_be16(sa->sport);
	x->encap->encap_dport = cpu_to_be16(sa->dport);
	klips_set_address(&x->encap->encap_oa, sa->original);
	/* As long as packets come from another port than that, it is told of once a second. */
	x->mapping_maxage = 1;
	return 0;
}

/* Windows of more than 32 packets have a bitmap of their own, as for extended sequence numbers. */
static int klips_attach_window(struct xfrm_state *x, u8 window)
{
	u32 words = DIV_ROUND_UP(window, 32);

	x->props.replay_window = window;
	if (words <= 1)
		return 0;
	x->replay_esn = kzalloc_flex(*x->replay_esn, bmp, words, GFP_KERNEL_ACCOUNT);
	x->preplay_esn = kzalloc_flex(*x->preplay_esn, bmp, words, GFP_KERNEL_ACCOUNT);
	if (!x->replay_esn || !x->preplay_esn)
		return -ENOMEM;
	x->replay_esn->bmp_len = words;
	x->replay_esn->replay_window = window;
	x->preplay_esn->bmp_len = words;
	x->preplay_esn->replay_window = window;
	return 0;
}

static void klips_set_limits(struct xfrm_lifetime_cfg *lft, const struct klips_xfrm_sa *sa)
{
	lft->soft_byte_limit = sa->soft.bytes;
	lft->soft_packet_limit = sa->soft.packets;
	lft->soft_use_expires_seconds = sa->soft.use_seconds;
	lft->hard_byte_limit = sa->hard.bytes;
	lft->hard_packet_limit = sa->hard.packets;
	lft->hard_use_expires_seconds = sa->hard.use_seconds;
}

/*
 * When the state of an IPv6 tunnel is destroyed, xfrm6_tunnel gives up a number that it has for the
 * source, so each has to have asked for it.
 */
static int klips_ask_tunnel6(struct xfrm_state *x)
{
	if (x->id.proto != IPPROTO_IPV6)
		return 0;
#if IS_ENABLED(CONFIG_INET6_XFRM_TUNNEL)
	return xfrm6_tunnel_alloc_spi(xs_net(x), &x->props.saddr) ? 0 : -ENOMEM;
#else
	return -EPROTONOSUPPORT;
#endif
}

static int klips_init_state(struct xfrm_state *x, const struct klips_xfrm_sa *sa)
{
	int err;

	err = klips_attach_aead(x, &sa->aead);
	if (!err)
		err = klips_attach_auth(x, &sa->auth);
	if (!err)
		err = klips_attach_encrypt(x, &sa->encrypt);
	if (!err)
		err = klips_attach_compress(x, &sa->compress);
	if (!err)
		err = klips_attach_encap(x, sa);
	if (!err)
		err = klips_attach_window(x, sa->window);
	if (!err)
		err = klips_ask_tunnel6(x);
	if (!err)
		err = __xfrm_init_state(x, NULL);
	/* What ah_init_state() says of everything; all but memory was looked at before. */
	if (err == -EINVAL && x->id.proto == IPPROTO_AH)
		err = -ENOMEM;
	if (!err)
		err = xfrm_init_replay(x, NULL);
	return err;
}

struct xfrm_state *klips_xfrm_state_new(struct net *net, const struct klips_xfrm_sa *sa, int *err)
{
	struct xfrm_state *x = xfrm_state_alloc(net);

	if (!x) {
		*err = -ENOMEM;
		return NULL;
	}
	/* XFRM_STATE_VOID: that of one that has never been inserted. */
	x->id.proto = sa->proto;
	x->id.spi = cpu_to_be32(sa->spi);
	klips_set_address(&x->id.daddr, sa->dst);
	klips_set_address(&x->props.saddr, sa->src);
	x->props.family = sa->family;
	x->props.mode = sa->mode;
	x->props.reqid = sa->reqid;
	x->if_id = sa->if_id;
	/* No family in its selector: what is inside, or inside of that, may be of the other. */
	if (sa->hide_dscp && klips_sysctl_hides_tos(net))
		x->props.extra_flags |= XFRM_SA_XFLAG_DONT_ENCAP_DSCP;
	klips_set_limits(&x->lft, sa);
	*err = klips_init_state(x, sa);
	if (*err) {
		klips_xfrm_state_put(x);
		return NULL;
	}
	/* As xfrm_user does, or segmentation differs from that of "ip xfrm" states. */
	xfrm_set_type_offload(x, false);
	return x;
}

void klips_xfrm_state_put(struct xfrm_state *x)
{
	/* Nobody else knows it. */
	if (READ_ONCE(x->km.state) == XFRM_STATE_VOID)
		x->km.state = XFRM_STATE_DEAD;
	xfrm_state_put(x);
}

static void klips_tell_state(struct xfrm_state *x, u32 event)
{
	const struct km_event c = { .event = event };

	if (klips_is_heard(xs_net(x), XFRMNLGRP_SA))
		km_state_notify(x, &c);
}

static void klips_link_state(struct xfrm_state *x)
{
	/* Once it is inserted, the first reference is xfrm's, as __xfrm_state_delete() has it. */
	xfrm_state_hold(x);
	xfrm_state_insert(x);
}

void klips_xfrm_state_insert(struct xfrm_state *x)
{
	x->km.state = XFRM_STATE_VALID;
	klips_link_state(x);
	xfrm_audit_state_add(x, 1, true);
	klips_tell_state(x, XFRM_MSG_NEWSA);
}

static u32 klips_window(const struct xfrm_state *x)
{
	return x->replay_esn ? x->replay_esn->replay_window : x->props.replay_window;
}

static u32 klips_received_seq(const struct xfrm_state *x)
{
	return x->replay_esn ? x->replay_esn->seq : x->replay.seq;
}

/* Where the bitmap has the packet that is so far behind the highest, if that is in the window. */
static u32 klips_place(const struct xfrm_replay_state_esn *esn, u32 behind)
{
	/* As xfrm_replay_check_bmp() has it, for seq - 1 in a ring of replay_window bits. */
	u32 top = (esn->seq - 1) % esn->replay_window;

	return top >= behind ? top - behind : esn->replay_window - (behind - top);
}

static bool klips_is_received(const struct xfrm_state *x, u32 behind)
{
	u32 place;

	if (!x->replay_esn)
		return x->replay.bitmap & BIT(behind);
	place = klips_place(x->replay_esn, behind);
	return x->replay_esn->bmp[place / 32] & BIT(place % 32);
}

static void klips_set_received(struct xfrm_state *x, u32 behind)
{
	u32 place;

	if (!x->replay_esn) {
		x->replay.bitmap |= BIT(behind);
		return;
	}
	place = klips_place(x->replay_esn, behind);
	x->replay_esn->bmp[place / 32] |= BIT(place % 32);
}

/*
 * The new window may be wider than the old one was.  What was behind that counts as received: it
 * may have been.
 */
static void klips_carry_sequence(struct xfrm_state *new, const struct xfrm_state *old)
{
	u32 sent = old->replay_esn ? old->replay_esn->oseq : old->replay.oseq;
	u32 seq = klips_received_seq(old);
	u32 behind;

	if (new->replay_esn) {
		new->replay_esn->oseq = sent;
		new->replay_esn->seq = seq;
	} else {
		new->replay.oseq = sent;
		new->replay.seq = seq;
	}
	for (behind = 0; behind < klips_window(new) && behind < seq; behind++)
		if (behind >= klips_window(old) || klips_is_received(old, behind))
			klips_set_received(new, behind);
	if (new->replay_esn)
		memcpy(new->preplay_esn, new->replay_esn,
		       xfrm_replay_state_esn_len(new->replay_esn));
	else
		new->preplay = new->replay;
}

void klips_xfrm_state_swap(struct xfrm_state *old, struct xfrm_state *new, bool carry)
{
	bool expired;
	int err;

	/* So that this processor's packets meet the old one or the new one. */
	local_bh_disable();
	spin_lock_bh(&old->lock);
	expired = old->km.state == XFRM_STATE_EXPIRED;
	/* From here on no packet takes a sequence number of it, and none gets through it. */
	err = __xfrm_state_delete(old);
	if (carry)
		klips_carry_sequence(new, old);
	new->curlft = old->curlft;
	new->lastused = old->lastused;
	new->stats = old->stats;
	/* The soft limit is told once. */
	if (!memcmp(&new->lft, &old->lft, sizeof(new->lft)))
		new->km.dying = old->km.dying;
	spin_unlock_bh(&old->lock);
	/* One whose limit has been passed: its timer is about to remove it, and tells of that. */
	new->km.state = expired ? XFRM_STATE_EXPIRED : XFRM_STATE_VALID;
	if (err)
		new->km.state = XFRM_STATE_DEAD;
	else
		klips_link_state(new);
	local_bh_enable();
	if (!err)
		klips_tell_state(new, XFRM_MSG_UPDSA);
}

void klips_xfrm_state_delete(struct xfrm_state *x)
{
	int err = xfrm_state_delete(x);

	if (err)
		return;
	xfrm_audit_state_delete(x, 1, true);
	klips_tell_state(x, XFRM_MSG_DELSA);
}

void klips_xfrm_state_set_ports(struct xfrm_state *x, u16 sport, u16 dport)
{
	spin_lock_bh(&x->lock);
	if (x->encap) {
		x->encap->encap_sport = cpu_to_be16(sport);
		x->encap->encap_dport = cpu_to_be16(dport);
	}
	spin_unlock_bh(&x->lock);
}

void klips_xfrm_state_usage(struct xfrm_state *x, struct klips_xfrm_usage *usage)
{
	u32 behind;

	memset(usage, 0, sizeof(*usage));
	spin_lock_bh(&x->lock);
	usage->bytes = x->curlft.bytes;
	usage->packets = x->curlft.packets;
	usage->use_time = x->curlft.use_time;
	usage->last_used = x->lastused;
	usage->sent_seq = x->replay_esn ? x->replay_esn->oseq : x->replay.oseq;
	usage->received_seq = klips_received_seq(x);
	for (behind = 0; behind < min(klips_window(x), 64) && behind < usage->received_seq;
	     behind++)
		if (klips_is_received(x, behind))
			usage->received |= BIT_ULL(behind);
	usage->alive = x->km.state == XFRM_STATE_VALID;
	usage->dying = x->km.dying;
	spin_unlock_bh(&x->lock);
}

s64 klips_xfrm_reqid(struct net *net, u16 family, const u8 *dst, u32 spi, u8 proto)
{
	xfrm_address_t daddr;
	struct xfrm_state *x;
	u32 reqid;

	klips_set_address(&daddr, dst);
	x = xfrm_state_lookup(net, 0, &daddr, cpu_to_be32(spi), proto, family);
	if (!x)
		return -ESRCH;
	reqid = x->props.reqid;
	xfrm_state_put(x);
	return reqid;
}

/*
 * Policies.
 */

struct klips_xfrm_policy {
	struct xfrm_policy *xp;
	u8 dir;
};

static void klips_set_template(struct xfrm_tmpl *tmpl, const struct klips_xfrm_template *template)
{
	klips_set_address(&tmpl->id.daddr, template->dst);
	klips_set_address(&tmpl->saddr, template->src);
	tmpl->id.proto = template->proto;
	/*
	 * Where packets come in, xfrm only takes this for the family of the state that it has made
	 * for the small packets of an IPComp tunnel, which are bare IP-in-IP: it would do for any
	 * template that is optional.
	 */
	tmpl->encap_family = template->strict ? AF_UNSPEC : template->family;
	tmpl->reqid = template->reqid;
	tmpl->mode = template->mode;
	tmpl->share = XFRM_SHARE_ANY;
	tmpl->optional = template->optional;
	tmpl->allalgs = 1;
	tmpl->aalgos = ~0U;
	tmpl->ealgos = ~0U;
	tmpl->calgos = ~0U;
}

static struct xfrm_policy *klips_policy_alloc(struct net *net, const struct klips_xfrm_flow *flow)
{
	struct xfrm_policy *xp = xfrm_policy_alloc(net, GFP_KERNEL_ACCOUNT);
	bool fragments = flow->rank & KLIPS_XFRM_FRAGMENTS;
	unsigned int i;

	if (!xp)
		return NULL;
	xp->family = flow->family;
	xp->priority = flow->priority;
	xp->if_id = flow->if_id;
	xp->action = flow->action;
	xp->selector.family = flow->family;
	klips_set_address(&xp->selector.saddr, flow->src);
	klips_set_address(&xp->selector.daddr, flow->dst);
	xp->selector.prefixlen_s = flow->src_prefix;
	xp->selector.prefixlen_d = flow->dst_prefix;
	xp->selector.proto = flow->proto;
	xp->selector.sport = cpu_to_be16(flow->sport);
	xp->selector.sport_mask = flow->sport || fragments ? htons(0xffff) : 0;
	xp->selector.dport = cpu_to_be16(flow->dport);
	xp->selector.dport_mask = flow->dport || fragments ? htons(0xffff) : 0;
	/* Nothing looks at it but what compares selectors. */
	xp->selector.user = flow->rank;
	xp->lft.soft_byte_limit = XFRM_INF;
	xp->lft.hard_byte_limit = XFRM_INF;
	xp->lft.soft_packet_limit = XFRM_INF;
	xp->lft.hard_packet_limit = XFRM_INF;
	xp->xfrm_nr = min(flow->template_count, KLIPS_XFRM_TEMPLATES);
	for (i = 0; i < xp->xfrm_nr; i++)
		klips_set_template(&xp->xfrm_vec[i], &flow->templates[i]);
	return xp;
}

static void klips_policy_free(struct xfrm_policy *xp)
{
	/* Nobody else knows one that has never been inserted; any other has an index. */
	if (!xp->index)
		xp->walk.dead = 1;
	xfrm_pol_put(xp);
}

struct klips_xfrm_policy *klips_xfrm_policy_new(struct net *net,
						const struct klips_xfrm_flow *flow)
{
	struct klips_xfrm_policy *policy = kzalloc_obj(*policy, GFP_KERNEL_ACCOUNT);

	if (!policy)
		return NULL;
	policy->dir = flow->dir;
	policy->xp = klips_policy_alloc(net, flow);
	if (policy->xp)
		return policy;
	kfree(policy);
	return NULL;
}

bool klips_xfrm_policy_has(const struct klips_xfrm_policy *policy,
			   const struct klips_xfrm_template *templates, u8 count)
{
	const struct xfrm_policy *xp = policy->xp;
	struct xfrm_tmpl tmpl;
	unsigned int i;

	if (xp->xfrm_nr != count)
		return false;
	for (i = 0; i < xp->xfrm_nr; i++) {
		memset(&tmpl, 0, sizeof(tmpl));
		klips_set_template(&tmpl, &templates[i]);
		if (memcmp(&xp->xfrm_vec[i], &tmpl, sizeof(tmpl)))
			return false;
	}
	return true;
}

void klips_xfrm_policy_put(struct klips_xfrm_policy *policy)
{
	klips_policy_free(policy->xp);
	kfree(policy);
}

static void klips_tell_policy(struct xfrm_policy *xp, u8 dir, u32 event)
{
	const struct km_event c = { .event = event };

	if (klips_is_heard(xp_net(xp), XFRMNLGRP_POLICY))
		km_policy_notify(xp, dir, &c);
}

/* Whether it has been inserted, and nobody else has removed it. */
static bool klips_policy_is_there(const struct xfrm_policy *xp)
{
	return xp->index && !xp->walk.dead;
}

/*
 * Has sockets look for a policy once more that have kept a route since they met xp, or none.  One
 * that looks at this moment may mark what it keeps as of after this, where that is for IPv6: it is
 * to look again.
 */
static void klips_outdate_routes(const struct xfrm_policy *xp)
{
	if (xp->family == AF_INET) {
		rt_genid_bump_ipv4(xp_net(xp));
	} else {
		rt_genid_bump_ipv6(xp_net(xp));
		klips_xfrm_outdate_later(xp_net(xp));
	}
}

/* Inserts xp: unless excl, in the place of whatever policy there is of its selector. */
static int klips_policy_link(struct xfrm_policy *xp, u8 dir, bool excl, u32 event)
{
	int err = xfrm_policy_insert(dir, xp, excl);

	xfrm_audit_policy_add(xp, err ? 0 : 1, true);
	if (err)
		return err;
	if (xp->family == AF_INET6)
		klips_xfrm_outdate_later(xp_net(xp));
	klips_tell_policy(xp, dir, event);
	return 0;
}

/* Takes xp out; whether it was there. */
static bool klips_policy_unlink(struct xfrm_policy *xp, u8 dir)
{
	struct net *net = xp_net(xp);
	int err = 0;

	if (!klips_policy_is_there(xp))
		return false;
	/*
	 * xfrm keeps the networks of policies that are taken out by pointer.  Where one is taken
	 * out by its selector it looks at all networks and frees those without policies: each does
	 * that once in a while, so that there are never many more than there are policies.
	 */
	if (get_random_u32_below(max(KLIPS_PRUNE, READ_ONCE(net->xfrm.policy_count[dir]))))
		return !xfrm_policy_delete(xp, dir);
	xp = xfrm_policy_bysel_ctx(net, &xp->mark, xp->if_id, xp->type, dir, &xp->selector, NULL,
				   1, &err);
	if (!xp)
		return false;
	xfrm_pol_put(xp);
	return true;
}

int klips_xfrm_policy_insert(struct klips_xfrm_policy *policy, bool over)
{
	return klips_policy_link(policy->xp, policy->dir, !over,
				 over ? XFRM_MSG_UPDPOLICY : XFRM_MSG_NEWPOLICY);
}

void klips_xfrm_policy_replace(struct klips_xfrm_policy *old, struct klips_xfrm_policy *new)
{
	struct xfrm_policy *xp = new->xp;
	struct net *net = xp_net(xp);
	uid_t rank = xp->selector.user;

	/*
	 * Where xfrm itself puts a policy in another's place, it looks at all networks after that.
	 * With a selector that differs for the moment it does not: packets meet the old one as long
	 * as it is there.  What packets wait with is handed on by xfrm alone.
	 */
	if (klips_policy_is_there(old->xp) && skb_queue_empty_lockless(&old->xp->polq.hold_queue)) {
		xp->selector.user = KLIPS_IN_PLACE;
		if (!klips_policy_link(xp, new->dir, true, XFRM_MSG_UPDPOLICY)) {
			klips_policy_unlink(old->xp, old->dir);
			spin_lock_bh(&net->xfrm.xfrm_policy_lock);
			xp->selector.user = rank;
			spin_unlock_bh(&net->xfrm.xfrm_policy_lock);
			return;
		}
		xp->selector.user = rank;
	}
	/* That takes no memory, unless somebody else has removed the old one. */
	if (klips_policy_link(xp, new->dir, false, XFRM_MSG_UPDPOLICY))
		klips_xfrm_policies_later(net);
}

/*
 * A packet under way meets the one action or the other, for xfrm acts on what it has read of it
 * once, and in either case the templates, which never change: it is dropped, or goes through these.
 * To KCSAN that is a race, for xfrm reads it without READ_ONCE(); but it is a byte.
 */
static void __no_kcsan klips_policy_set_action(struct klips_xfrm_policy *policy, u8 action)
{
	struct xfrm_policy *xp = policy->xp;

	if (xp->action == action)
		return;
	WRITE_ONCE(xp->action, action);
	if (!klips_policy_is_there(xp))
		return;
	/* Routes that were made of it are not to be used any more, nor those just being made. */
	smp_mb__before_atomic();
	atomic_inc(&xp->genid);
	klips_outdate_routes(xp);
	klips_tell_policy(xp, policy->dir, XFRM_MSG_UPDPOLICY);
}

void klips_xfrm_policy_block(struct klips_xfrm_policy *policy)
{
	klips_policy_set_action(policy, XFRM_POLICY_BLOCK);
}

void klips_xfrm_policy_open(struct klips_xfrm_policy *policy)
{
	klips_policy_set_action(policy, XFRM_POLICY_ALLOW);
}

/* One like it that is not inserted. */
static struct xfrm_policy *klips_policy_copy(const struct xfrm_policy *old)
{
	struct xfrm_policy *xp = xfrm_policy_alloc(xp_net(old), GFP_KERNEL_ACCOUNT);

	if (!xp)
		return NULL;
	xp->family = old->family;
	xp->priority = old->priority;
	xp->if_id = old->if_id;
	xp->action = old->action;
	xp->selector = old->selector;
	xp->lft = old->lft;
	xp->xfrm_nr = old->xfrm_nr;
	memcpy(xp->xfrm_vec, old->xfrm_vec, sizeof(xp->xfrm_vec));
	return xp;
}

int klips_xfrm_policy_restore(struct klips_xfrm_policy *policy)
{
	struct xfrm_policy *old = policy->xp, *xp;
	int err;

	if (klips_policy_is_there(old))
		return 0;
	/* What has been removed can't be inserted again. */
	xp = klips_policy_copy(old);
	if (!xp)
		return -ENOMEM;
	err = klips_policy_link(xp, policy->dir, false, XFRM_MSG_UPDPOLICY);
	if (err) {
		klips_policy_free(xp);
		return err;
	}
	klips_policy_free(old);
	policy->xp = xp;
	return 1;
}

void klips_xfrm_policy_delete(struct klips_xfrm_policy *policy)
{
	struct xfrm_policy *xp = policy->xp;

	if (!klips_policy_unlink(xp, policy->dir))
		return;
	/* What was let past everything has a route that knows nothing of its policy. */
	if (!xp->xfrm_nr)
		klips_outdate_routes(xp);
	xfrm_audit_policy_delete(xp, 1, true);
	klips_tell_policy(xp, policy->dir, XFRM_MSG_DELPOLICY);
}

void klips_xfrm_drop_all(struct net *net)
{
	unsigned int dir;

	for (dir = 0; dir < XFRM_POLICY_MAX; dir++)
		WRITE_ONCE(net->xfrm.policy_default[dir], XFRM_USERPOLICY_BLOCK);
	rt_genid_bump_all(net);
}

/*
 * A tunnel packet that comes out of an SA in transport mode, as each is before it is grouped, is
 * bare IP-in-IP.  Where nothing takes that, the host complains: in clear, quoting what was inside.
 * With xfrm4_tunnel and xfrm6_tunnel it is dropped instead; these states, which are never inserted,
 * have the two loaded and keep them from being unloaded.
 */
static struct xfrm_state *klips_tunnel4, *klips_tunnel6;

/* 0 or a negative errno: -EPROTONOSUPPORT where there is no such module. */
static int klips_pin_tunnel(struct xfrm_state **pinned, u16 family, u8 proto)
{
	struct xfrm_state *x = xfrm_state_alloc(&init_net);
	int err;

	if (!x)
		return -ENOMEM;
	x->id.proto = proto;
	x->props.family = family;
	x->props.mode = XFRM_MODE_TUNNEL;
	err = __xfrm_init_state(x, NULL);
	if (err)
		klips_xfrm_state_put(x);
	else
		*pinned = x;
	return err;
}

int klips_xfrm_pin_tunnels(void)
{
	int err = klips_pin_tunnel(&klips_tunnel4, AF_INET, IPPROTO_IPIP);

#if IS_ENABLED(CONFIG_IPV6)
	if (!err)
		err = klips_pin_tunnel(&klips_tunnel6, AF_INET6, IPPROTO_IPV6);
#endif
	if (err) {
		if (err != -ENOMEM)
			pr_err("klips: xfrm4_tunnel or xfrm6_tunnel is missing: without, tunnel packets would be answered in clear\n");
		klips_xfrm_unpin_tunnels();
	}
	return err;
}

void klips_xfrm_unpin_tunnels(void)
{
	if (klips_tunnel4)
		klips_xfrm_state_put(klips_tunnel4);
	if (klips_tunnel6)
		klips_xfrm_state_put(klips_tunnel6);
	klips_tunnel4 = NULL;
	klips_tunnel6 = NULL;
}
