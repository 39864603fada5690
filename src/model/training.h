/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Learning one source (a trace, or a live target) into a profile: counts, a sample of its sessions, and a hash by which
 * it is known again. Events come first; the profile is only touched by training_commit(), so that a long recording does
 * not keep others from it. Not thread-safe per object.
 */
#ifndef IMSAFE_MODEL_TRAINING_H
#define IMSAFE_MODEL_TRAINING_H

#include "model/profile.h"

struct training;

/*
 * sample_limit: profile_sample_limit() of the profile it will go into, or UINT64_MAX. fn (may be NULL) sees every session
 * and may leave it out by returning 1: the session is then not learned.
 */
struct training *training_new(unsigned length, uint64_t sample_limit, learner_session_fn *fn, void *data);
struct training *training_free(struct training *training);
DEFINE_CLEANUP(struct training *, training_free)

/* Call sites are learned, too. modules is borrowed to the end of training_add(), and may grow. */
void training_set_modules(struct training *training, const struct modules *modules);

int training_add(struct training *training, const struct event *events, size_t n); /* -ENOMEM, or what fn returned */

/* The source is over; after this training_counts() and training_hash() are final. */
int training_end(struct training *training);
const struct counts *training_counts(const struct training *training);

/*
 * By which a source is known again: a hash of its events and of its name without folder and suffix, so that a recording
 * is the same in another folder or format, but two short traces that happen to be equal are two. Never 0.
 */
uint64_t training_hash(const struct training *training, const char *source);

uint64_t training_left_out(const struct training *training); /* sessions that fn left out */

/* The sessions that the profile will keep: which thread's each was, the first one's of equal ones. fn: 0 or -errno. */
typedef int training_kept_fn(void *data, uint64_t hash, uint32_t tid);
int training_each_kept(const struct training *training, training_kept_fn *fn, void *data);

/* Adds it to a profile between begin and commit; run says the provenance, its source_hash and totals are filled in. */
int training_commit(struct training *training, struct profile *profile, struct profile_run *run, struct errmsg *err);

#endif
