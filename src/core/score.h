/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The one scoring step: state x image x event -> verdict. Compiled into the library, the BPF program, the fuzzers and
 * the tests from this same source, so that live and replayed scores are equal to the bit.
 *
 * Cost of a call (Witten-Bell back-off, quantised when the image was frozen):
 *   found in the state:  edge.cost
 *   otherwise:           header.cost (back-off) + the cost in the suffix state, and so on to the root; at most COST_LIMIT
 * Normality = 1 - cost / COST_MAX, and 0 for what costs more. The running mean over the latest n = min(calls, length) calls is judged
 * from min_calls on:     sum of costs > limit * n   <=>   mean normality < threshold
 * An episode opens at the first call below; it closes when every window has stayed above for as long as the longest one.
 *
 * Rules for this file: no floats, no signed or 64-bit division per call, indices masked, no padding, no loops without bound.
 */
#ifndef IMSAFE_CORE_SCORE_H
#define IMSAFE_CORE_SCORE_H

#include "event.h"
#include "image.h"

#ifndef SCORE_INLINE
#define SCORE_INLINE static inline
#define SCORE_OUTLINE static __attribute__((noinline, unused))
#endif

#ifdef __clang__
#define SCORE_UNROLL _Pragma("unroll")
#else
#define SCORE_UNROLL _Pragma("GCC unroll 3")
#endif

#define MEAN_MAX     1024 /* longest mean length; a power of two */
#define MEAN_WINDOWS 3    /* mean lengths judged at once */

enum score_reading {
	READING_PREDICTOR, /* cost as above */
	READING_SEQUENCES, /* stide: 0 if the last k calls are a learned sequence, else COST_MAX */
};

/* What to judge by; one per guarded application. From fork on, policy_arm() fills it in. */
struct policy {
	struct {
		__u16 length; /* mean length in calls, 1..MEAN_MAX; 0 = this window and those after it are not used */
		__u16 limit;  /* highest mean cost that is still normal */
	} window[MEAN_WINDOWS];
	__u16 min_calls; /* judge no thread before so many calls since its start or a gap */
	__u8 reading;    /* enum score_reading */
	__u8 foreign;    /* 1 = foreign calls alarm at once */

	__u32 fork, exec; /* states that a new thread and a new program start in */
	__u16 length;     /* sequence length */
	__u16 origins;    /* learned foreign origins: image_header.origins */
	__u32 generation; /* a thread met with another one forgets its past; 0 is as good as any */

	__u32 highest[MEAN_WINDOWS]; /* sum of a full window's costs that is still normal */
	__u32 warm;         /* calls after which every window is full and judged, plus one */
	__u64 reciprocal;   /* just over 2^RECIPROCAL_BITS / the first window's length */
	__u64 reserved;
};
_Static_assert(sizeof(struct policy) == 64, "policy layout is a kernel interface");

/* Sums stay under 2^26 and lengths under 2^11: times a reciprocal of so many bits, no quotient reaches the next whole number. */
#define RECIPROCAL_BITS 37

/* To be called again when the windows or min_calls change. A policy without windows counts calls as for the longest. */
SCORE_INLINE void policy_arm(struct policy *policy, const struct image_header *header, __u32 generation)
{
	__u32 longest = policy->window[0].length ? 1 : MEAN_MAX;

	policy->fork = header->fork;
	policy->exec = header->exec;
	policy->length = header->length;
	policy->origins = header->origins;
	policy->generation = generation;
	for (int i = 0; i < MEAN_WINDOWS && policy->window[i].length; i++) {
		policy->highest[i] = (__u32)policy->window[i].limit * policy->window[i].length;
		if (policy->window[i].length > longest)
			longest = policy->window[i].length;
	}
	policy->warm = (policy->min_calls > longest ? policy->min_calls : longest) + 1;
	policy->reciprocal = 0;
	if (policy->window[0].length)
		policy->reciprocal = (1ULL << RECIPROCAL_BITS) / policy->window[0].length + 1;
}

/* One per thread. All zero = a thread whose past is unknown. */
struct score {
	__u32 node;               /* state of the automaton */
	__u32 calls;              /* scored since start or gap, counted up to policy.warm */
	__u32 clock;              /* counts all calls and wraps; the next one's cost goes to cost[clock], masked */
	__u32 sum[MEAN_WINDOWS];
	__u32 calm[MEAN_WINDOWS]; /* clock since when each window has been above its limit */
	__u32 generation;
	__u32 steady;             /* policy.generation + 1 while score_call() may take the short way, else another number */
	__u16 foreign_calm;       /* calls since the last foreign one */
	__u16 taint;              /* calls until a gap before them no longer taints */
	__u8 open;                /* SCORE_OPEN_... */
	__u8 history;             /* calls in a row without a break, up to the sequence length */
	__u16 reserved[3];        /* to a multiple of 8, as maps have it */
	__u16 cost[MEAN_MAX];
};
_Static_assert(sizeof(struct score) == 56 + 2 * MEAN_MAX, "score layout is a kernel interface");

#define SCORE_OPEN_MEAN    1
#define SCORE_OPEN_FOREIGN 2
#define SCORE_FOREIGN_CALM 64  /* calls without a foreign one that end its episode */
#define SCORE_TAINT        256 /* calls after a gap in which an alarm is tainted by it */

enum verdict_flags {
	VERDICT_SEEN = 1,             /* the call was seen in training in this very context */
	VERDICT_KNOWN = 2,            /* the call was seen in training at all */
	VERDICT_MATCHED = 4,          /* the last k calls are a learned sequence */
	VERDICT_MISMATCHED = 8,       /* they are not (neither: fewer than k calls yet) */
	VERDICT_BELOW = 16,           /* a judged mean is below its threshold */
	VERDICT_FOREIGN = 32,         /* a foreign call that the profile did not learn */
	VERDICT_ALARM = 64,           /* an episode of low normality opened at this call */
	VERDICT_ALARM_FOREIGN = 128,  /* an episode of foreign calls opened at this call */
	VERDICT_CLOSED = 256,         /* the last open episode closed at this call */
	VERDICT_TAINTED = 512,        /* a gap lies close before */
	VERDICT_JUDGED = 1024,        /* the thread has made enough calls for its means to be judged */
};
#define VERDICT_ALARMS (VERDICT_ALARM | VERDICT_ALARM_FOREIGN)

struct verdict {
	__u16 cost;   /* 0..COST_LIMIT */
	__u16 flags;  /* enum verdict_flags */
	__u16 window; /* the first window below its threshold, if VERDICT_BELOW */
	__u16 backoff; /* by how many calls the context had to be shortened to find the call */
};
_Static_assert(sizeof(struct verdict) == 8, "verdict layout is a kernel interface");

#define HISTORY_CALLS 64 /* calls of a thread kept for its alarms; a power of two */

/* One call with all that was known of it when it was scored. */
struct scored_call {
	struct event event;
	struct verdict verdict;
	__u32 node; /* the state before the call: what was expected there */
	__u32 mean; /* after it, in cost units, of the first window; 0 if there is none */
};
_Static_assert(sizeof(struct scored_call) == 40, "scored call layout is a kernel interface");

/*
 * The image as the step sees it. BPF defines SCORE_IMAGE (its handle) and score_cell() over a map, which may return
 * NULL; in user space images are checked when loaded, so that every index the step can form is inside.
 */
#ifndef SCORE_IMAGE
#define SCORE_IMAGE const struct image *
static inline const struct cell *score_cell(const struct image *image, __u32 index)
{
	return &image->cells[index];
}
#endif

/* Forget a thread's past: it was just attached to, or calls of it were lost (lost = 1). An open episode stays open. */
SCORE_INLINE void score_reset(struct score *s, int lost)
{
	s->node = IMAGE_ROOT;
	s->steady = 0;
	s->calls = 0;
	s->history = 0;
	for (int i = 0; i < MEAN_WINDOWS; i++) {
		s->sum[i] = 0;
		s->calm[i] = s->clock;
	}
	if (lost)
		s->taint = SCORE_TAINT;
}

/* A thread begins, at the image's fork state. */
SCORE_INLINE void score_start(struct score *s, __u32 fork)
{
	score_reset(s, 0);
	s->taint = 0;
	s->open = 0;
	s->foreign_calm = 0;
	s->node = fork;
}

/* The thread runs a new program: the context starts anew at the image's exec state, the running means go on. */
SCORE_INLINE void score_exec(struct score *s, __u32 exec)
{
	s->node = exec;
	s->steady = 0;
	s->history = 0;
}

/* A call that was not seen in the state: shorter contexts, down to the root, each at the price of its back-off. */
SCORE_INLINE void score_back_off(__u32 *node, SCORE_IMAGE image, __u32 symbol, struct verdict *v)
{
	__u32 at = *node, next = IMAGE_ROOT, cost = 0;

	for (int i = 1; i <= LENGTH_MAX; i++) {
		const struct cell *cell = score_cell(image, at);

		v->backoff = (__u16)(i - 1);
		cost += cell ? cell->cost : COST_LIMIT;
		if (!cell || at == IMAGE_ROOT)
			break;
		at = cell->next;
		cell = score_cell(image, at + 1 + symbol);
		if (cell && cell->owner == at) {
			cost += cell->cost;
			next = cell->next;
			v->flags = VERDICT_KNOWN;
			v->backoff = (__u16)i;
			break;
		}
	}
	v->cost = cost > COST_LIMIT ? COST_LIMIT : (__u16)cost;
	*node = next;
}

/* Follow one call through the automaton: cost, flags and back-off of the verdict (zero before), and the next state. */
SCORE_INLINE void score_predict(__u32 *node, SCORE_IMAGE image, __u32 symbol, struct verdict *v)
{
	const struct cell *cell = score_cell(image, *node + 1 + symbol);

	if (cell && cell->owner == *node) {
		v->cost = cell->cost;
		v->flags = cell->flags & CELL_SEQUENCE ? VERDICT_SEEN | VERDICT_KNOWN | VERDICT_MATCHED :
							 VERDICT_SEEN | VERDICT_KNOWN;
		*node = cell->next;
		return;
	}
	score_back_off(node, image, symbol, v);
}

/* Episodes of low normality, once a window is below its limit or one is open. below: bit per window. */
SCORE_OUTLINE void score_episode(struct score *s, const struct policy *policy, __u32 below, struct verdict *v)
{
	__u32 closed = 1, longest = 0;

	for (int i = 0; i < MEAN_WINDOWS; i++) {
		if (!policy->window[i].length)
			break;
		if (policy->window[i].length > longest)
			longest = policy->window[i].length;
	}
	for (int i = 0; i < MEAN_WINDOWS; i++) {
		if (!policy->window[i].length)
			break;
		if (below >> i & 1) {
			if (!(v->flags & VERDICT_BELOW))
				v->window = (__u16)i;
			v->flags |= VERDICT_BELOW;
			s->calm[i] = s->clock;
		}
		if (s->clock - s->calm[i] < longest)
			closed = 0;
	}
	if (below && !(s->open & SCORE_OPEN_MEAN)) {
		s->open |= SCORE_OPEN_MEAN;
		v->flags |= VERDICT_ALARM;
	} else if (s->open & SCORE_OPEN_MEAN && closed) {
		s->open &= ~SCORE_OPEN_MEAN;
		v->flags |= s->open ? 0 : VERDICT_CLOSED;
	}
}

/* A call's cost enters the means; a bit for each window that is below its limit. */
SCORE_INLINE __u32 score_means(struct score *s, const struct policy *policy, __u16 cost)
{
	__u32 at = s->clock, below = 0;

	s->calls += s->calls < policy->warm;
	for (int i = 0; i < MEAN_WINDOWS; i++) {
		__u32 length = policy->window[i].length, n = s->calls, sum = s->sum[i] + cost;

		if (!length)
			break;
		if (n > length) {
			sum -= s->cost[(at - length) & (MEAN_MAX - 1)];
			n = length;
		}
		s->sum[i] = sum;
		below |= (__u32)(sum > policy->window[i].limit * n) << i;
	}
	s->cost[at & (MEAN_MAX - 1)] = cost;
	s->clock = at + 1;
	return below;
}

/* The same once all windows are full. */
SCORE_INLINE __u32 score_full_means(struct score *s, const struct policy *policy, __u16 cost)
{
	__u32 at = s->clock, below = 0;

	SCORE_UNROLL
	for (int i = 0; i < MEAN_WINDOWS; i++) {
		__u32 length = policy->window[i].length, sum;

		if (!length)
			break;
		sum = s->sum[i] + cost - s->cost[(at - length) & (MEAN_MAX - 1)];
		s->sum[i] = sum;
		below |= (__u32)(sum > policy->highest[i]) << i;
	}
	s->cost[at & (MEAN_MAX - 1)] = cost;
	s->clock = at + 1;
	return below;
}

SCORE_INLINE void score_foreign(struct score *s, const struct policy *policy, __u8 origin, struct verdict *v)
{
	if (event_is_foreign(origin) && policy->foreign &&
	    (EVENT_ABI(origin) != ABI_NATIVE || !(policy->origins >> EVENT_ORIGIN(origin) & 1))) {
		v->flags |= VERDICT_FOREIGN;
		s->foreign_calm = 0;
		if (!(s->open & SCORE_OPEN_FOREIGN)) {
			s->open |= SCORE_OPEN_FOREIGN;
			v->flags |= VERDICT_ALARM_FOREIGN;
			v->flags &= ~VERDICT_CLOSED; /* an episode of low normality ended here: one goes on */
		}
	} else if (s->open & SCORE_OPEN_FOREIGN && ++s->foreign_calm >= SCORE_FOREIGN_CALM) {
		s->open &= ~SCORE_OPEN_FOREIGN;
		v->flags |= s->open ? 0 : VERDICT_CLOSED;
	}
}

/* One call of a thread of which anything may be true. Says whether the next one may take the short way. */
SCORE_OUTLINE void score_any_call(struct score *s, SCORE_IMAGE image, const struct policy *policy, const struct event *event,
				  struct verdict *v)
{
	__u32 below;

	*v = (struct verdict){ 0 };
	if (s->generation != policy->generation) {
		score_reset(s, 0);
		s->generation = policy->generation;
	}
	score_predict(&s->node, image, event_symbol(event->call, event->origin), v);
	s->history += s->history < policy->length;
	if (!(v->flags & VERDICT_MATCHED) && s->history >= policy->length)
		v->flags |= VERDICT_MISMATCHED;
	if (policy->reading == READING_SEQUENCES)
		v->cost = v->flags & VERDICT_MISMATCHED ? COST_MAX : 0;
	if (s->taint) {
		s->taint--;
		v->flags |= VERDICT_TAINTED;
	}
	below = score_means(s, policy, v->cost);
	if (s->calls >= policy->min_calls)
		v->flags |= VERDICT_JUDGED;
	else
		below = 0;
	if (below | (s->open & SCORE_OPEN_MEAN))
		score_episode(s, policy, below, v);
	score_foreign(s, policy, event->origin, v);
	s->steady = s->calls < policy->warm || s->history < policy->length || s->taint || s->open ||
		    policy->reading != READING_PREDICTOR ? 0 : policy->generation + 1;
}

/* One call of one thread. Nearly all take the short way: seen in training, full windows, no episode, no gap close before. */
SCORE_INLINE struct verdict score_call(struct score *s, SCORE_IMAGE image, const struct policy *policy,
				       const struct event *event)
{
	struct verdict v = { 0 }, any;

	if (s->steady == policy->generation + 1 && !event_is_foreign(event->origin)) {
		const struct cell *cell = score_cell(image, s->node + 1 + event_symbol(event->call, event->origin));

		if (cell && cell->owner == s->node) {
			__u32 below = score_full_means(s, policy, cell->cost);

			v.cost = cell->cost;
			v.flags = VERDICT_SEEN | VERDICT_KNOWN | VERDICT_JUDGED |
				  (cell->flags & CELL_SEQUENCE ? VERDICT_MATCHED : VERDICT_MISMATCHED);
			s->node = cell->next;
			if (!below)
				return v;
			s->steady = 0;
			any = v;
			score_episode(s, policy, below, &any);
			return any;
		}
	}
	score_any_call(s, image, policy, event, &any);
	return any;
}

/* The step: any event of one thread. Verdicts other than a call's are all zero. */
SCORE_INLINE struct verdict score_step(struct score *s, SCORE_IMAGE image, const struct policy *policy,
				       const struct event *event)
{
	struct verdict none = { 0 };

	switch (event->kind) {
	case EVENT_CALL:
		return score_call(s, image, policy, event);
	case EVENT_FORK:
		score_start(s, policy->fork);
		s->generation = policy->generation;
		break;
	case EVENT_EXEC:
		score_exec(s, policy->exec);
		break;
	case EVENT_ATTACH:
		score_reset(s, 0);
		break;
	case EVENT_GAP:
		score_reset(s, 1);
		break;
	default:
		break;
	}
	return none;
}

/* The running mean of window w in cost units; 0 before the first call. Not needed to judge, only to show. */
SCORE_INLINE __u32 score_mean(const struct score *s, const struct policy *policy, __u32 w)
{
	__u32 n = s->calls < policy->window[w].length ? s->calls : policy->window[w].length;

	return n ? s->sum[w] / n : 0;
}

/* Of the first window, without dividing once it is full. */
SCORE_INLINE __u32 score_first_mean(const struct score *s, const struct policy *policy)
{
	if (s->calls < policy->window[0].length)
		return score_mean(s, policy, 0);
	return (__u32)(s->sum[0] * policy->reciprocal >> RECIPROCAL_BITS);
}

/* Normality in hundredths of a percent, rounded down: 10000 = 100 %. */
SCORE_INLINE __u32 score_normality(__u32 cost)
{
	return cost >= COST_MAX ? 0 : (COST_MAX - cost) * 10000U / COST_MAX;
}

#endif
