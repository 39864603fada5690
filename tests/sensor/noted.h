/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a tracee's scenarios are made of: raw calls, each noted in the journal before it is made, and threads that live by them. */
#ifndef IMSAFE_TESTS_NOTED_H
#define IMSAFE_TESTS_NOTED_H

#include <errno.h>
#include <linux/futex.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/event.h"
#include "journal.h"

#define STACK (64 * 1024)

static struct journal *journal;

static long bare6(long n, long a, long b, long c, long d, long e, long f)
{
#if defined(__x86_64__)
	register long r10 __asm__("r10") = d;
	register long r8 __asm__("r8") = e;
	register long r9 __asm__("r9") = f;
	long r;

	__asm__ volatile("syscall" : "=a"(r) : "a"(n), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
			 : "rcx", "r11", "memory");
	return r;
#elif defined(__aarch64__)
	register long x8 __asm__("x8") = n;
	register long x0 __asm__("x0") = a;
	register long x1 __asm__("x1") = b;
	register long x2 __asm__("x2") = c;
	register long x3 __asm__("x3") = d;
	register long x4 __asm__("x4") = e;
	register long x5 __asm__("x5") = f;

	__asm__ volatile("svc #0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5) : "memory");
	return x0;
#else
	long r = syscall(n, a, b, c, d, e, f);

	return r < 0 ? -errno : r;
#endif
}

static long bare(long n, long a, long b, long c, long d, long e)
{
	return bare6(n, a, b, c, d, e, 0);
}

static void note(uint32_t tid, long call, uint8_t origin)
{
	unsigned i = atomic_fetch_add(&journal->n, 1);

	if (i >= JOURNAL_ENTRIES)
		bare(SYS_exit_group, 99, 0, 0, 0, 0);
	journal->entries[i] = (struct journal_entry){ .tid = tid, .call = (uint16_t)call, .origin = origin };
	atomic_fetch_add(&journal->progress, 1);
}

static long make(uint32_t tid, long n, long a, long b, long c, long d)
{
	note(tid, n, EVENT_FROM(ORIGIN_FILE, ABI_NATIVE));
	return bare(n, a, b, c, d, 0);
}

/* A new thread's first call tells it who it is; only then it can be noted. */
static uint32_t introduce(uint32_t parent)
{
	uint32_t tid = (uint32_t)bare(SYS_gettid, 0, 0, 0, 0, 0);
	unsigned i = atomic_fetch_add(&journal->n, 1);

	journal->entries[i] = (struct journal_entry){ .tid = tid, .parent = parent, .call = SYS_gettid,
						      .origin = EVENT_FROM(ORIGIN_FILE, ABI_NATIVE) };
	return tid;
}

static void fail(int number)
{
	atomic_store(&journal->failed, (unsigned)number);
}

static long fork_child(uint32_t tid)
{
	return make(tid, SYS_clone, SIGCHLD, 0, 0, 0);
}

static void end(uint32_t tid, int status)
{
	make(tid, SYS_exit_group, status, 0, 0, 0);
}

static void reap(uint32_t tid, long pid)
{
	long r;

	do
		r = make(tid, SYS_wait4, pid, 0, __WALL, 0);
	while (r == -EINTR);
}

struct thread {
	uint32_t parent;
	void (*body)(uint32_t tid, long argument);
	long argument;
	int alive;
	char *stack;
};

static int thread_main(void *data)
{
	struct thread *thread = data;
	uint32_t tid = introduce(thread->parent);

	thread->body(tid, thread->argument);
	make(tid, SYS_exit, 0, 0, 0, 0);
	return 0;
}

/* libc's clone() makes one call and no more; the kernel clears alive when the thread is gone. */
static void start_thread(uint32_t tid, struct thread *thread, void (*body)(uint32_t, long), long argument)
{
	int flags = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM | CLONE_CHILD_CLEARTID;

	thread->parent = tid;
	thread->body = body;
	thread->argument = argument;
	thread->alive = 1;
	note(tid, SYS_clone, EVENT_FROM(ORIGIN_FILE, ABI_NATIVE));
	if (clone(thread_main, thread->stack + STACK, flags, thread, NULL, NULL, &thread->alive) < 0)
		fail(2);
}

/* Not by yielding alone: on a busy machine that would fill the journal. */
static void join_thread(uint32_t tid, struct thread *thread)
{
	for (int i = 0; i < 100 && *(volatile int *)&thread->alive; i++)
		make(tid, SYS_sched_yield, 0, 0, 0, 0);
	while (*(volatile int *)&thread->alive)
		make(tid, SYS_futex, (long)&thread->alive, FUTEX_WAIT, 1, 0);
}

static void threads_new(struct thread *threads, int n)
{
	for (int i = 0; i < n; i++) {
		threads[i].stack = mmap(NULL, STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		memset(threads[i].stack, 0, STACK);
	}
}

static uint32_t mark(void)
{
	uint32_t tid = (uint32_t)bare(SYS_gettid, 0, 0, 0, 0, 0);

	make(tid, JOURNAL_MARK, 0, 0, 0, 0);
	return tid;
}

#endif
