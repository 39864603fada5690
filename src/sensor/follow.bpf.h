/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Which threads belong to an application: found when they are made, when they execute a program and when they move to
 * another cgroup; those that were there before are found by an iterator. All other tasks of the machine have no storage.
 *
 * The includer defines thread_t (a struct that begins with "struct followed followed") before including this, and these hooks, which
 * are called in the context of the thread itself, but thread_forked() in its parent's, before it runs:
 */
static void thread_forked(thread_t *t, struct task_struct *child);
static void thread_exec(thread_t *t, struct task_struct *task);
static void thread_ended(thread_t *t, struct task_struct *task);
static __always_inline int thread_calls(thread_t *t, struct task_struct *task, struct pt_regs *regs, long id);

struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, thread_t);
} threads SEC(".maps");

#define TARGETS(name, key_type)                          \
	struct {                                         \
		__uint(type, BPF_MAP_TYPE_HASH);         \
		__uint(max_entries, DRIVER_TARGETS_MAX); \
		__type(key, key_type);                   \
		__type(value, __u32);                    \
	} name SEC(".maps")

TARGETS(target_files, struct driver_file);  /* to application */
TARGETS(target_groups, __u64);              /* cgroup id to application */
TARGETS(target_names, struct driver_name);

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__type(key, __u32); /* thread id */
	__type(value, struct driver_orphan);
} orphans SEC(".maps");

/* enum FOLLOW_..., by application. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, DRIVER_APPLICATIONS + 1);
	__type(key, __u32);
	__type(value, __u32);
} follow SEC(".maps");

struct driver_shared shared;

#define CGROUP_DEPTH 16

static __always_inline thread_t *thread_of(struct task_struct *task)
{
	return task->bpf_storage ? bpf_task_storage_get(&threads, task, NULL, 0) : NULL;
}

/*
 * How the current thread stands, from one look: it may be being seized from another CPU, whose writes can become visible
 * in any order, and is either not followed yet or followed with what it has to announce.
 */
static __always_inline struct followed standing_of(const thread_t *t)
{
	struct followed standing = {};

	standing.standing = *(volatile const __u64 *)&t->followed.standing;
	return standing;
}

/* To be called before that: then everything is visible that was written before the thread became a followed one. */
static __always_inline void followed_now(thread_t *t)
{
	__u32 pending = __sync_fetch_and_or(&t->followed.pending, 0);

	barrier_var(pending);
}

static __always_inline struct kernfs_node *parent_of(struct kernfs_node *node)
{
	struct kernfs_node___before *before = (void *)node;

	return bpf_core_field_exists(node->__parent) ? BPF_CORE_READ(node, __parent) : BPF_CORE_READ(before, parent);
}

static __always_inline __u32 match_file(struct task_struct *task)
{
	struct driver_file file = {};
	__u32 *application;

	if (!shared.have_files || !file_identity(BPF_CORE_READ(task, mm, exe_file), &file))
		return 0;
	application = bpf_map_lookup_elem(&target_files, &file);
	return application ? *application : 0;
}

/* Length: with the NUL. */
static __always_inline bool is_slice(const char *name, long length)
{
	static const char suffix[8] = ".slice";
	__u64 end = 0;

	return length >= 7 && !bpf_probe_read_kernel(&end, 7, name + length - 7) && end == *(const __u64 *)suffix;
}

/*
 * Of the unified hierarchy: the nearest cgroup above the task that is a target. A unit's lies below nothing but slices, as
 * in systemd: further below, a service or a user's own manager can give any name, that of another unit, too.
 */
static __noinline __u32 match_group(struct task_struct *task)
{
	struct kernfs_node *node;
	__u32 unit = 0, group = 0;

	if (!shared.have_groups || !task)
		return 0;
	node = BPF_CORE_READ(task, cgroups, dfl_cgrp, kn);
	for (int i = 0; i < CGROUP_DEPTH && node; i++) {
		struct driver_name name = {};
		__u64 id = BPF_CORE_READ(node, id);
		const char *from = BPF_CORE_READ(node, name);
		long length = bpf_probe_read_kernel_str(name.name, sizeof(name.name), from);
		__u32 *application = bpf_map_lookup_elem(&target_groups, &id);

		if (application && !group)
			group = *application;
		if (id == shared.root_group)
			return unit ?: group;
		if (!is_slice(from, length))
			unit = 0;
		if (!unit && group)
			return group;
		application = bpf_map_lookup_elem(&target_names, &name);
		if (application && !unit)
			unit = *application;
		node = parent_of(node);
	}
	return group;
}

static __always_inline __u32 match(struct task_struct *task, __u32 *by_group)
{
	__u32 application = match_file(task);

	*by_group = !application;
	return application ?: match_group(task);
}

static __always_inline __u32 follow_flags(__u32 application)
{
	__u32 *flags = bpf_map_lookup_elem(&follow, &application);

	return flags ? *flags : 0;
}

/*
 * Makes a thread's record. It is not in use before "application" is set, which is the caller's, last. The kernel refuses
 * while it is in the middle of making another one on this CPU (an iterator can be preempted there); user space tries
 * again then.
 */
static __always_inline thread_t *thread_new(struct task_struct *task, __u32 application, __u32 by_group)
{
	struct driver_orphan orphan = { .application = application, .by_group = by_group };
	__u32 tid = task->pid;
	thread_t *t;

	if (shared.threads >= DRIVER_THREADS_MAX) {
		__sync_fetch_and_add(&shared.refused, 1);
		return NULL;
	}
	t = bpf_task_storage_get(&threads, task, NULL, BPF_LOCAL_STORAGE_GET_F_CREATE);
	if (!t) {
		orphan.start_time = task->start_time;
		bpf_map_update_elem(&orphans, &tid, &orphan, BPF_ANY);
		add_ordered(&shared.orphaned, 1);
		return NULL;
	}
	t->followed.pid = task->tgid;
	t->followed.by_group = by_group;
	__sync_fetch_and_add(&shared.threads, 1);
	__sync_fetch_and_add(&shared.started, 1);
	return t;
}

/* True for the one who is to account for the end. */
static __always_inline bool thread_claim_end(thread_t *t)
{
	return !__sync_lock_test_and_set(&t->followed.ended, 1);
}

static __always_inline void thread_end(thread_t *t, struct task_struct *task)
{
	if (thread_claim_end(t)) {
		if (t->followed.application)
			thread_ended(t, task);
		t->followed.application = 0;
		add_ordered(&shared.threads, -1);
	}
	bpf_task_storage_delete(&threads, task);
}

/* One of the kernel's own helpers in a process (io_uring's, for one), which makes no calls. */
static __always_inline bool is_helper(const struct task_struct *task)
{
	return task->flags & (PF_IO_WORKER | PF_USER_WORKER | PF_KTHREAD);
}

/*
 * Follows a thread that is already running, from another's context: it announces itself at its next call, or
 * user space does at once. False if it is not followed (any more).
 */
static __always_inline bool thread_seize(struct task_struct *task, __u32 application, __u32 by_group, __u32 pending)
{
	thread_t *t;

	if (task->flags & PF_EXITING || is_helper(task) || thread_of(task))
		return false;
	t = thread_new(task, application, by_group);
	if (!t)
		return false;
	t->followed.pending = pending;
	__sync_lock_test_and_set(&t->followed.application, application); /* after all else, for whoever looks on another CPU */
	/* It may have passed its exit since: then only one of the two accounts for it. */
	if (task->flags & PF_EXITING && thread_claim_end(t)) {
		__sync_fetch_and_add(&shared.threads, -1);
		bpf_task_storage_delete(&threads, task);
		return false;
	}
	return true;
}

/* The current thread no longer belongs to its application, but may to another one. */
static __always_inline void thread_leave(thread_t *t, struct task_struct *task)
{
	__u32 application, by_group;

	thread_end(t, task);
	application = match(task, &by_group);
	if (application)
		thread_seize(task, application, by_group, PENDING_ATTACH);
}

/*
 * Since Linux 7.0 a task can be preempted inside of these programs, and until it goes on the kernel does not run the same
 * program for any other task on that CPU. There the programs named ..._atomic are attached in place of their namesakes
 * (driver.c): to tracepoints that are passed with preemption off, or to events of tracefs, which still turn it off.
 */
static __always_inline int forked(struct task_struct *parent, struct task_struct *child)
{
	thread_t *t = thread_of(parent), *new;
	__u32 application = 0, by_group = 0;

	if (t && (!t->followed.application || t->followed.pending & (PENDING_LEAVE | PENDING_COMMAND)))
		t = NULL;
	if (t)
		by_group = t->followed.by_group;
	/* A process can be made in another cgroup than its parent's. */
	if (t && (child->tgid == parent->tgid || (!by_group && follow_flags(t->followed.application) & FOLLOW_FORK)))
		application = t->followed.application;
	else if (child->tgid != parent->tgid)
		application = match(child, &by_group);
	if (!application || thread_of(child)) /* the iterator may have been faster */
		return 0;
	new = thread_new(child, application, by_group);
	if (!new)
		return 0;
	new->followed.parent = parent->pid;
	new->followed.pending = PENDING_FORK;
	__sync_lock_test_and_set(&new->followed.application, application); /* as in thread_seize() */
	thread_forked(new, child);
	return 0;
}

SEC("tp_btf/sched_process_fork")
int BPF_PROG(on_fork, struct task_struct *parent, struct task_struct *child)
{
	return forked(parent, child);
}

SEC("tp_btf/sched_wakeup_new")
int BPF_PROG(on_fork_atomic, struct task_struct *child)
{
	return is_helper(child) ? 0 : forked(bpf_get_current_task_btf(), child);
}

static __always_inline int executed(struct task_struct *task, int old_tid)
{
	thread_t *t = thread_of(task);
	__u32 application, by_group;

	if (t && (!t->followed.application || t->followed.pending & PENDING_LEAVE)) {
		thread_end(t, task);
		t = NULL;
	}
	if (!t) {
		application = match(task, &by_group);
		if (!application)
			return 0;
		t = thread_new(task, application, by_group);
		if (!t)
			return 0;
		t->followed.application = application;
	} else if (!(t->followed.pending & PENDING_COMMAND)) {
		application = match_file(task);
		if (application && application != t->followed.application) {
			thread_end(t, task);
			t = thread_new(task, application, 0);
			if (!t)
				return 0;
			t->followed.application = application;
		} else if (!application && !(follow_flags(t->followed.application) & FOLLOW_EXEC)) {
			thread_end(t, task);
			return 0;
		} else if (application) {
			t->followed.by_group = 0;
		}
	}
	t->followed.parent = old_tid != task->pid ? old_tid : 0;
	__sync_fetch_and_and(&t->followed.pending, PENDING_LOST | PENDING_LEAVE); /* the latter may come at any time */
	__sync_fetch_and_or(&t->followed.pending, PENDING_EXEC);
	thread_exec(t, task);
	return 0;
}

SEC("tp_btf/sched_process_exec")
int BPF_PROG(on_exec, struct task_struct *task, int old_tid, struct linux_binprm *program)
{
	return executed(task, old_tid);
}

SEC("tp/sched/sched_process_exec")
int on_exec_atomic(struct trace_event_raw_sched_process_exec *event)
{
	return executed(bpf_get_current_task_btf(), event->old_pid);
}

static __always_inline int exited(struct task_struct *task)
{
	thread_t *t = thread_of(task);

	if (t)
		thread_end(t, task);
	return 0;
}

SEC("tp_btf/sched_process_exit")
int BPF_PROG(on_exit, struct task_struct *task)
{
	return exited(task);
}

SEC("tp/sched/sched_process_exit")
int on_exit_atomic(void *event)
{
	return exited(bpf_get_current_task_btf());
}

SEC("tp_btf/sys_enter")
int BPF_PROG(on_call, struct pt_regs *regs, long id)
{
	struct task_struct *task = bpf_get_current_task_btf();
	thread_t *t = thread_of(task);

	return t ? thread_calls(t, task, regs, id) : 0;
}

SEC("tp/raw_syscalls/sys_enter")
int on_call_atomic(struct trace_event_raw_sys_enter *event)
{
	struct task_struct *task = bpf_get_current_task_btf();
	thread_t *t = thread_of(task);

	return t ? thread_calls(t, task, (struct pt_regs *)bpf_task_pt_regs(task), event->id) : 0;
}

/* Only the leader is given; user space looks after the other threads, if there are any. */
SEC("tp_btf/cgroup_attach_task")
int BPF_PROG(on_regroup, struct cgroup *group, const char *path, struct task_struct *task, bool all_threads)
{
	thread_t *t;
	__u32 application;

	if (!shared.have_groups)
		return 0;
	t = thread_of(task);
	application = match_group(task);
	if (t && t->followed.by_group && application != t->followed.application)
		__sync_fetch_and_or(&t->followed.pending, PENDING_LEAVE);
	else if (!t && application)
		thread_seize(task, application, 1, PENDING_ATTACH);
	if (all_threads)
		add_ordered(&shared.regroup, 1);
	return 0;
}

static __always_inline bool identify(struct task_struct *task)
{
	struct file **table = BPF_CORE_READ(task, files, fdt, fd), *file = NULL;

	bpf_probe_read_kernel(&file, sizeof(file), table + shared.seed_fd);
	return file && file_identity(file, &shared.seed_file);
}

static __always_inline __u32 orphan_of(struct task_struct *task, __u32 *by_group)
{
	__u32 tid = task->pid, application = 0;
	struct driver_orphan *orphan = bpf_map_lookup_elem(&orphans, &tid);

	if (!orphan)
		return 0;
	if (orphan->start_time == task->start_time)
		application = orphan->application;
	*by_group = orphan->by_group;
	bpf_map_delete_elem(&orphans, &tid);
	return application;
}

SEC("iter/task")
int seed(struct bpf_iter__task *ctx)
{
	struct task_struct *task = ctx->task;
	struct seeded seeded;
	thread_t *t;
	__u32 application = shared.seed_application, by_group = 0;
	bool found = false;

	if (!task || !task->mm)
		return 0;
	switch (shared.seed_what) {
	case SEED_IDENTIFY:
		found = (__u32)task->tgid == shared.seed_pid && (__u32)task->pid == shared.seed_pid && identify(task);
		break;
	case SEED_PROCESS:
	case SEED_COMMAND:
		found = (__u32)task->tgid == shared.seed_pid &&
			thread_seize(task, application, 0, shared.seed_what == SEED_COMMAND ? PENDING_COMMAND : shared.seed_pending);
		break;
	case SEED_MATCHING:
		application = match(task, &by_group);
		found = application && thread_seize(task, application, by_group, shared.seed_pending);
		t = found ? NULL : thread_of(task);
		if (t && t->followed.application && t->followed.by_group && t->followed.application != application)
			__sync_fetch_and_or(&t->followed.pending, PENDING_LEAVE);
		break;
	case SEED_ORPHANS:
		application = orphan_of(task, &by_group);
		found = application && thread_seize(task, application, by_group, shared.seed_pending);
		break;
	case SEED_RELEASE:
		t = thread_of(task);
		found = t && t->followed.application == application;
		if (found)
			__sync_fetch_and_or(&t->followed.pending, PENDING_LEAVE);
		break;
	case SEED_LIVING:
		t = thread_of(task);
		found = t && t->followed.application && !(task->flags & PF_EXITING);
		break;
	}
	if (found) {
		seeded.tid = task->pid;
		seeded.pid = task->tgid;
		bpf_seq_write(ctx->meta->seq, &seeded, sizeof(seeded));
	}
	return 0;
}
