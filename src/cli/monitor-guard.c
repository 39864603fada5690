/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cli/monitor-guard.h"

#include <inttypes.h>
#include <signal.h>
#include <string.h>

#include "sensor/guard.h"

bool guarding_serves(const struct source_config *config)
{
	return !config->trace && !config->listen && (!config->targets.sensor || !strcmp(config->targets.sensor, "auto") || !strcmp(config->targets.sensor, "ebpf"));
}

#ifdef HAVE_EBPF

static struct guard_site *list_sites(const struct sites *sites)
{
	struct guard_site *list = calloc(sites->n, sizeof(*list));

	for (size_t i = 0; list && i < sites->n; i++)
		list[i] = (struct guard_site){ sites->site[i].module, sites->site[i].call, sites->site[i].offset };
	return list;
}

int guarding_open(struct guarding *guarding, const struct guarding_config *config, struct errmsg *err)
{
	_cleanup_free_ struct guard_site *list = NULL;
	struct target targets[TARGETS_MAX];
	struct guard_application application = {
		.name = "monitor", .targets = targets, .follow_fork = config->source->follow_fork,
		.follow_exec = config->source->follow_exec, .image = config->image, .policy = config->policy,
		.level = config->source->origins ? GUARD_MEMORY : GUARD_OFF, .dry_run = config->dry_run,
		.signal = config->response == RESPONSE_KILL ? SIGKILL : config->response == RESPONSE_STOP ? SIGSTOP : 0,
		.sample = config->view,
	};
	struct guard *guard = NULL;
	int r = targets_list(&config->source->targets, targets, &application.n_targets, err);

	*guarding = (struct guarding){ .dry_run = config->dry_run };
	if (!r && config->sites->n) {
		list = list_sites(config->sites);
		application.level = GUARD_SITES;
		application.sites = list;
		application.n_sites = config->sites->n;
		application.modules = &config->sites->modules;
		if (!list)
			return errmsg_errno(err, -ENOMEM, NULL, "cannot set up the driver");
	}
	if (!r)
		r = guard_open(&guard, err);
	if (!r)
		r = guard_add_application(guard, &application, &guarding->application, err);
	if (r < 0) {
		guard_close(guard);
		return r;
	}
	guarding->guard = guard;
	return 0;
}

void guarding_close(struct guarding *guarding)
{
	guarding->guard = guard_close(guarding->guard);
}

pid_t guarding_command(const struct guarding *guarding)
{
	return guard_command(guarding->guard, guarding->application);
}

int guarding_fd(const struct guarding *guarding)
{
	return guard_fd(guarding->guard);
}

static const char *signal_words(const struct guarding *guarding, const struct guard_alarm *alarm, char *words, size_t size)
{
	bool kill = alarm->signalled == SIGKILL;

	if (!alarm->signalled)
		return NULL;
	if (guarding->dry_run)
		snprintf(words, size, "dry run: PID %u would have been %s", alarm->pid, kill ? "killed (SIGKILL)" : "frozen (SIGSTOP)");
	else if (kill)
		snprintf(words, size, "PID %u was killed at this call; the call may still have taken effect", alarm->pid);
	else
		snprintf(words, size, "PID %u was frozen at this call (kill -CONT %u lets it go on); the call may have taken effect",
			 alarm->pid, alarm->pid);
	return words;
}

static void on_alarm(void *data, const struct guard_alarm *from)
{
	struct guarding *guarding = data;
	char words[160];
	struct alarm alarm = {
		.tid = from->tid, .pid = from->pid, .process = from->process, .flags = from->flags, .window = from->window,
		.thread_calls = from->thread_calls, .since_gap = UINT64_MAX, .history = from->history, .n_history = from->n_history,
	};

	memcpy(alarm.mean, from->mean, sizeof(alarm.mean));
	monitor_report_alarm(guarding->report, &alarm, signal_words(guarding, from, words, sizeof(words)));
}

/* Of an episode that goes on, the kernel tells only the calls that training did not see. */
static void on_unforeseen(void *data, unsigned application, const struct scored_call *call)
{
	struct guarding *guarding = data;
	struct scored_call history[HISTORY_CALLS];
	struct alarm alarm = {
		.tid = call->event.tid, .flags = call->verdict.flags, .window = call->verdict.window, .since_gap = UINT64_MAX,
		.mean = { call->mean }, .history = history, .went_on = true, .odd_only = true,
	};
	uint64_t n = MIN(guarding->n_unforeseen + 1, (uint64_t)HISTORY_CALLS);

	guarding->unforeseen[guarding->n_unforeseen++ % HISTORY_CALLS] = *call;
	if (!monitor_report_unforeseen(guarding->report, call))
		return;
	alarm.flags |= call->verdict.flags & VERDICT_FOREIGN ? VERDICT_ALARM_FOREIGN : VERDICT_ALARM;
	for (uint64_t i = guarding->n_unforeseen - n; i < guarding->n_unforeseen; i++)
		if (guarding->unforeseen[i % HISTORY_CALLS].event.tid == call->event.tid)
			history[alarm.n_history++] = guarding->unforeseen[i % HISTORY_CALLS];
	monitor_report_alarm(guarding->report, &alarm, NULL);
}

static void on_closed(void *data, unsigned application, uint32_t tid)
{
	struct guarding *guarding = data;

	monitor_report_closed(guarding->report, tid);
}

static void on_sample(void *data, unsigned application, const struct scored_call *call)
{
	struct guarding *guarding = data;

	if (call->event.kind == EVENT_CALL)
		monitor_report_call(guarding->report, ++guarding->sampled, call);
}

int guarding_dispatch(struct guarding *guarding, struct errmsg *err)
{
	const struct guard_callbacks callbacks = {
		.alarm = on_alarm, .closed = on_closed, .unforeseen = on_unforeseen, .sample = on_sample, .data = guarding,
	};

	return guard_dispatch(guarding->guard, &callbacks, err);
}

void guarding_stats(void *data, struct monitor_stats *ret_stats)
{
	const struct guarding *guarding = data;
	struct guard_stats stats = { 0 };

	guard_stats(guarding->guard, guarding->application, &stats);
	*ret_stats = (struct monitor_stats){
		.calls = stats.calls, .foreign = stats.foreign, .alarms = stats.alarms, .seen = stats.started, .threads = stats.threads,
	};
}

bool guarding_losses(const struct guarding *guarding, char *words, size_t size)
{
	struct guard_stats stats = { 0 };
	size_t at = 0;

	guard_stats(guarding->guard, guarding->application, &stats);
	if (stats.refused)
		at += (size_t)snprintf(words, size, "%" PRIu64 " threads were not watched: too many at once", stats.refused);
	if (stats.missed && at < size)
		at += (size_t)snprintf(words + at, size - at, "%s%" PRIu64 " calls, forks or ends on this machine were kept from the driver, "
				       "which had been interrupted on their CPU (see imsafe doctor)", at ? "; " : "", stats.missed);
	if (stats.lost_alarms && at < size)
		at += (size_t)snprintf(words + at, size - at, "%s%" PRIu64 " alarms were raised but not taken in time", at ? "; " : "",
				       stats.lost_alarms);
	if (stats.lost_unforeseen && at < size)
		at += (size_t)snprintf(words + at, size - at, "%s%" PRIu64 " unusual calls after an alarm could not be compared with those of "
				       "others like it", at ? "; " : "", stats.lost_unforeseen);
	if (stats.unknown_origins && at < size)
		at += (size_t)snprintf(words + at, size - at, "%sthe kernel could not say where %" PRIu64 " call%s came from, as memory was "
				       "being mapped: judged by their order alone", at ? "; " : "", stats.unknown_origins,
				       stats.unknown_origins == 1 ? "" : "s");
	if (stats.missing_modules && at < size)
		at += (size_t)snprintf(words + at, size - at, "%s%u files with learned call sites are gone, or others than in training",
				       at ? "; " : "", stats.missing_modules);
	return at;
}

#else

int guarding_open(struct guarding *guarding, const struct guarding_config *config, struct errmsg *err)
{
	return errmsg_set(err, -EOPNOTSUPP, NULL, 0, "this build has no driver (--sensor=ebpf)");
}

void guarding_close(struct guarding *guarding)
{
}

pid_t guarding_command(const struct guarding *guarding)
{
	return 0;
}

int guarding_fd(const struct guarding *guarding)
{
	return -1;
}

int guarding_dispatch(struct guarding *guarding, struct errmsg *err)
{
	return -EOPNOTSUPP;
}

void guarding_stats(void *data, struct monitor_stats *ret_stats)
{
	*ret_stats = (struct monitor_stats){ 0 };
}

bool guarding_losses(const struct guarding *guarding, char *words, size_t size)
{
	return false;
}

#endif
