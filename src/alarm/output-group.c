/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What is said of an alarm in one line, and of its group. */
#include <inttypes.h>
#include <string.h>

#include "alarm/output.h"
#include "base/words.h"

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

	fprintf(out, "like ALARM %" PRIu64 ", the %s time", grouping->group->number, words_ordinal(grouping->group->count, nth));
}

void output_line(const struct explanation *e, const struct output_context *context, bool like, FILE *out)
{
	const struct grouping *grouping = context->grouping;
	char text[512];

	fprintf(out, "%sALARM %u  ", e->alarm->went_on ? "WENT ON  " : "", context->number);
	if (like) {
		put_like(grouping, out);
		fprintf(out, ": %s", explanation_subject(e, text, sizeof(text)));
		if (e->process.found) {
			fprintf(out, ", %s", grouping->new_user ? "the first by " : "");
			put_user(&e->process, out);
		}
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
	words_shell(context->profile, profile, sizeof(profile));
	if (context->trace && strcmp(context->trace, "-"))
		snprintf(buffer, size, "imsafe learn -o %s %s", profile, words_shell(context->trace, trace, sizeof(trace)));
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
