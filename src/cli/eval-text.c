/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <inttypes.h>

#include "cli/eval-report.h"

#define SHOWN_RATE 1 /* of roc_rates: the one that attacks are counted at */

static const char *plural(size_t n, const char *one, const char *many)
{
	return n == 1 ? one : many;
}

static void print_head(const struct evaluation *evaluation, FILE *out)
{
	const struct dataset *set = evaluation->set;
	char name[256];

	fprintf(out, "%s: ", escape_text(name, sizeof(name), set->name));
	if (set->has_training)
		fprintf(out, "%zu training and %zu normal processes", set->roles[ROLE_TRAINING], set->roles[ROLE_NORMAL]);
	else
		fprintf(out, "%zu normal processes in %u folds", set->roles[ROLE_NORMAL], evaluation->folds);
	fprintf(out, ", %zu %s of %zu %s (%zu %s), %" PRIu64 " calls\n", set->roles[ROLE_ATTACK],
		plural(set->roles[ROLE_ATTACK], "trace", "traces"), set->n_attacks,
		plural(set->n_attacks, "attack", "attacks"), set->n_kinds, plural(set->n_kinds, "kind", "kinds"), set->calls);
}

static void print_rates(FILE *out)
{
	for (int i = 0; i < RATES; i++)
		fprintf(out, "  @%2.0f %%", 100 * roc_rates[i]);
}

static void print_measures(const struct interval *measures, const char *format, FILE *out)
{
	fprintf(out, format, measures[0].value, measures[0].low, measures[0].high);
	for (int i = 0; i < RATES; i++)
		fprintf(out, "  %5.1f", 100 * measures[1 + i].value);
}

static void print_detection(const struct evaluation *evaluation, FILE *out)
{
	fprintf(out, "\n%-26s %-20s", "detector", "AUC (95 % interval)");
	print_rates(out);
	fprintf(out, "  attacks caught @%.0f %%\n", 100 * roc_rates[SHOWN_RATE]);
	for (size_t d = 0; d < evaluation->n_detectors; d++) {
		const struct detector_result *result = &evaluation->results[d];

		fprintf(out, "%-26s ", evaluation->detectors[d].name);
		print_measures(result->measures, "%.3f (%.3f-%.3f)  ", out);
		fprintf(out, "  %u of %zu\n", result->caught[SHOWN_RATE], evaluation->set->n_attacks);
	}
}

static void print_difference(const struct interval *difference, double scale, FILE *out)
{
	fprintf(out, "  %+6.*f (%+.*f to %+.*f)%s", scale > 1 ? 1 : 3, scale * difference->value, scale > 1 ? 1 : 3,
		scale * difference->low, scale > 1 ? 1 : 3, scale * difference->high,
		difference->low > 0 || difference->high < 0 ? "*" : " ");
}

static void print_differences(const struct evaluation *evaluation, FILE *out)
{
	if (evaluation->n_detectors < 2)
		return;
	fprintf(out, "\nCompared with %s, paired, with 95 %% intervals (* excludes 0):\n",
		evaluation->detectors[evaluation->reference].name);
	for (size_t d = 0; d < evaluation->n_detectors; d++) {
		const struct detector_result *result = &evaluation->results[d];

		if (d == evaluation->reference)
			continue;
		fprintf(out, "%-26s AUC", evaluation->detectors[d].name);
		print_difference(&result->differences[0], 1, out);
		fprintf(out, "   @1 %%");
		print_difference(&result->differences[2], 100, out);
		fprintf(out, "   @5 %%");
		print_difference(&result->differences[4], 100, out);
		fprintf(out, "\n");
	}
}

static void print_resplits(const struct evaluation *evaluation, FILE *out)
{
	if (!evaluation->resplits)
		return;
	fprintf(out, "\n%u random re-splits of the normals: mean, and the middle 95 %% of the AUC\n%-26s %-20s",
		evaluation->resplits, "detector", "AUC");
	print_rates(out);
	fprintf(out, "  AUC against %s\n", evaluation->detectors[evaluation->reference].name);
	for (size_t d = 0; d < evaluation->n_detectors; d++) {
		const struct detector_result *result = &evaluation->results[d];

		fprintf(out, "%-26s ", evaluation->detectors[d].name);
		print_measures(result->resplit, "%.3f (%.3f-%.3f)  ", out);
		if (d != evaluation->reference)
			print_difference(&result->resplit_differences[0], 1, out);
		fprintf(out, "\n");
	}
}

static void print_traces(const char *name, uint32_t traces, FILE *out)
{
	char escaped[256], text[320];

	snprintf(text, sizeof(text), "%s, %u %s", escape_text(escaped, sizeof(escaped), name), traces, plural(traces, "trace", "traces"));
	fprintf(out, "\n%-27s", text);
	print_rates(out);
	fprintf(out, "\n");
}

static void print_shares(const struct detector *detector, const struct detection *detection, FILE *out)
{
	fprintf(out, "%-27s", detector->name);
	for (int i = 0; i < RATES; i++)
		fprintf(out, "  %5.1f", 100 * detection->share[i]);
	fprintf(out, "\n");
}

static void print_kinds(const struct evaluation *evaluation, FILE *out)
{
	fprintf(out, "\nDetected by kind of attack, in %%:\n");
	for (size_t i = 0; i < evaluation->set->n_kinds; i++) {
		print_traces(evaluation->set->kinds[i], evaluation->results[0].kinds[i].units, out);
		for (size_t d = 0; d < evaluation->n_detectors; d++)
			print_shares(&evaluation->detectors[d], &evaluation->results[d].kinds[i], out);
	}
}

static void print_attacks(const struct evaluation *evaluation, FILE *out)
{
	fprintf(out, "\nDetected by attack, in %%:\n");
	for (size_t i = 0; i < evaluation->set->n_attacks; i++) {
		print_traces(evaluation->set->attacks[i].name, evaluation->results[0].attacks[i].units, out);
		for (size_t d = 0; d < evaluation->n_detectors; d++)
			print_shares(&evaluation->detectors[d], &evaluation->results[d].attacks[i], out);
	}
}

void eval_report_text(const struct evaluation *evaluation, bool each, FILE *out)
{
	print_head(evaluation, out);
	print_detection(evaluation, out);
	print_differences(evaluation, out);
	print_resplits(evaluation, out);
	print_kinds(evaluation, out);
	if (each)
		print_attacks(evaluation, out);
}
