/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A process's mappings without their lock: bpf_find_vma() only tries to take it, and while threads map memory all the time
 * that nearly never succeeds. Since 6.4 the kernel itself looks mappings up under RCU alone (for page faults); so can we, in the
 * same tree. What was read is used if the mapping is still in the tree afterwards, unchanged.
 */
#ifndef IMSAFE_SENSOR_VMA_BPF_H
#define IMSAFE_SENSOR_VMA_BPF_H

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct maple_range_64 {
	void *parent;
	unsigned long pivot[15]; /* the last address of each slot, ascending; 0: the rest is one slot's */
	void *slot[16];
};

struct maple_arange_64 {
	void *parent;
	unsigned long pivot[9];
	void *slot[10];
};

#pragma clang attribute pop

enum { MAPLE_LEAF = 1, MAPLE_RANGE, MAPLE_ARANGE }; /* in a pointer to a node */
#define MAPLE_TYPE(entry) ((entry) >> 3 & 15)
#define MAPLE_NODE(entry) ((entry) & ~255UL)
#define MAPLE_DEPTH 6

#define OFFSET_OF(type, field) __builtin_preserve_field_info(((struct type *)0)->field, BPF_FIELD_BYTE_OFFSET)

static __always_inline bool tree_can_be_read(void)
{
	struct vm_area_struct *vma = NULL;

	return bpf_core_field_exists(vma->vm_lock_seq);
}

/*
 * The entry for an address, 0 if there is none or it cannot be said. Not static: so it is verified once and by itself, not at
 * each place that it is called from, which would cost the verifier half of what it is willing to do.
 */
__u64 tree_entry(__u64 root, __u64 address);
__noinline __u64 tree_entry(__u64 root, __u64 address)
{
	unsigned long entry = root, next, pivot, parent;

	if (!tree_can_be_read() || (entry & 3) != 2) /* the former here, too, for what verifies this function by itself */
		return 0;
	for (int depth = 0; depth < MAPLE_DEPTH; depth++) {
		unsigned long node = MAPLE_NODE(entry), type = MAPLE_TYPE(entry), pivots, slots;
		__u32 at = 0, last = type == MAPLE_ARANGE ? 9 : 15;

		if (type < MAPLE_LEAF || type > MAPLE_ARANGE)
			return 0;
		pivots = node + (type == MAPLE_ARANGE ? OFFSET_OF(maple_arange_64, pivot) : OFFSET_OF(maple_range_64, pivot));
		slots = node + (type == MAPLE_ARANGE ? OFFSET_OF(maple_arange_64, slot) : OFFSET_OF(maple_range_64, slot));
		for (int i = 0; i < 15 && at < last; i++, at++) {
			pivot = 0;
			bpf_probe_read_kernel(&pivot, sizeof(pivot), (void *)(pivots + at * sizeof(pivot)));
			if ((at && !pivot) || pivot >= address)
				break;
		}
		next = parent = 0;
		bpf_probe_read_kernel(&next, sizeof(next), (void *)(slots + at * sizeof(next)));
		bpf_probe_read_kernel(&parent, sizeof(parent), (void *)node);
		if (MAPLE_NODE(parent) == node || !next) /* the node was replaced meanwhile; or there is nothing */
			return 0;
		if (type == MAPLE_LEAF)
			return next & 3 ? 0 : next;
		entry = next;
	}
	return 0;
}

static __always_inline void see_mapping(struct seen *seen, struct vm_area_struct *vma)
{
	seen->start = BPF_CORE_READ(vma, vm_start);
	seen->end = BPF_CORE_READ(vma, vm_end);
	seen->flags = BPF_CORE_READ(vma, vm_flags);
	seen->offset = BPF_CORE_READ(vma, vm_pgoff);
	seen->file = BPF_CORE_READ(vma, vm_file);
}

/* What find_vma's callback would be given, where it could not be called. */
static __noinline int find_without_lock(struct found *found, __u64 address)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct mm_struct *mm = BPF_CORE_READ(task, mm);
	struct vm_area_struct *vma;
	struct file *file;
	struct seen seen = {}, again = {};

	if (!found || !tree_can_be_read())
		return 0;
	vma = (void *)tree_entry((__u64)BPF_CORE_READ(mm, mm_mt.ma_root), address);
	if (!vma)
		return 0;
	see_mapping(&seen, vma);
	file = seen.file;
	if (file) {
		file_identity(file, &found->file);
		seen.memory = is_memory(BPF_CORE_READ(file, f_inode, i_sb, s_flags), BPF_CORE_READ(file, f_inode, i_mode));
	}
	see_mapping(&again, vma);
	if (BPF_CORE_READ(vma, vm_mm) != mm || address - seen.start >= seen.end - seen.start || seen.start != again.start ||
	    seen.end != again.end || seen.flags != again.flags || seen.file != again.file || seen.offset != again.offset ||
	    tree_entry((__u64)BPF_CORE_READ(mm, mm_mt.ma_root), address) != (__u64)vma)
		return 0;
	classify_as(found, &seen, mm);
	return 1;
}

#endif
