/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Call sites in a profile: rows of their own beside the runs. A profile that never learned any has no tables for them. */
#include <string.h>

#include "model/profile-internal.h"

#define CALLS_MAX ((1ULL << 56) - 1)

/* 1 if the profile can hold sites, 0 if its tables are not there. */
static int has_tables(struct profile *p, struct errmsg *err)
{
	_cleanup_statement_ sqlite3_stmt *statement = NULL;
	int r;

	if (p->is_new && !p->transaction)
		return 0;
	r = profile_prepare(p, "SELECT 1 FROM sqlite_schema WHERE name = 'site'", &statement, err);
	return r < 0 ? r : profile_step(p, statement, err);
}

static int module_id(struct profile *p, const struct module *module, int64_t *ret_id, struct errmsg *err)
{
	_cleanup_statement_ sqlite3_stmt *insert = NULL, *select = NULL;
	int r;

	r = profile_prepare(p, "INSERT OR IGNORE INTO module (path, build_id) VALUES (?, ?)", &insert, err);
	if (r < 0)
		return r;
	sqlite3_bind_text(insert, 1, module->path, -1, SQLITE_STATIC);
	sqlite3_bind_text(insert, 2, module->build_id, -1, SQLITE_STATIC);
	r = profile_step(p, insert, err);
	if (r >= 0)
		r = profile_prepare(p, "SELECT id FROM module WHERE path = ? AND build_id = ?", &select, err);
	if (r < 0)
		return r;
	sqlite3_bind_text(select, 1, module->path, -1, SQLITE_STATIC);
	sqlite3_bind_text(select, 2, module->build_id, -1, SQLITE_STATIC);
	r = profile_step(p, select, err);
	if (r > 0)
		*ret_id = sqlite3_column_int64(select, 0);
	return r < 0 ? r : 0;
}

int profile_add_sites(struct profile *p, int64_t run, const struct sites *sites, struct errmsg *err)
{
	_cleanup_statement_ sqlite3_stmt *statement = NULL;
	_cleanup_free_ int64_t *ids = calloc(sites->modules.n, sizeof(*ids));
	int r;

	if (!ids)
		return errmsg_errno(err, -ENOMEM, p->path, "cannot learn the call sites");
	if (!sites->n)
		return 0;
	r = has_tables(p, err);
	for (size_t i = 0; r == 0 && i < PROFILE_SITE_TABLES; i++)
		r = profile_exec(p, profile_site_schema[i], err);
	if (r >= 0)
		r = profile_prepare(p, "INSERT INTO site (run, module, call, offset, count) VALUES (?, ?, ?, ?, ?)", &statement, err);
	for (size_t i = 0; r >= 0 && i < sites->n; i++) {
		const struct site *site = &sites->site[i];
		const struct module *module = modules_get(&sites->modules, site->module);

		if (!module || strlen(module->path) > PROFILE_TEXT_MAX)
			continue;
		if (!ids[site->module])
			r = module_id(p, module, &ids[site->module], err);
		if (r < 0)
			break;
		sqlite3_reset(statement);
		sqlite3_bind_int64(statement, 1, run);
		sqlite3_bind_int64(statement, 2, ids[site->module]);
		sqlite3_bind_int64(statement, 3, site->call);
		sqlite3_bind_int64(statement, 4, (sqlite3_int64)site->offset);
		sqlite3_bind_int64(statement, 5, (sqlite3_int64)site->count);
		r = profile_step(p, statement, err);
	}
	return r < 0 ? r : 0;
}

static int read_sites(struct profile *p, const char *where, int64_t value, struct sites *sites, struct errmsg *err)
{
	_cleanup_statement_ sqlite3_stmt *statement = NULL;
	char sql[256];
	int r = has_tables(p, err);

	if (r <= 0)
		return r;
	snprintf(sql, sizeof(sql), "SELECT path, module.build_id, call, offset, count FROM site JOIN module ON module = module.id "
		 "JOIN run ON run = run.id WHERE %s ORDER BY path, module.build_id, call, offset", where);
	r = profile_prepare(p, sql, &statement, err);
	if (r < 0)
		return r;
	sqlite3_bind_int64(statement, 1, value);
	while ((r = profile_step(p, statement, err)) > 0) {
		const char *path = NULL, *build_id = NULL;
		uint64_t call, offset, count;

		if (!column_text(statement, 0, &path) || !path || !column_text(statement, 1, &build_id) || !build_id ||
		    strlen(build_id) > 40 || build_id[strspn(build_id, "0123456789abcdef")] || !column_number(statement, 2, CALL_INVALID, &call) ||
		    !column_number(statement, 3, SITE_OFFSET_MAX, &offset) || !column_number(statement, 4, CALLS_MAX, &count))
			return profile_damaged(p, err, "its call sites cannot be");
		r = sites_add_one(sites, path, build_id, (uint32_t)call, offset, count);
		if (r < 0)
			return errmsg_errno(err, r, p->path, "cannot read the call sites");
	}
	return r;
}

int profile_sites(struct profile *p, int64_t since, struct sites *sites, struct errmsg *err)
{
	return read_sites(p, "run.date >= ?", since, sites, err);
}

int profile_run_sites(struct profile *p, int64_t run, struct sites *sites, struct errmsg *err)
{
	return read_sites(p, "run.id = ?", run, sites, err);
}

int profile_drop_sites(struct profile *p, int64_t run, struct errmsg *err)
{
	_cleanup_statement_ sqlite3_stmt *statement = NULL;
	int r = has_tables(p, err);

	if (r <= 0)
		return r;
	r = profile_prepare(p, "DELETE FROM site WHERE run = ?", &statement, err);
	if (r < 0)
		return r;
	sqlite3_bind_int64(statement, 1, run);
	r = profile_step(p, statement, err);
	return r < 0 ? r : profile_exec(p, "DELETE FROM module WHERE id NOT IN (SELECT module FROM site)", err);
}
