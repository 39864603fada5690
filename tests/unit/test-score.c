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

int main(void)
{
	struct policy p = { .window = { { 4, 10000 } }, .min_calls = 2, .foreign = 1 };
	struct score s = { 0 };
	struct verdict v;
	struct event e = { .kind = EVENT_GAP };
	unsigned alarms = 0, closed = 0;

	make_image();
	policy_arm(&p, &header, 0);

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

	for (int i = 0; i < 20; i++)
		alarms += !!(call(&s, &p, 3).flags & VERDICT_ALARM);
	ok(alarms == 0 && s.open == SCORE_OPEN_MEAN, "the episode had opened once and stays open");
	for (int i = 0; i < 6; i++) {
		closed += !!(call(&s, &p, 1).flags & VERDICT_CLOSED);
		closed += !!(call(&s, &p, 2).flags & VERDICT_CLOSED);
	}
	ok(closed == 1 && !s.open, "it closes after a whole window above the threshold");

	e.kind = EVENT_CALL;
	e.call = 2;
	e.origin = EVENT_FROM(ORIGIN_STACK, ABI_NATIVE);
	v = score_step(&s, &image, &p, &e);
	ok(v.flags & VERDICT_ALARM_FOREIGN, "a call from the stack alarms at once");
	v = score_step(&s, &image, &p, &e);
	ok(v.flags & VERDICT_FOREIGN && !(v.flags & VERDICT_ALARM_FOREIGN), "but once an episode");
	e.origin = EVENT_FROM(ORIGIN_FILE, ABI_COMPAT);
	v = score_step(&s, &image, &p, &e);
	ok(v.flags & VERDICT_FOREIGN && v.cost == 60000, "a compat number is foreign and not the native call");
	p.origins = 1 << ORIGIN_STACK;
	e.origin = EVENT_FROM(ORIGIN_STACK, ABI_NATIVE);
	v = score_step(&s, &image, &p, &e);
	ok(!(v.flags & VERDICT_FOREIGN), "a learned origin is not foreign");

	e.kind = EVENT_GAP;
	score_step(&s, &image, &p, &e);
	ok(s.calls == 0 && s.node == IMAGE_ROOT, "a gap forgets the past");
	v = call(&s, &p, 1);
	ok(v.flags & VERDICT_TAINTED, "and taints what follows");

	p.reading = READING_SEQUENCES;
	call(&s, &p, 2);
	v = call(&s, &p, 2);
	ok(v.cost == COST_MAX && v.flags & VERDICT_MISMATCHED, "read as sequences, a mismatch costs all");
	call(&s, &p, 1);
	v = call(&s, &p, 2);
	ok(v.cost == 0, "and a match nothing");

	memset(&s, 0, sizeof(s));
	p.window[0].length = MEAN_MAX;
	p.reading = READING_PREDICTOR;
	policy_arm(&p, &header, 0);
	for (int i = 0; i < 3 * MEAN_MAX; i++)
		call(&s, &p, 1);
	ok(score_mean(&s, &p, 0) == 5096, "the longest window subtracts what it added");
	p.generation++;
	call(&s, &p, 1);
	ok(s.calls == 1, "a new image generation forgets the past");
	ok(score_normality(0) == 10000 && score_normality(COST_MAX) == 0, "normality runs from 100 to 0 percent");
	test_short_way();
	return tap_done();
}
