/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The monitor's live view on a terminal: the graph of the latest calls, the mean against the threshold, alarms, rates.
 * Plain ANSI sequences on the alternate screen; the terminal is as before after live_view_close(), which may be called at
 * any time. Nothing is drawn but in live_view_draw().
 */
#ifndef IMSAFE_CLI_LIVE_VIEW_H
#define IMSAFE_CLI_LIVE_VIEW_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <time.h>

#include "alarm/monitor.h"
#include "base/cleanup.h"

#define LIVE_VIEW_CALLS 65536 /* kept for the graph; a power of two */

struct live_view;

struct live_view_config {
	const char *title;   /* what is watched, e.g. "ftpd, PID 909 (ptrace)"; from outside, escaped when shown */
	const char *profile;
	const struct policy *policy; /* its first mean is drawn, all thresholds are shown */
};

/* What the numbers' line says. */
struct live_view_numbers {
	struct monitor_stats stats;
	uint64_t unknown_origins;
	const char *note; /* a short message, NULL = none */
	bool ended;       /* the source has ended: waits for q */
};

/* Whether a view makes sense here: both ends are a terminal that moves its cursor. */
bool live_view_possible(void);

int live_view_open(const struct live_view_config *config, struct live_view **ret_view); /* -ENOTTY, -ENOMEM */
struct live_view *live_view_close(struct live_view *view);
DEFINE_CLEANUP(struct live_view *, live_view_close)

/* The hot path: one store. Calls of threads too young to be judged are not shown. */
struct live_call {
	uint16_t mean; /* cost units */
	uint16_t flags; /* enum verdict_flags */
};

struct live_ring {
	uint64_t n;
	struct live_call calls[LIVE_VIEW_CALLS];
};

struct live_ring *live_view_ring(struct live_view *view);

static inline void live_ring_add(struct live_ring *ring, const struct scored_call *call)
{
	if (call->verdict.flags & VERDICT_JUDGED)
		ring->calls[ring->n++ & (LIVE_VIEW_CALLS - 1)] = (struct live_call){ (uint16_t)call->mean, call->verdict.flags };
}

/* An alarm; texts are copied. The list has a line a group, the one with the latest alarm first. */
struct live_alarm {
	uint64_t number, group;
	const char *headline; /* of the group's line, when it is news */
	const char *text;     /* in full, shown when chosen; NULL: the group's stays */
	const char *line;     /* in one line, with its end */
	bool foreign;
	bool went_on;         /* no new alarm */
};

void live_view_alarm(struct live_view *view, const struct live_alarm *alarm);
void live_view_gap(struct live_view *view);

enum live_view_key { LIVE_VIEW_NOTHING, LIVE_VIEW_REDRAW, LIVE_VIEW_QUIT };

/* Takes what was typed (standard input is readable). */
enum live_view_key live_view_input(struct live_view *view);

void live_view_draw(struct live_view *view, const struct live_view_numbers *numbers);

/* Leaves the screen and prints the alarms that were listed, so that they outlast the view; then only close. */
void live_view_leave(struct live_view *view, FILE *out);

#endif
