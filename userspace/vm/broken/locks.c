// SPDX-License-Identifier: GPL-2.0
/* Takes two locks in both orders, never at once, for lockdep. */
#include <linux/module.h>
#include <linux/mutex.h>

static DEFINE_MUTEX(first);
static DEFINE_MUTEX(second);

static int __init locks_init(void)
{
	mutex_lock(&first);
	mutex_lock(&second);
	mutex_unlock(&second);
	mutex_unlock(&first);

	mutex_lock(&second);
	mutex_lock(&first);
	mutex_unlock(&first);
	mutex_unlock(&second);
	return 0;
}
module_init(locks_init);

MODULE_DESCRIPTION("Breaks the locking order when loaded");
MODULE_LICENSE("GPL");
