/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cli/completeness-print.h"

#include <inttypes.h>
#include <math.h>

#include "cli/chart.h"
#include "cli/layout.h"

#define LABEL_MAX 64

/* A share in percent, with as many digits as it is good for, and never with an exponent. */
static const char *percent(double share, char buffer[16])
{
	double x = 100 * share;

	snprintf(buffer, 16, x >= 10 ? "%.0f" : x >= 0.001 ? "%.2g" : x > 0 ? "under 0.001" : "0", x);
	return buffer;
}

void completeness_print_line(const struct completeness *c, FILE *out)
{
	char sequences[16], calls[16];

	if (c->level == COMPLETENESS_TOO_LITTLE)
		layout_printf(out, 2, "Completeness: %s (%" PRIu64 " of the %d sessions it takes to say more)\n",
			      completeness_word(c->level), c->sessions, COMPLETENESS_JUDGE);
	else
		layout_printf(out, 2, "Completeness: %s; of a new session about %s %% of the sequences and %s %% of the calls will "
			      "be new\n", completeness_word(c->level), percent(c->unseen, sequences), percent(c->unseen_calls, calls));
}

/* Two digits are as many as a forecast is good for. */
static double two_digits(double x)
{
	double unit = pow(10, floor(log10(fmax(x, 1))) - 1);

	return x < 100 ? ceil(x) : round(x / unit) * unit;
}

static void print_forecast(const struct completeness *c, FILE *out)
{
	if (c->unseen == 0)
		fprintf(out, "  Every sequence was met in several sessions.\n");
	else if (isinf(c->halving))
		fprintf(out, "  No end in sight: at this pace more sessions would bring as much that is new.\n");
	else if (c->halving > 0)
		fprintf(out, "  About %.0f more sessions like these would halve that.\n", two_digits(c->halving));
}

static void print_curve(const struct completeness *c, FILE *out)
{
	static const double shares[] = { 0.1, 0.25, 0.5, 1 };
	size_t last = SIZE_MAX;
	char buffer[16];

	if (c->n_curve < 4)
		return;
	fprintf(out, "  New sequences so far:");
	for (size_t i = 0; i < ARRAY_SIZE(shares); i++) {
		size_t at = (size_t)lround(shares[i] * (double)(c->n_curve - 1));

		if (at != last)
			fprintf(out, "%s %s %% after %.0f", last == SIZE_MAX ? "" : ",", percent(c->curve[at].unseen, buffer),
				c->curve[at].sessions);
		last = at;
	}
	fprintf(out, " sessions\n");
}

static void print_thin(const struct completeness *c, enum syscall_arch arch, FILE *out)
{
	char buffer[LABEL_MAX];

	fprintf(out, "  Thinly covered: %" PRIu64 " of %" PRIu64 " sequences were met in one session only\n", c->once,
		c->sequences);
	for (size_t i = 0; i < c->n_thin; i++)
		fprintf(out, "%s %s", i ? "," : "  Calls met once or twice:",
			syscall_label(arch, c->thin[i].call, buffer, sizeof(buffer)));
	if (c->n_thin)
		fprintf(out, c->all_thin > c->n_thin ? ", and %zu more\n" : "\n", c->all_thin - c->n_thin);
	for (size_t i = 0; i < c->n_sources && c->sources[0].only < c->sequences; i++) {
		char source[512];

		fprintf(out, "%s %8" PRIu64 " of %" PRIu64 "  %s\n", i ? "   " : "  Sequences that one run alone brought:\n   ",
			c->sources[i].only, c->sources[i].sequences,
			escape_text(source, sizeof(source), c->sources[i].source));
	}
}

static void print_basis(const struct completeness *c, enum syscall_arch arch, FILE *out)
{
	fprintf(out, "  Basis: %" PRIu64 " sessions; of their %" PRIu64 " sequences, each counted once a session, %" PRIu64
		     " were met in that session alone\n", c->sessions, c->pairs, c->once);
	if (c->level != COMPLETENESS_TOO_LITTLE) {
		print_curve(c, out);
		print_forecast(c, out);
	}
	if (c->gaps)
		fprintf(out, "  Gaps: %" PRIu64 ", with at least %" PRIu64 " calls lost. What happened in them is unknown, so the profile "
			     "is never called complete.\n", c->gaps, c->lost);
	print_thin(c, arch, out);
}

void completeness_print(const struct completeness *c, enum syscall_arch arch, FILE *out)
{
	_cleanup_free_ char *text = NULL;
	size_t size;
	FILE *memory;

	completeness_print_line(c, out);
	memory = c->sessions ? open_memstream(&text, &size) : NULL;
	if (!memory)
		return;
	print_basis(c, arch, memory);
	if (!fclose(memory))
		layout_print(text, 2, out);
}

static json_t *curve_json(const struct completeness *c)
{
	json_t *list = json_array();

	for (size_t i = 0; i < c->n_curve; i++)
		json_array_append_new(list, json_pack("{s:f,s:f,s:f,s:f}", "sessions", c->curve[i].sessions, "sequences",
						      c->curve[i].sequences, "unseen", c->curve[i].unseen, "unseen_calls",
						      c->curve[i].unseen_calls));
	return list;
}

json_t *completeness_json(const struct completeness *c, enum syscall_arch arch)
{
	json_t *thin = json_array(), *sources = json_array();
	char buffer[LABEL_MAX], source[1024];

	for (size_t i = 0; i < c->n_thin; i++)
		json_array_append_new(thin, json_pack("{s:i,s:s,s:I}", "call", c->thin[i].call, "name",
						      syscall_label(arch, c->thin[i].call, buffer, sizeof(buffer)), "count",
						      (json_int_t)c->thin[i].count));
	for (size_t i = 0; i < c->n_sources; i++)
		json_array_append_new(sources, json_pack("{s:I,s:s,s:I,s:I,s:I}", "run", (json_int_t)c->sources[i].run,
							 "source", escape_text(source, sizeof(source), c->sources[i].source),
							 "sessions", (json_int_t)c->sources[i].sessions, "sequences",
							 (json_int_t)c->sources[i].sequences, "only_here",
							 (json_int_t)c->sources[i].only));
	return json_pack("{s:s,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:f,s:f,s:o,s:o,s:I,s:o,s:o}",
			 "word", completeness_word(c->level), "sessions", (json_int_t)c->sessions, "calls",
			 (json_int_t)c->calls, "gaps", (json_int_t)c->gaps, "lost", (json_int_t)c->lost, "sequences",
			 (json_int_t)c->sequences, "session_sequences", (json_int_t)c->pairs, "met_in_one_session",
			 (json_int_t)c->once, "unseen", c->unseen, "unseen_calls", c->unseen_calls, "sessions_to_halve",
			 isfinite(c->halving) ? json_real(c->halving) : json_null(), "thin_calls", thin,
			 "calls_met_once_or_twice", (json_int_t)c->all_thin, "sources", sources, "curve", curve_json(c));
}

int completeness_plot(const struct completeness *c, const char *path, struct errmsg *err)
{
	_cleanup_free_ struct chart_point *points = calloc(2 * c->n_curve + 1, sizeof(*points));
	struct chart_series series[2];
	char subtitle[256];

	if (!points)
		return errmsg_errno(err, -ENOMEM, path, "cannot draw it");
	for (size_t i = 0; i < c->n_curve; i++) {
		points[i] = (struct chart_point){ c->curve[i].sessions, 100 * c->curve[i].unseen };
		points[c->n_curve + i] = (struct chart_point){ c->curve[i].sessions, 100 * c->curve[i].unseen_calls };
	}
	series[0] = (struct chart_series){ .name = "sequences", .points = points, .n = c->n_curve, .color = CHART_BLUE };
	series[1] = (struct chart_series){ .name = "calls", .points = points + c->n_curve, .n = c->n_curve,
					   .color = CHART_ORANGE };
	snprintf(subtitle, sizeof(subtitle), "%s after %" PRIu64 " sessions", completeness_word(c->level), c->sessions);
	return chart_write(&(struct chart){
		.title = "What is new in the next session", .subtitle = subtitle,
		.x = { .label = "sessions learned" }, .y = { .label = "share that is new", .unit = "%" },
		.series = series, .n_series = 2,
	}, path, chart_format_of(path), 0, 0, err);
}
