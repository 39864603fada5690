/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The monitor log: what a monitor thought of each call, a line a call, plain text; "imsafe plot" reads it.
 * Byte for byte in doc/monitor-log-format.md. Not thread-safe per object.
 */
#ifndef IMSAFE_ALARM_LOG_H
#define IMSAFE_ALARM_LOG_H

#include <stdbool.h>
#include <stdint.h>

#include "alarm/monitor.h"
#include "base/cleanup.h"
#include "base/errmsg.h"
#include "trace/arch.h"

/* What the comments at the head say. Writing: borrowed. Reading: owned by the reader; NULL or 0 = not said. */
struct log_info {
	const char *application, *profile;
	enum syscall_arch arch;
	const char *detector;             /* "predictor" or "sequences" */
	unsigned means[MEAN_WINDOWS];     /* mean lengths; the mean column is the first one's */
	double thresholds[MEAN_WINDOWS];  /* percent */
	unsigned min_calls;               /* of a thread, before its mean is judged; 0 = not said */
	int64_t start;                    /* seconds since 1970 */
};

struct log_writer;

/* "-" is stdout. An existing file is replaced, but for a profile or a trace (-EEXIST). */
int log_writer_open(const char *path, const struct log_info *info, struct log_writer **ret_writer, struct errmsg *err);
/* The same straight to a file descriptor, which is the writer's from here on, also on failure; name is for messages. */
int log_writer_open_fd(int fd, const char *name, const struct log_info *info, struct log_writer **ret_writer, struct errmsg *err);
struct log_writer *log_writer_close(struct log_writer *writer); /* writes what is buffered; NULL is fine */
DEFINE_CLEANUP(struct log_writer *, log_writer_close)

/* Buffered, whole lines at a time; a failed write is remembered and ends all writing: ask log_writer_flush(). */
void log_writer_call(struct log_writer *writer, uint64_t sequence, const struct scored_call *call);
/* number: of the alarm; group: of the first like it. */
void log_writer_alarm(struct log_writer *writer, const struct alarm *alarm, const struct policy *policy, uint64_t number, uint64_t group);
void log_writer_went_on(struct log_writer *writer, const struct alarm *alarm, uint64_t number);
void log_writer_started(struct log_writer *writer, uint64_t sequence, uint32_t tid);
void log_writer_closed(struct log_writer *writer, uint64_t sequence, uint32_t tid);
void log_writer_gap(struct log_writer *writer, uint64_t sequence, const struct event *gap);

/* Everything so far to the file: 0 or the first error (-errno, err filled). */
int log_writer_flush(struct log_writer *writer, struct errmsg *err);

enum log_kind { LOG_CALL, LOG_START, LOG_ALARM, LOG_ALARM_FOREIGN, LOG_CLOSED, LOG_GAP };

struct log_record {
	enum log_kind kind;
	uint64_t sequence;  /* others than CALL: of the call just before */
	uint32_t pid;       /* GAP: 0 = all */
	uint32_t call;      /* CALL */
	uint32_t normality; /* CALL: hundredths of a percent */
	uint32_t mean;      /* CALL, ALARM: likewise */
	uint32_t over;      /* ALARM: the length of the mean that fell; 0 = not said */
	uint64_t lost;      /* GAP: 0 = not known how many */
};

struct log_reader;

/* "-" is stdin. */
int log_reader_open(const char *path, struct log_reader **ret_reader, struct errmsg *err);
struct log_reader *log_reader_close(struct log_reader *reader);
DEFINE_CLEANUP(struct log_reader *, log_reader_close)

/* 1, 0 at the end, or -errno with err naming file and line. */
int log_reader_next(struct log_reader *reader, struct log_record *ret_record, struct errmsg *err);

/* Complete once the first record has been read. */
const struct log_info *log_reader_info(const struct log_reader *reader);

/* Share of the file read, 0..1, negative when not known (pipe). */
double log_reader_progress(const struct log_reader *reader);

#endif
