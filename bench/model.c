/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The model's speed: learning, making an image, scoring. Beside each, in the same run, the straightforward way to do
 * the same: a hash table of grams. Ratios mean more than times.
 */
#include <stdio.h>
#include <string.h>

#include "core/score.h"
#include "model/freeze.h"
#include "model/learner.h"
#include "server.h"

enum { CALLS = 4000000, ROUNDS = 5 };

/* The straightforward way: every gram in full is the key of a hash table. */
struct naive_gram {
	uint16_t symbols[LENGTH_MAX];
	uint64_t count;
};

struct naive_table {
	struct naive_gram *grams;
	size_t size, n;
};

static uint64_t naive_hash(const uint16_t *symbols)
{
	const unsigned char *bytes = (const unsigned char *)symbols;
	uint64_t hash = 0xcbf29ce484222325ULL;

	for (size_t i = 0; i < LENGTH_MAX * sizeof(*symbols); i++)
		hash = (hash ^ bytes[i]) * 0x100000001b3ULL;
	return hash;
}

static struct naive_gram *naive_find(const struct naive_table *table, const uint16_t *symbols)
{
	size_t at = naive_hash(symbols) & (table->size - 1);

	while (table->grams[at].count && memcmp(table->grams[at].symbols, symbols, sizeof(table->grams[at].symbols)))
		at = (at + 1) & (table->size - 1);
	return &table->grams[at];
}

static double naive_learn(struct naive_table *table, const struct event *events, size_t n, unsigned length)
{
	static uint16_t history[64][LENGTH_MAX];
	double start = now();

	memset(history, 0, sizeof(history));
	for (size_t i = 0; i < n; i++) {
		uint16_t *mine = history[events[i].tid % 64];
		struct naive_gram *gram;

		memmove(mine, mine + 1, (length - 1) * sizeof(*mine));
		mine[length - 1] = events[i].call + 1;
		gram = naive_find(table, mine);
		memcpy(gram->symbols, mine, sizeof(gram->symbols));
		table->n += !gram->count++;
	}
	return now() - start;
}

static double learn(const struct event *events, size_t n, unsigned length, struct counts *ret_counts)
{
	struct learner *learner = learner_new(length, NULL, NULL);
	double start = now(), took;

	for (size_t i = 0; i < n; i += 4096)
		learner_add(learner, events + i, MIN(4096U, n - i));
	learner_end_trace(learner);
	took = now() - start;
	learner_counts(learner, ret_counts);
	learner_free(learner);
	return took;
}

static void bench_learning(const struct event *events, unsigned length)
{
	struct naive_table table = { .size = 1 << 22 };
	struct counts counts;
	double best = 1e9, naive = 1e9;

	table.grams = calloc(table.size, sizeof(*table.grams));
	for (int i = 0; i < ROUNDS; i++) {
		double took = learn(events, CALLS, length, &counts);

		best = MIN(best, took);
		if (i < ROUNDS - 1)
			counts_done(&counts);
		naive = MIN(naive, naive_learn(&table, events, CALLS, length));
	}
	printf("learning, length %2u    %8.2f ns a call  %8.1f M calls/s  %6.1f times a table of tuples (%zu grams)\n", length,
	       best / CALLS * 1e9, CALLS / best / 1e6, naive / best, counts.n_grams);
	counts_done(&counts);
	free(table.grams);
}

static volatile uint64_t sink;

static void bench_scoring(const struct event *events, unsigned length, unsigned windows)
{
	struct policy policy = { .window = { { 32, 9000 }, { 128, 9000 }, { 8, 20000 } }, .min_calls = 16, .foreign = 1 };
	static struct score scores[64];
	struct naive_table table = { .size = 1 << 20 };
	double best = 1e9, naive = 1e9, bare = 1e9;
	struct counts counts;
	struct image image;

	for (unsigned i = windows; i < MEAN_WINDOWS; i++)
		policy.window[i].length = 0;
	table.grams = calloc(table.size, sizeof(*table.grams));
	learn(events, CALLS, length, &counts);
	naive_learn(&table, events, CALLS, length);
	freeze(&counts, ARCH_X86_64, &image, NULL);
	policy_arm(&policy, image.header, 0);
	for (int round = 0; round < ROUNDS; round++) {
		static uint16_t history[64][LENGTH_MAX];
		uint64_t cost = 0;
		uint32_t node[64] = { 0 };
		double start;

		memset(scores, 0, sizeof(scores));
		memset(history, 0, sizeof(history));
		start = now();
		for (size_t i = 0; i < CALLS; i++) {
			struct verdict v = score_step(&scores[events[i].tid % 64], &image, &policy, &events[i]);

			cost += v.cost;
		}
		best = MIN(best, now() - start);
		start = now();
		for (size_t i = 0; i < CALLS; i++) {
			struct verdict v = { 0 };

			score_predict(&node[events[i].tid % 64], &image, event_symbol(events[i].call, events[i].origin), &v);
			cost += v.cost;
		}
		bare = MIN(bare, now() - start);
		start = now();
		for (size_t i = 0; i < CALLS; i++) {
			uint16_t *mine = history[events[i].tid % 64];

			memmove(mine, mine + 1, (length - 1) * sizeof(*mine));
			mine[length - 1] = events[i].call + 1;
			cost += !!naive_find(&table, mine)->count;
		}
		naive = MIN(naive, now() - start);
		sink += cost;
	}
	printf("score_step, %u mean%s    %8.2f ns a call  %8.1f M calls/s  %6.1f times stide by a table of tuples"
	       " (automaton alone: %.2f ns; image %u KB)\n", windows, windows > 1 ? "s" : " ", best / CALLS * 1e9,
	       CALLS / best / 1e6, naive / best, bare / CALLS * 1e9, image.header->cells / 64);
	counts_done(&counts);
	image_free(&image);
	free(table.grams);
}

int main(void)
{
	struct event *events = malloc(CALLS * sizeof(*events));
	struct counts counts;
	struct image image;
	double best = 1e9;

	make_trace(events, CALLS, 20, 0, 8, 1);
	bench_learning(events, 6);
	bench_learning(events, 10);
	for (unsigned windows = 1; windows <= MEAN_WINDOWS; windows += 2)
		bench_scoring(events, 6, windows);

	make_trace(events, CALLS, 300, 3, 8, 2);
	learn(events, CALLS, 6, &counts);
	for (int i = 0; i < ROUNDS; i++) {
		double start = now();

		freeze(&counts, ARCH_X86_64, &image, NULL);
		best = MIN(best, now() - start);
		if (i < ROUNDS - 1)
			image_free(&image);
	}
	printf("freezing               %8.1f ms  for %u edges, %u states, %zu grams; %u cells, %.0f %% of them used\n", best * 1e3,
	       image.header->edges, image.header->states, counts.n_grams, image.header->cells,
	       100.0 * (image.header->edges + image.header->states) / image.header->cells);
	image_free(&image);
	counts_done(&counts);
	free(events);
	return 0;
}
