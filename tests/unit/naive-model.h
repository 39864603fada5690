/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The model said as directly as possible, to hold the fast one against: each call with its history, and Witten-Bell and
 * the k-sequences by going through all of them every time.
 */
#ifndef IMSAFE_TESTS_NAIVE_MODEL_H
#define IMSAFE_TESTS_NAIVE_MODEL_H

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "core/score.h"

#define NAIVE_TIDS 256

struct naive_call {
	uint16_t history[LENGTH_MAX - 1]; /* oldest first */
	unsigned n;
	uint16_t call;
};

struct naive {
	unsigned length;
	struct naive_call thread[NAIVE_TIDS]; /* history of each thread */
	struct naive_call *calls;
	size_t n;
};

static inline void naive_push(struct naive *naive, struct naive_call *thread, uint16_t symbol)
{
	if (thread->n == naive->length - 1) {
		memmove(thread->history, thread->history + 1, (thread->n - 1) * sizeof(*thread->history));
		thread->n--;
	}
	thread->history[thread->n++] = symbol;
}

/* Follows an event; true if it is a call, which is then *ret_call with its history. */
static inline bool naive_step(struct naive *naive, const struct event *event, struct naive_call *ret_call)
{
	struct naive_call *thread = &naive->thread[event->tid % NAIVE_TIDS];

	switch (event->kind) {
	case EVENT_CALL:
		*ret_call = *thread;
		ret_call->call = (uint16_t)event_symbol(event->call, event->origin);
		naive_push(naive, thread, ret_call->call);
		return true;
	case EVENT_FORK:
		thread->n = 1;
		thread->history[0] = SYMBOL_FORK;
		return false;
	case EVENT_EXEC:
		if (event->parent && event->parent != event->tid)
			naive->thread[event->parent % NAIVE_TIDS].n = 0;
		thread->n = 1;
		thread->history[0] = SYMBOL_EXEC;
		return false;
	case EVENT_GAP:
		if (!event->tid)
			for (int i = 0; i < NAIVE_TIDS; i++)
				naive->thread[i].n = 0;
		thread->n = 0;
		return false;
	default:
		thread->n = 0;
		return false;
	}
}

static inline void naive_learn(struct naive *naive, const struct event *events, size_t n)
{
	memset(naive->thread, 0, sizeof(naive->thread));
	naive->calls = realloc(naive->calls, (naive->n + n) * sizeof(*naive->calls));
	for (size_t i = 0; i < n; i++)
		naive->n += naive_step(naive, &events[i], &naive->calls[naive->n]);
}

static inline bool naive_ends_with(const struct naive_call *learned, const uint16_t *context, unsigned n)
{
	return learned->n >= n && !memcmp(learned->history + learned->n - n, context, n * sizeof(*context));
}

/* How often the call followed the last order symbols of its history, and what the history was followed by at all. */
static inline size_t naive_count(const struct naive *naive, const struct naive_call *call, unsigned order,
				 size_t *ret_total, size_t *ret_distinct)
{
	const uint16_t *context = call->history + call->n - order;
	bool followed[ALPHABET] = { false };
	size_t count = 0;

	*ret_total = *ret_distinct = 0;
	for (size_t i = 0; i < naive->n; i++) {
		if (!naive_ends_with(&naive->calls[i], context, order))
			continue;
		++*ret_total;
		*ret_distinct += !followed[naive->calls[i].call];
		followed[naive->calls[i].call] = true;
		count += naive->calls[i].call == call->call;
	}
	return count;
}

/* -log2 of Witten-Bell's probability, in cost units, not rounded. *ret_backoff: steps from the longest known context. */
static inline double naive_cost(const struct naive *naive, const struct naive_call *call, unsigned *ret_backoff)
{
	double p = 1.0 / ALPHABET;
	unsigned longest = 0, found = 0;

	for (unsigned order = 0; order <= call->n; order++) {
		size_t total, distinct, count = naive_count(naive, call, order, &total, &distinct);

		if (!total)
			break;
		p = ((double)count + (double)distinct * p) / (double)(total + distinct);
		longest = order;
		if (count)
			found = order;
	}
	*ret_backoff = longest - found;
	return -log2(p) * COST_BIT;
}

/* The same with every order's surprises weighed by how much they are expected to vary there. */
static inline double naive_weighed_cost(const struct naive *naive, const struct naive_call *call)
{
	double p[ALPHABET], mean = ALPHABET_BITS, variance = 0, root = 0, cost = 0;

	for (int s = 0; s < ALPHABET; s++)
		p[s] = 1.0 / ALPHABET;
	for (unsigned order = 0; order <= call->n; order++) {
		size_t count[ALPHABET] = { 0 }, total = 0, distinct = 0;
		double escape, unseen, sum, square, weight;

		for (size_t i = 0; i < naive->n; i++)
			if (naive_ends_with(&naive->calls[i], call->history + call->n - order, order)) {
				distinct += !count[naive->calls[i].call]++;
				total++;
			}
		if (!total)
			break;
		escape = (double)distinct / (double)(total + distinct);
		unseen = mean - log2(escape);
		sum = escape * unseen;
		square = escape * (unseen * unseen + variance);
		for (int s = 0; s < ALPHABET; s++) {
			double share = (double)count[s] / (double)(total + distinct);

			p[s] = share + escape * p[s];
			sum -= share * log2(p[s]);
			square += share * pow(log2(p[s]), 2);
		}
		mean = sum;
		variance = fmax(0, square - mean * mean);
		if (!order)
			root = 1 + variance;
		weight = sqrt(root / (1 + variance));
		if (count[call->call])
			cost = -log2(p[call->call]) * weight;
		else
			cost += (-log2(escape) + (order ? 0 : ALPHABET_BITS)) * weight;
	}
	return cost * COST_BIT;
}

/* stide: the last length calls are a learned sequence (-1: there are not that many without a break). */
static inline int naive_matches(const struct naive *naive, const struct naive_call *call)
{
	size_t total, distinct;

	if (call->n < naive->length - 1 || call->history[0] >= ALPHABET)
		return -1;
	return naive_count(naive, call, call->n, &total, &distinct) > 0;
}

#endif
