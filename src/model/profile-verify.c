/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Is everything in the file what it should be? */
#include <string.h>

#include "model/freeze.h"
#include "model/profile-internal.h"

/* SQLite's own check of its pages. */
static int verify_pages(struct profile *p, struct errmsg *err)
{
	_cleanup_statement_ sqlite3_stmt *statement = NULL;
	const char *text;
	int r = profile_prepare(p, "PRAGMA integrity_check(1)", &statement, err);

	if (r >= 0)
		r = profile_step(p, statement, err);
	if (r < 0)
		return r;
	text = r ? (const char *)sqlite3_column_text(statement, 0) : NULL;
	if (!text)
		return profile_damaged(p, err, "its pages cannot be checked");
	if (strchr(text, '\n')) /* a heading that names the database comes before the fault */
		text = strchr(text, '\n') + 1;
	return !strcmp(text, "ok") ? 0 : profile_damaged(p, err, text);
}

/* Rows that should not be there. */
static int verify_rows(struct profile *p, struct errmsg *err)
{
	static const struct {
		const char *sql, *fault;
	} rules[] = {
		{ "SELECT 1 FROM profile LIMIT 1 OFFSET 1", "it describes itself more than once" },
		{ "SELECT 1 FROM session_run WHERE run NOT IN (SELECT id FROM run) LIMIT 1", "a session belongs to no learning run" },
		{ "SELECT 1 FROM session_run WHERE hash NOT IN (SELECT hash FROM session) LIMIT 1", "a session has no calls" },
		{ "SELECT 1 FROM session WHERE hash NOT IN (SELECT hash FROM session_run) LIMIT 1", "a session belongs to nothing" },
		{ "SELECT 1 FROM session WHERE hash >= (SELECT sample_limit FROM profile) LIMIT 1",
		  "a session is kept that should not be" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rules); i++) {
		_cleanup_statement_ sqlite3_stmt *statement = NULL;
		int r = profile_prepare(p, rules[i].sql, &statement, err);

		if (r >= 0)
			r = profile_step(p, statement, err);
		if (r)
			return r < 0 ? r : profile_damaged(p, err, rules[i].fault);
	}
	return p->sample_n > SAMPLE_SESSIONS || p->sample_symbols > SAMPLE_SYMBOLS ?
	       profile_damaged(p, err, "more sessions are kept than should be") : 0;
}

static int count_symbols(void *data, const struct session *session, uint64_t copies, int64_t run)
{
	*(int64_t *)data += (int64_t)session->n;
	return 0;
}

int profile_verify(struct profile *p, struct errmsg *err)
{
	_cleanup_(counts_done) struct counts counts = { 0 };
	_cleanup_(sites_done) struct sites sites = { .n = 0 };
	struct image image = { 0 }, checked;
	int64_t symbols = 0;
	int r;

	sites_init(&sites);
	r = verify_pages(p, err);
	if (r >= 0)
		r = profile_count_sample(p, err);
	if (r >= 0)
		r = verify_rows(p, err);
	if (r >= 0)
		r = profile_each_session(p, count_symbols, &symbols, err);
	if (r >= 0 && symbols != p->sample_symbols)
		r = profile_damaged(p, err, "the lengths of its sessions are wrong");
	if (r >= 0)
		r = profile_sites(p, 0, &sites, err);
	if (r >= 0)
		r = profile_counts(p, 0, &counts, err);
	if (r >= 0)
		r = freeze(&counts, p->info.arch, &image, err);
	if (r >= 0)
		r = image_check(image.header, sizeof(*image.header) + image.header->cells * sizeof(*image.cells), p->path,
				&checked, err);
	image_free(&image);
	return r;
}
