// SPDX-License-Identifier: GPL-2.0
/*
 * Files in /proc/net, as far as they take the kernel's own headers.
 *
 * An open file holds neither the module nor its namespace: /proc lets no entry go while one of the
 * functions below runs for it, closes those that are open, and answers for them from then on.
 */
#include <linux/proc_fs.h>
#include <linux/seq_file.h>
#include <net/net_namespace.h>

#include "klips_shim.h"

static int klips_proc_open_inode(struct inode *inode, struct file *file)
{
	return klips_proc_open(file, pde_data(inode));
}

static const struct proc_ops klips_proc_ops = {
	.proc_open	= klips_proc_open_inode,
	.proc_read_iter	= seq_read_iter,
	.proc_lseek	= seq_lseek,
	.proc_release	= seq_release_private,
};

struct proc_dir_entry *klips_proc_net(const struct net *net)
{
	return net->proc_net;
}

struct proc_dir_entry *klips_proc_mkdir(struct net *net, struct proc_dir_entry *parent,
					const char *name)
{
	return proc_net_mkdir(net, name, parent);
}

bool klips_proc_create(struct proc_dir_entry *parent, const char *name, umode_t mode, void *data)
{
	return proc_create_data(name, mode, parent, &klips_proc_ops, data);
}

bool klips_proc_symlink(struct proc_dir_entry *parent, const char *name, const char *target)
{
	return proc_symlink(name, parent, target);
}

void klips_proc_remove(struct proc_dir_entry *parent, const char *name)
{
	remove_proc_subtree(name, parent);
}
