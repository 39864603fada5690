/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Learning: what counts as a gram and as a session; order never matters. */
#include <string.h>

#include "model/learner.h"
#include "naive-model.h"
#include "random-trace.h"
#include "../tap.h"

enum { N = 20000 };

static struct event events[N];

struct seen {
	size_t sessions, calls, wrong, longest;
	uint64_t hashes, first_time;
};

static int on_session(void *data, const struct session *session)
{
	struct seen *seen = data;

	seen->wrong += session_check(session) < 0;
	seen->sessions++;
	seen->calls += session_calls(session);
	seen->hashes += session_hash(session);
	seen->longest = MAX(seen->longest, session->n);
	if (!seen->first_time)
		seen->first_time = session->time;
	return 0;
}

static int stop(void *data, const struct session *session)
{
	return -ECANCELED;
}

/* Of the first three sessions, not the second one. */
static int leave_out_second(void *data, const struct session *session)
{
	return ++*(int *)data == 2 ? LEARNER_LEAVE_OUT : 0;
}

static const struct gram *find(const struct counts *counts, unsigned n, const uint16_t *symbols)
{
	struct gram gram = { .n = (uint16_t)n };

	memcpy(gram.symbols, symbols, n * sizeof(*symbols));
	for (size_t i = 0; i < counts->n_grams; i++)
		if (!gram_compare(&counts->grams[i], &gram))
			return &counts->grams[i];
	return NULL;
}

#define GRAM(counts, ...) \
	find(counts, sizeof((uint16_t[]){ __VA_ARGS__ }) / sizeof(uint16_t), (uint16_t[]){ __VA_ARGS__ })

static struct counts learn(unsigned length, const struct event *list, size_t n, struct seen *seen)
{
	struct learner *learner = learner_new(length, seen ? on_session : NULL, seen);
	struct counts counts = { 0 };

	if (learner_add(learner, list, n) < 0 || learner_end_trace(learner) < 0 || learner_counts(learner, &counts) < 0)
		ok(false, "learning works");
	learner_free(learner);
	return counts;
}

static bool equal(const struct counts *a, const struct counts *b)
{
	if (a->length != b->length || a->calls != b->calls || a->sessions != b->sessions || a->n_grams != b->n_grams ||
	    a->gaps != b->gaps || a->lost != b->lost || memcmp(a->origins, b->origins, sizeof(a->origins)) ||
	    memcmp(a->origin_sessions, b->origin_sessions, sizeof(a->origin_sessions)))
		return false;
	for (size_t i = 0; i < a->n_grams; i++)
		if (gram_compare(&a->grams[i], &b->grams[i]) || a->grams[i].count != b->grams[i].count ||
		    a->grams[i].sessions != b->grams[i].sessions)
			return false;
	return true;
}

static void check_kinds(void)
{
	const struct event list[] = {
		{ .tid = 1, .kind = EVENT_CALL, .call = 10 },
		{ .tid = 2, .kind = EVENT_FORK },
		{ .tid = 2, .kind = EVENT_CALL, .call = 10, .time = 77 },
		{ .tid = 1, .kind = EVENT_CALL, .call = 11 },
		{ .tid = 2, .kind = EVENT_CALL, .call = 11 },
		{ .tid = 2, .kind = EVENT_CALL, .call = 12, .origin = EVENT_FROM(ORIGIN_STACK, ABI_NATIVE) },
		{ .tid = 1, .kind = EVENT_GAP, .lost = 5 },
		{ .tid = 1, .kind = EVENT_CALL, .call = 12 },
		{ .tid = 2, .kind = EVENT_EXIT },
		{ .tid = 2, .kind = EVENT_FORK },
		{ .tid = 2, .kind = EVENT_EXEC },
		{ .tid = 2, .kind = EVENT_CALL, .call = 600 },
		{ .tid = 2, .kind = EVENT_CALL, .call = 4, .origin = EVENT_FROM(ORIGIN_FILE, ABI_X32) },
		{ .tid = 3, .kind = EVENT_FORK },
		{ .tid = 4, .kind = EVENT_CALL, .call = 20 },
		{ .tid = 4, .kind = EVENT_EXIT },
		{ .tid = 5, .kind = EVENT_FORK },
		{ .tid = 5, .kind = EVENT_CALL, .call = 20 },
		{ .tid = 4, .kind = EVENT_EXEC, .parent = 5 },
		{ .tid = 4, .kind = EVENT_CALL, .call = 21 },
		{ .tid = 5, .kind = EVENT_CALL, .call = 22 },
	};
	struct seen seen = { 0 };
	struct counts counts = learn(3, list, ARRAY_SIZE(list), &seen);
	const struct gram *gram;

	ok(counts_check(&counts) == 0 && counts.calls == 12, "each call counts one gram");
	ok(counts.sessions == 6 && seen.sessions == 6 && seen.calls == 12, "a thread without calls is no session");
	ok(GRAM(&counts, 10) && GRAM(&counts, 10, 11), "a thread first met has an unknown past");
	ok(GRAM(&counts, SYMBOL_FORK, 10) && GRAM(&counts, SYMBOL_FORK, 10, 11) && GRAM(&counts, 10, 11, 12),
	   "a new one begins with its fork");
	gram = GRAM(&counts, 12);
	ok(gram && gram->count == 1 && counts.gaps == 1 && counts.lost == 5, "after a gap the past is unknown");
	ok(GRAM(&counts, SYMBOL_EXEC, SYMBOL_OTHER) && GRAM(&counts, SYMBOL_EXEC, SYMBOL_OTHER, SYMBOL_OTHER),
	   "a new program begins with its exec; odd calls and foreign doors are one symbol");
	ok(GRAM(&counts, SYMBOL_EXEC, 21) && GRAM(&counts, 22), "exec from a thread takes the process's id");
	ok(counts.origins[ORIGIN_STACK] == 1 && counts.origin_sessions[ORIGIN_STACK] == 1 &&
	   counts.origins[ORIGIN_FILE] == 1, "origins are counted by call and by session");
	ok(!seen.wrong && seen.first_time == 77, "sessions are handed on with their time");
	counts_done(&counts);
}

static void check_order(void)
{
	struct seen seen = { 0 }, again = { 0 };
	struct counts whole, parts = { .length = 6 };
	uint64_t seed = 1;

	random_trace(events, N, 40, &seed);
	whole = learn(6, events, N, &seen);
	ok(!counts_check(&whole) && whole.sessions == seen.sessions && whole.calls == seen.calls && !seen.wrong,
	   "%zu sessions of a random trace", seen.sessions);

	/* Thread by thread, last one first; without what concerns several threads. */
	for (size_t i = 0; i < N; i++) {
		if (events[i].kind == EVENT_EXEC)
			events[i].parent = 0;
		if (events[i].kind == EVENT_GAP && !events[i].tid)
			events[i].kind = EVENT_KINDS;
	}
	counts_done(&whole);
	memset(&seen, 0, sizeof(seen));
	whole = learn(6, events, N, &seen);
	for (uint32_t tid = 100 + RANDOM_THREADS; tid-- > 100;) {
		struct event *mine = calloc(N, sizeof(*mine));
		struct counts counts;
		size_t n = 0;

		for (size_t i = 0; i < N; i++)
			if (events[i].tid == tid)
				mine[n++] = events[i];
		counts = learn(6, mine, n, &again);
		ok(!counts_add(&parts, &counts), "thread %u adds up", tid);
		counts_done(&counts);
		free(mine);
	}
	ok(equal(&whole, &parts) && !counts_check(&parts) && again.hashes == seen.hashes,
	   "the sum over threads in another order is the same");
	counts_done(&whole);
	counts_done(&parts);
}

/* The same trace counted in the simplest way there is. */
static void check_grams(void)
{
	struct counts whole = learn(6, events, N, NULL);
	struct naive *naive = calloc(1, sizeof(*naive));

	naive->length = 6;
	naive_learn(naive, events, N);
	ok(naive->n == whole.calls, "a call is a gram");
	for (size_t i = 0, wrong = 0; i <= naive->n; i++) {
		uint16_t symbols[LENGTH_MAX];

		if (i == naive->n) {
			ok(!wrong, "every gram is found");
			break;
		}
		memcpy(symbols, naive->calls[i].history, sizeof(naive->calls[i].history));
		symbols[naive->calls[i].n] = naive->calls[i].call;
		if (i % 17 == 0)
			wrong += !find(&whole, naive->calls[i].n + 1, symbols);
	}
	free(naive->calls);
	free(naive);
	counts_done(&whole);
}

static void check_shorten(void)
{
	struct counts whole = learn(6, events, N, NULL), shorter = learn(3, events, N, NULL);

	ok(!counts_shorten(&whole, 3) && whole.n_grams == shorter.n_grams && whole.calls == shorter.calls,
	   "shortened counts are those of a smaller length");
	for (size_t i = 0; i < shorter.n_grams; i++)
		if (gram_compare(&whole.grams[i], &shorter.grams[i]) || whole.grams[i].count != shorter.grams[i].count ||
		    whole.grams[i].sessions < shorter.grams[i].sessions) {
			ok(false, "gram %zu differs", i);
			break;
		}
	counts_done(&whole);
	counts_done(&shorter);
}

/* Two grams of one session become one: in two sessions it cannot have been. */
static void check_shorten_sessions(void)
{
	static const uint16_t calls[] = { 1, 8, 9, 2, 8, 9 };
	struct event list[ARRAY_SIZE(calls)];
	struct counts counts;
	const struct gram *gram;

	for (size_t i = 0; i < ARRAY_SIZE(calls); i++)
		list[i] = (struct event){ .tid = 1, .kind = EVENT_CALL, .call = calls[i] };
	counts = learn(3, list, ARRAY_SIZE(list), NULL);
	ok(!counts_shorten(&counts, 2) && !counts_check(&counts), "shortened counts could be learned");
	gram = GRAM(&counts, 8, 9);
	ok(gram && gram->count == 2 && gram->sessions == 1, "no gram has more sessions than there are");
	counts_done(&counts);
}

/* A session that is kept can be learned again. */
static int relearn(void *data, const struct session *session)
{
	return learner_add_session(data, session);
}

static void check_relearn(void)
{
	struct learner *copy = learner_new(16, NULL, NULL), *learner = learner_new(16, relearn, copy);
	struct counts a, b;
	uint64_t seed = 9;

	random_trace(events, N, 100, &seed);
	learner_add(learner, events, N);
	learner_end_trace(learner);
	ok(!learner_counts(learner, &a) && !learner_counts(copy, &b), "counts at length 16");
	memcpy(b.origins, a.origins, sizeof(a.origins));
	memcpy(b.origin_sessions, a.origin_sessions, sizeof(a.origin_sessions));
	b.gaps = a.gaps;
	b.lost = a.lost;
	ok(equal(&a, &b), "sessions learned again give the same grams");
	counts_done(&a);
	counts_done(&b);
	learner_free(learner);
	learner_free(copy);
}

static void check_long(void)
{
	struct learner *learner;
	struct counts counts;
	struct seen seen = { 0 };
	struct event event = { .tid = 7, .kind = EVENT_CALL, .call = 3 };
	int r = 0, sessions = 0;

	learner = learner_new(6, on_session, &seen);
	for (int i = 0; i < SESSION_MAX + 10; i++)
		r = r < 0 ? r : learner_add(learner, &event, 1);
	ok(r == 0 && seen.sessions == 1, "a long session is cut");
	learner_end_trace(learner);
	ok(!learner_counts(learner, &counts) && counts.n_grams == 6 && counts.grams[5].count == SESSION_MAX + 10 - 5 &&
	   counts.grams[5].sessions == 2 && seen.longest == SESSION_MAX && counts.sessions == 2,
	   "but its grams go on over the cut");
	counts_done(&counts);
	learner_free(learner);

	learner = learner_new(6, leave_out_second, &sessions);
	for (int i = 0; i < 2 * SESSION_MAX + 10; i++)
		learner_add(learner, &event, 1);
	learner_end_trace(learner);
	ok(!learner_counts(learner, &counts) && counts.calls == SESSION_MAX + 10 && counts.sessions == 2 &&
	   counts.grams[0].n == 1 && counts.grams[0].count == 2, "behind a part that is left out the past is unknown");
	counts_done(&counts);
	learner_free(learner);

	learner = learner_new(6, stop, NULL);
	ok(learner_add(learner, &event, 1) == 0 && learner_end_trace(learner) == -ECANCELED, "what is told to stop, stops");
	learner_free(learner);
	ok(!learner_new(1, NULL, NULL) && !learner_new(LENGTH_MAX + 1, NULL, NULL), "a length out of range is refused");
}

static int compare_hashes(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

/* Kept sessions are known by their hash: no two of the short ones have the same. */
static void check_hashes(void)
{
	enum { SYMBOLS = 7, LENGTHS = 6, ALL = 137256 }; /* 7 + 7^2 + ... + 7^6 */
	static uint64_t hashes[ALL];
	size_t n = 0, same = 0;

	for (unsigned length = 1, power = SYMBOLS; length <= LENGTHS; length++, power *= SYMBOLS)
		for (unsigned number = 0; number < power; number++) {
			uint16_t symbols[LENGTHS];

			for (unsigned i = 0, rest = number; i < length; i++, rest /= SYMBOLS)
				symbols[i] = (uint16_t)(rest % SYMBOLS);
			hashes[n++] = session_hash(&(struct session){ .symbols = symbols, .n = length });
		}
	qsort(hashes, n, sizeof(*hashes), compare_hashes);
	for (size_t i = 1; i < n; i++)
		same += hashes[i] == hashes[i - 1];
	ok(n == ALL && !same, "short sessions have hashes of their own (%zu do not)", same);
}

int main(void)
{
	check_kinds();
	check_hashes();
	check_order();
	check_grams();
	check_shorten();
	check_shorten_sessions();
	check_relearn();
	check_long();
	return tap_done();
}
