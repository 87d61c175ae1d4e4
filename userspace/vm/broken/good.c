// SPDX-License-Identifier: GPL-2.0
/* Nothing is wrong with this one: the harness must stay green. */
#include <linux/module.h>

static int __init good_init(void)
{
	return 0;
}
module_init(good_init);

static void __exit good_exit(void)
{
}
module_exit(good_exit);

MODULE_DESCRIPTION("Loads and unloads without a word");
MODULE_LICENSE("GPL");
