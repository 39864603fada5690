/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What BPF code sees of the kernel: only the fields that the driver uses, relocated when it is loaded (CO-RE), so that
 * neither the build machine's kernel nor its headers matter. Stands in the place of a generated vmlinux.h.
 */
#ifndef IMSAFE_SENSOR_KERNEL_BPF_H
#define IMSAFE_SENSOR_KERNEL_BPF_H
#define __VMLINUX_H__

typedef unsigned char __u8;
typedef unsigned short __u16;
typedef unsigned int __u32;
typedef unsigned long long __u64;
typedef signed char __s8;
typedef short __s16;
typedef int __s32;
typedef long long __s64;
typedef __u16 __be16;
typedef __u32 __be32;
typedef __u32 __wsum;
typedef _Bool bool;
enum { false, true };
#define NULL ((void *)0)

enum bpf_map_type {
	BPF_MAP_TYPE_HASH = 1,
	BPF_MAP_TYPE_ARRAY = 2,
	BPF_MAP_TYPE_PERCPU_ARRAY = 6,
	BPF_MAP_TYPE_ARRAY_OF_MAPS = 12,
	BPF_MAP_TYPE_RINGBUF = 27,
	BPF_MAP_TYPE_TASK_STORAGE = 29,
};
enum { BPF_ANY, BPF_NOEXIST, BPF_EXIST };
enum { BPF_F_NO_PREALLOC = 1, BPF_F_MMAPABLE = 1 << 10, BPF_F_INNER_MAP = 1 << 12 };
enum { BPF_LOCAL_STORAGE_GET_F_CREATE = 1 };
enum { BPF_RB_NO_WAKEUP = 1, BPF_RB_FORCE_WAKEUP = 2 };
enum { BPF_RB_AVAIL_DATA, BPF_RB_RING_SIZE, BPF_RB_CONS_POS, BPF_RB_PROD_POS };

#define unlikely(x) __builtin_expect(!!(x), 0)
#define PF_EXITING     0x00000004
#define PF_IO_WORKER   0x00000010
#define PF_USER_WORKER 0x00004000
#define PF_KTHREAD     0x00200000

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

#if defined(__TARGET_ARCH_x86)
struct pt_regs {
	unsigned long ip, sp, dx;
};
#elif defined(__TARGET_ARCH_arm64)
struct pt_regs {
	__u64 regs[31];
	__u64 sp, pc, pstate;
};
#endif

struct thread_info {
	__u32 status; /* x86 */
};

struct kernfs_node {
	struct kernfs_node *__parent; /* since 6.15 */
	const char *name;
	__u64 id;
};

struct kernfs_node___before {
	struct kernfs_node *parent;
};

struct cgroup {
	struct kernfs_node *kn;
};

struct css_set {
	struct cgroup *dfl_cgrp;
};

struct super_block {
	__u32 s_dev;
	unsigned long s_flags;
};

struct inode {
	unsigned short i_mode;
	struct super_block *i_sb;
	unsigned long i_ino;
	__u32 i_generation;
};

struct qstr {
	const unsigned char *name;
};

struct hlist_bl_node {
	struct hlist_bl_node **pprev;
};

struct dentry {
	struct hlist_bl_node d_hash;
	struct dentry *d_parent;
	struct qstr d_name;
};

struct vfsmount {
	struct dentry *mnt_root;
};

struct mount {
	struct mount *mnt_parent;
	struct dentry *mnt_mountpoint;
	struct vfsmount mnt;
};

struct path {
	struct vfsmount *mnt;
	struct dentry *dentry;
};

struct file {
	struct inode *f_inode;
	struct path f_path;
};

struct fdtable {
	unsigned int max_fds;
	struct file **fd;
};

struct files_struct {
	struct fdtable *fdt;
};

typedef struct {
	void *vdso;
} mm_context_t;

struct maple_tree {
	void *ma_root;
};

struct mm_struct {
	struct maple_tree mm_mt; /* since 6.1 */
	struct file *exe_file;
	unsigned long start_brk, brk, start_stack;
	unsigned long arg_start, arg_end, task_size;
	mm_context_t context;
};

struct vm_area_struct {
	unsigned long vm_start, vm_end, vm_flags, vm_pgoff;
	struct file *vm_file;
	struct mm_struct *vm_mm;
	unsigned int vm_lock_seq; /* since 6.4 */
};

struct bpf_local_storage;

typedef struct {
	__u32 val;
} kuid_t;

struct cred {
	kuid_t uid;
};

struct task_struct {
	struct thread_info thread_info;
	unsigned int flags;
	unsigned int personality;
	int pid, tgid;
	__u64 start_time, start_boottime;
	struct task_struct *real_parent, *group_leader;
	const struct cred *cred;
	struct mm_struct *mm;
	struct files_struct *files;
	struct css_set *cgroups;
	struct bpf_local_storage *bpf_storage;
	char comm[16];
};

struct linux_binprm;
struct seq_file;

/* What tracepoints hand to programs that are attached by way of tracefs. */
struct trace_event_raw_sys_enter {
	long id;
};

struct trace_event_raw_sched_process_exec {
	int old_pid;
};

struct bpf_iter_meta {
	struct seq_file *seq;
};

struct bpf_iter__task {
	struct bpf_iter_meta *meta;
	struct task_struct *task;
};

#pragma clang attribute pop

#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_tracing.h>

/* Without a use of its result an atomic addition orders nothing on aarch64; this one comes after all that was done before. */
#define add_ordered(to, n)                                            \
	({                                                            \
		__typeof__(*(to)) before = __sync_fetch_and_add(to, n); \
		barrier_var(before);                                  \
	})

/* Where the call's number, instruction and arguments are. */
#if defined(__TARGET_ARCH_x86)
#define CALL_SIZE 2 /* bytes of the calling instruction; the registers point behind it */
#define REGS_IP(regs) ((regs)->ip)
#define REGS_SP(regs) ((regs)->sp)
#define REGS_THIRD(regs) ((regs)->dx)
#define TS_COMPAT 2
#define IS_COMPAT(task, regs) ((task)->thread_info.status & TS_COMPAT)
#define RUNS_COMPAT(task) ((task)->thread_info.status & TS_COMPAT) /* of a task that has executed or forked just now */
#elif defined(__TARGET_ARCH_arm64)
#define CALL_SIZE 4
#define REGS_IP(regs) ((regs)->pc)
#define REGS_SP(regs) ((regs)->sp)
#define REGS_THIRD(regs) ((regs)->regs[2])
#define PSR_MODE32_BIT 0x10 /* the processor's own word: it ran 32-bit code */
#define IS_COMPAT(task, regs) ((regs)->pstate & PSR_MODE32_BIT)
#define RUNS_COMPAT(task) (BPF_CORE_READ(task, mm, task_size) <= 1ULL << 32)
#else
#error "the driver does not know this architecture's registers"
#endif

#endif
