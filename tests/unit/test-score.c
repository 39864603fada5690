/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The scoring step against a hand-made image: back-off, means, episodes, foreign calls, gaps. */
#include <stdint.h>
#include <string.h>

#include "core/score.h"
#include "../tap.h"

enum { CELLS = 4096, A = 1200 };

static struct cell cells[CELLS];
static const struct image_header header = { .cells = CELLS, .length = 2, .fork = IMAGE_ROOT, .exec = IMAGE_ROOT };
static const struct image image = { &header, cells };

/* Root knows calls 1 and 2; context (1) is state A and knows call 2 as a sequence. */
static void make_image(void)
{
	for (int i = 0; i < CELLS; i++)
		cells[i].owner = CELL_FREE;
	cells[0] = (struct cell){ .owner = 0, .next = 0, .cost = 60000 };
	cells[1 + 1] = (struct cell){ .owner = 0, .next = A, .cost = 4096 };
	cells[1 + 2] = (struct cell){ .owner = 0, .next = 0, .cost = 8192 };
	cells[A] = (struct cell){ .owner = A, .next = 0, .cost = 1000, .flags = 1 };
	cells[A + 1 + 2] = (struct cell){ .owner = A, .next = 0, .cost = 100, .flags = CELL_SEQUENCE };
}

static struct verdict call(struct score *s, const struct policy *p, __u16 number)
{
	struct event e = { .kind = EVENT_CALL, .call = number, .tid = 1 };

	return score_step(s, &image, p, &e);
}

static unsigned chance(unsigned n)
{
	static uint64_t seed = 88172645463325252ULL;

	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (unsigned)(seed >> 16) % n;
}

/* The short way must be the long way, sooner: the same stream with and without it, under all kinds of policies. */
static void test_short_way(void)
{
	static const __u16 lengths[] = { 1, 3, 8, 32, 100, MEAN_MAX };
	unsigned differ = 0, taken = 0, alarms = 0, closed = 0, wrong = 0;

	for (int round = 0; round < 200; round++) {
		struct policy p = { .min_calls = (__u16)chance(80), .reading = chance(8) == 0, .foreign = chance(4) != 0 };
		struct score a = { 0 }, b = { 0 };

		for (unsigned i = 0; i < chance(MEAN_WINDOWS + 1); i++) {
			p.window[i].length = lengths[chance(6)];
			p.window[i].limit = (__u16)(4000 + chance(10000));
		}
		policy_arm(&p, &header, (__u32)round);
		for (int i = 0; i < 5000; i++) {
			struct event e = { .kind = EVENT_CALL, .call = (__u16)(i & 1 ? 1 : 2), .tid = 1, .origin = ORIGIN_FILE };
			struct verdict v, w;

			if (chance(50) == 0)
				e.call = (__u16)chance(5);
			if (chance(500) == 0)
				e.origin = (__u8)EVENT_FROM(chance(ORIGIN_KINDS), chance(ABI_KINDS));
			if (chance(1000) == 0)
				e.kind = (__u8)(1 + chance(EVENT_KINDS - 1));
			if (chance(3000) == 0)
				p.generation++;
			taken += a.steady == p.generation + 1;
			v = score_step(&a, &image, &p, &e);
			b.steady = 0;
			w = score_step(&b, &image, &p, &e);
			alarms += !!(v.flags & VERDICT_ALARMS);
			closed += !!(v.flags & VERDICT_CLOSED);
			wrong += v.flags & VERDICT_CLOSED ? a.open != 0 : (v.flags & VERDICT_ALARMS) && !a.open;
			b.steady = a.steady;
			differ += memcmp(&v, &w, sizeof(v)) || memcmp(&a, &b, sizeof(a)) ||
				  score_first_mean(&a, &p) != score_mean(&a, &p, 0);
		}
	}
	ok(!differ, "the short way gives the verdicts and states of the long one");
	ok(closed > 1000 && !wrong, "%u times the last open episode closed, and then none was open", closed);
	ok(taken > 100000 && alarms > 1000, "it was taken %u times, and left for %u alarms", taken, alarms);
}

static struct verdict call_from(struct score *s, const struct policy *p, __u16 number, __u8 origin)
{
	struct event e = { .kind = EVENT_CALL, .call = number, .tid = 1, .origin = origin };

	return score_step(s, &image, p, &e);
}

static void other(struct score *s, const struct policy *p, enum event_kind kind)
{
	struct event e = { .kind = (__u8)kind, .tid = 1 };

	score_step(s, &image, p, &e);
}

/* The policy of most tests: one mean over four calls, judged from the second call on. */
static struct policy make_policy(void)
{
	struct policy p = { .window = { { 4, 10000 } }, .min_calls = 2, .foreign = 1 };

	policy_arm(&p, &header, 0);
	return p;
}

static void test_costs(void)
{
	struct policy p = make_policy();
	struct score s = { 0 };
	struct verdict v;

	v = call(&s, &p, 1);
	ok(v.cost == 4096 && s.node == A, "a call known to the root costs its edge and moves on");
	ok(!(v.flags & (VERDICT_MATCHED | VERDICT_MISMATCHED)), "one call is no sequence yet");
	v = call(&s, &p, 2);
	ok(v.cost == 100 && v.flags & VERDICT_MATCHED && v.backoff == 0, "a learned sequence matches in its context");
	call(&s, &p, 1);
	v = call(&s, &p, 1);
	ok(v.cost == 1000 + 4096 && v.backoff == 1 && v.flags & VERDICT_MISMATCHED && v.flags & VERDICT_KNOWN &&
	   !(v.flags & VERDICT_SEEN), "an unseen successor pays the back-off and is a mismatch");
	v = call(&s, &p, 3);
	ok(v.cost == 1000 + 60000 && !(v.flags & VERDICT_KNOWN) && s.node == IMAGE_ROOT, "a call never seen pays the root's back-off too");
	ok(score_mean(&s, &p, 0) == (100 + 4096 + 5096 + 61000) / 4, "the mean runs over its window");
	ok(score_normality(0) == 10000 && score_normality(COST_MAX) == 0, "normality runs from 100 to 0 percent");
}

static void test_sequences(void)
{
	struct policy p = make_policy();
	struct score s = { 0 };

	p.reading = READING_SEQUENCES;
	call(&s, &p, 1);
	ok(call(&s, &p, 2).cost == 0, "read as sequences, a match costs nothing");
	ok(call(&s, &p, 2).cost == COST_MAX, "and a mismatch all");
}

/* Which of a hundred calls, a and b in turn, raised an alarm: the number of the first one, from 1; 0 = none. */
static int alarm_at(__u16 a, __u16 b, __u16 limit, __u16 min_calls)
{
	struct policy p = { .window = { { 4, limit } }, .min_calls = min_calls };
	struct score s = { 0 };

	policy_arm(&p, &header, 0);
	for (int i = 1; i <= 100; i++)
		if (call(&s, &p, i & 1 ? a : b).flags & VERDICT_ALARM)
			return i;
	return 0;
}

static void test_threshold(void)
{
	struct policy p = { .window = { { 2, 10000 }, { 4, 10000 } }, .min_calls = 4 };
	struct score s = { 0 };

	/* A call 3 costs 60000; four calls 1 and 2 in turn cost 4 * 2098, and are scored the short way in time. */
	ok(!alarm_at(3, 3, 60000, 2), "a mean that is at the limit is not below the threshold");
	ok(alarm_at(3, 3, 59999, 2) == 2, "one that is above the limit is");
	ok(alarm_at(3, 3, 59999, 1) == 1 && alarm_at(3, 3, 59999, 30) == 30, "from the call on that makes a thread old enough");
	ok(!alarm_at(1, 2, 2098, 4) && alarm_at(1, 2, 2097, 4) == 4, "nor is one at the limit the short way");
	policy_arm(&p, &header, 0);
	for (int i = 0; i < 3; i++)
		call(&s, &p, 3);
	ok(call(&s, &p, 3).window == 0, "of several means below, the first one is named");
	call(&s, &p, 1);
	ok(call(&s, &p, 2).window == 1, "or the first that still is");
}

/* Ordinary calls, 1 and 2 in turn, up to the one that closes the episode. Returns its number, from 1; 0 = none of them did. */
static int closed_at(struct score *s, const struct policy *p, int calls)
{
	for (int i = 1; i <= calls; i++)
		if (call(s, p, i & 1 ? 1 : 2).flags & VERDICT_CLOSED)
			return i;
	return 0;
}

static void test_episode(void)
{
	struct policy p = make_policy();
	struct score s = { 0 };
	unsigned alarms = 0;

	for (int i = 0; i < 20; i++)
		alarms += !!(call(&s, &p, 3).flags & VERDICT_ALARM);
	ok(alarms == 1 && s.open == SCORE_OPEN_MEAN, "an episode opens once and stays open");
	/* Three more calls until the window holds ordinary ones only, then four above the threshold. */
	ok(closed_at(&s, &p, 100) == 3 + 4 && !s.open, "it closes after as many calls above the threshold as the mean takes in");

	for (int i = 0; i < 4; i++)
		call(&s, &p, 3);
	ok(!closed_at(&s, &p, 6), "one call before that it is open");
	other(&s, &p, EVENT_GAP);
	ok(closed_at(&s, &p, 100) == 4, "after a gap the count begins anew");

	p.window[1].length = 9;
	p.window[1].limit = 60000;
	policy_arm(&p, &header, 1);
	memset(&s, 0, sizeof(s));
	for (int i = 0; i < 20; i++)
		call(&s, &p, 3);
	ok(closed_at(&s, &p, 100) == 3 + 9, "of several means the longest one says how long");
}

static void test_foreign(void)
{
	static const __u8 stack = EVENT_FROM(ORIGIN_STACK, ABI_NATIVE);
	struct policy p = make_policy();
	struct score s = { 0 };
	struct verdict v;
	int calm = 0;

	v = call_from(&s, &p, 2, stack);
	ok(v.flags & VERDICT_ALARM_FOREIGN, "a call from the stack alarms at once");
	v = call_from(&s, &p, 2, stack);
	ok(v.flags & VERDICT_FOREIGN && !(v.flags & VERDICT_ALARM_FOREIGN), "but once an episode");
	do
		calm++;
	while (!(call(&s, &p, calm & 1 ? 1 : 2).flags & VERDICT_CLOSED) && calm < 1000);
	ok(calm == SCORE_FOREIGN_CALM, "which closes after %d calls without one", SCORE_FOREIGN_CALM);
	v = call_from(&s, &p, 2, EVENT_FROM(ORIGIN_FILE, ABI_COMPAT));
	ok(v.flags & VERDICT_ALARM_FOREIGN && v.cost == 60000, "a compat number is foreign and not the native call");
	p.origins = 1 << ORIGIN_STACK;
	ok(!(call_from(&s, &p, 2, stack).flags & VERDICT_FOREIGN), "a learned origin is not foreign");
	ok(call_from(&s, &p, 2, EVENT_FROM(ORIGIN_STACK, ABI_COMPAT)).flags & VERDICT_FOREIGN, "by the native table only");
	p.foreign = 0;
	ok(!(call_from(&s, &p, 2, EVENT_FROM(ORIGIN_HEAP, ABI_NATIVE)).flags & VERDICT_FOREIGN), "none is when it was not asked for");

	p = make_policy();
	memset(&s, 0, sizeof(s));
	for (int i = 0; i < 4; i++)
		call_from(&s, &p, 3, stack);
	ok(s.open == (SCORE_OPEN_MEAN | SCORE_OPEN_FOREIGN) && closed_at(&s, &p, 1000) == SCORE_FOREIGN_CALM && !s.open,
	   "of two episodes the one that closes last is told");
}

static void test_gap(void)
{
	struct policy p = make_policy();
	struct score s = { 0 };
	int tainted = 0;

	call(&s, &p, 1);
	call(&s, &p, 2);
	call(&s, &p, 1);
	other(&s, &p, EVENT_GAP);
	ok(s.calls == 0 && s.node == IMAGE_ROOT, "a gap forgets the past");
	ok(!(call(&s, &p, 2).flags & VERDICT_MISMATCHED), "calls on both sides of it are no sequence");
	for (tainted = 1; call(&s, &p, 1).flags & VERDICT_TAINTED && tainted < 1000;)
		tainted++;
	ok(tainted == SCORE_TAINT, "and taints the next %d calls", SCORE_TAINT);
}

/* A thread begins, is attached to, or runs another program. */
static void test_begin(void)
{
	static const struct image_header begins = { .cells = CELLS, .length = 2, .fork = A, .exec = A };
	struct policy p = make_policy();
	struct score s = { 0 };

	policy_arm(&p, &begins, 0);
	call(&s, &p, 2);
	other(&s, &p, EVENT_EXEC);
	ok(s.node == A && s.calls == 1 && !(call(&s, &p, 1).flags & VERDICT_MISMATCHED),
	   "a new program begins in its state, with the thread's means, and calls on both sides of exec are no sequence");
	other(&s, &p, EVENT_ATTACH);
	ok(s.node == IMAGE_ROOT && !s.calls && !s.taint, "a thread that is attached to has no past, and no gap either");

	call_from(&s, &p, 3, EVENT_FROM(ORIGIN_STACK, ABI_NATIVE));
	for (int i = 0; i < 9; i++)
		call(&s, &p, 3);
	other(&s, &p, EVENT_GAP);
	other(&s, &p, EVENT_FORK);
	ok(s.node == A && !s.calls && !s.taint && !s.open && !s.foreign_calm, "a new thread with an old id begins in its state, with nothing else");
}

static void test_generation(void)
{
	struct policy p = { .window = { { MEAN_MAX, 10000 } }, .min_calls = 2 };
	struct score s = { 0 };

	policy_arm(&p, &header, 0);
	for (int i = 0; i < 3 * MEAN_MAX; i++)
		call(&s, &p, 1);
	ok(score_mean(&s, &p, 0) == 5096, "the longest window subtracts what it added");
	p.generation++;
	call(&s, &p, 1);
	ok(s.calls == 1, "a new image generation forgets the past");
}

int main(void)
{
	make_image();
	test_costs();
	test_sequences();
	test_threshold();
	test_episode();
	test_foreign();
	test_gap();
	test_begin();
	test_generation();
	test_short_way();
	return tap_done();
}
