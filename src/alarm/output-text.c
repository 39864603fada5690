/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <inttypes.h>
#include <stdarg.h>
#include <string.h>
#include <time.h>

#include "alarm/output.h"
#include "base/words.h"

/* Rows of the table of calls at most; runs of expected calls between the unusual ones are told in one row. */
#define ROWS_MAX     16
#define ROWS_BEFORE  2 /* calls shown before an unusual one */
#define ROWS_LAST    4 /* the latest calls are always shown */
#define BODY_INDENT  11
#define COMMAND_COLUMNS 30 /* what a command does stands beside it if it is no longer */
#define PARENTS_SHOWN 4 /* the nearest */

struct text {
	FILE *out;
	const struct output_style *style;
	const struct explanation *e;
};

enum color { PLAIN, BOLD, DIM, RED, YELLOW, GREEN };

static const char *color_on(const struct text *t, enum color color)
{
	static const char *const codes[] = { "", "\033[1m", "\033[2m", "\033[1;31m", "\033[33m", "\033[32m" };

	return t->style->color ? codes[color] : "";
}

static const char *color_off(const struct text *t, enum color color)
{
	return t->style->color && color != PLAIN ? "\033[0m" : "";
}

/* 2138411 as "2.1 M". */
static const char *rounded(uint64_t value, char buffer[32])
{
	if (value >= 1000000000)
		snprintf(buffer, 32, "%.1f G", (double)value / 1e9);
	else if (value >= 1000000)
		snprintf(buffer, 32, "%.1f M", (double)value / 1e6);
	else if (value >= 10000)
		snprintf(buffer, 32, "%.0f k", (double)value / 1e3);
	else
		snprintf(buffer, 32, "%" PRIu64, value);
	return buffer;
}

static double percent(uint32_t cost)
{
	return score_normality(cost) / 100.0;
}

static const char *call_label(const struct text *t, const struct event *event, char *buffer, size_t size)
{
	char label[48];

	if (EVENT_ABI(event->origin) == ABI_NATIVE)
		return explanation_call(t->e, event, buffer, size);
	snprintf(buffer, size, "%s (%s)", explanation_call(t->e, event, label, sizeof(label)), abi_name(EVENT_ABI(event->origin)));
	return buffer;
}

static const char *symbol_label(const struct text *t, unsigned symbol, char *buffer, size_t size)
{
	return symbol == SYMBOL_OTHER ? "other calls" : syscall_label(t->e->image->header->arch, symbol, buffer, size);
}

/* "read 71 %, close 24 %" */
static void expected_label(const struct text *t, const struct explained_call *call, char *buffer, size_t size)
{
	size_t at = 0;

	if (!call->depth) {
		snprintf(buffer, size, "cannot say: nothing to go by");
		return;
	}
	*buffer = '\0';
	for (size_t i = 0; i < MIN(call->n_expected, 2) && at < size; i++) {
		char label[32];
		double share = call->expected[i].share * 100;

		if (i && share < 1)
			break;
		at += (size_t)snprintf(buffer + at, size - at, "%s%s %.*f %%", i ? ", " : "",
				       symbol_label(t, call->expected[i].call, label, sizeof(label)), share < 1 ? 1 : 0, share);
	}
	if (!call->n_expected)
		snprintf(buffer, size, "nothing more: calls ended here");
}

static enum color seen_label(const struct text *t, const struct explained_call *call, char *buffer, size_t size)
{
	uint64_t calls = t->e->image->header->calls;
	char number[32];
	double share = call->context_count ? 100.0 * (double)call->seen_here / (double)call->context_count : 0;

	switch (call->seen) {
	case SEEN_NEVER:
		snprintf(buffer, size, "NEVER in this program");
		return RED;
	case SEEN_NOT_HERE:
		snprintf(buffer, size, "NEVER after these calls");
		return RED;
	case SEEN_SHORT:
		if (!call->depth)
			snprintf(buffer, size, "elsewhere");
		else if (call->depth == 1)
			snprintf(buffer, size, "only after the last call");
		else
			snprintf(buffer, size, "only after the last %u", call->depth);
		return YELLOW;
	case SEEN_RARELY:
		snprintf(buffer, size, "%" PRIu64 " time%s in %s", call->seen_here, call->seen_here == 1 ? "" : "s",
			 rounded(calls, number));
		return YELLOW;
	case SEEN_YES:
		break;
	}
	snprintf(buffer, size, "yes, %.*f %%", share < 10 ? 1 : 0, share);
	return PLAIN;
}

/* Where the call came from, if known: "libc.so.6+0x10e53a", "stack 0x7ffd2a40". Escaped. */
static enum color site_label(const struct text *t, const struct explained_call *call, char *buffer, size_t size)
{
	const struct event *event = &call->scored->event;
	const struct module *module = t->e->modules ? modules_get(t->e->modules, SITE_MODULE(event->site)) : NULL;
	bool foreign = event_is_foreign(event->origin);
	char name[96] = "";

	*buffer = '\0';
	if (module || *call->place.file) {
		const char *path = module ? module->path : call->place.file, *slash = strrchr(path, '/');

		escape_text(name, sizeof(name), slash ? slash + 1 : path);
		snprintf(buffer, size, "%s+0x%" PRIx64, name, module ? (uint64_t)SITE_OFFSET(event->site) : call->place.offset);
	} else if (foreign && EVENT_ORIGIN(event->origin) >= ORIGIN_ANON) {
		snprintf(buffer, size, event->site ? "%s 0x%" PRIx64 : "%s", origin_name(EVENT_ORIGIN(event->origin)),
			 (uint64_t)SITE_OFFSET(event->site));
	} else if (event->site) {
		snprintf(buffer, size, "0x%" PRIx64, (uint64_t)SITE_OFFSET(event->site));
	} else if (EVENT_ORIGIN(event->origin) != ORIGIN_UNKNOWN && EVENT_ORIGIN(event->origin) != ORIGIN_FILE) {
		snprintf(buffer, size, "%s", origin_name(EVENT_ORIGIN(event->origin)));
	}
	return foreign ? RED : DIM;
}

/* A cell of the table: cut to its width with "..", padded but for the last one. */
static void print_cell(const struct text *t, enum color color, const char *content, unsigned width, bool last)
{
	unsigned columns = words_columns(content);

	if (columns > width && width > 2) {
		fprintf(t->out, "%s%.*s..%s", color_on(t, color), (int)words_bytes(content, width - 2), content, color_off(t, color));
		columns = width;
	} else {
		fprintf(t->out, "%s%s%s", color_on(t, color), content, color_off(t, color));
	}
	if (!last)
		fprintf(t->out, "%*s", (int)(columns < width ? width - columns + 2 : 2), "");
}

/* Which calls are worth a row: the unusual ones with what came just before them, and the latest. */
static void choose_rows(const struct explanation *e, bool chosen[HISTORY_CALLS])
{
	size_t n = 0;

	for (size_t i = e->n_calls; i-- && n < ROWS_MAX;) {
		bool wanted = i + ROWS_LAST >= e->n_calls;

		for (size_t k = i; k <= i + ROWS_BEFORE && k < e->n_calls; k++)
			wanted |= k + e->window >= e->n_calls && e->calls[k].seen != SEEN_YES;
		wanted |= e->calls[i].scored->verdict.flags & VERDICT_FOREIGN;
		chosen[i] = wanted;
		n += wanted;
	}
}

/* Columns of the table's cells. */
struct widths {
	unsigned call, expected, seen, site; /* site 0: nothing is known of call sites, or there is no room for them */
};

static struct widths measure_table(const struct text *t, const bool chosen[HISTORY_CALLS])
{
	struct widths widths = { .call = 14, .seen = 24 };
	unsigned width = MIN(t->style->width, 120), columns;
	char label[128];

	for (size_t i = 0; i < t->e->n_calls; i++) {
		if (!chosen[i])
			continue;
		site_label(t, &t->e->calls[i], label, sizeof(label));
		widths.site = MAX(widths.site, MIN(words_columns(label), 28U));
		columns = words_columns(call_label(t, &t->e->calls[i].scored->event, label, sizeof(label)));
		widths.call = MAX(widths.call, MIN(columns, 20U));
	}
	if (width < widths.call + widths.seen + widths.site + 34 + 8)
		widths.site = 0;
	if (width < 2 + widths.call + 2 + 16 + 2 + widths.seen)
		widths.call = 14; /* longer names are cut */
	widths.expected = width - 2 - widths.call - 2 - widths.seen - 2 - (widths.site ? widths.site + 2 : 0);
	widths.expected = MIN(MAX(widths.expected, 16U), 36U);
	return widths;
}

static void print_row(const struct text *t, const struct widths *widths, const struct explained_call *call)
{
	char label[128];
	enum color color = seen_label(t, call, label, sizeof(label));

	fprintf(t->out, "  ");
	print_cell(t, color, call_label(t, &call->scored->event, label, sizeof(label)), widths->call, false);
	expected_label(t, call, label, sizeof(label));
	print_cell(t, call->depth ? PLAIN : DIM, label, widths->expected, false);
	seen_label(t, call, label, sizeof(label));
	print_cell(t, color, label, widths->seen, !widths->site);
	if (widths->site) {
		color = site_label(t, call, label, sizeof(label));
		print_cell(t, color, label, widths->site, true);
	}
	fprintf(t->out, "\n");
}

static void print_table(const struct text *t)
{
	bool chosen[HISTORY_CALLS] = { false };
	struct widths widths;
	size_t first = 0, skipped = 0;

	choose_rows(t->e, chosen);
	widths = measure_table(t, chosen);
	fprintf(t->out, "  ");
	print_cell(t, DIM, "Call", widths.call, false);
	print_cell(t, DIM, "What the profile expects here", widths.expected, false);
	print_cell(t, DIM, "Seen in training?", widths.seen, !widths.site);
	if (widths.site)
		print_cell(t, DIM, "Called from", widths.site, true);
	fprintf(t->out, "\n");
	while (first < t->e->n_calls && !chosen[first])
		first++;
	for (size_t i = first; i < t->e->n_calls; i++) {
		if (!chosen[i]) {
			skipped++;
			continue;
		}
		if (skipped)
			fprintf(t->out, "  %s... %zu call%s as expected%s\n", color_on(t, DIM), skipped, skipped == 1 ? "" : "s",
				color_off(t, DIM));
		skipped = 0;
		print_row(t, &widths, &t->e->calls[i]);
	}
	fprintf(t->out, "\n");
}

static void heading(const struct text *t, const char *name)
{
	fprintf(t->out, "  %s%s%s%*s", color_on(t, BOLD), name, color_off(t, BOLD),
		(int)(BODY_INDENT - 2 - words_columns(name)), "");
}

static void next_line(const struct text *t)
{
	fprintf(t->out, "%*s", BODY_INDENT, "");
}

/* A line of a section's body, wrapped to the width; the first of it coloured, "" = none. */
static void body(const struct text *t, enum color color, const char *first, const char *format, ...)
	__attribute__((format(printf, 4, 5)));

static void body(const struct text *t, enum color color, const char *first, const char *format, ...)
{
	_cleanup_free_ char *rest = NULL;
	va_list args;
	int r;

	va_start(args, format);
	r = vasprintf(&rest, format, args);
	va_end(args);
	if (r < 0)
		return;
	fprintf(t->out, "%s%s%s", color_on(t, color), first, color_off(t, color));
	words_wrap(rest, BODY_INDENT + words_columns(first), BODY_INDENT, t->style->width, t->out);
}

/* What an alarm has to do with those before it. */
static void print_news(const struct text *t, const struct grouping *grouping)
{
	const struct group *group = grouping ? grouping->group : NULL;
	char nth[32], number[32], label[64];

	if (t->e->alarm->went_on) {
		next_line(t);
		snprintf(number, sizeof(number), "%" PRIu64, group ? group->number : grouping ? grouping->alarm : 0);
		body(t, YELLOW, "began like ALARM", " %s, but no alarm like that went on with this %s", number,
		     call_label(t, &t->e->calls[t->e->n_calls - 1].scored->event, label, sizeof(label)));
		return;
	}
	if (!group || group->count < 2)
		return;
	next_line(t);
	snprintf(number, sizeof(number), "%" PRIu64, group->number);
	words_ordinal(group->count, nth);
	if (grouping->news == NEWS_USER)
		body(t, YELLOW, "the first by this user", "; otherwise like ALARM %s, the %s time", number, nth);
	else if (grouping->news == NEWS_AGAIN)
		body(t, YELLOW, "the first in a day", "; like ALARM %s, the %s time", number, nth);
	else
		body(t, PLAIN, "", "like ALARM %s, the %s time", number, nth);
}

/* Over how many calls the mean is that fell: a young thread has fewer than its length, if it is known how many. */
static unsigned averaged(const struct explanation *e)
{
	unsigned length = e->policy->window[e->alarm->window].length;
	uint64_t past = MIN(e->alarm->thread_calls, e->alarm->since_gap);

	return e->alarm->odd_only || past >= length ? length : (unsigned)past + 1;
}

static void print_why(const struct text *t)
{
	const struct explanation *e = t->e;
	const struct event *last = &e->calls[e->n_calls - 1].scored->event;
	const struct module *module = e->modules ? modules_get(e->modules, SITE_MODULE(last->site)) : NULL;
	char number[32];

	heading(t, "Why");
	if (e->alarm->flags & VERDICT_ALARM_FOREIGN) {
		if (EVENT_ABI(last->origin) != ABI_NATIVE)
			body(t, PLAIN, "", "training saw no call through the %s table of system calls", abi_name(EVENT_ABI(last->origin)));
		else if (EVENT_ORIGIN(last->origin) == ORIGIN_STRAY)
			body(t, PLAIN, "", "the code is a file's, but training saw no such call made at this place in it");
		else
			body(t, PLAIN, "", "code in its %s is not the program's own; training saw no call from it",
			     origin_name(EVENT_ORIGIN(last->origin)));
		if (*e->mapping || module) {
			char mapping[sizeof(e->mapping) * 4];

			next_line(t);
			body(t, PLAIN, "", "the memory: %s", escape_text(mapping, sizeof(mapping), *e->mapping ? e->mapping : module->path));
		}
		if (!(e->alarm->flags & VERDICT_ALARM))
			return;
		next_line(t);
	}
	body(t, PLAIN, "", "mean normality of the last %u calls is %s%.1f %%%s, the threshold %.1f %%", averaged(e),
	     color_on(t, e->alarm->went_on ? PLAIN : RED), percent(e->alarm->mean[e->alarm->window]),
	     color_off(t, e->alarm->went_on ? PLAIN : RED), limit_percent(e->policy->window[e->alarm->window].limit));
	next_line(t);
	if (e->alarm->odd_only)
		body(t, PLAIN, "", "below are the calls of this episode that training never saw in their place");
	else
		body(t, PLAIN, "", "%u of the last %u calls never came in this place in %s calls of training", e->unseen, e->window,
		     words_grouped(e->image->header->calls, number));
}

static void print_time(const struct text *t, int64_t time, const char *format)
{
	struct tm tm;
	time_t seconds = (time_t)time;
	char buffer[64];

	if (localtime_r(&seconds, &tm) && strftime(buffer, sizeof(buffer), format, &tm))
		fprintf(t->out, "%s", buffer);
}

/* "/system.slice/nginx.service" is the unit nginx.service; a container's id is the last part, too. */
static void print_cgroup(const struct text *t, const char *cgroup)
{
	char path[2048];
	const char *slash;

	escape_text(path, sizeof(path), cgroup);
	slash = strrchr(path, '/');
	next_line(t);
	if (slash && strlen(slash) > 9 && !strcmp(slash + strlen(slash) - 8, ".service"))
		fprintf(t->out, "unit %s\n", slash + 1);
	else
		fprintf(t->out, "cgroup %s\n", path);
}

static void print_tree(const struct text *t, const struct process_info *process)
{
	const char *arrow = t->style->utf8 ? "›" : ">";
	char line[(PARENTS_SHOWN + 1) * 96], name[17 * 4];
	size_t at = 0;

	if (process->n_parents > PARENTS_SHOWN)
		at += (size_t)snprintf(line, sizeof(line), "%s %s ", t->style->utf8 ? "…" : "...", arrow);
	for (unsigned i = MIN(process->n_parents, PARENTS_SHOWN); i--;)
		at += (size_t)snprintf(line + at, sizeof(line) - at, "%s(%d) %s ",
				       escape_text(name, sizeof(name), process->parents[i].comm), process->parents[i].pid, arrow);
	snprintf(line + at, sizeof(line) - at, "%s(%d)", escape_text(name, sizeof(name), process->comm), process->pid);
	next_line(t);
	body(t, PLAIN, "", "%s", line);
}

static void print_build(const struct text *t)
{
	const struct explanation *e = t->e;
	char text[1024], build[41 * 4];

	escape_text(build, sizeof(build), e->process.build_id);
	if (e->exe_differs) {
		next_line(t);
		body(t, YELLOW, "another program", " than the profile's: it learned %s", escape_text(text, sizeof(text), e->profile->application));
	} else if (e->build_differs) {
		next_line(t);
		body(t, YELLOW, "another build", " than was learned: upgraded since? (build-id %.12s, learned %.12s)", build,
		     escape_text(text, sizeof(text), e->profile->build_id));
	} else if (e->profile && e->profile->build_id && *e->profile->build_id && *e->process.build_id) {
		next_line(t);
		body(t, PLAIN, "", "the very build that was learned (build-id %.12s)", build);
	}
}

static void print_process(const struct text *t)
{
	const struct explanation *e = t->e;
	const struct process_info *p = &e->process;
	char text[4096];

	heading(t, "Process");
	if (!p->found) {
		if (e->live)
			fprintf(t->out, "PID %u has already ended\n", e->alarm->pid ? e->alarm->pid : e->alarm->tid);
		else if (e->alarm->pid && e->alarm->pid != e->alarm->tid)
			fprintf(t->out, "PID %u, thread %u, as recorded\n", e->alarm->pid, e->alarm->tid);
		else
			fprintf(t->out, "PID %u, as recorded%s\n", e->alarm->tid,
				e->application ? "" : "; the trace says no more of it");
		if (!e->live && (e->exe_differs || e->build_differs))
			print_build(t);
		return;
	}
	fprintf(t->out, "%s", escape_text(text, sizeof(text), *p->exe ? p->exe : p->comm));
	if (*p->user)
		fprintf(t->out, ", user %s", escape_text(text, sizeof(text), p->user));
	else
		fprintf(t->out, ", user %u", p->uid);
	if (p->started) {
		fprintf(t->out, ", started ");
		print_time(t, p->started, time(NULL) - p->started < 86400 ? "%H:%M:%S" : "%Y-%m-%d %H:%M");
	}
	if (e->alarm->tid != (uint32_t)p->pid)
		fprintf(t->out, ", thread %u", e->alarm->tid);
	fprintf(t->out, p->ended ? "; has ended since\n" : "\n");
	if (*p->exe_now) {
		next_line(t);
		fprintf(t->out, "has executed %s since\n", escape_text(text, sizeof(text), p->exe_now));
	}
	if (*p->cmdline) {
		next_line(t);
		fprintf(t->out, "%s\n", escape_text(text, MIN(sizeof(text), t->style->width > 30 ? t->style->width - BODY_INDENT : 30),
						     p->cmdline));
	}
	print_tree(t, p);
	if (*p->cgroup && strcmp(p->cgroup, "/"))
		print_cgroup(t, p->cgroup);
	print_build(t);
}

static void print_trust(const struct text *t)
{
	const struct alarm *alarm = t->e->alarm;
	char number[32], lost[64];

	if (!(alarm->flags & VERDICT_TAINTED) || alarm->since_gap == UINT64_MAX)
		return;
	heading(t, "Gap");
	snprintf(lost, sizeof(lost), "%s%scalls were lost", alarm->lost ? words_grouped(alarm->lost, number) : "", alarm->lost ? " " : "");
	body(t, YELLOW, lost, " %" PRIu64 " calls before this one: part of what looks unusual may only be that", alarm->since_gap);
}

static void print_command(const struct text *t, bool *first, const char *command, const char *does)
{
	if (*first)
		heading(t, "Now");
	else
		next_line(t);
	*first = false;
	if (words_columns(command) > COMMAND_COLUMNS)
		fprintf(t->out, "%s\n%*s%s# %s%s\n", command, BODY_INDENT + 4, "", color_on(t, DIM), does, color_off(t, DIM));
	else
		fprintf(t->out, "%-*s  %s# %s%s\n", COMMAND_COLUMNS, command, color_on(t, DIM), does, color_off(t, DIM));
}

static const char *advise_teaching(const struct explanation *e)
{
	if (e->alarm->flags & VERDICT_ALARM_FOREIGN && EVENT_ORIGIN(e->calls[e->n_calls - 1].scored->event.origin) != ORIGIN_STRAY)
		return "only if it makes code as it runs (JIT): teach it";
	if (e->build_differs && !e->exe_differs)
		return "if you upgraded it: teach its new ways";
	return "only if it was honest work: teach it";
}

/* Commands that can be pasted. What is proposed depends on what there is: a live process, a trace, a log. */
static void print_next(const struct text *t, const struct output_context *context)
{
	const struct explanation *e = t->e;
	bool alive = e->process.found && !e->process.ended;
	char path[1024], command[2600];
	bool first = true;

	if (context->response) {
		heading(t, "Done");
		body(t, PLAIN, "", "%s", context->response);
	}
	if (alive && !context->response) {
		snprintf(command, sizeof(command), "kill -STOP %d", e->process.pid);
		print_command(t, &first, command, "freeze it; -CONT lets it go on");
	}
	if (alive) {
		snprintf(command, sizeof(command), "ss -tunap | grep pid=%d,", e->process.pid);
		print_command(t, &first, command, "who it talks to");
		snprintf(command, sizeof(command), "ls -l /proc/%d/fd", e->process.pid);
		print_command(t, &first, command, "what it has open");
	}
	if (context->log) {
		snprintf(command, sizeof(command), "imsafe plot %s", words_shell(context->log, path, sizeof(path)));
		print_command(t, &first, command, "the graph");
	}
	/* learn refuses traces of another program */
	if ((e->live || !e->exe_differs) && *output_teach(context, command, sizeof(command)))
		print_command(t, &first, command, advise_teaching(e));
}

void output_text(const struct explanation *explanation, const struct output_context *context,
		 const struct output_style *style, FILE *out)
{
	struct text t = { out, style, explanation };
	const struct alarm *alarm = explanation->alarm;
	char headline[512], number[32];

	explanation_headline(explanation, headline, sizeof(headline));
	snprintf(number, sizeof(number), alarm->went_on ? "WENT ON  ALARM %u: " : "ALARM %u  ", context->number);
	fprintf(out, "%s%s%s%s", color_on(&t, RED), number, color_off(&t, RED), color_on(&t, BOLD));
	words_wrap(headline, words_columns(number), BODY_INDENT, style->width, out);
	fputs(color_off(&t, BOLD), out);
	next_line(&t);
	if (explanation->time) {
		print_time(&t, explanation->time, "%Y-%m-%d %H:%M:%S");
		fprintf(out, ", ");
	}
	if (alarm->sequence)
		fprintf(out, "call %s of the stream, ", words_grouped(alarm->sequence, number));
	if (alarm->odd_only)
		fprintf(out, "thread %u\n", alarm->tid);
	else
		fprintf(out, "%s%s of thread %u\n", alarm->sequence ? "" : "call ", words_grouped(alarm->thread_calls + 1, number), alarm->tid);
	print_news(&t, context->grouping);
	fputc('\n', out);
	print_why(&t);
	fprintf(out, "\n");
	print_table(&t);
	print_process(&t);
	print_trust(&t);
	print_next(&t, context);
	fprintf(out, "\n");
}
