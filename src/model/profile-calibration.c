/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "model/profile-calibration.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "model/profile-internal.h"

#define SCORING 9 /* counted up whenever the same profile would be scored or calibrated differently */

static uint64_t mix(uint64_t hash, uint64_t value)
{
	hash = (hash ^ value) * 0xd6e8feb86659fd93ULL;
	return hash ^ hash >> 32;
}

static uint64_t bits_of(double x)
{
	uint64_t bits;

	memcpy(&bits, &x, sizeof(bits));
	return bits;
}

static int mix_rows(struct profile *p, const char *sql, uint64_t *state, struct errmsg *err)
{
	_cleanup_statement_ sqlite3_stmt *statement = NULL;
	int r = profile_prepare(p, sql, &statement, err);

	if (r < 0)
		return r;
	while ((r = profile_step(p, statement, err)) > 0)
		for (int i = 0; i < sqlite3_column_count(statement); i++)
			*state = mix(*state, (uint64_t)sqlite3_column_int64(statement, i));
	return r;
}

int profile_state(struct profile *p, uint64_t *ret_state, struct errmsg *err)
{
	uint64_t state = mix(SCORING, p->info.length);
	int r = 0;

	if (!p->is_new || p->transaction) {
		r = mix_rows(p, "SELECT hash, run, time, copies FROM session_run ORDER BY hash, run", &state, err);
		if (r >= 0)
			r = mix_rows(p, "SELECT id, sessions FROM run ORDER BY id", &state, err);
	}
	if (r >= 0)
		*ret_state = state >> 1; /* a positive number in SQLite */
	return r;
}

static uint64_t hash_config(const struct calibrate_config *config)
{
	uint64_t hash = mix(mix(config->per_day, bits_of(config->rate)), config->reading);

	for (int w = 0; w < MEAN_WINDOWS; w++)
		hash = mix(hash, config->means[w]);
	return mix(hash, config->min_calls) >> 1;
}

/* Doubles are written as their bits: exact, and the same in every locale. */
static double *const *estimates(struct calibration *c, double *fields[9])
{
	double *all[9] = { &c->expected, &c->low, &c->high, &c->alike, &c->sessions, &c->clusters, &c->effective, &c->needed, NULL };

	memcpy(fields, all, sizeof(all));
	return fields;
}

static bool parse(const char *text, const struct calibrate_config *config, struct calibration *ret_calibration)
{
	struct calibration c = { .policy = { .reading = (__u8)config->reading, .foreign = 1 } };
	unsigned numbers[2 * MEAN_WINDOWS + 2];
	double *fields[9];
	int used = 0;

	for (unsigned i = 0; i < ARRAY_SIZE(numbers); i++) {
		if (sscanf(text, "%u %n", &numbers[i], &used) != 1 || numbers[i] > UINT16_MAX)
			return false;
		text += used;
	}
	for (int w = 0; w < MEAN_WINDOWS; w++) {
		if (numbers[2 * w] > MEAN_MAX)
			return false;
		c.policy.window[w].length = (__u16)numbers[2 * w];
		c.policy.window[w].limit = (__u16)numbers[2 * w + 1];
	}
	c.policy.min_calls = (__u16)numbers[2 * MEAN_WINDOWS];
	c.thin = numbers[2 * MEAN_WINDOWS + 1] != 0;
	for (double *const *field = estimates(&c, fields); *field; field++) {
		uint64_t bits;

		if (sscanf(text, "%" SCNx64 " %n", &bits, &used) != 1)
			return false;
		memcpy(*field, &bits, sizeof(bits));
		if (!isfinite(**field) || **field < 0)
			return false;
		text += used;
	}
	if (!c.policy.window[0].length)
		return false;
	*ret_calibration = c;
	return true;
}

int profile_recall_calibration(struct profile *p, uint64_t state, const struct calibrate_config *config,
			       struct calibration *ret_calibration, struct errmsg *err)
{
	_cleanup_statement_ sqlite3_stmt *statement = NULL;
	const char *text;
	int r;

	if (p->is_new && !p->transaction)
		return 0;
	r = profile_prepare(p, "SELECT value FROM calibration WHERE state = ? AND config = ?", &statement, err);
	if (r < 0)
		return r;
	sqlite3_bind_int64(statement, 1, (sqlite3_int64)state);
	sqlite3_bind_int64(statement, 2, (sqlite3_int64)hash_config(config));
	r = profile_step(p, statement, err);
	if (r <= 0)
		return r;
	/* One that is not understood is as good as none: it is computed anew. */
	return column_text(statement, 0, &text) && text && parse(text, config, ret_calibration);
}

int profile_remember_calibration(struct profile *p, uint64_t state, const struct calibrate_config *config,
				 const struct calibration *calibration, struct errmsg *err)
{
	_cleanup_statement_ sqlite3_stmt *forget = NULL, *remember = NULL;
	struct calibration c = *calibration;
	double *fields[9];
	char text[512];
	size_t n = 0;
	int r;

	for (int w = 0; w < MEAN_WINDOWS; w++)
		n += (size_t)snprintf(text + n, sizeof(text) - n, "%u %u ", c.policy.window[w].length, c.policy.window[w].limit);
	n += (size_t)snprintf(text + n, sizeof(text) - n, "%u %d", c.policy.min_calls, c.thin);
	for (double *const *field = estimates(&c, fields); *field; field++)
		n += (size_t)snprintf(text + n, sizeof(text) - n, " %" PRIx64, bits_of(**field));

	r = profile_prepare(p, "DELETE FROM calibration WHERE state != ?", &forget, err);
	if (r >= 0)
		r = profile_prepare(p, "INSERT OR REPLACE INTO calibration VALUES (?, ?, ?)", &remember, err);
	if (r < 0)
		return r;
	sqlite3_bind_int64(forget, 1, (sqlite3_int64)state);
	sqlite3_bind_int64(remember, 1, (sqlite3_int64)state);
	sqlite3_bind_int64(remember, 2, (sqlite3_int64)hash_config(config));
	sqlite3_bind_text(remember, 3, text, -1, SQLITE_STATIC);
	r = profile_step(p, forget, err);
	return r < 0 ? r : profile_step(p, remember, err);
}

bool profile_in_transaction(const struct profile *p)
{
	return p->transaction;
}
