/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cli/progress.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/errmsg.h"

#define PATIENCE 1.0  /* seconds before it is shown */
#define INTERVAL 0.1
#define BAR      30

void progress_init(struct progress *p, const char *what)
{
	const char *term = getenv("TERM");

	*p = (struct progress){
		.what = what,
		.started = clock_seconds(),
		.terminal = isatty(STDERR_FILENO) && term && strcmp(term, "dumb"),
	};
}

static size_t add_bar(char *line, size_t size, double share, double elapsed)
{
	char bar[BAR + 1];
	int full = (int)(share * BAR);
	double left = share > 0.02 ? elapsed * (1 - share) / share : 0;
	size_t n;

	memset(bar, '#', (size_t)full);
	memset(bar + full, '.', (size_t)(BAR - full));
	bar[BAR] = '\0';
	n = (size_t)snprintf(line, size, " [%s] %3.0f %%", bar, share * 100);
	if (left > 0)
		n += (size_t)snprintf(line + n, size - n, "  %d:%02d left", (int)left / 60, (int)left % 60);
	return n;
}

void progress_update(struct progress *p, double share, const char *format, ...)
{
	char line[512], text[256] = "", shown[512];
	struct winsize size = { 0 };
	double t = clock_seconds();
	size_t n;
	va_list args;

	if (!p->terminal || t - p->started < PATIENCE || t - p->drawn < INTERVAL)
		return;
	p->drawn = t;
	p->shown = true;
	n = (size_t)snprintf(line, sizeof(line), "%.64s", p->what);
	if (share >= 0)
		n += add_bar(line + n, sizeof(line) - n, share > 1 ? 1 : share, t - p->started);
	if (format) {
		va_start(args, format);
		vsnprintf(text, sizeof(text), format, args);
		va_end(args);
		snprintf(line + n, sizeof(line) - n, "  %s", escape_text(shown, sizeof(shown), text));
	}
	if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) < 0 || !size.ws_col)
		size.ws_col = 80;
	fprintf(stderr, "\r%.*s\033[K", size.ws_col - 1, line);
	fflush(stderr);
}

void progress_done(struct progress *p)
{
	if (!p->shown)
		return;
	fputs("\r\033[K", stderr);
	fflush(stderr);
	p->shown = false;
	p->started = clock_seconds();
}
