/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* One line of strace's output: what stands in front of it, and what it is. Private to this folder. */
#ifndef IMSAFE_TRACE_STRACE_LINE_H
#define IMSAFE_TRACE_STRACE_LINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A line without what stands in front of it. */
struct stripped {
	const char *at, *end;
	uint64_t tid;     /* valid if has_tid */
	uint64_t time;    /* ns */
	bool has_tid;
	enum { NO_TIME, TIME_OF_DAY, TIME_ABSOLUTE, TIME_RELATIVE } clock;
};

enum payload {
	PAYLOAD_NONE,       /* not strace's */
	PAYLOAD_CALL,
	PAYLOAD_RESUMED,
	PAYLOAD_ENDED,      /* +++ exited, +++ killed */
	PAYLOAD_SUPERSEDED, /* +++ superseded by execve in pid */
	PAYLOAD_ATTACHED,   /* strace: Process N attached */
	PAYLOAD_MODE,       /* [ Process PID=N runs in 32 bit mode. ] */
	PAYLOAD_OTHER,      /* signals, stack traces, other messages */
};

/* Takes off thread id, times and brackets. False if it is no line of strace. */
bool strace_strip(const char *line, const char *end, struct stripped *ret_stripped);

/* What the rest is; name becomes that of the call, or empty. */
enum payload strace_classify(const struct stripped *s, char *name, size_t size);

/* Where a message that strace wrote in the middle of a line begins: "getppid(strace: Process 12 attached". Or NULL. */
const char *strace_message_inside(const char *at, const char *end);

/* The result at the end of a line: a number, negative for errors and what is no number. */
int64_t strace_result(const struct stripped *s);
bool strace_is_unfinished(const struct stripped *s);

#endif
