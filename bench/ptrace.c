/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the ptrace sensor costs the application: time per call of a program that does nothing but call getppid, beside a
 * bare PTRACE_SYSCALL loop (the least that ptrace can cost) and strace, in turns within one run. The program measures
 * itself, so that starting it and attaching are not counted. On a busy machine trust the processor time (of tracer and
 * traced together, start included) rather than the time that passed.
 *   bench-ptrace [CALLS [ROUNDS [IMSAFE]]]
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

#include "base/options.h"
#include "sensor/sensor.h"

#define ROUNDS_MAX 100

static unsigned long long calls = 50000;
static char self[4096], result_path[] = "/tmp/imsafe-bench-XXXXXX";
static char number[32];
static const char *imsafe;

static uint64_t now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000U + (uint64_t)t.tv_nsec;
}

/* The application. Its processes take turns in nothing: they all call at once. */
static int spin(unsigned long long n, unsigned processes, const char *path)
{
	uint64_t start;
	FILE *file;

	for (unsigned long long i = 0; i < n / 10; i++)
		syscall(SYS_getppid);
	start = now();
	for (unsigned i = 1; i < processes; i++)
		if (!fork()) {
			for (unsigned long long k = 0; k < n / processes; k++)
				syscall(SYS_getppid);
			_exit(0);
		}
	for (unsigned long long k = 0; k < n / processes; k++)
		syscall(SYS_getppid);
	while (wait(NULL) > 0)
		;
	start = now() - start;
	file = fopen(path, "we");
	if (!file)
		return 1;
	fprintf(file, "%" PRIu64 "\n", start);
	return fclose(file) ? 1 : 0;
}

static char *spin_argv[] = { self, (char *)"--spin", number, NULL, result_path, NULL };

static pid_t start(char *const *argv)
{
	pid_t pid = fork();

	if (!pid) {
		int null = open("/dev/null", O_WRONLY);

		dup2(null, 2);
		execvp(argv[0], argv);
		_exit(127);
	}
	return pid;
}

static int wait_ok(pid_t pid)
{
	int status;

	return waitpid(pid, &status, 0) == pid && status == 0 ? 0 : -1;
}

static int run_untraced(void)
{
	return wait_ok(start(spin_argv));
}

static int run_bare(void)
{
	long options = PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACEFORK | PTRACE_O_TRACECLONE | PTRACE_O_TRACEEXEC;
	int status, result = -1;
	pid_t pid = fork(), tid;

	if (!pid) {
		raise(SIGSTOP);
		execv(spin_argv[0], spin_argv);
		_exit(127);
	}
	waitpid(pid, &status, WUNTRACED);
	if (ptrace(PTRACE_SEIZE, pid, 0, options) < 0)
		return -1;
	kill(pid, SIGCONT);
	while ((tid = waitpid(-1, &status, __WALL)) > 0) {
		int signal = WSTOPSIG(status);

		if (!WIFSTOPPED(status)) {
			if (tid == pid)
				result = status ? -1 : 0;
			continue;
		}
		ptrace(PTRACE_SYSCALL, tid, 0, status >> 16 || signal == (SIGTRAP | 0x80) ? 0 : signal);
	}
	return result;
}

static int ignore(void *data, const struct event *events, size_t n)
{
	return 0;
}

static int run_sensor(bool all)
{
	const struct target target = { .kind = TARGET_COMMAND, .argv = spin_argv };
	const struct sensor_config config = {
		.targets = &target, .n_targets = 1, .follow_fork = true, .follow_exec = true, .origins = all, .sites = all, .times = all,
	};
	struct errmsg err = { 0 };
	struct sensor *sensor;
	int r = sensor_open("ptrace", &config, &sensor, &err), status;

	if (r < 0) {
		errmsg_print(&err, stderr, "bench-ptrace");
		return r;
	}
	do {
		struct pollfd fd = { .fd = sensor->ops->fd(sensor), .events = POLLIN };

		poll(&fd, 1, -1);
		r = sensor->ops->dispatch(sensor, ignore, NULL, &err);
	} while (r > 0);
	status = sensor->exit_status;
	sensor_close(sensor);
	return r < 0 ? r : status ? -1 : 0;
}

static int run_plain_sensor(void)
{
	return run_sensor(false);
}

static int run_full_sensor(void)
{
	return run_sensor(true);
}

static int run_strace(void)
{
	char *argv[] = { (char *)"strace", (char *)"-f", (char *)"-o", (char *)"/dev/null", self, spin_argv[1], spin_argv[2],
			 spin_argv[3], spin_argv[4], NULL };

	return wait_ok(start(argv));
}

static int run_imsafe(void)
{
	char *argv[] = { (char *)imsafe, (char *)"trace", (char *)"--sensor=ptrace", (char *)"-f", (char *)"-o", (char *)"/dev/null",
			 (char *)"--", self, spin_argv[1], spin_argv[2], spin_argv[3], spin_argv[4], NULL };

	return imsafe ? wait_ok(start(argv)) : -1;
}

static const struct {
	const char *name;
	int (*run)(void);
} contenders[] = {
	{ "no tracer", run_untraced },
	{ "bare PTRACE_SYSCALL loop", run_bare },
	{ "sensor, calls alone", run_plain_sensor },
	{ "sensor, origins, sites, times", run_full_sensor },
	{ "imsafe trace -f -o /dev/null", run_imsafe },
	{ "strace -f -o /dev/null", run_strace },
};

enum { CONTENDERS = ARRAY_SIZE(contenders), BARE = 1 };

/* Processor time of this process and of the children it has waited for, in ns. */
static double processor_time(void)
{
	struct rusage self_usage, children;

	getrusage(RUSAGE_SELF, &self_usage);
	getrusage(RUSAGE_CHILDREN, &children);
	return 1e9 * (double)(self_usage.ru_utime.tv_sec + self_usage.ru_stime.tv_sec + children.ru_utime.tv_sec +
			      children.ru_stime.tv_sec) +
	       1e3 * (double)(self_usage.ru_utime.tv_usec + self_usage.ru_stime.tv_usec + children.ru_utime.tv_usec +
			      children.ru_stime.tv_usec);
}

static int measure(int (*run)(void), double *ret_ns, double *ret_processor)
{
	unsigned long long ns = 0;
	double before = processor_time();
	FILE *file;

	if (truncate(result_path, 0) < 0 || run() < 0)
		return -1;
	*ret_processor = (processor_time() - before) / (double)calls;
	file = fopen(result_path, "re");
	if (!file)
		return -1;
	if (fscanf(file, "%llu", &ns) != 1)
		ns = 0;
	fclose(file);
	*ret_ns = (double)ns / (double)calls;
	return ns ? 0 : -1;
}

static int compare(const void *a, const void *b)
{
	return (*(const double *)a > *(const double *)b) - (*(const double *)a < *(const double *)b);
}

static void bench(const char *title, const char *processes, unsigned rounds)
{
	static double times[CONTENDERS][ROUNDS_MAX], processor[CONTENDERS][ROUNDS_MAX];
	unsigned n[CONTENDERS] = { 0 };

	spin_argv[3] = (char *)processes;
	for (unsigned round = 0; round < rounds; round++)
		for (unsigned i = 0; i < CONTENDERS; i++)
			n[i] += measure(contenders[i].run, &times[i][n[i]], &processor[i][n[i]]) == 0;
	printf("%s: ns per call of %u rounds, and how many times the bare loop's\n  %-30s %16s   %16s   %16s\n", title, rounds, "",
	       "median", "best", "processor time");
	for (unsigned i = 0; i < CONTENDERS; i++) {
		qsort(times[i], n[i], sizeof(double), compare);
		qsort(processor[i], n[i], sizeof(double), compare);
	}
	for (unsigned i = 0; i < CONTENDERS; i++) {
		if (!n[i])
			printf("  %-30s not here\n", contenders[i].name);
		else
			printf("  %-30s %8.0f (%5.2f)   %8.0f (%5.2f)   %8.0f (%5.2f)\n", contenders[i].name, times[i][n[i] / 2],
			       times[i][n[i] / 2] / times[BARE][n[BARE] / 2], times[i][0], times[i][0] / times[BARE][0],
			       processor[i][n[i] / 2], processor[i][n[i] / 2] / processor[BARE][n[BARE] / 2]);
	}
}

static void pin(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	sched_setaffinity(0, sizeof(set), &set);
}

int main(int argc, char **argv)
{
	unsigned long long rounds = 7, processes;
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	int fd;

	if (argc == 5 && !strcmp(argv[1], "--spin") && parse_uint(argv[2], 1, 1000000000, &calls) >= 0 &&
	    parse_uint(argv[3], 1, 100, &processes) >= 0)
		return spin(calls, (unsigned)processes, argv[4]);
	if (n < 0 || (argc > 1 && parse_uint(argv[1], 100, 1000000000, &calls) < 0) ||
	    (argc > 2 && parse_uint(argv[2], 1, ROUNDS_MAX, &rounds) < 0)) {
		fprintf(stderr, "usage: bench-ptrace [CALLS [ROUNDS [IMSAFE]]]\n");
		return 2;
	}
	imsafe = argc > 3 ? argv[3] : getenv("IMSAFE");
	snprintf(number, sizeof(number), "%llu", calls);
	fd = mkstemp(result_path);
	if (fd < 0)
		return 2;
	close(fd);
	bench("one process, any CPU", "1", (unsigned)rounds);
	bench("four processes, any CPU", "4", (unsigned)rounds);
	pin(0);
	bench("one process, all on one CPU", "1", (unsigned)rounds);
	unlink(result_path);
	return 0;
}
