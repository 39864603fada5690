/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * An alarm that explains itself: what happened, what the profile expected, who did it, how far to trust it.
 * Gathered once (explain), then shown as text for people or JSON for programs (output.h).
 */
#ifndef IMSAFE_ALARM_EXPLAIN_H
#define IMSAFE_ALARM_EXPLAIN_H

#include <stdbool.h>

#include "alarm/monitor.h"
#include "base/cleanup.h"
#include "model/freeze.h"
#include "model/profile.h"
#include "sensor/process.h"
#include "trace/modules.h"

#define EXPLAIN_EXPECTED 3

/* Was this call foreseen, in the order in which the calls came? */
enum seen {
	SEEN_YES,     /* the whole sequence was learned */
	SEEN_RARELY,  /* it was, but hardly ever */
	SEEN_SHORT,   /* only after fewer of the calls before it than the sequence length asks for */
	SEEN_NOT_HERE, /* the call was learned, but never after what came just before it */
	SEEN_NEVER,   /* the call was never learned at all */
};

struct explained_call {
	const struct scored_call *scored;
	enum seen seen;
	unsigned depth;          /* how many calls before this one the profile still recognised */
	struct expectation expected[EXPLAIN_EXPECTED]; /* most frequent first */
	size_t n_expected;
	uint64_t context_count;  /* how often the context occurred in training */
	uint64_t seen_here;      /* how often this call followed it */
	struct process_place place; /* a bare address, looked up while the process lives; file "" = not known */
};

struct explanation {
	const struct alarm *alarm;
	const struct image *image;
	const struct policy *policy;
	const struct profile_info *profile; /* may be NULL */
	const struct modules *modules;      /* may be NULL */
	struct explained_call calls[HISTORY_CALLS]; /* oldest first, the last one raised the alarm */
	size_t n_calls;
	bool live;
	struct process_info process; /* as the driver saw it at the call, else as found in /proc now */
	pid_t parent;           /* live, and the process has ended: who made it, as found in /proc now; 0 = not known */
	char parent_comm[17];
	char mapping[512];      /* foreign call: the memory it came from as /proc/PID/maps has it, "" if not known */
	const char *application; /* of a trace: what it was recorded from, or else what the profile was learned from; NULL = not known */
	bool exe_differs;       /* the process runs another file than the profile was learned from, or the trace was recorded from one */
	bool build_differs;     /* or another build of it, or the trace was recorded from one */
	unsigned window;        /* of the latest calls, so many are judged by the mean that fell (at most n_calls) */
	unsigned unseen;        /* of those, how many never occurred in their context in training */
	unsigned never;         /* and how many never occurred at all */
	int64_t time;           /* wall clock, seconds since 1970; 0 = not known (a trace) */
};

/* What a trace says of the program that it was recorded from; NULL = nothing. */
struct recorded {
	const char *application, *build_id;
};

/*
 * recorded: NULL for a live source: look the process up in /proc, and take the time now. The explanation borrows all that it is
 * given, and the alarm's history, until explanation_done().
 */
int explain(const struct alarm *alarm, const struct image *image, const struct policy *policy,
	    const struct profile_info *profile, const struct modules *modules, const struct recorded *recorded,
	    struct explanation *ret_explanation);
void explanation_done(struct explanation *explanation);

/* The alarm in one sentence, escaped, e.g. "ftpd (PID 4121) made calls never made in training: dup2, execve". */
char *explanation_headline(const struct explanation *explanation, char *buffer, size_t size);

/* The same without who did it: "made calls never made in training: dup2, execve". */
char *explanation_cause(const struct explanation *explanation, char *buffer, size_t size);

/* A call's name in the table that it was made through. */
const char *explanation_call(const struct explanation *explanation, const struct event *event, char *buffer, size_t size);

/* The program's name, escaped, "" if it is not known. */
char *explanation_name(const struct explanation *explanation, char *buffer, size_t size);

/* Who did it, escaped: "ftpd (PID 4121)", or what else is known. */
char *explanation_subject(const struct explanation *explanation, char *buffer, size_t size);

const char *origin_name(enum event_origin origin); /* "stack" */
const char *abi_name(enum event_abi abi);          /* "compat" */

#endif
