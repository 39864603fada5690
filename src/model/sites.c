/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "model/sites.h"

#include <string.h>

void sites_init(struct sites *sites)
{
	*sites = (struct sites){ .site = NULL };
	modules_init(&sites->modules);
}

void sites_done(struct sites *sites)
{
	modules_done(&sites->modules);
	free(sites->site);
	free(sites->table);
	free(sites->translated);
	sites_init(sites);
}

void sites_next_stream(struct sites *sites)
{
	if (sites->n_translated)
		memset(sites->translated, 0, sites->n_translated * sizeof(*sites->translated));
}

static size_t hash(uint32_t module, uint32_t call, uint64_t offset)
{
	uint64_t h = (offset ^ (uint64_t)module << 40 ^ (uint64_t)call << 52) * 0x9e3779b97f4a7c15ULL;

	return (size_t)(h ^ h >> 29);
}

/* Where the site is in the table, or where it would go. */
static size_t find(const struct sites *sites, uint32_t module, uint32_t call, uint64_t offset)
{
	size_t at = hash(module, call, offset) & (sites->size - 1);

	while (sites->table[at]) {
		const struct site *site = &sites->site[sites->table[at] - 1];

		if (site->module == module && site->call == call && site->offset == offset)
			break;
		at = (at + 1) & (sites->size - 1);
	}
	return at;
}

/* Room for one more. */
static int grow(struct sites *sites)
{
	size_t size = MAX(2 * sites->size, (size_t)256);
	uint32_t *table;

	if (sites->n == sites->allocated) {
		size_t allocated = MAX(2 * sites->allocated, (size_t)128);
		struct site *site = realloc(sites->site, allocated * sizeof(*site));

		if (!site)
			return -ENOMEM;
		sites->site = site;
		sites->allocated = allocated;
	}
	if (2 * (sites->n + 1) <= sites->size)
		return 0;
	table = calloc(size, sizeof(*table));
	if (!table)
		return -ENOMEM;
	free(sites->table);
	sites->table = table;
	sites->size = size;
	for (size_t i = 0; i < sites->n; i++)
		table[find(sites, sites->site[i].module, sites->site[i].call, sites->site[i].offset)] = (uint32_t)i + 1;
	return 0;
}

static int count_site(struct sites *sites, uint32_t module, uint32_t call, uint64_t offset, uint64_t count)
{
	size_t at;
	int r = grow(sites);

	if (r < 0)
		return r;
	at = find(sites, module, call, offset);
	if (!sites->table[at]) {
		sites->site[sites->n++] = (struct site){ .module = module, .call = call, .offset = offset };
		sites->table[at] = (uint32_t)sites->n;
	}
	sites->site[sites->table[at] - 1].count += count;
	return 0;
}

/* Our index of a module of the stream; 0: we do not have it. add: make it. */
static int translate(struct sites *sites, uint32_t index, const struct modules *modules, bool add)
{
	const struct module *module = modules_get(modules, index);
	int r = 0;

	if (index >= sites->n_translated) {
		unsigned n = MAX(2 * sites->n_translated, index + 1);
		uint32_t *bigger = realloc(sites->translated, n * sizeof(*bigger));

		if (!bigger)
			return -ENOMEM;
		memset(bigger + sites->n_translated, 0, (n - sites->n_translated) * sizeof(*bigger));
		sites->translated = bigger;
		sites->n_translated = n;
	}
	if (sites->translated[index])
		return (int)sites->translated[index] - 1;
	if (module && add)
		r = modules_add(&sites->modules, module->path, module->build_id, 0, 0);
	else if (module)
		r = (int)modules_find(&sites->modules, module->path, module->build_id, 0, 0);
	if (r == -ENOSPC)
		r = 0;
	if (r >= 0)
		sites->translated[index] = (uint32_t)r + 1;
	return r;
}

static bool has_site(const struct event *event)
{
	return event->kind == EVENT_CALL && event->origin == EVENT_FROM(ORIGIN_FILE, ABI_NATIVE) && SITE_MODULE(event->site);
}

int sites_add(struct sites *sites, const struct event *events, size_t n, const struct modules *modules)
{
	for (size_t i = 0; i < n; i++) {
		int module, r = 0;

		if (!has_site(&events[i]))
			continue;
		module = translate(sites, SITE_MODULE(events[i].site), modules, true);
		if (module > 0)
			r = count_site(sites, (uint32_t)module, events[i].call, SITE_OFFSET(events[i].site), 1);
		if (module < 0 || r < 0)
			return -ENOMEM;
	}
	return 0;
}

int sites_add_one(struct sites *sites, const char *path, const char *build_id, uint32_t call, uint64_t offset, uint64_t count)
{
	int module = modules_add(&sites->modules, path, build_id, 0, 0);

	return module < 0 ? module : count_site(sites, (uint32_t)module, call, offset, count);
}

void sites_judge(struct sites *sites, struct event *events, size_t n, const struct modules *modules)
{
	for (size_t i = 0; i < n; i++) {
		int module;

		if (!has_site(&events[i]))
			continue;
		module = translate(sites, SITE_MODULE(events[i].site), modules, false);
		if (module <= 0 || !sites->size ||
		    !sites->table[find(sites, (uint32_t)module, events[i].call, SITE_OFFSET(events[i].site))])
			events[i].origin = ORIGIN_STRAY;
	}
}
