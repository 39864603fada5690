/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Sessions that stand far from all others: an attack in the training data, a broken recording, or a rare part of the
 * application's life that deserves more training. Each session is scored by an image learned from the folds it is not in
 * (model/folds.h), so that it and what is like it cannot vouch for it. It stands far if
 *   - its mean cost is above Tukey's fence over all sessions, Q3 + 1.5 (Q3 - Q1), and above OUTLIER_MEAN, or
 *   - its highest mean over OUTLIER_WINDOW calls is above that fence and OUTLIER_PEAK.
 * The fence follows how scattered normal life is; the absolute bounds keep sessions of a uniform training from being accused
 * of little. Sessions of fewer than OUTLIER_CALLS calls say too little.
 */
#ifndef IMSAFE_MODEL_OUTLIER_H
#define IMSAFE_MODEL_OUTLIER_H

#include "base/errmsg.h"
#include "model/folds.h"

#define OUTLIER_SESSIONS 10                  /* with fewer different sessions nobody can be told from the others */
#define OUTLIER_CALLS    16
#define OUTLIER_MEAN     (COST_MAX * 6 / 10) /* normality 40 % */
#define OUTLIER_WINDOW   128
#define OUTLIER_PEAK     (COST_MAX * 8 / 10) /* normality 20 % */
#define OUTLIER_UNKNOWN  8

struct outlier {
	uint64_t hash;      /* of the session's content */
	int64_t run;        /* the first one that had it */
	uint32_t tid;
	uint64_t copies, calls;
	uint32_t mean, peak; /* cost units: of all its calls, of the worst window */
	double unseen;      /* share of its calls that were met nowhere else after the calls before them */
	uint16_t unknown[OUTLIER_UNKNOWN]; /* calls that no other session makes at all */
	size_t n_unknown, all_unknown;     /* listed, and how many different ones there are */
};

struct outliers {
	struct outlier *list; /* the farthest first */
	size_t n;
	uint32_t mean, peak;  /* the bounds they are above */
};

/*
 * The search in steps, for a cross-validation that serves others as well: the data of a folds_fn, the function, and what came
 * of it. NULL without memory; -ENOMEM.
 */
struct outlier_search;
struct outlier_search *outlier_search_new(const struct folds *folds);
struct outlier_search *outlier_search_free(struct outlier_search *search);
DEFINE_CLEANUP(struct outlier_search *, outlier_search_free)
int outlier_search_fold(void *search, uint32_t fold, const struct image *image);
int outlier_search_end(const struct outlier_search *search, struct outliers *ret_outliers);

/* All of it. */
int outliers_find(const struct folds *folds, folds_progress_fn *progress, void *progress_data,
		  struct outliers *ret_outliers, struct errmsg *err);
void outliers_done(struct outliers *outliers);

#endif
