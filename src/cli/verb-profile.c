/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* imsafe profile: the verbs that change, check, export and import profiles; show and diff are in files of their own. */
#include <inttypes.h>
#include <string.h>

#include "cli/profile-show.h"
#include "cli/profile-tune.h"
#include "cli/verbs.h"
#include "model/profile-text.h"

static const struct option_spec no_options[] = { OPTION_END };

static int fail(const char *program, const struct errmsg *err)
{
	errmsg_print(err, stderr, program);
	return EXIT_ERROR;
}

/* ---- merge ---- */

struct merge_config {
	const char *output;
	bool force;
};

static const struct option_spec merge_options[] = {
	OPTION_STRING('o', "output", "PROFILE", struct merge_config, output, "merge into this profile; made if it is not there"),
	OPTION_FLAG(0, "force", struct merge_config, force, "merge profiles of different applications"),
	OPTION_END
};

static int merge_run(int argc, char **argv);

static const struct verb verb_profile_merge = {
	.name = "profile merge",
	.summary = "add profiles together",
	.synopsis = "[OPTIONS] -o PROFILE FROM...",
	.description = "Adds everything that the profiles FROM learned to PROFILE. The result is exactly what learning all their\n"
		       "traces into one profile would have given. Runs keep where they came from; one that PROFILE has already is\n"
		       "not added again. The profiles must have the same architecture and sequence length.",
	.examples = "  imsafe profile merge -o fleet.db host1.db host2.db host3.db\n",
	.options = merge_options,
	.run = merge_run,
};

static int merge_one(struct profile **to, const char *path, const struct merge_config *config, struct errmsg *err)
{
	_cleanup_(profile_closep) struct profile *from = NULL;
	const char *application;
	int r;

	r = profile_open(path, PROFILE_READ, NULL, &from, err);
	if (r >= 0 && !*to) {
		r = profile_open(config->output, PROFILE_CREATE, profile_info(from), to, err);
		if (r >= 0)
			r = profile_begin(*to, err);
	}
	if (r < 0)
		return r;
	application = profile_info(*to)->application;
	if (!config->force && application && profile_info(from)->application &&
	    strcmp(application, profile_info(from)->application))
		return errmsg_set(err, -EINVAL, path, 0, "this profile is of %.150s, %.150s of %.150s; --force merges them",
				  profile_info(from)->application, config->output, application);
	return profile_merge(*to, from, err);
}

static int merge_run(int argc, char **argv)
{
	_cleanup_(profile_closep) struct profile *to = NULL;
	struct merge_config config = { 0 };
	struct errmsg err = { 0 };
	int rest = 0, added = 0, r;

	r = options_parse(&verb_profile_merge, argc, argv, &config, false, &rest, &err);
	if (r > 0)
		return EXIT_OK;
	if (r >= 0 && !config.output)
		r = errmsg_set(&err, -EINVAL, NULL, 0, "-o PROFILE says where to merge into");
	if (r >= 0 && rest == argc)
		r = errmsg_set(&err, -EINVAL, NULL, 0, "name the profiles to merge");
	for (int i = rest; i < argc && r >= 0; i++) {
		r = merge_one(&to, argv[i], &config, &err);
		added += r > 0 ? r : 0;
	}
	if (r >= 0)
		r = profile_commit(to, &err);
	if (r < 0)
		return fail(argv[0], &err);
	printf("added %d learning run%s\n", added, added == 1 ? "" : "s");
	return EXIT_OK;
}

/* ---- subtract ---- */

struct subtract_config {
	struct option_list sources;
	const char *before, *since;
	bool dry_run;
};

static const struct option_spec subtract_options[] = {
	OPTION_LIST(0, "source", "NAME", struct subtract_config, sources, "runs that learned from NAME; may be given several times"),
	OPTION_STRING(0, "before", "DATE", struct subtract_config, before, "runs dated before DATE: forget what is out of date"),
	OPTION_STRING(0, "since", "DATE", struct subtract_config, since, "runs dated DATE or later: undo what was learned lately"),
	OPTION_FLAG('n', "dry-run", struct subtract_config, dry_run, "only say which runs would be taken out"),
	OPTION_END
};

static int subtract_run(int argc, char **argv);

static const struct verb verb_profile_subtract = {
	.name = "profile subtract",
	.summary = "take learning runs out of a profile again",
	.synopsis = "[OPTIONS] PROFILE [RUN...]",
	.description = "Takes learning runs out of a profile, as if they had never been learned: by their number, as 'imsafe profile\n"
		       "show' lists them, by source, or by date (YYYY-MM-DD, \"YYYY-MM-DD HH:MM\"). With both --since and --before,\n"
		       "runs between the two.",
	.examples = "  imsafe profile subtract ftpd.db 7                       run 7\n"
		    "  imsafe profile subtract ftpd.db --source monday.trace\n"
		    "  imsafe profile subtract ftpd.db --before 2026-01-01     forget last year\n",
	.options = subtract_options,
	.run = subtract_run,
};

struct subtracting {
	const struct subtract_config *config;
	int64_t before, since; /* -1: not given */
	char **runs;           /* numbers */
	int n_runs;
	int64_t *ids;          /* to be taken out */
	size_t n;
};

static bool is_chosen(const struct subtracting *s, const struct profile_run *run)
{
	char id[32];

	snprintf(id, sizeof(id), "%" PRId64, run->id);
	for (int i = 0; i < s->n_runs; i++)
		if (!strcmp(s->runs[i], id))
			return true;
	for (size_t i = 0; i < s->config->sources.n; i++)
		if (!strcmp(s->config->sources.values[i], run->source))
			return true;
	if (s->before < 0 && s->since < 0)
		return false;
	return (s->before < 0 || run->date < s->before) && (s->since < 0 || run->date >= s->since);
}

static int choose(void *data, const struct profile_run *run)
{
	struct subtracting *s = data;
	char text[4 * 4096], date[32];
	int64_t *ids;

	if (!is_chosen(s, run))
		return 0;
	ids = realloc(s->ids, (s->n + 1) * sizeof(*ids));
	if (!ids)
		return -ENOMEM;
	s->ids = ids;
	ids[s->n++] = run->id;
	printf("%s run %" PRId64 " of %s, %" PRIu64 " calls, from %s\n", s->config->dry_run ? "would take out" : "taking out",
	       run->id, date_text(run->date, date, sizeof(date)), run->calls, escape_text(text, sizeof(text), run->source));
	return 0;
}

static int subtract_check(struct subtracting *s, struct errmsg *err)
{
	s->before = s->since = -1;
	if (s->config->before && date_parse(s->config->before, &s->before) < 0)
		return errmsg_set(err, -EINVAL, NULL, 0, "'%s' is no date; use YYYY-MM-DD", s->config->before);
	if (s->config->since && date_parse(s->config->since, &s->since) < 0)
		return errmsg_set(err, -EINVAL, NULL, 0, "'%s' is no date; use YYYY-MM-DD", s->config->since);
	for (int i = 0; i < s->n_runs; i++) {
		unsigned long long number;

		if (parse_uint(s->runs[i], 1, INT64_MAX, &number) < 0)
			return errmsg_set(err, -EINVAL, NULL, 0, "'%s' is no number of a learning run; 'imsafe profile show' lists them",
					  s->runs[i]);
	}
	if (s->before < 0 && s->since < 0 && !s->n_runs && !s->config->sources.n)
		return errmsg_set(err, -EINVAL, NULL, 0, "say which learning runs: by number, --source, --before or --since");
	return 0;
}

static int subtract(struct subtracting *s, const char *path, struct errmsg *err)
{
	_cleanup_(profile_closep) struct profile *profile = NULL;
	int r;

	r = profile_open(path, s->config->dry_run ? PROFILE_READ : PROFILE_WRITE, NULL, &profile, err);
	if (r >= 0 && !s->config->dry_run)
		r = profile_begin(profile, err);
	if (r >= 0)
		r = profile_each_run(profile, choose, s, err);
	if (r >= 0 && !s->n)
		r = errmsg_set(err, -ENOENT, path, 0, "there is no such learning run in this profile");
	if (r < 0 || s->config->dry_run)
		return r;
	for (size_t i = 0; i < s->n && r >= 0; i++)
		r = profile_remove_run(profile, s->ids[i], err);
	return r < 0 ? r : profile_commit(profile, err);
}

static int subtract_run(int argc, char **argv)
{
	struct subtract_config config = { 0 };
	struct subtracting s = { .config = &config };
	struct errmsg err = { 0 };
	int rest = 0, r;

	r = options_parse(&verb_profile_subtract, argc, argv, &config, false, &rest, &err);
	if (r > 0)
		return EXIT_OK;
	if (r >= 0 && rest == argc)
		r = errmsg_set(&err, -EINVAL, NULL, 0, "name the profile to take runs out of");
	if (r >= 0) {
		s.runs = argv + rest + 1;
		s.n_runs = argc - rest - 1;
		r = subtract_check(&s, &err);
	}
	if (r >= 0)
		r = subtract(&s, argv[rest], &err);
	free(s.ids);
	return r < 0 ? fail(argv[0], &err) : EXIT_OK;
}

/* ---- check ---- */

static int check_run(int argc, char **argv);

static const struct verb verb_profile_check = {
	.name = "profile check",
	.summary = "is everything in a profile as it should be",
	.synopsis = "PROFILE...",
	.description = "Reads everything in each profile and holds it against each other: the database's pages, the counts of every\n"
		       "learning run against its totals, the kept sessions against their hashes, and the image made of it all.\n"
		       "\n"
		       "Exit status: 0 all are sound, 1 one is damaged, 2 one cannot be opened as a profile.",
	.examples = "  imsafe profile check ftpd.db && imsafe monitor ftpd.db ...\n",
	.options = no_options,
	.run = check_run,
};

static int check_run(int argc, char **argv)
{
	struct errmsg err = { 0 };
	int rest = 0, status = EXIT_OK, r;

	r = options_parse(&verb_profile_check, argc, argv, NULL, false, &rest, &err);
	if (r > 0)
		return EXIT_OK;
	if (r >= 0 && rest == argc)
		r = errmsg_set(&err, -EINVAL, NULL, 0, "name a profile to check");
	if (r < 0)
		return fail(argv[0], &err);
	for (int i = rest; i < argc; i++) {
		_cleanup_(profile_closep) struct profile *profile = NULL;
		char text[4 * 4096];

		r = profile_open(argv[i], PROFILE_READ, NULL, &profile, &err);
		if (r < 0) {
			fail(argv[0], &err);
			status = EXIT_ERROR;
			continue;
		}
		r = profile_verify(profile, &err);
		if (r >= 0) {
			printf("%s: sound\n", escape_text(text, sizeof(text), argv[i]));
			continue;
		}
		fail(argv[0], &err);
		status = r != -EBADMSG ? EXIT_ERROR : MAX(status, EXIT_ALARM);
	}
	return status;
}

/* ---- export, import ---- */

struct text_config {
	const char *output;
	bool sessions;
};

static const struct option_spec export_options[] = {
	OPTION_STRING('o', "output", "FILE", struct text_config, output, "write to FILE instead of standard output"),
	OPTION_FLAG(0, "sessions", struct text_config, sessions,
		    "also the kept sessions, which an automatic threshold is made from"),
	OPTION_END
};

static int export_run(int argc, char **argv);
static int import_run(int argc, char **argv);

static const struct verb verb_profile_export = {
	.name = "profile export",
	.summary = "a profile as text, for review and version control",
	.synopsis = "[OPTIONS] PROFILE",
	.description = "Prints a profile as text: what it is of, and for each learning run its provenance and how often each sequence\n"
		       "of calls occurred, one a line. The order is stable, so that versions can be compared line by line.\n"
		       "'imsafe profile import' makes the same profile of it again.",
	.examples = "  imsafe profile export ftpd.db > ftpd.profile\n"
		    "  imsafe profile export --sessions a.db |\n"
		    "      ssh HOST imsafe profile import -o a.db -\n",
	.options = export_options,
	.run = export_run,
};

static const struct option_spec import_options[] = {
	OPTION_STRING('o', "output", "PROFILE", struct text_config, output, "the profile to make; must not be there yet"),
	OPTION_END
};

static const struct verb verb_profile_import = {
	.name = "profile import",
	.summary = "make a profile of such a text",
	.synopsis = "-o PROFILE FILE",
	.description = "Makes a profile of a text that 'imsafe profile export' wrote. FILE may be '-' for standard input. The text may\n"
		       "come from anywhere: what cannot be is refused, with its line.",
	.examples = "  imsafe profile import -o ftpd.db ftpd.profile\n",
	.options = import_options,
	.run = import_run,
};

static int write_text(struct profile *profile, const struct text_config *config, struct errmsg *err)
{
	const char *name = config->output ? config->output : "standard output";
	FILE *out = config->output ? fopen(config->output, "we") : stdout;
	int r;

	if (!out)
		return errmsg_errno(err, -errno, name, "cannot write it");
	r = profile_export(profile, config->sessions, out, err);
	if ((fflush(out) || ferror(out)) && r >= 0)
		r = errmsg_errno(err, errno ? -errno : -EIO, name, "cannot write it");
	if (config->output) {
		fclose(out);
		if (r < 0)
			unlink(config->output);
	}
	return r;
}

static int export_run(int argc, char **argv)
{
	_cleanup_(profile_closep) struct profile *profile = NULL;
	struct text_config config = { 0 };
	struct errmsg err = { 0 };
	int rest = 0, r;

	r = options_parse(&verb_profile_export, argc, argv, &config, false, &rest, &err);
	if (r > 0)
		return EXIT_OK;
	if (r >= 0 && argc - rest != 1)
		r = errmsg_set(&err, -EINVAL, NULL, 0, "name one profile to export");
	if (r >= 0)
		r = profile_open(argv[rest], PROFILE_READ, NULL, &profile, &err);
	if (r >= 0)
		r = write_text(profile, &config, &err);
	return r < 0 ? fail(argv[0], &err) : EXIT_OK;
}

static int import_run(int argc, char **argv)
{
	_cleanup_fclose_ FILE *file = NULL;
	struct text_config config = { 0 };
	struct errmsg err = { 0 };
	int rest = 0, r;

	r = options_parse(&verb_profile_import, argc, argv, &config, false, &rest, &err);
	if (r > 0)
		return EXIT_OK;
	if (r >= 0 && argc - rest != 1)
		r = errmsg_set(&err, -EINVAL, NULL, 0, "name one text to import, or '-'");
	if (r >= 0 && !config.output)
		r = errmsg_set(&err, -EINVAL, NULL, 0, "-o PROFILE says which profile to make");
	if (r >= 0 && strcmp(argv[rest], "-")) {
		file = fopen(argv[rest], "re");
		if (!file)
			r = errmsg_errno(&err, -errno, argv[rest], "cannot open it");
	}
	if (r >= 0)
		r = profile_import(config.output, file ? file : stdin, file ? argv[rest] : "standard input", &err);
	return r < 0 ? fail(argv[0], &err) : EXIT_OK;
}

/* ---- the verb of these verbs ---- */

static const struct verb *const subverbs[] = {
	&verb_profile_show,   &verb_profile_diff,   &verb_profile_tune,   &verb_profile_merge, &verb_profile_subtract,
	&verb_profile_check,  &verb_profile_export, &verb_profile_import, NULL,
};

static int verb_profile_run(int argc, char **argv);

const struct verb verb_profile = {
	.name = "profile",
	.summary = "show, compare, merge, check profiles",
	.synopsis = "VERB [OPTIONS] ...",
	.description = "Works on profiles: the files in which 'imsafe learn' keeps what an application normally does. They are there\n"
		       "to be read, compared and reviewed.\n"
		       "\n"
		       "'imsafe profile VERB --help' explains each.",
	.examples = "  imsafe profile show ftpd.db\n"
		    "  imsafe profile diff old.db new.db\n",
	.options = no_options,
	.run = verb_profile_run,
	.subverbs = subverbs,
};

static int verb_profile_run(int argc, char **argv)
{
	struct errmsg err = { 0 };
	int rest = 0, r;

	r = options_parse(&verb_profile, argc, argv, NULL, true, &rest, &err);
	if (r > 0)
		return EXIT_OK;
	if (r >= 0 && rest < argc) {
		const struct verb *verb = verb_find(subverbs, argv[rest]);

		if (verb)
			return verb_run(verb, NULL, argc - rest, argv + rest);
	}
	if (r >= 0)
		errmsg_set(&err, -EINVAL, NULL, 0, rest < argc ? "there is no verb 'profile %.32s'; 'imsafe profile --help' lists them" :
			   "say what to do with a profile%s; 'imsafe profile --help' lists it", rest < argc ? argv[rest] : "");
	return fail(argv[0], &err);
}
