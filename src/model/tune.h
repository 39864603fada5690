/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What each choice of sequence length and mean lengths would do, from the profile alone. For every fold of similar sessions
 * (model/folds.h) an image learned from all others scores the fold's sessions as they are, which gives the limits and the
 * false alarms as in model/calibrate.h, and with a foreign segment spliced in at a random place, which gives the share of
 * segments that raise an alarm. Foreign segments:
 *   - any calls: each equally likely to be any call of the architecture's table
 *   - own calls: drawn from the profile's calls as often as they occur, in random order; what mimicry looks like that knows
 *     the calls but not their order, and the hardest kind
 *   - other program: pieces of sessions that the caller gives, if any
 * The random choices follow from a seed alone.
 */
#ifndef IMSAFE_MODEL_TUNE_H
#define IMSAFE_MODEL_TUNE_H

#include "base/errmsg.h"
#include "core/score.h"
#include "model/folds.h"

enum tune_kind { TUNE_ANY, TUNE_OWN, TUNE_OTHER, TUNE_KINDS };

#define TUNE_SEGMENTS    7  /* lengths of foreign segments */
#define TUNE_LENGTHS_MAX 15
#define TUNE_MEANS_MAX   10 /* different mean lengths */
#define TUNE_CHOICES_MAX 16 /* sets of mean lengths */

extern const unsigned tune_segments[TUNE_SEGMENTS]; /* 1, 2, 5, 10, 20, 50, 100 */

struct tune_config {
	double rate;                       /* false alarms: share of sessions */
	unsigned lengths[TUNE_LENGTHS_MAX]; /* sequence lengths */
	size_t n_lengths;
	unsigned means[TUNE_CHOICES_MAX][MEAN_WINDOWS];
	size_t n_means;
	unsigned min_calls;
	unsigned calls;                    /* size of the architecture's table */
	unsigned trials;                   /* spliced segments of each length and kind; 0: the default */
	uint64_t seed;
	const struct session *other;       /* sessions of another program; may be NULL */
	size_t n_other;
};

#define TUNE_TRIALS 400

struct tune_choice {
	unsigned length;
	unsigned means[MEAN_WINDOWS];
	double threshold[MEAN_WINDOWS]; /* percent */
	double alarms;                  /* share of left-out sessions with a false alarm */
	double found[TUNE_KINDS][TUNE_SEGMENTS]; /* share of the segments that raise an alarm */
	double score;                   /* mean of found over all segments: what the recommendation goes by */
};

struct tune {
	struct tune_choice *choices; /* lengths in the order given, for each the means in the order given */
	size_t n;
	size_t best;                 /* the highest score; of nearly equal ones one with the folds' sequence length, then the simplest */
	bool kinds[TUNE_KINDS];      /* which were tried */
	double sessions, folds;
	bool thin;                   /* even the best one's false alarms are over twice the rate: none can be recommended */
};

/* folds may have any sequence length; its sessions are what counts. -ENODATA with err: too few to leave any out. */
int tune(const struct folds *folds, const struct tune_config *config, folds_progress_fn *progress, void *progress_data,
	 struct tune *ret_tune, struct errmsg *err);
void tune_done(struct tune *tune);

#endif
