/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Learning runs in a profile: each is a row that never changes, its counts packed into one blob. */
#include <string.h>

#include "model/pack.h"
#include "model/profile-internal.h"

#define COLUMNS "id, date, source, source_hash, sensor, build_id, calls, sessions, gaps, lost"

static int read_run(struct profile *p, sqlite3_stmt *statement, struct profile_run *ret_run, struct errmsg *err)
{
	const uint64_t max = (1ULL << 56) - 1; /* counts_check() */
	struct profile_run run = { 0 };
	uint64_t id, date;

	if (!column_number(statement, 0, INT64_MAX, &id) || !column_number(statement, 1, INT64_MAX, &date) ||
	    !column_text(statement, 2, &run.source) || !run.source || !column_number(statement, 3, INT64_MAX, &run.source_hash) ||
	    !column_text(statement, 4, &run.sensor) || !column_text(statement, 5, &run.build_id) ||
	    !column_number(statement, 6, max, &run.calls) || !column_number(statement, 7, max, &run.sessions) ||
	    !column_number(statement, 8, max, &run.gaps) || !column_number(statement, 9, max, &run.lost))
		return profile_damaged(p, err, "a learning run's data cannot be right");
	run.id = (int64_t)id;
	run.date = (int64_t)date;
	*ret_run = run;
	return 0;
}

static bool is_short(const char *text)
{
	return !text || strlen(text) <= PROFILE_TEXT_MAX;
}

/* What is written here must be what read_run() takes. */
int profile_add_run(struct profile *p, struct profile_run *run, const struct counts *counts, struct errmsg *err)
{
	_cleanup_statement_ sqlite3_stmt *statement = NULL;
	_cleanup_free_ void *data = NULL;
	const char *source = run->source ? run->source : "";
	size_t size;
	int r;

	if (!p->transaction || counts->length != p->info.length || counts_check(counts) < 0 || run->date < 0 ||
	    run->source_hash > INT64_MAX || !is_short(source) || !is_short(run->sensor) || !is_short(run->build_id))
		return errmsg_set(err, -EINVAL, p->path, 0, "this learning run does not fit into the profile");
	r = pack_counts(counts, &data, &size);
	if (r < 0)
		return errmsg_errno(err, r, p->path, "packing the counts");
	r = profile_prepare(p, "INSERT INTO run (date, source, source_hash, sensor, build_id, calls, sessions, gaps, lost, counts) "
			       "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", &statement, err);
	if (r < 0)
		return r;
	sqlite3_bind_int64(statement, 1, run->date);
	sqlite3_bind_text(statement, 2, source, -1, SQLITE_STATIC);
	sqlite3_bind_int64(statement, 3, (sqlite3_int64)run->source_hash);
	sqlite3_bind_text(statement, 4, run->sensor, -1, SQLITE_STATIC);
	sqlite3_bind_text(statement, 5, run->build_id, -1, SQLITE_STATIC);
	sqlite3_bind_int64(statement, 6, (sqlite3_int64)counts->calls);
	sqlite3_bind_int64(statement, 7, (sqlite3_int64)counts->sessions);
	sqlite3_bind_int64(statement, 8, (sqlite3_int64)counts->gaps);
	sqlite3_bind_int64(statement, 9, (sqlite3_int64)counts->lost);
	sqlite3_bind_blob64(statement, 10, data, size, SQLITE_STATIC);
	r = profile_step(p, statement, err);
	if (r < 0)
		return r;
	run->id = sqlite3_last_insert_rowid(p->db);
	run->calls = counts->calls;
	run->sessions = counts->sessions;
	run->gaps = counts->gaps;
	run->lost = counts->lost;
	return 0;
}

int profile_remove_run(struct profile *p, int64_t run, struct errmsg *err)
{
	_cleanup_statement_ sqlite3_stmt *statement = NULL;
	int r;

	if (!p->transaction)
		return errmsg_set(err, -EINVAL, p->path, 0, "the profile is not being changed");
	r = profile_prepare(p, "DELETE FROM run WHERE id = ?", &statement, err);
	if (r < 0)
		return r;
	sqlite3_bind_int64(statement, 1, run);
	r = profile_step(p, statement, err);
	if (r < 0)
		return r;
	if (!sqlite3_changes(p->db))
		return errmsg_set(err, -ENOENT, p->path, 0, "there is no learning run %lld in this profile", (long long)run);
	r = profile_drop_sites(p, run, err);
	return r < 0 ? r : profile_drop_sessions(p, run, err);
}

int profile_each_run(struct profile *p, profile_run_fn *fn, void *data, struct errmsg *err)
{
	_cleanup_statement_ sqlite3_stmt *statement = NULL;
	int r;

	if (p->is_new && !p->transaction)
		return 0;
	r = profile_prepare(p, "SELECT " COLUMNS " FROM run ORDER BY date, source, source_hash, id", &statement, err);
	if (r < 0)
		return r;
	while ((r = profile_step(p, statement, err)) > 0) {
		struct profile_run run;

		r = read_run(p, statement, &run, err);
		if (r >= 0)
			r = fn(data, &run);
		if (r < 0)
			return r;
	}
	return r;
}

static int keep(const char **text, const char *value)
{
	free((char *)*text);
	*text = value ? strdup(value) : NULL;
	return value && !*text ? -ENOMEM : 0;
}

int profile_find_run(struct profile *p, uint64_t source_hash, struct profile_run *ret_run, struct errmsg *err)
{
	_cleanup_statement_ sqlite3_stmt *statement = NULL;
	struct profile_run run, *found = &p->found;
	int r;

	if (!source_hash || (p->is_new && !p->transaction))
		return 0;
	r = profile_prepare(p, "SELECT " COLUMNS " FROM run WHERE source_hash = ? ORDER BY date, id LIMIT 1", &statement, err);
	if (r < 0)
		return r;
	sqlite3_bind_int64(statement, 1, (sqlite3_int64)source_hash);
	r = profile_step(p, statement, err);
	if (r > 0 && (r = read_run(p, statement, &run, err)) >= 0) {
		if (keep(&found->source, run.source) < 0 || keep(&found->sensor, run.sensor) < 0 ||
		    keep(&found->build_id, run.build_id) < 0)
			return errmsg_errno(err, -ENOMEM, p->path, "cannot read it");
		*ret_run = run;
		ret_run->source = found->source;
		ret_run->sensor = found->sensor;
		ret_run->build_id = found->build_id;
		r = 1;
	}
	return r;
}

/*
 * Sums of runs are made like those of a binary counter: only sums of about the same size are added, so that many runs
 * do not cost their number times the size of the whole.
 */
struct summing {
	struct counts part[64];
	unsigned n;
};

static int summing_merge(struct summing *s)
{
	struct counts *top = &s->part[--s->n], *below = top - 1;
	int r = below->calls + top->calls > 1ULL << 60 ? -EBADMSG : counts_add(below, top);

	counts_done(top);
	return r;
}

static int summing_add(struct summing *s, struct counts *counts)
{
	int r = 0;

	while (s->n && r >= 0 && (s->n == ARRAY_SIZE(s->part) || (s->n >= 2 && s->part[s->n - 2].n_grams <=
								   2 * s->part[s->n - 1].n_grams)))
		r = summing_merge(s);
	if (r < 0) {
		counts_done(counts);
		return r;
	}
	s->part[s->n++] = *counts;
	return 0;
}

static void summing_done(struct summing *s)
{
	while (s->n)
		counts_done(&s->part[--s->n]);
}

static int read_counts(struct profile *p, sqlite3_stmt *statement, struct counts *ret_counts, struct errmsg *err)
{
	struct counts counts = { .length = p->info.length };
	struct profile_run run;
	int r = read_run(p, statement, &run, err);

	if (r < 0)
		return r;
	counts.calls = run.calls;
	counts.sessions = run.sessions;
	counts.gaps = run.gaps;
	counts.lost = run.lost;
	if (sqlite3_column_type(statement, 10) != SQLITE_BLOB)
		return profile_damaged(p, err, "a learning run has no counts");
	r = unpack_counts(sqlite3_column_blob(statement, 10), (size_t)sqlite3_column_bytes(statement, 10), &counts);
	if (r == -EBADMSG)
		return profile_damaged(p, err, "the counts of a learning run are wrong");
	if (r < 0)
		return errmsg_errno(err, r, p->path, "cannot read the counts");
	*ret_counts = counts;
	return 0;
}

static int sum_rows(struct profile *p, sqlite3_stmt *statement, struct summing *s, struct errmsg *err)
{
	struct counts counts;
	int r = 0, more;

	while (r >= 0 && (more = profile_step(p, statement, err)) != 0) {
		if (more > 0)
			more = read_counts(p, statement, &counts, err);
		if (more < 0)
			return more;
		r = summing_add(s, &counts);
	}
	while (r >= 0 && s->n > 1)
		r = summing_merge(s);
	if (r == -EBADMSG)
		return profile_damaged(p, err, "its counts are too large");
	return r == -ENOMEM ? errmsg_errno(err, r, p->path, "cannot read the counts") : r;
}

int profile_counts(struct profile *p, int64_t since, struct counts *ret_counts, struct errmsg *err)
{
	_cleanup_(summing_done) struct summing s = { .part[0].length = p->info.length, .n = 1 };
	_cleanup_statement_ sqlite3_stmt *statement = NULL;
	int r = 0;

	if (!p->is_new || p->transaction) {
		r = profile_prepare(p, "SELECT " COLUMNS ", counts FROM run WHERE date >= ?", &statement, err);
		if (r < 0)
			return r;
		sqlite3_bind_int64(statement, 1, since);
		r = sum_rows(p, statement, &s, err);
	}
	if (r < 0)
		return r;
	*ret_counts = s.part[0];
	s.n = 0;
	return 0;
}

int profile_run_counts(struct profile *p, int64_t run, struct counts *ret_counts, struct errmsg *err)
{
	_cleanup_statement_ sqlite3_stmt *statement = NULL;
	int r;

	r = profile_prepare(p, "SELECT " COLUMNS ", counts FROM run WHERE id = ?", &statement, err);
	if (r < 0)
		return r;
	sqlite3_bind_int64(statement, 1, run);
	r = profile_step(p, statement, err);
	if (!r)
		return errmsg_set(err, -ENOENT, p->path, 0, "there is no learning run %lld in this profile", (long long)run);
	return r < 0 ? r : read_counts(p, statement, ret_counts, err);
}

/* Whether the profile has a run already: the same source, or, where that is not known, the same in everything. */
static int has_run(struct profile *p, const struct profile_run *run, const struct counts *counts, struct errmsg *err)
{
	_cleanup_statement_ sqlite3_stmt *statement = NULL;
	_cleanup_free_ void *data = NULL;
	struct profile_run found;
	size_t size;
	int r;

	if (run->source_hash)
		return profile_find_run(p, run->source_hash, &found, err);
	r = pack_counts(counts, &data, &size);
	if (r < 0)
		return errmsg_errno(err, r, p->path, "packing the counts");
	r = profile_prepare(p, "SELECT 1 FROM run WHERE source_hash = 0 AND date = ? AND source = ? AND counts = ?", &statement, err);
	if (r < 0)
		return r;
	sqlite3_bind_int64(statement, 1, run->date);
	sqlite3_bind_text(statement, 2, run->source, -1, SQLITE_STATIC);
	sqlite3_bind_blob64(statement, 3, data, size, SQLITE_STATIC);
	return profile_step(p, statement, err);
}

struct merging {
	struct profile *to, *from;
	struct errmsg *err;
	int64_t run;
	int added;
};

static int merge_session(void *data, const struct session *session, uint64_t copies, int64_t run)
{
	struct merging *m = data;

	return profile_add_session(m->to, m->run, session, copies, m->err);
}

static int merge_sites(struct merging *m, int64_t run)
{
	struct sites sites;
	int r;

	sites_init(&sites);
	r = profile_run_sites(m->from, run, &sites, m->err);
	if (r >= 0)
		r = profile_add_sites(m->to, m->run, &sites, m->err);
	sites_done(&sites);
	return r;
}

static int merge_run(void *data, const struct profile_run *run)
{
	struct merging *m = data;
	struct profile_run copy = *run;
	struct counts counts;
	int r;

	r = profile_run_counts(m->from, run->id, &counts, m->err);
	if (r < 0)
		return r;
	r = has_run(m->to, run, &counts, m->err);
	if (r > 0) {
		counts_done(&counts);
		return 0;
	}
	if (r >= 0)
		r = profile_add_run(m->to, &copy, &counts, m->err);
	counts_done(&counts);
	if (r < 0)
		return r;
	m->run = copy.id;
	m->added++;
	r = merge_sites(m, run->id);
	if (r < 0)
		return r;
	return profile_each_copy(m->from, run->id, merge_session, m, m->err);
}

int profile_merge(struct profile *p, struct profile *from, struct errmsg *err)
{
	struct merging m = { .to = p, .from = from, .err = err };
	int r;

	if (!p->transaction)
		return errmsg_set(err, -EINVAL, p->path, 0, "the profile is not being changed");
	if (p->info.arch != from->info.arch)
		return errmsg_set(err, -EINVAL, from->path, 0, "this profile is for %s, %s is for %s", arch_name(from->info.arch),
				  p->path, arch_name(p->info.arch));
	if (p->info.length != from->info.length)
		return errmsg_set(err, -EINVAL, from->path, 0, "this profile has sequence length %u, %s has %u",
				  from->info.length, p->path, p->info.length);
	r = profile_lower_sample_limit(p, from->sample_limit, err);
	if (r >= 0)
		r = profile_each_run(from, merge_run, &m, err);
	if (r >= 0 && from->info.application && !p->info.application)
		r = profile_set_application(p, from->info.application, err);
	return r < 0 ? r : m.added;
}
