/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the tracer tells: stops become events in the queue. */
#include <linux/audit.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <time.h>

#include "base/clock.h"
#include "sensor/ptrace-tracer.h"

#define X32_BIT 0x40000000U

#define HOLD_MAX         20000 /* us that a foreign call is held at most */
#define HOLDS_PER_SECOND 50
#define HOLDS_AT_ONCE    32
#define HOLD_PENALTY     10000 /* ms without holds after one that was in vain */

static const struct {
	const char *name;
	uint8_t classes;
} call_classes[] = {
	{ "mmap", CALL_MAPS },   { "mmap2", CALL_MAPS },  { "munmap", CALL_MAPS },        { "mremap", CALL_MAPS },
	{ "mprotect", CALL_MAPS }, { "shmat", CALL_MAPS }, { "shmdt", CALL_MAPS },        { "ipc", CALL_MAPS },
	{ "pkey_mprotect", CALL_MAPS }, { "remap_file_pages", CALL_MAPS },
	{ "fork", CALL_FORKS },  { "vfork", CALL_FORKS }, { "clone", CALL_FORKS },        { "clone3", CALL_FORKS },
	{ "execve", CALL_EXECS }, { "execveat", CALL_EXECS },
};

static enum syscall_arch arch_of_audit(uint32_t audit)
{
	switch (audit) {
	case AUDIT_ARCH_X86_64:
		return ARCH_X86_64;
	case AUDIT_ARCH_I386:
		return ARCH_I386;
	case AUDIT_ARCH_AARCH64:
		return ARCH_AARCH64;
	default:
		return ARCH_UNKNOWN;
	}
}

void report_init(struct tracer *tracer)
{
	/* A table that we do not have: anything may change mappings. */
	memset(tracer->classes[ARCH_UNKNOWN], CALL_MAPS, sizeof(tracer->classes[ARCH_UNKNOWN]));
	for (int arch = ARCH_UNKNOWN + 1; arch < ARCHES; arch++)
		for (size_t i = 0; i < ARRAY_SIZE(call_classes); i++) {
			int call = syscall_by_name((enum syscall_arch)arch, call_classes[i].name);

			if (call >= 0 && call < ALPHABET)
				tracer->classes[arch][call] = call_classes[i].classes;
		}
}

static uint8_t classify(const struct tracer *tracer, enum syscall_arch arch, uint32_t call)
{
	if (arch == ARCH_X86_64 && call & X32_BIT) {
		call &= ~X32_BIT;
		/* Most of x32 is the native table; exec has numbers of its own. */
		if (call == 520 || call == 545)
			return CALL_EXECS;
	}
	return call < ALPHABET || arch == ARCH_UNKNOWN ? tracer->classes[arch][call & (ALPHABET - 1)] : 0;
}

/* Forks, execs or exits that were lost: nobody knows any more which threads that concerned. false: still no room. */
static bool push_unknown_gap(struct tracer *tracer, uint64_t time)
{
	struct event gap = { .kind = EVENT_GAP, .time = time };

	if (tracer->lost && !event_queue_push(tracer->queue, &gap))
		return false;
	tracer->lost = 0;
	return true;
}

/* An event that is not a call. There is room for it as a rule. */
static void push(struct tracer *tracer, const struct event *event)
{
	if (!push_unknown_gap(tracer, event->time) || !event_queue_push(tracer->queue, event))
		tracer->lost++;
}

static uint64_t now(const struct tracer *tracer)
{
	return tracer->times ? clock_ns() : 0;
}

/* The calls that were lost stand before what follows, in the thread's own stream. */
static void push_gap(struct tracer *tracer, struct tracee *tracee)
{
	struct event gap = { .kind = EVENT_GAP, .tid = (uint32_t)tracee->tid, .lost = tracee->lost, .time = now(tracer) };

	if (!tracee->lost)
		return;
	push(tracer, &gap);
	tracee->lost = 0;
}

void report_start(struct tracer *tracer, struct tracee *tracee, enum event_kind kind, pid_t parent)
{
	struct event event = {
		.kind = (uint8_t)kind,
		.tid = (uint32_t)tracee->tid,
		.parent = (uint32_t)parent,
		.pid = (uint32_t)tracee->process->pid,
		.time = now(tracer),
	};

	identity_note(tracer, tracee, kind, parent);
	push_gap(tracer, tracee);
	push(tracer, &event);
}

void report_exit(struct tracer *tracer, struct tracee *tracee)
{
	struct event event = { .kind = EVENT_EXIT, .tid = (uint32_t)tracee->tid, .time = now(tracer) };

	push_gap(tracer, tracee);
	push(tracer, &event);
}

/*
 * A foreign call is kept at its entry until whoever dispatches has seen it: what an attacker does next must not be to
 * kill who would raise the alarm, and a response can still prevent this one. Not for long, not often (a program that
 * compiles itself makes many), and not again for someone who does not read.
 */
static void hold(struct tracer *tracer)
{
	struct timespec now;
	int64_t ms;

	event_queue_wake(tracer->queue);
	clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
	ms = (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
	tracer->holds = MIN(tracer->holds + (ms - tracer->held_ms) * HOLDS_PER_SECOND, HOLDS_AT_ONCE * 1000);
	tracer->held_ms = ms;
	if (tracer->holds < 1000)
		return;
	tracer->holds -= 1000;
	if (!event_queue_wait_read(tracer->queue, HOLD_MAX))
		tracer->holds = -(int64_t)HOLDS_PER_SECOND * HOLD_PENALTY;
}

static void push_call(struct tracer *tracer, struct tracee *tracee, const struct event *event)
{
	if (tracee->lost || tracer->lost) {
		if (!event_queue_takes_calls(tracer->queue)) {
			tracee->lost++;
			return;
		}
		push_unknown_gap(tracer, event->time);
		push_gap(tracer, tracee);
	}
	if (!event_queue_push(tracer->queue, event))
		tracee->lost++;
	else if (event_is_foreign(event->origin))
		hold(tracer);
}

/* The modules that events refer to go first. false: this one could not. */
static bool tell_modules(struct tracer *tracer, uint32_t module)
{
	while (tracer->modules_told < tracer->modules.n) {
		if (event_queue_push_module(tracer->queue, &tracer->modules.module[tracer->modules_told]) < 0)
			break;
		tracer->modules_told++;
	}
	return module < tracer->modules_told;
}

static void note_origin(struct tracer *tracer, struct tracee *tracee, const struct __ptrace_syscall_info *info,
			struct event *event)
{
	struct origin origin;

	origin_find(tracee->process->space, tracee->tid, info->instruction_pointer, info->stack_pointer, &tracer->modules,
		    &origin);
	if (tracer->origins)
		event->origin |= origin.kind;
	if (tracer->sites && tell_modules(tracer, origin.module))
		event->site = SITE(origin.module, origin.offset);
}

/* A child that is not followed may share the address space, and change it unseen. */
static void note_unfollowed(struct tracee *tracee, uint32_t call, const struct __ptrace_syscall_info *info,
			    enum syscall_arch arch)
{
	int clone = syscall_by_name(arch, "clone"), clone3 = syscall_by_name(arch, "clone3");
	uint64_t flags = CLONE_VM | CLONE_VFORK; /* vfork */
	struct iovec local = { .iov_base = &flags, .iov_len = sizeof(flags) };
	struct iovec remote = { .iov_base = (void *)(uintptr_t)info->entry.args[0], .iov_len = sizeof(flags) };

	if ((int)call == syscall_by_name(arch, "fork"))
		return;
	if ((int)call == clone)
		flags = info->entry.args[0];
	else if ((int)call == clone3 && process_vm_readv(tracee->tid, &local, 1, &remote, 1, 0) != (ssize_t)sizeof(flags))
		flags = CLONE_VM;
	if (!(flags & CLONE_VM) || flags & CLONE_THREAD)
		return;
	if (flags & CLONE_VFORK)
		tracee->doing |= CALL_MAPS; /* until it has run another program or ended, which is when the call returns */
	else
		origin_space_distrust(tracee->process->space);
}

/* ERESTARTSYS, ERESTARTNOINTR, ERESTARTNOHAND, ERESTART_RESTARTBLOCK: they never reach user space. */
static bool is_restart(long result)
{
	return (int)result == -512 || (int)result == -513 || (int)result == -514 || (int)result == -516;
}

void report_result(struct tracee *tracee, long result)
{
	tracee->interrupted = is_restart(result);
}

/* Was the thread's call interrupted so that the kernel will make it again? */
static bool call_restarts(const struct tracee *tracee)
{
#if defined(__x86_64__)
	return ptrace(PTRACE_PEEKUSER, tracee->tid, offsetof(struct user, regs.orig_rax), 0) >= 0 && /* else not in a call */
	       is_restart(ptrace(PTRACE_PEEKUSER, tracee->tid, offsetof(struct user, regs.rax), 0));
#elif defined(__i386__)
	return ptrace(PTRACE_PEEKUSER, tracee->tid, offsetof(struct user, regs.orig_eax), 0) >= 0 &&
	       is_restart(ptrace(PTRACE_PEEKUSER, tracee->tid, offsetof(struct user, regs.eax), 0));
#else
	return tracee->interrupted;
#endif
}

void report_signal(struct tracee *tracee, int signal)
{
	if (signal == SIGSTOP || signal == SIGTSTP || signal == SIGTTIN || signal == SIGTTOU)
		tracee->restart = RESTART_NATURAL;
	else if (tracee->restart == RESTART_NONE && call_restarts(tracee))
		tracee->restart = RESTART_HIDDEN;
}

static bool is_hidden_restart(const struct tracee *tracee, uint64_t call, uint64_t ip, enum syscall_arch arch)
{
	return tracee->restart == RESTART_HIDDEN && ip == tracee->ip &&
	       (call == tracee->call || (int)call == syscall_by_name(arch, "restart_syscall"));
}

void report_entry(struct tracer *tracer, struct tracee *tracee, const struct __ptrace_syscall_info *info)
{
	bool native = info->arch == tracer->audit_arch;
	enum syscall_arch arch = arch_of_audit(info->arch);
	uint32_t call = (uint32_t)info->entry.nr;
	struct event event = { .kind = EVENT_CALL, .tid = (uint32_t)tracee->tid, .time = now(tracer) };
	bool x32 = native && arch == ARCH_X86_64 && call & X32_BIT && !(call >> 31);

	event.origin = EVENT_FROM(ORIGIN_UNKNOWN, !native ? ABI_COMPAT : x32 ? ABI_X32 : ABI_NATIVE);
	event.call = (call & ~(x32 ? X32_BIT : 0)) < CALL_INVALID ? (uint16_t)call : CALL_INVALID;
	if (!is_hidden_restart(tracee, info->entry.nr, info->instruction_pointer, arch)) {
		if (tracer->origins || tracer->sites)
			note_origin(tracer, tracee, info, &event);
		push_call(tracer, tracee, &event);
		tracee->call = info->entry.nr;
	}
	tracee->ip = info->instruction_pointer;
	tracee->restart = RESTART_NONE;
	tracee->interrupted = false;

	if (tracee->in_call)
		report_return(tracer, tracee);
	tracee->in_call = true;
	tracee->doing = classify(tracer, arch, call);
	if (!tracee->doing)
		return;
	if (tracee->doing & CALL_FORKS) {
		tracer->forking++;
		if (!tracer->follow_fork)
			note_unfollowed(tracee, call, info, arch);
	}
	if (tracee->doing & CALL_EXECS)
		tracee->process->execing++;
	if (tracee->doing & CALL_MAPS)
		origin_change_begin(tracee->process->space);
}

void report_return(struct tracer *tracer, struct tracee *tracee)
{
	tracee->in_call = false;
	if (!tracee->doing)
		return;
	if (tracee->doing & CALL_FORKS)
		tracer->forking--;
	if (tracee->doing & CALL_EXECS)
		tracee->process->execing--;
	if (tracee->doing & CALL_MAPS)
		origin_change_end(tracee->process->space);
	tracee->doing = 0;
}
