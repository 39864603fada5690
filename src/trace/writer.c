/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <string.h>

#include "trace/format.h"

static const struct writer_ops *const writers[TRACE_FORMATS] = {
	[TRACE_TEXT] = &text_writer,
	[TRACE_COMPACT] = &compact_writer,
};

static enum trace_format format_of_name(const char *path)
{
	size_t n = strlen(path);

	return n > 4 && !strcmp(path + n - 4, ".imt") ? TRACE_COMPACT : TRACE_TEXT;
}

static int copy_info(struct trace_writer *writer, const struct trace_info *info)
{
	int r = 0;

	writer->info = (struct trace_info){ .format = writer->info.format };
	if (!info)
		return 0;
	writer->info.arch = info->arch;
	writer->info.start = info->start;
	if (info->application)
		r = info_set(&writer->info.application, info->application);
	if (r >= 0 && info->build_id)
		r = info_set(&writer->info.build_id, info->build_id);
	if (r >= 0 && info->sensor)
		r = info_set(&writer->info.sensor, info->sensor);
	return r;
}

/* fd -1: opens path. */
static int writer_open(int fd, const char *path, enum trace_format format, const struct trace_info *info,
		       const struct modules *modules, struct trace_writer **ret_writer, struct errmsg *err)
{
	_cleanup_(trace_writer_closep) struct trace_writer *writer = calloc(1, sizeof(*writer));
	int r;

	if (!writer) {
		closep(&fd);
		return errmsg_errno(err, -ENOMEM, path, "cannot write it");
	}
	writer->output.fd = fd;
	writer->info.format = format == TRACE_AUTO ? format_of_name(path) : format;
	if ((unsigned)writer->info.format >= TRACE_FORMATS || !writers[writer->info.format])
		return errmsg_set(err, -ENOTSUP, path, 0, "traces can be written as text or compact, not as %s",
				  trace_format_name(writer->info.format));
	if (copy_info(writer, info) < 0)
		return errmsg_errno(err, -ENOMEM, path, "cannot write it");
	writer->modules = modules;
	writer->ops = writers[writer->info.format];
	writer->state = calloc(1, writer->ops->state_size);
	if (!writer->state)
		return errmsg_errno(err, -ENOMEM, path, "cannot write it");
	r = fd < 0 ? output_open(&writer->output, path, err) : output_open_fd(&writer->output, fd, path, err);
	if (r >= 0)
		r = writer->ops->open(writer, err);
	if (r < 0)
		return r;
	*ret_writer = TAKE_PTR(writer);
	return 0;
}

int trace_writer_open(const char *path, enum trace_format format, const struct trace_info *info,
		      const struct modules *modules, struct trace_writer **ret_writer, struct errmsg *err)
{
	return writer_open(-1, path, format, info, modules, ret_writer, err);
}

int trace_writer_open_fd(int fd, const char *name, enum trace_format format, const struct trace_info *info,
			 const struct modules *modules, struct trace_writer **ret_writer, struct errmsg *err)
{
	return writer_open(fd, name, format, info, modules, ret_writer, err);
}

int trace_writer_write(struct trace_writer *writer, const struct event *events, size_t n, struct errmsg *err)
{
	int r = writer->ops->write(writer, events, n, err);

	if (r >= 0)
		writer->events += n;
	return r;
}

int trace_writer_flush(struct trace_writer *writer, struct errmsg *err)
{
	int r = writer->ops->flush ? writer->ops->flush(writer, false, err) : 0;

	return r < 0 ? r : output_flush(&writer->output, err);
}

int trace_writer_finish(struct trace_writer *writer, struct errmsg *err)
{
	int r = writer->ops->flush ? writer->ops->flush(writer, true, err) : 0;

	return r < 0 ? r : output_finish(&writer->output, err);
}

struct trace_writer *trace_writer_discard(struct trace_writer *writer)
{
	if (writer)
		writer->events = 0;
	return trace_writer_close(writer);
}

struct trace_writer *trace_writer_close(struct trace_writer *writer)
{
	if (!writer)
		return NULL;
	if (writer->ops && writer->ops->close && writer->state)
		writer->ops->close(writer);
	output_close(&writer->output, writer->events > 0);
	info_done(&writer->info);
	free(writer->state);
	free(writer);
	return NULL;
}
