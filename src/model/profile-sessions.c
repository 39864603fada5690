/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The sample of sessions. Which ones are kept depends on their content alone: in order of hash, as many as fit into the
 * budget. The first one that did not fit is the limit, and stays it: a smaller one met later cannot make room for others
 * behind it. So learning in any order, and merging, keep the same sample.
 */
#include <string.h>

#include "model/pack.h"
#include "model/profile-internal.h"

uint64_t profile_sample_limit(const struct profile *p)
{
	return p->sample_limit;
}

int profile_count_sample(struct profile *p, struct errmsg *err)
{
	_cleanup_statement_ sqlite3_stmt *statement = NULL;
	int r = profile_prepare(p, "SELECT count(*), total(n) FROM session", &statement, err);

	if (r >= 0)
		r = profile_step(p, statement, err);
	if (r < 0)
		return r;
	p->sample_n = sqlite3_column_int64(statement, 0);
	p->sample_symbols = sqlite3_column_int64(statement, 1);
	return 0;
}

/* Runs a statement of one number. */
static int exec_number(struct profile *p, const char *sql, int64_t number, struct errmsg *err)
{
	_cleanup_statement_ sqlite3_stmt *statement = NULL;
	int r = profile_prepare(p, sql, &statement, err);

	if (r < 0)
		return r;
	sqlite3_bind_int64(statement, 1, number);
	return profile_step(p, statement, err);
}

int profile_lower_sample_limit(struct profile *p, uint64_t limit, struct errmsg *err)
{
	int r;

	if (limit >= p->sample_limit)
		return 0;
	p->sample_limit = limit;
	r = exec_number(p, "DELETE FROM session_run WHERE hash >= ?", (int64_t)limit, err);
	if (r >= 0)
		r = exec_number(p, "DELETE FROM session WHERE hash >= ?", (int64_t)limit, err);
	return r < 0 ? r : profile_count_sample(p, err);
}

int profile_drop_sessions(struct profile *p, int64_t run, struct errmsg *err)
{
	int r = exec_number(p, "DELETE FROM session_run WHERE run = ?", run, err);

	if (r >= 0)
		r = profile_exec(p, "DELETE FROM session WHERE hash NOT IN (SELECT hash FROM session_run)", err);
	return r < 0 ? r : profile_count_sample(p, err);
}

/* Over the budget: those with the largest hashes go. */
static int trim(struct profile *p, struct errmsg *err)
{
	while (p->sample_n > SAMPLE_SESSIONS || p->sample_symbols > SAMPLE_SYMBOLS) {
		_cleanup_statement_ sqlite3_stmt *statement = NULL;
		uint64_t limit;
		int r = profile_prepare(p, "SELECT max(hash) FROM session", &statement, err);

		if (r >= 0)
			r = profile_step(p, statement, err);
		if (r < 0)
			return r;
		if (!column_number(statement, 0, INT64_MAX, &limit) || limit >= p->sample_limit)
			return profile_damaged(p, err, "its sessions are not what they should be");
		sqlite3_reset(statement);
		r = profile_lower_sample_limit(p, limit, err);
		if (r < 0)
			return r;
	}
	return 0;
}

static int insert_symbols(struct profile *p, uint64_t hash, const struct session *session, struct errmsg *err)
{
	_cleanup_statement_ sqlite3_stmt *statement = NULL;
	_cleanup_free_ void *data = NULL;
	size_t size;
	int r;

	r = profile_prepare(p, "SELECT 1 FROM session WHERE hash = ?", &statement, err);
	if (r < 0)
		return r;
	sqlite3_bind_int64(statement, 1, (sqlite3_int64)hash);
	r = profile_step(p, statement, err);
	if (r)
		return r < 0 ? r : 0;
	sqlite3_finalize(TAKE_PTR(statement));
	r = pack_session(session, &data, &size);
	if (r < 0)
		return errmsg_errno(err, r, p->path, "packing a session");
	r = profile_prepare(p, "INSERT INTO session VALUES (?, ?, ?)", &statement, err);
	if (r < 0)
		return r;
	sqlite3_bind_int64(statement, 1, (sqlite3_int64)hash);
	sqlite3_bind_int64(statement, 2, (sqlite3_int64)session->n);
	sqlite3_bind_blob64(statement, 3, data, size, SQLITE_STATIC);
	r = profile_step(p, statement, err);
	if (r < 0)
		return r;
	p->sample_n++;
	p->sample_symbols += (int64_t)session->n;
	return 0;
}

int profile_add_session(struct profile *p, int64_t run, const struct session *session, uint64_t copies, struct errmsg *err)
{
	_cleanup_statement_ sqlite3_stmt *statement = NULL;
	uint64_t hash = session_hash(session);
	int r;

	if (!p->transaction || session_check(session) < 0 || !copies || copies > 1ULL << 56)
		return errmsg_set(err, -EINVAL, p->path, 0, "this session does not fit into the profile");
	if (hash >= p->sample_limit)
		return 0;
	r = insert_symbols(p, hash, session, err);
	if (r >= 0)
		r = profile_prepare(p, "INSERT INTO session_run VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET "
				       "copies = copies + excluded.copies, time = min(time, excluded.time)", &statement, err);
	if (r < 0)
		return r;
	sqlite3_bind_int64(statement, 1, (sqlite3_int64)hash);
	sqlite3_bind_int64(statement, 2, run);
	sqlite3_bind_int64(statement, 3, (sqlite3_int64)MIN(session->time, (uint64_t)INT64_MAX));
	sqlite3_bind_int64(statement, 4, (sqlite3_int64)copies);
	r = profile_step(p, statement, err);
	return r < 0 ? r : trim(p, err);
}

static int each(struct profile *p, sqlite3_stmt *statement, profile_session_fn *fn, void *data, struct errmsg *err)
{
	int r;

	while ((r = profile_step(p, statement, err)) > 0) {
		_cleanup_free_ uint16_t *symbols = NULL;
		struct session session = { 0 };
		uint64_t hash, copies, run;

		if (!column_number(statement, 0, INT64_MAX, &hash) || !column_number(statement, 1, INT64_MAX, &run) ||
		    !column_number(statement, 2, INT64_MAX, &session.time) || !column_number(statement, 3, 1ULL << 60, &copies) ||
		    !copies || sqlite3_column_type(statement, 4) != SQLITE_BLOB)
			return profile_damaged(p, err, "a kept session's data cannot be right");
		r = unpack_session(sqlite3_column_blob(statement, 4), (size_t)sqlite3_column_bytes(statement, 4), &symbols,
				   &session.n);
		if (r == -ENOMEM)
			return errmsg_errno(err, r, p->path, "cannot read the kept sessions");
		session.symbols = symbols;
		if (r < 0 || session_hash(&session) != hash)
			return profile_damaged(p, err, "a kept session is wrong");
		r = fn(data, &session, copies, (int64_t)run);
		if (r < 0)
			return r;
	}
	return r;
}

int profile_each_session(struct profile *p, profile_session_fn *fn, void *data, struct errmsg *err)
{
	_cleanup_statement_ sqlite3_stmt *statement = NULL;
	int r;

	if (p->is_new && !p->transaction)
		return 0;
	r = profile_prepare(p, "SELECT s.hash, min(r.run), r.time, sum(r.copies), s.symbols FROM session s "
			       "JOIN session_run r ON r.hash = s.hash GROUP BY s.hash ORDER BY s.hash", &statement, err);
	return r < 0 ? r : each(p, statement, fn, data, err);
}

int profile_each_copy(struct profile *p, int64_t run, profile_session_fn *fn, void *data, struct errmsg *err)
{
	_cleanup_statement_ sqlite3_stmt *statement = NULL;
	int r;

	if (p->is_new && !p->transaction)
		return 0;
	r = profile_prepare(p, "SELECT s.hash, r.run, r.time, r.copies, s.symbols FROM session s JOIN session_run r "
			       "ON r.hash = s.hash WHERE ?1 = 0 OR r.run = ?1 ORDER BY s.hash, r.run", &statement, err);
	if (r < 0)
		return r;
	sqlite3_bind_int64(statement, 1, run);
	return each(p, statement, fn, data, err);
}
