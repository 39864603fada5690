/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Detection measured: detectors are fitted on normal training processes only, then every other normal process and every
 * attack gets a score. A data set without a training part is cross-validated: identical processes share a fold, and
 * attacks are scored by what all normals teach.
 */
#ifndef IMSAFE_EVAL_EVALUATE_H
#define IMSAFE_EVAL_EVALUATE_H

#include <stdint.h>

#include "base/errmsg.h"
#include "eval/dataset.h"
#include "eval/detector.h"
#include "eval/parallel.h"
#include "eval/roc.h"

#define DETECTORS_MAX 64
#define FOLDS_DEFAULT 10
#define REPLICATES_DEFAULT 1000

struct evaluate_config {
	const struct detector *detectors;
	size_t n_detectors;
	size_t reference;    /* the detector that the others are compared with */
	unsigned folds;      /* of a data set without a training part */
	unsigned replicates; /* bootstrap replicates */
	unsigned resplits;   /* how often normals are dealt out anew, beside the split as it is */
	uint64_t seed;
	unsigned threads;    /* 0: all cores */
	parallel_progress_fn *progress; /* told the share done of the whole; may be NULL */
	void *progress_data;
};

/* Detection in one attack, or in one kind of attacks, at each rate. */
struct detection {
	double share[RATES]; /* of units that were detected */
	uint32_t units;
};

struct detector_result {
	struct interval measures[MEASURES];      /* by bootstrap */
	struct interval differences[MEASURES];   /* this detector minus the reference, paired */
	struct interval resplit[MEASURES];       /* mean, and the middle 95 % of the re-splits */
	struct interval resplit_differences[MEASURES];
	struct detection *attacks, *kinds;       /* as in the data set */
	uint32_t caught[RATES];                  /* attacks of which at least one unit was detected */
	struct roc roc;
};

struct evaluation {
	const struct dataset *set;
	const struct detector *detectors;
	size_t n_detectors, reference;
	size_t normals, attacks; /* tested units */
	unsigned folds;          /* 0: the data set's own training part */
	unsigned resplits;
	struct detector_result *results;
};

int evaluate(const struct dataset *set, const struct evaluate_config *config, struct evaluation **ret_evaluation,
	     struct errmsg *err);
struct evaluation *evaluation_free(struct evaluation *evaluation);
DEFINE_CLEANUP(struct evaluation *, evaluation_free)

#endif
