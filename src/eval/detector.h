/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Detectors: what a call costs (a model), and what a process scores by its calls' costs (a statistic). A higher score is
 * more suspicious. Named MODEL:LENGTH:STATISTIC:
 *   predictor    the profile as it is monitored with
 *   witten-bell  plain Witten-Bell back-off over length - 1 calls, for comparison
 *   sequences    stide: sequences of length calls that were never learned (Forrest 1996, Hofmeyr 1998)
 *   pairs        look-ahead pairs of calls up to length - 1 apart that were never learned (pH, Somayaji 2000)
 *   mean         of all costs
 *   maxN         highest running mean over N calls
 *   qN           the cost that N % of the calls stay under
 *   aboveN       share of calls that cost more than N bits
 */
#ifndef IMSAFE_EVAL_DETECTOR_H
#define IMSAFE_EVAL_DETECTOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/errmsg.h"
#include "core/image.h"
#include "model/session.h"

enum detector_model { MODEL_PREDICTOR, MODEL_WITTEN_BELL, MODEL_SEQUENCES, MODEL_PAIRS, MODELS };
enum statistic { STATISTIC_MEAN, STATISTIC_MAX, STATISTIC_QUANTILE, STATISTIC_ABOVE, STATISTICS };

struct detector {
	enum detector_model model;
	unsigned length;
	enum statistic statistic;
	unsigned n;
	char name[48];
};

/* What is left out of text is the default: "predictor", "sequences:10", "predictor:6:max32". */
int detector_parse(const char *text, struct detector *ret_detector, struct errmsg *err);

/* Whether the same fit gives both detectors' costs. */
bool detector_same_fit(const struct detector *a, const struct detector *b);

/* The costs of a process's calls come from one of these; fitted on sessions of normal behaviour. */
struct fit;

int fit_new(const struct detector *detector, const struct session *const *sessions, size_t n, struct fit **ret_fit,
	    struct errmsg *err);
struct fit *fit_free(struct fit *fit);
DEFINE_CLEANUP(struct fit *, fit_free)

/* Costs of a session's calls, one a call; costs must have room for session_calls(). Any number of threads at once. */
size_t fit_costs(const struct fit *fit, const struct session *session, uint16_t *costs);

/* The score; between 0 and 1, as a share of COST_MAX (aboveN: of the calls). scratch has room for n too. */
double detector_score(const struct detector *detector, const uint16_t *costs, size_t n, uint16_t *scratch);

#endif
