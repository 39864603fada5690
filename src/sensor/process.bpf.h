/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Who a task is: told by the kernel while the task is just what it is, because /proc, read later, may tell of another
 * program or of nothing. Not for the path of each call.
 */
#ifndef IMSAFE_SENSOR_PROCESS_BPF_H
#define IMSAFE_SENSOR_PROCESS_BPF_H

/* Appends a name and returns the new size, or 0 if there is no room for it. */
static __always_inline __u32 add_name(char *names, __u32 size, const void *name)
{
	long length;

	if (size >= DRIVER_PATH)
		return 0;
	barrier_var(size); /* for verifiers that forget the compare when the value is spilled */
	size &= DRIVER_PATH - 1;
	length = bpf_probe_read_kernel_str(names + size, DRIVER_NAME_SIZE, name);
	return length > 0 ? size + length : 0;
}

/* A file's name and those of the folders above it, over mount points up to the root of its namespace. */
static __noinline int describe_path(struct driver_process *p, struct file *file)
{
	struct vfsmount *mnt;
	struct dentry *dentry, *root;
	__u32 size = 0;

	if (!p)
		return 0;
	mnt = BPF_CORE_READ(file, f_path.mnt);
	dentry = BPF_CORE_READ(file, f_path.dentry);
	root = BPF_CORE_READ(mnt, mnt_root);
	p->deleted = !BPF_CORE_READ(dentry, d_hash.pprev) && dentry != root;
	p->path_cut = 1;
	for (int i = 0; i < DRIVER_NAMES; i++) {
		struct dentry *parent = BPF_CORE_READ(dentry, d_parent);

		if (dentry == root || dentry == parent) {
			struct mount *mount = (void *)mnt - __builtin_preserve_field_info(((struct mount *)0)->mnt, BPF_FIELD_BYTE_OFFSET);
			struct mount *above = BPF_CORE_READ(mount, mnt_parent);

			if (above == mount || !above || dentry != root) {
				p->path_cut = 0;
				break;
			}
			dentry = BPF_CORE_READ(mount, mnt_mountpoint);
			mnt = (void *)above + __builtin_preserve_field_info(((struct mount *)0)->mnt, BPF_FIELD_BYTE_OFFSET);
			root = BPF_CORE_READ(mnt, mnt_root);
			continue;
		}
		size = add_name(p->path, size, BPF_CORE_READ(dentry, d_name.name));
		if (!size)
			break;
		p->path_size = size;
		dentry = parent;
	}
	return 0;
}

/* The cgroup of the unified hierarchy. */
static __noinline int describe_group(struct driver_process *p, struct task_struct *task)
{
	struct kernfs_node *node;
	__u32 size = 0;

	if (!p || !task)
		return 0;
	node = BPF_CORE_READ(task, cgroups, dfl_cgrp, kn);
	for (int i = 0; i < CGROUP_DEPTH && node; i++) {
		struct kernfs_node *parent = parent_of(node);

		if (!parent) /* the root has no name */
			break;
		size = add_name(p->group, size, BPF_CORE_READ(node, name));
		if (!size)
			break;
		p->group_size = size;
		node = parent;
	}
	return 0;
}

static __noinline int describe_parents(struct driver_process *p, struct task_struct *task)
{
	if (!p || !task)
		return 0;
	for (int i = 0; i < DRIVER_PARENTS; i++) {
		task = BPF_CORE_READ(task, real_parent, group_leader);
		p->parents[i].pid = BPF_CORE_READ(task, tgid);
		if (!p->parents[i].pid)
			break;
		BPF_CORE_READ_STR_INTO(&p->parents[i].comm, task, comm);
	}
	return 0;
}

/* The task is the current one, or its child that has not run yet. */
static __noinline int describe_process(struct driver_process *p, struct task_struct *task)
{
	struct task_struct *leader;
	struct file *file;
	unsigned long start, size;

	if (!p || !task)
		return 0;
	p->exe = (struct driver_file){};
	p->path_size = p->group_size = p->arguments_size = 0;
	p->path_cut = p->deleted = 0;
	p->compat = !!RUNS_COMPAT(task);
	leader = BPF_CORE_READ(task, group_leader);
	file = BPF_CORE_READ(task, mm, exe_file);
	p->started = BPF_CORE_READ(leader, start_boottime);
	p->uid = BPF_CORE_READ(task, cred, uid.val);
	BPF_CORE_READ_STR_INTO(&p->comm, leader, comm);
	if (file && file_identity(file, &p->exe))
		describe_path(p, file);
	describe_group(p, task);
	describe_parents(p, leader);
	start = BPF_CORE_READ(task, mm, arg_start);
	p->arguments_at = start;
	size = BPF_CORE_READ(task, mm, arg_end) - start;
	if (size > DRIVER_ARGUMENTS - 1)
		size = DRIVER_ARGUMENTS - 1;
	barrier_var(size);
	size &= DRIVER_ARGUMENTS - 1;
	if (size && !bpf_probe_read_user(p->arguments, size, (void *)start))
		p->arguments_size = size;
	barrier();
	p->pid = task->tgid;
	return 0;
}

#endif
