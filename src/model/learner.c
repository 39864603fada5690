/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Calls are first put aside per thread; when a session ends it is walked through a graph whose nodes are contexts and
 * whose edges are grams: one probe of a hash table per call. Only a gram met for the first time has its symbols built.
 */
#include "model/learner.h"

#include <string.h>

#include "trace/thread-table.h"

#define CONTEXT_MAX (LENGTH_MAX - 1)
#define LOST_MAX    ((1ULL << 56) - 1) /* what counts_check() accepts */

struct context {
	uint16_t symbols[CONTEXT_MAX];
	uint16_t n;
};
_Static_assert(sizeof(struct context) == 4 * sizeof(uint64_t), "hashed by words");

enum { CONTEXT_ROOT, CONTEXT_FORK, CONTEXT_EXEC, CONTEXTS_FIXED };

struct edge {
	uint64_t key;   /* context and call; EDGE_FREE */
	uint32_t next;  /* the context after the call */
	uint32_t last;  /* the session that it was last met in, from 1 */
	uint64_t count, sessions;
};
#define EDGE_FREE UINT64_MAX

struct thread {
	uint16_t *symbols;
	uint32_t n, allocated;
	uint32_t calls;
	uint32_t context; /* before the first symbol: not the root in a session that continues one that was cut */
	uint64_t time;
	uint32_t origins[ORIGIN_KINDS];
};

struct learner {
	learner_session_fn *fn;
	void *data;
	struct thread_table *threads;
	int error; /* of a session that ended inside thread_table_each() */

	struct counts counts; /* grams unused */
	uint32_t session;

	struct edge *edges;   /* open addressing, at most half full */
	unsigned edge_bits;
	size_t n_edges;

	struct context *contexts;
	uint32_t n_contexts, allocated;
	uint32_t *context_table; /* index + 1; 0 = free */
	unsigned context_bits;
};

static uint64_t hash(uint64_t key, unsigned bits)
{
	return key * 0x9e3779b97f4a7c15ULL >> (64 - bits);
}

static uint64_t context_hash(const struct context *context, unsigned bits)
{
	uint64_t words[4], h = 0;

	memcpy(words, context, sizeof(words));
	for (int i = 0; i < 4; i++) {
		h = (h ^ words[i]) * 0xd6e8feb86659fd93ULL;
		h ^= h >> 32;
	}
	return hash(h, bits);
}

static int contexts_grow(struct learner *l)
{
	unsigned bits = l->context_bits ? l->context_bits + 1 : 10;
	uint32_t allocated = 1U << (bits - 1), *table;
	struct context *contexts = realloc(l->contexts, allocated * sizeof(*contexts));

	if (!contexts)
		return -ENOMEM;
	l->contexts = contexts;
	table = calloc(1UL << bits, sizeof(*table));
	if (!table)
		return -ENOMEM;
	for (uint32_t i = 0; i < l->n_contexts; i++) {
		uint64_t at = context_hash(&contexts[i], bits);

		while (table[at])
			at = (at + 1) & ((1UL << bits) - 1);
		table[at] = i + 1;
	}
	free(l->context_table);
	l->context_table = table;
	l->context_bits = bits;
	l->allocated = allocated;
	return 0;
}

/* The index of a context, added if new. */
static int context_get(struct learner *l, const struct context *context, uint32_t *ret_index)
{
	uint64_t at;

	if (l->n_contexts == l->allocated) {
		if (l->n_contexts >= 1U << 30 || contexts_grow(l) < 0)
			return -ENOMEM;
	}
	at = context_hash(context, l->context_bits);
	for (; l->context_table[at]; at = (at + 1) & ((1UL << l->context_bits) - 1))
		if (!memcmp(&l->contexts[l->context_table[at] - 1], context, sizeof(*context))) {
			*ret_index = l->context_table[at] - 1;
			return 0;
		}
	l->contexts[l->n_contexts] = *context;
	*ret_index = l->n_contexts++;
	l->context_table[at] = l->n_contexts;
	return 0;
}

static struct edge *edge_place(struct edge *edges, unsigned bits, uint64_t key)
{
	uint64_t at = hash(key, bits);

	while (edges[at].key != key && edges[at].key != EDGE_FREE)
		at = (at + 1) & ((1UL << bits) - 1);
	return &edges[at];
}

static int edges_grow(struct learner *l)
{
	unsigned bits = l->edge_bits ? l->edge_bits + 1 : 11;
	struct edge *edges = malloc(sizeof(*edges) << bits);

	if (!edges)
		return -ENOMEM;
	for (size_t i = 0; i < 1UL << bits; i++)
		edges[i].key = EDGE_FREE;
	for (size_t i = 0; l->edges && i < 1UL << l->edge_bits; i++)
		if (l->edges[i].key != EDGE_FREE)
			*edge_place(edges, bits, l->edges[i].key) = l->edges[i];
	free(l->edges);
	l->edges = edges;
	l->edge_bits = bits;
	return 0;
}

/* A gram met for the first time. */
static int edge_add(struct learner *l, uint64_t key, struct edge **ret_edge)
{
	struct context next = l->contexts[key >> 16];
	struct edge *edge;
	uint32_t index;
	int r;

	if (next.n == l->counts.length - 1) {
		memmove(next.symbols, next.symbols + 1, (CONTEXT_MAX - 1) * sizeof(*next.symbols));
		next.symbols[CONTEXT_MAX - 1] = 0;
		next.n--;
	}
	next.symbols[next.n++] = (uint16_t)key;
	r = context_get(l, &next, &index);
	if (r < 0)
		return r;
	if (l->n_edges >= 1UL << l->edge_bits >> 1) {
		r = edges_grow(l);
		if (r < 0)
			return r;
	}
	edge = edge_place(l->edges, l->edge_bits, key);
	*edge = (struct edge){ .key = key, .next = index };
	l->n_edges++;
	*ret_edge = edge;
	return 0;
}

/* Counts every call of a session; *context is where it begins and then where it ended. */
static int walk(struct learner *l, const uint16_t *symbols, size_t n, uint32_t *context)
{
	uint32_t at = *context, session = l->session;

	for (size_t i = 0; i < n; i++) {
		uint16_t symbol = symbols[i];
		uint64_t key = (uint64_t)at << 16 | symbol;
		struct edge *edge;

		if (symbol >= ALPHABET) {
			at = symbol == SYMBOL_FORK ? CONTEXT_FORK : symbol == SYMBOL_EXEC ? CONTEXT_EXEC : CONTEXT_ROOT;
			continue;
		}
		edge = edge_place(l->edges, l->edge_bits, key);
		if (edge->key == EDGE_FREE) {
			int r = edge_add(l, key, &edge);

			if (r < 0)
				return r;
		}
		edge->count++;
		edge->sessions += edge->last != session;
		edge->last = session;
		at = edge->next;
	}
	*context = at;
	return 0;
}

static int session_begin(struct learner *l)
{
	if (l->session == UINT32_MAX)
		return -EOVERFLOW;
	l->session++;
	return 0;
}

/* The session is over, by exit, end of trace or because it is long; a thread may go on with the next one. */
static int session_end(struct learner *l, struct thread *thread, uint32_t tid)
{
	struct session session = { .symbols = thread->symbols, .time = thread->time, .tid = tid };
	int r;

	if (!thread->calls)
		return 0;
	/* A marker that no call followed says nothing. */
	session.n = thread->n - (thread->symbols[thread->n - 1] >= ALPHABET);
	r = l->fn ? l->fn(l->data, &session) : 0;
	if (r < 0)
		return r;
	if (r == LEARNER_LEAVE_OUT) {
		thread->context = CONTEXT_ROOT;
	} else {
		r = session_begin(l);
		if (r >= 0)
			r = walk(l, session.symbols, session.n, &thread->context);
		if (r < 0)
			return r;
		l->counts.calls += thread->calls;
		l->counts.sessions++;
		for (int i = 0; i < ORIGIN_KINDS; i++) {
			l->counts.origins[i] += thread->origins[i];
			l->counts.origin_sessions[i] += thread->origins[i] > 0;
		}
	}
	memset(thread->origins, 0, sizeof(thread->origins));
	thread->n = thread->calls = 0;
	thread->time = 0;
	return 0;
}

static int thread_end(struct learner *l, struct thread *thread, uint32_t tid)
{
	int r = session_end(l, thread, tid);

	free(thread->symbols);
	thread_table_remove(l->threads, tid);
	return r;
}

static int thread_grow(struct thread *thread)
{
	uint32_t allocated = thread->allocated ? 2 * thread->allocated : 64;
	uint16_t *symbols = realloc(thread->symbols, allocated * sizeof(*symbols));

	if (!symbols)
		return -ENOMEM;
	thread->symbols = symbols;
	thread->allocated = allocated;
	return 0;
}

/* How the next calls begin; of several markers in a row the last one counts. */
static int thread_mark(struct thread *thread, uint16_t marker)
{
	if (thread->n && thread->symbols[thread->n - 1] >= ALPHABET)
		thread->n--;
	if (marker == SYMBOL_RESET && !thread->n) {
		thread->context = CONTEXT_ROOT;
		return 0;
	}
	if (thread->n == thread->allocated && thread_grow(thread) < 0)
		return -ENOMEM;
	thread->symbols[thread->n++] = marker;
	return 0;
}

static void mark_gap(void *data, uint32_t tid, void *record)
{
	struct learner *l = data;

	if (thread_mark(record, SYMBOL_RESET) < 0)
		l->error = -ENOMEM;
}

/* Whatever is no call. */
static int learn_other(struct learner *l, const struct event *event)
{
	struct thread *thread = thread_table_find(l->threads, event->tid);
	int r;

	switch (event->kind) {
	case EVENT_ATTACH:
	case EVENT_FORK:
		/* The id may be that of a thread whose exit was not seen. */
		if (thread) {
			r = thread_end(l, thread, event->tid);
			if (r < 0)
				return r;
		}
		break;
	case EVENT_EXEC:
		if (event->parent && event->parent != event->tid && thread_table_find(l->threads, event->parent)) {
			if (thread) {
				r = thread_end(l, thread, event->tid);
				if (r < 0)
					return r;
			}
			thread_table_rename(l->threads, event->parent, event->tid);
		}
		break;
	case EVENT_EXIT:
		return thread ? thread_end(l, thread, event->tid) : 0;
	case EVENT_GAP:
		l->counts.gaps++;
		l->counts.lost = MIN(l->counts.lost + MIN(event->lost, LOST_MAX), LOST_MAX);
		if (event->tid)
			return thread ? thread_mark(thread, SYMBOL_RESET) : 0;
		thread_table_each(l->threads, mark_gap, l);
		return l->error;
	default:
		return 0;
	}
	thread = thread_table_get(l->threads, event->tid, NULL);
	if (!thread)
		return -ENOMEM;
	if (!thread->time)
		thread->time = event->time;
	return event->kind == EVENT_ATTACH ? 0 : thread_mark(thread, event->kind == EVENT_FORK ? SYMBOL_FORK : SYMBOL_EXEC);
}

int learner_add(struct learner *l, const struct event *events, size_t n)
{
	struct thread *thread = NULL;
	uint32_t tid = 0;
	int r;

	for (size_t i = 0; i < n; i++) {
		const struct event *event = &events[i];
		unsigned origin;

		if (event->kind != EVENT_CALL) {
			thread = NULL;
			r = learn_other(l, event);
			if (r < 0)
				return r;
			continue;
		}
		if (!thread || tid != event->tid) {
			tid = event->tid;
			thread = thread_table_get(l->threads, tid, NULL);
			if (!thread)
				return -ENOMEM;
		}
		if (thread->n == thread->allocated && thread_grow(thread) < 0)
			return -ENOMEM;
		if (!thread->time)
			thread->time = event->time;
		origin = EVENT_ORIGIN(event->origin);
		thread->symbols[thread->n++] = (uint16_t)event_symbol(event->call, event->origin);
		thread->origins[origin < ORIGIN_KINDS ? origin : ORIGIN_UNKNOWN]++;
		if (++thread->calls == SESSION_MAX) {
			r = session_end(l, thread, tid);
			if (r < 0)
				return r;
		}
	}
	return 0;
}

static void end_thread(void *data, uint32_t tid, void *record)
{
	struct learner *l = data;
	int r;

	if (l->error < 0)
		return;
	r = thread_end(l, record, tid);
	if (r < 0)
		l->error = r;
}

int learner_end_trace(struct learner *l)
{
	thread_table_each(l->threads, end_thread, l);
	return l->error;
}

int learner_add_session(struct learner *l, const struct session *session)
{
	uint32_t context = CONTEXT_ROOT;
	size_t calls = session_calls(session);
	int r;

	r = session_begin(l);
	if (r >= 0)
		r = walk(l, session->symbols, session->n, &context);
	if (r < 0)
		return r;
	l->counts.calls += calls;
	l->counts.origins[ORIGIN_UNKNOWN] += calls;
	l->counts.origin_sessions[ORIGIN_UNKNOWN]++;
	l->counts.sessions++;
	return 0;
}

int learner_counts(const struct learner *l, struct counts *ret_counts)
{
	_cleanup_free_ struct gram *grams = calloc(l->n_edges + 1, sizeof(*grams));
	_cleanup_free_ uint32_t *index = NULL;
	struct counts counts = l->counts;
	size_t n = 0;
	int r;

	if (!grams)
		return -ENOMEM;
	for (size_t i = 0; i < 1UL << l->edge_bits; i++) {
		const struct edge *edge = &l->edges[i];
		const struct context *context;
		struct gram *gram = &grams[n];

		if (edge->key == EDGE_FREE)
			continue;
		context = &l->contexts[edge->key >> 16];
		memcpy(gram->symbols, context->symbols, sizeof(context->symbols));
		gram->symbols[context->n] = (uint16_t)edge->key;
		gram->n = context->n + 1;
		gram->count = edge->count;
		gram->sessions = edge->sessions;
		n++;
	}
	r = grams_order(grams, n, counts.length, GRAMS_FORWARD, &index);
	if (r < 0)
		return r;
	counts.grams = malloc((n + 1) * sizeof(*counts.grams));
	if (!counts.grams)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++)
		counts.grams[i] = grams[index[i]];
	counts.n_grams = n;
	*ret_counts = counts;
	return 0;
}

struct learner *learner_new(unsigned length, learner_session_fn *fn, void *data)
{
	_cleanup_(learner_freep) struct learner *l = calloc(1, sizeof(*l));
	static const struct context fixed[CONTEXTS_FIXED] = {
		[CONTEXT_FORK] = { .symbols = { SYMBOL_FORK }, .n = 1 },
		[CONTEXT_EXEC] = { .symbols = { SYMBOL_EXEC }, .n = 1 },
	};

	if (!l || length < LENGTH_MIN || length > LENGTH_MAX)
		return NULL;
	l->fn = fn;
	l->data = data;
	l->counts.length = length;
	l->threads = thread_table_new(sizeof(struct thread));
	if (!l->threads || edges_grow(l) < 0)
		return NULL;
	for (uint32_t i = 0, index; i < CONTEXTS_FIXED; i++)
		if (context_get(l, &fixed[i], &index) < 0)
			return NULL;
	return TAKE_PTR(l);
}

static void free_symbols(void *data, uint32_t tid, void *record)
{
	free(((struct thread *)record)->symbols);
}

struct learner *learner_free(struct learner *l)
{
	if (!l)
		return NULL;
	if (l->threads)
		thread_table_each(l->threads, free_symbols, NULL);
	thread_table_free(l->threads);
	free(l->edges);
	free(l->contexts);
	free(l->context_table);
	free(l);
	return NULL;
}
