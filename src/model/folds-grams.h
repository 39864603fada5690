/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Within model/: the grams of all sessions, from which those of any fold can be taken away quickly. */
#ifndef IMSAFE_MODEL_FOLDS_GRAMS_H
#define IMSAFE_MODEL_FOLDS_GRAMS_H

#include "model/counts.h"
#include "model/folds.h"

struct folds_grams *folds_grams_new(unsigned length);
struct folds_grams *folds_grams_free(struct folds_grams *grams);

/* Counts every call of a session copies times. -ENOMEM. */
int folds_grams_add(struct folds_grams *grams, const struct session *session, uint64_t copies);

/* After the last session. */
int folds_grams_sort(struct folds_grams *grams);

/* The counts of all pieces outside a fold (UINT32_MAX: of all); counts_done() frees them. */
int folds_grams_counts(const struct folds *folds, uint32_t without, struct counts *ret_counts);

#endif
