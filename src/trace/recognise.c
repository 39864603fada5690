/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Which format a trace has, from its first bytes; and for what is none, what it seems to be. */
#include <errno.h>
#include <string.h>

#include "trace/compact.h"
#include "trace/digits.h"
#include "trace/format.h"
#include "trace/lines.h"

#define LOOK (64U << 10) /* how far to look for the first line that tells */

static const struct {
	const char *magic;
	size_t n;
	const char *what;
} others[] = {
	{ "SQLite format 3", 16, "it is a profile (or another SQLite file), not a trace" },
	{ "IMFSIMG1", 8, "it is a frozen image, not a trace" },
	{ "\x1f\x8b", 2, "it is compressed: unpack it with gunzip first" },
	{ "\xfd" "7zXZ", 6, "it is compressed: unpack it with unxz first" },
	{ "\x28\xb5\x2f\xfd", 4, "it is compressed: unpack it with unzstd first" },
	{ "BZh", 3, "it is compressed: unpack it with bunzip2 first" },
	{ "PK\x03\x04", 4, "it is a zip archive: unpack it first" },
	{ "\x7f" "ELF", 4, "it is a program, not a trace" },
	{ "\xff\xfe", 2, "it is UTF-16 text: convert it with 'iconv -f UTF-16 -t UTF-8' first" },
	{ "\xfe\xff", 2, "it is UTF-16 text: convert it with 'iconv -f UTF-16 -t UTF-8' first" },
	{ "\xef\xbb\xbf", 3, "it begins with a byte order mark: remove these three bytes ('tail -c +4') first" },
};

/* How many whole decimal numbers stand on the line; -1 if anything else does. */
static int count_numbers(const char *at, const char *end)
{
	int n = 0;

	for (;;) {
		while (at < end && is_blank(*at))
			at++;
		if (at == end)
			return n;
		if (!is_digit(*at))
			return -1;
		while (at < end && is_digit(*at))
			at++;
		if (at < end && !is_blank(*at))
			return -1;
		n++;
	}
}

static int recognise_line(const char *at, const char *end)
{
	int n = count_numbers(at, end);

	if (n >= 0)
		return n == 3 ? TRACE_TEXT : n == 2 ? TRACE_UNM : TRACE_ADFA;
	if (auditd_knows(at, end))
		return TRACE_AUDITD;
	if (lidds_knows(at, end))
		return TRACE_LIDDS;
	return strace_knows(at, end) ? TRACE_STRACE : -EINVAL;
}

/* By the whole lines in [at, end). 0: none of them tells. */
static int recognise_lines(struct input *input, const char *at, const char *limit, struct errmsg *err)
{
	for (unsigned long line = 1; at < limit; line++) {
		const char *end = memchr(at, '\n', (size_t)(limit - at));
		int r;

		if (!end)
			end = limit;
		while (at < end && is_blank(*at))
			at++;
		if (end - at > 1 && at[0] == '#' && at[1] == ':')
			return TRACE_TEXT;
		if (at < end && *at != '#') {
			r = recognise_line(at, end);
			if (r < 0) {
				input->line = line - 1;
				r = bad_line(input, at, "this is not a trace of a known format", err);
			}
			return r;
		}
		at = end + 1;
	}
	return 0;
}

/* Reads no further than it has to: the trace may come from a running recording. */
int trace_recognise(struct input *input, struct errmsg *err)
{
	for (;;) {
		size_t n = MIN((size_t)(input->end - input->at), (size_t)LOOK);
		bool all = n == LOOK || input->eof;
		const char *limit = all ? input->at + n : memrchr(input->at, '\n', n);
		int r;

		if (n >= COMPACT_MAGIC_SIZE && !memcmp(input->at, COMPACT_MAGIC, COMPACT_MAGIC_SIZE))
			return TRACE_COMPACT;
		for (size_t i = 0; i < ARRAY_SIZE(others); i++)
			if (n >= others[i].n && !memcmp(input->at, others[i].magic, others[i].n))
				return errmsg_set(err, -EINVAL, input->name, 0, "%s", others[i].what);
		if (memchr(input->at, '\0', n))
			return errmsg_set(err, -EINVAL, input->name, 0, "it is a binary file, not a trace");
		r = limit ? recognise_lines(input, input->at, limit, err) : 0;
		if (r)
			return r;
		if (input->eof)
			return TRACE_TEXT; /* comments alone: a trace without calls */
		if (all)
			return errmsg_set(err, -EINVAL, input->name, 0, "no trace begins in its first %u KiB", LOOK >> 10);
		r = input_fill(input, err);
		if (r < 0)
			return r;
	}
}
