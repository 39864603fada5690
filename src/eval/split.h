/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Within eval/: one way of dealing out the normal units, who teaches and who is tested, and the scores that come of it. */
#ifndef IMSAFE_EVAL_SPLIT_H
#define IMSAFE_EVAL_SPLIT_H

#include "eval/evaluate.h"

#define FOLD_TRAINING UINT32_MAX

struct split {
	uint32_t *fold; /* of every unit that is normal: FOLD_TRAINING, or the fold it is tested in */
	unsigned folds;
	bool all;       /* attacks are scored by what all normals teach; else by what the training part teaches */
};

/* As it is in the data set, or into so many folds, dealt out by seed; anew: dealt out whatever the data set says. -ENOMEM */
int split_make(const struct dataset *set, unsigned folds, bool anew, uint64_t seed, struct split *ret_split);
void split_done(struct split *split);

/* scores[detector * n_units + unit]; NAN for units that only taught. progress is told the share of this split that is done. */
int split_score(const struct dataset *set, const struct split *split, const struct evaluate_config *config,
		parallel_progress_fn *progress, void *progress_data, double *scores, struct errmsg *err);

#endif
