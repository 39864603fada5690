/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The profile: the behaviour database of one application, one SQLite file (.db). Tables and their meaning:
 * doc/profile-format.md. A file from outside is opened safely (no triggers, views or extensions run, schema checked,
 * values bounded). One profile object per thread.
 */
#ifndef IMSAFE_MODEL_PROFILE_H
#define IMSAFE_MODEL_PROFILE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/errmsg.h"
#include "model/counts.h"
#include "model/learner.h"
#include "trace/arch.h"

struct profile;

enum profile_mode { PROFILE_READ, PROFILE_WRITE, PROFILE_CREATE /* or write, if it is there */ };

struct profile_info {
	const char *application; /* path, owned by the profile; NULL if not known */
	const char *build_id;
	enum syscall_arch arch;
	unsigned length;
	int64_t created, changed; /* seconds since 1970 */
};

/* info is used when the file is created (application etc. are copied); may be NULL otherwise. */
int profile_open(const char *path, enum profile_mode mode, const struct profile_info *info,
		 struct profile **ret_profile, struct errmsg *err);
struct profile *profile_close(struct profile *profile);
DEFINE_CLEANUP(struct profile *, profile_close)

const struct profile_info *profile_info(const struct profile *profile);

/* One learning run: where its calls came from. */
struct profile_run {
	int64_t id;            /* set by the profile */
	int64_t date;          /* seconds since 1970 */
	const char *source;    /* file name or live target */
	uint64_t source_hash;  /* of the content, to notice the same trace twice; 0 = live */
	const char *sensor, *build_id;
	uint64_t calls, sessions, gaps, lost;
};

/*
 * Learning is transactional: everything between begin and commit is in the file, or nothing. Sessions are kept as a
 * sample (those with the smallest content hashes, so that it is the same in any order) for calibration.
 */
int profile_begin(struct profile *profile, struct errmsg *err);
int profile_add_run(struct profile *profile, struct profile_run *run, const struct counts *counts, struct errmsg *err);
int profile_add_session(struct profile *profile, int64_t run, const struct session *session, struct errmsg *err);
int profile_commit(struct profile *profile, struct errmsg *err);
void profile_rollback(struct profile *profile);

/* 1 if a run with this source hash was learned already (ret_run filled, strings valid until the next call), 0 if not. */
int profile_find_run(struct profile *profile, uint64_t source_hash, struct profile_run *ret_run, struct errmsg *err);

typedef int profile_run_fn(void *data, const struct profile_run *run);
int profile_each_run(struct profile *profile, profile_run_fn *fn, void *data, struct errmsg *err);
int profile_remove_run(struct profile *profile, int64_t run, struct errmsg *err);

/* The sum over all runs dated since (0: all); counts_done() frees it. */
int profile_counts(struct profile *profile, int64_t since, struct counts *ret_counts, struct errmsg *err);

/* The kept sessions, in order of content hash; multiplicity = how many equal ones were learned. */
typedef int profile_session_fn(void *data, const struct session *session, uint64_t multiplicity, int64_t run);
int profile_each_session(struct profile *profile, profile_session_fn *fn, void *data, struct errmsg *err);

/* Adds everything of from to profile: runs keep their provenance, runs with the same source are not added twice. */
int profile_merge(struct profile *profile, struct profile *from, struct errmsg *err);

#endif
