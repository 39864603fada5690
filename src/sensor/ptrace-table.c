/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Who is traced: threads, their processes, and the address spaces that these live in. */
#include <linux/kcmp.h>
#include <sys/syscall.h>

#include "sensor/ptrace-tracer.h"

struct tracee *tracee_find(struct tracer *tracer, pid_t tid)
{
	return thread_table_find(tracer->tracees, (uint32_t)tid);
}

struct process *process_find(struct tracer *tracer, pid_t pid)
{
	return thread_table_find(tracer->processes, (uint32_t)pid);
}

static bool same_space(pid_t a, pid_t b)
{
	return syscall(SYS_kcmp, a, b, KCMP_VM, 0, 0) == 0;
}

void process_share_space(struct process *process, const struct process *maker)
{
	if (process->space != maker->space && same_space(process->pid, maker->pid)) {
		origin_space_unref(process->space);
		process->space = origin_space_ref(maker->space);
	}
}

void process_new_space(struct process *process)
{
	struct origin_space *space = origin_space_new();

	if (!space) {
		origin_space_distrust(process->space);
		return;
	}
	origin_space_unref(process->space);
	process->space = space;
}

static struct process *process_get(struct tracer *tracer, pid_t pid)
{
	bool is_new;
	struct process *process = thread_table_get(tracer->processes, (uint32_t)pid, &is_new);

	if (!process || !is_new)
		return process;
	process->pid = pid;
	process->space = origin_space_new();
	if (process->space)
		return process;
	thread_table_remove(tracer->processes, (uint32_t)pid);
	return NULL;
}

static void process_put(struct tracer *tracer, struct process *process)
{
	if (process->threads)
		return;
	origin_space_unref(process->space);
	identity_unref(process->identity);
	thread_table_remove(tracer->processes, (uint32_t)process->pid);
}

static void count_followed(struct tracer *tracer)
{
	atomic_store_explicit(&tracer->n_followed, (unsigned)thread_table_count(tracer->tracees), memory_order_relaxed);
}

struct tracee *tracee_add(struct tracer *tracer, pid_t tid, pid_t pid, enum tracee_state state)
{
	bool is_new;
	struct process *process = process_get(tracer, pid);
	struct tracee *tracee;

	if (!process)
		return NULL;
	tracee = thread_table_get(tracer->tracees, (uint32_t)tid, &is_new);
	if (!tracee) {
		process_put(tracer, process);
		return NULL;
	}
	*tracee = (struct tracee){ .tid = tid, .state = (uint8_t)state, .process = process };
	process->threads++;
	count_followed(tracer);
	return tracee;
}

void tracee_remove(struct tracer *tracer, struct tracee *tracee)
{
	struct process *process = tracee->process;

	report_return(tracer, tracee);
	tracer->held -= tracee->state == TRACEE_HELD;
	thread_table_remove(tracer->tracees, (uint32_t)tracee->tid);
	process->threads--;
	process_put(tracer, process);
	count_followed(tracer);
}

static void free_process(void *data, uint32_t pid, void *record)
{
	struct process *process = record;

	origin_space_unref(process->space);
	identity_unref(process->identity);
}

void tables_free(struct tracer *tracer)
{
	if (tracer->processes)
		thread_table_each(tracer->processes, free_process, NULL);
	tracer->processes = thread_table_free(tracer->processes);
	tracer->tracees = thread_table_free(tracer->tracees);
}
