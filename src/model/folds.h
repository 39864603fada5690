/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Sessions made ready for cross-validation: groups of similar ones, the folds, take turns in being scored by an image that
 * was learned from all the others. What the threshold, the outliers and the advice on lengths rest on.
 *
 * Folds are made so that what is left out is left out with all that is like it: k-means on the sets of calls with
 * k = sqrt(pieces); a group of more than a tenth of all sessions is split further by the sets of pairs of calls, because
 * a whole part of the application going unseen is not what new sessions are like. Equal sessions are never separated.
 *
 * A session is scored as a whole. Only when there are few of them (a service of few long threads) they are cut into
 * pieces, and a piece takes turns by itself.
 *
 * Everything but folds_each() is for one thread; prepared folds are read-only.
 */
#ifndef IMSAFE_MODEL_FOLDS_H
#define IMSAFE_MODEL_FOLDS_H

#include <stdint.h>

#include "base/cleanup.h"
#include "base/errmsg.h"
#include "core/score.h"
#include "model/profile.h"
#include "model/session.h"

#define FOLDS_FEW     20   /* with fewer different sessions, long ones are cut into pieces */
#define PIECE_CALLS    1024 /* no piece is shorter, unless its session is */
#define FOLD_SHARE     10   /* no fold of several pieces has more than one in so many of all sessions */

struct folds_session {
	struct session session; /* symbols are the folds' */
	uint64_t hash;
	uint64_t copies;        /* how many equal ones there were */
	int64_t run;
};

struct piece {
	uint32_t session;
	uint32_t from, to;      /* symbols [from, to) of the session */
	uint32_t fold;
};

struct folds {
	unsigned length;
	struct folds_session *sessions; /* by content hash */
	size_t n_sessions;
	struct piece *pieces;            /* in order of sessions, then position */
	size_t n_pieces;
	unsigned n_folds;
	uint64_t copies;                 /* sessions, equal ones counted each */
	uint64_t calls;                  /* of all copies */
	struct folds_grams *grams;
};

struct folds *folds_new(unsigned length); /* sequence length; NULL without memory */
struct folds *folds_free(struct folds *folds);
DEFINE_CLEANUP(struct folds *, folds_free)

/* Adds a session (copied). The same one may come again: copies add up. -ENOMEM. */
int folds_add(struct folds *folds, const struct session *session, uint64_t copies, int64_t run);

/* After the last session: puts them in order, makes pieces and folds. Nothing is added any more. -ENOMEM. */
int folds_prepare(struct folds *folds);

/*
 * Deals the pieces out to so many folds in turn, similar ones apart: what is left out of an image is then like what is in
 * it. Until then folds are as folds_prepare() made them.
 */
void folds_deal(struct folds *folds, unsigned n_folds);

/* All sessions that a profile keeps, prepared. */
int folds_load(struct profile *profile, struct folds **ret_folds, struct errmsg *err);

/* An image of everything but one fold (UINT32_MAX: of everything). -ENODATA if nothing is left. */
int folds_image(const struct folds *folds, uint32_t without, struct image *ret_image, struct errmsg *err);

/*
 * Calls fn once for every fold with an image of all the others. Several folds are worked on at once, so fn is called from
 * several threads, each time for another fold; data that folds share is fn's to guard. image is NULL when there is no
 * other fold. progress may be NULL; it is called by the calling thread only. A negative value from fn ends it.
 */
typedef int folds_fn(void *data, uint32_t fold, const struct image *image);
typedef void folds_progress_fn(void *data, double done);
int folds_each(const struct folds *folds, folds_fn *fn, void *data, folds_progress_fn *progress,
		     void *progress_data, struct errmsg *err);

/* What a symbol of a session says as an event; tid and time are not set. */
static inline struct event folds_event(uint16_t symbol)
{
	return (struct event){
		.kind = symbol < ALPHABET ? EVENT_CALL : symbol == SYMBOL_FORK ? EVENT_FORK :
			symbol == SYMBOL_EXEC ? EVENT_EXEC : EVENT_ATTACH,
		.call = symbol < ALPHABET ? symbol : 0,
	};
}

/*
 * Scores a piece as score_step() would live, the calls before it included so that the running means are right, and says
 * how high each window's mean rose where it was judged: the lowest limit that raises no alarm. 0 if it was judged nowhere.
 * policy must be armed.
 */
void folds_peaks(const struct folds *folds, const struct piece *piece, const struct image *image,
		  const struct policy *policy, uint16_t ret_peaks[MEAN_WINDOWS]);

#endif
