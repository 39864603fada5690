/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * How much of the application's normal behaviour a profile has seen. Everything follows from in how many of the n
 * sessions each learned sequence (gram) g occurred, s(g), and how often, c(g):
 *
 * - Share of the next session's different sequences that will be new: Good-Turing over sessions ("documents"),
 *   Q1 / U = sequences in exactly one session / sum of s(g) (Good 1953; over sessions, because repeats inside
 *   one session say nothing of the next one).
 * - Share of the next session's calls that will be new: leaving out each session in turn, exactly
 *   sum of c(g) where s(g) = 1 / all calls.
 * - The same after only m of the sessions, in the mean over every choice of m (rarefaction, Hurlbert 1971): a choice
 *   misses g with probability C(n - s, m) / C(n, m), and the next session then has it with s / (n - m). At m = n - 1
 *   these are the two estimates above.
 * - Forecast: in logarithms the curve is nearly straight (a power law, as for new words in a text: Herdan, Heaps) and
 *   bends down as the end comes near. Its slope over the last doubling of the sessions, and how much steeper it was than over
 *   the doubling before, are carried on.
 */
#ifndef IMSAFE_MODEL_COMPLETENESS_H
#define IMSAFE_MODEL_COMPLETENESS_H

#include <stdbool.h>

#include "base/errmsg.h"
#include "model/counts.h"
#include "model/profile.h"

enum completeness_level {
	COMPLETENESS_TOO_LITTLE, /* fewer than COMPLETENESS_JUDGE sessions */
	COMPLETENESS_LEARNING,
	COMPLETENESS_NEARLY,     /* at most COMPLETENESS_NEARLY_... of new sessions' sequences and calls are new */
	COMPLETENESS_COMPLETE,   /* at most COMPLETENESS_COMPLETE_..., and nothing was lost */
};

#define COMPLETENESS_JUDGE              10    /* sessions */
#define COMPLETENESS_NEARLY_SESSIONS    30
#define COMPLETENESS_NEARLY_SEQUENCES   0.05
#define COMPLETENESS_NEARLY_CALLS       0.01
#define COMPLETENESS_COMPLETE_SESSIONS  60    /* then what no session brought is in under 5 % of new ones: 3 / n */
#define COMPLETENESS_COMPLETE_SEQUENCES 0.01
#define COMPLETENESS_COMPLETE_CALLS     0.001

struct completeness_point {
	double sessions;
	double sequences;     /* different ones seen so far */
	double unseen;        /* share of the next session's different sequences that are new */
	double unseen_calls;  /* share of its calls */
};

struct completeness_call {
	uint16_t call;
	uint64_t count;
};

struct completeness_source {
	int64_t run;
	char *source;
	uint64_t sessions;
	uint64_t sequences;   /* different ones in this run */
	uint64_t only;        /* of these, in no other run */
};

#define COMPLETENESS_SOURCES 5
#define COMPLETENESS_CALLS   16

struct completeness {
	enum completeness_level level;
	uint64_t sessions, calls, gaps, lost;
	uint64_t sequences;      /* different ones */
	uint64_t pairs;          /* of a session and a sequence in it */
	uint64_t once;           /* sequences in exactly one session */
	double unseen, unseen_calls;
	double slope, bend;      /* at the end of the curve: log2 of the share falls by slope x + bend x^2 / 2 in x doublings */
	double halving;          /* so many more sessions to halve unseen; INFINITY: not at this pace; 0: nothing to halve */
	struct completeness_point *curve;
	size_t n_curve;
	struct completeness_call thin[COMPLETENESS_CALLS]; /* calls met the fewest times, at most twice */
	size_t n_thin, all_thin;                           /* listed, and how many there are */
	struct completeness_source sources[COMPLETENESS_SOURCES]; /* that brought the most of their own, most first */
	size_t n_sources;
};

/* From counts alone; sources stay empty. completeness_done() frees it. -ENOMEM. */
int completeness_of_counts(const struct counts *counts, struct completeness *ret_completeness);

/* All of it. */
int completeness_of_profile(struct profile *profile, struct completeness *ret_completeness, struct errmsg *err);

/* What the share of unseen sequences is forecast to be after so many more sessions. */
double completeness_after(const struct completeness *completeness, double more);

void completeness_done(struct completeness *completeness);

/* "too little to judge", "still learning", "nearly done", "complete". */
const char *completeness_word(enum completeness_level level);

#endif
