/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "alarm/explain.h"

#include <inttypes.h>
#include <string.h>
#include <time.h>

/* Under this share of its context a call counts as rare. */
#define RARE_SHARE 0.01

static enum seen judge_seen(const struct explained_call *call)
{
	unsigned flags = call->scored->verdict.flags;

	if (!(flags & VERDICT_KNOWN))
		return SEEN_NEVER;
	if (!(flags & VERDICT_SEEN))
		return SEEN_NOT_HERE;
	if (flags & VERDICT_MISMATCHED || !call->depth)
		return SEEN_SHORT;
	return (double)call->seen_here < RARE_SHARE * (double)call->context_count ? SEEN_RARELY : SEEN_YES;
}

static void explain_call(const struct image *image, const struct scored_call *scored, struct explained_call *ret_call)
{
	uint32_t node = scored->node, symbol = event_symbol(scored->event.call, scored->event.origin);
	const struct cell *header = &image->cells[node], *edge = &image->cells[node + 1 + symbol];

	*ret_call = (struct explained_call){
		.scored = scored,
		.depth = header->flags & CELL_DEPTH,
		.context_count = header->count,
		.seen_here = edge->owner == node ? edge->count : 0,
	};
	ret_call->n_expected = image_expected(image, node, ret_call->expected, EXPLAIN_EXPECTED);
	ret_call->seen = judge_seen(ret_call);
}

static bool same_path(const char *exe, const char *application)
{
	static const char deleted[] = " (deleted)";
	size_t n = strlen(exe), cut = sizeof(deleted) - 1;

	if (n > cut && !strcmp(exe + n - cut, deleted))
		n -= cut;
	return strlen(application) == n && !memcmp(exe, application, n);
}

/* A process that has ended already can still be told by who made it. */
static void explain_parent(struct explanation *e)
{
	struct process_info parent;

	if (!e->alarm->parent)
		return;
	process_lookup((pid_t)e->alarm->parent, &parent);
	if (!parent.found)
		return;
	e->parent = parent.pid;
	memcpy(e->parent_comm, parent.comm, sizeof(e->parent_comm));
}

/* The driver gives bare addresses: which files they are in can be asked as long as the process lives. */
static void explain_places(struct explanation *e)
{
	struct process_place places[HISTORY_CALLS] = { 0 };
	bool wanted = false;

	for (size_t i = 0; i < e->n_calls; i++) {
		const struct event *event = &e->calls[i].scored->event;

		if (event->site && !SITE_MODULE(event->site) && EVENT_ORIGIN(event->origin) != ORIGIN_STACK &&
		    EVENT_ORIGIN(event->origin) != ORIGIN_HEAP && EVENT_ORIGIN(event->origin) != ORIGIN_ANON) {
			places[i].address = SITE_OFFSET(event->site);
			wanted = true;
		}
	}
	if (!wanted)
		return;
	process_places(e->process.pid, places, e->n_calls);
	for (size_t i = 0; i < e->n_calls; i++)
		e->calls[i].place = places[i];
}

static void explain_process(struct explanation *e)
{
	const struct event *last = &e->calls[e->n_calls - 1].scored->event;
	const struct profile_info *profile = e->profile;

	if (e->alarm->process) {
		e->process = *e->alarm->process;
		process_refresh(&e->process);
	} else {
		process_lookup((pid_t)(e->alarm->pid ? e->alarm->pid : e->alarm->tid), &e->process);
	}
	if (!e->process.found) {
		explain_parent(e);
		return;
	}
	if (profile && profile->application && *profile->application && *e->process.exe)
		e->exe_differs = !same_path(e->process.exe, profile->application);
	if (e->process.ended || *e->process.exe_now) /* the memory that the calls came from is gone */
		return;
	explain_places(e);
	if (e->alarm->flags & VERDICT_FOREIGN && last->site && !SITE_MODULE(last->site) &&
	    process_mapping(e->process.pid, SITE_OFFSET(last->site), e->mapping, sizeof(e->mapping)) < 0)
		e->mapping[0] = '\0';
}

static void explain_recorded(struct explanation *e, const struct recorded *recorded)
{
	const char *learned = e->profile ? e->profile->application : NULL;

	e->application = recorded->application ? recorded->application : learned;
	e->exe_differs = e->application && learned && *learned && !same_path(e->application, learned);
	snprintf(e->process.build_id, sizeof(e->process.build_id), "%s", recorded->build_id ? recorded->build_id : "");
}

int explain(const struct alarm *alarm, const struct image *image, const struct policy *policy,
	    const struct profile_info *profile, const struct modules *modules, const struct recorded *recorded,
	    struct explanation *ret_explanation)
{
	struct explanation *e = ret_explanation;
	unsigned length = policy->window[alarm->window].length;

	if (!alarm->n_history || alarm->n_history > HISTORY_CALLS)
		return -EINVAL;
	memset(e, 0, sizeof(*e));
	e->alarm = alarm;
	e->image = image;
	e->policy = policy;
	e->profile = profile;
	e->modules = modules;
	e->n_calls = alarm->n_history;
	e->live = !recorded;
	for (size_t i = 0; i < e->n_calls; i++)
		explain_call(image, &alarm->history[i], &e->calls[i]);
	e->window = (unsigned)MIN(length, e->n_calls);
	for (size_t i = e->n_calls - e->window; i < e->n_calls; i++) {
		e->never += e->calls[i].seen == SEEN_NEVER;
		e->unseen += e->calls[i].seen == SEEN_NEVER || e->calls[i].seen == SEEN_NOT_HERE;
	}
	if (e->live) {
		e->time = time(NULL);
		explain_process(e);
	} else {
		explain_recorded(e, recorded);
	}
	if (profile && profile->build_id && *profile->build_id && *e->process.build_id)
		e->build_differs = strcmp(profile->build_id, e->process.build_id) != 0;
	return 0;
}

void explanation_done(struct explanation *explanation)
{
	memset(explanation, 0, sizeof(*explanation));
}

const char *origin_name(enum event_origin origin)
{
	static const char *const names[ORIGIN_KINDS] = {
		"unknown", "file", "vdso", "anonymous memory", "stack", "heap", "writable mapping",
	};

	return origin < ORIGIN_KINDS ? names[origin] : origin == ORIGIN_STRAY ? "unlearned place" : "unknown";
}

const char *abi_name(enum event_abi abi)
{
	static const char *const names[ABI_KINDS] = { "native", "compat", "x32" };

	return abi < ABI_KINDS ? names[abi] : "unknown";
}

const char *explanation_call(const struct explanation *e, const struct event *event, char *buffer, size_t size)
{
	enum syscall_arch arch = e->image->header->arch;

	if (EVENT_ABI(event->origin) == ABI_COMPAT && arch == ARCH_X86_64)
		arch = ARCH_I386;
	return syscall_label(arch, event->call, buffer, size);
}

char *explanation_name(const struct explanation *e, char *buffer, size_t size)
{
	const char *name = "";

	if (e->process.found) {
		name = e->process.comm;
	} else if (e->application) {
		const char *slash = strrchr(e->application, '/');

		name = slash ? slash + 1 : e->application;
	}
	return escape_text(buffer, size, name);
}

char *explanation_subject(const struct explanation *e, char *buffer, size_t size)
{
	unsigned id = e->process.found ? (unsigned)e->process.pid : e->alarm->pid ? e->alarm->pid : e->alarm->tid;
	char name[128];

	if (*explanation_name(e, name, sizeof(name)) && !e->process.found && e->alarm->ran_another)
		snprintf(buffer, size, "a program that %s ran (PID %u)", name, id);
	else if (*name)
		snprintf(buffer, size, "%s (PID %u)", name, id);
	else if (e->parent)
		snprintf(buffer, size, "PID %u, a child of %s (PID %d),", id, escape_text(name, sizeof(name), e->parent_comm), e->parent);
	else
		snprintf(buffer, size, "PID %u", id);
	return buffer;
}

/* The distinct calls of the window that training saw so little of, as names, at most three and "...". */
static unsigned list_calls(const struct explanation *e, enum seen seen, char *list, size_t size)
{
	const struct explained_call *found[4];
	unsigned n = 0;
	size_t at = 0;

	for (size_t i = e->n_calls - e->window; i < e->n_calls && n < ARRAY_SIZE(found); i++) {
		bool again = e->calls[i].seen != seen;

		for (unsigned k = 0; k < n; k++)
			again |= found[k]->scored->event.call == e->calls[i].scored->event.call;
		if (!again)
			found[n++] = &e->calls[i];
	}
	*list = '\0';
	for (unsigned i = 0; i < n && at < size; i++) {
		char label[32];

		at += (size_t)snprintf(list + at, size - at, "%s%s", i ? ", " : "",
				       i == ARRAY_SIZE(found) - 1 ? "..." :
				       explanation_call(e, &found[i]->scored->event, label, sizeof(label)));
	}
	return n;
}

char *explanation_cause(const struct explanation *e, char *buffer, size_t size)
{
	const struct event *last = &e->calls[e->n_calls - 1].scored->event;
	char calls[160], number[48];
	const char *label = explanation_call(e, last, number, sizeof(number));
	unsigned n;

	if (e->alarm->flags & VERDICT_ALARM_FOREIGN) {
		if (EVENT_ABI(last->origin) != ABI_NATIVE)
			snprintf(buffer, size, "called %s through a foreign door (%s), as injected code may", label,
				 abi_name(EVENT_ABI(last->origin)));
		else if (EVENT_ORIGIN(last->origin) == ORIGIN_STRAY)
			snprintf(buffer, size, "called %s from a place where training saw no such call", label);
		else
			snprintf(buffer, size, "called %s from its %s, as injected code does", label,
				 origin_name(EVENT_ORIGIN(last->origin)));
	} else if ((n = list_calls(e, SEEN_NEVER, calls, sizeof(calls)))) {
		snprintf(buffer, size, "made %s never made in training: %s", n == 1 ? "a call" : "calls", calls);
	} else if ((n = list_calls(e, SEEN_NOT_HERE, calls, sizeof(calls)))) {
		snprintf(buffer, size, "made %s where training never had %s: %s", n == 1 ? "a call" : "calls", n == 1 ? "it" : "them", calls);
	} else {
		snprintf(buffer, size, "does not behave as in training: too many rare calls");
	}
	return buffer;
}

char *explanation_headline(const struct explanation *e, char *buffer, size_t size)
{
	char subject[256], cause[512];

	snprintf(buffer, size, "%s %s", explanation_subject(e, subject, sizeof(subject)), explanation_cause(e, cause, sizeof(cause)));
	return buffer;
}
