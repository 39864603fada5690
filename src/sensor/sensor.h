/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A sensor: where live calls come from. Outside src/sensor/ it is known only by the functions of struct sensor_ops.
 *
 * Contract (tests/sensor checks it on every sensor):
 *  - Events are pushed to the callback in the order each thread made them; a batch is borrowed until the callback returns.
 *  - A thread's first event is ATTACH (it was already running; also each thread of a process attached to), FORK or EXEC
 *    (a command started by the sensor); its last one EXIT. exec from a thread that is not the leader: EXEC with the
 *    process's id as tid and the former id in parent; the other threads EXIT before it.
 *  - Every CALL is taken at its entry and reported once (the driver is not told of those that a seccomp filter refuses); the
 *    callback may run after the call has taken effect, because no sensor holds the application up until it is read.
 *    Milliseconds for calls, at once for foreign ones; ptrace also keeps a foreign call at its entry, for 20 ms at most,
 *    until the callback has had it: a SIGKILL from there prevents the call.
 *  - Lost calls are a GAP event at their place in the thread's stream, never silence.
 *  - A sensor never stops, slows by more than it must, or ends the application; closing it, killing the process that holds
 *    it, or never dispatching again leaves the application running.
 *  - Not thread-safe: all calls on one sensor from one thread. Nobody may wait for processes that it traces, nor for any
 *    child (pid -1), without __WNOTHREAD: that would take the ptrace sensor's stops away.
 */
#ifndef IMSAFE_SENSOR_SENSOR_H
#define IMSAFE_SENSOR_SENSOR_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/cleanup.h"
#include "base/errmsg.h"
#include "core/event.h"
#include "trace/arch.h"
#include "trace/modules.h"

enum target_kind {
	TARGET_PID,     /* a process, all its threads */
	TARGET_EXE,     /* every process that runs this file, also ones not yet started */
	TARGET_UNIT,    /* every process of a systemd unit */
	TARGET_CGROUP,  /* every process of a cgroup and those below it */
	TARGET_COMMAND, /* a command that the sensor starts */
	TARGET_FILE,    /* a trace file (replay) */
};

struct target {
	enum target_kind kind;
	pid_t pid;
	const char *name;    /* EXE: path; UNIT; CGROUP: path below the mount; FILE: path or "-" */
	char *const *argv;   /* COMMAND: NULL-terminated */
	const sigset_t *mask; /* COMMAND: the signal mask it starts with, NULL = the caller's now. Whoever reads signals from a
			       * signalfd gives the mask from before, so that the command does not notice. */
};

struct sensor_config {
	const struct target *targets;
	size_t n_targets;
	bool follow_fork;    /* children are part of the application */
	bool follow_exec;    /* go on after execve; off: the process leaves the application there */
	bool origins;        /* look at where calls come from: event.origin */
	bool sites;          /* and say exactly where: event.site, with sensor_modules() */
	bool times;          /* fill event.time */
	int interrupt;       /* FILE: when this descriptor is readable, a pipe is not waited for (-EINTR); 0 = none */
	bool processes;      /* remember who processes are: sensor_ops.process */
	bool insist;         /* better refuse to open than not see the origins that were asked for */
};

struct sensor_stats {
	uint64_t calls;   /* delivered */
	uint64_t lost;    /* counted as lost, all of them also delivered as gaps */
	uint64_t threads; /* followed now */
	uint64_t unknown_origins; /* calls whose origin could not be determined */
};

/* What is known of the application once the first event has been delivered. Owned by the sensor. */
struct sensor_info {
	const char *name;        /* "ptrace" */
	enum syscall_arch arch;
	const char *application; /* path of the executable, NULL if not known yet */
	const char *build_id;    /* hex, NULL if not known */
	int64_t start;           /* seconds since 1970: replay gives the recording's */
};

/* Return less than 0 (-errno) to stop the dispatch; the value is handed through. */
typedef int sensor_event_fn(void *data, const struct event *events, size_t n);

struct sensor;
struct process_info; /* sensor/process.h */

struct sensor_ops {
	const char *name;
	const char *summary; /* one line for doctor and --help */

	/*
	 * Starts sensing. On success *ret_sensor is the caller's, and err says what it does not see, if so; on failure everything
	 * is as before, err says why.
	 */
	int (*open)(const struct sensor_config *config, struct sensor **ret_sensor, struct errmsg *err);

	/* Becomes readable (POLLIN) when dispatch has something to do; -1: always ready (replay). */
	int (*fd)(struct sensor *sensor);

	/*
	 * Delivers what there is, without waiting, in bounded batches. 1: go on, 0: the application has ended or the file is
	 * read, -errno: err filled, or what the callback returned.
	 */
	int (*dispatch)(struct sensor *sensor, sensor_event_fn *fn, void *data, struct errmsg *err);

	/*
	 * Who a process is, as of the events delivered so far; asked by the callback, while it has them. False: not known.
	 * NULL: the sensor knows of no process.
	 */
	bool (*process)(struct sensor *sensor, pid_t pid, struct process_info *ret_info);

	void (*stats)(const struct sensor *sensor, struct sensor_stats *ret_stats);

	/* Detaches, delivers nothing more. NULL is fine. */
	void (*close)(struct sensor *sensor);
};

/* Every implementation's struct begins with this. */
struct sensor {
	const struct sensor_ops *ops;
	struct sensor_info info;
	struct modules modules;
	pid_t command;   /* COMMAND: its process id, a child of ours; 0 = none */
	int exit_status; /* COMMAND: wait status of the command once it has ended, -1 = not known */
};

extern const struct sensor_ops sensor_ptrace, sensor_replay;
#ifdef HAVE_EBPF
extern const struct sensor_ops sensor_ebpf;
#endif

/* All sensors of this build, best first, NULL at the end. */
const struct sensor_ops *const *sensor_registry(void);

/*
 * By name. "auto" (or NULL): the first that can serve the targets here; why the better ones can't is put in err->text, and what
 * the one opened can't see here.
 */
int sensor_open(const char *name, const struct sensor_config *config, struct sensor **ret_sensor, struct errmsg *err);

static inline struct sensor *sensor_close(struct sensor *sensor)
{
	if (sensor)
		sensor->ops->close(sensor);
	return NULL;
}
DEFINE_CLEANUP(struct sensor *, sensor_close)

#endif
