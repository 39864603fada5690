/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "trace/header.h"

#include <errno.h>
#include <string.h>

#include "trace/digits.h"
#include "trace/format.h"
#include "trace/text.h"

/* The rest of a line, without blanks around it and unescaped, in place; NULL if there is none or it is not well-formed. */
static char *header_text(char *rest)
{
	char *end;

	while (is_blank(*rest))
		rest++;
	end = rest + strlen(rest);
	while (end > rest && is_blank(end[-1]))
		*--end = '\0';
	return *rest && unescape_text(rest) >= 0 && strlen(rest) <= HEADER_TEXT_MAX ? rest : NULL;
}

static int read_start(struct trace_info *info, const char *text)
{
	struct tm tm = { 0 };
	const char *end = strptime(text, HEADER_START, &tm);
	time_t start = end && !*end ? timegm(&tm) : 0;
	char again[64];

	/* Also days that no month has, and other ways to write one. */
	if (!end || *end || !gmtime_r(&start, &tm) || !strftime(again, sizeof(again), HEADER_START, &tm) || strcmp(again, text))
		return -EINVAL;
	info->start = start;
	return 0;
}

static int read_arch(struct trace_info *info, const char *text)
{
	int arch = arch_by_name(text);

	if (arch < 0)
		return -EINVAL;
	info->arch = (enum syscall_arch)arch;
	return 0;
}

static const char *const keywords[] = { "application", "build-id", "sensor", "arch", "start" };

bool header_knows(const char *keyword)
{
	return text_lookup(keywords, ARRAY_SIZE(keywords), keyword) >= 0;
}

int header_read(struct trace_info *info, const char *keyword, char *rest)
{
	int which = text_lookup(keywords, ARRAY_SIZE(keywords), keyword), r;
	char *text;

	if (which < 0)
		return 0;
	text = header_text(rest);
	if (!text)
		return -EINVAL;
	switch (which) {
	case 0:
		r = info_set(&info->application, text);
		break;
	case 1:
		r = is_build_id(text) ? info_set(&info->build_id, text) : -EINVAL;
		break;
	case 2:
		r = info_set(&info->sensor, text);
		break;
	case 3:
		r = read_arch(info, text);
		break;
	default:
		r = read_start(info, text);
	}
	return r < 0 ? r : 1;
}

int header_read_module(struct modules *modules, char *rest)
{
	char *id = rest, *path;

	while (is_blank(*id))
		id++;
	path = id + strcspn(id, " \t");
	if (!*path)
		return -EINVAL;
	*path++ = '\0';
	path = header_text(path);
	if (!path || (strcmp(id, "-") && !is_build_id(id)))
		return -EINVAL;
	return modules_append(modules, path, *id == '-' ? NULL : id);
}

static char *escaped(const char *prefix, const char *text)
{
	size_t n = strlen(prefix), size = strlen(text) * 4 + 1;
	char *line = malloc(n + size), *end;

	if (line) {
		memcpy(line, prefix, n);
		escape_text(line + n, size, text);
		/* Readers drop spaces at either end: an only, a first and a last one are written so that they stay. */
		if (line[n] == ' ') {
			memmove(line + n + 4, line + n + 1, strlen(line + n));
			memcpy(line + n, "\\x20", 4);
		}
		end = line + strlen(line);
		if (end > line + n && end[-1] == ' ')
			memcpy(end - 1, "\\x20", 5);
	}
	return line;
}

char *header_module(const struct module *module)
{
	char prefix[48];

	snprintf(prefix, sizeof(prefix), "%s ", is_build_id(module->build_id) ? module->build_id : "-");
	return escaped(prefix, *module->path && strlen(module->path) <= HEADER_TEXT_MAX ? module->path : "?");
}

static int write_escaped(header_line_fn *fn, void *data, const char *keyword, const char *text, struct errmsg *err)
{
	_cleanup_free_ char *line = NULL;

	if (!text || !*text || strlen(text) > HEADER_TEXT_MAX)
		return 0;
	line = escaped("", text);
	return line ? fn(data, keyword, line, err) : errmsg_errno(err, -ENOMEM, NULL, "cannot write the trace");
}

int header_write(const struct trace_info *info, header_line_fn *fn, void *data, struct errmsg *err)
{
	char start[64] = "";
	time_t seconds = info->start;
	struct tm tm;
	int r;

	if (seconds && gmtime_r(&seconds, &tm) && tm.tm_year <= 9999 - 1900)
		strftime(start, sizeof(start), HEADER_START, &tm);
	r = fn(data, "arch", arch_name(info->arch), err);
	if (r >= 0)
		r = write_escaped(fn, data, "application", info->application, err);
	if (r >= 0 && info->build_id && is_build_id(info->build_id))
		r = fn(data, "build-id", info->build_id, err);
	if (r >= 0)
		r = write_escaped(fn, data, "start", start, err);
	return r < 0 ? r : write_escaped(fn, data, "sensor", info->sensor, err);
}
