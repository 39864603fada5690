/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Detectors' scores, data sets from folders, and how normals are dealt out. */
#include <math.h>
#include <string.h>
#include <sys/stat.h>

#include "eval/split.h"
#include "../tap.h"

static int by_value(const void *a, const void *b)
{
	return *(const uint16_t *)a - *(const uint16_t *)b;
}

static double score(const char *name, const uint16_t *costs, size_t n)
{
	struct detector detector;
	uint16_t scratch[512];

	return detector_parse(name, &detector, NULL) < 0 ? -1 : detector_score(&detector, costs, n, scratch) * COST_MAX;
}

static void test_statistics(void)
{
	uint16_t costs[500], sorted[500];
	uint64_t seed = 3;
	bool right = true;

	for (int round = 0; round < 200; round++) {
		size_t n = 1 + random_below(&seed, 500);
		uint64_t range = 1 + random_below(&seed, round % 2 ? 5 : COST_MAX);
		char name[32];
		int q = 1 + (int)random_below(&seed, 99);

		for (size_t i = 0; i < n; i++)
			costs[i] = sorted[i] = (uint16_t)random_below(&seed, range);
		qsort(sorted, n, sizeof(*sorted), by_value);
		snprintf(name, sizeof(name), "predictor:6:q%d", q);
		right &= lround(score(name, costs, n)) == sorted[(n - 1) * (size_t)q / 100];
	}
	ok(right, "qN is the value that sorting gives");
	memset(costs, 0, sizeof(costs));
	costs[2] = 800;
	costs[18] = 10;
	costs[19] = 40;
	ok(lround(score("predictor:6:max2", costs, 20)) == 25 && lround(score("predictor:6:max1", costs, 20)) == 40,
	   "maxN is the highest running mean, from where a monitor judges");
	ok(lround(score("predictor:6:max100", costs, 20)) == 50, "over fewer calls while there are no more");
	ok(lround(20 * score("sequences", costs, 20)) == 850, "the mean is the default");
	ok(!score("predictor:6:max2", costs, 15) && lround(16 * score("predictor", costs, 4)) == 800,
	   "a few calls are not much evidence");
	costs[2] = 3 * COST_BIT + 1;
	ok(fabs(score("predictor:6:above3", costs, 20) / COST_MAX - 1.0 / 20) < 1e-9, "aboveN is a share of calls");
}

static void test_parse(void)
{
	static const char *const bad[] = { "", "nothing", "predictor:", "predictor:1", "predictor:17", "predictor:6:", "predictor:6:mean1",
					   "predictor:6:max0", "predictor:6:q100", "sequences:6:6", "predictor:6:max1025", "predictor:6:mean:1" };
	struct detector d;
	bool refused = true;

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		refused &= detector_parse(bad[i], &d, NULL) < 0;
	ok(refused, "what is no detector is refused");
	ok(!detector_parse("pairs", &d, NULL) && !strcmp(d.name, "pairs:9:mean"), "defaults are filled in");
	ok(!detector_parse("sequences:10:max32", &d, NULL) && !strcmp(d.name, "sequences:10:max32") && d.length == 10 && d.n == 32,
	   "everything can be said");
}

/* Costs of stide and pairs on a session that learned only 1 2 3 4. */
static void test_models(void)
{
	const uint16_t normal[] = { 1, 2, 3, 4 }, test[] = { 1, 2, 9, 4 };
	const struct session learned = { .symbols = normal, .n = 4 }, session = { .symbols = test, .n = 4 };
	const struct session *sessions[] = { &learned };
	struct detector detector;
	uint16_t costs[4];

	for (int i = 0; i < 2; i++) {
		_cleanup_(fit_freep) struct fit *fit = NULL;

		detector_parse(i ? "pairs:3" : "sequences:2", &detector, NULL);
		if (fit_new(&detector, sessions, 1, &fit, NULL) < 0) {
			ok(false, "fitted");
			continue;
		}
		fit_costs(fit, &learned, costs);
		ok(!costs[0] && !costs[1] && !costs[2] && !costs[3], "%s: what was learned costs nothing", detector.name);
		fit_costs(fit, &session, costs);
		if (i)
			ok(!costs[1] && costs[2] == COST_MAX && costs[3] == COST_MAX / 2,
			   "pairs: before 9 nothing was ever seen, before 4 one call of two");
		else
			ok(!costs[1] && costs[2] == COST_MAX && costs[3] == COST_MAX, "sequences: 2 9 and 9 4 are new");
	}
}

static bool write_file(const char *folder, const char *name, const char *text)
{
	_cleanup_free_ char *path = NULL;
	_cleanup_fclose_ FILE *file = NULL;

	if (asprintf(&path, "%s/%s", folder, name) < 0)
		return false;
	for (char *c = path + strlen(folder) + 1; *c; c++)
		if (*c == '/') {
			*c = 0;
			mkdir(path, 0755);
			*c = '/';
		}
	file = fopen(path, "w");
	return file && fputs(text, file) >= 0;
}

/* The number of folds whose units are all of one content; identical ones must never be apart. */
static bool together(const struct dataset *set, const struct split *split)
{
	size_t n = set->roles[ROLE_TRAINING] + set->roles[ROLE_NORMAL];

	for (size_t i = 0; i < n; i++)
		for (size_t j = 0; j < i; j++)
			if (set->processes[i].hash == set->processes[j].hash && split->fold[i] != split->fold[j])
				return false;
	return true;
}

static void test_dataset(void)
{
	char folder[] = "/tmp/imsafe-test.XXXXXX";
	_cleanup_(dataset_freep) struct dataset *set = NULL;
	_cleanup_free_ char *command = NULL;
	struct errmsg err = { 0 };
	char name[32], text[128];
	bool good = true;

	if (!ok(mkdtemp(folder) != NULL, "a folder"))
		return;
	for (int i = 0; i < 12; i++) {
		snprintf(name, sizeof(name), "normal/%d.int", i);
		snprintf(text, sizeof(text), "%d 1\n%d 2\n%d %d\n%d 7\n%d 8\n", i + 1, i + 1, i + 1, i / 2, i + 100, i + 100);
		good &= write_file(folder, name, text);
	}
	good &= write_file(folder, "intrusion/break-in-1.int", "1 1\n1 2\n2 9\n") && write_file(folder, "intrusion/break-in-2.int", "5 9\n");
	ok(good && dataset_is(folder), "normal/ and intrusion/ are a data set");
	if (ok(!dataset_load(folder, "test", NULL, NULL, &set, &err), "it loads %s", err.text)) {
		struct split split, again, other;

		ok(!set->has_training && set->roles[ROLE_NORMAL] == 24 && set->roles[ROLE_ATTACK] == 2, "a unit a normal process");
		ok(set->units[24].n == 2 && set->n_attacks == 2 && set->n_kinds == 1 && !strcmp(set->kinds[0], "break-in"),
		   "an attack is a file, its kind the name without the number");
		split_make(set, 10, false, 5, &split);
		split_make(set, 10, false, 5, &again);
		split_make(set, 10, true, 6, &other);
		ok(split.all && split.folds == 7 && together(set, &split), "identical processes share a fold");
		ok(!memcmp(split.fold, again.fold, 24 * sizeof(*split.fold)), "a seed deals out the same way");
		ok(memcmp(split.fold, other.fold, 24 * sizeof(*split.fold)) != 0, "another seed does not");
		split_done(&split);
		split_done(&again);
		split_done(&other);
	}
	if (asprintf(&command, "rm -rf %s", folder) >= 0 && system(command))
		printf("# %s is left\n", folder);
}

int main(void)
{
	test_statistics();
	test_parse();
	test_models();
	test_dataset();
	return tap_done();
}
