/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The driver, guarding: every call of an application's threads is scored here, at its entry, by the same score_step() as
 * everywhere. The state and the last calls are kept in the task; only alarms, ends of episodes and samples leave.
 */
#include "sensor/kernel.bpf.h"
#include "sensor/score.bpf.h"
#include "sensor/guard-abi.h"
#include "sensor/origin.bpf.h"

typedef struct guarded thread_t;

#include "sensor/follow.bpf.h"
#include "sensor/process.bpf.h"

struct guarded_application applications[DRIVER_APPLICATIONS + 1]; /* 0 is not used */

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, GUARD_SLOT(DRIVER_APPLICATIONS + 1, 0));
	__type(key, __u32);
	__array(values, struct image_cells);
} images SEC(".maps");

#define ALARMS_SIZE (2 << 20)

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, ALARMS_SIZE);
} alarms SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4 << 20);
} samples SEC(".maps");

/* Files that sites are in, and the sites. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, DRIVER_FILES_MAX);
	__type(key, struct driver_file);
	__type(value, __u32);
} files SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, DRIVER_SITES_MAX);
	__type(key, struct driver_site);
	__type(value, __u8);
} sites SEC(".maps");

struct scoring {
	struct guarded_application *application;
	const struct policy *policy;
	void *image;
};

static __always_inline bool scoring_of(thread_t *t, struct scoring *ret)
{
	__u32 key = t->followed.application & DRIVER_APPLICATIONS, slot;

	ret->application = &applications[key];
	slot = ret->application->slot & 1;
	ret->policy = &ret->application->policy[slot];
	barrier_var(ret->policy); /* computed once */
	key = GUARD_SLOT(key, slot);
	ret->image = bpf_map_lookup_elem(&images, &key);
	return ret->image != NULL;
}

static __u64 module_of(struct task_struct *task, const struct found *found)
{
	struct driver_file file = found->file;
	__u32 *number = bpf_map_lookup_elem(&files, &file);

	return number ? SITE(*number, 0) : 0;
}

static __noinline int site_look_up(thread_t *t, __u64 address, __u32 call, __u32 changes)
{
	struct driver_site site = { .call = call };

	if (!t || !t->origin.module)
		return 0;
	if (t->sites_changes != changes) {
		__builtin_memset(t->sites, 0, sizeof(t->sites));
		t->sites_changes = changes;
	}
	site.application = t->followed.application;
	site.place = t->origin.module | ((address + t->origin.delta) & SITE_OFFSET_MAX);
	return bpf_map_lookup_elem(&sites, &site) != NULL;
}

/* Did training see this call made here? Places found good are remembered by address, as long as memory stays as it is. */
static __always_inline bool site_is_known(thread_t *t, __u64 address, __u16 call)
{
	__u32 changes = t->origin.changes;
	__u64 key = address << 16 | call;
	__u32 slot = (address ^ address >> 7 ^ call) & (SITES_REMEMBERED - 1);

	if (t->sites[slot] == key && t->sites_changes == changes)
		return true;
	if (!site_look_up(t, address, call, changes))
		return false;
	if (!t->origin.unsettled)
		t->sites[slot] = key;
	return true;
}

/*
 * An episode that has begun like a known one may go on otherwise: user space hears of every call in it that training did
 * not see, in its place after the alarm. Nobody can crowd out alarms with them.
 */
static __noinline int tell_unforeseen(thread_t *t, const struct scored_call *call)
{
	struct guard_sample sample = {};

	if (!t || !call)
		return 0;
	sample.application = t->followed.application;
	sample.call = *call;
	sample.call.event.tid = t->tid;
	if (bpf_ringbuf_query(&alarms, BPF_RB_AVAIL_DATA) > ALARMS_SIZE / 2 ||
	    bpf_ringbuf_output(&alarms, &sample, sizeof(sample), 0))
		t->counters.lost_unforeseen++;
	return 0;
}

static __always_inline bool is_unforeseen(const struct scored_call *call, const struct policy *policy)
{
	__u16 flags = call->verdict.flags;

	return !(flags & VERDICT_ALARMS) && (!(flags & VERDICT_SEEN) || flags & VERDICT_FOREIGN ||
					     (policy->reading == READING_SEQUENCES && flags & VERDICT_MISMATCHED));
}

/* Hands out one call, or with sample = 1 another event, to whoever watches. */
static __noinline int hand_out(thread_t *t, const struct scored_call *call)
{
	struct guard_sample sample = {};

	if (!t || !call)
		return 0;
	sample.application = t->followed.application;
	sample.call = *call;
	sample.call.event.tid = t->tid;
	if (bpf_ringbuf_output(&samples, &sample, sizeof(sample), BPF_RB_NO_WAKEUP))
		t->counters.lost_samples++;
	return 0;
}

static __always_inline void hand_out_event(thread_t *t, const struct guarded_application *application, __u8 kind, __u32 tid)
{
	struct scored_call call = {};

	if (application->sample != 1)
		return;
	call.event.kind = kind;
	call.event.tid = tid;
	if (kind != EVENT_EXIT && kind != EVENT_GAP) {
		call.event.parent = t->followed.parent;
		call.event.pid = t->followed.pid;
	}
	hand_out(t, &call);
}

/* A thread begins. */
static __always_inline void begin(thread_t *t, struct scoring *s, __u32 tid)
{
	t->tid = tid;
	t->score.generation = s->policy->generation;
	__sync_fetch_and_add(&s->application->started, 1);
}

static void thread_forked(thread_t *t, struct task_struct *child)
{
	struct scoring s;

	if (scoring_of(t, &s)) {
		begin(t, &s, child->pid);
		score_start(&t->score, s.policy->fork);
		hand_out_event(t, s.application, EVENT_FORK, child->pid);
	}
	__sync_fetch_and_and(&t->followed.pending, ~PENDING_FORK);
}

static void thread_exec(thread_t *t, struct task_struct *task)
{
	struct scoring s;

	t->origin.size = 0;
	t->sites_changes--; /* forget them */
	if (scoring_of(t, &s)) {
		if (!t->tid) {
			begin(t, &s, task->pid);
			if (RUNS_COMPAT(task))
				s.application->compat = task->tgid;
		}
		t->tid = task->pid;
		score_exec(&t->score, s.policy->exec);
		hand_out_event(t, s.application, EVENT_EXEC, task->pid);
	}
	__sync_fetch_and_and(&t->followed.pending, ~(PENDING_EXEC | PENDING_COMMAND));
}

/* Also of an application that was removed meanwhile: it has no image any more. */
static void thread_ended(thread_t *t, struct task_struct *task)
{
	struct guarded_application *application = &applications[t->followed.application & DRIVER_APPLICATIONS];
	__u64 *from = (__u64 *)&t->counters, *to;

	origin_changed(&t->origin, &application->memory);
	if (!t->tid)
		return;
	hand_out_event(t, application, EVENT_EXIT, task->pid);
	to = (__u64 *)&application->totals;
	for (unsigned i = 0; i < sizeof(t->counters) / sizeof(__u64); i++)
		__sync_fetch_and_add(&to[i], from[i]);
	__builtin_memset(&t->counters, 0, sizeof(t->counters));
	__sync_fetch_and_add(&application->ended, 1);
}

/* What has to be done before a call is scored; false if it is not to be. */
static __noinline int settle(thread_t *t)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct scoring s;

	if (!t)
		return 0;
	followed_now(t);
	if (t->followed.pending & PENDING_COMMAND)
		return 0;
	if (t->followed.pending & PENDING_LEAVE) {
		thread_leave(t, task);
		return 0;
	}
	if (t->followed.pending & PENDING_ATTACH && scoring_of(t, &s)) {
		begin(t, &s, task->pid);
		hand_out_event(t, s.application, EVENT_ATTACH, task->pid);
	}
	if (t->followed.pending & PENDING_LOST && scoring_of(t, &s)) {
		score_reset(&t->score, 1);
		hand_out_event(t, s.application, EVENT_GAP, task->pid);
	}
	__sync_fetch_and_and(&t->followed.pending, ~(PENDING_ATTACH | PENDING_LOST));
	return 1;
}

static __always_inline bool raise(thread_t *t)
{
	struct guard_raised *raised = bpf_ringbuf_reserve(&alarms, sizeof(*raised), 0);

	if (!raised)
		return false;
	bpf_probe_read_kernel(&raised->thread, sizeof(raised->thread), t);
	describe_process(&raised->process, bpf_get_current_task_btf());
	bpf_ringbuf_submit(raised, 0);
	return true;
}

/* A verdict that matters leaves the kernel. */
static __noinline int report(thread_t *t, const struct guarded_application *application, __u32 flags)
{
	struct guard_closed closed = {};

	if (!t || !application)
		return 0;
	if (flags & VERDICT_FOREIGN)
		t->counters.foreign++;
	if (flags & VERDICT_ALARMS) {
		t->counters.alarms++;
		t->time = bpf_ktime_get_ns();
		t->signalled = application->signal;
		if (!raise(t))
			t->counters.lost_alarms++;
		if (application->signal && !application->dry_run)
			bpf_send_signal(application->signal);
	}
	if (flags & VERDICT_CLOSED) {
		t->counters.closed++;
		closed.application = t->followed.application;
		closed.tid = t->tid;
		bpf_ringbuf_output(&alarms, &closed, sizeof(closed), 0);
	}
	return 0;
}

static __always_inline int thread_calls(thread_t *t, struct task_struct *task, struct pt_regs *regs, long id)
{
	struct scored_call *call;
	struct followed standing;
	struct scoring s;
	__u64 address;
	__u16 number;
	__u8 abi, origin = ORIGIN_UNKNOWN;

	standing = standing_of(t);
	if (!standing.application || (unlikely(standing.pending) && !settle(t)) || !scoring_of(t, &s))
		return 0;
	number = call_number(task, regs, id, &abi);
	address = REGS_IP(regs) - CALL_SIZE;
	if (s.application->level) {
		origin = origin_class(&t->origin, &s.application->memory, regs, address);
		if (s.application->level == LEVEL_SITES && origin == ORIGIN_FILE && abi == ABI_NATIVE &&
		    unlikely(!site_is_known(t, address, number))) {
			origin = ORIGIN_STRAY;
			t->counters.unknown_sites++;
		}
		origin_note(&t->origin, &s.application->memory, task, regs, number, abi);
		if (unlikely(origin == ORIGIN_UNKNOWN))
			t->counters.unknown_origins++;
	}
	call = &t->history[t->counters.calls++ & (HISTORY_CALLS - 1)];
	call->event.site = address; /* the rest is zero, or filled in when it is handed out */
	call->event.call = number;
	call->event.origin = EVENT_FROM(origin, abi);
	call->node = t->score.node;
	call->verdict = score_call(&t->score, s.image, s.policy, &call->event);
	call->mean = score_first_mean(&t->score, s.policy);
	t->counters.cost += call->verdict.cost;
	if (unlikely(call->verdict.flags & (VERDICT_ALARMS | VERDICT_CLOSED | VERDICT_FOREIGN))) {
		t->generation = s.policy->generation;
		report(t, s.application, call->verdict.flags);
	}
	if (unlikely(t->score.open) && is_unforeseen(call, s.policy))
		tell_unforeseen(t, call);
	if (s.application->sample && !(t->counters.calls & (s.application->sample - 1)))
		hand_out(t, call);
	return 0;
}

/* The counters of the threads that are alive. */
SEC("iter/task")
int tally(struct bpf_iter__task *ctx)
{
	struct task_struct *task = ctx->task;
	struct guard_tally tally = {};
	thread_t *t = task ? thread_of(task) : NULL;

	if (!t || !t->followed.application)
		return 0;
	tally.application = t->followed.application;
	tally.counters = t->counters;
	bpf_seq_write(ctx->meta->seq, &tally, sizeof(tally));
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
