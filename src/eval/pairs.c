/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "eval/pairs.h"

#include "base/cleanup.h"
#include "core/image.h"

struct pairs {
	unsigned window;
	uint16_t *seen; /* [call][earlier call]: bit per distance, from 1 */
};
_Static_assert(LENGTH_MAX - 1 < 16, "a bit per distance");

struct pairs *pairs_new(unsigned window)
{
	struct pairs *pairs = calloc(1, sizeof(*pairs));

	if (!pairs)
		return NULL;
	pairs->window = window;
	pairs->seen = calloc((size_t)ALPHABET * ALPHABET, sizeof(*pairs->seen));
	return pairs->seen ? pairs : pairs_free(pairs);
}

struct pairs *pairs_free(struct pairs *pairs)
{
	if (pairs)
		free(pairs->seen);
	free(pairs);
	return NULL;
}

/* Where the pair's bit is; NULL beyond a marker or the session's start. */
static uint16_t *pair_at(const struct pairs *pairs, const struct session *session, size_t i, unsigned distance)
{
	if (distance > i || session->symbols[i - distance] >= ALPHABET)
		return NULL;
	return &pairs->seen[session->symbols[i] * ALPHABET + session->symbols[i - distance]];
}

void pairs_add(struct pairs *pairs, const struct session *session)
{
	for (size_t i = 0; i < session->n; i++) {
		if (session->symbols[i] >= ALPHABET)
			continue;
		for (unsigned d = 1; d < pairs->window; d++) {
			uint16_t *seen = pair_at(pairs, session, i, d);

			if (!seen)
				break;
			*seen |= (uint16_t)(1 << d);
		}
	}
}

size_t pairs_costs(const struct pairs *pairs, const struct session *session, uint16_t *costs)
{
	size_t n = 0;

	for (size_t i = 0; i < session->n; i++) {
		unsigned unseen = 0;

		if (session->symbols[i] >= ALPHABET)
			continue;
		for (unsigned d = 1; d < pairs->window; d++) {
			const uint16_t *seen = pair_at(pairs, session, i, d);

			if (!seen)
				break;
			unseen += !(*seen >> d & 1);
		}
		costs[n++] = (uint16_t)(unseen * COST_MAX / (pairs->window - 1));
	}
	return n;
}
