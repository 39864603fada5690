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
#include "model/sites.h"
#include "trace/arch.h"

struct profile;

enum profile_mode { PROFILE_READ, PROFILE_WRITE, PROFILE_CREATE /* or write, if it is there */ };

struct profile_info {
	const char *application; /* path, owned by the profile; NULL if not known */
	const char *build_id;    /* of the run with the latest date that says one; NULL */
	enum syscall_arch arch;
	unsigned length;
	int64_t created, changed; /* seconds since 1970 */
};

/*
 * info is used when the file is created (application, arch and length; copied); may be NULL otherwise. A new file is
 * written by the first commit; without one nothing is left behind.
 */
int profile_open(const char *path, enum profile_mode mode, const struct profile_info *info,
		 struct profile **ret_profile, struct errmsg *err);
struct profile *profile_close(struct profile *profile);
DEFINE_CLEANUP(struct profile *, profile_close)

const struct profile_info *profile_info(const struct profile *profile);
bool profile_is_new(const struct profile *profile); /* nothing was ever committed to it */
const char *profile_path(const struct profile *profile);

/* One learning run: where its calls came from. */
struct profile_run {
	int64_t id;            /* set by the profile */
	int64_t date;          /* seconds since 1970: when it was recorded, if that is known, else when it was learned */
	const char *source;    /* file name or live target */
	uint64_t source_hash;  /* of the content, to notice the same trace twice; 0 = not known */
	const char *sensor, *build_id;
	uint64_t calls, sessions, gaps, lost; /* profile_add_run() takes them from the counts */
};

/*
 * Learning is transactional: everything between begin and commit is in the file, or nothing. begin waits for other
 * writers, then gives up and says who they are. It fails with -EEXIST if another has created the file in the meantime with
 * another architecture or length. Adding and removing is done between begin and commit.
 */
int profile_begin(struct profile *profile, struct errmsg *err);
int profile_commit(struct profile *profile, struct errmsg *err);
void profile_rollback(struct profile *profile);

int profile_add_run(struct profile *profile, struct profile_run *run, const struct counts *counts, struct errmsg *err);
int profile_remove_run(struct profile *profile, int64_t run, struct errmsg *err); /* -ENOENT if there is none */
int profile_set_application(struct profile *profile, const char *application, struct errmsg *err);

/* 1 if a run with this source hash was learned already (ret_run filled, strings valid until the next call), 0 if not. */
int profile_find_run(struct profile *profile, uint64_t source_hash, struct profile_run *ret_run, struct errmsg *err);

/* In order of date, then source. A callback's negative value ends it and is handed through. */
typedef int profile_run_fn(void *data, const struct profile_run *run);
int profile_each_run(struct profile *profile, profile_run_fn *fn, void *data, struct errmsg *err);

/* The sum over all runs dated since (0: all), or of one run; counts_done() frees it. */
int profile_counts(struct profile *profile, int64_t since, struct counts *ret_counts, struct errmsg *err);
int profile_run_counts(struct profile *profile, int64_t run, struct counts *ret_counts, struct errmsg *err);

/*
 * Call sites of a run, added between begin and commit; of all runs dated since, or of one run: added to sites, which the
 * caller has initialised. A profile learned from traces without sites has none.
 */
int profile_add_sites(struct profile *profile, int64_t run, const struct sites *sites, struct errmsg *err);
int profile_sites(struct profile *profile, int64_t since, struct sites *sites, struct errmsg *err);
int profile_run_sites(struct profile *profile, int64_t run, struct sites *sites, struct errmsg *err);

/*
 * Sessions are kept as a sample for calibration: the distinct ones with the smallest content hashes, as many as fit. So
 * it is the same in any order of learning and merging. Those with a hash at or above the limit would not be kept.
 */
#define SAMPLE_SESSIONS 2000
#define SAMPLE_SYMBOLS  4000000
int profile_add_session(struct profile *profile, int64_t run, const struct session *session, uint64_t copies,
			struct errmsg *err);
uint64_t profile_sample_limit(const struct profile *profile);
/* For a sample that was cut elsewhere: nothing at or above the limit is kept any more. */
int profile_lower_sample_limit(struct profile *profile, uint64_t limit, struct errmsg *err);

/*
 * The kept sessions, in order of content hash; multiplicity = how many equal ones were learned, run = the first of the
 * runs that had it.
 */
typedef int profile_session_fn(void *data, const struct session *session, uint64_t multiplicity, int64_t run);
int profile_each_session(struct profile *profile, profile_session_fn *fn, void *data, struct errmsg *err);
/* The same, once per run that had the session; those of one run if run is not 0. */
int profile_each_copy(struct profile *profile, int64_t run, profile_session_fn *fn, void *data, struct errmsg *err);

/*
 * Adds everything of from to profile: runs keep their provenance, runs that are there already are not added again.
 * Between begin and commit. Returns how many runs were added.
 */
int profile_merge(struct profile *profile, struct profile *from, struct errmsg *err);

/* Reads everything and holds it against each other: -EBADMSG with the first fault in err. */
int profile_verify(struct profile *profile, struct errmsg *err);

#endif
