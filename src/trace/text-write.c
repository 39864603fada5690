/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Writing text traces: plain lines for calls, "#:" lines for what else the reader needs to give the same events. */
#include <errno.h>
#include <stdarg.h>
#include <string.h>

#include "trace/digits.h"
#include "trace/format.h"
#include "trace/header.h"
#include "trace/text.h"

#define SECOND   1000000000ULL
#define PRINT_MAX 160 /* the longest line without a path in it */

struct text_out {
	uint64_t sequence;
	uint64_t time;    /* as last written */
	uint8_t origin;   /* as last written */
	unsigned modules; /* written so far */
};

__attribute__((format(printf, 3, 4)))
static int print(struct output *output, struct errmsg *err, const char *format, ...)
{
	char line[PRINT_MAX + 1];
	va_list args;
	int n;

	va_start(args, format);
	n = vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	return output_write(output, line, (size_t)MIN(n, PRINT_MAX), err);
}

static int print_line(void *data, const char *keyword, const char *text, struct errmsg *err)
{
	struct output *output = data;
	int r = print(output, err, "#: %s ", keyword);

	if (r >= 0)
		r = output_write(output, text, strlen(text), err);
	return r < 0 ? r : output_write(output, "\n", 1, err);
}

static int text_open(struct trace_writer *writer, struct errmsg *err)
{
	struct output *output = &writer->output;
	int r = print(output, err, "#: " TEXT_MAGIC " %d\n", TEXT_VERSION);

	if (r >= 0)
		r = header_write(&writer->info, print_line, output, err);
	return r < 0 ? r : print(output, err, "# SEQ PID SYSCALL\n");
}

/* Modules are written before the first line that could name them. */
static int write_modules(struct trace_writer *writer, struct errmsg *err)
{
	struct text_out *text = writer->state;

	while (writer->modules && text->modules + 1 < writer->modules->n) {
		_cleanup_free_ char *line = header_module(modules_get(writer->modules, ++text->modules));
		char keyword[32];
		int r;

		if (!line)
			return errmsg_errno(err, -ENOMEM, writer->output.name, "cannot write it");
		snprintf(keyword, sizeof(keyword), "module %u", text->modules);
		r = print_line(&writer->output, keyword, line, err);
		if (r < 0)
			return r;
	}
	return 0;
}

static int write_from(struct trace_writer *writer, const struct event *event, struct errmsg *err)
{
	struct text_out *text = writer->state;
	unsigned class = EVENT_ORIGIN(event->origin), abi = EVENT_ABI(event->origin);
	char site[48] = "";
	int r;

	if (class >= ORIGIN_KINDS || abi >= ABI_KINDS)
		return errmsg_set(err, -EINVAL, writer->output.name, 0, "an event of unknown origin %u", event->origin);
	if (event_is_foreign(event->origin) && event->site) {
		unsigned module = SITE_MODULE(event->site);

		r = write_modules(writer, err);
		if (r < 0)
			return r;
		if (module && module <= text->modules)
			snprintf(site, sizeof(site), " at %u+0x%llx", module, SITE_OFFSET(event->site));
		else if (!module)
			snprintf(site, sizeof(site), " at 0x%llx", SITE_OFFSET(event->site));
	}
	r = print(&writer->output, err, "#: from %s%s%s%s\n", text_origins[class], abi ? " " : "", abi ? text_abis[abi] : "",
		  site);
	text->origin = event->origin;
	return r;
}

/* Seconds are enough for rates; the compact format has the rest. */
static int write_time(struct trace_writer *writer, uint64_t time, struct errmsg *err)
{
	struct text_out *text = writer->state;

	text->time = time - time % SECOND;
	return print(&writer->output, err, "#: time %llu\n", (unsigned long long)(time / SECOND));
}

static int write_event(struct trace_writer *writer, const struct event *event, struct errmsg *err)
{
	char label[80] = "";
	size_t n = 0;

	switch (event->kind) {
	case EVENT_GAP:
		if (event->lost)
			snprintf(label, sizeof(label), " lost %llu", (unsigned long long)event->lost);
		if (!event->tid)
			return print(&writer->output, err, "#: gap all%s\n", label);
		break;
	case EVENT_FORK:
	case EVENT_EXEC:
		if (event->parent)
			n = (size_t)snprintf(label, sizeof(label), " %s %u", event->kind == EVENT_FORK ? "parent" : "was",
					     event->parent);
		/* fall through */
	case EVENT_ATTACH:
		if (event->pid)
			snprintf(label + n, sizeof(label) - n, " pid %u", event->pid);
		break;
	case EVENT_EXIT:
		break;
	default:
		return errmsg_set(err, -EINVAL, writer->output.name, 0, "an event of unknown kind %u", event->kind);
	}
	return print(&writer->output, err, "#: %s %u%s\n", text_events[event->kind], event->tid, label);
}

static int text_write(struct trace_writer *writer, const struct event *events, size_t n, struct errmsg *err)
{
	struct text_out *text = writer->state;
	struct output *output = &writer->output;

	for (const struct event *event = events; event < events + n; event++) {
		char *at;
		int r = 0;

		if (event->time && (event->time - text->time >= SECOND || event->time < text->time))
			r = write_time(writer, event->time, err);
		if (r >= 0 && event->kind == EVENT_CALL &&
		    (event->origin != text->origin || (event_is_foreign(event->origin) && event->site)))
			r = write_from(writer, event, err);
		if (r >= 0)
			r = event->kind == EVENT_CALL ? output_reserve(output, 64, err) : write_event(writer, event, err);
		if (r < 0)
			return r;
		if (event->kind != EVENT_CALL)
			continue;
		at = digits_write(output->buffer + output->used, ++text->sequence);
		*at++ = ' ';
		at = digits_write(at, event->tid);
		*at++ = ' ';
		at = digits_write(at, event->call);
		*at++ = '\n';
		output->used = (size_t)(at - output->buffer);
	}
	return 0;
}

const struct writer_ops text_writer = {
	.state_size = sizeof(struct text_out),
	.open = text_open,
	.write = text_write,
};
