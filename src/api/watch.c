/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The public face of monitoring. */
#include <string.h>

#include "alarm/explain.h"
#include "alarm/output.h"
#include "api/internal.h"

static double percent(uint32_t cost)
{
	return score_normality(cost) / 100.0;
}

static void on_call(void *data, uint64_t sequence, const struct scored_call *scored)
{
	struct imsafe_watch *watch = data;
	struct imsafe_call call = {
		.sequence = sequence,
		.tid = scored->event.tid,
		.call = scored->event.call,
		.name = syscall_name(profile_info(watch->profile->profile)->arch, scored->event.call),
		.normality = percent(scored->verdict.cost),
		.mean = percent(scored->mean),
		.seen = scored->verdict.flags & VERDICT_SEEN,
		.foreign = scored->verdict.flags & VERDICT_FOREIGN,
	};

	watch->callbacks.call(watch->callbacks.data, &call);
}

static void on_alarm(void *data, const struct alarm *raised)
{
	struct imsafe_watch *watch = data;
	static const struct output_style style = { .utf8 = true, .width = 100 };
	static const struct output_context context;
	struct imsafe_alarm alarm = {
		.sequence = raised->sequence,
		.tid = raised->tid,
		.pid = raised->pid,
		.foreign = raised->flags & VERDICT_ALARM_FOREIGN,
		.tainted = raised->flags & VERDICT_TAINTED,
		.text = "",
		.json = "",
	};
	_cleanup_free_ char *text = NULL, *json = NULL;
	struct explanation explanation;
	size_t size = 0;
	FILE *out;

	if (explain(raised, &watch->profile->image, &watch->policy, profile_info(watch->profile->profile), watch->modules,
		    watch->live ? NULL : &watch->recorded, &explanation) < 0) {
		watch->callbacks.alarm(watch->callbacks.data, &alarm); /* without words rather than not at all */
		return;
	}
	out = open_memstream(&text, &size);
	if (out) {
		output_text(&explanation, &context, &style, out);
		if (fclose(out) == 0)
			alarm.text = text;
	}
	json_t *object = output_json(&explanation, &context);
	json = object ? json_dumps(object, JSON_COMPACT) : NULL;
	json_decref(object);
	if (json)
		alarm.json = json;
	watch->callbacks.alarm(watch->callbacks.data, &alarm);
	explanation_done(&explanation);
}

/* The policy that settings ask for, with a sentence about it. */
static int set_policy(struct imsafe_watch *watch, const struct imsafe_settings *settings, struct errmsg *err)
{
	enum score_reading reading = settings->sequences ? READING_SEQUENCES : READING_PREDICTOR;
	struct calibrate_config config = { .rate = settings->rate > 0 ? settings->rate : RATE_DEFAULT, .reading = reading };
	struct calibration calibration;
	int r;

	for (int i = 0; i < MEAN_WINDOWS; i++)
		if (settings->mean_length[i] > MEAN_MAX)
			return errmsg_set(err, -EINVAL, NULL, 0, "a mean length of %u calls is longer than the longest, %d",
					  settings->mean_length[i], MEAN_MAX);
	if (settings->threshold < 0 || settings->threshold > 100)
		return errmsg_set(err, -EINVAL, NULL, 0, "a threshold of %g %% is not between 0 and 100", settings->threshold);
	if (settings->threshold > 0) {
		policy_set(&watch->policy, settings->threshold, settings->mean_length, reading);
		snprintf(watch->threshold_text, sizeof(watch->threshold_text), "threshold %g %%, as set", settings->threshold);
	} else {
		memcpy(config.means, settings->mean_length, sizeof(config.means));
		r = calibrate(watch->profile->profile, &config, &calibration, err);
		if (r < 0)
			return r;
		watch->policy = calibration.policy;
		snprintf(watch->threshold_text, sizeof(watch->threshold_text), "%s", calibration.text);
	}
	watch->policy.foreign = !settings->allow_foreign;
	policy_arm(&watch->policy, watch->profile->image.header, 0);
	return 0;
}

int imsafe_watch_new(struct imsafe_profile *profile, const struct imsafe_settings *settings,
		     const struct imsafe_callbacks *callbacks, struct imsafe_watch **ret_watch, struct imsafe_error *error)
{
	static const struct imsafe_settings defaults;
	_cleanup_(imsafe_watch_freep) struct imsafe_watch *watch = calloc(1, sizeof(*watch));
	struct monitor_callbacks inner = { .data = watch };
	struct errmsg err = { 0 };
	int r;

	if (!watch)
		return api_error(error, &err, -ENOMEM);
	watch->profile = profile;
	if (callbacks)
		watch->callbacks = *callbacks;
	inner.call = watch->callbacks.call ? on_call : NULL;
	inner.alarm = watch->callbacks.alarm ? on_alarm : NULL;
	r = set_policy(watch, settings ? settings : &defaults, &err);
	if (r < 0)
		return api_error(error, &err, r);
	watch->monitor = monitor_new(&profile->image, &watch->policy, &inner);
	if (!watch->monitor)
		return api_error(error, &err, -ENOMEM);
	*ret_watch = TAKE_PTR(watch);
	return 0;
}

void imsafe_watch_free(struct imsafe_watch *watch)
{
	if (!watch)
		return;
	monitor_free(watch->monitor);
	free(watch);
}

void imsafe_watch_stats(const struct imsafe_watch *watch, struct imsafe_stats *ret_stats)
{
	struct monitor_stats stats;

	monitor_stats(watch->monitor, &stats);
	*ret_stats = (struct imsafe_stats){ stats.calls, stats.alarms, stats.gaps, stats.lost, stats.threads };
}

const char *imsafe_watch_threshold_text(const struct imsafe_watch *watch)
{
	return watch->threshold_text;
}

int imsafe_watch_call(struct imsafe_watch *watch, uint32_t tid, uint16_t call)
{
	return monitor_add(watch->monitor, &(struct event){ .kind = EVENT_CALL, .tid = tid, .call = call }, 1);
}

int imsafe_watch_fork(struct imsafe_watch *watch, uint32_t parent, uint32_t tid)
{
	return monitor_add(watch->monitor, &(struct event){ .kind = EVENT_FORK, .tid = tid, .parent = parent, .pid = tid }, 1);
}

int imsafe_watch_exec(struct imsafe_watch *watch, uint32_t tid)
{
	return monitor_add(watch->monitor, &(struct event){ .kind = EVENT_EXEC, .tid = tid }, 1);
}

int imsafe_watch_exit(struct imsafe_watch *watch, uint32_t tid)
{
	return monitor_add(watch->monitor, &(struct event){ .kind = EVENT_EXIT, .tid = tid }, 1);
}

int imsafe_watch_gap(struct imsafe_watch *watch, uint32_t tid, uint64_t lost)
{
	return monitor_add(watch->monitor, &(struct event){ .kind = EVENT_GAP, .tid = tid, .lost = lost }, 1);
}
