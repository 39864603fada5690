/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <string.h>

#include "trace/format.h"
#include "trace/text.h"

static const struct {
	const char *name;
	const struct reader_ops *ops;
} formats[TRACE_FORMATS] = {
	[TRACE_AUTO] = { "auto", NULL },
	[TRACE_TEXT] = { "text", &text_reader },
	[TRACE_COMPACT] = { "compact", &compact_reader },
	[TRACE_UNM] = { "unm", &unm_reader },
	[TRACE_ADFA] = { "adfa", &adfa_reader },
	[TRACE_STRACE] = { "strace", &strace_reader },
	[TRACE_AUDITD] = { "auditd", &auditd_reader },
	[TRACE_LIDDS] = { "lidds", &lidds_reader },
};

const char *trace_format_name(enum trace_format format)
{
	return (unsigned)format < TRACE_FORMATS ? formats[format].name : "unknown";
}

int trace_format_by_name(const char *name)
{
	for (int format = 0; format < TRACE_FORMATS; format++)
		if (!strcmp(formats[format].name, name))
			return format;
	return -ENOENT;
}

/* fd -1: opens name as a path. */
static int reader_open(int fd, const char *name, enum trace_format format, int interrupt, struct trace_reader **ret_reader,
		       struct errmsg *err)
{
	_cleanup_(trace_reader_closep) struct trace_reader *reader = calloc(1, sizeof(*reader));
	int r;

	if (!reader) {
		closep(&fd);
		return errmsg_errno(err, -ENOMEM, name, "cannot read it");
	}
	reader->input.fd = -1;
	modules_init(&reader->modules);
	r = fd < 0 ? input_open(&reader->input, name, interrupt, err) : input_open_fd(&reader->input, fd, name, err);
	if (r >= 0)
		r = input_need(&reader->input, 1, err);
	if (r < 0)
		return r;
	if (!r)
		return errmsg_set(err, -ENODATA, reader->input.name, 0, "it is empty");
	if (format == TRACE_AUTO) {
		r = trace_recognise(&reader->input, err);
		if (r < 0)
			return r;
		format = (enum trace_format)r;
	}
	if ((unsigned)format >= TRACE_FORMATS || !formats[format].ops)
		return errmsg_set(err, -EINVAL, name, 0, "there is no such trace format");
	reader->ops = formats[format].ops;
	reader->info.format = format;
	reader->info.arch = reader->ops->arch;
	reader->state = calloc(1, MAX(reader->ops->state_size, 1U));
	if (!reader->state)
		return errmsg_errno(err, -ENOMEM, name, "cannot read it");
	r = reader->ops->open ? reader->ops->open(reader, err) : 0;
	if (r < 0)
		return r;
	*ret_reader = TAKE_PTR(reader);
	return 0;
}

int trace_reader_open(const char *path, enum trace_format format, struct trace_reader **ret_reader,
		      struct errmsg *err)
{
	return reader_open(-1, path, format, 0, ret_reader, err);
}

int trace_reader_open_interruptible(const char *path, enum trace_format format, int interrupt, struct trace_reader **ret_reader,
				    struct errmsg *err)
{
	return reader_open(-1, path, format, interrupt, ret_reader, err);
}

int trace_reader_open_fd(int fd, const char *name, enum trace_format format, struct trace_reader **ret_reader,
			 struct errmsg *err)
{
	return reader_open(fd, name, format, 0, ret_reader, err);
}

ssize_t trace_reader_read(struct trace_reader *reader, struct event *events, size_t n, struct errmsg *err)
{
	return n ? reader->ops->read(reader, events, n, err) : 0;
}

const struct trace_info *trace_reader_info(const struct trace_reader *reader)
{
	return &reader->info;
}

const struct modules *trace_reader_modules(const struct trace_reader *reader)
{
	return &reader->modules;
}

double trace_reader_progress(const struct trace_reader *reader)
{
	const struct input *input = &reader->input;
	uint64_t done = input->offset - (uint64_t)(input->end - input->at);

	return !input->size ? -1 : done < input->size ? (double)done / (double)input->size : 1;
}

struct trace_reader *trace_reader_close(struct trace_reader *reader)
{
	if (!reader)
		return NULL;
	if (reader->ops && reader->ops->close && reader->state)
		reader->ops->close(reader);
	input_close(&reader->input);
	modules_done(&reader->modules);
	info_done(&reader->info);
	free(reader->state);
	free(reader);
	return NULL;
}

int info_set(const char **field, const char *value)
{
	char *copy = strdup(value);

	if (!copy)
		return -ENOMEM;
	free((char *)*field);
	*field = copy;
	return 0;
}

void info_done(struct trace_info *info)
{
	free((char *)info->application);
	free((char *)info->build_id);
	free((char *)info->sensor);
	*info = (struct trace_info){ 0 };
}

int unescape_text(char *text)
{
	char *out = text;

	for (const char *in = text; *in; out++) {
		if (*in != '\\') {
			*out = *in++;
			continue;
		}
		if (in[1] != 'x' || hex_digit(in[2]) < 0 || hex_digit(in[3]) < 0)
			return -EINVAL;
		*out = (char)(hex_digit(in[2]) << 4 | hex_digit(in[3]));
		if (!*out)
			return -EINVAL;
		in += 4;
	}
	*out = '\0';
	return 0;
}

int bad_line(const struct input *input, const char *line, const char *what, struct errmsg *err)
{
	size_t n = 0;

	while (n < 64 && line + n < input->end && line[n] != '\n' && line[n] != '\r' && line[n])
		n++;
	return errmsg_set(err, -EINVAL, input->name, input->line + 1, "%s: '%.*s%s'", what, (int)n, line,
			  n == 64 ? "..." : "");
}
