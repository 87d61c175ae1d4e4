// SPDX-License-Identifier: GPL-2.0
/*
 * Who writes 1 to its parameter may take memory of the reserves from then on,
 * as one who helps to free memory may, until it writes 0.
 */
#include <linux/module.h>
#include <linux/sched.h>

static int reserves_set(const char *text, const struct kernel_param *kp)
{
	bool on;
	int err = kstrtobool(text, &on);

	if (err)
		return err;
	if (on)
		current->flags |= PF_MEMALLOC;
	else
		current->flags &= ~PF_MEMALLOC;
	return 0;
}

static const struct kernel_param_ops reserves_ops = {
	.set	= reserves_set,
};
module_param_cb(mine, &reserves_ops, NULL, 0200);

MODULE_DESCRIPTION("Gives a process memory of the reserves");
MODULE_LICENSE("GPL");
