/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What importers of logs share: a line in, a few events out. Private to this folder. */
#ifndef IMSAFE_TRACE_LINES_H
#define IMSAFE_TRACE_LINES_H

#include "trace/format.h"

#define LINE_EVENTS 8 /* a line gives at most so many */

/* An importer's state begins with this. */
struct lines {
	struct event queue[LINE_EVENTS];
	unsigned at, n;
};

/* One line, [line, end); *end is readable and no digit or letter. 0 or a negative error with err filled. */
typedef int line_fn(struct trace_reader *reader, const char *line, const char *end, struct errmsg *err);

ssize_t lines_read(struct trace_reader *reader, line_fn *fn, struct event *events, size_t n, struct errmsg *err);
void lines_emit(struct lines *lines, const struct event *event);

/* Calls fn for all whole lines at hand (at least one, if there is one), without consuming them. */
int lines_peek(struct trace_reader *reader, void (*fn)(void *data, const char *line, const char *end), void *data,
	       struct errmsg *err);

/* The bytes [at, end) begin with prefix; end with suffix. */
bool starts_with(const char *at, const char *end, const char *prefix);
bool ends_with(const char *at, const char *end, const char *suffix);

/* Copies a name of letters, digits and '_' (at most size - 1) and returns its end; NULL if there is none. */
const char *copy_name(const char *at, const char *end, char *name, size_t size);

/* Number of the call of that name, also by the names that other tools use; CALL_INVALID if the table has none. */
unsigned call_by_name(enum syscall_arch arch, const char *name);

/* "SECONDS[.FRACTION]" at *at in nanoseconds, at most nine digits after the point. */
bool parse_seconds(const char **at, uint64_t *ret_ns);

/* For recognition: is this a line of that format? */
bool strace_knows(const char *line, const char *end);
bool auditd_knows(const char *line, const char *end);
bool lidds_knows(const char *line, const char *end);

#endif
