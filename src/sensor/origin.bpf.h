/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Where a call comes from. The mapping that the last call came from is remembered per thread, so that nearly all calls
 * cost two compares. What is remembered is dropped when any thread of the application asks for a change that could
 * bring other code to the same addresses; until that thread calls again or ends, nothing new is remembered.
 */
#ifndef IMSAFE_SENSOR_ORIGIN_BPF_H
#define IMSAFE_SENSOR_ORIGIN_BPF_H

#define EBUSY        16
#define VM_WRITE     0x00000002UL
#define VM_EXEC      0x00000004UL
#define PROT_EXEC    4
#define SB_KERNMOUNT (1UL << 22)
#define S_IFMT       0170000
#define S_IFCHR      0020000
#define READ_IMPLIES_EXEC 0x0400000
#define X32_BIT      0x40000000

const volatile __u32 page_shift = 12; /* aarch64 has larger pages, too; set before loading */

/* What find_vma's callback says; class ORIGIN_KINDS: it was not called. */
struct found {
	__u64 start, size, delta;
	struct driver_file file;
	__u32 class;
};

static __always_inline bool file_identity(struct file *file, struct driver_file *ret_file)
{
	struct inode *inode = BPF_CORE_READ(file, f_inode);

	if (!inode)
		return false;
	ret_file->inode = BPF_CORE_READ(inode, i_ino);
	ret_file->device = BPF_CORE_READ(inode, i_sb, s_dev);
	ret_file->generation = BPF_CORE_READ(inode, i_generation);
	return true;
}

/* A mapping as it is at one moment. */
struct seen {
	__u64 start, end, flags, offset;
	struct file *file;
	bool memory; /* its file is nothing but memory */
};

/* Files that never had a name: memfd_create, System V segments, shared or huge anonymous memory. Devices: /dev/zero. */
static __always_inline bool is_memory(unsigned long super_flags, unsigned short mode)
{
	return super_flags & SB_KERNMOUNT || (mode & S_IFMT) == S_IFCHR;
}

static __always_inline void classify_as(struct found *found, const struct seen *seen, struct mm_struct *mm)
{
	unsigned long stack;

	found->start = seen->start;
	found->size = seen->end - seen->start;
	if (seen->file) {
		found->delta = (seen->offset << page_shift) - seen->start;
		if (seen->memory)
			found->class = ORIGIN_ANON;
		else
			found->class = seen->flags & VM_WRITE || !(seen->flags & VM_EXEC) ? ORIGIN_WRITABLE : ORIGIN_FILE;
		return;
	}
	stack = BPF_CORE_READ(mm, start_stack);
	if (seen->start == (unsigned long)BPF_CORE_READ(mm, context.vdso)) {
		found->class = ORIGIN_VDSO;
	} else if (seen->start <= stack && stack <= seen->end) {
		found->class = ORIGIN_STACK;
	} else if (seen->start < BPF_CORE_READ(mm, brk) && seen->end > BPF_CORE_READ(mm, start_brk)) {
		found->class = ORIGIN_HEAP;
	} else {
		found->class = ORIGIN_ANON;
	}
}

static long classify(struct task_struct *task, struct vm_area_struct *vma, struct found *found)
{
	struct seen seen = { .start = vma->vm_start, .end = vma->vm_end, .flags = vma->vm_flags, .offset = vma->vm_pgoff };
	struct file *file = vma->vm_file;

	if (file) {
		struct super_block *super = file->f_inode->i_sb;

		found->file.inode = file->f_inode->i_ino;
		found->file.generation = file->f_inode->i_generation;
		found->file.device = super->s_dev;
		seen.memory = is_memory(super->s_flags, file->f_inode->i_mode);
		seen.file = file;
	}
	classify_as(found, &seen, vma->vm_mm);
	return 0;
}

#include "sensor/vma.bpf.h"

/* Could this call bring other code to an address? By moving memory, or by making it executable. */
enum change { CHANGE_NONE, CHANGE_SURE, CHANGE_IF_EXEC };

/* mmap, mprotect and pkey_mprotect have the protection as their third argument; old mmap has its arguments in memory. */
static const __u8 changes_native[ALPHABET] = {
#if defined(__TARGET_ARCH_x86)
	[9] = CHANGE_IF_EXEC, [10] = CHANGE_IF_EXEC, [329] = CHANGE_IF_EXEC, /* mmap, mprotect, pkey_mprotect */
	[25] = CHANGE_SURE, [30] = CHANGE_SURE, [216] = CHANGE_SURE,         /* mremap, shmat, remap_file_pages */
#else
	[222] = CHANGE_IF_EXEC, [226] = CHANGE_IF_EXEC, [288] = CHANGE_IF_EXEC,
	[216] = CHANGE_SURE, [196] = CHANGE_SURE, [234] = CHANGE_SURE,
#endif
};

static const __u8 changes_compat[ALPHABET] = {
	[125] = CHANGE_IF_EXEC, [192] = CHANGE_IF_EXEC,               /* mprotect, mmap2 */
	[90] = CHANGE_SURE, [117] = CHANGE_SURE, [163] = CHANGE_SURE, /* mmap, ipc, mremap */
#if defined(__TARGET_ARCH_x86)
	[380] = CHANGE_IF_EXEC, [257] = CHANGE_SURE, [397] = CHANGE_SURE, /* pkey_mprotect, remap_file_pages, shmat */
#else
	[394] = CHANGE_IF_EXEC, [253] = CHANGE_SURE, [305] = CHANGE_SURE,
#endif
};

/* The number and the door of a call: by which table "id" is to be read. */
static __always_inline __u16 call_number(struct task_struct *task, struct pt_regs *regs, long id, __u8 *abi)
{
	__u32 call = id;

	*abi = ABI_NATIVE;
	if (IS_COMPAT(task, regs)) {
		*abi = ABI_COMPAT;
#if defined(__TARGET_ARCH_x86)
	} else if (call & X32_BIT && (__s32)call > 0) {
		*abi = ABI_X32;
		call &= ~X32_BIT;
#endif
	}
	return call < CALL_INVALID ? call : CALL_INVALID;
}

/* The includer gives files their module; 0 if it does not care. */
static __u64 module_of(struct task_struct *task, const struct found *found);

/* A thread's change is over: it calls again, or has ended. */
static __always_inline void origin_changed(struct origin_cache *m, struct memory_changes *changes)
{
	if (!m->changing)
		return;
	m->changing = 0;
	add_ordered(&changes->n, 1);
	add_ordered(&changes->under_way, -1);
}

#define UNSETTLED 0x80000000 /* in origin_cache.changes */

/*
 * Not inlined into the fast path. The kernel's helper may be unable to look (EBUSY); if we can't either, nothing is known
 * and nothing kept. While a sibling is changing memory, what is found holds for this call alone.
 */
static __noinline int origin_find(struct origin_cache *m, __u64 address, struct memory_changes *changes)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct found found = { .class = ORIGIN_KINDS };
	__u32 before;
	long r;

	if (!m || !changes)
		return 0;
	origin_changed(m, changes);
	before = changes->n;
	barrier();
	m->size = 0;
	m->class = ORIGIN_UNKNOWN;
	r = bpf_find_vma(task, address, classify, &found, 0);
	if (r == -EBUSY)
		r = !find_without_lock(&found, address);
	if (r || found.class == ORIGIN_KINDS)
		return 0;
	barrier();
	m->unsettled = changes->under_way != 0;
	m->class = found.class;
	m->start = found.start;
	m->size = found.size;
	m->delta = found.delta;
	m->has_file = found.file.inode != 0;
	m->module = m->has_file ? module_of(task, &found) : 0;
	m->changes = m->unsettled ? before ^ UNSETTLED : before;
	return 0;
}

/* The class of the memory that the current call comes from; m remembers it, and where in which file it is. */
static __always_inline __u8 origin_class(struct origin_cache *m, struct memory_changes *changes, struct pt_regs *regs,
					 __u64 address)
{
	if (unlikely(address - m->start >= m->size || m->changes != changes->n))
		origin_find(m, address, changes);
	/* Stacks of threads are anonymous memory like any other, but for the stack pointer. */
	if (unlikely(m->class == ORIGIN_ANON) && !m->has_file && REGS_SP(regs) - m->start < m->size)
		return ORIGIN_STACK;
	return m->class;
}

static __noinline int origin_change(struct origin_cache *m, struct memory_changes *changes, bool exec)
{
	if (!m || !changes || !exec)
		return 0;
	m->changing = 1;
	m->size = 0; /* so that the next call has to look */
	add_ordered(&changes->under_way, 1);
	add_ordered(&changes->n, 1);
	return 0;
}

/* To be called after origin_class(), for the call under way. Numbers beyond the alphabet may say a change too many, never too few. */
static __always_inline void origin_note(struct origin_cache *m, struct memory_changes *changes, struct task_struct *task,
					struct pt_regs *regs, __u32 call, __u8 abi)
{
	__u8 change = abi == ABI_COMPAT ? changes_compat[call & SYMBOL_OTHER] : changes_native[call & SYMBOL_OTHER];

	if (unlikely(change))
		origin_change(m, changes, change == CHANGE_SURE || REGS_THIRD(regs) & PROT_EXEC ||
					  task->personality & READ_IMPLIES_EXEC);
}

#endif
