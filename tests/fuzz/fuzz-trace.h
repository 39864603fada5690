/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What all trace readers are held to: they end, each event is one that the rest of the program may take, an error has a text,
 * and what was read can be written in both formats and is then read back as the same calls.
 */
#ifndef IMSAFE_TESTS_FUZZ_TRACE_H
#define IMSAFE_TESTS_FUZZ_TRACE_H

#include <string.h>

#include "fuzz.h"
#include "trace/trace.h"

#define FUZZ_EVENTS_MAX 4096 /* so many are compared, times 256 bytes fit into a pipe */

static inline void fuzz_demand(int condition)
{
	if (!condition)
		abort();
}

static inline void fuzz_event(const struct event *event)
{
	fuzz_demand(event->kind < EVENT_KINDS);
	fuzz_demand(EVENT_ORIGIN(event->origin) < ORIGIN_KINDS && EVENT_ABI(event->origin) < ABI_KINDS && event->origin < 64);
	fuzz_demand(event->kind == EVENT_CALL || (!event->call && !event->origin));
}

/* Reads the file at path to its end, at most max events into events (may be NULL). Returns how many, or -1 after an error. */
static inline ssize_t fuzz_read(const char *path, enum trace_format format, struct event *events, size_t max, size_t batch)
{
	struct trace_reader *reader = NULL;
	struct event few[64];
	struct errmsg err = { 0 };
	size_t total = 0;
	ssize_t n;

	if (trace_reader_open(path, format, &reader, &err) < 0) {
		fuzz_demand(*err.text != '\0');
		return -1;
	}
	while ((n = trace_reader_read(reader, few, batch, &err)) > 0) {
		fuzz_demand((size_t)n <= batch);
		for (ssize_t i = 0; i < n; i++, total++) {
			fuzz_event(&few[i]);
			fuzz_demand(few[i].kind != EVENT_CALL ||
				    SITE_MODULE(few[i].site) < trace_reader_modules(reader)->n);
			if (events && total < max)
				events[total] = few[i];
		}
	}
	fuzz_demand(n == 0 || *err.text != '\0');
	fuzz_demand(trace_reader_info(reader)->arch < ARCHES);
	trace_reader_close(reader);
	return n < 0 ? -1 : (ssize_t)total;
}

static inline void fuzz_write(enum trace_format format, const struct event *events, size_t n)
{
	static struct event back[FUZZ_EVENTS_MAX];
	struct trace_writer *writer = NULL;
	struct errmsg err;
	char path[64];
	int fds[2];

	/* A pipe that holds it all: written straight through, never on a disk. */
	fuzz_demand(pipe2(fds, O_CLOEXEC) == 0 && fcntl(fds[1], F_SETPIPE_SZ, FUZZ_EVENTS_MAX * 256) >= 0);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fds[1]);
	fuzz_demand(trace_writer_open(path, format, NULL, NULL, &writer, &err) == 0);
	fuzz_demand(trace_writer_write(writer, events, n, &err) == 0);
	fuzz_demand(trace_writer_finish(writer, &err) == 0);
	trace_writer_close(writer);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fds[0]);
	close(fds[1]);
	fuzz_demand(fuzz_read(path, TRACE_AUTO, back, n, 64) == (ssize_t)n);
	for (size_t i = 0; i < n; i++)
		fuzz_demand(back[i].kind == events[i].kind && back[i].call == events[i].call && back[i].tid == events[i].tid &&
			    back[i].origin == events[i].origin && (back[i].kind == EVENT_CALL || back[i].site == events[i].site));
	close(fds[0]);
}

static inline void fuzz_trace(const uint8_t *data, size_t size, enum trace_format format)
{
	static struct event events[FUZZ_EVENTS_MAX];
	const char *path = fuzz_file(data, size);
	ssize_t n = fuzz_read(path, format, events, FUZZ_EVENTS_MAX, 64), one = fuzz_read(path, format, NULL, 0, 1);

	fuzz_demand(n == one);
	if (n <= 0 || n > FUZZ_EVENTS_MAX)
		return;
	fuzz_write(TRACE_TEXT, events, (size_t)n);
	fuzz_write(TRACE_COMPACT, events, (size_t)n);
}

#endif
