/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * How much of an alarm people are told, and when: news in full, repeats in a line, many repeats as a count. And the table of
 * groups at the end.
 */
#ifndef IMSAFE_CLI_MONITOR_TELL_H
#define IMSAFE_CLI_MONITOR_TELL_H

#include "alarm/group.h"
#include "alarm/output.h"

#define TELL_FULL_MAX   20 /* in full at once; live, one more a minute */
#define TELL_LINES_MAX  3  /* repeats of a group in a line, in a minute */
#define TELL_SECONDS    60

enum tell { TELL_FULL, TELL_LINE, TELL_COUNT };

struct telling {
	bool live; /* time passes */
	unsigned full;      /* told in full, less what time has forgiven */
	int64_t forgiven;   /* when */
	uint64_t untold;    /* of groups that are forgotten */
	struct telling_group {
		uint64_t group;
		int64_t since;  /* the minute's begin */
		unsigned lines; /* in it */
		uint64_t untold, latest; /* alarms; the latest one's number */
		uint32_t pid;
	} groups[GROUPS_MAX];
};

void telling_init(struct telling *telling, bool live);

/* now: seconds of any clock that does not go back. */
enum tell tell_alarm(struct telling *telling, const struct grouping *grouping, uint64_t number, int64_t now);

/* Repeats that were only counted, once their minute is over, or all of them: a line a group. True if there was any. */
bool tell_untold(struct telling *telling, int64_t now, bool all, FILE *out);

/* What there was, by group: how often, when, who, and what to do about it. */
void print_groups(const struct groups *groups, const struct output_context *context, const struct output_style *style, FILE *out);

#endif
