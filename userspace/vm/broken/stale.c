// SPDX-License-Identifier: GPL-2.0
/* Reads memory it has freed, for KASAN. */
#include <linux/compiler.h>
#include <linux/module.h>
#include <linux/slab.h>

static int __init stale_init(void)
{
	int *freed = kmalloc(100, GFP_KERNEL);

	if (!freed)
		return -ENOMEM;
	kfree(freed);
	OPTIMIZER_HIDE_VAR(freed);
	READ_ONCE(*freed);
	return 0;
}
module_init(stale_init);

MODULE_DESCRIPTION("Uses memory after free when loaded");
MODULE_LICENSE("GPL");
