/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Trace files, in and out. A reader recognises the format by itself; writers make text or compact.
 * Formats to the byte: doc/trace-formats.md. Not thread-safe per object; any number of objects at once.
 */
#ifndef IMSAFE_TRACE_TRACE_H
#define IMSAFE_TRACE_TRACE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/cleanup.h"
#include "base/errmsg.h"
#include "core/event.h"
#include "trace/arch.h"
#include "trace/modules.h"

enum trace_format {
	TRACE_AUTO,    /* reading: look at the content; writing: compact if the name ends in .imt, else text */
	TRACE_TEXT,    /* SEQ PID SYSCALL */
	TRACE_COMPACT,
	TRACE_UNM,     /* PID SYSCALL */
	TRACE_ADFA,    /* numbers of one thread, one trace a file */
	TRACE_STRACE,  /* strace -f, -ff, -o, -t.. */
	TRACE_AUDITD,
	TRACE_LIDDS,   /* LID-DS .sc */
	TRACE_FORMATS
};

const char *trace_format_name(enum trace_format format);
int trace_format_by_name(const char *name); /* -ENOENT if there is none */

/* What the first lines of a trace say. Strings are owned by the reader, NULL or 0 if not said. */
struct trace_info {
	enum trace_format format;
	enum syscall_arch arch; /* ARCH_UNKNOWN: numbers without names */
	const char *application; /* path of the executable */
	const char *build_id;    /* hex */
	const char *sensor;
	int64_t start;           /* seconds since 1970 */
};

struct trace_reader;

/*
 * Opens a trace; "-" is stdin. format TRACE_AUTO recognises it (also on a pipe). The first lines are read, so that
 * trace_reader_info is complete. 0 or -errno with err filled (file, line, cause).
 */
int trace_reader_open(const char *path, enum trace_format format, struct trace_reader **ret_reader,
		      struct errmsg *err);

/*
 * The same; when the descriptor interrupt is readable (0: there is none), neither this nor trace_reader_read() waits for a pipe
 * any more: they return -EINTR. Reading can go on after that.
 */
int trace_reader_open_interruptible(const char *path, enum trace_format format, int interrupt, struct trace_reader **ret_reader,
				    struct errmsg *err);

/* The same from a file descriptor, which is the reader's from here on, also on failure; name is for messages. */
int trace_reader_open_fd(int fd, const char *name, enum trace_format format, struct trace_reader **ret_reader,
			 struct errmsg *err);

/*
 * Reads up to n events into events. Returns how many, 0 at the end, or -errno with err filled: -EBADMSG for damaged
 * input (compact: all whole blocks before have been returned), -EINVAL for a line that is not understood.
 * After an error other than -EINTR the reader only closes.
 */
ssize_t trace_reader_read(struct trace_reader *reader, struct event *events, size_t n, struct errmsg *err);

const struct trace_info *trace_reader_info(const struct trace_reader *reader);

/* The modules that call sites refer to; grows while reading. Owned by the reader. */
const struct modules *trace_reader_modules(const struct trace_reader *reader);

/* Share of the input consumed, 0..1, for a progress bar; negative when unknown (pipe). */
double trace_reader_progress(const struct trace_reader *reader);

struct trace_reader *trace_reader_close(struct trace_reader *reader); /* NULL is fine; returns NULL */
DEFINE_CLEANUP(struct trace_reader *, trace_reader_close)

struct trace_writer;

/*
 * Starts a trace at path ("-": stdout, written straight through). A file is written beside its final name and moved
 * there by trace_writer_finish, so that nothing half-written ever stands under the name, and replaces what has it, but for a
 * profile (-EEXIST); a recording that is killed
 * leaves the whole blocks or lines so far in "PATH.part", which can be read like any trace.
 * info is copied. modules may be NULL; else it is borrowed until close and may grow between writes.
 */
int trace_writer_open(const char *path, enum trace_format format, const struct trace_info *info,
		      const struct modules *modules, struct trace_writer **ret_writer, struct errmsg *err);
/* The same straight to a file descriptor, which is the writer's from here on, also on failure; name is for messages. */
int trace_writer_open_fd(int fd, const char *name, enum trace_format format, const struct trace_info *info,
			 const struct modules *modules, struct trace_writer **ret_writer, struct errmsg *err);
int trace_writer_write(struct trace_writer *writer, const struct event *events, size_t n, struct errmsg *err);
int trace_writer_flush(struct trace_writer *writer, struct errmsg *err); /* what is buffered goes to the file now */
int trace_writer_finish(struct trace_writer *writer, struct errmsg *err); /* flush, sync, rename; then only close */
struct trace_writer *trace_writer_close(struct trace_writer *writer); /* without finish: the .part file is kept if it holds events */
DEFINE_CLEANUP(struct trace_writer *, trace_writer_close)
struct trace_writer *trace_writer_discard(struct trace_writer *writer); /* the .part file is removed in any case */

#endif
