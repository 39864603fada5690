/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * An alarm that explains itself: what happened, what the profile expected, who did it, how far to trust it, what to do.
 * Gathered once (explain), then shown as text for people or JSON for programs (output.h).
 */
#ifndef IMSAFE_ALARM_EXPLAIN_H
#define IMSAFE_ALARM_EXPLAIN_H

#include <stdbool.h>

#include "alarm/monitor.h"
#include "alarm/process.h"
#include "base/cleanup.h"
#include "model/freeze.h"
#include "model/profile.h"
#include "trace/modules.h"

#define EXPLAIN_EXPECTED 3

struct explained_call {
	const struct scored_call *scored;
	struct expectation expected[EXPLAIN_EXPECTED];
	size_t n_expected;
	uint64_t context_count;  /* how often the context occurred in training */
	uint64_t seen_here;      /* how often this call followed it */
};

struct explanation {
	const struct alarm *alarm;
	const struct image *image;
	const struct policy *policy;
	const struct profile_info *profile; /* may be NULL */
	const struct modules *modules;      /* may be NULL */
	struct explained_call calls[HISTORY_CALLS];
	size_t n_calls;
	struct process_info process; /* as found in /proc now; may be incomplete, it says so */
	unsigned never_seen;         /* of the calls shown, how many never occurred in their context in training */
	int64_t time;                /* wall clock, seconds since 1970 */
};

/* live: look the process up in /proc. The explanation borrows everything it is given; explanation_done() frees its own. */
int explain(const struct alarm *alarm, const struct image *image, const struct policy *policy,
	    const struct profile_info *profile, const struct modules *modules, bool live,
	    struct explanation *ret_explanation);
void explanation_done(struct explanation *explanation);

#endif
