/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What guard.bpf.c and guard.c agree on. BPF includes score.bpf.h before. */
#ifndef IMSAFE_SENSOR_GUARD_ABI_H
#define IMSAFE_SENSOR_GUARD_ABI_H

#include "core/score.h"
#include "sensor/driver-abi.h"

struct guarded_counters {
	__u64 calls, cost;
	__u64 alarms, closed, foreign;
	__u64 unknown_origins, unknown_sites;
	__u64 lost_alarms, lost_samples, lost_unforeseen;
};

/* A place in a file from which an application may make a call. */
struct driver_site {
	__u64 place; /* SITE(number of the file, offset) */
	__u32 call;
	__u32 application;
};
#define DRIVER_FILES_MAX  4096
#define DRIVER_SITES_MAX  (1 << 18)
#define SITES_REMEMBERED  64 /* by each thread; a power of two */

/* Everything that the kernel keeps of a guarded thread. */
struct guarded {
	struct followed followed;
	struct origin_cache origin;
	struct guarded_counters counters;
	__u64 time;     /* of the alarm */
	__u32 tid;
	__s32 signalled;
	__u32 generation;
	__u32 sites_changes; /* origin.changes when sites[] was filled */
	__u64 sites[SITES_REMEMBERED]; /* places found good */
	struct score score;
	struct scored_call history[HISTORY_CALLS]; /* call n is at n % HISTORY_CALLS */
};

/* An alarm's record: the thread as it is after the call, and whose it is. */
struct guard_raised {
	struct guarded thread;
	struct driver_process process;
};

/* The other record of the alarms' ring. */
struct guard_closed {
	__u32 application, tid;
};

/* The record of the samples' ring, and one of the alarms': a call in an open episode that training did not see. */
struct guard_sample {
	__u32 application;
	__u32 reserved;
	struct scored_call call;
};

/* One per application, read and written in place by both sides. A power of two, so that finding one is a shift. */
struct guarded_application {
	__u32 slot;    /* which of the two policies and images is in use */
	__u32 level;   /* enum guard_level */
	__u32 sample;  /* hand out every so manieth call of a thread, a power of two; 0: none, 1: everything */
	__u32 dry_run;
	struct memory_changes memory;
	struct policy policy[2];
	__s32 signal;
	__u32 compat;                   /* the last process that began as a program of the other width, e.g. of 32 bits */
	__u64 started, ended;           /* threads */
	struct guarded_counters totals; /* of threads that have ended */
};
_Static_assert(sizeof(struct guarded_application) == 256, "found by a shift");

/* The tally's record: one per living thread. */
struct guard_tally {
	__u32 application, reserved;
	struct guarded_counters counters;
};

#define LEVEL_SITES 2 /* enum guard_level */

#define GUARD_SLOT(application, slot) ((application) * 2 + (slot))

#endif
