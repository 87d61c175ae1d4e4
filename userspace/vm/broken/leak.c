// SPDX-License-Identifier: GPL-2.0
/* Forgets memory, for kmemleak. */
#include <linux/module.h>
#include <linux/slab.h>

static int __init leak_init(void)
{
	int i;

	/* The allocator remembers the last few objects it gave, which hides them. */
	for (i = 0; i < 500; i++)
		if (!kmalloc(100, GFP_KERNEL))
			return -ENOMEM;
	return 0;
}
module_init(leak_init);

static void __exit leak_exit(void)
{
}
module_exit(leak_exit);

MODULE_DESCRIPTION("Leaks memory when loaded");
MODULE_LICENSE("GPL");
