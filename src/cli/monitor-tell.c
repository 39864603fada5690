/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cli/monitor-tell.h"

#include <inttypes.h>
#include <string.h>
#include <time.h>

#include "base/words.h"

#define GROUPS_SHOWN 20
#define INDENT       9

void telling_init(struct telling *telling, bool live)
{
	*telling = (struct telling){ .live = live };
}

static bool may_be_full(struct telling *telling, int64_t now)
{
	int64_t minutes = (now - telling->forgiven) / TELL_SECONDS;

	if (telling->live && minutes > 0) {
		telling->full -= (unsigned)MIN((int64_t)telling->full, minutes);
		telling->forgiven = now;
	}
	if (telling->full >= TELL_FULL_MAX)
		return false;
	telling->full++;
	return true;
}

/* The group's place; if it is new, that of the one silent longest, which the groups have forgotten by now. */
static struct telling_group *find(struct telling *telling, uint64_t group)
{
	struct telling_group *found = &telling->groups[0];

	for (size_t i = 0; i < GROUPS_MAX; i++) {
		if (telling->groups[i].group == group)
			return &telling->groups[i];
		if (telling->groups[i].latest < found->latest)
			found = &telling->groups[i];
	}
	telling->untold += found->untold;
	*found = (struct telling_group){ .group = group };
	return found;
}

enum tell tell_alarm(struct telling *telling, const struct grouping *grouping, uint64_t number, int64_t now)
{
	struct telling_group *group;

	if (grouping->news != NEWS_NONE && may_be_full(telling, now))
		return TELL_FULL;
	if (grouping->news != NEWS_NONE)
		return TELL_LINE;
	group = find(telling, grouping->group->number);
	if (!group->lines && !group->untold)
		group->since = now;
	group->latest = number;
	group->pid = grouping->group->latest_pid;
	if (group->lines < TELL_LINES_MAX || grouping->new_user) {
		group->lines++;
		return TELL_LINE;
	}
	group->untold++;
	return TELL_COUNT;
}

bool tell_untold(struct telling *telling, int64_t now, bool all, FILE *out)
{
	bool any = false;

	for (size_t i = 0; i < GROUPS_MAX; i++) {
		struct telling_group *group = &telling->groups[i];

		if (!group->group || !(all || (telling->live && now - group->since >= TELL_SECONDS)))
			continue;
		if (group->untold) {
			fprintf(out, "... %" PRIu64 " more like ALARM %" PRIu64, group->untold, group->group);
			if (telling->live)
				fprintf(out, " in the last %s", now - group->since < 2 * TELL_SECONDS ? "minute" : "minutes");
			fprintf(out, ", the latest ALARM %" PRIu64 ", PID %u\n", group->latest, group->pid);
			any = true;
		}
		group->lines = 0;
		group->untold = 0;
	}
	if (telling->untold) {
		fprintf(out, "... and %" PRIu64 " more like alarms that are forgotten by now\n", telling->untold);
		telling->untold = 0;
		any = true;
	}
	return any;
}

static void put_when(int64_t time, uint64_t sequence, FILE *out)
{
	char when[32] = "";
	time_t seconds = (time_t)time;
	struct tm tm;

	if (!time)
		snprintf(when, sizeof(when), "%" PRIu64, sequence);
	else if (localtime_r(&seconds, &tm))
		strftime(when, sizeof(when), "%m-%d %H:%M:%S", &tm);
	fprintf(out, "%-14s  ", when);
}

static void print_group(const struct group *group, const struct output_style *style, FILE *out)
{
	const char *bold = style->color ? "\033[1m" : "", *plain = style->color ? "\033[0m" : "";

	fprintf(out, "  %s%5" PRIu64 "%s  %6" PRIu64 "  ", bold, group->number, plain, group->count);
	put_when(group->first, group->first_sequence, out);
	put_when(group->last, group->last_sequence, out);
	fprintf(out, "%4u%s  %s\n%*s", group->n_pids, group->n_pids == GROUP_PIDS_MAX ? "+" : " ", group->name, INDENT, "");
	words_wrap(group->cause, INDENT, INDENT, style->width, out);
	fprintf(out, "%*s-> ", INDENT, "");
	words_wrap(output_advice(group), INDENT + 3, INDENT + 3, style->width, out);
}

void print_groups(const struct groups *groups, const struct output_context *context, const struct output_style *style, FILE *out)
{
	char command[2600];
	size_t n = 0, others = 0, hidden;

	for (const struct group *group; (group = groups_get(groups, n)); n++)
		others += group->other_exe == group->count;
	hidden = n > GROUPS_SHOWN ? n - GROUPS_SHOWN : 0;
	fprintf(out, "\n  ALARM   count  %-14s  %-14s  PIDs   program\n", groups_get(groups, 0)->first ? "first" : "first call",
		groups_get(groups, 0)->first ? "last" : "last call");
	for (size_t i = hidden; i < n; i++)
		print_group(groups_get(groups, i), style, out);
	if (hidden)
		fprintf(out, "  and %zu causes before these; --json lists all\n", hidden);
	if (groups_forgotten(groups))
		fprintf(out, "  and %" PRIu64 " forgotten: no more than %d are remembered\n", groups_forgotten(groups), GROUPS_MAX);
	/* learn refuses traces of another program */
	if (!(context->trace && others == n) && *output_teach(context, command, sizeof(command)))
		fprintf(out, "  To teach the profile what was honest work:\n    %s\n", command);
}
