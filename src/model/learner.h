/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Learning: one pass over events gives counts. Not thread-safe per object. */
#ifndef IMSAFE_MODEL_LEARNER_H
#define IMSAFE_MODEL_LEARNER_H

#include "model/counts.h"
#include "model/session.h"

struct learner;

/* Called with every session as it ends, for calibration and warnings; the session is borrowed. Negative stops. */
typedef int learner_session_fn(void *data, const struct session *session);

struct learner *learner_new(unsigned length, learner_session_fn *fn, void *data); /* NULL without memory */
struct learner *learner_free(struct learner *learner);
DEFINE_CLEANUP(struct learner *, learner_free)

/* Events of one trace or live source, as they come. -ENOMEM, or what fn returned. */
int learner_add(struct learner *learner, const struct event *events, size_t n);

/* The trace is over: every thread's session ends. */
int learner_end_trace(struct learner *learner);

/* A copy of the counts so far, sorted; the caller's, counts_done() frees it. */
int learner_counts(const struct learner *learner, struct counts *ret_counts);

#endif
