/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Lines that the text and the compact format share: what a trace says of itself, and its modules. Private to this folder. */
#ifndef IMSAFE_TRACE_HEADER_H
#define IMSAFE_TRACE_HEADER_H

#include "trace/trace.h"

#define HEADER_START    "%Y-%m-%dT%H:%M:%SZ"
#define HEADER_TEXT_MAX 4096 /* bytes of an application, a sensor, a module's path; profiles hold no longer ones */

bool header_knows(const char *keyword);

/* One line, already divided behind its keyword. 1: taken, 0: another keyword, -EINVAL, -ENOMEM. */
int header_read(struct trace_info *info, const char *keyword, char *rest);

/* "BUILD-ID PATH" of the next module. -EINVAL, -ENOMEM, -ENOSPC. */
int header_read_module(struct modules *modules, char *rest);

typedef int header_line_fn(void *data, const char *keyword, const char *text, struct errmsg *err);

/* Hands all that is known to fn, escaped, but for what is too long; stops at the first negative result. */
int header_write(const struct trace_info *info, header_line_fn *fn, void *data, struct errmsg *err);

/* "BUILD-ID PATH", escaped, '?' for a path that is too long; the caller frees it. NULL without memory. */
char *header_module(const struct module *module);

#endif
