/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* imsafe profile diff. */
#include <inttypes.h>
#include <string.h>

#include "cli/json.h"
#include "cli/profile-show.h"
#include "cli/verbs.h"
#include "model/diff.h"

struct diff_config {
	unsigned lines;
	bool json, quiet;
};

static const struct option_spec options[] = {
	OPTION_UINT('n', "lines", "N", struct diff_config, lines, 0, 1e9, "show at most N differences each way (20); 0 = all"),
	OPTION_FLAG('q', "quiet", struct diff_config, quiet, "print nothing, only set the exit status"),
	OPTION_FLAG(0, "json", struct diff_config, json, "print JSON, with all differences"),
	OPTION_END
};

static int diff_run(int argc, char **argv);

const struct verb verb_profile_diff = {
	.name = "profile diff",
	.summary = "what one profile has that another lacks",
	.synopsis = "[OPTIONS] A B",
	.description =
		"Shows which sequences of calls only A has learned, and which only B, as call names, the most frequent first. Each\n"
		"is as short as it can be and still new to the other profile: a call that only A knows is one difference, however\n"
		"many sequences it is part of. How often they occurred is shown with each; frequencies alone are no difference.\n"
		"\n"
		"Exit status: 0 neither has anything that the other lacks, 1 they differ, 2 error.",
	.examples = "  imsafe profile diff old.db new.db\n"
		    "  imsafe profile diff -q reviewed.db built.db || echo 'review the new behaviour'\n",
	.options = options,
	.run = diff_run,
};

struct side {
	struct profile *profile;
	struct counts counts;
	struct diff diff;
};

static void side_done(struct side *side)
{
	profile_close(side->profile);
	counts_done(&side->counts);
	diff_done(&side->diff);
}

static void print_side(const struct side *side, char sign, unsigned lines)
{
	char text[2048], path[4096 * 4];
	double total = side->counts.calls ? (double)side->counts.calls : 1;
	size_t shown = lines ? MIN(side->diff.n, lines) : side->diff.n;

	if (!side->diff.n)
		return;
	printf("only in %s: %zu difference%s, in %" PRIu64 " sequences, %.3g %% of its calls\n",
	       escape_text(path, sizeof(path), profile_path(side->profile)), side->diff.n, side->diff.n == 1 ? "" : "s",
	       side->diff.grams, 100.0 * (double)side->diff.calls / total);
	for (size_t i = 0; i < shown; i++)
		printf("%c %10" PRIu64 "  %6.3f %%  %s\n", sign, side->diff.only[i].count,
		       100.0 * (double)side->diff.only[i].count / total,
		       gram_text(profile_info(side->profile)->arch, &side->diff.only[i], text, sizeof(text)));
	if (shown < side->diff.n)
		printf("%c and %zu more\n", sign, side->diff.n - shown);
}

static json_t *json_side(const struct side *side)
{
	json_t *json = json_object(), *list = json_array();
	char text[2048];

	for (size_t i = 0; i < side->diff.n; i++)
		json_array_append_new(list, json_pack("{s:s, s:I}", "calls",
						      gram_text(profile_info(side->profile)->arch, &side->diff.only[i], text,
								sizeof(text)),
						      "count", (json_int_t)side->diff.only[i].count));
	json_object_set_new(json, "path", json_text(profile_path(side->profile)));
	json_object_set_new(json, "calls", json_integer((json_int_t)side->counts.calls));
	json_object_set_new(json, "calls_only_here", json_integer((json_int_t)side->diff.calls));
	json_object_set_new(json, "sequences_only_here", json_integer((json_int_t)side->diff.grams));
	json_object_set_new(json, "only", list);
	return json;
}

static int compare(struct side side[2], char **paths, const char *program, struct errmsg *err)
{
	unsigned length = LENGTH_MAX;
	int r;

	for (int i = 0; i < 2; i++) {
		r = profile_open(paths[i], PROFILE_READ, NULL, &side[i].profile, err);
		if (r >= 0)
			r = profile_counts(side[i].profile, 0, &side[i].counts, err);
		if (r < 0)
			return r;
		length = MIN(length, side[i].counts.length);
	}
	if (profile_info(side[0].profile)->arch != profile_info(side[1].profile)->arch)
		return errmsg_set(err, -EINVAL, paths[1], 0, "this profile is for %s, the other for %s: their calls cannot be "
				  "compared", arch_name(profile_info(side[1].profile)->arch),
				  arch_name(profile_info(side[0].profile)->arch));
	for (int i = 0; i < 2; i++) {
		if (side[i].counts.length == length)
			continue;
		fprintf(stderr, "%s: the profiles have different sequence lengths; compared at length %u\n", program, length);
		r = counts_shorten(&side[i].counts, length);
		if (r < 0)
			return errmsg_errno(err, r, NULL, "cannot compare the profiles");
	}
	for (int i = 0; i < 2; i++) {
		r = diff_counts(&side[i].counts, &side[!i].counts, &side[i].diff);
		if (r < 0)
			return errmsg_errno(err, r, NULL, "cannot compare the profiles");
	}
	return 0;
}

static int diff_run(int argc, char **argv)
{
	struct diff_config config = { .lines = 20 };
	struct side side[2] = { 0 };
	struct errmsg err = { 0 };
	int rest = 0, r, differ;

	r = options_parse(&verb_profile_diff, argc, argv, &config, false, &rest, &err);
	if (r > 0)
		return EXIT_OK;
	if (r >= 0 && argc - rest != 2)
		r = errmsg_set(&err, -EINVAL, NULL, 0, "name two profiles to compare");
	if (r >= 0)
		r = compare(side, argv + rest, argv[0], &err);
	differ = side[0].diff.n || side[1].diff.n;
	if (r < 0) {
		errmsg_print(&err, stderr, argv[0]);
	} else if (config.json) {
		json_print(json_pack("{s:b, s:[o, o]}", "differ", differ, "profiles", json_side(&side[0]), json_side(&side[1])));
	} else if (!config.quiet) {
		print_side(&side[0], '-', config.lines);
		print_side(&side[1], '+', config.lines);
		if (!differ)
			puts("both have learned the same sequences");
	}
	side_done(&side[0]);
	side_done(&side[1]);
	return r < 0 ? EXIT_ERROR : differ ? EXIT_ALARM : EXIT_OK;
}
