/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the files of the profile share. */
#ifndef IMSAFE_MODEL_PROFILE_INTERNAL_H
#define IMSAFE_MODEL_PROFILE_INTERNAL_H

#include <sqlite3.h>

#include "model/profile.h"

#define PROFILE_APPLICATION_ID 0x494d5346 /* "IMSF" */
#define PROFILE_VERSION        1
#define PROFILE_TEXT_MAX       4096
#define PROFILE_BUSY_MS        10000

struct profile {
	sqlite3 *db;
	char *path;
	struct profile_info info;
	char *application, *build_id;
	bool is_new;      /* the schema is not committed yet */
	bool created;     /* there was no file when it was opened */
	bool transaction;
	uint64_t sample_limit;
	int64_t sample_n, sample_symbols; /* kept now; valid in a transaction */
	struct profile_run found;         /* owns the strings of profile_find_run() */
};

/* "The file is damaged: fault". */
int profile_damaged(const struct profile *profile, struct errmsg *err, const char *fault);

/* Prepares a statement; the caller finalizes it (also after errors: it is NULL then). */
int profile_prepare(struct profile *profile, const char *sql, sqlite3_stmt **ret_statement, struct errmsg *err);
int profile_exec(struct profile *profile, const char *sql, struct errmsg *err);

/* 1 a row, 0 no more, negative. Finalizes nothing. */
int profile_step(struct profile *profile, sqlite3_stmt *statement, struct errmsg *err);

static inline void sqlite3_finalizep(sqlite3_stmt **statement)
{
	sqlite3_finalize(*statement);
}
#define _cleanup_statement_ _cleanup_(sqlite3_finalizep)

/* A column that must be a whole number from 0 to max; false if it is not. */
bool column_number(sqlite3_stmt *statement, int column, uint64_t max, uint64_t *ret_value);
/* A column that must be text of at most PROFILE_TEXT_MAX bytes, or NULL. */
bool column_text(sqlite3_stmt *statement, int column, const char **ret_text);

/* The number of kept sessions and their symbols, into the profile. */
int profile_count_sample(struct profile *profile, struct errmsg *err);
/* The tables of call sites, made when the first are learned. */
#define PROFILE_SITE_TABLES 2
extern const char *const profile_site_schema[PROFILE_SITE_TABLES];
int profile_drop_sites(struct profile *profile, int64_t run, struct errmsg *err);
int profile_drop_sessions(struct profile *profile, int64_t run, struct errmsg *err);

#endif
