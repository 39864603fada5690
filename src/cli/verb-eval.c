/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* imsafe eval: how well detectors tell attacks from normal behaviour in labelled traces. */
#include <string.h>
#include <sys/stat.h>

#include "cli/chart.h"
#include "cli/eval-report.h"
#include "cli/progress.h"
#include "cli/verbs.h"

#define SETS_MAX  64
#define DEPTH_MAX 3

struct eval_config {
	struct option_list detectors;
	const char *reference, *output;
	unsigned folds, replicates, resplits, seed, threads;
	bool attacks, json, csv;
};

static const struct option_spec options[] = {
	OPTION_LIST('d', "detector", "DETECTOR", struct eval_config, detectors,
		    "MODEL[:LENGTH[:SCORE]]; may be given several times"),
	OPTION_STRING('r', "reference", "DETECTOR", struct eval_config, reference,
		      "what the others are compared with (the first)"),
	OPTION_UINT(0, "resplit", "N", struct eval_config, resplits, 1, 1000, "also deal the normals out anew N times"),
	OPTION_UINT(0, "seed", "S", struct eval_config, seed, 0, 4294967295.0, "of everything random (1)"),
	OPTION_UINT(0, "folds", "N", struct eval_config, folds, 2, 1000, "of a data set without a training part (10)"),
	OPTION_UINT(0, "bootstrap", "N", struct eval_config, replicates, 20, 100000, "replicates for the intervals (1000)"),
	OPTION_FLAG('a', "attacks", struct eval_config, attacks, "a table for each attack, not only for each kind"),
	OPTION_STRING('o', "output", "FILE", struct eval_config, output, "draw the ROC curves, SVG, PNG or PDF"),
	OPTION_FLAG(0, "json", struct eval_config, json, "print JSON"),
	OPTION_FLAG(0, "csv", struct eval_config, csv, "print CSV, a line a figure"),
	OPTION_UINT('j', "jobs", "N", struct eval_config, threads, 1, 1024, "threads (one a core)"),
	OPTION_END
};

static int verb_eval_run(int argc, char **argv);

const struct verb verb_eval = {
	.name = "eval",
	.summary = "measure detection on labelled traces",
	.synopsis = "[OPTIONS] DIR ...",
	.description = "Learns from normal traces only and measures how well each detector tells attacks from other normal traces:\n"
		       "area under the ROC curve (AUC) with a bootstrap interval, detection at 0, 1, 2, 5, 10 and 20 % false\n"
		       "alarms, by kind of attack and by attack, and differences between detectors.\n\n"
		       "DIR holds training/, normal/ and attack/ (a folder an attack, or a file), or normal/ and attack/ alone:\n"
		       "then the normals are cross-validated, identical processes in one fold. intrusion/ means attack/. A DIR\n"
		       "that holds such folders evaluates each. Any trace format is read.\n\n"
		       "A detector is MODEL:LENGTH:SCORE. Models: predictor (what 'imsafe monitor' uses), witten-bell (the plain\n"
		       "predictor), sequences (stide), pairs (look-ahead pairs). Scores of a process: mean, maxN (highest mean\n"
		       "over N calls), qN (the cost that N % of its calls stay under), aboveN (share of calls over N bits).",
	.examples = "  imsafe eval adfa-ld                                every usual detector\n"
		    "  imsafe eval -d predictor:6:max32 -d sequences unm  two of them\n"
		    "  imsafe eval --resplit 20 --seed 7 -o roc.svg adfa-ld\n",
	.options = options,
	.run = verb_eval_run,
};

/* The first is the reference. */
static const char *const usual[] = {
	"predictor:6:mean", "predictor:6:max32", "predictor:10:mean", "predictor:10:q60", "sequences:3:mean", "sequences:6:mean",
	"sequences:10:mean", "pairs:9:mean", "witten-bell:5:mean", "witten-bell:7:mean", "witten-bell:11:mean",
};

struct sets {
	char *paths[SETS_MAX];
	const char *names[SETS_MAX]; /* in paths */
	size_t n;
};

static void sets_done(struct sets *sets)
{
	for (size_t i = 0; i < sets->n; i++)
		free(sets->paths[i]);
}

static int is_visible(const struct dirent *entry)
{
	return entry->d_name[0] != '.';
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

/* The data sets at path and below it; start is where its name begins to mean something. */
static int find_sets(struct sets *sets, const char *path, size_t start, int depth, struct errmsg *err)
{
	struct dirent **list;
	struct stat st;
	int n, r = 0;

	if (stat(path, &st) < 0)
		return errmsg_errno(err, -errno, path, "cannot read");
	if (!S_ISDIR(st.st_mode))
		return depth ? 0 : errmsg_set(err, -ENOTDIR, path, 0, "is not a folder of labelled traces");
	if (dataset_is(path)) {
		if (sets->n == SETS_MAX)
			return errmsg_set(err, -E2BIG, path, 0, "more than %d data sets", SETS_MAX);
		sets->paths[sets->n] = strdup(path);
		if (!sets->paths[sets->n])
			return errmsg_errno(err, -ENOMEM, path, "cannot read");
		sets->names[sets->n] = sets->paths[sets->n] + start;
		sets->n++;
		return 0;
	}
	if (depth == DEPTH_MAX)
		return 0;
	n = scandir(path, &list, is_visible, by_name);
	if (n < 0)
		return errmsg_errno(err, -errno, path, "cannot list");
	for (int i = 0; i < n; i++) {
		_cleanup_free_ char *below = NULL;

		if (!r && asprintf(&below, "%s/%s", path, list[i]->d_name) >= 0)
			r = find_sets(sets, below, start, depth + 1, err);
		free(list[i]);
	}
	free(list);
	return r;
}

static int find_all_sets(struct sets *sets, int argc, char **argv, int rest, struct errmsg *err)
{
	if (rest == argc)
		return errmsg_set(err, -EINVAL, NULL, 0, "which folder? try 'imsafe eval --help'");
	for (int i = rest; i < argc; i++) {
		size_t before = sets->n, end = strlen(argv[i]), start;
		int r;

		while (end > 1 && argv[i][end - 1] == '/')
			argv[i][--end] = 0;
		for (start = end; start && argv[i][start - 1] != '/';)
			start--;
		r = find_sets(sets, argv[i], start, 0, err);
		if (r < 0)
			return r;
		if (sets->n == before)
			return errmsg_set(err, -ENOENT, argv[i], 0,
					  "there is no folder normal/ beside a folder attack/ or intrusion/ in it");
	}
	return 0;
}

static int make_detectors(const struct eval_config *config, struct detector detectors[DETECTORS_MAX],
			  struct evaluate_config *evaluate_config, struct errmsg *err)
{
	size_t n = config->detectors.n ? config->detectors.n : ARRAY_SIZE(usual);
	struct detector reference;
	int r;

	for (size_t i = 0; i < n; i++) {
		r = detector_parse(config->detectors.n ? config->detectors.values[i] : usual[i], &detectors[i], err);
		if (r < 0)
			return r;
	}
	evaluate_config->detectors = detectors;
	evaluate_config->n_detectors = n;
	if (!config->reference)
		return 0;
	r = detector_parse(config->reference, &reference, err);
	if (r < 0)
		return r;
	while (evaluate_config->reference < n && strcmp(detectors[evaluate_config->reference].name, reference.name))
		evaluate_config->reference++;
	return evaluate_config->reference < n ? 0 : errmsg_set(err, -EINVAL, NULL, 0,
							       "the reference '%s' is none of the detectors", reference.name);
}

/* The chart's name for one of several data sets: "roc.svg" becomes "roc-login.svg". */
static void chart_name(const char *output, const char *set, size_t sets, char *name, size_t size)
{
	const char *dot = strrchr(output, '.');
	size_t n;

	if (sets == 1 || !dot) {
		snprintf(name, size, "%s", output);
		return;
	}
	n = (size_t)snprintf(name, size, "%.*s-%s%s", (int)(dot - output), output, set, dot);
	for (char *c = name + (dot - output); n < size && *c; c++)
		if (*c == '/')
			*c = '-';
}

/* Reading is the first tenth of a data set's work. */
struct set_progress {
	struct progress progress;
	const char *name;
};

static void loading(void *data, double share)
{
	struct set_progress *p = data;

	progress_update(&p->progress, share / 10, "reading %s", p->name);
}

static void evaluating(void *data, double share)
{
	struct set_progress *p = data;

	progress_update(&p->progress, 0.1 + 0.9 * share, "%s", p->name);
}

static int run_set(const struct eval_config *config, struct evaluate_config *evaluate_config, const struct sets *sets,
		   size_t index, json_t *all, struct errmsg *err)
{
	struct set_progress progress = { .name = sets->names[index] };
	_cleanup_(dataset_freep) struct dataset *set = NULL;
	_cleanup_(evaluation_freep) struct evaluation *evaluation = NULL;
	char name[4096];
	int r;

	progress_init(&progress.progress, "evaluating");
	evaluate_config->progress = evaluating;
	evaluate_config->progress_data = &progress;
	r = dataset_load(sets->paths[index], sets->names[index], loading, &progress, &set, err);
	if (!r)
		r = evaluate(set, evaluate_config, &evaluation, err);
	progress_done(&progress.progress);
	if (r < 0)
		return r;
	if (config->json)
		json_array_append_new(all, eval_report_json(evaluation));
	else if (config->csv)
		eval_report_csv(evaluation, stdout);
	else
		eval_report_text(evaluation, config->attacks, stdout);
	if (!config->json && !config->csv && index + 1 < sets->n)
		printf("\n\n");
	if (!config->output)
		return 0;
	chart_name(config->output, sets->names[index], sets->n, name, sizeof(name));
	return eval_report_chart(evaluation, name, err);
}

static int eval(const struct eval_config *config, const struct sets *sets, struct evaluate_config *evaluate_config,
		struct errmsg *err)
{
	json_t *all = config->json ? json_array() : NULL;
	int r = 0;

	if (config->csv)
		eval_report_csv_header(stdout);
	for (size_t i = 0; i < sets->n && r >= 0; i++)
		r = run_set(config, evaluate_config, sets, i, all, err);
	if (all && r >= 0) {
		json_dumpf(all, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(9));
		putchar('\n');
	}
	json_decref(all);
	return r;
}

static int verb_eval_run(int argc, char **argv)
{
	struct eval_config config = { .folds = FOLDS_DEFAULT, .replicates = REPLICATES_DEFAULT, .seed = 1 };
	struct detector detectors[DETECTORS_MAX];
	struct evaluate_config evaluate_config = { 0 };
	_cleanup_(sets_done) struct sets sets = { 0 };
	struct errmsg err = { 0 };
	int rest = 0, r = options_parse(&verb_eval, argc, argv, &config, false, &rest, &err);

	if (r > 0)
		return EXIT_OK;
	if (!r && config.json && config.csv)
		r = errmsg_set(&err, -EINVAL, NULL, 0, "--json and --csv exclude each other");
	if (!r && config.output && chart_format_of(config.output) == CHART_FORMAT_NONE)
		r = errmsg_set(&err, -EINVAL, config.output, 0, "the name should end with .svg, .png or .pdf");
	if (!r)
		r = make_detectors(&config, detectors, &evaluate_config, &err);
	if (!r)
		r = find_all_sets(&sets, argc, argv, rest, &err);
	if (!r) {
		evaluate_config.folds = config.folds;
		evaluate_config.replicates = config.replicates;
		evaluate_config.resplits = config.resplits;
		evaluate_config.seed = config.seed;
		evaluate_config.threads = config.threads;
		r = eval(&config, &sets, &evaluate_config, &err);
	}
	if (r < 0)
		errmsg_print(&err, stderr, argv[0]);
	return r < 0 ? EXIT_ERROR : EXIT_OK;
}
