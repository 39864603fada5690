/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * An application to be guarded: a habit of calls, and ways to break it. Every argument is a step:
 *   normal:N   the habit, N times          odd:N      calls that are no part of it
 *   stack heap anon writable                 one getppid from code in such memory
 *   int80 x32                                 one call through that door
 *   threads:N  forks:N                        N threads or children with the habit (200 times)
 *   exec                                      executes itself with the steps that follow
 *   thread-exec                               the same, from a thread
 *   wait:MS                                   sleeps
 *   spawn:N                                   N children, one after another, that execute this program and end
 *   reuse:N                                   N children with the same process id, on one CPU after another
 *   busy:N                                    four threads with exactly N calls each, then their ends
 *   uring                                     has the kernel help it by a thread of its own (exit status 3: it does not)
 *   enter:DIR  born:DIR                       moves to a cgroup; has a child with the habit that begins in it
 *   mapping:N                                 from here on N threads map code, so that the kernel cannot always say what is where
 *   read                                      until standard input is closed
 *   again                                     all steps from the first, until standard input is closed
 */
#include <fcntl.h>
#include <linux/io_uring.h>
#include <linux/sched.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "code.h"

static char **steps;

static void normal(long n)
{
	while (n-- > 0) {
		syscall(SYS_getppid);
		syscall(SYS_getuid);
		syscall(SYS_getppid);
		syscall(SYS_getgid);
		if (n % 3 == 0)
			syscall(SYS_geteuid);
	}
}

static void odd(long n)
{
	static const int calls[] = { SYS_getpriority, SYS_sched_yield, SYS_getegid, SYS_sync_file_range, SYS_umask };

	while (n-- > 0)
		syscall(calls[n % 5], -1);
}

#ifdef HAVE_CODE
static void run_at(unsigned char *at, size_t size)
{
	long page = sysconf(_SC_PAGESIZE);
	unsigned char *start = (unsigned char *)((unsigned long)at & -(unsigned long)page);

	memcpy(at, code, sizeof(code));
	__builtin___clear_cache((char *)at, (char *)at + sizeof(code));
	if (mprotect(start, (size_t)(at - start) + size, PROT_READ | PROT_WRITE | PROT_EXEC) < 0) {
		perror("mprotect");
		exit(3);
	}
	((void (*)(void))at)();
}

static void foreign(const char *where)
{
	unsigned char stack[64] __attribute__((aligned(16)));

	if (!strcmp(where, "stack")) {
		run_at(stack, sizeof(code));
	} else if (!strcmp(where, "heap")) {
		run_at(sbrk(4096), sizeof(code));
	} else if (!strcmp(where, "anon")) {
		run_at(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), sizeof(code));
	} else if (!strcmp(where, "writable")) {
		int fd = open("/proc/self/exe", O_RDONLY);

		run_at(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0), sizeof(code));
#ifdef __x86_64__
	} else if (!strcmp(where, "int80")) {
		long result;

		__asm__ volatile("int $0x80" : "=a"(result) : "a"(64L) : "memory"); /* getppid there */
	} else if (!strcmp(where, "x32")) {
		syscall(0x40000000 | SYS_getppid);
#endif
	}
}
#endif

static void *habit(void *data)
{
	normal(200);
	return NULL;
}

static void *become(void *data)
{
	execv("/proc/self/exe", steps);
	_exit(3);
}

static void *map_code(void *data)
{
	for (;;) {
		void *at = mmap(NULL, 1 << 20, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		munmap(at, 1 << 20);
	}
	return NULL;
}

static void mapping(long n)
{
	pthread_t thread;

	while (n-- > 0)
		if (pthread_create(&thread, NULL, map_code, NULL))
			exit(3);
}

static void threads(long n)
{
	pthread_t thread[64];

	for (long i = 0; i < n && i < 64; i++)
		if (pthread_create(&thread[i], NULL, habit, NULL))
			exit(3);
	for (long i = 0; i < n && i < 64; i++)
		pthread_join(thread[i], NULL);
}

static void forks(long n)
{
	for (long i = 0; i < n; i++)
		if (!fork()) {
			normal(200);
			_exit(0);
		}
	while (wait(NULL) > 0)
		;
}

static void spawn(long n)
{
	char name[] = "subject", *argv[] = { name, NULL };
	char *environment[] = { NULL };

	for (volatile long i = 0; i < n; i++) {
		pid_t pid = vfork();

		if (!pid) {
			execve("/proc/self/exe", argv, environment);
			_exit(3);
		}
		if (pid < 0 || waitpid(pid, NULL, 0) < 0)
			exit(3);
	}
}

static void reuse(long n)
{
	int last = open("/proc/sys/kernel/ns_last_pid", O_WRONLY);
	pid_t wanted = 0;

	for (long i = 0; i < n; i++) {
		char text[32];
		cpu_set_t cpus;
		pid_t pid;

		if (wanted && pwrite(last, text, (size_t)sprintf(text, "%d", wanted - 1), 0) < 0)
			exit(4);
		CPU_ZERO(&cpus);
		CPU_SET(i % sysconf(_SC_NPROCESSORS_ONLN), &cpus);
		sched_setaffinity(0, sizeof(cpus), &cpus);
		pid = fork();
		if (!pid) {
			normal(i % 5);
			_exit(0);
		}
		if (pid < 0 || waitpid(pid, NULL, 0) < 0)
			exit(3);
		wanted = pid;
	}
}

static long busy_calls;

static void *be_busy(void *data)
{
	for (long i = 0; i < busy_calls; i++)
		syscall(SYS_getppid);
	syscall(SYS_exit, 0); /* without what libc does at a thread's end */
	return NULL;
}

static void busy(long n)
{
	pthread_t thread;

	busy_calls = n;
	for (int i = 0; i < 4; i++)
		if (pthread_create(&thread, NULL, be_busy, NULL))
			exit(3);
	/* They cannot be joined, having ended on their own: gone when we are alone. */
	for (char line[256]; ;) {
		FILE *status = fopen("/proc/self/status", "r");
		int threads = 0;

		while (status && fgets(line, sizeof(line), status))
			if (sscanf(line, "Threads: %d", &threads) == 1)
				break;
		if (status)
			fclose(status);
		if (threads == 1)
			break;
		usleep(2000);
	}
}

static void uring(void)
{
	struct io_uring_params params = { .flags = IORING_SETUP_SQPOLL };

	if (syscall(SYS_io_uring_setup, 8, &params) < 0)
		exit(3);
}

static void enter(const char *group)
{
	char path[4096];
	int fd;

	snprintf(path, sizeof(path), "%s/cgroup.procs", group);
	fd = open(path, O_WRONLY);
	if (fd < 0 || write(fd, "0", 1) != 1)
		exit(3);
	close(fd);
}

static void born(const char *group)
{
	int fd = open(group, O_PATH | O_DIRECTORY);
	struct clone_args args = { .flags = CLONE_INTO_CGROUP, .exit_signal = SIGCHLD, .cgroup = (__u64)fd };
	long pid = syscall(SYS_clone3, &args, sizeof(args));

	if (!pid) {
		normal(200);
		_exit(0);
	}
	if (pid < 0 || waitpid((pid_t)pid, NULL, 0) < 0)
		exit(4);
	close(fd);
}

static void read_input(void)
{
	char bytes[64];

	while (read(STDIN_FILENO, bytes, sizeof(bytes)) > 0)
		;
}

static bool is_open(int fd)
{
	struct pollfd input = { .fd = fd, .events = POLLIN };

	return poll(&input, 1, 0) == 0;
}

int main(int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		const char *colon = strchr(argv[i], ':');
		long n = colon ? strtol(colon + 1, NULL, 10) : 0;
		pthread_t thread;

		steps = &argv[i];
		if (!strncmp(argv[i], "normal:", 7))
			normal(n);
		else if (!strncmp(argv[i], "odd:", 4))
			odd(n);
		else if (!strncmp(argv[i], "threads:", 8))
			threads(n);
		else if (!strncmp(argv[i], "forks:", 6))
			forks(n);
		else if (!strncmp(argv[i], "spawn:", 6))
			spawn(n);
		else if (!strncmp(argv[i], "reuse:", 6))
			reuse(n);
		else if (!strncmp(argv[i], "busy:", 5))
			busy(n);
		else if (!strncmp(argv[i], "wait:", 5))
			usleep((useconds_t)n * 1000);
		else if (!strcmp(argv[i], "uring"))
			uring();
		else if (!strncmp(argv[i], "mapping:", 8))
			mapping(n);
		else if (!strncmp(argv[i], "enter:", 6))
			enter(colon + 1);
		else if (!strncmp(argv[i], "born:", 5))
			born(colon + 1);
		else if (!strcmp(argv[i], "read"))
			read_input();
		else if (!strcmp(argv[i], "again"))
			i = is_open(STDIN_FILENO) ? 0 : i;
		else if (!strcmp(argv[i], "exec"))
			become(NULL);
		else if (!strcmp(argv[i], "thread-exec") && !pthread_create(&thread, NULL, become, NULL))
			pause();
#ifdef HAVE_CODE
		else
			foreign(argv[i]);
#endif
	}
	return 0;
}
