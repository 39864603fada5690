/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The model's speed: learning, making an image, scoring. Beside each, in the same run, the straightforward way to do
 * the same: a hash table of grams. Processor time; ratios mean more.
 */
#include <stdio.h>
#include <string.h>

#include "core/score.h"
#include "model/freeze.h"
#include "model/learner.h"
#include "model/training.h"
#include "server.h"

enum {
	CALLS = 4000000,
	CACHED = 65536, /* calls that stay in the cache with the image, scored again and again */
	ROUNDS = 5,
	CACHED_ROUNDS = 500,
};

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
	double start = processor_time();

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
	return processor_time() - start;
}

static double learn(const struct event *events, size_t n, unsigned length, struct counts *ret_counts)
{
	struct learner *learner = learner_new(length, NULL, NULL);
	double start = processor_time(), took;

	for (size_t i = 0; i < n; i += 4096)
		learner_add(learner, events + i, MIN(4096U, n - i));
	learner_end_trace(learner);
	took = processor_time() - start;
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
	for (int round = 0; round < CACHED_ROUNDS; round++) {
		static uint16_t history[64][LENGTH_MAX];
		uint64_t cost = 0;
		uint32_t node[64] = { 0 };
		double start;

		memset(scores, 0, sizeof(scores));
		memset(history, 0, sizeof(history));
		start = processor_time();
		for (size_t i = 0; i < CACHED; i++) {
			struct verdict v = score_step(&scores[events[i].tid % 64], &image, &policy, &events[i]);

			cost += v.cost;
		}
		best = MIN(best, processor_time() - start);
		start = processor_time();
		for (size_t i = 0; i < CACHED; i++) {
			struct verdict v = { 0 };

			score_predict(&node[events[i].tid % 64], &image, event_symbol(events[i].call, events[i].origin), &v);
			cost += v.cost;
		}
		bare = MIN(bare, processor_time() - start);
		start = processor_time();
		for (size_t i = 0; i < CACHED; i++) {
			uint16_t *mine = history[events[i].tid % 64];

			memmove(mine, mine + 1, (length - 1) * sizeof(*mine));
			mine[length - 1] = events[i].call + 1;
			cost += !!naive_find(&table, mine)->count;
		}
		naive = MIN(naive, processor_time() - start);
		sink += cost;
	}
	printf("score_step, %u mean%s    %8.2f ns a call  %8.1f M calls/s  %6.1f times stide by a table of tuples"
	       " (automaton alone: %.2f ns; image %u KB)\n", windows, windows > 1 ? "s" : " ", best / CACHED * 1e9,
	       CACHED / best / 1e6, naive / best, bare / CACHED * 1e9, image.header->cells / 64);
	counts_done(&counts);
	image_free(&image);
	free(table.grams);
}

/* A profile file with so many edges in its image, made by learning noise until there are enough. */
static int make_profile(const char *path, struct event *events, unsigned edges)
{
	const struct profile_info info = { .arch = ARCH_X86_64, .length = LENGTH_DEFAULT };
	struct profile *profile = NULL;
	unsigned made = 0;
	int r;

	r = profile_open(path, PROFILE_CREATE, &info, &profile, NULL);
	for (unsigned seed = 1; made < edges && r >= 0; seed++) {
		struct training *training = training_new(LENGTH_DEFAULT, profile_sample_limit(profile), NULL, NULL);
		struct profile_run run = { .source = "noise", .date = seed };
		struct counts counts;
		struct image image;

		make_trace(events, 200000, 300, 15, 8, seed);
		training_add(training, events, 200000);
		training_end(training);
		r = profile_begin(profile, NULL);
		if (r >= 0)
			r = training_commit(training, profile, &run, NULL);
		if (r >= 0)
			r = profile_commit(profile, NULL);
		training_free(training);
		if (r >= 0)
			r = profile_counts(profile, 0, &counts, NULL);
		if (r >= 0)
			r = freeze(&counts, ARCH_X86_64, &image, NULL);
		if (r >= 0) {
			made = image.header->edges;
			image_free(&image);
			counts_done(&counts);
		}
	}
	profile_close(profile);
	return r;
}

/* From a file on disk to an image that can be scored against, as a monitor does it when it starts. */
static void bench_loading(struct event *events)
{
	char path[] = "/tmp/imsafe-bench-XXXXXX";
	double load = 1e9, froze = 1e9;
	struct counts counts;
	struct image image;

	if (!mkdtemp(path) || rmdir(path) < 0 || make_profile(path, events, 200000) < 0) {
		fprintf(stderr, "bench: no profile\n");
		return;
	}
	for (int i = 0; i < 2 * ROUNDS; i++) {
		struct profile *profile = NULL;
		double start = processor_time(), loaded;

		if (profile_open(path, PROFILE_READ, NULL, &profile, NULL) < 0 || profile_counts(profile, 0, &counts, NULL) < 0)
			return;
		loaded = processor_time();
		freeze(&counts, ARCH_X86_64, &image, NULL);
		load = MIN(load, loaded - start);
		froze = MIN(froze, processor_time() - loaded);
		profile_close(profile);
		if (i < 2 * ROUNDS - 1) {
			counts_done(&counts);
			image_free(&image);
		}
	}
	printf("from file to image     %8.1f ms  (load %.1f, freeze %.1f) for %u edges, %u states of %zu grams; %u cells, %.0f %% used\n",
	       (load + froze) * 1e3, load * 1e3, froze * 1e3, image.header->edges, image.header->states, counts.n_grams,
	       image.header->cells, 100.0 * (image.header->edges + image.header->states) / image.header->cells);
	counts_done(&counts);
	image_free(&image);
	unlink(path);
}

int main(void)
{
	struct event *events = malloc(CALLS * sizeof(*events));

	make_trace(events, CALLS, 20, 0, 8, 1);
	bench_learning(events, 6);
	bench_learning(events, 10);
	for (unsigned windows = 1; windows <= MEAN_WINDOWS; windows += 2)
		bench_scoring(events, 6, windows);
	bench_loading(events);
	free(events);
	return 0;
}
