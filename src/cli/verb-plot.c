/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* imsafe plot: the graph of a monitor log. */
#include <inttypes.h>
#include <string.h>
#include <strings.h>

#include "alarm/log.h"
#include "base/words.h"
#include "cli/chart.h"
#include "cli/progress.h"
#include "cli/verbs.h"
#include "trace/thread-table.h"

/* So many threads get a line each; of more, one band of all is drawn. */
#define LINES_MAX   6
#define BUCKETS     8192
#define MARKERS_MAX 100000

struct plot_config {
	const char *output, *format, *title;
	struct option_list pids;
	unsigned from, to, width, height;
	bool ascii;
};

static const struct option_spec options[] = {
	OPTION_STRING('o', "output", "FILE", struct plot_config, output, "write an SVG, PNG or PDF file, by the end of its name"),
	OPTION_STRING(0, "format", "svg|png|pdf|terminal", struct plot_config, format, "whatever the name says"),
	OPTION_LIST('p', "pid", "PID", struct plot_config, pids, "only this PID; may be given several times"),
	OPTION_UINT(0, "from", "N", struct plot_config, from, 1, 4294967295.0, "from call N of the stream on"),
	OPTION_UINT(0, "to", "N", struct plot_config, to, 1, 4294967295.0, "up to call N of the stream"),
	OPTION_STRING(0, "title", "TEXT", struct plot_config, title, "title instead of the application's name"),
	OPTION_UINT(0, "width", "N", struct plot_config, width, 20, 10000, "in characters, or points of a file (1200)"),
	OPTION_UINT(0, "height", "N", struct plot_config, height, 8, 10000, "in characters, or points of a file (480)"),
	OPTION_FLAG(0, "ascii", struct plot_config, ascii, "in the terminal: plain ASCII, no colours"),
	OPTION_END
};

static int verb_plot_run(int argc, char **argv);

const struct verb verb_plot = {
	.name = "plot",
	.summary = "draw the graph of a monitor log",
	.synopsis = "[OPTIONS] LOG",
	.description = "Draws the running mean of normality, call by call, from a log that 'imsafe monitor --log' wrote, with\n"
		       "the anomaly threshold, alarms and gaps: in the terminal, or as an SVG, PNG or PDF file. LOG may be '-'\n"
		       "for standard input. Long logs are reduced so that no dip is lost.",
	.examples = "  imsafe plot ftpd.log                        in the terminal\n"
		    "  imsafe plot ftpd.log -o ftpd.png            as a picture\n"
		    "  imsafe plot --pid 909 --from 5000 ftpd.log  one thread, from call 5000 on\n",
	.options = options,
	.run = verb_plot_run,
};

/* The means of one thread, or (the last one) of all. */
struct plot_line {
	uint32_t pid;
	uint64_t calls;
	struct chart_reducer reducer;
	struct chart_point *points;
	size_t n;
	char name[32];
};

struct plot {
	const struct plot_config *config;
	uint32_t pids[OPTION_LIST_MAX];
	struct thread_table *young; /* calls of each thread, up to the number from which it is judged */
	unsigned min_calls, means[MEAN_WINDOWS];
	char labels[MEAN_WINDOWS][24];
	uint64_t others; /* alarms by other means than the first */
	struct plot_line lines[LINES_MAX], all;
	size_t n_lines;
	bool too_many;
	uint64_t records, calls;
	struct chart_marker *markers;
	size_t n_markers, allocated;
	uint64_t alarms, gaps, lost;
	uint32_t lowest;
	uint64_t lowest_at;
	uint32_t lowest_pid;
};

static void plot_done(struct plot *plot)
{
	for (size_t i = 0; i < plot->n_lines; i++) {
		chart_reducer_done(&plot->lines[i].reducer);
		free(plot->lines[i].points);
	}
	chart_reducer_done(&plot->all.reducer);
	free(plot->all.points);
	thread_table_free(plot->young);
	free(plot->markers);
}

static bool wanted(const struct plot *plot, const struct log_record *record)
{
	const struct plot_config *config = plot->config;

	if (record->sequence < config->from || (config->to && record->sequence > config->to))
		return false;
	if (!config->pids.n || (record->kind == LOG_GAP && !record->pid))
		return true;
	for (size_t i = 0; i < config->pids.n; i++)
		if (plot->pids[i] == record->pid)
			return true;
	return false;
}

/* An alarm by another mean than the one drawn has no dip under it; it says so. */
static const char *mark_label(struct plot *plot, uint32_t over)
{
	for (unsigned i = 1; i < MEAN_WINDOWS; i++)
		if (over && over == plot->means[i] && over != plot->means[0]) {
			plot->others++;
			snprintf(plot->labels[i], sizeof(plot->labels[i]), "mean of %u", over);
			return plot->labels[i];
		}
	return NULL;
}

static int add_marker(struct plot *plot, enum chart_mark kind, uint64_t at, const char *label)
{
	if (plot->n_markers == plot->allocated) {
		size_t n = plot->allocated ? plot->allocated * 2 : 64;
		void *grown = n <= MARKERS_MAX * 2 ? realloc(plot->markers, n * sizeof(*plot->markers)) : NULL;

		if (!grown)
			return n <= MARKERS_MAX * 2 ? -ENOMEM : 0;
		plot->markers = grown;
		plot->allocated = n;
	}
	plot->markers[plot->n_markers++] = (struct chart_marker){ .kind = kind, .x = (double)at, .label = label };
	return 0;
}

static void forget_calls(void *data, uint32_t tid, void *record)
{
	*(uint32_t *)record = 0;
}

/* A mean over a thread's very first calls says nothing, and was not judged: it would only draw dips that are none. */
static int is_young(struct plot *plot, const struct log_record *record)
{
	uint32_t *calls;

	if (plot->min_calls <= 1)
		return 0;
	calls = thread_table_get(plot->young, record->pid, NULL);
	if (!calls)
		return -ENOMEM;
	*calls += *calls < plot->min_calls;
	return *calls < plot->min_calls;
}

static int begin_anew(struct plot *plot, const struct log_record *record)
{
	uint32_t *calls;

	if (record->kind == LOG_GAP && !record->pid) {
		thread_table_each(plot->young, forget_calls, NULL);
		return 0;
	}
	calls = thread_table_get(plot->young, record->pid, NULL);
	if (calls)
		*calls = 0;
	return calls ? 0 : -ENOMEM;
}

static int add_call(struct plot *plot, const struct log_record *record)
{
	double x = (double)record->sequence, y = record->mean / 100.0;
	size_t i;

	plot->calls++;
	if (record->mean < plot->lowest || plot->calls == 1) {
		plot->lowest = record->mean;
		plot->lowest_at = record->sequence;
		plot->lowest_pid = record->pid;
	}
	chart_reducer_add(&plot->all.reducer, x, y);
	for (i = 0; i < plot->n_lines && plot->lines[i].pid != record->pid; i++)
		;
	if (i == LINES_MAX) {
		plot->too_many = true;
		return 0;
	}
	if (i == plot->n_lines) {
		if (chart_reducer_init(&plot->lines[i].reducer, BUCKETS) < 0)
			return -ENOMEM;
		plot->lines[i].pid = record->pid;
		plot->n_lines++;
	}
	chart_reducer_add(&plot->lines[i].reducer, x, y);
	plot->lines[i].calls++;
	return 0;
}

static int add_record(struct plot *plot, const struct log_record *record)
{
	int r = 0;

	if (record->kind == LOG_CALL)
		r = is_young(plot, record);
	else if (record->kind == LOG_START || record->kind == LOG_GAP)
		r = begin_anew(plot, record);
	if (r || !wanted(plot, record))
		return MIN(r, 0);
	switch (record->kind) {
	case LOG_CALL:
		return add_call(plot, record);
	case LOG_ALARM:
	case LOG_ALARM_FOREIGN:
		plot->alarms++;
		return add_marker(plot, record->kind == LOG_ALARM ? CHART_MARK_ALARM : CHART_MARK_FOREIGN, record->sequence,
				  mark_label(plot, record->over));
	case LOG_GAP:
		plot->gaps++;
		plot->lost = event_add_lost(plot->lost, record->lost);
		return add_marker(plot, CHART_MARK_GAP, record->sequence, NULL);
	case LOG_CLOSED:
	case LOG_START:
		break;
	}
	return 0;
}

static int read_log(struct plot *plot, struct log_reader *reader, const char *path, struct errmsg *err)
{
	struct progress progress;
	struct log_record record;
	uint64_t n = 0;
	int r;

	progress_init(&progress, "reading");
	plot->young = thread_table_new(sizeof(uint32_t));
	if (!plot->young || chart_reducer_init(&plot->all.reducer, BUCKETS) < 0)
		return errmsg_errno(err, -ENOMEM, path, "cannot read the log");
	while ((r = log_reader_next(reader, &record, err)) > 0) {
		plot->min_calls = log_reader_info(reader)->min_calls;
		memcpy(plot->means, log_reader_info(reader)->means, sizeof(plot->means));
		plot->records += record.kind == LOG_CALL;
		if (n++ % 65536 == 0)
			progress_update(&progress, log_reader_progress(reader), "%s", path);
		r = add_record(plot, &record);
		if (r < 0) {
			errmsg_errno(err, r, path, "cannot read the log");
			break;
		}
	}
	progress_done(&progress);
	if (r < 0)
		return r;
	if (!plot->records)
		return errmsg_set(err, -ENODATA, path, 0, "there is no call in the log; is this a monitor log?");
	if (!plot->calls)
		return errmsg_set(err, -ENODATA, path, 0, plot->config->pids.n || plot->config->from || plot->config->to ?
				  "no judged call of the log is in the selection" : "no thread in the log made enough calls to be judged");
	return 0;
}

/* The lines to draw: one a thread while there are few, else one of all. */
static int make_series(struct plot *plot, double threshold, struct chart_series *series, size_t *ret_n)
{
	bool one = plot->too_many || plot->n_lines == 1;
	size_t n = one ? 1 : plot->n_lines;

	for (size_t i = 0; i < n; i++) {
		struct plot_line *line = one ? &plot->all : &plot->lines[i];

		if (chart_reducer_points(&line->reducer, &line->points, &line->n) < 0)
			return -ENOMEM;
		if (plot->too_many)
			snprintf(line->name, sizeof(line->name), "all threads");
		else
			snprintf(line->name, sizeof(line->name), "PID %u", plot->lines[i].pid);
		series[i] = (struct chart_series){
			.name = line->name, .points = line->points, .n = line->n,
			.color = (enum chart_color)(i % CHART_SERIES_COLORS), .warn_below = threshold,
		};
	}
	*ret_n = n;
	return 0;
}

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

static void make_titles(const struct plot *plot, const struct log_info *info, const char *path, char *title, char *subtitle,
			size_t size)
{
	char lost[48];
	size_t at;

	if (plot->config->title)
		snprintf(title, size, "%s", plot->config->title);
	else if (info->application && *info->application)
		snprintf(title, size, "Normality of %s", base_name(info->application));
	else
		snprintf(title, size, "Normality in %s", strcmp(path, "-") ? base_name(path) : "the log");
	at = (size_t)snprintf(subtitle, size, "%" PRIu64 " calls judged", plot->calls);
	if (info->means[0])
		at += (size_t)snprintf(subtitle + at, size - at, ", mean of %u", info->means[0]);
	at += (size_t)snprintf(subtitle + at, size - at, "; lowest %.1f %% at call %" PRIu64 " of PID %u", plot->lowest / 100.0,
			       plot->lowest_at, plot->lowest_pid);
	if (plot->others)
		at += (size_t)snprintf(subtitle + at, size - at, "; %" PRIu64 " alarm%s by another mean", plot->others,
				       plot->others == 1 ? "" : "s");
	if (plot->gaps)
		snprintf(subtitle + at, size - at, "; %s lost in %" PRIu64 " gap%s", words_lost(plot->lost, lost), plot->gaps,
			 plot->gaps == 1 ? "" : "s");
}

static int draw(struct plot *plot, const struct log_info *info, const char *path, enum chart_format format,
		struct errmsg *err)
{
	const struct plot_config *config = plot->config;
	struct chart_series series[LINES_MAX];
	char title[512], subtitle[512], threshold[64];
	struct chart_line line = { .at = info->thresholds[0], .label = threshold, .color = CHART_RED };
	struct chart chart = {
		.title = title, .subtitle = subtitle,
		.x = { .label = "call" }, .y = { .unit = "%", .min = 0, .max = 100 },
		.series = series, .lines = &line, .n_lines = info->thresholds[0] > 0,
		.markers = plot->markers, .n_markers = plot->n_markers,
	};
	struct chart_terminal terminal;

	if (make_series(plot, info->thresholds[0], series, &chart.n_series) < 0)
		return errmsg_errno(err, -ENOMEM, path, "cannot draw");
	snprintf(threshold, sizeof(threshold), "threshold %.1f %%", info->thresholds[0]);
	make_titles(plot, info, path, title, subtitle, sizeof(title));
	if (format != CHART_FORMAT_NONE) {
		chart.x.label = "call of the stream";
		chart.y.label = "mean normality";
		return chart_write(&chart, config->output ? config->output : "-", format, config->width, config->height, err);
	}
	chart_terminal_init(&terminal, stdout);
	terminal.height = config->height ? config->height : MIN(terminal.height > 10 ? terminal.height - 2 : 8, 28U);
	if (config->width)
		terminal.width = config->width;
	if (config->ascii)
		terminal.color = terminal.utf8 = false;
	return chart_draw_terminal(&chart, &terminal, stdout) < 0 ? errmsg_errno(err, -ENOMEM, path, "cannot draw") : 0;
}

static int choose_format(const struct plot_config *config, enum chart_format *ret_format, struct errmsg *err)
{
	char name[16];

	*ret_format = CHART_FORMAT_NONE;
	if (config->format && strcasecmp(config->format, "terminal")) {
		snprintf(name, sizeof(name), ".%s", config->format);
		*ret_format = chart_format_of(name);
		if (*ret_format == CHART_FORMAT_NONE)
			return errmsg_set(err, -EINVAL, NULL, 0, "there is no format '%s'; there is svg, png, pdf, terminal", config->format);
	} else if (config->output && !config->format) {
		*ret_format = chart_format_of(config->output);
		if (*ret_format == CHART_FORMAT_NONE)
			return errmsg_set(err, -EINVAL, config->output, 0, "the name should end with .svg, .png or .pdf (or say --format)");
	} else if (config->output) {
		return errmsg_set(err, -EINVAL, NULL, 0, "--format terminal writes to standard output, not to a file");
	}
	if (*ret_format != CHART_FORMAT_NONE && !config->output && isatty(STDOUT_FILENO))
		return errmsg_set(err, -EINVAL, NULL, 0, "a picture is not for a terminal: name a file with -o");
	return 0;
}

static int plot(struct plot *plot, int argc, char **argv, int rest, struct errmsg *err)
{
	_cleanup_(log_reader_closep) struct log_reader *reader = NULL;
	const struct plot_config *config = plot->config;
	enum chart_format format;
	int r = choose_format(config, &format, err);

	if (r < 0)
		return r;
	if (argc - rest != 1)
		return errmsg_set(err, -EINVAL, NULL, 0, rest == argc ? "which log? try 'imsafe plot --help'" : "one log at a time");
	for (size_t i = 0; i < config->pids.n; i++) {
		unsigned long long pid;

		if (parse_uint(config->pids.values[i], 0, UINT32_MAX, &pid) < 0)
			return errmsg_set(err, -EINVAL, NULL, 0, "--pid takes a number, not '%s'", config->pids.values[i]);
		plot->pids[i] = (uint32_t)pid;
	}
	r = log_reader_open(argv[rest], &reader, err);
	if (!r)
		r = read_log(plot, reader, argv[rest], err);
	if (!r)
		r = draw(plot, log_reader_info(reader), argv[rest], format, err);
	return r;
}

static int verb_plot_run(int argc, char **argv)
{
	struct plot_config config = { 0 };
	struct plot state = { .config = &config };
	struct errmsg err = { 0 };
	int rest = 0, r = options_parse(&verb_plot, argc, argv, &config, false, &rest, &err);

	if (r > 0)
		return EXIT_OK;
	if (!r)
		r = plot(&state, argc, argv, rest, &err);
	plot_done(&state);
	if (r < 0)
		errmsg_print(&err, stderr, argv[0]);
	return r < 0 ? EXIT_ERROR : EXIT_OK;
}
