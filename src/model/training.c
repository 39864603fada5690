/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "model/training.h"

#include <string.h>

#include "model/sample.h"

struct training {
	struct learner *learner;
	struct counts counts;
	struct sample sample;
	struct sites sites;
	const struct modules *modules; /* what call sites refer to; NULL: sites are not learned */
	uint64_t hash, left_out;
	learner_session_fn *fn;
	void *data;
};

static int on_session(void *data, const struct session *session)
{
	struct training *t = data;
	int r = t->fn ? t->fn(t->data, session) : 0;

	if (r == LEARNER_LEAVE_OUT)
		t->left_out++;
	return r ? r : sample_add(&t->sample, session);
}

struct training *training_new(unsigned length, uint64_t sample_limit, learner_session_fn *fn, void *data)
{
	_cleanup_(training_freep) struct training *t = calloc(1, sizeof(*t));

	if (!t)
		return NULL;
	sites_init(&t->sites);
	t->fn = fn;
	t->data = data;
	t->sample.limit = MIN(sample_limit, (uint64_t)INT64_MAX);
	t->learner = learner_new(length, on_session, t);
	return t->learner ? TAKE_PTR(t) : NULL;
}

struct training *training_free(struct training *t)
{
	if (!t)
		return NULL;
	learner_free(t->learner);
	counts_done(&t->counts);
	sample_done(&t->sample);
	sites_done(&t->sites);
	free(t);
	return NULL;
}

/* What makes a recording this one: who called what in which order; not times and places, which not all formats have. */
static uint64_t hash_event(uint64_t hash, const struct event *event)
{
	hash ^= (uint64_t)event->tid << 32 | (uint32_t)event->kind << 16 | (event->kind == EVENT_CALL ? event->call : 0);
	hash = (hash ? hash : 1) * 0xd6e8feb86659fd93ULL; /* at 0 it would stay, however many such events came */
	return hash ^ hash >> 32;
}

void training_set_modules(struct training *t, const struct modules *modules)
{
	t->modules = modules;
}

int training_add(struct training *t, const struct event *events, size_t n)
{
	uint64_t hash = t->hash;

	for (size_t i = 0; i < n; i++)
		hash = hash_event(hash, &events[i]);
	t->hash = hash;
	if (t->modules && sites_add(&t->sites, events, n, t->modules) < 0)
		return -ENOMEM;
	return learner_add(t->learner, events, n);
}

int training_end(struct training *t)
{
	int r = learner_end_trace(t->learner);

	return r < 0 ? r : learner_counts(t->learner, &t->counts);
}

const struct counts *training_counts(const struct training *t)
{
	return &t->counts;
}

uint64_t training_hash(const struct training *t, const char *source)
{
	const char *slash = strrchr(source, '/'), *name = slash ? slash + 1 : source, *dot = strrchr(name, '.');
	size_t n = dot && dot > name ? (size_t)(dot - name) : strlen(name);
	uint64_t hash = t->hash;

	for (size_t i = 0; i < n; i++) {
		hash = (hash ^ (unsigned char)name[i]) * 0xd6e8feb86659fd93ULL;
		hash ^= hash >> 32;
	}
	hash >>= 1; /* a positive number in SQLite */
	return hash ? hash : 1;
}

uint64_t training_left_out(const struct training *t)
{
	return t->left_out;
}

int training_each_kept(const struct training *t, training_kept_fn *fn, void *data)
{
	int r = 0;

	for (size_t i = 0; r >= 0 && i < t->sample.n; i++)
		r = fn(data, t->sample.sessions[i].hash, t->sample.sessions[i].session.tid);
	return r;
}

int training_commit(struct training *t, struct profile *profile, struct profile_run *run, struct errmsg *err)
{
	int r;

	run->source_hash = training_hash(t, run->source);
	r = profile_add_run(profile, run, &t->counts, err);
	/* Which sites only the sessions left out had is not known: better none of this source than theirs. */
	if (r >= 0 && !t->left_out)
		r = profile_add_sites(profile, run->id, &t->sites, err);
	if (r >= 0)
		r = profile_lower_sample_limit(profile, t->sample.limit, err);
	for (size_t i = 0; r >= 0 && i < t->sample.n; i++)
		r = profile_add_session(profile, run->id, &t->sample.sessions[i].session, t->sample.sessions[i].copies, err);
	return r;
}
