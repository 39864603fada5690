/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * How fast the driver records: one and several processes that do nothing but calls, until each has made its number.
 * Says how many calls a second came out, by the clock and by the producers' processor time (which other load on the machine
 * changes little), and how many were lost.
 */
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

#include "sensor/sensor.h"

#define CALLS     8000000UL
#define PRODUCERS 4

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static pid_t start(int go, unsigned long calls)
{
	pid_t pid = fork();
	char byte;

	if (pid)
		return pid;
	if (read(go, &byte, 1) < 0)
		_exit(1);
	for (unsigned long i = 0; i < calls; i++)
		syscall(SYS_getppid);
	_exit(0);
}

static int take(void *data, const struct event *events, size_t n)
{
	*(uint64_t *)data += n;
	return 0;
}

struct times {
	double clock, processor; /* seconds; the latter of all producers together */
};

/* From go to the end of the last producer; with record = false nobody records. */
static struct times run(unsigned producers, bool origins, bool record, struct sensor_stats *ret_stats)
{
	struct target targets[PRODUCERS];
	const struct sensor_config config = { .targets = targets, .n_targets = producers, .origins = origins };
	struct sensor *sensor = NULL;
	struct errmsg err = { 0 };
	uint64_t events = 0;
	struct times times = { 0 };
	int go[2], r = 1;

	if (pipe2(go, O_CLOEXEC) < 0)
		exit(2);
	for (unsigned i = 0; i < producers; i++)
		targets[i] = (struct target){ .kind = TARGET_PID, .pid = start(go[0], CALLS / producers) };
	if (record && sensor_open("ebpf", &config, &sensor, &err) < 0) {
		errmsg_print(&err, stderr, "bench-recording");
		exit(2);
	}
	times.clock = -now();
	if (write(go[1], "1234", producers) < 0)
		exit(2);
	while (record && r > 0) {
		struct pollfd ready = { .fd = sensor->ops->fd(sensor), .events = POLLIN };

		poll(&ready, 1, -1);
		r = sensor->ops->dispatch(sensor, take, &events, &err);
	}
	for (unsigned i = 0; i < producers; i++) {
		struct rusage usage = { 0 };

		wait4(targets[i].pid, NULL, 0, &usage);
		times.processor += (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
				   (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
	}
	times.clock += now();
	if (record)
		sensor->ops->stats(sensor, ret_stats);
	sensor_close(sensor);
	close(go[0]);
	close(go[1]);
	return times;
}

int main(void)
{
	printf("%-10s %-8s %22s %22s %8s\n", "", "", "by the clock, M/s", "by processor time, M/s", "");
	printf("%-10s %-8s %10s %11s %10s %11s %8s\n", "producers", "origins", "bare", "recorded", "bare", "recorded", "lost");
	for (unsigned producers = 1; producers <= PRODUCERS; producers *= 2)
		for (int origins = 0; origins < 2; origins++) {
			struct sensor_stats stats = { 0 };
			struct times bare = run(producers, origins, false, NULL), recorded = run(producers, origins, true, &stats);
			double n = (double)stats.calls / 1e6;

			printf("%-10u %-8s %10.2f %11.2f %10.2f %11.2f %8llu\n", producers, origins ? "memory" : "off",
			       CALLS / bare.clock / 1e6, n / recorded.clock, CALLS / bare.processor / 1e6, n / recorded.processor,
			       (unsigned long long)stats.lost);
			fflush(stdout);
		}
	return 0;
}
