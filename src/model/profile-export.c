/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <inttypes.h>
#include <string.h>

#include "model/profile-internal.h"
#include "model/profile-text.h"
#include "model/symbol.h"

struct exporting {
	struct profile *profile;
	FILE *out;
	bool sessions;
	struct errmsg *err;
};

static void put_text(FILE *out, const char *key, const char *value)
{
	char text[4 * PROFILE_TEXT_MAX + 1];

	if (value)
		fprintf(out, "%s %s\n", key, escape_text(text, sizeof(text), value));
}

static void put_symbols(const struct exporting *e, const uint16_t *symbols, size_t n)
{
	char word[SYMBOL_WORD_MAX];

	for (size_t i = 0; i < n; i++) {
		putc(' ', e->out);
		fputs(symbol_word(e->profile->info.arch, symbols[i], word, sizeof(word)), e->out);
	}
	putc('\n', e->out);
}

static int put_session(void *data, const struct session *session, uint64_t copies, int64_t run)
{
	struct exporting *e = data;

	fprintf(e->out, "session %" PRIu64 " %" PRIu64, copies, session->time);
	put_symbols(e, session->symbols, session->n);
	return 0;
}

/* Modules are numbered within the run. */
static int put_sites(const struct exporting *e, int64_t run)
{
	char text[4 * PROFILE_TEXT_MAX + 1];
	struct sites sites;
	int r;

	sites_init(&sites);
	r = profile_run_sites(e->profile, run, &sites, e->err);
	for (unsigned i = 1; r >= 0 && i < sites.modules.n; i++) {
		const struct module *module = modules_get(&sites.modules, i);

		fprintf(e->out, "module %s %s\n", *module->build_id ? module->build_id : "-",
			escape_text(text, sizeof(text), module->path));
	}
	for (size_t i = 0; r >= 0 && i < sites.n; i++) {
		const struct site *site = &sites.site[i];
		const char *name = syscall_name(e->profile->info.arch, site->call);

		fprintf(e->out, "site %" PRIu64 " %u 0x%" PRIx64, site->count, site->module, site->offset);
		if (name)
			fprintf(e->out, " %s\n", name);
		else
			fprintf(e->out, " %u\n", site->call);
	}
	sites_done(&sites);
	return r;
}

static int put_run(void *data, const struct profile_run *run)
{
	struct exporting *e = data;
	struct counts counts;
	int r = profile_run_counts(e->profile, run->id, &counts, e->err);

	if (r < 0)
		return r;
	fprintf(e->out, "\nrun\ndate %" PRId64 "\n", run->date);
	put_text(e->out, "source", run->source);
	fprintf(e->out, "source-hash %016" PRIx64 "\n", run->source_hash);
	put_text(e->out, "sensor", run->sensor);
	put_text(e->out, "build-id", run->build_id);
	fprintf(e->out, "calls %" PRIu64 "\nsessions %" PRIu64 "\ngaps %" PRIu64 "\nlost %" PRIu64 "\n", counts.calls,
		counts.sessions, counts.gaps, counts.lost);
	for (int i = 0; i < ORIGIN_KINDS; i++)
		if (counts.origins[i])
			fprintf(e->out, "origin %d %" PRIu64 " %" PRIu64 "\n", i, counts.origins[i], counts.origin_sessions[i]);
	for (size_t i = 0; i < counts.n_grams; i++) {
		fprintf(e->out, "gram %" PRIu64 " %" PRIu64, counts.grams[i].count, counts.grams[i].sessions);
		put_symbols(e, counts.grams[i].symbols, counts.grams[i].n);
	}
	counts_done(&counts);
	r = put_sites(e, run->id);
	if (r < 0)
		return r;
	return e->sessions ? profile_each_copy(e->profile, run->id, put_session, e, e->err) : 0;
}

int profile_export(struct profile *profile, bool sessions, FILE *out, struct errmsg *err)
{
	struct exporting e = { .profile = profile, .out = out, .sessions = sessions, .err = err };

	fprintf(out, "imsafe-profile %d\n", PROFILE_VERSION);
	put_text(out, "application", profile->info.application);
	fprintf(out, "arch %s\nlength %u\n", arch_name(profile->info.arch), profile->info.length);
	if (sessions && profile->sample_limit < INT64_MAX)
		fprintf(out, "sample-limit %016" PRIx64 "\n", profile->sample_limit);
	return profile_each_run(profile, put_run, &e, err);
}
