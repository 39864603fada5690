/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the driver costs per call, side by side in one run: nothing attached, an empty program, a task that is not
 * guarded, and a guarded one at each level. The same process makes the same calls in every round, in short stretches of
 * which the fastest tenth counts, and so with the rounds: other load on the machine falls on the rest. Run it alone.
 */
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

#include "base/options.h"
#include "model/freeze.h"
#include "model/learner.h"
#include "model/sites.h"
#include "sensor/guard.h"

#include "empty.skel.h"

#define STRETCH   200 /* times the pattern */
#define STRETCHES 60
#define ROUNDS    12
#define CALLS     (STRETCH * STRETCHES * ARRAY_SIZE(pattern))

static const uint16_t pattern[] = { SYS_getppid, SYS_getuid, SYS_getgid, SYS_getppid, SYS_geteuid, SYS_getegid, SYS_getpid };

enum state { BARE, EMPTY, UNMONITORED, OFF, MEMORY, SITES, STATES };

static const char *const names[] = {
	"nothing attached", "an empty program", "driver, task not guarded", "driver, guarded, origins off",
	"driver, guarded, origins: memory", "driver, guarded, origins: sites",
};

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* Makes calls when told, and says how long one took. */
static _Noreturn void work(int in, int out)
{
	double ns[STRETCHES];
	char byte;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	setpriority(PRIO_PROCESS, 0, -20);
	while (read(in, &byte, 1) == 1) {
		for (unsigned n = 0; n < STRETCHES; n++) {
			double start = now();

			for (unsigned i = 0; i < STRETCH; i++)
				for (unsigned j = 0; j < ARRAY_SIZE(pattern); j++)
					syscall(pattern[j]);
			ns[n] = (now() - start) / (STRETCH * ARRAY_SIZE(pattern));
		}
		qsort(ns, STRETCHES, sizeof(*ns), compare);
		if (write(out, &ns[STRETCHES / 10], sizeof(*ns)) != sizeof(*ns))
			break;
	}
	_exit(0);
}

static void learn(struct image *ret_image)
{
	_cleanup_(learner_freep) struct learner *learner = learner_new(LENGTH_DEFAULT, NULL, NULL);
	static const uint16_t around[] = { SYS_write, SYS_read, SYS_clock_gettime };
	struct counts counts = { 0 };
	struct errmsg err = { 0 };

	for (int i = 0; i < 1000; i++) {
		struct event event = { .kind = EVENT_CALL, .tid = 1 };

		for (int round = 0; round < 3; round++)
			for (unsigned j = 0; j < ARRAY_SIZE(pattern); j++) {
				event.call = pattern[j];
				learner_add(learner, &event, 1);
			}
		for (unsigned j = 0; j < ARRAY_SIZE(around); j++) {
			event.call = around[j];
			learner_add(learner, &event, 1);
		}
	}
	learner_end_trace(learner);
	if (learner_counts(learner, &counts) < 0 || freeze(&counts, arch_native(), ret_image, &err) < 0) {
		errmsg_print(&err, stderr, "bench-driver");
		exit(2);
	}
	counts_done(&counts);
}

struct bench {
	struct image image;
	struct sites sites;
	struct guard_site *guard_sites;
	struct sensor *sensor;
	pid_t worker;
	int to, from;
};

static double measure(struct bench *bench)
{
	double ns = 0;

	if (write(bench->to, "", 1) != 1 || read(bench->from, &ns, sizeof(ns)) != sizeof(ns))
		exit(2);
	return ns;
}

static int add_sites(void *data, const struct event *events, size_t n)
{
	struct bench *bench = data;

	return sites_add(&bench->sites, events, n, &bench->sensor->modules);
}

/* Where the worker calls from: recorded while it works. */
static void learn_sites(struct bench *bench)
{
	const struct target target = { .kind = TARGET_PID, .pid = bench->worker };
	const struct sensor_config config = { .targets = &target, .n_targets = 1, .origins = true, .sites = true };
	struct errmsg err = { 0 };
	int r;

	sites_init(&bench->sites);
	r = sensor_open("ebpf", &config, &bench->sensor, &err);
	if (r >= 0) {
		measure(bench);
		measure(bench);
		r = bench->sensor->ops->dispatch(bench->sensor, add_sites, bench, &err);
	}
	if (r < 0) {
		errmsg_print(&err, stderr, "bench-driver");
		exit(2);
	}
	bench->sensor = sensor_close(bench->sensor);
	bench->guard_sites = calloc(bench->sites.n + 1, sizeof(*bench->guard_sites));
	for (size_t i = 0; i < bench->sites.n; i++)
		bench->guard_sites[i] = (struct guard_site){ bench->sites.site[i].module, bench->sites.site[i].call,
							      bench->sites.site[i].offset };
}

static double measure_guarded(struct bench *bench, enum state state)
{
	_cleanup_(guard_closep) struct guard *guard = NULL;
	struct policy policy = { .window = { { 32, COST_MAX / 2 } }, .min_calls = 16, .foreign = 1 };
	struct target target = { .kind = TARGET_PID, .pid = bench->worker };
	struct guard_application application = {
		.name = "bench", .targets = &target, .n_targets = 1, .image = &bench->image, .policy = &policy,
		.sites = bench->guard_sites, .n_sites = bench->sites.n, .modules = &bench->sites.modules,
		.level = state == SITES ? GUARD_SITES : state == MEMORY ? GUARD_MEMORY : GUARD_OFF,
	};
	struct guard_stats stats;
	struct errmsg err = { 0 };
	unsigned number;
	double ns;

	if (state == UNMONITORED)
		target = (struct target){ .kind = TARGET_EXE, .name = "/bin/false" };
	if (guard_open(&guard, &err) < 0 || guard_add_application(guard, &application, &number, &err) < 0) {
		errmsg_print(&err, stderr, "bench-driver");
		exit(2);
	}
	ns = measure(bench);
	guard_stats(guard, number, &stats);
	if (state != UNMONITORED && (stats.calls < CALLS || stats.alarms)) {
		fprintf(stderr, "bench-driver: %llu calls scored, %llu alarms: that is not what was to be measured\n",
			(unsigned long long)stats.calls, (unsigned long long)stats.alarms);
		exit(2);
	}
	return ns;
}

static double measure_empty(struct bench *bench)
{
	struct empty_bpf *empty = empty_bpf__open_and_load();
	double ns;

	if (!empty || empty_bpf__attach(empty))
		exit(2);
	ns = measure(bench);
	empty_bpf__destroy(empty);
	return ns;
}

int main(int argc, char **argv)
{
	static double ns[STATES][ROUNDS];
	struct bench bench = { 0 };
	int to[2], from[2];

	if (pipe2(to, O_CLOEXEC) < 0 || pipe2(from, O_CLOEXEC) < 0)
		return 2;
	learn(&bench.image);
	bench.worker = fork();
	if (!bench.worker)
		work(to[0], from[1]);
	bench.to = to[1];
	bench.from = from[0];
	learn_sites(&bench);
	for (int round = 0; round < ROUNDS; round++)
		for (int state = 0; state < STATES; state++)
			ns[state][round] = state == BARE ? measure(&bench) : state == EMPTY ? measure_empty(&bench) :
					   measure_guarded(&bench, (enum state)state);
	for (int state = 0; state < STATES; state++)
		qsort(ns[state], ROUNDS, sizeof(double), compare);
	printf("%-34s %8s %8s %12s\n", "ns per call", "best", "median", "over empty");
	for (int state = 0; state < STATES; state++)
		printf("%-34s %8.1f %8.1f %+12.1f\n", names[state], ns[state][ROUNDS / 10], ns[state][ROUNDS / 2],
		       ns[state][ROUNDS / 10] - ns[EMPTY][ROUNDS / 10]);
	kill(bench.worker, SIGKILL);
	waitpid(bench.worker, NULL, 0);
	image_free(&bench.image);
	sites_done(&bench.sites);
	free(bench.guard_sites);
	return 0;
}
