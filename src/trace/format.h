/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a trace format implements, and what readers and writers of all formats share. Private to this folder. */
#ifndef IMSAFE_TRACE_FORMAT_H
#define IMSAFE_TRACE_FORMAT_H

#include "trace/input.h"
#include "trace/output.h"
#include "trace/trace.h"

struct trace_reader {
	const struct reader_ops *ops;
	struct input input;
	struct trace_info info;
	struct modules modules;
	void *state; /* the format's own, ops->state_size bytes */
};

struct reader_ops {
	size_t state_size;
	enum syscall_arch arch; /* of traces that do not say one */

	/* Reads the first lines into reader->info; may be NULL. */
	int (*open)(struct trace_reader *reader, struct errmsg *err);
	/* As trace_reader_read(), n at least 1. */
	ssize_t (*read)(struct trace_reader *reader, struct event *events, size_t n, struct errmsg *err);
	/* Frees what the state owns; may be NULL. */
	void (*close)(struct trace_reader *reader);
};

extern const struct reader_ops text_reader, compact_reader, unm_reader, adfa_reader, strace_reader,
	auditd_reader, lidds_reader;

struct trace_writer {
	const struct writer_ops *ops;
	struct output output;
	struct trace_info info; /* strings are copies */
	const struct modules *modules;
	uint64_t events;
	void *state;
};

struct writer_ops {
	size_t state_size;
	int (*open)(struct trace_writer *writer, struct errmsg *err);
	int (*write)(struct trace_writer *writer, const struct event *events, size_t n, struct errmsg *err);
	/* Brings what the format holds back into the output; last: nothing follows. */
	int (*flush)(struct trace_writer *writer, bool last, struct errmsg *err);
	void (*close)(struct trace_writer *writer);
};

extern const struct writer_ops text_writer, compact_writer;

/* Looks at the first bytes. A format, or -EINVAL with err saying what the file seems to be instead. */
int trace_recognise(struct input *input, struct errmsg *err);

/* Sets one of the strings of info to a copy, freeing the one before. */
int info_set(const char **field, const char *value);
void info_done(struct trace_info *info);

/* Undoes escape_text() in place; -EINVAL if it isn't one, or hides a NUL. */
int unescape_text(char *text);

/* "line 7: ... 'the line'": cut to something readable. */
int bad_line(const struct input *input, const char *line, const char *what, struct errmsg *err);

#endif
