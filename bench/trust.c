/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What trust rests on, held against data that was not there: false alarms promised and achieved, the share of new behaviour
 * predicted and met, attacks in the training found and sessions accused. For folders of traces in any known format.
 *
 *   bench-trust promise TRAINING NEW        once
 *   bench-trust promise NORMAL              20 random halves; equal sessions are never separated
 *   bench-trust completeness NORMAL...      10 random choices of 10, 20, 50 ... sessions, against 300 others
 *   bench-trust outliers TRAINING ATTACK... up to 5 sessions of each attack folder or file in the training, one attack at a time
 */
#include <dirent.h>
#include <math.h>
#include <string.h>
#include <sys/stat.h>

#include "model/calibrate.h"
#include "model/completeness.h"
#include "model/freeze.h"
#include "model/learner.h"
#include "model/outlier.h"
#include "trace/trace.h"

enum { HALVES = 20, CHOICES = 10, HELD_OUT = 300, SPLICED = 5, LENGTH = 6 };

struct sessions {
	struct session *list;
	uint64_t *hashes;
	size_t n;
};

static void die(const char *what, const struct errmsg *err)
{
	if (err && *err->text)
		errmsg_print(err, stderr, "bench-trust");
	else
		fprintf(stderr, "bench-trust: %s\n", what);
	exit(2);
}

static int keep(void *data, const struct session *session)
{
	struct sessions *s = data;
	uint16_t *symbols = malloc(session->n * sizeof(*symbols));

	s->list = realloc(s->list, (s->n + 1) * sizeof(*s->list));
	s->hashes = realloc(s->hashes, (s->n + 1) * sizeof(*s->hashes));
	if (!symbols || !s->list || !s->hashes)
		die("no memory", NULL);
	memcpy(symbols, session->symbols, session->n * sizeof(*symbols));
	s->hashes[s->n] = session_hash(session);
	s->list[s->n] = *session;
	s->list[s->n++].symbols = symbols;
	return 0;
}

static void load_file(const char *path, struct sessions *sessions)
{
	_cleanup_(trace_reader_closep) struct trace_reader *reader = NULL;
	_cleanup_(learner_freep) struct learner *learner = learner_new(LENGTH, keep, sessions);
	struct event events[1024];
	struct errmsg err = { 0 };
	ssize_t n;

	if (!learner || trace_reader_open(path, TRACE_AUTO, &reader, &err) < 0)
		die("no memory", &err);
	while ((n = trace_reader_read(reader, events, ARRAY_SIZE(events), &err)) > 0)
		if (learner_add(learner, events, (size_t)n) < 0)
			die("no memory", NULL);
	if (n < 0 || learner_end_trace(learner) < 0)
		die("no memory", &err);
}

static void load(const char *path, struct sessions *sessions)
{
	struct dirent **entries;
	struct stat st;
	int n;

	if (stat(path, &st) < 0)
		die("a folder or file is not there", NULL);
	if (!S_ISDIR(st.st_mode)) {
		load_file(path, sessions);
		return;
	}
	n = scandir(path, &entries, NULL, alphasort);
	for (int i = 0; i < n; i++) {
		char name[4096];

		snprintf(name, sizeof(name), "%s/%s", path, entries[i]->d_name);
		if (entries[i]->d_name[0] != '.')
			load(name, sessions);
		free(entries[i]);
	}
	free(entries);
}

static uint64_t mix(uint64_t x)
{
	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ULL;
	x = (x ^ x >> 27) * 0x94d049bb133111ebULL;
	return x ^ x >> 31;
}

/* ---- promise ---- */

static bool alarms(const struct session *session, const struct image *image, const struct policy *policy)
{
	struct score score = { .generation = policy->generation };

	for (size_t i = 0; i < session->n; i++) {
		struct event event = folds_event(session->symbols[i]);

		if (score_step(&score, image, policy, &event).flags & VERDICT_ALARM)
			return true;
	}
	return false;
}

struct promise {
	double stated, high, alike, thin, alarms, sessions, worst, trained;
};

static void promise_once(const struct sessions *train, const struct sessions *fresh, double rate, struct promise *sum)
{
	_cleanup_(folds_freep) struct folds *folds = folds_new(LENGTH);
	struct calibrate_config config = { .rate = rate };
	struct calibration c;
	struct errmsg err = { 0 };
	struct image image;
	double n = 0;

	for (size_t i = 0; i < train->n; i++)
		if (folds_add(folds, &train->list[i], 1, 1) < 0)
			die("no memory", NULL);
	if (folds_prepare(folds) < 0 || calibrate_folds(folds, &config, 0, &c, &err) < 0 ||
	    folds_image(folds, UINT32_MAX, &image, &err) < 0)
		die("no memory", &err);
	policy_arm(&c.policy, image.header, 0);
	for (size_t i = 0; i < fresh->n; i++)
		n += alarms(&fresh->list[i], &image, &c.policy);
	image_free(&image);
	sum->stated += c.expected;
	sum->high += c.high;
	sum->alike += c.alike;
	sum->thin += c.thin;
	sum->alarms += n;
	sum->sessions += (double)fresh->n;
	sum->worst = fmax(sum->worst, n / (double)MAX(fresh->n, (size_t)1));
	sum->trained += (double)train->n;
}

static void promise(int argc, char **argv)
{
	struct sessions train = { 0 }, fresh = { 0 };
	int runs = argc > 1 ? 1 : HALVES;

	load(argv[0], &train);
	if (argc > 1)
		load(argv[1], &fresh);
	for (int percent = 1; percent <= 5; percent += 4) {
		struct promise sum = { 0 };

		for (int run = 0; run < runs; run++) {
			struct sessions half[2] = { 0 };

			for (size_t i = 0; argc == 1 && i < train.n; i++)
				keep(&half[mix(train.hashes[i] + (uint64_t)run) & 1], &train.list[i]);
			if (argc > 1)
				promise_once(&train, &fresh, percent / 100.0, &sum);
			else if (half[0].n && half[1].n)
				promise_once(&half[0], &half[1], percent / 100.0, &sum);
		}
		printf("asked %d %%: stated %.2f %% (up to %.1f), %.2f %% if alike%s, achieved %.2f %% of %.0f new sessions%s; trained on %.0f\n", percent,
		       100 * sum.stated / runs, 100 * sum.high / runs, 100 * sum.alike / runs, sum.thin > 0 ? ", said to be thin" : "",
		       100 * sum.alarms / fmax(sum.sessions, 1), sum.sessions / runs, sum.alarms > 2 * sum.stated / runs * sum.sessions ?
		       " MORE THAN TWICE" : "", sum.trained / runs);
	}
}

/* ---- completeness ---- */

static int compare_grams(const void *a, const void *b)
{
	return gram_compare(a, b);
}

static void learn(struct counts *ret_counts, const struct sessions *s, const size_t *order, size_t n)
{
	struct learner *learner = learner_new(LENGTH, NULL, NULL);

	for (size_t i = 0; i < n; i++)
		if (!learner || learner_add_session(learner, &s->list[order[i]]) < 0)
			die("no memory", NULL);
	if (learner_counts(learner, ret_counts) < 0)
		die("no memory", NULL);
	learner_free(learner);
}

/* Shares of sequences and of calls that are new in the sessions [from, to) of the order. */
static void met(const struct counts *known, const struct sessions *s, const size_t *order, size_t from, size_t to,
		double *ret_sequences, double *ret_calls)
{
	double sequences = 0, calls = 0, new_sequences = 0, new_calls = 0;

	for (size_t i = from; i < to; i++) {
		struct counts counts;

		learn(&counts, s, &order[i], 1);
		for (size_t g = 0; g < counts.n_grams; g++) {
			bool new = !bsearch(&counts.grams[g], known->grams, known->n_grams, sizeof(struct gram), compare_grams);

			sequences++;
			calls += (double)counts.grams[g].count;
			new_sequences += new;
			new_calls += new ? (double)counts.grams[g].count : 0;
		}
		counts_done(&counts);
	}
	*ret_sequences = new_sequences / sequences;
	*ret_calls = new_calls / calls;
}

static void completeness(int argc, char **argv)
{
	static const size_t sizes[] = { 10, 20, 50, 100, 200, 400, 800, 1600 };
	struct sessions s = { 0 };
	size_t *order;

	for (int i = 0; i < argc; i++)
		load(argv[i], &s);
	order = calloc(s.n, sizeof(*order));
	printf("sessions  sequences new: predicted  met  |  calls new: predicted  met  |  after twice as many: forecast  met\n");
	for (unsigned k = 0; order && k < ARRAY_SIZE(sizes) && sizes[k] * 5 / 4 < s.n; k++) {
		double predicted = 0, predicted_calls = 0, sequences = 0, calls = 0, forecast = 0, later = 0, x, y;
		size_t n = sizes[k], from = MAX(n, s.n > HELD_OUT ? s.n - HELD_OUT : 0);
		bool twice = 2 * n < s.n && 2 * n <= MAX(from, 2 * n) && s.n - 2 * n >= 10;

		for (int run = 0; run < CHOICES; run++) {
			struct completeness c;
			struct counts counts;

			for (size_t i = 0; i < s.n; i++)
				order[i] = i;
			for (size_t i = s.n - 1; i > 0; i--) {
				size_t j = mix((uint64_t)run * 1000003 + i) % (i + 1), swap = order[i];

				order[i] = order[j];
				order[j] = swap;
			}
			learn(&counts, &s, order, n);
			if (completeness_of_counts(&counts, &c) < 0)
				die("no memory", NULL);
			met(&counts, &s, order, from, s.n, &x, &y);
			predicted += c.unseen / CHOICES;
			predicted_calls += c.unseen_calls / CHOICES;
			sequences += x / CHOICES;
			calls += y / CHOICES;
			forecast += completeness_after(&c, (double)n) / CHOICES;
			counts_done(&counts);
			completeness_done(&c);
			if (!twice)
				continue;
			learn(&counts, &s, order, 2 * n);
			met(&counts, &s, order, MAX(from, 2 * n), s.n, &x, &y);
			later += x / CHOICES;
			counts_done(&counts);
		}
		printf("%8zu %25.4f %.4f  | %20.5f %.5f  |", n, predicted, sequences, predicted_calls, calls);
		if (twice)
			printf(" %31.4f %.4f", forecast, later);
		putchar('\n');
	}
	free(order);
}

/* ---- outliers ---- */

static void outliers(int argc, char **argv)
{
	double found = 0, spliced = 0, attacks = 0, accused = 0, innocent = 0;
	struct sessions train = { 0 };

	load(argv[0], &train);
	for (int a = 0; a < argc; a++) {
		_cleanup_(folds_freep) struct folds *folds = folds_new(LENGTH);
		struct sessions attack = { 0 };
		struct outliers list;
		struct errmsg err = { 0 };
		double here = 0;

		for (size_t i = 0; i < train.n; i++)
			folds_add(folds, &train.list[i], 1, 1);
		if (a)
			load(argv[a], &attack);
		for (size_t i = 0; i < attack.n && i < SPLICED; i++)
			folds_add(folds, &attack.list[i], 1, 2);
		if (folds_prepare(folds) < 0 || outliers_find(folds, NULL, NULL, &list, &err) < 0)
			die("no memory", &err);
		for (size_t i = 0; i < list.n; i++)
			here += list.list[i].run == 2;
		if (!a) {
			printf("clean training: %zu of %zu different sessions accused\n", list.n, folds->n_sessions);
		} else {
			for (size_t i = 0; i < folds->n_sessions; i++) {
				spliced += folds->sessions[i].run == 2;
				innocent += folds->sessions[i].run == 1;
			}
			found += here;
			attacks += here > 0;
			accused += (double)list.n - here;
		}
		outliers_done(&list);
	}
	if (argc > 1)
		printf("%d attacks spliced in, one at a time: %.0f noticed; %.0f of their %.0f sessions named; %.2f %% of the others accused\n",
		       argc - 1, attacks, found, spliced, 100 * accused / innocent);
}

int main(int argc, char **argv)
{
	if (argc >= 3 && !strcmp(argv[1], "promise") && argc <= 4)
		promise(argc - 2, argv + 2);
	else if (argc >= 3 && !strcmp(argv[1], "completeness"))
		completeness(argc - 2, argv + 2);
	else if (argc >= 3 && !strcmp(argv[1], "outliers"))
		outliers(argc - 2, argv + 2);
	else
		die("usage: bench-trust promise TRAINING [NEW] | completeness NORMAL... | outliers TRAINING ATTACK...", NULL);
	return 0;
}
