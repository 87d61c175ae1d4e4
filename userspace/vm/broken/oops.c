// SPDX-License-Identifier: GPL-2.0
/* Runs into a BUG(). */
#include <linux/bug.h>
#include <linux/module.h>

static int __init oops_init(void)
{
	BUG();
	return 0;
}
module_init(oops_init);

MODULE_DESCRIPTION("Oopses when loaded");
MODULE_LICENSE("GPL");
