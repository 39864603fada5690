/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Where a call comes from. The mapping that the last call came from is remembered per thread, so that nearly all calls
 * cost two compares. What is remembered is dropped when any thread of the application asks for a change that could
 * bring other code to the same addresses, at that call and again once it is over.
 */
#ifndef IMSAFE_SENSOR_ORIGIN_BPF_H
#define IMSAFE_SENSOR_ORIGIN_BPF_H

#define VM_WRITE     0x00000002UL
#define VM_EXEC      0x00000004UL
#define PAGE_SHIFT   12
#define PROT_EXEC    4
#define SB_KERNMOUNT (1UL << 22)
#define READ_IMPLIES_EXEC 0x0400000
#define X32_BIT      0x40000000

/* What find_vma's callback says; class ORIGIN_KINDS: it was not called. */
struct found {
	__u64 start, size, delta;
	struct driver_file file;
	__u32 class;
};

static long classify(struct task_struct *task, struct vm_area_struct *vma, struct found *found)
{
	struct mm_struct *mm = vma->vm_mm;
	struct file *file = vma->vm_file;
	unsigned long flags = vma->vm_flags, start = vma->vm_start, end = vma->vm_end;

	found->start = start;
	found->size = end - start;
	if (file) {
		struct super_block *super = file->f_inode->i_sb;

		found->delta = ((__u64)vma->vm_pgoff << PAGE_SHIFT) - start;
		found->file.inode = file->f_inode->i_ino;
		found->file.device = super->s_dev;
		/* Files that never had a name: memfd_create, System V segments, shared anonymous memory. */
		if (super->s_flags & SB_KERNMOUNT)
			found->class = ORIGIN_ANON;
		else
			found->class = flags & VM_WRITE || !(flags & VM_EXEC) ? ORIGIN_WRITABLE : ORIGIN_FILE;
	} else if (start == (unsigned long)mm->context.vdso) {
		found->class = ORIGIN_VDSO;
	} else if (start <= mm->start_stack && mm->start_stack <= end) {
		found->class = ORIGIN_STACK;
	} else if (start < mm->brk && end > mm->start_brk) {
		found->class = ORIGIN_HEAP;
	} else {
		found->class = ORIGIN_ANON;
	}
	return 0;
}

/* Could this call bring other code to an address? By moving memory, or by making it executable. */
enum change { CHANGE_NONE, CHANGE_SURE, CHANGE_IF_EXEC };

/* mmap, mprotect and pkey_mprotect have the protection as their third argument; old mmap has its arguments in memory. */
static __always_inline enum change change_of(__u32 call, __u8 abi)
{
	if (abi == ABI_COMPAT) {
		switch (call) {
		case 90: case 117: case 163: case 257: case 397: /* mmap, ipc, mremap, remap_file_pages, shmat */
			return CHANGE_SURE;
		case 125: case 192: case 380: /* mprotect, mmap2, pkey_mprotect */
			return CHANGE_IF_EXEC;
		}
		return CHANGE_NONE;
	}
	switch (call) {
#if defined(__TARGET_ARCH_x86)
	case 25: case 30: case 216: /* mremap, shmat, remap_file_pages */
		return CHANGE_SURE;
	case 9: case 10: case 329: /* mmap, mprotect, pkey_mprotect */
		return CHANGE_IF_EXEC;
#else
	case 216: case 196: case 234:
		return CHANGE_SURE;
	case 222: case 226: case 288:
		return CHANGE_IF_EXEC;
#endif
	}
	return CHANGE_NONE;
}

/* The number and the door of a call: by which table "id" is to be read. */
static __always_inline __u16 call_number(struct task_struct *task, long id, __u8 *abi)
{
	__u32 call = id;

	*abi = ABI_NATIVE;
	if (IS_COMPAT(task)) {
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

/* Not inlined into the fast path. The kernel may be unable to look (EBUSY): then nothing is known and nothing kept. */
static __noinline int origin_find(struct origin_cache *m, __u64 address, __u32 changes)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct found found = { .class = ORIGIN_KINDS };

	if (!m)
		return 0;
	m->size = 0;
	m->class = ORIGIN_UNKNOWN;
	if (bpf_find_vma(task, address, classify, &found, 0) || found.class == ORIGIN_KINDS)
		return 0;
	m->class = found.class;
	m->start = found.start;
	m->size = found.size;
	m->delta = found.delta;
	m->has_file = found.file.inode != 0;
	m->module = m->has_file ? module_of(task, &found) : 0;
	m->changes = changes;
	return 0;
}

/* The class of the memory that the current call comes from; m remembers it, and where in which file it is. */
static __always_inline __u8 origin_class(struct origin_cache *m, __u32 *changes, struct pt_regs *regs, __u64 address)
{
	if (unlikely(m->changing)) {
		m->changing = 0;
		__sync_fetch_and_add(changes, 1);
	}
	if (unlikely(address - m->start >= m->size || m->changes != *changes))
		origin_find(m, address, *changes);
	/* Stacks of threads are anonymous memory like any other, but for the stack pointer. */
	if (unlikely(m->class == ORIGIN_ANON) && !m->has_file && REGS_SP(regs) - m->start < m->size)
		return ORIGIN_STACK;
	return m->class;
}

static __noinline int origin_change(struct origin_cache *m, __u32 *changes, bool exec)
{
	if (!m || !changes || !exec)
		return 0;
	m->changing = 1;
	__sync_fetch_and_add(changes, 1);
	return 0;
}

/* To be called after origin_class(), for the call under way. */
static __always_inline void origin_note(struct origin_cache *m, __u32 *changes, struct task_struct *task,
					struct pt_regs *regs, __u32 call, __u8 abi)
{
	enum change change = change_of(call, abi);

	if (unlikely(change))
		origin_change(m, changes, change == CHANGE_SURE || REGS_THIRD(regs) & PROT_EXEC ||
					  task->personality & READ_IMPLIES_EXEC);
}

#endif
