// SPDX-License-Identifier: GPL-2.0
/* Two threads count with one variable and no lock, for KCSAN. */
#include <linux/delay.h>
#include <linux/err.h>
#include <linux/kthread.h>
#include <linux/module.h>
#include <linux/sched.h>

static unsigned long counter;

static int race_count(void *unused)
{
	while (!kthread_should_stop()) {
		unsigned int i;

		for (i = 0; i < 1000; i++)
			counter++;
		cond_resched();
	}
	return 0;
}

static int __init race_init(void)
{
	struct task_struct *one, *other;

	one = kthread_run(race_count, NULL, "race-one");
	if (IS_ERR(one))
		return PTR_ERR(one);
	other = kthread_run(race_count, NULL, "race-other");
	msleep(3000);
	kthread_stop(one);
	if (IS_ERR(other))
		return PTR_ERR(other);
	kthread_stop(other);
	return 0;
}
module_init(race_init);

MODULE_DESCRIPTION("Has a data race when loaded");
MODULE_LICENSE("GPL");
