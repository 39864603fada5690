/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The scoring step as the driver compiles it, over a batch of events at once. */
#include "sensor/kernel.bpf.h"
#include "sensor/score.bpf.h"
#include "parity-abi.h"

#define BATCH_MAP(name, type_, n)                   \
	struct {                                    \
		__uint(type, BPF_MAP_TYPE_ARRAY);   \
		__uint(map_flags, BPF_F_MMAPABLE);  \
		__uint(max_entries, n);             \
		__type(key, __u32);                 \
		__type(value, type_);               \
	} name SEC(".maps")

BATCH_MAP(events, struct event, PARITY_EVENTS);
BATCH_MAP(verdicts, struct verdict, PARITY_EVENTS);
BATCH_MAP(states, struct score, PARITY_THREADS);

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, 1);
	__type(key, __u32);
	__array(values, struct image_cells);
} images SEC(".maps");

struct policy policy;
__u32 n_events, done;

/* Global, so that it is verified once and not again in each state that the loop could be in. */
__noinline int step_one(__u32 i)
{
	struct event *event = bpf_map_lookup_elem(&events, &i);
	struct verdict *verdict = bpf_map_lookup_elem(&verdicts, &i);
	__u32 zero = 0, thread = event ? event->tid % PARITY_THREADS : 0;
	struct score *state = bpf_map_lookup_elem(&states, &thread);
	void *image = bpf_map_lookup_elem(&images, &zero);

	if (!event || !verdict || !state || !image)
		return 1;
	*verdict = score_step(state, image, &policy, event);
	done++;
	return 0;
}

static long step(__u32 i, void *context)
{
	int done_with = step_one(i);

	/* What a global function returns is not known to the verifier; clang would hand it on as it is. */
	barrier_var(done_with);
	return done_with ? 1 : 0;
}

SEC("raw_tp/sys_enter")
int run(void *ctx)
{
	done = 0;
	bpf_loop(n_events, step, NULL, 0);
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
