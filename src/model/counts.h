/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a profile is made of: how often each gram occurred, and in how many sessions. A gram is a call with all the
 * calls before it that the sequence length allows: up to length symbols, fewer after a thread's start (then the first
 * is SYMBOL_FORK or SYMBOL_EXEC) or after an unknown past (attach, gap). Each call counts exactly one gram; the counts of
 * every shorter context follow by summing, and counts of several runs by adding. So order never matters.
 *
 * A session is one thread's calls in one trace, from its first call to its exit, cut after SESSION_MAX calls. It is the
 * unit of completeness and of false-alarm rates.
 */
#ifndef IMSAFE_MODEL_COUNTS_H
#define IMSAFE_MODEL_COUNTS_H

#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "core/event.h"
#include "core/image.h"

#define SESSION_MAX 65536

struct gram {
	uint16_t symbols[LENGTH_MAX]; /* the last one is the call that was counted; unused ones are 0 */
	uint16_t n;
	uint64_t count;
	uint64_t sessions;            /* in how many distinct sessions */
};

struct counts {
	unsigned length;      /* sequence length */
	uint64_t calls;
	uint64_t sessions;
	uint64_t gaps;        /* gap events met, and calls known to be lost in them */
	uint64_t lost;
	uint64_t origins[ORIGIN_KINDS];         /* calls by origin */
	uint64_t origin_sessions[ORIGIN_KINDS]; /* sessions with such a call */
	struct gram *grams;   /* sorted by (n, symbols) */
	size_t n_grams;
};

void counts_done(struct counts *counts);

/* Adds more to counts. Both of one length (-EINVAL); -ENOMEM leaves counts as they were. */
int counts_add(struct counts *counts, const struct counts *more);

/* The counts that learning with a smaller sequence length would have given; sessions of merged grams are an upper bound. */
int counts_shorten(struct counts *counts, unsigned length);

/* Whether counts from outside can be what a learner made: sorted, symbols in range, sums right. 0 or -EBADMSG. */
int counts_check(const struct counts *counts);

/* Order of grams in struct counts: by n, then symbol by symbol. */
int gram_compare(const struct gram *a, const struct gram *b);

enum gram_order {
	GRAMS_FORWARD,  /* as in struct counts */
	GRAMS_BACKWARD, /* by the context from its newest symbol to its oldest (shorter first), then by the call */
	GRAMS_REVERSED, /* by the symbols from the last to the first */
};

/* The order of grams as indices into them; *ret_index is the caller's to free. */
int grams_order(const struct gram *grams, size_t n, unsigned length, enum gram_order order, uint32_t **ret_index);

#endif
