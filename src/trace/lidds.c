/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The importer of LID-DS 2021 recordings (.sc): lines as Sysdig prints them; see doc/trace-formats.md. */
#include <errno.h>
#include <string.h>

#include "trace/digits.h"
#include "trace/lines.h"
#include "trace/thread-table.h"

struct lidds {
	struct lines lines;
	struct thread_table *seen;
};

/* TIME UID PID NAME TID CALL DIRECTION ARGUMENTS; NAME may have spaces in it. */
struct fields {
	uint64_t time, pid, tid;
	char call[64];
	bool entered;
	const char *arguments;
};

static const char *word_end(const char *at, const char *end)
{
	const char *blank = memchr(at, ' ', (size_t)(end - at));

	return blank ? blank : end;
}

static bool next_number(const char **at, const char *end, uint64_t max, uint64_t *ret_value)
{
	if (!digits_parse(at, max, ret_value) || *at >= end || **at != ' ')
		return false;
	(*at)++;
	return true;
}

static bool divide(const char *line, const char *end, struct fields *f)
{
	const char *at = line, *direction = NULL, *words[2] = { NULL, NULL };
	uint64_t uid;

	if (!next_number(&at, end, UINT64_MAX, &f->time) || !next_number(&at, end, UINT64_MAX, &uid) ||
	    !next_number(&at, end, UINT32_MAX, &f->pid))
		return false;
	/* The first lone '<' or '>' behind a thread's id and a call's name. */
	at = word_end(at, end);
	while (at < end && !direction) {
		const char *word = at + 1, *to;

		if (word >= end)
			return false;
		to = word_end(word, end);
		if (to - word == 1 && (*word == '<' || *word == '>') && words[0] && is_digit(*words[0]))
			direction = word;
		if (!direction) {
			words[0] = words[1];
			words[1] = word;
		}
		at = to;
	}
	if (!direction || !next_number(&words[0], end, UINT32_MAX, &f->tid) || words[0] != words[1])
		return false;
	at = copy_name(words[1], end, f->call, sizeof(f->call));
	if (!at || *at != ' ')
		return false;
	f->entered = *direction == '>';
	f->arguments = direction + 1;
	return true;
}

bool lidds_knows(const char *line, const char *end)
{
	struct fields f;

	return divide(line, end, &f);
}

static bool argument(const struct fields *f, const char *end, const char *key, uint64_t *ret_value)
{
	const char *at = memmem(f->arguments, (size_t)(end - f->arguments), key, strlen(key));

	if (!at)
		return false;
	at += strlen(key);
	return digits_parse(&at, UINT32_MAX, ret_value);
}

/* Sysdig's name of calls that it does not take apart: "syscall > ID=334(rseq) nativeID=334". */
static unsigned number_of(const struct fields *f, const char *end)
{
	uint64_t value;

	if (!strcmp(f->call, "syscall") && argument(f, end, " nativeID=", &value))
		return (unsigned)MIN(value, (uint64_t)CALL_INVALID);
	return call_by_name(ARCH_X86_64, f->call);
}

/* What Sysdig reports beside calls. */
static bool is_no_call(const char *name)
{
	static const char *const names[] = { "switch", "signaldeliver", "procinfo", "container", "page_fault", "cpu_hotplug", "notification",
					     "infra", "tracer", "k8s", "mesos", "pluginevent", "scapevent", "procexit", "drop" };

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (!strcmp(name, names[i]))
			return true;
	return false;
}

static int read_line(struct trace_reader *reader, const char *line, const char *end, struct errmsg *err)
{
	struct lidds *lidds = reader->state;
	struct fields f;
	struct event event;
	uint64_t value;
	bool is_new;

	while (end > line && (end[-1] == '\r' || end[-1] == ' '))
		end--;
	if (line == end)
		return 0;
	if (!divide(line, end, &f))
		return bad_line(&reader->input, line, "not 'TIME UID PID NAME TID CALL DIRECTION'", err);
	event = (struct event){ .time = f.time, .tid = (__u32)f.tid };
	if (!strcmp(f.call, "drop")) {
		if (f.entered)
			lines_emit(&lidds->lines, &(struct event){ .time = f.time, .kind = EVENT_GAP });
		return 0;
	}
	if (!strcmp(f.call, "procexit")) {
		event.kind = EVENT_EXIT;
		lines_emit(&lidds->lines, &event);
		thread_table_remove(lidds->seen, event.tid);
		return 0;
	}
	if (is_no_call(f.call))
		return 0;
	if (!thread_table_get(lidds->seen, event.tid, &is_new))
		return errmsg_errno(err, -ENOMEM, reader->input.name, "cannot read it");
	if (f.entered) {
		event.kind = EVENT_CALL;
		event.call = (__u16)number_of(&f, end);
		lines_emit(&lidds->lines, &event);
		return 0;
	}
	if (!argument(&f, end, " res=", &value) || value)
		return 0;
	if (!strcmp(f.call, "execve") || !strcmp(f.call, "execveat")) {
		event.kind = EVENT_EXEC;
	} else if (is_new && (!strcmp(f.call, "clone") || !strcmp(f.call, "clone3") || !strcmp(f.call, "fork") ||
			      !strcmp(f.call, "vfork"))) {
		event.kind = EVENT_FORK;
		if (argument(&f, end, " ptid=", &value))
			event.parent = (__u32)value;
	} else {
		return 0;
	}
	event.pid = (__u32)f.pid;
	lines_emit(&lidds->lines, &event);
	return 0;
}

static ssize_t lidds_read(struct trace_reader *reader, struct event *events, size_t n, struct errmsg *err)
{
	return lines_read(reader, read_line, events, n, err);
}

static void look_at_time(void *data, const char *line, const char *end)
{
	struct trace_info *info = data;
	struct fields f;

	if (!info->start && divide(line, end, &f))
		info->start = (int64_t)(f.time / 1000000000);
}

static int lidds_open(struct trace_reader *reader, struct errmsg *err)
{
	struct lidds *lidds = reader->state;
	int r;

	lidds->seen = thread_table_new(0);
	if (!lidds->seen)
		return errmsg_errno(err, -ENOMEM, reader->input.name, "cannot read it");
	r = lines_peek(reader, look_at_time, &reader->info, err);
	return r < 0 ? r : 0;
}

static void lidds_close(struct trace_reader *reader)
{
	struct lidds *lidds = reader->state;

	thread_table_free(lidds->seen);
}

const struct reader_ops lidds_reader = {
	.state_size = sizeof(struct lidds),
	.arch = ARCH_X86_64,
	.open = lidds_open,
	.read = lidds_read,
	.close = lidds_close,
};
