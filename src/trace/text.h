/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Words of the text format that its reader and its writer share; doc/trace-formats.md. Private to this folder. */
#ifndef IMSAFE_TRACE_TEXT_H
#define IMSAFE_TRACE_TEXT_H

#include <stdbool.h>
#include <string.h>

#include "core/event.h"

#define TEXT_MAGIC   "imsafe-trace"
#define TEXT_VERSION 1

static const char *const text_origins[ORIGIN_KINDS] = {
	"unknown", "file", "vdso", "anonymous", "stack", "heap", "writable",
};
static const char *const text_abis[ABI_KINDS] = { "native", "compat", "x32" };
static const char *const text_events[EVENT_KINDS] = { "call", "attach", "fork", "exec", "exit", "gap" };

static inline int text_lookup(const char *const *names, int n, const char *name)
{
	for (int i = 0; i < n; i++)
		if (!strcmp(names[i], name))
			return i;
	return -1;
}

static inline int hex_digit(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static inline bool is_build_id(const char *text)
{
	size_t n = 0;

	while (hex_digit(text[n]) >= 0)
		n++;
	return n && n <= 40 && !text[n];
}

#endif
