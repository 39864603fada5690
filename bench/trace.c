/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Traces' speed and size: reading both formats, scoring and watching from memory, and end to end (read, find the thread,
 * score, decide on alarms), all in one run, with what each step costs of the whole. With a file as argument: that trace instead
 * of the made one. Processor time, not elapsed; the best of some rounds.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "alarm/monitor.h"
#include "model/calibrate.h"
#include "model/freeze.h"
#include "model/learner.h"
#include "trace/trace.h"
#include "server.h"

enum { CALLS = 6000000, ROUNDS = 7, BATCH = 1024, THREADS = 8, PATHS = 40, NOISE = 1 };

static struct event *events;
static size_t n_events, n_calls;
static struct modules modules;
static struct image image;
static struct policy policy;
static char folder[] = "/dev/shm/imsafe-bench-XXXXXX", text_path[64], compact_path[64];

static void stop(const struct errmsg *err)
{
	errmsg_print(err, stderr, "bench-trace");
	exit(2);
}

/* Each call comes from its wrapper in the C library, a few microseconds after the one before, now and then much later. */
static void make_events(void)
{
	uint64_t seed = 11, time = 5000000000;

	n_events = CALLS;
	events = calloc(n_events, sizeof(*events));
	if (!events)
		exit(2);
	modules_add(&modules, "/usr/lib/x86_64-linux-gnu/libc.so.6", "58254ca972028402bc40624f81388d85ddfc70d3", 1, 1);
	make_trace(events, n_events, PATHS, NOISE, THREADS, seed);
	for (size_t i = 0; i < n_events; i++) {
		events[i].origin = ORIGIN_FILE;
		events[i].site = SITE(1, 0xd0000 + events[i].call * 0x1f3);
		/* 1 to 4 us, twice as long half as often, and so on. */
		time += (uint64_t)(1000 + next_random(&seed) % 3000) << __builtin_ctz(next_random(&seed) | 1 << 12);
		events[i].time = time;
	}
}

static void load_events(const char *path)
{
	_cleanup_(trace_reader_closep) struct trace_reader *reader = NULL;
	struct errmsg err;
	size_t allocated = 0;
	ssize_t n;

	if (trace_reader_open(path, TRACE_AUTO, &reader, &err) < 0)
		stop(&err);
	do {
		if (n_events + BATCH > allocated) {
			allocated = MAX(2 * allocated, 1U << 20);
			events = reallocarray(events, allocated, sizeof(*events));
			if (!events)
				exit(2);
		}
		n = trace_reader_read(reader, events + n_events, BATCH, &err);
		if (n < 0)
			stop(&err);
		n_events += (size_t)n;
	} while (n);
	for (unsigned i = 1; i < trace_reader_modules(reader)->n; i++)
		modules_append(&modules, modules_get(trace_reader_modules(reader), i)->path,
			       modules_get(trace_reader_modules(reader), i)->build_id);
}

static double write_trace(const char *path, enum trace_format format)
{
	_cleanup_(trace_writer_closep) struct trace_writer *writer = NULL;
	struct trace_info info = { .arch = ARCH_X86_64, .application = "/usr/sbin/server", .sensor = "bench" };
	struct errmsg err;
	double start = processor_time();

	if (trace_writer_open(path, format, &info, &modules, &writer, &err) < 0)
		stop(&err);
	for (size_t i = 0; i < n_events; i += BATCH)
		if (trace_writer_write(writer, events + i, MIN(BATCH, n_events - i), &err) < 0)
			stop(&err);
	if (trace_writer_finish(writer, &err) < 0)
		stop(&err);
	return processor_time() - start;
}

/* Reads a trace; with a monitor, into it. */
static double read_trace(const char *path, struct monitor *monitor)
{
	_cleanup_(trace_reader_closep) struct trace_reader *reader = NULL;
	static struct event batch[BATCH];
	struct errmsg err;
	double start = processor_time();
	size_t total = 0;
	ssize_t n;

	if (trace_reader_open(path, TRACE_AUTO, &reader, &err) < 0)
		stop(&err);
	while ((n = trace_reader_read(reader, batch, BATCH, &err)) > 0) {
		total += (size_t)n;
		if (monitor && monitor_add(monitor, batch, (size_t)n) < 0)
			exit(2);
	}
	if (n < 0 || total != n_events)
		stop(&err);
	return processor_time() - start;
}

static double read_bytes(const char *path)
{
	static char buffer[256 << 10];
	double start = processor_time();
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	while (fd >= 0 && read(fd, buffer, sizeof(buffer)) > 0)
		;
	if (fd >= 0)
		close(fd);
	return processor_time() - start;
}

static struct monitor *new_monitor(void)
{
	static const struct monitor_callbacks none;
	struct monitor *monitor = monitor_new(&image, &policy, &none);

	if (!monitor)
		exit(2);
	return monitor;
}

enum measure { TEXT_BYTES, TEXT, COMPACT_BYTES, COMPACT, SCORE, WATCH, TEXT_WATCH, COMPACT_WATCH, MEASURES };

static double measure(enum measure what)
{
	_cleanup_(monitor_freep) struct monitor *monitor = new_monitor();
	static struct score scores[64];
	double start;
	unsigned flags = 0;

	switch (what) {
	case TEXT_BYTES:
		return read_bytes(text_path);
	case TEXT:
		return read_trace(text_path, NULL);
	case COMPACT_BYTES:
		return read_bytes(compact_path);
	case COMPACT:
		return read_trace(compact_path, NULL);
	case TEXT_WATCH:
		return read_trace(text_path, monitor);
	case COMPACT_WATCH:
		return read_trace(compact_path, monitor);
	case SCORE:
		memset(scores, 0, sizeof(scores));
		start = processor_time();
		for (size_t i = 0; i < n_events; i++)
			flags |= score_step(&scores[events[i].tid % 64], &image, &policy, &events[i]).flags;
		if (flags == 0xffff)
			puts("");
		return processor_time() - start;
	default:
		start = processor_time();
		for (size_t i = 0; i < n_events; i += BATCH)
			if (monitor_add(monitor, events + i, MIN(BATCH, n_events - i)) < 0)
				exit(2);
		return processor_time() - start;
	}
}

static void make_image(void)
{
	_cleanup_(learner_freep) struct learner *learner = learner_new(LENGTH_DEFAULT, NULL, NULL);
	struct counts counts;
	struct errmsg err;
	static const unsigned means[MEAN_WINDOWS] = { MEAN_DEFAULT };

	if (!learner || learner_add(learner, events, n_events / 10) < 0 || learner_end_trace(learner) < 0 ||
	    learner_counts(learner, &counts) < 0)
		exit(2);
	if (freeze(&counts, ARCH_X86_64, &image, &err) < 0)
		stop(&err);
	counts_done(&counts);
	policy_set(&policy, THRESHOLD_DEFAULT, means, READING_PREDICTOR);
	policy.foreign = 1;
	policy_arm(&policy, image.header, 0);
}

static void show(const char *what, double seconds, double whole)
{
	double ns = seconds * 1e9 / (double)n_calls;

	printf("%-46s %7.2f ns/call %8.1f million/s", what, ns, 1000 / ns);
	if (whole > 0)
		printf("  %5.1f %%", 100 * seconds / whole);
	printf("\n");
}

int main(int argc, char **argv)
{
	double best[MEASURES], written[2];
	struct stat text, compact;

	modules_init(&modules);
	if (argc > 1)
		load_events(argv[1]);
	else
		make_events();
	for (size_t i = 0; i < n_events; i++)
		n_calls += events[i].kind == EVENT_CALL;
	if (!n_calls || !mkdtemp(folder))
		return 2;
	snprintf(text_path, sizeof(text_path), "%s/trace", folder);
	snprintf(compact_path, sizeof(compact_path), "%s/trace.imt", folder);
	written[0] = write_trace(text_path, TRACE_TEXT);
	written[1] = write_trace(compact_path, TRACE_COMPACT);
	make_image();
	for (int i = 0; i < MEASURES; i++)
		best[i] = 1e9;
	/* In turn, so that what else the machine does falls on all alike. */
	for (int round = 0; round < ROUNDS; round++)
		for (int i = 0; i < MEASURES; i++)
			best[i] = MIN(best[i], measure((enum measure)i));
	if (stat(text_path, &text) < 0 || stat(compact_path, &compact) < 0)
		return 2;
	unlink(text_path);
	unlink(compact_path);
	rmdir(folder);

	printf("%zu calls, %zu events, image of %u states; sequence length %d, mean length %d\n\n", n_calls, n_events,
	       image.header->states, LENGTH_DEFAULT, MEAN_DEFAULT);
	printf("size: text %.2f, compact %.2f bytes a call (with times and sites)\n", (double)text.st_size / (double)n_calls,
	       (double)compact.st_size / (double)n_calls);
	printf("\nfrom memory\n");
	show("  score_step alone", best[SCORE], 0);
	show("  monitor: thread, score, history, alarms", best[WATCH], 0);
	printf("\ntext, end to end\n");
	show("  whole", best[TEXT_WATCH], best[TEXT_WATCH]);
	show("    read(2)", best[TEXT_BYTES], best[TEXT_WATCH]);
	show("    parse", best[TEXT] - best[TEXT_BYTES], best[TEXT_WATCH]);
	show("    monitor", best[TEXT_WATCH] - best[TEXT], best[TEXT_WATCH]);
	printf("\ncompact, end to end\n");
	show("  whole", best[COMPACT_WATCH], best[COMPACT_WATCH]);
	show("    read(2)", best[COMPACT_BYTES], best[COMPACT_WATCH]);
	show("    decompress, check, assemble", best[COMPACT] - best[COMPACT_BYTES], best[COMPACT_WATCH]);
	show("    monitor", best[COMPACT_WATCH] - best[COMPACT], best[COMPACT_WATCH]);
	printf("\ncompact is read %.2f times as fast as text, and watched %.2f times\n", best[TEXT] / best[COMPACT],
	       best[TEXT_WATCH] / best[COMPACT_WATCH]);
	printf("\nwriting\n");
	show("  text", written[0], 0);
	show("  compact", written[1], 0);
	image_free(&image);
	modules_done(&modules);
	free(events);
	return 0;
}
