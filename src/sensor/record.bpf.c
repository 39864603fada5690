/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The driver, recording: the calls of an application's threads go to a ring per CPU as events.
 *
 * A ring is in order; a thread that has moved to another CPU first says there up to where its former ring has to be read
 * before. What a full ring refused is counted in the thread and said, at its place, as soon as there is room.
 */
#include "sensor/kernel.bpf.h"
#include "sensor/driver-abi.h"
#include "sensor/origin.bpf.h"

typedef struct {
	struct followed followed;
	struct origin_cache origin;
	__u64 lost;
	__u32 ring; /* that its last record is in, from 1; 0: none */
	__u32 reserved;
} thread_t;

#include "sensor/follow.bpf.h"
#include "sensor/process.bpf.h"

const volatile struct record_config config;

/* Sized before loading. */
struct ring {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, 1);
	__type(key, __u32);
	__array(values, struct ring);
} rings SEC(".maps");

/* Changes of executable memory by any thread. */
struct memory_changes memory;

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, DRIVER_MODULES_MAX);
	__type(key, struct driver_file);
	__type(value, struct driver_module);
} modules SEC(".maps");

/* Threads whose end found no room in a ring, with what they had lost and not said. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16384);
	__type(key, __u32);
	__type(value, __u64);
} unsaid SEC(".maps");

static __u64 module_of(struct task_struct *task, const struct found *found)
{
	struct driver_file file = found->file;
	struct driver_module *module, new;

	if (!config.sites)
		return 0;
	module = bpf_map_lookup_elem(&modules, &file);
	if (!module) {
		new.index = __sync_fetch_and_add(&shared.modules, 1) + 1;
		new.pid = task->tgid;
		new.start = found->start;
		bpf_map_update_elem(&modules, &file, &new, BPF_NOEXIST);
		module = bpf_map_lookup_elem(&modules, &file);
	}
	return module && module->index <= DRIVER_MODULES_MAX ? SITE(module->index, 0) : 0;
}

static __always_inline __u64 now(void)
{
	return config.times ? bpf_ktime_get_ns() : 0;
}

static __noinline int moved(thread_t *t, __u32 to)
{
	__u32 from = t ? t->ring - 1 : 0;
	void *old = bpf_map_lookup_elem(&rings, &from), *new = bpf_map_lookup_elem(&rings, &to);
	struct event event = { .kind = RECORD_MOVED, .call = from };

	if (!old || !new)
		return -1;
	event.lost = bpf_ringbuf_query(old, BPF_RB_PROD_POS);
	return bpf_ringbuf_output(new, &event, sizeof(event), BPF_RB_NO_WAKEUP);
}

static __always_inline bool put(thread_t *t, struct event *event)
{
	__u32 cpu = bpf_get_smp_processor_id();
	void *ring = bpf_map_lookup_elem(&rings, &cpu);

	if (!ring)
		return false;
	if (t->ring != cpu + 1) {
		if (t->ring && moved(t, cpu))
			return false;
		t->ring = cpu + 1;
	}
	return !bpf_ringbuf_output(ring, event, sizeof(*event), BPF_RB_NO_WAKEUP);
}

static __always_inline bool announce(thread_t *t, __u32 tid, __u8 kind)
{
	struct event event = { .time = now(), .kind = kind, .tid = tid, .parent = t->followed.parent, .pid = t->followed.pid };

	return put(t, &event);
}

struct record_process {
	struct event event;
	struct driver_process process;
};

/* Into the ring, where its process has just begun. If there is no room, nobody will know. */
static __noinline int say_process(thread_t *t, struct task_struct *task)
{
	__u32 cpu = bpf_get_smp_processor_id();
	struct record_process *record;
	void *ring;

	if (!t || !task || !config.processes)
		return 0;
	ring = bpf_map_lookup_elem(&rings, &cpu);
	if (!ring)
		return 0;
	if (t->ring != cpu + 1) {
		if (t->ring && moved(t, cpu))
			return 0;
		t->ring = cpu + 1;
	}
	record = bpf_ringbuf_reserve(ring, sizeof(*record), 0);
	if (!record)
		return 0;
	record->event = (struct event){ .kind = RECORD_PROCESS };
	describe_process(&record->process, task);
	bpf_ringbuf_submit(record, BPF_RB_NO_WAKEUP);
	return 0;
}

/* Says what the thread has to say before its next event. False: there was no room for it. */
static __noinline int settle(thread_t *t, __u32 tid)
{
	static const struct {
		__u32 pending;
		__u8 kind;
	} order[] = { { PENDING_FORK, EVENT_FORK }, { PENDING_ATTACH, EVENT_ATTACH }, { PENDING_EXEC, EVENT_EXEC } };

	if (!t)
		return 0;
	followed_now(t);
	for (int i = 0; i < 3; i++) {
		if (!(t->followed.pending & order[i].pending))
			continue;
		if (!announce(t, tid, order[i].kind))
			return 0;
		t->followed.parent = 0;
		__sync_fetch_and_and(&t->followed.pending, ~order[i].pending);
	}
	if (t->followed.pending & PENDING_LOST) {
		struct event gap = { .time = now(), .kind = EVENT_GAP, .tid = tid, .lost = t->lost };

		if (!put(t, &gap))
			return 0;
		t->lost = 0;
		__sync_fetch_and_and(&t->followed.pending, ~PENDING_LOST);
	}
	return 1;
}

/* Whose recording it is: the first program that is met. Its reader sees it once an event of it is in a ring. */
struct driver_process first;
__u32 first_met;

static __always_inline void meet(struct task_struct *task)
{
	if (unlikely(!first_met) && !__sync_lock_test_and_set(&first_met, 1))
		describe_process(&first, task);
}

static void thread_forked(thread_t *t, struct task_struct *child)
{
	meet(child);
	if (child->pid == child->tgid) /* it says who it is at its first call: here the kernel may hold a lock */
		__sync_fetch_and_or(&t->followed.pending, PENDING_PROCESS);
	settle(t, child->pid);
}

static void thread_exec(thread_t *t, struct task_struct *task)
{
	meet(task);
	t->origin.size = 0;
	if (settle(t, task->pid))
		say_process(t, task);
}

static void thread_ended(thread_t *t, struct task_struct *task)
{
	struct event event = { .time = now(), .kind = EVENT_EXIT, .tid = task->pid };
	__u64 *former, lost;

	origin_changed(&t->origin, &memory);
	if (t->followed.pending & PENDING_COMMAND)
		return;
	if (!settle(t, task->pid) || !put(t, &event)) {
		/* A former owner of the id may be there already. */
		former = bpf_map_lookup_elem(&unsaid, &event.tid);
		lost = t->lost + (former ? *former : 0);
		if (bpf_map_update_elem(&unsaid, &event.tid, &lost, BPF_ANY))
			__sync_fetch_and_add(&shared.lost_calls, t->lost);
		__sync_fetch_and_add(&shared.lost_exits, 1);
	}
}

/* At a call, when there is something to say before. */
static __noinline int begin_call(thread_t *t, struct task_struct *task)
{
	__u32 pending;

	if (!t || !task)
		return 0;
	pending = t->followed.pending;
	if (!settle(t, task->pid))
		return 0;
	if (pending & (PENDING_ATTACH | PENDING_PROCESS)) {
		say_process(t, task);
		__sync_fetch_and_and(&t->followed.pending, ~PENDING_PROCESS);
	}
	return 1;
}

static __always_inline int thread_calls(thread_t *t, struct task_struct *task, struct pt_regs *regs, long id)
{
	struct event event = { .kind = EVENT_CALL };
	struct followed standing;
	__u64 address;
	__u8 abi;

	standing = standing_of(t);
	if (!standing.application || standing.pending & PENDING_COMMAND)
		return 0;
	event.tid = task->pid;
	event.time = now();
	event.call = call_number(task, regs, id, &abi);
	if (config.origins) {
		address = REGS_IP(regs) - CALL_SIZE;
		event.origin = EVENT_FROM(origin_class(&t->origin, &memory, regs, address), abi);
		if (config.sites)
			event.site = t->origin.module ? t->origin.module | ((address + t->origin.delta) & SITE_OFFSET_MAX)
						       : SITE(0, address);
		origin_note(&t->origin, &memory, task, regs, event.call, abi);
	} else {
		event.origin = EVENT_FROM(ORIGIN_UNKNOWN, abi);
	}
	if (standing.pending & PENDING_LEAVE) {
		thread_leave(t, task);
		return 0;
	}
	if ((standing.pending && !begin_call(t, task)) || !put(t, &event)) {
		t->lost++;
		__sync_fetch_and_or(&t->followed.pending, PENDING_LOST);
	}
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
