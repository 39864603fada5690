/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "model/sample.h"

#include <string.h>

#include "base/cleanup.h"
#include "model/profile.h"

/* Where the hash is, or would be. */
static size_t find(const struct sample *sample, uint64_t hash)
{
	size_t low = 0, high = sample->n;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (sample->sessions[middle].hash < hash)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static void drop_last(struct sample *sample)
{
	struct sampled *last = &sample->sessions[--sample->n];

	sample->symbols -= last->session.n;
	sample->limit = last->hash;
	free((uint16_t *)last->session.symbols);
}

int sample_add(struct sample *sample, const struct session *session)
{
	uint64_t hash = session_hash(session);
	size_t at = find(sample, hash);
	uint16_t *symbols;

	if (hash >= sample->limit)
		return 0;
	if (at < sample->n && sample->sessions[at].hash == hash) {
		sample->sessions[at].copies++;
		sample->sessions[at].session.time = MIN(sample->sessions[at].session.time, session->time);
		return 0;
	}
	if (!sample->sessions) {
		sample->sessions = malloc((SAMPLE_SESSIONS + 1) * sizeof(*sample->sessions));
		if (!sample->sessions)
			return -ENOMEM;
	}
	symbols = malloc(session->n * sizeof(*symbols));
	if (!symbols)
		return -ENOMEM;
	memcpy(symbols, session->symbols, session->n * sizeof(*symbols));
	memmove(&sample->sessions[at + 1], &sample->sessions[at], (sample->n - at) * sizeof(*sample->sessions));
	sample->sessions[at] = (struct sampled){ .hash = hash, .copies = 1, .session = *session };
	sample->sessions[at].session.symbols = symbols;
	sample->n++;
	sample->symbols += session->n;
	while (sample->n > SAMPLE_SESSIONS || sample->symbols > SAMPLE_SYMBOLS)
		drop_last(sample);
	return 0;
}

void sample_done(struct sample *sample)
{
	for (size_t i = 0; i < sample->n; i++)
		free((uint16_t *)sample->sessions[i].session.symbols);
	free(sample->sessions);
	*sample = (struct sample){ 0 };
}
