/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The ptrace sensor's inside: the tracer, which lives in a thread of its own. The kernel wants every request about a
 * traced thread to come from the thread that attached to it, and a blocking wait is the fastest way to hear of stops.
 * With a thread and a queue between them, the sensor's user can have any main loop, and can stop reading altogether
 * without the application noticing: calls that no longer fit are counted as gaps.
 *
 * Everything here belongs to that thread, except where a comment says otherwise.
 *
 * Why each call stops the thread twice: only a resume at a stop arms the next one, so that entries without exits can be
 * had with a seccomp filter alone. That would have to be put into the application and would outlive this process (calls
 * then fail with ENOSYS), which is out of the question.
 */
#ifndef IMSAFE_SENSOR_PTRACE_TRACER_H
#define IMSAFE_SENSOR_PTRACE_TRACER_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/ptrace.h>

#include "sensor/command.h"
#include "sensor/origin.h"
#include "sensor/queue.h"
#include "sensor/sensor.h"
#include "trace/thread-table.h"

/* What the tracer has to know about some calls. */
enum call_class {
	CALL_MAPS = 1,  /* changes mappings */
	CALL_FORKS = 2, /* makes a thread or process */
	CALL_EXECS = 4,
};

/* A process: its threads and where they live. */
struct process {
	pid_t pid;
	unsigned threads;   /* records of tracees that point here */
	unsigned execing;   /* threads inside execve */
	struct origin_space *space;
	struct identity *identity; /* NULL: not noted */
};

/* ptrace-identity.c. The news are shared with the opener's thread, what is known is that thread's. */
struct identities {
	pthread_mutex_t lock; /* of the news */
	struct identity_news *news, **last;
	unsigned n;
	struct thread_table *known; /* struct identity *, by process id, as of the events delivered; NULL: nobody asks */
};

enum tracee_state {
	TRACEE_SEIZED,   /* was running when we came, and has not stopped for us yet */
	TRACEE_HELD,     /* new, stopped; not yet known which thread made it */
	TRACEE_EXPECTED, /* new, known by its maker's word; has not stopped for us yet */
	TRACEE_FOLLOWED,
};

/*
 * A traced thread is interrupted by every signal, also by those that it ignores; its call is then entered once more. That
 * would not happen without us, and is not told. Handlers are told apart by the sigreturn that follows.
 */
enum restart {
	RESTART_NONE,
	RESTART_HIDDEN,  /* the same call at the same place, next, is our doing */
	RESTART_NATURAL, /* job control stopped it: it would be entered again without us too */
};

/*
 * The kernel undoes an interrupted call before it tells of the signal on some processors, after it on others. Where it is
 * before, only the call's end shows it, and every end has to be looked at.
 */
#if defined(__aarch64__)
#define RETURNS_ARE_ASKED true
#else
#define RETURNS_ARE_ASKED false
#endif

struct tracee {
	pid_t tid;
	uint8_t state;   /* enum tracee_state */
	bool in_call;
	bool group_stop; /* HELD: by job control too */
	pid_t parent;    /* HELD: what /proc says, 0 if it is nobody we know */
	uint8_t doing;   /* call_class of the call it is in */
	uint8_t restart; /* enum restart of its last call */
	bool interrupted; /* its last call ended with one of the kernel's restart codes; kept if RETURNS_ARE_ASKED */
	uint64_t lost;   /* calls that did not fit into the queue since its last event */
	uint64_t call, ip; /* of its last call */
	struct process *process;
};

struct stop {
	pid_t tid;
	int status;
};

#define STOPS_MAX 128

struct tracer {
	/* Set before the thread starts, then only read. */
	bool follow_fork, follow_exec, origins, sites, times, identify;
	const struct target *targets; /* valid until the opener has its answer */
	size_t n_targets;
	const struct target *command_target;
	struct command started;  /* its process, made by the opener's thread, whose child it is and stays */

	/* Shared with the opener's thread. */
	struct event_queue *queue;
	atomic_bool stop;        /* let everything go and end */
	atomic_uint n_followed;
	atomic_int exit_status;
	struct identities identities;

	pid_t self; /* thread id */
	enum syscall_arch arch;
	uint32_t audit_arch;     /* what the kernel calls it */
	uint8_t classes[ARCHES][ALPHABET];
	struct thread_table *tracees, *processes;
	struct modules modules;
	unsigned modules_told;   /* modules below this index are in the queue */
	uint64_t lost;           /* events other than calls that did not fit */
	unsigned forking;        /* threads inside a CALL_FORKS whose child is not known yet */
	unsigned held;           /* tracees that are HELD */
	int64_t holds, held_ms;  /* foreign calls that may be held now, in thousandths; when that was worked out */
	pid_t command;
	struct sensor_info info; /* strings are its own */
	struct stop stops[STOPS_MAX];
};

/* ptrace-attach.c */

/* Takes hold of all targets; on failure nothing is held. */
int tracer_attach(struct tracer *tracer, struct errmsg *err);

/* For the handler of the signal that wakes the tracer's thread. */
void tracer_hear_of_ends(void);

/* The process of a thread, "Tgid:" of /proc/TID/status; and its parent. -errno */
int thread_process(pid_t tid, pid_t *ret_pid, pid_t *ret_parent);

#define TRACER_OPTIONS (PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACECLONE | PTRACE_O_TRACEEXEC)

static inline unsigned long tracer_options(const struct tracer *tracer)
{
	return TRACER_OPTIONS | (tracer->follow_fork ? PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK : 0);
}

/* ptrace-table.c: who is traced */

void tables_free(struct tracer *tracer);
struct tracee *tracee_find(struct tracer *tracer, pid_t tid);
struct tracee *tracee_add(struct tracer *tracer, pid_t tid, pid_t pid, enum tracee_state state); /* NULL without memory */
void tracee_remove(struct tracer *tracer, struct tracee *tracee);
struct process *process_find(struct tracer *tracer, pid_t pid);
void process_share_space(struct process *process, const struct process *maker); /* if it really does */
void process_new_space(struct process *process);

/* ptrace-report.c: what is told */

void report_init(struct tracer *tracer); /* once arch is known */
void report(struct tracer *tracer, struct tracee *tracee, const struct event *event);
void report_start(struct tracer *tracer, struct tracee *tracee, enum event_kind kind, pid_t parent);
void report_exit(struct tracer *tracer, struct tracee *tracee);
void report_entry(struct tracer *tracer, struct tracee *tracee, const struct __ptrace_syscall_info *info);
void report_result(struct tracee *tracee, long result);
void report_signal(struct tracee *tracee, int signal); /* it is about to be delivered */
void report_return(struct tracer *tracer, struct tracee *tracee); /* the call under way is over, one way or another */

/* ptrace-identity.c: who it was */

struct process_info;

struct identity *identity_unref(struct identity *identity); /* NULL is fine; returns NULL */
void identity_note(struct tracer *tracer, struct tracee *tracee, enum event_kind kind, pid_t parent); /* before its event is pushed */

/* The opener's thread. */
void identities_init(struct identities *identities);
void identities_done(struct identities *identities);
bool identities_change(struct identities *identities, const struct event *event); /* from this event on somebody is another */
void identities_follow(struct identities *identities, const struct event *event); /* what came before it has been delivered */
bool identities_find(struct identities *identities, pid_t pid, struct process_info *ret_info);

/* ptrace-loop.c */

/*
 * Until all tracees are gone, or tracer->stop is set and the thread gets a signal. Then every stop that it was told of is
 * dealt with; the kernel lets go of the other threads when this one ends, without stopping them once more. 0 or -errno.
 */
int tracer_loop(struct tracer *tracer);

#endif
