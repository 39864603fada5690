/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Taking hold of processes, and saying why it cannot be done. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/audit.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "base/options.h"
#include "sensor/process.h"
#include "sensor/ptrace-tracer.h"

#define SEIZE_TRIES 10

int thread_process(pid_t tid, pid_t *ret_pid, pid_t *ret_parent)
{
	struct process_status status;
	int r = process_status(tid, &status);

	if (r < 0)
		return r;
	*ret_pid = status.pid;
	*ret_parent = status.parent;
	return 0;
}

static int read_small(const char *path, char *ret_text, size_t size)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, ret_text, size - 1);

	if (n < 0)
		return -errno;
	ret_text[n] = '\0';
	ret_text[strcspn(ret_text, "\n")] = '\0';
	return 0;
}

/* The kernel said no to seizing a thread of pid: one sentence why. */
static int explain_refusal(pid_t pid, int error, struct errmsg *err)
{
	struct process_status status;
	char name[64], path[64], yama[16];

	if (process_status(pid, &status) < 0)
		return errmsg_set(err, -ESRCH, NULL, 0, "process %d has ended", pid);
	if (status.state == 'Z' || status.state == 'X')
		return errmsg_set(err, -ESRCH, NULL, 0, "process %d has ended (a zombie that its parent has not collected)", pid);
	if (error == -ESRCH)
		return errmsg_set(err, -ESRCH, NULL, 0, "process %d has ended", pid);
	if (status.tracer) {
		pid_t unused;

		thread_process(status.tracer, &status.tracer, &unused); /* it may be any thread of its process */
		snprintf(path, sizeof(path), "/proc/%d/comm", status.tracer);
		if (read_small(path, name, sizeof(name)) < 0)
			snprintf(name, sizeof(name), "another process");
		return errmsg_set(err, -EBUSY, NULL, 0, "process %d is already traced by %s (process %d)", pid, name,
				  status.tracer);
	}
	if (error != -EPERM && error != -EACCES)
		return errmsg_set(err, error, NULL, 0, "cannot trace process %d: %s%s", pid, strerror(-error),
				  error == -EIO ? " (the ptrace sensor needs Linux 5.3 or later)" : "");
	if (geteuid() && status.uid != geteuid())
		return errmsg_set(err, error, NULL, 0,
				  "process %d belongs to user %u: tracing it takes root, or the capability CAP_SYS_PTRACE", pid,
				  status.uid);
	if (read_small("/proc/sys/kernel/yama/ptrace_scope", yama, sizeof(yama)) >= 0 && *yama != '0' &&
	    (geteuid() || *yama == '3'))
		return errmsg_set(err, error, NULL, 0,
				  "process %d may not be traced: kernel.yama.ptrace_scope is %s%s", pid, yama,
				  *yama == '1' ? " (only a COMMAND started here may; or be root)" :
				  *yama == '3' ? " (nothing may)" : " (root may)");
	return errmsg_set(err, error, NULL, 0,
			  "process %d may not be traced: the kernel refuses (more privileges than ours, another user namespace, "
			  "or ptrace is not allowed here)", pid);
}

/*
 * A thread that runs a program waits until the others of its process are gone, the dead ones that we trace until we have
 * heard of them; meanwhile the kernel lets nobody seize it. Waiting for each other ends by a signal from the opener's thread.
 */
static _Thread_local volatile sig_atomic_t seizing;

void tracer_hear_of_ends(void)
{
	int error = errno;
	siginfo_t info;

	do
		info.si_pid = 0;
	while (seizing && !waitid(P_ALL, 0, &info, WEXITED | WNOHANG | __WALL | __WNOTHREAD) && info.si_pid);
	errno = error;
}

static int seize(struct tracer *tracer, pid_t tid)
{
	int r;

	seizing = 1;
	r = ptrace(PTRACE_SEIZE, tid, 0, tracer_options(tracer)) < 0 ? -errno : 0;
	seizing = 0;
	return r;
}

struct lost_threads {
	struct tracer *tracer;
	pid_t pid;
	unsigned n;
};

static void forget_lost(void *data, uint32_t tid, void *record)
{
	struct lost_threads *lost = data;
	struct tracee *tracee = record;
	struct process_status status;

	if (tracee->process->pid != lost->pid ||
	    (process_status((pid_t)tid, &status) >= 0 && status.tracer == lost->tracer->self))
		return;
	tracee_remove(lost->tracer, tracee);
	lost->n++;
}

/*
 * Threads that are not ours any more: ends that were heard of above, and a leader whose place was taken by a thread that we
 * did not have yet, when that ran a program.
 */
static unsigned forget_lost_threads(struct tracer *tracer, pid_t pid)
{
	struct lost_threads lost = { tracer, pid, 0 };

	thread_table_each(tracer->tracees, forget_lost, &lost);
	return lost.n;
}

/* Seizes the threads of a process that we do not have yet. Returns how many, or -errno. */
static int seize_threads(struct tracer *tracer, pid_t pid)
{
	_cleanup_closedir_ DIR *tasks = NULL;
	char path[64];
	int n = 0;

	snprintf(path, sizeof(path), "/proc/%d/task", pid);
	tasks = opendir(path);
	if (!tasks)
		return errno == ENOENT ? -ESRCH : -errno;
	for (struct dirent *entry; (entry = readdir(tasks));) {
		unsigned long long number;
		struct process_status status;
		pid_t tid;
		int error;

		if (parse_uint(entry->d_name, 1, INT_MAX, &number) < 0)
			continue;
		tid = (pid_t)number;
		if (tracee_find(tracer, tid))
			continue;
		error = seize(tracer, tid);
		if (error < 0) {
			if (process_status(tid, &status) < 0 || status.state == 'Z' || status.state == 'X' || error == -ESRCH)
				continue; /* ended meanwhile, or a leader whose other threads go on */
			if (status.tracer == tracer->self)
				continue; /* made by one of ours meanwhile: will stop by itself */
			return error;
		}
		if (!tracee_add(tracer, tid, pid, TRACEE_SEIZED))
			return -ENOMEM;
		ptrace(PTRACE_INTERRUPT, tid, 0, 0);
		n++;
	}
	return n;
}

/* A list of threads can lack some if others end while it is read. Those that ours have just made are not missing. */
static bool some_are_missing(struct tracer *tracer, pid_t pid)
{
	const struct process *process = process_find(tracer, pid);
	struct process_status status;

	return process && process_status(pid, &status) >= 0 && status.threads > process->threads;
}

static int attach_process(struct tracer *tracer, pid_t pid, struct errmsg *err)
{
	int n, tries = 0, r = process_to_follow(pid, &pid, err);
	bool again;

	if (r < 0)
		return r;
	/* A thread that we do not have yet may be making others: look until there are no new ones. */
	do {
		n = seize_threads(tracer, pid);
		/* It may have been a leader that had ended, and has been replaced since. */
		again = n == -EPERM && tries++ < SEIZE_TRIES;
		if (n < 0 && !again)
			return explain_refusal(pid, n, err);
		again |= n > 0 || forget_lost_threads(tracer, pid) || (some_are_missing(tracer, pid) && tries++ < SEIZE_TRIES);
	} while (again);
	if (!process_find(tracer, pid))
		return explain_refusal(pid, -ESRCH, err);
	return 0;
}

/* Keeps the new process going until it runs the program or has ended. */
static int wait_for_exec(pid_t pid, bool *ret_ended)
{
	int status;

	for (;;) {
		if (waitpid(pid, &status, __WALL) < 0) {
			if (errno == EINTR)
				continue;
			return -errno;
		}
		if (!WIFSTOPPED(status)) {
			*ret_ended = true;
			return 0;
		}
		switch (status >> 16) {
		case PTRACE_EVENT_EXEC:
			*ret_ended = false;
			return 0;
		case PTRACE_EVENT_STOP:
			ptrace(WSTOPSIG(status) == SIGTRAP ? PTRACE_CONT : PTRACE_LISTEN, pid, 0, 0);
			break;
		case 0:
			ptrace(PTRACE_CONT, pid, 0, WSTOPSIG(status));
			break;
		default:
			ptrace(PTRACE_CONT, pid, 0, 0);
		}
	}
}

static void learn_application(struct tracer *tracer, pid_t pid)
{
	char path[PATH_MAX], build_id[41];

	snprintf(path, sizeof(path), "/proc/%d/exe", pid);
	tracer->arch = executable_arch(path);
	tracer->audit_arch = tracer->arch == ARCH_X86_64 ? AUDIT_ARCH_X86_64 : tracer->arch == ARCH_I386 ? AUDIT_ARCH_I386 :
			     tracer->arch == ARCH_AARCH64 ? AUDIT_ARCH_AARCH64 : AUDIT_ARCH_ARM;
	tracer->info.arch = tracer->arch;
	if (executable_path(pid, path, sizeof(path)) >= 0)
		tracer->info.application = strdup(path);
	executable_build_id(pid, build_id);
	if (*build_id)
		tracer->info.build_id = strdup(build_id);
}

/* The command's process is there and waits; it runs the program once it is held. */
static int attach_command(struct tracer *tracer, struct errmsg *err)
{
	const struct target *target = tracer->command_target;
	struct command *command = &tracer->started;
	struct tracee *tracee;
	bool ended = true;
	int r;

	/* Until the program runs only its own stops count: threads that a sanitizer makes after fork are nobody's business. */
	if (ptrace(PTRACE_SEIZE, command->pid, 0, PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACEEXEC) < 0)
		return explain_refusal(command->pid, -errno, err);
	tracee = tracee_add(tracer, command->pid, command->pid, TRACEE_FOLLOWED);
	if (!tracee)
		return errmsg_errno(err, -ENOMEM, NULL, "starting the command");
	r = command_go(command);
	if (r >= 0)
		r = wait_for_exec(command->pid, &ended);
	if (r < 0)
		return errmsg_errno(err, r, NULL, "starting the command");
	if (ended) {
		command->pid = 0; /* waited for */
		r = command_result(command, target, err);
		return r < 0 ? r : errmsg_set(err, -ESRCH, NULL, 0, "%s was killed before it began", target->argv[0]);
	}
	ptrace(PTRACE_SETOPTIONS, command->pid, 0, tracer_options(tracer));
	tracer->command = command->pid;
	if (!tracer->arch)
		learn_application(tracer, command->pid);
	report_start(tracer, tracee, EVENT_EXEC, 0);
	ptrace(PTRACE_SYSCALL, command->pid, 0, 0);
	return 0;
}

int tracer_attach(struct tracer *tracer, struct errmsg *err)
{
	int r;

	for (size_t i = 0; i < tracer->n_targets; i++) {
		if (tracer->targets[i].kind != TARGET_PID)
			continue;
		r = attach_process(tracer, tracer->targets[i].pid, err);
		if (r < 0)
			return r;
		if (!tracer->arch)
			learn_application(tracer, tracer->targets[i].pid);
	}
	/* Last: it cannot be undone. */
	return tracer->command_target ? attach_command(tracer, err) : 0;
}
