/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* imsafe learn: traces into a profile. */
#include <inttypes.h>
#include <jansson.h>
#include <signal.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/stat.h>

#include "base/words.h"
#include "cli/completeness-print.h"
#include "cli/json.h"
#include "cli/layout.h"
#include "cli/outliers-print.h"
#include "cli/profile-show.h"
#include "cli/progress.h"
#include "cli/sources.h"
#include "cli/verbs.h"
#include "model/calibrate.h"
#include "model/training.h"
#include "trace/trace.h"

struct learn_config {
	const char *output, *application, *arch, *format;
	unsigned length;
	bool again, keep_going, leave_out, json;
};

static const struct option_spec options[] = {
	OPTION_STRING('o', "output", "PROFILE", struct learn_config, output, "the profile to learn into; made if it is not there"),
	OPTION_UINT('l', "length", "K", struct learn_config, length, LENGTH_MIN, LENGTH_MAX,
		    "sequence length of a new profile (6)"),
	OPTION_STRING('a', "application", "PATH", struct learn_config, application,
		      "the application that the traces are of, whatever they say"),
	OPTION_STRING(0, "arch", "NAME", struct learn_config, arch, "architecture of traces that do not say it"),
	OPTION_STRING(0, "format", "text|compact|unm|adfa|strace|auditd|lidds", struct learn_config, format, "format of the traces; recognised if not given"),
	OPTION_FLAG(0, "again", struct learn_config, again, "learn traces again that the profile has learned already"),
	OPTION_FLAG('k', "keep-going", struct learn_config, keep_going, "leave out damaged traces, learn the others"),
	OPTION_FLAG(0, "leave-out-outliers", struct learn_config, leave_out,
		    "do not learn sessions of these traces that stand far from all others (they are named)"),
	OPTION_FLAG(0, "json", struct learn_config, json, "print the result as JSON"),
	OPTION_END
};

static int verb_learn_run(int argc, char **argv);

const struct verb verb_learn = {
	.name = "learn",
	.summary = "learn traces into a profile",
	.synopsis = "[OPTIONS] -o PROFILE TRACE...",
	.description =
		"Learns what an application normally does from recorded traces: how often each sequence of calls occurs.\n"
		"A TRACE is a file in any format that 'imsafe trace' writes or that is recognised (UNM, ADFA-LD, strace -f,\n"
		"auditd, LID-DS), '-' for standard input, or a folder with such files. Many traces can go into one profile, at\n"
		"once or one after the other: the order does not matter. A trace that was learned before is not learned twice.\n"
		"\n"
		"Either all traces are learned or, if one of them is damaged, none (see --keep-going). Then it says how complete\n"
		"the profile is, and warns of what a person should know: gaps, code that makes calls from odd memory, sessions\n"
		"that stand far from all others and may be an attack.\n"
		"\n"
		"Exit status: 0 learned (or known already), 2 on errors.",
	.examples = "  imsafe learn -o ftpd.db ftpd.trace               one trace\n"
		    "  imsafe learn -o ftpd.db monday/ tuesday/         everything in two folders\n"
		    "  imsafe learn -o ftpd.db --length 8 ftpd.trace    longer sequences, finer\n"
		    "  imsafe trace -o - -- ls | imsafe learn -o ls.db -   a command, in one go\n",
	.options = options,
	.run = verb_learn_run,
};

enum { BATCH = 4096 };

struct kept {
	uint64_t hash;
	int64_t run;
	uint32_t tid;
};

struct learning {
	const char *program;
	const struct learn_config *config;
	struct sources sources;
	struct profile *profile;
	struct progress progress;
	int signals;         /* signalfd of SIGINT and SIGTERM while the profile is being changed; -1 */
	bool begun;
	char build_id[64];   /* of the profile before */
	enum syscall_arch arch; /* given with --arch */
	enum trace_format format;
	off_t bytes_done;
	uint64_t calls, sessions, gaps, lost;
	size_t learned, known, empty, damaged;
	bool fatal;          /* the error is not about the trace */
	int64_t *runs;       /* of each source: the run that it became, 0 if none */
	struct kept *kept;   /* sessions of these runs: profiles do not say whose they were */
	size_t n_kept, kept_room;
	int64_t keeping;     /* the run they are of */
	struct outliers outliers; /* in these runs */
	json_t *outliers_json;
	char *outliers_text;
	struct calibration calibration;
	struct event events[BATCH];
};

static void note(struct learning *l, const struct errmsg *err)
{
	progress_done(&l->progress);
	errmsg_print(err, stderr, l->program);
}

static bool interrupted(const struct learning *l)
{
	struct signalfd_siginfo info;

	return l->signals >= 0 && read(l->signals, &info, sizeof(info)) == sizeof(info);
}

/* Makes the profile ready for a trace, opening it at the first one, or says why they do not go together. */
static int fit(struct learning *l, const struct trace_info *trace, enum syscall_arch arch, const char *path, struct errmsg *err)
{
	const struct learn_config *config = l->config;
	const char *application = config->application ? config->application : trace->application;
	const struct profile_info *info;
	int r;

	if (!l->profile) {
		const struct profile_info new = {
			.application = application,
			.arch = arch,
			.length = config->length ? config->length : LENGTH_DEFAULT,
		};

		l->fatal = true;
		r = profile_open(config->output, PROFILE_CREATE, &new, &l->profile, err);
		if (r < 0)
			return r;
		info = profile_info(l->profile);
		if (info->build_id)
			snprintf(l->build_id, sizeof(l->build_id), "%s", info->build_id);
		if (config->length && config->length != info->length)
			return errmsg_set(err, -EINVAL, config->output, 0, "the profile has sequence length %u, not %u; "
					  "learn into a new one", info->length, config->length);
		l->fatal = false;
	}
	info = profile_info(l->profile);
	if (arch != info->arch)
		return errmsg_set(err, -EINVAL, path, 0, "the trace is for %s, the profile for %s%s",
				  arch == ARCH_UNKNOWN ? "an architecture that it does not say" : arch_name(arch),
				  info->arch == ARCH_UNKNOWN ? "none in particular" : arch_name(info->arch),
				  arch == ARCH_UNKNOWN ? "; --arch says which it is" : "");
	if (!config->application && info->application && trace->application && strcmp(info->application, trace->application))
		return errmsg_set(err, -EINVAL, path, 0, "the trace is of %.200s, the profile of %.200s; with --application it is "
				  "learned all the same", trace->application, info->application);
	return 0;
}

/* A trace that was cut off, by a crash for one, is not learned without being asked: says how to. */
static void say_how_to_save(const char *path, struct errmsg *err)
{
	char word[4 * 256];
	size_t n = strlen(err->text);

	if (strcmp(path, "-") && strlen(path) < 256)
		snprintf(err->text + n, sizeof(err->text) - n, "; 'imsafe trace %s -o NEW' makes a trace of what is whole",
			 words_shell(path, word, sizeof(word)));
}

/* Reads a whole trace into a training. */
static int read_trace(struct learning *l, struct trace_reader *reader, struct training *training, size_t i, struct errmsg *err)
{
	bool some = false;
	ssize_t n;
	int r;

	training_set_modules(training, trace_reader_modules(reader));
	while ((n = trace_reader_read(reader, l->events, BATCH, err)) > 0) {
		double share = trace_reader_progress(reader);

		some = true;
		r = training_add(training, l->events, (size_t)n);
		if (r < 0)
			return errmsg_errno(err, r, l->sources.paths[i], "cannot learn it");
		if (interrupted(l))
			return -EINTR;
		if (l->sources.bytes > 0)
			share = ((double)l->bytes_done + (share > 0 ? share : 0) * (double)l->sources.sizes[i]) /
				(double)l->sources.bytes;
		progress_update(&l->progress, share, "%s", l->sources.paths[i]);
	}
	if (n == -EBADMSG && some)
		say_how_to_save(l->sources.paths[i], err);
	if (n < 0)
		return (int)n;
	r = training_end(training);
	return r < 0 ? errmsg_errno(err, r, l->sources.paths[i], "cannot learn it") : 0;
}

/* From here on a signal must not end the program halfway. */
static int begin(struct learning *l, struct errmsg *err)
{
	sigset_t set;
	int r = profile_begin(l->profile, err);

	if (r < 0)
		return r;
	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigprocmask(SIG_BLOCK, &set, NULL);
	l->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	l->begun = true;
	if (l->config->application)
		return profile_set_application(l->profile, l->config->application, err);
	return 0;
}

static int64_t date_of(const struct trace_info *info, const char *path)
{
	struct stat st;

	if (info->start > 0)
		return info->start;
	return strcmp(path, "-") && !stat(path, &st) && st.st_mtime > 0 ? st.st_mtime : time(NULL);
}

static int keep(void *data, uint64_t hash, uint32_t tid)
{
	struct learning *l = data;

	if (l->n_kept == l->kept_room) {
		size_t room = MAX(2 * l->kept_room, 1024U);
		struct kept *more = reallocarray(l->kept, room, sizeof(*more));

		if (!more)
			return -ENOMEM;
		l->kept = more;
		l->kept_room = room;
	}
	l->kept[l->n_kept++] = (struct kept){ .hash = hash, .run = l->keeping, .tid = tid };
	return 0;
}

static int add_training(struct learning *l, const struct trace_info *info, struct training *training, size_t i,
			struct errmsg *err)
{
	const struct counts *counts = training_counts(training);
	const char *path = l->sources.paths[i];
	struct profile_run run = {
		.date = date_of(info, path),
		.source = strcmp(path, "-") ? path : "standard input",
		.sensor = info->sensor ? info->sensor : trace_format_name(info->format),
		.build_id = info->build_id,
	};
	struct profile_run before;
	struct errmsg message = { 0 };
	int r;

	if (!counts->calls) {
		errmsg_set(&message, 0, path, 0, "there are no calls in this trace");
		if (training_left_out(training))
			return 0;
		note(l, &message);
		l->empty++;
		return 0;
	}
	l->fatal = true;
	r = l->begun ? 0 : begin(l, err);
	if (r < 0)
		return r;
	r = l->config->again ? 0 : profile_find_run(l->profile, training_hash(training, run.source), &before, err);
	if (r < 0)
		return r;
	if (r) {
		errmsg_set(&message, 0, path, 0, "learned already, from %s; --again learns it once more", before.source);
		if (!l->known++)
			note(l, &message);
		l->fatal = false;
		return 0;
	}
	r = training_commit(training, l->profile, &run, err);
	/* Traces may come in any order: the first one that names the application names it. */
	if (r >= 0 && info->application && !profile_info(l->profile)->application)
		r = profile_set_application(l->profile, info->application, err);
	l->keeping = run.id;
	if (r >= 0 && training_each_kept(training, keep, l) < 0)
		r = errmsg_errno(err, -ENOMEM, path, "cannot learn it");
	if (r < 0)
		return r;
	l->fatal = false;
	l->runs[i] = run.id;
	l->learned++;
	l->calls += counts->calls;
	l->sessions += counts->sessions;
	l->gaps += counts->gaps;
	l->lost += counts->lost;
	if (*l->build_id && info->build_id && strcmp(l->build_id, info->build_id)) {
		errmsg_set(&message, 0, path, 0, "recorded from another build of the application (%.16s, before %.16s); "
			   "'imsafe profile diff' shows what changed", info->build_id, l->build_id);
		note(l, &message);
		snprintf(l->build_id, sizeof(l->build_id), "%s", info->build_id);
	}
	return 0;
}

static int leave_out(void *data, const struct session *session)
{
	const struct learning *l = data;
	uint64_t hash = session_hash(session);

	for (size_t i = 0; i < l->outliers.n; i++)
		if (l->outliers.list[i].hash == hash)
			return LEARNER_LEAVE_OUT;
	return 0;
}

static int learn_trace(struct learning *l, size_t i, struct errmsg *err)
{
	_cleanup_(trace_reader_closep) struct trace_reader *reader = NULL;
	_cleanup_(training_freep) struct training *training = NULL;
	const char *path = l->sources.paths[i];
	const struct trace_info *info;
	enum syscall_arch arch;
	int r;

	r = trace_reader_open_interruptible(path, l->format, MAX(l->signals, 0), &reader, err);
	if (r < 0)
		return r;
	info = trace_reader_info(reader);
	arch = info->arch == ARCH_UNKNOWN ? l->arch : info->arch;
	r = fit(l, info, arch, path, err);
	if (r < 0)
		return r;
	training = training_new(profile_info(l->profile)->length, profile_sample_limit(l->profile),
				l->outliers.n ? leave_out : NULL, l);
	if (!training)
		return errmsg_errno(err, -ENOMEM, path, "cannot learn it");
	r = read_trace(l, reader, training, i, err);
	return r < 0 ? r : add_training(l, info, training, i, err);
}

static void assess_progress(void *data, double done)
{
	struct learning *l = data;

	progress_update(&l->progress, done, "comparing sessions");
}

/*
 * Of the profile's outliers, those in runs that were learned just now; and the default threshold, which the profile remembers
 * so that monitors start at once.
 */
static int assess_profile(struct learning *l, struct errmsg *err)
{
	size_t n = 0;
	int r;

	if (!l->learned)
		return 0;
	r = assess(l->profile, assess_progress, l, &l->calibration, &l->outliers, err);
	if (r < 0)
		return r;
	for (size_t i = 0; i < l->outliers.n; i++)
		for (size_t k = 0; k < l->sources.n; k++)
			if (l->runs[k] == l->outliers.list[i].run) {
				l->outliers.list[n++] = l->outliers.list[i];
				break;
			}
	l->outliers.n = n;
	for (size_t i = 0; i < n; i++)
		for (size_t k = 0; k < l->n_kept; k++)
			if (l->kept[k].hash == l->outliers.list[i].hash && l->kept[k].run == l->outliers.list[i].run)
				l->outliers.list[i].tid = l->kept[k].tid;
	return 0;
}

/* In words now, as runs that are learned again get new numbers; said when all has gone well. */
static int describe_outliers(struct learning *l, struct errmsg *err)
{
	size_t size;
	FILE *text;
	int r;

	l->outliers_json = outliers_json(l->profile, &l->outliers);
	text = open_memstream(&l->outliers_text, &size);
	if (!text || !l->outliers_json) {
		if (text)
			fclose(text);
		return errmsg_errno(err, -ENOMEM, NULL, "cannot look for outliers");
	}
	r = outliers_print(l->profile, &l->outliers, l->config->leave_out, text, err);
	return fclose(text) ? errmsg_errno(err, -ENOMEM, NULL, "cannot look for outliers") : r;
}

static int is_outlier(void *data, const struct session *session, uint64_t copies, int64_t run)
{
	return leave_out(data, session) ? -ECANCELED : 0;
}

/* Takes a trace's run out of the profile again. */
static int forget_trace(struct learning *l, size_t i, struct errmsg *err)
{
	_cleanup_(counts_done) struct counts counts = { 0 };
	int r = profile_run_counts(l->profile, l->runs[i], &counts, err);

	if (r >= 0)
		r = profile_remove_run(l->profile, l->runs[i], err);
	if (r < 0)
		return r;
	l->runs[i] = 0;
	l->learned--;
	l->calls -= counts.calls;
	l->sessions -= counts.sessions;
	l->gaps -= counts.gaps;
	l->lost -= counts.lost;
	return 0;
}

/* Learns again, without their outliers, the traces that have some. */
static int learn_rest(struct learning *l, struct errmsg *err)
{
	for (size_t i = 0; i < l->sources.n; i++) {
		int r = l->runs[i] ? profile_each_copy(l->profile, l->runs[i], is_outlier, l, err) : 0;

		if (r == -ECANCELED && !strcmp(l->sources.paths[i], "-"))
			return errmsg_set(err, -EINVAL, NULL, 0, "standard input has outliers, but cannot be read again without them: "
					  "save it to a file first");
		if (r == -ECANCELED) {
			r = forget_trace(l, i, err);
			if (r >= 0)
				r = learn_trace(l, i, err);
		}
		if (r < 0)
			return r;
	}
	return 0;
}

/* All traces, in one transaction. */
static int learn_all(struct learning *l, struct errmsg *err)
{
	int r;

	l->runs = calloc(l->sources.n + 1, sizeof(*l->runs));
	if (!l->runs)
		return errmsg_errno(err, -ENOMEM, NULL, "cannot learn it");
	for (size_t i = 0; i < l->sources.n; i++) {
		r = learn_trace(l, i, err);
		if (r == -EINTR)
			return errmsg_set(err, r, NULL, 0, "interrupted: nothing was learned, the profile is as it was before");
		if (r < 0 && r != -ENOMEM && !l->fatal && l->config->keep_going) {
			note(l, err);
			l->damaged++;
		} else if (r < 0) {
			return r;
		}
		l->bytes_done += l->sources.sizes[i];
	}
	if (!l->learned && !l->known)
		return errmsg_set(err, -ENODATA, NULL, 0, "nothing was learned: there are no calls in %s",
				  l->sources.n == 1 ? "the trace" : "these traces");
	if (!l->begun)
		return 0;
	r = assess_profile(l, err);
	if (r >= 0 && l->outliers.n)
		r = describe_outliers(l, err);
	if (r >= 0 && l->config->leave_out && l->outliers.n) {
		r = learn_rest(l, err);
		if (r >= 0)
			r = calibrate(l->profile, &(struct calibrate_config){ .rate = RATE_DEFAULT }, &l->calibration, err);
	}
	return r < 0 ? r : profile_commit(l->profile, err);
}

static void print_text(const struct learning *l, const struct counts *counts, const struct completeness *completeness)
{
	char lost[48];

	printf("learned %zu trace%s: %" PRIu64 " calls, %" PRIu64 " session%s", l->learned, l->learned == 1 ? "" : "s", l->calls,
	       l->sessions, l->sessions == 1 ? "" : "s");
	if (l->gaps)
		printf(", %" PRIu64 " gap%s (%s lost)", l->gaps, l->gaps == 1 ? "" : "s", words_lost(l->lost, lost));
	if (l->known)
		printf("; %zu known already", l->known);
	if (l->empty)
		printf("; %zu without calls", l->empty);
	if (l->config->leave_out && l->outliers.n)
		printf("; %zu different session%s left out", l->outliers.n, l->outliers.n == 1 ? "" : "s");
	if (l->damaged)
		printf("; %zu damaged and left out", l->damaged);
	putchar('\n');
	profile_print_summary(l->profile, counts, stdout);
	completeness_print_line(completeness, stdout);
	if (*l->calibration.text)
		layout_printf(stdout, 2, "Threshold: %s\n", l->calibration.text);
	profile_print_warnings(counts, l->program, stderr);
	if (l->outliers_text)
		layout_printf(stderr, 4, "%s: %s", l->program, l->outliers_text);
}

static json_t *threshold_json(const struct calibration *c)
{
	return json_pack("{s:s, s:f, s:f, s:f, s:f, s:b}", "text", c->text, "expected", c->expected, "low", c->low, "high", c->high,
			 "alike", c->thin ? c->alike : c->expected, "thin", (int)c->thin);
}

static json_t *report_json(struct learning *l, const struct counts *counts, const struct completeness *completeness)
{
	json_t *json = json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "traces", (json_int_t)l->learned,
				 "known", (json_int_t)l->known, "damaged", (json_int_t)l->damaged,
				 "calls", (json_int_t)l->calls, "sessions", (json_int_t)l->sessions,
				 "gaps", (json_int_t)l->gaps, "lost", (json_int_t)l->lost);

	json_object_set_new(json, "profile", profile_json(l->profile, counts));
	json_object_set_new(json, "completeness", completeness_json(completeness, profile_info(l->profile)->arch));
	json_object_set_new(json, "outliers", l->outliers_json ? TAKE_PTR(l->outliers_json) : json_array());
	if (*l->calibration.text)
		json_object_set_new(json, "threshold", threshold_json(&l->calibration));
	json_object_set_new(json, "outliers_left_out", json_boolean(l->config->leave_out && l->outliers.n));
	return json;
}

static int report(struct learning *l, struct errmsg *err)
{
	_cleanup_(completeness_done) struct completeness completeness = { 0 };
	_cleanup_(counts_done) struct counts counts = { 0 };
	int r;

	r = profile_counts(l->profile, 0, &counts, err);
	if (r >= 0)
		r = completeness_of_profile(l->profile, &completeness, err);
	if (r < 0)
		return r;
	if (l->config->json)
		json_print(report_json(l, &counts, &completeness));
	else
		print_text(l, &counts, &completeness);
	return 0;
}

static int prepare(struct learning *l, int argc, char **argv, struct errmsg *err)
{
	const struct learn_config *config = l->config;
	int r;

	if (!config->output)
		return errmsg_set(err, -EINVAL, NULL, 0, "-o PROFILE says which profile to learn into");
	if (argc < 1)
		return errmsg_set(err, -EINVAL, NULL, 0, "there is nothing to learn: name a trace, a folder, or '-'");
	if (config->arch) {
		r = arch_by_name(config->arch);
		if (r < 0)
			return errmsg_set(err, r, NULL, 0, "there is no architecture '%s'; there is x86_64, i386, aarch64",
					  config->arch);
		l->arch = (enum syscall_arch)r;
	}
	if (config->format) {
		r = trace_format_by_name(config->format);
		if (r < 0)
			return errmsg_set(err, r, NULL, 0, "there is no trace format '%s'", config->format);
		l->format = (enum trace_format)r;
	}
	for (int i = 0; i < argc; i++) {
		r = sources_add(&l->sources, argv[i], config->output, err);
		if (r < 0)
			return r;
	}
	return l->sources.n ? 0 : errmsg_set(err, -ENOENT, argv[0], 0, "there are no files in this folder");
}

static int verb_learn_run(int argc, char **argv)
{
	struct learn_config config = { 0 };
	struct learning l = { .program = argv[0], .config = &config, .signals = -1 };
	struct errmsg err = { 0 };
	int rest = 0, r;

	r = options_parse(&verb_learn, argc, argv, &config, false, &rest, &err);
	if (r > 0)
		return EXIT_OK;
	progress_init(&l.progress, "learning");
	if (r >= 0)
		r = prepare(&l, argc - rest, argv + rest, &err);
	if (r >= 0)
		r = learn_all(&l, &err);
	progress_done(&l.progress);
	if (r >= 0)
		r = report(&l, &err);
	if (r < 0)
		errmsg_print(&err, stderr, argv[0]);
	profile_close(l.profile);
	sources_done(&l.sources);
	outliers_done(&l.outliers);
	json_decref(l.outliers_json);
	free(l.outliers_text);
	free(l.runs);
	free(l.kept);
	if (l.signals >= 0)
		close(l.signals);
	return r < 0 || l.damaged ? EXIT_ERROR : EXIT_OK;
}
