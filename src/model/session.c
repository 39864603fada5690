/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "model/session.h"

#include <errno.h>

#include "model/counts.h"

_Static_assert(SESSION_SYMBOLS_MAX == 2 * SESSION_MAX, "every call behind a marker");

static uint64_t mix(uint64_t x)
{
	x ^= x >> 32;
	x *= 0xd6e8feb86659fd93ULL;
	x ^= x >> 32;
	return x;
}

uint64_t session_hash(const struct session *session)
{
	uint64_t hash = mix(session->n + 0x9e3779b97f4a7c15ULL);

	for (size_t i = 0; i < session->n; i += 4) {
		uint64_t word = 0;

		for (size_t k = i; k < i + 4 && k < session->n; k++)
			word = word << 16 | session->symbols[k];
		/* Both went through the same mill: a length of 2 and a word of 1 must not be as a length of 1 and a word of 2. */
		if (!i && word && word <= session->n)
			hash = mix(hash);
		hash = mix(hash ^ mix(word + 0x9e3779b97f4a7c15ULL)) * 0xff51afd7ed558ccdULL;
	}
	return mix(mix(hash)) >> 1;
}

size_t session_calls(const struct session *session)
{
	size_t calls = 0;

	for (size_t i = 0; i < session->n; i++)
		calls += session->symbols[i] < ALPHABET;
	return calls;
}

int session_check(const struct session *session)
{
	size_t calls = session_calls(session);
	int was_marker = 0;

	if (!calls || calls > SESSION_MAX || session->n > SESSION_SYMBOLS_MAX)
		return -EBADMSG;
	for (size_t i = 0; i < session->n; i++) {
		uint16_t symbol = session->symbols[i];
		int marker = symbol >= ALPHABET;

		if ((symbol > SYMBOL_EXEC && symbol != SYMBOL_RESET) || (marker && was_marker))
			return -EBADMSG;
		was_marker = marker;
	}
	return was_marker || session->symbols[0] == SYMBOL_RESET ? -EBADMSG : 0;
}
