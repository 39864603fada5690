/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <inttypes.h>
#include <math.h>
#include <string.h>
#include <time.h>

#include "alarm/output.h"

/* JSON strings are Unicode: bytes that are not, and controls, become visible \xNN as everywhere. */
static json_t *text_json(const char *text)
{
	_cleanup_free_ char *escaped = NULL;
	size_t size = strlen(text) * 4 + 1;

	escaped = malloc(size);
	return escaped ? json_string(escape_text(escaped, size, text)) : NULL;
}

/* Sets a member only if there is something to say. Failures for want of memory show as a missing member. */
static void set_text(json_t *object, const char *name, const char *text)
{
	if (text && *text)
		json_object_set_new(object, name, text_json(text));
}

static void set_number(json_t *object, const char *name, uint64_t value)
{
	json_object_set_new(object, name, json_integer((json_int_t)value));
}

/* In percent, to the two digits that are exact. */
static void set_percent(json_t *object, const char *name, uint32_t cost)
{
	json_object_set_new(object, name, json_real(score_normality(cost) / 100.0));
}

static void set_time(json_t *object, const char *name, int64_t time)
{
	struct tm tm;
	time_t seconds = (time_t)time;
	char buffer[64];

	if (time && gmtime_r(&seconds, &tm) && strftime(buffer, sizeof(buffer), "%Y-%m-%dT%H:%M:%SZ", &tm))
		json_object_set_new(object, name, json_string(buffer));
}

static void set_call(json_t *object, enum syscall_arch arch, unsigned call)
{
	char label[48];

	set_number(object, "call", call);
	set_text(object, "name", syscall_label(arch, call, label, sizeof(label)));
}

static const char *seen_word(enum seen seen)
{
	static const char *const words[] = { "yes", "rarely", "shorter", "not-here", "never" };

	return words[seen];
}

static json_t *call_json(const struct explanation *e, const struct explained_call *call)
{
	const struct event *event = &call->scored->event;
	const struct module *module = e->modules ? modules_get(e->modules, SITE_MODULE(event->site)) : NULL;
	enum syscall_arch arch = e->image->header->arch;
	json_t *object = json_object(), *expected = json_array();

	set_call(object, EVENT_ABI(event->origin) == ABI_COMPAT && arch == ARCH_X86_64 ? ARCH_I386 : arch, event->call);
	set_percent(object, "normality", call->scored->verdict.cost);
	set_percent(object, "mean", call->scored->mean);
	set_text(object, "seen", seen_word(call->seen));
	set_number(object, "context_calls", call->depth);
	set_number(object, "context_count", call->context_count);
	set_number(object, "seen_here", call->seen_here);
	for (size_t i = 0; i < call->n_expected; i++) {
		json_t *item = json_object();

		set_call(item, arch, call->expected[i].call);
		json_object_set_new(item, "share", json_real(call->expected[i].share));
		json_array_append_new(expected, item);
	}
	json_object_set_new(object, "expected", expected);
	if (call->scored->verdict.flags & VERDICT_FOREIGN)
		json_object_set_new(object, "foreign", json_true());
	if (EVENT_ORIGIN(event->origin) != ORIGIN_UNKNOWN)
		set_text(object, "origin", origin_name(EVENT_ORIGIN(event->origin)));
	if (EVENT_ABI(event->origin) != ABI_NATIVE)
		set_text(object, "abi", abi_name(EVENT_ABI(event->origin)));
	if (module) {
		set_text(object, "module", module->path);
		set_text(object, "module_build_id", module->build_id);
	}
	if (*call->place.file) {
		char offset[32];

		snprintf(offset, sizeof(offset), "0x%" PRIx64, call->place.offset);
		set_text(object, "module", call->place.file);
		set_text(object, "offset", offset);
	}
	if (event->site) {
		char address[32];

		snprintf(address, sizeof(address), "0x%" PRIx64, (uint64_t)SITE_OFFSET(event->site));
		set_text(object, module ? "offset" : "address", address);
	}
	if (event->time)
		set_number(object, "monotonic_ns", event->time);
	return object;
}

static json_t *process_json(const struct explanation *e)
{
	const struct process_info *p = &e->process;
	json_t *object = json_object(), *parents = json_array();

	set_text(object, "name", p->comm);
	set_text(object, "exe", p->exe);
	set_text(object, "exe_now", p->exe_now);
	set_text(object, "command", p->cmdline);
	set_text(object, "build_id", p->build_id);
	set_number(object, "uid", p->uid);
	set_text(object, "user", p->user);
	set_text(object, "cgroup", p->cgroup);
	set_time(object, "started", p->started);
	for (unsigned i = 0; i < p->n_parents; i++) {
		json_t *parent = json_object();

		set_number(parent, "pid", (uint64_t)p->parents[i].pid);
		set_text(parent, "name", p->parents[i].comm);
		json_array_append_new(parents, parent);
	}
	json_object_set_new(object, "parents", parents);
	json_object_set_new(object, "ended", json_boolean(p->ended));
	json_object_set_new(object, "exe_differs", json_boolean(e->exe_differs));
	json_object_set_new(object, "build_differs", json_boolean(e->build_differs));
	return object;
}

static void set_grouping(json_t *object, const struct grouping *grouping)
{
	if (!grouping)
		return;
	if (grouping->group) {
		set_number(object, "group", grouping->group->number);
		set_number(object, "group_alarms", grouping->group->count);
	}
	json_object_set_new(object, "repeat", json_boolean(grouping->news == NEWS_NONE));
	set_text(object, "news", news_name(grouping->news));
	if (grouping->forgot)
		set_number(object, "forgotten_group", grouping->forgotten);
}

static const char *kind_word(uint16_t flags)
{
	return flags & VERDICT_ALARM_FOREIGN ? "foreign" : "mean";
}

json_t *output_json(const struct explanation *e, const struct output_context *context)
{
	const struct alarm *alarm = e->alarm;
	json_t *object = json_object(), *calls = json_array();
	char headline[512];

	set_text(object, "type", alarm->went_on ? "went-on" : "alarm");
	set_number(object, "alarm", context->number);
	set_grouping(object, context->grouping);
	/* The headline is escaped already. */
	json_object_set_new(object, "headline", json_string(explanation_headline(e, headline, sizeof(headline))));
	set_time(object, "time", e->time);
	set_text(object, "kind", kind_word(alarm->flags));
	if (alarm->sequence)
		set_number(object, "sequence", alarm->sequence);
	set_number(object, "tid", alarm->tid);
	set_number(object, "pid", e->process.found ? (uint64_t)e->process.pid : alarm->pid ? alarm->pid : alarm->tid);
	if (alarm->parent)
		set_number(object, "parent_tid", alarm->parent);
	if (!alarm->odd_only)
		set_number(object, "thread_calls", alarm->thread_calls + 1);
	set_number(object, "mean_length", e->policy->window[alarm->window].length);
	set_percent(object, "mean", alarm->mean[alarm->window]);
	json_object_set_new(object, "threshold", json_real(round(limit_percent(e->policy->window[alarm->window].limit) * 100) / 100));
	set_number(object, "judged_calls", e->window);
	set_number(object, "unseen_calls", e->unseen);
	set_number(object, "never_calls", e->never);
	set_number(object, "training_calls", e->image->header->calls);
	json_object_set_new(object, "tainted", json_boolean(alarm->flags & VERDICT_TAINTED));
	if (alarm->since_gap != UINT64_MAX) {
		set_number(object, "calls_since_gap", alarm->since_gap);
		set_number(object, "lost_in_gap", alarm->lost);
	}
	set_text(object, "mapping", e->mapping);
	set_text(object, "profile", context->profile);
	set_text(object, "trace", context->trace);
	set_text(object, "log", context->log);
	set_text(object, "response", context->response);
	if (e->profile)
		set_text(object, "application", e->profile->application);
	if (e->process.found)
		json_object_set_new(object, "process", process_json(e));
	for (size_t i = 0; i < e->n_calls; i++)
		json_array_append_new(calls, call_json(e, &e->calls[i]));
	json_object_set_new(object, "calls", calls);
	return object;
}

json_t *output_group_json(const struct group *group)
{
	json_t *object = json_object(), *pids = json_array();

	set_number(object, "group", group->number);
	set_number(object, "alarms", group->count);
	set_number(object, "latest_alarm", group->latest);
	set_time(object, "first_time", group->first);
	set_time(object, "last_time", group->last);
	if (group->first_sequence) {
		set_number(object, "first_sequence", group->first_sequence);
		set_number(object, "last_sequence", group->last_sequence);
	}
	set_text(object, "kind", kind_word(group->flags));
	/* These two are escaped already. */
	json_object_set_new(object, "cause", json_string(group->cause));
	if (*group->name)
		json_object_set_new(object, "program", json_string(group->name));
	set_text(object, "exe", group->exe);
	set_text(object, "build_id", group->build_id);
	for (unsigned i = 0; i < group->n_pids; i++)
		json_array_append_new(pids, json_integer(group->pids[i]));
	json_object_set_new(object, "pids", pids);
	set_number(object, "tainted_alarms", group->tainted);
	set_number(object, "other_program_alarms", group->other_exe);
	set_number(object, "other_build_alarms", group->other_build);
	set_text(object, "advice", output_advice(group));
	return object;
}
