/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Contexts form a tree from their newest call to their oldest; a context's parent there is its suffix link. Grams sorted
 * that way put every context's occurrences side by side, so one walk over them sums up the counts of all orders.
 * Then states are placed into the double array.
 */
#include "model/freeze.h"

#include <math.h>
#include <stdbool.h>
#include <string.h>


#define NO_STATE UINT32_MAX

/* One call that follows a context. */
struct arc {
	uint64_t count;
	double p;
	uint32_t next; /* state */
	uint16_t symbol;
};

struct state {
	uint64_t count;
	uint64_t visits;       /* of the count, how often no older call was known: the state is then the one that a thread is in */
	double mean, variance; /* of the next call's surprise, in bits */
	double weight;         /* of a surprise here */
	uint32_t parent;
	uint32_t base;
	uint32_t first_arc;
	uint16_t n_arcs;
	uint16_t symbol; /* the oldest one of the context */
	uint8_t depth;
};

/* Counts of what followed the context that is being summed up at this depth. */
struct level {
	uint64_t count[ALPHABET];
	uint64_t bits[ALPHABET / 64];
};

struct freezer {
	unsigned length;
	enum freeze_cost kind;
	const struct gram *grams;
	uint32_t *order;
	struct level *levels;

	struct state *states;
	uint32_t n_states, allocated_states;
	struct arc *arcs;
	uint32_t n_arcs, allocated_arcs;

	uint32_t *children; /* hash of (parent, symbol) to state + 1 */
	uint32_t children_mask;

	uint64_t *used;     /* bit per cell */
	size_t used_words;
	uint32_t end;       /* first index beyond all used cells */
};

static void freezer_done(struct freezer *f)
{
	free(f->order);
	free(f->levels);
	free(f->states);
	free(f->arcs);
	free(f->children);
	free(f->used);
}

/* Doubles an array of n elements when it is full. */
static int grow(void *array, uint32_t n, uint32_t *allocated, size_t size)
{
	uint32_t more = *allocated ? 2 * *allocated : 1024;
	void *p;

	if (n < *allocated)
		return 0;
	if (more > IMAGE_CELLS_MAX)
		return -EFBIG;
	p = realloc(*(void **)array, more * size);
	if (!p)
		return -ENOMEM;
	*(void **)array = p;
	*allocated = more;
	return 0;
}

static void level_add(struct level *level, unsigned symbol, uint64_t count)
{
	level->count[symbol] += count;
	level->bits[symbol / 64] |= 1ULL << symbol % 64;
}

/* Sums up the grams order[from..to), whose contexts have the state's in common, into the state and those below it. */
static int sum_up(struct freezer *f, uint32_t from, uint32_t to, uint8_t depth, uint32_t parent, uint16_t symbol)
{
	struct level *level = &f->levels[depth];
	uint32_t id = f->n_states;
	int r;

	r = grow(&f->states, id, &f->allocated_states, sizeof(*f->states));
	if (r < 0)
		return r;
	f->n_states++;
	f->states[id] = (struct state){ .parent = parent, .depth = depth, .symbol = symbol };
	for (; from < to && f->grams[f->order[from]].n == depth + 1; from++) {
		const struct gram *gram = &f->grams[f->order[from]];

		level_add(level, gram->symbols[depth], gram->count);
		f->states[id].visits += gram->count;
	}
	while (from < to) {
		const struct gram *gram = &f->grams[f->order[from]];
		uint16_t older = gram->symbols[gram->n - 2 - depth];
		uint32_t end = from + 1;

		while (end < to && f->grams[f->order[end]].symbols[f->grams[f->order[end]].n - 2 - depth] == older)
			end++;
		r = sum_up(f, from, end, depth + 1, id, older);
		if (r < 0)
			return r;
		from = end;
	}

	r = grow(&f->arcs, f->n_arcs, &f->allocated_arcs, sizeof(*f->arcs));
	if (r < 0)
		return r;
	f->states[id].first_arc = f->n_arcs;
	for (unsigned word = 0; word < ALPHABET / 64; word++) {
		for (uint64_t bits = level->bits[word]; bits; bits &= bits - 1) {
			unsigned s = word * 64 + (unsigned)__builtin_ctzll(bits);

			r = grow(&f->arcs, f->n_arcs, &f->allocated_arcs, sizeof(*f->arcs));
			if (r < 0)
				return r;
			f->arcs[f->n_arcs++] = (struct arc){ .symbol = (uint16_t)s, .count = level->count[s] };
			f->states[id].count += level->count[s];
			f->states[id].n_arcs++;
			if (depth)
				level_add(level - 1, s, level->count[s]);
			level->count[s] = 0;
		}
		level->bits[word] = 0;
	}
	return 0;
}

static uint32_t child_hash(uint32_t parent, uint16_t symbol)
{
	return (uint32_t)(((uint64_t)parent << 10 | symbol) * 0x9e3779b97f4a7c15ULL >> 32);
}

/* The state of the parent's context with one more, older symbol; NO_STATE if there is none. */
static uint32_t child(const struct freezer *f, uint32_t parent, uint16_t symbol)
{
	for (uint32_t at = child_hash(parent, symbol) & f->children_mask; f->children[at]; at = (at + 1) & f->children_mask) {
		uint32_t id = f->children[at] - 1;

		if (f->states[id].parent == parent && f->states[id].symbol == symbol)
			return id;
	}
	return NO_STATE;
}

static int index_children(struct freezer *f)
{
	uint32_t size = 16;

	while (size < 2 * f->n_states)
		size *= 2;
	f->children = calloc(size, sizeof(*f->children));
	if (!f->children)
		return -ENOMEM;
	f->children_mask = size - 1;
	for (uint32_t id = 1; id < f->n_states; id++) {
		uint32_t at = child_hash(f->states[id].parent, f->states[id].symbol) & f->children_mask;

		while (f->children[at])
			at = (at + 1) & f->children_mask;
		f->children[at] = id + 1;
	}
	return 0;
}

/*
 * Probabilities, and where each arc leads: to the longest suffix of context and call that is a state. What the parent's
 * arc for the same call says is known already (parents come first), and can be longer by the one symbol more.
 */
static void resolve(struct freezer *f)
{
	for (uint32_t id = 0; id < f->n_states; id++) {
		const struct state *state = &f->states[id], *parent = &f->states[state->parent];
		const struct arc *shorter = &f->arcs[parent->first_arc];
		double n = (double)state->count, t = state->n_arcs;

		for (unsigned i = 0; i < state->n_arcs; i++) {
			struct arc *arc = &f->arcs[state->first_arc + i];
			uint32_t next;

			if (!id) {
				next = child(f, 0, arc->symbol);
				arc->next = next == NO_STATE ? 0 : next;
				arc->p = ((double)arc->count + t / ALPHABET) / (n + t);
				continue;
			}
			while (shorter->symbol != arc->symbol)
				shorter++;
			arc->p = ((double)arc->count + t * shorter->p) / (n + t);
			next = NO_STATE;
			if (f->states[shorter->next].depth == parent->depth + 1)
				next = child(f, shorter->next, state->symbol);
			arc->next = next == NO_STATE ? shorter->next : next;
		}
	}
}

static int used_reserve(struct freezer *f, size_t words)
{
	size_t more = MAX(words, 2 * f->used_words);
	uint64_t *used;

	if (words <= f->used_words)
		return 0;
	used = realloc(f->used, more * sizeof(*used));
	if (!used)
		return -ENOMEM;
	memset(used + f->used_words, 0, (more - f->used_words) * sizeof(*used));
	f->used = used;
	f->used_words = more;
	return 0;
}

/* Which of 64 neighbouring bases, from 64 * word on, the state would fit at. */
static uint64_t fitting_bases(const struct freezer *f, const struct state *state, size_t word)
{
	const struct arc *arcs = &f->arcs[state->first_arc];
	uint64_t fits = ~f->used[word];

	for (unsigned i = 0; i < state->n_arcs && fits; i++) {
		unsigned offset = 1U + arcs[i].symbol;
		const uint64_t *used = &f->used[word + offset / 64];

		fits &= ~(offset % 64 ? used[0] >> offset % 64 | used[1] << (64 - offset % 64) : used[0]);
	}
	return fits;
}

#define WINDOW_WORDS (ALPHABET / 64 + 2) /* that a state's cells can reach into, from the word of its base */
#define PATIENCE     16                  /* words looked at in vain before those of a class are given up */

/* Places a state at the first base that fits, from *from on. */
static int place(struct freezer *f, struct state *state, size_t *from)
{
	size_t word = *from;
	uint64_t fits;

	for (;; word++) {
		int r = used_reserve(f, word + WINDOW_WORDS);

		if (r < 0)
			return r;
		fits = fitting_bases(f, state, word);
		if (fits)
			break;
	}
	if (word - *from > PATIENCE)
		*from = word - PATIENCE / 2;
	state->base = (uint32_t)(word * 64 + (unsigned)__builtin_ctzll(fits));
	if (state->base >= IMAGE_CELLS_MAX - 2 * IMAGE_TAIL)
		return -EFBIG;
	f->used[state->base / 64] |= 1ULL << state->base % 64;
	for (unsigned i = 0; i < state->n_arcs; i++) {
		uint32_t cell = state->base + 1 + f->arcs[state->first_arc + i].symbol;

		f->used[cell / 64] |= 1ULL << cell % 64;
		f->end = MAX(f->end, cell + 1);
	}
	return 0;
}

#define RANKS 128

/* States that threads are in come first, then those that are only backed off to; of each, those met most often. */
static unsigned rank(const struct state *state)
{
	return (unsigned)(state->visits ? __builtin_clzll(state->visits) : 64 + __builtin_clzll(state->count));
}

/* What is used together lies together. Root comes first. */
static int place_all(struct freezer *f)
{
	_cleanup_free_ uint32_t *order = malloc(f->n_states * sizeof(*order));
	size_t from[11] = { 0 }; /* by number of arcs, in powers of two */
	uint32_t start[RANKS + 1] = { 0 };
	int r;

	if (!order)
		return -ENOMEM;
	for (uint32_t id = 1; id < f->n_states; id++)
		start[rank(&f->states[id]) + 1]++;
	for (int i = 1; i <= RANKS; i++)
		start[i] += start[i - 1];
	order[0] = 0;
	for (uint32_t id = 1; id < f->n_states; id++)
		order[1 + start[rank(&f->states[id])]++] = id;
	for (uint32_t i = 0; i < f->n_states; i++) {
		struct state *state = &f->states[order[i]];

		r = place(f, state, &from[state->n_arcs ? 32 - __builtin_clz(state->n_arcs) : 0]);
		if (r < 0)
			return r;
	}
	return 0;
}

/* What a state gives to calls that it has not seen: the share that backs off. */
static double escape(const struct state *state)
{
	double n = (double)state->count, t = state->n_arcs;

	return state->n_arcs ? t / (n + t) : 1;
}

/* What each state's surprises weigh, from how much they vary as the profile itself expects. Parents come first here too. */
static void weigh(struct freezer *f)
{
	double root = 1;

	for (uint32_t id = 0; id < f->n_states; id++) {
		struct state *state = &f->states[id];
		const struct state *parent = &f->states[state->parent];
		double e = escape(state), n = (double)state->count + state->n_arcs;
		double unseen = (id ? parent->mean : ALPHABET_BITS) - log2(e);
		double mean = e * unseen, square = e * (unseen * unseen + (id ? parent->variance : 0));

		for (unsigned i = 0; i < state->n_arcs; i++) {
			const struct arc *arc = &f->arcs[state->first_arc + i];
			double bits = -log2(arc->p), share = (double)arc->count / n;

			mean += share * bits;
			square += share * bits * bits;
		}
		state->mean = mean;
		state->variance = fmax(0, square - mean * mean);
		if (!id)
			root = sqrt(1 + state->variance);
		state->weight = f->kind == FREEZE_WEIGHED ? root / sqrt(1 + state->variance) : 1;
	}
}

/* The cost in the state of something that takes so many bits. */
static uint16_t cost_of(const struct state *state, double bits)
{
	double cost = bits * state->weight * COST_BIT;

	return cost >= COST_LIMIT ? COST_LIMIT : cost <= 0 ? 0 : (uint16_t)lround(cost);
}

/* Of backing off; from the root, of a call that was never seen at all. */
static uint16_t backoff_cost(const struct state *state)
{
	return cost_of(state, -log2(escape(state)) + (state->depth ? 0 : ALPHABET_BITS));
}

static uint32_t saturated(uint64_t count)
{
	return count < UINT32_MAX ? (uint32_t)count : UINT32_MAX;
}

/* True if the whole context is calls. */
static bool is_real(const struct freezer *f, const struct state *state)
{
	for (; state->depth; state = &f->states[state->parent])
		if (state->symbol >= ALPHABET)
			return false;
	return true;
}

static void fill(const struct freezer *f, struct cell *cells)
{
	for (uint32_t id = 0; id < f->n_states; id++) {
		const struct state *state = &f->states[id];
		bool sequence = state->depth == f->length - 1U && is_real(f, state);

		cells[state->base] = (struct cell){
			.owner = state->base,
			.next = f->states[state->parent].base,
			.cost = backoff_cost(state),
			.flags = state->depth,
			.count = saturated(state->count),
		};
		for (unsigned i = 0; i < state->n_arcs; i++) {
			const struct arc *arc = &f->arcs[state->first_arc + i];

			cells[state->base + 1 + arc->symbol] = (struct cell){
				.owner = state->base,
				.next = f->states[arc->next].base,
				.cost = cost_of(state, -log2(arc->p)),
				.flags = sequence ? CELL_SEQUENCE : 0,
				.count = saturated(arc->count),
			};
		}
	}
}

uint16_t freeze_origins(const struct counts *counts)
{
	uint16_t bits = 0;

	for (int i = ORIGIN_ANON; i < ORIGIN_KINDS; i++)
		if (counts->origin_sessions[i] >= 2 && counts->origin_sessions[i] >= counts->sessions - counts->origin_sessions[i])
			bits |= (uint16_t)(1 << i);
	return bits;
}

static int make_image(const struct freezer *f, const struct counts *counts, enum syscall_arch arch,
		      struct image *ret_image)
{
	uint32_t cells = MAX(f->end, 1U) + IMAGE_TAIL, fork = child(f, 0, SYMBOL_FORK), exec = child(f, 0, SYMBOL_EXEC);
	struct image_header *header;
	struct cell *cell;

	header = malloc(sizeof(*header) + cells * sizeof(*cell));
	if (!header)
		return -ENOMEM;
	cell = (struct cell *)(header + 1);
	for (uint32_t i = 0; i < cells; i++)
		cell[i] = (struct cell){ .owner = CELL_FREE };
	fill(f, cell);
	*header = (struct image_header){
		.magic = IMAGE_MAGIC,
		.version = IMAGE_VERSION,
		.cells = cells,
		.states = f->n_states,
		.edges = f->n_arcs,
		.fork = fork == NO_STATE ? IMAGE_ROOT : f->states[fork].base,
		.exec = exec == NO_STATE ? IMAGE_ROOT : f->states[exec].base,
		.length = (uint16_t)f->length,
		.arch = (uint16_t)arch,
		.origins = freeze_origins(counts),
		.calls = counts->calls,
		.checksum = image_checksum(cell, cells),
	};
	*ret_image = (struct image){ header, cell };
	return 0;
}

static int freeze_counts(struct freezer *f, const struct counts *counts, enum syscall_arch arch, struct image *ret_image)
{
	int r;

	f->levels = calloc(f->length, sizeof(*f->levels));
	if (!f->levels)
		return -ENOMEM;
	r = grams_order(counts->grams, counts->n_grams, f->length, GRAMS_BACKWARD, &f->order);
	if (r < 0)
		return r;
	r = sum_up(f, 0, (uint32_t)counts->n_grams, 0, 0, 0);
	if (r < 0)
		return r;
	r = index_children(f);
	if (r < 0)
		return r;
	resolve(f);
	weigh(f);
	r = place_all(f);
	return r < 0 ? r : make_image(f, counts, arch, ret_image);
}

int freeze_as(const struct counts *counts, enum syscall_arch arch, enum freeze_cost kind, struct image *ret_image,
	      struct errmsg *err)
{
	_cleanup_(freezer_done) struct freezer f = { .length = counts->length, .kind = kind, .grams = counts->grams };
	int r;

	if (counts->length < LENGTH_MIN || counts->length > LENGTH_MAX)
		return errmsg_set(err, -EINVAL, NULL, 0, "a sequence length of %u is not between %d and %d", counts->length,
				  LENGTH_MIN, LENGTH_MAX);
	r = freeze_counts(&f, counts, arch, ret_image);
	if (r == -EFBIG)
		return errmsg_set(err, r, NULL, 0, "the profile is too large for an image; a smaller sequence length helps");
	return r < 0 ? errmsg_errno(err, r, NULL, "making the image") : 0;
}

int freeze(const struct counts *counts, enum syscall_arch arch, struct image *ret_image, struct errmsg *err)
{
	return freeze_as(counts, arch, FREEZE_WEIGHED, ret_image, err);
}

void image_free(struct image *image)
{
	free((void *)image->header);
	*image = (struct image){ 0 };
}
