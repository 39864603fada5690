/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <inttypes.h>
#include <string.h>
#include <time.h>

#include "alarm/output.h"

const char *output_ordinal(uint64_t value, char buffer[32])
{
	static const char *const ends[] = { "th", "st", "nd", "rd" };
	bool teen = value % 100 / 10 == 1;

	snprintf(buffer, 32, "%" PRIu64 "%s", value, ends[!teen && value % 10 < 4 ? value % 10 : 0]);
	return buffer;
}

static void put_user(const struct process_info *process, FILE *out)
{
	char user[sizeof(process->user) * 4];

	if (*process->user)
		fprintf(out, "user %s", escape_text(user, sizeof(user), process->user));
	else
		fprintf(out, "user %u", process->uid);
}

/* "like ALARM 2, the 6th time" */
static void put_like(const struct grouping *grouping, FILE *out)
{
	char nth[32];

	fprintf(out, "like ALARM %" PRIu64 ", the %s time", grouping->group->number, output_ordinal(grouping->group->count, nth));
}

void output_line(const struct explanation *e, const struct output_context *context, bool like, FILE *out)
{
	const struct grouping *grouping = context->grouping;
	char text[512];

	fprintf(out, "%sALARM %u  ", e->alarm->went_on ? "WENT ON  " : "", context->number);
	if (like) {
		put_like(grouping, out);
		fprintf(out, ": %s", explanation_subject(e, text, sizeof(text)));
		if (e->process.found)
			fprintf(out, ", %s", grouping->new_user ? "the first by " : "");
		if (e->process.found)
			put_user(&e->process, out);
	} else {
		fprintf(out, "call %" PRIu64 ": %s", e->alarm->sequence ? e->alarm->sequence : e->alarm->thread_calls + 1,
			explanation_headline(e, text, sizeof(text)));
		if (grouping && grouping->news == NEWS_WENT_ON) {
			fprintf(out, "; no alarm like it did");
		} else if (grouping && grouping->group->count > 1) {
			fprintf(out, "; ");
			put_like(grouping, out);
		}
	}
	if (e->alarm->flags & VERDICT_TAINTED)
		fprintf(out, " (calls were lost just before)");
	if (context->response)
		fprintf(out, "; %s", context->response);
}

char *output_teach(const struct output_context *context, char *buffer, size_t size)
{
	char profile[1024], trace[1024];

	*buffer = '\0';
	if (!context->profile)
		return buffer;
	output_shell_word(context->profile, profile, sizeof(profile));
	if (context->trace && strcmp(context->trace, "-"))
		snprintf(buffer, size, "imsafe learn -o %s %s", profile, output_shell_word(context->trace, trace, sizeof(trace)));
	else if (context->source)
		snprintf(buffer, size, "imsafe trace -f -o new.imt %s; imsafe learn -o %s new.imt", context->source, profile);
	return buffer;
}

const char *output_advice(const struct group *group)
{
	if (group->other_exe == group->count)
		return "another program than the profile's: an attack, unless the service has reason to run it";
	if (group->flags & VERDICT_ALARM_FOREIGN && !group->stray)
		return "not the program's own code: an attack, unless the program makes code while it runs (JIT)";
	if (group->tainted == group->count)
		return "calls were lost just before each of these: that may be all; 'imsafe doctor' says what can be done";
	if (group->other_build == group->count)
		return "all from another build than was learned: if it was upgraded, relearn";
	if (group->other_build)
		return "some from another build than was learned: were they upgraded? if it is honest work, teach it";
	return "look at the alarm; if it is honest work, teach it";
}

void output_wrap(const char *text, unsigned column, unsigned indent, unsigned width, FILE *out)
{
	bool first = true;

	while (*text) {
		size_t n = strcspn(text, " ");
		unsigned columns = 0;

		for (size_t i = 0; i < n; i++)
			columns += (text[i] & 0xc0) != 0x80;
		if (!first && column + 1 + columns > width) {
			fprintf(out, "\n%*s", (int)indent, "");
			column = indent;
		} else if (!first) {
			fputc(' ', out);
			column++;
		}
		fwrite(text, 1, n, out);
		column += columns;
		text += n + (text[n] == ' ');
		first = false;
	}
	fputc('\n', out);
}

static void set_time(json_t *object, const char *name, int64_t time)
{
	struct tm tm;
	time_t seconds = (time_t)time;
	char buffer[64];

	if (time && gmtime_r(&seconds, &tm) && strftime(buffer, sizeof(buffer), "%Y-%m-%dT%H:%M:%SZ", &tm))
		json_object_set_new(object, name, json_string(buffer));
}

json_t *output_group_json(const struct group *group)
{
	json_t *object = json_object(), *pids = json_array();
	char exe[4096 * 4];

	json_object_set_new(object, "group", json_integer((json_int_t)group->number));
	json_object_set_new(object, "alarms", json_integer((json_int_t)group->count));
	json_object_set_new(object, "latest_alarm", json_integer((json_int_t)group->latest));
	set_time(object, "first_time", group->first);
	set_time(object, "last_time", group->last);
	if (group->first_sequence) {
		json_object_set_new(object, "first_sequence", json_integer((json_int_t)group->first_sequence));
		json_object_set_new(object, "last_sequence", json_integer((json_int_t)group->last_sequence));
	}
	json_object_set_new(object, "kind", json_string(group->flags & VERDICT_ALARM_FOREIGN ? "foreign" : "mean"));
	json_object_set_new(object, "cause", json_string(group->cause));
	if (*group->name)
		json_object_set_new(object, "program", json_string(group->name));
	if (*group->exe)
		json_object_set_new(object, "exe", json_string(escape_text(exe, sizeof(exe), group->exe)));
	if (*group->build_id)
		json_object_set_new(object, "build_id", json_string(escape_text(exe, sizeof(exe), group->build_id)));
	for (unsigned i = 0; i < group->n_pids; i++)
		json_array_append_new(pids, json_integer(group->pids[i]));
	json_object_set_new(object, "pids", pids);
	json_object_set_new(object, "tainted_alarms", json_integer((json_int_t)group->tainted));
	json_object_set_new(object, "other_program_alarms", json_integer((json_int_t)group->other_exe));
	json_object_set_new(object, "other_build_alarms", json_integer((json_int_t)group->other_build));
	json_object_set_new(object, "advice", json_string(output_advice(group)));
	return object;
}
