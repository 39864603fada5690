/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Freezing against the model said directly: every cost, match and back-off of random traces; images from outside. */
#include <math.h>
#include <string.h>

#include "core/score.h"
#include "model/freeze.h"
#include "model/learner.h"
#include "naive-model.h"
#include "random-trace.h"
#include "../tap.h"

enum { TRAIN = 3000, TEST = 700 };

static struct event train[TRAIN], test[TEST];

static int make_image_as(unsigned length, const struct event *events, size_t n, enum freeze_cost kind, struct image *ret_image)
{
	struct learner *learner = learner_new(length, NULL, NULL);
	struct counts counts = { 0 };
	int r;

	if (!learner)
		return -ENOMEM;
	r = learner_add(learner, events, n);
	if (r >= 0)
		r = learner_end_trace(learner);
	if (r >= 0)
		r = learner_counts(learner, &counts);
	if (r >= 0)
		r = counts_check(&counts);
	if (r >= 0)
		r = freeze_as(&counts, ARCH_X86_64, kind, ret_image, NULL);
	counts_done(&counts);
	learner_free(learner);
	return r;
}

static int make_image(unsigned length, const struct event *events, size_t n, struct image *ret_image)
{
	return make_image_as(length, events, n, FREEZE_WEIGHED, ret_image);
}

/* Costs may differ by one for each rounding: the back-off costs and the edge's. */
static void compare(unsigned length, unsigned alphabet, enum freeze_cost kind, uint64_t seed)
{
	struct naive *naive = calloc(1, sizeof(*naive));
	struct score *scores = calloc(NAIVE_TIDS, sizeof(*scores));
	struct policy policy = { .window = { { 8, COST_MAX } } };
	unsigned calls = 0, wrong_cost = 0, wrong_match = 0, wrong_backoff = 0;
	struct image image = { 0 };

	naive->length = length;
	random_trace(train, TRAIN, alphabet, &seed);
	random_trace(test, TEST, alphabet, &seed);
	naive_learn(naive, train, TRAIN);
	memset(naive->thread, 0, sizeof(naive->thread));
	if (!ok(make_image_as(length, train, TRAIN, kind, &image) >= 0, "length %u: an image", length))
		goto out;
	policy_arm(&policy, image.header, 0);
	for (size_t i = 0; i < TEST; i++) {
		struct score *score = &scores[test[i].tid % NAIVE_TIDS];
		struct naive_call call;
		struct verdict v;
		unsigned backoff;
		double cost;
		int matches;

		if (test[i].kind == EVENT_GAP && !test[i].tid)
			for (int k = 0; k < NAIVE_TIDS; k++)
				score_reset(&scores[k], 1);
		if (test[i].kind == EVENT_EXEC && test[i].parent && test[i].parent != test[i].tid)
			score_reset(&scores[test[i].parent % NAIVE_TIDS], 0);
		if (test[i].kind == EVENT_EXIT)
			score_reset(score, 0);
		v = score_step(score, &image, &policy, &test[i]);
		if (!naive_step(naive, &test[i], &call))
			continue;
		calls++;
		cost = naive_cost(naive, &call, &backoff);
		if (kind == FREEZE_WEIGHED)
			cost = naive_weighed_cost(naive, &call);
		matches = naive_matches(naive, &call);
		wrong_cost += fabs(v.cost - fmin(cost, COST_LIMIT)) > 0.5 * (backoff + 1) + 1e-6;
		wrong_match += !!(v.flags & VERDICT_MATCHED) != (matches == 1);
		wrong_match += !!(v.flags & VERDICT_MISMATCHED) != (matches == 0);
		wrong_backoff += v.flags & VERDICT_KNOWN && v.backoff != backoff;
	}
	ok(calls > TEST / 2 && !wrong_cost, "length %u, %u calls: costs are %s (%u of %u differ)", length, alphabet,
	   kind == FREEZE_WEIGHED ? "weighed" : "Witten-Bell's", wrong_cost, calls);
	ok(!wrong_match, "length %u: matches are stide's", length);
	ok(!wrong_backoff, "length %u: contexts are shortened as far as needed", length);
out:
	image_free(&image);
	free(naive->calls);
	free(naive);
	free(scores);
}

static int check_copy(const struct image *image, void (*damage)(struct image_header *, struct cell *))
{
	size_t size = sizeof(*image->header) + image->header->cells * sizeof(struct cell);
	struct image_header *copy = malloc(size);
	struct image checked;
	int r;

	memcpy(copy, image->header, size);
	damage(copy, (struct cell *)(copy + 1));
	copy->checksum = image_checksum((struct cell *)(copy + 1), image->header->cells);
	r = image_check(copy, size, "copy", &checked, NULL);
	free(copy);
	return r;
}

static struct cell *some_edge(struct image_header *h, struct cell *c)
{
	for (uint32_t i = h->cells - 1; i; i--)
		if (c[i].owner != CELL_FREE && c[i].owner != i)
			return &c[i];
	abort();
}

static struct cell *some_state(struct image_header *h, struct cell *c)
{
	return &c[some_edge(h, c)->owner];
}

static void damage_none(struct image_header *h, struct cell *c) { }
static void damage_version(struct image_header *h, struct cell *c) { h->version++; }
static void damage_next(struct image_header *h, struct cell *c) { some_edge(h, c)->next = h->cells - 5; }
static void damage_into_edge(struct image_header *h, struct cell *c)
{
	struct cell *edge = some_edge(h, c);

	edge->next = (uint32_t)(edge - c);
}
static void damage_owner(struct image_header *h, struct cell *c) { some_edge(h, c)->owner += 600; }
static void damage_loop(struct image_header *h, struct cell *c)
{
	struct cell *state = some_state(h, c);

	state->next = (uint32_t)(state - c);
}
static void damage_depth(struct image_header *h, struct cell *c) { some_state(h, c)->flags = LENGTH_MAX; }
static void damage_fork(struct image_header *h, struct cell *c) { h->fork = h->cells; }
static void damage_origins(struct image_header *h, struct cell *c) { h->origins = 1 << ORIGIN_FILE; }
static void damage_length(struct image_header *h, struct cell *c) { h->length = LENGTH_MAX + 1; }
static void damage_tail(struct image_header *h, struct cell *c) { c[h->cells - 1].owner = h->cells - 1; }
static void damage_root(struct image_header *h, struct cell *c) { c[0].owner = CELL_FREE; }
static void damage_edges(struct image_header *h, struct cell *c) { h->edges++; }

static void check_images(void)
{
	struct image image, again, checked;
	uint64_t seed = 5;
	size_t size;

	random_trace(train, TRAIN, 30, &seed);
	if (!ok(!make_image(6, train, TRAIN, &image) && !make_image(6, train, TRAIN, &again), "two images"))
		return;
	size = sizeof(*image.header) + image.header->cells * sizeof(struct cell);
	ok(image.header->cells == again.header->cells && !memcmp(image.header, again.header, size),
	   "the same counts give the same bytes");
	ok(image.header->fork && image.header->exec, "starts are states");
	ok(image_check(image.header, size, "image", &checked, NULL) == 0 && checked.cells == image.cells,
	   "an image that was frozen is sound");
	ok(image_check(image.header, size - 1, "image", &checked, NULL) == -EBADMSG &&
	   image_check(image.header, 20, "image", &checked, NULL) == -EBADMSG &&
	   image_check(image.header, 0, "image", &checked, NULL) == -EBADMSG, "a part of one is not");
	((struct cell *)image.cells)[0].cost++;
	ok(image_check(image.header, size, "image", &checked, NULL) == -EBADMSG, "the checksum holds the cells");
	((struct cell *)image.cells)[0].cost--;
	ok(check_copy(&image, damage_none) == 0, "a copy is sound");
	ok(check_copy(&image, damage_version) == -EPROTONOSUPPORT, "a newer version is said to be newer");
	ok(check_copy(&image, damage_next) == -EBADMSG, "no edge leads near the end");
	ok(check_copy(&image, damage_into_edge) == -EBADMSG, "no edge leads to what is no state");
	ok(check_copy(&image, damage_owner) == -EBADMSG, "no edge is without a state");
	ok(check_copy(&image, damage_loop) == -EBADMSG, "no suffix links run in circles");
	ok(check_copy(&image, damage_depth) == -EBADMSG, "no context is too long");
	ok(check_copy(&image, damage_fork) == -EBADMSG, "starts are inside");
	ok(check_copy(&image, damage_origins) == -EBADMSG, "only foreign origins are learned");
	ok(check_copy(&image, damage_length) == -EBADMSG, "the sequence length is possible");
	ok(check_copy(&image, damage_tail) == -EBADMSG, "the end is free");
	ok(check_copy(&image, damage_root) == -EBADMSG, "there is a root");
	ok(check_copy(&image, damage_edges) == -EBADMSG, "counts in the header are right");
	image_free(&image);
	image_free(&again);
}

static void check_expected(void)
{
	struct expectation expected[8];
	struct event events[12];
	struct image image;
	size_t n;

	for (int i = 0; i < 12; i++)
		events[i] = (struct event){ .tid = 1, .kind = EVENT_CALL, .call = i % 4 == 3 ? 9 : i % 4 };
	ok(!make_image(6, events, 12, &image), "a small image");
	n = image_expected(&image, IMAGE_ROOT, expected, 8);
	ok(n == 4 && expected[0].call == 0 && expected[0].count == 3 && expected[3].call == 9 && expected[0].share == 0.25,
	   "what the root expects, most frequent first");
	n = image_expected(&image, image.cells[IMAGE_ROOT + 1 + 2].next, expected, 8);
	ok(n == 1 && expected[0].call == 9 && expected[0].share == 1.0, "what follows call 2");
	ok(!image_expected(&image, 3, expected, 8) && !image_expected(&image, 0xfffffff0, expected, 8),
	   "what is no state expects nothing");
	image_free(&image);
	ok(!make_image(2, NULL, 0, &image) && image.header->states == 1 && !image.header->edges, "nothing learned: the root");
	ok(!image_check(image.header, sizeof(*image.header) + image.header->cells * sizeof(struct cell), "", &image, NULL),
	   "is sound");
	image_free(&image);
}

static void check_origins(void)
{
	struct counts counts = { .length = 6, .sessions = 4, .origin_sessions = { [ORIGIN_ANON] = 2, [ORIGIN_HEAP] = 1 } };
	struct image image;

	ok(!freeze(&counts, ARCH_X86_64, &image, NULL) && image.header->origins == 1 << ORIGIN_ANON,
	   "an origin that half of the sessions show is learned, one that few show is not");
	image_free(&image);
	counts.sessions = counts.origin_sessions[ORIGIN_ANON] = 1;
	ok(!freeze(&counts, ARCH_X86_64, &image, NULL) && !image.header->origins, "a single session proves nothing");
	image_free(&image);
}

int main(void)
{
	for (unsigned length = LENGTH_MIN; length <= LENGTH_MAX; length += length < 8 ? 1 : 4)
		compare(length, 12, length % 2 ? FREEZE_SURPRISE : FREEZE_WEIGHED, length);
	compare(6, 12, FREEZE_SURPRISE, 99);
	compare(6, 3, FREEZE_WEIGHED, 100);
	compare(6, 400, FREEZE_WEIGHED, 101);
	compare(5, 510, FREEZE_WEIGHED, 102);
	compare(LENGTH_MAX, 2, FREEZE_WEIGHED, 103);
	check_images();
	check_expected();
	check_origins();
	return tap_done();
}
