/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Learning: one pass over events gives counts. Not thread-safe per object. */
#ifndef IMSAFE_MODEL_LEARNER_H
#define IMSAFE_MODEL_LEARNER_H

#include "model/counts.h"
#include "model/session.h"

struct learner;

/*
 * Called with every session as it ends, before it is counted; the session is borrowed. 0: learn it, LEARNER_LEAVE_OUT:
 * nothing of it counts, negative: stop.
 */
#define LEARNER_LEAVE_OUT 1
typedef int learner_session_fn(void *data, const struct session *session);

/* fn may be NULL. NULL without memory. */
struct learner *learner_new(unsigned length, learner_session_fn *fn, void *data);
struct learner *learner_free(struct learner *learner);
DEFINE_CLEANUP(struct learner *, learner_free)

/*
 * Events of one trace or live source, as they come. -ENOMEM, or what fn returned; after that the learner only frees.
 * A session counts when it ends: the grams of a thread are counted together, so that each knows whether it is new to the
 * session.
 */
int learner_add(struct learner *learner, const struct event *events, size_t n);

/* The trace is over: every thread's session ends. */
int learner_end_trace(struct learner *learner);

/* Learns one whole session again, e.g. one that a profile kept. fn is not called, origins are not known. -ENOMEM. */
int learner_add_session(struct learner *learner, const struct session *session);

/* A copy of the counts of all ended sessions, sorted; the caller's, counts_done() frees it. */
int learner_counts(const struct learner *learner, struct counts *ret_counts);

#endif
