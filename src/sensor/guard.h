/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Applications scored inside the kernel: the frozen image is in a map, the state in each task, the alarm decision at the
 * call. Only alarms with the calls before them, the ends of episodes, counters and asked-for samples come out.
 *
 * The same calls give the same verdicts, states and alarms as a recording of them replayed through alarm/monitor.h.
 * If this process ends, however it ends, the kernel side goes away with it and the applications are untouched.
 * Not thread-safe: all calls on one guard from one thread.
 */
#ifndef IMSAFE_SENSOR_GUARD_H
#define IMSAFE_SENSOR_GUARD_H

#include "base/cleanup.h"
#include "base/errmsg.h"
#include "core/score.h"
#include "sensor/process.h"
#include "sensor/sensor.h"

#define GUARD_APPLICATIONS 63    /* at once */
#define GUARD_THREADS_MAX  65536 /* guarded at once; further ones are counted as refused, not guarded */

/* How closely to look at where a call comes from. */
enum guard_level {
	GUARD_OFF,    /* not at all */
	GUARD_MEMORY, /* what kind of memory: event.origin */
	GUARD_SITES,  /* and whether training saw this call made there */
};

/* A place in a file from which training saw a call made. */
struct guard_site {
	uint32_t module; /* in guard_application.modules */
	uint32_t call;
	uint64_t offset;
};

struct guard_application {
	const char *name;             /* for messages; copied */
	const struct target *targets; /* TARGET_FILE excepted */
	size_t n_targets;
	bool follow_fork, follow_exec; /* as in struct sensor_config */
	const struct image *image;    /* copied into the kernel */
	const struct policy *policy;  /* windows, limits, min_calls, reading, foreign; armed here */
	enum guard_level level;
	/*
	 * GUARD_SITES: calls from files' code that are none of these are foreign, with ORIGIN_STRAY. A module is found by its path
	 * and must have its build-id still; the sites of others are left out, so that all calls from such a file are foreign.
	 */
	const struct guard_site *sites;
	size_t n_sites;
	const struct modules *modules;
	/*
	 * A signal sent to the process at the call that raises an alarm, 0 = none. The call under way may still take effect:
	 * with SIGKILL, execve and writing to a file do not happen, but mkdir, unlink, open(O_CREAT), sendto and kill do.
	 */
	int signal;
	bool dry_run;    /* do not send it, only say so in guard_alarm.signalled */
	unsigned sample; /* every so many calls of a thread one is handed out; 0 = none; 1 = all, with forks, execs and exits */
};

struct guard_alarm {
	unsigned application;
	uint32_t generation;
	uint32_t tid, pid;     /* pid: the process */
	uint16_t flags;        /* enum verdict_flags of the call that raised it */
	uint16_t window;       /* the first mean below its threshold, if VERDICT_BELOW */
	uint32_t mean[MEAN_WINDOWS]; /* after the call, in cost units */
	uint64_t thread_calls; /* calls of this thread before it */
	uint64_t time;         /* ns of CLOCK_MONOTONIC */
	const struct process_info *process; /* as it was at the call */
	int signalled;         /* the signal that was sent, or with dry_run would have been; 0 = none */
	const struct scored_call *history; /* oldest first, the last one raised the alarm; sites are bare addresses */
	size_t n_history;
};

/* Counters of one application since it was added. */
struct guard_stats {
	uint64_t calls;           /* scored */
	uint64_t cost;            /* sum of their costs: the mean normality of all is 1 - cost / calls / COST_MAX */
	uint64_t alarms, closed;  /* raised, episodes ended */
	uint64_t foreign;         /* foreign calls */
	uint64_t unknown_origins; /* calls whose origin could not be determined */
	uint64_t unknown_sites;   /* calls from places that training did not see */
	unsigned missing_modules; /* files with sites that are gone, or others than in training */
	uint64_t missed;          /* calls, forks and ends that the kernel kept from the driver, of any process of the machine */
	uint64_t lost_alarms;     /* raised, but user space was too slow to take them */
	uint64_t lost_samples;
	uint64_t lost_unforeseen; /* calls for guard_callbacks.unforeseen, likewise */
	uint64_t refused;         /* threads not guarded: too many, or no memory */
	uint64_t threads;         /* guarded now */
	uint64_t started, ended;  /* threads, ever */
	uint32_t generation;      /* of the image in use */
};

/* Any may be NULL. What they are given is borrowed until they return. */
struct guard_callbacks {
	void (*alarm)(void *data, const struct guard_alarm *alarm);
	void (*closed)(void *data, unsigned application, uint32_t tid); /* the last open episode of the thread */
	/* A call in an open episode that training never saw in its place, or a foreign one; the site is a bare address. */
	void (*unforeseen)(void *data, unsigned application, const struct scored_call *call);
	/* event.kind tells calls from forks, execs and exits, which come with sample = 1 only (and an empty verdict). */
	void (*sample)(void *data, unsigned application, const struct scored_call *call);
	void (*summary)(void *data, unsigned application, const struct guard_stats *stats); /* every second */
	void *data;
};

struct guard;

/* Loads the kernel side, guarding nothing yet. -EPERM, -ENOSYS ... with err saying what exactly is missing. */
int guard_open(struct guard **ret_guard, struct errmsg *err);

/* From its return on, every matching process, running or not yet started, is guarded. A command is started by it. */
int guard_add_application(struct guard *guard, const struct guard_application *application, unsigned *ret_application,
			  struct errmsg *err);

/*
 * A new image and policy while running. Each thread goes over to it at its next call, forgetting its past (as
 * score_step() does when the generation changes); no call is judged by a mixture of both.
 */
int guard_replace_image(struct guard *guard, unsigned application, const struct image *image,
			const struct policy *policy, struct errmsg *err);

/* Samples can be switched on and off while running. */
int guard_set_sample(struct guard *guard, unsigned application, unsigned sample);

/* Its threads are let go; the number may be given out again. */
int guard_remove_application(struct guard *guard, unsigned application);

int guard_fd(const struct guard *guard); /* pollable: readable when dispatch has something to do */

/*
 * Delivers what there is, without waiting. 1: go on, 0: all targets were processes or commands, and they have ended;
 * -errno with err filled.
 */
int guard_dispatch(struct guard *guard, const struct guard_callbacks *callbacks, struct errmsg *err);

void guard_stats(struct guard *guard, unsigned application, struct guard_stats *ret_stats);

pid_t guard_command(const struct guard *guard, unsigned application); /* the process, 0 = there is none */

/* Wait status of the command of an application, once it has ended; -EAGAIN before. */
int guard_exit_status(const struct guard *guard, unsigned application, int *ret_status);

struct guard *guard_close(struct guard *guard); /* NULL is fine; returns NULL */
DEFINE_CLEANUP(struct guard *, guard_close)

#endif
