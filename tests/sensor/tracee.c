/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Programs to be traced: tracee SCENARIO JOURNAL. From its mark on, a scenario makes raw calls alone and notes each in the
 * journal before it makes it.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "code.h"
#include "compat.h"
#include "noted.h"

static const char *self, *journal_path;

static void calls(uint32_t tid, long n)
{
	static const long some[] = { SYS_getppid, SYS_getuid, SYS_getgid, SYS_getpid, SYS_geteuid };

	for (long i = 0; i < n; i++)
		make(tid, some[i % 5], 0, 0, 0, 0);
	make(tid, 509, 0, 0, 0, 0); /* no such call */
	make(tid, 60000, 0, 0, 0, 0);
}

static void run_calls(void)
{
	uint32_t tid = mark();

	calls(tid, 3000);
	end(tid, 7);
}

static void run_forks(void)
{
	uint32_t tid = mark();

	for (int i = 0; i < 200; i++) {
		long pid = fork_child(tid);

		if (!pid) {
			uint32_t child = introduce(tid);

			calls(child, 3);
			if (i % 10 == 0) {
				long grandchild = fork_child(child);

				if (!grandchild) {
					uint32_t me = introduce(child);

					calls(me, 2);
					end(me, 0);
				}
				reap(child, grandchild);
			}
			end(child, 0);
		}
		if (i % 3 == 0)
			reap(tid, pid);
	}
	while (make(tid, SYS_wait4, -1, 0, 0, 0) > 0)
		;
	end(tid, 0);
}

static int vforked(void *data)
{
	uint32_t child = introduce(*(uint32_t *)data);

	calls(child, 3);
	end(child, 0);
	return 0;
}

static void run_vforks(void)
{
	static char stack[STACK] __attribute__((aligned(16)));
	uint32_t tid = mark();

	for (int i = 0; i < 50; i++) {
		int pid;

		note(tid, SYS_clone, EVENT_FROM(ORIGIN_FILE, ABI_NATIVE));
		pid = clone(vforked, stack + STACK, CLONE_VM | CLONE_VFORK | SIGCHLD, &tid);
		if (pid < 0)
			fail(3);
		reap(tid, pid);
	}
	end(tid, 0);
}

static void body_calls(uint32_t tid, long n)
{
	calls(tid, n);
}

static void run_threads(void)
{
	struct thread threads[8] = { 0 };
	uint32_t tid;

	threads_new(threads, 8);
	tid = mark();
	for (int round = 0; round < 10; round++) {
		for (int i = 0; i < 8; i++)
			start_thread(tid, &threads[i], body_calls, 100 + i);
		for (int i = 0; i < 8; i++)
			join_thread(tid, &threads[i]);
	}
	end(tid, 0);
}

static void exec_self(uint32_t tid, const char *scenario)
{
	char *argv[] = { (char *)self, (char *)scenario, (char *)journal_path, NULL };

	make(tid, SYS_execve, (long)"/nonexistent", (long)argv, (long)environ, 0);
	make(tid, SYS_execve, (long)self, (long)argv, (long)environ, 0);
	fail(4);
}

static void run_exec(void)
{
	uint32_t tid = mark();

	calls(tid, 5);
	exec_self(tid, "calls");
}

static void body_exec(uint32_t tid, long argument)
{
	calls(tid, 2);
	exec_self(tid, "calls");
}

/* Whoever ends it may be kept waiting for a processor: the journal has to have room for what is made until then. */
static void body_busy(uint32_t tid, long argument)
{
	for (;;)
		if (atomic_load(&journal->n) < JOURNAL_ENTRIES / 2)
			make(tid, SYS_getppid, 0, 0, 0, 0);
}

/* pause(), which not every architecture has as a call */
static void body_sleep(uint32_t tid, long argument)
{
	make(tid, SYS_ppoll, 0, 0, 0, 0);
}

/* The leader is making calls, or asleep, while another thread of its process runs a new program. */
static void exec_thread(bool busy)
{
	struct thread threads[3] = { 0 };
	uint32_t tid;

	threads_new(threads, 3);
	tid = mark();
	start_thread(tid, &threads[0], body_busy, 0);
	start_thread(tid, &threads[1], body_sleep, 0);
	start_thread(tid, &threads[2], body_exec, 0);
	if (busy)
		body_busy(tid, 0);
	body_sleep(tid, 0);
}

static void run_exec_thread_busy(void)
{
	exec_thread(true);
}

static void run_exec_thread_asleep(void)
{
	exec_thread(false);
}

/* On aarch64 it is the kernel's own page that returns from handlers, elsewhere libc. */
#if defined(__aarch64__)
#define SIGRETURN_ORIGIN ORIGIN_VDSO
#else
#define SIGRETURN_ORIGIN ORIGIN_FILE
#endif

static volatile uint32_t signal_tid;
static volatile int signals_seen;

static void on_signal(int signal, siginfo_t *info, void *context)
{
	make(signal_tid, SYS_getpid, 0, 0, 0, 0);
	signals_seen++;
	if (signal == SIGUSR2 && (info->si_code != SI_QUEUE || info->si_value.sival_int != 4711))
		fail(5);
	note(signal_tid, SYS_rt_sigreturn, EVENT_FROM(SIGRETURN_ORIGIN, ABI_NATIVE));
}

static void run_signals(void)
{
	struct sigaction action = { .sa_sigaction = on_signal, .sa_flags = SA_SIGINFO };
	siginfo_t info = { .si_signo = SIGUSR2, .si_code = SI_QUEUE };
	uint32_t tid;

	info.si_value.sival_int = 4711;
	info.si_pid = getpid();
	sigaction(SIGUSR1, &action, NULL);
	sigaction(SIGUSR2, &action, NULL);
	sigaction(SIGTRAP, &action, NULL);
	signal(SIGCHLD, SIG_IGN);
	signal_tid = tid = mark();
	for (int i = 0; i < 100; i++) {
		make(tid, SYS_kill, tid, SIGUSR1, 0, 0);
		make(tid, SYS_rt_sigqueueinfo, tid, SIGUSR2, (long)&info, 0);
		make(tid, SYS_tgkill, tid, tid, SIGTRAP, 0);
		make(tid, SYS_kill, tid, SIGCHLD, 0, 0);
	}
	if (signals_seen != 300)
		fail(6);
	make(tid, SYS_kill, tid, SIGTERM, 0, 0);
	fail(7);
}

/* Job control within the family: the parent must see its child stop and go on, and a stopped child must stand still. */
static void run_stops(void)
{
	static const int stops[] = { SIGSTOP, SIGTSTP };
	uint32_t tid = mark();

	for (int i = 0; i < 6; i++) {
		int status = 0;
		unsigned long before;
		long pid = fork_child(tid);

		if (!pid)
			body_busy(introduce(tid), 0);
		/* The test may run in an orphaned process group, where SIGTSTP does nothing; this one has a parent outside. */
		make(tid, SYS_setpgid, pid, pid, 0, 0);
		make(tid, SYS_sched_yield, 0, 0, 0, 0);
		make(tid, SYS_kill, pid, stops[i % 2], 0, 0);
		if (make(tid, SYS_wait4, pid, (long)&status, WUNTRACED, 0) != pid || !WIFSTOPPED(status) ||
		    WSTOPSIG(status) != stops[i % 2])
			fail(8);
		before = atomic_load(&journal->progress);
		for (int k = 0; k < 20; k++)
			make(tid, SYS_sched_yield, 0, 0, 0, 0);
		if (atomic_load(&journal->progress) != before + 20)
			fail(9);
		make(tid, SYS_kill, pid, SIGCONT, 0, 0);
		if (make(tid, SYS_wait4, pid, (long)&status, WCONTINUED, 0) != pid || !WIFCONTINUED(status))
			fail(10);
		make(tid, SYS_kill, pid, SIGKILL, 0, 0);
		if (make(tid, SYS_wait4, pid, (long)&status, 0, 0) != pid || !WIFSIGNALED(status))
			fail(11);
	}
	end(tid, 0);
}

static void run_storm(void)
{
	uint32_t tid = mark();

	for (int i = 0; i < 1000; i++) {
		if (!fork_child(tid)) {
			uint32_t child = introduce(tid);

			end(child, 0);
		}
		if (i % 50 == 49)
			while (make(tid, SYS_wait4, -1, 0, 0, 0) > 0)
				;
	}
	for (int i = 0; i < 60; i++) {
		if (!fork_child(tid))
			exec_self(introduce(tid), "one");
		if (i % 20 == 19)
			while (make(tid, SYS_wait4, -1, 0, 0, 0) > 0)
				;
	}
	end(tid, 0);
}

static void run_one(void)
{
	end(mark(), 0);
}

/* Children are killed at any moment, also while they make children themselves. */
static void run_kills(void)
{
	uint32_t tid = mark();

	for (int i = 0; i < 100; i++) {
		long pid = fork_child(tid);

		if (!pid) {
			uint32_t child = introduce(tid);

			for (int k = 0; k < 500; k++) {
				if (i % 2 && !fork_child(child))
					end(introduce(child), 0);
				make(child, SYS_getppid, 0, 0, 0, 0);
			}
			body_sleep(child, 0);
		}
		for (int k = 0; k < i % 7; k++)
			make(tid, SYS_sched_yield, 0, 0, 0, 0);
		make(tid, SYS_kill, pid, SIGKILL, 0, 0);
		reap(tid, pid);
	}
	end(tid, 0);
}

/* The process ends while its threads are inside calls. */
static void run_exit_group(void)
{
	struct thread threads[4] = { 0 };
	uint32_t tid;

	threads_new(threads, 4);
	tid = mark();
	for (int i = 0; i < 4; i++)
		start_thread(tid, &threads[i], i % 2 ? body_busy : body_sleep, 0);
	calls(tid, 50);
	end(tid, 3);
}

/* The leader ends first, its threads go on. */
static void body_after_leader(uint32_t tid, long argument)
{
	calls(tid, 300);
	end(tid, 5);
}

static void run_leader_exit(void)
{
	struct thread thread = { 0 };
	uint32_t tid;

	threads_new(&thread, 1);
	tid = mark();
	start_thread(tid, &thread, body_after_leader, 0);
	make(tid, SYS_exit, 0, 0, 0, 0);
}

#ifdef HAVE_CODE
static void run_code(uint32_t tid, void *at, uint8_t origin)
{
	note(tid, SYS_getppid, EVENT_FROM(origin, ABI_NATIVE));
	((void (*)(void))at)();
}

static void put_code(void *at, size_t size)
{
	memcpy(at, code, size);
	__builtin___clear_cache(at, (char *)at + size);
}

static char *page_of(void *p, size_t page)
{
	return (char *)((uintptr_t)p & -page);
}

static char *map(uint32_t tid, void *at, size_t size, int protection, int flags, int fd)
{
	note(tid, SYS_mmap, EVENT_FROM(ORIGIN_FILE, ABI_NATIVE));
	return (char *)bare6(SYS_mmap, (long)at, (long)size, protection, flags, fd, 0);
}

static void run_foreign(void)
{
	const int any = PROT_READ | PROT_WRITE | PROT_EXEC;
	size_t size = (size_t)sysconf(_SC_PAGESIZE);
	char on_stack[64] __attribute__((aligned(16)));
	char name[] = "/tmp/imsafe-code-XXXXXX";
	int file = mkstemp(name), memory = (int)syscall(SYS_memfd_create, "code", 0), zero = open("/dev/zero", O_RDWR);
	char *heap = page_of((char *)sbrk(2 * (intptr_t)size) + size, size), *page = calloc(1, size), *anonymous, *mapping, *edge;
	uint32_t tid;

	unlink(name);
	memcpy(page, (const char *)code + CODE_CALL, CODE_RETURN);
	memcpy(page + 64, code, sizeof(code));
	if (write(file, page, size) != (ssize_t)size || write(memory, page, size) != (ssize_t)size)
		fail(12);
	tid = mark();
	for (int round = 0; round < 2; round++) {
		anonymous = map(tid, NULL, 2 * size, any, MAP_PRIVATE | MAP_ANONYMOUS, -1);
		put_code(anonymous, sizeof(code));
		run_code(tid, anonymous, ORIGIN_ANON);
		make(tid, SYS_getuid, 0, 0, 0, 0);
		run_code(tid, anonymous, ORIGIN_ANON);
		/* The same place becomes a file's: what was remembered of it must be forgotten. */
		map(tid, anonymous, size, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_FIXED, file);
		run_code(tid, anonymous + 64, ORIGIN_FILE);
		make(tid, SYS_mprotect, (long)anonymous, (long)size, any, 0);
		run_code(tid, anonymous + 64, ORIGIN_WRITABLE);
		/* A call at the very end of anonymous memory, behind which a file begins. */
		mapping = map(tid, NULL, 2 * size, any, MAP_PRIVATE | MAP_ANONYMOUS, -1);
		map(tid, mapping + size, size, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_FIXED, file);
		edge = mapping + size - CODE_CALL;
		put_code(edge, CODE_CALL);
		run_code(tid, edge, ORIGIN_ANON);
		/* A file that is only memory. */
		mapping = map(tid, NULL, size, PROT_READ | PROT_EXEC, MAP_PRIVATE, memory);
		run_code(tid, mapping + 64, ORIGIN_ANON);
		/* Memory as it was had before there was MAP_ANONYMOUS. */
		mapping = map(tid, NULL, size, any, MAP_PRIVATE, zero);
		put_code(mapping, sizeof(code));
		make(tid, SYS_mprotect, (long)mapping, (long)size, PROT_READ | PROT_EXEC, 0);
		run_code(tid, mapping, ORIGIN_ANON);
		/* Huge pages, which the kernel makes of a file, if this machine has any. */
		mapping = map(tid, NULL, size, any, MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, -1);
		if ((intptr_t)mapping > 0) {
			put_code(mapping, sizeof(code));
			run_code(tid, mapping, ORIGIN_ANON);
		}

		make(tid, SYS_mprotect, (long)heap, (long)size, any, 0);
		put_code(heap, sizeof(code));
		run_code(tid, heap, ORIGIN_HEAP);
		put_code(on_stack, sizeof(code));
		make(tid, SYS_mprotect, (long)page_of(on_stack, size), 2 * (long)size, any, 0);
		run_code(tid, on_stack, ORIGIN_STACK);
	}
	end(tid, 0);
}
#endif

#ifdef __x86_64__
static void run_compat(void)
{
	uint32_t tid = mark();
	long r;

	note(tid, 20, EVENT_FROM(ORIGIN_FILE, ABI_COMPAT)); /* getpid of i386 */
	__asm__ volatile("int $0x80" : "=a"(r) : "a"(20) : "memory", "r8", "r9", "r10", "r11");
	note(tid, SYS_getuid, EVENT_FROM(ORIGIN_FILE, ABI_X32));
	bare(0x40000000 + SYS_getuid, 0, 0, 0, 0, 0);
	make(tid, SYS_getppid, 0, 0, 0, 0);
	end(tid, 0);
}
#define HAVE_COMPAT 1
#elif defined(__aarch64__)
/* Becomes a 32-bit program, beside the journal, whose notes are made for it. */
static void run_compat(void)
{
	static char path[128];
	char *argv[] = { path, NULL };
	uint32_t tid;

	snprintf(path, sizeof(path), "%s.arm", journal_path);
	if (!compat_program(path))
		fail(13);
	tid = mark();
	make(tid, SYS_getuid, 0, 0, 0, 0);
	note(tid, SYS_execve, EVENT_FROM(ORIGIN_FILE, ABI_NATIVE));
	note(tid, ARM_MARK, EVENT_FROM(ORIGIN_FILE, ABI_COMPAT));
	note(tid, ARM_GETPPID, EVENT_FROM(ORIGIN_FILE, ABI_COMPAT));
	note(tid, ARM_EXIT, EVENT_FROM(ORIGIN_FILE, ABI_COMPAT));
	bare(SYS_execve, (long)path, (long)argv, (long)environ, 0, 0);
	fail(14);
}
#define HAVE_COMPAT 1
#endif

/* For attaching: works until told to stop, with threads that come and go. */
static void body_some(uint32_t tid, long argument)
{
	for (int i = 0; i < 20; i++)
		bare(SYS_getppid, 0, 0, 0, 0, 0);
	bare(SYS_exit, 0, 0, 0, 0, 0);
}

static void run_server(void)
{
	struct thread threads[4] = { 0 };

	threads_new(threads, 4);
	atomic_store(&journal->ready, 1);
	while (!atomic_load(&journal->go)) {
		for (int i = 0; i < 4; i++)
			if (!*(volatile int *)&threads[i].alive) {
				atomic_store(&journal->n, 0); /* only its progress is of interest */
				start_thread(0, &threads[i], body_some, 0);
			}
		bare(SYS_getppid, 0, 0, 0, 0, 0);
		atomic_fetch_add(&journal->progress, 1);
	}
	bare(SYS_exit_group, 42, 0, 0, 0, 0);
}

/* For attaching: a known number of calls of one kind, when told to. */
static void run_count(void)
{
	atomic_store(&journal->ready, 1);
	while (!atomic_load(&journal->go))
		usleep(1000);
	for (unsigned long i = atomic_load(&journal->go); i; i--) {
		bare(SYS_getppid, 0, 0, 0, 0, 0);
		atomic_fetch_add_explicit(&journal->progress, 1, memory_order_relaxed);
	}
	bare(SYS_exit_group, 0, 0, 0, 0, 0);
}

/* Signals that must arrive although the tracer comes and goes: counts them. */
static void on_count(int signal)
{
	atomic_fetch_add(&journal->progress, 1);
}

static void run_receiver(void)
{
	signal(SIGRTMIN, on_count);
	atomic_store(&journal->ready, 1);
	while (!atomic_load(&journal->go))
		bare(SYS_getppid, 0, 0, 0, 0, 0);
	bare(SYS_exit_group, 0, 0, 0, 0, 0);
}

static const struct {
	const char *name;
	void (*run)(void);
} scenarios[] = {
	{ "calls", run_calls },
	{ "forks", run_forks },
	{ "vforks", run_vforks },
	{ "threads", run_threads },
	{ "exec", run_exec },
	{ "exec-thread-busy", run_exec_thread_busy },
	{ "exec-thread-asleep", run_exec_thread_asleep },
	{ "signals", run_signals },
	{ "stops", run_stops },
	{ "storm", run_storm },
	{ "one", run_one },
	{ "kills", run_kills },
	{ "exit-group", run_exit_group },
	{ "leader-exit", run_leader_exit },
#ifdef HAVE_CODE
	{ "foreign", run_foreign },
#endif
#ifdef HAVE_COMPAT
	{ "compat", run_compat },
#endif
	{ "server", run_server },
	{ "count", run_count },
	{ "receiver", run_receiver },
};

int main(int argc, char **argv)
{
	int fd;

	if (argc != 3)
		return 64;
	/* Where Yama lets only parents trace: the tests' tracers are not always that. */
	prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY, 0, 0, 0);
	self = "/proc/self/exe";
	if (!strcmp(argv[1], "nap"))
		for (;;)
			pause();
	journal_path = argv[2];
	fd = open(journal_path, O_RDWR);
	journal = mmap(NULL, sizeof(*journal), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (fd < 0 || journal == MAP_FAILED)
		return 65;
	close(fd);
	for (size_t i = 0; i < sizeof(scenarios) / sizeof(*scenarios); i++)
		if (!strcmp(scenarios[i].name, argv[1]))
			scenarios[i].run();
	return 66;
}
