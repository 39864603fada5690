/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Random but reproducible events for tests of trace formats. */
#ifndef IMSAFE_TESTS_RANDOM_EVENTS_H
#define IMSAFE_TESTS_RANDOM_EVENTS_H

#include "core/event.h"

static uint64_t random_next(void)
{
	static uint64_t state = 7;

	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state;
}

/*
 * Any event. all: with all that the compact format carries (times to the microsecond, sites of plain calls); else with
 * what the text format carries. Modules 1 to modules - 1 are named by sites.
 */
static struct event random_event(uint64_t *time, bool all, unsigned modules)
{
	static const uint32_t tids[] = { 1, 909, 910, 4194303, 12345678, UINT32_MAX };
	struct event event = { .tid = tids[random_next() % (sizeof(tids) / sizeof(tids[0]))] };

	if (all) {
		*time += random_next() % 50 ? 1000 * (random_next() % 300) : (random_next() >> random_next() % 64) / 1000 * 1000;
		*time -= *time % 1000;
	} else if (random_next() % 50 == 0) {
		*time += 1000000000ULL * (random_next() % 5);
	}
	event.time = *time;
	event.kind = random_next() % 8 ? EVENT_CALL : (__u8)(random_next() % EVENT_KINDS);
	switch (event.kind) {
	case EVENT_CALL:
		event.call = random_next() % 50 ? (__u16)(random_next() % 512) : (__u16)random_next();
		event.origin = ORIGIN_FILE;
		if (random_next() % 8 == 0)
			event.origin = EVENT_FROM(random_next() % ORIGIN_KINDS, random_next() % ABI_KINDS);
		if ((all || event_is_foreign(event.origin)) && random_next() % 2)
			event.site = SITE(random_next() % modules, random_next() >> (random_next() % 48));
		break;
	case EVENT_GAP:
		event.tid *= random_next() % 2 != 0;
		event.lost = random_next() >> random_next() % 64;
		break;
	case EVENT_FORK:
	case EVENT_EXEC:
		event.parent = (__u32)random_next() % 3000;
		/* fall through */
	case EVENT_ATTACH:
		event.pid = (__u32)random_next() % 3000;
		break;
	default:
		break;
	}
	return event;
}

#endif
