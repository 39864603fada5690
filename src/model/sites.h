/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Call sites: from which places in which files an application makes which calls. What OpenBSD's pinsyscalls takes from the
 * linker is learned here. Not thread-safe per object.
 */
#ifndef IMSAFE_MODEL_SITES_H
#define IMSAFE_MODEL_SITES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "core/event.h"
#include "trace/modules.h"

struct site {
	uint32_t module; /* index into sites.modules */
	uint32_t call;
	uint64_t offset; /* of the calling instruction in the file */
	uint64_t count;
};

struct sites {
	struct modules modules;
	struct site *site;   /* site[0 .. n-1], in no order */
	size_t n, allocated;
	uint32_t *table;     /* hash table of indices into site, + 1 */
	size_t size;
	uint32_t *translated; /* the last stream's modules to ours, + 1 */
	unsigned n_translated;
};

void sites_init(struct sites *sites);
void sites_done(struct sites *sites);

/* Learns from events of one stream, whose modules may grow between calls. -ENOMEM. */
int sites_add(struct sites *sites, const struct event *events, size_t n, const struct modules *modules);
/* A new stream follows: its modules are others. */
void sites_next_stream(struct sites *sites);

/* One site, its module by path and build-id ("" if it has none). */
int sites_add_one(struct sites *sites, const char *path, const char *build_id, uint32_t call, uint64_t offset, uint64_t count);

/*
 * Judges calls as the driver does: those from a file's code that are none of the sites get ORIGIN_STRAY. Calls whose place
 * was not recorded stay as they are.
 */
void sites_judge(struct sites *sites, struct event *events, size_t n, const struct modules *modules);

#endif
