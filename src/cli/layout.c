/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cli/layout.h"

#include <limits.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/options.h"
#include "base/words.h"
#include "cli/chart.h"

unsigned layout_width(FILE *out, unsigned otherwise)
{
	const char *columns = getenv("COLUMNS");
	unsigned long long width = otherwise;
	struct chart_terminal terminal;

	chart_terminal_init(&terminal, out);
	if (isatty(fileno(out)))
		width = terminal.width;
	else if (columns)
		parse_uint(columns, 1, 1000, &width);
	return MAX((unsigned)width, 60U);
}

void layout_print(const char *text, unsigned hang, FILE *out)
{
	unsigned width = layout_width(out, UINT_MAX);

	while (*text) {
		size_t n = strcspn(text, "\n");
		_cleanup_free_ char *line = strndup(text, n);

		if (line)
			words_wrap(line, 0, (unsigned)strspn(line, " ") + hang, width, out);
		else
			fprintf(out, "%.*s\n", (int)n, text);
		text += n + (text[n] == '\n');
	}
}

void layout_printf(FILE *out, unsigned hang, const char *format, ...)
{
	_cleanup_free_ char *text = NULL;
	va_list args;
	int r;

	va_start(args, format);
	r = vasprintf(&text, format, args);
	va_end(args);
	if (r >= 0)
		layout_print(text, hang, out);
}
