/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Monitoring a trace, end to end: reading, finding the thread, scoring, deciding on alarms, keeping the history, and the log.
 * Every step is measured with all before it, in turns within one run, so that the differences say where the time goes.
 */
#include <stdio.h>
#include <string.h>

#include "alarm/log.h"
#include "alarm/monitor.h"
#include "model/calibrate.h"
#include "model/freeze.h"
#include "model/learner.h"
#include "trace/trace.h"
#include "server.h"

enum { CALLS = 3000000, ROUNDS = 7, BATCH = 4096 };

enum step { STEP_READ, STEP_MONITOR, STEP_WINDOWS, STEP_LOG, STEPS };

static const char *const step_names[STEPS] = {
	"reading alone", "+ thread, score, alarm policy, history", "+ three mean lengths at once", "+ a log of every call",
};

static struct image image;

static void fail(const struct errmsg *err)
{
	errmsg_print(err, stderr, "bench-monitor");
	exit(2);
}

static void learn(const struct event *events)
{
	struct learner *learner = learner_new(LENGTH_DEFAULT, NULL, NULL);
	struct counts counts;
	struct errmsg err;

	learner_add(learner, events, CALLS);
	learner_end_trace(learner);
	learner_counts(learner, &counts);
	if (freeze(&counts, ARCH_X86_64, &image, &err) < 0)
		fail(&err);
	counts_done(&counts);
	learner_free(learner);
}

static void write_trace(const char *path, enum trace_format format, const struct event *events)
{
	struct trace_info info = { .arch = ARCH_X86_64, .application = "/usr/sbin/exampled" };
	struct trace_writer *writer;
	struct errmsg err;

	if (trace_writer_open(path, format, &info, NULL, &writer, &err) < 0 || trace_writer_write(writer, events, CALLS, &err) < 0 ||
	    trace_writer_finish(writer, &err) < 0)
		fail(&err);
	trace_writer_close(writer);
}

static void log_call(void *data, uint64_t sequence, const struct scored_call *call)
{
	log_writer_call(data, sequence, call);
}

static double measure(const char *path, enum step step)
{
	static struct event events[BATCH];
	const unsigned one[MEAN_WINDOWS] = { 32 }, three[MEAN_WINDOWS] = { 32, 8, 128 };
	struct monitor_callbacks callbacks = { 0 };
	struct log_info info = { .means = { 32 }, .thresholds = { 1 } };
	struct log_writer *log = NULL;
	struct policy policy;
	struct monitor *monitor;
	struct trace_reader *reader;
	struct errmsg err;
	double start = processor_time();
	ssize_t n;

	policy_set(&policy, 1, step >= STEP_WINDOWS ? three : one, READING_PREDICTOR);
	policy_arm(&policy, image.header, 0);
	if (step == STEP_LOG) {
		if (log_writer_open("/dev/null", &info, &log, &err) < 0)
			fail(&err);
		callbacks.call = log_call;
		callbacks.data = log;
	}
	monitor = monitor_new(&image, &policy, &callbacks);
	if (trace_reader_open(path, TRACE_AUTO, &reader, &err) < 0)
		fail(&err);
	while ((n = trace_reader_read(reader, events, BATCH, &err)) > 0)
		if (step >= STEP_MONITOR)
			monitor_add(monitor, events, (size_t)n);
	if (n < 0)
		fail(&err);
	trace_reader_close(reader);
	monitor_free(monitor);
	log_writer_close(log);
	return processor_time() - start;
}

static void bench(const char *name, const char *path)
{
	double best[STEPS];

	for (int step = 0; step < STEPS; step++)
		best[step] = 1e9;
	for (int round = 0; round < ROUNDS; round++)
		for (int step = 0; step < STEPS; step++)
			best[step] = MIN(best[step], measure(path, (enum step)step));
	printf("%s\n", name);
	for (int step = 0; step < STEPS; step++)
		printf("  %-40s %6.1f M calls/s  %5.1f ns a call  %+5.1f\n", step_names[step], CALLS / best[step] / 1e6,
		       best[step] / CALLS * 1e9, step ? (best[step] - best[step - 1]) / CALLS * 1e9 : 0);
}

int main(void)
{
	char folder[] = "/tmp/imsafe-bench-XXXXXX", text[64], compact[64];
	struct event *events = malloc(CALLS * sizeof(*events));

	if (!events || !mkdtemp(folder))
		return 2;
	snprintf(text, sizeof(text), "%s/text.trace", folder);
	snprintf(compact, sizeof(compact), "%s/compact.imt", folder);
	make_trace(events, CALLS, 20, 0, 8, 1);
	learn(events);
	write_trace(text, TRACE_TEXT, events);
	write_trace(compact, TRACE_COMPACT, events);
	bench("text trace", text);
	bench("compact trace", compact);
	unlink(text);
	unlink(compact);
	rmdir(folder);
	image_free(&image);
	free(events);
	return 0;
}
