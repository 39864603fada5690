/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * How well scores tell attacks from normals. Scores are ranks once (struct roc), so that every bootstrap replicate is
 * one walk with other weights (Efron 1979). Normals are drawn one by one, attacks by instance, since the traces of one
 * attack are alike; the same draws serve every detector, so that differences between detectors are paired.
 */
#ifndef IMSAFE_EVAL_ROC_H
#define IMSAFE_EVAL_ROC_H

#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"

/* Shares of false alarms that detection is reported at. */
#define RATES 6
extern const double roc_rates[RATES];

/* AUC first, then detection at each rate. */
#define MEASURES (1 + RATES)

struct interval {
	double value, low, high;
};

/* One tested unit. */
struct tested {
	double score;
	uint32_t index;  /* which weight counts it: of the normals, or of the attacks' instances */
	uint8_t attack;
};

struct roc {
	struct tested *tested; /* the highest score first */
	size_t n, normals, attacks;
};

/* Takes tested over, sorts it. */
void roc_init(struct roc *roc, struct tested *tested, size_t n);
void roc_done(struct roc *roc);

/*
 * AUC (ties count half) and detection at the rates. At rate f the threshold is the lowest that at most a share f of the
 * normals lies above; a unit is detected when its score is above it. Weights may be NULL: all 1.
 */
void roc_measure(const struct roc *roc, const uint32_t *normal_weights, const uint32_t *attack_weights,
		 double ret_measures[MEASURES]);

/* The score that a unit must exceed to be detected at a share of false alarms. */
double roc_threshold(const struct roc *roc, double rate);

/* The ROC curve as (false alarms, detection) points, both from 0 to 1; the caller frees them. Returns how many, or -ENOMEM. */
int roc_curve(const struct roc *roc, double (**ret_points)[2]);

/* Weights of one bootstrap replicate: n draws of n. */
void roc_draw(uint64_t seed, uint32_t *weights, size_t n);

/* The middle 95 % of n values, which are sorted. */
void interval_of(double *values, size_t n, struct interval *interval);

/* A small generator of its own (SplitMix64, Steele 2014): the same on every machine. */
uint64_t random_next(uint64_t *state);
uint64_t random_below(uint64_t *state, uint64_t n);

#endif
