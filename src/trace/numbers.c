/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Importers of plain numbers: UNM ("PID SYSCALL" a line) and ADFA-LD (system calls alone, one thread a file). */
#include <errno.h>
#include <string.h>

#include "trace/digits.h"
#include "trace/format.h"

#define ADFA_TID 1

static ssize_t unm_read(struct trace_reader *reader, struct event *events, size_t n, struct errmsg *err)
{
	struct input *input = &reader->input;
	size_t i = 0;

	while (i < n) {
		char *limit, *end;
		const char *at;
		uint64_t tid, call;
		bool good;
		int r = input_lines(input, !i, &limit, err);

		if (r <= 0)
			return i ? (ssize_t)i : r;
		end = memchr(input->at, '\n', (size_t)(limit - input->at));
		if (!end)
			end = limit;
		at = input->at;
		while (at < end && is_blank(*at))
			at++;
		if (at < end && *at != '#') {
			good = digits_parse(&at, UINT32_MAX, &tid) && is_blank(*at);
			while (good && is_blank(*at))
				at++;
			good = good && digits_parse(&at, CALL_INVALID, &call);
			while (good && at < end && is_blank(*at))
				at++;
			if (!good || at < end)
				return i ? (ssize_t)i : bad_line(input, input->at, "not 'PID SYSCALL'", err);
			events[i++] = (struct event){ .tid = (__u32)tid, .call = (__u16)call, .kind = EVENT_CALL };
		}
		input->line++;
		input->at = end < limit ? end + 1 : limit;
	}
	return (ssize_t)i;
}

/* Numbers with any white space between them; a whole file is usually one line, so it is not read by lines. */
static ssize_t adfa_read(struct trace_reader *reader, struct event *events, size_t n, struct errmsg *err)
{
	struct input *input = &reader->input;
	size_t i = 0;

	while (i < n) {
		const char *at = input->at;
		uint64_t call;

		while (at < input->end && (is_blank(*at) || *at == '\n'))
			input->line += *at++ == '\n';
		input->at = (char *)at;
		/* A number is whole only when what follows it is at hand too. */
		while (at < input->end && is_digit(*at))
			at++;
		if (at == input->end && !input->eof) {
			int r = input_fill(input, err);

			if (r < 0)
				return i ? (ssize_t)i : r;
			continue;
		}
		if (input->at == input->end)
			break;
		at = input->at;
		if (!digits_parse(&at, CALL_INVALID, &call) || (at < input->end && !is_blank(*at) && *at != '\n'))
			return i ? (ssize_t)i : bad_line(input, input->at, "not a system call's number", err);
		input->at = (char *)at;
		events[i++] = (struct event){ .tid = ADFA_TID, .call = (__u16)call, .kind = EVENT_CALL };
	}
	return (ssize_t)i;
}

const struct reader_ops unm_reader = { .read = unm_read };
const struct reader_ops adfa_reader = { .arch = ARCH_I386, .read = adfa_read };
