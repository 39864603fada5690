/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cli/outliers-print.h"

#include <inttypes.h>
#include <string.h>

#include "trace/arch.h"

#define SHOWN     10
#define LABEL_MAX 64

struct source_search {
	int64_t run;
	char source[512];
};

static int see_run(void *data, const struct profile_run *run)
{
	struct source_search *search = data;

	if (run->id == search->run)
		escape_text(search->source, sizeof(search->source), run->source ? run->source : "");
	return 0;
}

static int find_source(struct profile *profile, int64_t run, struct source_search *ret_search, struct errmsg *err)
{
	*ret_search = (struct source_search){ .run = run, .source = "a run that was taken out" };
	return profile_each_run(profile, see_run, ret_search, err);
}

static double normality(uint32_t cost)
{
	return score_normality(cost) / 100.0;
}

static void print_reason(const struct outlier *outlier, enum syscall_arch arch, FILE *out)
{
	char label[LABEL_MAX];

	fprintf(out, "normality %.0f %%, at worst %.0f %% over %d calls; %.0f %% of its calls came in an order met nowhere else",
		normality(outlier->mean), normality(outlier->peak), OUTLIER_WINDOW, 100 * outlier->unseen);
	for (size_t i = 0; i < outlier->n_unknown; i++)
		fprintf(out, "%s %s", i ? "," : "; only here:",
			syscall_label(arch, outlier->unknown[i], label, sizeof(label)));
	if (outlier->all_unknown > outlier->n_unknown)
		fprintf(out, " and %zu more", outlier->all_unknown - outlier->n_unknown);
	fputc('\n', out);
}

int outliers_print(struct profile *profile, const struct outliers *outliers, bool left_out, FILE *out, struct errmsg *err)
{
	if (!outliers->n)
		return 0;
	fprintf(out, "%zu session%s stand%s far from all others%s:\n", outliers->n, outliers->n == 1 ? "" : "s",
		outliers->n == 1 ? "s" : "",
		left_out ? outliers->n == 1 ? " and is left out" : " and are left out" : " (an attack in the training? a rare part of the application's life?)");
	for (size_t i = 0; i < outliers->n && i < SHOWN; i++) {
		const struct outlier *outlier = &outliers->list[i];
		struct source_search search;
		int r = find_source(profile, outlier->run, &search, err);

		if (r < 0)
			return r;
		fprintf(out, "  %s: ", search.source);
		if (outlier->tid)
			fprintf(out, "thread %u, ", outlier->tid);
		fprintf(out, "%" PRIu64 " calls, ", outlier->calls);
		print_reason(outlier, profile_info(profile)->arch, out);
	}
	if (outliers->n > SHOWN)
		fprintf(out, "  and %zu more\n", outliers->n - SHOWN);
	if (!left_out)
		fprintf(out, "  Look at them ('imsafe trace FILE -o - | grep \" THREAD \"' prints their calls); 'imsafe learn "
			"--leave-out-outliers' into a new profile learns the rest.\n");
	return 0;
}

json_t *outliers_json(struct profile *profile, const struct outliers *outliers)
{
	json_t *list = json_array();
	char label[LABEL_MAX];

	for (size_t i = 0; i < outliers->n; i++) {
		const struct outlier *outlier = &outliers->list[i];
		json_t *unknown = json_array();
		struct source_search search = { .source = "" };

		find_source(profile, outlier->run, &search, NULL);
		for (size_t k = 0; k < outlier->n_unknown; k++)
			json_array_append_new(unknown, json_string(syscall_label(profile_info(profile)->arch, outlier->unknown[k],
										 label, sizeof(label))));
		json_array_append_new(list, json_pack("{s:s,s:I,s:I,s:I,s:f,s:f,s:f,s:o}", "source", search.source, "tid",
						      (json_int_t)outlier->tid, "calls", (json_int_t)outlier->calls,
						      "copies", (json_int_t)outlier->copies, "normality",
						      normality(outlier->mean), "worst", normality(outlier->peak), "unseen",
						      outlier->unseen, "only_here", unknown));
	}
	return list;
}
