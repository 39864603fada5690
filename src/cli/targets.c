/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cli/targets.h"

#include <errno.h>
#include <string.h>
#include <time.h>

#include "sensor/process.h"

char **targets_split_command(int *argc, char **argv)
{
	for (int i = 1; i < *argc; i++)
		if (!strcmp(argv[i], "--")) {
			*argc = i;
			return argv[i + 1] ? argv + i + 1 : NULL;
		}
	return NULL;
}

size_t targets_count(const struct targets *targets)
{
	return targets->pids.n + targets->exes.n + targets->units.n + targets->cgroups.n + !!targets->command;
}

static size_t add_names(struct target *list, size_t n, const struct option_list *names, enum target_kind kind)
{
	for (size_t i = 0; i < names->n; i++)
		list[n++] = (struct target){ .kind = kind, .name = names->values[i] };
	return n;
}

int targets_list(const struct targets *targets, struct target list[TARGETS_MAX], size_t *ret_n, struct errmsg *err)
{
	size_t n = 0;

	for (size_t i = 0; i < targets->pids.n; i++) {
		unsigned long long pid;

		if (parse_uint(targets->pids.values[i], 1, INT_MAX, &pid) < 0)
			return errmsg_set(err, -EINVAL, NULL, 0, "-p takes a process id, not '%s'", targets->pids.values[i]);
		list[n++] = (struct target){ .kind = TARGET_PID, .pid = (pid_t)pid };
	}
	n = add_names(list, n, &targets->exes, TARGET_EXE);
	n = add_names(list, n, &targets->units, TARGET_UNIT);
	n = add_names(list, n, &targets->cgroups, TARGET_CGROUP);
	if (targets->command)
		list[n++] = (struct target){ .kind = TARGET_COMMAND, .argv = targets->command, .mask = targets->mask };
	*ret_n = n;
	return 0;
}

void targets_say_waiting(const struct targets *targets, const struct messages *messages)
{
	char name[512];

	for (size_t i = 0; i < targets->units.n; i++)
		if (!process_in_unit(targets->units.values[i]))
			messages_note(messages, "no process of the unit %s is here now: waiting for it to be started",
				      escape_text(name, sizeof(name), targets->units.values[i]));
}

/* The process that a file with %p in its name is about. */
static pid_t subject(const struct targets *targets, pid_t command)
{
	unsigned long long pid = 0;

	if (!command && targets->pids.n)
		parse_uint(targets->pids.values[0], 1, INT_MAX, &pid);
	return command ? command : pid ? (pid_t)pid : getpid();
}

int targets_file_name(const struct targets *targets, pid_t command, const char *pattern, char ret_path[PATH_MAX],
		      struct errmsg *err)
{
	time_t now = time(NULL);
	struct tm tm;
	size_t at = 0;

	for (const char *from = pattern; *from && at < PATH_MAX; from++) {
		if (*from != '%') {
			ret_path[at++] = *from;
			continue;
		}
		switch (*++from) {
		case 'p':
			at += (size_t)snprintf(ret_path + at, PATH_MAX - at, "%d", subject(targets, command));
			break;
		case 't':
			gmtime_r(&now, &tm);
			at += strftime(ret_path + at, PATH_MAX - at, "%Y%m%dT%H%M%SZ", &tm);
			break;
		case '%':
			ret_path[at++] = '%';
			break;
		default:
			return errmsg_set(err, -EINVAL, pattern, 0, "in a file's name %% is followed by p, t or %%");
		}
	}
	if (at >= PATH_MAX)
		return errmsg_set(err, -ENAMETOOLONG, pattern, 0, "the name is too long");
	ret_path[at] = '\0';
	return 0;
}
