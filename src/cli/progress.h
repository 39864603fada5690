/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A progress bar on standard error, if that is a terminal and the work takes more than a second. Cheap to call often.
 *
 *   struct progress progress;
 *   progress_init(&progress, "learning");
 *   while (...) progress_update(&progress, share_done, "%d of %d", i, n);
 *   progress_done(&progress);            before anything else is printed
 */
#ifndef IMSAFE_CLI_PROGRESS_H
#define IMSAFE_CLI_PROGRESS_H

#include <stdbool.h>

struct progress {
	const char *what;
	double started, drawn; /* seconds of CLOCK_MONOTONIC */
	bool terminal, shown;
};

void progress_init(struct progress *progress, const char *what);

/* share: 0..1, negative if unknown. The text says where it is now, escaped by the bar; format may be NULL. */
void progress_update(struct progress *progress, double share, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* Takes the bar away. It may be used again after. */
void progress_done(struct progress *progress);

#endif
