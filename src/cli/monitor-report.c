/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cli/monitor-report.h"

#include <inttypes.h>
#include <string.h>

#include "cli/chart.h"

/* From so many alarms on each is told in one line: who has read these will not read more of the kind. */
#define FULL_ALARMS_MAX 20
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
			bool brief)
{
	char *text = NULL, headline[512];
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);

	if (!out)
		return NULL;
	if (brief)
		fprintf(out, "ALARM %u  call %" PRIu64 ": %s%s%s%s\n", context->number,
			explanation->alarm->sequence ? explanation->alarm->sequence : explanation->alarm->thread_calls + 1,
			explanation_headline(explanation, headline, sizeof(headline)),
			explanation->alarm->flags & VERDICT_TAINTED ? " (calls were lost just before)" : "",
			context->response ? "; " : "", context->response ? context->response : "");
	else
		output_text(explanation, context, &report->style, out);
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

static void print_alarm(struct monitor_report *report, const struct explanation *explanation, const struct output_context *context)
{
	bool brief = report->config.brief || (!report->view && context->number > FULL_ALARMS_MAX);
	_cleanup_free_ char *text = NULL;
	char headline[512];

	if (report->config.messages->syslog)
		messages_note(report->config.messages, "ALARM: %s", explanation_headline(explanation, headline, sizeof(headline)));
	if (report->config.silent_stdout || report->config.messages->syslog)
		return;
	text = alarm_text(report, explanation, context, brief && !report->view);
	if (!text)
		return;
	if (report->view) {
		live_view_alarm(report->view, explanation_headline(explanation, headline, sizeof(headline)), text);
		return;
	}
	progress_done(&report->progress);
	fputs(text, stdout);
	if (!report->config.brief && context->number == FULL_ALARMS_MAX)
		printf("From here on each alarm is one line.\n");
	flush_output(report);
}

static void run_command(struct monitor_report *report, json_t *json)
{
	struct errmsg err = { 0 };

	/* A file can wait, so that each of its alarms gets its command; a live stream can't. */
	if (!report->config.live)
		hook_wait(&report->hook, -1);
	if (hook_run(&report->hook, json, &err) < 0) {
		report->trouble = true;
		monitor_report_message(report, &err);
	}
}

void monitor_report_alarm(struct monitor_report *report, const struct alarm *alarm, const char *done)
{
	const struct monitor_report_config *config = &report->config;
	struct explanation explanation;
	char response[256] = "";
	struct output_context context = {
		.profile = config->profile_path, .trace = config->trace_path, .log = config->log_path,
		.source = config->record && *config->record ? config->record : NULL, .number = (unsigned)++report->alarms,
	};

	/* Evidence first where the process would be gone, the response first where every call counts. */
	if (config->response == RESPONSE_STOP)
		respond(config->response, config->dry_run, alarm->pid, alarm->tid, response, sizeof(response));
	if (explain(alarm, config->image, config->policy, config->profile, report->modules, config->live, &explanation) < 0)
		return;
	if (config->response == RESPONSE_KILL)
		respond(config->response, config->dry_run, explanation.process.found ? (uint32_t)explanation.process.pid : alarm->pid,
			alarm->tid, response, sizeof(response));
	context.response = *response ? response : done;

	if (report->log)
		log_writer_alarm(report->log, alarm, config->policy);
	print_alarm(report, &explanation, &context);
	if (config->json || config->command) {
		json_t *json = output_json(&explanation, &context);

		if (json && config->json) {
			progress_done(&report->progress);
			json_dumpf(json, stdout, JSON_COMPACT | JSON_REAL_PRECISION(6));
			putchar('\n');
			flush_output(report);
		}
		if (json && config->command)
			run_command(report, json);
		json_decref(json);
	}
	explanation_done(&explanation);
}

static void on_alarm(void *data, const struct alarm *alarm)
{
	monitor_report_alarm(data, alarm, NULL);
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
	return log_writer_open(config->log_path, &info, &report->log, err);
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
	struct monitor_callbacks callbacks = { .started = on_started, .alarm = on_alarm, .closed = on_closed, .gap = on_gap, .data = report };
	struct chart_terminal terminal;
	int r;

	*report = (struct monitor_report){ .config = *config };
	hook_init(&report->hook, config->command, config->view);
	progress_init(&report->progress, "monitoring");
	chart_terminal_init(&terminal, stdout);
	report->style = (struct output_style){ terminal.color, terminal.utf8,
		isatty(STDOUT_FILENO) ? MAX(terminal.width, 60U) : 110 };
	if (config->log_path) {
		r = open_log(report, err);
		if (r < 0)
			return r;
	}
	if (config->view)
		open_view(report);
	callbacks.call = report->view ? on_call_view : report->log ? on_call_log : NULL;
	report->monitor = monitor_new(config->image, config->policy, &callbacks);
	if (!report->monitor)
		return errmsg_errno(err, -ENOMEM, NULL, "cannot monitor");
	return 0;
}

void monitor_report_done(struct monitor_report *report)
{
	report->view = live_view_close(report->view);
	report->log = log_writer_close(report->log);
	report->monitor = monitor_free(report->monitor);
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
	struct monitor_stats stats;

	get_stats(report, &stats);
	fprintf(stderr, "%s%s%" PRIu64 " call%s of %" PRIu64 " thread%s: ", reason ? reason : "", reason ? "; " : "", stats.calls,
		stats.calls == 1 ? "" : "s", stats.seen, stats.seen == 1 ? "" : "s");
	if (report->alarms)
		fprintf(stderr, "%" PRIu64 " alarm%s", report->alarms, report->alarms == 1 ? "" : "s");
	else
		fprintf(stderr, stats.calls ? "no alarm" : "nothing to judge");
	if (stats.gaps)
		fprintf(stderr, "; %" PRIu64 " gap%s, %" PRIu64 " calls lost", stats.gaps, stats.gaps == 1 ? "" : "s", stats.lost);
	if (stats.forgotten)
		fprintf(stderr, "; %" PRIu64 " silent threads forgotten", stats.forgotten);
	if (report->hook.skipped)
		fprintf(stderr, "; --exec was busy for %" PRIu64 " alarm%s", report->hook.skipped, report->hook.skipped == 1 ? "" : "s");
	if (report->hook.failed)
		fprintf(stderr, "; --exec failed %" PRIu64 " time%s", report->hook.failed, report->hook.failed == 1 ? "" : "s");
	fputc('\n', stderr);
}

static void print_summary_json(const struct monitor_report *report)
{
	struct monitor_stats stats;
	json_t *object = json_object();

	get_stats(report, &stats);
	json_object_set_new(object, "type", json_string("summary"));
	json_object_set_new(object, "calls", json_integer((json_int_t)stats.calls));
	json_object_set_new(object, "threads", json_integer((json_int_t)stats.seen));
	json_object_set_new(object, "alarms", json_integer((json_int_t)report->alarms));
	json_object_set_new(object, "foreign_calls", json_integer((json_int_t)stats.foreign));
	json_object_set_new(object, "gaps", json_integer((json_int_t)stats.gaps));
	json_object_set_new(object, "lost_calls", json_integer((json_int_t)stats.lost));
	json_object_set_new(object, "forgotten_threads", json_integer((json_int_t)stats.forgotten));
	json_dumpf(object, stdout, JSON_COMPACT | JSON_REAL_PRECISION(6));
	putchar('\n');
	json_decref(object);
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
	hook_wait(&report->hook, 10000);
	if (report->config.json)
		print_summary_json(report);
	if (!report->config.quiet && !report->config.messages->syslog)
		print_summary(report, reason);
}
