/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "alarm/log.h"

#define BUFFER (256 * 1024) /* and so the longest line */

struct log_reader {
	int fd;
	bool ours, ended;
	char *path;
	unsigned long line;
	uint64_t size, consumed;
	size_t begin, end; /* of what is not yet used in the buffer */
	struct log_info info;
	char *application, *profile, *detector;
	char buffer[BUFFER + 1];
};

static int bad_line(const struct log_reader *reader, struct errmsg *err, const char *what)
{
	return errmsg_set(err, -EINVAL, reader->path, reader->line, "%s", what);
}

int log_reader_open(const char *path, struct log_reader **ret_reader, struct errmsg *err)
{
	_cleanup_(log_reader_closep) struct log_reader *reader = calloc(1, sizeof(*reader));
	struct stat st;

	if (!reader)
		return errmsg_errno(err, -ENOMEM, path, "cannot read the log");
	reader->fd = STDIN_FILENO;
	reader->path = strdup(strcmp(path, "-") ? path : "standard input");
	if (!reader->path)
		return errmsg_errno(err, -ENOMEM, path, "cannot read the log");
	if (strcmp(path, "-")) {
		reader->fd = open(path, O_RDONLY | O_CLOEXEC);
		if (reader->fd < 0) {
			int r = -errno;

			return errmsg_errno(err, r, path, "cannot read the log");
		}
		reader->ours = true;
	}
	if (!fstat(reader->fd, &st) && S_ISREG(st.st_mode))
		reader->size = (uint64_t)st.st_size;
	*ret_reader = TAKE_PTR(reader);
	return 0;
}

struct log_reader *log_reader_close(struct log_reader *reader)
{
	if (reader) {
		if (reader->ours)
			close(reader->fd);
		free(reader->path);
		free(reader->application);
		free(reader->profile);
		free(reader->detector);
		free(reader);
	}
	return NULL;
}

const struct log_info *log_reader_info(const struct log_reader *reader)
{
	return &reader->info;
}

double log_reader_progress(const struct log_reader *reader)
{
	return reader->size ? (double)reader->consumed / (double)reader->size : -1;
}

/* The next line, ended with NUL instead of its newline. 1, 0 at the end, -errno. */
static int next_line(struct log_reader *reader, char **ret_line, size_t *ret_length, struct errmsg *err)
{
	for (;;) {
		char *start = reader->buffer + reader->begin;
		size_t have = reader->end - reader->begin;
		char *newline = have ? memchr(start, '\n', have) : NULL;
		ssize_t n;

		if (newline || (reader->ended && have)) {
			size_t length = newline ? (size_t)(newline - start) : have;

			start[length] = '\0';
			reader->line++;
			reader->begin += length + !!newline;
			reader->consumed += length + 1;
			*ret_line = start;
			*ret_length = length;
			return 1;
		}
		if (reader->ended)
			return 0;
		if (have == BUFFER) {
			reader->line++;
			return bad_line(reader, err, "the line is too long; is this a monitor log?");
		}
		memmove(reader->buffer, start, have);
		reader->begin = 0;
		reader->end = have;
		n = read(reader->fd, reader->buffer + have, BUFFER - have);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			int r = -errno;

			return errmsg_errno(err, r, reader->path, "cannot read the log");
		}
		reader->end += (size_t)n;
		reader->ended = !n;
	}
}

/* Decimal numbers with single or more spaces before; NULL if there is none or it does not fit. */
static const char *get_number(const char *at, uint64_t max, uint64_t *ret_value)
{
	uint64_t value = 0;
	const char *start;

	while (*at == ' ' || *at == '\t')
		at++;
	for (start = at; *at >= '0' && *at <= '9'; at++) {
		unsigned digit = (unsigned)(*at - '0');

		if (value > (max - digit) / 10)
			return NULL;
		value = value * 10 + digit;
	}
	if (at == start)
		return NULL;
	*ret_value = value;
	return at;
}

/* A percentage from 0 to 100 with up to two decimals that count (more are read past), in hundredths. */
static const char *get_percent(const char *at, uint32_t *ret_hundredths)
{
	uint64_t value;
	unsigned scale = 10;

	at = get_number(at, 100, &value);
	if (!at)
		return NULL;
	value *= 100;
	if (*at == '.')
		for (at++; *at >= '0' && *at <= '9'; at++, scale /= 10)
			value += (unsigned)(*at - '0') * scale;
	if (value > 10000)
		return NULL;
	*ret_hundredths = (uint32_t)value;
	return at;
}

static bool at_end(const char *at)
{
	while (*at == ' ' || *at == '\t' || *at == '\r')
		at++;
	return !*at;
}

static int parse_call(const struct log_reader *reader, const char *line, struct log_record *record, struct errmsg *err)
{
	const char *at = line;
	uint64_t pid, call;

	record->kind = LOG_CALL;
	at = get_number(at, UINT64_MAX, &record->sequence);
	if (!at)
		return bad_line(reader, err, "expected 'sequence pid call normality mean', all numbers");
	at = get_number(at, UINT32_MAX, &pid);
	at = at ? get_number(at, UINT32_MAX, &call) : NULL;
	if (!at)
		return bad_line(reader, err, "after the sequence number, expected a pid and a call, both numbers");
	at = get_percent(at, &record->normality);
	at = at ? get_percent(at, &record->mean) : NULL;
	if (!at || !at_end(at))
		return bad_line(reader, err, "the line should end with normality and mean, from 0.00 to 100.00");
	record->pid = (uint32_t)pid;
	record->call = (uint32_t)call;
	return 1;
}

static void keep_text(char **field, const char **shown, const char *text)
{
	free(*field);
	*field = strdup(text);
	*shown = *field;
}

static void parse_means(const char *at, struct log_info *info)
{
	uint64_t value;

	for (unsigned i = 0; i < MEAN_WINDOWS; i++) {
		at = at ? get_number(at, MEAN_MAX, &value) : NULL;
		info->means[i] = at ? (unsigned)value : 0;
	}
}

static void parse_thresholds(const char *at, struct log_info *info)
{
	uint32_t value;

	for (unsigned i = 0; i < MEAN_WINDOWS; i++) {
		at = at ? get_percent(at, &value) : NULL;
		info->thresholds[i] = at ? value / 100.0 : 0;
	}
}

static bool value_of(const char *comment, const char *name, const char **ret_value)
{
	size_t n = strlen(name);

	if (strncmp(comment, name, n))
		return false;
	*ret_value = comment + n + strspn(comment + n, " ");
	return true;
}

/* "mean P threshold P over N", as far as it is said. */
static void parse_alarm(const char *at, struct log_record *record)
{
	const char *value;
	uint64_t over;

	if (value_of(at + strspn(at, " "), "mean ", &value))
		get_percent(value, &record->mean);
	at = strstr(at, " over ");
	if (at && get_number(at + 6, MEAN_MAX, &over))
		record->over = (uint32_t)over;
}

/* The first word; those after it mean nothing. */
static const char *first_word(const char *text, char buffer[32])
{
	snprintf(buffer, 32, "%.*s", (int)MIN(strcspn(text, " \t"), (size_t)31), text);
	return buffer;
}

/* "# key: value" at the head, "# alarm ..." in place; anything else is a comment for people. 1 if it is a record. */
static int parse_comment(struct log_reader *reader, const char *line, struct log_record *record)
{
	static const struct {
		const char *word;
		enum log_kind kind;
	} words[] = {
		{ "alarm ", LOG_ALARM }, { "foreign ", LOG_ALARM_FOREIGN }, { "closed ", LOG_CLOSED }, { "gap ", LOG_GAP },
		{ "start ", LOG_START },
	};
	struct log_info *info = &reader->info;
	const char *comment = line + 1 + strspn(line + 1, " "), *value, *at;
	char word[32];

	for (unsigned i = 0; i < ARRAY_SIZE(words); i++) {
		uint64_t pid;

		if (!value_of(comment, words[i].word, &value))
			continue;
		at = get_number(value, UINT64_MAX, &record->sequence);
		at = at ? get_number(at, UINT32_MAX, &pid) : NULL;
		if (!at)
			return 0;
		record->kind = words[i].kind;
		record->pid = (uint32_t)pid;
		if (record->kind == LOG_GAP)
			get_number(at, UINT64_MAX, &record->lost);
		if (record->kind == LOG_ALARM)
			parse_alarm(at, record);
		return 1;
	}
	if (value_of(comment, "application:", &value)) {
		keep_text(&reader->application, &info->application, value);
	} else if (value_of(comment, "profile:", &value)) {
		keep_text(&reader->profile, &info->profile, value);
	} else if (value_of(comment, "detector:", &value)) {
		keep_text(&reader->detector, &info->detector, first_word(value, word));
	} else if (value_of(comment, "mean:", &value)) {
		parse_means(value, info);
	} else if (value_of(comment, "threshold:", &value)) {
		parse_thresholds(value, info);
	} else if (value_of(comment, "min-calls:", &value)) {
		uint64_t calls = 0;

		get_number(value, UINT16_MAX, &calls);
		info->min_calls = (unsigned)calls;
	} else if (value_of(comment, "arch:", &value)) {
		int arch = arch_by_name(first_word(value, word));

		info->arch = arch < 0 ? ARCH_UNKNOWN : (enum syscall_arch)arch;
	} else if (value_of(comment, "start:", &value)) {
		struct tm tm = { 0 };

		if (strptime(value, "%Y-%m-%dT%H:%M:%SZ", &tm))
			info->start = timegm(&tm);
	}
	return 0;
}

int log_reader_next(struct log_reader *reader, struct log_record *ret_record, struct errmsg *err)
{
	char *line = NULL;
	size_t length = 0;
	int r;

	while ((r = next_line(reader, &line, &length, err)) > 0) {
		*ret_record = (struct log_record){ 0 };
		if (strlen(line) != length)
			return bad_line(reader, err, "there is a zero byte in the line; is this a monitor log?");
		if (*line == '#') {
			while (line[length - 1] == '\r')
				line[--length] = '\0';
			if (parse_comment(reader, line, ret_record))
				return 1;
		} else if (!at_end(line)) {
			return parse_call(reader, line, ret_record, err);
		}
	}
	return r;
}
