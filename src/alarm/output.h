/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* How an alarm is told: text that a person judges in a minute, JSON for programs. Text from outside is escaped in both. */
#ifndef IMSAFE_ALARM_OUTPUT_H
#define IMSAFE_ALARM_OUTPUT_H

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

#include "alarm/explain.h"
#include "alarm/group.h"

/* What the reader has at hand, for the commands proposed to them. NULL: does not exist. */
struct output_context {
	const char *profile, *trace, *log; /* paths as given on the command line */
	const char *source;                /* a live source as options of "imsafe trace", for people to paste: "-p 909" */
	const char *response;              /* what was done about it already, one sentence; NULL = nothing */
	unsigned number;                   /* of the alarm, from 1 */
	const struct grouping *grouping;   /* which alarms it is like; NULL = not known */
};

struct output_style {
	bool color; /* ANSI */
	bool utf8;
	unsigned width; /* columns, at least 60 */
};

void output_text(const struct explanation *explanation, const struct output_context *context,
		 const struct output_style *style, FILE *out);

/* One object, documented in doc/howto-alarm-output.md; the caller's. NULL without memory. */
json_t *output_json(const struct explanation *explanation, const struct output_context *context);

/* The alarm in one line without its end: "ALARM 7  ...". like: as one of its group, else by its own headline. */
void output_line(const struct explanation *explanation, const struct output_context *context, bool like, FILE *out);

/* One object of the summary's list of groups; the caller's. NULL without memory. */
json_t *output_group_json(const struct group *group);

/* What to do about a group, in words. */
const char *output_advice(const struct group *group);

/* How to teach the profile what raised an alarm, as a shell command; "" if there is no source to learn from. */
char *output_teach(const struct output_context *context, char *buffer, size_t size);

#endif
