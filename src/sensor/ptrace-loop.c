/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The tracer's loop: waits for threads to stop, tells what happened, and sets them going again. */
#include <errno.h>
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "sensor/ptrace-tracer.h"

/* Fails only if the thread was killed meanwhile; its end is reported by the wait. */
static void resume(struct tracer *tracer, pid_t tid, int signal)
{
	bool stop = atomic_load_explicit(&tracer->stop, memory_order_relaxed);

	ptrace(stop ? PTRACE_DETACH : PTRACE_SYSCALL, tid, 0, signal);
}

static bool thread_exists(pid_t pid, pid_t tid)
{
	return syscall(SYS_tgkill, pid, tid, 0) == 0 || errno != ESRCH;
}

/* A thread that stands still: by job control, where it must stay until SIGCONT, or only for us. */
static void resume_or_listen(struct tracer *tracer, pid_t tid, bool group_stop)
{
	if (group_stop && !atomic_load_explicit(&tracer->stop, memory_order_relaxed))
		ptrace(PTRACE_LISTEN, tid, 0, 0);
	else
		resume(tracer, tid, 0);
}

static void let_go(struct tracer *tracer, struct tracee *tracee)
{
	pid_t tid = tracee->tid;

	tracee_remove(tracer, tracee);
	ptrace(PTRACE_DETACH, tid, 0, 0);
}

static void follow(struct tracer *tracer, struct tracee *tracee, pid_t parent)
{
	tracer->held--;
	tracee->state = TRACEE_FOLLOWED;
	report_start(tracer, tracee, EVENT_FORK, parent);
	resume_or_listen(tracer, tracee->tid, tracee->group_stop);
}

static void follow_orphan(void *data, uint32_t tid, void *record)
{
	struct tracee *tracee = record;
	struct process *process = process_find(data, tracee->parent);

	if (tracee->state != TRACEE_HELD)
		return;
	if (process)
		process_share_space(tracee->process, process);
	follow(data, tracee, tracee->parent);
}

/*
 * New threads are held until the one that made them has said so, so that FORK names it. It may have been killed before
 * that: when nobody is making threads any more, /proc has to do.
 */
static void follow_orphans(struct tracer *tracer)
{
	if (tracer->held && !tracer->forking)
		thread_table_each(tracer->tracees, follow_orphan, tracer);
}

/* The first stop of a thread that we have not heard of: a child that was quicker than its maker's report. */
static void meet(struct tracer *tracer, pid_t tid, bool group_stop)
{
	struct tracee *tracee;
	pid_t pid, parent;

	if (thread_process(tid, &pid, &parent) < 0) {
		/* Killed already; or we are out of files: then it goes on unseen rather than not at all. */
		tracer->lost += ptrace(PTRACE_DETACH, tid, 0, 0) == 0;
		return;
	}
	if (!tracer->follow_fork && !process_find(tracer, pid)) {
		ptrace(PTRACE_DETACH, tid, 0, 0);
		return;
	}
	tracee = tracee_add(tracer, tid, pid, TRACEE_HELD);
	if (!tracee) {
		tracer->lost++;
		ptrace(PTRACE_DETACH, tid, 0, 0);
		return;
	}
	tracee->group_stop = group_stop;
	if (pid != tid)
		tracee->parent = pid; /* made by some thread of its process */
	else if (process_find(tracer, parent))
		tracee->parent = parent;
	tracer->held++;
}

/* A thread reports that it has made another. */
static void made(struct tracer *tracer, struct tracee *maker)
{
	struct process *process = maker->process;
	struct tracee *tracee;
	unsigned long message;
	pid_t tid;

	if (maker->doing & CALL_FORKS) {
		maker->doing &= (uint8_t)~CALL_FORKS;
		tracer->forking--;
	}
	if (ptrace(PTRACE_GETEVENTMSG, maker->tid, 0, &message) < 0)
		return;
	tid = (pid_t)message;
	tracee = tracee_find(tracer, tid);
	if (tracee && tracee->state == TRACEE_HELD) {
		if (tracee->process != process)
			process_share_space(tracee->process, process);
		follow(tracer, tracee, maker->tid);
	}
	if (tracee)
		return;
	if (thread_exists(process->pid, tid)) {
		tracee = tracee_add(tracer, tid, process->pid, TRACEE_EXPECTED);
	} else if (tracer->follow_fork) {
		tracee = tracee_add(tracer, tid, tid, TRACEE_EXPECTED);
		if (tracee)
			process_share_space(tracee->process, process);
	} else {
		return; /* let go when it stops: it is unknown then, and no thread of ours */
	}
	if (tracee)
		report_start(tracer, tracee, EVENT_FORK, maker->tid);
}

/*
 * A process runs a new program. Its other threads are gone (the kernel waited for us to hear of their ends), and if it was
 * not the leader that asked for it, the asker now has the leader's id: the leader itself has vanished without a word.
 * Returns whether the process is still followed.
 */
static bool ran_program(struct tracer *tracer, struct tracee *tracee, pid_t former)
{
	struct tracee *asker = former != tracee->tid ? tracee_find(tracer, former) : NULL;

	report_return(tracer, tracee);
	if (asker && asker->process == tracee->process) {
		if (tracee->state != TRACEE_EXPECTED)
			report_exit(tracer, tracee);
		tracee->lost = asker->lost;
		asker->lost = 0;
		if (!tracer->follow_exec)
			report_exit(tracer, asker);
		tracee_remove(tracer, asker);
	} else {
		former = 0;
		if (!tracer->follow_exec)
			report_exit(tracer, tracee);
	}
	if (!tracer->follow_exec) {
		let_go(tracer, tracee);
		return false;
	}
	process_new_space(tracee->process);
	report_start(tracer, tracee, EVENT_EXEC, former);
	return true;
}

/* The leader had ended before we came: nobody we know, until another thread runs a program, which makes that the leader. */
static void meet_leader(struct tracer *tracer, pid_t tid)
{
	struct tracee *asker, *leader = NULL;
	unsigned long message;

	if (ptrace(PTRACE_GETEVENTMSG, tid, 0, &message) == 0) {
		asker = tracee_find(tracer, (pid_t)message);
		if (asker && asker->process->pid == tid)
			leader = tracee_add(tracer, tid, tid, TRACEE_EXPECTED);
	}
	if (!leader) {
		ptrace(PTRACE_DETACH, tid, 0, 0);
		return;
	}
	if (!ran_program(tracer, leader, (pid_t)message))
		return;
	leader->state = TRACEE_FOLLOWED;
	resume(tracer, tid, 0);
}

struct vanished {
	const struct tracee *leader;
	pid_t tid;
};

static void find_vanished(void *data, uint32_t tid, void *record)
{
	const struct tracee *tracee = record;
	struct vanished *vanished = data;

	if (tracee->process == vanished->leader->process && tracee != vanished->leader &&
	    !thread_exists(tracee->process->pid, tracee->tid))
		vanished->tid = (pid_t)tid;
}

/*
 * A stopped leader can be replaced by the thread of its process that execs while we are about to resume it; then what we
 * resume is the report of the exec, which so never reaches us. It shows in the end of a call that the leader did not make,
 * and in a thread that is gone although nobody has waited for it.
 */
static pid_t missed_exec(struct tracer *tracer, const struct tracee *leader)
{
	struct vanished vanished = { .leader = leader };

	if (leader->tid == leader->process->pid && leader->process->threads > 1 &&
	    (leader->process->execing || !leader->in_call))
		thread_table_each(tracer->tracees, find_vanished, &vanished);
	return vanished.tid;
}

static void stopped_at_call(struct tracer *tracer, struct tracee *tracee)
{
	struct __ptrace_syscall_info info;
	pid_t tid = tracee->tid, former;

	/* Without other threads nothing can have taken its place: after the entry comes the return, no need to ask. */
	if (!RETURNS_ARE_ASKED && tracee->in_call && tracee->process->threads == 1) {
		report_return(tracer, tracee);
		resume(tracer, tid, 0);
		return;
	}
	if (ptrace(PTRACE_GET_SYSCALL_INFO, tid, sizeof(info), &info) < 0) {
		if (errno != ESRCH) { /* ESRCH: killed */
			tracee->lost++;
			resume(tracer, tid, 0);
		}
		return;
	}
	switch (info.op) {
	case PTRACE_SYSCALL_INFO_ENTRY:
		report_entry(tracer, tracee, &info);
		break;
	case PTRACE_SYSCALL_INFO_EXIT:
		former = missed_exec(tracer, tracee);
		if (former && !ran_program(tracer, tracee, former))
			return;
		report_result(tracee, info.exit.rval);
		report_return(tracer, tracee);
		break;
	default:
		return; /* replaced by an exec, whose report is still to come: not ours to resume */
	}
	resume(tracer, tid, 0);
}

static void stopped(struct tracer *tracer, pid_t tid, int status)
{
	int event = status >> 16, signal = WSTOPSIG(status);
	struct tracee *tracee = tracee_find(tracer, tid);
	bool group_stop = event == PTRACE_EVENT_STOP && signal != SIGTRAP;
	unsigned long message;

	if (!tracee) {
		if (event == PTRACE_EVENT_STOP)
			meet(tracer, tid, group_stop);
		else if (event == PTRACE_EVENT_EXEC)
			meet_leader(tracer, tid);
		else
			ptrace(PTRACE_DETACH, tid, 0, event || signal == (SIGTRAP | 0x80) ? 0 : signal);
		return;
	}
	if (tracee->state == TRACEE_SEIZED)
		report_start(tracer, tracee, EVENT_ATTACH, 0);
	if (tracee->state != TRACEE_HELD)
		tracee->state = TRACEE_FOLLOWED;
	switch (event) {
	case 0:
		if (signal == (SIGTRAP | 0x80)) {
			stopped_at_call(tracer, tracee);
		} else {
			report_signal(tracee, signal);
			resume(tracer, tid, signal);
		}
		return;
	case PTRACE_EVENT_STOP:
		if (group_stop)
			tracee->restart = RESTART_NATURAL;
		resume_or_listen(tracer, tid, group_stop);
		return;
	case PTRACE_EVENT_CLONE:
	case PTRACE_EVENT_FORK:
	case PTRACE_EVENT_VFORK:
		made(tracer, tracee);
		break;
	case PTRACE_EVENT_EXEC:
		if (ptrace(PTRACE_GETEVENTMSG, tid, 0, &message) < 0)
			message = (unsigned long)tid;
		if (!ran_program(tracer, tracee, (pid_t)message))
			return;
		break;
	}
	resume(tracer, tid, 0);
}

static void ended(struct tracer *tracer, pid_t tid, int status)
{
	struct tracee *tracee = tracee_find(tracer, tid);

	if (tid == tracer->command)
		atomic_store(&tracer->exit_status, status);
	if (!tracee)
		return;
	if (tracee->state == TRACEE_FOLLOWED || tracee->state == TRACEE_EXPECTED)
		report_exit(tracer, tracee);
	tracee_remove(tracer, tracee);
}

/*
 * Waits for a stop, then takes what else there is: handling all of them before the next wait keeps a busy thread from
 * starving the others. Returns how many, 0 if interrupted, or -errno.
 */
static int wait_for_stops(struct tracer *tracer)
{
	int n = 0;

	do {
		struct stop *stop = &tracer->stops[n];

		stop->tid = wait4(-1, &stop->status, __WALL | __WNOTHREAD | (n ? WNOHANG : 0), NULL);
		if (stop->tid < 0 && !n)
			return errno == EINTR ? 0 : -errno;
		if (stop->tid <= 0)
			break;
		n++;
	} while (n < STOPS_MAX && thread_table_count(tracer->tracees) > 1);
	return n;
}

static void let_go_held(void *data, uint32_t tid, void *record)
{
	struct tracee *tracee = record;

	if (tracee->state == TRACEE_HELD)
		let_go(data, tracee);
}

int tracer_loop(struct tracer *tracer)
{
	while (thread_table_count(tracer->tracees) && !atomic_load(&tracer->stop)) {
		int n = wait_for_stops(tracer);

		if (n < 0)
			return n;
		for (int i = 0; i < n; i++) {
			const struct stop *stop = &tracer->stops[i];

			if (WIFSTOPPED(stop->status))
				stopped(tracer, stop->tid, stop->status);
			else
				ended(tracer, stop->tid, stop->status);
		}
		follow_orphans(tracer);
	}
	thread_table_each(tracer->tracees, let_go_held, tracer);
	return 0;
}
