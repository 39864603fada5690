/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "trace/lines.h"

#include <errno.h>
#include <string.h>

#include "trace/digits.h"

ssize_t lines_read(struct trace_reader *reader, line_fn *fn, struct event *events, size_t n, struct errmsg *err)
{
	struct lines *lines = reader->state;
	struct input *input = &reader->input;
	size_t i = 0;

	while (i < n) {
		char *limit, *end;
		int r;

		if (lines->at < lines->n) {
			events[i++] = lines->queue[lines->at++];
			continue;
		}
		lines->at = lines->n = 0;
		r = input_lines(input, !i, &limit, err);
		if (r <= 0)
			return i ? (ssize_t)i : r;
		end = memchr(input->at, '\n', (size_t)(limit - input->at));
		if (!end)
			end = limit;
		r = fn(reader, input->at, end, err);
		if (r < 0) {
			lines->n = 0; /* all or nothing of a line */
			return i ? (ssize_t)i : r;
		}
		input->line++;
		input->at = end < limit ? end + 1 : limit;
	}
	return (ssize_t)i;
}

void lines_emit(struct lines *lines, const struct event *event)
{
	if (lines->n < LINE_EVENTS)
		lines->queue[lines->n++] = *event;
}

int lines_peek(struct trace_reader *reader, void (*fn)(void *data, const char *line, const char *end), void *data,
	       struct errmsg *err)
{
	char *limit;
	int r = input_lines(&reader->input, true, &limit, err);

	if (r <= 0)
		return r;
	for (const char *line = reader->input.at; line < limit;) {
		const char *end = memchr(line, '\n', (size_t)(limit - line));

		if (!end)
			end = limit;
		fn(data, line, end);
		line = end + 1;
	}
	return 1;
}

bool starts_with(const char *at, const char *end, const char *prefix)
{
	size_t n = strlen(prefix);

	return (size_t)(end - at) >= n && !memcmp(at, prefix, n);
}

bool ends_with(const char *at, const char *end, const char *suffix)
{
	size_t length = strlen(suffix);

	return (size_t)(end - at) >= length && !memcmp(end - length, suffix, length);
}

const char *copy_name(const char *at, const char *end, char *name, size_t size)
{
	size_t n = 0;

	while (at + n < end && n < size - 1 &&
	       (is_digit(at[n]) || at[n] == '_' || (at[n] >= 'a' && at[n] <= 'z') || (at[n] >= 'A' && at[n] <= 'Z'))) {
		name[n] = at[n];
		n++;
	}
	name[n] = '\0';
	return n ? at + n : NULL;
}

unsigned call_by_name(enum syscall_arch arch, const char *name)
{
	static const char *const aliases[][2] = {
		{ "pread", "pread64" },       { "pwrite", "pwrite64" },     { "prlimit", "prlimit64" },
		{ "umount", "umount2" },      { "eventfd", "eventfd2" },    { "signalfd", "signalfd4" },
		{ "old_mmap", "mmap" },       { "old_select", "select" },   { "oldselect", "select" },
		{ "fadvise64_64", "fadvise64" }, { "fstatat", "newfstatat" }, { "stat64", "stat" },
		{ "fstat64", "fstat" },       { "lstat64", "lstat" },       { "sendfile64", "sendfile" },
		{ "getuid32", "getuid" },     { "oldumount", "umount" },    { "llseek", "_llseek" },
	};
	const char *number = name + strlen("syscall_");
	uint64_t value;
	int call = syscall_by_name(arch, name);

	for (size_t i = 0; call < 0 && i < ARRAY_SIZE(aliases); i++)
		if (!strcmp(name, aliases[i][0]))
			call = syscall_by_name(arch, aliases[i][1]);
	if (call >= 0)
		return (unsigned)call;
	/* What strace calls a number that it has no name for. */
	if (!strncmp(name, "syscall_", strlen("syscall_")) && *number) {
		char *end;

		value = strtoull(number, &end, 0);
		if (!*end && value < CALL_INVALID)
			return (unsigned)value;
	}
	return CALL_INVALID;
}

bool parse_seconds(const char **at, uint64_t *ret_ns)
{
	const char *p = *at, *from;
	uint64_t seconds, fraction = 0;

	if (!digits_parse(&p, UINT64_MAX / 1000000000, &seconds))
		return false;
	if (*p == '.') {
		from = ++p;
		if (!digits_parse(&p, 999999999, &fraction) || p - from > 9)
			return false;
		for (long i = p - from; i < 9; i++)
			fraction *= 10;
	}
	if (__builtin_add_overflow(seconds * 1000000000, fraction, &fraction))
		return false;
	*at = p;
	*ret_ns = fraction;
	return true;
}
