/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What one profile has that another lacks, said as shortly as possible: a call that the other never saw makes many new
 * sequences, but only one difference. Each gram that the other has not is shortened to its last calls, as far as these
 * are still new to the other.
 */
#ifndef IMSAFE_MODEL_DIFF_H
#define IMSAFE_MODEL_DIFF_H

#include "model/counts.h"

struct diff {
	struct gram *only; /* what is only in the first, most frequent first; sessions is 0: not known */
	size_t n;
	uint64_t calls;    /* of the first, that end such a sequence */
	uint64_t grams;    /* of the first that the second has not, unshortened */
};

/* Both of one length (-EINVAL). -ENOMEM. */
int diff_counts(const struct counts *counts, const struct counts *other, struct diff *ret_diff);
void diff_done(struct diff *diff);

#endif
