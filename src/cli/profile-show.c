/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* imsafe profile show, and what others print of a profile. */
#include "cli/profile-show.h"

#include <inttypes.h>
#include <string.h>
#include <time.h>

#include "base/options.h"
#include "cli/completeness-print.h"
#include "cli/json.h"
#include "cli/layout.h"
#include "cli/verbs.h"
#include "model/freeze.h"
#include "model/symbol.h"

static const char *const origin_names[ORIGIN_KINDS] = {
	[ORIGIN_UNKNOWN] = "unknown", [ORIGIN_FILE] = "file", [ORIGIN_VDSO] = "vdso", [ORIGIN_ANON] = "anonymous",
	[ORIGIN_STACK] = "stack", [ORIGIN_HEAP] = "heap", [ORIGIN_WRITABLE] = "writable file",
};

const char *date_text(int64_t date, char *buffer, size_t size)
{
	time_t t = (time_t)date;
	struct tm tm;

	if (!localtime_r(&t, &tm) || !strftime(buffer, size, "%Y-%m-%d %H:%M", &tm))
		snprintf(buffer, size, "@%" PRId64, date);
	return buffer;
}

int date_parse(const char *text, int64_t *ret_date)
{
	static const char *const formats[] = { "%Y-%m-%d", "%Y-%m-%d %H:%M", "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M" };
	unsigned long long seconds;

	if (*text == '@') {
		if (parse_uint(text + 1, 0, INT64_MAX, &seconds) < 0)
			return -EINVAL;
		*ret_date = (int64_t)seconds;
		return 0;
	}
	for (size_t i = 0; i < ARRAY_SIZE(formats); i++) {
		struct tm tm = { .tm_isdst = -1 }, asked;
		const char *end = strptime(text, formats[i], &tm);

		if (end && !*end) {
			asked = tm;
			*ret_date = mktime(&tm);
			/* A day that its month does not have would become one of the next. */
			return *ret_date < 0 || tm.tm_mday != asked.tm_mday ? -EINVAL : 0;
		}
	}
	return -EINVAL;
}

const char *gram_text(enum syscall_arch arch, const struct gram *gram, char *buffer, size_t size)
{
	size_t at = 0;

	*buffer = '\0';
	for (unsigned i = 0; i < gram->n && at < size; i++) {
		char word[SYMBOL_WORD_MAX];

		at += (size_t)snprintf(buffer + at, size - at, "%s%s", i ? " " : "",
				       symbol_word(arch, gram->symbols[i], word, sizeof(word)));
	}
	return buffer;
}

struct dates {
	int64_t first, last;
	uint64_t runs;
};

static int add_date(void *data, const struct profile_run *run)
{
	struct dates *dates = data;

	dates->first = dates->runs++ ? MIN(dates->first, run->date) : run->date;
	dates->last = MAX(dates->last, run->date);
	return 0;
}

static uint64_t full_sequences(const struct counts *counts)
{
	uint64_t n = 0;

	for (size_t i = 0; i < counts->n_grams; i++)
		n += counts->grams[i].n == counts->length && counts->grams[i].symbols[0] < ALPHABET;
	return n;
}

void profile_print_summary(struct profile *profile, const struct counts *counts, FILE *out)
{
	const struct profile_info *info = profile_info(profile);
	char text[4 * 4096], first[32], last[32];
	struct dates dates = { 0 };

	profile_each_run(profile, add_date, &dates, NULL);
	fprintf(out, "profile       %s\n", escape_text(text, sizeof(text), profile_path(profile)));
	fprintf(out, "application   %s\n", info->application ? escape_text(text, sizeof(text), info->application) : "not known");
	if (info->build_id)
		fprintf(out, "build-id      %s\n", escape_text(text, sizeof(text), info->build_id));
	fprintf(out, "architecture  %s\n", info->arch == ARCH_UNKNOWN ? "not known: calls are numbers" : arch_name(info->arch));
	if (dates.runs)
		snprintf(text, sizeof(text), ", %s to %s", date_text(dates.first, first, sizeof(first)),
			 date_text(dates.last, last, sizeof(last)));
	layout_printf(out, 14, "learned       %" PRIu64 " calls in %" PRIu64 " session%s, %" PRIu64 " run%s%s", counts->calls,
		      counts->sessions, counts->sessions == 1 ? "" : "s", dates.runs, dates.runs == 1 ? "" : "s",
		      dates.runs ? text : "");
	fprintf(out, "sequences     %" PRIu64 " of length %u\n", full_sequences(counts), counts->length);
	if (counts->gaps)
		fprintf(out, "gaps          %" PRIu64 ", with %" PRIu64 " calls known to be lost\n", counts->gaps, counts->lost);
	else
		fprintf(out, "gaps          none\n");
}

/* Whether freezing takes the origin for normal. */
static bool is_learned(const struct counts *counts, int origin)
{
	return freeze_origins(counts) >> origin & 1;
}

void profile_print_warnings(const struct counts *counts, const char *program, FILE *out)
{
	for (int i = ORIGIN_ANON; i < ORIGIN_KINDS; i++) {
		if (!counts->origin_sessions[i])
			continue;
		fprintf(out, "%s: warning: %" PRIu64 " calls, in %" PRIu64 " of %" PRIu64 " sessions, came from %s memory%s\n", program,
			counts->origins[i], counts->origin_sessions[i], counts->sessions, origin_names[i],
			is_learned(counts, i) ? ". That is normal for a program that compiles code as it runs (JIT), and this profile "
						"learned it: calls from there raise NO alarm. If the application does not do that, "
						"its training data hold an attack: do not use this profile" :
						". That is not learned: such calls raise an alarm. Was it an attack?");
	}
	if (counts->gaps)
		fprintf(out, "%s: warning: the training has %" PRIu64 " gap%s; what happened there is not in the profile\n",
			program, counts->gaps, counts->gaps == 1 ? "" : "s");
}

json_t *profile_json(struct profile *profile, const struct counts *counts)
{
	const struct profile_info *info = profile_info(profile);
	json_t *json = json_object(), *origins = json_object();

	json_object_set_new(json, "path", json_text(profile_path(profile)));
	json_object_set_new(json, "application", json_text(info->application));
	json_object_set_new(json, "build_id", json_text(info->build_id));
	json_object_set_new(json, "arch", json_text(arch_name(info->arch)));
	json_object_set_new(json, "length", json_integer(info->length));
	json_object_set_new(json, "created", json_integer(info->created));
	json_object_set_new(json, "changed", json_integer(info->changed));
	json_object_set_new(json, "calls", json_integer((json_int_t)counts->calls));
	json_object_set_new(json, "sessions", json_integer((json_int_t)counts->sessions));
	json_object_set_new(json, "gaps", json_integer((json_int_t)counts->gaps));
	json_object_set_new(json, "lost", json_integer((json_int_t)counts->lost));
	json_object_set_new(json, "sequences", json_integer((json_int_t)full_sequences(counts)));
	for (int i = 0; i < ORIGIN_KINDS; i++)
		json_object_set_new(origins, origin_names[i],
				    json_pack("{s:I, s:I, s:b}", "calls", (json_int_t)counts->origins[i], "sessions",
					      (json_int_t)counts->origin_sessions[i], "learned", (int)is_learned(counts, i)));
	json_object_set_new(json, "origins", origins);
	return json;
}

struct show_config {
	unsigned calls, runs;
	const char *since, *curve;
	bool json;
};

static const struct option_spec options[] = {
	OPTION_UINT('n', "calls", "N", struct show_config, calls, 0, ALPHABET, "list the N most frequent calls (15)"),
	OPTION_UINT('r', "runs", "N", struct show_config, runs, 0, 1e9, "list the N latest learning runs (15)"),
	OPTION_STRING(0, "since", "DATE", struct show_config, since, "only runs from DATE on: YYYY-MM-DD, or \"YYYY-MM-DD HH:MM\""),
	OPTION_STRING(0, "curve", "FILE", struct show_config, curve,
		      "draw how completeness grew with the sessions: SVG, PNG or PDF, by the end of the name"),
	OPTION_FLAG(0, "json", struct show_config, json, "print JSON, with all runs and calls"),
	OPTION_END
};

static int show_run(int argc, char **argv);

const struct verb verb_profile_show = {
	.name = "profile show",
	.summary = "what a profile is of, what it learned, and from where",
	.synopsis = "[OPTIONS] PROFILE",
	.description = "Shows a profile for people: the application and its build, what was learned from which traces and when,\n"
		       "gaps, the most frequent calls, from which memory they came, and how complete the profile is.",
	.examples = "  imsafe profile show ftpd.db\n"
		    "  imsafe profile show --calls 0 --runs 100 ftpd.db   the last hundred runs\n"
		    "  imsafe profile show --json ftpd.db | jq .sessions\n",
	.options = options,
	.run = show_run,
};

struct shown_call {
	unsigned call;
	uint64_t count;
};

static int by_count(const void *a, const void *b)
{
	const struct shown_call *x = a, *y = b;

	if (x->count != y->count)
		return x->count > y->count ? -1 : 1;
	return (x->call > y->call) - (x->call < y->call);
}

/* All calls, most frequent first; returns how many occurred. */
static size_t count_calls(const struct counts *counts, struct shown_call calls[ALPHABET])
{
	size_t n = 0;

	for (unsigned i = 0; i < ALPHABET; i++)
		calls[i] = (struct shown_call){ .call = i };
	for (size_t i = 0; i < counts->n_grams; i++)
		calls[counts->grams[i].symbols[counts->grams[i].n - 1] % ALPHABET].count += counts->grams[i].count;
	qsort(calls, ALPHABET, sizeof(*calls), by_count);
	while (n < ALPHABET && calls[n].count)
		n++;
	return n;
}

struct run_list {
	json_t *json;    /* or */
	uint64_t skip;   /* older ones that are not printed */
	int64_t since;
	uint64_t at;
};

static int list_run(void *data, const struct profile_run *run)
{
	struct run_list *list = data;
	char date[32], source[4 * 4096], build_id[256] = "-", sensor[256] = "-", hash[24];

	if (run->date < list->since)
		return 0;
	if (list->json) {
		json_t *json = json_pack("{s:I, s:I, s:I, s:I, s:I, s:I}", "id", (json_int_t)run->id, "date", (json_int_t)run->date,
					 "calls", (json_int_t)run->calls, "sessions", (json_int_t)run->sessions, "gaps",
					 (json_int_t)run->gaps, "lost", (json_int_t)run->lost);

		snprintf(hash, sizeof(hash), "%016" PRIx64, run->source_hash);
		json_object_set_new(json, "source", json_text(run->source));
		json_object_set_new(json, "source_hash", json_string(hash));
		json_object_set_new(json, "sensor", json_text(run->sensor));
		json_object_set_new(json, "build_id", json_text(run->build_id));
		return json_array_append_new(list->json, json) < 0 ? -ENOMEM : 0;
	}
	if (list->at++ < list->skip)
		return 0;
	escape_text(build_id, sizeof(build_id), run->build_id ? run->build_id : "-");
	escape_text(sensor, sizeof(sensor), run->sensor ? run->sensor : "-");
	printf("  %5" PRId64 "  %s  %10" PRIu64 "  %8" PRIu64 "  %5" PRIu64 "  %-8s  %-12.12s  %s\n", run->id,
	       date_text(run->date, date, sizeof(date)), run->calls, run->sessions, run->gaps, sensor, build_id,
	       escape_text(source, sizeof(source), run->source));
	return 0;
}

struct since_count {
	int64_t since;
	uint64_t n;
};

static int count_run(void *data, const struct profile_run *run)
{
	struct since_count *count = data;

	count->n += run->date >= count->since;
	return 0;
}

static void print_calls(enum syscall_arch arch, const struct counts *counts, unsigned most)
{
	struct shown_call calls[ALPHABET];
	size_t n = count_calls(counts, calls);

	if (!n || !most)
		return;
	printf("\ncalls (%zu different)\n", n);
	for (size_t i = 0; i < MIN(n, most); i++) {
		char word[SYMBOL_WORD_MAX];

		printf("  %5.1f %%  %10" PRIu64 "  %s\n", 100.0 * (double)calls[i].count / (double)counts->calls, calls[i].count,
		       symbol_word(arch, calls[i].call, word, sizeof(word)));
	}
	if (n > most)
		printf("  and %zu more\n", n - most);
}

static void print_origins(const struct counts *counts)
{
	const char *separator = "";

	if (!counts->calls)
		return;
	printf("calls from    ");
	for (int i = 0; i < ORIGIN_KINDS; i++) {
		if (!counts->origins[i])
			continue;
		printf("%s%s %.4g %%%s", separator, i == ORIGIN_UNKNOWN ? "not recorded" : origin_names[i],
		       100.0 * (double)counts->origins[i] / (double)counts->calls,
		       i < ORIGIN_ANON ? "" : is_learned(counts, i) ? " (learned as normal)" : " (raises an alarm)");
		separator = ", ";
	}
	putchar('\n');
}

static int print_profile(struct profile *profile, const struct counts *counts, const struct completeness *completeness,
			 const struct show_config *config, int64_t since, struct errmsg *err)
{
	enum syscall_arch arch = profile_info(profile)->arch;
	struct since_count count = { .since = since };
	struct run_list list = { .since = since };
	struct image image;
	int r;

	r = freeze(counts, arch, &image, err);
	if (r >= 0)
		r = profile_each_run(profile, count_run, &count, err);
	if (r < 0)
		return r;
	profile_print_summary(profile, counts, stdout);
	print_origins(counts);
	printf("image         %u states, %u edges, %u KB\n", image.header->states, image.header->edges,
	       image.header->cells * (unsigned)sizeof(struct cell) / 1024);
	image_free(&image);
	putchar('\n');
	completeness_print(completeness, arch, stdout);
	print_calls(arch, counts, config->calls);
	if (!config->runs || !count.n)
		return 0;
	printf("\nlearning runs%s\n     id  date                   calls  sessions   gaps  sensor    build-id      source\n",
	       config->since ? " since then" : "");
	list.skip = count.n > config->runs ? count.n - config->runs : 0;
	if (list.skip)
		printf("  %" PRIu64 " older ones, then\n", list.skip);
	return profile_each_run(profile, list_run, &list, err);
}

static int print_json(struct profile *profile, const struct counts *counts, const struct completeness *completeness,
		      int64_t since, struct errmsg *err)
{
	json_t *json = profile_json(profile, counts), *calls = json_object();
	struct run_list list = { .json = json_array(), .since = since };
	struct shown_call shown[ALPHABET];
	size_t n = count_calls(counts, shown);
	int r;

	for (size_t i = 0; i < n; i++) {
		char word[SYMBOL_WORD_MAX];

		json_object_set_new(calls, symbol_word(profile_info(profile)->arch, shown[i].call, word, sizeof(word)),
				    json_integer((json_int_t)shown[i].count));
	}
	r = profile_each_run(profile, list_run, &list, err);
	json_object_set_new(json, "completeness", completeness_json(completeness, profile_info(profile)->arch));
	json_object_set_new(json, "call_counts", calls);
	json_object_set_new(json, "runs", list.json);
	if (r < 0)
		json_decref(json);
	else
		json_print(json);
	return r;
}

static int show(const char *path, const struct show_config *config, const char *program, struct errmsg *err)
{
	_cleanup_(profile_closep) struct profile *profile = NULL;
	_cleanup_(counts_done) struct counts counts = { 0 };
	_cleanup_(completeness_done) struct completeness completeness = { 0 };
	int64_t since = 0;
	int r;

	if (config->since && date_parse(config->since, &since) < 0)
		return errmsg_set(err, -EINVAL, NULL, 0, "'%s' is no date; use YYYY-MM-DD", config->since);
	r = profile_open(path, PROFILE_READ, NULL, &profile, err);
	if (r >= 0)
		r = profile_counts(profile, since, &counts, err);
	if (r < 0)
		return r;
	if (!since)
		r = completeness_of_profile(profile, &completeness, err);
	else if ((r = completeness_of_counts(&counts, &completeness)) < 0)
		errmsg_errno(err, r, path, "cannot estimate completeness");
	if (r >= 0)
		r = config->json ? print_json(profile, &counts, &completeness, since, err) :
				   print_profile(profile, &counts, &completeness, config, since, err);
	if (r >= 0 && config->curve)
		r = completeness_plot(&completeness, config->curve, err);
	if (r >= 0 && !config->json)
		profile_print_warnings(&counts, program, stderr);
	return r;
}

static int show_run(int argc, char **argv)
{
	struct show_config config = { .calls = 15, .runs = 15 };
	struct errmsg err = { 0 };
	int rest = 0, r;

	r = options_parse(&verb_profile_show, argc, argv, &config, false, &rest, &err);
	if (r > 0)
		return EXIT_OK;
	if (r >= 0 && argc - rest != 1)
		r = errmsg_set(&err, -EINVAL, NULL, 0, "name one profile to show");
	if (r >= 0)
		r = show(argv[rest], &config, argv[0], &err);
	if (r >= 0)
		return EXIT_OK;
	errmsg_print(&err, stderr, argv[0]);
	return EXIT_ERROR;
}
