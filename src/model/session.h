/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* One session: the symbols of one thread in order, with how it began and where calls were lost. */
#ifndef IMSAFE_MODEL_SESSION_H
#define IMSAFE_MODEL_SESSION_H

#include <stddef.h>
#include <stdint.h>

/* In a session's symbol stream, beside calls and SYMBOL_FORK / SYMBOL_EXEC: the past is unknown from here on. */
#define SYMBOL_RESET 0x0fff

struct session {
	const uint16_t *symbols;
	size_t n;
	uint64_t time;  /* ns of the first event, 0 = unknown */
	uint32_t tid;
};

/* A hash of the content alone (not of tid or time); equal sessions have equal hashes on every machine. */
uint64_t session_hash(const struct session *session);

#endif
