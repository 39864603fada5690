/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Where the monitor's findings go: the log, the terminal (plain or live), JSON, the user's command, a response. Live and
 * replayed streams come through here alike.
 */
#ifndef IMSAFE_CLI_MONITOR_REPORT_H
#define IMSAFE_CLI_MONITOR_REPORT_H

#include <stdbool.h>

#include "alarm/explain.h"
#include "alarm/group.h"
#include "alarm/hook.h"
#include "alarm/log.h"
#include "alarm/monitor.h"
#include "alarm/output.h"
#include "alarm/respond.h"
#include "cli/live-view.h"
#include "cli/monitor-tell.h"
#include "cli/progress.h"
#include "cli/service.h"

struct monitor_report_config {
	const char *profile_path, *trace_path, *log_path, *command; /* NULL: none */
	int log_pipe; /* the log as a pipe that is open already, the report's from here on; 0: log_path is to be opened */
	const struct image *image;
	const struct policy *policy;
	const struct profile_info *profile;
	enum response response;
	bool dry_run, json, quiet, brief;
	bool command_once; /* the command is for news, not for repeats */
	bool silent_stdout; /* standard output is for something else than alarms in words */
	bool live;   /* processes can be looked up in /proc */
	bool view;   /* live view, if this is a terminal */
	const char *title;  /* of the view */
	const char *record; /* the live source as options of "imsafe trace", "" if it has none */
	/* Where the counts come from if not from the report's own monitor (the kernel scores); NULL: from there. */
	void (*stats)(void *data, struct monitor_stats *ret_stats);
	void *stats_data;
	const struct messages *messages; /* to syslog between inetd and a service: then alarms go there, too, not to stdout */
};

struct monitor_report {
	struct monitor_report_config config;
	struct sensor *sensor;         /* that events under way come from, NULL = none; set by the owner */
	const struct modules *modules; /* set by the owner when the source is open; may be NULL */
	struct recorded recorded;      /* likewise, of a trace */
	struct monitor *monitor;
	struct groups *groups;
	struct telling telling;
	struct log_writer *log;
	struct hook hook;
	struct live_view *view;
	struct live_ring *ring;
	struct output_style style;
	struct progress progress; /* of a trace file */
	uint64_t alarms;
	char warning[160];
	time_t warned;
	bool deserted; /* whoever read the alarms has gone */
	bool trouble; /* something failed that was told already: exit status 2 */
};

/* 0 or -errno with err filled; monitor_report_done() in either case. */
int monitor_report_init(struct monitor_report *report, const struct monitor_report_config *config, struct errmsg *err);
void monitor_report_done(struct monitor_report *report);

/*
 * What the report's own monitor finds comes by itself. A source that scores elsewhere hands in its calls, which are for the
 * view, and its alarms, with the response that they had already (NULL: none).
 */
void monitor_report_call(struct monitor_report *report, uint64_t sequence, const struct scored_call *call);
void monitor_report_alarm(struct monitor_report *report, const struct alarm *alarm, const char *done);

/* The same for calls in open episodes (true: an alarm with went_on is due for it), and for the ends of episodes. */
bool monitor_report_unforeseen(struct monitor_report *report, const struct scored_call *call);
void monitor_report_closed(struct monitor_report *report, uint32_t tid);

/* Between batches, about ten times a second: what is buffered goes out, the view is drawn, commands are reaped. */
void monitor_report_tick(struct monitor_report *report, bool ended);

/* Leaves the view: what was found is printed, the terminal is as before. */
void monitor_report_leave(struct monitor_report *report);

/* The end: waits for the command, prints the summary. reason: NULL or why it ended early. */
void monitor_report_finish(struct monitor_report *report, const char *reason);

/* Something that went wrong without ending the monitoring: on stderr, or in the view for a while. */
void monitor_report_warning(struct monitor_report *report, const struct errmsg *err);

/* Prints a message on stderr; a view that has the screen is left for that. */
void monitor_report_message(struct monitor_report *report, const struct errmsg *err);

#endif
