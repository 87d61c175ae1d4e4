// SPDX-License-Identifier: GPL-2.0
/* Never returns from its initialization, and no signal helps. */
#include <linux/completion.h>
#include <linux/module.h>

static DECLARE_COMPLETION(never);

static int __init hang_init(void)
{
	wait_for_completion(&never);
	return 0;
}
module_init(hang_init);

MODULE_DESCRIPTION("Hangs when loaded");
MODULE_LICENSE("GPL");
