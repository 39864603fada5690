/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <string.h>
#include <time.h>

#include "alarm/log.h"
#include "trace/output.h"

#define BUFFER   (64 * 1024)
#define CALL_LINE 128 /* longest line of a call */

struct log_writer {
	int fd;
	bool ours;
	int error;
	size_t used;
	char path[512];
	char buffer[BUFFER];
};

/* A full disk cuts anywhere in what is written; the start of a line is taken back, so that the log can be read. */
static void cut_back(const struct log_writer *writer, size_t written)
{
	off_t end = writer->ours ? lseek(writer->fd, 0, SEEK_CUR) : -1; /* negative: not a file, or not ours alone */
	size_t whole = written;

	while (whole > 0 && writer->buffer[whole - 1] != '\n')
		whole--;
	if (end >= 0)
		(void)!ftruncate(writer->fd, end - (off_t)(written - whole));
}

static void write_out(struct log_writer *writer)
{
	size_t done = 0;

	while (!writer->error && done < writer->used) {
		ssize_t n = write(writer->fd, writer->buffer + done, writer->used - done);

		if (n < 0 && errno != EINTR)
			writer->error = -errno;
		else if (n > 0)
			done += (size_t)n;
	}
	if (writer->error && done > 0)
		cut_back(writer, done);
	writer->used = 0;
}

static char *room(struct log_writer *writer)
{
	if (writer->used > BUFFER - CALL_LINE)
		write_out(writer);
	return writer->buffer + writer->used;
}

static void put_line(struct log_writer *writer, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* A comment line. Its text is ours or escaped; a long one loses its tail, never its newline. */
static void put_line(struct log_writer *writer, const char *format, ...)
{
	char line[1024];
	va_list args;
	int n;

	va_start(args, format);
	n = vsnprintf(line, sizeof(line) - 1, format, args);
	va_end(args);
	n = MIN(n, (int)sizeof(line) - 2);
	line[n++] = '\n';
	if (writer->used + (size_t)n > BUFFER)
		write_out(writer);
	memcpy(writer->buffer + writer->used, line, (size_t)n);
	writer->used += (size_t)n;
}

static void put_numbers(struct log_writer *writer, const struct log_info *info)
{
	char means[64] = "", thresholds[64] = "";
	size_t m = 0, t = 0;

	for (unsigned i = 0; i < MEAN_WINDOWS && info->means[i]; i++) {
		m += (size_t)snprintf(means + m, sizeof(means) - m, " %u", info->means[i]);
		t += (size_t)snprintf(thresholds + t, sizeof(thresholds) - t, " %.2f", info->thresholds[i]);
	}
	put_line(writer, "# mean:%s", means);
	put_line(writer, "# threshold:%s", thresholds);
}

static void put_header(struct log_writer *writer, const struct log_info *info)
{
	char text[800];
	struct tm tm;
	time_t start = (time_t)info->start;

	put_line(writer, "# imsafe monitor log 1");
	if (info->application && *info->application)
		put_line(writer, "# application: %s", escape_text(text, sizeof(text), info->application));
	if (info->profile)
		put_line(writer, "# profile: %s", escape_text(text, sizeof(text), info->profile));
	if (info->arch != ARCH_UNKNOWN)
		put_line(writer, "# arch: %s", arch_name(info->arch));
	if (start && gmtime_r(&start, &tm) && strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &tm))
		put_line(writer, "# start: %s", text);
	if (info->detector)
		put_line(writer, "# detector: %s", info->detector);
	put_numbers(writer, info);
	put_line(writer, "# min-calls: %u", info->min_calls);
	put_line(writer, "# columns: sequence pid call normality mean");
}

static int begin(int fd, bool ours, const char *name, const struct log_info *info, struct log_writer **ret_writer,
		 struct errmsg *err)
{
	struct log_writer *writer = calloc(1, sizeof(*writer));

	if (!writer) {
		if (ours)
			close(fd);
		return errmsg_errno(err, -ENOMEM, name, "cannot write the log");
	}
	writer->fd = fd;
	writer->ours = ours;
	snprintf(writer->path, sizeof(writer->path), "%s", name);
	put_header(writer, info);
	*ret_writer = writer;
	return 0;
}

int log_writer_open(const char *path, const struct log_info *info, struct log_writer **ret_writer, struct errmsg *err)
{
	int fd, r;

	if (!strcmp(path, "-"))
		return begin(STDOUT_FILENO, false, "standard output", info, ret_writer, err);
	r = output_spare(path, true, err);
	if (r < 0)
		return r;
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
	return fd < 0 ? errmsg_errno(err, -errno, path, "cannot write the log") : begin(fd, true, path, info, ret_writer, err);
}

int log_writer_open_fd(int fd, const char *name, const struct log_info *info, struct log_writer **ret_writer, struct errmsg *err)
{
	return begin(fd, true, name, info, ret_writer, err);
}

struct log_writer *log_writer_close(struct log_writer *writer)
{
	if (writer) {
		if (writer->fd >= 0)
			write_out(writer);
		if (writer->ours)
			close(writer->fd);
		free(writer);
	}
	return NULL;
}

int log_writer_flush(struct log_writer *writer, struct errmsg *err)
{
	write_out(writer);
	return writer->error ? errmsg_errno(err, writer->error, writer->path, "cannot write the log") : 0;
}

static const char digit_pairs[] = "00010203040506070809101112131415161718192021222324252627282930313233343536373839"
				  "40414243444546474849505152535455565758596061626364656667686970717273747576777879"
				  "8081828384858687888990919293949596979899";

static inline char *put_number(char *at, uint64_t value)
{
	char digits[20];
	unsigned n = sizeof(digits);

	while (value >= 100) {
		n -= 2;
		memcpy(digits + n, digit_pairs + value % 100 * 2, 2);
		value /= 100;
	}
	if (value >= 10) {
		n -= 2;
		memcpy(digits + n, digit_pairs + value * 2, 2);
	} else {
		digits[--n] = (char)('0' + value);
	}
	memcpy(at, digits + n, sizeof(digits) - n);
	return at + sizeof(digits) - n;
}

/* Normality of a cost in percent with two decimals. */
static inline char *put_percent(char *at, uint32_t cost)
{
	uint32_t hundredths = score_normality(cost);

	at = put_number(at, hundredths / 100);
	*at++ = '.';
	memcpy(at, digit_pairs + hundredths % 100 * 2, 2);
	return at + 2;
}

void log_writer_call(struct log_writer *writer, uint64_t sequence, const struct scored_call *call)
{
	char *start = room(writer), *at = start;

	at = put_number(at, sequence);
	*at++ = ' ';
	at = put_number(at, call->event.tid);
	*at++ = ' ';
	at = put_number(at, call->event.call);
	*at++ = ' ';
	at = put_percent(at, call->verdict.cost);
	*at++ = ' ';
	at = put_percent(at, call->mean);
	*at++ = '\n';
	writer->used += (size_t)(at - start);
}

void log_writer_alarm(struct log_writer *writer, const struct alarm *alarm, const struct policy *policy, uint64_t number, uint64_t group)
{
	if (alarm->flags & VERDICT_ALARM_FOREIGN)
		put_line(writer, "# foreign %" PRIu64 " %u number %" PRIu64 " group %" PRIu64, alarm->sequence, alarm->tid, number, group);
	if (alarm->flags & VERDICT_ALARM)
		put_line(writer, "# alarm %" PRIu64 " %u mean %.2f threshold %.2f over %u number %" PRIu64 " group %" PRIu64,
			 alarm->sequence, alarm->tid, score_normality(alarm->mean[alarm->window]) / 100.0,
			 limit_percent(policy->window[alarm->window].limit), policy->window[alarm->window].length, number, group);
}

void log_writer_went_on(struct log_writer *writer, const struct alarm *alarm, uint64_t number)
{
	put_line(writer, "# went-on %" PRIu64 " %u number %" PRIu64, alarm->sequence, alarm->tid, number);
}

void log_writer_started(struct log_writer *writer, uint64_t sequence, uint32_t tid)
{
	put_line(writer, "# start %" PRIu64 " %u", sequence, tid);
}

void log_writer_closed(struct log_writer *writer, uint64_t sequence, uint32_t tid)
{
	put_line(writer, "# closed %" PRIu64 " %u", sequence, tid);
}

void log_writer_gap(struct log_writer *writer, uint64_t sequence, const struct event *gap)
{
	put_line(writer, "# gap %" PRIu64 " %u %" PRIu64, sequence, gap->tid, (uint64_t)gap->lost);
}
