/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* imsafe profile tune: what each choice of sequence length and mean lengths would do, and which to take. */
#include "cli/profile-tune.h"

#include <inttypes.h>
#include <jansson.h>
#include <limits.h>
#include <math.h>
#include <string.h>

#include "cli/chart.h"
#include "cli/json.h"
#include "cli/layout.h"
#include "cli/progress.h"
#include "cli/verbs.h"
#include "model/calibrate.h"
#include "model/learner.h"
#include "model/tune.h"
#include "trace/trace.h"

struct tune_options {
	double rate;
	struct tune_config tune;
	struct option_list foreign;
	const char *plot;
	unsigned trials, seed;
	bool json, lengths_given;
};

static int parse_rate(void *data, const char *value, struct errmsg *err)
{
	struct tune_options *options = data;
	size_t n = strlen(value);
	char text[32];
	double percent;

	snprintf(text, sizeof(text), "%.*s", (int)(n && value[n - 1] == '%' ? n - 1 : n), value);
	if (n >= sizeof(text) || parse_double(text, 0.001, 50, &percent) < 0)
		return errmsg_set(err, -EINVAL, NULL, 0, "--rate takes a share of sessions from 0.001%% to 50%%, like 1%%, not '%s'",
				  value);
	options->rate = percent / 100;
	return 0;
}

static int parse_lengths(void *data, const char *value, struct errmsg *err)
{
	struct tune_options *options = data;
	int n = parse_uint_list(value, LENGTH_MIN, LENGTH_MAX, options->tune.lengths, TUNE_LENGTHS_MAX);

	if (n < 0)
		return errmsg_set(err, -EINVAL, NULL, 0, "--lengths takes sequence lengths from %d to %d, like 4,6,8, not '%s'",
				  LENGTH_MIN, LENGTH_MAX, value);
	options->tune.n_lengths = (size_t)n;
	options->lengths_given = true;
	return 0;
}

static int parse_means(void *data, const char *value, struct errmsg *err)
{
	struct tune_options *options = data;
	unsigned means[MEAN_WINDOWS] = { 0 };

	if (parse_uint_list(value, 1, MEAN_MAX, means, MEAN_WINDOWS) < 0)
		return errmsg_set(err, -EINVAL, NULL, 0, "--mean takes one to %d mean lengths from 1 to %d, like 32 or 8,64, not '%s'",
				  MEAN_WINDOWS, MEAN_MAX, value);
	if (options->tune.n_means == TUNE_CHOICES_MAX)
		return errmsg_set(err, -E2BIG, NULL, 0, "--mean may be given %d times", TUNE_CHOICES_MAX);
	memcpy(options->tune.means[options->tune.n_means++], means, sizeof(means));
	return 0;
}

static const struct option_spec options[] = {
	OPTION_CALL('r', "rate", "RATE", parse_rate, "false alarms to compare at, a share of sessions (1%)"),
	OPTION_CALL('l', "lengths", "K,...", parse_lengths, "sequence lengths to try (the profile's, 3, 4, 6, 8, 10)"),
	OPTION_CALL('m', "mean", "N[,N[,N]]", parse_means,
		    "mean lengths to try, judged together; may be given several times"),
	OPTION_LIST(0, "foreign", "TRACE", struct tune_options, foreign,
		    "take foreign segments from this trace of another program too; may be given several times"),
	OPTION_STRING('o', "plot", "FILE", struct tune_options, plot, "draw what is found: SVG, PNG or PDF, by the end of the name"),
	OPTION_UINT(0, "trials", "N", struct tune_options, trials, 10, 100000, "foreign segments of each kind and length (400)"),
	OPTION_UINT(0, "seed", "N", struct tune_options, seed, 0, 4294967295.0, "another choice of places and segments (1)"),
	OPTION_FLAG(0, "json", struct tune_options, json, "print JSON, with all choices"),
	OPTION_END
};

static int tune_run(int argc, char **argv);

const struct verb verb_profile_tune = {
	.name = "profile tune",
	.summary = "advice on sequence length and mean lengths",
	.synopsis = "[OPTIONS] PROFILE",
	.description =
		"Says what each choice of sequence length and mean lengths would do for this profile. Groups of similar sessions\n"
		"take turns: each is scored by what was learned from all others, as it is, which gives the threshold for the\n"
		"false-alarm rate asked for, and with foreign segments of 1 to 100 calls spliced in, which shows what would be found.\n"
		"Foreign segments are of several kinds: any calls of the architecture; the application's own calls as often as it\n"
		"makes them but in no order, the hardest to find; and pieces of other programs' traces with --foreign.\n"
		"\n"
		"If the sessions are too few for the rate, it says so and recommends nothing. The same profile and seed give the\n"
		"same advice.",
	.examples = "  imsafe profile tune ftpd.db\n"
		    "  imsafe profile tune --rate 5% --plot tune.svg ftpd.db    a picture, too\n"
		    "  imsafe profile tune --mean 32 --mean 8,128 ftpd.db       only these two\n",
	.options = options,
	.run = tune_run,
};

static const char *const kind_names[TUNE_KINDS] = {
	[TUNE_ANY] = "any calls",
	[TUNE_OWN] = "own calls, no order",
	[TUNE_OTHER] = "other programs",
};

static void set_defaults(struct tune_options *o, const struct profile_info *info)
{
	static const unsigned means[][MEAN_WINDOWS] = {
		{ 8 }, { 16 }, { 32 }, { 64 }, { 128 }, { 256 }, MEANS_DEFAULT, { 8, 64 }, { 16, 64, 256 },
	};
	static const unsigned lengths[] = { 3, 4, 6, 8, 10 };
	bool known = false;

	if (!o->tune.n_means) {
		memcpy(o->tune.means, means, sizeof(means));
		o->tune.n_means = ARRAY_SIZE(means);
	}
	if (!o->lengths_given) {
		memcpy(o->tune.lengths, lengths, sizeof(lengths));
		o->tune.n_lengths = ARRAY_SIZE(lengths);
	}
	/* What the profile has is always compared with. */
	for (size_t i = 0; i < o->tune.n_lengths; i++)
		known |= o->tune.lengths[i] == info->length;
	if (!known && o->tune.n_lengths < TUNE_LENGTHS_MAX)
		o->tune.lengths[o->tune.n_lengths++] = info->length;
	o->tune.rate = o->rate > 0 ? o->rate : RATE_DEFAULT;
	o->tune.min_calls = MIN_CALLS_DEFAULT;
	o->tune.trials = o->trials;
	o->tune.seed = o->seed ? o->seed : 1;
	for (unsigned call = 0; call < SYMBOL_OTHER; call++)
		if (syscall_name(info->arch, call))
			o->tune.calls = call + 1;
	if (!o->tune.calls)
		o->tune.calls = 400;
}

/* Sessions of other programs. */
struct others {
	struct session *list;
	size_t n;
};

static void others_done(struct others *others)
{
	for (size_t i = 0; i < others->n; i++)
		free((void *)others->list[i].symbols);
	free(others->list);
}

static int add_other(void *data, const struct session *session)
{
	struct others *others = data;
	struct session *more = realloc(others->list, (others->n + 1) * sizeof(*more));
	uint16_t *symbols = malloc(session->n * sizeof(*symbols));

	if (more)
		others->list = more;
	if (!more || !symbols) {
		free(symbols);
		return -ENOMEM;
	}
	memcpy(symbols, session->symbols, session->n * sizeof(*symbols));
	others->list[others->n] = *session;
	others->list[others->n++].symbols = symbols;
	return 0;
}

static int read_other(const char *path, const struct profile_info *info, struct others *others, struct errmsg *err)
{
	_cleanup_(trace_reader_closep) struct trace_reader *reader = NULL;
	_cleanup_(learner_freep) struct learner *learner = learner_new(info->length, add_other, others);
	struct event events[256];
	enum syscall_arch arch;
	ssize_t n;
	int r;

	if (!learner)
		return errmsg_errno(err, -ENOMEM, path, "cannot read it");
	r = trace_reader_open(path, TRACE_AUTO, &reader, err);
	if (r < 0)
		return r;
	arch = trace_reader_info(reader)->arch;
	if (arch != ARCH_UNKNOWN && info->arch != ARCH_UNKNOWN && arch != info->arch)
		return errmsg_set(err, -EINVAL, path, 0, "the trace is for %s, the profile for %s", arch_name(arch),
				  arch_name(info->arch));
	while ((n = trace_reader_read(reader, events, ARRAY_SIZE(events), err)) > 0) {
		r = learner_add(learner, events, (size_t)n);
		if (r < 0)
			return errmsg_errno(err, r, path, "cannot read it");
	}
	if (n < 0)
		return (int)n;
	r = learner_end_trace(learner);
	return r < 0 ? errmsg_errno(err, r, path, "cannot read it") : 0;
}

static const char *means_text(const unsigned means[MEAN_WINDOWS], char buffer[48])
{
	size_t n = 0;

	for (int w = 0; w < MEAN_WINDOWS && means[w]; w++)
		n += (size_t)snprintf(buffer + n, 48 - n, "%s%u", w ? "," : "", means[w]);
	return buffer;
}

#define TABLE_COLUMNS 39 /* before the kinds of segments */
#define KIND_COLUMNS  30

/* Of the kinds of segments, those that stand side by side. */
struct columns {
	int kinds[TUNE_KINDS];
	unsigned n;
};

static void print_head(const struct columns *columns, const char *first)
{
	printf("  %-12s %-17s alarms", first, "threshold");
	for (unsigned i = 0; i < columns->n; i++)
		printf(" | %-*s", i + 1 < columns->n ? KIND_COLUMNS - 3 : 0, kind_names[columns->kinds[i]]);
	printf("\n  %-12s %-17s       ", "", "");
	for (unsigned i = 0; i < columns->n; i++) {
		printf(" |");
		for (int s = 0; s < TUNE_SEGMENTS; s++)
			printf("%4u", tune_segments[s]);
	}
	putchar('\n');
}

static void print_choice(const struct tune *tune, const struct tune_choice *choice, const struct columns *columns, const char *first)
{
	char threshold[48];
	size_t n = 0;

	for (int w = 0; w < MEAN_WINDOWS && choice->means[w]; w++)
		n += (size_t)snprintf(threshold + n, sizeof(threshold) - n, "%s%.0f", w ? ", " : "", choice->threshold[w]);
	snprintf(threshold + n, sizeof(threshold) - n, " %%");
	printf("%c %-12s %-17s %5.1f%%", choice == &tune->choices[tune->best] ? '*' : ' ', first, threshold,
	       100 * choice->alarms);
	for (unsigned i = 0; i < columns->n; i++) {
		printf(" |");
		for (int s = 0; s < TUNE_SEGMENTS; s++)
			printf("%4.0f", 100 * choice->found[columns->kinds[i]][s]);
	}
	putchar('\n');
}

static bool same_means(const struct tune_choice *a, const struct tune_choice *b)
{
	return !memcmp(a->means, b->means, sizeof(a->means));
}

/* The recommended choice among those with its sequence length, or among those with its mean lengths. */
static void print_rows(const struct tune *tune, const struct columns *columns, bool by_length)
{
	const struct tune_choice *best = &tune->choices[tune->best];
	char text[48];

	print_head(columns, by_length ? "seq. length" : "mean length");
	for (size_t i = 0; i < tune->n; i++) {
		const struct tune_choice *choice = &tune->choices[i];

		if (by_length && same_means(choice, best)) {
			snprintf(text, sizeof(text), "%u", choice->length);
			print_choice(tune, choice, columns, text);
		} else if (!by_length && choice->length == best->length) {
			print_choice(tune, choice, columns, means_text(choice->means, text));
		}
	}
}

/* As many kinds of segments side by side as the terminal has room for. */
static void print_table(const struct tune *tune, bool by_length)
{
	unsigned width = layout_width(stdout, UINT_MAX), room = MIN(MAX((width - TABLE_COLUMNS) / KIND_COLUMNS, 1U), (unsigned)TUNE_KINDS);
	struct columns columns = { .n = 0 };
	bool first = true;

	for (int kind = 0; kind <= TUNE_KINDS; kind++) {
		if (columns.n == room || (kind == TUNE_KINDS && columns.n)) {
			if (!first)
				putchar('\n');
			print_rows(tune, &columns, by_length);
			columns.n = 0;
			first = false;
		}
		if (kind < TUNE_KINDS && tune->kinds[kind])
			columns.kinds[columns.n++] = kind;
	}
}

static const struct tune_choice *find_choice(const struct tune *tune, unsigned length, const struct tune_choice *means)
{
	for (size_t i = 0; i < tune->n; i++)
		if (tune->choices[i].length == length && same_means(&tune->choices[i], means))
			return &tune->choices[i];
	return NULL;
}

static void recommend(const struct tune *tune, double rate, const struct profile_info *info)
{
	const struct tune_choice *best = &tune->choices[tune->best], *here = find_choice(tune, info->length, best);
	char means[48];

	means_text(best->means, means);
	putchar('\n');
	if (best->length == info->length)
		layout_printf(stdout, 2, "Recommended: --mean %s, and the sequence length as it is, %u.", means, info->length);
	else
		layout_printf(stdout, 2, "Recommended: --mean %s, and a new profile learned with --length %u (this one has %u): of all segments "
			      "%.0f %% are found instead of %.0f %%.", means, best->length, info->length, 100 * best->score,
			      here ? 100 * here->score : 0);
	for (int kind = 0; kind < TUNE_KINDS; kind++) {
		unsigned half = 0;

		for (int s = TUNE_SEGMENTS; tune->kinds[kind] && s-- > 0 && best->found[kind][s] >= 0.5;)
			half = tune_segments[s];
		if (!tune->kinds[kind])
			continue;
		if (half)
			layout_printf(stdout, 2, "It finds at least half of the segments of %u call%s or more (%s).", half, half == 1 ? "" : "s", kind_names[kind]);
		else
			layout_printf(stdout, 2, "It finds fewer than half of the segments even of %u calls (%s).",
				      tune_segments[TUNE_SEGMENTS - 1], kind_names[kind]);
	}
	if (best->alarms > 1.2 * rate)
		layout_printf(stdout, 2, "The profile's %.0f sessions are too few to keep false alarms at %g %%; more training makes this "
			      "advice surer.", tune->sessions, 100 * rate);
}

/* Why there is nothing to recommend: the thresholds would be guesses, and so would be what they find. */
static void print_thin(const struct tune *tune, const struct tune_config *config)
{
	double expected = tune->choices[tune->best].alarms, needed = ceil(3 / config->rate);

	layout_printf(stdout, 0, "No recommendation: %.0f sessions, in %.0f groups of similar ones, are too few to set thresholds by. With any "
		      "choice false alarms are to be expected in %.1f %% of sessions, not in %g %%. Learn more sessions: about %.0f that are "
		      "independent of each other would do for this rate.", tune->sessions, tune->folds, 100 * expected, 100 * config->rate,
		      needed);
	if (expected < 0.5)
		layout_printf(stdout, 0, "Or compare at a rate that these sessions can carry: --rate %.0f%%.", ceil(100 * expected));
	layout_print("Until then, the defaults are a good start.", 0, stdout);
}

static void print_tune(const struct tune *tune, const struct tune_config *config, const struct profile_info *info)
{
	const struct tune_choice *best = &tune->choices[tune->best];
	char text[48];

	if (tune->thin) {
		print_thin(tune, config);
		return;
	}
	layout_printf(stdout, 0, "At false alarms in %g %% of sessions, from %.0f sessions in %.0f groups of similar ones. How many of 100 "
		      "foreign segments of so many calls raise an alarm:\n\n", 100 * config->rate, tune->sessions, tune->folds);
	print_table(tune, false);
	if (config->n_lengths > 1) {
		printf("\nWith mean length %s:\n\n", means_text(best->means, text));
		print_table(tune, true);
	}
	recommend(tune, config->rate, info);
}

static json_t *tune_json(const struct tune *tune, const struct tune_config *config)
{
	json_t *choices = json_array(), *segments = json_array();

	for (int s = 0; s < TUNE_SEGMENTS; s++)
		json_array_append_new(segments, json_integer(tune_segments[s]));
	for (size_t i = 0; i < tune->n; i++) {
		const struct tune_choice *choice = &tune->choices[i];
		json_t *means = json_array(), *thresholds = json_array(), *found = json_object();

		for (int w = 0; w < MEAN_WINDOWS && choice->means[w]; w++) {
			json_array_append_new(means, json_integer(choice->means[w]));
			json_array_append_new(thresholds, json_real(choice->threshold[w]));
		}
		for (int kind = 0; kind < TUNE_KINDS; kind++) {
			json_t *shares = json_array();

			for (int s = 0; s < TUNE_SEGMENTS; s++)
				json_array_append_new(shares, json_real(choice->found[kind][s]));
			json_object_set_new(found, kind_names[kind], tune->kinds[kind] ? shares : json_null());
			if (!tune->kinds[kind])
				json_decref(shares);
		}
		json_array_append_new(choices, json_pack("{s:i,s:o,s:o,s:f,s:f,s:o,s:b}", "length", choice->length, "means", means,
							 "thresholds", thresholds, "false_alarms", choice->alarms, "score",
							 choice->score, "found", found, "recommended", (int)(i == tune->best && !tune->thin)));
	}
	return json_pack("{s:f,s:b,s:f,s:f,s:o,s:o}", "rate", config->rate, "thin", (int)tune->thin, "sessions", tune->sessions, "groups", tune->folds,
			 "segments", segments, "choices", choices);
}

#define SHOWN 6 /* choices in the picture */

/* The recommended mean lengths and the first others, each a line for any calls and a dashed one for own calls. */
static int draw(const struct tune *tune, const struct tune_config *config, const char *path, FILE *terminal,
		struct errmsg *err)
{
	const struct tune_choice *best = &tune->choices[tune->best];
	struct chart_point points[2 * SHOWN][TUNE_SEGMENTS];
	struct chart_series series[2 * SHOWN];
	char names[SHOWN][64], subtitle[128], text[48];
	struct chart_terminal size;
	struct chart chart;
	size_t n = 0;

	for (size_t i = 0; i < tune->n && n < SHOWN; i++) {
		const struct tune_choice *choice = &tune->choices[i];

		/* A place is kept for the recommended one. */
		if (choice->length != best->length || (n == SHOWN - 1 && choice < best))
			continue;
		snprintf(names[n], sizeof(names[n]), "mean %s%s", means_text(choice->means, text),
			 choice == best && !tune->thin ? " (recommended)" : "");
		for (int kind = TUNE_ANY; kind <= TUNE_OWN; kind++) {
			for (int s = 0; s < TUNE_SEGMENTS; s++)
				points[2 * n + kind][s] = (struct chart_point){ tune_segments[s], 100 * choice->found[kind][s] };
			series[2 * n + kind] = (struct chart_series){
				.name = kind == TUNE_ANY ? names[n] : NULL, .points = points[2 * n + kind], .n = TUNE_SEGMENTS,
				.color = (enum chart_color)(n % CHART_SERIES_COLORS), .style = kind == TUNE_ANY ? CHART_LINE : CHART_DASHES,
			};
		}
		n++;
	}
	snprintf(subtitle, sizeof(subtitle), "sequence length %u, false alarms in %.3g %% of sessions%s; dashed: the application's own calls in no order",
		 best->length, 100 * (tune->thin ? best->alarms : config->rate), tune->thin ? " (too few for less)" : "");
	chart = (struct chart){
		.title = "Foreign segments found", .subtitle = subtitle,
		.x = { .label = "calls in the segment", .min = 1, .max = 100, .logarithmic = true },
		.y = { .label = "found", .unit = "%", .max = 100 },
		.series = series, .n_series = 2 * n,
	};
	if (path)
		return chart_write(&chart, path, chart_format_of(path), 0, 0, err);
	chart_terminal_init(&size, terminal);
	return chart_draw_terminal(&chart, &size, terminal);
}

static void on_progress(void *data, double done)
{
	progress_update(data, done, NULL);
}

static int run(struct profile *profile, struct tune_options *o, struct errmsg *err)
{
	_cleanup_(tune_done) struct tune tuned = { 0 };
	_cleanup_(others_done) struct others others = { 0 };
	_cleanup_(folds_freep) struct folds *folds = NULL;
	struct progress progress;
	int r;

	set_defaults(o, profile_info(profile));
	for (size_t i = 0; i < o->foreign.n; i++) {
		r = read_other(o->foreign.values[i], profile_info(profile), &others, err);
		if (r < 0)
			return r;
	}
	o->tune.other = others.list;
	o->tune.n_other = others.n;
	r = folds_load(profile, &folds, err);
	if (r < 0)
		return r;
	progress_init(&progress, "trying lengths");
	r = tune(folds, &o->tune, on_progress, &progress, &tuned, err);
	progress_done(&progress);
	if (r < 0)
		return r;
	if (o->json) {
		json_print(tune_json(&tuned, &o->tune));
	} else {
		print_tune(&tuned, &o->tune, profile_info(profile));
		if (!tuned.thin && isatty(STDOUT_FILENO)) {
			putchar('\n');
			draw(&tuned, &o->tune, NULL, stdout, err);
		}
	}
	return o->plot ? draw(&tuned, &o->tune, o->plot, NULL, err) : 0;
}

static int tune_run(int argc, char **argv)
{
	_cleanup_(profile_closep) struct profile *profile = NULL;
	struct tune_options o = { 0 };
	struct errmsg err = { 0 };
	int rest = 0, r;

	r = options_parse(&verb_profile_tune, argc, argv, &o, false, &rest, &err);
	if (r > 0)
		return EXIT_OK;
	if (r >= 0 && rest + 1 != argc)
		r = errmsg_set(&err, -EINVAL, NULL, 0, "profile tune takes one profile");
	if (r >= 0 && o.plot && chart_format_of(o.plot) == CHART_FORMAT_NONE)
		r = errmsg_set(&err, -EINVAL, o.plot, 0, "--plot takes a name that ends in .svg, .png or .pdf");
	if (r >= 0)
		r = profile_open(argv[rest], PROFILE_READ, NULL, &profile, &err);
	if (r >= 0)
		r = run(profile, &o, &err);
	if (r < 0 && profile && !*err.file)
		snprintf(err.file, sizeof(err.file), "%s", argv[rest]);
	if (r < 0)
		errmsg_print(&err, stderr, argv[0]);
	return r < 0 ? EXIT_ERROR : EXIT_OK;
}
