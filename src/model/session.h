/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* One session: the symbols of one thread in order, with how it began and where calls were lost. */
#ifndef IMSAFE_MODEL_SESSION_H
#define IMSAFE_MODEL_SESSION_H

#include <stddef.h>
#include <stdint.h>

/* In a session's symbol stream, beside calls and SYMBOL_FORK / SYMBOL_EXEC: the past is unknown from here on. */
#define SYMBOL_RESET 0x0fff

/*
 * A session that does not begin with SYMBOL_FORK or SYMBOL_EXEC has an unknown past. At least one call; never two
 * markers in a row, none at the end.
 */
struct session {
	const uint16_t *symbols;
	size_t n;
	uint64_t time;  /* ns of the first event, 0 = unknown */
	uint32_t tid;
};

/* Longest possible symbol stream: every call behind a marker. */
#define SESSION_SYMBOLS_MAX (2 * 65536)

/* A hash of the content alone (not of tid or time), below 2^63; equal sessions have equal hashes on every machine. */
uint64_t session_hash(const struct session *session);

/* How many of the symbols are calls. */
size_t session_calls(const struct session *session);

/* Whether a session from outside is one that a learner can have made. 0 or -EBADMSG. */
int session_check(const struct session *session);

#endif
