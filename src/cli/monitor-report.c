/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cli/monitor-report.h"

#include <inttypes.h>
#include <string.h>

#include "base/clock.h"
#include "base/options.h"
#include "base/words.h"
#include "cli/chart.h"
#include "cli/layout.h"
#include "sensor/sensor.h"

#define WARNING_SECONDS 10 /* in the view */

void monitor_report_message(struct monitor_report *report, const struct errmsg *err)
{
	monitor_report_leave(report);
	progress_done(&report->progress);
	messages_error(report->config.messages, err);
}

void monitor_report_warning(struct monitor_report *report, const struct errmsg *err)
{
	if (!report->view) {
		monitor_report_message(report, err);
		return;
	}
	escape_text(report->warning, sizeof(report->warning), err->text);
	report->warned = time(NULL);
}

/* The monitoring goes on without the log: a full disk must not blind the guard. The exit status tells. */
static void log_failed(struct monitor_report *report, const struct errmsg *err)
{
	struct errmsg words = *err;

	snprintf(words.text + strlen(words.text), sizeof(words.text) - strlen(words.text), "; going on without it");
	report->log = log_writer_close(report->log);
	report->trouble = true;
	monitor_report_message(report, &words);
}

static void on_call_log(void *data, uint64_t sequence, const struct scored_call *call)
{
	struct monitor_report *report = data;

	if (report->log)
		log_writer_call(report->log, sequence, call);
}

static void on_call_view(void *data, uint64_t sequence, const struct scored_call *call)
{
	struct monitor_report *report = data;

	if (report->log)
		log_writer_call(report->log, sequence, call);
	if (report->ring)
		live_ring_add(report->ring, call);
}

void monitor_report_call(struct monitor_report *report, uint64_t sequence, const struct scored_call *call)
{
	on_call_view(report, sequence, call);
}

static char *alarm_text(struct monitor_report *report, const struct explanation *explanation, const struct output_context *context,
			enum tell tell)
{
	char *text = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);

	if (!out)
		return NULL;
	if (tell == TELL_FULL) {
		output_text(explanation, context, &report->style, out);
	} else {
		output_line(explanation, context, !report->config.brief && context->grouping && context->grouping->news == NEWS_NONE, out);
		fputc('\n', out);
	}
	fclose(out);
	return text;
}

/* Told at once, not when the monitoring ends: alarms are being lost. */
static void flush_output(struct monitor_report *report)
{
	struct errmsg err;

	if (fflush(stdout) != EOF)
		return;
	report->deserted = errno == EPIPE;
	if (!report->deserted && !report->trouble) {
		errmsg_errno(&err, -errno, "standard output", "cannot write");
		monitor_report_message(report, &err);
	}
	report->trouble = true;
}

/* In the view, each group is a line of the list; what it shows in full is the latest that was news. */
static void show_alarm(struct monitor_report *report, const struct explanation *explanation, const struct output_context *context)
{
	const struct grouping *grouping = context->grouping;
	bool news = !grouping || grouping->news != NEWS_NONE;
	_cleanup_free_ char *text = news ? alarm_text(report, explanation, context, TELL_FULL) : NULL;
	_cleanup_free_ char *line = alarm_text(report, explanation, context, TELL_LINE);
	char headline[512];
	struct live_alarm alarm = {
		.number = context->number, .group = grouping && grouping->group ? grouping->group->number : context->number,
		.headline = explanation_headline(explanation, headline, sizeof(headline)), .text = text, .line = line,
		.foreign = explanation->alarm->flags & VERDICT_ALARM_FOREIGN, .went_on = explanation->alarm->went_on,
	};

	live_view_alarm(report->view, &alarm);
}

static void log_message(struct monitor_report *report, const struct explanation *explanation, const struct output_context *context)
{
	const struct grouping *grouping = context->grouping;
	char headline[512], like[64] = "";

	if (grouping && grouping->group && (explanation->alarm->went_on || grouping->group->count > 1))
		snprintf(like, sizeof(like), explanation->alarm->went_on ? ", going on unlike ALARM %" PRIu64 : ", like ALARM %" PRIu64,
			 grouping->group->number);
	messages_note(report->config.messages, "ALARM %u%s: %s", context->number, like,
		      explanation_headline(explanation, headline, sizeof(headline)));
}

static void print_alarm(struct monitor_report *report, const struct explanation *explanation, const struct output_context *context)
{
	enum tell tell = TELL_FULL;
	_cleanup_free_ char *text = NULL;

	if (report->config.messages->syslog)
		log_message(report, explanation, context);
	if (report->config.silent_stdout || report->config.messages->syslog)
		return;
	if (report->view) {
		show_alarm(report, explanation, context);
		return;
	}
	if (report->config.brief)
		tell = TELL_LINE;
	else if (context->grouping)
		tell = tell_alarm(&report->telling, context->grouping, context->number, (int64_t)clock_seconds());
	if (tell == TELL_COUNT)
		return;
	text = alarm_text(report, explanation, context, tell);
	if (!text)
		return;
	progress_done(&report->progress);
	if (context->grouping && context->grouping->forgot)
		printf("(More than %d different causes: ALARM %" PRIu64 " is forgotten, others like it will be told anew.)\n", GROUPS_MAX,
		       context->grouping->forgotten);
	fputs(text, stdout);
	flush_output(report);
}

static void run_command(struct monitor_report *report, json_t *json, bool news)
{
	struct errmsg err = { 0 };

	if (!news && report->config.command_once)
		return;
	/* A file can wait, so that each of its alarms gets its command; a live stream can't. */
	if (!report->config.live)
		hook_wait(&report->hook, -1);
	if (hook_run(&report->hook, json, news, &err) < 0) {
		report->trouble = true;
		monitor_report_message(report, &err);
	}
}

/* An alarm, or what became of one, to everyone who is to know. */
static void tell_everyone(struct monitor_report *report, const struct explanation *explanation, const struct output_context *context)
{
	const struct monitor_report_config *config = &report->config;
	json_t *json;

	print_alarm(report, explanation, context);
	if (!config->json && !config->command)
		return;
	json = output_json(explanation, context);
	if (json && config->json) {
		progress_done(&report->progress);
		json_dumpf(json, stdout, JSON_COMPACT | JSON_REAL_PRECISION(6));
		putchar('\n');
		flush_output(report);
	}
	if (json && config->command)
		run_command(report, json, !context->grouping || context->grouping->news != NEWS_NONE);
	json_decref(json);
}

static struct output_context make_context(const struct monitor_report *report)
{
	const struct monitor_report_config *config = &report->config;

	return (struct output_context){
		.profile = config->profile_path, .trace = config->trace_path, .log = config->log_path,
		.source = config->record && *config->record ? config->record : NULL,
	};
}

static int explain_alarm(const struct monitor_report *report, const struct alarm *alarm, struct explanation *explanation)
{
	const struct monitor_report_config *config = &report->config;

	return explain(alarm, config->image, config->policy, config->profile, report->modules,
		       config->live ? NULL : &report->recorded, explanation);
}

static void alarm_went_on(struct monitor_report *report, const struct alarm *alarm)
{
	struct output_context context = make_context(report);
	struct explanation explanation;
	struct grouping grouping;

	if (explain_alarm(report, alarm, &explanation) < 0)
		return;
	groups_went_on(report->groups, &explanation, &grouping);
	context.grouping = &grouping;
	context.number = (unsigned)grouping.alarm;
	if (report->log)
		log_writer_went_on(report->log, alarm, grouping.alarm);
	tell_everyone(report, &explanation, &context);
	explanation_done(&explanation);
}

void monitor_report_alarm(struct monitor_report *report, const struct alarm *alarm, const char *done)
{
	const struct monitor_report_config *config = &report->config;
	struct output_context context = make_context(report);
	struct explanation explanation;
	struct grouping grouping;
	char response[256] = "";

	if (alarm->went_on) {
		alarm_went_on(report, alarm);
		return;
	}
	context.number = (unsigned)++report->alarms;
	/* Evidence first where the process would be gone, the response first where every call counts. */
	if (config->response == RESPONSE_STOP)
		respond(config->response, config->dry_run, alarm->pid, alarm->tid, response, sizeof(response));
	if (explain_alarm(report, alarm, &explanation) < 0)
		return;
	if (config->response == RESPONSE_KILL)
		respond(config->response, config->dry_run, explanation.process.found ? (uint32_t)explanation.process.pid : alarm->pid,
			alarm->tid, response, sizeof(response));
	context.response = *response ? response : done;
	/* Without memory for groups, each alarm is told in full. */
	if (groups_add(report->groups, &explanation, context.number, &grouping) == 0)
		context.grouping = &grouping;
	if (report->log)
		log_writer_alarm(report->log, alarm, config->policy, context.number, context.grouping ? grouping.group->number : context.number);
	tell_everyone(report, &explanation, &context);
	explanation_done(&explanation);
}

bool monitor_report_unforeseen(struct monitor_report *report, const struct scored_call *call)
{
	return groups_unforeseen(report->groups, call->event.tid, call, report->config.policy, report->modules);
}

void monitor_report_closed(struct monitor_report *report, uint32_t tid)
{
	groups_closed(report->groups, tid);
}

static bool on_unforeseen(void *data, const struct scored_call *call)
{
	return monitor_report_unforeseen(data, call);
}

/* Our own monitor's: the sensor knows who it was. */
static void on_alarm(void *data, const struct alarm *alarm)
{
	struct monitor_report *report = data;
	struct alarm complete = *alarm;
	struct process_info process;

	if (report->sensor && report->sensor->ops->process && alarm->pid &&
	    report->sensor->ops->process(report->sensor, (pid_t)alarm->pid, &process))
		complete.process = &process;
	monitor_report_alarm(report, &complete, NULL);
}

static void on_started(void *data, uint64_t sequence, uint32_t tid)
{
	struct monitor_report *report = data;

	if (report->log)
		log_writer_started(report->log, sequence, tid);
}

static void on_closed(void *data, uint64_t sequence, uint32_t tid)
{
	struct monitor_report *report = data;

	groups_closed(report->groups, tid);
	if (report->log)
		log_writer_closed(report->log, sequence, tid);
}

static void on_gap(void *data, uint64_t sequence, const struct event *gap)
{
	struct monitor_report *report = data;

	if (report->log)
		log_writer_gap(report->log, sequence, gap);
	if (report->view)
		live_view_gap(report->view);
}

static int open_log(struct monitor_report *report, struct errmsg *err)
{
	const struct monitor_report_config *config = &report->config;
	const struct policy *policy = config->policy;
	struct log_info info = {
		.application = config->profile ? config->profile->application : NULL, .profile = config->profile_path,
		.arch = config->image->header->arch,
		.detector = policy->reading == READING_SEQUENCES ? "sequences" : "predictor",
		.min_calls = policy->min_calls, .start = config->live ? time(NULL) : 0,
	};

	for (unsigned i = 0; i < MEAN_WINDOWS; i++) {
		info.means[i] = policy->window[i].length;
		info.thresholds[i] = limit_percent(policy->window[i].limit);
	}
	return config->log_pipe > 0 ? log_writer_open_fd(config->log_pipe, config->log_path, &info, &report->log, err) :
				      log_writer_open(config->log_path, &info, &report->log, err);
}

static void open_view(struct monitor_report *report)
{
	struct live_view_config view = {
		.title = report->config.title, .profile = report->config.profile_path, .policy = report->config.policy,
	};

	if (live_view_open(&view, &report->view) == 0)
		report->ring = live_view_ring(report->view);
}

int monitor_report_init(struct monitor_report *report, const struct monitor_report_config *config, struct errmsg *err)
{
	struct monitor_callbacks callbacks = { .started = on_started, .alarm = on_alarm, .unforeseen = on_unforeseen, .closed = on_closed, .gap = on_gap, .data = report };
	struct chart_terminal terminal;
	int r;

	*report = (struct monitor_report){ .config = *config };
	hook_init(&report->hook, config->command, config->view);
	progress_init(&report->progress, "monitoring");
	chart_terminal_init(&terminal, stdout);
	report->style = (struct output_style){ terminal.color, terminal.utf8, layout_width(stdout, 110) };
	if (config->log_path) {
		r = open_log(report, err);
		if (r < 0)
			return r;
	}
	if (config->view)
		open_view(report);
	telling_init(&report->telling, config->live);
	report->groups = groups_new();
	callbacks.call = report->view ? on_call_view : report->log ? on_call_log : NULL;
	report->monitor = monitor_new(config->image, config->policy, &callbacks);
	if (!report->monitor || !report->groups)
		return errmsg_errno(err, -ENOMEM, NULL, "cannot monitor");
	return 0;
}

void monitor_report_done(struct monitor_report *report)
{
	report->view = live_view_close(report->view);
	report->log = log_writer_close(report->log);
	report->monitor = monitor_free(report->monitor);
	report->groups = groups_free(report->groups);
	hook_done(&report->hook);
}

static void get_stats(const struct monitor_report *report, struct monitor_stats *ret_stats)
{
	if (report->config.stats)
		report->config.stats(report->config.stats_data, ret_stats);
	else
		monitor_stats(report->monitor, ret_stats);
}

void monitor_report_tick(struct monitor_report *report, bool ended)
{
	struct live_view_numbers numbers = { .ended = ended };
	struct errmsg err = { 0 };

	hook_reap(&report->hook);
	if (report->log && log_writer_flush(report->log, &err) < 0)
		log_failed(report, &err);
	get_stats(report, &numbers.stats);
	if (tell_untold(&report->telling, (int64_t)clock_seconds(), false, stdout))
		flush_output(report);
	if (!report->config.live && !report->config.quiet)
		progress_update(&report->progress, -1, "%" PRIu64 " calls", numbers.stats.calls);
	if (!report->view)
		return;
	if (*report->warning && time(NULL) - report->warned < WARNING_SECONDS)
		numbers.note = report->warning;
	else if (report->hook.pid)
		numbers.note = "the command of --exec is running";
	else if (ended)
		numbers.note = "the application has ended";
	live_view_draw(report->view, &numbers);
}

static void print_summary(const struct monitor_report *report, const char *reason)
{
	uint64_t skipped = report->hook.skipped + report->hook.queued;
	struct monitor_stats stats;
	char lost[48];

	get_stats(report, &stats);
	fprintf(stderr, "%s%s%" PRIu64 " call%s of %" PRIu64 " thread%s: ", reason ? reason : "", reason ? "; " : "", stats.calls,
		stats.calls == 1 ? "" : "s", stats.seen, stats.seen == 1 ? "" : "s");
	if (report->alarms)
		fprintf(stderr, "%" PRIu64 " alarm%s", report->alarms, report->alarms == 1 ? "" : "s");
	else
		fprintf(stderr, stats.calls ? "no alarm" : "nothing to judge");
	if (stats.gaps)
		fprintf(stderr, "; %" PRIu64 " gap%s, %s lost", stats.gaps, stats.gaps == 1 ? "" : "s", words_lost(stats.lost, lost));
	if (stats.forgotten)
		fprintf(stderr, "; %" PRIu64 " silent threads forgotten", stats.forgotten);
	if (skipped)
		fprintf(stderr, "; --exec was busy for %" PRIu64 " alarm%s", skipped, skipped == 1 ? "" : "s");
	if (report->hook.failed)
		fprintf(stderr, "; --exec failed %" PRIu64 " time%s", report->hook.failed, report->hook.failed == 1 ? "" : "s");
	fputc('\n', stderr);
}

static void print_summary_json(const struct monitor_report *report)
{
	struct monitor_stats stats;
	json_t *object = json_object(), *groups = json_array();
	const struct group *group;

	get_stats(report, &stats);
	json_object_set_new(object, "type", json_string("summary"));
	json_object_set_new(object, "calls", json_integer((json_int_t)stats.calls));
	json_object_set_new(object, "threads", json_integer((json_int_t)stats.seen));
	json_object_set_new(object, "alarms", json_integer((json_int_t)report->alarms));
	json_object_set_new(object, "foreign_calls", json_integer((json_int_t)stats.foreign));
	json_object_set_new(object, "gaps", json_integer((json_int_t)stats.gaps));
	json_object_set_new(object, "lost_calls", json_integer((json_int_t)stats.lost));
	json_object_set_new(object, "forgotten_threads", json_integer((json_int_t)stats.forgotten));
	for (size_t i = 0; (group = groups_get(report->groups, i)); i++)
		json_array_append_new(groups, output_group_json(group));
	json_object_set_new(object, "groups", groups);
	json_object_set_new(object, "forgotten_groups", json_integer((json_int_t)groups_forgotten(report->groups)));
	json_dumpf(object, stdout, JSON_COMPACT | JSON_REAL_PRECISION(6));
	putchar('\n');
	json_decref(object);
}

/* One alarm explains itself; of several, what they have in common is worth a table. */
static void print_table(const struct monitor_report *report)
{
	const struct monitor_report_config *config = &report->config;
	const struct output_context context = make_context(report);

	if (config->silent_stdout || config->messages->syslog || config->brief || report->alarms < 2 || !groups_get(report->groups, 0))
		return;
	print_groups(report->groups, &context, &report->style, stdout);
}

void monitor_report_leave(struct monitor_report *report)
{
	if (report->view)
		live_view_leave(report->view, stdout);
	report->view = live_view_close(report->view);
	report->ring = NULL;
}

void monitor_report_finish(struct monitor_report *report, const char *reason)
{
	struct errmsg err = { 0 };

	progress_done(&report->progress);
	if (report->log && log_writer_flush(report->log, &err) < 0)
		log_failed(report, &err);
	tell_untold(&report->telling, (int64_t)clock_seconds(), true, stdout);
	flush_output(report);
	hook_wait(&report->hook, 10000);
	if (report->config.json)
		print_summary_json(report);
	if (!report->config.quiet && !report->config.messages->syslog)
		print_summary(report, reason);
	print_table(report);
}
